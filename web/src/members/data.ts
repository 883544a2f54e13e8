import { useQuery } from "@tanstack/react-query";
import { must, newApi, type Schemas, useActing } from "../api/client";

export type Member = Schemas["Member"];
export type InvitedMember = Schemas["InvitedMember"];
export type Role = Member["role"];

// Circle is who belongs together: the members of a tenant, or the operators.
export type Circle = { kind: "tenant" | "operator"; path: string; roles: { value: Role; label: string }[] };

export const members: Circle = {
  kind: "tenant",
  path: "/v1/members",
  roles: [
    { value: "developer", label: "developer: everything with queues and topics" },
    { value: "owner", label: "owner: everything, members and keys too" },
    { value: "operator", label: "operator: looks, pauses, purges, redrives" },
    { value: "viewer", label: "viewer: looks" },
    { value: "viewer_without_bodies", label: "viewer_without_bodies: looks, but not into messages" },
  ],
};

export const operators: Circle = {
  kind: "operator",
  path: "/v1/operators",
  roles: [
    { value: "owner", label: "owner: everything" },
    { value: "viewer", label: "viewer: looks" },
  ],
};

const installation = newApi();

// useCircle returns what can be asked of a circle.
export function useCircle(circle: Circle) {
  const { api, tenant } = useActing();
  const key = ["members", circle.kind === "tenant" ? tenant : "", circle.kind];
  const own = circle.kind === "tenant";
  return {
    key,
    list: useQuery({ queryKey: key, queryFn: () => must(own ? api.GET("/v1/members") : installation.GET("/v1/operators")) }),
    invite: (body: Schemas["MemberInput"]) => must(own ? api.POST("/v1/members", { body }) : installation.POST("/v1/operators", { body })),
    again: (id: string) => {
      const of = { params: { path: { id } }, body: {} };
      return must(own ? api.POST("/v1/members/{id}/invitation", of) : installation.POST("/v1/operators/{id}/invitation", of));
    },
    change: (id: string, role: Role) => {
      const of = { params: { path: { id } }, body: { role } };
      return must(own ? api.PATCH("/v1/members/{id}", of) : installation.PATCH("/v1/operators/{id}", of));
    },
    remove: (id: string) => {
      const of = { params: { path: { id } } };
      return must(own ? api.DELETE("/v1/members/{id}", of) : installation.DELETE("/v1/operators/{id}", of));
    },
  };
}

// linkOf is what an invited person opens. What stands behind # is sent to no server, and so is in no log.
export function linkOf(invited: InvitedMember, base = document.baseURI): string {
  return new URL(`invitation#${invited.invitation.token}`, base).href;
}
