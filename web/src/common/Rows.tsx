import { Table, UnstyledButton } from "@mantine/core";
import type { ReactNode } from "react";

export type Column<T> = {
  title: string;
  cell: (row: T) => ReactNode;
  num?: boolean; // digits below digits
  wide?: boolean; // a line of its own on a phone
  sort?: string; // what the API calls the order by this column
};

// Sorting is the order of a list, as the API says it: with - for the largest first.
export type Sorting = { by: string; set: (by: string) => void };

// Rows is a table that becomes cards on a phone. j and k go from row to row by the links that have data-row.
export function Rows<T>({ label, rows, columns, rowKey, sorting }: { label: string; rows: T[]; columns: Column<T>[]; rowKey: (row: T) => string; sorting?: Sorting }) {
  const cls = (c: Column<T>) => (c.num ? "num" : c.wide ? "wide" : undefined);
  return (
    <Table className="rows" verticalSpacing={8} highlightOnHover aria-label={label}>
      <Table.Thead>
        <Table.Tr>
          {columns.map((c) => (
            <Table.Th key={c.title} className={c.num ? "num" : undefined} aria-sort={c.sort && sorting ? orderOf(c.sort, sorting.by) : undefined}>
              {c.sort && sorting ? <SortButton title={c.title} by={c.sort} num={c.num} sorting={sorting} /> : c.title || <span className="skip">Actions</span>}
            </Table.Th>
          ))}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rows.map((row) => (
          <Table.Tr key={rowKey(row)}>
            {columns.map((c) => (
              <Table.Td key={c.title} className={cls(c)} data-label={c.title}>
                {c.cell(row)}
              </Table.Td>
            ))}
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

function orderOf(name: string, by: string): "ascending" | "descending" | "none" {
  return by === name ? "ascending" : by === `-${name}` ? "descending" : "none";
}

const marks = { ascending: " ↑", descending: " ↓", none: "" };

// SortButton puts the largest numbers first, and names from the beginning; once more turns it round.
function SortButton({ title, by, num, sorting }: { title: string; by: string; num?: boolean; sorting: Sorting }) {
  const order = orderOf(by, sorting.by);
  const first = num ? `-${by}` : by;
  const other = num ? by : `-${by}`;
  return (
    <UnstyledButton fz="sm" fw={600} onClick={() => sorting.set(sorting.by === first ? other : first)}>
      {title}
      {marks[order]}
    </UnstyledButton>
  );
}
