import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { usePrefs } from "../common/prefs";

export const keys: [string, string][] = [
  ["Ctrl k", "go to a screen, a queue or a topic by its name (⌘ k)"],
  ["/", "to the filter of the list"],
  ["j  k", "to the next row, to the one before"],
  ["Enter", "open the row"],
  ["x", "choose the row"],
  [".", "what can be done with the row"],
  ["g o", "overview"],
  ["g q", "queues"],
  ["g t", "topics"],
  ["g d", "deliveries"],
  ["g k", "keys"],
  ["p", "pause what is live, and go on"],
  ["?", "this help"],
];

const goes: Record<string, string> = { o: "overview", q: "queues", t: "topics", d: "deliveries", k: "keys", a: "audit" };

// useKeyboard hears keys where nobody is typing.
export function useKeyboard(tenant: string | undefined, help: () => void, palette: () => void) {
  const navigate = useNavigate();
  const { live, setLive } = usePrefs();
  useEffect(() => {
    let going = false;
    const hear = (e: KeyboardEvent) => {
      const at = e.target instanceof HTMLElement ? e.target : document.body;
      if (e.key === "k" && (e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && !at.closest("[role=dialog]")) {
        e.preventDefault();
        return palette();
      }
      if (e.ctrlKey || e.metaKey || e.altKey || at.closest("input, textarea, select, [role=dialog], [role=menu], [contenteditable]")) return;
      const was = going;
      going = false;
      const to = goes[e.key];
      if (was && tenant && to) void navigate({ to: `/t/${tenant}/${to}` });
      else if (e.key === "g") going = true;
      else if (e.key === "?") help();
      else if (e.key === "p") setLive(!live);
      else if (e.key === "/") document.querySelector<HTMLInputElement>("[data-search]")?.focus();
      else if (e.key === "j" || e.key === "k") step(e.key === "j" ? 1 : -1);
      else if (e.key === "x") inRow("input[type=checkbox]")?.click();
      else if (e.key === ".") inRow("[aria-haspopup=menu]")?.click();
      else return;
      e.preventDefault();
    };
    document.addEventListener("keydown", hear);
    return () => document.removeEventListener("keydown", hear);
  }, [tenant, help, palette, live, setLive, navigate]);
}

// inRow returns something in the row that has the focus.
function inRow(what: string): HTMLElement | null | undefined {
  return document.activeElement?.closest("[data-row]")?.closest("tr")?.querySelector<HTMLElement>(what);
}

function step(by: number) {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
  const at = rows.findIndex((r) => r === document.activeElement);
  rows[Math.max(0, Math.min(rows.length - 1, at + by))]?.focus();
}
