import { Button, Group, Text } from "@mantine/core";
import { count } from "../common/format";
import type { usePeek } from "./data";

type Props = { list: ReturnType<typeof usePeek>; total: number };

// ScanNote says how much of a long queue was looked at, and whether to go on.
export function ScanNote({ list: { data, scan, isFetching }, total }: Props) {
  if (!data?.next_cursor) return null;
  return (
    <Group gap="xs" role="status">
      <Text size="sm" className="quiet">
        Looked at {count(data.looked)} of {count(Math.max(total, data.looked))}
        {data.data.length === 0 && ": none yet"}
      </Text>
      {scan.running ? (
        <Button size="compact-sm" variant="default" onClick={scan.stop}>
          Stop
        </Button>
      ) : (
        scan.resume && (
          <Button size="compact-sm" variant="default" loading={isFetching} onClick={scan.resume}>
            Continue
          </Button>
        )
      )}
    </Group>
  );
}
