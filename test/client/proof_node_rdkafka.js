// node-rdkafka against a broker.  test/prilldclients.test tells the modes.
const Kafka = require('node-rdkafka')

const [, , mode, address, topic, group] = process.argv
const say = (...words) => console.log(...words)
const call = (o, f, ...args) => new Promise((resolve, reject) => o[f](...args, (e, r) => e ? reject(e) : resolve(r)))

function connected(client) {
  return new Promise((resolve, reject) => {
    client.on('ready', resolve)
    client.connect({}, e => { if (e) reject(e) })
  })
}

// Produce and wait for every report.
async function produce(config, records) {
  const p = new Kafka.Producer({ 'bootstrap.servers': address, 'enable.idempotence': true, dr_cb: true, ...config })
  await connected(p)
  p.setPollInterval(10)
  let n = 0
  const done = new Promise((resolve, reject) => p.on('delivery-report', e => {
    if (e) reject(e)
    if (++n === records.length) resolve()
  }))
  for (const r of records) p.produce(topic, r.partition, Buffer.from(r.value), r.key, null, null, r.headers)
  await done
  await call(p, 'flush', 10000)
  await call(p, 'disconnect')
}

async function all() {
  const admin = Kafka.AdminClient.create({ 'bootstrap.servers': address })
  await call(admin, 'createTopic', { topic, num_partitions: 3, replication_factor: 1, config: { 'retention.ms': '3600000' } })
  const c = new Kafka.KafkaConsumer({ 'bootstrap.servers': address, 'group.id': topic + '-g', 'enable.auto.commit': false }, {})
  await connected(c)
  const partitions = async name => {
    const m = await call(c, 'getMetadata', { topic: name, timeout: 10000 })
    return m.topics.find(t => t.name === name).partitions.length
  }
  say('created', await partitions(topic))
  let total = 0
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    const records = []
    for (let i = 0; i < 100; i++, total++) {
      records.push({ partition: i % 3, key: 'k' + i, value: `value ${total} that repeats and repeats`, headers: [{ h: 'x' }] })
    }
    await produce({ 'compression.codec': codec, 'linger.ms': 20 }, records)
    say('produced', codec, 100)
  }
  c.assign([0, 1, 2].map(partition => ({ topic, partition, offset: 0 })))
  let n = 0
  let wrong = 0
  const next = [0, 0, 0]
  const ts = [0, 0, 0]
  const values = new Set()
  while (n < total) {
    for (const m of await call(c, 'consume', 100)) {
      n++
      if (m.offset !== next[m.partition]++ || String(m.headers[0].h) !== 'x') wrong++
      if (m.offset === 50) ts[m.partition] = m.timestamp
      values.add(String(m.value))
    }
  }
  say('consumed', n, 'values', values.size, 'wrong', wrong)
  let end = 0
  for (let i = 0; i < 3; i++) end += (await call(c, 'queryWatermarkOffsets', topic, i, 10000)).highOffset
  say('end', end)
  const found = await call(c, 'offsetsForTimes', [0, 1, 2].map(i => ({ topic, partition: i, offset: ts[i] })), 10000)
  say('by time', found.every(o => o.offset >= 0 && o.offset <= 50))
  const late = await call(c, 'offsetsForTimes', [{ topic, partition: 0, offset: Date.now() + 1000000 }], 10000)
  // node-rdkafka shows librdkafka's "end" as null or -1.
  say('by late time', !(late[0].offset >= 0))
  await call(admin, 'createPartitions', topic, 4)
  say('partitions', await partitions(topic))
  c.commitSync([{ topic, partition: 0, offset: 7 }])
  const committed = await call(c, 'committed', [{ topic, partition: 0 }], 10000)
  say('group', committed[0].offset)
  await call(admin, 'createTopic', { topic: topic + '-gone', num_partitions: 1, replication_factor: 1 })
  await call(admin, 'deleteTopic', topic + '-gone')
  const names = (await call(c, 'getMetadata', { timeout: 10000 })).topics.map(t => t.name)
  say('deleted', !names.includes(topic + '-gone'))
  await call(admin, 'createTopic', { topic, num_partitions: 1, replication_factor: 1 })
    .catch(e => say('again', e.code))
  await call(c, 'disconnect')
  admin.disconnect()
}

async function member() {
  const c = new Kafka.KafkaConsumer({ 'bootstrap.servers': address, 'group.id': group, 'enable.auto.commit': false,
    'session.timeout.ms': 1500, 'heartbeat.interval.ms': 200, rebalance_cb: true }, { 'auto.offset.reset': 'earliest' })
  await connected(c)
  let stop = false
  c.on('rebalance', () => setImmediate(() => {
    if (!stop) say('assigned', c.assignments().map(a => a.partition).sort().join(','))
  }))
  c.on('rebalance.error', () => {})
  c.setDefaultConsumeTimeout(100)
  c.subscribe([topic])
  process.stdin.resume()
  process.stdin.on('end', () => { stop = true })
  while (!stop) {
    for (const m of await call(c, 'consume', 10)) {
      say('got', m.partition, m.offset)
      try { c.commitMessageSync(m) } catch (e) { }
    }
  }
  await call(c, 'disconnect')
  say('left')
  process.exit(0)
}

async function lost() {
  for (let i = 0; i < 3; i++) await produce({ 'linger.ms': 0 }, [{ partition: 0, value: 'lost ' + i }])
  say('sent', 3)
}

({ all, member, lost })[mode]().catch(e => { say('failed', e.stack || e); process.exit(1) })
