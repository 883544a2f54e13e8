import { ActionIcon, Button, FileButton, Group, Input, NativeSelect, SimpleGrid, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useState } from "react";
import type { Schemas } from "../api/client";
import { bytes, spoken } from "../common/format";

export type BatchMessage = Schemas["BatchMessage"];

// Draft is a message as it stands in the form.
export type Draft = {
  body: string;
  file?: { name: string; size: number; type: string; base64: string }; // bytes that are no text, in place of the body
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
  const m: BatchMessage = d.file ? { body: d.file.base64, body_encoding: "base64" } : { body: d.body };
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

// base64Of writes bytes as the API takes those that are no text.
function base64Of(file: File): Promise<string> {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result).replace(/^[^,]*,/, "")); // a data URL
    reader.onerror = () => fail(reader.error);
    reader.readAsDataURL(file);
  });
}

// withoutFile returns a draft without its file, and without the content type that came with it.
function withoutFile(d: Draft): Draft {
  return { ...d, file: undefined, content_type: d.file?.type === d.content_type ? "" : d.content_type };
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
    setUnread(undefined);
    try {
      if (file.size > mostRead) return setUnread(`${file.name} is longer than ${bytes(mostRead)}. A longer one is sent with curl --data-binary @FILE.`);
      if (file.size === 0) return setUnread(`${file.name} is empty.`);
      const body = textOf(await file.arrayBuffer());
      if (body !== undefined) return set({ ...withoutFile(d), body });
      const base64 = await base64Of(file);
      // What the browser knows of its type is better than nothing, and may be changed.
      const { content_type } = withoutFile(d);
      set({ ...d, body: "", file: { name: file.name, size: file.size, type: file.type, base64 }, content_type: content_type || file.type });
    } catch {
      setUnread(`${file.name} cannot be read.`);
    }
  };
  const change = (i: number, patch: Partial<Draft["attributes"][number]>) => set({ ...d, attributes: d.attributes.map((a, at) => (at === i ? { ...a, ...patch } : a)) });
  return (
    <Stack>
      {d.file ? (
        <Input.Wrapper label="Body" error={fault("/messages/0/body")}>
          <Group gap="xs">
            <Text size="sm" style={{ overflowWrap: "anywhere" }}>
              {d.file.name}, {bytes(d.file.size)} that are no text: they are sent as they are.
            </Text>
            <Button size="compact-xs" variant="default" onClick={() => set(withoutFile(d))}>
              Write text instead
            </Button>
          </Group>
        </Input.Wrapper>
      ) : (
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
      )}
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
