#!/usr/bin/env python3
"""What is written from a text, and what is said of its references: each tried on a
copy of the repository that was changed in one way.

    tests/text/test_written.py [-k WORD]
"""
from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
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
        line = self.spoil(r"\bread_file\b", "load_file")
        status, said = self.call("update", "--check")
        self.assertEqual(status, 1)
        self.assertRegex(said, r"steps/01-[\w-]+/main.c:\d+ is not what TUTORIAL.md:\d+ ")
        self.assertIn("run make update", said)
        self.assertLess(0, line)
        self.assertEqual(self.call("update")[0], 0)
        for name, text in self.files().items():
            self.assertNotIn("read_file(", text, name)
        self.assertEqual(self.call("update", "--check")[0], 0)

    def test_the_minutes_of_a_step_are_written(self) -> None:
        fresh = self.tutorial.read_text()
        self.spoil(r"\*\*Time:\*\* \d+ minutes", "**Time:** 7 minutes", count=1)
        status, said = self.call("update", "--check")
        self.assertEqual(status, 1)
        self.assertIn("a step's minutes are stale", said)
        self.assertEqual(self.call("update")[0], 0)
        self.assertEqual(fresh, self.tutorial.read_text())

    def test_a_listing_with_a_letter_goes_on_from_the_one_to_undo(self) -> None:
        folder = self.root / "after-8-5a"
        self.assertEqual(self.call("listing", "8-5a", str(folder))[0], 0)
        pool = (folder / "thread_pool.c").read_text()
        self.assertIn("was told to terminate", pool)  # from 8-5
        self.assertEqual(pool.count("for (size_t id = 0; id < pool->size"), 2)

    def test_a_changed_step_is_written_again(self) -> None:
        fresh = self.files()
        self.spoil("accept", "except", "steps/03-thread-per-request/main.c")
        self.assertEqual(self.call("update", "--check")[0], 1)
        self.assertEqual(self.call("update")[0], 0)
        self.assertEqual(fresh, self.files())

    def test_a_file_that_the_text_does_not_have_goes(self) -> None:
        extra = self.root / "steps/03-thread-per-request/old.c"
        extra.write_text("int old;\n")
        self.assertEqual(self.call("update", "--check")[0], 1)
        self.assertTrue(extra.exists())
        self.assertEqual(self.call("update")[0], 0)
        self.assertFalse(extra.exists())

    def test_a_hunk_that_has_moved_is_found_again(self) -> None:
        fresh = self.files()
        patch = next((self.root / "tests/wrong/execute").glob("*.patch"))
        name = str(patch.relative_to(self.root))
        self.spoil(r"^@@ -(\d+)", r"@@ -1\1", name)
        self.assertEqual(self.call("update", "--check")[0], 1)
        self.assertEqual(self.call("update")[0], 0)
        self.assertEqual(fresh, self.files())

    def test_a_hunk_that_fits_no_more_is_named(self) -> None:
        name = "tests/wrong/execute/lifo.patch"
        wanted = re.search(r"(?m)^-(.*)", (self.root / name).read_text().split("+++")[1])
        line = self.spoil("^-" + re.escape(wanted[1]), "-    nowhere();", name)
        status, said = self.call("update")
        self.assertEqual(status, 1)
        self.assertIn(name, said)
        self.assertIn("nowhere();", said)
        above = (self.root / name).read_text().split("\n")[:line]
        hunk = max(i for i, one in enumerate(above, 1) if one.startswith("@@"))
        self.assertIn(f"{name}:{hunk}: this hunk no longer applies", said)
        self.assertRegex(said, r"\+ what steps/07-execute/job_queue.c:\d+ has")

    def test_the_table_counts_changed_lines(self) -> None:
        fresh = (self.root / "README.md").read_text()
        self.spoil(r"^(\| \[02-sleep\].*) \d+ \|$", r"\1 99 |", "README.md")
        self.assertEqual(self.call("update", "--check")[0], 1)
        self.assertEqual(self.call("update")[0], 0)
        self.assertEqual(fresh, (self.root / "README.md").read_text())

    def test_a_new_step_is_written_with_its_row(self) -> None:
        self.spoil("^## Step 3:", "## Step 2:", count=1)
        self.spoil("^## Step 2: A thread", """\
## Step 3: Nothing new

At this point your folder equals [`steps/03-nothing`](steps/03-nothing).

## Step 3: A thread""", count=1)
        status, said = self.call("update")
        self.assertIn("README.md: say in its row what one learns in 03-nothing", said)
        self.assertIn("| [03-nothing](steps/03-nothing) | Step 3: Nothing new | 0 |",
                      (self.root / "README.md").read_text())
        self.assertEqual((self.root / "steps/03-nothing/main.c").read_text(),
                         (self.root / "steps/02-sleep/main.c").read_text())
        self.assertEqual(self.call("update", "--check")[0], 0)


