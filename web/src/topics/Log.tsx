import { Button, Drawer, Group, Stack, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { type Schemas, useActing } from "../api/client";
import { pathOf, withQuery } from "../api/curl";
import { Body } from "../common/Body";
import { Curl } from "../common/Curl";
import { bytes } from "../common/format";
import { Facts } from "../common/Page";
import { Rows } from "../common/Rows";
import { Empty, Loaded } from "../common/states";
import { Ago, Instant } from "../common/Time";
import { useUrl } from "../common/url";
import { logPage, useLog, useTopicName } from "./data";

type Kept = Schemas["TopicMessage"];

// Log is what was published and is kept, from the oldest on. Reading it takes nothing.
export function Log() {
  const { tenant = "" } = useActing();
  const topic = useTopicName();
  const [search, setUrl] = useUrl();
  const list = useLog(topic, search.after);
  const open = list.data?.messages.find((m) => m.id === search.m);
  return (
    <Stack>
      <Group justify="flex-end">
        <Button variant="default" loading={list.isFetching} onClick={() => void list.refetch()}>
          Look again
        </Button>
        <Curl call={{ method: "GET", path: withQuery(pathOf`/v1/topics/${topic}/messages`, { after: search.after }) }} />
      </Group>
      <Loaded query={list}>
        {({ messages, next_after }) =>
          messages.length === 0 ? (
            search.after ? (
              <Group>
                <Text size="sm">Nothing was published behind that.</Text>
                <Button size="compact-sm" variant="default" onClick={() => setUrl({ after: undefined })}>
                  From the oldest
                </Button>
              </Group>
            ) : (
              <Empty title="The log is empty" call={{ method: "POST", path: pathOf`/v1/topics/${topic}/messages`, body: "hello" }}>
                Nothing was published, or all of it was delivered and is kept no longer: how long that is, the topic says.
              </Empty>
            )
          ) : (
            <>
              <Rows
                label="Log"
                rows={messages}
                rowKey={(m) => m.id}
                columns={[
                  {
                    title: "Message",
                    wide: true,
                    cell: (m) => (
                      <>
                        <a
                          className="link mono"
                          data-row
                          href={`?m=${m.id}`}
                          onClick={(e) => {
                            e.preventDefault();
                            setUrl({ m: m.id });
                          }}
                        >
                          {m.id}
                        </a>
                        <span className="mono quiet one-line">{m.body_encoding === "base64" ? `(${bytes(m.size)} that are no text)` : m.body.slice(0, 160)}</span>
                      </>
                    ),
                  },
                  { title: "Number", num: true, cell: (m) => <span className="mono">{m.sequence_number.replace(/^0+(?=\d)/, "")}</span> },
                  { title: "Group", cell: (m) => m.group_id ?? <span className="quiet">–</span> },
                  { title: "Size", num: true, cell: (m) => bytes(m.size) },
                  { title: "Published", num: true, cell: (m) => <Ago at={m.published_at} /> },
                ]}
              />
              <Group>
                {search.after && (
                  <Button variant="default" size="xs" onClick={() => setUrl({ after: undefined })}>
                    From the oldest
                  </Button>
                )}
                {messages.length === logPage && (
                  <Button variant="default" size="xs" onClick={() => setUrl({ after: next_after })}>
                    Next page
                  </Button>
                )}
              </Group>
            </>
          )
        }
      </Loaded>
      {open && (
        <Drawer opened onClose={() => setUrl({ m: undefined })} position="right" size="xl" title={<span className="mono">{open.id}</span>} closeButtonProps={{ "aria-label": "Close" }}>
          <Link className="link" to="/t/$tenant/topics/$topic/filter-test" params={{ tenant, topic }} search={{ m: open.id, after: search.after }}>
            Who gets it, and who does not?
          </Link>
          <Shown of={open} />
        </Drawer>
      )}
    </Stack>
  );
}

function Shown({ of: m }: { of: Kept }) {
  return (
    <Stack>
      <Facts
        of={[
          ["Published", <><Instant at={m.published_at} /> (<Ago at={m.published_at} />)</>],
          ["Sequence number", <span key="n" className="mono">{m.sequence_number}</span>],
          ["Size", bytes(m.size)],
          ["Group", m.group_id ?? "–"],
          ...Object.entries(m.attributes).map(([name, a]): [string, React.ReactNode] => [name, <span key={name} className="mono">{a.value} <span className="quiet">{a.type}</span></span>]),
        ]}
      />
      <Body of={m} />
    </Stack>
  );
}
