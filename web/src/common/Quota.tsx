import { Group, Progress, SimpleGrid, Text } from "@mantine/core";
import type { Schemas } from "../api/client";
import { bytes, count } from "./format";

// quotaNames are what quotas are called.
export const quotaNames = { queues: "Queues", topics: "Topics", keys: "Keys", alarms: "Alarms", stored_bytes: "Stored bytes" } as const;

// From which share of a limit on somebody should look.
export const near = 0.8;

// Quotas are how much of its limits a tenant uses.
export function Quotas({ of }: { of: Schemas["QuotaUse"][] }) {
  return (
    <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="md">
      {of.map((q) => (
        <Quota key={q.quota} label={quotaNames[q.quota]} used={q.used} limit={q.limit} write={q.quota === "stored_bytes" ? bytes : count} />
      ))}
    </SimpleGrid>
  );
}

// Quota is how much of a limit is used. Colour is never all that says so.
function Quota({ label, used, limit, write }: { label: string; used: number; limit: number; write: (n: number) => string }) {
  const share = limit === 0 ? 1 : used / limit;
  const percent = `${Math.min(100, Math.floor(share * 100))} %`;
  return (
    <div>
      <Group justify="space-between" gap="xs">
        <Text size="sm">{label}</Text>
        <Text size="sm" style={{ fontVariantNumeric: "tabular-nums" }}>
          {write(used)} of {write(limit)} · {percent}
          {share >= 1 ? ", full" : share >= near ? ", almost full" : ""}
        </Text>
      </Group>
      <Progress value={Math.min(100, share * 100)} color={share >= 1 ? "red" : share >= near ? "orange" : undefined} aria-label={`${label}: ${percent} used`} mt={4} />
    </div>
  );
}
