import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { type ReactNode, useState } from "react";
import type { Call } from "../api/curl";
import { Curl } from "./Curl";
import { ErrorState } from "./states";

type Props = {
  title: string;
  children: ReactNode; // what goes, how much, of whom
  name?: string; // what must be typed; undefined where the harm has a bound
  verb: string;
  nothing?: boolean; // there is nothing of which to do it
  call: Call;
  then?: Call[]; // where it takes more than one
  run: () => Promise<unknown>;
  close: () => void;
};

// Danger asks before something is done that cannot be undone. What has no bound wants its name typed.
export function Danger({ title, children, name, verb, nothing, call, then, run, close }: Props) {
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const ready = !nothing && (name === undefined || typed === name);
  const go = async () => {
    if (!ready || busy) return;
    setBusy(true);
    setError(undefined);
    try {
      await run();
      close();
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={close} title={title} centered closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void go();
        }}
      >
        <Stack>
          <Text size="sm" component="div">
            {children}
          </Text>
          {name !== undefined && (
            <TextInput label={<>Type <b>{name}</b> to confirm</>} value={typed} onChange={(e) => setTyped(e.currentTarget.value)} autoComplete="off" spellCheck={false} />
          )}
          {error !== undefined && <ErrorState error={error} />}
          <Group justify="flex-end">
            <Curl call={call} then={then} />
            <Button variant="default" onClick={close} data-autofocus>
              Cancel
            </Button>
            <Button color="red" type="submit" disabled={!ready} loading={busy}>
              {verb}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
