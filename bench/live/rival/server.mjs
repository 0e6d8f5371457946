// The rival: the shop's live status as one writes it with socket.io, tuned as its documentation says.
import { createServer } from "node:http";
import { createClient } from "@redis/client";
import jwt from "jsonwebtoken";
import { Server } from "socket.io";

const { JWT_SECRET, REDIS_URL, CHANNEL, PORT = "0" } = process.env;
for (const [name, value] of Object.entries({ JWT_SECRET, REDIS_URL, CHANNEL })) {
  if (!value) throw new Error(`${name} is not set`);
}

const http = createServer();
const io = new Server(http, { serveClient: false, perMessageDeflate: false, httpCompression: false });
// https://socket.io/docs/v4/memory-usage/: the first request of each client need not be kept.
io.engine.on("connection", (socket) => {
  socket.request = null;
});

const orders = io.of("/orders");
orders.use((socket, next) => {
  const checks = { algorithms: ["HS256"], issuer: "shop", audience: "shop" };
  jwt.verify(socket.handshake.auth.token, JWT_SECRET, checks, (error, claims) => {
    if (error) return next(new Error("the token is not valid"));
    socket.join(claims.sub);
    next();
  });
});

const redis = createClient({ url: REDIS_URL });
redis.on("error", (error) => console.error(error));
await redis.connect();
await redis.subscribe(CHANNEL, (message) => {
  const { user, seq, data } = JSON.parse(message);
  orders.to(user).emit("status", data, seq);
});

http.listen(Number(PORT), "127.0.0.1", () => {
  console.log(JSON.stringify({ message: "rival listens", port: http.address().port }));
});

process.on("SIGTERM", () => {
  redis.destroy();
  io.close(() => process.exit(0));
});
