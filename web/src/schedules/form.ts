import type { Schemas } from "../api/client";
import { duration, spoken } from "../common/format";
import type { Schedule, ScheduleInput } from "./data";

// Form is a schedule as it is typed.
export type Form = { name: string; by: "cron" | "every"; cron: string; zone: string; every: string; starts: string; ends: string; missed: Schedule["missed"]; body: string; contentType: string; group: string };

export const blank: Form = { name: "", by: "cron", cron: "0 9 * * MON-FRI", zone: "UTC", every: "5m", starts: "", ends: "", missed: "skip", body: "", contentType: "", group: "" };

export function formOf(s: Schedule): Form {
  return {
    name: s.name,
    by: s.cron === null ? "every" : "cron",
    cron: s.cron ?? "",
    zone: s.time_zone ?? "UTC",
    every: s.every === null ? "" : duration(s.every),
    starts: s.starts_at ?? "",
    ends: s.ends_at ?? "",
    missed: s.missed,
    body: s.message?.body ?? "",
    contentType: s.message?.content_type ?? "",
    group: s.message?.group_id ?? "",
  };
}

// timesOf is when a schedule is due, as the API takes it.
export function timesOf(f: Form): Schemas["ScheduleTest"] {
  return {
    ...(f.by === "cron" ? { cron: f.cron, time_zone: f.zone.trim() || "UTC" } : { every: spoken(f.every) as number | null }), // text such as 5m too
    ...(f.starts.trim() && { starts_at: f.starts.trim() }),
    ...(f.ends.trim() && { ends_at: f.ends.trim() }),
  };
}

// inputOf is all of a schedule. What the form does not show of one that is there stays: a PUT replaces.
export function inputOf(f: Form, of?: Schedule): ScheduleInput {
  return {
    ...timesOf(f),
    missed: f.missed,
    message: { ...of?.message, body: f.body, ...(f.contentType.trim() ? { content_type: f.contentType.trim() } : { content_type: undefined }), ...(f.group.trim() ? { group_id: f.group.trim() } : { group_id: undefined }) },
    ...(of && { labels: of.labels }),
  };
}
