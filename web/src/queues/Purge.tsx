import { Stack, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Danger } from "../common/Danger";
import { count, plural, spoken } from "../common/format";
import { useSay } from "../common/say";
import type { Queue } from "./data";
import { Stake } from "./QueuePage";

const pauseMs = 300; // after the last key, before the server counts

// Purge empties a queue, or deletes what is old or matches. How many that are, it says before.
export function Purge({ queue: q, only = {}, close }: { queue: Queue; only?: { filter?: string; older?: string }; close: () => void }) {
  const { api, tenant = "" } = useActing();
  const client = useQueryClient();
  const navigate = useNavigate();
  const say = useSay();
  const [older, setOlder] = useState(only.older ?? "");
  const [filter, setFilter] = useState(only.filter ?? "");
  const some = older.trim() !== "" || filter.trim() !== "";
  const body = { confirm: q.name, ...(older.trim() && { older_than: spoken(older) as number }), ...(filter.trim() && { filter: filter.trim() }) }; // text such as 1h too
  const [asked] = useDebouncedValue([filter.trim() && `(${filter.trim()})`, older.trim() && `age>=${older.trim()}`].filter(Boolean).join(" "), pauseMs);
  const counted = useQuery({
    queryKey: ["matching", tenant, q.name, asked],
    enabled: asked !== "",
    staleTime: 0,
    retry: false,
    queryFn: () => must(api.GET("/v1/queues/{queue}/reasons", { params: { path: { queue: q.name }, query: { filter: asked, limit: 1 } } })),
  });
  const n = counted.data;
  return (
    <Danger
      title="Purge the queue"
      verb="Purge"
      name={q.name}
      close={close}
      call={{ method: "POST", path: pathOf`/v1/queues/${q.name}/purge`, body }}
      run={async () => {
        const task = await must(api.POST("/v1/queues/{queue}/purge", { params: { path: { queue: q.name } }, body }));
        if (some) return navigate({ to: "/t/$tenant/tasks/$task", params: { tenant, task: task.id } });
        say(`${q.name} was emptied.`);
        await client.invalidateQueries({ predicate: (x) => x.queryKey[1] === tenant && x.queryKey[2] === q.name });
      }}
    >
      <Stack gap="sm">
        <div role="status">
          {!some ? (
            <>
              This deletes for good <Stake queue={q} />.
            </>
          ) : counted.error ? (
            <Text size="sm" c="var(--mantine-color-error)">
              {failureOf(counted.error).message}
            </Text>
          ) : (
            <>
              This deletes for good <b>{n ? plural(n.matching, "message") : "what matches"}</b>
              {n && !n.scanned.complete && ` of the first ${count(n.scanned.messages)}`} of queue <b>{q.name}</b> of tenant <b>{tenant}</b>. What somebody holds stays.
            </>
          )}
        </div>
        <TextInput label="Only what was sent so long ago" placeholder="any time: 30m, 12h, 3d" value={older} onChange={(e) => setOlder(e.currentTarget.value)} autoComplete="off" spellCheck={false} />
        <TextInput label="Only what matches" placeholder="timeout  attr.type:order.*  receives>3" value={filter} onChange={(e) => setFilter(e.currentTarget.value)} autoComplete="off" spellCheck={false} />
      </Stack>
    </Danger>
  );
}
