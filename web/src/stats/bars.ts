// stackedOf puts lines on each other: each becomes the sum of itself and those before it.
export function stackedOf(lines: { values: (number | null)[] }[]): number[][] {
  const sums: number[][] = [];
  for (const { values } of lines) sums.push(values.map((v, i) => (v ?? 0) + (sums.at(-1)?.[i] ?? 0)));
  return sums;
}

const tile = 6; // pixels of CSS: the least height of a bar that has a mark
const back = 0.2; // how much of the colour is between the marks

// marks are what stacked bars are filled with, so that they differ by more than colour: lines from x, y to x, y in a tile that is 1
// wide and high. Without any, the whole is filled.
const marks: [number, number, number, number][][] = [
  [],
  [[0.3, 0.5, 0.7, 0.5]],
  [[-0.25, 0.25, 0.25, -0.25], [0, 1, 1, 0], [0.75, 1.25, 1.25, 0.75]],
  [[0, 0.5, 1, 0.5], [0.5, 0, 0.5, 1]],
  [[0, 0.5, 1, 0.5]],
  [[0.5, 0, 0.5, 1]],
];

const colors = { light: ["#0b7285", "#6b2fa0", "#b03a06", "#c2255c", "#495057", "#2b6a1f"], dark: ["#3bc9db", "#d0bfff", "#ffa94d", "#ff8787", "#c9c9c9", "#a9e34b"] };

// fillOf is the fill of the bars of a line, for a canvas of as many pixels as the screen has.
export function fillOf(at: number, scheme: "light" | "dark"): CanvasPattern | string {
  const color = colors[scheme][at % marks.length] ?? "";
  const lines = marks[at % marks.length] ?? [];
  const size = Math.round(tile * devicePixelRatio);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const c = canvas.getContext("2d");
  if (!c || lines.length === 0) return color;
  c.scale(size, size);
  c.fillStyle = c.strokeStyle = color;
  c.globalAlpha = back;
  c.fillRect(0, 0, 1, 1);
  c.globalAlpha = 1;
  c.lineWidth = 0.25;
  for (const [x, y, toX, toY] of lines) {
    c.moveTo(x, y);
    c.lineTo(toX, toY);
  }
  c.stroke();
  return c.createPattern(canvas, "repeat") ?? color;
}

const swatch = 14; // pixels of CSS

// markOf is what stands beside a name in the legend.
export function markOf(fill: CanvasPattern | string): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.round(swatch * devicePixelRatio);
  canvas.style.width = canvas.style.height = `${swatch}px`;
  const c = canvas.getContext("2d");
  if (c) {
    c.fillStyle = fill;
    c.fillRect(0, 0, canvas.width, canvas.height);
  }
  return canvas;
}
