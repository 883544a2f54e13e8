import { randomUUID } from "node:crypto";
import { expect, inject, test } from "vitest";
import { call, copied, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("a tenant is made from a name, and its key opens its console", async () => {
  const page = await newPage();
  await signIn(page, inject("operatorKey"));
  await page.getByRole("button", { name: "Create a tenant" }).click();
  const name = `acme-${Date.now().toString(36)}`;
  await page.getByRole("dialog").getByLabel("Name").fill(name);
  await page.getByRole("dialog").getByRole("button", { name: "Create", exact: true }).click();
  const shown = page.getByRole("dialog", { name: /^The key/ });
  const key = (await shown.locator("pre").first().innerText()).trim();
  expect(key).toMatch(/^slk_/);
  const [file] = await Promise.all([page.waitForEvent("download"), shown.getByRole("button", { name: "Download as .env" }).click()]);
  expect(Buffer.concat(await (await file.createReadStream()).toArray()).toString()).toBe(`MQ=${inject("url")}/v1\nKEY=${key}\n`);
  expect(await shown.getByRole("button", { name: "Done" }).isDisabled()).toBe(true);
  await shown.getByLabel("I have stored it").check();
  await shown.getByRole("button", { name: "Done" }).click();
  const theirs = await newPage();
  await signIn(theirs, key);
  await theirs.getByRole("heading", { name: "No queues yet" }).waitFor();
  expect(new URL(theirs.url()).pathname).toBe(`/console/t/${name}/queues`);
});

test("a suspended tenant reads why", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  const theirs = await newPage();
  await signIn(theirs, tenant.key);
  await theirs.getByRole("link", { name: "orders", exact: true }).waitFor();

  const page = await newPage();
  await signIn(page, inject("operatorKey"));
  await page.goto(`/console/admin/tenants/${tenant.name}`);
  await page.getByRole("button", { name: "Suspend…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill("the bill of March");
  await dialog.getByRole("button", { name: "Suspend", exact: true }).click();
  await page.getByText("the bill of March").waitFor();

  await theirs.getByRole("alert").getByText("tenant_suspended").waitFor({ timeout: 15_000 });
  await theirs.getByText("the bill of March").first().waitFor();
  expect(await theirs.getByRole("link", { name: "Ask the operator" }).first().getAttribute("href")).toMatch(/^mailto:ops.*@example\.com$/);

  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByText("may work again").waitFor();
  await theirs.getByRole("alert").waitFor({ state: "detached", timeout: 15_000 });
});

test("a suspension says until when it holds", async () => {
  const tenant = await newTenant();
  const page = await newPage();
  await signIn(page, inject("operatorKey"));
  await page.goto(`/console/admin/tenants/${tenant.name}`);
  await page.getByRole("button", { name: "Suspend…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Until").fill("2020-01-01T00:00:00Z");
  await dialog.getByRole("button", { name: "Suspend", exact: true }).click();
  await dialog.getByText("must be in the future").first().waitFor();
  await dialog.getByLabel("Until").fill(new Date(Date.now() + 3_600_000).toISOString());
  await dialog.getByRole("button", { name: "Suspend", exact: true }).click();
  await page.getByRole("alert").getByText(/, until .*, in \d/).waitFor();
  await expect(call(tenant.key, "PUT", "/v1/queues/orders")).rejects.toThrow("403");
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("alert").waitFor({ state: "detached" });
});

test("who belongs to a suspended tenant can sign out", async () => {
  const tenant = await newTenant();
  const [one, two] = [await newPage(), await newPage()];
  await signIn(one, tenant.key);
  await signIn(two, tenant.key);
  await call(inject("operatorKey"), "POST", `/v1/tenants/${tenant.name}/suspend`, { mode: "all" });

  // From a screen that was open, and from a page that does not even get to know whose session it is.
  await one.getByRole("button", { name: "You and how things look" }).click();
  await one.getByRole("menuitem", { name: "Sign out" }).click();
  await two.reload();
  await two.getByRole("alert").getByText("tenant_suspended").waitFor();
  await two.getByRole("button", { name: "Sign out" }).click();
  for (const page of [one, two]) {
    await page.getByLabel("Key", { exact: true }).waitFor();
    expect((await page.context().cookies()).map((c) => c.name)).toEqual([]);
  }

  await call(inject("operatorKey"), "POST", `/v1/tenants/${tenant.name}/resume`);
  await two.reload();
  await two.getByLabel("Key", { exact: true }).waitFor();
});

test("an operator acts for the tenant of the address, and no other sees it", async () => {
  const [one, two] = [await newTenant(), await newTenant()];
  await call(one.key, "PUT", "/v1/queues/of-one");
  const page = await newPage();
  await signIn(page, inject("operatorKey"));
  await page.goto(`/console/t/${one.name}/queues`);
  await page.getByText("of-one").waitFor();
  await page.goto(`/console/t/${two.name}/queues`);
  await page.getByRole("heading", { name: "No queues yet" }).waitFor();

  const theirs = await newPage();
  await signIn(theirs, two.key);
  await theirs.goto(`/console/t/${one.name}/queues`);
  await theirs.waitForURL(`**/t/${two.name}/queues`);
  await theirs.goto("/console/admin/tenants");
  await theirs.getByRole("alert").waitFor();
  expect(await theirs.getByText(one.name).count()).toBe(0);
});

test("a tenant goes with all it has, after it was suspended", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  await call(tenant.key, "POST", "/v1/queues/orders/messages", "hello");
  const page = await newPage();
  await signIn(page, inject("operatorKey"));
  await page.goto(`/console/admin/tenants/${tenant.name}`);
  const remove = async () => {
    await page.getByRole("button", { name: "Delete…" }).click();
    await page.getByLabel(/^Type/).fill(tenant.name);
    await page.getByRole("button", { name: "Delete", exact: true }).click();
  };
  await remove();
  await page.getByRole("alert").getByText("tenant_not_empty").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Suspend…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Suspend", exact: true }).click();
  await page.getByText("It may do nothing").first().waitFor();
  await remove();
  await page.getByRole("heading", { name: "Delete tenant" }).waitFor();
  await page.getByText("succeeded").waitFor();
  await page.goto(`/console/admin/tenants/${tenant.name}`);
  await page.getByRole("alert").getByText("tenant_not_found").waitFor();
});

test("an operator sees which tenants do most, and how much of its limits one uses", async () => {
  const tenant = await newTenant();
  await call(inject("operatorKey"), "PATCH", `/v1/tenants/${tenant.name}`, { limits: { stored_bytes: 1_048_576, queues: 4 } });
  await call(tenant.key, "PUT", "/v1/queues/orders");
  await call(tenant.key, "POST", "/v1/queues/orders/messages/batch", { messages: Array.from({ length: 7 }, () => ({ body: "x".repeat(100_000) })) });
  const page = await newPage();
  await signIn(page, inject("operatorKey"));
  await page.goto(`/console/admin/tenants?q=${tenant.name}`);
  const table = page.getByRole("table", { name: "Tenants" });
  await table.getByText(/68\d(\.\d)? KiB of 1 MiB/).waitFor(); // within ten seconds, in which servers count
  await table.getByRole("progressbar", { name: /6\d % of what/ }).waitFor();
  expect(await table.locator("td[data-label=Available]").allInnerTexts()).toEqual(["7"]);
  await table.getByRole("button", { name: "Stored" }).click();
  await page.waitForURL((u) => u.searchParams.get("sort") === "-bytes");
  await table.getByRole("link", { name: tenant.name, exact: true }).click();
  await page.getByRole("progressbar", { name: "Queues: 25 % used" }).waitFor();

  await page.goto("/console/admin/overview?sort=-bytes");
  await page.getByRole("table", { name: "Tenants" }).getByRole("link", { name: tenant.name, exact: true }).waitFor();
  const theirs = await newPage();
  await signIn(theirs, tenant.key);
  await theirs.goto("/console/admin/overview");
  await theirs.getByRole("alert").first().waitFor();
  expect(await theirs.getByRole("table", { name: "Tenants" }).count()).toBe(0);
});

test("the server says how it is, how it was set up, and packs that for whoever helps", async () => {
  const tenant = await newTenant();
  await call(inject("operatorKey"), "PATCH", `/v1/tenants/${tenant.name}`, { aws_any_signature: true });
  const page = await newPage();
  await signIn(page, inject("operatorKey"));
  await page.goto("/console/admin/system");
  const found = page.getByRole("table", { name: "What it finds" });
  await found.getByText(`no secret for what is of tenant ${tenant.name}`).waitFor();
  expect(await found.getByRole("row").nth(1).innerText()).not.toContain("well"); // the worst comes first
  expect(await found.getByRole("link", { name: "aws in the docs" }).first().getAttribute("href")).toMatch(/docs\/aws\.md#what-to-know$/);

  await call(inject("operatorKey"), "PATCH", `/v1/tenants/${tenant.name}`, { aws_any_signature: false });
  await page.getByRole("button", { name: "Look again" }).click();
  await found.getByText(`of tenant ${tenant.name}`).waitFor({ state: "detached" });

  const settings = page.getByRole("table", { name: "Settings" });
  await settings.getByText("SLUICE_OIDC_CLIENT_SECRET").waitFor();
  expect(await settings.getByRole("row", { name: /oidc_client_secret/ }).innerText()).toContain("***");
  expect(await settings.getByText("log_format").count()).toBe(0);
  await page.getByRole("button", { name: "Show all" }).click();
  await settings.getByText("log_format").waitFor();

  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
  const text = Buffer.concat(await (await file.createReadStream()).toArray()).toString();
  expect(file.suggestedFilename()).toMatch(/^sluice-support-\d{4}-\d\d-\d\d\.json$/);
  expect(JSON.parse(text)).toMatchObject({ format: 1, system: { engine: "redis-server" } });
  for (const secret of [tenant.name, tenant.key, inject("operatorKey")]) expect(text).not.toContain(secret);
});

test("the log of the server grows on the page, is filtered there, and is text", async () => {
  const tenant = await newTenant();
  const page = await newPage();
  await signIn(page, inject("operatorKey"));
  const mark = randomUUID().slice(0, 8);
  const ask = (id: string) => fetch(`${inject("url")}/v1/queues/nowhere`, { headers: { Authorization: `Basic ${btoa(`${tenant.key}:`)}`, "Request-Id": `${mark}-${id}` } });
  const hostile = "<img src=x onerror=alert(1)>";
  await ask(`early${hostile}`);

  await page.goto(`/console/admin/system?q=${mark}`);
  const log = page.getByRole("log", { name: "Log" });
  const line = (id: string) => log.getByRole("button", { name: `${mark}-${id}` });
  await line("early").waitFor();
  expect(await log.locator("img, script, a").count()).toBe(0);
  await ask("late");
  await line("late").waitFor();
  expect(await log.getByRole("button").count()).toBe(2);

  // A line is opened, and copied as a whole.
  await line("early").click();
  await page.waitForURL((u) => u.searchParams.has("m"));
  await log.getByText("/v1/queues/:queue", { exact: true }).waitFor();
  await log.getByText(`${mark}-early${hostile}`, { exact: true }).waitFor();
  expect(await copied(page, log, "Copy the line")).toMatch(new RegExp(`^\\d{4}-.*Z INFO request method=GET route=/v1/queues/:queue status=404 queue=nowhere tenant=.* client_request_id=${mark}-early<img`));

  // Nothing moves while one reads: what comes waits.
  await ask("meanwhile");
  await page.getByRole("button", { name: "1 new line · show" }).waitFor();
  expect(await line("meanwhile").count()).toBe(0);
  await page.getByRole("button", { name: "1 new line · show" }).click();
  await line("meanwhile").waitFor();
  await page.waitForURL((u) => !u.searchParams.has("m"));
  await log.getByRole("button", { expanded: true }).waitFor({ state: "detached" });
  await page.locator("h1").click();
  await page.keyboard.press("p");
  await ask("paused");
  await page.getByRole("button", { name: "1 new line · show" }).waitFor();
  await page.keyboard.press("p");
  await line("paused").waitFor();

  // The server filters: of all these lines none is a warning.
  await page.getByLabel("Level", { exact: true }).selectOption("warn");
  await page.waitForURL((u) => u.searchParams.get("level") === "warn");
  await page.getByText(`Nothing matches “${mark}” on level warn or above yet.`).waitFor();
  await page.getByRole("button", { name: "Clear filters" }).click();
  await page.waitForURL((u) => u.search === "");
  await log.getByRole("button").first().waitFor();
});

// Many lines: the end is followed until somebody scrolls away from it.
test("the log stays where one reads it", async () => {
  const tenant = await newTenant();
  const page = await newPage();
  await signIn(page, inject("operatorKey"));
  const mark = randomUUID().slice(0, 8);
  const ask = async (from: number, to: number) => {
    for (let i = from; i < to; i++) await fetch(`${inject("url")}/v1/queues/nowhere`, { headers: { Authorization: `Basic ${btoa(`${tenant.key}:`)}`, "Request-Id": `${mark}-${i}.` } });
  };
  await ask(0, 60);
  await page.goto(`/console/admin/system?q=${mark}`);
  const log = page.getByRole("log", { name: "Log" });
  const line = (i: number) => log.getByRole("button", { name: `${mark}-${i}.` });
  const fromEnd = () => log.evaluate((e) => e.scrollHeight - e.clientHeight - e.scrollTop);
  await line(59).waitFor();
  await expect.poll(fromEnd).toBeLessThan(2);
  await ask(60, 65);
  await line(64).waitFor();
  await expect.poll(fromEnd).toBeLessThan(2);

  await log.evaluate((e) => (e.scrollTop = 100));
  await page.getByRole("button", { name: "To the end" }).waitFor();
  await ask(65, 68);
  await page.getByRole("button", { name: "3 new lines · show" }).waitFor();
  expect(await log.evaluate((e) => e.scrollTop)).toBe(100);
  await page.getByRole("button", { name: "3 new lines · show" }).click();
  await line(67).waitFor();
  await expect.poll(fromEnd).toBeLessThan(2);
});

// Who may not see the log is told so once, and a hidden tab asks nothing.
test("the log is not asked for in vain", async () => {
  const { key } = await call<{ key: string }>(inject("operatorKey"), "POST", "/v1/operator_keys", { name: "tenants only", scopes: ["tenants:read"] });
  const page = await newPage();
  let asked = 0;
  page.on("request", (r) => {
    if (new URL(r.url()).pathname === "/v1/system/log") asked++;
  });
  await signIn(page, key);
  await page.clock.install();
  await page.goto("/console/admin/system");
  await page.getByText("system:read").first().waitFor();
  await expect.poll(() => asked).toBe(1);
  await page.clock.runFor(20_000);
  expect(asked).toBe(1);

  const other = await newPage();
  const open = new Set<string>();
  let opened = 0;
  other.on("request", (r) => {
    if (new URL(r.url()).pathname !== "/v1/system/log") return;
    opened++;
    open.add(r.url());
  });
  other.on("requestfailed", (r) => open.delete(r.url()));
  await signIn(other, inject("operatorKey"));
  await other.goto("/console/admin/system");
  await other.getByRole("log", { name: "Log" }).waitFor();
  const hide = (hidden: boolean) =>
    other.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await hide(true);
  await expect.poll(() => open.size).toBe(0);
  expect(opened).toBe(1);
  await hide(false);
  await expect.poll(() => opened).toBe(2);
  expect([...open][0]).toContain("cursor=");
});

test("the fleet says how full the storage is, and its tenants are a table to keep", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/orders");
  const page = await newPage();
  await signIn(page, inject("operatorKey"));
  await page.goto("/console/admin/overview");
  await page.getByText(/^[\d.]+ [kMG]iB of [\d.]+ [MGT]iB, \d+ %$/).waitFor();
  await page.goto(`/console/admin/tenants?q=${tenant.name}`);
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export as CSV" }).click()]);
  const lines = Buffer.concat(await (await file.createReadStream()).toArray()).toString().trim().split("\r\n");
  expect(file.suggestedFilename()).toBe("tenants.csv");
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/^name,id,account_number,state/);
  expect(lines[1]).toMatch(new RegExp(`^${tenant.name},[^,]+,\\d{12},active,`));
  const row = page.getByRole("table", { name: "Tenants" }).getByRole("row", { name: tenant.name });
  expect(await row.locator("td[data-label=Failing]").innerText()).toBe("–");
  await call(tenant.key, "POST", "/v1/queues/orders/messages", "waits");
  await row.locator("td[data-label=Oldest]", { hasText: /^\d+ ?s$/ }).waitFor({ timeout: 40_000 });
});

test("an operator sees how a tenant fares, what a limit would do, and replaces its keys", async () => {
  const tenant = await newTenant();
  await call(inject("operatorKey"), "POST", `/v1/tenants/${tenant.name}/keys`, { name: "second" });
  await call(tenant.key, "PUT", "/v1/queues/orders");
  await call(tenant.key, "POST", "/v1/queues/orders/messages", "waits");
  await expect.poll(() => call<{ data: unknown[] }>(inject("operatorKey"), "GET", `/v1/tenants/${tenant.name}/usage`).then((u) => u.data.length), { timeout: 30_000 }).toBe(1);
  const page = await newPage();
  await signIn(page, inject("operatorKey"));
  await page.goto(`/console/admin/tenants/${tenant.name}`);
  const main = page.locator("main");
  await main.getByText(/, in orders$/).waitFor();
  await main.getByText("< 0.01 a second").waitFor();
  const keys = page.getByRole("table", { name: "Keys" });
  expect(await keys.getByRole("row").nth(1).innerText()).toMatch(/first[\s\S]*ago[\s\S]*127\.0\.0\.1/);
  expect(await keys.getByRole("row").nth(2).innerText()).toMatch(/second[\s\S]*never/);
  await page.getByRole("table", { name: "Changes of the tenant" }).getByText("putTenant").first().waitFor();

  await page.getByRole("textbox", { name: "Keys" }).fill("1");
  await page.getByText("Keys: 2 now. It keeps them, and gets no more.").waitFor();
  await page.getByRole("textbox", { name: "Requests a second" }).fill("5");
  await page.getByText(/The busiest hour of the last week, .* had < 0.01 a second on average: below the limit, but for bursts\./).waitFor();

  await page.getByRole("button", { name: "Rotate all…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("The old keys go on for").fill("0");
  await dialog.getByRole("button", { name: "Rotate all", exact: true }).click();
  await dialog.getByText("They are shown this once").waitFor();
  await dialog.getByLabel("I have stored them").check();
  const shown = (await dialog.locator("pre").first().innerText()).trim().split("\n");
  expect(shown.map((l) => l.split(" ")[0]).sort()).toEqual(["first", "second"]);
  for (const line of shown) await call(line.split(" ")[1] ?? "", "GET", "/v1/queues");
  await expect.poll(() => call(tenant.key, "GET", "/v1/queues").then(() => "let in", (e: Error) => e.message), { timeout: 15_000 }).toContain("401");
  await dialog.getByRole("button", { name: "Done" }).click();
});

test("the audit log names who could not sign in", async () => {
  const tenant = await newTenant();
  const email = `ana@${tenant.name}.example.com`;
  const { invitation } = await call<{ invitation: { token: string } }>(tenant.key, "POST", "/v1/members", { email, role: "viewer" });
  const ask = (path: string, body: unknown) => fetch(`${inject("url")}${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }).then((r) => r.status);
  expect(await ask("/v1/invitations/accept", { token: invitation.token, password: "correct horse battery" })).toBeLessThan(300);
  expect(await ask("/v1/session", { email, password: "wrong password" })).toBe(401);
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.goto(`/console/t/${tenant.name}/audit?outcome=refused`);
  await page.getByRole("row", { name: /createSession.*somebody who could not sign in/ }).waitFor();
});

test("the audit log of a tenant is kept as lines and as a table, by an operator too", async () => {
  const tenant = await newTenant();
  for (const q of ["one", "two"]) await call(tenant.key, "PUT", `/v1/queues/${q}`);
  for (const key of [tenant.key, inject("operatorKey")]) {
    const page = await newPage();
    await signIn(page, key);
    await page.goto(`/console/t/${tenant.name}/audit?target=two`);
    await page.getByRole("row", { name: /putQueue/ }).waitFor();
    const stored = async (button: string) => {
      const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: button, exact: true }).click()]);
      return Buffer.concat(await (await file.createReadStream()).toArray()).toString();
    };
    const lines = (await stored("Export")).trim().split("\n").map((l) => JSON.parse(l) as { operation: string; target: { name: string } });
    expect(lines.map((e) => [e.operation, e.target.name])).toEqual([["putQueue", "two"]]);
    const table = (await stored("As CSV")).trim().split("\r\n");
    expect(table[0]).toBe("time,operation,outcome,code,tenant,type,queue,topic,name,actor,actor_id,source_ip,request_id,before,after");
    expect(table).toHaveLength(2);
    expect(table[1]).toMatch(/,putQueue,done,.*,two,(tenant|operator),key_/);
  }
});
