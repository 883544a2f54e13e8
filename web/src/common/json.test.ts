import { expect, test } from "vitest";
import { hexDump, jsonTree, type Node, prettyJson } from "./json";

const text = (s: string) => prettyJson(s)?.map((p) => p.text).join("");

test("numbers keep every digit, and members their number", () => {
  expect(text('{"id":12345678901234567890,"x":1.10,"a":1,"a":2}')).toBe('{\n  "id": 12345678901234567890,\n  "x": 1.10,\n  "a": 1,\n  "a": 2\n}');
});

test("nothing is between the brackets of what is empty", () => {
  expect(text('[{}, [ ], {"a":[]}]')).toBe('[\n  {},\n  [],\n  {\n    "a": []\n  }\n]');
});

test("strings stay as they were written", () => {
  expect(text('"<\\u0062>{,:\\""')).toBe('"<\\u0062>{,:\\""');
  expect(prettyJson('{"a":"b"}')?.map((p) => p.kind)).toEqual(["sign", "name", "sign", "text", "sign"]);
});

test("what is no JSON is said to be none", () => {
  for (const s of ["", "hello", "{a:1}", "01", '{"a":1}x', "<script>"]) expect(prettyJson(s)).toBeUndefined();
});

test("a tree has every value as it is written", () => {
  const leaf = (kind: Node["kind"], text: string, name?: string): Node => ({ name, kind, text, members: [] });
  expect(jsonTree('{"id":12345678901234567890,"id":1.10,"a":[{},[],null,"<b>"]}')).toEqual({
    name: undefined,
    kind: "object",
    text: "",
    members: [leaf("number", "12345678901234567890", '"id"'), leaf("number", "1.10", '"id"'), { name: '"a"', kind: "array", text: "", members: [leaf("object", ""), leaf("array", ""), leaf("word", "null"), leaf("text", '"<b>"')] }],
  });
  expect(jsonTree("7")).toEqual(leaf("number", "7"));
  let node = jsonTree("[".repeat(5000) + "]".repeat(5000));
  for (let depth = 1; depth < 5000; depth++) node = node?.members[0];
  expect(node).toEqual(leaf("array", ""));
  expect(jsonTree("{a:1}")).toBeUndefined();
});

test("bytes in lines", () => {
  expect(hexDump(new Uint8Array([0, 65, 255]))).toBe(`00000000  00 41 ff${" ".repeat(41)}.A.`);
});
