/*
** trim.c: what leaves the log: records that are too old or too many, records
** below the log start, and files that are no longer named.
**
** May call: base, log, and store/part/tail beside it.
**
** RETENTION (cleanup.policy has "delete").  The log start rises past the
** oldest records, a unit at a time: a sealed segment, the active one, a chunk
** of the tail.  A unit is due when its youngest record is older than
** retention.ms, or while the partition, tail included, has more bytes than
** retention.bytes.  Who sees to it:
**
**   upkeep   prillTrimMaintain: any unit, of any partition
**   writers  prillTrimPlan, in xSync: sealed segments of the partitions they
**            write to, so that no commit leaves one above retention.bytes.  A
**            transaction that alone is larger is refused.  By age only where
**            they begin a new segment
**
** Nothing is unlinked in the transaction that drops it: at synchronous=NORMAL
** its COMMIT may not survive a power cut, and a reader may hold a snapshot that
** still names the file.  The dropping transaction puts the path into
** prill_store_trash; upkeep unlinks it once the drop is durable and no snapshot
** older than it can exist (R6):
**
**   WAL              a passive checkpoint begun after the row was there has
**                    copied every frame (nLog==nCkpt)
**   rollback journal a later transaction has committed: the UPDATE seen=1
**
**   I1  The log start never falls, and rises over nothing of the transaction
**       that raises it.
**   I2  A segment's row and its trash rows change in one transaction.
**   I3  A writer's second xSync of one transaction drops what the first did,
**       and perhaps more, until a ROLLBACK TO has undone its rows.
**
** Crash story: a path is unlinked before its row is deleted; unlinking again
** what is gone is harmless.
*/
#include "prillInt.h"

#define TRIM_MX_FILE 256

/* log_start is moved by SQL alone, so that ROLLBACK TO undoes it; segments
** wholly below it go at the next upkeep. */
int prillTrimLogStart(PrillPart *pPart, i64 iOff){
  PrillStore *p = pPart->pStore;
  int rc = prillPartLoad(pPart);
  if( rc!=SQLITE_OK ) return rc;
  if( iOff<pPart->x.iLogStart || iOff>prillPartEnd(pPart) ){
    return prillError(p->pConn, SQLITE_CONSTRAINT, "topic %s partition %d: log_start_offset=%lld is out of"
        " range; it may be raised, from %lld to at most %lld", prillPartTopicName(pPart), pPart->iPart,
        iOff, pPart->x.iLogStart, prillPartEnd(pPart));
  }
  rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_part SET log_start=%lld WHERE pid=%d", iOff, pPart->iPid);
  if( rc==SQLITE_OK ) rc = prillStoreCatalogChanged(p);
  return rc;
}

/**************************************************************************
** Dropping segments.
*/

/* The files of a segment, or with iBase -1 the partition's directory, into the
** trash, which has paths relative to the log directory. */
int prillTrimTrash(PrillPart *pPart, i64 iBase, i64 iGen){
  int i;
  int rc = SQLITE_OK;
  if( iBase<0 ) return prillTrimTrashFile(pPart, 0, 0, "");
  for(i=0; rc==SQLITE_OK && prillPartExt(i); i++) rc = prillTrimTrashFile(pPart, iBase, iGen, prillPartExt(i));
  return rc;
}

int prillTrimTrashFile(PrillPart *pPart, i64 iBase, i64 iGen, const char *zExt){
  PrillStore *p = pPart->pStore;
  char *z = prillPartPath(pPart, iBase, iGen, zExt);
  int rc = z ? SQLITE_OK : SQLITE_NOMEM;
  sqlite3_stmt *pStmt = prillStoreStmt(p, STMT_PUT_TRASH, &rc);
  if( pStmt ){
    sqlite3_bind_text(pStmt, 1, z, -1, SQLITE_TRANSIENT);
    sqlite3_step(pStmt);
    prillStoreDone(p, pStmt, &rc);
  }
  sqlite3_free(z);
  return rc;
}

