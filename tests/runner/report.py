"""Records of failing checks, and how a reader is told of them."""

import textwrap
import re
from dataclasses import dataclass, field
from pathlib import Path

from . import course

WIDTH = 79
FIELDS = ("test", "key", "did", "expected", "got", "cause", "read", "source",
          "detail")


@dataclass
class Record:
    """One failing check, in the words of its test; see tests/README.md."""

    test: str
    got: str
    key: str = ""
    did: str = ""
    expected: str = ""
    cause: str = ""
    read: str = ""
    source: str = ""
    detail: str = ""
    where: tuple = field(default=(0, 0))  # stage and place in it
    vague: bool = False  # it hangs, crashes or miscounts: why is not seen

    @property
    def same(self) -> str:
        """Records with the same of this are told once."""
        return self.key or self.cause or self.got


def parse(text: str, test: str = "") -> Record:
    """Reads `field: text`, where further lines are indented by two spaces."""
    fields, name = {"test": test, "got": ""}, ""
    for line in text.splitlines():
        match = re.match(r"(\w+):(?: (.*))?$", line)
        if match and match[1] in FIELDS:
            name = match[1]
            fields[name] = match[2] or ""
        elif name:
            more = line[2:] if line.startswith("  ") else line
            fields[name] += "\n" + more if fields[name] else more
    return Record(**fields)


def records_in(folder: Path, test: str = ""):
    """All records that were written to a folder, by name."""
    return [parse(path.read_text(encoding="utf-8", errors="replace"), test)
            for path in sorted(folder.iterdir())
            if not path.name.startswith("ended")]


def _lines(label: str, text: str):
    """A labelled paragraph, wrapped, its own lines kept."""
    head, indent = f"   {label:<9} ", " " * 13
    result = []
    for line in text.strip("\n").splitlines() or [""]:
        result += textwrap.wrap(
            line, WIDTH, initial_indent=indent if result else head,
            subsequent_indent=indent, break_long_words=False,
            break_on_hyphens=False) or [""]
    return result


def block(number: int, record: Record, commands, others: int, step=None) -> str:
    """One message, as the reader sees it."""
    title = record.did or record.test.replace("_", " ").replace("/", ": ")
    lines = textwrap.wrap(title, WIDTH, initial_indent=f"{number}. ",
                          subsequent_indent="   ", break_on_hyphens=False)
    for label, text in (("expected", record.expected), ("came", record.got),
                        ("likely", record.cause)):
        if text:
            lines += _lines(label, text)
    if record.source:
        lines += _lines("where", record.source)
    if record.detail:
        lines += [""] + ["     " + line for line in
                         record.detail.strip("\n").splitlines()] + [""]
    if record.read:
        lines += _lines("read", course.place(record.read, step))
    for label, text in commands:
        lines.append(f"   {label:<9} {text}")
    if others:
        lines.append(f"   and {others} more check{'s' * (others > 1)} "
                     f"fail{'s' * (others == 1)} with it")
    return "\n".join(lines)


def distinct(records):
    """The first record of each kind, in the order of causes."""
    groups = {}
    for record in sorted(records, key=lambda record: record.where):
        groups.setdefault(record.same, []).append(record)
    return list(groups.values())
