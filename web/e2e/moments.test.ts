import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { expect, inject, test } from "vitest";
import { call, copied, inBrowser, newPage, newTenant, paste, signIn } from "./kit";

inBrowser();

// What the console should be liked for, each as somebody meets it. Three more have files of their own: the redrive at three in the
// morning in deadletters, why they did not get it in topics, and copy as curl that works in curl.

type Queue = { counts: { available: number; in_flight: number }; totals: { received: number } };

test("nine seconds to a message: the page says the commands, and shows what they did while nobody touches it", async () => {
  const { name, key } = await newTenant();
  const page = await newPage();
  await signIn(page, key);
  const loaded = await page.evaluate(() => performance.timeOrigin);
  const shown = () => page.locator("main pre").first().innerText();
  await page.getByRole("heading", { name: "No queues yet" }).waitFor();
  const create = await shown();
  expect(create).toContain(inject("url"));
  await paste(create, key);
  await page.getByRole("link", { name: "orders", exact: true }).click();
  await page.getByRole("link", { name: "Messages", exact: true }).click();
  await page.getByRole("heading", { name: "Nothing was sent yet" }).waitFor();
  await paste(await shown(), key);
  await page.getByText("All 1", { exact: true }).waitFor();
  await page.locator("[data-row]").first().waitFor();
  expect(page.url()).toContain(`/t/${name}/queues/orders/messages`);
  expect(await page.evaluate(() => performance.timeOrigin)).toBe(loaded);
});

test("peek, fearlessly: whoever goes through thousands of messages takes and counts none, and reads that", async () => {
  const { name, key } = await newTenant();
  await call(key, "PUT", "/v1/queues/orders");
  for (let i = 0; i < 3; i++) await call(key, "POST", "/v1/queues/orders/messages/batch", { messages: Array.from({ length: 1000 }, (_, n) => ({ body: `order ${i * 1000 + n}` })) });
  const before = await call<Queue>(key, "GET", "/v1/queues/orders");
  const page = await newPage();
  await signIn(page, key);
  await page.goto(`/console/t/${name}/queues/orders/messages`);
  await page.getByText("Looking takes nothing").waitFor();
  for (let n = 0; n < 3; n++) {
    const first = await page.locator("[data-row]").first().innerText();
    await page.getByRole("button", { name: "Next" }).click();
    await expect.poll(() => page.locator("[data-row]").first().innerText()).not.toBe(first);
  }
  await page.goto(`/console/t/${name}/queues/orders/messages?filter=body~%22order%202999%22`);
  await page.locator("[data-row]").first().click();
  await page.getByRole("dialog").getByText("0, of which 0 failed").waitFor();
  const after = await call<Queue>(key, "GET", "/v1/queues/orders");
  expect([after.counts, after.totals]).toEqual([before.counts, before.totals]);
});

test("change one line: a consumer of SQS shows up live, with its name", async () => {
  const { name, key } = await newTenant();
  const page = await newPage();
  await signIn(page, key);
  await page.getByRole("heading", { name: "No queues yet" }).waitFor();
  const { aws } = await call<{ aws: { access_key_id: string; secret_access_key: string; region: string } }>(key, "POST", "/v1/keys", { name: "workers", scopes: ["developer"], aws: true });
  const worker = spawn("node", ["e2e/consumer.mjs"], {
    env: { PATH: process.env.PATH, AWS_ACCESS_KEY_ID: aws.access_key_id, AWS_SECRET_ACCESS_KEY: aws.secret_access_key, AWS_REGION: aws.region, AWS_SDK_UA_APP_ID: "billing-worker", AWS_ENDPOINT_URL: inject("url") },
    stdio: ["pipe", "inherit", "inherit"],
  });
  try {
    // Nobody has loaded anything again.
    const loaded = await page.evaluate(() => performance.timeOrigin);
    const row = page.getByRole("row").filter({ has: page.getByRole("link", { name: "jobs", exact: true }) });
    await row.waitFor();
    const cell = (column: string) => row.locator(`td[data-label="${column}"]`).innerText();
    await expect.poll(async () => [await cell("Available"), await cell("In flight")], { timeout: 30_000 }).toEqual(["2", "1"]);
    await page.getByRole("link", { name: "jobs", exact: true }).click();
    await page.getByRole("link", { name: "Who holds them" }).click();
    await page.getByText(/billing-worker, back in/).waitFor();
    worker.stdin.write("\n"); // it has done the first
    await page.getByText("All 2", { exact: true }).waitFor();
    worker.stdin.write("\n\n");
    await page.getByText("All 0", { exact: true }).waitFor();
    expect(await page.evaluate(() => performance.timeOrigin)).toBe(loaded);
    expect(page.url()).toContain(`/t/${name}/queues/jobs/messages`);
  } finally {
    worker.kill();
  }
});

