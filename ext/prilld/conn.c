/*
** conn.c: a client's connection: requests out of the stream, answers into it.
**
** A request is an int32 length and so many bytes.  Requests of a connection are
** answered in their order.  Kafka takes up the next only when the last is
** answered; here successive Produce requests may be under way together, so that
** one client's pipeline shares a commit, and anything else waits for those
** before it.
**
** BOUNDS.  Memory for a request grows as its bytes arrive, whatever its length
** claims.  A connection is not read while it has CONN_MX_REQ requests or
** CONN_MX_BYTE bytes of them under way, or more than CONN_MX_OUT bytes of
** answers unsent; all are paused while their requests hold more than
** queued.max.request.bytes.  So a slow reader stops only itself.
**
**   I1  The answers leave in the order of the requests (pFirst..pLast).
**   I2  Bytes already read and not yet taken up stay in `in`; reading goes on
**       when they have been.
**   I3  A closed connection's struct lives until libuv has closed its handle
**       and its last write has come back.
*/
#include "loop.h"

#define CONN_MX_REQ  256
#define CONN_MX_BYTE (16<<20)
#define CONN_MX_OUT  (1<<20)

struct PrilldConn {
  uv_tcp_t tcp;
  Prilld *pD;
  PrilldListener *pListen;
  PrilldConn *pNext, **ppPrev;
  PrilldConn *pNextPaused;
  PrillBuf in;              /* bytes not taken up yet */
  PrilldReq *pFirst, **ppLast;
  int nReq;                 /* in that list */
  i64 nReqByte;             /* bytes of these requests */
  i64 nOut;                 /* bytes being written */
  int nWrite;               /* writes under way */
  i64 iActive;              /* ms: last request or answer */
  u8 bReading, bClosing, bPaused, bParsing, bClosed;
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
** Closing.
*/
static void connFree(PrilldConn *p){
  if( !p->bClosed || p->nWrite>0 ) return;
  prillBufFree(&p->in);
  sqlite3_free(p);
}

static void connOnClose(uv_handle_t *pHandle){
  PrilldConn *p = (PrilldConn*)pHandle->data;
  p->bClosed = 1;
  connFree(p);
}

void prilldConnClose(PrilldConn *p){
  PrilldReq *pReq;
  PrilldConn **pp;
  if( p==0 || p->bClosing ) return;
  p->bClosing = 1;
  *p->ppPrev = p->pNext;
  if( p->pNext ) p->pNext->ppPrev = p->ppPrev;
  for(pp=&connLoop(p)->pPaused; *pp; pp=&(*pp)->pNextPaused){
    if( *pp==p ){
      *pp = p->pNextPaused;
      break;
    }
  }
  p->pD->stat.nConn--;
  while( (pReq = p->pFirst)!=0 ){
    p->pFirst = pReq->pNext;
    pReq->pConn = 0;
    p->pD->nHeld -= pReq->frame.n;
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

void prilldConnIdle(PrilldLoop *pLoop){
  PrilldConn *p, *pNext;
  for(p=pLoop->pConns; p; p=pNext){
    pNext = p->pNext;
    if( p->nReq==0 && p->nWrite==0 && p->pD->now-p->iActive>p->pD->conf.msIdle ) prilldConnClose(p);
  }
}

/**************************************************************************
** Answers.
*/
static void connParse(PrilldConn*);

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
    p->nReqByte -= pReq->frame.n;
    p->pD->nHeld -= pReq->frame.n;
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
  p->pD->stat.nByteIn += n;
  if( (u8*)pBuf->base==connLoop(p)->aScratch ){
    prillBufAppend(&rc, &p->in, pBuf->base, n);
  }else{
    p->in.n += n;
  }
  if( rc!=SQLITE_OK ) prilldConnClose(p);
  else connParse(p);
}

/* May a request of this API be taken up now? */
static int connMay(const PrilldConn *p, int iKey){
  const PrilldReq *pReq;
  if( p->nOut>CONN_MX_OUT ) return 0;
  if( p->pFirst==0 ) return 1;
  if( iKey!=WIRE_PRODUCE || p->nReq>=CONN_MX_REQ || p->nReqByte>=CONN_MX_BYTE ) return 0;
  for(pReq=p->pFirst; pReq; pReq=pReq->pNext){
    if( pReq->h.iKey!=WIRE_PRODUCE ) return 0;
  }
  return 1;
}

static PrilldReq *connNewReq(PrilldConn *p, const u8 *a, i64 n){
  PrilldReq *pReq = (PrilldReq*)sqlite3_malloc64(sizeof(*pReq));
  int rc = SQLITE_OK;
  if( pReq==0 ) return 0;
  memset(pReq, 0, sizeof(*pReq));
  if( n>LOOP_SCRATCH/2 && p->in.n==n+4 ){
    pReq->frame = p->in;                            /* all of it: no copy */
    memset(&p->in, 0, sizeof(p->in));
    memmove(pReq->frame.a, pReq->frame.a+4, (size_t)n);
    pReq->frame.n = n;
  }else{
    prillBufAppend(&rc, &pReq->frame, a, n);
    if( rc!=SQLITE_OK ){
      sqlite3_free(pReq);
      return 0;
    }
  }
  pReq->pD = p->pD;
  pReq->pConn = p;
  pReq->iStart = p->pD->now;
  *p->ppLast = pReq;
  p->ppLast = &pReq->pNext;
  p->nReq++;
  p->nReqByte += n;
  p->pD->nHeld += n;
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
  int bStop = 0;
  if( p->bClosing || p->bParsing ) return;
  p->bParsing = 1;
  while( !p->bClosing && !bStop && p->in.n-iAt>=4 ){
    i64 n = (i32)prillGet32(p->in.a+iAt);
    PrilldReq *pReq;
    if( n<8 || n>pD->conf.szRequest ){
      prilldLog(PRILLD_LOG_INFO, "%s: a request of %lld bytes is refused", p->zPeer, n);
      prilldConnClose(p);
      break;
    }
    if( p->in.n-iAt<n+4 ) break;
    if( !connMay(p, prillGet16(p->in.a+iAt+4)) ){
      bStop = 1;
    }else if( pD->nHeld>pD->conf.szHeld && pD->nHeld>p->nReqByte ){
      if( !p->bPaused ){
        p->bPaused = 1;
        p->pNextPaused = connLoop(p)->pPaused;
        connLoop(p)->pPaused = p;
      }
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
  }else if( iAt>0 ){
    memmove(p->in.a, p->in.a+iAt, (size_t)(p->in.n-iAt));
    p->in.n -= iAt;
  }
  connRead(p, !bStop);
}

void prilldConnResume(Prilld *pD){
  PrilldLoop *pLoop = (PrilldLoop*)pD->pLoop;
  PrilldConn *p;
  while( pD->nHeld<=pD->conf.szHeld/2 && (p = pLoop->pPaused)!=0 ){
    pLoop->pPaused = p->pNextPaused;
    p->bPaused = 0;
    connParse(p);
  }
}

/**************************************************************************
** Accepting.
*/
static void connPeer(PrilldConn *p){
  struct sockaddr_storage ss;
  int n = (int)sizeof(ss);
  p->zPeer[0] = 0;
  if( uv_tcp_getpeername(&p->tcp, (struct sockaddr*)&ss, &n)!=0 ) return;
  if( ss.ss_family==AF_INET6 ) uv_ip6_name((struct sockaddr_in6*)&ss, p->zPeer, sizeof(p->zPeer));
  else uv_ip4_name((struct sockaddr_in*)&ss, p->zPeer, sizeof(p->zPeer));
}

void prilldConnAccept(PrilldListener *pListen){
  Prilld *pD = pListen->pD;
  PrilldLoop *pLoop = (PrilldLoop*)pD->pLoop;
  PrilldConn *p = (PrilldConn*)sqlite3_malloc64(sizeof(*p));
  int nBuf;
  if( p==0 ) return;
  memset(p, 0, sizeof(*p));
  p->pD = pD;
  p->pListen = pListen;
  p->ppLast = &p->pFirst;
  uv_tcp_init(&pLoop->uv, &p->tcp);
  p->tcp.data = p;
  if( uv_accept((uv_stream_t*)&pListen->tcp, (uv_stream_t*)&p->tcp)!=0 || pD->stat.nConn>=pD->conf.nConn
   || pD->bStopping ){
    p->bClosing = 1;
    uv_close((uv_handle_t*)&p->tcp, connOnClose);
    return;
  }
  connPeer(p);
  uv_tcp_nodelay(&p->tcp, 1);
  if( (nBuf = (int)pD->conf.szSendBuf)>0 ) uv_send_buffer_size((uv_handle_t*)&p->tcp, &nBuf);
  if( (nBuf = (int)pD->conf.szRecvBuf)>0 ) uv_recv_buffer_size((uv_handle_t*)&p->tcp, &nBuf);
  p->pNext = pLoop->pConns;
  if( p->pNext ) p->pNext->ppPrev = &p->pNext;
  p->ppPrev = &pLoop->pConns;
  pLoop->pConns = p;
  pD->stat.nConn++;
  pD->stat.nConnAll++;
  p->iActive = pD->now;
  connRead(p, 1);
}
