import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { failureOf, type Schemas, useActing } from "../api/client";
import { apiUrl } from "../api/place";
import { lines } from "../api/stream";
import { usePrefs } from "../common/prefs";

type Change = Schemas["ChangeEvent"];

// What shows things of a type, by the first word of its key.
const shows: Record<Change["type"], string[]> = {
  queue: ["queue", "queues", "usage"],
  schedule: ["schedules"],
  topic: ["topic", "topics", "schemas", "usage"],
  subscription: ["subscriptions", "topic", "webhook", "usage"],
  topic_subscription: ["subscriptions", "topic", "topics", "webhook"],
  alarm: ["alarms", "usage"],
  task: ["task", "tasks"],
  key: ["keys", "usage"],
  member: ["members", "usage"],
  portal_link: ["portal-links"],
  session: ["sessions"],
  tenant: ["tenants", "tenant"],
  plan: ["plans"],
  operator: ["members"],
  operator_key: ["keys"],
};

const gathered = 200; // milliseconds in which what changes is looked at together
const again = { least: 2000, most: 60_000 }; // milliseconds until the stream is opened again

// useChanges looks again at what somebody has changed, here or elsewhere, soon after it was. It hears nothing while the tab is hidden
// or paused, and is told afterwards what it missed.
export function useChanges(on: boolean) {
  const { tenant, operator } = useActing();
  const client = useQueryClient();
  const { live } = usePrefs();
  const visible = useVisible();
  const [place] = useState(() => new Map<string, string>()); // the last cursor, by tenant
  const listens = on && live && visible;
  useEffect(() => {
    if (!listens) return;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    let looking: ReturnType<typeof setTimeout> | undefined;
    let wait = again.least;
    const stale = new Set<string>();
    const lookAgain = () => {
      looking = undefined;
      const names = new Set(stale);
      stale.clear();
      // What is being asked already is not asked twice at a time.
      void client.invalidateQueries({ predicate: (q) => names.has(String(q.queryKey[0])) }, { cancelRefetch: false });
    };
    const listen = async () => {
      const whose = tenant ?? "";
      const cursor = place.get(whose);
      if (cursor === "") {
        // What was missed since the last time is not known.
        for (const name of Object.values(shows).flat()) stale.add(name);
        lookAgain();
      }
      if (!cursor) place.set(whose, "");
      try {
        const headers = operator && tenant ? { Tenant: tenant } : undefined;
        for await (const change of lines<Change>(`${apiUrl}/v1/events${cursor ? `?cursor=${cursor}` : ""}`, headers, stop.signal)) {
          wait = again.least;
          place.set(whose, change.cursor);
          for (const name of shows[change.type]) stale.add(name);
          if (change.operation) stale.add("audit");
          looking ??= setTimeout(lookAgain, gathered);
        }
      } catch (e) {
        if (stop.signal.aborted) return;
        if (failureOf(e).status === 422) place.delete(whose);
      }
      if (stop.signal.aborted) return;
      timer = setTimeout(() => void listen(), wait);
      wait = Math.min(2 * wait, again.most);
    };
    void listen();
    return () => {
      stop.abort();
      clearTimeout(timer);
      clearTimeout(looking);
    };
  }, [client, listens, operator, place, tenant]);
}

// useVisible returns whether somebody can see the tab.
export function useVisible(): boolean {
  const [visible, setVisible] = useState(!document.hidden);
  useEffect(() => {
    const look = () => setVisible(!document.hidden);
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
  return visible;
}
