"""The cases of a step: each test is a process of its own, which is watched."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from support.steps import environment, macros
from watch import tell

from . import build, cache, course, tree
from .report import Record, parse, records_in

# The stages, in the order of causes.
STAGES = ("the pool and the queue, called directly", "the basic answers",
          "what the step is about", "memory and threads",
          "what the step is about, and takes time", "hostile clients")
UNITS, ANSWERS, LESSON, MEMORY, SLOW, HOSTILE = range(len(STAGES))
BEHIND = 500  # places in a stage, for those of hostile clients that take time

# A case that takes longer than this hangs in a way that it does not see itself.
LIMIT = 80


# Findings that a hint of the watched threads explains better.
HINTED = {"no-wake-up", "close-wakes", "not-run", "no-answer", "hangs"}
# Findings that become clear when one sees where each thread waits.
WAITS_SHOWN = {"hangs", "no-answer", "still-runs", "no-end", "not-run", "lock-held",
               "close-wakes", "no-wake-up", "close-unlocked"}


# What the explorer, which tries every order, can tell the cause of.
EXPLORED = "schedules/all"
COUNTED = {"no-wake-up", "race", "not-all", "twice", "hangs", "crashes",
           "from-a-job", "not-run"}


@dataclass
class Case:
    """Something to run that passes or leaves records."""

    name: str  # suite/test
    where: tuple  # stage, place in it
    command: list
    slow: bool = False  # by its nature: see TAKES_TIME in support/report.h
    criterion: bool = True


@dataclass
class Result:
    """What came of a case."""

    case: Case
    records: list = field(default_factory=list)
    skipped: str = ""
    seconds: float = 0


def _watching():
    """What is linked to the program, and watches its threads."""
    return [_compile(source, tell.COMPILE, tell.HEADERS) for source in tell.SOURCES]


def _compile(source, flags, headers):
    """Compiles a file of ours; a mistake in it is ours, too."""
    built = cache.build([build.compiler(), *flags, "-c", source],
                        [source, *headers], ".o")
    if not built.good:
        raise SystemExit(f"The tests themselves do not compile:\n{built.said}")
    return built.path


def _objects(sources, flags, headers):
    """Compiles the tests' own files; a mistake here is ours, and raises."""
    every = ["-std=gnu17", "-O1", "-g", "-pthread", "-Wall", "-Wextra",
             "-Wno-missing-field-initializers", f"-I{course.TESTS / 'support'}",
             f"-I{course.TESTS / 'watch'}", *build.criterion()[0], *flags]
    return [_compile(source, every, headers) for source in sources]


def _tests(sources, objects):
    """(suite/test, whether it is slow) of all tests in the objects, in the order of
    the sources."""
    symbols = set()
    for path in objects:
        said = subprocess.run(["nm", path], check=True,
                              stdout=subprocess.PIPE).stdout.decode()
        symbols |= set(re.findall(r" (\w+)_impl$", said, re.MULTILINE))
    return [(f"{suite}/{test}", bool(slow)) for source in sources
            for suite, test, slow in re.findall(
                r"^Test\((\w+),\s*(\w+)(,\s*TAKES_TIME)?",
                source.read_text(encoding="utf-8"), re.MULTILINE)
            if f"{suite}_{test}" in symbols]


def _support(*names):
    return [course.TESTS / "support" / f"{name}.c" for name in names]


