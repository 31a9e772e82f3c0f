/*
** conn.c: a client's connection: requests out of the stream, answers into it.
**
** A request is an int32 length and so many bytes.  Requests of a connection are
** answered in their order.  Kafka takes up the next only when the last is
** answered; here successive Produce requests may be under way together, so that
** one client's pipeline shares a commit, and anything else waits for those
** before it.
**
** BOUNDS.  What a connection holds is counted as it grows: bytes read and not yet
** taken up, its requests with what was made of them, answers until the client has
** taken them.  Memory for a request grows as its bytes arrive, whatever its length
** claims.  A connection is not read while it
**   - has max.in.flight.requests.per.connection requests under way, or holds
**     queued.max.request.bytes.per.connection of them;
**   - has more than CONN_MX_OUT bytes of answers unsent;
**   - is muted, as its client is over a quota (quota.c);
**   - holds more than its share while all together hold more than
**     queued.max.request.bytes ("pressure").  The share is that setting over the
**     number of connections: so one that holds little is served whatever others do,
**     and all together hold no more than about twice the setting.
** Of those that are paused by pressure in the midst of a request one at a time (pGrace)
** may finish it, and is closed when nothing comes between two ticks.  Under pressure
** who holds more than his share and neither takes his answers nor sends the rest of
** his request (CONN_STALL_BYTES in CONN_STALL_MS) is closed.
**
**   I1  The answers leave in the order of the requests (pFirst..pLast).
**   I2  Bytes already read and not yet taken up stay in `in`; reading goes on
**       when they have been.
**   I3  A closed connection's struct lives until libuv has closed its handle
**       and its last write has come back.
**   I4  Prilld.nHeld is the sum of what connections hold and of what requests
**       without one do.
*/
#include "loop.h"
#include <sys/ioctl.h>

#define CONN_MX_OUT  (1<<20)
#define CONN_STALL_MS 5000
#define CONN_STALL_BYTES 65536
#define CONN_KEEPALIVE_S 60
#define CONN_PARKED (1<<20)     /* what a group's waiting member may hold under pressure */

struct PrilldConn {
  uv_tcp_t tcp;
  Prilld *pD;
  PrilldListener *pListen;
  PrilldConn *pNext, **ppPrev;
  PrilldConn *pNextPaused;
  PrillBuf in;              /* bytes not taken up yet */
  PrilldReq *pFirst, **ppLast;
  int nReq;                 /* in that list */
  i64 nHeld;                /* bytes of memory, all in all */
  i64 nIn;                  /* of these: what `in` was counted as */
  i64 nOut;                 /* bytes being written */
  int nWrite;               /* writes under way */
  i64 nByteIn, nByteOut;    /* read; handed over to be written */
  i64 nTaken;               /* nByteOut less what is not written, when last looked at */
  i64 iActive;              /* ms: something was read or written */
  i64 iWindow, nWindow;     /* under pressure: since when, and bytes moved by then */
  PrilldTimer mute;
  u8 bReading, bClosing, bPaused, bParsing, bClosed, bMuted;
  u8 aAddr[16];             /* the client's address, IPv4 mapped */
  char zPeer[64];
};

typedef struct ConnWrite ConnWrite;
struct ConnWrite {
  uv_write_t uv;
  PrilldConn *pConn;
  PrilldReq *pReq;
  i64 nByte;
};

static PrilldLoop *connLoop(const PrilldConn *p){
  return (PrilldLoop*)p->pD->pLoop;
}

const PrilldAddr *prilldConnAddr(const PrilldConn *p){
  return &p->pListen->advertise;
}
const char *prilldConnPeer(const PrilldConn *p){
  return p->zPeer;
}

/**************************************************************************
** Memory.
*/
static void connHold(PrilldConn *p, i64 n){
  p->nHeld += n;
  p->pD->nHeld += n;
}
/* `in` has changed. */
static void connHoldIn(PrilldConn *p){
  connHold(p, p->in.nAlloc - p->nIn);
  p->nIn = p->in.nAlloc;
}

void prilldConnHold(PrilldReq *pReq, i64 n){
  pReq->pD->nHeld += n - pReq->nHeld;
  if( pReq->pConn ) pReq->pConn->nHeld += n - pReq->nHeld;
  pReq->nHeld = n;
}

static i64 connShare(const Prilld *pD){
  return pD->conf.szHeld / PRILL_MAX(pD->stat.nConn, 1);
}

