/*
** vtab_hot.c: prill_hot(topic [, schema [, megabytes]]), the heaviest keys of a
** topic's newest megabytes (16 when not said).
**
** Layer 5, sql.  Calls store, part, scan and base.
**
**     SELECT key, partition, records, bytes, share FROM prill_hot('orders') LIMIT 10;
**
** A row is a key in a partition, heaviest first; bytes are those of key, value
** and headers, share its part of all bytes looked at.  Counting takes bounded
** memory whatever the number of keys, by Space-Saving (A. Metwally, D. Agrawal,
** A. El Abbadi: Efficient Computation of Frequent and Top-k Elements in Data
** Streams, ICDT 2005): HOT_N counters; a key without one takes over the least,
** and its bytes, which it need not have had: "error" says how many.
**
**   I1  bytes-error <= the key's real bytes <= bytes; records is no more than it
**       really had.
**   I2  A key with more than 1/HOT_N of the bytes looked at has a row.  While
**       there are no more than HOT_N keys, error is 0.
**   I3  Partitions are looked at back to the same time, so that their shares
**       compare.  That time is found from what segments and tail say of their
**       timestamps, so that about the megabytes asked for are newer.
**
** Keys longer than HOT_KEY bytes are told apart by length and hash, and shown
** cut off.  The whole count is made when the cursor is filtered: the cost is
** that of reading the megabytes.  Crash story: nothing is written here.
*/
#include "prillInt.h"

#define HOT_N 1024                    /* counters */
#define HOT_BUCKET 2048
#define HOT_KEY 256                   /* bytes of a key kept */
#define HOT_MX_MB 4096

enum { HOT_COL_KEY, HOT_COL_PART, HOT_COL_RECORDS, HOT_COL_BYTES, HOT_COL_SHARE, HOT_COL_ERROR,
       HOT_COL_TOPIC, HOT_COL_SCHEMA, HOT_COL_MB };

typedef struct HotKey HotKey;
struct HotKey {
  int iPart;
  i32 nKey;                           /* -1: records without a key */
  u64 iHash;
  i64 nRec, nByte, nError;
  int iHeap;                          /* its place in apHeap */
  HotKey *pNext;                      /* in its bucket */
  u8 aKey[HOT_KEY];
};

/* Counters: a heap with the least on top, and a hash table. */
typedef struct HotCount HotCount;
struct HotCount {
  HotKey *apHeap[HOT_N];
  int n;
  i64 nByte;                          /* looked at */
  HotKey *apBucket[HOT_BUCKET];
};

typedef struct HotVtab HotVtab;
struct HotVtab {
  sqlite3_vtab base;
  PrillConn *pConn;                   /* referenced */
};

typedef struct HotCursor HotCursor;
struct HotCursor {
  sqlite3_vtab_cursor base;
  HotCount *pCount;                   /* sorted, heaviest first */
  int eKey;                           /* the topic's key= */
  int iRow;
};

/**************************************************************************
** Counting.
*/
static void hotSwap(HotCount *p, int i, int j){
  HotKey *pKey = p->apHeap[i];
  p->apHeap[i] = p->apHeap[j];
  p->apHeap[j] = pKey;
  p->apHeap[i]->iHeap = i;
  p->apHeap[j]->iHeap = j;
}

/* The counter at i has grown: let it sink. */
static void hotSink(HotCount *p, int i){
  for(;;){
    int j = 2*i+1;
    if( j>=p->n ) return;
    if( j+1<p->n && p->apHeap[j+1]->nByte<p->apHeap[j]->nByte ) j++;
    if( p->apHeap[i]->nByte<=p->apHeap[j]->nByte ) return;
    hotSwap(p, i, j);
    i = j;
  }
}

/* The counter at i is new: let it rise. */
static void hotRise(HotCount *p, int i){
  while( i>0 && p->apHeap[i]->nByte<p->apHeap[(i-1)/2]->nByte ){
    hotSwap(p, i, (i-1)/2);
    i = (i-1)/2;
  }
}

static void hotUnlink(HotCount *p, HotKey *pKey){
  HotKey **pp = &p->apBucket[pKey->iHash%HOT_BUCKET];
  while( *pp!=pKey ) pp = &(*pp)->pNext;
  *pp = pKey->pNext;
}

