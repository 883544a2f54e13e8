import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import type { TestProject } from "vitest/node";
import { client, startIssuer } from "./issuer";

declare module "vitest" {
  interface ProvidedContext {
    browser: string;
    url: string;
    operatorKey: string;
    defaultKey: string;
    dataDir: string;
  }
}

const patience = 60_000;

// One browser for all tests, and the real program, as "make build" makes it, on a port of its own and with a Redis of its own.
export default async function setup(project: TestProject) {
  const browser = await chromium.launchServer({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"], host: "127.0.0.1" });
  project.provide("browser", browser.wsEndpoint());
  const issuer = await startIssuer();
  const dir = mkdtempSync(join(tmpdir(), "sluice-console-"));
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SLUICE_")));
  const server = spawn("../bin/sluice", ["serve"], {
    env: {
      ...env,
      SLUICE_LISTEN: "127.0.0.1:0",
      SLUICE_METRICS_LISTEN: "127.0.0.1:0",
      SLUICE_DATA_DIR: dir,
      SLUICE_EGRESS_ALLOW: "127.0.0.1",
      SLUICE_EGRESS_ALLOW_HTTP: "true",
      SLUICE_CONTACT: "ops&co+sluice@example.com",
      SLUICE_OIDC_ISSUERS: issuer.url,
      SLUICE_OIDC_AUDIENCE: "sluice",
      SLUICE_OIDC_CLIENT_ID: client.id,
      SLUICE_OIDC_CLIENT_SECRET: client.secret,
      SLUICE_OIDC_NAMES: "the company",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  const url = await new Promise<string>((resolve, reject) => {
    const hear = (text: Buffer) => {
      log += text.toString();
      const ready = /ready\b.*?url"?[=:]\s*"?(http:\/\/[\d.:]+)/.exec(log);
      if (ready?.[1]) resolve(ready[1]);
    };
    server.stdout.on("data", hear);
    server.stderr.on("data", hear);
    server.on("error", (e) => reject(new Error(`../bin/sluice does not start, run "make console build" first: ${e.message}`)));
    server.on("exit", () => reject(new Error(`the server has ended:\n${log}`)));
    setTimeout(() => reject(new Error(`the server does not get ready:\n${log}`)), patience).unref();
  });
  project.provide("url", url);
  project.provide("dataDir", dir);
  project.provide("operatorKey", readFileSync(join(dir, "operator-key"), "utf8").trim());
  project.provide("defaultKey", readFileSync(join(dir, "default-key"), "utf8").trim());
  return async () => {
    server.removeAllListeners("exit");
    const ended = new Promise((resolve) => server.on("exit", resolve));
    await browser.close();
    server.kill("SIGTERM");
    await ended;
    issuer.stop();
    rmSync(dir, { recursive: true, force: true });
  };
}
