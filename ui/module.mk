# SPDX-License-Identifier: Apache-2.0
# ui: L6, the web pages; they speak only the public HTTP API.
dist_noinst_DATA += %D%/pages.h
