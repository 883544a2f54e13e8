import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must } from "../api/client";
import { pathOf, unchanged, withQuery } from "../api/curl";
import { Curl } from "../common/Curl";
import { allPages, csvOf } from "../common/csv";
import { Export } from "../common/Export";
import { Page, Pager, SearchField } from "../common/Page";
import { Empty, ErrorState, Loaded, NoMatch } from "../common/states";
import { useUrl } from "../common/url";
import type { CreatedKey } from "../keys/data";
import { Shown } from "../keys/Shown";
import { api, type Order, orders, useTenants } from "./data";
import { TenantRows } from "./TenantRows";

export function TenantList() {
  const [{ q = "", cursor, sort, new: making }, setUrl] = useUrl();
  const by = orders.find((o) => o === sort) ?? "name";
  const list = useTenants(q, by, cursor);
  const [made, setMade] = useState<CreatedKey>();
  const create = <Button onClick={() => setUrl({ new: "tenant" })}>Create a tenant</Button>;
  return (
    <Page
      title="Tenants"
      actions={
        <>
          <Export name="tenants.csv" text={() => tableOf(q, by)} />
          <Curl
            call={{ method: "GET", path: withQuery("/v1/tenants", { prefix: q, sort: sort && by }) }}
            then={[{ method: "GET", path: withQuery("/v1/tenant_health", { tenants: list.data?.data.map((t) => t.name).join(",") || "NAME" }) }]}
          />
          {create}
        </>
      }
    >
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
              <TenantRows tenants={data} sorting={{ by, set: (sort) => setUrl({ sort: sort === "name" ? undefined : sort, cursor: undefined }) }} />
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

const mostExported = 10_000;

// tableOf returns the tenants of a list as a table, with what is on the screen and what is not.
async function tableOf(prefix: string, by: Order) {
  const { rows, more } = await allPages(mostExported, (cursor) => must(api.GET("/v1/tenants", { params: { query: { prefix, sort: by === "name" ? undefined : by, cursor, limit: 500 } } })));
  const head = ["name", "id", "account_number", "state", "suspended", "plan", "available", "in_flight", "delayed", "bytes", "stored_bytes_limit", "sent_per_second", "received_per_second", "throttled", "undelivered", "last_active_at", "created_at", "notes"];
  const text = csvOf(
    head,
    rows.map((t) => {
      const a = t.activity;
      return [t.name, t.id, t.account_number, t.state, t.suspended?.mode, t.plan, a?.available, a?.in_flight, a?.delayed, a?.bytes, t.effective_limits.stored_bytes, a?.rates.sent, a?.rates.received, a?.throttled, a?.undelivered, a?.last_active_at, t.created_at, t.notes];
    }),
  );
  return { text, note: more ? `The first ${rows.length} tenants are in the file; there are more.` : undefined };
}

const firstKey = (tenant: string) => ({ name: `first key of ${tenant}` });

// CreateTenant takes a name, and gives the key that the tenant begins with.
function CreateTenant({ close, made }: { close: () => void; made: (k: CreatedKey) => void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const create = useMutation({
    mutationFn: async () => {
      const path = { tenant: name.trim() };
      await must(api.PUT("/v1/tenants/{tenant}", { params: { path, header: { "If-None-Match": "*" } }, body: {} }));
      return must(api.POST("/v1/tenants/{tenant}/keys", { params: { path }, body: firstKey(path.tenant) }));
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
            <Curl
              call={{ method: "PUT", path: pathOf`/v1/tenants/${name.trim() || "NAME"}`, headers: unchanged() }}
              then={[{ method: "POST", path: pathOf`/v1/tenants/${name.trim() || "NAME"}/keys`, body: firstKey(name.trim()) }]}
            />
            <Button type="submit" loading={create.isPending} disabled={!name.trim()}>
              Create
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
