// Calls each operation of SQS and SNS by the SDK for JavaScript, and says "the whole surface" when all answered as they should.
// AWS_ENDPOINT_URL, the region and a key pair are in the environment.
import assert from "node:assert/strict";
import * as sqsSDK from "@aws-sdk/client-sqs";
import * as snsSDK from "@aws-sdk/client-sns";

const called = new Set();

// caller returns a function that calls an operation by its name.
function caller(sdk, Client, service) {
  const client = new Client({ endpoint: process.env.AWS_ENDPOINT_URL, maxAttempts: 1 });
  const names = Object.keys(sdk).filter((name) => /^[A-Z].*Command$/.test(name));
  const call = (name, input = {}) => {
    called.add(`${service} ${name}`);
    return client.send(new sdk[`${name}Command`](input));
  };
  return { call, operations: names.map((name) => name.slice(0, -"Command".length)), service };
}

const { call: sqs, ...aboutSQS } = caller(sqsSDK, sqsSDK.SQSClient, "sqs");
const { call: sns, ...aboutSNS } = caller(snsSDK, snsSDK.SNSClient, "sns");

async function refused(promise, name) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.name, name, error.message);
    return true;
  });
}

// Queues.
const made = await sqs("CreateQueue", { QueueName: "js-dead" });
const dead = made.QueueUrl;
const arnOf = async (url) => (await sqs("GetQueueAttributes", { QueueUrl: url, AttributeNames: ["QueueArn"] })).Attributes.QueueArn;
const deadARN = await arnOf(dead);
const { QueueUrl: queue } = await sqs("CreateQueue", { QueueName: "js-jobs", tags: { team: "a" } });
assert.equal((await sqs("GetQueueUrl", { QueueName: "js-jobs" })).QueueUrl, queue);
await sqs("SetQueueAttributes", {
  QueueUrl: queue,
  Attributes: { VisibilityTimeout: "60", RedrivePolicy: JSON.stringify({ deadLetterTargetArn: deadARN, maxReceiveCount: 1 }) },
});
assert.deepEqual((await sqs("ListQueues", { QueueNamePrefix: "js-" })).QueueUrls, [dead, queue]);
assert.deepEqual((await sqs("ListDeadLetterSourceQueues", { QueueUrl: dead })).queueUrls, [queue]);
await sqs("TagQueue", { QueueUrl: queue, Tags: { stage: "test" } });
await sqs("UntagQueue", { QueueUrl: queue, TagKeys: ["team"] });
assert.deepEqual((await sqs("ListQueueTags", { QueueUrl: queue })).Tags, { stage: "test" });
await sqs("AddPermission", { QueueUrl: queue, Label: "send", AWSAccountIds: ["123456789012"], Actions: ["SendMessage"] });
await sqs("RemovePermission", { QueueUrl: queue, Label: "send" });

// Messages. The SDK checks the digests.
const attributes = { n: { DataType: "Number", StringValue: "7" }, raw: { DataType: "Binary", BinaryValue: new Uint8Array([0, 1, 255]) } };
const sent = await sqs("SendMessage", { QueueUrl: queue, MessageBody: "one", MessageAttributes: attributes });
const receive = (url, more) =>
  sqs("ReceiveMessage", { QueueUrl: url, MaxNumberOfMessages: 10, MessageAttributeNames: ["All"], MessageSystemAttributeNames: ["All"], ...more });
const [one] = (await receive(queue)).Messages;
assert.equal(one.MessageId, sent.MessageId);
assert.deepEqual(one.MessageAttributes.raw.BinaryValue, attributes.raw.BinaryValue);
await sqs("ChangeMessageVisibility", { QueueUrl: queue, ReceiptHandle: one.ReceiptHandle, VisibilityTimeout: 100 });
await sqs("DeleteMessage", { QueueUrl: queue, ReceiptHandle: one.ReceiptHandle });
const batch = await sqs("SendMessageBatch", { QueueUrl: queue, Entries: ["a", "b", "c"].map((Id) => ({ Id, MessageBody: Id })) });
assert.equal(batch.Successful.length, 3);
const taken = (await receive(queue)).Messages;
assert.deepEqual(taken.map((m) => m.Body).sort(), ["a", "b", "c"]);
const entries = taken.map((m, i) => ({ Id: `m${i}`, ReceiptHandle: m.ReceiptHandle }));
const changed = await sqs("ChangeMessageVisibilityBatch", { QueueUrl: queue, Entries: [{ ...entries[0], VisibilityTimeout: 0 }] });
assert.equal(changed.Successful.length, 1);
const deleted = await sqs("DeleteMessageBatch", { QueueUrl: queue, Entries: [entries[1], { Id: "bad", ReceiptHandle: "garbage" }] });
assert.equal(deleted.Successful[0].Id, "m1");
assert.equal(deleted.Failed[0].Code, "ReceiptHandleIsInvalid");

