"""What can go wrong with a machine, and what to do next."""

from __future__ import annotations

import errno

NEXT_STEPS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.EROFS: "name another place, this one is read-only",
    errno.EIO: "the device below has failed: see the system's log, or name another place",
    errno.ENAMETOOLONG: "a shorter name",
    errno.ELOOP: "symbolic links that lead in a circle: name another place",
    errno.ENOTDIR: "a part of the path is a file: name another place",
    errno.EISDIR: "it is a folder: name a file",
    errno.ENOENT: "is it there, and is the folder it is in?",
    errno.ENOTEMPTY: "another process is at it: try again",
    errno.ESTALE: "the network file system has lost it: try again",
    errno.ENOLCK: "the file system has no locks: name another place",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "the system has too many open files",
    errno.ENOMEM: "free some memory, or raise the limit",
    errno.EAGAIN: "raise the limit of processes (ulimit -u)",
}
"""What can go wrong with a machine, and the next step. Any other error of the system is an error of ours."""
