/*
** compact.c: sealed segments written anew: compaction (cleanup.policy=compact)
** and recompression.
**
** May call: base, codec, log, and store/part/seal/trim beside it.
**
** A JOB rewrites consecutive sealed segments of one partition.  It belongs to
** the connection and lives across calls of prill_maintain(); each call moves it
** by about szCompact bytes.  Its phases:
**
**   MAP     (compaction) the keys of the dirty segments, newest offset of each,
**           until the map is full; see sieve.c
**   CLAIM   the next group of segments: as many as fit in one.  A transaction
**           puts the names of the files to be written into the trash, marked as
**           being written (seen<0: less the time at which the claim expires)
**   COPY    batches of the group, sifted or recompressed, to the new file
**   SWAP    file and indexes synced; a transaction checks that the group's rows
**           and the claim are what they were, and puts one row for theirs
**
** then CLAIM again; when the last group is done, so is the job.  A recompression
** is a job of one segment without a map.  All reading, compressing, writing and
** syncing happens outside transactions.
**
**   I1  No byte of a file that a row names is changed (R2).
**   I2  A file's generation is a random number: no name ever comes twice, so
**       that a late unlink cannot meet another's file.
**   I3  The new files are synced, entry and all, before the swap.
**   I4  What has not been swapped is trash: by its claim, which expires (msLease)
**       when the job has died.  A swap needs a claim that still stands, in the
**       transaction that removes it.
**   I5  Segments are swapped oldest first; a segment is marked clean (clean: the
**       offset up to which) only when all before it have seen its keys.
**   I6  The active segment, the tail, and what min.compaction.lag.ms protects
**       are not touched.
**
** Crash story: before the swap's COMMIT there are files that only the trash
** names; after it the old ones are there, until R6 lets them go.
*/
#include "prillInt.h"

#define COMPACT_READ 65536
#define COMPACT_STEP 4096       /* what a transaction counts, in bytes */

enum { JOB_MAP, JOB_CLAIM, JOB_COPY, JOB_SWAP, JOB_DONE };

typedef struct CompactJob CompactJob;
struct CompactJob {
  CompactJob *pNext;
  char *zSchema, *zDb;      /* the store it is of */
  u8 aUuid[16];
  int iPid;
  int ePhase;
  u8 bSift;                 /* compaction; else recompression */
  PrillSieve sieve;
  i64 szGroup;              /* most bytes of a group */
  PrillSeg *aIn;            /* segments, without their indexes */
  int nIn;
  int iIn, iGroup, iGroupEnd;   /* at hand; the group is iGroup..iGroupEnd-1 */
  PrillFile *pIn;
  i64 iPos;                 /* next batch in it */
  PrillBuf read;            /* bytes of it from iReadPos on */
  i64 iReadPos;
  /* The new segment */
  i64 iGen;
  char *zStem;              /* its files' names without the ending, relative */
  PrillFile *pOut;
  PrillBuf out;             /* bytes not yet written, which belong at iOutPos */
  i64 iOutPos;
  PrillIndex index;
  i64 nRec, iMinTs, iMaxTs, iMaxTsOff, iHorizon;
  u8 bChanged;              /* it differs from what it is made of */
  i64 iLease;               /* when the claim was last renewed */
};

/* The group is given up: the file that was begun goes.  Its claim, if it
** cannot be removed, expires. */
static void compactDropOut(CompactJob *j, PrillStore *p){
  prillFileClose(j->pOut);
  j->pOut = 0;
  if( p && j->zStem ){
    (void)prillStoreExec(p, "UPDATE \"%w\".prill_store_trash SET seen=0 WHERE seen<0 AND substr(path,1,%d)=%Q",
                         (int)strlen(j->zStem), j->zStem);
  }
  sqlite3_free(j->zStem);
  j->zStem = 0;
  prillBufFree(&j->out);
  prillIndexFree(&j->index);
}

static void compactJobFree(CompactJob *j, PrillStore *p){
  compactDropOut(j, p);
  prillFileClose(j->pIn);
  prillSieveFree(&j->sieve);
  prillBufFree(&j->read);
  sqlite3_free(j->aIn);
  sqlite3_free(j->zSchema);
  sqlite3_free(j->zDb);
  sqlite3_free(j);
}

void prillCompactFree(PrillConn *pConn){
  CompactJob *j;
  while( (j = (CompactJob*)pConn->pJobs)!=0 ){
    pConn->pJobs = j->pNext;
    compactJobFree(j, 0);
  }
}

/**************************************************************************
** What there is to do.
*/

