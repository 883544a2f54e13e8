import { expect, test } from "vitest";
import { added, clockOf, kept, levelOf, type LogLine, textOf, wholeOf } from "./log";

const line = (n: number, more: Partial<LogLine> = {}): LogLine => ({
  cursor: `run-${n}`,
  time: "2030-01-02T03:04:05.067Z",
  level: "info",
  message: "request",
  fields: {},
  truncated: false,
  server: "one",
  skipped: 0,
  ...more,
});
const some = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => line(from + i));

test("each line is there once, and no more than a thousand", () => {
  const at = (lines: LogLine[]) => `${lines[0]?.cursor} ${lines.at(-1)?.cursor} ${lines.length}`;
  const first = some(0, 10);
  expect(added(first, [])).toBe(first);
  expect(at(added(first, some(10, 12)))).toBe("run-0 run-11 12");
  expect(at(added(first, some(5, 15)))).toBe("run-0 run-14 15");
  expect(at(added(first, some(10, kept + 3)))).toBe(`run-3 run-${kept + 2} ${kept}`);
  expect(at(added([], some(0, 3 * kept)))).toBe(`run-${2 * kept} run-${3 * kept - 1} ${kept}`);
});

test("a line is one line of text", () => {
  const l = line(1, { level: "error", fields: { status: "500", queue: "", error: "no\nway <b>" } });
  expect(textOf(l)).toBe("status=500 error=no\nway <b>");
  expect(wholeOf(l)).toBe("2030-01-02T03:04:05.067Z ERROR request status=500 error=no way <b>");
  expect(wholeOf(line(2, { time: null, message: "panic: x" }))).toBe("INFO panic: x");
});

test("the clock has milliseconds", () => {
  expect(clockOf(line(1), true)).toBe("03:04:05.067");
  expect(clockOf(line(1), false)).toMatch(/^\d\d:04:05\.067$/);
  expect(clockOf(line(1, { time: null }), true)).toBe("");
});

test("an address names a level or none", () => {
  expect(levelOf("warn")).toBe("warn");
  expect(levelOf("WARN")).toBeUndefined();
  expect(levelOf(undefined)).toBeUndefined();
});
