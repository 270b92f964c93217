#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""contrib/systemd: systemd takes the units, finds them well locked up, and the system calls that the
programs need are not among those that it forbids them."""

import os
import re
import shutil
import subprocess

import lib

UNITS = os.path.join(lib.SOURCE, "contrib/systemd")
# Beside what every program needs; a call that is not let through ends the process.
NEEDED = {
    "tidewatchd": ["setpriority", "fdatasync", "fsync", "flock", "fcntl", "mremap", "madvise", "pwritev",
                   "pwrite64", "statfs", "fstatfs", "ioctl", "link", "renameat2", "rename", "ftruncate",
                   "epoll_wait", "accept4", "sendmsg", "sendfile", "rt_sigtimedwait", "timerfd_create",
                   "eventfd2", "getrandom", "sched_yield", "clock_nanosleep", "kill", "sysinfo"],
    "tidewatch-agent": ["fdatasync", "fsync", "flock", "recvmsg", "socket", "setsockopt", "getdents64",
                        "statfs", "epoll_wait", "rename", "getrandom"],
}


def run(*arguments):
    return subprocess.run(list(arguments), capture_output=True, text=True, timeout=60, check=False)


def syscalls(name):
    """Of a group, with the groups that it has."""
    found = set()
    for line in run("systemd-analyze", "syscall-filter", name).stdout.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= syscalls(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


def allowed(text):
    """What the unit's SystemCallFilter lines let through, in their order."""
    names = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", text, re.M):
        for word in line.lstrip("~").split():
            group = syscalls(word) if word.startswith("@") else {word}
            names = names - group if line.startswith("~") else names | group
    return names


def check(folder, name):
    with open(os.path.join(UNITS, name + ".service")) as file:
        text = file.read()
    path = os.path.join(folder, name + ".service")
    with open(path, "w") as file: # as it would be installed here
        file.write(text.replace("/usr/local/sbin/" + name, os.path.join(lib.BUILD, name)))
    verified = run("systemd-analyze", "verify", "--man=no", path)
    lib.check_equal(name + ": verify", (verified.returncode, verified.stdout, verified.stderr), (0, "", ""))
    security = run("systemd-analyze", "security", "--offline=true", path).stdout
    level = re.search(r"exposure level for \S+ ([\d.]+)", security)
    lib.check(name + ": exposure", level and float(level.group(1)) <= 2.5, security[-200:])
    if "syscall-filter" in run("systemd-analyze", "--help").stdout:
        missing = sorted(set(NEEDED[name]) - allowed(text))
        lib.check_equal(name + ": system calls that it needs and may not make", missing, [])


if not shutil.which("systemd-analyze"):
    lib.skip("systemd units", "needs systemd-analyze")
else:
    with lib.Run() as running:
        for unit in ("tidewatchd", "tidewatch-agent"):
            if os.access(os.path.join(lib.BUILD, unit), os.X_OK):
                check(running.folder, unit)
lib.done()
