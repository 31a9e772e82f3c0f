/*
** prill.h: topics, partitions, offsets and consumer groups in a SQLite
** database.  The library's only public header.
**
** CAVEATS
**
**  - A store is a database file and its log directory: app.db and app.db-log.
**    Copy both or neither.
**  - One kernel shares a store: not NFS, not a host and its virtual machine.
**  - Every function here takes the caller's sqlite3* and obeys its thread
**    rule: one thread at a time on a connection.
**  - The library opens no connection, starts no thread and reads no clock but
**    the VFS's.
**
** Result codes are SQLite's; a reason that SQLite has no code for is an
** extended one: see "Result codes".
**
** CONTENTS
**
**    Version             prill_version
**    Initialisation      prill_init, sqlite3_prill_init
**    Result codes        PRILL_FENCED and others
**    Records             prill_record, prill_header
**    Producing           prill_producer_open, _produce, _poll, _flush,
**                        _buffered, _identity, _errmsg, _close
**    Reading             prill_reader_open, _next, _wait, _seek, _seek_time,
**                        _position, _errmsg, _close
**    Consumer groups     prill_consumer_open, _poll, _commit, _commit_to,
**                        _seek, _errmsg, _close
**    Parallel work       prill_work_open, _next, _done, _commit, _errmsg, _close
**
** doc/example_produce.c, doc/example_follow.c and doc/example_work.c use most of it.
*/
#ifndef PRILL_H
#define PRILL_H

#include <sqlite3.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PRILL_VERSION        "0.1.0"
#define PRILL_VERSION_NUMBER 1000     /* major*1000000 + minor*1000 + patch */

#ifndef PRILL_API
# ifdef __GNUC__
#  define PRILL_API __attribute__((visibility("default")))
# else
#  define PRILL_API
# endif
#endif

/*
** CAPI: Version
**
** PRILL_VERSION of the library that is running, static text.
** Any thread.  Never fails.
*/
PRILL_API const char *prill_version(void);

/*
** CAPI: Initialisation
**
** Register the modules topic and prill_*, and the functions prill_*, with a
** connection.  For a program that links prill; a loadable extension calls
** sqlite3_prill_init instead.  Calling it twice on a connection is harmless.
**
** Result: SQLITE_OK, SQLITE_NOMEM, or the error of sqlite3_create_module_v2().
*/
PRILL_API int prill_init(sqlite3 *db);

/*
** CAPI: Entry point of the loadable extension
**
** What sqlite3_load_extension() and ".load ./prill" call.  *pzErrMsg, when
** set, is sqlite3_malloc memory the caller frees.
*/
struct sqlite3_api_routines;
PRILL_API int sqlite3_prill_init(sqlite3 *db, char **pzErrMsg,
                                 const struct sqlite3_api_routines *pApi);

/*
** CAPI: Result codes
**
** Extended result codes: the low byte is SQLite's.  The handle's errmsg
** function gives the reason in words.
**
**   PRILL_FENCED      a producer of the same name was opened after this one
**                     (Kafka: PRODUCER_FENCED, KIP-98): only closing is left.
**                     Of a consumer: it is no member of its group any more
**   PRILL_EXPIRED     the store no longer knows this producer: it produced
**                     nothing for producer.id.expiration.ms, or too many others
**                     did since.  Only closing is left; open it again
**   PRILL_SEQUENCE    a batch does not follow the producer's last one
**                     (Kafka: OUT_OF_ORDER_SEQUENCE_NUMBER)
**   PRILL_BUFFER_FULL buffer.memory is used up, and what fills it could not be
**                     written within max.block.ms.  The record was not taken
**   PRILL_TRANSACTION not inside the caller's transaction, or not outside: the
**                     message says which
**   PRILL_NO_TOPIC    no such topic, or partition
**   PRILL_OFFSET_RANGE  the offset is before the log's start or after its end
**                     (Kafka: OFFSET_OUT_OF_RANGE)
*/
#define PRILL_FENCED       (SQLITE_ABORT    | (0x51<<8))
#define PRILL_EXPIRED      (SQLITE_ABORT    | (0x52<<8))
#define PRILL_SEQUENCE     (SQLITE_CONSTRAINT | (0x51<<8))
#define PRILL_BUFFER_FULL  (SQLITE_FULL     | (0x51<<8))
#define PRILL_TRANSACTION  (SQLITE_LOCKED   | (0x51<<8))
#define PRILL_NO_TOPIC     (SQLITE_NOTFOUND | (0x51<<8))
#define PRILL_OFFSET_RANGE (SQLITE_RANGE    | (0x51<<8))

