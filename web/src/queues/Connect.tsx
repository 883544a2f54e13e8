import { Alert, Card, SegmentedControl, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { must, useActing } from "../api/client";
import { apiUrl } from "../api/place";
import { Command, Copy } from "../common/Curl";
import { Facts } from "../common/Page";
import { ConnectTest } from "./ConnectTest";
import { type Queue, useQueue } from "./data";
import { useQueueName } from "./QueuePage";

type Of = { queue: Queue; rest: string; sqs: string; endpoint: string; region: string };

const fifoOnly = (q: Queue, text: string) => (q.type === "fifo" ? text : "");

// snippets are workers and senders that run as they stand, with a key in the environment.
const snippets: Record<string, (of: Of) => string> = {
  curl: ({ queue, rest }) => `export KEY=slk_…
curl -u $KEY: ${rest}/messages -d 'hello'${fifoOnly(queue, " -H 'Message-Group-Id: a' -H 'Message-Deduplication-Id: 1'")}
curl -u $KEY: -X POST '${rest}/receive?wait=20'
# acknowledge by the ack_url of the answer:
curl -u $KEY: -X DELETE ${new URL(rest).origin}/v1/queues/${queue.name}/receipts/…`,
  Go: ({ rest }) => `req, _ := http.NewRequest("POST", "${rest}/receive?wait=20&raw=true", nil)
req.SetBasicAuth(os.Getenv("KEY"), "")
resp, err := http.DefaultClient.Do(req)
if err != nil {
	log.Fatal(err)
}
defer resp.Body.Close()
if resp.StatusCode == http.StatusOK { // 204: there was none
	body, _ := io.ReadAll(resp.Body)
	handle(body)
	ack, _ := http.NewRequest("DELETE", "${new URL(rest).origin}"+resp.Header.Get("Location"), nil)
	ack.SetBasicAuth(os.Getenv("KEY"), "")
	http.DefaultClient.Do(ack)
}`,
  Python: ({ rest }) => `import os, requests

s = requests.Session()
s.auth = (os.environ["KEY"], "")
while True:
    r = s.post("${rest}/receive", params={"wait": 20, "max": 10})
    r.raise_for_status()
    for m in r.json()["messages"]:
        handle(m["body"])
        s.delete("${new URL(rest).origin}" + m["ack_url"]).raise_for_status()`,
  Node: ({ rest }) => `const auth = { Authorization: "Basic " + btoa(process.env.KEY + ":") };
for (;;) {
  const r = await fetch("${rest}/receive?wait=20&max=10", { method: "POST", headers: auth });
  if (!r.ok) throw new Error(await r.text());
  for (const m of (await r.json()).messages) {
    await handle(m.body);
    await fetch("${new URL(rest).origin}" + m.ack_url, { method: "DELETE", headers: auth });
  }
}`,
  Java: ({ rest }) => `var http = HttpClient.newHttpClient(); // of java.net.http
var auth = "Basic " + Base64.getEncoder().encodeToString((System.getenv("KEY") + ":").getBytes());
while (true) {
  var receive = HttpRequest.newBuilder(URI.create("${rest}/receive?wait=20&raw=true"))
      .header("Authorization", auth).POST(BodyPublishers.noBody()).build();
  var got = http.send(receive, BodyHandlers.ofString());
  if (got.statusCode() == 204) continue; // there was none
  if (got.statusCode() != 200) throw new IOException(got.body());
  handle(got.body());
  var ack = URI.create("${new URL(rest).origin}" + got.headers().firstValue("Location").orElseThrow());
  http.send(HttpRequest.newBuilder(ack).header("Authorization", auth).DELETE().build(), BodyHandlers.discarding());
}`,
  "AWS CLI": ({ queue, sqs, endpoint, region }) => `# with the AWS pair of a key (Keys, Create, with an AWS pair)
export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… AWS_DEFAULT_REGION=${region}
export AWS_ENDPOINT_URL=${endpoint}
aws sqs send-message --queue-url ${sqs} --message-body hello${fifoOnly(queue, " --message-group-id a --message-deduplication-id 1")}
aws sqs receive-message --queue-url ${sqs} --wait-time-seconds 20`,
};

// Connect is what a program needs to use the queue.
export function Connect() {
  const { api, tenant = "" } = useActing();
  const name = useQueueName();
  const { data: queue } = useQueue(name);
  const [language, setLanguage] = useState("curl");
  const who = useQuery({ queryKey: ["whoami", tenant], queryFn: () => must(api.GET("/v1/whoami")) });
  if (!queue) return null;
  const endpoint = new URL(apiUrl).origin;
  const of: Of = { queue, rest: `${apiUrl}/v1/queues/${name}`, endpoint, sqs: `${endpoint}/${who.data?.tenant?.account_number ?? "…"}/${name}`, region: queue.arn.split(":")[3] ?? "" };
  const value = (text: string) => (
    <>
      <span className="mono">{text}</span> <Copy text={text} />
    </>
  );
  return (
    <Stack>
      <Card withBorder>
        <Facts
          of={[
            ["REST", value(of.rest)],
            ["SQS queue URL", value(of.sqs)],
            ["ARN", value(queue.arn)],
            ["Region", value(of.region)],
          ]}
        />
      </Card>
      {endpoint !== apiUrl && <Alert color="yellow">SQS clients need the root of a host: they do not work below {new URL(apiUrl).pathname}.</Alert>}
      <SegmentedControl aria-label="Language" data={Object.keys(snippets)} value={language} onChange={setLanguage} style={{ alignSelf: "flex-start", maxWidth: "100%", overflowX: "auto" }} />
      <Command text={snippets[language]?.(of) ?? ""} />
      <Text size="sm">
        Give each program a key of its own, with the scopes that it needs:{" "}
        <Link className="link" to="/t/$tenant/keys" params={{ tenant }} search={{ new: "key" }}>
          create a key
        </Link>
        .
      </Text>
      <ConnectTest queue={queue} />
    </Stack>
  );
}
