/* SPDX-License-Identifier: Apache-2.0
 *
 * Eight bytes a step by SSE 4.2's crc32 instruction where the processor has it, else by a table of
 * 256 entries a byte (Sarwate, 1988).
 */
#include "config.h"

#include "base/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL_REVERSED UINT32_C(0x82f63b78)

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void fill_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL_REVERSED : 0);
        table[i] = crc;
    }
}

static uint32_t update_by_table(uint32_t crc, const unsigned char *bytes, size_t count)
{
    pthread_once(&table_once, fill_table);
    for (size_t i = 0; i < count; i++)
        crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xff];
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
update_by_instruction(uint32_t crc, const unsigned char *bytes, size_t count)
{
    uint64_t wide = crc;
    for (; count >= 8; bytes += 8, count -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (size_t i = 0; i < count; i++)
        crc = __builtin_ia32_crc32qi(crc, bytes[i]);
    return crc;
}
#endif

uint32_t tw_crc32c(uint32_t crc, const void *bytes, size_t count)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~update_by_instruction(~crc, bytes, count);
#endif
    return ~update_by_table(~crc, bytes, count);
}
