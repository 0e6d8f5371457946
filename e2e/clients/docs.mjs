// The page at /docs in Chromium, as a newcomer uses it: log in, order, see the status.
//
// SHOP is the address of an api, EMAIL and PASSWORD a customer's, PRODUCT the id of something that is in stock.
import assert from "node:assert/strict";
import { launch } from "./browser.mjs";
import { run, setting, until } from "./shop.mjs";

/** Runs an operation on the page, and gives the status and the body of the answer that it shows. */
async function execute(tab, operation, { body, parameters = {} } = {}) {
  const block = tab.locator(`[id="operations-${operation}"]`);
  if (!(await block.getAttribute("class")).includes("is-open")) {
    await block.locator(".opblock-summary-control").click();
  }
  if (body) {
    await block.locator("textarea.body-param__text").fill(JSON.stringify(body));
  }
  for (const [name, value] of Object.entries(parameters)) {
    await block.locator(`tr[data-param-name="${name}"] input`).fill(value);
  }
  const answered = tab.waitForResponse((answer) => !answer.url().includes("/docs/"));
  await block.locator("button.execute").click();
  await answered;
  const shown = block.locator(".live-responses-table .response");
  await until(`the answer of ${operation}`, async () => /^\d{3}/.test(await shown.locator(".response-col_status").innerText()));
  const text = await shown.locator(".highlight-code code").first().innerText();
  return { status: Number.parseInt(await shown.locator(".response-col_status").innerText(), 10), body: JSON.parse(text) };
}

const undo = [];

async function docs() {
  const browser = await launch();
  undo.push(() => browser.close());
  const tab = await browser.newPage();
  const [wrong, elsewhere] = [[], []];
  tab.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  tab.on("pageerror", (error) => wrong.push(String(error)));
  tab.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== "data:" && origin !== setting("SHOP")) elsewhere.push(request.url());
  });
  await tab.goto(`${setting("SHOP")}/docs`);

  const login = await execute(tab, "auth-login", { body: { email: setting("EMAIL"), password: setting("PASSWORD") } });
  assert.equal(login.status, 200);
  await tab.locator("button.authorize").first().click();
  await tab.locator(".auth-container input").fill(login.body.access_token);
  await tab.locator(".auth-btn-wrapper button.authorize").click();
  await tab.locator("button.btn-done").click();

  const items = [{ productId: setting("PRODUCT"), quantity: 1 }];
  const placed = await execute(tab, "orders-placeOrder", { body: { items, paymentMethod: "pm_sim_success" } });
  assert.equal(placed.status, 201);
  await until("the page to show that the order is paid", async () => {
    const { body } = await execute(tab, "orders-showOrder", { parameters: { id: placed.body.id } });
    assert.equal(body.id, placed.body.id);
    return body.status === "COMPLETED";
  });

  assert.deepEqual(wrong, []);
  assert.deepEqual(elsewhere, [], "the page loads something from elsewhere");
}

await run({ docs }, "docs", { undo });
