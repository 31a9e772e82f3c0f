/*
** producer.c: who produces idempotently: ids, epochs and sequences.
**
** Layer 3, store.  Calls base and store.
**
** A batch with a producer id has an epoch and the sequence number of its first
** record; a partition takes a producer's batches only in order and each only
** once.  What decides is rows of prill_store_producer, read and written in the
** transaction that appends the batch, so that they come and go with it:
**
**   (producer, pid)   what a partition knows of a producer: epoch, and in
**                     "last" the five newest batches, newest first, 24 bytes
**                     each: first sequence 4, last sequence 4, base offset 8,
**                     time 8
**   (producer, 0)     the producer itself: its newest epoch, its name or NULL
**   (0, 0)            epoch: the next producer id.  Ids are never used twice
**
**   I1  A row's epoch never falls while the row lives.
**   I2  "last" has 1 to 5 batches, all of the row's epoch, sequences following.
**   I3  Rows are bounded by prillLimit.nProducer: the least recently seen go.
**
** A producer whose row has gone is not refused here but told apart (UNKNOWN).
** Rows of a partition that was dropped are seen no more, and so expire.
**
** Crash story: rows; SQLite's COMMIT decides.
*/
#include "prillInt.h"

#define PRODUCER_KEEP 5
#define PRODUCER_ENTRY 24
#define PRODUCER_MX_EPOCH 32767

i32 prillProducerNext(i32 iSeq, i64 n){
  return (i32)(((i64)iSeq + n) & 0x7fffffff);
}

static int producerBad(PrillStore *p, i64 iProducer){
  return prillError(p->pConn, PRILL_CORRUPT, "store \"%s\": the row of producer %lld is damaged; restore the database"
                    " from a backup", p->zSchema, iProducer);
}

/* A row: *piEpoch, -1 when there is none, and its batches in a[], *pn of them.
** a may be NULL. */
static int producerRow(PrillStore *p, i64 iProducer, int iPid, i64 *piEpoch, u8 *a, int *pn){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(p, STMT_PRODUCER, &rc);
  *piEpoch = -1;
  if( pn ) *pn = 0;
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_bind_int64(pStmt, 1, iProducer);
  sqlite3_bind_int(pStmt, 2, iPid);
  if( sqlite3_step(pStmt)==SQLITE_ROW ){
    int n = sqlite3_column_bytes(pStmt, 1);
    const void *pLast = sqlite3_column_blob(pStmt, 1);
    *piEpoch = sqlite3_column_int64(pStmt, 0);
    if( a && (n<PRODUCER_ENTRY || n%PRODUCER_ENTRY || n>PRODUCER_KEEP*PRODUCER_ENTRY) ){
      rc = producerBad(p, iProducer);
    }else if( a && pLast==0 ){
      rc = SQLITE_NOMEM;
    }else if( a ){
      memcpy(a, pLast, (size_t)n);
      *pn = n/PRODUCER_ENTRY;
    }
    if( *piEpoch<0 && rc==SQLITE_OK ) rc = producerBad(p, iProducer);
  }
  prillStoreDone(p, pStmt, &rc);
  return rc;
}

static int producerPut(PrillStore *p, i64 iProducer, int iPid, i64 iEpoch, const u8 *a, int n){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(p, STMT_PUT_PRODUCER, &rc);
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_bind_int64(pStmt, 1, iProducer);
  sqlite3_bind_int(pStmt, 2, iPid);
  sqlite3_bind_int64(pStmt, 3, iEpoch);
  sqlite3_bind_int64(pStmt, 4, prillNow(p->pVfs));
  if( a ) sqlite3_bind_blob(pStmt, 5, a, n*PRODUCER_ENTRY, SQLITE_STATIC); else sqlite3_bind_null(pStmt, 5);
  sqlite3_step(pStmt);
  prillStoreDone(p, pStmt, &rc);
  sqlite3_clear_bindings(pStmt);
  return rc;
}

/**************************************************************************
** Ids.
*/

