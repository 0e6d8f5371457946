// The real socket.io-client, as npm has it, against a running shop: `node journey.mjs <name>`.
//
// SHOP is the address of an api, TOKEN a customer's, PRODUCT the id of something that is in stock. The customer
// must have no order on its way, from here or elsewhere: what a socket gets is compared to the last event.
// EXPIRED, FOREIGN and SHORT are further tokens, each for the one check that says so.
import assert from "node:assert/strict";
import { Manager } from "socket.io-client";
import { call, order, run, setting, sleep, until } from "./shop.mjs";

const ORDER_KEYS = "createdAt createdBy currency id orderItems paymentMethod status total updatedAt".split(" ");
const PAYMENT_KEYS =
  "amount attempt createdBy currency error nextAttemptAt orderId paymentId paymentMethod status".split(" ");
const QUICK = ["PENDING", "PROCESSING", "COMPLETED"];
/** What comes twice, or to the wrong socket, comes within so many milliseconds. */
const LULL = 300;

/** A connection, which the namespaces share: what `io()` makes behind its back. */
const connection = (options) => new Manager(setting("SHOP"), { reconnection: false, ...options });

/** Opens a namespace, and writes down all that the server sends, from the first packet on. */
function open(manager, namespace, auth) {
  const socket = manager.socket(namespace, { auth });
  const seen = { socket, connected: false, refused: null, ended: null, events: [], errors: [], resyncs: [] };
  socket.on("connect", () => (seen.connected = true));
  socket.on("connect_error", (error) => (seen.refused = error.message));
  socket.on("disconnect", (reason) => (seen.ended = reason));
  socket.on("status", (...args) => seen.events.push(args));
  socket.on("error", (...args) => seen.errors.push(args));
  socket.on("resync", (...args) => seen.resyncs.push(args));
  return seen;
}

/** The same, and it must get in. */
async function connected(manager, namespace, auth) {
  const seen = open(manager, namespace, auth);
  await until(`${namespace} to connect`, () => seen.connected || seen.refused);
  assert.equal(seen.refused, null, `${namespace} is refused`);
  return seen;
}

const statuses = (seen) => seen.events.map(([data]) => data.status);
const numbers = (seen) => seen.events.map(([, seq]) => seq);
const completed = (seen) => until("COMPLETED to be pushed", () => statuses(seen).includes("COMPLETED"));
/** What stays the same of an order's items, whatever is sold meanwhile. */
const items = (order) => order.orderItems.map(({ id, quantity, price, product }) => [id, quantity, price, product.id]);
/** The id of the customer. */
const owner = () => JSON.parse(Buffer.from(setting("TOKEN").split(".")[1], "base64url")).sub;

function assertOrderEvents(seen, placed) {
  assert.deepEqual(statuses(seen), QUICK);
  for (const [data, ...rest] of seen.events) {
    assert.equal(rest.length, 1, "a status has two arguments");
    assert.deepEqual(Object.keys(data).sort(), ORDER_KEYS);
    assert.equal(data.id, placed.id);
    assert.equal(data.createdBy, owner());
    assert.equal(data.total, placed.total);
    assert.deepEqual(items(data), items(placed));
    assert.deepEqual(items(data).map(([, quantity, , product]) => [quantity, product]), [[1, setting("PRODUCT")]]);
  }
}

function assertPaymentEvents(seen, placed) {
  assert.deepEqual(statuses(seen), ["COMPLETED"]);
  const [payment, ...rest] = seen.events[0];
  assert.equal(rest.length, 1, "a status has two arguments");
  assert.deepEqual(Object.keys(payment).sort(), PAYMENT_KEYS);
  assert.equal(typeof payment.paymentId, "string");
  const { orderId, amount, currency, paymentMethod, attempt, nextAttemptAt, error, createdBy } = payment;
  assert.deepEqual(
    { orderId, amount, currency, paymentMethod, attempt, nextAttemptAt, error, createdBy },
    {
      orderId: placed.id,
      amount: placed.total,
      currency: placed.currency,
      paymentMethod: placed.paymentMethod,
      attempt: 1,
      nextAttemptAt: null,
      error: null,
      createdBy: owner(),
    },
  );
}

