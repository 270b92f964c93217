# SPDX-License-Identifier: Apache-2.0
# forecast: L1, pure numbers in, quantiles out.
