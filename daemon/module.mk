# SPDX-License-Identifier: Apache-2.0
# daemon: L7, the three mains, configuration, HTTP server, wiring.
