import { Button, Checkbox, Group, Modal, NativeSelect, NumberInput, Stack, Textarea, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { pathOf, unchanged } from "../api/curl";
import { Curl } from "../common/Curl";
import { ErrorState } from "../common/states";
import { type Alarm, type AlarmInput, type Metric, metricNames, metrics, states, stateText } from "./data";

const comparisons = [">", ">=", "<", "<="] as const;

// words cuts a list as people write it.
const words = (text: string) => text.split(/[\s,]+/).filter(Boolean);

// AlarmForm makes an alarm, or changes one. metric and queue are what it begins with.
export function AlarmForm({ of, metric: firstMetric = "available", queue: firstQueue = "", close, done }: { of?: Alarm; metric?: Metric; queue?: string; close: () => void; done: (a: Alarm) => void }) {
  const { api } = useActing();
  const [name, setName] = useState(of?.name ?? (firstQueue && `${firstQueue.replace(/[^A-Za-z0-9_-]/g, "-")}-${firstMetric}`.slice(0, 80)));
  const [metric, setMetric] = useState<Metric>(of?.metric ?? firstMetric);
  const [queue, setQueue] = useState(of?.target.queue ?? firstQueue);
  const [topic, setTopic] = useState(of?.target.topic ?? "*");
  const [subscription, setSubscription] = useState(of?.target.subscription ?? "*");
  const [except, setExcept] = useState(of?.target.except?.join(" ") ?? "");
  const [comparison, setComparison] = useState<string>(of?.comparison ?? ">");
  const [threshold, setThreshold] = useState<number | string>(of?.threshold ?? 0);
  const [minutes, setMinutes] = useState<number | string>((of?.period ?? 60) / 60);
  const [periods, setPeriods] = useState<number | string>(of?.periods ?? 1);
  const [tell, setTell] = useState(of?.notify.topic ?? "");
  const [email, setEmail] = useState(of?.notify.email.join(" ") ?? "");
  const [on, setOn] = useState<string[]>(of?.notify.on ?? ["alarm", "ok"]);
  const [description, setDescription] = useState(of?.description ?? "");
  const [enabled, setEnabled] = useState(of?.enabled ?? true);
  const about = metrics[metric];
  const body = (): AlarmInput => ({
    metric,
    target: {
      ...(about.of === "queue" && { queue }),
      ...(about.of === "webhook" && { topic, subscription }),
      ...(about.of !== "nothing" && except && { except: words(except) }),
    },
    comparison: comparisons.find((c) => c === comparison) ?? ">",
    threshold: Number(threshold),
    period: Number(minutes) * 60,
    periods: Number(periods),
    notify: { ...(tell && { topic: tell }), ...(email && { email: words(email) }), on: states.filter((s) => on.includes(s)) },
    ...(description && { description }),
    enabled,
  });
  const save = useMutation({
    mutationFn: () => must(api.PUT("/v1/alarms/{alarm}", { params: { path: { alarm: name }, header: of ? { "If-Match": `"${of.etag}"` } : { "If-None-Match": "*" } }, body: body() })),
    onSuccess: done,
  });
  const failure = save.error ? failureOf(save.error) : undefined;
  return (
    <Modal opened onClose={close} title={of ? `Change ${of.name}` : "Create an alarm"} size="lg" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          save.mutate();
        }}
      >
        <Stack gap="sm">
          {!of && <TextInput label="Name" value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus spellCheck={false} error={failure?.at("")} />}
          <NativeSelect label="What it looks at" value={metric} onChange={(e) => setMetric(metricNames.find((m) => m === e.currentTarget.value) ?? "available")} data={metricNames.map((value) => ({ value, label: metrics[value].label }))} />
          {about.of === "queue" && <TextInput label="Queue" description="A name, or a pattern: * stands for any text" value={queue} onChange={(e) => setQueue(e.currentTarget.value)} spellCheck={false} error={failure?.at("/target/queue")} />}
          {about.of === "webhook" && (
            <Group grow align="start">
              <TextInput label="Topic" description="A name or a pattern" value={topic} onChange={(e) => setTopic(e.currentTarget.value)} spellCheck={false} error={failure?.at("/target/topic")} />
              <TextInput label="Subscription" description="A name or a pattern" value={subscription} onChange={(e) => setSubscription(e.currentTarget.value)} spellCheck={false} error={failure?.at("/target/subscription")} />
            </Group>
          )}
          {about.of !== "nothing" && <TextInput label="Without" description="Patterns that are left out, such as *-dlq" value={except} onChange={(e) => setExcept(e.currentTarget.value)} spellCheck={false} error={failure?.at("/target/except/0")} />}
          <Group grow align="start">
            <NativeSelect label="Raised when it is" value={comparison} onChange={(e) => setComparison(e.currentTarget.value)} data={[...comparisons]} />
            <NumberInput label={`Threshold, in ${about.unit}`} value={threshold} onChange={setThreshold} min={0} error={failure?.at("/threshold")} />
          </Group>
          <Group grow align="start">
            <NumberInput label="Looks each … minutes" value={minutes} onChange={setMinutes} min={1} max={1440} allowDecimal={false} error={failure?.at("/period")} />
            <NumberInput label="For so many looks in a row" value={periods} onChange={setPeriods} min={1} max={60} allowDecimal={false} error={failure?.at("/periods")} />
          </Group>
          <TextInput label="Tells the topic" description="Its subscriptions say who gets it: queues, or webhooks. Empty: it is only shown here" value={tell} onChange={(e) => setTell(e.currentTarget.value)} spellCheck={false} error={failure?.at("/notify/topic")} />
          <TextInput label="Writes to" description="E-mail addresses of members of the tenant" value={email} onChange={(e) => setEmail(e.currentTarget.value)} spellCheck={false} error={failure?.at("/notify/email") ?? words(email).map((_, i) => failure?.at(`/notify/email/${i}`)).find(Boolean)} />
          {(tell || email) && (
            <Checkbox.Group label="Of these states" value={on} onChange={setOn}>
              <Group gap="md" mt={4}>
                {states.map((s) => (
                  <Checkbox key={s} value={s} label={stateText[s]} />
                ))}
              </Group>
            </Checkbox.Group>
          )}
          <Textarea label="What to do" description="It is in each message" value={description} onChange={(e) => setDescription(e.currentTarget.value)} error={failure?.at("/description")} />
          <Checkbox label="Enabled" checked={enabled} onChange={(e) => setEnabled(e.currentTarget.checked)} />
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "PUT", path: pathOf`/v1/alarms/${name || "NAME"}`, body: body(), headers: unchanged(of?.etag) }} />
            <Button type="submit" loading={save.isPending}>
              {of ? "Save" : "Create"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
