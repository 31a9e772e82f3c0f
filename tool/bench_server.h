/*
** bench_server.h: servers that the rows about prilld run, and their clients.
*/
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include "bench.h"
#include <sys/types.h>

/* What can be run.  Each is a process of its own on loopback, with its files in
** a directory of its own below --dir. */
enum {
  SERVER_NULL,          /* bench_null.c: acknowledges and forgets, or sends a file */
  SERVER_PRILLD_OS,     /* prilld, flush=os */
  SERVER_PRILLD,        /* prilld as it is: durable before the answer */
  SERVER_KAFKA,         /* Apache Kafka as it is: not synced */
  SERVER_KAFKA_SYNC,    /* and with a sync for every append */
  SERVER_REDIS,         /* appendfsync everysec */
  SERVER_REDIS_ALWAYS,
  SERVER_NATS,          /* JetStream, file storage */
  SERVER_N
};
typedef struct BenchServer BenchServer;
struct BenchServer {
  int eKind;
  const char *zName;
  pid_t pid;
  int iPort;
  char zAddr[32];
  char zDir[512];
  i64 nsStart;          /* from exec until it answers */
};
/* Start one and wait until it answers.  NULL: it runs; else why it cannot be had. */
const char *benchServerStart(BenchServer*, int eKind);
void benchServerStop(BenchServer*);           /* and remove its files; not started: harmless */
i64 benchServerCpu(const BenchServer*);       /* nanoseconds on a processor so far */
i64 benchServerRss(const BenchServer*);       /* bytes resident */
/* A connection to 127.0.0.1:iPort, or -1. */
int benchServerConnect(int iPort);
/* Print that a row, or a contestant of it, is left out. */
void benchServerMissing(const char *zRow, const char *zWhat, const char *zWhy);

/* bench_null.c: serve on listening socket fd until killed. */
_Noreturn void benchNullRun(int fd);

/* bench_kafka.c: the time to produce nMsg messages of szVal bytes to a topic with
** a Kafka client, until the last is acknowledged; and to consume them. */
i64 benchKafkaProduce(const BenchServer*, const char *zTopic, i64 nMsg, int szVal);
i64 benchKafkaConsume(const BenchServer*, const char *zTopic, i64 nMsg, int szVal);
/* Why there is no Kafka client, or NULL. */
const char *benchKafkaMissing(void);

#endif
