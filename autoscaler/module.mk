# SPDX-License-Identifier: Apache-2.0
# autoscaler: L5, observation -> model -> policy -> decision -> actuator.
dist_noinst_DATA += %D%/manager.h docs/api-scalers.md
