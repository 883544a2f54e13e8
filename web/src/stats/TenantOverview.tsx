import { Alert, Card, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { useRaisedAlarms } from "../alarms/data";
import { must, useActing } from "../api/client";
import { ago, count, plural } from "../common/format";
import { Page } from "../common/Page";
import { almostFull, quotaNames } from "../common/Quota";
import { Loaded, Waiting } from "../common/states";
import { useUrl } from "../common/url";
import { orders, type Queue, useQueues } from "../queues/data";
import { Number } from "../queues/Overview";
import { QueueRows } from "../queues/QueueList";
import { Spark } from "../queues/Spark";
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
              <Totals of="tenant" oldest={oldest.data?.data[0]} />
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
  const full = almostFull(quotas.data?.data ?? []);
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

const sparkSteps = 360; // of ten seconds

// Totals are the latest numbers of a series, with the last hour of each. oldest is the queue with the oldest message.
export function Totals({ of, oldest }: { of: Of; oldest?: Queue }) {
  const [search] = useUrl();
  const range = rangeOf(search.range);
  const { data: s } = useSeries(of, "1h", false); // longer ranges have longer steps: that would be no number of now
  const { data: all } = useSeries(of, range, search.view === "table");
  const number = (what: string, values: (s: Series) => (number | null)[], write: (n: number) => string) => {
    const known = s ? values(s).filter((v) => v !== null) : [];
    return <Number label={what} value={s ? write(known.at(-1) ?? 0) : "…"} to={<Spark points={known} steps={sparkSteps} what={what} write={write} />} />;
  };
  return (
    <SimpleGrid cols={{ base: 2, sm: of === "tenant" ? 5 : 4 }}>
      {number("Available", (s) => s.available, count)}
      {number("In, a second", (s) => perSecond(s.sent, s, Date.now()), rate)}
      {number("Out, a second", (s) => perSecond(s.received, s, Date.now()), rate)}
      {of === "tenant" && <Oldest of={oldest} />}
      <Number
        label={`Dead-lettered in ${ranges[range].text === "hour" ? "an hour" : ranges[range].text}`}
        value={all ? count(all.dead_lettered.reduce((a, b) => a + b, 0)) : "…"}
        to={s && <Spark points={s.dead_lettered} steps={sparkSteps} what="Dead-lettered each ten seconds" />}
      />
    </SimpleGrid>
  );
}

function Oldest({ of: q }: { of: Queue | undefined }) {
  const { tenant = "" } = useActing();
  if (!q || q.oldest_age === 0) return <Number label="Oldest message" value="–" />;
  return (
    <Number
      label="Oldest message"
      value={ago(q.oldest_age)}
      to={
        <Link className="link" to="/t/$tenant/queues/$queue/messages" params={{ tenant, queue: q.name }}>
          {q.name}
        </Link>
      }
    />
  );
}
