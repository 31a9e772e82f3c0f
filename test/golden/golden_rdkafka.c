/*
** golden_rdkafka.c: batches as librdkafka's producer puts them on the wire.
**
** A producer of librdkafka sends to the mock broker built into librdkafka.
** Its connections go through a relay in this program (connect_cb gives the
** address), which passes all bytes on and keeps those that go to the broker.
** The record batches are cut out of the Produce requests and saved as they
** were sent.  What they hold goes to librdkafka.txt from this program's own
** tables.  See README.
**
** Build and run:
**   cc -o golden_rdkafka golden_rdkafka.c -lrdkafka -lz -lpthread
**   ./golden_rdkafka DIRECTORY
*/
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define T0 1700000000000LL
#define MX_STREAM 1000

/* Bytes sent to the broker on one connection. */
typedef struct Stream Stream;
struct Stream {
  int fdClient, fdBroker;
  unsigned char *a;
  size_t n, nAlloc;
};
static Stream aStream[MX_STREAM];
static int nStream;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void fatal(const char *z){
  fprintf(stderr, "golden_rdkafka: %s\n", z);
  exit(1);
}

/* ---------------------------------------------------------------- relay */

static void *relayUp(void *pArg){
  Stream *p = (Stream*)pArg;
  unsigned char a[65536];
  ssize_t n;
  while( (n = read(p->fdClient, a, sizeof(a)))>0 ){
    size_t i = 0;
    pthread_mutex_lock(&mutex);
    if( p->n+(size_t)n>p->nAlloc ){
      p->nAlloc = (p->n+(size_t)n)*2;
      p->a = realloc(p->a, p->nAlloc);
      if( p->a==0 ) fatal("out of memory");
    }
    memcpy(p->a+p->n, a, (size_t)n);
    p->n += (size_t)n;
    pthread_mutex_unlock(&mutex);
    while( i<(size_t)n ){
      ssize_t k = write(p->fdBroker, a+i, (size_t)n-i);
      if( k<=0 ) break;
      i += (size_t)k;
    }
  }
  shutdown(p->fdBroker, SHUT_RDWR);
  return 0;
}
static void *relayDown(void *pArg){
  Stream *p = (Stream*)pArg;
  unsigned char a[65536];
  ssize_t n;
  while( (n = read(p->fdBroker, a, sizeof(a)))>0 ){
    if( write(p->fdClient, a, (size_t)n)!=n ) break;
  }
  shutdown(p->fdClient, SHUT_RDWR);
  return 0;
}

/*
** librdkafka asks to connect socket s to a broker.  A listening socket of our
** own is made for the one connection, and s connected to that.
*/
static int relayConnect(int s, const struct sockaddr *pAddr, int nAddr,
                        const char *zId, void *pUnused){
  struct sockaddr_in sin;
  socklen_t nSin = sizeof(sin);
  pthread_t thread;
  Stream *p;
  int fdListen = socket(AF_INET, SOCK_STREAM, 0);
  (void)zId; (void)pUnused;
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if( bind(fdListen, (struct sockaddr*)&sin, sizeof(sin)) || listen(fdListen, 1)
   || getsockname(fdListen, (struct sockaddr*)&sin, &nSin) ) fatal("listen");
  pthread_mutex_lock(&mutex);
  if( nStream>=MX_STREAM ) fatal("too many connections");
  p = &aStream[nStream++];
  pthread_mutex_unlock(&mutex);
  p->fdBroker = socket(pAddr->sa_family, SOCK_STREAM, 0);
  if( connect(p->fdBroker, pAddr, (socklen_t)nAddr) ) fatal("connect");
  (void)connect(s, (struct sockaddr*)&sin, sizeof(sin));   /* not blocking */
  p->fdClient = accept(fdListen, 0, 0);
  if( p->fdClient<0 ) fatal("accept");
  close(fdListen);
  pthread_create(&thread, 0, relayUp, p);
  pthread_create(&thread, 0, relayDown, p);
  return 0;
}

/* -------------------------------------------------------------- requests */

static uint32_t get32(const unsigned char *a){
  return (uint32_t)a[0]<<24 | (uint32_t)a[1]<<16 | (uint32_t)a[2]<<8 | a[3];
}
static int get16(const unsigned char *a){ return (int16_t)(a[0]<<8 | a[1]); }

