import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("what failed anywhere is found, filtered, opened, and sent again", async () => {
  let well = false;
  const endpoint = createServer((req, res) => {
    req.resume();
    res.writeHead(well || req.url === "/well" ? 204 : 503).end();
  });
  await new Promise<void>((ready) => endpoint.listen(0, "127.0.0.1", ready));
  try {
    const { name, key } = await newTenant();
    const page = await newPage();
    await signIn(page, key);
    await page.keyboard.press("g");
    await page.keyboard.press("d");
    await page.getByRole("heading", { name: "Nothing was sent to an endpoint yet" }).waitFor();
    expect(new URL(page.url()).pathname).toBe(`/console/t/${name}/deliveries`);

    const url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}`;
    for (const [topic, subscription, path] of [["orders", "acme", "/ill"], ["invoices", "globex", "/ill"], ["invoices", "initech", "/well"]] as const) {
      await call(key, "PUT", `/v1/topics/${topic}`);
      await call(key, "PUT", `/v1/topics/${topic}/subscriptions/${subscription}`, { endpoint: url + path, retry_schedule: [] });
    }
    const { id } = await call<{ id: string }>(key, "POST", "/v1/topics/orders/messages", "one");
    await call(key, "POST", "/v1/topics/invoices/messages", "two");
    const table = page.getByRole("table", { name: "Deliveries" });
    await expect.poll(async () => {
      await page.getByRole("button", { name: "Look again" }).click();
      return table.locator("[data-row]").count();
    }, { timeout: 20_000 }).toBe(3);
    // What comes is counted, and moves nothing until one wants to see it.
    await call(key, "PUT", "/v1/topics/notes");
    await call(key, "PUT", "/v1/topics/notes/subscriptions/umbrella", { endpoint: `${url}/well` });
    await call(key, "POST", "/v1/topics/notes/messages", "three");
    const news = page.getByRole("button", { name: "1 new · show" });
    await news.waitFor({ timeout: 20_000 });
    expect(await table.locator("[data-row]").count()).toBe(3);
    const top = (await table.boundingBox())?.y;
    await news.click();
    await expect.poll(() => table.locator("[data-row]").count()).toBe(4);
    expect([await news.count(), (await table.boundingBox())?.y]).toEqual([0, top]);
    await page.getByLabel("Answer").selectOption("5xx");
    await expect.poll(() => table.locator("[data-row]").count()).toBe(2);
    await page.getByLabel("Which deliveries").fill("orders");
    await page.keyboard.press("Enter");
    await expect.poll(() => table.locator("[data-row]").count()).toBe(1);
    expect(new URL(page.url()).search).toContain("http=5xx");
    await page.getByText("1/1").waitFor();
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export as CSV" }).click()]);
    const lines = Buffer.concat(await (await file.createReadStream()).toArray()).toString().trim().split("\r\n");
    expect(lines.map((l) => l.split(",").slice(1, 4).join())).toEqual(["topic,subscription,message_id", `orders,acme,${id}`]);
    await page.getByLabel("Since").selectOption("Last hour");
    await page.getByLabel("Status").selectOption("retrying");
    await page.getByText("Nothing matches retrying, HTTP 5xx, topic orders").waitFor();
    await page.getByRole("button", { name: "Resend all matching…" }).click();
    await page.getByRole("dialog").getByText("there is nothing to send again").waitFor();
    expect(await page.getByRole("dialog").getByRole("button", { name: "Resend", exact: true }).isDisabled()).toBe(true);
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await page.goBack();
    await table.getByRole("link", { name: id }).click();
    await page.getByRole("dialog").getByText("The endpoint answered 503").waitFor();
    await page.goBack();

    well = true;
    await page.getByRole("button", { name: "Resend all matching…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("at most 1 message").waitFor();
    await dialog.getByRole("button", { name: "Resend", exact: true }).click();
    await page.getByText("1 message will be sent again.").waitFor();
    await page.goto(`/console/t/${name}/deliveries?status=delivered&q=${id}`);
    await expect.poll(async () => {
      await page.getByRole("button", { name: "Look again" }).click();
      return table.locator("[data-row]").count();
    }, { timeout: 20_000 }).toBe(1);
  } finally {
    endpoint.close();
  }
});
