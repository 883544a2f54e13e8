type Cell = string | number | boolean | null | undefined;

// csvOf returns rows as a table for spreadsheets (RFC 4180). Text that one of these would take for a formula gets a ' before it.
export function csvOf(head: string[], rows: Cell[][]): string {
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function cell(v: Cell): string {
  if (v === null || v === undefined) return "";
  if (typeof v !== "string") return String(v);
  const text = /^[=+\-@\t\r]/.test(v) ? `'${v}` : v;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// allPages returns what a list has on all of its pages, up to most, and whether there is more.
export async function allPages<T>(most: number, page: (cursor: string | undefined) => Promise<{ data: T[]; next_cursor: string | null }>): Promise<{ rows: T[]; more: boolean }> {
  const rows: T[] = [];
  for (let cursor: string | undefined; ; ) {
    const { data, next_cursor } = await page(cursor);
    rows.push(...data);
    if (!next_cursor || rows.length >= most) return { rows, more: next_cursor !== null };
    cursor = next_cursor;
  }
}
