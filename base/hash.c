/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/hash.h"

#include <pthread.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/assert.h"

/* XXH3's own default length; getentropy gives up to 256 bytes. */
#define SECRET_BYTES 192

uint64_t tw_hash64(const void *bytes, size_t count)
{
    return XXH3_64bits(bytes, count);
}

uint64_t tw_hash64_seeded(const void *bytes, size_t count, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, count, seed);
}

static unsigned char secret[SECRET_BYTES];

static void make_secret(void)
{
    int failed = getentropy(secret, sizeof secret);
    TW_ASSERT(!failed); /* of at most 256 bytes: cannot fail on a Linux that has the call */
}

uint64_t tw_hash64_private(const void *bytes, size_t count)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_secret);
    return XXH3_64bits_withSecret(bytes, count, secret, sizeof secret);
}

uint64_t tw_xxh64(const void *bytes, size_t count)
{
    return XXH64(bytes, count, 0);
}

struct tw_hash128 tw_hash128(const void *bytes, size_t count)
{
    XXH128_hash_t hash = XXH3_128bits(bytes, count);
    return (struct tw_hash128){.low = hash.low64, .high = hash.high64};
}

uint64_t tw_fnv1a(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ byte[i]) * UINT64_C(1099511628211);
    return hash;
}
