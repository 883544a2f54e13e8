import { Badge, Button, Card, Group, SegmentedControl, Stack, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";
import { useActing } from "../api/client";
import { pathOf, withQuery } from "../api/curl";
import { Curl } from "../common/Curl";
import { count, plural } from "../common/format";
import { Pager, SearchField } from "../common/Page";
import { Empty, Loaded, NoMatch } from "../common/states";
import { useUrl } from "../common/url";
import { useQueue } from "../queues/data";
import { useQueueName } from "../queues/QueuePage";
import { states, usePeek } from "./data";
import { MessageDrawer } from "./MessageDrawer";
import { MessageRows } from "./MessageRows";

const DeleteChosen = lazy(() => import("./DeleteChosen").then((m) => ({ default: m.DeleteChosen })));
const RedriveDialog = lazy(() => import("./RedriveDialog").then((m) => ({ default: m.RedriveDialog })));

// Messages is what is in a queue. Looking changes nothing.
export function Messages() {
  const { tenant = "" } = useActing();
  const queue = useQueueName();
  const [search, setUrl] = useUrl();
  const state = states.find((s) => s === search.state) ?? "all";
  const filter = search.filter ?? "";
  const list = usePeek(queue, state, filter, search.cursor);
  const [ids, setIds] = useState<ReadonlySet<string>>(new Set());
  const [asks, setAsks] = useState<"delete" | "move">();
  useEffect(() => setIds(new Set()), [state, filter, search.cursor]); // what is not on the screen is not chosen
  const shown = list.data?.data ?? [];
  const { data: q } = useQueue(queue);
  const total = q ? q.counts.available + q.counts.in_flight + q.counts.delayed : 0;
  const tab = (s: (typeof states)[number]) => {
    if (!q) return s;
    if (s === "all") return `All ${count(total)}`;
    return `${{ available: "Available", in_flight: "In flight", delayed: "Delayed" }[s]} ${count(q.counts[s])}`;
  };
  return (
    <Stack>
      <Group justify="space-between">
        <SegmentedControl
          aria-label="State"
          value={state}
          onChange={(s) => setUrl({ state: s === "all" ? undefined : s, cursor: undefined })}
          data={states.map((s) => ({ value: s, label: tab(s) }))}
          style={{ maxWidth: "100%", overflowX: "auto" }}
        />
        <Group gap="xs">
          <Button variant="default" loading={list.isFetching && list.data?.data.length !== 0} onClick={() => void list.refetch()}>
            Look again
          </Button>
          <Curl call={{ method: "GET", path: withQuery(pathOf`/v1/queues/${queue}/messages`, { state: state === "all" ? undefined : state, filter }) }} />
        </Group>
      </Group>
      <Group justify="space-between">
        <SearchField name="filter" label="Filter" placeholder="timeout  attr.type:order.*  body.total>10  ( / )" w={460} />
        {shown.length > 0 && (
          <Group gap="xs">
            {ids.size > 0 && (
              <>
                <Button variant="default" onClick={() => setAsks("move")}>
                  Move {plural(ids.size, "message")}…
                </Button>
                <Button variant="default" c="red" onClick={() => setAsks("delete")}>
                  Delete {plural(ids.size, "message")}…
                </Button>
              </>
            )}
            <Button variant="default" onClick={() => setIds(ids.size > 0 ? new Set() : new Set(shown.map((m) => m.id)))}>
              {ids.size > 0 ? "Choose none" : "Choose these"}
            </Button>
          </Group>
        )}
      </Group>
      <Text size="xs" className="quiet">
        Looking takes nothing: no message is received, counted or moved.
      </Text>
      <Loaded query={list} rows={8}>
        {(page) => {
          if (page.data.length === 0 && !page.next_cursor) {
            if (filter) return <NoMatch what={<>the filter “{filter}”</>} clear={() => setUrl({ filter: undefined, cursor: undefined })} />;
            if (state !== "all" && total > 0) {
              return (
                <Card withBorder>
                  <Text size="sm">
                    None is {state.replace("_", " ")}
                    {q && `: ${count(q.counts.available)} available, ${count(q.counts.in_flight)} in flight, ${count(q.counts.delayed)} delayed`}.
                  </Text>
                </Card>
              );
            }
            return <NoMessages queue={queue} tenant={tenant} sent={q?.totals.sent ?? 0} />;
          }
          return (
            <>
              <MessageRows messages={page.data} open={(id) => setUrl({ m: id })} selection={{ ids, set: setIds }} />
              <Group>
                {!page.scanned.complete && (
                  <Badge variant="light" color="gray" tt="none" size="lg">
                    Looked at {count(page.scanned.messages)} of {count(total)}
                  </Badge>
                )}
                <Pager next={page.next_cursor} />
              </Group>
            </>
          );
        }}
      </Loaded>
      <Suspense>
        {asks === "delete" && <DeleteChosen queue={queue} ids={[...ids]} close={() => setAsks(undefined)} />}
        {asks === "move" && <RedriveDialog queue={queue} ids={[...ids]} filter="" move close={() => setAsks(undefined)} />}
      </Suspense>
      {search.m && <MessageDrawer queue={queue} id={search.m} close={() => setUrl({ m: undefined })} changed={() => void list.refetch()} />}
    </Stack>
  );
}

function NoMessages({ queue, tenant, sent }: { queue: string; tenant: string; sent: number }) {
  const action = (
    <Button component={Link} to={`/t/${tenant}/queues/${queue}/send`}>
      Send a message
    </Button>
  );
  return (
    <Empty title={sent > 0 ? "All is done" : "Nothing was sent yet"} call={{ method: "POST", path: pathOf`/v1/queues/${queue}/messages`, body: "hello" }} action={action}>
      {sent > 0 ? `The queue is empty. ${count(sent)} were sent since it was made.` : "The body of the request is the message, whatever it is:"}
    </Empty>
  );
}
