"""How long a step takes, by a formula that the text states.

A minute for every 150 words, for every five lines to type, and for every block
of commands, in tens; and ten minutes for each exercise. The answers of the quiz
count, solutions and notes do not.
"""
from __future__ import annotations

import re

LINE = re.compile(r"\*\*Time:\*\* (.*?) minutes, and (.*?) for the exercises")


def of_step(lines: list[str]) -> tuple[int, int]:
    """The minutes of a step's lines, and those of its exercises."""
    words = typed = blocks = exercises = 0
    fence = None
    reading = True
    for line in lines:
        if line.startswith("```"):
            fence = None if fence is not None else line[3:]
            blocks += reading and bool(fence) and fence.startswith("console")
        elif fence is None:
            reading = reading and line != "#### Exercises"
            exercises += bool(re.match(r"\*\*\d+-\d+\.\*\*", line))
            if reading and not line.startswith("[^"):
                words += len(line.split())
        elif reading and fence.startswith("diff"):
            typed += line.startswith("+")
        elif reading and not fence.startswith(("console", "text")):
            typed += 1
    minutes = words / 150 + typed / 5 + blocks
    return max(10, round(minutes / 10) * 10), 10 * exercises


def with_minutes(text: str) -> str:
    """The text, with the minutes that it should say."""
    parts = re.split(r"(?m)^(?=## )", text)
    for i, part in enumerate(parts):
        if part.startswith("## Step "):
            minutes, exercises = of_step(part.split("\n"))
            parts[i] = LINE.sub(f"**Time:** {minutes} minutes, and {exercises} "
                                "for the exercises", part, count=1)
    return "".join(parts)
