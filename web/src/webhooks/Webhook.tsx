import { Alert, Badge, Button, Card, Group, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { must, useActing } from "../api/client";
import { Curls } from "../common/Curl";
import { Danger } from "../common/Danger";
import { bytes, count, duration, plural } from "../common/format";
import { Facts, Page } from "../common/Page";
import { Rows } from "../common/Rows";
import { useSay } from "../common/say";
import { ErrorState, Loaded } from "../common/states";
import { Ago, Instant, useNow } from "../common/Time";
import { Number } from "../queues/Overview";
import { Replay } from "../topics/Replay";
import { SubscriptionForm } from "../topics/SubscriptionForm";
import { Answers } from "./Answers";
import { Deliveries } from "./Deliveries";
import { type Delivery, type Gap, gateInWords, inMillis, inWords, pathOfWebhook, type Place, type Subscription, useLastAttempts, useWebhook } from "./data";
import { type Health as Sum, healthOf } from "./health";
import { Secrets, useWebhookSecrets } from "./Secrets";

const colors = { open: "green", throttled: "yellow", tripped: "red", probing: "yellow", paused: "orange", disabled: "red", unverified: "orange" } as const;

// tried says what came of a test event or a challenge.
function tried(d: Delivery): string {
  if (d.status === "challenge") return d.error ? "The endpoint is not verified" : "The endpoint has answered";
  return d.error ? "The test event did not arrive" : "The test event has arrived";
}

type Turn = "pause" | "resume" | "enable" | "disable";

const undoes = { pause: "resume", resume: "pause", disable: "enable", enable: "disable" } as const;
const said = { pause: "waits", resume: "goes on", disable: "is disabled", enable: "is sent to again" };

// Webhook is a subscription that sends to an endpoint: how that one fares, and what came of each attempt.
export function Webhook() {
  const { api, tenant = "" } = useActing();
  const { topic = "", subscription = "" } = useParams({ strict: false });
  const place = { topic, subscription };
  const query = useWebhook(place);
  const client = useQueryClient();
  const navigate = useNavigate();
  const say = useSay();
  const [asks, setAsks] = useState<"edit" | "delete" | "replay" | "missing">();
  const params = { path: place };
  const path = pathOfWebhook(place);
  const keep = (s: Subscription) => client.setQueryData(["webhook", tenant, place], s);
  const turn = useMutation({
    mutationFn: (to: Turn) =>
      must(
        to === "pause"
          ? api.POST("/v1/topics/{topic}/subscriptions/{subscription}/pause", { params })
          : to === "resume"
            ? api.POST("/v1/topics/{topic}/subscriptions/{subscription}/resume", { params })
            : to === "enable"
              ? api.POST("/v1/topics/{topic}/subscriptions/{subscription}/enable", { params })
              : api.POST("/v1/topics/{topic}/subscriptions/{subscription}/disable", { params }),
      ),
    onSuccess: (s, to) => {
      keep(s);
      say(`${subscription} ${said[to]}.`, () => turn.mutate(undoes[to]));
    },
  });
  const test = useMutation({
    mutationFn: () => must(unverified ? api.POST("/v1/topics/{topic}/subscriptions/{subscription}/confirm", { params }) : api.POST("/v1/topics/{topic}/subscriptions/{subscription}/test", { params })),
    onSettled: () => {
      void client.invalidateQueries({ queryKey: ["deliveries"] });
      void client.invalidateQueries({ queryKey: ["webhook", tenant, place] });
    },
  });
  const s = query.data;
  const unverified = s?.delivery?.gate === "unverified";
  const owner = s?.topic_subscription;
  const secrets = useWebhookSecrets(place, owner !== undefined && owner !== null);
  return (
    <Page
      title={subscription}
      trail={
        <>
          <Link className="link" to="/t/$tenant/topics" params={{ tenant }}>
            Topics
          </Link>{" "}
          ›{" "}
          <Link className="link" to="/t/$tenant/topics/$topic/subscriptions" params={{ tenant, topic }}>
            {topic}
          </Link>
        </>
      }
      badges={
        s?.delivery && (
          <Badge variant="dot" color={colors[s.delivery.gate]} tt="none">
            {s.delivery.gate}
          </Badge>
        )
      }
      actions={
        s?.delivery && (
          <>
            <Button loading={test.isPending} onClick={() => test.mutate()}>
              {unverified ? "Challenge it now" : "Send a test event"}
            </Button>
            <Button variant="default" loading={turn.isPending} onClick={() => turn.mutate(s.paused_at ? "resume" : "pause")}>
              {s.paused_at ? "Resume" : "Pause"}
            </Button>
            <Button variant="default" loading={turn.isPending} onClick={() => turn.mutate(s.delivery?.disabled_at ? "enable" : "disable")}>
              {s.delivery.disabled_at ? "Enable" : "Disable"}
            </Button>
            {!owner && (
              <Button variant="default" onClick={() => setAsks("edit")}>
                Edit…
              </Button>
            )}
            <Button variant="default" onClick={() => setAsks("replay")}>
              Replay…
            </Button>
            {!owner && (
              <Button variant="default" c="red" onClick={() => setAsks("delete")}>
                Delete…
              </Button>
            )}
            <Curls
              of={[
                unverified ? ["Challenge it now", { method: "POST", path: `${path}/confirm` }] : ["Send a test event", { method: "POST", path: `${path}/test` }],
                s.paused_at ? ["Resume", { method: "POST", path: `${path}/resume` }] : ["Pause", { method: "POST", path: `${path}/pause` }],
                s.delivery.disabled_at ? ["Enable", { method: "POST", path: `${path}/enable` }] : ["Disable", { method: "POST", path: `${path}/disable` }],
              ]}
            />
          </>
        )
      }
    >
      {owner && (
        <Alert color="gray">
          It stems from the topic subscription{" "}
          <Link className="link" to="/t/$tenant/topic-subscriptions" params={{ tenant }} search={{ m: owner }}>
            {owner}
          </Link>
          , and is changed, ended and given another secret there, for all topics that match.
        </Alert>
      )}
      {turn.error && <ErrorState error={turn.error} />}
      {test.error && <ErrorState error={test.error} />}
      {test.data && (
        <Alert color={test.data.error ? "red" : "green"} title={tried(test.data)} withCloseButton closeButtonLabel="Close" onClose={() => test.reset()} role="status">
          {inWords(test.data)}
        </Alert>
      )}
      <Loaded query={query}>
        {(s) =>
          s.delivery ? (
            <>
              <Health of={s} />
              <LastAttempts place={place} />
              {s.delivery.gaps.length > 0 && <Gaps of={s.delivery.gaps} bring={() => setAsks("missing")} />}
              <SimpleGrid cols={{ base: 1, md: 2 }}>
                <Settings of={s} />
                <Secrets of={secrets} />
              </SimpleGrid>
              <Deliveries place={place} of={s} />
              {asks === "edit" && <SubscriptionForm topic={topic} of={s} close={() => setAsks(undefined)} done={keep} />}
              {(asks === "replay" || asks === "missing") && <Replay topic={topic} of={s} what={asks === "missing" ? asks : "all"} close={() => setAsks(undefined)} />}
            </>
          ) : (
            <Text size="sm">This subscription leads to a queue, not to an endpoint.</Text>
          )
        }
      </Loaded>
      {s && asks === "delete" && (
        <Danger
          title="Delete the webhook"
          verb="Delete"
          name={subscription}
          close={() => setAsks(undefined)}
          call={{ method: "DELETE", path }}
          run={async () => {
            await must(api.DELETE("/v1/topics/{topic}/subscriptions/{subscription}", { params }));
            say(`${subscription} was deleted.`);
            await navigate({ to: "/t/$tenant/topics/$topic/subscriptions", params: { tenant, topic } });
          }}
        >
          <b>{s.endpoint}</b> gets no more messages of topic <b>{topic}</b> of tenant <b>{tenant}</b>. With it go {plural(s.delivery?.pending ?? 0, "message")} that {s.delivery?.pending === 1 ? "waits" : "wait"}, {count(s.delivery?.failed ?? 0)} that failed, and its
          secret.
        </Danger>
      )}
    </Page>
  );
}

// Health is how the endpoint fares.
function Health({ of: s }: { of: Subscription }) {
  const now = useNow();
  const d = s.delivery;
  if (!d) return null;
  return (
    <Stack gap="sm">
      {(d.gate !== "open" || s.last_error) && (
        <Alert color="orange" title={d.gate === "open" ? "Not all that is published comes here" : gateInWords(d.gate, d.until ? (Date.parse(d.until) - now) / 1000 : undefined)}>
          {d.disabled_reason && `Why: ${d.disabled_reason.replaceAll("_", " ")}. `}
          {d.missed > 0 && `${plural(d.missed, "message")} were published in the meantime and dropped; a replay brings them while the topic keeps them. `}
          {s.last_error && (
            <>
              Last error: {s.last_error.detail} (<Ago at={s.last_error.at} />)
            </>
          )}
        </Alert>
      )}
      <SimpleGrid cols={{ base: 2, sm: 4 }}>
        <Number label="Delivered" value={count(s.counts.delivered)} to={d.last_success_at ? <>last <Ago at={d.last_success_at} /></> : "none yet"} />
        <Number label="Waiting" value={count(d.pending)} to={d.next_attempt_at ? <>next attempt <Ago at={d.next_attempt_at} /></> : `${count(s.lag)} still in the log`} />
        <Number label="Failed for good" value={count(d.failed)} to={d.overflowed > 0 ? `${count(d.overflowed)} more were dropped, because it was full` : "kept for 14 days"} />
        <Number label="Failures in a row" value={count(d.consecutive_failures)} to={d.failing_since ? <>the first <Ago at={d.failing_since} /></> : `${count(d.attempts)} attempts in all`} />
      </SimpleGrid>
    </Stack>
  );
}

// LastAttempts is how many of the last attempts arrived, how long they took, and what was answered when.
function LastAttempts({ place }: { place: Place }) {
  return (
    <Loaded query={useLastAttempts(place)} rows={7}>
      {({ data }) => (
        <>
          <Shares of={healthOf(data)} />
          <Answers of={data} />
        </>
      )}
    </Loaded>
  );
}

function Shares({ of: h }: { of: Sum | null }) {
  if (!h) return null;
  const share = (100 * h.delivered) / h.attempts;
  return (
    <SimpleGrid cols={{ base: 2, sm: 4 }}>
      <Number label={`Arrived, of the last ${plural(h.attempts, "attempt")}`} value={`${Math.floor(share)} %`} to={`${count(h.attempts - h.delivered)} failed`} />
      <Number label="Half took at most" value={inMillis(h.median)} />
      <Number label="95 % took at most" value={inMillis(h.p95)} />
      <Number label="Answers" value={h.classes.map(([name]) => name).join(", ")} to={h.classes.map(([name, n]) => `${count(n)} ${name}`).join(", ")} />
    </SimpleGrid>
  );
}

const gapsShown = 5; // of at most 64

// Gaps are the parts of the topic's log of which nothing was tried.
function Gaps({ of, bring }: { of: Gap[]; bring: () => void }) {
  const more = of.slice(gapsShown);
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h5">
          Never tried
        </Title>
        <Button variant="default" size="compact-sm" onClick={bring}>
          Bring them…
        </Button>
      </Group>
      <Text size="sm" mb="xs">
        The endpoint was disabled, or too much waited for it. The topic keeps these messages, and a replay brings them.
      </Text>
      <Rows
        label="Never tried"
        rows={of.slice(0, gapsShown)}
        rowKey={(g) => g.first}
        columns={[
          { title: "Published from", cell: (g) => <Instant at={g.first_at} /> },
          { title: "To", cell: (g) => <Instant at={g.last_at} /> },
          { title: "Messages", num: true, cell: (g) => count(g.count) },
          { title: "Sequence numbers", wide: true, cell: (g) => <span className="mono">{g.first === g.last ? g.first : `${g.first} – ${g.last}`}</span> },
        ]}
      />
      {more.length > 0 && (
        <Text size="sm" mt="xs">
          And {plural(more.length, "gap")} more, with {plural(more.reduce((n, g) => n + g.count, 0), "message")}.
        </Text>
      )}
    </Card>
  );
}

