"""
Compiles and links in a folder of the user's own, outside of the checkout. What
was built from the same bytes with the same command is not built again; what
nobody has asked for in three days is removed.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from functools import lru_cache
from pathlib import Path

DAYS_KEPT = 3


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK)
    except OSError:
        return False


@lru_cache(maxsize=None)
def folder() -> Path:
    """Where builds are kept: the user's cache, else a folder in TMPDIR."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for path in (Path(cache) / "hello-tests",
                 Path(tempfile.gettempdir()) / f"hello-tests-{os.getuid()}"):
        if path.is_absolute() and _usable(path):
            _tidy(path)
            return path
    return Path(tempfile.mkdtemp(prefix="hello-tests-"))


def _tidy(path: Path) -> None:
    """Once a day, removes what was not used for a while."""
    stamp = path / "tidied"
    now = time.time()
    if stamp.exists() and stamp.stat().st_mtime > now - 86400:
        return
    stamp.touch()
    for file in path.iterdir():
        try:
            if file.stat().st_mtime < now - DAYS_KEPT * 86400:
                if file.is_dir():
                    shutil.rmtree(file)
                else:
                    file.unlink()
        except OSError:
            pass  # another run was faster


@lru_cache(maxsize=None)
def _compiler_version(compiler: str) -> bytes:
    return subprocess.run([*compiler.split(), "--version"], check=True,
                          stdout=subprocess.PIPE).stdout


@lru_cache(maxsize=None)
def _bytes(path: str, changed: int) -> bytes:
    del changed  # only that a file that changes is read again
    return Path(path).read_bytes()


def read(path: Path) -> bytes:
    """A file's bytes."""
    return _bytes(str(path), path.stat().st_mtime_ns)


def copies(files) -> Path:
    """A folder with copies of some files, the same one for the same bytes: what is
    compiled with it does not depend on where the files stand."""
    contents = {Path(file).name: read(Path(file)) for file in files}
    key = hashlib.sha256(repr(sorted(contents.items())).encode()).hexdigest()[:32]
    target = folder() / f"{key}.files"
    if not target.is_dir():
        draft = Path(tempfile.mkdtemp(dir=folder()))
        for name, content in contents.items():
            (draft / name).write_bytes(content)
        try:
            draft.rename(target)
        except OSError:  # another run was faster
            shutil.rmtree(draft)
    os.utime(target)
    return target


class Built:
    """What a command made: its file, whether it is there, what was said."""

    def __init__(self, path: Path, good: bool, said: str):
        self.path, self.good, self.said = path, good, said


def key(command, inputs) -> str:
    """What names the outcome of a command: its tool, its words, what it reads."""
    made = hashlib.sha256(_compiler_version(command[0]))
    made.update("\0".join(map(str, command)).encode())
    for path in inputs:
        made.update(hashlib.sha256(read(Path(path))).digest())
    return made.hexdigest()[:32]


def build(command, inputs, suffix: str) -> Built:
    """Runs a compiler, with -o FILE; inputs are all files that matter."""
    target = folder() / (key(command, inputs) + suffix)
    log = target.with_name(target.name + ".log")
    try:
        said = log.read_text(encoding="utf-8", errors="replace")
        if target.exists():
            os.utime(target)
            os.utime(log)
            return Built(target, True, said)
    except OSError:
        pass
    handle, name = tempfile.mkstemp(dir=folder(), suffix=suffix)
    os.close(handle)
    done = subprocess.run(
        [*command[0].split(), *map(str, command[1:]), "-o", name],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"})
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        Path(name).unlink(missing_ok=True)  # clang has removed it itself
        return Built(target, False, said)
    # The log first: a target without its log is built again.
    with tempfile.NamedTemporaryFile("w", dir=folder(), delete=False,
                                     encoding="utf-8") as file:
        file.write(said)
    os.replace(file.name, log)
    os.replace(name, target)
    return Built(target, True, said)
