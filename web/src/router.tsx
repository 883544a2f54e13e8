import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Navigate, type RouteComponent, useParams } from "@tanstack/react-router";
import { basePath } from "./api/place";
import { readSearch } from "./common/url";
import { Overview } from "./queues/Overview";
import { QueueList } from "./queues/QueueList";
import { QueuePage } from "./queues/QueuePage";
import { App, Start } from "./shell/App";
import { Lost } from "./shell/Lost";
import { TenantOverview } from "./stats/TenantOverview";
import { Tasks } from "./tasks/Tasks";
import { TopicList } from "./topics/TopicList";
import { TopicPage } from "./topics/TopicPage";

const root = createRootRoute({ component: App, validateSearch: readSearch, notFoundComponent: Lost });
const at = <P extends string>(path: P, component: RouteComponent) => createRoute({ getParentRoute: () => root, path, component });

const Schedules = lazyRouteComponent(() => import("./schedules/Schedules"), "Schedules");
const DeadLetters = lazyRouteComponent(() => import("./messages/DeadLetters"), "DeadLetters");
const Messages = lazyRouteComponent(() => import("./messages/Messages"), "Messages");
const Receive = lazyRouteComponent(() => import("./messages/Receive"), "Receive");
const Send = lazyRouteComponent(() => import("./messages/Send"), "Send");
const Tail = lazyRouteComponent(() => import("./messages/Tail"), "Tail");
const Connect = lazyRouteComponent(() => import("./queues/Connect"), "Connect");
const Settings = lazyRouteComponent(() => import("./queues/Settings"), "Settings");
const Log = lazyRouteComponent(() => import("./topics/Log"), "Log");
const Publish = lazyRouteComponent(() => import("./topics/Publish"), "Publish");
const Subscriptions = lazyRouteComponent(() => import("./topics/Subscriptions"), "Subscriptions");
const TaskPage = lazyRouteComponent(() => import("./tasks/TaskPage"), "TaskPage");
const Keys = lazyRouteComponent(() => import("./keys/Keys"), "Keys");
const OperatorKeys = lazyRouteComponent(() => import("./keys/Keys"), "OperatorKeys");
const Members = lazyRouteComponent(() => import("./members/Members"), "Members");
const Operators = lazyRouteComponent(() => import("./members/Members"), "Operators");
const Audit = lazyRouteComponent(() => import("./audit/Audit"), "Audit");
const OperatorAudit = lazyRouteComponent(() => import("./audit/Audit"), "OperatorAudit");
const Limits = lazyRouteComponent(() => import("./audit/Limits"), "Limits");
const Fleet = lazyRouteComponent(() => import("./operator/Fleet"), "Fleet");
const Plans = lazyRouteComponent(() => import("./operator/Plans"), "Plans");
const System = lazyRouteComponent(() => import("./operator/System"), "System");
const TenantList = lazyRouteComponent(() => import("./operator/TenantList"), "TenantList");
const TenantPage = lazyRouteComponent(() => import("./operator/TenantPage"), "TenantPage");
const FilterTest = lazyRouteComponent(() => import("./topics/FilterTest"), "FilterTest");
const TopicSchemas = lazyRouteComponent(() => import("./topics/TopicSchemas"), "TopicSchemas");

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
  at("/t/$tenant/topic-subscriptions", lazyRouteComponent(() => import("./topics/Patterns"), "Patterns")),
  at("/t/$tenant/deliveries", lazyRouteComponent(() => import("./webhooks/AllDeliveries"), "AllDeliveries")),
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