/* The sealed segments of a compacted partition that may be cleaned now: *pn of
** them.  Is it worth it? */
static int compactDirty(const PrillPart *p, i64 iNow, int *pn){
  const PrillConfig *pCfg = &p->pTopic->cfg;
  i64 nDirty = 0, nAll = 0, iOldest = PRILL_I64MAX, iHorizon = PRILL_I64MAX;
  int i;
  for(i=0; i<p->nSeg && p->aSeg[i].bSealed; i++){
    const PrillSeg *pSeg = &p->aSeg[i];
    if( pCfg->msMinLag>0 && pSeg->iMaxTs>iNow-pCfg->msMinLag ) break;                 /* I6 */
    nAll += pSeg->nByte;
    if( nDirty>0 || pSeg->iClean<pSeg->iEnd ){
      nDirty += pSeg->nByte;
      iOldest = PRILL_MIN(iOldest, pSeg->iMinTs);
    }
    iHorizon = PRILL_MIN(iHorizon, pSeg->iHorizon);
  }
  *pn = i;
  if( iHorizon<=iNow ) return 1;
  if( nDirty==0 ) return 0;
  if( pCfg->msMaxLag<PRILL_I64MAX && iOldest<iNow-pCfg->msMaxLag ) return 1;
  return (double)nDirty*1000000.0 > (double)nAll*(double)pCfg->iDirtyRatio;
}

/* A sealed segment that would become smaller, or -1. */
static int compactLoose(const PrillPart *p){
  const PrillConfig *pCfg = &p->pTopic->cfg;
  int i;
  if( pCfg->eCompress!=PRILL_PRODUCER && pCfg->eCompress!=PRILL_LZ4 ) return -1;
  for(i=0; i<p->nSeg && p->aSeg[i].bSealed; i++){
    const PrillSeg *pSeg = &p->aSeg[i];
    if( (pCfg->mCleanup & PRILL_COMPACT) && pSeg->iClean<pSeg->iEnd ) break;
    if( !pSeg->bPacked && pSeg->nByte>0 && pSeg->iEnd>p->x.iLogStart ) return i;
  }
  return -1;
}

/* Does somebody else work on the partition? */
static int compactClaimed(PrillPart *p, int *pbYes){
  sqlite3_stmt *pStmt = 0;
  char *z = prillPartPath(p, 0, 0, "");
  int rc = z ? prillStorePrepare(p->pStore, &pStmt, "SELECT EXISTS(SELECT 1 FROM \"%w\".prill_store_trash"
      " WHERE seen<0 AND substr(path,1,%d)=%Q||'/')", (int)strlen(z)+1, z) : SQLITE_NOMEM;
  sqlite3_free(z);
  *pbYes = 0;
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) *pbYes = sqlite3_column_int(pStmt, 0);
  sqlite3_finalize(pStmt);
  return rc;
}

/* A job for segments iFrom..iFrom+n-1 of a partition. */
static int compactNew(PrillPart *p, int iFrom, int n, int bSift, i64 iNow){
  PrillStore *pStore = p->pStore;
  const PrillConfig *pCfg = &p->pTopic->cfg;
  CompactJob *j = (CompactJob*)sqlite3_malloc64(sizeof(*j));
  int i;
  if( j==0 ) return SQLITE_NOMEM;
  memset(j, 0, sizeof(*j));
  j->zSchema = sqlite3_mprintf("%s", pStore->zSchema);
  j->zDb = sqlite3_mprintf("%s", pStore->zDb);
  j->aIn = (PrillSeg*)sqlite3_malloc64(sizeof(PrillSeg)*(u64)n);
  if( j->zSchema==0 || j->zDb==0 || j->aIn==0 ){
    compactJobFree(j, 0);
    return SQLITE_NOMEM;
  }
  for(i=0; i<n; i++){
    j->aIn[i] = p->aSeg[iFrom+i];
    memset(&j->aIn[i].index, 0, sizeof(PrillIndex));
  }
  j->nIn = n;
  memcpy(j->aUuid, p->aUuid, 16);
  j->iPid = p->iPid;
  j->bSift = (u8)bSift;
  j->ePhase = bSift ? JOB_MAP : JOB_CLAIM;
  j->szGroup = pCfg->szSegment;
  if( (pCfg->mCleanup & PRILL_DELETE) && pCfg->szRetention>=0 ){
    j->szGroup = PRILL_MIN(j->szGroup, PRILL_MAX(pCfg->szRetention/8, 1024));
  }
  pStore->pVfs->xRandomness(pStore->pVfs, 16, (char*)j->sieve.aKey);
  j->sieve.mxByte = prillLimit.szMap;
  j->sieve.iNow = iNow;
  j->sieve.iHorizon = iNow<=PRILL_I64MAX-pCfg->msDeleteRetention ? iNow+pCfg->msDeleteRetention : PRILL_I64MAX;
  j->sieve.iEnd = j->aIn[n-1].iEnd;
  while( bSift && j->iIn<n && j->aIn[j->iIn].iClean>=j->aIn[j->iIn].iEnd ) j->iIn++;
  j->pNext = (CompactJob*)pStore->pConn->pJobs;
  pStore->pConn->pJobs = j;
  return SQLITE_OK;
}

