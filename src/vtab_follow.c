/*
** vtab_follow.c: the module follow, a table whose SELECT waits for records:
**
**     CREATE VIRTUAL TABLE temp.f USING follow(topics='orders,audit', from=latest);
**     SELECT topic, value FROM f WHERE timeout_ms=-1;
**
** Layer 5, sql.  Calls option, store, part, scan, wait.
**
** WHAT IT READS.  Each partition of each topic from where the last SELECT ended,
** in rounds: in one snapshot it is taken down what there is, that is given,
** partition after partition, and then the next snapshot is looked at.  A
** SELECT ends when a round finds nothing and nothing has come for timeout_ms.
** Records of the open transaction are not given: a rollback would take them
** back, and others would get their offsets.
**
** WHERE IT STANDS is memory of the connection (FollowState), not of the
** sqlite3_vtab, which SQLite drops and makes again when it reads the schema
** anew.  It is no part of any transaction.
**
** WHY temp.  A SELECT on a table of any other schema holds a snapshot of it, and
** would pin the WAL for as long as it waits.  A SELECT that may wait looks
** through a connection of its own (wait.c); one that may not, because of its
** timeout or a transaction, through the caller's.
**
**   I1  A partition's place moves when the cursor steps onto a record: what
**       LIMIT cuts off is given next time.
**   I2  A cursor filtered again (the inner table of a join) gives once more what
**       it has given, and neither waits nor looks for more.
**
** Crash story: nothing is written here.
*/
#include "prillTopic.h"

enum { FOLLOW_EARLIEST, FOLLOW_LATEST, FOLLOW_TIME };

typedef struct FollowPos FollowPos;
typedef struct FollowState FollowState;
typedef struct FollowVtab FollowVtab;
typedef struct FollowGive FollowGive;
typedef struct FollowCursor FollowCursor;

/* Where it stands in a topic. */
struct FollowPos {
  FollowPos *pNext;
  u8 aUuid[16];
  int nPart;
  i64 *aNext;                         /* next offset of each partition */
};

struct FollowState {
  PrillKeep keep;
  char *zTable;                       /* the table's name; NULL: it is dropped */
  u8 bStarted;                        /* from= has been used */
  FollowPos *pPos;
};

struct FollowVtab {
  sqlite3_vtab base;
  PrillConn *pConn;                   /* referenced */
  PrillStore *pStore;                 /* referenced */
  PrillStore *pPeek;                  /* the same on a connection of its own, or NULL */
  FollowState *pState;                /* the connection's */
  char *zTopics;                      /* nTopic texts, one after the other */
  int nTopic;
  int eFrom;
  i64 msFrom;
};

/* Records of a partition to give: iFrom to iEnd-1. */
struct FollowGive {
  FollowPos *pPos;
  int iPart;
  i64 iFrom, iEnd;
};

struct FollowCursor {
  sqlite3_vtab_cursor base;
  PrillStore *pStore;                 /* pStore or pPeek, referenced; NULL before xFilter */
  PrillWait wait;
  i64 ms;                             /* timeout_ms */
  i64 iTopic;                         /* the only topic's number, or 0 */
  FollowGive *aGive;                  /* this round */
  int nGive, iGive, nGiveAlloc;
  FollowGive *aGave;                  /* all rounds, by partition (I2) */
  int nGave, nGaveAlloc;
  u8 bAgain;                          /* giving aGave anew */
  u8 bEof;
  PrillTopic *pTopic;                 /* referenced */
  PrillScan *pScan;
  PrillRecord rec;
  PrillBuf json;
};

/**************************************************************************
** Arguments.
*/

static int followFrom(FollowVtab *p, const char *zTable, const char *z){
  const char *zDigit;
  if( sqlite3_stricmp(z, "earliest")==0 ){
    p->eFrom = FOLLOW_EARLIEST;
    return SQLITE_OK;
  }
  if( sqlite3_stricmp(z, "latest")==0 ){
    p->eFrom = FOLLOW_LATEST;
    return SQLITE_OK;
  }
  p->eFrom = FOLLOW_TIME;
  p->msFrom = 0;
  for(zDigit=z; *zDigit>='0' && *zDigit<='9' && p->msFrom<PRILL_I64MAX/100; zDigit++){
    p->msFrom = p->msFrom*10 + (*zDigit-'0');
  }
  if( *zDigit==0 && zDigit>z ) return SQLITE_OK;
  return prillError(p->pConn, SQLITE_ERROR, "table %s: from=%s is not allowed; use earliest, latest, or milliseconds"
                    " since 1970", zTable, z);
}

