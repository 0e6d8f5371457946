// What both runners need of the shop, and how they end.

/** A setting of the environment; without it there is nothing to check. */
export function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

/** Asks the shop over HTTP, and gives the parsed answer; anything but a 2xx is an error. */
export async function call(path, { shop = setting("SHOP"), token = setting("TOKEN"), body, method } = {}) {
  const answer = await fetch(`${shop}${path}`, {
    method: method ?? (body ? "POST" : "GET"),
    headers: { authorization: `Bearer ${token}`, ...(body && { "content-type": "application/json" }) },
    body: body && JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path} is answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

/** Orders one piece of PRODUCT, which the gateway will charge. */
export const order = (options = {}) =>
  call("/orders", {
    ...options,
    body: { items: [{ productId: setting("PRODUCT"), quantity: 1 }], paymentMethod: "pm_sim_success" },
  });

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let waiting = "nothing";

/** Waits until the condition gives something, and gives that. */
export async function until(what, condition) {
  waiting = what;
  for (;;) {
    const found = await condition();
    if (found) return found;
    await sleep(20);
  }
}

/**
 * Runs the check of that name, takes the steps that undo what it did, the last first, and ends the process:
 * with 0 and a line, or with 1 and the reason.
 */
export async function run(checks, name, { seconds = 25, undo = [] } = {}) {
  const broken = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`after ${seconds} s still waiting for ${waiting}`)), seconds * 1000);
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => reject(new Error(signal)));
  });
  const check = async () => {
    if (!Object.hasOwn(checks, name)) throw new Error(`there is no check "${name}": ${Object.keys(checks).join(", ")}`);
    return checks[name]();
  };
  let failed = true;
  try {
    await Promise.race([check(), broken]);
    console.log(`${name}: good`);
    failed = false;
  } catch (error) {
    console.error(`${name}: ${error.stack ?? error}${error.cause ? `\n${error.cause}` : ""}`);
  }
  setTimeout(() => process.exit(1), 10_000);
  for (const step of undo.reverse()) {
    await Promise.resolve().then(step).catch((error) => console.error(`${name}: ${error}`));
  }
  process.exit(failed ? 1 : 0);
}
