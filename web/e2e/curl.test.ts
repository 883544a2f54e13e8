import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Locator, Page } from "playwright-core";
import { expect, inject, test } from "vitest";
import { behindPrefix, call, copied, inBrowser, newPage, newTenant, paste, signIn } from "./kit";

inBrowser();

// Everything that a shell, curl or JSON could take for something else.
const hostile = `it's "quoted" $(touch owned) \`touch owned\` $HOME \${KEY} \\n \\\\ !! ; | & > owned # {a,b} [1-3] %41 %s
second line	with a tab, ünïcödé 🦊 \u202e and a last quote '`;

// curlOf opens a button's command and takes it to the clipboard, as a reader does.
async function curlOf(page: Page, button: Locator): Promise<string> {
  await button.click();
  const popover = page.locator(".mantine-Popover-dropdown:has(pre)");
  const shown = await popover.locator("pre").innerText();
  expect(await copied(page, popover)).toBe(shown);
  await page.keyboard.press("Escape");
  await popover.waitFor({ state: "detached" });
  return shown;
}

const asCurl = (at: Page | Locator) => at.getByRole("button", { name: "Show as curl" });

type Queue = { counts: { available: number; in_flight: number }; visibility_timeout: number; redrive: unknown; etag: string };
type Message = { id: string; body: string; body_encoding: string; content_type: string; attributes: Record<string, unknown> };

test("copy as curl that works: a queue is created, set, sent to, looked into, received from, redriven and deleted", async () => {
  const { name, key } = await newTenant();
  const queue = () => call<Queue>(key, "GET", "/v1/queues/orders");
  const page = await newPage();
  await signIn(page, key);

  await page.getByRole("button", { name: "Create a queue" }).first().click();
  const dialog = page.getByRole("dialog", { name: "Create a queue" });
  await dialog.getByLabel("Name").fill("orders");
  const create = await curlOf(page, asCurl(dialog));
  expect(await dialog.getByLabel("Name").inputValue()).toBe("orders"); // the dialog around the command stays
  await paste(create, key);
  expect((await queue()).redrive).toEqual({ dead_letter_queue: "orders-dlq", max_receives: 5 });
  await expect(paste(create, key)).rejects.toThrow(/precondition_failed/); // as the dialog, it overwrites no queue

  // A setting.
  const at = (tab: string) => page.goto(`/console/t/${name}/queues/${tab}`);
  await at("orders/settings");
  await page.getByLabel("Visibility timeout").fill("5m");
  await paste(await curlOf(page, asCurl(page)), key);
  expect((await queue()).visibility_timeout).toBe(300);

  // The same message, once by the button and twice by the shell.
  await at("orders/send");
  await page.getByLabel("Body").fill(hostile);
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByLabel("Name of attribute 1").fill("note");
  await page.getByLabel("Value of attribute 1").fill(`'; touch owned; '$KEY`);
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.getByRole("link", { name: /^msg_/ }).first().waitFor();
  await page.getByLabel("How many times").fill("2");
  await paste(await curlOf(page, asCurl(page)), key);
  const look = async (of = "orders") => (await call<{ data: Message[] }>(key, "GET", `/v1/queues/${of}/messages`)).data;
  const [byButton, ...byShell] = await look();
  const what = (m?: Message) => ({ body: m?.body, type: m?.content_type, attributes: m?.attributes });
  expect(byButton?.body).toBe(hostile);
  expect(byShell.map(what)).toEqual([what(byButton), what(byButton)]);

  // A look takes nothing, and filters as the page does.
  await at("orders/messages?filter=body~%22it%27s%22");
  await page.locator("[data-row]").first().waitFor();
  const peeked = JSON.parse(await paste(await curlOf(page, asCurl(page)), key)) as { data: Message[] };
  expect(peeked.data.length).toBe(3);
  expect((await queue()).counts).toMatchObject({ available: 3, in_flight: 0 });

  // A receive holds, and the button beside what is held lets go of it.
  await at("orders/receive");
  const got = JSON.parse(await paste(await curlOf(page, asCurl(page)), key)) as { messages: Message[] };
  expect(got.messages.map((m) => m.body)).toEqual([hostile]);
  await page.getByRole("button", { name: "Receive", exact: true }).click();
  await paste(await curlOf(page, page.getByRole("button", { name: "Acknowledge with curl" })), key);
  expect((await queue()).counts).toMatchObject({ available: 1, in_flight: 1 });

  // Dead letters go back by a task.
  const { messages } = await call<{ messages: { receipt_handle: string }[] }>(key, "POST", "/v1/queues/orders/receive");
  await call(key, "POST", "/v1/queues/orders/ack", { dead_letter: messages.map((m) => ({ receipt_handle: m.receipt_handle, reason: "it's `null`" })) });
  await expect.poll(async () => (await look("orders-dlq")).length).toBe(1);
  await at("orders-dlq/dead-letters?filter=reason%3D%22it%27s%20%60null%60%22&new=redrive");
  const redrive = page.getByRole("dialog", { name: "Redrive from orders-dlq" });
  await redrive.getByText("1 message").first().waitFor();
  const task = JSON.parse(await paste(await curlOf(page, asCurl(redrive)), key)) as { id: string };
  await expect.poll(async () => (await call<{ status: string }>(key, "GET", `/v1/tasks/${task.id}`)).status).toBe("succeeded");
  expect((await look("orders-dlq")).length).toBe(0);
  expect((await queue()).counts.available).toBe(1);

  // One is moved with another body: of the bytes that no argument can hold none is lost.
  await at("orders/messages");
  await page.locator("[data-row]").first().click();
  const drawer = page.getByRole("dialog");
  await drawer.getByRole("button", { name: "Edit and move…" }).click();
  await drawer.getByLabel("To the queue").fill("orders-dlq");
  const odd = "\u0001\u007f é '$(touch owned)'\n";
  await drawer.getByRole("textbox", { name: "Body" }).fill(odd);
  await paste(await curlOf(page, asCurl(drawer).last()), key);
  expect((await look("orders-dlq")).map((m) => m.body)).toEqual([odd]);

  // What cannot be undone.
  await at("orders-dlq/overview");
  await page.getByRole("button", { name: "Purge…" }).click();
  await paste(await curlOf(page, asCurl(page.getByRole("dialog", { name: "Purge the queue" }))), key);
  expect((await look("orders-dlq")).length).toBe(0);
  await at("orders/overview");
  await page.getByRole("button", { name: "Delete…" }).click();
  await paste(await curlOf(page, asCurl(page.getByRole("dialog", { name: "Delete the queue" }))), key);
  await expect(queue()).rejects.toThrow(/queue_not_found/);
  await expect(paste("ls owned", key)).rejects.toThrow(); // nothing that was quoted was run
});

