import { expect, test } from "vitest";
import { filtersOf } from "./filters";

test("a text says by itself what is looked for", () => {
  expect(filtersOf(" req_1 ", undefined)).toEqual({ request_id: "req_1" });
  expect(filtersOf("usr_1", "4xx")).toEqual({ actor: "usr_1", status: "4xx" });
  expect(filtersOf("/v1/queues/{queue}", undefined)).toEqual({ route: "/v1/queues/{queue}" });
  expect(filtersOf("sqs:SendMessage", undefined)).toEqual({ operation: "sqs:SendMessage" });
  expect(filtersOf("", "5xx")).toEqual({ status: "5xx" });
});
