import { Alert, Badge, Button, Card, Drawer, Group, Modal, NativeSelect, Popover, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must, type Schemas, useActing } from "../api/client";
import { curlOfRaw, hidden, withQuery } from "../api/curl";
import { Curl, Pasted } from "../common/Curl";
import { Danger } from "../common/Danger";
import { plural } from "../common/format";
import { Facts, Pager } from "../common/Page";
import { Rows } from "../common/Rows";
import { useSay } from "../common/say";
import { Empty, ErrorState, Loaded, NoMatch } from "../common/states";
import { Ago, Instant } from "../common/Time";
import { useUrl } from "../common/url";
import { type Delivery, inWords, type Place, pathOfWebhook, type Subscription, useDeliveries } from "./data";
import { deliveryStatuses } from "./filters";

type Timing = NonNullable<Schemas["Delivery"]["timing"]>;

const colors: Record<Delivery["status"], string> = { delivered: "green", retrying: "yellow", failed: "red", test: "gray", challenge: "gray" };

export function DeliveryBadge({ status }: { status: Delivery["status"] }) {
  return (
    <Badge variant="dot" color={colors[status]} tt="none">
      {status}
    </Badge>
  );
}

// Deliveries are the last attempts of a webhook, the latest first.
export function Deliveries({ place, of: s }: { place: Place; of: Subscription }) {
  const { api } = useActing();
  const client = useQueryClient();
  const say = useSay();
  const [search, setUrl] = useUrl();
  const status = deliveryStatuses.find((x) => x === search.status);
  const list = useDeliveries(place, { status, cursor: search.cursor });
  const [asks, setAsks] = useState(false);
  const path = `${pathOfWebhook(place)}/deliveries`;
  const failed = s.delivery?.failed ?? 0;
  const reload = () => void client.invalidateQueries({ queryKey: ["deliveries"] });
  return (
    <Stack gap="sm">
      <Group justify="space-between">
        <Title order={2} size="h5">
          Attempts
        </Title>
        <Group gap="xs">
          <NativeSelect aria-label="Status" value={status ?? ""} onChange={(e) => setUrl({ status: e.currentTarget.value, cursor: undefined })} data={[{ value: "", label: "Any status" }, ...deliveryStatuses]} />
          <Button variant="default" disabled={failed === 0} onClick={() => setAsks(true)}>
            Resend what failed…
          </Button>
          <Curl call={{ method: "GET", path: withQuery(path, { status }) }} />
        </Group>
      </Group>
      <Loaded query={list}>
        {({ data, next_cursor }) => {
          if (data.length === 0 && status) return <NoMatch what={`the status ${status}`} clear={() => setUrl({ status: undefined, cursor: undefined })} />;
          if (data.length === 0) {
            return (
              <Empty title="Nothing was sent yet" call={{ method: "POST", path: `${pathOfWebhook(place)}/test` }}>
                What is published comes here with what the endpoint answered. A test event can be sent at any time:
              </Empty>
            );
          }
          return (
            <>
              <Rows
                label="Attempts"
                rows={data}
                rowKey={keyOf}
                columns={[
                  {
                    title: "What came of it",
                    wide: true,
                    cell: (d) => (
                      <a
                        className="link"
                        data-row
                        href={`?m=${d.message_id}`}
                        onClick={(e) => {
                          e.preventDefault();
                          setUrl({ m: d.message_id });
                        }}
                      >
                        {inWords(d)}
                      </a>
                    ),
                  },
                  { title: "Status", cell: (d) => <DeliveryBadge status={d.status} /> },
                  { title: "HTTP", num: true, cell: (d) => d.response_status ?? <span className="quiet">–</span> },
                  { title: "Attempt", num: true, cell: (d) => d.attempt },
                  { title: "When", num: true, cell: (d) => <Ago at={d.at} /> },
                  { title: "Next", num: true, cell: (d) => <Ago at={toCome(d.next_attempt_at)} /> },
                ]}
              />
              <Pager next={next_cursor} />
            </>
          );
        }}
      </Loaded>
      {search.m && <Message key={search.m} id={search.m} place={place} close={() => setUrl({ m: undefined })} />}
      {asks && (
        <Danger
          title="Resend what failed"
          verb="Resend"
          close={() => setAsks(false)}
          call={{ method: "POST", path: `${path}/resend`, body: {} }}
          run={async () => {
            const { count } = await must(api.POST("/v1/topics/{topic}/subscriptions/{subscription}/deliveries/resend", { params: { path: place }, body: {} }));
            say(`${plural(count, "message")} will be sent again.`);
            reload();
          }}
        >
          This sends <b>{plural(failed, "message")}</b> that failed for good to <b>{s.endpoint}</b> again, each with the same id as before.
        </Danger>
      )}
    </Stack>
  );
}