/* One argument.  *pzSchema gets schema='s text. */
static int followArg(FollowVtab *p, const char *zTable, const char *zName, char **pzVal, char **pzSchema){
  if( prillOptionIs(zName, "from") ) return followFrom(p, zTable, *pzVal);
  if( prillOptionIs(zName, "topics") && p->zTopics==0 ){
    p->nTopic = prillOptionList(*pzVal);
    if( p->nTopic==0 ){
      return prillError(p->pConn, SQLITE_ERROR, "table %s: topics names none; say topics='orders' or"
                        " topics='orders,audit' or topics='o*'", zTable);
    }
    p->zTopics = *pzVal;
    *pzVal = 0;
    return SQLITE_OK;
  }
  if( prillOptionIs(zName, "schema") && *pzSchema==0 ){
    *pzSchema = *pzVal;
    *pzVal = 0;
    return SQLITE_OK;
  }
  return prillError(p->pConn, SQLITE_ERROR, "table %s: argument %s is unknown or given twice; use topics, from, schema",
                    zTable, zName);
}

static int followArgs(FollowVtab *p, int argc, const char *const *argv, char **pzSchema){
  int i;
  int rc = SQLITE_OK;
  for(i=3; rc==SQLITE_OK && i<argc; i++){
    char *zName = 0, *zVal = 0, *zErr = 0;
    const char *z = argv[i];
    while( *z==' ' || *z=='\t' || *z=='\n' || *z=='\r' ) z++;
    if( *z==0 ) continue;
    rc = prillOptionParse(z, &zName, &zVal, &zErr);
    if( rc==SQLITE_OK ){
      rc = followArg(p, argv[2], zName, &zVal, pzSchema);
    }else if( rc!=SQLITE_NOMEM ){
      prillError(p->pConn, rc, "table %s: %s", argv[2], zErr);
    }
    sqlite3_free(zName);
    sqlite3_free(zVal);
    sqlite3_free(zErr);
  }
  if( rc==SQLITE_OK && p->zTopics==0 ){
    rc = prillError(p->pConn, SQLITE_ERROR, "table %s: which topics? Say topics='orders' or topics='orders,audit' or"
                    " topics='o*'", argv[2]);
  }
  return rc;
}

/* The refusal of a schema but temp, with the line to type. */
static int followNotTemp(PrillConn *pConn, int argc, const char *const *argv){
  PrillBuf buf = {0,0,0};
  int i;
  int rc = SQLITE_OK;
  for(i=3; i<argc; i++) prillBufPrintf(&rc, &buf, "%s%s", i>3 ? ", " : "", argv[i]);
  prillBufAppend(&rc, &buf, "", 1);
  if( rc==SQLITE_OK ){
    rc = prillError(pConn, SQLITE_ERROR, "a SELECT from %s.%s would hold a snapshot while it waits; type: CREATE"
                    " VIRTUAL TABLE temp.%s USING follow(%s)", argv[1], argv[2], argv[2], (char*)buf.a);
  }
  prillBufFree(&buf);
  return rc;
}

/**************************************************************************
** Tables.
*/
static void followForget(FollowState *p){
  FollowPos *pPos;
  while( (pPos = p->pPos)!=0 ){
    p->pPos = pPos->pNext;
    sqlite3_free(pPos->aNext);
    sqlite3_free(pPos);
  }
  sqlite3_free(p->zTable);
  p->zTable = 0;
}

static void followFreeState(PrillKeep *p){
  followForget((FollowState*)p);
  sqlite3_free(p);
}

