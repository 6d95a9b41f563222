// Looks at the console as a reader does: browser.mjs CHROMIUM checks|images OPS BOARD [DIRECTORY]
// OPS is a node that runs, BOARD the board over made-up evidence.
// Prints a line of JSON for each check; `run` beside this file starts it and counts them.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [executablePath, task, ops, board, directory] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const MOVES_WITHIN_MS = 3000;
const WATCHED_MS = 6000;
const WIDE = { width: 1440, height: 900 };
const NARROW = { width: 390, height: 844 };
// A name that someone else has pointed at this machine (DNS rebinding).
const STRANGER = "rebound.test";
const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  `--host-resolver-rules=MAP ${STRANGER} 127.0.0.1`,
];

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const section = (name) => print({ section: name });
const check = (name, holds, detail = "") => print({ check: name, holds: Boolean(holds), detail });

// Before the page's own script: keeps every shift of its layout, whoever caused it.
function watchShifts() {
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const { value, sources } of list.getEntries()) {
      const moved = sources.map(({ node, previousRect, currentRect }) => ({
        what: (node?.outerHTML ?? node?.data ?? "gone").slice(0, 120),
        // A unit goes along its line when the number before it gets a digit more, and the labels of
        // an axis go with its scale.
        alongItsLine: node?.nodeType === Node.TEXT_NODE && previousRect.y === currentRect.y ||
          Boolean((node?.parentElement ?? node)?.closest(".frame ol")),
      }));
      window.shifts.push({ value, moved });
    }
  }).observe({ type: "layout-shift", buffered: true });
}

// What shifts while the page is live, in so many milliseconds.
async function shifts(page, ms) {
  await page.waitForFunction(() => document.getElementById("link").dataset.state === "live");
  await page.evaluate(() => { window.shifts.length = 0; });
  await page.waitForTimeout(ms);
  const all = await page.evaluate(() => window.shifts);
  const score = all.reduce((sum, { value }) => sum + value, 0);
  const moved = all.flatMap((shift) => shift.moved.filter(({ alongItsLine }) => !alongItsLine));
  return { none: moved.length === 0 && score.toFixed(3) === "0.000", score, moved };
}

// A page with what it asked for and complained of.
async function open(browser, options, path = "/", base = ops) {
  const context = await browser.newContext({ viewport: WIDE, colorScheme: "light", ...options });
  const page = await context.newPage();
  const seen = { asked: [], complaints: [], kinds: {} };
  page.on("request", (request) => seen.asked.push(request.url()));
  page.on("response", (response) => {
    seen.kinds[new URL(response.url()).pathname] = response.headers()["content-type"];
  });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) seen.complaints.push(message.text());
  });
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  if (options?.javaScriptEnabled !== false) await page.addInitScript(watchShifts);
  const response = await page.goto(base + path);
  return { page, seen, response, close: () => context.close() };
}

const text = (page, selector) => page.locator(selector).allInnerTexts();
const figures = async (page) => (await text(page, "#traffic dd b")).join(" ");
const plots = (page) =>
  page.locator(".drawing path").evaluateAll((all) => `${all.map((path) => path.getAttribute("d"))}`);

// Milliseconds until what is read differs from what it was, at most `ms`.
async function untilMoved(read, ms) {
  const start = performance.now();
  const was = await read();
  while (performance.now() - start < ms) {
    if ((await read()) !== was) return performance.now() - start;
    await new Promise((done) => setTimeout(done, 50));
  }
  return Infinity;
}

async function barriers(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document));
  const brief = found.violations.map(({ id, nodes }) => ({
    id,
    nodes: nodes.slice(0, 3).map(({ target, failureSummary }) => `${target}: ${failureSummary}`),
  }));
  return { brief, rules: found.passes.length };
}

