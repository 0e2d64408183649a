#!/usr/bin/env python3
"""Makes the book: TUTORIAL.md as pages for a browser, in one flat folder.

    tests/book/book.py [--print]

The pages go to build/book: a page for each part of the text (a long one is parted),
one for each listing, with whole files, and indexes. With --print Chromium makes a
PDF of it, too, build/book/book.pdf, with the answers at its end. Whatever is to be
known about the text, tests/text/model.py knows; prose.py and blocks.py make HTML of
it. player.py, if it is there, adds threads to step through.
"""
from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import string
import subprocess
import sys
import tempfile
from typing import Iterable

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests/text")]

try:
    import blocks
    from prose import Page, Prose
except ModuleNotFoundError as missing:
    # Packages of the system are not seen by a Python that is not the system's.
    if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])
    sys.exit(f"{missing}: make setup-book installs it")
from model import File, Text, content  # noqa: E402 (see above)
from owners import owners  # noqa: E402

try:
    import player
except ModuleNotFoundError:
    player = None

PAGE_MAX = 90_000  # bytes of the text; what is longer is parted at a heading
BOOK = ROOT / "build/book"
# Of the reader's own program: make timeline HTML=yes, make explore HTML=yes.
TIMELINE = ROOT / "build/timeline.svg"
EXPLORED = ROOT / "build/explore.html"


def unmarked(source: str) -> str:
    """The words of a piece of Markdown."""
    source = re.sub(r"\]\([^)]*\)|\[\^[^]]*\]:?|</?(details|summary|a\b)[^>]*>|[*`\[|]",
                    "", source)
    return re.sub(r"\s+", " ", source).strip()


def below(listing: str) -> str:
    """What belongs below a listing: threads to step through."""
    if player is None:
        return ""
    try:
        return "".join(player.section(name) for name, place in player.MODELS.items()
                       if place == listing)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{listing}: no threads to step through: {error}", file=sys.stderr)
        return ""


def name_of(title: str, anchor: str) -> str:
    """The name of a part's page."""
    step = re.match(r"(Step|Part) (\d+)", title)
    return f"{step[1].lower()}-{int(step[2]):02}" if step else anchor


def parted(text: Text, page: Page) -> list[Page]:
    """A part as pages none of which is too long."""
    at = [page.first, *(h.line for h in text.headings
                        if h.level == 3 and page.first < h.line <= page.last)]
    ends = [line - 1 for line in at[1:]] + [page.last]
    size = {line: len("\n".join(text.lines[line - 1:end]))
            for line, end in zip(at, ends)}
    wanted = sum(size.values()) / (1 + sum(size.values()) // PAGE_MAX)
    pages, length = [page], 0
    for line, end in zip(at, ends):
        if length + size[line] / 2 > wanted * len(pages):
            number = len(pages) + 1
            pages.append(
                Page(f"{page.name}-{number}", f"{page.title} ({number})", line))
        length += size[line]
        pages[-1].last = end
    return pages


def pages_of(text: Text) -> list[Page]:
    """The book's pages, in order; contents is not one of them."""
    parts = [h for h in text.headings if h.level == 2 and h.anchor != "contents"]
    ends = [h.line - 1 for h in parts[1:]] + [len(text.lines)]
    return [page for heading, end in zip(parts, ends) for page in parted(
        text, Page(name_of(heading.title, heading.anchor), heading.title,
                   heading.line, end))]


def turn(pages: list[Page], i: int) -> str:
    """Links to the page before the i-th and to the one after."""
    links = [f'<a rel="{rel}" href="{pages[j].name}.html"><span>{word}</span> '
             f"{blocks.escape(pages[j].title)}</a>"
             for rel, word, j in (("prev", "Back:", i - 1), ("next", "Next:", i + 1))
             if 0 <= j < len(pages)]
    return f'<nav class="turn" aria-label="Pages">{"".join(links)}</nav>\n'


def table(heads: list[str], rows: Iterable[list[str]]) -> str:
    """A table, which scrolls by itself."""
    return ('<div class="wide"><table>\n<thead><tr>'
            + "".join(f'<th scope="col">{head}</th>' for head in heads)
            + "</tr></thead>\n<tbody>\n"
            + "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>\n" for row in rows)
            + "</tbody></table></div>\n")


