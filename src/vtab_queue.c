/*
** vtab_queue.c: the module queue, a table of schema temp through which one
** worker takes records of topics, acknowledges them, gives them back.
**
** Layer 5, sql.  Calls share, wait, vtab_store, and the store's layer.  With it
** the function prill_queue_start().
**
**   CREATE VIRTUAL TABLE temp.q USING queue(group='g', topics='orders,mail-*')
**   SELECT * FROM q WHERE take=32       acquires; without take shows what is held
**   ... AND timeout_ms=1000             waits for work where there is none
**   DELETE FROM q WHERE ...             acknowledges
**   UPDATE q SET state='released'|'rejected', not_before=..., locked_until=...
**
** A table is a member: its number is the connection's random one and a hash of
** the table's name, so that it outlives a reset of the schema.
**
**   I1  Reading a virtual table is not told of ROLLBACK, so nothing of what is
**       held is kept here: it is rows of the store.  take writes them in xFilter,
**       in a savepoint of its own, which in autocommit is a transaction.
**   I2  Whoever writes gets the write lock before it reads: a snapshot from
**       before another worker's COMMIT could not be written on.  In xBegin that
**       is a statement on an ordinary table, since xBegin may not bring another
**       virtual table into the transaction.
**   I3  take counts once for each cursor, at its first xFilter: a join or a
**       rewind reads again what was taken.
**   I4  A cursor keeps offsets, and reads records one at a time, copied.
**   I5  A SELECT that may wait looks and takes through a connection of its own
**       (wait.c says why: the caller's would be left with a snapshot, on which
**       nobody can wait and nothing be written).  What it takes is committed then,
**       as it is in autocommit anyway, and is the same member's.
**   I6  A wait ends at the next time at which a record falls due, if nothing ends
**       it before: a delayed record comes when it is due, and not before.
**   I7  A take that changed nothing is rolled back: its COMMIT would wake the
**       others who wait, for nothing, and theirs this one.
**
** Crash story: rows and staged records; SQLite's COMMIT decides.
*/
#include "prillShare.h"
#include "prillTopic.h"
#include <stdarg.h>

enum {
  QUEUE_TOPIC, QUEUE_PARTITION, QUEUE_OFFSET, QUEUE_TIMESTAMP, QUEUE_KEY, QUEUE_VALUE, QUEUE_HEADERS,
  QUEUE_COUNT, QUEUE_UNTIL, QUEUE_NOT, QUEUE_TAKE, QUEUE_STATE, QUEUE_TIMEOUT, QUEUE_N
};
static const char *const azQueueCol[QUEUE_N] = {
  "topic", "partition", "offset", "timestamp", "key", "value", "headers", "delivery_count", "locked_until",
  "not_before", "take", "state", "timeout_ms"
};
#define QUEUE_OFF_BITS 42             /* rowid: pid<<42 | offset */
#define QUEUE_MX_TAKE  10000
#define QUEUE_MX_MS    86400000
#define QUEUE_FULL_MS  20             /* between two looks while as many are locked as can be */
#define QUEUE_BIT_TAKE 1              /* idxNum */
#define QUEUE_BIT_WAIT 2

/* A connection's way to the store, and the group as it sees it. */
typedef struct QueueSide QueueSide;
struct QueueSide {
  PrillStore *pStore;                 /* referenced */
  PrillShare share;
};
typedef struct QueueVtab QueueVtab;
struct QueueVtab {
  sqlite3_vtab base;
  PrillConn *pConn;                   /* referenced */
  QueueSide own;                      /* the caller's */
  QueueSide far;                      /* for waiting (I5); pStore NULL: not open */
  int aPragma[2];                     /* as set on far */
  char *zTable;
  char *zGroup;
  char *zTopics;
  char *zDead;
  char *zSchema;
  int nTurn;                          /* the partition a take begins with */
  int nTaking;                        /* open cursors that took inside a writing statement */
};
typedef struct QueueCursor QueueCursor;
struct QueueCursor {
  sqlite3_vtab_cursor base;
  PrillHolds holds;
  int iHold;                          /* the row */
  u8 bTook;                           /* take has been done */
  u8 bTaking;                         /* counted in nTaking */
  PrillScan *pScan;                   /* of partition iScanPid */
  i64 iScanPid;
  i64 iScanNext;                      /* offsets below this it has passed */
  int iRec;                           /* the row rec is of, -1 none */
  u8 bRec;                            /* and there is a record */
  PrillRecord rec;
  PrillBuf buf;                       /* its bytes (I4) */
  PrillBuf json;
};

/**************************************************************************
** Arguments.
*/
static int queueFail(char **pzErr, const char *zFmt, ...){
  va_list ap;
  va_start(ap, zFmt);
  *pzErr = sqlite3_vmprintf(zFmt, ap);
  va_end(ap);
  return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM;
}

/* A whole number from 1 to iMax. */
static int queueNumber(const char *zTable, const char *zName, const char *zVal, i64 iMax, i64 *pi, char **pzErr){
  i64 n = 0;
  const char *z;
  for(z=zVal; *z>='0' && *z<='9' && n<=iMax; z++) n = n*10 + (*z-'0');
  if( *z || z==zVal || n<1 || n>iMax ){
    return queueFail(pzErr, "queue %s: %s=%s is not allowed; use a whole number from 1 to %lld", zTable, zName, zVal,
                     iMax);
  }
  *pi = n;
  return SQLITE_OK;
}

static int queueArg(QueueVtab *p, const char *zName, char **pzVal, char **pzErr){
  char **pz = prillOptionIs(zName, "group") ? &p->zGroup : prillOptionIs(zName, "topics") ? &p->zTopics
            : prillOptionIs(zName, "dead_letter") ? &p->zDead : prillOptionIs(zName, "schema") ? &p->zSchema : 0;
  i64 n = 0;
  int rc;
  if( pz ){
    if( *pz ) return queueFail(pzErr, "queue %s: argument %s is given twice", p->zTable, zName);
    *pz = *pzVal;
    *pzVal = 0;
    return SQLITE_OK;
  }
  if( prillOptionIs(zName, "lock_ms") )
    return queueNumber(p->zTable, zName, *pzVal, QUEUE_MX_MS, &p->own.share.msLock, pzErr);
  if( prillOptionIs(zName, "max_deliveries") ){
    rc = queueNumber(p->zTable, zName, *pzVal, 1000000, &n, pzErr);
    p->own.share.nMax = (i32)n;
    return rc;
  }
  return queueFail(pzErr, "queue %s: unknown argument %s; use group, topics, schema, lock_ms, max_deliveries,"
                   " dead_letter", p->zTable, zName);
}

