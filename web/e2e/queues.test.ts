import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

type Counts = { counts: { available: number; in_flight: number }; totals: { received: number; deleted: number } };

test("a queue is made, sent to, looked into without taking, received from and acknowledged", async () => {
  const tenant = await newTenant();
  const page = await newPage();
  await signIn(page, tenant.key);

  await page.getByRole("button", { name: "Create a queue" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("orders");
  await dialog.getByRole("button", { name: "Create", exact: true }).click();
  await page.waitForURL("**/queues/orders/send");

  await page.getByLabel("Body").fill('{"id":12345678901234567890,"note":"<b>hi</b>"}');
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByLabel("Name of attribute 1").fill("type");
  await page.getByLabel("Value of attribute 1").fill("order.paid");
  await page.getByRole("button", { name: "Show as curl" }).click();
  expect(await page.getByRole("dialog").innerText()).toContain(`/v1/queues/orders/messages/batch -H 'Content-Type: application/json' -d '{"messages":[{"body":"{\\"id\\":12345678901234567890`);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.getByRole("link", { name: /^msg_/ }).first().click();

  // The address opens the message: looking shows every digit, and takes nothing.
  const drawer = page.getByRole("dialog");
  expect(await drawer.getByLabel("Body", { exact: true }).innerText()).toContain('"id": 12345678901234567890');
  await drawer.getByText("order.paid").waitFor();
  await page.getByRole("button", { name: "Close" }).click();
  const looked = await call<Counts>(tenant.key, "GET", "/v1/queues/orders");
  expect([looked.counts.available, looked.totals.received]).toEqual([1, 0]);

  await page.getByRole("link", { name: "Receive", exact: true }).click();
  await page.getByRole("button", { name: "Receive", exact: true }).click();
  await page.getByRole("button", { name: "Acknowledge", exact: true }).waitFor();
  expect((await call<Counts>(tenant.key, "GET", "/v1/queues/orders")).counts.in_flight).toBe(1);
  await page.getByRole("button", { name: "Hold 60 s more" }).click();
  await page.getByText(/in (1m|5\ds)/).first().waitFor();
  await page.getByRole("button", { name: "Acknowledge", exact: true }).click();
  await page.getByText("Acknowledged.").waitFor();
  const done = await call<Counts>(tenant.key, "GET", "/v1/queues/orders");
  expect([done.counts.in_flight, done.totals.deleted]).toEqual([0, 1]);

  // The queue is told to keep what becomes of messages, and then says it of one that is gone.
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByLabel("Timelines").fill("1d");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  const sent = await call<{ results: { id: string }[] }>(tenant.key, "POST", "/v1/queues/orders/messages/batch", { messages: [{ body: "traced" }] });
  const id = sent.results[0]?.id ?? "";
  await call(tenant.key, "DELETE", `/v1/queues/orders/messages/${id}`);
  await page.goto(page.url().replace(/settings.*/, `messages?m=${id}`));
  const life = page.getByRole("region", { name: "Timeline" });
  await life.getByText("deleted").waitFor();
  expect(await life.getByRole("listitem").count()).toBe(2);
});

test("what has no bound wants its name typed", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  await call(tenant.key, "POST", "/v1/queues/orders/messages/batch", { messages: [{ body: "a" }, { body: "b" }] });
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.getByRole("link", { name: "orders", exact: true }).click();
  await page.getByRole("button", { name: "Purge…" }).click();
  const dialog = page.getByRole("dialog");
  expect(await dialog.innerText()).toContain("2 messages");
  expect(await dialog.innerText()).toContain(tenant.name);
  const purge = dialog.getByRole("button", { name: "Purge" });
  await dialog.getByLabel(/Type/).fill("order");
  await page.keyboard.press("Enter");
  expect(await purge.isDisabled()).toBe(true);
  expect((await call<Counts>(tenant.key, "GET", "/v1/queues/orders")).counts.available).toBe(2);
  await dialog.getByLabel(/Type/).fill("orders");
  await purge.click();
  await page.getByText("orders was emptied.").waitFor();
  expect((await call<Counts>(tenant.key, "GET", "/v1/queues/orders")).counts.available).toBe(0);
});

test("settings that somebody else has changed meanwhile are not overwritten", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.getByRole("link", { name: "orders", exact: true }).click();
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByLabel("Visibility timeout").fill("5 minutes");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").waitFor(); // the server knows no such duration
  await call(tenant.key, "PATCH", "/v1/queues/orders", { delay: 7 });
  await page.getByLabel("Visibility timeout").fill("5m");
  await page.getByText("Somebody has changed").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").getByText("precondition_failed").waitFor();
  await page.getByRole("button", { name: "Reload" }).click();
  await page.getByLabel("Visibility timeout").fill("5m");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  const after = await call<{ delay: number; visibility_timeout: number }>(tenant.key, "GET", "/v1/queues/orders");
  expect([after.delay, after.visibility_timeout]).toEqual([7, 300]);
});

test("what comes is shown as it comes", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.getByRole("link", { name: "orders", exact: true }).click();
  const streams = page.waitForResponse((r) => r.url().includes("/tail"));
  await page.getByRole("link", { name: "Tail" }).click();
  await streams;
  await call(tenant.key, "POST", "/v1/queues/orders/messages/batch", { messages: [{ body: "one-of-two" }] });
  await page.getByText("one-of-two").waitFor();
  // Paused, no row moves until it is asked for.
  await page.getByRole("button", { name: "Live" }).click();
  await call(tenant.key, "POST", "/v1/queues/orders/messages/batch", { messages: [{ body: "two-of-two" }] });
  await page.getByRole("button", { name: /1 new message/ }).click();
  await page.getByText("two-of-two").waitFor();
});
