/* SPDX-License-Identifier: Apache-2.0
 *
 * vector: loops that the compiler turns into vector instructions, in one version for each level of
 * the processor, chosen when the program starts.
 *
 * Products and sums are not contracted into fused operations: every version gives the same bits.
 */
#ifndef TW_BASE_VECTOR_H
#define TW_BASE_VECTOR_H

#if !TW_SANITIZED && defined __x86_64__ && defined __GNUC__ && !defined __clang__
#define TW_VECTOR                                                                                  \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"),                   \
                   optimize("O3", "fp-contract=off")))
#else
#define TW_VECTOR
#endif

#endif
