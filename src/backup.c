/*
** backup.c: a copy of a store, its database and its log, from one snapshot.
**
** May call: base, log, and store/part beside it.
**
** prillBackup() makes dest.db and dest.db-log.  In WAL mode writers go on
** meanwhile; with a rollback journal their COMMITs wait, as for any reader.
** The steps:
**
**   snapshot   a read transaction on the source, held to the end: no file that
**              its rows name is unlinked meanwhile (R6)
**   partial    dest.db-log is made, and in it a file "partial"
**   files      every sealed segment, by hard link where VFS and file system
**              have them (their bytes never change again: R2), else copied; of
**              an active segment the committed bytes, and its key runs, are
**              copied, since both stores will append to theirs
**   store      the id file
**   database   by sqlite3_backup, in one transaction of dest.db
**   whole      "partial" is deleted
**
** Everything a step made is durable before the next: files are synced, and the
** directories of linked ones.
**
**   I1  dest.db has pages only when all that its rows name is in dest.db-log.
**   I2  Nothing that was there is overwritten: dest.db must be missing or
**       empty, dest.db-log missing, empty or "partial".
**
** Crash story: what a backup that died left is an empty dest.db, if any, and a
** dest.db-log with "partial" in it, or nothing; the next backup to the same place begins
** again there.
*/
#include "prillInt.h"

#define BACKUP_COPY 65536       /* bytes read and written at a time */

typedef struct Backup Backup;
struct Backup {
  PrillStore *p;
  char *zDb, *zDir;             /* dest.db, dest.db-log */
  PrillBackup *pOut;
  PrillBuf buf;                 /* BACKUP_COPY bytes */
};

static int backupFail(Backup *b, int rc, const char *zPath, const char *zWhat){
  if( (rc&0xff)==SQLITE_NOMEM ) return rc;
  return prillError(b->p->pConn, rc, "%s: %s: %s", "prill_backup", zPath, zWhat);
}

/* Write a small file whole, durably. */
static int backupFile(Backup *b, const char *zName, const char *a, int n){
  char *z = sqlite3_mprintf("%s/%s", b->zDir, zName);
  PrillFile *pFile = 0;
  int rc = z ? prillFileOpen(b->p->pVfs, z, PRILL_OPEN_CREATE, b->p->zDb, &pFile) : SQLITE_NOMEM;
  if( rc==SQLITE_OK ) rc = prillFileWrite(pFile, a, n, 0);
  if( rc==SQLITE_OK ) rc = prillFileSync(pFile);
  if( rc!=SQLITE_OK ) backupFail(b, rc, z, "cannot be written; check permissions and space");
  prillFileClose(pFile);
  sqlite3_free(z);
  return rc;
}

/**************************************************************************
** Where it goes.
*/

/* Is dest.db a database without a page, once SQLite has rolled back what a
** backup that died left? */
static int backupIsEmpty(Backup *b){
  sqlite3 *pDest = 0;
  sqlite3_stmt *pStmt = 0;
  int bEmpty = 0;
  int rc = sqlite3_open_v2(b->zDb, &pDest, SQLITE_OPEN_READWRITE, b->p->pVfs->zName);
  if( rc==SQLITE_OK ) rc = sqlite3_prepare_v2(pDest, "PRAGMA page_count", -1, &pStmt, 0);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) bEmpty = sqlite3_column_int64(pStmt, 0)==0;
  sqlite3_finalize(pStmt);
  sqlite3_close(pDest);
  return bEmpty;
}

