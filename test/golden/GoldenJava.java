/*
** GoldenJava.java: batches and indexes written by Kafka's own Java code.
**
** Every file's bytes come from org.apache.kafka.common.record (the encoder of
** the Java producer and the broker) and org.apache.kafka.storage (the broker's
** index files); what they hold goes to java.txt from this program's own
** tables, never by reading the bytes back.  See README for the format of the
** manifest and how to run this.
**
** The other direction: "check FILE ..." reads batches as Kafka's consumer does
** and fails on the first that it refuses.
*/
import java.io.File;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.zip.CRC32;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.DefaultRecordBatch;
import org.apache.kafka.common.record.EndTransactionMarker;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.ByteBufferOutputStream;
import org.apache.kafka.storage.internals.log.OffsetIndex;
import org.apache.kafka.storage.internals.log.TimeIndex;

public class GoldenJava {
  /* A record of a set. */
  static class R {
    final int delta;
    final long ts;
    final byte[] key, value;
    final Header[] headers;
    R(int delta, long ts, byte[] key, byte[] value, Header... headers){
      this.delta = delta;
      this.ts = ts;
      this.key = key;
      this.value = value;
      this.headers = headers;
    }
  }

  /* How a batch is written. */
  static class Batch {
    CompressionType codec = CompressionType.NONE;
    long base = 0, pid = -1, appendTime = -1, horizon = -1;
    short epoch = -1;
    int seq = -1, leaderEpoch = -1;
    boolean txn = false;
  }

  static final long T0 = 1700000000000L;
  static Path dir;
  static PrintStream manifest;

  static byte[] b(String s){ return s.getBytes(StandardCharsets.UTF_8); }
  static byte[] raw(int... v){
    byte[] a = new byte[v.length];
    for(int i=0; i<v.length; i++) a[i] = (byte)v[i];
    return a;
  }
  static Header h(String name, byte[] value){ return new RecordHeader(name, value); }
  static byte[] fill(int n, int c){
    byte[] a = new byte[n];
    java.util.Arrays.fill(a, (byte)c);
    return a;
  }
  static byte[] noise(int n, long seed){
    byte[] a = new byte[n];
    new Random(seed).nextBytes(a);
    return a;
  }

  /* Bytes in the manifest: - null, x and hex, or n, length and CRC-32. */
  static String show(byte[] a){
    if( a==null ) return "-";
    if( a.length>40 ){
      CRC32 crc = new CRC32();
      crc.update(a);
      return String.format("n%d:%08x", a.length, crc.getValue());
    }
    StringBuilder s = new StringBuilder("x");
    for(byte v : a) s.append(String.format("%02x", v));
    return s.toString();
  }

  static void showSet(String name, List<R> set){
    manifest.printf("set %s%n", name);
    for(R r : set){
      manifest.printf("r %d %d %s %s", r.delta, r.ts, show(r.key), show(r.value));
      for(Header x : r.headers) manifest.printf(" %s %s", show(b(x.key())), show(x.value()));
      manifest.printf("%n");
    }
  }

  static void save(String name, ByteBuffer buf) throws Exception {
    byte[] a = new byte[buf.remaining()];
    buf.duplicate().get(a);
    Files.write(dir.resolve(name), a);
  }

  /* One batch of a set. */
  static void write(String name, String setName, List<R> set, Batch x) throws Exception {
    ByteBufferOutputStream out = new ByteBufferOutputStream(1024);
    MemoryRecordsBuilder m = new MemoryRecordsBuilder(out, RecordBatch.MAGIC_VALUE_V2,
        Compression.of(x.codec).build(),
        x.appendTime>=0 ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME,
        x.base, x.appendTime, x.pid, x.epoch, x.seq, x.txn, false,
        x.leaderEpoch, 1<<30, x.horizon);
    long max = Long.MIN_VALUE;
    int last = 0;
    for(R r : set){
      m.appendWithOffset(x.base+r.delta, r.ts, r.key, r.value, r.headers);
      max = Math.max(max, r.ts);
      last = r.delta;
    }
    save(name, m.build().buffer());
    int attr = x.codec.id | (x.appendTime>=0 ? 8 : 0) | (x.txn ? 16 : 0) | (x.horizon>=0 ? 64 : 0);
    manifest.printf("file %s set=%s baseOffset=%d attributes=%d lastOffsetDelta=%d"
        + " baseTimestamp=%d maxTimestamp=%d producerId=%d producerEpoch=%d"
        + " baseSequence=%d partitionLeaderEpoch=%d count=%d%n",
        name, setName, x.base, attr, last,
        x.horizon>=0 ? x.horizon : set.get(0).ts,
        x.appendTime>=0 ? x.appendTime : max,
        x.pid, x.epoch, x.seq, x.leaderEpoch, set.size());
  }

