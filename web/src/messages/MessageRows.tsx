import { Badge, Checkbox } from "@mantine/core";
import { bytes, count } from "../common/format";
import { type Column, Rows } from "../common/Rows";
import { Ago } from "../common/Time";
import { offered, type Offered, usual } from "./columns";
import type { Message } from "./data";

const colors = { available: "teal", in_flight: "yellow", delayed: "grape" } as const;

export function StateBadge({ state }: { state: Message["state"] }) {
  return (
    <Badge variant="dot" color={colors[state]} size="sm" tt="none">
      {state.replace("_", " ")}
    </Badge>
  );
}

// previewed is as much of a body as a row has room for.
const previewed = 160;

// Selection is which rows are chosen.
export type Selection = { ids: ReadonlySet<string>; set: (ids: ReadonlySet<string>) => void };

type Props = { messages: Message[]; open: (id: string) => void; dead?: boolean; selection?: Selection; shown?: readonly string[] };

// MessageRows is a list of messages with the columns that are shown. That of dead letters has its own, which say why they are there.
export function MessageRows({ messages, open, dead = false, selection, shown = usual }: Props) {
  const columns: Column<Message>[] = [
    {
      title: "Message",
      wide: true,
      cell: (m) => (
        <>
          <a
            className="link mono"
            data-row
            href={`?m=${m.id}`}
            onClick={(e) => {
              e.preventDefault();
              open(m.id);
            }}
          >
            {m.id}
          </a>
          {(dead || shown.includes("preview")) && <span className="mono quiet one-line" style={{ maxWidth: dead ? "15rem" : undefined }}>{m.body === null ? "(hidden)" : m.body_encoding === "base64" ? `(${bytes(m.size)} that are no text)` : m.body.slice(0, previewed) || "(empty)"}</span>}
        </>
      ),
    },
  ];
  if (dead) {
    columns.push(
      { title: "Why", cell: (m) => <span className="one-line">{m.origin ? reasons[m.origin.reason] : <span className="quiet">sent here</span>}</span> },
      { title: "Last error", wide: true, cell: (m) => <span className="one-line" style={{ maxWidth: "16rem" }}>{m.origin?.error ?? m.last_error ?? <span className="quiet">none was given</span>}</span> },
      { title: "From", cell: (m) => m.origin?.queue ?? m.origin?.topic ?? <span className="quiet">–</span> },
      { title: "Here since", num: true, cell: (m) => <Ago at={m.origin?.left_at ?? m.sent_at} /> },
      { title: "Receives", num: true, cell: (m) => count(m.origin?.receive_count ?? m.receive_count) },
      { title: "Size", num: true, cell: (m) => bytes(m.size) },
    );
  } else {
    columns.push(...shown.filter((name) => name !== "preview").map((name) => columnOf(name, shown.includes("group"))));
  }
  if (selection) {
    const { ids, set } = selection;
    columns.unshift({
      title: "Chosen",
      cell: (m) => (
        <Checkbox
          aria-label={`Choose ${m.id}`}
          checked={ids.has(m.id)}
          onChange={(e) => {
            const next = new Set(ids);
            if (e.currentTarget.checked) next.add(m.id);
            else next.delete(m.id);
            set(next);
          }}
        />
      ),
    });
  }
  return <Rows label="Messages" rows={messages} columns={columns} rowKey={(m) => m.id} />;
}

const none = <span className="quiet">–</span>;

const cells: Record<Exclude<Offered, "preview" | "due">, Omit<Column<Message>, "title">> = {
  state: { cell: (m) => <StateBadge state={m.state} /> },
  sent: { num: true, cell: (m) => <Ago at={m.sent_at} /> },
  group: { cell: (m) => m.group_id ?? none },
  receives: { num: true, cell: (m) => count(m.receive_count) },
  failures: { num: true, cell: (m) => count(m.failure_count) },
  size: { num: true, cell: (m) => bytes(m.size) },
  priority: { num: true, cell: (m) => m.priority },
  type: { cell: (m) => <span className="mono">{m.content_type}</span> },
};

// columnOf is the column of a name: one of those that are offered, or an attribute. grouped: another one has the groups.
function columnOf(name: string, grouped: boolean): Column<Message> {
  if (name === "due") return { title: offered.due, cell: (m) => <Due of={m} grouped={grouped} /> };
  if (name in cells) return { title: offered[name as Offered], ...cells[name as keyof typeof cells] };
  const attribute = name.slice("attr.".length);
  return {
    title: attribute,
    cell: (m) => {
      const value = Object.hasOwn(m.attributes, attribute) ? m.attributes[attribute]?.value : undefined;
      return value === undefined ? none : <span className="one-line" style={{ maxWidth: "14rem" }}>{value.slice(0, previewed)}</span>;
    },
  };
}

export const reasons = {
  max_receives: "received too often",
  rejected: "given up",
  overflow: "no room",
  moved: "moved",
  undelivered: "not delivered",
} as const;

// Due says what is next for a message that cannot be received now, or of which group it is if no other column does.
function Due({ of: m, grouped }: { of: Message; grouped: boolean }) {
  if (m.state === "in_flight") {
    return (
      <span>
        {m.held_by ?? <span className="quiet">somebody</span>}, back <Ago at={m.lease_expires_at} />
      </span>
    );
  }
  if (m.state === "delayed") {
    return (
      <span>
        due <Ago at={m.available_at} />
      </span>
    );
  }
  return m.group_id && !grouped ? <span className="quiet">group {m.group_id}</span> : none;
}
