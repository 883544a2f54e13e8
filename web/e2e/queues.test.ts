import { expect, test } from "vitest";
import { call, copied, inBrowser, newPage, newTenant, paste, signIn } from "./kit";

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
  await page.getByText(/It was deleted at .* by the key first/).waitFor();
});

test("an open message follows its lease, and leads to where it went", async () => {
  const tenant = await newTenant();
  const k = tenant.key;
  for (const name of ["orders-dlq", "orders"]) await call(k, "PUT", `/v1/queues/${name}`, { trace_retention: "1d", ...(name === "orders" && { redrive: { dead_letter_queue: "orders-dlq", max_receives: 9 } }) });
  await call(k, "POST", "/v1/queues/orders/messages", "hello");
  const receive = async (query: string) => (await call<{ messages: { id: string; ack_url: string }[] }>(k, "POST", `/v1/queues/orders/receive?wait=20${query}`)).messages[0];
  const held = await receive("&visibility_timeout=3&consumer=worker-7");
  const page = await newPage();
  await signIn(page, k);
  await page.goto(`/console/t/${tenant.name}/queues/orders/messages?m=${held?.id}`);
  const drawer = page.getByRole("dialog");
  // Nobody touches the page: it looks again when the lease has ended.
  await drawer.getByRole("button", { name: "Edit and move…" }).waitFor();
  const again = await receive("");
  await call(k, "PATCH", again?.ack_url ?? "", { dead_letter: true, reason: "closed" });
  await drawer.getByRole("button", { name: "Look again" }).click();
  await drawer.getByText(/It was sent to the dead-letter queue at .* by the key first/).waitFor();
  await drawer.getByText("In orders-dlq it has the same id").getByRole("link", { name: /^msg_/ }).click();
  await page.waitForURL("**/queues/orders-dlq/messages?m=*");
  await drawer.getByText("closed").first().waitFor();
  await drawer.getByRole("link", { name: /^msg_/ }).first().click(); // its id there, where it is gone
  await page.waitForURL("**/queues/orders/messages?m=*");

  // One that waits is edited and moved too, and does not wait there.
  const later = await call<{ id: string }>(k, "POST", "/v1/queues/orders/messages", "later", { "Message-Delay": "600" });
  await page.goto(`/console/t/${tenant.name}/queues/orders/messages?m=${later.id}`);
  await drawer.getByRole("button", { name: "Edit and move…" }).click();
  await drawer.getByLabel("To the queue").fill("orders-dlq");
  await drawer.getByRole("textbox", { name: "Body" }).fill("sooner");
  await drawer.getByRole("button", { name: "Move it with this body" }).click();
  await page.getByText(/It is in/).waitFor();
  const { data } = await call<{ data: { body: string }[] }>(k, "GET", "/v1/queues/orders-dlq/messages?state=available&filter=sooner");
  expect(data.map((m) => m.body)).toEqual(["sooner"]);
});

test("a message that somebody else holds is held for longer, and taken back", async () => {
  const tenant = await newTenant();
  const k = tenant.key;
  await call(k, "PUT", "/v1/queues/orders", { trace_retention: "1d" });
  const { id } = await call<{ id: string }>(k, "POST", "/v1/queues/orders/messages", "hello");
  await call(k, "POST", "/v1/queues/orders/receive?visibility_timeout=60&consumer=worker-7");
  const page = await newPage();
  await signIn(page, k);
  await page.goto(`/console/t/${tenant.name}/queues/orders/messages?m=${id}`);
  const drawer = page.getByRole("dialog", { name: id });
  await drawer.getByRole("button", { name: "Extend…" }).click();
  await drawer.getByLabel("Held for").fill("13h");
  await drawer.getByRole("button", { name: "Extend", exact: true }).click();
  await drawer.getByText(/at most 43200 seconds|0 to 43200 seconds/).first().waitFor();
  await drawer.getByLabel("Held for").fill("2h");
  await drawer.getByRole("button", { name: "Extend", exact: true }).click();
  await page.getByText(/It is back/).waitFor();
  const seen = async () => call<{ state: string; held_by: string | null; lease_expires_at: string | null }>(k, "GET", `/v1/queues/orders/messages/${id}`);
  const held = await seen();
  expect([held.state, held.held_by]).toEqual(["in_flight", "worker-7"]);
  expect(Date.parse(held.lease_expires_at ?? "") - Date.now()).toBeGreaterThan(100 * 60_000);

  await drawer.getByRole("button", { name: "Return now…" }).click();
  const sure = page.getByRole("dialog", { name: "Return the message now" });
  await sure.getByText("worker-7").waitFor();
  await sure.getByRole("button", { name: "Return it" }).click();
  await drawer.getByRole("button", { name: "Edit and move…" }).waitFor();
  expect((await seen()).state).toBe("available");
  expect(await drawer.getByRole("button", { name: "Extend…" }).count()).toBe(0);
  await drawer.getByRole("region", { name: "Timeline" }).getByText("returned").waitFor();
});

