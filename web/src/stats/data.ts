import { useQuery } from "@tanstack/react-query";
import { must, newApi, type Schemas, useActing } from "../api/client";
import { ago, bytes, count } from "../common/format";
import { useLive } from "../common/prefs";
import type { Queue } from "../queues/data";

export type Series = Schemas["Series"] & { oldest_age?: number[] };

// ranges are how far back one can look, in seconds, and the steps of a table that a person reads.
export const ranges = {
  "15m": { window: 900, tableStep: 60, text: "15 minutes" },
  "1h": { window: 3600, tableStep: 300, text: "hour" },
  "24h": { window: 86_400, tableStep: 3600, text: "24 hours" },
  "7d": { window: 604_800, tableStep: 21_600, text: "7 days" },
} as const;

export type Range = keyof typeof ranges;

export function rangeOf(text: string | undefined): Range {
  return text && Object.hasOwn(ranges, text) ? (text as Range) : "1h";
}

// Of is whose numbers they are: a queue's, a tenant's, or the installation's.
export type Of = { queue: string } | "tenant" | "system";

// pathOfStats is where they are.
export function pathOfStats(of: Of): string {
  return of === "tenant" ? "/v1/stats" : of === "system" ? "/v1/system/stats" : `/v1/queues/${encodeURIComponent(of.queue)}/stats`;
}

const installation = newApi();

export function useSeries(of: Of, range: Range, table: boolean) {
  const { api, tenant } = useActing();
  const query = { window: String(ranges[range].window), step: table ? String(ranges[range].tableStep) : undefined };
  return useQuery({
    queryKey: ["stats", of === "system" ? "" : tenant, of, range, table],
    refetchInterval: useLive(10_000),
    queryFn: (): Promise<Series> => {
      if (of === "tenant") return must(api.GET("/v1/stats", { params: { query } }));
      if (of === "system") return must(installation.GET("/v1/system/stats", { params: { query } }));
      return must(api.GET("/v1/queues/{queue}/stats", { params: { path: of, query } }));
    },
  });
}

// Chart is some lines over the same time. With a step, in seconds, they are bars that stand on each other, each of the time around its own.
export type Chart = { title: string; lines: { label: string; values: (number | null)[] }[]; write: (n: number) => string; step?: number };

// rate writes messages a second.
export function rate(n: number): string {
  return n === 0 ? "0" : n < 0.01 ? "< 0.01" : n < 10 ? n.toFixed(n < 1 ? 2 : 1) : count(Math.round(n));
}

const whole = (n: number) => (Number.isInteger(n) ? (n >= 1e6 ? `${n / 1e6}M` : count(n)) : "");

// perSecond divides what came in each step by its length. What is not over yet is left out: it would look like a fall.
export function perSecond(values: number[], s: Series, nowMs: number): (number | null)[] {
  return values.map((v, i) => (Date.parse(s.from) + (i + 1) * s.step * 1000 > nowMs ? null : v / s.step));
}

const smoothSeconds = 60; // shorter steps of a quiet queue would jump between nothing and a lot

// receivesEach returns how often a message was received for each that was done or given up, over a minute or a step, whichever is
// longer. Where none was, they are all receives of what comes back; where nothing was received, nothing is known.
export function receivesEach(s: Series): (number | null)[] {
  const steps = Math.max(1, Math.ceil(smoothSeconds / s.step));
  const sum = (list: number[], i: number) => list.slice(Math.max(0, i + 1 - steps), i + 1).reduce((n, v) => n + v, 0);
  return s.received.map((_, i) => {
    const received = sum(s.received, i);
    return received === 0 ? null : received / Math.max(1, sum(s.deleted, i) + sum(s.dead_lettered, i));
  });
}

export function chartsOf(s: Series, nowMs = Date.now()): Chart[] {
  const charts: Chart[] = [
    {
      title: "Messages held",
      write: whole,
      lines: [
        { label: "Available", values: s.available },
        { label: "In flight", values: s.in_flight },
        { label: "Delayed", values: s.delayed },
      ],
    },
    {
      title: "Messages a second",
      write: rate,
      lines: [
        { label: "In", values: perSecond(s.sent, s, nowMs) },
        { label: "Out", values: perSecond(s.received, s, nowMs) },
        { label: "Done", values: perSecond(s.deleted, s, nowMs) },
      ],
    },
  ];
  if (s.oldest_age) {
    charts.push(
      { title: "Age of the oldest", write: (n) => (n === 0 ? "0" : ago(n)), lines: [{ label: "Oldest", values: s.oldest_age }] },
      { title: "Receives per message", write: (n) => (Number.isInteger(n) ? count(n) : n.toFixed(1)), lines: [{ label: "Receives", values: receivesEach(s) }] },
    );
  } else charts.push({ title: "Bytes held", write: (n) => bytes(Math.round(n)), lines: [{ label: "Bytes", values: s.bytes }] });
  return charts;
}

// lastBusy is the end of the last step in which a queue held or handled a message; undefined when none is known.
export function lastBusy(s: Series, nowMs = Date.now()): number | undefined {
  const lists = [s.available, s.in_flight, s.delayed, s.sent, s.received, s.deleted];
  const at = s.available.findLastIndex((_, i) => lists.some((l) => (l[i] ?? 0) > 0));
  return at < 0 ? undefined : Math.min(nowMs, Date.parse(s.from) + (at + 1) * s.step * 1000);
}

// summary says a line in words.
export function summary(chart: Chart): string {
  return chart.lines
    .map((l) => {
      const known = l.values.filter((v) => v !== null);
      return known.length === 0 ? `${l.label}: nothing known` : `${l.label}: ${chart.write(known.at(-1) ?? 0)} now, at most ${chart.write(Math.max(...known))}`;
    })
    .join(". ");
}

const patienceSeconds = 60;

// forgotten are queues in which messages wait for longer than a minute and from which nobody takes any.
export function forgotten<Q extends Pick<Queue, "counts" | "rates" | "oldest_age">>(queues: Q[]): Q[] {
  return queues.filter((q) => q.counts.available > 0 && q.rates.received === 0 && q.oldest_age >= patienceSeconds);
}

const few = 3; // queues; who has more has begun

// begins reports whether a tenant is so new that nothing was received yet.
export function begins(queues: Pick<Queue, "totals">[]): boolean {
  return queues.length <= few && queues.every((q) => q.totals.received === 0);
}
