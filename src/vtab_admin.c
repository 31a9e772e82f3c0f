/*
** vtab_admin.c: administration as tables: prill_topics, prill_partitions,
** prill_segments, prill_batches and prill_config.
**
** Layer 5, sql.  Calls store, catalog, part, tail, scan and trim.
**
** Each table is a description, AdminTable: its columns, a function that makes
** the rows of one topic or one partition, a function that applies a change.
** Cursor, planning, transaction and the checks that columns ask for are written
** once, for all of them.
**
** THE SCHEMA.  The tables are eponymous: SQLite does not tell which database
** "aux1.prill_topics" meant.  So each has a hidden column "schema", by default
** main, to be given as WHERE schema='aux1', as an argument prill_topics('aux1')
** or in an INSERT's column list.
**
** ROWIDS.  DELETE and UPDATE bring back nothing but a rowid, so it says all:
**
**     bits 48..62   the schema's place in AdminVtab.azSchema
**     bits 0..47    prill_topics: the topic's row id
**                   prill_partitions: the partition's number in the store
**                   prill_config: topic's row id*256 + setting; topic 0 is
**                   the store
**                   the others: a count of rows
**
** TRANSACTIONS.  xBegin comes before a change has named its schema, and one
** statement may change several.  A table joins a store at the first change
** there (adminJoin) and passes SQLite's calls on to all stores it has joined
** until COMMIT or ROLLBACK.
**
** ROWS.  A cursor makes the rows of one topic (one partition, one batch) at a
** time and copies what it shows, so that nothing dangles when the connection
** changes the catalog meanwhile.  Topics are those there were at xFilter,
** found again by row id; one that is gone is passed over.
**
** Crash story: every change is rows of the store's tables, in the caller's
** transaction.
*/
#include "prillInt.h"

typedef struct AdminTable AdminTable;
typedef struct AdminCursor AdminCursor;
typedef struct AdminChange AdminChange;

/* What a column is good for. */
#define ADMIN_HIDDEN 1
#define ADMIN_INSERT 2          /* INSERT may give it */
#define ADMIN_UPDATE 4          /* UPDATE may set it */
#define ADMIN_COSTLY 8          /* computed only when asked for */

typedef struct AdminColumn {
  const char *zName;
  const char *zType;
  u8 m;                         /* ADMIN_* */
} AdminColumn;

/* idxNum: which keys xFilter is given, in this order; then, what to compute. */
#define ADMIN_BY_SCHEMA 1
#define ADMIN_BY_TOPIC  2
#define ADMIN_BY_PART   4
#define ADMIN_WANT_COSTLY 8

/* One change, as xUpdate brings it.  apVal[iCol] is a column's new value. */
struct AdminChange {
  PrillStore *pStore;
  i64 id;                       /* of the row, without its schema; 0: INSERT */
  int bDelete, bInsert;
  sqlite3_value **apVal;        /* NULL: DELETE */
  i64 iNewId;                   /* OUT: INSERT */
};

struct AdminTable {
  const char *zName;
  const AdminColumn *aCol;
  int nCol;
  int iSchema;                  /* column "schema" */
  int iTopic;                   /* column that names the topic */
  int iPart;                    /* column with the partition, -1: none */
  u8 bParts;                    /* xFill is called for each partition */
  i64 nGuess;                   /* rows to tell the planner */
  int (*xFirst)(AdminCursor*);  /* rows before those of topics, or NULL */
  /* Append rows of a topic, or of a partition when bParts.  Setting *pbMore
  ** asks for another call with the same; c->iOff is 0 at the first. */
  int (*xFill)(AdminCursor*, PrillTopic*, PrillPart*, int *pbMore);
  int (*xChange)(AdminChange*);
  const char *zRemedy;          /* ends the refusal to change a column */
};

/* A value in a row, type SQLITE_NULL, _INTEGER, _FLOAT or _TEXT. */
typedef struct AdminCell {
  int eType;
  i64 i;
  double r;
  char *z;                      /* sqlite3_malloc memory */
} AdminCell;

typedef struct AdminVtab {
  sqlite3_vtab base;
  PrillConn *pConn;
  const AdminTable *pTable;
  char **azSchema;              /* schemas seen, for rowids */
  int nSchema;
  PrillStore **apJoin;          /* stores joined in this transaction */
  int nJoin;
  int iSavepoint;               /* newest savepoint SQLite told, -1 none */
} AdminVtab;

struct AdminCursor {
  sqlite3_vtab_cursor base;
  PrillStore *pStore;           /* referenced while open */
  int iSchema;                  /* its place in azSchema */
  int rc;                       /* first error while making rows */
  int m;                        /* idxNum */
  char *zTopic;                 /* only this topic, or NULL */
  i64 iPart;                    /* only this partition, -1: all */
  i64 *aTopic;                  /* row ids of the topics to show */
  int nTopic, iTopic;
  int iNextPart;                /* of aTopic[iTopic] */
  PrillPart *pPart;             /* half shown, referenced; or NULL */
  i64 iOff;                     /* where xFill goes on in it */
  int bEnd;                     /* no more to make */
  AdminCell *aCell;             /* rows made, nCol cells each */
  int nCellAlloc;
  int nRow, iRow;
  i64 nShown;                   /* rows passed, for the rowids that count */
};

/**************************************************************************
** Rows.
*/
#define adminTableOf(c) (((AdminVtab*)(c)->base.pVtab)->pTable)

static void adminClearRows(AdminCursor *c){
  int i, n = c->nRow*adminTableOf(c)->nCol;
  for(i=0; i<n; i++) sqlite3_free(c->aCell[i].z);
  c->nRow = c->iRow = 0;
}

/* Begin a row; its cells are NULL. */
static void adminRow(AdminCursor *c){
  int nCol = adminTableOf(c)->nCol;
  int n = c->nRow*nCol, i;
  if( c->rc!=SQLITE_OK ) return;
  if( n+nCol>c->nCellAlloc ){
    int nAlloc = c->nCellAlloc*2 + nCol*8;
    AdminCell *a = (AdminCell*)sqlite3_realloc64(c->aCell, sizeof(*a)*(u64)nAlloc);
    if( a==0 ){
      c->rc = SQLITE_NOMEM;
      return;
    }
    c->aCell = a;
    c->nCellAlloc = nAlloc;
  }
  memset(&c->aCell[n], 0, sizeof(AdminCell)*(size_t)nCol);
  for(i=0; i<nCol; i++) c->aCell[n+i].eType = SQLITE_NULL;
  c->nRow++;
}

/* Cell iCol of the row begun last, or NULL after an error. */
static AdminCell *adminCell(AdminCursor *c, int iCol, int eType){
  AdminCell *p;
  if( c->rc!=SQLITE_OK ) return 0;
  p = &c->aCell[(c->nRow-1)*adminTableOf(c)->nCol + iCol];
  p->eType = eType;
  return p;
}

static void adminInt(AdminCursor *c, int iCol, i64 v){
  AdminCell *p = adminCell(c, iCol, SQLITE_INTEGER);
  if( p ) p->i = v;
}

/* Columns iCol, iCol+1, ... */
static void adminInts(AdminCursor *c, int iCol, int n, const i64 *a){
  int i;
  for(i=0; i<n; i++) adminInt(c, iCol+i, a[i]);
}

/* Text made by sqlite3_mprintf, which the row takes; NULL is out of memory. */
static void adminTake(AdminCursor *c, int iCol, char *z){
  AdminCell *p = adminCell(c, iCol, SQLITE_TEXT);
  if( p==0 ){
    sqlite3_free(z);
  }else if( z==0 ){
    p->eType = SQLITE_NULL;
    c->rc = SQLITE_NOMEM;
  }else{
    p->z = z;
  }
}

