# SPDX-License-Identifier: Apache-2.0
# wire: L1, what travels between agent, server and other programs: encode and decode side by side.
dist_noinst_DATA += %D%/labels.h
