import { Card, SimpleGrid, Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { must, newApi } from "../api/client";
import { ago, bytes, count } from "../common/format";
import { Facts } from "../common/Page";
import { Quotas } from "../common/Quota";
import { Loaded } from "../common/states";
import { Ago } from "../common/Time";
import { useLive } from "../common/prefs";
import { Number } from "../queues/Overview";
import { rate } from "../stats/data";
import { type Tenant, useQuotas, useUsageOf } from "./data";
import { effectOf } from "./effect";

const dayMs = 86_400_000;

// TenantUse is what a tenant holds and does, and how much of its limits that is.
export function TenantUse({ of: t }: { of: Tenant }) {
  const quotas = useQuotas(t.name);
  const a = t.activity;
  return (
    <Stack>
      {a && (
        <SimpleGrid cols={{ base: 2, sm: 4 }}>
          <Number label="Available" value={count(a.available)} to={`${count(a.in_flight)} in flight, ${count(a.delayed)} delayed`} />
          <Number label="In, a second" value={rate(a.rates.sent)} />
          <Number label="Out, a second" value={rate(a.rates.received)} />
          <Number label="In its queues" value={bytes(a.bytes)} to={a.last_active_at ? <>active <Ago at={a.last_active_at} /></> : "never used"} />
        </SimpleGrid>
      )}
      <Card withBorder>
        <Stack>
          <Loaded query={quotas} rows={3}>
            {({ data }) => <Quotas of={data} />}
          </Loaded>
          <Lately of={t} />
        </Stack>
      </Card>
    </Stack>
  );
}

// Lately is how a tenant fared: what waits the longest, what is wrong, and how near it came to its rates.
function Lately({ of: t }: { of: Tenant }) {
  const refetchInterval = useLive(30_000);
  const api = newApi(t.name);
  const oldest = useQuery({ queryKey: ["tenant", t.name, "oldest"], refetchInterval, queryFn: () => must(api.GET("/v1/queues", { params: { query: { sort: "-oldest_age", limit: 1 } } })) });
  const alarms = useQuery({ queryKey: ["tenant", t.name, "alarms"], refetchInterval, queryFn: () => must(api.GET("/v1/alarms")) });
  const week = useUsageOf(t.name);
  const first = oldest.data?.data[0];
  const raised = alarms.data?.data.filter((x) => x.state === "alarm") ?? [];
  const day = week.data?.data.filter((h) => Date.parse(h.start) >= Date.now() - dayMs) ?? [];
  const limit = t.effective_limits.requests_per_second ?? 0;
  const busiest = effectOf("requests_per_second", limit, day);
  const throttled = day.reduce((n, h) => n + h.throttled, 0);
  return (
    <Facts
      of={[
        [
          "Oldest message",
          first && first.oldest_age > 0 ? (
            <span key="o">
              {ago(first.oldest_age)}, in{" "}
              <Link className="link" to="/t/$tenant/queues/$queue/overview" params={{ tenant: t.name, queue: first.name }}>
                {first.name}
              </Link>
            </span>
          ) : oldest.data ? (
            "none waits"
          ) : (
            "…"
          ),
        ],
        [
          "Raised alarms",
          alarms.data ? (
            <Link key="a" className="link" to="/t/$tenant/alarms" params={{ tenant: t.name }}>
              {raised.length === 0 ? "none" : raised.map((x) => x.name).slice(0, 5).join(", ") + (raised.length > 5 ? ` and ${raised.length - 5} more` : "")}
            </Link>
          ) : (
            "…"
          ),
        ],
        ["Requests, busiest hour of 24", busiest ? `${rate(busiest.perSecond)} a second${limit ? ` of ${count(limit)}, ${Math.round((100 * busiest.perSecond) / limit)} %` : ""}` : "none"],
        ["Refused by a rate, 24 hours", count(throttled)],
        ["Attempts of webhooks that failed, 24 hours", count(day.reduce((n, h) => n + h.undelivered, 0))],
      ]}
    />
  );
}
