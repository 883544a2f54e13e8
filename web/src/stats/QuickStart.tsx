import { Button, Card, Group, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { must, useActing } from "../api/client";
import { type Call, curlOf, pathOf } from "../api/curl";
import { apiUrl } from "../api/place";
import { Command } from "../common/Curl";
import { useLive } from "../common/prefs";
import { mayLoad } from "../demo/shop";
import type { Queue } from "../queues/data";
import { useSession } from "../shell/session";

type Step = { title: string; done: boolean; call: Call; to: string; link: string };

// QuickStart leads to the first message. Each step is done when it has happened, by whatever client.
export function QuickStart({ queues }: { queues: Queue[] }) {
  const { api, tenant = "", operator } = useActing();
  const navigate = useNavigate();
  const { data: session } = useSession();
  const topics = useQuery({
    queryKey: ["topics", tenant, "first"],
    refetchInterval: useLive(5000),
    queryFn: () => must(api.GET("/v1/topics", { params: { query: { limit: 1 } } })),
  });
  const name = queues[0]?.name ?? "orders";
  const sent = queues.some((q) => q.totals.sent > 0);
  const received = queues.some((q) => q.totals.received > 0);
  const topic = topics.data?.data[0];
  const place = `/t/${tenant}/queues`;
  const fifo = queues[0]?.type === "fifo" ? { "Message-Group-Id": "a", "Message-Deduplication-Id": "1" } : undefined;
  const steps: Step[] = [
    { title: "Make a queue", done: queues.length > 0, call: { method: "PUT", path: pathOf`/v1/queues/${name}` }, to: place, link: "or here" },
    { title: "Send a message", done: sent, call: { method: "POST", path: pathOf`/v1/queues/${name}/messages`, body: "hello", headers: fifo }, to: queues.length > 0 ? `${place}/${encodeURIComponent(name)}/send` : place, link: "or here" },
    { title: "Receive it", done: received, call: { method: "POST", path: `${pathOf`/v1/queues/${name}/receive`}?wait=20` }, to: queues.length > 0 ? `${place}/${encodeURIComponent(name)}/receive` : place, link: "or here" },
    {
      title: "Let a topic bring messages to queues and webhooks",
      done: topic !== undefined && topic.subscriptions > 0,
      call: topic ? { method: "PUT", path: pathOf`/v1/topics/${topic.name}/subscriptions/first`, body: { queue: name } } : { method: "PUT", path: "/v1/topics/order-events" },
      to: `/t/${tenant}/topics`,
      link: "or here",
    },
  ];
  return (
    <Card withBorder padding="lg">
      <Title order={2} size="h4" mb="xs">
        From nothing to a message
      </Title>
      <Text size="sm" mb="sm">
        In a terminal, with a key of {tenant} in <code>$KEY</code>. What is done is ticked, here or there.
      </Text>
      <Stack component="ol" gap="sm" style={{ listStyle: "none", margin: 0, padding: 0 }} aria-label="First steps">
        {steps.map((s) => (
          <li key={s.title}>
            <Text size="sm" mb={4}>
              <span aria-hidden="true">{s.done ? "✓" : "○"} </span>
              {s.title}
              {s.done ? (
                <span className="quiet">: done</span>
              ) : (
                <>
                  {" ("}
                  <Link className="link" to={s.to}>
                    {s.link}
                  </Link>
                  )
                </>
              )}
            </Text>
            {!s.done && <Command text={curlOf(s.call, operator ? tenant : undefined)} />}
          </li>
        ))}
      </Stack>
      {mayLoad(session) && (
        <Group mt="md" gap="sm">
          <Text size="sm">Or look at queues, a topic and messages of a small shop:</Text>
          <Button size="compact-sm" variant="default" onClick={() => void navigate({ to: "/t/$tenant/queues", params: { tenant }, search: { new: "demo" } })}>
            Load demo data…
          </Button>
        </Group>
      )}
      <Text size="sm" mt="md" mb={4}>
        Or watch such a shop at work in this tenant, with failures and a queue that nobody consumes, until you interrupt it:
      </Text>
      <Command text={`SLUICE_KEY=$KEY sluice demo --url ${apiUrl}`} />
    </Card>
  );
}
