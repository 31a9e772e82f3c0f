/*
** consume.c: the C interface for reading: prill_reader.
**
** Layer 6, api.  Calls store, part, scan and wait.
**
** A reader is a position and, while it has something before it, a scan.  The
** scan is of committed records alone (the partition's own write, if there is
** one, is put out of sight while it opens), and outlives the snapshot it was
** opened in: what it reads is immutable, and counted by reference or in files.
**
**   I1  Between calls no statement of ours is open: the store is got and put
**       back around every look at the database, which lets go of the snapshot.
**   I2  A file that the scan still wants may go meanwhile (retention,
**       compaction): an error of a scan that was opened in an earlier call is
**       answered by looking anew from the position, and told if that fails too.
**   I3  The position moves only past records given, and at the scan's end.
*/
#include "prillPoll.h"

struct prill_reader {
  PrillConn *pConn;         /* referenced; NULL: opening failed */
  PrillStore *pStore;       /* referenced, or NULL */
  PrillTopic *pTopic;       /* as last found, referenced, or NULL */
  PrillScan *pScan;         /* NULL: look anew */
  i64 iNext;                /* position */
  i64 iEnd;                 /* the scan's end */
  int iPart;
  u8 bFresh;                /* the scan was opened in this call */
  char *zTopic;
  char *zErr;
  int rc;                   /* the last call's result */
  prill_record rec;
  prill_header *aHeader;
  int nHeaderAlloc;
};

/* The call's result, and its reason. */
static int readerResult(prill_reader *p, int rc){
  p->rc = rc;
  if( rc!=SQLITE_NOMEM && p->pConn && p->pConn->zErr ){
    sqlite3_free(p->zErr);
    p->zErr = p->pConn->zErr;
    p->pConn->zErr = 0;
  }
  return rc;
}

/* Before a call does anything. */
static void readerBegin(prill_reader *p){
  sqlite3_free(p->zErr);
  p->zErr = 0;
  p->rc = SQLITE_OK;
  if( p->pConn ){
    sqlite3_free(p->pConn->zErr);
    p->pConn->zErr = 0;
  }
}

static void readerEndScan(prill_reader *p){
  prillScanClose(p->pScan);
  p->pScan = 0;
}

/* Make the partition current.  On SQLITE_OK the snapshot stays until
** readerLet. */
static int readerLook(prill_reader *p, PrillPart **pp){
  PrillStore *pAgain;
  PrillTopic *pTopic;
  int rc = prillStoreGet(p->pConn, p->pStore->zSchema, &pAgain);
  if( rc!=SQLITE_OK ) return rc;
  if( pAgain!=p->pStore ){
    prillStorePut(pAgain);
    return prillError(p->pConn, SQLITE_ERROR, "reader of topic %s: schema \"%s\" is another database now; open a new"
                      " reader", p->zTopic, p->pStore->zSchema);
  }
  rc = prillStoreRefresh(p->pStore);
  if( rc==SQLITE_OK ) rc = prillStoreCheckDir(p->pStore);
  pTopic = rc==SQLITE_OK ? prillStoreTopic(p->pStore, p->zTopic) : 0;
  if( rc==SQLITE_OK && pTopic==0 ){
    rc = prillError(p->pConn, PRILL_NO_TOPIC, "no such topic: %s; SELECT name FROM prill_topics lists them", p->zTopic);
  }else if( rc==SQLITE_OK && (p->iPart<0 || p->iPart>=pTopic->nPart) ){
    rc = prillError(p->pConn, PRILL_NO_TOPIC, "topic %s has no partition %d: it has %d, numbered from 0", p->zTopic,
                    p->iPart, pTopic->nPart);
  }
  if( rc==SQLITE_OK ) rc = prillPartLoad(pTopic->apPart[p->iPart]);
  if( rc==SQLITE_OK && pTopic!=p->pTopic ){
    prillTopicUnref(p->pTopic);
    p->pTopic = pTopic;
    pTopic->nRef++;
  }
  if( rc==SQLITE_OK ) *pp = pTopic->apPart[p->iPart]; else prillStorePut(p->pStore);
  return rc;
}

/* Let go of the snapshot (I1). */
static void readerLet(prill_reader *p){
  prillStorePut(p->pStore);
}

/* Open a scan of committed records. */
static int readerScan(PrillPart *pPart, const PrillRange *pRange, PrillScan **pp){
  PrillWrite *pOwn = pPart->pWrite;
  int rc;
  pPart->pWrite = 0;
  rc = prillScanOpen(pPart, pRange, pp);
  pPart->pWrite = pOwn;
  return rc;
}

