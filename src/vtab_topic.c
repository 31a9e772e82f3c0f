/*
** vtab_topic.c: the module topic, a table that is the door to a topic, and
** the table-valued function prill_records(topic [, schema]), which reads any.
**
** Layer 5, sql.  Calls option, hash, header, and the store's layer.
**
** A DOOR.  The catalog row is the topic; CREATE VIRTUAL TABLE t USING topic(...)
** makes the topic or opens the one that is there.  xConnect never looks: a
** topic that is gone must not keep its door from being dropped.  The door asks
** for its topic when it is used (topicFind), and keeps the pointer, referenced,
** until the catalog marks it bGone.
**
** INSERT is topicUpdate: values to a PrillRecord, a partition for it,
** prillStageAppend.  It allocates nothing and, when the partitioner is not an
** SQL function, runs no SQL.  What it must know of the transaction it finds out
** once (topicReady): the store is fresh, its directory there, the topic's row
** too.
**
** SELECT is planned in vtab_plan.c, whose plan says which partitions, offsets,
** timestamps and key are wanted and in what order.  A cursor opens one
** partition's scan after the other; or, for ORDER BY offset over several, all
** of them, and merges.
**
**   I1  A cursor's ends are fixed in xFilter, those of all its partitions.  So
**       INSERT INTO t SELECT ... FROM prill_records('t') ends.
**   I2  Pointers of a PrillRecord die at the scan's next step, and at an
**       INSERT of the same transaction: values are given SQLITE_TRANSIENT, and
**       a merge keeps copies.
**   I3  A cursor holds its topic: one dropped meanwhile is an error, no crash.
**
** Crash story: nothing is written here.
*/
#include "prillTopic.h"
#include <stdarg.h>

typedef struct TopicVtab TopicVtab;
typedef struct TopicCursor TopicCursor;
typedef struct TopicArgs TopicArgs;
typedef struct TopicMerge TopicMerge;

/* The columns of a door.  prill_records has its arguments first among the
** hidden ones, as SQLite wants them.  NOT NULL binds no INSERT here (NULL is
** "choose one"); it lets SQLite ask for min(offset) as an ORDER BY. */
#define TOPIC_COLUMNS(zArg) \
  "CREATE TABLE x(partition INTEGER NOT NULL, offset INTEGER NOT NULL, timestamp INTEGER, key TEXT, value TEXT," \
  " headers TEXT" zArg ", leader_epoch INTEGER HIDDEN, producer_id INTEGER HIDDEN," \
  " producer_epoch INTEGER HIDDEN, sequence INTEGER HIDDEN, batch_offset INTEGER HIDDEN," \
  " size INTEGER HIDDEN)"
static const char *const topicHidden[] = {
  "leader_epoch", "producer_id", "producer_epoch", "sequence", "batch_offset", "size"
};

struct TopicVtab {
  sqlite3_vtab base;
  PrillConn *pConn;                   /* referenced */
  PrillStore *pStore;                 /* referenced; NULL: prill_records */
  PrillTopic *pTopic;                 /* as last found, referenced; or NULL */
  char *zTable;                       /* the table's name */
  char *zTopic;                       /* the topic's */
  u8 bDefaulted;                      /* the topic has the table's name: no topic= */
  u8 bReady;                          /* topicReady has looked in this transaction */
  i64 nChange;                        /* total changes when it did */
  PrillPlacer placer;                 /* which partition */
  PrillBuf hdr;                       /* an INSERT's headers, encoded */
  TopicCursor *pSpare;                /* a closed cursor, for the next; or NULL */
};

/* One partition of a merge: its scan and a copy of the record it stands on. */
struct TopicMerge {
  PrillScan *pScan;                   /* NULL: at its end */
  int iPart;
  PrillRecord rec;
  PrillBuf buf;                       /* the record's bytes */
};

struct TopicCursor {
  sqlite3_vtab_cursor base;
  PrillStore *pStore;                 /* referenced, or NULL */
  PrillTopic *pTopic;                 /* referenced, or NULL */
  PrillPlan plan;
  i64 *aEnd;                          /* wanted partitions' ends; NULL when there is one (I1) */
  int iWant;                          /* wanted partitions begun */
  /* Where it is */
  PrillScan *pScan;                   /* of iPart; borrowed from aMerge in a merge */
  int iPart;
  PrillRecord rec;
  PrillBuf copy;                      /* its bytes, when bCopy (I2) */
  u8 bEof;
  u8 bPlain;                          /* each record the scan gives is wanted as it is */
  i64 nRun;                           /* so many more records follow rec, offset by offset */
  u8 bCopy;
  TopicMerge *aMerge;                 /* nWant of them, or NULL */
  int iMerge;                         /* the one rec came from, -1 none yet */
  PrillBuf json;                      /* headers, as text */
};

/**************************************************************************
** Table arguments.
*/
struct TopicArgs {
  char *zTopic;                       /* topic=, or NULL */
  int nPart;                          /* partitions=, or 0 */
  u64 mSet;                           /* bit i: setting i was given */
  PrillConfig cfg;
};

static int topicFail(char **pzErr, const char *zFmt, ...){
  va_list ap;
  va_start(ap, zFmt);
  *pzErr = sqlite3_vmprintf(zFmt, ap);
  va_end(ap);
  return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM;
}

/* Position of a setting, or -1. */
static int topicSetting(const char *zName){
  int i;
  for(i=0; prillConfigName(i); i++){
    if( prillOptionIs(zName, prillConfigName(i)) ) return i;
  }
  return -1;
}

static int topicUnknownArg(const char *zTable, const char *zName, char **pzErr){
  PrillBuf buf = {0,0,0};
  int rc = SQLITE_OK;
  int i;
  for(i=0; prillConfigName(i); i++) prillBufPrintf(&rc, &buf, ", %s", prillConfigName(i));
  prillBufAppend(&rc, &buf, "", 1);
  if( rc==SQLITE_OK ){
    rc = topicFail(pzErr, "table %s: unknown argument %s; use topic, partitions%s", zTable, zName, (char*)buf.a);
  }
  prillBufFree(&buf);
  return rc;
}

