import type { Delivery } from "./data";

// Health is what came of the last attempts of a webhook; times are in milliseconds.
export type Health = { attempts: number; delivered: number; median: number; p95: number; classes: [string, number][] };

// isReal leaves test events and challenges out.
const isReal = (d: Pick<Delivery, "status">) => d.status !== "test" && d.status !== "challenge";

const classOf = (status: number | null) => (status ? `${Math.floor(status / 100)}xx` : "no answer");

// healthOf sums attempts up, without test events and challenges. Null: there are none.
export function healthOf(list: Pick<Delivery, "status" | "duration_ms" | "response_status">[]): Health | null {
  const real = list.filter(isReal);
  if (real.length === 0) return null;
  const times = real.map((d) => d.duration_ms).sort((a, b) => a - b);
  const at = (share: number) => times[Math.max(Math.ceil(share * times.length) - 1, 0)] ?? 0;
  const classes = new Map<string, number>();
  for (const d of real) {
    const name = classOf(d.response_status);
    classes.set(name, (classes.get(name) ?? 0) + 1);
  }
  return { attempts: real.length, delivered: real.filter((d) => d.status === "delivered").length, median: at(0.5), p95: at(0.95), classes: [...classes].sort(([a], [b]) => (a < b ? -1 : 1)) };
}

const day = 86_400;
const steps = [1, 2, 5, 10, 15, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, day]; // seconds, which a chart writes apart
const most = 30; // steps
const fewest = 12;
const classes = ["2xx", "3xx", "4xx", "5xx", "no answer"];

// Answers is how many answers of each class came in each of some steps of time, in seconds: times are the middles of the steps.
export type Answers = { step: number; window: { from: number; to: number }; times: number[]; lines: { label: string; values: number[] }[] };

// answersOf counts answers in steps as short as the time from the first to the last of them allows. Null: there are none. The usual
// classes are there even where nothing was answered so, each at its place.
export function answersOf(list: Pick<Delivery, "status" | "at" | "response_status">[]): Answers | null {
  const real = list.filter(isReal).map((d) => ({ at: Date.parse(d.at) / 1000, name: classOf(d.response_status) }));
  if (real.length === 0) return null;
  const first = Math.min(...real.map((d) => d.at));
  const last = Math.max(...real.map((d) => d.at));
  const step = steps.find((s) => Math.floor(last / s) - Math.floor(first / s) < most) ?? day * Math.ceil((last - first) / day / (most - 1));
  const to = (Math.floor(last / step) + 1) * step;
  const bars = Math.max(fewest, to / step - Math.floor(first / step));
  const from = to - bars * step;
  const names = [...new Set([...classes, ...real.map((d) => d.name)])];
  const lines = names.map((label) => ({ label, values: new Array<number>(bars).fill(0) }));
  for (const d of real) {
    const values = lines[names.indexOf(d.name)]?.values ?? [];
    const at = Math.floor((d.at - from) / step);
    values[at] = (values[at] ?? 0) + 1;
  }
  return { step, window: { from, to }, times: Array.from({ length: bars }, (_, i) => from + (i + 0.5) * step), lines };
}