test("copy as curl that works: a receiver takes the request of a webhook's delivery, and a delivery is sent again", async () => {
  const got: { url?: string; headers: Record<string, unknown>; body: Buffer }[] = [];
  let status = 500;
  const endpoint = createServer((req, res) => {
    const parts: Buffer[] = [];
    req.on("data", (p: Buffer) => parts.push(p));
    req.on("end", () => {
      got.push({ url: req.url, headers: req.headers, body: Buffer.concat(parts) });
      res.writeHead(status).end();
    });
  });
  await new Promise<void>((ready) => endpoint.listen(0, "127.0.0.1", ready));
  try {
    const { name, key } = await newTenant();
    const hook = "/v1/topics/orders.created/subscriptions/partner";
    await call(key, "PUT", "/v1/topics/orders.created");
    await call(key, "PUT", hook, { endpoint: `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/in?a[b]=1&c={d}`, retry_schedule: [], headers: { "X-Token": "it's secret" } });
    const page = await newPage();
    await signIn(page, key);

    // Published from the page's command, which also says of which type the body is.
    await page.goto(`/console/t/${name}/topics/orders.created/publish`);
    await page.getByLabel("Body").fill(hostile);
    const { results } = JSON.parse(await paste(await curlOf(page, asCurl(page)), key)) as { results: { id: string }[] };
    const id = results[0]?.id ?? "";
    await expect.poll(() => got.length).toBe(1);

    await page.goto(`/console/t/${name}/topics/orders.created/webhooks/partner?status=failed`);
    await page.getByRole("table", { name: "Attempts" }).locator("[data-row]").first().click();
    const drawer = page.getByRole("dialog", { name: id });
    const command = await curlOf(page, drawer.getByRole("button", { name: "Request as curl" }));
    expect(command).not.toContain("it's secret");
    status = 204;
    await paste(command, "", { X_TOKEN: "it's secret" });
    const secret = (await call<{ secrets: { secret: string }[] }>(key, "GET", `${hook}/secret`)).secrets[0]?.secret ?? "";
    // As the specification of Standard Webhooks says.
    const verify = (r = got.at(-1)) => {
      const stamp = String(r?.headers["webhook-timestamp"]);
      const mac = createHmac("sha256", Buffer.from(secret.replace("whsec_", ""), "base64")).update(`${r?.headers["webhook-id"]}.${stamp}.`).update(r?.body ?? "");
      expect(String(r?.headers["webhook-signature"]).split(" ")).toContain(`v1,${mac.digest("base64")}`);
      expect(Math.abs(Date.now() / 1000 - Number(stamp))).toBeLessThan(300);
    };
    const told = (r = got.at(-1)) => ({ url: r?.url, body: r?.body.toString(), type: r?.headers["content-type"], id: r?.headers["webhook-id"], token: r?.headers["x-token"] });
    expect(got.length).toBe(2);
    verify();
    expect(told()).toEqual({ ...told(got[0]), body: hostile, id, token: "it's secret" });

    // The server itself sends it again.
    await paste(await curlOf(page, asCurl(drawer)), key);
    await expect.poll(() => got.length).toBe(3);
    verify();
    expect(told()).toEqual(told(got[0]));
  } finally {
    endpoint.closeAllConnections();
    endpoint.close();
  }
});

