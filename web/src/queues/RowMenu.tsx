import { Menu } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import { useActing } from "../api/client";
import { Actions } from "../common/Actions";
import { useSay } from "../common/say";
import { type Queue, turn } from "./data";
import { Delete } from "./QueuePage";

const Purge = lazy(() => import("./Purge").then((m) => ({ default: m.Purge })));

// RowMenu is what can be done with one queue of a list.
export function RowMenu({ queue: q }: { queue: Queue }) {
  const { api, tenant = "" } = useActing();
  const client = useQueryClient();
  const navigate = useNavigate();
  const say = useSay();
  const [asks, setAsks] = useState<"purge" | "delete">();
  const at = `/t/${tenant}/queues/${encodeURIComponent(q.name)}`;
  const again = () => client.invalidateQueries({ queryKey: ["queues", tenant] });
  const pause = async (on: boolean) => {
    try {
      await turn(api, q.name, on);
      say(on ? `Nothing is received from ${q.name} until it is resumed.` : `${q.name} goes on.`, () => void pause(!on));
    } catch (e) {
      say(e instanceof Error ? e.message : "That did not work.");
    }
    await again();
  };
  return (
    <>
      <Actions of={q.name} opened>
        <Menu.Item component={Link} to={`${at}/send`}>
          Send…
        </Menu.Item>
        <Menu.Item component={Link} to={`${at}/messages`}>
          Look at messages
        </Menu.Item>
        <Menu.Item onClick={() => void pause(!q.paused)}>{q.paused ? "Resume" : "Pause"}</Menu.Item>
        <Menu.Item onClick={() => void navigate({ to: "/t/$tenant/queues/$queue/dead-letters", params: { tenant, queue: q.name }, search: { new: "redrive" } })}>
          Redrive…
        </Menu.Item>
        <Menu.Item onClick={() => setAsks("purge")}>Purge…</Menu.Item>
        <Menu.Item color="red" onClick={() => setAsks("delete")}>
          Delete…
        </Menu.Item>
      </Actions>
      <Suspense>
        {asks === "purge" && <Purge queue={q} close={() => setAsks(undefined)} />}
        {asks === "delete" && <Delete queue={q} close={() => setAsks(undefined)} then={again} />}
      </Suspense>
    </>
  );
}