/* The state of a table of this name, a new one when there is none or bNew. */
static FollowState *followState(PrillConn *pConn, const char *zTable, int bNew){
  PrillKeep *pKeep;
  FollowState *p, *pFree = 0;
  for(pKeep=pConn->pKeep; pKeep; pKeep=pKeep->pNext){
    p = (FollowState*)pKeep;
    if( pKeep->xFree!=followFreeState ) continue;
    if( p->zTable && sqlite3_stricmp(p->zTable, zTable)==0 ){
      if( !bNew ) return p;
      followForget(p);
    }
    if( p->zTable==0 ) pFree = p;
  }
  p = pFree;
  if( p==0 ){
    p = (FollowState*)sqlite3_malloc64(sizeof(*p));
    if( p==0 ) return 0;
    memset(p, 0, sizeof(*p));
    p->keep.xFree = followFreeState;
    p->keep.pNext = pConn->pKeep;
    pConn->pKeep = &p->keep;
  }
  p->bStarted = 0;
  p->zTable = sqlite3_mprintf("%s", zTable);
  return p->zTable ? p : 0;
}

static int followDisconnect(sqlite3_vtab *pTab){
  FollowVtab *p = (FollowVtab*)pTab;
  prillWaitStoreClose(p->pPeek);
  prillStorePut(p->pStore);
  prillConnUnref(p->pConn);
  sqlite3_free(p->zTopics);
  sqlite3_free(p->base.zErrMsg);
  sqlite3_free(p);
  return SQLITE_OK;
}

static int followDestroy(sqlite3_vtab *pTab){
  followForget(((FollowVtab*)pTab)->pState);
  return followDisconnect(pTab);
}

