import { Alert, Button, Group, Modal, Progress, Stack, Text } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { useActing } from "../api/client";
import { Curl } from "../common/Curl";
import { count } from "../common/format";
import { useSay } from "../common/say";
import { ErrorState } from "../common/states";
import { useSession } from "../shell/session";
import { label, mayLoad, steps } from "./shop";

const [first, ...rest] = steps.flatMap((s) => s.calls);

// Demo fills a tenant with a small shop, one call after the other. What is there is left as it is, so it goes on where it was stopped.
export function Demo({ close }: { close: () => void }) {
  const { api, tenant = "" } = useActing();
  const client = useQueryClient();
  const navigate = useNavigate();
  const say = useSay();
  const { data: session } = useSession();
  const [done, setDone] = useState(0);
  const gone = useRef(false);
  useEffect(() => {
    gone.current = false;
    return () => {
      gone.current = true;
    };
  }, []);
  const load = useMutation({
    mutationFn: async () => {
      for (const [i, step] of steps.entries()) {
        if (gone.current) return;
        setDone(i);
        await step.run(api);
      }
    },
    onSettled: () => client.invalidateQueries({ queryKey: ["queues", tenant] }),
    onSuccess: () => {
      if (gone.current) return;
      say("The demo data is there.");
      void navigate({ to: "/t/$tenant/queues", params: { tenant }, search: { label } });
    },
  });
  const may = mayLoad(session);
  return (
    <Modal opened onClose={close} title="Load demo data" size="lg" closeButtonProps={{ "aria-label": "Close" }}>
      <Stack>
        <Text size="sm">
          This makes a small shop in tenant <b>{tenant}</b>: five queues, one of them FIFO and one with dead letters, and a topic that brings orders to two of them, one by a filter. Their names begin with <b>demo-</b>
          . What is there already is left as it is, and nothing is made twice.
        </Text>
        <Text size="sm">
          To be rid of it, choose the queues with the label <b>{label}</b> and delete them, and the topic under Topics.
        </Text>
        {!may && <Alert color="orange">As you are signed in you may not make queues and topics and send to them.</Alert>}
        {load.isPending && (
          <div role="status">
            <Text size="sm" mb={4}>
              {count(done)} of {count(steps.length)}: {steps[done]?.what}
            </Text>
            <Progress value={(100 * done) / steps.length} aria-label="How much is made" />
          </div>
        )}
        {load.error && <ErrorState error={load.error} />}
        <Group justify="flex-end">
          {first && <Curl call={first} then={rest} label="Loading it by curl" />}
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button disabled={!may} loading={load.isPending} onClick={() => load.mutate()} data-autofocus>
            {load.error ? "Go on" : "Load"}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