/* Does the list of names and GLOBs zList have zName? */
static int queueLists(const char *zList, const char *zName){
  char zOne[256];
  while( *zList ){
    size_t n;
    while( *zList==' ' || *zList==',' ) zList++;
    n = strcspn(zList, ", ");
    if( n>0 && n<sizeof(zOne) ){
      memcpy(zOne, zList, n);
      zOne[n] = 0;
      if( sqlite3_strglob(zOne, zName)==0 ) return 1;
    }
    zList += n;
  }
  return 0;
}

static int queueArgs(QueueVtab *p, int argc, const char *const *argv, char **pzErr){
  int i;
  int rc = SQLITE_OK;
  p->own.share.msLock = 30000;
  p->own.share.nMax = 5;
  for(i=3; rc==SQLITE_OK && i<argc; i++){
    char *zName = 0, *zVal = 0, *zErr = 0;
    const char *z = argv[i];
    while( *z==' ' || *z=='\t' || *z=='\n' || *z=='\r' ) z++;
    if( *z==0 ) continue;
    rc = prillOptionParse(z, &zName, &zVal, &zErr);
    if( rc==SQLITE_OK ){
      rc = queueArg(p, zName, &zVal, pzErr);
    }else if( zErr ){
      rc = queueFail(pzErr, "queue %s: %s", p->zTable, zErr);
    }
    sqlite3_free(zName);
    sqlite3_free(zVal);
    sqlite3_free(zErr);
  }
  if( rc!=SQLITE_OK ) return rc;
  if( p->zGroup==0 || p->zTopics==0 || p->zGroup[0]==0 || strlen(p->zGroup)>249 || p->zTopics[0]==0 ){
    return queueFail(pzErr, "queue %s needs a group, of 1 to 249 bytes, and topics: CREATE VIRTUAL TABLE temp.%s"
                     " USING queue(group='workers', topics='orders')", p->zTable, p->zTable);
  }
  if( p->zDead && !prillTopicName(p->zDead) ){
    return queueFail(pzErr, "queue %s: dead_letter=%s is no topic's name", p->zTable, p->zDead);
  }
  if( p->zDead && queueLists(p->zTopics, p->zDead) ){
    return queueFail(pzErr, "queue %s: dead_letter=%s is one of its topics; a dead letter would come back: use"
                     " another", p->zTable, p->zDead);
  }
  return SQLITE_OK;
}

/**************************************************************************
** Making and leaving.
*/
static int queueDisconnect(sqlite3_vtab *pTab){
  QueueVtab *p = (QueueVtab*)pTab;
  prillShareFree(&p->far.share);
  prillWaitStoreClose(p->far.pStore);
  prillShareFree(&p->own.share);
  prillStorePut(p->own.pStore);
  sqlite3_free(p->base.zErrMsg);
  sqlite3_free(p->zTable);
  sqlite3_free(p->zGroup);
  sqlite3_free(p->zTopics);
  sqlite3_free(p->zDead);
  sqlite3_free(p->zSchema);
  prillConnUnref(p->pConn);
  sqlite3_free(p);
  return SQLITE_OK;
}

static u64 queueMember(PrillConn *pConn, sqlite3_vfs *pVfs, const char *zTable){
  u64 h = 0;
  while( pConn->iMember==0 ) pVfs->xRandomness(pVfs, (int)sizeof(pConn->iMember), (char*)&pConn->iMember);
  for(; *zTable; zTable++){
    u8 c = (u8)*zTable;
    h = h*1099511628211u + (u64)(c>='A' && c<='Z' ? c+32 : c);
  }
  return pConn->iMember ^ h;
}

