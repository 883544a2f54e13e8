import { expect, test } from "vitest";
import { addressOf, columnsOf, usual } from "./columns";

test("an address names columns, and what is none is left out", () => {
  expect(columnsOf(undefined)).toEqual(usual);
  expect(columnsOf("size,attr.type,state,attr.type,constructor,<b>,attr.,attr.a b")).toEqual(["state", "size", "attr.type"]);
  expect(columnsOf("id")).toEqual([]);
  expect(columnsOf(Array.from({ length: 50 }, (_, i) => `attr.a${i}`).join(",")).length).toBe(16);
});

test("the usual columns need no words", () => {
  expect(addressOf([...usual].reverse())).toBeUndefined();
  expect(addressOf([])).toBe("id");
  for (const text of ["size", "state,attr.order.id", "id"]) expect(addressOf(columnsOf(text))).toBe(text);
});
