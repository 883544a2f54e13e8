import type { Schemas } from "../api/client";

// By is who did what the audit log has.
export function By({ actor: a }: { actor: Schemas["AuditEntry"]["actor"] }) {
  const id = a.key_id || a.member_id || a.portal_link_id || a.identity?.subject;
  // Who failed to sign in is nobody that is known, and a command has no key.
  return id ? <span className="mono">{id}</span> : <span className="quiet">{a.kind === "stranger" ? "somebody who could not sign in" : `a ${a.kind}`}</span>;
}
