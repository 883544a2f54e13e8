import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("an error leads to its request, and from there to all that its key asked for", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "DELETE", "/v1/queues/never").catch(() => {}); // of those that fail so few are all kept
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.goto(`/console/t/${tenant.name}/queues/absent/overview`);
  const alert = page.getByRole("alert");
  await alert.getByText("queue_not_found").waitFor();
  await alert.getByRole("link", { name: "In the log" }).click();
  await page.waitForURL((u) => u.searchParams.get("q")?.startsWith("req_") ?? false);
  const again = async () => {
    await page.getByRole("button", { name: "Look again" }).click();
    return page.locator("[data-row]").count();
  };
  await expect.poll(again, { timeout: 30_000, interval: 300 }).toBe(1); // servers write once a second
  await page.locator("[data-row]").click();
  const drawer = page.getByRole("dialog");
  await drawer.getByText("404 · queue_not_found").waitFor();
  await drawer.getByRole("button", { name: "Only these" }).last().click();
  await page.waitForURL((u) => u.searchParams.get("q")?.startsWith("key_") ?? false);
  await page.getByText("deleteQueue").waitFor();

  await page.getByLabel("Status").selectOption("5xx");
  await page.getByText("deleteQueue").waitFor({ state: "detached" });
  await page.getByLabel("Status").selectOption("4xx");
  await page.reload();
  await page.getByText("404 · queue_not_found").first().waitFor();

  // What is looked for and not there, and what nobody has asked for.
  await page.getByLabel("Which requests").fill("<img src=x>");
  await page.keyboard.press("Enter");
  await page.getByText("Nothing matches “<img src=x>”").waitFor();
  await page.getByRole("button", { name: "Clear filters" }).click();
  await page.getByText("deleteQueue").first().waitFor();
});

test("who may not read the log reads why", async () => {
  const tenant = await newTenant();
  const { key } = await call<{ key: string }>(tenant.key, "POST", "/v1/keys", { name: "dev", scopes: ["developer"] });
  const page = await newPage();
  await signIn(page, key);
  await page.getByRole("link", { name: "Requests", exact: true }).click();
  const alert = page.getByRole("alert");
  await alert.getByText("permission_denied").waitFor();
  await alert.getByText(/request_log:read/).waitFor();
});
