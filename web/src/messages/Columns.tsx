import { Button, Checkbox, Group, Popover, Stack, TextInput } from "@mantine/core";
import { useState } from "react";
import { useUrl } from "../common/url";
import { addressOf, columnsOf, offered } from "./columns";
import type { Message } from "./data";

const mostSuggested = 12;

// Columns chooses what a list of messages shows beside their ids. The address keeps it.
export function Columns({ of }: { of: Message[] }) {
  const [search, setUrl] = useUrl();
  const [name, setName] = useState("");
  const shown = columnsOf(search.columns);
  const set = (columns: readonly string[]) => setUrl({ columns: addressOf(columns) }, true);
  const turn = (column: string, on: boolean) => set(on ? [...shown, column] : shown.filter((c) => c !== column));
  const seen = [...new Set(of.flatMap((m) => Object.keys(m.attributes)))].sort().map((a) => `attr.${a}`);
  const attributes = [...new Set([...shown.filter((c) => c.startsWith("attr.")), ...seen.slice(0, mostSuggested)])];
  const box = (column: string, label: string) => <Checkbox key={column} label={label} checked={shown.includes(column)} onChange={(e) => turn(column, e.currentTarget.checked)} />;
  return (
    <Popover position="bottom-end" withArrow shadow="md" trapFocus returnFocus width={260}>
      <Popover.Target>
        <Button variant="default">Columns</Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Columns">
        <Stack gap="xs" mah="60vh" style={{ overflowY: "auto" }}>
          {Object.entries(offered).map(([column, label]) => box(column, label))}
          {attributes.map((column) => box(column, column.slice("attr.".length)))}
          <form
            onSubmit={(e) => {
              e.preventDefault();
              if (name.trim()) turn(`attr.${name.trim()}`, true);
              setName("");
            }}
          >
            <Group gap="xs" wrap="nowrap" align="end">
              <TextInput label="Attribute" placeholder="name" value={name} onChange={(e) => setName(e.currentTarget.value)} spellCheck={false} autoComplete="off" />
              <Button type="submit" variant="default" px="sm" style={{ flex: "none" }}>
                Add
              </Button>
            </Group>
          </form>
          {search.columns !== undefined && (
            <Button variant="default" size="compact-sm" onClick={() => setUrl({ columns: undefined }, true)}>
              As usual
            </Button>
          )}
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}