/* Refuse a place that is taken (I2). */
static int backupPlace(Backup *b){
  sqlite3_vfs *pVfs = b->p->pVfs;
  int bDb = 0, bDir = 0, bPartial = 0;
  char *zPartial = sqlite3_mprintf("%s/partial", b->zDir);
  int rc = zPartial ? prillFileExists(pVfs, b->zDb, &bDb) : SQLITE_NOMEM;
  if( rc==SQLITE_OK && bDb && !backupIsEmpty(b) ){
    rc = backupFail(b, SQLITE_CANTOPEN, b->zDb, "exists already; name another file, or move it away"
                    " with its log directory");
  }
  if( rc==SQLITE_OK ) rc = prillFileExists(pVfs, b->zDir, &bDir);
  if( rc==SQLITE_OK && bDir ) rc = prillFileExists(pVfs, zPartial, &bPartial);
  if( rc==SQLITE_OK && bDir && !bPartial ){             /* of one that died here it is empty */
    rc = prillFileRmdir(pVfs, b->zDir);
    if( rc==SQLITE_OK ) rc = prillFileExists(pVfs, b->zDir, &bDir);
    if( rc!=SQLITE_OK ) backupFail(b, rc, b->zDir, "cannot be written; check permissions and space");
  }
  if( rc==SQLITE_OK && bDir && !bPartial ){
    rc = backupFail(b, SQLITE_CANTOPEN, b->zDir, "exists already and is no unfinished backup; name another"
                    " file, or move it away");
  }
  sqlite3_free(zPartial);
  return rc;
}

/* The destination's names, absolute as SQLite makes them. */
static int backupNames(Backup *b, const char *zDest){
  sqlite3_vfs *pVfs = b->p->pVfs;
  int n = pVfs->mxPathname+1;
  int rc;
  if( strncmp(zDest, "file:", 5)==0 ) return backupFail(b, SQLITE_CANTOPEN, zDest, "is a URI; name the file itself");
  b->zDb = (char*)sqlite3_malloc64((u64)n);
  if( b->zDb==0 ) return SQLITE_NOMEM;
  rc = pVfs->xFullPathname(pVfs, zDest, n, b->zDb);
  if( (rc&0xff)==SQLITE_OK ) rc = SQLITE_OK;          /* _SYMLINK is told as OK_SYMLINK */
  if( rc!=SQLITE_OK ) return backupFail(b, rc, zDest, "no name for a file; name another");
  b->zDir = sqlite3_mprintf("%s-log", b->zDb);
  return b->zDir ? SQLITE_OK : SQLITE_NOMEM;
}

/**************************************************************************
** The log.
*/

/* Copy the first nByte bytes of zFrom, durably; all of them when nByte<0. */
static int backupCopy(Backup *b, const char *zFrom, const char *zTo, i64 nByte){
  PrillFile *pFrom = 0, *pTo = 0;
  i64 iPos = 0;
  int rc = prillFileOpen(b->p->pVfs, zFrom, PRILL_OPEN_READ, 0, &pFrom);
  if( rc==SQLITE_OK && nByte<0 ) rc = prillFileSize(pFrom, &nByte);
  if( rc!=SQLITE_OK ){
    rc = backupFail(b, rc, zFrom, "cannot be opened; put the file back or restore the store from a backup");
  }else{
    rc = prillFileOpen(b->p->pVfs, zTo, PRILL_OPEN_CREATE, b->p->zDb, &pTo);
    if( rc==SQLITE_OK ) rc = prillFileTruncate(pTo, 0);
    if( rc!=SQLITE_OK ) backupFail(b, rc, zTo, "cannot be written; check permissions and space");
  }
  while( rc==SQLITE_OK && iPos<nByte ){
    i64 n = PRILL_MIN(BACKUP_COPY, nByte-iPos);
    rc = prillFileRead(pFrom, b->buf.a, n, iPos);
    if( rc!=SQLITE_OK ){
      backupFail(b, rc, zFrom, "cannot be read as far as its records go; run prill_check()");
      break;
    }
    rc = prillFileWrite(pTo, b->buf.a, n, iPos);
    if( rc!=SQLITE_OK ) backupFail(b, rc, zTo, "cannot be written; check permissions and space");
    iPos += n;
  }
  if( rc==SQLITE_OK ){
    rc = prillFileSync(pTo);
    if( rc!=SQLITE_OK ) backupFail(b, rc, zTo, "cannot be written; check permissions and space");
  }
  prillFileClose(pFrom);
  prillFileClose(pTo);
  b->pOut->nByte += iPos;
  return rc;
}