// toCome is a time that is still to come: what was due is behind, or waits until the endpoint may be tried.
const toCome = (at: string | null | undefined) => (at && Date.parse(at) > Date.now() ? at : null);

const keyOf = (d: Delivery) => `${d.id}.${d.attempt}.${d.at}`;

// resigned is how often the request that is shown is signed anew, ms: receivers take a signature for five minutes.
const resigned = 60_000;

// Request shows the command that sends a message to its endpoint as the server does, with a signature of now.
function Request({ place, id }: { place: Place; id: string }) {
  const { api, tenant } = useActing();
  const [open, setOpen] = useState(false);
  const query = useQuery({
    queryKey: ["request", tenant, place, id],
    enabled: open,
    staleTime: 0,
    refetchInterval: resigned,
    queryFn: () => must(api.GET("/v1/topics/{topic}/subscriptions/{subscription}/deliveries/{id}/request", { params: { path: { ...place, id } } })),
  });
  return (
    <Popover width={460} position="bottom-end" withArrow shadow="md" trapFocus returnFocus opened={open && !query.isPending} onChange={setOpen}>
      <Popover.Target>
        <Button variant="default" loading={open && query.isPending} onClick={() => setOpen(!open)}>
          Request as curl
        </Button>
      </Popover.Target>
      <Popover.Dropdown maw="92vw">
        <Loaded query={query} rows={2}>
          {(r) => (
            <div>
              <Text size="sm" mb="xs">
                What the endpoint gets, from a terminal. The signature is of now, and most receivers take it for five minutes.
                {r.headers.some((h) => h.value === hidden) && " Headers that are not shown stand in variables."}
              </Text>
              <Pasted text={curlOfRaw(r)} />
            </div>
          )}
        </Loaded>
      </Popover.Dropdown>
    </Popover>
  );
}

// Message is all attempts of one message.
function Message({ id, place, close }: { id: string; place: Place; close: () => void }) {
  const { api } = useActing();
  const client = useQueryClient();
  const say = useSay();
  const list = useDeliveries(place, { message_id: id });
  const first = list.data?.data[0];
  const resend = useMutation({
    mutationFn: (delivery: string) => must(api.POST("/v1/topics/{topic}/subscriptions/{subscription}/deliveries/{id}/resend", { params: { path: { ...place, id: delivery } } })),
    onSuccess: () => {
      say("It will be sent again.");
      void client.invalidateQueries({ queryKey: ["deliveries"] });
    },
  });
  return (
    <Drawer opened onClose={close} position="right" size="lg" title={<span className="mono">{id}</span>} closeButtonProps={{ "aria-label": "Close" }}>
      <Stack>
        {first && first.status !== "test" && (
          <Group>
            <Button variant="default" loading={resend.isPending} onClick={() => resend.mutate(first.id)}>
              Resend
            </Button>
            <Curl call={{ method: "POST", path: `${pathOfWebhook(place)}/deliveries/${first.id}/resend` }} />
            {first.status !== "challenge" && <Request place={place} id={first.id} />}
            {first.status !== "challenge" && <Elsewhere place={place} id={first.id} />}
          </Group>
        )}
        {resend.error && <ErrorState error={resend.error} />}
        <Loaded query={list}>
          {({ data }) =>
            data.length === 0 ? (
              <Text size="sm">Of this message no attempt is kept any more: the log has the last 500 of the webhook.</Text>
            ) : (
              data.map((d) => (
                <Card withBorder key={keyOf(d)}>
                  <Group mb="xs">
                    <Title order={3} size="h6">
                      Attempt {d.attempt}
                    </Title>
                    <DeliveryBadge status={d.status} />
                  </Group>
                  <Text size="sm" mb="xs">
                    {inWords(d)}
                  </Text>
                  <Facts
                    of={[
                      ["When", <Instant key="w" at={d.at} />],
                      ["Error", d.error ? <code key="e">{d.error.code}</code> : "–"],
                      ...(d.batch_id ? ([["In a request", `${d.batch_id}, of ${plural(d.batch_size ?? 0, "message")}`]] as [string, string][]) : []),
                      ...(d.timing ? ([["Of that", <Parts key="t" of={d.timing} />]] as [string, React.ReactNode][]) : []),
                      ["Next attempt", d.next_attempt_at ? <Instant key="n" at={d.next_attempt_at} /> : "none by itself"],
                    ]}
                  />
                  <Headers title="Request" of={d.request_headers} attempt={d.attempt} />
                  <Headers title="Answer" of={d.response_headers} attempt={d.attempt} />
                  {d.response && (
                    <pre className="body" tabIndex={0} aria-label={`Answer to attempt ${d.attempt}`} style={{ marginTop: 8 }}>
                      {d.response}
                      {d.response_truncated && "…"}
                    </pre>
                  )}
                </Card>
              ))
            )
          }
        </Loaded>
      </Stack>
    </Drawer>
  );
}

