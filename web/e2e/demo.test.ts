import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, paste, signIn } from "./kit";

inBrowser();

type Queue = { name: string; labels: Record<string, string>; counts: { available: number; in_flight: number; delayed: number }; totals: { sent: number; received: number } };

const queuesOf = (key: string) => call<{ data: Queue[] }>(key, "GET", "/v1/queues").then((r) => r.data);
const available = (queues: Queue[]) => Object.fromEntries(queues.map((q) => [q.name, q.counts.available]));

test("demo data is loaded by a button, once", async () => {
  const tenant = await newTenant();
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.goto(`/console/t/${tenant.name}/overview`);
  await page.getByRole("button", { name: "Load demo data…" }).click();
  const dialog = page.getByRole("dialog", { name: "Load demo data" });
  await dialog.getByRole("button", { name: "Loading it by curl" }).click();
  const commands = (await page.locator("pre").filter({ hasText: "demo-orders-dlq" }).innerText()).split(" &&\n");
  await page.keyboard.press("Escape");
  await dialog.getByRole("button", { name: "Load", exact: true }).click();
  await page.getByText("The demo data is there.").waitFor();
  await dialog.waitFor({ state: "detached" });
  expect(new URL(page.url()).search).toBe("?label=demo");
  await page.getByRole("link", { name: "demo-payments.fifo", exact: true }).waitFor();

  const loaded = { "demo-mail": 8, "demo-orders": 8, "demo-orders-dlq": 3, "demo-payments.fifo": 8, "demo-reports": 2 };
  await expect.poll(async () => available(await queuesOf(tenant.key))).toEqual(loaded); // the topic brings its own after the answer
  expect((await queuesOf(tenant.key)).map((q) => q.labels.demo)).toEqual(Array(5).fill("shop"));
  await page.getByRole("link", { name: "demo-orders", exact: true }).click();
  await page.getByRole("link", { name: "Messages", exact: true }).click();
  await page.getByText("A-1004").first().waitFor();
  await page.getByRole("link", { name: "Dead letters", exact: true }).click();
  await page.getByText("there is no customer c-13").first().waitFor();

  // The commands do the same; the last one wants the receipt handles of the one before.
  const other = await newTenant();
  for (const command of commands.slice(0, -2)) await paste(command, other.key);
  await expect.poll(async () => available(await queuesOf(other.key))).toEqual({ ...loaded, "demo-orders": 11, "demo-orders-dlq": 0 });
  expect(JSON.parse(await paste(commands.at(-2) ?? "", other.key)).messages.length).toBe(3);
  expect(commands.at(-1)).toContain("/v1/queues/demo-orders/ack");

  // Once more it finds all there, and makes and sends nothing.
  const before = (await queuesOf(tenant.key)).map((q) => q.totals);
  await page.goto(`/console/t/${tenant.name}/queues?new=demo`);
  await dialog.getByRole("button", { name: "Load", exact: true }).click();
  await page.getByText("The demo data is there.").waitFor();
  expect((await queuesOf(tenant.key)).map((q) => q.totals)).toEqual(before);
});

test("demo data goes on where it failed, and leaves alone what is somebody's own", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/demo-mail", { delay: 7 });
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.goto(`/console/t/${tenant.name}/queues?new=demo`);
  const dialog = page.getByRole("dialog", { name: "Load demo data" });
  const topic = (url: URL) => url.pathname === "/v1/topics/demo-order-events";
  await page.route(topic, (route) => route.abort());
  await dialog.getByRole("button", { name: "Load", exact: true }).click();
  await dialog.getByRole("alert").getByText("The server cannot be reached.").waitFor();
  await page.unroute(topic);
  await dialog.getByRole("button", { name: "Go on" }).click();
  await page.getByText("The demo data is there.").waitFor();
  const { data } = await call<{ data: { name: string }[] }>(tenant.key, "GET", "/v1/topics/demo-order-events/subscriptions");
  expect(data.map((s) => s.name)).toEqual(["large"]); // the queue of the other one is not ours
  const own = await call<Queue & { delay: number }>(tenant.key, "GET", "/v1/queues/demo-mail");
  expect([own.delay, own.labels, own.totals.sent]).toEqual([7, {}, 0]);
  expect(available(await queuesOf(tenant.key))["demo-orders-dlq"]).toBe(3);
});

test("who may not make queues is offered no demo data", async () => {
  const tenant = await newTenant();
  const { key } = await call<{ key: string }>(tenant.key, "POST", "/v1/keys", { name: "looks", scopes: ["viewer"] });
  const page = await newPage();
  await signIn(page, key);
  await page.goto(`/console/t/${tenant.name}/overview`);
  await page.getByRole("list", { name: "First steps" }).waitFor();
  expect(await page.getByRole("button", { name: "Load demo data…" }).count()).toBe(0);
  await page.goto(`/console/t/${tenant.name}/queues?new=demo`);
  await page.getByText("As you are signed in you may not make queues").waitFor();
  expect(await page.getByRole("dialog").getByRole("button", { name: "Load", exact: true }).isDisabled()).toBe(true);
  expect(await queuesOf(tenant.key)).toEqual([]);
});
