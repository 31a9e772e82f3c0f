/*
** GoldenGroup.java: what Kafka's own group coordinator answers.
**
**   java org.apache.kafka.coordinator.group.GoldenGroup >group.txt
**
** Random scripts of requests and passing time, from a fixed seed, played to
** kafka-group-coordinator's GroupMetadataManager (classic groups) with a
** timer and a clock of our own.  Each step is written with every answer it
** brought and the state after it; README has the format.  A script ends where
** the order of a Java hash map would choose a leader.
*/
package org.apache.kafka.coordinator.group;

import java.net.InetAddress;
import java.util.*;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.network.ClientInformation;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.RequestContext;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.security.auth.KafkaPrincipal;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.coordinator.group.assignor.UniformAssignor;
import org.apache.kafka.coordinator.group.classic.ClassicGroup;
import org.apache.kafka.coordinator.group.classic.ClassicGroupMember;
import org.apache.kafka.coordinator.group.classic.ClassicGroupState;
import org.apache.kafka.coordinator.group.metrics.GroupCoordinatorMetricsShard;
import org.apache.kafka.coordinator.group.runtime.CoordinatorResult;
import org.apache.kafka.coordinator.group.runtime.CoordinatorTimer;
import org.apache.kafka.timeline.SnapshotRegistry;

public class GoldenGroup {
  static final Random rand = new Random(20260202);

  /* A clock that is set. */
  static class Clock implements Time {
    long now = 1000000;
    public long milliseconds(){ return now; }
    public long nanoseconds(){ return now*1000000; }
    public void sleep(long ms){ now += ms; }
    public void waitObject(Object o, java.util.function.Supplier<Boolean> c, long d){ throw new IllegalStateException(); }
    public org.apache.kafka.common.utils.Timer timer(long ms){ return Time.SYSTEM.timer(ms); }
  }
  static class Timeout { long when, order; CoordinatorTimer.TimeoutOperation<Void, CoordinatorRecord> op; }
  static class Timers implements CoordinatorTimer<Void, CoordinatorRecord> {
    final Map<String, Timeout> map = new HashMap<>();
    long order = 0;
    Clock clock;
    public void schedule(String key, long delay, TimeUnit unit, boolean retry, TimeoutOperation<Void, CoordinatorRecord> op){
      Timeout t = new Timeout();
      t.when = clock.now+unit.toMillis(delay);
      t.order = order++;
      t.op = op;
      map.put(key, t);
    }
    public void schedule(String key, long delay, TimeUnit unit, boolean retry, long backoff, TimeoutOperation<Void, CoordinatorRecord> op){
      schedule(key, delay, unit, retry, op);
    }
    public void scheduleIfAbsent(String key, long delay, TimeUnit unit, boolean retry, TimeoutOperation<Void, CoordinatorRecord> op){
      if( !map.containsKey(key) ) schedule(key, delay, unit, retry, op);
    }
    public void cancel(String key){ map.remove(key); }
    long next(){ return map.values().stream().mapToLong(t -> t.when).min().orElse(Long.MAX_VALUE); }
    void fire(){
      for(;;){
        Map.Entry<String, Timeout> due = map.entrySet().stream().filter(e -> e.getValue().when<=clock.now)
            .min(Comparator.comparingLong((Map.Entry<String, Timeout> e) -> e.getValue().when)
                 .thenComparingLong(e -> e.getValue().order)).orElse(null);
        if( due==null ) return;
        map.remove(due.getKey());
        try { done(due.getValue().op.generateRecords()); }catch( Exception e ){ throw new RuntimeException(e); }
      }
    }
  }
  /* The records are written: go on. */
  static void done(CoordinatorResult<?, CoordinatorRecord> r){
    if( r!=null && r.appendFuture()!=null && !r.appendFuture().isDone() ) r.appendFuture().complete(null);
  }

  static Clock clock;
  static Timers timers;
  static GroupMetadataManager manager;
  static List<String> ids;                  /* symbol M<i> is ids.get(i) */
  static Map<String, Integer> metaOf;       /* metadata a member joined with last */
  static int nReq;
  static TreeMap<Integer, CompletableFuture<?>> waiting;
  static StringBuilder out;

  static String symbol(String id){
    if( id==null || id.isEmpty() ) return "-";
    if( !ids.contains(id) ){
      if( id.startsWith("nobody") ) return id;
      ids.add(id);
    }
    return "M"+ids.indexOf(id);
  }
  static ClassicGroup group(){
    try { return (ClassicGroup)manager.group("g"); }catch( Exception e ){ return null; }
  }
  static RequestContext context(ApiKeys key, int version) throws Exception {
    return new RequestContext(new RequestHeader(key, (short)version, "client", 1), "1", InetAddress.getLoopbackAddress(),
        KafkaPrincipal.ANONYMOUS, ListenerName.forSecurityProtocol(SecurityProtocol.PLAINTEXT), SecurityProtocol.PLAINTEXT,
        ClientInformation.EMPTY, false);
  }
  static <T> T pick(List<T> list){ return list.get(rand.nextInt(list.size())); }

