import { Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Fragment } from "react";
import { must, useActing } from "../api/client";

const named = 10;

// Sources are the queues whose dead letters come to a queue, and nothing where there are none. The server looks at the settings of all
// queues for it, so it is asked once.
export function Sources({ of: queue }: { of: string }) {
  const { api, tenant = "" } = useActing();
  const { data } = useQuery({
    queryKey: ["queues", tenant, "sources", queue],
    staleTime: 60_000,
    queryFn: () => must(api.GET("/v1/queues", { params: { query: { dead_letter_queue: queue, limit: named } } })),
  });
  if (!data || data.data.length === 0) return null;
  return (
    <Text size="sm">
      Dead letters come here from{" "}
      {data.data.map((q, i) => (
        <Fragment key={q.name}>
          {i > 0 && ", "}
          <Link className="link" to="/t/$tenant/queues/$queue/overview" params={{ tenant, queue: q.name }}>
            {q.name}
          </Link>
        </Fragment>
      ))}
      {data.next_cursor && " and others"}.
    </Text>
  );
}
