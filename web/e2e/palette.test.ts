import { expect, inject, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("a few keys lead to a queue, and typing asks the server once", async () => {
  const tenant = await newTenant();
  for (const name of ["orders", "reorders", "mails"]) await call(tenant.key, "PUT", `/v1/queues/${name}`);
  await call(tenant.key, "PUT", "/v1/topics/order-events");
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.getByRole("heading", { name: "Queues" }).waitFor();
  const asked: string[] = [];
  page.on("request", (r) => {
    const url = new URL(r.url());
    if (url.searchParams.get("limit") === "8") asked.push(url.pathname);
  });
  await page.keyboard.press("Control+k");
  const box = page.getByRole("combobox", { name: "Go to" });
  await box.waitFor();
  await box.pressSequentially("order", { delay: 10 });
  const goal = (name: string) => page.getByRole("option", { name });
  await goal("reorders queue").waitFor();
  await goal("order-events topic").waitFor();
  expect(asked.length).toBeLessThanOrEqual(4); // one of each kind for a pause, of which a busy machine may see two

  // The one that is chosen is told to screen readers, and Enter goes there.
  for (let i = 0; i < 10 && (await page.getByRole("option", { selected: true }).innerText()).trim().split(/\s+/)[0] !== "reorders"; i++) await page.keyboard.press("ArrowDown");
  expect(await box.getAttribute("aria-activedescendant")).toBe(await goal("reorders queue").getAttribute("id"));
  await page.keyboard.press("Enter");
  await page.waitForURL("**/queues/reorders/overview");
  await box.waitFor({ state: "detached" });

  await page.getByRole("button", { name: "Go to…" }).click();
  await box.fill("audi");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/audit");
  await page.keyboard.press("Control+k");
  await box.fill("<img src=x>");
  await page.getByText("Nothing has “<img src=x>” in its name.").waitFor();
  await page.keyboard.press("Escape");
  await box.waitFor({ state: "detached" });
});

test("operators go to tenants, and a label finds queues", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders", { labels: { team: "shop" } });
  await call(tenant.key, "PUT", "/v1/queues/mails", { labels: { team: "mail" } });
  const page = await newPage();
  await signIn(page, inject("operatorKey"));
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Go to" }).fill(tenant.name);
  await page.getByRole("option", { name: `${tenant.name} tenant` }).click();
  await page.waitForURL(`**/admin/tenants/${tenant.name}`);

  await page.goto(`/console/t/${tenant.name}/queues`);
  await page.getByText("team=mail").waitFor();
  await page.getByLabel("Label").fill("team=shop");
  await page.keyboard.press("Enter");
  await page.getByText("team=mail").waitFor({ state: "detached" });
  await page.getByRole("link", { name: "orders", exact: true }).waitFor();
  await page.getByLabel("Label").fill("nobody");
  await page.keyboard.press("Enter");
  await page.getByText("Nothing matches the label “nobody”").waitFor();
  await page.getByRole("button", { name: "Clear filters" }).click();
  await page.getByRole("link", { name: "mails", exact: true }).waitFor();
});
