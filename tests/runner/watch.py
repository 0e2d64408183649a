#!/usr/bin/env python3
"""Runs the tests at each save, and shows one screen.

    make watch SRC=~/hello

The step that the folder is at, the first thing to mend, how far it is. A save
while the tests run starts them again. Ctrl-C ends it.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path[0] = str(Path(__file__).resolve().parents[1])

from runner import course, main  # noqa: E402


def saved(folder: Path):
    """What changes when a file of the program is saved."""
    return sorted((path.name, path.stat().st_mtime_ns)
                  for pattern in ("*.c", "*.h") for path in folder.glob(pattern))


def bar(passed: int, checks: int, width: int = 40) -> str:
    full = width * passed // checks if checks else 0
    return f"[{'#' * full}{'.' * (width - full)}] {passed} of {checks}"


def screen(settings, said: str, result: Path) -> str:
    """All that is shown after a run."""
    lines = [f"{course.shown(settings.folder)}, saved "
             f"{time.strftime('%H:%M:%S')}", "", said.rstrip(), ""]
    if result.exists():
        came = json.loads(result.read_text(encoding="utf-8"))
        if came["checks"]:
            lines.append(bar(came["passed"], came["checks"]))
    lines.append("Waiting for the next save; Ctrl-C ends.")
    return "\n".join(lines)


def run_once(settings, arguments, seen, result: Path):
    """Runs the tests; None if a file was saved meanwhile."""
    result.unlink(missing_ok=True)
    process = subprocess.Popen(
        [course.TESTS / "run", *arguments],
        env={**os.environ, "RESULT": str(result), "MESSAGES": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    os.set_blocking(process.stdout.fileno(), False)
    said = b""
    while True:
        said += process.stdout.read() or b""
        if process.poll() is not None:
            return (said + (process.stdout.read() or b"")).decode("utf-8", "replace")
        if saved(settings.folder) != seen:
            process.send_signal(signal.SIGTERM)
            process.wait()
            return None
        time.sleep(0.1)


def watch(settings, arguments) -> None:
    """Until Ctrl-C: runs, shows, waits for a save."""
    clear = "\x1b[2J\x1b[H" if sys.stdout.isatty() else ""
    with tempfile.TemporaryDirectory(prefix="hello-watch-") as folder:
        result = Path(folder) / "result"
        while True:
            seen = saved(settings.folder)
            print(f"{clear}{course.shown(settings.folder)}: testing ...", flush=True)
            said = run_once(settings, arguments, seen, result)
            if said is not None:
                print(clear + screen(settings, said, result), flush=True)
            while saved(settings.folder) == seen:
                time.sleep(0.2)


if __name__ == "__main__":
    words = [os.environ["STEP"]] if os.environ.get("STEP") else []
    try:
        watch(main.Settings(words), words)
    except KeyboardInterrupt:
        print()
