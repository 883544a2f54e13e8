import { expect, test } from "vitest";
import { healthOf } from "./health";

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
