import { Button, Group, Modal, PasswordInput, Stack } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf } from "../api/client";
import { useSay } from "../common/say";
import { ErrorState } from "../common/states";
import { changePassword } from "../shell/session";

// ChangePassword sets one's own password. It ends all other sessions.
export function ChangePassword({ close }: { close: () => void }) {
  const client = useQueryClient();
  const say = useSay();
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const change = useMutation({
    mutationFn: () => changePassword(client, { current, new: next }),
    onSuccess: () => {
      say("The password is changed. Your other sessions have ended.");
      close();
    },
  });
  const failure = change.error ? failureOf(change.error) : undefined;
  const eye = { "aria-label": "Show the password" };
  return (
    <Modal opened onClose={close} title="Change the password" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          change.mutate();
        }}
      >
        <Stack>
          <PasswordInput label="The password that holds" value={current} onChange={(e) => setCurrent(e.currentTarget.value)} autoComplete="current-password" error={failure?.at("/current")} visibilityToggleButtonProps={eye} data-autofocus />
          <PasswordInput label="The new password" description="At least 10 characters" value={next} onChange={(e) => setNext(e.currentTarget.value)} autoComplete="new-password" error={failure?.at("/new")} visibilityToggleButtonProps={eye} />
          {failure && <ErrorState error={failure} />}
          <Group justify="flex-end">
            <Button type="submit" loading={change.isPending} disabled={current === "" || next === ""}>
              Change
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
