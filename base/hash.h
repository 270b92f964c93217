/* SPDX-License-Identifier: Apache-2.0
 *
 * hash: XXH3 (xxHash 0.8, 64 and 128 bits, its stable variant: hashes may be stored); XXH64 and
 * FNV-1a where a protocol asks for it (Prometheus's label sets, Alertmanager's fingerprints). None withstands an attacker who
 * picks the input to collide: a table compares the bytes as well, or uses the private one.
 */
#ifndef TW_BASE_HASH_H
#define TW_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t tw_hash64(const void *bytes, size_t count);
uint64_t tw_hash64_seeded(const void *bytes, size_t count, uint64_t seed);
/* Keyed by a random secret of this process, which nobody outside can foresee: two inputs collide
 * by accident only, once in 2^64. Not to be stored. Any thread. */
uint64_t tw_hash64_private(const void *bytes, size_t count);
struct tw_hash128 {
    uint64_t low, high;
};
struct tw_hash128 tw_hash128(const void *bytes, size_t count);

/* XXH64 without a seed, where others are to come to the same number (Prometheus's label sets). */
uint64_t tw_xxh64(const void *bytes, size_t count);

#define TW_FNV1A_START UINT64_C(14695981039346656037)
uint64_t tw_fnv1a(uint64_t hash, const void *bytes, size_t count);

#endif
