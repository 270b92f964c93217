#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The pages' sources: their types, and their pure functions in node. Speaks TAP.
set -u
ui=$TW_SRCDIR/ui
echo 1..2
if ! command -v node >/dev/null 2>&1 || [ ! -d "$ui/node_modules/typescript" ]; then
    echo "ok 1 - types # SKIP ui/node_modules has no TypeScript (npm ci in ui/ installs it)"
    echo "ok 2 - pure functions # SKIP needs the same"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

report() { # number, name, status, log
    [ "$3" = 0 ] && echo "ok $1 - $2" || { echo "not ok $1 - $2"; sed 's/^/# /' "$4"; }
}

node "$ui/node_modules/typescript/bin/tsc" --project "$ui" >"$work/types.log" 2>&1
report 1 types $? "$work/types.log"

NODE_PATH=$ui/node_modules "$ui/node_modules/.bin/esbuild" "$TW_SRCDIR/tests/unit/ui/logic_test.ts" \
    --bundle --platform=node --target=node18 --format=cjs --log-level=warning \
    --outfile="$work/logic.cjs" >"$work/logic.log" 2>&1 && node --test "$work/logic.cjs" >"$work/logic.log" 2>&1
report 2 "pure functions" $? "$work/logic.log"
