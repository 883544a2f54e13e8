import { Card, Group, SegmentedControl, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense, useMemo } from "react";
import { useActing } from "../api/client";
import { withQuery } from "../api/curl";
import { Curl } from "../common/Curl";
import { Rows } from "../common/Rows";
import { Loaded, Waiting } from "../common/states";
import { Instant } from "../common/Time";
import { useUrl } from "../common/url";
import { chartsOf, type Of, pathOfStats, rangeOf, ranges, type Series, summary, useSeries } from "./data";

const Plot = lazy(() => import("./Plot"));

// Charts is what was, as lines or as a table with the same numbers.
export function Charts({ of }: { of: Of }) {
  const [search, setUrl] = useUrl();
  const range = rangeOf(search.range);
  const table = search.view === "table";
  const query = useSeries(of, range, table);
  const { window, tableStep } = ranges[range];
  return (
    <Stack gap="sm">
      <Group justify="space-between">
        <Title order={2} size="h5">
          The last {ranges[range].text}
        </Title>
        <Group gap="xs">
          <SegmentedControl size="xs" aria-label="How far back" value={range} onChange={(v) => setUrl({ range: v === "1h" ? undefined : v })} data={Object.keys(ranges)} />
          <SegmentedControl
            size="xs"
            aria-label="How it is shown"
            value={table ? "table" : "charts"}
            onChange={(v) => setUrl({ view: v === "table" ? v : undefined })}
            data={[
              { value: "charts", label: "Charts" },
              { value: "table", label: "Table" },
            ]}
          />
          <Curl call={{ method: "GET", path: withQuery(pathOfStats(of), { window, step: table ? tableStep : undefined }) }} />
        </Group>
      </Group>
      <Loaded query={query} rows={5}>
        {(s) =>
          s.available.length === 0 ? (
            <Card withBorder>
              <Text size="sm">Nothing is known of this time. Numbers are taken every ten seconds while there is something to count.</Text>
            </Card>
          ) : table ? (
            <Table of={s} />
          ) : (
            <Lines of={s} window={window} queue={typeof of === "object" ? of.queue : undefined} />
          )
        }
      </Loaded>
    </Stack>
  );
}

// alarmed is the metric of an alarm on what a chart shows.
const alarmed: Record<string, string> = { "Messages held": "available", "Age of the oldest": "oldest_age" };

function Lines({ of: s, window, queue }: { of: Series; window: number; queue?: string }) {
  const { tenant = "" } = useActing();
  const charts = useMemo(() => chartsOf(s), [s]);
  // A level is that at the end of its step, a count that of the step.
  const times = useMemo(() => s.available.map((_, i) => Date.parse(s.from) / 1000 + (i + 1) * s.step), [s]);
  const to = Date.parse(s.to) / 1000;
  return (
    <SimpleGrid cols={{ base: 1, md: charts.length % 2 === 0 ? 2 : 3 }}>
      {charts.map((chart) => (
        <Card withBorder padding="sm" key={chart.title}>
          <Group justify="space-between" mb={4} mih={24}>
            <Title order={3} size="h6">
              {chart.title}
            </Title>
            {queue && alarmed[chart.title] && (
              <Link className="link" style={{ fontSize: "var(--mantine-font-size-sm)" }} to="/t/$tenant/alarms" params={{ tenant }} search={{ new: "alarm", type: alarmed[chart.title], target: queue }} aria-label={`Create an alarm: ${chart.title}`}>
                Alarm…
              </Link>
            )}
          </Group>
          <div role="img" aria-label={`${chart.title}. ${summary(chart)}`}>
            <Suspense fallback={<Waiting rows={5} />}>
              <Plot chart={chart} times={times} window={{ from: to - window, to }} />
            </Suspense>
          </div>
        </Card>
      ))}
    </SimpleGrid>
  );
}

function Table({ of: s }: { of: Series }) {
  const charts = chartsOf(s);
  const rows = s.available.map((_, i) => i).reverse();
  return (
    <Rows
      label="Numbers over time"
      rows={rows}
      rowKey={(i) => String(i)}
      columns={[
        { title: "From", wide: true, cell: (i) => <Instant at={new Date(Date.parse(s.from) + i * s.step * 1000).toISOString()} /> },
        ...charts.flatMap((chart) =>
          chart.lines.map((l) => ({
            title: chart.title === "Messages a second" ? `${l.label} /s` : l.label,
            num: true,
            cell: (i: number) => {
              const v = l.values[i];
              return v === null || v === undefined ? <span className="quiet">–</span> : chart.write(v);
            },
          })),
        ),
        { title: "Dead-lettered", num: true, cell: (i) => s.dead_lettered[i] ?? 0 },
      ]}
    />
  );
}