/* Drop a segment's row, and with it its files and index entries.  Where there
** is no such row (an earlier xSync has dropped it) nothing is done. */
int prillTrimSegment(PrillPart *pPart, i64 iBase, i64 iGen){
  PrillStore *p = pPart->pStore;
  int rc = prillStoreExec(p, "DELETE FROM \"%w\".prill_store_index WHERE pid=%d AND base=%lld;"
      "DELETE FROM \"%w\".prill_store_key WHERE pid=%d AND base=%lld AND gen=%lld;"
      "DELETE FROM \"%w\".prill_store_segment WHERE pid=%d AND base=%lld AND gen=%lld",
      pPart->iPid, iBase, pPart->iPid, iBase, iGen, pPart->iPid, iBase, iGen);
  if( rc==SQLITE_OK && sqlite3_changes(p->pConn->db)>0 ) rc = prillTrimTrash(pPart, iBase, iGen);
  return rc;
}

/**************************************************************************
** What is due.
*/
typedef struct TrimWalk TrimWalk;
struct TrimWalk {
  i64 iTsMin;             /* a unit whose youngest is older goes; I64MIN: none */
  i64 mxByte;             /* bytes that may stay, -1: all */
  i64 nTotal;             /* bytes that stay */
  i64 iStart;             /* the log start */
};

static void trimWalkInit(TrimWalk *t, const PrillConfig *pCfg, i64 iNow, const PrillExtent *pX){
  int bDelete = (pCfg->mCleanup & PRILL_DELETE)!=0;
  t->iTsMin = bDelete && pCfg->msRetention>=0 && iNow>0 ? iNow - pCfg->msRetention : PRILL_I64MIN;
  t->mxByte = bDelete ? pCfg->szRetention : -1;
  t->nTotal = pX->nAllByte;
  t->iStart = pX->iLogStart;
}

/* May the oldest unit go, whose offsets end before iEnd? */
static int trimUnit(TrimWalk *t, i64 iEnd, i64 nByte, i64 iMaxTs){
  if( iEnd>t->iStart && iMaxTs>=t->iTsMin && (t->mxByte<0 || t->nTotal<=t->mxByte) ) return 0;
  t->nTotal -= nByte;
  t->iStart = PRILL_MAX(t->iStart, iEnd);
  return 1;
}

/**************************************************************************
** Writers.
*/

/* What this transaction has put into the segments itself, beside the tail that
** it moved there. */
static i64 trimOwnBytes(const PrillWrite *w){
  return (w->bDirect ? w->x.nAllByte - w->nOwnFrom : 0) + w->nRaw;
}

int prillTrimTooLarge(const PrillWrite *w){
  i64 mx = w->pTopic->cfg.szRetention;
  return (w->pTopic->cfg.mCleanup & PRILL_DELETE) && mx>=0 && w->bDirect && w->x.nAllByte-w->nOwnFrom>mx;
}

int prillTrimRefuse(const PrillWrite *w){
  return prillError(w->pPart->pStore->pConn, SQLITE_FULL, "topic %s partition %d: this transaction brings %lld"
      " bytes, more than retention.bytes=%lld leaves room for; commit in smaller steps, or UPDATE prill_config"
      " to raise it", w->pTopic->zName, w->pPart->iPart, trimOwnBytes(w), w->pTopic->cfg.szRetention);
}

