import { ActionIcon, Button, CopyButton, Popover, Text, Tooltip } from "@mantine/core";
import { useState } from "react";
import { useActing } from "../api/client";
import { type Call, curlOf } from "../api/curl";

// What has the focus in a popover says so: Escape closes that, and not the dialog around it with all that was typed there.
const ownEscape = { "data-mantine-stop-propagation": true };

// Copy is a button that takes text to the clipboard.
export function Copy({ text, label = "Copy", inPopover = false }: { text: string; label?: string; inPopover?: boolean }) {
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <Button size="compact-xs" variant="default" onClick={copy} {...(inPopover && ownEscape)}>
          {copied ? "Copied" : label}
        </Button>
      )}
    </CopyButton>
  );
}

// Curl shows the command that does the same as what stands beside it, which may take more calls.
export function Curl({ call, then = [], label = "Show as curl" }: { call: Call; then?: Call | Call[]; label?: string }) {
  const { tenant, operator } = useActing();
  const [open, setOpen] = useState(false);
  const text = [call, ...[then].flat()].map((c) => curlOf(c, operator ? tenant : undefined)).join(" &&\n");
  return (
    <Popover width={460} position="bottom-end" withArrow shadow="md" trapFocus returnFocus opened={open} onChange={setOpen}>
      <Popover.Target>
        <Tooltip label={label} disabled={open}>
          <ActionIcon variant="default" size="input-sm" flex="none" aria-label={label} className="mono" onClick={() => setOpen(!open)}>
            {"</>"}
          </ActionIcon>
        </Tooltip>
      </Popover.Target>
      <Popover.Dropdown maw="92vw">
        <Text size="sm" mb="xs">
          The same from a terminal, with a key in <code>$KEY</code>:
        </Text>
        <Pasted text={text} />
      </Popover.Dropdown>
    </Popover>
  );
}

// Curls shows the commands of what a row or a page does at once, without asking, each by its name.
export function Curls({ of, label = "Show as curl", small = false }: { of: [name: string, call: Call][]; label?: string; small?: boolean }) {
  const { tenant, operator } = useActing();
  const [open, setOpen] = useState(false);
  return (
    <Popover width={460} position="bottom-end" withArrow shadow="md" trapFocus returnFocus opened={open} onChange={setOpen}>
      <Popover.Target>
        <ActionIcon variant="default" size={small ? 26 : "input-sm"} flex="none" aria-label={label} title={label} className="mono" onClick={() => setOpen(!open)}>
          {"</>"}
        </ActionIcon>
      </Popover.Target>
      <Popover.Dropdown maw="92vw">
        {open &&
          of.map(([name, call]) => (
            <div key={name} style={{ marginBottom: 12 }}>
              <Text size="sm" fw={600} mb={4}>
                {name}
              </Text>
              <Pasted text={curlOf(call, operator ? tenant : undefined)} />
            </div>
          ))}
      </Popover.Dropdown>
    </Popover>
  );
}

// Pasted is a command for a terminal that may be long.
export function Pasted({ text }: { text: string }) {
  return (
    <>
      <pre className="body" tabIndex={0} {...ownEscape}>
        {text}
      </pre>
      <div style={{ marginTop: 8 }}>
        <Copy text={text} inPopover />
      </div>
    </>
  );
}

// Command is a line for a terminal that stands on the page.
export function Command({ text }: { text: string }) {
  return (
    <div style={{ position: "relative" }}>
      <pre className="body" tabIndex={0} style={{ paddingRight: "4.5rem", textAlign: "left" }}>
        {text}
      </pre>
      <div style={{ position: "absolute", top: 8, right: 8 }}>
        <Copy text={text} />
      </div>
    </div>
  );
}