async function live(browser) {
  section("the page, live");
  const { page, seen, response, close } = await open(browser, {}, "/?window=10");
  check("it answers", response.status() === 200, response.status());
  const policy = response.headers()["content-security-policy"] ?? "";
  check("its policy lets nothing in from elsewhere", policy.includes("default-src 'self'"), policy);
  const moved = await untilMoved(() => figures(page), MOVES_WITHIN_MS);
  check("the figures move within 3 s", moved < MOVES_WITHIN_MS, moved);
  const drawn = await untilMoved(() => plots(page), MOVES_WITHIN_MS);
  check("and so do the plots", drawn < MOVES_WITHIN_MS, drawn);
  const kind = seen.kinds["/live"] ?? "";
  check("by server-sent events", kind.startsWith("text/event-stream"), kind);
  check("it says that it is live", (await text(page, "#link"))[0] === "Live");
  const shifted = await shifts(page, WATCHED_MS);
  check("nothing shifts while they do", shifted.none, shifted);
  const elsewhere = seen.asked.filter((url) => new URL(url).origin !== ops);
  check("every request is to the ops listener", elsewhere.length === 0 && seen.asked.length >= 4,
    { elsewhere, asked: seen.asked.length });
  check("no complaint in its console", seen.complaints.length === 0, seen.complaints);
  await keyboard(page);
  await close();
}

// What the first presses of Tab come to.
async function tabbed(page) {
  const stops = [];
  for (let press = 0; press < 11; press += 1) {
    await page.keyboard.press("Tab");
    stops.push(await page.evaluate(() => {
      const { id, textContent, outerHTML } = document.activeElement;
      const { outlineStyle } = getComputedStyle(document.activeElement);
      return { id, text: textContent.trim(), html: outerHTML.slice(0, 80), outlineStyle };
    }));
  }
  return stops;
}

async function keyboard(page) {
  section("by keyboard alone");
  const stops = await tabbed(page);
  const pages = await text(page, "nav[aria-label=Pages] a");
  const links = await text(page, "nav[aria-label=Window] a");
  const names = stops.map((stop) => stop.text);
  check("Tab comes to the link past the head first", names[0] === "Skip to the figures", names);
  check("to each page", pages.length === 3 && pages.every((link) => names.includes(link)), names);
  check("to each window", links.length === 3 && links.every((link) => names.includes(link)), names);
  check("and to Pause", stops.some(({ id }) => id === "pause"), names);
  const unseen = stops.filter(({ outlineStyle }) => outlineStyle === "none");
  check("one sees where one is", unseen.length === 0, unseen);
  while (await page.evaluate(() => document.activeElement.id !== "pause")) {
    await page.keyboard.press("Shift+Tab");
  }
  await page.keyboard.press("Enter");
  check("Enter pauses", (await text(page, "#link"))[0] === "Paused"
    && (await text(page, "#pause"))[0] === "Resume");
  const still = await untilMoved(() => plots(page), MOVES_WITHIN_MS);
  check("paused, nothing moves", still === Infinity, still);
  await page.keyboard.press("Enter");
  const again = await untilMoved(() => plots(page), MOVES_WITHIN_MS);
  check("resumed, it goes on, and Pause keeps the focus", again < MOVES_WITHIN_MS
    && await page.evaluate(() => document.activeElement.id === "pause"), again);
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await page.waitForURL(/window=300/);
  const here = await text(page, "nav[aria-label=Window] a[aria-current]");
  check("Enter chooses a window", here.length === 1 && here[0] === links[2], here);
}

async function readable(browser, name, options) {
  section(`barriers, ${name}`);
  const { page, seen, close } = await open(browser, options);
  await untilMoved(() => plots(page), MOVES_WITHIN_MS);
  const { brief, rules } = await barriers(page);
  check(`axe finds none in ${rules} rules that apply`, brief.length === 0 && rules > 20, brief);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  check("the page does not scroll sideways", wide <= options.viewport.width, wide);
  const shifted = await shifts(page, MOVES_WITHIN_MS);
  check("nothing shifts", shifted.none, shifted);
  check("no complaint in its console", seen.complaints.length === 0, seen.complaints);
  await close();
}

// The ledger's page is still: no script, nothing that moves.
async function ledger(browser, name, options) {
  section(`the ledger, ${name}`);
  const { page, seen, response, close } = await open(browser, options, "/ledger");
  check("it answers", response.status() === 200, response.status());
  const { brief, rules } = await barriers(page);
  check(`axe finds none in ${rules} rules that apply`, brief.length === 0 && rules > 15, brief);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  check("the page does not scroll sideways", wide <= options.viewport.width, wide);
  const elsewhere = seen.asked.filter((url) => new URL(url).origin !== ops);
  check("every request is to the ops listener", elsewhere.length === 0, elsewhere);
  check("no complaint in its console", seen.complaints.length === 0, seen.complaints);
  await close();
}

