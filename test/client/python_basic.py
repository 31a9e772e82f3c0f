# python_basic.py ADDRESS kafka-python|confluent: produce with every codec the
# library has and idempotently, consume what was produced, seek by time.
# Prints one line a step.
import sys
import time

address, library = sys.argv[1:3]
N = 200


def kafka_python():
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    total = 0
    for codec in (None, 'gzip'):
        p = KafkaProducer(bootstrap_servers=address, compression_type=codec)
        for i in range(N):
            f = p.send('py', key=b'k%d' % i, value=b'value %d' % i, headers=[('h', b'x')])
        p.flush()
        total += N
        print('produced', codec, f.get(timeout=20).offset + 1)
        p.close()
    c = KafkaConsumer(bootstrap_servers=address)
    tp = TopicPartition('py', 0)
    c.assign([tp])
    c.seek_to_beginning(tp)
    got = []
    end = time.time() + 20
    while len(got) < total and time.time() < end:
        for records in c.poll(500).values():
            got += records
    print('consumed', len(got), [r.offset for r in got] == list(range(total)), got[0].headers)
    print('end', c.end_offsets([tp])[tp], 'by time', c.offsets_for_times({tp: got[5].timestamp})[tp].offset <= 5)
    c.close()


def confluent():
    from confluent_kafka import Consumer, Producer, TopicPartition
    total = 0
    for codec in ('none', 'gzip', 'snappy', 'lz4', 'zstd'):
        p = Producer({'bootstrap.servers': address, 'enable.idempotence': True, 'compression.type': codec})
        for i in range(N):
            p.produce('ck', key='k%d' % i, value='value %d that repeats and repeats' % i)
        total += N
        print('produced', codec, p.flush(20))
    c = Consumer({'bootstrap.servers': address, 'group.id': 'none', 'check.crcs': True, 'enable.auto.commit': False})
    c.assign([TopicPartition('ck', 0, 0)])
    got = []
    end = time.time() + 20
    while len(got) < total and time.time() < end:
        got += [m for m in c.consume(500, 0.5) if not m.error()]
    print('consumed', len(got), [m.offset() for m in got] == list(range(total)))
    print('watermarks', c.get_watermark_offsets(TopicPartition('ck', 0)))
    c.close()


kafka_python() if library == 'kafka-python' else confluent()
