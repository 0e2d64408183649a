"""Which function or type each line of a C file belongs to."""
from __future__ import annotations

import re
from typing import Optional


def owners(lines: list[str]) -> list[Optional[str]]:
    """For each line, the function or type that it belongs to; a comment belongs to
    what follows it."""
    found: list[Optional[str]] = [None] * len(lines)
    start = 0
    i = 0
    while i < len(lines):
        line = lines[i]
        if not re.match(r"[A-Za-z_]", line):
            start = i + 1 if line == "" or line[0] == "#" else start
            i += 1
            continue
        end = i
        while end + 1 < len(lines) and not re.match(r"\S.*;$|}", lines[end]) and not (
                lines[end].endswith(";") and not re.search(
                    r"(?m)^{|{$", "\n".join(lines[i:end + 1]))):
            end += 1
        whole = "\n".join(lines[i:end + 1])
        name = re.search(r"(\w+)\(", whole.split("{")[0])
        name = name or re.search(r"} (\w+);$", whole)
        name = name or re.search(r"(?:struct|enum|union) (\w+)", whole)
        for at in range(start, end + 1):
            found[at] = name[1] if name else None
        start = i = end + 1
    return found


def with_those_of(other: list[str], lines: list[str]) -> list[str]:
    """The lines, in which what another program has, too, is as it is there: its
    functions but main, its types, its constants."""
    there = {name: [line for line, owner in zip(other, owners(other)) if owner == name]
             for name in owners(other)}
    there |= {line.split()[1]: [line] for line in other if line.startswith("#define")}
    made, last = [], None
    for line, name in zip(lines, owners(lines)):
        name = line.split()[1] if line.startswith("#define") else name
        if name in (None, "main") or name not in there:
            made.append(line)
        elif name != last:
            made += there[name]
        last = name
    return made
