import { Badge, Button, Group, Menu, Modal, NativeSelect, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf } from "../api/client";
import { Actions } from "../common/Actions";
import { Command, Curl, Curls } from "../common/Curl";
import { Danger } from "../common/Danger";
import { spoken } from "../common/format";
import { Page } from "../common/Page";
import { Rows } from "../common/Rows";
import { useSay } from "../common/say";
import { Empty, ErrorState, Loaded } from "../common/states";
import { Ago } from "../common/Time";
import { useUrl } from "../common/url";
import { type Circle, type InvitedMember, linkOf, type Member, members, operators, type Role, useCircle } from "./data";

export function Members() {
  return <List circle={members} title="Members" />;
}

export function Operators() {
  return <List circle={operators} title="Operators" />;
}

// List is who signs in with a password, and what they may.
function List({ circle, title }: { circle: Circle; title: string }) {
  const client = useQueryClient();
  const say = useSay();
  const [search, setUrl] = useUrl();
  const { key, list, again, remove } = useCircle(circle);
  const [invited, setInvited] = useState<InvitedMember>();
  const [changes, setChanges] = useState<Member>();
  const [removes, setRemoves] = useState<Member>();
  const reload = () => void client.invalidateQueries({ queryKey: key });
  const show = (m: InvitedMember) => {
    setInvited(m);
    reload();
  };
  const inviteAgain = useMutation({ mutationFn: (m: Member) => again(m.id), onSuccess: show });
  const invite = <Button onClick={() => setUrl({ new: "member" })}>Invite</Button>;
  return (
    <Page
      title={title}
      actions={
        <>
          {invite}
          <Curl call={{ method: "GET", path: circle.path }} label="The list by curl" />
        </>
      }
    >
      {inviteAgain.error && <ErrorState error={inviteAgain.error} />}
      <Loaded query={list}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty title="Nobody signs in with a password yet" call={{ method: "POST", path: circle.path, body: { email: "ana@example.com", role: circle.roles[0]?.value } }} action={invite}>
              Programs have keys; people are invited, choose a password, and sign in with their e-mail address. Sluice sends no mail: you get a link, and pass it on.
            </Empty>
          ) : (
            <Rows
              label={title}
              rows={data}
              rowKey={(m) => m.id}
              columns={[
                {
                  title: "Who",
                  wide: true,
                  cell: (m) => (
                    <>
                      <b>{m.email}</b>
                      {m.name && <div className="quiet">{m.name}</div>}
                    </>
                  ),
                },
                { title: "Role", cell: (m) => m.role },
                { title: "State", cell: (m) => <State of={m} /> },
                { title: "Last seen", num: true, cell: (m) => <Ago at={m.last_used_at} empty="never" /> },
                { title: "Since", num: true, cell: (m) => <Ago at={m.created_at} /> },
                {
                  title: "",
                  cell: (m) => (
                    <Group gap="xs" wrap="nowrap" justify="flex-end">
                      <Actions of={m.email}>
                        <Menu.Item onClick={() => setChanges(m)}>Change the role…</Menu.Item>
                        <Menu.Item onClick={() => inviteAgain.mutate(m)}>Invite again</Menu.Item>
                        <Menu.Item color="red" onClick={() => setRemoves(m)}>
                          Remove…
                        </Menu.Item>
                      </Actions>
                      <Curls small label={`As curl: ${m.email}`} of={[["Invite again", { method: "POST", path: `${circle.path}/${m.id}/invitation` }]]} />
                    </Group>
                  ),
                },
              ]}
            />
          )
        }
      </Loaded>
      {search.new === "member" && (
        <Invite
          circle={circle}
          close={() => setUrl({ new: undefined }, true)}
          done={(m) => {
            setUrl({ new: undefined }, true);
            show(m);
          }}
        />
      )}
      {invited && <Invited member={invited} close={() => setInvited(undefined)} />}
      {changes && <ChangeRole circle={circle} of={changes} close={() => setChanges(undefined)} done={reload} />}
      {removes && (
        <Danger
          title="Remove the member"
          verb="Remove"
          name={removes.email}
          close={() => setRemoves(undefined)}
          call={{ method: "DELETE", path: `${circle.path}/${removes.id}` }}
          run={async () => {
            await remove(removes.id);
            say(`${removes.email} was removed.`);
            reload();
          }}
        >
          All sessions of <b>{removes.email}</b> end. Keys that were made by this member go on.
        </Danger>
      )}
    </Page>
  );
}