/* Look for work: compaction before recompression.  bMake: begin a job of it.
** *pbAny: there is some. */
static int compactPick(PrillStore *p, int bMake, int *pbAny){
  PrillTopic *pTopic;
  i64 iNow = prillNow(p->pVfs);
  int iKind, i;
  int rc = SQLITE_OK;
  *pbAny = 0;
  for(iKind=1; iKind>=0; iKind--){
    for(pTopic=p->pTopics; rc==SQLITE_OK && pTopic; pTopic=pTopic->pNext){
      if( iKind && (pTopic->cfg.mCleanup & PRILL_COMPACT)==0 ) continue;
      for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++){
        PrillPart *pPart = pTopic->apPart[i];
        int iFrom = 0, n = 1, bClaimed = 0;
        if( pPart->bUncleanable ) continue;
        rc = prillPartLoad(pPart);
        if( rc==SQLITE_OK && pPart->x.nAllByte>pPart->x.nByte ) rc = prillPartSegs(pPart); else continue;
        if( rc!=SQLITE_OK ) return rc;
        if( iKind ? !compactDirty(pPart, iNow, &n) : (iFrom = compactLoose(pPart))<0 ) continue;
        rc = compactClaimed(pPart, &bClaimed);
        if( rc!=SQLITE_OK || bClaimed ) continue;
        *pbAny = 1;
        return bMake ? compactNew(pPart, iFrom, n, iKind, iNow) : SQLITE_OK;
      }
    }
  }
  return rc;
}

/**************************************************************************
** Reading.
*/
static int compactBad(CompactJob *j, PrillPart *p, const char *zWhat){
  const PrillSeg *pSeg = &j->aIn[j->iIn];
  char *z = prillPartPath(p, pSeg->iBase, pSeg->iGen, "log");
  p->bUncleanable = 1;
  if( z==0 ) return SQLITE_NOMEM;
  prillError(p->pStore->pConn, PRILL_CORRUPT, "%s-log/%s: damaged at byte %lld (%s): it is not compacted; restore"
             " the store from a backup", p->pStore->zDb, z, j->iPos, zWhat);
  sqlite3_free(z);
  return SQLITE_CORRUPT_VTAB;
}

/* n bytes at j->iPos of the segment at hand. */
static int compactBytes(CompactJob *j, PrillPart *p, i64 n, const u8 **pa){
  const PrillSeg *pSeg = &j->aIn[j->iIn];
  int rc = SQLITE_OK;
  if( j->iPos<j->iReadPos || j->iPos+n>j->iReadPos+j->read.n ){
    i64 nRead = PRILL_MIN(PRILL_MAX(n, COMPACT_READ), pSeg->nByte-j->iPos);
    u8 *a;
    j->read.n = 0;
    a = prillBufRoom(&rc, &j->read, nRead);
    if( rc==SQLITE_OK ) rc = prillFileRead(j->pIn, a, nRead, j->iPos);
    if( rc==SQLITE_IOERR_SHORT_READ ) return compactBad(j, p, "the file is too short");
    if( (rc&0xff)==SQLITE_IOERR ){
      return prillPartFileError(p, rc, pSeg->iBase, pSeg->iGen, "log", "cannot be read; check the disk");
    }
    if( rc!=SQLITE_OK ) return rc;
    j->read.n = nRead;
    j->iReadPos = j->iPos;
  }
  *pa = j->read.a + (j->iPos - j->iReadPos);
  return SQLITE_OK;
}

/* The next batch of the segment at hand, checked.  SQLITE_DONE at its end; the
** file is then closed and the next segment at hand. */
static int compactBatch(CompactJob *j, PrillPart *p, const u8 **pa, PrillBatch *pB){
  const PrillSeg *pSeg = &j->aIn[j->iIn];
  int rc = SQLITE_OK;
  if( j->pIn==0 ){
    char *z = prillPartFullPath(p, pSeg->iBase, pSeg->iGen, "log");
    rc = z ? prillFileOpen(p->pStore->pVfs, z, PRILL_OPEN_READ, 0, &j->pIn) : SQLITE_NOMEM;
    sqlite3_free(z);
    if( rc!=SQLITE_OK ){
      return prillPartFileError(p, rc, pSeg->iBase, pSeg->iGen, "log",
          "cannot be opened; put the file back or restore the store from a backup");
    }
    j->iPos = j->iReadPos = j->read.n = 0;
  }
  if( j->iPos>=pSeg->nByte ){
    prillFileClose(j->pIn);
    j->pIn = 0;
    j->iIn++;
    return SQLITE_DONE;
  }
  if( pSeg->nByte-j->iPos<PRILL_BATCH_HDR ) return compactBad(j, p, "a batch is cut short");
  rc = compactBytes(j, p, PRILL_BATCH_HDR, pa);
  if( rc!=SQLITE_OK ) return rc;
  if( prillBatchHeader(*pa, PRILL_BATCH_HDR, pB)!=SQLITE_OK ) return compactBad(j, p, "not a batch header");
  if( pB->nByte>pSeg->nByte-j->iPos || pB->iBase<pSeg->iBase || pB->iBase+pB->dLast>=pSeg->iEnd ){
    return compactBad(j, p, "the batch is not the segment's");
  }
  rc = compactBytes(j, p, pB->nByte, pa);
  if( rc==SQLITE_OK && prillBatchCheck(*pa, pB)!=SQLITE_OK ) rc = compactBad(j, p, "checksum");
  if( rc==SQLITE_OK ) j->iPos += pB->nByte;
  return rc;
}

