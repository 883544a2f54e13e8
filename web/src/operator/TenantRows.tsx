import { Badge, Progress } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { ago, bytes, count } from "../common/format";
import { type Column, Rows, type Sorting } from "../common/Rows";
import { Ago } from "../common/Time";
import { rate } from "../stats/data";
import { type Tenant, type TenantHealth, useTenantHealth } from "./data";

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

const plan: Column<Tenant> = { title: "Plan", cell: (t) => t.plan ?? <span className="quiet">default</span> };
const inFlight: Column<Tenant> = { title: "In flight", sort: "in_flight", num: true, cell: (t) => count(t.activity?.in_flight ?? 0) };
const queues: Column<Tenant> = {
  title: "",
  cell: (t) => (
    <Link className="link" style={{ whiteSpace: "nowrap" }} to="/t/$tenant/queues" params={{ tenant: t.name }} aria-label={`Queues of ${t.name}`}>
      Queues
    </Link>
  ),
};

const trouble: Column<Tenant>[] = [
  { title: "Refused", sort: "throttled", num: true, cell: (t) => <Some of={t.activity?.throttled ?? 0} /> },
  { title: "Undelivered", sort: "undelivered", num: true, cell: (t) => <Some of={t.activity?.undelivered ?? 0} /> },
];

// TenantRows are tenants with what they hold and do, and how much of its limit that is where there is one; in the fleet also with what
// went wrong in the last 24 hours.
export function TenantRows({ tenants, sorting, fleet }: { tenants: Tenant[]; sorting: Sorting; fleet?: boolean }) {
  const health = useTenantHealth(fleet ? [] : tenants.map((t) => t.name));
  const fares: Column<Tenant>[] = [
    { title: "Oldest", num: true, cell: (t) => <Oldest of={health.get(t.name)} /> },
    { title: "Failing", num: true, cell: (t) => <Failing of={health.get(t.name)} /> },
  ];
  return (
    <Rows
      label="Tenants"
      rows={tenants}
      rowKey={(t) => t.id}
      sorting={sorting}
      columns={[
        {
          title: "Name",
          sort: "name",
          wide: true,
          cell: (t) => (
            <Link className="link" data-row to="/admin/tenants/$name" params={{ name: t.name }}>
              {t.name}
            </Link>
          ),
        },
        { title: "State", cell: (t) => <TenantState of={t} /> },
        ...(fleet ? [] : [plan]),
        { title: "Available", sort: "available", num: true, cell: (t) => count(t.activity?.available ?? 0) },
        ...(fleet ? [] : [inFlight]),
        { title: "In /s", sort: "sent_rate", num: true, cell: (t) => <Rate of={t.activity?.rates.sent ?? 0} /> },
        { title: "Out /s", sort: "received_rate", num: true, cell: (t) => <Rate of={t.activity?.rates.received ?? 0} /> },
        { title: "Stored", sort: "bytes", num: true, cell: (t) => <Stored of={t} /> },
        ...(fleet ? trouble : fares),
        { title: "Last active", num: true, cell: (t) => <Ago at={t.activity?.last_active_at} empty="never" /> },
        ...(fleet ? [] : [queues]),
      ]}
    />
  );
}

function Oldest({ of: h }: { of: TenantHealth | undefined }) {
  if (!h) return "…";
  return h.oldest_age > 0 ? ago(h.oldest_age) : <span className="quiet">–</span>;
}

// Failing is how many endpoints of a tenant fail, which leads to the attempts.
function Failing({ of: h }: { of: TenantHealth | undefined }) {
  if (!h) return "…";
  const n = `${h.complete ? "" : "at least "}${count(h.failing_endpoints)}`;
  if (h.complete && h.failing_endpoints === 0) return <span className="quiet">–</span>;
  return (
    <Link className="link" to="/t/$tenant/deliveries" params={{ tenant: h.tenant }} aria-label={`${n} endpoints of ${h.tenant} fail`}>
      {n}
    </Link>
  );
}

function Some({ of: n }: { of: number }) {
  return n === 0 ? <span className="quiet">–</span> : count(n);
}

function Rate({ of: n }: { of: number }) {
  return n === 0 ? <span className="quiet">–</span> : rate(n);
}

// Stored is the bytes in the queues of a tenant, of those that it may store.
function Stored({ of: t }: { of: Tenant }) {
  const used = t.activity?.bytes ?? 0;
  const limit = t.effective_limits?.stored_bytes;
  if (!limit) return bytes(used);
  const share = Math.min(100, (100 * used) / limit);
  return (
    <>
      {bytes(used)} of {bytes(limit)}
      <Progress value={share} color={share >= 80 ? "orange" : undefined} aria-label={`${Math.floor(share)} % of what ${t.name} may store`} mt={4} />
    </>
  );
}
