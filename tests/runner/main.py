"""
Runs a step's tests on a folder.

    tests/run [STEP] [FOLDER]

Without a folder it is ours, steps/NN-...; without a step it is the one that the
folder is at. From the environment, and so from make's command line:

    SRC       the folder
    ONLY      a test, suite/test, or a suite: run only these
    ALL=1     run everything, whatever fails, and end with `N passed, N failed`
    PATIENCE  seconds that anything may take, beyond the time that it needs
    CC, CFLAGS, CRITERION   the compiler, more flags, a private Criterion
    SANITIZE  a value for -fsanitize=: only the tests over the network
    JOBS      tests at a time, beside those that mostly wait
    MESSAGES  how many at most (3)
    ADVICE    no: leave out what gcc's analyzer suspects
    STEPWISE  1: begin a stage when the one before it has ended, and end with the
              first message: less to do where many programs are tried
    RESULT    a file for what came of it, as JSON: for programs
"""

import json
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import build, cache, cases, course, find, report, tree

GRACE = 0.5  # seconds for what else fails with the first of a stage
EXPLAINED = 1.0  # seconds for who can say why, when the explorer has told what
LATER = 1000  # places in a stage
MESSAGES = int(os.environ.get("MESSAGES") or 3)


class Settings:
    """What the command line and the environment ask for."""

    def __init__(self, arguments):
        self.step, self.folder = None, None
        for word in arguments:
            step = None if self.step else course.step_named(word)
            if step:
                self.step = step
            elif word.isdigit():
                raise SystemExit(f"There is no step {word}: there are "
                                 f"{', '.join(course.STEPS)}.")
            else:
                self.folder = word
        source = self.folder or os.environ.get("SRC", "")
        self.ours = not source
        if source:
            here = os.environ.get("PWD") or os.getcwd()
            self.folder = Path(os.path.normpath(
                os.path.join(here, os.path.expanduser(source))))
        elif self.step:
            self.folder = self.step.folder
        else:
            raise SystemExit("Which step, or which folder? See make help.")
        self.only = os.environ.get("ONLY", "")
        self.all = bool(os.environ.get("ALL"))
        self.stepwise = bool(os.environ.get("STEPWISE"))
        self.advice = not self.ours and os.environ.get("ADVICE") != "no"
        self.sanitize = os.environ.get("SANITIZE", "")
        self.patience = os.environ.get("PATIENCE") or "3"
        self.jobs = int(os.environ.get("JOBS") or (4 if self.stepwise else 24))

    @property
    def source(self) -> str:
        """SRC as it is to be typed again; empty for our own steps."""
        return "" if self.ours else course.shown(self.folder)


class Counter:
    """`test-07  23 of 58`, on a terminal, while it runs."""

    def __init__(self, name: str, total: int):
        self.name, self.total, self.done = name, total, 0
        self.shown = sys.stdout.isatty()

    def step(self):
        self.done += 1
        if self.shown:
            print(f"\r{self.name}  {self.done} of {self.total}", end="", flush=True)

    def clear(self):
        if self.shown:
            print("\r\x1b[K", end="", flush=True)


