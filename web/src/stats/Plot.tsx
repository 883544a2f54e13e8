import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { usePrefs } from "../common/prefs";
import type { Chart } from "./data";

const height = 180;
const axisColor = { light: "#495057", dark: "#c9c9c9" };
const gridColor = { light: "#e9ecef", dark: "#3b3b3b" };
const colors = { light: ["#0b7285", "#b03a06", "#6b2fa0"], dark: ["#3bc9db", "#ffa94d", "#d0bfff"] };
const dashes = [undefined, [6, 4], [2, 3]]; // lines differ by more than colour

// Plot draws lines over time. It is a chunk of its own, because most screens have no chart.
export default function Plot({ chart, times, window }: { chart: Chart; times: number[]; window: { from: number; to: number } }) {
  const { utc } = usePrefs();
  const scheme = useComputedColorScheme("light");
  const { ref, width } = useElementSize();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const now = useRef({ chart, times, window });
  now.current = { chart, times, window };
  const names = chart.lines.map((l) => l.label).join();
  useEffect(() => {
    if (!place.current || width === 0) return;
    const span = now.current.window.to - now.current.window.from;
    const axis = { stroke: axisColor[scheme], grid: { stroke: gridColor[scheme], width: 1 }, ticks: { stroke: gridColor[scheme], width: 1 }, font: "11px system-ui" };
    const made = new uPlot(
      {
        width,
        height,
        tzDate: (seconds) => (utc ? uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : new Date(seconds * 1000)),
        cursor: { y: false, drag: { x: false } },
        legend: { live: true },
        scales: {
          x: { range: () => [now.current.window.from, now.current.window.to] },
          y: { range: (_, __, most) => [0, Math.max(most ?? 0, 1) * 1.1] },
        },
        axes: [
          { ...axis, space: 60, values: (_, at) => at.map((s) => clock(s, utc, span)) },
          { ...axis, size: 58, values: (_, at) => at.map((n) => now.current.chart.write(n)) },
        ],
        series: [
          { label: "At", value: (_, s) => (s === null ? "" : clock(s, utc, span)) },
          ...now.current.chart.lines.map((l, i) => ({
            label: l.label,
            stroke: colors[scheme][i],
            dash: dashes[i],
            width: 1.5,
            points: { show: now.current.times.length < 2 },
            value: (_: uPlot, n: number | null) => (n === null ? "" : now.current.chart.write(n)),
          })),
        ],
      },
      dataOf(now.current.chart, now.current.times),
      place.current,
    );
    plot.current = made;
    return () => made.destroy();
  }, [width, scheme, utc, names]);
  useEffect(() => plot.current?.setData(dataOf(chart, times)), [chart, times]);
  return (
    <div ref={ref} className="plot">
      <div ref={place} />
    </div>
  );
}

const dataOf = (chart: Chart, times: number[]): uPlot.AlignedData => [times, ...chart.lines.map((l) => l.values)];

const day = 86_400;

function clock(seconds: number, utc: boolean, span: number): string {
  const of: Intl.DateTimeFormatOptions = span > 8 * day ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit", ...(span > 2 * day && { weekday: "short" }) };
  return new Date(seconds * 1000).toLocaleString("en-GB", { timeZone: utc ? "UTC" : undefined, ...of });
}
