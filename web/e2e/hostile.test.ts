import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

const hostile = [
  "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">",
  "<svg/onload=\"document.title='owned'\">",
  '{"a":"</pre><iframe srcdoc=\'<script>parent.document.title=`owned`</script>\'>","__proto__":{"x":1},"constructor":7}',
  "javascript:document.title='owned'",
  "https://example.com/never-a-link",
  "\u202egnp.exe\u0000\u0007",
];

// After each test the kit makes sure that no policy of the page was broken and no dialog came up.
test("bodies, attributes and reasons are text and nothing else", async () => {
  const tenant = await newTenant();
  const k = tenant.key;
  const [markup = ""] = hostile;
  await call(k, "PUT", "/v1/queues/q", { redrive: { dead_letter_queue: "q-dlq", max_receives: 5 } });
  await call(k, "POST", "/v1/queues/q/messages/batch", {
    messages: [...hostile.map((body) => ({ body, attributes: { note: { type: "String", value: markup } } })), { body: "hello", content_type: "text/html" }],
  });
  const { messages } = await call<{ messages: { receipt_handle: string }[] }>(k, "POST", "/v1/queues/q/receive?max=1");
  await call(k, "POST", "/v1/queues/q/ack", { dead_letter: messages.map((m) => ({ receipt_handle: m.receipt_handle, reason: markup })) });
  await call(k, "POST", "/v1/queues/q/pause", { direction: "receive", reason: markup });
  await call(k, "POST", "/v1/keys", { name: markup, scopes: ["viewer"] });
  const page = await newPage();
  await signIn(page, k);

  await page.goto(`/console/t/${tenant.name}/queues/q/messages`);
  await page.getByText("never-a-link").waitFor();
  const rows = await page.locator("[data-row]").count();
  expect(rows).toBeGreaterThanOrEqual(hostile.length);
  for (let i = 0; i < rows; i++) {
    await page.locator("[data-row]").nth(i).click();
    const drawer = page.getByRole("dialog");
    await drawer.getByLabel("Body", { exact: true }).waitFor();
    for (const view of ["Raw", "Hex"]) {
      await drawer.getByText(view, { exact: true }).click();
      expect(await drawer.getByLabel("Body", { exact: true }).locator("script, img, svg, iframe, a").count()).toBe(0);
    }
    if ((await drawer.getByText("Tree", { exact: true }).count()) > 0) {
      await drawer.getByText("Tree", { exact: true }).click();
      const tree = drawer.getByRole("list", { name: "Body" });
      expect(await tree.innerText()).toContain("</pre><iframe");
      expect(await tree.locator("script, img, svg, iframe, a").count()).toBe(0);
      await tree.getByRole("button").first().click();
      expect(await tree.innerText()).toContain("{ 3 }");
    }
    await page.keyboard.press("Escape");
    await drawer.waitFor({ state: "detached" });
  }
  for (const path of ["queues/q/dead-letters", "queues/q/overview", "keys"]) {
    await page.goto(`/console/t/${tenant.name}/${path}`);
    await page.getByText("<script>").first().waitFor();
  }
  expect(await page.title()).not.toContain("owned");
});

test("what an address says is text too", async () => {
  const tenant = await newTenant();
  await call(tenant.key, "PUT", "/v1/queues/q");
  const page = await newPage();
  await signIn(page, tenant.key);
  const evil = encodeURIComponent("<img src=x onerror=alert(1)>");
  for (const path of [`queues?q=${evil}`, `queues/q/messages?filter=${evil}&m=${evil}`, `queues/${evil}/overview`, `tasks/${evil}`, `topics/${evil}/log?after=${evil}`]) {
    await page.goto(`/console/t/${tenant.name}/${path}`);
    await page.getByText(/Nothing matches|Request id|request id|not in the queue/i).first().waitFor();
    expect(await page.locator("main img").count()).toBe(0);
  }
});
