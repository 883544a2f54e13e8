import { Alert, Button, Card, Checkbox, Group, NumberInput, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { failureOf, must, type Problem, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { plural } from "../common/format";
import { ErrorState } from "../common/states";
import { Ago } from "../common/Time";
import { useQueue } from "../queues/data";
import { useQueueName } from "../queues/QueuePage";
import { blank, Compose, messageOf } from "./Compose";

const maxSent = 1000;
const kept = 20;

type Sent = { id: string; at: string };

// Send puts messages into a queue, one or the same one many times.
export function Send() {
  const { api, tenant = "" } = useActing();
  const queue = useQueueName();
  const client = useQueryClient();
  const { data: q } = useQueue(queue);
  const [draft, setDraft] = useState(blank);
  const [times, setTimes] = useState<number | string>(1);
  const [keep, setKeep] = useState(true);
  const [sent, setSent] = useState<Sent[]>([]);
  const [refused, setRefused] = useState<{ count: number; first: Problem }>();
  const n = Math.min(Math.max(Number(times) || 1, 1), maxSent);
  const message = messageOf(draft);
  const body = { messages: Array.from({ length: n }, () => message) };
  const send = useMutation({
    mutationFn: () => must(api.POST("/v1/queues/{queue}/messages/batch", { params: { path: { queue } }, body })),
    onSuccess: ({ results }) => {
      const faults = results.filter((r) => r.error);
      const first = faults[0]?.error;
      setRefused(first && { count: faults.length, first });
      const at = new Date().toISOString();
      setSent((s) => [...results.flatMap((r) => (r.id ? [{ id: r.id, at }] : [])).reverse(), ...s].slice(0, kept));
      if (!keep && !first) setDraft(blank);
      void client.invalidateQueries({ queryKey: ["queue", tenant, queue] });
      void client.invalidateQueries({ queryKey: ["messages", tenant, queue] });
    },
    onMutate: () => setRefused(undefined),
  });
  const failure = send.error ? failureOf(send.error) : undefined;
  // An item that was refused speaks of itself, without its place in the batch.
  const fault = (pointer: string) => failure?.at(pointer) ?? refused?.first.errors.find((e) => e.pointer === pointer || e.pointer === pointer.replace("/messages/0", ""))?.detail;
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        send.mutate();
      }}
    >
      <Stack>
        <Card withBorder>
          <Compose draft={draft} set={setDraft} fifo={q?.type === "fifo"} fault={fault} />
        </Card>
        {failure && <ErrorState error={failure} />}
        {refused && (
          <Alert color="red" title={refused.first.title}>
            {n > 1 && `${plural(refused.count, "message")} of ${n} refused. `}
            {refused.first.detail} {refused.first.fix}
          </Alert>
        )}
        <Group align="end">
          <Button type="submit" loading={send.isPending}>
            Send
          </Button>
          <NumberInput aria-label="How many times" value={times} onChange={setTimes} min={1} max={maxSent} w={110} suffix=" ×" />
          <Curl call={{ method: "POST", path: pathOf`/v1/queues/${queue}/messages/batch`, body: { messages: [message] }, headers: { "Content-Type": "application/json" }, times: n }} />
          <Checkbox label="Keep the contents" checked={keep} onChange={(e) => setKeep(e.currentTarget.checked)} mb={8} />
        </Group>
        {sent.length > 0 && (
          <Card withBorder aria-live="polite">
            <Title order={2} size="h5" mb="xs">
              Sent
            </Title>
            <Stack gap={4}>
              {sent.map((s) => (
                <Text size="sm" key={s.id}>
                  <Link className="link mono" to="/t/$tenant/queues/$queue/messages" params={{ tenant, queue }} search={{ m: s.id }}>
                    {s.id}
                  </Link>{" "}
                  <span className="quiet">
                    <Ago at={s.at} />
                  </span>
                </Text>
              ))}
            </Stack>
          </Card>
        )}
      </Stack>
    </form>
  );
}
