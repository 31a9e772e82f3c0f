/*
** GoldenAssign.java: assignments made by kafka-clients' own assignors, and
** the bytes its consumers exchange.
**
**   java GoldenAssign >assign.txt
**
** Cases are drawn from a fixed seed; sticky ones go through several rounds in
** which members come, go, change topics, report stale generations or claim
** what another claims.  Each case is run several times with maps in other
** orders and with other names that sort alike: where all agree the result is
** written ("exact"), else the hash order decides and each outcome's sizes,
** kept partitions and transfers are ("loose").  README has the format.
*/
import java.nio.ByteBuffer;
import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Assignment;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Subscription;
import org.apache.kafka.clients.consumer.internals.AbstractPartitionAssignor;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.common.TopicPartition;

public class GoldenAssign {
  static final Random rand = new Random(20260101);
  static final String[] PREFIX = {"", "x", "member-", "zz.", "k9", "consumer.group-", "Q", "a-b-c-"};
  static int nCase = 0;

  /* A member of a case. */
  static class M implements Cloneable {
    String id, instance;
    int generation = -1;
    List<String> topics = new ArrayList<>();
    List<TopicPartition> owned = new ArrayList<>();
    M copy(){
      M m = new M();
      m.id = id;
      m.instance = instance;
      m.generation = generation;
      m.topics = new ArrayList<>(topics);
      m.owned = new ArrayList<>(owned);
      return m;
    }
  }

  static AbstractPartitionAssignor assignor(String name){
    switch( name ){
      case "range": return new RangeAssignor();
      case "roundrobin": return new RoundRobinAssignor();
      case "sticky": return new StickyAssignor();
      default: return new CooperativeStickyAssignor();
    }
  }

  static ByteBuffer stickyData(List<TopicPartition> owned, int generation){
    StickyAssignor a = new StickyAssignor();
    a.onAssignment(new Assignment(owned), new ConsumerGroupMetadata("g", generation, "m", Optional.empty()));
    return a.subscriptionUserData(Collections.emptySet());
  }

  /* One run under other names and orders; the result under the case's names. */
  static Map<String, Set<TopicPartition>> run(String name, Map<String, Integer> topics, List<M> members, int variant){
    String pm = PREFIX[variant % PREFIX.length], pt = PREFIX[(variant*3) % PREFIX.length];
    Random r = new Random(variant);
    Map<String, Integer> perTopic = new LinkedHashMap<>();
    List<String> names = new ArrayList<>(topics.keySet());
    if( variant>0 ) Collections.shuffle(names, r);
    Set<String> subscribed = members.stream().flatMap(m -> m.topics.stream()).collect(Collectors.toSet());
    for(String t : names) if( topics.get(t)>0 && subscribed.contains(t) ) perTopic.put(pt+t, topics.get(t));
    Map<String, Subscription> subs = variant%2==0 ? new LinkedHashMap<>() : new HashMap<>();
    List<M> order = new ArrayList<>(members);
    if( variant>0 ) Collections.shuffle(order, r);
    for(M m : order){
      List<String> ts = m.topics.stream().map(t -> pt+t).collect(Collectors.toList());
      List<TopicPartition> owned = m.owned.stream().map(p -> new TopicPartition(pt+p.topic(), p.partition()))
          .collect(Collectors.toList());
      if( variant>0 ){
        Collections.shuffle(ts, r);
        Collections.shuffle(owned, r);
      }
      boolean sticky = name.equals("sticky");
      ByteBuffer user = sticky && !(owned.isEmpty() && m.generation<0) ? stickyData(owned, m.generation) : null;
      Subscription s = new Subscription(ts, user, sticky ? Collections.emptyList() : owned, m.generation, Optional.empty());
      if( !m.instance.isEmpty() ) s.setGroupInstanceId(Optional.of(m.instance));
      subs.put(pm+m.id, s);
    }
    Map<String, Set<TopicPartition>> out = new TreeMap<>();
    for(Map.Entry<String, List<TopicPartition>> e : assignor(name).assign(perTopic, subs).entrySet()){
      Set<TopicPartition> set = new TreeSet<>(Comparator.comparing(TopicPartition::topic).thenComparing(TopicPartition::partition));
      for(TopicPartition p : e.getValue()) set.add(new TopicPartition(p.topic().substring(pt.length()), p.partition()));
      out.put(e.getKey().substring(pm.length()), set);
    }
    return out;
  }

