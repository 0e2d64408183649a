#!/usr/bin/env python3
"""What is written from a text, and what is said of its references: each tried on a
copy of the repository that was changed in one way. None knows a name of the
course: functions, tests and wrong programs are found there.

    tests/text/test_written.py [-k WORD]
"""
from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from typing import Any

from merge import follow, renamed, renames
from model import Text
from owners import owners

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from runner import report  # noqa: E402 (where it is had to be said first)

COPIED = ("TUTORIAL.md", "README.md", "Makefile", "LICENSE", ".github", "assets",
          "steps", "final", "tests")


class Copy(unittest.TestCase):
    """A copy of the repository, without history, for each test."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name) / "copy"
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.root / name)
            else:
                self.root.mkdir(exist_ok=True)
                shutil.copy(ROOT / name, self.root / name)
        self.tutorial = self.root / "TUTORIAL.md"
        self.steps = sorted(f"steps/{path.name}" for path in
                            (self.root / "steps").iterdir())

    def functions(self) -> list[str]:
        """Those of the first step that the prose names, too, and that change."""
        text, first = self.tutorial.read_text(), self.root / self.steps[0] / "main.c"
        return [name for name in dict.fromkeys(owners(first.read_text().split("\n")))
                if name and f"`{name}`" in text and f"\n@@ {name} @@\n" in text]

    def spoil(self, pattern: str, new: str, name: str = "TUTORIAL.md",
              count: int = 0) -> int:
        """Replaces in a file. Returns the line of the first place."""
        path = self.root / name
        old = path.read_text()
        place = re.search(pattern, old, re.M)
        assert place, f"{pattern} is not in {name}"
        path.write_text(re.sub(pattern, new, old, count=count, flags=re.M))
        return old[:place.start()].count("\n") + 1

    def call(self, *command: str) -> tuple[int, str]:
        done = subprocess.run([self.root / "tests/text" / command[0], *command[1:]],
                              text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def files(self) -> dict[str, str]:
        return {str(path.relative_to(self.root)): path.read_text()
                for folder in ("steps", "tests/wrong")
                for path in (self.root / folder).rglob("*")
                if path.suffix in (".c", ".h", ".patch") or path.name == "Makefile"}


class Update(Copy):
    def test_changes_nothing_where_all_is_fresh(self) -> None:
        before = self.files(), (self.root / "README.md").read_text()
        self.assertEqual(self.call("update", "--check")[0], 0)
        self.assertEqual(self.call("update")[0], 0)
        self.assertEqual(before, (self.files(), (self.root / "README.md").read_text()))

    def test_a_renamed_function_reaches_every_step(self) -> None:
        name = self.functions()[0]
        self.spoil(rf"\b{name}\b", "another_name")
        status, said = self.call("update", "--check")
        self.assertEqual(status, 1)
        self.assertRegex(said, r"steps/01-[\w-]+/main.c:\d+ is not what TUTORIAL.md:\d+ ")
        self.assertIn("run make update", said)
        self.assertEqual(self.call("update")[0], 0)
        for file, text in self.files().items():
            self.assertNotRegex(text, rf"\b{name}\(", file)
        self.assertEqual(self.call("update", "--check")[0], 0)

    def test_what_the_text_says_of_itself_is_written(self) -> None:
        fresh = self.tutorial.read_text()
        self.spoil(r"\*\*Time:\*\* \d+ minutes", "**Time:** 7 minutes", count=1)
        self.spoil(r"^\*\*You need\*\* step \d+", "**You need** step 77", count=1)
        self.spoil(r"^- \[Step 3: .*\n", "", count=1)
        line = self.spoil(r"^- \[Step 2: .*\]", "- [Step 2: Another title]", count=1)
        status, said = self.call("update", "--check")
        self.assertEqual(status, 1)
        self.assertIn(f"TUTORIAL.md:{line}: what the text says of itself", said)
        self.assertEqual(self.call("update")[0], 0)
        self.assertEqual(fresh, self.tutorial.read_text())

    def test_a_broken_link_does_not_stop_it(self) -> None:
        readme = (self.root / "README.md").read_text()
        line = self.spoil(r"\(#step-2", "(#step-22", count=1)
        self.spoil(r"^(\| \[02-.*) \d+ \|$", r"\1 99 |", "README.md")
        status, said = self.call("update")
        self.assertEqual(status, 1)
        self.assertIn(f"TUTORIAL.md:{line}: no heading has this anchor", said)
        self.assertEqual(readme, (self.root / "README.md").read_text())

    def test_the_example_has_the_functions_of_its_step(self) -> None:
        example = self.root / "final/examples/glib_server.c"
        fresh = example.read_text()
        line = next(line for line in fresh.split("\n") if line.startswith("    if "))
        self.spoil(re.escape(line), line + " /* spoilt */", str(
            example.relative_to(self.root)), count=1)
        self.assertEqual(self.call("update", "--check")[0], 1)
        self.assertEqual(self.call("update")[0], 0)
        self.assertEqual(fresh, example.read_text())

    def test_a_listing_with_a_letter_goes_on_from_the_one_to_undo(self) -> None:
        listings = Text(self.tutorial, self.root).listings
        letter = next(key for key, listing in listings.items() if listing.undo
                      and key[:-1] in listings and listings[key[:-1]].undo)
        first = listings[letter[:-1]]
        brought = {line.text for name, file in first.after.items() for line in file
                   } - {line.text for file in first.before.values() for line in file}
        folder = self.root / "after"
        self.assertEqual(self.call("listing", letter, str(folder))[0], 0)
        there = {line for path in folder.glob("*.c")
                 for line in path.read_text().split("\n")}
        self.assertTrue(brought & there)

    def test_a_changed_step_is_written_again(self) -> None:
        fresh = self.files()
        self.spoil("accept", "except", f"{self.steps[2]}/main.c")
        self.assertEqual(self.call("update", "--check")[0], 1)
        self.assertEqual(self.call("update")[0], 0)
        self.assertEqual(fresh, self.files())

    def test_a_file_that_the_text_does_not_have_goes(self) -> None:
        extra = self.root / f"{self.steps[2]}/old.c"
        extra.write_text("int old;\n")
        self.assertEqual(self.call("update", "--check")[0], 1)
        self.assertTrue(extra.exists())
        self.assertEqual(self.call("update")[0], 0)
        self.assertFalse(extra.exists())

    def test_a_hunk_that_has_moved_is_found_again(self) -> None:
        fresh = self.files()
        patch = next((self.root / "tests/wrong").glob("*/*.patch"))
        name = str(patch.relative_to(self.root))
        self.spoil(r"^@@ -(\d+)", r"@@ -1\1", name)
        self.assertEqual(self.call("update", "--check")[0], 1)
        self.assertEqual(self.call("update")[0], 0)
        self.assertEqual(fresh, self.files())

    def test_a_hunk_that_fits_no_more_is_named(self) -> None:
        name, wanted = next(
            (str(path.relative_to(self.root)), found)
            for path in sorted((self.root / "tests/wrong").glob("*/*.patch"))
            if (found := re.search(r"(?m)^-( .*)", path.read_text().split("+++")[1])))
        line = self.spoil("^-" + re.escape(wanted[1]), "-    nowhere();", name)
        status, said = self.call("update")
        self.assertEqual(status, 1)
        self.assertIn(name, said)
        self.assertIn("nowhere();", said)
        above = (self.root / name).read_text().split("\n")[:line]
        hunk = max(i for i, one in enumerate(above, 1) if one.startswith("@@"))
        self.assertIn(f"{name}:{hunk}: this hunk no longer applies", said)
        self.assertRegex(said, r"\+ what steps/\d\d-[\w-]+/\w+\.[ch]:\d+ has")

    def test_the_table_counts_changed_lines(self) -> None:
        fresh = (self.root / "README.md").read_text()
        self.spoil(r"^(\| \[02-.*) \d+ \|$", r"\1 99 |", "README.md")
        self.assertEqual(self.call("update", "--check")[0], 1)
        self.assertEqual(self.call("update")[0], 0)
        self.assertEqual(fresh, (self.root / "README.md").read_text())

    def test_a_patch_has_a_first_message_and_any_labels(self) -> None:
        name = str(next((self.root / "tests/wrong").glob("*/*.patch"))
                   .relative_to(self.root))
        fresh = (self.root / name).read_text()
        self.spoil(r"^(---|\+\+\+) [ab]/(.*)", r"\1 new/\2\t2026-11-21", name)
        self.assertEqual(self.call("update")[0], 0)
        self.assertEqual(fresh, (self.root / name).read_text())
        self.spoil("^First: .*\n", "", name)
        self.assertIn(f"{name}:1: it has no line First:", self.call("update")[1])

    def test_a_new_step_is_written_with_its_row(self) -> None:
        self.spoil("^## Step 3: (.*)", r"""\
