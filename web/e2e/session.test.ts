import { expect, test } from "vitest";
import { behindPrefix, call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("who was away for too long signs in again, and goes on where they were", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.getByRole("link", { name: "orders", exact: true }).click();
  await page.getByRole("link", { name: "Send", exact: true }).click();
  await page.getByRole("button", { name: "Live", exact: true }).click(); // nothing but Send is to find out
  await page.getByLabel("Body").fill("half a thought");
  await page.context().clearCookies(); // as the server forgets a session, so does this
  await page.getByRole("button", { name: "Send", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Your session has ended" });
  await dialog.getByLabel("Key", { exact: true }).fill(tenant.key);
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await dialog.waitFor({ state: "detached" });
  expect(await page.getByLabel("Body").inputValue()).toBe("half a thought");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.getByRole("link", { name: /^msg_/ }).waitFor();
});

test("a key that is revoked ends its sessions", async () => {
  const tenant = await newTenant();
  const second = await call<{ id: string; key: string }>(tenant.key, "POST", "/v1/keys", { name: "second", scopes: ["viewer"] });
  const page = await newPage();
  await signIn(page, second.key);
  await page.getByRole("heading", { name: "No queues yet" }).waitFor();
  // What a viewer may not, the server refuses, and the page says so.
  await page.getByRole("button", { name: "Create a queue" }).first().click();
  await page.getByRole("dialog").getByLabel("Name").fill("orders");
  await page.getByRole("dialog").getByRole("button", { name: "Create", exact: true }).click();
  await page.getByRole("alert").getByText("permission_denied").waitFor();
  await page.keyboard.press("Escape");
  await call(tenant.key, "DELETE", `/v1/keys/${second.id}`);
  await page.getByRole("dialog", { name: "Your session has ended" }).waitFor({ timeout: 20_000 });
});

test("it works below a prefix that a proxy cuts off", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  const proxy = await behindPrefix("/mq");
  try {
    const page = await newPage({ baseURL: proxy.url });
    await page.goto("/mq/");
    await page.getByLabel("Key", { exact: true }).fill(tenant.key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("link", { name: "orders", exact: true }).click();
    await page.reload();
    await page.getByRole("heading", { name: "How it works now" }).waitFor();
    expect(new URL(page.url()).pathname).toBe(`/mq/console/t/${tenant.name}/queues/orders/overview`);
    await page.close();
  } finally {
    proxy.close();
  }
});