/* Decide which segments go with this transaction's COMMIT (I3).  *pbOver: the
** partition has more than retention.bytes all the same. */
int prillTrimPlan(PrillWrite *w, int *pbOver){
  PrillPart *p = w->pPart;
  const PrillConfig *pCfg = &w->pTopic->cfg;
  int bRolled = w->nSeg>0 && w->aSeg[w->nSeg-1].bNew;
  int nKept = p->pStore->pStage->bRows ? w->nTrim : 0;
  i64 iOwn = prillPartEnd(p);
  TrimWalk t;
  int i, bAll;
  *pbOver = 0;
  if( (pCfg->mCleanup & PRILL_DELETE)==0 ) return SQLITE_OK;
  if( pCfg->szRetention<0 && !(bRolled && pCfg->msRetention>=0) ) return SQLITE_OK;
  trimWalkInit(&t, pCfg, bRolled ? prillNow(p->pStore->pVfs) : 0, &w->x);
  t.nTotal += w->nRaw + (w->bDirect ? 0 : p->nTailByte);
  w->nTrim = w->nTrimOwn = 0;
  w->nTrimByte = w->nTrimRec = 0;
  w->iTrimTo = w->iTrimTail = 0;
  for(i=0; i<p->nSeg && p->aSeg[i].bSealed; i++){
    PrillSeg *pSeg = &p->aSeg[i];
    if( i<nKept ) t.iStart = PRILL_MAX(t.iStart, pSeg->iEnd);          /* I3 */
    if( !trimUnit(&t, pSeg->iEnd, pSeg->nByte, pSeg->iMaxTs) ) break;
    w->nTrim++;
    w->nTrimByte += pSeg->nByte;
    w->nTrimRec += pSeg->nRec;
  }
  bAll = i==p->nSeg || !p->aSeg[i].bSealed;
  while( bAll && w->bDirect && w->nTrimOwn<w->nSeg ){
    PrillWriteSeg *pSeg = &w->aSeg[w->nTrimOwn];
    if( !pSeg->bSealed || pSeg->iEnd>iOwn || !trimUnit(&t, pSeg->iEnd, pSeg->nByte, pSeg->iMaxTs) ) break;
    w->nTrimOwn++;
    w->nTrimByte += pSeg->nByte;
    w->nTrimRec += pSeg->nRec;
  }
  for(i=0; bAll && w->x.iBase<0 && !w->bDirect && i<p->nTail; i++){
    PrillChunk *pChunk = p->apTail[i];
    if( !trimUnit(&t, pChunk->iNext, pChunk->buf.n, pChunk->iMaxTs) ) break;
    w->iTrimTail = pChunk->iNext;
  }
  if( w->nTrim || w->nTrimOwn || w->iTrimTail ) w->iTrimTo = t.iStart;
  *pbOver = t.mxByte>=0 && t.nTotal>t.mxByte;
  return SQLITE_OK;
}

/* The extent as the transaction leaves it. */
void prillTrimExtent(const PrillWrite *w, PrillExtent *pX){
  *pX = w->x;
  if( w->iTrimTo==0 ) return;
  pX->iLogStart = PRILL_MAX(pX->iLogStart, w->iTrimTo);
  pX->iSegEnd = PRILL_MAX(pX->iSegEnd, w->iTrimTail);
  pX->nAllByte -= w->nTrimByte;
  pX->nAllRec -= w->nTrimRec;
  if( w->nTrim || w->nTrimOwn ) pX->iSegVer++;
}

/* Rows, after those of the write. */
int prillTrimRows(PrillWrite *w){
  PrillPart *p = w->pPart;
  int i;
  int rc = SQLITE_OK;
  if( w->iTrimTo==0 ) return SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<w->nTrim; i++) rc = prillTrimSegment(p, p->aSeg[i].iBase, p->aSeg[i].iGen);
  for(i=0; rc==SQLITE_OK && i<w->nTrimOwn; i++) rc = prillTrimSegment(p, w->aSeg[i].iBase, w->aSeg[i].iGen);
  if( rc==SQLITE_OK ){
    rc = prillStoreExec(p->pStore, "UPDATE \"%w\".prill_store_part SET log_start=max(log_start,%lld) WHERE pid=%d",
                        w->iTrimTo, p->iPid);
  }
  return rc;
}

/**************************************************************************
** Upkeep.
*/

/* What of a partition is to go now. */
typedef struct TrimDue TrimDue;
struct TrimDue {
  int nSeg;               /* segments, the oldest */
  u8 bActive;             /* the last of them is the active one */
  i64 iTail;              /* chunks of the tail below this offset, 0: none */
  i64 nByte, nRec;        /* of the segments */
  i64 iStart;             /* the log start as it will be */
};

