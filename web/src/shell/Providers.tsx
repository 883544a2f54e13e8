import { Alert, Button, Divider, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useLocation } from "@tanstack/react-router";
import { must, newApi } from "../api/client";
import { apiUrl, basePath } from "../api/place";
import { whyNot } from "./whynot";

const api = newApi();

// Providers leads to the identity providers with which people sign in, and from there back to the address that is open. It is nothing
// where there are none, and where it is not known whether there are: a key signs in all the same.
export function Providers() {
  const { data } = useQuery({
    queryKey: ["sign-in-providers"],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: () => must(api.GET("/v1/session/oidc/providers")),
  });
  useLocation(); // so that the address below is that of now
  if (!data || data.data.length === 0) return null;
  const to = `/console${location.pathname.slice(basePath.length)}${location.search}`;
  return (
    <Stack mt="md">
      <Divider label="or" />
      {data.data.map((p) => (
        <Button key={p.issuer} component="a" variant="default" href={`${apiUrl}/v1/session/oidc?${new URLSearchParams({ issuer: p.issuer, to })}`}>
          Sign in with {p.name}
        </Button>
      ))}
    </Stack>
  );
}

// NotSignedIn says why somebody who comes back from an identity provider is not signed in.
export function NotSignedIn() {
  const why = whyNot(useLocation({ select: (l) => l.hash }));
  if (!why) return null;
  return (
    <Alert color="red" variant="light" title="You are not signed in" role="alert">
      <Text size="sm">{why.words}</Text>
      <Text size="xs" className="mono" mt="xs">
        {why.code}
      </Text>
    </Alert>
  );
}
