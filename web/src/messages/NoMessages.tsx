import { Button, Card, Group, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { count } from "../common/format";
import { Empty } from "../common/states";
import { Instant } from "../common/Time";
import { useUrl } from "../common/url";
import type { Queue } from "../queues/data";
import { lastBusy, useSeries } from "../stats/data";
import type { State } from "./data";

// NoMessages says why there is nothing to show: all are in another state, all is done, or nothing was ever sent.
export function NoMessages({ queue: q, state }: { queue: Queue; state: State }) {
  const { available, in_flight, delayed } = q.counts;
  if (state !== "all" && available + in_flight + delayed > 0) return <Elsewhere queue={q} state={state} />;
  return q.totals.sent > 0 ? <Drained queue={q} /> : <Never queue={q.name} />;
}

function Elsewhere({ queue: { counts }, state }: { queue: Queue; state: State }) {
  const [, setUrl] = useUrl();
  const words = { available: "available", in_flight: "in flight", delayed: "delayed" } as const;
  const others = (["available", "in_flight", "delayed"] as const).filter((s) => counts[s] > 0);
  const [only] = others;
  const all = others.length === 1 && only && only !== state ? only : undefined;
  return (
    <Card withBorder>
      <Group>
        <Text size="sm">
          {all ? (
            <>
              {counts[all] === 1 ? "The only message is" : `All ${count(counts[all])} messages are`} {words[all]}
              {all === "in_flight" && ": consumers hold what there is"}.
            </>
          ) : (
            <>
              None is {state.replace("_", " ")}: {others.map((s) => `${count(counts[s])} ${words[s]}`).join(", ")}.
            </>
          )}
        </Text>
        {all && (
          <Button size="compact-sm" variant="default" onClick={() => setUrl({ state: all, cursor: undefined })}>
            {all === "in_flight" ? "Who holds them" : all === "delayed" ? "When they are due" : "Look"}
          </Button>
        )}
      </Group>
    </Card>
  );
}

// Drained says since when the queue is empty, as far back as its numbers go.
function Drained({ queue: q }: { queue: Queue }) {
  const hour = useSeries({ queue: q.name }, "1h", false);
  const week = useSeries({ queue: q.name }, "7d", false);
  const at = (hour.data && lastBusy(hour.data)) ?? (week.data && lastBusy(week.data));
  return (
    <Empty title="All is done" call={{ method: "POST", path: pathOf`/v1/queues/${q.name}/messages`, body: "hello" }} action={<SendOne queue={q.name} />}>
      The queue is empty
      {at !== undefined && (
        <>
          {" "}
          since about <Instant at={new Date(at).toISOString()} />
        </>
      )}
      . {count(q.totals.sent)} {q.totals.sent === 1 ? "was" : "were"} sent since it was made.
    </Empty>
  );
}

function Never({ queue }: { queue: string }) {
  return (
    <Empty title="Nothing was sent yet" call={{ method: "POST", path: pathOf`/v1/queues/${queue}/messages`, body: "hello" }} action={<SendOne queue={queue} />}>
      The body of the request is the message, whatever it is:
    </Empty>
  );
}

function SendOne({ queue }: { queue: string }) {
  const { tenant = "" } = useActing();
  return (
    <Button component={Link} to={`/t/${tenant}/queues/${encodeURIComponent(queue)}/send`}>
      Send a message
    </Button>
  );
}
