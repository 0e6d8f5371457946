// The journey of the Postman collection: which operations are called in which order, and what is expected of each
// besides what the document says. The lines are scripts for Postman's sandbox.

const set = (variable, expression) => `pm.collectionVariables.set("${variable}", ${expression});`;
const test = (name, expression) => `pm.test("${name}", () => ${expression});`;
const tokens = [set("token", "pm.response.json().access_token"), set("refreshToken", "pm.response.json().refresh_token")];

// Ends a wait that has become hopeless: 100 looks, 0.2 s apart.
const again = (name, done) => [
  `const order = pm.response.json();`,
  `const looks = Number(pm.collectionVariables.get("looks") ?? 0) + 1;`,
  `const again = order.status !== "${done}" && looks < 100;`,
  set("looks", "again ? looks : 0"),
  `if (again) {`,
  `  setTimeout(() => {}, 200);`,
  `  pm.execution.setNextRequest("${name}");`,
  `} else {`,
  `  ${test(`the order is ${done}`, `pm.expect(order.status).to.equal("${done}")`)}`,
  `}`,
];
const becomes = (name, status, after = []) => ({
  name,
  operation: "showOrder",
  status: 200,
  path: { id: "{{orderId}}" },
  headers: {},
  after: [...again(name, status), ...after],
});
const stockIs = (name, pieces) => ({
  name,
  operation: "showProduct",
  status: 200,
  path: { id: "{{productId}}" },
  headers: {},
  after: [test(`${pieces} are left`, `pm.expect(pm.response.json().stock).to.equal(${pieces})`)],
});
const order = (name, { quantity, method, ...rest }) => ({
  name,
  operation: "placeOrder",
  headers: {},
  body: { items: [{ productId: "{{productId}}", quantity }], paymentMethod: method },
  ...rest,
});
const placed = [set("orderId", "pm.response.json().id"), test("it is PENDING", `pm.expect(pm.response.json().status).to.equal("PENDING")`)];
const keyed = { quantity: 2, method: "pm_sim_success", status: 201, headers: { "Idempotency-Key": "{{key}}" } };
const edit = (name, tag, rest) => ({
  name,
  operation: "updateProduct",
  token: "adminToken",
  path: { id: "{{productId}}" },
  headers: { "If-Match": tag },
  body: { price: 12.75 },
  ...rest,
});

