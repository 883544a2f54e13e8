import type { Schemas } from "../api/client";

type Reason = Schemas["ReasonCount"];

// added puts the counts of all parts together, the largest first.
export function added(pages: Schemas["ReasonPage"][]): Reason[] {
  const all = new Map<string | null, Reason>();
  for (const r of pages.flatMap((p) => p.data)) {
    const known = all.get(r.reason);
    all.set(r.reason, known ? { ...known, count: known.count + r.count, first_at: min(known.first_at, r.first_at), last_at: max(known.last_at, r.last_at), sources: [...new Set([...known.sources, ...r.sources])] } : r);
  }
  return [...all.values()].sort((a, b) => b.count - a.count);
}

const min = (a: string, b: string) => (a < b ? a : b);
const max = (a: string, b: string) => (a > b ? a : b);
