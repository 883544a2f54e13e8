import { Badge, Button, SimpleGrid } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { Fragment, useEffect, useState } from "react";
import { must, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { Danger } from "../common/Danger";
import { bytes, count, duration, plural } from "../common/format";
import { Page, Tabs } from "../common/Page";
import { useSay } from "../common/say";
import { Loaded } from "../common/states";
import { Ago } from "../common/Time";
import { Number } from "../queues/Overview";
import { useTopic, useTopicName } from "./data";

// TopicPage is the frame around what is shown of one topic.
export function TopicPage() {
  const { api, tenant = "" } = useActing();
  const name = useTopicName();
  const query = useTopic(name);
  const client = useQueryClient();
  const navigate = useNavigate();
  const say = useSay();
  const [asks, setAsks] = useState(false);
  const { pathname } = useLocation();
  useEffect(() => setAsks(false), [pathname]);
  const at = `/t/${tenant}/topics/${encodeURIComponent(name)}`;
  return (
    <Page
      title={name}
      trail={
        <Link className="link" to="/t/$tenant/topics" params={{ tenant }}>
          Topics
        </Link>
      }
      badges={query.data?.type === "fifo" && <Badge size="sm">FIFO</Badge>}
      actions={
        <Button variant="default" c="red" onClick={() => setAsks(true)}>
          Delete…
        </Button>
      }
    >
      <Loaded query={query}>
        {(t) => (
          <>
            <SimpleGrid cols={{ base: 2, sm: 4 }}>
              <Number label="Subscriptions" value={count(t.subscriptions)} />
              <Number label="Published" value={count(t.published)} />
              <Number label="In the log" value={count(t.log.messages)} to={bytes(t.log.bytes)} />
              <Number label={t.message_retention ? "Kept for" : "Kept"} value={t.message_retention ? duration(t.message_retention) : "until delivered"} to={t.log.oldest_at ? <>oldest <Ago at={t.log.oldest_at} /></> : "the log is empty"} />
            </SimpleGrid>
            <Tabs
              label="Topic"
              tabs={[
                { to: `${at}/subscriptions`, text: "Subscriptions" },
                { to: `${at}/publish`, text: "Publish" },
                { to: `${at}/schedules`, text: "Schedules" },
                { to: `${at}/log`, text: "Log" },
                { to: `${at}/schemas`, text: t.schema_version === null ? "Schema" : `Schema ${t.schema_version}` },
                { to: `${at}/filter-test`, text: "Why not delivered?" },
              ]}
            />
            <Fragment key={name}>
              <Outlet />
            </Fragment>
            {asks && (
              <Danger
                title="Delete the topic"
                verb="Delete"
                name={name}
                close={() => setAsks(false)}
                call={{ method: "DELETE", path: pathOf`/v1/topics/${name}` }}
                run={async () => {
                  await must(api.DELETE("/v1/topics/{topic}", { params: { path: { topic: name } } }));
                  say(`${name} was deleted.`);
                  await navigate({ to: "/t/$tenant/topics", params: { tenant } });
                  client.removeQueries({ queryKey: ["topic", tenant, name] });
                }}
              >
                This deletes topic <b>{name}</b> of tenant <b>{tenant}</b> with {plural(t.subscriptions, "subscription")} and {plural(t.log.messages, "message")} in its log. The queues stay.
              </Danger>
            )}
          </>
        )}
      </Loaded>
    </Page>
  );
}
