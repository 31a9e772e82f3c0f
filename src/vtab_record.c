/*
** vtab_record.c: the columns of a record, as every table that shows records
** gives them.
**
** Layer 5, sql.  Calls header.
**
** Values are given SQLITE_TRANSIENT: a record's bytes die at its scan's next
** step.
*/
#include "prillTopic.h"

/* A key or value as its setting says: eType PRILL_AUTO, _TEXT or _BLOB.  bTerm:
** the byte after it may be looked at.  If it is 0, as after the value of a record
** without headers, SQLite is told that the text is terminated and need not do it. */
static void vtabrecordBytes(sqlite3_context *pCtx, const u8 *a, i32 n, int eType, int bTerm){
  if( n<0 ) return;                               /* NULL */
  if( n==0 ) a = (const u8*)"";
  if( eType==PRILL_TEXT || (eType==PRILL_AUTO && prillUtf8(a, n)) ){
    if( bTerm && eType==PRILL_AUTO && a[n]==0 ) n = -1;
    sqlite3_result_text(pCtx, (const char*)a, n, SQLITE_TRANSIENT);
  }else{
    sqlite3_result_blob(pCtx, a, n, SQLITE_TRANSIENT);
  }
}

/* The columns that tell of the record's batch and its bytes. */
static void vtabrecordHidden(sqlite3_context *pCtx, const PrillRecord *pRec, const PrillBatch *b, int eCol){
  i64 v = -1;
  switch( eCol ){
    case TOPIC_EPOCH:          v = b->iEpoch; break;
    case TOPIC_PRODUCER:       v = b->iProducer; break;
    case TOPIC_PRODUCER_EPOCH: v = b->iProducerEpoch; break;
    case TOPIC_SEQUENCE:
      /* Sequence numbers go round at 2^31. */
      if( b->iSeq>=0 ) v = (b->iSeq + (pRec->iOff - b->iBase)) & 0x7fffffff;
      break;
    case TOPIC_BATCH:          v = b->iBase; break;
    default:
      v = (i64)PRILL_MAX(pRec->nKey, 0) + PRILL_MAX(pRec->nVal, 0) + pRec->nHdrByte;
      break;
  }
  sqlite3_result_int64(pCtx, v);
}

int prillRecordColumn(
  sqlite3_context *pCtx, int eCol, const PrillTopic *pTopic, int iPart, const PrillRecord *pRec,
  PrillScan *pScan, PrillBuf *pJson
){
  int rc = SQLITE_OK;
  switch( eCol ){
    case TOPIC_PARTITION: sqlite3_result_int(pCtx, iPart); break;
    case TOPIC_OFFSET:    sqlite3_result_int64(pCtx, pRec->iOff); break;
    case TOPIC_TIMESTAMP: sqlite3_result_int64(pCtx, pRec->iTs); break;
    case TOPIC_KEY:       vtabrecordBytes(pCtx, pRec->pKey, pRec->nKey, pTopic->cfg.eKey, 0); break;
    case TOPIC_VALUE:     vtabrecordBytes(pCtx, pRec->pVal, pRec->nVal, pTopic->cfg.eValue, 1); break;
    case TOPIC_HEADERS:
      if( pRec->nHdr==0 ) break;
      pJson->n = 0;
      rc = prillHeaderToJson(pRec->pHdr, pRec->nHdrByte, pRec->nHdr, pJson);
      if( rc!=SQLITE_OK ) return rc;
      sqlite3_result_text64(pCtx, (const char*)pJson->a, (u64)pJson->n, SQLITE_TRANSIENT, SQLITE_UTF8);
      break;
    case TOPIC_TOPIC:     sqlite3_result_text(pCtx, pTopic->zName, -1, SQLITE_TRANSIENT); break;
    default:              vtabrecordHidden(pCtx, pRec, prillScanBatch(pScan), eCol); break;
  }
  return rc;
}