i64 prilldConnRoom(const PrilldReq *pReq){
  const Prilld *pD = pReq->pD;
  i64 nShare = connShare(pD) - (pReq->pConn ? pReq->pConn->nHeld : 0);
  return PRILL_MAX(PRILL_MAX(nShare, pD->conf.szHeld-pD->nHeld), 0);
}

/* May it take more memory?  If not it is paused until there is some. */
static int connRoom(PrilldConn *p){
  PrilldLoop *pLoop = connLoop(p);
  Prilld *pD = p->pD;
  if( pD->nHeld<=pD->conf.szHeld || p->nHeld<=connShare(pD) ) return 1;
  if( pLoop->pGrace==0 && p->pFirst==0 && p->nWrite==0 ) pLoop->pGrace = p;
  if( pLoop->pGrace==p ) return 1;
  if( !p->bPaused ){
    p->bPaused = 1;
    p->pNextPaused = 0;
    *pLoop->ppPaused = p;
    pLoop->ppPaused = &p->pNextPaused;
    pLoop->nPaused++;
  }
  return 0;
}

static void connUnpause(PrilldConn *p){
  PrilldLoop *pLoop = connLoop(p);
  PrilldConn **pp;
  if( !p->bPaused ) return;
  for(pp=&pLoop->pPaused; *pp!=p; pp=&(*pp)->pNextPaused){}
  *pp = p->pNextPaused;
  if( *pp==0 ) pLoop->ppPaused = pp;
  p->bPaused = 0;
  pLoop->nPaused--;
}

/* One that had grace has what it needs, or is gone. */
static void connGraceEnd(PrilldConn *p){
  if( connLoop(p)->pGrace==p ) connLoop(p)->pGrace = 0;
}

/**************************************************************************
** Closing.
*/
static void connFree(PrilldConn *p){
  if( !p->bClosed || p->nWrite>0 ) return;
  prillBufFree(&p->in);
  connHoldIn(p);
  connHold(p, -p->nHeld);
  sqlite3_free(p);
}

static void connOnClose(uv_handle_t *pHandle){
  PrilldConn *p = (PrilldConn*)pHandle->data;
  p->bClosed = 1;
  connFree(p);
}

void prilldConnClose(PrilldConn *p){
  PrilldReq *pReq;
  if( p==0 || p->bClosing ) return;
  p->bClosing = 1;
  *p->ppPrev = p->pNext;
  if( p->pNext ) p->pNext->ppPrev = p->ppPrev;
  connUnpause(p);
  connGraceEnd(p);
  prilldTimerStop(&p->pD->timers, &p->mute);
  p->pD->stat.nConn--;
  while( (pReq = p->pFirst)!=0 ){
    p->pFirst = pReq->pNext;
    p->nHeld -= pReq->nHeld;
    pReq->pConn = 0;
    if( pReq->xGone && !pReq->bDone ) pReq->xGone(pReq);
    if( pReq->nPending>0 ) continue;
    prilldReqWake(pReq);
    pReq->bDead = 1;
    pReq->pNext = p->pD->pDead;
    p->pD->pDead = pReq;
  }
  p->ppLast = &p->pFirst;
  uv_close((uv_handle_t*)&p->tcp, connOnClose);
}

void prilldConnCloseAll(PrilldLoop *pLoop){
  while( pLoop->pConns ) prilldConnClose(pLoop->pConns);
}

int prilldConnBusy(const PrilldLoop *pLoop){
  PrilldConn *p;
  int n = 0;
  for(p=pLoop->pConns; p; p=p->pNext){
    PrilldReq *pReq;
    for(pReq=p->pFirst; pReq; pReq=pReq->pNext) n += !pReq->bWaiting && !pReq->bParked;
    n += p->nWrite;
  }
  return n;
}

/* What the client has taken of its answers; progress is activity. */
static void connTaken(PrilldConn *p){
  i64 n = p->nByteOut - (i64)uv_stream_get_write_queue_size((uv_stream_t*)&p->tcp);
  if( n!=p->nTaken ) p->iActive = p->pD->now;
  p->nTaken = n;
}

static void connIdle(PrilldLoop *pLoop){
  PrilldConn *p, *pNext;
  for(p=pLoop->pConns; p; p=pNext){
    pNext = p->pNext;
    if( p->nWrite>0 ) connTaken(p);
    else if( p->nReq>0 ) continue;                  /* we owe it something */
    if( p->pD->now-p->iActive>p->pD->conf.msIdle ) prilldConnClose(p);
  }
}

