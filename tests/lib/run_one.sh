#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run_one.sh FOLDER TEST: runs one end-to-end test, prints how it ended and leaves the first word of that
# in FOLDER/e2e-TEST.result. A test is a program: exit 0 = passed, 77 = skipped, anything else = failed.
set -eu
name=$(basename "$2")
log=$1/e2e-$name.log
start=$(date +%s)
status=0
timeout -k 10 300 "$2" >"$log" 2>&1 </dev/null || status=$?
took=$(($(date +%s) - start))
case $status in
0)  result=ok text="ok    $name (${took} s)" ;;
77) result=skip text="skip  $name: $(tail -n 1 "$log")" ;;
*)  result=FAIL text="FAIL  $name (exit $status after ${took} s); the end of $log:
$(tail -n 40 "$log" | sed 's/^/      /')" ;;
esac
echo $result >"$1/e2e-$name.result"
printf '%s\n' "$text" # at once: other tests print, too
