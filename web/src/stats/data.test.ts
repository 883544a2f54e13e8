import { beforeAll, expect, test, vi } from "vitest";

beforeAll(() => vi.stubGlobal("document", { baseURI: "http://127.0.0.1:8080/console/" }));

const series = {
  from: "2026-03-01T12:00:00.000Z",
  to: "2026-03-01T12:00:30.000Z",
  step: 10,
  available: [0, 5, 3],
  in_flight: [0, 0, 2],
  delayed: [0, 0, 0],
  bytes: [0, 50, 50],
  sent: [10, 5, 1],
  received: [0, 0, 2],
  deleted: [0, 0, 0],
  expired: [0, 0, 0],
  dead_lettered: [0, 0, 0],
};

test("what is not over yet is no fall of a rate", async () => {
  const { perSecond } = await import("./data");
  expect(perSecond(series.sent, series, Date.parse("2026-03-01T12:00:24Z"))).toEqual([1, 0.5, null]);
  expect(perSecond(series.sent, series, Date.parse("2026-03-01T12:00:30Z"))).toEqual([1, 0.5, 0.1]);
});

test("a chart is said in words", async () => {
  const { chartsOf, summary } = await import("./data");
  const [held, rates] = chartsOf(series, Date.parse("2026-03-01T12:00:24Z"));
  expect(held && summary(held)).toBe("Available: 3 now, at most 5. In flight: 2 now, at most 2. Delayed: 0 now, at most 0");
  expect(rates && summary(rates)).toBe("In: 0.50 now, at most 1.0. Out: 0 now, at most 0. Done: 0 now, at most 0");
});

test("a queue is forgotten when messages wait for a minute and nobody takes any", async () => {
  const { forgotten } = await import("./data");
  const queue = (available: number, received: number, oldest_age: number) => ({ counts: { available, in_flight: 0, delayed: 0, moving: 0 }, rates: { sent: 1, received }, oldest_age });
  const all = [queue(5, 0, 60), queue(5, 0.1, 60), queue(5, 0, 59), queue(0, 0, 60)];
  expect(forgotten(all)).toEqual(all.slice(0, 1));
});

test("a queue was busy until the end of the last step with a message", async () => {
  const { lastBusy } = await import("./data");
  const none = { ...series, available: [0, 0, 0], in_flight: [0, 0, 0], sent: [0, 0, 0], received: [0, 0, 0] };
  const end = Date.parse(series.to);
  expect(lastBusy(none, end)).toBeUndefined();
  expect(lastBusy({ ...none, deleted: [0, 4, 0] }, end)).toBe(end - 10_000);
  expect(lastBusy(series, end - 5000)).toBe(end - 5000);
});

test("receives are counted for each message that is done or given up", async () => {
  const { chartsOf, receivesEach } = await import("./data");
  const zero = [0, 0, 0];
  expect(receivesEach({ ...series, step: 60, received: [0, 6, 4], deleted: [1, 2, 0], dead_lettered: [0, 1, 0] })).toEqual([null, 2, 4]);
  expect(receivesEach({ ...series, step: 60, received: zero, deleted: zero, dead_lettered: zero })).toEqual([null, null, null]);
  // Shorter steps count for a minute.
  expect(receivesEach({ ...series, step: 30, received: [3, 1, 0], deleted: [1, 0, 1], dead_lettered: zero })).toEqual([3, 4, 1]);
  expect(chartsOf({ ...series, oldest_age: zero }).map((c) => c.title)).toContain("Receives per message");
  expect(chartsOf(series).map((c) => c.title)).not.toContain("Receives per message");
});
