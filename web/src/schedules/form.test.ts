import { expect, test } from "vitest";
import { blank, formOf, inputOf, timesOf } from "./form";

test("what is typed becomes what the API takes", () => {
  expect(timesOf({ ...blank, zone: "" })).toEqual({ cron: "0 9 * * MON-FRI", time_zone: "UTC" });
  expect(timesOf({ ...blank, by: "every", every: "90", ends: " 2030-01-01T00:00:00Z " })).toEqual({ every: 90, ends_at: "2030-01-01T00:00:00Z" });
  expect(inputOf({ ...blank, by: "every", body: "x", group: "g" })).toEqual({ every: "5m", missed: "skip", message: { body: "x", group_id: "g" } });
});

test("what the form does not show stays", () => {
  const was = { name: "s", cron: null, time_zone: null, every: 300, starts_at: null, ends_at: null, missed: "run_all", labels: { team: "a" }, message: { body: "x", body_encoding: "utf8", delay: 7, attributes: { t: { type: "String", value: "v" } } } } as unknown as Parameters<typeof formOf>[0];
  expect(inputOf({ ...formOf(was), body: "y" }, was)).toEqual({ every: "5m", missed: "run_all", labels: { team: "a" }, message: { body: "y", body_encoding: "utf8", delay: 7, attributes: { t: { type: "String", value: "v" } } } });
});