/**************************************************************************
** MAP.
*/
static int compactMap(CompactJob *j, PrillPart *p, i64 *pnBudget){
  const u8 *a;
  PrillBatch b;
  int bFull = 0;
  int rc;
  if( j->iIn>=j->nIn ){
    j->iIn = 0;
    j->ePhase = JOB_CLAIM;
    return SQLITE_OK;
  }
  rc = compactBatch(j, p, &a, &b);
  if( rc!=SQLITE_OK ) return rc==SQLITE_DONE ? SQLITE_OK : rc;
  *pnBudget -= b.nByte;
  if( b.iBase+b.dLast<j->aIn[j->iIn].iClean ) return SQLITE_OK;
  rc = prillSieveAdd(&j->sieve, a, &b, j->aIn[j->iIn].iClean, &bFull);
  if( (rc&0xff)==SQLITE_CORRUPT ) return compactBad(j, p, "its records cannot be read");
  if( bFull ){
    j->sieve.iEnd = b.iBase;
    prillFileClose(j->pIn);
    j->pIn = 0;
    j->iIn = j->nIn;
  }
  return rc;
}

/**************************************************************************
** CLAIM.
*/
typedef struct CompactTxn CompactTxn;
struct CompactTxn {
  CompactJob *j;
  PrillPart *p;             /* found anew */
  int bGone;                /* somebody else has been at it */
};

/* The job's partition, or NULL with bGone. */
static PrillPart *compactPart(PrillStore *p, CompactTxn *t){
  t->p = prillStorePart(p, t->j->iPid);
  if( t->p && (t->p->pTopic==0 || memcmp(t->p->aUuid, t->j->aUuid, 16)!=0) ) t->p = 0;
  t->bGone = t->p==0;
  return t->p;
}

/* In a transaction. */
static int compactClaimTxn(PrillStore *p, void *pArg){
  CompactTxn *t = (CompactTxn*)pArg;
  CompactJob *j = t->j;
  int rc;
  if( compactPart(p, t)==0 ) return SQLITE_OK;
  rc = compactClaimed(t->p, &t->bGone);
  if( rc!=SQLITE_OK || t->bGone ) return rc;
  rc = prillTrimTrash(t->p, j->aIn[j->iGroup].iBase, j->iGen);
  if( rc==SQLITE_OK ){
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_trash SET seen=%lld WHERE substr(path,1,%d)=%Q",
                        -(j->iLease+prillLimit.msLease), (int)strlen(j->zStem), j->zStem);
  }
  return rc;
}

/* Keep the claim alive.  bGone: it is lost. */
static int compactRenewTxn(PrillStore *p, void *pArg){
  CompactTxn *t = (CompactTxn*)pArg;
  CompactJob *j = t->j;
  int rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_trash SET seen=%lld WHERE seen<0 AND substr(path,1,%d)=%Q",
                          -(j->iLease+prillLimit.msLease), (int)strlen(j->zStem), j->zStem);
  t->bGone = rc==SQLITE_OK && sqlite3_changes(p->pConn->db)==0;
  return rc;
}