static void adminText(AdminCursor *c, int iCol, const char *z){
  if( z ) adminTake(c, iCol, sqlite3_mprintf("%s", z));
}

/**************************************************************************
** prill_topics.
*/
enum { TOPICS_NAME, TOPICS_ID, TOPICS_PARTITIONS, TOPICS_CONFIG, TOPICS_RECORDS,
       TOPICS_BYTES, TOPICS_SCHEMA, TOPICS_DOOR, TOPICS_N };
static const AdminColumn adminTopicsCol[TOPICS_N] = {
  {"name", "TEXT", ADMIN_INSERT}, {"topic_id", "TEXT", 0},
  {"partitions", "INT", ADMIN_INSERT|ADMIN_UPDATE},
  {"config", "TEXT", ADMIN_INSERT|ADMIN_UPDATE}, {"records", "INT", ADMIN_COSTLY},
  {"bytes", "INT", ADMIN_COSTLY}, {"schema", "TEXT", ADMIN_HIDDEN|ADMIN_INSERT},
  {"door", "TEXT", ADMIN_HIDDEN},     /* the table that made the topic */
};

/* A topic's id as Kafka prints it: base64 for URLs, 22 characters. */
static void adminUuid(const u8 *a, char zOut[23]){
  static const char zDigit[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  int i;
  for(i=0; i<22; i++){
    int iBit = i*6;
    int w = (a[iBit/8]<<8) | (iBit/8<15 ? a[iBit/8+1] : 0);
    zOut[i] = zDigit[(w>>(10-iBit%8)) & 63];
  }
  zOut[22] = 0;
}

/* Records that can be read: those of segments and tail, less those below the
** log start that have not been dropped yet. */
static i64 adminRecords(const PrillPart *p){
  return PRILL_MIN(prillPartRecords(p), prillPartEnd(p) - p->x.iLogStart);
}

static int adminFillTopics(AdminCursor *c, PrillTopic *p, PrillPart *pUnused, int *pbMore){
  PrillBuf cfg = {0,0,0};
  u64 nRec = 0, nByte = 0;
  char zId[23];
  int i;
  (void)pUnused; (void)pbMore;
  for(i=0; (c->m & ADMIN_WANT_COSTLY) && i<p->nPart; i++){
    int rc = prillPartLoad(p->apPart[i]);
    if( rc!=SQLITE_OK ) return rc;
    nRec += (u64)adminRecords(p->apPart[i]);
    nByte += (u64)p->apPart[i]->x.nAllByte + (u64)p->apPart[i]->nTailByte;
  }
  adminUuid(p->aUuid, zId);
  prillConfigToJson(&c->rc, &p->cfg, &cfg);
  prillBufAppend(&c->rc, &cfg, "", 1);
  adminRow(c);
  adminText(c, TOPICS_NAME, p->zName);
  adminText(c, TOPICS_ID, zId);
  adminInt(c, TOPICS_PARTITIONS, p->nPart);
  if( c->rc==SQLITE_OK ) adminText(c, TOPICS_CONFIG, (char*)cfg.a);
  adminInt(c, TOPICS_RECORDS, (i64)nRec);
  adminInt(c, TOPICS_BYTES, (i64)nByte);
  adminText(c, TOPICS_DOOR, p->zDoor);
  adminInt(c, TOPICS_SCHEMA, p->iTopic);          /* adminRowid reads it */
  prillBufFree(&cfg);
  return c->rc;
}

/* The topic with a row id, or NULL. */
static PrillTopic *adminTopicById(PrillStore *p, i64 iTopic){
  PrillTopic *pTopic = p->pTopics;
  while( pTopic && pTopic->iTopic!=iTopic ) pTopic = pTopic->pNext;
  return pTopic;
}

static int adminBadConfig(PrillStore *p, const char *zTopic, const char *zWhy){
  return prillError(p->pConn, SQLITE_ERROR, "topic %s: config: %s", zTopic, zWhy);
}

/* One member of a configuration's JSON.  null leaves the default. */
static int adminConfigMember(PrillStore *p, const char *zTopic, sqlite3_stmt *pStmt, PrillConfig *pCfg){
  const char *zName = (const char*)sqlite3_column_text(pStmt, 0);
  const char *zVal = (const char*)sqlite3_column_text(pStmt, 1);
  const char *zType = (const char*)sqlite3_column_text(pStmt, 2);
  char *zErr = 0;
  int rc;
  if( zType && strcmp(zType, "null")==0 ) return SQLITE_OK;
  if( zName && zType && zVal==0 ){
    return prillError(p->pConn, SQLITE_ERROR, "topic %s: config: the value of %s is an %s; use a string or"
                      " a number", zTopic, zName, zType);
  }
  if( zName==0 || zType==0 ) return SQLITE_NOMEM;
  rc = prillConfigSet(pCfg, zName, zVal, &zErr);
  if( zErr ) adminBadConfig(p, zTopic, zErr);
  sqlite3_free(zErr);
  return rc;
}

/* The settings of a JSON object, all others at their defaults.  SQL NULL is
** an empty object.  The query's first row is the type of the whole. */
static int adminConfigFromJson(PrillStore *p, const char *zTopic, sqlite3_value *pVal, PrillConfig *pCfg){
  sqlite3_stmt *pStmt = 0;
  int rc, rc2;
  prillConfigDefault(pCfg);
  if( sqlite3_value_type(pVal)==SQLITE_NULL ) return SQLITE_OK;
  rc = sqlite3_prepare_v2(p->pConn->db, "SELECT 0, 0, CASE WHEN json_valid(?1) THEN json_type(?1)='object' END"
                          " UNION ALL SELECT key, atom, type FROM json_each(?1)", -1, &pStmt, 0);
  if( rc==SQLITE_OK ) rc = sqlite3_bind_value(pStmt, 1, pVal);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW && !sqlite3_column_int(pStmt, 2) ){
    rc = adminBadConfig(p, zTopic, "not a JSON object; write {\"retention.ms\":\"86400000\"}");
  }
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) rc = adminConfigMember(p, zTopic, pStmt, pCfg);
  rc2 = sqlite3_finalize(pStmt);
  if( rc==SQLITE_OK && rc2!=SQLITE_OK ){
    rc = rc2==SQLITE_NOMEM ? rc2 : adminBadConfig(p, zTopic, sqlite3_errmsg(p->pConn->db));
  }
  return rc;
}

/* A number of partitions. */
static int adminPartitions(PrillStore *p, const char *zTopic, sqlite3_value *pVal, int *pn){
  i64 n = sqlite3_value_int64(pVal);
  *pn = (int)PRILL_MAX(PRILL_MIN(n, 0x7fffffff), -1);
  if( sqlite3_value_numeric_type(pVal)==SQLITE_INTEGER ) return SQLITE_OK;
  return prillError(p->pConn, SQLITE_ERROR, "topic %s: partitions must be a whole number", zTopic);
}

