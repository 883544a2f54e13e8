import { useQuery } from "@tanstack/react-query";
import { must, type Schemas, useActing } from "../api/client";
import { ago } from "../common/format";
import { useLive } from "../common/prefs";

export type Subscription = Schemas["Subscription"];
export type Delivery = Schemas["Delivery"];
export type Gap = Schemas["WebhookGap"];

// Place is the webhook of an address.
export type Place = { topic: string; subscription: string };

export const pathOfWebhook = ({ topic, subscription }: Place) => `/v1/topics/${encodeURIComponent(topic)}/subscriptions/${encodeURIComponent(subscription)}`;

export function useWebhook(place: Place) {
  const { api, tenant } = useActing();
  return useQuery({
    queryKey: ["webhook", tenant, place],
    refetchInterval: useLive(2000),
    queryFn: () => must(api.GET("/v1/topics/{topic}/subscriptions/{subscription}", { params: { path: place } })),
  });
}

export type DeliveryFilter = { status?: Delivery["status"]; message_id?: string; cursor?: string };

export function useDeliveries(place: Place, filter: DeliveryFilter) {
  const { api, tenant } = useActing();
  return useQuery({
    queryKey: ["deliveries", tenant, place, filter],
    refetchInterval: useLive(2000),
    queryFn: () => must(api.GET("/v1/topics/{topic}/subscriptions/{subscription}/deliveries", { params: { path: place, query: { ...filter, limit: 50 } } })),
  });
}

const summed = 100;

// useLastAttempts returns the attempts by which the health of an endpoint is told.
export function useLastAttempts(place: Place) {
  const { api, tenant } = useActing();
  return useQuery({
    queryKey: ["deliveries", tenant, place, "last"],
    refetchInterval: useLive(10_000),
    queryFn: () => must(api.GET("/v1/topics/{topic}/subscriptions/{subscription}/deliveries", { params: { path: place, query: { limit: summed } } })),
  });
}

// inMillis writes how long something took.
export function inMillis(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}

// inWords says what came of an attempt.
export function inWords(d: Delivery): string {
  const took = inMillis(d.duration_ms);
  if (!d.error) return `It was answered with ${d.response_status} after ${took}.`;
  return `${d.error.detail.replace(/\.$/, "")}, after ${took}.`;
}

// gates says what the state of the way to an endpoint means; until is in seconds.
export function gateInWords(gate: NonNullable<Subscription["delivery"]>["gate"], until: number | undefined): string {
  const then = until === undefined || until <= 0 ? "" : ` for ${ago(until)}`;
  return {
    open: "It is sent to.",
    throttled: `It has asked for peace${then}.`,
    tripped: `It failed five times in a row, and is left alone${then}. Then one attempt is made.`,
    probing: "One attempt is made, to see whether it answers again.",
    paused: "It is paused: what waits stays, and what is published waits in the log.",
    unverified: `It has not answered a challenge, and gets nothing before it does.${then && ` The next one comes in${then.slice(4)}.`}`,
    disabled: "It is disabled: what waits stays, and what is published is dropped.",
  }[gate];
}
