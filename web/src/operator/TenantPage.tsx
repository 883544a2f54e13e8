import { Alert, Button, Card, Group, Modal, NativeSelect, SegmentedControl, SimpleGrid, Stack, Textarea, TextInput, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { failureOf, must } from "../api/client";
import { pathOf, unchanged, withQuery } from "../api/curl";
import { Curl } from "../common/Curl";
import { Danger } from "../common/Danger";
import { Facts, Page } from "../common/Page";
import { useSay } from "../common/say";
import { ErrorState, Loaded } from "../common/states";
import { Ago, Instant } from "../common/Time";
import { viewAs } from "../shell/session";
import { api, type Tenant, usePlans, useQuotas, useTenant, useUsageOf } from "./data";
import { hintOf } from "./hint";
import { LimitFields } from "./LimitFields";
import { limitNames, limitsOf, limitText, textsOf } from "./limits";
import { TenantKeys } from "./TenantKeys";
import { TenantState } from "./TenantRows";
import { TenantUse } from "./TenantUse";
import { Timeline } from "./Timeline";

// TenantPage is one tenant as operators see it.
export function TenantPage() {
  const { name = "" } = useParams({ strict: false });
  const query = useTenant(name);
  const client = useQueryClient();
  const navigate = useNavigate();
  const say = useSay();
  const [asks, setAsks] = useState<"suspend" | "delete">();
  useEffect(() => setAsks(undefined), [name]);
  const t = query.data;
  const params = { path: { tenant: name } };
  const keep = (after: Tenant) => client.setQueryData(["tenant", name], after);
  const resume = useMutation({
    mutationFn: () => must(api.POST("/v1/tenants/{tenant}/resume", { params })),
    onSuccess: (after) => {
      keep(after);
      say(`${name} may work again.`);
    },
  });
  const view = useMutation({
    mutationFn: () => viewAs(client, name),
    onSuccess: () => void navigate({ to: "/t/$tenant/overview", params: { tenant: name } }),
  });
  return (
    <Page
      title={name}
      trail={
        <Link className="link" to="/admin/tenants">
          Tenants
        </Link>
      }
      badges={t && <TenantState of={t} />}
      actions={
        t && (
          <>
            <Button variant="default" loading={view.isPending} onClick={() => view.mutate()}>
              View as
            </Button>
            <Button component={Link} variant="default" to={`/t/${name}/overview`}>
              Act for it
            </Button>
            <Button variant="default" onClick={() => void navigate({ to: "/t/$tenant/portal-links", params: { tenant: name }, search: { new: "link" } })}>
              Portal link…
            </Button>
            {t.suspended ? (
              <>
                <Button variant="default" loading={resume.isPending} onClick={() => resume.mutate()}>
                  Resume
                </Button>
                <Curl call={{ method: "POST", path: pathOf`/v1/tenants/${name}/resume` }} />
              </>
            ) : (
              <Button variant="default" onClick={() => setAsks("suspend")}>
                Suspend…
              </Button>
            )}
            <Button variant="default" c="red" onClick={() => setAsks("delete")}>
              Delete…
            </Button>
          </>
        )
      }
    >
      {view.error && <ErrorState error={view.error} />}
      {resume.error && <ErrorState error={resume.error} />}
      <Loaded query={query}>
        {(t) => (
          <Stack>
            {t.suspended && (
              <Alert color="red" title={t.suspended.mode === "send" ? "It may not send" : "It may do nothing"}>
                Since <Ago at={t.suspended.since} />
                {t.suspended.until && (
                  <>
                    , until <Instant at={t.suspended.until} />, <Ago at={t.suspended.until} />
                  </>
                )}
                {t.suspended.reason && `: ${t.suspended.reason}`}
              </Alert>
            )}
            <TenantUse of={t} />
            <SimpleGrid cols={{ base: 1, md: 2 }}>
              <Card withBorder>
                <Title order={2} size="h5" mb="sm">
                  The tenant
                </Title>
                <Facts
                  of={[
                    ["Id", <span key="i" className="mono">{t.id}</span>],
                    ["Account number", <span key="a" className="mono">{t.account_number}</span>],
                    ["Made", <Instant key="m" at={t.created_at} />],
                    ["Changed", <Ago key="c" at={t.updated_at} />],
                    ...Object.entries(t.labels).map(([k, v]): [string, string] => [`Label ${k}`, v]),
                  ]}
                />
              </Card>
              <Card withBorder>
                <Title order={2} size="h5" mb="sm">
                  What holds for it
                </Title>
                <Facts
                  of={limitNames.map((limit): [string, string] => [limit.label, limitText(t.effective_limits, limit)])}
                />
              </Card>
            </SimpleGrid>
            <Edit key={t.etag} tenant={t} saved={keep} />
            <SimpleGrid cols={{ base: 1, md: 2 }}>
              <TenantKeys tenant={name} />
              <Timeline tenant={name} />
            </SimpleGrid>
          </Stack>
        )}
      </Loaded>
      {t && asks === "suspend" && <Suspend name={name} close={() => setAsks(undefined)} done={keep} />}
      {t && asks === "delete" && <DeleteTenant tenant={t} close={() => setAsks(undefined)} />}
    </Page>
  );
}

// DeleteTenant goes up a ladder: what still works is suspended first, then goes with all it has.
function DeleteTenant({ tenant: t, close }: { tenant: Tenant; close: () => void }) {
  const { name } = t;
  const client = useQueryClient();
  const navigate = useNavigate();
  const say = useSay();
  const stopped = t.suspended?.mode === "all";
  // Without confirm the server deletes a tenant only while it has no queues.
  const confirm = stopped ? name : undefined;
  return (
    <Danger
      title="Delete the tenant"
      verb="Delete"
      name={name}
      close={close}
      call={{ method: "DELETE", path: withQuery(pathOf`/v1/tenants/${name}`, { confirm }) }}
      run={async () => {
        const task = await must(api.DELETE("/v1/tenants/{tenant}", { params: { path: { tenant: name }, query: { confirm } } }));
        say(task ? `${name} is being deleted.` : `${name} was deleted.`);
        await navigate(task ? { to: "/admin/tasks/$task", params: { task: task.id } } : { to: "/admin/tenants" });
        client.removeQueries({ queryKey: ["tenant", name] });
        void client.invalidateQueries({ queryKey: ["tenants"] });
      }}
    >
      {stopped ? (
        <>
          This deletes tenant <b>{name}</b> with <b>all that it has</b>: queues with their messages, topics, members, keys, schedules, usage and audit log. There is no way back: as long as it is only suspended, Resume brings it back.
        </>
      ) : (
        <>
          This deletes tenant <b>{name}</b> with its topics, members and keys, if it has no queues. To delete one that has queues, suspend it first so that it may do nothing: somebody may still use it.
        </>
      )}
    </Danger>
  );
}

function Suspend({ name, close, done }: { name: string; close: () => void; done: (t: Tenant) => void }) {
  const [mode, setMode] = useState<"send" | "all">("all");
  const [reason, setReason] = useState("");
  const [until, setUntil] = useState("");
  const body = { mode, reason, ...(until.trim() && { until: until.trim() }) };
  const suspend = useMutation({
    mutationFn: () => must(api.POST("/v1/tenants/{tenant}/suspend", { params: { path: { tenant: name } }, body })),
    onSuccess: (t) => {
      done(t);
      close();
    },
  });
  const failure = suspend.error ? failureOf(suspend.error) : undefined;
  return (
    <Modal opened onClose={close} title={`Suspend ${name}`} closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          suspend.mutate();
        }}
      >
        <Stack>
          <SegmentedControl
            aria-label="What it may not do"
            value={mode}
            onChange={(v) => setMode(v === "send" ? "send" : "all")}
            data={[
              { value: "all", label: "It may do nothing" },
              { value: "send", label: "It may not send" },
            ]}
          />
          <TextInput label="Reason" description="The tenant reads it with each refusal" value={reason} onChange={(e) => setReason(e.currentTarget.value)} error={failure?.at("/reason")} data-autofocus />
          <TextInput label="Until" description="It ends by itself then. Empty: when somebody resumes the tenant" placeholder="2030-01-31T08:00:00Z" value={until} onChange={(e) => setUntil(e.currentTarget.value)} error={failure?.at("/until")} spellCheck={false} autoComplete="off" />
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Curl call={{ method: "POST", path: pathOf`/v1/tenants/${name}/suspend`, body }} />
            <Button type="submit" color="red" loading={suspend.isPending}>
              Suspend
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

// Edit changes plan, limits and notes.
function Edit({ tenant: t, saved }: { tenant: Tenant; saved: (t: Tenant) => void }) {
  const say = useSay();
  const plans = usePlans();
  const was = textsOf(t.limits);
  const [plan, setPlan] = useState(t.plan ?? "");
  const [texts, setTexts] = useState(was);
  const [notes, setNotes] = useState(t.notes);
  const body = {
    // A PUT replaces: what is empty goes.
    labels: t.labels,
    limits: limitsOf(texts),
    notes,
    ...(plan ? { plan } : {}),
  };
  const same = plan === (t.plan ?? "") && notes === t.notes && limitNames.every(({ name }) => texts[name] === was[name]);
  const save = useMutation({
    mutationFn: () => must(api.PUT("/v1/tenants/{tenant}", { params: { path: { tenant: t.name }, header: { "If-Match": `"${t.etag}"` } }, body })),
    onSuccess: (after) => {
      saved(after);
      say("Saved.");
    },
  });
  const failure = save.error ? failureOf(save.error) : undefined;
  const week = useUsageOf(t.name);
  const quotas = useQuotas(t.name);
  const hints = Object.fromEntries(limitNames.filter(({ name }) => texts[name] !== was[name]).map(({ name }) => [name, hintOf(name, texts[name], week.data?.data, quotas.data?.data)]));
  const names = plans.data?.data.map((p) => p.name) ?? [];
  return (
    <Card withBorder>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          <Title order={2} size="h5">
            Plan and limits
          </Title>
          <NativeSelect label="Plan" value={plan} onChange={(e) => setPlan(e.currentTarget.value)} data={[{ value: "", label: "none: that of default holds" }, ...(plan && !names.includes(plan) ? [plan, ...names] : names)]} error={failure?.at("/plan")} w={320} maw="100%" />
          <LimitFields texts={texts} set={setTexts} failure={failure} none="as the plan says" hints={hints} />
          <Textarea label="Notes" description="For operators; the tenant does not see them" value={notes} onChange={(e) => setNotes(e.currentTarget.value)} autosize minRows={2} error={failure?.at("/notes")} />
          {failure && <ErrorState error={failure} />}
          <Group>
            <Button type="submit" disabled={same} loading={save.isPending}>
              Save
            </Button>
            <Curl call={{ method: "PUT", path: pathOf`/v1/tenants/${t.name}`, body, headers: unchanged(t.etag) }} />
          </Group>
        </Stack>
      </form>
    </Card>
  );
}
