import { Alert, Button, Card, Checkbox, Group, NativeSelect, SimpleGrid, Stack, Text, Textarea, TextInput, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { pathOf, unchanged } from "../api/curl";
import { Curl } from "../common/Curl";
import { duration, spoken } from "../common/format";
import { Facts } from "../common/Page";
import { useSay } from "../common/say";
import { ErrorState } from "../common/states";
import { type Queue, type QueueInput, useQueue } from "./data";
import { useQueueName } from "./QueuePage";

// Form is what stands in the fields.
type Form = {
  visibility_timeout: string;
  message_retention: string;
  delay: string;
  receive_wait: string;
  trace_retention: string;
  max_message_size: string;
  max_messages: string;
  max_bytes: string;
  when_full: Queue["when_full"];
  backoff: Queue["retry"]["backoff"];
  retry_delay: string;
  retry_max: string;
  dead_letter_queue: string;
  max_receives: string;
  forward_to: string;
  content_based: boolean;
  labels: string;
};

function formOf(q: Queue): Form {
  const n = (v: number | null) => (v === null ? "" : String(v));
  return {
    visibility_timeout: duration(q.visibility_timeout),
    message_retention: duration(q.message_retention),
    delay: duration(q.delay),
    receive_wait: duration(q.receive_wait),
    trace_retention: duration(q.trace_retention),
    max_message_size: n(q.max_message_size),
    max_messages: n(q.max_messages),
    max_bytes: n(q.max_bytes),
    when_full: q.when_full,
    backoff: q.retry.backoff,
    retry_delay: duration(q.retry.delay),
    retry_max: duration(q.retry.max_delay),
    dead_letter_queue: q.redrive?.dead_letter_queue ?? "",
    max_receives: n(q.redrive?.max_receives ?? 5),
    forward_to: q.forward_to ?? "",
    content_based: q.fifo?.content_based_deduplication ?? false,
    labels: Object.entries(q.labels)
      .map(([k, v]) => (v ? `${k}=${v}` : k))
      .join("\n"),
  };
}

// What a field is of the API's input. Numbers go as they were typed, so that the server judges them.
type Num = number | null | undefined;
const num = (text: string) => spoken(text) as Num;

// labelsOf reads a line for each label: its key, or key=value.
function labelsOf(text: string): Record<string, string> {
  const lines = text.split("\n").map((l) => l.trim()).filter(Boolean);
  return Object.fromEntries(lines.map((l) => [l.replace(/=.*/s, "").trim(), l.includes("=") ? l.slice(l.indexOf("=") + 1).trim() : ""]));
}

// changesOf returns what was changed, as the API takes it.
function changesOf(was: Form, is: Form): QueueInput {
  const changed = (...names: (keyof Form)[]) => names.some((n) => was[n] !== is[n]);
  const body: QueueInput = {};
  for (const name of ["visibility_timeout", "message_retention", "delay", "receive_wait", "trace_retention", "max_message_size", "max_messages", "max_bytes"] as const) {
    if (changed(name)) body[name] = num(is[name]);
  }
  if (changed("when_full")) body.when_full = is.when_full;
  if (changed("backoff", "retry_delay", "retry_max")) body.retry = is.backoff === "none" ? { backoff: "none" } : { backoff: is.backoff, delay: num(is.retry_delay), max_delay: num(is.retry_max) };
  if (changed("dead_letter_queue", "max_receives")) {
    body.redrive = is.dead_letter_queue === "" ? null : { dead_letter_queue: is.dead_letter_queue, max_receives: Number(is.max_receives) };
  }
  if (changed("forward_to")) body.forward_to = is.forward_to || null;
  if (changed("content_based")) body.fifo = { content_based_deduplication: is.content_based };
  if (changed("labels")) {
    const now = labelsOf(is.labels);
    const gone = Object.keys(labelsOf(was.labels)).filter((k) => !Object.hasOwn(now, k));
    body.labels = { ...Object.fromEntries(gone.map((k) => [k, null])), ...now } as QueueInput["labels"]; // null removes one
  }
  return body;
}

// Settings are changed in place. What somebody else changed meanwhile is not overwritten.
export function Settings() {
  const name = useQueueName();
  const { data } = useQueue(name);
  const [base, setBase] = useState(data);
  if (!data || !base) return null;
  return <Fields key={base.etag} base={base} now={data} reload={() => setBase(data)} saved={setBase} />;
}

function Fields({ base, now, reload, saved }: { base: Queue; now: Queue; reload: () => void; saved: (q: Queue) => void }) {
  const { api, tenant } = useActing();
  const client = useQueryClient();
  const say = useSay();
  const was = formOf(base);
  const [form, setForm] = useState(was);
  const body = changesOf(was, form);
  const names = Object.keys(body);
  const kept = (q: Queue) => {
    client.setQueryData(["queue", tenant, q.name], q);
    saved(q);
    say("Saved. It holds from now on.");
  };
  const save = useMutation({
    mutationFn: () => must(api.PATCH("/v1/queues/{queue}", { params: { path: { queue: base.name }, header: { "If-Match": `"${base.etag}"` } }, body })),
    onSuccess: kept,
  });
  // What somebody has changed here is set; what others have changed beside it stays.
  const over = useMutation({
    mutationFn: () => must(api.PATCH("/v1/queues/{queue}", { params: { path: { queue: base.name }, header: { "If-Match": `"${now.etag}"` } }, body })),
    onSuccess: kept,
  });
  const failed = over.error ?? save.error;
  const failure = failed ? failureOf(failed) : undefined;
  const text = (name: keyof Form & ("visibility_timeout" | "message_retention" | "delay" | "receive_wait" | "trace_retention" | "max_message_size" | "max_messages" | "max_bytes" | "retry_delay" | "retry_max" | "dead_letter_queue" | "max_receives" | "forward_to"), label: string, description: string, pointer = `/${name}`) => (
    <TextInput label={label} description={description} value={form[name]} onChange={(e) => setForm({ ...form, [name]: e.currentTarget.value })} error={failure?.at(pointer)} spellCheck={false} autoComplete="off" />
  );
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        save.mutate();
      }}
    >
      <Stack>
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <Section title="Delivery">
            {text("visibility_timeout", "Visibility timeout", "How long a consumer has for a message: 30s, 5m, 12h")}
            {text("delay", "Delay", "How long a new message stays hidden")}
            {text("receive_wait", "Receive wait", "How long a receive waits that does not say it: at most 20s")}
            {text("forward_to", "Forward to", "A queue, or topic: and the name of a topic, to which everything goes on; empty for none")}
          </Section>
          <Section title="Failures">
            <NativeSelect label="Wait after a failure" value={form.backoff} onChange={(e) => setForm({ ...form, backoff: backoffs.find((b) => b === e.currentTarget.value) ?? "none" })} data={[...backoffs]} />
            {form.backoff !== "none" && text("retry_delay", "First wait", "After the first failure", "/retry/delay")}
            {form.backoff !== "none" && text("retry_max", "Longest wait", "However often it fails", "/retry/max_delay")}
            {text("dead_letter_queue", "Dead-letter queue", "Is made when it is not there; empty for none", "/redrive/dead_letter_queue")}
            {form.dead_letter_queue !== "" && text("max_receives", "Receives before that", "1 to 1,000", "/redrive/max_receives")}
          </Section>
          <Section title="Keeping">
            {text("message_retention", "Retention", "How long a message is kept: 1m to 14d")}
            {text("trace_retention", "Timelines", "How long what became of a message is kept: up to 14d; 0 for not at all")}
            {text("max_message_size", "Largest message", "Bytes of a body with its attributes")}
            {text("max_messages", "Most messages", "Empty for any number")}
            {text("max_bytes", "Most bytes", "Empty for any number")}
            {(form.max_messages || form.max_bytes) && <NativeSelect label="When it is full" value={form.when_full} onChange={(e) => setForm({ ...form, when_full: whens.find((w) => w === e.currentTarget.value) ?? "reject" })} data={[...whens]} error={failure?.at("/when_full")} />}
          </Section>
          <Section title="Labels">
            <Textarea label="Labels" description="One a line, for your own order: team=shop" value={form.labels} onChange={(e) => setForm({ ...form, labels: e.currentTarget.value })} error={failure?.at("/labels") ?? failure?.problem?.errors.find((f) => f.pointer?.startsWith("/labels/"))?.detail} autosize minRows={2} maxRows={8} spellCheck={false} />
          </Section>
          {base.fifo && (
            <Section title="FIFO">
              <Checkbox label="A message without a deduplication id is recognised by its body" checked={form.content_based} onChange={(e) => setForm({ ...form, content_based: e.currentTarget.checked })} />
            </Section>
          )}
        </SimpleGrid>
        {failure && <ErrorState error={failure} />}
        {now.etag !== base.etag && (
          <Alert color="orange" title="Somebody has changed these settings meanwhile">
            <Facts of={differences(base, now).map(([name, before, after]) => [name, <span key={name} className="mono">{before} → {after}</span>])} />
          </Alert>
        )}
        <Group>
          <Button type="submit" disabled={names.length === 0} loading={save.isPending}>
            Save
          </Button>
          <Button variant="default" onClick={reload} disabled={names.length === 0 && now.etag === base.etag}>
            {now.etag === base.etag ? "Undo" : "Reload"}
          </Button>
          {now.etag !== base.etag && names.length > 0 && (
            <Button variant="default" onClick={() => over.mutate()} loading={over.isPending}>
              Overwrite with mine
            </Button>
          )}
          {now.etag !== base.etag && names.length > 0 && <Curl call={{ method: "PATCH", path: pathOf`/v1/queues/${base.name}`, body, headers: unchanged(now.etag) }} label="Overwriting by curl" />}
          <Curl call={{ method: "PATCH", path: pathOf`/v1/queues/${base.name}`, body, headers: unchanged(base.etag) }} />
          {names.length > 0 && <Text size="sm">Changes {names.join(", ")}.</Text>}
        </Group>
      </Stack>
    </form>
  );
}

// differences are the settings that another one has made of a queue, as they were and as they are.
function differences(was: Queue, is: Queue): [string, string, string][] {
  const [before, after] = [formOf(was), formOf(is)];
  const names = Object.keys(before) as (keyof Form)[];
  return names.filter((n) => before[n] !== after[n]).map((n) => [n.replaceAll("_", " "), String(before[n]) || "none", String(after[n]) || "none"]);
}

const backoffs = ["none", "fixed", "linear", "exponential"] as const;
const whens = ["reject", "drop_oldest", "dead_letter"] as const;

function Section({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <Card withBorder>
      <Title order={2} size="h5" mb="sm">
        {title}
      </Title>
      <Stack gap="sm">{children}</Stack>
    </Card>
  );
}