test("copy as curl that works: for an operator who acts for a tenant, and below a prefix", async () => {
  const { name, key } = await newTenant();
  const proxy = await behindPrefix("/mq");
  try {
    const page = await newPage({ baseURL: proxy.url });
    await page.goto("/mq/");
    await page.getByLabel("Key", { exact: true }).fill(inject("operatorKey"));
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("navigation", { name: "Main" }).waitFor({ state: "attached" });
    await page.goto(`/mq/console/t/${name}/queues?new=queue`);
    const dialog = page.getByRole("dialog", { name: "Create a queue" });
    await dialog.getByLabel("Name").fill("theirs");
    const command = await curlOf(page, asCurl(dialog));
    expect(command).toContain(`${proxy.url}/mq/v1/queues/theirs`);
    await paste(command, inject("operatorKey"));
    await call(key, "GET", "/v1/queues/theirs");
    await page.close();
  } finally {
    proxy.close();
  }
});

test("what a row does at once has its curl", async () => {
  const { name, key } = await newTenant();
  await call(key, "PUT", "/v1/queues/orders");
  await call(key, "PUT", "/v1/queues/orders/schedules/report", { every: 86400, message: { body: "daily" } });
  await call(key, "PUT", "/v1/topics/events");
  await call(key, "PUT", "/v1/topics/events/subscriptions/billing", { queue: "orders" });
  await call(key, "PUT", "/v1/alarms/deep", { metric: "available", target: { queue: "orders" }, threshold: 5 });
  const page = await newPage();
  await signIn(page, key);
  const run = async (row: string, verb: string) => {
    await page.getByRole("button", { name: `As curl: ${row}` }).click();
    await paste(await page.locator("pre.body", { hasText: `/${verb}` }).first().innerText(), key);
  };
  await page.goto(`/console/t/${name}/queues/orders/schedules`);
  await run("report", "run");
  expect((await call<{ counts: { available: number } }>(key, "GET", "/v1/queues/orders")).counts.available).toBe(1);
  await page.goto(`/console/t/${name}/topics/events/subscriptions`);
  await run("billing", "pause");
  expect((await call<{ state: string }>(key, "GET", "/v1/topics/events/subscriptions/billing")).state).toBe("paused");
  await page.goto(`/console/t/${name}/alarms`);
  await run("deep", "mute");
  expect((await call<{ muted_until: string | null }>(key, "GET", "/v1/alarms/deep")).muted_until).not.toBeNull();
});
