# kafka-python against a broker.  test/prilldclients.test tells the modes.
import os
import select
import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata


def say(*words):
    print(*words, flush=True)


def everything(address, topic):
    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_topics([NewTopic(topic, 3, 1, topic_configs={'retention.ms': '3600000'})])
    say('created', len(admin.describe_topics([topic])[0]['partitions']))
    total = 0
    for codec in (None, 'gzip'):
        p = KafkaProducer(bootstrap_servers=address, compression_type=codec, enable_idempotence=True, linger_ms=20)
        fs = []
        for i in range(100):
            fs.append(p.send(topic, b'value %d that repeats and repeats' % total, b'k%d' % i, [('h', b'x')], i % 3))
            total += 1
        for f in fs:
            f.get(20)
        p.close()
        say('produced', codec or 'none', 100)
    c = KafkaConsumer(bootstrap_servers=address, group_id=topic + '-g', enable_auto_commit=False)
    tps = [TopicPartition(topic, i) for i in range(3)]
    c.assign(tps)
    c.seek_to_beginning(*tps)
    n = wrong = 0
    after, ts, values = [0, 0, 0], [0, 0, 0], set()
    end = time.time() + 20
    while n < total and time.time() < end:
        for records in c.poll(500).values():
            for m in records:
                n += 1
                wrong += m.offset != after[m.partition] or list(m.headers) != [('h', b'x')]
                after[m.partition] += 1
                if m.offset == 20:
                    ts[m.partition] = m.timestamp
                values.add(m.value)
    say('consumed', n, 'values', len(values), 'wrong', wrong)
    say('end', sum(c.end_offsets(tps).values()))
    found = c.offsets_for_times({tps[i]: ts[i] for i in range(3)})
    say('by time', str(all(f.offset <= 20 for f in found.values())).lower())
    late = c.offsets_for_times({tps[0]: int(time.time() * 1000) + 1000000})
    say('by late time', str(late[tps[0]] is None).lower())
    administer(admin, c, topic, tps[0])


def administer(admin, c, topic, tp):
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {'retention.ms': '7200000'})])
    for response in admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]):
        for entry in response.resources[0][4]:
            if entry[0] == 'retention.ms':
                say('config', entry[1])
    admin.create_partitions({topic: NewPartitions(4)})
    say('partitions', len(admin.describe_topics([topic])[0]['partitions']))
    say('start', admin.delete_records({tp: 5})[tp]['low_watermark'])
    c.commit({tp: OffsetAndMetadata(7, 'note', -1)})
    c.close()
    group = topic + '-g'
    listed = group in [g[0] for g in admin.list_consumer_groups()]
    say('group', str(listed).lower(), admin.list_consumer_group_offsets(group)[tp].offset)
    admin.delete_consumer_groups([group])
    say('cluster', len(admin.describe_cluster()['brokers']))
    admin.create_topics([NewTopic(topic + '-gone', 1, 1)])
    admin.delete_topics([topic + '-gone'])
    say('deleted', str(topic + '-gone' not in admin.list_topics()).lower())
    try:
        admin.create_topics([NewTopic(topic, 1, 1)])
    except KafkaError as e:
        say('again', type(e).__name__)


def ended():
    return select.select([sys.stdin], [], [], 0)[0] and not os.read(0, 100)


def member(address, topic, group, assignor):
    c = KafkaConsumer(topic, bootstrap_servers=address, group_id=group, enable_auto_commit=False,
                      auto_offset_reset='earliest', session_timeout_ms=1500, heartbeat_interval_ms=200)
    last = None
    while not ended():
        batch = c.poll(100)
        for records in batch.values():
            for m in records:
                say('got', m.partition, m.offset)
        if batch:
            try:
                c.commit()
            except KafkaError:
                pass
        mine = ','.join(str(p) for p in sorted(p.partition for p in c.assignment()))
        if mine != last:
            say('assigned', mine)
            last = mine
    c.close()
    say('left')


def lost(address, topic):
    p = KafkaProducer(bootstrap_servers=address, enable_idempotence=True)
    for i in range(3):
        p.send(topic, b'lost %d' % i, partition=0).get(30)
    p.close()
    say('sent', 3)


if __name__ == '__main__':
    {'all': everything, 'member': member, 'lost': lost}[sys.argv[1]](*sys.argv[2:])
