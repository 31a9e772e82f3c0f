/*
** vtab_consumer.c: the module consumer, a table of schema temp that is a member
** of a consumer group: each SELECT polls once.  With it the functions
** prill_commit() and prill_seek().
**
**     CREATE VIRTUAL TABLE temp.billing USING consumer(group=billing, topics='orders');
**     INSERT INTO ledger SELECT key, value FROM billing;
**     SELECT prill_commit('billing');
**
** Layer 5, sql.  Calls poll, wait, record.
**
** The member (PrillPoll) is memory of the connection (ConsumerState), not of
** the sqlite3_vtab, which SQLite drops and makes again when it reads the schema
** anew.  DROP TABLE leaves the group; the state stays for as long as a ROLLBACK
** could bring the table back.
**
**   I1  A statement polls once: at the first xFilter while cursors of the table
**       are open.  Other cursors, rewinds and correlated subqueries read the set
**       again (a join would poll once a row).
**   I2  A SELECT that may wait looks through a connection of its own (wait.c).
**
** Crash story: poll.c's.
*/
#include "prillPoll.h"
#include "prillTopic.h"

enum {
  CONSUMER_TOPIC, CONSUMER_PARTITION, CONSUMER_OFFSET, CONSUMER_TIMESTAMP, CONSUMER_KEY, CONSUMER_VALUE,
  CONSUMER_HEADERS, CONSUMER_TIMEOUT, CONSUMER_MAX
};
#define CONSUMER_BY_TIMEOUT 1         /* idxNum: what xFilter is given, in this order */
#define CONSUMER_BY_MAX     2

typedef struct ConsumerState ConsumerState;
struct ConsumerState {
  PrillKeep keep;
  char *zTable;
  char *zSchema;                      /* of its store; NULL: main */
  u8 bDropped;                        /* DROP TABLE was run, and may be rolled back */
  PrillPoll poll;
};
typedef struct ConsumerVtab ConsumerVtab;
struct ConsumerVtab {
  sqlite3_vtab base;
  PrillConn *pConn;                   /* referenced */
  PrillStore *pStore;                 /* referenced */
  PrillStore *pPeek;                  /* the same on a connection of its own, or NULL */
  PrillStore *pLook;                  /* of the two, where the set is read */
  ConsumerState *pState;
  int nOpen;                          /* cursors */
  u8 bPolled;                         /* since the first of them opened (I1) */
};
typedef struct ConsumerCursor ConsumerCursor;
struct ConsumerCursor {
  sqlite3_vtab_cursor base;
  PrillTake take;                     /* pPoll NULL: not begun */
  i64 ms, nMax;                       /* as given, for the hidden columns */
  u8 bEof;
  PrillBuf json;
};

/**************************************************************************
** States.
*/
static void consumerFreeState(PrillKeep *pKeep){
  ConsumerState *p = (ConsumerState*)pKeep;
  prillPollFree(&p->poll);
  sqlite3_free(p->zTable);
  sqlite3_free(p->zSchema);
  sqlite3_free(p);
}

/* The state of a table: bDropped is what it must be. */
static ConsumerState *consumerFind(PrillConn *pConn, const char *zTable, int bDropped){
  PrillKeep *pKeep;
  for(pKeep=pConn->pKeep; pKeep; pKeep=pKeep->pNext){
    ConsumerState *p = (ConsumerState*)pKeep;
    if( pKeep->xFree==consumerFreeState && p->bDropped==bDropped && sqlite3_stricmp(p->zTable, zTable)==0 ) return p;
  }
  return 0;
}

/* Free the states that no ROLLBACK can want back. */
static void consumerTidy(PrillConn *pConn){
  PrillKeep **pp = &pConn->pKeep;
  if( !sqlite3_get_autocommit(pConn->db) ) return;
  while( *pp ){
    PrillKeep *pKeep = *pp;
    if( pKeep->xFree==consumerFreeState && ((ConsumerState*)pKeep)->bDropped ){
      *pp = pKeep->pNext;
      consumerFreeState(pKeep);
    }else{
      pp = &pKeep->pNext;
    }
  }
}

