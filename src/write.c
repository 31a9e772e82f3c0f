/*
** write.c: one transaction's batches on their way into a partition's segments.
**
** May call: base, codec, log, and store/part/tail/stage beside it.
**
**   I1  Bytes below the committed end never change.
**   I2  Bytes above it are written only where they are zeros or this
**       connection's own; else the partition goes on in a new segment.
**   I3  A file made by this transaction is synced, with its directory entry and
**       that of its directory, before any row names it (not with
**       synchronous=OFF).  Where segments are synced at COMMIT that is done
**       then, once for all: the first sync commits the file system's journal,
**       and the rest finds little left to do.
**   I4  A segment's file is cut to its length only when it is sealed; and, when
**       the disk is full, by the transaction that filled it.
**   I5  After a failed write or sync no more is appended to that file (R7).
**   I6  The bytes a transaction writes are a prefix of what it would write with
**       more records: a second xSync repeats and extends the first.
**   I7  Where segments are not synced before COMMIT, nothing is written over
**       what was taken back either: a power cut could bring it to light again,
**       as a batch in good order.
**   I8  Before COMMIT the files written to are still those their names lead to:
**       bytes in a file that was removed or replaced are nobody's.
**
** Crash story: between any two steps before SQLite's COMMIT there are bytes
** above committed ends and files no row names; the next writer steps around
** them (I2) or takes the next generation of the name.
*/
#include "prillInt.h"

static const char zWriteRemedy[] =
  "cannot be written; check space and permissions, then try again: the partition goes on in a new segment";

#define WRITE_SPARE 16      /* writes whose memory is kept for the next transaction */
#define WRITE_AHEAD 8       /* writes like this one that zero-filling provides for */
#define WRITE_FILL 131072   /* least bytes of a write that is not zero-filled for */
static const u8 writeZero[65536];

/* R7: this file takes no more appends from this connection. */
static int writeFailed(PrillWrite *w, int rc, i64 iBase, i64 iGen, const char *zExt){
  PrillPart *p = w->pPart;
  p->iBadBase = iBase;
  p->iBadGen = iGen;
  p->pStore->nFailed++;
  prillPartFileForget(p, iBase, iGen);
  if( rc==SQLITE_FULL ) prillStageFull(p->pStore->pStage);
  return prillPartFileError(p, rc, iBase, iGen, zExt, zWriteRemedy);
}

static PrillWriteSeg *writePushSeg(PrillWrite *w, i64 iBase, i64 iGen, int bNew){
  PrillWriteSeg *pSeg;
  if( w->nSeg>=w->nSegAlloc ){
    int nAlloc = w->nSegAlloc*2 + 2;
    PrillWriteSeg *a = (PrillWriteSeg*)sqlite3_realloc64(w->aSeg, sizeof(*a)*(u64)nAlloc);
    if( a==0 ) return 0;
    w->aSeg = a;
    w->nSegAlloc = nAlloc;
  }
  pSeg = &w->aSeg[w->nSeg++];
  memset(pSeg, 0, sizeof(*pSeg));
  pSeg->iBase = iBase;
  pSeg->iGen = iGen;
  pSeg->bNew = (u8)bNew;
  return pSeg;
}

/* Do bytes of a part taken back, which are ours, lie above the segment's end? */
static int writeOwn(const PrillWrite *w){
  const PrillPart *p = w->pPart;
  return prillPartSame(p->iOwnBase, p->iOwnGen, w->x.iBase, w->x.iGen) && p->iOwnFrom<=w->x.nByte
      && p->iOwnTo>w->x.nByte;
}

/* Is what lies above the committed end ours to overwrite (I2)?  Sets bRoll
** when not. */
static int writeLook(PrillWrite *w){
  PrillPart *p = w->pPart;
  PrillFile *pFile;
  u8 a[64];
  i64 nSize = 0;
  size_t i;
  int rc;
  if( prillPartSame(p->iBadBase, p->iBadGen, w->x.iBase, w->x.iGen) ){
    w->bRoll = 1;
    return SQLITE_OK;
  }
  rc = prillPartFileOpen(p, w->x.iBase, w->x.iGen, PRILL_OPEN_WRITE, &pFile);
  if( rc!=SQLITE_OK ){
    return prillPartFileError(p, rc, w->x.iBase, w->x.iGen, "log",
        "cannot be opened for writing; put the file back or restore the store from a backup");
  }
  rc = prillFileSize(pFile, &nSize);
  if( rc==SQLITE_OK && nSize<w->x.nByte ){
    return prillPartFileError(p, PRILL_CORRUPT, w->x.iBase, w->x.iGen, "log",
        "is shorter than its committed records; restore the store from a backup");
  }
  if( writeOwn(w) ){
    if( p->pStore->eFlush==PRILL_FLUSH_OS ) w->bRoll = 1;               /* I7 */
  }else if( rc==SQLITE_OK && nSize>w->x.nByte ){
    rc = prillFileRead(pFile, a, 64, w->x.nByte);
    if( rc==SQLITE_IOERR_SHORT_READ ) rc = SQLITE_OK;
    for(i=0; rc==SQLITE_OK && i<sizeof(a); i++){
      if( a[i] ) w->bRoll = 1;
    }
  }
  if( rc!=SQLITE_OK ) rc = prillPartFileError(p, rc, w->x.iBase, w->x.iGen, "log", "cannot be read; check the disk");
  return rc;
}

