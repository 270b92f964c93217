#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The store's fuzzer: changed good inputs, and the corpus that libFuzzer found.
exec "${TW_BUILD:-.}/tests/fuzz/store_fuzz" "${TW_SRCDIR:-.}"/tests/fuzz/corpus/store/*
