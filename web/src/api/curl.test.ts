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

test("what no argument can hold goes through a pipe", async () => {
  const { curlOf } = await import("./curl");
  const of = (body: string) => curlOf({ method: "POST", path: "/m", body }, undefined, "http://x");
  expect(of("a\0\u0003é")).toBe("printf %s YQADw6k= | base64 -d | curl -u $KEY: http://x/m --data-binary @-");
  expect(of("two\nlines\tof it")).toBe("curl -u $KEY: http://x/m -d 'two\nlines\tof it'");
  expect(of("x".repeat(30_001))).toMatch(/^printf %s x+ \| curl -u \$KEY: http:\/\/x\/m --data-binary @-$/);
  expect(curlOf({ method: "POST", path: "/m", body: {}, times: 3 }, undefined, "http://x")).toBe("for n in $(seq 3); do curl -u $KEY: http://x/m -d '{}'; done");
});

test("a request to somebody else goes as it is, but for what is hidden", async () => {
  const { curlOfRaw } = await import("./curl");
  const headers = [
    { name: "Webhook-Id", value: "msg_1" },
    { name: "X-Token", value: "***" },
  ];
  expect(curlOfRaw({ method: "POST", url: "https://x/a?b[c]=1", headers, body: "/wA=", body_encoding: "base64", client_certificate: true })).toBe(
    `printf %s /wA= | base64 -d | curl -gX POST 'https://x/a?b[c]=1' -H 'Webhook-Id: msg_1' -H "X-Token: $X_TOKEN" --cert client.pem --key client-key.pem --data-binary @-`,
  );
});
