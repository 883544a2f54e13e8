import { useQuery } from "@tanstack/react-query";
import { must, type Schemas, useActing } from "../api/client";
import { ago, count } from "../common/format";
import { useLive } from "../common/prefs";

export type Alarm = Schemas["Alarm"];
export type AlarmInput = Schemas["AlarmInput"];
export type Metric = Alarm["metric"];
export type State = Alarm["state"];

export const states: State[] = ["alarm", "no_data", "ok"];

export const stateText: Record<State, string> = { alarm: "Alarm", no_data: "No data", ok: "OK" };

type About = { label: string; of: "queue" | "webhook" | "nothing"; unit: string; write: (n: number) => string };

const whole = (n: number) => count(Math.round(n));
const span = (n: number) => (n < 1 ? "0 s" : ago(n));
const share = (n: number) => `${Math.round(n * 10) / 10} %`;

export const metrics: Record<Metric, About> = {
  available: { label: "Messages available", of: "queue", unit: "messages", write: whole },
  in_flight: { label: "Messages in flight", of: "queue", unit: "messages", write: whole },
  delayed: { label: "Messages delayed", of: "queue", unit: "messages", write: whole },
  oldest_age: { label: "Age of the oldest message", of: "queue", unit: "seconds", write: span },
  dead_lettered: { label: "Messages dead-lettered in a period", of: "queue", unit: "messages", write: whole },
  unreceived: { label: "Time with messages that nobody receives", of: "queue", unit: "seconds", write: span },
  webhook_failure_rate: { label: "Attempts of webhooks that failed", of: "webhook", unit: "per cent", write: share },
  quota_used: { label: "Use of a limit", of: "nothing", unit: "per cent", write: share },
};

export const metricNames: Metric[] = ["available", "in_flight", "delayed", "oldest_age", "dead_lettered", "unreceived", "webhook_failure_rate", "quota_used"];

// targetOf says in words what an alarm looks at.
export function targetOf({ target }: Pick<Alarm, "target">): string {
  const what = target.queue === "*" ? "all queues" : target.queue ?? (target.topic ? (target.topic === "*" && target.subscription === "*" ? "all webhooks" : `${target.topic}/${target.subscription}`) : "all limits");
  return target.except?.length ? `${what} without ${target.except.join(", ")}` : what;
}

// ruleOf says in words what raises an alarm.
export function ruleOf(a: Pick<Alarm, "metric" | "comparison" | "threshold" | "period" | "periods">): string {
  const rule = `${a.comparison} ${metrics[a.metric].write(a.threshold)}`;
  return a.periods > 1 ? `${rule} for ${ago(a.period * a.periods)}` : a.period > 60 ? `${rule} each ${ago(a.period)}` : rule;
}

export function useAlarms(state: State | undefined) {
  const { api, tenant } = useActing();
  return useQuery({
    queryKey: ["alarms", tenant, state],
    refetchInterval: useLive(15_000),
    queryFn: () => must(api.GET("/v1/alarms", { params: { query: { state, limit: 500 } } })),
  });
}

// useRaisedAlarms returns the alarms that are raised. Who may not see alarms does not ask again.
export function useRaisedAlarms(): Alarm[] {
  const { api, tenant } = useActing();
  const live = useLive(30_000);
  const { data } = useQuery({
    queryKey: ["alarms", tenant, "raised"],
    enabled: tenant !== undefined,
    refetchInterval: (q) => (q.state.error ? false : live),
    retry: false,
    queryFn: () => must(api.GET("/v1/alarms", { params: { query: { state: "alarm", limit: 500 } } })),
  });
  return data?.data ?? [];
}
