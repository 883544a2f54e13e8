import { Button, Group, Modal, Radio, SegmentedControl, Stack, Text } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { must, useActing } from "../api/client";
import { pathOf, withQuery } from "../api/curl";
import { Curl } from "../common/Curl";
import { bytes, count, plural } from "../common/format";
import { save } from "../common/save";
import { ErrorState } from "../common/states";
import type { State } from "./data";

type Scope = "chosen" | "shown";
type Format = "ndjson" | "csv";

// What one file may hold, in characters: a browser has it in memory. Another one goes on behind it.
const mostInFile = 128 << 20;

type Props = { queue: string; ids: string[]; state: State; filter: string; total: number; close: () => void };

// ExportDialog writes messages into files of the browser's, part by part, and says how far it is.
export function ExportDialog({ queue, ids, state, filter, total, close }: Props) {
  const { api } = useActing();
  const [scope, setScope] = useState<Scope>(ids.length > 0 ? "chosen" : "shown");
  const [format, setFormat] = useState<Format>("ndjson");
  const [cursor, setCursor] = useState<string>(); // where the next file begins
  const [looked, setLooked] = useState(0);
  const [done, setDone] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const stops = useRef(false);
  const files = useRef(0);
  const closed = useRef(false);
  useEffect(() => {
    closed.current = false;
    return () => {
      closed.current = true;
    };
  }, []);
  const query = scope === "chosen" ? { format, ids: ids.join(",") } : { format, state: state === "all" ? undefined : state, filter: filter || undefined };
  const begun = cursor !== undefined || done || looked > 0;
  const run = async () => {
    setBusy(true);
    setError(undefined);
    stops.current = false;
    const parts: string[] = [];
    let next = cursor;
    let size = 0;
    try {
      do {
        const answer = await api.GET("/v1/queues/{queue}/export", { params: { path: { queue }, query: { ...query, cursor: next } }, parseAs: "text" });
        const text = (await must(Promise.resolve(answer))) ?? "";
        // The names of a table stand once in a file.
        parts.push(format === "csv" && parts.length > 0 ? text.slice(text.indexOf("\n") + 1) : text);
        size += text.length;
        next = nextOf(answer.response);
        setLooked((n) => n + Number(answer.response.headers.get("Scanned-Messages") ?? 0));
      } while (next !== undefined && !stops.current && !closed.current && size < mostInFile);
      setDone(next === undefined);
    } catch (e) {
      setError(e);
    }
    if (closed.current) return;
    // What was read before somebody stopped it, or before it failed, is there.
    if (parts.length > 0) {
      files.current++;
      save(`${queue}${files.current > 1 ? `-${files.current}` : ""}.${format}`, new Blob(parts), format === "csv" ? "text/csv" : "application/x-ndjson");
    }
    setCursor(next);
    setBusy(false);
  };
  return (
    <Modal opened onClose={close} title={`Export from ${queue}`} closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void run();
        }}
      >
        <Stack>
          <Radio.Group label="Which messages" value={scope} onChange={(v) => setScope(v === "chosen" ? v : "shown")}>
            <Stack gap={6} mt={6}>
              {ids.length > 0 && <Radio value="chosen" label={`The ${plural(ids.length, "message")} that you chose`} disabled={begun} />}
              <Radio value="shown" disabled={begun} label={<>All{state !== "all" && ` that are ${state.replace("_", " ")}`}{filter && <> that match <code>{filter}</code></>}</>} />
            </Stack>
          </Radio.Group>
          <SegmentedControl aria-label="Format" value={format} onChange={(f) => setFormat(f === "csv" ? f : "ndjson")} disabled={begun} data={[{ value: "ndjson", label: "JSON, one a line" }, { value: "csv", label: "CSV" }]} />
          <Text size="sm" className="quiet">
            Nothing is taken. One request looks at 10,000 messages at most, and this goes on until it has seen all, or {bytes(mostInFile)} fill a file.
            {format === "csv" && " A cell that a spreadsheet would run as a formula gets a ' in front."}
          </Text>
          {begun && (
            <Text size="sm" role="status">
              Looked at {count(looked)}
              {scope === "shown" && ` of ${count(Math.max(total, looked))}`}
              {done ? ": that is all." : busy ? "…" : ". The file has what was found so far; the next one goes on from there."}
            </Text>
          )}
          {error !== undefined && <ErrorState error={error} />}
          <Group justify="flex-end">
            <Curl call={{ method: "GET", path: withQuery(pathOf`/v1/queues/${queue}/export`, query) }} />
            <Button variant="default" onClick={close}>
              {done ? "Close" : "Cancel"}
            </Button>
            {busy ? (
              <Button
                variant="default"
                onClick={() => {
                  stops.current = true;
                }}
              >
                Stop
              </Button>
            ) : (
              !done && <Button type="submit">{begun ? "Continue" : "Export"}</Button>
            )}
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

// nextOf returns the cursor of the part behind an answer, which its Link names.
function nextOf(answer: Response): string | undefined {
  const query = /^<\?([^>]*)>/.exec(answer.headers.get("Link") ?? "")?.[1];
  return new URLSearchParams(query).get("cursor") ?? undefined;
}