class Suite:
    """A step's tests for one folder: what was built, and its cases."""

    def __init__(self, step, program, sanitize=""):
        self.step, self.program, self.sanitize = step, program, sanitize
        self.failures, self.cases = [], []
        self.server = None
        support = sorted((course.TESTS / "support").glob("*.h"))
        units, servers = course.suites(step)
        self._link_server()
        if self.failures:
            return
        if not sanitize and units:
            self._add_units(units, support)
        self._add_servers(servers, support)
        if not sanitize:
            self._add_others()
        self.cases.sort(key=lambda case: case.where)

    def _link_server(self):
        extra = [f"-fsanitize={self.sanitize}"] if self.sanitize else []
        self.server, failure = build.link(self.program.objects + _watching(),
                                          tell.LINK, extra)
        if failure:
            self.failures.append(failure)

    def _add_units(self, units, support):
        failure = build.interface(self.program.folder, self.step)
        if failure:
            self.failures.append(failure)
            return
        theirs = cache.copies(self.program.folder.glob("*.h"))
        headers = [*support, *tell.HEADERS, *sorted(theirs.iterdir())]
        flags = [*macros(self.step), f"-I{theirs}"]
        helpers = _support("report", "step", "unit")
        tests = _objects(units, flags, headers)
        # Their main makes room for the tests'.
        binary, failure = build.link(
            [build.without_main(path) for path in self.program.objects]
            + tests + _objects(helpers, flags, headers) + _watching(),
            build.criterion()[1] + tell.LINK + [f"-Wl,--wrap={name}" for name in
                                              ("fork", "malloc", "calloc", "realloc",
                                               "gmtime")])
        if failure:
            self.failures.append(failure)
            return
        for place, (name, slow) in enumerate(_tests(units, tests)):
            self.cases.append(Case(name, (UNITS, place), [binary], slow))

    def _add_servers(self, sources, support):
        objects = _objects(sources, [], [
            *support, course.TESTS / "steps" / "shared.h"])
        shared = course.TESTS / "steps" / "shared"
        helpers = _objects(_support("answer", "client", "files", "report", "server",
                                    "step") + [shared.with_suffix(".c")],
                           [], [*support, shared.with_suffix(".h")])
        binary, failure = build.link(objects + helpers, build.criterion()[1])
        if failure:
            raise SystemExit(f"The tests themselves do not link: {failure.got}")
        stages = {"start": ANSWERS, "answers": ANSWERS, "memory": MEMORY,
                  "hostile": HOSTILE}
        for place, (name, slow) in enumerate(_tests(sources, objects)):
            stage = stages.get(re.split("[/_]", name)[0], SLOW if slow else LESSON)
            self.cases.append(Case(name, (stage, place + slow * BEHIND), [binary],
                                   slow))

    def _add_others(self):
        """What is no test of Criterion: the explorer, the sanitizers."""
        folder, number = self.program.folder, self.step.number
        others = []
        if self.step.can["has_job_queue"]:
            others.append((EXPLORED, [course.TESTS / "explore" / "explore",
                                             "--short", folder, number]))
        others.append(("sanitizers/quick", [course.TESTS / "watch" /
                                            "sanitize-quick", number, folder]))
        for place, (name, command) in enumerate(others):
            self.cases.append(Case(name, (MEMORY, 1000 + place), command,
                                   criterion=False))


def _light_criterion(binary: Path) -> str:
    """A folder for LD_LIBRARY_PATH that spares a test most of its libraries; see
    no_git.c. Nothing where Criterion does without libgit2."""
    said = subprocess.run(["ldd", binary], stdout=subprocess.PIPE, text=True,
                          check=False).stdout
    needed = re.search(r"(libgit2\.so\S*) =>", said)
    if not needed:
        return ""
    source = course.TESTS / "support" / "no_git.c"
    built = cache.build([build.compiler(), "-shared", "-fPIC", "-w",
                         f"-Wl,-soname,{needed[1]}", source], [source], ".so")
    folder = built.path.with_suffix(".libraries")
    folder.mkdir(exist_ok=True)
    draft = folder / f"{os.getpid()}"
    shutil.copy(built.path, draft)
    draft.replace(folder / needed[1])
    return str(folder)


