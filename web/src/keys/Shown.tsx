import { Alert, Button, Checkbox, Group, Modal, Stack } from "@mantine/core";
import { useState } from "react";
import { apiUrl } from "../api/place";
import { Command } from "../common/Curl";
import type { CreatedKey } from "./data";

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
