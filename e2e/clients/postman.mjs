// Prints a Postman collection of the API, made from docs/openapi.json: a journey through the shop with its assertions,
// and every operation to be tried by hand. `make postman` keeps it in docs/postman.json.
import { readFileSync } from "node:fs";
import { journey } from "./postman-journey.mjs";

const openapi = JSON.parse(readFileSync(new URL("../../docs/openapi.json", import.meta.url), "utf8"));

// What is filled in by hand, or by the journey as it goes.
const variables = {
  baseUrl: "http://127.0.0.1:3000",
  password: "Corr3ct-horse",
  adminEmail: "admin@example.com",
  adminPassword: "password",
  email: "",
  token: "",
  refreshToken: "",
  adminToken: "",
  productId: "",
  orderId: "",
  userId: "",
};

// Ids and tokens that an example of a document cannot know.
const known = { ProductId: "{{productId}}", OrderId: "{{orderId}}", UserId: "{{userId}}", refresh_token: "{{refreshToken}}" };

const operations = new Map();
for (const [path, item] of Object.entries(openapi.paths)) {
  for (const [method, operation] of Object.entries(item)) {
    operations.set(operation.operationId, { ...operation, method: method.toUpperCase(), path });
  }
}

const nameOf = (schema) => schema.$ref?.split("/").at(-1);
const resolve = (schema) => (schema.$ref ? openapi.components.schemas[nameOf(schema)] : schema);
const typesOf = (schema) => [schema.type ?? []].flat();

function example(schema, name) {
  const fixed = known[nameOf(schema)] ?? known[name];
  if (fixed) return fixed;
  const { example: given, default: usual, enum: values, oneOf, properties, items, type } = resolve(schema);
  if (given !== undefined) return given;
  if (usual !== undefined) return usual;
  if (values) return values[0];
  if (oneOf) return example(oneOf.find((one) => one.type !== "null"));
  if (properties) return Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, example(value, key)]));
  if (items) return [example(items)];
  if (typesOf({ type }).includes("boolean")) return true;
  if (typesOf({ type }).includes("integer") || typesOf({ type }).includes("number")) return resolve(schema).minimum ?? 1;
  return "";
}

/** A schema as Postman's validator takes it: what it says of the shape. Other rules are the server's to keep. */
function shape(schema) {
  const { type, required, properties, items, oneOf, allOf, enum: values } = resolve(schema);
  const all = (list) => list?.map(shape);
  const each = properties && Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, shape(value)]));
  return JSON.parse(
    JSON.stringify({ type, required, properties: each, items: items && shape(items), oneOf: all(oneOf), allOf: all(allOf), enum: values }),
  );
}

/** What an operation answers with that status. It throws when the document does not say so. */
function documented(operation, status) {
  const response = operation.responses[status];
  if (!response) throw new Error(`${operation.operationId} is not documented to answer ${status}`);
  const [type, content] = Object.entries(response.content ?? {})[0] ?? [];
  return { type, schema: content?.schema && shape(content.schema), codes: Object.keys(content?.examples ?? {}) };
}

const bearer = (token) => ({ type: "bearer", bearer: [{ key: "token", value: `{{${token}}}`, type: "string" }] });
const script = (listen, lines) => ({ listen, script: { type: "text/javascript", exec: lines } });

function request(operation, { token, path = {}, query, headers, body } = {}) {
  const parameters = operation.parameters ?? [];
  const of = (place) => parameters.filter((parameter) => parameter.in === place);
  const optional = (parameter) => ({
    key: parameter.name,
    value: String(parameter.example ?? example(parameter.schema)),
    description: parameter.description,
    disabled: true,
  });
  const fields = query ? Object.entries(query).map(([key, value]) => ({ key, value })) : of("query").map(optional);
  const sent = headers ? Object.entries(headers).map(([key, value]) => ({ key, value })) : of("header").map(optional);
  const schema = operation.requestBody?.content["application/json"].schema;
  const segments = operation.path.split("/").slice(1).map((part) => part.replace(/^\{(.*)\}$/, ":$1"));
  const used = fields.filter((field) => !field.disabled).map(({ key, value }) => `${key}=${value}`);
  return {
    method: operation.method,
    description: [operation.summary, operation.description].filter(Boolean).join("\n\n"),
    auth: operation.security && token !== null ? bearer(token ?? "token") : { type: "noauth" },
    header: [...(schema ? [{ key: "Content-Type", value: "application/json" }] : []), ...sent],
    ...(schema && { body: { mode: "raw", raw: JSON.stringify(body ?? example(schema), null, 2), options: { raw: { language: "json" } } } }),
    url: {
      raw: `{{baseUrl}}/${segments.join("/")}${used.length ? `?${used.join("&")}` : ""}`,
      host: ["{{baseUrl}}"],
      path: segments,
      ...(fields.length && { query: fields }),
      ...(of("path").length && {
        variable: of("path").map(({ name, schema }) => ({ key: name, value: path[name] ?? example(schema) })),
      }),
    },
  };
}

/** A step of the journey: an operation, and what is expected of it. */
function step({ name, operation: id, status, code, before, after = [], ...sent }) {
  const operation = operations.get(id);
  const { type, schema, codes } = documented(operation, status);
  if (code && !codes.includes(code)) throw new Error(`${id} is not documented to answer ${code}`);
  const lines = [
    `pm.test("${status} is the answer", () => pm.response.to.have.status(${status}));`,
    `pm.test("the request can be found in the logs", () => pm.expect(pm.response.headers.get("X-Request-Id")).to.be.a("string"));`,
  ];
  if (type) lines.push(`pm.test("it is ${type}", () => pm.expect(pm.response.headers.get("Content-Type")).to.include("${type}"));`);
  if (schema) lines.push(`pm.test("it has its shape", () => pm.response.to.have.jsonSchema(${JSON.stringify(schema)}));`);
  if (code) lines.push(`pm.test("the code is ${code}", () => pm.expect(pm.response.json().code).to.equal("${code}"));`);
  const events = [...(before ? [script("prerequest", before)] : []), script("test", [...lines, ...after])];
  return { name, event: events, request: request(operation, sent) };
}

const folders = openapi.tags.map(({ name, description }) => ({
  name,
  description,
  item: [...operations.values()]
    .filter((operation) => operation.tags[0] === name)
    .map((operation) => ({ name: `${operation.method} ${operation.path}`, request: request(operation) })),
}));

const collection = {
  info: {
    name: openapi.info.title,
    description: "Made from docs/openapi.json by `make postman`. Run the folder Journey, or set the variables and try operations by hand.",
    schema: "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
  },
  variable: Object.entries(variables).map(([key, value]) => ({ key, value })),
  item: [
    { name: "Journey", description: "A customer and an admin, from the registration to the refund.", item: journey.map(step) },
    ...folders,
  ],
};

console.log(JSON.stringify(collection, null, 2));
