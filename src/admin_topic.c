/*
** admin_topic.c: prill_topics, prill_partitions, prill_segments and
** prill_batches: for each its columns, its rows and its changes.
**
** Layer 5, sql.  Calls store, catalog, part, tail, scan and trim; vtab_admin.c
** calls it through the descriptions.
*/
#include "prillAdmin.h"

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
  prillAdminRow(c);
  prillAdminText(c, TOPICS_NAME, p->zName);
  prillAdminText(c, TOPICS_ID, zId);
  prillAdminInt(c, TOPICS_PARTITIONS, p->nPart);
  if( c->rc==SQLITE_OK ) prillAdminText(c, TOPICS_CONFIG, (char*)cfg.a);
  prillAdminInt(c, TOPICS_RECORDS, (i64)nRec);
  prillAdminInt(c, TOPICS_BYTES, (i64)nByte);
  prillAdminText(c, TOPICS_DOOR, p->zDoor);
  prillAdminInt(c, TOPICS_SCHEMA, p->iTopic);          /* adminRowid reads it */
  prillBufFree(&cfg);
  return c->rc;
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
  pTopic = prillAdminTopicById(p, h->id);
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

const AdminTable prillAdminTopics = {
  "prill_topics", adminTopicsCol, TOPICS_N, TOPICS_SCHEMA, TOPICS_NAME, -1, 0, 100,
  0, adminFillTopics, adminChangeTopic,
  "ALTER TABLE ... RENAME TO ... renames the topic that a table made, partitions and config are"
  " what UPDATE changes"
};

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
  memset(&rec, 0, sizeof(rec));
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
    prillAdminRow(c);
    prillAdminText(c, PARTS_TOPIC, pTopic->zName);
    prillAdminInts(c, PARTS_PARTITION, 8, a);
    pRate = bRate ? prillAdminCell(c, PARTS_RATE, SQLITE_FLOAT) : 0;
    if( pRate ) pRate->r = rRate;
    prillAdminInt(c, PARTS_LEADER, 0);
    prillAdminInt(c, PARTS_EPOCH, x->iEpoch);
    prillAdminText(c, PARTS_REPLICAS, "[0]");
    prillAdminText(c, PARTS_ISR, "[0]");
    prillAdminInt(c, PARTS_SCHEMA, p->iPid);
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

const AdminTable prillAdminParts = {
  "prill_partitions", adminPartsCol, PARTS_N, PARTS_SCHEMA, PARTS_TOPIC, PARTS_PARTITION, 1, 1000,
  0, adminFillParts, adminChangePart, "log_start_offset is what UPDATE changes"
};

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
    prillAdminRow(c);
    prillAdminText(c, SEGS_TOPIC, pTopic->zName);
    prillAdminInt(c, SEGS_PARTITION, p->iPart);
    prillAdminInt(c, SEGS_BASE, pSeg->iBase);
    prillAdminInt(c, SEGS_LAST, (bActive ? x->iSegEnd : pSeg->iEnd) - 1);
    if( nRec>0 ){
      prillAdminInt(c, SEGS_MIN_TS, bActive ? x->iMinTs : pSeg->iMinTs);
      prillAdminInt(c, SEGS_MAX_TS, bActive ? x->iMaxTs : pSeg->iMaxTs);
    }
    prillAdminInt(c, SEGS_RECORDS, nRec);
    prillAdminInt(c, SEGS_BYTES, bActive ? x->nByte : pSeg->nByte);
    prillAdminTake(c, SEGS_PATH, sqlite3_mprintf("%s/%s", zDir ? zDir : "", zPath));
    sqlite3_free(zPath);
  }
  return c->rc;
}

const AdminTable prillAdminSegs = {
  "prill_segments", adminSegsCol, SEGS_N, SEGS_SCHEMA, SEGS_TOPIC, SEGS_PARTITION, 1, 10000,
  0, adminFillSegs, 0, 0
};

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
  prillAdminRow(c);
  prillAdminInts(c, BATCHES_BASE, 10, a);
  if( b->mAttr & PRILL_ATTR_HORIZON ) prillAdminInt(c, BATCHES_HORIZON, b->iBaseTs);
  prillAdminInt(c, BATCHES_TIME, b->iMaxTs);
  prillAdminText(c, BATCHES_TIME_TYPE, (b->mAttr & PRILL_ATTR_APPENDTIME) ? "LogAppendTime" : "CreateTime");
  prillAdminInt(c, BATCHES_SIZE, b->nByte);
  prillAdminInt(c, BATCHES_MAGIC, 2);
  prillAdminText(c, BATCHES_CODEC, zCodec ? zCodec : "unknown");
  prillAdminInt(c, BATCHES_CRC, b->iCrc);
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
  if( iWhere==0 ) prillAdminInt(c, BATCHES_POSITION, iPos);
  prillAdminInt(c, BATCHES_VALID, bValid);
  prillAdminText(c, BATCHES_WHERE, iWhere ? "tail" : "segment");
  prillAdminText(c, BATCHES_TOPIC, pTopic->zName);
  prillAdminInt(c, BATCHES_PARTITION, p->iPart);
  *pbMore = batch.iBase<PRILL_I64MAX-batch.dLast && batch.iBase+batch.dLast+1>c->iOff;
  c->iOff = batch.iBase + batch.dLast + 1;
  return c->rc;
}

const AdminTable prillAdminBatches = {
  "prill_batches", adminBatchesCol, BATCHES_N, BATCHES_SCHEMA, BATCHES_TOPIC, BATCHES_PARTITION, 1,
  1000000, 0, adminFillBatches, 0, 0
};