class Book:
    """All pages, and where what stands in the text is found in them."""

    def __init__(self, text: Text, printed: bool):
        self.text, self.printed = text, printed
        self.pages = pages_of(text)
        self.template = string.Template((HERE / "page.html").read_text())
        self.made: dict[str, str] = {}
        self.prose = Prose(text, self.href, below)
        self.where = {h.anchor: self.page_of(h.line) for h in text.headings}
        for line in text.prose:
            for anchor in re.findall(r'id="([^"]*)"', line.text):
                self.where[anchor] = self.page_of(line.origin)
        for listing in text.listings.values():
            self.where[f"listing-{listing.id}"] = self.page_of(listing.line)
        self.files: dict[str, str] = {}  # of the repository, and the pages with them
        self.latest = self.latest_files()

    def page_of(self, line: int) -> str:
        """The name of the page on which a line of the text stands."""
        return next((p.name for p in self.pages if p.first <= line <= p.last), "index")

    def latest_files(self) -> dict[str, dict[str, str]]:
        """For each listing and each of its files, the listing that has it as it is
        there, whole."""
        seen: dict[tuple[str, str], str] = {}
        found: dict[str, dict[str, str]] = {}
        for listing in self.text.listings.values():
            for path, file in listing.after.items():
                if listing.before.get(path) != file:
                    seen[path, content(file)] = listing.id
            found[listing.id] = {
                path: seen.setdefault((path, content(file)), listing.id)
                for path, file in listing.after.items()}
        return found

    # ---- links

    def href(self, target: str, page: str) -> str:
        """Where a link of the text leads in the book."""
        path, _, anchor = target.partition("#")
        if re.match(r"\w+:", target):
            return target
        if not path:
            there = self.where[anchor]
            return f"#{anchor}" if there == page else f"{there}.html#{anchor}"
        name = "file-" + path.strip("/").replace("/", "-").replace(".", "-")
        self.files[path] = name
        return f"{name}.html"

    # ---- pages

    def write(self, name: str, title: str, body: str, turn: str = "", head: str = ""
              ) -> None:
        """Keeps a page."""
        if 'class="player"' in body:
            head += ('<link rel="stylesheet" href="player.css">\n'
                     '<script src="player.js" defer></script>\n')
        whole = title if name == "index" else f"{title} · A web server in C"
        self.made[f"{name}.html"] = self.template.substitute(
            title=blocks.escape(whole.replace("`", "")), head=head, body=body,
            turn=turn)

    def write_parts(self) -> None:
        around = [Page("index", "Contents"), *self.pages,
                  Page("functions", "Functions")]
        for i, page in enumerate(self.pages, 1):
            body = self.prose.page(page)
            if not body.startswith("<h1"):
                body = f"<h1>{blocks.escape(page.title)}</h1>\n{body}"
            items = "".join(f'<li><a href="#{anchor}">{blocks.escape(title)}</a></li>\n'
                            for anchor, title in page.sections)
            if len(page.sections) > 1:
                body = body.replace("</h1>\n", (
                    '</h1>\n<nav class="toc" aria-label="On this page"><details>'
                    f"<summary>On this page</summary>\n<ol>\n{items}</ol></details>"
                    "</nav>\n"), 1)
            self.write(page.name, page.title, body, turn(around, i))

    def write_contents(self) -> None:
        """The first page: what the course is, its parts, and what one has done."""
        top = Page("index", "", 1, self.text.lines.index("## Contents"))
        items = ""
        for page in self.pages:
            ticks = self.prose.ticks[page.name]
            time = re.search(r"\*\*Time:\*\* (\d+) minutes", "\n".join(
                self.text.lines[page.first:page.first + 6]))
            aside = f"<small>{time[1]} minutes</small>" if time else ""
            items += (f'<li data-ticks="{" ".join(ticks)}"><a href="{page.name}.html">'
                      f"{blocks.escape(page.title)}</a> {aside}</li>\n")
        items += ('<li><a href="functions.html">Functions, and where they are '
                  'written</a></li>\n')
        if TIMELINE.exists():
            items += ('<li><a href="timeline.html">Who waits for whom: your own '
                      'program, measured</a></li>\n')
        if EXPLORED.exists():
            items += ('<li><a href="explore.html">Threads to step through: your own '
                      'program</a></li>\n')
            self.made["explore.html"] = EXPLORED.read_text()
        if self.printed or (BOOK / "book.pdf").exists():
            items += '<li><a href="book.pdf">The book for print (PDF)</a></li>\n'
        body = (f'{self.prose.page(top)}<h2 id="contents">Contents</h2>\n'
                f'<ol class="contents">\n{items}</ol>\n')
        self.write("index", self.text.headings[0].title, body)

    def write_listings(self) -> None:
        """A listing's page: the files that it changes, whole; where the others are."""
        around = [Page(f"listing-{id_}", id_.replace("solution-", "Solution "))
                  for id_ in self.text.listings]
        for i, listing in enumerate(self.text.listings.values()):
            name = listing.id.replace("solution-", "Solution ")
            name = name if name[0] == "S" else f"Listing {name}"
            anchor = name.lower().replace(" ", "-")
            body = (f"<h1>{name}: {self.prose.line(listing.title)}</h1>\n"
                    '<p>The files as they stand after '
                    f'<a href="{self.page_of(listing.line)}.html#{anchor}">{name}</a>. '
                    "Lines that it brings are marked.</p>\n")
            others = []
            for path, file in sorted(listing.after.items()):
                there = self.latest[listing.id][path]
                if there == listing.id:
                    body += self.marked(path, file, listing.before.get(path, ()))
                else:
                    others.append(f'<a href="listing-{there}.html#{path}">{path}</a>')
            if others:
                body += f"<p>As they were: {', '.join(others)}.</p>\n"
            self.write(f"listing-{listing.id}", f"{name}: {listing.title}", body,
                       turn(around, i))

    def marked(self, path: str, file: File, before: File) -> str:
        """A file, whole; the lines that were not there before are marked."""
        old = {line.origin for line in before} - {0}
        return f'<div id="{path}">' + blocks.file(
            path, [line.text for line in file],
            is_new=lambda i: file[i].origin not in old) + "</div>\n"

    def write_files(self) -> None:
        """What the text links to in the repository: a step's files, or a file."""
        ends = {end.folder: end for end in self.text.ends}
        for path, name in self.files.items():
            if path in ends:
                body = f"<h1><code>{path}</code></h1>\n<p>Its files:</p>\n<ul>\n"
                latest = {}  # which listing was the last to change a file
                for listing in self.text.listings.values():
                    if listing.line < ends[path].line:
                        for changed, file in listing.after.items():
                            latest[changed, content(file)] = self.latest[
                                listing.id][changed]
                body += "".join(
                    f'<li><a href="listing-{latest[file, content(lines)]}.html#{file}">'
                    f"<code>{file}</code></a></li>\n"
                    for file, lines in sorted(ends[path].files.items())) + "</ul>\n"
            else:
                lines = (ROOT / path).read_text().split("\n")[:-1]
                body = f"<h1><code>{path}</code></h1>\n{blocks.file(path, lines)}"
            self.write(name, path, body)

    # ---- indexes

    def write_functions(self) -> None:
        """An index: of the course's own functions and types, and of the system's."""
        mine: dict[str, dict[str, str]] = {}
        for listing in self.text.listings.values():
            if listing.id.startswith("solution") or listing.undo:
                continue
            for path, file in listing.after.items():
                if not path.endswith((".c", ".h")) or "/" in path:
                    continue
                old = {line.origin for line in listing.before.get(path, ())}
                for line, owner in zip(file, owners([line.text for line in file])):
                    if owner and owner[0] != "_" and line.origin not in old:
                        mine.setdefault(owner, {})[listing.id] = path
        rows = [[f"<code>{name}</code>", ", ".join(dict.fromkeys(where.values())),
                 ", ".join(f'<a href="{self.href("#listing-" + key, "")}">{key}</a>'
                           for key in where)] for name, where in sorted(
                               mine.items(), key=lambda item: item[0].lower())]
        self.write("functions", "Functions", (
            '<h1>Functions</h1>\n<h2 id="ours">Those of the course</h2>\n'
            "<p>Functions and types, and the listings that write or change them.</p>\n"
            + table(["name", "file", "listings"], rows)
            + '<h2 id="system">Those of the system</h2>\n'
            "<p>The header that brings each, and where the text explains it.</p>\n"
            + table(["name", "header", "explained in"], self.system_rows())))

    def system_rows(self) -> list[list[str]]:
        """Functions of the system for which the text names the header."""
        found: dict[str, list[str]] = {}
        for line in self.text.prose:
            for name, header in re.findall(
                    r"`(\w+)(?:\([^`]*)?`[^`]{0,50}`<([\w/.]+)>`", line.text):
                heading = [h for h in self.text.headings if h.line <= line.origin][-1]
                found.setdefault(name, [
                    f"<code>{name}</code>", f"<code>&lt;{header}&gt;</code>",
                    f'<a href="{self.href("#" + heading.anchor, "")}">'
                    f"{self.prose.line(heading.title)}</a>"])
        return [found[name] for name in sorted(found, key=str.lower)]

    def write_search(self) -> None:
        """The page that searches, and what it searches: each section's words."""
        self.write("search", "Search", (
            '<h1>Search</h1>\n<p id="found" role="status"></p>\n'
            '<ol class="found"></ol>\n<noscript><p>The search needs JavaScript. The '
            '<a href="index.html">contents</a> and the <a href="functions.html">index'
            "</a> do not.</p></noscript>\n"),
                   head='<script src="search-index.js" defer></script>\n')
        index, bounds = [], [
            h for h in self.text.headings if h.line >= self.pages[0].first]
        ends = [h.line for h in bounds[1:]] + [len(self.text.lines) + 1]
        prose = {line.origin: line.text for line in self.text.prose if not re.match(
            r"(In|New file) `|\*\*(Listing|Solution) ", line.text)}
        for heading, end in zip(bounds, ends):
            words = " ".join(prose.get(i, "") for i in range(heading.line + 1, end))
            part = [h.title for h in self.text.headings
                    if h.level == 2 and h.line <= heading.line][-1]
            index.append([self.href("#" + heading.anchor, ""), part, heading.title,
                          unmarked(words)])
        for line in prose.values():
            if match := re.match(r'\| <a id="([^"]*)"></a>(.*?) \| (.*?) \|', line):
                index.append([self.href("#" + match[1], ""), "Words",
                              unmarked(match[2]), unmarked(match[3])])
        self.made["search-index.js"] = "const INDEX = " + json.dumps(
            index, ensure_ascii=False, separators=(",", ":")) + ";\n"

    def write_rest(self) -> None:
        self.write("404", "Not found", "<h1>There is no such page</h1>\n<p>The <a href="
                   '"/index.html">contents</a> name all there are.</p>\n')
        if TIMELINE.exists():
            picture = TIMELINE.read_text()
            what = re.search(r"<desc>(.*?)</desc>", picture, re.S)[1]
            self.made["timeline.svg"] = picture
            self.write("timeline", "Who waits for whom", "<h1>Who waits for whom</h1>\n"
                       "<p>Measured on this machine, by <code>make timeline</code>"
                       f'.</p>\n<p><img src="timeline.svg" alt="{what}"></p>\n')

    def make(self) -> None:
        """All pages, into a folder that holds nothing else, but a PDF made before."""
        self.write_parts()
        self.write_contents()
        self.write_listings()
        self.write_files()
        self.write_functions()
        self.write_search()
        self.write_rest()
        BOOK.mkdir(parents=True, exist_ok=True)
        for path in BOOK.iterdir():
            if path.name != "book.pdf":
                path.unlink()
        for name, text in self.made.items():
            (BOOK / name).write_text(text)
        for path in [*ROOT.glob("assets/*.svg"), *HERE.glob("*.css"),
                     *HERE.glob("*.js"), *HERE.glob("*.svg")]:
            shutil.copy(path, BOOK)


