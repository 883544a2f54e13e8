import { expect, test } from "vitest";
import { askingAt } from "./contact";

const acme = { name: "acme", id: "4t1bq0zk7m" };
const quotas = [
  { quota: "queues", used: 4, limit: 5 },
  { quota: "keys", used: 3, limit: 4 },
  { quota: "alarms", used: 0, limit: 0 },
  { quota: "stored_bytes", used: 2048, limit: 1024 },
] as const;

// letterOf reads a link as a mail program does: what stands before the question mark is an address, and + is no space.
function letterOf(link = "") {
  const [to = "", query = "", ...more] = link.split("?");
  expect(more).toEqual([]);
  const fields = query.split("&").map((f) => f.split("=").map(decodeURIComponent));
  return { to, fields };
}

test("a letter says who asks, and which limits are used to four fifths or more", () => {
  const { to, fields } = letterOf(askingAt("mailto:ops@example.com", acme, [...quotas]));
  expect(to).toBe("mailto:ops@example.com");
  expect(fields).toEqual([
    ["subject", "Larger limits for tenant acme (4t1bq0zk7m)"],
    ["body", "This is about the limits of tenant acme (4t1bq0zk7m).\r\n\r\nQueues: 4 of 5\r\nStored bytes: 2 KiB of 1 KiB\r\n"],
  ]);
});

test("a name is text in a letter, and adds no field, no address and no line to it", () => {
  for (const name of ["a&b?x=%0A", "a&bcc=eve@example.com", "a?cc=eve@example.com#b", "a\r\nBcc: eve@example.com", 'a"><script>', "a+b ü 🐘"]) {
    const link = askingAt("mailto:ops%26co@example.com", { ...acme, name }, []) ?? "";
    expect(link).toMatch(/^mailto:ops%26co@example\.com\?subject=[\w%.!~*'()-]+&body=[\w%.!~*'()-]+$/);
    const { fields } = letterOf(link);
    expect(fields.map(([f]) => f)).toEqual(["subject", "body"]);
    expect(fields[0]?.[1]).toBe(`Larger limits for tenant ${name} (4t1bq0zk7m)`);
  }
});

test("what stands behind the question mark of a contact is not in the letter", () => {
  expect(letterOf(askingAt("mailto:ops@example.com?bcc=eve@example.com#x", acme, [])).fields.map(([f]) => f)).toEqual(["subject", "body"]);
});

test("a page is linked to as it is", () => {
  for (const page of ["https://help.example.com/limits?from=sluice#ask", "http://10.0.0.7:8080/ask"]) expect(askingAt(page, acme, [...quotas])).toBe(page);
});

test("nothing else becomes a link", () => {
  const others = ["javascript:alert(1)", "JavaScript:alert(1)", "java\nscript:alert(1)", " javascript:alert(1)", "javascript://example.com/%0aalert(1)", "data:text/html,x", "vbscript:x", "blob:https://example.com/1", "file:///etc/passwd", "ftp://example.com", "ops@example.com", "//example.com", "/ask", "?m=x", "https://", ""];
  for (const contact of others) expect(askingAt(contact, acme, [])).toBeUndefined();
});
