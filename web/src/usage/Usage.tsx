import { Card, Group, Progress, SegmentedControl, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense, useMemo } from "react";
import { type Api, must, type Schemas, useActing } from "../api/client";
import { withQuery } from "../api/curl";
import { AskForMore } from "../common/AskForMore";
import { Curl } from "../common/Curl";
import { allPages, csvOf } from "../common/csv";
import { Export } from "../common/Export";
import { bytes, count } from "../common/format";
import { Page, Pager } from "../common/Page";
import { Quotas } from "../common/Quota";
import { type Column, Rows } from "../common/Rows";
import { Empty, Loaded, Waiting } from "../common/states";
import { useUrl } from "../common/url";
import { periodsOf, type Total, totalsOf } from "./periods";

const Plot = lazy(() => import("../stats/Plot"));

type Entry = Schemas["Usage"];

const kinds = ["total", "queue", "topic"] as const;
const shownPeriods = { hour: 24, day: 30 } as const;

// Usage is what the tenant has used: by the day for a month, or by the hour for a day.
export function Usage() {
  const { api, tenant } = useActing();
  const [search, setUrl] = useUrl();
  const by = kinds.find((k) => k === search.type) ?? "total";
  const granularity = search.range === "24h" ? "hour" : "day";
  const query = { granularity, by } as const;
  const list = useQuery({
    queryKey: ["usage", tenant, by, granularity, search.cursor],
    queryFn: () => must(api.GET("/v1/usage", { params: { query: { ...query, cursor: search.cursor, limit: 100 } } })),
  });
  const quotas = useQuery({ queryKey: ["usage", tenant, "quotas"], queryFn: () => must(api.GET("/v1/quotas")) });
  return (
    <Page
      title="Usage"
      actions={
        <>
          <AskForMore />
          <Export name={`usage-${granularity}-${by}.csv`} text={() => tableOf(api, query)} />
          <Curl call={{ method: "GET", path: withQuery("/v1/usage", query) }} />
        </>
      }
    >
      <Card withBorder>
        <Stack gap="sm">
          <Loaded query={quotas} rows={3}>
            {({ data }) => <Quotas of={data} />}
          </Loaded>
          <Link className="link" to="/t/$tenant/limits" params={{ tenant: tenant ?? "" }}>
            All limits
          </Link>
        </Stack>
      </Card>
      <Group>
        <SegmentedControl
          aria-label="How far back"
          value={granularity}
          onChange={(v) => setUrl({ range: v === "hour" ? "24h" : undefined, cursor: undefined })}
          data={[
            { value: "day", label: "30 days" },
            { value: "hour", label: "24 hours" },
          ]}
        />
        <SegmentedControl
          aria-label="Of what"
          value={by}
          onChange={(v) => setUrl({ type: v === "total" ? undefined : v, cursor: undefined })}
          data={[
            { value: "total", label: "In all" },
            { value: "queue", label: "By queue" },
            { value: "topic", label: "By topic" },
          ]}
        />
      </Group>
      <Loaded query={list} rows={8}>
        {({ data, next_cursor }) =>
          data.length === 0 ? (
            <Empty title="Nothing was used in this time" call={{ method: "GET", path: withQuery("/v1/usage", query) }}>
              Requests with the tenant's own keys and the messages in them are counted by the hour and by the day, up to ten seconds behind. What an operator does for the tenant is not.
            </Empty>
          ) : (
            <Stack>
              {by === "total" && <Chart of={data} granularity={granularity} />}
              {by === "queue" && <MostUsed />}
              <Rows label="Usage" rows={data} rowKey={(e) => `${e.start} ${e.queue} ${e.topic} ${e.others}`} columns={columnsOf(by, granularity, data)} />
              <Pager next={next_cursor} />
              <Text size="sm" className="quiet">
                {granularity === "hour" ? "Hours" : "Days"} are of UTC. Those in which nothing was done are left out.
              </Text>
            </Stack>
          )
        }
      </Loaded>
    </Page>
  );
}

// Chart is the requests of each period, and those that a rate refused.
function Chart({ of, granularity }: { of: Entry[]; granularity: "hour" | "day" }) {
  const p = useMemo(() => periodsOf(of, granularity, shownPeriods[granularity], Date.now()), [of, granularity]);
  const sum = (values: number[]) => count(values.reduce((a, b) => a + b, 0));
  const chart = {
    title: `Requests in each ${granularity}`,
    write: (n: number) => count(Math.round(n)),
    lines: [
      { label: "Let in", values: p.requests },
      { label: "Refused by a rate", values: p.throttled },
    ],
  };
  return (
    <Card withBorder padding="sm">
      <Title order={2} size="h6" mb={4}>
        {chart.title}
      </Title>
      <div role="img" aria-label={`${chart.title}: ${sum(p.requests)} let in and ${sum(p.throttled)} refused by a rate, in all`}>
        <Suspense fallback={<Waiting rows={5} />}>
          <Plot key={granularity} chart={chart} times={p.times} window={p.window} />
        </Suspense>
      </div>
    </Card>
  );
}

