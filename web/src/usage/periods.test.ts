import { expect, test } from "vitest";
import { periodsOf, totalsOf } from "./periods";

const at = (start: string, requests: number, throttled = 0) => ({ start, requests, throttled });

test("days in which nothing was done are 0", () => {
  const p = periodsOf([at("2030-01-01T00:00:00Z", 5, 1), at("2030-01-03T00:00:00.000Z", 7), at("2029-12-01T00:00:00Z", 9)], "day", 4, Date.parse("2030-01-03T12:00:00Z"));
  expect(p.requests).toEqual([0, 5, 0, 7]);
  expect(p.throttled).toEqual([0, 1, 0, 0]);
  expect(p.times.map((t) => new Date(t * 1000).toISOString().slice(0, 10))).toEqual(["2029-12-31", "2030-01-01", "2030-01-02", "2030-01-03"]);
  expect(p.window).toEqual({ from: p.times[0], to: p.times[3] });
});

test("what queues used is added up, others apart", () => {
  const e = (queue: string | null, requests: number) => ({ queue, requests, bytes_in: requests, bytes_out: 2 * requests });
  expect(totalsOf([e("a", 1), e("b", 2), e("a", 3), e(null, 4)])).toEqual([
    { name: "a", requests: 4, bytes: 12 },
    { name: "b", requests: 2, bytes: 6 },
    { name: null, requests: 4, bytes: 12 },
  ]);
});
