/*
** bench_null.c: the null broker: what no broker can be faster than.
**
** It speaks as much of Kafka's protocol as librdkafka needs (ApiVersions,
** Metadata, Produce, Fetch, ListOffsets, in old versions with plain encodings),
** on one thread, and does nothing: of a Produce it reads the frame and
** acknowledges.  Batches of topics whose name begins with "keep" go to a file
** besides, with their offsets put in; a Fetch of them sends that file's bytes with
** sendfile.  One partition a topic; one kept topic at a time.
**
** It trusts what it is sent: it serves the benchmark that started it alone.
*/
#define _GNU_SOURCE 1
#include "bench_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define NULL_CONN 64
#define NULL_FRAME (16*1024*1024)

typedef struct NullConn NullConn;
struct NullConn { int fd; size_t n, nAlloc; unsigned char *a; };
typedef struct NullBatch NullBatch;
struct NullBatch { i64 iNext, iPos; };      /* offset after it, byte position behind it */

static struct {
  NullConn aConn[NULL_CONN];
  int nConn;
  int iPort;
  i64 iOffset;                /* of the next message */
  int fdKeep;                 /* the kept topic's bytes */
  i64 nKeep;
  NullBatch *aBatch;
  i64 nBatch, nBatchAlloc;
  unsigned char aOut[4096];
  size_t nOut;
} g;

static void put(i64 v, int n){
  while( n-->0 ) g.aOut[g.nOut++] = (unsigned char)(v>>(8*n));
}
static void putStr(const char *z, size_t n){
  put((i64)n, 2);
  memcpy(g.aOut+g.nOut, z, n);
  g.nOut += n;
}
static i64 get(const unsigned char *a, int n){
  i64 v = (signed char)a[0];
  int i;
  for(i=1; i<n; i++) v = (i64)((u64)v<<8) | a[i];
  return v;
}
static void sendAll(int fd, const unsigned char *a, size_t n){
  while( n>0 ){
    ssize_t k = send(fd, a, n, MSG_NOSIGNAL);
    if( k<=0 ) return;
    a += k;
    n -= (size_t)k;
  }
}
/* Send what was put, its length before it. */
static void answer(int fd, i64 nMore){
  i64 n = (i64)g.nOut-4+nMore;
  int i;
  for(i=0; i<4; i++) g.aOut[i] = (unsigned char)(n>>(24-8*i));
  sendAll(fd, g.aOut, g.nOut);
}

static void nullVersions(int fd, int iVer){
  static const int aApi[][3] = {{0,3,7}, {1,4,4}, {2,1,1}, {3,1,1}, {18,0,0}};
  size_t i;
  put(iVer>0 ? 35 : 0, 2);
  put(5, 4);
  for(i=0; i<5; i++){
    put(aApi[i][0], 2);
    put(aApi[i][1], 2);
    put(aApi[i][2], 2);
  }
  answer(fd, 0);
}

/* Every topic exists. */
static void nullMetadata(int fd, const unsigned char *a){
  i64 n = get(a, 4), i;
  a += 4;
  put(1, 4);
  put(1, 4);
  putStr("127.0.0.1", 9);
  put(g.iPort, 4);
  put(-1, 2);
  put(1, 4);                                  /* controller */
  put(n>0 ? n : 0, 4);
  for(i=0; i<n; i++){
    size_t nName = (size_t)get(a, 2);
    put(0, 2);
    putStr((const char*)a+2, nName);
    a += 2+nName;
    put(0, 1);
    put(1, 4);
    put(0, 2); put(0, 4); put(1, 4);          /* partition 0, leader 1 */
    put(1, 4); put(1, 4);
    put(1, 4); put(1, 4);
  }
  answer(fd, 0);
}

static void nullKeep(unsigned char *a, i64 n){
  i64 nMsg = get(a+57, 4);
  int i;
  for(i=0; i<8; i++) a[i] = (unsigned char)(g.iOffset>>(56-8*i));
  if( pwrite(g.fdKeep, a, (size_t)n, g.nKeep)!=n ) _exit(1);
  g.nKeep += n;
  g.iOffset += nMsg;
  if( g.nBatch>=g.nBatchAlloc ){
    g.nBatchAlloc = 2*g.nBatchAlloc+1024;
    g.aBatch = realloc(g.aBatch, sizeof(NullBatch)*(size_t)g.nBatchAlloc);
    if( g.aBatch==0 ) _exit(1);
  }
  g.aBatch[g.nBatch].iNext = g.iOffset;
  g.aBatch[g.nBatch++].iPos = g.nKeep;
}

/* One topic, one partition, as the benchmark sends it. */
static void nullProduce(int fd, int iVer, unsigned char *a){
  i64 n = get(a, 2), iBase, nRec, acks;
  size_t nName;
  unsigned char *zName;
  a += 2 + (n>0 ? n : 0);                     /* transactional id */
  acks = get(a, 2);
  a += 2+4;
  a += 4;
  nName = (size_t)get(a, 2);
  zName = a+2;
  a += 2+nName+4+4;
  nRec = get(a, 4);
  a += 4;
  iBase = g.iOffset;
  if( nName>4 && memcmp(zName, "keep", 4)==0 ) nullKeep(a, nRec);
  else g.iOffset += get(a+57, 4);
  if( acks==0 ) return;
  put(1, 4);
  putStr((const char*)zName, nName);
  put(1, 4);
  put(0, 4); put(0, 2); put(iBase, 8); put(-1, 8);
  if( iVer>=5 ) put(0, 8);
  put(0, 4);
  answer(fd, 0);
}

