import { Alert, Badge, Button, Drawer, Group, Modal, SegmentedControl, Stack, Text, Textarea, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { failureOf, must, type Schemas, useActing } from "../api/client";
import { pathOf, unchanged } from "../api/curl";
import { Curl } from "../common/Curl";
import { Danger } from "../common/Danger";
import { count, plural } from "../common/format";
import { Facts, Page, Pager, SearchField } from "../common/Page";
import { useLive } from "../common/prefs";
import { Rows } from "../common/Rows";
import { useSay } from "../common/say";
import { Empty, ErrorState, Loaded, NoMatch } from "../common/states";
import { Instant } from "../common/Time";
import { useUrl } from "../common/url";
import { type Rotation, Secrets, ShownSecret } from "../webhooks/Secrets";
import { policyOf } from "./data";

type TopicSubscription = Schemas["TopicSubscription"];
type Input = Schemas["TopicSubscriptionInput"];

const list = "/v1/topic_subscriptions";
const pathTo = (name: string) => pathOf`/v1/topic_subscriptions/${name}`;
const colors = { active: "green", applying: "yellow", deleting: "orange", broken: "red" } as const;

// Patterns are subscriptions to all topics whose names match.
export function Patterns() {
  const { api, tenant = "" } = useActing();
  const client = useQueryClient();
  const [search, setUrl] = useUrl();
  const q = search.q ?? "";
  const [made, setMade] = useState<TopicSubscription>();
  const query = useQuery({
    queryKey: ["topic subscriptions", tenant, q, search.cursor],
    refetchInterval: useLive(3000),
    queryFn: () => must(api.GET(list, { params: { query: { prefix: q, cursor: search.cursor, limit: 50 } } })),
  });
  const create = <Button onClick={() => setUrl({ new: "pattern" })}>Subscribe to a pattern</Button>;
  return (
    <Page
      title="Patterns"
      trail={
        <Link className="link" to="/t/$tenant/topics" params={{ tenant }}>
          Topics
        </Link>
      }
      actions={
        <>
          {create}
          <Curl call={{ method: "GET", path: list }} />
        </>
      }
    >
      <SearchField name="q" label="Names that begin with" placeholder="Names that begin with…  ( / )" />
      <Loaded query={query} rows={6}>
        {({ data, next_cursor }) => {
          if (data.length === 0 && q) return <NoMatch what={<>the prefix “{q}”</>} clear={() => setUrl({ q: undefined, cursor: undefined })} />;
          if (data.length === 0) {
            return (
              <Empty title="No patterns yet" call={{ method: "PUT", path: pathTo("audit"), body: { pattern: "orders.#", queue: "audit" } }} action={create}>
                A pattern subscribes a queue, a topic or an endpoint to every topic whose name matches it, also to those that come later:
              </Empty>
            );
          }
          return (
            <>
              <Rows
                label="Patterns"
                rows={data}
                rowKey={(s) => s.name}
                columns={[
                  {
                    title: "Name",
                    wide: true,
                    cell: (s) => (
                      <a
                        className="link"
                        data-row
                        href={`?m=${s.name}`}
                        onClick={(e) => {
                          e.preventDefault();
                          setUrl({ m: s.name });
                        }}
                      >
                        {s.name}
                      </a>
                    ),
                  },
                  { title: "Pattern", cell: (s) => <code>{s.pattern}</code> },
                  { title: "State", cell: (s) => <State of={s} /> },
                  { title: "To", wide: true, cell: (s) => (s.state === "broken" ? null : <Target of={s} tenant={tenant} />) },
                  { title: "Filter", wide: true, cell: (s) => (s.state === "broken" ? null : s.filter_policy ? <span className="mono one-line" style={{ maxWidth: "18rem" }}>{JSON.stringify(s.filter_policy)}</span> : <span className="quiet">all messages</span>) },
                  { title: "Could not follow", num: true, cell: (s) => count(s.failed_topics) },
                ]}
              />
              <Pager next={next_cursor} />
            </>
          );
        }}
      </Loaded>
      {search.new === "pattern" && (
        <Create
          close={() => setUrl({ new: undefined }, true)}
          done={(s) => {
            setMade(s);
            void client.invalidateQueries({ queryKey: ["topic subscriptions"] });
          }}
        />
      )}
      {made?.secret && <ShownSecret of={made} close={() => setMade(undefined)} />}
      {search.m && <One key={search.m} name={search.m} close={() => setUrl({ m: undefined })} />}
    </Page>
  );
}

function State({ of: s }: { of: TopicSubscription }) {
  return (
    <Badge variant="dot" color={colors[s.state]} tt="none">
      {s.state}
    </Badge>
  );
}

function Target({ of: s, tenant }: { of: TopicSubscription; tenant: string }) {
  if (s.queue) {
    return (
      <Link className="link" to="/t/$tenant/queues/$queue/overview" params={{ tenant, queue: s.queue }}>
        {s.queue}
      </Link>
    );
  }
  if (s.target_topic) {
    return (
      <Link className="link" to="/t/$tenant/topics/$topic/subscriptions" params={{ tenant, topic: s.target_topic }}>
        {s.target_topic}
      </Link>
    );
  }
  return <span className="mono">{s.endpoint}</span>;
}

// One is a pattern: which topics it holds, what they could not follow, and what its webhooks sign with.
function One({ name, close }: { name: string; close: () => void }) {
  const { api, tenant = "" } = useActing();
  const client = useQueryClient();
  const say = useSay();
  const [deletes, setDeletes] = useState(false);
  const params = { path: { topic_subscription: name } };
  const path = pathTo(name);
  const query = useQuery({
    queryKey: ["topic subscription", tenant, name],
    refetchInterval: useLive(2000),
    queryFn: () => must(api.GET("/v1/topic_subscriptions/{topic_subscription}", { params })),
  });
  const secrets = {
    path,
    read: () => must(api.GET("/v1/topic_subscriptions/{topic_subscription}/secret", { params })),
    rotate: (body: Rotation) => must(api.POST("/v1/topic_subscriptions/{topic_subscription}/rotate_secret", { params, body })),
  };
  return (
    <Drawer opened onClose={close} position="right" size="lg" title={name} closeButtonProps={{ "aria-label": "Close" }}>
      <Loaded query={query}>
        {(s) => (
          <Stack>
            <Group>
              <Button variant="default" c="red" disabled={s.state === "deleting"} onClick={() => setDeletes(true)}>
                Delete…
              </Button>
              <Curl call={{ method: "GET", path }} />
            </Group>
            {s.state === "broken" ? (
              <Alert color="red" title="What is stored of it cannot be read">
                Topics keep the subscription that they have of it, and those to come get none. Delete it, which ends those, and make it again.
              </Alert>
            ) : (
              <>
                <Facts
                  of={[
                    ["Pattern", <code key="p">{s.pattern}</code>],
                    ["State", <State key="s" of={s} />],
                    ["To", <Target key="t" of={s} tenant={tenant} />],
                    ["Filter", s.filter_policy ? <span key="f" className="mono">{JSON.stringify(s.filter_policy)}</span> : "all messages"],
                    ["Dead letters", s.dead_letter_queue ?? "none"],
                    ["Changed", <Instant key="u" at={s.updated_at} />],
                  ]}
                />
                {s.failed_topics > 0 && (
                  <Alert color="orange" title={`${plural(s.failed_topics, "topic")} could not follow`}>
                    {s.failures.map((f) => (
                      <div key={f.topic}>
                        <b>{f.topic}</b>: {f.detail} <code>{f.code}</code>
                      </div>
                    ))}
                  </Alert>
                )}
                {s.protocol === "webhook" && <Secrets of={secrets} />}
                <Holds name={name} webhook={s.protocol === "webhook"} />
              </>
            )}
            {deletes && (
              <Danger
                title="Delete the pattern"
                verb="Delete"
                name={name}
                close={() => setDeletes(false)}
                call={{ method: "DELETE", path }}
                run={async () => {
                  await must(api.DELETE("/v1/topic_subscriptions/{topic_subscription}", { params }));
                  say(`${name} is being deleted.`);
                  void client.invalidateQueries({ queryKey: ["topic subscriptions"] });
                  close();
                }}
              >
                All topics {s.state === "broken" ? "that have it" : <>that match <code>{s.pattern}</code></>} lose the subscription <b>pattern.{name}</b> of tenant <b>{tenant}</b>, and what has not arrived yet with it.
              </Danger>
            )}
          </Stack>
        )}
      </Loaded>
    </Drawer>
  );
}

const held = 100; // topics, of at most 10,000

// Holds lists topics whose names match.
function Holds({ name, webhook }: { name: string; webhook: boolean }) {
  const { api, tenant = "" } = useActing();
  const query = useQuery({
    queryKey: ["matching topics", tenant, name],
    refetchInterval: useLive(10_000),
    queryFn: () => must(api.GET("/v1/topic_subscriptions/{topic_subscription}/topics", { params: { path: { topic_subscription: name }, query: { limit: held } } })),
  });
  return (
    <div>
      <Group justify="space-between" mb="xs">
        <Title order={2} size="h5">
          Topics that match
        </Title>
        <Curl call={{ method: "GET", path: `${pathTo(name)}/topics` }} />
      </Group>
      <Loaded query={query} rows={3}>
        {({ data, next_cursor }) =>
          data.length === 0 ? (
            <Text size="sm">None yet. One that is made is subscribed before anybody can publish to it.</Text>
          ) : (
            <>
              <Rows
                label="Topics that match"
                rows={data}
                rowKey={(t) => t.topic}
                columns={[
                  {
                    title: "Topic",
                    wide: true,
                    cell: (t) => (
                      <Link className="link" to="/t/$tenant/topics/$topic/subscriptions" params={{ tenant, topic: t.topic }}>
                        {t.topic}
                      </Link>
                    ),
                  },
                  {
                    title: "Subscription",
                    wide: true,
                    cell: (t) =>
                      webhook ? (
                        <Link className="link" to="/t/$tenant/topics/$topic/webhooks/$subscription" params={{ tenant, topic: t.topic, subscription: t.subscription }}>
                          {t.subscription}
                        </Link>
                      ) : (
                        t.subscription
                      ),
                  },
                ]}
              />
              {next_cursor && <Text size="sm">These are the first {held}, and there are more.</Text>}
            </>
          )
        }
      </Loaded>
    </div>
  );
}

const targets = [
  { value: "queue", label: "To a queue" },
  { value: "endpoint", label: "To a webhook" },
  { value: "target_topic", label: "To a topic" },
] as const;

// Create subscribes to a pattern.
function Create({ close, done }: { close: () => void; done: (made: TopicSubscription) => void }) {
  const { api } = useActing();
  const [name, setName] = useState("");
  const [pattern, setPattern] = useState("");
  const [to, setTo] = useState<(typeof targets)[number]["value"]>("queue");
  const [target, setTarget] = useState("");
  const [policy, setPolicy] = useState("");
  let wrong: string | undefined;
  let body: Input = { pattern, [to]: target.trim() };
  try {
    body = { ...body, filter_policy: policyOf(policy) };
  } catch (e) {
    wrong = e instanceof Error ? e.message : "is no JSON";
  }
  const save = useMutation({
    mutationFn: () => must(api.PUT("/v1/topic_subscriptions/{topic_subscription}", { params: { path: { topic_subscription: name }, header: { "If-None-Match": "*" } }, body })),
    onSuccess: (made) => {
      done(made);
      close();
    },
  });
  const failure = save.error ? failureOf(save.error) : undefined;
  return (
    <Modal opened onClose={close} title="Subscribe to a pattern" size="lg" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          save.mutate();
        }}
      >
        <Stack gap="sm">
          <TextInput label="Name" value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus required spellCheck={false} autoComplete="off" />
          <TextInput label="Pattern" description="* is any one segment between dots, # at the end any number: orders.*.created, orders.#" value={pattern} onChange={(e) => setPattern(e.currentTarget.value)} required error={failure?.at("/pattern")} spellCheck={false} autoComplete="off" />
          <SegmentedControl aria-label="Where messages go" value={to} onChange={(v) => setTo(targets.find((t) => t.value === v)?.value ?? "queue")} data={[...targets]} />
          <TextInput
            label={{ queue: "Queue", endpoint: "Endpoint", target_topic: "Topic" }[to]}
            placeholder={to === "endpoint" ? "https://example.com/hooks" : undefined}
            value={target}
            onChange={(e) => setTarget(e.currentTarget.value)}
            required
            error={failure?.at(`/${to}`)}
            spellCheck={false}
            autoComplete="off"
          />
          <Textarea label="Filter policy" description="Which messages arrive, by their attributes. Empty for all." value={policy} onChange={(e) => setPolicy(e.currentTarget.value)} autosize minRows={2} maxRows={10} styles={{ input: { fontFamily: "var(--mono)" } }} spellCheck={false} error={wrong} />
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "PUT", path: pathTo(name || "NAME"), body, headers: unchanged() }} />
            <Button type="submit" loading={save.isPending} disabled={!name || !pattern || !target || wrong !== undefined}>
              Subscribe
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
