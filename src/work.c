/*
** work.c: records of a consumer group given to several workers at once, those of
** one key one after the other: prill_work.
**
** Layer 6, api.  Calls consume_group (by its public interface), util and option.
**
** A record polled becomes an entry.  Entries of a partition stand in a list in the
** order of their offsets; those of one key in a chain.
**
**     WAITING --next--> OUT --done--> DONE, and gone with all before it
**
** An entry is READY (in a queue of such) when it is WAITING and no entry of its
** key is before it.  A record without a key is a key of its own.
**
**   I1  Of one key of a partition at most one entry is OUT, and it is the oldest.
**   I2  The offset committed of a partition is that of its first entry which is
**       not DONE: whoever comes after us begins there.
**   I3  At most nMax entries and szMax bytes of records are kept, one record more
**       where polling must go on for the group to keep us.
**   I4  A partition that went to another member takes its WAITING entries with it;
**       what is OUT then belongs to no partition, and done() only frees it.
**
** THREADS.  mutex guards everything here but the consumer, and is held for no
** longer than a list takes.  conn is held by whoever uses the consumer, also while
** he waits for records; done() does not want it.
**
** Crash story: nothing is written but offsets, by the consumer.
*/
#include "prillInt.h"

enum { WORK_WAITING, WORK_OUT, WORK_DONE };

#define WORK_BUCKETS 1024
#define WORK_SLICE   1000             /* ms of one wait with nothing to commit */
#define WORK_TICK    100              /* and with something */
#define WORK_NAP     2                /* ms between two looks when all there may be is OUT */

typedef struct WorkEntry WorkEntry;
typedef struct WorkPart WorkPart;

struct WorkEntry {
  prill_record rec;                   /* first: done() gets its address */
  WorkPart *pPart;                    /* NULL: it is another member's now (I4) */
  WorkEntry *pNext;                   /* in the partition */
  WorkEntry *pReady;                  /* in the queue */
  WorkEntry *pBehind;                 /* next of its key */
  WorkEntry *pHash;                   /* in the bucket, of the last of each key */
  WorkEntry *pPrevOut, *pNextOut;     /* all that are OUT */
  u8 *aData; i64 nData;               /* the record's bytes, freed at done() */
  u32 iHash;
  u8 eState;
  u8 bHash;
};

struct WorkPart {
  WorkPart *pNext;
  char *zTopic;
  int iPart;
  WorkEntry *pFirst, *pLast;
  i64 iNext;                          /* to be committed */
  u8 bMoved;                          /* since it was */
  u8 bTold;                           /* in the transaction at hand */
};

struct prill_work {
  sqlite3 *db;
  sqlite3_vfs *pVfs;
  prill_consumer *pConsumer;          /* NULL: opening failed */
  sqlite3_mutex *pMutex, *pConn;
  i64 nMax, szMax, msCommit, msInterval;
  i64 nEntry, nByte, nOut;
  i64 msCommitted, msPolled;
  WorkPart *pParts;
  WorkEntry *pReady, *pReadyLast;
  WorkEntry *pOut;
  WorkEntry *aBucket[WORK_BUCKETS];
  char *zErr;
  int rc;
};

static void workSay(prill_work *p, int rc, const char *z){
  sqlite3_mutex_enter(p->pMutex);
  sqlite3_free(p->zErr);
  p->zErr = sqlite3_mprintf("%s", z);
  p->rc = rc;
  sqlite3_mutex_leave(p->pMutex);
}

/* The consumer's error becomes ours. */
static int workFail(prill_work *p, int rc){
  workSay(p, rc, prill_consumer_errmsg(p->pConsumer));
  return rc;
}

/**************************************************************************
** Entries.  The mutex is held.
*/
static int workSameKey(const WorkEntry *a, const WorkEntry *b){
  return a->iHash==b->iHash && a->pPart==b->pPart && a->rec.nKey==b->rec.nKey
      && memcmp(a->rec.pKey, b->rec.pKey, (size_t)a->rec.nKey)==0;
}

static void workReady(prill_work *p, WorkEntry *e){
  e->pReady = 0;
  if( p->pReadyLast ) p->pReadyLast->pReady = e; else p->pReady = e;
  p->pReadyLast = e;
}

