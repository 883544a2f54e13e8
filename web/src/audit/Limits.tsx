import { Card, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { must, useActing } from "../api/client";
import { AskForMore } from "../common/AskForMore";
import { Curl } from "../common/Curl";
import { bytes, count, duration } from "../common/format";
import { Facts, Page } from "../common/Page";
import { Quotas } from "../common/Quota";
import { Loaded } from "../common/states";

const orNone = (n: number | null, write: (n: number) => string) => (n === null ? "no limit" : write(n));

// Limits is what the server takes from the tenant.
export function Limits() {
  const { api, tenant } = useActing();
  const quotas = useQuery({ queryKey: ["usage", tenant, "quotas"], queryFn: () => must(api.GET("/v1/quotas")) });
  const who = useQuery({ queryKey: ["whoami", tenant], queryFn: () => must(api.GET("/v1/whoami")) });
  return (
    <Page
      title="Limits"
      actions={
        <>
          <AskForMore />
          <Curl call={{ method: "GET", path: "/v1/whoami" }} />
        </>
      }
    >
      <Loaded query={who}>
        {({ limits: l, tenant: t }) => (
          <Stack>
            <Card withBorder>
              <Loaded query={quotas} rows={4}>
                {({ data }) => <Quotas of={data} />}
              </Loaded>
            </Card>
            <Card withBorder>
              <Facts
                of={[
                  ["Requests a second", orNone(l.requests_per_second, count)],
                  ["Bytes in a second", orNone(l.bytes_in_per_second, bytes)],
                  ["Bytes out a second", orNone(l.bytes_out_per_second, bytes)],
                  ["Stored bytes", orNone(l.stored_bytes, bytes)],
                  ["Subscriptions of a topic", count(l.max_topic_subscriptions)],
                  ["Schedules of a queue or a topic", count(l.max_queue_schedules)],
                  ["A message, with its attributes", bytes(l.max_message_size)],
                  ["A batch", `${count(l.max_batch)} messages and ${bytes(l.max_batch_bytes)}`],
                  ["A receive", `${count(l.max_receive)} messages, waiting ${duration(l.max_wait)}`],
                  ["Account number in ARNs", <span key="a" className="mono">{t?.account_number}</span>],
                ]}
              />
            </Card>
            <Text size="sm" className="quiet">
              An operator changes them. One that is reached is told with each refusal, by name.
            </Text>
          </Stack>
        )}
      </Loaded>
    </Page>
  );
}
