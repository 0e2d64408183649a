"""Builds a reader's folder, and says in words what stands in the way."""

import os
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from support.steps import macros
from watch.tell import COMPILE_READER

from . import cache, course
from .report import Record

FLAGS = ("-std=c17", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra",
         "-Wpedantic", "-pthread", "-O2", "-g")

# Warnings that mean a wrong program, and what they mean.
WRONG = {
    "uninitialized": "nothing has been stored in the variable when it is used",
    "maybe-uninitialized": "on one way through the function (a branch of an if?) "
                           "nothing has been stored in the variable",
    "return-type": "a function that should return a value ends without `return`",
    "return-local-addr": "the variable is gone when the function returns: its "
                         "address points to nothing",
    "dangling-pointer": "the variable is gone by then: its address points to "
                        "nothing",
    "incompatible-pointer-types": "a pointer of another type is expected here",
    "int-conversion": "a number stands where a pointer is expected, or the other "
                      "way round",
    "format": "the % of the format and the value behind it are of different types",
    "format-extra-args": "the format has fewer % than there are values",
    "implicit-function-declaration": "the function is not declared: its #include is "
                                     "missing, or its name is misspelt",
    "implicit-int": "a type is missing",
    "use-after-free": "the memory has been given back before",
    "free-nonheap-object": "free() gets what did not come from malloc()",
    "array-bounds": "there is no such element, or the memory is smaller than what "
                    "is put there (sizeof of a pointer?)",
    "stringop-overflow": "more is written than there is room for",
    "stringop-overread": "more is read than there is",
    "sizeof-pointer-memaccess": "sizeof a pointer is 8, whatever it points to",
    "nonnull": "NULL where there must be something",
    "null-dereference": "the pointer may be NULL",
    "address": "== compares two addresses; strings are compared with strcmp, which "
               "returns 0 if they are equal",
    "string-compare": "the array is too small for such a string, so the two are "
                      "never equal",
    "parentheses": "= stores a value; == compares two",
    "alloc-size": "the memory is smaller than what is put there",
}

# What the first error of a compiler often comes from.
ERRORS = (
    (r"expected .*(;|,).* before|expected ';'",
     "a semicolon is missing, at the end of this line or of the one before"),
    (r"expected declaration or statement at end of input",
     "a } is missing somewhere above"),
    (r"expected identifier or .*\(|extraneous closing brace",
     "there is one } too many above, or a { is missing"),
    (r"unknown type name|undeclared|implicit declaration|has no member named|"
     r"no member named",
     "the name is misspelt, or its #include (or declaration) is missing"),
    (r"conflicting types|redefinition", "it is declared in two different ways"),
    (r"No such file", "the file is missing, or its name is misspelt"),
    (r"too (few|many) arguments", "the call does not fit the declaration"),
    (r"missing terminating", "a quotation mark is missing"),
    (r"incomplete type|invalid use of undefined type",
     "only the name of the struct is known here, not its members: they are "
     "private to the .c file that defines it"),
)


