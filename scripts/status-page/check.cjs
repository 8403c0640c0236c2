// Asserts what the status page shows, by roles, and takes its screenshots. See check.sh.

const assert = require("node:assert/strict");
const { readFileSync, existsSync } = require("node:fs");
const { chromium } = require("playwright-core");

const [file, images] = process.argv.slice(2);
/** Generous: machines are shared. */
const PATIENCE_MS = 60_000;
const NODES = ["node-1", "node-2", "node-3"];
/** WCAG 2.2 AA, text of normal size. */
const CONTRAST_MIN = 4.5;
/** Text and ground that stand on each other. */
const PAIRS = [
  ["--text", "--ground"], ["--text", "--panel"], ["--dim", "--ground"], ["--dim", "--panel"], ["--bad", "--ground"],
  ["--warn", "--ground"], ["--good", "--ground"], ["--good", "--good-ground"], ["--warn", "--warn-ground"],
  ["--bad", "--bad-ground"], ["--on-accent", "--accent"],
];

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const cluster = () => JSON.parse(readFileSync(file, "utf8"));
const pid = (name) => cluster().components.find((component) => component.name === name).pid;

async function until(what, condition) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > end) assert.fail(`never: ${what}`);
    await sleep(100);
  }
}

function watch(page) {
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    // A stream that is cut is what the test does.
    if (message.type() === "error" && !message.text().includes("net::ERR_")) problems.push(message.text());
  });
  return problems;
}

async function quiet(page) {
  await page.getByRole("status").filter({ hasText: "Live" }).waitFor();
  await page.locator("#verdict", { hasText: "All is well" }).waitFor();
  for (const name of ["What is wrong", "Nodes", "Shards and leaders", "What dies if this dies", "Recent elections"]) {
    await page.getByRole("heading", { name, level: 2 }).waitFor();
  }
  const nodes = page.getByRole("region", { name: "Nodes" }).getByRole("row");
  for (const name of NODES) {
    const row = nodes.filter({ has: page.getByRole("rowheader", { name, exact: true }) });
    await row.getByRole("cell", { name: "up", exact: true }).waitFor();
  }
  const map = page.getByRole("region", { name: "Shards and leaders" });
  const shards = (await map.getByRole("columnheader").count()) - 1;
  assert.equal(shards, 17, "16 shards and the meta group");
  assert.ok(await page.locator("#choice").isHidden(), "there is nothing to choose");
  await until("every shard has one leader", async () => (await map.getByRole("cell", { name: "leads" }).count()) === shards);
  assert.equal(await map.getByRole("cell", { name: "follows" }).count(), 2 * shards);
  await page.getByText("127.0.0.1 (TLS").waitFor();
  // Rates need a second look.
  const commits = page.locator("#nodes tbody tr td:nth-child(5)").first();
  await until("rates are shown", async () => /^[0-9]+$/.test(await commits.textContent()));
}

async function keyboard(page) {
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to the findings" });
  assert.ok(await skip.evaluate((link) => link === document.activeElement && link.getBoundingClientRect().left >= 0));
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await page.keyboard.press("Tab");
  const outline = await page.evaluate(() => {
    const style = getComputedStyle(document.activeElement);
    return [document.activeElement.className, style.outlineStyle, Number.parseInt(style.outlineWidth, 10)];
  });
  assert.deepEqual(outline, ["wide", "solid", 3], "wide tables can be scrolled by keys, and the focus is seen");
}

async function contrast(page) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    const ratios = await page.evaluate((pairs) => {
      const style = getComputedStyle(document.documentElement);
      const light = (name) => {
        const parts = style.getPropertyValue(name).trim().match(/[0-9a-f]{2}/gi).map((part) => Number.parseInt(part, 16) / 255);
        const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      return pairs.map(([text, ground]) => {
        const [high, low] = [light(text), light(ground)].sort((a, b) => b - a);
        return [`${text} on ${ground}`, (high + 0.05) / (low + 0.05)];
      });
    }, PAIRS);
    for (const [pair, ratio] of ratios) assert.ok(ratio >= CONTRAST_MIN, `${colorScheme}: ${pair} is ${ratio.toFixed(2)}`);
  }
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  const animation = await page.locator("#cut").evaluate((banner) => getComputedStyle(banner).animationName);
  assert.equal(animation, "none", "motion is asked to be reduced");
}

