import { Card, Stack, Title } from "@mantine/core";
import { Page } from "../common/Page";
import { Loaded } from "../common/states";
import { useUrl } from "../common/url";
import { Charts } from "../stats/Charts";
import { Totals } from "../stats/TenantOverview";
import { orders, useTenants } from "./data";
import { TenantRows } from "./TenantRows";

const top = 10;

// Fleet is how all tenants together are, and which of them do most.
export function Fleet() {
  const [{ sort }, setUrl] = useUrl();
  const by = orders.find((o) => o === sort) ?? "-sent_rate";
  const first = useTenants("", by, undefined, top);
  return (
    <Page title="Fleet">
      <Stack>
        <Totals of="system" />
        <Charts of="system" />
        <Card withBorder>
          <Title order={2} size="h5" mb="sm">
            The first {top} tenants
          </Title>
          <Loaded query={first} rows={5}>
            {({ data }) => <TenantRows tenants={data} sorting={{ by, set: (sort) => setUrl({ sort }) }} />}
          </Loaded>
        </Card>
      </Stack>
    </Page>
  );
}
