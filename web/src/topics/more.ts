import { duration, spoken } from "../common/format";
import type { Subscription, SubscriptionInput } from "./data";

// overflows say what happens when a webhook is full.
export const overflows = ["dlq", "drop_oldest", "reject_publish"] as const;

// More is what few change of a webhook, as it is typed.
export type More = { max_rate: string; overflow: (typeof overflows)[number]; terminal_statuses: string; retry_schedule: string };

// none is what is typed for a list without anything, because nothing typed means the list that is so of itself.
const none = "none";

const written = <T>(list: T[] | null | undefined, write: (item: T) => string) => (list ? list.map(write).join(", ") || none : "");

// moreOf writes what a webhook has.
export function moreOf(of: Subscription | undefined): More {
  return { max_rate: String(of?.max_rate ?? ""), overflow: of?.overflow ?? "dlq", terminal_statuses: written(of?.terminal_statuses, String), retry_schedule: written(of?.retry_schedule, duration) };
}

// listOf reads what stands between commas or spaces; null where nothing is typed.
export function listOf(text: string): number[] | null {
  if (text.trim() === "") return null;
  if (text.trim().toLowerCase() === none) return [];
  return text.split(/[,\s]+/).filter(Boolean).map(spoken) as number[]; // text such as 5m too
}

// inputOf returns what is no longer as it was: a webhook keeps the rest, also where that is only so of itself.
export function inputOf(now: More, before: More): Pick<SubscriptionInput, keyof More> {
  return {
    ...(now.max_rate !== before.max_rate && { max_rate: spoken(now.max_rate) as number | null }),
    ...(now.overflow !== before.overflow && { overflow: now.overflow }),
    ...(now.terminal_statuses !== before.terminal_statuses && { terminal_statuses: listOf(now.terminal_statuses) }),
    ...(now.retry_schedule !== before.retry_schedule && { retry_schedule: listOf(now.retry_schedule) }),
  };
}