/* One file of a segment: linked when it will not change, else copied. */
static int backupSegFile(Backup *b, PrillPart *p, const PrillSeg *pSeg, const char *zExt, int *pbLinked){
  char *zRel = prillPartPath(p, pSeg->iBase, pSeg->iGen, zExt);
  char *zFrom = prillPartFullPath(p, pSeg->iBase, pSeg->iGen, zExt);
  char *zTo = zRel ? sqlite3_mprintf("%s/%s", b->zDir, zRel) : 0;
  int rc = zTo && zFrom ? SQLITE_OK : SQLITE_NOMEM;
  int bLog = strcmp(zExt, "log")==0;
  int bThere = 1, bDone = 0;
  if( rc==SQLITE_OK && (pSeg->bSealed || !bLog) ) rc = prillFileExists(b->p->pVfs, zFrom, &bThere);
  if( rc==SQLITE_OK && pSeg->bSealed ){
    if( bThere ) rc = prillFileDelete(b->p->pVfs, zTo, 0);
    if( rc==SQLITE_OK && bThere ) rc = prillFileLink(b->p->pVfs, zFrom, zTo);
    bDone = rc==SQLITE_OK && bThere;
    if( rc==SQLITE_NOTFOUND ) rc = SQLITE_OK;           /* no hard links here */
    if( rc!=SQLITE_OK ) backupFail(b, rc, zTo, "cannot be written; check permissions and space");
  }
  if( bDone ){
    *pbLinked = 1;
    b->pOut->nLinked++;
  }else if( rc==SQLITE_OK && (bThere || bLog) ){
    /* Key runs past those the snapshot knows: nothing names them. */
    rc = backupCopy(b, zFrom, zTo, pSeg->bSealed || !bLog ? -1 : p->x.nByte);
  }
  if( rc==SQLITE_OK && bThere ) b->pOut->nFile++;
  sqlite3_free(zRel);
  sqlite3_free(zFrom);
  sqlite3_free(zTo);
  return rc;
}

static int backupPart(Backup *b, PrillPart *p){
  int rc = prillPartLoad(p);
  int i, j, bLinked = 0;
  char *zRel, *zDir;
  if( rc==SQLITE_OK ) rc = prillPartSegs(p);
  if( rc!=SQLITE_OK || p->nSeg==0 ) return rc;
  zRel = prillPartPath(p, 0, 0, "");
  zDir = zRel ? sqlite3_mprintf("%s/%s", b->zDir, zRel) : 0;
  rc = zDir ? prillFileMkdir(b->p->pVfs, zDir, b->p->zDb, 1) : SQLITE_NOMEM;
  if( rc!=SQLITE_OK ) backupFail(b, rc, zDir, "cannot be written; check permissions and space");
  for(i=0; rc==SQLITE_OK && i<p->nSeg; i++){
    const PrillSeg *pSeg = &p->aSeg[i];
    const char *zExt;
    for(j=0; rc==SQLITE_OK && (zExt = prillPartExt(j))!=0; j++){
      if( !pSeg->bSealed && j>0 && strcmp(zExt, "keyruns")!=0 ) continue;
      rc = backupSegFile(b, p, pSeg, zExt, &bLinked);
    }
  }
  if( rc==SQLITE_OK && bLinked ){
    rc = prillFileSyncDir(b->p->pVfs, zDir);
    if( rc!=SQLITE_OK ) backupFail(b, rc, zDir, "cannot be written; check permissions and space");
  }
  sqlite3_free(zRel);
  sqlite3_free(zDir);
  return rc;
}

static int backupLog(Backup *b){
  PrillTopic *pTopic;
  char zId[34];
  int i;
  int rc = prillStoreCheckDir(b->p);
  prillHex(b->p->aId, 16, zId);
  zId[32] = '\n';
  if( rc==SQLITE_OK ){
    rc = prillFileMkdir(b->p->pVfs, b->zDir, b->p->zDb, 1);
    if( rc!=SQLITE_OK ) backupFail(b, rc, b->zDir, "cannot be written; check permissions and space");
  }
  if( rc==SQLITE_OK ) rc = backupFile(b, "partial", zId, 33);
  for(pTopic=b->p->pTopics; rc==SQLITE_OK && pTopic; pTopic=pTopic->pNext){
    for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++) rc = backupPart(b, pTopic->apPart[i]);
  }
  if( rc==SQLITE_OK ) rc = backupFile(b, "store", zId, 33);
  return rc;
}

