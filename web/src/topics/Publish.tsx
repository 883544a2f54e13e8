import { Alert, Button, Card, Group, Stack } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { useSay } from "../common/say";
import { ErrorState } from "../common/states";
import { blank, Compose, messageOf } from "../messages/Compose";
import { useTopic, useTopicName } from "./data";

// Publish sends one message to every subscription that wants it.
export function Publish() {
  const { api, tenant } = useActing();
  const topic = useTopicName();
  const client = useQueryClient();
  const say = useSay();
  const { data: t } = useTopic(topic);
  const [draft, setDraft] = useState(blank);
  const body = { messages: [messageOf(draft)] };
  const publish = useMutation({
    mutationFn: () => must(api.POST("/v1/topics/{topic}/messages/batch", { params: { path: { topic } }, body })),
    onSuccess: ({ results }) => {
      if (results[0]?.id) say(`Published as ${results[0].id}.`);
      void client.invalidateQueries({ queryKey: ["topic", tenant, topic] });
    },
  });
  const failure = publish.error ? failureOf(publish.error) : undefined;
  const refused = publish.data?.results[0]?.error;
  const fault = (pointer: string) => failure?.at(pointer) ?? refused?.errors.find((e) => e.pointer === pointer || e.pointer === pointer.replace("/messages/0", ""))?.detail;
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        publish.mutate();
      }}
    >
      <Stack>
        <Card withBorder>
          <Compose draft={draft} set={setDraft} fifo={t?.type === "fifo"} topic fault={fault} />
        </Card>
        {failure && <ErrorState error={failure} />}
        {refused && (
          <Alert color="red" title={refused.title}>
            {refused.detail} {refused.fix}
          </Alert>
        )}
        <Group>
          <Button type="submit" loading={publish.isPending}>
            Publish
          </Button>
          <Curl call={{ method: "POST", path: pathOf`/v1/topics/${topic}/messages/batch`, body, headers: { "Content-Type": "application/json" } }} />
        </Group>
      </Stack>
    </form>
  );
}
