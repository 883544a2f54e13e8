import { expect, inject, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("what there is stands beside what there may be", async () => {
  const { name, key } = await newTenant();
  await call(inject("operatorKey"), "PATCH", `/v1/tenants/${name}`, { limits: { queues: 4 } });
  for (const q of ["a", "b", "c"]) await call(key, "PUT", `/v1/queues/${q}`);
  const page = await newPage();
  await signIn(page, key);
  await page.goto(`/console/t/${name}/limits`);
  await page.getByText("3 of 4 · 75 %").waitFor();
  expect(await page.getByRole("progressbar", { name: "Queues: 75 % used" }).getAttribute("aria-valuenow")).toBe("75");
  await call(key, "PUT", "/v1/queues/d"); // by somebody else
  await page.getByText("4 of 4 · 100 %, full").waitFor();
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
