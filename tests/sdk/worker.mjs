// A worker of the Resonate SDK for TypeScript: worker.mjs URL GROUP NOTES. Each local step writes a line into the file NOTES.
import { appendFileSync, existsSync, readFileSync } from "node:fs";

// Node 20 has none.
Promise.withResolvers ??= () => {
  let resolve, reject;
  const promise = new Promise((yes, no) => ([resolve, reject] = [yes, no]));
  return { promise, resolve, reject };
};
const { Resonate } = await import("@resonatehq/sdk");
const [url, group, notes] = process.argv.slice(2);
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
