import { Button, SegmentedControl, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { Command } from "../common/Curl";
import type { Type } from "./SecretType";
import { snippets } from "./verify";

// Verify shows on demand how an endpoint knows that a request is ours.
export function Verify({ type }: { type: Type }) {
  const [open, setOpen] = useState(false);
  const programs = snippets[type];
  const languages = Object.keys(programs);
  const [chosen, setChosen] = useState("");
  const language = languages.find((l) => l === chosen) ?? languages[0] ?? "";
  return (
    <Stack gap="xs" align="flex-start">
      <Button variant="default" size="compact-sm" aria-expanded={open} onClick={() => setOpen(!open)}>
        How an endpoint verifies
      </Button>
      {open && (
        <>
          <Text size="sm">
            As it stands, or with a library of Standard Webhooks. What the endpoint needs is in <code>{type === "hmac" ? "WEBHOOK_SECRET" : "WEBHOOK_PUBLIC_KEY"}</code>.
          </Text>
          {languages.length > 1 && <SegmentedControl size="xs" aria-label="Language" data={languages} value={language} onChange={setChosen} />}
          <div style={{ width: "100%" }}>
            <Command text={programs[language] ?? ""} />
          </div>
        </>
      )}
    </Stack>
  );
}
