import { Button } from "@mantine/core";
import { Link, Outlet, useLocation, useNavigate, useParams } from "@tanstack/react-router";
import { useQueryClient } from "@tanstack/react-query";
import { Fragment, lazy, Suspense, useEffect, useState } from "react";
import { must, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { Danger } from "../common/Danger";
import { ago, bytes, count, plural } from "../common/format";
import { Page, Tabs } from "../common/Page";
import { useSay } from "../common/say";
import { Loaded } from "../common/states";
import { held, type Queue, turn as turned, useQueue } from "./data";
import { QueueBadges } from "./QueueList";

const Pause = lazy(() => import("./Pause").then((m) => ({ default: m.Pause })));
const Purge = lazy(() => import("./Purge").then((m) => ({ default: m.Purge })));

// QueuePage is the frame around what is shown of one queue.
export function QueuePage() {
  const { tenant = "" } = useActing();
  const { queue: name = "" } = useParams({ strict: false });
  const query = useQueue(name);
  const at = `/t/${tenant}/queues/${encodeURIComponent(name)}`;
  const [asks, setAsks] = useState<"purge" | "delete">();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  useEffect(() => setAsks(undefined), [pathname]); // a question is about what is on the screen
  const q = query.data;
  return (
    <Page
      title={name}
      trail={
        <Link className="link" to="/t/$tenant/queues" params={{ tenant }}>
          Queues
        </Link>
      }
      badges={q && <QueueBadges queue={q} />}
      actions={
        q && (
          <>
            <PauseButton queue={q} />
            <Curl call={q.paused ? { method: "POST", path: pathOf`/v1/queues/${q.name}/resume`, body: { direction: "both" } } : { method: "POST", path: pathOf`/v1/queues/${q.name}/pause`, body: { direction: "receive" } }} label={q.paused ? "Resuming by curl" : "Pausing by curl"} />
            <Button variant="default" onClick={() => setAsks("purge")}>
              Purge…
            </Button>
            <Button variant="default" c="red" onClick={() => setAsks("delete")}>
              Delete…
            </Button>
          </>
        )
      }
    >
      <Tabs
        label="Queue"
        tabs={[
          { to: `${at}/overview`, text: "Overview" },
          { to: `${at}/messages`, text: "Messages" },
          { to: `${at}/send`, text: "Send" },
          { to: `${at}/receive`, text: "Receive" },
          { to: `${at}/tail`, text: "Tail" },
          { to: `${at}/dead-letters`, text: "Dead letters" },
          { to: `${at}/schedules`, text: "Schedules" },
          { to: `${at}/connect`, text: "Connect" },
          { to: `${at}/settings`, text: "Settings" },
        ]}
      />
      <Loaded query={query}>
        {() => (
          // What is typed for one queue is nothing for the next.
          <Fragment key={name}>
            <Outlet />
          </Fragment>
        )}
      </Loaded>
      {q && asks === "purge" && (
        <Suspense>
          <Purge queue={q} close={() => setAsks(undefined)} />
        </Suspense>
      )}
      {q && asks === "delete" && <Delete queue={q} close={() => setAsks(undefined)} then={() => navigate({ to: "/t/$tenant/queues", params: { tenant } })} />}
    </Page>
  );
}

// PauseButton stops and starts delivery. It can be undone, so it does not ask; who has something to say about it can.
function PauseButton({ queue: q }: { queue: Queue }) {
  const { api, tenant } = useActing();
  const client = useQueryClient();
  const say = useSay();
  const [busy, setBusy] = useState(false);
  const [asks, setAsks] = useState(false);
  const turn = async (pause: boolean) => {
    setBusy(true);
    try {
      const after = await turned(api, q.name, pause);
      client.setQueryData(["queue", tenant, q.name], after);
      say(pause ? `Nothing is received from ${q.name} until it is resumed.` : `${q.name} goes on.`, () => void turn(!pause));
    } catch (e) {
      say(e instanceof Error ? e.message : "That did not work.");
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <Button.Group>
        <Button variant="default" loading={busy} onClick={() => void turn(!q.paused)}>
          {q.paused ? "Resume" : "Pause"}
        </Button>
        <Button variant="default" px="xs" aria-label={q.paused ? "Change the pause…" : "Pause with a reason…"} onClick={() => setAsks(true)}>
          …
        </Button>
      </Button.Group>
      {asks && (
        <Suspense>
          <Pause queue={q} close={() => setAsks(false)} />
        </Suspense>
      )}
    </>
  );
}

export function Stake({ queue: q }: { queue: Queue }) {
  const { tenant } = useActing();
  return (
    <>
      <b>{plural(held(q), "message")}</b> ({bytes(q.bytes)}) of queue <b>{q.name}</b> of tenant <b>{tenant}</b>
      {q.oldest_age > 0 && <>, the oldest {ago(q.oldest_age)} old</>}: {count(q.counts.available)} available, {count(q.counts.in_flight)} in flight, {count(q.counts.delayed)} delayed
    </>
  );
}

// Delete asks before it deletes a queue. then is where one goes after that.
export function Delete({ queue: q, close, then }: { queue: Queue; close: () => void; then: () => unknown }) {
  const { api, tenant = "" } = useActing();
  const client = useQueryClient();
  const say = useSay();
  return (
    <Danger
      title="Delete the queue"
      verb="Delete"
      name={q.name}
      close={close}
      call={{ method: "DELETE", path: pathOf`/v1/queues/${q.name}` }}
      run={async () => {
        await must(api.DELETE("/v1/queues/{queue}", { params: { path: { queue: q.name } } }));
        say(`${q.name} was deleted.`);
        await then();
        client.removeQueries({ queryKey: ["queue", tenant, q.name] });
      }}
    >
      This deletes the queue with its settings and <Stake queue={q} />. Clients that use it get 404.
    </Danger>
  );
}

// useQueueName returns the queue of the address.
export function useQueueName(): string {
  return useParams({ strict: false }).queue ?? "";
}

