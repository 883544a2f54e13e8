import type { Schemas } from "../api/client";
import type { TenantLimits } from "./data";

type Hour = Pick<Schemas["Usage"], "start" | "requests" | "bytes_in" | "bytes_out" | "throttled">;

const hourSeconds = 3600;

// counted are the rates that usage knows, by their limits. A request that was refused was asked for as well.
const counted: Partial<Record<keyof TenantLimits, (h: Hour) => number>> = {
  requests_per_second: (h) => h.requests + h.throttled,
  bytes_in_per_second: (h) => h.bytes_in,
  bytes_out_per_second: (h) => h.bytes_out,
};

// Effect is what a limit of a rate would have done in the busiest hour.
export type Effect = { start: string; perSecond: number; refused: number };

// effectOf says what a limit would have done to what was used, or nothing where usage does not count it. Usage knows hours: what
// comes in bursts is refused before the average of an hour reaches the limit, so the share that is refused is the least there would have been.
export function effectOf(name: keyof TenantLimits, limit: number, hours: Hour[]): Effect | undefined {
  const of = counted[name];
  if (!of || hours.length === 0) return undefined;
  const busiest = hours.reduce((a, b) => (of(b) > of(a) ? b : a));
  const perSecond = of(busiest) / hourSeconds;
  return { start: busiest.start, perSecond, refused: perSecond > limit ? 1 - limit / perSecond : 0 };
}
