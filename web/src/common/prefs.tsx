import { createContext, type ReactNode, useContext, useMemo, useState } from "react";

// How somebody likes to look at things. It stays in the browser: it says nothing about what is shown.
type Prefs = { live: boolean; setLive: (on: boolean) => void; utc: boolean; setUtc: (on: boolean) => void };

const PrefsContext = createContext<Prefs>({ live: true, setLive: () => {}, utc: false, setUtc: () => {} });

export function PrefsProvider({ children }: { children: ReactNode }) {
  const [live, setLive] = useState(true);
  const [utc, keepUtc] = useState(() => localStorage.getItem("sluice-utc") === "1");
  const prefs = useMemo(
    () => ({
      live,
      setLive,
      utc,
      setUtc: (on: boolean) => {
        localStorage.setItem("sluice-utc", on ? "1" : "0");
        keepUtc(on);
      },
    }),
    [live, utc],
  );
  return <PrefsContext value={prefs}>{children}</PrefsContext>;
}

export function usePrefs(): Prefs {
  return useContext(PrefsContext);
}

// useLive returns how often to ask again, in milliseconds: never while paused. Hidden tabs do not ask at all.
export function useLive(ms: number): number | false {
  return usePrefs().live && ms;
}
