import { Alert, Card, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useActing } from "../api/client";
import { ago, bytes, count, duration } from "../common/format";
import { Facts } from "../common/Page";
import { Ago, Instant } from "../common/Time";
import { type Queue, useQueue } from "./data";
import { Charts } from "../stats/Charts";
import { rate } from "../stats/data";
import { useQueueName } from "./QueuePage";
import { Sources } from "./Sources";
import { isUnattended } from "./unattended";

export function Number({ label, value, to }: { label: string; value: ReactNode; to?: ReactNode }) {
  return (
    <Card withBorder padding="sm">
      <Text size="xs" className="quiet">
        {label}
      </Text>
      <Text size="xl" fw={600} style={{ fontVariantNumeric: "tabular-nums" }}>
        {value}
      </Text>
      {to && <Text size="xs">{to}</Text>}
    </Card>
  );
}

// Overview is the queue in numbers, and its settings in words.
export function Overview() {
  const { tenant = "" } = useActing();
  const name = useQueueName();
  const { data: q } = useQueue(name);
  if (!q) return null;
  const messages = (state: string, text: string) => (
    <Link className="link" to="/t/$tenant/queues/$queue/messages" params={{ tenant, queue: name }} search={{ state }}>
      {text}
    </Link>
  );
  return (
    <Stack>
      <Pauses queue={q} />
      {isUnattended(q) && (
        <Alert color="orange" title="Nobody receives">
          {count(q.counts.available)} {q.counts.available === 1 ? "message waits" : "messages wait"}, the oldest for {ago(q.oldest_age)}. Nobody holds one, and in the last ten seconds nobody has received any, so it is not the
          load. Look whether the consumers run, and what they were told, in the{" "}
          <Link className="link" to="/t/$tenant/requests" params={{ tenant }}>
            request log
          </Link>
          .
        </Alert>
      )}
      <SimpleGrid cols={{ base: 2, sm: 4 }}>
        <Number label="Available" value={count(q.counts.available)} to={messages("available", "Look")} />
        <Number label="In flight" value={count(q.counts.in_flight)} to={messages("in_flight", "Who holds them")} />
        <Number label="Delayed" value={count(q.counts.delayed)} to={messages("delayed", "When they are due")} />
        <Number label="Oldest message" value={q.oldest_age ? ago(q.oldest_age) : "–"} to={q.counts.moving > 0 ? `${count(q.counts.moving)} on the way to another queue` : bytes(q.bytes)} />
      </SimpleGrid>
      <Flow queue={q} tenant={tenant} />
      <Charts of={{ queue: name }} />
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <Card withBorder>
          <Title order={2} size="h5" mb="sm">
            How it works now
          </Title>
          <Words queue={q} tenant={tenant} />
        </Card>
        <Card withBorder>
          <Title order={2} size="h5" mb="sm">
            Since it was made
          </Title>
          <Facts
            of={[
              ["Sent", count(q.totals.sent)],
              ["Received", count(q.totals.received)],
              ["Receives for each that is done", q.totals.deleted > 0 ? (q.totals.received / q.totals.deleted).toFixed(1) : "–"],
              ["Acknowledged, deleted, purged", count(q.totals.deleted)],
              ["Dead-lettered", count(q.totals.dead_lettered)],
              ["Moved on", count(q.totals.moved)],
              ["Ended by age", count(q.totals.expired)],
              ["Dropped for room", count(q.totals.dropped)],
              ["Made", <Instant key="made" at={q.created_at} />],
              ["Changed", <Ago key="changed" at={q.updated_at} />],
              ["ARN", <span key="arn" className="mono">{q.arn}</span>],
            ]}
          />
        </Card>
      </SimpleGrid>
    </Stack>
  );
}