## Step 3: Nothing new

**You need** nothing. **Time:** 10 minutes, and 0 for the exercises.

At this point your folder equals [`steps/03-nothing`](steps/03-nothing).

## Step 3: \1""", count=1)
        status, said = self.call("update")
        self.assertEqual(status, 1)
        self.assertIn("README.md: say in its row what one learns in 03-nothing", said)
        self.assertIn("| [03-nothing](steps/03-nothing) | Step 3: Nothing new | 0 |",
                      (self.root / "README.md").read_text())
        self.assertIn("- [Step 3: Nothing new](#step-3-nothing-new)\n",
                      self.tutorial.read_text())
        self.assertEqual((self.root / "steps/03-nothing/main.c").read_text(),
                         (self.root / self.steps[1] / "main.c").read_text())
        self.spoil(r"\| Step 3: Nothing new \|", "| nothing |", "README.md")
        self.assertEqual(self.call("update", "--check")[0], 0)


class History(Copy):
    """What asks git."""

    def setUp(self) -> None:
        super().setUp()
        for words in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c",
                      "user.email=x", "commit", "-qm", "x"]):
            subprocess.run(["git", *words], cwd=self.root, check=True)

    def test_there_and_back_every_number_is_what_it_was(self) -> None:
        for words in (["08"], ["09", "-1"]):
            done = subprocess.run(["tests/ci/renumber", *words], cwd=self.root,
                                  stdout=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 0)
            text = Text(self.tutorial, self.root, compare=False)
            self.assertEqual(text.report(), "")
        changed = subprocess.run(["git", "diff", "--stat", "HEAD"], cwd=self.root,
                                 text=True, stdout=subprocess.PIPE).stdout
        self.assertEqual(changed, "")

    def says(self, **environment: str) -> str:
        return subprocess.run(
            [self.root / "tests/text/replay", "--since", "HEAD", "--no-run"], text=True,
            stdout=subprocess.PIPE, env={**os.environ, **environment}).stdout

    def test_what_differs_is_run_of_the_first_and_the_last_step(self) -> None:
        self.assertIn("what runs is that of HEAD", self.says(ALL=""))
        self.tutorial.write_text("A line more.\n" + self.tutorial.read_text())
        self.assertIn("what runs is that of HEAD", self.says(ALL=""))
        text = self.tutorial.read_text()
        parts = re.split(r"(?m)^(?=## )", text)
        for i, part in enumerate(parts):  # an output more in three steps
            if re.match("## Step [246]:", part):
                parts[i] = re.sub(r"(?ms)^(```console\n\$ .*?\n)```$", r"\1x\n```",
                                  part, count=1)
        self.tutorial.write_text("".join(parts))
        self.assertIn("2 stretches, of step 2, 6\n", self.says(ALL=""))
        self.assertIn("3 stretches, of step 2, 4, 6\n", self.says(ALL="1"))


