import { Button } from "@mantine/core";
import { useMemo, useState } from "react";
import { count } from "./format";
import { jsonTree, type Node } from "./json";

const opened = 2; // levels that are open at first
const part = 200; // members that are shown at a time

// Tree is JSON that opens and closes by its parts. What is closed is not on the page, so a body of any depth or width costs little.
export function Tree({ text }: { text: string }) {
  const top = useMemo(() => jsonTree(text), [text]);
  if (!top) return null;
  return (
    <ul className="body tree" aria-label="Body">
      <Part of={top} depth={0} />
    </ul>
  );
}

function Part({ of, depth, place }: { of: Node; depth: number; place?: number }) {
  const [open, setOpen] = useState(depth < opened);
  const [shown, setShown] = useState(part);
  const name = of.name !== undefined ? <span className="json-name">{of.name}: </span> : place !== undefined ? <span className="quiet">{place}: </span> : null;
  if (of.kind !== "object" && of.kind !== "array") {
    return (
      <li>
        {name}
        <span className={`json-${of.kind}`}>{of.text}</span>
      </li>
    );
  }
  const [first, last] = of.kind === "object" ? ["{", "}"] : ["[", "]"];
  const size = of.members.length;
  if (size === 0) {
    return (
      <li>
        {name}
        {first}
        {last}
      </li>
    );
  }
  return (
    <li>
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span aria-hidden="true">{open ? "▾" : "▸"} </span>
        {name}
        {first}
        {!open && ` ${count(size)} ${last}`}
      </button>
      {open && (
        <>
          <ul>
            {of.members.slice(0, shown).map((m, i) => (
              <Part key={i} of={m} depth={depth + 1} place={of.kind === "array" ? i : undefined} />
            ))}
          </ul>
          {size > shown && (
            <Button size="compact-xs" variant="default" onClick={() => setShown(shown + part)}>
              {count(size - shown)} more
            </Button>
          )}
          {last}
        </>
      )}
    </li>
  );
}