/* Write n bytes to the segment, where w->buf begins. */
static int writeOut(PrillWrite *w, const u8 *a, i64 n){
  PrillPart *p = w->pPart;
  PrillFile *pFile;
  int rc = prillPartFileOpen(p, w->x.iBase, w->x.iGen, PRILL_OPEN_WRITE, &pFile);
  if( rc==SQLITE_OK ) rc = prillFileWrite(pFile, a, n, w->iBufPos);
  if( rc!=SQLITE_OK ) return writeFailed(w, rc, w->x.iBase, w->x.iGen, "log");
  if( !prillPartSame(p->iOwnBase, p->iOwnGen, w->x.iBase, w->x.iGen) ){
    p->iOwnBase = w->x.iBase;
    p->iOwnGen = w->x.iGen;
    p->iOwnFrom = w->iBufPos;
    p->iOwnTo = 0;
  }
  w->iBufPos += n;
  if( w->iBufPos>p->iOwnTo ) p->iOwnTo = w->iBufPos;
  p->pStore->pStage->nByte -= n;
  return SQLITE_OK;
}

int prillWriteFlush(PrillWrite *w){
  int rc = w->buf.n ? writeOut(w, w->buf.a, w->buf.n) : SQLITE_OK;
  if( rc==SQLITE_OK ) w->buf.n = 0;
  return rc;
}

/* May the sync of a file about to be made wait for the end of the transaction,
** when its bytes are synced with it?  Where segments are synced then, and
** while few files wait: their handles must stay open (I3). */
static int writeMayWait(PrillStage *pStage, int eLevel){
  return eLevel>0 && pStage->pStore->eFlush==PRILL_FLUSH_COMMIT && pStage->nFresh<prillLimit.nOpen/2;
}

/* Make the file of a new segment: the first generation of the name that does
** not exist.  Its directory entry is durable on return, or will be after
** prillWriteSync and prillWriteSyncDir (I3). */
static int writeNewFile(PrillWrite *w, i64 iBase, i64 *piGen){
  PrillPart *p = w->pPart;
  PrillStage *pStage = p->pStore->pStage;
  PrillFile *pFile = 0;
  int eLevel, bWait;
  i64 iGen;
  int rc = prillStoreMakeDir(p->pStore, 1);
  if( rc==SQLITE_OK ) rc = prillStageLevel(pStage, &eLevel);
  if( rc!=SQLITE_OK ) return rc;
  bWait = writeMayWait(pStage, eLevel);
  if( w->x.iSegVer==0 ){
    char *zDir = prillPartFullPath(p, 0, 0, "");
    rc = zDir ? prillFileMkdir(p->pStore->pVfs, zDir, p->pStore->zDb, !bWait) : SQLITE_NOMEM;
    if( bWait ) pStage->bSyncDir = 1;
    if( rc!=SQLITE_OK ){
      prillError(p->pStore->pConn, rc, "cannot make the directory %s; check space and permissions",
                 zDir ? zDir : "");
    }
    sqlite3_free(zDir);
  }
  if( rc!=SQLITE_OK ) return rc;
  for(iGen=0; iGen<1000; iGen++){
    rc = SQLITE_CONSTRAINT;
    if( p->pStore->eFlush==PRILL_FLUSH_OS && prillPartFileIsOpen(p, iBase, iGen) ) continue;   /* I7 */
    rc = prillPartFileOpen(p, iBase, iGen, PRILL_OPEN_NEW, &pFile);
    if( rc!=SQLITE_CONSTRAINT ) break;
  }
  if( rc!=SQLITE_OK ) return prillPartFileError(p, rc, iBase, iGen, "log", zWriteRemedy);
  if( bWait ){
    pStage->nFresh++;
  }else if( eLevel>0 ){
    rc = prillFileSync(pFile);
    if( rc!=SQLITE_OK ) return writeFailed(w, rc, iBase, iGen, "log");
  }
  *piGen = iGen;
  return rc;
}

/* Close the active segment, if there is one, and open another at iBase. */
static int writeRoll(PrillWrite *w, i64 iBase, i64 iTs){
  PrillWriteSeg *pSeg;
  i64 iGen = 0;
  int rc = prillWriteFlush(w);
  if( rc==SQLITE_OK ) rc = writeNewFile(w, iBase, &iGen);
  if( rc!=SQLITE_OK ) return rc;
  if( w->x.iBase>=0 ){
    pSeg = &w->aSeg[w->nSeg-1];
    assert( pSeg->iBase==w->x.iBase && pSeg->iGen==w->x.iGen );
    pSeg->bSealed = 1;
    pSeg->bUncut = w->bRoll;
    pSeg->iEnd = w->x.iSegEnd;
    pSeg->nByte = w->x.nByte;
    pSeg->nRec = w->x.nRec;
    pSeg->iMinTs = w->x.iMinTs;
    pSeg->iMaxTs = w->x.iMaxTs;
    pSeg->iMaxTsOff = w->x.iMaxTsOff;
  }
  pSeg = writePushSeg(w, iBase, iGen, 1);
  if( pSeg==0 ) return SQLITE_NOMEM;
  w->x.iBase = iBase;
  w->x.iGen = iGen;
  w->x.nByte = w->x.nSynced = w->x.nRec = 0;
  w->x.iFirstTs = w->x.iMaxTs = w->x.iMinTs = iTs;
  w->x.iMaxTsOff = iBase;
  w->x.iSegVer++;
  w->iBufPos = 0;
  w->bRoll = 0;
  return SQLITE_OK;
}

