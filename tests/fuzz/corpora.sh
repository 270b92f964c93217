#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Replays the corpora of request bodies, pages of the store and texts, and changes of them; as TAP.
echo 1..3
number=0 status=0
for noun in body page text; do
    number=$((number + 1))
    if said=$("${TW_BUILD:-.}/tests/fuzz/${noun}_fuzz" "${TW_SRCDIR:-.}"/tests/fuzz/corpus/$noun/* 2>&1); then
        echo "ok $number - $noun"
    else
        echo "not ok $number - $noun"
        echo "$said" | sed 's/^/# /'
        status=1
    fi
done
exit $status
