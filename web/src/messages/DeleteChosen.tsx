import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { must, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Danger } from "../common/Danger";
import { plural } from "../common/format";

// DeleteChosen asks before it deletes the messages that somebody chose, and goes to the task that does.
export function DeleteChosen({ queue, ids, close }: { queue: string; ids: string[]; close: () => void }) {
  const { api, tenant = "" } = useActing();
  const client = useQueryClient();
  const navigate = useNavigate();
  const body = { confirm: queue, filter: ids.map((id) => `id:${id}`).join(" OR ") };
  return (
    <Danger
      title="Delete messages"
      verb="Delete them"
      call={{ method: "POST", path: pathOf`/v1/queues/${queue}/purge`, body }}
      close={close}
      run={async () => {
        const task = await must(api.POST("/v1/queues/{queue}/purge", { params: { path: { queue } }, body }));
        void client.invalidateQueries({ queryKey: ["messages", tenant, queue] });
        await navigate({ to: "/t/$tenant/tasks/$task", params: { tenant, task: task.id } });
      }}
    >
      This deletes <b>{plural(ids.length, "message")}</b> of queue <b>{queue}</b> of tenant <b>{tenant}</b> for good. What somebody holds by then stays.
    </Danger>
  );
}