/* The id and newest epoch of a name; *piProducer 0: none. */
static int producerByName(PrillStore *p, const char *zName, i64 *piProducer, i64 *piEpoch){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(p, &pStmt, "SELECT producer, epoch FROM \"%w\".prill_store_producer WHERE name=?1");
  *piProducer = 0;
  if( rc==SQLITE_OK ) rc = sqlite3_bind_text(pStmt, 1, zName, -1, SQLITE_STATIC);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    *piProducer = sqlite3_column_int64(pStmt, 0);
    *piEpoch = sqlite3_column_int64(pStmt, 1);
    if( *piProducer<1 || *piEpoch<0 ) rc = producerBad(p, *piProducer);
  }
  if( rc==SQLITE_OK ) rc = sqlite3_finalize(pStmt); else sqlite3_finalize(pStmt);
  return rc;
}

/* A new id, with the name if there is one. */
static int producerNew(PrillStore *p, const char *zName, i64 *piProducer){
  i64 iNext;
  int rc = producerRow(p, 0, 0, &iNext, 0, 0);
  if( iNext<1 ) iNext = 1;
  if( rc==SQLITE_OK && iNext==PRILL_I64MAX ) rc = producerBad(p, 0);
  if( rc==SQLITE_OK ) rc = producerPut(p, 0, 0, iNext+1, 0, 0);
  if( rc==SQLITE_OK ) rc = producerPut(p, iNext, 0, 0, 0, 0);
  if( rc==SQLITE_OK && zName ){
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_producer SET name=%Q WHERE producer=%lld AND pid=0",
                        zName, iNext);
  }
  *piProducer = iNext;
  return rc;
}

int prillProducerInit(PrillStore *p, const char *zName, i64 *piProducer, int *piEpoch){
  i64 iProducer = 0, iEpoch = 0;
  int rc = prillProducerExpire(p);
  if( rc==SQLITE_OK && zName ) rc = producerByName(p, zName, &iProducer, &iEpoch);
  if( rc==SQLITE_OK && iProducer && iEpoch>=PRODUCER_MX_EPOCH-1 ){
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_producer SET epoch=%d, name=NULL WHERE producer=%lld"
                        " AND pid=0", PRODUCER_MX_EPOCH, iProducer);
    iProducer = 0;
  }
  if( rc==SQLITE_OK && iProducer ){
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_producer SET epoch=%lld, seen=%lld WHERE producer=%lld"
                        " AND pid=0", ++iEpoch, prillNow(p->pVfs), iProducer);
  }else if( rc==SQLITE_OK ){
    iEpoch = 0;
    rc = producerNew(p, zName, &iProducer);
  }
  *piProducer = iProducer;
  *piEpoch = (int)iEpoch;
  return rc;
}

/* How many rows there are. */
static int producerCount(PrillStore *p, i64 *pnRow){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(p, &pStmt, "SELECT count(*) FROM \"%w\".prill_store_producer");
  *pnRow = 0;
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) *pnRow = sqlite3_column_int64(pStmt, 0);
  if( rc==SQLITE_OK ) rc = sqlite3_finalize(pStmt); else sqlite3_finalize(pStmt);
  return rc;
}

/* Rows, of table o, seen last before a time: a producer's own only when none of
** its others is newer. */
#define PRODUCER_OLD "o.producer>0 AND o.seen<%lld AND (o.pid>0 OR NOT EXISTS(SELECT 1" \
  " FROM \"%w\".prill_store_producer AS i WHERE i.producer=o.producer AND i.seen>=%lld))"

static i64 producerOld(PrillStore *p){
  i64 iNow = prillNow(p->pVfs);
  return iNow>p->msProducer ? iNow-p->msProducer : 0;
}

int prillProducerDue(PrillStore *p, int *pbDue){
  sqlite3_stmt *pStmt = 0;
  i64 iOld = producerOld(p);
  int rc = prillStorePrepare(p, &pStmt, "SELECT EXISTS(SELECT 1 FROM \"%w\".prill_store_producer AS o WHERE "
                             PRODUCER_OLD ")", iOld, iOld);
  *pbDue = rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW && sqlite3_column_int(pStmt, 0);
  if( pStmt ) prillStoreDone(p, pStmt, &rc);
  sqlite3_finalize(pStmt);
  return rc;
}

int prillProducerExpire(PrillStore *p){
  i64 nRow = 0, iOld = producerOld(p);
  i64 mx = prillLimit.nProducer;
  int rc = prillStoreExec(p, "DELETE FROM \"%w\".prill_store_producer AS o WHERE " PRODUCER_OLD, iOld, iOld);
  p->nProducerNew = 0;
  if( rc==SQLITE_OK ) rc = producerCount(p, &nRow);
  if( rc==SQLITE_OK && nRow>mx ){
    rc = prillStoreExec(p, "DELETE FROM \"%w\".prill_store_producer WHERE (producer, pid) IN"
        " (SELECT producer, pid FROM (SELECT producer, pid, seen, max(seen) OVER(PARTITION BY producer) AS last"
        " FROM \"%w\".prill_store_producer WHERE producer>0) ORDER BY last, producer, pid=0, seen LIMIT %lld)",
        nRow - mx + mx/8);
  }
  return rc;
}