/* Does its client keep us waiting? */
static int connStuck(PrilldConn *p){
  uv_os_fd_t fd;
  int n = 1;
  if( p->nWrite>0 || (p->in.n>0 && p->bReading) ) return 1;
  if( !p->bPaused || p->in.n==0 ) return 0;
  if( uv_fileno((uv_handle_t*)&p->tcp, &fd)==0 ) (void)ioctl(fd, FIONREAD, &n);
  return n==0;
}

static void connEvict(PrilldConn *p, i64 nMoved, i64 ms){
  prilldLog(PRILLD_LOG_WARN, "%s: closed, memory is short: it holds %lld bytes and has moved %lld in %lld ms",
            p->zPeer, p->nHeld, nMoved, ms);
  p->pD->stat.nConnEvicted++;
  prilldConnClose(p);
}

/* It holds more than its share while memory is short. */
static void connPress(PrilldConn *p){
  Prilld *pD = p->pD;
  PrilldReq *pReq = p->pFirst;
  i64 nMoved;
  if( p->bClosing ) return;
  if( pReq && pReq->bWaiting ){
    prilldTimerStop(&pD->timers, &pReq->timer);
    pReq->timer.xDue(&pReq->timer);                 /* answered as if its time were up */
    return;
  }
  if( pReq && pReq->bParked && p->nHeld>CONN_PARKED ){
    prilldLog(PRILLD_LOG_WARN, "%s: closed, memory is short: a group's member holds %lld bytes", p->zPeer, p->nHeld);
    prilldConnClose(p);
    return;
  }
  if( p->nWrite>0 ) connTaken(p);
  nMoved = p->nByteIn + p->nTaken;
  if( !connStuck(p) || p->iWindow<connLoop(p)->iPressure ){
    p->iWindow = pD->now;
    p->nWindow = nMoved;
  }else if( pD->now-p->iWindow>=CONN_STALL_MS ){
    if( nMoved-p->nWindow<CONN_STALL_BYTES ){
      connEvict(p, nMoved-p->nWindow, pD->now-p->iWindow);
      return;
    }
    p->iWindow = pD->now;
    p->nWindow = nMoved;
  }
}

void prilldConnTick(PrilldLoop *pLoop, Prilld *pD){
  PrilldConn *p, *pNext;
  connIdle(pLoop);
  if( pD->nHeld<=pD->conf.szHeld ){
    pLoop->iPressure = 0;
  }else{
    i64 nShare = connShare(pD);
    if( pLoop->iPressure==0 ) pLoop->iPressure = pD->now;
    for(p=pLoop->pConns; p; p=pNext){
      pNext = p->pNext;
      if( p->nHeld>nShare ) connPress(p);
    }
  }
  p = pLoop->pGrace;
  if( p && pLoop->nPaused>0 && pLoop->pGraceSeen==p && pLoop->nGraceSeen==p->nByteIn ) connEvict(p, 0, 1000);
  p = pLoop->pGraceSeen = pLoop->pGrace;
  pLoop->nGraceSeen = p ? p->nByteIn : 0;
  prilldConnResume(pD);
}

/**************************************************************************
** Answers.
*/
static void connParse(PrilldConn*);

static void connUnmute(PrilldTimer *pTimer){
  PrilldConn *p = (PrilldConn*)((u8*)pTimer - offsetof(PrilldConn, mute));
  p->bMuted = 0;
  connParse(p);
}

/* Its client is over a quota: read nothing for so long. */
static void connMute(PrilldConn *p, i64 ms){
  p->mute.xDue = connUnmute;
  p->bMuted = prilldTimerSet(&p->pD->timers, &p->mute, PRILL_MAX(p->pD->now+ms, p->mute.iDue))==SQLITE_OK;
}

static void connOnWrite(uv_write_t *pWrite, int status){
  ConnWrite *pW = (ConnWrite*)pWrite->data;
  PrilldConn *p = pW->pConn;
  prilldReqFree(pW->pReq);
  p->nWrite--;
  p->nOut -= pW->nByte;
  sqlite3_free(pW);
  if( p->bClosing ){
    connFree(p);
  }else if( status!=0 ){
    prilldConnClose(p);
  }else{
    p->iActive = p->pD->now;
    prilldConnResume(p->pD);
    connParse(p);
  }
}

