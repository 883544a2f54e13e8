import { Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must } from "../api/client";
import { pathOf, unchanged } from "../api/curl";
import { Curl } from "../common/Curl";
import { Danger } from "../common/Danger";
import { Page } from "../common/Page";
import { Rows } from "../common/Rows";
import { useSay } from "../common/say";
import { Empty, ErrorState, Loaded } from "../common/states";
import { useUrl } from "../common/url";
import { api, type Plan, usePlans } from "./data";
import { LimitFields } from "./LimitFields";
import { limitNames, limitsOf, limitText, textsOf } from "./limits";

// Plans are limits that tenants share.
export function Plans() {
  const list = usePlans();
  const client = useQueryClient();
  const say = useSay();
  const [search, setUrl] = useUrl();
  const [edits, setEdits] = useState<Plan>();
  const [deletes, setDeletes] = useState<Plan>();
  const reload = () => void client.invalidateQueries({ queryKey: ["plans"] });
  const create = <Button onClick={() => setUrl({ new: "plan" })}>Create a plan</Button>;
  return (
    <Page title="Plans" actions={create}>
      <Loaded query={list}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty title="No plans yet" call={{ method: "PUT", path: "/v1/plans/default", body: { limits: { requests_per_second: 500 } } }} action={create}>
              A plan is limits that many tenants share. The one with the name default holds for tenants that name none:
            </Empty>
          ) : (
            <Rows
              label="Plans"
              rows={data}
              rowKey={(p) => p.name}
              columns={[
                { title: "Plan", wide: true, cell: (p) => <b>{p.name}</b> },
                {
                  title: "Limits",
                  wide: true,
                  cell: (p) =>
                    limitNames
                      .filter((limit) => p.limits[limit.name] !== undefined)
                      .map((limit) => `${limit.label}: ${limitText(p.limits, limit)}`)
                      .join(" · ") || "none",
                },
                {
                  title: "",
                  cell: (p) => (
                    <Group gap={4} wrap="nowrap">
                      <Button size="compact-sm" variant="default" onClick={() => setEdits(p)} aria-label={`Edit ${p.name}`}>
                        Edit
                      </Button>
                      <Button size="compact-sm" variant="default" c="red" onClick={() => setDeletes(p)} aria-label={`Delete ${p.name}`}>
                        Delete…
                      </Button>
                    </Group>
                  ),
                },
              ]}
            />
          )
        }
      </Loaded>
      {search.new === "plan" && <PlanForm close={() => setUrl({ new: undefined }, true)} done={reload} />}
      {edits && <PlanForm of={edits} close={() => setEdits(undefined)} done={reload} />}
      {deletes && (
        <Danger
          title="Delete the plan"
          verb="Delete"
          name={deletes.name}
          close={() => setDeletes(undefined)}
          call={{ method: "DELETE", path: pathOf`/v1/plans/${deletes.name}` }}
          run={async () => {
            await must(api.DELETE("/v1/plans/{plan}", { params: { path: { plan: deletes.name } } }));
            say(`The plan ${deletes.name} was deleted.`);
            reload();
          }}
        >
          This deletes the plan <b>{deletes.name}</b>. One that tenants still name stays.
        </Danger>
      )}
    </Page>
  );
}

function PlanForm({ of, close, done }: { of?: Plan; close: () => void; done: () => void }) {
  const [name, setName] = useState(of?.name ?? "");
  const [texts, setTexts] = useState(textsOf(of?.limits ?? null));
  const body = { limits: limitsOf(texts) };
  const save = useMutation({
    mutationFn: () => must(api.PUT("/v1/plans/{plan}", { params: { path: { plan: name }, header: of ? { "If-Match": `"${of.etag}"` } : { "If-None-Match": "*" } }, body })),
    onSuccess: () => {
      done();
      close();
    },
  });
  const failure = save.error ? failureOf(save.error) : undefined;
  return (
    <Modal opened onClose={close} title={of ? `Plan ${of.name}` : "Create a plan"} closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          {!of && <TextInput label="Name" value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus required spellCheck={false} autoComplete="off" />}
          <LimitFields texts={texts} set={setTexts} failure={failure} none="no limit" />
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "PUT", path: pathOf`/v1/plans/${name || "NAME"}`, body, headers: unchanged(of?.etag) }} />
            <Button type="submit" loading={save.isPending} disabled={!name}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
