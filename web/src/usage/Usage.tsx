import { Group, Progress, SegmentedControl, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { must, type Schemas, useActing } from "../api/client";
import { withQuery } from "../api/curl";
import { Curl } from "../common/Curl";
import { bytes, count } from "../common/format";
import { Page, Pager } from "../common/Page";
import { type Column, Rows } from "../common/Rows";
import { Empty, Loaded } from "../common/states";
import { useUrl } from "../common/url";

type Entry = Schemas["Usage"];

const kinds = ["total", "queue", "topic"] as const;

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
  return (
    <Page title="Usage" actions={<Curl call={{ method: "GET", path: withQuery("/v1/usage", query) }} />}>
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

function columnsOf(by: (typeof kinds)[number], granularity: "hour" | "day", data: Entry[]): Column<Entry>[] {
  const most = Math.max(1, ...data.map((e) => e.requests));
  return [
    { title: granularity === "hour" ? "Hour" : "Day", cell: (e) => <time dateTime={e.start}>{granularity === "hour" ? e.start.slice(0, 16).replace("T", " ") : e.start.slice(0, 10)}</time> },
    ...(by === "total" ? [] : [{ title: by === "queue" ? "Queue" : "Topic", wide: true, cell: (e: Entry) => e.queue ?? e.topic ?? <span className="quiet">all others</span> }]),
    { title: "Requests", num: true, cell: (e) => count(e.requests) },
    { title: "Of the most", cell: (e) => <Progress value={(100 * e.requests) / most} w={90} aria-label={`${count(e.requests)} requests, of at most ${count(most)}`} /> },
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
