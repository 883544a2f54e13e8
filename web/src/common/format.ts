const units: [string, number][] = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];

// duration writes seconds as the API takes them: 5400 is 1h30m.
export function duration(seconds: number): string {
  if (seconds === 0) return "0s";
  let rest = seconds;
  let text = "";
  for (const [name, size] of units) {
    const n = Math.floor(rest / size);
    if (n > 0) text += `${n}${name}`;
    rest -= n * size;
  }
  return text || `${seconds.toFixed(1)}s`;
}

// ago writes an age with one or two units, which is what an eye takes in.
export function ago(seconds: number): string {
  if (seconds < 1) return "now";
  const at = units.findIndex(([, size]) => seconds >= size);
  const first = units[at] ?? ["s", 1];
  const second = units[at + 1];
  const n = Math.floor(seconds / first[1]);
  const rest = second ? Math.floor((seconds - n * first[1]) / second[1]) : 0;
  return `${n}${first[0]}${second && rest > 0 && n < 10 ? ` ${rest}${second[0]}` : ""}`;
}

// spoken turns what somebody typed into what the API takes: a bare number is a number, and nothing is nothing.
export function spoken(text: string): string | number | null {
  const t = text.trim();
  return t === "" ? null : /^\d+$/.test(t) ? Number(t) : t;
}

export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  const at = Math.min(Math.floor(Math.log2(n) / 10), 4);
  const value = n / 1024 ** at;
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${["B", "KiB", "MiB", "GiB", "TiB"][at]}`;
}

export function count(n: number): string {
  return n.toLocaleString("en");
}

// plural writes a number with its noun.
export function plural(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

// rate writes how many there are a second.
export function rate(perSecond: number): string {
  return perSecond === 0 ? "–" : perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond));
}
