import { Alert, Button, Checkbox, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { failureOf, must } from "../api/client";
import { pathOf } from "../api/curl";
import { Command, Curl } from "../common/Curl";
import { plural, spoken } from "../common/format";
import { save } from "../common/save";
import { ErrorState } from "../common/states";
import type { CreatedKey, Key } from "../keys/data";
import { envOf } from "../keys/Shown";
import { api } from "./data";

// RotateAll makes a key in the place of each of a tenant's, one after another. What was made before one fails is shown all the same:
// nobody can show it again.
export function RotateAll({ tenant, keys, close }: { tenant: string; keys: Key[]; close: () => void }) {
  const client = useQueryClient();
  const [grace, setGrace] = useState("1d");
  const [made, setMade] = useState<CreatedKey[]>([]);
  const [stored, setStored] = useState(false);
  const body = { grace_period: (spoken(grace) ?? 0) as number }; // text such as 1d too
  const rest = keys.slice(made.length);
  const rotate = useMutation({
    mutationFn: async () => {
      for (const { id } of rest) {
        const key = await must(api.POST("/v1/tenants/{tenant}/keys/{id}/rotate", { params: { path: { tenant, id } }, body }));
        setMade((all) => [...all, key]);
      }
    },
    onSettled: () => void client.invalidateQueries({ queryKey: ["keys"] }),
  });
  const failure = rotate.error ? failureOf(rotate.error) : undefined;
  const [first, ...others] = rest.map(({ id }) => ({ method: "POST", path: pathOf`/v1/tenants/${tenant}/keys/${id}/rotate`, body }));
  return (
    <Modal opened onClose={made.length === 0 ? close : () => {}} withCloseButton={made.length === 0} title={`Rotate all keys of ${tenant}`} size="lg" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          rotate.mutate();
        }}
      >
        <Stack>
          {made.length === 0 ? (
            <>
              <Text size="sm">
                This makes a new key in the place of each of <b>{plural(keys.length, "key")}</b>, which may the same. The old ones go on for a while. Sessions and portal links stay as they are.
              </Text>
              <TextInput label="The old keys go on for" description="0 for not at all, 1h, 1d, 7d" value={grace} onChange={(e) => setGrace(e.currentTarget.value)} error={failure?.at("/grace_period")} data-autofocus />
            </>
          ) : (
            <>
              <Alert color="orange" title="They are shown this once">
                Nobody can show them again, neither you nor the tenant.
              </Alert>
              <Command text={made.map((k) => `${k.name || k.id} ${k.key}`).join("\n")} />
              <div>
                <Button size="compact-sm" variant="default" onClick={() => save(`${tenant}.env`, made.map((k) => `# ${k.name || k.id}\n${envOf(k)}`).join("\n"))}>
                  Download as .env
                </Button>
              </div>
            </>
          )}
          {failure && <ErrorState error={failure} />}
          {made.length > 0 && !rotate.isPending && <Checkbox label="I have stored them" checked={stored} onChange={(e) => setStored(e.currentTarget.checked)} />}
          <Group justify="flex-end">
            {first && <Curl call={first} then={others} />}
            {first && (
              <Button type="submit" color="red" loading={rotate.isPending}>
                {made.length === 0 ? "Rotate all" : `Rotate the other ${rest.length}`}
              </Button>
            )}
            {made.length > 0 && !rotate.isPending && (
              <Button onClick={close} disabled={!stored}>
                Done
              </Button>
            )}
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
