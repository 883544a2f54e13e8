import { createContext, type ReactNode, useContext, useMemo, useState } from "react";

// How somebody likes to look at things. It stays in the browser: it says nothing about what is shown.
type Prefs = { live: boolean; setLive: (on: boolean) => void; every: number; setEvery: (seconds: number) => void; utc: boolean; setUtc: (on: boolean) => void };

// intervals are how often numbers may be asked for at most, in seconds; 0: as often as each of them is.
export const intervals = [0, 10, 60] as const;

const PrefsContext = createContext<Prefs>({ live: true, setLive: () => {}, every: 0, setEvery: () => {}, utc: false, setUtc: () => {} });

export function PrefsProvider({ children }: { children: ReactNode }) {
  const [live, setLive] = useState(true);
  const [every, keepEvery] = useState(() => intervals.find((s) => String(s) === localStorage.getItem("sluice-every")) ?? 0);
  const [utc, keepUtc] = useState(() => localStorage.getItem("sluice-utc") === "1");
  const prefs = useMemo(
    () => ({
      live,
      setLive,
      every,
      setEvery: (seconds: number) => {
        localStorage.setItem("sluice-every", String(seconds));
        keepEvery(intervals.find((s) => s === seconds) ?? 0);
      },
      utc,
      setUtc: (on: boolean) => {
        localStorage.setItem("sluice-utc", on ? "1" : "0");
        keepUtc(on);
      },
    }),
    [live, every, utc],
  );
  return <PrefsContext value={prefs}>{children}</PrefsContext>;
}

export function usePrefs(): Prefs {
  return useContext(PrefsContext);
}

// useLive returns how often to ask again, in milliseconds: never while paused, and no more often than somebody wants. Hidden tabs do not
// ask at all.
export function useLive(ms: number): number | false {
  const { live, every } = usePrefs();
  return live && Math.max(ms, every * 1000);
}
