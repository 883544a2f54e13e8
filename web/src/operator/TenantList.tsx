import { Badge, Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { failureOf, must } from "../api/client";
import { pathOf } from "../api/curl";
import { Curl } from "../common/Curl";
import { count } from "../common/format";
import { Page, Pager, SearchField } from "../common/Page";
import { Rows } from "../common/Rows";
import { Empty, ErrorState, Loaded, NoMatch } from "../common/states";
import { Ago } from "../common/Time";
import { useUrl } from "../common/url";
import type { CreatedKey } from "../keys/data";
import { Shown } from "../keys/Shown";
import { api, type Tenant, useTenants } from "./data";

export function TenantState({ of: t }: { of: Tenant }) {
  if (t.state === "active") {
    return (
      <Badge variant="dot" color="green" tt="none">
        active
      </Badge>
    );
  }
  return (
    <Badge variant="filled" color="red.9" tt="none" title={t.suspended?.reason}>
      {t.state === "suspended" ? (t.suspended?.mode === "send" ? "may not send" : "suspended") : t.state}
    </Badge>
  );
}

export function TenantList() {
  const [{ q = "", cursor, new: making }, setUrl] = useUrl();
  const list = useTenants(q, cursor);
  const [made, setMade] = useState<CreatedKey>();
  const create = <Button onClick={() => setUrl({ new: "tenant" })}>Create a tenant</Button>;
  return (
    <Page title="Tenants" actions={create}>
      <SearchField name="q" label="Names that begin with" placeholder="Names that begin with…  ( / )" />
      <Loaded query={list} rows={8}>
        {({ data, next_cursor }) => {
          if (data.length === 0 && q) return <NoMatch what={<>the prefix “{q}”</>} clear={() => setUrl({ q: undefined, cursor: undefined })} />;
          if (data.length === 0) {
            return (
              <Empty title="No tenants" call={{ method: "PUT", path: "/v1/tenants/acme" }} action={create}>
                A tenant has queues, topics and keys that no other tenant sees. It takes only a name:
              </Empty>
            );
          }
          return (
            <>
              <Rows
                label="Tenants"
                rows={data}
                rowKey={(t) => t.id}
                columns={[
                  {
                    title: "Name",
                    wide: true,
                    cell: (t) => (
                      <Link className="link" data-row to="/admin/tenants/$name" params={{ name: t.name }}>
                        {t.name}
                      </Link>
                    ),
                  },
                  { title: "State", cell: (t) => <TenantState of={t} /> },
                  { title: "Plan", cell: (t) => t.plan ?? <span className="quiet">default</span> },
                  { title: "Requests a second", num: true, cell: (t) => (t.effective_limits?.requests_per_second ? count(t.effective_limits.requests_per_second) : <span className="quiet">no limit</span>) },
                  { title: "Account", cell: (t) => <span className="mono">{t.account_number}</span> },
                  { title: "Made", num: true, cell: (t) => <Ago at={t.created_at} /> },
                  {
                    title: "",
                    cell: (t) => (
                      <Link className="link" to="/t/$tenant/queues" params={{ tenant: t.name }} aria-label={`Queues of ${t.name}`}>
                        Queues
                      </Link>
                    ),
                  },
                ]}
              />
              <Pager next={next_cursor} />
            </>
          );
        }}
      </Loaded>
      {making === "tenant" && (
        <CreateTenant
          close={() => setUrl({ new: undefined }, true)}
          made={(k) => {
            setUrl({ new: undefined }, true);
            setMade(k);
          }}
        />
      )}
      {made && <Shown created={made} close={() => setMade(undefined)} />}
    </Page>
  );
}

// CreateTenant takes a name, and gives the key that the tenant begins with.
function CreateTenant({ close, made }: { close: () => void; made: (k: CreatedKey) => void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const create = useMutation({
    mutationFn: async () => {
      const path = { tenant: name.trim() };
      await must(api.PUT("/v1/tenants/{tenant}", { params: { path, header: { "If-None-Match": "*" } }, body: {} }));
      return must(api.POST("/v1/tenants/{tenant}/keys", { params: { path }, body: { name: `first key of ${path.tenant}` } }));
    },
    onSuccess: made,
    onSettled: () => void client.invalidateQueries({ queryKey: ["tenants"] }),
  });
  const failure = create.error ? failureOf(create.error) : undefined;
  return (
    <Modal opened onClose={close} title="Create a tenant" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          create.mutate();
        }}
      >
        <Stack>
          <TextInput label="Name" value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus required spellCheck={false} autoComplete="off" />
          <Text size="sm">The plan default holds for it until it has another one. You get its first key, which may everything that is the tenant's.</Text>
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "PUT", path: pathOf`/v1/tenants/${name.trim() || "NAME"}` }} />
            <Button type="submit" loading={create.isPending} disabled={!name.trim()}>
              Create
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
