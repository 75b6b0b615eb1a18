#include "main_privileges.h"

#include "diag.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void privileges_hide(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
}

void privileges_drop(struct diag *diag)
{
    const __u32 kept = 1u << CAP_SYS_ADMIN | 1u << CAP_DAC_READ_SEARCH;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct have[_LINUX_CAPABILITY_U32S_3] = {0};

    if (geteuid() != 0)
        return;
    if (syscall(SYS_capget, &head, have))
        goto out;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        __u32 keep = i == 0 ? kept : 0;
        have[i].effective &= keep;
        have[i].permitted &= keep;
        have[i].inheritable = 0;
    }
    if (!syscall(SYS_capset, &head, have) && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return;
out:
    diag_say(diag, DIAG_WARNING, "capabilities cannot be dropped: %s", strerror(errno));
}
