import { Badge, Button, Group, Menu, Stack } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { must, useActing } from "../api/client";
import { Actions } from "../common/Actions";
import { Curls } from "../common/Curl";
import { pathOf } from "../api/curl";
import { Danger } from "../common/Danger";
import { count, plural } from "../common/format";
import { Pager } from "../common/Page";
import { Rows } from "../common/Rows";
import { useSay } from "../common/say";
import { Empty, Loaded } from "../common/states";
import { useUrl } from "../common/url";
import { ShownSecret } from "../webhooks/Secrets";
import { type Subscription, useSubscriptions, useTopic, useTopicName } from "./data";
import { FanOut } from "./FanOut";
import { Replay } from "./Replay";
import { SubscriptionForm } from "./SubscriptionForm";

const colors = { active: "green", paused: "orange", retrying: "yellow", failing: "yellow", broken: "red", disabled: "red", unverified: "orange" } as const;

// Subscriptions are where a topic's messages go, and what became of them.
export function Subscriptions() {
  const { api, tenant = "" } = useActing();
  const topic = useTopicName();
  const client = useQueryClient();
  const say = useSay();
  const [search, setUrl] = useUrl();
  const list = useSubscriptions(topic, search.cursor);
  const published = useTopic(topic);
  const [edits, setEdits] = useState<Subscription>();
  const [replays, setReplays] = useState<Subscription>();
  const [deletes, setDeletes] = useState<Subscription>();
  const reload = () => void client.invalidateQueries({ queryKey: ["subscriptions", tenant, topic] });
  const [made, setMade] = useState<Subscription>();
  const created = (s: Subscription) => {
    setMade(s);
    reload();
  };
  const turn = async (s: Subscription, pause: boolean) => {
    try {
      const params = { path: { topic, subscription: s.name } };
      await must(pause ? api.POST("/v1/topics/{topic}/subscriptions/{subscription}/pause", { params }) : api.POST("/v1/topics/{topic}/subscriptions/{subscription}/resume", { params }));
      say(pause ? `${s.name} waits. Its messages stay in the log.` : `${s.name} goes on.`, () => void turn(s, !pause));
      reload();
    } catch (e) {
      say(e instanceof Error ? e.message : "That did not work.");
    }
  };
  const subscribe = <Button onClick={() => setUrl({ new: "subscription" })}>Subscribe</Button>;
  return (
    <Stack>
      <Loaded query={list}>
        {({ data, next_cursor }) =>
          data.length === 0 ? (
            <Empty title="Nobody subscribes yet" call={{ method: "PUT", path: pathOf`/v1/topics/${topic}/subscriptions/billing`, body: { queue: "orders" } }} action={subscribe}>
              What is published now reaches nobody. A subscription brings it to a queue, or to an HTTPS endpoint, all of it or what a filter policy lets through:
            </Empty>
          ) : (
            <>
              <Group justify="flex-end">{subscribe}</Group>
              {!search.cursor && <FanOut tenant={tenant} topic={topic} published={published.data?.published ?? 0} list={data} more={next_cursor !== null} />}
              <Rows
                label="Subscriptions"
                rows={data}
                rowKey={(s) => s.name}
                columns={[
                  { title: "Name", wide: true, cell: (s) => (s.topic_subscription ? <Link className="link" to="/t/$tenant/topic-subscriptions" params={{ tenant }} search={{ m: s.topic_subscription }}>{s.name}</Link> : <b>{s.name}</b>) },
                  {
                    title: "State",
                    cell: (s) => (
                      <Badge variant="dot" color={colors[s.state]} tt="none" title={s.last_error ? `${s.last_error.code}: ${s.last_error.detail}` : undefined}>
                        {s.state}
                      </Badge>
                    ),
                  },
                  {
                    title: "To",
                    cell: (s) =>
                      s.queue ? (
                        <Link className="link" data-row to="/t/$tenant/queues/$queue/overview" params={{ tenant, queue: s.queue }}>
                          {s.queue}
                        </Link>
                      ) : s.target_topic ? (
                        <Link className="link" data-row to="/t/$tenant/topics/$topic/subscriptions" params={{ tenant, topic: s.target_topic }}>
                          {s.target_topic}
                        </Link>
                      ) : (
                        <Link className="link mono" data-row to="/t/$tenant/topics/$topic/webhooks/$subscription" params={{ tenant, topic, subscription: s.name }}>
                          {s.endpoint}
                        </Link>
                      ),
                  },
                  { title: "Filter", wide: true, cell: (s) => (s.filter_policy ? <span className="mono one-line" style={{ maxWidth: "18rem" }}>{JSON.stringify(s.filter_policy)}</span> : <span className="quiet">all messages</span>) },
                  { title: "To come", num: true, cell: (s) => count(s.lag) },
                  { title: "Delivered", num: true, cell: (s) => count(s.counts.delivered) },
                  { title: "Filtered out", num: true, cell: (s) => count(s.counts.filtered_out) },
                  { title: "Lost", num: true, cell: (s) => count(s.counts.failed + s.counts.dropped) },
                  {
                    title: "",
                    cell: (s) => (
                      <Group gap="xs" wrap="nowrap" justify="flex-end">
                        <Actions of={s.name}>
                          {!s.topic_subscription && <Menu.Item onClick={() => setEdits(s)}>Edit…</Menu.Item>}
                          <Menu.Item onClick={() => void turn(s, s.state !== "paused")}>{s.state === "paused" ? "Resume" : "Pause"}</Menu.Item>
                          <Menu.Item onClick={() => setReplays(s)}>Replay…</Menu.Item>
                          {!s.topic_subscription && (
                            <Menu.Item color="red" onClick={() => setDeletes(s)}>
                              Delete…
                            </Menu.Item>
                          )}
                        </Actions>
                        <Curls
                          small
                          label={`As curl: ${s.name}`}
                          of={[s.state === "paused" ? ["Resume", { method: "POST", path: pathOf`/v1/topics/${topic}/subscriptions/${s.name}/resume` }] : ["Pause", { method: "POST", path: pathOf`/v1/topics/${topic}/subscriptions/${s.name}/pause` }]]}
                        />
                      </Group>
                    ),
                  },
                ]}
              />
              <Pager next={next_cursor} />
            </>
          )
        }
      </Loaded>
      {search.new === "subscription" && <SubscriptionForm topic={topic} close={() => setUrl({ new: undefined }, true)} done={created} />}
      {made?.secret && <ShownSecret of={made} close={() => setMade(undefined)} />}
      {edits && <SubscriptionForm topic={topic} of={edits} close={() => setEdits(undefined)} done={reload} />}
      {replays && <Replay topic={topic} of={replays} close={() => setReplays(undefined)} />}
      {deletes && (
        <Danger
          title="Delete the subscription"
          verb="Delete"
          name={deletes.name}
          close={() => setDeletes(undefined)}
          call={{ method: "DELETE", path: pathOf`/v1/topics/${topic}/subscriptions/${deletes.name}` }}
          run={async () => {
            await must(api.DELETE("/v1/topics/{topic}/subscriptions/{subscription}", { params: { path: { topic, subscription: deletes.name } } }));
            say(`${deletes.name} was deleted.`);
            reload();
          }}
        >
          {deletes.queue ? "Queue " : deletes.target_topic ? "Topic " : ""}<b>{deletes.queue ?? deletes.target_topic ?? deletes.endpoint}</b> gets no more messages of topic <b>{topic}</b>; {plural(deletes.lag, "message")} would still have come. {deletes.queue || deletes.target_topic ? "What it has got stays there." : "What waits for it, and what failed, is deleted."}
        </Danger>
      )}
    </Stack>
  );
}
