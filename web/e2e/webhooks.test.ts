import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

test("an endpoint is subscribed, fails, is seen to fail, and gets what failed", async () => {
  let well = false;
  const got: { id: unknown; signature: unknown }[] = [];
  const endpoint = createServer((req, res) => {
    req.resume();
    got.push({ id: req.headers["webhook-id"], signature: req.headers["webhook-signature"] });
    res.writeHead(well ? 204 : 500, { "X-Server": "<i>7</i>" }).end(well ? undefined : "<b>no room</b>");
  });
  await new Promise<void>((ready) => endpoint.listen(0, "127.0.0.1", ready));
  try {
    const tenant = await newTenant();
    await call(tenant.key, "PUT", "/v1/topics/order-events", { message_retention: "1d" });
    const page = await newPage();
    await signIn(page, tenant.key);
    await page.goto(`/console/t/${tenant.name}/topics/order-events/subscriptions?new=subscription`);
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("partner");
    await dialog.getByText("To a webhook").click();
    await dialog.getByRole("textbox", { name: "Endpoint" }).fill("http://10.0.0.1/hooks");
    await dialog.getByRole("button", { name: "Subscribe", exact: true }).click();
    await dialog.getByText("endpoint_not_allowed").waitFor();
    const url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/hooks`;
    await dialog.getByRole("textbox", { name: "Endpoint" }).fill(url);
    await dialog.getByRole("button", { name: "Subscribe", exact: true }).click();
    const shown = page.getByRole("dialog", { name: "The secret of partner" });
    const secret = (await shown.locator("pre").innerText()).trim();
    expect(secret).toMatch(/^whsec_/);
    await shown.getByRole("button", { name: "Done" }).click();
    // No waits of the default schedule: the first attempt is the last one.
    await call(tenant.key, "PATCH", "/v1/topics/order-events/subscriptions/partner", { retry_schedule: [] });
    await page.getByRole("link", { name: url }).click();

    await page.getByText("No message was sent yet. Test events and challenges are not counted.").waitFor();
    await page.getByRole("button", { name: "Send a test event" }).click();
    await page.getByText("The test event did not arrive").waitFor();
    const { id } = await call<{ id: string }>(tenant.key, "POST", "/v1/topics/order-events/messages", '{"order":7}');
    await page.getByLabel("Status").selectOption("failed");
    await page.getByRole("table", { name: "Attempts" }).locator("[data-row]").first().click();
    await page.getByRole("dialog").getByText("<b>no room</b>").waitFor(); // as text, never as markup
    await page.getByText(/connect \d.* ms, first byte|on a connection that was open/).waitFor();
    await page.getByRole("button", { name: "Try another URL…" }).click();
    const other = page.getByRole("dialog", { name: "Try another URL" });
    await other.getByRole("textbox", { name: "URL" }).fill("http://10.0.0.1/");
    await other.getByRole("button", { name: "Send it there" }).click();
    await other.getByText(/not allowed|may not/).first().waitFor();
    await other.getByRole("textbox", { name: "URL" }).fill(`${url}/elsewhere`);
    await other.getByRole("button", { name: "Send it there" }).click();
    await other.getByText("It did not arrive there").waitFor();
    await other.getByRole("button", { name: "Close" }).first().click();
    await other.waitFor({ state: "detached" });
    got.splice(got.findLastIndex((g) => g.id === id), 1); // that was no attempt of the delivery
    await page.getByText(/^Request: \d+ headers$/).click();
    expect(await page.getByLabel("Request headers of attempt 1").innerText()).toContain(`Webhook-Id: ${id}`);
    await page.getByText(/^Answer: \d+ headers?$/).click();
    expect(await page.getByLabel("Answer headers of attempt 1").innerText()).toContain("X-Server: <i>7</i>");
    expect(new URL(page.url()).search).toContain(`m=${id}`);
    await page.keyboard.press("Escape");
    well = true;
    await page.getByRole("button", { name: "Resend what failed…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Resend", exact: true }).click();
    await page.getByLabel("Status").selectOption("delivered");
    await page.getByRole("table", { name: "Attempts" }).getByText("It was answered with 204").waitFor();
    expect(got.filter((g) => g.id === id).length).toBe(2);
    await page.getByText("Arrived, of the last 2 attempts").waitFor();
    await page.getByText("1 2xx, 1 5xx").waitFor();
    const answers = page.getByRole("img", { name: "Answers over time. 2xx: 1, 5xx: 1" });
    await answers.locator("canvas").first().waitFor();
    expect(await answers.locator(".u-label").allInnerTexts()).toEqual(["At", "2xx", "3xx", "4xx", "5xx", "no answer"]);
    await page.getByText("Table", { exact: true }).click();
    await page.getByRole("table", { name: "Answers over time" }).getByRole("cell", { name: "1", exact: true }).first().waitFor();
    expect(new URL(page.url()).search).toContain("view=table");
    await page.goBack();
    await answers.waitFor();

    await page.getByRole("button", { name: "Reveal" }).click();
    await page.getByText(secret).waitFor();
    await page.getByRole("button", { name: "Rotate…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Rotate", exact: true }).click();
    await page.getByText(/^Signs beside the newer one/).waitFor();
    await page.getByRole("button", { name: "Send a test event" }).click();
    await page.getByText("The test event has arrived").waitFor();
    expect(String(got.at(-1)?.signature).split(" ").length).toBe(2);

    await page.getByRole("button", { name: "Rotate…" }).click();
    await page.getByLabel("Requests are signed with").selectOption("ed25519");
    await page.getByLabel("The old secret goes on for").fill("0");
    await page.getByRole("dialog").getByRole("button", { name: "Rotate", exact: true }).click();
    await page.getByText("That is the public key, for the endpoint.").waitFor();
    await page.getByText(/^whpk_/).waitFor();
    await page.getByRole("button", { name: "How an endpoint verifies" }).click();
    await page.getByText("WEBHOOK_PUBLIC_KEY.slice").waitFor();
    await page.getByRole("button", { name: "Send a test event" }).click();
    await expect.poll(() => String(got.at(-1)?.signature)).toMatch(/^v1a,\S+$/);

    // Several messages in one request: what is said of it is checked, stored, shown and found again.
    await page.getByRole("button", { name: "Edit…" }).click();
    const edited = page.getByRole("dialog");
    await edited.getByLabel("Messages arrive").selectOption("cloudevents_batch");
    await edited.getByLabel("Messages in a request").fill("101");
    await edited.getByRole("button", { name: "Save" }).click();
    await edited.getByText("must be 1 to 100").first().waitFor();
    await edited.getByLabel("Messages in a request").fill("20");
    await edited.getByLabel("One waits for others").fill("0s");
    await edited.getByRole("button", { name: "Save" }).click();
    await edited.waitFor({ state: "detached" });
    await page.getByText("up to 20 messages of 256 KiB, which wait for others for 0s").waitFor();

    // What few change is folded away, and what is wrong with it is said where it is.
    await page.getByRole("button", { name: "Edit…" }).click();
    const waits = edited.getByLabel("Waits between attempts");
    const final = edited.getByLabel("Not tried again after");
    await edited.getByText("More", { exact: true }).waitFor();
    expect(await waits.isVisible()).toBe(false);
    await edited.getByText("More", { exact: true }).click();
    expect([await final.inputValue(), await waits.inputValue()]).toEqual(["410, 413", "none"]);
    await final.fill("410, 4xx");
    await edited.getByRole("button", { name: "Save" }).click();
    await edited.locator("[aria-invalid=true]").waitFor();
    expect(await final.getAttribute("aria-invalid")).toBe("true");
    await final.fill("410, 422");
    await waits.fill("5s, 25h");
    await edited.getByRole("button", { name: "Save" }).click();
    await edited.getByText("Each wait must be 1 to 86400 seconds.").first().waitFor();
    expect(await waits.getAttribute("aria-invalid")).toBe("true");
    await waits.fill("5s, 1h30m");
    await edited.getByRole("button", { name: "Save" }).click();
    await edited.waitFor({ state: "detached" });
    await page.getByText("5s, 1h30m", { exact: true }).waitFor();
    await page.getByText("410, 422", { exact: true }).waitFor();
    const kept = await call<{ terminal_statuses: number[]; retry_schedule: number[] }>(tenant.key, "GET", "/v1/topics/order-events/subscriptions/partner");
    expect([kept.terminal_statuses, kept.retry_schedule]).toEqual([[410, 422], [5, 5400]]);
    await page.getByRole("button", { name: "Send a test event" }).click();
    await expect.poll(() => String(got.at(-1)?.id)).toMatch(/^batch_/);
    await page.getByText("The test event has arrived").waitFor();

    await page.getByRole("button", { name: "Disable" }).click();
    await page.getByText("It is disabled:").waitFor();

    // What is published now is dropped, said, and brought by a replay of just that.
    const missed = await call<{ id: string }>(tenant.key, "POST", "/v1/topics/order-events/messages", '{"order":8}');
    const gaps = page.getByRole("table", { name: "Never tried" });
    await gaps.getByRole("cell", { name: "1", exact: true }).waitFor();
    await page.getByRole("button", { name: "Enable" }).click();
    await page.getByText("It is disabled:").waitFor({ state: "detached" });
    expect(got.some((g) => g.id === missed.id)).toBe(false);
    const before = got.length;
    await page.getByRole("button", { name: "Bring them…" }).click();
    const replay = page.getByRole("dialog", { name: "Replay to partner" });
    expect(await replay.getByLabel("What to send").inputValue()).toBe("missing");
    await replay.getByLabel("Until").fill("yesterday");
    await replay.getByRole("button", { name: "Replay", exact: true }).click();
    await replay.locator("[aria-invalid=true]").waitFor();
    await replay.getByLabel("Until").fill("");
    await replay.getByRole("button", { name: "Replay", exact: true }).click();
    await page.getByRole("heading", { name: "Replay missing" }).waitFor();
    await page.getByText("succeeded").waitFor();
    await page.goBack();
    await page.getByText("What came of it").waitFor();
    await gaps.waitFor({ state: "detached" });
    await expect.poll(() => got.slice(before).map((g) => g.id)).toEqual([expect.stringMatching(/^(batch_|msg_)/)]);

    // What failed has no place in the log, and needs no time.
    await page.getByRole("button", { name: "Replay…" }).click();
    await replay.getByLabel("Or behind the sequence number").waitFor();
    await replay.getByLabel("What to send").selectOption("failed");
    await replay.getByLabel("Or behind the sequence number").waitFor({ state: "detached" });
    await replay.getByLabel("Failed since").fill("");
    await replay.getByRole("button", { name: "Replay", exact: true }).click();
    await page.getByRole("heading", { name: "Replay failed" }).waitFor();
    await page.goBack();

    await page.getByRole("button", { name: "Pause", exact: true }).click();
    await page.getByText("It is paused:").waitFor();
  } finally {
    endpoint.closeAllConnections();
    endpoint.close();
  }
});
