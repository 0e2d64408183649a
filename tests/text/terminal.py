"""What a reader does at two terminals, between one caption and the next.

`Player` plays the events of one stretch (model.py) in a folder and at a port of
its own, in a process of its own. The commands' output goes to pseudo-terminals,
so that programs buffer as they do for a reader. Port 7878 becomes a free port of
four digits, which is also the variable PORT of the commands, and is itself again
in what comes back. Every wait is bounded, and nothing that was started outlives
the player.

Compared are lines after these differences are taken out: port, process ids,
addresses, clock times, curl's version, quotes; decimal numbers with three places
or more (seconds) are rounded. Of a compiler's messages the lines with `error:` or
`warning:` count, and what is not the compiler's.
"""
from __future__ import annotations

import ctypes
import fcntl
import os
import pathlib
import pty
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
from typing import Optional

from model import Event, Folder, Line, Stretch, content
from transcript import Transcript, any_order, is_diagnosis, is_gap, match
from transcript import rewritten, without_decoration

PATIENCE = float(os.environ.get("REPLAY_PATIENCE", 30))
BUSY = 3  # processes a CPU that want to run: then anything may be late
END_SECONDS = 6  # for a server that ends by itself
OUTPUT_MAX = 65536  # bytes of one command that are looked at
SHOWN_MAX = 40  # lines of an output shown in a message
STRICT = ("-std=c17 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -pthread -O2")

SET_CHILD_SUBREAPER = 36  # prctl(2)
UNWANTED = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "http_proxy", "CFLAGS", "CC", "ENV")