/* Before a batch of at most nByte bytes: roll when the segment is full, old,
** or not to be appended to. */
static int writeRoom(PrillWrite *w, i64 nByte, const PrillBatch *pB){
  const PrillConfig *pCfg = &w->pTopic->cfg;
  i64 szSegment = pCfg->szSegment;
  int bRoll = w->bRoll || w->x.iBase<0;
  i64 msSegment = pCfg->msSegment;
  if( pCfg->mCleanup & PRILL_DELETE ){
    /* Small enough that what retention leaves behind is little. */
    if( pCfg->szRetention>=0 ) szSegment = PRILL_MIN(szSegment, PRILL_MAX(pCfg->szRetention/8, 1024));
    if( pCfg->msRetention>=0 ) msSegment = PRILL_MIN(msSegment, PRILL_MAX(pCfg->msRetention/8, 1));
  }
  if( pCfg->mCleanup & PRILL_COMPACT ) msSegment = PRILL_MIN(msSegment, pCfg->msMaxLag);
  if( !bRoll && w->x.nByte>0 ){
    bRoll = w->x.nByte+nByte>szSegment || w->x.nByte+nByte>0x7fffffff
         || pB->iBase+pB->dLast-w->x.iBase>0x7fffffff
         || (pB->iMaxTs>w->x.iFirstTs && (u64)pB->iMaxTs-(u64)w->x.iFirstTs>(u64)msSegment);
  }
  return bRoll ? writeRoll(w, pB->iBase, pB->iBaseTs) : SQLITE_OK;
}

/* The records of a chunk as one batch into w->buf. */
static int writeEncode(PrillWrite *w, const PrillChunk *pChunk, i64 *pnByte){
  const PrillConfig *pCfg = &w->pTopic->cfg;
  int eCodec = pCfg->eCompress==PRILL_PRODUCER ? PRILL_LZ4 : pCfg->eCompress;
  PrillBatch b;
  int rc;
  memset(&b, 0, sizeof(b));
  b.iBase = pChunk->iBase;
  b.iEpoch = (i32)pChunk->iEpoch;
  /* The attribute gives every record the batch's greatest timestamp: only
  ** where that changes nothing may it stand. */
  b.mAttr = pCfg->bAppendTime && pChunk->iMinTs==pChunk->iMaxTs ? PRILL_ATTR_APPENDTIME : 0;
  b.dLast = pChunk->nRec-1;
  b.iBaseTs = pChunk->iBaseTs;
  b.iMaxTs = pChunk->iMaxTs;
  b.iProducer = -1;
  b.iProducerEpoch = -1;
  b.iSeq = -1;
  b.nRec = pChunk->nRec;
  rc = writeRoom(w, PRILL_BATCH_HDR+pChunk->buf.n, &b);
  prillBatchEncode(&rc, &w->buf, &b, eCodec, pChunk->buf.a, pChunk->buf.n);
  *pnByte = b.nByte;
  return rc;
}

/* A whole batch, as it is: into w->buf, or if it is large to the file. */
static int writeVerbatim(PrillWrite *w, const PrillChunk *pChunk, i64 *pnByte){
  PrillBatch b;
  int rc = prillBatchHeader(pChunk->buf.a, pChunk->buf.n, &b);
  if( rc==SQLITE_OK ) rc = writeRoom(w, pChunk->buf.n, &b);
  if( pChunk->buf.n>=prillLimit.szWrite/4 ){
    if( rc==SQLITE_OK ) rc = prillWriteFlush(w);
    if( rc==SQLITE_OK ) rc = writeOut(w, pChunk->buf.a, pChunk->buf.n);
  }else{
    prillBufAppend(&rc, &w->buf, pChunk->buf.a, pChunk->buf.n);
  }
  *pnByte = pChunk->buf.n;
  return rc;
}

/* One chunk as one batch. */
static int writeBatch(PrillWrite *w, const PrillChunk *pChunk){
  PrillWriteSeg *pSeg;
  i64 iPos, nByte = 0;
  int rc = pChunk->bBatch ? writeVerbatim(w, pChunk, &nByte) : writeEncode(w, pChunk, &nByte);
  if( rc!=SQLITE_OK ) return rc;
  w->pPart->pStore->pStage->nByte += nByte;
  pSeg = &w->aSeg[w->nSeg-1];
  iPos = w->x.nByte;
  if( iPos==0 || pChunk->iMaxTs>w->x.iMaxTs ){
    w->x.iMaxTs = pChunk->iMaxTs;
    w->x.iMaxTsOff = pChunk->iNext-1;
  }
  if( iPos==0 || pChunk->iMinTs<w->x.iMinTs ) w->x.iMinTs = pChunk->iMinTs;
  if( iPos>0 ){
    /* Entries of earlier transactions are in the cached segment. */
    i64 iLast = pSeg->index.n ? pSeg->index.a[pSeg->index.n-1].iPos : 0;
    if( pSeg->index.n==0 && !pSeg->bNew ){
      PrillIndex *pOld = &w->pPart->aSeg[w->pPart->nSeg-1].index;
      if( pOld->n ) iLast = pOld->a[pOld->n-1].iPos;
    }
    if( iPos-iLast>=prillLimit.szIndex ){
      prillIndexAdd(&rc, &pSeg->index, pChunk->iBase, pChunk->iNext-1, iPos, w->x.iMaxTs);
    }
  }
  w->x.nByte += nByte;
  w->x.nAllByte += nByte;
  w->x.nRec += pChunk->nRec;
  w->x.nAllRec += pChunk->nRec;
  w->x.iSegEnd = pChunk->iNext;
  if( rc==SQLITE_OK && w->buf.n>=prillLimit.szWrite ) rc = prillWriteFlush(w);
  return rc;
}