/* *pDue of a current partition whose topic is known; at most mxSeg segments.
** Until the first writer after a reboot has looked at it the active segment
** stays as it is. */
static int trimDue(PrillPart *p, i64 iNow, int mxSeg, TrimDue *pDue){
  TrimWalk t;
  int i;
  int rc = prillPartLoad(p);
  memset(pDue, 0, sizeof(*pDue));
  if( rc==SQLITE_OK ) rc = prillPartSegs(p);
  if( rc!=SQLITE_OK ) return rc;
  trimWalkInit(&t, &p->pTopic->cfg, iNow, &p->x);
  t.nTotal += p->nTailByte;
  for(i=0; i<p->nSeg && i<mxSeg; i++){
    PrillSeg *pSeg = &p->aSeg[i];
    if( !pSeg->bSealed && p->pStore->bReboot ) break;
    if( !trimUnit(&t, pSeg->iEnd, pSeg->nByte, pSeg->iMaxTs) ) break;
    pDue->nSeg++;
    pDue->bActive = !pSeg->bSealed;
    pDue->nByte += pSeg->nByte;
    pDue->nRec += pSeg->nRec;
  }
  if( i==p->nSeg ){
    for(i=0; i<p->nTail; i++){
      PrillChunk *pChunk = p->apTail[i];
      if( !trimUnit(&t, pChunk->iNext, pChunk->buf.n, pChunk->iMaxTs) ) break;
      pDue->iTail = pChunk->iNext;
    }
  }
  pDue->iStart = t.iStart;
  return SQLITE_OK;
}

/* Drop what is due. */
static int trimApply(PrillPart *p, const TrimDue *pDue){
  int i;
  int rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<pDue->nSeg; i++) rc = prillTrimSegment(p, p->aSeg[i].iBase, p->aSeg[i].iGen);
  if( rc==SQLITE_OK ){
    rc = prillStoreExec(p->pStore, "UPDATE \"%w\".prill_store_part SET log_start=max(log_start,%lld),"
        " seg_end=max(seg_end,%lld), seg_ver=seg_ver+%d, all_bytes=all_bytes-%lld,"
        " all_records=all_records-%lld WHERE pid=%d", pDue->iStart, pDue->iTail, pDue->nSeg>0,
        pDue->nByte, pDue->nRec, p->iPid);
  }
  if( rc==SQLITE_OK && pDue->bActive ){
    rc = prillStoreExec(p->pStore, "UPDATE \"%w\".prill_store_part SET base=-1, gen=0, bytes=0, synced=0,"
        " records=0, first_ts=0, max_ts=-1, max_ts_off=0, min_ts=0 WHERE pid=%d", p->iPid);
  }
  return rc;
}

/* Visit the partitions in which something is due: only count them (pnDone
** NULL), or drop at most TRIM_MX_FILE segments of theirs. */
static int trimVisit(PrillStore *p, int *pnDue, int *pnDone){
  PrillTopic *pTopic;
  i64 iNow = prillNow(p->pVfs);
  int i;
  int rc = SQLITE_OK;
  for(pTopic=p->pTopics; rc==SQLITE_OK && pTopic; pTopic=pTopic->pNext){
    for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++){
      int nLeft = TRIM_MX_FILE - (pnDone ? *pnDone : 0);
      TrimDue due;
      if( nLeft<=0 ) return rc;
      rc = trimDue(pTopic->apPart[i], iNow, nLeft, &due);
      if( rc!=SQLITE_OK || (due.nSeg==0 && due.iTail==0) ) continue;
      if( pnDue ) ++*pnDue;
      if( pnDone ){
        rc = trimApply(pTopic->apPart[i], &due);
        *pnDone += PRILL_MAX(due.nSeg, 1);
      }
    }
  }
  return rc;
}

static int trimRetain(PrillStore *p, void *pArg){
  int *pnDone = (int*)pArg;
  int rc = trimVisit(p, 0, pnDone);
  if( rc==SQLITE_OK && *pnDone ) rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_state SET extent=%lld",
                                                     prillStoreStamp(p));
  return rc;
}

