"""The text's prose as HTML: its links lead to the book's pages, its blocks, captions
and exercises become what one can copy, tick and unfold."""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Callable, Optional

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin

import blocks
from model import CAPTION, Text

BEFORE_YOU_READ_ON = re.compile("before you read on", re.I)
LISTING = re.compile(r"\b([Ll]isting \d+-\d+[a-z]?)\b")
EXERCISE = re.compile(r"\*\*(\d+-\d+)\.\*\*")
NOTE = re.compile(r"^\[\^([^]]+)\]: ", re.M)


@dataclass
class Page:
    """A page of the book, and which lines of the text stand on it."""
    name: str  # without .html
    title: str
    first: int = 0
    last: int = 0
    sections: list[tuple[str, str]] = field(default_factory=list)  # anchor, title


@dataclass
class Answer:
    """What was folded, for the end of the printed book."""
    name: str
    anchor: str
    tokens: list[Token]
    notes: dict  # of the page


def raw(text: str) -> Token:
    """What is HTML already."""
    return Token("html_block", "", 0, content=text)


def inline_code(_, tokens: list[Token], i: int, *__) -> str:
    """Code in a sentence; what is short is not broken."""
    whole = ' class="whole"' if len(tokens[i].content) < 18 else ""
    return f"<code{whole}>{blocks.escape(tokens[i].content, quote=False)}</code>"


def plain(inline: Token) -> str:
    """What a paragraph says, without its marks."""
    return "".join(child.content or " " for child in inline.children or []).strip()


