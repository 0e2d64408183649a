#!/usr/bin/env python3
"""Threads to step through: what tests/explore found out about a listing's real C,
as a part of a page. player.js walks through the graph, and knows no C.

    player.py [NAME…]     builds these models (default: all) and says what is in them

For the book: MODELS says below which listing each belongs, section() is its HTML.
"""
from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Optional

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT / "tests" / part)
                for part in ("", "support", "text", "explore")]
import graph as graphs  # noqa: E402
import steps  # noqa: E402
from build import CannotBuild, build_explorer  # noqa: E402
from model import Text, content  # noqa: E402
from runner import cache  # noqa: E402

EXPLORE = ROOT / "tests/explore"


class Code(NamedTuple):
    """A program to step through: its name on the page, and where it stands."""

    label: str
    listing: str  # as it stands after this one
    patch: str = ""  # and with this of tests/wrong
    example: str = ""  # or this one of the listing's examples
    last: bool = False  # as the text changes it below, in the end


class Model(NamedTuple):
    """What is shown. The scenarios stand in tests/explore."""

    after: str  # the listing, or the section, that it belongs below
    title: str
    look: str  # what to look for
    wrong: Code
    right: Code
    step: str
    scenario: str
    scenarios: str = ""  # the file, if it is not scenarios.c
    only: str = "*.c"  # these files of the program
    for_no_reason: int = 0  # so many wake-ups without a signal, at most
    names: dict[str, str] = {}  # how threads are called on the page
    ends: str = ""  # the mistake that is shown, if there are several


WORKERS = {"consumer": "worker"}
HOW = {
    "shared-variable": Model(
        "3-1", "One variable for two threads",
        "Let main go on before the first thread has read “connection”.",
        Code("Listing 3-1", "3-1"), Code("Listing 3-2", "3-2"), "03", "server",
        names={"worker 0": "thread 1", "worker 1": "thread 2"}),
    "one-job-twice": Model(
        "6-2", "Two workers take one job",
        "main pushes one job. Let one worker stop in the middle of “pop”, and the "
        "other one go on.",
        Code("Listing 6-2", "6-2"), Code("Listing 6-4", "6-4"), "06", "one-for-two",
        names=WORKERS, ends="freed"),
    "lost-wake-up": Model(
        "6-4", "A signal without the mutex",
        "Here “push” signals before it locks the mutex. When does the signal find "
        "nobody, though a worker is about to wait?",
        Code("Signal first", "6-4", "shared-queue/signal-first"),
        Code("Listing 6-4", "6-4"), "06", "one-job", names=WORKERS),
    "if-for-while": Model(
        "6-4", "“if” instead of “while”",
        "Two workers, two jobs. A worker is woken: is there still a job when it has "
        "the mutex again?",
        Code("“if”", "6-4", "shared-queue/if"), Code("“while”: listing 6-4", "6-4"),
        "06", "two-consumers", for_no_reason=1, names=WORKERS),
    "lock-held": Model(
        "7-3", "A lock that is held too long",
        "Job 1 ends only when job 2 has run, as a slow client ends when it likes. Who "
        "can get at job 2?",
        Code("Listing 7-3", "7-3"), Code("Listing 7-2", "7-2"), "07", "side-by-side"),
    "join": Model(
        "8-1", "Waiting for those who wait",
        "main joins its workers. What do they wait for?",
        Code("Listing 8-1", "8-1"), Code("Listing 8-3", "8-3"), "08", "new"),
    "terminate": Model(
        "8-5", "A message for each worker",
        "main sends a message and joins worker 0. Let the other one take it.",
        Code("Listing 8-5", "8-5"), Code("Listing 8-5a", "8-5a"), "08", "new"),
    "two-locks": Model(
        "Two locks", "Two locks, two orders",
        "Let each thread lock its first mutex before one of them has both.",
        Code("Each in its own order", "8-5a", example="examples/transfer.c"),
        Code("Both in the same order", "8-5a", example="examples/transfer.c",
             last=True),
        "08", "program", "program.c",
        names={"worker 0": "thread 1", "worker 1": "thread 2"}),
    "gap": Model(
        "9-2", "A signal in the gap",
        "The pool is left out. Press Ctrl-C when main has looked at the flag, and not "
        "yet called “accept”; and when no other visitor is to come.",
        Code("Listing 9-1", "9-1"), Code("Listing 9-3", "9-3"), "09", "signal",
        "signal.c", "main.c"),
}
MODELS = {name: model.after for name, model in HOW.items()}