  static String parts(Collection<TopicPartition> list){
    return "{"+list.stream().map(p -> p.topic()+" "+p.partition()).collect(Collectors.joining(" "))+"}";
  }

  /* What does not depend on who is who: sizes, kept, transferred. */
  static String outline(List<M> members, Map<String, Set<TopicPartition>> out){
    int kept = 0, moved = 0;
    Map<TopicPartition, Set<String>> claims = new HashMap<>();
    for(M m : members) for(TopicPartition p : m.owned) claims.computeIfAbsent(p, k -> new HashSet<>()).add(m.id);
    for(Map.Entry<String, Set<TopicPartition>> e : out.entrySet()){
      for(TopicPartition p : e.getValue()){
        Set<String> c = claims.get(p);
        if( c==null ) continue;
        if( c.contains(e.getKey()) ) kept++; else moved++;
      }
    }
    return "{{"+out.values().stream().map(Set::size).sorted().map(String::valueOf).collect(Collectors.joining(" "))+"} "+kept+" "+moved+"}";
  }

  /* Run a case and write it.  The result of the first run, or null when the
  ** Java code fails or gives a member what it does not subscribe. */
  static Map<String, Set<TopicPartition>> one(String name, Map<String, Integer> topics, List<M> members){
    List<Map<String, Set<TopicPartition>>> outs = new ArrayList<>();
    try {
      for(int v=0; v<12; v++) outs.add(run(name, topics, members, v));
    }catch( RuntimeException e ){
      return null;
    }
    for(Map<String, Set<TopicPartition>> out : outs){
      for(M m : members) for(TopicPartition p : out.get(m.id)) if( !m.topics.contains(p.topic()) ) return null;
    }
    Map<String, Set<TopicPartition>> first = outs.get(0);
    boolean exact = outs.stream().allMatch(first::equals);
    StringBuilder t = new StringBuilder();
    topics.forEach((k, v) -> t.append(t.length()>0 ? " " : "").append(k).append(" ").append(v));
    System.out.printf("case %d %s {%s}%n", ++nCase, name, t);
    for(M m : members){
      System.out.printf("m %s {%s} %d {%s} %s%s%n", m.id, m.instance, m.generation, String.join(" ", m.topics),
          parts(m.owned), exact ? " "+parts(first.get(m.id)) : "");
    }
    if( !exact ){
      System.out.printf("loose %s%n", outs.stream().map(o -> outline(members, o)).distinct().sorted()
          .collect(Collectors.joining(" ")));
    }
    return first;
  }

  static List<String> someTopics(Map<String, Integer> topics, int mixed){
    List<String> all = new ArrayList<>(topics.keySet());
    if( mixed==0 ) return all;
    List<String> list = all.stream().filter(x -> rand.nextInt(3)>0).collect(Collectors.toList());
    if( list.isEmpty() ) list.add(all.get(rand.nextInt(all.size())));
    if( mixed==2 && rand.nextInt(6)==0 ) list.add("missing");
    return list;
  }

  static M newMember(int i, Map<String, Integer> topics, int mixed){
    M m = new M();
    m.id = String.format("c%02d", i);
    m.instance = rand.nextInt(4)==0 ? String.format("i%02d", 50-i) : "";
    m.topics = someTopics(topics, mixed);
    return m;
  }

