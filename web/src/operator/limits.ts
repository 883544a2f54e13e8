import { bytes, count } from "../common/format";
import type { TenantLimits } from "./data";

export const limitNames: { name: keyof TenantLimits; label: string; write: (n: number) => string }[] = [
  { name: "requests_per_second", label: "Requests a second", write: count },
  { name: "bytes_in_per_second", label: "Bytes in a second", write: bytes },
  { name: "bytes_out_per_second", label: "Bytes out a second", write: bytes },
  { name: "queues", label: "Queues", write: count },
  { name: "message_size", label: "Bytes of a message", write: bytes },
];

// limitText returns a limit in words.
export function limitText(limits: TenantLimits | null, of: (typeof limitNames)[number]): string {
  const n = limits?.[of.name] ?? null;
  return n === null ? "no limit" : of.write(n);
}

export type LimitTexts = Record<keyof TenantLimits, string>;

export function textsOf(limits: TenantLimits | null): LimitTexts {
  const text = (n: number | null | undefined) => String(n ?? "");
  return {
    requests_per_second: text(limits?.requests_per_second),
    bytes_in_per_second: text(limits?.bytes_in_per_second),
    bytes_out_per_second: text(limits?.bytes_out_per_second),
    queues: text(limits?.queues),
    message_size: text(limits?.message_size),
  };
}

// limitsOf returns what stands in the fields; an empty one is no limit.
export function limitsOf(texts: LimitTexts): TenantLimits {
  const limits: TenantLimits = {};
  for (const { name } of limitNames) if (texts[name].trim() !== "") limits[name] = Number(texts[name]);
  return limits;
}
