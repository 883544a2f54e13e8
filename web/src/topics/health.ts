import type { Schemas } from "../api/client";

export type Health = Schemas["TopicHealth"];

// Seen is how many messages had been published to topics at an instant, in milliseconds.
export type Seen = { at: number; published: Map<string, number> };

// ratesOf returns how many messages a second were published between two instants, of the topics that were seen at both.
export function ratesOf(before: Seen | undefined, now: Seen): Map<string, number> {
  const rates = new Map<string, number>();
  if (!before || before.at >= now.at) return rates;
  for (const [topic, n] of now.published) {
    const then = before.published.get(topic);
    if (then !== undefined && n >= then) rates.set(topic, ((n - then) * 1000) / (now.at - before.at)); // fewer: it was made anew
  }
  return rates;
}

// filteredOut is which part of what was published to its subscriptions a topic's filter policies kept out, from 0 to 1; nothing where
// nothing was brought to any.
export function filteredOut({ counts: c }: Health): number | undefined {
  const all = c.delivered + c.filtered_out + c.dropped + c.failed;
  return all > 0 ? c.filtered_out / all : undefined;
}
