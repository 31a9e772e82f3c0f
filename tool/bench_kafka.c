/*
** bench_kafka.c: rows 20 to 23 and 26, and the sweep: librdkafka against prilld,
** the null broker and Apache Kafka.
**
** One producer, one partition, messages of the pool's values, not compressed
** unless the words say so; acks=1.  The time of a run is from the first produce
** call until the last message is acknowledged, or from the first poll until the last
** message is there.  Each run has a topic of its own; servers live through a row.
** The processor time of a broker is the kernel's count of all its threads
** (schedstat).
*/
#define _GNU_SOURCE 1
#include "bench_server.h"

#ifndef BENCH_RDKAFKA

const char *benchKafkaMissing(void){
  return "built without librdkafka (Debian package: librdkafka-dev)";
}
i64 benchKafkaProduce(const BenchServer *p, const char *zTopic, i64 nMsg, int szVal){
  (void)p; (void)zTopic; (void)nMsg; (void)szVal;
  return 1;
}
i64 benchKafkaConsume(const BenchServer *p, const char *zTopic, i64 nMsg, int szVal){
  (void)p; (void)zTopic; (void)nMsg; (void)szVal;
  return 1;
}
void benchRow20(void){ benchServerMissing("20", "librdkafka", benchKafkaMissing()); }
void benchRow21(void){ benchServerMissing("21", "librdkafka", benchKafkaMissing()); }
void benchRow22(void){ benchServerMissing("22", "librdkafka", benchKafkaMissing()); }
void benchRow23(void){ benchServerMissing("23", "librdkafka", benchKafkaMissing()); }
void benchRow26(void){ benchServerMissing("26", "librdkafka", benchKafkaMissing()); }
void benchRowSweep(void){ benchServerMissing("sweep", "librdkafka", benchKafkaMissing()); }

#else

#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KAFKA_WAIT 60000

const char *benchKafkaMissing(void){
  return 0;
}

static i64 kafkaNow(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (i64)t.tv_sec*1000000000 + t.tv_nsec;
}

/* Settings of a run: name, value, ..., NULL. */
typedef struct KafkaRun KafkaRun;
struct KafkaRun {
  const BenchServer *pServer;
  const char *zTopic;
  i64 nMsg;
  int szVal;
  i64 nsEach;             /* produce one each so many ns; 0: as fast as it goes */
  const char *const *azSet;
  i64 *aLatency;          /* of nMsg, or NULL */
  i64 nDone;
};

static rd_kafka_t *kafkaClient(rd_kafka_type_t eType, rd_kafka_conf_t *pConf, const KafkaRun *p){
  char zErr[256];
  rd_kafka_t *rk;
  int i;
  const char *const azBase[] = {"bootstrap.servers", p->pServer->zAddr, "log_level", "2", 0};
  const char *const *az = azBase;
  for(i=0; i<2; i++, az = p->azSet){
    for(; az && az[0]; az+=2){
      if( rd_kafka_conf_set(pConf, az[0], az[1], zErr, sizeof(zErr)) ) benchFail("%s: %s", az[0], zErr);
    }
  }
  rk = rd_kafka_new(eType, pConf, zErr, sizeof(zErr));
  if( rk==0 ) benchFail("%s", zErr);
  return rk;
}

static void kafkaDelivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *pArg){
  KafkaRun *p = (KafkaRun*)pArg;
  (void)rk;
  if( m->err ) benchFail("%s: %s", p->pServer->zName, rd_kafka_err2str(m->err));
  if( p->aLatency ) p->aLatency[p->nDone] = kafkaNow() - *(i64*)m->_private;
  p->nDone++;
}

static void kafkaProduceLoop(KafkaRun *p, rd_kafka_t *rk, i64 *aSent){
  rd_kafka_topic_t *pTopic = rd_kafka_topic_new(rk, p->zTopic, 0);
  i64 i, nsFirst = kafkaNow();
  for(i=0; i<p->nMsg; ){
    char *zVal = (char*)(uintptr_t)benchValue(p->szVal, i);
    if( p->nsEach ){
      while( kafkaNow()<nsFirst + i*p->nsEach ) rd_kafka_poll(rk, 0);
    }
    if( aSent ) aSent[i] = kafkaNow();
    if( rd_kafka_produce(pTopic, 0, 0, zVal, (size_t)p->szVal, benchKey(i), BENCH_KEY, aSent ? &aSent[i] : 0)==0 ){
      if( ++i%64==0 ) rd_kafka_poll(rk, 0);
    }else if( rd_kafka_last_error()==RD_KAFKA_RESP_ERR__QUEUE_FULL ){
      rd_kafka_poll(rk, 1);
    }else{
      benchFail("%s: %s", p->pServer->zName, rd_kafka_err2str(rd_kafka_last_error()));
    }
  }
  while( p->nDone<p->nMsg && kafkaNow()-nsFirst<(i64)KAFKA_WAIT*10000000 ) rd_kafka_poll(rk, 10);
  if( p->nDone<p->nMsg ) benchFail("%s: %lld of %lld messages acknowledged", p->pServer->zName, p->nDone, p->nMsg);
  rd_kafka_topic_destroy(pTopic);
}

