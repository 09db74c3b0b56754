// Orders something: order.mjs URL ID ORDER, where ID is that of the order, and its idempotency key. Prints a receipt.
import "./node20.mjs";
import { Resonate } from "@resonatehq/sdk";

const [url, id, order] = process.argv.slice(2);
const resonate = new Resonate({ url, group: "customers" });
try {
  console.log(await resonate.rpc(id, "checkout", JSON.parse(order), resonate.options({ target: "shop" })));
} catch (error) {
  console.log(`no receipt: ${error.message}`);
}
await resonate.stop();
