"""The one model of TUTORIAL.md: what stands in it, read once.

`Text(path, root)` reads the text, patches the reader's folder in memory, and
holds what it found: sections, listings, stretches of commands, notes, prose.
All that reads the text builds on it: replay, listing, update, accept,
references. What is wrong is collected in `errors`, by line; what cannot be
seen without running the text is left to replay.

The grammar of the text
-----------------------
## Step 3: A title, ## Part 15: A title
    begins a step. Each step ends with the sentence below; a part need not.
**Listing 3-2: A title** · *badge* · *undo it*
    the caption of what follows, up to the next caption or `##` heading.
    Badges, each checked by building the folder as it stands at the end:
      does not compile         make fails; a console block shows how
      nothing new to see       make is silent, with -Wall -Wextra -Wpedantic
      try it                   the same, and a console block follows
      goes wrong               the same: the compiler lets it through
      compiles with a warning  it builds, and the compiler warns
    undo it: the folder is put back at the next caption, or at the next
    heading as high as the one above the caption. A `**Solution 3-1: …**`
    is the same, for exercises. A number may end in a letter: 1-1b. If 8-5 and
    8-5a are both to be undone, 8-5a goes on from 8-5, and then both are.
```c main.c, ```html hello.html, ```make Makefile, ```sh silent.sh
    create a file, or replace it. The pages equal those in assets/; they and
    scripts do not count when the folder is compared with a step.
```diff main.c
    changes a file: the ' ' and '-' lines of each hunk are found exactly
    once, side by side. `@@ … @@` parts hunks. All '+': a new file.
```console
    `$ ` starts a command, run in the folder by sh in the second terminal;
    a `\\` at its end continues it. Then its whole output; `…` stands for any
    lines. $? is the status of the command before.
```console server, ```console server any-order
    the first terminal, where a command goes on running while the text does.
    Its lines must come out, in order (or in any), before the text goes on;
    a block without `$ ` is what comes next. `^C` interrupts it. All that it
    prints must be shown, or covered by `…`.
```c excerpt PATH (also html, make, sh)
    stands in that file of the repository, word for word.
```c example examples/NAME.c
    a program of its own, in a folder of its own; compiles without a warning.
```c declared HEADER
    a function's declaration; the compiler finds the same in that header.
```text
    is no terminal, and its first line is listed in TEXT_BLOCKS.
At this point your folder equals [`steps/NN-x`](steps/NN-x).
    once in each step, and every step is reached. `make update` writes the
    folder from the text; all else compares it, byte for byte. The same with
    [`final`](final).
[^name]: A sentence, and where it comes from.
    a note: the source of a claim that no command shows. `[^name]` in the text
    refers to it.
No other code: neither indented nor in <pre>. Links and anchors resolve;
pictures have a description.
"""
from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass, field
from typing import Optional

# The pictures of things that are no terminal, by their first lines, so that
# nobody hides a transcript in one.
TEXT_BLOCKS = {
    "GET / HTTP/1.1",
    "method target version CRLF",
    "version status reason CRLF",
}
BADGES = {"does not compile", "nothing new to see", "try it", "goes wrong",
          "compiles with a warning"}
SHOWN_BADGES = {"try it", "goes wrong", "does not compile"}

CAPTION = re.compile(r"\*\*(Listing|Solution) (\d+-\d+[a-z]?): ([^*]+)\*\*")
PUNCTUATION = re.compile(r"[]!-,./:-@[\\^`{|}~—–…→’‘“”×·✗✓]")


@dataclass(frozen=True)
class Line:
    """A line of a file, and the line of the text that it comes from."""
    text: str
    origin: int


File = tuple[Line, ...]
Folder = dict[str, File]


def content(file: File) -> str:
    """The file's bytes, as text."""
    return "".join(line.text + "\n" for line in file)


@dataclass
class Event:
    """Something that happens at a terminal, or is to be checked there."""
    line: int
    tag: str  # sync badge example declared build run server more interrupt
    value: object = None
    expected: list[Line] = field(default_factory=list)
    any_order: bool = False


@dataclass
class Stretch:
    """What happens between two captions; it can be run by itself."""
    name: str
    step: int
    start: Folder
    events: list[Event] = field(default_factory=list)


