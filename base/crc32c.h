/* SPDX-License-Identifier: Apache-2.0
 *
 * crc32c: the Castagnoli checksum (RFC 3720 B.4) that guards everything on disk, since LMDB's pages
 * have none. SSE 4.2's instruction where there is one. Debian packages no C library for it.
 */
#ifndef TW_BASE_CRC32C_H
#define TW_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc: 0 to start, or the result so far. */
uint32_t tw_crc32c(uint32_t crc, const void *bytes, size_t count);

#endif