  /* Any member id: mostly a known one. */
  static String anyId(){
    if( ids.isEmpty() || rand.nextInt(12)==0 ) return "nobody";
    ClassicGroup g = group();
    if( g!=null && rand.nextInt(4)>0 && !g.allMemberIds().isEmpty() ){
      List<String> l = new ArrayList<>(g.allMemberIds());
      l.removeIf(x -> !ids.contains(x));    /* not told yet */
      l.sort(Comparator.comparing(ids::indexOf));
      if( !l.isEmpty() ) return pick(l);
    }
    return pick(ids);
  }
  static String instanceOf(String id){
    ClassicGroup g = group();
    if( g!=null && g.hasMember(id) ) return g.member(id).groupInstanceId().orElse(null);
    return null;
  }
  static String anyInstance(String id){
    if( rand.nextInt(10)==0 ) return "i"+rand.nextInt(4);
    return instanceOf(id);
  }
  static int anyGeneration(){
    ClassicGroup g = group();
    int n = g==null ? 0 : g.generationId();
    return rand.nextInt(9)==0 ? n-1+rand.nextInt(3) : n;
  }
  static String show(String s){ return s==null ? "{}" : s; }

  static void join() throws Exception {
    JoinGroupRequestData d = new JoinGroupRequestData();
    int version = pick(Arrays.asList(3, 5, 9));
    boolean fresh = ids.isEmpty() || rand.nextInt(3)==0;
    String id = fresh ? "" : anyId();
    String instance = fresh ? (rand.nextInt(3)==0 ? "i"+rand.nextInt(4) : null) : anyInstance(id);
    ClassicGroup g = group();
    if( g!=null && g.isPendingMember(id) ) instance = null;
    int who = fresh ? ids.size() : Math.max(0, ids.indexOf(id));
    int meta = fresh || rand.nextInt(5)==0 ? rand.nextInt(100) : metaOf.getOrDefault(id, 0);
    String type = rand.nextInt(40)==0 ? "connect" : rand.nextInt(60)==0 ? "" : "consumer";
    int session = rand.nextInt(80)==0 ? 5000 : 10000+17*who, rebalance = 30000+13*who;
    List<String> names = new ArrayList<>();
    int mask = rand.nextInt(8)==0 ? rand.nextInt(8) : 1|(who%4)<<1;
    for(int i=0; i<3; i++) if( (mask>>i&1)!=0 ) names.add("p"+i);
    JoinGroupRequestData.JoinGroupRequestProtocolCollection protos = new JoinGroupRequestData.JoinGroupRequestProtocolCollection();
    for(String n : names) protos.add(new JoinGroupRequestData.JoinGroupRequestProtocol().setName(n).setMetadata(new byte[]{(byte)meta}));
    d.setGroupId("g").setMemberId(id).setGroupInstanceId(instance).setProtocolType(type).setProtocols(protos)
     .setSessionTimeoutMs(session).setRebalanceTimeoutMs(rebalance);
    int req = ++nReq;
    CompletableFuture<JoinGroupResponseData> f = new CompletableFuture<>();
    out.append(String.format("e %d join %d %s %s %d {%s} %d %s %d %d%n", clock.now, req, symbol(id), show(instance), version,
        String.join(" ", names), meta, show(type.isEmpty() ? null : type), session, rebalance));
    if( session<6000 ){                     /* checked by GroupCoordinatorService */
      f.complete(new JoinGroupResponseData().setMemberId(id).setErrorCode(Errors.INVALID_SESSION_TIMEOUT.code()));
    }else{
      try {
        done(manager.classicGroupJoin(context(ApiKeys.JOIN_GROUP, version), d, f));
      }catch( org.apache.kafka.common.KafkaException e ){
        f.complete(new JoinGroupResponseData().setMemberId(id).setErrorCode(Errors.forException(e).code()));
      }
    }
    f.thenAccept(r -> { if( r.memberId()!=null && !r.memberId().isEmpty() && r.errorCode()==0 ) metaOf.put(r.memberId(), meta); });
    if( !fresh ) metaOf.put(id, meta);
    waiting.put(req, f);
  }