@dataclass
class Listing:
    """What a caption names."""
    id: str  # "7-2"; of a solution "solution-7-2"
    title: str
    line: int
    step: int
    badge: str
    undo: bool
    before: Folder
    after: Folder = field(default_factory=dict)
    blocks: int = 0
    consoles: int = 0


@dataclass
class Hunk:
    """A place in a file that a diff changes."""
    line: int
    path: str
    label: str  # between @@ and @@, or ""
    label_line: int
    at: int  # index of its first line in the file, before the change
    file: File  # before the change
    before: list[str]


@dataclass
class Heading:
    level: int
    title: str
    line: int
    anchor: str


@dataclass
class End:
    """Where the text says that the folder equals one of the repository."""
    line: int
    folder: str
    files: Folder


class GiveUp(Exception):
    """After this error the rest would only be noise."""


def find(lines: list[str], part: list[str]) -> list[int]:
    """Returns at which indices of lines the lines of part stand."""
    if not part:
        return []
    return [i for i in range(len(lines) - len(part) + 1)
            if lines[i] == part[0] and lines[i:i + len(part)] == part]


def longest_run(lines: list[str], part: list[str]) -> int:
    """Returns the index in part up to which it is no run of lines."""
    for i in range(1, len(part)):
        if not find(lines, part[:i]):
            return i - 1
    return len(part) - 1


def anchors_of(titles: list[str]) -> list[str]:
    """GitHub's rule: lower case, punctuation away, blanks to hyphens, and a
    number for a heading that was there before."""
    seen: dict[str, int] = {}
    anchors = []
    for title in titles:
        anchor = PUNCTUATION.sub("", re.sub(r"\]\([^)]*\)", "", title.lower()))
        anchor = anchor.replace(" ", "-")
        count = seen.get(anchor, 0)
        seen[anchor] = count + 1
        anchors.append(f"{anchor}-{count}" if count else anchor)
    return anchors


def headings_of(path: pathlib.Path) -> list[Heading]:
    """The headings of a Markdown file."""
    found, fenced = [], False
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and (match := re.match(r"(#+) (.*)", line)):
            found.append(Heading(len(match[1]), match[2], number, ""))
    for heading, anchor in zip(found, anchors_of([h.title for h in found])):
        heading.anchor = anchor
    return found


def read_file(path: pathlib.Path) -> File:
    """A file of the repository, whose lines come from nowhere in the text."""
    lines = path.read_text().split("\n")
    return tuple(Line(line, 0) for line in lines[:-1])


def difference(expected: File, got: File) -> tuple[int, str, str]:
    """The first line that differs: its number, as wanted, and as it is."""
    for number in range(max(len(expected), len(got))):
        texts = [file[number].text if number < len(file) else "(the end)"
                 for file in (expected, got)]
        if texts[0] != texts[1]:
            return number + 1, texts[0], texts[1]
    raise ValueError("the files do not differ")


def counts_in_step(path: str) -> bool:
    """Whether a file of the reader's is part of what a step is."""
    return "/" not in path and not path.endswith((".html", ".sh"))


