import { Badge, Group, NativeSelect, Progress } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { must, useActing } from "../api/client";
import { useLive } from "../common/prefs";
import { count } from "../common/format";
import { Page, Pager } from "../common/Page";
import { Rows } from "../common/Rows";
import { Empty, Loaded, NoMatch } from "../common/states";
import { Ago } from "../common/Time";
import { useUrl } from "../common/url";
import type { Task } from "./data";
import { scopeOf } from "./scope";

const types = ["purge", "redrive", "replay", "replay_failed", "replay_missing", "topic_subscription", "delete_tenant"] as const;
const statuses = ["running", "succeeded", "failed", "cancelling", "cancelled"] as const;
const colors: Record<Task["status"], string> = { running: "cyan", succeeded: "green", failed: "red", cancelling: "yellow", cancelled: "gray" };

export function StatusBadge({ status }: { status: Task["status"] }) {
  return (
    <Badge variant="dot" color={colors[status]} tt="none">
      {status}
    </Badge>
  );
}

// share is how much of a task is done, of 100.
export function share(t: Task): number {
  if (t.status === "succeeded") return 100;
  return t.progress.total > 0 ? Math.min(100, (100 * t.progress.looked) / t.progress.total) : 0;
}

// titleOf is what a task does.
export function titleOf(t: Task): string {
  const text = t.type.replaceAll("_", " ");
  return `${text[0]?.toUpperCase()}${text.slice(1)}`;
}

// placeOf is where tasks are shown, or one of them: a tenant's, or without one the installation's.
export function placeOf(tenant: string | undefined, task = ""): string {
  return (tenant ? `/t/${tenant}/tasks` : "/admin/tasks") + (task && `/${task}`);
}

// Tasks is long work: what runs, and what has run.
export function Tasks() {
  const { api, tenant } = useActing();
  const [search, setUrl] = useUrl();
  const type = types.find((t) => t === search.type);
  const status = statuses.find((s) => s === search.status);
  const list = useQuery({
    queryKey: ["tasks", tenant, type, status, search.cursor],
    refetchInterval: useLive(10_000),
    queryFn: () => must(api.GET("/v1/tasks", { params: { query: { type, status, cursor: search.cursor, limit: 50 } } })),
  });
  return (
    <Page title={tenant ? "Tasks" : "Operator tasks"}>
      <Group>
        <NativeSelect aria-label="Type" value={type ?? ""} onChange={(e) => setUrl({ type: e.currentTarget.value, cursor: undefined })} data={[{ value: "", label: "Any type" }, ...types]} />
        <NativeSelect aria-label="Status" value={status ?? ""} onChange={(e) => setUrl({ status: e.currentTarget.value, cursor: undefined })} data={[{ value: "", label: "Any status" }, ...statuses]} />
      </Group>
      <Loaded query={list}>
        {({ data, next_cursor }) => {
          if (data.length === 0 && (type || status)) return <NoMatch what="these filters" clear={() => setUrl({ type: undefined, status: undefined })} />;
          if (data.length === 0) {
            return tenant === undefined ? (
              <Empty title="No tasks yet" call={{ method: "GET", path: "/v1/tasks" }}>
                A tenant that is deleted with all it has goes in the background, on whichever server has room. Those tasks are here:
              </Empty>
            ) : (
              <Empty title="No tasks yet" call={{ method: "POST", path: "/v1/queues/orders-dlq/redrive", body: { max_rate: 50 } }}>
                A redrive, a purge by age or filter, and a replay go on in the background, on whichever server has room. This would start one:
              </Empty>
            );
          }
          return (
            <>
              <Rows
                label="Tasks"
                rows={data}
                rowKey={(t) => t.id}
                columns={[
                  {
                    title: "Task",
                    wide: true,
                    cell: (t) => (
                      <>
                        <Link className="link" data-row to={placeOf(tenant, t.id)}>
                          {titleOf(t)}
                        </Link>{" "}
                        <span className="quiet">{scopeOf(t)}</span>
                      </>
                    ),
                  },
                  { title: "Status", cell: (t) => <StatusBadge status={t.status} /> },
                  { title: "Progress", cell: (t) => <Progress value={share(t)} w={120} aria-label={`Progress of ${t.id}`} /> },
                  { title: "Done", num: true, cell: (t) => count(t.progress.done) },
                  { title: "Failed", num: true, cell: (t) => count(t.progress.failed) },
                  { title: "Asked for", num: true, cell: (t) => <Ago at={t.created_at} /> },
                ]}
              />
              <Pager next={next_cursor} />
            </>
          );
        }}
      </Loaded>
    </Page>
  );
}
