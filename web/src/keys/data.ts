import { useQuery } from "@tanstack/react-query";
import { must, type Schemas, useActing } from "../api/client";

export type Key = Schemas["Key"];
export type CreatedKey = Schemas["CreatedKey"];
export type KeyInput = Schemas["KeyInput"];

// Keyring is where keys are: those of a tenant, or those of the operators.
export type Keyring = { kind: "tenant" | "operator"; path: string };

export const tenantKeys: Keyring = { kind: "tenant", path: "/v1/keys" };
export const operatorKeys: Keyring = { kind: "operator", path: "/v1/operator_keys" };

export function useKeys(ring: Keyring) {
  const { api, tenant } = useActing();
  return useQuery({
    queryKey: ["keys", ring.kind === "tenant" ? tenant : "", ring.kind],
    queryFn: () => must(ring.kind === "tenant" ? api.GET("/v1/keys") : api.GET("/v1/operator_keys")),
  });
}