/* Choose the next group and begin its file. */
static int compactClaim(CompactJob *j, PrillStore *pStore, PrillPart *p){
  CompactTxn t = {j, 0, 0};
  i64 n = 0;
  u32 iRandom = 0;
  char *z;
  int rc;
  if( j->iIn>=j->nIn || (j->bSift && j->aIn[j->iIn].iBase>=j->sieve.iEnd) ){
    j->ePhase = JOB_DONE;
    return SQLITE_OK;
  }
  j->iGroup = j->iGroupEnd = j->iIn;
  do{
    n += j->aIn[j->iGroupEnd++].nByte;
  }while( j->iGroupEnd<j->nIn && n+j->aIn[j->iGroupEnd].nByte<=j->szGroup
       && j->aIn[j->iGroupEnd].iEnd-j->aIn[j->iGroup].iBase<0x7fffffff
       && (!j->bSift || j->aIn[j->iGroupEnd].iBase<j->sieve.iEnd) );
  pStore->pVfs->xRandomness(pStore->pVfs, sizeof(iRandom), (char*)&iRandom);
  j->iGen = j->aIn[j->iGroup].iGen + 1 + (i64)(iRandom & 0x3fffffff);                 /* I2 */
  j->iGen %= (i64)1<<40;
  z = prillPartPath(p, j->aIn[j->iGroup].iBase, j->iGen, "log");
  if( z==0 ) return SQLITE_NOMEM;
  z[strlen(z)-3] = 0;
  sqlite3_free(j->zStem);                 /* of a claim that met a lock */
  j->zStem = z;
  j->iLease = prillNow(pStore->pVfs);
  j->iOutPos = j->nRec = 0;
  j->iMinTs = j->iHorizon = PRILL_I64MAX;
  j->iMaxTs = PRILL_I64MIN;
  j->iMaxTsOff = j->aIn[j->iGroup].iBase;
  j->bChanged = (u8)(j->iGroupEnd-j->iGroup>1);
  rc = prillTrimTransaction(pStore, compactClaimTxn, &t);
  if( rc!=SQLITE_OK ) return rc;
  if( t.bGone ){
    j->ePhase = JOB_DONE;
    return SQLITE_OK;
  }
  z = prillPartFullPath(t.p, j->aIn[j->iGroup].iBase, j->iGen, "log");
  rc = z ? prillFileOpen(pStore->pVfs, z, PRILL_OPEN_NEW, pStore->zDb, &j->pOut) : SQLITE_NOMEM;
  sqlite3_free(z);
  if( rc!=SQLITE_OK ){
    return prillPartFileError(t.p, rc, j->aIn[j->iGroup].iBase, j->iGen, "log",
        "cannot be made; check space and permissions: nothing is lost, compaction tries again");
  }
  j->ePhase = JOB_COPY;
  return rc;
}

/**************************************************************************
** COPY.
*/
static int compactOutError(CompactJob *j, PrillPart *p, int rc){
  return prillPartFileError(p, rc, j->aIn[j->iGroup].iBase, j->iGen, "log",
      "cannot be written; check space and permissions: nothing is lost, compaction tries again");
}

static int compactFlush(CompactJob *j, PrillPart *p){
  int rc = prillFileWrite(j->pOut, j->out.a, j->out.n, j->iOutPos);
  if( rc!=SQLITE_OK ) return compactOutError(j, p, rc);
  j->iOutPos += j->out.n;
  j->out.n = 0;
  return rc;
}

/* The batch, smaller if that can be.  Only what was made here is touched. */
static int compactPress(CompactJob *j, const u8 *a, const PrillBatch *pB, PrillSieved *pS){
  const u8 *aRec;
  i64 nRec, nBefore = j->out.n;
  int rc = SQLITE_OK;
  memset(pS, 0, sizeof(*pS));
  pS->b = *pB;
  if( (pB->mAttr & PRILL_ATTR_CODEC)==PRILL_LZ4 && pB->iProducer<0 && (pB->mAttr & PRILL_ATTR_CONTROL)==0 ){
    rc = prillBatchRecords(a, pB, &j->sieve.rec, &aRec, &nRec);
    prillBatchEncode(&rc, &j->out, &pS->b, PRILL_LZ4_BEST, aRec, nRec);
    if( rc==SQLITE_OK && pS->b.nByte<pB->nByte && (pS->b.mAttr & PRILL_ATTR_CODEC)==PRILL_LZ4 ){
      pS->bChanged = 1;
      return rc;
    }
    if( rc==SQLITE_NOMEM ) return rc;
    rc = SQLITE_OK;
    j->out.n = nBefore;
    pS->b = *pB;
  }
  prillBufAppend(&rc, &j->out, a, pB->nByte);
  return rc;
}

