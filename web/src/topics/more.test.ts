import { expect, test } from "vitest";
import { inputOf, listOf, moreOf } from "./more";

test.each([
  ["", null],
  ["  ", null],
  ["None", []],
  ["410, 413,422", [410, 413, 422]],
  [" 5s 5m,\n1h, ", ["5s", "5m", "1h"]],
  ["4xx", ["4xx"]], // the server says what is wrong with that
])("the list %j is %j", (text, list) => expect(listOf(text)).toEqual(list));

test("only what was changed is sent", () => {
  const before = moreOf(undefined);
  expect(before).toEqual({ max_rate: "", overflow: "dlq", terminal_statuses: "", retry_schedule: "" });
  expect(inputOf(before, before)).toEqual({});
  expect(inputOf({ ...before, retry_schedule: "5s, 1h" }, before)).toEqual({ retry_schedule: ["5s", "1h"] });
  expect(inputOf({ ...before, max_rate: "20" }, before)).toEqual({ max_rate: 20 });
  expect(inputOf({ ...before, overflow: "drop_oldest" }, before)).toEqual({ overflow: "drop_oldest" });
  const had = { max_rate: "20", overflow: "dlq" as const, terminal_statuses: "410, 413", retry_schedule: "none" };
  expect(inputOf({ max_rate: "", overflow: "dlq", terminal_statuses: "", retry_schedule: "none" }, had)).toEqual({ max_rate: null, terminal_statuses: null });
});

test("what a webhook has is written so that it can be read again", () => {
  const of = (terminal_statuses: number[] | null, retry_schedule: number[] | null) => moreOf({ terminal_statuses, retry_schedule } as Parameters<typeof moreOf>[0]);
  expect(of([410, 422], [5, 300, 5400])).toMatchObject({ terminal_statuses: "410, 422", retry_schedule: "5s, 5m, 1h30m" });
  expect(of([], [])).toMatchObject({ terminal_statuses: "none", retry_schedule: "none" });
  expect(of(null, null)).toMatchObject({ terminal_statuses: "", retry_schedule: "" }); // SNS says it
});
