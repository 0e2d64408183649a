#!/usr/bin/env python3
"""Tells what the watched threads of a reader's program did: see watch.h.

    tell.py [--hints] FOLDER   what was found, as records: files in REPORT, or
                               on stderr; status 1 if there is any
    tell.py --picture FILE     each thread of a process, and what it waits for

FOLDER is what WATCH was when the program ran, FILE one of the files in it: its
name is the process id. In Python: COMPILE_READER, COMPILE, LINK and SOURCES for
the build, environment(step), findings(folder), picture(file).
"""
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

HERE = Path(__file__).resolve().parent

# The reader's files need these beside their own flags: lines and frames.
COMPILE_READER = ["-g", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls"]
# Ours are compiled so, and never with a sanitizer.
COMPILE = ["-std=gnu17", "-O2", "-g", "-fno-omit-frame-pointer", "-pthread"]
SOURCES = [HERE / "watch.c", HERE / "calls.c"]
HEADERS = [HERE / "watch.h", HERE / "table.h"]
LINK = [f"-Wl,--wrap={name}" for name in (HERE / "wraps").read_text().split()]

# table.h
MAGIC = 0x3168637461774843
HEADER = ("magic pid base created ended joined waits signals accepted on_the_stack "
          "numbered shown listening ending stay missed used_threads "
          "said_length").split()
THREAD = ("state flags number id id_at function arg created joined waits object "
          "with line since held shown").split()
OBJECT = ("address kind state owner depth locked unlocked frame back gone waiters "
          "mutex").split()
THREADS, OBJECTS, PROGRAM = 1024, 2048, 512
NOTHING, A_MUTEX, A_CONDITION, A_THREAD, A_SEMAPHORE, A_CALL = range(6)
LIVES = 2
DETACHED, JOINED, OF_THE_TEST, MAIN, OF_A_CONNECTION = 1, 2, 4, 8, 32

# Where the tests' own code is: its lines mean nothing to a reader. (Beside it, in
# mistakes.c, stand the wrong programs that watch/test tries.)
OURS = (*(str(HERE.parent / name) + os.sep
          for name in ("steps", "support", "explore")),
        str(HERE / "watch."), str(HERE / "calls."))

ALIKE = 8  # threads that do the same are shown

CALLS = {
    "accept": "waits for a connection, in accept",
    "accept4": "waits for a connection, in accept4",
    "read": "waits for its client to send something, in read",
    "recv": "waits for its client to send something, in recv",
    "fgets": "waits for its client to send something, in fgets",
    "getline": "waits for its client to send something, in getline",
    "write": "waits for its client to take what it writes, in write",
    "send": "waits for its client to take what it sends, in send",
    "sendmsg": "waits for its client to take what it sends, in sendmsg",
    "writev": "waits for its client to take what it writes, in writev",
    "dprintf": "waits for its client to take what it writes, in dprintf",
    "sleep": "sleeps, in sleep",
    "usleep": "sleeps, in usleep",
    "nanosleep": "sleeps, in nanosleep",
    "clock_nanosleep": "sleeps, in clock_nanosleep",
    "waitpid": "waits for another process, in waitpid",
}


def environment(step) -> dict:
    """What the threads of a step may do, for the program over the network. (A
    step of support/steps.py.)"""
    result = {}
    if step.can["threads"] > 1:
        if step.can["ends_after_two"]:
            result.update(WATCH_STAY="2", WATCH_JOIN="1")
        elif not step.can["closes"]:
            result["WATCH_STAY"] = "-1"
    return result


class Lines:
    """Which line of the source an address in a program belongs to."""

    TOOLS = (("addr2line", "-f", "-i", "-a"), ("llvm-addr2line", "-f", "-i", "-a"),
             ("llvm-addr2line-14", "-f", "-i", "-a"))

    def __init__(self, program: str):
        self.program, self.known = program, {}

    def look_up(self, addresses) -> None:
        """Asks once for all of them: that takes longest."""
        wanted = sorted(set(addresses) - set(self.known))
        tool = next((tool for tool in self.TOOLS if shutil.which(tool[0])), None)
        for address in wanted:
            self.known[address] = ("", "", 0)
        if not tool or not wanted or not os.path.exists(self.program):
            return
        said = subprocess.run(
            [*tool, "-e", self.program, *map(hex, wanted)], text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        for part in re.split(r"^0x", said, flags=re.MULTILINE)[1:]:
            address, *rest = part.splitlines()
            # The innermost function first, at two lines each.
            match = re.match(r"(.*):(\d+)", rest[1]) if len(rest) > 1 else None
            outer = rest[-2] if len(rest) > 1 else ""
            if match and match[1] != "??":
                self.known[int(address, 16)] = (
                    outer if outer != "??" else "", match[1], int(match[2]))

    def at(self, address: int):
        """Function, file and line."""
        if address not in self.known:
            self.look_up([address])
        return self.known[address]

    def line(self, address: int) -> str:
        """job_queue.c:52"""
        _, file, number = self.at(address)
        if file.startswith(OURS):
            return "the test"
        return f"{os.path.basename(file)}:{number}" if file else "an unknown line"

    def is_ours(self, address: int) -> bool:
        """Whether the line is one of the tests' own."""
        return self.at(address)[1].startswith(OURS)

    def function(self, address: int) -> str:
        """The function's name, as the reader knows it."""
        name = self.at(address)[0].split(".")[0]  # not .part.0, .constprop.0
        return {"main_of_the_server": "main"}.get(name, name) or "a function"

    def first_argument(self, address: int, otherwise: str) -> str:
        """What the call in this line is given: mutex, of lock(&queue->mutex)."""
        return self._argument(address, otherwise, 0)

    def mutex(self, address: int, otherwise: str) -> str:
        """The mutex that the call in this line is given: a wait's comes second."""
        return self._argument(address, otherwise, 1)

    def _argument(self, address: int, otherwise: str, of_a_wait: int) -> str:
        _, file, number = self.at(address)
        try:
            with open(file, encoding="utf-8", errors="replace") as source:
                text = " ".join(source.read().splitlines()[number - 1:number + 2])
        except OSError:
            return otherwise
        match = re.search(r"(pthread_\w+|mtx_\w+|cnd_\w+|sem_\w+)\s*\(([^()]+)[,)]",
                          text)
        given = match[2].split(",") if match else [""]
        second = of_a_wait and match and re.search(r"(cond|cnd)_(timed)?wait", match[1])
        name = re.split(r"->|\.|&", given[1 if second and given[1:] else 0])[-1].strip()
        return f"`{name}`" if re.fullmatch(r"\w+(\[.*\])?", name) else otherwise


@dataclass
class Row:
    """A thread, or a mutex, of the table; its words by their names."""

    place: int
    words: dict

    def __getattr__(self, name):
        return self.words[name]


class Table:
    """What a process has written down of itself."""

    def __init__(self, file: Path):
        self.data = data = file.read_bytes()
        head = 8 * len(HEADER)
        self.rows_at = head + PROGRAM
        said = self.rows_at + (THREADS * 16 + OBJECTS * 18) * 8
        if len(data) < said:
            raise ValueError(f"{file} is not a table of watch.c")
        self.words = dict(zip(HEADER, struct.unpack_from(f"<{len(HEADER)}Q", data)))
        if self.words["magic"] != MAGIC:
            raise ValueError(f"{file} is not a table of watch.c")
        self.lines = Lines(_text(data[head:head + PROGRAM]))
        self.said = data[said:said + self.words["said_length"]]

    @cached_property
    def threads(self):
        """All places for threads; those that live have state LIVES."""
        return self._rows(self.data, self.rows_at, self.words["used_threads"],
                          THREAD, 16)

    @cached_property
    def objects(self):
        """The mutexes and condition variables."""
        start = self.rows_at + THREADS * 16 * 8
        return [row for row in self._rows(self.data, start, OBJECTS, OBJECT, 18)
                if row.address]

    @staticmethod
    def _rows(data, start, count, names, length):
        return [Row(place, dict(zip(names, struct.unpack_from(
                    f"<{len(names)}Q", data, start + place * length * 8))))
                for place in range(min(count, THREADS if length == 16 else OBJECTS))]

    def relative(self, address: int) -> int:
        """Of the call, for an address that it returns to."""
        return address - self.words["base"] - 1

    # --- findings ------------------------------------------------------------

    def findings(self):
        """(is a hint, record) of all that was found."""
        # The addresses are relative; addr2line wants those of the file.
        for mark in re.finditer(rb"([^\x01\x02]*)([\x01\x02])", self.said):
            text = mark[1].decode("utf-8", "replace")
            self.lines.look_up(int(hexa, 16) - 1 for hexa in
                               re.findall(r"\{(?:line|name|mutex|function):(\w+)\}", text))
            text = re.sub(r"\{(\w+):(\w+)(?::(\w+))?\}", self._marked, text)
            text = re.sub(r"(?m)^source: (the test|an unknown line)(\n|\Z)", "", text)
            yield mark[2] == b"\2", text.strip("\n")

    def _marked(self, match) -> str:
        kind, value = match[1], match[2]
        if kind == "thread":
            return thread_name(int(value), int(match[3]))
        address = int(value, 16)
        if kind == "start":  # of a function
            return self.lines.line(address)
        if kind == "line":
            return self.lines.line(address - 1)
        if kind == "function":
            # A function's own address, or one in it: both are in it.
            return self.lines.function(address) if self.lines.at(
                address)[0] else self.lines.function(address - 1)
        if kind == "mutex":
            return self.lines.mutex(address - 1, "it")
        return self.lines.first_argument(address - 1, "it")

    # --- the picture ---------------------------------------------------------

    def picture(self) -> str:
        """A line for each thread; then the circle, if there is one."""
        living = [thread for thread in self.threads if thread.state == LIVES]
        living.sort(key=lambda t: (not t.flags & MAIN, bool(t.flags & OF_THE_TEST),
                                   t.number))
        of_tests = any(thread.flags & OF_THE_TEST for thread in living)
        living = [thread for thread in living if not self.is_only_a_test(
            thread, of_tests)]
        places = [self.relative(row.words[name]) for row in living
                  for name in ("line", "created") if row.words[name]]
        places += [self.relative(row.words[name]) for row in self.objects
                   for name in ("locked", "gone") if row.words[name]]
        self.lines.look_up(places)
        names = [thread_name(t.flags, t.shown) for t in living]
        width = max([len(name) for name in names], default=0)
        text, same = [], {}
        for thread, name in zip(living, names):
            does = self.does(thread)
            same[does] = same.get(does, 0) + 1
            if same[does] <= ALIKE:
                text.append(f"{name:<{width}}  {does}")
        left = len(living) - len(text)
        if left:
            text.append(f"and {left} more threads that do the same as others")
        circle = self.circle(living)
        if circle:
            text += ["", "Nobody in this circle can go on:"] + circle
        return "\n".join(text)

    def is_only_a_test(self, thread, of_tests: bool) -> bool:
        """Whether a thread is the test that waits, and nobody the reader knows."""
        if thread.flags & OF_THE_TEST:
            return thread.waits in (NOTHING, A_CALL) and not thread.held and (
                not thread.line or self.lines.is_ours(self.relative(thread.line)))
        return bool(thread.flags & MAIN and of_tests and thread.waits == NOTHING)

    def does(self, thread) -> str:
        """What a thread waits for, and where."""
        line = self.relative(thread.line)
        where = ", in " + self.lines.line(line) if thread.line else ""
        held = self.holding(thread)
        if thread.waits == A_MUTEX:
            owner = self.owner(self.object(thread.object))
            text = f"waits for {self.lines.first_argument(line, 'a mutex')}{where}"
            if owner:
                locked = self.relative(self.object(thread.object).locked)
                text += (f": {thread_name(owner.flags, owner.shown)} has locked it, "
                         f"in {self.lines.line(locked)}")
            return text + held
        if thread.waits == A_CONDITION:
            name = self.lines.first_argument(line, "a condition")
            return f"waits to be woken: {name}{where}{held}"
        if thread.waits == A_THREAD:
            other = self.next_of(thread)
            text = "waits for the end of " + (
                thread_name(other.flags, other.shown) if other else "a thread")
            return text + where + held
        if thread.waits == A_CALL and not self.lines.is_ours(line):
            call = _text(struct.pack("<2Q", thread.object, thread.words["with"]))
            text = CALLS.get(call, f"waits in {call}")
            return text + where + held
        return "runs" + held

    def holding(self, thread) -> str:
        """What a thread has locked."""
        held = [row for row in self.objects if row.owner == thread.place + 1]
        text = ""
        for row in held:
            line = self.relative(row.locked)
            text += (f"; it has locked {self.lines.mutex(line, 'a mutex')}, "
                     f"in {self.lines.line(line)}")
        return text

    def object(self, address: int):
        """The row of a mutex, or None."""
        return next((row for row in self.objects if row.address == address), None)

    def owner(self, mutex):
        """The thread that has locked it, or None."""
        if mutex and 0 < mutex.owner <= len(self.threads):
            return self.threads[mutex.owner - 1]
        return None

    def next_of(self, thread):
        """The thread that another one waits for, or None."""
        if thread.waits == A_MUTEX:
            return self.owner(self.object(thread.object))
        if thread.waits == A_THREAD and thread.object < len(self.threads):
            return self.threads[thread.object]
        return None

    def circle(self, living):
        """Lines that draw who waits for whom in a circle; none if there is none."""
        for first in living:
            path, thread = [], first
            while thread is not None and thread not in path:
                path.append(thread)
                thread = self.next_of(thread)
            if thread is not None:
                path = path[path.index(thread):]
                return self.drawn(path)
        return []

    def drawn(self, path):
        """The threads below each other, and a line back from the last."""
        lines = []
        for thread in path:
            line, other = self.relative(thread.line), self.next_of(thread)
            name = thread_name(other.flags, other.shown)
            if thread.waits == A_MUTEX:
                what = (f"{self.lines.first_argument(line, 'a mutex')}, which "
                        f"{name} has locked")
            else:
                what = f"the end of {name}"
            lines.append(f"{thread_name(thread.flags, thread.shown)} waits for {what}, "
                         f"in {self.lines.line(line)}")
        drawn = []
        for number, line in enumerate(lines):
            drawn.append(("┌─▶ " if number == 0 else "│   ") + line)
            drawn.append("│       ▼" if number < len(lines) - 1 else "└───────┘")
        return drawn


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode("utf-8", "replace")


def thread_name(flags: int, number: int) -> str:
    """How a reader would call a thread."""
    if flags & MAIN:
        return "main"
    if flags & OF_THE_TEST:
        return "the test"
    alone = flags & (DETACHED | OF_A_CONNECTION)
    return f"{'thread' if alone else 'worker'} {number}"


def tables(folder):
    """The tables of all processes that ran."""
    for file in sorted(Path(folder).iterdir(), key=lambda path: path.name):
        if file.name.isdigit():
            try:
                yield Table(file)
            except ValueError:
                pass  # it had no time to begin


def findings(folder, hints=False):
    """Records of what was found: mistakes, or the hints instead."""
    return [text for table in tables(folder) for hint, text in table.findings()
            if hint == hints]


def picture(file) -> str:
    """A line for each thread of a process: what it waits for, and where."""
    return Table(Path(file)).picture()


def main(words) -> int:
    if words[:1] == ["--picture"] and len(words) == 2:
        print(picture(words[1]))
        return 0
    hints = words[:1] == ["--hints"]
    if len(words) != 1 + hints:
        print(__doc__, file=sys.stderr)
        return 2
    found = findings(words[-1])
    if hints:
        found += findings(words[-1], hints=True)
    report = os.environ.get("REPORT")
    for number, text in enumerate(found):
        if not re.search("^test: ", text, re.MULTILINE):
            text = "test: threads\n" + text
        if report:
            name = f"watch-{os.getpid()}-{time.monotonic_ns()}-{number}"
            (Path(report) / name).write_text(text + "\n", encoding="utf-8")
        else:
            print(text, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
