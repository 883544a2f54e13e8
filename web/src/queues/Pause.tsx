import { Button, Group, Modal, SegmentedControl, Stack, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { useSay } from "../common/say";
import { ErrorState } from "../common/states";
import type { Queue } from "./data";

const directions = [
  { value: "receive", label: "Receiving" },
  { value: "send", label: "Sending" },
  { value: "both", label: "Both" },
] as const;

type Direction = (typeof directions)[number]["value"];

// Pause stops receiving, sending or both, and says why: whoever looks at the queue reads it.
export function Pause({ queue: q, close }: { queue: Queue; close: () => void }) {
  const { api, tenant } = useActing();
  const client = useQueryClient();
  const say = useSay();
  const now = q.paused?.receive && q.paused.send ? "both" : q.paused?.send ? "send" : "receive";
  const [direction, setDirection] = useState<Direction>(now);
  const [reason, setReason] = useState(q.paused?.receive?.reason ?? q.paused?.send?.reason ?? "");
  const body = { direction, ...(reason && { reason }) };
  const pause = useMutation({
    mutationFn: () => must(api.POST("/v1/queues/{queue}/pause", { params: { path: { queue: q.name } }, body })),
    onSuccess: (after) => {
      client.setQueryData(["queue", tenant, q.name], after);
      say(`${q.name} is paused.`);
      close();
    },
  });
  const failure = pause.error ? failureOf(pause.error) : undefined;
  return (
    <Modal opened onClose={close} title={`Pause ${q.name}`} closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          pause.mutate();
        }}
      >
        <Stack>
          <SegmentedControl aria-label="What is paused" value={direction} onChange={(v) => setDirection(directions.find((d) => d.value === v)?.value ?? "receive")} data={directions.map((d) => ({ ...d }))} />
          <TextInput label="Reason" description="Whoever looks at the queue reads it, and who is refused a send" value={reason} onChange={(e) => setReason(e.currentTarget.value)} error={failure?.at("/reason")} data-autofocus />
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "POST", path: pathOf`/v1/queues/${q.name}/pause`, body }} />
            <Button type="submit" loading={pause.isPending}>
              Pause
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