static int followOpenTable(
  sqlite3 *db, PrillConn *pConn, int argc, const char *const *argv, int bNew, FollowVtab **pp
){
  FollowVtab *p;
  char *zSchema = 0;
  int rc = sqlite3_declare_vtab(db, "CREATE TABLE x(topic TEXT, partition INTEGER, offset INTEGER, timestamp INTEGER,"
      " key TEXT, value TEXT, headers TEXT, timeout_ms INTEGER HIDDEN, leader_epoch INTEGER HIDDEN,"
      " producer_id INTEGER HIDDEN, producer_epoch INTEGER HIDDEN, sequence INTEGER HIDDEN,"
      " batch_offset INTEGER HIDDEN, size INTEGER HIDDEN)");
  if( rc!=SQLITE_OK ) return rc;
  if( sqlite3_stricmp(argv[1], "temp")!=0 ) return followNotTemp(pConn, argc, argv);
  p = (FollowVtab*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->pConn = (PrillConn*)prillConnRef(pConn);
  rc = followArgs(p, argc, argv, &zSchema);
  if( rc==SQLITE_OK ) rc = prillStoreGet(pConn, zSchema, &p->pStore);
  if( rc==SQLITE_OK ){
    p->pState = followState(pConn, argv[2], bNew);
    if( p->pState==0 ) rc = SQLITE_NOMEM;
  }
  sqlite3_free(zSchema);
  if( rc!=SQLITE_OK ){
    followDisconnect(&p->base);
    return rc;
  }
  *pp = p;
  return SQLITE_OK;
}

static int followMake(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, int bNew, sqlite3_vtab **ppVtab, char **pzErr
){
  PrillConn *pConn = (PrillConn*)pAux;
  FollowVtab *p = 0;
  int rc = followOpenTable(db, pConn, argc, argv, bNew, &p);
  if( rc==SQLITE_OK ){
    *ppVtab = &p->base;
  }else if( pConn->zErr ){
    sqlite3_free(*pzErr);
    *pzErr = pConn->zErr;
    pConn->zErr = 0;
  }
  return rc;
}

static int followCreate(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  return followMake(db, pAux, argc, argv, 1, ppVtab, pzErr);
}

static int followConnect(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  return followMake(db, pAux, argc, argv, 0, ppVtab, pzErr);
}

/* ALTER TABLE RENAME: it stands where it stood. */
static int followRename(sqlite3_vtab *pTab, const char *zNew){
  FollowState *p = ((FollowVtab*)pTab)->pState;
  char *z = sqlite3_mprintf("%s", zNew);
  if( z==0 ) return SQLITE_NOMEM;
  sqlite3_free(p->zTable);
  p->zTable = z;
  return SQLITE_OK;
}

/* Columns, as prillRecordColumn numbers them. */
#define FOLLOW_TIMEOUT 7
static int followColumnOf(int iCol){
  return iCol==0 ? TOPIC_TOPIC : iCol<FOLLOW_TIMEOUT ? iCol-1 : iCol-FOLLOW_TIMEOUT-1+TOPIC_EPOCH;
}

static int followBestIndex(sqlite3_vtab *pTab, sqlite3_index_info *pInfo){
  int i;
  (void)pTab;
  for(i=0; i<pInfo->nConstraint; i++){
    const struct sqlite3_index_constraint *pCons = &pInfo->aConstraint[i];
    if( pCons->iColumn!=FOLLOW_TIMEOUT || pCons->op!=SQLITE_INDEX_CONSTRAINT_EQ ) continue;
    if( !pCons->usable ) return SQLITE_CONSTRAINT;
    if( pInfo->idxNum ) continue;
    pInfo->aConstraintUsage[i].argvIndex = 1;
    pInfo->aConstraintUsage[i].omit = 1;
    pInfo->idxNum = 1;
  }
  pInfo->estimatedCost = 1000000.0;
  pInfo->estimatedRows = 1000000;
  return SQLITE_OK;
}

/**************************************************************************
** Rounds.
*/
static int followOpen(sqlite3_vtab *pTab, sqlite3_vtab_cursor **pp){
  FollowCursor *c = (FollowCursor*)sqlite3_malloc64(sizeof(*c));
  (void)pTab;
  if( c==0 ) return SQLITE_NOMEM;
  memset(c, 0, sizeof(*c));
  c->bEof = 1;
  *pp = &c->base;
  return SQLITE_OK;
}

static int followClose(sqlite3_vtab_cursor *pCur){
  FollowCursor *c = (FollowCursor*)pCur;
  prillScanClose(c->pScan);
  prillTopicUnref(c->pTopic);
  prillWaitEnd(&c->wait);
  prillStorePut(c->pStore);
  prillBufFree(&c->json);
  sqlite3_free(c->aGive);
  sqlite3_free(c->aGave);
  sqlite3_free(c);
  return SQLITE_OK;
}

/* The first offset of a partition for from=. */
static int followStart(FollowVtab *p, PrillPart *pPart, i64 *piNext){
  PrillRange r = {.iTsFrom = p->msFrom, .iTsTo = PRILL_I64MAX};
  PrillScan *pScan = 0;
  PrillRecord rec = {0,0,0,0,0,0,0,0,0};
  int rc;
  *piNext = 0;
  if( p->eFrom==FOLLOW_EARLIEST ) return SQLITE_OK;
  *piNext = prillPartEnd(pPart);
  if( p->eFrom==FOLLOW_LATEST || *piNext==0 ) return SQLITE_OK;
  r.iTo = *piNext-1;
  rc = prillScanOpen(pPart, &r, &pScan);
  if( rc==SQLITE_OK ) rc = prillScanNext(pScan, &rec);
  if( rc==SQLITE_ROW ) *piNext = rec.iOff;
  prillScanClose(pScan);
  return rc==SQLITE_ROW || rc==SQLITE_DONE ? SQLITE_OK : rc;
}

/* Where the table stands in a topic, with a place for each partition.  Those
** met after the first SELECT has begun are read from their beginning. */
static int followPos(FollowVtab *p, PrillTopic *pTopic, FollowPos **pp){
  FollowState *pState = p->pState;
  FollowPos *pPos;
  int rc = SQLITE_OK;
  for(pPos=pState->pPos; pPos && memcmp(pPos->aUuid, pTopic->aUuid, 16)!=0; pPos=pPos->pNext){}
  if( pPos==0 ){
    pPos = (FollowPos*)sqlite3_malloc64(sizeof(*pPos));
    if( pPos==0 ) return SQLITE_NOMEM;
    memset(pPos, 0, sizeof(*pPos));
    memcpy(pPos->aUuid, pTopic->aUuid, 16);
    pPos->pNext = pState->pPos;
    pState->pPos = pPos;
  }
  if( pPos->nPart<pTopic->nPart ){
    i64 *a = (i64*)sqlite3_realloc64(pPos->aNext, sizeof(i64)*(u64)pTopic->nPart);
    if( a==0 ) return SQLITE_NOMEM;
    pPos->aNext = a;
    while( rc==SQLITE_OK && pPos->nPart<pTopic->nPart ){
      a[pPos->nPart] = 0;
      if( !pState->bStarted ){
        rc = prillPartLoad(pTopic->apPart[pPos->nPart]);
        if( rc==SQLITE_OK ) rc = followStart(p, pTopic->apPart[pPos->nPart], &a[pPos->nPart]);
      }
      if( rc==SQLITE_OK ) pPos->nPart++;
    }
  }
  *pp = pPos;
  return rc;
}

static int followAdd(FollowGive **pa, int *pn, int *pnAlloc, const FollowGive *pGive){
  if( *pn>=*pnAlloc ){
    int nAlloc = *pnAlloc*2 + 8;
    FollowGive *a = (FollowGive*)sqlite3_realloc64(*pa, sizeof(*a)*(u64)nAlloc);
    if( a==0 ) return SQLITE_NOMEM;
    *pa = a;
    *pnAlloc = nAlloc;
  }
  (*pa)[(*pn)++] = *pGive;
  return SQLITE_OK;
}

/* What a topic has beyond where the table stands, to this round. */
static int followTopic(FollowCursor *c, PrillTopic *pTopic){
  FollowVtab *p = (FollowVtab*)c->base.pVtab;
  FollowGive give;
  int i;
  int rc = followPos(p, pTopic, &give.pPos);
  for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++){
    i64 *piNext = &give.pPos->aNext[i];
    rc = prillPartLoad(pTopic->apPart[i]);
    if( rc!=SQLITE_OK ) break;
    give.iPart = i;
    give.iEnd = prillPartEnd(pTopic->apPart[i]);
    /* Offsets that were trimmed, or lost to a power cut, are passed over. */
    *piNext = PRILL_MAX(*piNext, pTopic->apPart[i]->x.iLogStart);
    *piNext = PRILL_MIN(*piNext, give.iEnd);
    give.iFrom = *piNext;
    if( give.iFrom<give.iEnd ) rc = followAdd(&c->aGive, &c->nGive, &c->nGiveAlloc, &give);
  }
  if( rc==SQLITE_OK ) rc = prillWaitRead(p->pConn, pTopic);
  return rc;
}

