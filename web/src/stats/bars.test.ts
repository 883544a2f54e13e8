import { expect, test } from "vitest";
import { stackedOf } from "./bars";

test("lines that are stacked are sums, and what is not known adds nothing", () => {
  expect(stackedOf([{ values: [1, 0, 2] }, { values: [0, null, 3] }, { values: [4, 0, 0] }])).toEqual([
    [1, 0, 2],
    [1, 0, 5],
    [5, 0, 5],
  ]);
  expect(stackedOf([])).toEqual([]);
});