/* Move the records of pIn into *ppWork, writing it out whenever it is full. */
static int writeRebatch(PrillWrite *w, PrillChunk *pIn, PrillChunk **ppWork){
  const u8 *a = pIn->buf.a;
  const u8 *aEnd = a + pIn->buf.n;
  PrillChunk *pWork = *ppWork;
  PrillRecord r;
  i64 iOff = pIn->iBase;
  int rc = SQLITE_OK;
  while( rc==SQLITE_OK && a<aEnd ){
    i64 n = prillRecordDecode(a, aEnd, pIn->iBase, pIn->iBaseTs, &r);
    if( n==0 || r.iOff!=iOff ) return prillPartBad(w->pPart, "tail");
    iOff++;
    a += n;
    if( pWork && (pWork->buf.n+n>w->pTopic->cfg.szBatch || pWork->iNext!=r.iOff || pWork->iEpoch!=pIn->iEpoch) ){
      rc = writeBatch(w, pWork);
      prillChunkUnref(pWork);
      pWork = 0;
    }
    if( pWork==0 ) pWork = prillChunkNew(&rc, r.iOff, r.iTs, pIn->iEpoch);
    if( pWork ) prillChunkAppend(&rc, pWork, &r);
  }
  *ppWork = pWork;
  return rc;
}

int prillWriteChunks(PrillWrite *w, PrillChunk **apChunk, int nChunk){
  PrillChunk *pWork = 0;
  int i;
  int rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<nChunk; i++){
    if( apChunk[i]->bBatch || apChunk[i]->buf.n*2>=w->pTopic->cfg.szBatch || (nChunk==1 && apChunk[i]->nRec>0) ){
      /* A batch already, or large enough to be one. */
      if( pWork ) rc = writeBatch(w, pWork);
      prillChunkUnref(pWork);
      pWork = 0;
      if( rc==SQLITE_OK ) rc = writeBatch(w, apChunk[i]);
    }else{
      rc = writeRebatch(w, apChunk[i], &pWork);
    }
  }
  if( rc==SQLITE_OK && pWork ) rc = writeBatch(w, pWork);
  prillChunkUnref(pWork);
  return rc;
}

int prillWriteStart(PrillWrite *w){
  PrillPart *p = w->pPart;
  int rc;
  assert( !w->bDirect );
  rc = prillPartSegs(p);
  if( rc==SQLITE_OK && w->x.iBase>=0 ){
    rc = prillStoreCheckDir(p->pStore);
    if( rc==SQLITE_OK ) rc = prillPartIndex(p, p->nSeg-1);
    if( rc==SQLITE_OK ) rc = prillPartKeys(p, p->nSeg-1);
    if( rc==SQLITE_OK ) rc = writeLook(w);
    if( rc==SQLITE_OK && w->nSeg==0 && writePushSeg(w, w->x.iBase, w->x.iGen, 0)==0 ) rc = SQLITE_NOMEM;
    w->iBufPos = w->x.nByte;
  }
  if( rc!=SQLITE_OK ) return rc;
  w->bDirect = 1;
  rc = prillWriteChunks(w, p->apTail, p->nTail);
  w->nOwnFrom = w->x.nAllByte;
  return rc;
}

/* Cut a sealed segment's file to its length and write its indexes. */
static int writeSeal(PrillWrite *w, PrillWriteSeg *pSeg, int bSync){
  PrillPart *p = w->pPart;
  PrillIndex all = {0,0,0};
  PrillSealed sealed = {pSeg->iBase, pSeg->iGen, pSeg->nRec, pSeg->iMaxTs, pSeg->iMaxTsOff, &all};
  PrillFile *pFile;
  i64 nSize = 0;
  int i;
  int rc = SQLITE_OK;
  if( !pSeg->bNew ){
    PrillIndex *pOld = &p->aSeg[p->nSeg-1].index;
    for(i=0; i<pOld->n; i++){
      prillIndexAdd(&rc, &all, pOld->a[i].iOff, pOld->a[i].iLast, pOld->a[i].iPos, pOld->a[i].iMaxTs);
    }
  }
  for(i=0; i<pSeg->index.n; i++){
    PrillIndexEntry *pE = &pSeg->index.a[i];
    prillIndexAdd(&rc, &all, pE->iOff, pE->iLast, pE->iPos, pE->iMaxTs);
  }
  if( rc==SQLITE_OK ) rc = prillSealFiles(p, &sealed, bSync, &pSeg->iIndexCrc);
  if( rc==SQLITE_OK ){
    rc = prillPartFileOpen(p, pSeg->iBase, pSeg->iGen, PRILL_OPEN_WRITE, &pFile);
    if( rc==SQLITE_OK ) rc = prillFileSize(pFile, &nSize);
    if( rc==SQLITE_OK && nSize>pSeg->nByte && !pSeg->bUncut ) rc = prillFileTruncate(pFile, pSeg->nByte);
    if( rc!=SQLITE_OK ) rc = writeFailed(w, rc, pSeg->iBase, pSeg->iGen, "log");
  }
  prillIndexFree(&all);
  return rc;
}

