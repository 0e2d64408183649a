"""The graph of a small scenario, for a player: all states, and the steps between.

    {"threads": ["main", "consumer 1", …],
     "source": {"job_queue.c": ["#include …", …], …},
     "states": [                    the first is the start
       {"threads": [                in the order of "threads"; null: not yet there
          {"can": "yes"             or "no": it waits; "surprise": it would have to
                                    wake for no reason, or its time be up; "ended"
           "does": "locks mutex",   its next step
           "file": "job_queue.c", "line": 51,
           "calls": [["thread_pool.c", 28], …]}, …],    its callers, outermost first
        "locked": {"mutex": 1},     who holds it: an index in "threads"
        "sleeping": {"not_empty": [2]},
        "value": {"first": {"job": …, "next": null}, "closed": false}}, …],
                                    the queue or the pool, as the program declares it
     "steps": [{"from": 0, "to": 1, "thread": 0,
                "does": [["job_queue.c", 39, "locks mutex"], …]}, …],
                                    several lines: what it tells on the way
               … or, for the last of a run ("thread" is null where none can go on),
                 instead of "to"
               "end": "well"        or the key of what goes wrong, and
               "text": "consumer 1 reads through a pointer that is NULL"
     "orders": 1056,                so many ways lead through the graph
     "failing": 12,                 so many of them to a mistake
     "shortest": [0, 4, 9]}         steps that lead to one, the fewest; or null

Where a wake-up for no reason is possible, at most two of them are in a run.
"""

import json
import re
import subprocess
from collections import deque
from functools import lru_cache

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

    def thread_now(thread):
        place = code.at(thread["pc"]) or (None, None)
        return {"can": thread["can"], "does": story.words(thread),
                "file": place[0], "line": place[1],
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
        memory = Memory(state["memory"], types)
        kind = types.struct(root)
        where = next((address for address, data in state["memory"]
                      if kind and len(data) // 2 == int(kind["byte_size"], 0)), None)
        return {"threads": [thread_now(here[i]) if i in here else None
                            for i in order],
                "locked": locked, "sleeping": sleeping,
                "value": memory.value(kind, where) if where else None}

    def step_now(step):
        result = {"from": number[step["from"]],
                  "thread": (order.index(step["thread"])
                             if step["thread"] in order else None),
                  "does": [[*(code.at(line["pc"]) or (None, None))[:2],
                            story.words(line)] for line in step["steps"]]}
        if "to" in step:
            return {**result, "to": number[step["to"]]}
        return {**result, "end": step["end"], "text": story.places(step["text"])}

    result = {"threads": [people[i]["name"] for i in order], "source": code.text,
              "states": [state_now(state) for state in states],
              "steps": [step_now(step) for step in steps]}
    return {**result, **count(result["steps"])}


def count(steps):
    """How many ways there are, how many fail, and the shortest of those."""
    leaving = {}
    for i, step in enumerate(steps):
        leaving.setdefault(step["from"], []).append(i)

    @lru_cache(maxsize=None)
    def ways(state):
        every = failing = 0
        for i in leaving.get(state, ()):
            more = ((1, steps[i]["end"] != "well") if "end" in steps[i]
                    else ways(steps[i]["to"]))
            every, failing = every + more[0], failing + more[1]
        return every, failing

    every, failing = ways(0)
    queue, seen, shortest = deque([(0, [])]), {0}, None
    while queue and shortest is None:
        state, path = queue.popleft()
        for i in leaving.get(state, ()):
            if "end" in steps[i]:
                if steps[i]["end"] != "well":
                    shortest = path + [i]
                    break
            elif steps[i]["to"] not in seen:
                seen.add(steps[i]["to"])
                queue.append((steps[i]["to"], path + [i]))
    return {"orders": every, "failing": failing, "shortest": shortest}