// The first of the batch has been received as often as it may be: it moves, and comes back by a task.
assert.equal((await receive(queue)).Messages, undefined);
const [letter] = (await receive(dead, { WaitTimeSeconds: 20 })).Messages;
assert.equal(letter.Body, taken[0].Body);
await sqs("ChangeMessageVisibility", { QueueUrl: dead, ReceiptHandle: letter.ReceiptHandle, VisibilityTimeout: 0 });
const task = await sqs("StartMessageMoveTask", { SourceArn: deadARN, DestinationArn: await arnOf(queue), MaxNumberOfMessagesPerSecond: 10 });
for (;;) {
  const { Results } = await sqs("ListMessageMoveTasks", { SourceArn: deadARN });
  if (Results[0].Status === "COMPLETED") break;
  assert.equal(Results[0].Status, "RUNNING", JSON.stringify(Results));
}
await refused(sqs("CancelMessageMoveTask", { TaskHandle: task.TaskHandle }), "ResourceNotFoundException");
assert.equal((await receive(queue)).Messages[0].Body, taken[0].Body);
await sqs("PurgeQueue", { QueueUrl: queue });
await refused(sqs("GetQueueUrl", { QueueName: "js-none" }), "QueueDoesNotExist");

// Topics.
const { TopicArn } = await sns("CreateTopic", { Name: "js-orders", Tags: [{ Key: "team", Value: "a" }] });
await sns("SetTopicAttributes", { TopicArn, AttributeName: "DisplayName", AttributeValue: "Orders" });
assert.equal((await sns("GetTopicAttributes", { TopicArn })).Attributes.DisplayName, "Orders");
assert.ok((await sns("ListTopics")).Topics.some((t) => t.TopicArn === TopicArn));
await sns("TagResource", { ResourceArn: TopicArn, Tags: [{ Key: "stage", Value: "test" }] });
await sns("UntagResource", { ResourceArn: TopicArn, TagKeys: ["team"] });
assert.deepEqual((await sns("ListTagsForResource", { ResourceArn: TopicArn })).Tags, [{ Key: "stage", Value: "test" }]);
await sns("AddPermission", { TopicArn, Label: "publish", AWSAccountId: ["123456789012"], ActionName: ["Publish"] });
await sns("RemovePermission", { TopicArn, Label: "publish" });
const { SubscriptionArn } = await sns("Subscribe", {
  TopicArn, Protocol: "sqs", Endpoint: await arnOf(queue), Attributes: { FilterPolicy: JSON.stringify({ tier: ["gold"] }) },
});
await sns("SetSubscriptionAttributes", { SubscriptionArn, AttributeName: "RawMessageDelivery", AttributeValue: "true" });
assert.equal((await sns("GetSubscriptionAttributes", { SubscriptionArn })).Attributes.RawMessageDelivery, "true");
assert.equal((await sns("ListSubscriptionsByTopic", { TopicArn })).Subscriptions[0].SubscriptionArn, SubscriptionArn);
assert.ok((await sns("ListSubscriptions")).Subscriptions.some((s) => s.SubscriptionArn === SubscriptionArn));
const gold = { tier: { DataType: "String", StringValue: "gold" } };
await sns("Publish", { TopicArn, Message: "for nobody" });
await sns("Publish", { TopicArn, Message: "order 1", MessageAttributes: gold });
const published = await sns("PublishBatch", { TopicArn, PublishBatchRequestEntries: [{ Id: "a", Message: "order 2", MessageAttributes: gold }] });
assert.equal(published.Successful.length, 1);
const arrived = [];
while (arrived.length < 2) {
  const { Messages = [] } = await sqs("ReceiveMessage", { QueueUrl: queue, WaitTimeSeconds: 20, MaxNumberOfMessages: 10 });
  arrived.push(...Messages.map((m) => m.Body));
}
assert.deepEqual(arrived.sort(), ["order 1", "order 2"]);
await refused(sns("ConfirmSubscription", { TopicArn, Token: "0".repeat(64) }), "InvalidParameterException");
await sns("Unsubscribe", { SubscriptionArn });
await sns("DeleteTopic", { TopicArn });
await refused(sns("GetTopicAttributes", { TopicArn }), "NotFoundException");
await sqs("DeleteQueue", { QueueUrl: queue });
await sqs("DeleteQueue", { QueueUrl: dead });

// What Sluice does not do it says, and nothing is left out: each operation that the SDKs have was called above, or is of these.
const without = /Platform|Endpoint|SMS|PhoneNumber|OptedOut|OriginationNumbers|DataProtection/;
for (const { operations, service } of [aboutSQS, aboutSNS]) {
  for (const name of operations) {
    if (!called.has(`${service} ${name}`)) assert.match(name, without, `${service} ${name} was not called`);
  }
}
await refused(sns("CreatePlatformApplication", { Name: "a", Platform: "GCM", Attributes: {} }), "InvalidParameterException");
console.log("the whole surface");
