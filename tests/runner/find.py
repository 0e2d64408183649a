"""Which step is a folder at? The one whose names it uses."""

import re
from pathlib import Path

from . import course

KEYWORDS = {"if", "while", "for", "switch", "return", "sizeof"}


def bare(text: str) -> str:
    """C without its comments."""
    return re.sub(r'("(?:\\.|[^"\\\n])*")|//[^\n]*|/\*.*?\*/',
                  lambda match: match[1] or " ", text, flags=re.DOTALL)


def names(folder: Path):
    """What a program calls or declares, but for what is private to it."""
    called, declared, private = set(), set(), set()
    for path in sorted(folder.glob("*.[ch]")):
        text = bare(path.read_text(encoding="utf-8", errors="replace"))
        if '"GET /sleep' in text or '"/sleep' in text:
            called.add("/sleep")
        text = re.sub(r'"(\\.|[^"\\\n])*"', '""', text)
        found = set(re.findall(r"\b([A-Za-z_]\w*)\s*\(", text)) - KEYWORDS
        called |= found
        if path.suffix == ".h":
            declared |= found | {path.name}
        private |= set(re.findall(r"^\w[\w *]*?\b(\w+)\s*\([^;{]*\)\s*\{", text,
                                  re.MULTILINE))
    return (called - private) | declared


def steps_of(folder: Path):
    """The step whose names differ least from the folder's; two if none does."""
    for step in course.STEPS.values():
        if step.folder == folder.resolve():
            return [step]
    known = {number: names(step.folder) for number, step in course.STEPS.items()}
    telling = set.union(*known.values()) - set.intersection(*known.values())
    mine = names(folder) & telling
    distance = {number: len(mine ^ (theirs & telling))
                for number, theirs in known.items()}
    least = min(distance.values())
    return [course.STEPS[number] for number in sorted(distance)
            if distance[number] == least][:2]


def told(folder: Path, steps) -> str:
    words = " or ".join(str(int(step.number)) for step in steps)
    both = ": both are tested" if len(steps) > 1 else ""
    return f"{course.shown(folder)} is at step {words}{both}."
