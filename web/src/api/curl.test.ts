import { beforeAll, expect, test, vi } from "vitest";

beforeAll(() => vi.stubGlobal("document", { baseURI: "http://127.0.0.1:8080/console/" }));

test("a command does what the page would", async () => {
  const { curlOf, pathOf, withQuery } = await import("./curl");
  const root = "http://x";
  expect(curlOf({ method: "GET", path: "/v1/queues" }, undefined, root)).toBe("curl -u $KEY: http://x/v1/queues");
  expect(curlOf({ method: "POST", path: "/v1/queues/a/pause", body: {} }, "acme", root)).toBe("curl -u $KEY: http://x/v1/queues/a/pause -H 'Tenant: acme' -d '{}'");
  expect(curlOf({ method: "PUT", path: "/v1/queues/a" }, undefined, root)).toBe("curl -u $KEY: -X PUT http://x/v1/queues/a");
  expect(withQuery(pathOf`/v1/queues/${"a b/c"}/messages`, { state: "all", filter: "", limit: 5 })).toBe("/v1/queues/a%20b%2Fc/messages?state=all&limit=5");
});

test("what people wrote stays one word", async () => {
  const { curlOf, quote } = await import("./curl");
  expect(quote("it's; $(rm)")).toBe(`'it'\\''s; $(rm)'`);
  expect(curlOf({ method: "POST", path: "/m", body: "@/etc/passwd" }, undefined, "http://x")).toContain("--data-raw @/etc/passwd");
});
