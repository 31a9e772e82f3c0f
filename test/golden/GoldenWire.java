/*
** GoldenWire.java: messages of the wire protocol, written by Kafka's own Java
** message classes (org.apache.kafka.common.message in kafka-clients).
**
** For every message and version that messages.tbl serves, two lines of
** wire.txt: all fields set, arrays with elements; and nulls and empty arrays.
** What is in them comes from this program's counters, by Kafka's own schemas;
** nothing is read back.  See README for how to run it, wire.test for its use.
**
**   API req|resp VERSION HEX {NAME VALUE ...}
**
** A value is a number (of a float64 its bits), a text, - for null, x and hex digits for bytes, hex
** digits for a UUID, {value ...} for an array, {name value ...} for a struct;
** a struct's tagged fields come last.
*/
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.record.MemoryRecords;

public class GoldenWire {
  static final String[] APIS = {
    "Produce 3 9", "Fetch 4 12", "ListOffsets 1 7", "Metadata 0 12", "OffsetCommit 2 9",
    "OffsetFetch 1 9", "FindCoordinator 0 4", "JoinGroup 0 9", "Heartbeat 0 4", "LeaveGroup 0 5",
    "SyncGroup 0 5", "DescribeGroups 0 5", "ListGroups 0 4", "ApiVersions 0 3", "CreateTopics 2 7",
    "DeleteTopics 1 6", "DeleteRecords 0 2", "InitProducerId 0 4", "OffsetForLeaderEpoch 2 4",
    "DescribeConfigs 1 4", "AlterConfigs 0 2", "DescribeLogDirs 1 4", "CreatePartitions 0 3",
    "DeleteGroups 0 2", "IncrementalAlterConfigs 0 1", "OffsetDelete 0 0", "DescribeCluster 0 1",
    "DescribeClientQuotas 0 1", "AlterClientQuotas 0 1",
  };

  static int counter;            /* every value differs from those before it */
  static boolean full;

  static String hex(byte[] a){
    StringBuilder b = new StringBuilder();
    for(byte x : a) b.append(String.format("%02x", x));
    return b.toString();
  }

  /* topic_data -> topicData */
  static String camel(String snake){
    StringBuilder b = new StringBuilder();
    boolean up = false;
    for(char c : snake.toCharArray()){
      if( c=='_' ){ up = true; continue; }
      b.append(up ? Character.toUpperCase(c) : c);
      up = false;
    }
    return b.toString();
  }

  static org.apache.kafka.common.protocol.types.Type element(org.apache.kafka.common.protocol.types.Type t){
    return t.arrayElementType().get();
  }

  /* Is the type one of those whose value may be null? */
  static boolean nullable(org.apache.kafka.common.protocol.types.Type t){ return t.isNullable(); }

  static boolean isStruct(Class<?> c){
    try{
      c.getField("SCHEMAS");
      return true;
    }catch( NoSuchFieldException e ){
      return false;
    }
  }

  /* A value for a Java type; its text goes to out. */
  static Object scalar(Class<?> c, StringBuilder out){
    int n = ++counter;
    if( c==short.class || c==Short.class ){ out.append(n); return (short)n; }
    if( c==int.class || c==Integer.class ){ out.append(1000000+n); return 1000000+n; }
    if( c==long.class || c==Long.class ){ out.append(5000000000L+n); return 5000000000L+n; }
    if( c==double.class ){ out.append(Double.doubleToLongBits(n+0.5)); return n+0.5; }
    if( c==byte.class || c==Byte.class ){ out.append(n%100); return (byte)(n%100); }
    if( c==boolean.class || c==Boolean.class ){ out.append(full ? 1 : 0); return full; }
    if( c==String.class ){ String s = "s"+n; out.append(s); return s; }
    if( c==byte[].class ){ byte[] a = ("b"+n).getBytes(); out.append("x"+hex(a)); return a; }
    if( c==Uuid.class ){
      Uuid u = new Uuid(0x0102030405060708L+n, n);
      out.append(String.format("%016x%016x", u.getMostSignificantBits(), u.getLeastSignificantBits()));
      return u;
    }
    if( c.getSimpleName().equals("BaseRecords") ){
      byte[] a = ("records "+n).getBytes();
      out.append("x"+hex(a));
      return MemoryRecords.readableRecords(ByteBuffer.wrap(a));
    }
    throw new RuntimeException("no value for "+c);
  }

