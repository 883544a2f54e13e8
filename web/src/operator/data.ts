import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { must, newApi, type Schemas } from "../api/client";
import { useLive } from "../common/prefs";

export type Tenant = Schemas["Tenant"];
export type TenantLimits = Schemas["TenantLimits"];
export type Plan = Schemas["Plan"];

// api acts for no tenant.
export const api = newApi();

// orders are those in which the server can list tenants, with - for the largest first.
export const orders = ["name", "-name", "available", "-available", "in_flight", "-in_flight", "delayed", "-delayed", "bytes", "-bytes", "sent_rate", "-sent_rate", "received_rate", "-received_rate", "throttled", "-throttled", "undelivered", "-undelivered"] as const;

export type Order = (typeof orders)[number];

export function useTenants(prefix: string, sort: Order, cursor: string | undefined, limit = 50) {
  return useQuery({
    queryKey: ["tenants", "", prefix, sort, cursor, limit],
    refetchInterval: useLive(10_000),
    queryFn: () => must(api.GET("/v1/tenants", { params: { query: { prefix, sort: sort === "name" ? undefined : sort, cursor, limit } } })),
  });
}

export type TenantHealth = Schemas["TenantHealth"];

// useTenantHealth returns how tenants fare by their names, with one request for all.
export function useTenantHealth(names: string[]) {
  const tenants = names.join(",");
  const { data } = useQuery({
    queryKey: ["tenant health", tenants],
    enabled: names.length > 0,
    placeholderData: keepPreviousData,
    refetchInterval: useLive(10_000),
    queryFn: () => must(api.GET("/v1/tenant_health", { params: { query: { tenants } } })),
  });
  return new Map(data?.data.map((h) => [h.tenant, h]));
}

// useQuotas returns how much a tenant has of what it may have. It is counted for each request, so it is not asked again by itself.
export function useQuotas(tenant: string) {
  return useQuery({ queryKey: ["usage", tenant, "quotas"], queryFn: () => must(newApi(tenant).GET("/v1/quotas")) });
}

export function useTenant(name: string) {
  return useQuery({
    queryKey: ["tenant", name],
    refetchInterval: useLive(5000),
    queryFn: () => must(api.GET("/v1/tenants/{tenant}", { params: { path: { tenant: name } } })),
  });
}

const weekMs = 7 * 86_400_000;

// useUsageOf returns what a tenant has used in each hour of the last week.
export function useUsageOf(tenant: string) {
  return useQuery({
    queryKey: ["usage", tenant, "week"],
    staleTime: 60_000,
    queryFn: () => must(api.GET("/v1/tenants/{tenant}/usage", { params: { path: { tenant }, query: { from: new Date(Date.now() - weekMs).toISOString(), limit: 500 } } })),
  });
}

export function usePlans() {
  return useQuery({ queryKey: ["plans"], queryFn: () => must(api.GET("/v1/plans")) });
}
