import { expect, inject, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("who is invited chooses a password, and may what the role says", async () => {
  const tenant = await newTenant();
  const email = `ana@${tenant.name}.example`;
  const owner = await newPage();
  await signIn(owner, tenant.key);
  await owner.getByRole("link", { name: "Members", exact: true }).click();
  await owner.getByRole("heading", { name: "Nobody signs in with a password yet" }).waitFor();
  await owner.getByRole("button", { name: "Invite" }).first().click();
  await owner.getByRole("dialog").getByLabel("E-mail address").fill(email);
  await owner.getByRole("dialog").getByLabel("Role").selectOption("viewer");
  await owner.getByRole("dialog").getByRole("button", { name: "Invite", exact: true }).click();
  const link = (await owner.getByRole("dialog", { name: /^The invitation of/ }).locator("pre").innerText()).trim();
  expect(link).toContain("/console/invitation#sli_");
  await owner.getByRole("button", { name: "Done" }).click();
  await owner.getByText("invited", { exact: true }).waitFor();

  const ana = await newPage();
  await ana.goto(link);
  await ana.getByLabel("Your name").fill("Ana");
  await ana.getByLabel("Password", { exact: true }).fill("too short");
  await ana.getByRole("button", { name: "Set the password and sign in" }).click();
  await ana.getByRole("alert").waitFor();
  await ana.getByLabel("Password", { exact: true }).fill("correct horse battery");
  await ana.getByRole("button", { name: "Set the password and sign in" }).click();
  await ana.getByRole("heading", { name: "No queues yet" }).waitFor();
  expect(ana.url()).not.toContain("sli_");
  await ana.getByRole("button", { name: "Create a queue" }).first().click();
  await ana.getByRole("dialog").getByLabel("Name").fill("orders");
  await ana.getByRole("dialog").getByRole("button", { name: "Create", exact: true }).click();
  await ana.getByRole("alert").getByText("permission_denied").waitFor();
  await ana.keyboard.press("Escape");

  await ana.getByRole("button", { name: "You and how things look" }).click();
  await ana.getByRole("menuitem", { name: "Change the password…" }).click();
  await ana.getByLabel("The password that holds").fill("correct horse battery");
  await ana.getByLabel("The new password").fill("another horse battery");
  await ana.getByRole("button", { name: "Change", exact: true }).click();
  await ana.getByText("The password is changed").waitFor();
  await ana.getByRole("button", { name: "You and how things look" }).click();
  await ana.getByRole("menuitem", { name: "Sign out" }).click();

  await ana.getByText("With a password").click();
  await ana.getByLabel("E-mail address").fill(email);
  await ana.getByLabel("Password", { exact: true }).fill("correct horse battery");
  await ana.getByRole("button", { name: "Sign in" }).click();
  await ana.getByRole("alert").getByText("sign_in_failed").waitFor();
  await ana.getByLabel("Password", { exact: true }).fill("another horse battery");
  await ana.getByRole("button", { name: "Sign in" }).click();
  await ana.getByRole("heading", { name: "No queues yet" }).waitFor();

  await owner.getByRole("button", { name: `Actions for ${email}` }).click();
  await owner.getByRole("menuitem", { name: "Change the role…" }).click();
  await owner.getByRole("dialog").getByLabel("Role").selectOption("developer");
  await owner.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await owner.getByRole("cell", { name: "developer", exact: true }).waitFor();
  await owner.getByRole("button", { name: `Actions for ${email}` }).click();
  await owner.getByRole("menuitem", { name: "Remove…" }).click();
  await owner.getByLabel(/^Type/).fill(email);
  await owner.getByRole("button", { name: "Remove", exact: true }).click();
  await owner.getByRole("heading", { name: "Nobody signs in with a password yet" }).waitFor();
  await ana.getByRole("dialog", { name: "Your session has ended" }).waitFor();
});

test("who is a member of two tenants with one password says which", async () => {
  const [one, two] = [await newTenant(), await newTenant()];
  const email = `bo@${one.name}.example`;
  for (const t of [one, two]) {
    const { invitation } = await call<{ invitation: { token: string } }>(t.key, "POST", "/v1/members", { email, role: "owner" });
    await call(t.key, "POST", "/v1/invitations/accept", { token: invitation.token, password: "the same for both" });
  }
  const page = await newPage();
  await page.goto("/console/");
  await page.getByText("With a password").click();
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password", { exact: true }).fill("the same for both");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByLabel("Tenant").selectOption(two.name);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`**/t/${two.name}/queues`);
});

test("an operator sees what a tenant sees, and can change nothing until he leaves", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  const page = await newPage();
  await signIn(page, inject("operatorKey"));
  await page.goto(`/console/admin/tenants/${tenant.name}`);
  await page.getByRole("button", { name: "View as" }).click();
  await page.getByText(`You view ${tenant.name} as it sees itself`).waitFor();
  await page.getByRole("link", { name: "orders", exact: true }).click();
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await page.getByRole("status").getByText(/only read|read-only|change/i).first().waitFor();
  await page.reload();
  await page.getByRole("button", { name: "Purge…" }).click();
  await page.getByLabel(/^Type/).fill("orders");
  await page.getByRole("button", { name: "Purge", exact: true }).click();
  await page.getByRole("alert").getByText("read_only_session").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Exit" }).click();
  await page.waitForURL(`**/admin/tenants/${tenant.name}`);
  await page.getByRole("link", { name: "Plans" }).waitFor();
  expect(await page.getByText("as it sees itself").count()).toBe(0);
});
