import { expect, test } from "vitest";
import { effectOf } from "./effect";
import { forecastOf } from "./storage";

const hour = (start: string, requests: number, throttled = 0) => ({ start, requests, throttled, bytes_in: requests * 10, bytes_out: 0 });

test("a limit is held against the busiest hour, with what was refused in it", () => {
  const hours = [hour("a", 3600), hour("b", 6 * 3600, 2 * 3600), hour("c", 7 * 3600)];
  expect(effectOf("requests_per_second", 6, hours)).toEqual({ start: "b", perSecond: 8, refused: 0.25 });
  expect(effectOf("requests_per_second", 8, hours)).toEqual({ start: "b", perSecond: 8, refused: 0 });
  expect(effectOf("bytes_in_per_second", 35, hours)).toEqual({ start: "c", perSecond: 70, refused: 0.5 });
});

test("what usage does not count has no effect that one could say", () => {
  expect(effectOf("queues", 1, [hour("a", 1)])).toBeUndefined();
  expect(effectOf("requests_per_second", 1, [])).toBeUndefined();
});

test("the storage is full when it goes on growing", () => {
  const nodes = [{ address: "a", used: 300, limit: 1000 }, { address: "b", used: 50, limit: 1000 }];
  const grew = (bytes: number[], to = "2030-01-02T00:00:00Z") => ({ from: "2030-01-01T00:00:00Z", to, bytes });
  expect(forecastOf(nodes, grew([100, 400, 370]))).toEqual({ used: 350, limit: 2000, perDay: 270, days: 5 });
  expect(forecastOf(nodes, grew([400, 100]))).toEqual({ used: 350, limit: 2000, perDay: -300, days: null });
  expect(forecastOf([{ address: "a", used: 3, limit: 0 }], grew([0, 10])).days).toBeNull();
  expect(forecastOf(nodes, grew([100, 400], "2030-01-01T00:59:00Z"))).toEqual({ used: 350, limit: 2000, perDay: null, days: null });
  expect(forecastOf([], undefined)).toEqual({ used: 0, limit: 0, perDay: null, days: null });
});
