import { Page } from "../common/Page";
import { Charts } from "../stats/Charts";
import { Totals } from "../stats/TenantOverview";

// Fleet is how all tenants together are.
export function Fleet() {
  return (
    <Page title="Fleet">
      <Totals of="system" />
      <Charts of="system" />
    </Page>
  );
}
