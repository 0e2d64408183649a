"""Tells a failing schedule: a table with a column for each thread, what each
thread waits for in the end, and the likely cause, in the reader's terms."""

import re
import subprocess
from functools import cached_property
from pathlib import Path

WIDTH = 100
STOPS = ("stuck", "lost")  # nothing wrong is done: what should come does not
ACCESSES = ("read", "write", "free", "spin")


class Code:
    """The reader's source lines, found by addresses in the program."""

    def __init__(self, explorer, folder):
        self.explorer, self.folder, self.known = explorer, Path(folder), {}
        self.text = {path.name: path.read_text(errors="replace").splitlines()
                     for pattern in ("*.c", "*.h")
                     for path in self.folder.glob(pattern)}

    def look_up(self, addresses):
        """Asks addr2line once for all of them. They are return addresses: one
        less lies in the call."""
        wanted = sorted({a for a in addresses if a and a not in self.known})
        if not wanted:
            return
        lines = subprocess.run(
            ["addr2line", "-f", "-e", str(self.explorer),
             *(hex(address - 1) for address in wanted)],
            capture_output=True, text=True, check=True).stdout.splitlines()
        for address, function, place in zip(wanted, lines[::2], lines[1::2]):
            name, _, line = place.split(" ")[0].rpartition(":")
            name = Path(name).name
            if name in self.text and line.isdigit():
                self.known[address] = (name, int(line), function)
            else:
                self.known[address] = None

    def at(self, address):
        """Returns (file, line, function) in the reader's code, or None."""
        self.look_up([address])
        return self.known.get(address)

    def place(self, address):
        """Returns job_queue.c:48, or nothing."""
        found = self.at(address)
        return f"{found[0]}:{found[1]}" if found else ""

    @cached_property
    def variables(self):
        """The program's own variables: (first address, behind the last, name)."""
        lines = subprocess.run(["nm", "-S", str(self.explorer)], check=True,
                               capture_output=True, text=True).stdout
        return [(int(at, 16), int(at, 16) + int(size, 16),
                 name.replace("reader_", "", 1)) for at, size, name in
                re.findall(r"^(\w+) (\w+) [bBdD] (\w+)", lines, re.M)]

    def variable(self, address):
        """The name of the variable that lies there, or nothing."""
        return next((name for start, end, name in self.variables
                     if start <= address < end), "")

    def source(self, address, lines=1):
        """Returns the text of the source line (or of some, joined)."""
        found = self.at(address)
        if not found:
            return ""
        first = found[1] - 1
        return " ".join(line.strip() for line in
                        self.text[found[0]][first:first + lines])


def last_part(expression):
    """not_empty of &queue->not_empty."""
    words = re.findall(r"\w+", re.sub(r"\[[^]]*\]", "", expression))
    return words[-1] if words else expression


def access(does, to, line):
    """What an access reads or writes, and where, if that can be told."""
    name = line.get("variable", "")
    if "value" in line and not (line["value"] and line["size"] == 8):
        value = str(line["value"]) if line["size"] < 8 else "NULL"
        return f"{does} {value} {to} {name}" if name else f"{does} {value}"
    return f"{does} {name}" if name else does


