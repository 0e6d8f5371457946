// Runs the journey of a Postman collection against the shop at SHOP: `node newman.mjs docs/postman.json`.
import { readFileSync } from "node:fs";
import newman from "newman";

const collection = JSON.parse(readFileSync(process.argv[2], "utf8"));
const steps = collection.item.find(({ name }) => name === "Journey").item.length;
const options = { collection, folder: "Journey", envVar: [{ key: "baseUrl", value: process.env.SHOP }], reporters: "cli", color: "off" };
newman.run(options, (error, summary) => {
  if (error) throw error;
  const { executions, failures } = summary.run;
  // What is not reached does not fail.
  const reached = new Set(executions.map(({ item }) => item.name)).size;
  if (failures.length > 0 || reached < steps) process.exit(1);
});
