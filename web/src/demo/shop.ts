import { type Api, failureOf, must, type Schemas } from "../api/client";
import { type Call, pathOf, unchanged, withQuery } from "../api/curl";

type QueueInput = Schemas["QueueInput"];
type SubscriptionInput = Schemas["SubscriptionInput"];
type Message = Schemas["BatchMessage"];

// label is that of all queues and topics of the shop: by it they are found, and told from those of somebody else with the same name.
export const label = "demo";
const labels = { [label]: "shop" };

const orders = "demo-orders";
const failed = "demo-orders-dlq";
const mail = "demo-mail";
const payments = "demo-payments.fifo";
const reports = "demo-reports";
const events = "demo-order-events";

const day = 86_400; // seconds
const hour = 3600;

type Order = { order: string; type: string; customer: string; items: { sku: string; quantity: number; price: number }[]; total: number | null; currency: string };

const goods: [sku: string, price: number][] = [["MUG-3", 12.5], ["LAMP-1", 79], ["TEA-250", 6.9], ["CHAIR-9", 149], ["NOTEBOOK-A5", 8.2]];

// order is the nth of the shop.
function order(n: number, wrong: Partial<Order> = {}): Order {
  const [sku, price] = goods[n % goods.length] ?? ["", 0];
  const quantity = 1 + (n % 3);
  return { order: `A-${1000 + n}`, type: "placed", customer: `c-${(7 * n) % 40}`, items: [{ sku, quantity, price }], total: price * quantity, currency: "EUR", ...wrong };
}

// mistakes are orders that nobody can do anything with, and why: the consumer gives them up.
const mistakes = [
  { order: order(1, { total: null }), reason: "total is null" },
  { order: order(2, { total: null }), reason: "total is null" },
  { order: order(3, { customer: "c-13" }), reason: "there is no customer c-13" },
];
const placed = [4, 5, 6, 7, 8, 9, 10, 11].map((n) => order(n));

const text = (body: unknown, more: Partial<Message> = {}): Message => ({ body: JSON.stringify(body), ...more });
const attribute = (name: string, value: string) => ({ attributes: { [name]: { type: "String", value } } });

// Step is one thing of the shop that is made, unless it is there. calls are the requests that it takes.
export type Step = { what: string; calls: Call[]; run: (api: Api) => Promise<unknown> };

// kept leaves what is there as it is.
async function kept(made: Promise<unknown>): Promise<void> {
  try {
    await made;
  } catch (e) {
    if (failureOf(e).status !== 412) throw e;
  }
}

const isOurs = (x: { labels: Record<string, string> }) => Object.hasOwn(x.labels, label);
const queueOf = (api: Api, queue: string) => must(api.GET("/v1/queues/{queue}", { params: { path: { queue } } }));
const topicOf = (api: Api) => must(api.GET("/v1/topics/{topic}", { params: { path: { topic: events } } }));

// once makes messages that are stored once, however often and by how many windows at the same time they are sent.
const once = { atomic: true };
const key = { "Idempotency-Key": "demo-data" };
const json = { "Content-Type": "application/json" };

function queue(queue: string, input: QueueInput = {}): Step {
  const body = { ...input, labels };
  return {
    what: `queue ${queue}`,
    calls: [{ method: "PUT", path: pathOf`/v1/queues/${queue}`, body, headers: unchanged() }],
    run: (api) => kept(must(api.PUT("/v1/queues/{queue}", { params: { path: { queue }, header: { "If-None-Match": "*" } }, body }))),
  };
}

function topic(): Step {
  const body = { message_retention: day, labels };
  return {
    what: `topic ${events}`,
    calls: [{ method: "PUT", path: pathOf`/v1/topics/${events}`, body, headers: unchanged() }],
    run: (api) => kept(must(api.PUT("/v1/topics/{topic}", { params: { path: { topic: events }, header: { "If-None-Match": "*" } }, body }))),
  };
}

function subscription(subscription: string, to: string, filter: SubscriptionInput = {}): Step {
  const body = { queue: to, ...filter };
  return {
    what: `subscription ${subscription}`,
    calls: [{ method: "PUT", path: pathOf`/v1/topics/${events}/subscriptions/${subscription}`, body, headers: unchanged() }],
    run: async (api) => {
      if (!isOurs(await topicOf(api)) || !isOurs(await queueOf(api, to))) return;
      await kept(must(api.PUT("/v1/topics/{topic}/subscriptions/{subscription}", { params: { path: { topic: events, subscription }, header: { "If-None-Match": "*" } }, body })));
    },
  };
}