/* One batch to the new segment. */
static int compactCopy(CompactJob *j, PrillPart *p, i64 *pnBudget){
  PrillSieved s;
  PrillBatch b;
  const u8 *a;
  i64 iPos, iLast;
  int iSeg = j->iIn;
  int rc;
  if( j->iIn>=j->iGroupEnd ){
    j->ePhase = JOB_SWAP;
    return SQLITE_OK;
  }
  rc = compactBatch(j, p, &a, &b);
  if( rc!=SQLITE_OK ) return rc==SQLITE_DONE ? SQLITE_OK : rc;
  *pnBudget -= j->bSift ? b.nByte : 4*b.nByte;
  iPos = j->iOutPos + j->out.n;
  if( j->bSift ){
    int bLast = iSeg==j->nIn-1 && j->iPos>=j->aIn[iSeg].nByte;
    rc = prillSieveBatch(&j->sieve, a, &b, bLast, &j->out, &s);
    if( (rc&0xff)==SQLITE_CORRUPT ) return compactBad(j, p, "its records cannot be read");
    if( s.bChanged ) j->bChanged = 1;
    j->iMinTs = PRILL_MIN(j->iMinTs, s.iMinTs);
    j->iHorizon = PRILL_MIN(j->iHorizon, s.iHorizon);
  }else{
    rc = compactPress(j, a, &b, &s);
    if( s.bChanged ) j->bChanged = 1;
  }
  if( rc!=SQLITE_OK || s.b.nByte==0 ) return rc;
  iLast = s.b.iBase + s.b.dLast;
  if( s.b.nRec>0 && (j->nRec==0 || s.b.iMaxTs>j->iMaxTs) ){
    j->iMaxTs = s.b.iMaxTs;
    j->iMaxTsOff = iLast;
  }
  if( iPos>0 && j->nRec>0 && iPos-(j->index.n ? j->index.a[j->index.n-1].iPos : 0)>=prillLimit.szIndex ){
    prillIndexAdd(&rc, &j->index, s.b.iBase, iLast, iPos, j->iMaxTs);
  }
  j->nRec += s.b.nRec;
  if( rc==SQLITE_OK && j->out.n>=prillLimit.szWrite ) rc = compactFlush(j, p);
  return rc;
}

/**************************************************************************
** SWAP.
*/

/* Are the group's rows what they were? */
static int compactSame(PrillStore *p, CompactJob *j, int *pbSame){
  sqlite3_stmt *pStmt = 0;
  int i = j->iGroup;
  int rc = prillStorePrepare(p, &pStmt, "SELECT base, gen, next, bytes FROM \"%w\".prill_store_segment WHERE pid=%d"
      " AND base>=%lld AND base<%lld ORDER BY base", j->iPid, j->aIn[i].iBase, j->aIn[j->iGroupEnd-1].iEnd);
  *pbSame = 1;
  while( rc==SQLITE_OK && (rc = sqlite3_step(pStmt))==SQLITE_ROW ){
    const PrillSeg *pSeg = &j->aIn[i];
    rc = SQLITE_OK;
    if( i>=j->iGroupEnd || sqlite3_column_int64(pStmt, 0)!=pSeg->iBase || sqlite3_column_int64(pStmt, 1)!=pSeg->iGen
     || sqlite3_column_int64(pStmt, 2)!=pSeg->iEnd || sqlite3_column_int64(pStmt, 3)!=pSeg->nByte ){
      *pbSame = 0;
      break;
    }
    i++;
  }
  if( rc==SQLITE_DONE ) rc = SQLITE_OK;
  if( i<j->iGroupEnd ) *pbSame = 0;
  sqlite3_finalize(pStmt);
  return rc;
}

/* The row of the new segment. */
static int compactPutRow(PrillStore *p, CompactJob *j, u32 iCrc){
  const PrillSeg *pFirst = &j->aIn[j->iGroup];
  i64 iEnd = j->aIn[j->iGroupEnd-1].iEnd;
  i64 iClean = j->bSift ? PRILL_MIN(iEnd, j->sieve.iEnd) : pFirst->iClean;
  char zHorizon[24] = "NULL";
  i64 iHorizon = j->bSift ? j->iHorizon : pFirst->iHorizon;
  if( iHorizon<PRILL_I64MAX ) sqlite3_snprintf(sizeof(zHorizon), zHorizon, "%lld", iHorizon);
  return prillStoreExec(p, "INSERT INTO \"%w\".prill_store_segment(pid, base, gen, next, bytes, records, min_ts,"
      " max_ts, index_crc, clean, packed, horizon) VALUES(%d,%lld,%lld,%lld,%lld,%lld,%lld,%lld,%lld,%lld,%d,%s)",
      j->iPid, pFirst->iBase, j->iGen, iEnd, j->iOutPos, j->nRec, j->nRec ? j->iMinTs : 0, j->nRec ? j->iMaxTs : -1,
      (i64)iCrc, iClean, !j->bSift, zHorizon);
}

/* Nothing to put in its place: only note that it has been done. */
static int compactMark(PrillStore *p, CompactJob *j){
  const PrillSeg *pSeg = &j->aIn[j->iGroup];
  if( !j->bSift ){
    return prillStoreExec(p, "UPDATE \"%w\".prill_store_segment SET packed=1 WHERE pid=%d AND base=%lld",
                          j->iPid, pSeg->iBase);
  }
  return prillStoreExec(p, "UPDATE \"%w\".prill_store_segment SET clean=%lld WHERE pid=%d AND base=%lld",
                        PRILL_MIN(pSeg->iEnd, j->sieve.iEnd), j->iPid, pSeg->iBase);
}

