#!/usr/bin/env python3
"""Starts the failing case under gdb, stopped at the right place.

    make debug SRC=~/hello TEST=execute/root_during_three_sleeps…

First the test is run as always, for what it says, and where; then once more under
the debugger, with all the time in the world. Where nobody can type, gdb prints
where each thread is, and ends.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path[0] = str(Path(__file__).resolve().parents[1])

from runner import build, cases, find, main, report, tree  # noqa: E402

HOW = """
gdb: `bt` shows where this thread is, `thread apply all bt` where all are; `next`
goes on by a line, `step` into a function, `print x`, `continue`, `quit`.
If it hangs: Ctrl-C stops it, wherever it is.
"""


def commands(record):
    """What gdb does by itself: follow the program, stop where it fails."""
    lines = ["set pagination off", "set follow-fork-mode child",
             "set detach-on-fork on", "set breakpoint pending on",
             "set print thread-events off", "set debuginfod enabled off",
             "set print inferior-events off",
             "handle SIGPIPE SIGSTOP SIGCONT nostop noprint pass"]
    if record and record.source:
        lines.append(f"break {record.source.split(',')[0].strip()}")
    return lines + ["run"]


def debug(settings, test: str) -> int:
    """Runs the test, then again under gdb."""
    step = settings.step or find.steps_of(settings.folder)[0]
    obstacle = build.look_at(settings.folder, step)
    if obstacle:
        print(obstacle)
        return 2
    program = build.compile_folder(settings.folder)
    suite = None if program.failures else cases.Suite(step, program)
    failures = program.failures or suite.failures
    if failures:
        print(report.block(1, failures[0], [], 0))
        return 1
    chosen = [case for case in suite.cases if case.criterion and (
        case.name == test or case.name.split("/")[1] == test)]
    if not chosen:
        print(f"There is no test {test} in step {int(step.number)}. There are:")
        print("\n".join(f"  {case.name}" for case in suite.cases if case.criterion))
        return 2
    case = chosen[0]
    with main.Scratch() as scratch:
        runner = cases.Runner(suite, scratch, settings.patience)
        records = runner.run(case).records
        print(report.block(1, records[0], [], 0) if records
              else f"{case.name} passes.")
        batch = not sys.stdin.isatty()
        if not batch:
            print(HOW)
        environment = {**runner.environment_of(case, scratch / "debug"),
                       "PATIENCE": settings.patience if batch else "36000"}
        environment.pop("DEBUGINFOD_URLS", None)
        words = [word for line in commands(records[0] if records else None)
                 for word in ("-ex", line)]
        if batch:
            words += ["-ex", "thread apply all bt", "-batch"]
        # Ctrl-C is gdb's.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gdb = subprocess.Popen(
            ["gdb", "-q", *words, "--args", *map(str, case.command),
             f"--filter={case.name}", "-j1"], cwd=scratch / "debug" / "tmp",
            env=environment,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        status = gdb.wait()
        time.sleep(0.05)
        cases.remove_socket(gdb.pid)
    return status


if __name__ == "__main__":
    wanted = os.environ.get("TEST", "")
    if not wanted:
        sys.exit("Which test? make debug SRC=~/hello TEST=suite/test, as a failing "
                 "run says it")
    tree.adopt_orphans()
    sys.exit(debug(main.Settings([os.environ["STEP"]] if os.environ.get("STEP")
                                 else []), wanted))
