import { Button, Card, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useLocation, useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { failureOf } from "../api/client";
import { ErrorState } from "../common/states";
import { Door } from "../shell/SignIn";
import { accept } from "../shell/session";

// Accept is where the link of an invitation leads: who opens it chooses a password, and is inside.
export function Accept() {
  const client = useQueryClient();
  const navigate = useNavigate();
  const token = useLocation({ select: (l) => l.hash }); // a link that is pasted over half of it loads no page
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  useEffect(() => {
    document.title = "Invitation · Sluice";
  }, []);
  const go = useMutation({
    mutationFn: () => accept(client, { token, password, ...(name.trim() && { name: name.trim() }) }),
    onSuccess: () => navigate({ to: "/", hash: "", replace: true }),
  });
  const failure = go.error ? failureOf(go.error) : undefined;
  if (!token) {
    return (
      <Door title="This link is not whole">
        <Text size="sm">
          An invitation is what follows the # in the link, and here nothing does. Copy all of it, or ask for another one.{" "}
          <Link className="link" to="/">
            To the start
          </Link>
        </Text>
      </Door>
    );
  }
  return (
    <Door title="Welcome to Sluice">
      <Card withBorder padding="lg">
        <form
          onSubmit={(e) => {
            e.preventDefault();
            go.mutate();
          }}
        >
          <Stack>
            <Text size="sm">You are invited. Choose the password with which you sign in from now on.</Text>
            <TextInput label="Your name" description="May stay empty" value={name} onChange={(e) => setName(e.currentTarget.value)} autoComplete="name" error={failure?.at("/name")} />
            <PasswordInput
              label="Password"
              description="At least 10 characters"
              value={password}
              onChange={(e) => setPassword(e.currentTarget.value)}
              autoComplete="new-password"
              error={failure?.at("/password")}
              visibilityToggleButtonProps={{ "aria-label": "Show the password" }}
            />
            {failure && <ErrorState error={failure} />}
            <Button type="submit" loading={go.isPending} disabled={password === ""}>
              Set the password and sign in
            </Button>
          </Stack>
        </form>
      </Card>
    </Door>
  );
}
