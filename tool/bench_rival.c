/*
** bench_rival.c: rows 24 and 25: prilld beside Redis Streams and NATS JetStream.
**
** Both are spoken to in their own text protocols over one connection, pipelined as
** their fastest clients do: Redis gets RIVAL_PIPE XADD commands in one write and its
** replies are counted; NATS gets messages with a reply subject, whose
** acknowledgements are counted, at most RIVAL_PIPE outstanding.  prilld gets the
** same messages from librdkafka.  RabbitMQ is not run: its package brings Erlang's
** whole runtime, and its streams speak a protocol of their own.
*/
#define _GNU_SOURCE 1
#include "bench_server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RIVAL_PIPE 1000
#define RIVAL_BUF (4*1024*1024)

typedef struct Rival Rival;
struct Rival {
  const BenchServer *pServer;
  int fd;
  size_t n;                   /* bytes in aOut */
  char *aOut, *aIn;
};

static i64 rivalNow(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (i64)t.tv_sec*1000000000 + t.tv_nsec;
}

static void rivalOpen(Rival *p, const BenchServer *pServer){
  p->pServer = pServer;
  p->fd = benchServerConnect(pServer->iPort);
  if( p->fd<0 ) benchFail("%s: no connection", pServer->zName);
  p->n = 0;
  p->aOut = benchAlloc(RIVAL_BUF);
  p->aIn = benchAlloc(RIVAL_BUF);
}
static void rivalClose(Rival *p){
  close(p->fd);
  free(p->aOut);
  free(p->aIn);
}
static void rivalPut(Rival *p, const char *a, size_t n){
  if( p->n+n>RIVAL_BUF ) benchFail("%s: too much at once", p->pServer->zName);
  memcpy(p->aOut+p->n, a, n);
  p->n += n;
}
static void rivalSend(Rival *p){
  size_t i = 0;
  while( i<p->n ){
    ssize_t k = send(p->fd, p->aOut+i, p->n-i, MSG_NOSIGNAL);
    if( k<=0 ) benchFail("%s: the connection broke", p->pServer->zName);
    i += (size_t)k;
  }
  p->n = 0;
}
static ssize_t rivalRead(Rival *p){
  ssize_t k = recv(p->fd, p->aIn, RIVAL_BUF, 0);
  if( k<=0 ) benchFail("%s: the connection broke", p->pServer->zName);
  return k;
}

/**************************************************************************
** Redis.  A reply to XADD is "$N\r\nID\r\n": two lines.
*/
static void redisReplies(Rival *p, i64 nLine){
  while( nLine>0 ){
    ssize_t k = rivalRead(p), i;
    if( p->aIn[0]=='-' ) benchFail("Redis: %.*s", (int)k, p->aIn);
    for(i=0; i<k; i++) nLine -= p->aIn[i]=='\n';
  }
}

static i64 redisProduce(const BenchServer *pServer, i64 nMsg, int szVal){
  Rival r;
  i64 i, ns;
  char z[128];
  rivalOpen(&r, pServer);
  rivalPut(&r, "DEL s\r\n", 7);
  rivalSend(&r);
  redisReplies(&r, 1);
  ns = rivalNow();
  for(i=0; i<nMsg; ){
    i64 n = 0;
    for(; n<RIVAL_PIPE && i<nMsg; n++, i++){
      int k = snprintf(z, sizeof(z), "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nv\r\n$%d\r\n", szVal);
      rivalPut(&r, z, (size_t)k);
      rivalPut(&r, benchValue(szVal, i), (size_t)szVal);
      rivalPut(&r, "\r\n", 2);
    }
    rivalSend(&r);
    redisReplies(&r, 2*n);
  }
  ns = rivalNow() - ns;
  rivalClose(&r);
  return ns;
}

