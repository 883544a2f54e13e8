import { Alert, Badge, Button, Card, Group, NumberInput, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { must, type Schemas, useActing } from "../api/client";
import { pathOf, withQuery } from "../api/curl";
import { Body } from "../common/Body";
import { Curl, Curls } from "../common/Curl";
import { count, duration, plural } from "../common/format";
import { useSay } from "../common/say";
import { ErrorState } from "../common/states";
import { Ago, useNow } from "../common/Time";
import { useQueue } from "../queues/data";
import { useQueueName } from "../queues/QueuePage";

type Received = Schemas["ReceivedMessage"];

const consumer = "console";

// Receive takes messages as a consumer does, which is not looking: it says so.
export function Receive() {
  const { api, tenant } = useActing();
  const queue = useQueueName();
  const client = useQueryClient();
  const { data: q } = useQueue(queue);
  const [max, setMax] = useState<number | string>(1);
  const [hold, setHold] = useState("");
  const [held, setHeld] = useState<Received[]>([]);
  const [nothing, setNothing] = useState<"empty" | "paused">();
  const query = { max: Number(max) || 1, wait: 0, visibility_timeout: /^\d+$/.test(hold) ? Number(hold) : undefined, consumer };
  const refresh = () => void client.invalidateQueries({ queryKey: ["queue", tenant, queue] });
  const receive = useMutation({
    mutationFn: async () => {
      // With raw=true, which was not asked for, the answer would be a body.
      const got = await must(api.POST("/v1/queues/{queue}/receive", { params: { path: { queue }, query } }));
      return typeof got === "string" ? { messages: [] } : got;
    },
    onSuccess: (got) => {
      setHeld((h) => [...got.messages, ...h]);
      setNothing(got.messages.length > 0 ? undefined : got.paused ? "paused" : "empty");
      refresh();
    },
  });
  return (
    <Stack>
      <Alert color="yellow" title="This is a real receive">
        A message that you receive is counted, and hidden from other consumers until you acknowledge or return it, or its time is up
        {q && <> ({duration(q.visibility_timeout)} unless you say otherwise)</>}. To only look, use Messages.
      </Alert>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          receive.mutate();
        }}
      >
        <Group align="end">
          <NumberInput label="At most" value={max} onChange={setMax} min={1} max={100} w={100} />
          <TextInput label="For so many seconds" value={hold} onChange={(e) => setHold(e.currentTarget.value)} placeholder="as the queue says" inputMode="numeric" w={170} />
          <Button type="submit" color="#8a5a00" loading={receive.isPending}>
            Receive
          </Button>
          <Curl call={{ method: "POST", path: withQuery(pathOf`/v1/queues/${queue}/receive`, query) }} />
        </Group>
      </form>
      {receive.error && <ErrorState error={receive.error} />}
      {nothing && held.length === 0 && <Text size="sm">{nothing === "paused" ? "Receiving is paused." : `There is nothing to receive now${q && q.counts.in_flight > 0 ? `: ${plural(q.counts.in_flight, "message")} in flight` : ""}.`}</Text>}
      {held.map((m) => (
        <Held
          key={m.receipt_handle}
          queue={queue}
          message={m}
          gone={() => {
            setHeld((h) => h.filter((x) => x.receipt_handle !== m.receipt_handle));
            refresh();
          }}
          extended={(until) => setHeld((h) => h.map((x) => (x.receipt_handle === m.receipt_handle ? { ...x, lease_expires_at: until } : x)))}
        />
      ))}
    </Stack>
  );
}

const more = 60;

function Held({ queue, message: m, gone, extended }: { queue: string; message: Received; gone: () => void; extended: (until: string | null) => void }) {
  const { api } = useActing();
  const say = useSay();
  const now = useNow();
  const [reason, setReason] = useState("");
  const over = m.lease_expires_at !== null && Date.parse(m.lease_expires_at) <= now;
  const handle = m.receipt_handle ?? "";
  const params = { path: { queue, handle } };
  const path = pathOf`/v1/queues/${queue}/receipts/${handle}`;
  const said = reason || undefined;
  const act = useMutation({
    mutationFn: async (what: "ack" | "return" | "extend" | "dead_letter") => {
      switch (what) {
        case "ack":
          await must(api.DELETE("/v1/queues/{queue}/receipts/{handle}", { params }));
          say("Acknowledged.");
          return gone();
        case "return":
          await must(api.PATCH("/v1/queues/{queue}/receipts/{handle}", { params, body: { return: true, reason: said } }));
          say("Returned.");
          return gone();
        case "dead_letter":
          await must(api.PATCH("/v1/queues/{queue}/receipts/{handle}", { params, body: { dead_letter: true, reason: said } }));
          say("It goes to the dead-letter queue.");
          return gone();
        case "extend": {
          const r = await must(api.PATCH("/v1/queues/{queue}/receipts/{handle}", { params, body: { visibility_timeout: more } }));
          return extended(r.lease_expires_at);
        }
      }
    },
  });
  return (
    <Card withBorder>
      <Stack gap="sm">
        <Group justify="space-between">
          <span className="mono">{m.id}</span>
          <Group gap="xs">
            <Badge variant="light" color="gray" tt="none">
              receive {count(m.receive_count)}
            </Badge>
            <Badge variant="dot" color={over ? "red" : "yellow"} tt="none">
              {over ? "time is up" : <>back <Ago at={m.lease_expires_at} /></>}
            </Badge>
          </Group>
        </Group>
        <Body of={m} />
        <Group gap="xs">
          <Button size="xs" onClick={() => act.mutate("ack")} loading={act.isPending}>
            Acknowledge
          </Button>
          <Button size="xs" variant="default" onClick={() => act.mutate("extend")}>
            Hold {more} s more
          </Button>
          <TextInput size="xs" aria-label="Reason" placeholder="reason" value={reason} onChange={(e) => setReason(e.currentTarget.value)} />
          <Button size="xs" variant="default" onClick={() => act.mutate("return")}>
            Return
          </Button>
          <Button size="xs" variant="default" onClick={() => act.mutate("dead_letter")}>
            Dead-letter
          </Button>
          <Curl call={{ method: "DELETE", path }} label="Acknowledge with curl" />
          <Curls
            small
            label="The others as curl"
            of={[
              [`Hold ${more} s more`, { method: "PATCH", path, body: { visibility_timeout: more } }],
              ["Return", { method: "PATCH", path, body: { return: true, reason: said } }],
              ["Dead-letter", { method: "PATCH", path, body: { dead_letter: true, reason: said } }],
            ]}
          />
        </Group>
        {act.error && <ErrorState error={act.error} />}
      </Stack>
    </Card>
  );
}
