import { expect, test } from "vitest";
import { afterSeconds, isUnattended, noConsumers } from "./unattended";

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

test("a queue from which somebody receives is told from one without consumers", () => {
  expect(noConsumers(waiting)).toBe(true);
  expect(noConsumers({ ...waiting, rates: { sent: 0, received: 0.1 } })).toBe(false);
  expect(noConsumers({ ...waiting, counts: { ...counts, in_flight: 1 } })).toBe(false);
  expect(noConsumers({ ...waiting, rates: { sent: 0, received: 0.1 }, paused: { receive: { since: "2026-03-01T12:00:00Z", reason: "" }, send: null } })).toBe(true);
});
