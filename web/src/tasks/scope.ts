import type { Task } from "./data";

// scopeOf is of what a task is, and of how much of that.
export function scopeOf(t: Task): string {
  const s = t.scope;
  if (s.tenant) return s.tenant;
  const parts = [s.queue || s.topic_subscription || `${s.topic} › ${s.subscription}`];
  if (s.to) parts.push(`to ${s.to}`);
  if (s.filter) parts.push(`filter ${s.filter}`);
  if (s.message_ids) parts.push(`${s.message_ids} chosen`);
  if (s.limit) parts.push(`at most ${s.limit}`);
  if (s.max_rate) parts.push(`at most ${s.max_rate} a second`);
  if (s.older_than) parts.push(`older than ${s.older_than} s`);
  return parts.join(", ");
}