class Run:
    """One step's tests on one folder."""

    def __init__(self, settings: Settings, step):
        self.settings, self.step = settings, step
        self.name = f"test-{step.number}"
        self.results, self.skipped, self.remarks = [], [], []
        self.total = 0
        self.explored = None  # what the explorer has found, and when
        self.analysis = []
        self.begun = self.built = time.monotonic()

    def go(self) -> int:
        """Builds, runs, tells. Returns the exit status."""
        obstacle = build.look_at(self.settings.folder, self.step)
        if obstacle:
            print(obstacle)
            return 2
        extra = [f"-fsanitize={self.settings.sanitize}",
                 "-fno-omit-frame-pointer"] if self.settings.sanitize else []
        program = build.compile_folder(self.settings.folder, extra)
        self.remarks = program.remarks
        if program.failures:
            return self.tell(program.failures, "compile")
        if program.warnings and not self.settings.all:
            return self.tell(program.warnings, "compile")
        pool = ThreadPoolExecutor(1)
        if self.settings.advice:
            self.analysis = [pool.submit(build.analyze, path)
                             for path in sorted(self.settings.folder.glob("*.c"))]
        pool.shutdown(wait=False)
        suite = cases.Suite(self.step, program, self.settings.sanitize)
        if suite.failures:
            return self.tell(suite.failures, "compile")
        chosen = [case for case in suite.cases if self.wanted(case.name)]
        if not chosen:
            print(f"Step {int(self.step.number)} has no test {self.settings.only}. "
                  "It has:")
            print("\n".join(f"  {case.name}" for case in suite.cases))
            return 2
        self.total = len(chosen)
        self.built = time.monotonic()
        with Scratch() as scratch:
            self.run(cases.Runner(suite, scratch, self.settings.patience), chosen)
        records = [record for result in self.results for record in result.records]
        if self.settings.all:
            records = program.warnings + records
        return self.tell(records) if records else self.passed()

    def wanted(self, name: str) -> bool:
        only = self.settings.only
        return not only or name == only or name.split("/")[0] == only \
            or name.split("/")[1] == only

    # --- running -------------------------------------------------------------

    def run(self, runner, chosen):
        """Runs cases side by side until all, or those of a stage, have told."""
        units = [case for case in chosen if case.where[0] == cases.UNITS]
        likely = self.settings.stepwise or self.settings.ours
        together = units if likely and not self.settings.only else []
        # It takes a second or two, and may explain what hangs for longer.
        early = [case for case in chosen if case.name == cases.EXPLORED and units]
        lock, waiting = threading.Lock(), self.longest_first(
            [case for case in chosen if case not in together])

        def begin_with(those):
            """Has these begin first, and before them who explains what they find."""
            with lock:
                sooner = [case for case in early if case in waiting]
                waiting[:] = sooner + those + [case for case in waiting
                                               if case not in sooner + those]

        pending, done = {case.name: case.where for case in chosen}, queue.Queue()

        def too_early(case):
            """Whether a stage before this case's has cases left."""
            return self.settings.stepwise and case not in early and any(
                where[0] < case.where[0] for where in list(pending.values()))

        def work(lot=()):
            if lot and runner.pass_together(lot):
                for case in lot:
                    done.put(cases.Result(case))
            elif lot:
                begin_with(lot)
            while not runner.stopped:
                with lock:
                    if not waiting:
                        return
                    case = None if too_early(waiting[0]) else waiting.pop(0)
                if not case:
                    time.sleep(0.02)
                    continue
                if case.slow:  # it mostly waits: it takes nobody's place
                    begin()
                done.put(runner.run(case))

        def begin(lot=()):
            threads.append(threading.Thread(target=work, args=[lot], daemon=True))
            threads[-1].start()

        if not together:
            begin_with([])
        threads = []
        counter = Counter(self.name, len(chosen))
        begin(together)
        for _ in range(min(self.settings.jobs, len(chosen)) - 1):
            begin()
        try:
            self.collect(runner, pending, done, counter)
        finally:
            runner.stop()
            for task in self.analysis:
                task.cancel()
            counter.clear()
            for thread in threads:
                thread.join(2)

    def collect(self, runner, pending, done, counter):
        """Gathers results; ends early when the first stage that fails is told."""
        failed = None  # when the first failure of the first stage was known
        while pending:
            try:
                result = done.get(timeout=0.05)
            except queue.Empty:
                result = None
            if result and pending.pop(result.case.name, None):
                self.results.append(result)
                counter.step()
                if result.case.name == cases.EXPLORED and result.records:
                    self.explored = result, time.monotonic()
            self.let_explain(runner, pending)
            if self.settings.all or not any(r.records for r in self.results):
                continue
            stage = min(r.case.where[0] for r in self.results if r.records)
            later = {name for name, where in pending.items()
                     if where[0] > stage and name != cases.EXPLORED}
            if later:
                runner.drop(later)
                for name in later:
                    del pending[name]
            if any(where[0] < stage for where in pending.values()):
                failed = None
                continue
            # the first message is that of the first cause, not of the fastest
            first = min(r.case.where for r in self.results if r.records)
            if any(where < first for where in pending.values()):
                failed = None
                continue
            if self.must_wait(pending):
                failed = None
                continue
            failed = failed or time.monotonic()
            if (self.settings.stepwise or time.monotonic() > failed + GRACE
                    or not any(where[0] == stage for where in pending.values())):
                self.results = [r for r in self.results
                                if r.case.where[0] <= stage]
                return

    @property
    def times(self) -> Path:
        """What each case took when all had passed."""
        return cache.folder() / f"times-{self.step.number}.json"

    def longest_first(self, chosen):
        """Those of pool and queue, and the basic answers, in their order: they are
        quick, and told first. Of the others, what took longest last time."""
        try:
            took = json.loads(self.times.read_text())
        except (OSError, ValueError):
            took = {}
        if self.settings.stepwise:
            return chosen
        return sorted(chosen, key=lambda case: (
            min(case.where[0], cases.LESSON), -took.get(case.name, 5 * case.slow)
            if case.where[0] >= cases.LESSON else 0))

    def let_explain(self, runner, pending):
        """What the explorer has found is told first, in place of a check of pool or
        queue that only hangs, crashes or miscounts: by then others have ended."""
        if not self.explored:
            return
        result, since = self.explored
        now = time.monotonic()
        if pending and now < since + EXPLAINED:
            return
        if now < since + 3 * EXPLAINED and any(
                now - runner.begun.get(name, 0) < EXPLAINED
                for name, where in pending.items() if where[0] == cases.UNITS):
            return
        units = [(record.where, record.vague) for other in self.results
                 for record in other.records if record.where[0] == cases.UNITS]
        units += [(where, True) for where in pending.values()
                  if where[0] == cases.UNITS]
        if result.case.where[0] == cases.UNITS or units and min(units)[1]:
            result.case.where = result.records[0].where = (cases.UNITS, -1)
            for record in self.vague():
                record.vague, record.key = False, result.records[0].same

    def vague(self):
        """Records that say what comes, and cannot say why."""
        return [record for result in self.results for record in result.records
                if record.vague]

    def must_wait(self, pending) -> bool:
        """Whether the first that failed cannot say why, and who could is not asked
        yet, or has not found it."""
        first = min((record for result in self.results for record in result.records),
                    key=lambda each: each.where)
        if not first.vague:
            return False
        if cases.EXPLORED in pending or self.explored:
            return True
        for result in self.results:  # then whoever can say why comes first
            for record in result.records:
                if record.vague:
                    record.vague = False
                    result.case.where = record.where = (
                        cases.UNITS, record.where[1] + LATER)
        return True

    # --- telling -------------------------------------------------------------

    def again(self, test: str):
        """The commands to see a failing test alone, and under a debugger."""
        source = self.settings.source
        kind = test.split("/")[0]
        if kind in ("schedules", "sanitizers"):
            goal = "explore" if kind == "schedules" else "sanitize"
            return [("again", course.command(goal, SRC=source,
                                             STEP=self.step.number))]
        if "/" not in test:
            return [("again", course.command(self.name, SRC=source))]
        return [("again", course.command(self.name, SRC=source, ONLY=test)),
                ("debug", course.command("debug", SRC=source, TEST=test,
                                         STEP=self.step.number))]

    def tell(self, records, stage="") -> int:
        """Prints at most three messages, and what was not looked at."""
        groups = report.distinct(records)
        self.note([vars(group[0]) for group in groups],
                  next((result.case.name for result in self.results
                        if groups[0][0] in result.records), ""))
        shown = groups if self.settings.all else groups[:MESSAGES]
        for number, group in enumerate(shown, 1):
            others = len({record.test for record in group}) - 1
            print(report.block(number, group[0], self.again(group[0].test), others,
                               self.step))
            print()
        if len(groups) > len(shown):
            rest = len(groups) - len(shown)
            print(f"{rest} more message{'s' * (rest > 1)} left out: mend this "
                  "first.")
        for remark in self.remarks[:3]:
            print(f"Besides, the compiler warns: {remark}")
        for advice in self.advice():
            print(f"gcc -fanalyzer suspects: {advice}")
        if stage:
            print(f"{self.name}: it was not run.")
        else:
            self.summary(len({r.test for r in records}))
        return 1

    def advice(self):
        """What gcc's analyzer suspects of a program that fails: it never decides,
        and is not waited for."""
        found = []
        for task in self.analysis:
            if task.done() and not task.cancelled():
                found += task.result()
        return found[:3]

    def summary(self, failed: int):
        """The last line: machines read it, too."""
        seconds = time.monotonic() - self.begun
        passed = sum(not result.records for result in self.results)
        left = self.total - len(self.results)
        note = f", {left} not run (ALL=1 runs all)" if left else ""
        print(f"{self.name}: {passed} passed, {failed} failed{note}, "
              f"in {seconds:.0f} s")

    def note(self, messages, case=""):
        """Writes what came of it for a program, if one asks."""
        if os.environ.get("RESULT"):
            now = time.monotonic()
            Path(os.environ["RESULT"]).write_text(json.dumps({
                "step": self.step.number, "messages": messages, "case": case,
                "passed": sum(not result.records for result in self.results),
                "checks": self.total, "build": self.built - self.begun,
                "seconds": now - self.built,
                "times": {r.case.name: r.seconds for r in self.results},
            }, indent=1), encoding="utf-8")

    def passed(self) -> int:
        self.note([])
        if not self.settings.only:
            draft = self.times.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps({r.case.name: round(r.seconds, 2)
                                         for r in self.results}))
            draft.replace(self.times)
        for remark in self.remarks[:5]:
            print(f"{self.name}: a warning of the compiler: {remark}")
        for result in self.results:
            if result.skipped:
                print(f"SKIPPED: {result.case.name}: {result.skipped}")
        self.summary(0)
        numbers = sorted(course.STEPS)
        later = numbers[numbers.index(self.step.number) + 1:]
        if later and not self.settings.ours and not self.settings.only:
            print(f"Next: {course.place(course.title(course.STEPS[later[0]]))}, then "
                  + course.command("test-" + later[0], SRC=self.settings.source))
        return 0


