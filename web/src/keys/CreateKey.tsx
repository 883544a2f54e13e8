import { Button, Checkbox, Group, Modal, NativeSelect, Stack, Textarea, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { Curl } from "../common/Curl";
import { ErrorState } from "../common/states";
import type { CreatedKey, KeyInput, Keyring } from "./data";

// words cuts a list as people write it.
const words = (text: string) => text.split(/[\s,]+/).filter(Boolean);

const roles: Record<Keyring["kind"], { value: string; label: string }[]> = {
  tenant: [
    { value: "developer", label: "developer: everything with queues and topics" },
    { value: "owner", label: "owner: everything, keys too" },
    { value: "operator", label: "operator: looks, pauses, purges, redrives" },
    { value: "viewer", label: "viewer: looks" },
    { value: "viewer_without_bodies", label: "viewer_without_bodies: looks, but not into messages" },
    { value: "messages:send", label: "messages:send: a producer" },
    { value: "messages:consume", label: "messages:consume: a consumer" },
    { value: "", label: "other scopes…" },
  ],
  operator: [
    { value: "*", label: "*: everything" },
    { value: "*:read", label: "*:read: looks" },
    { value: "", label: "other scopes…" },
  ],
};

const lasts: { value: string; label: string }[] = [
  { value: "", label: "until it is revoked" },
  { value: "1", label: "a day" },
  { value: "30", label: "30 days" },
  { value: "90", label: "90 days" },
  { value: "365", label: "a year" },
];

const dayMs = 86_400_000;

export function CreateKey({ ring, close, made }: { ring: Keyring; close: () => void; made: (k: CreatedKey) => void }) {
  const { api } = useActing();
  const choices = roles[ring.kind];
  const [name, setName] = useState("");
  const [role, setRole] = useState(choices[0]?.value ?? "");
  const [scopes, setScopes] = useState("");
  const [queues, setQueues] = useState("");
  const [ips, setIps] = useState("");
  const [days, setDays] = useState("");
  const [aws, setAws] = useState(false);
  const bodyNow = (): KeyInput => {
    const body: KeyInput = { name, scopes: role ? [role] : words(scopes) };
    if (queues) body.queues = words(queues);
    if (ips) body.allowed_ips = words(ips);
    if (days) body.expires_at = new Date(Date.now() + Number(days) * dayMs).toISOString();
    if (aws) body.aws = true;
    return body;
  };
  const create = useMutation({
    mutationFn: () => must(ring.kind === "tenant" ? api.POST("/v1/keys", { body: bodyNow() }) : api.POST("/v1/operator_keys", { body: bodyNow() })),
    onSuccess: made,
  });
  const failure = create.error ? failureOf(create.error) : undefined;
  return (
    <Modal opened onClose={close} title="Create a key" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          create.mutate();
        }}
      >
        <Stack gap="sm">
          <TextInput label="Name" description="For people: which program is it?" value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus error={failure?.at("/name")} />
          <NativeSelect label="It may" data={choices} value={role} onChange={(e) => setRole(e.currentTarget.value)} />
          {role === "" && <Textarea label="Scopes" description="Such as messages:send queues:read" value={scopes} onChange={(e) => setScopes(e.currentTarget.value)} error={failure?.at("/scopes/0") ?? failure?.at("/scopes")} spellCheck={false} />}
          {ring.kind === "tenant" && <TextInput label="On the queues" description="Names, * stands for any text; empty for all" value={queues} onChange={(e) => setQueues(e.currentTarget.value)} error={failure?.at("/queues/0")} spellCheck={false} />}
          <TextInput label="From" description="Addresses and networks; empty for anywhere" value={ips} onChange={(e) => setIps(e.currentTarget.value)} error={failure?.at("/allowed_ips/0")} spellCheck={false} />
          <NativeSelect label="It holds" data={lasts} value={days} onChange={(e) => setDays(e.currentTarget.value)} />
          {ring.kind === "tenant" && <Checkbox label="With an AWS pair, for SQS clients" checked={aws} onChange={(e) => setAws(e.currentTarget.checked)} />}
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "POST", path: ring.path, body: bodyNow() }} />
            <Button type="submit" loading={create.isPending}>
              Create
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
