// The examples of docs/live-status.md, run as they stand there: `node snippets.mjs <snippet> <path to live-status.md>`.
//
// SHOP, TOKEN and PRODUCT are those of journey.mjs. `browser` needs a Chromium (CHROMIUM, or /usr/bin/chromium) and serves
// its page at PAGE_PORT: the shop must allow the origin `http://127.0.0.1:<PAGE_PORT>`. `browser-foreign-origin` needs a
// shop at SHOP2 that allows no origin (and TOKEN2, if TOKEN is not good there). `websocat` must be on the PATH. Rust's
// example is run elsewhere.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { launch } from "./browser.mjs";
import { call, order, run, setting, until } from "./shop.mjs";

const [name, page] = process.argv.slice(2);
/** The steps that undo what was done, in the order of doing. */
const undo = [];

/** The code block below that marker. */
async function snippet(name) {
  const text = await readFile(page, "utf8");
  const block = new RegExp(`^<!-- snippet: ${name} -->\n\`\`\`\\w+\n(.*?)^\`\`\`$`, "ms").exec(text);
  assert.ok(block, `${page} has no snippet "${name}"`);
  return block[1];
}

/** A folder that is gone at the end. */
async function folder(prefix) {
  const path = await mkdtemp(prefix);
  undo.push(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Starts a program, and gives the lines that it prints. It and its children end with us. */
function start(program, args) {
  const child = spawn(program, args, { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  undo.push(() => lines.ended || process.kill(-child.pid));
  const lines = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  const end = (reason) => {
    lines.ended = true;
    lines.push(`it has ended: ${reason}`);
  };
  child.on("error", end);
  child.on("exit", (code, signal) => end(code ?? signal));
  return lines;
}

/** Orders, and waits until a line says that this very order is COMPLETED. */
async function completes(read, says = (line, { id }) => new RegExp(`^\\d+ ${id} COMPLETED$`).test(line)) {
  const placed = await order();
  await until(`a line for ${placed.id}`, async () => {
    const lines = await read();
    assert.ok(!lines.some((line) => line.startsWith("it has ended")), `too early: ${lines}`);
    return lines.some((line) => says(line, placed));
  });
}

/** An example for Node. Its file is here, so that it finds the packages. */
async function node() {
  const file = join(await folder(fileURLToPath(new URL(".snippet-", import.meta.url))), "example.mjs");
  await writeFile(file, await snippet(name));
  const lines = start(process.execPath, [file]);
  await completes(() => lines);
}

/** Opens the page of the browser's example, and gives it with what the browser had to say about it. */
async function open(shop, token, port) {
  const html = await snippet("browser");
  const server = createServer((_, answer) => answer.setHeader("content-type", "text/html").end(html));
  await new Promise((resolve, reject) => server.on("error", reject).listen(port, "127.0.0.1", resolve));
  undo.push(() => server.closeAllConnections());

  const browser = await launch();
  undo.push(() => browser.close());
  const tab = await browser.newPage();
  const said = [];
  tab.on("console", (message) => said.push(message.text()));
  tab.on("pageerror", (error) => said.push(String(error)));
  await tab.goto(`http://127.0.0.1:${server.address().port}/#${new URLSearchParams({ shop, token })}`);
  return { said, tab, lines: () => tab.locator("li").allTextContents() };
}

/** The address of `/ws` with a new ticket. */
async function ticketed(shop, token) {
  const { ticket } = await call("/auth/ws-ticket", { shop, token, method: "POST" });
  return `${shop.replace("http", "ws")}/ws?${new URLSearchParams({ ticket })}`;
}

const checks = {
  "node-socket-io": node,
  "node-ws": node,

  // It prints the messages as they are.
  async websocat() {
    const file = join(await folder(join(tmpdir(), "snippet-")), "example.sh");
    await writeFile(file, await snippet(name));
    const lines = start("sh", [file]);
    await completes(() => lines, (line, { id }) => {
      const { type, data } = JSON.parse(line);
      return type === "order.status" && data.id === id && data.status === "COMPLETED";
    });
  },

  async browser() {
    const { lines } = await open(setting("SHOP"), setting("TOKEN"), Number(setting("PAGE_PORT")));
    await completes(lines);
  },

  // CORS keeps the ticket from the page. It would not keep the page from the socket: the shop itself must refuse that.
  async "browser-foreign-origin"() {
    const shop = setting("SHOP2");
    const token = process.env.TOKEN2 ?? setting("TOKEN");
    const { said, tab, lines } = await open(shop, token, 0);
    const blocked = () => said.some((line) => line.includes("blocked by CORS policy"));
    await until("the browser to keep the answer from the page", blocked);
    assert.deepEqual(await lines(), []);

    const opens = (url) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url);
        socket.onopen = () => resolve(true);
        socket.onerror = () => resolve(false);
      });
    const inPage = await tab.evaluate(opens, await ticketed(shop, token));
    assert.equal(inPage, false, "/ws must not open for a page of a foreign origin");
    assert.equal(await opens(await ticketed(shop, token)), true, "/ws must open for who is no page");
  },
};

await run(checks, name, { seconds: name?.startsWith("browser") ? 60 : 25, undo });