  /* The elements' class of a collection field. */
  static Class<?> elementClass(Field f){
    Type t = f.getGenericType();
    if( t instanceof Class ) t = ((Class<?>)t).getGenericSuperclass();
    return (Class<?>)((ParameterizedType)t).getActualTypeArguments()[0];
  }

  @SuppressWarnings("unchecked")
  static void field(Object o, String snake, org.apache.kafka.common.protocol.types.Type type, short version,
                    StringBuilder out) throws Exception {
    String name = camel(snake);
    Field f = o.getClass().getDeclaredField(name);
    f.setAccessible(true);
    if( out.length()>0 && out.charAt(out.length()-1)!='{' ) out.append(' ');
    out.append(name).append(' ');
    if( !full && nullable(type) ){
      f.set(o, null);
      out.append('-');
    }else if( type.isArray() ){
      Class<?> e = elementClass(f);
      Collection<Object> list = Collection.class.isAssignableFrom(f.getType()) && f.getType()!=List.class
        ? (Collection<Object>)f.getType().getConstructor().newInstance() : new ArrayList<>();
      out.append('{');
      for(int i=0; full && i<2; i++){
        if( i>0 ) out.append(' ');
        if( isStruct(e) ){
          out.append('{');
          list.add(struct(e, version, out));
          out.append('}');
        }else{
          list.add(scalar(e, out));
        }
      }
      out.append('}');
      f.set(o, list);
    }else if( isStruct(f.getType()) ){
      out.append('{');
      f.set(o, struct(f.getType(), version, out));
      out.append('}');
    }else if( !full && f.getType()==String.class ){
      f.set(o, "");
      out.append("{}");
    }else if( !full && f.getType()==byte[].class ){
      f.set(o, new byte[0]);
      out.append("x");
    }else{
      f.set(o, scalar(f.getType(), out));
    }
  }

  @SuppressWarnings("unchecked")
  static Map<Integer, org.apache.kafka.common.protocol.types.Field> tagged(TaggedFields t) throws Exception {
    Field f = TaggedFields.class.getDeclaredField("fields");
    f.setAccessible(true);
    return (Map<Integer, org.apache.kafka.common.protocol.types.Field>)f.get(t);
  }

  static Object struct(Class<?> c, short version, StringBuilder out) throws Exception {
    Object o = c.getConstructor().newInstance();
    Schema schema = ((Schema[])c.getField("SCHEMAS").get(null))[version];
    for(BoundField b : schema.fields()){
      if( b.def.type instanceof TaggedFields ){
        if( !full ) continue;                       /* defaults are not written */
        for(Map.Entry<Integer, org.apache.kafka.common.protocol.types.Field> e
            : tagged((TaggedFields)b.def.type).entrySet()){
          field(o, e.getValue().name, e.getValue().type, version, out);
        }
      }else{
        field(o, b.def.name, b.def.type, version, out);
      }
    }
    return o;
  }

  public static void main(String[] args) throws Exception {
    PrintStream out = new PrintStream(Path.of(args[0], "wire.txt").toFile());
    for(String line : APIS){
      String[] a = line.split(" ");
      for(String side : new String[]{"Request", "Response"}){
        Class<?> c = Class.forName("org.apache.kafka.common.message."+a[0]+side+"Data");
        for(short v=Short.parseShort(a[1]); v<=Short.parseShort(a[2]); v++){
          for(int pass=0; pass<2; pass++){
            full = pass==0;
            counter = 0;
            StringBuilder text = new StringBuilder();
            ApiMessage m = (ApiMessage)struct(c, v, text);
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer b = ByteBuffer.allocate(m.size(cache, v));
            m.write(new ByteBufferAccessor(b), cache, v);
            out.println(a[0]+" "+(side.equals("Request") ? "req" : "resp")+" "+v+" {"+hex(b.array())+"} {"+text+"}");
          }
        }
      }
    }
    out.close();
  }
}
