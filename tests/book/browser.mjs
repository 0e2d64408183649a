/* Opens the book in Chromium, for tests/book/test:
       node browser.mjs URL CHROMIUM NODE_MODULES <WANTED.json
   WANTED: for each page of the text, what one types of each of its blocks.
   PART=keys does only that part. Pictures are left in build/book-shots. */
import { createRequire } from "node:module";
import { readFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [url, executablePath, modules] = process.argv.slice(2);
const require = createRequire(join(modules, "x.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const wanted = JSON.parse(readFileSync(0, "utf8"));
const shots = join(dirname(fileURLToPath(import.meta.url)), "../../build/book-shots");
mkdirSync(shots, { recursive: true });

let failures = 0;
function check(good, what) {
  if (!good) {
    failures += 1;
    console.log(`FAILED  ${what}`);
  }
}

/* A page whose complaints are collected. */
async function open(context) {
  const page = await context.newPage();
  const complain = what => check(false, `${page.url()}: ${what}`);
  page.on("console", message => message.type() === "error" && complain(message.text()));
  page.on("pageerror", complain);
  page.on("requestfailed", request => /ABORTED/.test(request.failure().errorText) ||
    complain(`no answer: ${request.url()}`)); // ABORTED: the reader has gone on
  page.on("request", request => request.url().startsWith(url) ||
    complain(`another host is asked: ${request.url()}`));
  return page;
}

const at = name => `${url}/${name}`;
const pages = [...Object.keys(wanted), "index.html", "functions.html",
  "search.html?q=thread", "listing-6-4.html", "listing-15-11.html", "file-final.html"];
const typical = ["index.html", "step-03.html", "step-07.html", "words.html",
  "search.html?q=thread", "listing-6-4.html", "functions.html"];

/* No error, no scrolling sideways, what is copied is what one types. */
async function everyPage(browser) {
  const context = await browser.newContext();
  const page = await open(context);
  for (const name of pages) {
    await page.goto(at(name));
    await page.evaluate(() => document.querySelectorAll("details").forEach(
      details => { details.open = true; }));
    for (const width of [320, 360, 768, 1280, 2560]) {
      await page.setViewportSize({ width, height: 800 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth -
        document.documentElement.clientWidth);
      check(wide <= 0, `${name}, ${width} px wide: scrolls ${wide} px sideways`);
    }
    if (!wanted[name])
      continue;
    const typed = await page.evaluate(() => all("main .pane").filter(
      pane => !pane.closest(".player")).map(pane =>
      [typed(pane), Boolean(pane.querySelector("button"))]));
    wanted[name].forEach((text, i) => check(typed[i]?.[0] === text,
      `${name}: copied is ${JSON.stringify(typed[i]?.[0])} for ${JSON.stringify(text)}`));
    check(typed.every(([text, button]) => button === (text !== "")),
      `${name}: a block without its button`);
    check(typed.every(([text]) => !text.startsWith("$ ")), `${name}: copies a prompt`);
  }
  await context.close();
}

/* axe-core finds nothing, in light and in dark. */
async function accessible(browser) {
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({ colorScheme });
    const page = await open(context);
    for (const name of typical) {
      await page.goto(at(name));
      for (const player of await page.locator(".player").all()) {
        await player.getByRole("button", { name: "As a table" }).click();
        await player.locator(".player-threads button").first().click();
      }
      await page.evaluate(axe);
      const found = await page.evaluate(() => {
        document.querySelectorAll("details").forEach(d => { d.open = true; });
        return window.axe.run(document, { resultTypes: ["violations"] });
      });
      for (const { id, nodes } of found.violations)
        check(false, `${name}, ${colorScheme}: axe: ${id}: ${nodes.length} places, as ` +
          `${nodes[0].html.slice(0, 150)} ${nodes[0].any[0]?.message ?? ""}`);
      await page.setViewportSize({ width: 1280, height: 1200 });
      await page.screenshot({ path: join(shots, `${name.split(".")[0]}-${colorScheme}.png`) });
    }
    await context.close();
  }
}

/* By keys alone: skip, tick, unfold, copy, search; the focus is always seen. */
async function keys(browser) {
  const context = await browser.newContext({
    permissions: ["clipboard-read", "clipboard-write"] });
  const page = await open(context);
  await page.goto(at("step-03.html"));
  await page.keyboard.press("Tab");
  check(await page.evaluate(() => document.activeElement.matches(".skip") &&
    document.activeElement.getBoundingClientRect().left >= 0),
    "the first key does not show the link that skips");
  await page.keyboard.press("Enter");
  check(page.url().endsWith("#main"), "the link that skips does not");
  const met = new Set();
  for (let i = 0; i < 120; i++) {
    await page.keyboard.press("Tab");
    const here = await page.evaluate(() => {
      const now = document.activeElement, style = getComputedStyle(now);
      return { tag: now.tagName, type: now.type,
        seen: style.outlineStyle !== "none" && style.outlineWidth !== "0px" };
    });
    if (here.tag === "BODY")
      break;
    check(here.seen, `step-03.html: the focus on ${here.tag} is not seen`);
    const first = !met.has(here.tag + (here.type ?? ""));
    met.add(here.tag + (here.type ?? ""));
    if (first && here.tag === "BUTTON") {
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => document.activeElement.textContent === "Copied");
      check(await page.evaluate(() => navigator.clipboard.readText()) ===
        "mkdir good; cp *.[ch] good\n", "the clipboard has something else");
    }
    if (first && here.type === "checkbox")
      await page.keyboard.press("Space");
    if (first && here.tag === "SUMMARY") {
      await page.keyboard.press("Enter");
      check(await page.evaluate(() => document.activeElement.parentElement.open),
        "Enter does not unfold an answer");
    }
  }
  for (const kind of ["A", "BUTTONbutton", "INPUTcheckbox", "SUMMARY"])
    check(met.has(kind), `step-03.html: no key leads to ${kind}`);
  await page.reload();
  check(await page.locator(".tick input").first().isChecked(), "a tick is forgotten");
  await page.goto(at("index.html"));
  check(/^1 of \d+ done$/.test(await page.locator("[data-ticks] output").textContent()),
    "the contents do not say what is done");
  await page.goto(at("step-03.html"));
  const title = await page.locator(".toc a").nth(2).textContent();
  await page.locator("input[name=q]").focus();
  await page.keyboard.type(title);
  await page.keyboard.press("Enter");
  await page.waitForURL(/search/);
  const first = page.locator(".found a").first();
  check(await first.textContent() === title, `the search does not find “${title}” first`);
  await page.locator("input[name=q]").fill("zzz");
  check(await page.locator(".found a").count() === 0, "the search waits for Enter");
  await page.locator("input[name=q]").fill(title);
  await first.press("Enter");
  await page.waitForURL(/step-03.html#/);
  await context.close();
}

/* Without JavaScript all can be read, and answers unfold; in print they are open. */
async function still(browser) {
  const context = await browser.newContext({ javaScriptEnabled: false,
    viewport: { width: 360, height: 740 } });
  const page = await open(context);
  await page.goto(at("step-03.html"));
  check(await page.locator("button").count() === 0, "a button that needs JavaScript");
  const answer = page.locator("details:not(.toc details)").first();
  await answer.locator("summary").click();
  check(await answer.locator("p").first().isVisible(), "without JavaScript: folded");
  await page.screenshot({ path: join(shots, "step-03-phone.png") });
  await page.goto(at("search.html?q=thread"));
  check(await page.locator("noscript").isVisible(), "search does not say what it needs");
  await page.goto(at("step-03.html"));
  await page.emulateMedia({ media: "print" });
  const hidden = await page.locator("details > p").evaluateAll(
    all => all.filter(p => !p.checkVisibility({ contentVisibilityAuto: true })).length);
  check(hidden === 0, `print: ${hidden} paragraphs stay folded`);
  check((await page.pdf()).length > 50000, "nothing is printed");
  await context.close();
}

/* The first words are on the screen within a second; a busy machine has more tries. */
async function paint(browser) {
  for (const name of ["index.html", "step-11.html"]) {
    let best = Infinity;
    for (let i = 0; i < 10 && best >= 1000; i++) {
      const context = await browser.newContext();
      const page = await open(context);
      await page.goto(at(name));
      best = Math.min(best, Math.round(await page.evaluate(() => new Promise(resolve => {
        new PerformanceObserver(list => list.getEntriesByName("first-contentful-paint")
          .forEach(entry => resolve(entry.startTime)))
          .observe({ type: "paint", buffered: true });
      }))));
      await context.close();
    }
    console.log(`first paint of ${name}: ${best} ms`);
    check(best < 1000, `${name}: first paint after ${best} ms`);
  }
}

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox",
  "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
  "--disable-background-networking", "--disable-component-update"] });

/* Does parts one after the other. */
async function lane(...parts) {
  for (const part of parts) {
    if (![part.name, undefined].includes(process.env.PART))
      continue;
    const start = Date.now();
    await part(browser).catch(error => check(false, `${part.name}: ${error.message}`));
    console.log(`${part.name}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
  }
}

await Promise.all([lane(everyPage), lane(accessible, keys, still)]);
await lane(paint);
await browser.close();
console.log(`in Chromium: ${failures} failures`);
process.exit(failures ? 1 : 0);