const top = 5;
const weekMs = 7 * 86_400_000;
const mostRead = 4000; // a week has 501 entries a day at most

// MostUsed are the queues with the most requests and bytes of a week.
function MostUsed() {
  const { api, tenant } = useActing();
  const query = useQuery({
    queryKey: ["usage", tenant, "most"],
    staleTime: 60_000,
    queryFn: async () => {
      const from = new Date(Date.now() - weekMs).toISOString();
      const { rows } = await allPages(mostRead, (cursor) => must(api.GET("/v1/usage", { params: { query: { by: "queue", granularity: "day", from, cursor, limit: 500 } } })));
      return totalsOf(rows);
    },
  });
  return (
    <Loaded query={query} rows={top}>
      {(totals) => (
        <SimpleGrid cols={{ base: 1, md: 2 }}>
          <Most title="Most requests in 7 days" unit="Requests" of={totals} by={(t) => t.requests} write={count} />
          <Most title="Most bytes in 7 days" unit="Bytes" of={totals} by={(t) => t.bytes} write={bytes} />
        </SimpleGrid>
      )}
    </Loaded>
  );
}

function Most({ title, unit, of, by, write }: { title: string; unit: string; of: Total[]; by: (t: Total) => number; write: (n: number) => string }) {
  const { tenant = "" } = useActing();
  const all = of.reduce((n, t) => n + by(t), 0);
  return (
    <Card withBorder>
      <Title order={2} size="h6" mb="xs">
        {title}
      </Title>
      <Rows
        label={title}
        rows={[...of].sort((a, b) => by(b) - by(a)).slice(0, top)}
        rowKey={(t) => t.name ?? "~"}
        columns={[
          {
            title: "Queue",
            wide: true,
            cell: (t) =>
              t.name === null ? (
                <span className="quiet">all others</span>
              ) : (
                <Link className="link" to="/t/$tenant/queues/$queue/overview" params={{ tenant, queue: t.name }}>
                  {t.name}
                </Link>
              ),
          },
          { title: unit, num: true, cell: (t) => write(by(t)) },
          { title: "Share", num: true, cell: (t) => `${all === 0 ? 0 : Math.round((100 * by(t)) / all)} %` },
        ]}
      />
    </Card>
  );
}

const mostExported = 20_000;

// tableOf returns all entries as a table.
async function tableOf(api: Api, query: { granularity: "hour" | "day"; by: (typeof kinds)[number] }) {
  const { rows, more } = await allPages(mostExported, (cursor) => must(api.GET("/v1/usage", { params: { query: { ...query, cursor, limit: 500 } } })));
  const numbers = ["requests", "throttled", "bytes_in", "bytes_out", "messages_sent", "messages_received", "messages_deleted", "messages_published", "messages_delivered", "undelivered"] as const;
  const text = csvOf(["start", "queue", "topic", "others", ...numbers], rows.map((e) => [e.start, e.queue, e.topic, e.others, ...numbers.map((n) => e[n])]));
  return { text, note: more ? `The first ${count(rows.length)} entries are in the file; there are more.` : undefined };
}

function columnsOf(by: (typeof kinds)[number], granularity: "hour" | "day", data: Entry[]): Column<Entry>[] {
  const most = Math.max(1, ...data.map((e) => e.requests));
  return [
    { title: granularity === "hour" ? "Hour" : "Day", cell: (e) => <time dateTime={e.start}>{granularity === "hour" ? e.start.slice(0, 16).replace("T", " ") : e.start.slice(0, 10)}</time> },
    ...(by === "total" ? [] : [{ title: by === "queue" ? "Queue" : "Topic", wide: true, cell: (e: Entry) => e.queue ?? e.topic ?? <span className="quiet">all others</span> }]),
    { title: "Requests", num: true, cell: (e) => count(e.requests) },
    { title: "Of the most", cell: (e) => <Progress value={(100 * e.requests) / most} w={90} aria-label={`${count(e.requests)} requests, of at most ${count(most)}`} /> },
    ...(by === "total" ? [{ title: "Refused", num: true, cell: (e: Entry) => (e.throttled === 0 ? <span className="quiet">–</span> : count(e.throttled)) }] : []),
    { title: "Bytes in", num: true, cell: (e) => bytes(e.bytes_in) },
    { title: "Bytes out", num: true, cell: (e) => bytes(e.bytes_out) },
    ...(by === "topic"
      ? [
          { title: "Published", num: true, cell: (e: Entry) => count(e.messages_published) },
          { title: "Delivered", num: true, cell: (e: Entry) => count(e.messages_delivered) },
        ]
      : [
          { title: "Sent", num: true, cell: (e: Entry) => count(e.messages_sent) },
          { title: "Received", num: true, cell: (e: Entry) => count(e.messages_received) },
          { title: "Done", num: true, cell: (e: Entry) => count(e.messages_deleted) },
        ]),
  ];
}