/* Make the topic known to both sides before the clock runs. */
static void kafkaWarm(KafkaRun *p, rd_kafka_t *rk){
  const struct rd_kafka_metadata *pMeta;
  rd_kafka_topic_t *pTopic = rd_kafka_topic_new(rk, p->zTopic, 0);
  int i, nPart = 0;
  for(i=0; i<100 && nPart==0; i++){
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, pTopic, &pMeta, KAFKA_WAIT);
    if( err ) benchFail("%s: metadata: %s", p->pServer->zName, rd_kafka_err2str(err));
    nPart = pMeta->topics[0].err ? 0 : pMeta->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(pMeta);
    if( nPart==0 ) usleep(50000);
  }
  rd_kafka_topic_destroy(pTopic);
}

static i64 kafkaProduce(KafkaRun *p){
  rd_kafka_conf_t *pConf = rd_kafka_conf_new();
  i64 *aSent = p->aLatency ? benchAlloc(sizeof(i64)*(size_t)p->nMsg) : 0;
  rd_kafka_t *rk;
  i64 ns;
  p->nDone = 0;
  rd_kafka_conf_set_dr_msg_cb(pConf, kafkaDelivered);
  rd_kafka_conf_set_opaque(pConf, p);
  rk = kafkaClient(RD_KAFKA_PRODUCER, pConf, p);
  kafkaWarm(p, rk);
  ns = kafkaNow();
  kafkaProduceLoop(p, rk, aSent);
  ns = kafkaNow() - ns;
  rd_kafka_destroy(rk);
  free(aSent);
  return ns;
}

static i64 kafkaConsume(KafkaRun *p){
  rd_kafka_t *rk = kafkaClient(RD_KAFKA_CONSUMER, rd_kafka_conf_new(), p);
  rd_kafka_topic_t *pTopic = rd_kafka_topic_new(rk, p->zTopic, 0);
  rd_kafka_message_t *ap[1000];
  i64 ns, n = 0, nByte = 0;
  kafkaWarm(p, rk);
  ns = kafkaNow();
  if( rd_kafka_consume_start(pTopic, 0, RD_KAFKA_OFFSET_BEGINNING) ) benchFail("%s: consume", p->pServer->zName);
  while( n<p->nMsg && kafkaNow()-ns<(i64)KAFKA_WAIT*1000000 ){
    ssize_t k = rd_kafka_consume_batch(pTopic, 0, 1000, ap, 1000), i;
    for(i=0; i<k; i++){
      if( ap[i]->err==0 ){
        n++;
        nByte += (i64)ap[i]->len;
      }
      rd_kafka_message_destroy(ap[i]);
    }
  }
  ns = kafkaNow() - ns;
  if( n<p->nMsg || nByte!=n*p->szVal ) benchFail("%s: consumed %lld of %lld messages", p->pServer->zName, n, p->nMsg);
  rd_kafka_consume_stop(pTopic, 0);
  rd_kafka_topic_destroy(pTopic);
  rd_kafka_destroy(rk);
  return ns;
}

static const char *const azProduce[] = {
  "acks", "1", "linger.ms", "5", "queue.buffering.max.messages", "500000", "batch.num.messages", "10000", 0
};
static const char *const azConsume[] = {
  "group.id", "bench", "check.crcs", "true", "fetch.wait.max.ms", "10", "queued.min.messages", "500000",
  "enable.partition.eof", "false", 0
};

i64 benchKafkaProduce(const BenchServer *pServer, const char *zTopic, i64 nMsg, int szVal){
  KafkaRun run = {pServer, zTopic, nMsg, szVal, 0, azProduce, 0, 0};
  return kafkaProduce(&run);
}
i64 benchKafkaConsume(const BenchServer *pServer, const char *zTopic, i64 nMsg, int szVal){
  KafkaRun run = {pServer, zTopic, nMsg, szVal, 0, azConsume, 0, 0};
  return kafkaConsume(&run);
}

