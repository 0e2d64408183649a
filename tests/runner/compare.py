#!/usr/bin/env python3
"""Shows where a program differs from the text, function by function.

    tests/runner/compare.py FOLDER [LISTING]

Layout and comments do not count. Without a listing it is the nearest one. From
the environment, and so from make's command line: SRC, LISTING.
"""

import difflib
import os
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path[0] = str(Path(__file__).resolve().parents[1])
sys.path.append(sys.path[0] + "/text")

from model import Text, content  # noqa: E402
from runner import course  # noqa: E402
from runner.find import bare  # noqa: E402

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|\w+|[-+&|=<>!]{2,3}|\S')
OUTSIDE = "(outside of functions)"


def pieces(files):
    """{function: its tokens} of a program; the rest under OUTSIDE."""
    found = {OUTSIDE: []}
    for name in sorted(files):
        if not name.endswith((".c", ".h")):
            continue
        text = bare(re.sub(r"\\\n", " ", files[name]))
        directives = re.findall(r"^[ \t]*#.*", text, re.MULTILINE)
        found[OUTSIDE] += sorted(" ".join(line.split()) for line in directives)
        tokens = TOKEN.findall(re.sub(r"^[ \t]*#.*", "", text, flags=re.MULTILINE))
        part, depth = [], 0
        for token in tokens:
            part.append(token)
            depth += (token == "{") - (token == "}")
            if depth == 0 and token in ";}":
                if token == "}" and not _is_function(part):
                    continue  # a struct goes on to its `;`
                key = _name(part) if token == "}" else OUTSIDE
                found.setdefault(key, []).extend(_lines(part))
                part = []
    return found


def _is_function(part) -> bool:
    before = part[:part.index("{")] if "{" in part else part
    return ")" in before and "=" not in before


def _name(part) -> str:
    """The name before the first parenthesis."""
    return part[part.index("(") - 1] if "(" in part else OUTSIDE


def _lines(part):
    """Tokens as lines of code: one for each statement."""
    lines, line, depth, round_ = [], [], 0, 0
    for token in part:
        if token == "}":
            depth -= 1
        line.append(token)
        round_ += (token == "(") - (token == ")")
        if token in "{};" and round_ == 0:
            lines.append("    " * depth + _spaced(line))
            line = []
        if token == "{":
            depth += 1
    if line:
        lines.append("    " * depth + _spaced(line))
    return lines


def _spaced(tokens) -> str:
    text = " ".join(tokens)
    text = re.sub(r" ([;,)\]])", r"\1", text)
    text = re.sub(r"([(\[!&*]) ", r"\1", text)
    text = re.sub(r" ?(->|\.|\+\+|--) ?", r"\1", text)
    return re.sub(r"(\w) ([(\[])", r"\1\2", text)


def distance(mine, theirs) -> int:
    """How many lines differ."""
    count = 0
    for key in mine.keys() | theirs.keys():
        for line in difflib.ndiff(mine.get(key, []), theirs.get(key, [])):
            count += line[0] in "+-"
    return count


def nearest(mine, listings):
    """The listing that differs least: by its lines first, then in full."""
    every = {line for lines in mine.values() for line in lines}

    def rough(key):
        theirs = {line for lines in listings[key].values() for line in lines}
        return len(every ^ theirs)

    best = sorted(listings, key=rough)[:5]
    return min(best, key=lambda key: distance(mine, listings[key]))


def show(mine, theirs) -> int:
    """Prints what differs; returns in how many functions."""
    same = differing = 0
    for key in [*theirs, *(key for key in mine if key not in theirs)]:
        if mine.get(key) == theirs.get(key):
            same += 1
        elif key not in mine:
            print(f"\n{key}: only in the text")
        elif key not in theirs:
            print(f"\n{key}: only in your program")
        else:
            print(f"\n{key}: - your line, + the text's")
            for line in difflib.unified_diff(mine[key], theirs[key], n=1,
                                             lineterm=""):
                if not line.startswith(("---", "+++")):
                    print("    " + ("..." if line.startswith("@@") else line))
        differing += mine.get(key) != theirs.get(key)
    print(f"\n{same} functions are the same, {differing} differ.")
    return differing


def main(words) -> int:
    source = (words + [""])[0] or os.environ.get("SRC", "")
    wanted = words[1] if len(words) > 1 else os.environ.get("LISTING", "")
    if not source:
        print("Which folder? make compare SRC=~/hello LISTING=7-2")
        return 2
    here = os.environ.get("PWD") or os.getcwd()
    folder = Path(os.path.normpath(os.path.join(here, os.path.expanduser(source))))
    if not list(folder.glob("*.c")):
        print(f"There is no C file in {course.shown(folder)}.")
        return 2
    mine = pieces({path.name: path.read_text(encoding="utf-8", errors="replace")
                   for path in folder.glob("*.[ch]")})
    text = Text(course.ROOT / "TUTORIAL.md", course.ROOT, compare=False)
    listings = {key: pieces({name: content(file) for name, file in
                             listing.after.items() if "/" not in name})
                for key, listing in text.listings.items()
                if not wanted or key == wanted}
    if not listings:
        print(f"There is no listing {wanted}. There are:", *text.listings)
        return 2
    key = wanted or nearest(mine, listings)
    print(f"{course.shown(folder)} and {course.place('Listing ' + key)}"
          + ("" if wanted else ", the nearest one") + ":")
    show(mine, listings[key])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
