import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

// With SHOTS=DIR each screen is kept as a picture too.
const shots = process.env.SHOTS;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

inBrowser();

let tenant: { name: string; key: string };
const ids: Record<string, string> = {};

// A tenant as it may be on a normal day.
beforeAll(async () => {
  if (shots) mkdirSync(shots, { recursive: true });
  tenant = await newTenant();
  const k = tenant.key;
  const operator = inject("operatorKey");
  await call(k, "PUT", "/v1/queues/orders", { redrive: { dead_letter_queue: "orders-dlq", max_receives: 3 }, retry: { backoff: "exponential", delay: 5 } });
  await call(k, "PUT", "/v1/queues/invoices.fifo", {});
  await call(k, "PUT", "/v1/queues/mails", { delay: "5m" });
  await call(k, "POST", "/v1/queues/mails/pause", { direction: "receive", reason: "the provider is down" });
  const orders = [7, 8, 9, 10, 11, 12].map((n) => ({ body: JSON.stringify({ order: n, id: 9007199254740993, customer: { tier: "pro", name: "Ada" }, total: 12.5 * n }), attributes: { type: { type: "String", value: "order.paid" } } }));
  const sent = await call<{ results: { id: string }[] }>(k, "POST", "/v1/queues/orders/messages/batch", { messages: [...orders, { body: "later", delay: "2h" }, { body: "AAEC/w==", body_encoding: "base64" }] });
  ids.message = sent.results[0]?.id ?? "";
  const got = await call<{ messages: { receipt_handle: string }[] }>(k, "POST", "/v1/queues/orders/receive?max=3&consumer=worker-7&visibility_timeout=3600");
  await call(k, "POST", "/v1/queues/orders/ack", { dead_letter: got.messages.slice(0, 2).map((m) => ({ receipt_handle: m.receipt_handle, reason: "price is null" })) });
  await call(k, "PUT", "/v1/topics/order-events", { message_retention: "1d" });
  await call(k, "PUT", "/v1/topics/order-events/subscriptions/billing", { queue: "orders", filter_policy: { type: [{ prefix: "order." }], tier: ["pro"] } });
  await call(k, "PUT", "/v1/topics/order-events/subscriptions/mails", { queue: "mails" });
  await call(k, "POST", "/v1/topics/order-events/messages", '{"order":7}', { "Message-Attributes": '{"type":"order.paid"}' }).catch(() => call(k, "POST", "/v1/topics/order-events/messages", '{"order":7}'));
  await call(operator, "PUT", "/v1/plans/default", { limits: { requests_per_second: 100000, queues: 1000 } });
  const task = await call<{ id: string }>(k, "POST", "/v1/queues/orders-dlq/redrive", { limit: 1 });
  ids.task = task.id;
  await call(k, "POST", "/v1/keys", { name: "ci", scopes: ["messages:send"], queues: ["orders*"] });
});

type Screen = { name: string; path: (t: string) => string; as?: "operator"; ready: (p: Page) => Promise<unknown>; do?: (p: Page) => Promise<unknown> };

const heading = (name: string | RegExp) => (p: Page) => p.getByRole("heading", { name }).first().waitFor();
const text = (t: string) => (p: Page) => p.getByText(t).first().waitFor();
const dialog = (p: Page) => p.getByRole("dialog").waitFor();
const click = (name: string) => async (p: Page) => {
  await p.getByRole("button", { name, exact: true }).first().click();
  await dialog(p);
};

