import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { must, useActing } from "../api/client";
import { askingAt } from "./contact";

// AskForMore leads to whoever can give the tenant larger limits. Where nobody is named there is nothing.
export function AskForMore() {
  const { api, tenant } = useActing();
  const { data: who } = useQuery({ queryKey: ["whoami", tenant], queryFn: () => must(api.GET("/v1/whoami")) });
  const { data: quotas } = useQuery({ queryKey: ["usage", tenant, "quotas"], queryFn: () => must(api.GET("/v1/quotas")) });
  const href = who?.contact && who.tenant ? askingAt(who.contact, who.tenant, quotas?.data ?? []) : undefined;
  if (!href) return null;
  return (
    <Button component="a" variant="default" href={href} {...(!href.startsWith("mailto:") && { target: "_blank", rel: "noreferrer" })}>
      Ask for more
    </Button>
  );
}