class Merge(unittest.TestCase):
    """What a wrong program becomes when the text changes."""

    def both(self, base: str, wrong: str, new: str) -> Any:
        made = follow(*(words.split("|") for words in (base, wrong, new)))
        return made and "|".join(made)

    def test_lines_side_by_side(self) -> None:
        self.assertEqual(self.both("a|b|c", "a|x|c", "a|b|y"), "a|x|y")
        self.assertEqual(self.both("a|b|c", "a|c", "y|b|c"), "y|c")
        self.assertEqual(self.both("a|b|c", "a|x|b|c", "a|b|y|c"), "a|x|b|y|c")

    def test_words_of_one_line(self) -> None:
        self.assertEqual(self.both("f(a, b);", "f(a, c);", "g(a, b);"), "g(a, c);")

    def test_messages_and_comments(self) -> None:
        self.assertEqual(self.both("a; /* x */|b", "a;|b", "a; /* y */|b"), "a;|b")
        self.assertEqual(self.both('p("old %d");|b', "b", 'p("new %d!");|b'), "b")
        self.assertEqual(self.both('p("old");|b', 'q();|p("old");|b|p("old");',
                                   'p("new");|b'), 'q();|p("new");|b|p("new");')

    def test_contradictions(self) -> None:
        for wrong, new in (("a|x|c", "a|y|c"), ("a|c", "a|y|c"), ("a|d", "a|b|y|c"),
                           ("a|x|b|c", "a|y|b|c")):
            with self.subTest(wrong):
                self.assertIsNone(self.both("a|b|c", wrong, new))

    def test_a_name_reaches_what_was_added(self) -> None:
        names = renames(["int count = old(1);"], ["int count = fresh(1);"])
        self.assertEqual(names, {"old": "fresh"})
        self.assertEqual(renamed(["older(old);"], names), ["older(fresh);"])
        self.assertEqual(renames(["old(1);", "old(2);"], ["fresh(1);", "old(2);"]), {})


