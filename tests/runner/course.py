"""Where things are: the steps, the tests' sources, the headings of the text."""

import os
import re
import shlex
from pathlib import Path

from support.steps import Unknown, find, steps

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
PAGES = ("hello.html", "404.html")


STEPS = {step.number: step for step in steps() if step.number}


def step_named(text: str):
    """The step that a reader calls 7, 07 or execute; or None."""
    try:
        step = find(text)
    except Unknown:
        return None
    return step if step.number else None


def title(step) -> str:
    """How the text heads it."""
    return f"Step {int(step.number)}"


def first_with(header: str):
    """The step that brings a header."""
    return next(step for step in STEPS.values() if header in step.headers)


def suites(step):
    """The tests' sources: those that call queue and pool, which rests on it; those
    of the server."""
    units = [TESTS / "steps" / f"{header.split('_')[1]}.c"
             for header in ("job_queue", "thread_pool")
             if f"{header}.h" in step.headers]
    if step.can["bounded"]:
        units.append(TESTS / "steps" / "bounds.c")
    if "http.h" in step.headers:
        units.append(TESTS / "steps" / "parser.c")
    names = ["start"] + ["answers"] * step.can["answers"] + [step.name]
    if step.can["keeps_alive"]:
        names.append("connection")
    if step.can["ends_on_signal"]:
        names.append("until-ctrl-c")
    if step.can["workers_serve"] and not step.can["ends_after_two"]:
        names.append("execute")
    names = list(dict.fromkeys([*names, "hostile"]))  # a step's own come first
    servers = [TESTS / "steps" / f"{name}.c" for name in names]
    for path in (*units, *servers):
        if not path.exists():
            raise Unknown(f"{path.relative_to(ROOT)} is missing: it tests what only "
                          f"step {step.number} shows")
    return units, servers


def headings():
    """(line, text) of each heading and listing of TUTORIAL.md."""
    found, fence = [], False
    text = (ROOT / "TUTORIAL.md").read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fence = not fence
        match = None if fence else re.match(
            r"#+ (.*)|\*\*((?:Listing|Solution) \d+-\d+):", line)
        if match:
            found.append((number, (match[1] or match[2]).strip()))
    return found


def place(heading: str, step=None) -> str:
    """TUTORIAL.md:2490 “One at a time”, for a heading, a listing or a step; of
    several, `this | that`, the first that a reader of the step has come to."""
    known, end = headings(), None
    if step:
        end = next((number for number, text in known if text.startswith(
            f"Step {int(step.number) + 1}:")), None)
    found = f"TUTORIAL.md, “{heading}”"
    for name in [each.strip().strip("“”") for each in heading.split("|")]:
        for number, text in known:
            if text == name or text.startswith(name + ":"):
                found = f"TUTORIAL.md:{number} “{text}”"
                if not end or number < end:
                    return found
                break
    return found


def shown(path: Path) -> str:
    """A path as a reader would type it, quoted for the shell."""
    home = os.path.expanduser("~")
    text = str(path)
    if home != "/" and text.startswith(home + "/"):
        return "~/" + shlex.quote(text[len(home) + 1:])
    return shlex.quote(text)


def command(goal: str, **variables: str) -> str:
    """A make command that works where the reader is."""
    here = os.environ.get("PWD") or os.getcwd()
    there = "" if os.path.realpath(here) == str(ROOT) else f" -C {shown(ROOT)}"
    words = [f"{name}={value if name == 'SRC' else shlex.quote(value)}"
             for name, value in variables.items() if value]
    return " ".join([f"make{there} {goal}"] + words)
