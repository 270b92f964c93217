/* SPDX-License-Identifier: Apache-2.0
 *
 * label_order: the order of many label sets by wire_labels_compare, without comparing texts again
 * and again: the first labels of all become ranks, few bits each, and those are sorted by radix.
 *
 * Threads: plain data.
 */
#ifndef TW_TSDB_LABEL_ORDER_H
#define TW_TSDB_LABEL_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "wire/labels.h"

/* ret_order, of count: indexes into sets, ascending by their labels; equal ones as they stand. Sets
 * that share the memory of their texts (as those of one index do) are ordered fastest. */
void tsdb_label_order(const struct wire_labels *sets, uint32_t count, uint32_t *ret_order);

#endif
