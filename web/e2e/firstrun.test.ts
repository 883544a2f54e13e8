import { expect, inject, test } from "vitest";
import { inBrowser, newPage } from "./kit";

inBrowser();

test("a browser that knows only the address gets from there to its queues", async () => {
  const page = await newPage();
  await page.goto("/");
  expect(new URL(page.url()).pathname).toBe("/console/");
  await page.getByText("data/default-key").first().waitFor();

  await page.getByLabel("Key", { exact: true }).fill("slk_wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText("sign_in_failed").waitFor();

  await page.getByLabel("Key", { exact: true }).fill(inject("defaultKey"));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "No queues yet" }).waitFor();
  expect(new URL(page.url()).pathname).toBe("/console/t/default/queues");

  await page.reload();
  await page.getByRole("heading", { name: "No queues yet" }).waitFor();
  expect(await page.context().cookies().then((c) => c.map((x) => x.httpOnly))).toEqual([true]);

  await page.getByRole("button", { name: "You and how things look" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in to Sluice" }).waitFor();
});

test("who has guessed too often reads for how long to wait", async () => {
  const page = await newPage();
  await page.goto("/console/");
  await page.getByText("sluice reset-operator").waitFor();
  await page.route("**/v1/session", (route) =>
    route.request().method() === "POST"
      ? route.fulfill({
          status: 429,
          headers: { "Content-Type": "application/problem+json", "Retry-After": "95" },
          body: JSON.stringify({ title: "Too many attempts", status: 429, code: "too_many_attempts", detail: "It was tried too often.", request_id: "req_x", errors: [] }),
        })
      : route.continue(),
  );
  await page.getByLabel("Key", { exact: true }).fill("slk_wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText(/^Try again in 1m 35s\.$/).waitFor();
});
