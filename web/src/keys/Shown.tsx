import { Alert, Button, Checkbox, Group, Modal, Stack } from "@mantine/core";
import { useState } from "react";
import { apiUrl } from "../api/place";
import { Command } from "../common/Curl";
import { save } from "../common/save";
import type { CreatedKey } from "./data";

// envOf is a key as a file of variables.
export function envOf(k: CreatedKey): string {
  const lines = [`MQ=${apiUrl}/v1`, `KEY=${k.key}`];
  if (k.aws) lines.push(`AWS_ACCESS_KEY_ID=${k.aws.access_key_id}`, `AWS_SECRET_ACCESS_KEY=${k.aws.secret_access_key}`, `AWS_DEFAULT_REGION=${k.aws.region}`, `AWS_ENDPOINT_URL=${new URL(apiUrl).origin}`);
  return `${lines.join("\n")}\n`;
}

// Shown is a new key, this once.
export function Shown({ created: k, close }: { created: CreatedKey; close: () => void }) {
  const [stored, setStored] = useState(false);
  return (
    <Modal opened onClose={() => {}} withCloseButton={false} title={`The key ${k.name || k.id}`} size="lg">
      <Stack>
        <Alert color="orange" title="It is shown this once">
          Nobody can show it again, neither you nor the operator.
        </Alert>
        <Command text={k.key} />
        {k.aws && <Command text={`export AWS_ACCESS_KEY_ID=${k.aws.access_key_id}\nexport AWS_SECRET_ACCESS_KEY=${k.aws.secret_access_key}\nexport AWS_DEFAULT_REGION=${k.aws.region}\nexport AWS_ENDPOINT_URL=${new URL(apiUrl).origin}`} />}
        <div>
          <Button size="compact-sm" variant="default" onClick={() => save(`${k.name || k.id}.env`, envOf(k))}>
            Download as .env
          </Button>
        </div>
        <Checkbox label="I have stored it" checked={stored} onChange={(e) => setStored(e.currentTarget.checked)} data-autofocus />
        <Group justify="flex-end">
          <Button onClick={close} disabled={!stored}>
            Done
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
