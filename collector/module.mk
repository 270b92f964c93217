# SPDX-License-Identifier: Apache-2.0
# collector: L2, sources -> sampler -> batch -> spool -> shipper.
