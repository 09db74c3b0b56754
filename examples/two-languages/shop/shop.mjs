// The shop, a worker of the Resonate SDK: shop.mjs URL. What it does is in the file `ledger`.
import "./node20.mjs";
import { Resonate } from "@resonatehq/sdk";
import { appendFileSync } from "node:fs";

const book = { lamp: { cents: 900, left: 40 }, chair: { cents: 4500, left: 6 } };
const note = (text) => appendFileSync("ledger", `${text}\n`);
const resonate = new Resonate({ url: process.argv[2], group: "shop", ttl: 2000 });

// Called by the customer's code.
resonate.register("look-up", function* (ctx, item) {
  yield* ctx.run(async () => note(`looked up ${item}`));
  if (!(item in book)) throw new Error(`there is no ${item} in the shop`);
  return book[item];
});

// Calls the customer's code, and charges a card.
resonate.register("checkout", function* (ctx, order) {
  const cents = yield* ctx.rpc("price", order, ctx.options({ target: "pricing" }));
  yield* ctx.run(async () => note(`${order.card} pays ${cents} cents`));
  return { paid: cents };
});

console.error("the shop is open");
