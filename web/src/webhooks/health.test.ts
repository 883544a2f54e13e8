import { expect, test } from "vitest";
import { answersOf, healthOf } from "./health";

const attempt = (status: "delivered" | "retrying" | "test", duration_ms: number, response_status: number | null = 200) => ({ status, duration_ms, response_status });

test("the health of an endpoint is that of its real attempts", () => {
  const list = [...Array.from({ length: 18 }, (_, i) => attempt("delivered", i + 1)), attempt("retrying", 900, 503), attempt("retrying", 15_000, null), attempt("test", 1, 500)];
  expect(healthOf(list)).toEqual({ attempts: 20, delivered: 18, median: 10, p95: 900, classes: [["2xx", 18], ["5xx", 1], ["no answer", 1]] });
  expect(healthOf([attempt("retrying", 7, 301)])).toEqual({ attempts: 1, delivered: 0, median: 7, p95: 7, classes: [["3xx", 1]] });
});

test("without real attempts there is none", () => {
  expect(healthOf([])).toBeNull();
  expect(healthOf([attempt("test", 5)])).toBeNull();
});

const answered = (at: string, response_status: number | null, status: "delivered" | "retrying" | "test" = "retrying") => ({ status, at, response_status });
const busy = (a: ReturnType<typeof answersOf>) => a?.lines.flatMap((l) => l.values.flatMap((n, i) => (n === 0 ? [] : [[l.label, i, n]])));

test("answers are counted by class, in steps that end with the last of them", () => {
  const list = [answered("2026-03-02T08:00:00.5Z", 204, "delivered"), answered("2026-03-02T08:00:00Z", 503), answered("2026-03-02T07:59:59.9Z", null), answered("2026-03-02T08:00:00Z", 500, "test"), answered("2026-03-02T07:59:31Z", 301)];
  const a = answersOf(list);
  expect([a?.step, a?.window.to, a?.window.from, a?.times.length]).toEqual([1, Date.parse("2026-03-02T08:00:01Z") / 1000, Date.parse("2026-03-02T07:59:31Z") / 1000, 30]);
  expect(busy(a)).toEqual([["2xx", 29, 1], ["3xx", 0, 1], ["5xx", 29, 1], ["no answer", 28, 1]]);
  expect([a?.times[0], a?.times[29]]).toEqual([(a?.window.from ?? 0) + 0.5, (a?.window.to ?? 0) - 0.5]);
});

test.each([
  ["2026-03-02T08:00:00Z", "2026-03-02T08:00:00Z", 1],
  ["2026-03-02T07:59:30.9Z", "2026-03-02T08:00:00Z", 2],
  ["2026-03-02T07:00:00Z", "2026-03-02T08:00:00Z", 300],
  ["2026-02-16T08:00:00Z", "2026-03-02T08:00:00Z", 86_400],
  ["2025-03-02T08:00:00Z", "2026-03-02T08:00:00Z", 13 * 86_400],
])("the time from %s to %s is in steps of %d seconds", (first, last, step) => {
  const a = answersOf([answered(last, 200), answered(first, 200)]);
  expect(a?.step).toBe(step);
  expect(a?.times.length).toBeGreaterThanOrEqual(12);
  expect(a?.times.length).toBeLessThanOrEqual(30);
  expect(a?.lines.map((l) => l.values.length)).toEqual(Array(5).fill(a?.times.length)); // none is out of the window
  expect(a?.lines[0]?.values.reduce((n, v) => n + v, 0)).toBe(2);
});

test("each usual class has its place, and an unusual one comes last", () => {
  expect(answersOf([answered("2026-03-02T08:00:00Z", 999)])?.lines.map((l) => l.label)).toEqual(["2xx", "3xx", "4xx", "5xx", "no answer", "9xx"]);
  expect(answersOf([answered("2026-03-02T08:00:00Z", 200, "test")])).toBeNull();
});
