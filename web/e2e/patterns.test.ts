import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("an endpoint subscribes to a pattern, its secret is rotated for all topics, and it is deleted", async () => {
  const { name, key } = await newTenant();
  for (const topic of ["shop.orders", "shop.invoices", "other"]) await call(key, "PUT", `/v1/topics/${topic}`);
  const page = await newPage();
  await signIn(page, key);
  await page.goto(`/console/t/${name}/topics`);
  await page.getByRole("main").getByRole("link", { name: "Patterns" }).click();
  await page.getByRole("heading", { name: "No patterns yet" }).waitFor();
  await page.getByRole("button", { name: "Subscribe to a pattern" }).first().click();
  const form = page.getByRole("dialog", { name: "Subscribe to a pattern" });
  await form.getByLabel("Name").fill("partner");
  await form.getByRole("textbox", { name: "Pattern" }).fill("shop.or*");
  await form.getByText("To a webhook").click();
  await form.getByRole("textbox", { name: "Endpoint" }).fill("http://127.0.0.1:1/hooks");
  await form.getByRole("button", { name: "Subscribe", exact: true }).click();
  await form.getByRole("alert").waitFor(); // a part of a segment is no pattern, as the server says
  await form.getByRole("textbox", { name: "Pattern" }).fill("shop.*");
  await form.getByRole("button", { name: "Subscribe", exact: true }).click();
  const shown = page.getByRole("dialog", { name: "The secret of partner" });
  const secret = (await shown.locator("pre").innerText()).trim();
  await shown.getByRole("button", { name: "Done" }).click();

  await page.getByRole("table", { name: "Patterns" }).getByRole("link", { name: "partner" }).click();
  const topics = page.getByRole("table", { name: "Topics that match" });
  await topics.getByText("shop.invoices").waitFor();
  expect(await topics.getByRole("row").count()).toBe(3); // with the head
  await page.getByRole("button", { name: "Rotate…" }).click();
  await page.getByRole("dialog", { name: "Rotate the secret" }).getByRole("button", { name: "Rotate", exact: true }).click();
  await page.getByText(/^Signs beside the newer one/).waitFor();
  await page.getByRole("dialog").getByText(secret).waitFor();
  await expect
    .poll(async () => (await call<{ secrets: unknown[] }>(key, "GET", "/v1/topics/shop.orders/subscriptions/pattern.partner/secret")).secrets.length, { timeout: 20_000 })
    .toBe(2);

  // What a webhook of it does not do is not offered.
  await topics.getByRole("link", { name: "pattern.partner" }).first().click();
  await page.getByText("It stems from the topic subscription").waitFor();
  await page.getByRole("button", { name: "Reveal" }).waitFor();
  for (const button of ["Edit…", "Delete…", "Rotate…"]) expect(await page.getByRole("button", { name: button }).count()).toBe(0);
  await page.getByRole("main").getByRole("link", { name: "partner", exact: true }).click();
  await page.getByRole("button", { name: "Delete…" }).click();
  const danger = page.getByRole("dialog", { name: "Delete the pattern" });
  await danger.getByRole("textbox").fill("partner");
  await danger.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("heading", { name: "No patterns yet" }).waitFor();
});

test("a pattern of which nothing can be read says so, and is deleted", async () => {
  const { name, key } = await newTenant();
  await call(key, "PUT", "/v1/queues/audit");
  await call(key, "PUT", "/v1/topic_subscriptions/ill", { pattern: "shop.*", queue: "audit" });
  const page = await newPage();
  await signIn(page, key);
  // As the server tells of one that is damaged; nothing but Redis can damage it.
  await page.route("**/v1/topic_subscriptions/ill", async (route) => {
    if (route.request().method() !== "GET") return route.continue();
    const response = await route.fetch();
    if (!response.ok()) return route.fulfill({ response });
    return route.fulfill({ response, json: { ...((await response.json()) as object), state: "broken", pattern: "", queue: null } });
  });
  await page.goto(`/console/t/${name}/topic-subscriptions?m=ill`);
  const drawer = page.getByRole("dialog", { name: "ill" });
  await drawer.getByText("What is stored of it cannot be read").waitFor();
  expect(await drawer.getByText("all messages").count()).toBe(0);
  await drawer.getByRole("button", { name: "Delete…" }).click();
  const danger = page.getByRole("dialog", { name: "Delete the pattern" });
  await danger.getByText("All topics that have it lose the subscription").waitFor();
  await danger.getByRole("textbox").fill("ill");
  await danger.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("heading", { name: "No patterns yet" }).waitFor();
});
