import { Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { failureOf, must, type Schemas, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { count } from "../common/format";
import { Loaded } from "../common/states";
import { Instant } from "../common/Time";
import { useQueue } from "../queues/data";
import { reasons } from "./MessageRows";

type Event = Schemas["TimelineEvent"];

const why = { ...reasons, ttl: "by its own end", retention: "by the queue's retention" } as const;

// MessageTimeline is what became of a message, where its queue keeps that. version changes when there may be more of it.
export function MessageTimeline({ queue, id, version }: { queue: string; id: string; version?: string }) {
  const { api, tenant } = useActing();
  const { data } = useQueue(queue);
  const kept = data !== undefined && data.trace_retention > 0;
  const query = useQuery({
    queryKey: ["timeline", tenant, queue, id, version],
    queryFn: () => must(api.GET("/v1/queues/{queue}/messages/{id}/timeline", { params: { path: { queue, id } } })),
    enabled: kept,
  });
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
  if (e.message_id) words.push(<span className="mono">{e.message_id}</span>);
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
