import { expect, test } from "vitest";
import { call, inBrowser, newPage, newTenant, openLive, signIn } from "./kit";

inBrowser();

test("what somebody else changes shows without a reload", async () => {
  const { name, key } = await newTenant();
  const page = await newPage();
  await signIn(page, key);
  await openLive(page, `/console/t/${name}/keys`); // nobody asks for keys again and again
  await page.getByRole("table").getByText("first").first().waitFor();
  await call(key, "POST", "/v1/keys", { name: "from elsewhere", scopes: ["viewer"] });
  await page.getByText("from elsewhere").first().waitFor();

  // A page that was paused is told what it missed.
  await page.getByRole("button", { name: "Live" }).click();
  await call(key, "POST", "/v1/keys", { name: "while paused", scopes: ["viewer"] });
  await page.getByRole("button", { name: "Paused" }).click();
  await page.getByText("while paused").first().waitFor();
  expect(await page.getByText("from elsewhere").count()).toBeGreaterThan(0);
});

test("a tenant is not told of another one's changes", async () => {
  const [ours, theirs] = [await newTenant(), await newTenant()];
  const page = await newPage();
  const asked: string[] = [];
  page.on("request", (r) => {
    if (new URL(r.url()).pathname === "/v1/keys") asked.push(r.method());
  });
  await signIn(page, ours.key);
  await openLive(page, `/console/t/${ours.name}/keys`);
  await page.getByRole("table").getByText("first").first().waitFor();
  const before = asked.length;
  await call(theirs.key, "POST", "/v1/keys", { name: "theirs", scopes: ["viewer"] });
  await call(ours.key, "POST", "/v1/keys", { name: "ours", scopes: ["viewer"] });
  await page.getByText("ours", { exact: true }).first().waitFor();
  expect(asked.length).toBe(before + 1);
  expect(await page.getByText("theirs").count()).toBe(0);
});
