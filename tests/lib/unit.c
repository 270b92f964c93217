/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"

#define TIMEOUT_S 60.0

static char folder[256];
static pid_t folder_owner;

static void remove_folder(void)
{
    if (*folder && getpid() == folder_owner)
        (void)!tw_file_remove_folder(folder, NULL);
}

const char *unit_folder(void)
{
    /* Check forks a process for each case: each gets its own folder. */
    if (*folder && folder_owner == getpid())
        return folder;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/tidewatch-test.XXXXXX", base ? base : "/tmp");
    TW_ASSERT(mkdtemp(folder) != NULL);
    folder_owner = getpid();
    atexit(remove_folder);
    return folder;
}

const char *unit_data(const char *name)
{
    static char path[1024];
    const char *source = getenv("TW_SRCDIR");
    snprintf(path, sizeof path, "%s/tests/%s", source ? source : "..", name);
    return path;
}

int unit_run(const char *noun, const struct unit_case *cases)
{
    Suite *suite = suite_create(noun);
    for (const struct unit_case *c = cases; c->test; c++) {
        TCase *tcase = tcase_create(c->test->name);
        tcase_set_timeout(tcase, c->timeout_s > 0 ? c->timeout_s : TIMEOUT_S);
        if (c->limit > c->first)
            tcase_add_loop_test(tcase, c->test, c->first, c->limit);
        else
            tcase_add_test(tcase, c->test);
        suite_add_tcase(suite, tcase);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