/* Does an earlier text of the list mean the topic as well? */
static int followMeans(const char *zPattern, const char *zName){
  return strpbrk(zPattern, "*?[") ? sqlite3_strglob(zPattern, zName)==0 : strcmp(zPattern, zName)==0;
}

/* Take down what there is, in a fresh snapshot. */
static int followRound(FollowCursor *c){
  FollowVtab *p = (FollowVtab*)c->base.pVtab;
  PrillTopic *pTopic;
  const char *z, *zOther;
  int i, k;
  int rc = prillStoreRefresh(c->pStore);
  if( rc==SQLITE_OK ) rc = prillStoreCheckDir(c->pStore);
  c->nGive = c->iGive = 0;
  for(i=0, z=p->zTopics; rc==SQLITE_OK && i<p->nTopic; i++, z+=strlen(z)+1){
    int bGlob = strpbrk(z, "*?[")!=0;
    int bThere = bGlob;
    for(pTopic=c->pStore->pTopics; rc==SQLITE_OK && pTopic; pTopic=pTopic->pNext){
      if( !followMeans(z, pTopic->zName) ) continue;
      bThere = 1;
      for(k=0, zOther=p->zTopics; k<i && !followMeans(zOther, pTopic->zName); k++, zOther+=strlen(zOther)+1){}
      if( k==i ) rc = followTopic(c, pTopic);
      if( p->nTopic==1 && !bGlob ) c->iTopic = pTopic->iTopic;
    }
    if( rc==SQLITE_OK && !bThere ){
      rc = prillError(c->pStore->pConn, SQLITE_ERROR, "no such topic: %s; SELECT name FROM prill_topics lists them", z);
    }
  }
  if( rc==SQLITE_OK ) p->pState->bStarted = 1;
  return rc;
}