/* partitions=N.  The range is the catalog's to check. */
static int topicArgPartitions(const char *zTable, const char *zVal, int *pn, char **pzErr){
  i64 n = 0;
  const char *z;
  for(z=zVal; *z>='0' && *z<='9' && n<1000000; z++) n = n*10 + (*z-'0');
  if( *z || z==zVal || n<1 ){
    return topicFail(pzErr, "table %s: partitions=%s is not allowed; use a whole number from 1 up", zTable, zVal);
  }
  *pn = (int)n;
  return SQLITE_OK;
}

/* One argument that has a name and a value. */
static int topicArg(TopicArgs *p, const char *zTable, const char *zName, const char *zVal, char **pzErr){
  char *zErr = 0;
  int i, rc;
  if( prillOptionIs(zName, "topic") || prillOptionIs(zName, "partitions") ){
    if( prillOptionIs(zName, "topic") ? p->zTopic!=0 : p->nPart!=0 ){
      return topicFail(pzErr, "table %s: argument %s is given twice", zTable, zName);
    }
    if( prillOptionIs(zName, "partitions") ) return topicArgPartitions(zTable, zVal, &p->nPart, pzErr);
    p->zTopic = sqlite3_mprintf("%s", zVal);
    return p->zTopic ? SQLITE_OK : SQLITE_NOMEM;
  }
  i = topicSetting(zName);
  if( i<0 ) return topicUnknownArg(zTable, zName, pzErr);
  if( p->mSet & ((u64)1<<i) ) return topicFail(pzErr, "table %s: argument %s is given twice", zTable, zName);
  p->mSet |= (u64)1<<i;
  rc = prillConfigSet(&p->cfg, zName, zVal, &zErr);
  if( rc!=SQLITE_OK && zErr ) rc = topicFail(pzErr, "table %s: %s", zTable, zErr);
  sqlite3_free(zErr);
  return rc;
}

/* The arguments of CREATE VIRTUAL TABLE.  With bCreate 0 only topic= is looked
** for, and nothing is an error but memory: what was right when the table was
** made may be unknown to this build. */
static int topicArgs(TopicArgs *p, int bCreate, int argc, const char *const *argv, char **pzErr){
  int i;
  int rc = SQLITE_OK;
  memset(p, 0, sizeof(*p));
  prillConfigDefault(&p->cfg);
  for(i=3; rc==SQLITE_OK && i<argc; i++){
    char *zName = 0, *zVal = 0, *zErr = 0;
    const char *z = argv[i];
    while( *z==' ' || *z=='\t' || *z=='\n' || *z=='\r' ) z++;
    if( *z==0 ) continue;                             /* "topic()" */
    rc = prillOptionParse(z, &zName, &zVal, &zErr);
    if( rc==SQLITE_OK ){
      if( bCreate ){
        rc = topicArg(p, argv[2], zName, zVal, pzErr);
      }else if( prillOptionIs(zName, "topic") && p->zTopic==0 ){
        p->zTopic = zVal;
        zVal = 0;
      }
    }else if( rc!=SQLITE_NOMEM ){
      rc = bCreate ? topicFail(pzErr, "table %s: %s", argv[2], zErr) : SQLITE_OK;
    }
    sqlite3_free(zName);
    sqlite3_free(zVal);
    sqlite3_free(zErr);
  }
  return rc;
}

/* The topic is there already: what was stated must be so. */
static int topicAgrees(PrillConn *pConn, const TopicArgs *p, const PrillTopic *pTopic){
  PrillBuf a = {0,0,0}, b = {0,0,0};
  int i, bDefault;
  int rc = SQLITE_OK;
  if( p->nPart && p->nPart!=pTopic->nPart ){
    return prillError(pConn, SQLITE_ERROR, "topic %s exists with partitions=%d, not %d; leave the argument"
                      " out, or UPDATE prill_topics to add partitions", pTopic->zName, pTopic->nPart, p->nPart);
  }
  for(i=0; rc==SQLITE_OK && prillConfigName(i); i++){
    if( (p->mSet & ((u64)1<<i))==0 ) continue;
    prillConfigValue(&rc, &pTopic->cfg, i, &a, &bDefault);
    prillConfigValue(&rc, &p->cfg, i, &b, &bDefault);
    if( rc==SQLITE_OK && strcmp((char*)a.a, (char*)b.a)!=0 ){
      rc = prillError(pConn, SQLITE_ERROR, "topic %s exists with %s=%s, not %s; leave the argument out, or"
                      " UPDATE prill_config to change it", pTopic->zName, prillConfigName(i), a.a, b.a);
    }
  }
  prillBufFree(&a);
  prillBufFree(&b);
  return rc;
}

/**************************************************************************
** Making, opening, renaming and dropping doors.
*/
static int topicDisconnect(sqlite3_vtab *pTab){
  TopicVtab *p = (TopicVtab*)pTab;
  prillPlaceFree(&p->placer);
  sqlite3_free(p->pSpare);
  sqlite3_free(p->base.zErrMsg);
  prillTopicUnref(p->pTopic);
  prillStorePut(p->pStore);
  prillBufFree(&p->hdr);
  sqlite3_free(p->zTable);
  sqlite3_free(p->zTopic);
  prillConnUnref(p->pConn);
  sqlite3_free(p);
  return SQLITE_OK;
}

/* The error text of the connection, for xCreate and xConnect. */
static int topicTakeError(PrillConn *pConn, int rc, char **pzErr){
  if( rc!=SQLITE_OK && pConn->zErr ){
    sqlite3_free(*pzErr);
    *pzErr = pConn->zErr;
    pConn->zErr = 0;
  }
  return rc;
}

