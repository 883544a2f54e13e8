import { useQuery } from "@tanstack/react-query";
import { must, type Schemas, useActing } from "../api/client";
import { useLive } from "../common/prefs";

export type Message = Schemas["Message"];
export type State = "all" | Message["state"];

export const states: State[] = ["all", "available", "in_flight", "delayed"];

export const pageSize = 25;

// usePeek looks at messages. It takes nothing and asks only when told to, so that no row moves under the reader; as long as there is no
// row, none can move, and the first one shows by itself.
export function usePeek(queue: string, state: State, filter: string, cursor: string | undefined) {
  const { api, tenant } = useActing();
  const live = useLive(2000);
  return useQuery({
    refetchInterval: ({ state: { data } }) => (data?.data.length === 0 && !filter && !cursor ? live : false), // a filter may look at much
    queryKey: ["messages", tenant, queue, state, filter, cursor],
    refetchOnWindowFocus: false,
    queryFn: () => must(api.GET("/v1/queues/{queue}/messages", { params: { path: { queue }, query: { state, filter: filter || undefined, cursor, limit: pageSize } } })),
  });
}
