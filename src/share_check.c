/*
** share_check.c: does what the database says of queues hold?  For prill_check().
**
** Layer 4, groups.  Calls store, part, share.
**
** Reads prill_store_share and writes nothing.  Each problem is one line:
**
**   a row         is of a group that is a queue's and of a partition there is;
**                 its block is below the first offset never looked at
**   states        decode, and are as many as there are offsets (share.c, I2); some
**                 record of the block is not done (I1); locked and due are theirs (I3)
**   a partition   the first offset never looked at is not past the log's end; no
**                 more are locked than may be (I5)
**
** All of it in one snapshot.  Nothing read is trusted.
*/
#include "prillShare.h"
#include <stdarg.h>

#define SHARECHECK_MX_LINE 100        /* problems named; the rest are counted */

typedef struct ShareCheck ShareCheck;
struct ShareCheck {
  PrillStore *pStore;
  PrillBuf *pOut;
  i64 nProblem;
  char *zGroup;                       /* of the rows before */
  i64 iPid;
  PrillPart *pPart;                   /* NULL: there is none */
  i64 iNext;                          /* first offset never looked at, -1: no row says */
  i64 nLocked;                        /* of the partition so far */
  PrillCell aCell[PRILL_SHARE_BLOCK];
};

static int shareCheckSay(ShareCheck *k, const char *zFmt, ...){
  va_list ap;
  char *z;
  int rc = SQLITE_OK;
  if( ++k->nProblem>SHARECHECK_MX_LINE ) return SQLITE_OK;
  va_start(ap, zFmt);
  z = sqlite3_vmprintf(zFmt, ap);
  va_end(ap);
  if( z==0 ) return SQLITE_NOMEM;
  if( k->pPart ){
    prillBufPrintf(&rc, k->pOut, "queue group %s: topic %s partition %d: %s\n", k->zGroup, k->pPart->pTopic->zName,
                   k->pPart->iPart, z);
  }else{
    prillBufPrintf(&rc, k->pOut, "queue group %s: %s\n", k->zGroup, z);
  }
  sqlite3_free(z);
  return rc;
}

/* The row of block -1: how far the group has looked. */
static int shareCheckNext(ShareCheck *k, i64 iNext){
  k->iNext = iNext;
  if( iNext<0 || iNext>prillPartEnd(k->pPart) ){
    return shareCheckSay(k, "it has looked up to offset %lld, the log ends at %lld", iNext, prillPartEnd(k->pPart));
  }
  return SQLITE_OK;
}

/* The row of a block. */
static int shareCheckBlock(ShareCheck *k, i64 iBlock, i64 nLocked, sqlite3_value *pDue, const u8 *a, i64 n){
  i64 nKnown = k->iNext - iBlock*PRILL_SHARE_BLOCK;
  i64 msDue = -1, nHeld = 0;
  int i;
  int rc = SQLITE_OK;
  if( iBlock<0 || iBlock>k->iNext/PRILL_SHARE_BLOCK || nKnown<=0 ){
    return shareCheckSay(k, "block %lld is past offset %lld, up to which it has looked", iBlock, k->iNext);
  }
  nKnown = PRILL_MIN(nKnown, PRILL_SHARE_BLOCK);
  if( prillShareDecode(a ? a : (const u8*)"", n, (int)nKnown, k->aCell)!=SQLITE_OK ){
    return shareCheckSay(k, "block %lld: its states are damaged", iBlock);
  }
  for(i=0; i<nKnown; i++){
    const PrillCell *c = &k->aCell[i];
    i64 ms = c->eState==PRILL_CELL_HELD ? c->msUntil : c->msNot;
    nHeld += c->eState==PRILL_CELL_HELD;
    if( c->eState<=PRILL_CELL_HELD && (msDue<0 || ms<msDue) ) msDue = ms;
  }
  if( msDue<0 ) rc = shareCheckSay(k, "block %lld is done, and has a row", iBlock);
  if( rc==SQLITE_OK && nHeld!=nLocked ){
    rc = shareCheckSay(k, "block %lld: %lld are locked where its row has %lld", iBlock, nHeld, nLocked);
  }
  if( rc==SQLITE_OK && msDue>=0
   && (sqlite3_value_type(pDue)!=SQLITE_INTEGER || sqlite3_value_int64(pDue)!=msDue) ){
    rc = shareCheckSay(k, "block %lld falls due at %lld, which its row does not have", iBlock, msDue);
  }
  k->nLocked += nHeld;
  if( rc==SQLITE_OK && k->nLocked>PRILL_SHARE_LOCKS && k->nLocked-nHeld<=PRILL_SHARE_LOCKS ){
    rc = shareCheckSay(k, "more than %d records are locked", PRILL_SHARE_LOCKS);
  }
  return rc;
}

