"""Builds a folder's program for the explorer, without changing it.

The reader's files are compiled for ThreadSanitizer, and then their symbols are
renamed: what they define becomes reader_…, so that it cannot be mistaken for
ours; what they call and model.c models becomes model_…; what one file of theirs
calls in another, and scenarios.c looks at first, asked_…; and what is neither
modelled nor known to be harmless ends the exploration when it is called.
"""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runner import cache

HERE = Path(__file__).resolve().parent
OURS = "search", "model", "memory", "net"
FLAGS = "-std=c17 -D_POSIX_C_SOURCE=200809L -pthread -O0 -g -w -fno-pie"
FLAGS += " -DUSE_poll"  # final's
OUR_FLAGS = "-std=gnu17 -O2 -g -fno-pie -w"
SANITIZED = "-fsanitize=thread -fno-omit-frame-pointer -Dmain=main_of_the_server"

# Functions that neither wait nor are waited for, and keep nothing that threads
# share; and those that only print, or concern signals: they do nothing here.
HARMLESS = re.compile(
    r"__tsan_|str|mem|is[a-z]+$|to(upper|lower)$|__ctype|__errno_location$|ato"
    r"|v?sn?printf$|v?sscanf$|__isoc\d+_|qsort$|bsearch$|l?labs$|abs$|time$"
    r"|clock|timespec_get$|gettimeofday$|difftime$|getenv$|sysconf$|s?rand|htons$|ntohs$"
    r"|htonl$|ntohl$|inet_|std(in|out|err)$|environ$|sig(fill|empty|add|del)"
    r"|pthread_(attr|mutexattr|condattr)_|_GLOBAL_OFFSET|__stack_chk_fail$"
    r"|get[pu]id$|__tls_get_addr$")
QUIET = re.compile(
    r"v?f?printf$|v?dprintf$|putchar$|f?puts$|[f]?putc$|perror$|fflush$|fwrite$"
    r"|setv?buf$|bind$|listen$|getsockname$|[sg]etsockopt$|shutdown$|prctl$|pthread_setname_np$|pthread_sigmask$|sigprocmask$"
    r"|sigaction$|(__sysv_)?signal$|pthread_setcancel|psignal$|err$|errx$|warnx?$"
    r"|pthread_set(sched|affinity)|syslog$")


class CannotBuild(Exception):
    """The folder is not one that can be explored; says why."""


def run_all(commands):
    """Runs commands side by side; returns their output, or raises."""
    running = [subprocess.Popen(c, stdout=subprocess.PIPE, text=True,
                                stderr=subprocess.STDOUT) for c in commands]
    outputs = [process.communicate()[0] for process in running]
    for process, output in zip(running, outputs):
        if process.returncode != 0:
            raise CannotBuild("\n".join(output.splitlines()[:20]))
    return outputs


def symbols(path):
    """Returns the names that an object file lacks, and those that it defines."""
    lacks, defines = set(), set()
    for line in run_all([["nm", str(path)]])[0].splitlines():
        kind, name = line.split()[-2:]
        if kind == "U":
            lacks.add(name)
        elif kind.isupper():
            defines.add(name)
    return lacks, defines


def interface(cc, folder, can):
    """Returns -D options: how many parameters each declared function has."""
    queue = can["has_job_queue"] or (Path(folder) / "job_queue.h").exists()
    serves = can["answers"] and can["accepts_on"] and not can["has_workers"]
    options = [f"-DEXECUTES={can['executes']}", f"-DSERVES={serves:d}",
               f"-DCLOSES={can['closes']}", f"-DHAS_QUEUE={queue:d}"]
    if not queue:
        return options
    text = '#include "job_queue.h"\n#include "thread_pool.h"\n'
    result = subprocess.run(
        [cc, "-E", "-P", "-D_POSIX_C_SOURCE=200809L", f"-I{folder}", "-"],
        input=text, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise CannotBuild(result.stderr.splitlines()[0])
    for function, name in (("job_queue_new", "NEW"), ("job_queue_push", "PUSH"),
                           ("job_queue_try_push", "TRY_PUSH"),
                           ("job_queue_pop", "POP"),
                           ("job_queue_close", "CLOSE"),
                           ("thread_pool_destroy", "DESTROY"),
                           ("thread_pool_wait", "WAIT")):
        found = re.search(r"\b%s\s*\(([^;]*?)\)\s*;" % function, result.stdout)
        if found:
            inside = found.group(1).strip()
            count = 0 if inside in ("", "void") else inside.count(",") + 1
            options.append(f"-D{name}_PARAMETERS={count}")
        elif name in ("NEW", "PUSH", "POP"):
            raise CannotBuild(f"the headers do not declare {function}")
    return options


def compile_all(cc, wanted):
    """Compiles side by side: (source, flags, headers, where the object is put)."""
    def one(source, flags, headers, target):
        built = cache.build([cc, *flags, "-c", source], [source, *headers], ".o")
        if not built.good:
            raise CannotBuild("\n".join(built.said.splitlines()[:20]))
        shutil.copy(built.path, target)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda each: one(*each), wanted))


