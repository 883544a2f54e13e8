import { Alert, Anchor, Badge, Button, Card, Group, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { must, type Schemas } from "../api/client";
import { apiUrl } from "../api/place";
import { Curl } from "../common/Curl";
import { plural } from "../common/format";
import { Facts, Page } from "../common/Page";
import { Rows } from "../common/Rows";
import { save } from "../common/save";
import { ErrorState, Loaded, Waiting } from "../common/states";
import { Ago, Instant } from "../common/Time";
import { useUrl } from "../common/url";
import { useReadiness } from "../shell/readiness";
import { api } from "./data";

const ServerLog = lazy(() => import("./ServerLog").then((m) => ({ default: m.ServerLog })));

type Finding = Schemas["Finding"];
type Setting = Schemas["Setting"];

// docsRoot is where the pages are that findings name.
const docsRoot = "https://github.com/sluicemq/sluice/blob/main/";

const colors = { ok: "green", warn: "yellow", fail: "red" } as const;
const words = { ok: "well", warn: "worth a look", fail: "wrong" } as const;
const urgency = { fail: 0, warn: 1, ok: 2 } as const;

// System is how the server is that answers, what it finds when it looks at itself, what it logs, and how it was set up.
export function System() {
  const ready = useReadiness();
  return (
    <Page title="System">
      <Loaded query={ready}>
        {(r) => (
          <Stack>
            {r.warnings.map((w) => (
              <Alert key={w} color="orange">
                {w}
              </Alert>
            ))}
            <Server status={r.status.replace("_", " ")} version={r.version} />
          </Stack>
        )}
      </Loaded>
    </Page>
  );
}

function Server({ status, version }: { status: string; version: string }) {
  const query = useQuery({ queryKey: ["system"], queryFn: () => must(api.GET("/v1/system")) });
  return (
    <>
      <Loaded query={query} rows={6}>
        {(s) => (
          <Card withBorder>
            <Facts
              of={[
                ["Status", status],
                ["Version", `${version}, ${s.go_version}, ${s.platform}`],
                ["Started", <Ago key="s" at={s.started_at} />],
                ["What an acknowledgement means", `${s.durability}${s.durability_verified ? ", read from the storage itself" : ", as far as can be known"}`],
                ["Storage", `${s.engine} ${s.redis_version}`],
                ["Certificate", s.certificate_expires_at ? <Expiry key="c" at={s.certificate_expires_at} /> : "none: this listener speaks plain HTTP"],
                ["Backups", <Backups key="b" />],
                ["Address", <span key="a" className="mono">{apiUrl}</span>],
              ]}
            />
          </Card>
        )}
      </Loaded>
      <Doctor />
      <Suspense fallback={<Waiting rows={6} />}>
        <ServerLog />
      </Suspense>
      {query.data && <Settings of={query.data.settings} />}
      <Bundle />
    </>
  );
}

function Expiry({ at }: { at: string }) {
  return (
    <>
      <Instant at={at} />, <Ago at={at} />
    </>
  );
}

function Backups() {
  return (
    <>
      Sluice takes none: keep the data of Redis, and the master key. <More docs="docs/operations.md#backups" />
    </>
  );
}

function More({ docs }: { docs: string }) {
  return (
    <Anchor size="sm" href={docsRoot + docs} target="_blank" rel="noreferrer">
      {docs.replace(/^docs\/|\.md#.*/g, "")} in the docs
    </Anchor>
  );
}

// Doctor is what the server finds when it looks at itself, the worst first.
function Doctor() {
  const query = useQuery({ queryKey: ["system", "doctor"], staleTime: 60_000, queryFn: () => must(api.GET("/v1/system/doctor")) });
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <div>
          <Title order={2} size="h5">
            What it finds
          </Title>
          {query.data && (
            <Text size="sm" className="quiet">
              {summary(query.data.findings)}, looked at <Ago at={query.data.examined_at} />
            </Text>
          )}
        </div>
        <Group gap="xs">
          <Button variant="default" loading={query.isFetching} onClick={() => void query.refetch()}>
            Look again
          </Button>
          <Curl call={{ method: "GET", path: "/v1/system/doctor" }} />
        </Group>
      </Group>
      <Loaded query={query} rows={10}>
        {({ findings }) => (
          <Rows
            label="What it finds"
            rows={findings.map((f, i) => ({ ...f, i })).sort((a, b) => urgency[a.verdict] - urgency[b.verdict] || a.i - b.i)}
            rowKey={(f) => String(f.i)}
            columns={[
              {
                title: "Verdict",
                cell: (f) => (
                  <Badge variant="dot" color={colors[f.verdict]} tt="none">
                    {words[f.verdict]}
                  </Badge>
                ),
              },
              { title: "Of", cell: (f) => f.check },
              { title: "What", wide: true, cell: (f) => <What of={f} /> },
            ]}
          />
        )}
      </Loaded>
      <Text size="sm" className="quiet" mt="sm">
        <code>sluice doctor</code>, on the machine of the server, finds the same also when that does not answer, and looks into queues of any size.
      </Text>
    </Card>
  );
}

function What({ of: f }: { of: Finding }) {
  return (
    <div style={{ overflowWrap: "anywhere" }}>
      {f.detail}
      {f.fix && (
        <Text size="sm">
          <b>{f.fix}</b> <More docs={f.docs} />
        </Text>
      )}
    </div>
  );
}

function summary(findings: Finding[]): string {
  const of = (v: Finding["verdict"]) => findings.filter((f) => f.verdict === v).length;
  const said = [of("fail") && `${of("fail")} wrong`, of("warn") && `${of("warn")} worth a look`].filter(Boolean);
  return said.length > 0 ? said.join(", ") : `${plural(findings.length, "thing")}, all well`;
}

// Settings are those of the server, and where each came from. What somebody has set comes first.
function Settings({ of }: { of: Setting[] }) {
  const [{ view }, setUrl] = useUrl();
  const given = of.filter((s) => s.origin !== "default");
  const all = view === "all";
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <div>
          <Title order={2} size="h5">
            Settings
          </Title>
          <Text size="sm" className="quiet">
            {given.length} of {of.length} are not as they are by default. Secrets are ***.
          </Text>
        </div>
        <Group gap="xs">
          <Button variant="default" onClick={() => setUrl({ view: all ? undefined : "all" })}>
            {all ? "Only what was set" : "Show all"}
          </Button>
          <Curl call={{ method: "GET", path: "/v1/system" }} />
        </Group>
      </Group>
      <Rows
        label="Settings"
        rows={all ? of : given}
        rowKey={(s) => s.name}
        columns={[
          { title: "Name", cell: (s) => <span className="mono">{s.name}</span> },
          {
            title: "Value",
            wide: true,
            cell: (s) => (
              <span className="mono" style={{ overflowWrap: "anywhere" }}>
                {s.value || <span className="quiet">–</span>}
              </span>
            ),
          },
          { title: "From", cell: (s) => <span className="quiet">{s.where || s.origin}</span> },
        ]}
      />
    </Card>
  );
}

// Bundle downloads what others need to help. It is made anew for each download.
function Bundle() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const make = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const bundle = await must(api.GET("/v1/system/support_bundle"));
      save(`sluice-support-${bundle.made_at.slice(0, 10)}.json`, JSON.stringify(bundle, null, 2), "application/json");
    } catch (e) {
      setError(e);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card withBorder>
      <Title order={2} size="h5" mb={6}>
        Support bundle
      </Title>
      <Text size="sm" mb="sm">
        How the server is and was set up, what it finds and what it counts, in one JSON document for whoever helps. It has no secrets, no messages, nothing of the log, and ids
        in the place of the names of tenants and of what is theirs. Addresses and paths in settings stay: read it before you give it away.
      </Text>
      {error !== undefined && <ErrorState error={error} />}
      <Group gap="xs">
        <Button variant="default" loading={busy} onClick={() => void make()}>
          Download
        </Button>
        <Curl call={{ method: "GET", path: "/v1/system/support_bundle" }} />
      </Group>
    </Card>
  );
}
