# SPDX-License-Identifier: Apache-2.0
# tsdb: L2, receiver -> admission -> series -> head -> codec -> block -> partition -> index -> selection.
dist_noinst_DATA += %D%/storage.h %D%/state.h
