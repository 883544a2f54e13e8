import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { type Api, must, type Schemas, useActing } from "../api/client";
import { useLive } from "../common/prefs";

export type Queue = Schemas["Queue"];
export type QueueInput = Schemas["QueueInput"];

// useQueue returns a queue with its live numbers.
export function useQueue(name: string) {
  const { api, tenant } = useActing();
  return useQuery({
    queryKey: ["queue", tenant, name],
    refetchInterval: useLive(2000),
    queryFn: () => must(api.GET("/v1/queues/{queue}", { params: { path: { queue: name } } })),
  });
}

// turn pauses the receiving of a queue, or resumes all of it.
export function turn(api: Api, queue: string, pause: boolean): Promise<Queue> {
  const params = { path: { queue } };
  return pause ? must(api.POST("/v1/queues/{queue}/pause", { params, body: { direction: "receive" } })) : must(api.POST("/v1/queues/{queue}/resume", { params, body: { direction: "both" } }));
}

// held is how many messages a queue has, in whatever state.
export function held({ counts: c }: Queue): number {
  return c.available + c.in_flight + c.delayed + c.moving;
}

export const pageSize = 50;

// orders are those in which the server can list queues, with - for the largest first.
export const orders = ["name", "-name", "available", "-available", "in_flight", "-in_flight", "delayed", "-delayed", "oldest_age", "-oldest_age", "sent_rate", "-sent_rate", "received_rate", "-received_rate"] as const;

export type Order = (typeof orders)[number];

// useQueues returns the queues with a text in their names, and with a label where one is given: its key, or key=value.
export function useQueues(q: string, sort: Order, cursor: string | undefined, limit = pageSize, label = "") {
  const { api, tenant } = useActing();
  return useQuery({
    queryKey: ["queues", tenant, q, sort, cursor, limit, label],
    refetchInterval: useLive(3000),
    queryFn: () => must(api.GET("/v1/queues", { params: { query: { q: q || undefined, label: label || undefined, sort, cursor, limit } } })),
  });
}

// useSparks returns the last hours of queues by their names, with one request for all, and how many steps an hour has.
export function useSparks(names: string[]) {
  const { api, tenant } = useActing();
  const queues = [...names].sort().join(","); // in whatever order they are shown
  const { data } = useQuery({
    queryKey: ["sparks", tenant, queues],
    enabled: names.length > 0,
    placeholderData: keepPreviousData,
    refetchInterval: useLive(30_000),
    queryFn: () => must(api.GET("/v1/sparks", { params: { query: { queues } } })),
  });
  return { points: new Map(data?.data.map((s) => [s.queue, s.available])), steps: data ? (Date.parse(data.to) - Date.parse(data.from)) / 1000 / data.step : 0 };
}
