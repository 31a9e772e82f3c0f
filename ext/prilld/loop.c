/*
** loop.c: the event loop: listeners, signals, time.
**
** Before it sleeps, the timer is set for the first of Prilld.timers; once a
** second (the tick) the store is read again, whatever did or did not wake us,
** and idle connections are closed.
**
** THE WAKER is a thread that sleeps on the store's counter of commits, with a
** connection of its own for that, and tells the loop when it has moved: so a
** commit of any process answers the fetches that wait for it.
**
** SIGHUP reads the settings again.
**
** END.  SIGTERM or SIGINT: no connection is accepted any more, requests under
** way are answered (for LOOP_DRAIN_MS at most), what was submitted to the store
** is committed, then all is closed.  A second signal does not wait.
*/
#include "loop.h"
#include <stdio.h>
#include <signal.h>

#define LOOP_DRAIN_MS 10000

static const int aSignal[] = {SIGTERM, SIGINT, SIGHUP};

static PrilldLoop *loopOf(Prilld *p){
  return (PrilldLoop*)p->pLoop;
}

void prilldLoopNow(Prilld *p){
  PrilldLoop *pLoop = loopOf(p);
  uv_update_time(&pLoop->uv);
  p->now = (i64)uv_now(&pLoop->uv);
}

static void loopOnTimer(uv_timer_t *pTimer){
  Prilld *p = (Prilld*)pTimer->data;
  prilldLoopNow(p);
  prilldTimerRun(&p->timers, p->now);
}

/* Before the loop waits: arm the timer, free what is dead. */
static void loopOnPrepare(uv_prepare_t *pPrepare){
  Prilld *p = (Prilld*)pPrepare->data;
  PrilldLoop *pLoop = loopOf(p);
  i64 iDue = prilldTimerNext(&p->timers);
  prilldReqFreeDead(p);
  if( iDue==PRILL_I64MAX ){
    uv_timer_stop(&pLoop->timer);
  }else{
    prilldLoopNow(p);
    uv_timer_start(&pLoop->timer, loopOnTimer, (u64)PRILL_MAX(iDue-p->now, 0), 0);
  }
}

/**************************************************************************
** The waker.
*/
#define LOOP_WAKE_US 10000000       /* it looks again at least so often */

static void loopWaker(void *pArg){
  PrilldLoop *pLoop = (PrilldLoop*)pArg;
  PrillMark mark;
  while( !__atomic_load_n(&pLoop->bWakeStop, __ATOMIC_SEQ_CST) ){
    prillWakeSample(pLoop->pWake, 0, &mark);
    if( __atomic_load_n(&pLoop->bWakeStop, __ATOMIC_SEQ_CST) ) break;
    uv_async_send(&pLoop->async);
    while( prillWakeSleep(pLoop->pWake, pLoop->pWake->pVfs, &mark, LOOP_WAKE_US) ){}
  }
}

static void loopOnWake(uv_async_t *pAsync){
  Prilld *p = (Prilld*)pAsync->data;
  if( p->bStopping ) return;
  prilldLoopNow(p);
  p->view.bStale = 1;
  prilldCommitted(p);
}

static void loopWakerStart(Prilld *p){
  PrilldLoop *pLoop = loopOf(p);
  (void)prillWakeOpen(p->view.pStore, 1);         /* the file is there: the waker's connection reads nothing */
  if( prilldViewConnect(&pLoop->wakeView, p->conf.zDb)!=SQLITE_OK ) return;
  pLoop->pWake = prillWakeOpen(pLoop->wakeView.pStore, 1);
  if( pLoop->pWake==0 || pLoop->pWake->map.a==0 ){
    prilldLog(PRILLD_LOG_WARN, "commits of other processes are noticed once a second only: no file \"wake\" in %s-log",
              p->conf.zDb);
  }else if( uv_thread_create(&pLoop->waker, loopWaker, pLoop)==0 ){
    pLoop->bWaker = 1;
  }
}

/* The counter is moved by hand, so that the waker cannot go to sleep over it. */
static void loopWakerStop(PrilldLoop *pLoop){
  if( pLoop->bWaker ){
    __atomic_store_n(&pLoop->bWakeStop, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&pLoop->pWake->map.a[PRILL_WAKE_STORE], 2, __ATOMIC_SEQ_CST);
    prillFileWake(&pLoop->pWake->map.a[PRILL_WAKE_STORE], 0x7fffffff);
    uv_thread_join(&pLoop->waker);
    pLoop->bWaker = 0;
  }
  if( pLoop->wakeView.db ) prilldViewClose(&pLoop->wakeView);
}

static void loopOnConnection(uv_stream_t *pServer, int status){
  PrilldListener *pListen = (PrilldListener*)pServer->data;
  if( status!=0 ) return;
  prilldLoopNow(pListen->pD);
  prilldConnAccept(pListen);
}

