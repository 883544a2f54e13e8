import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("an alarm is made from a chart, muted, changed and deleted", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  await call(tenant.key, "PUT", "/v1/topics/alerts");
  await call(tenant.key, "POST", "/v1/queues/orders/messages", "{}");
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.goto(`/console/t/${tenant.name}/queues/orders/overview`);
  await page.getByRole("img", { name: /^Receives per message/ }).waitFor(); // no alarm is about those
  await page.getByRole("link", { name: "Create an alarm: Messages held" }).click();
  const form = page.getByRole("dialog");
  expect(await form.getByLabel("Queue").inputValue()).toBe("orders");
  expect(await form.getByLabel("What it looks at").inputValue()).toBe("available");
  await form.getByLabel("Tells the topic").fill("nowhere");
  await form.getByRole("button", { name: "Create", exact: true }).click();
  await form.getByRole("alert").getByText("validation_failed").waitFor();
  await form.getByLabel("Tells the topic").fill("alerts");
  await form.getByLabel("Writes to").fill("ana@example.com");
  await form.getByRole("button", { name: "Create", exact: true }).click();
  await form.getByText("This server sends no letters").first().waitFor();
  await form.getByLabel("Writes to").fill("");
  await form.getByRole("button", { name: "Create", exact: true }).click();
  await page.getByText("orders-available is set.").waitFor();

  const made = await call<{ threshold: number; notify: { topic: string }; target: { queue: string } }>(tenant.key, "GET", "/v1/alarms/orders-available");
  expect([made.threshold, made.notify.topic, made.target.queue]).toEqual([0, "alerts", "orders"]);

  await page.getByRole("button", { name: "Actions for orders-available" }).click();
  await page.getByRole("menuitem", { name: "Mute for an hour" }).click();
  await page.getByText("muted", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Actions for orders-available" }).click();
  await page.getByRole("menuitem", { name: "Unmute" }).click();
  await page.getByText("muted", { exact: true }).waitFor({ state: "detached" });

  await page.getByRole("button", { name: "orders-available", exact: true }).click();
  await page.getByRole("heading", { name: "History" }).waitFor();
  await page.getByRole("button", { name: "Change…" }).click();
  await page.getByLabel("Enabled").uncheck();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("off", { exact: true }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });

  await page.getByRole("button", { name: "Actions for orders-available" }).click();
  await page.getByRole("menuitem", { name: "Delete…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("heading", { name: "No alarms yet" }).waitFor();
  await page.getByRole("button", { name: "Add the suggested alarms" }).click();
  await page.getByText("nobody-receives").waitFor();
});

test("the navigation says how many alarms are raised", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/alarms/always", { metric: "quota_used", comparison: ">=" });
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.goto(`/console/t/${tenant.name}/alarms?state=alarm`);
  await page.getByRole("table", { name: "Alarms" }).getByText("always").waitFor({ timeout: 100_000 }); // the next look is within a minute
  await page.reload();
  await page.getByRole("navigation", { name: "Main" }).getByLabel("1 raised").waitFor();
}, 130_000);
