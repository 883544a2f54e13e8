import { Alert, Button, Card, Progress, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { must, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { ago, count } from "../common/format";
import { Facts, Page } from "../common/Page";
import { Rows } from "../common/Rows";
import { ErrorState, Loaded } from "../common/states";
import { Ago, Instant } from "../common/Time";
import { Number } from "../queues/Overview";
import { running, type Task, useTask } from "./data";
import { placeOf, scopeOf, share, StatusBadge, titleOf } from "./Tasks";

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
            ["By the key", <span key="k" className="mono">{t.created_by}</span>],
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

function Errors({ task: t }: { task: Task }) {
  const { api, tenant } = useActing();
  const list = useQuery({
    queryKey: ["task-errors", tenant, t.id, t.progress.failed],
    queryFn: () => must(api.GET("/v1/tasks/{id}/errors", { params: { path: { id: t.id } } })),
  });
  return (
    <Card withBorder>
      <Title order={2} size="h5" mb="sm">
        What failed
      </Title>
      <Loaded query={list}>
        {({ data, next_cursor }) => (
          <>
            <Rows
              label="Errors"
              rows={data}
              rowKey={(e) => e.item}
              columns={[
                { title: "Message", wide: true, cell: (e) => <span className="mono">{e.item}</span> },
                { title: "Code", cell: (e) => <code>{e.code}</code> },
                { title: "What happened", wide: true, cell: (e) => e.detail },
                { title: "When", num: true, cell: (e) => <Ago at={e.at} /> },
              ]}
            />
            {next_cursor && <Text size="sm">There are more: see the API.</Text>}
          </>
        )}
      </Loaded>
    </Card>
  );
}