// Flow is the way of messages through the queue, with what goes along it now.
function Flow({ queue: q, tenant }: { queue: Queue; tenant: string }) {
  const letters = q.redrive?.dead_letter_queue;
  const step = (what: string, value: string, more?: ReactNode) => (
    <li key={what}>
      <span className="quiet">{what}</span> <b>{value}</b>
      {more}
    </li>
  );
  return (
    <ol className="flow" aria-label="The way of a message">
      {step("sent", `${rate(q.rates.sent)} a second`)}
      {step("waits", count(q.counts.available + q.counts.delayed))}
      {step("received", `${rate(q.rates.received)} a second`)}
      {step("held", count(q.counts.in_flight))}
      {letters &&
        step(
          "given up",
          count(q.totals.dead_lettered),
          <>
            , to{" "}
            <Link className="link" to="/t/$tenant/queues/$queue/dead-letters" params={{ tenant, queue: q.name }}>
              {letters}
            </Link>
          </>,
        )}
    </ol>
  );
}

function Pauses({ queue: q }: { queue: Queue }) {
  const pause = (p: NonNullable<Queue["paused"]>["receive"], what: string) =>
    p && (
      <Alert color="orange" title={`${what} since`}>
        <Ago at={p.since} />
        {p.reason && <>: {p.reason}</>}
      </Alert>
    );
  if (!q.paused) return null;
  return (
    <>
      {pause(q.paused.receive, "Nothing is received")}
      {pause(q.paused.send, "Sends are refused")}
    </>
  );
}

// Words say what the settings mean for a message.
function Words({ queue: q, tenant }: { queue: Queue; tenant: string }) {
  const backoff = { none: "at once", fixed: `after ${duration(q.retry.delay)}`, linear: `after ${duration(q.retry.delay)}, and as much longer with each failure`, exponential: `after ${duration(q.retry.delay)}, twice as long with each failure` }[q.retry.backoff];
  return (
    <Stack gap={6}>
      <Text size="sm">
        A message {q.delay > 0 ? `waits ${duration(q.delay)}, then ` : ""}can be received{q.type === "fifo" ? " in the order of its group" : ""}. Who receives it has {duration(q.visibility_timeout)} to acknowledge it.
      </Text>
      <Text size="sm">
        One that is returned, or not acknowledged in time, comes back {backoff}
        {q.redrive ? (
          <>
            , and after {count(q.redrive.max_receives)} receives goes to{" "}
            <Link className="link" to="/t/$tenant/queues/$queue/messages" params={{ tenant, queue: q.redrive.dead_letter_queue }}>
              {q.redrive.dead_letter_queue}
            </Link>
          </>
        ) : (
          <>, as often as it takes: there is no dead-letter queue</>
        )}
        .
      </Text>
      <Sources of={q.name} />
      <Text size="sm">It is kept for {duration(q.message_retention)}, and its body may have {bytes(q.max_message_size)}.</Text>
      {q.forward_to && (
        <Text size="sm">
          What comes here goes on to{" "}
          {q.forward_to.startsWith("topic:") ? (
            <Link className="link" to="/t/$tenant/topics/$topic/subscriptions" params={{ tenant, topic: q.forward_to.slice("topic:".length) }}>
              topic {q.forward_to.slice("topic:".length)}
            </Link>
          ) : (
            <Link className="link" to="/t/$tenant/queues/$queue/overview" params={{ tenant, queue: q.forward_to }}>
              {q.forward_to}
            </Link>
          )}
          .
        </Text>
      )}
      {(q.max_messages !== null || q.max_bytes !== null) && (
        <Text size="sm">
          It holds at most {[q.max_messages !== null && `${count(q.max_messages)} messages`, q.max_bytes !== null && bytes(q.max_bytes)].filter(Boolean).join(" and ")}. When it is full,{" "}
          {{ reject: "sends are refused", drop_oldest: "the oldest message is dropped", dead_letter: "the oldest message goes to the dead-letter queue" }[q.when_full]}.
        </Text>
      )}
      {q.shards > 1 && <Text size="sm">It is spread over {q.shards} shards.</Text>}
    </Stack>
  );
}
