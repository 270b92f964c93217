/* SPDX-License-Identifier: Apache-2.0
 *
 * half: numbers in 16 bits (IEEE 754 binary16: 11 significant bits, up to 65504), in which a kept
 * model remembers the past. Pure numbers are stored so, scaled to the size of the series.
 */
#ifndef TW_FORECAST_HALF_H
#define TW_FORECAST_HALF_H

#include <stdint.h>
#include <string.h>

#define FORECAST_HALF_MAX 65504.0f

static inline float forecast_from_half(uint16_t half)
{
    /* The exponent is set right by a multiplication, which makes subnormals right as well. */
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f;
    return half & 0x8000 ? -value : value;
}

/* Rounds to the nearest; beyond the largest number, the largest number. Not for NaN. */
static inline uint16_t forecast_to_half(float value)
{
    float size = value < 0 ? -value : value;
    uint16_t sign = value < 0 ? 0x8000 : 0;
    if (size >= FORECAST_HALF_MAX)
        return sign | 0x7bff;
    uint32_t bits;
    if (size < 0x1p-14f) { /* subnormal: a fixed point of 2^-24 */
        return sign | (uint16_t)(size * 0x1p24f + 0.5f);
    }
    memcpy(&bits, &size, sizeof bits);
    bits += 0xfff + ((bits >> 13) & 1);
    return sign | (uint16_t)((bits - 0x38000000u) >> 13);
}

#endif
