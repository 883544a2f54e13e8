import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

const many = 30;

// broken makes a tenant whose queue bills has given up messages.
async function broken() {
  const tenant = await newTenant();
  const k = tenant.key;
  await call(k, "PUT", "/v1/queues/bills", { redrive: { dead_letter_queue: "bills-dlq", max_receives: 5 } });
  await call(k, "POST", "/v1/queues/bills/messages/batch", { messages: Array.from({ length: many }, (_, i) => ({ body: JSON.stringify({ bill: i, price: null }) })) });
  const { messages } = await call<{ messages: { receipt_handle: string }[] }>(k, "POST", `/v1/queues/bills/receive?max=${many}`);
  await call(k, "POST", "/v1/queues/bills/ack", { dead_letter: messages.map((m, i) => ({ receipt_handle: m.receipt_handle, reason: i < 5 ? "the bank is closed" : "price: null" })) });
  const arrived = async () => (await call<{ counts: { available: number } }>(k, "GET", "/v1/queues/bills-dlq")).counts.available === many;
  for (let i = 0; i < 50 && !(await arrived()); i++) await new Promise((r) => setTimeout(r, 100));
  return tenant;
}

test("at three in the morning: group by reason, mend one, send the others back, delete what is hopeless", async () => {
  const tenant = await broken();
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.getByRole("link", { name: "bills", exact: true }).click();
  await page.getByRole("link", { name: "Dead letters", exact: true }).click();
  await page.getByText("given up").first().waitFor();

  const reasons = page.getByRole("table", { name: "Reasons" });
  const counts = async () => reasons.locator("tbody tr").evaluateAll((rows) => rows.map((r) => [...r.querySelectorAll("td")].slice(0, 3).map((cell) => cell.textContent)));
  await reasons.getByText("the bank is closed").waitFor();
  expect(await counts()).toEqual([["price: null", "25", "bills"], ["the bank is closed", "5", "bills"]]);
  await reasons.getByRole("button", { name: "Show those of price: null" }).click();
  await page.waitForURL((u) => u.searchParams.get("filter") === 'reason="price: null"');
  await page.getByRole("table", { name: "Messages" }).getByText("the bank is closed").first().waitFor({ state: "detached" });

  // One is mended.
  await page.locator("[data-row]").first().click();
  const drawer = page.getByRole("dialog");
  await drawer.getByRole("button", { name: "Edit and move…" }).click();
  await drawer.getByRole("textbox", { name: "Body" }).fill('{"bill":0,"price":12.5}');
  await drawer.getByRole("button", { name: "Move it with this body" }).click();
  await page.getByText(/It is in/).waitFor();
  const back = await call<{ data: { body: string; content_type: string }[] }>(tenant.key, "GET", "/v1/queues/bills/messages");
  expect(back.data.map((m) => [m.body, m.content_type])).toEqual([['{"bill":0,"price":12.5}', "application/json"]]);

  // The others go, by reason and not too fast, and one sees how far they are.
  await reasons.getByText("24", { exact: true }).waitFor();
  await reasons.getByRole("button", { name: "Redrive those of price: null" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("24 messages").waitFor();
  await dialog.getByLabel("At most a second").fill("100");
  await dialog.getByRole("button", { name: "Redrive", exact: true }).click();
  await page.waitForURL("**/tasks/*");
  await page.getByText("succeeded").waitFor();
  expect(await page.getByRole("progressbar", { name: "Progress" }).getAttribute("aria-valuenow")).toBe("100");

  // What is hopeless is deleted, once its queue's name was typed.
  await page.goto(`/console/t/${tenant.name}/queues/bills-dlq/dead-letters`);
  await page.getByText("Dead letters come here from").getByRole("link", { name: "bills", exact: true }).waitFor();
  await reasons.getByText("the bank is closed").waitFor();
  expect(await counts()).toEqual([["the bank is closed", "5", "bills"]]);
  await reasons.getByRole("button", { name: "Delete those of the bank is closed" }).click();
  await dialog.getByText("5 messages").waitFor();
  expect(await dialog.getByRole("button", { name: "Delete them" }).isDisabled()).toBe(true);
  await dialog.getByLabel("Type bills-dlq to confirm").fill("bills-dlq");
  await dialog.getByRole("button", { name: "Delete them" }).click();
  await page.waitForURL("**/tasks/*");
  await page.getByText("succeeded").waitFor();
  await page.goto(`/console/t/${tenant.name}/queues/bills-dlq/dead-letters`);
  await page.getByText("No dead letters").waitFor();
});

test("a redrive is cancelled", async () => {
  const tenant = await broken();
  const page = await newPage();
  await signIn(page, tenant.key);
  await page.goto(`/console/t/${tenant.name}/queues/bills-dlq/dead-letters?new=redrive`);
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("At most a second").fill("1");
  await dialog.getByRole("button", { name: "Redrive", exact: true }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("cancelled").waitFor();
});
