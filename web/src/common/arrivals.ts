import { useState } from "react";

// arrivals puts what is on the screen beside what there is now, the newest first: the rows of the screen as they are by now, and how
// many there are that it does not show. What comes behind its last row is no news, but the next page.
export function arrivals<T>(shown: T[], now: T[], keyOf: (row: T) => string): { rows: T[]; fresh: number } {
  const keys = new Set(shown.map(keyOf));
  const last = now.findLastIndex((row) => keys.has(keyOf(row)));
  const known = new Map(now.map((row) => [keyOf(row), row]));
  return {
    rows: shown.map((row) => known.get(keyOf(row)) ?? row),
    fresh: (last < 0 ? now : now.slice(0, last)).filter((row) => !keys.has(keyOf(row))).length,
  };
}

// useShown keeps a page on the screen while newer answers come, so that nothing moves under whoever reads it: fresh is how many rows
// there are more, and show shows them, or another answer. of names the list: another one is shown at once, and so is what comes to an
// empty one.
export function useShown<T, P extends { data: T[] }>(now: P | undefined, of: string, keyOf: (row: T) => string) {
  const [kept, keep] = useState<{ of: string; page: P }>();
  const show = (page = now) => page && keep({ of, page });
  if (!now || !kept || kept.of !== of || kept.page.data.length === 0) {
    if (now && kept?.page !== now) keep({ of, page: now });
    return { page: now, fresh: 0, show };
  }
  const { rows, fresh } = arrivals(kept.page.data, now.data, keyOf);
  return { page: { ...kept.page, data: rows }, fresh, show };
}
