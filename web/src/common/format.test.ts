import { expect, test } from "vitest";
import { ago, bytes, duration, plural, spoken } from "./format";

test("durations are written as the API reads them", () => {
  expect([0, 30, 90, 3600, 5400, 345600, 0.5].map(duration)).toEqual(["0s", "30s", "1m30s", "1h", "1h30m", "4d", "0.5s"]);
});

test("ages are short", () => {
  expect([0.2, 5, 61, 119, 3700, 40000, 90000].map(ago)).toEqual(["now", "5s", "1m 1s", "1m 59s", "1h 1m", "11h", "1d 1h"]);
});

test("what is typed", () => {
  expect(["", " 5 ", "5m", "1e3"].map(spoken)).toEqual([null, 5, "5m", "1e3"]);
});

test("sizes and counts", () => {
  expect([5, 1024, 1536, 1048576].map(bytes)).toEqual(["5 B", "1 KiB", "1.5 KiB", "1 MiB"]);
  expect([1, 2014].map((n) => plural(n, "message"))).toEqual(["1 message", "2,014 messages"]);
});
