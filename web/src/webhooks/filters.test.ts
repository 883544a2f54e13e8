import { expect, test } from "vitest";
import { filterOf, inWords } from "./filters";

test("what is typed is a message, a topic, or a webhook of one", () => {
  expect(filterOf({ q: " msg_7 ", status: "failed" })).toEqual({ message_id: "msg_7", status: "failed" });
  expect(filterOf({ q: "orders.created" })).toEqual({ topic: "orders.created" });
  expect(filterOf({ q: "orders.created/acme", http: "5xx" })).toEqual({ topic: "orders.created", subscription: "acme", http: "5xx" });
  expect(filterOf({ q: "/acme" })).toEqual({ subscription: "acme" });
  expect(filterOf({ status: "nonsense" })).toEqual({});
});

test("a filter is said in words", () => {
  expect(inWords({ status: "failed", http: "none", topic: "orders" })).toBe("failed, no answer, topic orders");
  expect(inWords({})).toBe("");
});
