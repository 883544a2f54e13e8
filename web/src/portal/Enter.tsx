import { Button, Card, Stack, Text } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useLocation, useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { ErrorState } from "../common/states";
import { signIn } from "../shell/session";
import { Door } from "../shell/SignIn";

// Enter is where a portal link leads. It waits for a click: what looks at links on their way, in a mail or a chat, does not use them up.
export function Enter() {
  const client = useQueryClient();
  const navigate = useNavigate();
  const link = useLocation({ select: (l) => l.hash }); // a link that is pasted over half of it loads no page
  useEffect(() => {
    document.title = "Portal link · Sluice";
  }, []);
  const go = useMutation({
    mutationFn: () => signIn(client, { portal_link: link }),
    onSuccess: () => navigate({ to: "/", hash: "", replace: true }),
  });
  if (!link) {
    return (
      <Door title="This link is not whole">
        <Text size="sm">
          A portal link is what follows the # in the address, and here nothing does. Copy all of it, or ask for another one.{" "}
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
        <Stack>
          <Text size="sm">This link opens your queues, once and for an hour.</Text>
          {go.error && <ErrorState error={go.error} />}
          <Button loading={go.isPending} onClick={() => go.mutate()} autoFocus>
            Go in
          </Button>
        </Stack>
      </Card>
    </Door>
  );
}