class Readme(unittest.TestCase):
    def test_messages_have_the_shape_that_the_runner_gives_them(self) -> None:
        text = (ROOT / "tests/README.md").read_text()
        blocks = re.findall(r"(?ms)^```\n(1\. .*?\n)```$", text)
        self.assertEqual(len(blocks), 2)
        for block in blocks:
            with self.subTest(block.split("\n")[0]):
                self.assertEqual(block, self.again(block))

    def again(self, block: str) -> str:
        """Takes a message apart, and has the runner make one of its parts."""
        label, parts, more = "", {}, 0
        for line in block.split("\n"):
            if found := re.match(r"   and (\d+) more checks?", line):
                more = int(found[1])
            elif found := re.match(r"(1\.|   \w+ {2,})(.*)", line):
                label = found[1].strip()
                parts[label] = [found[2].strip()]
            elif line.startswith("     ") and (
                    label == "detail" or not line.startswith(" " * 13)):
                label = "detail"
                parts.setdefault(label, []).append(line[5:])
            elif line:
                parts[label].append(line.strip())
        whole = {label: " ".join(lines) for label, lines in parts.items()}
        record = report.Record(
            test="", did=whole["1."], expected=whole.get("expected", ""),
            got=whole["came"].replace(" (and", "\n(and"), cause=whole["likely"],
            source=whole.get("where", ""), detail="\n".join(parts["detail"]),
            read=whole.get("read", "“”").split("“")[1].rstrip("”"))
        commands = [(label, whole[label]) for label in ("again", "debug")
                    if label in whole]
        return re.sub(r"(TUTORIAL.md):\d+", r"\1:…",
                      report.block(1, record, commands, more)) + "\n"