/* A new sqlite3_vtab.  zSchema NULL: prill_records. */
static int topicOpenTable(
  sqlite3 *db, PrillConn *pConn, const char *zSchema, const char *zTable, const char *zTopic,
  sqlite3_vtab **ppVtab
){
  TopicVtab *p;
  int rc = sqlite3_declare_vtab(db, zSchema ? TOPIC_COLUMNS("")
                                            : TOPIC_COLUMNS(", topic TEXT HIDDEN, schema TEXT HIDDEN"));
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
  if( zSchema ) sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
  p = (TopicVtab*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->pConn = (PrillConn*)prillConnRef(pConn);
  prillPlaceInit(&p->placer);
  p->bDefaulted = (u8)(zTopic==0);
  p->zTable = sqlite3_mprintf("%s", zTable);
  if( zSchema ){
    p->zTopic = sqlite3_mprintf("%s", zTopic ? zTopic : zTable);
    rc = prillStoreGet(pConn, zSchema, &p->pStore);
  }
  if( rc==SQLITE_OK && (p->zTable==0 || (zSchema && p->zTopic==0)) ) rc = SQLITE_NOMEM;
  if( rc!=SQLITE_OK ){
    topicDisconnect(&p->base);
    return rc;
  }
  *ppVtab = &p->base;
  return SQLITE_OK;
}

static int topicConnect(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  TopicArgs args;
  int rc = topicArgs(&args, 0, argc, argv, pzErr);
  if( rc==SQLITE_OK ) rc = topicOpenTable(db, (PrillConn*)pAux, argv[1], argv[2], args.zTopic, ppVtab);
  sqlite3_free(args.zTopic);
  return topicTakeError((PrillConn*)pAux, rc, pzErr);
}

static int topicRecordsConnect(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  (void)argc;
  return topicTakeError((PrillConn*)pAux,
                        topicOpenTable(db, (PrillConn*)pAux, 0, argv[2], 0, ppVtab), pzErr);
}

/* Be a party to the transaction, and have prill_store be one: SQLite calls
** xCreate, xDestroy and xRename with no xBegin, and a table that is gone is
** not told how the transaction ends. */
static int topicJoin(TopicVtab *p){
  int rc = prillStoreRefresh(p->pStore);
  if( rc==SQLITE_OK && p->pStore->bExists ) rc = prillStoreJoin(p->pStore);
  return rc;
}

static int topicCreate(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  PrillConn *pConn = (PrillConn*)pAux;
  TopicArgs args;
  int rc = topicArgs(&args, 1, argc, argv, pzErr);
  if( rc==SQLITE_OK ) rc = topicOpenTable(db, pConn, argv[1], argv[2], args.zTopic, ppVtab);
  if( rc==SQLITE_OK ){
    TopicVtab *p = (TopicVtab*)*ppVtab;
    PrillTopic *pTopic;
    rc = topicJoin(p);
    if( rc==SQLITE_OK && !p->pStore->bExists ){
      rc = prillStoreCreate(p->pStore);
      if( rc==SQLITE_OK ) rc = prillStoreRefresh(p->pStore);
    }
    pTopic = rc==SQLITE_OK ? prillStoreTopic(p->pStore, p->zTopic) : 0;
    if( pTopic ){
      rc = topicAgrees(pConn, &args, pTopic);
    }else if( rc==SQLITE_OK ){
      rc = prillCatalogCreate(p->pStore, p->zTopic, args.nPart ? args.nPart : 1, &args.cfg, argv[2], 0);
    }
    if( rc!=SQLITE_OK ){
      topicDisconnect(*ppVtab);
      *ppVtab = 0;
    }
  }
  sqlite3_free(args.zTopic);
  return topicTakeError(pConn, rc, pzErr);
}

/* Did this table make its topic? */
static int topicIsDoor(const TopicVtab *p, const PrillTopic *pTopic){
  return pTopic->zDoor && sqlite3_stricmp(pTopic->zDoor, p->zTable)==0;
}

/* DROP TABLE.  On an error the table stays. */
static int topicDestroy(sqlite3_vtab *pTab){
  TopicVtab *p = (TopicVtab*)pTab;
  PrillTopic *pTopic;
  int rc = topicJoin(p);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(p->pStore);
  pTopic = rc==SQLITE_OK ? prillStoreTopic(p->pStore, p->zTopic) : 0;
  if( pTopic && topicIsDoor(p, pTopic) ) rc = prillCatalogDrop(p->pStore, p->zTopic);
  return rc==SQLITE_OK ? topicDisconnect(pTab) : prillVtabError(pTab, p->pConn, rc);
}

/* ALTER TABLE RENAME.  SQLite reads the schema anew afterwards and connects
** once more: the names kept here stay, in case of a rollback. */
static int topicRename(sqlite3_vtab *pTab, const char *zNew){
  TopicVtab *p = (TopicVtab*)pTab;
  PrillTopic *pTopic;
  const char *zName = p->zTopic;
  int rc = topicJoin(p);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(p->pStore);
  pTopic = rc==SQLITE_OK ? prillStoreTopic(p->pStore, p->zTopic) : 0;
  if( pTopic ){
    int bDoor = topicIsDoor(p, pTopic);
    if( p->bDefaulted ){
      rc = prillCatalogRename(p->pStore, p->zTopic, zNew);
      zName = zNew;
    }
    if( rc==SQLITE_OK && bDoor ) rc = prillCatalogSetDoor(p->pStore, zName, zNew);
  }
  return prillVtabError(pTab, p->pConn, rc);
}

/**************************************************************************
** Transactions.
*/
static int topicBegin(sqlite3_vtab *pTab){
  TopicVtab *p = (TopicVtab*)pTab;
  p->bReady = 0;
  p->placer.iSticky = -1;
  return prillVtabError(pTab, p->pConn, prillStoreBegin(p->pStore));
}
static int topicSync(sqlite3_vtab *pTab){
  TopicVtab *p = (TopicVtab*)pTab;
  return prillVtabError(pTab, p->pConn, prillStoreSync(p->pStore));
}
static int topicCommit(sqlite3_vtab *pTab){
  TopicVtab *p = (TopicVtab*)pTab;
  p->bReady = 0;
  p->placer.iSticky = -1;
  prillStoreCommit(p->pStore);
  return SQLITE_OK;
}
static int topicRollback(sqlite3_vtab *pTab){
  TopicVtab *p = (TopicVtab*)pTab;
  p->bReady = 0;
  p->placer.iSticky = -1;
  prillStoreRollback(p->pStore);
  return SQLITE_OK;
}
static int topicSavepoint(sqlite3_vtab *pTab, int i){
  return prillStoreSavepoint(((TopicVtab*)pTab)->pStore, i);
}
static int topicRelease(sqlite3_vtab *pTab, int i){
  return prillStoreRelease(((TopicVtab*)pTab)->pStore, i);
}
static int topicRollbackTo(sqlite3_vtab *pTab, int i){
  ((TopicVtab*)pTab)->bReady = 0;       /* the catalog may have been rolled back */
  return prillStoreRollbackTo(((TopicVtab*)pTab)->pStore, i);
}

/* p->pTopic as the fresh catalog has it. */
static int topicFind(TopicVtab *p){
  PrillTopic *pTopic;
  if( p->pTopic && !p->pTopic->bGone ) return SQLITE_OK;
  pTopic = prillStoreTopic(p->pStore, p->zTopic);
  prillTopicUnref(p->pTopic);
  p->pTopic = pTopic;
  if( pTopic==0 ){
    return prillError(p->pConn, SQLITE_ERROR, "topic '%s' is gone: DROP TABLE %s, or create it again",
                      p->zTopic, p->zTable);
  }
  pTopic->nRef++;
  return SQLITE_OK;
}

/* The transaction has changed the catalog: is what was read of it still so?
** Within one statement nothing changes it unseen; between statements the
** state row's counter tells. */
static int topicUnchanged(TopicVtab *p){
  PrillStore *pStore = p->pStore;
  sqlite3_stmt *pStmt;
  i64 nChange = sqlite3_total_changes64(p->pConn->db);
  i64 iCatalog = -1;
  int rc = SQLITE_OK;
  if( p->nChange==nChange ) return 1;
  pStmt = prillStoreStmt(pStore, STMT_STATE, &rc);
  if( pStmt==0 ) return 0;
  if( sqlite3_step(pStmt)==SQLITE_ROW ) iCatalog = sqlite3_column_int64(pStmt, 2);
  prillStoreDone(pStore, pStmt, &rc);
  p->nChange = nChange;
  return rc==SQLITE_OK && iCatalog==pStore->iCatalog;
}

/* Before an INSERT: the store is fresh, its directory there, p->pTopic good. */
static int topicReady(TopicVtab *p){
  PrillStore *pStore = p->pStore;
  int rc;
  if( p->bReady && !p->pTopic->bGone && topicUnchanged(p) ) return SQLITE_OK;
  p->bReady = 0;
  rc = prillStoreBegin(pStore);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(pStore);
  if( rc==SQLITE_OK ) rc = prillStoreCheckDir(pStore);
  if( rc==SQLITE_OK ) rc = topicFind(p);
  if( rc==SQLITE_OK ){
    p->bReady = 1;
    p->nChange = sqlite3_total_changes64(p->pConn->db);
  }
  return rc;
}

/**************************************************************************
** INSERT.
*/

/* A key or a value: TEXT as UTF-8, BLOB, numbers as their text; *pn -1 for
** NULL.  The pointer lives as long as the statement's value. */
static int topicBytes(sqlite3_value *pVal, const u8 **pp, i32 *pn){
  if( sqlite3_value_type(pVal)==SQLITE_NULL ){
    *pp = 0;
    *pn = -1;
    return SQLITE_OK;
  }
  *pn = sqlite3_value_bytes(pVal);                /* converts to UTF-8 */
  *pp = (const u8*)sqlite3_value_blob(pVal);      /* and adds no terminator */
  if( *pp==0 ){
    if( *pn>0 ) return SQLITE_NOMEM;
    *pp = (const u8*)"";
  }
  return SQLITE_OK;
}

/* An integer, or a REAL or TEXT that is one exactly. */
static int topicInt(TopicVtab *p, sqlite3_value *pVal, const char *zCol, i64 *pi){
  int eType = sqlite3_value_numeric_type(pVal);
  const char *z;
  if( eType==SQLITE_INTEGER ){
    *pi = sqlite3_value_int64(pVal);
    return SQLITE_OK;
  }
  if( eType==SQLITE_FLOAT ){
    double r = sqlite3_value_double(pVal);
    if( r>=-9.2e18 && r<=9.2e18 && (double)(i64)r==r ){
      *pi = (i64)r;
      return SQLITE_OK;
    }
  }
  z = (const char*)sqlite3_value_text(pVal);
  return prillError(p->pConn, SQLITE_MISMATCH, "topic %s: %s '%.40s' is not an integer", p->zTopic, zCol,
                    z ? z : "");
}

/* Hidden columns must be NULL.  SQLITE_NULL is the greatest type: all are when
** the sum is. */
static int topicHiddenNull(TopicVtab *p, sqlite3_value **apVal){
  int i;
  if( sqlite3_value_type(apVal[0]) + sqlite3_value_type(apVal[1]) + sqlite3_value_type(apVal[2])
    + sqlite3_value_type(apVal[3]) + sqlite3_value_type(apVal[4]) + sqlite3_value_type(apVal[5])
    == 6*SQLITE_NULL ) return SQLITE_OK;
  for(i=0; i<5 && sqlite3_value_type(apVal[i])==SQLITE_NULL; i++){}
  return prillError(p->pConn, SQLITE_ERROR, "topic %s: column %s is the log's to set; leave it out", p->zTopic,
                    topicHidden[i]);
}

/* Fill *pRec from the columns at apVal. */
static int topicRecord(TopicVtab *p, sqlite3_value **apVal, PrillRecord *pRec){
  int rc = topicBytes(apVal[TOPIC_KEY], &pRec->pKey, &pRec->nKey);
  if( rc==SQLITE_OK ) rc = topicBytes(apVal[TOPIC_VALUE], &pRec->pVal, &pRec->nVal);
  if( rc!=SQLITE_OK ) return rc;
  if( sqlite3_value_type(apVal[TOPIC_TIMESTAMP])!=SQLITE_NULL ){
    rc = topicInt(p, apVal[TOPIC_TIMESTAMP], "timestamp", &pRec->iTs);
    if( rc==SQLITE_OK && p->pTopic->cfg.bAppendTime ) pRec->iTs = prillNow(p->pStore->pVfs);
  }else{
    pRec->iTs = prillNow(p->pStore->pVfs);
  }
  pRec->pHdr = 0;
  pRec->nHdr = pRec->nHdrByte = 0;
  if( rc==SQLITE_OK && sqlite3_value_type(apVal[TOPIC_HEADERS])!=SQLITE_NULL ){
    const u8 *z;
    char *zErr = 0;
    i32 n;
    p->hdr.n = 0;
    rc = topicBytes(apVal[TOPIC_HEADERS], &z, &n);
    if( rc==SQLITE_OK ) rc = prillHeaderFromJson((const char*)z, n, &p->hdr, &pRec->nHdr, &zErr);
    if( zErr ) prillError(p->pConn, rc, "topic %s: %s", p->zTopic, zErr);
    sqlite3_free(zErr);
    pRec->pHdr = p->hdr.a;
    pRec->nHdrByte = (i32)p->hdr.n;
  }
  if( rc==SQLITE_OK ) rc = topicHiddenNull(p, &apVal[TOPIC_HEADERS+1]);
  return rc;
}

/* The partitioner's choice.  An SQL function may have done anything meanwhile. */
static int topicPlaceRecord(TopicVtab *p, const PrillRecord *pRec, i64 *piPart){
  PrillTopic *pTopic = p->pTopic;
  int rc;
  if( pTopic->cfg.ePartitioner!=PRILL_SQLFUNC ) return prillPlace(&p->placer, pTopic, pRec, piPart);
  pTopic->nRef++;
  rc = prillPlace(&p->placer, pTopic, pRec, piPart);
  if( rc==SQLITE_OK && (p->pStore->pStage==0 || !p->bReady || p->pTopic!=pTopic || pTopic->bGone) ){
    rc = prillError(p->pConn, SQLITE_ABORT, "topic %s: its partitioner changed the transaction or the topic; it"
                    " must only compute", p->zTopic);
  }
  prillTopicUnref(pTopic);
  return rc;
}

/* Partition, offset and rowid as given, if they are: *piPart and *piOff are -1
** where they are not. */
static int topicPlace(TopicVtab *p, sqlite3_value **argv, i64 *piPart, i64 *piOff){
  sqlite3_value **apVal = argv+2;
  int rc = SQLITE_OK;
  *piPart = *piOff = -1;
  if( sqlite3_value_type(apVal[TOPIC_PARTITION])!=SQLITE_NULL ){
    rc = topicInt(p, apVal[TOPIC_PARTITION], "partition", piPart);
    if( rc==SQLITE_OK && (*piPart<0 || *piPart>=p->pTopic->nPart) ){
      rc = prillError(p->pConn, SQLITE_CONSTRAINT, "topic %s: partition %lld is out of range: it has %d,"
                      " numbered from 0", p->zTopic, *piPart, p->pTopic->nPart);
    }
  }
  if( rc==SQLITE_OK && sqlite3_value_type(apVal[TOPIC_OFFSET])!=SQLITE_NULL ){
    rc = topicInt(p, apVal[TOPIC_OFFSET], "offset", piOff);
    if( rc==SQLITE_OK && *piOff<0 ) *piOff = -2;            /* never the next one */
  }
  if( rc==SQLITE_OK && sqlite3_value_type(argv[1])!=SQLITE_NULL ){
    i64 iRowid = 0, iPart, iOff;
    rc = topicInt(p, argv[1], "rowid", &iRowid);
    iPart = (i64)((u64)iRowid>>TOPIC_OFF_BITS);
    iOff = iRowid & (((i64)1<<TOPIC_OFF_BITS)-1);
    if( rc==SQLITE_OK && (iPart>=p->pTopic->nPart || (*piPart>=0 && *piPart!=iPart) || (*piOff!=-1 && *piOff!=iOff)) ){
      rc = prillError(p->pConn, SQLITE_CONSTRAINT, "topic %s: rowid %lld is not the next of any partition;"
                      " leave it out", p->zTopic, iRowid);
    }
    *piPart = iPart;
    *piOff = iOff;
  }
  return rc;
}

/* Append the record where argv says or the partitioner does. */
static int topicAppend(TopicVtab *p, sqlite3_value **argv, PrillRecord *pRec, i64 *piPart){
  PrillPart *pPart;
  i64 iOff;
  int rc = topicPlace(p, argv, piPart, &iOff);
  if( rc==SQLITE_OK && *piPart<0 ) rc = topicPlaceRecord(p, pRec, piPart);
  if( rc!=SQLITE_OK ) return rc;
  pPart = p->pTopic->apPart[*piPart];
  if( iOff!=-1 ){
    rc = prillPartLoad(pPart);
    if( rc!=SQLITE_OK ) return rc;
    if( iOff!=prillPartNext(pPart) ){
      return prillError(p->pConn, SQLITE_CONSTRAINT, "topic %s partition %lld: the next offset is %lld; leave"
                        " offset and rowid out", p->zTopic, *piPart, prillPartNext(pPart));
    }
  }
  rc = prillStageAppend(pPart, pRec);
  if( rc==SQLITE_TOOBIG ){
    prillError(p->pConn, rc, "topic %s: a record of %lld bytes is larger than max.message.bytes=%lld allows;"
               " UPDATE prill_config to raise it", p->zTopic,
               PRILL_MAX(pRec->nKey,0)+(i64)PRILL_MAX(pRec->nVal,0)+pRec->nHdrByte, p->pTopic->cfg.szMessage);
  }
  return rc;
}

static int topicRefuse(TopicVtab *p, int bDelete){
  return prillError(p->pConn, SQLITE_READONLY, "topic %s: records cannot be %s one by one; UPDATE"
                    " prill_partitions SET log_start_offset=... WHERE topic='%s' deletes the oldest",
                    p->zTopic, bDelete ? "deleted" : "changed", p->zTopic);
}

static int topicUpdate(sqlite3_vtab *pTab, int argc, sqlite3_value **argv, sqlite3_int64 *piRowid){
  TopicVtab *p = (TopicVtab*)pTab;
  PrillRecord rec;
  i64 iPart = 0;
  int rc;
  if( argc<2 || sqlite3_value_type(argv[0])!=SQLITE_NULL ){
    return prillVtabError(pTab, p->pConn, topicRefuse(p, argc<2));
  }
  if( p->placer.bInFunc ){
    return prillVtabError(pTab, p->pConn, prillError(p->pConn, SQLITE_LOCKED, "topic %s: its partitioner must not"
                          " write to it; it must only compute", p->zTopic));
  }
  rc = SQLITE_OK;
  if( !p->bReady || p->pTopic->bGone || p->pStore->bDirty ) rc = topicReady(p);
  if( rc==SQLITE_OK ) rc = topicRecord(p, argv+2, &rec);
  if( rc==SQLITE_OK ) rc = topicAppend(p, argv, &rec, &iPart);
  if( rc!=SQLITE_OK ) return prillVtabError(pTab, p->pConn, rc);
  *piRowid = (i64)(((u64)iPart<<TOPIC_OFF_BITS) | (u64)rec.iOff);
  p->pConn->iLastOff = rec.iOff;
  p->pConn->iLastPart = (int)iPart;
  return SQLITE_OK;
}

/**************************************************************************
** Planning.
*/

/* The topic of a door, read when it has not been yet.  NULL when it cannot be
** known; an error is for xFilter to tell. */
static PrillTopic *topicPlanTopic(TopicVtab *p){
  PrillStore *pStore = 0;
  if( p->pStore==0 ) return 0;
  if( p->pTopic==0 || p->pTopic->bGone ){
    if( prillStoreGet(p->pConn, p->pStore->zSchema, &pStore)==SQLITE_OK ){
      if( prillStoreRefresh(pStore)==SQLITE_OK ) (void)topicFind(p);
      prillStorePut(pStore);
    }
    sqlite3_free(p->pConn->zErr);
    p->pConn->zErr = 0;
  }
  return p->pTopic && !p->pTopic->bGone ? p->pTopic : 0;
}

static int topicBestIndex(sqlite3_vtab *pTab, sqlite3_index_info *pInfo){
  TopicVtab *p = (TopicVtab*)pTab;
  return prillPlanBest(pInfo, p->pStore!=0, topicPlanTopic(p));
}

/**************************************************************************
** Cursors.
*/

static int topicOpen(sqlite3_vtab *pTab, sqlite3_vtab_cursor **pp){
  TopicVtab *p = (TopicVtab*)pTab;
  TopicCursor *c = p->pSpare;
  p->pSpare = 0;
  if( c==0 ){
    c = (TopicCursor*)sqlite3_malloc64(sizeof(*c));
    if( c==0 ) return SQLITE_NOMEM;
    memset(c, 0, sizeof(*c));
  }
  c->bEof = 1;
  *pp = &c->base;
  return SQLITE_OK;
}

/* End the scans of the last xFilter. */
static void topicEndScans(TopicCursor *c){
  int i;
  if( c->aMerge ){
    for(i=0; i<c->plan.nWant; i++){
      prillScanClose(c->aMerge[i].pScan);
      prillBufFree(&c->aMerge[i].buf);
    }
    sqlite3_free(c->aMerge);
    c->aMerge = 0;
  }else{
    prillScanClose(c->pScan);
  }
  c->pScan = 0;
  c->nRun = 0;
  sqlite3_free(c->aEnd);
  c->aEnd = 0;
  c->iWant = 0;
  prillPlanReset(&c->plan);
  c->bEof = 1;
}

static int topicClose(sqlite3_vtab_cursor *pCur){
  TopicCursor *c = (TopicCursor*)pCur;
  TopicVtab *p = (TopicVtab*)pCur->pVtab;
  topicEndScans(c);
  prillTopicUnref(c->pTopic);
  prillStorePut(c->pStore);
  c->pTopic = 0;
  c->pStore = 0;
  c->plan.zPlan = 0;
  prillBufFree(&c->plan.key);
  prillBufFree(&c->copy);
  prillBufFree(&c->json);
  if( p->pSpare ) sqlite3_free(c); else p->pSpare = c;
  return SQLITE_OK;
}

/* What prill_records is asked for.  A NULL is SQLITE_DONE: no rows. */
static int topicArguments(TopicCursor *c, int argc, sqlite3_value **argv, const char **pzTopic, const char **pzSchema){
  sqlite3_value *pTopic = prillPlanArg(&c->plan, TOPIC_TOPIC, argc, argv);
  sqlite3_value *pSchema = prillPlanArg(&c->plan, TOPIC_SCHEMA, argc, argv);
  if( pTopic==0 ){
    return prillError(((TopicVtab*)c->base.pVtab)->pConn, SQLITE_ERROR, "prill_records needs a topic:"
                      " SELECT ... FROM prill_records('orders')");
  }
  if( sqlite3_value_type(pTopic)==SQLITE_NULL ) return SQLITE_DONE;
  if( pSchema && sqlite3_value_type(pSchema)==SQLITE_NULL ) return SQLITE_DONE;
  *pzTopic = (const char*)sqlite3_value_text(pTopic);
  *pzSchema = pSchema ? (const char*)sqlite3_value_text(pSchema) : 0;
  return *pzTopic==0 || (pSchema && *pzSchema==0) ? SQLITE_NOMEM : SQLITE_OK;
}

/* The cursor's store and topic, fresh. */
static int topicSource(TopicCursor *c, int argc, sqlite3_value **argv){
  TopicVtab *p = (TopicVtab*)c->base.pVtab;
  const char *zSchema = 0, *zTopic = p->zTopic;
  PrillTopic *pTopic;
  int rc = SQLITE_OK;
  if( p->pStore==0 ) rc = topicArguments(c, argc, argv, &zTopic, &zSchema);
  if( rc==SQLITE_OK && (p->pStore==0 || c->pStore==0) ){
    PrillStore *pOld = c->pStore;
    rc = prillStoreGet(p->pConn, p->pStore ? p->pStore->zSchema : zSchema, &c->pStore);
    prillStorePut(pOld);
  }
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(c->pStore);
  if( rc==SQLITE_OK ) rc = prillStoreCheckDir(c->pStore);
  if( rc==SQLITE_OK && p->pStore ) rc = topicFind(p);
  if( rc!=SQLITE_OK ) return rc;
  pTopic = p->pStore ? p->pTopic : prillStoreTopic(c->pStore, zTopic);
  if( pTopic==0 ){
    return prillError(p->pConn, SQLITE_ERROR, "no such topic: %s; SELECT name FROM prill_topics lists them", zTopic);
  }
  if( pTopic!=c->pTopic ){
    prillTopicUnref(c->pTopic);
    c->pTopic = pTopic;
    pTopic->nRef++;
  }
  return prillWaitRead(p->pConn, pTopic);
}

/* Between two partitions of a scan: the catalog may have been read anew, the
** tail have moved, by a COMMIT of this connection.  The topic must be the same. */
static int topicSourceAgain(TopicCursor *c){
  PrillTopic *pTopic;
  int rc = prillStoreRefresh(c->pStore);
  if( rc!=SQLITE_OK || !c->pTopic->bGone ) return rc;
  for(pTopic=c->pStore->pTopics; pTopic && pTopic->iTopic!=c->pTopic->iTopic; pTopic=pTopic->pNext){}
  if( pTopic==0 || pTopic->nPart<c->pTopic->nPart || memcmp(pTopic->aUuid, c->pTopic->aUuid, 16)!=0 ){
    return prillError(((TopicVtab*)c->base.pVtab)->pConn, SQLITE_ABORT, "topic %s was dropped while a statement"
                      " read it; run the statement again", c->pTopic->zName);
  }
  pTopic->nRef++;
  prillTopicUnref(c->pTopic);
  c->pTopic = pTopic;
  return SQLITE_OK;
}

static PrillPart *topicWanted(const TopicCursor *c, int i){
  return c->pTopic->apPart[c->plan.aWant ? c->plan.aWant[i] : c->plan.iFirst+i];
}

/* Take down where every partition ends (I1). */
static int topicTakeEnds(TopicCursor *c){
  int i;
  int rc = SQLITE_OK;
  if( c->plan.nWant<2 ) return SQLITE_OK;           /* the scan does it */
  c->aEnd = (i64*)sqlite3_malloc64(sizeof(i64)*(u64)c->plan.nWant);
  if( c->aEnd==0 ) return SQLITE_NOMEM;
  for(i=0; rc==SQLITE_OK && i<c->plan.nWant; i++){
    rc = prillPartLoad(topicWanted(c, i));
    c->aEnd[i] = prillPartNext(topicWanted(c, i));
  }
  return rc;
}

/* Open the scan of wanted partition i; *pp stays NULL when nothing is wanted of
** it.  A partition this transaction writes to has its records copied (I2). */
static int topicOpenScan(TopicCursor *c, int i, PrillScan **pp){
  PrillRange r = c->plan.range;
  PrillPart *pPart = topicWanted(c, i);
  int rc;
  if( c->aEnd && r.iTo>=c->aEnd[i] ) r.iTo = c->aEnd[i]-1;
  if( r.iFrom>r.iTo ) return SQLITE_OK;
  rc = prillScanOpen(pPart, &r, pp);
  c->iPart = pPart->iPart;
  c->bCopy = (u8)(pPart->pWrite!=0 && !c->plan.bOffsets);
  c->bPlain = (u8)!c->bCopy;
  return rc;
}

/* Copy *pRec to *pOut, its bytes to *pBuf (I2).  pOut may be pRec. */
static int topicKeep(PrillRecord *pOut, PrillBuf *pBuf, const PrillRecord *pRec){
  int rc = SQLITE_OK;
  i64 nKey = PRILL_MAX(pRec->nKey, 0), nVal = PRILL_MAX(pRec->nVal, 0);
  pBuf->n = 0;
  if( nKey ) prillBufAppend(&rc, pBuf, pRec->pKey, nKey);
  if( nVal ) prillBufAppend(&rc, pBuf, pRec->pVal, nVal);
  if( pRec->nHdrByte ) prillBufAppend(&rc, pBuf, pRec->pHdr, pRec->nHdrByte);
  prillBufAppend(&rc, pBuf, "", 1);               /* topicResult looks behind a value */
  *pOut = *pRec;
  if( rc==SQLITE_OK ){
    if( nKey ) pOut->pKey = pBuf->a;
    if( nVal ) pOut->pVal = pBuf->a+nKey;
    if( pRec->nHdrByte ) pOut->pHdr = pBuf->a+nKey+nVal;
  }
  return rc;
}

/* Advance one partition of a merge. */
static int topicMergeStep(TopicCursor *c, TopicMerge *m){
  PrillRecord rec;
  int rc;
  memset(&rec, 0, sizeof(rec));
  rc = prillScanNext(m->pScan, &rec);
  if( rc==SQLITE_ROW ){
    if( !c->plan.bOffsets ) return topicKeep(&m->rec, &m->buf, &rec);
    m->rec = rec;
    return SQLITE_OK;
  }
  prillScanClose(m->pScan);
  m->pScan = 0;
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

static int topicMergeOpen(TopicCursor *c){
  int i;
  int rc = SQLITE_OK;
  c->aMerge = (TopicMerge*)sqlite3_malloc64(sizeof(TopicMerge)*(u64)c->plan.nWant);
  if( c->aMerge==0 ) return SQLITE_NOMEM;
  memset(c->aMerge, 0, sizeof(TopicMerge)*(size_t)c->plan.nWant);
  c->iMerge = -1;
  for(i=0; rc==SQLITE_OK && i<c->plan.nWant; i++){
    TopicMerge *m = &c->aMerge[i];
    m->iPart = topicWanted(c, i)->iPart;
    rc = topicOpenScan(c, i, &m->pScan);
    if( rc==SQLITE_OK && m->pScan ) rc = topicMergeStep(c, m);
  }
  c->bCopy = 0;
  c->bPlain = 1;
  return rc;
}

/* The next record of a merge: SQLITE_ROW, SQLITE_DONE or an error. */
static int topicMergeNext(TopicCursor *c){
  TopicMerge *pBest = 0;
  int i;
  int rc = SQLITE_OK;
  if( c->iMerge>=0 && c->aMerge[c->iMerge].pScan ) rc = topicMergeStep(c, &c->aMerge[c->iMerge]);
  if( rc!=SQLITE_OK ) return rc;
  for(i=0; i<c->plan.nWant; i++){
    TopicMerge *m = &c->aMerge[i];
    if( m->pScan==0 ) continue;
    if( pBest==0 || (c->plan.bDescOff ? m->rec.iOff>pBest->rec.iOff : m->rec.iOff<pBest->rec.iOff) ) pBest = m;
  }
  if( pBest==0 ) return SQLITE_DONE;
  c->iMerge = (int)(pBest - c->aMerge);
  c->pScan = pBest->pScan;
  c->iPart = pBest->iPart;
  c->rec = pBest->rec;
  return SQLITE_ROW;
}

/* Go on to the next wanted partition: SQLITE_OK, or SQLITE_DONE after the
** last. */
static int topicNextPart(TopicCursor *c){
  int rc = SQLITE_OK;
  prillScanClose(c->pScan);
  c->pScan = 0;
  while( rc==SQLITE_OK && c->pScan==0 && c->iWant<c->plan.nWant ){
    int i = c->plan.bDescPart ? c->plan.nWant-1-c->iWant : c->iWant;
    if( c->iWant++>0 ) rc = topicSourceAgain(c);
    if( rc==SQLITE_OK ) rc = topicOpenScan(c, i, &c->pScan);
  }
  return rc==SQLITE_OK && c->pScan==0 ? SQLITE_DONE : rc;
}

/* Try the next record: SQLITE_ROW, SQLITE_DONE at the end of the scan or the
** merge, or an error. */
static inline int topicTry(TopicCursor *c){
  return c->aMerge ? topicMergeNext(c) : prillScanNext(c->pScan, &c->rec);
}

/* rc is what topicTry gave.  Come to a record, in whatever partition, or to the
** end. */
static int topicStep(TopicCursor *c, int rc){
  for(;;){
    if( rc==SQLITE_DONE && c->aMerge==0 ){
      rc = topicNextPart(c);
      if( rc==SQLITE_OK ) rc = prillScanNext(c->pScan, &c->rec); else if( rc==SQLITE_DONE ) break;
      continue;
    }
    if( rc!=SQLITE_ROW ) break;
    return c->bCopy ? topicKeep(&c->rec, &c->copy, &c->rec) : SQLITE_OK;
  }
  c->bEof = 1;
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

static int topicFilter(
  sqlite3_vtab_cursor *pCur, int idxNum, const char *idxStr, int argc, sqlite3_value **argv
){
  TopicCursor *c = (TopicCursor*)pCur;
  int rc;
  (void)idxNum;
  topicEndScans(c);
  prillPlanParse(&c->plan, idxStr);
  rc = topicSource(c, argc, argv);
  if( rc==SQLITE_OK ) rc = prillPlanWant(&c->plan, c->pTopic->nPart, argc, argv);
  if( rc==SQLITE_OK ) rc = topicTakeEnds(c);
  if( rc==SQLITE_OK && c->plan.bByOffset && c->plan.nWant>1 ) rc = topicMergeOpen(c);
  if( rc==SQLITE_OK ){
    c->bEof = 0;
    memset(&c->rec, 0, sizeof(c->rec));
    rc = topicStep(c, c->aMerge ? topicTry(c) : SQLITE_DONE);
  }
  if( rc==SQLITE_DONE ) rc = SQLITE_OK;
  return prillVtabError(pCur->pVtab, ((TopicVtab*)pCur->pVtab)->pConn, rc);
}

/* The next record, from the scan. */
static __attribute__((noinline)) int topicAdvance(TopicCursor *c){
  int rc = topicTry(c);
  if( rc==SQLITE_ROW && c->bPlain ){
    if( c->plan.bOffsets && c->aMerge==0 ) c->nRun = prillScanRun(c->pScan);
    return SQLITE_OK;
  }
  rc = topicStep(c, rc);
  return prillVtabError(c->base.pVtab, ((TopicVtab*)c->base.pVtab)->pConn, rc);
}

static int topicNext(sqlite3_vtab_cursor *pCur){
  TopicCursor *c = (TopicCursor*)pCur;
  if( c->nRun<=0 ) return topicAdvance(c);
  c->nRun--;
  c->rec.iOff++;
  return SQLITE_OK;
}

static int topicEof(sqlite3_vtab_cursor *pCur){
  return ((TopicCursor*)pCur)->bEof;
}

static int topicColumn(sqlite3_vtab_cursor *pCur, sqlite3_context *pCtx, int iCol){
  TopicCursor *c = (TopicCursor*)pCur;
  if( iCol==TOPIC_OFFSET ){
    sqlite3_result_int64(pCtx, c->rec.iOff);
    return SQLITE_OK;
  }
  if( iCol>TOPIC_HEADERS ) iCol = prillPlanColumn(((TopicVtab*)pCur->pVtab)->pStore!=0, iCol);
  assert( !c->plan.bOffsets || iCol<=TOPIC_OFFSET || iCol==TOPIC_TOPIC || iCol==TOPIC_SCHEMA );
  if( iCol==TOPIC_SCHEMA ){
    sqlite3_result_text(pCtx, c->pStore->zSchema, -1, SQLITE_TRANSIENT);
    return SQLITE_OK;
  }
  return prillRecordColumn(pCtx, iCol, c->pTopic, c->iPart, &c->rec, c->pScan, &c->json);
}

static int topicRowid(sqlite3_vtab_cursor *pCur, sqlite3_int64 *piRowid){
  TopicCursor *c = (TopicCursor*)pCur;
  *piRowid = (i64)(((u64)c->iPart<<TOPIC_OFF_BITS) | (u64)c->rec.iOff);
  return SQLITE_OK;
}

static const sqlite3_module topicModule = {
  .iVersion = 3,
  .xCreate = topicCreate, .xConnect = topicConnect, .xBestIndex = topicBestIndex,
  .xDisconnect = topicDisconnect, .xDestroy = topicDestroy,
  .xOpen = topicOpen, .xClose = topicClose, .xFilter = topicFilter, .xNext = topicNext,
  .xEof = topicEof, .xColumn = topicColumn, .xRowid = topicRowid,
  .xUpdate = topicUpdate, .xBegin = topicBegin, .xSync = topicSync, .xCommit = topicCommit,
  .xRollback = topicRollback, .xRename = topicRename, .xSavepoint = topicSavepoint,
  .xRelease = topicRelease, .xRollbackTo = topicRollbackTo,
};

/* Eponymous only: no xCreate. */
static const sqlite3_module topicRecordsModule = {
  .xConnect = topicRecordsConnect, .xBestIndex = topicBestIndex, .xDisconnect = topicDisconnect,
  .xOpen = topicOpen, .xClose = topicClose, .xFilter = topicFilter, .xNext = topicNext,
  .xEof = topicEof, .xColumn = topicColumn, .xRowid = topicRowid,
};

int prillVtabTopicInit(PrillConn *pConn){
  int rc = sqlite3_create_module_v2(pConn->db, "topic", &topicModule, prillConnRef(pConn), prillConnUnref);
  if( rc==SQLITE_OK ){
    rc = sqlite3_create_module_v2(pConn->db, "prill_records", &topicRecordsModule, prillConnRef(pConn), prillConnUnref);
  }
  return rc;
}
