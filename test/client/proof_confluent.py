# confluent-kafka against a broker.  test/prilldclients.test tells the modes.
import os
import select
import sys
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   ResourceType)


def say(*words):
    print(*words, flush=True)


def result(futures):
    """The result of a request about one thing."""
    return next(iter(futures.values())).result()


def everything(address, topic):
    admin = AdminClient({'bootstrap.servers': address})
    result(admin.create_topics([NewTopic(topic, 3, config={'retention.ms': '3600000'})]))
    say('created', len(admin.list_topics(topic).topics[topic].partitions))
    total = 0
    for codec in ('none', 'gzip', 'snappy', 'lz4', 'zstd'):
        p = Producer({'bootstrap.servers': address, 'enable.idempotence': True, 'compression.type': codec,
                      'linger.ms': 20})
        errors = []
        for i in range(100):
            p.produce(topic, 'value %d that repeats and repeats' % total, 'k%d' % i, i % 3, headers=[('h', b'x')],
                      on_delivery=lambda e, m: e and errors.append(e))
            total += 1
        say('produced', codec, 100 - p.flush(20) - len(errors))
    c = Consumer({'bootstrap.servers': address, 'group.id': topic + '-g', 'enable.auto.commit': False,
                  'check.crcs': True})
    c.assign([TopicPartition(topic, i, 0) for i in range(3)])
    n = wrong = 0
    after, ts, values = [0, 0, 0], [0, 0, 0], set()
    end = time.time() + 20
    while n < total and time.time() < end:
        m = c.poll(0.5)
        if m is None:
            continue
        n += 1
        wrong += m.offset() != after[m.partition()] or m.headers() != [('h', b'x')]
        after[m.partition()] += 1
        if m.offset() == 50:
            ts[m.partition()] = m.timestamp()[1]
        values.add(m.value())
    say('consumed', n, 'values', len(values), 'wrong', wrong)
    say('end', sum(c.get_watermark_offsets(TopicPartition(topic, i))[1] for i in range(3)))
    found = c.offsets_for_times([TopicPartition(topic, i, ts[i]) for i in range(3)], 10)
    say('by time', str(all(0 <= f.offset <= 50 for f in found)).lower())
    late = c.offsets_for_times([TopicPartition(topic, 0, int(time.time() * 1000) + 1000000)], 10)
    say('by late time', str(late[0].offset == -1).lower())
    administer(admin, c, topic)


def administer(admin, c, topic):
    res = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[
        ConfigEntry('retention.ms', '7200000', incremental_operation=AlterConfigOpType.SET)])
    result(admin.incremental_alter_configs([res]))
    say('config', result(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))['retention.ms'].value)
    result(admin.create_partitions([NewPartitions(topic, 4)]))
    say('partitions', len(admin.list_topics(topic).topics[topic].partitions))
    say('start', result(admin.delete_records([TopicPartition(topic, 0, 5)])).low_watermark)
    c.commit(offsets=[TopicPartition(topic, 0, 7)], asynchronous=False)
    c.close()
    group = topic + '-g'
    listed = group in [g.group_id for g in admin.list_consumer_groups().result().valid]
    off = result(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])).topic_partitions
    say('group', str(listed).lower(), [p.offset for p in off if p.partition == 0][0])
    result(admin.delete_consumer_groups([group]))
    say('cluster', len(admin.describe_cluster().result().nodes))
    result(admin.create_topics([NewTopic(topic + '-gone', 1)]))
    result(admin.delete_topics([topic + '-gone']))
    say('deleted', str(topic + '-gone' not in admin.list_topics().topics).lower())
    try:
        result(admin.create_topics([NewTopic(topic, 1)]))
    except KafkaException as e:
        say('again', e.args[0].name())


def ended():
    return select.select([sys.stdin], [], [], 0)[0] and not os.read(0, 100)


def member(address, topic, group, assignor):
    c = Consumer({'bootstrap.servers': address, 'group.id': group, 'enable.auto.commit': False,
                  'auto.offset.reset': 'earliest', 'session.timeout.ms': 1500, 'heartbeat.interval.ms': 200,
                  'partition.assignment.strategy': 'range' if assignor == 'range' else 'cooperative-sticky'})
    c.subscribe([topic])
    last = None
    while not ended():
        m = c.poll(0.1)
        if m is not None and not m.error():
            say('got', m.partition(), m.offset())
            try:
                c.commit(m, asynchronous=False)
            except KafkaException:
                pass
        mine = ','.join(str(p) for p in sorted(p.partition for p in c.assignment()))
        if mine != last:
            say('assigned', mine)
            last = mine
    c.close()
    say('left')


def lost(address, topic):
    p = Producer({'bootstrap.servers': address, 'enable.idempotence': True, 'linger.ms': 0})
    for i in range(3):
        p.produce(topic, 'lost %d' % i, partition=0)
        p.flush(30)
    say('sent', 3 - len(p))


if __name__ == '__main__':
    {'all': everything, 'member': member, 'lost': lost}[sys.argv[1]](*sys.argv[2:])