static void workUnhash(prill_work *p, WorkEntry *e){
  WorkEntry **pp = &p->aBucket[e->iHash%WORK_BUCKETS];
  if( !e->bHash ) return;
  while( *pp!=e ) pp = &(*pp)->pHash;
  *pp = e->pHash;
  e->bHash = 0;
}

/* Behind the last entry of its key, or ready. */
static void workChain(prill_work *p, WorkEntry *e){
  WorkEntry *pTail;
  if( e->rec.pKey==0 ){
    workReady(p, e);
    return;
  }
  e->iHash = prillCrc32c((u32)e->pPart->iPart, e->rec.pKey, e->rec.nKey);
  for(pTail=p->aBucket[e->iHash%WORK_BUCKETS]; pTail && !workSameKey(pTail, e); pTail=pTail->pHash){}
  if( pTail ){
    workUnhash(p, pTail);
    pTail->pBehind = e;
  }else{
    workReady(p, e);
  }
  e->pHash = p->aBucket[e->iHash%WORK_BUCKETS];
  p->aBucket[e->iHash%WORK_BUCKETS] = e;
  e->bHash = 1;
}

static void workFreeData(prill_work *p, WorkEntry *e){
  p->nByte -= e->nData;
  sqlite3_free(e->aData);
  e->aData = 0;
  e->nData = 0;
}

static void workFreeEntry(prill_work *p, WorkEntry *e){
  workFreeData(p, e);
  p->nEntry--;
  sqlite3_free(e);
}

/* The partition is another member's (I4). */
static void workDrop(prill_work *p, WorkPart *pPart){
  WorkEntry *e, *pNext, **pp;
  p->pReadyLast = 0;
  for(pp=&p->pReady; *pp; ){
    if( (*pp)->pPart==pPart ){
      *pp = (*pp)->pReady;
    }else{
      p->pReadyLast = *pp;
      pp = &(*pp)->pReady;
    }
  }
  for(e=pPart->pFirst; e; e=pNext){
    pNext = e->pNext;
    workUnhash(p, e);
    if( e->eState==WORK_OUT ){
      e->pPart = 0;
      e->pBehind = 0;
    }else{
      workFreeEntry(p, e);
    }
  }
  pPart->pFirst = pPart->pLast = 0;
  pPart->bMoved = 0;
}

/* DONE entries at the partition's head go (I2). */
static void workAdvance(prill_work *p, WorkPart *pPart){
  WorkEntry *e;
  while( (e = pPart->pFirst)!=0 && e->eState==WORK_DONE ){
    pPart->pFirst = e->pNext;
    if( e->pNext==0 ) pPart->pLast = 0;
    pPart->iNext = e->rec.iOffset+1;
    pPart->bMoved = 1;
    workFreeEntry(p, e);
  }
}

static WorkPart *workPart(prill_work *p, const char *zTopic, int iPart){
  WorkPart *pPart;
  for(pPart=p->pParts; pPart; pPart=pPart->pNext){
    if( pPart->iPart==iPart && strcmp(pPart->zTopic, zTopic)==0 ) return pPart;
  }
  pPart = (WorkPart*)sqlite3_malloc64(sizeof(*pPart));
  if( pPart==0 ) return 0;
  memset(pPart, 0, sizeof(*pPart));
  pPart->zTopic = sqlite3_mprintf("%s", zTopic);
  if( pPart->zTopic==0 ){
    sqlite3_free(pPart);
    return 0;
  }
  pPart->iPart = iPart;
  pPart->pNext = p->pParts;
  p->pParts = pPart;
  return pPart;
}

/* Copy n bytes to *paTo, a byte more than there are: a copy of none is none's. */
static const void *workCopy(u8 **paTo, const void *a, int n){
  u8 *aTo = *paTo;
  if( a==0 ) return 0;
  memcpy(aTo, a, (size_t)n);
  aTo[n] = 0;
  *paTo += n+1;
  return aTo;
}