test("nobody is consuming: the queue and the overview say that it is no matter of load", async () => {
  const { name, key } = await newTenant();
  await call(key, "PUT", "/v1/queues/forgotten");
  await call(key, "POST", "/v1/queues/forgotten/messages", "hello");
  const page = await newPage();
  // The message is as old as one is of which that is said.
  await page.route(
    (url) => url.pathname.startsWith("/v1/queues"),
    async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: (await answer.text()).replace(/"oldest_age":[\d.]+/g, '"oldest_age":1200') });
    },
  );
  await signIn(page, key);
  await page.goto(`/console/t/${name}/overview`);
  const attention = page.getByRole("alert").filter({ hasText: "Needs attention" });
  await attention.getByText("nobody receives").waitFor();
  await attention.getByRole("link", { name: "forgotten" }).click();
  const alert = page.getByRole("alert").filter({ hasText: "Nobody receives" });
  await alert.getByText("1 message waits, the oldest for 20m").waitFor();
  // Who receives ends it.
  await call(key, "POST", "/v1/queues/forgotten/receive");
  await alert.waitFor({ state: "detached" });
});

test("the handover of a tenant: a name makes it, its link opens its own console, and the doctor finds nothing", async () => {
  const name = `acme-${Date.now().toString(36)}`;
  const operator = await newPage();
  await signIn(operator, inject("operatorKey"));
  await operator.getByRole("button", { name: "Create a tenant" }).click();
  const dialog = operator.getByRole("dialog");
  await dialog.getByLabel("Name").fill(name);
  await dialog.getByRole("button", { name: "Create", exact: true }).click();
  await operator.getByLabel("I have stored it").check();
  await operator.getByRole("button", { name: "Done" }).click();
  await operator.goto(`/console/admin/tenants/${name}`);
  await operator.getByRole("button", { name: "Portal link…" }).click();
  await dialog.getByLabel("Role").selectOption("owner");
  await dialog.getByRole("button", { name: "Create", exact: true }).click();
  const shown = operator.getByRole("dialog", { name: /^The portal link/ });
  const link = await copied(operator, shown);
  expect(link).toBe((await shown.locator("pre").innerText()).trim());

  const customer = await newPage();
  await customer.goto(link);
  await customer.getByRole("button", { name: "Go in" }).click();
  await customer.waitForURL(`**/t/${name}/queues`);
  for (const screen of ["Keys", "Limits", "Topics", "Members"]) {
    await customer.getByRole("link", { name: screen, exact: true }).click();
    await customer.getByRole("heading", { name: screen, exact: true, level: 1 }).waitFor();
    expect(await customer.getByRole("alert").count()).toBe(0);
  }

  const listen = new URL(inject("url")).host;
  const env = { PATH: process.env.PATH, SLUICE_DATA_DIR: inject("dataDir"), SLUICE_LISTEN: listen };
  const lines = async () => {
    const { stdout } = await promisify(execFile)("../bin/sluice", ["doctor"], { env }).catch((e: { stdout: string }) => e);
    return stdout.split("\n").filter((line) => line.trim() !== "");
  };
  // Another test has a tenant for a while that takes any signature, of which the doctor warns.
  await expect.poll(async () => (await lines()).filter((line) => !line.startsWith("ok "))).toEqual([]);
  expect((await lines()).length).toBeGreaterThanOrEqual(12);
});