static int queueConnect(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  PrillConn *pConn = (PrillConn*)pAux;
  QueueVtab *p;
  int rc;
  if( sqlite3_stricmp(argv[1], "temp")!=0 ){
    return queueFail(pzErr, "a queue is a table of schema temp: CREATE VIRTUAL TABLE temp.%s USING"
                     " queue(group='workers', topics='orders')", argv[2]);
  }
  rc = sqlite3_declare_vtab(db, "CREATE TABLE x(topic TEXT, partition INTEGER, offset INTEGER, timestamp INTEGER,"
      " key TEXT, value TEXT, headers TEXT, delivery_count INTEGER, locked_until INTEGER, not_before INTEGER,"
      " take INTEGER HIDDEN, state TEXT HIDDEN, timeout_ms INTEGER HIDDEN)");
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
  p = (QueueVtab*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->pConn = (PrillConn*)prillConnRef(pConn);
  prillPlaceInit(&p->own.share.placer);
  p->zTable = sqlite3_mprintf("%s", argv[2]);
  rc = p->zTable ? queueArgs(p, argc, argv, pzErr) : SQLITE_NOMEM;
  if( rc==SQLITE_OK ) rc = prillStoreGet(pConn, p->zSchema, &p->own.pStore);
  if( rc!=SQLITE_OK && pConn->zErr ){
    sqlite3_free(*pzErr);
    *pzErr = pConn->zErr;
    pConn->zErr = 0;
  }
  if( rc!=SQLITE_OK ){
    queueDisconnect(&p->base);
    return rc;
  }
  p->own.share.pStore = p->own.pStore;
  p->own.share.zGroup = p->zGroup;
  p->own.share.zDead = p->zDead;
  p->own.share.iMember = queueMember(pConn, p->own.pStore->pVfs, p->zTable);
  *ppVtab = &p->base;
  return SQLITE_OK;
}

static int queueCreate(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  return queueConnect(db, pAux, argc, argv, ppVtab, pzErr);
}

static int queueRename(sqlite3_vtab *pTab, const char *zNew){
  QueueVtab *p = (QueueVtab*)pTab;
  (void)zNew;
  prillError(p->pConn, SQLITE_ERROR, "queue %s cannot be renamed, since its locks are held by its name; DROP it and"
             " create another", p->zTable);
  return prillVtabError(pTab, p->pConn, SQLITE_ERROR);
}

/**************************************************************************
** Transactions.
*/
/* Without a store there is nothing to write to; *pb 0. */
static int queueStoreIs(PrillStore *pStore, int *pb){
  int rc = sqlite3_table_column_metadata(pStore->pConn->db, pStore->zSchema, "prill_store_share", 0,0,0,0,0,0);
  *pb = rc==SQLITE_OK;
  return rc==SQLITE_ERROR ? SQLITE_OK : rc;
}

/* A first write of DELETE or UPDATE (I2). */
static int queueBegin(sqlite3_vtab *pTab){
  QueueVtab *p = (QueueVtab*)pTab;
  int bStore = 0;
  int rc;
  prillStoreLetGo(p->own.pStore);
  rc = queueStoreIs(p->own.pStore, &bStore);
  if( rc==SQLITE_OK && bStore ) rc = prillStoreExec(p->own.pStore, "DELETE FROM \"%w\".prill_store_share WHERE 0");
  if( rc==SQLITE_OK ) rc = prillStoreBegin(p->own.pStore);
  return prillVtabError(pTab, p->pConn, rc);
}
static int queueSync(sqlite3_vtab *pTab){
  QueueVtab *p = (QueueVtab*)pTab;
  return prillVtabError(pTab, p->pConn, prillStoreSync(p->own.pStore));
}
static int queueCommit(sqlite3_vtab *pTab){
  prillStoreCommit(((QueueVtab*)pTab)->own.pStore);
  return SQLITE_OK;
}
static int queueRollback(sqlite3_vtab *pTab){
  prillStoreRollback(((QueueVtab*)pTab)->own.pStore);
  return SQLITE_OK;
}
static int queueSavepoint(sqlite3_vtab *pTab, int i){
  return prillStoreSavepoint(((QueueVtab*)pTab)->own.pStore, i);
}
static int queueRelease(sqlite3_vtab *pTab, int i){
  return prillStoreRelease(((QueueVtab*)pTab)->own.pStore, i);
}
static int queueRollbackTo(sqlite3_vtab *pTab, int i){
  return prillStoreRollbackTo(((QueueVtab*)pTab)->own.pStore, i);
}

/* Begin xFilter's own savepoint; *pbOwn 0: a writing statement runs, which fails or
** succeeds as a whole. */
static int queueEnter(PrillConn *pConn, int *pbOwn){
  int rc = sqlite3_exec(pConn->db, "SAVEPOINT prill_queue", 0, 0, 0);
  *pbOwn = rc==SQLITE_OK;
  return rc==SQLITE_BUSY ? SQLITE_OK : rc;
}

static int queueLeave(PrillConn *pConn, int rc){
  sqlite3 *db = pConn->db;
  if( rc==SQLITE_OK ){
    rc = sqlite3_exec(db, "RELEASE prill_queue", 0, 0, 0);
    if( rc==SQLITE_OK ) return rc;
    if( pConn->zErr==0 ) prillError(pConn, rc, "%s", sqlite3_errmsg(db));
  }
  if( !sqlite3_get_autocommit(db) ){
    sqlite3_exec(db, "ROLLBACK TO prill_queue", 0, 0, 0);
    sqlite3_exec(db, "RELEASE prill_queue", 0, 0, 0);
  }
  return rc;
}

/**************************************************************************
** Cursors.
*/
typedef int (QueueEach)(QueueSide*, PrillPart*, i64 now, int nWant, PrillHolds*);

static int queueHeld(QueueSide *pSide, PrillPart *pPart, i64 now, int nWant, PrillHolds *pHolds){
  (void)nWant;
  return prillShareHeld(&pSide->share, pPart, now, pHolds);
}
static int queueTakePart(QueueSide *pSide, PrillPart *pPart, i64 now, int nWant, PrillHolds *pHolds){
  return pHolds->n<nWant ? prillShareTake(&pSide->share, pPart, now, nWant-pHolds->n, pHolds) : SQLITE_OK;
}

/* Every plain name among the topics must be one.  *piTopic: the number of the only
** one; 0 where there may be more. */
static int queueCheckTopics(QueueVtab *p, QueueSide *pSide, i64 *piTopic){
  const char *z = p->zTopics;
  int nName = 0;
  i64 iTopic = 0;
  while( *z ){
    char zOne[256];
    PrillTopic *pTopic = 0;
    size_t n;
    while( *z==' ' || *z==',' ) z++;
    n = strcspn(z, ", ");
    if( n>=sizeof(zOne) ) n = sizeof(zOne)-1;
    memcpy(zOne, z, n);
    zOne[n] = 0;
    z += strcspn(z, ", ");
    if( n==0 ) continue;
    nName++;
    if( strpbrk(zOne, "*?[")==0 && (pTopic = prillStoreTopic(pSide->pStore, zOne))==0 ){
      return prillError(pSide->pStore->pConn, SQLITE_ERROR, "no such topic: %s; SELECT name FROM prill_topics lists"
                        " them", zOne);
    }
    iTopic = pTopic ? pTopic->iTopic : 0;
  }
  if( piTopic ) *piTopic = nName==1 ? iTopic : 0;
  return SQLITE_OK;
}

/* xDo for each partition of the topics, beginning with the nTurn-th. */
static int queueEach(QueueVtab *p, QueueSide *pSide, QueueEach *xDo, int nWant, PrillHolds *pHolds){
  i64 now = prillNow(pSide->pStore->pVfs);
  int nAll = 0;
  int iPass, i;
  int rc = queueCheckTopics(p, pSide, 0);
  for(iPass=0; rc==SQLITE_OK && iPass<2; iPass++){
    PrillTopic *pTopic;
    int n = 0;
    for(pTopic=pSide->pStore->pTopics; rc==SQLITE_OK && pTopic; pTopic=pTopic->pNext){
      if( !queueLists(p->zTopics, pTopic->zName) ) continue;
      for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++, n++){
        if( (n<p->nTurn)==(iPass==0) ) continue;
        rc = xDo(pSide, pTopic->apPart[i], now, nWant, pHolds);
      }
    }
    nAll = n;
  }
  if( nAll && xDo==queueTakePart ) p->nTurn = (p->nTurn+1) % nAll;
  return rc;
}