/* The record's bytes, all in one piece. */
static int workCopyRecord(prill_work *p, WorkEntry *e, const prill_record *r){
  i64 n = (i64)sizeof(prill_header)*r->nHeader + r->nKey + r->nValue + 2;
  prill_header *aHeader;
  u8 *a;
  int i;
  for(i=0; i<r->nHeader; i++) n += (i64)r->aHeader[i].nName + r->aHeader[i].nValue + 2;
  e->aData = (u8*)sqlite3_malloc64((u64)n);
  if( e->aData==0 ) return SQLITE_NOMEM;
  e->nData = n;
  p->nByte += n;
  e->rec = *r;
  e->rec.zTopic = e->pPart ? e->pPart->zTopic : 0;
  aHeader = (prill_header*)e->aData;
  a = e->aData + sizeof(prill_header)*(size_t)r->nHeader;
  e->rec.aHeader = r->nHeader ? aHeader : 0;
  e->rec.pKey = workCopy(&a, r->pKey, r->nKey);
  e->rec.pValue = workCopy(&a, r->pValue, r->nValue);
  for(i=0; i<r->nHeader; i++){
    aHeader[i] = r->aHeader[i];
    aHeader[i].zName = (const char*)workCopy(&a, r->aHeader[i].zName, r->aHeader[i].nName);
    aHeader[i].pValue = workCopy(&a, r->aHeader[i].pValue, r->aHeader[i].nValue);
  }
  return SQLITE_OK;
}

/* A record was polled. */
static int workAdd(prill_work *p, const prill_record *r){
  WorkPart *pPart = workPart(p, r->zTopic, r->iPartition);
  WorkEntry *e = pPart ? (WorkEntry*)sqlite3_malloc64(sizeof(*e)) : 0;
  if( e==0 ) return SQLITE_NOMEM;
  memset(e, 0, sizeof(*e));
  p->nEntry++;
  /* Given again: it went, and came back. */
  if( pPart->pLast && r->iOffset<=pPart->pLast->rec.iOffset ) workDrop(p, pPart);
  e->pPart = pPart;
  if( workCopyRecord(p, e, r)!=SQLITE_OK ){
    workFreeEntry(p, e);
    return SQLITE_NOMEM;
  }
  if( pPart->pLast ) pPart->pLast->pNext = e; else pPart->pFirst = e;
  pPart->pLast = e;
  workChain(p, e);
  return SQLITE_OK;
}

static int workFull(const prill_work *p){
  return p->nEntry>=p->nMax || p->nByte>=p->szMax;
}

/* The next one to be worked on, or NULL. */
static WorkEntry *workPop(prill_work *p){
  WorkEntry *e = p->pReady;
  if( e==0 ) return 0;
  p->pReady = e->pReady;
  if( p->pReady==0 ) p->pReadyLast = 0;
  e->eState = WORK_OUT;
  e->pPrevOut = 0;
  e->pNextOut = p->pOut;
  if( p->pOut ) p->pOut->pPrevOut = e;
  p->pOut = e;
  p->nOut++;
  return e;
}

/**************************************************************************
** Offsets.  conn is held, the mutex is not.
*/

/* One partition that has moved and was not told yet, or NULL. */
static WorkPart *workMoved(prill_work *p, i64 *piNext){
  WorkPart *pPart;
  sqlite3_mutex_enter(p->pMutex);
  for(pPart=p->pParts; pPart && (!pPart->bMoved || pPart->bTold); pPart=pPart->pNext){}
  if( pPart ){
    pPart->bTold = 1;
    pPart->bMoved = 0;
    *piNext = pPart->iNext;
  }
  sqlite3_mutex_leave(p->pMutex);
  return pPart;
}

/* The transaction's end: what was told is committed, or to be told again. */
static void workTold(prill_work *p, int bDone){
  WorkPart *pPart;
  sqlite3_mutex_enter(p->pMutex);
  for(pPart=p->pParts; pPart; pPart=pPart->pNext){
    if( pPart->bTold && !bDone ) pPart->bMoved = 1;
    pPart->bTold = 0;
  }
  sqlite3_mutex_leave(p->pMutex);
}

