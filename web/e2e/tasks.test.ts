import { expect, test } from "vitest";
import { call, copied, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("what a redrive could not move is retried, and only that", async () => {
  const tenant = await newTenant();
  const k = tenant.key;
  for (const name of ["orders", "other"]) await call(k, "PUT", `/v1/queues/${name}`);
  // They came from no other queue, so there is none to which they could go back.
  await call(k, "POST", "/v1/queues/orders/messages/batch", { messages: ["a", "b"].map((body) => ({ body })) });
  const { id } = await call<{ id: string }>(k, "POST", "/v1/queues/orders/redrive", { max_rate: 100 });
  const page = await newPage();
  await signIn(page, k);
  await page.goto(`/console/t/${tenant.name}/tasks/${id}`);
  const errors = page.getByRole("table", { name: "Errors" });
  await errors.getByText("no_source_queue").first().waitFor();
  expect(await errors.locator("[data-row]").count()).toBe(2);
  await page.getByText("the key first").waitFor(); // who asked for it
  await page.getByText("orders, to source, at most 100 a second").waitFor();
  expect(await copied(page, page, "Copy link")).toBe(page.url());

  await call(k, "POST", "/v1/queues/orders/messages", "c"); // it has not failed
  await page.getByRole("button", { name: "Retry what failed…" }).click();
  const dialog = page.getByRole("dialog");
  expect(await dialog.getByLabel("The 2 messages that failed").isChecked()).toBe(true);
  expect([await dialog.getByRole("textbox", { name: "To" }).inputValue(), await dialog.getByLabel("At most a second").inputValue()]).toEqual(["source", "100"]);
  await dialog.getByRole("textbox", { name: "To" }).fill("other");
  await dialog.getByRole("button", { name: "Redrive", exact: true }).click();
  await page.waitForURL((u) => u.pathname.includes("/tasks/") && !u.pathname.endsWith(id));
  await page.getByText("succeeded").waitFor();
  const bodies = async (queue: string) => (await call<{ data: { body: string }[] }>(k, "GET", `/v1/queues/${queue}/messages`)).data.map((m) => m.body).sort();
  expect([await bodies("orders"), await bodies("other")]).toEqual([["c"], ["a", "b"]]);
});

test("a redrive that was cancelled starts again as it was asked for", async () => {
  const tenant = await newTenant();
  const k = tenant.key;
  for (const name of ["orders", "other"]) await call(k, "PUT", `/v1/queues/${name}`);
  await call(k, "POST", "/v1/queues/orders/messages/batch", { messages: Array.from({ length: 90 }, () => ({ body: "hay" })) });
  const { id } = await call<{ id: string }>(k, "POST", "/v1/queues/orders/redrive", { to: "other", filter: "hay", max_rate: 1, limit: 80 });
  await call(k, "POST", `/v1/tasks/${id}/cancel`);
  const page = await newPage();
  await signIn(page, k);
  await page.goto(`/console/t/${tenant.name}/tasks/${id}`);
  await page.getByRole("button", { name: "Start again…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("The oldest go first").waitFor();
  await dialog.getByText(/At 1 a second that takes about 1m/).waitFor();
  const field = (label: string) => dialog.getByLabel(label).inputValue();
  expect([await dialog.getByRole("textbox", { name: "To" }).inputValue(), await field("At most a second"), await field("At most in all")]).toEqual(["other", "1", "80"]);
  await dialog.getByLabel("At most a second").fill("");
  await dialog.getByRole("button", { name: "Redrive", exact: true }).click();
  await page.waitForURL((u) => u.pathname.includes("/tasks/") && !u.pathname.endsWith(id));
  await page.getByText("succeeded").waitFor();
});