/* Sync what flush=os or synchronous=OFF left behind, and zero-fill ahead of
** the active segments. */
static int trimAhead(PrillStore *p, void *pArg){
  int *pnDone = (int*)pArg;
  PrillTopic *pTopic;
  i64 nBudget = prillLimit.szZero;
  int i, bSynced;
  int rc = SQLITE_OK;
  for(pTopic=p->pTopics; rc==SQLITE_OK && pTopic; pTopic=pTopic->pNext){
    for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++){
      PrillPart *pPart = pTopic->apPart[i];
      rc = prillPartLoad(pPart);
      if( rc==SQLITE_OK ) rc = prillWriteAhead(pPart, &nBudget, &bSynced);
      if( rc==SQLITE_OK && bSynced && pPart->x.nSynced<pPart->x.nByte ){
        rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_part SET synced=bytes WHERE pid=%d", pPart->iPid);
        ++*pnDone;
      }
    }
  }
  if( rc==SQLITE_OK && *pnDone ) rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_state SET extent=%lld",
                                                     prillStoreStamp(p));
  return rc;
}

int prillTrimTransaction(PrillStore *p, int (*xStep)(PrillStore*, void*), void *pArg){
  PrillUndo undo;
  int rc = prillUndoBegin(p, &undo, 0);
  if( rc!=SQLITE_OK ) return rc;
  rc = prillStoreRefresh(p);
  if( rc==SQLITE_OK ) rc = xStep(p, pArg);
  return prillUndoEnd(p, &undo, rc);
}

/* Is everything in the trash now durably dropped and beyond every snapshot? */
static int trimDurable(PrillStore *p, i64 iMax, int *pbYes){
  sqlite3_stmt *pStmt = 0;
  int bWal = 1, nLog = 0, nCkpt = 0;
  int rc = prillStorePrepare(p, &pStmt, "PRAGMA \"%w\".journal_mode");
  *pbYes = 0;
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    bWal = sqlite3_stricmp((const char*)sqlite3_column_text(pStmt, 0), "wal")==0;
  }
  sqlite3_finalize(pStmt);
  if( rc!=SQLITE_OK ) return rc;
  if( bWal ){
    rc = sqlite3_wal_checkpoint_v2(p->pConn->db, p->zSchema, SQLITE_CHECKPOINT_PASSIVE, &nLog, &nCkpt);
    if( (rc&0xff)==SQLITE_BUSY || (rc&0xff)==SQLITE_LOCKED ) return SQLITE_OK;
    *pbYes = rc==SQLITE_OK && nLog==nCkpt;
    return rc;
  }
  rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_trash SET seen=1 WHERE id<=%lld AND seen>=0", iMax);
  *pbYes = rc==SQLITE_OK;
  return rc;
}

/* Is a trash row's path one that prill writes: a partition's directory, or with
** bFile a file in one?  A damaged row must not reach anything else. */
static int trimIsPath(const char *z, int *pbFile){
  size_t n = strspn(z, "0123456789abcdef");
  *pbFile = 0;
  if( n!=32 || z[n]!='-' ) return 0;
  z += n+1;
  n = strspn(z, "0123456789");
  if( n==0 || z[n]==0 ) return n>0;
  *pbFile = z[n]=='/';
  z += n+1;
  return *pbFile && strspn(z, "0123456789")==20 && strchr(z, '/')==0;
}

/* Unlink what the trash rows up to iMax name. */
static int trimUnlink(PrillStore *p, i64 iMax){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(p, &pStmt, "SELECT path FROM \"%w\".prill_store_trash WHERE id<=%lld AND seen>=0"
                             " ORDER BY id", iMax);
  if( rc==SQLITE_OK && p->zDir ) rc = prillStoreCheckDir(p);
  prillFilesClose(p);
  while( rc==SQLITE_OK && p->zDir && sqlite3_step(pStmt)==SQLITE_ROW ){
    const char *zRel = (const char*)sqlite3_column_text(pStmt, 0);
    int bFile = 0;
    char *z;
    if( zRel==0 || !trimIsPath(zRel, &bFile) ) continue;
    z = sqlite3_mprintf("%s/%s", p->zDir, zRel);
    if( z==0 ){
      rc = SQLITE_NOMEM;
    }else if( bFile ){
      rc = prillFileDelete(p->pVfs, z, 0);
    }else{
      rc = prillFileRmdir(p->pVfs, z);
    }
    if( rc!=SQLITE_OK && rc!=SQLITE_NOMEM ){
      prillError(p->pConn, rc, "cannot delete %s; check its permissions", z);
    }
    sqlite3_free(z);
  }
  sqlite3_finalize(pStmt);
  return rc;
}