/* Commit what may be (I2), all partitions in one transaction. */
static int workCommit(prill_work *p){
  WorkPart *pPart = 0;
  i64 iNext = 0;
  int bMoved = 0, bOwn = 0;
  int rc = SQLITE_OK;
  p->msCommitted = prillNow(p->pVfs);
  sqlite3_mutex_enter(p->pMutex);
  for(pPart=p->pParts; pPart; pPart=pPart->pNext) bMoved |= pPart->bMoved;
  sqlite3_mutex_leave(p->pMutex);
  if( !bMoved ) return SQLITE_OK;
  if( sqlite3_get_autocommit(p->db) ){
    rc = sqlite3_exec(p->db, "BEGIN IMMEDIATE", 0, 0, 0);
    if( rc!=SQLITE_OK ){
      workSay(p, rc, sqlite3_errmsg(p->db));
      return rc;
    }
    bOwn = 1;
  }
  while( rc==SQLITE_OK && (pPart = workMoved(p, &iNext))!=0 ){
    rc = prill_consumer_commit_to(p->pConsumer, pPart->zTopic, pPart->iPart, iNext);
    if( rc==PRILL_NO_TOPIC || rc==PRILL_OFFSET_RANGE ){
      sqlite3_mutex_enter(p->pMutex);
      workDrop(p, pPart);
      pPart->bTold = 0;
      sqlite3_mutex_leave(p->pMutex);
      rc = SQLITE_OK;
    }
  }
  if( rc!=SQLITE_OK ) workFail(p, rc);
  if( bOwn && rc==SQLITE_OK ){
    rc = sqlite3_exec(p->db, "COMMIT", 0, 0, 0);
    if( rc!=SQLITE_OK ) workSay(p, rc, sqlite3_errmsg(p->db));
  }
  workTold(p, rc==SQLITE_OK);
  if( bOwn && !sqlite3_get_autocommit(p->db) ) sqlite3_exec(p->db, "ROLLBACK", 0, 0, 0);
  return rc;
}

/* It is no member any more: all that waits is another's. */
static void workFenced(prill_work *p){
  WorkPart *pPart;
  sqlite3_mutex_enter(p->pMutex);
  for(pPart=p->pParts; pPart; pPart=pPart->pNext) workDrop(p, pPart);
  sqlite3_mutex_leave(p->pMutex);
}

/* Poll, waiting up to ms for the first record, then for as long as there are more. */
static int workPoll(prill_work *p, int ms){
  const prill_record *pRec = 0;
  int rc, bFull = 0;
  do{
    rc = prill_consumer_poll(p->pConsumer, ms, &pRec);
    p->msPolled = prillNow(p->pVfs);
    if( rc!=SQLITE_ROW ) break;
    sqlite3_mutex_enter(p->pMutex);
    rc = workAdd(p, pRec);
    bFull = workFull(p);
    sqlite3_mutex_leave(p->pMutex);
    if( rc!=SQLITE_OK ){
      (void)prill_consumer_seek(p->pConsumer, pRec->zTopic, pRec->iPartition, pRec->iOffset);
      workSay(p, rc, sqlite3_errstr(rc));
      return rc;
    }
    ms = 0;
  }while( !bFull );
  if( rc==SQLITE_OK || rc==SQLITE_ROW || rc==SQLITE_DONE ) return SQLITE_OK;
  if( rc==SQLITE_BUSY && ms==0 ) return SQLITE_OK;      /* a record is there, or the next look */
  workFail(p, rc);
  if( rc==PRILL_FENCED ) workFenced(p);
  return rc;
}

/**************************************************************************
** The interface.
*/

/* Nothing fits, and it is time to poll for the group to keep us (I3).  What is left
** of the last set is given up, so that the poll asks the group. */
static int workStay(prill_work *p){
  const WorkPart *pPart;
  i64 iNext = 0;
  sqlite3_mutex_enter(p->pMutex);
  for(pPart=p->pParts; pPart && pPart->pLast==0; pPart=pPart->pNext){}
  if( pPart ) iNext = pPart->pLast->rec.iOffset+1;
  sqlite3_mutex_leave(p->pMutex);
  if( pPart ) (void)prill_consumer_seek(p->pConsumer, pPart->zTopic, pPart->iPart, iNext);
  return workPoll(p, 0);
}

/* One turn for more records; *pms falls by what was waited. */
static int workTurn(prill_work *p, int *pms){
  int bReady, bFull, bOut;
  int ms, rc = SQLITE_OK;
  sqlite3_mutex_enter(p->pMutex);
  bReady = p->pReady!=0;
  bFull = workFull(p);
  bOut = p->nEntry>0;
  sqlite3_mutex_leave(p->pMutex);
  if( bReady ) return SQLITE_OK;
  rc = workCommit(p);
  if( rc==PRILL_FENCED ) workFenced(p);
  if( rc!=SQLITE_OK && (rc&0xff)!=SQLITE_BUSY ) return rc;
  ms = bFull ? WORK_NAP : bOut ? WORK_TICK : WORK_SLICE;
  if( *pms>=0 ) ms = PRILL_MIN(ms, *pms);
  if( !bFull ){
    rc = workPoll(p, ms);
  }else if( prillNow(p->pVfs)-p->msPolled>=p->msInterval/3 ){
    rc = workStay(p);
  }else{
    if( ms>0 ) p->pVfs->xSleep(p->pVfs, ms*1000);
    rc = SQLITE_OK;
  }
  if( *pms>0 ) *pms -= ms;
  return rc;
}

