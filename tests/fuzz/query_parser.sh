#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Replays the corpus of the query parser's fuzzer.
exec "${TW_BUILD:-.}/tests/fuzz/query_parser_fuzz" "${TW_SRCDIR:-.}"/tests/fuzz/corpus/query_parser/*
