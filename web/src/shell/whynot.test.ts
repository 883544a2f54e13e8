import { expect, test } from "vitest";
import { whyNot } from "./whynot";

test("what a fragment says is a reason in words, or none", () => {
  expect(whyNot("")).toBeUndefined();
  expect(whyNot("sli_x")).toBeUndefined();
  expect(whyNot("sign_in_failed=issuer_unavailable")?.words).toContain("does not answer");
  expect(whyNot("sign_in_failed=not_ready")).toEqual({ code: "not_ready", words: expect.stringContaining("log") });
  expect(whyNot("sign_in_failed=constructor")).toEqual({ code: "constructor", words: expect.stringContaining("log") });
  for (const text of ["", "<b>", "Call 555", "x".repeat(41), "a%20b"]) expect(whyNot(`sign_in_failed=${text}`)).toEqual({ code: "unknown", words: "Try again." });
});
