import type { Queue } from "./data";

// afterSeconds is for how long a message waits before a queue that nobody receives from is said to have no consumers.
export const afterSeconds = 300;

// noConsumers reports whether nobody receives from a queue now, as far as that can be seen.
export function noConsumers(q: Pick<Queue, "counts" | "rates" | "paused">): boolean {
  return Boolean(q.paused?.receive) || (q.counts.in_flight === 0 && q.rates.received === 0);
}

// isUnattended reports whether messages wait in a queue because nobody receives, which is no matter of how many come. A paused queue says so
// itself.
export function isUnattended(q: Pick<Queue, "counts" | "rates" | "oldest_age" | "paused">): boolean {
  return q.counts.available > 0 && q.counts.in_flight === 0 && q.rates.received === 0 && q.oldest_age > afterSeconds && !q.paused?.receive;
}