static int hotAdd(HotCount *p, int iPart, const PrillRecord *pRec){
  i32 nKeep = PRILL_MIN(PRILL_MAX(pRec->nKey, 0), HOT_KEY);
  i64 nByte = (i64)PRILL_MAX(pRec->nKey, 0) + PRILL_MAX(pRec->nVal, 0) + pRec->nHdrByte;
  i32 nKey = PRILL_MAX(pRec->nKey, 0);
  u64 h = ((u64)prillCrc32(pRec->pKey, nKey)<<32 | prillKeyrunHash(pRec->pKey, nKey))
        + (u64)iPart*0x9e3779b97f4a7c15ULL;
  HotKey *pKey = p->apBucket[h%HOT_BUCKET];
  p->nByte += nByte;
  while( pKey && (pKey->iHash!=h || pKey->iPart!=iPart || pKey->nKey!=pRec->nKey
               || (nKeep && memcmp(pKey->aKey, pRec->pKey, (size_t)nKeep)!=0)) ) pKey = pKey->pNext;
  if( pKey ){
    pKey->nRec++;
    pKey->nByte += nByte;
    hotSink(p, pKey->iHeap);
    return SQLITE_OK;
  }
  if( p->n<HOT_N ){
    pKey = (HotKey*)sqlite3_malloc64(sizeof(*pKey));
    if( pKey==0 ) return SQLITE_NOMEM;
    memset(pKey, 0, sizeof(*pKey));
    pKey->iHeap = p->n;
    p->apHeap[p->n++] = pKey;
  }else{
    pKey = p->apHeap[0];
    hotUnlink(p, pKey);
    pKey->nError = pKey->nByte;
  }
  pKey->iPart = iPart;
  pKey->nKey = pRec->nKey;
  pKey->iHash = h;
  pKey->nRec = 1;
  pKey->nByte = pKey->nError + nByte;
  if( nKeep ) memcpy(pKey->aKey, pRec->pKey, (size_t)nKeep);
  pKey->pNext = p->apBucket[h%HOT_BUCKET];
  p->apBucket[h%HOT_BUCKET] = pKey;
  if( pKey->nError ) hotSink(p, pKey->iHeap); else hotRise(p, pKey->iHeap);
  return SQLITE_OK;
}

static void hotFree(HotCount *p){
  int i;
  if( p==0 ) return;
  for(i=0; i<p->n; i++) sqlite3_free(p->apHeap[i]);
  sqlite3_free(p);
}

/* Heaviest first: the heap, emptied into its own end. */
static void hotSortDown(HotCount *p){
  int n = p->n;
  while( p->n>1 ){
    hotSwap(p, 0, p->n-1);
    p->n--;
    hotSink(p, 0);
  }
  p->n = n;
}

/**************************************************************************
** What is newest (I3).
*/

/* Bytes of a partition's log that may be as young as iTs, from what is known
** without reading records. */
static i64 hotYounger(int *pRc, PrillPart *p, i64 iTs){
  i64 n = 0;
  int i;
  for(i=p->nSeg-1; *pRc==SQLITE_OK && i>=0; i--){
    PrillSeg *pSeg = &p->aSeg[i];
    if( pSeg->iMaxTs<iTs ) continue;
    n += pSeg->nByte;
    if( pSeg->iMinTs<iTs ){
      int j;
      *pRc = prillPartIndex(p, i);
      j = *pRc==SQLITE_OK ? prillIndexFindTs(&pSeg->index, iTs) : -1;
      if( j>=0 ) n -= pSeg->index.a[j].iPos;
    }
  }
  for(i=0; i<p->nTail; i++){
    if( p->apTail[i]->iMaxTs>=iTs ) n += p->apTail[i]->buf.n;
  }
  return n;
}

/* The time back to which to look, for about nByte bytes. */
static int hotSince(PrillTopic *pTopic, i64 nByte, i64 *piTs){
  i64 lo = PRILL_I64MAX, hi = PRILL_I64MIN;       /* lo: too far back, or all; hi: not too far */
  int i, j;
  int rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++){
    PrillPart *p = pTopic->apPart[i];
    rc = prillPartSegs(p);
    for(j=0; rc==SQLITE_OK && j<p->nSeg; j++){
      lo = PRILL_MIN(lo, p->aSeg[j].iMinTs);
      hi = PRILL_MAX(hi, p->aSeg[j].iMaxTs);
    }
    for(j=0; rc==SQLITE_OK && j<p->nTail; j++){
      lo = PRILL_MIN(lo, p->apTail[j]->iMinTs);
      hi = PRILL_MAX(hi, p->apTail[j]->iMaxTs);
    }
  }
  if( lo>hi ) lo = hi = 0;
  while( rc==SQLITE_OK && lo<hi ){
    i64 mid = (i64)((u64)lo + ((u64)hi-(u64)lo)/2);
    i64 n = 0;
    for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++) n += hotYounger(&rc, pTopic->apPart[i], mid);
    if( n<=nByte ) hi = mid; else lo = mid+1;
  }
  *piTs = lo;
  return rc;
}