/*
** The records of the first topic and partition of the Produce request at a
** (after its size), versions 3 to 8.
*/
static const unsigned char *produceRecords(const unsigned char *a, int *pn){
  int n;
  a += 8;                                   /* key, version, correlation id */
  n = get16(a); a += 2 + (n>0 ? n : 0);     /* client id */
  n = get16(a); a += 2 + (n>0 ? n : 0);     /* transactional id */
  a += 2 + 4;                               /* acks, timeout */
  if( get32(a)!=1 ) fatal("more than one topic in a request");
  a += 4;
  n = get16(a); a += 2 + n;                 /* topic */
  if( get32(a)!=1 ) fatal("more than one partition in a request");
  a += 4 + 4;                               /* count, partition */
  *pn = (int)get32(a);
  return a+4;
}

/*
** Save the only batch that was produced; forget what was captured.  Returns
** the number of Produce requests: only 1 is success.
*/
static int saveBatch(const char *zPath){
  int i, nFound = 0;
  pthread_mutex_lock(&mutex);
  for(i=0; i<nStream; i++){
    Stream *p = &aStream[i];
    size_t k = 0;
    while( k+4<=p->n && k+4+get32(p->a+k)<=p->n ){
      const unsigned char *a = p->a+k+4;
      if( get16(a)==0 ){
        int n;
        const unsigned char *aRec = produceRecords(a, &n);
        FILE *f = fopen(zPath, "wb");
        if( f==0 || fwrite(aRec, 1, (size_t)n, f)!=(size_t)n || fclose(f) ){
          fatal(zPath);
        }
        if( (uint32_t)n!=12+get32(aRec+8) ) nFound++;
        nFound++;
      }
      k += 4+get32(p->a+k);
    }
    p->n = 0;
  }
  pthread_mutex_unlock(&mutex);
  return nFound;
}

/* ------------------------------------------------------------------ sets */

typedef struct Record Record;
struct Record {
  long long ts;
  const void *pKey; int nKey;          /* -1: null */
  const void *pVal; int nVal;
  int nHdr;
  struct { const char *zName; const void *p; int n; } aHdr[4];
};
typedef struct Set Set;
struct Set { const char *zName; int n; Record *a; };

static FILE *manifest;

/* Bytes in the manifest: - null, x and hex, or n, length and CRC-32. */
static void show(const void *p, int n){
  const unsigned char *a = p;
  int i;
  if( n<0 ){
    fprintf(manifest, " -");
  }else if( n>40 ){
    fprintf(manifest, " n%d:%08lx", n, crc32(0, a, (uInt)n));
  }else{
    fprintf(manifest, " x");
    for(i=0; i<n; i++) fprintf(manifest, "%02x", a[i]);
  }
}
static void showSet(const Set *p){
  int i, k;
  fprintf(manifest, "set %s\n", p->zName);
  for(i=0; i<p->n; i++){
    const Record *r = &p->a[i];
    fprintf(manifest, "r %d %lld", i, r->ts);
    show(r->pKey, r->nKey);
    show(r->pVal, r->nVal);
    for(k=0; k<r->nHdr; k++){
      show(r->aHdr[k].zName, (int)strlen(r->aHdr[k].zName));
      show(r->aHdr[k].p, r->aHdr[k].n);
    }
    fprintf(manifest, "\n");
  }
}

static Record recordOf(long long ts, const char *zKey, const char *zVal){
  Record r;
  memset(&r, 0, sizeof(r));
  r.ts = ts;
  r.pKey = zKey;
  r.nKey = zKey ? (int)strlen(zKey) : -1;
  r.pVal = zVal;
  r.nVal = zVal ? (int)strlen(zVal) : -1;
  return r;
}
static void addHeader(Record *r, const char *zName, const void *p, int n){
  r->aHdr[r->nHdr].zName = zName;
  r->aHdr[r->nHdr].p = p;
  r->aHdr[r->nHdr++].n = n;
}

