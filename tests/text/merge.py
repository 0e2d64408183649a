"""Makes the change from one version of a file to the next in a third, too.

git refuses changes that stand side by side; a wrong program's mistake and the
text's change often do. Here each line is looked at by itself, and where both
changed the same line, each word. Before that, names, messages and comments that
have become others do so in the third, too. What is left is a conflict.
"""
from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Optional

WORD = re.compile(r"\w+|\s+|.")
NAME = re.compile(r'/\*.*?\*/|"(?:[^"\\]|\\.)*"|\w+|\s+|.')


class Change:
    """What became of each line (or word), and what was put between them."""

    def __init__(self, base: list[str], other: list[str]) -> None:
        self.instead = [[line] for line in base]
        self.before: list[list[str]] = [[] for _ in range(len(base) + 1)]
        self.closed: set[int] = set()  # gaps inside of what was replaced as one
        for tag, i, j, k, m in SequenceMatcher(
                None, base, other, autojunk=False).get_opcodes():
            if tag == "insert":
                self.before[i] = other[k:m]
            elif tag == "replace" and j - i == m - k:
                self.instead[i:j] = [[line] for line in other[k:m]]
            elif tag != "equal":
                self.instead[i:j] = [other[k:m]] + [[] for _ in range(i + 1, j)]
                self.closed |= set(range(i + 1, j))


def merged(base: list[str], one: list[str], other: list[str]) -> Optional[list[str]]:
    """Both changes made; None where they contradict each other."""
    ours, theirs, made = Change(base, one), Change(base, other), []
    for i in range(len(base) + 1):
        put, too = ours.before[i], theirs.before[i]
        if (put and too and put != too) or (put and i in theirs.closed) or (
                too and i in ours.closed):
            return None
        made += put or too
        if i == len(base):
            return made
        was, now, then = [base[i]], ours.instead[i], theirs.instead[i]
        if now == was or then == was or now == then:
            made += then if now == was else now
            continue
        words = None
        if len(now) == len(then) == 1 and len(WORD.findall(base[i])) > 1:
            words = merged(*(WORD.findall(lines[0]) for lines in (was, now, then)))
        if words is None:
            return None
        made.append("".join(words))
    return made


def renames(base: list[str], new: list[str]) -> dict[str, str]:
    """The names, messages and comments that are gone, and those in their places."""
    before, after = ({name for line in lines for name in NAME.findall(line)
                      if len(name) > 2} for lines in (base, new))
    found: dict[str, str] = {}
    for i, now in enumerate(Change(base, new).instead):
        if len(now) != 1 or now == [base[i]]:
            continue
        names = NAME.findall(base[i])
        for name, instead in zip(names, Change(names, NAME.findall(now[0])).instead):
            if name in before - after and instead and instead[0] in after - before:
                found.setdefault(name, instead[0])
    return found


def renamed(lines: list[str], names: dict[str, str]) -> list[str]:
    return ["".join(names.get(name, name) for name in NAME.findall(line))
            for line in lines]


def follow(base: list[str], wrong: list[str], new: list[str]) -> Optional[list[str]]:
    """The wrong program, with what the text changed."""
    names = renames(base, new)
    return merged(renamed(base, names), renamed(wrong, names), new)
