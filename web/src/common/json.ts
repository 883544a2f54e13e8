// What is shown of JSON is its own text, only with other white space: parsing would round long numbers and drop one of
// two members with the same name.

const tokens = /\s+|"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:]/y;

export type Piece = { text: string; kind: "name" | "text" | "number" | "word" | "sign" };

// prettyJson returns text as pieces with line breaks and two spaces for each level, or undefined when it is no JSON.
export function prettyJson(text: string): Piece[] | undefined {
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
    if (t.startsWith('"')) out.push({ text: t, kind: list[i + 1] === ":" ? "name" : "text" });
    else out.push({ text: t, kind: /^[tfn]/.test(t) ? "word" : "number" });
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