class References(Copy):
    def says(self, *expected: tuple[int, str], name: str = "TUTORIAL.md") -> None:
        status, said = self.call("references")
        self.assertEqual(status, 1)
        for line, words in expected:
            with self.subTest(words):
                self.assertIn(f"{name}:{line}: {words}", said)

    def test_numbers(self) -> None:
        end = self.tutorial.read_text().count("\n")
        with self.tutorial.open("a") as text:
            text.write("\nSee exercise 8-71, Listing 6-35, listings 6-1 to 6-36,\n"
                       "Step 2, quiz, question 31, step 99 and all ninety steps.\n"
                       "Type `make test-77` or `make listing LISTING=77-1`.\n"
                       "See `nowhere/main.c`, and all seven steps.\n")
        self.says((end + 2, "there is no exercise 8-71"),
                  (end + 2, "there is no listing 6-35: is it 6-3?"),
                  (end + 2, "there is no listing 6-36"),
                  (end + 3, "the quiz of step 2 has 3 questions"),
                  (end + 3, "there is no step 99"),
                  (end + 4, "make has no target test-77"),
                  (end + 4, "there is no listing 77-1"),
                  (end + 5, "there is no file nowhere/main.c"),
                  (end + 5, "all seven steps: there are "))

    def test_a_function_renamed_in_code_alone(self) -> None:
        fenced, lines = False, []
        for line in self.tutorial.read_text().split("\n"):
            fenced ^= line.startswith("```")
            renamed = re.sub(r"\bread_file\b", "read_page", line)
            lines.append(re.sub(r"\bhandle_connection\b", "handle_client", renamed)
                         if fenced and not line.startswith("@@") else line)
        self.tutorial.write_text("\n".join(lines))
        prose = next(i for i, line in enumerate(lines, 1) if "`read_file`" in line)
        label = next(i for i, line in enumerate(lines, 1)
                     if line == "@@ handle_connection @@")
        self.says((prose, "nothing is called read_file (in `read_file`): is it read"),
                  (label, "@@ handle_connection @@, but these lines belong to handle"))

    def test_a_label_that_names_another_function(self) -> None:
        line = self.spoil("^@@ handle_connection @@", "@@ listen_on @@", count=1)
        self.says((line, "@@ listen_on @@, but these lines belong to"
                   " handle_connection"))

    def test_a_test_that_is_gone(self) -> None:
        line = self.spoil("`a_trickle_is_cut_off`", "`a_trickle_is_cut_of`", count=1)
        self.says((line, "nothing is called a_trickle_is_cut_of (in"
                   " `a_trickle_is_cut_of`): is it a_trickle_is_cut_off?"))

    def test_a_word_that_is_no_link_where_it_is_first_used(self) -> None:
        line = self.spoil(r"\[\*leak\*\]\(#word-leak\)", "*leak*", count=1)
        row = self.spoil('id="word-socket"></a>socket', 'id="word-socket"></a>plug')
        self.says((line, "“leak” is first used here: make it a link"),
                  (row, "the text never uses “plug”"))

    def test_another_file(self) -> None:
        line = self.spoil(r"\(steps/02-sleep\)", "(steps/02-slep)", "README.md", count=1)
        self.says((line, "a link to nowhere: steps/02-slep"), name="README.md")


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
