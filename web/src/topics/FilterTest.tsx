import { Alert, Badge, Button, Card, Group, NativeSelect, SimpleGrid, Stack, Table, Text, Textarea, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { failureOf, must, type Schemas, useActing } from "../api/client";
import { Curl } from "../common/Curl";
import { ErrorState, Loaded } from "../common/states";
import { useUrl } from "../common/url";
import { blank, Compose, type Draft, messageOf } from "../messages/Compose";
import { policyOf, useLog, useTopicName } from "./data";

type Test = Schemas["FilterTest"];
type Kept = Schemas["TopicMessage"];
type FilterFailure = Schemas["FilterFailure"];

// FilterTest says for a message why it does or does not reach each subscription: one of the log, or what is typed. Nothing is published.
export function FilterTest() {
  const topic = useTopicName();
  const [{ m, after }] = useUrl();
  const log = useLog(topic, after, m !== undefined);
  const kept = log.data?.messages.find((x) => x.id === m);
  if (!m) return <Tester key="" topic={topic} />;
  return (
    <Loaded query={log}>
      {() => (
        <>
          {!kept && <Alert color="gray">The topic keeps {m} no longer. Its attributes and body can be typed.</Alert>}
          <Tester key={m} topic={topic} of={kept} />
        </>
      )}
    </Loaded>
  );
}

function draftOf(m: Kept): Draft {
  return { ...blank, body: m.body, content_type: m.content_type, group_id: m.group_id ?? "", attributes: Object.entries(m.attributes).map(([name, a]) => ({ name, ...a })) };
}

function Tester({ topic, of }: { topic: string; of?: Kept }) {
  const { api } = useActing();
  const [draft, setDraft] = useState(() => (of ? draftOf(of) : blank));
  const [policy, setPolicy] = useState("");
  const [scope, setScope] = useState<"attributes" | "body">("attributes");
  // A body that is no text stays as it is while nobody types another one.
  const message = { ...messageOf(draft), ...(of?.body_encoding === "base64" && draft.body === of.body && { body_encoding: of.body_encoding }) };
  let wrong: string | undefined;
  let body: Test = { message, topic };
  try {
    const own = policyOf(policy);
    if (own) body = { message, filter_policy: own, filter_scope: scope };
  } catch (e) {
    wrong = e instanceof Error ? e.message : "is no JSON";
  }
  const test = useMutation({ mutationFn: () => must(api.POST("/v1/filters/test", { body })) });
  const { mutate } = test;
  useEffect(() => {
    if (of) mutate();
  }, [of, mutate]);
  const failure = test.error ? failureOf(test.error) : undefined;
  const result = test.data;
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        test.mutate();
      }}
    >
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Stack>
          <Card withBorder>
            <Title order={2} size="h5" mb="sm">
              The message
            </Title>
            <Compose draft={draft} set={setDraft} fifo={false} topic fault={(p) => failure?.at(p.replace("/messages/0", "/message"))} />
          </Card>
          <Card withBorder>
            <Title order={2} size="h5" mb="sm">
              A policy to try
            </Title>
            <Stack gap="sm">
              <Textarea aria-label="Filter policy" placeholder="Empty: those of the topic's subscriptions, as they are now" value={policy} onChange={(e) => setPolicy(e.currentTarget.value)} autosize minRows={3} styles={{ input: { fontFamily: "var(--mono)" } }} error={wrong} spellCheck={false} />
              {policy && <NativeSelect label="It looks at" data={["attributes", "body"]} value={scope} onChange={(e) => setScope(e.currentTarget.value === "body" ? "body" : "attributes")} />}
            </Stack>
          </Card>
          <Group>
            <Button type="submit" loading={test.isPending} disabled={wrong !== undefined}>
              Would it arrive?
            </Button>
            <Curl call={{ method: "POST", path: "/v1/filters/test", body }} />
          </Group>
        </Stack>
        <Stack aria-live="polite">
          {failure && <ErrorState error={failure} />}
          {!failure && !result && <Text size="sm">Paste the message that somebody misses, with its attributes. Each subscription says whether it would get it, and if not, at which condition it failed and what was there instead.</Text>}
          {result?.subscriptions?.length === 0 && <Alert color="gray">The topic has no subscriptions.</Alert>}
          {result?.subscriptions?.map((s) => (
            <Verdict key={s.name} name={s.name} matched={s.matched} failures={s.failures} />
          ))}
          {result && !result.subscriptions && <Verdict name="This policy" matched={result.matched} failures={result.failures} />}
        </Stack>
      </SimpleGrid>
    </form>
  );
}

function Verdict({ name, matched, failures }: { name: string; matched: boolean; failures: FilterFailure[] }) {
  return (
    <Card withBorder>
      <Group justify="space-between">
        <b>{name}</b>
        <Badge color={matched ? "#1f6b2e" : "red.9"} variant="filled" tt="none">
          {matched ? "✓ arrives" : "✗ does not"}
        </Badge>
      </Group>
      {failures.length > 0 && (
        <Table mt="sm" verticalSpacing={4} aria-label={`Why not ${name}`}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Condition</Table.Th>
              <Table.Th>Wants</Table.Th>
              <Table.Th>Got</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {failures.map((f) => (
              <Table.Tr key={f.path + f.detail}>
                <Table.Td>
                  <code>{f.path || "/"}</code>
                  <div className="quiet">{f.detail}</div>
                </Table.Td>
                <Table.Td className="mono">{f.want !== null && JSON.stringify(f.want)}</Table.Td>
                <Table.Td className="mono">{f.got.length === 0 ? <span className="quiet" style={{ whiteSpace: "nowrap" }}>nothing</span> : f.got.map((g) => JSON.stringify(g)).join(", ")}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </Card>
  );
}