// A reader narrows it by action and time, and takes the table and the JSON with the same narrowing.
async function ledgerNarrowed(browser) {
  section("the ledger, narrowed");
  const { page, close } = await open(browser, {}, "/ledger");
  await page.selectOption("select[name=action]", "plimsoll.start");
  await page.fill("input[name=from]", "2020-01-02T03:04");
  await page.keyboard.press("Tab");
  await page.click("form button");
  await page.waitForURL(/action=plimsoll\.start/);
  const actions = await text(page, "table.entries td:nth-child(3)");
  check("only that action is left", actions.length > 0
    && actions.every((action) => action === "plimsoll.start"), actions);
  const says = (await text(page, ".says"))[0] ?? "";
  check("it says of which time", says.includes("from 2020-01-02 03:04:00 UTC on"), says);
  for (const [name, kind] of [["CSV", "text/csv"], ["This page as JSON", "application/json"]]) {
    const href = await page.getByText(name, { exact: true }).getAttribute("href");
    const answer = await page.request.get(ops + href);
    const body = await answer.text();
    check(`${name} keeps what was asked`, answer.status() === 200
      && answer.headers()["content-type"].startsWith(kind) && href.includes("from_unix_ms=")
      && body.includes("plimsoll.start") && !body.includes("operator.act"), href);
  }
  await page.goto(`${ops}/ledger?from=yesterday`);
  const refused = await barriers(page);
  check("a refusal is a page without barriers", refused.brief.length === 0
    && (await page.content()).includes("PLM-OPS-0003"), refused.brief);
  await close();
}

// A page of the board stands still and is the board's own: what each of them has to be.
async function boardPage(browser, name, path, options, base = board) {
  section(`${path}, ${name}`);
  const { page, seen, response, close } = await open(browser, options, path, base);
  check("it answers", response.status() === 200, response.status());
  const { brief, rules } = await barriers(page);
  check(`axe finds none in ${rules} rules that apply`, brief.length === 0 && rules > 15, brief);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  check("the page does not scroll sideways", wide <= options.viewport.width, wide);
  const shifted = await page.evaluate(() => window.shifts);
  check("nothing shifted while it came", shifted.length === 0, shifted);
  const elsewhere = seen.asked.filter((url) => new URL(url).origin !== base);
  check("every request is to the ops listener", elsewhere.length === 0, elsewhere);
  const scripts = seen.asked.filter((url) => url.endsWith(".js"));
  check("it has no script", scripts.length === 0, scripts);
  check("no complaint in its console", seen.complaints.length === 0, seen.complaints);
  await close();
}

async function boardPages(browser) {
  const forms = [
    ["light", { viewport: WIDE, colorScheme: "light" }],
    ["dark", { viewport: WIDE, colorScheme: "dark" }],
    ["390 px wide", { viewport: NARROW }],
  ];
  const { page, close } = await open(browser, {}, "/api/v1/board", board);
  const { gates } = JSON.parse(await page.evaluate(() => document.body.innerText));
  await close();
  const one = (light) => `/board/gates/${gates.find((gate) => gate.light === light).id}`;
  const paths = ["/board", "/board?state=red&area=security", one("green"), one("red"),
    "/board/summary"];
  for (const path of paths) {
    for (const [name, options] of forms) await boardPage(browser, name, path, options);
  }
  await boardPage(browser, "of a node that runs", "/board", forms[0][1], ops);
  return gates;
}

