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

from . import build, cache, course
from .report import Record, records_in

# The stages, in the order of causes.
STAGES = ("the pool and the queue, called directly", "the basic answers",
          "what the step is about", "memory and threads", "hostile clients")
UNITS, ANSWERS, LESSON, MEMORY, HOSTILE = range(len(STAGES))

WRAPPED_SERVER = ("pthread_create", "listen", "close", "accept", "poll", "select",
                  "pselect")
WRAPPED_UNITS = ("pthread_create", "pthread_cond_wait", "pthread_mutex_lock",
                 "pthread_mutex_unlock", "pthread_join", "fork")

# A case that takes longer than this hangs in a way that it does not see itself.
LIMIT = 60


@dataclass
class Case:
    """Something to run that passes or leaves records."""

    name: str  # suite/test
    where: tuple  # stage, place in it
    command: list
    criterion: bool = True


@dataclass
class Result:
    """What came of a case."""

    case: Case
    records: list = field(default_factory=list)
    skipped: str = ""
    seconds: float = 0


def wrap(names):
    return [f"-Wl,--wrap={name}" for name in names]


def _objects(sources, flags, headers):
    """Compiles the tests' own files; a mistake here is ours, and raises."""
    paths = []
    for source in sources:
        built = cache.build(
            [build.compiler(), "-std=gnu17", "-O1", "-g", "-pthread", "-Wall",
             "-Wextra", "-Wno-missing-field-initializers",
             f"-I{course.TESTS / 'support'}", *build.criterion()[0], *flags,
             "-c", source], [source, *headers], ".o")
        if not built.good:
            raise SystemExit(f"The tests themselves do not compile:\n{built.said}")
        paths.append(built.path)
    return paths


def _tests(sources, objects):
    """suite/test of all tests in the objects, in the order of the sources."""
    symbols = set()
    for path in objects:
        said = subprocess.run(["nm", path], check=True,
                              stdout=subprocess.PIPE).stdout.decode()
        symbols |= set(re.findall(r" (\w+)_impl$", said, re.MULTILINE))
    return [f"{suite}/{test}" for source in sources for suite, test in
            re.findall(r"^Test\((\w+),\s*(\w+)", source.read_text(encoding="utf-8"),
                       re.MULTILINE) if f"{suite}_{test}" in symbols]


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
        self.cases.sort(key=lambda case: case.where)

    def _link_server(self):
        wrapper = _objects([course.TESTS / "support" / "wrap.c"],
                           [f"-fsanitize={self.sanitize}"] if self.sanitize else [],
                           [])
        extra = [f"-fsanitize={self.sanitize}"] if self.sanitize else []
        self.server, failure = build.link(self.program.objects + wrapper,
                                          wrap(WRAPPED_SERVER), extra)
        if failure:
            self.failures.append(failure)

    def _add_units(self, units, support):
        failure = build.interface(self.program.folder, self.step)
        if failure:
            self.failures.append(failure)
            return
        headers = [*support, *sorted(self.program.folder.glob("*.h"))]
        flags = [*macros(self.step), f"-I{self.program.folder}"]
        helpers = _support("report", "step", "unit")
        tests = _objects(units, flags, headers)
        # Their main makes room for the tests'.
        theirs = [_without_main(path) for path in self.program.objects]
        binary, failure = build.link(
            theirs + tests + _objects(helpers, flags, headers),
            build.criterion()[1] + wrap(WRAPPED_UNITS))
        if failure:
            self.failures.append(failure)
            return
        for place, name in enumerate(_tests(units, tests)):
            self.cases.append(Case(name, (UNITS, place), [binary]))

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
        for place, name in enumerate(_tests(sources, objects)):
            stage = stages.get(re.split("[/_]", name)[0], LESSON)
            self.cases.append(Case(name, (stage, place), [binary]))


def _without_main(path: Path) -> Path:
    """A copy of an object whose main has another name."""
    target = path.with_name(path.stem + "-unit.o")
    if not target.exists():
        draft = path.with_name(f"{path.stem}-{os.getpid()}.o")
        subprocess.run(["objcopy", "--redefine-sym", "main=main_of_the_server",
                        path, draft], check=True)
        os.replace(draft, target)
    return target


