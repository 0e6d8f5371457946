// The rival: jobs that do nothing, with BullMQ.
//   node bull.mjs fill JOBS          puts so many jobs into an empty queue
//   node bull.mjs drain CONCURRENCY  does jobs until there are none, and says how many it did, and from when to when (ms)
import { Queue, Worker } from "bullmq";

const { REDIS_URL, PREFIX } = process.env;
for (const [name, value] of Object.entries({ REDIS_URL, PREFIX })) {
  if (!value) throw new Error(`${name} is not set`);
}
const [command, count] = process.argv.slice(2);
const options = { prefix: PREFIX, connection: { url: REDIS_URL, maxRetriesPerRequest: null } };
const NAME = "work";
const CHUNK = 1000;

async function fill(jobs) {
  const queue = new Queue(NAME, options);
  await queue.obliterate({ force: true });
  for (let done = 0; done < jobs; done += CHUNK) {
    const size = Math.min(CHUNK, jobs - done);
    await queue.addBulk(Array.from({ length: size }, (_, n) => ({ name: "charge", data: { payment: done + n } })));
  }
  await queue.close();
}

async function drain(concurrency) {
  // What is done is forgotten at once: that is the fastest.
  const finished = { removeOnComplete: { count: 0 } };
  const worker = new Worker(NAME, async () => {}, { ...options, ...finished, concurrency, autorun: false });
  await worker.waitUntilReady();
  let jobs = 0;
  let last = 0;
  worker.on("completed", () => {
    jobs += 1;
    last = Date.now();
  });
  const drained = new Promise((resolve) => worker.once("drained", resolve));
  const first = Date.now();
  worker.run();
  await drained;
  await worker.close();
  console.log(JSON.stringify({ jobs, first, last }));
}

if (command === "fill") await fill(Number(count));
else if (command === "drain") await drain(Number(count));
else throw new Error("fill JOBS, or drain CONCURRENCY");
