import { Button, Group, Stack, Text } from "@mantine/core";
import { useEffect, useState } from "react";
import { apiUrl } from "../api/place";
import { type Schemas, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { lines } from "../api/stream";
import { Curl } from "../common/Curl";
import { plural } from "../common/format";
import { usePrefs } from "../common/prefs";
import { Empty, ErrorState } from "../common/states";
import { useUrl } from "../common/url";
import { useQueueName } from "../queues/QueuePage";
import { MessageDrawer } from "./MessageDrawer";
import { MessageRows } from "./MessageRows";

type Tailed = Schemas["TailedMessage"];

const kept = 200;
const again = 3000;

// Tail shows messages as they come. While it is paused they gather behind a button, so that no row moves under the reader.
export function Tail() {
  const { tenant, operator } = useActing();
  const queue = useQueueName();
  const { live } = usePrefs();
  const [search, setUrl] = useUrl();
  const [seen, setSeen] = useState<Tailed[]>([]);
  const [waiting, setWaiting] = useState<Tailed[]>([]);
  const [error, setError] = useState<unknown>();
  const path = pathOf`/v1/queues/${queue}/tail`;
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    let cursor = "";
    const run = async () => {
      try {
        const url = apiUrl + path + (cursor ? `?cursor=${encodeURIComponent(cursor)}` : "");
        const headers = operator && tenant ? { Tenant: tenant } : undefined;
        for await (const item of lines<Tailed>(url, headers, stop.signal)) {
          cursor = item.cursor;
          setWaiting((w) => [item, ...w].slice(0, kept));
          setError(undefined);
        }
      } catch (e) {
        if (stop.signal.aborted) return;
        setError(e);
      }
      if (!stop.signal.aborted) timer = setTimeout(run, again);
    };
    void run();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [path, tenant, operator]);
  useEffect(() => {
    if (!live || waiting.length === 0) return;
    setSeen((s) => [...waiting, ...s].slice(0, kept));
    setWaiting([]);
  }, [live, waiting]);
  return (
    <Stack>
      <Group justify="space-between">
        <Text size="sm" className="quiet">
          What becomes available from now on, the newest first. What is received within a second is not shown.
        </Text>
        <Curl call={{ method: "GET", path, stream: true }} />
      </Group>
      {error !== undefined && <ErrorState error={error} />}
      {!live && waiting.length > 0 && (
        <div>
          <Button
            variant="default"
            onClick={() => {
              setSeen((s) => [...waiting, ...s].slice(0, kept));
              setWaiting([]);
            }}
          >
            {plural(waiting.length, "new message")} · show
          </Button>
        </div>
      )}
      {seen.length === 0 ? (
        <Empty title="Waiting for messages" call={{ method: "POST", path: pathOf`/v1/queues/${queue}/messages`, body: "hello" }}>
          Send one from here or from a terminal, and it shows within a second:
        </Empty>
      ) : (
        <MessageRows messages={seen} open={(id) => setUrl({ m: id })} />
      )}
      {search.m && <MessageDrawer queue={queue} id={search.m} close={() => setUrl({ m: undefined })} changed={() => {}} />}
    </Stack>
  );
}
