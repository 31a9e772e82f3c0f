import org.apache.kafka.tools.api.Decoder;

/** For kafka.tools.DumpLogSegments: prints bytes as hex digits, so that test/dumplog.test can compare them. */
public class HexDecoder implements Decoder<String> {
  @Override public String fromBytes(byte[] bytes) {
    StringBuilder s = new StringBuilder();
    for (byte b : bytes) s.append(String.format("%02x", b));
    return s.toString();
  }
}
