/* SPDX-License-Identifier: Apache-2.0
 *
 * integer_program: least cost under linear constraints, in whole numbers. lp_solve behind it; the
 * one file that knows it.
 *
 *   least sum cost_j x_j   with   sum a_ij x_j (<= or >=) b_i,   lower_j <= x_j <= upper_j
 *
 * Bounded: SCALE_PROGRAM_COLUMNS_MAX variables and SCALE_PROGRAM_ROWS_MAX rows, so memory is some
 * hundred kilobytes; work by a number of steps rather than by time, so that the same programme has
 * the same answer on every machine; and by SCALE_PROGRAM_S_MAX for the worst. The library writes
 * nothing to the terminal.
 *
 * Threads: one call at a time.
 */
#ifndef TW_AUTOSCALER_INTEGER_PROGRAM_H
#define TW_AUTOSCALER_INTEGER_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#define SCALE_PROGRAM_COLUMNS_MAX 64
#define SCALE_PROGRAM_ROWS_MAX 64
#define SCALE_PROGRAM_S_MAX 1

struct scale_program_row {
    double of[SCALE_PROGRAM_COLUMNS_MAX];
    bool at_least; /* else at most */
    double bound;
};

struct scale_program {
    size_t columns, rows;
    double cost[SCALE_PROGRAM_COLUMNS_MAX];
    double lower[SCALE_PROGRAM_COLUMNS_MAX], upper[SCALE_PROGRAM_COLUMNS_MAX];
    bool whole[SCALE_PROGRAM_COLUMNS_MAX];
    struct scale_program_row row[SCALE_PROGRAM_ROWS_MAX];
};

enum scale_program_verdict {
    SCALE_PROGRAM_OPTIMAL,
    SCALE_PROGRAM_FEASIBLE,   /* the best that was found within the steps */
    SCALE_PROGRAM_INFEASIBLE, /* no answer keeps to the constraints */
    SCALE_PROGRAM_UNSOLVED    /* no answer within the steps, or the numbers were too hard */
};

/* ret_values has one value for each column; set when OPTIMAL or FEASIBLE. */
enum scale_program_verdict scale_program_solve(const struct scale_program *program,
                                               unsigned steps_max, double *ret_values);

#endif
