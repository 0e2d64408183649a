"""The graph of a small scenario, for a player: all states, and the steps between.

    {"threads": ["main", "consumer 1", …],
     "source": {"job_queue.c": ["#include …", …], …},
     "states": [                    the first is the start
       {"threads": [                in the order of "threads"; null: not yet there
          {"can": "yes"             or "no": it waits; "surprise": it would have to
                                    wake for no reason, or its time be up; "ended"
           "does": "locks mutex",   its next step
           "why": "",               why it cannot go on
           "file": "job_queue.c", "line": 51,
           "calls": [["thread_pool.c", 28], …]}, …],    its callers, outermost first
        "locked": {"mutex": 1},     who holds it: an index in "threads"
        "sleeping": {"not_empty": [2]},
        "variables": {"connection": 5},    those outside of the heap that threads
                                    race for; null: not used yet
        "value": {"first": {"job": …, "next": null}, "closed": false}}, …],
                                    the queue or the pool, as the program declares it
     "steps": [{"from": 0, "to": 1, "thread": 0,
                "does": [["job_queue.c", 39, "locks mutex"], …]}, …],
                                    several lines: what it tells on the way
               … or, for the last of a run ("thread" is null where none can go on),
                 instead of "to"
               "end": "well"        or the key of what goes wrong, and
               "text": "reads through a pointer that is NULL",
               "file": "job_queue.c", "line": 55}, …],     where it does so
     "orders": 1056,                so many ways lead through the graph
     "failing": 12,                 so many of them to a mistake
     "shortest": [0, 4, 9],         steps that lead to one, the fewest; or null
     "plain": [0, 4, 9, 12]}        … with the fewest interruptions of threads

States that show the same, and from which the same can happen, are one.
Where a wake-up for no reason is possible, at most two of them are in a run.
"""

import heapq
import json
import re
import subprocess

from tell import Code, Story


class Types:
    """What the debugging information says about the program's structs."""

    def __init__(self, program):
        self.entries, path = {}, []
        text = subprocess.run(
            ["readelf", "--debug-dump=info", "-W", str(program)],
            capture_output=True, text=True, errors="replace", check=True).stdout
        entry = None
        for line in text.splitlines():
            head = re.match(r" *<(\d+)><([0-9a-f]+)>: .*\((DW_TAG_\w+)\)", line)
            field = re.match(r" +<[0-9a-f]+> +(DW_AT_\w+) *: (.*)", line)
            if head:
                depth, offset = int(head[1]), int(head[2], 16)
                entry = {"tag": head[3][7:], "children": []}
                self.entries[offset] = entry
                path[depth:] = [entry]
                if depth > 0:
                    path[depth - 1]["children"].append(entry)
            elif field and entry is not None:
                # "(data1) 8", "(strx1) (offset: 0x45): JobQueue"
                entry[field[1][6:]] = re.sub(r"^(\([^)]*\):? *)+", "", field[2]).strip()

    def target(self, entry):
        """The type that an entry refers to, without names and qualifiers."""
        while True:
            reference = re.match("<0x([0-9a-f]+)>", entry.get("type", ""))
            if not reference:
                return None
            entry = self.entries[int(reference[1], 16)]
            if entry["tag"] not in ("typedef", "const_type", "volatile_type",
                                    "atomic_type"):
                return self.complete(entry)

    def complete(self, entry):
        """The definition of a struct that is only declared here."""
        if entry["tag"] == "structure_type" and "declaration" in entry:
            return self.struct(entry.get("name")) or entry
        return entry

    def struct(self, name):
        """The definition of a struct, by name."""
        for entry in self.entries.values():
            if (entry["tag"] == "structure_type" and entry.get("name") == name
                    and "declaration" not in entry):
                return entry
        return None


HIDDEN = re.compile("pthread_|mtx_t|cnd_t|sem_t|thrd_t")


class Memory:
    """The program's heap in a state, to be read as the program declares it."""

    def __init__(self, blocks, types):
        self.types = types
        self.blocks = {address: bytes.fromhex(data) for address, data in blocks}

    def number(self, address, size):
        """The bytes at an address as a number, or None."""
        for start, data in self.blocks.items():
            if start <= address and address + size <= start + len(data):
                return int.from_bytes(data[address - start:][:size], "little")
        return None

    def value(self, kind, address, above=()):
        """What is there, if it is of that type. Pointers are followed, but not
        back to what is above."""
        if kind is None:
            return None
        size = int(kind.get("byte_size", "8"), 0)
        if kind["tag"] == "structure_type":
            return {member["name"]: self.value(
                        self.types.target(member),
                        address + int(member["data_member_location"].split()[0], 0),
                        (*above, address))
                    for member in kind["children"]
                    if "name" in member and "data_member_location" in member
                    and not HIDDEN.search(self.declared(member))}
        number = self.number(address, size)
        if kind["tag"] == "pointer_type" and number:
            inner = self.types.target(kind)
            if inner and inner["tag"] == "structure_type":
                if self.number(number, 1) is not None and number not in above:
                    return self.value(inner, number, above)
            return number if number < 4096 else "…"
        if kind["tag"] == "pointer_type":
            return None
        if kind["tag"] == "base_type" and kind.get("name") == "_Bool":
            return bool(number)
        return number

    def declared(self, member):
        """The name of a member's type, as it is written."""
        reference = re.match("<0x([0-9a-f]+)>", member.get("type", ""))
        entry = self.types.entries[int(reference[1], 16)] if reference else {}
        return entry.get("name", "")


