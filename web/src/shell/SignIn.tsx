import { Anchor, Button, Card, Center, Code, Group, List, NativeSelect, PasswordInput, SegmentedControl, Stack, Text, TextInput, Title } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type ReactNode, useEffect, useState } from "react";
import { failureOf } from "../api/client";
import { apiUrl } from "../api/place";
import { ErrorState } from "../common/states";
import { Logo } from "./Logo";
import { NotSignedIn, Providers } from "./Providers";
import { signIn } from "./session";

type Way = "key" | "password";

const kept = "sluice-sign-in";

// SignInForm takes a key, or a member's password, and gets a session for it. The secret itself stays nowhere. Who has an identity
// provider goes there.
export function SignInForm({ done }: { done?: () => void }) {
  const client = useQueryClient();
  const [way, setWay] = useState<Way>(() => (localStorage.getItem(kept) === "password" ? "password" : "key"));
  const [secret, setSecret] = useState("");
  const [email, setEmail] = useState("");
  const [tenant, setTenant] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const several = error !== undefined && failureOf(error).code === "several_tenants";
  const [tenants, setTenants] = useState<string[]>([]);
  const choose = (to: Way) => {
    setWay(to);
    setSecret("");
    setError(undefined);
    localStorage.setItem(kept, to);
  };
  const go = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await signIn(client, way === "key" ? { key: secret.trim() } : { email: email.trim(), password: secret, ...(tenant && { tenant }) });
      done?.();
    } catch (e) {
      const failure = failureOf(e);
      if (failure.code === "several_tenants") {
        const names = failure.problem?.errors.map((f) => f.detail) ?? [];
        setTenants(names);
        setTenant(names[0] ?? "");
      }
      setError(e);
      setBusy(false);
    }
  };
  const secretField = (label: string, description?: string) => (
    <PasswordInput
      key={way}
      label={label}
      description={description}
      value={secret}
      onChange={(e) => setSecret(e.currentTarget.value)}
      autoComplete="current-password"
      data-autofocus={way === "key" ? true : undefined}
      autoFocus={way === "key"}
      visibilityToggleButtonProps={{ "aria-label": `Show the ${label.toLowerCase()}` }}
    />
  );
  return (
    <>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void go();
        }}
      >
        <Stack>
          <SegmentedControl
            aria-label="How to sign in"
            value={way}
            onChange={(v) => choose(v === "password" ? v : "key")}
            data={[
              { value: "key", label: "With a key" },
              { value: "password", label: "With a password" },
            ]}
          />
          {way === "key" ? (
            secretField("Key", "A tenant's begins with slk_, an operator's with slo_.")
          ) : (
            <>
              <TextInput
                label="E-mail address"
                type="email"
                value={email}
                onChange={(e) => {
                  setEmail(e.currentTarget.value);
                  setTenants([]);
                  setTenant("");
                }}
                autoComplete="username"
                autoFocus
                required
              />
              {secretField("Password")}
              {tenants.length > 0 && <NativeSelect label="Tenant" description="You are a member of several with this password." data={tenants} value={tenant} onChange={(e) => setTenant(e.currentTarget.value)} />}
            </>
          )}
          {error !== undefined && !several && <ErrorState error={error} />}
          <Button type="submit" loading={busy} disabled={secret.trim() === "" || (way === "password" && email.trim() === "")}>
            Sign in
          </Button>
          <Text size="xs" className="quiet">
            {way === "password" ? (
              "Who has forgotten the password asks an owner of the tenant for another invitation."
            ) : (
              <>
                Nobody has the operator&apos;s key any more? <Code>sluice reset-operator</Code>, on the machine of the server, makes a new one.
              </>
            )}
          </Text>
        </Stack>
      </form>
      <Providers />
    </>
  );
}

// SignIn is the first screen, and tells newcomers where their keys are.
export function SignIn() {
  const navigate = useNavigate();
  useEffect(() => {
    document.title = "Sign in · Sluice";
  }, []);
  return (
    <Door title="Sign in to Sluice">
      <NotSignedIn />
      <Card withBorder padding="lg">
        <SignInForm done={() => void navigate({ to: ".", search: true, hash: "", replace: true })} />
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
    </Door>
  );
}

// Door is the frame of what those see who are not inside yet.
export function Door({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Center component="main" mih="100vh" p="md">
      <Stack w={440} maw="100%">
        <Group gap="sm" wrap="nowrap">
          <Logo />
          <Title order={1} size="h3">
            {title}
          </Title>
        </Group>
        {children}
      </Stack>
    </Center>
  );
}
