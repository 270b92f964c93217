# SPDX-License-Identifier: Apache-2.0
# autoscaler: L5, observation -> model -> policy -> decision -> actuator.
