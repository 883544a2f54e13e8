import { Button, Card, Group, NativeSelect, Stack, Text, Title } from "@mantine/core";
import { memo, useEffect, useLayoutEffect, useRef, useState } from "react";
import { failureOf } from "../api/client";
import { withQuery } from "../api/curl";
import { apiUrl } from "../api/place";
import { lines } from "../api/stream";
import { Copy, Curl } from "../common/Curl";
import { plural } from "../common/format";
import { Facts, SearchField } from "../common/Page";
import { usePrefs } from "../common/prefs";
import { Empty, ErrorState, NoMatch, Waiting } from "../common/states";
import { Instant } from "../common/Time";
import { useUrl } from "../common/url";
import { useVisible } from "../shell/changes";
import { added, clockOf, levelOf, levels, type LogLine, textOf, wholeOf } from "./log";

const path = "/v1/system/log";
// Lines are shown together that come within gathered milliseconds, or where more than so many came in one turn, within longer: a busy
// server writes thousands a second, and the page is there for other things too.
const gathered = 200;
const busy = { lines: 200, gathered: 1000 };
const again = 3000; // milliseconds until the stream is opened again
const near = 24; // pixels from the end within which it is followed

const words = { debug: "All levels", info: "Info and above", warn: "Warnings and errors", error: "Errors" } as const;

// Log is what is on the page, and what waits until somebody wants to see it.
type Log = { url: string; seen: LogLine[]; waiting: LogLine[] };

// useLog follows the log. There is none before the server has answered. Nothing is asked while the tab is hidden: what came meanwhile is
// told afterwards.
function useLog(query: { level?: string; q?: string }) {
  const visible = useVisible();
  const url = apiUrl + withQuery(path, query);
  const [log, setLog] = useState<Log>();
  const [error, setError] = useState<unknown>();
  const [tries, setTries] = useState(0);
  const place = useRef({ url, cursor: "" });
  useEffect(() => {
    if (!visible) return;
    if (place.current.url !== url) place.current = { url, cursor: "" };
    setError(undefined);
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    let showing: ReturnType<typeof setTimeout> | undefined;
    let came: LogLine[] = [];
    let wait = gathered;
    const show = () => {
      showing = undefined;
      const more = came;
      wait = more.length > busy.lines ? busy.gathered : gathered;
      came = [];
      setLog((l) => (l?.url === url ? { ...l, waiting: added(l.waiting, more) } : { url, seen: [], waiting: added([], more) }));
    };
    const soon = () => {
      showing ??= setTimeout(show, wait);
    };
    const run = async () => {
      const { cursor } = place.current;
      try {
        const opened = () => {
          setError(undefined);
          soon();
        };
        for await (const line of lines<LogLine>(apiUrl + withQuery(path, { ...query, cursor }), undefined, stop.signal, opened)) {
          place.current.cursor = line.cursor;
          came.push(line);
          soon();
        }
      } catch (e) {
        if (stop.signal.aborted) return;
        setError(e);
        const { status } = failureOf(e);
        if (status >= 400 && status < 429) return; // it would be refused again
      }
      if (!stop.signal.aborted) timer = setTimeout(() => void run(), again);
    };
    void run();
    return () => {
      stop.abort();
      clearTimeout(timer);
      clearTimeout(showing);
      if (came.length > 0) show();
    };
    // What the query says is in the URL.
  }, [url, visible, tries]);
  return {
    log: log?.url === url ? log : undefined,
    error,
    retry: () => setTries((n) => n + 1),
    show: () => setLog((l) => l && { ...l, seen: added(l.seen, l.waiting), waiting: [] }),
  };
}

