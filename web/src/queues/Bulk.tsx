import { Alert, Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { type Call, pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { Danger } from "../common/Danger";
import { count, plural } from "../common/format";
import { useSay } from "../common/say";
import { held, type Queue, type QueueInput, turn } from "./data";

const listed = 8; // names in a question; the others are counted

type Refused = { name: string; why: string };

// Bulk is what can be done with queues that were chosen: one call for each, one after the other.
export function Bulk({ queues }: { queues: Queue[] }) {
  const { api, tenant } = useActing();
  const client = useQueryClient();
  const say = useSay();
  const [asks, setAsks] = useState<"label" | "delete">();
  const [done, setDone] = useState<number>(); // while it goes on
  const [refused, setRefused] = useState<Refused[]>([]);
  const names = queues.map((q) => q.name);
  // each does something with every queue, whatever becomes of the others, and returns those with which it was done.
  const each = async (of: string[], act: (name: string) => Promise<unknown>) => {
    const faults: Refused[] = [];
    const good: string[] = [];
    setRefused([]);
    for (const name of of) {
      setDone(good.length + faults.length);
      try {
        await act(name);
        good.push(name);
      } catch (e) {
        faults.push({ name, why: failureOf(e).message });
      }
    }
    setDone(undefined);
    setRefused(faults);
    await client.invalidateQueries({ queryKey: ["queues", tenant] });
    return good;
  };
  const pause = async (of: string[], on: boolean) => {
    const good = await each(of, (name) => turn(api, name, on));
    if (good.length > 0) say(`${plural(good.length, "queue")} ${on ? "paused: nothing is received" : "resumed"}.`, () => void pause(good, !on));
  };
  const first = names[0] ?? "";
  const calls = (of: (name: string) => Call) => ({ call: of(first), then: names.slice(1).map(of) });
  return (
    <>
      <Button size="compact-sm" variant="default" loading={done !== undefined} onClick={() => void pause(names, true)}>
        Pause {plural(names.length, "queue")}
      </Button>
      <Button size="compact-sm" variant="default" loading={done !== undefined} onClick={() => void pause(names, false)}>
        Resume
      </Button>
      <Curl {...calls((name) => ({ method: "POST", path: pathOf`/v1/queues/${name}/pause`, body: { direction: "receive" } }))} label="Pausing them by curl" />
      <Button size="compact-sm" variant="default" onClick={() => setAsks("label")}>
        Label…
      </Button>
      <Button size="compact-sm" variant="default" c="red" onClick={() => setAsks("delete")}>
        Delete…
      </Button>
      {done !== undefined && (
        <Text size="sm" role="status">
          {count(done)} of {count(names.length)}
        </Text>
      )}
      {refused.length > 0 && <Faults of={refused} />}
      {asks === "label" && (
        <Label
          names={names}
          calls={calls}
          close={() => setAsks(undefined)}
          run={async (labels) => {
            const good = await each(names, (name) => must(api.PATCH("/v1/queues/{queue}", { params: { path: { queue: name } }, body: { labels } })));
            if (good.length > 0) say(`${plural(good.length, "queue")} labelled.`);
          }}
        />
      )}
      {asks === "delete" && (
        <Danger
          title={`Delete ${plural(names.length, "queue")}`}
          verb="Delete them"
          name={plural(names.length, "queue")}
          close={() => setAsks(undefined)}
          {...calls((name) => ({ method: "DELETE", path: pathOf`/v1/queues/${name}` }))}
          run={async () => {
            const good = await each(names, (name) => must(api.DELETE("/v1/queues/{queue}", { params: { path: { queue: name } } })));
            say(`${plural(good.length, "queue")} deleted.`);
          }}
        >
          This deletes <b>{plural(names.length, "queue")}</b> of tenant <b>{tenant}</b> with their settings and <b>{plural(queues.reduce((n, q) => n + held(q), 0), "message")}</b>: <Names of={names} />. Clients that use them get 404.
        </Danger>
      )}
    </>
  );
}

function Names({ of }: { of: string[] }) {
  return (
    <>
      <b>{of.slice(0, listed).join(", ")}</b>
      {of.length > listed && ` and ${count(of.length - listed)} more`}
    </>
  );
}

function Faults({ of }: { of: Refused[] }) {
  return (
    <Alert color="red" variant="light" title={`That did not work with ${plural(of.length, "queue")}`} role="alert" w="100%">
      {of.slice(0, listed).map((f): ReactNode => (
        <Text size="sm" key={f.name}>
          <b>{f.name}</b>: {f.why}
        </Text>
      ))}
      {of.length > listed && <Text size="sm">And {count(of.length - listed)} more.</Text>}
    </Alert>
  );
}

type LabelProps = { names: string[]; calls: (of: (name: string) => Call) => { call: Call; then: Call[] }; run: (labels: QueueInput["labels"]) => Promise<void>; close: () => void };

// Label gives each queue a label, or takes one from each. Their other labels stay.
function Label({ names, calls, run, close }: LabelProps) {
  const [key, setKey] = useState("");
  const [value, setValue] = useState("");
  const [busy, setBusy] = useState(false);
  const set = async (text: string | null) => {
    setBusy(true);
    await run({ [key.trim()]: text } as QueueInput["labels"]); // null removes one
    close();
  };
  return (
    <Modal opened onClose={close} title={`Label ${plural(names.length, "queue")}`} closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void set(value);
        }}
      >
        <Stack>
          <Text size="sm">
            <Names of={names} />. Their other labels stay.
          </Text>
          <Group grow align="start">
            <TextInput label="Label" placeholder="team" value={key} onChange={(e) => setKey(e.currentTarget.value)} required spellCheck={false} autoComplete="off" data-autofocus />
            <TextInput label="Value" placeholder="shop, or nothing" value={value} onChange={(e) => setValue(e.currentTarget.value)} spellCheck={false} autoComplete="off" />
          </Group>
          <Group justify="flex-end">
            <Curl {...calls((name) => ({ method: "PATCH", path: pathOf`/v1/queues/${name}`, body: { labels: { [key.trim() || "team"]: value } } }))} />
            <Button variant="default" disabled={key.trim() === "" || busy} onClick={() => void set(null)}>
              Remove it
            </Button>
            <Button type="submit" loading={busy}>
              Set it
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