/**************************************************************************
** Sequences.
*/
static int producerCurrent(PrillStore *p, i64 iProducer, int iEpoch, int *peAnswer){
  i64 iNewest;
  int rc = producerRow(p, iProducer, 0, &iNewest, 0, 0);
  *peAnswer = iNewest<0 ? PRILL_SEQ_UNKNOWN : iEpoch<iNewest ? PRILL_SEQ_FENCED : PRILL_SEQ_OK;
  return rc;
}

int prillProducerCurrent(PrillStore *p, i64 iProducer, int iEpoch, int *peAnswer){
  i64 iNow = prillNow(p->pVfs);
  int rc = producerCurrent(p, iProducer, iEpoch, peAnswer);
  if( rc==SQLITE_OK && *peAnswer==PRILL_SEQ_OK ){
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_producer SET seen=%lld WHERE producer=%lld AND pid=0"
                        " AND seen<%lld", iNow, iProducer, iNow - p->msProducer/2);
  }
  return rc;
}

int prillProducerCheck(PrillPart *pPart, i64 iProducer, int iEpoch, i32 iSeq, i32 nRec, int *peAnswer, i64 *piOff){
  u8 a[PRODUCER_KEEP*PRODUCER_ENTRY];
  i32 iLast = prillProducerNext(iSeq, (i64)nRec-1);
  i64 iKnown;
  int n, i;
  int rc = producerCurrent(pPart->pStore, iProducer, iEpoch, peAnswer);
  *piOff = -1;
  if( rc!=SQLITE_OK || *peAnswer==PRILL_SEQ_FENCED ) return rc;
  rc = producerRow(pPart->pStore, iProducer, pPart->iPid, &iKnown, a, &n);
  if( rc!=SQLITE_OK ) return rc;
  if( iKnown<0 ){
    if( iSeq!=0 ) *peAnswer = PRILL_SEQ_UNKNOWN;
  }else if( iEpoch!=iKnown ){
    *peAnswer = iEpoch<iKnown ? PRILL_SEQ_FENCED : iSeq==0 ? PRILL_SEQ_OK : PRILL_SEQ_GAP;
  }else{
    *peAnswer = iSeq==prillProducerNext((i32)prillGet32(a+4), 1) ? PRILL_SEQ_OK : PRILL_SEQ_GAP;
    for(i=0; i<n; i++){
      const u8 *pE = &a[i*PRODUCER_ENTRY];
      if( (i32)prillGet32(pE)!=iSeq || (i32)prillGet32(pE+4)!=iLast ) continue;
      *peAnswer = PRILL_SEQ_DUPLICATE;
      *piOff = prillGet64(pE+8);
      break;
    }
  }
  return rc;
}

int prillProducerNote(PrillPart *pPart, i64 iProducer, int iEpoch, i32 iSeq, i32 nRec, i64 iOff){
  PrillStore *p = pPart->pStore;
  u8 a[(PRODUCER_KEEP+1)*PRODUCER_ENTRY];
  i64 iKnown;
  int n;
  int rc = producerRow(p, iProducer, pPart->iPid, &iKnown, a+PRODUCER_ENTRY, &n);
  if( rc!=SQLITE_OK ) return rc;
  if( iKnown!=iEpoch ) n = 0;                                               /* I2 */
  prillPut32(a, (u32)iSeq);
  prillPut32(a+4, (u32)prillProducerNext(iSeq, (i64)nRec-1));
  prillPut64(a+8, iOff);
  prillPut64(a+16, prillNow(p->pVfs));
  rc = producerPut(p, iProducer, pPart->iPid, iEpoch, a, PRILL_MIN(n+1, PRODUCER_KEEP));
  if( rc==SQLITE_OK && iKnown<0 && p->nProducerNew++ % PRILL_MAX(1, prillLimit.nProducer/64)==0 ){
    rc = prillProducerExpire(p);                                            /* I3 */
    p->nProducerNew = 1;
  }
  return rc;
}
