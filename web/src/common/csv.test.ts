import { expect, test } from "vitest";
import { allPages, csvOf } from "./csv";

test("a table keeps what its cells say", () => {
  expect(csvOf(["name", "n"], [["a,b", 1], ['say "hi"', null], ["two\nlines", undefined], ["", true]])).toBe('name,n\r\n"a,b",1\r\n"say ""hi""",\r\n"two\nlines",\r\n,true\r\n');
});

test("no cell is a formula", () => {
  expect(csvOf(["x"], [["=1+1"], ["@sum"], ["-2"], [-2]])).toBe("x\r\n'=1+1\r\n'@sum\r\n'-2\r\n-2\r\n");
});

test("all pages are read, up to a bound", async () => {
  const asked: (string | undefined)[] = [];
  const page = async (cursor: string | undefined) => {
    asked.push(cursor);
    const at = Number(cursor ?? 0);
    return { data: [at, at + 1], next_cursor: at < 6 ? String(at + 2) : null };
  };
  expect(await allPages(100, page)).toEqual({ rows: [0, 1, 2, 3, 4, 5, 6, 7], more: false });
  expect(asked).toEqual([undefined, "2", "4", "6"]);
  expect(await allPages(3, page)).toEqual({ rows: [0, 1, 2, 3], more: true });
});
