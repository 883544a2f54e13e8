import { Button, Group, Modal, NativeSelect, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must, useActing } from "../api/client";
import { Command, Curl } from "../common/Curl";
import { Danger } from "../common/Danger";
import { spoken } from "../common/format";
import { Page } from "../common/Page";
import { Rows } from "../common/Rows";
import { useSay } from "../common/say";
import { Empty, ErrorState, Loaded } from "../common/states";
import { Ago } from "../common/Time";
import { useUrl } from "../common/url";
import { members } from "../members/data";
import { addressOf, type CreatedLink, type Link, type LinkInput, path, usePortalLinks } from "./data";

// PortalLinks are doors into the console for people who have no account here.
export function PortalLinks() {
  const { api, tenant } = useActing();
  const client = useQueryClient();
  const say = useSay();
  const [search, setUrl] = useUrl();
  const list = usePortalLinks();
  const [made, setMade] = useState<CreatedLink>();
  const [revokes, setRevokes] = useState<Link>();
  const reload = () => client.invalidateQueries({ queryKey: ["portal-links", tenant] });
  const create = <Button onClick={() => setUrl({ new: "link" })}>Create a portal link</Button>;
  return (
    <Page title="Portal links" actions={create}>
      <Loaded query={list}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty title="No link waits to be used" call={{ method: "POST", path, body: { role: "developer", name: "ana@acme.example", expires_in: 900 } }} action={create}>
              A portal link lets somebody who has no account in here, once, for an hour. Your own program can make one for each customer who asks:
            </Empty>
          ) : (
            <Rows
              label="Portal links"
              rows={data}
              rowKey={(l) => l.id}
              columns={[
                {
                  title: "For",
                  wide: true,
                  cell: (l) => (
                    <>
                      <b>{l.name || "(no name)"}</b>
                      <div className="mono quiet">{l.id}</div>
                    </>
                  ),
                },
                { title: "Role", cell: (l) => l.role },
                { title: "Queues", cell: (l) => l.queues?.join(", ") ?? <span className="quiet">all</span> },
                { title: "Made", num: true, cell: (l) => <Ago at={l.created_at} /> },
                { title: "Ends", num: true, cell: (l) => <Ago at={l.expires_at} /> },
                {
                  title: "",
                  cell: (l) => (
                    <Button size="compact-sm" variant="default" c="red" onClick={() => setRevokes(l)} aria-label={`End the link for ${l.name || l.id}`}>
                      End…
                    </Button>
                  ),
                },
              ]}
            />
          )
        }
      </Loaded>
      <Text size="sm" className="quiet">
        Only links that nobody has used yet are here. What was opened with others is among the sessions.
      </Text>
      {search.new === "link" && (
        <CreateLink
          close={() => setUrl({ new: undefined }, true)}
          done={(l) => {
            setUrl({ new: undefined }, true);
            setMade(l);
            void reload();
          }}
        />
      )}
      {made && <Shown link={made} close={() => setMade(undefined)} />}
      {revokes && (
        <Danger
          title="End the link"
          verb="End it"
          close={() => setRevokes(undefined)}
          call={{ method: "DELETE", path: `${path}/${revokes.id}` }}
          run={async () => {
            await must(api.DELETE("/v1/portal_links/{id}", { params: { path: { id: revokes.id } } }));
            say("The link opens nothing any more.");
            await reload();
          }}
        >
          Whoever has the link for <b>{revokes.name || revokes.id}</b> and has not used it gets in no more.
        </Danger>
      )}
    </Page>
  );
}

function CreateLink({ close, done }: { close: () => void; done: (l: CreatedLink) => void }) {
  const { api } = useActing();
  const [name, setName] = useState("");
  const [role, setRole] = useState<LinkInput["role"]>("developer");
  const [lasts, setLasts] = useState("15m");
  const body: LinkInput = { role, ...(name.trim() && { name: name.trim() }), expires_in: (spoken(lasts) ?? undefined) as number | undefined }; // text such as 15m too
  const create = useMutation({ mutationFn: () => must(api.POST(path, { body })), onSuccess: done });
  const failure = create.error ? failureOf(create.error) : undefined;
  return (
    <Modal opened onClose={close} title="Create a portal link" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          create.mutate();
        }}
      >
        <Stack gap="sm">
          <TextInput label="For whom" description="For people and the audit log; may stay empty" value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus autoComplete="off" error={failure?.at("/name")} />
          <NativeSelect label="Role" description="No more than you may yourself" data={members.roles} value={role} onChange={(e) => setRole(members.roles.find((r) => r.value === e.currentTarget.value)?.value ?? "viewer")} error={failure?.at("/role")} />
          <TextInput label="The link holds for" description="From 1m to 1h; the session that it opens ends after an hour" value={lasts} onChange={(e) => setLasts(e.currentTarget.value)} error={failure?.at("/expires_in")} />
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "POST", path, body }} />
            <Button type="submit" loading={create.isPending}>
              Create
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

// Shown is a new link, this once.
function Shown({ link: l, close }: { link: CreatedLink; close: () => void }) {
  return (
    <Modal opened onClose={close} title={`The portal link${l.name && ` for ${l.name}`}`} size="lg" closeOnClickOutside={false} closeButtonProps={{ "aria-label": "Close" }}>
      <Stack>
        <Text size="sm">
          Pass it on like a password: it is shown this once, and whoever opens it first is inside <b>{l.tenant}</b> as {l.role}. It ends <Ago at={l.expires_at} />.
        </Text>
        <Command text={addressOf(l)} />
        <Group justify="flex-end">
          <Button onClick={close}>Done</Button>
        </Group>
      </Stack>
    </Modal>
  );
}