static int adminInsertTopic(AdminChange *h){
  PrillStore *p = h->pStore;
  const char *zName = (const char*)sqlite3_value_text(h->apVal[TOPICS_NAME]);
  PrillTopic *pTopic = 0;
  PrillConfig cfg;
  int nPart = 1;
  int rc;
  if( sqlite3_value_type(h->apVal[TOPICS_NAME])==SQLITE_NULL ){
    return prillError(p->pConn, SQLITE_ERROR, "prill_topics: name is missing; INSERT INTO"
                      " prill_topics(name, partitions) VALUES('my-topic', 3)");
  }
  if( zName==0 ) return SQLITE_NOMEM;
  rc = prillStoreCreate(p);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(p);
  if( rc==SQLITE_OK && prillStoreTopic(p, zName) ){
    /* CONSTRAINT, so that INSERT OR IGNORE makes what is not there yet. */
    return prillError(p->pConn, SQLITE_CONSTRAINT, "topic %s exists already; INSERT OR IGNORE leaves"
                      " it as it is", zName);
  }
  if( rc==SQLITE_OK && sqlite3_value_type(h->apVal[TOPICS_PARTITIONS])!=SQLITE_NULL ){
    rc = adminPartitions(p, zName, h->apVal[TOPICS_PARTITIONS], &nPart);
  }
  if( rc==SQLITE_OK ) rc = adminConfigFromJson(p, zName, h->apVal[TOPICS_CONFIG], &cfg);
  if( rc==SQLITE_OK ) rc = prillCatalogCreate(p, zName, nPart, &cfg, 0, &pTopic);
  if( rc==SQLITE_OK && pTopic ) h->iNewId = pTopic->iTopic;
  return rc;
}

static int adminChangeTopic(AdminChange *h){
  PrillStore *p = h->pStore;
  PrillTopic *pTopic;
  PrillConfig cfg;
  char *zName;
  int nPart = 0;
  int rc = SQLITE_OK;
  if( h->bInsert ) return adminInsertTopic(h);
  pTopic = adminTopicById(p, h->id);
  if( pTopic==0 ) return SQLITE_OK;           /* dropped by this very statement */
  zName = sqlite3_mprintf("%s", pTopic->zName);
  if( zName==0 ) return SQLITE_NOMEM;
  if( h->bDelete ){
    rc = prillCatalogDrop(p, zName);
  }else{
    if( !sqlite3_value_nochange(h->apVal[TOPICS_PARTITIONS]) ){
      rc = adminPartitions(p, zName, h->apVal[TOPICS_PARTITIONS], &nPart);
      if( rc==SQLITE_OK && nPart!=pTopic->nPart ) rc = prillCatalogAddPartitions(p, zName, nPart);
    }
    if( rc==SQLITE_OK && !sqlite3_value_nochange(h->apVal[TOPICS_CONFIG]) ){
      rc = adminConfigFromJson(p, zName, h->apVal[TOPICS_CONFIG], &cfg);
      if( rc==SQLITE_OK ) rc = prillCatalogAlter(p, zName, &cfg);
    }
  }
  sqlite3_free(zName);
  return rc;
}

/**************************************************************************
** prill_partitions.
*/
enum { PARTS_TOPIC, PARTS_PARTITION, PARTS_START, PARTS_LSO, PARTS_HW, PARTS_LEO,
       PARTS_BYTES, PARTS_TAIL, PARTS_SEGMENTS, PARTS_RATE, PARTS_LEADER, PARTS_EPOCH,
       PARTS_REPLICAS, PARTS_ISR, PARTS_SCHEMA, PARTS_N };
static const AdminColumn adminPartsCol[PARTS_N] = {
  {"topic", "TEXT", 0}, {"partition", "INT", 0}, {"log_start_offset", "INT", ADMIN_UPDATE},
  {"last_stable_offset", "INT", 0}, {"high_watermark", "INT", 0}, {"log_end_offset", "INT", 0},
  {"bytes", "INT", 0}, {"tail_bytes", "INT", 0}, {"segments", "INT", 0},
  {"in_rate", "REAL", ADMIN_COSTLY}, {"leader", "INT", 0}, {"leader_epoch", "INT", 0},
  {"replicas", "TEXT", 0}, {"isr", "TEXT", 0}, {"schema", "TEXT", ADMIN_HIDDEN},
};

/*
** Records a second over the last minute: the offsets from the first record
** whose timestamp lies in it to the end, divided by 60.  Only that first
** record is looked up.  Timestamps are the producers': a record stamped in
** the future counts from where it stands.  *pbKnown is 0 where the log cannot
** be read.
*/
static int adminRate(PrillPart *p, double *pr, int *pbKnown){
  PrillStore *pStore = p->pStore;
  PrillRange range;
  PrillScan *pScan = 0;
  PrillRecord rec;
  i64 iEnd = prillPartEnd(p);
  int rc;
  *pr = 0.0;
  *pbKnown = 1;
  memset(&range, 0, sizeof(range));
  range.iTo = PRILL_I64MAX;
  range.iTsFrom = prillNow(pStore->pVfs) - 60000;
  range.iTsTo = PRILL_I64MAX;
  rc = prillScanOpen(p, &range, &pScan);
  if( rc==SQLITE_OK ) rc = prillScanNext(pScan, &rec);
  if( rc==SQLITE_ROW && rec.iOff<iEnd ) *pr = (double)(iEnd-rec.iOff)/60.0;
  prillScanClose(pScan);
  if( rc==SQLITE_NOMEM || rc==SQLITE_INTERRUPT ) return rc;
  *pbKnown = rc==SQLITE_ROW || rc==SQLITE_DONE;
  return SQLITE_OK;
}

static int adminFillParts(AdminCursor *c, PrillTopic *pTopic, PrillPart *p, int *pbMore){
  const PrillExtent *x = &p->x;
  AdminCell *pRate;
  double rRate = 0.0;
  int bRate = 0;
  int rc = prillPartLoad(p);
  (void)pbMore;
  if( rc==SQLITE_OK ) rc = prillPartSegs(p);
  if( rc==SQLITE_OK && (c->m & ADMIN_WANT_COSTLY) ) rc = adminRate(p, &rRate, &bRate);
  if( rc==SQLITE_OK ){
    /* One node without open wire transactions: stable, high and end are one. */
    i64 iEnd = prillPartEnd(p);
    const i64 a[] = { p->iPart, x->iLogStart, iEnd, iEnd, iEnd, (i64)((u64)x->nAllByte+(u64)p->nTailByte),
                      p->nTailByte, p->nSeg };
    adminRow(c);
    adminText(c, PARTS_TOPIC, pTopic->zName);
    adminInts(c, PARTS_PARTITION, 8, a);
    pRate = bRate ? adminCell(c, PARTS_RATE, SQLITE_FLOAT) : 0;
    if( pRate ) pRate->r = rRate;
    adminInt(c, PARTS_LEADER, 0);
    adminInt(c, PARTS_EPOCH, x->iEpoch);
    adminText(c, PARTS_REPLICAS, "[0]");
    adminText(c, PARTS_ISR, "[0]");
    adminInt(c, PARTS_SCHEMA, p->iPid);
  }
  return rc;
}

static int adminChangePart(AdminChange *h){
  PrillPart *p = prillStorePart(h->pStore, h->id);
  sqlite3_value *pVal;
  int rc;
  if( h->bInsert || h->bDelete ){
    return prillError(h->pStore->pConn, SQLITE_ERROR, "prill_partitions: a partition is neither"
        " inserted nor deleted; UPDATE prill_topics SET partitions=N adds some, and UPDATE"
        " prill_partitions SET log_start_offset=N deletes older records");
  }
  pVal = h->apVal[PARTS_START];
  if( p==0 || p->pTopic==0 || sqlite3_value_nochange(pVal) ) return SQLITE_OK;
  if( sqlite3_value_numeric_type(pVal)!=SQLITE_INTEGER ){
    return prillError(h->pStore->pConn, SQLITE_ERROR, "%s-%d: log_start_offset must be a whole number",
                      p->pTopic->zName, p->iPart);
  }
  rc = prillPartLoad(p);
  if( rc==SQLITE_OK && sqlite3_value_int64(pVal)!=p->x.iLogStart ){
    rc = prillTrimLogStart(p, sqlite3_value_int64(pVal));
  }
  return rc;
}