static int queueOpen(sqlite3_vtab *pTab, sqlite3_vtab_cursor **pp){
  QueueCursor *c = (QueueCursor*)sqlite3_malloc64(sizeof(*c));
  (void)pTab;
  if( c==0 ) return SQLITE_NOMEM;
  memset(c, 0, sizeof(*c));
  c->iRec = -1;
  *pp = &c->base;
  return SQLITE_OK;
}

static void queueRewind(QueueCursor *c){
  prillScanClose(c->pScan);
  c->pScan = 0;
  c->iRec = -1;
  c->iHold = 0;
}

static int queueClose(sqlite3_vtab_cursor *pCur){
  QueueCursor *c = (QueueCursor*)pCur;
  QueueVtab *p = (QueueVtab*)pCur->pVtab;
  queueRewind(c);
  if( c->bTaking ) p->nTaking--;
  prillStoreLetGo(p->own.pStore);
  sqlite3_free(c->holds.a);
  prillBufFree(&c->buf);
  prillBufFree(&c->json);
  sqlite3_free(c);
  return SQLITE_OK;
}

static int queueBestIndex(sqlite3_vtab *pTab, sqlite3_index_info *pInfo){
  static const struct { int iCol, m; } aArg[] = {{QUEUE_TAKE, QUEUE_BIT_TAKE}, {QUEUE_TIMEOUT, QUEUE_BIT_WAIT}};
  QueueVtab *p = (QueueVtab*)pTab;
  int i, k, nArg = 0, bUnusable = 0;
  for(k=0; k<2; k++){
    for(i=0; i<pInfo->nConstraint; i++){
      if( pInfo->aConstraint[i].iColumn!=aArg[k].iCol ) continue;
      if( pInfo->aConstraint[i].op!=SQLITE_INDEX_CONSTRAINT_EQ ){
        prillError(p->pConn, SQLITE_ERROR, "queue %s: %s is given as %s=N", p->zTable, azQueueCol[aArg[k].iCol],
                   azQueueCol[aArg[k].iCol]);
        return prillVtabError(pTab, p->pConn, SQLITE_ERROR);
      }
      if( !pInfo->aConstraint[i].usable ){
        bUnusable = 1;
      }else if( (pInfo->idxNum & aArg[k].m)==0 ){
        pInfo->aConstraintUsage[i].argvIndex = ++nArg;
        pInfo->aConstraintUsage[i].omit = 1;
        pInfo->idxNum |= aArg[k].m;
      }
    }
  }
  if( bUnusable ) return SQLITE_CONSTRAINT;
  pInfo->estimatedRows = 100;
  pInfo->estimatedCost = 1000;
  return SQLITE_OK;
}

/* Acquire up to n records.  *pbOwn: in a transaction of its own, ended now.  In the
** waiter's connection, one that changed nothing is rolled back (I7). */
static int queueTake(QueueVtab *p, QueueSide *pSide, i64 n, PrillHolds *pHolds, int *pbOwn){
  PrillStore *pStore = pSide->pStore;
  sqlite3 *db = pStore->pConn->db;
  i64 nChange = sqlite3_total_changes64(db);
  int bStore = 0;
  int rc;
  *pbOwn = 1;
  prillStoreLetGo(pStore);
  rc = queueStoreIs(pStore, &bStore);
  if( rc==SQLITE_OK && !bStore ){
    rc = prillStoreRefresh(pStore);
    return rc==SQLITE_OK ? queueCheckTopics(p, pSide, 0) : rc;
  }
  if( rc==SQLITE_OK ) rc = queueEnter(pStore->pConn, pbOwn);
  if( rc!=SQLITE_OK ) return rc;
  rc = prillStoreJoin(pStore);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(pStore);
  if( rc==SQLITE_OK ) rc = prillStoreCheckDir(pStore);
  if( rc==SQLITE_OK ) rc = prillShareOwn(&pSide->share);
  if( rc==SQLITE_OK ) rc = queueEach(p, pSide, queueTakePart, (int)n, pHolds);
  if( rc!=SQLITE_OK ) pHolds->n = 0;
  if( rc==SQLITE_OK && pSide==&p->far && sqlite3_total_changes64(db)==nChange ){
    prillStoreLetGo(pStore);
    return sqlite3_exec(db, "ROLLBACK", 0, 0, 0);
  }
  if( *pbOwn ) rc = queueLeave(pStore->pConn, rc);
  return rc;
}

/**************************************************************************
** Waiting.
*/
/* An integer setting of the caller's connection. */
static int queuePragma(QueueVtab *p, const char *zPragma, int *pi){
  sqlite3_stmt *pStmt = 0;
  char *z = sqlite3_mprintf("PRAGMA \"%w\".%s", p->own.pStore->zSchema, zPragma);
  int rc = z ? sqlite3_prepare_v2(p->pConn->db, z, -1, &pStmt, 0) : SQLITE_NOMEM;
  sqlite3_free(z);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) *pi = sqlite3_column_int(pStmt, 0);
  sqlite3_finalize(pStmt);
  return rc;
}

