import { expect, inject, test } from "vitest";
import { call, inBrowser, newPage, newTenant, openLive, signIn } from "./kit";

inBrowser();

test("what there is stands beside what there may be", async () => {
  const { name, key } = await newTenant();
  await call(inject("operatorKey"), "PATCH", `/v1/tenants/${name}`, { limits: { queues: 4 } });
  for (const q of ["a", "b", "c"]) await call(key, "PUT", `/v1/queues/${q}`);
  const page = await newPage();
  await signIn(page, key);
  await openLive(page, `/console/t/${name}/limits`);
  await page.getByText("3 of 4 · 75 %").waitFor();
  expect(await page.getByRole("progressbar", { name: "Queues: 75 % used" }).getAttribute("aria-valuenow")).toBe("75");
  await call(key, "PUT", "/v1/queues/d"); // by somebody else
  await page.getByText("4 of 4 · 100 %, full").waitFor();
});

test("a tenant asks for more where the server says, and only where a browser may be sent", async () => {
  const { name, key } = await newTenant();
  await call(inject("operatorKey"), "PATCH", `/v1/tenants/${name}`, { limits: { queues: 4 } });
  for (const q of ["a", "b", "c", "d"]) await call(key, "PUT", `/v1/queues/${q}`);
  const { tenant } = await call<{ tenant: { id: string } }>(key, "GET", "/v1/whoami");
  const page = await newPage();
  await signIn(page, key);
  const ask = page.getByRole("link", { name: "Ask for more" });
  const who = `tenant ${name} (${tenant.id})`;
  for (const screen of ["usage", "limits"]) {
    await page.goto(`/console/t/${name}/${screen}`);
    await page.getByText("4 of 4 · 100 %, full").waitFor();
    const [to, query] = ((await ask.getAttribute("href")) ?? "").split("?");
    expect(to).toBe("mailto:ops%26co%2Bsluice@example.com");
    expect([...new URLSearchParams(query)]).toEqual([["subject", `Larger limits for ${who}`], ["body", `This is about the limits of ${who}.\r\n\r\nQueues: 4 of 4\r\n`]]);
  }

  // As a server answers that has another contact, or none.
  let contact: string | null = "https://help.example.com/limits?from=sluice";
  await page.route("**/v1/whoami", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...((await response.json()) as object), contact } });
  });
  await page.reload();
  await ask.waitFor();
  expect(await Promise.all(["href", "target", "rel"].map((a) => ask.getAttribute(a)))).toEqual([contact, "_blank", "noreferrer"]);
  for (contact of [null, "javascript:document.title='owned'"]) {
    await page.reload();
    await page.getByText("Account number in ARNs").waitFor(); // from the same answer
    expect(await ask.count()).toBe(0);
  }
});

test("a list of queues asks once for the last hours of all", async () => {
  const { key } = await newTenant();
  for (const q of ["a", "b", "c"]) await call(key, "PUT", `/v1/queues/${q}`);
  await call(key, "POST", "/v1/queues/b/messages", "x");
  // Samples are taken every ten seconds.
  const sampled = async () => (await call<{ data: { available: number[] }[] }>(key, "GET", "/v1/sparks?queues=b")).data[0]?.available.at(-1) === 1;
  for (let i = 0; i < 150 && !(await sampled()); i++) await new Promise((r) => setTimeout(r, 200));
  const page = await newPage();
  const asked: string[] = [];
  page.on("request", (r) => {
    if (/\/v1\/(sparks|queues\/)/.test(r.url())) asked.push(new URL(r.url()).search);
  });
  await signIn(page, key);
  await page.getByRole("img", { name: /Available in the last hour: .* now 1/ }).waitFor();
  expect(new Set(asked)).toEqual(new Set([`?queues=${encodeURIComponent("a,b,c")}`]));
});

test("what was used is drawn, with what a rate refused, and is a table to keep", async () => {
  const { name, key } = await newTenant();
  const operator = inject("operatorKey");
  for (const q of ["busy", "calm"]) await call(key, "PUT", `/v1/queues/${q}`);
  for (let i = 0; i < 3; i++) await call(key, "POST", "/v1/queues/busy/messages", "x".repeat(100));
  await call(key, "POST", "/v1/queues/calm/messages", "x".repeat(200_000));
  await call(operator, "PATCH", `/v1/tenants/${name}`, { limits: { requests_per_second: 1 } });
  const refused = async () => call(key, "GET", "/v1/queues/busy").then(() => false, (e: Error) => e.message.includes("429"));
  while (!(await refused()));
  await call(operator, "PATCH", `/v1/tenants/${name}`, { limits: { requests_per_second: null } });
  type Counted = { data: { throttled: number }[] };
  await expect.poll(() => call<Counted>(operator, "GET", `/v1/tenants/${name}/usage`).then((u) => u.data.reduce((n, e) => n + e.throttled, 0)), { timeout: 30_000 }).toBe(1);
  const fleet = await newPage();
  await signIn(fleet, operator);
  await fleet.goto("/console/admin/overview?sort=-throttled");
  await fleet.getByRole("table", { name: "Tenants" }).getByRole("row", { name: new RegExp(`${name}.* 1 –`) }).waitFor();

  const page = await newPage();
  await signIn(page, key);
  await page.goto(`/console/t/${name}/usage`);
  await page.getByRole("img", { name: /^Requests in each day: \d+ let in and 1 refused by a rate, in all$/ }).locator("canvas").waitFor();
  await page.getByText(/^2 of [\d,]+ · \d+ %$/).waitFor();
  await page.getByText("By queue").click();
  const most = (of: string) => page.getByRole("table", { name: `Most ${of} in 7 days` }).getByRole("link").first();
  await expect.poll(() => most("requests").innerText()).toBe("busy");
  expect(await most("bytes").innerText()).toBe("calm");
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export as CSV" }).click()]);
  const lines = Buffer.concat(await (await file.createReadStream()).toArray()).toString().trim().split("\r\n");
  expect(file.suggestedFilename()).toBe("usage-day-queue.csv");
  expect(lines[0]).toBe("start,queue,topic,others,requests,throttled,bytes_in,bytes_out,messages_sent,messages_received,messages_deleted,messages_published,messages_delivered,undelivered");
  expect(lines.slice(1).map((l) => l.split(",")[1])).toEqual(expect.arrayContaining(["busy", "calm"]));
});
