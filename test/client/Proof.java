// Proof.java: Kafka's own client, 3.x and 4.x, against a broker.  test/prilldclients.test tells the modes.
import java.time.Duration;
import java.util.*;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.*;

public class Proof {
  static String address;

  static Properties props(String... nameValue) {
    Properties p = new Properties();
    p.put("bootstrap.servers", address);
    p.put("reconnect.backoff.ms", "20");
    for (int i = 0; i < nameValue.length; i += 2) p.put(nameValue[i], nameValue[i + 1]);
    return p;
  }
  static KafkaProducer<String, String> producer(String... nameValue) {
    return new KafkaProducer<>(props(nameValue), new StringSerializer(), new StringSerializer());
  }
  static KafkaConsumer<String, String> consumer(String... nameValue) {
    return new KafkaConsumer<>(props(nameValue), new StringDeserializer(), new StringDeserializer());
  }
  static void say(Object... words) {
    System.out.println(Arrays.stream(words).map(String::valueOf).collect(Collectors.joining(" ")));
    System.out.flush();
  }
  static String list(Collection<TopicPartition> c) {
    return c.stream().map(TopicPartition::partition).sorted().map(String::valueOf).collect(Collectors.joining(","));
  }

  static void all(String topic) throws Exception {
    Admin admin = Admin.create(props());
    NewTopic nt = new NewTopic(topic, Optional.of(3), Optional.empty());
    nt.configs(Map.of("retention.ms", "3600000"));
    admin.createTopics(List.of(nt)).all().get();
    say("created", admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size());
    int total = 0;
    for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
      try (KafkaProducer<String, String> p = producer("compression.type", codec, "linger.ms", "20")) {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int i = 0; i < 100; i++, total++) {
          sent.add(p.send(new ProducerRecord<>(topic, i % 3, "k" + i, "value " + total + " that repeats and repeats",
              List.of(new RecordHeader("h", ("x" + i).getBytes())))));
        }
        for (Future<RecordMetadata> f : sent) f.get();
      }
      say("produced", codec, 100);
    }
    List<TopicPartition> tps = new ArrayList<>();
    for (int i = 0; i < 3; i++) tps.add(new TopicPartition(topic, i));
    try (KafkaConsumer<String, String> c = consumer("enable.auto.commit", "false")) {
      c.assign(tps);
      c.seekToBeginning(tps);
      int n = 0, wrong = 0;
      long[] next = new long[3], ts = new long[3];
      Set<String> values = new HashSet<>();
      for (int i = 0; i < 100 && n < total; i++) {
        for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(200))) {
          n++;
          if (r.offset() != next[r.partition()]++) wrong++;
          if (r.headers().lastHeader("h") == null) wrong++;
          if (r.offset() == 50) ts[r.partition()] = r.timestamp();
          values.add(r.value());
        }
      }
      say("consumed", n, "values", values.size(), "wrong", wrong);
      long end = 0;
      for (long o : c.endOffsets(tps).values()) end += o;
      say("end", end);
      Map<TopicPartition, Long> at = new HashMap<>();
      for (int i = 0; i < 3; i++) at.put(tps.get(i), ts[i]);
      boolean ok = true;
      for (Map.Entry<TopicPartition, OffsetAndTimestamp> e : c.offsetsForTimes(at).entrySet()) {
        long want = at.get(e.getKey());
        c.seek(e.getKey(), e.getValue().offset());
        ok &= e.getValue().timestamp() >= want && e.getValue().offset() <= 50;
      }
      say("by time", ok);
      Map<TopicPartition, Long> late = new HashMap<>();
      late.put(tps.get(0), System.currentTimeMillis() + 1000000);
      say("by late time", c.offsetsForTimes(late).get(tps.get(0)) == null);
    }
    admin(admin, topic, tps.get(0));
    admin.close();
  }

  static void admin(Admin admin, String topic, TopicPartition tp) throws Exception {
    ConfigResource res = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    admin.incrementalAlterConfigs(Map.of(res, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "7200000"),
        AlterConfigOp.OpType.SET)))).all().get();
    say("config", admin.describeConfigs(List.of(res)).all().get().get(res).get("retention.ms").value());
    admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
    say("partitions", admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size());
    say("start", admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(5))).lowWatermarks().get(tp).get()
        .lowWatermark());
    try (KafkaConsumer<String, String> c = consumer("group.id", topic + "-g", "enable.auto.commit", "false")) {
      c.assign(List.of(tp));
      c.commitSync(Map.of(tp, new OffsetAndMetadata(7, "note")));
    }
    boolean listed = admin.listConsumerGroups().all().get().stream().anyMatch(g -> g.groupId().equals(topic + "-g"));
    say("group", listed,
        admin.listConsumerGroupOffsets(topic + "-g").partitionsToOffsetAndMetadata().get().get(tp).offset());
    admin.deleteConsumerGroups(List.of(topic + "-g")).all().get();
    say("cluster", admin.describeCluster().nodes().get().size());
    NewTopic gone = new NewTopic(topic + "-gone", 1, (short) 1);
    admin.createTopics(List.of(gone)).all().get();
    admin.deleteTopics(List.of(topic + "-gone")).all().get();
    say("deleted", !admin.listTopics().names().get().contains(topic + "-gone"));
    String again = "no";
    try {
      admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
    } catch (java.util.concurrent.ExecutionException e) {
      again = e.getCause().getClass().getSimpleName();
    }
    say("again", again);
  }

  // A member of a group: says what it is assigned and given, and commits, until its input ends.
  static void member(String topic, String group, String assignor) throws Exception {
    AtomicBoolean stop = new AtomicBoolean();
    Thread t = new Thread(() -> {
      try { while (System.in.read() >= 0) { } } catch (java.io.IOException e) { }
      stop.set(true);
    });
    t.setDaemon(true);
    t.start();
    String cls = "org.apache.kafka.clients.consumer."
        + (assignor.equals("range") ? "RangeAssignor" : "CooperativeStickyAssignor");
    try (KafkaConsumer<String, String> c = consumer("group.id", group, "enable.auto.commit", "false", "auto.offset.reset",
        "earliest", "session.timeout.ms", "1500", "heartbeat.interval.ms", "200", "partition.assignment.strategy", cls)) {
      String[] last = {""};
      c.subscribe(List.of(topic));
      while (!stop.get()) {
        ConsumerRecords<String, String> rs = c.poll(Duration.ofMillis(100));
        for (ConsumerRecord<String, String> r : rs) say("got", r.partition(), r.offset());
        if (!rs.isEmpty()) {
          try { c.commitSync(); } catch (CommitFailedException | RebalanceInProgressException e) { }
        }
        String now = list(c.assignment());
        if (!now.equals(last[0])) say("assigned", last[0] = now);
      }
    }
    say("left");
  }
  // One record, whose answer is lost on the way.
  static void lost(String topic) throws Exception {
    try (KafkaProducer<String, String> p = producer("linger.ms", "0", "request.timeout.ms", "5000")) {
      for (int i = 0; i < 3; i++) p.send(new ProducerRecord<>(topic, 0, "k", "lost " + i)).get(30, TimeUnit.SECONDS);
    }
    say("sent", 3);
  }

  public static void main(String[] a) throws Exception {
    address = a[1];
    switch (a[0]) {
      case "all": all(a[2]); break;
      case "member": member(a[2], a[3], a[4]); break;
      case "lost": lost(a[2]); break;
      default: throw new IllegalArgumentException(a[0]);
    }
    System.exit(0);
  }
}
