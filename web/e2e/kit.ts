import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Locator, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, inject } from "vitest";

// How long something may take on a slow machine. Nothing waits for longer than it needs.
const patience = 30_000;

let browser: Browser;
const open: { context: BrowserContext; page: Page; faults: string[] }[] = [];

// inBrowser gives a file of tests the browser that all share. After each test the pages must have been without a fault: no script
// has thrown, and nothing has broken the policy of the page.
export function inBrowser() {
  beforeAll(async () => {
    browser = await chromium.connect(inject("browser"));
  });
  afterAll(() => browser.close());
  afterEach(async () => {
    for (const { context, page, faults } of open.splice(0)) {
      const broken = page.isClosed() ? [] : await page.evaluate(() => JSON.parse(sessionStorage.getItem("broken") ?? "[]") as string[]);
      await context.close();
      expect([...faults, ...broken]).toEqual([]);
    }
  });
}

export async function newPage(options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ baseURL: inject("url"), viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(patience);
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (e) => {
      const seen = JSON.parse(sessionStorage.getItem("broken") ?? "[]");
      sessionStorage.setItem("broken", JSON.stringify([...seen, `${e.violatedDirective}: ${e.blockedURI} ${e.sample}`]));
    });
  });
  await context.addInitScript(() => {
    // All pages of the browser share one clipboard, and files of tests run side by side: each page gets its own.
    let kept = "";
    if (navigator.clipboard)
      Object.assign(navigator.clipboard, {
        writeText: async (text: string) => {
          kept = text;
        },
        readText: async () => kept,
      });
  });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (e) => faults.push(String(e)));
  page.on("dialog", (d) => {
    faults.push(`a dialog: ${d.message()}`);
    void d.dismiss();
  });
  open.push({ context, page, faults });
  return page;
}

// call speaks to the API with a key, beside the browser.
export async function call<T = unknown>(key: string, method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const answer = await fetch(inject("url") + path, {
    method,
    headers: { Authorization: `Basic ${btoa(`${key}:`)}`, "Content-Type": "application/json", ...headers },
    body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return (text ? JSON.parse(text) : undefined) as T;
}

// newTenant makes a tenant for one test, with a key that may everything. Files of tests run side by side, so a count of one of
// them makes no name that is nobody else's.
export async function newTenant(): Promise<{ name: string; key: string }> {
  const name = `t-${randomUUID().slice(0, 13)}`;
  await call(inject("operatorKey"), "PUT", `/v1/tenants/${name}`);
  const { key } = await call<{ key: string }>(inject("operatorKey"), "POST", `/v1/tenants/${name}/keys`, { name: "first" });
  return { name, key };
}

// behindPrefix starts a proxy that has the server below a prefix, which it cuts off.
export async function behindPrefix(prefix: string): Promise<{ url: string; close: () => void }> {
  const inner = new URL(inject("url"));
  const proxy = createServer((req, res) => {
    if (!req.url?.startsWith(`${prefix}/`)) {
      res.writeHead(404).end();
      return;
    }
    const forward = request({ host: inner.hostname, port: inner.port, method: req.method, path: req.url.slice(prefix.length), headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(res);
    });
    req.pipe(forward);
  });
  await new Promise<void>((ready) => proxy.listen(0, "127.0.0.1", ready));
  const close = () => {
    proxy.closeAllConnections();
    proxy.close();
  };
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, close };
}

// paste runs a command in a shell that has a key, and returns what was answered. A problem of the API is an error.
export async function paste(command: string, key: string, more: Record<string, string> = {}): Promise<string> {
  const env = { PATH: process.env.PATH, KEY: key, ...more };
  const out = await new Promise<string>((done, fail) => execFile("sh", ["-c", command], { env, cwd: tmpdir() }, (e, out, err) => (e ? fail(new Error(`${command}: ${err}`)) : done(out))));
  if (/"code":"[a-z_]+".*"request_id"/.test(out)) throw new Error(`${command} was refused: ${out}`);
  return out;
}

// copied presses a button that copies, which says so for a second, and returns what its page has then.
export async function copied(page: Page, at: Page | Locator = page, name = "Copy"): Promise<string> {
  await Promise.all([at.getByRole("button", { name: "Copied" }).waitFor(), at.getByRole("button", { name, exact: true }).click()]);
  return page.evaluate(() => navigator.clipboard.readText());
}

// openLive opens a screen, and waits until it is told of what changes from now on.
export async function openLive(page: Page, path: string) {
  const told = page.waitForResponse((r) => new URL(r.url()).pathname.endsWith("/v1/events"));
  await page.goto(path);
  await told;
}

// signIn signs a page in as its user would, and waits for the first screen.
export async function signIn(page: Page, key: string) {
  await page.goto("/console/");
  await page.getByLabel("Key", { exact: true }).fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  const main = page.getByRole("navigation", { name: "Main" });
  await main.waitFor({ state: "attached" }).catch(async (e) => {
    throw new Error(`signed in as nobody; the page says: ${await page.locator("body").innerText()}`, { cause: e });
  });
}
