import { Alert, Button, Group, Modal, NumberInput, Radio, Stack, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { failureOf, must, type Schemas, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { ago, count, plural } from "../common/format";
import { ErrorState, Waiting } from "../common/states";
import { noConsumers } from "../queues/unattended";

type Scope = "chosen" | "filter" | "all";

type Props = {
  queue: string;
  source?: string; // one from which they came
  ids: string[]; // that were chosen
  which?: string; // by whom or what
  destination?: string; // where they go unless somebody says otherwise
  most?: { rate?: number; limit?: number }; // likewise
  filter: string;
  move?: boolean; // asked for where messages are, and not where they failed
  back?: boolean; // they go to where they came from unless somebody says otherwise
  close: () => void;
};

// RedriveDialog sends messages back to where they came from, or moves them to another queue, after it has said how many these are.
export function RedriveDialog({ queue, source, ids, which = "that you chose", filter, move = false, back = !move, destination = back ? "source" : "", most = {}, close }: Props) {
  const { api, tenant = "" } = useActing();
  const navigate = useNavigate();
  const client = useQueryClient();
  const [scope, setScope] = useState<Scope>(ids.length > 0 ? "chosen" : filter ? "filter" : "all");
  const [to, setTo] = useState(destination);
  const [rate, setRate] = useState<number | string>(most.rate ?? "");
  const [limit, setLimit] = useState<number | string>(most.limit ?? "");
  const body: Schemas["Redriving"] = { to };
  if (scope === "chosen") body.message_ids = ids;
  if (scope === "filter") body.filter = filter;
  if (Number(rate) > 0) body.max_rate = Number(rate);
  if (Number(limit) > 0 && scope !== "chosen") body.limit = Number(limit);
  const asked = { message_ids: body.message_ids, filter: body.filter };
  const dry = useQuery({
    queryKey: ["redrive", tenant, queue, asked],
    staleTime: 0,
    queryFn: async () => {
      // With dry_run the answer is a count.
      const answer = await must(api.POST("/v1/queues/{queue}/redrive", { params: { path: { queue }, query: { dry_run: true } }, body: asked }));
      return "matching" in answer ? answer : undefined;
    },
  });
  const start = useMutation({
    mutationFn: () => must(api.POST("/v1/queues/{queue}/redrive", { params: { path: { queue } }, body })),
    onSuccess: (task) => {
      void client.invalidateQueries({ queryKey: ["messages", tenant, queue] });
      void client.invalidateQueries({ queryKey: ["reasons", tenant, queue] });
      if ("status" in task) void navigate({ to: "/t/$tenant/tasks/$task", params: { tenant, task: task.id } });
    },
  });
  const failure = start.error ? failureOf(start.error) : undefined;
  return (
    <Modal opened onClose={close} title={`${back ? "Redrive" : "Move"} from ${queue}`} size="lg" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          start.mutate();
        }}
      >
        <Stack>
          <Radio.Group label="Which messages" value={scope} onChange={(v) => setScope(v === "chosen" || v === "filter" ? v : "all")}>
            <Stack gap={6} mt={6}>
              {ids.length > 0 && <Radio value="chosen" label={`The ${plural(ids.length, "message")} ${which}`} />}
              {filter && <Radio value="filter" label={<>Those that match <code>{filter}</code></>} />}
              <Radio value="all" label="All" />
            </Stack>
          </Radio.Group>
          <TextInput label="To" description={to === "source" ? `source: each to the queue from which it came${source ? `, such as ${source}` : ""}` : "A queue of the same type"} value={to} onChange={(e) => setTo(e.currentTarget.value)} error={failure?.at("/to")} required spellCheck={false} />
          <Group grow>
            <NumberInput label="At most a second" placeholder="as fast as it goes" value={rate} onChange={setRate} min={1} max={500} error={failure?.at("/max_rate")} />
            <NumberInput label="At most in all" placeholder="any number" value={limit} onChange={setLimit} min={1} disabled={scope === "chosen"} />
          </Group>
          {dry.isPending ? (
            <Waiting rows={1} />
          ) : dry.error ? (
            <ErrorState error={dry.error} />
          ) : (
            dry.data && (
              <Text size="sm" aria-live="polite">
                <b>{plural(dry.data.matching, "message")}</b> {dry.data.scanned.complete ? "would go now" : `of the first ${count(dry.data.scanned.messages)} would go`}. {dry.data.matching === 1 ? "It begins" : "They begin"} anew there: with a new id, and never received.{takes(dry.data.matching, Number(limit), Number(rate))}
              </Text>
            )
          )}
          <Text size="sm" className="quiet">
            {scope === "chosen" ? "They go in the order of the list. What somebody holds stays." : "The oldest go first, those that had come back to the queue after the others, and groups one after the other; there is no other order. What somebody holds and what is delayed stays."}
          </Text>
          <Consumers of={to === "source" ? (source ?? "") : to} />
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "POST", path: pathOf`/v1/queues/${queue}/redrive`, body }} />
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" loading={start.isPending}>
              {back ? "Redrive" : "Move"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

// takes says how long so many messages take at a rate, where one was given.
function takes(matching: number, limit: number, rate: number): string {
  const seconds = (limit > 0 ? Math.min(limit, matching) : matching) / rate;
  return rate > 0 && seconds >= 1 ? ` At ${count(rate)} a second that takes about ${ago(seconds)}.` : "";
}

// Consumers warns where nobody would receive what comes, as far as the queue is known.
function Consumers({ of }: { of: string }) {
  const { api, tenant } = useActing();
  const [name] = useDebouncedValue(of.trim(), 300);
  const { data: q } = useQuery({
    queryKey: ["queue", tenant, name],
    enabled: name !== "",
    retry: false,
    queryFn: () => must(api.GET("/v1/queues/{queue}", { params: { path: { queue: name } } })),
  });
  if (!q || !noConsumers(q)) return null;
  return (
    <Alert color="orange" title={`Nobody receives from ${q.name} now`}>
      {q.paused?.receive ? "Receiving is paused there" : "Nobody holds a message of it, and in the last ten seconds nobody has received one"}: what comes would wait.
    </Alert>
  );
}
