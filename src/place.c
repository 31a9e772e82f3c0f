/*
** place.c: which partition a record goes to: the topic's partitioner.
**
** Layer 3, store.  Calls hash, and SQLite for a partitioner that is an SQL
** function.
**
** Who appends records (a topic's table, the C interface's producer) has a
** PrillPlacer: the state of taking turns.
*/
#include "prillInt.h"

void prillPlaceInit(PrillPlacer *p){
  memset(p, 0, sizeof(*p));
  p->iRobin = -1;
  p->iSticky = -1;
}

void prillPlaceFree(PrillPlacer *p){
  sqlite3_finalize(p->pFunc);
  p->pFunc = 0;
}

/* The next place in turn.  Where it begins follows from how many commits the
** ring has seen, so that programs that insert one record each take turns. */
static int placeRobin(PrillPlacer *p, const PrillTopic *pTopic){
  if( p->iRobin<0 ) p->iRobin = pTopic->pStore->nSlot;
  return (int)(p->iRobin++ % pTopic->nPart);
}

/* The partition for records that have no key: the same for a transaction, as a
** batch of a Kafka producer has one; another after batch.size bytes. */
static int placeSticky(PrillPlacer *p, const PrillTopic *pTopic, const PrillRecord *pRec){
  if( p->iSticky<0 || p->iSticky>=pTopic->nPart || p->nSticky>=pTopic->cfg.szBatch ){
    p->iSticky = placeRobin(p, pTopic);
    p->nSticky = 0;
  }
  p->nSticky += PRILL_MAX(pRec->nVal, 0) + pRec->nHdrByte + 8;
  return p->iSticky;
}

static int placeBind(sqlite3_stmt *pStmt, int i, const u8 *a, i32 n){
  if( n<0 ) return sqlite3_bind_null(pStmt, i);
  if( prillUtf8(a, n) ) return sqlite3_bind_text(pStmt, i, (const char*)a, n, SQLITE_STATIC);
  return sqlite3_bind_blob(pStmt, i, a, n, SQLITE_STATIC);
}

/* partitioner= an SQL function of (key, value, partitions).  It gets what a
** reader of the record will see, and must answer 0..partitions-1. */
static int placeCall(PrillPlacer *p, const PrillTopic *pTopic, const PrillRecord *pRec, i64 *piPart){
  PrillConn *pConn = pTopic->pStore->pConn;
  const char *zFunc = pTopic->cfg.zFunc;
  int rc = SQLITE_OK;
  if( p->pFunc==0 || strcmp(p->zFunc, zFunc)!=0 ){
    char *zSql = sqlite3_mprintf("SELECT \"%w\"(?1,?2,?3)", zFunc);
    if( zSql==0 ) return SQLITE_NOMEM;
    sqlite3_finalize(p->pFunc);
    p->pFunc = 0;
    rc = sqlite3_prepare_v3(pConn->db, zSql, -1, SQLITE_PREPARE_PERSISTENT, &p->pFunc, 0);
    sqlite3_free(zSql);
    sqlite3_snprintf(sizeof(p->zFunc), p->zFunc, "%s", zFunc);
  }
  if( rc==SQLITE_OK ) rc = placeBind(p->pFunc, 1, pRec->pKey, pRec->nKey);
  if( rc==SQLITE_OK ) rc = placeBind(p->pFunc, 2, pRec->pVal, pRec->nVal);
  if( rc==SQLITE_OK ) rc = sqlite3_bind_int(p->pFunc, 3, pTopic->nPart);
  p->bInFunc = 1;
  if( rc==SQLITE_OK && sqlite3_step(p->pFunc)==SQLITE_ROW ){
    *piPart = sqlite3_column_int64(p->pFunc, 0);
    if( sqlite3_column_type(p->pFunc, 0)!=SQLITE_INTEGER || *piPart<0 || *piPart>=pTopic->nPart ){
      const char *z = (const char*)sqlite3_column_text(p->pFunc, 0);
      rc = prillError(pConn, SQLITE_CONSTRAINT, "topic %s: partitioner %s gave %.40s; it must give an"
                      " integer from 0 to %d", pTopic->zName, zFunc, z ? z : "NULL", pTopic->nPart-1);
    }
  }
  p->bInFunc = 0;
  if( p->pFunc ){
    int rc2 = sqlite3_reset(p->pFunc);
    if( rc==SQLITE_OK ) rc = rc2;
    sqlite3_clear_bindings(p->pFunc);
  }
  if( rc!=SQLITE_OK && rc!=SQLITE_NOMEM && rc!=SQLITE_CONSTRAINT ){
    prillError(pConn, rc, "topic %s: partitioner %s: %s", pTopic->zName, zFunc, sqlite3_errmsg(pConn->db));
  }
  return rc;
}

int prillPlace(PrillPlacer *p, PrillTopic *pTopic, const PrillRecord *pRec, i64 *piPart){
  u32 nPart = (u32)pTopic->nPart;
  switch( pTopic->cfg.ePartitioner ){
    case PRILL_SQLFUNC:
      return placeCall(p, pTopic, pRec, piPart);
    case PRILL_ROUNDROBIN:
      *piPart = nPart==1 ? 0 : placeRobin(p, pTopic);
      break;
    case PRILL_CRC32:
      if( nPart==1 ){
        *piPart = 0;
      }else if( pRec->nKey>0 ){
        *piPart = prillCrc32(pRec->pKey, pRec->nKey) % nPart;
      }else{
        *piPart = placeSticky(p, pTopic, pRec);
      }
      break;
    case PRILL_RING:
      if( pRec->nKey>=0 ){
        *piPart = prillJumpHash(pRec->pKey, pRec->nKey, pTopic->nPart);
      }else{
        *piPart = placeSticky(p, pTopic, pRec);
      }
      break;
    default:
      if( nPart==1 ){
        *piPart = 0;
      }else if( pRec->nKey>=0 ){
        *piPart = (prillMurmur2(pRec->pKey, pRec->nKey) & 0x7fffffff) % nPart;
      }else{
        *piPart = placeSticky(p, pTopic, pRec);
      }
      break;
  }
  return SQLITE_OK;
}
