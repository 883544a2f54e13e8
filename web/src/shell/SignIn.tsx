import { Anchor, Button, Card, Center, Code, Group, List, PasswordInput, Stack, Text, Title } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { apiUrl } from "../api/place";
import { ErrorState } from "../common/states";
import { Logo } from "./Logo";
import { signIn } from "./session";

// SignInForm takes a key and gets a session for it. The key itself stays nowhere.
export function SignInForm({ done }: { done?: () => void }) {
  const client = useQueryClient();
  const [secret, setSecret] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  return (
    <form
      onSubmit={async (e) => {
        e.preventDefault();
        setBusy(true);
        setError(undefined);
        try {
          await signIn(client, secret.trim());
          done?.();
        } catch (e) {
          setError(e);
          setBusy(false);
        }
      }}
    >
      <Stack>
        <PasswordInput
          label="Key"
          description="A tenant's begins with slk_, an operator's with slo_."
          value={secret}
          onChange={(e) => setSecret(e.currentTarget.value)}
          autoComplete="current-password"
          data-autofocus
          autoFocus
          visibilityToggleButtonProps={{ "aria-label": "Show the key" }}
        />
        {error !== undefined && <ErrorState error={error} />}
        <Button type="submit" loading={busy} disabled={secret.trim() === ""}>
          Sign in
        </Button>
      </Stack>
    </form>
  );
}

// SignIn is the first screen, and tells newcomers where their keys are.
export function SignIn() {
  useEffect(() => {
    document.title = "Sign in · Sluice";
  }, []);
  return (
    <Center component="main" mih="100vh" p="md">
      <Stack w={440} maw="100%">
        <Group gap="sm">
          <Logo />
          <Title order={1} size="h3">
            Sign in to Sluice
          </Title>
        </Group>
        <Card withBorder padding="lg">
          <SignInForm />
        </Card>
        <Card withBorder padding="lg">
          <Title order={2} size="h5" mb="xs">
            Here for the first time?
          </Title>
          <Text size="sm" mb="xs">
            The first start of the server wrote two keys into its data directory, which is <Code>data</Code> unless <Code>SLUICE_DATA_DIR</Code> names another one:
          </Text>
          <List size="sm" spacing={4}>
            <List.Item>
              <Code>data/default-key</Code> for the tenant <b>default</b>: its queues, topics and messages.
            </List.Item>
            <List.Item>
              <Code>data/operator-key</Code> for the installation: tenants, plans and limits.
            </List.Item>
          </List>
          <Text size="sm" mt="sm">
            Show one with <Code>cat data/default-key</Code>, and paste it above. The <Anchor href={`${apiUrl}/docs/`} size="sm">API</Anchor> takes the same keys.
          </Text>
        </Card>
      </Stack>
    </Center>
  );
}