class Story:
    """A failure as the explorer wrote it, with names and lines."""

    def __init__(self, failure, code):
        self.failure, self.code = failure, code
        self.steps, self.threads = failure["steps"], failure["threads"]
        self.name_of = {t["id"]: t["name"] for t in self.threads}
        addresses = [failure["pc"]]
        for entry in self.steps + self.threads:
            addresses += [entry["pc"], *entry["calls"]]
            for key in ("object", "mutex"):
                addresses.append(entry.get(key, {}).get("locked_at"))
        code.look_up(addresses)
        self.objects = {}
        for entry in self.steps + self.threads:
            self.name_objects(entry)

    def name_objects(self, entry):
        """Learns the names of what is used from the arguments of the call."""
        call = re.search(r"\b(?:pthread|sem|mtx|cnd|atomic)_\w+\s*\(([^()]*)\)",
                         self.code.source(entry["pc"], 3))
        if not call or entry["action"] in ACCESSES:
            return
        arguments = call.group(1).split(",")
        for key, argument in zip(("object", "mutex"), arguments):
            if key in entry:
                address, name = entry[key]["address"], last_part(argument)
                owner = self.code.variable(address)
                self.objects.setdefault(
                    address, name if owner in ("", name) else f"{owner}.{name}")

    def named(self, thing):
        """The name of an object, or what it is."""
        return self.objects.get(thing["address"], "a " + thing["type"])

    def person(self, number):
        """The name of a thread."""
        return self.name_of.get(number, f"thread {number}")

    def words(self, step):
        """What a step does, in a few words."""
        action, outcome = step["action"], step.get("outcome", "")
        thing = self.named(step["object"]) if "object" in step else ""
        mutex = self.named(step["mutex"]) if "mutex" in step else ""
        other = self.person(step["other"]) if "other" in step else ""
        if action == "wake":
            why = {"for no reason": "wakes up for no reason",
                   "timed out": "wakes up: its time is over"}
            return f"{why.get(outcome, 'wakes up')}, has {mutex} again"
        if outcome == "timed out":
            return {"sleep": "has slept"}.get(action, "gives up: its time is over")
        woken = f"nobody waits on {thing}" if outcome else f"wakes {other}"
        return {
            "begin": step.get("text") or "begins", "end": "ends",
            "note": step.get("text", ""),
            "lock": f"locks {thing}", "unlock": f"unlocks {thing}",
            "trylock": f"tries {thing}" + (f": {other} has it" if outcome else ""),
            "wait": f"waits on {thing}, gives {mutex or 'the mutex'} back",
            "signal": f"signals: {woken}",
            "broadcast": f"broadcasts: {woken}" + ("" if outcome else
                                                   ", and all others"),
            "create": f"creates {other}", "join": f"joins {other}",
            "destroy": f"destroys {thing}", "post": f"posts {thing}",
            "take": f"takes {thing}", "atomic": "uses an atomic variable",
            "read": access("reads", "from", step),
            "write": access("writes", "to", step),
            "free": "frees",
            "yield": "lets others go first", "sleep": "sleeps",
            "await": f"goes on: {step.get('text', '')}", "go": "goes on",
            "call": f"calls {step.get('text', '')}",
            "spin": "looks again and again", "once": f"calls once: {thing}",
            "accept": f"accepts connection {step.get('other')}",
        }.get(action, action)

    def intends(self, thread):
        """What a thread does next, when nobody knows how it will come out."""
        thing = self.named(thread["object"]) if "object" in thread else ""
        return {"signal": f"signals {thing}", "broadcast": f"broadcasts {thing}",
                "trylock": f"tries {thing}", "create": "creates a thread",
                "accept": "accepts a connection",
                "await": f"waits until {thread.get('text', 'it can go on')}",
                "sleep": "sleeps until its time is over",
                }.get(thread["action"]) or self.words(thread)

    def place(self, step):
        """Where a step is; of what we do ourselves, nothing."""
        return self.code.place(step["pc"])

    def function(self, step):
        """The name of the reader's function that a step is in."""
        found = self.code.at(step["pc"])
        return found[2] if found else ""

    def rows(self):
        """The lines of the table: (thread, where, what)."""
        rows = []
        for step in self.steps:
            where, words = self.place(step), self.words(step)
            if step["action"] in (*ACCESSES, "atomic") and where:
                words = self.code.source(step["pc"]).split("/*")[0].strip()
                if rows and rows[-1] == (step["thread"], where, words):
                    continue
            rows.append((step["thread"], where, words))
        most = 20 if self.failure["key"] == "for-ever" else 50
        if len(rows) > most:
            rows[most:] = [(rows[most][0], "", f"… and so on ({len(rows)} lines)")]
        if self.failure["key"] not in STOPS:
            who = self.failure["thread"]
            rows.append((who, self.code.place(self.failure["pc"]), "✗ " +
                         self.what().replace(self.person(who) + " ", "", 1)))
        return rows

    def table(self):
        """The schedule: a column for each thread, a line for each step."""
        columns = [t["id"] for t in self.threads]
        rows = self.rows()
        wide = max([len(where) for _, where, _ in rows] + [5]) + 2
        cell = max(20, min(34, (WIDTH - wide - 4) // len(columns)))
        lines = [(" " * 4 + "where".ljust(wide)
                  + "".join(self.person(c).ljust(cell) for c in columns)).rstrip()]
        for number, (thread, where, words) in enumerate(rows, 1):
            margin = " " * cell * columns.index(thread)
            for i, line in enumerate(wrap(words, cell - 2)):
                first = f"{number:2}  {where.ljust(wide)}"
                lines.append((first if i == 0 else " " * len(first)) + margin + line)
        return lines

    def lines_used(self, most=12):
        """The reader's own lines, in the order in which they come."""
        seen = {}
        for step in self.steps:
            place = self.place(step)
            if place:
                seen.setdefault(place, self.code.source(step["pc"]))
        if self.failure["pc"]:
            place = self.code.place(self.failure["pc"])
            if place:
                seen.setdefault(place, self.code.source(self.failure["pc"]))
        wide = max([len(place) for place in seen] + [0])
        ordered = sorted(seen, key=lambda p: (p.split(":")[0],
                                              int(p.split(":")[1])))
        return [f"{place.ljust(wide)}  {seen[place]}" for place in ordered[:most]]

    def places(self, text):
        """The text, with places for addresses."""
        return re.sub(r"\{0x([0-9a-f]+)\}", lambda found:
                      self.code.place(int(found.group(1), 16)) or "?", text)

    def what(self):
        """What went wrong, with places for addresses."""
        text = self.places(self.failure["text"])
        key, who = self.failure["key"], self.person(self.failure["thread"])
        if key in ("stuck", "lost", "leak", "leak-per-job", "not-joined", "no-job",
                   "doubled", "order", "caller-runs", "thread-per-job",
                   "ended-locked", "other-pool", "not-told", "full"):
            return text
        return f"{who} {text}"

    def waits_for(self, thread):
        """What a thread is waiting for: (words, the thread that it waits for)."""
        action = thread["action"]
        thing = thread.get("object", {})
        if action == "lock" or (action == "wake" and thread.get("signalled")):
            mutex = thing if action == "lock" else thread["mutex"]
            owner = mutex.get("owner")
            if owner is None:
                return f"waits for {self.named(mutex)}", None
            holder = "itself" if owner == thread["id"] else self.person(owner)
            return (f"waits for {self.named(mutex)}, which {holder} holds since "
                    f"{self.code.place(mutex['locked_at']) or '?'}"), owner
        if action == "wake":
            return f"waits on {self.named(thing)}, and nobody wakes it", None
        if action == "join":
            return (f"waits until {self.person(thread['other'])} ends",
                    thread["other"])
        if action == "await":
            note = [s["text"] for s in self.steps
                    if s["thread"] == thread["id"] and s["action"] == "note"]
            return (note[-1] if note else "waits"), None
        if action == "take":
            return f"waits for the semaphore {self.named(thing)}", None
        return f"could go on ({action})", None

    def left(self):
        """Who waits for what in the end, and the circle, if there is one."""
        if self.failure["key"] not in STOPS:
            return []
        rows, next_one = [], {}
        waiting = [t for t in self.threads if not t["done"]]
        wide = max([len(t["name"]) for t in waiting] + [0])
        for thread in waiting:
            words, other = self.waits_for(thread)
            next_one[thread["id"]] = other
            place = self.code.place(thread["pc"])
            place += "  " if place else ""
            rows.append(f"{thread['name'].ljust(wide)}  {place}{words}")
        for begin in next_one:
            path, here = [begin], next_one[begin]
            while here is not None and here not in path:
                path.append(here)
                here = next_one.get(here)
            if here == begin:
                rows.append("a circle: " + " → ".join(
                    self.person(p) for p in path + [begin])
                    + " (each waits for the next)")
                break
        return rows


# What is clear from the failure alone: the cause, and where to read.
CAUSES = {
    "freed": ("it is freed while, or before, another thread uses it: first all "
              "who use it must have ended", "Waiting for the workers"),
    "destroyed": ("it is destroyed while, or before, another thread uses it: "
                  "first all who use it must have ended, each of them joined",
                  "Waiting for the workers"),
    "dead-variable": ("a pointer to a local variable outlives the function: who "
                      "goes on to use it must be given memory of its own",
                      "The address of a loop's variable"),
    "leak": ("nobody frees it: thread_pool_destroy and job_queue_destroy free all that "
             "the two _new have allocated, each piece", "Telling them"),
    "leak-per-job": ("pop does not free what push has allocated", "A queue"),
    "joined-twice": ("after pthread_join its number means nothing: each thread is "
                     "joined once, and each of them", "Waiting for the workers"),
    "not-joined": ("thread_pool_destroy must pthread_join each of its workers: only "
                   "then have they ended, however long their jobs take",
                   "Waiting for the workers"),
    "order": ("the queue is no queue: push adds at one end, pop takes from the other, "
              "and nothing is overwritten", "A queue"),
    "full": ("with `capacity` jobs the queue is full: who must not wait is told so, "
             "and its job is not pushed", "A full queue says so"),
    "ended-locked": ("an unlock is missing", "One at a time"),
    "caller-runs": ("execute must only hand the job over", "Execute"),
    "thread-per-job": ("execute must only hand the job over", "Execute"),
    "doubled": ("two threads take the same job, or one takes it twice: pop takes it "
                "out of the queue, with the mutex locked", "A queue"),
    "not-handed": ("pop hands over something else than the oldest job: is it copied to "
                   "where the caller's pointer points, and was it kept in memory of "
                   "its own until then?", "A queue"),
    "no-job": ("pop says false though there is a job, or may still be one: false "
               "means closed and empty, and nothing else", "Telling them"),
    "not-told": ("pop must say false when the queue is closed and empty, and true "
                 "only with a job", "Telling them"),
    "called-twice": ("a worker calls the job's function a second time, without "
                     "another pop", "The worker's loop"),
    "null": ("nothing is stored there yet, the list is empty, or a pointer was never "
             "set", "A queue"),
    "null-in-pop": ("pop goes on though the queue is empty: it waits as long as there "
                    "is no job, and first is NULL as long as there is none",
                    "Waiting without running"),
    "no-place": ("the pointer that pop was given for the job is NULL: it takes the "
                 "address of a Job that the caller has, &job", "Telling them"),
    "null-in-push": ("push takes the list for one that has a last node: is it empty, or "
                     "was last set to NULL, though first is not?", "A queue"),
    "freed-in-push": ("push takes the list for one that has a last node, and pop has "
                      "freed it: with the last job first must become NULL again. Does "
                      "pop set first to the node's next, and is next NULL in each "
                      "new node?", "A queue"),
    "crash-in-queue": ("a pointer that was never set, or means nothing any more: malloc "
                       "leaves its memory as it was (calloc clears it)", "A queue"),
    "never-set": ("malloc leaves its memory as it was: set each member, the pointers, "
                  "too (calloc makes all of them NULL)", "A queue"),
    "exit": ("exit() ends the whole program, with all its threads: a thread ends when "
             "its function returns", "The worker's loop"),
    "pushed-twice": ("execute pushes the job more than once", "Execute"),
    "other-pool": ("each pool must have a queue of its own", "A queue"),
    "crash": ("what pop says is not looked at, or a job has no function", ""),
    "not-allocated": ("free gets what malloc has returned, and nothing else; and only "
                      "the owner frees: the argument of a job is the job's, and need "
                      "not be a pointer at all", "Execute | A queue"),
    "not-owner": ("only the thread that has locked a mutex may unlock it, and "
                  "wait with it", "One at a time"),
    "beyond": ("too little memory was allocated (is it the size of a pointer, or of "
               "what it points to?), or an index runs on behind the last place: in a "
               "ring the first one follows it (% capacity)",
               "A ring | A thread that waits for work"),
    "freed-twice": ("memory is freed once, by its one owner: two places free it, or "
                    "what was freed is still in the list and is taken out again",
                    "A queue"),
    "used-after": ("the thread that freed it uses it again: take out of it what is "
                   "still needed before it is freed, and leave no pointer to it "
                   "behind; what was allocated in one piece is freed in one, after "
                   "its last use", "A queue"),
}


def wrap(text, width):
    """Breaks a text into lines of at most so many characters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = (lines[-1] + " " + word).strip()
    return lines


def cause(story):
    """Returns (key, cause, heading to read): the likely reason of a failure."""
    failure, steps = story.failure, story.steps
    key, who = failure["key"], failure["thread"]
    waiting = [t for t in story.threads if not t["done"]]
    asleep = [t for t in waiting
              if t["action"] == "wake" and not t.get("signalled")]
    woken = [s for s in steps if s["thread"] == who and s["action"] == "wake"]
    calls = [s for s in steps if s["action"] in ("signal", "broadcast")]

    if key == "race":
        return ("race", "two threads use the same memory, one of them writes, and "
                "no mutex puts them in order", "One at a time")
    told = any(t["id"] == who and t.get("told_end") for t in story.threads)
    if told and key in ("for-ever", "null", "crash", "doubled", "never-set", "abort"):
        return ("ignores-told", "pop has said false, closed and empty, and the worker "
                "goes on as if it had a job: its loop ends there, before a job is run",
                "Telling them")
    mine = [s for s in steps if s["thread"] == who and story.function(s)]
    if key == "for-ever" and mine and re.search("push|execute",
                                                story.function(mine[-1])):
        return ("waits-in-push", "execute, or push, waits until the job is taken, or has "
                "run: it may only put it into the queue", "Execute | A queue")
    if key == "for-ever":
        return ("busy", "a thread asks again and again where it should sleep until "
                "it is woken: wait for a condition variable",
                "Waiting without running")
    if joins_in_new(story, waiting):
        return ("joins-in-new", "thread_pool_new waits for its threads: they are "
                "joined at the end of the pool's life, not here",
                "A thread that waits for work")
    if key == "no-queue" and "worker" in story.person(who):
        return (key, "create the queue and set all of its Worker before "
                "pthread_create: the new thread may look at once", "A queue")
    if key == "no-queue":
        return (key, "thread_pool_new must keep in the pool what job_queue_new "
                "returns", "A queue")
    if key in ("null", "no-job", "crash") and woken:
        return ("if-for-while", "a wake-up is no job: another thread may have "
                "been faster, or there was no reason at all. After each wait look "
                "again: the wait must stand in a while", "Waiting without running")
    if key in STOPS:
        for thread in waiting:
            held = [t for t in waiting if thread["action"] == "await"
                    and t.get("object", {}).get("owner") == thread["id"]]
            if held:
                return ("worker-holds-lock", "a worker holds "
                        f"{story.named(held[0]['object'])} while it runs its job, "
                        "and no other worker can get at a job meanwhile",
                        "The lock that is held too long")
        own = [t for t in waiting if t["action"] == "lock"
               and t["object"].get("owner") == t["id"]]
        if own:
            return ("locked-twice", f"{own[0]['name']} locks a mutex that it holds "
                    "itself: was an unlock forgotten?", "One at a time")
        joined = [t for t in waiting if t["action"] == "join" and story.function(t)
                  and any(t["other"] == a["id"] for a in asleep)]
        ended = [t for t in story.threads if t["done"] and t["id"] != 0]
        closes = any("close" in story.function(s) for s in calls)
        if joined and ended and calls and not closes:
            return ("join-in-the-same-loop",
                    f"{joined[0]['name']} waits for "
                    f"{story.person(joined[0]['other'])}, but what should end it "
                    f"has ended {ended[0]['name']}: nobody can say which worker "
                    "is woken, or takes which message",
                    "The older way: a message for each worker")
        circle = [row for row in story.left() if row.startswith("a circle")]
        if circle:
            return ("deadlock", "each waits for what the next one holds",
                    "The lock that is held too long")
        return cause_of_sleep(story, asleep, calls, steps)
    if key in ("closed-twice", "never-closed"):
        return (key, "each thread must be given its own connection, and one alone "
                "closes it", "The address of a loop's variable")
    kind = kind_of_freed(story) if key == "freed" else key
    if kind == "race" or (key in ("doubled", "null", "crash", "lost", "no-job")
                          and in_races(steps)):
        return ("race", "two threads use the same memory at the same time, one of "
                "them writes, and no mutex keeps them apart", "One at a time")
    found = story.code.at(failure["pc"]) if failure["pc"] else None
    inside = found[2] if found else ""
    if key == "null" and ("pop" in inside or "push" in inside):
        closed = any("closes the queue" in s.get("text", "") for s in steps)
        kind = "null-in-push" if "push" in inside else (
            "no-place" if "writes" in story.what() else
            "not-told" if closed else "null-in-pop")
    last = next((s for s in reversed(steps) if s["thread"] == who), None)
    if key == "crash" and last and last["action"] == "lock":  # and not yet unlocked
        kind = "crash-in-queue"
    if key == "doubled" and pushed_twice(story):
        kind = "pushed-twice"
    elif key == "doubled":
        mine = [s for s in steps if s["thread"] == who]
        runs = [i for i, s in enumerate(mine)
                if re.match("(runs|has) job", s.get("text", ""))][-2:]
        if len(runs) == 2 and not any(
                s["action"] == "lock" for s in mine[runs[0]:runs[1]]):
            kind = "called-twice"
    if key == "no-job":
        kind = "not-handed" if "nobody has pushed" in story.what() else "no-job"
    why, read = CAUSES.get(kind, ("", ""))
    if kind != key and "thread_pool" in story.code.place(failure["pc"] or 0):
        read = "Waiting for the workers" if key == "freed" else read
    return key, why, read


def in_races(steps):
    """Whether there are races in the program: then accesses are steps."""
    return any(step["action"] in ACCESSES for step in steps)


def kind_of_freed(story):
    """Why what was freed is used, or freed again: who has freed it, and where?"""
    by = re.search(r"(?:that|what) (.*) has freed", story.what())
    place = re.search(r"\{0x([0-9a-f]+)\}", story.failure["text"])
    at = place and story.code.at(int(place[1], 16))
    here = story.code.at(story.failure["pc"])
    if at and here and "pop" in at[2] and "push" in here[2] \
            and not in_races(story.steps):
        return "freed-in-push"
    if by and by[1] == story.person(story.failure["thread"]):
        return "freed-twice" if "freed already" in story.what() else "used-after"
    if at and "destroy" in at[2]:
        return "freed"
    if in_races(story.steps):
        return "race"
    return "freed-twice" if "freed already" in story.what() else "freed"


def joins_in_new(story, waiting):
    """Whether nothing goes on because a thread waits, in thread_pool_new, for one
    that it has created."""
    return story.failure["key"] in STOPS and any(
        t["action"] == "join" and story.function(t).endswith("_new") for t in waiting)


def pushed_twice(story):
    """Whether one call of execute locks a mutex of the queue twice."""
    first = next((i for i, s in enumerate(story.steps)
                  if s.get("text", "").startswith("executes job")), None)
    if first is None:
        return False
    who = story.steps[first]["thread"]
    locks = 0
    for step in story.steps[first + 1:]:
        if step["thread"] == who and step["action"] == "note":
            break
        locks += (step["thread"] == who and step["action"] == "lock"
                  and "push" in story.function(step))
    return locks > 1


def looked_after(story, thread, in_vain, begun):
    """Whether a thread locked the mutex, looked, and fell asleep after the push that
    had signalled in vain was over."""
    steps = story.steps
    locks = [i for i, s in enumerate(steps[:begun])
             if s["thread"] == thread and s["action"] == "lock"]
    lock = locks[-1] if locks else -1
    if len(locks) > 1 and all(steps[i]["pc"] != steps[lock]["pc"] for i in locks[:-1]):
        return False  # it looked, gave the mutex back, and took it once more
    pusher = steps[in_vain]["thread"]
    for i, step in enumerate(steps[in_vain + 1:], in_vain + 1):
        if step["thread"] == pusher and step["action"] == "note":
            break
        if step["thread"] == pusher and i > lock:
            return False
    return lock > in_vain and not any(
        s["thread"] == thread and s["action"] in ACCESSES for s in steps)


def locks_another(story, thread, in_vain):
    """Whether who signalled in vain had locked another mutex than the one that this
    thread gives back while it sleeps."""
    who = story.steps[in_vain]["thread"]
    locks = [s for s in story.steps[:in_vain] if s["thread"] == who
             and s["action"] in ("lock", "unlock")]
    return bool(locks) and locks[-1]["action"] == "lock" \
        and locks[-1]["object"]["address"] != thread["mutex"]["address"]


def popped_more_than_run(story, thread):
    """Whether a thread that sleeps in pop has come back from more pops before than it
    has run jobs."""
    mine = [s for s in story.steps if s["thread"] == thread]
    locks = [s["pc"] for s in mine
             if s["action"] == "lock" and "pop" in story.function(s)]
    runs = sum(bool(re.match("(has|runs) job", s.get("text", ""))) for s in mine)
    return bool(locks) and locks.count(locks[0]) - 1 > runs


def cause_of_sleep(story, asleep, calls, steps):
    """A job is not run, or a thread sleeps: why was nobody woken?"""
    notes = [s["text"] for s in steps if s["action"] == "note"]
    ends = any("destroys" in text or "closes" in text for text in notes)
    read = "Telling them" if ends else "Waiting without running"
    lost = story.failure["key"] == "lost"
    if not asleep and "is told that no job is to come" in notes:
        return ("dropped", "pop says that no job is to come while there are some: "
                "closed is not empty", read)
    if not asleep:
        return ("workers-ended", "all workers have ended: they must take one job "
                "after the other" + (", until pop says false, and look at nothing else"
                                     if ends else ""), "The worker's loop")
    pushes = sum(1 for text in notes if re.match("(pushes|executes) job", text))
    for thread in asleep:
        address, name = thread["object"]["address"], thread["name"]
        if name == "main" and "pop" in story.function(thread):
            return ("main-waits", "main waits for a job itself, in pop: only workers "
                    "take jobs", read)
        if "execute" in story.function(thread):
            return ("waits-in-push", "execute waits until the job has run: it may only "
                    "put it into the queue", "Execute")
        if "push" in story.function(thread):
            if any(s["object"]["address"] == address and "pop" in story.function(s)
                   for s in calls):
                return ("one-of-two", f"pop does not say each time that there is room: "
                        f"one who waited was woken, and {name} waits still. Each pop "
                        "makes room for one, so each must signal", "A ring")
            others = [s for s in calls if s["object"]["address"] != address
                      and "pop" in story.function(s)]
            return ("no-room-told", f"{name} waits for room, on "
                    f"{story.named(thread['object'])}, and " + (
                        f"pop signals {story.named(others[-1]['object'])}: it must be "
                        "the same one" if others else "pop does not signal that there "
                        "is some"), "A ring")
        blocked = [t for t in story.threads if not t["done"] and t["action"] == "lock"
                   and t["object"].get("owner") == thread["id"]]
        if blocked:
            return ("sleeps-with-lock", f"{name} sleeps with "
                    f"{story.named(blocked[0]['object'])} locked, for "
                    "pthread_cond_wait gives back its own mutex only; and "
                    f"{blocked[0]['name']} needs it", "The lock that is held too long")
        mine = [s for s in calls if s["object"]["address"] == address]
        begun = max(i for i, s in enumerate(steps)
                    if s["thread"] == thread["id"] and s["action"] == "wait")
        in_vain = [i for i, s in enumerate(steps[:begun])
                   if s in mine and s.get("outcome") == "nobody waited"]
        since = [s for s in steps[begun:] if s in mine]
        looked = min(i for i, s in enumerate(steps) if s["thread"] == thread["id"])
        others = [s for s in calls if s not in mine]
        busy = [s for s in steps[in_vain[-1]:] if s["thread"] == thread["id"]
                and re.match("(has|runs) job", s.get("text", ""))] if in_vain else []
        if lost and others and (busy or not mine):
            return ("another-queue", f"{name} waits on another condition variable "
                    "than the one that is signalled: is there one queue for all?",
                    "Straight ahead")
        if lost and len(calls) < pushes:
            break
        after = in_vain and looked_after(story, thread["id"], in_vain[-1], begun)
        if not lost and after and "close" in story.function(steps[in_vain[-1]]):
            return ("ignores-closed", f"{name} looked after the queue had been closed, "
                    "and waits all the same: the loop around the wait must look at "
                    "`closed`, too", read)
        if not lost and in_vain and any(
                s["action"] == "write" and "close" in story.function(s)
                for s in steps[in_vain[-1]:]):
            return ("woken-too-early", f"{name} was not yet asleep when the broadcast "
                    "came, and `closed` not yet set when it looked: set it first, with "
                    "the mutex locked, then wake all", read)
        if lost and popped_more_than_run(story, thread["id"]):
            return ("not-run", f"{name} has taken a job and waits for the next, "
                    "without having run it", "The worker's loop")
        if lost and after:
            return ("not-found", f"{name} looked after the push, with the mutex "
                    "locked, and waits all the same: push does not set what pop "
                    "looks at (first), it drops the job, or the loop around the wait "
                    "has the wrong condition", "A queue")
        if in_vain and locks_another(story, thread, in_vain[-1]):
            return ("two-mutexes", "who pushes and who pops lock two different mutexes: "
                    "only one and the same keeps the other out between the look and "
                    "the wait", read)
        if in_vain and not (since or busy or lost) and in_vain[-1] > looked \
                and "close" in story.function(steps[in_vain[-1]]):
            return ("lost-wake-up", f"{name} had looked, and was about to wait, when "
                    "close came: `closed` must be set under the mutex that pop holds "
                    "while it looks", read)
        if in_vain and not (since or busy) and (lost or in_vain[-1] > looked):
            return ("lost-wake-up", f"{name} was about to wait when the wake-up "
                    "came: nobody waited yet, and so it is lost. To look, and to "
                    "wait, must be one piece: with the mutex locked; and with it "
                    "locked one changes what is waited for, before one signals",
                    read)
        if any(s["action"] == "signal" for s in since):
            return ("signal-for-all", "a signal wakes one of those who wait; the "
                    "others sleep on", read)
    executed = sum(text.startswith("executes job") for text in notes)
    pushed = sum(step["action"] == "lock" and "push" in story.function(step)
                 for step in steps)
    if lost and pushed < executed and len(calls) < executed:
        return ("not-pushed", "execute does not push each job: it must, whatever the "
                "workers do", "Execute")
    closed = any("close" in story.function(s) for s in steps)
    if not lost and ends and closed:
        return ("nobody-woken", "close must lock the mutex, set `closed`, and wake all "
                "who wait: pthread_cond_broadcast", read)
    if not lost and ends:
        return ("nobody-woken", f"{asleep[0]['name']} sleeps in pop, and nobody tells "
                "it that no job is to come: close the queue before the join", read)
    return ("nobody-woken", f"{asleep[0]['name']} sleeps on "
            f"{story.named(asleep[0]['object'])}, and no signal comes", read)