export const journey = [
  {
    name: "A customer registers",
    operation: "register",
    status: 201,
    before: [set("email", "`ada-${pm.variables.replaceIn(\"{{$guid}}\")}@example.com`")],
    body: { email: "{{email}}", password: "{{password}}", name: "Ada" },
  },
  {
    name: "The customer logs in",
    operation: "login",
    status: 200,
    body: { email: "{{email}}", password: "{{password}}" },
    after: tokens,
  },
  {
    name: "The customer sees the account",
    operation: "me",
    status: 200,
    after: [
      set("userId", "pm.response.json().id"),
      test("it is theirs", `pm.expect(pm.response.json().email).to.equal(pm.collectionVariables.get("email"))`),
    ],
  },
  {
    name: "The admin logs in",
    operation: "login",
    status: 200,
    body: { email: "{{adminEmail}}", password: "{{adminPassword}}" },
    after: [set("adminToken", "pm.response.json().access_token")],
  },
  {
    name: "A customer cannot create a product",
    operation: "createProduct",
    status: 403,
    code: "admin_only",
    body: { name: "Enamel mug", price: 12.5, stock: 10 },
  },
  {
    name: "The admin creates a product",
    operation: "createProduct",
    status: 201,
    token: "adminToken",
    before: [set("word", "`mug${pm.variables.replaceIn(\"{{$randomInt}}\")}x${Date.now()}`")],
    body: { name: "Enamel {{word}}", description: "White, with a blue rim.", price: 12.5, stock: 10 },
    after: [set("productId", "pm.response.json().id")],
  },
  {
    name: "Anybody lists products",
    operation: "listProducts",
    status: 200,
    query: { take: "1" },
    headers: {},
    after: [test("it is one", `pm.expect(pm.response.json().items).to.have.lengthOf(1)`)],
  },
  {
    name: "Anybody finds the product by its name",
    operation: "listProducts",
    status: 200,
    query: { q: "{{word}}", inStock: "true", maxPrice: "12.5" },
    headers: {},
    after: [
      test(
        "it is found, and nothing else",
        `pm.expect(pm.response.json().items.map(({ id }) => id)).to.eql([pm.collectionVariables.get("productId")])`,
      ),
    ],
  },
  {
    name: "Anybody reads the product",
    operation: "showProduct",
    status: 200,
    path: { id: "{{productId}}" },
    headers: {},
    after: [
      test("it has a tag", `pm.expect(pm.response.headers.get("ETag")).to.match(/^".+"$/)`),
      set("etag", `pm.response.headers.get("ETag")`),
    ],
  },
  {
    name: "Nothing is sent again that has not changed",
    operation: "showProduct",
    status: 304,
    path: { id: "{{productId}}" },
    headers: { "If-None-Match": "{{etag}}" },
    after: [test("it has no body", `pm.expect(pm.response.text()).to.equal("")`)],
  },
  edit("The admin edits the product that they have seen", "{{etag}}", {
    status: 200,
    after: [
      test("the price has changed", `pm.expect(pm.response.json().price).to.equal(12.75)`),
      test("the tag has changed", `pm.expect(pm.response.headers.get("ETag")).to.not.equal(pm.collectionVariables.get("etag"))`),
    ],
  }),
  edit("The admin does not edit what somebody else has changed", "{{etag}}", { status: 412, code: "precondition_failed" }),
  order("The customer orders with a key", {
    ...keyed,
    before: [set("key", `pm.variables.replaceIn("{{$guid}}")`)],
    after: [
      ...placed,
      set("answer", "pm.response.text()"),
      test("it is the first answer", `pm.expect(pm.response.headers.has("Idempotency-Replayed")).to.be.false`),
      test("two at 12.75 are 25.50", `pm.expect(pm.response.json().total).to.equal(25.5)`),
    ],
  }),
  order("The same again is the same order", {
    ...keyed,
    after: [
      test("it is the answer of before, byte for byte", `pm.expect(pm.response.text()).to.equal(pm.collectionVariables.get("answer"))`),
      test("it says so", `pm.expect(pm.response.headers.get("Idempotency-Replayed")).to.equal("true")`),
    ],
  }),
  becomes("The order is paid", "COMPLETED"),
  stockIs("Two pieces are sold, not four", 8),
  {
    name: "The order has a timeline",
    operation: "listEvents",
    status: 200,
    path: { id: "{{orderId}}" },
    query: {},
    headers: {},
    after: [
      `const statuses = pm.response.json().items.filter(({ type }) => type === "order.status").map(({ status }) => status);`,
      test("it is that of a paid order", `pm.expect(statuses).to.eql(["PENDING", "PROCESSING", "COMPLETED"])`),
    ],
  },
  {
    name: "The order is in the customer's list",
    operation: "listOrders",
    status: 200,
    query: { status: "COMPLETED" },
    headers: {},
    after: [
      test(
        "and nothing else is",
        `pm.expect(pm.response.json().items.map(({ id }) => id)).to.eql([pm.collectionVariables.get("orderId")])`,
      ),
    ],
  },
  order("More than there is cannot be ordered", {
    quantity: 9,
    method: "pm_sim_success",
    status: 422,
    code: "insufficient_stock",
    after: [test("it says of what", `pm.expect(pm.response.json().productId).to.equal(pm.collectionVariables.get("productId"))`)],
  }),
  {
    name: "An order that has ended cannot be cancelled",
    operation: "cancelOrder",
    status: 409,
    code: "order_already_ended",
    path: { id: "{{orderId}}" },
  },
  {
    name: "The admin refunds the order",
    operation: "refundOrder",
    status: 202,
    token: "adminToken",
    path: { id: "{{orderId}}" },
    body: { restock: true, reason: "arrived broken" },
    after: [test("it has a refund", `pm.expect(pm.response.json().refund.reason).to.equal("arrived broken")`)],
  },
  becomes("The money is back", "REFUNDED"),
  stockIs("The pieces are back", 10),
  order("The customer orders with a card that is declined", {
    quantity: 3,
    method: "pm_sim_decline_card_declined",
    status: 201,
    after: placed,
  }),
  becomes("The order is not paid", "FAILED"),
  stockIs("The pieces of the order that failed are back", 10),
  {
    name: "The session goes on",
    operation: "refresh",
    status: 200,
    body: { refresh_token: "{{refreshToken}}" },
    after: tokens,
  },
  { name: "The customer logs out", operation: "logout", status: 204 },
  { name: "The token is good no more", operation: "me", status: 401, code: "token_revoked" },
];
