/*
** seal.c: the files a sealed segment has beside its batches.
**
** May call: base, codec, log, and store/part beside it.
**
** Whoever seals a segment passes here, a writer that closes the active one
** (write.c) as well as upkeep that writes a new generation (compact.c): an
** index of another kind is made in prillSealFiles.
**
** Crash story: the files are synced before a row names the segment; without
** them, or with others in their place, the log is read from its start.
*/
#include "prillInt.h"

/* One index file.  What a crash has left under its name is overwritten. */
static int sealFile(PrillPart *p, i64 iBase, i64 iGen, const char *zExt, const PrillBuf *pBuf, int bSync){
  PrillFile *pFile = 0;
  char *zPath = prillPartFullPath(p, iBase, iGen, zExt);
  int rc = zPath ? prillFileOpen(p->pStore->pVfs, zPath, PRILL_OPEN_CREATE, p->pStore->zDb, &pFile) : SQLITE_NOMEM;
  sqlite3_free(zPath);
  if( rc==SQLITE_OK && pBuf->n ) rc = prillFileWrite(pFile, pBuf->a, pBuf->n, 0);
  if( rc==SQLITE_OK ) rc = prillFileTruncate(pFile, pBuf->n);
  if( rc==SQLITE_OK && bSync ) rc = prillFileSync(pFile);
  prillFileClose(pFile);
  if( rc==SQLITE_OK ) return rc;
  return prillPartFileError(p, rc, iBase, iGen, zExt, "cannot be written; check space and permissions, then try"
                            " again: the partition goes on in a new segment");
}

int prillSealFiles(PrillPart *p, const PrillSealed *pS, int bSync, u32 *piCrc){
  PrillBuf idx = {0,0,0}, time = {0,0,0};
  int rc = SQLITE_OK;
  if( pS->nRec>0 ) prillIndexEncode(&rc, pS->pIndex, pS->iBase, &idx, &time, pS->iMaxTs, pS->iMaxTsOff);
  if( rc==SQLITE_OK ) *piCrc = prillCrc32c(prillCrc32c(0, idx.a, idx.n), time.a, time.n);
  if( rc==SQLITE_OK ) rc = sealFile(p, pS->iBase, pS->iGen, "index", &idx, bSync);
  if( rc==SQLITE_OK ) rc = sealFile(p, pS->iBase, pS->iGen, "timeindex", &time, bSync);
  prillBufFree(&idx);
  prillBufFree(&time);
  return rc;
}