// Parts are how long the parts of an attempt took, and what there was not.
function Parts({ of: t }: { of: Timing }) {
  const parts: [string, number | null][] = [
    ["DNS", t.dns_ms],
    ["connect", t.connect_ms],
    ["TLS", t.tls_ms],
    ["first byte", t.first_byte_ms],
  ];
  const known = parts.flatMap(([name, ms]) => (ms === null ? [] : [`${name} ${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`]));
  return (
    <>
      {known.join(", ")}
      {t.connect_ms === null && <span className="quiet">{known.length > 0 && ", "}on a connection that was open</span>}
    </>
  );
}

// Elsewhere sends a message to another URL, as a test.
function Elsewhere({ place, id }: { place: Place; id: string }) {
  const { api } = useActing();
  const [open, setOpen] = useState(false);
  const [url, setUrl] = useState("");
  const path = `${pathOfWebhook(place)}/deliveries/${id}/test`;
  const send = useMutation({ mutationFn: () => must(api.POST("/v1/topics/{topic}/subscriptions/{subscription}/deliveries/{id}/test", { params: { path: { ...place, id } }, body: { url } })) });
  const failure = send.error ? failureOf(send.error) : undefined;
  return (
    <>
      <Button variant="default" onClick={() => setOpen(true)}>
        Try another URL…
      </Button>
      <Modal opened={open} onClose={() => setOpen(false)} title="Try another URL" closeButtonProps={{ "aria-label": "Close" }}>
        <form
          onSubmit={(e) => {
            e.preventDefault();
            send.mutate();
          }}
        >
          <Stack>
            <Text size="sm">The message goes there once, now, signed as it would be for the endpoint, but without its own headers and credentials. It stays as it is for the endpoint.</Text>
            <TextInput label="URL" placeholder="https://example.com/hooks" value={url} onChange={(e) => setUrl(e.currentTarget.value)} error={failure?.at("/url")} required data-autofocus spellCheck={false} />
            {failure && !failure.at("/url") && <ErrorState error={failure} />}
            {send.data && (
              <Alert color={send.data.error ? "red" : "green"} title={send.data.error ? "It did not arrive there" : "It has arrived there"} role="status">
                {inWords(send.data)}
              </Alert>
            )}
            <Group justify="flex-end">
              <Curl call={{ method: "POST", path, body: { url } }} />
              <Button type="submit" loading={send.isPending} disabled={url === ""}>
                Send it there
              </Button>
            </Group>
          </Stack>
        </form>
      </Modal>
    </>
  );
}

// Headers are those of a request or an answer, as text.
function Headers({ title, of, attempt }: { title: string; of: Record<string, string>; attempt: number }) {
  const text = Object.entries(of)
    .map(([name, value]) => `${name}: ${value}`)
    .join("\n");
  if (text === "") return null;
  return (
    <details style={{ marginTop: 8 }}>
      <summary>
        {title}: {plural(Object.keys(of).length, "header")}
      </summary>
      <pre className="body" tabIndex={0} aria-label={`${title} headers of attempt ${attempt}`}>
        {text}
      </pre>
    </details>
  );
}
