import { useQuery } from "@tanstack/react-query";
import { must, newApi, type Schemas } from "../api/client";
import { useLive } from "../common/prefs";

export type Tenant = Schemas["Tenant"];
export type TenantLimits = Schemas["TenantLimits"];
export type Plan = Schemas["Plan"];

// api acts for no tenant.
export const api = newApi();

export function useTenants(prefix: string, cursor: string | undefined) {
  return useQuery({
    queryKey: ["tenants", "", prefix, cursor],
    queryFn: () => must(api.GET("/v1/tenants", { params: { query: { prefix, cursor, limit: 50 } } })),
  });
}

export function useTenant(name: string) {
  return useQuery({
    queryKey: ["tenant", name],
    refetchInterval: useLive(5000),
    queryFn: () => must(api.GET("/v1/tenants/{tenant}", { params: { path: { tenant: name } } })),
  });
}

export function usePlans() {
  return useQuery({ queryKey: ["plans"], queryFn: () => must(api.GET("/v1/plans")) });
}