/* Note for I2 that pGive was given, up to iEnd. */
static int followNote(FollowCursor *c, const FollowGive *pGive){
  int i;
  for(i=0; i<c->nGave; i++){
    if( c->aGave[i].pPos==pGive->pPos && c->aGave[i].iPart==pGive->iPart ){
      c->aGave[i].iEnd = pGive->iEnd;
      return SQLITE_OK;
    }
  }
  return followAdd(&c->aGave, &c->nGave, &c->nGaveAlloc, pGive);
}

/* Open the scan of aGive[iGive].  The topic is looked up anew: the catalog may
** have been read again.  One that is gone leaves pScan NULL. */
static int followScan(FollowCursor *c){
  const FollowGive *pGive = &c->aGive[c->iGive];
  PrillRange r = {.iFrom = pGive->iFrom, .iTo = pGive->iEnd-1, .iTsFrom = PRILL_I64MIN, .iTsTo = PRILL_I64MAX};
  PrillTopic *pTopic;
  int rc = prillStoreRefresh(c->pStore);
  if( rc!=SQLITE_OK ) return rc;
  for(pTopic=c->pStore->pTopics; pTopic && memcmp(pTopic->aUuid, pGive->pPos->aUuid, 16)!=0; pTopic=pTopic->pNext){}
  prillTopicUnref(c->pTopic);
  c->pTopic = pTopic;
  if( pTopic==0 ) return SQLITE_OK;
  pTopic->nRef++;
  if( pGive->iPart>=pTopic->nPart ) return SQLITE_OK;
  if( !c->bAgain ) rc = followNote(c, pGive);
  return rc==SQLITE_OK ? prillScanOpen(pTopic->apPart[pGive->iPart], &r, &c->pScan) : rc;
}

/* The next record of this round: SQLITE_ROW, SQLITE_DONE or an error. */
static int followStep(FollowCursor *c){
  int rc = SQLITE_OK;
  while( c->iGive<c->nGive ){
    const FollowGive *pGive = &c->aGive[c->iGive];
    i64 *piNext = &pGive->pPos->aNext[pGive->iPart];
    if( c->pScan==0 ) rc = followScan(c);
    if( rc!=SQLITE_OK ) return rc;
    rc = c->pScan ? prillScanNext(c->pScan, &c->rec) : SQLITE_DONE;
    if( rc==SQLITE_ROW ) *piNext = PRILL_MAX(*piNext, c->rec.iOff+1);         /* I1 */
    if( rc!=SQLITE_DONE ) return rc;
    *piNext = PRILL_MAX(*piNext, pGive->iEnd);
    prillScanClose(c->pScan);
    c->pScan = 0;
    c->iGive++;
    rc = SQLITE_OK;
  }
  return SQLITE_DONE;
}

/* A round.  Whoever may wait takes a database that is locked for one that has
** nothing new: another look follows. */
static int followLook(FollowCursor *c){
  int rc;
  prillStoreLetGo(c->pStore);
  prillWaitSample(&c->wait, c->pStore, c->iTopic);
  rc = followRound(c);
  if( (rc & 0xff)==SQLITE_BUSY && c->ms!=0 ){
    c->nGive = 0;
    rc = SQLITE_OK;
  }
  return rc;
}

/* Come to the next record, waiting if need be, or to the end. */
static int followNextRecord(FollowCursor *c){
  int rc;
  for(;;){
    rc = followStep(c);
    if( rc!=SQLITE_DONE ) break;
    if( c->bAgain || (c->nGive>0 && c->ms==0) ) break;
    if( c->nGive>0 ) c->wait.msLeft = c->ms;          /* something came: patience begins anew */
    rc = followLook(c);
    while( rc==SQLITE_OK && c->nGive==0 ){
      prillStoreLetGo(c->pStore);
      rc = prillWaitSleep(&c->wait);
      if( rc==SQLITE_OK ) rc = followLook(c);
    }
    if( rc!=SQLITE_OK ) break;
  }
  c->bEof = (u8)(rc!=SQLITE_ROW);
  return rc==SQLITE_ROW || rc==SQLITE_DONE ? SQLITE_OK : rc;
}

