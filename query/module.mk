# SPDX-License-Identifier: Apache-2.0
# query: L3, lexer -> parser -> ast -> plan -> operators -> result -> api.
dist_noinst_DATA += %D%/engine.h
