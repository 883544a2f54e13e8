import type { Page } from "playwright-core";
import { inject, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

// How long people wait for the list of this many queues, beside the budget of docs/console.md. It measures, and fails for no number.
const queues = 10_000;
const callers = 16;
const rounds = 5;
const budget = 1000; // milliseconds

inBrowser();

type Shown = { of: number; by?: string; first?: string };

// shown waits in the page until a table is as it should be, and returns when that was painted, in milliseconds of the page's clock.
const shown = (page: Page, want: Shown) =>
  page.evaluate(
    (want) =>
      new Promise<number>((done) => {
        const look = () => {
          const sorted = [...document.querySelectorAll("table[aria-label=Queues] th[aria-sort]")].find((th) => th.ariaSort !== "none");
          const rows = document.querySelectorAll("table[aria-label=Queues] [data-row]");
          const is = rows.length === want.of && (!want.by || sorted?.textContent === want.by) && (!want.first || rows[0]?.textContent === want.first);
          requestAnimationFrame(is ? () => setTimeout(() => done(performance.now())) : look); // behind the frame that paints it
        };
        look();
      }),
    want,
  );

// after returns the milliseconds from the beginning of an act in the page to what it shows.
async function after(page: Page, act: () => Promise<unknown>, want: Shown): Promise<number> {
  const from = await page.evaluate(() => performance.now());
  await act();
  return (await shown(page, want)) - from;
}

// scroll turns the wheel over the whole page, and returns the longest time between two frames.
async function scroll(page: Page): Promise<number> {
  const longest = page.evaluate(
    () =>
      new Promise<number>((done) => {
        let most = 0;
        let last = performance.now();
        const until = last + 2000;
        const frame = () => {
          const now = performance.now();
          most = Math.max(most, now - last);
          last = now;
          if (now < until) requestAnimationFrame(frame);
          else done(most);
        };
        requestAnimationFrame(frame);
      }),
  );
  await page.mouse.move(640, 500);
  for (let i = 0; i < 20; i++) await page.mouse.wheel(0, 200);
  return longest;
}

test(`the console beside ${queues} queues`, { timeout: 600_000 }, async () => {
  const { name, key } = await newTenant();
  await call(inject("operatorKey"), "PATCH", `/v1/tenants/${name}`, { limits: { queues: queues + 1, requests_per_second: 100_000 } });
  const nameOf = (i: number) => `queue-${String(i).padStart(5, "0")}`;
  const teams = ["shop", "billing", "search", "mail"];
  let next = 0;
  const make = async () => {
    for (let i = next++; i < queues; i = next++) {
      await call(key, "PUT", `/v1/queues/${nameOf(i)}`, { labels: { team: teams[i % teams.length] } });
      if (i % 20 === 0) await call(key, "POST", `/v1/queues/${nameOf(i)}/messages/batch`, { messages: Array.from({ length: 1 + (i % 97) }, (_, n) => ({ body: `message ${n}` })) });
    }
  };
  const from = Date.now();
  await Promise.all(Array.from({ length: callers }, make));
  console.log(`${queues} queues made by ${callers} callers in ${((Date.now() - from) / 1000).toFixed(0)} s`);

  const page = await newPage();
  await signIn(page, key);
  const list = `/console/t/${name}/queues`;
  const took: Record<string, number[]> = { "first rows, from the address": [], "sorted by available": [], "sorted by oldest": [], "found by name": [], "the next page": [], "longest frame of scrolling": [] };
  const add = (what: string, ms: number) => took[what]?.push(ms);
  for (let i = 0; i < rounds; i++) {
    await page.goto(list, { waitUntil: "commit" });
    add("first rows, from the address", await shown(page, { of: 50, by: "Name ↑", first: nameOf(0) }));
    add("longest frame of scrolling", await scroll(page));
    add("the next page", await after(page, () => page.getByRole("button", { name: "Next page" }).click(), { of: 50, by: "Name ↑", first: nameOf(50) }));
    await page.goto(list);
    await shown(page, { of: 50, by: "Name ↑" });
    add("sorted by available", await after(page, () => page.getByRole("button", { name: "Available" }).click(), { of: 50, by: "Available ↓" }));
    add("sorted by oldest", await after(page, () => page.getByRole("button", { name: "Oldest" }).click(), { of: 50, by: "Oldest ↓" }));
    await page.getByLabel("Names with").fill("04711");
    add("found by name", await after(page, () => page.keyboard.press("Enter"), { of: 1, first: nameOf(4711) }));
  }
  const middle = (ms: number[]) => [...ms].sort((a, b) => a - b)[Math.floor(ms.length / 2)] ?? Number.NaN;
  console.table(Object.fromEntries(Object.entries(took).map(([what, ms]) => [what, { "median ms": Math.round(middle(ms)), "worst ms": Math.round(Math.max(...ms)), budget: Math.max(...ms) <= budget ? "kept" : "missed" }])));
});
