// A consumer as it is written for SQS: it knows of no server, and takes address and credentials from the environment. It works on a
// message until somebody writes a line.
import { createInterface } from "node:readline";
import { CreateQueueCommand, DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const sqs = new SQSClient({});
const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "jobs" }));
for (let n = 0; n < 3; n++) await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: `job ${n}` }));
for (;;) {
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20 }));
  for (const m of Messages ?? []) {
    console.log(m.Body);
    if ((await lines.next()).done) process.exit();
    await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: m.ReceiptHandle }));
  }
}
