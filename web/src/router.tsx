import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Navigate, type RouteComponent, useParams } from "@tanstack/react-router";
import { basePath } from "./api/place";
import { Audit, OperatorAudit } from "./audit/Audit";
import { Limits } from "./audit/Limits";
import { readSearch } from "./common/url";
import { Keys, OperatorKeys } from "./keys/Keys";
import { Members, Operators } from "./members/Members";
import { DeadLetters } from "./messages/DeadLetters";
import { Messages } from "./messages/Messages";
import { Receive } from "./messages/Receive";
import { Send } from "./messages/Send";
import { Tail } from "./messages/Tail";
import { Fleet } from "./operator/Fleet";
import { Plans } from "./operator/Plans";
import { System } from "./operator/System";
import { TenantList } from "./operator/TenantList";
import { TenantPage } from "./operator/TenantPage";
import { Connect } from "./queues/Connect";
import { Overview } from "./queues/Overview";
import { QueueList } from "./queues/QueueList";
import { QueuePage } from "./queues/QueuePage";
import { Settings } from "./queues/Settings";
import { App, Start } from "./shell/App";
import { Lost } from "./shell/Lost";
import { TenantOverview } from "./stats/TenantOverview";
import { TaskPage } from "./tasks/TaskPage";
import { Tasks } from "./tasks/Tasks";
import { FilterTest } from "./topics/FilterTest";
import { Log } from "./topics/Log";
import { Publish } from "./topics/Publish";
import { Subscriptions } from "./topics/Subscriptions";
import { TopicList } from "./topics/TopicList";
import { TopicPage } from "./topics/TopicPage";
import { TopicSchemas } from "./topics/TopicSchemas";

const root = createRootRoute({ component: App, validateSearch: readSearch, notFoundComponent: Lost });
const at = <P extends string>(path: P, component: RouteComponent) => createRoute({ getParentRoute: () => root, path, component });

const Schedules = lazyRouteComponent(() => import("./schedules/Schedules"), "Schedules");

const queue = at("/t/$tenant/queues/$queue", QueuePage);
const ofQueue = <P extends string>(path: P, component: RouteComponent) => createRoute({ getParentRoute: () => queue, path, component });

const topic = at("/t/$tenant/topics/$topic", TopicPage);
const ofTopic = <P extends string>(path: P, component: RouteComponent) => createRoute({ getParentRoute: () => topic, path, component });

function ToOverview() {
  const { tenant = "", queue = "" } = useParams({ strict: false });
  return <Navigate to="/t/$tenant/queues/$queue/overview" params={{ tenant, queue }} replace />;
}

function ToSubscriptions() {
  const { tenant = "", topic = "" } = useParams({ strict: false });
  return <Navigate to="/t/$tenant/topics/$topic/subscriptions" params={{ tenant, topic }} replace />;
}

function ToQueues() {
  const { tenant = "" } = useParams({ strict: false });
  return <Navigate to="/t/$tenant/queues" params={{ tenant }} replace />;
}

// What an address shows. Whatever is open, filtered or chosen on a screen is in the address too.
const routes = root.addChildren([
  at("/", Start),
  at("/t/$tenant", ToQueues),
  at("/t/$tenant/overview", TenantOverview),
  at("/t/$tenant/queues", QueueList),
  queue.addChildren([
    ofQueue("/", ToOverview),
    ofQueue("/overview", Overview),
    ofQueue("/messages", Messages),
    ofQueue("/send", Send),
    ofQueue("/receive", Receive),
    ofQueue("/tail", Tail),
    ofQueue("/dead-letters", DeadLetters),
    ofQueue("/schedules", Schedules),
    ofQueue("/connect", Connect),
    ofQueue("/settings", Settings),
  ]),
  at("/t/$tenant/tasks", Tasks),
  at("/t/$tenant/tasks/$task", TaskPage),
  at("/t/$tenant/topics", TopicList),
  topic.addChildren([
    ofTopic("/", ToSubscriptions),
    ofTopic("/subscriptions", Subscriptions),
    ofTopic("/publish", Publish),
    ofTopic("/schedules", Schedules),
    ofTopic("/log", Log),
    ofTopic("/schemas", TopicSchemas),
    ofTopic("/filter-test", FilterTest),
  ]),
  at("/invitation", Start), // App shows it to everybody
  at("/portal", Start), // and this
  at("/t/$tenant/topics/$topic/webhooks/$subscription", lazyRouteComponent(() => import("./webhooks/Webhook"), "Webhook")),
  at("/t/$tenant/alarms", lazyRouteComponent(() => import("./alarms/Alarms"), "Alarms")),
  at("/t/$tenant/usage", lazyRouteComponent(() => import("./usage/Usage"), "Usage")),
  at("/t/$tenant/members", Members),
  at("/t/$tenant/keys", Keys),
  at("/t/$tenant/sessions", lazyRouteComponent(() => import("./sessions/Sessions"), "Sessions")),
  at("/t/$tenant/portal-links", lazyRouteComponent(() => import("./portal/PortalLinks"), "PortalLinks")),
  at("/t/$tenant/limits", Limits),
  at("/t/$tenant/audit", Audit),
  at("/t/$tenant/requests", lazyRouteComponent(() => import("./requests/Requests"), "Requests")),
  at("/admin/overview", Fleet),
  at("/admin/tenants", TenantList),
  at("/admin/tenants/$name", TenantPage),
  at("/admin/plans", Plans),
  at("/admin/keys", OperatorKeys),
  at("/admin/tasks", Tasks),
  at("/admin/tasks/$task", TaskPage),
  at("/admin/operators", Operators),
  at("/admin/sessions", lazyRouteComponent(() => import("./sessions/Sessions"), "OperatorSessions")),
  at("/admin/audit", OperatorAudit),
  at("/admin/system", System),
]);

export const router = createRouter({
  routeTree: routes,
  basepath: basePath,
  parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
  stringifySearch: (search) => {
    const text = new URLSearchParams(Object.entries(search).flatMap(([k, v]) => (typeof v === "string" ? [[k, v]] : []))).toString();
    return text && `?${text}`;
  },
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
