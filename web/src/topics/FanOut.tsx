import { Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { count, plural } from "../common/format";
import type { Subscription } from "./data";

const drawn = 12; // subscriptions

// FanOut draws where messages of a topic go, with what became of them on each way.
export function FanOut({ tenant, topic, published, list, more }: { tenant: string; topic: string; published: number; list: Subscription[]; more: boolean }) {
  const rest = list.length - drawn;
  return (
    <figure className="fan-out" aria-label={`Where messages of ${topic} go`}>
      <div className="fan-from">
        <b>{topic}</b>
        <span className="quiet">{count(published)} published</span>
      </div>
      <ul>
        {list.slice(0, drawn).map((s) => (
          <li key={s.name}>
            <span className="fan-way">
              <span>
                {count(s.counts.delivered)} delivered
                {s.lag > 0 && <> · {count(s.lag)} to come</>}
                {s.counts.filtered_out > 0 && <> · {count(s.counts.filtered_out)} filtered out</>}
                {s.counts.failed + s.counts.dropped > 0 && <> · {count(s.counts.failed + s.counts.dropped)} lost</>}
              </span>
            </span>
            <span className="fan-to">
              {s.state !== "active" && <b>{s.state}: </b>}
              <To of={s} tenant={tenant} topic={topic} />
            </span>
          </li>
        ))}
        {(rest > 0 || more) && (
          <li>
            <Text size="sm" className="quiet">
              {rest > 0 ? `and ${plural(rest, "subscription")}${more ? " and others" : ""}, below` : "and others"}
            </Text>
          </li>
        )}
      </ul>
    </figure>
  );
}

function To({ of: s, tenant, topic }: { of: Subscription; tenant: string; topic: string }) {
  if (s.queue) {
    return (
      <Link className="link" to="/t/$tenant/queues/$queue/overview" params={{ tenant, queue: s.queue }}>
        {s.queue}
      </Link>
    );
  }
  if (s.target_topic) {
    return (
      <>
        topic{" "}
        <Link className="link" to="/t/$tenant/topics/$topic/subscriptions" params={{ tenant, topic: s.target_topic }}>
          {s.target_topic}
        </Link>
      </>
    );
  }
  return (
    <>
      webhook{" "}
      <Link className="link" to="/t/$tenant/topics/$topic/webhooks/$subscription" params={{ tenant, topic, subscription: s.name }} title={s.endpoint}>
        {s.name}
      </Link>
    </>
  );
}
