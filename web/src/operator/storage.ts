import type { Schemas } from "../api/client";

const day = 86_400;
// From which share of its memory on Redis takes no more sends.
const full = 0.85;
// What grew in less than this says nothing about days.
const leastKnown = 3600;

// Forecast is how full the storage is. Bytes a day are null where too little is known, days where it does not grow or has no limit.
export type Forecast = { used: number; limit: number; perDay: number | null; days: number | null };

// forecastOf says when the storage is full if it goes on growing as it did in a series.
export function forecastOf(nodes: Schemas["StorageNode"][], s: Pick<Schemas["Series"], "from" | "to" | "bytes"> | undefined): Forecast {
  const used = nodes.reduce((sum, n) => sum + n.used, 0);
  const limit = nodes.some((n) => n.limit === 0) ? 0 : nodes.reduce((sum, n) => sum + n.limit, 0);
  const seconds = s ? (Date.parse(s.to) - Date.parse(s.from)) / 1000 : 0;
  const [first, last] = [s?.bytes[0], s?.bytes.at(-1)];
  if (first === undefined || last === undefined || seconds < leastKnown) return { used, limit, perDay: null, days: null };
  const perDay = ((last - first) / seconds) * day;
  return { used, limit, perDay, days: perDay > 0 && limit > 0 ? Math.max(0, full * limit - used) / perDay : null };
}
