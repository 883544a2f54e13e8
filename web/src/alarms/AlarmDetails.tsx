import { Badge, Button, Drawer, Group, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { must, useActing } from "../api/client";
import { Curl } from "../common/Curl";
import { ago } from "../common/format";
import { Facts } from "../common/Page";
import { useLive } from "../common/prefs";
import { Rows } from "../common/Rows";
import { Loaded } from "../common/states";
import { Ago, Instant } from "../common/Time";
import { type Alarm, metrics, ruleOf, type State, stateText, targetOf } from "./data";

const colors: Record<State, string> = { ok: "green", alarm: "red", no_data: "gray" };

export function StateBadge({ state }: { state: State }) {
  return (
    <Badge variant="dot" color={colors[state]} tt="none">
      {stateText[state]}
    </Badge>
  );
}

// told says who hears of what.
function told({ notify }: Alarm): string {
  const who = [...(notify.topic ? [`topic ${notify.topic}`] : []), ...notify.email];
  return who.length ? `${who.join(", ")}, when it turns to ${notify.on.map((s) => stateText[s as State]).join(" or ")}` : "nobody";
}

// AlarmDetails is one alarm: what it has seen, and the changes of its state.
export function AlarmDetails({ of: a, close, edit }: { of: Alarm; close: () => void; edit: () => void }) {
  const { api, tenant } = useActing();
  const history = useQuery({
    queryKey: ["alarms", tenant, "history", a.name],
    refetchInterval: useLive(10_000),
    queryFn: () => must(api.GET("/v1/alarms/{alarm}/history", { params: { path: { alarm: a.name } } })),
  });
  const facts: [string, React.ReactNode][] = [
    ["State", <StateBadge key="s" state={a.state} />],
    ["Since", <Ago key="a" at={a.since} />],
    ["Looks at", `${metrics[a.metric].label}: ${targetOf(a)}`],
    ["Raised when", `${ruleOf(a)}; a look each ${ago(a.period)}`],
    ["Last seen", a.value === null ? "–" : `${metrics[a.metric].write(a.value)} (${a.seen})`],
    ["Looked", <Ago key="e" at={a.evaluated_at} empty="not yet" />],
    ["Tells", told(a)],
  ];
  if (a.muted_until) facts.push(["Muted until", <span key="m"><Instant at={a.muted_until} /> {a.mute_reason}</span>]);
  if (a.last_error) facts.push(["Could not be told", `${a.last_error.code}: ${a.last_error.detail}`]);
  return (
    <Drawer opened onClose={close} position="right" size="lg" title={a.name} closeButtonProps={{ "aria-label": "Close" }}>
      <Stack>
        {a.description && <Text size="sm">{a.description}</Text>}
        <Facts of={facts} />
        <Group>
          <Button size="xs" variant="default" onClick={edit}>
            Change…
          </Button>
          <Curl call={{ method: "GET", path: `/v1/alarms/${a.name}/history` }} />
        </Group>
        <Title order={3} size="h5">
          History
        </Title>
        <Loaded query={history}>
          {({ data }) =>
            data.length === 0 ? (
              <Text size="sm">Its state has not changed yet.</Text>
            ) : (
              <Rows
                label="History"
                rows={data}
                rowKey={(h) => h.at}
                columns={[
                  { title: "When", cell: (h) => <Instant at={h.at} /> },
                  { title: "State", cell: (h) => <StateBadge state={h.to} /> },
                  { title: "Why", wide: true, cell: (h) => <span>{h.reason}{h.muted && <span className="quiet"> Nobody was told.</span>}</span> },
                ]}
              />
            )
          }
        </Loaded>
      </Stack>
    </Drawer>
  );
}
