import { Button, Drawer, Group, Stack, Textarea, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { pathOf, withQuery } from "../api/curl";
import { Body } from "../common/Body";
import { Copy, Curl } from "../common/Curl";
import { Danger } from "../common/Danger";
import { bytes, count } from "../common/format";
import { Facts } from "../common/Page";
import { useSay } from "../common/say";
import { ErrorState, Loaded } from "../common/states";
import { Ago, Instant, useNow } from "../common/Time";
import type { Message } from "./data";
import { Extend, Return } from "./Lease";
import { reasons, StateBadge } from "./MessageRows";
import { Gone, MessageTimeline, There } from "./Timeline";

type Props = { queue: string; id: string; close: () => void; changed: () => void };

// MessageDrawer is all that is known of one message, and what can be done with it.
export function MessageDrawer({ queue, id, close, changed }: Props) {
  const { api, tenant } = useActing();
  const query = useQuery({
    queryKey: ["message", tenant, queue, id],
    queryFn: () => must(api.GET("/v1/queues/{queue}/messages/{id}", { params: { path: { queue, id } } })),
  });
  const gone = query.error !== null && failureOf(query.error).status === 404;
  return (
    <Drawer opened onClose={close} position="right" size="xl" title={<span className="mono">{id}</span>} closeButtonProps={{ "aria-label": "Close" }}>
      {gone ? (
        <Stack>
          <Gone queue={queue} id={id} />
          <MessageTimeline queue={queue} id={id} version="gone" />
        </Stack>
      ) : (
        <Loaded query={query}>{(m) => <Shown queue={queue} message={m} close={close} changed={changed} reload={() => void query.refetch()} />}</Loaded>
      )}
    </Drawer>
  );
}

function Shown({ queue, message: m, close, changed, reload }: { queue: string; message: Message; close: () => void; changed: () => void; reload: () => void }) {
  const { api, tenant = "" } = useActing();
  const say = useSay();
  useLeaseEnd(m, reload);
  const [asks, setAsks] = useState<"delete" | "move" | "extend" | "return">();
  const now = useMutation({
    mutationFn: () => must(api.PATCH("/v1/queues/{queue}/messages/{id}", { params: { path: { queue, id: m.id } }, body: { available_at: "now" } })),
    onSuccess: () => {
      say("It is available now.");
      reload();
      changed();
    },
  });
  const changedHere = () => {
    setAsks(undefined);
    reload();
    changed();
  };
  const attributes = Object.entries(m.attributes);
  const facts: [string, React.ReactNode][] = [
    ["State", <StateBadge key="s" state={m.state} />],
    ["Sent", <><Instant at={m.sent_at} /> (<Ago at={m.sent_at} />)</>],
    ["Size", bytes(m.size)],
    ["Receives", `${count(m.receive_count)}, of which ${count(m.failure_count)} failed`],
  ];
  if (m.first_received_at) facts.push(["First received", <Instant key="f" at={m.first_received_at} />]);
  if (m.state === "in_flight") facts.push(["Held by", <>{m.held_by ?? "somebody without a name"}, since <Ago at={m.held_since} />, back <b><Ago at={m.lease_expires_at} /></b> unless that is extended</>]);
  if (m.state === "delayed") facts.push(["Available", <Ago key="a" at={m.available_at} />]);
  if (m.expires_at) facts.push(["Ends", <Ago key="e" at={m.expires_at} />]);
  if (m.group_id) facts.push(["Group", m.group_id]);
  if (m.sequence_number) facts.push(["Sequence number", <span key="n" className="mono">{m.sequence_number}</span>]);
  if (m.deduplication_id) facts.push(["Deduplication id", <span key="d" className="mono">{m.deduplication_id}</span>]);
  if (m.priority > 0) facts.push(["Priority", m.priority]);
  if (m.traceparent) facts.push(["Trace", <span key="t" className="mono">{m.traceparent}</span>]);
  if (m.last_error) facts.push(["Last error", m.last_error]);
  if (m.origin) {
    facts.push(
      m.origin.topic === undefined
        ? ["Came from", <>{m.origin.queue}, <Ago at={m.origin.left_at} />: {reasons[m.origin.reason]} after {count(m.origin.receive_count)} receives</>]
        : ["Came from", <>the topic <Link className="link" to="/t/$tenant/topics/$topic/log" params={{ tenant, topic: m.origin.topic }}>{m.origin.topic}</Link>, <Ago at={m.origin.left_at} />: {reasons[m.origin.reason]} to {m.origin.subscription}</>],
      ["Its id there", m.origin.queue ? <There key="o" queue={m.origin.queue} id={m.origin.id} /> : <span key="o" className="mono">{m.origin.id}</span>],
    );
    if (m.origin.error) facts.push([m.origin.topic === undefined ? "What was said of it" : "Why", m.origin.error]);
  }
  return (
    <Stack>
      <Group gap="xs">
        <Copy text={m.id} label="Copy id" />
        <Button size="compact-sm" variant="default" onClick={reload}>
          Look again
        </Button>
        {m.state === "delayed" && (
          <Button size="compact-sm" variant="default" loading={now.isPending} onClick={() => now.mutate()}>
            Deliver now
          </Button>
        )}
        {m.state === "delayed" && <Curl call={{ method: "PATCH", path: pathOf`/v1/queues/${queue}/messages/${m.id}`, body: { available_at: "now" } }} label="Making it available by curl" />}
        {m.state === "in_flight" && (
          <>
            <Button size="compact-sm" variant="default" onClick={() => setAsks(asks === "extend" ? undefined : "extend")} aria-expanded={asks === "extend"}>
              Extend…
            </Button>
            <Button size="compact-sm" variant="default" onClick={() => setAsks("return")}>
              Return now…
            </Button>
          </>
        )}
        {m.state !== "in_flight" && (
          <Button size="compact-sm" variant="default" onClick={() => setAsks(asks === "move" ? undefined : "move")} aria-expanded={asks === "move"}>
            Edit and move…
          </Button>
        )}
        <Button size="compact-sm" variant="default" c="red" onClick={() => setAsks("delete")}>
          Delete…
        </Button>
        <Curl call={{ method: "GET", path: pathOf`/v1/queues/${queue}/messages/${m.id}` }} />
      </Group>
      {now.error && <ErrorState error={now.error} />}
      {asks === "move" && <Move queue={queue} message={m} done={() => { close(); changed(); }} />}
      {asks === "extend" && m.state === "in_flight" && <Extend queue={queue} message={m} done={changedHere} />}
      <Facts of={facts} />
      <Title order={3} size="h5">
        Body
      </Title>
      <Body of={m} />
      {attributes.length > 0 && (
        <>
          <Title order={3} size="h5">
            Attributes
          </Title>
          <Facts of={attributes.map(([name, a]) => [name, <span key={name} className="mono">{a.value} <span className="quiet">{a.type}</span></span>])} />
        </>
      )}
      <MessageTimeline queue={queue} id={m.id} version={`${m.state} ${m.receive_count} ${m.available_at}`} />
      {asks === "return" && <Return queue={queue} message={m} close={() => setAsks(undefined)} done={changedHere} />}
      {asks === "delete" && (
        <Danger
          title="Delete the message"
          verb="Delete"
          close={() => setAsks(undefined)}
          call={{ method: "DELETE", path: pathOf`/v1/queues/${queue}/messages/${m.id}` }}
          run={async () => {
            await must(api.DELETE("/v1/queues/{queue}/messages/{id}", { params: { path: { queue, id: m.id } } }));
            say("The message was deleted.");
            close();
            changed();
          }}
        >
          This deletes 1 message ({bytes(m.size)}) of queue <b>{queue}</b> for good{m.state === "in_flight" && ", though somebody holds it"}.
        </Danger>
      )}
    </Stack>
  );
}

// useLeaseEnd looks again once the lease of a message has ended: it is another consumer's then, or available.
function useLeaseEnd(m: Message, again: () => void) {
  const now = useNow();
  const ended = m.state === "in_flight" && m.lease_expires_at !== null && now >= Date.parse(m.lease_expires_at);
  useEffect(() => {
    if (ended) again();
    // once for each lease, and not with each second that the answer takes
  }, [ended, m.lease_expires_at]);
}

// Move takes a message to another queue, with another body if one likes.
function Move({ queue, message: m, done }: { queue: string; message: Message; done: () => void }) {
  const { api, tenant = "" } = useActing();
  const say = useSay();
  const editable = m.body !== null && m.body_encoding === "utf8";
  const [body, setBody] = useState(m.body ?? "");
  const [to, setTo] = useState(m.origin?.queue ? "source" : "");
  const edited = editable && body !== m.body;
  const move = useMutation({
    mutationFn: () =>
      must(
        api.POST("/v1/queues/{queue}/messages/{id}/redrive", {
          params: { path: { queue, id: m.id }, query: { to: to || undefined } },
          body: edited ? body : undefined,
          headers: edited ? { "Content-Type": m.content_type } : undefined,
          bodySerializer: (b) => b, // the body is the message
        }),
      ),
    onSuccess: (moved) => {
      say(
        <>
          It is in{" "}
          <Link className="link" to="/t/$tenant/queues/$queue/messages" params={{ tenant, queue: moved.queue }} search={{ m: moved.id }}>
            {moved.queue}
          </Link>{" "}
          now.
        </>,
      );
      done();
    },
  });
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        move.mutate();
      }}
    >
      <Stack gap="sm">
        <TextInput label="To the queue" description={m.origin?.queue ? `source is ${m.origin.queue}` : "Of the same type"} value={to} onChange={(e) => setTo(e.currentTarget.value)} required error={move.error ? failureOf(move.error).at("to") : undefined} />
        {editable && <Textarea label="Body" value={body} onChange={(e) => setBody(e.currentTarget.value)} autosize minRows={4} maxRows={18} styles={{ input: { fontFamily: "var(--mono)", fontSize: "0.82rem" } }} spellCheck={false} />}
        {move.error && <ErrorState error={move.error} />}
        <Group>
          <Button type="submit" loading={move.isPending}>
            {edited ? "Move it with this body" : "Move it"}
          </Button>
          <Curl call={{ method: "POST", path: withQuery(pathOf`/v1/queues/${queue}/messages/${m.id}/redrive`, { to: to === "source" ? undefined : to }), body: edited ? body : undefined, headers: edited ? { "Content-Type": m.content_type } : undefined }} />
        </Group>
      </Stack>
    </form>
  );
}
