/*
** wait.c: waiting for records: who may, how long, what ends it; and what a
** connection has seen of a topic.
**
** Layer 3, store.  Calls store, part, wake, turn.
**
** WHO MAY.  A wait holds no snapshot and no lock, so it takes place only in
** autocommit and while no schema but temp has a transaction.  Else the wait is
** over before it begins, and the caller gets what is there.
**
** LOOKING WHILE A SELECT RUNS.  SQLite ends a read transaction when the last
** reader of the connection is done.  A method of a virtual table runs inside a
** reader, so a nested statement leaves its snapshot behind until the outer
** statement ends: it would pin the WAL, block writers of a rollback journal,
** and show the same old state at each look.  prillWaitStore() opens the same
** database by the same VFS on a connection of its own, whose statements are
** nobody's inner ones.  It only reads, but for one asked for with bWrite.
**
** TIME.  A sleep that ran to its end counts in full; one that was cut short
** counts by the VFS's clock, within 0 and its length.  So a clock that is set
** neither ends a wait nor makes it endless.
**
**   I1  No sleep is longer than prillLimit.msLook, a second (wake.c, I2).
**   I2  sqlite3_interrupt() is noticed at each look: a statement stepped on the
**       connection says SQLITE_INTERRUPT, and another one held open meanwhile
**       keeps SQLite from forgetting the interrupt.
**
** Crash story: nothing is written here.
*/
#include "prillInt.h"

int prillWaitMay(PrillConn *pConn){
  const char *zSchema;
  int i;
  if( !sqlite3_get_autocommit(pConn->db) ) return 0;
  for(i=0; (zSchema = sqlite3_db_name(pConn->db, i))!=0; i++){
    if( i!=1 && sqlite3_txn_state(pConn->db, zSchema)!=SQLITE_TXN_NONE ) return 0;
  }
  return 1;
}

void prillWaitInit(PrillWait *p, PrillConn *pConn, i64 ms){
  memset(p, 0, sizeof(*p));
  p->pConn = pConn;
  p->bLook = 1;
  p->msLeft = ms<0 ? -1 : ms;
}

void prillWaitSample(PrillWait *p, PrillStore *pStore, i64 iTopic){
  p->pStore = pStore;
  prillWakeSample(p->msLeft==0 ? 0 : prillWakeOpen(pStore, p->bLook), iTopic, &p->mark);
}

void prillWaitEnd(PrillWait *p){
  sqlite3_finalize(p->pHold);
  sqlite3_finalize(p->pProbe);
  p->pHold = p->pProbe = 0;
}

/* Has sqlite3_interrupt() been called (I2)?  Whether it can be asked at all is
** the authorizer's to say; without an answer the wait goes on. */
static int waitInterrupted(PrillWait *p){
  sqlite3 *db = p->pConn->db;
  int rc = SQLITE_OK;
  if( p->pProbe==0 ){
    rc = sqlite3_prepare_v2(db, "VALUES(1),(2)", -1, &p->pHold, 0);
    if( rc==SQLITE_OK ) rc = sqlite3_prepare_v2(db, "SELECT 1", -1, &p->pProbe, 0);
    if( rc==SQLITE_OK && sqlite3_step(p->pHold)!=SQLITE_ROW ) rc = sqlite3_reset(p->pHold);
    if( rc!=SQLITE_OK ){
      prillWaitEnd(p);
      return rc==SQLITE_NOMEM || rc==SQLITE_INTERRUPT ? rc : SQLITE_OK;
    }
  }
  (void)sqlite3_step(p->pProbe);
  rc = sqlite3_reset(p->pProbe);
  return rc==SQLITE_NOMEM || rc==SQLITE_INTERRUPT ? rc : SQLITE_OK;
}

int prillWaitSleep(PrillWait *p){
  PrillStore *pStore = p->pStore;
  sqlite3_vfs *pVfs = pStore->pVfs;
  i64 ms, msBegan, msSlept;
  int rc;
  if( p->msLeft==0 || !prillWaitMay(p->pConn) ) return SQLITE_DONE;
  if( pStore->pConn!=p->pConn && !prillWaitMay(pStore->pConn) ) return SQLITE_DONE;
  rc = waitInterrupted(p);
  if( rc!=SQLITE_OK ) return rc;
  ms = p->msLeft<0 ? prillLimit.msLook : PRILL_MIN(p->msLeft, prillLimit.msLook);
  if( p->msMost>0 && p->msMost<ms ) ms = p->msMost;
  msBegan = prillNow(pVfs);
  if( prillWakeSleep(pStore->pWake, pVfs, &p->mark, ms*1000) ){
    msSlept = ms;
    p->bLook = 1;
  }else{
    p->bLook = 0;
    p->pConn->nRoused++;
    msSlept = prillNow(pVfs) - msBegan;
    msSlept = PRILL_MIN(PRILL_MAX(msSlept, 0), ms);
  }
  p->pConn->nSlept++;
  if( p->msLeft>0 ) p->msLeft -= msSlept;
  return waitInterrupted(p);
}

