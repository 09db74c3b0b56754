// A worker of the Resonate SDK for TypeScript: worker.mjs URL GROUP NOTES [WITNESS]. Each local step writes a line into the file NOTES;
// WITNESS is where the functions of Everstep leave theirs.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { Resonate } from "./sdk.mjs";

const [url, group, notes, witness] = process.argv.slice(2);
const resonate = new Resonate({ url, group, ttl: 2000 });
const note = (text) => appendFileSync(notes, `${text}\n`);

resonate.register("double", function* (ctx, n) {
  yield* ctx.sleep(50);
  return 2 * (yield* ctx.run(async () => (note(`double ${n}`), n)));
});

resonate.register("order", function* (ctx, n) {
  const more = yield* ctx.run(async () => (note(`more ${n}`), n + 1));
  yield* ctx.sleep(100);
  const twice = yield* ctx.rpc("double", more, ctx.options({ target: "poll://any@other" }));
  yield* ctx.detached("aside", n, ctx.options({ target: "poll://any@typescript" }));
  const answer = yield* yield* ctx.promise();
  return [more, twice, answer];
});

// Calls the worker in Rust.
resonate.register("mixed", function* (ctx, n) {
  return 1 + (yield* ctx.rpc("rust_half", n, ctx.options({ target: "poll://any@rust" })));
});

resonate.register("aside", function* (ctx, n) {
  yield* ctx.run(async () => note(`aside ${n}`));
});

resonate.register("tick", function* (ctx) {
  yield* ctx.run(async () => note("tick"));
});

// The first one that runs it stays in its step for ever.
resonate.register("stuck", function* (ctx) {
  const seen = existsSync(notes) && readFileSync(notes, "utf8").split("\n").includes("wait");
  yield* ctx.run(async () => note("wait"));
  if (!seen) yield* ctx.run(() => new Promise(() => setInterval(() => {}, 1000)));
  return "free";
});

// What follows is called by functions of Everstep, or calls them in the group everstep.
const everstep = (ctx) => ctx.options({ target: "poll://any@everstep" });

resonate.register("charge", function* (ctx, card, cents) {
  return yield* ctx.run(async () => (note(`charge ${card}`), { card, cents }));
});

resonate.register("silent", function* () {});

resonate.register("decline", function* (ctx, why) {
  yield* ctx.run(async () => note("decline"));
  throw new RangeError(why);
});

// Waits in the middle until somebody settles its promise.
resonate.register("slow", function* (ctx, n) {
  yield* ctx.run(async () => note(`slow ${n}`));
  const answer = yield* yield* ctx.promise();
  yield* ctx.run(async () => note(`quick ${n}`));
  return [n, answer];
});

resonate.register("asks-everstep", function* (ctx, n, text) {
  const nothing = yield* ctx.rpc("nothing", everstep(ctx));
  const tripled = yield* ctx.rpc("triple", n, everstep(ctx));
  const noted = yield* ctx.rpc("noted", text, witness, everstep(ctx));
  yield* ctx.detached("noted", `${text}-aside`, witness, everstep(ctx));
  return [nothing, tripled, noted];
});

resonate.register("pardons-everstep", function* (ctx, why) {
  try {
    return yield* ctx.rpc("refuse", why, everstep(ctx));
  } catch (error) {
    return [error instanceof Error, error.message];
  }
});

// Another worker may go on with it while the function of Everstep waits.
resonate.register("waits-for-everstep", function* (ctx, name) {
  yield* ctx.run(async () => note(`before ${name}`));
  try {
    const value = yield* ctx.rpc("waits", name, witness, everstep(ctx));
    yield* ctx.run(async () => note(`after ${name}`));
    return value;
  } catch (error) {
    return error.message;
  }
});
