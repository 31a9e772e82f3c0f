/*
** repair.c: after a reboot, the end of a partition's active segment as the disk
** has it, where flush=os or synchronous=OFF left bytes unsynced (R3).
**
** May call: base, codec, log, and store/part beside it.
**
** What lies past the synced bytes is CRC-checked batch by batch; the extent is
** lowered to the last valid one and the lost offsets are noted as a gap.
** Offsets once handed out are not used again: the segment's end offset stays.
**
** Crash story: nothing is written to files; the rows are the first writer's.
*/
#include "prillInt.h"

/* A read of n bytes at iPos failed with rc.  Is it that the bytes are not
** there, rather than that they could not be had?  Only then are they lost:
** SQLITE_OK. */
static int repairGone(PrillPart *p, const PrillExtent *pX, int rc, i64 iEnd){
  int bExists = 1;
  i64 nSize = iEnd;
  if( rc==SQLITE_IOERR_SHORT_READ ){
    PrillFile *pFile;
    if( prillPartFileOpen(p, pX->iBase, pX->iGen, PRILL_OPEN_READ, &pFile)==SQLITE_OK
     && prillFileSize(pFile, &nSize)==SQLITE_OK && nSize<iEnd ) return SQLITE_OK;
    return prillPartFileError(p, rc, pX->iBase, pX->iGen, "log", "cannot be read; check the disk");
  }
  if( (rc&0xff)==SQLITE_CANTOPEN ){
    char *z = prillPartFullPath(p, pX->iBase, pX->iGen, "log");
    int rc2 = z ? prillFileExists(p->pStore->pVfs, z, &bExists) : SQLITE_NOMEM;
    sqlite3_free(z);
    if( rc2==SQLITE_OK && !bExists ) return SQLITE_OK;
  }
  return rc;
}

/* Read the active segment up to its last valid batch: *pX becomes the extent
** whose bytes end there, *piEnd the offset after it.  The segment's end offset
** stays: offsets that were handed out are not used again, and chunks of the
** ring that the segment had taken over stay dead. */
static int repairScan(PrillPart *p, PrillExtent *pX, i64 *piEnd){
  PrillBuf b = {0,0,0};
  PrillBatch h;
  i64 iPos = 0, nRec = 0, nNeed = 0;
  i64 iEnd = pX->iBase;
  int rc = SQLITE_OK;
  pX->iMaxTs = pX->iMinTs = pX->iFirstTs;
  pX->iMaxTsOff = pX->iBase;
  while( iPos+PRILL_BATCH_HDR<=pX->nByte ){
    u8 *a = prillBufRoom(&rc, &b, PRILL_BATCH_HDR);
    if( rc==SQLITE_OK ) rc = prillPartRead(p, pX->iBase, pX->iGen, a, PRILL_BATCH_HDR, iPos);
    nNeed = iPos+PRILL_BATCH_HDR;
    if( rc!=SQLITE_OK || prillBatchHeader(a, PRILL_BATCH_HDR, &h)!=SQLITE_OK ) break;
    if( h.nByte>pX->nByte-iPos || h.iBase<iEnd || h.iBase+h.dLast>=pX->iSegEnd ) break;
    a = prillBufRoom(&rc, &b, h.nByte);
    if( rc==SQLITE_OK ) rc = prillPartRead(p, pX->iBase, pX->iGen, a, h.nByte, iPos);
    nNeed = iPos+h.nByte;
    if( rc!=SQLITE_OK || prillBatchCheck(a, &h)!=SQLITE_OK ) break;
    iPos += h.nByte;
    iEnd = h.iBase + h.dLast + 1;
    nRec += h.nRec;
    if( nRec==h.nRec || h.iMaxTs>pX->iMaxTs ){       /* the first, or newer */
      pX->iMaxTs = h.iMaxTs;
      pX->iMaxTsOff = iEnd-1;
    }
  }
  prillBufFree(&b);
  if( rc!=SQLITE_OK ) rc = repairGone(p, pX, rc, nNeed);
  if( rc!=SQLITE_OK ) return rc;
  pX->nAllByte -= pX->nByte - iPos;
  pX->nAllRec -= pX->nRec - nRec;
  pX->nByte = iPos;
  pX->nRec = nRec;
  *piEnd = iEnd;
  return rc;
}

int prillRepairWrite(PrillWrite *w){
  PrillPart *p = w->pPart;
  PrillExtent x = w->x;
  i64 iEnd = x.iSegEnd;
  int rc;
  w->x.iEpoch++;
  w->bRepair = 1;
  if( x.iBase<0 || x.nSynced>=x.nByte ) return SQLITE_OK;
  rc = prillStoreCheckDir(p->pStore);
  if( rc==SQLITE_OK ) rc = repairScan(p, &w->x, &iEnd);
  if( rc==SQLITE_OK && w->x.nByte==x.nByte ){
    x.iEpoch++;
    w->x = x;                          /* nothing lost: as it was */
    return rc;
  }
  if( rc!=SQLITE_OK ) return rc;
  w->x.iMinTs = PRILL_MIN(x.iMinTs, w->x.iMinTs);
  w->x.nSynced = PRILL_MIN(x.nSynced, w->x.nByte);
  sqlite3_log(SQLITE_WARNING, "prill: topic %s partition %d: offsets %lld to %lld were lost when the power"
              " failed (flush=os or synchronous=OFF)", w->pTopic->zName, p->iPart, iEnd, x.iSegEnd-1);
  w->iGapFirst = iEnd;
  w->iGapLast = x.iSegEnd-1;
  rc = prillPartSegs(p);
  if( rc==SQLITE_OK && p->nSeg ) rc = prillPartKeys(p, p->nSeg-1);
  if( rc==SQLITE_OK && p->nSeg ){
    prillKeyCut(&p->aSeg[p->nSeg-1], w->x.nByte);
    prillIndexFree(&p->aSeg[p->nSeg-1].index);
    p->aSeg[p->nSeg-1].bIndex = 1;
  }
  return rc;
}
