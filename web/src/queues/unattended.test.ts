import { expect, test } from "vitest";
import { afterSeconds, isUnattended } from "./unattended";

const counts = { available: 3, in_flight: 0, delayed: 0, moving: 0 };
const waiting = { counts, rates: { sent: 5, received: 0 }, oldest_age: afterSeconds + 1, paused: null };

test("a backlog that nobody receives is told from one that is worked on", () => {
  expect(isUnattended(waiting)).toBe(true);
  expect(isUnattended({ ...waiting, rates: { sent: 5, received: 0.1 } })).toBe(false);
  expect(isUnattended({ ...waiting, counts: { ...counts, in_flight: 1 } })).toBe(false);
  expect(isUnattended({ ...waiting, counts: { ...counts, available: 0 } })).toBe(false);
  expect(isUnattended({ ...waiting, oldest_age: afterSeconds })).toBe(false);
  expect(isUnattended({ ...waiting, paused: { receive: { since: "2026-03-01T12:00:00Z", reason: "" }, send: null } })).toBe(false);
});