# --- from the listing to the graph ---

@lru_cache(maxsize=None)
def text() -> Text:
    """The text."""
    return Text(ROOT / "TUTORIAL.md", ROOT, compare=False)


def example(path: str, last: bool) -> str:
    """An example as it is at first, or after the last change of it."""
    found = [content(event.value[path]) for stretch in text().stretches
             for event in stretch.events
             if event.tag == "sync" and path in event.value]
    return found[-1 if last else 0]


def write(code: Code, folder: Path) -> None:
    """Writes the program's files into an empty folder."""
    if code.example:
        (folder / Path(code.example).name).write_text(example(code.example, code.last))
        return
    for name, file in text().listings[code.listing].after.items():
        if re.fullmatch(r"\w+\.[ch]", name):
            (folder / name).write_text(content(file))
    if code.patch:
        with (ROOT / f"tests/wrong/{code.patch}.patch").open() as patch:
            subprocess.run(["patch", "-p1", "-s", "-d", str(folder)], stdin=patch,
                           check=True)


def explored(model: Model, code: Code) -> dict:
    """The graph of the model's program: as it was made before from the same files, or
    made now."""
    with tempfile.TemporaryDirectory() as made:
        folder, build = Path(made) / "program", Path(made) / "build"
        folder.mkdir()
        write(code, folder)
        files = sorted(path for path in [*EXPLORE.glob("*.[ch]"), *EXPLORE.glob("*.py"),
                                         *folder.iterdir()])
        compiler = os.environ.get("CC") or shutil.which("clang") or "cc"
        kept = cache.folder() / (cache.key(
            [compiler, model.scenario, model.scenarios, model.only, model.step,
             model.for_no_reason, *(file.name for file in files)], files) + ".graph")
        if not kept.exists():
            program = build_explorer(
                folder, steps.find(model.step).can, build,
                EXPLORE / model.scenarios if model.scenarios else None, model.only)
            said = subprocess.run(
                [str(program), "99", "60", "60", model.scenario, "graph",
                 str(model.for_no_reason)],
                capture_output=True, text=True, check=False).stdout
            with tempfile.NamedTemporaryFile("w", dir=kept.parent,
                                             delete=False) as draft:
                json.dump(graphs.make(said, program, folder), draft)
            os.replace(draft.name, kept)
        os.utime(kept)
        return json.loads(kept.read_text())


# --- from the graph to what the page needs of it ---

def extent(lines: list[str], number: int) -> tuple[int, int]:
    """The first and the last line of the function that a line stands in."""
    first = last = number
    while first > 1 and not re.match(r"\w.*\(", lines[first - 1]):
        first -= 1
    while last < len(lines) and not lines[last - 1].startswith("}"):
        last += 1
    return first, last


def code_of(graph: dict) -> list[list]:
    """The functions that threads come to: [file, first line, lines]."""
    used = {(name, line) for state in graph["states"] for thread in state["threads"]
            if thread for name, line in [*thread["calls"],
                                         (thread["file"], thread["line"])] if name}
    used |= {(name, line) for step in graph["steps"] for name, line, _ in [
        *step["does"], (step.get("file"), step.get("line"), "")] if name}
    parts = sorted({(name, *extent(graph["source"][name], line))
                    for name, line in used})
    return [[name, first, graph["source"][name][first - 1:last]]
            for name, first, last in parts]


def jobs(value: object) -> str:
    """A value of the program in a few words; a list as its nodes, one by one."""
    if isinstance(value, dict) and set(value) == {"function", "arg"}:
        return f"job {value['arg']}" if value["function"] else "“terminate”"
    if isinstance(value, dict) and "next" in value:
        rest = {name: part for name, part in value.items() if name != "next"}
        inner = jobs(next(iter(rest.values())) if len(rest) == 1 else rest)
        return inner if value["next"] is None else f"{inner} → {jobs(value['next'])}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {jobs(part)}" for name, part in value.items())
    return "NULL" if value is None else str(value).lower()  # true, 5, …


