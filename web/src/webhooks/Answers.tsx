import { Card, Group, SegmentedControl, Text, Title } from "@mantine/core";
import { lazy, Suspense, useMemo } from "react";
import { count } from "../common/format";
import { Rows } from "../common/Rows";
import { Waiting } from "../common/states";
import { Instant } from "../common/Time";
import { useUrl } from "../common/url";
import type { Delivery } from "./data";
import { type Answers as Counted, answersOf } from "./health";

const Plot = lazy(() => import("../stats/Plot"));

const title = "Answers over time";

// Answers is when an endpoint has answered what, as bars or as a table with the same numbers.
export function Answers({ of }: { of: Delivery[] }) {
  const [search, setUrl] = useUrl();
  const table = search.view === "table";
  const answers = useMemo(() => answersOf(of), [of]);
  return (
    <Card withBorder padding="sm">
      <Group justify="space-between" mb="xs">
        <Title order={2} size="h5">
          {title}
        </Title>
        {answers && (
          <SegmentedControl
            size="xs"
            aria-label="How it is shown"
            value={table ? "table" : "chart"}
            onChange={(v) => setUrl({ view: v === "table" ? v : undefined })}
            data={[
              { value: "chart", label: "Chart" },
              { value: "table", label: "Table" },
            ]}
          />
        )}
      </Group>
      {answers ? table ? <Table of={answers} /> : <Bars of={answers} /> : <Text size="sm">No message was sent yet. Test events and challenges are not counted.</Text>}
    </Card>
  );
}

const whole = (n: number) => (Number.isInteger(n) ? count(n) : "");
const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);

function Bars({ of: a }: { of: Counted }) {
  const chart = useMemo(() => ({ title, lines: a.lines, write: whole, step: a.step }), [a]);
  const said = a.lines.filter((l) => sum(l.values) > 0).map((l) => `${l.label}: ${count(sum(l.values))}`);
  return (
    <div role="img" aria-label={`${title}. ${said.join(", ")}`}>
      <Suspense fallback={<Waiting rows={5} />}>
        <Plot key={a.step} chart={chart} times={a.times} window={a.window} />
      </Suspense>
    </div>
  );
}

// Table leaves out the times at which nothing was sent.
function Table({ of: a }: { of: Counted }) {
  const rows = a.times.map((_, i) => i).filter((i) => a.lines.some((l) => l.values[i]));
  return (
    <Rows
      label={title}
      rows={rows.reverse()}
      rowKey={(i) => String(a.times[i])}
      columns={[
        { title: "From", wide: true, cell: (i) => <Instant at={new Date((a.window.from + i * a.step) * 1000).toISOString()} /> },
        ...a.lines.map((l) => ({ title: l.label, num: true, cell: (i: number) => (l.values[i] ? count(l.values[i]) : <span className="quiet">–</span>) })),
      ]}
    />
  );
}
