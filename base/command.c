/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"

#define END_MS 2000 /* between being told to end and being made to */
#define READ_BYTES 4096

extern char **environ;

/* ---- the environment ---- */

static bool is_set_by(const char *entry, const struct tw_http_pair *variable)
{
    return strncmp(entry, variable->name.data, variable->name.size) == 0 &&
           entry[variable->name.size] == '=';
}

/* Ours with the variables; one block of pointers, the texts of `variables` behind it. */
static char **make_environment(const struct tw_http_pair *variables, size_t count,
                               struct tw_buf *texts)
{
    size_t own = 0, used = 0;
    while (environ[own] != NULL)
        own++;
    char **entries = calloc(own + count + 1, sizeof *entries);
    TW_ASSERT(entries != NULL);
    for (size_t i = 0; i < own; i++) {
        bool replaced = false;
        for (size_t k = 0; k < count; k++)
            replaced = replaced || is_set_by(environ[i], &variables[k]);
        if (!replaced)
            entries[used++] = environ[i];
    }
    for (size_t k = 0; k < count; k++) {
        tw_buf_appendf(texts, "%.*s=", TW_STR_ARG(variables[k].name));
        tw_buf_append(texts, variables[k].value.data, variables[k].value.size);
        tw_buf_append_char(texts, '\0');
    }
    TW_ASSERT(!texts->overflow);
    for (char *text = texts->data; used < own + count && text < texts->data + texts->size;) {
        entries[used++] = text;
        text += strlen(text) + 1;
    }
    return entries;
}

/* ---- starting ---- */

static void set_attributes(posix_spawnattr_t *attributes, short group)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(attributes);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setpgroup(attributes, 0);
    posix_spawnattr_setflags(attributes,
                             (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group));
}

static enum tw_code spawn(const char *const *words, const struct tw_http_pair *variables,
                          size_t variable_count, const posix_spawn_file_actions_t *files,
                          short group, pid_t *ret_pid, struct tw_err *err)
{
    posix_spawnattr_t attributes;
    struct tw_buf texts;
    size_t count = 0;
    while (words[count] != NULL)
        count++;
    /* posix_spawn's type for words that nobody writes to. */
    char **copies = calloc(count + 1, sizeof *copies);
    TW_ASSERT(copies != NULL);
    memcpy(copies, words, count * sizeof *copies);
    tw_buf_init(&texts, 1 << 20);
    set_attributes(&attributes, group);
    char **environment = make_environment(variables, variable_count, &texts);
    int failed = posix_spawnp(ret_pid, words[0], files, &attributes, copies, environment);
    free(copies);
    free(environment);
    tw_buf_fini(&texts);
    posix_spawnattr_destroy(&attributes);
    if (failed)
        return tw_err_set(err, failed == ENOENT ? TW_NOT_FOUND : TW_IO, "cannot start '%s': %s",
                          words[0], strerror(failed));
    return TW_OK;
}

enum tw_code tw_command_start(const char *const *words, const struct tw_http_pair *variables,
                              size_t variable_count, int *ret_pid, struct tw_err *err)
{
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    pid_t pid = 0;
    enum tw_code code =
        spawn(words, variables, variable_count, &files, POSIX_SPAWN_SETSID, &pid, err);
    posix_spawn_file_actions_destroy(&files);
    *ret_pid = pid;
    return code;
}

/* ---- running to the end ---- */

/* What the program reads is a file in memory, as scripts open /dev/stdin anew; what it writes comes
 * through two pipes. -1: closed. */
struct channels {
    int input, outputs[2], theirs[2];
};

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_all(struct channels *channels)
{
    close_end(&channels->input);
    for (int i = 0; i < 2; i++) {
        close_end(&channels->outputs[i]);
        close_end(&channels->theirs[i]);
    }
}