/* A name that no run had. */
static const char *kafkaTopic(const char *zPrefix){
  static char z[64];
  static int i;
  snprintf(z, sizeof(z), "%s-%d", zPrefix, ++i);
  return z;
}

static int kafkaCompare(const void *a, const void *b){
  i64 x = *(const i64*)a, y = *(const i64*)b;
  return x<y ? -1 : x>y;
}
/* The rPart quantile of a[0..n), in microseconds; a is sorted. */
static double kafkaQuantile(i64 *a, i64 n, double rPart){
  qsort(a, (size_t)n, sizeof(i64), kafkaCompare);
  return (double)a[(i64)((double)(n-1)*rPart)]/1000;
}

static i64 kafkaCount(int szVal){
  return benchScale(szVal<300 ? 1000000 : 300000);
}

/**************************************************************************
** Rows 20, 21 and 22: beside the null broker.
*/
static void kafkaBesideNull(const char *zRow, int eKind, double rGoal, const double *aCpuGoal){
  static const int aSize[] = {100, 1000};
  BenchServer aServer[2];
  double a[BENCH_MXROUND], aCpu[BENCH_MXROUND];
  const char *zWhy = benchServerStart(&aServer[1], eKind);
  int i, r, k;
  if( zWhy ){
    benchServerMissing(zRow, "librdkafka produce", zWhy);
    return;
  }
  benchServerStart(&aServer[0], SERVER_NULL);
  for(i=0; i<2; i++){
    char zWhat[100];
    i64 nMsg = kafkaCount(aSize[i]), aNs[2] = {1, 1};
    snprintf(zWhat, sizeof(zWhat), "librdkafka produce, %d B, %s", aSize[i], aServer[1].zName);
    if( !benchMatches(zWhat) ) continue;
    for(r=-1; r<bench.nRound; r++){
      for(k=0; k<2; k++){
        int j = (k+r+1)&1;
        i64 nsCpu;
        benchSettle(0);
        nsCpu = benchServerCpu(&aServer[j]);
        aNs[j] = benchKafkaProduce(&aServer[j], kafkaTopic("p"), r<0 ? nMsg/5 : nMsg, aSize[i]);
        if( j==1 && r>=0 ) aCpu[r] = (double)(benchServerCpu(&aServer[j])-nsCpu)/1000/(double)nMsg;
      }
      if( r>=0 ) a[r] = (double)aNs[0]/(double)aNs[1];
    }
    benchReport(zRow, zWhat, a, bench.nRound, rGoal, "x", "of the null broker; last %.2f M/s, null %.2f M/s",
                (double)nMsg*1000/(double)aNs[1], (double)nMsg*1000/(double)aNs[0]);
    benchReport(zRow, "  broker's processor a message", aCpu, bench.nRound, aCpuGoal ? -aCpuGoal[i] : 0, "us",
                "%s", "");
  }
  benchServerStop(&aServer[0]);
  benchServerStop(&aServer[1]);
}

void benchRow20(void){
  static const double aGoal[] = {0.1, 0.2};
  kafkaBesideNull("20", SERVER_PRILLD_OS, 0.9, aGoal);
}
void benchRow21(void){
  kafkaBesideNull("21", SERVER_PRILLD, 0.8, 0);
}

void benchRow22(void){
  static const int aSize[] = {100, 1000};
  BenchServer aServer[2];
  double a[BENCH_MXROUND];
  const char *zWhy = benchServerStart(&aServer[1], SERVER_PRILLD_OS);
  int i, r, k;
  if( zWhy ){
    benchServerMissing("22", "librdkafka consume", zWhy);
    return;
  }
  for(i=0; i<2; i++){
    char zWhat[100];
    i64 nMsg = kafkaCount(aSize[i]), aNs[2] = {1, 1};
    snprintf(zWhat, sizeof(zWhat), "librdkafka consume, %d B", aSize[i]);
    if( !benchMatches(zWhat) ) continue;
    benchServerStart(&aServer[0], SERVER_NULL);
    for(k=0; k<2; k++) benchKafkaProduce(&aServer[k], i ? "keep-1000" : "keep-100", nMsg, aSize[i]);
    for(r=-1; r<bench.nRound; r++){
      for(k=0; k<2; k++){
        int j = (k+r+1)&1;
        benchSettle(0);
        aNs[j] = benchKafkaConsume(&aServer[j], i ? "keep-1000" : "keep-100", nMsg, aSize[i]);
      }
      if( r>=0 ) a[r] = (double)aNs[0]/(double)aNs[1];
    }
    benchReport("22", zWhat, a, bench.nRound, 0.9, "x",
                "of a server that only sends a file; last %.2f M/s, it %.2f M/s",
                (double)nMsg*1000/(double)aNs[1], (double)nMsg*1000/(double)aNs[0]);
    benchServerStop(&aServer[0]);
  }
  benchServerStop(&aServer[1]);
}

