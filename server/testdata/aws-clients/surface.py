"""Calls each operation of SQS and SNS by boto3, and prints "the whole surface" when all answered as they should.

AWS_ENDPOINT_URL, the region and a key pair are in the environment. Debian's boto3 speaks the query protocol to SQS.
"""
import json
import os
import re

import boto3
from botocore.exceptions import ClientError

called = set()


class Caller:
    """A client that remembers what was called."""

    def __init__(self, service):
        self.service = service
        self.client = boto3.client(service, endpoint_url=os.environ["AWS_ENDPOINT_URL"])

    def __call__(self, operation, **parameters):
        called.add((self.service, operation))
        return self.client._make_api_call(operation, parameters)

    def refused(self, code, operation, **parameters):
        try:
            self(operation, **parameters)
        except ClientError as error:
            assert error.response["Error"]["Code"] == code, error
            return
        raise AssertionError(operation + " was not refused")

    def check_all(self, without):
        for operation in self.client.meta.service_model.operation_names:
            assert (self.service, operation) in called or re.search(without, operation), operation + " was not called"


sqs, sns = Caller("sqs"), Caller("sns")


def arn_of(url):
    return sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def receive(url, **more):
    out = sqs("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"], **more)
    return out.get("Messages", [])


# Queues.
dead = sqs("CreateQueue", QueueName="py-dead")["QueueUrl"]
queue = sqs("CreateQueue", QueueName="py-jobs", tags={"team": "a"})["QueueUrl"]
assert sqs("GetQueueUrl", QueueName="py-jobs")["QueueUrl"] == queue
redrive = json.dumps({"deadLetterTargetArn": arn_of(dead), "maxReceiveCount": 1})
sqs("SetQueueAttributes", QueueUrl=queue, Attributes={"VisibilityTimeout": "60", "RedrivePolicy": redrive})
assert sqs("ListQueues", QueueNamePrefix="py-")["QueueUrls"] == [dead, queue]
assert sqs("ListDeadLetterSourceQueues", QueueUrl=dead)["queueUrls"] == [queue]
sqs("TagQueue", QueueUrl=queue, Tags={"stage": "test"})
sqs("UntagQueue", QueueUrl=queue, TagKeys=["team"])
assert sqs("ListQueueTags", QueueUrl=queue)["Tags"] == {"stage": "test"}
sqs("AddPermission", QueueUrl=queue, Label="send", AWSAccountIds=["123456789012"], Actions=["SendMessage"])
sqs("RemovePermission", QueueUrl=queue, Label="send")