class Runner:
    """Runs cases, each in a folder of its own with the pages in it."""

    def __init__(self, suite: Suite, scratch: Path, patience: str):
        self.suite, self.scratch = suite, scratch
        self.environment = {
            **os.environ, **environment(suite.step), "SERVER": str(suite.server),
            "PATIENCE": patience,
            "LOCK": str(cache.folder() / "port-7878.lock"),
        }
        tests = next((case for case in suite.cases if case.criterion), None)
        light = _light_criterion(tests.command[0]) if tests else ""
        if light:
            self.environment["LD_LIBRARY_PATH"] = ":".join(filter(None, (
                light, os.environ.get("LD_LIBRARY_PATH"))))
        for name in ("REPORT", "EXTRA_THREAD"):
            self.environment.pop(name, None)
        if "thread" in suite.sanitize:
            self.environment["EXTRA_THREAD"] = "1"  # ThreadSanitizer's own
        self.running = {}  # the case of each process
        self.begun = {}  # when, by name
        self.dropped = set()  # names
        self.stopped = False

    def environment_of(self, case: Case, folder: Path):
        """Makes a case's folder, and returns its environment."""
        for name in ("report", "pages", "tmp", "watch"):
            (folder / name).mkdir(parents=True)
        for page in course.PAGES:
            shutil.copy(course.ROOT / "assets" / page, folder / "pages")
        watch = tell.environment(self.suite.step) if case.where[0] > UNITS else {}
        if self.suite.step.can["ends_after_two"]:  # too early is told by the tests
            watch.pop("WATCH_STAY", None)
        return {**self.environment, **watch, "WATCH": str(folder / "watch"),
                "REPORT": str(folder / "report"),
                "PAGES": str(folder / "pages"), "TMPDIR": str(folder / "tmp")}

    def pass_together(self, cases) -> bool:
        """Whether these all pass, in one process of Criterion: much less to do than
        a process for each. What is wrong with one of them it cannot tell."""
        folder = self.scratch / "together"
        environment = self.environment_of(cases[0], folder)
        with subprocess.Popen(
                [*map(str, cases[0].command), "-j2", f"--json={folder / 'result.json'}"],
                cwd=folder / "tmp", env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                if any(records_in(folder / "report")):
                    process.kill()
                time.sleep(0.02)
        remove_socket(process.pid)
        good = (self._passed(folder, process.returncode, len(cases))
                and not tell.findings(folder / "watch"))
        shutil.rmtree(folder, ignore_errors=True)
        return good

    def run(self, case: Case) -> Result:
        """Runs one case to its end. Criterion runs it in a process of its own: if
        not that, but Criterion itself is ended by a signal, as happens on a crowded
        machine, it is tried once more."""
        result = self._run_once(case)
        if case.criterion and result.seconds < LIMIT and any(
                record.got.startswith("ended by signal") for record in result.records):
            result = self._run_once(case)
        return result

    def _run_once(self, case: Case) -> Result:
        result = Result(case)
        if self.is_over(case):
            return result
        folder = self.scratch / case.name.replace("/", ".")
        environment = self.environment_of(case, folder)
        command = list(map(str, case.command))
        if case.criterion:
            command += [f"--filter={case.name}", "-j1", "--color=never",
                        f"--json={folder / 'result.json'}"]
        begun = self.begun[case.name] = time.monotonic()
        with open(folder / "output", "wb") as output:
            process = subprocess.Popen(
                command, cwd=folder / "tmp", env=environment, stdout=output,
                stderr=output, stdin=subprocess.DEVNULL, start_new_session=False)
            self.running[process] = case
            if self.is_over(case):
                process.kill()
            try:
                process.wait(LIMIT if case.criterion else 4 * LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self.running.pop(process)
        result.seconds = time.monotonic() - begun
        if case.criterion:
            remove_socket(process.pid)
        if self.is_over(case):
            return result
        said = (folder / "output").read_text(encoding="utf-8", errors="replace")
        result.records = records_in(folder / "report", case.name)
        if case.criterion:
            good = self._passed(folder, process.returncode)
        else:
            good = process.returncode in (0, 2, 3, 77)
            if good and process.returncode:  # could not be run, and says why
                result.skipped = said.strip()
        found = [parse(text, case.name) for text in tell.findings(folder / "watch")]
        if found:  # what went wrong with a thread explains all else
            result.records = found[:1]
            self._blame_creation(found[0], case, folder / "watch")
        elif good:
            result.records = []
        else:
            if not result.records:
                result.records = [self._no_words(case, process.returncode, said)]
            for record in result.records:
                record.vague = case.where[0] == UNITS and (
                    record.key in COUNTED or "it hangs" in record.got
                    or "crashed" in record.got or "ended by" in record.got)
            self._explain(result.records[0], case, folder / "watch")
            self._blame_creation(result.records[0], case, folder / "watch")
        for record in result.records:
            record.where = case.where
        shutil.rmtree(folder, ignore_errors=True)
        return result

    @staticmethod
    def _blame_creation(record: Record, case: Case, watch: Path):
        """A thread that was not created, or that was given what does not stay, is
        the cause of what comes after it."""
        if "cannot_be_created" in case.name and record.key == "ended-0":
            record.cause = ("a thread that cannot be created is the trouble of one "
                            "connection: close that, say so, and go on")
        elif "cannot_be_created" in case.name:
            record.cause = ("what pthread_create returns is not looked at: 0 is "
                            "success, all else the error's number")
            record.key = "create-error"
        elif record.key in ("closed-twice", "ended-6", "ended-11") and any(
                table.words["on_the_stack"] for table in tell.tables(watch)):
            record.cause = ("a thread is given the address of a local variable of "
                            "the function that creates it: by the time that it "
                            "looks, the variable has changed. Pass the value")
            record.key, record.read = "stack", "The address of a loop's variable"

    @staticmethod
    def _explain(record: Record, case: Case, watch: Path):
        """Adds what the watched threads show: a hint, and where each one waits."""
        hints = [parse(text) for text in tell.findings(watch, hints=True)]
        for crash in (hint for hint in hints if hint.key == "crashed"):
            record.got, record.source = crash.got or record.got, crash.source
            if record.key == "crashes" or case.where[0] > UNITS:
                record.cause = crash.cause or record.cause
            if case.where[0] > UNITS:  # whatever the client then has seen
                record.key, record.read = crash.key, ""
                record.expected = "the server goes on"
        for hint in [hint for hint in hints if hint.key != "crashed"][:1]:
            if record.cause and record.key not in HINTED:
                break
            record.cause, record.source = hint.cause or hint.got, hint.source
            record.read, record.detail = hint.read or record.read, hint.detail
            record.key = hint.key or record.cause
        tables = sorted((path for path in watch.iterdir() if path.name.isdigit()),
                        key=lambda path: path.stat().st_mtime)
        if tables and not record.detail and record.key in WAITS_SHOWN:
            try:
                record.detail = tell.picture(tables[-1])
            except ValueError:
                pass  # it had no time to begin

    @staticmethod
    def _passed(folder: Path, status: int, number: int = 1) -> bool:
        """Whether so many tests were run, to their end, and passed."""
        try:
            counts = json.loads((folder / "result.json").read_text())
        except (OSError, ValueError):
            return False
        return (status == 0 and counts["passed"] == number
                and len(list((folder / "report").glob("ended-*"))) == number)

    @staticmethod
    def _no_words(case: Case, status: int, said: str) -> Record:
        """A test that has failed, and could not say why."""
        messages = re.search(r"Assertion Failed\n+((?:.|\n)*?)(?:\n\[|\Z)", said)
        if messages:
            text = re.sub(r"^\s*│?  ?", "", messages[1], flags=re.MULTILINE)
            text = re.sub(r"\n *(-> TUTORIAL|\(checked in).*", "", text)
            return Record(test=case.name, got=text.strip())
        if status < 0:
            return Record(test=case.name, detail=said[-2000:],
                          got=f"ended by signal {signal.Signals(-status).name}")
        if "CRASH" in said.upper():
            got = "the program crashed, or called exit()"
        else:
            got = "it ended before the check came to its end: does something " \
                  "call exit()?"
        return Record(test=case.name, got=got)

    def is_over(self, case: Case) -> bool:
        """Whether nobody asks for this case's result any more."""
        return self.stopped or case.name in self.dropped

    def drop(self, names):
        """Ends these cases, or does not begin them: nobody asks for their results,
        and what they start may take all the time of the processors."""
        self.dropped |= names
        processes = {process.pid for process, case in list(self.running.items())
                     if case.name in names and process.poll() is None}
        if processes:
            tree.kill_with_children(processes)

    def stop(self):
        """Ends what still runs; their results do not count any more."""
        self.stopped = True
        for process in list(self.running):
            process.kill()
            remove_socket(process.pid)


def remove_socket(pid: int) -> None:
    """Criterion leaves it behind when it is killed."""
    try:
        os.unlink(f"/tmp/criterion_{pid}.sock")
    except OSError:
        pass