class Runner:
    """Runs cases, each in a folder of its own with the pages in it."""

    def __init__(self, suite: Suite, scratch: Path, patience: str):
        self.suite, self.scratch = suite, scratch
        self.environment = {
            **os.environ, **environment(suite.step), "SERVER": str(suite.server),
            "PATIENCE": patience,
            "LOCK": str(cache.folder() / "port-7878.lock"),
        }
        for name in ("REPORT", "EXTRA_THREAD"):
            self.environment.pop(name, None)
        if "thread" in suite.sanitize:
            self.environment["EXTRA_THREAD"] = "1"  # ThreadSanitizer's own
        self.running = set()
        self.stopped = False

    def environment_of(self, case: Case, folder: Path):
        """Makes a case's folder, and returns its environment."""
        for name in ("report", "pages", "tmp"):
            (folder / name).mkdir(parents=True)
        for page in course.PAGES:
            shutil.copy(course.ROOT / "assets" / page, folder / "pages")
        return {**self.environment, "REPORT": str(folder / "report"),
                "PAGES": str(folder / "pages"), "TMPDIR": str(folder / "tmp")}

    def run(self, case: Case) -> Result:
        """Runs one case to its end."""
        result = Result(case)
        if self.stopped:
            return result
        folder = self.scratch / case.name.replace("/", ".")
        environment = self.environment_of(case, folder)
        command = list(map(str, case.command))
        if case.criterion:
            command += [f"--filter={case.name}", "-j1", "--color=never",
                        f"--json={folder / 'result.json'}"]
        begun = time.monotonic()
        with open(folder / "output", "wb") as output:
            process = subprocess.Popen(
                command, cwd=folder / "tmp", env=environment, stdout=output,
                stderr=output, stdin=subprocess.DEVNULL, start_new_session=False)
            self.running.add(process)
            try:
                process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self.running.discard(process)
        result.seconds = time.monotonic() - begun
        if case.criterion:
            _remove_socket(process.pid)
        if self.stopped:
            return result
        said = (folder / "output").read_text(encoding="utf-8", errors="replace")
        result.records = records_in(folder / "report", case.name)
        if case.criterion:
            good = self._passed(folder, process.returncode)
        else:
            good = process.returncode in (0, 77)
            if process.returncode == 77:  # could not be run, and says why
                result.skipped = said.strip()
        if good:
            result.records = []
        elif not result.records:
            result.records = [self._no_words(case, process.returncode, said)]
        for record in result.records:
            record.where = case.where
        shutil.rmtree(folder, ignore_errors=True)
        return result

    def _passed(self, folder: Path, status: int) -> bool:
        """Whether the one test was run, to its end, and passed."""
        try:
            counts = json.loads((folder / "result.json").read_text())
        except (OSError, ValueError):
            return False
        return (status == 0 and counts["passed"] == 1
                and (folder / "report" / "ended").exists())

    @staticmethod
    def _no_words(case: Case, status: int, said: str) -> Record:
        """A test that has failed, and could not say why."""
        messages = re.search(r"Assertion Failed\n+((?:.|\n)*?)(?:\n\[|\Z)", said)
        if messages:
            text = re.sub(r"^\s*│?  ?", "", messages[1], flags=re.MULTILINE)
            text = re.sub(r"\n *(-> TUTORIAL|\(checked in).*", "", text)
            return Record(test=case.name, got=text.strip())
        if status < 0:
            got = f"ended by signal {signal.Signals(-status).name}"
        elif "CRASH" in said.upper():
            got = "the program crashed, or called exit()"
        else:
            got = "it ended before the check came to its end: does something " \
                  "call exit()?"
        return Record(test=case.name, got=got)

    def stop(self):
        """Ends what still runs; their results do not count any more."""
        self.stopped = True
        for process in list(self.running):
            process.kill()
            _remove_socket(process.pid)


def _remove_socket(pid: int) -> None:
    """Criterion leaves it behind when it is killed."""
    try:
        os.unlink(f"/tmp/criterion_{pid}.sock")
    except OSError:
        pass
