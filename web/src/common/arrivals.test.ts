import { expect, test } from "vitest";
import { arrivals } from "./arrivals";

type Row = { id: string; n: number };
const rows = (text: string, n = 0): Row[] => [...text].map((id) => ({ id, n }));
const of = (shown: string, now: string) => {
  const got = arrivals(rows(shown), rows(now, 1), (r) => r.id);
  return `${got.rows.map((r) => `${r.id}${r.n}`).join(" ")}, ${got.fresh} new`;
};

test("what is on the screen stays, ticks in place, and what came is counted", () => {
  expect(of("cba", "cba")).toBe("c1 b1 a1, 0 new");
  expect(of("cba", "edcba")).toBe("c1 b1 a1, 2 new");
  expect(of("cba", "edc")).toBe("c1 b0 a0, 2 new"); // the rest is on the next page by now
  expect(of("cba", "fed")).toBe("c0 b0 a0, 3 new");
  expect(of("cba", "cxb")).toBe("c1 b1 a0, 1 new"); // it came late
  expect(of("cb", "cba")).toBe("c1 b1, 0 new"); // an older one that has moved up
  expect(of("cba", "")).toBe("c0 b0 a0, 0 new");
});