/* I8, of one segment. */
static int writeStillThere(PrillWrite *w, const PrillWriteSeg *pSeg){
  PrillPart *p = w->pPart;
  PrillFile *pFile;
  int rc = prillPartFileOpen(p, pSeg->iBase, pSeg->iGen, PRILL_OPEN_WRITE, &pFile);
  if( rc==SQLITE_OK && !prillFileMoved(pFile) ) return SQLITE_OK;
  p->iOwnBase = -1;
  prillPartFileForget(p, pSeg->iBase, pSeg->iGen);
  if( rc==SQLITE_OK || (rc&0xff)==SQLITE_CANTOPEN ){
    int rc2 = prillStoreLookDir(p->pStore);
    if( rc2!=SQLITE_OK ) return rc2;
    rc = SQLITE_CANTOPEN;
  }
  return prillPartFileError(p, rc, pSeg->iBase, pSeg->iGen, "log",
      "was removed or replaced while a transaction wrote to it; put it back and run the transaction again");
}

int prillWriteFiles(PrillWrite *w){
  static const u8 aZero[64];
  PrillPart *p = w->pPart;
  int eLevel = 0, i;
  int rc = prillStageLevel(p->pStore->pStage, &eLevel);
  if( rc==SQLITE_OK ) rc = prillWriteFlush(w);
  for(i=0; rc==SQLITE_OK && i<w->nSeg; i++){
    if( w->aSeg[i].bSealed ) rc = writeSeal(w, &w->aSeg[i], eLevel>0);
  }
  if( rc==SQLITE_OK ) rc = prillKeyFiles(w, eLevel>0);
  if( rc==SQLITE_OK && writeOwn(w) ){
    /* Bytes of a part taken back lie above the end: blank their beginning so
    ** that other connections may append here too. */
    PrillFile *pFile;
    rc = prillPartFileOpen(p, w->x.iBase, w->x.iGen, PRILL_OPEN_WRITE, &pFile);
    if( rc==SQLITE_OK ) rc = prillFileWrite(pFile, aZero, sizeof(aZero), w->x.nByte);
    if( rc!=SQLITE_OK ) rc = writeFailed(w, rc, w->x.iBase, w->x.iGen, "log");
  }
  for(i=0; rc==SQLITE_OK && i<w->nSeg; i++) rc = writeStillThere(w, &w->aSeg[i]);
  return rc;
}

/* With flush=os: has flush.ms passed since this connection last synced the
** partition? */
static int writeSyncDue(PrillPart *p){
  PrillStore *pStore = p->pStore;
  i64 iNow;
  if( pStore->eFlush!=PRILL_FLUSH_OS ) return 1;
  if( pStore->msFlush<0 ) return 0;
  iNow = prillNow(pStore->pVfs);
  if( iNow>=p->iSyncTime && iNow-p->iSyncTime<pStore->msFlush ) return 0;
  p->iSyncTime = iNow;
  return 1;
}

/* A sync of the active segment's file failed, and committed bytes were among
** what it was to write: nothing but writing them again brings them to the disk
** (R7). */
static int writeAgain(PrillPart *p, PrillFile *pFile){
  PrillBuf b = {0,0,0};
  i64 iPos = p->x.nSynced;
  int rc = SQLITE_OK;
  u8 *a = prillBufRoom(&rc, &b, 65536);
  while( rc==SQLITE_OK && iPos<p->x.nByte ){
    i64 n = PRILL_MIN(65536, p->x.nByte-iPos);
    rc = prillFileRead(pFile, a, n, iPos);
    if( rc==SQLITE_OK ) rc = prillFileWrite(pFile, a, n, iPos);
    iPos += n;
  }
  prillBufFree(&b);
  return rc;
}

/* Sync the file, open for writing, of segment (iBase, iGen). */
static int writeSyncFile(PrillPart *p, PrillFile *pFile, i64 iBase, i64 iGen){
  int rc = SQLITE_OK;
  if( prillPartSame(p->iBadBase, p->iBadGen, iBase, iGen) && prillPartSame(p->x.iBase, p->x.iGen, iBase, iGen) ){
    rc = writeAgain(p, pFile);
  }
  return rc==SQLITE_OK ? prillFileSync(pFile) : rc;
}

/* The write has reached the end of its segment's file: zero-fill what the next
** ones will need, so that they need not change the file's length, which adds a
** commit of the file system's journal to a sync.  As much as the segment holds and
** as WRITE_AHEAD such writes take, in one step of at most szZero; synced with the
** write.  Not for large writes: they wait for the disk to take their bytes, and
** zeros would be as many again.  No space for it is no error: the file is cut back
** to what it must hold. */
static int writeFill(PrillWrite *w, PrillFile *pFile){
  const PrillWriteSeg *pSeg = &w->aSeg[w->nSeg-1];
  i64 nNew = pSeg->bNew ? w->x.nByte : w->x.nByte - w->pPart->x.nByte;
  i64 nSize = 0, iPos = w->x.nByte, nWant;
  int rc = SQLITE_OK;
  if( pSeg->bSealed || w->pPart->pStore->eFlush!=PRILL_FLUSH_COMMIT || nNew<=0 || nNew>=WRITE_FILL ) return SQLITE_OK;
  nWant = PRILL_MIN(iPos, PRILL_MIN(nNew*WRITE_AHEAD, prillLimit.szZero));
  nWant = PRILL_MIN(iPos + nWant, w->pTopic->cfg.szSegment);
  if( nWant<=iPos ) return SQLITE_OK;
  rc = prillFileSize(pFile, &nSize);
  if( rc!=SQLITE_OK || nSize!=iPos ) return rc;
  while( rc==SQLITE_OK && iPos<nWant ){
    i64 n = PRILL_MIN((i64)sizeof(writeZero), nWant-iPos);
    rc = prillFileWrite(pFile, writeZero, n, iPos);
    iPos += n;
  }
  if( (rc&0xff)==SQLITE_FULL ) rc = prillFileTruncate(pFile, nSize);
  return rc;
}

