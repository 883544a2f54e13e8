import { Badge, Button, Group, Text } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Curl } from "../common/Curl";
import { Danger } from "../common/Danger";
import { Page } from "../common/Page";
import { Rows } from "../common/Rows";
import { useSay } from "../common/say";
import { Empty, Loaded } from "../common/states";
import { Ago } from "../common/Time";
import { signOut } from "../shell/session";
import { type OpenSession, useSessions, wayOf, type Whose, whoOf } from "./data";

export function Sessions() {
  return <List whose="tenant" title="Sessions" />;
}

export function OperatorSessions() {
  return <List whose="operators" title="Operator sessions" />;
}

// List is in which browsers somebody is signed in: everybody for who may see the keys, and oneself for all others.
function List({ whose, title }: { whose: Whose; title: string }) {
  const client = useQueryClient();
  const say = useSay();
  const { key, list, end } = useSessions(whose);
  const [ends, setEnds] = useState<OpenSession>();
  return (
    <Page title={title} actions={<Curl call={{ method: "GET", path: "/v1/sessions" }} />}>
      <Loaded query={list}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty title="Nobody is signed in" call={{ method: "GET", path: "/v1/sessions" }}>
              A browser that signs in with a key, a password, an identity provider or a portal link has a session, which is shown here until it ends. Programs with keys have none.
            </Empty>
          ) : (
            <>
              <Rows
                label={title}
                rows={data}
                rowKey={(s) => s.id}
                columns={[
                  {
                    title: "Who",
                    wide: true,
                    cell: (s) => (
                      <>
                        <Group gap="xs">
                          <b>{whoOf(s)}</b>
                          {s.current && (
                            <Badge size="sm" variant="light" tt="none">
                              this one
                            </Badge>
                          )}
                        </Group>
                        <span className="mono quiet">{s.id}</span>
                      </>
                    ),
                  },
                  { title: "By", cell: wayOf },
                  { title: "Browser", wide: true, cell: (s) => <span className="one-line" style={{ maxWidth: "24rem" }} title={s.user_agent}>{s.user_agent || <span className="quiet">said nothing</span>}</span> },
                  { title: "From", cell: (s) => <span className="mono">{s.source_ip}</span> },
                  { title: "Last used", num: true, cell: (s) => <Ago at={s.last_used_at} /> },
                  { title: "Ends", num: true, cell: (s) => <Ago at={s.expires_at} /> },
                  {
                    title: "",
                    cell: (s) => (
                      <Button size="compact-sm" variant="default" c="red" onClick={() => setEnds(s)} aria-label={`End the session of ${whoOf(s)}, ${s.id}`}>
                        End…
                      </Button>
                    ),
                  },
                ]}
              />
              <Text size="sm" className="quiet">
                Only who may see the keys sees the sessions of others.
              </Text>
            </>
          )
        }
      </Loaded>
      {ends && (
        <Danger
          title="End the session"
          verb={ends.current ? "Sign out" : "End it"}
          close={() => setEnds(undefined)}
          call={{ method: "DELETE", path: `/v1/sessions/${ends.id}` }}
          run={async () => {
            if (ends.current) return signOut(client);
            await end(ends.id);
            say(`The session of ${whoOf(ends)} has ended.`);
            await client.invalidateQueries({ queryKey: key });
          }}
        >
          {ends.current ? (
            "This is the session in which you are: you are signed out."
          ) : (
            <>
              <b>{whoOf(ends)}</b> is signed out there within five seconds, on every server, and can sign in again. To prevent that, remove the member or revoke the key.
            </>
          )}
        </Danger>
      )}
    </Page>
  );
}
