import { Alert, Button, Card, Progress, SimpleGrid, Stack, Title } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { must, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Copy, Curl } from "../common/Curl";
import { ago, count } from "../common/format";
import { Facts, Page } from "../common/Page";
import { Rows } from "../common/Rows";
import { ErrorState, Loaded } from "../common/states";
import { Ago, Instant } from "../common/Time";
import { By } from "../keys/By";
import { Number } from "../queues/Overview";
import { running, type Task, useTask } from "./data";
import { Again } from "./Again";
import { scopeOf } from "./scope";
import { placeOf, share, StatusBadge, titleOf } from "./Tasks";

// TaskPage is how far a task is, and the way to end it.
export function TaskPage() {
  const { api, tenant } = useActing();
  const { task: id = "" } = useParams({ strict: false });
  const query = useTask(id);
  const client = useQueryClient();
  const t = query.data;
  const cancel = useMutation({
    mutationFn: () => must(api.POST("/v1/tasks/{id}/cancel", { params: { path: { id } } })),
    onSuccess: (after) => client.setQueryData(["task", tenant, id], after),
  });
  return (
    <Page
      title={t ? titleOf(t) : "Task"}
      trail={
        <Link className="link" to={placeOf(tenant)}>
          Tasks
        </Link>
      }
      badges={t && <StatusBadge status={t.status} />}
      actions={
        <>
          {t && running(t) && t.type !== "delete_tenant" && (
            <Button variant="default" disabled={t.status === "cancelling"} loading={cancel.isPending} onClick={() => cancel.mutate()}>
              Cancel
            </Button>
          )}
          {t && running(t) && t.type !== "delete_tenant" && <Curl call={{ method: "POST", path: pathOf`/v1/tasks/${id}/cancel` }} label="Ending it by curl" />}
          {t && !running(t) && tenant && <Again task={t} />}
          <Copy text={window.location.href} label="Copy link" />
          <Curl call={{ method: "GET", path: pathOf`/v1/tasks/${id}` }} />
        </>
      }
    >
      {cancel.error && <ErrorState error={cancel.error} />}
      <Loaded query={query}>{(t) => <Shown task={t} tenant={tenant ?? ""} />}</Loaded>
    </Page>
  );
}

function Shown({ task: t, tenant }: { task: Task; tenant: string }) {
  const p = t.progress;
  return (
    <Stack>
      <Progress value={share(t)} size="xl" aria-label="Progress" color={t.status === "failed" ? "red" : undefined} />
      <SimpleGrid cols={{ base: 2, sm: 4 }}>
        <Number label="Done" value={count(p.done)} />
        <Number label="Failed" value={count(p.failed)} />
        <Number label="Looked at" value={`${count(p.looked)} of ${count(p.total)}`} />
        <Number label="A second" value={p.rate.toFixed(1)} to={p.eta_seconds === null ? undefined : `about ${ago(p.eta_seconds)} to go`} />
      </SimpleGrid>
      {t.error && (
        <Alert color="red" title={t.error.code}>
          {t.error.detail}
        </Alert>
      )}
      <Card withBorder>
        <Facts
          of={[
            ["Of", scopeOf(t)],
            ["Asked for", <><Instant at={t.created_at} /> (<Ago at={t.created_at} />)</>],
            ["By", <By key="k" id={t.created_by} />],
            ["Begun", <Instant key="b" at={t.started_at} />],
            ["Ended", <Instant key="e" at={t.finished_at} />],
            t.scope.tenant
              ? ["Tenant", t.scope.tenant]
              : t.scope.topic
                ? ["Topic", <Link key="q" className="link" to="/t/$tenant/topics/$topic/subscriptions" params={{ tenant, topic: t.scope.topic }}>{t.scope.topic}</Link>]
                : ["Queue", t.scope.queue ? <Link key="q" className="link" to="/t/$tenant/queues/$queue/overview" params={{ tenant, queue: t.scope.queue }}>{t.scope.queue}</Link> : "–"],
          ]}
        />
      </Card>
      {p.failed > 0 && <Errors task={t} />}
    </Stack>
  );
}

// Errors are what went wrong with single messages, in the order in which it did.
function Errors({ task: t }: { task: Task }) {
  const { api, tenant } = useActing();
  const list = useInfiniteQuery({
    queryKey: ["task-errors", tenant, t.id, t.progress.failed],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }: { pageParam: string | undefined }) => must(api.GET("/v1/tasks/{id}/errors", { params: { path: { id: t.id }, query: { cursor: pageParam, limit: 50 } } })),
    getNextPageParam: (last) => last.next_cursor,
    select: ({ pages }) => pages.flatMap((p) => p.data),
  });
  return (
    <Card withBorder>
      <Title order={2} size="h5" mb="sm">
        What failed <Curl call={{ method: "GET", path: pathOf`/v1/tasks/${t.id}/errors` }} label="Show the errors as curl" />
      </Title>
      <Loaded query={list}>
        {(errors) => (
          <>
            <Rows
              label="Errors"
              rows={errors}
              rowKey={(e) => e.item}
              columns={[
                {
                  title: "Message",
                  wide: true,
                  cell: (e) =>
                    t.scope.queue ? (
                      <Link className="link mono" data-row to="/t/$tenant/queues/$queue/messages" params={{ tenant: tenant ?? "", queue: t.scope.queue }} search={{ m: e.item }}>
                        {e.item}
                      </Link>
                    ) : (
                      <span className="mono">{e.item}</span>
                    ),
                },
                { title: "Code", cell: (e) => <code>{e.code}</code> },
                { title: "What happened", wide: true, cell: (e) => e.detail },
                { title: "When", num: true, cell: (e) => <Ago at={e.at} /> },
              ]}
            />
            {list.hasNextPage && (
              <Button mt="sm" size="compact-sm" variant="default" loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
                Show more
              </Button>
            )}
          </>
        )}
      </Loaded>
    </Card>
  );
}