  static void markers() throws Exception {
    List<R> commit = List.of(new R(0, T0, raw(0,0,0,1), raw(0,0,0,0,0,0)));
    List<R> abort = List.of(new R(0, T0, raw(0,0,0,0), raw(0,0,0,0,0,7)));
    showSet("commit", commit);
    showSet("abort", abort);
    save("java-commit.bin", MemoryRecords.withEndTransactionMarker(100, T0, 3, 4000, (short)0,
        new EndTransactionMarker(ControlRecordType.COMMIT, 0)).buffer());
    save("java-abort.bin", MemoryRecords.withEndTransactionMarker(101, T0, 3, 4000, (short)0,
        new EndTransactionMarker(ControlRecordType.ABORT, 7)).buffer());
    String rest = " attributes=48 lastOffsetDelta=0 baseTimestamp=" + T0 + " maxTimestamp=" + T0
        + " producerId=4000 producerEpoch=0 baseSequence=-1 partitionLeaderEpoch=3 count=1";
    manifest.printf("file java-commit.bin set=commit baseOffset=100%s%n", rest);
    manifest.printf("file java-abort.bin set=abort baseOffset=101%s%n", rest);
  }

  /* What compaction leaves of a producer's last batch. */
  static void emptied() throws Exception {
    ByteBuffer buf = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
    DefaultRecordBatch.writeEmptyHeader(buf, RecordBatch.MAGIC_VALUE_V2, 4000, (short)2, 17,
        500, 509, 4, TimestampType.CREATE_TIME, T0, false, false);
    buf.flip();
    save("java-emptied.bin", buf);
    showSet("empty", new ArrayList<>());
    manifest.printf("file java-emptied.bin set=empty baseOffset=500 attributes=0 lastOffsetDelta=9"
        + " baseTimestamp=-1 maxTimestamp=%d producerId=4000 producerEpoch=2 baseSequence=17"
        + " partitionLeaderEpoch=4 count=0%n", T0);
  }

  /* A segment's two index files; the last time entry is the closing one. */
  static void indexes() throws Exception {
    File f = dir.resolve("java.index").toFile();
    File t = dir.resolve("java.timeindex").toFile();
    f.delete();
    t.delete();
    long base = 1000;
    long[][] e = { {1009,0,T0+50}, {1109,5000,T0+60}, {1209,10000,T0+60}, {1309,15000,T0+90} };
    OffsetIndex index = new OffsetIndex(f, base, 1024);
    TimeIndex time = new TimeIndex(t, base, 1200);
    manifest.printf("index java %d", base);
    for(long[] x : e){
      index.append(x[0], (int)x[1]);
      time.maybeAppend(x[2], x[2]==T0+60 ? 1104 : x[0], false);
      manifest.printf(" %d:%d:%d", x[0], x[1], x[2]);
    }
    time.maybeAppend(T0+95, 1405, true);
    manifest.printf(" end:%d%n", T0+95);
    index.close();
    time.close();
  }

  /* Read whole files of batches, every checksum verified. */
  static void check(String[] args) throws Exception {
    for(int i=1; i<args.length; i++){
      int nBatch = 0, nRec = 0;
      ByteBuffer buf = ByteBuffer.wrap(Files.readAllBytes(Path.of(args[i])));
      MemoryRecords all = MemoryRecords.readableRecords(buf);
      if( all.validBytes()!=buf.limit() ) throw new Exception(args[i]+": bytes left over");
      for(RecordBatch batch : all.batches()){
        int n = 0;
        batch.ensureValid();
        for(Record r : batch){
          r.ensureValid();
          if( r.hasKey() ) r.key();
          r.headers();
          n++;
        }
        if( n!=batch.countOrNull() ) throw new Exception(args[i]+": "+n+" records");
        nRec += n;
        nBatch++;
      }
      System.out.println(args[i]+": "+nBatch+" batches, "+nRec+" records");
    }
  }