/* Look anew from the position.  p->pScan stays NULL when nothing is there. */
static int readerOpenScan(prill_reader *p){
  PrillRange r = {p->iNext, PRILL_I64MAX, PRILL_I64MIN, PRILL_I64MAX, 0, 0, 1, 0, 0, 0};
  PrillPart *pPart = 0;
  int rc = readerLook(p, &pPart);
  if( rc==SQLITE_OK ){
    p->iEnd = prillPartEnd(pPart);
    if( p->iNext<pPart->x.iLogStart ){
      rc = prillError(p->pConn, PRILL_OFFSET_RANGE, "topic %s partition %d: the records from offset %lld to %lld have"
                      " been deleted; seek to %lld or later", p->zTopic, p->iPart, p->iNext, pPart->x.iLogStart-1,
                      pPart->x.iLogStart);
    }else if( p->iNext>p->iEnd ){
      rc = prillError(p->pConn, PRILL_OFFSET_RANGE, "topic %s partition %d: offset %lld is past the end %lld; seek to"
                      " it or before", p->zTopic, p->iPart, p->iNext, p->iEnd);
    }else if( p->iNext<p->iEnd ){
      rc = readerScan(pPart, &r, &p->pScan);
      p->bFresh = 1;
    }
    readerLet(p);
  }
  return rc;
}

int prillConsumeHeaders(const PrillRecord *pRec, prill_record *pOut, prill_header **paHeader, int *pnAlloc){
  const u8 *a = pRec->pHdr, *aEnd = pRec->pHdr + pRec->nHdrByte;
  int i;
  if( pRec->nHdr>*pnAlloc ){
    prill_header *aNew = (prill_header*)sqlite3_realloc64(*paHeader, sizeof(*aNew)*(u64)pRec->nHdr);
    if( aNew==0 ) return SQLITE_NOMEM;
    *paHeader = aNew;
    *pnAlloc = pRec->nHdr;
  }
  for(i=0; i<pRec->nHdr; i++){                    /* checked by prillRecordDecode */
    prill_header *h = &(*paHeader)[i];
    i64 n = 0;
    a += prillVarintGet(a, aEnd, &n);
    h->zName = (const char*)a;
    h->nName = (int)n;
    a += n;
    a += prillVarintGet(a, aEnd, &n);
    h->pValue = n>=0 ? a : 0;
    h->nValue = n>=0 ? (int)n : 0;
    a += n>=0 ? n : 0;
  }
  pOut->aHeader = *paHeader;
  pOut->nHeader = pRec->nHdr;
  return SQLITE_ROW;
}

/* *pRec is the reader's record, but for its headers. */
static inline void readerGive(prill_reader *p, const PrillRecord *pRec){
  prill_record *r = &p->rec;
  r->iOffset = pRec->iOff;
  r->iTimestamp = pRec->iTs;
  r->pKey = pRec->pKey;                           /* NULL where nKey is -1 */
  r->nKey = PRILL_MAX(pRec->nKey, 0);
  r->pValue = pRec->pVal;
  r->nValue = PRILL_MAX(pRec->nVal, 0);
  r->aHeader = 0;
  r->nHeader = 0;
  p->iNext = pRec->iOff + 1;
}

/* The scan, if there is one, gave rc and *pRec: go on from there. */
static int readerStep(prill_reader *p, int rc, PrillRecord *pRec, const prill_record **ppRecord){
  for(;;){
    if( p->pScan ){
      if( rc==SQLITE_ROW && pRec->nHdr ){
        rc = prillConsumeHeaders(pRec, &p->rec, &p->aHeader, &p->nHeaderAlloc);
        if( rc!=SQLITE_ROW ) p->iNext = pRec->iOff;                         /* I3 */
      }
      if( rc==SQLITE_ROW ){
        *ppRecord = &p->rec;
        p->rc = rc;
        return rc;
      }
      if( rc==SQLITE_DONE ){
        p->iNext = PRILL_MAX(p->iNext, p->iEnd);                            /* I3 */
        readerEndScan(p);
      }else{
        readerEndScan(p);
        if( p->bFresh || rc==SQLITE_NOMEM ) break;
        readerBegin(p);                                                     /* I2 */
      }
    }
    rc = readerOpenScan(p);
    if( rc!=SQLITE_OK ) break;
    if( p->pScan==0 ){
      rc = SQLITE_DONE;
      break;
    }
    rc = prillScanNext(p->pScan, pRec);
    if( rc==SQLITE_ROW ) readerGive(p, pRec);
  }
  return readerResult(p, rc);
}

int prill_reader_next(prill_reader *p, const prill_record **ppRecord){
  PrillRecord rec;
  int rc = SQLITE_DONE;
  *ppRecord = 0;
  p->bFresh = 0;
  if( p->pScan==0 || p->rc!=SQLITE_ROW ){
    readerBegin(p);
    if( p->pTopic==0 ) return readerResult(p, SQLITE_MISUSE);
  }
  if( p->pScan ) rc = prillScanNext(p->pScan, &rec);
  if( rc!=SQLITE_ROW ) return readerStep(p, rc, &rec, ppRecord);
  readerGive(p, &rec);
  if( rec.nHdr ) return readerStep(p, rc, &rec, ppRecord);
  *ppRecord = &p->rec;
  p->rc = rc;
  return rc;
}

