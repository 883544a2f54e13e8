import { beforeAll, expect, test, vi } from "vitest";

beforeAll(() => vi.stubGlobal("document", { baseURI: "http://127.0.0.1:8080/console/" }));

test("everything of the shop is found by its name and its label", async () => {
  const { label, steps } = await import("./shop");
  const calls = steps.flatMap((s) => s.calls);
  expect(calls.map((c) => c.path).filter((p) => !/^\/v1\/(queues|topics)\/demo-/.test(p))).toEqual([]);
  const made = calls.filter((c) => c.method === "PUT" && /^\/v1\/(queues|topics)\/[^/]+$/.test(c.path));
  expect(made.length).toBe(6);
  for (const c of made) expect(c).toMatchObject({ body: { labels: { [label]: "shop" } }, headers: { "If-None-Match": "*" } });
});

test("it is for who may do all of it", async () => {
  const { mayLoad } = await import("./shop");
  const may = { allowed: ["queues:read", "queues:write", "messages:send", "messages:consume", "topics:read", "topics:write", "topics:publish", "keys:read"], queues: null, read_only: false };
  expect(mayLoad(may)).toBe(true);
  for (const not of [null, undefined, { ...may, read_only: true }, { ...may, queues: ["orders-*"] }, { ...may, allowed: may.allowed.filter((s) => s !== "topics:publish") }]) expect(mayLoad(not)).toBe(false);
});
