import { type InfiniteData, useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { must, type Schemas, useActing } from "../api/client";
import { useLive } from "../common/prefs";

export type Message = Schemas["Message"];
export type State = "all" | Message["state"];

export const states: State[] = ["all", "available", "in_flight", "delayed"];

export const pageSize = 25;

// mostParts is how many parts of a long queue are looked at before somebody is asked whether to go on.
const mostParts = 10;

// usePeek looks at messages. It takes nothing and asks only when told to, so that no row moves under the reader; as long as there is no
// row, none can move, and the first one shows by itself. One request may look at a part of a long queue and find little: then it goes on
// until a page is full, the queue has ended, somebody stops it, or it has looked at many parts.
export function usePeek(queue: string, state: State, filter: string, cursor: string | undefined) {
  const { api, tenant } = useActing();
  const client = useQueryClient();
  const live = useLive(2000);
  const queryKey = ["messages", tenant, queue, state, filter, cursor];
  const query = useInfiniteQuery({
    queryKey,
    refetchOnWindowFocus: false,
    initialPageParam: cursor,
    queryFn: ({ pageParam }: { pageParam: string | undefined }) => must(api.GET("/v1/queues/{queue}/messages", { params: { path: { queue }, query: { state, filter: filter || undefined, cursor: pageParam, limit: pageSize } } })),
    getNextPageParam: (last) => last.next_cursor,
    refetchInterval: ({ state: { data } }) => (data?.pages.every((p) => p.data.length === 0) && !filter && !cursor ? live : false), // a filter may look at much
    select: ({ pages }) => ({
      data: pages.flatMap((p) => p.data),
      next_cursor: pages.at(-1)?.next_cursor ?? null,
      parts: pages.length,
      looked: pages.reduce((n, p) => n + p.scanned.messages, 0),
    }),
  });
  const asked = queryKey.join();
  const [allowed, setAllowed] = useState({ asked, parts: mostParts });
  const parts = allowed.asked === asked ? allowed.parts : mostParts; // another question begins anew
  const { data, error, isFetching, fetchNextPage } = query;
  const wants = data !== undefined && data.next_cursor !== null && data.data.length < pageSize;
  const goesOn = wants && !error && data.parts < parts;
  useEffect(() => {
    if (goesOn && !isFetching) void fetchNextPage();
  }, [goesOn, isFetching, fetchNextPage]);
  return {
    ...query,
    scan: {
      running: goesOn,
      stop: () => setAllowed({ asked, parts: 0 }),
      resume: wants ? () => setAllowed({ asked, parts: (data.parts ?? 0) + mostParts }) : undefined,
    },
    // From the beginning, as far as is needed.
    lookAgain: () => {
      client.setQueryData(queryKey, (d: InfiniteData<unknown, unknown> | undefined) => d && { pages: d.pages.slice(0, 1), pageParams: d.pageParams.slice(0, 1) });
      setAllowed({ asked, parts: mostParts });
      void query.refetch();
    },
  };
}