  static void sync() throws Exception {
    SyncGroupRequestData d = new SyncGroupRequestData();
    String id = anyId();
    String instance = anyInstance(id);
    int generation = anyGeneration();
    ClassicGroup g = group();
    String type = rand.nextInt(4)==0 ? (rand.nextInt(5)==0 ? "other" : "consumer") : null;
    String name = rand.nextInt(4)==0 ? (rand.nextInt(5)==0 ? "p9" : "p0") : null;
    List<String> grants = new ArrayList<>();
    if( g!=null && g.isLeader(id) ){
      List<String> l = new ArrayList<>(g.allMemberIds());
      l.removeIf(x -> !ids.contains(x));
      l.sort(Comparator.comparing(ids::indexOf));
      for(String m : l) if( rand.nextInt(8)>0 ) grants.add(m);
    }
    d.setGroupId("g").setMemberId(id).setGroupInstanceId(instance).setGenerationId(generation).setProtocolType(type).setProtocolName(name);
    List<SyncGroupRequestData.SyncGroupRequestAssignment> as = new ArrayList<>();
    StringBuilder s = new StringBuilder();
    for(String m : grants){
      byte b = (byte)rand.nextInt(256);
      as.add(new SyncGroupRequestData.SyncGroupRequestAssignment().setMemberId(m).setAssignment(new byte[]{b}));
      s.append(s.length()>0 ? " " : "").append(symbol(m)).append(" ").append(b & 255);
    }
    d.setAssignments(as);
    int req = ++nReq;
    CompletableFuture<SyncGroupResponseData> f = new CompletableFuture<>();
    out.append(String.format("e %d sync %d %s %s %d %s %s {%s}%n", clock.now, req, symbol(id), show(instance), generation,
        show(type), show(name), s));
    done(manager.classicGroupSync(context(ApiKeys.SYNC_GROUP, 5), d, f));
    waiting.put(req, f);
  }

  static void heartbeat() throws Exception {
    String id = anyId(), instance = anyInstance(id);
    int generation = anyGeneration(), err;
    out.append(String.format("e %d heartbeat %s %s %d%n", clock.now, symbol(id), show(instance), generation));
    try {
      err = manager.classicGroupHeartbeat(context(ApiKeys.HEARTBEAT, 4), new HeartbeatRequestData().setGroupId("g").setMemberId(id)
          .setGroupInstanceId(instance).setGenerationId(generation)).response().errorCode();
    }catch( Exception e ){
      err = Errors.forException(e).code();
    }
    out.append(String.format("r %d%n", err));
  }

  static void leave() throws Exception {
    String id = anyId(), instance = anyInstance(id);
    ClassicGroup g = group();
    if( g!=null && g.isPendingMember(id) ) return;
    if( rand.nextInt(4)==0 ){
      id = "";
      instance = "i"+rand.nextInt(4);
    }
    int err;
    out.append(String.format("e %d leave %s %s%n", clock.now, symbol(id), show(instance)));
    try {
      CoordinatorResult<LeaveGroupResponseData, CoordinatorRecord> r = manager.classicGroupLeave(context(ApiKeys.LEAVE_GROUP, 5),
          new LeaveGroupRequestData().setGroupId("g").setMembers(Collections.singletonList(
              new LeaveGroupRequestData.MemberIdentity().setMemberId(id).setGroupInstanceId(instance))));
      done(r);
      err = r.response().errorCode()!=0 ? r.response().errorCode() : r.response().members().get(0).errorCode();
    }catch( Exception e ){
      err = Errors.forException(e).code();
    }
    out.append(String.format("r %d%n", err));
  }

  static void commit() throws Exception {
    ClassicGroup g = group();
    if( g==null ) return;
    boolean simple = rand.nextInt(6)==0;
    String id = simple ? "" : anyId(), instance = simple ? null : anyInstance(id);
    int generation = simple ? -1 : anyGeneration(), err = 0;
    out.append(String.format("e %d commit %s %s %d%n", clock.now, symbol(id), show(instance), generation));
    try {
      g.validateOffsetCommit(id, instance, generation, false, (short)8);
      if( g.isInState(ClassicGroupState.STABLE) || g.isInState(ClassicGroupState.PREPARING_REBALANCE) ){
        manager.rescheduleClassicGroupMemberHeartbeat(g, g.member(id));
      }
    }catch( org.apache.kafka.common.KafkaException e ){
      err = Errors.forException(e).code();
    }
    out.append(String.format("r %d%n", err));
  }

  static void time(){
    long want = clock.now+1+rand.nextInt(rand.nextInt(10)==0 ? 40000 : 2500);
    while( timers.next()<=want ){
      clock.now = Math.max(clock.now, timers.next());
      out.append(String.format("e %d timer%n", clock.now));
      leader();
      timers.fire();
      answers();
      if( hashed() ) return;
    }
    clock.now = want;
  }

