// A program that calls functions of Everstep by the Resonate SDK for TypeScript: client.mjs URL NAME ACTION ARGUMENT... It prints one JSON
// value: what it gets, or {"error": MESSAGE}. NAME is the id of a call, or of a promise.
import { Resonate } from "./sdk.mjs";

const [url, name, action, ...rest] = process.argv.slice(2);
const resonate = new Resonate({ url, group: "clients" });
const encoded = (value) => ({ data: Buffer.from(JSON.stringify(value)).toString("base64") });
const actions = {
  // Calls a function; ARGUMENT is a timeout in milliseconds, the function, and its arguments as JSON.
  call: (timeout, func, args) =>
    resonate.rpc(name, func, ...JSON.parse(args), resonate.options({ target: "everstep", timeout: Number(timeout) })),
  wait: async () => {
    const handle = await resonate.get(name);
    const result = handle.result();
    console.error("waiting");
    return result;
  },
  resolve: async (json) => (await resonate.promises.resolve(name, encoded(JSON.parse(json)))).state,
  reject: async (why) => (await resonate.promises.reject(name, encoded({ __type: "error", message: why }))).state,
  cancel: async () => (await resonate.promises.cancel(name)).state,
};
const outcome = await actions[action](...rest).catch((error) => ({ error: error.message }));
console.log(JSON.stringify(outcome ?? null));
await resonate.stop();