int prill_work_next(prill_work *p, int ms, const prill_record **ppRecord){
  int rc = SQLITE_OK;
  int bLast = 0;
  *ppRecord = 0;
  if( p==0 || p->pConsumer==0 ) return SQLITE_MISUSE;
  for(;;){
    WorkEntry *e;
    sqlite3_mutex_enter(p->pMutex);
    e = workPop(p);
    sqlite3_mutex_leave(p->pMutex);
    if( e ){
      *ppRecord = &e->rec;
      return SQLITE_ROW;
    }
    if( bLast ) return SQLITE_DONE;
    sqlite3_mutex_enter(p->pConn);
    rc = workTurn(p, &ms);
    sqlite3_mutex_leave(p->pConn);
    if( rc!=SQLITE_OK ) return rc;
    bLast = ms==0;
  }
}

int prill_work_done(prill_work *p, const prill_record *pRecord){
  WorkEntry *e;
  int rc = SQLITE_MISUSE;
  int bDue = 0;
  if( p==0 || p->pConsumer==0 ) return rc;
  sqlite3_mutex_enter(p->pMutex);
  for(e=p->pOut; e && &e->rec!=pRecord; e=e->pNextOut){}
  if( e ){
    WorkPart *pPart = e->pPart;
    rc = SQLITE_OK;
    if( e->pPrevOut ) e->pPrevOut->pNextOut = e->pNextOut; else p->pOut = e->pNextOut;
    if( e->pNextOut ) e->pNextOut->pPrevOut = e->pPrevOut;
    p->nOut--;
    e->eState = WORK_DONE;
    if( pPart==0 ){
      workFreeEntry(p, e);
    }else{
      workUnhash(p, e);
      if( e->pBehind ) workReady(p, e->pBehind);        /* I1 */
      e->pBehind = 0;
      workFreeData(p, e);
      workAdvance(p, pPart);
      bDue = pPart->bMoved;
    }
  }
  sqlite3_mutex_leave(p->pMutex);
  if( bDue && sqlite3_mutex_try(p->pConn)==SQLITE_OK ){
    /* A failure is told by the next call that commits. */
    if( prillNow(p->pVfs)-p->msCommitted>=p->msCommit ) (void)workCommit(p);
    sqlite3_mutex_leave(p->pConn);
  }
  return rc;
}

int prill_work_commit(prill_work *p){
  int rc;
  if( p==0 || p->pConsumer==0 ) return SQLITE_MISUSE;
  sqlite3_mutex_enter(p->pConn);
  rc = workCommit(p);
  if( rc==PRILL_FENCED ) workFenced(p);
  sqlite3_mutex_leave(p->pConn);
  return rc;
}

const char *prill_work_errmsg(prill_work *p){
  return p==0 ? sqlite3_errstr(SQLITE_NOMEM) : p->zErr ? p->zErr : sqlite3_errstr(p->rc);
}

/* An option that is ours: 1, and *pi; -1: it is not allowed. */
static int workOption(prill_work *p, const char *zName, const char *zVal){
  const struct { const char *zName; i64 *pi; i64 iMax; } aOpt[] = {
    {"buffer.records", &p->nMax, 1000000}, {"buffer.memory", &p->szMax, (i64)1<<40},
    {"commit.interval.ms", &p->msCommit, 86400000},
  };
  size_t i;
  for(i=0; i<sizeof(aOpt)/sizeof(aOpt[0]); i++){
    i64 v = 0;
    const char *z;
    if( !prillOptionIs(zName, aOpt[i].zName) ) continue;
    for(z=zVal; *z>='0' && *z<='9' && v<=aOpt[i].iMax; z++) v = v*10 + (*z-'0');
    if( z==zVal || *z || v<1 || v>aOpt[i].iMax ){
      p->zErr = sqlite3_mprintf("prill_work_open(): %s=%s is not allowed; use a whole number from 1 to %lld", zName,
                                zVal, aOpt[i].iMax);
      return -1;
    }
    *aOpt[i].pi = v;
    return 1;
  }
  if( prillOptionIs(zName, "enable.auto.commit") ){
    p->zErr = sqlite3_mprintf("prill_work_open(): enable.auto.commit is not for it: what is done is committed; leave it"
                              " out");
    return -1;
  }
  if( prillOptionIs(zName, "max.poll.interval.ms") ){
    for(p->msInterval=0; *zVal>='0' && *zVal<='9' && p->msInterval<0x7fffffff; zVal++){
      p->msInterval = p->msInterval*10 + (*zVal-'0');
    }
  }
  return 0;
}

