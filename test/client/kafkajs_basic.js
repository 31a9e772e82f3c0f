// kafkajs_basic.js ADDRESS: produce with and without idempotence, and compressed;
// the topic's offsets.  Prints one line a step.
const { Kafka, logLevel, CompressionTypes } = require('kafkajs')

async function main() {
  const kafka = new Kafka({ brokers: [process.argv[2]], logLevel: logLevel.NOTHING, retry: { retries: 3 } })
  for (const idempotent of [false, true]) {
    const p = kafka.producer({ idempotent })
    await p.connect()
    const messages = []
    for (let i = 0; i < 100; i++) messages.push({ key: 'k' + i, value: 'value ' + i, headers: { h: 'x' } })
    for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
      const [r] = await p.send({ topic: 'js', messages, compression })
      console.log('produced', idempotent, compression, r.errorCode, r.baseOffset)
    }
    await p.disconnect()
  }
  const admin = kafka.admin()
  await admin.connect()
  console.log('offsets', JSON.stringify(await admin.fetchTopicOffsets('js')))
  await admin.disconnect()
}

main().catch(e => { console.log('failed', e.message); process.exit(1) })