def rename(path, names):
    """Renames symbols in an object file, and its sections of variables."""
    table = path.with_suffix(".names")
    table.write_text("".join(f"{a} {b}\n" for a, b in sorted(names.items())))
    run_all([["objcopy", f"--redefine-syms={table}",
              "--rename-section", ".data=reader_data",
              "--rename-section", ".bss=reader_bss", str(path)]])


def stubs(quiet, refused, path):
    """Writes functions that do nothing, and those that say they are not modelled.
    """
    lines = ['#include "explore.h"']
    lines += [f"int quiet_{name}(void) {{ return 0; }}" for name in sorted(quiet)]
    for name in sorted(refused):
        lines.append(f'void refused_{name}(void) {{ not_explored("{name}"); }}')
    path.write_text("\n".join(lines) + "\n")


def build_explorer(folder, can, build, scenarios=None, only="*.c"):
    """Returns the explorer of a folder's program, which can do so much. Or only some
    of its files, with scenarios of another file, which may model what they call."""
    # gcc does not report a struct that a function returns into a variable
    cc = os.environ.get("CC") or shutil.which("clang") or "cc"
    build.mkdir(parents=True, exist_ok=True)
    sources = sorted(Path(folder).glob(only))
    if not sources:
        raise CannotBuild(f"there is no C file in {folder}")
    for source in sources:
        if re.search(r"\b(__)?asm(__)?\b *(volatile)? *\(",
                     source.read_text(errors="replace")):
            raise CannotBuild(f"{source.name} uses assembly")
    for old in build.glob("reader-*"):
        old.unlink()
    headers = sorted(Path(folder).glob("*.h"))
    ours = [HERE / "explore.h"]
    objects = [build / f"reader-{source.stem}.o" for source in sources]
    wanted = [(source, [*FLAGS.split(), *SANITIZED.split()], headers, target)
              for source, target in zip(sources, objects)]
    parts = [name for name in OURS if name != "net" or not scenarios
             or "net_reset" not in scenarios.read_text()]
    wanted += [(HERE / f"{name}.c", OUR_FLAGS.split(), ours, build / f"{name}.o")
               for name in parts]
    scenario = build / "scenarios.o"
    options = [] if scenarios else interface(cc, folder, can)
    copies = cache.copies(headers)
    wanted.append((scenarios or HERE / "scenarios.c",
                   [*OUR_FLAGS.split(), "-O1", f"-I{HERE}", f"-I{copies}", *options],
                   [*ours, *headers], scenario))
    compile_all(cc, wanted)

    modelled = {name[len("model_"):] for part in (*parts, "scenarios")
                for name in symbols(build / f"{part}.o")[1]
                if name.startswith("model_")}
    tables = [symbols(path) for path in objects]
    defined = set().union(*(table[1] for table in tables))
    names, quiet, refused = {}, set(), set()
    for name in set().union(*(table[0] for table in tables)) | defined:
        if name in defined:
            names[name] = "reader_" + name
        elif name in modelled:
            names[name] = "model_" + name
        elif QUIET.match(name):
            names[name] = "quiet_" + name
            quiet.add(name)
        elif not HARMLESS.match(name):
            names[name] = "refused_" + name
            refused.add(name)
    asked = {name[len("asked_"):] for name in symbols(scenario)[1]
             if name.startswith("asked_")}
    for path, (lacks, _) in zip(objects, tables):
        rename(path, {**names, **{name: "asked_" + name for name in lacks & asked}})
    rename_api = build / "scenarios.names"
    rename_api.write_text("".join(f"{name} reader_{name}\n"
                                  for name in sorted(symbols(scenario)[0]
                                                     & defined)))
    stubs(quiet, refused, build / "stubs.c")
    explorer = build / "explorer"
    run_all([["objcopy", f"--redefine-syms={rename_api}", str(scenario)]])
    run_all([[cc, "-std=gnu17", "-w", "-fno-pie", "-no-pie", f"-I{HERE}", "-o",
              str(explorer), str(build / "stubs.c"),
              *(str(build / f"{name}.o") for name in
                (*parts, "scenarios")),
              *map(str, objects)]])
    return explorer