/*
** CAPI: Records
**
** A record as it is produced and as it is read.  Setting all of it to zeros
** makes a record without key, value and headers for partition 0.
**
** iPartition    when producing: the partition's number, or
**               PRILL_ANY_PARTITION: the topic's partitioner chooses
** iOffset       set when reading; ignored when producing
** iTimestamp    milliseconds since 1970.  When producing, PRILL_NOW: the
**               VFS's clock.  A topic with
**               message.timestamp.type=LogAppendTime always takes the clock
** pKey, pValue  nKey and nValue bytes of any kind; NULL is null, whatever the
**               length says.  A null value is a tombstone on a compacted topic
** aHeader       nHeader headers, in order; names may repeat and need no NUL
**
** Ownership: when producing, everything is the caller's and is copied before
** the function returns.  When reading, everything belongs to the reader and
** is good until its next call.
*/
typedef struct prill_header prill_header;
struct prill_header {
  const char *zName;            /* nName bytes of UTF-8 */
  int nName;
  const void *pValue;           /* NULL: null */
  int nValue;
};
typedef struct prill_record prill_record;
struct prill_record {
  const char *zTopic;           /* NUL-terminated */
  int iPartition;
  sqlite3_int64 iOffset;
  sqlite3_int64 iTimestamp;
  const void *pKey;
  int nKey;
  const void *pValue;
  int nValue;
  const prill_header *aHeader;
  int nHeader;
};
#define PRILL_ANY_PARTITION (-1)
#define PRILL_NOW (-1)

/*
** CAPI: Producing
**
** A producer writes records to topics of one schema of one connection, in one
** of two ways, as the connection is in a transaction or not.
**
** INSIDE A TRANSACTION OF THE CALLER (after BEGIN or SAVEPOINT) a record is
** part of it, as an INSERT would be: COMMIT makes it exist together with all
** else of the transaction, ROLLBACK and ROLLBACK TO take it back.  *piOffset
** is its offset, should the transaction commit.  linger.ms and batch.size do
** not matter.
**
** OUTSIDE, a record goes to the producer's buffer, and *piOffset is -1.  The
** buffer is written, in a transaction of the producer's own on the caller's
** connection, when a partition has batch.size bytes in it, when its oldest
** record is linger.ms old, and by prill_producer_flush() and
** prill_producer_close().  There is no thread: linger.ms is looked at in each
** call of prill_producer_produce() and prill_producer_poll(), so a program
** that may stop producing polls.  What was written is told to xDelivered.
** Before BEGIN call prill_producer_flush(): what is in the buffer cannot
** become part of a transaction that may be rolled back, nor be overtaken by
** it, so producing inside is refused (PRILL_TRANSACTION) while it holds any.
**
** A FULL BUFFER.  When a record finds buffer.memory used up, the producer
** writes the buffer at once.  If the write lock cannot be had, it tries again
** until max.block.ms have passed (0: not at all) and then refuses the record
** with PRILL_BUFFER_FULL.  Nothing waits longer, and nothing is dropped: the
** buffer keeps its records, and a later call may succeed.  The connection's
** busy handler, if it has one, runs in each attempt, for as long as it likes.
**
** IDEMPOTENCE (KIP-98).  With enable.idempotence, batches from the buffer
** carry a producer id, an epoch and sequence numbers, and the store remembers
** the last five of each partition in the transaction that writes them.  When
** COMMIT fails in a way that leaves open whether it happened, the producer
** offers the same batch again, and it is written once.  A producer.name adds
** an identity that lasts: opening a producer raises the epoch of its name,
** and from then on an older producer of that name, in any process, is refused
** with PRILL_FENCED, inside transactions of its caller too.  Batches with a
** producer id are stored as they were made, each of at most batch.size bytes
** before compression.
**
** Kafka's clients have the same options by the same names.
**
** Thread rule: as the connection: one thread at a time.  Not from within an
** SQL function, an authorizer or a hook of the same connection.
*/
typedef struct prill_producer prill_producer;

/* What became of a run of records that were buffered: nRecord of them, in the
** order they were produced, got the offsets iOffset, iOffset+1, ...; or, when
** rc is not SQLITE_OK, were dropped for good, and iOffset is -1.  Records of
** one partition are told in the order they were produced. */
typedef struct prill_delivery prill_delivery;
struct prill_delivery {
  const char *zTopic;
  int iPartition;
  sqlite3_int64 iOffset;
  int nRecord;
  int rc;
};

