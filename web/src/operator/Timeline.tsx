import { Card, Group, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { By } from "../audit/By";
import { must } from "../api/client";
import { withQuery } from "../api/curl";
import { Curl } from "../common/Curl";
import { Rows } from "../common/Rows";
import { Loaded } from "../common/states";
import { Ago } from "../common/Time";
import { api } from "./data";

const shown = 6;

// Timeline is what operators have changed of a tenant itself, the newest first.
export function Timeline({ tenant }: { tenant: string }) {
  const query = { target: tenant, limit: shown };
  const list = useQuery({ queryKey: ["audit", "", "tenant", tenant], queryFn: () => must(api.GET("/v1/operator_audit", { params: { query } })) });
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h5">
          Changes of the tenant
        </Title>
        <Curl call={{ method: "GET", path: withQuery("/v1/operator_audit", query) }} />
      </Group>
      <Loaded query={list} rows={shown}>
        {({ data }) => (
          <>
            <Rows
              label="Changes of the tenant"
              rows={data}
              rowKey={(e) => e.id}
              columns={[
                { title: "What", cell: (e) => e.operation + (e.outcome === "done" ? "" : `, ${e.outcome}`) },
                { title: "By", wide: true, cell: (e) => <By actor={e.actor} /> },
                { title: "When", num: true, cell: (e) => <Ago at={e.time} /> },
              ]}
            />
            <Link className="link" to="/admin/audit" search={{ target: tenant }}>
              All of it
            </Link>
          </>
        )}
      </Loaded>
    </Card>
  );
}
