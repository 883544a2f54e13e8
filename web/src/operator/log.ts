import type { Schemas } from "../api/client";

export type LogLine = Schemas["LogLine"];

// kept is how many lines the page has, as many as the server: what is older goes.
export const kept = 1000;

export const levels = ["debug", "info", "warn", "error"] as const;

// levelOf returns the level that an address names, if there is such a one.
export function levelOf(text: string | undefined): (typeof levels)[number] | undefined {
  return levels.find((l) => l === text);
}

// added puts lines that came behind those that are there, each once: after a while elsewhere a server tells all that it has again.
export function added(lines: LogLine[], more: LogLine[]): LogLine[] {
  if (more.length === 0) return lines;
  const known = new Set(lines.map((l) => l.cursor));
  return [...lines, ...more.filter((l) => !known.has(l.cursor))].slice(-kept);
}

// textOf writes the fields of a line as one looks for them. Those that say nothing are left out.
export function textOf(line: LogLine): string {
  return Object.entries(line.fields)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

// wholeOf writes a line as one line of text, for the clipboard.
export function wholeOf(line: LogLine): string {
  return [line.time, line.level.toUpperCase(), line.message, textOf(line)].filter(Boolean).join(" ").replace(/[\r\n]+/g, " ");
}

// clockOf writes the time of a line with its milliseconds, without the day.
export function clockOf(line: LogLine, utc: boolean): string {
  if (line.time === null) return "";
  const d = new Date(line.time);
  return utc ? d.toISOString().slice(11, 23) : `${d.toLocaleTimeString("sv")}.${String(d.getMilliseconds()).padStart(3, "0")}`;
}
