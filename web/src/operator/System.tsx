import { Alert, Card, Stack } from "@mantine/core";
import { apiUrl } from "../api/place";
import { Command } from "../common/Curl";
import { Facts, Page } from "../common/Page";
import { Loaded } from "../common/states";
import { useReadiness } from "../shell/readiness";

// System is how the installation is, as the server says it of itself.
export function System() {
  const query = useReadiness();
  return (
    <Page title="System">
      <Loaded query={query}>
        {(r) => (
          <Stack>
            {r.warnings.map((w) => (
              <Alert key={w} color="orange">
                {w}
              </Alert>
            ))}
            <Card withBorder>
              <Facts
                of={[
                  ["Status", r.status.replace("_", " ")],
                  ["What an acknowledgement means", `${r.durability}${r.durability_verified ? ", read from the storage itself" : ", as far as can be known"}`],
                  ["Storage", `${r.engine} ${r.redis_version}`],
                  ["Version", r.version],
                  ["Address", <span key="a" className="mono">{apiUrl}</span>],
                ]}
              />
            </Card>
            <Command text={`curl ${apiUrl}/readyz\nsluice doctor`} />
          </Stack>
        )}
      </Loaded>
    </Page>
  );
}