const screens: Screen[] = [
  { name: "queues", path: (t) => `/t/${t}/queues`, ready: text("invoices.fifo") },
  { name: "queues-no-match", path: (t) => `/t/${t}/queues?q=zzz`, ready: text("Nothing matches") },
  { name: "queue-create", path: (t) => `/t/${t}/queues?new=queue`, ready: dialog },
  { name: "queue-overview", path: (t) => `/t/${t}/queues/orders/overview`, ready: heading("How it works now") },
  { name: "queue-paused", path: (t) => `/t/${t}/queues/mails/overview`, ready: text("the provider is down") },
  { name: "queue-purge", path: (t) => `/t/${t}/queues/orders/overview`, ready: heading("How it works now"), do: click("Purge…") },
  { name: "queue-messages", path: (t) => `/t/${t}/queues/orders/messages`, ready: text("worker-7") },
  { name: "queue-filter-wrong", path: (t) => `/t/${t}/queues/orders/messages?filter=receeves:1`, ready: text("filter_invalid") },
  { name: "queue-send", path: (t) => `/t/${t}/queues/orders/send`, ready: (p) => p.getByLabel("Body").waitFor(), do: (p) => p.getByRole("button", { name: "Add" }).click() },
  {
    name: "queue-receive",
    path: (t) => `/t/${t}/queues/orders/receive`,
    ready: text("This is a real receive"),
    do: async (p) => {
      await p.getByRole("button", { name: "Receive", exact: true }).click();
      await p.getByRole("button", { name: "Acknowledge", exact: true }).waitFor();
    },
  },
  { name: "queue-tail", path: (t) => `/t/${t}/queues/orders/tail`, ready: text("Waiting for messages") },
  { name: "queue-dead-letters", path: (t) => `/t/${t}/queues/orders/dead-letters`, ready: text("orders-dlq") },
  { name: "queue-redrive", path: (t) => `/t/${t}/queues/orders/dead-letters?new=redrive`, ready: dialog },
  { name: "queue-connect", path: (t) => `/t/${t}/queues/orders/connect`, ready: text("SQS queue URL") },
  { name: "queue-settings", path: (t) => `/t/${t}/queues/orders/settings`, ready: (p) => p.getByLabel("Visibility timeout").waitFor() },
  { name: "queue-missing", path: (t) => `/t/${t}/queues/nothing/overview`, ready: text("queue_not_found") },
  { name: "message", path: (t) => `/t/${t}/queues/mails/messages`, ready: heading("mails"), do: async (p) => { await p.locator("[data-row]").first().click(); await dialog(p); await p.getByText("Attributes").or(p.getByText("Body")).first().waitFor(); } },
  { name: "tasks", path: (t) => `/t/${t}/tasks`, ready: text("orders-dlq") },
  { name: "task", path: (t) => `/t/${t}/tasks/${ids.task}`, ready: text("Looked at") },
  { name: "topics", path: (t) => `/t/${t}/topics`, ready: text("order-events") },
  { name: "topic-create", path: (t) => `/t/${t}/topics?new=topic`, ready: dialog },
  { name: "topic-subscriptions", path: (t) => `/t/${t}/topics/order-events/subscriptions`, ready: text("billing") },
  { name: "topic-subscribe", path: (t) => `/t/${t}/topics/order-events/subscriptions?new=subscription`, ready: dialog },
  { name: "topic-publish", path: (t) => `/t/${t}/topics/order-events/publish`, ready: (p) => p.getByLabel("Body").waitFor() },
  { name: "topic-log", path: (t) => `/t/${t}/topics/order-events/log`, ready: text("msg_") },
  {
    name: "topic-filter-test",
    path: (t) => `/t/${t}/topics/order-events/filter-test`,
    ready: (p) => p.getByLabel("Body").waitFor(),
    do: async (p) => {
      await p.getByLabel("Body").fill("{}");
      await p.getByRole("button", { name: "Would it arrive?" }).click();
      await p.getByText("✗ does not").waitFor();
    },
  },
  { name: "keys", path: (t) => `/t/${t}/keys`, ready: text("messages:send") },
  { name: "key-create", path: (t) => `/t/${t}/keys?new=key`, ready: dialog },
  { name: "limits", path: (t) => `/t/${t}/limits`, ready: text("Requests a second") },
  { name: "audit", path: (t) => `/t/${t}/audit`, ready: text("putQueue"), do: async (p) => { await p.locator("[data-row]").first().click(); await dialog(p); } },
  { name: "tenants", path: () => "/admin/tenants", as: "operator", ready: text("default") },
  { name: "tenant-create", path: () => "/admin/tenants?new=tenant", as: "operator", ready: dialog },
  { name: "tenant", path: (t) => `/admin/tenants/${t}`, as: "operator", ready: text("Account number") },
  { name: "tenant-suspend", path: (t) => `/admin/tenants/${t}`, as: "operator", ready: text("Account number"), do: click("Suspend…") },
  { name: "plans", path: () => "/admin/plans", as: "operator", ready: text("Create a plan") },
  { name: "operator-keys", path: () => "/admin/keys", as: "operator", ready: text("Last used") },
  { name: "operator-audit", path: () => "/admin/audit", as: "operator", ready: text("putTenant") },
  { name: "system", path: () => "/admin/system", as: "operator", ready: text("What an acknowledgement means") },
  { name: "operator-in-tenant", path: (t) => `/t/${t}/queues`, as: "operator", ready: text("invoices.fifo") },
  { name: "lost", path: () => "/no/such/screen", ready: text("There is nothing here") },
];