/**************************************************************************
** The end.
*/
static void loopCloseListeners(PrilldLoop *pLoop){
  int i;
  for(i=0; i<pLoop->nListen; i++){
    if( !uv_is_closing((uv_handle_t*)&pLoop->aListen[i].tcp) ) uv_close((uv_handle_t*)&pLoop->aListen[i].tcp, 0);
  }
}

static void loopFinish(Prilld *p){
  PrilldLoop *pLoop = loopOf(p);
  int i;
  loopWakerStop(pLoop);
  prilldStoreStop(p);
  prilldConnCloseAll(pLoop);
  uv_close((uv_handle_t*)&pLoop->async, 0);
  loopCloseListeners(pLoop);
  prilldHttpStop(pLoop);
  uv_close((uv_handle_t*)&pLoop->timer, 0);
  uv_close((uv_handle_t*)&pLoop->tick, 0);
  uv_close((uv_handle_t*)&pLoop->prepare, 0);
  for(i=0; i<3; i++) uv_close((uv_handle_t*)&pLoop->aSignal[i], 0);
}

static void loopOnTick(uv_timer_t *pTimer){
  Prilld *p = (Prilld*)pTimer->data;
  PrilldLoop *pLoop = loopOf(p);
  prilldLoopNow(p);
  if( p->bStopping ){
    if( prilldConnBusy(pLoop)==0 || p->now>=pLoop->iStop ) loopFinish(p);
    return;
  }
  prilldConnTick(pLoop, p);
  prilldHttpTick(pLoop, p->now);
  prilldGroupSweep(p);
  prilldCommitted(p);
}

static void loopOnSignal(uv_signal_t *pSignal, int iSignal){
  Prilld *p = (Prilld*)pSignal->data;
  PrilldLoop *pLoop = loopOf(p);
  if( iSignal==SIGHUP ){
    if( !p->bStopping ) prilldConfReload(&p->conf);
    return;
  }
  prilldLoopNow(p);
  if( p->bStopping ){
    pLoop->iStop = p->now;
    return;
  }
  prilldLog(PRILLD_LOG_INFO, "stopping");
  prilldNotify("STOPPING=1");
  p->bStopping = 1;
  pLoop->iStop = p->now + LOOP_DRAIN_MS;
  loopCloseListeners(pLoop);
  uv_timer_start(&pLoop->tick, loopOnTick, 0, 20);
}

/**************************************************************************
** The beginning.
*/

/* Is the address this host's own alone? */
static int loopIsLocal(const struct sockaddr *pAddr){
  if( pAddr->sa_family==AF_INET ){
    return (ntohl(((const struct sockaddr_in*)pAddr)->sin_addr.s_addr)>>24)==127;
  }
  return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6*)pAddr)->sin6_addr);
}

static int loopFail(const PrilldAddr *pAddr, const char *zWhy){
  prilldLog(PRILLD_LOG_ERROR, "cannot listen on %s:%d: %s", pAddr->zHost, pAddr->iPort, zWhy);
  return SQLITE_ERROR;
}

static int loopBind(Prilld *p, uv_tcp_t *pTcp, PrilldAddr *pAddr, const struct sockaddr *pSock, uv_connection_cb xNew){
  struct sockaddr_storage ss;
  int n = (int)sizeof(ss), rc;
  if( !loopIsLocal(pSock) && !p->conf.bInsecurePublic ){
    return loopFail(pAddr, "this address can be reached from other hosts, and clients are not authenticated;"
                    " add --insecure-public if that is meant");
  }
  rc = uv_tcp_bind(pTcp, pSock, pSock->sa_family==AF_INET6 ? UV_TCP_IPV6ONLY : 0);
  if( rc==0 ) rc = uv_listen((uv_stream_t*)pTcp, 511, xNew);
  if( rc==0 ) rc = uv_tcp_getsockname(pTcp, (struct sockaddr*)&ss, &n);
  if( rc!=0 ) return loopFail(pAddr, uv_strerror(rc));
  pAddr->iPort = ntohs(ss.ss_family==AF_INET6 ? ((struct sockaddr_in6*)&ss)->sin6_port
                                              : ((struct sockaddr_in*)&ss)->sin_port);
  return SQLITE_OK;
}

int prilldLoopListen(Prilld *p, uv_tcp_t *pTcp, PrilldAddr *pAddr, uv_connection_cb xNew){
  uv_getaddrinfo_t req;
  struct addrinfo hint;
  char zPort[8];
  int rc;
  uv_tcp_init(&loopOf(p)->uv, pTcp);
  memset(&hint, 0, sizeof(hint));
  hint.ai_socktype = SOCK_STREAM;
  hint.ai_flags = AI_PASSIVE;
  sqlite3_snprintf(sizeof(zPort), zPort, "%d", pAddr->iPort);
  rc = uv_getaddrinfo(&loopOf(p)->uv, &req, 0, pAddr->zHost[0] ? pAddr->zHost : 0, zPort, &hint);
  if( rc!=0 ) return loopFail(pAddr, uv_strerror(rc));
  rc = loopBind(p, pTcp, pAddr, req.addrinfo->ai_addr, xNew);
  uv_freeaddrinfo(req.addrinfo);
  return rc;
}

