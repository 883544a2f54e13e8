import { Alert, Badge, Button, Card, Group, Modal, NativeSelect, SimpleGrid, Stack, Table, Text, Textarea, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { failureOf, must, type Schemas, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { count } from "../common/format";
import { useSay } from "../common/say";
import { ErrorState, Loaded } from "../common/states";
import { Instant } from "../common/Time";
import { useUrl } from "../common/url";
import { blank, Compose, type Draft, messageOf } from "../messages/Compose";
import { before, policyOf, type Subscription, type SubscriptionInput, useLog, useRecent, useSubscriptions, useTopicName } from "./data";

type Test = Schemas["FilterTest"];
type Kept = Schemas["TopicMessage"];
type FilterFailure = Schemas["FilterFailure"];

// Tried is a policy as it stands in its field. It stays when another message is chosen, and the address has it when the field is left.
type Tried = { policy: string; scope: "attributes" | "body" };

// FilterTest says for a message why it does or does not reach each subscription: one of the log, or what is typed. Nothing is published.
export function FilterTest() {
  const topic = useTopicName();
  const [{ m, after, filter = "", state }, setUrl] = useUrl();
  const scope = state === "body" ? "body" : "attributes";
  const [tried, setTried] = useState<Tried>({ policy: filter, scope });
  useEffect(() => setTried({ policy: filter, scope }), [filter, scope]);
  const keep = ({ policy, scope }: Tried) => setUrl({ filter: policy, state: scope === "body" && policy ? scope : undefined }, true);
  const own = { tried, setTried, keep };
  const log = useLog(topic, after, m !== undefined);
  const kept = log.data?.messages.find((x) => x.id === m);
  if (!m) return <Tester key="" topic={topic} {...own} />;
  return (
    <Loaded query={log}>
      {() => (
        <>
          {!kept && <Alert color="gray">The topic keeps {m} no longer. Its attributes and body can be typed.</Alert>}
          <Tester key={m} topic={topic} of={kept} {...own} />
        </>
      )}
    </Loaded>
  );
}

function draftOf(m: Kept): Draft {
  return { ...blank, body: m.body, content_type: m.content_type, group_id: m.group_id ?? "", attributes: Object.entries(m.attributes).map(([name, a]) => ({ name, ...a })) };
}

// Recent picks one of the last messages of the log.
function Recent({ topic, chosen }: { topic: string; chosen?: string }) {
  const [, setUrl] = useUrl();
  const list = useRecent(topic).data ?? [];
  if (list.length === 0) return null;
  return (
    <NativeSelect
      label="One that was published"
      mb="sm"
      value={list.some((m) => m.id === chosen) ? chosen : ""}
      onChange={(e) => {
        const m = list.find((x) => x.id === e.currentTarget.value);
        setUrl(m ? { m: m.id, after: before(m.sequence_number) } : { m: undefined, after: undefined });
      }}
      data={[{ value: "", label: "Another one, typed below" }, ...list.map((m) => ({ value: m.id, label: `${new Date(m.published_at).toLocaleTimeString("sv")}  ${m.body_encoding === "utf8" ? m.body.slice(0, 60) : m.id}` }))]}
    />
  );
}

// Policy is a policy that somebody has typed.
type Policy = { text: string; filter_policy: SubscriptionInput["filter_policy"]; filter_scope: "attributes" | "body" };

// textOf writes a call's body with the policy as it was typed: the server says line and column of what is wrong in it.
const textOf = ({ text, ...rest }: { text: string } & Record<string, unknown>) => `{"filter_policy":${text || "null"}${Object.entries(rest).map(([k, v]) => `,${JSON.stringify(k)}:${JSON.stringify(v)}`).join("")}}`;

// Counts is how many of the last messages a policy would have let through.
function Counts({ topic, policy }: { topic: string; policy: Policy }) {
  const { api, tenant } = useActing();
  const { text, filter_policy, filter_scope } = policy;
  const query = useQuery({
    queryKey: ["filter count", tenant, topic, text, filter_scope],
    retry: false,
    queryFn: () => must(api.POST("/v1/topics/{topic}/filters/count", { params: { path: { topic } }, body: { filter_policy: filter_policy ?? null, filter_scope }, bodySerializer: () => textOf({ text, filter_scope }) })),
  });
  return (
    <Loaded query={query} rows={1}>
      {({ matched, scanned, oldest_at }) => (
        <Alert color="gray" role="status">
          {scanned.messages === 0 ? (
            "The topic keeps no messages over which it could be counted."
          ) : (
            <>
              It would have matched <b>{count(matched)}</b> of the last <b>{count(scanned.messages)}</b>
              {!scanned.complete && " that were looked at: they are large"}, published since <Instant at={oldest_at} />.
            </>
          )}
        </Alert>
      )}
    </Loaded>
  );
}

// Save gives a policy to a subscription.
function Save({ topic, policy, close }: { topic: string; policy: Policy; close: () => void }) {
  const { api, tenant } = useActing();
  const client = useQueryClient();
  const say = useSay();
  const list = useSubscriptions(topic, undefined);
  const own = list.data?.data.filter((s) => !s.topic_subscription) ?? [];
  const [chosen, setChosen] = useState<string>();
  const of = own.find((s) => s.name === (chosen ?? own[0]?.name));
  const { filter_policy, filter_scope } = policy;
  const body = { filter_policy: filter_policy ?? null, filter_scope };
  const write = (name: string, body: Pick<SubscriptionInput, "filter_policy" | "filter_scope">) => must(api.PATCH("/v1/topics/{topic}/subscriptions/{subscription}", { params: { path: { topic, subscription: name } }, body }));
  const reload = () => void client.invalidateQueries({ queryKey: ["subscriptions", tenant, topic] });
  const save = useMutation({
    mutationFn: (s: Subscription) => write(s.name, body),
    onSuccess: (_, s) => {
      reload();
      say(`${s.name} has the policy.`, () => void write(s.name, { filter_policy: s.filter_policy ?? null, filter_scope: s.filter_scope }).then(reload, (e) => say(failureOf(e).message)));
      close();
    },
  });
  return (
    <Modal opened onClose={close} title="Save the policy to a subscription" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          if (of) save.mutate(of);
        }}
      >
        <Loaded query={list} rows={2}>
          {() =>
            of ? (
              <>
                <NativeSelect label="Subscription" data={own.map((s) => s.name)} value={of.name} onChange={(e) => setChosen(e.currentTarget.value)} data-autofocus />
                <Text size="sm">
                  It lets through <span className="mono">{of.filter_policy ? JSON.stringify(of.filter_policy) : "all messages"}</span> now. What is published from then on goes by the new policy: <span className="mono">{filter_policy ? JSON.stringify(filter_policy) : "all messages"}</span>, of the {filter_scope}.
                </Text>
                {save.error && <ErrorState error={save.error} />}
                <Group justify="flex-end">
                  <Curl call={{ method: "PATCH", path: pathOf`/v1/topics/${topic}/subscriptions/${of.name}`, body }} />
                  <Button type="submit" loading={save.isPending}>
                    Save
                  </Button>
                </Group>
              </>
            ) : (
              <Text size="sm">The topic has no subscription of its own.</Text>
            )
          }
        </Loaded>
      </form>
    </Modal>
  );
}

