import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { usePrefs } from "../common/prefs";
import { fillOf, markOf, stackedOf } from "./bars";
import type { Chart } from "./data";

const height = 180;
const axisColor = { light: "#495057", dark: "#c9c9c9" };
const gridColor = { light: "#e9ecef", dark: "#3b3b3b" };
const colors = { light: ["#0b7285", "#b03a06", "#6b2fa0"], dark: ["#3bc9db", "#ffa94d", "#d0bfff"] };
const dashes = [undefined, [6, 4], [2, 3]]; // lines differ by more than colour

// Plot draws lines over time, or bars that stand on each other. It is a chunk of its own, because most screens have no chart.
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
    const { step } = now.current.chart;
    const fills = step === undefined ? [] : now.current.chart.lines.map((_, i) => fillOf(i, scheme));
    const axis = { stroke: axisColor[scheme], grid: { stroke: gridColor[scheme], width: 1 }, ticks: { stroke: gridColor[scheme], width: 1 }, font: "11px system-ui" };
    const made = new uPlot(
      {
        width,
        height,
        tzDate: (seconds) => (utc ? uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : new Date(seconds * 1000)),
        cursor: { y: false, drag: { x: false }, ...(step !== undefined && { points: { show: false } }) },
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
          { label: "At", value: (_, s) => (s === null ? "" : step === undefined ? clock(s, utc, span) : `${clock(s - step / 2, utc, span)} – ${clock(s + step / 2, utc, span)}`) },
          ...now.current.chart.lines.map((l, i) => ({
            label: l.label,
            // What is drawn of a bar is a sum, what is said of it is not.
            value: (_: uPlot, __: number | null, ___: number, at: number | null) => {
              const n = at === null ? null : now.current.chart.lines[i]?.values[at];
              return n === null || n === undefined ? "" : now.current.chart.write(n);
            },
            ...(step === undefined
              ? { stroke: colors[scheme][i], dash: dashes[i], width: 1.5, points: { show: now.current.times.length < 2 } }
              : { fill: () => fills[i] ?? "", width: 0, paths: bars, points: { show: false } }),
          })),
        ],
        // Each bar begins where the one below it ends.
        bands: fills.slice(1).map((_, i) => ({ series: [i + 2, i + 1] })),
      },
      dataOf(now.current.chart, now.current.times),
      place.current,
    );
    plot.current = made;
    for (const [i, fill] of fills.entries()) made.root.querySelectorAll(".u-marker")[i + 1]?.replaceChildren(markOf(fill));
    return () => made.destroy();
  }, [width, scheme, utc, names]);
  useEffect(() => plot.current?.setData(dataOf(chart, times)), [chart, times]);
  return (
    <div ref={ref} className="plot">
      <div ref={place} />
    </div>
  );
}

const bars = uPlot.paths.bars?.({ size: [0.8, 40] });

const dataOf = (chart: Chart, times: number[]): uPlot.AlignedData => [times, ...(chart.step === undefined ? chart.lines.map((l) => l.values) : stackedOf(chart.lines))];

const day = 86_400;
const short = 600; // seconds

function clock(seconds: number, utc: boolean, span: number): string {
  const of: Intl.DateTimeFormatOptions = span > 8 * day ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit", ...(span < short && { second: "2-digit" }), ...(span > 2 * day && { weekday: "short" }) };
  return new Date(seconds * 1000).toLocaleString("en-GB", { timeZone: utc ? "UTC" : undefined, ...of });
}