/*
** CAPI: Open a producer
**
** zSchema: "main", or an attached database; NULL is main.  prill_init() must
** have been called for the connection, or prill.so been loaded into it.
**
** azOption: NULL, or names and values in turn, ended by NULL:
**
**   batch.size         bytes of a partition that are written without waiting
**                      for more; 16384
**   linger.ms          how long a record may wait in the buffer; 5.  0: no
**                      longer than the call that brings it
**   buffer.memory      bytes of records the buffer takes; 33554432
**   max.block.ms       how long a call may try to empty a full buffer, and
**                      prill_producer_flush() to get the write lock; 60000
**   max.request.size   bytes of a record's key, value and headers; 1048576.
**                      The topic's max.message.bytes bounds them too
**   enable.idempotence true or false; false, but true with producer.name
**   producer.name      1 to 255 bytes of text (Kafka: transactional.id)
**
** With idempotence opening writes to the store, in a transaction of its own:
** not inside one of the caller's.  The schema must have a store, that is, a
** topic, by then.
**
** xDelivered, with pArg, is called from within the producer's functions, after
** the transaction that wrote the records has ended; NULL: nobody wants to
** know.  It may call prill_producer_produce(), but not close the producer.
**
** Result: SQLITE_OK; SQLITE_ERROR for an option that is not allowed, a schema
** that does not exist or a connection without prill; SQLITE_BUSY;
** PRILL_TRANSACTION with idempotence inside a transaction; SQLITE_NOMEM; errors of
** reading and writing the database.  *pp is a producer even then, to
** ask prill_producer_errmsg() why, unless memory for it could not be had
** (*pp is NULL).  In all cases pass it to prill_producer_close().
**
** sqlite3_close() of the connection is SQLITE_BUSY while it is open.
*/
PRILL_API int prill_producer_open(sqlite3 *db, const char *zSchema, const char *const *azOption,
                                  void (*xDelivered)(void*, const prill_delivery*), void *pArg,
                                  prill_producer **pp);

/*
** CAPI: Produce a record
**
** piOffset may be NULL.
**
** SQLITE_OK: the record was taken.  A failure to write the buffer meanwhile is
** not told here, unless the buffer is full: prill_producer_poll() and
** prill_producer_flush() tell.  Any other result: it was not.
**
**   SQLITE_TOOBIG      larger than max.request.size or max.message.bytes
**   PRILL_NO_TOPIC     no such topic or partition
**   PRILL_BUFFER_FULL  see above
**   PRILL_TRANSACTION  see above
**   PRILL_FENCED, PRILL_EXPIRED
**   SQLITE_BUSY and others of the connection, inside a transaction, as an
**                      INSERT would fail; the transaction is as it was
**   SQLITE_MISUSE      no topic, or a negative length
**   SQLITE_NOMEM
*/
PRILL_API int prill_producer_produce(prill_producer*, const prill_record*, sqlite3_int64 *piOffset);

/*
** CAPI: Write what is due
**
** Write the buffer if linger.ms or batch.size says so.  *pmsNext, if pmsNext
** is not NULL: milliseconds until the next call is due; 0: at once, because
** the lock was held by others or a transaction of the caller is open; -1: not
** before more is produced.
**
** SQLITE_OK when there is nothing due, when all of it was written, and when
** it must wait: SQLITE_BUSY does not come from here.  Else the reason why
** records were dropped (each told to xDelivered) or could not be written yet.
*/
PRILL_API int prill_producer_poll(prill_producer*, int *pmsNext);

/*
** CAPI: Write the whole buffer
**
** SQLITE_OK when the buffer is empty and all in it was committed.  With
** synchronous=FULL it is on the disk.  Else the buffer may hold records still:
**
**   SQLITE_BUSY        the write lock could not be had within max.block.ms; at
**                      once (SQLITE_BUSY_SNAPSHOT) where a statement of this
**                      connection is open that reads an older state
**   PRILL_TRANSACTION  a transaction of the caller is open
**   PRILL_NO_TOPIC, PRILL_FENCED, ...  some were dropped, and xDelivered told
**   others             of the connection
*/
PRILL_API int prill_producer_flush(prill_producer*);

/* CAPI: Records in the buffer.  Never fails. */
PRILL_API int prill_producer_buffered(prill_producer*);

