import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { must, type Schemas, useActing } from "../api/client";
import { pathOf } from "../api/curl";
import { useLive } from "../common/prefs";

export type Schedule = Schemas["Schedule"];
export type ScheduleInput = Schemas["ScheduleInput"];

// Owner is to what schedules belong: a queue, or a topic.
export type Owner = { kind: "queue" | "topic"; name: string };

// useOwner returns the queue or topic of the address.
export function useOwner(): Owner {
  const { queue, topic = "" } = useParams({ strict: false });
  return queue === undefined ? { kind: "topic", name: topic } : { kind: "queue", name: queue };
}

// pathTo is where the API has the schedules of an owner, or one of them.
export function pathTo(of: Owner, schedule = ""): string {
  const all = of.kind === "queue" ? pathOf`/v1/queues/${of.name}/schedules` : pathOf`/v1/topics/${of.name}/schedules`;
  return schedule ? `${all}/${encodeURIComponent(schedule)}` : all;
}

// useSchedules returns what can be asked of the schedules of an owner.
export function useSchedules(of: Owner, cursor: string | undefined) {
  const { api, tenant } = useActing();
  const key = ["schedules", tenant, of.kind, of.name];
  const queue = of.kind === "queue";
  const at = (schedule: string) => ({ queue: of.name, topic: of.name, schedule });
  return {
    key,
    list: useQuery({
      queryKey: [...key, cursor],
      refetchInterval: useLive(3000),
      queryFn: () => {
        const query = { cursor, limit: 50 };
        return must(queue ? api.GET("/v1/queues/{queue}/schedules", { params: { path: { queue: of.name }, query } }) : api.GET("/v1/topics/{topic}/schedules", { params: { path: { topic: of.name }, query } }));
      },
    }),
    put: (name: string, body: ScheduleInput, etag: string | undefined) => {
      const params = { path: at(name), header: etag ? { "If-Match": `"${etag}"` } : { "If-None-Match": "*" } };
      return must(queue ? api.PUT("/v1/queues/{queue}/schedules/{schedule}", { params, body }) : api.PUT("/v1/topics/{topic}/schedules/{schedule}", { params, body }));
    },
    pause: (name: string) => must(queue ? api.POST("/v1/queues/{queue}/schedules/{schedule}/pause", { params: { path: at(name) }, body: {} }) : api.POST("/v1/topics/{topic}/schedules/{schedule}/pause", { params: { path: at(name) }, body: {} })),
    resume: (name: string) => must(queue ? api.POST("/v1/queues/{queue}/schedules/{schedule}/resume", { params: { path: at(name) } }) : api.POST("/v1/topics/{topic}/schedules/{schedule}/resume", { params: { path: at(name) } })),
    run: async (name: string): Promise<void> => {
      await must<unknown>(queue ? api.POST("/v1/queues/{queue}/schedules/{schedule}/run", { params: { path: at(name) } }) : api.POST("/v1/topics/{topic}/schedules/{schedule}/run", { params: { path: at(name) } }));
    },
    remove: (name: string) => must(queue ? api.DELETE("/v1/queues/{queue}/schedules/{schedule}", { params: { path: at(name) } }) : api.DELETE("/v1/topics/{topic}/schedules/{schedule}", { params: { path: at(name) } })),
  };
}