int prillWriteSyncDir(PrillStage *pStage){
  PrillStore *p = pStage->pStore;
  int rc;
  if( !pStage->bSyncDir ) return SQLITE_OK;
  rc = prillFileSyncDir(p->pVfs, p->zDir);
  if( rc!=SQLITE_OK ) return prillError(p->pConn, rc, "cannot make the log directory %s; check the permissions of"
                                        " the directory it is in", p->zDir);
  pStage->bSyncDir = 0;
  return SQLITE_OK;
}

int prillWriteSync(PrillWrite *w){
  PrillPart *p = w->pPart;
  PrillStore *pStore = p->pStore;
  int eLevel = 0, i, bDue;
  int rc = prillStageLevel(pStore->pStage, &eLevel);
  if( rc!=SQLITE_OK || eLevel==0 ) return rc;
  bDue = writeSyncDue(p);
  for(i=0; rc==SQLITE_OK && i<w->nSeg; i++){
    PrillFile *pFile;
    if( !bDue && !w->aSeg[i].bSealed ) continue;
    rc = prillPartFileOpen(p, w->aSeg[i].iBase, w->aSeg[i].iGen, PRILL_OPEN_WRITE, &pFile);
    if( rc==SQLITE_OK && i==w->nSeg-1 ) rc = writeFill(w, pFile);
    if( rc==SQLITE_OK ) rc = writeSyncFile(p, pFile, w->aSeg[i].iBase, w->aSeg[i].iGen);
    if( rc!=SQLITE_OK ){
      rc = writeFailed(w, rc, w->aSeg[i].iBase, w->aSeg[i].iGen, "log");
    }else if( i==w->nSeg-1 ){
      w->x.nSynced = w->x.nByte;
    }
  }
  return rc;
}

/* Upkeep of an active segment, under the write lock: sync what an earlier
** transaction left unsynced, and zero-fill ahead of the end, as far as the
** segment is long, while *pnBudget lasts.  *pbSynced: OUT. */
int prillWriteAhead(PrillPart *p, i64 *pnBudget, int *pbSynced){
  PrillFile *pFile;
  i64 nSize = 0, nWant;
  int rc = prillPartSegs(p);
  *pbSynced = 0;
  if( rc!=SQLITE_OK || p->x.iBase<0 || p->x.nByte<(i64)sizeof(writeZero) ) nWant = 0;
  else nWant = PRILL_MIN(p->x.nByte + PRILL_MIN(p->x.nByte, *pnBudget), p->pTopic->cfg.szSegment);
  if( rc!=SQLITE_OK || p->x.iBase<0 || (nWant==0 && p->x.nSynced>=p->x.nByte) ) return rc;
  rc = prillPartFileOpen(p, p->x.iBase, p->x.iGen, PRILL_OPEN_WRITE, &pFile);
  if( rc==SQLITE_OK ) rc = prillFileSize(pFile, &nSize);
  if( rc==SQLITE_OK && nSize>=p->x.nByte && nSize-p->x.nByte<(nWant-p->x.nByte)/2 ){
    while( rc==SQLITE_OK && nSize<nWant ){
      i64 n = PRILL_MIN((i64)sizeof(writeZero), nWant-nSize);
      rc = prillFileWrite(pFile, writeZero, n, nSize);
      nSize += n;
      *pnBudget -= n;
    }
    if( rc==SQLITE_OK ) rc = writeSyncFile(p, pFile, p->x.iBase, p->x.iGen);
    *pbSynced = rc==SQLITE_OK;
  }else if( rc==SQLITE_OK && p->x.nSynced<p->x.nByte ){
    rc = writeSyncFile(p, pFile, p->x.iBase, p->x.iGen);
    *pbSynced = rc==SQLITE_OK;
  }
  if( rc!=SQLITE_OK ){
    p->iBadBase = p->x.iBase;
    p->iBadGen = p->x.iGen;
    rc = prillPartFileError(p, rc, p->x.iBase, p->x.iGen, "log", zWriteRemedy);
  }
  return rc;
}

/**************************************************************************
** Rows.
*/

/* The extent row, all but log_start: that is moved by SQL (trim.c). */
static int writePartRow(PrillWrite *w){
  PrillExtent after;
  const PrillExtent *x = &after;
  prillTrimExtent(w, &after);
  {
    const i64 a[] = {
      w->pPart->iPid, x->iSegEnd, x->iBase, x->iGen, x->nByte, x->nSynced, x->nRec, x->iFirstTs,
      x->iMaxTs, x->iMaxTsOff, x->iMinTs, x->nAllByte, x->nAllRec, x->iSegVer, x->iEpoch
    };
    return prillStoreSet(w->pPart->pStore, STMT_PUT_PART, a, 15);
  }
}