/* Count one partition's records as young as iTs, newest first; not much more
** than nByte bytes, whatever the timestamps say. */
static int hotPart(HotCount *pCount, PrillPart *p, i64 iTs, i64 nByte){
  PrillRange range;
  PrillScan *pScan = 0;
  PrillRecord rec;
  i64 nFrom = pCount->nByte;
  int rc;
  memset(&range, 0, sizeof(range));
  memset(&rec, 0, sizeof(rec));
  range.iTo = PRILL_I64MAX;
  range.iTsFrom = iTs;
  range.iTsTo = PRILL_I64MAX;
  range.bDesc = 1;
  rc = prillScanOpen(p, &range, &pScan);
  while( rc==SQLITE_OK && pCount->nByte-nFrom<nByte ){
    rc = prillScanNext(pScan, &rec);
    if( rc==SQLITE_ROW ) rc = hotAdd(pCount, p->iPart, &rec);
  }
  prillScanClose(pScan);
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

/**************************************************************************
** The table.
*/
static int hotConnect(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  HotVtab *p;
  int rc = sqlite3_declare_vtab(db, "CREATE TABLE x(key, partition INT, records INT, bytes INT, share REAL,"
                                    " error INT, topic TEXT HIDDEN, schema TEXT HIDDEN, megabytes INT HIDDEN)");
  (void)argc; (void)argv; (void)pzErr;
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
  p = (HotVtab*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->pConn = (PrillConn*)prillConnRef((PrillConn*)pAux);
  *ppVtab = &p->base;
  return SQLITE_OK;
}

static int hotDisconnect(sqlite3_vtab *pTab){
  prillConnUnref(((HotVtab*)pTab)->pConn);
  sqlite3_free(pTab);
  return SQLITE_OK;
}

/* idxNum: bit i says that argument i (topic, schema, megabytes) is given. */
static int hotBestIndex(sqlite3_vtab *pTab, sqlite3_index_info *pInfo){
  int aUse[3] = {0}, i, n = 0;
  (void)pTab;
  for(i=0; i<pInfo->nConstraint; i++){
    int k = pInfo->aConstraint[i].iColumn - HOT_COL_TOPIC;
    if( k<0 || k>2 || pInfo->aConstraint[i].op!=SQLITE_INDEX_CONSTRAINT_EQ ) continue;
    if( !pInfo->aConstraint[i].usable ) return SQLITE_CONSTRAINT;
    if( aUse[k]==0 ) aUse[k] = i+1;
  }
  for(i=0; i<3; i++){
    if( aUse[i]==0 ) continue;
    pInfo->aConstraintUsage[aUse[i]-1].argvIndex = ++n;
    pInfo->aConstraintUsage[aUse[i]-1].omit = 1;
    pInfo->idxNum |= 1<<i;
  }
  pInfo->estimatedCost = 100000;
  pInfo->estimatedRows = HOT_N;
  if( pInfo->nOrderBy==1 && pInfo->aOrderBy[0].iColumn==HOT_COL_BYTES && pInfo->aOrderBy[0].desc ){
    pInfo->orderByConsumed = 1;
  }
  return SQLITE_OK;
}

static int hotOpen(sqlite3_vtab *pTab, sqlite3_vtab_cursor **pp){
  HotCursor *c = (HotCursor*)sqlite3_malloc64(sizeof(*c));
  (void)pTab;
  if( c==0 ) return SQLITE_NOMEM;
  memset(c, 0, sizeof(*c));
  *pp = &c->base;
  return SQLITE_OK;
}

static int hotClose(sqlite3_vtab_cursor *pCur){
  hotFree(((HotCursor*)pCur)->pCount);
  sqlite3_free(pCur);
  return SQLITE_OK;
}

/* Read the arguments.  SQLITE_DONE: one is NULL. */
static int hotArgs(PrillConn *pConn, int m, sqlite3_value **argv, const char **pzTopic, const char **pzSchema,
                   i64 *pnMb){
  int i = 0;
  if( (m&1)==0 ){
    return prillError(pConn, SQLITE_ERROR, "prill_hot needs a topic: SELECT ... FROM prill_hot('orders')");
  }
  if( sqlite3_value_type(argv[i])==SQLITE_NULL ) return SQLITE_DONE;
  *pzTopic = (const char*)sqlite3_value_text(argv[i++]);
  if( *pzTopic==0 ) return SQLITE_NOMEM;
  if( m&2 ){
    int bNull = sqlite3_value_type(argv[i])==SQLITE_NULL;
    *pzSchema = (const char*)sqlite3_value_text(argv[i++]);
    if( *pzSchema==0 && !bNull ) return SQLITE_NOMEM;
  }
  if( m&4 ){
    *pnMb = sqlite3_value_int64(argv[i]);
    if( sqlite3_value_numeric_type(argv[i])!=SQLITE_INTEGER || *pnMb<1 || *pnMb>HOT_MX_MB ){
      return prillError(pConn, SQLITE_ERROR, "prill_hot: megabytes must be a whole number from 1 to 4096");
    }
  }
  return SQLITE_OK;
}

static int hotCount(HotCursor *c, PrillStore *pStore, const char *zTopic, i64 nByte){
  PrillTopic *pTopic;
  i64 iTs = 0;
  int i;
  int rc = prillStoreRefresh(pStore);
  if( rc==SQLITE_OK ) rc = prillStoreCheckDir(pStore);
  if( rc!=SQLITE_OK ) return rc;
  pTopic = prillStoreTopic(pStore, zTopic);
  if( pTopic==0 ){
    return prillError(pStore->pConn, SQLITE_ERROR, "no such topic: %s; SELECT name FROM prill_topics lists them",
                      zTopic);
  }
  c->eKey = pTopic->cfg.eKey;
  pTopic->nRef++;
  rc = hotSince(pTopic, nByte, &iTs);
  for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++) rc = hotPart(c->pCount, pTopic->apPart[i], iTs, nByte);
  prillTopicUnref(pTopic);
  if( rc==SQLITE_OK ) hotSortDown(c->pCount);
  return rc;
}

static int hotFilter(
  sqlite3_vtab_cursor *pCur, int idxNum, const char *idxStr, int argc, sqlite3_value **argv
){
  HotCursor *c = (HotCursor*)pCur;
  PrillConn *pConn = ((HotVtab*)pCur->pVtab)->pConn;
  PrillStore *pStore = 0;
  const char *zTopic = 0, *zSchema = 0;
  i64 nMb = 16;
  int rc;
  (void)idxStr; (void)argc;
  hotFree(c->pCount);
  c->iRow = 0;
  c->pCount = (HotCount*)sqlite3_malloc64(sizeof(HotCount));
  if( c->pCount==0 ) return SQLITE_NOMEM;
  memset(c->pCount, 0, sizeof(HotCount));
  rc = hotArgs(pConn, idxNum, argv, &zTopic, &zSchema, &nMb);
  if( rc==SQLITE_OK ) rc = prillStoreGet(pConn, zSchema, &pStore);
  if( rc==SQLITE_OK ) rc = hotCount(c, pStore, zTopic, nMb*1048576);
  prillStorePut(pStore);
  if( rc==SQLITE_DONE ) rc = SQLITE_OK;
  return prillVtabError(pCur->pVtab, pConn, rc);
}

static int hotNext(sqlite3_vtab_cursor *pCur){
  ((HotCursor*)pCur)->iRow++;
  return SQLITE_OK;
}

static int hotEof(sqlite3_vtab_cursor *pCur){
  return ((HotCursor*)pCur)->iRow>=((HotCursor*)pCur)->pCount->n;
}

static int hotColumn(sqlite3_vtab_cursor *pCur, sqlite3_context *pCtx, int iCol){
  HotCursor *c = (HotCursor*)pCur;
  const HotKey *p = c->pCount->apHeap[c->iRow];
  i64 nByte = c->pCount->nByte;
  int n = PRILL_MIN(p->nKey, HOT_KEY);
  switch( iCol ){
    case HOT_COL_KEY:
      if( n<0 ) break;
      if( c->eKey==PRILL_TEXT || (c->eKey==PRILL_AUTO && prillUtf8(p->aKey, n)) ){
        sqlite3_result_text(pCtx, (const char*)p->aKey, n, SQLITE_TRANSIENT);
      }else{
        sqlite3_result_blob(pCtx, p->aKey, n, SQLITE_TRANSIENT);
      }
      break;
    case HOT_COL_PART:    sqlite3_result_int(pCtx, p->iPart); break;
    case HOT_COL_RECORDS: sqlite3_result_int64(pCtx, p->nRec); break;
    case HOT_COL_BYTES:   sqlite3_result_int64(pCtx, p->nByte); break;
    case HOT_COL_SHARE:   sqlite3_result_double(pCtx, nByte ? (double)p->nByte/(double)nByte : 0.0); break;
    case HOT_COL_ERROR:   sqlite3_result_int64(pCtx, p->nError); break;
    default:              break;
  }
  return SQLITE_OK;
}

static int hotRowid(sqlite3_vtab_cursor *pCur, sqlite3_int64 *piRowid){
  *piRowid = ((HotCursor*)pCur)->iRow + 1;
  return SQLITE_OK;
}

/* Eponymous only: no xCreate. */
static const sqlite3_module hotModule = {
  .xConnect = hotConnect, .xBestIndex = hotBestIndex, .xDisconnect = hotDisconnect,
  .xOpen = hotOpen, .xClose = hotClose, .xFilter = hotFilter, .xNext = hotNext,
  .xEof = hotEof, .xColumn = hotColumn, .xRowid = hotRowid,
};

int prillVtabHotInit(PrillConn *pConn){
  return sqlite3_create_module_v2(pConn->db, "prill_hot", &hotModule, prillConnRef(pConn), prillConnUnref);
}