/**************************************************************************
** A connection for looking.
*/
int prillWaitStore(PrillStore *pStore, int bWrite, PrillStore **pp){
  sqlite3 *db = 0;
  PrillConn *pConn;
  int bRead = sqlite3_db_readonly(pStore->pConn->db, pStore->zSchema)==1;
  int rc;
  *pp = 0;
  if( pStore->zDb[0]==0 || sqlite3_vfs_find(pStore->pVfs->zName)!=pStore->pVfs ) return SQLITE_CANTOPEN;
  pConn = (PrillConn*)sqlite3_malloc64(sizeof(*pConn));
  if( pConn==0 ) return SQLITE_NOMEM;
  memset(pConn, 0, sizeof(*pConn));
  rc = sqlite3_open_v2(pStore->zDb, &db, bRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE, pStore->pVfs->zName);
  pConn->db = db;
  pConn->nRef = 1;
  pConn->iLastOff = pConn->iLastPart = -1;
  if( rc==SQLITE_OK ) rc = prillTurnTimeout(pConn, prillLimit.msLook);
  if( rc==SQLITE_OK && !bWrite ) rc = sqlite3_exec(db, "PRAGMA query_only=1", 0, 0, 0);
  if( rc==SQLITE_OK ) rc = prillStoreGet(pConn, "main", pp);
  if( rc==SQLITE_OK ) return SQLITE_OK;
  sqlite3_close(db);
  prillConnUnref(pConn);
  return rc==SQLITE_NOMEM ? rc : SQLITE_CANTOPEN;
}

void prillWaitStoreClose(PrillStore *p){
  PrillConn *pConn;
  sqlite3 *db;
  if( p==0 ) return;
  pConn = p->pConn;
  db = pConn->db;
  prillStorePut(p);
  sqlite3_close(db);
  prillConnUnref(pConn);                /* last: the busy handler is in it */
}

/**************************************************************************
** What has been seen of a topic: the sum of its partitions' ends, which moves
** with every commit to it.
*/
struct PrillSeen {
  PrillSeen *pNext;
  u8 aUuid[16];
  u8 bRead;                           /* it has been read */
  i64 nEnd;                           /* the sum then */
  const PrillStore *pStore;           /* the sum is that of iData there */
  u32 iData;
};

/* The connection's note of a topic, made when it is missing; NULL without
** memory. */
static PrillSeen *waitSeen(PrillConn *pConn, PrillTopic *pTopic){
  PrillSeen *p;
  if( pTopic->pSeen && pTopic->pStore->pConn==pConn ) return pTopic->pSeen;
  for(p=pConn->pSeen; p && memcmp(p->aUuid, pTopic->aUuid, 16)!=0; p=p->pNext){}
  if( p==0 ){
    p = (PrillSeen*)sqlite3_malloc64(sizeof(*p));
    if( p==0 ) return 0;
    memset(p, 0, sizeof(*p));
    memcpy(p->aUuid, pTopic->aUuid, 16);
    p->pNext = pConn->pSeen;
    pConn->pSeen = p;
  }
  if( pTopic->pStore->pConn==pConn ) pTopic->pSeen = p;
  return p;
}

static int waitSum(PrillTopic *pTopic, i64 *pn){
  int i;
  int rc = SQLITE_OK;
  *pn = 0;
  for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++){
    rc = prillPartLoad(pTopic->apPart[i]);
    *pn += prillPartEnd(pTopic->apPart[i]);
  }
  return rc;
}

int prillWaitRead(PrillConn *pConn, PrillTopic *pTopic){
  PrillStore *pStore = pTopic->pStore;
  PrillSeen *p = waitSeen(pConn, pTopic);
  i64 n;
  int rc;
  if( p==0 ) return SQLITE_NOMEM;
  if( p->bRead && p->pStore==pStore && p->iData==pStore->iDataVersion ) return SQLITE_OK;
  rc = waitSum(pTopic, &n);
  if( rc==SQLITE_OK ){
    p->bRead = 1;
    p->nEnd = n;
    p->pStore = pStore;
    p->iData = pStore->iDataVersion;
  }
  return rc;
}

int prillWaitNews(PrillConn *pConn, PrillTopic *pTopic, int *pbNews){
  PrillSeen *p = waitSeen(pConn, pTopic);
  i64 n;
  int rc;
  *pbNews = 0;
  if( p==0 ) return SQLITE_NOMEM;
  rc = waitSum(pTopic, &n);
  if( rc==SQLITE_OK ) *pbNews = n!=p->nEnd;
  return rc;
}

void prillWaitFree(PrillConn *pConn){
  PrillSeen *p;
  while( (p = pConn->pSeen)!=0 ){
    pConn->pSeen = p->pNext;
    sqlite3_free(p);
  }
}