  public static void main(String[] args) throws Exception {
    if( args[0].equals("check") ){
      check(args);
      return;
    }
    dir = Path.of(args[0]);
    manifest = new PrintStream(dir.resolve("java.txt").toFile(), "UTF-8");
    manifest.println("# Written by GoldenJava.java; see README.");

    List<R> two = List.of(
        new R(0, T0, null, b("hello, kafka log engine")),
        new R(1, T0+5, b("k1"), b("hello, kafka log engine"), h("h1", b("v1"))));
    List<R> nulls = List.of(
        new R(0, T0, null, null), new R(1, T0, b(""), b("")),
        new R(2, T0, b("k"), null), new R(3, T0, null, b("v")),
        new R(4, T0, b(""), null), new R(5, T0, raw(0,255,128), raw(0)));
    List<R> headers = List.of(
        new R(0, T0, b("k"), b("v"), h("a", b("1")), h("a", b("2")), h("b", null)),
        new R(1, T0, b("k"), b("v"), h("", b("")), h("bin", raw(0,1,255))),
        new R(2, T0, b("k"), null, h("n\u00e4me", b("v\u00e4l\u00fce\u20ac"))),
        new R(3, T0, b("k"), b("v"), h("long", fill(100, 'h')), h("\"\\\n", b("\"\\\n\u0001"))));
    List<R> many = new ArrayList<>();
    for(int i=0; i<300; i++){
      many.add(new R(i, T0+(i*7919)%1000-500, b("key-"+i%17),
                     b("{\"item\":\"tea\",\"qty\":"+i*31%97+"}")));
    }
    List<R> gaps = List.of(
        new R(0, T0, b("a"), b("1")), new R(7, T0-1000000, b("b"), b("2")),
        new R(70000, T0+1000000000L, b("c"), b("3")));
    List<R> big = List.of(new R(0, T0, b("big"), fill(200000, 'x')),
                          new R(1, T0, b("end"), b("end")));
    List<R> dense = List.of(new R(0, T0, b("noise"), noise(9000, 1)));
    List<R> mixed = List.of(new R(0, T0, b("noise"), noise(7000, 2)),
                            new R(1, T0, b("fill"), fill(120000, 'y')));
    List<R> old = List.of(new R(0, 0, null, b("1970")), new R(1, -1, null, b("no timestamp")),
                          new R(2, Long.MAX_VALUE/2, null, b("far")));
    showSet("two", two);
    showSet("nulls", nulls);
    showSet("headers", headers);
    showSet("many", many);
    showSet("gaps", gaps);
    showSet("big", big);
    showSet("dense", dense);
    showSet("mixed", mixed);
    showSet("old", old);

    for(CompressionType c : CompressionType.values()){
      Batch x = new Batch();
      x.codec = c;
      write("java-two-"+c.name+".bin", "two", two, x);
      write("java-many-"+c.name+".bin", "many", many, x);
      if( c!=CompressionType.NONE ){
        write("java-big-"+c.name+".bin", "big", big, x);
        write("java-mixed-"+c.name+".bin", "mixed", mixed, x);
      }
    }
    Batch lz4 = new Batch();
    lz4.codec = CompressionType.LZ4;
    write("java-nulls.bin", "nulls", nulls, new Batch());
    write("java-nulls-lz4.bin", "nulls", nulls, lz4);
    write("java-headers.bin", "headers", headers, new Batch());
    write("java-headers-lz4.bin", "headers", headers, lz4);
    write("java-dense-lz4.bin", "dense", dense, lz4);
    write("java-old.bin", "old", old, new Batch());
    Batch x = new Batch();
    x.base = 1234567890123L;
    x.leaderEpoch = 42;
    write("java-gaps.bin", "gaps", gaps, x);
    x = new Batch();
    x.pid = 4000;
    x.epoch = 3;
    x.seq = 2147483646;
    write("java-idempotent.bin", "two", two, x);
    x.txn = true;
    x.seq = 0;
    x.codec = CompressionType.ZSTD;
    write("java-transactional-zstd.bin", "many", many, x);
    x = new Batch();
    x.appendTime = T0+1234;
    write("java-appendtime.bin", "two", two, x);
    x = new Batch();
    x.horizon = T0+86400000L;
    x.codec = CompressionType.LZ4;
    write("java-horizon-lz4.bin", "gaps", gaps, x);
    markers();
    emptied();
    indexes();
    manifest.close();
  }
}