def read(text):
    """The explorer's lines as lists of states and steps, without what a later
    line revokes."""
    states, steps = {}, []
    for line in text.splitlines():
        if not line.startswith(('{"state"', '{"from"', '{"again"')):
            continue
        line = json.loads(line)
        if "again" in line:
            states, steps = {}, []
        elif "state" in line:
            states[line["state"]] = line
        elif "from" in line:
            steps.append(line)
    number = {key: i for i, key in enumerate(states)}
    ways = {(s["from"], s.get("to"), s.get("end"), s["thread"]): s for s in steps}
    return list(states.values()), number, list(ways.values())


def make(text, program, folder):
    """Returns the graph, as described above, of what the explorer has written."""
    states, number, steps = read(text)
    root = "ThreadPool" if "creates a pool" in text else "JobQueue"
    code = Code(program, folder)
    told = [line for step in steps for line in step["steps"]]
    people = {t["id"]: t for state in states for t in state["threads"]}
    story = Story({"steps": told, "threads": [people[i] for i in sorted(people)],
                   "pc": 0, "key": "", "text": "", "thread": 0}, code)
    code.look_up([pc for state in states for t in state["threads"]
                  for pc in (t["pc"], *t["calls"])])
    types, order = Types(program), sorted(people)
    watched, kind = watch(states, told, code), types.struct(root)
    for state in states:
        state["root"] = start_of(kind, state)
        for thread in state["threads"]:
            name_variable(thread, kind, state["root"], watched)
    for step in steps:
        for line in step["steps"]:
            name_variable(line, kind, states[number[step["from"]]]["root"], watched)

    def place(line):
        """Its file and line; where a function begins, its name, not its brace."""
        file, number = (code.at(line["pc"]) or (None, None))[:2]
        if file and line["action"] == "begin" and code.text[file][number - 1] == "{":
            number -= 1
        return file, number

    def thread_now(thread):
        file, line = place(thread)
        return {"can": thread["can"], "does": story.intends(thread),
                "why": why(thread, story), "file": file, "line": line,
                "calls": [code.at(pc)[:2] for pc in thread["calls"] if code.at(pc)]}

    def state_now(state):
        locked, sleeping = {}, {}
        for thread in state["threads"]:
            for key in ("object", "mutex"):
                thing = thread.get(key, {})
                if "owner" in thing:
                    locked[story.named(thing)] = order.index(thing["owner"])
            if thread["action"] == "wake" and not thread.get("signalled"):
                sleeping.setdefault(story.named(thread["object"]), []).append(
                    order.index(thread["id"]))
        here = {t["id"]: t for t in state["threads"]}
        memory, where = Memory(state["memory"], types), state["root"]
        return {"threads": [thread_now(here[i]) if i in here else None
                            for i in order],
                "locked": locked, "sleeping": sleeping,
                "variables": {name: word(state, at, size)
                              for at, (size, name) in watched.items()},
                "value": memory.value(kind, where) if where else None}

    def line_now(line):
        return [*place(line), story.words(line)]

    def step_now(step):
        lines = [line_now(line) for line in step["steps"]]
        if step["thread"] in order:
            begin = next(t for t in states[number[step["from"]]]["threads"]
                         if t["id"] == step["thread"])
            if begin["action"] == "begin":
                lines.insert(0, line_now(begin))
        result = {"from": number[step["from"]], "does": lines,
                  "thread": (order.index(step["thread"])
                             if step["thread"] in order else None)}
        if "to" in step:
            return {**result, "to": number[step["to"]]}
        broken = code.at(step["pc"]) if step["thread"] in order else None
        return {**result, "end": step["end"], "text": story.places(step["text"]),
                "file": broken and broken[0], "line": broken and broken[1]}

    states_now, steps_now = merge([state_now(state) for state in states],
                                  [step_now(step) for step in steps])
    return {"threads": [people[i]["name"] for i in order], "source": code.text,
            "states": states_now, "steps": steps_now, **count(states_now, steps_now)}


