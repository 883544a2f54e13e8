import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { useActing } from "../api/client";
import { pathOf, withQuery } from "../api/curl";
import { Curl } from "../common/Curl";
import { plural } from "../common/format";
import { Pager, SearchField } from "../common/Page";
import { Loaded, NoMatch } from "../common/states";
import { useUrl } from "../common/url";
import { useQueue } from "../queues/data";
import { useQueueName } from "../queues/QueuePage";
import { Sources } from "../queues/Sources";
import { usePeek } from "./data";
import { MessageDrawer } from "./MessageDrawer";
import { MessageRows } from "./MessageRows";
import { DeleteMatching, Reasons, useReasons } from "./Reasons";
import { RedriveDialog } from "./RedriveDialog";
import { ScanNote } from "./ScanNote";

const DeleteChosen = lazy(() => import("./DeleteChosen").then((m) => ({ default: m.DeleteChosen })));
const ExportDialog = lazy(() => import("./ExportDialog").then((m) => ({ default: m.ExportDialog })));

// DeadLetters is what failed in a queue: the messages of its dead-letter queue, or its own if it is one.
export function DeadLetters() {
  const { tenant = "" } = useActing();
  const name = useQueueName();
  const { data: q } = useQueue(name);
  if (!q) return null;
  const queue = q.redrive?.dead_letter_queue ?? name;
  return (
    <Stack>
      {q.redrive && (
        <Text size="sm">
          What failed in {name} is in{" "}
          <Link className="link" to="/t/$tenant/queues/$queue/dead-letters" params={{ tenant, queue }}>
            {queue}
          </Link>
          .
        </Text>
      )}
      {!q.redrive && <Sources of={name} />}
      <List queue={queue} source={q.redrive ? name : undefined} />
    </Stack>
  );
}

function List({ queue, source }: { queue: string; source?: string }) {
  const { data: q, error } = useQueue(queue);
  const [search, setUrl] = useUrl();
  const [ids, setIds] = useState<ReadonlySet<string>>(new Set());
  const filter = search.filter ?? "";
  const list = usePeek(queue, "all", filter, search.cursor);
  const reasons = useReasons(queue);
  useEffect(() => setIds(new Set()), [filter, search.cursor]); // what is not on the screen is not chosen
  const none = list.data?.data.length === 0;
  const was = useRef(none);
  useEffect(() => {
    if (was.current && !none) void reasons.refetch(); // the first ones have come
    was.current = none;
  });
  const lookAgain = () => {
    list.lookAgain();
    void reasons.refetch();
  };
  // About one reason, whatever was chosen before.
  const about = (filter: string, what?: string) => {
    setIds(new Set());
    setUrl({ filter: filter || undefined, cursor: undefined, new: what });
  };
  const shown = list.data?.data ?? [];
  const total = q ? q.counts.available + q.counts.in_flight + q.counts.delayed : 0;
  if (error && !q) return <Loaded query={list}>{() => null}</Loaded>;
  return (
    <Stack>
      <Reasons queue={queue} list={reasons} total={total} filter={filter} show={about} redrive={(f) => about(f, "redrive")} remove={(f) => about(f, "delete")} />
      <SearchField name="filter" label="Filter" placeholder={source ? `reason:*timeout*  source:${source}` : "reason:*timeout*  body.total>10"} w={460} />
      <Group gap="xs">
        <Button onClick={() => setUrl({ new: "redrive" })} disabled={total === 0}>
          {ids.size > 0 ? `Redrive ${plural(ids.size, "message")}…` : filter ? "Redrive what matches…" : "Redrive all…"}
        </Button>
        {filter && total > 0 && ids.size === 0 && (
          <Button variant="default" c="red" onClick={() => setUrl({ new: "delete" })}>
            Delete what matches…
          </Button>
        )}
        {ids.size > 0 && (
          <Button variant="default" c="red" onClick={() => setUrl({ new: "delete" })}>
            Delete {plural(ids.size, "message")}…
          </Button>
        )}
        {shown.length > 0 && (
          <>
            <Button variant="default" onClick={() => setUrl({ new: "export" })}>
              {ids.size > 0 ? `Export ${plural(ids.size, "message")}…` : "Export…"}
            </Button>
            <Button variant="default" onClick={() => setIds(ids.size > 0 ? new Set() : new Set(shown.map((m) => m.id)))}>
              {ids.size > 0 ? "Choose none" : "Choose these"}
            </Button>
          </>
        )}
        <Button variant="default" loading={list.isFetching && !none} onClick={lookAgain}>
          Look again
        </Button>
        <Curl call={{ method: "GET", path: withQuery(pathOf`/v1/queues/${queue}/messages`, { filter }) }} />
      </Group>
      <Loaded query={list} rows={8}>
        {(page) => {
          if (page.data.length === 0 && !page.next_cursor) {
            return filter ? (
              <NoMatch what={<>the filter “{filter}”</>} clear={() => setUrl({ filter: undefined, cursor: undefined })} />
            ) : (
              <Alert color="green" title="No dead letters">
                {source ? `Nothing that was sent to ${source} has failed for good.` : "There is nothing here."}
              </Alert>
            );
          }
          return (
            <>
              {page.data.length > 0 && <MessageRows dead messages={page.data} open={(id) => setUrl({ m: id })} selection={{ ids, set: setIds }} />}
              <Group>
                <ScanNote list={list} total={total} />
                <Pager next={page.data.length > 0 && !list.scan.running ? page.next_cursor : null} />
              </Group>
            </>
          );
        }}
      </Loaded>
      {search.new === "redrive" && <RedriveDialog queue={queue} source={source} ids={[...ids]} filter={filter} close={() => setUrl({ new: undefined }, true)} />}
      <Suspense>
        {search.new === "export" && <ExportDialog queue={queue} ids={[...ids]} state="all" filter={filter} total={total} close={() => setUrl({ new: undefined }, true)} />}
        {search.new === "delete" && ids.size > 0 && <DeleteChosen queue={queue} ids={[...ids]} close={() => setUrl({ new: undefined }, true)} />}
      </Suspense>
      {search.new === "delete" && filter && ids.size === 0 && <DeleteMatching queue={queue} filter={filter} close={() => setUrl({ new: undefined }, true)} />}
      {search.m && <MessageDrawer queue={queue} id={search.m} close={() => setUrl({ m: undefined })} changed={lookAgain} />}
    </Stack>
  );
}
