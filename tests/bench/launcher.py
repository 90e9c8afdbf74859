"""Starts one program and measures it: `python -I -S launcher.py FIGURES OPEN_FILES PROGRAM [ARGUMENT]…`.

A process of its own because Linux counts the parent's memory into the peak of a child that has not yet become its
program: a large parent would hide what a small program takes. So this one imports little.
"""

import json
import os
import resource
import sys
import time


def main(figures_path: str, open_files: str, *argv: str) -> int:
    """Write wall time, CPU time and peak RSS to `figures_path`; those of children that were waited for are in them."""
    limit = int(open_files)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    started = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, os.environ)
    _, status, usage = os.wait4(pid, 0)
    wall_s = time.perf_counter() - started
    figures = {
        "wall_s": wall_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "rss_bytes": usage.ru_maxrss * 1024,
    }
    with open(figures_path, "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib would double this process
        json.dump(figures, file)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) & 0xFF)
