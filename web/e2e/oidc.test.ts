import type { Page } from "playwright-core";
import { expect, inject, test } from "vitest";
import { call, inBrowser, newPage, newTenant } from "./kit";

inBrowser();

// The provider is on 127.0.0.1, so by this name the console is another site, as it is in the world.
const elsewhere = { baseURL: inject("url").replace("127.0.0.1", "localhost") };

const link = (page: Page) => page.getByRole("link", { name: "Sign in with the company" });

async function say(page: Page, tenant: string, role: string, button = "Let me in") {
  await page.getByRole("heading", { name: "Who are you?" }).waitFor();
  await page.getByLabel("Tenant").fill(tenant);
  await page.getByLabel("Role").fill(role);
  await page.getByRole("button", { name: button }).click();
}

test("who has an identity provider signs in there, and comes back to the address that was open", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  const page = await newPage(elsewhere);
  const asked: string[] = [];
  page.on("request", (r) => asked.push(r.url()));
  const deep = `/console/t/${tenant.name}/queues/orders/messages?f=age%3E5`;
  await page.goto(deep);
  await link(page).focus();
  await page.keyboard.press("Enter");
  await say(page, tenant.name, "viewer");
  await page.getByRole("navigation", { name: "Main" }).waitFor({ state: "attached" });
  expect(new URL(page.url()).pathname + new URL(page.url()).search).toBe(deep);
  expect(await page.evaluate(() => document.cookie)).toBe("");
  const kept = (await page.context().cookies()).map((c) => c.name);
  expect(kept).toEqual(["__Host-sluice-session"]);

  await page.getByRole("button", { name: "You and how things look" }).click();
  await page.getByText("Ana of <b>login</b>").waitFor();
  expect(await page.getByRole("menuitem", { name: "Change the password…" }).count()).toBe(0);
  await page.keyboard.press("Escape");
  await page.goto(`/console/t/${tenant.name}/queues`);
  await page.getByRole("button", { name: "Create a queue" }).first().click();
  await page.getByRole("dialog").getByLabel("Name").fill("more");
  await page.getByRole("dialog").getByRole("button", { name: "Create", exact: true }).click();
  await page.getByRole("alert").getByText("permission_denied").waitFor();
  await page.keyboard.press("Escape");

  // What is ended on the server ends here, and who comes back is where they were.
  const { data } = await call<{ data: { id: string; identity: { subject: string } | null }[] }>(tenant.key, "GET", "/v1/sessions");
  const own = data.find((s) => s.identity?.subject === "ana");
  await call(tenant.key, "DELETE", `/v1/sessions/${own?.id}`);
  await page.getByRole("dialog", { name: "Your session has ended" }).waitFor({ timeout: 20_000 });
  await link(page).click();
  await say(page, tenant.name, "developer");
  await page.waitForURL(`**/console/t/${tenant.name}/queues`);
  await page.getByRole("link", { name: "orders", exact: true }).waitFor();

  await page.getByRole("button", { name: "You and how things look" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in to Sluice" }).waitFor();
  const codes = asked.filter((u) => u.includes("code=")).map((u) => new URL(u).pathname);
  expect(codes).toEqual(["/v1/session/oidc/callback", "/v1/session/oidc/callback"]);
});

test("who is not let in is told why, and can sign in otherwise", async () => {
  const tenant = await newTenant();
  const page = await newPage(elsewhere);
  await page.goto(`/console/t/${tenant.name}/queues`);
  await link(page).click();
  await say(page, tenant.name, "viewer", "Deny");
  const alert = page.getByRole("alert");
  await alert.getByText("access was denied").waitFor();
  expect(await page.locator("body").innerText()).not.toContain("<b>no</b>");
  await link(page).click();
  await say(page, tenant.name, "emperor");
  await alert.getByText("does not say in which tenant you have which role").waitFor();
  await link(page).click();
  await page.getByRole("heading", { name: "Who are you?" }).waitFor();
  await page.context().clearCookies();
  await say(page, tenant.name, "viewer");
  await alert.getByText("begun in another browser").waitFor();
  await page.goto("/console/#sign_in_failed=<img src=x onerror=alert(1)>");
  await page.reload();
  await alert.getByText("unknown", { exact: true }).waitFor();

  await page.goto(`/console/t/${tenant.name}/queues#sign_in_failed=issuer_unavailable`);
  await page.reload();
  await alert.getByText("does not answer").waitFor();
  await page.getByLabel("Key", { exact: true }).fill(tenant.key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "No queues yet" }).waitFor();
  await page.waitForURL((u) => u.hash === "");
});
