/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/process.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/number.h"
#include "base/str.h"

static double read_cpu_seconds(void *user)
{
    (void)user;
    return (double)tw_clock_process_cpu_ns() / 1e9;
}

/* A "Name:  123 kB" or "Name: 123" line of /proc/self/status. */
static double read_status(void *user)
{
    const char *name = user;
    struct tw_buf text;
    double value = 0;
    tw_buf_init(&text, 65536);
    if (tw_file_read("/proc/self/status", &text, NULL) == TW_OK) {
        struct tw_str rest = tw_buf_str(&text), line;
        while (tw_str_split(&rest, '\n', &line)) {
            if (!tw_str_starts(line, tw_str(name)))
                continue;
            line = tw_str_trim(tw_str_slice(line, strlen(name), line.size));
            bool kilobytes = tw_str_ends(line, TW_STR(" kB"));
            line = tw_str_slice(line, 0, line.size - (kilobytes ? 3 : 0));
            if (tw_double_parse(line, &value) && kilobytes)
                value *= 1024;
            break;
        }
    }
    tw_buf_fini(&text);
    return value;
}

static double read_open_fds(void *user)
{
    (void)user;
    double count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count - 1; /* the one that reads the folder */
}

static double read_max_fds(void *user)
{
    struct rlimit limit;
    (void)user;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : 0;
}

void daemon_process_register(struct tw_metrics *metrics, struct tw_clock *clock)
{
    static char resident[] = "VmRSS:", anonymous[] = "RssAnon:", virtual[] = "VmSize:",
                threads[] = "Threads:";
    tw_metrics_callback(metrics, TW_METRIC_COUNTER, "process_cpu_seconds_total", "",
                        "CPU time used, user and system.", read_cpu_seconds, NULL);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "process_resident_memory_bytes", "",
                        "Memory in RAM, with libraries and mapped files.", read_status, resident);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "process_anonymous_memory_bytes", "",
                        "Memory in RAM that is no file's.", read_status, anonymous);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "process_virtual_memory_bytes", "",
                        "Address space.", read_status, virtual);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "process_threads", "", "Threads.", read_status,
                        threads);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "process_open_fds", "", "Open file descriptors.",
                        read_open_fds, NULL);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "process_max_fds", "",
                        "Most file descriptors that may be open.", read_max_fds, NULL);
    tw_metric_set(tw_metrics_gauge(metrics, "process_start_time_seconds", "",
                                   "When the process started, Unix time."),
                  (double)tw_clock_wall_ms(clock) / 1000);
    tw_metric_set(tw_metrics_gauge(metrics, "tidewatch_build_info", "version=\"" VERSION "\"",
                                   "Always 1; the version is in the label."),
                  1);
}