static int writeSegRow(PrillWrite *w, const PrillWriteSeg *pSeg){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(w->pPart->pStore, STMT_PUT_SEG, &rc);
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_bind_int64(pStmt, 1, w->pPart->iPid);
  sqlite3_bind_int64(pStmt, 2, pSeg->iBase);
  sqlite3_bind_int64(pStmt, 3, pSeg->iGen);
  if( pSeg->bSealed ){
    sqlite3_bind_int64(pStmt, 4, pSeg->iEnd);
    sqlite3_bind_int64(pStmt, 5, pSeg->nByte);
    sqlite3_bind_int64(pStmt, 6, pSeg->nRec);
    sqlite3_bind_int64(pStmt, 7, pSeg->iMinTs);
    sqlite3_bind_int64(pStmt, 8, pSeg->iMaxTs);
    sqlite3_bind_int64(pStmt, 9, pSeg->iIndexCrc);
  }else{
    int i;
    for(i=4; i<=9; i++) sqlite3_bind_null(pStmt, i);
  }
  sqlite3_step(pStmt);
  prillStoreDone(w->pPart->pStore, pStmt, &rc);
  return rc;
}

/* The active segment's new index entries as a row; or, once sealed, no rows (an
** earlier xSync may have written some while it was active). */
static int writeIndexRow(PrillWrite *w, const PrillWriteSeg *pSeg){
  PrillStore *pStore = w->pPart->pStore;
  PrillBuf b = {0,0,0};
  sqlite3_stmt *pStmt;
  int i;
  int rc = SQLITE_OK;
  if( !pSeg->bSealed && pSeg->index.n==0 ) return SQLITE_OK;
  pStmt = prillStoreStmt(pStore, pSeg->bSealed ? STMT_DEL_INDEX : STMT_PUT_INDEX, &rc);
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_bind_int64(pStmt, 1, w->pPart->iPid);
  sqlite3_bind_int64(pStmt, 2, pSeg->iBase);
  if( !pSeg->bSealed ){
    u8 *a = prillBufRoom(&rc, &b, (i64)pSeg->index.n*32);
    for(i=0; rc==SQLITE_OK && i<pSeg->index.n; i++, a+=32){
      prillPut64(a, pSeg->index.a[i].iOff);
      prillPut64(a+8, pSeg->index.a[i].iLast);
      prillPut64(a+16, pSeg->index.a[i].iPos);
      prillPut64(a+24, pSeg->index.a[i].iMaxTs);
    }
    sqlite3_bind_int64(pStmt, 3, pSeg->index.a[0].iOff);
    if( rc==SQLITE_OK ) sqlite3_bind_blob64(pStmt, 4, b.a, (u64)pSeg->index.n*32, SQLITE_STATIC);
  }
  if( rc==SQLITE_OK ) sqlite3_step(pStmt);
  prillStoreDone(pStore, pStmt, &rc);
  sqlite3_clear_bindings(pStmt);
  prillBufFree(&b);
  return rc;
}

/* Files of earlier generations of a new segment's name are in nobody's list:
** a crash left them. */
static int writeOrphans(PrillWrite *w, const PrillWriteSeg *pSeg){
  i64 iGen;
  int rc = SQLITE_OK;
  for(iGen=0; rc==SQLITE_OK && iGen<pSeg->iGen; iGen++) rc = prillTrimTrash(w->pPart, pSeg->iBase, iGen);
  return rc;
}

/* Of its key runs, those that repair.c has kept stay. */
static int writeGapKeys(PrillWrite *w){
  const PrillPart *p = w->pPart;
  const PrillSeg *pSeg = p->nSeg ? &p->aSeg[p->nSeg-1] : 0;
  return prillKeyDelRows(w->pPart, p->x.iBase, pSeg && pSeg->nKey ? pSeg->aKey[pSeg->nKey-1].iTo : 0);
}

/* Note what a power cut took, and drop the segment's index entries: some of
** them point past its end. */
static int writeGapRow(PrillWrite *w){
  PrillPart *p = w->pPart;
  PrillStore *pStore = p->pStore;
  const i64 aGap[] = {p->iPid, w->iGapFirst, w->iGapLast, prillNow(pStore->pVfs)};
  const i64 aIndex[] = {p->iPid, p->x.iBase};
  int rc = prillStoreSet(pStore, STMT_PUT_GAP, aGap, 4);
  if( rc==SQLITE_OK ) rc = prillStoreSet(pStore, STMT_DEL_INDEX, aIndex, 2);
  if( rc==SQLITE_OK ) rc = writeGapKeys(w);
  return rc;
}

int prillWriteRows(PrillWrite *w){
  int i;
  int rc = writePartRow(w);
  if( rc==SQLITE_OK && w->iGapLast>=w->iGapFirst ) rc = writeGapRow(w);
  for(i=0; rc==SQLITE_OK && i<w->nSeg; i++){
    PrillWriteSeg *pSeg = &w->aSeg[i];
    if( pSeg->bNew || pSeg->bSealed ) rc = writeSegRow(w, pSeg);
    if( rc==SQLITE_OK ) rc = writeIndexRow(w, pSeg);
    if( rc==SQLITE_OK ) rc = prillKeyRows(w, pSeg);
    if( rc==SQLITE_OK && pSeg->bNew && pSeg->iGen>0 ) rc = writeOrphans(w, pSeg);
  }
  if( rc==SQLITE_OK ) rc = prillTrimRows(w);
  return rc;
}