/* The connection for waiting, with the caller's settings.  SQLITE_CANTOPEN: there
** can be none. */
static int queueFar(QueueVtab *p){
  QueueSide *f = &p->far;
  int aPragma[2] = {2, 1000}, bReadOnly = 0;
  char z[80];
  int rc = queuePragma(p, "query_only", &bReadOnly);
  if( rc==SQLITE_OK ) rc = queuePragma(p, "synchronous", &aPragma[0]);
  if( rc==SQLITE_OK ) rc = queuePragma(p, "wal_autocheckpoint", &aPragma[1]);
  if( rc!=SQLITE_OK ) return rc;
  if( bReadOnly ) return SQLITE_CANTOPEN;               /* the caller's will say that it may not write */
  if( f->pStore==0 ){
    rc = prillWaitStore(p->own.pStore, 1, &f->pStore);
    if( rc!=SQLITE_OK ) return rc;
    p->aPragma[0] = p->aPragma[1] = -1;
    rc = prillVtabStoreInit(f->pStore->pConn);
    if( rc!=SQLITE_OK ){
      prillWaitStoreClose(f->pStore);
      f->pStore = 0;
      return rc;
    }
    memset(&f->share, 0, sizeof(f->share));
    prillPlaceInit(&f->share.placer);
    f->share.zGroup = p->zGroup;
    f->share.zDead = p->zDead;
    f->share.iMember = p->own.share.iMember;
    f->share.msLock = p->own.share.msLock;
    f->share.nMax = p->own.share.nMax;
    f->share.pStore = f->pStore;
  }
  if( memcmp(aPragma, p->aPragma, sizeof(aPragma))==0 ) return SQLITE_OK;
  sqlite3_snprintf(sizeof(z), z, "PRAGMA synchronous=%d; PRAGMA wal_autocheckpoint=%d", aPragma[0], aPragma[1]);
  rc = sqlite3_exec(f->pStore->pConn->db, z, 0, 0, 0);
  if( rc==SQLITE_OK ) memcpy(p->aPragma, aPragma, sizeof(aPragma));
  return rc;
}

/* Is there something to take?  *pmsDue: if not, when, PRILL_I64MAX: not by itself. */
static int queueLook(QueueVtab *p, int *pbReady, i64 *pmsDue){
  QueueSide *f = &p->far;
  PrillTopic *pTopic;
  i64 now;
  int i, eKind;
  int rc = prillStoreRefresh(f->pStore);
  *pbReady = 0;
  *pmsDue = PRILL_I64MAX;
  if( rc==SQLITE_OK ) rc = queueCheckTopics(p, f, 0);
  if( rc!=SQLITE_OK || !f->pStore->bExists ) return rc;
  now = prillNow(f->pStore->pVfs);
  rc = prillShareKind(&f->share, &eKind);
  for(pTopic=f->pStore->pTopics; rc==SQLITE_OK && pTopic; pTopic=pTopic->pNext){
    if( !queueLists(p->zTopics, pTopic->zName) ) continue;
    for(i=0; rc==SQLITE_OK && !*pbReady && i<pTopic->nPart; i++){
      rc = prillShareReady(&f->share, pTopic->apPart[i], now, pbReady, pmsDue);
    }
  }
  return rc;
}

/* One turn of the wait: look, and take what there is.  *pmsMost: how long to sleep
** at most when that was nothing. */
static int queueTry(QueueVtab *p, i64 n, PrillHolds *pHolds, i64 *pmsMost){
  i64 msDue = PRILL_I64MAX, ms;
  int bReady = 0, bOwn;
  int rc = queueLook(p, &bReady, &msDue);
  *pmsMost = 0;
  if( rc==SQLITE_OK && bReady ){
    /* The caller's connection must be one that may take. */
    rc = prillShareMay(&p->own.share);
    if( rc==SQLITE_OK ) rc = queueTake(p, &p->far, n, pHolds, &bOwn);
    if( rc!=SQLITE_OK || pHolds->n>0 ) return rc;
    prillStoreLetGo(p->far.pStore);
    rc = queueLook(p, &bReady, &msDue);
    if( bReady ) *pmsMost = QUEUE_FULL_MS;              /* somebody's locks are in the way */
  }
  if( rc==SQLITE_OK && msDue!=PRILL_I64MAX ){
    ms = PRILL_MAX(msDue - prillNow(p->far.pStore->pVfs), 1);
    if( *pmsMost==0 || ms<*pmsMost ) *pmsMost = ms;
  }
  return rc;
}

