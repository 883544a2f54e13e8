import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("a policy is tried on what was published, counted, and saved to a subscription", async () => {
  const { name, key } = await newTenant();
  await call(key, "PUT", "/v1/topics/orders", { message_retention: "1d" });
  await call(key, "PUT", "/v1/queues/all");
  await call(key, "PUT", "/v1/topics/orders/subscriptions/billing", { queue: "all" });
  for (const order of [1, 2, 3]) await call(key, "POST", "/v1/topics/orders/messages", { order });
  const page = await newPage();
  await signIn(page, key);
  await page.goto(`/console/t/${name}/topics/orders/filter-test`);
  const policy = page.getByRole("textbox", { name: "Filter policy" });
  await policy.fill('{"order":[{"numeric":[">",1]}]}');
  await page.getByLabel("It looks at").selectOption("body");
  await page.getByRole("button", { name: "How many would have matched?" }).click();
  await page.getByText("It would have matched 2 of the last 3").waitFor();
  expect(new URL(page.url()).searchParams.get("filter")).toContain("numeric");
  await page.reload();
  expect(await policy.inputValue()).toContain("numeric");

  // The last ones that were published are at hand, the latest first, and the policy stays.
  const log = await call<{ messages: { id: string }[] }>(key, "GET", "/v1/topics/orders/messages");
  await page.getByLabel("One that was published").selectOption(log.messages[0]?.id ?? "");
  await page.getByText("✗ does not").waitFor();
  expect(await policy.inputValue()).toContain("numeric");
  await page.getByLabel("One that was published").selectOption(log.messages[2]?.id ?? "");
  await page.getByText("✓ arrives").waitFor();

  // What is wrong is told by line and column of what was typed.
  await policy.fill('{\n  "order": [{"numeric": ["?", 1]}]\n}');
  await page.getByRole("button", { name: "How many would have matched?" }).click();
  await page.getByText(/line 2, column \d+/).first().waitFor();
  await policy.fill('{"order":[3]}');
  await page.getByRole("button", { name: "Save to a subscription…" }).click();
  const dialog = page.getByRole("dialog", { name: "Save the policy to a subscription" });
  await dialog.getByText("all messages").first().waitFor();
  await dialog.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("billing has the policy.").waitFor();
  const policyOf = async () => (await call<{ filter_policy: unknown; filter_scope: string }>(key, "GET", "/v1/topics/orders/subscriptions/billing"));
  expect(await policyOf()).toMatchObject({ filter_policy: { order: [3] }, filter_scope: "body" });
  await page.getByRole("button", { name: "Undo" }).click();
  await expect.poll(async () => (await policyOf()).filter_policy).toBe(null);
});