/**************************************************************************
** prill_segments.
*/
enum { SEGS_TOPIC, SEGS_PARTITION, SEGS_BASE, SEGS_LAST, SEGS_MIN_TS, SEGS_MAX_TS,
       SEGS_RECORDS, SEGS_BYTES, SEGS_PATH, SEGS_SCHEMA, SEGS_N };
static const AdminColumn adminSegsCol[SEGS_N] = {
  {"topic", "TEXT", 0}, {"partition", "INT", 0}, {"base_offset", "INT", 0},
  {"last_offset", "INT", 0}, {"min_timestamp", "INT", 0}, {"max_timestamp", "INT", 0},
  {"records", "INT", 0}, {"bytes", "INT", 0}, {"path", "TEXT", 0},
  {"schema", "TEXT", ADMIN_HIDDEN},
};

static int adminFillSegs(AdminCursor *c, PrillTopic *pTopic, PrillPart *p, int *pbMore){
  const char *zDir = p->pStore->zDir;
  int i;
  int rc = prillPartLoad(p);
  (void)pbMore;
  if( rc==SQLITE_OK ) rc = prillPartSegs(p);
  if( rc!=SQLITE_OK ) return rc;
  if( zDir && strrchr(zDir, '/') ) zDir = strrchr(zDir, '/')+1;
  for(i=0; i<p->nSeg && c->rc==SQLITE_OK; i++){
    const PrillSeg *pSeg = &p->aSeg[i];
    const PrillExtent *x = &p->x;
    int bActive = !pSeg->bSealed;             /* its figures are in the extent */
    i64 nRec = bActive ? x->nRec : pSeg->nRec;
    char *zPath = prillPartPath(p, pSeg->iBase, pSeg->iGen, "log");
    if( zPath==0 ) return SQLITE_NOMEM;
    adminRow(c);
    adminText(c, SEGS_TOPIC, pTopic->zName);
    adminInt(c, SEGS_PARTITION, p->iPart);
    adminInt(c, SEGS_BASE, pSeg->iBase);
    adminInt(c, SEGS_LAST, (bActive ? x->iSegEnd : pSeg->iEnd) - 1);
    if( nRec>0 ){
      adminInt(c, SEGS_MIN_TS, bActive ? x->iMinTs : pSeg->iMinTs);
      adminInt(c, SEGS_MAX_TS, bActive ? x->iMaxTs : pSeg->iMaxTs);
    }
    adminInt(c, SEGS_RECORDS, nRec);
    adminInt(c, SEGS_BYTES, bActive ? x->nByte : pSeg->nByte);
    adminTake(c, SEGS_PATH, sqlite3_mprintf("%s/%s", zDir ? zDir : "", zPath));
    sqlite3_free(zPath);
  }
  return c->rc;
}

/**************************************************************************
** prill_batches: a row a batch header, as kafka-dump-log shows it.
*/
enum { BATCHES_BASE, BATCHES_LAST, BATCHES_COUNT, BATCHES_SEQ, BATCHES_LAST_SEQ,
       BATCHES_PRODUCER, BATCHES_PRODUCER_EPOCH, BATCHES_EPOCH, BATCHES_TXN,
       BATCHES_CONTROL, BATCHES_HORIZON, BATCHES_POSITION, BATCHES_TIME,
       BATCHES_TIME_TYPE, BATCHES_SIZE, BATCHES_MAGIC, BATCHES_CODEC, BATCHES_CRC,
       BATCHES_VALID, BATCHES_WHERE, BATCHES_TOPIC, BATCHES_PARTITION,
       BATCHES_SCHEMA, BATCHES_N };
static const AdminColumn adminBatchesCol[BATCHES_N] = {
  {"base_offset", "INT", 0}, {"last_offset", "INT", 0}, {"count", "INT", 0},
  {"base_sequence", "INT", 0}, {"last_sequence", "INT", 0}, {"producer_id", "INT", 0},
  {"producer_epoch", "INT", 0}, {"leader_epoch", "INT", 0}, {"is_transactional", "INT", 0},
  {"is_control", "INT", 0}, {"delete_horizon_ms", "INT", 0}, {"position", "INT", 0},
  {"create_time", "INT", 0}, {"timestamp_type", "TEXT", 0}, {"size", "INT", 0},
  {"magic", "INT", 0}, {"codec", "TEXT", 0}, {"crc", "INT", 0}, {"is_valid", "INT", 0},
  {"where", "TEXT", 0}, {"topic", "TEXT", ADMIN_HIDDEN}, {"partition", "INT", ADMIN_HIDDEN},
  {"schema", "TEXT", ADMIN_HIDDEN},
};

/* Sequence numbers wrap at 2^31, as Kafka's do; -1 without a producer. */
static void adminBatchRow(AdminCursor *c, const PrillBatch *b){
  const char *zCodec = prillCodecName(b->mAttr & PRILL_ATTR_CODEC);
  const i64 a[] = {
    b->iBase, b->iBase+b->dLast, b->nRec, b->iSeq,
    b->iSeq<0 ? -1 : ((i64)b->iSeq+b->dLast) & 0x7fffffff, b->iProducer, b->iProducerEpoch, b->iEpoch,
    (b->mAttr & PRILL_ATTR_TXN)!=0, (b->mAttr & PRILL_ATTR_CONTROL)!=0
  };
  adminRow(c);
  adminInts(c, BATCHES_BASE, 10, a);
  if( b->mAttr & PRILL_ATTR_HORIZON ) adminInt(c, BATCHES_HORIZON, b->iBaseTs);
  adminInt(c, BATCHES_TIME, b->iMaxTs);
  adminText(c, BATCHES_TIME_TYPE, (b->mAttr & PRILL_ATTR_APPENDTIME) ? "LogAppendTime" : "CreateTime");
  adminInt(c, BATCHES_SIZE, b->nByte);
  adminInt(c, BATCHES_MAGIC, 2);
  adminText(c, BATCHES_CODEC, zCodec ? zCodec : "unknown");
  adminInt(c, BATCHES_CRC, b->iCrc);
}

/* One batch a call: a partition may have millions. */
static int adminFillBatches(AdminCursor *c, PrillTopic *pTopic, PrillPart *p, int *pbMore){
  PrillBatch batch;
  PrillBuf buf = {0,0,0};
  i64 iPos = 0;
  int iWhere = 0, bValid = 0;
  int rc = prillPartLoad(p);
  if( rc==SQLITE_OK && c->iOff<p->x.iLogStart ) c->iOff = p->x.iLogStart;
  if( rc==SQLITE_OK ) rc = prillScanBatchAt(p, c->iOff, &batch, &buf, &iWhere, &iPos, &bValid);
  prillBufFree(&buf);
  if( rc==SQLITE_DONE ) return SQLITE_OK;
  if( rc!=SQLITE_ROW ) return rc;
  adminBatchRow(c, &batch);
  if( iWhere==0 ) adminInt(c, BATCHES_POSITION, iPos);
  adminInt(c, BATCHES_VALID, bValid);
  adminText(c, BATCHES_WHERE, iWhere ? "tail" : "segment");
  adminText(c, BATCHES_TOPIC, pTopic->zName);
  adminInt(c, BATCHES_PARTITION, p->iPart);
  *pbMore = batch.iBase<PRILL_I64MAX-batch.dLast && batch.iBase+batch.dLast+1>c->iOff;
  c->iOff = batch.iBase + batch.dLast + 1;
  return c->rc;
}

