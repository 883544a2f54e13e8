import { Alert, Button, Card, Group, Modal, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must, type Schemas, useActing } from "../api/client";
import { Command, Curl } from "../common/Curl";
import { spoken } from "../common/format";
import { ErrorState } from "../common/states";
import { Ago } from "../common/Time";
import { type Place, pathOfWebhook, type Subscription } from "./data";
import { SecretType, type Type } from "./SecretType";
import { Verify } from "./Verify";

// ShownSecret is what a new webhook signs with.
export function ShownSecret({ of: s, close }: { of: Pick<Subscription, "name" | "secret" | "public_key">; close: () => void }) {
  return (
    <Modal opened onClose={close} title={`The secret of ${s.name}`} size="lg" closeButtonProps={{ "aria-label": "Close" }}>
      <Stack>
        {s.public_key ? (
          <>
            <Text size="sm">Each request is signed with a private key, as Standard Webhooks says. To know that a request is yours the endpoint needs the public one:</Text>
            <Command text={s.public_key} />
          </>
        ) : (
          <>
            <Text size="sm">Each request is signed with it, as Standard Webhooks says. The endpoint needs it to know that a request is yours.</Text>
            <Command text={s.secret ?? ""} />
          </>
        )}
        <Verify type={s.public_key ? "ed25519" : "hmac"} />
        <Group justify="flex-end">
          <Button onClick={close}>Done</Button>
        </Group>
      </Stack>
    </Modal>
  );
}

// Rotation is how to rotate them.
export type Rotation = { grace_period: number; secret_type?: Type };

// Source is whose secrets they are.
export type Source = {
  path: string;
  read: () => Promise<Schemas["WebhookSecrets"]>;
  rotate?: (body: Rotation) => Promise<Schemas["WebhookSecrets"]>; // undefined: they are rotated elsewhere
};

// useWebhookSecrets are those of one webhook. One that stems from a topic subscription signs with what that says.
export function useWebhookSecrets(place: Place, owned: boolean): Source {
  const { api } = useActing();
  const params = { path: place };
  return {
    path: pathOfWebhook(place),
    read: () => must(api.GET("/v1/topics/{topic}/subscriptions/{subscription}/secret", { params })),
    rotate: owned ? undefined : (body) => must(api.POST("/v1/topics/{topic}/subscriptions/{subscription}/rotate_secret", { params, body })),
  };
}

// Secrets are shown when somebody asks for them, which the audit log keeps, and not before.
export function Secrets({ of }: { of: Source }) {
  const [shown, setShown] = useState<Schemas["WebhookSecrets"]>();
  const [rotates, setRotates] = useState(false);
  const reveal = useMutation({ mutationFn: of.read, onSuccess: setShown });
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h5">
          Secret
        </Title>
        <Group gap="xs">
          <Curl call={{ method: "GET", path: `${of.path}/secret` }} />
          {shown ? (
            <Button variant="default" size="compact-sm" onClick={() => setShown(undefined)}>
              Hide
            </Button>
          ) : (
            <Button variant="default" size="compact-sm" loading={reveal.isPending} onClick={() => reveal.mutate()}>
              Reveal
            </Button>
          )}
          {of.rotate && (
            <Button variant="default" size="compact-sm" onClick={() => setRotates(true)}>
              Rotate…
            </Button>
          )}
        </Group>
      </Group>
      {reveal.error && <ErrorState error={reveal.error} />}
      {!shown && <Text size="sm">Requests are signed with it.</Text>}
      {shown?.secrets.map((s) => (
        <div key={s.secret} style={{ marginBottom: 8 }}>
          <Text size="sm" mb={4}>
            {s.expires_at ? (
              <>
                Signs beside the newer one; ends <Ago at={s.expires_at} />
              </>
            ) : (
              <>
                The newest, made <Ago at={s.created_at} />
              </>
            )}
          </Text>
          {s.public_key && (
            <>
              <Command text={s.public_key} />
              <Text size="sm" my={4}>
                That is the public key, for the endpoint. The private one:
              </Text>
            </>
          )}
          <Command text={s.secret} />
        </div>
      ))}
      {shown?.secrets[0] && <Verify type={shown.secrets[0].type} />}
      {rotates && of.rotate && (
        <Rotate
          path={of.path}
          run={of.rotate}
          close={() => setRotates(false)}
          done={(s) => {
            setRotates(false);
            setShown(s);
          }}
        />
      )}
    </Card>
  );
}

function Rotate({ path, run, close, done }: { path: string; run: NonNullable<Source["rotate"]>; close: () => void; done: (s: Schemas["WebhookSecrets"]) => void }) {
  const [grace, setGrace] = useState("1d");
  const [type, setType] = useState<Type>();
  const body = { grace_period: (spoken(grace) ?? 0) as number, ...(type && { secret_type: type }) }; // text such as 1d too
  const rotate = useMutation({ mutationFn: () => run(body), onSuccess: done });
  const failure = rotate.error ? failureOf(rotate.error) : undefined;
  return (
    <Modal opened onClose={close} title="Rotate the secret" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          rotate.mutate();
        }}
      >
        <Stack>
          <Text size="sm">The new one signs at once, and the old one beside it for a while: give the endpoint the new one in that time.</Text>
          {grace.trim() === "0" && <Alert color="orange">Requests that only the old secret verifies are refused by the endpoint from now on.</Alert>}
          <TextInput label="The old secret goes on for" description="0 for not at all, 1h, 1d, 7d" value={grace} onChange={(e) => setGrace(e.currentTarget.value)} error={failure?.at("/grace_period")} data-autofocus />
          <SecretType value={type} first="what is like the one before" set={setType} />
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "POST", path: `${path}/rotate_secret`, body }} />
            <Button type="submit" loading={rotate.isPending}>
              Rotate
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
