import { useEffect, useState } from "react";
import { ago } from "./format";
import { usePrefs } from "./prefs";

// useNow returns the time in milliseconds, once a second.
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

// Instant shows a time of the API, in the reader's zone or in UTC.
export function Instant({ at }: { at: string | null | undefined }) {
  const { utc } = usePrefs();
  if (!at) return <span className="quiet">–</span>;
  const d = new Date(at);
  const text = utc ? d.toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC") : d.toLocaleString("sv");
  return (
    <time dateTime={at} title={d.toISOString()}>
      {text}
    </time>
  );
}

// Ago shows how long ago a time was, or how long it is still to come.
export function Ago({ at, empty = "–" }: { at: string | null | undefined; empty?: string }) {
  const now = useNow();
  if (!at) return <span className="quiet">{empty}</span>;
  const seconds = (now - Date.parse(at)) / 1000;
  return (
    <time dateTime={at} title={new Date(at).toISOString()}>
      {Math.abs(seconds) < 1 ? "now" : seconds > 0 ? `${ago(seconds)} ago` : `in ${ago(-seconds)}`}
    </time>
  );
}
