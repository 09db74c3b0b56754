// The Resonate SDK for TypeScript, also on Node 20, which lacks what it uses.
Promise.withResolvers ??= () => {
  let resolve, reject;
  const promise = new Promise((yes, no) => ([resolve, reject] = [yes, no]));
  return { promise, resolve, reject };
};

export const { Resonate } = await import("@resonatehq/sdk");
