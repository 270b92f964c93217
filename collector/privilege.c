/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum tw_code agent_privilege_drop(const char *folder, struct tw_err *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct kept[_LINUX_CAPABILITY_U32S_3];
    struct stat status;
    memset(kept, 0, sizeof kept);
    if (geteuid() == 0 && stat(folder, &status) == 0 && status.st_uid != 0)
        kept[0].effective = kept[0].permitted = 1u << CAP_DAC_OVERRIDE;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return tw_err_errno(err, errno, "prctl(PR_SET_NO_NEW_PRIVS)");
    /* Kernels before 4.3 have no ambient capabilities: nothing to clear there. */
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
        return tw_err_errno(err, errno, "prctl(PR_CAP_AMBIENT_CLEAR_ALL)");
    if (syscall(SYS_capset, &head, kept) != 0)
        return tw_err_errno(err, errno, "capset");
    return TW_OK;
}
