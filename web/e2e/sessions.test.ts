import { expect, inject, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("an owner sees who is signed in and ends it; who is not sees the own sessions", async () => {
  const tenant = await newTenant();
  const { key: dev, id } = await call<{ key: string; id: string }>(tenant.key, "POST", "/v1/keys", { name: "<b>dev</b>", scopes: ["developer"] });
  const [owner, theirs] = [await newPage(), await newPage()];
  await signIn(owner, tenant.key);
  await signIn(theirs, dev);

  await theirs.getByRole("link", { name: "Sessions", exact: true }).click();
  await theirs.getByText("this one").waitFor();
  expect(await theirs.getByRole("row").count()).toBe(2); // the head, and their own

  await owner.getByRole("link", { name: "Sessions", exact: true }).click();
  await owner.getByText("<b>dev</b>").waitFor();
  expect(await owner.getByRole("row").count()).toBe(3);
  await owner.getByRole("button", { name: /^End the session of <b>dev/ }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "End it" }).click();
  await owner.getByText(/has ended\./).waitFor();
  await expect.poll(() => owner.getByRole("row").count()).toBe(2); // the list comes after the words
  await theirs.getByRole("dialog", { name: "Your session has ended" }).waitFor({ timeout: 5_000 }).catch(async () => {
    await theirs.reload();
    await theirs.getByRole("heading", { name: "Sign in to Sluice" }).waitFor();
  });
  expect(id).toMatch(/^key_/);

  await owner.getByRole("button", { name: /^End the session of first/ }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "Sign out" }).click();
  await owner.getByRole("heading", { name: "Sign in to Sluice" }).waitFor();
});

test("a portal link is shown once and lets in once", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  const owner = await newPage();
  await signIn(owner, tenant.key);
  await owner.getByRole("link", { name: "Portal links", exact: true }).click();
  await owner.getByRole("heading", { name: "No link waits to be used" }).waitFor();
  const make = async (page: typeof owner, name: string) => {
    const dialog = page.getByRole("dialog", { name: "Create a portal link" });
    await dialog.getByLabel("For whom").fill(name);
    await dialog.getByLabel("Role").selectOption("viewer");
    await dialog.getByRole("button", { name: "Create", exact: true }).click();
    const link = (await page.getByRole("dialog", { name: /^The portal link/ }).locator("pre").innerText()).trim();
    await page.getByRole("button", { name: "Done" }).click();
    return link;
  };
  await owner.getByRole("button", { name: "Create a portal link" }).first().click();
  const link = await make(owner, "<i>ana</i>@acme.example");
  expect(link).toContain("/console/portal#slp_");
  await owner.getByText("<i>ana</i>@acme.example").waitFor();
  expect(await owner.locator("main").innerText()).not.toContain("slp_");

  const ana = await newPage();
  await ana.goto(link.slice(0, link.indexOf("#")));
  await ana.getByRole("heading", { name: "This link is not whole" }).waitFor();
  await ana.goto(link); // the same page, so that nothing is loaded
  await ana.getByRole("button", { name: "Go in" }).click();
  await ana.getByRole("link", { name: "orders", exact: true }).waitFor();
  expect(ana.url()).not.toContain("slp_");
  await ana.goto(`/console/t/${tenant.name}/portal-links?new=link`);
  await ana.getByRole("dialog").getByRole("button", { name: "Create", exact: true }).click();
  await ana.getByRole("alert").getByText("permission_denied").first().waitFor();

  const late = await newPage();
  await late.goto(link);
  await late.getByRole("button", { name: "Go in" }).click();
  await late.getByRole("alert").getByText("portal_link_ended").waitFor();

  // An operator makes one for the tenant, and the tenant ends it.
  const operator = await newPage();
  await signIn(operator, inject("operatorKey"));
  await operator.goto(`/console/admin/tenants/${tenant.name}`);
  await operator.getByRole("button", { name: "Portal link…" }).click();
  const second = await make(operator, "of the operator");
  await owner.reload();
  await owner.getByRole("button", { name: "End the link for of the operator" }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "End it" }).click();
  await owner.getByRole("heading", { name: "No link waits to be used" }).waitFor();
  await late.goto("/console/");
  await late.goto(second);
  await late.getByRole("button", { name: "Go in" }).click();
  await late.getByRole("alert").getByText("portal_link_ended").waitFor();
});