/* CAPI: Producer id and epoch.  -1 without idempotence.  Never fails.  Either
** pointer may be NULL. */
PRILL_API void prill_producer_identity(prill_producer*, sqlite3_int64 *piProducer, int *piEpoch);

/* CAPI: Why the last call failed.  UTF-8 text that belongs to the producer, good
** until its next call; never NULL. */
PRILL_API const char *prill_producer_errmsg(prill_producer*);

/*
** CAPI: Close a producer
**
** As prill_producer_flush(), then frees the producer in any case: records it
** could not write are dropped, and xDelivered is told so with the result.
** NULL is harmless.
*/
PRILL_API int prill_producer_close(prill_producer*);

/*
** CAPI: Reading
**
** A reader gives the committed records of one partition, in offset order, one
** a call, and follows: SQLITE_DONE is the end of what there is now; the next
** call looks again.
**
** Between calls it holds no lock and no snapshot: it hinders no checkpoint and
** no writer, of its own connection either.  It goes on in what it saw when
** that began, and looks anew when it has come to its end.  Inside a
** transaction of the caller it sees what the transaction's snapshot has; what
** the transaction itself has produced it gives after COMMIT only, for it must
** not give what ROLLBACK can take back.
**
** Keys and values are not copied: prill_record points into the reader's
** memory, good until its next call.  A batch's checksum is verified once a
** connection.
**
** Thread rule: as the connection: one thread at a time.
*/
typedef struct prill_reader prill_reader;
#define PRILL_EARLIEST (-2)     /* the oldest record; as in Kafka's ListOffsets */
#define PRILL_LATEST   (-1)     /* after the newest record there is now */

/*
** CAPI: Open a reader
**
** zSchema: NULL is main.  iOffset: of the first record wanted, or
** PRILL_EARLIEST or PRILL_LATEST.
**
** Result: SQLITE_OK; PRILL_NO_TOPIC; SQLITE_ERROR for a schema that does not
** exist or a connection without prill; SQLITE_NOMEM; errors of reading the
** database.  *pp is a reader even then, to ask prill_reader_errmsg() why,
** unless memory for it could not be had.  In all cases pass it to
** prill_reader_close().
**
** sqlite3_close() of the connection is SQLITE_BUSY while it is open.
*/
PRILL_API int prill_reader_open(sqlite3 *db, const char *zSchema, const char *zTopic, int iPartition,
                                sqlite3_int64 iOffset, prill_reader **pp);

/*
** CAPI: The next record
**
** SQLITE_ROW and *ppRecord; SQLITE_DONE: no more now; else an error:
**
**   PRILL_OFFSET_RANGE   the position is before the log's start (retention or
**                        UPDATE prill_partitions has deleted the records), or
**                        after its end (the database was put back).  The
**                        position stays: prill_reader_seek() elsewhere
**   PRILL_NO_TOPIC       the topic was dropped
**   SQLITE_CORRUPT_VTAB  a checksum or a record is wrong
**   others               of reading
**
** An error leaves the position where it was: the next call tries again.
*/
PRILL_API int prill_reader_next(prill_reader*, const prill_record **ppRecord);

/*
** CAPI: Wait for a record
**
** Sleep until another record is there, in any process's commit, or ms
** milliseconds have passed; negative: for ever.  SQLITE_ROW: call
** prill_reader_next(); SQLITE_DONE: the time is up, or the caller has a
** transaction or a statement open, in which nothing may wait;
** SQLITE_INTERRUPT: sqlite3_interrupt() was called, at most a second ago; else
** as prill_reader_next().
**
** It sleeps on the store's file "wake" and looks once a second besides. No
** snapshot and no lock is held meanwhile.
*/
PRILL_API int prill_reader_wait(prill_reader*, int ms);

/* CAPI: Go to an offset, or PRILL_EARLIEST or PRILL_LATEST.  SQLITE_OK;
** SQLITE_MISUSE below PRILL_EARLIEST; or an error of reading, and the position
** stays.  An offset out of range is told by the next prill_reader_next(). */
PRILL_API int prill_reader_seek(prill_reader*, sqlite3_int64 iOffset);

/* CAPI: Go to the first record whose timestamp is at least ms (milliseconds
** since 1970), or to the end when there is none.  Results as of _seek. */
PRILL_API int prill_reader_seek_time(prill_reader*, sqlite3_int64 ms);

/* CAPI: The offset of the next record wanted.  Never fails. */
PRILL_API sqlite3_int64 prill_reader_position(prill_reader*);