// A state is a shape and a word, never a colour alone.
async function boardWords(browser, gates) {
  section("the board, by words and shapes");
  const { page, close } = await open(browser, {}, "/board", board);
  const words = await text(page, "#gates ul.gates .stands .light");
  const built = gates.filter((gate) => gate.built);
  check("each gate that can be answered says its state", words.length === built.length
    && words.every((word) => ["red", "amber", "green"].includes(word)), words.length);
  const later = await text(page, "#gates ul.later > li");
  check("and the others stand below, with what to do", later.length
    === gates.length - built.length, later.length);
  const dots = await page.locator(".row.wide a.dot").evaluateAll((all) =>
    all.map((dot) => [dot.getAttribute("aria-label").split(":")[0],
      dot.querySelector("circle, polygon, rect").tagName].join(" ")));
  const shapes = ["green circle", "amber polygon", "red rect"];
  check("each gate is a shape of its state in the 90 days", dots.length === gates.length
    && dots.every((dot) => shapes.includes(dot)), [...new Set(dots)]);
  await page.locator(".row.wide a.dot").first().click();
  await page.waitForURL(/board\/gates\//);
  check("which leads to the gate", (await text(page, "h1")).length === 1);
  await close();
}

async function boardByKeyboard(browser) {
  section("the board, by keyboard alone");
  const { page, close } = await open(browser, {}, "/board", board);
  const stops = [];
  for (let press = 0; press < 70; press += 1) {
    await page.keyboard.press("Tab");
    stops.push(await page.evaluate(() => {
      const at = document.activeElement;
      const { outlineStyle } = getComputedStyle(at);
      return { text: at.textContent.trim(), tag: at.tagName, class: at.getAttribute("class"),
        html: at.outerHTML.slice(0, 80), outlineStyle };
    }));
  }
  check("Tab comes to the link past the head first", stops[0].text === "Skip to the board");
  check("no shape of the 90 days is a stop of its own",
    stops.every((stop) => !(stop.class ?? "").includes("dot")));
  check("it comes to the usual questions and to the form",
    stops.some(({ text }) => text.startsWith("Due and red"))
    && stops.some(({ tag }) => tag === "SELECT"), stops.map(({ text }) => text.slice(0, 30)));
  const unseen = stops.filter(({ outlineStyle }) => outlineStyle === "none");
  check("one sees where one is", unseen.length === 0, unseen);
  await close();
}

async function boardNarrowed(browser) {
  section("the board, narrowed without script");
  const { page, close } = await open(browser, { javaScriptEnabled: false }, "/board", board);
  await page.selectOption("select[name=state]", "green");
  await page.selectOption("select[name=how]", "declared");
  await page.click("form button");
  await page.waitForURL(/state=green/);
  const words = await text(page, "#gates .stands .light");
  const hows = await text(page, "#gates .evidence .how");
  check("only such gates are left", words.length > 0 && words.every((word) => word === "green")
    && hows.every((how) => how === "declared"), { words, hows });
  for (const [name, kind] of [["Gates as CSV", "text/csv"],
    ["This page as JSON", "application/json"]]) {
    const href = await page.locator("footer").getByText(name, { exact: true }).getAttribute("href");
    const answer = await page.request.get(board + href);
    const body = await answer.text();
    check(`${name} keeps what was asked`, answer.status() === 200 && href.includes("how=declared")
      && answer.headers()["content-type"].startsWith(kind) && !body.includes("measured,"), href);
  }
  await page.goto(`${board}/board/gates/none`);
  check("an unknown gate is a page that leads back", (await page.content()).includes("PLM-OPS-0001")
    && await page.locator("a[href='/board']").count() > 0);
  await close();
}

const pagesOf = (pdf) => pdf.toString("latin1").match(/\/Type\s*\/Page\b(?!s)/g)?.length;

async function printed(browser) {
  section("printed");
  const { page, close } = await open(browser, {}, "/board/summary", board);
  for (const format of ["A4", "Letter"]) {
    const pages = pagesOf(await page.pdf({ format, printBackground: false }));
    check(`the summary is one page of ${format}`, pages === 1, pages);
  }
  // As full as it can be: every name and every reason as long as the page lets it be.
  await page.evaluate(() => {
    for (const item of document.querySelectorAll(".why li")) {
      item.querySelector("b").textContent = "Wide words make more room ".repeat(3).slice(0, 56);
      const said = [...item.childNodes]
        .filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
      if (said.length > 0) said.at(-1).data = ` ${"wwmm ".repeat(16)}`;
    }
  });
  for (const format of ["A4", "Letter"]) {
    const pages = pagesOf(await page.pdf({ format, printBackground: false }));
    check(`and with the longest texts, too, of ${format}`, pages === 1, pages);
  }
  await page.goto(`${board}/board`);
  const pages = pagesOf(await page.pdf({ format: "A4" }));
  check("the board takes more, so pages are counted", pages > 1, pages);
  await close();
}

async function withoutScript(browser) {
  section("without script");
  const { page, close } = await open(browser, { javaScriptEnabled: false });
  check("the figures are there", /\d/.test(await figures(page)), await figures(page));
  check("it does not say that it is live", (await text(page, "#link"))[0] === "Not live");
  await close();
}

async function strangers(browser) {
  section("strangers");
  const { page, close } = await open(browser, {});
  const response = await page.goto(ops.replace("127.0.0.1", STRANGER));
  check("under another name the page is refused", response.status() === 421, response.status());
  await close();
}

// The checks above can fail: each is shown what it looks for.
async function controls(browser) {
  section("the checks see what they look for");
  const { page, seen, close } = await open(browser, {});
  const watched = shifts(page, MOVES_WITHIN_MS);
  await page.waitForTimeout(MOVES_WITHIN_MS / 2);
  await page.evaluate(() => {
    const block = document.createElement("div");
    block.style.height = "12px";
    document.body.prepend(block);
  });
  const shifted = await watched;
  check("a shift", !shifted.none, shifted);
  await page.evaluate(() => document.body.append(document.createElement("img")));
  const { brief } = await barriers(page);
  check("a barrier", brief.some(({ id }) => id === "image-alt"), brief);
  const refused = await page.evaluate((stranger) =>
    fetch(`http://${stranger}:1/`).then(() => false, () => true), STRANGER);
  check("a request to elsewhere, which the policy refuses", refused
    && seen.complaints.some((text) => text.includes("Content Security Policy")), seen.complaints);
  await close();
}

// The README's pictures: as much of the page as says what it is like.
async function images(browser) {
  const wide = { ...WIDE, height: 1300 };
  const shots = [
    ["console-light.png", { viewport: wide }],
    ["console-dark.png", { viewport: wide, colorScheme: "dark" }],
    ["console-narrow.png", { viewport: { ...NARROW, height: 1175 } }],
  ];
  for (const [file, options] of shots) {
    const { page, close } = await open(browser, options);
    await untilMoved(() => plots(page), MOVES_WITHIN_MS);
    await page.screenshot({ path: join(directory, file) });
    check(file, (await text(page, "#link"))[0] === "Live");
    await close();
  }
  await boardImages(browser);
}

async function boardImages(browser) {
  const wide = { ...WIDE, height: 1300 };
  const shots = [
    ["board-light.png", { viewport: wide }],
    ["board-dark.png", { viewport: wide, colorScheme: "dark" }],
    ["board-narrow.png", { viewport: { ...NARROW, height: 1175 } }],
  ];
  for (const [file, options] of shots) {
    const { page, response, close } = await open(browser, options, "/board", board);
    await page.screenshot({ path: join(directory, file) });
    check(file, response.status() === 200);
    await close();
  }
  const { page, close } = await open(browser, {}, "/board/summary", board);
  const pdf = await page.pdf({ path: join(directory, "board-summary.pdf"), format: "A4" });
  check("board-summary.pdf", pagesOf(pdf) === 1);
  await close();
}

const browser = await chromium.launch({ executablePath, args: FLAGS });
try {
  if (task === "images") {
    await images(browser);
  } else {
    await live(browser);
    await readable(browser, "light", { viewport: WIDE, colorScheme: "light" });
    await readable(browser, "dark", { viewport: WIDE, colorScheme: "dark" });
    await readable(browser, "390 px wide", { viewport: NARROW });
    await ledger(browser, "light", { viewport: WIDE, colorScheme: "light" });
    await ledger(browser, "dark", { viewport: WIDE, colorScheme: "dark" });
    await ledger(browser, "390 px wide", { viewport: NARROW });
    await ledgerNarrowed(browser);
    const gates = await boardPages(browser);
    await boardWords(browser, gates);
    await boardByKeyboard(browser);
    await boardNarrowed(browser);
    await printed(browser);
    await withoutScript(browser);
    await strangers(browser);
    await controls(browser);
  }
  print({ end: true });
} finally {
  await browser.close();
}
