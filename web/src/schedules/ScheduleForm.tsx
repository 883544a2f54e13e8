import { Button, Group, Modal, NativeSelect, SegmentedControl, SimpleGrid, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { unchanged } from "../api/curl";
import { Curl } from "../common/Curl";
import { ErrorState } from "../common/states";
import { Ago } from "../common/Time";
import { type Owner, pathTo, type Schedule, useSchedules } from "./data";
import { blank, type Form, formOf, inputOf, timesOf } from "./form";

// missed says what becomes of times that could not be kept.
export const missed = [
  { value: "skip", label: "are left out" },
  { value: "run_once", label: "are made up for by one message" },
  { value: "run_all", label: "are each made up for, at most the latest 100" },
] as const;

// ScheduleForm makes a schedule or changes one. When it would be due says the server, not the browser.
export function ScheduleForm({ owner, of, close, done }: { owner: Owner; of?: Schedule; close: () => void; done: (s: Schedule) => void }) {
  const { put } = useSchedules(owner, undefined);
  const [form, setForm] = useState(of ? formOf(of) : blank);
  const set = (patch: Partial<Form>) => setForm({ ...form, ...patch });
  const body = inputOf(form, of);
  const save = useMutation({
    mutationFn: () => put(form.name.trim(), body, of?.etag),
    onSuccess: (s) => {
      done(s);
      close();
    },
  });
  const failure = save.error ? failureOf(save.error) : undefined;
  return (
    <Modal opened onClose={close} title={of ? `Edit ${of.name}` : "Create a schedule"} size="lg" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          save.mutate();
        }}
      >
        <Stack gap="sm">
          {!of && <TextInput label="Name" description="Letters, digits, - and _" value={form.name} onChange={(e) => set({ name: e.currentTarget.value })} data-autofocus required spellCheck={false} autoComplete="off" />}
          <SegmentedControl
            aria-label="How it is said when"
            value={form.by}
            onChange={(v) => set({ by: v === "every" ? v : "cron" })}
            data={[
              { value: "cron", label: "By the calendar" },
              { value: "every", label: "Again and again" },
            ]}
          />
          {form.by === "cron" ? (
            <SimpleGrid cols={{ base: 1, xs: 2 }}>
              <TextInput label="Cron" description="Minute hour day month weekday" value={form.cron} onChange={(e) => set({ cron: e.currentTarget.value })} error={failure?.at("/cron")} classNames={{ input: "mono" }} spellCheck={false} />
              <TextInput label="Time zone" description="Such as Europe/Berlin" value={form.zone} onChange={(e) => set({ zone: e.currentTarget.value })} error={failure?.at("/time_zone")} spellCheck={false} />
            </SimpleGrid>
          ) : (
            <TextInput label="Every" description="30s, 5m, 1h30m, 7d" value={form.every} onChange={(e) => set({ every: e.currentTarget.value })} error={failure?.at("/every")} spellCheck={false} />
          )}
          <SimpleGrid cols={{ base: 1, xs: 2 }}>
            <TextInput label="Starts at" placeholder="at once" description="2030-01-02T03:04:05Z" value={form.starts} onChange={(e) => set({ starts: e.currentTarget.value })} error={failure?.at("/starts_at")} spellCheck={false} />
            <TextInput label="Ends at" placeholder="never" description="2030-01-02T03:04:05Z" value={form.ends} onChange={(e) => set({ ends: e.currentTarget.value })} error={failure?.at("/ends_at")} spellCheck={false} />
          </SimpleGrid>
          <Preview form={form} />
          <NativeSelect label="Times that could not be kept" data={[...missed]} value={form.missed} onChange={(e) => set({ missed: missed.find((m) => m.value === e.currentTarget.value)?.value ?? "skip" })} />
          {of && of.message === null ? (
            <Text size="sm">Who may not read bodies cannot change this schedule: saving would replace its message.</Text>
          ) : (
            <>
              <Textarea label="Body" description={form.body === "" ? "The same each time" : undefined} value={form.body} onChange={(e) => set({ body: e.currentTarget.value })} autosize minRows={3} maxRows={12} classNames={{ input: "mono" }} error={failure?.at("/message/body") ?? failure?.at("/message")} required spellCheck={false} />
              <SimpleGrid cols={{ base: 1, xs: 2 }}>
                <TextInput label="Content type" placeholder="JSON, text or bytes, whichever it is" value={form.contentType} onChange={(e) => set({ contentType: e.currentTarget.value })} error={failure?.at("/message/content_type")} spellCheck={false} />
                <TextInput label="Group" description={owner.name.endsWith(".fifo") ? "Needed here: the order holds within it" : undefined} value={form.group} onChange={(e) => set({ group: e.currentTarget.value })} error={failure?.at("/message/group_id")} spellCheck={false} />
              </SimpleGrid>
            </>
          )}
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "PUT", path: pathTo(owner, form.name.trim() || "NAME"), body, headers: unchanged(of?.etag) }} />
            <Button type="submit" loading={save.isPending} disabled={!form.name.trim() || of?.message === null}>
              {of ? "Save" : "Create"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

// Preview says the next times, half a second after the last key.
function Preview({ form }: { form: Form }) {
  const { api, tenant } = useActing();
  const [asked] = useDebouncedValue(JSON.stringify(timesOf(form)), 500);
  const tested = useQuery({
    queryKey: ["schedule-test", tenant, asked],
    placeholderData: (before) => before,
    queryFn: () => must(api.POST("/v1/schedules/test", { body: JSON.parse(asked) })),
  });
  return (
    <div aria-live="polite" style={{ minHeight: "3.2rem" }}>
      {tested.error ? (
        <Text size="sm" c="red">
          {failureOf(tested.error).message}
        </Text>
      ) : tested.data?.next_runs.length === 0 ? (
        <Text size="sm">It is never due.</Text>
      ) : (
        <Runs runs={tested.data?.next_runs ?? []} />
      )}
    </div>
  );
}

// Runs are times in the zone of the schedule, as the server writes them.
export function Runs({ runs }: { runs: string[] }) {
  if (runs.length === 0) return null;
  return (
    <Text size="sm" component="div">
      Next: <Ago at={runs[0]} />
      <ul style={{ margin: 0, paddingLeft: "1.2rem" }}>
        {runs.map((r) => (
          <li key={r}>
            <time dateTime={r} className="mono">
              {r.replace("T", " ")}
            </time>
          </li>
        ))}
      </ul>
    </Text>
  );
}
