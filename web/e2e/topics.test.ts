import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("why did they not get it? the condition and what was there instead", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/billing");
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.getByRole("link", { name: "Topics" }).click();
  await page.getByRole("button", { name: "Create a topic" }).first().click();
  await page.getByRole("dialog").getByLabel("Name").fill("order-events");
  await page.getByRole("dialog").getByRole("button", { name: "Create", exact: true }).click();

  await page.getByRole("button", { name: "Subscribe", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("pro");
  await dialog.getByRole("textbox", { name: "Queue", exact: true }).fill("billing");
  await dialog.getByLabel("Filter policy").fill('{"tier":["pro"]}');
  await dialog.getByRole("button", { name: "Subscribe", exact: true }).click();
  await page.getByText("active").waitFor();

  const say = async (tier: string) => {
    await page.getByLabel("Body").fill("hello");
    await page.getByRole("button", { name: "Add" }).click();
    await page.getByLabel("Name of attribute 1").fill("tier");
    await page.getByLabel("Value of attribute 1").fill(tier);
  };
  await page.getByRole("link", { name: "Why not delivered?" }).click();
  await say("free");
  await page.getByRole("button", { name: "Would it arrive?" }).click();
  await page.getByText("✗ does not").waitFor();
  expect(await page.getByRole("table", { name: "Why not pro" }).innerText()).toContain('"free"');

  await page.getByRole("link", { name: "Publish", exact: true }).click();
  await page.getByRole("button", { name: "Publish", exact: true }).waitFor(); // until then the form is still that of the test
  await say("pro");
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await page.getByText(/Published as/).waitFor();
  await page.getByRole("link", { name: "Log", exact: true }).click();
  await page.locator("[data-row]").first().click();
  await page.getByRole("link", { name: "Who gets it, and who does not?" }).click();
  await page.getByText("✓ arrives").waitFor(); // with what the message has, which nobody types again
  expect(await page.getByLabel("Value of attribute 1").inputValue()).toBe("pro");
  await page.getByLabel("Value of attribute 1").fill("free");
  await page.getByRole("button", { name: "Would it arrive?" }).click();
  await page.getByText("✗ does not").waitFor();
  await page.getByRole("link", { name: "Subscriptions", exact: true }).click();
  const drawn = page.getByRole("figure", { name: "Where messages of order-events go" });
  await drawn.getByText("1 delivered").waitFor();
  await drawn.getByRole("link", { name: "billing", exact: true }).waitFor();
  const got = await call<{ messages: { body: string }[] }>(tenant.key, "POST", "/v1/queues/billing/receive?wait=10");
  expect(got.messages.map((m) => m.body)).toEqual(["hello"]);
});

test("a schema is added, refuses what does not follow it, and refuses messages", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/topics/order-events");
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.getByRole("link", { name: "Topics" }).click();
  await page.getByRole("link", { name: "order-events" }).click();
  await page.getByRole("link", { name: "Schema", exact: true }).click();
  const add = async (schema: unknown) => {
    await page.getByLabel("JSON Schema").fill(JSON.stringify(schema));
    await page.getByRole("button", { name: "Add", exact: true }).click();
  };
  await add({ type: "object", required: ["order"] });
  await page.getByText("Version 1 is the current one.").waitFor();
  await add({ type: "object", required: ["order", "customer"] });
  await page.getByRole("alert").getByText('requires "customer"').waitFor();
  await page.getByRole("button", { name: "Show version 1" }).click();
  await page.locator("pre", { hasText: '"required"' }).waitFor();
  expect(await page.getByRole("table", { name: "Versions of the schema" }).getByRole("row").count()).toBe(2);

  await page.getByRole("link", { name: "Publish", exact: true }).click();
  await page.getByLabel("Body").fill("{}");
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await page.getByText('it lacks "order"').waitFor();
});

test("the list of topics says how their subscriptions fare", async () => {
  const tenant = await newTenant();
  const k = tenant.key;
  for (const name of ["billing", "slow"]) await call(k, "PUT", `/v1/queues/${name}`);
  for (const name of ["orders", "quiet"]) await call(k, "PUT", `/v1/topics/${name}`);
  await call(k, "PUT", "/v1/topics/orders/subscriptions/all", { queue: "billing" });
  await call(k, "PUT", "/v1/topics/orders/subscriptions/pro", { queue: "slow", filter_policy: { tier: ["pro"] } });
  await call(k, "PUT", "/v1/topics/orders/subscriptions/resting", { queue: "slow" });
  await call(k, "POST", "/v1/topics/orders/subscriptions/resting/pause");
  await call(k, "PUT", "/v1/topics/orders/subscriptions/off", { endpoint: "https://example.com/hooks" });
  await call(k, "POST", "/v1/topics/orders/subscriptions/off/disable");
  await call(k, "POST", "/v1/topics/orders/messages", "hello");
  const page = await newPage();
  await signIn(page, k);
  await page.goto(`/console/t/${tenant.name}/topics`);
  const row = page.getByRole("row", { name: /^orders/ });
  await row.getByText("1 failing").waitFor();
  await row.getByText("1 paused").waitFor();
  await row.getByText("%").waitFor();
  expect(await page.getByRole("row", { name: /^quiet/ }).innerText()).not.toContain("failing");
});
