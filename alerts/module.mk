# SPDX-License-Identifier: Apache-2.0
# alerts: L4, rule -> evaluation -> state -> group -> notifier -> receiver.
