import { useQuery } from "@tanstack/react-query";
import { must, type Schemas, useActing } from "../api/client";
import { useLive } from "../common/prefs";

export type Task = Schemas["Task"];

export const running = (t: Task) => t.status === "running" || t.status === "cancelling";

export function useTask(id: string) {
  const { api, tenant } = useActing();
  const every = useLive(500);
  return useQuery({
    queryKey: ["task", tenant, id],
    refetchInterval: (q) => (q.state.data && !running(q.state.data) ? false : every),
    queryFn: () => must(api.GET("/v1/tasks/{id}", { params: { path: { id } } })),
  });
}