/* The number trash holds, and the greatest row number of the first
** TRIM_MX_FILE of them. */
static int trimCount(PrillStore *p, i64 *piMax, int *pnLeft){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(p, &pStmt, "SELECT (SELECT max(id) FROM (SELECT id FROM \"%w\".prill_store_trash"
      " WHERE seen>=0 ORDER BY id LIMIT %d)), (SELECT count(*) FROM \"%w\".prill_store_trash WHERE seen>=0)",
      TRIM_MX_FILE);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    *piMax = sqlite3_column_int64(pStmt, 0);
    *pnLeft = sqlite3_column_int(pStmt, 1);
  }
  sqlite3_finalize(pStmt);
  return rc;
}

/* Files that a compaction was writing when it died are trash. */
static int trimExpire(PrillStore *p){
  sqlite3_stmt *pStmt = 0;
  i64 iNow = prillNow(p->pVfs);
  int bAny = 0;
  int rc = prillStorePrepare(p, &pStmt, "SELECT EXISTS(SELECT 1 FROM \"%w\".prill_store_trash WHERE seen<0"
                             " AND seen>%lld)", -iNow);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) bAny = sqlite3_column_int(pStmt, 0);
  sqlite3_finalize(pStmt);
  if( rc!=SQLITE_OK || !bAny ) return rc;
  return prillStoreExec(p, "UPDATE \"%w\".prill_store_trash SET seen=0 WHERE seen<0 AND seen>%lld", -iNow);
}

static int trimProducer(PrillStore *p, void *pArg){
  (void)pArg;
  return prillProducerExpire(p);
}

/* A look first: most calls find none, and need no write lock then. */
static int trimProducers(PrillStore *p){
  int bDue = 0;
  int rc = prillProducerDue(p, &bDue);
  return rc==SQLITE_OK && bDue ? prillTrimTransaction(p, trimProducer, 0) : rc;
}

int prillTrimMaintain(PrillStore *p, int *pnLeft){
  i64 iMax = 0;
  int nTrash = 0, nDue = 0, nDone = 0, nAhead = 0, bDurable = 0, bCompact = 0, nInbox = 0;
  int rc = prillStoreRefresh(p);
  *pnLeft = 0;
  if( rc==SQLITE_OK && p->bExists ) rc = trimVisit(p, &nDue, 0);
  if( p->bHeld ){
    sqlite3_reset(p->aStmt[STMT_STATE]);
    p->bHeld = 0;
  }
  if( rc!=SQLITE_OK || !p->bExists ) return rc;
  if( nDue ) rc = prillTrimTransaction(p, trimRetain, &nDone);
  if( rc==SQLITE_OK && p->zDir && p->bDirRow && !p->bReboot ){
    rc = prillStoreCheckDir(p);
    if( rc==SQLITE_OK ) rc = prillTrimTransaction(p, trimAhead, &nAhead);
  }
  if( rc==SQLITE_OK && p->zDir && p->bDirRow && !p->bReboot ) rc = prillCompactStep(p, &bCompact);
  if( rc==SQLITE_OK ) rc = trimExpire(p);
  if( rc==SQLITE_OK ) rc = trimProducers(p);
  if( rc==SQLITE_OK ) rc = trimCount(p, &iMax, &nTrash);
  if( rc==SQLITE_OK && nTrash ){
    rc = trimDurable(p, iMax, &bDurable);
    if( rc==SQLITE_OK && bDurable ) rc = trimUnlink(p, iMax);
    if( rc==SQLITE_OK && bDurable ){
      rc = prillStoreExec(p, "DELETE FROM \"%w\".prill_store_trash WHERE id<=%lld AND seen>=0", iMax);
    }
    if( rc==SQLITE_OK ) rc = trimCount(p, &iMax, &nTrash);
  }
  if( rc==SQLITE_OK ) rc = prillInboxMove(p, &nInbox);
  *pnLeft = nTrash + (nDone>=TRIM_MX_FILE) + bCompact + nInbox;
  return rc;
}