  /* The leader, and whether a hash has chosen another since. */
  static String leader, leaderInstance;
  static void leader(){
    ClassicGroup g = group();
    leader = g==null ? null : g.leaderOrNull();
    leaderInstance = leader==null ? null : instanceOf(leader);
  }
  static boolean hashed(){
    ClassicGroup g = group();
    String now = g==null ? null : g.leaderOrNull();
    return leader!=null && now!=null && !leader.equals(now) && g.numMembers()>1
        && !(leaderInstance!=null && leaderInstance.equals(instanceOf(now)));
  }

  /* What was answered since, and the state. */
  static void answers(){
    for(Iterator<Map.Entry<Integer, CompletableFuture<?>>> it = waiting.entrySet().iterator(); it.hasNext(); ){
      Map.Entry<Integer, CompletableFuture<?>> e = it.next();
      if( !e.getValue().isDone() ) continue;
      Object o = e.getValue().join();
      if( o instanceof JoinGroupResponseData ){
        JoinGroupResponseData r = (JoinGroupResponseData)o;
        List<String> l = r.members().stream().map(m -> m.memberId()).sorted(Comparator.comparing(ids::indexOf))
            .map(GoldenGroup::symbol).collect(Collectors.toList());
        out.append(String.format("j %d %d %s %d %s {%s} %d%n", e.getKey(), r.errorCode(), symbol(r.memberId()),
            r.errorCode()!=0 ? -1 : r.generationId(), r.errorCode()!=0 ? "-" : symbol(r.leader()), String.join(" ", l),
            r.skipAssignment() ? 1 : 0));
      }else{
        SyncGroupResponseData r = (SyncGroupResponseData)o;
        StringBuilder s = new StringBuilder("x");
        for(byte b : r.assignment()) s.append(String.format("%02x", b));
        out.append(String.format("s %d %d %s%n", e.getKey(), r.errorCode(), s));
      }
      it.remove();
    }
    ClassicGroup g = group();
    if( g!=null ){
      List<String> l = new ArrayList<>(g.allMemberIds());
      l.sort(Comparator.comparing((String x) -> ids.contains(x) ? ids.indexOf(x) : Integer.MAX_VALUE));
      out.append(String.format("st %s %d %s {%s}%n", g.stateAsString(), g.generationId(), show(g.protocolName().orElse(null)),
          l.stream().filter(ids::contains).map(GoldenGroup::symbol).collect(Collectors.joining(" "))));
    }
  }

  /* One script.  It ends, without its last step, when a hash chose the leader. */
  static void script(int number) throws Exception {
    SnapshotRegistry registry = new SnapshotRegistry(new LogContext());
    clock = new Clock();
    timers = new Timers();
    timers.clock = clock;
    ids = new ArrayList<>();
    metaOf = new HashMap<>();
    waiting = new TreeMap<>();
    nReq = 0;
    out = new StringBuilder();
    int max = rand.nextInt(5)==0 ? 3 : Integer.MAX_VALUE, delay = pick(Arrays.asList(0, 0, 3000));
    manager = new GroupMetadataManager.Builder().withSnapshotRegistry(registry).withLogContext(new LogContext()).withTime(clock)
        .withTimer(timers).withConsumerGroupAssignors(Collections.singletonList(new UniformAssignor()))
        .withClassicGroupMaxSize(max).withClassicGroupInitialRebalanceDelayMs(delay).withClassicGroupMinSessionTimeoutMs(6000)
        .withClassicGroupMaxSessionTimeoutMs(1800000).withConsumerGroupMigrationPolicy(ConsumerGroupMigrationPolicy.DISABLED)
        .withGroupCoordinatorMetricsShard(new GroupCoordinatorMetricsShard(registry, new HashMap<>(), new TopicPartition("x", 0)))
        .build();
    out.append(String.format("group %d %d %d%n", number, max, delay));
    for(int step=0; step<60; step++){
      int before = out.length();
      boolean ends = false;
      leader();
      int r = rand.nextInt(20);
      try {
        if( r<8 ) join(); else if( r<12 ) sync(); else if( r<14 ) heartbeat(); else if( r<15 ) leave();
        else if( r<16 ) commit(); else time();
        if( r<16 && out.length()>before ) answers();
      }catch( IllegalStateException e ){
        ends = true;                        /* Kafka's own invariant broken: leave it out */
      }
      if( hashed() ) ends = true;
      if( ends ){
        out.setLength(before);
        break;
      }
    }
    System.out.print(out);
  }

  public static void main(String[] args) throws Exception {
    for(int i=1; i<=160; i++) script(i);
  }
}
