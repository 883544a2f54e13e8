import { Button, Group, Stack, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { Danger } from "../common/Danger";
import { spoken } from "../common/format";
import { useSay } from "../common/say";
import { ErrorState } from "../common/states";
import { Ago } from "../common/Time";
import type { Message } from "./data";

type Props = { queue: string; message: Message; done: () => void };

// Extend has whoever holds a message hold it for longer, or for less.
export function Extend({ queue, message: m, done }: Props) {
  const { api } = useActing();
  const say = useSay();
  const [span, setSpan] = useState("10m");
  const body = { visibility_timeout: spoken(span) as number }; // text such as 10m too
  const extend = useMutation({
    mutationFn: () => must(api.PATCH("/v1/queues/{queue}/messages/{id}", { params: { path: { queue, id: m.id } }, body })),
    onSuccess: (now) => {
      say(now.state === "in_flight" ? <>It is back <Ago at={now.lease_expires_at} /> unless that changes again.</> : "It is available now.");
      done();
    },
  });
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        extend.mutate();
      }}
    >
      <Stack gap="sm">
        <TextInput label="Held for" description="From now on: seconds, or text such as 10m; at most 12 hours since it was received. Whoever holds it goes on as before." value={span} onChange={(e) => setSpan(e.currentTarget.value)} required autoFocus error={extend.error ? failureOf(extend.error).at("visibility_timeout") : undefined} />
        {extend.error && <ErrorState error={extend.error} />}
        <Group>
          <Button type="submit" loading={extend.isPending}>
            Extend
          </Button>
          <Curl call={{ method: "PATCH", path: pathOf`/v1/queues/${queue}/messages/${m.id}`, body }} />
        </Group>
      </Stack>
    </form>
  );
}

// Return takes a message from whoever holds it.
export function Return({ queue, message: m, done, close }: Props & { close: () => void }) {
  const { api } = useActing();
  const say = useSay();
  const body = { visibility_timeout: 0 };
  return (
    <Danger
      title="Return the message now"
      verb="Return it"
      close={close}
      call={{ method: "PATCH", path: pathOf`/v1/queues/${queue}/messages/${m.id}`, body }}
      run={async () => {
        const now = await must(api.PATCH("/v1/queues/{queue}/messages/{id}", { params: { path: { queue, id: m.id } }, body }));
        say(now.state === "expired" ? "Its own end had come, so it is gone." : "It is available now.");
        done();
      }}
    >
      This takes 1 message from {m.held_by ? <b>{m.held_by}</b> : "somebody without a name"}, who received it <Ago at={m.held_since} /> and may still be busy with it: then it is worked on twice. The delivery counts as failed.
    </Danger>
  );
}