def panel(graph: dict, state: dict) -> list[list[str]]:
    """What there is to see beside the threads: [name, what is there]."""
    value = state["value"] or {}
    value = value.get("queue", value)
    rows = [[name, jobs(part)] for name, part in value.items() if name != "last"
            ] if isinstance(value, dict) else []
    rows += [[name, "not yet used" if number is None else str(number)]
             for name, number in state["variables"].items()]
    for name in sorted({name for s in graph["states"] for name in s["locked"]}):
        who = state["locked"].get(name)
        rows.append([name, "free" if who is None else
                     f"locked by {graph['threads'][who]}"])
    for name in sorted({name for s in graph["states"] for name in s["sleeping"]}):
        who = [graph["threads"][i] for i in state["sleeping"].get(name, [])]
        rows.append([name, f"{' and '.join(who)} sleep{'s' * (len(who) == 1)} on it"
                     if who else "nobody sleeps on it"])
    return rows


def tags(threads: list[str]) -> list[str]:
    """A letter or digit for each thread, to mark its place in the code."""
    found = [(re.findall(r"\d", name) or [name[:1].upper()])[-1] for name in threads]
    return found if len(set(found)) == len(found) else [chr(65 + i) for i in
                                                         range(len(threads))]


class Table:
    """Gives each thing a number, the same one for the same thing."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def __call__(self, thing: object) -> int:
        return self.known.setdefault(json.dumps(thing, ensure_ascii=False),
                                     len(self.known))

    def all(self) -> list:
        return [json.loads(key) for key in self.known]


def compact(graph: dict, label: str, show: Optional[list[int]]) -> dict:
    """What player.js needs, each thing once."""
    words, stands, panels = Table(), Table(), Table()
    code = code_of(graph)
    names = [part[0] for part in code]

    def stand(thread: Optional[dict]) -> int:
        if thread is None:
            return -1
        at = [[name, line] for name, line in [*thread["calls"],
              (thread["file"], thread["line"])] if name in names]
        return stands([thread["can"], words(thread["does"]), words(thread["why"]), at])

    states = [[panels(panel(graph, state)), *map(stand, state["threads"])]
              for state in graph["states"]]
    ways = [[step["from"], -1 if step["thread"] is None else step["thread"],
             step.get("to", -1),
             [[name or "", line or 0, words(does)]
              for name, line, does in step["does"]],
             *([step["end"], step["text"], f"{step['file']}:{step['line']}"
                if step["file"] else ""] if "end" in step else [])]
            for step in graph["steps"]]
    return {"label": label, "threads": graph["threads"], "tags": tags(graph["threads"]),
            "code": code, "orders": f"{graph['orders']:,}",
            "failing": f"{graph['failing']:,}", "show": show,
            "fewest": moves(graph, graph["shortest"]), "states": states, "steps": ways,
            "words": words.all(), "stands": stands.all(), "panels": panels.all()}


def moves(graph: dict, way: Optional[list[int]]) -> int:
    """How many steps of threads a way has."""
    return sum(graph["steps"][i]["thread"] is not None for i in way or ())


def schedule(graph: dict, ends: str = "") -> Optional[list[int]]:
    """The failing schedule that is shown: with few interruptions, so that one
    understands it."""
    if not ends:
        return graph["plain"]
    wanted = [step if step.get("end", "well") in ("well", ends) else
              {**step, "end": "well"} for step in graph["steps"]]
    return graphs.count(graph["states"], wanted)["plain"]


# --- the page ---

def outcome(graph: dict, step: dict) -> str:
    """What went wrong, in words."""
    about_all = step["text"].startswith(("no thread", "nothing", "all "))
    who = "" if step["thread"] is None or about_all else (
        graph["threads"][step["thread"]] + " ")
    return who + step["text"] + (f" ({step['file']}:{step['line']})"
                                 if step["file"] else "")


def table(graph: dict, way: list[int], label: str) -> str:
    """A schedule, for the printer and without JavaScript: a column a thread."""
    rows, wide = [], len(graph["threads"])
    for i in way:
        step = graph["steps"][i]
        for name, line, does in step["does"]:
            source = graph["source"][name][line - 1].strip() if name else ""
            cells = ["<td></td>"] * wide
            cells[step["thread"]] = f"<td>{html.escape(does)}</td>"
            where = (f"<code>{html.escape(source)}</code> <small>{name}:{line}</small>"
                     if name else "")
            rows.append(f"<tr><td>{len(rows) + 1}</td><td>{where}</td>"
                        + "".join(cells) + "</tr>\n")
    last = graph["steps"][way[-1]]
    left = graph["states"][last["from"]]["threads"]
    waits = "".join(f"<li>{html.escape(name)} {html.escape(thread['why'])}</li>\n"
                    for name, thread in zip(graph["threads"], left)
                    if last["thread"] is None and thread and thread["why"]
                    and thread["can"] != "ended")
    heads = "".join(f'<th scope="col">{html.escape(name)}</th>'
                    for name in ("step", "line", *graph["threads"]))
    return (f'<div class="player-table"><div tabindex="0" role="group" aria-label="'
            f'A schedule of {html.escape(label)} that goes wrong">\n<table>\n<caption>'
            f"{html.escape(label)}: a schedule that goes wrong, one of "
            f"{graph['failing']:,}. All in all there are {graph['orders']:,}."
            "</caption>\n"
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody>\n"
            f"</table>\n</div>\n<p><strong>Goes wrong:</strong> "
            f"{html.escape(outcome(graph, last))}.</p>\n"
            + (f"<ul>\n{waits}</ul>\n" if waits else "") + "</div>\n")


def renamed(graph: dict, names: dict[str, str]) -> dict:
    """The graph with other names for its threads; the source stays as it is."""
    said = json.dumps({**graph, "source": {}})
    for old, new in names.items():
        said = re.sub(rf"\b{re.escape(old)}\b", new, said)
    return {**json.loads(said), "source": graph["source"]}


@lru_cache(maxsize=None)
def graphs_of(name: str) -> list[dict]:
    """The graphs of the wrong and of the right program."""
    model = HOW[name]
    return [renamed(explored(model, code), model.names)
            for code in (model.wrong, model.right)]


@lru_cache(maxsize=None)
def explore_all() -> None:
    """Makes all graphs, side by side."""
    text()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(graphs_of, HOW))


def section_of(name: str, title: str, look: str, versions: list[dict],
               told: str) -> str:
    """The HTML of a model: its versions as JSON, and its table."""
    said = json.dumps(versions, ensure_ascii=False, separators=(",", ":"))
    title, said = html.escape(title), said.replace("<", "\\u003c")
    return (f'<section class="player" id="model-{name}" aria-labelledby="'
            f'model-{name}-title">\n<h3 id="model-{name}-title">Step through it: '
            f"{title}</h3>\n<p>{html.escape(look)}</p>\n"
            f'<script type="application/json">{said}</script>\n{told}</section>\n')


def section(name: str) -> str:
    """The HTML of a model of the book; nothing, where the explorer does not run."""
    model = HOW[name]
    try:
        explore_all()
    except (CannotBuild, OSError, subprocess.CalledProcessError) as problem:
        print(f"no threads to step through: {problem}", file=sys.stderr)
        return ""
    wrong, right = graphs_of(name)
    way = schedule(wrong, model.ends)
    return section_of(name, model.title, model.look,
                      [compact(wrong, model.wrong.label, way),
                       compact(right, model.right.label, None)],
                      table(wrong, way, model.wrong.label))


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<style>
%s</style>
</head>
<body>
<main>
<h1>%s</h1>
%s</main>
<script>
%s</script>
</body>
</html>
"""


def page_of(title: str, look: str, graph: dict, label: str) -> str:
    """A page with one program, for instance the reader's own."""
    way = graph["plain"]
    return page(title, section_of("own", graph["what"], look,
                                  [compact(graph, label, way)],
                                  table(graph, way, label) if way else ""))


def page(title: str, body: str) -> str:
    """A page that stands alone."""
    body = body.replace("<h3 ", "<h2 ").replace("</h3>", "</h2>")
    book, styles, script = ((HERE / name).read_text() for name in (
        "book.css", "player.css", "player.js"))
    return PAGE % (html.escape(title), book + styles, html.escape(title), body, script)


def main() -> None:
    """Says what the models have in them."""
    for name in sys.argv[1:] or HOW:
        size = len(section(name).encode())
        print(f"{name}, {size // 1000} KB")
        for code, graph in zip((HOW[name].wrong, HOW[name].right), graphs_of(name)):
            print(f"    {code.label}: {len(graph['states'])} states, "
                  f"{graph['orders']:,} schedules, {graph['failing']:,} go wrong"
                  + (f", the shortest after {moves(graph, graph['shortest'])} steps"
                     if graph["failing"] else ""))


if __name__ == "__main__":
    main()