def why(thread, story):
    """Why a thread cannot go on, or would have to be surprised."""
    if thread["can"] == "ended":
        return "has ended"
    if thread["can"] == "yes":
        return ""
    if thread["action"] == "wake" and not thread.get("signalled"):
        return f"sleeps on {story.named(thread['object'])} until somebody wakes it"
    return {"spin": "looks again and again: nothing has changed",
            "accept": "waits for a visitor",
            "await": f"waits until {thread.get('text', 'it can go on')}",
            "sleep": "sleeps", "once": "waits until another has called it",
            }.get(thread["action"]) or story.waits_for(thread)[0]


def start_of(kind, state):
    """Where the queue, or the pool, is: the first block of that size; or None."""
    return next((address for address, data in state["memory"]
                 if kind and len(data) // 2 == int(kind["byte_size"], 0)), None)


def name_variable(line, kind, start, watched):
    """Says what is read or written, if it is a part of the queue, or watched."""
    place = line.get("place")
    if place in watched:
        line["variable"] = watched[place][1]
    elif place and start:
        for member in kind["children"]:
            if member.get("data_member_location") == str(place - start):
                line["variable"] = member["name"]


def watch(states, told, code):
    """The variables outside of the heap that threads race for: {address: (size,
    name)}, by the lines that write them."""
    heap = [(start, start + len(data) // 2) for state in states
            for start, data in state["memory"]]
    found = {}
    for line in told:
        place, name = line.get("place"), re.search(
            r"([\w.>-]+) *=[^=]", code.source(line["pc"]) if line["pc"] else "")
        if (place and name and line["action"] == "write"
                and not any(start <= place < end for start, end in heap)):
            found.setdefault(place, (line["size"], name[1]))
    return found


def word(state, place, size):
    """The variable's bytes in a state, as a number; None: not used yet."""
    value = state["words"].get(str(place & ~7))
    return (None if value is None else
            value >> 8 * (place & 7) & (1 << 8 * size) - 1)


def leaving(steps):
    """The steps that leave each state."""
    found = {}
    for i, step in enumerate(steps):
        found.setdefault(step["from"], []).append(i)
    return found


def backwards(out, steps):
    """All states that can be reached, each after those that it leads to."""
    order, seen, stack = [], {0}, [(0, iter(out.get(0, ())))]
    while stack:
        state, rest = stack[-1]
        for i in rest:
            to = steps[i].get("to")
            if to is not None and to not in seen:
                seen.add(to)
                stack.append((to, iter(out.get(to, ()))))
                break
        else:
            order.append(state)
            stack.pop()
    return order


def merge(states, steps):
    """Makes one of those states that show the same, and from which the same can
    happen: nobody can tell them apart, and most are such."""
    out, merged, known = leaving(steps), {}, {}
    for state in backwards(out, steps):
        ways = sorted({json.dumps({**steps[i], "from": 0, **(
            {"to": merged[steps[i]["to"]]} if "to" in steps[i] else {})})
            for i in out.get(state, ())})
        merged[state] = known.setdefault(
            (json.dumps(states[state]), *ways), len(known))
    last = len(known) - 1  # the start is met last, and shall be the first
    result = []
    for at, (_, *ways) in enumerate(known):
        for way in map(json.loads, ways):
            way["from"] = last - at
            if "to" in way:
                way["to"] = last - way["to"]
            result.append(way)
    return ([json.loads(key[0]) for key in reversed(known)],
            sorted(result, key=lambda step: step["from"]))


def count(states, steps):
    """How many ways there are, how many fail, the shortest of those, and the one
    that is easiest to understand: in which threads are least often interrupted."""
    out, ways = leaving(steps), {}
    for state in backwards(out, steps):
        every = failing = 0
        for i in out.get(state, ()):
            more = ((1, steps[i]["end"] != "well") if "end" in steps[i]
                    else ways[steps[i]["to"]])
            every, failing = every + more[0], failing + more[1]
        ways[state] = every, failing
    return {"orders": ways[0][0], "failing": ways[0][1],
            "shortest": cheapest(states, steps, out, 0),
            "plain": cheapest(states, steps, out, 1000)}


def cheapest(states, steps, out, interruption):
    """The way to a mistake that costs least: a step costs 1, to interrupt a thread
    that could go on, or to wake it for no reason, more. Or None."""
    queue, seen = [(0, 0, 0, None, ())], set()  # cost, order, state, thread, way
    while queue:
        cost, _, state, last, way = heapq.heappop(queue)
        if state is None:
            return list(way)
        if (state, last) in seen:
            continue
        seen.add((state, last))
        for i in out.get(state, ()):
            if steps[i].get("end") == "well":
                continue
            who, people = steps[i]["thread"], states[state]["threads"]
            cuts = (last not in (who, None) and who is not None
                    and people[last]["can"] == "yes"
                    and people[last]["does"] != "goes on")
            surprise = who is not None and people[who]["can"] == "surprise"
            heapq.heappush(queue, (cost + 1 + interruption * (cuts + 2 * surprise), i,
                                   steps[i].get("to"), who, (*way, i)))
    return None