@dataclass
class Note:
    """An error or a warning of the compiler."""

    file: str
    line: int
    column: int
    kind: str
    text: str
    option: str

    @property
    def source(self) -> str:
        return f"{Path(self.file).name}:{self.line}"

    def excerpt(self) -> str:
        """The line, and the one before, with a mark under the column."""
        try:
            lines = Path(self.file).read_text(
                encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        shown = [f"{number:5} | {lines[number - 1]}"
                 for number in (self.line - 1, self.line)
                 if 0 < number <= len(lines) and lines[number - 1].strip()]
        start = lines[self.line - 1][:self.column - 1] if \
            0 < self.line <= len(lines) else ""
        shown.append("      | " + re.sub(r"[^\t]", " ", start) + "^")
        return "\n".join(shown)


@dataclass
class Program:
    """A reader's folder: what was built of it, and what was said."""

    folder: Path
    objects: list = field(default_factory=list)
    failures: list = field(default_factory=list)  # records
    warnings: list = field(default_factory=list)  # records: a wrong program
    remarks: list = field(default_factory=list)   # other warnings, in a line


def compiler() -> str:
    return os.environ.get("CC", "cc")


def own_flags():
    """What the environment adds: CFLAGS, and a private Criterion."""
    return os.environ.get("CFLAGS", "").split()


def criterion():
    """Flags to find Criterion; CRITERION=dir for a private copy."""
    private = os.environ.get("CRITERION")
    if not private:
        return [], ["-lcriterion"]
    where = Path(os.path.expanduser(private))
    libraries = [path.parent for path in where.rglob("libcriterion.so")][:1]
    if not libraries:
        raise SystemExit(f"CRITERION={private}: there is no libcriterion.so below it.")
    return [f"-I{where / 'include'}"], [
        f"-L{libraries[0]}", f"-Wl,-rpath,{libraries[0]}", "-lcriterion"]


def notes(said: str):
    """The errors and warnings in what a compiler said."""
    pattern = re.compile(r"^(.+?):(\d+):(?:(\d+):)? "
                         r"(fatal error|error|warning): (.*?)(?: \[-W(.+?)\])?$",
                         re.MULTILINE)
    for match in pattern.finditer(said):
        option = (match[6] or "").split(",")[-1].rstrip("=").replace("error=", "")
        yield Note(match[1], int(match[2]), int(match[3] or 1), match[4],
                   match[5], option.rstrip("0123456789="))


def _likely(text: str, table) -> str:
    return next((cause for pattern, cause in table if re.search(pattern, text)),
                "")


def look_at(folder: Path, step):
    """One sentence if the folder cannot be tested at all; else None."""
    name = course.shown(folder)
    if folder.is_file():
        return (f"{name} is a file: the tests take the folder that it is in, "
                f"SRC={course.shown(folder.parent)}.")
    if not folder.is_dir():
        return f"There is no folder {name}."
    for path in sorted(folder.iterdir()):
        if path.suffix in (".cpp", ".cc", ".cxx", ".C"):
            return (f"{path.name} is C++, and this course is in C: call it "
                    f"{path.stem}.c, and compile it with cc.")
    sources = list(folder.glob("*.c"))
    if not sources:
        nested = sorted({path.parent for path in folder.rglob("*.c")})
        if nested:
            return (f"There is no C file in {name} itself: the tests take one "
                    f"folder, so give them SRC={course.shown(nested[0])}.")
        return f"There is no C file in {name}."
    for header in step.headers if step else ():
        if not (folder / header).exists():
            elsewhere = sorted(folder.rglob(header))
            if elsewhere:
                return (f"{header} must stand beside main.c, in {name}; it is in "
                        f"{course.shown(elsewhere[0].parent)}.")
            return (f"{header} is missing in {name}: step "
                    f"{int(step.number)} declares there what the tests call "
                    f"({course.place(course.title(course.first_with(header)))}).")
    return None


def _error(note: Note, more: int) -> Record:
    cause = _likely(note.text, ERRORS)
    if b"\r\n" in Path(note.file).read_bytes() if Path(note.file).exists() else False:
        cause += (" (or the line ends of Windows, CR LF, are in the way: "
                  f"sed -i 's/\\r$//' {note.source.split(':')[0]})")
    got = note.text + (f"\n(and {more} more, which often go with the first)"
                       if more else "")
    return Record(test="compile", did=f"{Path(note.file).name} does not compile",
                  got=got, cause=cause, source=note.source,
                  detail=note.excerpt())


def _warning(note: Note) -> Record:
    cause = WRONG.get(note.option, WRONG.get(note.option.split("-")[0], ""))
    if "string literal" in note.text and note.option == "string-compare":  # clang's
        cause = WRONG["address"]
    if "argument 3 null" in note.text and "pthread_create" in note.excerpt():
        cause = ("a function's name alone hands it over; with () behind it, it is "
                 "called here, and what it returns is handed over")
    return Record(
        test="warnings", key=note.option + note.source + note.text,
        did=f"{Path(note.file).name} compiles with a warning that means a wrong "
            "program", got=note.text,
        cause=cause, source=note.source, detail=note.excerpt())


def compile_folder(folder: Path, extra=()) -> Program:
    """Compiles all *.c of a folder, as the course's Makefile does."""
    program = Program(folder)
    headers = sorted(folder.glob("*.h"))
    sources = sorted(folder.glob("*.c"))
    command = [compiler(), *FLAGS, *COMPILE_READER, *own_flags(), *extra]

    def one(source):
        return cache.build([*command, "-c", source], [source, *headers], ".o")

    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for source, built in zip(sources, pool.map(one, sources)):
            found = list(notes(built.said))
            errors = [note for note in found if "error" in note.kind]
            if errors:
                errors.sort(key=lambda note: not note.file.endswith(".h"))
                program.failures.append(_error(errors[0], len(errors) - 1))
            elif not built.good:
                program.failures.append(Record(
                    test="compile", did=f"{source.name} does not compile",
                    got=built.said[-500:] or "the compiler ended without a word"))
            for note in found:
                if note.kind != "warning":
                    continue
                if _is_wrong(note):
                    program.warnings.append(_warning(note))
                else:
                    program.remarks.append(f"{note.source}: {note.text}")
            program.objects.append(built.path)
    return program


def _is_wrong(note: Note) -> bool:
    """Whether a warning means a wrong program."""
    if note.option == "parentheses":  # other advice has this name, too
        return "assignment" in note.text
    if note.option == "address":
        return "string literal" in note.text
    if "no return statement" in note.text and _never_ends(note):
        return False
    return note.option in WRONG or note.option.startswith("format")


ENDLESS = r"(for\s*\(\s*;\s*;\s*\)|while\s*\(\s*(1|true)\s*\))\s*"


def _never_ends(note: Note) -> bool:
    """Whether the function that ends at this line ends with an endless loop: gcc
    does not look whether its end can be reached."""
    lines = Path(note.file).read_text(encoding="utf-8", errors="replace").splitlines()
    code = "\n".join(lines[:note.line - 1]).rstrip()
    head, depth = ENDLESS, 0
    if re.search(r"\}\s*while\s*\(\s*(1|true)\s*\)\s*;$", code):
        code, head = code[:code.rindex("while")].rstrip(), "do"
    for place in range(len(code) - 1, -1, -1) if code.endswith("}") else ():
        depth += (code[place] == "}") - (code[place] == "{")
        if depth == 0:
            return bool(re.search(head + r"\s*$", code[:place])) \
                and "break" not in code[place:]
    return False


def analyze(source: Path):
    """What gcc's analyzer suspects; slow, and often wrong: advice only."""
    built = cache.build(
        ["nice", "-n", "19", compiler(), *FLAGS, *own_flags(), "-fanalyzer",
         "-fdiagnostics-plain-output", "-c", source],
        [source, *sorted(source.parent.glob("*.h"))], ".analyzed.o")
    return [f"{note.source}: {note.text}" for note in notes(built.said)
            if note.option.startswith("analyzer")]


def link(objects, flags, extra=()):
    """Links objects to a program: its path and no record, or none and one."""
    built = cache.build([compiler(), *FLAGS, *own_flags(), *extra, *objects,
                         *flags], objects, ".run")
    if built.good:
        return built.path, None
    missing = sorted(set(re.findall(r"undefined reference to .(\w+)", built.said)))
    twice = sorted(set(re.findall(r"multiple definition of .(\w+)", built.said)))
    if missing:
        return None, Record(
            test="link", did="the files compile, and do not go together",
            expected=f"a definition of {', '.join(missing)}",
            got="it is only declared, or called",
            cause="the .c file that should define it is missing or empty, or the "
                  "name is misspelt there, or it is `static`")
    if twice:
        return None, Record(
            test="link", did="the files compile, and do not go together",
            expected=f"one definition of {', '.join(twice)}",
            got="there are two",
            cause="a header holds a definition instead of a declaration, a .c file "
                  "is included by another, or a copy of a file is left in the "
                  "folder")
    return None, Record(test="link", did="the files do not go together",
                        got=built.said[-800:])


def without_main(path: Path) -> Path:
    """A copy of an object whose main has another name: it is called directly."""
    target = path.with_name(path.stem + "-unit.o")
    if not target.exists():
        draft = path.with_name(f"{path.stem}-{os.getpid()}-{threading.get_ident()}.o")
        subprocess.run(["objcopy", "--redefine-sym", "main=main_of_the_server",
                        path, draft], check=True)
        os.replace(draft, target)
    return target


def interface(folder: Path, step):
    """A record if the headers do not declare what the tests call; else None."""
    source = course.TESTS / "steps" / "interface.c"
    headers = sorted(folder.glob("*.h"))
    built = cache.build(
        [compiler(), "-std=gnu17", "-Werror=incompatible-pointer-types",
         *macros(step), "-I", folder, "-S", source], [source, *headers], ".s")
    if built.good:
        return None
    for note in notes(built.said):
        if "error" not in note.kind:
            continue
        if note.file != str(source):
            return _error(note, 0)
        return _undeclared(note, folder, step)
    return Record(test="interface", did="the headers were read", got=built.said)


def _undeclared(note: Note, folder: Path, step) -> Record:
    """What the text declares, beside what stands in the reader's header."""
    lines = note and Path(note.file).read_text(encoding="utf-8").splitlines()
    near = " ".join(lines[note.line - 1:note.line + 2])
    known = re.findall(r"(?:thread_pool|job_queue|http)_\w+(?=;)", near) or \
        re.findall(r"\b(?:Job|JobQueue|ThreadPool|HttpRequest|HttpAnswer)\b", near)
    name = known[0] if known else "Job"
    header = "http.h" if name.lower().startswith("http") else \
        "job_queue.h" if "ob" in name.split("_")[0] else "thread_pool.h"

    def declaration(path):
        text = path.read_text(encoding="utf-8", errors="replace") \
            if path.exists() else ""
        match = re.search(r"^[^/\n#;]*\b" + name + r"\b[^;]*;", text, re.MULTILINE)
        return " ".join(match[0].split()) if match else ""

    came = declaration(folder / header)
    return Record(
        test="interface", key=name,
        did=f"{header} declares what main.c and the tests call",
        expected=declaration(step.folder / header) or name,
        got=came or f"{name} is not declared in {header}",
        cause=f"the header is not yet that of step {int(step.number)}",
        read=course.title(step))
