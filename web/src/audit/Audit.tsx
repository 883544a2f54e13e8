import { Badge, Drawer, Group, NativeSelect, Stack, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { must, type Schemas, useActing } from "../api/client";
import { withQuery } from "../api/curl";
import { Curl } from "../common/Curl";
import { Export } from "../common/Export";
import { Facts, Page, Pager, SearchField } from "../common/Page";
import { prettyJson } from "../common/json";
import { Rows } from "../common/Rows";
import { Empty, Loaded, NoMatch } from "../common/states";
import { Ago, Instant } from "../common/Time";
import { useUrl } from "../common/url";
import { By } from "./By";
import { tableOf } from "./table";

type Entry = Schemas["AuditEntry"];

const outcomes = ["done", "refused", "unknown"] as const;
const colors = { done: "green", refused: "red", unknown: "yellow" } as const;

export function Audit() {
  return <Log of="tenant" title="Audit" />;
}

export function OperatorAudit() {
  return <Log of="operator" title="Operator audit" />;
}

// Log is who changed what, the newest first.
function Log({ of, title }: { of: "tenant" | "operator"; title: string }) {
  const { api, tenant } = useActing();
  const [search, setUrl] = useUrl();
  const outcome = outcomes.find((o) => o === search.outcome);
  const filters = { target: search.target, outcome };
  const path = of === "tenant" ? "/v1/audit" : "/v1/operator_audit";
  const list = useQuery({
    queryKey: ["audit", of === "tenant" ? tenant : "", of, search.target, outcome, search.cursor],
    queryFn: () => {
      const params = { query: { ...filters, cursor: search.cursor, limit: 50 } };
      return must(of === "tenant" ? api.GET("/v1/audit", { params }) : api.GET("/v1/operator_audit", { params }));
    },
  });
  // A link could not say for which tenant an operator asks. There is an end to what a log holds.
  const all = () => {
    const asked = { params: { query: filters }, parseAs: "text" } as const;
    return must<unknown>(of === "tenant" ? api.GET("/v1/audit/export", asked) : api.GET("/v1/operator_audit/export", asked)).then(String);
  };
  const open = list.data?.data.find((e) => e.id === search.m);
  return (
    <Page
      title={title}
      actions={
        <>
          <Export label="Export" name="audit.ndjson" type="application/x-ndjson" text={async () => ({ text: await all() })} />
          <Export label="As CSV" name="audit.csv" text={async () => ({ text: tableOf(await all()) })} />
          <Curl call={{ method: "GET", path: withQuery(`${path}/export`, filters) }} />
        </>
      }
    >
      <Group>
        <SearchField name="target" label="Target" placeholder="Name of what was changed  ( / )" />
        <NativeSelect aria-label="Outcome" value={outcome ?? ""} onChange={(e) => setUrl({ outcome: e.currentTarget.value, cursor: undefined })} data={[{ value: "", label: "Any outcome" }, ...outcomes]} />
      </Group>
      <Loaded query={list}>
        {({ data, next_cursor }) => {
          if (data.length === 0 && (search.target || outcome)) return <NoMatch what="these filters" clear={() => setUrl({ target: undefined, outcome: undefined, cursor: undefined })} />;
          if (data.length === 0) {
            return (
              <Empty title="Nothing was changed yet" call={{ method: "GET", path }}>
                Whoever creates, changes, pauses, purges or deletes something, or is refused to, is written down here before it is done.
              </Empty>
            );
          }
          return (
            <>
              <Rows
                label={title}
                rows={data}
                rowKey={(e) => e.id}
                columns={[
                  {
                    title: "What",
                    wide: true,
                    cell: (e) => (
                      <a
                        className="link"
                        data-row
                        href={`?m=${e.id}`}
                        onClick={(ev) => {
                          ev.preventDefault();
                          setUrl({ m: e.id });
                        }}
                      >
                        {e.operation}
                      </a>
                    ),
                  },
                  { title: "Of", cell: (e) => <Target of={e} /> },
                  { title: "Outcome", cell: (e) => <Outcome of={e} /> },
                  { title: "By", wide: true, cell: (e) => <By actor={e.actor} /> },
                  { title: "From", cell: (e) => <span className="mono">{e.source_ip}</span> },
                  { title: "When", num: true, cell: (e) => <Ago at={e.time} /> },
                ]}
              />
              <Pager next={next_cursor} />
            </>
          );
        }}
      </Loaded>
      {open && (
        <Drawer opened onClose={() => setUrl({ m: undefined })} position="right" size="lg" title={open.operation} closeButtonProps={{ "aria-label": "Close" }}>
          <Stack>
            <Facts
              of={[
                ["Of", <Target key="t" of={open} />],
                ["Outcome", <Outcome key="o" of={open} />],
                ["When", <Instant key="w" at={open.time} />],
                ["By", <By key="b" actor={open.actor} />],
                ["From", <span key="f" className="mono">{open.source_ip}</span>],
                ["Request", <span key="r" className="mono">{open.request_id}</span>],
              ]}
            />
            <State title="Before" of={open.before} />
            <State title="After" of={open.after} />
          </Stack>
        </Drawer>
      )}
    </Page>
  );
}

function Target({ of: { target: t, tenant } }: { of: Entry }) {
  return (
    <span>
      <span className="quiet">{t.type}</span> {[t.queue, t.topic, t.name].filter(Boolean).join(" › ")}
      {tenant && t.type !== "tenant" && <span className="quiet"> of {tenant}</span>}
    </span>
  );
}

function Outcome({ of: e }: { of: Entry }) {
  return (
    <Badge variant="dot" color={colors[e.outcome]} tt="none">
      {e.outcome}
      {e.code && ` · ${e.code}`}
    </Badge>
  );
}

function State({ title, of }: { title: string; of: unknown }) {
  if (of === null || of === undefined) return null;
  return (
    <div>
      <Title order={3} size="h5" mb={6}>
        {title}
      </Title>
      <pre className="body" tabIndex={0}>
        {prettyJson(JSON.stringify(of))
          ?.map((p) => p.text)
          .join("")}
      </pre>
    </div>
  );
}
