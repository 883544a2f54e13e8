import { expect, test } from "vitest";
import type { Task } from "./data";
import { scopeOf } from "./scope";

test("a task says of what it is", () => {
  const of = (scope: Partial<Task["scope"]>) => scopeOf({ scope } as Task);
  expect(of({ queue: "orders-dlq", to: "source", limit: 5 })).toBe("orders-dlq, to source, at most 5");
  expect(of({ topic: "orders", subscription: "partner" })).toBe("orders › partner");
  expect(of({ topic_subscription: "partners" })).toBe("partners");
  expect(of({ tenant: "acme" })).toBe("acme");
});