  /* Rounds of one group; only sticky ones have more than one. */
  static void group(String name, int nMember, int nTopic, int nPart, int mixed, int rounds){
    Map<String, Integer> topics = new TreeMap<>();
    for(int i=0; i<nTopic; i++) topics.put("t"+(char)('a'+i), rand.nextInt(nPart+1));
    List<M> members = new ArrayList<>();
    int next = 0, generation = 0;
    for(int i=0; i<nMember; i++) members.add(newMember(next++, topics, mixed));
    Collections.shuffle(members, rand);
    for(int r=0; r<rounds; r++){
      Map<String, Set<TopicPartition>> out = one(name, topics, members);
      if( out==null ) return;
      generation++;
      for(M m : members){
        if( rand.nextInt(12)==0 ) continue;        /* it missed this generation */
        m.owned = new ArrayList<>(out.get(m.id));
        m.generation = generation;
      }
      switch( rand.nextInt(7) ){
        case 0: case 1: members.add(newMember(next++, topics, mixed)); break;
        case 2: if( members.size()>1 ) members.remove(rand.nextInt(members.size())); break;
        case 3: topics.put("t"+(char)('a'+rand.nextInt(nTopic+1)), rand.nextInt(nPart+3)); break;
        case 4: if( mixed>0 ) members.get(rand.nextInt(members.size())).topics = someTopics(topics, mixed); break;
        case 5:                                    /* a second claim */
          M a = members.get(rand.nextInt(members.size())), b = members.get(rand.nextInt(members.size()));
          if( a!=b && !a.owned.isEmpty() ){
            TopicPartition p = a.owned.get(rand.nextInt(a.owned.size()));
            if( !b.owned.contains(p) ) b.owned.add(p);
          }
          break;
        default: break;
      }
      final Map<String, Integer> now = topics;     /* claims of what there is not: not compared */
      for(M m : members) m.owned.removeIf(p -> p.partition()>=now.getOrDefault(p.topic(), 0));
    }
  }

  static String hex(ByteBuffer b){
    StringBuilder s = new StringBuilder("x");
    ByteBuffer d = b.duplicate();
    while( d.hasRemaining() ) s.append(String.format("%02x", d.get()));
    return s.toString();
  }
  static void bytes(){
    for(int i=0; i<40; i++){
      List<String> topics = new ArrayList<>();
      List<TopicPartition> owned = new ArrayList<>();
      for(int k=rand.nextInt(5); k>0; k--) topics.add("topic-"+rand.nextInt(1000)+(k%2==0 ? "\u00e9" : ""));
      for(int k=rand.nextInt(8); k>0; k--) owned.add(new TopicPartition("o"+rand.nextInt(3), 10*k));
      int generation = rand.nextInt(3)==0 ? -1 : rand.nextInt(1000000);
      byte[] user = new byte[rand.nextInt(9)];
      rand.nextBytes(user);
      ByteBuffer data = rand.nextBoolean() ? null : ByteBuffer.wrap(user);
      Optional<String> rack = rand.nextBoolean() ? Optional.empty() : Optional.of("rack"+i);
      short version = (short)(i%4);
      Subscription s = new Subscription(topics, data, owned, generation, rack);
      Collections.sort(topics);
      owned.sort(Comparator.comparing(TopicPartition::topic).thenComparing(TopicPartition::partition));
      System.out.printf("sub %d %s {%s} %s %d %s %s%n", version, hex(ConsumerProtocol.serializeSubscription(s, version)),
          String.join(" ", topics), parts(owned), generation, data==null ? "-" : hex(data), rack.orElse("-"));
      System.out.printf("asg %d %s %s%n", version, hex(ConsumerProtocol.serializeAssignment(new Assignment(owned), version)),
          parts(owned));
      System.out.printf("usr sticky %s %s %d%n", hex(stickyData(owned, generation)), parts(owned), generation);
      CooperativeStickyAssignor a = new CooperativeStickyAssignor();
      a.onAssignment(new Assignment(owned), new ConsumerGroupMetadata("g", generation, "m", Optional.empty()));
      System.out.printf("usr cooperative-sticky %s {} %d%n", hex(a.subscriptionUserData(Collections.emptySet())), generation);
    }
  }

  public static void main(String[] args){
    for(int i=0; i<60; i++){
      for(String name : new String[]{"range", "roundrobin"}){
        group(name, 1+rand.nextInt(8), 1+rand.nextInt(5), 9, i%3, 1);
      }
    }
    for(int i=0; i<45; i++){
      for(String name : new String[]{"sticky", "cooperative-sticky"}){
        group(name, 1+rand.nextInt(7), 1+rand.nextInt(4), 8, i%3, 6);
      }
    }
    for(String name : new String[]{"range", "roundrobin", "sticky", "cooperative-sticky"}){
      group(name, 30, 6, 40, 0, 2);
      group(name, 20, 8, 20, 1, 2);
    }
    bytes();
  }
}
