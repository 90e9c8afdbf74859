"""What a disk's refusal means for the person who owns it."""

import errno

_HINTS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or raise the quota",
    errno.EIO: "check the disk",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f)",
    errno.EROFS: "mount it for writing",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit on open files",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
}

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
OF_A_NAME = frozenset(
    {errno.ENAMETOOLONG, errno.EILSEQ, errno.EISDIR}
)  # another object would be taken


def explain(error: OSError) -> str:
    """What happened and what to do about it."""
    hint = _HINTS.get(error.errno or 0, "check the folder and its permissions")
    return f"{error.strerror or error}: {hint}"
