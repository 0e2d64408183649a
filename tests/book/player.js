/* Steps through the graphs that player.py has put into a page: a state is a number,
   and each step leads from one to another. What they mean is written in them. */
"use strict";

/* An element with attributes (functions: what it listens to) and children. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (typeof value === "function")
      made.addEventListener(name, value);
    else
      made.setAttribute(name, value);
  made.append(...children);
  return made;
}

class Player {
  constructor(section) {
    this.section = section;
    this.versions = JSON.parse(section.querySelector("script").textContent);
    for (const version of this.versions) {
      version.out = version.states.map(() => []);
      version.steps.forEach((step, i) => version.out[step[0]].push(i));
    }
    const name = section.id;
    this.switch = element("fieldset", {}, element("legend", {}, "Which program?"),
      ...this.versions.map((version, i) => element("label", {}, element("input",
        { type: "radio", name, value: i, change: () => this.choose(i) }),
      ` ${version.label}`)));
    this.showButton = this.button("Show me", () => this.show());
    this.tableButton = this.button("As a table", () => this.showTable());
    this.backButton = this.button("Back", () => this.back());
    const buttons = element("div", { class: "player-buttons" }, this.showButton,
      this.button("Find a mistake yourself", () => this.find()),
      this.button("Count all schedules", () => this.count()),
      ...section.querySelector("table") ? [this.tableButton] : []);
    const ways = element("div", { class: "player-buttons" }, this.backButton,
      this.button("Start again", () => this.reset()));
    this.threads = element("ul", { class: "player-threads", "aria-label": "Threads" });
    this.said = element("p", { class: "player-said", role: "status" });
    this.things = element("dl", { class: "player-things" });
    this.code = element("div", { class: "player-code", tabindex: 0, role: "group",
      "aria-label": "The code, with a mark where each thread is" });
    this.steps = element("ol", {});
    this.taken = element("summary", {});
    section.querySelector("script").before(element("div", { class: "player-live" },
      ...this.versions.length > 1 ? [this.switch] : [], buttons, this.threads, ways,
      this.said, this.things, this.code,
      element("details", {}, this.taken, this.steps)));
    section.classList.add("live");
    this.choose(0);
  }

  button(text, press) {
    return element("button", { type: "button", click: press }, text);
  }

  /* Takes the wrong program, 0, or the right one. */
  choose(number) {
    this.graph = this.versions[number];
    this.switch.querySelectorAll("input")[number].checked = true;
    this.showButton.setAttribute("aria-disabled", !this.versions[0].show);
    this.lines = new Map();
    this.code.replaceChildren(...this.graph.code.map(([file, first, lines], part, all) =>
      element("figure", {}, element("figcaption", {},
        all[part - 1]?.[0] === file ? "…" : file), element("pre", {},
        ...lines.map((text, i) => {
          const marks = element("span", { class: "player-marks" });
          const line = element("span", { class: "player-line" }, marks,
            element("span", { class: "player-number" }, String(first + i)), `${text}\n`);
          this.lines.set(`${file}:${first + i}`, { line, marks });
          return line;
        })))));
    this.reset();
  }

  reset() {
    this.stop();
    this.goal = false;
    this.trail = [];
    this.draw("The start. Choose which thread takes the next step.");
  }

  /* Where we are: a state, or how it ended, and there. */
  get at() {
    const last = this.last;
    return !last ? 0 : last.length > 4 ? last[0] : last[2];
  }

  get last() {
    return this.graph.steps[this.trail.at(-1)];
  }

  get ended() {
    return this.last !== undefined && this.last.length > 4;
  }

  /* How many steps of threads were taken, in words. */
  get length() {
    const taken = this.trail.filter(i => this.graph.steps[i][1] >= 0).length;
    return taken === 1 ? "1 step" : `${taken} steps`;
  }

  take(number) {
    const [, thread] = this.graph.steps[number];
    this.trail.push(number);
    let said = thread < 0 ? "" :
      `${this.graph.threads[thread]} ${this.tell(this.last, true)}.`;
    const [only] = this.graph.out[this.at];
    if (!this.ended && this.graph.steps[only]?.[1] === -1)
      this.trail.push(only); /* nobody can go on: that is the end */
    if (this.ended)
      said += ` ${this.outcome()}`;
    this.draw(said, thread);
  }

  /* What a step does, in words. */
  tell(step, where) {
    const [at] = step[3];
    const place = where && at && at[0] ? `, ${at[0]}:${at[1]}` : "";
    return step[3].map(([, , word]) => this.graph.words[word]).join("; ") + place;
  }

  outcome() {
    const [, thread, , , end, text, place] = this.last, length = this.length;
    const all = thread < 0 || /^(no thread|nothing|all )/.test(text);
    const what = (all ? "" : `${this.graph.threads[thread]} `) + text +
      (place && ` (${place})`);
    if (end === "well")
      return `This schedule ends well, after ${length}.` +
        (text ? ` (At the end somebody ${text}.)` : "") +
        (this.goal ? " Go back, or start again: there are others." : "");
    const waits = this.stands().filter(({ can }) => can === "no" || can === "surprise")
      .map(({ thread: name, why }) => `${name} ${why}`).join("; ");
    return `It goes wrong after ${length}: ${what}.` +
      (thread < 0 && waits ? ` In the end: ${waits}.` : "") +
      (this.goal ? ` You found one! The fewest steps are ${this.graph.fewest}.` : "");
  }

  /* Where each thread stands. */
  stands() {
    const [, ...numbers] = this.graph.states[this.at];
    return numbers.map((number, i) => ({ number, i })).filter(({ number }) => number >= 0)
      .map(({ number, i }) => {
        const [can, does, why, at] = this.graph.stands[number];
        return { i, thread: this.graph.threads[i], tag: this.graph.tags[i], can, at,
          does: this.graph.words[does], why: this.graph.words[why] };
      });
  }

  back() {
    this.stop();
    if (this.trail.length === 0)
      return;
    const automatic = this.ended && this.last[1] < 0;
    this.trail.splice(automatic ? -2 : -1);
    this.draw(`One step back: ${this.length} from the start.`);
  }

  /* Plays a schedule that fails, a step at a time. */
  show() {
    if (this.playing) {
      this.stop();
      return;
    }
    if (!this.versions[0].show)
      return;
    this.choose(0);
    const rest = this.graph.show.filter(i => this.graph.steps[i][1] >= 0);
    this.code.scrollIntoView({ block: "nearest" });
    this.playing = setInterval(() => {
      this.take(rest.shift());
      if (rest.length === 0)
        this.stop();
    }, Number(this.section.dataset.pace ?? 1500));
    this.showButton.textContent = "Stop";
  }

  stop() {
    clearInterval(this.playing);
    this.playing = null;
    this.showButton.textContent = "Show me";
  }

  find() {
    this.choose(0);
    this.goal = true;
    this.draw(this.graph.failing === "0" ? "None goes wrong." :
      "Choose who goes next until something breaks. Somebody who knows how needs " +
      `${this.graph.fewest} steps.`);
  }

  count() {
    this.stop();
    this.draw(this.versions.map(({ label, states, orders, failing }) =>
      `${label}: ${states.length} states; ${orders} schedules lead through them; ` +
      `${failing} of these go wrong.`).join(" "));
  }

  showTable() {
    const shown = this.section.classList.toggle("with-table");
    this.tableButton.setAttribute("aria-pressed", shown);
    if (shown)
      this.section.querySelector("table").scrollIntoView({ block: "nearest" });
  }

  /* Shows the state that we are in. */
  draw(said, moved) {
    const stands = this.stands();
    this.said.textContent = said;
    this.said.dataset.end = this.ended ? this.last[4] : "";
    this.backButton.setAttribute("aria-disabled", this.trail.length === 0);
    this.drawThreads(stands);
    this.things.replaceChildren(...this.graph.panels[this.graph.states[this.at][0]]
      .map(([name, text]) => element("div", {}, element("dt", {}, name),
        element("dd", {}, text))));
    for (const { line, marks } of this.lines.values()) {
      line.className = "player-line";
      marks.replaceChildren();
    }
    for (const { i, can, at, tag } of stands.filter(({ can }) => can !== "ended"))
      at.forEach(([file, number], depth) =>
        this.mark(`${file}:${number}`, tag, can, depth === at.length - 1, i === moved));
    if (this.ended && this.last[4] !== "well" && this.last[6])
      this.mark(this.last[6], "✗", "broken", true, true);
    this.taken.textContent = `What has happened: ${this.length}`;
    this.steps.replaceChildren(...this.trail.map(i => this.graph.steps[i])
      .filter(step => step[1] >= 0).map(step => element("li", {},
        `${this.graph.threads[step[1]]}: ${this.tell(step, true)}`)));
  }

  press(button) {
    this.stop();
    if (button.way !== undefined)
      this.take(button.way);
  }

  mark(place, tag, can, here, moved) {
    const { line, marks } = this.lines.get(place);
    marks.append(element("span", { class: here ? `player-tag ${can}` : "player-caller" },
      tag));
    if (!here)
      return;
    line.classList.add("here", can);
    if (moved || this.trail.length === 0) { /* the page itself stays where it is */
      const frame = this.code.getBoundingClientRect(), box = line.getBoundingClientRect();
      if (box.top < frame.top || box.bottom > frame.bottom)
        this.code.scrollTop += box.top - frame.top - frame.height / 3;
    }
  }

  /* A button for each thread, and for each way in which its step can come out. The
     first of a thread stays, and with it the focus. */
  drawThreads(stands) {
    while (this.threads.children.length > stands.length)
      this.threads.lastChild.remove();
    stands.forEach((stand, place) => {
      const ways = this.ended ? [] : this.graph.out[this.at].filter(
        i => this.graph.steps[i][1] === stand.i);
      const item = this.threads.children[place] ??
        this.threads.appendChild(element("li", {}));
      const wanted = Math.max(1, ways.length);
      while (item.children.length > wanted)
        item.lastChild.remove();
      while (item.children.length < wanted) {
        const button = item.appendChild(this.button("", () => this.press(button)));
      }
      [...item.children].forEach((button, k) => {
        button.way = ways[k];
        button.setAttribute("aria-disabled", ways.length === 0);
        const [file, line] = stand.at.at(-1) ?? [];
        const what = ways.length > 1 || stand.can === "surprise" && ways.length ?
          this.tell(this.graph.steps[ways[k]]) :
          ways.length || stand.can === "yes" ? stand.does : stand.why;
        button.replaceChildren(element("span", { class: `player-tag ${stand.can}` },
          stand.tag), element("b", {}, stand.thread), " ", element("span",
          { class: "player-place" }, file && stand.can !== "ended" ?
            `${file}:${line}` : ""), ` ${what}`);
      });
    });
  }
}

document.querySelectorAll("section.player").forEach(section => new Player(section));