// ServerLog shows the log of the server as it grows, the newest at the end. Whoever reads further up, or has a line open, is not
// disturbed: what comes then waits behind a button, as it does while the page is paused.
export function ServerLog() {
  const [search, setUrl] = useUrl();
  const { live } = usePrefs();
  const level = levelOf(search.level);
  const query = { level: level === "debug" ? undefined : level, q: search.q };
  const { log, error, retry, show } = useLog(query);
  const { seen = [], waiting = [] } = log ?? {};
  const [atEnd, setAtEnd] = useState(true);
  const box = useRef<HTMLDivElement>(null);
  const open = seen.some((l) => l.cursor === search.m);
  const follows = seen.length === 0 || (live && atEnd && !open);
  useEffect(() => {
    if (follows && waiting.length > 0) show();
  });
  const last = seen.at(-1);
  useLayoutEffect(() => {
    if (atEnd && !open && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [last, atEnd, open]);
  const latest = useRef(setUrl);
  useEffect(() => {
    latest.current = setUrl;
  });
  const [toggle] = useState(() => (m: string | undefined) => latest.current({ m }));
  const toEnd = () => {
    show();
    setAtEnd(true);
    if (open) setUrl({ m: undefined });
  };
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <div>
          <Title order={2} size="h5">
            Log
          </Title>
          <Text size="sm" className="quiet">
            Of the server that answers{last?.server && <>, <span className="mono">{last.server}</span></>}. Others of the installation have logs of their own.
          </Text>
        </div>
        <Group gap="xs">
          <NativeSelect aria-label="Level" value={level ?? "debug"} onChange={(e) => setUrl({ level: e.currentTarget.value === "debug" ? undefined : e.currentTarget.value })} data={levels.map((l) => ({ value: l, label: words[l] }))} />
          <SearchField name="q" label="Which lines" placeholder="status=500, orders, req_…  ( / )" w={260} />
          <Curl call={{ method: "GET", path: withQuery(path, query), stream: true }} />
        </Group>
      </Group>
      <Stack gap="sm">
        {error !== undefined && <ErrorState error={error} retry={retry} />}
        {seen.length > 0 ? (
          <div
            ref={box}
            className={error === undefined ? "log" : "log stale"}
            role="log"
            aria-live="off"
            aria-label="Log"
            tabIndex={0}
            onScroll={(e) => {
              const { scrollTop, clientHeight, scrollHeight } = e.currentTarget;
              setAtEnd(scrollTop + clientHeight >= scrollHeight - near);
            }}
          >
            {seen.map((l) => (
              <Line key={l.cursor} of={l} open={l.cursor === search.m} toggle={toggle} />
            ))}
          </div>
        ) : !log || waiting.length > 0 ? (
          error === undefined && <Waiting rows={6} />
        ) : query.q || query.level ? (
          <NoMatch what={<>{query.q && <>“{query.q}” </>}{query.level && <>on level {query.level} or above </>}yet</>} clear={() => setUrl({ q: undefined, level: undefined })} />
        ) : (
          <Empty title="The log is silent" call={{ method: "GET", path, stream: true }}>
            Requests are in it, unless <code>log_requests</code> is off, and whatever goes wrong. What comes is shown at once.
          </Empty>
        )}
        {seen.length > 0 && (
          <Group justify="space-between" mih={30}>
            <Text size="xs" className="quiet">
              {plural(seen.length, "line")}
              {!live && ", paused"}
            </Text>
            {!follows && waiting.length > 0 ? (
              <Button size="xs" variant="default" onClick={toEnd}>
                {plural(waiting.length, "new line")} · show
              </Button>
            ) : (
              !atEnd && (
                <Button size="xs" variant="default" onClick={toEnd}>
                  To the end
                </Button>
              )
            )}
          </Group>
        )}
      </Stack>
    </Card>
  );
}

// Line is a line of the log, with all of it below while it is open.
const Line = memo(function Line({ of: l, open, toggle }: { of: LogLine; open: boolean; toggle: (m: string | undefined) => void }) {
  const { utc } = usePrefs();
  return (
    <>
      {l.skipped > 0 && <p className="log-gap">{plural(l.skipped, "line")} before this one went by too fast to be looked at.</p>}
      <button type="button" className={`log-line log-${l.level}`} aria-expanded={open} data-row onClick={() => toggle(open ? undefined : l.cursor)}>
        <span className="quiet">{clockOf(l, utc)}</span> <span className="log-level">{l.level}</span>{" "}
        <span className="log-text">
          {l.message} <span className="quiet">{textOf(l)}</span>
        </span>
      </button>
      {open && <Whole of={l} />}
    </>
  );
});

function Whole({ of: l }: { of: LogLine }) {
  const at = useRef<HTMLDivElement>(null);
  useEffect(() => {
    at.current?.scrollIntoView({ block: "nearest" });
    at.current?.previousElementSibling?.scrollIntoView({ block: "nearest" });
  }, []);
  return (
    <div ref={at} className="log-open">
      <Facts
        of={[
          ["When", <Instant key="w" at={l.time} />],
          ["Message", <span key="m" className="mono">{l.message}</span>],
          ...Object.entries(l.fields).map(([name, value]): [string, React.ReactNode] => [name, value === "" ? <span className="quiet">–</span> : <span className="mono">{value}</span>]),
          ["Server", <span key="s" className="mono">{l.server}</span>],
        ]}
      />
      {l.truncated && (
        <Text size="sm" className="quiet" mt="xs">
          It was longer than 4 KiB: its end is only where the server writes its log.
        </Text>
      )}
      <Group gap="xs" mt="xs">
        <Copy text={wholeOf(l)} label="Copy the line" />
        <Copy text={JSON.stringify(l.fields, null, 2)} label="Copy the fields" />
      </Group>
    </div>
  );
}
