import { ActionIcon, Button, FileButton, Group, NativeSelect, SimpleGrid, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useState } from "react";
import type { Schemas } from "../api/client";
import { bytes, spoken } from "../common/format";

export type BatchMessage = Schemas["BatchMessage"];

// Draft is a message as it stands in the form.
export type Draft = {
  body: string;
  content_type: string;
  attributes: { name: string; type: string; value: string }[];
  delay: string;
  ttl: string;
  priority: string;
  group_id: string;
  deduplication_id: string;
};

export const blank: Draft = { body: "", content_type: "", attributes: [], delay: "", ttl: "", priority: "", group_id: "", deduplication_id: "" };

// messageOf returns a draft as an item of a batch. What was left empty is left out, so that the queue's settings hold.
export function messageOf(d: Draft): BatchMessage {
  const m: BatchMessage = { body: d.body };
  const named = d.attributes.filter((a) => a.name !== "");
  if (d.content_type) m.content_type = d.content_type;
  if (named.length > 0) m.attributes = Object.fromEntries(named.map((a) => [a.name, { type: a.type, value: a.value }]));
  if (d.delay) m.delay = spoken(d.delay) as number; // text such as 5m too
  if (d.ttl) m.ttl = spoken(d.ttl) as number;
  if (d.priority) m.priority = Number(d.priority);
  if (d.group_id) m.group_id = d.group_id;
  if (d.deduplication_id) m.deduplication_id = d.deduplication_id;
  return m;
}

// jsonFault says why a body that looks like JSON is none.
function jsonFault(body: string): string | undefined {
  if (!/^\s*[{[]/.test(body)) return undefined;
  try {
    JSON.parse(body);
    return undefined;
  } catch (e) {
    return e instanceof Error ? e.message : "not JSON";
  }
}

const mostRead = 1 << 20; // bytes: what a queue takes unless it is told otherwise

// textOf returns what bytes say, or undefined when they are no UTF-8.
function textOf(data: ArrayBuffer): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    return undefined;
  }
}

type Props = { draft: Draft; set: (d: Draft) => void; fifo: boolean; topic?: boolean; fault: (pointer: string) => string | undefined };

// Compose is the fields of a message.
export function Compose({ draft: d, set, fifo, topic = false, fault }: Props) {
  const field = (name: "delay" | "ttl" | "priority" | "group_id" | "deduplication_id" | "content_type", label: string, placeholder = "") => (
    <TextInput label={label} placeholder={placeholder} value={d[name]} onChange={(e) => set({ ...d, [name]: e.currentTarget.value })} error={fault(`/messages/0/${name}`)} spellCheck={false} autoComplete="off" />
  );
  const broken = jsonFault(d.body);
  const [unread, setUnread] = useState<string>();
  const read = async (file: File | null) => {
    if (!file) return;
    const body = file.size <= mostRead ? textOf(await file.arrayBuffer()) : undefined;
    setUnread(body === undefined ? `${file.name} is no text, or longer than ${bytes(mostRead)}. A file of any kind is sent with curl --data-binary @FILE.` : undefined);
    if (body !== undefined) set({ ...d, body });
  };
  const change = (i: number, patch: Partial<Draft["attributes"][number]>) => set({ ...d, attributes: d.attributes.map((a, at) => (at === i ? { ...a, ...patch } : a)) });
  return (
    <Stack>
      <Textarea
        label="Body"
        value={d.body}
        onChange={(e) => set({ ...d, body: e.currentTarget.value })}
        autosize
        minRows={6}
        maxRows={20}
        styles={{ input: { fontFamily: "var(--mono)", fontSize: "0.85rem" } }}
        spellCheck={false}
        description={broken ? `Not quite JSON: ${broken}. It is sent as it is.` : undefined}
        error={fault("/messages/0/body")}
      />
      <Group gap="xs">
        <FileButton onChange={(file) => void read(file)}>
          {(props) => (
            <Button size="compact-xs" variant="default" {...props}>
              From a file…
            </Button>
          )}
        </FileButton>
        {unread && (
          <Text size="sm" role="alert">
            {unread}
          </Text>
        )}
      </Group>
      <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }}>
        {field("content_type", "Content type", "as it looks")}
        {!topic && !fifo && field("delay", "Delay", "30s, 5m, 2h")}
        {!topic && field("ttl", "Ends after", "never before the retention")}
        {!topic && !fifo && field("priority", "Priority", "0 to 9")}
        {field("group_id", fifo ? "Group (needed)" : "Group")}
        {fifo && field("deduplication_id", "Deduplication id")}
      </SimpleGrid>
      <div>
        <Group gap="xs" mb={4}>
          <Text size="sm" fw={500}>
            Attributes
          </Text>
          <Button size="compact-xs" variant="default" onClick={() => set({ ...d, attributes: [...d.attributes, { name: "", type: "String", value: "" }] })}>
            Add
          </Button>
        </Group>
        <Stack gap="xs">
          {d.attributes.map((a, i) => (
            <Group key={i} gap="xs" wrap="nowrap">
              <TextInput aria-label={`Name of attribute ${i + 1}`} placeholder="name" value={a.name} onChange={(e) => change(i, { name: e.currentTarget.value })} spellCheck={false} />
              <NativeSelect aria-label={`Type of attribute ${i + 1}`} data={["String", "Number", "Binary"]} value={a.type} onChange={(e) => change(i, { type: e.currentTarget.value })} />
              <TextInput aria-label={`Value of attribute ${i + 1}`} placeholder={a.type === "Binary" ? "base64" : "value"} value={a.value} onChange={(e) => change(i, { value: e.currentTarget.value })} spellCheck={false} style={{ flex: 1 }} error={a.name ? fault(`/messages/0/attributes/${a.name}/value`) : undefined} />
              <ActionIcon variant="default" size="input-sm" aria-label={`Remove attribute ${i + 1}`} onClick={() => set({ ...d, attributes: d.attributes.filter((_, at) => at !== i) })}>
                ×
              </ActionIcon>
            </Group>
          ))}
        </Stack>
      </div>
    </Stack>
  );
}
