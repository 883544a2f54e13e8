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
  await dialog.getByRole("textbox", { name: "Queue" }).fill("billing");
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
  await say("pro");
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await page.getByText(/Published as/).waitFor();
  await page.getByRole("link", { name: "Log", exact: true }).click();
  await page.locator("[data-row]").first().waitFor();
  const got = await call<{ messages: { body: string }[] }>(tenant.key, "POST", "/v1/queues/billing/receive?wait=10");
  expect(got.messages.map((m) => m.body)).toEqual(["hello"]);
});
