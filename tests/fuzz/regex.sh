#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Replays the corpus of the regular expressions' fuzzer, and changes of it.
exec "${TW_BUILD:-.}/tests/fuzz/regex_fuzz" "${TW_SRCDIR:-.}"/tests/fuzz/corpus/regex/*
