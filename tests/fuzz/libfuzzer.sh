#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Searches with libFuzzer under AddressSanitizer and UBSan, by hand: tests/fuzz/libfuzzer.sh NOUN SECONDS
# NOUN is a tests/fuzz/NOUN_fuzz.c: store, body, page, text, remote_read, query_parser, regex.
# Needs clang with its runtime (libclang-rt-14-dev). What it finds is left in build-fuzz/.
set -eu
noun=$1 seconds=${2:-60}
cd "$(dirname "$0")/../.."
[ -x configure ] || ./autogen.sh
mkdir -p build-fuzz/found
cd build-fuzz
flags='-g -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined'
[ -f Makefile ] || ../configure -q CC=clang CXX=clang++ CFLAGS="$flags" CXXFLAGS="$flags"
make -s -j2 base/libbase.a wire/libwire.a forecast/libforecast.a tsdb/libtsdb.a query/libquery.a
objects=
for part in "$noun" $([ "$noun" != body ] || echo remote_write histogram histogram_chunk); do
    clang -std=c17 -D_GNU_SOURCE -DTW_LIBFUZZER -I. -I.. $flags -fsanitize=fuzzer \
        -c "../tests/fuzz/${part}_fuzz.c" -o "$part.o"
    objects="$objects $part.o"
done
clang++ $flags -fsanitize=fuzzer $objects query/libquery.a forecast/libforecast.a tsdb/libtsdb.a wire/libwire.a base/libbase.a \
    $(sed -n 's/^\(LMDB\|SNAPPY\|JANSSON\|YAML\|CURL\|XXHASH\|RE2\|ZSTD\)_LIBS = //p' Makefile) -lpthread -lm \
    -o "${noun}_fuzz"
mkdir -p "corpus/$noun"
[ ! -d "../tests/fuzz/corpus/$noun" ] || cp -r ../tests/fuzz/corpus/"$noun"/. "corpus/$noun/"
exec "./${noun}_fuzz" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 \
    -artifact_prefix=found/ -print_final_stats=1 "corpus/$noun"
