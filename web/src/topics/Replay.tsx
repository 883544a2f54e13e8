import { Button, Group, Modal, NativeSelect, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { failureOf, must, type Schemas, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { ErrorState } from "../common/states";
import type { Subscription } from "./data";

export type What = NonNullable<Schemas["ReplayInput"]["what"]>;

const whats = ["all", "failed", "missing"] as const;

const brings: Record<What, string> = {
  all: "What the topic's log still holds goes there once more, by the filter that holds now, also what was delivered.",
  failed: "What failed for good goes there once more, with all of its attempts before it. It is kept for 14 days.",
  missing: "What was never tried, because the endpoint was disabled or too much waited for it, goes there while the topic keeps it.",
};

// Replay brings what is in the log to one subscription once more, and to a webhook what failed or was missed.
export function Replay({ topic, of, what: first = "all", close }: { topic: string; of: Subscription; what?: What; close: () => void }) {
  const { api, tenant = "" } = useActing();
  const navigate = useNavigate();
  const [what, setWhat] = useState(first);
  const [since, setSince] = useState(() => (first === "all" ? new Date(Date.now() - 3_600_000).toISOString().slice(0, 19) + "Z" : ""));
  const [until, setUntil] = useState("");
  const [after, setAfter] = useState("");
  const behind = what === "failed" ? "" : after; // what failed has no place in the log
  const body: Schemas["ReplayInput"] = { what: what === "all" ? undefined : what, after: behind || undefined, since: (!behind && since) || undefined, until: until || undefined };
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
          {of.endpoint && (
            <NativeSelect
              label="What to send"
              value={what}
              onChange={(e) => setWhat(whats.find((w) => w === e.currentTarget.value) ?? "all")}
              data={[
                { value: "all", label: "All that the topic keeps" },
                { value: "failed", label: "What failed for good" },
                { value: "missing", label: "What was never tried" },
              ]}
            />
          )}
          <Text size="sm">
            {brings[what]} It goes to {of.target_topic ? `topic ${of.target_topic}` : of.queue ? `queue ${of.queue}` : of.endpoint}.
          </Text>
          <SimpleGrid cols={{ base: 1, xs: 2 }}>
            <TextInput label={what === "failed" ? "Failed since" : "Published since"} description="Empty: from the oldest" placeholder="2026-03-02T08:00:00Z" value={since} onChange={(e) => setSince(e.currentTarget.value)} disabled={behind !== ""} error={failure?.at("/since")} data-autofocus spellCheck={false} autoComplete="off" />
            <TextInput label="Until" description="Empty: up to now" placeholder="2026-03-02T09:00:00Z" value={until} onChange={(e) => setUntil(e.currentTarget.value)} error={failure?.at("/until")} spellCheck={false} autoComplete="off" />
          </SimpleGrid>
          {what !== "failed" && <TextInput label="Or behind the sequence number" value={after} onChange={(e) => setAfter(e.currentTarget.value)} error={failure?.at("/after")} spellCheck={false} autoComplete="off" />}
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