/**************************************************************************
** prill_config.
*/
enum { CONFIG_SCOPE, CONFIG_NAME, CONFIG_VALUE, CONFIG_SOURCE, CONFIG_SCHEMA, CONFIG_N };
static const AdminColumn adminConfigCol[CONFIG_N] = {
  {"scope", "TEXT", 0}, {"name", "TEXT", 0}, {"value", "TEXT", ADMIN_UPDATE},
  {"source", "TEXT", 0}, {"schema", "TEXT", ADMIN_HIDDEN},
};
enum { CONFIG_FLUSH, CONFIG_FLUSH_MS };        /* settings of scope store */

static void adminConfigRow(AdminCursor *c, i64 id, const char *zScope, const char *zName,
                           const char *zValue, const char *zSource){
  adminRow(c);
  adminText(c, CONFIG_SCOPE, zScope);
  adminText(c, CONFIG_NAME, zName);
  adminText(c, CONFIG_VALUE, zValue);
  adminText(c, CONFIG_SOURCE, zSource);
  adminInt(c, CONFIG_SCHEMA, id);
}

/* The store's settings.  scope= narrows c->zTopic to "topic:NAME" or "store";
** from here on it is the topic's bare name. */
static int adminFirstConfig(AdminCursor *c){
  PrillStore *p = c->pStore;
  int bStore = p->bExists;
  if( c->zTopic ){
    if( strcmp(c->zTopic, "store")!=0 ) bStore = 0;
    if( strncmp(c->zTopic, "topic:", 6)==0 ){
      memmove(c->zTopic, c->zTopic+6, strlen(c->zTopic+6)+1);
    }else{
      c->zTopic[0] = 0;                       /* no topic is named so */
    }
  }
  if( bStore ){
    int bOs = p->eFlush==PRILL_FLUSH_OS;
    adminConfigRow(c, CONFIG_FLUSH, "store", "flush", bOs ? "os" : "commit", bOs ? "store" : "default");
    adminConfigRow(c, CONFIG_FLUSH_MS, "store", "flush.ms", 0, p->msFlush>=0 ? "store" : "default");
    adminTake(c, CONFIG_VALUE, sqlite3_mprintf("%lld", p->msFlush));
  }
  return c->rc;
}

static int adminFillConfig(AdminCursor *c, PrillTopic *p, PrillPart *pUnused, int *pbMore){
  PrillBuf buf = {0,0,0};
  char *zScope = sqlite3_mprintf("topic:%s", p->zName);
  int i;
  (void)pUnused; (void)pbMore;
  if( zScope==0 ) return SQLITE_NOMEM;
  for(i=0; prillConfigName(i) && c->rc==SQLITE_OK; i++){
    int bDefault = 1;
    prillConfigValue(&c->rc, &p->cfg, i, &buf, &bDefault);
    if( c->rc!=SQLITE_OK ) break;
    adminConfigRow(c, (i64)((u64)p->iTopic*256) + i, zScope, prillConfigName(i), (char*)buf.a,
                   bDefault ? "default" : "topic");
  }
  sqlite3_free(zScope);
  prillBufFree(&buf);
  return c->rc;
}

/* Change a setting of the store.  zVal NULL: back to its default. */
static int adminSetStore(PrillStore *p, int iSetting, const char *zVal, sqlite3_value *pVal){
  int bOs = zVal && sqlite3_stricmp(zVal, "os")==0;
  i64 ms = zVal ? sqlite3_value_int64(pVal) : -1;
  int rc;
  if( iSetting==CONFIG_FLUSH ){
    if( zVal && !bOs && sqlite3_stricmp(zVal, "commit")!=0 ){
      return prillError(p->pConn, SQLITE_ERROR, "flush=%s is not allowed; use commit or os", zVal);
    }
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_state SET flush=%d WHERE id=0", bOs);
  }else{
    if( zVal && (sqlite3_value_numeric_type(pVal)!=SQLITE_INTEGER || ms<-1) ){
      return prillError(p->pConn, SQLITE_ERROR, "flush.ms=%s is not allowed; use a number of milliseconds, or -1"
                        " for never", zVal);
    }
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_state SET flush_ms=nullif(%lld,-1) WHERE id=0", ms);
  }
  return rc==SQLITE_OK ? prillStoreCatalogChanged(p) : rc;
}

/* Change a setting of a topic. */
static int adminSetTopic(PrillStore *p, PrillTopic *pTopic, int iSetting, const char *zVal){
  PrillConfig cfg = pTopic->cfg;
  PrillBuf buf = {0,0,0};
  char *zErr = 0;
  int rc = SQLITE_OK;
  if( zVal==0 ){
    PrillConfig def;
    int bDefault;
    prillConfigDefault(&def);
    prillConfigValue(&rc, &def, iSetting, &buf, &bDefault);
    zVal = (char*)buf.a;
  }
  if( rc==SQLITE_OK ) rc = prillConfigSet(&cfg, prillConfigName(iSetting), zVal, &zErr);
  if( zErr ) prillError(p->pConn, rc, "topic %s: %s", pTopic->zName, zErr);
  if( rc==SQLITE_OK ){
    char *zName = sqlite3_mprintf("%s", pTopic->zName);
    rc = zName ? prillCatalogAlter(p, zName, &cfg) : SQLITE_NOMEM;
    sqlite3_free(zName);
  }
  sqlite3_free(zErr);
  prillBufFree(&buf);
  return rc;
}

static int adminChangeConfig(AdminChange *h){
  PrillTopic *pTopic;
  sqlite3_value *pVal;
  const char *zVal;
  if( h->bInsert || h->bDelete ){
    return prillError(h->pStore->pConn, SQLITE_ERROR, "prill_config: the settings are fixed; UPDATE"
        " prill_config SET value=... changes one, SET value=NULL takes its default");
  }
  pVal = h->apVal[CONFIG_VALUE];
  if( sqlite3_value_nochange(pVal) ) return SQLITE_OK;
  zVal = (const char*)sqlite3_value_text(pVal);
  if( zVal==0 && sqlite3_value_type(pVal)!=SQLITE_NULL ) return SQLITE_NOMEM;
  if( h->id<256 ) return adminSetStore(h->pStore, (int)h->id, zVal, pVal);
  pTopic = adminTopicById(h->pStore, h->id/256);
  return pTopic ? adminSetTopic(h->pStore, pTopic, (int)(h->id%256), zVal) : SQLITE_OK;
}

/**************************************************************************
** The tables.
*/
static const AdminTable adminTables[] = {
  { "prill_topics", adminTopicsCol, TOPICS_N, TOPICS_SCHEMA, TOPICS_NAME, -1, 0, 100,
    0, adminFillTopics, adminChangeTopic,
    "ALTER TABLE ... RENAME TO ... renames the topic that a table made, partitions and config are"
    " what UPDATE changes" },
  { "prill_partitions", adminPartsCol, PARTS_N, PARTS_SCHEMA, PARTS_TOPIC, PARTS_PARTITION, 1, 1000,
    0, adminFillParts, adminChangePart, "log_start_offset is what UPDATE changes" },
  { "prill_segments", adminSegsCol, SEGS_N, SEGS_SCHEMA, SEGS_TOPIC, SEGS_PARTITION, 1, 10000,
    0, adminFillSegs, 0, 0 },
  { "prill_batches", adminBatchesCol, BATCHES_N, BATCHES_SCHEMA, BATCHES_TOPIC, BATCHES_PARTITION, 1,
    1000000, 0, adminFillBatches, 0, 0 },
  { "prill_config", adminConfigCol, CONFIG_N, CONFIG_SCHEMA, CONFIG_SCOPE, -1, 0, 1000,
    adminFirstConfig, adminFillConfig, adminChangeConfig, "value is what UPDATE changes" },
};
#define ADMIN_N ((int)(sizeof(adminTables)/sizeof(adminTables[0])))

