/*
** consume_group.c: the C interface of consumer groups: prill_consumer.
**
** Layer 6, api.  Calls poll, wait, store and consume.
**
** A consumer is a member of a group (PrillPoll) and a reading of the set it
** polled last.  As with a reader, no statement of ours is open between calls:
** the snapshot is let go of, and what the reading still wants is looked up anew
** (poll.c).
**
** Crash story: poll.c's.
*/
#include "prillPoll.h"

struct prill_consumer {
  PrillConn *pConn;         /* referenced; NULL: opening failed */
  PrillStore *pStore;       /* referenced, or NULL */
  PrillPoll poll;
  PrillTake take;           /* pPoll NULL: the set is read */
  u8 bJoined;
  char *zErr;
  int rc;                   /* the last call's result */
  prill_record rec;
  prill_header *aHeader;
  int nHeaderAlloc;
};

/* Before a call does anything; SQLITE_MISUSE where opening failed. */
static int consumeBegin(prill_consumer *p){
  sqlite3_free(p->zErr);
  p->zErr = 0;
  p->rc = SQLITE_OK;
  if( p->pConn==0 || p->pStore==0 || !p->bJoined ) return SQLITE_MISUSE;
  sqlite3_free(p->pConn->zErr);
  p->pConn->zErr = 0;
  return SQLITE_OK;
}

/* The call's result, and its reason; the snapshot goes. */
static int consumeResult(prill_consumer *p, int rc){
  p->rc = rc;
  if( p->pStore ) prillStoreLetGo(p->pStore);
  if( rc!=SQLITE_NOMEM && p->pConn && p->pConn->zErr ){
    sqlite3_free(p->zErr);
    p->zErr = p->pConn->zErr;
    p->pConn->zErr = 0;
  }
  return rc;
}

/* A new set, waiting up to ms for one that has records. */
static int consumeSet(prill_consumer *p, int ms){
  PrillWait w;
  int rc = SQLITE_OK;
  prillWaitInit(&w, p->pConn, ms);
  while( rc==SQLITE_OK ){
    prillWaitSample(&w, p->pStore, prillPollWord(&p->poll, p->pStore));
    rc = prillPollSet(&p->poll, p->pStore, p->poll.conf.nMax);
    if( (rc&0xff)==SQLITE_BUSY && w.msLeft!=0 && prillWaitMay(p->pConn) ) rc = SQLITE_OK;
    if( rc!=SQLITE_OK || p->poll.nGive>0 ) break;
    prillStoreLetGo(p->pStore);
    rc = prillWaitSleep(&w);
  }
  prillWaitEnd(&w);
  if( rc==SQLITE_OK ) prillTakeBegin(&p->take, &p->poll, p->pStore);
  return rc;
}

/* The record is the consumer's: SQLITE_ROW or SQLITE_NOMEM. */
static int consumeGive(prill_consumer *p){
  const PrillRecord *pRec = &p->take.rec;
  prill_record *r = &p->rec;
  r->zTopic = p->take.pTopic->zName;
  r->iPartition = p->take.iPart;
  r->iOffset = pRec->iOff;
  r->iTimestamp = pRec->iTs;
  r->pKey = pRec->nKey>=0 ? pRec->pKey : 0;
  r->nKey = PRILL_MAX(pRec->nKey, 0);
  r->pValue = pRec->nVal>=0 ? pRec->pVal : 0;
  r->nValue = PRILL_MAX(pRec->nVal, 0);
  r->aHeader = 0;
  r->nHeader = 0;
  return pRec->nHdr ? prillConsumeHeaders(pRec, r, &p->aHeader, &p->nHeaderAlloc) : SQLITE_ROW;
}

int prill_consumer_poll(prill_consumer *p, int ms, const prill_record **ppRecord){
  int rc = consumeBegin(p);
  *ppRecord = 0;
  while( rc==SQLITE_OK ){
    if( p->take.pPoll==0 ) rc = consumeSet(p, ms);
    if( rc!=SQLITE_OK ) break;
    rc = prillTakeNext(&p->take);
    if( rc==SQLITE_ROW ){
      rc = consumeGive(p);
      if( rc==SQLITE_ROW ) *ppRecord = &p->rec;
      break;
    }
    prillTakeEnd(&p->take);
    if( rc==SQLITE_ABORT || rc==SQLITE_DONE ) rc = SQLITE_OK;   /* rolled back, or read: the next set */
  }
  return consumeResult(p, rc);
}