class Prose:
    """Renders pages. `href` says where a link of the text leads, `after` what
    belongs below a listing. For print, nothing is folded."""

    def __init__(self, text: Text, href: Callable[[str, str], str],
                 after: Callable[[str], str], for_print: bool = False):
        self.text, self.href, self.after, self.print = text, href, after, for_print
        self.headings = {heading.line: heading for heading in text.headings}
        self.answers: list[Answer] = []
        self.ticks: dict[str, list[str]] = {}  # of each page, what can be done
        self.markdown = MarkdownIt("commonmark", {"html": True}).enable(
            "table").use(footnote_plugin)
        self.markdown.add_render_rule("footnote_block_open", lambda *_:
                                      '<section class="notes"><h2>Notes</h2><ol>\n')
        self.markdown.add_render_rule("code_inline", inline_code)
        self.markdown.add_render_rule("table_open", lambda *_:
                                      '<div class="wide"><table>\n')
        self.markdown.add_render_rule("table_close", lambda *_: "</table></div>\n")

    def page(self, page: Page) -> str:
        """The page's text as HTML; notes that it shares with others are repeated."""
        lines = self.text.lines[page.first - 1:page.last]
        source = "\n".join(lines) + "\n"
        used = set(re.findall(r"\[\^([^]]+)\](?!:)", source))
        for name in sorted(used - set(NOTE.findall(source))):
            source += f"\n[^{name}]: {self.text.notes[name].text}\n"
        env = {"docId": page.name} if self.print else {}
        tokens = self.markdown.parse(source, env)
        tokens = self._shaped(tokens, page)
        tokens = self._folded(tokens)
        if self.print:
            tokens = self._unfolded(tokens, page, env)
        return self.markdown.renderer.render(tokens, self.markdown.options, env)

    def line(self, source: str) -> str:
        """A line of Markdown."""
        return self.markdown.renderInline(source)

    # ---- what each paragraph is

    def _shaped(self, tokens: list[Token], page: Page) -> list[Token]:
        """Headings with anchors, blocks, captions, exercises; links that lead on."""
        made: list[Token] = []
        listing, last_block = "", -1
        ticks = self.ticks[page.name] = []
        i = 0
        while i < len(tokens):
            token = tokens[i]
            line = page.first + token.map[0] if token.map else 0
            if token.type == "inline":
                self._links(token, page.name)
            if token.type == "heading_open":
                self._player(made, listing, last_block)
                listing = plain(tokens[i + 1])  # a section may have one, too
                self._heading(token, tokens[i + 1], line, page)
                tokens[i + 2].tag = token.tag
            if token.type == "fence":
                body = token.content.split("\n")[:-1]
                made.append(raw(blocks.block(token.info, body)))
                if not token.info.startswith("console") and not (
                        listing[:1].isdigit() and " example " in token.info):
                    last_block = len(made)
            elif token.type == "paragraph_open" and (
                    match := CAPTION.match(tokens[i + 1].content)):
                self._player(made, listing, last_block)
                made.append(raw(self._caption(tokens[i + 1].content, match)))
                listing = made[-1].meta["listing"] = (
                    "solution-" if match[1] == "Solution" else "") + match[2]
                if match[1] == "Listing":
                    ticks.append(f"listing-{listing}")
                i += 2
            else:
                if token.type == "paragraph_open" and (
                        match := EXERCISE.match(tokens[i + 1].content)):
                    token.attrs = {"class": "exercise", "id": f"exercise-{match[1]}"}
                    ticks.append(token.attrs["id"])
                elif token.type == "paragraph_open" and "**You need**" in (
                        tokens[i + 1].content):
                    token.attrs = {"class": "goal"}
                    for child in tokens[i + 1].children:
                        child.type = child.type.replace("softbreak", "hardbreak")
                made.append(token)
            i += 1
        self._player(made, listing, last_block)
        return made

    def _player(self, made: list[Token], listing: str, at: int) -> None:
        """What belongs to a listing, or to a section, goes below its last block."""
        html = self.after(listing) if listing else ""
        if html:
            made.insert(at, raw(html))

    def _heading(self, token: Token, inline: Token, line: int, page: Page) -> None:
        """The title of a part is the page's, and all others follow."""
        heading = self.headings[line]
        token.tag = f"h{max(1, heading.level - 1)}"
        token.attrs = {"id": heading.anchor}
        if heading.level == 3 or heading.title in ("Quiz", "Exercises"):
            page.sections.append((heading.anchor, plain(inline)))

    def _caption(self, source: str, match: re.Match) -> str:
        key = ("solution-" if match[1] == "Solution" else "") + match[2]
        badges = "".join(f' <em class="badge">{part.strip("*")}</em>' for part in
                         source[match.end():].split(" · ") if part.startswith("*"))
        link = "" if self.print else (f' <a href="listing-{key}.html"><span>Listing '
                                      f"{match[2]}: </span>whole files</a>")
        return (f'<p class="caption" id="{match[1].lower()}-{match[2]}"><strong>'
                f"{match[1]} {match[2]}: {self.line(match[3])}</strong>{badges}{link}"
                "</p>\n")

    def _links(self, inline: Token, page: str) -> None:
        """Links lead to the book's pages, and so do listings that are named; a link
        that leads nowhere becomes words."""
        made: list[Token] = []
        leads, inside = True, 0
        for child in inline.children or []:
            inside += child.nesting * child.type.startswith("link_")
            if child.type == "link_open":
                child.attrs["href"] = self.href(child.attrs["href"], page)
                leads = child.attrs["href"] != ""
            elif child.type == "image":
                self._picture(child)
            if child.type == "text" and not inside:
                made += self._with_listings(child.content, page)
            elif leads or not child.type.startswith("link_"):
                made.append(child)
        inline.children = made

    def _with_listings(self, words: str, page: str) -> list[Token]:
        """Words, in which the names of listings are links."""
        made = []
        for i, part in enumerate(LISTING.split(words)):
            name = part[len("Listing "):]
            made.append(Token("text", "", 0, content=part))
            if i % 2 and name in self.text.listings:
                href = self.href(f"#listing-{name}", page)
                made[-1:] = [Token("link_open", "a", 1, attrs={"href": href}), made[-1],
                             Token("link_close", "a", -1)]
        return made

    def _picture(self, image: Token) -> None:
        """A picture's file stands beside the page; its size is known beforehand."""
        image.attrs["src"] = image.attrs["src"].rpartition("/")[2]
        picture = (self.text.root / "assets" / image.attrs["src"]).read_text()
        size = re.search(r'width="(\d+)" height="(\d+)"', picture)
        image.attrs.update(width=size[1], height=size[2])

    # ---- what is folded

    def _folded(self, tokens: list[Token]) -> list[Token]:
        """Where the reader is to try it first, the listing's code is folded."""
        if self.print:
            return tokens
        made: list[Token] = []
        wait = fold = False
        depth = 0
        for i, token in enumerate(tokens):
            if token.type == "inline" and BEFORE_YOU_READ_ON.search(plain(token)):
                wait = True
            if fold and depth == 0 and not self._is_code(tokens, i):
                made.append(raw("</details>\n"))
                fold = False
            made.append(token)
            depth += token.nesting
            if wait and token.meta.get("listing"):
                made.append(raw('<details class="try"><summary>Show how</summary>\n'))
                wait, fold = False, True
        return made

    def _is_code(self, tokens: list[Token], i: int) -> bool:
        """Is this a block of code, or the line that says for which file it is?"""
        token = tokens[i]
        if token.type == "paragraph_open":
            return bool(re.match(r"(In|New file) `", tokens[i + 1].content))
        return bool(re.search('class="pane (diff|file)"', token.content))

    def _unfolded(self, tokens: list[Token], page: Page, env: dict) -> list[Token]:
        """For print: answers go to the end, and a line says where."""
        made: list[Token] = []
        hidden: Optional[list[Token]] = None
        exercise, question = "", 0
        step = re.match(r"(?:Step|Part) \d+", page.title)
        for token in tokens:
            if token.attrs.get("class") == "exercise":
                exercise = token.attrs["id"].partition("-")[2]
            if token.type == "html_block" and token.content.startswith("<details"):
                question += not exercise
                name = (f"Exercise {exercise}" if exercise else
                        f"{step[0] if step else page.title}, question {question}")
                anchor = "answer-" + re.sub(r"\W+", "-", name.lower())
                hidden = []
                self.answers.append(Answer(name, anchor, hidden, env))
                made.append(raw(f'<p class="see" id="to-{anchor}"><a href="#{anchor}">'
                                f"Answer: {name}</a>, at the end of the book.</p>\n"))
                rest = token.content.partition("</summary>")[2]
                hidden += [raw(rest)] if rest.strip() else []
            elif hidden is not None and token.content.strip() == "</details>":
                hidden = None
            else:
                (made if hidden is None else hidden).append(token)
        return made

    def printed_answers(self) -> str:
        """All answers, for the end of the printed book."""
        made = '<section class="part">\n<h1 id="answers">Answers</h1>\n'
        for answer in self.answers:
            made += (f'<h3 id="{answer.anchor}"><a href="#to-{answer.anchor}">'
                     f"{answer.name}</a></h3>\n")
            made += self.markdown.renderer.render(
                answer.tokens, self.markdown.options, answer.notes)
        return made + "</section>\n"
