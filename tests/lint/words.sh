#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proves that the web page's editor completes every function and aggregation of the query language. Speaks TAP.
set -u
cd "${TW_SRCDIR:-.}" || exit 1
functions=$(sed -n 's/^ *\(FUNCTION\|EXPERIMENTAL\|TIMED\)("\([a-z0-9_]*\)".*/\2/p' query/function.c)
aggregations="sum avg min max count group stddev stdvar topk bottomk limitk limit_ratio quantile count_values"
missing=""
for word in $functions $aggregations; do
    grep -q "^$word | " ui/src/functions.ts || missing="$missing $word"
done
echo 1..2
if [ "$(echo "$functions" | wc -l)" -gt 80 ]; then
    echo "ok 1 - the functions are found"
else
    echo "not ok 1 - the functions are found"
fi
if [ -z "$missing" ]; then
    echo "ok 2 - the editor completes each"
else
    echo "not ok 2 - the editor does not complete:$missing"
fi