class Terminal:
    """A pseudo-terminal, and the command that runs at it. Ctrl-C works in the
    first terminal alone: it controls its commands, as a reader's does."""

    def __init__(self, controls: bool = False) -> None:
        self.controls = controls
        self.master, self.slave = pty.openpty()
        mode = termios.tcgetattr(self.slave)
        mode[1] &= ~termios.OPOST  # no CR before LF
        mode[3] &= ~termios.ECHO
        mode[3] |= termios.NOFLSH  # Ctrl-C throws nothing away
        termios.tcsetattr(self.slave, termios.TCSANOW, mode)
        os.set_blocking(self.master, False)
        self.process: Optional[subprocess.Popen] = None
        self.line = 0  # where the text starts it
        self.status = 0  # of the command before
        self.output = b""
        self.seen = 0  # up to here the text has shown it
        self.skip = False  # the text left something out here
        self.spoke = time.monotonic()

    def start(self, line: int, command: str, folder: pathlib.Path) -> None:
        # who opens a terminal in a new session is controlled by it
        opened = f": <{os.ttyname(self.slave)}\n" if self.controls else ""
        # $? is the status of the command before, as in one long session
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f"{opened}(exit {self.status})\n{command}"],
            cwd=folder, stdin=self.slave if self.controls else subprocess.DEVNULL,
            stdout=self.slave, stderr=self.slave, start_new_session=True)
        self.line, self.output, self.seen, self.skip = line, b"", 0, False
        self.spoke = time.monotonic()

    def drain(self) -> None:
        """Takes what it shows by now: not all, for a flood has no end."""
        for _ in range(16):
            try:
                part = os.read(self.master, 4096)
            except BlockingIOError:
                return
            self.spoke = time.monotonic()
            if len(self.output) <= OUTPUT_MAX:
                self.output += part

    def ended(self) -> bool:
        """Has its command ended? If so its output is complete. The process is
        not reaped: its id, and its group's, stay ours."""
        if not self.process:
            return True
        info = os.waitid(os.P_PID, self.process.pid,
                         os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if info is None:
            return False
        for _ in range(64):  # a pseudo-terminal hands over with a delay
            if not select.select([self.master], [], [], 0.05)[0]:
                break
            self.drain()
        self.process = None
        killed = info.si_code != os.CLD_EXITED
        self.status = info.si_status + 128 * killed
        if killed and info.si_status != signal.SIGINT:
            # an interactive shell says so
            self.output += (signal.strsignal(info.si_status) or "").encode() + b"\n"
        return True


class Player:
    """Plays one stretch. `failures` are what is wrong: line and words."""

    def __init__(self, stretch: Stretch, name: str, folder: pathlib.Path,
                 makefile: str, compiler: str, accept: bool, again: bool) -> None:
        self.stretch, self.name, self.folder = stretch, name, folder
        self.makefile, self.accept, self.again = makefile, accept, again
        self.compare_compiler = accept or compiler == "gcc"
        self.failed = False
        self.late: list[str] = []  # failures since time ran out: not yet said
        self.changes: list[tuple[list[Line], int, list[str]]] = []
        self.started: list[subprocess.Popen] = []
        self.written: set[str] = set()  # the files that the text has written
        self.stopped = False
        self.parent = os.getppid()
        self.shown: Optional[Event] = None  # the first terminal's lines, last
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        for variable in UNWANTED:
            os.environ.pop(variable, None)
        self.port, self.lock = take_port()
        os.environ.update(LC_ALL="C", TERM="dumb", NO_PROXY="*", PORT=self.port,
                          HOME=str(folder.parent))
        self.transcript = Transcript(self.port)
        self.first, self.second = Terminal(controls=True), Terminal()

    def _stop(self, _number: int, _frame: object) -> None:
        self.stopped = True

    def play(self) -> None:
        """Plays the events, until they end or the first terminal leaves the text."""
        play = {"sync": self._sync, "build": self._build, "badge": self._badge,
                "example": self._example, "declared": self._declared,
                "run": self._run, "server": self._server, "more": self._more,
                "interrupt": self._interrupt}
        try:
            for event in self.stretch.events:
                if play[event.tag](event) is False:
                    return
            if not self._wait_end(self.first, END_SECONDS):
                self._fail(self.first.line,
                           "this is left running in the first terminal", late=True)
            else:
                self._check_rest()
        finally:
            self._clean_up()

    # ---- what is wrong

    def _fail(self, line: int, message: str, output: Optional[str] = None,
              late: bool = False, accepted: bool = False) -> None:
        """Says what is wrong, at once; but what may be wrong only because time
        ran out, and all that follows from it, is kept for a second try. Nothing
        is wrong with what is accepted."""
        if output is not None:
            lines = [self.transcript.plain(one) for one in output.splitlines()]
            message += "".join(f"\n    {one}" for one in lines[:SHOWN_MAX])
            message += "\n    and so on" if len(lines) > SHOWN_MAX else ""
        words = f"{self.name}:{line}: {message}\n"
        late = late or os.getloadavg()[0] > BUSY * (os.cpu_count() or 1)
        if not self.failed and not self.again and (late or self.late):
            self.late.append(words)
            return
        if not (self.accept and accepted):
            self.failed = True
            sys.stdout.write(words)
            sys.stdout.flush()

    def _differs(self, event: Event, got: list[str], whole: str, furthest: int,
                 late: bool, in_order: bool = True, more: bool = False) -> None:
        """Says which line did not come, or that there was more than is shown."""
        if furthest < len(event.expected):
            at = event.expected[furthest]
            message = f"expected this line, which did not come: {at.text}"
        else:
            at = Line("", event.line)
            message = "more was printed than the text shows"
        self._fail(at.origin, f"{message}\n  what came:", whole, late, accepted=True)
        self.changes.append((event.expected, event.line, rewritten(
            [line.text for line in event.expected], got, self.transcript,
            in_order, more)))

    # ---- waiting

    def _pump(self, seconds: float = 0.02) -> None:
        """Reads both terminals for a moment. Ends the process when told to."""
        select.select([self.first.master, self.second.master], [], [], seconds)
        self.first.drain()
        self.second.drain()
        if self.stopped or os.getppid() != self.parent:
            self._clean_up()
            os._exit(130)

    def _wait_end(self, terminal: Terminal, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not terminal.ended():
            if time.monotonic() > end:
                return False
            self._pump()
        return True

    def _start(self, terminal: Terminal, line: int, command: str) -> None:
        terminal.start(line, command.replace("7878", self.port), self.folder)
        self.started.append(terminal.process)

    def _quietly(self, command: str) -> tuple[int, str]:
        """Runs what the text does not show. Returns its status and output."""
        before = self.second.status
        self._start(self.second, 0, command)
        if not self._wait_end(self.second, 2 * PATIENCE):
            os.killpg(self.second.process.pid, signal.SIGKILL)
            self._wait_end(self.second, 1)
        status, self.second.status = self.second.status, before
        return status, self.second.output.decode(errors="replace")

    def _clean_up(self) -> None:
        """Ends all that was started, and whatever that has started: what left its
        group (setsid, timeout) is our child now, or soon will be."""
        for process in self.started:
            signal_group(process.pid, signal.SIGKILL)
        children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children")
        end = time.monotonic() + 2
        while time.monotonic() < end:
            if children.exists():
                for pid in children.read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                break
            time.sleep(0.005)
        self.started = []

    # ---- events: the folder

    def _sync(self, event: Event) -> None:
        """Makes the folder what the text says; a file that stays the same keeps
        its age, for make, and what the commands have made stays."""
        files: Folder = event.value
        for name in self.written - files.keys():
            (self.folder / name).unlink(missing_ok=True)
        self.written = set(files)
        for name, file in files.items():
            path = self.folder / name
            new = content(file).replace("7878", self.port)
            if not path.exists() or path.read_text() != new:
                path.parent.mkdir(exist_ok=True)
                path.write_text(new)

    def _build(self, _event: Event) -> None:
        self._quietly("make -s")

    def _badge(self, event: Event) -> None:
        """Builds a copy of the folder with a badge's eyes."""
        copy = self.folder.parent / "badge"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        (copy / "Makefile").write_text(self.makefile)
        for path in (*self.folder.glob("*.[ch]"), *self.folder.glob("Makefile")):
            shutil.copy(path, copy)
        status, output = self._quietly("cd ../badge && make -s")
        claim = f"the badge says \"{event.value}\", but "
        if event.value == "does not compile":
            if status == 0:
                self._fail(event.line, claim + "it does compile")
        elif event.value == "compiles with a warning":
            if status:
                self._fail(event.line, claim + "it does not compile")
            elif "warning: " not in output:
                self._fail(event.line, claim + "it compiles without one")
        elif status or output:
            self._fail(event.line, claim + "the compiler says:", output)

    def _example(self, event: Event, options: str = "-Wpedantic -Werror") -> None:
        """Compiles a file by itself."""
        status, output = self._quietly(
            f"cc {STRICT} {options} -o ../example '{event.value}'")
        if status:
            self._fail(event.line, "the compiler says of this:", output)

    def _declared(self, event: Event) -> None:
        path = self.folder.parent / "declared.c"
        path.write_text(event.value)
        self._example(Event(event.line, "example", path), "-c")

    # ---- events: the second terminal

    def _run(self, event: Event) -> None:
        self._start(self.second, event.line, event.value)
        if not self._wait_end(self.second, PATIENCE):
            self._fail(event.line, f"this command did not end within {PATIENCE:.0f} s: "
                       f"{event.value}\n  what came:",
                       self.second.output.decode(errors="replace"), late=True)
            signal_group(self.second.process.pid, signal.SIGKILL)
            self._wait_end(self.second, 1)
            return
        expected = [line.text for line in event.expected]
        whole = self.second.output.decode(errors="replace")
        got = self.transcript.split(whole)
        wanted = [self.transcript.normal(line) for line in expected]
        came = [self.transcript.normal(line) for line in got]
        numbers = list(range(len(wanted)))
        if any(map(is_diagnosis, wanted)):
            if not self.compare_compiler:
                return  # replay has said so, loudly
            wanted, numbers = without_decoration(wanted)
            came, _ = without_decoration(came)
        same, _, furthest = match(wanted, came)
        if not same:
            at = numbers[furthest] if furthest < len(numbers) else len(expected)
            late = match(*map(self.transcript.timeless, (wanted, came)))[0]
            self._differs(event, got, whole, at, late)

    # ---- events: the first terminal

    def _server(self, event: Event) -> Optional[bool]:
        """Starts a command, once the terminal is free."""
        if not self._wait_end(self.first, END_SECONDS):
            self._fail(event.line, f"the command of line {self.first.line} is still"
                       " running", late=True)
            return False
        self._check_rest()
        self._start(self.first, event.line, event.value)
        self.shown = None
        events = self.stretch.events
        following = events[events.index(event) + 1:][:1]
        if "./server" in event.value and not (following and following[0].tag == "more"):
            # nothing to wait for but the port itself
            end = time.monotonic() + 5
            while (port_is_free(self.port) and time.monotonic() < end
                   and not self.first.ended()):
                self._pump()
        return None

    def _more(self, event: Event) -> Optional[bool]:
        """Waits for what the first terminal prints next."""
        terminal = self.first
        gap = ["…"] if terminal.skip else []  # at the end of the block before
        expected = gap + [self.transcript.normal(line.text) for line in event.expected]
        compare = any_order if event.any_order else match
        begun = terminal.spoke = time.monotonic()
        looked, found, late = None, False, False
        while not found:
            ended = terminal.ended()
            now = time.monotonic()
            late = now > begun + PATIENCE or self._is_silent(now)
            if looked != (len(terminal.output), ended):
                looked = len(terminal.output), ended
                rest = terminal.output[terminal.seen:]
                raw = rest if ended else rest[:rest.rfind(b"\n") + 1]
                lines = raw.splitlines(keepends=True)
                whole = raw.decode(errors="replace")
                got = [self.transcript.normal(line)
                       for line in self.transcript.split(whole)]
                found, used, furthest = compare(expected, got, prefix=True)
            if found:
                terminal.seen += sum(map(len, lines[:used]))
            elif ended or late or is_hopeless(expected, got, event.any_order):
                break
            else:
                self._pump()
        if not found:
            if self.accept:
                self._settle(1)
            whole = terminal.output[terminal.seen:].decode(errors="replace")
            self._differs(event, self.transcript.split(whole), whole,
                          max(0, furthest - len(gap)), late and not ended,
                          not event.any_order, more=bool(gap))
            if self.accept:
                terminal.seen, found = len(terminal.output), True
        terminal.skip = is_gap(expected[-1])
        self.shown = event
        return found

    def _is_silent(self, now: float) -> bool:
        """Whether a server listens, and has said nothing for so long that it will
        not speak. (Its own time-outs are 5 s; compilers may take longer.)"""
        return now > self.first.spoke + PATIENCE / 3 and not port_is_free(self.port)

    def _settle(self, seconds: float) -> None:
        """Waits until the first terminal has been silent for so long."""
        begun = time.monotonic()
        while not self.first.ended() and (
                time.monotonic() < max(self.first.spoke, begun) + seconds):
            self._pump()

    def _check_rest(self, line: int = 0) -> None:
        """The first terminal is free again: was everything it printed shown? What
        was not would stand after that line, or after the lines shown last."""
        terminal = self.first
        rest = terminal.output[terminal.seen:].decode(errors="replace")
        if rest and not terminal.skip:
            self._fail(terminal.line, "the first terminal printed more than the text"
                       " shows\n  what came:", rest, accepted=True)
            shown = self.shown.expected if self.shown and not line else []
            self.changes.append((
                shown, line or (self.shown.line if self.shown else terminal.line),
                [old.text for old in shown]
                + [self.transcript.plain(new) for new in rest.splitlines()]))
        terminal.seen = len(terminal.output)

    def _interrupt(self, event: Event) -> None:
        if self.first.ended():
            self._fail(event.line, "^C, but nothing runs in the first terminal any"
                       " more")
            return
        if self.accept:
            self._settle(0.2)
            self._check_rest(event.line - 1)
        self.shown = event
        os.write(self.first.master, b"\x03")
        # a server that shuts down gracefully may take its time, and say more
        self._wait_end(self.first, 1)


def is_hopeless(expected: list[str], got: list[str], unordered: bool) -> bool:
    """Whether no line that may still come can make it right."""
    if unordered:
        return not any(map(is_gap, expected)) and any(
            line not in expected for line in got)
    for wanted, line in zip(expected, got):
        if is_gap(wanted):
            return False
        if wanted != line:
            return True
    return False


def signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def port_is_free(port: str) -> bool:
    """Does nobody listen on this port? (Old connections of it are no bar.) Only
    binds: to listen here, even for a moment, could be in a server's way."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError:
            return False
    return True


def take_port() -> tuple[str, object]:
    """Takes a free port of four digits: as long as 7878, so that a compiler's
    columns stay. A byte of a shared file, locked, keeps it from all other replays
    of this user until this process ends."""
    path = f"{tempfile.gettempdir()}/tutorial-replay-ports-{os.getuid()}"
    locks = open(path, "a", encoding="ascii")
    for i in range(8000):
        port = 2000 + (os.getpid() * 37 + i) % 8000
        try:
            fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            continue
        if port_is_free(str(port)):
            return str(port), locks
    raise OSError("no free port")
