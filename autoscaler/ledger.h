/* SPDX-License-Identifier: Apache-2.0
 *
 * ledger: what a scaler's replicas have cost: today, this month, and in each of the hours of the
 * last week, from which the rest of the period is foreseen.
 *
 *   cost per hour at each look -> charged until the next one -> hours -> day, month
 *
 * I1  What was charged is never charged again, nor forgotten by a restart: the time between two
 *     looks costs what was there at the first, also when the server was away meanwhile.
 * I2  A clock that was set back charges nothing twice.
 *
 * Days and months are those of UTC, shifted by the offset that the budget has.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_LEDGER_H
#define TW_AUTOSCALER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define SCALE_LEDGER_HOURS (7 * 24)

/* SCALE_PERIOD(name, text) */
#define SCALE_PERIOD_TABLE(SCALE_PERIOD)                                                           \
    SCALE_PERIOD(DAY, "day")                                                                       \
    SCALE_PERIOD(MONTH, "month")
enum scale_period {
#define SCALE_PERIOD_ENUM(name, text) SCALE_PERIOD_##name,
    SCALE_PERIOD_TABLE(SCALE_PERIOD_ENUM)
#undef SCALE_PERIOD_ENUM
};
#define SCALE_PERIODS 2
extern const char *const scale_period_names[SCALE_PERIODS];

struct scale_ledger {
    int64_t offset_ms;                /* of local time, east of UTC */
    int64_t charged_ms;               /* until then; 0 = nothing yet */
    double rate;                      /* per hour, since then */
    int64_t begun_ms[SCALE_PERIODS];  /* of the present day and month */
    double spent[SCALE_PERIODS];      /* since */
    int64_t hour;                     /* number of the newest in the ring */
    int64_t first_hour;               /* the first that was charged whole */
    double hours[SCALE_LEDGER_HOURS]; /* ring, by number */
};

void scale_ledger_init(struct scale_ledger *ledger, int64_t offset_ms);
/* Charges the time until now at the rate of the last look, and takes the new one. */
void scale_ledger_charge(struct scale_ledger *ledger, int64_t now_ms, double rate);
/* When the present period ends. */
int64_t scale_ledger_end_ms(const struct scale_ledger *ledger, enum scale_period period,
                            int64_t now_ms);
/* What the period will have cost at its end: what was spent, and for each hour to come what the
 * same hour of the week cost last, else of the day, else what is spent now. */
double scale_ledger_forecast(const struct scale_ledger *ledger, enum scale_period period,
                             int64_t now_ms);

void scale_ledger_encode(const struct scale_ledger *ledger, struct tw_buf *ret_bytes);
/* False for what was not written so; the ledger is as it was then. Keeps the offset. */
bool scale_ledger_decode(struct scale_ledger *ledger, struct tw_str bytes);

#endif