static ConsumerState *consumerNewState(PrillConn *pConn, const char *zTable){
  ConsumerState *p = (ConsumerState*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return 0;
  memset(p, 0, sizeof(*p));
  p->zTable = sqlite3_mprintf("%s", zTable);
  if( p->zTable==0 ){
    sqlite3_free(p);
    return 0;
  }
  p->keep.xFree = consumerFreeState;
  p->keep.pNext = pConn->pKeep;
  pConn->pKeep = &p->keep;
  p->poll.pConn = pConn;
  return p;
}

/**************************************************************************
** Tables.
*/
static int consumerArgs(PrillConn *pConn, int argc, const char *const *argv, PrillPollConf *pConf, char **pzSchema){
  int i, rc = SQLITE_OK;
  char *zErr = 0;
  for(i=3; rc==SQLITE_OK && i<argc; i++){
    char *zName = 0, *zVal = 0;
    const char *z = argv[i];
    while( *z==' ' || *z=='\t' || *z=='\n' || *z=='\r' ) z++;
    if( *z==0 ) continue;
    rc = prillOptionParse(z, &zName, &zVal, &zErr);
    if( rc==SQLITE_OK && prillOptionIs(zName, "schema") ){
      sqlite3_free(*pzSchema);
      *pzSchema = zVal;
      zVal = 0;
    }else if( rc==SQLITE_OK ){
      rc = prillPollOption(pConf, zName, &zVal, &zErr);
    }
    sqlite3_free(zName);
    sqlite3_free(zVal);
  }
  if( rc==SQLITE_OK ) rc = prillPollCheck(pConf, &zErr);
  if( rc!=SQLITE_OK && rc!=SQLITE_NOMEM ) prillError(pConn, rc, "table %s: %s", argv[2], zErr);
  sqlite3_free(zErr);
  if( rc==SQLITE_OK && pConf->zClient==0 ){
    pConf->zClient = sqlite3_mprintf("%s", argv[2]);
    if( pConf->zClient==0 ) rc = SQLITE_NOMEM;
  }
  return rc;
}

/* The refusal of a schema but temp, with the line to type. */
static int consumerNotTemp(PrillConn *pConn, int argc, const char *const *argv){
  PrillBuf buf = {0,0,0};
  int i, rc = SQLITE_OK;
  for(i=3; i<argc; i++) prillBufPrintf(&rc, &buf, "%s%s", i>3 ? ", " : "", argv[i]);
  prillBufAppend(&rc, &buf, "", 1);
  if( rc==SQLITE_OK ){
    rc = prillError(pConn, SQLITE_ERROR, "a consumer is a member of this connection, not of the database; type: CREATE"
                    " VIRTUAL TABLE temp.%s USING consumer(%s)", argv[2], (char*)buf.a);
  }
  prillBufFree(&buf);
  return rc;
}

static int consumerDisconnect(sqlite3_vtab *pTab){
  ConsumerVtab *p = (ConsumerVtab*)pTab;
  prillWaitStoreClose(p->pPeek);
  prillStorePut(p->pStore);
  prillConnUnref(p->pConn);
  sqlite3_free(p->base.zErrMsg);
  sqlite3_free(p);
  return SQLITE_OK;
}

/* The state behind the table: that of its name, or a new one. */
static int consumerState(
  ConsumerVtab *p, const char *zTable, PrillPollConf *pConf, char **pzSchema, int bNew
){
  ConsumerState *pState = bNew ? 0 : consumerFind(p->pConn, zTable, 0);
  if( pState==0 && !bNew ){
    pState = consumerFind(p->pConn, zTable, 1);         /* its DROP was rolled back */
    if( pState ) pState->bDropped = 0;
  }
  if( pState==0 ) pState = consumerNewState(p->pConn, zTable);
  if( pState==0 ) return SQLITE_NOMEM;
  prillPollConfFree(&pState->poll.conf);
  pState->poll.conf = *pConf;
  memset(pConf, 0, sizeof(*pConf));
  sqlite3_free(pState->zSchema);
  pState->zSchema = *pzSchema;
  *pzSchema = 0;
  pState->poll.pStore = p->pStore;
  p->pState = pState;
  return SQLITE_OK;
}

static int consumerOpenTable(
  sqlite3 *db, PrillConn *pConn, int argc, const char *const *argv, int bNew, ConsumerVtab **pp
){
  ConsumerVtab *p;
  PrillPollConf conf;
  char *zSchema = 0;
  int rc = sqlite3_declare_vtab(db, "CREATE TABLE x(topic TEXT, partition INTEGER, offset INTEGER, timestamp INTEGER,"
      " key TEXT, value TEXT, headers TEXT, timeout_ms INTEGER HIDDEN, max_records INTEGER HIDDEN)");
  if( rc!=SQLITE_OK ) return rc;
  if( sqlite3_stricmp(argv[1], "temp")!=0 ) return consumerNotTemp(pConn, argc, argv);
  p = (ConsumerVtab*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  memset(&conf, 0, sizeof(conf));
  p->pConn = (PrillConn*)prillConnRef(pConn);
  consumerTidy(pConn);
  rc = consumerArgs(pConn, argc, argv, &conf, &zSchema);
  if( rc==SQLITE_OK ) rc = prillStoreGet(pConn, zSchema, &p->pStore);
  if( rc==SQLITE_OK ) rc = consumerState(p, argv[2], &conf, &zSchema, bNew);
  if( rc==SQLITE_OK && bNew ){
    rc = prillPollJoin(&p->pState->poll);
    prillStoreLetGo(p->pStore);
    if( rc!=SQLITE_OK ){
      p->pState->bDropped = 1;
      consumerTidy(pConn);
    }
  }
  sqlite3_free(zSchema);
  prillPollConfFree(&conf);
  if( rc!=SQLITE_OK ){
    consumerDisconnect(&p->base);
    return rc;
  }
  *pp = p;
  return SQLITE_OK;
}

static int consumerMake(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, int bNew, sqlite3_vtab **ppVtab, char **pzErr
){
  PrillConn *pConn = (PrillConn*)pAux;
  ConsumerVtab *p = 0;
  int rc = consumerOpenTable(db, pConn, argc, argv, bNew, &p);
  if( rc==SQLITE_OK ){
    *ppVtab = &p->base;
  }else if( pConn->zErr ){
    sqlite3_free(*pzErr);
    *pzErr = pConn->zErr;
    pConn->zErr = 0;
  }
  return rc;
}

static int consumerCreate(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  return consumerMake(db, pAux, argc, argv, 1, ppVtab, pzErr);
}

static int consumerConnect(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  return consumerMake(db, pAux, argc, argv, 0, ppVtab, pzErr);
}

/* DROP TABLE: leave the group.  A lock in the way is told; nothing else keeps the
** table: its member is found dead. */
static int consumerDestroy(sqlite3_vtab *pTab){
  ConsumerVtab *p = (ConsumerVtab*)pTab;
  PrillConn *pConn = p->pConn;
  int rc = prillPollLeave(&p->pState->poll);
  prillStoreLetGo(p->pStore);
  if( (rc&0xff)==SQLITE_BUSY || (rc&0xff)==SQLITE_LOCKED || rc==SQLITE_NOMEM ){
    return prillVtabError(pTab, pConn, rc);
  }
  sqlite3_free(pConn->zErr);
  pConn->zErr = 0;
  p->pState->bDropped = 1;
  prillConnRef(pConn);
  consumerDisconnect(pTab);
  consumerTidy(pConn);
  prillConnUnref(pConn);
  return SQLITE_OK;
}

static int consumerRename(sqlite3_vtab *pTab, const char *zNew){
  ConsumerState *p = ((ConsumerVtab*)pTab)->pState;
  char *z = sqlite3_mprintf("%s", zNew);
  if( z==0 ) return SQLITE_NOMEM;
  sqlite3_free(p->zTable);
  p->zTable = z;
  return SQLITE_OK;
}

static int consumerBestIndex(sqlite3_vtab *pTab, sqlite3_index_info *pInfo){
  ConsumerVtab *p = (ConsumerVtab*)pTab;
  int aCons[2] = {-1, -1};
  int i, n = 0;
  for(i=0; i<pInfo->nConstraint; i++){
    const struct sqlite3_index_constraint *pCons = &pInfo->aConstraint[i];
    if( pCons->op==SQLITE_INDEX_CONSTRAINT_LIMIT && p->pState->poll.conf.eCommit==PRILL_COMMIT_STATEMENT ){
      prillError(p->pConn, SQLITE_ERROR, "table %s: with enable.auto.commit=statement a LIMIT would leave the set"
                 " uncommitted; use WHERE max_records=N", p->pState->zTable);
      return prillVtabError(pTab, p->pConn, SQLITE_ERROR);
    }
    if( pCons->iColumn!=CONSUMER_TIMEOUT && pCons->iColumn!=CONSUMER_MAX ) continue;
    if( pCons->op!=SQLITE_INDEX_CONSTRAINT_EQ ) continue;
    if( !pCons->usable ) return SQLITE_CONSTRAINT;
    if( aCons[pCons->iColumn-CONSUMER_TIMEOUT]<0 ) aCons[pCons->iColumn-CONSUMER_TIMEOUT] = i;
  }
  for(i=0; i<2; i++){
    if( aCons[i]<0 ) continue;
    pInfo->aConstraintUsage[aCons[i]].argvIndex = ++n;
    pInfo->aConstraintUsage[aCons[i]].omit = 1;
    pInfo->idxNum |= i ? CONSUMER_BY_MAX : CONSUMER_BY_TIMEOUT;
  }
  pInfo->estimatedCost = 1000.0;
  pInfo->estimatedRows = p->pState->poll.conf.nMax;
  return SQLITE_OK;
}

/**************************************************************************
** Cursors.
*/
static int consumerOpen(sqlite3_vtab *pTab, sqlite3_vtab_cursor **pp){
  ConsumerCursor *c = (ConsumerCursor*)sqlite3_malloc64(sizeof(*c));
  if( c==0 ) return SQLITE_NOMEM;
  memset(c, 0, sizeof(*c));
  c->bEof = 1;
  ((ConsumerVtab*)pTab)->nOpen++;
  *pp = &c->base;
  return SQLITE_OK;
}

static int consumerClose(sqlite3_vtab_cursor *pCur){
  ConsumerCursor *c = (ConsumerCursor*)pCur;
  ConsumerVtab *p = (ConsumerVtab*)pCur->pVtab;
  if( c->take.pPoll ) prillTakeEnd(&c->take);
  if( --p->nOpen==0 ){
    p->bPolled = 0;
    prillStoreLetGo(p->pStore);
    if( p->pPeek ) prillStoreLetGo(p->pPeek);
  }
  prillBufFree(&c->json);
  sqlite3_free(c);
  return SQLITE_OK;
}

/* An error may have been told by the connection that looks. */
static int consumerResult(ConsumerVtab *p, int rc){
  PrillConn *pTold = p->pPeek && p->pPeek->pConn->zErr ? p->pPeek->pConn : p->pConn;
  return prillVtabError(&p->base, pTold, rc);
}

/* Look by a connection of the table's own, where there can be one. */
static int consumerPeek(ConsumerVtab *p){
  int rc = SQLITE_OK;
  if( p->pPeek==0 ) rc = prillWaitStore(p->pStore, 0, &p->pPeek);
  if( rc==SQLITE_OK ) p->pLook = p->pPeek;
  return rc==SQLITE_CANTOPEN ? SQLITE_OK : rc;
}

/* A poll in autocommit has read, and then was to write: the caller's connection has a
** snapshot until the SELECT ends, and somebody's COMMIT was in between, or his lock is
** in the way, for which nobody waits who has a snapshot.  The table's own connection
** has none: it waits its turn.  Not with a rollback journal, where a writer's COMMIT
** would wait for the caller's snapshot in turn. */
static int consumerElse(ConsumerVtab *p, int rcBusy){
  sqlite3_stmt *pStmt = 0;
  int bWal = 0, ms = prillTurnAllowed(p->pConn);
  int rc = prillStorePrepare(p->pStore, &pStmt, "PRAGMA \"%w\".journal_mode");
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    const char *z = (const char*)sqlite3_column_text(pStmt, 0);
    bWal = z && sqlite3_stricmp(z, "wal")==0;
  }
  sqlite3_finalize(pStmt);
  if( rc==SQLITE_OK && bWal ) rc = consumerPeek(p);
  if( rc==SQLITE_OK && p->pLook==p->pStore ) rc = rcBusy;
  if( rc==SQLITE_OK && ms>0 ) rc = prillTurnTimeout(p->pPeek->pConn, ms);
  return rc;
}

/* Poll, waiting up to ms for records. */
static int consumerPoll(ConsumerVtab *p, i64 ms, i64 nMax){
  PrillPoll *pPoll = &p->pState->poll;
  PrillWait w;
  int bMay = prillWaitMay(p->pConn);
  int rc = SQLITE_OK;
  p->pLook = p->pStore;
  if( ms!=0 && bMay ) rc = consumerPeek(p);
  if( p->pLook==p->pStore ) ms = 0;
  prillWaitInit(&w, p->pConn, ms);
  while( rc==SQLITE_OK ){
    prillWaitSample(&w, p->pLook, prillPollWord(pPoll, p->pLook));
    rc = prillPollSet(pPoll, p->pLook, nMax);
    if( (rc&0xff)==SQLITE_BUSY && bMay && p->pLook==p->pStore ){
      rc = consumerElse(p, rc);
      if( rc==SQLITE_OK ) continue;
    }
    if( (rc&0xff)==SQLITE_BUSY && ms!=0 ) rc = SQLITE_OK;           /* another look follows */
    if( rc!=SQLITE_OK || pPoll->nGive>0 ) break;
    prillStoreLetGo(p->pLook);
    rc = prillWaitSleep(&w);
  }
  prillWaitEnd(&w);
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

static int consumerNextRecord(ConsumerCursor *c){
  int rc = prillTakeNext(&c->take);
  c->bEof = (u8)(rc!=SQLITE_ROW);
  return rc==SQLITE_ROW || rc==SQLITE_DONE ? SQLITE_OK : rc;
}

/* A whole number from iMin to iMax. */
static int consumerNumber(ConsumerVtab *p, sqlite3_value *pVal, const char *zName, i64 iMin, i64 iMax, i64 *pi){
  *pi = sqlite3_value_int64(pVal);
  if( sqlite3_value_numeric_type(pVal)==SQLITE_INTEGER && *pi>=iMin && *pi<=iMax ) return SQLITE_OK;
  return prillError(p->pConn, SQLITE_ERROR, "table %s: %s is a whole number from %lld to %lld", p->pState->zTable,
                    zName, iMin, iMax);
}

static int consumerFilter(
  sqlite3_vtab_cursor *pCur, int idxNum, const char *idxStr, int argc, sqlite3_value **argv
){
  ConsumerCursor *c = (ConsumerCursor*)pCur;
  ConsumerVtab *p = (ConsumerVtab*)pCur->pVtab;
  int i = 0, rc = SQLITE_OK;
  (void)idxStr; (void)argc;
  c->bEof = 1;
  c->ms = 0;
  c->nMax = p->pState->poll.conf.nMax;
  p->pState->poll.pStore = p->pStore;
  if( idxNum & CONSUMER_BY_TIMEOUT ) rc = consumerNumber(p, argv[i++], "timeout_ms", -1, 0x7fffffff, &c->ms);
  if( rc==SQLITE_OK && (idxNum & CONSUMER_BY_MAX) ){
    rc = consumerNumber(p, argv[i], "max_records", 1, PRILL_POLL_MX, &c->nMax);
  }
  if( rc==SQLITE_OK && !p->bPolled ){
    rc = consumerPoll(p, c->ms, c->nMax);
    p->bPolled = (u8)(rc==SQLITE_OK);
  }
  if( c->take.pPoll ) prillTakeEnd(&c->take);
  if( rc==SQLITE_OK ){
    prillTakeBegin(&c->take, &p->pState->poll, p->pLook);
    rc = consumerNextRecord(c);
  }
  return consumerResult(p, rc);
}

static int consumerNext(sqlite3_vtab_cursor *pCur){
  return consumerResult((ConsumerVtab*)pCur->pVtab, consumerNextRecord((ConsumerCursor*)pCur));
}

static int consumerEof(sqlite3_vtab_cursor *pCur){
  return ((ConsumerCursor*)pCur)->bEof;
}

static int consumerColumn(sqlite3_vtab_cursor *pCur, sqlite3_context *pCtx, int iCol){
  ConsumerCursor *c = (ConsumerCursor*)pCur;
  if( iCol==CONSUMER_TIMEOUT || iCol==CONSUMER_MAX ){
    sqlite3_result_int64(pCtx, iCol==CONSUMER_MAX ? c->nMax : c->ms);
    return SQLITE_OK;
  }
  /* A topic's columns stand in the same order (vtab_topic.c). */
  return prillRecordColumn(pCtx, iCol==CONSUMER_TOPIC ? TOPIC_TOPIC : TOPIC_PARTITION+iCol-CONSUMER_PARTITION,
                           c->take.pTopic, c->take.iPart, &c->take.rec, c->take.pScan, &c->json);
}

static int consumerRowid(sqlite3_vtab_cursor *pCur, sqlite3_int64 *piRowid){
  ConsumerCursor *c = (ConsumerCursor*)pCur;
  *piRowid = (i64)(((u64)c->take.iPart<<TOPIC_OFF_BITS) | (u64)c->take.rec.iOff);
  return SQLITE_OK;
}

static const sqlite3_module consumerModule = {
  .iVersion = 1,
  .xCreate = consumerCreate, .xConnect = consumerConnect, .xBestIndex = consumerBestIndex,
  .xDisconnect = consumerDisconnect, .xDestroy = consumerDestroy,
  .xOpen = consumerOpen, .xClose = consumerClose, .xFilter = consumerFilter, .xNext = consumerNext,
  .xEof = consumerEof, .xColumn = consumerColumn, .xRowid = consumerRowid, .xRename = consumerRename,
};

/**************************************************************************
** prill_commit(table) and prill_seek(table, topic, partition, offset).
*/

/* The member behind a table, whose store is made ready for it. */
static int consumerOf(PrillConn *pConn, const char *zTable, ConsumerState **pp, PrillStore **ppStore){
  int rc;
  if( sqlite3_strnicmp(zTable, "temp.", 5)==0 ) zTable += 5;
  *pp = consumerFind(pConn, zTable, 0);
  *ppStore = 0;
  if( *pp==0 ){
    return prillError(pConn, SQLITE_ERROR, "no such consumer: %s; CREATE VIRTUAL TABLE temp.%s USING"
                      " consumer(group='billing', topics='orders') makes one", zTable, zTable);
  }
  rc = prillStoreGet(pConn, (*pp)->zSchema, ppStore);
  if( rc==SQLITE_OK ) (*pp)->poll.pStore = *ppStore;
  return rc;
}

static void consumerCommitFunc(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  PrillConn *pConn = (PrillConn*)sqlite3_user_data(pCtx);
  const char *zTable = (const char*)sqlite3_value_text(apArg[0]);
  ConsumerState *p;
  PrillStore *pStore = 0;
  int nMoved = 0;
  int rc;
  (void)nArg;
  rc = zTable ? consumerOf(pConn, zTable, &p, &pStore)
     : sqlite3_value_type(apArg[0])==SQLITE_NULL ? consumerOf(pConn, "", &p, &pStore) : SQLITE_NOMEM;
  if( rc==SQLITE_OK ) rc = prillPollCommit(&p->poll, pStore, &nMoved);
  prillStorePut(pStore);
  if( rc!=SQLITE_OK ) prillFuncFail(pCtx, pConn, rc); else sqlite3_result_int(pCtx, nMoved);
}

static void consumerSeekFunc(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  PrillConn *pConn = (PrillConn*)sqlite3_user_data(pCtx);
  const char *zTable = (const char*)sqlite3_value_text(apArg[0]);
  const char *zTopic = (const char*)sqlite3_value_text(apArg[1]);
  i64 iOff = sqlite3_value_int64(apArg[3]);
  ConsumerState *p;
  PrillStore *pStore = 0;
  int rc = SQLITE_OK;
  (void)nArg;
  if( zTable==0 || zTopic==0 || sqlite3_value_numeric_type(apArg[2])!=SQLITE_INTEGER
   || sqlite3_value_numeric_type(apArg[3])!=SQLITE_INTEGER ){
    rc = prillError(pConn, SQLITE_ERROR, "prill_seek(): give a table, a topic, and the numbers of partition and"
                    " offset");
  }
  if( rc==SQLITE_OK ) rc = consumerOf(pConn, zTable, &p, &pStore);
  if( rc==SQLITE_OK ) rc = prillPollSeek(&p->poll, zTopic, sqlite3_value_int64(apArg[2]), iOff);
  prillStorePut(pStore);
  if( rc!=SQLITE_OK ) prillFuncFail(pCtx, pConn, rc); else sqlite3_result_int64(pCtx, iOff);
}

const PrillFunc *prillFuncConsumer(int *pn){
  static const PrillFunc aConsumer[] = {
    {"prill_commit", 1, SQLITE_DIRECTONLY, consumerCommitFunc},
    {"prill_seek", 4, SQLITE_DIRECTONLY, consumerSeekFunc},
  };
  *pn = (int)(sizeof(aConsumer)/sizeof(aConsumer[0]));
  return aConsumer;
}

int prillVtabConsumerInit(PrillConn *pConn){
  return sqlite3_create_module_v2(pConn->db, "consumer", &consumerModule, prillConnRef(pConn), prillConnUnref);
}