/**************************************************************************
** Row 23: beside Apache Kafka.
*/
static double kafkaP99(const BenchServer *pServer, int szVal, i64 nPerSecond){
  i64 nMsg = nPerSecond*(bench.bQuick ? 2 : 5);
  KafkaRun run = {pServer, kafkaTopic("l"), nMsg, szVal, 1000000000/nPerSecond, azProduce, 0, 0};
  double r;
  run.aLatency = benchAlloc(sizeof(i64)*(size_t)nMsg);
  kafkaProduce(&run);
  r = kafkaQuantile(run.aLatency, nMsg, 0.99);
  free(run.aLatency);
  return r;
}

static void kafkaBesideKafka(BenchServer *aServer, const char *zHow, int szVal){
  double aProduce[BENCH_MXROUND], aConsume[BENCH_MXROUND], aP99[BENCH_MXROUND];
  i64 nMsg = kafkaCount(szVal)/2, aNs[2] = {1, 1}, aNsGet[2] = {1, 1}, nRate;
  double aLast[2] = {0, 0};
  char zWhat[100];
  int r, k;
  for(r=-1; r<bench.nRound; r++){
    for(k=0; k<2; k++){
      int j = (k+r+1)&1;
      const char *zTopic = kafkaTopic("k");
      benchSettle(0);
      aNs[j] = benchKafkaProduce(&aServer[j], zTopic, nMsg, szVal);
      aNsGet[j] = benchKafkaConsume(&aServer[j], zTopic, nMsg, szVal);
    }
    if( r<0 ) continue;
    aProduce[r] = (double)aNs[0]/(double)aNs[1];
    aConsume[r] = (double)aNsGet[0]/(double)aNsGet[1];
    nRate = (i64)((double)nMsg*1e9/(double)aNs[0]/2);
    for(k=0; k<2; k++){
      int j = (k+r)&1;
      aLast[j] = kafkaP99(&aServer[j], szVal, nRate);
    }
    aP99[r] = aLast[1]/aLast[0];
  }
  snprintf(zWhat, sizeof(zWhat), "produce, %d B, %s", szVal, zHow);
  benchReport("23", zWhat, aProduce, bench.nRound, 2, "x", "of Kafka; last %.2f M/s, it %.2f M/s",
              (double)nMsg*1000/(double)aNs[1], (double)nMsg*1000/(double)aNs[0]);
  snprintf(zWhat, sizeof(zWhat), "consume, %d B, %s", szVal, zHow);
  benchReport("23", zWhat, aConsume, bench.nRound, 2, "x", "of Kafka; last %.2f M/s, it %.2f M/s",
              (double)nMsg*1000/(double)aNsGet[1], (double)nMsg*1000/(double)aNsGet[0]);
  snprintf(zWhat, sizeof(zWhat), "p99 of half Kafka's load, %d B, %s", szVal, zHow);
  benchReport("23", zWhat, aP99, bench.nRound, -0.33, "x", "of Kafka's; last %.0f us, it %.0f us", aLast[1], aLast[0]);
}

void benchRow23(void){
  static const int aKafka[] = {SERVER_KAFKA, SERVER_KAFKA_SYNC}, aOurs[] = {SERVER_PRILLD_OS, SERVER_PRILLD};
  int i;
  for(i=0; i<2; i++){
    BenchServer aServer[2];
    const char *zHow = i ? "durable before the answer" : "not synced";
    const char *zWhy = benchServerStart(&aServer[0], aKafka[i]);
    double r;
    if( zWhy==0 ) zWhy = benchServerStart(&aServer[1], aOurs[i]);
    if( zWhy ){
      benchServerMissing("23", "Apache Kafka", zWhy);
      benchServerStop(&aServer[0]);
      return;
    }
    kafkaBesideKafka(aServer, zHow, 100);
    kafkaBesideKafka(aServer, zHow, 1000);
    r = (double)benchServerRss(&aServer[1])/(double)benchServerRss(&aServer[0]);
    benchReport("23", i ? "resident memory after it, durable" : "resident memory after it", &r, 1, -1.0/30, "x",
                "%.1f MB, Kafka %.1f MB", (double)benchServerRss(&aServer[1])/1e6,
                (double)benchServerRss(&aServer[0])/1e6);
    r = (double)aServer[1].nsStart/(double)aServer[0].nsStart;
    benchReport("23", i ? "start, durable" : "start", &r, 1, -1.0/50, "x", "%.1f ms, Kafka %.1f ms",
                (double)aServer[1].nsStart/1e6, (double)aServer[0].nsStart/1e6);
    benchServerStop(&aServer[0]);
    benchServerStop(&aServer[1]);
  }
}

