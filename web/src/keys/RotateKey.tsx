import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { spoken } from "../common/format";
import { Curl } from "../common/Curl";
import { ErrorState } from "../common/states";
import type { CreatedKey, Key, Keyring } from "./data";

// RotateKey makes a key in the place of another, which goes on for a while.
export function RotateKey({ ring, of, close, made }: { ring: Keyring; of: Key; close: () => void; made: (k: CreatedKey) => void }) {
  const { api } = useActing();
  const [grace, setGrace] = useState("1d");
  const body = { grace_period: (spoken(grace) ?? 0) as number }; // text such as 1d too
  const params = { path: { id: of.id } };
  const rotate = useMutation({
    mutationFn: () => must(ring.kind === "tenant" ? api.POST("/v1/keys/{id}/rotate", { params, body }) : api.POST("/v1/operator_keys/{id}/rotate", { params, body })),
    onSuccess: made,
  });
  const failure = rotate.error ? failureOf(rotate.error) : undefined;
  return (
    <Modal opened onClose={close} title={`Rotate ${of.name || of.id}`} closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          rotate.mutate();
        }}
      >
        <Stack>
          <Text size="sm">You get a new key that may the same. The old one goes on for a while, so that no program stands still.</Text>
          <TextInput label="The old key goes on for" description="0 for not at all, 1h, 1d, 7d" value={grace} onChange={(e) => setGrace(e.currentTarget.value)} error={failure?.at("/grace_period")} data-autofocus />
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "POST", path: `${ring.path}/${of.id}/rotate`, body }} />
            <Button type="submit" loading={rotate.isPending}>
              Rotate
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
