import { Alert, Card, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useActing } from "../api/client";
import { ago, count, plural } from "../common/format";
import { Page } from "../common/Page";
import { Empty, Loaded } from "../common/states";
import { useUrl } from "../common/url";
import { orders, type Queue, useQueues } from "../queues/data";
import { Number } from "../queues/Overview";
import { QueueRows } from "../queues/QueueList";
import { Charts } from "./Charts";
import { forgotten, type Of, rangeOf, ranges, rate, perSecond, type Series, useSeries } from "./data";

const top = 10;
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
            <Empty title="No queues yet" call={{ method: "PUT", path: "/v1/queues/orders" }}>
              Here is how the queues of {tenant} are, once there is one. This makes it:
            </Empty>
          ) : (
            <Stack>
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

function Attention({ queues, tenant, more }: { queues: Queue[]; tenant: string; more: boolean }) {
  if (queues.length === 0) return <Text size="sm" className="quiet">No queue {more && "of the oldest 50 "}waits for a consumer.</Text>;
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
