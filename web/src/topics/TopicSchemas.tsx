import { Badge, Button, Card, Group, NativeSelect, SimpleGrid, Stack, Table, Text, Textarea, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must, type Schemas, useActing } from "../api/client";
import { type Call, pathOf } from "../api/curl";
import { Curl, Curls } from "../common/Curl";
import { bytes } from "../common/format";
import { useSay } from "../common/say";
import { ErrorState, Loaded } from "../common/states";
import { Ago } from "../common/Time";
import { useTopicName } from "./data";

type Change = Schemas["SchemasInput"];
type Mode = Schemas["TopicSchemas"]["compatibility"];

const modes: { value: Mode; label: string }[] = [
  { value: "backward", label: "backward: allows all that the current one does" },
  { value: "forward", label: "forward: allows nothing that the current one does not" },
  { value: "full", label: "full: both" },
  { value: "none", label: "none: is not compared" },
];

// TopicSchemas shows the versions of a topic's schema, and adds one.
export function TopicSchemas() {
  const { api, tenant } = useActing();
  const topic = useTopicName();
  const client = useQueryClient();
  const [shown, setShown] = useState<number>();
  const query = useQuery({
    queryKey: ["schemas", tenant, topic],
    queryFn: () => must(api.GET("/v1/topics/{topic}/schemas", { params: { path: { topic } } })),
  });
  const refresh = () => {
    void client.invalidateQueries({ queryKey: ["schemas", tenant, topic] });
    void client.invalidateQueries({ queryKey: ["topic", tenant, topic] });
  };
  const path = pathOf`/v1/topics/${topic}/schemas`;
  const change = useMutation({
    mutationFn: (body: Change) => must(api.PATCH("/v1/topics/{topic}/schemas", { params: { path: { topic } }, body })),
    onSuccess: refresh,
  });
  return (
    <Loaded query={query}>
      {(set) => (
        <SimpleGrid cols={{ base: 1, md: 2 }}>
          <Stack>
            <Card withBorder>
              <Group justify="space-between" mb="sm">
                <Title order={2} size="h5">
                  Versions
                </Title>
                <Group gap="xs">
                  {set.current !== null && (
                    <Button size="compact-sm" variant="default" loading={change.isPending} onClick={() => change.mutate({ current: null })}>
                      Check no more
                    </Button>
                  )}
                  <Curls
                    small
                    label="As curl: versions"
                    of={[
                      ["Which versions there are", { method: "GET", path }],
                      ...set.versions.filter((v) => !v.current).map((v): [string, Call] => [`Make version ${v.version} current`, { method: "PATCH", path, body: { current: v.version } }]),
                      ...(set.current === null ? [] : [["Check no more", { method: "PATCH", path, body: { current: null } }] satisfies [string, Call]]),
                      ...modes.filter((m) => m.value !== set.compatibility).map((m): [string, Call] => [`A new version: ${m.label}`, { method: "PATCH", path, body: { compatibility: m.value } }]),
                    ]}
                  />
                </Group>
              </Group>
              {set.versions.length === 0 ? (
                <Text size="sm">The topic takes whatever is published. Add a JSON Schema, and what is not as it says is refused.</Text>
              ) : (
                <Table aria-label="Versions of the schema">
                  <Table.Thead>
                    <Table.Tr>
                      <Table.Th>Version</Table.Th>
                      <Table.Th>Size</Table.Th>
                      <Table.Th>Added</Table.Th>
                      <Table.Th />
                    </Table.Tr>
                  </Table.Thead>
                  <Table.Tbody>
                    {[...set.versions].reverse().map((v) => (
                      <Table.Tr key={v.version}>
                        <Table.Td>
                          {v.version}{" "}
                          {v.current && (
                            <Badge size="sm" color="#1f6b2e" variant="filled" tt="none">
                              current
                            </Badge>
                          )}
                        </Table.Td>
                        <Table.Td>{bytes(v.size)}</Table.Td>
                        <Table.Td>
                          <Ago at={v.created_at} />
                        </Table.Td>
                        <Table.Td>
                          <Group gap="xs" justify="flex-end">
                            <Button size="compact-xs" variant="default" aria-label={`Show version ${v.version}`} onClick={() => setShown(v.version)}>
                              Show
                            </Button>
                            {!v.current && (
                              <Button size="compact-xs" variant="default" aria-label={`Make version ${v.version} current`} loading={change.isPending} onClick={() => change.mutate({ current: v.version })}>
                                Make current
                              </Button>
                            )}
                          </Group>
                        </Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              )}
              <NativeSelect mt="sm" label="A new version" data={modes} value={set.compatibility} onChange={(e) => change.mutate({ compatibility: modes.find((m) => m.value === e.currentTarget.value)?.value })} />
              {change.error && <ErrorState error={failureOf(change.error)} />}
            </Card>
            {shown !== undefined && <Version topic={topic} version={shown} />}
          </Stack>
          <Add topic={topic} added={refresh} />
        </SimpleGrid>
      )}
    </Loaded>
  );
}

function Version({ topic, version }: { topic: string; version: number }) {
  const { api, tenant } = useActing();
  const query = useQuery({
    queryKey: ["schema", tenant, topic, version],
    queryFn: () => must(api.GET("/v1/topics/{topic}/schemas/{version}", { params: { path: { topic, version: `${version}` } } })),
  });
  return (
    <Card withBorder>
      <Title order={2} size="h5" mb="sm">
        Version {version}
      </Title>
      <Loaded query={query}>{(v) => <pre className="mono" style={{ margin: 0, overflow: "auto", maxHeight: 480 }}>{JSON.stringify(v.schema, null, 2)}</pre>}</Loaded>
    </Card>
  );
}

function Add({ topic, added }: { topic: string; added: () => void }) {
  const { api } = useActing();
  const say = useSay();
  const [text, setText] = useState("");
  let wrong: string | undefined;
  let body: Schemas["SchemaInput"] | undefined;
  try {
    if (text.trim()) body = { schema: JSON.parse(text) };
  } catch (e) {
    wrong = e instanceof Error ? e.message : "is no JSON";
  }
  const add = useMutation({
    mutationFn: (body: Schemas["SchemaInput"]) => must(api.POST("/v1/topics/{topic}/schemas", { params: { path: { topic } }, body })),
    onSuccess: (v) => {
      say(`Version ${v.version} is the current one.`);
      setText("");
      added();
    },
  });
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        if (body) add.mutate(body);
      }}
    >
      <Card withBorder>
        <Stack gap="sm">
          <Title order={2} size="h5">
            Add a version
          </Title>
          <Textarea label="JSON Schema" placeholder='{"type": "object", "required": ["order"]}' value={text} onChange={(e) => setText(e.currentTarget.value)} autosize minRows={8} maxRows={30} styles={{ input: { fontFamily: "var(--mono)" } }} error={wrong} spellCheck={false} />
          <div aria-live="polite">{add.error && <ErrorState error={failureOf(add.error)} />}</div>
          <Group>
            <Button type="submit" loading={add.isPending} disabled={!body}>
              Add
            </Button>
            <Curl call={{ method: "POST", path: pathOf`/v1/topics/${topic}/schemas`, body: body ?? { schema: {} } }} />
          </Group>
        </Stack>
      </Card>
    </form>
  );
}
