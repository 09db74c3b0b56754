// The functions of the comparison, as a service of Restate. Its one argument is the port.
import { appendFileSync } from 'node:fs'

// The SDK asks for it, and Node has it from version 22 on.
Promise.withResolvers ??= function () {
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}
const restate = await import('@restatedev/restate-sdk')

const work = restate.service({
  name: 'work',
  handlers: {
    steps: async (ctx, times) => {
      let sum = 0
      for (let number = 0; number < times; number++) sum += await ctx.run('number', () => number)
      return sum
    },
    witnessed: async (ctx, { times, file }) => {
      for (let number = 0; number < times; number++) {
        await ctx.run('number', () => {
          appendFileSync(file, `${BigInt(Date.now()) * 1000000n}\n`)
          return number
        })
      }
      return times
    },
  },
})
await restate.serve({ services: [work], port: Number(process.argv[2]) })
