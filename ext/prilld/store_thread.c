/*
** store_thread.c: the thread that writes, one transaction for all that came.
**
** It owns the writing connection.  Jobs arrive in a list; it takes the whole
** list at once, prepares each outside the transaction, then
**
**   BEGIN IMMEDIATE       waiting its turn among the host's writers
**   each job's xRun       in the order they came
**   COMMIT                one round of syncs for all of them
**
** and hands them back.  While it commits, the next list gathers: the slower
** the disk, the larger the turn.
**
**   I1  A job is reported done only after its COMMIT returned SQLITE_OK:
**       synchronous is FULL, so that it is durable then; where the store says
**       flush=os, NORMAL.
**   I2  Jobs are run, and reported, in the order they were submitted.
**   I3  When the transaction is lost, every job of it fails; none is tried
**       again here: the client does.
**
** UPKEEP (retention, spills, compaction, files no longer named: the library's
** prillUpkeep) is done here as well, a bounded step at a time, between
** turns: STORE_UPKEEP_MS after something was written, and every
** log.retention.check.interval.ms.  While it has more to do, steps follow each
** other when no job waits; when jobs wait, only so often that upkeep has a
** fifth of the time.
**
**   I4  A job waits for one step of upkeep at most.
**
** Crash story: nothing is answered before the COMMIT; what was committed and
** not answered is what Kafka's clients retry.
*/
#include "loop.h"

#define STORE_TURN_BYTES (32<<20)     /* most bytes of jobs in one transaction */
#define STORE_BUSY_MS 60000
#define STORE_UPKEEP_MS 1000          /* from a turn to the upkeep after it, at most */
#define STORE_AGAIN_MS 200            /* after a step that left as much as the one before */
#define STORE_SHARE 4                 /* under load: rests so many times as long as a step took */

typedef struct StoreThread StoreThread;
struct StoreThread {
  Prilld *pD;
  PrilldWriter w;
  uv_thread_t thread;
  uv_mutex_t mutex;
  uv_cond_t cond;
  uv_async_t async;         /* jobs are done */
  PrilldJob *pIn, **ppIn;   /* submitted, under the mutex */
  PrilldJob *pDone, **ppDone;
  PrilldWriterStat stat;    /* a copy for the loop, under the mutex */
  u8 bStop;                 /* under the mutex */
  u8 bRunning;
  u8 eFlush;                /* as synchronous was set for */
  u64 iUpkeep;              /* ns: when the next step of upkeep is due */
  int nLeft;                /* what the last step left */
  u64 iRested;              /* ns: not before this while jobs wait */
  int fdLock;               /* lock.c */
};

static void storeExec(int *pRc, StoreThread *p, const char *zSql){
  if( *pRc==SQLITE_OK ) *pRc = sqlite3_exec(p->w.db, zSql, 0, 0, 0);
}

/* The connection's words for what went wrong, or SQLite's. */
static char *storeErr(StoreThread *p, int rc){
  char *z = p->w.pConn ? p->w.pConn->zErr : 0;
  if( z ){
    p->w.pConn->zErr = 0;
    return z;
  }
  return sqlite3_mprintf("%s", p->w.db ? sqlite3_errmsg(p->w.db) : sqlite3_errstr(rc));
}

