import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Page, Route } from "playwright-core";
import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

// What a first visit may load before anything is seen, gzipped.
const mostBytes = 300_000;

test("what a first visit loads is small", () => {
  const page = readFileSync("dist/index.html");
  const named = [...page.toString().matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)].map((m) => m[1] ?? "");
  expect(named.length).toBeGreaterThan(2);
  const sizes = [["index.html", page] as const, ...named.map((name) => [name, readFileSync(join("dist", name))] as const)].map(([name, text]) => ({ name, bytes: gzipSync(text).length }));
  const sum = sizes.reduce((n, s) => n + s.bytes, 0);
  console.log(`a first visit loads ${sum} bytes, gzipped`);
  expect(sum, `load less first, or later by lazy(): ${JSON.stringify(sizes)}`).toBeLessThanOrEqual(mostBytes);
});

const lists = (url: URL) => url.pathname === "/v1/queues";

// watched opens the list of queues with a clock that the test moves, and returns how often it was asked for.
async function watched(): Promise<{ page: Page; asked: () => number }> {
  const { name, key } = await newTenant();
  await call(key, "PUT", "/v1/queues/orders");
  const page = await newPage();
  let asked = 0;
  page.on("request", (r) => {
    if (lists(new URL(r.url()))) asked++;
  });
  await page.clock.install();
  await signIn(page, key);
  await page.goto(`/console/t/${name}/queues`);
  await page.getByRole("link", { name: "orders", exact: true }).waitFor();
  return { page, asked: () => asked };
}

test("a slow server is never asked twice at a time", async () => {
  const { page, asked } = await watched();
  const held: Route[] = [];
  await page.route(lists, (r) => void held.push(r));
  const next = page.waitForRequest((r) => lists(new URL(r.url())));
  await page.clock.runFor(4000);
  await next;
  const before = asked();
  await page.clock.runFor(60_000); // twenty times as long as it waits between two
  expect([asked() - before, held.length]).toEqual([0, 1]);
  const after = page.waitForRequest((r) => lists(new URL(r.url())));
  const answered = page.waitForResponse((r) => lists(new URL(r.url())));
  await held[0]?.continue();
  await answered;
  await page.clock.runFor(4000);
  await after;
  await Promise.all(held.slice(1).map((r) => r.continue().catch(() => {})));
});

test("numbers are asked for no more often than somebody wants", async () => {
  const { name, key } = await newTenant();
  await call(key, "PUT", "/v1/queues/orders");
  const page = await newPage();
  await signIn(page, key);
  await page.getByRole("button", { name: "You and how things look" }).click();
  await page.getByRole("menuitem", { name: "Every 60 s" }).click();
  let asked = 0;
  page.on("request", (r) => {
    if (lists(new URL(r.url()))) asked++;
  });
  await page.clock.install();
  await page.goto(`/console/t/${name}/queues`); // it holds for the browser
  await page.getByRole("link", { name: "orders", exact: true }).waitFor();
  const before = asked;
  await page.clock.runFor(30_000);
  expect(asked).toBe(before);
  const next = page.waitForRequest((r) => lists(new URL(r.url())));
  await page.clock.runFor(35_000);
  await next;
});

test("a hidden tab asks nothing", async () => {
  const { page, asked } = await watched();
  const hide = (hidden: boolean) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      Object.defineProperty(document, "visibilityState", { value: hidden ? "hidden" : "visible", configurable: true });
      document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    }, hidden);
  const closed = page.waitForEvent("requestfailed", (r) => r.url().includes("/v1/events"));
  await hide(true);
  await closed; // it does not listen either
  const all: string[] = [];
  page.on("request", (r) => all.push(r.url()));
  await page.clock.runFor(60_000);
  expect(all).toEqual([]);
  const before = asked();
  const next = page.waitForRequest((r) => lists(new URL(r.url())));
  await hide(false);
  await page.clock.runFor(4000);
  await next;
  expect(asked()).toBeGreaterThan(before);
});
