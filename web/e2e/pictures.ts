import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { inject, test } from "vitest";
import { call, inBrowser, newPage, signIn } from "./kit";

// The pictures of README and docs: the console with the tenant that "sluice demo" has filled, as it is after this long.
const traffic = 420;
const out = "../docs/images";

inBrowser();

const pictures: { name: string; path: string; as?: "operator"; ready: (p: Page) => Promise<unknown> }[] = [
  { name: "overview", path: "/t/shop/overview?range=15m", ready: (p) => p.locator(".plot canvas").nth(2).waitFor() },
  {
    name: "dead-letters",
    path: "/t/shop/queues/orders/dead-letters",
    ready: (p) => p.getByRole("table", { name: "Reasons" }).getByRole("row").nth(2).waitFor().then(() => p.locator("[data-row]").nth(3).waitFor()),
  },
  { name: "alarms", path: "/t/shop/alarms", ready: (p) => p.getByLabel(/raised$/).waitFor().then(() => p.locator("[data-row]").nth(3).waitFor()) },
  { name: "fleet", path: "/admin/overview?range=15m", as: "operator", ready: (p) => p.locator(".plot canvas").nth(2).waitFor() },
];

test("the pictures of README and docs", async () => {
  mkdirSync(out, { recursive: true });
  const operator = inject("operatorKey");
  await call(operator, "PUT", "/v1/tenants/shop", { labels: { team: "shop" } });
  const { key } = await call<{ key: string }>(operator, "POST", "/v1/tenants/shop/keys", { name: "console" });
  // Those that most want, and one whose state nobody has to wait for.
  await call(key, "PUT", "/v1/topics/alerts");
  await call(key, "POST", "/v1/suggested_alarms", { topic: "alerts" });
  await call(key, "PUT", "/v1/alarms/orders-deep", { metric: "available", target: { queue: "orders" }, threshold: 1, description: "See the runbook.", notify: { topic: "alerts" } });
  await call(key, "POST", "/v1/alarms/quota-80-percent/mute", { for: "2h", reason: "the plan changes today" });
  const demo = spawn("../bin/sluice", ["demo", "--url", inject("url"), "--key", key, "--rate", "12", "--backlog", "150", "--for", `${traffic + 120}s`], { stdio: "inherit" });
  try {
    await new Promise((resolve) => setTimeout(resolve, traffic * 1000)); // charts have a point every ten seconds
    for (const colorScheme of ["light", "dark"] as const)
      for (const as of ["tenant", "operator"] as const) {
        const page = await newPage({ colorScheme, viewport: { width: 1280, height: 760 } });
        await signIn(page, as === "operator" ? operator : key);
        for (const one of pictures.filter((o) => (o.as ?? "tenant") === as)) {
          await page.goto(`/console${one.path}`);
          await one.ready(page);
          await page.screenshot({ path: join(out, `${one.name}-${colorScheme}.png`), animations: "disabled" });
        }
      }
  } finally {
    demo.kill("SIGINT");
  }
}, (traffic + 120) * 1000);