def long_page(text: Text) -> str:
    """All parts on one page, for the printer, with their answers at its end."""
    prose = Prose(text, lambda target, _: target if target[0] == "#" or ":" in target
                  else "", below, for_print=True)
    body = prose.page(Page("front", "", 1, text.lines.index("## Contents")))
    body += '<h2 id="contents">Contents</h2>\n<ul>\n' + "".join(
        f'<li><a href="#{h.anchor}">{blocks.escape(h.title)}</a></li>\n'
        for h in text.headings if h.level == 2 and h.anchor != "contents")
    body += '<li><a href="#answers">Answers</a></li>\n</ul>\n'
    for page in pages_of(text):
        body += f'<section class="part">\n{prose.page(page)}</section>\n'
    return string.Template((HERE / "print.html").read_text()).substitute(
        title=text.headings[0].title, body=body + prose.printed_answers())


def print_book(text: Text) -> None:
    """Has Chromium print it."""
    page = BOOK / "print.html"
    page.write_text(long_page(text))
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run([
            chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync",
            f"--user-data-dir={profile}", "--no-pdf-header-footer",
            "--generate-pdf-document-outline",
            f"--print-to-pdf={BOOK / 'book.pdf'}", page.as_uri()],
            check=True, stderr=subprocess.DEVNULL, timeout=300)
    page.unlink()


def chromium() -> str:
    """The browser."""
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser",
                 "google-chrome"):
        if name and (found := shutil.which(name)):
            return found
    sys.exit("Chromium is missing: make setup-book installs it")


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--print"]):
        print(__doc__, file=sys.stderr)
        return 2
    text = Text(ROOT / "TUTORIAL.md", ROOT, compare=False)
    if text.errors:
        print(text.report(), end="", file=sys.stderr)
        return 1
    Book(text, bool(arguments)).make()
    print(f"{BOOK.relative_to(ROOT)}: {sum(1 for _ in BOOK.glob('*.html'))} pages")
    if arguments:
        print_book(text)
        print(f"{BOOK.relative_to(ROOT)}/book.pdf")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
