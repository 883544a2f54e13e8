import { Button, Card, Group, Stack, Text, Title } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { must, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { ErrorState } from "../common/states";
import type { Queue } from "./data";

const waitSeconds = 5; // for the probe to be received; it is there already

type Step = { what: string; ms: number };

// nameFor returns a name that nobody else has, for a queue of the same type.
function nameFor(q: Queue): string {
  const random = Array.from(crypto.getRandomValues(new Uint8Array(6)), (b) => b.toString(16).padStart(2, "0")).join("");
  return `connection-test-${random}${q.type === "fifo" ? ".fifo" : ""}`;
}

// ConnectTest sends a message, receives and acknowledges it. Which message a receive returns nobody can choose, so it has a queue of its
// own for that, which is made and deleted: no consumer gets the probe, and the probe takes no message away from one.
export function ConnectTest({ queue: q }: { queue: Queue }) {
  const { api } = useActing();
  const [steps, setSteps] = useState<Step[]>([]);
  const [busy, setBusy] = useState(false);
  const [left, setLeft] = useState<string>(); // the queue that could not be deleted
  const [silent, setSilent] = useState(false); // nothing was received
  const [error, setError] = useState<unknown>();
  const shown = useRef(true);
  useEffect(() => {
    shown.current = true;
    return () => {
      shown.current = false;
    };
  }, []);
  const fifo = q.type === "fifo";
  const run = async () => {
    const queue = nameFor(q);
    const params = { path: { queue } };
    const timed = async <T,>(what: string, call: () => Promise<T>): Promise<T> => {
      const begin = performance.now();
      const answer = await call();
      if (shown.current) setSteps((s) => [...s, { what, ms: performance.now() - begin }]);
      return answer;
    };
    setBusy(true);
    setSteps([]);
    setError(undefined);
    setLeft(undefined);
    setSilent(false);
    try {
      await timed("A queue was made", () => must(api.PUT("/v1/queues/{queue}", { params, body: {} })));
      try {
        const message = { body: "a test of the connection", ...(fifo && { group_id: "test", deduplication_id: queue }) };
        await timed("A message was sent", () => must(api.POST("/v1/queues/{queue}/messages/batch", { params, body: { messages: [message] } })));
        const handle = await timed("A receive was answered", async () => {
          const got = await must(api.POST("/v1/queues/{queue}/receive", { params: { ...params, query: { wait: waitSeconds } } }));
          return typeof got === "object" ? got.messages[0]?.receipt_handle : undefined; // text only where raw was asked for
        });
        if (handle) await timed("The message was acknowledged", () => must(api.DELETE("/v1/queues/{queue}/receipts/{handle}", { params: { path: { queue, handle } } })));
        else setSilent(true);
      } finally {
        await timed("The queue was deleted", () => must(api.DELETE("/v1/queues/{queue}", { params }))).catch((e: unknown) => {
          setLeft(queue);
          throw e;
        });
      }
    } catch (e) {
      setError(e);
    }
    setBusy(false);
  };
  const at = "connection-test";
  const name = fifo ? `${at}.fifo` : at;
  return (
    <Card withBorder>
      <Stack gap="sm">
        <Group justify="space-between">
          <Title order={2} size="h5">
            Test the connection
          </Title>
          <Group gap="xs">
            <Button variant="default" loading={busy} onClick={() => void run()}>
              {steps.length > 0 || error !== undefined ? "Test again" : "Test"}
            </Button>
            <Curl
              call={{ method: "PUT", path: pathOf`/v1/queues/${name}` }}
              then={[
                { method: "POST", path: pathOf`/v1/queues/${name}/messages`, body: "a test of the connection", headers: fifo ? { "Message-Group-Id": "test", "Message-Deduplication-Id": "1" } : undefined },
                { method: "POST", path: `${pathOf`/v1/queues/${name}/receive`}?wait=${waitSeconds}&ack=auto` },
                { method: "DELETE", path: pathOf`/v1/queues/${name}` },
              ]}
              label="Testing by curl"
            />
          </Group>
        </Group>
        <Text size="sm">
          This makes a queue, sends a message there, receives and acknowledges it, and deletes the queue again. It touches no message of {q.name} and no consumer gets one of it. It says whether the server does its
          work, and what you may, as you are signed in: a program has a key of its own.
        </Text>
        {q.paused?.receive && <Text size="sm">From {q.name} itself nothing is received as long as it is paused.</Text>}
        <div aria-live="polite">
          {steps.length > 0 && (
            <ol className="timeline" aria-label="Steps of the test">
              {steps.map((s) => (
                <li key={s.what}>
                  {s.what} <span className="quiet">in {s.ms < 10 ? s.ms.toFixed(1) : Math.round(s.ms)} ms</span>
                </li>
              ))}
            </ol>
          )}
        </div>
        {silent && (
          <Text size="sm" role="alert">
            The message was sent and was not there to be received {waitSeconds} seconds later.
          </Text>
        )}
        {steps.length === 5 && error === undefined && <Text size="sm">All is well.</Text>}
        {error !== undefined && <ErrorState error={error} />}
        {left && (
          <Text size="sm" role="alert">
            The queue <b>{left}</b> is still there: delete it.
          </Text>
        )}
      </Stack>
    </Card>
  );
}