/* CAPI: Why the last call failed.  Belongs to the reader, good until its next
** call; never NULL. */
PRILL_API const char *prill_reader_errmsg(prill_reader*);

/* CAPI: Close a reader.  NULL is harmless. */
PRILL_API void prill_reader_close(prill_reader*);

/*
** CAPI: Consumer groups
**
** A consumer is a member of a group, whose members share the partitions of the
** topics they subscribe to: each partition is read by one of them.  A table
** USING consumer is another, and both may be in one group.
**
** prill_consumer_poll() gives a record a call.  prill_consumer_commit() says
** how far the group has come: past all that was given.  A consumer that ends
** or dies leaves its partitions to the others, who go on from what was
** committed: what had been given and not committed is given again.
**
** INSIDE A TRANSACTION OF THE CALLER polling and committing are part of it:
** with ROLLBACK, records given in it are given again, and the offsets
** committed in it are not.  So what the transaction does with records happens
** exactly once:
**
**     BEGIN IMMEDIATE; poll, INSERT ... as often as wanted; commit; COMMIT
**
** A poll there takes the write lock and does not wait.  OUTSIDE, polling is
** reading; now and then it writes, when members come and go, and once in a
** quarter of max.poll.interval.ms.
**
** LIVENESS.  While the consumer is open it holds a file in the log directory,
** app.db-log/member-..., and the others notice within a second when its
** process has died.  Whoever does not poll for max.poll.interval.ms is put out
** of the group when another member polls: its next poll or commit is
** PRILL_FENCED, and the poll after that joins anew.
**
** Thread rule: as the connection: one thread at a time.
*/
typedef struct prill_consumer prill_consumer;

/*
** CAPI: Open a consumer
**
** zSchema: NULL is main.  azOption: names and values in turn, ended by NULL:
**
**   group                 1 to 249 bytes; also called group.id.  Must be given
**   topics                names, or patterns as GLOB has them, with commas
**                         between them.  Must be given
**   assignor              cooperative-sticky (default), sticky, range or
**                         roundrobin; the same for all members
**   auto.offset.reset     where to begin without a committed offset, or when it
**                         is not in the log: earliest (default), latest, none
**   max.poll.records      records a poll looks for at once; 500
**   max.poll.interval.ms  300000
**   group.instance.id     a static member: when it dies, its partitions wait for
**                         it for session.timeout.ms; a second one of the same
**                         id takes the first one's place, which is PRILL_FENCED
**   session.timeout.ms    45000
**   enable.auto.commit    false (default), or true: looking for more commits
**                         what was given before, and so does closing
**   client.id             shown in prill_members; consumer
**
** Joins the group, in a transaction of its own or in the caller's.
**
** Result: SQLITE_OK; SQLITE_ERROR for an option that is not allowed, a topic or
** schema that does not exist, a group of other kind or assignor, or a
** connection without prill; SQLITE_BUSY; SQLITE_NOMEM; errors of reading and
** writing.  *pp is a consumer even then, to ask prill_consumer_errmsg() why,
** unless memory for it could not be had.  In all cases pass it to
** prill_consumer_close().
**
** sqlite3_close() of the connection is SQLITE_BUSY while it is open.
*/
PRILL_API int prill_consumer_open(sqlite3 *db, const char *zSchema, const char *const *azOption,
                                  prill_consumer **pp);

/*
** CAPI: The next record
**
** SQLITE_ROW and *ppRecord, good until the consumer's next call; SQLITE_DONE:
** nothing came within ms milliseconds (0: look and return; negative: wait for
** ever), or the caller has a transaction or a statement open, in which nothing
** may wait; else an error:
**
**   PRILL_FENCED         no member any more, see above
**   PRILL_OFFSET_RANGE   auto.offset.reset=none and no offset to begin from
**   SQLITE_BUSY          inside a transaction, or when ms is 0
**   SQLITE_INTERRUPT     sqlite3_interrupt() was called while it waited
**   SQLITE_CORRUPT_VTAB and others of reading and writing
**
** An error leaves the consumer where it was.
*/
PRILL_API int prill_consumer_poll(prill_consumer*, int ms, const prill_record **ppRecord);

/*
** CAPI: Commit
**
** Commit past the last record given of each partition.  *pnMoved, if not NULL:
** partitions whose offset moved.  SQLITE_OK; PRILL_FENCED; SQLITE_BUSY; others
** of writing.  Outside a transaction it is durable as any COMMIT is.
*/
PRILL_API int prill_consumer_commit(prill_consumer*, int *pnMoved);

