#!/usr/bin/env python3
"""The steps, and what each can: the folders of steps/, the table tests/abilities.

    steps.py                     the steps, a line each: number and name
    steps.py STEP                all that the step can, as words: answers=1 …
    steps.py STEP ABILITY        one of them: 1, 0, or a number
    steps.py --environment STEP  what the tests of that step find around them
    steps.py --macros STEP       the same for what is compiled for that step
    steps.py --headers STEP      the headers that a folder must have
    steps.py --since HEADER      the number of the first step that has it

A step is called as its user calls it: 7, 07, execute or 07-execute; final, too.
"""
import pathlib
import shlex
import sys
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = ROOT / "tests" / "abilities"


class Unknown(SystemExit):
    """A step, an ability or a row that is not there; says so to the user, in a
    line, and ends the program where nobody knows better."""


@dataclass
class Step:
    """A step: `number` is 07 (empty for final), `can` all that it can."""
    number: str
    name: str
    folder: pathlib.Path
    can: dict[str, int]
    headers: list[str]


def table() -> dict[str, tuple[dict[str, int], list[str]]]:
    """The rows of the table by the step's name: what it can, and its headers."""
    lines = TABLE.read_text().splitlines()
    columns = [line for line in lines if line.startswith("# step ")][0].split()[2:-1]
    rows = {}
    for line in lines:
        if not line or line.startswith("#"):
            continue
        name, *values = line.split()
        known = {"yes": 1, "no": 0}
        if len(values) < len(columns):
            raise Unknown(f"tests/abilities: the row of {name} is too short")
        rows[name] = (
            {column: known[value] if value in known else int(value)
             for column, value in zip(columns, values)},
            values[len(columns):])
    every = sorted({header for _, headers in rows.values() for header in headers})
    for can, headers in rows.values():
        can.update({"has_" + header.removesuffix(".h"): int(header in headers)
                    for header in every})
    return rows


def steps() -> list[Step]:
    """All steps in their order, then final."""
    rows = table()
    found = []
    for folder in [*sorted((ROOT / "steps").glob("??-*")), ROOT / "final"]:
        number, dash, name = folder.name.partition("-")
        if not dash:  # final has no number
            number, name = "", folder.name
        if name not in rows:
            raise Unknown(f"tests/abilities has no row for {name}: copy that of the"
                          " step before, and say what is new")
        found.append(Step(number, name, folder, *rows.pop(name)))
    if rows:
        raise Unknown(f"tests/abilities has a row for {', '.join(rows)}, which is no"
                      " step: remove it, or write the step's part of the text, and"
                      " run make update")
    return found


def find(word: str) -> Step:
    """The step that a user means."""
    every = steps()
    for step in every:
        if word and word in (step.number, step.number.lstrip("0"), step.name,
                             step.folder.name):
            return step
    last = [step.number for step in every if step.number][-1]
    raise Unknown(f"There is no step {word}: name one of 01 to {last}, or final")


def environment(step: Step) -> dict[str, str]:
    """What the tests of a step ask: see support/step.h."""
    return {
        "STEP": step.name,
        "STEPS": " ".join(each.folder.name for each in steps() if each.number),
        "ABILITIES": " ".join(f"{key}={value}" for key, value in step.can.items()),
    }


def macros(step: Step) -> list[str]:
    """The abilities for the preprocessor: #if STEP_CLOSES."""
    return [f"-DSTEP_{key.upper()}={value}" for key, value in step.can.items()]


def main(words: list[str]) -> None:
    if not words:
        for step in steps():
            print(step.number, step.name)
    elif words[0] == "--environment":
        for key, value in environment(find(words[1])).items():
            print(f"{key}={shlex.quote(value)}")
    elif words[0] == "--macros":
        print(*macros(find(words[1])))
    elif words[0] == "--headers":
        print(*find(words[1]).headers)
    elif words[0] == "--since":
        print([step.number for step in steps() if words[1] in step.headers][0])
    elif len(words) == 1:
        print(*(f"{key}={value}" for key, value in find(words[0]).can.items()))
    elif words[1] not in find(words[0]).can:
        raise Unknown(f"tests/abilities has no column {words[1]}")
    else:
        print(find(words[0]).can[words[1]])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Unknown as unknown:
        print(unknown, file=sys.stderr)
        sys.exit(2)
