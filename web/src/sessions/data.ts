import { useQuery } from "@tanstack/react-query";
import { must, newApi, type Schemas, useActing } from "../api/client";

export type OpenSession = Schemas["OpenSession"];

// Whose are the sessions of a list: of a tenant, or of the operators.
export type Whose = "tenant" | "operators";

const installation = newApi();

// useSessions returns the sessions that hold, and how one is ended.
export function useSessions(whose: Whose) {
  const { api: acting, tenant } = useActing();
  const own = whose === "tenant";
  const api = own ? acting : installation;
  const key = ["sessions", own ? tenant : "", whose];
  return {
    key,
    list: useQuery({ queryKey: key, queryFn: () => must(api.GET("/v1/sessions")) }),
    end: (id: string) => must(api.DELETE("/v1/sessions/{id}", { params: { path: { id } } })),
  };
}

// whoOf says for people who has opened a session.
export function whoOf(s: OpenSession): string {
  return s.member?.email ?? (s.portal_link?.name || s.portal_link?.id) ?? (s.identity?.name || s.identity?.subject) ?? (s.key?.name || s.key?.id) ?? s.id;
}

// wayOf says how it was opened.
export function wayOf(s: OpenSession): string {
  if (s.member) return `member, ${s.member.role}`;
  if (s.portal_link) return "portal link";
  return s.identity ? "identity provider" : "key";
}
