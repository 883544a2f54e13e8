import type { Search } from "../common/url";

export const deliveryStatuses = ["delivered", "retrying", "failed", "test", "challenge"] as const;

export type DeliveriesFilter = { status?: (typeof deliveryStatuses)[number]; http?: string; topic?: string; subscription?: string; message_id?: string; since?: string };

// filterOf returns what the API is asked for: the message of an id, a topic, or the webhook of topic/subscription.
export function filterOf({ q = "", status, http, since }: Pick<Search, "q" | "status" | "http" | "since">): DeliveriesFilter {
  const text = q.trim();
  const [topic, subscription] = text.split("/");
  const of = text.startsWith("msg_") ? { message_id: text } : { topic: topic || undefined, subscription: subscription || undefined };
  return { status: deliveryStatuses.find((s) => s === status), http, since, ...of };
}

// inWords says what a filter lets through.
export function inWords(f: DeliveriesFilter): string {
  const parts = [f.status, f.http && (f.http === "none" ? "no answer" : `HTTP ${f.http}`), f.topic && `topic ${f.topic}`, f.subscription && `subscription ${f.subscription}`, f.message_id, f.since && `since ${f.since}`];
  return parts.filter(Boolean).join(", ");
}