/* A row of another group or partition than the one before. */
static int shareCheckBegin(ShareCheck *k, const char *zGroup, i64 iPid, int eKind){
  int bGroup = k->zGroup==0 || strcmp(k->zGroup, zGroup)!=0;
  int rc = SQLITE_OK;
  if( !bGroup && iPid==k->iPid ) return SQLITE_OK;
  if( bGroup ){
    sqlite3_free(k->zGroup);
    k->zGroup = sqlite3_mprintf("%s", zGroup);
    if( k->zGroup==0 ) return SQLITE_NOMEM;
  }
  k->iPid = iPid;
  k->iNext = -1;
  k->nLocked = 0;
  k->pPart = 0;
  if( bGroup && eKind!=PRILL_KIND_QUEUE ) rc = shareCheckSay(k, "it has a queue's rows, and is none");
  k->pPart = prillStorePart(k->pStore, iPid);
  if( k->pPart && k->pPart->pTopic==0 ) k->pPart = 0;
  if( k->pPart==0 && rc==SQLITE_OK ) rc = shareCheckSay(k, "partition %lld of its rows does not exist", iPid);
  if( k->pPart && rc==SQLITE_OK ) rc = prillPartLoad(k->pPart);
  return rc;
}

static int shareCheckRow(ShareCheck *k, sqlite3_stmt *pStmt){
  const char *zGroup = (const char*)sqlite3_column_text(pStmt, 0);
  i64 iPid = sqlite3_column_int64(pStmt, 1);
  i64 iBlock = sqlite3_column_int64(pStmt, 2);
  int rc = shareCheckBegin(k, zGroup ? zGroup : "", iPid, sqlite3_column_int(pStmt, 6));
  if( rc!=SQLITE_OK || k->pPart==0 ) return rc;
  if( iBlock==-1 ) return shareCheckNext(k, sqlite3_column_int64(pStmt, 3));
  return shareCheckBlock(k, iBlock, sqlite3_column_int64(pStmt, 3), sqlite3_column_value(pStmt, 4),
                         (const u8*)sqlite3_column_blob(pStmt, 5), sqlite3_column_bytes(pStmt, 5));
}

/* Codes that say nothing about the store. */
static int shareCheckPasses(int rc){
  switch( rc & 0xff ){
    case SQLITE_NOMEM: case SQLITE_INTERRUPT: case SQLITE_BUSY: case SQLITE_LOCKED: case SQLITE_AUTH: return 1;
  }
  return 0;
}

int prillShareCheck(PrillStore *p, PrillBuf *pBuf){
  ShareCheck *k;
  sqlite3_stmt *pStmt = 0;
  int rc = prillStoreRefresh(p);
  if( rc!=SQLITE_OK ) return shareCheckPasses(rc) ? rc : SQLITE_OK;         /* prillCheckStore() said why */
  if( !p->bExists ) return SQLITE_OK;
  k = (ShareCheck*)sqlite3_malloc64(sizeof(*k));
  if( k==0 ) return SQLITE_NOMEM;
  memset(k, 0, sizeof(*k));
  k->pStore = p;
  k->pOut = pBuf;
  rc = prillStorePrepare(p, &pStmt, "SELECT s.grp, s.pid, s.block, s.locked, s.due, s.state, g.kind"
      " FROM \"%w\".prill_store_share s LEFT JOIN \"%w\".prill_store_group g USING(grp)"
      " ORDER BY s.grp, s.pid, s.block");
  while( rc==SQLITE_OK && (rc = sqlite3_step(pStmt))==SQLITE_ROW ) rc = shareCheckRow(k, pStmt);
  if( rc==SQLITE_DONE ) rc = SQLITE_OK;
  if( rc!=SQLITE_OK && !shareCheckPasses(rc) ){
    rc = SQLITE_OK;
    prillBufPrintf(&rc, pBuf, "prill_store_share: %s\n", sqlite3_errmsg(p->pConn->db));
  }
  sqlite3_finalize(pStmt);
  if( rc==SQLITE_OK && k->nProblem>SHARECHECK_MX_LINE ){
    prillBufPrintf(&rc, pBuf, "and %lld more problems of queues\n", k->nProblem-SHARECHECK_MX_LINE);
  }
  sqlite3_free(k->zGroup);
  sqlite3_free(k);
  return rc;
}
