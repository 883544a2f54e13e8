import { Button } from "@mantine/core";
import { useState } from "react";
import { failureOf } from "../api/client";
import { save } from "./save";
import { useSay } from "./say";

// Export is a button that gathers text and stores it as a file. text may say what is to be known of it.
export function Export({ label = "Export as CSV", name, type = "text/csv", text }: { label?: string; name: string; type?: string; text: () => Promise<{ text: string; note?: string }> }) {
  const say = useSay();
  const [busy, setBusy] = useState(false);
  const go = async () => {
    setBusy(true);
    try {
      const made = await text();
      save(name, made.text, type);
      if (made.note) say(made.note);
    } catch (e) {
      say(`Nothing was stored: ${failureOf(e).message}`);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button variant="default" loading={busy} onClick={() => void go()}>
      {label}
    </Button>
  );
}
