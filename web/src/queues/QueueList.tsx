import { Badge, Button, Checkbox, Group } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";
import { useActing } from "../api/client";
import { Curl } from "../common/Curl";
import { withQuery } from "../api/curl";
import { ago, count, rate } from "../common/format";
import { Page, Pager, SearchField } from "../common/Page";
import { type Column, Rows, type Sorting } from "../common/Rows";
import { Empty, Loaded, NoMatch } from "../common/states";
import { useUrl } from "../common/url";
import { CreateQueue } from "./CreateQueue";
import { orders, pageSize, type Queue, useQueues, useSparks } from "./data";
import { Spark } from "./Spark";
import { isUnattended } from "./unattended";

const Bulk = lazy(() => import("./Bulk").then((m) => ({ default: m.Bulk })));
const RowMenu = lazy(() => import("./RowMenu").then((m) => ({ default: m.RowMenu })));
const Demo = lazy(() => import("../demo/Demo").then((m) => ({ default: m.Demo })));
const QuickStart = lazy(() => import("../stats/QuickStart").then((m) => ({ default: m.QuickStart })));

export function QueueList() {
  const { tenant = "" } = useActing();
  const [{ q = "", label = "", cursor, sort, new: making }, setUrl] = useUrl();
  const by = orders.find((o) => o === sort) ?? "name";
  const list = useQueues(q, by, cursor, pageSize, label);
  const [names, setNames] = useState<ReadonlySet<string>>(new Set());
  useEffect(() => setNames(new Set()), [q, label, cursor, by]); // what is not on the screen is not chosen
  const chosen = list.data?.data.filter((x) => names.has(x.name)) ?? [];
  const close = () => setUrl({ new: undefined }, true);
  const create = <Button onClick={() => setUrl({ new: "queue" })}>Create a queue</Button>;
  return (
    <Page
      title="Queues"
      actions={
        <>
          {create}
          <Curl call={{ method: "GET", path: withQuery("/v1/queues", { q, label, sort: sort && by }) }} label="The list by curl" />
        </>
      }
    >
      <Group>
        <SearchField name="q" label="Names with" placeholder="Part of a name  ( / )" />
        <SearchField name="label" label="Label" placeholder="Label: team, or team=shop" w={220} />
      </Group>
      <Loaded query={list} rows={8}>
        {({ data, next_cursor }) => {
          if (data.length === 0 && (q || label) && !next_cursor) {
            return <NoMatch what={<>{q && <>names with “{q}”</>}{q && label && " and "}{label && <>the label “{label}”</>}</>} clear={() => setUrl({ q: undefined, label: undefined, cursor: undefined })} />;
          }
          if (data.length === 0 && !next_cursor) {
            return (
              <>
                <Empty title="No queues yet" action={create}>
                  A queue keeps messages until a consumer has done its work with them: what is received and not acknowledged in time comes back.
                </Empty>
                <Suspense>
                  <QuickStart queues={[]} />
                </Suspense>
              </>
            );
          }
          return (
            <>
              <Group gap="xs">
                <Button size="compact-sm" variant="default" onClick={() => setNames(chosen.length > 0 ? new Set() : new Set(data.map((x) => x.name)))}>
                  {chosen.length > 0 ? "Choose none" : "Choose these"}
                </Button>
                <Suspense>{chosen.length > 0 && <Bulk queues={chosen} />}</Suspense>
              </Group>
              <QueueRows tenant={tenant} queues={data} sorting={{ by, set: (sort) => setUrl({ sort, cursor: undefined }) }} selection={{ names, set: setNames }} />
              <Pager next={next_cursor} />
            </>
          );
        }}
      </Loaded>
      {making === "queue" && <CreateQueue close={close} />}
      <Suspense>{making === "demo" && <Demo close={close} />}</Suspense>
    </Page>
  );
}

// Selection is which queues are chosen.
type Selection = { names: ReadonlySet<string>; set: (names: ReadonlySet<string>) => void };