static Set setTwo(void){
  static Record a[2];
  Set s = {"two", 2, a};
  a[0] = recordOf(T0, 0, "hello, kafka log engine");
  a[1] = recordOf(T0+5, "k1", "hello, kafka log engine");
  addHeader(&a[1], "h1", "v1", 2);
  return s;
}
static Set setNulls(void){
  static Record a[6];
  Set s = {"nulls", 6, a};
  a[0] = recordOf(T0, 0, 0);
  a[1] = recordOf(T0, "", "");
  a[2] = recordOf(T0, "k", 0);
  a[3] = recordOf(T0, 0, "v");
  a[4] = recordOf(T0, "", 0);
  a[5] = recordOf(T0, "\xff\x80", "\x01");
  return s;
}
static Set setHeaders(void){
  static Record a[3];
  Set s = {"headers", 3, a};
  a[0] = recordOf(T0, "k", "v");
  addHeader(&a[0], "a", "1", 1);
  addHeader(&a[0], "a", "2", 1);
  addHeader(&a[0], "b", 0, -1);
  a[1] = recordOf(T0, "k", "v");
  addHeader(&a[1], "empty", "", 0);
  addHeader(&a[1], "bin", "\0\1\xff", 3);
  a[2] = recordOf(T0, "k", 0);
  addHeader(&a[2], "n\xc3\xa4me", "v\xe2\x82\xac", 4);
  return s;
}
static Set setMany(void){
  static Record a[300];
  static char az[300][2][64];
  Set s = {"many", 300, a};
  int i;
  for(i=0; i<300; i++){
    snprintf(az[i][0], 64, "key-%d", i%17);
    snprintf(az[i][1], 64, "{\"item\":\"tea\",\"qty\":%d}", i*31%97);
    a[i] = recordOf(T0+(i*7919)%1000-500, az[i][0], az[i][1]);
  }
  return s;
}
static Set setBig(void){
  static Record a[2];
  static char z[200001];
  Set s = {"big", 2, a};
  memset(z, 'x', 200000);
  a[0] = recordOf(T0, "big", z);
  a[1] = recordOf(T0, "end", "end");
  return s;
}

/* -------------------------------------------------------------- producing */

static rd_kafka_t *producer(const char *zBroker, const char *zCodec, int eMode){
  char zErr[512];
  const char *az[] = {
    "bootstrap.servers", 0, "compression.codec", 0, "linger.ms", "400",
    "batch.num.messages", "10000", "enable.idempotence", 0,
    "transactional.id", 0
  };
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  rd_kafka_t *rk;
  int i;
  az[1] = zBroker;
  az[3] = zCodec;
  az[9] = eMode ? "true" : "false";
  az[11] = eMode==2 ? "golden" : 0;
  for(i=0; i<12; i+=2){
    if( az[i+1] && rd_kafka_conf_set(conf, az[i], az[i+1], zErr, sizeof(zErr)) ){
      fatal(zErr);
    }
  }
  rd_kafka_conf_set_connect_cb(conf, relayConnect);
  rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, zErr, sizeof(zErr));
  if( rk==0 ) fatal(zErr);
  return rk;
}

static void produce(rd_kafka_t *rk, const char *zTopic, const Record *r){
  rd_kafka_headers_t *hdrs = rd_kafka_headers_new(4);
  void *pKey = r->nKey<0 ? 0 : (void*)(uintptr_t)r->pKey;
  void *pVal = r->nVal<0 ? 0 : (void*)(uintptr_t)r->pVal;
  size_t nKey = r->nKey<0 ? 0 : (size_t)r->nKey;
  size_t nVal = r->nVal<0 ? 0 : (size_t)r->nVal;
  rd_kafka_resp_err_t err;
  int k;
  for(k=0; k<r->nHdr; k++){
    const void *p = r->aHdr[k].n<0 ? 0 : r->aHdr[k].p;
    rd_kafka_header_add(hdrs, r->aHdr[k].zName, -1, p, r->aHdr[k].n<0 ? 0 : r->aHdr[k].n);
  }
  err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(zTopic), RD_KAFKA_V_PARTITION(0),
      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_TIMESTAMP(r->ts),
      RD_KAFKA_V_KEY(pKey, nKey), RD_KAFKA_V_VALUE(pVal, nVal),
      RD_KAFKA_V_HEADERS(hdrs), RD_KAFKA_V_END);
  if( err ) fatal(rd_kafka_err2str(err));
}

static void check(rd_kafka_error_t *pErr){
  if( pErr ) fatal(rd_kafka_error_string(pErr));
}