test("a body comes from a file, byte by byte, whether it is text or not", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.goto(`/console/t/${tenant.name}/queues/orders/send`);
  const choose = async (name: string, mimeType: string, buffer: Buffer) => {
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.getByRole("button", { name: "From a file…" }).click()]);
    await chooser.setFiles({ name, mimeType, buffer });
  };
  const send = async (n: number) => {
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByRole("link", { name: /^msg_/ }).nth(n).waitFor();
  };
  await choose("large.bin", "application/octet-stream", Buffer.alloc((1 << 20) + 1));
  await page.getByRole("alert").getByText("large.bin is longer than 1 MiB").waitFor();
  await choose("<img src=x>.png", "image/png", Buffer.from([0x89, 0x50, 0xff, 0xfe, 0]));
  await page.getByRole("alert").waitFor({ state: "detached" });
  await page.getByText("<img src=x>.png, 5 B that are no text").waitFor();
  await send(0);
  await page.getByLabel("Priority").fill("12"); // the server says what it may be, beside the field
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.locator(".mantine-InputWrapper-root").filter({ has: page.getByLabel("Priority") }).getByText(/0 to 9/).waitFor();
  await page.getByLabel("Priority").fill("");
  await choose("order.json", "application/json", Buffer.from('{"total":12.50}\r\n'));
  await page.getByRole("button", { name: "Write text instead" }).waitFor({ state: "detached" });
  await send(1);
  type Sent = { body: string; body_encoding: string; content_type: string };
  const { data } = await call<{ data: Sent[] }>(tenant.key, "GET", "/v1/queues/orders/messages");
  expect(data.map((m) => [m.body_encoding, m.content_type, m.body_encoding === "base64" ? m.body : JSON.parse(m.body)])).toEqual([
    ["base64", "image/png", "iVD//gA="],
    ["utf8", "application/json", { total: 12.5 }],
  ]);
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

test("what others have changed is named, and saved over only when somebody says so", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders", { labels: { team: "shop", tier: "1" } });
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.goto(`/console/t/${tenant.name}/queues/orders/settings`);
  const labels = page.getByRole("textbox", { name: "Labels" });
  expect(await labels.inputValue()).toBe("team=shop\ntier=1");
  await labels.fill("team=<b>bills</b>\nurgent");
  await call(tenant.key, "PATCH", "/v1/queues/orders", { delay: 7 });
  const changed = page.getByRole("alert").filter({ hasText: "Somebody has changed" });
  await changed.getByText("0s → 7s").waitFor();
  await page.getByRole("button", { name: "Overwrite with mine" }).click();
  await page.getByText("Saved.").waitFor();
  const after = await call<{ delay: number; labels: Record<string, string> }>(tenant.key, "GET", "/v1/queues/orders");
  expect([after.delay, after.labels]).toEqual([7, { team: "<b>bills</b>", urgent: "" }]);
  await labels.fill("x".repeat(500));
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByRole("alert").getByText("validation_failed").waitFor();
});