/**************************************************************************
** The end of a write.
*/
static void writeSegFree(PrillWriteSeg *p){
  prillIndexFree(&p->index);
  prillBufFree(&p->key);
}

void prillWriteRewind(PrillWrite *w, const PrillRun *pRun){
  const PrillExtent *pX = &pRun->before;
  w->pPart->iRewind++;
  while( w->nSeg>pRun->nSegBefore ) writeSegFree(&w->aSeg[--w->nSeg]);
  if( w->nSeg ){
    w->aSeg[w->nSeg-1].bSealed = 0;
    w->aSeg[w->nSeg-1].index.n = pRun->nIndexBefore;
  }
  w->pPart->pStore->pStage->nByte -= w->buf.n;
  if( prillPartSame(pX->iBase, pX->iGen, w->x.iBase, w->x.iGen) && pX->nByte>=w->iBufPos ){
    w->buf.n = pX->nByte - w->iBufPos;
  }else{
    w->buf.n = 0;
    w->iBufPos = pX->nByte;
  }
  w->pPart->pStore->pStage->nByte += w->buf.n;
  w->x = *pX;
  w->bRoll = (u8)(pRun->bRollBefore || w->pPart->pStore->eFlush==PRILL_FLUSH_OS);      /* I7 */
}

/* The active segment stays the same: its cached index grows in place. */
static void writeKeepIndex(PrillWrite *w){
  PrillSeg *pSeg = &w->pPart->aSeg[w->pPart->nSeg-1];
  PrillIndex *pNew = &w->aSeg[0].index;
  int i;
  int rc = SQLITE_OK;
  for(i=0; i<pNew->n; i++){
    prillIndexAdd(&rc, &pSeg->index, pNew->a[i].iOff, pNew->a[i].iLast, pNew->a[i].iPos, pNew->a[i].iMaxTs);
  }
  if( rc!=SQLITE_OK ) pSeg->bIndex = 0;
  if( w->aSeg[0].key.n ) prillKeyFree(pSeg);
}

void prillWriteDone(PrillWrite *w, int bCommit, int bReached){
  PrillPart *p = w->pPart;
  int i;
  if( bCommit ){
    int bSame = w->nSeg==1 && !w->aSeg[0].bNew && !w->aSeg[0].bSealed && w->nTrim==0;
    prillTrimExtent(w, &p->x);
    p->iSeen = p->pStore->iLocal;
    if( p->iOwnTo<=p->x.nByte ) p->iOwnBase = -1; else p->iOwnFrom = p->x.nByte;
    if( bSame && p->iSegSeen==p->x.iSegVer ){
      writeKeepIndex(w);
    }else if( w->nSeg || w->nTrim ){
      prillPartFreeSegs(p);
    }
    return;
  }
  p->iRewind++;
  for(i=0; i<w->nSeg; i++){
    if( !w->aSeg[i].bNew ) continue;
    prillPartFileForget(p, w->aSeg[i].iBase, w->aSeg[i].iGen);
    if( !bReached ){
      char *z = prillPartFullPath(p, w->aSeg[i].iBase, w->aSeg[i].iGen, "log");
      if( z ) (void)prillFileDelete(p->pStore->pVfs, z, 0);
      sqlite3_free(z);
    }
  }
  if( bReached ) p->iOwnBase = -1;
}

/* The transaction is over but for its ROLLBACK, and the write lock still held:
** nobody has any use for what lies above the committed end.  Not with flush=os:
** another's bytes in their place would be no surer on the disk (I7). */
void prillWriteCut(PrillWrite *w){
  PrillPart *p = w->pPart;
  int i;
  if( p->pStore->eFlush==PRILL_FLUSH_OS ) return;
  for(i=0; i<w->nSeg; i++){
    PrillWriteSeg *pSeg = &w->aSeg[i];
    i64 nKeep = pSeg->bNew ? 0 : p->x.nByte;
    i64 nSize = 0;
    PrillFile *pFile;
    if( !pSeg->bNew && (!prillPartSame(pSeg->iBase, pSeg->iGen, p->x.iBase, p->x.iGen) || w->bRoll || pSeg->bUncut) ){
      continue;
    }
    if( prillPartFileOpen(p, pSeg->iBase, pSeg->iGen, PRILL_OPEN_WRITE, &pFile)!=SQLITE_OK ) continue;
    if( prillFileSize(pFile, &nSize)==SQLITE_OK && nSize>nKeep ) (void)prillFileTruncate(pFile, nKeep);
  }
  p->iOwnBase = -1;
}

void prillWriteFree(PrillWrite *w){
  PrillStore *pStore = w->pPart->pStore;
  int i;
  for(i=0; i<w->nSeg; i++) writeSegFree(&w->aSeg[i]);
  sqlite3_free(w->aSeg);
  prillStageSpare(&w->pPart->pStore->spareWrite, &w->buf);
  if( w->pPart->pWrite==w ) w->pPart->pWrite = 0;
  prillPartUnref(w->pPart);
  prillTopicUnref(w->pTopic);
  if( pStore->nSpareWrite<WRITE_SPARE ){
    w->pNext = pStore->pSpareWrite;
    pStore->pSpareWrite = w;
    pStore->nSpareWrite++;
  }else{
    sqlite3_free(w);
  }
}
