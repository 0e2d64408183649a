"""Nothing of a run stays behind: processes are adopted, and ended by force."""

import ctypes
import os
import signal
import time

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Whatever our children leave behind becomes our child, not init's."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _parents():
    """{process: its parent}, of all that we can see."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="latin-1") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(entry)] = int(fields[1])
    return parents


def descendants(root: int):
    """The processes below root that are not yet zombies."""
    parents = _parents()
    below, found = {root}, set()
    while below:
        below = {child for child, parent in parents.items()
                 if parent in below and child not in found}
        found |= below
    return found


def kill_with_children(roots) -> None:
    """Ends these processes, and all below them."""
    parents = _parents()
    doomed, found = set(), set(roots)
    while found:
        doomed |= found
        found = {child for child, parent in parents.items()
                 if parent in found and child not in doomed}
    for process in doomed:
        try:
            os.kill(process, signal.SIGKILL)
        except OSError:
            pass


def kill_below(root: int, seconds: float = 5) -> None:
    """Ends all below root, however they fork: stopped first, then killed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        processes = descendants(root)
        if not processes:
            return
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in processes:
                try:
                    os.kill(process, number)
                except OSError:
                    pass
        time.sleep(0.01)
