import { Alert, Card, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { useRaisedAlarms } from "../alarms/data";
import { must, useActing } from "../api/client";
import { ago, count, plural } from "../common/format";
import { Page } from "../common/Page";
import { near, quotaNames } from "../common/Quota";
import { Loaded, Waiting } from "../common/states";
import { useUrl } from "../common/url";
import { orders, type Queue, useQueues } from "../queues/data";
import { Number } from "../queues/Overview";
import { QueueRows } from "../queues/QueueList";
import { Charts } from "./Charts";
import { begins, forgotten, type Of, rangeOf, ranges, rate, perSecond, type Series, useSeries } from "./data";

const QuickStart = lazy(() => import("./QuickStart").then((m) => ({ default: m.QuickStart })));

const top = 10;
const shown = 5; // alarms
const looked = 50;

// TenantOverview is how all queues of a tenant are, and which of them want somebody.
export function TenantOverview() {
  const { tenant = "" } = useActing();
  const [{ sort }, setUrl] = useUrl();
  const by = orders.find((o) => o === sort) ?? "-oldest_age";
  const first = useQueues("", by, undefined, top);
  const oldest = useQueues("", "-oldest_age", undefined, looked);
  return (
    <Page title="Overview">
      <Loaded query={first} rows={8}>
        {({ data }) =>
          data.length === 0 ? (
            <Suspense fallback={<Waiting rows={8} />}>
              <QuickStart queues={data} />
            </Suspense>
          ) : (
            <Stack>
              {begins(data) && (
                <Suspense>
                  <QuickStart queues={data} />
                </Suspense>
              )}
              <Totals of="tenant" />
              {oldest.data && <Attention queues={forgotten(oldest.data.data)} tenant={tenant} more={oldest.data.next_cursor !== null} />}
              <Charts of="tenant" />
              <Card withBorder>
                <Title order={2} size="h5" mb="sm">
                  First by {{ oldest_age: "age", available: "depth", sent_rate: "rate in", received_rate: "rate out" }[by.replace("-", "")] ?? by.replace("-", "").replace("_", " ")}
                </Title>
                <QueueRows tenant={tenant} queues={data} sorting={{ by, set: (sort) => setUrl({ sort }) }} />
              </Card>
            </Stack>
          )
        }
      </Loaded>
    </Page>
  );
}

// Attention is what somebody should look at: queues that nobody receives from, alarms that are raised, limits that are almost reached.
function Attention({ queues, tenant, more }: { queues: Queue[]; tenant: string; more: boolean }) {
  const { api } = useActing();
  const alarms = useRaisedAlarms();
  const quotas = useQuery({ queryKey: ["usage", tenant, "quotas"], staleTime: 60_000, retry: false, queryFn: () => must(api.GET("/v1/quotas")) });
  const full = quotas.data?.data.filter((q) => q.used >= near * q.limit && q.used > 0) ?? [];
  if (queues.length + alarms.length + full.length === 0) return <Text size="sm" className="quiet">No queue {more && "of the oldest 50 "}waits for a consumer.</Text>;
  return (
    <Alert color="orange" title="Needs attention">
      {queues.map((q) => (
        <Text size="sm" key={q.name}>
          <Link className="link" to="/t/$tenant/queues/$queue/overview" params={{ tenant, queue: q.name }}>
            {q.name}
          </Link>
          : {plural(q.counts.available, "message")}, the oldest {ago(q.oldest_age)} old, and {q.paused?.receive ? "receiving is paused" : "nobody receives"}.
        </Text>
      ))}
      {alarms.slice(0, shown).map((a) => (
        <Text size="sm" key={a.name}>
          Alarm{" "}
          <Link className="link" to="/t/$tenant/alarms" params={{ tenant }} search={{ m: a.name }}>
            {a.name}
          </Link>{" "}
          is raised.
        </Text>
      ))}
      {alarms.length > shown && <Text size="sm">{plural(alarms.length - shown, "alarm")} more.</Text>}
      {full.map((q) => (
        <Text size="sm" key={q.quota}>
          <Link className="link" to="/t/$tenant/limits" params={{ tenant }}>
            {quotaNames[q.quota]}
          </Link>
          : {Math.floor((100 * q.used) / q.limit)} % of the limit is used.
        </Text>
      ))}
    </Alert>
  );
}

// Totals are the latest numbers of a series.
export function Totals({ of }: { of: Of }) {
  const [search] = useUrl();
  const range = rangeOf(search.range);
  const { data: s } = useSeries(of, "1h", false); // longer ranges have longer steps: that would be no number of now
  const { data: all } = useSeries(of, range, search.view === "table");
  const last = (values: (number | null)[]) => values.filter((v) => v !== null).at(-1) ?? 0;
  const speed = (values: number[], s: Series) => rate(last(perSecond(values, s, Date.now())));
  return (
    <SimpleGrid cols={{ base: 2, sm: 4 }}>
      <Number label="Available" value={s ? count(last(s.available)) : "…"} />
      <Number label="In, a second" value={s ? speed(s.sent, s) : "…"} />
      <Number label="Out, a second" value={s ? speed(s.received, s) : "…"} />
      <Number label={`Dead-lettered in ${ranges[range].text === "hour" ? "an hour" : ranges[range].text}`} value={all ? count(all.dead_lettered.reduce((a, b) => a + b, 0)) : "…"} />
    </SimpleGrid>
  );
}
