import type { Schemas } from "../api/client";

type Entry = Schemas["Usage"];

// lengths are those of periods, in seconds.
export const lengths = { hour: 3600, day: 86_400 } as const;

// Periods are numbers of all periods of a time; those in which nothing was done have 0.
export type Periods = { times: number[]; requests: number[]; throttled: number[]; window: { from: number; to: number } };

// periodsOf spreads usage over a number of periods, the last of which is going on.
export function periodsOf(entries: Pick<Entry, "start" | "requests" | "throttled">[], granularity: keyof typeof lengths, n: number, nowMs: number): Periods {
  const length = lengths[granularity];
  const last = Math.floor(nowMs / 1000 / length) * length;
  const times = Array.from({ length: n }, (_, i) => last - (n - 1 - i) * length);
  const at = new Map(entries.map((e) => [Date.parse(e.start) / 1000, e]));
  const of = (pick: (e: (typeof entries)[number]) => number) =>
    times.map((t) => {
      const e = at.get(t);
      return e ? pick(e) : 0;
    });
  return { times, requests: of((e) => e.requests), throttled: of((e) => e.throttled), window: { from: times[0] ?? last, to: last } };
}

// Total is what one queue used in all.
export type Total = { name: string | null; requests: number; bytes: number };

// totalsOf adds up usage by queue; null is all others.
export function totalsOf(entries: Pick<Entry, "queue" | "requests" | "bytes_in" | "bytes_out">[]): Total[] {
  const totals = new Map<string | null, Total>();
  for (const e of entries) {
    const t = totals.get(e.queue) ?? { name: e.queue, requests: 0, bytes: 0 };
    totals.set(e.queue, { ...t, requests: t.requests + e.requests, bytes: t.bytes + e.bytes_in + e.bytes_out });
  }
  return [...totals.values()];
}
