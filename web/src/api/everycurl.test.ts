import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = new URL("..", import.meta.url).pathname;

// unshown are the changes that no key can make: they are about the session of a browser, or about a link that signs somebody in. And
// those of a folder that are shown by another call, or in a dialog of another folder.
const unshown = new Set([
  "POST /v1/session",
  "DELETE /v1/session",
  "PUT /v1/session/password",
  "DELETE /v1/session/view-as",
  "POST /v1/tenants/*/view-as",
  "POST /v1/invitations/accept",
  "POST /v1/schedules/test", // goes on by itself while one types
  "queues: POST /v1/queues/*/messages/batch", // of a probe: its curl sends one message
  "topics: POST /v1/topic_subscriptions/*/rotate_secret", // in the dialog of webhooks
]);

function sources(folder: string): string {
  return readdirSync(join(root, folder))
    .filter((f) => /\.tsx?$/.test(f) && !f.endsWith(".test.ts"))
    .map((f) => readFileSync(join(root, folder, f), "utf8"))
    .join("\n");
}

const plain = (path: string) => path.replace(/\$?\{[^}]*\}/g, "*");

// inVariable are addresses that are in a variable as a whole, such as that of a list of keys.
const inVariable = /^(?:path|circle\.path|ring\.path|pathTo\([^)]*\))\s*[,}]/;

// same reports whether a command has the address of a change. A word at its end is written out where the command is, unless it names a list.
function same(shown: string, path: string): boolean {
  const last = path.split("/").at(-1) ?? "";
  if (last === "*") return true; // a thing itself: the method says what becomes of it
  return shown.includes(`/${last}`) || (last.endsWith("s") && (shown === "" || inVariable.test(shown)));
}

// Each change that a screen makes is shown as curl on a screen of the same folder.
test("every action has its curl", () => {
  const folders = readdirSync(root, { withFileTypes: true }).filter((d) => d.isDirectory());
  const missing: string[] = [];
  let found = 0;
  for (const { name } of folders) {
    const text = sources(name);
    const shown = [...text.matchAll(/method: "(\w+)",\s*path(?:: ([^\n]*))?/g)].map(([, method, path = ""]) => ({ method, path: plain(path) }));
    for (const [, method, raw = ""] of text.matchAll(/\.(POST|PUT|PATCH|DELETE)\("(\/v1\/[^"]*)"/g)) {
      const path = plain(raw);
      found++;
      if (unshown.has(`${method} ${path}`) || unshown.has(`${name}: ${method} ${path}`)) continue;
      if (!shown.some((x) => x.method === method && same(x.path, path))) missing.push(`${name}: ${method} ${path}`);
    }
  }
  expect(missing).toEqual([]);
  expect(found).toBeGreaterThan(60); // otherwise it looks at nothing
});