/* The store's flush setting decides what a COMMIT waits for (I1). */
static void storeLevel(StoreThread *p){
  u8 eFlush = p->w.pStore->eFlush;
  int rc = SQLITE_OK;
  if( eFlush==p->eFlush ) return;
  storeExec(&rc, p, eFlush==PRILL_FLUSH_OS ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL");
  if( rc==SQLITE_OK ) p->eFlush = eFlush;
}

/* BEGIN with the store's tables and this connection a party to the transaction. */
static int storeBegin(StoreThread *p){
  int rc = sqlite3_exec(p->w.db, "BEGIN IMMEDIATE", 0, 0, 0);
  if( rc==SQLITE_OK ) rc = prillStoreJoin(p->w.pStore);
  return rc;
}

static u64 storeNs(i64 ms){
  return (u64)ms*1000000u;
}

static void storeRollback(StoreThread *p){
  if( !sqlite3_get_autocommit(p->w.db) ) sqlite3_exec(p->w.db, "ROLLBACK", 0, 0, 0);
}

/* Run one job.  The result is not SQLITE_OK when the transaction is lost. */
static int storeRun(StoreThread *p, PrilldJob *pJob){
  int rc = SQLITE_OK;
  if( pJob->bSavepoint ) rc = sqlite3_exec(p->w.db, "SAVEPOINT job", 0, 0, 0);
  if( rc==SQLITE_OK ){
    rc = pJob->xRun(pJob, &p->w);
    if( rc!=SQLITE_OK ){
      pJob->rc = rc;
      pJob->zErr = storeErr(p, rc);
    }
    if( sqlite3_get_autocommit(p->w.db) ) return rc==SQLITE_OK ? SQLITE_ABORT : rc;
    if( pJob->bSavepoint ){
      int bBack = rc!=SQLITE_OK;
      rc = bBack ? sqlite3_exec(p->w.db, "ROLLBACK TO job", 0, 0, 0) : SQLITE_OK;
      if( rc==SQLITE_OK ) rc = sqlite3_exec(p->w.db, "RELEASE job", 0, 0, 0);
    }else{
      rc = SQLITE_OK;
    }
  }
  return rc;
}

/* One transaction for the jobs of a list. */
static void storeTurn(StoreThread *p, PrilldJob *pList){
  PrilldJob *pJob;
  u64 t0 = uv_hrtime(), t1;
  int rc = storeBegin(p);
  t1 = uv_hrtime();
  p->w.stat.usWait += (i64)((t1-t0)/1000);
  if( t1-t0>1000000000u ){
    p->w.stat.nWaited++;
    prilldLog(PRILLD_LOG_WARN, "waited %lld ms for the write lock: another process holds it in a long transaction",
              (i64)((t1-t0)/1000000u));
  }
  for(pJob=pList; rc==SQLITE_OK && pJob; pJob=pJob->pNext) rc = storeRun(p, pJob);
  if( rc==SQLITE_OK ) rc = sqlite3_exec(p->w.db, "COMMIT", 0, 0, 0);
  if( rc!=SQLITE_OK ){
    char *z = storeErr(p, rc);
    p->w.stat.nFail++;
    prilldLog(PRILLD_LOG_ERROR, "a transaction failed: %s", z ? z : "out of memory");
    storeRollback(p);
    for(pJob=pList; pJob; pJob=pJob->pNext){
      pJob->rc = rc;
      if( pJob->zErr==0 ) pJob->zErr = sqlite3_mprintf("%s", z ? z : "out of memory");
    }
    sqlite3_free(z);
  }
  prilldHistAdd(&p->w.stat.commit, (i64)((uv_hrtime()-t1)/1000));
  storeLevel(p);
  p->iUpkeep = PRILL_MIN(p->iUpkeep, uv_hrtime() + storeNs(STORE_UPKEEP_MS));
}

/* One step of upkeep, and when the next is due. */
static void storeUpkeep(StoreThread *p){
  u64 t0 = uv_hrtime(), t1;
  int nLeft = 0;
  int rc = prillUpkeep(p->w.pStore, &nLeft);
  t1 = uv_hrtime();
  p->w.stat.nUpkeep++;
  if( rc!=SQLITE_OK ){
    char *z = storeErr(p, rc);
    p->w.stat.nUpkeepFail++;
    prilldLog(PRILLD_LOG_ERROR, "upkeep failed and will be tried again: %s", z ? z : "out of memory");
    sqlite3_free(z);
    storeRollback(p);
  }
  p->iRested = t1 + STORE_SHARE*(t1-t0);
  if( rc!=SQLITE_OK ){
    p->iUpkeep = t1 + storeNs(10*STORE_UPKEEP_MS);
  }else if( nLeft==0 || p->nLeft==nLeft ){
    /* Files whose dropping no checkpoint has made durable yet may be all that is left. */
    p->iUpkeep = t1 + storeNs(nLeft ? STORE_AGAIN_MS : p->pD->conf.msUpkeep);
  }else{
    p->iUpkeep = t1;
  }
  p->nLeft = nLeft;
}

/* Sleep until there is a job, or upkeep is due: then 1.  The mutex is held. */
static int storeSleep(StoreThread *p){
  while( !p->bStop ){
    u64 now = uv_hrtime();
    if( now>=p->iUpkeep && (p->pIn==0 || now>=p->iRested) ) return 1;
    if( p->pIn ) return 0;
    uv_cond_timedwait(&p->cond, &p->mutex, p->iUpkeep-now);
  }
  return 0;
}

/* Take what is queued, up to a turn's bound.  NULL: stop. */
static PrilldJob *storeTake(StoreThread *p){
  PrilldJob *pList, *pJob;
  i64 nByte = 0;
  uv_mutex_lock(&p->mutex);
  while( storeSleep(p) ){
    uv_mutex_unlock(&p->mutex);
    storeUpkeep(p);
    uv_async_send(&p->async);
    uv_mutex_lock(&p->mutex);
    p->stat = p->w.stat;
    if( p->pIn ) break;                     /* I4 */
  }
  pList = pJob = p->pIn;
  while( pJob && pJob->pNext && (nByte += pJob->nByte)<STORE_TURN_BYTES ) pJob = pJob->pNext;
  if( pJob ){
    p->pIn = pJob->pNext;
    if( p->pIn==0 ) p->ppIn = &p->pIn;
    pJob->pNext = 0;
  }
  uv_mutex_unlock(&p->mutex);
  return pList;
}

static void storeMain(void *pArg){
  StoreThread *p = (StoreThread*)pArg;
  PrilldJob *pList, *pJob;
  while( (pList = storeTake(p))!=0 ){
    for(pJob=pList; pJob; pJob=pJob->pNext){
      p->w.stat.nJob++;
      if( pJob->xPrepare ) pJob->xPrepare(pJob);
    }
    storeTurn(p, pList);
    uv_mutex_lock(&p->mutex);
    *p->ppDone = pList;
    while( *p->ppDone ) p->ppDone = &(*p->ppDone)->pNext;
    p->stat = p->w.stat;
    uv_mutex_unlock(&p->mutex);
    uv_async_send(&p->async);
  }
}

/* On the loop: report what is done. */
static void storeReport(StoreThread *p){
  PrilldJob *pJob, *pNext;
  uv_mutex_lock(&p->mutex);
  pJob = p->pDone;
  p->pDone = 0;
  p->ppDone = &p->pDone;
  uv_mutex_unlock(&p->mutex);
  p->pD->view.bStale = 1;
  if( pJob==0 ) return;
  prilldLoopNow(p->pD);
  for(; pJob; pJob=pNext){
    char *zErr = pJob->zErr;
    pNext = pJob->pNext;
    pJob->xDone(pJob);
    sqlite3_free(zErr);
  }
  prilldCommitted(p->pD);
}

void prilldStoreStat(Prilld *pD, PrilldWriterStat *pStat){
  StoreThread *p = (StoreThread*)pD->pStoreThread;
  uv_mutex_lock(&p->mutex);
  *pStat = p->stat;
  uv_mutex_unlock(&p->mutex);
}

static void storeAsync(uv_async_t *pAsync){
  storeReport((StoreThread*)pAsync->data);
}

/**************************************************************************
** Submitting.
*/
static void storePut(StoreThread *p, PrilldJob *pJob){
  uv_mutex_lock(&p->mutex);
  *p->ppIn = pJob;
  p->ppIn = &pJob->pNext;
  uv_cond_signal(&p->cond);
  uv_mutex_unlock(&p->mutex);
}

/* A job in the pool. */
typedef struct StoreWork StoreWork;
struct StoreWork {
  uv_work_t uv;
  StoreThread *p;
  PrilldJob *pJob;
};

static void storeWork(uv_work_t *pWork){
  PrilldJob *pJob = ((StoreWork*)pWork->data)->pJob;
  pJob->xPrepare(pJob);
}

/* On the loop again.  At the end the store thread may be gone. */
static void storeWorked(uv_work_t *pWork, int status){
  StoreWork *pW = (StoreWork*)pWork->data;
  PrilldJob *pJob = pW->pJob;
  (void)status;
  pJob->xPrepare = 0;
  if( pW->p->bRunning ){
    storePut(pW->p, pJob);
    prilldLoopNow(pW->p->pD);
    prilldConnPrepared(pJob->pReq);
  }else{
    pJob->rc = SQLITE_ABORT;
    pJob->xDone(pJob);
  }
  sqlite3_free(pW);
}

void prilldSubmit(Prilld *pD, PrilldJob *pJob){
  StoreThread *p = (StoreThread*)pD->pStoreThread;
  StoreWork *pW = pJob->bHeavy ? (StoreWork*)sqlite3_malloc64(sizeof(*pW)) : 0;
  pJob->pNext = 0;
  pJob->rc = SQLITE_OK;
  pJob->zErr = 0;
  if( pW==0 ){
    storePut(p, pJob);
    return;
  }
  pW->uv.data = pW;
  pW->p = p;
  pW->pJob = pJob;
  pJob->pReq->bPreparing = 1;
  uv_queue_work(p->async.loop, &pW->uv, storeWork, storeWorked);
}

/* No other daemon may serve the store. */
static int storeLock(StoreThread *p){
  char *zErr = 0;
  int rc;
  if( p->w.pStore->zDir==0 ) return prillError(p->w.pConn, SQLITE_ERROR, "a database in memory cannot be served");
  rc = prillStoreRefresh(p->w.pStore);
  if( rc==SQLITE_OK ) rc = prillStoreMakeDir(p->w.pStore, 0);
  if( rc!=SQLITE_OK ) return rc;
  rc = prilldLockTake(p->w.pStore->zDir, &p->fdLock, &zErr);
  if( zErr ) prillError(p->w.pConn, rc, "%s", zErr);
  sqlite3_free(zErr);
  return rc;
}

/* Open the store for writing; make it where there is none; begin new epochs. */
static int storeOpen(StoreThread *p, const char *zDb){
  int rc = sqlite3_open_v2(zDb, &p->w.db, SQLITE_OPEN_READWRITE|SQLITE_OPEN_CREATE|SQLITE_OPEN_NOMUTEX, 0);
  if( rc==SQLITE_OK ) rc = prill_init(p->w.db);
  if( rc==SQLITE_OK ) rc = prillConnOf(p->w.db, &p->w.pConn);
  if( rc==SQLITE_OK ) rc = prillTurnTimeout(p->w.pConn, STORE_BUSY_MS);
  storeExec(&rc, p, "PRAGMA journal_mode=WAL");
  storeExec(&rc, p, "PRAGMA synchronous=FULL");
  if( rc==SQLITE_OK ) rc = prillStoreGet(p->w.pConn, "main", &p->w.pStore);
  storeExec(&rc, p, "BEGIN IMMEDIATE");
  if( rc==SQLITE_OK ) rc = prillStoreCreate(p->w.pStore);
  storeExec(&rc, p, "COMMIT");
  if( rc==SQLITE_OK ) rc = storeBegin(p);
  if( rc==SQLITE_OK ) rc = storeLock(p);
  if( rc==SQLITE_OK ) rc = prilldLeaderStart(&p->w);
  storeExec(&rc, p, "COMMIT");
  if( rc==SQLITE_OK ) rc = prilldQuotaLoad(p->pD, &p->w);
  if( rc==SQLITE_OK ){
    p->eFlush = PRILL_FLUSH_COMMIT;
    storeLevel(p);
    p->iUpkeep = uv_hrtime() + storeNs(STORE_UPKEEP_MS);      /* first serve */
  }else{
    char *z = storeErr(p, rc);
    prilldLog(PRILLD_LOG_ERROR, "cannot open %s: %s", zDb, z ? z : "out of memory");
    sqlite3_free(z);
    storeRollback(p);
  }
  return rc;
}

int prilldStoreStart(Prilld *pD, PrilldLoop *pLoop){
  StoreThread *p = (StoreThread*)sqlite3_malloc64(sizeof(*p));
  int rc;
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->pD = pD;
  p->fdLock = -1;
  p->ppIn = &p->pIn;
  p->ppDone = &p->pDone;
  pD->pStoreThread = p;
  uv_mutex_init(&p->mutex);
  uv_cond_init(&p->cond);
  uv_async_init(&pLoop->uv, &p->async, storeAsync);
  p->async.data = p;
  rc = storeOpen(p, pD->conf.zDb);
  if( rc==SQLITE_OK && uv_thread_create(&p->thread, storeMain, p)!=0 ) rc = SQLITE_ERROR;
  if( rc==SQLITE_OK ) p->bRunning = 1;
  return rc;
}

void prilldStoreStop(Prilld *pD){
  StoreThread *p = (StoreThread*)pD->pStoreThread;
  if( p==0 ) return;
  if( p->bRunning ){
    uv_mutex_lock(&p->mutex);
    p->bStop = 1;
    uv_cond_signal(&p->cond);
    uv_mutex_unlock(&p->mutex);
    uv_thread_join(&p->thread);
    p->bRunning = 0;
    storeReport(p);
  }
  uv_close((uv_handle_t*)&p->async, 0);
}

void prilldStoreClosed(Prilld *pD){
  StoreThread *p = (StoreThread*)pD->pStoreThread;
  if( p==0 ) return;
  prillStorePut(p->w.pStore);
  sqlite3_close(p->w.db);
  prilldLockFree(&p->fdLock);
  uv_mutex_destroy(&p->mutex);
  uv_cond_destroy(&p->cond);
  sqlite3_free(p);
  pD->pStoreThread = 0;
}