// chosenOf is the column by which queues are chosen.
function chosenOf({ names, set }: Selection): Column<Queue> {
  return {
    title: "Chosen",
    cell: ({ name }) => (
      <Checkbox
        aria-label={`Choose ${name}`}
        checked={names.has(name)}
        onChange={(e) => {
          const next = new Set(names);
          if (e.currentTarget.checked) next.add(name);
          else next.delete(name);
          set(next);
        }}
      />
    ),
  };
}

const menu: Column<Queue> = { title: "", cell: (q) => <RowActions queue={q} /> };

// RowActions opens the menu of a row, which is made when somebody asks for it: most rows never need theirs.
function RowActions({ queue: q }: { queue: Queue }) {
  const [asked, setAsked] = useState(false);
  const button = (
    <Button size="compact-sm" variant="default" aria-haspopup="menu" aria-label={`Actions for ${q.name}`} onClick={() => setAsked(true)}>
      ⋯
    </Button>
  );
  return asked ? (
    <Suspense fallback={button}>
      <RowMenu queue={q} />
    </Suspense>
  ) : (
    button
  );
}

// QueueRows are queues with their numbers. With a selection they can be chosen, and each has a menu of what can be done.
export function QueueRows({ tenant, queues, sorting, selection }: { tenant: string; queues: Queue[]; sorting: Sorting; selection?: Selection }) {
  const sparks = useSparks(queues.map((q) => q.name));
  return (
    <Rows
      label="Queues"
      rows={queues}
      sorting={sorting}
      rowKey={(q) => q.name}
      columns={[
        ...(selection ? [chosenOf(selection)] : []),
        {
          title: "Name",
          sort: "name",
          wide: true,
          cell: (q) => (
            <Group gap="0 var(--mantine-spacing-xs)">
              <Link className="link" data-row to="/t/$tenant/queues/$queue/overview" params={{ tenant, queue: q.name }}>
                {q.name}
              </Link>
              <QueueBadges queue={q} />
              <span className="quiet one-line" style={{ maxWidth: "14rem" }} title={labelsOf(q)}>
                {labelsOf(q)}
              </span>
            </Group>
          ),
        },
        { title: "Available", sort: "available", num: true, cell: (q) => count(q.counts.available) },
        { title: "Last hour", cell: (q) => <Spark points={sparks.points.get(q.name) ?? []} steps={sparks.steps} /> },
        { title: "In flight", sort: "in_flight", num: true, cell: (q) => count(q.counts.in_flight) },
        { title: "Delayed", sort: "delayed", num: true, cell: (q) => count(q.counts.delayed) },
        { title: "Oldest", sort: "oldest_age", num: true, cell: (q) => (q.oldest_age ? ago(q.oldest_age) : <span className="quiet">–</span>) },
        { title: "In /s", sort: "sent_rate", num: true, cell: (q) => rate(q.rates.sent) },
        { title: "Out /s", sort: "received_rate", num: true, cell: (q) => rate(q.rates.received) },
        {
          title: "Dead letters to",
          cell: (q) =>
            q.redrive ? (
              <Link className="link" to="/t/$tenant/queues/$queue/dead-letters" params={{ tenant, queue: q.name }}>
                {q.redrive.dead_letter_queue}
              </Link>
            ) : (
              <span className="quiet">–</span>
            ),
        },
        ...(selection ? [menu] : []),
      ]}
    />
  );
}

function labelsOf(q: Queue): string {
  return Object.entries(q.labels)
    .map(([k, v]) => (v ? `${k}=${v}` : k))
    .join(" ");
}

// QueueBadges say what is special about a queue.
export function QueueBadges({ queue: q }: { queue: Queue }) {
  return (
    <>
      {q.type === "fifo" && (
        <Badge variant="light" size="sm">
          FIFO
        </Badge>
      )}
      {isUnattended(q) && (
        <Badge variant="outline" color="#b03a06" size="sm" tt="none" title="Messages wait, and nobody receives">
          no consumer
        </Badge>
      )}
      {q.paused && (
        <Badge variant="filled" color="#b03a06" size="sm">
          {q.paused.receive && q.paused.send ? "Paused" : q.paused.receive ? "Receive paused" : "Send paused"}
        </Badge>
      )}
    </>
  );
}