class Text:
    """TUTORIAL.md, read. `compare`: check that the steps equal what the text
    says; without it, the text decides (update)."""

    def __init__(self, path: pathlib.Path, root: pathlib.Path,
                 compare: bool = True):
        self.path, self.root, self.compare = path, root, compare
        self.errors: list[tuple[int, str]] = []
        self.astray: list[tuple[int, str]] = []  # those of links and notes
        self.complete = False  # whether it could be read to its end
        self.headings: list[Heading] = []
        self.listings: dict[str, Listing] = {}
        self.stretches: list[Stretch] = []
        self.hunks: list[Hunk] = []
        self.ends: list[End] = []
        self.prose: list[Line] = []
        self.notes: dict[str, Line] = {}
        self.consoles = self.commands = 0

        self._step = 0
        self._step_line = 0
        self._level = 0
        self._details = 0
        self._folder: Folder = {}
        self._listing: Optional[Listing] = None
        self._links: list[tuple[int, str]] = []
        self._ids: set[str] = set()
        self._undo_level = 0

        self.lines = path.read_text().split("\n")
        if self.lines[-1] == "":
            self.lines.pop()
        makefile = next(root.glob("steps/01-*/Makefile"), None)
        if makefile:
            self._folder["Makefile"] = read_file(makefile)
        self.folder_at_start = dict(self._folder)
        self._begin_stretch("", 0)
        try:
            self._read()
            self._finish()
        except GiveUp:
            pass

    # ---- errors

    def error(self, line: int, message: str) -> None:
        self.errors.append((line, message))

    def _give_up(self, line: int, message: str) -> None:
        self.error(line, message)
        raise GiveUp

    # ---- lines

    def _read(self) -> None:
        fence, fence_line, body = None, 0, []
        for number, line in enumerate(self.lines, 1):
            line = line.rstrip("\r")
            if fence is not None:
                if line == "```":
                    self._block(fence, fence_line, body)
                    fence = None
                else:
                    body.append(Line(line, number))
            elif re.match(r"```[^`]*$", line):
                fence, fence_line, body = line[3:] or "(none)", number, []
            else:
                self._prose(number, line)
        if fence is not None:
            self._give_up(fence_line, "this block has no end")

    def _prose(self, number: int, line: str) -> None:
        if re.match(r"[ \t>]*(```|~~~)", line):
            self.error(number, "a block must start at the margin with three "
                       f"backquotes: {line}")
        if re.match(r"    |\t", line) or "<pre" in line:
            self.error(number, f"code that is in no fenced block: {line}")
        if match := re.match(r"(#+) (.*)", line):
            self._heading(number, len(match[1]), match[2])
        elif line.startswith(("**Listing", "**Solution")):
            self._caption(number, line)
        elif line.startswith("At this point your folder equals"):
            self._equality(number, line)
        if match := re.match(r"\[\^([^]]+)\]: (.*)", line):
            if match[1] in self.notes:
                self.error(number, f"note {match[1]} is already in line "
                           f"{self.notes[match[1]].origin}")
            self.notes[match[1]] = Line(match[2], number)
        if "<details" in line:
            self._details += 1
        if "</details>" in line:
            self._details -= 1
            if self._details < 0:
                self.error(number, "</details> without <details>")
        self.prose.append(Line(line, number))
        self._collect_links(number, line)

    def _finish(self) -> None:
        last = len(self.lines)
        if self._details > 0:
            self.error(last, f"{self._details} <details> without an end")
        self._end_listing()
        self._end_step()
        others = len(self.errors)
        self._check_links()
        self._check_notes()
        self.astray = self.errors[others:]
        reached = {end.folder for end in self.ends}
        for folder in sorted(self.root.glob("steps/*")):
            if f"steps/{folder.name}" not in reached:
                self.error(last, f"the text never reaches steps/{folder.name}")
        self.complete = True

    # ---- headings, captions, steps

    def _heading(self, number: int, level: int, title: str) -> None:
        self.headings.append(Heading(level, title, number, ""))
        if self._listing and self._listing.undo and level <= self._undo_level:
            self._end_listing()
        if level == 2:
            self._end_listing()
            self._end_step()
            if match := re.match(r"(Step|Part) (\d+)\b", title):
                self._step = int(match[2])
                if match[1] == "Step":
                    self._step_line = number
            else:
                self._step = 0
            self._begin_stretch("", number)
        self._level = level

    def _end_step(self) -> None:
        if self._step_line and not any(end.line > self._step_line
                                       for end in self.ends):
            self.error(self._step_line, f'step {self._step} has no line "At this '
                       'point your folder equals [`steps/…`](steps/…)."')
        self._step_line = 0

    def _caption(self, number: int, line: str) -> None:
        previous = self._listing
        self._end_listing()
        match = CAPTION.match(line)
        if not match:
            self.error(number, "not a caption: **Listing 3-2: What it is** · "
                       "*badge*")
            return
        badges, undo = [], False
        for part in line[match.end():].split(" · ")[1:]:
            if part == "*undo it*":
                undo = True
            elif part.strip("*") in BADGES and part.startswith("*"):
                badges.append(part.strip("*"))
            elif not re.fullmatch(r"\[.*\]\(.*\)", part):
                self.error(number, f"the caption has an unknown badge: {part}")
                badges.append("")
        if not badges:
            self.error(number, "the caption has no badge")
        elif len(badges) > 1:
            self.error(number, f"the caption has two badges: {', '.join(badges)}")
        key = ("solution-" if match[1] == "Solution" else "") + match[2]
        if key in self.listings:
            self.error(number, f"listing {key} is already in line "
                       f"{self.listings[key].line}")
        before = dict(self._folder)
        if undo and previous and previous.undo and previous.id == key[:-1]:
            self._folder, before = dict(previous.after), previous.before
        self._listing = Listing(key, match[3], number, self._step,
                                badges[0] if badges else "", undo, before)
        self.listings[key] = self._listing
        self._undo_level = self._level
        self._begin_stretch(key, number)

    def _end_listing(self) -> None:
        """Notes the folder as it stands, has the badge checked, and takes back
        what was to be undone."""
        listing, self._listing = self._listing, None
        if listing is None:
            return
        listing.after = dict(self._folder)
        if not listing.blocks:
            self.error(listing.line, "no block follows this caption")
        if listing.badge in SHOWN_BADGES and not listing.consoles:
            self.error(listing.line, f'the badge says "{listing.badge}", but no '
                       "console block follows")
        self._event(listing.line, "sync", listing.after)
        self._event(listing.line, "badge", listing.badge)
        if listing.undo:
            self._folder = dict(listing.before)

    def _equality(self, number: int, line: str) -> None:
        match = re.search(r"\((steps/[^)/]*|final)\)", line)
        if not match:
            self.error(number, "which step does the folder equal?")
            return
        folder = match[1]
        if self._step_line and not re.match(rf"steps/0?{self._step}-", folder):
            self.error(number, f"step {self._step} ends as {folder}")
        if self._listing and self._listing.undo:
            self.error(number, f"listing {self._listing.id} is still to be "
                       "undone here")
        files = {path: file for path, file in self._folder.items()
                 if counts_in_step(path)}
        self.ends.append(End(number, folder, files))
        if self.compare:
            self._compare(number, folder, files)

    def _compare(self, number: int, folder: str, files: Folder) -> None:
        there = {path.name: read_file(path)
                 for path in sorted((self.root / folder).glob("*"))
                 if path.is_file() and not re.search(r"^server$|\.o$", path.name)}
        if not there:
            self.error(number, f"{folder} is not there")
        for name, file in there.items():
            if name not in files:
                self.error(number, f"your folder has no {name}, {folder} has")
            elif content(files[name]) != content(file):
                at, wanted, got = difference(file, files[name])
                self.error(number, f"your {name} is not that of {folder}: line "
                           f"{at} is\n    {got}\n  instead of\n    {wanted}\n"
                           "  (the text is the source: make update)")
        for name in files:
            if name not in there:
                self.error(number, f"your folder has a {name}, {folder} has not")

    # ---- blocks

    def _block(self, info: str, line: int, body: list[Line]) -> None:
        words = info.split(" ")
        first = body[0].text if body else ""
        if len(words) == 3 and words[1] == "excerpt" \
                and words[0] in ("c", "html", "make", "sh"):
            self._excerpt(line, words[2], body)
        elif len(words) == 3 and words[:2] == ["c", "declared"]:
            self._declared(line, words[2], body)
        elif len(words) == 3 and words[:2] == ["c", "example"]:
            self._example(line, words[2], body)
        elif len(words) == 2 and words[0] in ("c", "html", "make", "sh"):
            self._create(line, words[1], body)
        elif len(words) == 2 and words[0] == "diff":
            self._patch(line, words[1], body)
        elif info == "console":
            self._console(line, body)
        elif info in ("console server", "console server any-order"):
            self._console_server(line, body, len(words) == 3)
        elif info == "text" and first in TEXT_BLOCKS:
            pass
        elif info == "text":
            self.error(line, f"a text block that is not allowed for: {first}")
        else:
            self.error(line, f"an unknown kind of block: {info}")

    def _has_block(self) -> None:
        if self._listing:
            self._listing.blocks += 1

    def _excerpt(self, line: int, path: str, body: list[Line]) -> None:
        try:
            text = [at.text for at in read_file(self.root / path)]
        except OSError:
            self.error(line, f"there is no {path}")
            return
        part = [at.text for at in body]
        if not find(text, part):
            self.error(line + 1 + longest_run(text, part),
                       f"{path} does not go on like this")

    def _declared(self, line: int, header: str, body: list[Line]) -> None:
        """The compiler will say whether the header declares the same."""
        text = content(tuple(body))
        name = re.split(r"[ *]", text.split("(")[0])[-1]
        self._event(line, "declared", f"#include <{header}>\nvoid *is_known(void) "
                    f"{{ return (void *)&{name}; }}\n{text}")

    def _example(self, line: int, path: str, body: list[Line]) -> None:
        if not re.fullmatch(r"[a-z]+/[a-z_0-9]+\.c", path):
            self.error(line, "an example needs a folder of its own "
                       f"(examples/{path}), for make compiles every *.c beside "
                       "it into the server")
        self._folder[path] = tuple(body)
        self._has_block()
        self._event(line, "sync", dict(self._folder))
        self._event(line, "example", path)

    def _create(self, line: int, path: str, body: list[Line]) -> None:
        if "/" in path:
            self.error(line, f"a file in another folder: {path}")
        self._folder[path] = tuple(body)
        self._has_block()
        if path.endswith(".html"):
            page = self.root / "assets" / path
            file = read_file(page) if page.exists() else ()
            if content(file) != content(tuple(body)):
                at, wanted, got = difference(file, tuple(body))
                self.error(line, f"{path} is not assets/{path}: line {at} is\n"
                           f"    {got}\n  instead of\n    {wanted}")

    def _patch(self, line: int, path: str, body: list[Line]) -> None:
        self._has_block()
        hunks, label = [[]], [("", line)]
        for at in body:
            if at.text.startswith("@@"):
                label.append((at.text.strip("@ "), at.origin))
                hunks.append([])
            elif at.text[:1] in ("+", "-", " ", ""):
                hunks[-1].append(at)
            else:
                self.error(at.origin, "a diff's line starts with +, - or a "
                           f"space: {at.text}")
        for (name, label_line), hunk in zip(label, hunks):
            if any(at.text[:1] in "+-" for at in hunk if at.text):
                self._hunk(path, hunk, name, label_line)
            elif hunk:
                self.error(hunk[0].origin, "a hunk that changes nothing")
        if path not in self._folder:
            self.error(line, "an empty diff for a new file")

    def _hunk(self, path: str, hunk: list[Line], label: str, label_line: int) -> None:
        """Changes a file. Lines that stay keep the place that they come from."""
        line = hunk[0].origin
        old = [at for at in hunk if at.text[:1] != "+"]
        before = [at.text[1:] for at in old]
        file = self._folder.get(path)
        if file is None:
            if before:
                self._give_up(line, f"there is no {path} to change yet")
            self._folder[path] = tuple(Line(at.text[1:], at.origin) for at in hunk)
            return
        if not before:
            self._give_up(line, f"a hunk needs a line of {path} to hold on to")
        texts = [at.text for at in file]
        places = find(texts, before)
        if not places:
            self._give_up(old[longest_run(texts, before)].origin,
                          f"this hunk is not found in {path}, which does not go on "
                          "like this")
        if len(places) > 1:
            self._give_up(line, f"this hunk is found {len(places)} times in {path}")
        at = places[0]
        self.hunks.append(Hunk(line, path, label, label_line, at, file, before))
        new, index = [], at
        for change in hunk:
            sign = change.text[:1]
            if sign == "+":
                new.append(Line(change.text[1:], change.origin))
            else:
                if sign != "-":
                    new.append(file[index])
                index += 1
        self._folder[path] = file[:at] + tuple(new) + file[at + len(before):]

    # ---- terminals

    def _begin_stretch(self, key: str, line: int) -> None:
        name = f"listing {key}" if key else f"line {line}"
        self.stretches.append(Stretch(name, self._step, dict(self._folder)))

    def _event(self, line: int, tag: str, value: object = None) -> Event:
        event = Event(line, tag, value)
        self.stretches[-1].events.append(event)
        return event

    def _prepare(self, line: int, body: list[Line]) -> None:
        self.consoles += 1
        if self._listing:
            self._listing.consoles += 1
        # the reader built this some time ago
        events = self.stretches[-1].events
        if not events:
            self._event(line, "sync", self.stretches[-1].start)
            if not re.search(r"(make|cc) ?", body[0].text if body else ""):
                self._event(line, "build")
        self._event(line, "sync", dict(self._folder))

    def _commands(self, body: list[Line]) -> list[tuple[int, str, list[Line]]]:
        """The block's commands: their line, their text ("" is no command, "^C"
        an interrupt), and the lines that follow."""
        found: list[tuple[int, str, list[Line]]] = []
        index = 0
        while index < len(body):
            at = body[index]
            if at.text.startswith("$ "):
                command = at.text[2:]
                while command.endswith("\\") and index + 1 < len(body):
                    index += 1
                    command = command[:-1] + body[index].text
                self.commands += 1
                found.append((at.origin, command, []))
            elif at.text == "^C":
                found.append((at.origin, "^C", []))
            else:
                if not found:
                    found.append((at.origin, "", []))
                found[-1][2].append(at)
            index += 1
        return found

    def _console(self, line: int, body: list[Line]) -> None:
        if not body or not body[0].text.startswith("$ "):
            self.error(line, "a console block starts with a command: $ …")
            return
        self._prepare(line, body)
        for at, command, expected in self._commands(body):
            self._event(at, "run", command).expected = expected

    def _console_server(self, line: int, body: list[Line], any_order: bool) -> None:
        self._prepare(line, body)
        for at, command, expected in self._commands(body):
            if command == "^C":
                self._event(at, "interrupt")
            elif command:
                self._event(at, "server", command)
            if expected:
                event = self._event(expected[0].origin, "more")
                event.expected, event.any_order = expected, any_order

    # ---- links and notes

    def _collect_links(self, number: int, line: str) -> None:
        self._ids.update(re.findall(r'(?:id|name)="([^"]*)"', line))
        for target in re.findall(r'(?:src|href|srcset)="([^"]*)"', line):
            self._links.append((number, target))
        line = re.sub(r"`[^`]*`", "code", line)
        while match := re.search(r"(!?)\[([^]]*)\]\(([^)]*)\)", line):
            if match[1] and not match[2]:
                self.error(number, "a figure without a text that describes it: "
                           + match[0])
            self._links.append((number, re.sub(r' "[^"]*"$', "", match[3])))
            # an image may stand inside a link
            line = line[:match.start()] + "image" + line[match.end():]

    def _check_links(self) -> None:
        for heading, anchor in zip(
                self.headings, anchors_of([h.title for h in self.headings])):
            heading.anchor = anchor
        mine = {heading.anchor for heading in self.headings} | self._ids
        for line, target in self._links:
            if re.match(r"(https?|mailto):", target):
                continue
            path, _, anchor = target.partition("#")
            if path and not (self.root / path).exists():
                self.error(line, f"a link to nowhere: {target}")
            elif not path and anchor and anchor not in mine:
                self.error(line, f"no heading has this anchor: #{anchor}")
            elif path and anchor and anchor not in {
                    h.anchor for h in headings_of(self.root / path)}:
                self.error(line, f"{path} has no such anchor: #{anchor}")

    def _check_notes(self) -> None:
        used = {}
        for at in self.prose:
            for name in re.findall(r"\[\^([^]]+)\](?!:)", at.text):
                used.setdefault(name, at.origin)
        for name, line in used.items():
            if name not in self.notes:
                self.error(line, f"there is no note [^{name}]")
        for name, at in self.notes.items():
            if name not in used:
                self.error(at.origin, f"nothing refers to the note [^{name}]")

    # ---- what its readers ask

    def report(self) -> str:
        """All errors, a line each, as PATH:LINE: what."""
        return "".join(f"{self.path.name}:{line}: {message}\n"
                       for line, message in sorted(self.errors, key=lambda e: e[0]))

    def counts(self) -> str:
        return (f"{len(self.listings)} listings, {self.consoles} terminals' blocks, "
                f"{self.commands} commands")