int prill_consumer_commit(prill_consumer *p, int *pnMoved){
  int nMoved = 0;
  int rc = consumeBegin(p);
  if( rc==SQLITE_OK ) rc = prillPollCommit(&p->poll, p->pStore, &nMoved);
  if( pnMoved ) *pnMoved = nMoved;
  return consumeResult(p, rc);
}

int prill_consumer_commit_to(prill_consumer *p, const char *zTopic, int iPartition, sqlite3_int64 iOffset){
  int rc = consumeBegin(p);
  if( rc==SQLITE_OK && zTopic==0 ) rc = SQLITE_MISUSE;
  if( rc==SQLITE_OK ) rc = prillPollCommitTo(&p->poll, zTopic, iPartition, iOffset);
  return consumeResult(p, rc);
}

int prill_consumer_seek(prill_consumer *p, const char *zTopic, int iPartition, sqlite3_int64 iOffset){
  int rc = consumeBegin(p);
  if( rc==SQLITE_OK && zTopic==0 ) rc = SQLITE_MISUSE;
  if( rc==SQLITE_OK ) rc = prillPollSeek(&p->poll, zTopic, iPartition, iOffset);
  if( rc==SQLITE_OK && p->take.pPoll ) prillTakeEnd(&p->take);
  return consumeResult(p, rc);
}

const char *prill_consumer_errmsg(prill_consumer *p){
  return p==0 ? sqlite3_errstr(SQLITE_NOMEM) : p->zErr ? p->zErr : sqlite3_errstr(p->rc);
}

/* The options, names and values in turn. */
static int consumeOptions(prill_consumer *p, const char *const *az){
  PrillPollConf *pConf = &p->poll.conf;
  char *zErr = 0;
  int rc = SQLITE_OK;
  for(; rc==SQLITE_OK && az && az[0]; az+=2){
    char *zVal = sqlite3_mprintf("%s", az[1] ? az[1] : "");
    rc = zVal ? prillPollOption(pConf, az[0], &zVal, &zErr) : SQLITE_NOMEM;
    sqlite3_free(zVal);
    if( az[1]==0 ) break;
  }
  if( rc==SQLITE_OK ) rc = prillPollCheck(pConf, &zErr);
  if( rc==SQLITE_OK && pConf->eCommit==PRILL_COMMIT_STATEMENT ){
    return prillError(p->pConn, SQLITE_ERROR, "prill_consumer_open(): enable.auto.commit=statement is for SQL"
                      " statements; use true or false");
  }
  if( rc==SQLITE_OK && pConf->zClient==0 ){
    pConf->zClient = sqlite3_mprintf("consumer");
    if( pConf->zClient==0 ) rc = SQLITE_NOMEM;
  }
  if( rc!=SQLITE_OK && rc!=SQLITE_NOMEM ) prillError(p->pConn, rc, "prill_consumer_open(): %s", zErr);
  sqlite3_free(zErr);
  return rc;
}

int prill_consumer_open(sqlite3 *db, const char *zSchema, const char *const *azOption, prill_consumer **pp){
  PrillConn *pConn = 0;
  prill_consumer *p = (prill_consumer*)sqlite3_malloc64(sizeof(*p));
  int rc;
  *pp = p;
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  rc = prillConnOf(db, &pConn);
  if( rc!=SQLITE_OK ){
    if( rc!=SQLITE_NOMEM ){
      p->zErr = sqlite3_mprintf("prill is not registered with this connection: %s; call prill_init() first",
                                sqlite3_errmsg(db));
    }
    return consumeResult(p, rc);
  }
  p->pConn = (PrillConn*)prillConnRef(pConn);
  p->poll.pConn = pConn;
  (void)consumeBegin(p);
  rc = consumeOptions(p, azOption);
  if( rc==SQLITE_OK ) rc = prillStoreGet(pConn, zSchema, &p->pStore);
  p->poll.pStore = p->pStore;
  if( rc==SQLITE_OK ) rc = prillPollJoin(&p->poll);
  p->bJoined = (u8)(rc==SQLITE_OK);
  return consumeResult(p, rc);
}

int prill_consumer_close(prill_consumer *p){
  int rc = SQLITE_OK;
  if( p==0 ) return SQLITE_OK;
  if( p->take.pPoll ) prillTakeEnd(&p->take);
  if( p->bJoined ) rc = prillPollLeave(&p->poll);
  prillPollFree(&p->poll);
  prillStorePut(p->pStore);
  if( p->pConn ) prillConnUnref(p->pConn);
  sqlite3_free(p->aHeader);
  sqlite3_free(p->zErr);
  sqlite3_free(p);
  return rc;
}