function State({ of: m }: { of: Member }) {
  const invitation = m.invitation_expires_at && (
    <div className="quiet">
      invitation ends <Ago at={m.invitation_expires_at} />
    </div>
  );
  return (
    <div>
      <Badge variant="dot" color={m.invited ? "yellow" : "green"} tt="none">
        {m.invited ? "invited" : "active"}
      </Badge>
      {invitation}
    </div>
  );
}

function Invite({ circle, close, done }: { circle: Circle; close: () => void; done: (m: InvitedMember) => void }) {
  const { invite } = useCircle(circle);
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState(circle.roles[0]?.value ?? "viewer");
  const [lasts, setLasts] = useState("7d");
  const body = { email: email.trim(), role, name, expires_in: (spoken(lasts) ?? undefined) as number | undefined }; // text such as 7d too
  const make = useMutation({ mutationFn: () => invite(body), onSuccess: done });
  const failure = make.error ? failureOf(make.error) : undefined;
  return (
    <Modal opened onClose={close} title="Invite somebody" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          make.mutate();
        }}
      >
        <Stack gap="sm">
          <TextInput label="E-mail address" type="email" value={email} onChange={(e) => setEmail(e.currentTarget.value)} data-autofocus required autoComplete="off" error={failure?.at("/email")} />
          <TextInput label="Name" description="May stay empty" value={name} onChange={(e) => setName(e.currentTarget.value)} autoComplete="off" error={failure?.at("/name")} />
          <NativeSelect label="Role" data={circle.roles} value={role} onChange={(e) => setRole(roleOf(circle, e.currentTarget.value))} error={failure?.at("/role")} />
          <TextInput label="The invitation holds for" description="From 1m to 30d" value={lasts} onChange={(e) => setLasts(e.currentTarget.value)} error={failure?.at("/expires_in")} />
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "POST", path: circle.path, body }} />
            <Button type="submit" loading={make.isPending} disabled={!email.trim()}>
              Invite
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

const roleOf = (circle: Circle, text: string): Role => circle.roles.find((r) => r.value === text)?.value ?? "viewer";

// Invited is the link of an invitation, this once.
function Invited({ member: m, close }: { member: InvitedMember; close: () => void }) {
  return (
    <Modal opened onClose={close} title={`The invitation of ${m.email}`} size="lg" closeOnClickOutside={false} closeButtonProps={{ "aria-label": "Close" }}>
      <Stack>
        <Text size="sm">
          Pass this link on: Sluice sends no mail, and shows it this once. Whoever has it can set the password, once. It ends <Ago at={m.invitation.expires_at} />, and with the next invitation.
        </Text>
        <Command text={linkOf(m)} />
        <Group justify="flex-end">
          <Button onClick={close}>Done</Button>
        </Group>
      </Stack>
    </Modal>
  );
}

function ChangeRole({ circle, of: m, close, done }: { circle: Circle; of: Member; close: () => void; done: () => void }) {
  const { change } = useCircle(circle);
  const [role, setRole] = useState(m.role);
  const save = useMutation({
    mutationFn: () => change(m.id, role),
    onSuccess: () => {
      done();
      close();
    },
  });
  return (
    <Modal opened onClose={close} title={`What ${m.email} may`} closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          <NativeSelect label="Role" description="Holds for open sessions within five seconds" data={circle.roles} value={role} onChange={(e) => setRole(roleOf(circle, e.currentTarget.value))} data-autofocus />
          {save.error && <ErrorState error={save.error} />}
          <Group justify="flex-end">
            <Curl call={{ method: "PATCH", path: `${circle.path}/${m.id}`, body: { role } }} />
            <Button type="submit" loading={save.isPending} disabled={role === m.role}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
