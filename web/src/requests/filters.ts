// What may stand in the search field is told apart by how ids begin.
const actors = /^(key|usr|lnk|ses|tok|oid)_/;

type Filters = Partial<Record<"request_id" | "actor" | "route" | "operation" | "status", string>>;

// filtersOf returns what the API is asked for: one request by its id, those of somebody, of a route, or of an operation.
export function filtersOf(text: string, status: string | undefined): Filters {
  const t = text.trim();
  if (t === "") return { status };
  if (t.startsWith("req_")) return { request_id: t, status };
  if (actors.test(t)) return { actor: t, status };
  return t.startsWith("/") ? { route: t, status } : { operation: t, status };
}
