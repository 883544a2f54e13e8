import { Button, Group, Modal, NativeSelect, SegmentedControl, SimpleGrid, Stack, Textarea, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { pathOf, unchanged } from "../api/curl";
import { Curl } from "../common/Curl";
import { duration, spoken } from "../common/format";
import { ErrorState } from "../common/states";
import { SecretType, type Type } from "../webhooks/SecretType";
import { batchOf, policyOf, type Subscription, type SubscriptionInput } from "./data";
import { MoreSettings } from "./MoreSettings";
import { inputOf, moreOf } from "./more";

const formats = ["raw", "envelope", "sns", "cloudevents_binary", "cloudevents_structured", "cloudevents_batch"] as const;
const verifications = ["none", "challenge", "cloudevents", "sns"] as const;

// SubscriptionForm makes a subscription, or changes what it lets through.
export function SubscriptionForm({ topic, of, close, done }: { topic: string; of?: Subscription; close: () => void; done: (made: Subscription) => void }) {
  const { api } = useActing();
  const [name, setName] = useState(of?.name ?? "");
  const [to, setTo] = useState<"queue" | "webhook" | "topic">(of?.protocol ?? "queue");
  const [queue, setQueue] = useState(of?.queue ?? "");
  const [other, setOther] = useState(of?.target_topic ?? "");
  const [endpoint, setEndpoint] = useState(of?.endpoint ?? "");
  const [timeout, setTimeout] = useState(of?.timeout === undefined ? "" : duration(of.timeout));
  const [inFlight, setInFlight] = useState(String(of?.max_in_flight ?? ""));
  const [several, setSeveral] = useState(String(of?.batch?.max_messages ?? ""));
  const [wait, setWait] = useState(of?.batch?.max_wait === undefined ? "" : duration(of.batch.max_wait));
  const [size, setSize] = useState(String(of?.batch?.max_bytes ?? ""));
  const [verification, setVerification] = useState(of?.verification ?? "none");
  const [type, setType] = useState<Type | undefined>("hmac");
  const [more, setMore] = useState(() => moreOf(of));
  const [dead, setDead] = useState(of?.dead_letter_queue ?? "");
  const [policy, setPolicy] = useState(of?.filter_policy ? JSON.stringify(of.filter_policy, null, 2) : "");
  const [scope, setScope] = useState(of?.filter_scope ?? "attributes");
  const [format, setFormat] = useState(of?.format ?? "raw");
  const lists = to === "webhook" && (format === "envelope" || format === "cloudevents_batch");
  let wrong: string | undefined;
  let body: SubscriptionInput = {};
  try {
    const target = to === "queue" ? { queue } : to === "topic" ? { target_topic: other } : { endpoint: endpoint.trim(), timeout: spoken(timeout) as number | null, max_in_flight: spoken(inFlight) as number | null, verification, batch: lists ? batchOf(several, size, wait) : null, ...inputOf(more, moreOf(of)) }; // text such as 10s too
    body = { ...target, dead_letter_queue: dead.trim() || null, filter_policy: policyOf(policy), filter_scope: scope, format: to === "topic" ? "raw" : format };
    if (!of && to === "webhook") body.secret_type = type;
  } catch (e) {
    wrong = e instanceof Error ? e.message : "is no JSON";
  }
  const params = { path: { topic, subscription: name } };
  const save = useMutation({
    mutationFn: () =>
      must(
        of
          ? api.PATCH("/v1/topics/{topic}/subscriptions/{subscription}", { params: { ...params, header: { "If-Match": `"${of.etag}"` } }, body })
          : api.PUT("/v1/topics/{topic}/subscriptions/{subscription}", { params: { ...params, header: { "If-None-Match": "*" } }, body }),
      ),
    onSuccess: (made) => {
      done(made);
      close();
    },
  });
  const failure = save.error ? failureOf(save.error) : undefined;
  return (
    <Modal opened onClose={close} title={of ? `Edit ${of.name}` : "Subscribe"} size="lg" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          save.mutate();
        }}
      >
        <Stack gap="sm">
          {!of && <TextInput label="Name" value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus required spellCheck={false} autoComplete="off" />}
          {!of && (
            <SegmentedControl
              aria-label="Where messages go"
              fullWidth
              styles={{ label: { paddingInline: 6 } }} // all three in view on a phone
              value={to}
              onChange={(v) => setTo(v === "webhook" || v === "topic" ? v : "queue")}
              data={[
                { value: "queue", label: "To a queue" },
                { value: "webhook", label: "To a webhook" },
                { value: "topic", label: "To a topic" },
              ]}
            />
          )}
          {to === "webhook" && (
            <>
              <TextInput label="Endpoint" description="It gets a signed POST for each message" placeholder="https://example.com/hooks" value={endpoint} onChange={(e) => setEndpoint(e.currentTarget.value)} required error={failure?.at("/endpoint")} spellCheck={false} autoComplete="off" />
              <Group grow align="start">
                <TextInput label="An attempt may take" placeholder="15s" value={timeout} onChange={(e) => setTimeout(e.currentTarget.value)} error={failure?.at("/timeout")} />
                <TextInput label="Attempts at the same time" placeholder="16" inputMode="numeric" value={inFlight} onChange={(e) => setInFlight(e.currentTarget.value)} error={failure?.at("/max_in_flight")} />
              </Group>
              <NativeSelect
                label="Before it gets messages"
                data={[
                  { value: "none", label: "nothing is asked of it" },
                  { value: "challenge", label: "it repeats a challenge" },
                  { value: "cloudevents", label: "it answers OPTIONS, as in CloudEvents" },
                  { value: "sns", label: "it visits the SubscribeURL of SNS" },
                ]}
                value={verification}
                onChange={(e) => setVerification(verifications.find((v) => v === e.currentTarget.value) ?? "none")}
                error={failure?.at("/verification")}
              />
              {!of && <SecretType value={type} set={setType} />}
              <MoreSettings value={more} set={setMore} failure={failure} />
            </>
          )}
          {to === "queue" && <TextInput label="Queue" value={queue} onChange={(e) => setQueue(e.currentTarget.value)} required disabled={of !== undefined} error={failure?.at("/queue")} spellCheck={false} autoComplete="off" />}
          {to === "topic" && <TextInput label="Topic" value={other} onChange={(e) => setOther(e.currentTarget.value)} required disabled={of !== undefined} error={failure?.at("/target_topic")} spellCheck={false} autoComplete="off" />}
          <TextInput label="Dead-letter queue" description="Gets what cannot be delivered for good. Empty for none." value={dead} onChange={(e) => setDead(e.currentTarget.value)} error={failure?.at("/dead_letter_queue")} spellCheck={false} autoComplete="off" />
          <Textarea
            label="Filter policy"
            description={'Which messages arrive, as in SNS: {"type":[{"prefix":"order."}]}. Empty for all.'}
            value={policy}
            onChange={(e) => setPolicy(e.currentTarget.value)}
            autosize
            minRows={3}
            maxRows={14}
            styles={{ input: { fontFamily: "var(--mono)" } }}
            spellCheck={false}
            error={wrong}
          />
          <SimpleGrid cols={{ base: 1, xs: 2 }}>
            <NativeSelect label="The filter looks at" data={["attributes", "body"]} value={scope} onChange={(e) => setScope(e.currentTarget.value === "body" ? "body" : "attributes")} />
            <NativeSelect
              label="Messages arrive"
              disabled={to === "topic"}
              data={[
                { value: "raw", label: "as they were published" },
                { value: "envelope", label: "in a JSON envelope" },
                ...(to === "topic" ? [] : [{ value: "sns", label: "as SNS writes them" }]),
                ...(to === "webhook"
                  ? [
                      { value: "cloudevents_binary", label: "as CloudEvents, in headers" },
                      { value: "cloudevents_structured", label: "as CloudEvents, in one JSON object" },
                      { value: "cloudevents_batch", label: "as CloudEvents, in a list" },
                    ]
                  : []),
              ]}
              value={to === "topic" ? "raw" : format}
              onChange={(e) => setFormat(formats.find((f) => f === e.currentTarget.value) ?? "raw")}
            />
          </SimpleGrid>
          {lists && (
            <Group grow align="start">
              <TextInput label="Messages in a request" description="Empty for one" placeholder="1 to 100" inputMode="numeric" value={several} onChange={(e) => setSeveral(e.currentTarget.value)} error={failure?.at("/batch") ?? failure?.at("/batch/max_messages")} />
              <TextInput label="One waits for others" description="At most" placeholder="1s" value={wait} disabled={!several} onChange={(e) => setWait(e.currentTarget.value)} error={failure?.at("/batch/max_wait")} />
              <TextInput label="Bytes of a request" description="At most" placeholder="262144" inputMode="numeric" value={size} disabled={!several} onChange={(e) => setSize(e.currentTarget.value)} error={failure?.at("/batch/max_bytes")} />
            </Group>
          )}
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: of ? "PATCH" : "PUT", path: pathOf`/v1/topics/${topic}/subscriptions/${name || "NAME"}`, body, headers: unchanged(of?.etag) }} />
            <Button type="submit" loading={save.isPending} disabled={!name || wrong !== undefined}>
              {of ? "Save" : "Subscribe"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
