import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { beforeAll, expect, inject, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

// With SHOTS=DIR each screen is kept as a picture too, and with SCREENS=PATTERN only some are looked at.
const shots = process.env.SHOTS;
const only = process.env.SCREENS ? new RegExp(process.env.SCREENS) : undefined;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

inBrowser();

let tenant: { name: string; key: string };
const ids: Record<string, string> = {};

// A tenant as it may be on a normal day.
beforeAll(async () => {
  if (shots) mkdirSync(shots, { recursive: true });
  tenant = await newTenant();
  ids.fresh = (await newTenant()).name;
  const k = tenant.key;
  const operator = inject("operatorKey");
  await call(k, "PUT", "/v1/queues/orders", { redrive: { dead_letter_queue: "orders-dlq", max_receives: 3 }, retry: { backoff: "exponential", delay: 5 } });
  await call(k, "PUT", "/v1/queues/orders/schedules/report", { cron: "0 9 * * MON-FRI", time_zone: "Europe/Berlin", message: { body: "daily report" } });
  await call(k, "PUT", "/v1/queues/invoices.fifo", { labels: { team: "billing" } });
  await call(k, "PUT", "/v1/queues/mails", { delay: "5m" });
  const long = "a-queue-with-a-very-lengthy-name-that-a-script-has-written-in-eu-central-1";
  await call(k, "PUT", `/v1/queues/${long}`, { labels: { team: "platform-engineering", environment: "production" }, redrive: { dead_letter_queue: "orders-dlq", max_receives: 3 } });
  await call(k, "POST", `/v1/queues/${long}/pause`, { direction: "receive" });
  await call(k, "POST", "/v1/queues/mails/pause", { direction: "receive", reason: "the provider is down" });
  const orders = [7, 8, 9, 10, 11, 12].map((n) => ({ body: JSON.stringify({ order: n, id: 9007199254740993, customer: { tier: "pro", name: "Ada" }, total: 12.5 * n }), attributes: { type: { type: "String", value: "order.paid" } } }));
  const sent = await call<{ results: { id: string }[] }>(k, "POST", "/v1/queues/orders/messages/batch", { messages: [...orders, { body: "later", delay: "2h" }, { body: "AAEC/w==", body_encoding: "base64" }] });
  ids.message = sent.results[0]?.id ?? "";
  const got = await call<{ messages: { receipt_handle: string }[] }>(k, "POST", "/v1/queues/orders/receive?max=3&consumer=worker-7&visibility_timeout=3600");
  await call(k, "POST", "/v1/queues/orders/ack", { dead_letter: got.messages.slice(0, 2).map((m) => ({ receipt_handle: m.receipt_handle, reason: "price is null, and the provider of payments has answered with 503 Service Unavailable: upstream connect error" })) });
  await call(k, "PUT", "/v1/topics/order-events", { message_retention: "1d" });
  await call(k, "PUT", "/v1/topics/order-events/subscriptions/billing", { queue: "orders", filter_policy: { type: [{ prefix: "order." }], tier: ["pro"] } });
  await call(k, "PUT", "/v1/topics/order-events/subscriptions/mails", { queue: "mails" });
  await call(k, "POST", "/v1/topics/order-events/messages", '{"order":7}', { "Message-Attributes": '{"type":"order.paid"}' }).catch(() => call(k, "POST", "/v1/topics/order-events/messages", '{"order":7}'));
  await call(k, "POST", "/v1/topics/order-events/schemas", { schema: { type: "object", required: ["order"] } });
  await call(k, "PUT", "/v1/topics/order-events/subscriptions/partner", { endpoint: "http://127.0.0.1:1/hooks" }); // nobody is there
  await call(k, "POST", "/v1/topics/order-events/subscriptions/partner/test");
  await call(k, "POST", "/v1/topics/order-events/messages", '{"order":8}');
  await call(operator, "PUT", "/v1/plans/default", { limits: { requests_per_second: 100000, queues: 1000, stored_bytes: 1_000_000_000 } });
  await call(k, "PUT", "/v1/topics/shop.orders");
  await call(k, "PUT", "/v1/topic_subscriptions/partners", { pattern: "shop.*", endpoint: "http://127.0.0.1:1/hooks" });
  const task = await call<{ id: string }>(k, "POST", "/v1/queues/orders-dlq/redrive", { limit: 1 });
  ids.task = task.id;
  await call(k, "POST", "/v1/members", { email: "ana@example.com", role: "developer", name: "Ana" });
  await call(k, "POST", "/v1/suggested_alarms", {});
  await call(k, "PUT", "/v1/alarms/orders-deep", { metric: "available", target: { queue: "orders" }, threshold: 1000, periods: 3, description: "See the runbook.", notify: { topic: "order-events" } });
  await call(k, "POST", "/v1/alarms/orders-deep/mute", { for: "2h", reason: "migration" });
  await call(k, "POST", "/v1/portal_links", { role: "viewer", name: "bob@example.com" });
  await call(k, "POST", "/v1/portal_links", { role: "viewer", name: "somebody.with.a.long.address@department.subsidiary.example.com" });
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
  { name: "overview", path: (t) => `/t/${t}/overview`, ready: (p) => p.locator(".plot canvas").nth(2).waitFor() },
  { name: "overview-table", path: (t) => `/t/${t}/overview?range=24h&view=table`, ready: (p) => p.getByRole("table", { name: "Numbers over time" }).waitFor() },
  { name: "queues", path: (t) => `/t/${t}/queues`, ready: text("invoices.fifo") },
  { name: "queues-no-match", path: (t) => `/t/${t}/queues?q=zzz`, ready: text("Nothing matches") },
  { name: "queues-demo", path: (t) => `/t/${t}/queues?new=demo`, ready: dialog },
  { name: "queue-create", path: (t) => `/t/${t}/queues?new=queue`, ready: dialog },
  { name: "queue-overview", path: (t) => `/t/${t}/queues/orders/overview`, ready: (p) => p.locator(".plot canvas").nth(2).waitFor() },
  { name: "queue-paused", path: (t) => `/t/${t}/queues/mails/overview`, ready: text("the provider is down") },
  { name: "queue-purge", path: (t) => `/t/${t}/queues/orders/overview`, ready: heading("How it works now"), do: click("Purge…") },
  {
    name: "queue-purge-matching",
    path: (t) => `/t/${t}/queues/mails/overview`,
    ready: text("the provider is down"),
    do: async (p) => {
      await click("Purge…")(p);
      await p.getByLabel("Only what matches").fill("age<7d");
      await p.getByText(/of queue mails/).waitFor();
    },
  },
  {
    name: "message-tree",
    path: (t) => `/t/${t}/queues/orders/messages?filter=body.order%3D12`,
    ready: (p) => p.locator("[data-row]").first().waitFor(),
    do: async (p) => {
      await p.getByRole("checkbox").first().check();
      await p.locator("[data-row]").first().click();
      await p.getByText("Tree", { exact: true }).click();
      await p.getByRole("list", { name: "Body" }).waitFor();
    },
  },
  { name: "queue-messages", path: (t) => `/t/${t}/queues/orders/messages`, ready: text("worker-7") },
  { name: "queues-chosen", path: (t) => `/t/${t}/queues`, ready: text("orders-dlq"), do: async (p) => { await p.getByRole("button", { name: "Choose these" }).click(); await p.getByRole("button", { name: "Label…" }).waitFor(); } },
  { name: "queue-columns", path: (t) => `/t/${t}/queues/orders/messages?columns=state,group,priority,type,attr.type`, ready: text("orders"), do: async (p) => { await p.getByRole("button", { name: "Columns" }).click(); await dialog(p); } },
  { name: "queue-export", path: (t) => `/t/${t}/queues/orders/messages`, ready: text("worker-7"), do: async (p) => { await p.getByRole("button", { name: "Export…" }).click(); await dialog(p); await p.getByText("CSV").click(); } },
  { name: "queue-filter-wrong", path: (t) => `/t/${t}/queues/orders/messages?filter=receeves:1`, ready: text("filter_invalid") },
  { name: "queue-send", path: (t) => `/t/${t}/queues/orders/send`, ready: (p) => p.getByLabel("Body").waitFor(), do: (p) => p.getByRole("button", { name: "Add" }).click() },
  {
    name: "queue-send-file",
    path: (t) => `/t/${t}/queues/orders/send`,
    ready: (p) => p.getByLabel("Body").waitFor(),
    do: async (p) => {
      const [chooser] = await Promise.all([p.waitForEvent("filechooser"), p.getByRole("button", { name: "From a file…" }).click()]);
      await chooser.setFiles({ name: "photo.png", mimeType: "image/png", buffer: Buffer.from([0x89, 0x50, 0xff, 0xfe, 0]) });
      await p.getByText("photo.png, 5 B").waitFor();
    },
  },
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
  { name: "queue-delete-matching", path: (t) => `/t/${t}/queues/orders/dead-letters?filter=reason~price&new=delete`, ready: dialog },
  { name: "queue-redrive", path: (t) => `/t/${t}/queues/orders/dead-letters?new=redrive`, ready: dialog },
  { name: "queue-schedules", path: (t) => `/t/${t}/queues/orders/schedules`, ready: text("Europe/Berlin"), do: async (p) => { await p.locator("[data-row]").first().click(); await dialog(p); } },
  { name: "queue-schedule-create", path: (t) => `/t/${t}/queues/orders/schedules?new=schedule`, ready: (p) => p.getByRole("dialog").getByText("Next:").waitFor() },
  { name: "queue-connect", path: (t) => `/t/${t}/queues/orders/connect`, ready: text("SQS queue URL") },
  { name: "queue-settings", path: (t) => `/t/${t}/queues/orders/settings`, ready: (p) => p.getByLabel("Visibility timeout").waitFor() },
  { name: "queue-missing", path: (t) => `/t/${t}/queues/nothing/overview`, ready: text("queue_not_found") },
  { name: "message", path: (t) => `/t/${t}/queues/mails/messages`, ready: heading("mails"), do: async (p) => { await p.locator("[data-row]").first().click(); await dialog(p); await p.getByText("Attributes").or(p.getByText("Body")).first().waitFor(); } },
  { name: "message-extend", path: (t) => `/t/${t}/queues/orders/messages?state=in_flight`, ready: text("worker-7"), do: async (p) => { await p.locator("[data-row]").first().click(); await p.getByRole("button", { name: "Extend…" }).click(); await p.getByLabel("Held for").waitFor(); } },
  { name: "message-return", path: (t) => `/t/${t}/queues/orders/messages?state=in_flight`, ready: text("worker-7"), do: async (p) => { await p.locator("[data-row]").first().click(); await p.getByRole("button", { name: "Return now…" }).click(); await p.getByText("worked on twice").waitFor(); } },
  { name: "tasks", path: (t) => `/t/${t}/tasks`, ready: text("orders-dlq") },
  { name: "task", path: (t) => `/t/${t}/tasks/${ids.task}`, ready: text("Looked at") },
  { name: "topics", path: (t) => `/t/${t}/topics`, ready: text("order-events") },
  { name: "topic-create", path: (t) => `/t/${t}/topics?new=topic`, ready: dialog },
  { name: "topic-subscriptions", path: (t) => `/t/${t}/topics/order-events/subscriptions`, ready: text("billing") },
  { name: "topic-subscribe", path: (t) => `/t/${t}/topics/order-events/subscriptions?new=subscription`, ready: dialog },
  {
    name: "webhook-subscribe",
    path: (t) => `/t/${t}/topics/order-events/subscriptions?new=subscription`,
    ready: dialog,
    do: async (p) => {
      await p.getByText("To a webhook").click();
      await p.getByText("More", { exact: true }).click();
      await p.getByLabel("Waits between attempts").waitFor();
    },
  },
  { name: "webhook", path: (t) => `/t/${t}/topics/order-events/webhooks/partner`, ready: (p) => p.locator(".plot canvas").first().waitFor() },
  { name: "webhook-table", path: (t) => `/t/${t}/topics/order-events/webhooks/partner?view=table`, ready: (p) => p.getByRole("table", { name: "Answers over time" }).waitFor() },
  {
    name: "webhook-delivery",
    path: (t) => `/t/${t}/topics/order-events/webhooks/partner`,
    ready: (p) => p.getByRole("table", { name: "Attempts" }).waitFor(),
    do: async (p) => {
      await p.locator("[data-row]").first().click();
      await p.getByRole("heading", { name: "Attempt 1" }).waitFor();
    },
  },
  {
    name: "webhook-verify",
    path: (t) => `/t/${t}/topics/order-events/webhooks/partner`,
    ready: text("Attempt"),
    do: async (p) => {
      await p.getByRole("button", { name: "Reveal" }).click();
      await p.getByRole("button", { name: "How an endpoint verifies" }).click();
      await p.getByText("createHmac").waitFor();
    },
  },
  { name: "webhook-rotate", path: (t) => `/t/${t}/topics/order-events/webhooks/partner`, ready: text("Attempt"), do: click("Rotate…") },
  { name: "topic-publish", path: (t) => `/t/${t}/topics/order-events/publish`, ready: (p) => p.getByLabel("Body").waitFor() },
  { name: "topic-schemas", path: (t) => `/t/${t}/topics/order-events/schemas`, ready: text("current") },
  { name: "topic-schedules", path: (t) => `/t/${t}/topics/order-events/schedules`, ready: heading("No schedules") },
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
  {
    name: "topic-filter-count",
    path: (t) => `/t/${t}/topics/order-events/filter-test?filter=%7B%22tier%22%3A%5B%22pro%22%5D%7D`,
    ready: (p) => p.getByLabel("One that was published").waitFor(),
    do: async (p) => {
      await p.getByRole("button", { name: "How many would have matched?" }).click();
      await p.getByText("It would have matched").waitFor();
    },
  },
  {
    name: "topic-filter-save",
    path: (t) => `/t/${t}/topics/order-events/filter-test?filter=%7B%22tier%22%3A%5B%22pro%22%5D%7D`,
    ready: (p) => p.getByLabel("Body").waitFor(),
    do: click("Save to a subscription…"),
  },
  {
    name: "topic-who-gets-it",
    path: (t) => `/t/${t}/topics/order-events/log`,
    ready: text("msg_"),
    do: async (p) => {
      await p.locator("[data-row]").first().click();
      await p.getByRole("link", { name: "Who gets it, and who does not?" }).click();
      await p.getByText(/✓ arrives|✗ does not/).first().waitFor();
    },
  },
  { name: "patterns", path: (t) => `/t/${t}/topic-subscriptions`, ready: text("partners") },
  { name: "pattern", path: (t) => `/t/${t}/topic-subscriptions?m=partners`, ready: (p) => p.getByRole("table", { name: "Topics that match" }).waitFor() },
  { name: "pattern-create", path: (t) => `/t/${t}/topic-subscriptions?new=pattern`, ready: dialog },
  { name: "webhook-of-pattern", path: (t) => `/t/${t}/topics/shop.orders/webhooks/pattern.partners`, ready: text("It stems from") },
  { name: "deliveries", path: (t) => `/t/${t}/deliveries`, ready: (p) => p.getByRole("table", { name: "Deliveries" }).waitFor() },
  { name: "deliveries-no-match", path: (t) => `/t/${t}/deliveries?http=2xx&q=zzz`, ready: text("Nothing matches") },
  { name: "deliveries-resend", path: (t) => `/t/${t}/deliveries?status=retrying`, ready: heading("Deliveries"), do: click("Resend all matching…") },
  { name: "keys", path: (t) => `/t/${t}/keys`, ready: text("messages:send") },
  { name: "key-create", path: (t) => `/t/${t}/keys?new=key`, ready: dialog },
  { name: "members", path: (t) => `/t/${t}/members`, ready: text("ana@example.com") },
  { name: "member-invite", path: (t) => `/t/${t}/members?new=member`, ready: dialog },
  { name: "alarms", path: (t) => `/t/${t}/alarms`, ready: text("orders-deep") },
  { name: "alarm", path: (t) => `/t/${t}/alarms?m=orders-deep`, ready: text("See the runbook.") },
  { name: "alarm-create", path: (t) => `/t/${t}/alarms?new=alarm&type=webhook_failure_rate`, ready: dialog },
  { name: "usage", path: (t) => `/t/${t}/usage`, ready: heading("Usage") },
  { name: "limits", path: (t) => `/t/${t}/limits`, ready: text("Requests a second") },
  { name: "audit", path: (t) => `/t/${t}/audit`, ready: text("putQueue"), do: async (p) => { await p.locator("[data-row]").first().click(); await dialog(p); } },
  { name: "requests", path: (t) => `/t/${t}/requests?status=2xx`, ready: text("A sample of the last 24 hours"), do: async (p) => { await p.locator("[data-row]").first().click(); await dialog(p); } },
  { name: "sessions", path: (t) => `/t/${t}/sessions`, ready: text("this one") },
  { name: "session-end", path: (t) => `/t/${t}/sessions`, ready: text("this one"), do: async (p) => { await p.getByRole("button", { name: /^End the session/ }).first().click(); await dialog(p); } },
  { name: "portal-links", path: (t) => `/t/${t}/portal-links`, ready: text("bob@example.com") },
  { name: "portal-link-create", path: (t) => `/t/${t}/portal-links?new=link`, ready: dialog },
  { name: "fleet", path: () => "/admin/overview?range=7d", as: "operator", ready: (p) => p.locator(".plot canvas").nth(2).waitFor() },
  { name: "tenants", path: () => "/admin/tenants", as: "operator", ready: text("default") },
  { name: "tenant-create", path: () => "/admin/tenants?new=tenant", as: "operator", ready: dialog },
  { name: "tenant", path: (t) => `/admin/tenants/${t}`, as: "operator", ready: text("Account number") },
  { name: "tenant-suspend", path: (t) => `/admin/tenants/${t}`, as: "operator", ready: text("Account number"), do: click("Suspend…") },
  { name: "plans", path: () => "/admin/plans", as: "operator", ready: text("Create a plan") },
  { name: "operator-tasks", path: () => "/admin/tasks", as: "operator", ready: heading("Operator tasks") },
  { name: "operators", path: () => "/admin/operators", as: "operator", ready: heading("Operators") },
  { name: "operator-sessions", path: () => "/admin/sessions", as: "operator", ready: text("this one") },
  { name: "operator-keys", path: () => "/admin/keys", as: "operator", ready: text("Last used") },
  { name: "operator-audit", path: () => "/admin/audit", as: "operator", ready: text("putTenant") },
  { name: "system", path: () => "/admin/system", as: "operator", ready: text("What an acknowledgement means") },
  {
    name: "system-log",
    path: () => "/admin/system?q=orders",
    as: "operator",
    ready: (p) => p.getByRole("log", { name: "Log" }).waitFor(),
    do: async (p) => {
      await p.getByRole("log", { name: "Log" }).locator("[data-row]").last().click();
      await p.getByRole("button", { name: "Copy the line" }).waitFor();
    },
  },
  { name: "system-log-no-match", path: () => "/admin/system?q=zzz-zzz&level=error", as: "operator", ready: text("Nothing matches") },
  { name: "first-steps", path: () => `/t/${ids.fresh}/overview`, as: "operator", ready: (p) => p.getByRole("list", { name: "First steps" }).waitFor() },
  { name: "operator-in-tenant", path: (t) => `/t/${t}/queues`, as: "operator", ready: text("invoices.fifo") },
  { name: "palette", path: (t) => `/t/${t}/queues`, ready: text("invoices.fifo"), do: async (p) => { await p.keyboard.press("Control+k"); await p.getByRole("combobox", { name: "Go to" }).fill("o"); await p.getByRole("option", { name: "orders-dlq queue" }).waitFor(); } },
  { name: "lost", path: () => "/no/such/screen", ready: text("There is nothing here") },
];

type Fault = { id: string; impact: string | null; nodes: { html: string; failureSummary: string }[] };

// serious returns the faults that keep people out, each with the first place where it is.
async function serious(page: Page, rules?: string[]): Promise<string[]> {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe); // the page's own policy lets no script in; this is the debugger's
  const found = await page.evaluate(async (rules) => {
    const run = (window as unknown as { axe: { run(o: unknown): Promise<{ violations: Fault[] }> } }).axe;
    return (await run.run({ resultTypes: ["violations"], ...(rules && { runOnly: rules }) })).violations;
  }, rules);
  return found.filter((v) => v.impact === "serious" || v.impact === "critical").flatMap((v) => v.nodes.slice(0, 2).map((n) => `${v.id} ${v.nodes.length} times: ${n.html.slice(0, 200)} ${n.failureSummary.split("\n").slice(1).join(" ").slice(0, 200)}`));
}

const desk = { width: 1280, height: 800 };
const phone = { width: 390, height: 844 };

const calm = (page: Page) => page.waitForFunction(() => document.getAnimations().every((a) => a.playState !== "running" || a.effect?.getTiming().iterations === Number.POSITIVE_INFINITY));

// turn shows the page in a theme. The page hears of it after the browser, and its colours change over a moment that begins with
// the next frame.
async function turn(page: Page, theme: "light" | "dark") {
  await page.emulateMedia({ colorScheme: theme });
  await page.waitForFunction((theme) => document.documentElement.getAttribute("data-mantine-color-scheme") === theme, theme);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  await calm(page);
}

const picture = async (page: Page, name: string) => {
  if (shots) await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
};

// tooWide says what of a page one must scroll to the side for.
async function tooWide(page: Page): Promise<string[]> {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  return wide > 0 ? [`the page is ${wide} pixels wider than the screen`] : [];
}

// look looks at what is on the screen, in each way in which people do: the page stays, only the screen around it is
// another one.
async function look(page: Page, name: string): Promise<string[]> {
  await calm(page);
  await picture(page, `${name}-light`);
  const faults = [...(await serious(page)), ...(await tooWide(page))];
  await turn(page, "dark");
  await picture(page, `${name}-dark`);
  for (const f of await serious(page, ["color-contrast"])) faults.push(`dark: ${f}`);
  await turn(page, "light");
  await page.setViewportSize(phone);
  await calm(page);
  await picture(page, `${name}-phone`);
  for (const f of await tooWide(page)) faults.push(`phone: ${f}`);
  await page.setViewportSize(desk);
  return faults;
}

let faults: Record<string, string[]> = {};

async function walk(who: "tenant" | "operator") {
  const page = await newPage({ colorScheme: "light", viewport: desk });
  if (who === "tenant") {
    await page.goto("/console/");
    await heading("Sign in to Sluice")(page);
    const found = await look(page, "sign-in");
    if (found.length > 0) faults["sign-in"] = found;
  }
  await signIn(page, who === "tenant" ? tenant.key : inject("operatorKey"));
  for (const s of screens.filter((s) => (s.as ?? "tenant") === who && (!only || only.test(s.name)))) {
    try {
      // As a link does: the program itself stays.
      await page.evaluate((to) => history.pushState(null, "", to), `/console${s.path(tenant.name)}`);
      await s.ready(page);
      await s.do?.(page);
      const found = await look(page, s.name);
      if (found.length > 0) faults[s.name] = found;
    } catch (e) {
      faults[s.name] = [String(e).slice(0, 600)];
      await picture(page, `${s.name}-failed`);
      await page.setViewportSize(desk);
    }
  }
}

// Both go through their screens at the same time, each in a page of their own.
test("no screen keeps anybody out", { timeout: 300_000 }, async () => {
  faults = {};
  await Promise.all([walk("tenant"), walk("operator")]);
  expect(faults).toEqual({});
});