/** Numbers rise in each namespace, and both together have all of the order's four. */
function assertNumbers(orders, payments) {
  const rising = (seqs) => seqs.every((seq, i) => Number.isInteger(seq) && (i === 0 || seq > seqs[i - 1]));
  assert.ok(rising(numbers(orders)), `numbers do not rise: ${numbers(orders)}`);
  const all = [...numbers(orders), ...numbers(payments)].sort((a, b) => a - b);
  assert.deepEqual(all, [0, 1, 2, 3].map((i) => all[0] + i));
}

/** Both namespaces over one connection. */
const join = (manager, auth) => Promise.all(["/orders", "/payment"].map((name) => connected(manager, name, auth)));

/** An order, and all that is to be heard of it. */
async function journey([orders, payments]) {
  const placed = await order();

  await completed(orders);
  await completed(payments);
  await sleep(LULL);
  assertOrderEvents(orders, placed);
  assertPaymentEvents(payments, placed);
  assertNumbers(orders, payments);
}

async function journeyOver(transport, { auth, extraHeaders }) {
  const manager = connection({ transports: [transport], extraHeaders });
  await journey(await join(manager, auth));
  assert.equal(manager.engine.transport.name, transport);
}

/** Connecting fails with that code, and with a good token the same socket gets in after all. */
async function refused(manager, namespace, auth, code) {
  const seen = open(manager, namespace, auth);
  await until(`${namespace} to be refused with ${code}`, () => seen.connected || seen.refused);
  assert.deepEqual([seen.connected, seen.refused], [false, code]);

  seen.socket.auth = { token: setting("TOKEN") };
  seen.socket.connect();
  await until(`${namespace} to connect with a good token`, () => seen.connected);
}

/** What the customer connects with. */
const auth = () => ({ token: setting("TOKEN") });

const checks = {
  polling: () => journeyOver("polling", { auth: auth() }),

  websocket: () => journeyOver("websocket", { auth: auth() }),

  async default() {
    const manager = connection();
    const { engine } = manager;
    assert.equal(engine.transport.name, "polling", "it begins with polling");
    const both = await join(manager, auth());
    await until("the upgrade to a WebSocket", () => engine.transport.name === "websocket");
    await journey(both);
  },

  async header() {
    const extraHeaders = { Authorization: `Bearer ${setting("TOKEN")}` };
    await journeyOver("polling", { extraHeaders });
    await journeyOver("websocket", { extraHeaders });
  },

  // EXPIRED was a good token, FOREIGN is signed for another audience.
  async refused() {
    const cases = [
      [undefined, "token_missing"],
      [{ token: "garbage" }, "token_invalid"],
      [{ token: setting("EXPIRED") }, "token_expired"],
      [{ token: setting("FOREIGN") }, "token_invalid"],
    ];
    for (const [transport, namespace] of [["polling", "/orders"], ["websocket", "/payment"]]) {
      for (const [auth, code] of cases) {
        await refused(connection({ transports: [transport] }), namespace, auth, code);
      }
    }
  },

  async resume() {
    const before = await connected(connection(), "/orders", auth());
    await order();
    await completed(before);
    const since = numbers(before).at(-1);
    before.socket.disconnect();

    const missed = await order();
    const done = async () => (await call(`/orders/${missed.id}`)).status === "COMPLETED";
    await until("the missed order to be COMPLETED", done);

    const after = await connected(connection(), "/orders", { ...auth(), since });
    await completed(after);
    await sleep(LULL);
    assertOrderEvents(after, missed);
    assert.deepEqual(numbers(after), [since + 1, since + 2, since + 4], "the payment's number is between them");
    assert.deepEqual(after.resyncs, []);
  },

  // A number from other books.
  async resync() {
    const seen = await connected(connection(), "/orders", { ...auth(), since: 1_000_000_000 });
    await until("resync", () => seen.resyncs.length);
    const [[last]] = seen.resyncs;

    const placed = await order();

    await completed(seen);
    await sleep(LULL);
    assertOrderEvents(seen, placed);
    assert.equal(numbers(seen)[0], last + 1);
    assert.deepEqual(seen.resyncs, [[last]]);
  },

  // SHORT is a token that is good for a few seconds more.
  async expiry() {
    for (const seen of await join(connection(), { token: setting("SHORT") })) {
      await until("the server to disconnect", () => seen.ended);
      assert.deepEqual([seen.errors, seen.ended], [[["token_expired"]], "io server disconnect"]);
    }
  },
};

await run(checks, process.argv[2]);
