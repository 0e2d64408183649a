"""Lines that a terminal shows, and when two of them are the same."""
from __future__ import annotations

import difflib
import math
import re

# What differs from one machine, or one run, to the next.
PATTERNS = [(re.compile(pattern), text) for pattern, text in (
    (r"\033\[[0-9;]*[mK]", ""),  # colours, and curl's bold headers
    (r"[‘’]", "'"),  # gcc's quotes
    (r"\s+$", ""),
    (r"^.*undefined reference to", "undefined reference to"),
    (r"[^ ]*/hello/", ""),  # the reader's folder
    (r" \([^ ()]*\+0x[0-9a-f]+\)( \(BuildId: [0-9a-f]+\))?", ""),
    (r"0x[0-9a-f]+", "0x"),
    (r"\d+\.\d\d\d+", lambda match: f"{math.floor(float(match[0]) + 0.5)}.s"),
    (r"([pt]id)=\d+", "pid="),
    (r"==\d+==", "==pid=="),
    (r"Worker \d+ got", "Worker N got"),  # any may
    (r"thread T\d+", "thread T"),
    (r"Thread T\d+", "Thread T"),
    (r"curl/[\d.]+", "curl/"),
    (r"[Dd]ate: .*", "Date:"),
    (r"\d\d:\d\d:\d\d", "time"),
    (r"127\.0\.0\.1:[1-9]\d\d\d\d", "127.0.0.1:ephemeral"),
    (r" \(core dumped\)", ""),
)]
DIAGNOSIS = re.compile(r"[^ :]+:\d+:(\d+:)? (fatal )?(error|warning): "
                       r"|.*undefined reference to")
# What a compiler prints around its errors changes from version to version.
DECORATION = re.compile(
    r" +\d* *\||.*: note: |[^ :]+: (In function|At top level)|In file included"
    r"| +from |compilation termin|collect2: |.*: in function `|cc1: ")


def is_gap(line: str) -> bool:
    return line in ("…", "...")


def is_diagnosis(line: str) -> bool:
    return DIAGNOSIS.match(line) is not None


def without_decoration(lines: list[str]) -> tuple[list[str], list[int]]:
    """The lines that count beside a diagnosis, and their indices."""
    kept = [i for i, line in enumerate(lines)
            if is_diagnosis(line) or not DECORATION.match(line)]
    return [lines[i] for i in kept], kept


def match(expected: list[str], got: list[str], prefix: bool = False
          ) -> tuple[bool, int, int]:
    """Do the expected lines, where a gap stands for any number of lines, match all
    of got, or its first lines? Also how many of got they take, and the index of
    the first that found nothing. It is enough to try the lines after the last gap
    at each later place."""
    i = j = furthest = 0
    after_gap = place = -1
    while True:
        furthest = max(furthest, i)
        if i == len(expected) and (prefix or j == len(got) or after_gap == i):
            return True, j, furthest
        if i < len(expected) and is_gap(expected[i]):
            i += 1
            after_gap, place = i, j
        elif i < len(expected) and j < len(got) and expected[i] == got[j]:
            i, j = i + 1, j + 1
        elif after_gap >= 0 and place < len(got):
            place += 1
            i, j = after_gap, place
        else:
            return False, 0, furthest


def any_order(expected: list[str], got: list[str], prefix: bool = False
              ) -> tuple[bool, int, int]:
    """The same for lines in any order: each is somewhere in got."""
    left = dict(enumerate(got))
    used = 0
    for i, line in enumerate(expected):
        if is_gap(line):
            continue
        at = next((at for at, other in left.items() if other == line), None)
        if at is None:
            return False, 0, i
        del left[at]
        used = max(used, at + 1)
    whole = any(map(is_gap, expected)) or not any(at < used for at in left)
    return whole, used, len(expected)


class Transcript:
    """Lines as they came, at a port of their own."""

    def __init__(self, port: str) -> None:
        self.port = re.compile(rf"\b{port}\b")

    def split(self, output: str) -> list[str]:
        return output.split("\n")[:-1] if output.endswith("\n") else \
            output.split("\n") if output else []

    def normal(self, line: str) -> str:
        """The line without what may differ."""
        for pattern, text in PATTERNS:
            line = pattern.sub(text, line)
        return self.port.sub("7878", line)

    def timeless(self, lines: list[str]) -> list[str]:
        """Lines whose seconds do not count, either."""
        return [re.sub(r"\d+\.s", ".s", line) for line in lines]

    def plain(self, line: str) -> str:
        """The line as the text would show it."""
        line = PATTERNS[0][0].sub("", line)
        line = re.sub(r"[^ ]*/hello/", "", line).rstrip()
        return self.port.sub("7878", line)


def unlikeness(line: str, other: str) -> float:
    """From 0 for the same to 1.4: then they have nothing to do with each other."""
    if line == other:
        return 0.0
    matcher = difflib.SequenceMatcher(None, line, other, autojunk=False)
    if matcher.quick_ratio() < 0.6:
        return 1.4
    ratio = matcher.ratio()
    return 1.8 * (1 - ratio) if ratio > 0.6 else 1.4


def rewritten(expected: list[str], got: list[str], transcript: Transcript,
              in_order: bool = True, gap_before: bool = False) -> list[str]:
    """The expected lines, changed as little as they can be to fit what came. A
    gap goes on standing for what it stands for."""
    wanted = [transcript.normal(line) for line in expected]
    came = [transcript.normal(line) for line in got]
    plain = [transcript.plain(line) for line in got]
    if not in_order:
        left = list(came)
        kept = []
        for line, normal in zip(expected, wanted):
            if is_gap(line) or normal in left:
                kept.append(line)
                if normal in left:
                    left.remove(normal)
        if any(map(is_gap, expected)):
            return kept
        return kept + [plain[came.index(line)] for line in left]
    # beside a diagnosis, what decorates it need not be shown
    hide = any(map(is_diagnosis, wanted))
    frame = [hide and DECORATION.match(line) and not is_diagnosis(line)
             for line in came]
    # cost[i][j]: of making expected[i:] fit got[j:]; each with its first move
    gap = [is_gap(line) for line in wanted]
    size, length = len(wanted), len(came)
    cost = [[(0.0, "")] * (length + 1) for _ in range(size + 1)]
    for i in range(size, -1, -1):
        for j in range(length, -1, -1):
            moves = []
            if i < size:
                keep = 0.0 if gap[i] else 1.0
                moves.append((cost[i + 1][j][0] + keep, "drop"))
                if j < length and gap[i]:
                    moves.append((cost[i][j + 1][0], "cover"))
                elif j < length:
                    price = unlikeness(wanted[i], came[j])
                    moves.append((cost[i + 1][j + 1][0] + price, "take"))
            if j < length:
                free = gap_before and i == 0 or frame[j]
                moves.append((cost[i][j + 1][0] + (0.0 if free else 1.1),
                              "cover" if free else "add"))
            if moves:
                cost[i][j] = min(moves, key=lambda move: move[0])
    made, i, j = [], 0, 0
    while i < size or j < length:
        move = cost[i][j][1]
        if move == "add":
            made.append(plain[j])
        elif move == "take":
            made.append(expected[i] if wanted[i] == came[j] else plain[j])
        elif move == "drop" and gap[i]:
            made.append(expected[i])
        i += move in ("take", "drop")
        j += move in ("take", "add", "cover")
    return made