/* XRANGE from after the last id, RIVAL_PIPE at a time.  An entry is nine lines:
** *2 $N id *2 $1 v $N value, and its own header's. */
static i64 redisConsume(const BenchServer *pServer, i64 nMsg, int szVal){
  Rival r;
  i64 n = 0, ns;
  char zFrom[64] = "-", z[128];
  rivalOpen(&r, pServer);
  ns = rivalNow();
  while( n<nMsg ){
    i64 nWant = nMsg-n<RIVAL_PIPE ? nMsg-n : RIVAL_PIPE, nSeen = 0;
    size_t nIn = 0;
    char *zId = 0;
    int k = snprintf(z, sizeof(z), "*6\r\n$6\r\nXRANGE\r\n$1\r\ns\r\n$%d\r\n%s\r\n$1\r\n+\r\n$5\r\nCOUNT\r\n"
                     "$4\r\n%04d\r\n", (int)strlen(zFrom), zFrom, (int)nWant);
    rivalPut(&r, z, (size_t)k);
    rivalSend(&r);
    while( nSeen<1+8*nWant ){
      ssize_t got = recv(r.fd, r.aIn+nIn, RIVAL_BUF-nIn, 0);
      size_t i;
      if( got<=0 ) benchFail("Redis: the connection broke");
      for(i=nIn; i<nIn+(size_t)got; i++){
        if( r.aIn[i]!='\n' ) continue;
        nSeen++;
        /* The line before the last entry's id is its 2nd. */
        if( nSeen==1+8*(nWant-1)+2 ) zId = r.aIn+i+1;
      }
      nIn += (size_t)got;
    }
    if( zId==0 ) benchFail("Redis: no id");
    snprintf(zFrom, sizeof(zFrom), "(%.*s", (int)strcspn(zId, "\r"), zId);
    n += nWant;
  }
  ns = rivalNow() - ns;
  (void)szVal;
  rivalClose(&r);
  return ns;
}

/* Redis at one level beside prilld at its. */
static void rivalRedis(int eRedis, int eOurs, double rGoal){
  static const int aSize[] = {100, 1000};
  BenchServer aServer[2];
  double a[BENCH_MXROUND], aGet[BENCH_MXROUND], r;
  const char *zWhy = benchServerStart(&aServer[0], eRedis);
  int i, k, iRound;
  if( zWhy==0 ) zWhy = benchKafkaMissing();
  if( zWhy==0 ) zWhy = benchServerStart(&aServer[1], eOurs);
  if( zWhy ){
    benchServerMissing("24", "Redis Streams", zWhy);
    benchServerStop(&aServer[0]);
    return;
  }
  for(i=0; i<2; i++){
    i64 nMsg = benchScale(200000), aNs[2] = {1, 1}, aNsGet[2] = {1, 1};
    char zWhat[100];
    for(iRound=0; iRound<bench.nRound; iRound++){
      for(k=0; k<2; k++){
        char zTopic[32];
        benchSettle(0);
        if( ((k+iRound)&1)==0 ){
          aNs[0] = redisProduce(&aServer[0], nMsg, aSize[i]);
          aNsGet[0] = redisConsume(&aServer[0], nMsg, aSize[i]);
        }else{
          snprintf(zTopic, sizeof(zTopic), "r-%d-%d", i, iRound);
          aNs[1] = benchKafkaProduce(&aServer[1], zTopic, nMsg, aSize[i]);
          aNsGet[1] = benchKafkaConsume(&aServer[1], zTopic, nMsg, aSize[i]);
        }
      }
      a[iRound] = (double)aNs[0]/(double)aNs[1];
      aGet[iRound] = (double)aNsGet[0]/(double)aNsGet[1];
    }
    snprintf(zWhat, sizeof(zWhat), "produce, %d B, beside %s", aSize[i], aServer[0].zName);
    benchReport("24", zWhat, a, bench.nRound, rGoal, "x", "last %.2f M/s, it %.2f M/s",
                (double)nMsg*1000/(double)aNs[1], (double)nMsg*1000/(double)aNs[0]);
    snprintf(zWhat, sizeof(zWhat), "consume, %d B, beside %s", aSize[i], aServer[0].zName);
    benchReport("24", zWhat, aGet, bench.nRound, 3, "x", "last %.2f M/s, it %.2f M/s",
                (double)nMsg*1000/(double)aNsGet[1], (double)nMsg*1000/(double)aNsGet[0]);
  }
  r = (double)benchServerRss(&aServer[1])/(double)benchServerRss(&aServer[0]);
  benchReport("24", "resident memory after it", &r, 1, -0.2, "x", "%.1f MB, it %.1f MB",
              (double)benchServerRss(&aServer[1])/1e6, (double)benchServerRss(&aServer[0])/1e6);
  benchServerStop(&aServer[0]);
  benchServerStop(&aServer[1]);
}

void benchRow24(void){
  rivalRedis(SERVER_REDIS, SERVER_PRILLD_OS, 8);
  rivalRedis(SERVER_REDIS_ALWAYS, SERVER_PRILLD, 15);
}

/**************************************************************************
** NATS.  Every acknowledgement is a MSG with a JSON body that has "seq".
*/
static i64 natsCount(const char *a, size_t n){
  const char *z = a;
  i64 nAck = 0;
  while( (z = memmem(z, n-(size_t)(z-a), "\"seq\":", 6))!=0 ){
    nAck++;
    z += 6;
  }
  return nAck;
}

