import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, signIn } from "./kit";

inBrowser();

type Schedule = { cron: string | null; every: number | null; time_zone: string | null; paused: boolean; message: { body: string }; labels: Record<string, string> };

test("a schedule is made with its times before one's eyes, run, paused, edited and deleted", async () => {
  const tenant = await newTenant();
  const k = tenant.key;
  await call(k, "PUT", "/v1/queues/orders");
  const page = await newPage();
  await signIn(page, k);
  await page.goto(`/console/t/${tenant.name}/queues/orders/schedules`);
  await page.getByRole("heading", { name: "No schedules" }).waitFor();
  await page.getByRole("button", { name: "Create a schedule" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("report");
  await dialog.getByLabel("Cron").fill("61 * * * *");
  await dialog.getByText(/must be a cron expression/).waitFor();
  await dialog.getByLabel("Cron").fill("30 9 1 1 *");
  await dialog.getByLabel("Time zone").fill("Europe/Berlin");
  await dialog.getByText(/-01-01 09:30:00\+01:00/).first().waitFor();
  await dialog.getByLabel("Body").fill("<b>daily</b>");
  await dialog.getByRole("button", { name: "Create", exact: true }).click();
  await page.getByRole("link", { name: "report", exact: true }).waitFor();
  const at = "/v1/queues/orders/schedules/report";
  expect((await call<Schedule>(k, "GET", at)).message.body).toBe("<b>daily</b>");

  const does = async (what: string) => {
    await page.getByRole("button", { name: "Actions for report" }).click();
    await page.getByRole("menuitem", { name: what }).click();
  };
  await does("Run now");
  await page.getByText("was sent once").waitFor();
  expect((await call<{ counts: { available: number } }>(k, "GET", "/v1/queues/orders")).counts.available).toBe(1);
  await does("Pause");
  await page.getByText("Paused", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Undo" }).last().click();
  await page.getByText("Paused", { exact: true }).waitFor({ state: "detached" });

  // The address opens it; what the form does not show stays.
  await page.getByRole("link", { name: "report", exact: true }).click();
  await page.getByRole("dialog").getByText("<b>daily</b>").waitFor();
  await page.waitForURL((u) => u.searchParams.get("m") === "report");
  await page.keyboard.press("Escape");
  await call(k, "PUT", at, { cron: "@daily", labels: { team: "shop" }, message: { body: "x" } });
  await page.reload();
  await does("Edit…");
  await dialog.getByText("Again and again").click();
  await dialog.getByLabel("Every").fill("1h30m");
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByText("every 1h30m").waitFor();
  const after = await call<Schedule>(k, "GET", at);
  expect([after.every, after.cron, after.message.body, after.labels]).toEqual([5400, null, "x", { team: "shop" }]);

  await does("Delete…");
  await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("heading", { name: "No schedules" }).waitFor();
});

test("a schedule of a topic publishes, and who may only look reads why nothing else goes", async () => {
  const tenant = await newTenant();
  const k = tenant.key;
  await call(k, "PUT", "/v1/topics/clock", { message_retention: "1h" });
  await call(k, "PUT", "/v1/topics/clock/schedules/noon", { cron: "0 12 * * *", message: { body: "noon" } });
  const { key: viewer } = await call<{ key: string }>(k, "POST", "/v1/keys", { name: "looks", scopes: ["viewer"] });
  const page = await newPage();
  await signIn(page, k);
  await page.goto(`/console/t/${tenant.name}/topics/clock/schedules`);
  await page.getByRole("button", { name: "Actions for noon" }).click();
  await page.getByRole("menuitem", { name: "Run now" }).click();
  await page.getByText("was published once").waitFor();
  const { data } = await call<{ data: unknown[] }>(k, "GET", "/v1/topics/clock/messages").then((m) => ("data" in m ? m : { data: (m as unknown as { messages: unknown[] }).messages }));
  expect(data.length).toBe(1);

  const theirs = await newPage();
  await signIn(theirs, viewer);
  await theirs.goto(`/console/t/${tenant.name}/topics/clock/schedules`);
  await theirs.getByRole("button", { name: "Actions for noon" }).click();
  await theirs.getByRole("menuitem", { name: "Pause" }).click();
  await theirs.getByRole("alert").getByText("permission_denied").waitFor();
});
