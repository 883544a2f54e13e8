import { bytes, count } from "../common/format";
import type { TenantLimits } from "./data";

export const limitNames: { name: keyof TenantLimits; label: string; write: (n: number) => string }[] = [
  { name: "requests_per_second", label: "Requests a second", write: count },
  { name: "bytes_in_per_second", label: "Bytes in a second", write: bytes },
  { name: "bytes_out_per_second", label: "Bytes out a second", write: bytes },
  { name: "queues", label: "Queues", write: count },
  { name: "topics", label: "Topics", write: count },
  { name: "topic_subscriptions", label: "Subscriptions of a topic", write: count },
  { name: "queue_schedules", label: "Schedules of a queue", write: count },
  { name: "keys", label: "Keys", write: count },
  { name: "waiting_receives", label: "Waiting receives on a server", write: count },
  { name: "stored_bytes", label: "Stored bytes", write: bytes },
  { name: "message_size", label: "Bytes of a message", write: bytes },
];

// limitText returns a limit in words.
export function limitText(limits: TenantLimits | null, of: (typeof limitNames)[number]): string {
  const n = limits?.[of.name] ?? null;
  return n === null ? "no limit" : of.write(n);
}

export type LimitTexts = Record<keyof TenantLimits, string>;

export function textsOf(limits: TenantLimits | null): LimitTexts {
  return Object.fromEntries(limitNames.map(({ name }) => [name, String(limits?.[name] ?? "")])) as LimitTexts;
}

// limitsOf returns what stands in the fields; an empty one is no limit.
export function limitsOf(texts: LimitTexts): TenantLimits {
  const limits: TenantLimits = {};
  for (const { name } of limitNames) if (texts[name].trim() !== "") limits[name] = Number(texts[name]);
  return limits;
}