function Settings({ of: s }: { of: Subscription }) {
  return (
    <Card withBorder>
      <Title order={2} size="h5" mb="sm">
        How it works now
      </Title>
      <Facts
        of={[
          ["Endpoint", <span key="e" className="mono">{s.endpoint}</span>],
          ["Messages arrive", { raw: "as they were published", envelope: "in a JSON envelope", sns: "as SNS writes them", cloudevents_binary: "as CloudEvents, in headers", cloudevents_structured: "as CloudEvents, in one JSON object", cloudevents_batch: "as CloudEvents, in a list" }[s.format]],
          ["In one request", s.batch ? `up to ${plural(s.batch.max_messages ?? 0, "message")} of ${bytes(s.batch.max_bytes ?? 0)}, which wait for others for ${duration(s.batch.max_wait ?? 0)}` : "one message"],
          ["Filter", s.filter_policy ? <span key="f" className="mono">{JSON.stringify(s.filter_policy)}</span> : "all messages"],
          ["An attempt may take", duration(s.timeout ?? 0)],
          ["At the same time", plural(s.max_in_flight ?? 0, "attempt")],
          ["In a second", s.max_rate ? `at most ${plural(s.max_rate, "request")}` : "as many requests as there are"],
          ["When it is full", { dlq: s.dead_letter_queue ? "what comes goes to the dead-letter queue" : "what comes is dropped", drop_oldest: "the oldest is dropped", reject_publish: "publishes are refused" }[s.overflow ?? "dlq"]],
          ["Headers", Object.keys(s.headers ?? {}).join(", ") || "none but ours"],
          ["Credential", s.auth ? { basic: `user ${s.auth.username ?? ""} and a password`, bearer: "a token", oauth2: `a token from ${s.auth.token_url ?? ""}` }[s.auth.type] : "none but the signature"],
          ["Certificate", s.tls?.client_certificate ? <>its own, ends <Ago at={s.tls.client_certificate_expires_at ?? ""} /></> : "none"],
          ["Verified by", { none: "nothing", challenge: "repeating a challenge", cloudevents: "answering OPTIONS", sns: "visiting the SubscribeURL of SNS" }[s.verification ?? "none"]],
          ["Tried again after", s.delivery_policy ? "as the delivery policies of SNS say" : s.retry_schedule?.map(duration).join(", ") || "never"],
          ["Not tried again after", s.terminal_statuses ? s.terminal_statuses.join(", ") || "no status" : "as SNS says"],
        ]}
      />
    </Card>
  );
}
