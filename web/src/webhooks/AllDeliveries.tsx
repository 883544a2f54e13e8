import { Button, Group, NativeSelect, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { type Api, must, type Schemas, useActing } from "../api/client";
import { withQuery } from "../api/curl";
import { useShown } from "../common/arrivals";
import { Curl } from "../common/Curl";
import { allPages, csvOf } from "../common/csv";
import { Danger } from "../common/Danger";
import { Export } from "../common/Export";
import { count, plural } from "../common/format";
import { Page, Pager, SearchField } from "../common/Page";
import { useLive } from "../common/prefs";
import { Rows } from "../common/Rows";
import { useSay } from "../common/say";
import { Empty, Loaded, NoMatch } from "../common/states";
import { Ago, Instant } from "../common/Time";
import { useUrl } from "../common/url";
import { DeliveryBadge } from "./Deliveries";
import { inMillis } from "./data";
import { type DeliveriesFilter, deliveryStatuses, filterOf, inWords } from "./filters";

type Attempt = Schemas["RecentDelivery"];

const path = "/v1/deliveries";

const answers = [{ value: "", label: "Any answer" }, "2xx", "3xx", "4xx", "5xx", { value: "none", label: "No answer" }];
const spans = [{ value: "", label: "At any time" }, { value: "900", label: "Last 15 minutes" }, { value: "3600", label: "Last hour" }, { value: "86400", label: "Last 24 hours" }];

const limit = 50; // of a page

const keyOf = (d: Attempt) => `${d.topic}/${d.subscription}/${d.id}.${d.attempt}.${d.at}`;

// AllDeliveries is what was sent of late to any endpoint of the tenant, and what came back.
export function AllDeliveries() {
  const { api, tenant = "" } = useActing();
  const [search, setUrl] = useUrl();
  const filter = filterOf(search);
  const [asks, setAsks] = useState(false);
  const [looks, setLooks] = useState(false);
  const words = inWords(filter);
  const live = useLive(words ? 15_000 : 5000); // a filter may look at much
  const queryKey = ["all deliveries", tenant, filter, search.cursor];
  const list = useQuery({
    queryKey,
    refetchInterval: search.cursor ? false : live, // a later page gets nothing new
    queryFn: () => must(api.GET(path, { params: { query: { ...filter, cursor: search.cursor, limit } } })),
  });
  const { page: shown, fresh, show } = useShown(list.data, JSON.stringify(queryKey), keyOf);
  const lookAgain = async () => {
    setLooks(true);
    const { data } = await list.refetch();
    setLooks(false);
    show(data);
  };
  const clear = () => setUrl({ q: undefined, status: undefined, http: undefined, since: undefined, cursor: undefined });
  const listed = (given: (string | { value: string; label: string })[], value: string | undefined, label = value) => [...given, ...(value && !given.some((g) => (typeof g === "string" ? g : g.value) === value) ? [{ value, label: label ?? value }] : [])];
  return (
    <Page
      title="Deliveries"
      actions={
        <>
          <Button variant="default" loading={looks} onClick={() => void lookAgain()}>
            Look again
          </Button>
          <Button variant="default" disabled={filter.status !== undefined && filter.status !== "failed" && filter.status !== "retrying"} onClick={() => setAsks(true)}>
            Resend all matching…
          </Button>
          <Export name="deliveries.csv" text={() => tableOf(api, filter)} />
          <Curl call={{ method: "GET", path: withQuery(path, filter) }} />
        </>
      }
    >
      <Group>
        <SearchField name="q" label="Which deliveries" placeholder="msg_…, a topic, or topic/subscription  ( / )" />
        <NativeSelect aria-label="Status" value={filter.status ?? ""} onChange={(e) => setUrl({ status: e.currentTarget.value, cursor: undefined })} data={[{ value: "", label: "Any status" }, ...deliveryStatuses]} />
        <NativeSelect aria-label="Answer" value={search.http ?? ""} onChange={(e) => setUrl({ http: e.currentTarget.value, cursor: undefined })} data={listed(answers, search.http)} />
        <NativeSelect
          aria-label="Since"
          value={search.since ?? ""}
          onChange={(e) => setUrl({ since: e.currentTarget.value && new Date(Date.now() - Number(e.currentTarget.value) * 1000).toISOString(), cursor: undefined })}
          data={listed(spans, search.since, `Since ${search.since?.replace("T", " ").slice(0, 16)} UTC`)}
        />
      </Group>
      <Loaded query={{ ...list, data: shown }} rows={8}>
        {({ data, next_cursor, scanned, complete_since }) => {
          if (data.length === 0 && !next_cursor && words) return <NoMatch what={words} clear={clear} />;
          if (data.length === 0 && !next_cursor) {
            return (
              <Empty title="Nothing was sent to an endpoint yet" call={{ method: "PUT", path: "/v1/topics/order-events/subscriptions/partner", body: { endpoint: "https://example.com/hooks" } }}>
                What is published to a topic goes to the endpoints that subscribe to it, and each attempt is here with what came of it:
              </Empty>
            );
          }
          return (
            <>
              {/* As high with the button as without. */}
              <Group h={30} gap="sm" role="status" wrap="nowrap">
                <Text size="sm" className="quiet">
                  What ended last comes first.
                </Text>
                {fresh > 0 && (
                  <Button size="compact-sm" variant="light" onClick={() => show()}>
                    {fresh < limit ? count(fresh) : `${limit}+`} new · show
                  </Button>
                )}
              </Group>
              <Rows label="Deliveries" rows={data} rowKey={keyOf} columns={columnsOf(tenant)} />
              <Pager next={next_cursor} />
              <Text size="sm" className="quiet">
                Looked at {plural(scanned.attempts, "attempt")}
                {!scanned.complete && ", and there are more"}.{" "}
                {complete_since ? (
                  <>
                    Of those before <Instant at={complete_since} /> some are not kept any more: a webhook has a log of its own.
                  </>
                ) : (
                  "All attempts that were made are here."
                )}
              </Text>
            </>
          );
        }}
      </Loaded>
      {asks && <Resend filter={filter} close={() => setAsks(false)} />}
    </Page>
  );
}

const mostExported = 10_000;

// tableOf returns the attempts that match as a table, with what is on the screen and what is not.
async function tableOf(api: Api, filter: DeliveriesFilter) {
  const { rows, more } = await allPages(mostExported, (cursor) => must(api.GET(path, { params: { query: { ...filter, cursor, limit: 500 } } })));
  const head = ["at", "topic", "subscription", "message_id", "id", "attempt", "max_attempts", "status", "response_status", "error_code", "duration_ms", "next_attempt_at"] as const;
  const text = csvOf(
    [...head],
    rows.map((d) => head.map((name) => d[name])),
  );
  return { text, note: more ? `The last ${count(rows.length)} deliveries that match are in the file; there are more.` : undefined };
}

const columnsOf = (tenant: string) => [
  {
    title: "Message",
    wide: true,
    cell: (d: Attempt) => (
      <Link className="link mono" data-row to="/t/$tenant/topics/$topic/webhooks/$subscription" params={{ tenant, topic: d.topic, subscription: d.subscription }} search={{ m: d.message_id }}>
        {d.message_id}
      </Link>
    ),
  },
  {
    title: "Topic",
    wide: true,
    cell: (d: Attempt) => (
      <Link className="link" to="/t/$tenant/topics/$topic/subscriptions" params={{ tenant, topic: d.topic }}>
        {d.topic}
      </Link>
    ),
  },
  {
    title: "Subscription",
    wide: true,
    cell: (d: Attempt) => (
      <Link className="link" to="/t/$tenant/topics/$topic/webhooks/$subscription" params={{ tenant, topic: d.topic, subscription: d.subscription }}>
        {d.subscription}
      </Link>
    ),
  },
  { title: "Status", cell: (d: Attempt) => <DeliveryBadge status={d.status} /> },
  { title: "HTTP", num: true, cell: (d: Attempt) => d.response_status ?? <span className="quiet">{d.error_code?.replaceAll("_", " ") ?? "–"}</span> },
  { title: "Took", num: true, cell: (d: Attempt) => inMillis(d.duration_ms) },
  { title: "Attempt", num: true, cell: (d: Attempt) => (d.max_attempts ? `${d.attempt}/${d.max_attempts}` : d.attempt) },
  { title: "When", num: true, cell: (d: Attempt) => <Ago at={d.at} /> },
];

const counted = 500; // attempts, before one is asked

// Resend asks before all that matches is sent again, and goes on until it is.
function Resend({ filter, close }: { filter: DeliveriesFilter; close: () => void }) {
  const { api, tenant } = useActing();
  const client = useQueryClient();
  const say = useSay();
  const status = filter.status === "retrying" ? ("retrying" as const) : ("failed" as const);
  const body = { ...filter, status };
  const found = useQuery({
    queryKey: ["deliveries to resend", tenant, body],
    staleTime: 0,
    queryFn: () => must(api.GET(path, { params: { query: { ...body, limit: counted } } })),
  });
  const nothing = found.data?.data.length === 0 && !found.data.next_cursor;
  const messages = new Set(found.data?.data.map((d) => `${d.topic}/${d.subscription}/${d.id}`)).size;
  return (
    <Danger
      title="Resend all matching"
      verb="Resend"
      nothing={nothing}
      close={close}
      call={{ method: "POST", path: `${path}/resend`, body }}
      run={async () => {
        let sent = 0;
        let cursor: string | undefined;
        do {
          const part = await must(api.POST("/v1/deliveries/resend", { body: { ...body, cursor } }));
          sent += part.count;
          cursor = part.next_cursor ?? undefined;
        } while (cursor);
        say(`${plural(sent, "message")} will be sent again.`);
        void client.invalidateQueries({ queryKey: ["all deliveries"] });
      }}
    >
      {nothing ? (
        <>
          Nothing matches <b>{inWords(body)}</b>, so there is nothing to send again.
        </>
      ) : (
        <>
          This sends again what matches <b>{inWords(body)}</b>, as far as it {status === "failed" ? "has failed" : "waits for its next attempt"} still:{" "}
          <b>
            {found.data ? (
              <>
                {found.data.next_cursor ? "at least " : "at most "}
                {count(messages)} {messages === 1 ? "message" : "messages"}
              </>
            ) : (
              "…"
            )}
          </b>
          , each with the same id as before.
        </>
      )}
    </Danger>
  );
}