/* Remove "partial": the backup is whole. */
static int backupWhole(Backup *b){
  char *z = sqlite3_mprintf("%s/partial", b->zDir);
  int rc = z ? prillFileDelete(b->p->pVfs, z, 1) : SQLITE_NOMEM;
  if( rc!=SQLITE_OK ) backupFail(b, rc, z, "cannot be written; check permissions and space");
  sqlite3_free(z);
  return rc;
}

/**************************************************************************
** The database.
*/

/* An empty dest.db with the source's mode, so that SQLite gives no wider one. */
static int backupEmpty(Backup *b){
  PrillFile *pFile = 0;
  int bThere = 0;
  int rc = prillFileExists(b->p->pVfs, b->zDb, &bThere);
  if( rc!=SQLITE_OK || bThere || b->p->zDb[0]==0 ) return rc;
  rc = prillFileOpen(b->p->pVfs, b->zDb, PRILL_OPEN_CREATE, b->p->zDb, &pFile);
  if( rc==SQLITE_OK ) rc = prillFileSync(pFile);          /* and its directory entry */
  prillFileClose(pFile);
  return rc;
}

static int backupDb(Backup *b){
  sqlite3 *pDest = 0;
  sqlite3_backup *pBackup = 0;
  int rc = backupEmpty(b);
  if( rc!=SQLITE_OK ) return backupFail(b, rc, b->zDb, "cannot be written; check permissions and space");
  rc = sqlite3_open_v2(b->zDb, &pDest, SQLITE_OPEN_READWRITE|SQLITE_OPEN_CREATE, b->p->pVfs->zName);
  if( rc==SQLITE_OK ) rc = sqlite3_exec(pDest, "PRAGMA synchronous=EXTRA", 0, 0, 0);   /* the journal stays deleted */
  if( rc==SQLITE_OK ){
    pBackup = sqlite3_backup_init(pDest, "main", b->p->pConn->db, b->p->zSchema);
    rc = pBackup ? sqlite3_backup_step(pBackup, -1) : sqlite3_errcode(pDest);
  }
  if( rc==SQLITE_DONE ) rc = SQLITE_OK;
  if( pBackup ){
    int rc2 = sqlite3_backup_finish(pBackup);
    if( rc==SQLITE_OK ) rc = rc2;
  }
  if( rc!=SQLITE_OK ) backupFail(b, rc, b->zDb, pDest ? sqlite3_errmsg(pDest) : sqlite3_errstr(rc));
  sqlite3_close(pDest);
  return rc;
}

int prillBackup(PrillStore *p, const char *zDest, PrillBackup *pOut){
  Backup b;
  int rc;
  memset(pOut, 0, sizeof(*pOut));
  memset(&b, 0, sizeof(b));
  b.p = p;
  b.pOut = pOut;
  if( sqlite3_txn_state(p->pConn->db, p->zSchema)==SQLITE_TXN_WRITE ){
    return prillError(p->pConn, SQLITE_ERROR, "prill_backup: this transaction has written to \"%s\"; COMMIT first,"
                      " then SELECT prill_backup(...)", p->zSchema);
  }
  rc = prillStoreRefresh(p);                    /* and hold the snapshot */
  if( rc==SQLITE_OK ) rc = backupNames(&b, zDest);
  if( rc==SQLITE_OK ) prillBufRoom(&rc, &b.buf, BACKUP_COPY);
  if( rc==SQLITE_OK ) rc = backupPlace(&b);
  if( rc==SQLITE_OK && p->bExists && p->zDir && p->bDirRow ) rc = backupLog(&b);
  if( rc==SQLITE_OK ) rc = backupDb(&b);
  if( rc==SQLITE_OK && p->bExists && p->zDir && p->bDirRow ) rc = backupWhole(&b);
  prillBufFree(&b.buf);
  sqlite3_free(b.zDb);
  sqlite3_free(b.zDir);
  return rc;
}
