import { Card, Group, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { must } from "../api/client";
import { withQuery } from "../api/curl";
import { Curl } from "../common/Curl";
import { ago, bytes } from "../common/format";
import { Facts, Page } from "../common/Page";
import { Loaded } from "../common/states";
import { useUrl } from "../common/url";
import { Charts } from "../stats/Charts";
import { Totals } from "../stats/TenantOverview";
import { useSeries } from "../stats/data";
import { api, orders, useTenants } from "./data";
import { forecastOf } from "./storage";
import { TenantRows } from "./TenantRows";

const top = 10;

// Storage is how full Redis is, and for how long its room lasts if messages go on growing as in the last day.
function Storage() {
  const system = useQuery({ queryKey: ["system"], staleTime: 60_000, queryFn: () => must(api.GET("/v1/system")) });
  const { data: series } = useSeries("system", "24h", false);
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h5">
          Storage
        </Title>
        <Curl call={{ method: "GET", path: "/v1/system" }} />
      </Group>
      <Loaded query={system} rows={4}>
        {(s) => {
          const f = forecastOf(s.nodes, series);
          return (
            <Facts
              of={[
                ["Memory of Redis", s.nodes.length === 0 ? "that of the server" : `${bytes(f.used)} of ${f.limit === 0 ? "no limit" : `${bytes(f.limit)}, ${Math.floor((100 * f.used) / f.limit)} %`}`],
                ["Messages grow by", f.perDay === null ? "not known yet: numbers of an hour are needed" : f.perDay <= 0 ? "nothing" : `${bytes(Math.round(f.perDay))} a day`],
                ["Room for", f.perDay === null ? "not known yet" : f.days === null ? "no end in sight" : f.days > 365 ? "more than a year" : `about ${ago(f.days * 86_400)}, then sends are refused`],
                ["Durability", s.durability],
                [
                  "Version",
                  <Link key="v" className="link" to="/admin/system">
                    {s.version}
                  </Link>,
                ],
              ]}
            />
          );
        }}
      </Loaded>
    </Card>
  );
}

// Fleet is how all tenants together are, and which of them do most.
export function Fleet() {
  const [{ sort }, setUrl] = useUrl();
  const by = orders.find((o) => o === sort) ?? "-sent_rate";
  const first = useTenants("", by, undefined, top);
  return (
    <Page title="Fleet">
      <Stack>
        <Totals of="system" />
        <Charts of="system" />
        <Storage />
        <Card withBorder>
          <Group justify="space-between" mb="sm">
            <Title order={2} size="h5">
              The first {top} tenants
            </Title>
            <Curl call={{ method: "GET", path: withQuery("/v1/tenants", { sort: by, limit: String(top) }) }} />
          </Group>
          <Text size="sm" mb="xs">
            Refused are requests over a rate, undelivered are attempts of webhooks that failed: both in the last 24 hours.
          </Text>
          <Loaded query={first} rows={5}>
            {({ data }) => <TenantRows fleet tenants={data} sorting={{ by, set: (sort) => setUrl({ sort }) }} />}
          </Loaded>
        </Card>
      </Stack>
    </Page>
  );
}
