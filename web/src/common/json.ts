// What is shown of JSON is its own text, only with other white space: parsing would round long numbers and drop one of
// two members with the same name.

const tokens = /\s+|"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:]/y;

export type Piece = { text: string; kind: "name" | "text" | "number" | "word" | "sign" };

// tokensOf returns the words and signs of JSON, or undefined when it is none.
function tokensOf(text: string): string[] | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  const list: string[] = [];
  tokens.lastIndex = 0;
  while (tokens.lastIndex < text.length) {
    const found = tokens.exec(text);
    if (!found) return undefined;
    if (found[0].trim() !== "") list.push(found[0]);
  }
  return list;
}

const kindOf = (t: string) => (t.startsWith('"') ? "text" : /^[tfn]/.test(t) ? "word" : "number");

// Node is a value of JSON as it is written, with its name where it is a member of an object.
export type Node = { name?: string; kind: "object" | "array" | "text" | "number" | "word"; text: string; members: Node[] };

// jsonTree returns what text holds as nodes, or undefined when it is no JSON.
export function jsonTree(text: string): Node | undefined {
  const list = tokensOf(text);
  if (!list) return undefined;
  const top: Node = { kind: "array", text: "", members: [] };
  const open = [top];
  let name: string | undefined;
  list.forEach((t, i) => {
    if (t === "," || t === ":") return;
    if (t === "}" || t === "]") {
      open.pop();
      return;
    }
    if (list[i + 1] === ":") {
      name = t;
      return;
    }
    const kind = t === "{" ? "object" : t === "[" ? "array" : kindOf(t);
    const node: Node = { name, kind, text: kind === "object" || kind === "array" ? "" : t, members: [] };
    name = undefined;
    open.at(-1)?.members.push(node);
    if (kind === "object" || kind === "array") open.push(node);
  });
  return top.members[0];
}

// prettyJson returns text as pieces with line breaks and two spaces for each level, or undefined when it is no JSON.
export function prettyJson(text: string): Piece[] | undefined {
  const list = tokensOf(text);
  if (!list) return undefined;
  const out: Piece[] = [];
  let depth = 0;
  const sign = (text: string) => out.push({ text, kind: "sign" });
  const line = () => `\n${"  ".repeat(depth)}`;
  list.forEach((t, i) => {
    switch (t) {
      case "{":
      case "[":
        depth++;
        sign(list[i + 1] === "}" || list[i + 1] === "]" ? t : t + line());
        return;
      case "}":
      case "]":
        depth--;
        sign(list[i - 1] === "{" || list[i - 1] === "[" ? t : line() + t);
        return;
      case ",":
        sign(t + line());
        return;
      case ":":
        sign(": ");
        return;
    }
    out.push({ text: t, kind: list[i + 1] === ":" ? "name" : kindOf(t) });
  });
  return out;
}

// hexDump returns bytes as lines of 16: where, which, and what they look like.
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let i = 0; i < bytes.length; i += 16) {
    const row = Array.from(bytes.subarray(i, i + 16));
    const hex = row.map((b) => b.toString(16).padStart(2, "0")).join(" ");
    const seen = row.map((b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : ".")).join("");
    lines.push(`${i.toString(16).padStart(8, "0")}  ${hex.padEnd(47)}  ${seen}`);
  }
  return lines.join("\n");
}
