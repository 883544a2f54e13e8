import { Badge, Button, Group, Menu } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { must, useActing } from "../api/client";
import { Actions } from "../common/Actions";
import { Curl } from "../common/Curl";
import { Danger } from "../common/Danger";
import { count } from "../common/format";
import { Page } from "../common/Page";
import { Rows } from "../common/Rows";
import { useSay } from "../common/say";
import { Empty, Loaded } from "../common/states";
import { Ago } from "../common/Time";
import { useUrl } from "../common/url";
import { CreateKey } from "./CreateKey";
import { type CreatedKey, type Key, type Keyring, operatorKeys, tenantKeys, useKeys } from "./data";
import { RotateKey } from "./RotateKey";
import { Shown } from "./Shown";

export function Keys() {
  return <Ring ring={tenantKeys} title="Keys" />;
}

export function OperatorKeys() {
  return <Ring ring={operatorKeys} title="Operator keys" />;
}

// LastUse is when a key was used last, and from where.
function LastUse({ of: k }: { of: Key }) {
  return (
    <>
      <Ago at={k.last_used_at} empty="never" />
      {k.last_used_ip && (
        <>
          <br />
          <span className="mono quiet">{k.last_used_ip}</span>
        </>
      )}
    </>
  );
}

// Ring is a list of keys, and what can be done with them.
function Ring({ ring, title }: { ring: Keyring; title: string }) {
  const { api } = useActing();
  const client = useQueryClient();
  const say = useSay();
  const [search, setUrl] = useUrl();
  const list = useKeys(ring);
  const [made, setMade] = useState<CreatedKey>();
  const [rotates, setRotates] = useState<Key>();
  const [revokes, setRevokes] = useState<Key>();
  const reload = () => void client.invalidateQueries({ queryKey: ["keys"] });
  const create = <Button onClick={() => setUrl({ new: "key" })}>Create a key</Button>;
  return (
    <Page
      title={title}
      actions={
        <>
          {create}
          <Curl call={{ method: "GET", path: ring.path }} label="The list by curl" />
        </>
      }
    >
      <Loaded query={list}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty title="No keys" call={{ method: "POST", path: ring.path, body: { name: "ci", scopes: ["developer"] } }} action={create}>
              A key is what a program signs in with. It is shown once:
            </Empty>
          ) : (
            <Rows
              label={title}
              rows={data}
              rowKey={(k) => k.id}
              columns={[
                {
                  title: "Key",
                  wide: true,
                  cell: (k) => (
                    <>
                      <Group gap="xs">
                        <b>{k.name || "(no name)"}</b>
                        {k.aws_access_key_id && <Badge size="sm" variant="light" tt="none">AWS</Badge>}
                        {k.replaced_by && <Badge size="sm" variant="dot" color="yellow" tt="none">replaced</Badge>}
                      </Group>
                      <span className="mono quiet">{k.id}</span>
                    </>
                  ),
                },
                { title: "May", wide: true, cell: (k) => <span>{k.scopes.join(", ")}{k.queues && <span className="quiet"> on {k.queues.join(", ")}</span>}</span> },
                { title: "From", cell: (k) => (k.allowed_ips ? <span className="mono">{k.allowed_ips.join(", ")}</span> : <span className="quiet">anywhere</span>) },
                { title: "Last used", num: true, cell: (k) => <LastUse of={k} /> },
                ...(ring.kind === "tenant" ? [{ title: "Calls, 24 h", num: true, cell: (k: Key) => (k.calls_24h === null ? "–" : count(k.calls_24h)) }] : []),
                { title: "Ends", num: true, cell: (k) => <Ago at={k.expires_at} empty="never" /> },
                {
                  title: "",
                  cell: (k) => (
                    <Actions of={k.name || k.id}>
                      <Menu.Item disabled={k.replaced_by !== null} onClick={() => setRotates(k)}>
                        Rotate…
                      </Menu.Item>
                      <Menu.Item color="red" onClick={() => setRevokes(k)}>
                        Revoke…
                      </Menu.Item>
                    </Actions>
                  ),
                },
              ]}
            />
          )
        }
      </Loaded>
      {search.new === "key" && (
        <CreateKey
          ring={ring}
          close={() => setUrl({ new: undefined }, true)}
          made={(k) => {
            setUrl({ new: undefined }, true);
            setMade(k);
            reload();
          }}
        />
      )}
      {made && <Shown created={made} close={() => setMade(undefined)} />}
      {rotates && (
        <RotateKey
          ring={ring}
          of={rotates}
          close={() => setRotates(undefined)}
          made={(k) => {
            setRotates(undefined);
            setMade(k);
            reload();
          }}
        />
      )}
      {revokes && (
        <Danger
          title="Revoke the key"
          verb="Revoke"
          name={revokes.name || revokes.id}
          close={() => setRevokes(undefined)}
          call={{ method: "DELETE", path: `${ring.path}/${revokes.id}` }}
          run={async () => {
            const params = { path: { id: revokes.id } };
            await must(ring.kind === "tenant" ? api.DELETE("/v1/keys/{id}", { params }) : api.DELETE("/v1/operator_keys/{id}", { params }));
            say("The key works no more.");
            reload();
          }}
        >
          Programs that use <b>{revokes.name || revokes.id}</b> are refused from now on. It was last used <Ago at={revokes.last_used_at} empty="never" />
          {revokes.last_used_ip && <> from {revokes.last_used_ip}</>}.
        </Danger>
      )}
    </Page>
  );
}