# Messages. botocore checks the digests of bodies.
attributes = {"n": {"DataType": "Number", "StringValue": "7"}, "raw": {"DataType": "Binary", "BinaryValue": b"\x00\x01\xff"}}
sent = sqs("SendMessage", QueueUrl=queue, MessageBody="one", MessageAttributes=attributes)
(one,) = receive(queue)
assert one["MessageId"] == sent["MessageId"] and one["MessageAttributes"]["raw"]["BinaryValue"] == b"\x00\x01\xff"
assert one["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
sqs("ChangeMessageVisibility", QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"], VisibilityTimeout=100)
sqs("DeleteMessage", QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
batch = sqs("SendMessageBatch", QueueUrl=queue, Entries=[{"Id": x, "MessageBody": x} for x in "abc"])
assert len(batch["Successful"]) == 3
taken = receive(queue)
assert sorted(m["Body"] for m in taken) == ["a", "b", "c"]
entries = [{"Id": "m%d" % i, "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(taken)]
changed = sqs("ChangeMessageVisibilityBatch", QueueUrl=queue, Entries=[dict(entries[0], VisibilityTimeout=0)])
assert len(changed["Successful"]) == 1
deleted = sqs("DeleteMessageBatch", QueueUrl=queue, Entries=[entries[1], {"Id": "bad", "ReceiptHandle": "garbage"}])
assert deleted["Successful"][0]["Id"] == "m1" and deleted["Failed"][0]["Code"] == "ReceiptHandleIsInvalid"

# The first of the batch has been received as often as it may be: it moves, and comes back by a task. Older clients know no tasks.
assert receive(queue) == []
(letter,) = receive(dead, WaitTimeSeconds=20)
assert letter["Body"] == taken[0]["Body"]
sqs("ChangeMessageVisibility", QueueUrl=dead, ReceiptHandle=letter["ReceiptHandle"], VisibilityTimeout=0)
if "StartMessageMoveTask" in sqs.client.meta.service_model.operation_names:
    task = sqs("StartMessageMoveTask", SourceArn=arn_of(dead), DestinationArn=arn_of(queue))
    while True:
        status = sqs("ListMessageMoveTasks", SourceArn=arn_of(dead))["Results"][0]["Status"]
        if status == "COMPLETED":
            break
        assert status == "RUNNING", status
    sqs.refused("ResourceNotFoundException", "CancelMessageMoveTask", TaskHandle=task["TaskHandle"])
    (back,) = receive(queue)
    assert back["Body"] == taken[0]["Body"]
sqs("PurgeQueue", QueueUrl=queue)
sqs.refused("AWS.SimpleQueueService.NonExistentQueue", "GetQueueUrl", QueueName="py-none")

# Topics.
topic = sns("CreateTopic", Name="py-orders", Tags=[{"Key": "team", "Value": "a"}])["TopicArn"]
sns("SetTopicAttributes", TopicArn=topic, AttributeName="DisplayName", AttributeValue="Orders")
assert sns("GetTopicAttributes", TopicArn=topic)["Attributes"]["DisplayName"] == "Orders"
assert {"TopicArn": topic} in sns("ListTopics")["Topics"]
sns("TagResource", ResourceArn=topic, Tags=[{"Key": "stage", "Value": "test"}])
sns("UntagResource", ResourceArn=topic, TagKeys=["team"])
assert sns("ListTagsForResource", ResourceArn=topic)["Tags"] == [{"Key": "stage", "Value": "test"}]
sns("AddPermission", TopicArn=topic, Label="publish", AWSAccountId=["123456789012"], ActionName=["Publish"])
sns("RemovePermission", TopicArn=topic, Label="publish")
policy = {"FilterPolicy": json.dumps({"tier": ["gold"]})}
subscription = sns("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn_of(queue), Attributes=policy)["SubscriptionArn"]
sns("SetSubscriptionAttributes", SubscriptionArn=subscription, AttributeName="RawMessageDelivery", AttributeValue="true")
assert sns("GetSubscriptionAttributes", SubscriptionArn=subscription)["Attributes"]["RawMessageDelivery"] == "true"
assert sns("ListSubscriptionsByTopic", TopicArn=topic)["Subscriptions"][0]["SubscriptionArn"] == subscription
assert subscription in [s["SubscriptionArn"] for s in sns("ListSubscriptions")["Subscriptions"]]
gold = {"tier": {"DataType": "String", "StringValue": "gold"}}
sns("Publish", TopicArn=topic, Message="for nobody")
sns("Publish", TopicArn=topic, Message="order 1", MessageAttributes=gold)
published = sns("PublishBatch", TopicArn=topic, PublishBatchRequestEntries=[{"Id": "a", "Message": "order 2", "MessageAttributes": gold}])
assert len(published["Successful"]) == 1
arrived = []
while len(arrived) < 2:
    arrived += [m["Body"] for m in receive(queue, WaitTimeSeconds=20)]
assert sorted(arrived) == ["order 1", "order 2"]
sns.refused("InvalidParameter", "ConfirmSubscription", TopicArn=topic, Token="0" * 64)
sns("Unsubscribe", SubscriptionArn=subscription)
sns("DeleteTopic", TopicArn=topic)
sns.refused("NotFound", "GetTopicAttributes", TopicArn=topic)
sqs("DeleteQueue", QueueUrl=queue)
sqs("DeleteQueue", QueueUrl=dead)

sns.refused("InvalidParameter", "CreatePlatformApplication", Name="a", Platform="GCM", Attributes={})
sqs.check_all("^$")
sns.check_all("Platform|Endpoint|SMS|PhoneNumber|OptedOut|OriginationNumbers|DataProtection")
print("the whole surface")
