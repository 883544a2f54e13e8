import type { Schemas } from "../api/client";
import { linkOf } from "./link";
import { almostFull, quotaNames, usedOf } from "./Quota";

// askingAt returns where a link leads with which a tenant asks for larger limits: a letter that says who asks and which limits are
// almost reached, or the page that the contact is.
export function askingAt(contact: string, tenant: { name: string; id: string }, quotas: Schemas["QuotaUse"][]): string | undefined {
  const url = linkOf(contact);
  if (url?.protocol !== "mailto:") return url?.href;
  const who = `tenant ${tenant.name} (${tenant.id})`;
  const full = almostFull(quotas).map((q) => `${quotaNames[q.quota]}: ${usedOf(q)}`);
  const body = [`This is about the limits of ${who}.`, "", ...full, ""].join("\r\n");
  return `mailto:${url.pathname}?subject=${encodeURIComponent(`Larger limits for ${who}`)}&body=${encodeURIComponent(body)}`;
}
