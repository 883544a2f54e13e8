import { Badge, Button, Drawer, Group, NativeSelect, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { must, type Schemas, useActing } from "../api/client";
import { withQuery } from "../api/curl";
import { apiUrl } from "../api/place";
import { Curl } from "../common/Curl";
import { Facts, Page, Pager, SearchField } from "../common/Page";
import { Rows } from "../common/Rows";
import { Empty, Loaded, NoMatch } from "../common/states";
import { Ago, Instant } from "../common/Time";
import { useUrl } from "../common/url";
import { filtersOf } from "./filters";

type Logged = Schemas["LoggedRequest"];

const path = "/v1/request_log";

const classes = ["2xx", "3xx", "4xx", "5xx"];

// Requests is what was asked for in the last day, and what came of it.
export function Requests() {
  const { api, tenant = "", operator } = useActing();
  const [search, setUrl] = useUrl();
  const q = search.q ?? "";
  const filters = filtersOf(q, search.status);
  const list = useQuery({
    queryKey: ["requests", tenant, filters, search.cursor],
    queryFn: () => must(api.GET(path, { params: { query: { ...filters, cursor: search.cursor, limit: 50 } } })),
  });
  const open = list.data?.data.find((r) => r.request_id === search.m);
  return (
    <Page
      title="Requests"
      actions={
        <>
          <Button variant="default" loading={list.isFetching} onClick={() => void list.refetch()}>
            Look again
          </Button>
          {/* A link cannot say for which tenant an operator asks. */}
          {!operator && (
            <Button component="a" variant="default" href={apiUrl + withQuery(`${path}/export`, filters)} download="requests.ndjson">
              Export
            </Button>
          )}
          <Curl call={{ method: "GET", path: withQuery(path, filters) }} />
        </>
      }
    >
      <Group>
        <SearchField name="q" label="Which requests" placeholder="req_…, key_…, sendMessage, /v1/queues  ( / )" />
        <NativeSelect aria-label="Status" value={search.status ?? ""} onChange={(e) => setUrl({ status: e.currentTarget.value, cursor: undefined })} data={[{ value: "", label: "Any status" }, ...classes, ...(search.status && !classes.includes(search.status) ? [search.status] : [])]} />
      </Group>
      <Loaded query={list} rows={8}>
        {({ data, next_cursor }) => {
          if (data.length === 0 && (q || search.status)) return <NoMatch what={q ? <>“{q}”{search.status && <> with {search.status}</>}</> : <>the status {search.status}</>} clear={() => setUrl({ q: undefined, status: undefined, cursor: undefined })} />;
          if (data.length === 0) {
            return (
              <Empty title="Nothing was asked for in the last day" call={{ method: "GET", path }}>
                Here is what programs and people ask for, over REST and as clients of SQS and SNS, without bodies: a few of each second with success, more of those that failed. It is up to two seconds behind.
              </Empty>
            );
          }
          return (
            <>
              <Rows
                label="Requests"
                rows={data}
                rowKey={(r) => r.request_id}
                columns={[
                  {
                    title: "Request",
                    wide: true,
                    cell: (r) => (
                      <a
                        className="link"
                        data-row
                        href={`?m=${r.request_id}`}
                        onClick={(e) => {
                          e.preventDefault();
                          setUrl({ m: r.request_id });
                        }}
                      >
                        {r.operation ?? r.method} <span className="quiet mono">{r.queue ?? r.topic ?? ""}</span>
                      </a>
                    ),
                  },
                  { title: "Status", cell: (r) => <Status of={r} /> },
                  { title: "Took", num: true, cell: (r) => millis(r.duration_ms) },
                  { title: "By", wide: true, cell: (r) => <By of={r} /> },
                  { title: "From", cell: (r) => <span className="mono">{r.source_ip}</span> },
                  { title: "When", num: true, cell: (r) => <Ago at={r.time} /> },
                ]}
              />
              <Pager next={next_cursor} />
              <Text size="sm" className="quiet">
                A sample of the last 24 hours, the latest first: each server keeps a few requests of a second, and more of those that failed. It is up to two seconds behind.
              </Text>
            </>
          );
        }}
      </Loaded>
      {open && <Details of={open} tenant={tenant} close={() => setUrl({ m: undefined })} />}
    </Page>
  );
}

function Details({ of: r, tenant, close }: { of: Logged; tenant: string; close: () => void }) {
  const [, setUrl] = useUrl();
  const only = (q: string) => (
    <Button size="compact-xs" variant="default" onClick={() => setUrl({ q, m: undefined, cursor: undefined })}>
      Only these
    </Button>
  );
  const actor = actorOf(r);
  return (
    <Drawer opened onClose={close} position="right" size="lg" title={r.operation ?? `${r.method} ${r.route}`} closeButtonProps={{ "aria-label": "Close" }}>
      <Stack>
        <Facts
          of={[
            ["Request", <span key="r" className="mono">{r.request_id}</span>],
            ["Status", <Status key="s" of={r} />],
            ["Route", <span key="p" className="mono">{r.method} {r.route}</span>],
            ["Protocol", r.door === "aws" ? "SQS and SNS" : "REST"],
            ...(r.operation ? [["Operation", <Group key="o" gap="xs">{r.operation} {only(r.operation)}</Group>] as [string, React.ReactNode]] : []),
            ...(r.queue ? [["Queue", <Link key="q" className="link" to="/t/$tenant/queues/$queue/overview" params={{ tenant, queue: r.queue }}>{r.queue}</Link>] as [string, React.ReactNode]] : []),
            ...(r.topic ? [["Topic", <Link key="t" className="link" to="/t/$tenant/topics/$topic/subscriptions" params={{ tenant, topic: r.topic }}>{r.topic}</Link>] as [string, React.ReactNode]] : []),
            ["Took", millis(r.duration_ms)],
            ["Answered", <Instant key="w" at={r.time} />],
            ["By", <Group key="b" gap="xs"><By of={r} /> {actor && only(actor)}</Group>],
            ["From", <span key="f" className="mono">{r.source_ip}</span>],
          ]}
        />
        <Text size="sm" className="quiet">
          There are no bodies, no headers and no queries in the log.
        </Text>
      </Stack>
    </Drawer>
  );
}

function actorOf({ actor: a }: Logged): string {
  return a.key_id || a.member_id || a.portal_link_id || a.identity?.id || a.session_id || "";
}

function By({ of: r }: { of: Logged }) {
  return (
    <span className="mono">
      {actorOf(r)}
      {r.actor.kind === "operator" && <span className="quiet"> operator</span>}
    </span>
  );
}

function Status({ of: r }: { of: Logged }) {
  return (
    <Badge variant="dot" color={r.status < 400 ? "green" : r.status < 500 ? "yellow" : "red"} tt="none">
      {r.status}
      {r.code && ` · ${r.code}`}
    </Badge>
  );
}

function millis(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
