import { Badge, Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { must, newApi, useActing } from "../api/client";
import type { Session } from "./session";

const api = newApi();
const shown = 20;

// TenantSwitcher always says whose things are on the screen. An operator changes it here.
export function TenantSwitcher({ session }: { session: Session }) {
  const { tenant } = useActing();
  const navigate = useNavigate();
  const [typed, setTyped] = useState("");
  const [open, setOpen] = useState(false);
  const [prefix] = useDebouncedValue(typed === tenant ? "" : typed, 200);
  const found = useQuery({
    queryKey: ["tenants", "switcher", prefix],
    enabled: open && session.kind === "operator",
    placeholderData: keepPreviousData,
    queryFn: () => must(api.GET("/v1/tenants", { params: { query: { prefix, limit: shown } } })),
  });
  if (session.kind !== "operator") {
    return (
      <Badge variant="light" size="lg" tt="none">
        {tenant}
      </Badge>
    );
  }
  const names = found.data?.data.map((t) => t.name) ?? [];
  const data = tenant && !names.includes(tenant) ? [tenant, ...names] : names;
  return (
    <Select
      aria-label="Tenant"
      placeholder="Choose a tenant"
      data={data}
      value={tenant ?? null}
      searchable
      searchValue={open ? typed : (tenant ?? "")}
      onSearchChange={setTyped}
      onDropdownOpen={() => {
        setTyped("");
        setOpen(true);
      }}
      onDropdownClose={() => setOpen(false)}
      filter={({ options }) => options}
      onChange={(name) => name && void navigate({ to: "/t/$tenant/queues", params: { tenant: name } })}
      nothingFoundMessage={found.isFetching ? "Looking…" : "No tenant begins so"}
      size="xs"
      w={{ base: 150, sm: 200 }}
      comboboxProps={{ width: 240, position: "bottom-start" }}
    />
  );
}
