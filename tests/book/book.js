/* What a page cannot do by itself: copy what one types, remember what is done,
   search. Without this file all of the book can be read. */
"use strict";

const make = (tag, more) => Object.assign(document.createElement(tag), more);
const all = (what, below = document) => [...below.querySelectorAll(what)];

/* ---- copying */

/* What one types of a block: of a terminal its commands; of a place that changes,
   all from the first changed line to the last, as it is afterwards. */
function typed(pane) {
  if (pane.classList.contains("terminal"))
    return all(".cmd", pane).map(command => command.textContent.slice(2)).join("");
  const lines = all("code > *", pane);
  if (!pane.classList.contains("diff"))
    return lines.map(line => line.textContent).join("");
  const changed = lines.filter(line => line.tagName !== "SPAN");
  return lines.slice(lines.indexOf(changed[0]), lines.indexOf(changed.at(-1)) + 1)
    .filter(line => line.tagName !== "DEL")
    .map(line => line.textContent.slice(1)).join("");
}

function addCopyButtons() {
  for (const pane of all(".pane")) {
    if (!typed(pane) || !pane.querySelector(".bar"))
      continue;
    const button = make("button", { type: "button", textContent: "Copy",
      title: pane.classList.contains("diff")
        ? "From the first changed line to the last, as it is afterwards"
        : "What you type" });
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(typed(pane));
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    pane.querySelector(".bar").append(button);
  }
}

/* ---- what is done, kept in this browser */

function addTicks() {
  const done = new Set(JSON.parse(localStorage.getItem("done") || "[]"));
  for (const place of all(".caption, .exercise")) {
    if (place.id.startsWith("solution"))
      continue;
    const box = make("input", { type: "checkbox", checked: done.has(place.id) });
    box.addEventListener("change", () => {
      done[box.checked ? "add" : "delete"](place.id);
      localStorage.setItem("done", JSON.stringify([...done]));
    });
    const what = place.id.replace("-", " ");
    box.setAttribute("aria-label", `done: ${what}`);
    const label = make("label", { className: "tick" });
    label.append(box, " done");
    place.append(label);
  }
  for (const part of all("[data-ticks]")) {
    const ticks = part.dataset.ticks.split(" ").filter(Boolean);
    const count = ticks.filter(tick => done.has(tick)).length;
    if (count)
      part.append(make("output", { textContent: count === ticks.length ? "✓ done"
        : `${count} of ${ticks.length} done` }));
  }
}

/* ---- searching */

/* The sections in which all words stand; first those with them in the title. */
function find(words) {
  return INDEX.map(([href, part, title, text]) => {
    const low = text.toLowerCase(), head = title.toLowerCase();
    const hits = words.map(word => (head.includes(word) ? 10 : 0) +
      Math.min(low.split(word).length - 1, 9));
    const rank = hits.includes(0) ? 0 : hits.reduce((sum, hit) => sum + hit) +
      (head.includes(words.join(" ")) ? 99 : 0);
    return { href, part, title, text, low, rank };
  }).filter(hit => hit.rank).sort((a, b) => b.rank - a.rank);
}

/* Some words around the first hit, which is marked. */
function excerpt(hit, word) {
  const at = hit.low.indexOf(word);
  if (at === -1)
    return make("p", { textContent: hit.text.slice(0, 200) });
  const from = hit.text.lastIndexOf(" ", Math.max(at - 80, 0)) + 1;
  const to = hit.text.indexOf(" ", at + 160);
  const piece = make("p");
  piece.append((from ? "… " : "") + hit.text.slice(from, at),
    make("mark", { textContent: hit.text.slice(at, at + word.length) }),
    to === -1 ? hit.text.slice(at + word.length)
      : hit.text.slice(at + word.length, to) + " …");
  return piece;
}

function search(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = words.length ? find(words) : [];
  document.querySelector("#found").textContent = words.length
    ? `${hits.length} sections have “${query}”.` : "What do you look for?";
  document.querySelector("ol.found").replaceChildren();
  for (const hit of hits.slice(0, 40)) {
    const item = make("li");
    const link = make("a", { href: hit.href, textContent: hit.title });
    item.append(link, make("small", { textContent: hit.part }), excerpt(hit, words[0]));
    document.querySelector("ol.found").append(item);
  }
}

/* ---- blocks wider than the page are scrolled by keys, too */

function letScroll() {
  for (const wide of all("pre, .wide"))
    if (wide.scrollWidth > wide.clientWidth)
      wide.tabIndex = 0;
}

/* A link to what is folded unfolds it. */
function unfold() {
  const place = location.hash && document.getElementById(location.hash.slice(1));
  for (let at = place; at; at = at.parentElement)
    if (at.tagName === "DETAILS")
      at.open = true;
  if (place)
    place.scrollIntoView();
}

addCopyButtons();
letScroll();
unfold();
addEventListener("hashchange", unfold);
addEventListener("toggle", letScroll, true);
addEventListener("resize", letScroll);
addEventListener("beforeprint", () => all("details").forEach(d => { d.open = true; }));
if (typeof INDEX !== "undefined") {
  const asked = document.querySelector("input[name=q]");
  asked.value = new URLSearchParams(location.search).get("q") || "";
  asked.addEventListener("input", () => search(asked.value));
  search(asked.value);
}
addTicks(); // last, for a browser that may not keep anything stops here
