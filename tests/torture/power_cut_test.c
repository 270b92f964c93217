/* SPDX-License-Identifier: Apache-2.0
 *
 * power_cut_test: what the store wrote is cut off after any of its writes, syncs and changes of
 * folders; what was not synced is lost, kept, torn or reordered (disk.h). Each such folder opens
 * and holds all that was acknowledged by then, and nothing wrong (workload.h).
 *
 * Short: TW_CUTS=400 images, seeds fixed; TW_LONG=1: at every place, each kind, four seeds.
 * TW_CUT=position,kind,seed looks at one.
 *
 * That the test can fail is itself a test: a disk that lies about one kind of sync, which is the
 * same as a store that forgot it, must be found out.
 */
#include "config.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/torture/disk.h"
#include "tests/torture/workload.h"
#include "tests/unit/tsdb/store.h"

#define CUTS 400
#define LONG_SEEDS 4
#define LIE_CUTS 300

static char folder[4096], image[4200], why[WORKLOAD_WHY_BYTES], at_work[512];

/* Says which image the process died over. */
static void tell_image(int number)
{
    size_t size = strlen(at_work);
    (void)!write(STDERR_FILENO, at_work, size);
    signal(number, SIG_DFL);
    raise(number);
}

static void record(enum disk_lie lie)
{
    snprintf(folder, sizeof folder, "%s/tidewatch-cut.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    ck_assert(mkdtemp(folder) != NULL);
    snprintf(image, sizeof image, "%s.image", folder);
    disk_watch(folder);
    disk_lie(lie);
    bool fine = workload_run(folder, why);
    ck_assert_msg(fine, "without a power cut: %s", why);
}

static void drop(const char *path)
{
    struct tw_err err;
    unit_assert_ok(tw_file_remove_folder(path, &err), &err);
}

static bool check_cut(size_t position, enum disk_cut kind, uint64_t seed)
{
    snprintf(at_work, sizeof at_work, "TW_CUT=%zu,%d,%llu, after %s\n", position, (int)kind,
             (unsigned long long)seed, disk_position_text(position));
    disk_cut(position, kind, seed, image);
    bool fine = workload_check(image, position, why);
    drop(image);
    return fine;
}

#define assert_cut(position, kind, seed)                                                           \
    ck_assert_msg(check_cut((position), (kind), (seed)), "%s: %s", at_work, why)

static void check_all(size_t count)
{
    for (size_t position = 0; position <= count; position++)
        for (int kind = 0; kind < DISK_CUT_KINDS; kind++)
            for (uint64_t seed = 0; seed < (kind < DISK_CUT_RANDOM ? 1 : LONG_SEEDS); seed++)
                assert_cut(position, (enum disk_cut)kind, position * LONG_SEEDS + seed);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

START_TEST(everything_acknowledged_survives)
{
    signal(SIGABRT, tell_image);
    signal(SIGSEGV, tell_image);
    signal(SIGBUS, tell_image);
    record(DISK_HONEST);
    size_t count = disk_position();
    unsigned long long position, kind, seed = 20261121;
    const char *one = getenv("TW_CUT");
    int cuts = store_rounds("TW_CUTS", CUTS, 0);
    if (one && sscanf(one, "%llu,%llu,%llu", &position, &kind, &seed) == 3) {
        assert_cut((size_t)position, (enum disk_cut)kind, seed);
    } else if (cuts == 0) {
        check_all(count);
    } else {
        uint64_t state = seed;
        for (int i = 0; i < cuts; i++) {
            size_t where = (size_t)(next_random(&state) % (count + 1));
            assert_cut(where, (enum disk_cut)(next_random(&state) % DISK_CUT_KINDS),
                       next_random(&state));
        }
    }
    drop(folder);
    workload_fini();
}
END_TEST

/* A store over a lying disk may die in LMDB: each image is looked at by a child. */
static bool survives(size_t position, enum disk_cut kind, uint64_t seed)
{
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(2);
        alarm(20);
        _exit(check_cut(position, kind, seed) ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    if (tw_file_exists(image))
        drop(image);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

START_TEST(a_forgotten_sync_is_found)
{
    record((enum disk_lie)_i);
    size_t count = disk_position();
    uint64_t state = 7;
    int found = 0, tried = 0;
    while (tried < LIE_CUTS && found == 0) {
        size_t where = (size_t)(next_random(&state) % (count + 1));
        enum disk_cut kind = (enum disk_cut)(next_random(&state) % DISK_CUT_KINDS);
        found += !survives(where, kind, next_random(&state));
        tried++;
    }
    ck_assert_msg(found > 0, "lie %d: none of %d images showed it", _i, tried);
    drop(folder);
    workload_fini();
}
END_TEST

int main(void)
{
    struct unit_case cases[] = {
        UNIT_CASE_SLOW(everything_acknowledged_survives, 36000),
        UNIT_LOOP(a_forgotten_sync_is_found, DISK_LIES_ABOUT_DATA, DISK_LIES_ABOUT_FOLDER + 1),
        {0}};
    cases[1].timeout_s = 600;
    return unit_run("torture/power_cut", cases);
}