/**************************************************************************
** Row 26: one message at a time.
*/
static double kafkaOneByOne(const BenchServer *pServer){
  static const char *const azSet[] = {"acks", "1", "linger.ms", "0", 0};
  i64 n = benchScale(5000), i, *a = benchAlloc(sizeof(i64)*(size_t)n);
  KafkaRun run = {pServer, kafkaTopic("o"), 0, 100, 0, azSet, 0, 0};
  rd_kafka_conf_t *pConf = rd_kafka_conf_new();
  rd_kafka_topic_t *pTopic;
  rd_kafka_t *rk;
  double r;
  rd_kafka_conf_set_dr_msg_cb(pConf, kafkaDelivered);
  rd_kafka_conf_set_opaque(pConf, &run);
  rk = kafkaClient(RD_KAFKA_PRODUCER, pConf, &run);
  kafkaWarm(&run, rk);
  pTopic = rd_kafka_topic_new(rk, run.zTopic, 0);
  for(i=0; i<n; i++){
    char *zVal = (char*)(uintptr_t)benchValue(100, i);
    a[i] = kafkaNow();
    if( rd_kafka_produce(pTopic, 0, 0, zVal, 100, 0, 0, 0) ) benchFail("%s: produce", pServer->zName);
    while( run.nDone<=i ) rd_kafka_poll(rk, 100);
    a[i] = kafkaNow() - a[i];
  }
  r = kafkaQuantile(a, n, 0.5);
  rd_kafka_topic_destroy(pTopic);
  rd_kafka_destroy(rk);
  free(a);
  return r;
}

/* Microseconds of one fdatasync after a small write in the middle of a file. */
static double kafkaSync(void){
  char zFile[600], a[512] = "";
  i64 aNs[200];
  int i, fd, bOk;
  snprintf(zFile, sizeof(zFile), "%s/bench-sync-%d", bench.zDir, (int)getpid());
  fd = open(zFile, O_RDWR|O_CREAT, 0600);
  for(i=0, bOk=fd>=0; bOk && i<400; i++) bOk = pwrite(fd, a, sizeof(a), i*512)>0;
  if( !bOk || fsync(fd) ) benchFail("%s cannot be written", zFile);
  for(i=0; i<200; i++){
    aNs[i] = kafkaNow();
    if( pwrite(fd, a, sizeof(a), i*512)<0 || fdatasync(fd) ) benchFail("%s: fdatasync", zFile);
    aNs[i] = kafkaNow() - aNs[i];
  }
  close(fd);
  unlink(zFile);
  return kafkaQuantile(aNs, 200, 0.5);
}

void benchRow26(void){
  static const int aKind[] = {SERVER_NULL, SERVER_PRILLD_OS, SERVER_PRILLD};
  BenchServer aServer[3];
  double aOs[BENCH_MXROUND], aSync[BENCH_MXROUND], aNull[BENCH_MXROUND], rSync = kafkaSync();
  int r, k;
  for(k=0; k<3; k++){
    const char *zWhy = benchServerStart(&aServer[k], aKind[k]);
    if( zWhy ){
      benchServerMissing("26", "one message, linger 0", zWhy);
      benchServerStop(&aServer[0]);
      return;
    }
  }
  for(r=0; r<bench.nRound; r++){
    double a[3];
    for(k=0; k<3; k++) a[(k+r)%3] = kafkaOneByOne(&aServer[(k+r)%3]);
    aNull[r] = a[0];
    aOs[r] = a[1]-a[0];
    aSync[r] = a[2]-a[0];
  }
  benchReport("26", "one message, p50, the null broker", aNull, bench.nRound, 0, "us", "%s", "");
  benchReport("26", "one message, p50 above it, flush=os", aOs, bench.nRound, -20, "us", "%s", "");
  benchReport("26", "one message, p50 above it, durable", aSync, bench.nRound, -(20+1.2*rSync), "us",
              "one fdatasync %.0f us", rSync);
  for(k=0; k<3; k++) benchServerStop(&aServer[k]);
}