function Tester({ topic, of, tried: { policy, scope }, setTried, keep }: { topic: string; of?: Kept; tried: Tried; setTried: (t: Tried) => void; keep: (t: Tried) => void }) {
  const { api } = useActing();
  const [draft, setDraft] = useState(() => (of ? draftOf(of) : blank));
  const [counted, setCounted] = useState<Policy>();
  const [saves, setSaves] = useState<Policy>();
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
  const own: Policy | undefined = body.filter_policy ? { text: policy, filter_policy: body.filter_policy, filter_scope: scope } : undefined;
  const test = useMutation({ mutationFn: () => must(api.POST("/v1/filters/test", { body, ...(own && { bodySerializer: () => textOf({ text: policy, filter_scope: scope, message }) }) })) });
  const { mutate } = test;
  useEffect(() => {
    if (of) mutate();
  }, [of, mutate]);
  const failure = test.error ? failureOf(test.error) : undefined;
  const result = test.data;
  return (
    <>
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
              <Recent topic={topic} chosen={of?.id} />
              <Compose draft={draft} set={setDraft} fifo={false} topic fault={(p) => failure?.at(p.replace("/messages/0", "/message"))} />
            </Card>
            <Card withBorder>
              <Title order={2} size="h5" mb="sm">
                A policy to try
              </Title>
              <Stack gap="sm">
                <Textarea aria-label="Filter policy" placeholder="Empty: those of the topic's subscriptions, as they are now" value={policy} onChange={(e) => setTried({ policy: e.currentTarget.value, scope })} onBlur={() => keep({ policy, scope })} autosize minRows={3} styles={{ input: { fontFamily: "var(--mono)" } }} error={wrong} spellCheck={false} />
                {policy && <NativeSelect label="It looks at" data={["attributes", "body"]} value={scope} onChange={(e) => {
                      const to: Tried = { policy, scope: e.currentTarget.value === "body" ? "body" : "attributes" };
                      setTried(to);
                      keep(to);
                    }} />}
                {policy && (
                  <Group gap="xs">
                    <Button variant="default" disabled={!own} onClick={() => setCounted(own)}>
                      How many would have matched?
                    </Button>
                    <Button variant="default" disabled={!own} onClick={() => setSaves(own)}>
                      Save to a subscription…
                    </Button>
                    {own && <Curl call={{ method: "POST", path: pathOf`/v1/topics/${topic}/filters/count`, body: { filter_policy: own.filter_policy, filter_scope: scope } }} />}
                  </Group>
                )}
                {counted?.text === policy && counted.filter_scope === scope && <Counts topic={topic} policy={counted} />}
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
      {saves && <Save topic={topic} policy={saves} close={() => setSaves(undefined)} />}
    </>
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