/* The answer as a list of pieces; NULL: no memory. */
static uv_buf_t *connPieces(PrilldReq *pReq, unsigned int *pn){
  WireOut *pOut = &pReq->out;
  uv_buf_t *a = (uv_buf_t*)sqlite3_malloc64(sizeof(uv_buf_t)*(u64)(2*pOut->nSplice+2));
  unsigned int n = 0;
  i64 iAt = 0;
  int i;
  if( a==0 ) return 0;
  a[n++] = uv_buf_init((char*)pReq->aHead, (unsigned int)pReq->nHead);
  for(i=0; i<=pOut->nSplice; i++){
    i64 iTo = i<pOut->nSplice ? pOut->aSplice[i].iAt : pOut->buf.n;
    if( iTo>iAt ) a[n++] = uv_buf_init((char*)pOut->buf.a+iAt, (unsigned int)(iTo-iAt));
    if( i<pOut->nSplice ) a[n++] = uv_buf_init((char*)pOut->aSplice[i].a, (unsigned int)pOut->aSplice[i].n);
    iAt = iTo;
  }
  *pn = n;
  return a;
}

static int connSend(PrilldConn *p, PrilldReq *pReq){
  ConnWrite *pW = (ConnWrite*)sqlite3_malloc64(sizeof(*pW));
  unsigned int n = 0;
  uv_buf_t *a = pW ? connPieces(pReq, &n) : 0;
  int rc;
  if( a==0 ){
    sqlite3_free(pW);
    return SQLITE_NOMEM;
  }
  pW->uv.data = pW;
  pW->pConn = p;
  pW->pReq = pReq;
  pW->nByte = pReq->nHead + pReq->out.buf.n + pReq->out.nSpliced;
  p->nWrite++;
  p->nOut += pW->nByte;
  p->nByteOut += pW->nByte;
  p->pD->stat.nByteOut += pW->nByte;
  rc = uv_write(&pW->uv, (uv_stream_t*)&p->tcp, a, n, connOnWrite);
  sqlite3_free(a);
  if( rc!=0 ){
    p->nWrite--;
    p->nOut -= pW->nByte;
    sqlite3_free(pW);
    return SQLITE_IOERR;
  }
  return SQLITE_OK;
}

/* Send what is done at the head of the list (I1). */
static void connFlush(PrilldConn *p){
  PrilldReq *pReq;
  while( (pReq = p->pFirst)!=0 && pReq->bDone ){
    p->pFirst = pReq->pNext;
    if( p->pFirst==0 ) p->ppLast = &p->pFirst;
    p->nReq--;
    prilldMetricsRequest(pReq, (i64)((uv_hrtime()-pReq->iStart)/1000));
    if( pReq->msThrottle>0 ) connMute(p, pReq->msThrottle);
    if( pReq->bNoReply ){
      prilldReqFree(pReq);
    }else if( connSend(p, pReq)!=SQLITE_OK ){
      prilldReqFree(pReq);
      prilldConnClose(p);
      return;
    }
  }
  prilldConnResume(p->pD);
  if( !p->bParsing ) connParse(p);
}

void prilldConnReplied(PrilldReq *pReq){
  PrilldConn *p = pReq->pConn;
  if( p==0 ){
    if( pReq->nPending==0 && !pReq->bDead ) prilldReqFree(pReq);
  }else if( p->pFirst==pReq ){
    connFlush(p);
  }
}

/**************************************************************************
** Requests.
*/
static void connAlloc(uv_handle_t *pHandle, size_t nHint, uv_buf_t *pBuf){
  PrilldConn *p = (PrilldConn*)pHandle->data;
  i64 nNeed = p->in.n>=4 ? (i64)prillGet32(p->in.a)+4-p->in.n : 0;
  int rc = SQLITE_OK;
  (void)nHint;
  if( p->in.n>=4 && nNeed>LOOP_SCRATCH/4 ){
    /* A large request: straight to where it will stay, as it comes. */
    i64 nRoom = PRILL_MIN(nNeed, PRILL_MAX(p->in.n, LOOP_SCRATCH));
    u8 *a = prillBufRoom(&rc, &p->in, nRoom);
    if( a ){
      *pBuf = uv_buf_init((char*)a, (unsigned int)nRoom);
      return;
    }
  }
  *pBuf = uv_buf_init((char*)connLoop(p)->aScratch, LOOP_SCRATCH);
}

