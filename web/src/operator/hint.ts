import type { Schemas } from "../api/client";
import { quotaNames } from "../common/Quota";
import { rate } from "../stats/data";
import type { TenantLimits } from "./data";
import { effectOf } from "./effect";
import { limitNames } from "./limits";

// hintOf says what a limit would do that stands in a field and is not saved yet.
export function hintOf(name: keyof TenantLimits, text: string, hours: Schemas["Usage"][] | undefined, quotas: Schemas["QuotaUse"][] | undefined): string | undefined {
  const limit = Number(text);
  if (text.trim() === "" || !Number.isFinite(limit)) return undefined;
  const quota = quotas?.find((q) => q.quota === name);
  const write = limitNames.find((l) => l.name === name)?.write ?? String;
  if (quota) {
    const what = `${quotaNames[quota.quota]}: ${write(quota.used)} now`;
    return quota.used >= limit ? `${what}. It keeps them, and gets no more.` : `${what}.`;
  }
  const effect = effectOf(name, limit, hours ?? []);
  if (!effect) return undefined;
  const when = `${effect.start.slice(0, 16).replace("T", " ")} UTC`;
  const busiest = `The busiest hour of the last week, ${when}, had ${name === "requests_per_second" ? rate(effect.perSecond) : write(Math.round(effect.perSecond))} a second`;
  return effect.refused > 0 ? `${busiest}: at least ${Math.max(1, Math.floor(100 * effect.refused))} % would have been refused.` : `${busiest} on average: below the limit, but for bursts.`;
}