static void nullOffsets(int fd, const unsigned char *a){
  size_t nName = (size_t)get(a+8, 2);
  i64 iTime = get(a+10+nName+8, 8);
  put(1, 4);
  putStr((const char*)a+10, nName);
  put(1, 4);
  put(0, 4); put(0, 2); put(-1, 8); put(iTime==-2 ? 0 : g.iOffset, 8);
  answer(fd, 0);
}

/* Where the batch with an offset is in the list. */
static i64 nullFind(i64 iOffset){
  i64 lo = 0, hi = g.nBatch;
  while( lo<hi ){
    i64 mid = (lo+hi)/2;
    if( g.aBatch[mid].iNext<=iOffset ) lo = mid+1; else hi = mid;
  }
  return lo;
}
static void nullFetch(int fd, const unsigned char *a){
  size_t nName = (size_t)get(a+21, 2);
  const unsigned char *p = a+23+nName+4+4;
  i64 iOffset = get(p, 8), mx = get(p+8, 4), i, iFrom, n;
  off_t iAt;
  i = nullFind(iOffset);
  iFrom = i ? g.aBatch[i-1].iPos : 0;
  n = 0;
  while( i<g.nBatch && (n==0 || g.aBatch[i].iPos-iFrom<=mx) ) n = g.aBatch[i++].iPos-iFrom;
  if( n==0 ) usleep(1000);
  put(0, 4);
  put(1, 4);
  putStr((const char*)a+23, nName);
  put(1, 4);
  put(0, 4); put(0, 2); put(g.iOffset, 8); put(g.iOffset, 8); put(-1, 4);
  put(n, 4);
  answer(fd, n);
  for(iAt=(off_t)iFrom; n>0; ){
    ssize_t k = sendfile(fd, g.fdKeep, &iAt, (size_t)n);
    if( k<=0 ) return;
    n -= k;
  }
}

static void nullRequest(int fd, unsigned char *a){
  i64 iKey = get(a, 2), iVer = get(a+2, 2), nClient = get(a+8, 2);
  unsigned char *p = a+10 + (nClient>0 ? nClient : 0);
  g.nOut = 4;
  memcpy(g.aOut+4, a+4, 4);                   /* correlation id */
  g.nOut = 8;
  switch( iKey ){
    case 0:  nullProduce(fd, (int)iVer, p); break;
    case 1:  nullFetch(fd, p); break;
    case 2:  nullOffsets(fd, p); break;
    case 3:  nullMetadata(fd, p); break;
    default: nullVersions(fd, (int)iVer); break;
  }
}

/* 1: the connection is over. */
static int nullRead(NullConn *p){
  ssize_t k;
  size_t i = 0;
  if( p->nAlloc-p->n<65536 ){
    p->nAlloc = p->nAlloc ? p->nAlloc*2 : 1024*1024;
    if( p->nAlloc>4*NULL_FRAME || (p->a = realloc(p->a, p->nAlloc))==0 ) return 1;
  }
  k = recv(p->fd, p->a+p->n, p->nAlloc-p->n, 0);
  if( k<=0 ) return 1;
  p->n += (size_t)k;
  while( p->n-i>=4 ){
    size_t n = (size_t)get(p->a+i, 4);
    if( n>NULL_FRAME ) return 1;
    if( p->n-i<n+4 ) break;
    nullRequest(p->fd, p->a+i+4);
    i += n+4;
  }
  memmove(p->a, p->a+i, p->n-i);
  p->n -= i;
  return 0;
}

static void nullAccept(int fd){
  int c = accept(fd, 0, 0), bOn = 1;
  if( c<0 ) return;
  if( g.nConn>=NULL_CONN ){
    close(c);
    return;
  }
  setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &bOn, sizeof(bOn));
  memset(&g.aConn[g.nConn], 0, sizeof(g.aConn[0]));
  g.aConn[g.nConn++].fd = c;
}

_Noreturn void benchNullRun(int fd){
  struct sockaddr_in sa;
  socklen_t n = sizeof(sa);
  FILE *pKeep = tmpfile();
  getsockname(fd, (struct sockaddr*)&sa, &n);
  g.iPort = ntohs(sa.sin_port);
  g.fdKeep = pKeep ? fileno(pKeep) : -1;
  for(;;){
    struct pollfd a[NULL_CONN+1];
    int i, nPoll = g.nConn+1;
    a[0].fd = fd;
    a[0].events = POLLIN;
    for(i=1; i<nPoll; i++){
      a[i].fd = g.aConn[i-1].fd;
      a[i].events = POLLIN;
    }
    if( poll(a, (nfds_t)nPoll, -1)<0 ) continue;
    for(i=nPoll-1; i>0; i--){
      if( a[i].revents==0 || !nullRead(&g.aConn[i-1]) ) continue;
      close(g.aConn[i-1].fd);
      free(g.aConn[i-1].a);
      g.aConn[i-1] = g.aConn[--g.nConn];
    }
    if( a[0].revents ) nullAccept(fd);
  }
}
