import { count } from "../common/format";

const width = 88;
const height = 22;

// Spark is the last hour of something as a line. Who does not see it hears the least, the most and the last of its numbers.
export function Spark({ points, steps, what = "Available", write = count }: { points: number[]; steps: number; what?: string; write?: (n: number) => string }) {
  const last = points.at(-1);
  if (last === undefined) return <span className="quiet">–</span>;
  const most = Math.max(...points);
  const y = (n: number) => (most === 0 ? height - 1.5 : height - 1.5 - ((height - 3) * n) / most).toFixed(1);
  const x = (i: number) => ((width * (steps - points.length + i)) / Math.max(1, steps - 1)).toFixed(1);
  // One point is a line too, up to now.
  const line = points.length === 1 ? `${x(-1)},${y(last)} ${x(0)},${y(last)}` : points.map((n, i) => `${x(i)},${y(n)}`).join(" ");
  const says = `${what} in the last hour: from ${write(Math.min(...points))} to ${write(most)}, now ${write(last)}`;
  return (
    <svg className="spark" role="img" aria-label={says} width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
      <title>{says}</title>
      <line x1="0" x2={width} y1={height - 0.5} y2={height - 0.5} stroke="currentColor" opacity="0.35" />
      <polyline points={line} fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinejoin="round" />
    </svg>
  );
}