int prill_reader_wait(prill_reader *p, int ms){
  PrillWait w;
  int rc = SQLITE_DONE;
  if( p->pScan ) return SQLITE_ROW;
  readerBegin(p);
  if( p->pTopic==0 ) return readerResult(p, SQLITE_MISUSE);
  prillWaitInit(&w, p->pConn, ms);
  do{
    prillWaitSample(&w, p->pStore, p->pTopic->iTopic);
    rc = readerOpenScan(p);
    if( rc==SQLITE_OK && p->pScan ) rc = SQLITE_ROW;
  }while( rc==SQLITE_OK && (rc = prillWaitSleep(&w))==SQLITE_OK );
  prillWaitEnd(&w);
  return readerResult(p, rc);
}

/* The first record whose timestamp is at least iTs, or the end. */
static int readerFind(PrillPart *pPart, i64 iTs, i64 *piOff){
  PrillRange r = {0, PRILL_I64MAX, iTs, PRILL_I64MAX, 0, 0, 1, 0, 0, 0};
  PrillScan *pScan = 0;
  PrillRecord rec;
  int rc = readerScan(pPart, &r, &pScan);
  if( rc==SQLITE_OK ) rc = prillScanNext(pScan, &rec);
  prillScanClose(pScan);
  *piOff = rc==SQLITE_ROW ? rec.iOff : prillPartEnd(pPart);
  return rc==SQLITE_ROW || rc==SQLITE_DONE ? SQLITE_OK : rc;
}

/* Go to an offset; bTime: to timestamp i. */
static int readerSeek(prill_reader *p, i64 i, int bTime){
  PrillPart *pPart = 0;
  int rc;
  readerBegin(p);
  if( p->pStore==0 || (!bTime && i<PRILL_EARLIEST) ) return readerResult(p, SQLITE_MISUSE);
  rc = readerLook(p, &pPart);
  if( rc==SQLITE_OK ){
    if( bTime ){
      rc = readerFind(pPart, i, &i);
    }else if( i<0 ){
      i = i==PRILL_LATEST ? prillPartEnd(pPart) : pPart->x.iLogStart;
    }
    readerLet(p);
  }
  if( rc==SQLITE_OK ){
    readerEndScan(p);
    p->iNext = i;
  }
  return readerResult(p, rc);
}

int prill_reader_seek(prill_reader *p, sqlite3_int64 iOffset){
  return readerSeek(p, iOffset, 0);
}

int prill_reader_seek_time(prill_reader *p, sqlite3_int64 ms){
  return readerSeek(p, ms, 1);
}

sqlite3_int64 prill_reader_position(prill_reader *p){
  return p->iNext;
}

const char *prill_reader_errmsg(prill_reader *p){
  return p==0 ? sqlite3_errstr(SQLITE_NOMEM) : p->zErr ? p->zErr : sqlite3_errstr(p->rc);
}

int prill_reader_open(
  sqlite3 *db, const char *zSchema, const char *zTopic, int iPartition, sqlite3_int64 iOffset, prill_reader **pp
){
  PrillConn *pConn = 0;
  prill_reader *p = (prill_reader*)sqlite3_malloc64(sizeof(*p));
  int rc;
  *pp = p;
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->iPart = iPartition;
  p->zTopic = sqlite3_mprintf("%s", zTopic ? zTopic : "");
  if( p->zTopic==0 ) return readerResult(p, SQLITE_NOMEM);
  rc = prillConnOf(db, &pConn);
  if( rc!=SQLITE_OK ){
    if( rc!=SQLITE_NOMEM ){
      p->zErr = sqlite3_mprintf("prill is not registered with this connection: %s; call prill_init() first",
                                sqlite3_errmsg(db));
    }
    return readerResult(p, rc);
  }
  p->pConn = (PrillConn*)prillConnRef(pConn);
  readerBegin(p);
  rc = prillStoreGet(pConn, zSchema, &p->pStore);
  if( rc!=SQLITE_OK ) return readerResult(p, rc);
  rc = readerSeek(p, iOffset, 0);
  p->rec.zTopic = p->zTopic;
  p->rec.iPartition = iPartition;
  return rc;
}

void prill_reader_close(prill_reader *p){
  if( p==0 ) return;
  readerEndScan(p);
  prillTopicUnref(p->pTopic);
  prillStorePut(p->pStore);
  if( p->pConn ) prillConnUnref(p->pConn);
  sqlite3_free(p->aHeader);
  sqlite3_free(p->zTopic);
  sqlite3_free(p->zErr);
  sqlite3_free(p);
}