/* Produce a set and save its batch.  As saveBatch. */
static int writeBatch(const char *zPath, const char *zBroker, const Set *pSet,
                      const char *zCodec, int eMode){
  rd_kafka_t *rk = producer(zBroker, zCodec, eMode);
  int i;
  if( eMode==2 ){
    check(rd_kafka_init_transactions(rk, 10000));
    check(rd_kafka_begin_transaction(rk));
  }
  for(i=0; i<pSet->n; i++) produce(rk, "golden", &pSet->a[i]);
  /* Not rd_kafka_flush(): it sends what there is at once, in two requests. */
  for(i=0; i<100 && rd_kafka_outq_len(rk)>0; i++) rd_kafka_poll(rk, 100);
  if( rd_kafka_outq_len(rk)>0 ) fatal("not delivered");
  if( eMode==2 ) check(rd_kafka_commit_transaction(rk, 10000));
  rd_kafka_destroy(rk);
  return saveBatch(zPath);
}

/*
** One file.  eMode: 0 plain, 1 idempotent, 2 transactional.  Where the broker
** thread woke too early and sent two batches, it is done again.
*/
static void writeFile(const char *zDir, const char *zBroker, const char *zFile,
                      const Set *pSet, const char *zCodec, int eCodec, int eMode){
  char zPath[1000];
  long long mx = pSet->a[0].ts;
  int i, nTry = 0;
  snprintf(zPath, sizeof(zPath), "%s/%s", zDir, zFile);
  while( writeBatch(zPath, zBroker, pSet, zCodec, eMode)!=1 ){
    if( ++nTry>20 ) fatal("never one Produce request");
  }
  for(i=0; i<pSet->n; i++){
    if( pSet->a[i].ts>mx ) mx = pSet->a[i].ts;
  }
  fprintf(manifest, "file %s set=%s baseOffset=0 attributes=%d lastOffsetDelta=%d"
      " baseTimestamp=%lld maxTimestamp=%lld", zFile, pSet->zName,
      eCodec+(eMode==2 ? 16 : 0), pSet->n-1, pSet->a[0].ts, mx);
  if( eMode==0 ){
    fprintf(manifest, " producerId=-1 producerEpoch=-1 baseSequence=-1");
  }else{
    fprintf(manifest, " producerId=any producerEpoch=0 baseSequence=0");
  }
  fprintf(manifest, " count=%d\n", pSet->n);
}

int main(int argc, char **argv){
  static const char *const azCodec[] = {"none", "gzip", "snappy", "lz4", "zstd"};
  Set two = setTwo(), nulls = setNulls(), headers = setHeaders();
  Set many = setMany(), big = setBig();
  char zErr[512], zFile[1000];
  rd_kafka_t *rk;
  rd_kafka_mock_cluster_t *cluster;
  const char *zBroker, *zDir = argc>1 ? argv[1] : ".";
  int i;
  rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), zErr, sizeof(zErr));
  if( rk==0 ) fatal(zErr);
  cluster = rd_kafka_mock_cluster_new(rk, 1);
  if( cluster==0 ) fatal("no mock cluster");
  rd_kafka_mock_topic_create(cluster, "golden", 1, 1);
  zBroker = rd_kafka_mock_cluster_bootstraps(cluster);
  snprintf(zFile, sizeof(zFile), "%s/librdkafka.txt", zDir);
  manifest = fopen(zFile, "w");
  if( manifest==0 ) fatal(zFile);
  fprintf(manifest, "# Written by golden_rdkafka.c; see README.\n");
  showSet(&two);
  showSet(&nulls);
  showSet(&headers);
  showSet(&many);
  showSet(&big);
  for(i=0; i<5; i++){
    snprintf(zFile, sizeof(zFile), "librdkafka-many-%s.bin", azCodec[i]);
    writeFile(zDir, zBroker, zFile, &many, azCodec[i], i, 0);
    if( i==0 ) continue;
    snprintf(zFile, sizeof(zFile), "librdkafka-big-%s.bin", azCodec[i]);
    writeFile(zDir, zBroker, zFile, &big, azCodec[i], i, 0);
  }
  writeFile(zDir, zBroker, "librdkafka-two.bin", &two, "none", 0, 0);
  writeFile(zDir, zBroker, "librdkafka-nulls.bin", &nulls, "none", 0, 0);
  writeFile(zDir, zBroker, "librdkafka-headers.bin", &headers, "none", 0, 0);
  writeFile(zDir, zBroker, "librdkafka-idempotent.bin", &two, "none", 0, 1);
  writeFile(zDir, zBroker, "librdkafka-transactional-lz4.bin", &many, "lz4", 3, 2);
  fclose(manifest);
  rd_kafka_mock_cluster_destroy(cluster);
  rd_kafka_destroy(rk);
  return 0;
}
