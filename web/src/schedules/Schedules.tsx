import { Badge, Button, Drawer, Group, Menu, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Actions } from "../common/Actions";
import { Curl, Curls } from "../common/Curl";
import { Danger } from "../common/Danger";
import { count, duration } from "../common/format";
import { Facts, Pager } from "../common/Page";
import { Rows } from "../common/Rows";
import { useSay } from "../common/say";
import { Empty, ErrorState, Loaded } from "../common/states";
import { Ago, Instant } from "../common/Time";
import { useUrl } from "../common/url";
import { pathTo, type Schedule, useOwner, useSchedules } from "./data";
import { missed, Runs, ScheduleForm } from "./ScheduleForm";

// Schedules are what sends to a queue, or publishes to a topic, by itself.
export function Schedules() {
  const owner = useOwner();
  const client = useQueryClient();
  const say = useSay();
  const [search, setUrl] = useUrl();
  const { key, list, pause, resume, run, remove } = useSchedules(owner, search.cursor);
  const [edits, setEdits] = useState<Schedule>();
  const [deletes, setDeletes] = useState<Schedule>();
  const reload = () => client.invalidateQueries({ queryKey: key });
  const verb = owner.kind === "queue" ? "sent" : "published";
  const act = useMutation({
    mutationFn: async ({ what, s }: { what: "pause" | "resume" | "run"; s: Schedule }) => {
      if (what === "run") await run(s.name);
      else await (what === "pause" ? pause(s.name) : resume(s.name));
    },
    onSuccess: (_, { what, s }) => {
      if (what === "run") say(`The message of ${s.name} was ${verb} once.`);
      else if (what === "pause") say(`${s.name} is paused.`, () => act.mutate({ what: "resume", s }));
      else say(`${s.name} goes on.`, () => act.mutate({ what: "pause", s }));
      void reload();
    },
  });
  const open = list.data?.data.find((s) => s.name === search.m);
  const create = <Button onClick={() => setUrl({ new: "schedule" })}>Create a schedule</Button>;
  return (
    <Stack>
      <Group justify="flex-end">
        {create}
        <Curl call={{ method: "GET", path: pathTo(owner) }} />
      </Group>
      {act.error && <ErrorState error={act.error} />}
      <Loaded query={list}>
        {({ data, next_cursor }) =>
          data.length === 0 ? (
            <Empty title="No schedules" call={{ method: "PUT", path: pathTo(owner, "report"), body: { cron: "0 9 * * MON-FRI", time_zone: "Europe/Berlin", message: { body: "daily report" } } }}>
              A schedule lets a message be {verb} again and again, once for each of its times, whatever servers there are. This makes one:
            </Empty>
          ) : (
            <>
              <Rows
                label="Schedules"
                rows={data}
                rowKey={(s) => s.name}
                columns={[
                  {
                    title: "Name",
                    wide: true,
                    cell: (s) => (
                      <Group gap="xs">
                        <a
                          className="link"
                          data-row
                          href={`?m=${encodeURIComponent(s.name)}`}
                          onClick={(e) => {
                            e.preventDefault();
                            setUrl({ m: s.name });
                          }}
                        >
                          {s.name}
                        </a>
                        {s.paused && (
                          <Badge variant="filled" color="#b03a06" size="sm" title={s.pause_reason ?? undefined}>
                            Paused
                          </Badge>
                        )}
                        {s.last_error && (
                          <Badge variant="dot" color="red" size="sm" tt="none" title={s.last_error.detail}>
                            {s.last_error.code}
                          </Badge>
                        )}
                      </Group>
                    ),
                  },
                  { title: "When", wide: true, cell: (s) => <When of={s} /> },
                  { title: "Next", num: true, cell: (s) => <Ago at={s.next_runs[0]} /> },
                  { title: "Last", num: true, cell: (s) => <Ago at={s.last_run?.sent_at} empty="never" /> },
                  { title: "Runs", num: true, cell: (s) => count(s.counts.runs) },
                  { title: "Refused", num: true, cell: (s) => count(s.counts.errors) },
                  {
                    title: "",
                    cell: (s) => (
                      <Group gap="xs" wrap="nowrap" justify="flex-end">
                        <Actions of={s.name}>
                          <Menu.Item onClick={() => act.mutate({ what: "run", s })}>Run now</Menu.Item>
                          <Menu.Item onClick={() => act.mutate({ what: s.paused ? "resume" : "pause", s })}>{s.paused ? "Resume" : "Pause"}</Menu.Item>
                          <Menu.Item onClick={() => setEdits(s)}>Edit…</Menu.Item>
                          <Menu.Item color="red" onClick={() => setDeletes(s)}>
                            Delete…
                          </Menu.Item>
                        </Actions>
                        <Curls
                          small
                          label={`As curl: ${s.name}`}
                          of={[
                            ["Run now", { method: "POST", path: `${pathTo(owner, s.name)}/run` }],
                            s.paused ? ["Resume", { method: "POST", path: `${pathTo(owner, s.name)}/resume` }] : ["Pause", { method: "POST", path: `${pathTo(owner, s.name)}/pause` }],
                          ]}
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
      {search.new === "schedule" && <ScheduleForm owner={owner} close={() => setUrl({ new: undefined }, true)} done={() => void reload()} />}
      {edits && <ScheduleForm owner={owner} of={edits} close={() => setEdits(undefined)} done={() => void reload()} />}
      {open && <Details of={open} call={pathTo(owner, open.name)} close={() => setUrl({ m: undefined })} />}
      {deletes && (
        <Danger
          title="Delete the schedule"
          verb="Delete"
          close={() => setDeletes(undefined)}
          call={{ method: "DELETE", path: pathTo(owner, deletes.name) }}
          run={async () => {
            await remove(deletes.name);
            say(`${deletes.name} was deleted.`);
            await reload();
          }}
        >
          No message is {verb} by <b>{deletes.name}</b> any more. The {count(deletes.counts.runs)} that were stay.
        </Danger>
      )}
    </Stack>
  );
}

function When({ of: s }: { of: Schedule }) {
  if (s.every !== null) return <>every {duration(s.every)}</>;
  return (
    <span>
      <span className="mono">{s.cron}</span> <span className="quiet">{s.time_zone}</span>
    </span>
  );
}

function Details({ of: s, call, close }: { of: Schedule; call: string; close: () => void }) {
  return (
    <Drawer opened onClose={close} position="right" size="lg" title={s.name} closeButtonProps={{ "aria-label": "Close" }}>
      <Stack>
        <Group justify="flex-end">
          <Curl call={{ method: "GET", path: call }} />
        </Group>
        <Facts
          of={[
            ["When", <When key="w" of={s} />],
            ["Next runs", s.paused ? <span key="n">none: paused <Ago at={s.paused_at} />{s.pause_reason && `: ${s.pause_reason}`}</span> : s.next_runs.length === 0 ? "none: it has ended" : <Runs key="n" runs={s.next_runs} />],
            ["Starts", <Instant key="s" at={s.starts_at} />],
            ["Ends", <Instant key="e" at={s.ends_at} />],
            ["Last run", s.last_run ? <span key="l"><Ago at={s.last_run.sent_at} /> <span className="mono">{s.last_run.message_id}</span>{s.last_run.scheduled_for === null && " by hand"}</span> : "never"],
            ["Runs, refused, missed", `${count(s.counts.runs)}, ${count(s.counts.errors)}, ${count(s.counts.missed)}`],
            ["Times that could not be kept", missed.find((m) => m.value === s.missed)?.label ?? s.missed],
            ...Object.entries(s.labels).map(([k, v]): [string, string] => [`Label ${k}`, v]),
          ]}
        />
        {s.last_error && (
          <div>
            <Title order={3} size="h5" mb={6}>
              Last refusal
            </Title>
            <Text size="sm">
              <code>{s.last_error.code}</code> <Ago at={s.last_error.at} />: {s.last_error.detail}
            </Text>
          </div>
        )}
        <div>
          <Title order={3} size="h5" mb={6}>
            Message
          </Title>
          <pre className="body" tabIndex={0}>
            {s.message === null ? "(hidden)" : s.message.body}
          </pre>
        </div>
      </Stack>
    </Drawer>
  );
}