/* CAPI: Commit one partition, to iOffset: the next record wanted of it, at most
** the one after the last given.  For callers whose records are not done in
** order.  As prill_consumer_commit(); PRILL_NO_TOPIC: not its partition;
** PRILL_OFFSET_RANGE. */
PRILL_API int prill_consumer_commit_to(prill_consumer*, const char *zTopic, int iPartition,
                                       sqlite3_int64 iOffset);

/* CAPI: Go to an offset of a partition it has: the next record given of it will
** be that one, and prill_consumer_commit() commits it.  Inside a transaction
** ROLLBACK takes it back.  PRILL_NO_TOPIC: not its partition; PRILL_OFFSET_RANGE:
** not in the log. */
PRILL_API int prill_consumer_seek(prill_consumer*, const char *zTopic, int iPartition, sqlite3_int64 iOffset);

/* CAPI: Why the last call failed.  Belongs to the consumer, good until its next
** call; never NULL. */
PRILL_API const char *prill_consumer_errmsg(prill_consumer*);

/* CAPI: Leave the group and free the consumer.  The result is that of leaving;
** if it is not SQLITE_OK the others notice within a second all the same.  NULL
** is harmless. */
PRILL_API int prill_consumer_close(prill_consumer*);

/*
** CAPI: Parallel work
**
** A consumer (see above) whose records several workers have in hand at once.
** Records with the same key, of a partition, are given out one after the other, in
** the order of their offsets: the next one when prill_work_done() was called for the
** one before.  Records of different keys, and those without a key, are given out at
** the same time.  What is committed of a partition is the offset of its first record
** that is not done: whoever takes over begins there, so every record is worked on at
** least once, and one that was done may be given out again after a crash, when
** others before it were not.
**
** The library starts no thread.  The caller's threads share the prill_work, each in
** a loop of prill_work_next(), its own work, prill_work_done(); or one thread takes
** several records and hands them to processes.  To take no more is to wait for what
** is out, and close.
**
** Thread rule: _next, _done and _commit in any thread at any time, on a SQLite that
** is thread-safe.  They use the connection, so nothing else may use it meanwhile:
** give prill_work one of its own.  _errmsg belongs to the thread whose call failed
** last.  _open and _close while no other thread is in any of them.
*/
typedef struct prill_work prill_work;

/*
** CAPI: Open
**
** azOption: those of prill_consumer_open() but enable.auto.commit, and
**
**   buffer.records       records taken from the group and not yet committable, at
**                        most; 1000
**   buffer.memory        bytes of records kept, but for the last; 33554432
**   commit.interval.ms   what is done is committed after so long, when there is
**                        nothing to give out, by _commit and by _close; 1000
**
** Results, and *pp after an error, as of prill_consumer_open().
*/
PRILL_API int prill_work_open(sqlite3 *db, const char *zSchema, const char *const *azOption, prill_work **pp);

/*
** CAPI: A record to work on
**
** SQLITE_ROW and *ppRecord, which stays as it is until prill_work_done(); SQLITE_DONE:
** none could be given within ms milliseconds (0: look and return; negative: wait for
** ever); or an error of prill_consumer_poll() or of committing.  With several threads
** one of them waits for records, and the others for it, for a second at most more
** than they asked for.  After PRILL_FENCED records that are out are the work of
** others, who were given them again; the next call joins anew.
*/
PRILL_API int prill_work_next(prill_work*, int ms, const prill_record **ppRecord);

/*
** CAPI: A record is done
**
** Frees it.  SQLITE_OK; SQLITE_MISUSE: it is none that is out.  May commit; that it
** could not is told by the next _next, _commit or _close.
*/
PRILL_API int prill_work_done(prill_work*, const prill_record *pRecord);

/* CAPI: Commit now what can be.  Results of prill_consumer_commit(). */
PRILL_API int prill_work_commit(prill_work*);

/* CAPI: Why the last call failed.  Good until the next call; never NULL. */
PRILL_API const char *prill_work_errmsg(prill_work*);

/* CAPI: Commit, leave the group and free everything, records that are out too: they
** are given out again, by another.  The result is that of committing and leaving.
** NULL is harmless. */
PRILL_API int prill_work_close(prill_work*);

#ifdef __cplusplus
}
#endif
#endif /* PRILL_H */