/** What a cluster tells is never markup: a stream with a name that would be some. */
async function markup(context, url) {
  const page = await context.newPage();
  const name = "<img src=x onerror=\"document.title='run'\">";
  const finding = { severity: "warning", kind: "node_silent", subject: name, summary: name, evidence: name, advice: name, next: name, shards: [] };
  const told = {
    cluster_id: name, map_version: 1, health: "degraded", shards: [], shards_all: 0, part: 0, parts: [], moving: [], gateways: [],
    elections: [],
    diagnosis: { verdict: "act", problem: null, findings: [finding], if_lost: [] }, pkarr: null, interval: null,
    incidents: [{ at_ms: 1, node: name, kind: name, subject: name, text: name, over: false }],
  };
  await page.route("**/status/events*", (route) => route.fulfill({
    contentType: "text/event-stream", body: `event: status\ndata: ${JSON.stringify(told)}\n\n`,
  }));
  await page.goto(url);
  await page.getByRole("heading", { name, level: 3 }).waitFor();
  assert.equal(await page.locator("img").count(), 0);
  assert.equal(await page.title(), "Rowhouse status");
  await page.close();
}

/** 600 shards, which the page shows in parts: a stream that answers as a gateway does. */
async function parts(context, url) {
  const page = await context.newPage();
  const problems = watch(page);
  const PART = 256;
  const SHARDS = 600;
  const shard = (name) => ({
    shard: String(name), health: "ok", leader: "n1", term: 1, lag: null, complete: 1, wanted: 1,
    replicas: [{ node: "aa", leads: true, lacks: null }],
  });
  const described = [0, 1, 2].map((part) => ({
    first: String(part * PART), last: String(Math.min(SHARDS, (part + 1) * PART) - 1), unwell: part === 2 ? 3 : 0,
  }));
  const node = {
    name: "n1", label: "n1", node_uuid: "aa", state: "up", described: "up", leaders: SHARDS, replicas: SHARDS, commits_per_s: 0,
    apply_lag: 0, log_syncs_per_s: 0, chunk_bytes: 0, to_repair: 0, moving_in: 0, free_bytes: 1, disk_bytes: 2,
    clock_offset_us: 0, uptime_s: 1,
  };
  const asked = [];
  await page.route("**/status/events*", (route) => {
    const part = Number(new URL(route.request().url()).searchParams.get("part"));
    asked.push(part);
    const { first, last } = described[part];
    const numbers = Array.from({ length: Number(last) - Number(first) + 1 }, (_, at) => Number(first) + at);
    const told = {
      cluster_id: "c", map_version: 1, health: "ok", shards: [...numbers, "meta"].map(shard), shards_all: SHARDS + 1, part,
      parts: described, moving: [], gateways: [], elections: [], incidents: [], pkarr: null,
      diagnosis: { verdict: "well", problem: null, findings: [], if_lost: [] },
      interval: { at_ms: 1, seconds: 1, health: "ok", warnings: [], nodes: [node] },
    };
    return route.fulfill({ contentType: "text/event-stream", body: `event: status\ndata: ${JSON.stringify(told)}\n\n` });
  });
  await page.goto(url);
  const choice = page.getByRole("combobox", { name: "Shards shown" });
  await choice.waitFor();
  assert.deepEqual(await choice.getByRole("option").allTextContents(), ["0 to 255", "256 to 511", "512 to 599: 3 not well"]);
  const map = page.getByRole("region", { name: "Shards and leaders" });
  const shows = async (first, last, columns) => {
    for (const name of [first, last, "meta"]) await map.getByRole("columnheader", { name, exact: true }).waitFor();
    assert.equal(await map.getByRole("columnheader").count(), columns + 2, "with the meta group and the nodes");
    assert.equal(await map.getByRole("cell", { name: "leads" }).count(), columns + 1);
  };
  await shows("0", "255", PART);
  assert.equal(await map.getByRole("columnheader", { name: "256", exact: true }).count(), 0);
  // By keys: it is in the order of tabs just before the map.
  await choice.focus();
  await page.keyboard.press("ArrowDown");
  await shows("256", "511", PART);
  await page.keyboard.press("End");
  await shows("512", "599", SHARDS - 2 * PART);
  await page.getByText("88 of 600 shards and the meta group are shown").waitFor();
  assert.equal(await choice.inputValue(), "2");
  assert.ok(await choice.evaluate((element) => element === document.activeElement), "the focus stays");
  await page.keyboard.press("Tab");
  const name = await page.evaluate(() => document.activeElement.getAttribute("aria-labelledby"));
  assert.equal(name, "h-map", "the map comes next");
  assert.ok([0, 1, 2].every((part) => asked.includes(part)), `${asked}`);
  assert.deepEqual(problems, []);
  await page.close();
}

