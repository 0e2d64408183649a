"""Blocks of code and of terminals, as HTML: coloured by Pygments, with what one
types told from what is there and what is printed."""
from __future__ import annotations

import html
from typing import Callable, Iterable, Iterator, Optional

from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Number, String, Token

# The first that fits decides; what fits none has no colour.
COLOURS = [(Comment.PreprocFile, "s"), (Comment.Preproc, "p"), (Comment, "c"),
           (Keyword, "k"), (String, "s"), (Number, "n")]
LANGUAGES = {"c": "c", "h": "c", "sh": "sh", "html": "html", "md": "md",
             "Makefile": "make"}
TAGS = {" ": "span", "+": "ins", "-": "del"}

escape = html.escape


def colour_of(kind: Token) -> str:
    return next((name for token, name in COLOURS if kind in token), "")


def coloured(lines: list[str], path: str) -> list[str]:
    """Each line as HTML."""
    language = LANGUAGES.get(path.rpartition("/")[2].rpartition(".")[2], "text")
    lexer = get_lexer_by_name(language, stripnl=False)
    made = [""]
    for kind, value in lexer.get_tokens("\n".join(lines)):
        name = colour_of(kind)
        for i, part in enumerate(value.split("\n")):
            if i:
                made.append("")
            if part:
                text = html.escape(part, quote=False)
                made[-1] += f'<span class="{name}">{text}</span>' if name else text
    return made[:len(lines)]


def pane(bar: str, kind: str, body: str) -> str:
    """A block with a line above it that says what it is."""
    bar = f'<div class="bar">{bar}</div>' if bar else ""
    return (f'<div class="pane {kind}">{bar}<pre><code>{body}</code></pre></div>\n')


def file(path: str, lines: list[str], bar: str = "",
         is_new: Optional[Callable[[int], bool]] = None) -> str:
    """A file. With `is_new` its lines are numbered, and those that are new marked."""
    body = "".join(
        f"<ins>{line}\n</ins>" if is_new and is_new(i) else f"<span>{line}\n</span>"
        for i, line in enumerate(coloured(lines, path)))
    return pane(bar or f"<code>{escape(path)}</code>",
                "file numbered" if is_new else "file", body)


def hunks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """The places of a diff: what stands between @@ and @@, and the lines."""
    label, found = "", []
    for line in [*lines, "@@ @@"]:
        if line.startswith("@@"):
            if found:
                yield label, found
            label, found = line.strip("@ "), []
        else:
            found.append(line or " ")


def diff(path: str, lines: list[str]) -> str:
    """The places that change. The first column stays: it is read without colour."""
    made = []
    for label, hunk in hunks(lines):
        body = "".join(
            f"<{TAGS[line[0]]}><b>{line[0]}</b>{code}\n</{TAGS[line[0]]}>"
            for line, code in zip(hunk, coloured([line[1:] for line in hunk], path)))
        where = f" @@ {escape(label)} @@" if label else ""
        made.append(pane(f"<code>{escape(path)}{where}</code>", "diff", body))
    return "".join(made)


def terminal(lines: Iterable[str], bar: str) -> str:
    """Commands, and what they print."""
    body, goes_on = "", False
    for line in lines:
        text = html.escape(line, quote=False)
        if goes_on:
            body += text + "\n"
        elif line.startswith("$ "):
            body += f'<kbd class="cmd"><b>$ </b>{text[2:]}\n'
        elif line == "^C":
            body += "<kbd>^C</kbd>\n"
            continue
        else:
            body += f"<samp>{text}\n</samp>"
            continue
        goes_on = line.endswith("\\")
        body += "" if goes_on else "</kbd>"
    return pane(bar, "terminal", body)


def block(info: str, lines: list[str]) -> str:
    """What stands between ``` and ```; model.py has the grammar."""
    words = info.split(" ")
    if words[0] == "console":
        return terminal(
            lines, "first terminal: the server" if words[1:] else "terminal")
    if words[0] == "diff":
        return diff(words[1], lines)
    if words[1:2] == ["declared"]:
        return file("x.c", lines, f"declared in <code>&lt;{words[2]}&gt;</code>")
    if words[0] == "text":
        return pane("", "text", escape("\n".join(lines)) + "\n")
    return file(words[-1], lines, f"<code>{escape(words[-1])}</code>")
