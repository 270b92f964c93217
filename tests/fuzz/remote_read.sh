#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Replays the corpus of the fuzzer of remote read's requests.
exec "${TW_BUILD:-.}/tests/fuzz/remote_read_fuzz" "${TW_SRCDIR:-.}"/tests/fuzz/corpus/remote_read/*
