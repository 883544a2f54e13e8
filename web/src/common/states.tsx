import { Alert, Button, Card, Group, Skeleton, Stack, Text, Title } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useEffect, useState } from "react";
import { useActing, failureOf } from "../api/client";
import { type Call, curlOf } from "../api/curl";
import { ago } from "./format";
import { Command, Copy } from "./Curl";
import { linkOf } from "./link";

// ErrorState says what went wrong, what to do, and by which id the operator finds it.
export function ErrorState({ error, retry, action }: { error: unknown; retry?: () => void; action?: ReactNode }) {
  const failure = failureOf(error);
  const { tenant } = useActing();
  const contact = linkOf(failure.problem?.contact ?? "")?.href;
  return (
    <Alert color="red" variant="light" title={failure.problem?.title ?? "That did not work"} role="alert">
      <Stack gap="xs">
        <Text size="sm">{failure.message}</Text>
        {failure.problem?.fix && <Text size="sm">{failure.problem.fix}</Text>}
        {failure.retryAfter > 0 && <Text size="sm">Try again in {ago(failure.retryAfter)}.</Text>}
        {failure.problem?.errors.map((e) => (
          <Text size="sm" key={`${e.pointer}${e.query}${e.header}${e.detail}`}>
            <code>{e.pointer ?? e.query ?? e.header}</code> {e.detail}
            {e.column !== undefined && ` (${e.line !== undefined ? `line ${e.line}, ` : ""}column ${e.column})`}
          </Text>
        ))}
        <Group gap="xs">
          <Text size="xs" className="mono">
            {failure.code}
            {failure.requestId && ` · ${failure.requestId}`}
          </Text>
          {failure.requestId && <Copy text={failure.requestId} label="Copy request id" />}
          {failure.requestId && tenant && (
            <Link className="link" to="/t/$tenant/requests" params={{ tenant }} search={{ q: failure.requestId }}>
              In the log
            </Link>
          )}
          {retry && (
            <Button size="compact-xs" variant="default" onClick={retry}>
              Try again
            </Button>
          )}
          {contact && (
            <a className="link" href={contact} {...(!contact.startsWith("mailto:") && { target: "_blank", rel: "noreferrer" })}>
              Ask the operator
            </a>
          )}
          {action}
        </Group>
      </Stack>
    </Alert>
  );
}

// Waiting is rows that are still to come. It shows nothing for the first moment, in which most answers arrive.
export function Waiting({ rows = 5 }: { rows?: number }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 300);
    return () => clearTimeout(timer);
  }, []);
  return (
    <Stack gap="sm" role="status" aria-busy="true" aria-label="Loading" mih={rows * 40}>
      {late && Array.from({ length: rows }, (_, i) => <Skeleton key={i} height={28} />)}
    </Stack>
  );
}

// Empty teaches what could be here, by one sentence and the command that makes it.
export function Empty({ title, children, call, action }: { title: string; children: ReactNode; call?: Call; action?: ReactNode }) {
  const { tenant, operator } = useActing();
  return (
    <Card withBorder padding="xl">
      <Stack gap="sm" maw={680}>
        <Title order={3} size="h4">
          {title}
        </Title>
        <Text size="sm">{children}</Text>
        {call && <Command text={curlOf(call, operator ? tenant : undefined)} />}
        {action && <Group>{action}</Group>}
      </Stack>
    </Card>
  );
}

// NoMatch says that there is something, but not what was asked for.
export function NoMatch({ what, clear }: { what: ReactNode; clear: () => void }) {
  return (
    <Card withBorder padding="lg">
      <Group>
        <Text size="sm">Nothing matches {what}.</Text>
        <Button size="compact-sm" variant="default" onClick={clear}>
          Clear filters
        </Button>
      </Group>
    </Card>
  );
}

// Loaded shows what a query has, or why it has nothing. What is old because asking again failed stays, and says so.
export function Loaded<T>({ query, rows, children }: { query: Pick<UseQueryResult<T>, "data" | "error" | "dataUpdatedAt"> & { refetch: () => unknown }; rows?: number; children: (data: T) => ReactNode }) {
  const { data, error, refetch, dataUpdatedAt } = query;
  if (data === undefined) return error ? <ErrorState error={error} retry={() => void refetch()} /> : <Waiting rows={rows} />;
  // The same elements with and without an error: what somebody has typed below stays.
  return (
    <Stack>
      {error && (
        <>
          <ErrorState error={error} retry={() => void refetch()} />
          <Text size="sm" className="quiet">
            What follows is {ago((Date.now() - dataUpdatedAt) / 1000)} old.
          </Text>
        </>
      )}
      <Stack className={error ? "stale" : undefined}>{children(data)}</Stack>
    </Stack>
  );
}