static void connOnRead(uv_stream_t *pStream, ssize_t n, const uv_buf_t *pBuf){
  PrilldConn *p = (PrilldConn*)pStream->data;
  int rc = SQLITE_OK;
  if( n==0 ) return;
  if( n<0 ){
    prilldConnClose(p);
    return;
  }
  prilldLoopNow(p->pD);
  p->iActive = p->pD->now;
  p->nByteIn += n;
  p->pD->stat.nByteIn += n;
  if( (u8*)pBuf->base==connLoop(p)->aScratch ){
    prillBufAppend(&rc, &p->in, pBuf->base, n);
  }else{
    p->in.n += n;
  }
  connHoldIn(p);
  if( rc!=SQLITE_OK ) prilldConnClose(p);
  else connParse(p);
}

/* May a request of this API be taken up now? */
static int connMay(const PrilldConn *p, int iKey){
  const PrilldConf *pConf = &p->pD->conf;
  const PrilldReq *pReq;
  if( p->bMuted || p->nOut>CONN_MX_OUT ) return 0;
  if( p->pFirst==0 ) return 1;
  if( iKey!=WIRE_PRODUCE || p->nReq>=pConf->nFlight || p->nHeld>=pConf->szConn ) return 0;
  for(pReq=p->pFirst; pReq; pReq=pReq->pNext){
    if( pReq->h.iKey!=WIRE_PRODUCE || pReq->bPreparing ) return 0;
  }
  return 1;
}

/* The request of n bytes at a, after its length. */
static PrilldReq *connNewReq(PrilldConn *p, const u8 *a, i64 n){
  PrilldReq *pReq = (PrilldReq*)sqlite3_malloc64(sizeof(*pReq));
  int rc = SQLITE_OK;
  if( pReq==0 ) return 0;
  memset(pReq, 0, sizeof(*pReq));
  if( n>LOOP_SCRATCH/2 && p->in.n==n+4 ){
    pReq->frame = p->in;                            /* all of it: no copy */
    memset(&p->in, 0, sizeof(p->in));
  }else{
    prillBufAppend(&rc, &pReq->frame, a-4, n+4);
    if( rc!=SQLITE_OK ){
      sqlite3_free(pReq);
      return 0;
    }
  }
  pReq->nByte = n;
  pReq->pD = p->pD;
  pReq->pConn = p;
  pReq->iStart = uv_hrtime();
  *p->ppLast = pReq;
  p->ppLast = &pReq->pNext;
  p->nReq++;
  connHoldIn(p);
  prilldConnHold(pReq, (i64)sizeof(*pReq)+pReq->frame.nAlloc);
  p->pD->stat.nReq++;
  return pReq;
}

static void connRead(PrilldConn *p, int bRead){
  if( bRead==p->bReading || p->bClosing ) return;
  p->bReading = (u8)bRead;
  if( bRead ) uv_read_start((uv_stream_t*)&p->tcp, connAlloc, connOnRead);
  else uv_read_stop((uv_stream_t*)&p->tcp);
}

/* Take up the requests that have arrived. */
static void connParse(PrilldConn *p){
  Prilld *pD = p->pD;
  i64 iAt = 0;
  int bStop = p->bMuted;
  if( p->bClosing || p->bParsing ) return;
  p->bParsing = 1;
  while( !p->bClosing && !bStop && p->in.n-iAt>=4 ){
    i64 n = (i32)prillGet32(p->in.a+iAt);
    PrilldReq *pReq;
    if( n<8 || n>pD->conf.szRequest ){
      prilldLogPeer("%s: a request of %lld bytes is refused", p->zPeer, n);
      prilldConnClose(p);
      break;
    }
    if( p->in.n-iAt<n+4 ) break;
    if( !connMay(p, prillGet16(p->in.a+iAt+4)) || !connRoom(p) ){
      bStop = 1;
    }else{
      pReq = connNewReq(p, p->in.a+iAt+4, n);
      if( pReq==0 ){
        prilldConnClose(p);
        break;
      }
      iAt = p->in.a ? iAt+n+4 : 0;
      prilldDispatch(pReq);
    }
  }
  p->bParsing = 0;
  if( p->bClosing ) return;
  if( iAt>=p->in.n ){
    prillBufFree(&p->in);                 /* an idle connection keeps nothing */
    connGraceEnd(p);
  }else if( iAt>0 ){
    memmove(p->in.a, p->in.a+iAt, (size_t)(p->in.n-iAt));
    p->in.n -= iAt;
  }
  connHoldIn(p);
  if( !bStop && p->in.n>0 ) bStop = !connRoom(p);
  connRead(p, !bStop && !p->bMuted);
}