/* What a module's functions are told. */
typedef struct AdminAux {
  PrillConn *pConn;
  const AdminTable *pTable;
} AdminAux;

/**************************************************************************
** Connecting and planning.
*/
static int adminConnect(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  const AdminAux *pArg = (const AdminAux*)pAux;
  const AdminTable *pTable = pArg->pTable;
  PrillBuf sql = {0,0,0};
  AdminVtab *p;
  int i;
  int rc = SQLITE_OK;
  (void)argc; (void)argv; (void)pzErr;
  for(i=0; i<pTable->nCol; i++){
    const AdminColumn *pCol = &pTable->aCol[i];
    prillBufPrintf(&rc, &sql, "%s\"%s\" %s%s", i ? "," : "CREATE TABLE x(", pCol->zName,
                   pCol->zType, (pCol->m & ADMIN_HIDDEN) ? " HIDDEN" : "");
  }
  prillBufAppend(&rc, &sql, ")", 2);
  if( rc==SQLITE_OK ) rc = sqlite3_declare_vtab(db, (char*)sql.a);
  prillBufFree(&sql);
  if( rc==SQLITE_OK ) rc = sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
  if( rc!=SQLITE_OK ) return rc;
  p = (AdminVtab*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->pConn = (PrillConn*)prillConnRef(pArg->pConn);
  p->pTable = pTable;
  p->iSavepoint = -1;
  *ppVtab = &p->base;
  return SQLITE_OK;
}

/* Let go of the stores joined. */
static void adminLeave(AdminVtab *p){
  int i;
  for(i=0; i<p->nJoin; i++) prillStorePut(p->apJoin[i]);
  p->nJoin = 0;
  p->iSavepoint = -1;
}

static int adminDisconnect(sqlite3_vtab *pTab){
  AdminVtab *p = (AdminVtab*)pTab;
  int i;
  adminLeave(p);
  for(i=0; i<p->nSchema; i++) sqlite3_free(p->azSchema[i]);
  sqlite3_free(p->azSchema);
  sqlite3_free(p->apJoin);
  prillConnUnref(p->pConn);
  sqlite3_free(p);
  return SQLITE_OK;
}

/* The key a usable constraint is for, 0 for none. */
static int adminKey(const AdminTable *pTable, sqlite3_index_info *pInfo, int i){
  int iCol = pInfo->aConstraint[i].iColumn;
  if( pInfo->aConstraint[i].op!=SQLITE_INDEX_CONSTRAINT_EQ ) return 0;
  if( iCol==pTable->iSchema ) return ADMIN_BY_SCHEMA;
  if( iCol==pTable->iPart ) return ADMIN_BY_PART;
  if( iCol==pTable->iTopic && strcmp(sqlite3_vtab_collation(pInfo, i), "BINARY")==0 ){
    return ADMIN_BY_TOPIC;
  }
  return 0;
}

/*
** Equality on schema, topic and partition goes to xFilter.  The schema is an
** argument rather than a filter: a plan that cannot give it is refused, and
** SQLite need not test it again.  The others it does test again, so a value of
** another type may safely be given a wider answer.
*/
static int adminBestIndex(sqlite3_vtab *pTab, sqlite3_index_info *pInfo){
  const AdminTable *pTable = ((AdminVtab*)pTab)->pTable;
  int aUse[8] = {0};              /* constraint+1 by key */
  int iKey, i, nArg = 0;
  i64 nRow = pTable->nGuess;
  for(i=0; i<pInfo->nConstraint; i++){
    iKey = adminKey(pTable, pInfo, i);
    if( iKey==0 ) continue;
    if( pInfo->aConstraint[i].usable ){
      if( aUse[iKey]==0 ) aUse[iKey] = i+1;
    }else if( iKey==ADMIN_BY_SCHEMA ){
      return SQLITE_CONSTRAINT;
    }
  }
  pInfo->idxNum = 0;
  for(iKey=ADMIN_BY_SCHEMA; iKey<=ADMIN_BY_PART; iKey*=2){
    if( aUse[iKey]==0 ) continue;
    pInfo->aConstraintUsage[aUse[iKey]-1].argvIndex = ++nArg;
    pInfo->aConstraintUsage[aUse[iKey]-1].omit = iKey==ADMIN_BY_SCHEMA;
    pInfo->idxNum |= iKey;
    if( iKey==ADMIN_BY_TOPIC ) nRow = nRow/50 + 1;
    if( iKey==ADMIN_BY_PART ) nRow = nRow/10 + 1;
  }
  for(i=0; i<pTable->nCol && i<63; i++){
    if( (pTable->aCol[i].m & ADMIN_COSTLY) && (pInfo->colUsed & ((u64)1<<i)) ){
      pInfo->idxNum |= ADMIN_WANT_COSTLY;
    }
  }
  pInfo->estimatedRows = nRow;
  pInfo->estimatedCost = (double)nRow*2.0;
  return SQLITE_OK;
}

/**************************************************************************
** Cursors.
*/
static int adminOpen(sqlite3_vtab *pTab, sqlite3_vtab_cursor **pp){
  AdminCursor *c = (AdminCursor*)sqlite3_malloc64(sizeof(*c));
  (void)pTab;
  *pp = (sqlite3_vtab_cursor*)c;
  if( c ) memset(c, 0, sizeof(*c));
  return c ? SQLITE_OK : SQLITE_NOMEM;
}

/* Back to as it was opened. */
static void adminReset(AdminCursor *c){
  adminClearRows(c);
  prillPartUnref(c->pPart);
  c->pPart = 0;
  prillStorePut(c->pStore);
  c->pStore = 0;
  sqlite3_free(c->zTopic);
  sqlite3_free(c->aTopic);
  c->zTopic = 0;
  c->aTopic = 0;
  c->nTopic = c->iTopic = c->iNextPart = c->bEnd = 0;
  c->iOff = c->nShown = 0;
  c->iPart = -1;
  c->rc = SQLITE_OK;
}

static int adminClose(sqlite3_vtab_cursor *pCur){
  AdminCursor *c = (AdminCursor*)pCur;
  adminReset(c);
  sqlite3_free(c->aCell);
  sqlite3_free(c);
  return SQLITE_OK;
}

/* Place of a schema's name in azSchema, or -1 when out of memory. */
static int adminSchemaPlace(AdminVtab *p, const char *zSchema){
  char **az;
  int i;
  for(i=0; i<p->nSchema; i++){
    if( sqlite3_stricmp(p->azSchema[i], zSchema)==0 ) return i;
  }
  az = (char**)sqlite3_realloc64(p->azSchema, sizeof(char*)*(u64)(p->nSchema+1));
  if( az==0 ) return -1;
  p->azSchema = az;
  az[p->nSchema] = sqlite3_mprintf("%s", zSchema);
  if( az[p->nSchema]==0 ) return -1;
  return p->nSchema++;
}

/* Call xFill for the next partition, or the next topic; see AdminTable. */
static int adminFillNext(AdminCursor *c){
  const AdminTable *pTable = adminTableOf(c);
  PrillTopic *pTopic;
  PrillPart *pPart = c->pPart;
  int bMore = 0;
  int rc = prillStoreRefresh(c->pStore);    /* other statements may have written */
  if( rc!=SQLITE_OK ) return rc;
  if( pPart==0 ){
    pTopic = c->iTopic<c->nTopic ? adminTopicById(c->pStore, c->aTopic[c->iTopic]) : 0;
    if( pTopic==0 || (pTable->bParts ? c->iNextPart>=pTopic->nPart : c->iNextPart>0) ){
      c->iTopic++;
      c->iNextPart = 0;
      c->bEnd = c->iTopic>=c->nTopic;
      return SQLITE_OK;
    }
    if( pTable->bParts && c->iPart>=0 && c->iNextPart!=c->iPart ){
      /* Straight to the one asked for, and then past all. */
      c->iNextPart = c->iNextPart<c->iPart && c->iPart<pTopic->nPart ? (int)c->iPart : pTopic->nPart;
      return SQLITE_OK;
    }
    if( pTable->bParts ) pPart = pTopic->apPart[c->iNextPart];
    c->iNextPart++;
    c->iOff = 0;
  }else{
    pTopic = pPart->pTopic;
    if( pTopic==0 ){                          /* dropped half-way */
      prillPartUnref(pPart);
      c->pPart = 0;
      return SQLITE_OK;
    }
  }
  if( c->pPart==0 && pPart ){
    pPart->nRef++;
    c->pPart = pPart;
  }
  rc = pTable->xFill(c, pTopic, pPart, &bMore);
  if( rc==SQLITE_OK ) rc = c->rc;
  if( c->pPart && (!bMore || rc!=SQLITE_OK) ){
    prillPartUnref(c->pPart);
    c->pPart = 0;
  }
  return rc;
}

/* Make rows until there is one to show, or no more. */
static int adminAdvance(AdminCursor *c){
  int rc = SQLITE_OK;
  while( rc==SQLITE_OK && c->iRow>=c->nRow && !c->bEnd ){
    adminClearRows(c);
    rc = adminFillNext(c);
  }
  return prillVtabError(c->base.pVtab, ((AdminVtab*)c->base.pVtab)->pConn, rc);
}

/* Note the topics to show. */
static int adminListTopics(AdminCursor *c){
  PrillTopic *p;
  c->aTopic = (i64*)sqlite3_malloc64(sizeof(i64)*(u64)(c->pStore->nPart+1));
  if( c->aTopic==0 ) return SQLITE_NOMEM;
  for(p=c->pStore->pTopics; p; p=p->pNext){     /* each has a partition or more */
    if( c->zTopic==0 || strcmp(c->zTopic, p->zName)==0 ) c->aTopic[c->nTopic++] = p->iTopic;
  }
  c->bEnd = c->nTopic==0;
  return SQLITE_OK;
}

/* Read xFilter's arguments.  *pzSchema is set to memory of argv's, or "main". */
static int adminArgs(AdminCursor *c, int idxNum, sqlite3_value **argv, const char **pzSchema){
  int i = 0;
  *pzSchema = "main";
  c->m = idxNum;
  if( idxNum & ADMIN_BY_SCHEMA ){
    sqlite3_value *pVal = argv[i++];
    if( sqlite3_value_type(pVal)!=SQLITE_NULL ){
      *pzSchema = (const char*)sqlite3_value_text(pVal);
      if( *pzSchema==0 ) return SQLITE_NOMEM;
    }
  }
  if( idxNum & ADMIN_BY_TOPIC ){
    const char *z = (const char*)sqlite3_value_text(argv[i++]);
    c->zTopic = sqlite3_mprintf("%s", z ? z : "");
    if( c->zTopic==0 ) return SQLITE_NOMEM;
  }
  if( idxNum & ADMIN_BY_PART ){
    sqlite3_value *pVal = argv[i++];
    if( sqlite3_value_numeric_type(pVal)==SQLITE_INTEGER && sqlite3_value_int64(pVal)>=0 ){
      c->iPart = sqlite3_value_int64(pVal);
    }
  }
  return SQLITE_OK;
}

static int adminFilter(
  sqlite3_vtab_cursor *pCur, int idxNum, const char *idxStr, int argc, sqlite3_value **argv
){
  AdminCursor *c = (AdminCursor*)pCur;
  AdminVtab *p = (AdminVtab*)pCur->pVtab;
  const char *zSchema;
  int rc;
  (void)idxStr; (void)argc;
  adminReset(c);
  rc = adminArgs(c, idxNum, argv, &zSchema);
  if( rc==SQLITE_OK ) rc = prillStoreGet(p->pConn, zSchema, &c->pStore);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(c->pStore);
  if( rc==SQLITE_OK ){
    c->iSchema = adminSchemaPlace(p, zSchema);
    if( c->iSchema<0 ) rc = SQLITE_NOMEM;
  }
  if( rc==SQLITE_OK && p->pTable->xFirst ) rc = p->pTable->xFirst(c);
  if( rc==SQLITE_OK ) rc = adminListTopics(c);
  return rc==SQLITE_OK ? adminAdvance(c) : prillVtabError(pCur->pVtab, p->pConn, rc);
}

static int adminNext(sqlite3_vtab_cursor *pCur){
  AdminCursor *c = (AdminCursor*)pCur;
  c->iRow++;
  c->nShown++;
  return adminAdvance(c);
}

static int adminEof(sqlite3_vtab_cursor *pCur){
  return ((AdminCursor*)pCur)->iRow>=((AdminCursor*)pCur)->nRow;
}

static int adminColumn(sqlite3_vtab_cursor *pCur, sqlite3_context *pCtx, int iCol){
  AdminCursor *c = (AdminCursor*)pCur;
  const AdminVtab *p = (AdminVtab*)pCur->pVtab;
  const AdminCell *pCell = &c->aCell[c->iRow*p->pTable->nCol + iCol];
  /* An UPDATE asks for what it does not set: adminUpdate is told by
  ** sqlite3_value_nochange() and takes the row id. */
  if( sqlite3_vtab_nochange(pCtx) ) return SQLITE_OK;
  if( iCol==p->pTable->iSchema ){
    sqlite3_result_text(pCtx, p->azSchema[c->iSchema], -1, SQLITE_TRANSIENT);
    return SQLITE_OK;
  }
  switch( pCell->eType ){
    case SQLITE_INTEGER: sqlite3_result_int64(pCtx, pCell->i); break;
    case SQLITE_FLOAT:   sqlite3_result_double(pCtx, pCell->r); break;
    case SQLITE_TEXT:    sqlite3_result_text(pCtx, pCell->z, -1, SQLITE_TRANSIENT); break;
    default: break;
  }
  return SQLITE_OK;
}

/* The row's own part of the rowid is in its cell for "schema". */
static int adminRowid(sqlite3_vtab_cursor *pCur, sqlite3_int64 *piRowid){
  AdminCursor *c = (AdminCursor*)pCur;
  const AdminTable *pTable = adminTableOf(c);
  const AdminCell *pCell = &c->aCell[c->iRow*pTable->nCol + pTable->iSchema];
  i64 id = pTable->xChange ? pCell->i : c->nShown+1;
  *piRowid = ((i64)c->iSchema<<48) | (id & 0xffffffffffffLL);
  return SQLITE_OK;
}

/**************************************************************************
** Changes and transactions.
*/

/*
** Become a party to the transaction of the store of a schema.  *pp is to be put
** back whatever the outcome; the list of joined stores has a reference of its
** own until the transaction ends.  That may be sooner than one thinks: SQLite
** answers the failure of a statement of ours with xRollback.
*/
static int adminJoin(AdminVtab *p, const char *zSchema, PrillStore **pp){
  PrillStore **ap;
  int i;
  int rc = prillStoreGet(p->pConn, zSchema, pp);
  for(i=0; rc==SQLITE_OK && i<p->nJoin; i++){
    if( p->apJoin[i]==*pp ) return SQLITE_OK;
  }
  if( rc!=SQLITE_OK ) return rc;
  ap = (PrillStore**)sqlite3_realloc64(p->apJoin, sizeof(*ap)*(u64)(p->nJoin+1));
  if( ap==0 ) return SQLITE_NOMEM;
  p->apJoin = ap;
  ap[p->nJoin++] = *pp;
  (*pp)->nRef++;
  rc = prillStoreBegin(*pp);
  if( rc==SQLITE_OK && p->iSavepoint>=0 ) rc = prillStoreSavepoint(*pp, p->iSavepoint);
  return rc;
}

/* Refuse values for columns that are not to be given, or not to be set. */
static int adminCheckColumns(AdminVtab *p, sqlite3_value **apVal, int bInsert){
  const AdminTable *pTable = p->pTable;
  int i;
  for(i=0; i<pTable->nCol; i++){
    const AdminColumn *pCol = &pTable->aCol[i];
    if( pCol->m & (bInsert ? ADMIN_INSERT : ADMIN_UPDATE) ) continue;
    if( bInsert ? sqlite3_value_type(apVal[i])==SQLITE_NULL : sqlite3_value_nochange(apVal[i]) ) continue;
    return bInsert
      ? prillError(p->pConn, SQLITE_ERROR, "%s.%s is not given but found; leave it out", pTable->zName, pCol->zName)
      : prillError(p->pConn, SQLITE_ERROR, "%s.%s cannot be changed: %s", pTable->zName, pCol->zName,
                   pTable->zRemedy);
  }
  return SQLITE_OK;
}

/* The schema that a change is for. */
static int adminChangeSchema(AdminVtab *p, AdminChange *h, int argc, sqlite3_value **argv,
                             const char **pzSchema){
  i64 iRowid = sqlite3_value_int64(argv[0]);
  i64 iPlace = iRowid>>48;
  *pzSchema = "main";
  h->bDelete = argc==1;
  h->bInsert = argc>1 && sqlite3_value_type(argv[0])==SQLITE_NULL;
  if( h->bInsert ){
    sqlite3_value *pVal = argv[2+p->pTable->iSchema];
    if( sqlite3_value_type(pVal)!=SQLITE_NULL ) *pzSchema = (const char*)sqlite3_value_text(pVal);
    return *pzSchema ? SQLITE_OK : SQLITE_NOMEM;
  }
  if( iPlace<0 || iPlace>=p->nSchema ) return SQLITE_CORRUPT_VTAB;
  *pzSchema = p->azSchema[iPlace];
  h->id = iRowid & 0xffffffffffffLL;
  return SQLITE_OK;
}

static int adminUpdate(sqlite3_vtab *pTab, int argc, sqlite3_value **argv, sqlite3_int64 *piRowid){
  AdminVtab *p = (AdminVtab*)pTab;
  AdminChange h;
  const char *zSchema;
  int rc;
  memset(&h, 0, sizeof(h));
  h.apVal = argc>1 ? &argv[2] : 0;
  rc = adminChangeSchema(p, &h, argc, argv, &zSchema);
  if( rc==SQLITE_OK && h.apVal ) rc = adminCheckColumns(p, h.apVal, h.bInsert);
  if( rc==SQLITE_OK ) rc = adminJoin(p, zSchema, &h.pStore);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(h.pStore);
  if( rc==SQLITE_OK ) rc = p->pTable->xChange(&h);
  if( rc==SQLITE_OK && h.bInsert ){
    i64 iPlace = adminSchemaPlace(p, zSchema);
    *piRowid = (i64)((u64)iPlace<<48) | h.iNewId;
    if( iPlace<0 ) rc = SQLITE_NOMEM;
  }
  prillStorePut(h.pStore);
  return prillVtabError(pTab, p->pConn, rc);
}

static int adminBegin(sqlite3_vtab *pTab){
  adminLeave((AdminVtab*)pTab);
  return SQLITE_OK;
}

/* Pass a call on to all stores joined, up to the first that fails. */
static int adminEach(AdminVtab *p, int (*xCall)(PrillStore*, int), int iArg){
  int rc = SQLITE_OK;
  int i;
  for(i=0; rc==SQLITE_OK && i<p->nJoin; i++) rc = xCall(p->apJoin[i], iArg);
  return prillVtabError(&p->base, p->pConn, rc);
}

static int adminSync(sqlite3_vtab *pTab){
  AdminVtab *p = (AdminVtab*)pTab;
  int i, rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<p->nJoin; i++) rc = prillStoreSync(p->apJoin[i]);
  return prillVtabError(pTab, p->pConn, rc);
}

