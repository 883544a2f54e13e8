import { useNavigate, useSearch } from "@tanstack/react-router";

const names = ["q", "cursor", "state", "filter", "m", "type", "status", "level", "target", "outcome", "after", "since", "new", "sort", "range", "view", "label", "columns", "http"] as const;

// Search is what an address may say behind its question mark: filters, places in lists, what is open.
export type Search = Partial<Record<(typeof names)[number], string>>;

export function readSearch(given: Record<string, unknown>): Search {
  const search: Search = {};
  for (const name of names) {
    const value = given[name];
    if (typeof value === "string" && value !== "") search[name] = value;
  }
  return search;
}

// useUrl returns what the address says, and how to change it. A change is a step that the back button undoes, unless
// replace is set.
export function useUrl(): [Search, (patch: Search, replace?: boolean) => void] {
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  return [search, (patch, replace = false) => void navigate({ to: ".", search: readSearch({ ...search, ...patch }), replace, resetScroll: false })];
}