static enum tw_code open_channels(struct channels *channels, struct tw_str input,
                                  struct tw_err *err)
{
    *channels = (struct channels){-1, {-1, -1}, {-1, -1}};
    bool opened = (channels->input = memfd_create("input", MFD_CLOEXEC)) >= 0;
    for (int i = 0; opened && i < 2; i++) {
        int ends[2];
        if ((opened = pipe2(ends, O_CLOEXEC) == 0)) {
            channels->outputs[i] = ends[0];
            channels->theirs[i] = ends[1];
            fcntl(ends[0], F_SETFL, O_NONBLOCK);
        }
    }
    enum tw_code code = TW_OK;
    if (!opened)
        code = tw_err_set(err, TW_IO, "cannot make a pipe to a program: %s", strerror(errno));
    else if (input.size > 0)
        code = tw_file_write_all(channels->input, input.data, input.size, "a program's input", err);
    if (code != TW_OK)
        close_all(channels);
    else
        lseek(channels->input, 0, SEEK_SET);
    return code;
}

static enum tw_code start(const struct tw_command *command, struct channels *channels,
                          pid_t *ret_pid, struct tw_err *err)
{
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, channels->input, 0);
    posix_spawn_file_actions_adddup2(&files, channels->theirs[0], 1);
    posix_spawn_file_actions_adddup2(&files, channels->theirs[1], 2);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    enum tw_code code = spawn(command->words, command->variables, command->variable_count, &files,
                              POSIX_SPAWN_SETPGROUP, ret_pid, err);
    posix_spawn_file_actions_destroy(&files);
    close_end(&channels->theirs[0]);
    close_end(&channels->theirs[1]);
    return code;
}

/* All that is there now. */
static void take_output(int *fd, struct tw_buf *into)
{
    char bytes[READ_BYTES];
    ssize_t got;
    while ((got = read(*fd, bytes, sizeof bytes)) > 0) {
        size_t room = into ? into->size_max - into->size : 0;
        if (into)
            tw_buf_append(into, bytes, (size_t)got < room ? (size_t)got : room);
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
        close_end(fd);
}

/* Until the program has ended (true) or the moment has come. */
static bool attend(const struct tw_command *command, struct channels *channels, int process,
                   int64_t until_ns)
{
    struct tw_buf *const sinks[2] = {command->ret_output, command->ret_complaint};
    for (;;) {
        int64_t left_ns = until_ns - tw_clock_mono_ns(tw_clock_system());
        struct pollfd looks[3] = {{.fd = process, .events = POLLIN},
                                  {.fd = channels->outputs[0], .events = POLLIN},
                                  {.fd = channels->outputs[1], .events = POLLIN}};
        if (left_ns <= 0)
            return false;
        int64_t left_ms = left_ns / 1000000 + 1;
        if (poll(looks, 3, (int)(left_ms < 60000 ? left_ms : 60000)) <= 0)
            continue;
        for (int i = 0; i < 2; i++)
            if (channels->outputs[i] >= 0 && (looks[i + 1].revents || looks[0].revents))
                take_output(&channels->outputs[i], sinks[i]);
        if (looks[0].revents)
            return true;
    }
}

enum tw_code tw_command_run(const struct tw_command *command, int *ret_status, struct tw_err *err)
{
    TW_ASSERT(command->words[0] != NULL && command->timeout_ms > 0);
    struct channels channels;
    pid_t pid = 0;
    enum tw_code code = open_channels(&channels, command->input, err);
    if (code == TW_OK)
        code = start(command, &channels, &pid, err);
    if (code != TW_OK) {
        close_all(&channels);
        return code;
    }
    int process = pidfd_open(pid, 0);
    TW_ASSERT(process >= 0); /* it is our child and not reaped */
    int64_t until_ns = tw_clock_mono_ns(tw_clock_system()) + command->timeout_ms * 1000000;
    if (!attend(command, &channels, process, until_ns)) {
        code = tw_err_set(err, TW_TIMEOUT, "'%s' did not end within %lld ms", command->words[0],
                          (long long)command->timeout_ms);
        kill(-pid, SIGTERM);
        until_ns = tw_clock_mono_ns(tw_clock_system()) + INT64_C(1000000) * END_MS;
        if (!attend(command, &channels, process, until_ns))
            kill(-pid, SIGKILL);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    *ret_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    close(process);
    close_all(&channels);
    return code;
}
