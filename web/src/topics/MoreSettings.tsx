import { NativeSelect, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import type { Failure } from "../api/client";
import { type More, overflows } from "./more";

// faultOf is what is wrong with a setting, or with one item of its list.
function faultOf(failure: Failure | undefined, setting: keyof More): string | undefined {
  return failure?.problem?.errors.find((e) => e.pointer === `/${setting}` || e.pointer?.startsWith(`/${setting}/`))?.detail;
}

// MoreSettings are those of a webhook that few change. They are folded away until somebody asks for them, or one is wrong.
export function MoreSettings({ value, set, failure }: { value: More; set: (value: More) => void; failure?: Failure }) {
  const [open, setOpen] = useState(false);
  const text = (setting: keyof More) => ({ value: value[setting], onChange: (e: { currentTarget: { value: string } }) => set({ ...value, [setting]: e.currentTarget.value }), error: faultOf(failure, setting), spellCheck: false, autoComplete: "off" });
  const wrong = (Object.keys(value) as (keyof More)[]).some((setting) => faultOf(failure, setting) !== undefined);
  return (
    <details open={open || wrong} onToggle={(e) => setOpen(e.currentTarget.open)}>
      <Text component="summary" size="sm" fw={600}>
        More
      </Text>
      <Stack gap="sm" mt="xs">
        <TextInput label="Requests a second" description="At most, whichever servers send them. Empty for as many as there are." placeholder="20" inputMode="numeric" {...text("max_rate")} />
        <NativeSelect
          label="When it holds as many messages as it may"
          data={[
            { value: "dlq", label: "what comes goes to the dead-letter queue, or is dropped" },
            { value: "drop_oldest", label: "the oldest is dropped" },
            { value: "reject_publish", label: "publishes to the topic are refused" },
          ]}
          value={value.overflow}
          onChange={(e) => set({ ...value, overflow: overflows.find((o) => o === e.currentTarget.value) ?? "dlq" })}
          error={faultOf(failure, "overflow")}
        />
        <TextInput label="Not tried again after" description="Statuses of answers. Empty for 410 and 413, “none” for no status." placeholder="410, 413, 422" {...text("terminal_statuses")} />
        <TextInput label="Waits between attempts" description="Up to 30. Empty for ten attempts in three days, “none” for a single one." placeholder="5s, 5m, 1h" {...text("retry_schedule")} />
      </Stack>
    </details>
  );
}
