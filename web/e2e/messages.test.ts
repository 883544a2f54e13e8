import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("messages show the columns that one chooses, and the address keeps them", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  await call(tenant.key, "POST", "/v1/queues/orders/messages/batch", { messages: [{ body: "a body", group_id: "customer-7", attributes: { kind: { type: "String", value: "<b>paid</b>" } } }] });
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.goto(`/console/t/${tenant.name}/queues/orders/messages`);
  const header = (name: string) => page.getByRole("columnheader", { name, exact: true });
  await header("Size").waitFor();
  await page.getByRole("button", { name: "Columns" }).click();
  const choice = page.getByRole("dialog", { name: "Columns" });
  await choice.getByRole("checkbox", { name: "Size" }).uncheck();
  await choice.getByRole("checkbox", { name: "Group" }).check();
  await choice.getByRole("checkbox", { name: "kind" }).check();
  await choice.getByLabel("Attribute").fill("not there");
  await choice.getByRole("button", { name: "Add" }).click(); // that is no name of an attribute
  await choice.getByLabel("Attribute").fill("source");
  await choice.getByRole("button", { name: "Add" }).click();
  await page.keyboard.press("Escape");
  await header("source").waitFor();
  expect(new URL(page.url()).searchParams.get("columns")).toBe("preview,state,due,sent,group,receives,attr.kind,attr.source");
  await page.reload();
  await page.getByRole("cell", { name: "<b>paid</b>" }).waitFor();
  await page.getByRole("cell", { name: "customer-7" }).waitFor();
  expect(await header("Size").count()).toBe(0);
  await page.getByRole("button", { name: "Columns" }).click();
  await page.getByRole("button", { name: "As usual" }).click();
  await header("Size").waitFor();
  expect(new URL(page.url()).searchParams.has("columns")).toBe(false);
});

test("what one chose or what matches is exported, and a part never looks like the whole", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  await call(tenant.key, "POST", "/v1/queues/orders/messages/batch", { messages: ["=late 1", "late 2", "other"].map((body) => ({ body })) });
  const page = await newPage({ acceptDownloads: true });
  await signIn(page, tenant.key);
  const save = async (button: string) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("dialog").getByRole("button", { name: button, exact: true }).click()]);
    const chunks: Buffer[] = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
    return { name: download.suggestedFilename(), text: Buffer.concat(chunks).toString() };
  };
  await page.goto(`/console/t/${tenant.name}/queues/orders/messages`);
  const row = page.getByRole("row").filter({ has: page.getByText("other", { exact: true }) });
  await row.getByRole("checkbox").check();
  await page.getByRole("button", { name: "Export 1 message…" }).click();
  const chosen = await save("Export");
  expect([chosen.name, chosen.text.split("\n").flatMap((l) => (l ? [(JSON.parse(l) as { body: string }).body] : []))]).toEqual(["orders.ndjson", ["other"]]);
  await page.getByText("that is all").waitFor();

  // Two parts make one table, whose names stand once.
  await page.goto(`/console/t/${tenant.name}/queues/orders/messages?filter=late`);
  await page.route("**/export?**", (r) => r.continue({ url: `${r.request().url()}&limit=1` }));
  await page.getByRole("button", { name: "Export…" }).click();
  await page.getByRole("dialog").getByText("CSV", { exact: true }).click();
  const table = await save("Export");
  const lines = table.text.trim().split("\n");
  expect([table.name, lines.length, lines.filter((l) => l.startsWith("id,")).length, lines.filter((l) => /,('=late 1|late 2)$/.test(l)).length]).toEqual(["orders.csv", 3, 1, 2]);
  await page.getByText("that is all").waitFor();
});

test("a search through a long queue says how far it is, stops, and goes on", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  for (let i = 0; i < 11; i++) await call(tenant.key, "POST", "/v1/queues/orders/messages/batch", { messages: Array.from({ length: 1000 }, (_, n) => ({ body: i === 10 && n === 999 ? "needle" : "hay" })) });
  const page = await newPage();
  await signIn(page, tenant.key);
  let release = () => {};
  const held = new Promise<void>((done) => {
    release = done;
  });
  await page.route("**/orders/messages?*cursor=*", async (r) => {
    await held;
    await r.continue();
  });
  await page.goto(`/console/t/${tenant.name}/queues/orders/messages?filter=${encodeURIComponent("needle OR nothing")}`);
  await page.getByText(/Looked at [\d,]+ of 11,000: none yet/).waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  release();
  // Whether the part under way had the message or not, all is found in the end.
  const found = page.getByRole("link", { name: /^msg_/ });
  const more = page.getByRole("button", { name: "Continue", disabled: false });
  await found.or(more).first().waitFor();
  if (!(await found.count())) await more.click();
  await found.waitFor();
  expect(await found.count()).toBe(1);
});

test("why nothing is shown: never had one, all are elsewhere, or all is done", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  const page = await newPage();
  await signIn(page, tenant.key);
  const open = (state: string) => page.goto(`/console/t/${tenant.name}/queues/orders/messages${state}`);
  await open("");
  await page.getByText("Nothing was sent yet").waitFor();
  await call(tenant.key, "POST", "/v1/queues/orders/messages/batch", { messages: [{ body: "a" }, { body: "b" }] });
  const { messages } = await call<{ messages: { ack_url: string }[] }>(tenant.key, "POST", "/v1/queues/orders/receive?max=2");
  await open("?state=available");
  await page.getByText("All 2 messages are in flight: consumers hold what there is.").waitFor();
  await page.getByRole("button", { name: "Who holds them" }).click();
  await page.getByRole("link", { name: /^msg_/ }).first().waitFor();
  for (const m of messages) await call(tenant.key, "DELETE", m.ack_url);
  await open("");
  await page.getByText(/The queue is empty( since about .*)?\. 2 were sent since it was made\./).waitFor();
});
