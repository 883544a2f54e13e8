import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { failureOf, must, type Schemas, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { ErrorState } from "../common/states";
import type { Subscription } from "./data";

// Replay brings what is in the log to one subscription once more.
export function Replay({ topic, of, close }: { topic: string; of: Subscription; close: () => void }) {
  const { api, tenant = "" } = useActing();
  const navigate = useNavigate();
  const [since, setSince] = useState(() => new Date(Date.now() - 3_600_000).toISOString().slice(0, 19) + "Z");
  const [after, setAfter] = useState("");
  const body: Schemas["ReplayInput"] = after ? { after } : { since };
  const start = useMutation({
    mutationFn: () => must(api.POST("/v1/topics/{topic}/subscriptions/{subscription}/replay", { params: { path: { topic, subscription: of.name } }, body })),
    onSuccess: (task) => void navigate({ to: "/t/$tenant/tasks/$task", params: { tenant, task: task.id } }),
  });
  const failure = start.error ? failureOf(start.error) : undefined;
  return (
    <Modal opened onClose={close} title={`Replay to ${of.name}`} closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          start.mutate();
        }}
      >
        <Stack>
          <Text size="sm">
            What the topic's log still holds goes to {of.target_topic ? `topic ${of.target_topic}` : of.queue ? `queue ${of.queue}` : of.endpoint} once more, by the filter that holds now.
          </Text>
          <TextInput label="What was published since" value={since} onChange={(e) => setSince(e.currentTarget.value)} disabled={after !== ""} error={failure?.at("/since")} data-autofocus spellCheck={false} />
          <TextInput label="Or behind the sequence number" value={after} onChange={(e) => setAfter(e.currentTarget.value)} error={failure?.at("/after")} spellCheck={false} />
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "POST", path: pathOf`/v1/topics/${topic}/subscriptions/${of.name}/replay`, body }} />
            <Button type="submit" loading={start.isPending}>
              Replay
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
