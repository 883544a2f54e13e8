import { Modal, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useEffect, useState } from "react";
import { must, newApi, useActing } from "../api/client";
import { operatorPlaces, placesOf } from "./Shell";
import type { Session } from "./session";

const installation = newApi();
const shown = 8; // of each kind
const pauseMs = 200; // after the last key, before the server is asked

type Goal = { kind: string; text: string; to: string };

// Palette leads to a screen, a queue, a topic or a tenant by what is typed of its name.
export function Palette({ session, close }: { session: Session; close: () => void }) {
  const { tenant } = useActing();
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const typed = text.trim();
  const [asked] = useDebouncedValue(typed, pauseMs);
  const operator = session.kind === "operator";
  const found = useGoals(asked, tenant, operator);
  const places = [...placesOf(tenant), ...(operator ? operatorPlaces : [])].filter((p) => p.text.toLowerCase().includes(typed.toLowerCase()));
  const goals: Goal[] = [
    ...(typed.startsWith("req_") && tenant ? [{ kind: "request", text: typed, to: `/t/${tenant}/requests?q=${encodeURIComponent(typed)}` }] : []),
    ...places.map((p) => ({ kind: "screen", ...p })),
    ...(typed === "" ? [] : (found.data ?? [])),
  ];
  const chosen = Math.min(at, goals.length - 1);
  useEffect(() => {
    document.getElementById(`goal-${chosen}`)?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const go = (goal: Goal | undefined) => {
    if (!goal) return;
    close();
    const [path = "", query = ""] = goal.to.split("?");
    void navigate({ to: path, search: Object.fromEntries(new URLSearchParams(query)) });
  };
  const hear = (e: KeyboardEvent) => {
    const last = goals.length - 1;
    const moves: Record<string, number> = { ArrowDown: chosen >= last ? 0 : chosen + 1, ArrowUp: chosen <= 0 ? last : chosen - 1 };
    const to = moves[e.key];
    if (to !== undefined) setAt(to);
    else if (e.key === "Enter") go(goals[chosen]);
    else return;
    e.preventDefault();
  };
  const waits = typed !== "" && (typed !== asked || found.isFetching);
  return (
    <Modal opened onClose={close} title="Go to" yOffset="10vh" closeButtonProps={{ "aria-label": "Close" }}>
      <TextInput
        aria-label="Go to"
        placeholder={operator ? "A screen, queue, topic or tenant" : "A screen, queue or topic"}
        value={text}
        onChange={(e) => {
          setText(e.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={hear}
        data-autofocus
        role="combobox"
        aria-expanded={goals.length > 0}
        aria-controls="goals"
        aria-activedescendant={goals.length > 0 ? `goal-${chosen}` : undefined}
        aria-autocomplete="list"
        autoComplete="off"
        spellCheck={false}
      />
      <div id="goals" role="listbox" aria-label="Where to" className="goals">
        {goals.map((g, i) => (
          <div key={`${g.kind} ${g.to}`} id={`goal-${i}`} role="option" aria-selected={i === chosen} onMouseMove={() => setAt(i)} onClick={() => go(g)}>
            <span>{g.text}</span> <span className="quiet">{g.kind}</span>
          </div>
        ))}
      </div>
      <Text size="sm" className="quiet" role="status">
        {found.error && typed !== "" ? "Names could not be looked for." : waits ? "Looking…" : goals.length === 0 ? `Nothing has “${typed}” in its name.` : `${goals.length} found`}
      </Text>
    </Modal>
  );
}

// useGoals asks the server for what has the text in its name, or at its beginning: one request of each kind for each pause in typing.
function useGoals(text: string, tenant: string | undefined, operator: boolean) {
  const { api } = useActing();
  return useQuery({
    queryKey: ["goals", tenant, text],
    enabled: text !== "",
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }): Promise<Goal[]> => {
      const [queues, topics, tenants] = await Promise.all([
        tenant ? must(api.GET("/v1/queues", { params: { query: { q: text, limit: shown } }, signal })) : undefined,
        tenant ? must(api.GET("/v1/topics", { params: { query: { prefix: text, limit: shown } }, signal })) : undefined,
        operator ? must(installation.GET("/v1/tenants", { params: { query: { prefix: text, limit: shown } }, signal })) : undefined,
      ]);
      const at = `/t/${tenant}`;
      return [
        ...(queues?.data.map((q) => ({ kind: "queue", text: q.name, to: `${at}/queues/${encodeURIComponent(q.name)}/overview` })) ?? []),
        ...(topics?.data.map((t) => ({ kind: "topic", text: t.name, to: `${at}/topics/${encodeURIComponent(t.name)}/subscriptions` })) ?? []),
        ...(tenants?.data.map((t) => ({ kind: "tenant", text: t.name, to: `/admin/tenants/${encodeURIComponent(t.name)}` })) ?? []),
      ];
    },
  });
}
