import type { Schemas } from "../api/client";
import { csvOf } from "../common/csv";

const head = ["time", "operation", "outcome", "code", "tenant", "type", "queue", "topic", "name", "actor", "actor_id", "source_ip", "request_id", "before", "after"];

const json = (v: unknown) => (v === null || v === undefined ? "" : JSON.stringify(v));

// tableOf returns an export of the audit log, which is JSON objects in lines, as a table.
export function tableOf(lines: string): string {
  const entries = lines
    .split("\n")
    .filter((l) => l !== "")
    .map((l): Schemas["AuditEntry"] => JSON.parse(l));
  return csvOf(
    head,
    entries.map(({ time, operation, outcome, code, tenant, target: t, actor: a, source_ip, request_id, before, after }) => {
      const id = a.key_id || a.member_id || a.portal_link_id || a.identity?.subject;
      return [time, operation, outcome, code, tenant, t.type, t.queue, t.topic, t.name, a.kind, id, source_ip, request_id, json(before), json(after)];
    }),
  );
}