/* COMMIT or ROLLBACK, and out. */
static int adminEnd(AdminVtab *p, void (*xCall)(PrillStore*)){
  int i;
  for(i=0; i<p->nJoin; i++) xCall(p->apJoin[i]);
  adminLeave(p);
  return SQLITE_OK;
}
static int adminCommit(sqlite3_vtab *pTab){
  return adminEnd((AdminVtab*)pTab, prillStoreCommit);
}
static int adminRollback(sqlite3_vtab *pTab){
  return adminEnd((AdminVtab*)pTab, prillStoreRollback);
}

static int adminSavepoint(sqlite3_vtab *pTab, int iSavepoint){
  AdminVtab *p = (AdminVtab*)pTab;
  p->iSavepoint = iSavepoint;
  return adminEach(p, prillStoreSavepoint, iSavepoint);
}

static int adminRelease(sqlite3_vtab *pTab, int iSavepoint){
  AdminVtab *p = (AdminVtab*)pTab;
  if( p->iSavepoint>=iSavepoint ) p->iSavepoint = iSavepoint-1;
  return adminEach(p, prillStoreRelease, iSavepoint);
}

static int adminRollbackTo(sqlite3_vtab *pTab, int iSavepoint){
  AdminVtab *p = (AdminVtab*)pTab;
  if( p->iSavepoint>iSavepoint ) p->iSavepoint = iSavepoint;
  return adminEach(p, prillStoreRollbackTo, iSavepoint);
}

