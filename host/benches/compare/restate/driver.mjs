// Does what it reads, a line each, through the ingress that its one argument names, and answers each with a line of JSON.
import { createInterface } from 'node:readline'
import { connect } from '@restatedev/restate-sdk-clients'

const ingress = connect({ url: process.argv[2] })
const work = ingress.serviceClient({ name: 'work' })

async function timed(what) {
  const started = performance.now()
  await what()
  return (performance.now() - started) / 1e3
}

const commands = {
  steps: (times) => timed(() => work.steps(times)),
  one: async (times) => {
    const took = []
    for (let number = 0; number < times; number++) took.push(await timed(() => work.steps(1)))
    return took
  },
  wide: (width, times) =>
    timed(() =>
      Promise.all(
        Array.from({ length: width }, async () => {
          for (let number = 0; number < times / width; number++) await work.steps(1)
        }),
      ),
    ),
  // The server takes it up again by itself.
  witnessed: async (id, times, file) => {
    const client = ingress.serviceSendClient({ name: 'work' })
    await client.witnessed({ times, file })
    return 0
  },
  resume: async () => 0,
}

console.log('"ready"')
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line)
  console.log(JSON.stringify(await commands[name](...args)))
}
process.exit(0)
