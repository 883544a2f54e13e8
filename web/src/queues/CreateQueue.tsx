import { Button, Checkbox, Group, Modal, NumberInput, SegmentedControl, Stack, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { pathOf, unchanged } from "../api/curl";
import { Curl } from "../common/Curl";
import { ErrorState } from "../common/states";
import type { QueueInput } from "./data";

const fifoEnd = ".fifo";

// CreateQueue asks for a name, and for what cannot be changed later or is wanted mostly.
export function CreateQueue({ close }: { close: () => void }) {
  const { api, tenant = "" } = useActing();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [typed, setTyped] = useState("");
  const [type, setType] = useState<"standard" | "fifo">("standard");
  const [deadLetters, setDeadLetters] = useState(true);
  const [receives, setReceives] = useState<number | string>(5);
  const plain = typed.trim().replace(/\.fifo$/, "");
  const end = type === "fifo" ? fifoEnd : "";
  const name = plain + end;
  const body: QueueInput = deadLetters ? { redrive: { dead_letter_queue: `${plain}-dlq${end}`, max_receives: Number(receives) } } : {};
  const create = useMutation({
    // Only if there is none: a queue that is there keeps its settings.
    mutationFn: () => must(api.PUT("/v1/queues/{queue}", { params: { path: { queue: name }, header: { "If-None-Match": "*" } }, body })),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["queues", tenant] });
      void navigate({ to: "/t/$tenant/queues/$queue/send", params: { tenant, queue: name } });
    },
  });
  const failure = create.error ? failureOf(create.error) : undefined;
  return (
    <Modal opened onClose={close} title="Create a queue" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          create.mutate();
        }}
      >
        <Stack>
          <TextInput label="Name" value={typed} onChange={(e) => setTyped(e.currentTarget.value)} data-autofocus required spellCheck={false} autoComplete="off" description={type === "fifo" ? `Its name ends in ${fifoEnd}: ${name}` : "Letters, digits, - and _"} error={failure?.at("queue")} />
          <SegmentedControl
            aria-label="Type"
            data={[
              { value: "standard", label: "Standard" },
              { value: "fifo", label: "FIFO: in order, each once" },
            ]}
            value={type}
            onChange={(v) => setType(v === "fifo" ? "fifo" : "standard")}
          />
          <Checkbox label={`Messages that fail go to ${plain || "…"}-dlq${end}`} checked={deadLetters} onChange={(e) => setDeadLetters(e.currentTarget.checked)} />
          {deadLetters && <NumberInput label="after so many receives" value={receives} onChange={setReceives} min={1} max={1000} error={failure?.at("/redrive/max_receives")} />}
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "PUT", path: pathOf`/v1/queues/${name || "NAME"}`, body, headers: unchanged() }} />
            <Button type="submit" loading={create.isPending} disabled={!plain}>
              Create
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