typedef struct CompactSwap CompactSwap;
struct CompactSwap {
  CompactTxn t;
  u32 iCrc;
  PrillKeyRun key;          /* its key index; iTo 0: none */
};

/* Replace the group by the new segment, or by nothing when that is empty. */
static int compactReplace(PrillStore *p, CompactSwap *s){
  CompactJob *j = s->t.j;
  i64 nByte = 0, nRec = 0;
  int i;
  int rc = SQLITE_OK;
  for(i=j->iGroup; rc==SQLITE_OK && i<j->iGroupEnd; i++){
    nByte += j->aIn[i].nByte;
    nRec += j->aIn[i].nRec;
    rc = prillTrimSegment(s->t.p, j->aIn[i].iBase, j->aIn[i].iGen);
  }
  if( rc==SQLITE_OK && j->iOutPos>0 ) rc = compactPutRow(p, j, s->iCrc);
  if( rc==SQLITE_OK && j->iOutPos>0 && s->key.iTo>0 ){
    rc = prillKeyPutRow(s->t.p, j->aIn[j->iGroup].iBase, j->iGen, &s->key);
  }
  if( rc==SQLITE_OK ){
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_part SET all_bytes=all_bytes+%lld,"
        " all_records=all_records+%lld WHERE pid=%d", j->iOutPos-nByte, j->nRec-nRec, j->iPid);
  }
  return rc;
}

/* In a transaction. */
static int compactSwapTxn(PrillStore *p, void *pArg){
  CompactSwap *s = (CompactSwap*)pArg;
  CompactJob *j = s->t.j;
  int bSame = 0;
  int bKeep = j->bChanged && j->iOutPos>0;
  int rc;
  if( compactPart(p, &s->t)==0 ) return SQLITE_OK;
  rc = compactSame(p, j, &bSame);
  s->t.bGone = !bSame;
  if( rc!=SQLITE_OK || !bSame ) return rc;
  rc = prillStoreExec(p, bKeep ? "DELETE FROM \"%w\".prill_store_trash WHERE seen<0 AND substr(path,1,%d)=%Q"
      : "UPDATE \"%w\".prill_store_trash SET seen=0 WHERE seen<0 AND substr(path,1,%d)=%Q",
      (int)strlen(j->zStem), j->zStem);
  if( rc!=SQLITE_OK ) return rc;
  if( sqlite3_changes(p->pConn->db)==0 ){                                            /* I4 */
    s->t.bGone = 1;
    return SQLITE_OK;
  }
  rc = j->bChanged ? compactReplace(p, s) : compactMark(p, j);
  if( rc==SQLITE_OK ){
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_part SET seg_ver=seg_ver+1 WHERE pid=%d;"
        "UPDATE \"%w\".prill_store_state SET extent=%lld", j->iPid, prillStoreStamp(p));
  }
  return rc;
}

static int compactSwap(CompactJob *j, PrillStore *pStore, PrillPart *p){
  CompactSwap s;
  i64 nIn = 0;
  int i;
  int rc = compactFlush(j, p);
  memset(&s, 0, sizeof(s));
  s.t.j = j;
  for(i=j->iGroup; i<j->iGroupEnd; i++) nIn += j->aIn[i].nByte;
  if( !j->bSift ){
    j->iMinTs = j->aIn[j->iGroup].iMinTs;
    j->bChanged = (u8)(j->bChanged && j->iOutPos<nIn);
  }
  if( rc==SQLITE_OK && j->bChanged && j->iOutPos>0 ){
    PrillSealed sealed = {j->aIn[j->iGroup].iBase, j->iGen, j->nRec, j->iMaxTs, j->iMaxTsOff, &j->index};
    rc = prillFileSync(j->pOut);                                                     /* I3 */
    if( rc!=SQLITE_OK ) rc = compactOutError(j, p, rc);
    if( rc==SQLITE_OK ) rc = prillSealFiles(p, &sealed, 1, &s.iCrc);
    if( rc==SQLITE_OK && p->pTopic && p->pTopic->cfg.bKeyIndex ){
      rc = prillKeySeal(p, sealed.iBase, sealed.iGen, j->iOutPos, 0, j->iOutPos/prillLimit.szKeyRun+1, 1, &s.key);
    }
  }
  if( rc==SQLITE_OK ) rc = prillTrimTransaction(pStore, compactSwapTxn, &s);
  if( rc!=SQLITE_OK ) return rc;
  prillFileClose(j->pOut);
  j->pOut = 0;
  if( s.t.bGone ){
    j->ePhase = JOB_DONE;
    return SQLITE_OK;
  }
  sqlite3_free(j->zStem);
  j->zStem = 0;
  j->index.n = 0;
  j->ePhase = JOB_CLAIM;
  return SQLITE_OK;
}

/**************************************************************************
** Steps.
*/