/**************************************************************************
** The sweep: what the clients' settings do.
*/
static void sweepProduce(const BenchServer *pServer, const char *zName, const char *zValue, int szVal){
  const char *azSet[16] = {"acks", "1", "linger.ms", "5", "queue.buffering.max.messages", "500000",
                           "batch.num.messages", "100000", "batch.size", "1000000", "compression.codec", "none", 0};
  i64 nMsg = kafkaCount(szVal)/5;
  KafkaRun run = {pServer, 0, nMsg, szVal, 0, azSet, 0, 0};
  double a[BENCH_MXROUND], rP50 = 0, rP99 = 0;
  char zWhat[100];
  int i, r;
  for(i=0; azSet[i] && strcmp(azSet[i], zName)!=0; i+=2){}
  azSet[i] = zName;
  azSet[i+1] = zValue;
  snprintf(zWhat, sizeof(zWhat), "produce, %d B, %s=%s", szVal, zName, zValue);
  if( !benchMatches(zWhat) ) return;
  run.aLatency = benchAlloc(sizeof(i64)*(size_t)nMsg);
  for(r=0; r<bench.nRound; r++){
    run.zTopic = kafkaTopic("s");
    a[r] = (double)nMsg*1e6/(double)kafkaProduce(&run);
    rP50 = kafkaQuantile(run.aLatency, nMsg, 0.5);
    rP99 = kafkaQuantile(run.aLatency, nMsg, 0.99);
  }
  benchReport("sweep", zWhat, a, bench.nRound, 0, "k/s", "last: p50 %.1f ms, p99 %.1f ms", rP50/1000, rP99/1000);
  free(run.aLatency);
}

static void sweepConsume(
  const BenchServer *pServer, const char *zName, const char *zValue, int szVal, const char *zTopic
){
  const char *azSet[16] = {"group.id", "bench", "check.crcs", "true", "fetch.wait.max.ms", "10",
                           "queued.min.messages", "500000", "fetch.message.max.bytes", "1048576", 0};
  KafkaRun run = {pServer, zTopic, kafkaCount(szVal)/5, szVal, 0, azSet, 0, 0};
  double a[BENCH_MXROUND];
  char zWhat[100];
  int i, r;
  for(i=0; azSet[i] && strcmp(azSet[i], zName)!=0; i+=2){}
  azSet[i] = zName;
  azSet[i+1] = zValue;
  snprintf(zWhat, sizeof(zWhat), "consume, %d B, %s=%s", szVal, zName, zValue);
  if( !benchMatches(zWhat) ) return;
  for(r=0; r<bench.nRound; r++) a[r] = (double)run.nMsg*1e6/(double)kafkaConsume(&run);
  benchReport("sweep", zWhat, a, bench.nRound, 0, "k/s", "%s", "");
}

void benchRowSweep(void){
  static const char *const azProd[] = {
    "batch.size", "4096", "batch.size", "65536", "batch.size", "1000000", "linger.ms", "0", "linger.ms", "5",
    "linger.ms", "50", "compression.codec", "none", "compression.codec", "lz4", "compression.codec", "snappy",
    "compression.codec", "gzip", "compression.codec", "zstd", "acks", "0", "acks", "1", "acks", "all", 0
  };
  static const char *const azCons[] = {
    "fetch.message.max.bytes", "16384", "fetch.message.max.bytes", "262144", "fetch.message.max.bytes", "1048576", 0
  };
  BenchServer server;
  const char *zWhy = benchServerStart(&server, SERVER_PRILLD);
  int i, szVal;
  if( zWhy ){
    benchServerMissing("sweep", "prilld", zWhy);
    return;
  }
  for(szVal=100; szVal<=1000; szVal*=10){
    const char *zTopic = szVal==100 ? "sweep-100" : "sweep-1000";
    for(i=0; azProd[i]; i+=2) sweepProduce(&server, azProd[i], azProd[i+1], szVal);
    benchKafkaProduce(&server, zTopic, kafkaCount(szVal)/5, szVal);
    for(i=0; azCons[i]; i+=2) sweepConsume(&server, azCons[i], azCons[i+1], szVal, zTopic);
  }
  benchServerStop(&server);
}

#endif /* BENCH_RDKAFKA */