function send(queue: string, messages: Message[]): Step {
  const body = { messages };
  return {
    what: `messages of ${queue}`,
    calls: [{ method: "POST", path: withQuery(pathOf`/v1/queues/${queue}/messages/batch`, once), body, headers: { ...json, ...key } }],
    run: async (api) => {
      const q = await queueOf(api, queue);
      if (isOurs(q) && q.totals.sent === 0) await must(api.POST("/v1/queues/{queue}/messages/batch", { params: { path: { queue }, query: once, header: key }, body }));
    },
  };
}

function publish(messages: Message[]): Step {
  const body = { messages };
  return {
    what: `messages of ${events}`,
    calls: [{ method: "POST", path: withQuery(pathOf`/v1/topics/${events}/messages/batch`, once), body, headers: { ...json, ...key } }],
    run: async (api) => {
      const t = await topicOf(api);
      if (isOurs(t) && t.published === 0) await must(api.POST("/v1/topics/{topic}/messages/batch", { params: { path: { topic: events }, query: once, header: key }, body }));
    },
  };
}

// giveUp does what a consumer does with the mistakes. They are the first of their queue.
function giveUp(): Step {
  const path = { queue: orders };
  const query = { max: mistakes.length, wait: 0, consumer: "console" };
  return {
    what: `dead letters of ${orders}`,
    calls: [
      { method: "POST", path: withQuery(pathOf`/v1/queues/${orders}/receive`, query) },
      { method: "POST", path: pathOf`/v1/queues/${orders}/ack`, body: { dead_letter: mistakes.map(({ reason }, i) => ({ receipt_handle: `HANDLE-${i + 1}`, reason })) } },
    ],
    run: async (api) => {
      const q = await queueOf(api, orders);
      if (!isOurs(q) || q.totals.received > 0) return;
      const got = await must(api.POST("/v1/queues/{queue}/receive", { params: { path, query } }));
      const dead_letter = (typeof got === "string" ? [] : got.messages).flatMap((m) => {
        const wrong = mistakes.find((x) => text(x.order).body === m.body);
        return wrong && m.receipt_handle ? [{ receipt_handle: m.receipt_handle, reason: wrong.reason }] : [];
      });
      if (dead_letter.length > 0) await must(api.POST("/v1/queues/{queue}/ack", { params: { path }, body: { dead_letter } }));
    },
  };
}

// steps make the shop, as "sluice demo" has it: orders of which some fail, payments in their order, mails, and reports that nobody reads.
export const steps: Step[] = [
  queue(failed, { message_retention: 14 * day }),
  queue(orders, { redrive: { dead_letter_queue: failed, max_receives: 3 }, visibility_timeout: 20, retry: { backoff: "exponential", delay: 2 } }),
  queue(mail),
  queue(payments, { fifo: { content_based_deduplication: true } }),
  queue(reports),
  topic(),
  subscription("mail", mail),
  subscription("large", reports, { filter_scope: "body", filter_policy: JSON.parse('{"total":[{"numeric":[">=",100]}]}') }),
  send(orders, [...mistakes.map((m) => text(m.order, attribute("Channel", "web"))), ...placed.map((o, i) => text(o, attribute("Channel", ["web", "app", "phone"][i % 3] ?? ""))), text(order(12), { delay: 2 * hour })]),
  send(payments, placed.map((o) => text({ order: o.order, amount: o.total }, { group_id: o.customer }))),
  publish(placed.map((o) => text(o, attribute("Type", o.type)))),
  giveUp(),
];

const needed = ["queues:read", "queues:write", "messages:send", "messages:consume", "topics:read", "topics:write", "topics:publish"];

// mayLoad reports whether a session may do all of it.
export function mayLoad(s: Pick<Schemas["Session"], "allowed" | "queues" | "read_only"> | null | undefined): boolean {
  return s !== null && s !== undefined && !s.read_only && s.queues === null && needed.every((scope) => s.allowed.includes(scope));
}