async function nodeDies(page) {
  process.kill(pid("node-2"), "SIGKILL");
  await page.locator("#verdict", { hasText: "need action" }).or(page.locator("#verdict", { hasText: "needs action" })).first().waitFor();
  await page.getByRole("heading", { name: /node-2 at .* does not answer|node-2 is away/, level: 3 }).waitFor();
  // The others elect; then every shard is served by two.
  const map = page.getByRole("region", { name: "Shards and leaders" });
  await until("every shard is led", async () => (await map.getByRole("cell", { name: "leads" }).count()) === 17);
  await page.getByRole("cell", { name: /17 shards lose their quorum and stop/ }).first().waitFor();
  await page.getByRole("heading", { name: /too few complete replicas/, level: 3 }).waitFor();
  await page.locator("#incidents").getByRole("cell", { name: "node silent", exact: true }).waitFor();
  await page.evaluate(() => document.activeElement.blur());
  await page.screenshot({ path: `${images}/status-node-down.png`, fullPage: true });
  await page.locator("#verdict", { hasText: "All is well" }).waitFor();
  const elections = page.locator("#elections tbody tr");
  assert.ok((await elections.count()) > 0, "elections are remembered");
}

async function streamIsCut(page) {
  process.kill(pid("gateway-1"), "SIGKILL");
  await page.getByRole("alert").filter({ hasText: "The stream is cut" }).waitFor();
  await page.getByRole("status").filter({ hasText: "Cut" }).waitFor();
  await page.getByRole("status").filter({ hasText: "Live" }).waitFor();
  await page.getByRole("alert").waitFor({ state: "hidden" });
}

async function main() {
  await until("the cluster is ready", () => existsSync(file) && cluster().ready);
  const url = `http://127.0.0.1:${cluster().ports.admin}/status`;
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
    ],
  });
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 }, httpCredentials: { username: "admin", password: "admin" },
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const problems = watch(page);
  const step = async (name, doing) => {
    await doing();
    console.log(`ok: ${name}`);
  };
  await page.goto(url);
  await step("a quiet cluster", () => quiet(page));
  await page.screenshot({ path: `${images}/status-quiet.png`, fullPage: true });
  await step("keyboard and focus", () => keyboard(page));
  await step("contrast and motion", () => contrast(page));
  await step("no markup from the cluster", () => markup(context, url));
  await step("more shards than fit", () => parts(context, url));
  await step("a node dies and comes back", () => nodeDies(page));
  await step("the stream is cut and comes back", () => streamIsCut(page));
  assert.deepEqual(problems, [], "the browser refused or failed something");
  await browser.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
