import type { Delivery } from "./data";

// Health is what came of the last attempts of a webhook; times are in milliseconds.
export type Health = { attempts: number; delivered: number; median: number; p95: number; classes: [string, number][] };

// healthOf sums attempts up, without test events and challenges. Null: there are none.
export function healthOf(list: Pick<Delivery, "status" | "duration_ms" | "response_status">[]): Health | null {
  const real = list.filter((d) => d.status !== "test" && d.status !== "challenge");
  if (real.length === 0) return null;
  const times = real.map((d) => d.duration_ms).sort((a, b) => a - b);
  const at = (share: number) => times[Math.max(Math.ceil(share * times.length) - 1, 0)] ?? 0;
  const classes = new Map<string, number>();
  for (const d of real) {
    const name = d.response_status ? `${Math.floor(d.response_status / 100)}xx` : "no answer";
    classes.set(name, (classes.get(name) ?? 0) + 1);
  }
  return { attempts: real.length, delivered: real.filter((d) => d.status === "delivered").length, median: at(0.5), p95: at(0.95), classes: [...classes].sort(([a], [b]) => (a < b ? -1 : 1)) };
}
