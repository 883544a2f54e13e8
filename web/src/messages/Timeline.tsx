import { Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { failureOf, must, type Schemas, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { count } from "../common/format";
import { Loaded } from "../common/states";
import { Instant } from "../common/Time";
import { By } from "../keys/By";
import { useQueue } from "../queues/data";
import { reasons } from "./MessageRows";

type Event = Schemas["TimelineEvent"];

const why = { ...reasons, ttl: "by its own end", retention: "by the queue's retention" } as const;

// useTimeline returns what became of a message, where its queue keeps that. version changes when there may be more of it.
function useTimeline(queue: string, id: string, version?: string) {
  const { api, tenant } = useActing();
  const { data } = useQueue(queue);
  const kept = data !== undefined && data.trace_retention > 0;
  const query = useQuery({
    queryKey: ["timeline", tenant, queue, id, version],
    queryFn: () => must(api.GET("/v1/queues/{queue}/messages/{id}/timeline", { params: { path: { queue, id } } })),
    enabled: kept,
  });
  return { kept, query };
}

// ends are the events after which a message is not in its queue any more, in words.
const ends: Partial<Record<Event["event"], string>> = {
  acknowledged: "acknowledged",
  dead_lettered: "sent to the dead-letter queue",
  forwarded: "forwarded",
  moved: "moved to another queue",
  expired: "ended by its age",
  dropped: "dropped, because the queue was full",
  deleted: "deleted",
  purged: "purged",
};

// Gone says why a message is not in its queue any more, when, and by whom, where its timeline has that.
export function Gone({ queue, id }: { queue: string; id: string }) {
  const { query } = useTimeline(queue, id, "gone");
  const letters = useQueue(queue).data?.redrive?.dead_letter_queue;
  const last = query.data?.events.at(-1);
  const what = last && ends[last.event];
  if (!last || !what) return <Text size="sm">The message is not in the queue any more: it was acknowledged, deleted or moved, or its time has ended.</Text>;
  const by = last.actor?.key_id ?? last.actor?.member_id;
  return (
    <Text size="sm">
      The message is not in the queue any more. It was {what}
      {last.queue && <>, to {last.queue},</>} at <Instant at={last.at} />
      {by ? (
        <>
          {" "}
          by <By id={by} />
        </>
      ) : (
        last.actor && (
          <>
            {" "}
            by <Actor of={last.actor} />
          </>
        )
      )}
      .
      {last.event === "dead_lettered" && letters && (
        <>
          {" "}
          In {letters} it has the same id: <There queue={letters} id={id} />.
        </>
      )}
    </Text>
  );
}

// MessageTimeline is what became of a message, where its queue keeps that. version changes when there may be more of it.
export function MessageTimeline({ queue, id, version }: { queue: string; id: string; version?: string }) {
  const { kept, query } = useTimeline(queue, id, version);
  if (!kept) return null;
  return (
    <section aria-label="Timeline">
      <Title order={3} size="h5" mb="xs">
        Timeline <Curl call={{ method: "GET", path: pathOf`/v1/queues/${queue}/messages/${id}/timeline` }} />
      </Title>
      {query.error !== null && failureOf(query.error).code === "timeline_not_found" ? (
        <Text size="sm">{failureOf(query.error).message}</Text>
      ) : (
        <Loaded query={query}>
          {({ events, omitted }) => (
            <ol className="timeline">
              {events.map((e, i) => (
                <li key={i}>
                  <Instant at={e.at} /> <b>{e.event.replaceAll("_", " ")}</b> <Details of={e} />
                  {i === 0 && omitted > 0 && <div className="quiet">{count(omitted)} left out</div>}
                </li>
              ))}
            </ol>
          )}
        </Loaded>
      )}
    </section>
  );
}

// Details are what there is to say of an event, but for what it is and when it was.
function Details({ of: e }: { of: Event }) {
  const words: React.ReactNode[] = [];
  if (e.delivery) words.push(`delivery ${e.delivery}`);
  if (e.consumer) words.push(`by ${e.consumer}`);
  if (e.lease_expires_at) words.push(<>until <Instant at={e.lease_expires_at} /></>);
  if (e.available_at) words.push(<>available <Instant at={e.available_at} /></>);
  if (e.reason) words.push(why[e.reason]);
  if (e.queue) words.push(`${e.event === "arrived" ? "from" : "to"} ${e.queue}`);
  if (e.message_id) words.push(e.queue ? <There queue={e.queue} id={e.message_id} /> : <span className="mono">{e.message_id}</span>);
  if (e.edited) words.push("with another body");
  if (e.error) words.push(`“${e.error}”`);
  if (e.actor) words.push(<Actor of={e.actor} />);
  return (
    <>
      {words.map((w, i) => (
        <span key={i}>
          {i > 0 && ", "}
          {w}
        </span>
      ))}
    </>
  );
}

// There leads to a message in another queue, where it may be gone as well.
export function There({ queue, id }: { queue: string; id: string }) {
  const { tenant = "" } = useActing();
  return (
    <Link className="link mono" to="/t/$tenant/queues/$queue/messages" params={{ tenant, queue }} search={{ m: id }}>
      {id}
    </Link>
  );
}

function Actor({ of: a }: { of: NonNullable<Event["actor"]> }) {
  const who = a.name || a.member_id || a.key_id || a.portal_link_id || a.identity_id;
  return (
    <span className="quiet">
      {a.kind === "tenant" ? "" : `${a.kind} `}
      <span className="mono">{who}</span>
      {a.source_ip && ` at ${a.source_ip}`}
    </span>
  );
}
