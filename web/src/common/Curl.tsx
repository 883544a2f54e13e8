import { ActionIcon, Button, CopyButton, Popover, Text, Tooltip } from "@mantine/core";
import { useActing } from "../api/client";
import { type Call, curlOf } from "../api/curl";

// Copy is a button that takes text to the clipboard.
export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <Button size="compact-xs" variant="default" onClick={copy}>
          {copied ? "Copied" : label}
        </Button>
      )}
    </CopyButton>
  );
}

// Curl shows the command that does the same as what stands beside it.
export function Curl({ call, label = "Show as curl" }: { call: Call; label?: string }) {
  const { tenant, operator } = useActing();
  const text = curlOf(call, operator ? tenant : undefined);
  return (
    <Popover width={460} position="bottom-end" withArrow shadow="md" trapFocus returnFocus>
      <Popover.Target>
        <Tooltip label={label}>
          <ActionIcon variant="default" size="input-sm" aria-label={label} className="mono">
            {"</>"}
          </ActionIcon>
        </Tooltip>
      </Popover.Target>
      <Popover.Dropdown maw="92vw">
        <Text size="sm" mb="xs">
          The same from a terminal, with a key in <code>$KEY</code>:
        </Text>
        <pre className="body" tabIndex={0}>
          {text}
        </pre>
        <div style={{ marginTop: 8 }}>
          <Copy text={text} />
        </div>
      </Popover.Dropdown>
    </Popover>
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