/* Wait up to ms for up to n records (I5, I6). */
static int queueWait(QueueVtab *p, i64 n, i64 ms, PrillHolds *pHolds){
  PrillConn *pFar = p->far.pStore->pConn;
  PrillWait w;
  i64 iTopic = 0;
  int rc = SQLITE_OK;
  prillWaitInit(&w, p->pConn, ms);
  while( rc==SQLITE_OK ){
    prillStoreLetGo(p->far.pStore);
    rc = prillStoreRefresh(p->far.pStore);
    if( rc==SQLITE_OK ) rc = queueCheckTopics(p, &p->far, &iTopic);
    prillStoreLetGo(p->far.pStore);
    prillWaitSample(&w, p->far.pStore, iTopic);
    if( rc==SQLITE_OK ) rc = queueTry(p, n, pHolds, &w.msMost);
    prillStoreLetGo(p->far.pStore);
    if( rc==SQLITE_OK && pHolds->n>0 ) break;
    if( (rc & 0xff)==SQLITE_BUSY ) rc = SQLITE_OK;      /* another look follows */
    if( rc==SQLITE_OK ) rc = prillWaitSleep(&w);
  }
  prillWaitEnd(&w);
  if( pFar->zErr && rc!=SQLITE_OK && rc!=SQLITE_DONE ){
    sqlite3_free(p->pConn->zErr);
    p->pConn->zErr = pFar->zErr;
    pFar->zErr = 0;
  }
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

/* SELECT ... WHERE take=n AND timeout_ms=ms. */
static int queueFilterTake(QueueVtab *p, QueueCursor *c, sqlite3_value *pTake, sqlite3_value *pTimeout){
  i64 n = sqlite3_value_int64(pTake);
  i64 ms = pTimeout ? sqlite3_value_int64(pTimeout) : 0;
  int bOwn = 0;
  int rc;
  if( sqlite3_value_numeric_type(pTake)!=SQLITE_INTEGER || n<1 || n>QUEUE_MX_TAKE ){
    return prillError(p->pConn, SQLITE_ERROR, "queue %s: take must be a whole number from 1 to %d", p->zTable,
                      QUEUE_MX_TAKE);
  }
  if( ms<-1 || (pTimeout && sqlite3_value_numeric_type(pTimeout)!=SQLITE_INTEGER) ){
    return prillError(p->pConn, SQLITE_ERROR, "timeout_ms is a whole number of milliseconds, or -1 for ever");
  }
  c->bTook = 1;
  if( ms!=0 && prillWaitMay(p->pConn) ){
    rc = queueFar(p);
    if( rc==SQLITE_OK ) return queueWait(p, n, ms, &c->holds);
    if( rc!=SQLITE_CANTOPEN && rc!=SQLITE_AUTH ) return rc;
  }
  rc = queueTake(p, &p->own, n, &c->holds, &bOwn);
  if( !bOwn ){
    c->bTaking = 1;
    p->nTaking++;
  }
  return rc;
}

static int queueFilter(
  sqlite3_vtab_cursor *pCur, int idxNum, const char *idxStr, int argc, sqlite3_value **argv
){
  QueueCursor *c = (QueueCursor*)pCur;
  QueueVtab *p = (QueueVtab*)pCur->pVtab;
  int rc;
  (void)idxStr; (void)argc;
  queueRewind(c);
  if( idxNum==QUEUE_BIT_WAIT ){
    rc = prillError(p->pConn, SQLITE_ERROR, "queue %s: timeout_ms waits for records to take; give take=N too",
                    p->zTable);
    return prillVtabError(pCur->pVtab, p->pConn, rc);
  }
  if( idxNum && c->bTook ) return SQLITE_OK;               /* I3 */
  c->holds.n = 0;
  if( idxNum ){
    rc = queueFilterTake(p, c, argv[0], idxNum & QUEUE_BIT_WAIT ? argv[1] : 0);
  }else{
    rc = prillStoreRefresh(p->own.pStore);
    if( rc==SQLITE_OK ){
      rc = p->own.pStore->bExists ? queueEach(p, &p->own, queueHeld, 0, &c->holds) : queueCheckTopics(p, &p->own, 0);
    }
  }
  return prillVtabError(pCur->pVtab, p->pConn, rc);
}

static int queueNext(sqlite3_vtab_cursor *pCur){
  ((QueueCursor*)pCur)->iHold++;
  return SQLITE_OK;
}

static int queueEof(sqlite3_vtab_cursor *pCur){
  return ((QueueCursor*)pCur)->iHold>=((QueueCursor*)pCur)->holds.n;
}

/* Copy the record (I4). */
static int queueKeep(QueueCursor *c, const PrillRecord *pRec){
  i64 nKey = PRILL_MAX(pRec->nKey, 0), nVal = PRILL_MAX(pRec->nVal, 0);
  int rc = SQLITE_OK;
  c->buf.n = 0;
  if( nKey ) prillBufAppend(&rc, &c->buf, pRec->pKey, nKey);
  if( nVal ) prillBufAppend(&rc, &c->buf, pRec->pVal, nVal);
  if( pRec->nHdrByte ) prillBufAppend(&rc, &c->buf, pRec->pHdr, pRec->nHdrByte);
  prillBufAppend(&rc, &c->buf, "", 1);
  if( rc!=SQLITE_OK ) return rc;
  c->rec = *pRec;
  c->rec.pKey = c->buf.a;
  c->rec.pVal = c->buf.a+nKey;
  c->rec.pHdr = c->buf.a+nKey+nVal;
  c->bRec = 1;
  return SQLITE_OK;
}

/* The partition of the row, in the catalog as it is now. */
static int queuePart(QueueVtab *p, i64 iPid, PrillPart **pp){
  int rc = prillStoreRefresh(p->own.pStore);
  *pp = rc==SQLITE_OK ? prillStorePart(p->own.pStore, iPid) : 0;
  if( rc==SQLITE_OK && *pp && (*pp)->pTopic==0 ) *pp = 0;
  if( rc==SQLITE_OK && *pp==0 ){
    rc = prillError(p->pConn, SQLITE_ABORT, "queue %s: a topic was dropped while a statement read it; run the"
                    " statement again", p->zTable);
  }
  return rc;
}

/* Read the row's record. */
static int queueRead(QueueVtab *p, QueueCursor *c){
  const PrillHeld *h = &c->holds.a[c->iHold];
  PrillPart *pPart;
  PrillRecord rec;
  PrillRange r;
  int i;
  int rc;
  if( c->iRec==c->iHold ) return SQLITE_OK;
  c->bRec = 0;
  rc = queuePart(p, h->iPid, &pPart);
  if( rc!=SQLITE_OK ) return rc;
  if( c->pScan==0 || c->iScanPid!=h->iPid || c->iScanNext!=h->iOff ){
    prillScanClose(c->pScan);
    c->pScan = 0;
    memset(&r, 0, sizeof(r));
    for(i=c->iHold; i+1<c->holds.n && c->holds.a[i+1].iPid==h->iPid
        && c->holds.a[i+1].iOff==c->holds.a[i].iOff+1; i++){}
    r.iFrom = h->iOff;
    r.iTo = c->holds.a[i].iOff;
    r.iTsFrom = PRILL_I64MIN;
    r.iTsTo = PRILL_I64MAX;
    rc = prillPartLoad(pPart);
    if( rc==SQLITE_OK ) rc = prillScanOpen(pPart, &r, &c->pScan);
    if( rc!=SQLITE_OK ) return rc;
    c->iScanPid = h->iPid;
  }
  rc = prillScanNext(c->pScan, &rec);
  c->iScanNext = -1;
  if( rc==SQLITE_ROW && rec.iOff==h->iOff ){
    c->iScanNext = h->iOff+1;
    rc = queueKeep(c, &rec);
  }else if( rc==SQLITE_ROW || rc==SQLITE_DONE ){
    rc = SQLITE_OK;                               /* gone from the log */
  }
  if( rc==SQLITE_OK ) c->iRec = c->iHold;
  return rc;
}

/* A column of the log. */
static int queueRecordColumn(QueueVtab *p, QueueCursor *c, sqlite3_context *pCtx, int iCol){
  PrillPart *pPart;
  int rc;
  if( iCol>=QUEUE_TIMESTAMP ){
    rc = queueRead(p, c);
    if( rc!=SQLITE_OK || !c->bRec ) return rc;
  }
  rc = queuePart(p, c->holds.a[c->iHold].iPid, &pPart);
  if( rc!=SQLITE_OK ) return rc;
  if( iCol==QUEUE_TOPIC ){
    sqlite3_result_text(pCtx, pPart->pTopic->zName, -1, SQLITE_TRANSIENT);
    return SQLITE_OK;
  }
  /* A topic's columns stand in the same order (vtab_topic.c). */
  return prillRecordColumn(pCtx, TOPIC_PARTITION+iCol-QUEUE_PARTITION, pPart->pTopic, pPart->iPart, &c->rec, 0,
                           &c->json);
}

static int queueColumn(sqlite3_vtab_cursor *pCur, sqlite3_context *pCtx, int iCol){
  QueueCursor *c = (QueueCursor*)pCur;
  QueueVtab *p = (QueueVtab*)pCur->pVtab;
  const PrillHeld *h = &c->holds.a[c->iHold];
  if( sqlite3_vtab_nochange(pCtx) ) return SQLITE_OK;
  switch( iCol ){
    case QUEUE_OFFSET: sqlite3_result_int64(pCtx, h->iOff); break;
    case QUEUE_COUNT:  sqlite3_result_int(pCtx, h->nDeliver); break;
    case QUEUE_UNTIL:  sqlite3_result_int64(pCtx, h->msUntil); break;
    case QUEUE_NOT:    if( h->msNot ) sqlite3_result_int64(pCtx, h->msNot); break;
    case QUEUE_TAKE:
    case QUEUE_TIMEOUT: break;
    case QUEUE_STATE:  sqlite3_result_text(pCtx, "acquired", -1, SQLITE_STATIC); break;
    default:           return prillVtabError(pCur->pVtab, p->pConn, queueRecordColumn(p, c, pCtx, iCol));
  }
  return SQLITE_OK;
}

static int queueRowid(sqlite3_vtab_cursor *pCur, sqlite3_int64 *piRowid){
  QueueCursor *c = (QueueCursor*)pCur;
  QueueVtab *p = (QueueVtab*)pCur->pVtab;
  const PrillHeld *h = &c->holds.a[c->iHold];
  if( (h->iPid>>(63-QUEUE_OFF_BITS)) || (h->iOff>>QUEUE_OFF_BITS) ){
    prillError(p->pConn, SQLITE_TOOBIG, "queue %s: offset %lld is beyond what a queue can name; use a new topic",
               p->zTable, h->iOff);
    return prillVtabError(pCur->pVtab, p->pConn, SQLITE_TOOBIG);
  }
  *piRowid = (i64)(((u64)h->iPid<<QUEUE_OFF_BITS) | (u64)h->iOff);
  return SQLITE_OK;
}

/**************************************************************************
** DELETE and UPDATE.
*/
static int queueTime(QueueVtab *p, sqlite3_value *pVal, int iCol, i64 *pms){
  if( sqlite3_value_numeric_type(pVal)!=SQLITE_INTEGER || (*pms = sqlite3_value_int64(pVal))<0 ){
    return prillError(p->pConn, SQLITE_MISMATCH, "queue %s: %s is milliseconds since 1970, a whole number", p->zTable,
                      azQueueCol[iCol]);
  }
  return SQLITE_OK;
}

/* What an UPDATE asks for. */
static int queueVerb(QueueVtab *p, sqlite3_value **apVal, i64 now, int *peVerb, i64 *pms){
  const char *zState = 0;
  i64 msUntil = 0;
  int bState = !sqlite3_value_nochange(apVal[QUEUE_STATE]);
  int bNot = !sqlite3_value_nochange(apVal[QUEUE_NOT]);
  int bUntil = !sqlite3_value_nochange(apVal[QUEUE_UNTIL]);
  int i;
  int rc = SQLITE_OK;
  *pms = 0;
  for(i=0; i<QUEUE_N; i++){
    if( i==QUEUE_STATE || i==QUEUE_NOT || i==QUEUE_UNTIL || sqlite3_value_nochange(apVal[i]) ) continue;
    return prillError(p->pConn, SQLITE_READONLY, "queue %s: %s cannot be changed; UPDATE sets state, not_before or"
                      " locked_until", p->zTable, azQueueCol[i]);
  }
  *peVerb = PRILL_SHARE_RELEASE;
  if( bState ){
    zState = (const char*)sqlite3_value_text(apVal[QUEUE_STATE]);
    if( zState && strcmp(zState, "rejected")==0 ){
      *peVerb = PRILL_SHARE_REJECT;
    }else if( zState==0 || strcmp(zState, "released")!=0 ){
      return prillError(p->pConn, SQLITE_CONSTRAINT, "queue %s: state can be set to 'released' or 'rejected'; DELETE"
                        " acknowledges", p->zTable);
    }
  }
  if( (bUntil && (bState || bNot)) || (bNot && *peVerb==PRILL_SHARE_REJECT) ){
    return prillError(p->pConn, SQLITE_CONSTRAINT, "queue %s: locked_until renews, not_before delays, and 'rejected'"
                      " ends it; set one of them", p->zTable);
  }
  if( bNot && sqlite3_value_type(apVal[QUEUE_NOT])!=SQLITE_NULL ) rc = queueTime(p, apVal[QUEUE_NOT], QUEUE_NOT, pms);
  if( bUntil ){
    *peVerb = PRILL_SHARE_RENEW;
    rc = queueTime(p, apVal[QUEUE_UNTIL], QUEUE_UNTIL, &msUntil);
    *pms = msUntil;
    if( rc==SQLITE_OK && (msUntil<=now || msUntil>now+QUEUE_MX_MS) ){
      rc = prillError(p->pConn, SQLITE_CONSTRAINT, "queue %s: locked_until must be later than now, by a day at most;"
                      " state='released' gives a record back", p->zTable);
    }
  }
  return rc;
}

static int queueChange(QueueVtab *p, int argc, sqlite3_value **argv){
  i64 now = prillNow(p->own.pStore->pVfs);
  i64 iRowid, ms = 0;
  int eVerb = PRILL_SHARE_ACK;
  PrillPart *pPart;
  int rc;
  if( sqlite3_value_type(argv[0])==SQLITE_NULL ){
    return prillError(p->pConn, SQLITE_READONLY, "queue %s: records are written to their topic: INSERT INTO the"
                      " topic's table", p->zTable);
  }
  if( p->nTaking>0 ){
    return prillError(p->pConn, SQLITE_ERROR, "queue %s: take has no place in DELETE or UPDATE; SELECT ... WHERE take=N"
                      " first", p->zTable);
  }
  iRowid = sqlite3_value_int64(argv[0]);
  if( argc>1 ) rc = queueVerb(p, argv+2, now, &eVerb, &ms); else rc = SQLITE_OK;
  if( rc==SQLITE_OK ) rc = prillStoreBegin(p->own.pStore);
  if( rc==SQLITE_OK ) rc = queuePart(p, (i64)((u64)iRowid>>QUEUE_OFF_BITS), &pPart);
  if( rc==SQLITE_OK ) rc = prillStoreCheckDir(p->own.pStore);
  if( rc!=SQLITE_OK ) return rc;
  iRowid &= ((i64)1<<QUEUE_OFF_BITS)-1;
  rc = prillShareSettle(&p->own.share, pPart, iRowid, eVerb, ms, now);
  if( rc==SQLITE_NOTFOUND ){
    rc = prillError(p->pConn, SQLITE_ABORT, "queue %s: offset %lld of topic %s partition %d is not held any more: its"
                    " lock has run out; renew locks or raise lock_ms", p->zTable, iRowid, pPart->pTopic->zName,
                    pPart->iPart);
  }
  return rc;
}

static int queueUpdate(sqlite3_vtab *pTab, int argc, sqlite3_value **argv, sqlite3_int64 *piRowid){
  QueueVtab *p = (QueueVtab*)pTab;
  (void)piRowid;
  return prillVtabError(pTab, p->pConn, queueChange(p, argc, argv));
}

static const sqlite3_module queueModule = {
  .iVersion = 3,
  .xCreate = queueCreate, .xConnect = queueConnect, .xBestIndex = queueBestIndex,
  .xDisconnect = queueDisconnect, .xDestroy = queueDisconnect,
  .xOpen = queueOpen, .xClose = queueClose, .xFilter = queueFilter, .xNext = queueNext,
  .xEof = queueEof, .xColumn = queueColumn, .xRowid = queueRowid, .xUpdate = queueUpdate,
  .xBegin = queueBegin, .xSync = queueSync, .xCommit = queueCommit, .xRollback = queueRollback,
  .xRename = queueRename, .xSavepoint = queueSavepoint, .xRelease = queueRelease,
  .xRollbackTo = queueRollbackTo,
};

/* prill_queue_start(group, topic, partition [, schema]): the first offset that is
** neither acknowledged nor archived. */
static int queueStartOf(PrillConn *p, int nArg, const char **az, i64 iPart, i64 *piOff){
  PrillStore *pStore = 0;
  PrillShare *pShare;
  PrillTopic *pTopic;
  int rc = prillStoreGet(p, nArg>3 ? az[3] : 0, &pStore);
  if( rc!=SQLITE_OK ) return rc;
  pShare = (PrillShare*)sqlite3_malloc64(sizeof(*pShare));
  rc = pShare ? prillStoreRefresh(pStore) : SQLITE_NOMEM;
  pTopic = rc==SQLITE_OK ? prillStoreTopic(pStore, az[1]) : 0;
  if( rc==SQLITE_OK && (pTopic==0 || iPart<0 || iPart>=pTopic->nPart) ){
    rc = prillError(p, SQLITE_ERROR, "prill_queue_start(): no such partition: %s/%lld; SELECT * FROM prill_partitions"
                    " lists them", az[1], iPart);
  }
  if( rc==SQLITE_OK ){
    memset(pShare, 0, sizeof(*pShare));
    prillPlaceInit(&pShare->placer);
    pShare->pStore = pStore;
    pShare->zGroup = az[0];
    rc = prillShareStart(pShare, pTopic->apPart[iPart], piOff);
    prillShareFree(pShare);
  }
  sqlite3_free(pShare);
  prillStorePut(pStore);
  return rc;
}

static void queueStartFunc(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  PrillConn *p = (PrillConn*)sqlite3_user_data(pCtx);
  const char *az[4] = {0,0,0,0};
  i64 iOff = 0;
  int i, rc;
  for(i=0; i<nArg; i++){
    if( sqlite3_value_type(apArg[i])==SQLITE_NULL ) return;               /* NULL */
    az[i] = (const char*)sqlite3_value_text(apArg[i]);
    if( az[i]==0 ){
      prillFuncFail(pCtx, p, SQLITE_NOMEM);
      return;
    }
  }
  rc = queueStartOf(p, nArg, az, sqlite3_value_int64(apArg[2]), &iOff);
  if( rc!=SQLITE_OK ) prillFuncFail(pCtx, p, rc); else sqlite3_result_int64(pCtx, iOff);
}

const PrillFunc *prillFuncQueue(int *pn){
  static const PrillFunc aQueue[] = {
    {"prill_queue_start", 3, SQLITE_DIRECTONLY, queueStartFunc},
    {"prill_queue_start", 4, SQLITE_DIRECTONLY, queueStartFunc},
  };
  *pn = (int)(sizeof(aQueue)/sizeof(aQueue[0]));
  return aQueue;
}

int prillVtabQueueInit(PrillConn *pConn){
  return sqlite3_create_module_v2(pConn->db, "queue", &queueModule, prillConnRef(pConn), prillConnUnref);
}
