import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useRef } from "react";
import { must, type Schemas, useActing } from "../api/client";
import { spoken } from "../common/format";
import { useLive } from "../common/prefs";
import { ratesOf, type Seen } from "./health";

export type Topic = Schemas["Topic"];
export type Subscription = Schemas["Subscription"];
export type SubscriptionInput = Schemas["SubscriptionInput"];

export function useTopic(name: string) {
  const { api, tenant } = useActing();
  return useQuery({
    queryKey: ["topic", tenant, name],
    refetchInterval: useLive(2000),
    queryFn: () => must(api.GET("/v1/topics/{topic}", { params: { path: { topic: name } } })),
  });
}

// useHealth returns how topics fare by their names, with one request for all.
export function useHealth(names: string[]) {
  const { api, tenant } = useActing();
  const topics = names.join(",");
  const { data } = useQuery({
    queryKey: ["topic health", tenant, topics],
    enabled: names.length > 0,
    placeholderData: keepPreviousData,
    refetchInterval: useLive(10_000),
    queryFn: () => must(api.GET("/v1/topic_health", { params: { query: { topics } } })),
  });
  return new Map(data?.data.map((h) => [h.topic, h]));
}

// useRates returns how many messages a second were published to topics since the answer before the last one, which came at an instant.
export function useRates(topics: Topic[], at: number): Map<string, number> {
  const seen = useRef<{ before?: Seen; now?: Seen }>({});
  if (seen.current.now?.at !== at) seen.current = { before: seen.current.now, now: { at, published: new Map(topics.map((t) => [t.name, t.published])) } };
  const { before, now } = seen.current;
  return now ? ratesOf(before, now) : new Map();
}

export function useSubscriptions(topic: string, cursor: string | undefined) {
  const { api, tenant } = useActing();
  return useQuery({
    queryKey: ["subscriptions", tenant, topic, cursor],
    refetchInterval: useLive(2000),
    queryFn: () => must(api.GET("/v1/topics/{topic}/subscriptions", { params: { path: { topic }, query: { cursor, limit: 50 } } })),
  });
}

export const logPage = 25;

// useLog returns what a topic keeps behind a place of its log; undefined for the oldest.
export function useLog(topic: string, after: string | undefined, enabled = true) {
  const { api, tenant } = useActing();
  return useQuery({
    queryKey: ["log", tenant, topic, after],
    enabled,
    queryFn: () => must(api.GET("/v1/topics/{topic}/messages", { params: { path: { topic }, query: { after, limit: logPage, wait: 0 } } })),
  });
}

const recent = 50;

// useRecent returns the last messages that a topic keeps, the latest first.
export function useRecent(topic: string) {
  const { api, tenant } = useActing();
  return useQuery({
    queryKey: ["log", tenant, topic, "last"],
    queryFn: () => must(api.GET("/v1/topics/{topic}/messages", { params: { path: { topic }, query: { last: recent, limit: recent } } })).then((r) => r.messages.reverse()),
  });
}

// before returns the place in a log that stands before a message.
export const before = (sequence: string) => String(BigInt(sequence) - 1n).padStart(20, "0");

// useTopicName returns the topic of the address.
export function useTopicName(): string {
  return useParams({ strict: false }).topic ?? "";
}

// batchOf reads how many messages a request carries, of how many bytes, and how long one waits for others; nothing for one.
export function batchOf(messages: string, bytes: string, wait: string): SubscriptionInput["batch"] {
  if (messages.trim() === "") return null;
  const given = Object.entries({ max_messages: spoken(messages), max_bytes: spoken(bytes), max_wait: spoken(wait) }).filter(([, value]) => value !== null);
  return Object.fromEntries(given) as SubscriptionInput["batch"]; // text such as 10s too
}

// policyOf reads a filter policy as somebody wrote it; empty for none. It throws what is wrong with it.
export function policyOf(text: string): SubscriptionInput["filter_policy"] {
  return text.trim() === "" ? null : JSON.parse(text);
}