class Scratch:
    """A folder for a run; at its end the folder and all processes are gone."""

    def __enter__(self) -> Path:
        self.path = Path(tempfile.mkdtemp(prefix="hello-"))
        return self.path

    def __exit__(self, *_):
        tree.kill_below(os.getpid())
        shutil.rmtree(self.path, ignore_errors=True)


def remember() -> None:
    """Notes where the course is, for `make test` in the reader's own folder."""
    file = Path.home() / ".hello-course"
    try:
        if not file.exists() or file.read_text().strip() != str(course.ROOT):
            file.write_text(f"{course.ROOT}\n", encoding="utf-8")
    except OSError:
        pass  # a home that cannot be written to


def _interrupted(*_):
    raise KeyboardInterrupt


def main(arguments) -> int:
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    signal.signal(signal.SIGTERM, _interrupted)
    tree.adopt_orphans()
    which = arguments[:1] == ["--which"]  # only says the step's number
    settings = Settings(arguments[which:])
    if which:
        print(find.steps_of(settings.folder)[-1].number)
        return 0
    if not settings.ours:
        remember()
    steps = [settings.step]
    if not settings.step:
        steps = find.steps_of(settings.folder)
        print(find.told(settings.folder, steps))
    status = 0
    try:
        for step in steps:
            status = max(status, Run(settings, step).go())
    except KeyboardInterrupt:
        tree.kill_below(os.getpid())
        return 130
    return status