class References(Copy):
    def says(self, *expected: tuple[int, str], name: str = "TUTORIAL.md") -> None:
        status, said = self.call("references")
        self.assertEqual(status, 1)
        for line, words in expected:
            with self.subTest(words):
                self.assertRegex(said, f"(?m)^{name}:{line}: {words}")

    def test_numbers(self) -> None:
        end = self.tutorial.read_text().count("\n")
        with self.tutorial.open("a") as text:
            text.write("\nSee exercise 8-71, Listing 6-35, listings 6-1 to 6-36,\n"
                       "Step 2, quiz, question 31, step 99 and all ninety steps.\n"
                       "Type `make test-77` or `make listing LISTING=77-1`.\n"
                       "See `nowhere/main.c`, and all seven steps, and part 2.\n"
                       "The answer to quiz question 30 of step 3 is short.\n"
                       "Step 4's last question, question 99, is not.\n")
        self.says((end + 2, "there is no exercise 8-71"),
                  (end + 2, r"there is no listing 6-35: is it \d+-\d+\w?\?"),
                  (end + 2, "there is no listing 6-36"),
                  (end + 3, r"the quiz of step 2 has \d+ questions"),
                  (end + 3, "there is no step 99"),
                  (end + 4, "make has no target test-77"),
                  (end + 4, "there is no listing 77-1"),
                  (end + 5, "there is no file nowhere/main.c"),
                  (end + 5, "all seven steps: there are "),
                  (end + 5, "there is no part 2"),
                  (end + 6, r"the quiz of step 3 has \d+ questions"),
                  (end + 7, r"the quiz of step 4 has \d+ questions"))

    def test_a_function_renamed_in_code_alone(self) -> None:
        name = self.functions()[0]
        fenced, lines = False, []
        for line in self.tutorial.read_text().split("\n"):
            fenced ^= line.startswith("```")
            lines.append(re.sub(rf"\b{name}\b", f"{name}_too", line)
                         if fenced and not line.startswith("@@") else line)
        self.tutorial.write_text("\n".join(lines))
        prose = next(i for i, line in enumerate(lines, 1) if f"`{name}`" in line)
        label = next(i for i, line in enumerate(lines, 1) if line == f"@@ {name} @@")
        self.says((prose, rf"nothing is called {name} \(in `{name}`\): is it {name}_too"),
                  (label, rf"@@ {name} @@, but these lines belong to {name}_too"))

    def test_a_label_that_names_another_function(self) -> None:
        other, *_, one = self.functions()
        line = self.spoil(f"^@@ {one} @@", f"@@ {other} @@", count=1)
        self.says((line, f"@@ {other} @@, but these lines belong to {one}"))

    def test_a_test_that_is_gone(self) -> None:
        tests = {name for path in (self.root / "tests/final").glob("**/*.c")
                 for name in re.findall(r"(?m)^Test\(\w+, (\w+)", path.read_text())}
        prose = self.tutorial.read_text()
        name = max((name for name in tests if prose.count(f"`{name}`") == 1), key=len)
        line = self.spoil(f"`{name}`", f"`{name[:-1]}`", count=1)
        self.says((line, rf"nothing is called {name[:-1]} \(in `{name[:-1]}`\)"))

    def test_a_heading_that_tests_send_to(self) -> None:
        path, title = next(
            (path, found[1]) for path in sorted((self.root / "tests/steps").glob("*.c"))
            if (found := re.search(r'\.read = "([A-Z][\w ]+)"', path.read_text())))
        name = str(path.relative_to(self.root))
        line = self.spoil(f'"{title}"', f'"{title}s"', name, count=1)
        self.says((line, f"the text has no heading “{title}s”: is it {title}?"), name=name)

    def test_a_text_that_cannot_be_read_is_told_once(self) -> None:
        line = self.spoil(r"^```c main.c\n", "```c main.c\n+", count=1)
        status, said = self.call("references")
        self.assertEqual(status, 1)
        self.assertRegex(said, r"^TUTORIAL.md:\d+: it cannot be read on .*\n$")
        self.assertLess(line, int(said.split(":")[1]))

    def test_a_word_that_is_no_link_where_it_is_first_used(self) -> None:
        line = self.spoil(r"\[\*leak\*\]\(#word-leak\)", "*leak*", count=1)
        row = self.spoil('id="word-socket"></a>socket', 'id="word-socket"></a>plug')
        self.says((line, "“leak” is first used here: make it a link"),
                  (row, "the text never uses “plug”"))

    def test_another_file(self) -> None:
        name = self.steps[1]
        line = self.spoil(rf"\({name}\)", f"({name}s)", "README.md", count=1)
        self.says((line, f"a link to nowhere: {name}s"), name="README.md")


class Accept(unittest.TestCase):
    """The sample's outputs, spoilt and accepted, are what they were."""

    def accepted(self, pattern: str, new: Any) -> tuple[str, str, str]:
        sample = ROOT / "tests/text/sample"
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "TUTORIAL.md"
            good = (sample / "TUTORIAL.md").read_text()
            copy.write_text(re.sub(pattern, new, good, count=1, flags=re.M))
            assert not pattern or copy.read_text() != good, pattern
            said = subprocess.run(
                [ROOT / "tests/text/replay", "--accept", "--root", sample, "--out",
                 folder, copy], text=True, stdout=subprocess.PIPE,
                env={**os.environ, "REPLAY_PATIENCE": "6"}).stdout
            return good, copy.read_text(), said

    def test_nothing_changes_where_nothing_differs(self) -> None:
        good, got, said = self.accepted("", "")
        self.assertEqual(good, got)
        self.assertIn("nothing to write", said)

    def test_what_was_spoilt_comes_back(self) -> None:
        for pattern, new in ((r"^hi\n0$", "ho\n0"), (r"^hi\n0\n", ""),
                             ("^hi\n0$", "hi\nand more\n0"),
                             ("^it ended with 1", "it ended with 0"),
                             ("error: 'nothing'", "error: 'nobody'"),
                             ("main.c:20:9", "main.c:21:9"),
                             ("^Listening.\n```\n\n```console\n.*time_total",
                              lambda match: match[0].replace("Listen", "Wait")),
                             ("^A client.\n\\^C", "^C"),
                             ("^A client.\n\\^C", "A visitor.\n^C"),
                             ("^A client.\nA client.", "A client.\nA visitor.")):
            with self.subTest(pattern):
                good, got, _ = self.accepted(pattern, new)
                self.assertEqual(good, got)


if __name__ == "__main__":
    unittest.main()
