import { expect, test } from "vitest";
import { filteredOut, ratesOf } from "./health";

const seen = (at: number, published: Record<string, number>) => ({ at, published: new Map(Object.entries(published)) });

test("the rate of a topic is what was published since it was seen last", () => {
  expect(ratesOf(undefined, seen(1000, { a: 5 }))).toEqual(new Map());
  const before = seen(1000, { a: 5, b: 7, "made anew": 9, gone: 1 });
  expect(ratesOf(before, seen(3000, { a: 25, b: 7, "made anew": 2, other: 3 }))).toEqual(new Map([["a", 10], ["b", 0]]));
  expect(ratesOf(before, seen(1000, { a: 6 }))).toEqual(new Map());
});

test("what was filtered out is a part of what was brought or not", () => {
  const health = (counts: { delivered: number; filtered_out: number; dropped: number; failed: number }) => ({
    topic: "t",
    complete: true,
    counts,
    states: { active: 1, paused: 0, retrying: 0, broken: 0, failing: 0, disabled: 0, unverified: 0 },
  });
  expect(filteredOut(health({ delivered: 0, filtered_out: 0, dropped: 0, failed: 0 }))).toBeUndefined();
  expect(filteredOut(health({ delivered: 4, filtered_out: 3, dropped: 2, failed: 1 }))).toBe(0.3);
});
