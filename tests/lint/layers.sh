#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proves the layering that docs/ARCHITECTURE.md draws: a file includes its own folder and lower
# layers only, and each outside library is included by exactly one file. Speaks TAP.
set -u
cd "${TW_SRCDIR:-.}" || exit 1

# folder: what it may include besides itself
rules='base:
wire: base
forecast: base
collector: base wire
tsdb: base wire
query: base wire forecast tsdb
alerts: base wire forecast tsdb query
autoscaler: base wire forecast tsdb query alerts
ui: base
daemon: base wire forecast collector tsdb query alerts autoscaler ui'

# header: the file that may include it, a pattern where it is more than one
libraries='lmdb.h tsdb/lmdb_int\.h
tsdb/lmdb_int.h tsdb/lmdb[a-z_]*\.c
pcap.h collector/capture.c
pcap/pcap.h collector/capture.c
microhttpd.h daemon/http_server.c
snappy-c.h wire/snappy.c
zstd.h wire/zstd.c
jansson.h base/json.c
curl/curl.h base/http_client.c
yaml.h base/yaml.c
re2/re2.h base/regex.cc
xxhash.h base/hash.c
lpsolve/lp_lib.h autoscaler/integer_program.c'

count=$(printf '%s\n%s\n' "$rules" "$libraries" | wc -l)
echo "1..$count"
number=0
report() { # name, what was found wrong
    number=$((number + 1))
    if [ -z "$2" ]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        printf '%s\n' "$2" | sed 's/^/# /'
    fi
}

printf '%s\n' "$rules" | while IFS=: read -r folder allowed; do
    pattern=$(echo "$folder $allowed" | tr -s ' ' '|' | sed 's/|$//')
    grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]+"' "$folder"/*.c "$folder"/*.h "$folder"/*.cc 2>/dev/null |
        grep -vE "include[[:space:]]+\"(config\.h|($pattern)/)" >"${TMPDIR:-/tmp}/layers.$$"
    echo "$folder:$(tr '\n' '~' <"${TMPDIR:-/tmp}/layers.$$")"
done >"${TMPDIR:-/tmp}/layers.out.$$"
while IFS=: read -r folder found; do
    report "$folder includes its own folder and lower layers only" "$(printf '%s' "$found" | tr '~' '\n')"
done <"${TMPDIR:-/tmp}/layers.out.$$"
rm -f "${TMPDIR:-/tmp}/layers.$$" "${TMPDIR:-/tmp}/layers.out.$$"

while read -r header owner; do
    found=$(grep -nE "include[[:space:]]+[<\"]${header}[>\"]" ./*/*.c ./*/*.h ./*/*.cc 2>/dev/null |
        sed 's|^\./||' | grep -v "^$owner:" | grep -v '^yaml')
    # base/yaml.h is ours; the library's is included in angle brackets.
    [ "$header" != yaml.h ] || found=$(printf '%s' "$found" | grep '<yaml.h>')
    report "<$header> is included by $owner only" "$found"
done <<END
$libraries
END
