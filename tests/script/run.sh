#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs all query scripts; the runner speaks TAP.
exec "${TW_BUILD:-.}/tests/script/script_runner" "${TW_SRCDIR:-.}"/tests/script/*.test
