// What the columns of a list of messages may be called in the address, and their titles. An attribute is attr. and its name.
export const offered = {
  preview: "Body",
  state: "State",
  due: "What is next",
  sent: "Sent",
  group: "Group",
  receives: "Receives",
  failures: "Failures",
  size: "Size",
  priority: "Priority",
  type: "Content type",
} as const;

export type Offered = keyof typeof offered;

// usual are the columns of who has chosen none.
export const usual: readonly string[] = ["preview", "state", "due", "sent", "receives", "size"];

const mostColumns = 16;
const attribute = /^attr\.[A-Za-z0-9_.-]{1,256}$/;

const isOffered = (name: string): name is Offered => Object.hasOwn(offered, name);

// columnsOf reads the columns that an address names, in the order in which they are shown. What is none is left out.
export function columnsOf(text: string | undefined): readonly string[] {
  if (text === undefined) return usual;
  const named = new Set(text.split(","));
  const fixed = Object.keys(offered).filter((name) => named.has(name));
  return [...fixed, ...[...named].filter((name) => !isOffered(name) && attribute.test(name))].slice(0, mostColumns);
}

// addressOf is what an address says of columns; undefined for the usual ones.
export function addressOf(columns: readonly string[]): string | undefined {
  const text = columnsOf(columns.join(",")).join(",");
  return text === usual.join(",") ? undefined : text || "id"; // the id is always there
}
