/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/integer_program.h"

#include <lpsolve/lp_lib.h>
#include <math.h>

#include "base/assert.h"

static bool fill(lprec *lp, const struct scale_program *program)
{
    double row[SCALE_PROGRAM_COLUMNS_MAX + 1] = {0}; /* lp_solve counts from 1 */
    bool fine = true;
    for (size_t j = 0; j < program->columns; j++) {
        int column = (int)j + 1;
        fine = fine && set_int(lp, column, program->whole[j]) &&
               set_bounds(lp, column, program->lower[j],
                          isinf(program->upper[j]) ? get_infinite(lp) : program->upper[j]);
        row[j + 1] = program->cost[j];
    }
    fine = fine && set_obj_fn(lp, row) && set_add_rowmode(lp, TRUE);
    for (size_t i = 0; fine && i < program->rows; i++) {
        for (size_t j = 0; j < program->columns; j++)
            row[j + 1] = program->row[i].of[j];
        fine = add_constraint(lp, row, program->row[i].at_least ? GE : LE, program->row[i].bound);
    }
    return set_add_rowmode(lp, FALSE) && fine;
}

/* Called at each step of the simplex and each branch; not 0 ends the search. */
static int count_step(lprec *lp, void *user)
{
    unsigned *left = user;
    (void)lp;
    *left -= *left > 0;
    return *left == 0;
}

enum scale_program_verdict scale_program_solve(const struct scale_program *program,
                                               unsigned steps_max, double *ret_values)
{
    TW_ASSERT(program->columns > 0 && program->columns <= SCALE_PROGRAM_COLUMNS_MAX &&
              program->rows <= SCALE_PROGRAM_ROWS_MAX && steps_max > 0);
    enum scale_program_verdict verdict = SCALE_PROGRAM_UNSOLVED;
    lprec *lp = make_lp(0, (int)program->columns);
    if (!lp)
        return verdict;
    set_verbose(lp, NEUTRAL);
    set_mip_gap(lp, TRUE, 0); /* the best, not one nearly so */
    set_mip_gap(lp, FALSE, 0);
    set_timeout(lp, SCALE_PROGRAM_S_MAX);
    put_abortfunc(lp, count_step, &steps_max);
    int solved = fill(lp, program) ? solve(lp) : NOMEMORY;
    if (solved == OPTIMAL || solved == PRESOLVED || solved == SUBOPTIMAL) {
        if (get_variables(lp, ret_values))
            verdict = solved == SUBOPTIMAL ? SCALE_PROGRAM_FEASIBLE : SCALE_PROGRAM_OPTIMAL;
    } else if (solved == INFEASIBLE && steps_max > 0) {
        verdict = SCALE_PROGRAM_INFEASIBLE;
    }
    delete_lp(lp);
    return verdict;
}