/* Split the options: ours are taken, the consumer's put into azRest. */
static int workOptions(prill_work *p, const char *const *az, const char **azRest){
  int n = 0;
  for(; az && az[0]; az+=2){
    int e = workOption(p, az[0], az[1] ? az[1] : "");
    if( e<0 ) return p->zErr ? SQLITE_ERROR : SQLITE_NOMEM;
    if( e==0 ){
      azRest[n++] = az[0];
      azRest[n++] = az[1] ? az[1] : "";
    }
    if( az[1]==0 ) break;
  }
  azRest[n] = 0;
  return SQLITE_OK;
}

int prill_work_open(sqlite3 *db, const char *zSchema, const char *const *azOption, prill_work **pp){
  prill_work *p = (prill_work*)sqlite3_malloc64(sizeof(*p));
  prill_consumer *pConsumer = 0;
  const char **azRest;
  int n = 0;
  *pp = p;
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->db = db;
  p->nMax = 1000;
  p->szMax = 32<<20;
  p->msCommit = 1000;
  p->msInterval = 300000;
  p->pMutex = sqlite3_mutex_alloc(SQLITE_MUTEX_FAST);
  p->pConn = sqlite3_mutex_alloc(SQLITE_MUTEX_FAST);
  while( azOption && azOption[n] ) n++;
  azRest = (const char**)sqlite3_malloc64(sizeof(char*)*(u64)(n+2));
  if( azRest==0 || (sqlite3_threadsafe() && (p->pMutex==0 || p->pConn==0)) ){
    sqlite3_free(azRest);
    p->rc = SQLITE_NOMEM;
    return SQLITE_NOMEM;
  }
  p->rc = workOptions(p, azOption, azRest);
  if( p->rc==SQLITE_OK ) p->rc = prill_consumer_open(db, zSchema, azRest, &pConsumer);
  sqlite3_free(azRest);
  if( p->rc==SQLITE_OK ){
    p->rc = sqlite3_file_control(db, zSchema ? zSchema : "main", SQLITE_FCNTL_VFS_POINTER, &p->pVfs);
    if( p->pVfs==0 ) p->pVfs = sqlite3_vfs_find(0);
    p->pConsumer = pConsumer;
    p->msCommitted = p->msPolled = prillNow(p->pVfs);
    p->rc = SQLITE_OK;
  }else if( p->zErr==0 ){
    p->zErr = sqlite3_mprintf("%s", prill_consumer_errmsg(pConsumer));
    prill_consumer_close(pConsumer);
  }
  return p->rc;
}

int prill_work_close(prill_work *p){
  WorkEntry *e;
  WorkPart *pPart;
  int rc = SQLITE_OK, rc2 = SQLITE_OK;
  if( p==0 ) return SQLITE_OK;
  if( p->pConsumer ){
    rc = workCommit(p);
    rc2 = prill_consumer_close(p->pConsumer);
  }
  while( (pPart = p->pParts)!=0 ){
    p->pParts = pPart->pNext;
    workDrop(p, pPart);
    sqlite3_free(pPart->zTopic);
    sqlite3_free(pPart);
  }
  while( (e = p->pOut)!=0 ){
    p->pOut = e->pNextOut;
    workFreeEntry(p, e);
  }
  sqlite3_mutex_free(p->pMutex);
  sqlite3_mutex_free(p->pConn);
  sqlite3_free(p->zErr);
  sqlite3_free(p);
  return rc==SQLITE_OK ? rc2 : rc;
}
