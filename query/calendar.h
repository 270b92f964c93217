/* SPDX-License-Identifier: Apache-2.0
 *
 * calendar: parts of a UTC date of any double of seconds, as Go computes them: also for times that
 * no other library takes.
 */
#ifndef TW_QUERY_CALENDAR_H
#define TW_QUERY_CALENDAR_H

#include "query/function.h"

double query_calendar_part(enum query_function_id part, double seconds);

#endif