static int loopListen(Prilld *p, int i){
  PrilldListener *pListen = &loopOf(p)->aListen[i];
  int rc;
  pListen->pD = p;
  pListen->addr = p->conf.aListen[i];
  pListen->tcp.data = pListen;
  loopOf(p)->nListen++;
  rc = prilldLoopListen(p, &pListen->tcp, &pListen->addr, loopOnConnection);
  pListen->advertise = i<p->conf.nAdvertise ? p->conf.aAdvertise[i] : pListen->addr;
  if( pListen->advertise.iPort==0 ) pListen->advertise.iPort = pListen->addr.iPort;
  return rc;
}

/* An address as text, after zBefore and before zAfter. */
static void loopAddr(int *pRc, PrillBuf *p, const char *zBefore, const PrilldAddr *pAddr, const char *zAfter){
  prillBufPrintf(pRc, p, strchr(pAddr->zHost, ':') ? "%s[%s]:%d%s" : "%s%s:%d%s", zBefore, pAddr->zHost,
                 pAddr->iPort, zAfter);
}

static void loopReady(Prilld *p){
  PrilldLoop *pLoop = loopOf(p);
  PrillBuf b = {0, 0, 0};
  int i, rc = SQLITE_OK;
  for(i=0; i<pLoop->nListen; i++){
    loopAddr(&rc, &b, i ? ", " : "", &pLoop->aListen[i].addr, "");
  }
  if( p->conf.nMetrics ) loopAddr(&rc, &b, ", metrics on http://", &p->conf.aMetrics[0], "/metrics");
  prillBufAppend(&rc, &b, "", 1);
  prilldLog(PRILLD_LOG_INFO, "prilld %s serves %s, listening on %s", PRILL_VERSION, p->conf.zDb,
            rc==SQLITE_OK ? (char*)b.a : "?");
  prilldNotify("READY=1");
  prillBufFree(&b);
}

static int loopInit(Prilld *p){
  PrilldLoop *pLoop = loopOf(p);
  int i;
  pLoop->aScratch = (u8*)sqlite3_malloc64(LOOP_SCRATCH);
  if( pLoop->aScratch==0 || uv_loop_init(&pLoop->uv)!=0 ) return SQLITE_NOMEM;
  uv_timer_init(&pLoop->uv, &pLoop->timer);
  uv_timer_init(&pLoop->uv, &pLoop->tick);
  uv_prepare_init(&pLoop->uv, &pLoop->prepare);
  pLoop->timer.data = pLoop->tick.data = pLoop->prepare.data = p;
  for(i=0; i<3; i++){
    uv_signal_init(&pLoop->uv, &pLoop->aSignal[i]);
    pLoop->aSignal[i].data = p;
    uv_signal_start(&pLoop->aSignal[i], loopOnSignal, aSignal[i]);
  }
  uv_async_init(&pLoop->uv, &pLoop->async, loopOnWake);
  pLoop->async.data = p;
  uv_prepare_start(&pLoop->prepare, loopOnPrepare);
  uv_timer_start(&pLoop->tick, loopOnTick, 1000, 1000);
  return SQLITE_OK;
}

int prilldLoopRun(Prilld *p){
  PrilldLoop loop;
  int i, rc;
  memset(&loop, 0, sizeof(loop));
  loop.ppPaused = &loop.pPaused;
  p->pLoop = &loop;
  rc = loopInit(p);
  if( rc!=SQLITE_OK ) return rc;
  prilldLoopNow(p);
  rc = prilldMetricsInit(p);
  if( rc==SQLITE_OK ) rc = prilldStoreStart(p, &loop);
  if( rc==SQLITE_OK ) rc = prilldViewOpen(&p->view, p->conf.zDb);
  for(i=0; rc==SQLITE_OK && i<p->conf.nListen; i++) rc = loopListen(p, i);
  if( rc==SQLITE_OK ) rc = prilldHttpStart(p);
  if( rc==SQLITE_OK ){
    loopWakerStart(p);
    loopReady(p);
  }else{
    loopFinish(p);
  }
  uv_run(&loop.uv, UV_RUN_DEFAULT);
  prilldGroupsFree(p);
  prilldQuotasFree(p);
  prilldMetricsFree(p);
  prilldReqFreeDead(p);
  prilldViewClose(&p->view);
  prilldStoreClosed(p);
  prilldTimersFree(&p->timers);
  uv_loop_close(&loop.uv);
  sqlite3_free(loop.aScratch);
  return rc;
}