test("a part of a queue is purged, after it was counted", async () => {
  const tenant = await newTenant();
  const k = tenant.key;
  await call(k, "PUT", "/v1/queues/orders");
  await call(k, "POST", "/v1/queues/orders/messages/batch", { messages: ["stays", "broken a", "broken b"].map((body) => ({ body })) });
  const page = await newPage();
  await signIn(page, k);
  await page.goto(`/console/t/${tenant.name}/queues/orders/messages`);
  await page.getByRole("button", { name: "Purge…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Only what matches").fill("receeves:1");
  await dialog.getByText(/there is no field/).waitFor();
  await dialog.getByLabel("Only what matches").fill("broken OR nothing");
  await dialog.getByText("2 messages", { exact: true }).waitFor();
  await dialog.getByLabel("Only what was sent so long ago").fill("1h");
  await dialog.getByText("0 messages", { exact: true }).waitFor();
  await dialog.getByLabel("Only what was sent so long ago").fill("");
  await dialog.getByText("2 messages", { exact: true }).waitFor();
  await dialog.getByLabel(/Type/).fill("orders");
  await dialog.getByRole("button", { name: "Purge", exact: true }).click();
  await page.waitForURL("**/tasks/*");
  await page.getByText("succeeded").waitFor();
  const left = await call<{ data: { body: string }[] }>(k, "GET", "/v1/queues/orders/messages");
  expect(left.data.map((m) => m.body)).toEqual(["stays"]);
});

test("messages that were chosen are moved or deleted, and no others", async () => {
  const tenant = await newTenant();
  const k = tenant.key;
  await call(k, "PUT", "/v1/queues/orders");
  await call(k, "PUT", "/v1/queues/other");
  await call(k, "POST", "/v1/queues/orders/messages/batch", { messages: ["a", "b", "c"].map((body) => ({ body })) });
  const page = await newPage();
  await signIn(page, k);
  const bodies = async (queue: string) => (await call<{ data: { body: string }[] }>(k, "GET", `/v1/queues/${queue}/messages`)).data.map((m) => m.body).sort();
  const choose = async (body: string) => {
    await page.goto(`/console/t/${tenant.name}/queues/orders/messages`);
    const row = page.getByRole("row").filter({ has: page.getByText(body, { exact: true }) });
    await row.locator("[data-row]").focus();
    await page.keyboard.press("x");
    await row.getByRole("checkbox").and(page.locator(":checked")).waitFor();
  };
  await choose("a");
  await page.getByRole("button", { name: "Move 1 message…" }).click();
  await page.getByRole("dialog").getByText("1 message", { exact: true }).waitFor();
  await page.getByRole("dialog").getByRole("textbox", { name: "To" }).fill("other");
  await page.getByRole("dialog").getByText("Nobody receives from other now").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Move", exact: true }).click();
  await page.waitForURL("**/tasks/*");
  await page.getByText("succeeded").waitFor();
  expect([await bodies("orders"), await bodies("other")]).toEqual([["b", "c"], ["a"]]);
  await choose("c");
  await page.getByRole("button", { name: "Delete 1 message…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete them" }).click();
  await page.waitForURL("**/tasks/*");
  await page.getByText("succeeded").waitFor();
  expect(await bodies("orders")).toEqual(["b"]);
});

test("the first steps are ticked when they happen, by whatever client", async () => {
  const tenant = await newTenant();
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.goto(`/console/t/${tenant.name}/overview`);
  const steps = page.getByRole("list", { name: "First steps" });
  await steps.getByText(/curl -u \$KEY: -X PUT .*\/v1\/queues\/orders$/).waitFor();
  const done = (title: string) => steps.getByText(`${title}: done`).waitFor();
  await call(tenant.key, "PUT", "/v1/queues/bills");
  await done("Make a queue");
  await steps.getByText(/v1\/queues\/bills\/messages -d hello$/).waitFor();
  await call(tenant.key, "POST", "/v1/queues/bills/messages", "hello");
  await done("Send a message");
  await call(tenant.key, "POST", "/v1/queues/bills/receive");
  await steps.waitFor({ state: "detached" });
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

test("queues that were chosen are paused, labelled and deleted, and no others", async () => {
  const tenant = await newTenant();
  const k = tenant.key;
  for (const name of ["a-jobs", "b-jobs", "kept"]) await call(k, "PUT", `/v1/queues/${name}`, { labels: { tier: "1" } });
  await call(k, "POST", "/v1/queues/b-jobs/messages", "hello");
  const page = await newPage();
  await signIn(page, k);
  await page.goto(`/console/t/${tenant.name}/queues`);
  for (const name of ["a-jobs", "b-jobs"]) await page.getByRole("checkbox", { name: `Choose ${name}` }).check();
  type Shown = { name: string; paused: unknown; labels: Record<string, string> };
  const shown = async () => (await call<{ data: Shown[] }>(k, "GET", "/v1/queues")).data.map((q) => [q.name, q.paused !== null, q.labels]);
  await page.getByRole("button", { name: "Pause 2 queues" }).click();
  await page.getByText("2 queues paused").waitFor();
  const one = { tier: "1" };
  expect(await shown()).toEqual([["a-jobs", true, one], ["b-jobs", true, one], ["kept", false, one]]);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByText("2 queues resumed").waitFor();

  await page.getByRole("button", { name: "Label…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Label" }).fill("team");
  await dialog.getByLabel("Value").fill("shop");
  await dialog.getByRole("button", { name: "Set it" }).click();
  await page.getByText("2 queues labelled").waitFor();
  const both = { team: "shop", tier: "1" };
  expect(await shown()).toEqual([["a-jobs", false, both], ["b-jobs", false, both], ["kept", false, one]]);
  await page.getByRole("button", { name: "Label…" }).click();
  await dialog.getByRole("textbox", { name: "Label" }).fill("x".repeat(500)); // the server says what a label may be
  await dialog.getByRole("button", { name: "Set it" }).click();
  await page.getByRole("alert").getByText("That did not work with 2 queues").waitFor();

  await page.getByRole("button", { name: "Delete…", exact: true }).click();
  expect(await dialog.innerText()).toContain("1 message");
  const verb = dialog.getByRole("button", { name: "Delete them" });
  await dialog.getByLabel(/Type/).fill("3 queues");
  expect(await verb.isDisabled()).toBe(true);
  await dialog.getByLabel(/Type/).fill("2 queues");
  await verb.click();
  await page.getByText("2 queues deleted").waitFor();
  expect(await shown()).toEqual([["kept", false, one]]);
});

test("a row of the list has a menu, by the mouse or by the key", async () => {
  const tenant = await newTenant();
  const k = tenant.key;
  for (const name of ["orders", "orders-dlq"]) await call(k, "PUT", `/v1/queues/${name}`);
  await call(k, "PATCH", "/v1/queues/orders", { redrive: { dead_letter_queue: "orders-dlq", max_receives: 3 } });
  const page = await newPage();
  await signIn(page, k);
  const list = `/console/t/${tenant.name}/queues`;
  const open = async () => {
    await page.goto(list);
    await page.getByRole("button", { name: "Actions for orders", exact: true }).waitFor();
    await page.getByRole("link", { name: "orders", exact: true }).focus();
    await page.keyboard.press(".");
    return page.getByRole("menu");
  };
  await (await open()).getByRole("menuitem", { name: "Pause" }).click();
  await page.getByText("Receive paused").waitFor();
  await (await open()).getByRole("menuitem", { name: "Resume" }).click();
  await page.getByText("orders goes on.").waitFor();
  await (await open()).getByRole("menuitem", { name: "Send…" }).click();
  await page.waitForURL("**/queues/orders/send");
  await (await open()).getByRole("menuitem", { name: "Redrive…" }).click();
  await page.getByRole("dialog", { name: "Redrive from orders-dlq" }).waitFor();
  await call(k, "POST", "/v1/queues/orders/messages", "hello");
  await (await open()).getByRole("menuitem", { name: "Purge…" }).click();
  await page.getByRole("dialog").getByLabel(/Type/).fill("orders");
  await page.getByRole("dialog").getByRole("button", { name: "Purge", exact: true }).click();
  await page.getByText("orders was emptied.").waitFor();
  await (await open()).getByRole("menuitem", { name: "Delete…" }).click();
  await page.getByRole("dialog").getByLabel(/Type/).fill("orders");
  await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByText("orders was deleted.").waitFor();
  expect((await call<{ data: { name: string }[] }>(k, "GET", "/v1/queues")).data.map((q) => q.name)).toEqual(["orders-dlq"]);
});

for (const name of ["orders", "orders.fifo"]) {
  test(`the connection is tested without a message of ${name}`, async () => {
    const tenant = await newTenant();
    const k = tenant.key;
    await call(k, "PUT", `/v1/queues/${name}`);
    await call(k, "POST", `/v1/queues/${name}/messages/batch`, { messages: [{ body: "real", ...(name.endsWith(".fifo") && { group_id: "a", deduplication_id: "1" }) }] });
    const page = await newPage();
    await signIn(page, k);
    await page.goto(`/console/t/${tenant.name}/queues/${name}/connect`);
    await page.getByRole("button", { name: "Test", exact: true }).click();
    await page.getByText("All is well.").waitFor();
    expect(await page.getByRole("list", { name: "Steps of the test" }).getByRole("listitem").count()).toBe(5);
    const queues = await call<{ data: { name: string }[] }>(k, "GET", "/v1/queues");
    expect(queues.data.map((q) => q.name)).toEqual([name]);
    const after = await call<Counts>(k, "GET", `/v1/queues/${name}`);
    expect([after.counts.available, after.totals.received, after.totals.deleted]).toEqual([1, 0, 0]);

    // Who may only look reads so, and nothing is left behind.
    const { key } = await call<{ key: string }>(k, "POST", "/v1/keys", { name: "looks", scopes: ["viewer"] });
    const looks = await newPage();
    await signIn(looks, key);
    await looks.goto(`/console/t/${tenant.name}/queues/${name}/connect`);
    await looks.getByRole("button", { name: "Test", exact: true }).click();
    await looks.getByRole("alert").getByText("permission_denied").waitFor();
    // What fails half way takes its queue away again.
    await page.route("**/receive?*", (r) => r.fulfill({ json: { messages: [] } }));
    await page.getByRole("button", { name: "Test again" }).click();
    await page.getByRole("alert").waitFor();
    expect((await call<{ data: unknown[] }>(k, "GET", "/v1/queues")).data.length).toBe(1);
  });
}
test("a queue is paused with a reason, which everybody reads", async () => {
  const { name, key } = await newTenant();
  await call(key, "PUT", "/v1/queues/orders");
  const page = await newPage();
  await signIn(page, key);
  await page.goto(`/console/t/${name}/queues/orders/overview`);
  await page.getByRole("button", { name: "Pause with a reason…" }).click();
  const dialog = page.getByRole("dialog", { name: "Pause orders" });
  await dialog.getByText("Both").click();
  await dialog.getByLabel("Reason").fill("x".repeat(256));
  await dialog.getByRole("button", { name: "Pause", exact: true }).click();
  await dialog.getByRole("alert").getByText("at most 255 bytes").first().waitFor(); // the server says what is too long
  await dialog.getByLabel("Reason").fill("the database moves");
  await dialog.getByRole("button", { name: "Pause", exact: true }).click();
  await dialog.waitFor({ state: "detached" });
  await page.getByText("the database moves").first().waitFor();
  const paused = await call<{ paused: Record<"receive" | "send", { reason: string }> }>(key, "GET", "/v1/queues/orders");
  expect([paused.paused.receive.reason, paused.paused.send.reason]).toEqual(["the database moves", "the database moves"]);

  await page.getByRole("button", { name: "Resuming by curl" }).click();
  await paste(await copied(page), key);
  await page.getByRole("button", { name: "Pause", exact: true }).waitFor();
  await page.getByText("the database moves").waitFor({ state: "detached" });
});