void prilldConnPrepared(PrilldReq *pReq){
  pReq->bPreparing = 0;
  if( pReq->pConn ) connParse(pReq->pConn);
}

void prilldConnResume(Prilld *pD){
  PrilldLoop *pLoop = (PrilldLoop*)pD->pLoop;
  PrilldConn *p;
  int n = pLoop->nPaused;
  if( pLoop->bResuming ) return;
  pLoop->bResuming = 1;
  while( n-->0 && (p = pLoop->pPaused)!=0 && (pLoop->pGrace==0 || pD->nHeld<=pD->conf.szHeld-pD->conf.szHeld/8) ){
    connUnpause(p);
    connParse(p);
  }
  pLoop->bResuming = 0;
}

/**************************************************************************
** Accepting.
*/
static void connPeer(PrilldConn *p){
  static const u8 aMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  struct sockaddr_storage ss;
  int n = (int)sizeof(ss);
  p->zPeer[0] = 0;
  if( uv_tcp_getpeername(&p->tcp, (struct sockaddr*)&ss, &n)!=0 ) return;
  if( ss.ss_family==AF_INET6 ){
    memcpy(p->aAddr, &((struct sockaddr_in6*)&ss)->sin6_addr, 16);
    uv_ip6_name((struct sockaddr_in6*)&ss, p->zPeer, sizeof(p->zPeer));
  }else{
    memcpy(p->aAddr, aMapped, 12);
    memcpy(p->aAddr+12, &((struct sockaddr_in*)&ss)->sin_addr, 4);
    uv_ip4_name((struct sockaddr_in*)&ss, p->zPeer, sizeof(p->zPeer));
  }
}

/* Why it cannot be taken, or NULL. */
static const char *connRefuse(const PrilldConn *p){
  const Prilld *pD = p->pD;
  const PrilldConn *pOther;
  i64 n = 0;
  if( pD->stat.nConn>=pD->conf.nConn ) return "there are max.connections of them";
  if( pD->stat.nConn>=pD->mxConn ) return "this process may open no more files; raise its RLIMIT_NOFILE";
  if( pD->conf.nConnAddr<=pD->stat.nConn ){
    for(pOther=connLoop(p)->pConns; pOther; pOther=pOther->pNext) n += memcmp(pOther->aAddr, p->aAddr, 16)==0;
    if( n>=pD->conf.nConnAddr ) return "its address has max.connections.per.ip of them";
  }
  return 0;
}

void prilldConnAccept(PrilldListener *pListen){
  Prilld *pD = pListen->pD;
  PrilldLoop *pLoop = (PrilldLoop*)pD->pLoop;
  PrilldConn *p = (PrilldConn*)sqlite3_malloc64(sizeof(*p));
  const char *zWhy;
  int nBuf;
  if( p==0 ) return;
  memset(p, 0, sizeof(*p));
  p->pD = pD;
  p->pListen = pListen;
  p->ppLast = &p->pFirst;
  uv_tcp_init(&pLoop->uv, &p->tcp);
  p->tcp.data = p;
  if( uv_accept((uv_stream_t*)&pListen->tcp, (uv_stream_t*)&p->tcp)!=0 || pD->bStopping ){
    p->bClosing = 1;
    uv_close((uv_handle_t*)&p->tcp, connOnClose);
    return;
  }
  connPeer(p);
  zWhy = connRefuse(p);
  if( zWhy ){
    pD->stat.nConnRefused++;
    prilldLogPeer("%s: a connection is refused: %s", p->zPeer, zWhy);
    p->bClosing = 1;
    uv_close((uv_handle_t*)&p->tcp, connOnClose);
    return;
  }
  uv_tcp_nodelay(&p->tcp, 1);
  uv_tcp_keepalive(&p->tcp, 1, CONN_KEEPALIVE_S);
  if( (nBuf = (int)pD->conf.szSendBuf)>0 ) uv_send_buffer_size((uv_handle_t*)&p->tcp, &nBuf);
  if( (nBuf = (int)pD->conf.szRecvBuf)>0 ) uv_recv_buffer_size((uv_handle_t*)&p->tcp, &nBuf);
  p->pNext = pLoop->pConns;
  if( p->pNext ) p->pNext->ppPrev = &p->pNext;
  p->ppPrev = &pLoop->pConns;
  pLoop->pConns = p;
  pD->stat.nConn++;
  pD->stat.nConnAll++;
  connHold(p, (i64)sizeof(*p));
  p->iActive = pD->now;
  connRead(p, 1);
}
