import { Button, Group, SegmentedControl, Stack, Text } from "@mantine/core";
import { lazy, Suspense, useEffect, useState } from "react";
import { pathOf, withQuery } from "../api/curl";
import { Curl } from "../common/Curl";
import { count, plural } from "../common/format";
import { Pager, SearchField } from "../common/Page";
import { Loaded, NoMatch } from "../common/states";
import { useUrl } from "../common/url";
import { useQueue } from "../queues/data";
import { useQueueName } from "../queues/QueuePage";
import { Columns } from "./Columns";
import { columnsOf } from "./columns";
import { states, usePeek } from "./data";
import { MessageDrawer } from "./MessageDrawer";
import { MessageRows } from "./MessageRows";
import { NoMessages } from "./NoMessages";
import { ScanNote } from "./ScanNote";

const DeleteChosen = lazy(() => import("./DeleteChosen").then((m) => ({ default: m.DeleteChosen })));
const ExportDialog = lazy(() => import("./ExportDialog").then((m) => ({ default: m.ExportDialog })));
const RedriveDialog = lazy(() => import("./RedriveDialog").then((m) => ({ default: m.RedriveDialog })));

// Messages is what is in a queue. Looking changes nothing.
export function Messages() {
  const queue = useQueueName();
  const [search, setUrl] = useUrl();
  const state = states.find((s) => s === search.state) ?? "all";
  const filter = search.filter ?? "";
  const list = usePeek(queue, state, filter, search.cursor);
  const [ids, setIds] = useState<ReadonlySet<string>>(new Set());
  const [asks, setAsks] = useState<"delete" | "move" | "export">();
  useEffect(() => setIds(new Set()), [state, filter, search.cursor]); // what is not on the screen is not chosen
  const shown = list.data?.data ?? [];
  const { data: q } = useQueue(queue);
  const back = ids.size > 0 && shown.every((m) => !ids.has(m.id) || m.origin?.queue); // each has a queue to go back to
  const total = q ? q.counts.available + q.counts.in_flight + q.counts.delayed : 0;
  const inState = q && state !== "all" ? q.counts[state] : total;
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
          <Button variant="default" loading={list.isFetching && list.data?.data.length !== 0} onClick={list.lookAgain}>
            Look again
          </Button>
          <Curl call={{ method: "GET", path: withQuery(pathOf`/v1/queues/${queue}/messages`, { state: state === "all" ? undefined : state, filter }) }} />
        </Group>
      </Group>
      <Group justify="space-between">
        <SearchField name="filter" label="Filter" placeholder="timeout  attr.type:order.*  body.total>10  ( / )" w={460} />
        {shown.length > 0 && (
          <Group gap="xs">
            <Columns of={shown} />
            <Button variant="default" onClick={() => setAsks("export")}>
              {ids.size > 0 ? `Export ${plural(ids.size, "message")}…` : "Export…"}
            </Button>
            {ids.size > 0 && (
              <>
                <Button variant="default" onClick={() => setAsks("move")}>
                  {back ? "Redrive" : "Move"} {plural(ids.size, "message")}…
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
            return q && <NoMessages queue={q} state={state} />;
          }
          return (
            <>
              {page.data.length > 0 && <MessageRows messages={page.data} open={(id) => setUrl({ m: id })} selection={{ ids, set: setIds }} shown={columnsOf(search.columns)} />}
              <Group>
                <ScanNote list={list} total={inState} />
                <Pager next={page.data.length > 0 && !list.scan.running ? page.next_cursor : null} />
              </Group>
            </>
          );
        }}
      </Loaded>
      <Suspense>
        {asks === "delete" && <DeleteChosen queue={queue} ids={[...ids]} close={() => setAsks(undefined)} />}
        {asks === "move" && <RedriveDialog queue={queue} ids={[...ids]} filter="" move back={back} close={() => setAsks(undefined)} />}
        {asks === "export" && <ExportDialog queue={queue} ids={[...ids]} state={state} filter={filter} total={inState} close={() => setAsks(undefined)} />}
      </Suspense>
      {search.m && <MessageDrawer queue={queue} id={search.m} close={() => setUrl({ m: undefined })} changed={list.lookAgain} />}
    </Stack>
  );
}
