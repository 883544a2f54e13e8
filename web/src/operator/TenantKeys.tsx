import { Button, Card, Group, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { must } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { count } from "../common/format";
import { Rows } from "../common/Rows";
import { Loaded } from "../common/states";
import { Ago } from "../common/Time";
import type { Key } from "../keys/data";
import { api } from "./data";
import { RotateAll } from "./RotateAll";

const shown = 8;

// TenantKeys are the keys of a tenant, those that were used last first.
export function TenantKeys({ tenant }: { tenant: string }) {
  const list = useQuery({ queryKey: ["keys", tenant, "tenant"], queryFn: () => must(api.GET("/v1/tenants/{tenant}/keys", { params: { path: { tenant } } })) });
  const [rotates, setRotates] = useState<Key[]>();
  const live = list.data?.data.filter((k) => k.replaced_by === null) ?? [];
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h5">
          Keys
        </Title>
        <Group gap="xs">
          <Button variant="default" disabled={live.length === 0} onClick={() => setRotates(live)}>
            Rotate all…
          </Button>
          <Curl call={{ method: "GET", path: pathOf`/v1/tenants/${tenant}/keys` }} />
        </Group>
      </Group>
      <Loaded query={list} rows={3}>
        {({ data }) => (
          <>
            <Rows
              label="Keys"
              rows={[...data].sort((a, b) => (b.last_used_at ?? "").localeCompare(a.last_used_at ?? "")).slice(0, shown)}
              rowKey={(k) => k.id}
              columns={[
                { title: "Key", wide: true, cell: (k) => <>{k.name || <span className="mono">{k.id}</span>}{k.replaced_by && <span className="quiet"> replaced</span>}</> },
                { title: "Last used", num: true, cell: (k) => <Ago at={k.last_used_at} empty="never" /> },
                { title: "Calls, 24 h", num: true, cell: (k) => (k.calls_24h === null ? "–" : count(k.calls_24h)) },
                { title: "From", cell: (k) => <span className="mono">{k.last_used_ip ?? "–"}</span> },
              ]}
            />
            <Link className="link" to="/t/$tenant/keys" params={{ tenant }}>
              {data.length > shown ? `All ${data.length}` : "Create or revoke"}
            </Link>
          </>
        )}
      </Loaded>
      {rotates && <RotateAll tenant={tenant} keys={rotates} close={() => setRotates(undefined)} />}
    </Card>
  );
}
