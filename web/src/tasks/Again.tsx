import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { must, useActing } from "../api/client";
import { plural } from "../common/format";
import { useUrl } from "../common/url";
import { useQueue } from "../queues/data";
import type { Task } from "./data";

const RedriveDialog = lazy(() => import("../messages/RedriveDialog").then((m) => ({ default: m.RedriveDialog })));
const Purge = lazy(() => import("../queues/Purge").then((m) => ({ default: m.Purge })));

// mostRetried is how many messages a redrive takes by their ids.
const mostRetried = 500;

// Again is the way to start once more what has ended and left something. What a redrive could not move is known by its ids. Of another
// task only what it was about is known, so that is started anew; of a replay not even from when on, so that is chosen again.
export function Again({ task: t }: { task: Task }) {
  const { tenant = "" } = useActing();
  const [search, setUrl] = useUrl();
  const close = () => setUrl({ new: undefined }, true);
  const { queue, topic, subscription } = t.scope;
  const ended = t.status === "failed" || t.status === "cancelled";
  if (t.type === "redrive" && queue) {
    return (
      <>
        {t.progress.failed > 0 && (
          <Button variant="default" onClick={() => setUrl({ new: "retry" })}>
            Retry what failed…
          </Button>
        )}
        {ended && !t.scope.message_ids && (
          <Button variant="default" onClick={() => setUrl({ new: "redrive" })}>
            Start again…
          </Button>
        )}
        <Suspense>
          {search.new === "retry" && <Retry task={t} queue={queue} close={close} />}
          {search.new === "redrive" && <RedriveDialog queue={queue} ids={[]} filter={t.scope.filter ?? ""} destination={t.scope.to} most={{ rate: t.scope.max_rate, limit: t.scope.limit }} close={close} />}
        </Suspense>
      </>
    );
  }
  if (t.type === "purge" && queue && ended) {
    return (
      <>
        <Button variant="default" onClick={() => setUrl({ new: "purge" })}>
          Start again…
        </Button>
        {search.new === "purge" && <PurgeAgain task={t} queue={queue} close={close} />}
      </>
    );
  }
  if (t.type.startsWith("replay") && topic && subscription && (ended || t.progress.failed > 0)) {
    const to = t.type === "replay" ? `/t/${tenant}/topics/${encodeURIComponent(topic)}/subscriptions` : `/t/${tenant}/topics/${encodeURIComponent(topic)}/webhooks/${encodeURIComponent(subscription)}`;
    return (
      <Button variant="default" component={Link} to={to}>
        Replay again
      </Button>
    );
  }
  return null;
}

// Retry moves what a redrive could not move, once its errors have said what that is.
function Retry({ task: t, queue, close }: { task: Task; queue: string; close: () => void }) {
  const { api, tenant } = useActing();
  const { data } = useQuery({
    queryKey: ["task-failed", tenant, t.id],
    queryFn: () => must(api.GET("/v1/tasks/{id}/errors", { params: { path: { id: t.id }, query: { limit: mostRetried } } })),
  });
  if (!data) return null;
  const ids = data.data.map((e) => e.item);
  const which = t.progress.failed > ids.length ? `that failed first, of ${plural(t.progress.failed, "message")} that did` : "that failed";
  return <RedriveDialog queue={queue} ids={ids} which={which} filter="" destination={t.scope.to} most={{ rate: t.scope.max_rate }} close={close} />;
}

function PurgeAgain({ task: { scope }, queue, close }: { task: Task; queue: string; close: () => void }) {
  const { data } = useQueue(queue);
  return (
    <Suspense>{data && <Purge queue={data} only={{ filter: scope.filter, older: scope.older_than ? `${scope.older_than}s` : undefined }} close={close} />}</Suspense>
  );
}