/* xCreate is NULL: the tables are there without being made, and only so. */
#define ADMIN_READ_METHODS \
  .iVersion = 2, .xConnect = adminConnect, .xBestIndex = adminBestIndex, \
  .xDisconnect = adminDisconnect, .xOpen = adminOpen, .xClose = adminClose, \
  .xFilter = adminFilter, .xNext = adminNext, .xEof = adminEof, \
  .xColumn = adminColumn, .xRowid = adminRowid
static const sqlite3_module adminModule = {
  ADMIN_READ_METHODS, .xUpdate = adminUpdate, .xBegin = adminBegin, .xSync = adminSync,
  .xCommit = adminCommit, .xRollback = adminRollback, .xSavepoint = adminSavepoint,
  .xRelease = adminRelease, .xRollbackTo = adminRollbackTo
};
static const sqlite3_module adminReadModule = { ADMIN_READ_METHODS };

static void adminAuxFree(void *pArg){
  AdminAux *p = (AdminAux*)pArg;
  prillConnUnref(p->pConn);
  sqlite3_free(p);
}

int prillVtabAdminInit(PrillConn *pConn){
  int rc = SQLITE_OK;
  int i;
  for(i=0; rc==SQLITE_OK && i<ADMIN_N; i++){
    const AdminTable *pTable = &adminTables[i];
    AdminAux *p = (AdminAux*)sqlite3_malloc64(sizeof(*p));
    if( p==0 ) return SQLITE_NOMEM;
    p->pConn = (PrillConn*)prillConnRef(pConn);
    p->pTable = pTable;
    rc = sqlite3_create_module_v2(pConn->db, pTable->zName,
                                  pTable->xChange ? &adminModule : &adminReadModule, p, adminAuxFree);
  }
  return rc;
}
