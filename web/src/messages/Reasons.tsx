import { Button, Group, Stack, Text, Title } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { must, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { Danger } from "../common/Danger";
import { count, plural } from "../common/format";
import { Rows } from "../common/Rows";
import { ErrorState, Waiting } from "../common/states";
import { Ago } from "../common/Time";
import { added } from "./added";
import { reasons } from "./MessageRows";

// useReasons counts the messages of a queue by what is said of them. One request looks at a part of a long queue: fetchNextPage
// goes on.
export function useReasons(queue: string) {
  const { api, tenant } = useActing();
  return useInfiniteQuery({
    queryKey: ["reasons", tenant, queue],
    refetchOnWindowFocus: false,
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) => must(api.GET("/v1/queues/{queue}/reasons", { params: { path: { queue }, query: { cursor: pageParam, limit: 100 } } })),
    getNextPageParam: (last) => last.next_cursor,
  });
}

// said writes a reason: what a consumer said stands as it is.
function said(reason: string | null): string {
  if (reason === null) return "nothing was said";
  return reason in reasons ? reasons[reason as keyof typeof reasons] : reason;
}

type Props = {
  queue: string;
  list: ReturnType<typeof useReasons>;
  total: number; // messages in the queue
  filter: string; // what is shown below
  show: (filter: string) => void;
  redrive: (filter: string) => void;
  remove: (filter: string) => void;
};

// Reasons are the causes for which messages are in a dead-letter queue, with what can be done about all of one.
export function Reasons({ queue, list, total, filter, show, redrive, remove }: Props) {
  const pages = list.data?.pages ?? [];
  const shown = added(pages);
  const others = pages.reduce((n, p) => n + p.others, 0);
  if (!list.data) return list.error ? <ErrorState error={list.error} retry={() => void list.refetch()} /> : <Waiting rows={2} />;
  if (shown.length === 0) return null;
  return (
    <Stack gap="xs">
      <Group justify="space-between">
        <Title order={2} size="h5">
          By reason
        </Title>
        <Curl call={{ method: "GET", path: pathOf`/v1/queues/${queue}/reasons` }} label="Show the counts as curl" />
      </Group>
      <Rows
        label="Reasons"
        rows={shown}
        rowKey={(r) => JSON.stringify(r.reason)}
        columns={[
          {
            title: "Reason",
            wide: true,
            cell: (r) => (
              <Text component="span" size="sm" lineClamp={2} className={r.reason === null || r.reason in reasons ? "quiet" : undefined} style={{ overflowWrap: "anywhere" }} title={r.reason ?? undefined}>
                {said(r.reason)}
              </Text>
            ),
          },
          { title: "Messages", num: true, cell: (r) => <b>{count(r.count)}</b> },
          { title: "From", cell: (r) => r.sources.join(", ") || <span className="quiet">–</span> },
          { title: "First", num: true, cell: (r) => <Ago at={r.first_at} /> },
          { title: "Last", num: true, cell: (r) => <Ago at={r.last_at} /> },
          {
            title: "",
            wide: true,
            cell: ({ filter: own, reason }) =>
              own === null ? null : (
                <Group gap={4} justify="flex-end" wrap="nowrap">
                  <Button size="compact-xs" variant={own === filter ? "filled" : "default"} aria-pressed={own === filter} aria-label={`Show those of ${said(reason)}`} onClick={() => show(own === filter ? "" : own)}>
                    Show
                  </Button>
                  <Button size="compact-xs" variant="default" aria-label={`Redrive those of ${said(reason)}`} onClick={() => redrive(own)}>
                    Redrive…
                  </Button>
                  <Button size="compact-xs" variant="default" color="red" aria-label={`Delete those of ${said(reason)}`} onClick={() => remove(own)}>
                    Delete…
                  </Button>
                </Group>
              ),
          },
        ]}
      />
      {(others > 0 || list.hasNextPage) && (
        <Group>
          <Text size="sm" className="quiet">
            {list.hasNextPage && `Looked at ${count(pages.reduce((n, p) => n + p.scanned.messages, 0))} of ${count(total)}. `}
            {others > 0 && `${plural(others, "message")} more, each of another reason.`}
          </Text>
          {list.hasNextPage && (
            <Button size="compact-sm" variant="default" loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
              Go on
            </Button>
          )}
        </Group>
      )}
    </Stack>
  );
}

// DeleteMatching asks before it deletes what matches a filter, and goes to the task that does.
export function DeleteMatching({ queue, filter, close }: { queue: string; filter: string; close: () => void }) {
  const { api, tenant = "" } = useActing();
  const navigate = useNavigate();
  const client = useQueryClient();
  const body = { confirm: queue, filter };
  const counted = useQuery({
    queryKey: ["matching", tenant, queue, filter],
    staleTime: 0,
    queryFn: () => must(api.GET("/v1/queues/{queue}/reasons", { params: { path: { queue }, query: { filter, limit: 1 } } })),
  });
  const start = useMutation({
    mutationFn: () => must(api.POST("/v1/queues/{queue}/purge", { params: { path: { queue } }, body })),
    onSuccess: (task) => {
      void client.invalidateQueries({ queryKey: ["messages", tenant, queue] });
      void client.invalidateQueries({ queryKey: ["reasons", tenant, queue] });
      void navigate({ to: "/t/$tenant/tasks/$task", params: { tenant, task: task.id } });
    },
  });
  const n = counted.data;
  return (
    <Danger title={`Delete from ${queue}`} name={queue} verb="Delete them" call={{ method: "POST", path: pathOf`/v1/queues/${queue}/purge`, body }} run={() => start.mutateAsync()} close={close}>
      <p>
        Deletes <b>{n ? plural(n.matching, "message") : "what matches"}</b>
        {n && !n.scanned.complete ? ` of the first ${count(n.scanned.messages)}` : ""} in <b>{queue}</b> of <b>{tenant}</b> for good, by the filter <code>{filter}</code>. What somebody holds stays.
      </p>
    </Danger>
  );
}
