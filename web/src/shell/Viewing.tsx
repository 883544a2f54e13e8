import { Alert, Button, Group } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { ErrorState } from "../common/states";
import { Ago } from "../common/Time";
import { endView, type Session } from "./session";

// Viewing stands above every screen while an operator looks at a tenant as that one sees it.
export function Viewing({ view }: { view: NonNullable<Session["view_as"]> }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const end = useMutation({
    mutationFn: () => endView(client),
    onSuccess: () => navigate({ to: "/admin/tenants/$name", params: { name: view.tenant } }),
  });
  const { mutate } = end;
  useEffect(() => {
    const timer = setTimeout(mutate, Math.max(0, Date.parse(view.expires_at) - Date.now()));
    return () => clearTimeout(timer);
  }, [view.expires_at, mutate]);
  return (
    <Alert color="orange" role="status" title={`You view ${view.tenant} as it sees itself`}>
      <Group justify="space-between">
        <span>
          You can look at everything and change nothing. It ends <Ago at={view.expires_at} />.
        </span>
        <Group gap="xs">
          <Button size="compact-sm" loading={end.isPending} onClick={() => mutate()}>
            Exit
          </Button>
        </Group>
      </Group>
      {end.error && <ErrorState error={end.error} />}
    </Alert>
  );
}