static void natsStream(Rival *p, const char *zName){
  char zBody[200], z[400];
  int n = snprintf(zBody, sizeof(zBody), "{\"name\":\"%s\",\"subjects\":[\"%s\"],\"storage\":\"file\","
                   "\"retention\":\"limits\",\"num_replicas\":1}", zName, zName);
  int k = snprintf(z, sizeof(z), "CONNECT {\"verbose\":false}\r\nSUB made 1\r\n"
                   "PUB $JS.API.STREAM.CREATE.%s made %d\r\n%s\r\n", zName, n, zBody);
  size_t nIn = 0;
  rivalPut(p, z, (size_t)k);
  rivalSend(p);
  while( memmem(p->aIn, nIn, "stream_create_response", 22)==0 ){
    ssize_t got = recv(p->fd, p->aIn+nIn, RIVAL_BUF-nIn, 0);
    if( got<=0 ) benchFail("NATS: no stream");
    nIn += (size_t)got;
  }
  if( memmem(p->aIn, nIn, "\"error\"", 7) ) benchFail("NATS: %.*s", (int)nIn, p->aIn);
  rivalPut(p, "SUB ack 2\r\n", 11);
  rivalSend(p);
}

/* Acknowledgements are counted as whole bodies arrive; a tail is kept, so that one
** cut in two is seen once. */
static i64 natsProduce(const BenchServer *pServer, const char *zName, i64 nMsg, int szVal){
  Rival r;
  i64 i = 0, nAck = 0, ns;
  size_t nKept = 0;
  char z[128];
  rivalOpen(&r, pServer);
  natsStream(&r, zName);
  ns = rivalNow();
  while( nAck<nMsg ){
    char *zEnd;
    ssize_t k;
    while( i<nMsg && i-nAck<4*RIVAL_PIPE && r.n<RIVAL_BUF/8 ){
      int n = snprintf(z, sizeof(z), "PUB %s ack %d\r\n", zName, szVal);
      rivalPut(&r, z, (size_t)n);
      rivalPut(&r, benchValue(szVal, i++), (size_t)szVal);
      rivalPut(&r, "\r\n", 2);
    }
    rivalSend(&r);
    k = recv(r.fd, r.aIn+nKept, RIVAL_BUF-nKept, 0);
    if( k<=0 ) benchFail("NATS: the connection broke");
    nKept += (size_t)k;
    zEnd = memrchr(r.aIn, '\n', nKept);
    if( zEnd==0 ) continue;
    k = zEnd+1-r.aIn;
    nAck += natsCount(r.aIn, (size_t)k);
    if( memmem(r.aIn, (size_t)k, "PING\r\n", 6) ) rivalPut(&r, "PONG\r\n", 6);
    memmove(r.aIn, r.aIn+k, nKept-(size_t)k);
    nKept -= (size_t)k;
  }
  ns = rivalNow() - ns;
  rivalClose(&r);
  return ns;
}

void benchRow25(void){
  static const int aSize[] = {100, 1000};
  BenchServer aServer[2];
  double a[BENCH_MXROUND];
  const char *zWhy = benchServerStart(&aServer[0], SERVER_NATS);
  int i, k, iRound;
  if( zWhy==0 ) zWhy = benchKafkaMissing();
  if( zWhy==0 ) zWhy = benchServerStart(&aServer[1], SERVER_PRILLD_OS);
  if( zWhy ){
    benchServerMissing("25", "NATS JetStream", zWhy);
    benchServerStop(&aServer[0]);
    return;
  }
  for(i=0; i<2; i++){
    i64 nMsg = benchScale(200000), aNs[2] = {1, 1};
    char zWhat[100], zName[32];
    for(iRound=0; iRound<bench.nRound; iRound++){
      for(k=0; k<2; k++){
        int j = (k+iRound)&1;
        snprintf(zName, sizeof(zName), "n-%d-%d", i, iRound);
        benchSettle(0);
        aNs[j] = j ? benchKafkaProduce(&aServer[1], zName, nMsg, aSize[i])
                   : natsProduce(&aServer[0], zName, nMsg, aSize[i]);
      }
      a[iRound] = (double)aNs[0]/(double)aNs[1];
    }
    snprintf(zWhat, sizeof(zWhat), "produce, %d B, beside %s", aSize[i], aServer[0].zName);
    benchReport("25", zWhat, a, bench.nRound, 10, "x", "last %.2f M/s, it %.2f M/s", (double)nMsg*1000/(double)aNs[1],
                (double)nMsg*1000/(double)aNs[0]);
  }
  benchServerMissing("25", "RabbitMQ streams", "not run: see bench_rival.c");
  benchServerStop(&aServer[0]);
  benchServerStop(&aServer[1]);
}
