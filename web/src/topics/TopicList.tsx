import { Badge, Button, Group, Modal, SegmentedControl, Stack, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { failureOf, must, type Schemas, useActing } from "../api/client";
import { pathOf, unchanged, withQuery } from "../api/curl";
import { Curl } from "../common/Curl";
import { count, duration, rate, spoken } from "../common/format";
import { Page, Pager, SearchField } from "../common/Page";
import { useLive } from "../common/prefs";
import { Rows } from "../common/Rows";
import { Empty, ErrorState, Loaded, NoMatch } from "../common/states";
import { useUrl } from "../common/url";
import { type Topic, useHealth, useRates } from "./data";
import { filteredOut, type Health } from "./health";

export function TopicList() {
  const { api, tenant = "" } = useActing();
  const [{ q = "", cursor, new: making }, setUrl] = useUrl();
  const list = useQuery({
    queryKey: ["topics", tenant, q, cursor],
    refetchInterval: useLive(3000),
    queryFn: () => must(api.GET("/v1/topics", { params: { query: { prefix: q, cursor, limit: 50 } } })),
  });
  const topics = list.data?.data ?? [];
  const health = useHealth(topics.map((t) => t.name));
  const rates = useRates(topics, list.dataUpdatedAt);
  const create = <Button onClick={() => setUrl({ new: "topic" })}>Create a topic</Button>;
  return (
    <Page
      title="Topics"
      actions={
        <>
          <Link className="link" to="/t/$tenant/topic-subscriptions" params={{ tenant }}>
            Patterns
          </Link>
          {create}
          <Curl call={{ method: "GET", path: withQuery("/v1/topics", { prefix: q }) }} label="The list by curl" />
        </>
      }
    >
      <SearchField name="q" label="Names that begin with" placeholder="Names that begin with…  ( / )" />
      <Loaded query={list} rows={8}>
        {({ data, next_cursor }) => {
          if (data.length === 0 && q) return <NoMatch what={<>the prefix “{q}”</>} clear={() => setUrl({ q: undefined, cursor: undefined })} />;
          if (data.length === 0) {
            return (
              <Empty title="No topics yet" call={{ method: "PUT", path: "/v1/topics/order-events", body: { message_retention: 86400 } }} action={create}>
                What is published to a topic once reaches every queue that subscribes to it, so that a new consumer changes nothing for the publisher.
              </Empty>
            );
          }
          return (
            <>
              <Rows
                label="Topics"
                rows={data}
                rowKey={(t) => t.name}
                columns={[
                  {
                    title: "Name",
                    wide: true,
                    cell: (t) => (
                      <Group gap="xs">
                        <Link className="link" data-row to="/t/$tenant/topics/$topic/subscriptions" params={{ tenant, topic: t.name }}>
                          {t.name}
                        </Link>
                        {t.type === "fifo" && (
                          <Badge size="sm" variant="light">
                            FIFO
                          </Badge>
                        )}
                      </Group>
                    ),
                  },
                  { title: "Subscriptions", cell: (t) => <Fares topic={t} health={health.get(t.name)} /> },
                  { title: "Filtered out", num: true, cell: (t) => share(health.get(t.name)) },
                  { title: "Published", num: true, cell: (t) => count(t.published) },
                  { title: "Published /s", num: true, cell: (t) => (rates.has(t.name) ? rate(rates.get(t.name) ?? 0) : "–") },
                  { title: "In the log", num: true, cell: (t) => count(t.log.messages) },
                  { title: "Kept for", num: true, cell: (t) => (t.message_retention ? duration(t.message_retention) : "until delivered") },
                ]}
              />
              <Pager next={next_cursor} />
            </>
          );
        }}
      </Loaded>
      {making === "topic" && <CreateTopic close={() => setUrl({ new: undefined }, true)} />}
    </Page>
  );
}

// Fares says how many subscriptions a topic has, and of how many something is to be known.
function Fares({ topic: t, health: h }: { topic: Topic; health: Health | undefined }) {
  const s = h?.states;
  const failing = s ? s.retrying + s.broken + s.failing + s.disabled : 0;
  return (
    <>
      {count(t.subscriptions)}
      {failing > 0 && (
        <Badge ml={6} size="sm" color="red" variant="light">
          {count(failing)} failing
        </Badge>
      )}
      {s && s.unverified > 0 && (
        <Badge ml={6} size="sm" color="yellow" variant="light">
          {count(s.unverified)} pending
        </Badge>
      )}
      {s && s.paused > 0 && (
        <Badge ml={6} size="sm" color="gray" variant="light">
          {count(s.paused)} paused
        </Badge>
      )}
      {h && !h.complete && <span className="quiet"> not all looked at</span>}
    </>
  );
}

function share(h: Health | undefined): string {
  const part = h && filteredOut(h);
  return part === undefined ? "–" : `${Math.round(part * 100)} %`;
}

function CreateTopic({ close }: { close: () => void }) {
  const { api, tenant = "" } = useActing();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [typed, setTyped] = useState("");
  const [type, setType] = useState("standard");
  const [retention, setRetention] = useState("1d");
  const name = typed.trim().replace(/\.fifo$/, "") + (type === "fifo" ? ".fifo" : "");
  const body: Schemas["TopicInput"] = { message_retention: (spoken(retention) ?? 0) as number }; // text such as 1d too
  const create = useMutation({
    mutationFn: () => must(api.PUT("/v1/topics/{topic}", { params: { path: { topic: name }, header: { "If-None-Match": "*" } }, body })),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["topics", tenant] });
      void navigate({ to: "/t/$tenant/topics/$topic/subscriptions", params: { tenant, topic: name } });
    },
  });
  const failure = create.error ? failureOf(create.error) : undefined;
  return (
    <Modal opened onClose={close} title="Create a topic" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          create.mutate();
        }}
      >
        <Stack>
          <TextInput label="Name" description={type === "fifo" ? `Its name ends in .fifo: ${name}` : "Letters, digits, -, _ and segments with a dot"} value={typed} onChange={(e) => setTyped(e.currentTarget.value)} data-autofocus required spellCheck={false} autoComplete="off" />
          <SegmentedControl
            aria-label="Type"
            data={[
              { value: "standard", label: "Standard" },
              { value: "fifo", label: "FIFO: in order, each once" },
            ]}
            value={type}
            onChange={setType}
          />
          <TextInput label="Messages are kept for" description="So long they can be read again and replayed: 0 to 14d" value={retention} onChange={(e) => setRetention(e.currentTarget.value)} error={failure?.at("/message_retention")} />
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "PUT", path: pathOf`/v1/topics/${name || "NAME"}`, body, headers: unchanged() }} />
            <Button type="submit" loading={create.isPending} disabled={!typed.trim()}>
              Create
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
