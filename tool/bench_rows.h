/*
** bench_rows.h: the rows prill-bench knows, in the order they are run.
**
** To add a row: write void benchRowX(void) in a file tool/bench_*.c (the
** Makefile takes them all), give it a line here, and have it call
** benchReport() for each number, in the words bench.c's header asks for.
*/
BENCH_ROW("1",  benchRow1,  "INSERT, 1,000 rows a transaction, flush=os")
BENCH_ROW("2",  benchRow2,  "INSERT with the segment synced at COMMIT")
BENCH_ROW("3",  benchRow3,  "INSERT with LZ4")
BENCH_ROW("4",  benchRow4,  "the C interface: append")
BENCH_ROW("5",  benchRow5,  "scan of all values")
BENCH_ROW("6",  benchRow6,  "count(*) and scans of offsets")
BENCH_ROW("7",  benchRow7,  "the C interface: scan")
BENCH_ROW("8",  benchRow8,  "lookups and the newest records")
BENCH_ROW("8k", benchRow8k, "lookups by key")
BENCH_ROW("9",  benchRow9,  "small transactions")
BENCH_ROW("10", benchRow10, "bytes of sealed segments")
BENCH_ROW("11", benchRow11, "commit to row in another process")
BENCH_ROW("12", benchRow12, "open and first query")
BENCH_ROW("13", benchRow13, "queue: take and acknowledge; delayed records")
BENCH_ROW("14", benchRow14, "consumer: polls of 500 and their commits")
BENCH_ROW("15", benchRow15, "a writer beside a greedy one")
BENCH_ROW("16", benchRow16, "16 writers")
BENCH_ROW("17", benchRow17, "a member joins and one leaves a large group")
BENCH_ROW("18", benchRow18, "backup, retention, compaction")
BENCH_ROW("19", benchRow19, "a thousand partitions")
BENCH_ROW("20", benchRow20, "prilld: librdkafka produces, flush=os")
BENCH_ROW("21", benchRow21, "prilld: librdkafka produces, durable")
BENCH_ROW("22", benchRow22, "prilld: librdkafka consumes")
BENCH_ROW("23", benchRow23, "prilld beside Apache Kafka")
BENCH_ROW("24", benchRow24, "prilld beside Redis Streams")
BENCH_ROW("25", benchRow25, "prilld beside NATS JetStream")
BENCH_ROW("26", benchRow26, "prilld: one message at a time")
BENCH_ROW("sweep", benchRowSweep, "prilld: what the clients' settings do")
BENCH_ROW("27", benchRow27, "an idle daemon with 1,000 partitions")
BENCH_ROW("28", benchRow28, "10,000 idle connections to a daemon")
