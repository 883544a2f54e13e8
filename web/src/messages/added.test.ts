import { expect, test } from "vitest";
import { added } from "./added";

const part = { others: 0, matching: 0, next_cursor: null, scanned: { messages: 0, complete: true } };
const at = (hour: number) => `2026-03-02T0${hour}:00:00.000Z`;

test("the parts of a long queue are added up by reason", () => {
  const closed = { reason: "closed", count: 3, first_at: at(2), last_at: at(3), sources: ["bills"], filter: "reason=closed" };
  const nothing = { reason: null, count: 4, first_at: at(1), last_at: at(1), sources: [], filter: "-reason:*" };
  const pages = [{ ...part, data: [closed] }, { ...part, data: [nothing, { ...closed, count: 2, first_at: at(1), last_at: at(2), sources: ["bills", "orders"] }] }];
  expect(added(pages)).toEqual([{ ...closed, count: 5, first_at: at(1), last_at: at(3), sources: ["bills", "orders"] }, nothing]);
  expect(added([])).toEqual([]);
});
