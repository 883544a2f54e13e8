import { useQuery } from "@tanstack/react-query";
import { must, type Schemas, useActing } from "../api/client";

export type Message = Schemas["Message"];
export type State = "all" | Message["state"];

export const states: State[] = ["all", "available", "in_flight", "delayed"];

export const pageSize = 25;

// usePeek looks at messages. It takes nothing and asks only when told to, so that no row moves under the reader.
export function usePeek(queue: string, state: State, filter: string, cursor: string | undefined) {
  const { api, tenant } = useActing();
  return useQuery({
    queryKey: ["messages", tenant, queue, state, filter, cursor],
    refetchOnWindowFocus: false,
    queryFn: () => must(api.GET("/v1/queues/{queue}/messages", { params: { path: { queue }, query: { state, filter: filter || undefined, cursor, limit: pageSize } } })),
  });
}
