/*
** trim.c: what leaves the log: records below the log start, and files that are
** no longer named.
**
** May call: base, log, and store/part beside it.
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
        " range; it may be raised, from %lld to at most %lld", pPart->pTopic ? pPart->pTopic->zName : "?",
        pPart->iPart, iOff, pPart->x.iLogStart, prillPartEnd(pPart));
  }
  rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_part SET log_start=%lld WHERE pid=%d", iOff, pPart->iPid);
  if( rc==SQLITE_OK ) rc = prillStoreCatalogChanged(p);
  return rc;
}

/* Drop the rows of sealed segments wholly below the log start; their files go
** to the trash, which has paths relative to the log directory. */
static int trimSegments(PrillStore *p, int *pnDone){
  PrillTopic *pTopic;
  int i, j, k;
  int rc = SQLITE_OK;
  for(pTopic=p->pTopics; rc==SQLITE_OK && pTopic; pTopic=pTopic->pNext){
    for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++){
      PrillPart *pPart = pTopic->apPart[i];
      rc = prillPartLoad(pPart);
      if( rc==SQLITE_OK && pPart->x.iLogStart>0 ) rc = prillPartSegs(pPart);
      for(j=0; rc==SQLITE_OK && j<pPart->nSeg && *pnDone<TRIM_MX_FILE; j++){
        static const char *const azExt[] = {"log", "index", "timeindex"};
        PrillSeg *pSeg = &pPart->aSeg[j];
        if( !pSeg->bSealed || pSeg->iEnd>pPart->x.iLogStart ) break;
        for(k=0; rc==SQLITE_OK && k<3; k++){
          char *z = prillPartPath(pPart, pSeg->iBase, pSeg->iGen, azExt[k]);
          if( z==0 ) return SQLITE_NOMEM;
          rc = prillStoreExec(p, "INSERT INTO \"%w\".prill_store_trash(path, seen) VALUES(%Q,0)", z);
          sqlite3_free(z);
        }
        if( rc==SQLITE_OK ){
          rc = prillStoreExec(p, "DELETE FROM \"%w\".prill_store_segment WHERE pid=%d AND base=%lld;"
              "UPDATE \"%w\".prill_store_part SET seg_ver=seg_ver+1, all_bytes=all_bytes-%lld,"
              " all_records=all_records-%lld WHERE pid=%d", pPart->iPid, pSeg->iBase, pSeg->nByte,
              pSeg->nRec, pPart->iPid);
        }
        ++*pnDone;
      }
    }
  }
  if( rc==SQLITE_OK && *pnDone ) rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_state SET extent=%lld",
                                                     prillStoreStamp(p));
  return rc;
}

/* Sync what flush=os or synchronous=OFF left behind, and zero-fill ahead of
** the active segments. */
static int trimAhead(PrillStore *p, int *pnDone){
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

/* Run one upkeep step as a transaction of its own. */
static int trimTransaction(PrillStore *p, int (*xStep)(PrillStore*, int*), int *pnDone){
  int rc = prillStoreExec(p, "BEGIN IMMEDIATE");
  if( rc!=SQLITE_OK ) return rc;
  rc = prillStoreRefresh(p);
  if( rc==SQLITE_OK ) rc = xStep(p, pnDone);
  if( rc==SQLITE_OK ) rc = prillStoreExec(p, "COMMIT");
  if( rc!=SQLITE_OK && !sqlite3_get_autocommit(p->pConn->db) ){
    sqlite3_exec(p->pConn->db, "ROLLBACK", 0, 0, 0);
  }
  return rc;
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
  rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_trash SET seen=1 WHERE id<=%lld", iMax);
  *pbYes = rc==SQLITE_OK;
  return rc;
}

/* Unlink what the trash rows up to iMax name. */
static int trimUnlink(PrillStore *p, i64 iMax){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(p, &pStmt, "SELECT path FROM \"%w\".prill_store_trash WHERE id<=%lld ORDER BY id", iMax);
  if( rc==SQLITE_OK && p->zDir ) rc = prillStoreCheckDir(p);
  prillFilesClose(p);
  while( rc==SQLITE_OK && p->zDir && sqlite3_step(pStmt)==SQLITE_ROW ){
    const char *zRel = (const char*)sqlite3_column_text(pStmt, 0);
    char *z;
    /* A damaged row must not reach outside the directory. */
    if( zRel==0 || zRel[0]=='/' || strstr(zRel, "..") ) continue;
    z = sqlite3_mprintf("%s/%s", p->zDir, zRel);
    if( z==0 ){
      rc = SQLITE_NOMEM;
    }else if( strchr(zRel, '/') ){
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
      " ORDER BY id LIMIT %d)), (SELECT count(*) FROM \"%w\".prill_store_trash)", TRIM_MX_FILE);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    *piMax = sqlite3_column_int64(pStmt, 0);
    *pnLeft = sqlite3_column_int(pStmt, 1);
  }
  sqlite3_finalize(pStmt);
  return rc;
}

/* Is there a sealed segment wholly below its partition's log start? */
static int trimWanted(PrillStore *p, int *pbYes){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(p, &pStmt, "SELECT EXISTS(SELECT 1 FROM \"%w\".prill_store_part AS a"
      " JOIN \"%w\".prill_store_segment AS b ON a.pid=b.pid WHERE a.log_start>0 AND b.next<=a.log_start)");
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) *pbYes = sqlite3_column_int(pStmt, 0);
  sqlite3_finalize(pStmt);
  return rc;
}

int prillTrimMaintain(PrillStore *p, int *pnLeft){
  i64 iMax = 0;
  int nTrash = 0, bWanted = 0, nDone = 0, nAhead = 0, bDurable = 0;
  int rc = prillStoreRefresh(p);
  *pnLeft = 0;
  if( p->bHeld ){
    sqlite3_reset(p->aStmt[STMT_STATE]);
    p->bHeld = 0;
  }
  if( rc!=SQLITE_OK || !p->bExists ) return rc;
  rc = trimWanted(p, &bWanted);
  if( rc==SQLITE_OK && bWanted ) rc = trimTransaction(p, trimSegments, &nDone);
  if( rc==SQLITE_OK && p->zDir && p->bDirRow && !p->bReboot ){
    rc = prillStoreCheckDir(p);
    if( rc==SQLITE_OK ) rc = trimTransaction(p, trimAhead, &nAhead);
  }
  if( rc==SQLITE_OK ) rc = trimCount(p, &iMax, &nTrash);
  if( rc==SQLITE_OK && nTrash ){
    rc = trimDurable(p, iMax, &bDurable);
    if( rc==SQLITE_OK && bDurable ) rc = trimUnlink(p, iMax);
    if( rc==SQLITE_OK && bDurable ){
      rc = prillStoreExec(p, "DELETE FROM \"%w\".prill_store_trash WHERE id<=%lld", iMax);
    }
    if( rc==SQLITE_OK ) rc = trimCount(p, &iMax, &nTrash);
  }
  if( rc==SQLITE_OK && bWanted ) rc = trimWanted(p, &bWanted);
  *pnLeft = nTrash + bWanted;
  return rc;
}
