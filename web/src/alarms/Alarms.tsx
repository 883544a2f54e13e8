import { Badge, Button, Group, Menu, NativeSelect, UnstyledButton } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { must, useActing } from "../api/client";
import { Actions } from "../common/Actions";
import { Curl, Curls } from "../common/Curl";
import { type Call, pathOf, withQuery } from "../api/curl";
import { Danger } from "../common/Danger";
import { Page } from "../common/Page";
import { Rows } from "../common/Rows";
import { useSay } from "../common/say";
import { Empty, ErrorState, Loaded, NoMatch } from "../common/states";
import { Ago } from "../common/Time";
import { useUrl } from "../common/url";
import { AlarmDetails, StateBadge } from "./AlarmDetails";
import { AlarmForm } from "./AlarmForm";
import { type Alarm, metricNames, metrics, ruleOf, states, stateText, targetOf, useAlarms } from "./data";

const mutes = [
  { text: "Mute for an hour", seconds: 3600 },
  { text: "Mute for a day", seconds: 86_400 },
  { text: "Mute for a week", seconds: 604_800 },
];

// Alarms is what is watched, and what is wrong now.
export function Alarms() {
  const { api } = useActing();
  const client = useQueryClient();
  const say = useSay();
  const [search, setUrl] = useUrl();
  const state = states.find((s) => s === search.state);
  const list = useAlarms(state);
  const [changes, setChanges] = useState<Alarm>();
  const [deletes, setDeletes] = useState<Alarm>();
  const reload = () => void client.invalidateQueries({ queryKey: ["alarms"] });
  const suggest = useMutation({ mutationFn: () => must(api.POST("/v1/suggested_alarms", { body: {} })), onSuccess: reload });
  const mute = useMutation({
    mutationFn: ({ a, seconds }: { a: Alarm; seconds: number }) => {
      const params = { path: { alarm: a.name } };
      return must(seconds > 0 ? api.POST("/v1/alarms/{alarm}/mute", { params, body: { for: seconds } }) : api.POST("/v1/alarms/{alarm}/unmute", { params }));
    },
    onSuccess: reload,
  });
  const create = <Button onClick={() => setUrl({ new: "alarm" })}>Create an alarm</Button>;
  const suggested = (
    <Button variant="default" loading={suggest.isPending} onClick={() => suggest.mutate()}>
      Add the suggested alarms
    </Button>
  );
  const opened = list.data?.data.find((a) => a.name === search.m);
  return (
    <Page
      title="Alarms"
      actions={
        <>
          {create}
          <Curl call={{ method: "GET", path: withQuery("/v1/alarms", { state }) }} label="The list by curl" />
        </>
      }
    >
      {suggest.error && <ErrorState error={suggest.error} />}
      {mute.error && <ErrorState error={mute.error} />}
      <Group>
        <NativeSelect aria-label="State" value={state ?? ""} onChange={(e) => setUrl({ state: e.currentTarget.value })} data={[{ value: "", label: "Any state" }, ...states.map((value) => ({ value, label: stateText[value] }))]} />
      </Group>
      <Loaded query={list}>
        {({ data }) =>
          data.length === 0 && state ? (
            <NoMatch what={`the state ${stateText[state]}`} clear={() => setUrl({ state: undefined })} />
          ) : data.length === 0 ? (
            <Empty title="No alarms yet" call={{ method: "POST", path: "/v1/suggested_alarms", body: {} }} action={suggested}>
              An alarm looks once a minute and says when something is wrong. Most want these: of dead letters, of old messages, of queues that nobody receives from, of webhooks that fail, and of limits that are almost used up.
            </Empty>
          ) : (
            <Rows
              label="Alarms"
              rows={data}
              rowKey={(a) => a.name}
              columns={[
                {
                  title: "Alarm",
                  wide: true,
                  cell: (a) => (
                    <>
                      <UnstyledButton className="link" data-row fz="sm" onClick={() => setUrl({ m: a.name })}>
                        {a.name}
                      </UnstyledButton>{" "}
                      {a.muted_until && <Badge size="sm" variant="light" color="gray" tt="none">muted</Badge>}
                      {!a.enabled && <Badge size="sm" variant="light" color="gray" tt="none">off</Badge>}
                      {a.last_error && <Badge size="sm" variant="dot" color="red" tt="none">not told</Badge>}
                    </>
                  ),
                },
                { title: "State", cell: (a) => <StateBadge state={a.state} /> },
                { title: "Since", num: true, cell: (a) => <Ago at={a.since} /> },
                { title: "Looks at", wide: true, cell: (a) => <span>{metrics[a.metric].label}: <span className="quiet">{targetOf(a)}</span></span> },
                { title: "Raised when", cell: (a) => ruleOf(a) },
                { title: "Seen", num: true, cell: (a) => (a.value === null ? <span className="quiet">–</span> : <span title={a.seen ?? undefined}>{metrics[a.metric].write(a.value)}</span>) },
                {
                  title: "",
                  cell: (a) => (
                    <Group gap="xs" wrap="nowrap" justify="flex-end">
                      <Actions of={a.name}>
                        <Menu.Item onClick={() => setChanges(a)}>Change…</Menu.Item>
                        {a.muted_until ? (
                          <Menu.Item onClick={() => mute.mutate({ a, seconds: 0 })}>Unmute</Menu.Item>
                        ) : (
                          mutes.map((m) => (
                            <Menu.Item key={m.seconds} onClick={() => mute.mutate({ a, seconds: m.seconds })}>
                              {m.text}
                            </Menu.Item>
                          ))
                        )}
                        <Menu.Item color="red" onClick={() => setDeletes(a)}>
                          Delete…
                        </Menu.Item>
                      </Actions>
                      <Curls
                        small
                        label={`As curl: ${a.name}`}
                        of={a.muted_until ? [["Unmute", { method: "POST", path: pathOf`/v1/alarms/${a.name}/unmute` }]] : mutes.map((m): [string, Call] => [m.text, { method: "POST", path: pathOf`/v1/alarms/${a.name}/mute`, body: { for: m.seconds } }])}
                      />
                    </Group>
                  ),
                },
              ]}
            />
          )
        }
      </Loaded>
      {(search.new === "alarm" || changes) && (
        <AlarmForm
          of={changes}
          metric={metricNames.find((m) => m === search.type)}
          queue={search.target}
          close={() => {
            setChanges(undefined);
            setUrl({ new: undefined, type: undefined, target: undefined }, true);
          }}
          done={(a) => {
            setChanges(undefined);
            setUrl({ new: undefined, type: undefined, target: undefined }, true);
            say(`${a.name} is set. It looks within a minute.`);
            reload();
          }}
        />
      )}
      {opened && !changes && <AlarmDetails of={opened} close={() => setUrl({ m: undefined })} edit={() => setChanges(opened)} />}
      {deletes && (
        <Danger
          title="Delete the alarm"
          verb="Delete"
          close={() => setDeletes(undefined)}
          call={{ method: "DELETE", path: `/v1/alarms/${deletes.name}` }}
          run={async () => {
            await must(api.DELETE("/v1/alarms/{alarm}", { params: { path: { alarm: deletes.name } } }));
            say("The alarm is deleted.");
            reload();
          }}
        >
          <b>{deletes.name}</b> looks no more, and its history goes with it.
        </Danger>
      )}
    </Page>
  );
}