type Fault = { id: string; impact: string | null; nodes: { html: string; failureSummary: string }[] };

// serious returns the faults that keep people out, each with the first place where it is. In the dark only colours are
// other ones.
async function serious(page: Page, look: string): Promise<string[]> {
  await page.evaluate(axe); // the page's own policy lets no script in; this is the debugger's
  const found = await page.evaluate(async (rules) => {
    const run = (window as unknown as { axe: { run(o: unknown): Promise<{ violations: Fault[] }> } }).axe;
    return (await run.run({ resultTypes: ["violations"], ...(rules && { runOnly: rules }) })).violations;
  }, look === "dark" ? ["color-contrast"] : undefined);
  return found.filter((v) => v.impact === "serious" || v.impact === "critical").flatMap((v) => v.nodes.slice(0, 2).map((n) => `${v.id} ${v.nodes.length} times: ${n.html.slice(0, 200)} ${n.failureSummary.split("\n").slice(1).join(" ").slice(0, 200)}`));
}

const looks = [
  { look: "light", options: { colorScheme: "light" as const } },
  { look: "dark", options: { colorScheme: "dark" as const } },
  { look: "phone", options: { colorScheme: "light" as const, viewport: { width: 390, height: 844 }, hasTouch: true } },
];

describe.each(looks)("$look", ({ look, options }) => {
  test("no screen keeps anybody out", { timeout: 240_000 }, async () => {
    const faults: Record<string, string[]> = {};
    const shoot = async (page: Page, name: string) => {
      await page.waitForFunction(() => document.getAnimations().every((a) => a.playState !== "running" || a.effect?.getTiming().iterations === Number.POSITIVE_INFINITY));
      if (shots) await page.screenshot({ path: `${shots}/${name}-${look}.png`, fullPage: true });
      const found = look === "phone" ? [] : await serious(page, look);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) found.push(`the page is ${wide} pixels wider than the screen`);
      if (found.length > 0) faults[name] = found;
    };
    const pages = { tenant: await newPage(options), operator: await newPage(options) };
    await pages.tenant.goto("/console/");
    await heading("Sign in to Sluice")(pages.tenant);
    await shoot(pages.tenant, "sign-in");
    await signIn(pages.tenant, tenant.key);
    await signIn(pages.operator, inject("operatorKey"));
    for (const s of screens) {
      const page = pages[s.as ?? "tenant"];
      try {
        // As a link does: the program itself stays.
        await page.evaluate((to) => history.pushState(null, "", to), `/console${s.path(tenant.name)}`);
        await s.ready(page);
        await s.do?.(page);
        await shoot(page, s.name);
      } catch (e) {
        faults[s.name] = [String(e).slice(0, 600)];
        if (shots) await page.screenshot({ path: `${shots}/${s.name}-${look}-failed.png` });
      }
    }
    expect(faults).toEqual({});
  });
});