/* An error may have been told by the connection that looks. */
static int followResult(FollowCursor *c, int rc){
  FollowVtab *p = (FollowVtab*)c->base.pVtab;
  return prillVtabError(&p->base, c->pStore ? c->pStore->pConn : p->pConn, rc);
}

/* Choose the connection to read through. */
static int followSource(FollowCursor *c){
  FollowVtab *p = (FollowVtab*)c->base.pVtab;
  int rc = SQLITE_OK;
  c->pStore = p->pStore;
  if( c->ms!=0 && prillWaitMay(p->pConn) ){
    if( p->pPeek==0 ) rc = prillWaitStore(p->pStore, 0, &p->pPeek);
    if( rc==SQLITE_OK ) c->pStore = p->pPeek;
    if( rc==SQLITE_CANTOPEN ) rc = SQLITE_OK;
  }
  if( c->pStore==p->pStore ) c->ms = 0;
  c->pStore->nRef++;
  return rc;
}

static int followFilter(
  sqlite3_vtab_cursor *pCur, int idxNum, const char *idxStr, int argc, sqlite3_value **argv
){
  FollowCursor *c = (FollowCursor*)pCur;
  FollowVtab *p = (FollowVtab*)pCur->pVtab;
  int rc = SQLITE_OK;
  (void)idxStr;
  prillScanClose(c->pScan);
  c->pScan = 0;
  if( c->pStore ){                                    /* I2 */
    c->bAgain = 1;
    c->nGive = c->iGive = 0;
    for(rc=SQLITE_OK; rc==SQLITE_OK && c->nGive<c->nGave; ){
      rc = followAdd(&c->aGive, &c->nGive, &c->nGiveAlloc, &c->aGave[c->nGive]);
    }
  }else{
    c->ms = 0;
    if( idxNum && argc>0 ){
      c->ms = sqlite3_value_int64(argv[0]);
      if( sqlite3_value_numeric_type(argv[0])!=SQLITE_INTEGER || c->ms<-1 ){
        prillError(p->pConn, SQLITE_ERROR, "timeout_ms is a whole number of milliseconds, or -1 for ever");
        return prillVtabError(&p->base, p->pConn, SQLITE_ERROR);
      }
    }
    rc = followSource(c);
    prillWaitInit(&c->wait, p->pConn, c->ms);
  }
  if( rc==SQLITE_OK ) rc = followNextRecord(c);
  return followResult(c, rc);
}

static int followNext(sqlite3_vtab_cursor *pCur){
  FollowCursor *c = (FollowCursor*)pCur;
  return followResult(c, followNextRecord(c));
}

static int followEof(sqlite3_vtab_cursor *pCur){
  return ((FollowCursor*)pCur)->bEof;
}

static int followColumn(sqlite3_vtab_cursor *pCur, sqlite3_context *pCtx, int iCol){
  FollowCursor *c = (FollowCursor*)pCur;
  if( iCol==FOLLOW_TIMEOUT ){
    sqlite3_result_int64(pCtx, c->ms);
    return SQLITE_OK;
  }
  return prillRecordColumn(pCtx, followColumnOf(iCol), c->pTopic, c->aGive[c->iGive].iPart, &c->rec, c->pScan,
                           &c->json);
}

static int followRowid(sqlite3_vtab_cursor *pCur, sqlite3_int64 *piRowid){
  FollowCursor *c = (FollowCursor*)pCur;
  *piRowid = (i64)(((u64)c->aGive[c->iGive].iPart<<TOPIC_OFF_BITS) | (u64)c->rec.iOff);
  return SQLITE_OK;
}

static const sqlite3_module followModule = {
  .iVersion = 1,
  .xCreate = followCreate, .xConnect = followConnect, .xBestIndex = followBestIndex,
  .xDisconnect = followDisconnect, .xDestroy = followDestroy,
  .xOpen = followOpen, .xClose = followClose, .xFilter = followFilter, .xNext = followNext,
  .xEof = followEof, .xColumn = followColumn, .xRowid = followRowid, .xRename = followRename,
};

int prillVtabFollowInit(PrillConn *pConn){
  return sqlite3_create_module_v2(pConn->db, "follow", &followModule, prillConnRef(pConn), prillConnUnref);
}
