// The official client against one gateway: node their_client.mjs CLIENT-PACKAGE URL TOKEN; prints what came as JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , folder, url, token] = process.argv;
const entry = createRequire(`${folder}/`).resolve("@openclaw/gateway-client");
const { GatewayClient } = await import(pathToFileURL(entry).href);

const deltas = [];
let hello, ended;
const end = new Promise((resolve) => (ended = resolve));
const ready = new Promise((resolve, reject) => {
  const client = new GatewayClient({
    url, token, clientName: "gateway-client", clientVersion: "1", platform: "linux", mode: "backend",
    role: "operator", scopes: ["operator.read", "operator.write"],
    onHelloOk: (payload) => { hello = payload; resolve(client); },
    onConnectError: reject,
    onEvent: ({ event, payload }) => {
      if (event !== "chat") return;
      if (payload.state === "delta") deltas.push(payload.deltaText);
      else if (["final", "aborted", "error"].includes(payload.state)) ended(payload);
    },
  });
  client.start();
});

const client = await ready;
const health = await client.request("health", {});
await client.request("chat.send", { sessionKey: "agent:main:official", message: "count to 40", idempotencyKey: "official-1" });
const final = await end;
console.log(JSON.stringify({
  protocol: hello.protocol, health: health.ok, state: final.state, deltas: deltas.length, text: deltas.join(""),
  whole: final.message?.content?.map((part) => part.text).join(""),
}));
client.stop();