/* Caches as of now, outside any snapshot. */
static int compactRefresh(PrillStore *p){
  int rc = prillStoreRefresh(p);
  if( p->bHeld ){
    sqlite3_reset(p->aStmt[STMT_STATE]);
    p->bHeld = 0;
  }
  return rc;
}

/* Are the segments that the job still reads those of the partition?  Else
** somebody has dropped or replaced them, and their files may go any time. */
static int compactStands(CompactJob *j, PrillPart *p, int *pbYes){
  int i = j->ePhase==JOB_MAP ? 0 : j->ePhase==JOB_CLAIM ? j->iIn : j->iGroup;
  int k = 0;
  int rc = prillPartLoad(p);
  if( rc==SQLITE_OK ) rc = prillPartSegs(p);
  for(*pbYes=1; rc==SQLITE_OK && i<j->nIn && *pbYes; i++){
    while( k<p->nSeg && p->aSeg[k].iBase<j->aIn[i].iBase ) k++;
    *pbYes = k<p->nSeg && prillPartSame(p->aSeg[k].iBase, p->aSeg[k].iGen, j->aIn[i].iBase, j->aIn[i].iGen);
  }
  return rc;
}

/* Move a job until the budget is spent or it is done. */
static int compactRun(CompactJob *j, PrillStore *p, i64 *pnBudget){
  CompactTxn t = {j, 0, 0};
  i64 iNow = prillNow(p->pVfs);
  int bStands = 0;
  int rc = SQLITE_OK;
  if( compactPart(p, &t) ) rc = compactStands(j, t.p, &bStands);
  if( rc!=SQLITE_OK || !bStands ){
    j->ePhase = JOB_DONE;
    return rc;
  }
  if( j->zStem && iNow-j->iLease>prillLimit.msLease/4 ){
    j->iLease = iNow;
    rc = prillTrimTransaction(p, compactRenewTxn, &t);
    if( rc==SQLITE_OK && t.bGone ) j->ePhase = JOB_DONE;
  }
  while( rc==SQLITE_OK && *pnBudget>0 && j->ePhase!=JOB_DONE ){
    switch( j->ePhase ){
      case JOB_MAP:  rc = compactMap(j, t.p, pnBudget); break;
      case JOB_COPY: rc = compactCopy(j, t.p, pnBudget); break;
      default:
        *pnBudget -= COMPACT_STEP;
        /* These have transactions, after which the partition is another. */
        rc = compactRefresh(p);
        if( rc==SQLITE_OK && compactPart(p, &t)==0 ) j->ePhase = JOB_DONE;
        else if( rc==SQLITE_OK ) rc = j->ePhase==JOB_CLAIM ? compactClaim(j, p, t.p) : compactSwap(j, p, t.p);
        if( rc==SQLITE_OK ) rc = compactRefresh(p);
        if( rc==SQLITE_OK && j->ePhase!=JOB_DONE && compactPart(p, &t)==0 ) j->ePhase = JOB_DONE;
        break;
    }
  }
  if( (rc&0xff)==SQLITE_CANTOPEN && compactRefresh(p)==SQLITE_OK && compactPart(p, &t)
   && compactStands(j, t.p, &bStands)==SQLITE_OK && !bStands ){
    rc = SQLITE_OK;                    /* deleted by another process, this moment */
    j->ePhase = JOB_DONE;
  }
  return rc;
}

int prillCompactStep(PrillStore *p, int *pbLeft){
  CompactJob **pp, *j;
  i64 nBudget = prillLimit.szCompact;
  int rc = SQLITE_OK;
  *pbLeft = 0;
  while( rc==SQLITE_OK && nBudget>0 ){
    int bAny = 0;
    for(pp=(CompactJob**)(void*)&p->pConn->pJobs; (j = *pp)!=0; pp=&j->pNext){
      if( sqlite3_stricmp(j->zSchema, p->zSchema)==0 && strcmp(j->zDb, p->zDb)==0 ) break;
    }
    if( j==0 ){
      rc = prillStoreRefresh(p);
      if( rc==SQLITE_OK ) rc = compactPick(p, 1, &bAny);
      if( p->bHeld ){
        sqlite3_reset(p->aStmt[STMT_STATE]);
        p->bHeld = 0;
      }
      *pbLeft = bAny;
      if( !bAny ) break;
      continue;
    }
    rc = compactRefresh(p);
    if( rc==SQLITE_OK ) rc = compactRun(j, p, &nBudget);
    if( (rc&0xff)==SQLITE_BUSY ) break;            /* a writer's turn: the job goes on later */
    if( rc!=SQLITE_OK || j->ePhase==JOB_DONE ){
      *pp = j->pNext;
      compactJobFree(j, rc==SQLITE_OK ? p : 0);
    }
  }
  if( nBudget<=0 ) *pbLeft = 1;       /* a job that goes on, or perhaps another */
  return rc;
}
