import { Group, Progress, SimpleGrid, Text } from "@mantine/core";
import type { Schemas } from "../api/client";
import { bytes, count } from "./format";

// quotaNames are what quotas are called.
export const quotaNames = { queues: "Queues", topics: "Topics", keys: "Keys", alarms: "Alarms", stored_bytes: "Stored bytes" } as const;

// From which share of a limit on somebody should look.
const near = 0.8;

// shareOf returns how much of a limit is used; 1 is all.
const shareOf = ({ used, limit }: Schemas["QuotaUse"]) => (limit === 0 ? 1 : used / limit);

// almostFull returns the limits at which somebody should look.
export const almostFull = (quotas: Schemas["QuotaUse"][]) => quotas.filter((q) => q.used > 0 && shareOf(q) >= near);

// usedOf writes how much of a limit is used.
export function usedOf({ quota, used, limit }: Schemas["QuotaUse"]): string {
  const write = quota === "stored_bytes" ? bytes : count;
  return `${write(used)} of ${write(limit)}`;
}

// Quotas are how much of its limits a tenant uses.
export function Quotas({ of }: { of: Schemas["QuotaUse"][] }) {
  return (
    <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="md">
      {of.map((q) => (
        <Quota key={q.quota} of={q} />
      ))}
    </SimpleGrid>
  );
}

// Quota is how much of a limit is used. Colour is never all that says so.
function Quota({ of }: { of: Schemas["QuotaUse"] }) {
  const label = quotaNames[of.quota];
  const share = shareOf(of);
  const percent = `${Math.min(100, Math.floor(share * 100))} %`;
  return (
    <div>
      <Group justify="space-between" gap="xs">
        <Text size="sm">{label}</Text>
        <Text size="sm" style={{ fontVariantNumeric: "tabular-nums" }}>
          {usedOf(of)} · {percent}
          {share >= 1 ? ", full" : share >= near ? ", almost full" : ""}
        </Text>
      </Group>
      <Progress value={Math.min(100, share * 100)} color={share >= 1 ? "red" : share >= near ? "orange" : undefined} aria-label={`${label}: ${percent} used`} mt={4} />
    </div>
  );
}
