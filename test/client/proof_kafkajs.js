// kafkajs against a broker.  test/prilldclients.test tells the modes.
const { Kafka, logLevel, CompressionTypes, ConfigResourceTypes, PartitionAssigners } = require('kafkajs')

const [, , mode, address, topic, group] = process.argv
const kafka = new Kafka({ clientId: 'proof', brokers: [address], logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 50, retries: 10 } })
const say = (...words) => console.log(...words)

async function all() {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 3, replicationFactor: 1,
    configEntries: [{ name: 'retention.ms', value: '3600000' }] }] })
  const partitions = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
  say('created', await partitions())
  let total = 0
  for (const [name, compression] of [['none', CompressionTypes.None], ['gzip', CompressionTypes.GZIP]]) {
    const p = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await p.connect()
    const messages = []
    for (let i = 0; i < 100; i++, total++) {
      messages.push({ key: 'k' + i, value: `value ${total} that repeats and repeats`, headers: { h: 'x' }, partition: i % 3 })
    }
    await p.send({ topic, messages, compression })
    await p.disconnect()
    say('produced', name, 100)
  }
  const c = kafka.consumer({ groupId: topic + '-read', sessionTimeout: 10000 })
  await c.connect()
  await c.subscribe({ topic, fromBeginning: true })
  let n = 0
  let wrong = 0
  const next = [0, 0, 0]
  const ts = [0, 0, 0]
  const values = new Set()
  await new Promise(resolve => c.run({ eachMessage: async ({ partition, message }) => {
    n++
    if (Number(message.offset) !== next[partition]++ || String(message.headers.h) !== 'x') wrong++
    if (message.offset === '20') ts[partition] = Number(message.timestamp)
    values.add(String(message.value))
    if (n === total) resolve()
  } }))
  await c.disconnect()
  say('consumed', n, 'values', values.size, 'wrong', wrong)
  say('end', (await admin.fetchTopicOffsets(topic)).reduce((sum, o) => sum + Number(o.high), 0))
  let ok = true
  for (let i = 0; i < 3; i++) {
    const found = await admin.fetchTopicOffsetsByTimestamp(topic, ts[i])
    ok = ok && found.some(o => o.partition === i && Number(o.offset) <= 20 && Number(o.offset) >= 0)
  }
  say('by time', ok)
  // kafkajs gives the end where there is nothing as late.
  const late = await admin.fetchTopicOffsetsByTimestamp(topic, Date.now() + 1000000)
  const ends = await admin.fetchTopicOffsets(topic)
  say('by late time', late.find(o => o.partition === 0).offset === ends.find(o => o.partition === 0).high)
  await administer(admin, partitions)
  await admin.disconnect()
}

async function administer(admin, partitions) {
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  await admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '7200000' }] }] })
  const described = await admin.describeConfigs({ resources: [resource] })
  say('config', described.resources[0].configEntries.find(e => e.configName === 'retention.ms').configValue)
  await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
  say('partitions', await partitions())
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '5' }] })
  say('start', (await admin.fetchTopicOffsets(topic)).find(o => o.partition === 0).low)
  const groupId = topic + '-g'
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '7' }] })
  const listed = (await admin.listGroups()).groups.some(g => g.groupId === groupId)
  const offsets = await admin.fetchOffsets({ groupId, topics: [topic] })
  say('group', listed, offsets[0].partitions.find(p => p.partition === 0).offset)
  await admin.deleteGroups([groupId])
  say('cluster', (await admin.describeCluster()).brokers.length)
  await admin.createTopics({ topics: [{ topic: topic + '-gone', numPartitions: 1, replicationFactor: 1 }] })
  await admin.deleteTopics({ topics: [topic + '-gone'] })
  say('deleted', !(await admin.listTopics()).includes(topic + '-gone'))
  // kafkajs answers false to a topic that exists.
  say('again', await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }] }))
}

async function member() {
  const c = kafka.consumer({ groupId: group, sessionTimeout: 1500, heartbeatInterval: 200, rebalanceTimeout: 3000, maxWaitTimeInMs: 100,
    partitionAssigners: [PartitionAssigners.roundRobin] })
  c.on(c.events.GROUP_JOIN, e => say('assigned', (e.payload.memberAssignment[topic] || []).sort().join(',')))
  await c.connect()
  await c.subscribe({ topic, fromBeginning: true })
  await c.run({ autoCommitThreshold: 1,
    eachMessage: async ({ partition, message }) => say('got', partition, message.offset) })
  process.stdin.resume()
  process.stdin.on('end', async () => {
    await c.disconnect()
    say('left')
    process.exit(0)
  })
}

async function lost() {
  const p = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await p.connect()
  for (let i = 0; i < 3; i++) await p.send({ topic, messages: [{ value: 'lost ' + i, partition: 0 }] })
  await p.disconnect()
  say('sent', 3)
}

({ all, member, lost })[mode]().catch(e => { say('failed', e.stack); process.exit(1) })
