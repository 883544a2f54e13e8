import { Badge } from "@mantine/core";
import { useRaisedAlarms } from "./data";

// Raised is how many alarms are raised, and nothing when none is.
export function Raised() {
  const n = useRaisedAlarms().length;
  return n === 0 ? null : (
    <Badge size="sm" color="#c92a2a" variant="filled" aria-label={`${n} raised`}>
      {n}
    </Badge>
  );
}
