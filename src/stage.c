/*
** stage.c: one transaction's records, its savepoints, and the walk at COMMIT.
**
** May call: base, codec, and store/part/tail beside it.
**
** Every module that can write forwards its transaction methods here.  The
** first xBegin of a store (or the first INSERT after CREATE VIRTUAL TABLE, which
** SQLite does not announce) opens a stage, the first xSync of a COMMIT does the
** work of all its topics, the first xCommit or xRollback ends it.
**
** RECORDS go into runs: stretches of one partition with no savepoint between
** their records.  A savepoint's mark is the number of runs; while it stands no
** run below it grows; ROLLBACK TO takes back the runs above it.  A run's
** records are a chunk in memory; once the partition has brought enough
** (szDirect) they become batches in its segment, above the committed end, and
** the live tail goes before them.
**
** xSync, in this order:
**   plan    which partitions are written directly, which are spilled to make
**           room in the ring, whether the ring turns
**   files   all bytes to files, segments sealed
**   sync    all those files (R3; not at OFF, and with flush=os only the sealed)
**   rows    frame, extents, segments, index entries, state
** and nothing of it is forgotten until xCommit or xRollback, since a COMMIT may
** fail with SQLITE_BUSY after it and be tried again, with more records (R4).
**
**   I1  xUpdate runs no SQL that writes: ROLLBACK TO undoes rows, and we could
**       not undo what they stand for.
**   I2  Each xSync starts from the committed state in the caches, and repeats
**       what an earlier one of the same transaction wrote, and more: a plan
**       once made (bDirect, bSpill, a turn) stands until its rows are undone.
**   I3  After an xSync has begun, files written are left alone on rollback:
**       SQLite cannot tell us whether its own commit record reached the disk.
**
** Crash story: before SQLite's COMMIT record nothing is visible; after it
** everything it refers to has been synced (write.c, I3).
*/
#include "prillInt.h"

#define STAGE_LOOK 64       /* shares of one size looked at for the largest */
#define STAGE_FEW 4         /* runs of one partition that need no memory of their own */
#define STAGE_KEEP 64       /* runs whose memory is kept for the next transaction */

/**************************************************************************
** The stage.
*/
int prillStageLevel(PrillStage *p, int *pLevel){
  int rc = SQLITE_OK;
  if( p->eLevel<0 ) rc = prillStoreSyncLevel(p->pStore, &p->eLevel);
  *pLevel = p->eLevel;
  return rc;
}

void prillStageFull(PrillStage *p){
  PrillWrite *w;
  p->bFull = 1;
  for(w=p->pWrites; w; w=w->pNext) prillWriteCut(w);
}

void prillStageSpare(PrillBuf *pSpare, PrillBuf *pBuf){
  if( pBuf->nAlloc>pSpare->nAlloc && pBuf->nAlloc<=2*prillLimit.szWrite ){
    PrillBuf b = *pSpare;
    *pSpare = *pBuf;
    *pBuf = b;
    pSpare->n = 0;
  }
  prillBufFree(pBuf);
}

i64 prillStageBytes(PrillStore *p){
  return p->pStage ? p->pStage->nByte : 0;
}

/* This transaction's write to a partition, made on first use. */
static PrillWrite *stageWrite(int *pRc, PrillPart *pPart){
  PrillStage *pStage = pPart->pStore->pStage;
  PrillWrite *w = pPart->pWrite;
  if( *pRc==SQLITE_OK && pStage->bFull ) *pRc = SQLITE_FULL;
  if( w || *pRc!=SQLITE_OK ) return w;
  *pRc = prillPartLoad(pPart);
  if( *pRc==SQLITE_OK && pPart->pTopic==0 ) *pRc = SQLITE_ABORT;
  if( *pRc!=SQLITE_OK ) return 0;
  w = pPart->pStore->pSpareWrite;
  if( w ){
    pPart->pStore->pSpareWrite = w->pNext;
    pPart->pStore->nSpareWrite--;
  }else{
    w = (PrillWrite*)sqlite3_malloc64(sizeof(*w));
  }
  if( w==0 ){
    *pRc = SQLITE_NOMEM;
    return 0;
  }
  memset(w, 0, sizeof(*w));
  w->pPart = pPart;
  pPart->nRef++;
  w->pTopic = pPart->pTopic;
  w->pTopic->nRef++;
  w->x = pPart->x;
  w->iNext = prillPartEnd(pPart);
  w->iRun = -1;
  w->iGapLast = -1;
  w->buf = pPart->pStore->spareWrite;
  memset(&pPart->pStore->spareWrite, 0, sizeof(PrillBuf));
  w->pNext = pStage->pWrites;
  pStage->pWrites = w;
  pPart->pWrite = w;
  return w;
}

static void stageFree(PrillStage *p){
  int i;
  PrillWrite *w;
  for(i=0; i<p->nRun; i++) prillChunkUnref(p->aRun[i].pChunk);
  while( (w = p->pWrites)!=0 ){
    p->pWrites = w->pNext;
    prillWriteFree(w);
  }
  while( p->pOld ){
    PrillTopic *pTopic = p->pOld;
    p->pOld = pTopic->pNext;
    prillTopicUnref(pTopic);
  }
  p->pStore->pStage = 0;
  assert( p->pStore->pSpare==0 );
  p->pStore->pSpare = p;
  if( p->nRunAlloc>STAGE_KEEP || p->frame.nAlloc>prillLimit.szWrite ) prillStageFreeSpare(p->pStore);
}

void prillStageFreeSpare(PrillStore *pStore){
  PrillStage *p = pStore->pSpare;
  PrillWrite *w;
  while( (w = pStore->pSpareWrite)!=0 ){
    pStore->pSpareWrite = w->pNext;
    sqlite3_free(w);
  }
  pStore->nSpareWrite = 0;
  if( p==0 ) return;
  pStore->pSpare = 0;
  sqlite3_free(p->aRun);
  sqlite3_free(p->aMark);
  sqlite3_free(p->aMarkNo);
  prillBufFree(&p->frame);
  sqlite3_free(p);
}

/* An empty stage: the last one's memory, or new. */
static PrillStage *stageNew(PrillStore *pStore){
  PrillStage *p = pStore->pSpare;
  PrillStage old;
  if( p==0 ){
    p = (PrillStage*)sqlite3_malloc64(sizeof(*p));
    if( p==0 ) return 0;
    memset(p, 0, sizeof(*p));
  }else{
    pStore->pSpare = 0;
    old = *p;
    memset(p, 0, sizeof(*p));
    p->aRun = old.aRun;
    p->nRunAlloc = old.nRunAlloc;
    p->aMark = old.aMark;
    p->aMarkNo = old.aMarkNo;
    p->nMarkAlloc = old.nMarkAlloc;
    p->frame = old.frame;
  }
  p->pStore = pStore;
  p->eLevel = -1;
  pStore->iTxn = ++pStore->pConn->iCount;
  pStore->pStage = p;
  return p;
}

/* The first write after a reboot: raise every partition's leader epoch, and
** find what an unsynced segment has lost (R3). */
static int stageRepair(PrillStore *p){
  PrillTopic *pTopic;
  int i;
  int rc = SQLITE_OK;
  for(pTopic=p->pTopics; rc==SQLITE_OK && pTopic; pTopic=pTopic->pNext){
    for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++){
      PrillWrite *w = stageWrite(&rc, pTopic->apPart[i]);
      if( w ) rc = prillRepairWrite(w);
    }
  }
  return rc;
}

int prillStoreBegin(PrillStore *p){
  PrillStage *pStage;
  int rc;
  if( p->pStage ) return SQLITE_OK;
  rc = prillStoreRefresh(p);
  if( rc!=SQLITE_OK ) return rc;
  pStage = stageNew(p);
  if( pStage==0 ) return SQLITE_NOMEM;
  if( p->bExists && p->bReboot ) rc = stageRepair(p);
  if( rc!=SQLITE_OK ) stageFree(pStage);
  return rc;
}

/**************************************************************************
** Runs.
*/

/* A new run of the write's partition, the newest of all. */
static PrillRun *stageNewRun(int *pRc, PrillStage *p, PrillWrite *w){
  PrillRun *pRun;
  if( *pRc!=SQLITE_OK ) return 0;
  if( p->nRun>=p->nRunAlloc ){
    int nAlloc = p->nRunAlloc*2 + 8;
    PrillRun *a = (PrillRun*)sqlite3_realloc64(p->aRun, sizeof(*a)*(u64)nAlloc);
    if( a==0 ){
      *pRc = SQLITE_NOMEM;
      return 0;
    }
    p->aRun = a;
    p->nRunAlloc = nAlloc;
  }
  pRun = &p->aRun[p->nRun];
  memset(pRun, 0, sizeof(*pRun));
  pRun->pWrite = w;
  pRun->iPrev = w->iRun;
  pRun->iBase = pRun->iNext = w->iNext;
  w->iRun = p->nRun++;
  return pRun;
}

/* The runs of a write that have a chunk, oldest first: *pn of them, in
** aFew where STAGE_FEW will do, else in memory for stageRunsFree. */
static int *stageRuns(int *pRc, const PrillStage *p, const PrillWrite *w, int *aFew, int *pn){
  int n = 0, i;
  int *a = aFew;
  for(i=w->iRun; i>=0; i=p->aRun[i].iPrev){
    if( p->aRun[i].pChunk ) n++;
  }
  *pn = n;
  if( n==0 || *pRc!=SQLITE_OK ) return 0;
  if( n>STAGE_FEW ) a = (int*)sqlite3_malloc64(sizeof(int)*(u64)n);
  if( a==0 ){
    *pRc = SQLITE_NOMEM;
    return 0;
  }
  for(i=w->iRun; i>=0; i=p->aRun[i].iPrev){
    if( p->aRun[i].pChunk ) a[--n] = i;
  }
  return a;
}

static void stageRunsFree(int *a, const int *aFew){
  if( a!=aFew ) sqlite3_free(a);
}

/* What taking back the run's batches leads back to. */
static void stageRunBefore(const PrillWrite *w, PrillRun *pRun){
  if( pRun->bEnc ) return;
  pRun->before = w->x;
  pRun->nSegBefore = w->nSeg;
  pRun->nIndexBefore = w->nSeg ? w->aSeg[w->nSeg-1].index.n : 0;
  pRun->bRollBefore = w->bRoll;
  pRun->bEnc = 1;
}

/* Turn the chunks of nRun runs of one partition, which may be taken back only
** together, into batches; they become one run, the first. */
static int stageEncodeRuns(PrillStage *p, PrillWrite *w, const int *aRun, int nRun){
  PrillRun *pRun = &p->aRun[aRun[0]];
  PrillChunk **ap;
  int i;
  int rc;
  ap = (PrillChunk**)sqlite3_malloc64(sizeof(*ap)*(u64)nRun);
  if( ap==0 ) return SQLITE_NOMEM;
  for(i=0; i<nRun; i++) ap[i] = p->aRun[aRun[i]].pChunk;
  stageRunBefore(w, pRun);
  rc = prillWriteChunks(w, ap, nRun);
  for(i=0; rc==SQLITE_OK && i<nRun; i++){
    w->nRaw -= ap[i]->buf.n;
    p->nByte -= ap[i]->buf.n;
    if( ap[i]->nRef==1 ) prillStageSpare(&p->pStore->spareChunk, &ap[i]->buf);
    prillChunkUnref(ap[i]);
    p->aRun[aRun[i]].pChunk = 0;
    if( i>0 ) p->aRun[aRun[i]].iBase = p->aRun[aRun[i]].iNext;
  }
  if( rc==SQLITE_OK ) pRun->iNext = PRILL_MAX(pRun->iNext, w->x.iSegEnd);
  sqlite3_free(ap);
  return rc;
}

/* Turn all chunks of a direct write into batches, oldest first; neighbours
** with no savepoint between them are joined. */
static int stageEncode(PrillStage *p, PrillWrite *w){
  int n, iFrom = 0;
  int rc = SQLITE_OK;
  int aFew[STAGE_FEW];
  int *aRun = stageRuns(&rc, p, w, aFew, &n);
  while( rc==SQLITE_OK && iFrom<n ){
    int iTo = iFrom+1;
    while( iTo<n && aRun[iFrom]>=p->iTop ) iTo++;
    rc = stageEncodeRuns(p, w, &aRun[iFrom], iTo-iFrom);
    iFrom = iTo;
  }
  stageRunsFree(aRun, aFew);
  return rc;
}

static int stageDirect(PrillStage *p, PrillWrite *w){
  int rc = w->bDirect ? SQLITE_OK : prillWriteStart(w);
  return rc==SQLITE_OK ? stageEncode(p, w) : rc;
}

/* Is the write still one of a topic in the catalog? */
static int stageAlive(const PrillWrite *w){
  PrillStore *pStore = w->pPart->pStore;
  return w->pPart->pTopic && prillStorePart(pStore, w->pPart->iPid)==w->pPart;
}

/* The stage has outgrown memory: everything goes to the segments early, above
** their committed ends. */
static int stageEarly(PrillStage *p){
  PrillWrite *w;
  int rc = SQLITE_OK;
  for(w=p->pWrites; rc==SQLITE_OK && w; w=w->pNext){
    if( w->nRaw>0 && stageAlive(w) ) rc = stageDirect(p, w);
    if( rc==SQLITE_OK ) rc = prillWriteFlush(w);
  }
  return rc;
}

/* A chunk for the write's next record.  A direct write fills many: it gets
** the memory of the last. */
static PrillChunk *stageNewChunk(int *pRc, PrillWrite *w, i64 iTs){
  PrillChunk *p = prillChunkNew(pRc, w->iNext, iTs, w->x.iEpoch);
  if( p && w->bDirect ){
    p->buf = w->pPart->pStore->spareChunk;
    memset(&w->pPart->pStore->spareChunk, 0, sizeof(PrillBuf));
  }
  return p;
}

/* Does the write go to its segment, with n bytes more? */
static int stageLarge(const PrillStage *p, const PrillWrite *w, i64 n){
  int bOs = p->pStore->eFlush==PRILL_FLUSH_OS;
  return w->bDirect || w->nRaw+n>=(bOs ? prillLimit.szDirectOs : prillLimit.szDirect);
}

/* The write has grown: to the segment with it, when it or the stage is large
** enough. */
static int stageGrown(PrillStage *p, PrillWrite *w){
  int rc = SQLITE_OK;
  if( !w->bDirect && stageLarge(p, w, 0) ) rc = stageDirect(p, w);
  if( rc==SQLITE_OK && p->nByte>prillLimit.szStage ) rc = stageEarly(p);
  if( rc==SQLITE_OK && prillTrimTooLarge(w) ) rc = prillTrimRefuse(w);
  return rc;
}

/* May records with these times, least and greatest, be appended now? */
static int stageTime(PrillWrite *w, i64 iMinTs, i64 iMaxTs){
  const PrillConfig *p = &w->pTopic->cfg;
  PrillStore *pStore = w->pPart->pStore;
  i64 now;
  if( p->bAppendTime || (p->msBefore==PRILL_I64MAX && p->msAfter==PRILL_I64MAX) ) return SQLITE_OK;
  now = prillNow(pStore->pVfs);
  if( iMaxTs>now && iMaxTs-now>p->msAfter ){
    return prillError(pStore->pConn, SQLITE_CONSTRAINT, "topic %s: timestamp %lld is more than"
                      " message.timestamp.after.max.ms=%lld from now", w->pTopic->zName, iMaxTs, p->msAfter);
  }
  if( iMinTs!=-1 && iMinTs<now && (iMinTs<now-PRILL_MIN(now, p->msBefore)) ){
    return prillError(pStore->pConn, SQLITE_CONSTRAINT, "topic %s: timestamp %lld is more than"
                      " message.timestamp.before.max.ms=%lld ago", w->pTopic->zName, iMinTs, p->msBefore);
  }
  return SQLITE_OK;
}

int prillStageAppend(PrillPart *pPart, PrillRecord *pRec){
  PrillStore *pStore = pPart->pStore;
  PrillStage *p = pStore->pStage;
  const PrillConfig *pCfg;
  PrillWrite *w;
  PrillRun *pRun;
  i64 nRec, nBefore;
  int rc = SQLITE_OK;
  assert( p!=0 );
  w = stageWrite(&rc, pPart);
  if( rc!=SQLITE_OK ) return rc;
  pCfg = &w->pTopic->cfg;
  nRec = PRILL_MAX(pRec->nKey, 0) + PRILL_MAX(pRec->nVal, 0) + (i64)pRec->nHdrByte + 40;
  if( nRec+PRILL_BATCH_HDR>pPart->pTopic->cfg.szMessage ) return SQLITE_TOOBIG;  /* as of now */
  if( pRec->nKey<0 && (pPart->pTopic->cfg.mCleanup & PRILL_COMPACT) ){
    return prillError(pStore->pConn, SQLITE_CONSTRAINT, "topic %s: cleanup.policy=compact keeps the newest record"
                      " of each key, and this one has none; give it a key", pPart->pTopic->zName);
  }
  rc = stageTime(w, pRec->iTs, pRec->iTs);
  if( rc!=SQLITE_OK ) return rc;
  p->bSynced = 0;
  pRun = w->iRun>=p->iTop && w->iRun>=0 ? &p->aRun[w->iRun] : 0;
  if( pRun && pRun->pChunk && (pRun->pChunk->bBatch || pRun->pChunk->buf.n+nRec>pCfg->szBatch) ){
    if( w->bDirect ){
      rc = stageEncode(p, w);
      pRun = &p->aRun[w->iRun];
    }else{
      pRun = 0;
    }
  }else if( pRun==0 && w->bDirect ){
    rc = stageEncode(p, w);
  }
  if( pRun==0 ) pRun = stageNewRun(&rc, p, w);
  if( pRun && pRun->pChunk==0 ) pRun->pChunk = stageNewChunk(&rc, w, pRec->iTs);
  if( rc!=SQLITE_OK ) return rc;
  pRec->iOff = w->iNext;
  nBefore = pRun->pChunk->buf.n;
  prillChunkAppend(&rc, pRun->pChunk, pRec);
  if( rc!=SQLITE_OK ) return rc;
  nRec = pRun->pChunk->buf.n - nBefore;
  pRun->iNext = ++w->iNext;
  w->nRaw += nRec;
  p->nByte += nRec;
  return pStore->zDir ? stageGrown(p, w) : SQLITE_OK;
}

/* The batch at a, as it will stand and stamped as the topic wants: header and
** *piMinTs follow. */
static void stagePlace(PrillWrite *w, u8 *a, PrillBatch *p, i64 *piMinTs, i64 iMaxTs){
  p->iBase = w->iNext;
  p->iEpoch = (i32)w->x.iEpoch;
  prillBatchPlace(a, p->iBase, p->iEpoch);
  if( w->pTopic->cfg.bAppendTime ){
    *piMinTs = prillNow(w->pPart->pStore->pVfs);
    prillBatchStamp(a, p, *piMinTs, 1);
  }else if( p->iMaxTs!=iMaxTs ){
    prillBatchStamp(a, p, iMaxTs, 0);
  }
}

/* Make pChunk, a whole batch that goes to the segment in any case, the write's
** newest records: without a copy for the time until then. */
static int stageStraight(PrillStage *p, PrillWrite *w, PrillChunk *pChunk){
  PrillRun *pRun = 0;
  int rc = stageDirect(p, w);
  p->bSynced = 0;
  if( w->iRun>=p->iTop && w->iRun>=0 ) pRun = &p->aRun[w->iRun];
  if( pRun==0 ) pRun = stageNewRun(&rc, p, w);
  if( rc!=SQLITE_OK ) return rc;
  stageRunBefore(w, pRun);
  rc = prillWriteChunks(w, &pChunk, 1);
  if( rc!=SQLITE_OK ) return rc;
  pRun->iNext = w->iNext = pChunk->iNext;
  return stageGrown(p, w);
}

/* Make pChunk, whose offsets begin at w->iNext, the write's newest records.
** Takes over the reference. */
static int stagePutChunk(PrillStage *p, PrillWrite *w, PrillChunk *pChunk){
  PrillRun *pRun = 0;
  int rc = SQLITE_OK;
  p->bSynced = 0;
  if( w->bDirect ){
    rc = stageEncode(p, w);
    if( w->iRun>=p->iTop && w->iRun>=0 ) pRun = &p->aRun[w->iRun];
  }
  if( pRun==0 ) pRun = stageNewRun(&rc, p, w);
  if( rc!=SQLITE_OK ){
    prillChunkUnref(pChunk);
    return rc;
  }
  pRun->pChunk = pChunk;
  pRun->iNext = w->iNext = pChunk->iNext;
  w->nRaw += pChunk->buf.n;
  p->nByte += pChunk->buf.n;
  return p->pStore->zDir ? stageGrown(p, w) : SQLITE_OK;
}

int prillStageBatch(PrillPart *pPart, u8 *a, const PrillBatch *pB, i64 iMinTs, i64 iMaxTs, i64 *piOff, i64 *piTs){
  PrillStage *p = pPart->pStore->pStage;
  PrillBatch b = *pB;
  PrillChunk chunk, *pChunk;
  PrillWrite *w;
  int rc = SQLITE_OK;
  assert( p!=0 );
  w = stageWrite(&rc, pPart);
  if( rc!=SQLITE_OK ) return rc;
  if( pB->nByte>pPart->pTopic->cfg.szMessage ) return SQLITE_TOOBIG;
  if( pB->mAttr & (PRILL_ATTR_CONTROL|PRILL_ATTR_HORIZON) ) return SQLITE_MISUSE;
  rc = stageTime(w, iMinTs, iMaxTs);
  if( rc!=SQLITE_OK ) return rc;
  stagePlace(w, a, &b, &iMinTs, iMaxTs);
  *piOff = b.iBase;
  *piTs = w->pTopic->cfg.bAppendTime ? b.iMaxTs : -1;
  if( pPart->pStore->zDir && stageLarge(p, w, b.nByte) ){
    prillChunkBorrow(&chunk, &b, a, iMinTs);
    return stageStraight(p, w, &chunk);
  }
  pChunk = prillChunkBatch(&rc, a, b.nByte, iMinTs);
  return pChunk ? stagePutChunk(p, w, pChunk) : rc;
}

int prillStageChunk(PrillPart *pPart, PrillChunk *pChunk, i64 *piOff){
  PrillStage *p = pPart->pStore->pStage;
  PrillWrite *w;
  int rc = SQLITE_OK;
  assert( p!=0 && pChunk->nRef==1 && !pChunk->bBatch );
  w = stageWrite(&rc, pPart);
  if( rc==SQLITE_OK ) rc = stageTime(w, pChunk->iMinTs, pChunk->iMaxTs);
  if( rc!=SQLITE_OK ) return rc;
  pChunk->bGone = 0;
  pChunk->iBase = *piOff = w->iNext;
  pChunk->iNext = w->iNext + pChunk->nRec;
  pChunk->iEpoch = w->x.iEpoch;
  return stagePutChunk(p, w, prillChunkRef(pChunk));
}

/**************************************************************************
** Savepoints.
*/
static void stageTop(PrillStage *p){
  p->iTop = p->nMark && p->aMark[p->nMark-1]>0 ? p->aMark[p->nMark-1] : 0;
}

int prillStoreSavepoint(PrillStore *pStore, int iSavepoint){
  PrillStage *p = pStore->pStage;
  if( p==0 || iSavepoint<p->nMark ) return SQLITE_OK;      /* another table told us */
  if( iSavepoint>=p->nMarkAlloc ){
    int nAlloc = iSavepoint*2 + 8;
    int *a = (int*)sqlite3_realloc64(p->aMark, sizeof(int)*(u64)nAlloc);
    i64 *aNo = a ? (i64*)sqlite3_realloc64(p->aMarkNo, sizeof(i64)*(u64)nAlloc) : 0;
    if( a ) p->aMark = a;
    if( aNo ) p->aMarkNo = aNo;
    if( a==0 || aNo==0 ) return SQLITE_NOMEM;
    p->nMarkAlloc = nAlloc;
  }
  /* Those not told of were opened before the first write: nothing of ours is
  ** older than they are. */
  while( p->nMark<iSavepoint ){
    p->aMarkNo[p->nMark] = 0;
    p->aMark[p->nMark++] = 0;
  }
  p->aMarkNo[p->nMark] = pStore->iMark = ++pStore->pConn->iCount;
  p->aMark[p->nMark++] = p->nRun;
  stageTop(p);
  return SQLITE_OK;
}

int prillStoreRelease(PrillStore *pStore, int iSavepoint){
  PrillStage *p = pStore->pStage;
  if( p==0 ) return SQLITE_OK;
  if( iSavepoint<p->nMark ) p->nMark = PRILL_MAX(iSavepoint, 0);
  if( p->nMarkSync>p->nMark ) p->nMarkSync = p->nMark;
  stageTop(p);
  return SQLITE_OK;
}

int prillStoreRollbackTo(PrillStore *pStore, int iSavepoint){
  PrillStage *p = pStore->pStage;
  PrillWrite *w;
  int iMark = 0, bBeforeSync;
  if( p==0 ) return SQLITE_OK;
  bBeforeSync = iSavepoint<p->nMarkSync || iSavepoint>=p->nMark;
  /* A savepoint without a mark was opened before the stage: all of it goes. */
  if( iSavepoint>=0 && iSavepoint<p->nMark ) iMark = p->aMark[iSavepoint];
  while( p->nRun>iMark ){
    PrillRun *pRun = &p->aRun[--p->nRun];
    w = pRun->pWrite;
    if( pRun->pChunk ){
      w->nRaw -= pRun->pChunk->buf.n;
      p->nByte -= pRun->pChunk->buf.n;
      pRun->pChunk->bGone = 1;
      prillChunkUnref(pRun->pChunk);
    }
    if( pRun->bEnc ) prillWriteRewind(w, pRun);
    w->iNext = pRun->iBase;
    w->iRun = pRun->iPrev;
  }
  if( iSavepoint+1<p->nMark ) p->nMark = PRILL_MAX(iSavepoint+1, 0);
  stageTop(p);
  pStore->iCut = ++pStore->pConn->iCount;
  p->bSynced = 0;
  if( bBeforeSync ){
    /* The rows an earlier xSync wrote are undone too, and its plan with them. */
    for(w=p->pWrites; w; w=w->pNext){
      w->bSpill = 0;
      w->nTrim = w->nTrimOwn = 0;
      w->iTrimTo = 0;
    }
    p->bRows = p->bState = p->bRing = p->bFold = 0;
    p->nMarkSync = 0;
  }
  return SQLITE_OK;
}

/**************************************************************************
** The plan.
*/
static int stageHasRecords(const PrillStage *p, const PrillWrite *w){
  int i;
  for(i=w->iRun; i>=0; i=p->aRun[i].iPrev){
    if( p->aRun[i].iNext>p->aRun[i].iBase ) return 1;
  }
  return 0;
}

/* Does it go to files? */
static int stageToFile(const PrillStage *p, const PrillWrite *w){
  return w->bSpill || (w->bDirect && (w->bRepair || stageHasRecords(p, w)));
}

/* Does its extent change? */
static int stageRows(const PrillStage *p, const PrillWrite *w){
  return w->bRepair || w->iTrimTo>0 || stageToFile(p, w);
}

/* Bytes a partition has in the ring and in chunks: what a spill would move. */
static i64 stageShare(const PrillPart *pPart){
  return pPart->nTailByte + (pPart->pWrite ? pPart->pWrite->nRaw : 0);
}

/* May its share be spilled by this commit? */
static int stageSpillable(const PrillPart *pPart){
  const PrillWrite *w = pPart->pWrite;
  return pPart->pTopic && stageShare(pPart)>0 && !(w && (w->bSpill || w->bDirect));
}

/* The largest share that may be spilled, or NULL.  Among very many of about the
** same size one of the first will do. */
static PrillPart *stageLargest(PrillStage *p){
  PrillPart *pBest = 0, *pPart;
  PrillWrite *w;
  int e, n = 0;
  for(e=PRILL_NSHARE-1; e>=0 && pBest==0; e--){
    for(pPart=p->pStore->apShare[e]; pPart && n<STAGE_LOOK; pPart=pPart->pShare){
      if( !stageSpillable(pPart) ) continue;
      if( pBest==0 || stageShare(pPart)>stageShare(pBest) ) pBest = pPart;
      n++;
    }
  }
  for(w=p->pWrites; w; w=w->pNext){
    if( stageAlive(w) && stageSpillable(w->pPart)
     && (pBest==0 || stageShare(w->pPart)>stageShare(pBest)) ) pBest = w->pPart;
  }
  return pBest;
}

/* Spill the largest shares, at most mxSpill of them, none smaller than szLeast,
** and until no more than nKeep bytes are left of *pnLive. */
static int stageSpill(PrillStage *p, i64 *pnLive, i64 nKeep, int mxSpill, i64 szLeast){
  int n;
  int rc = SQLITE_OK;
  for(n=0; rc==SQLITE_OK && n<mxSpill && *pnLive>nKeep; n++){
    PrillPart *pBest = stageLargest(p);
    PrillWrite *w;
    if( pBest==0 || stageShare(pBest)<szLeast ) break;
    *pnLive -= stageShare(pBest);
    w = stageWrite(&rc, pBest);
    if( rc!=SQLITE_OK ) break;
    w->bSpill = 1;
    rc = stageDirect(p, w);
  }
  return rc;
}

/* Make room in the ring, whose limit is nLimit, for nNew bytes of nNewPart new
** partitions.  What is live may fill half of the ring, so that a turn, which
** writes it once more, comes after at least as many new bytes: where there are
** too many partitions for that, the ring grows to twice what is live.  A file's
** sync is dear, so that a commit spills few of them and none for a few records,
** and waits until there are as many as it may: what they need besides (rows,
** the log directory's sync) is paid once for all.  More only where what is live
** would outgrow the limit. */
static int stageRoom(PrillStage *p, i64 nLimit, i64 nNew, int nNewPart){
  PrillStore *pStore = p->pStore;
  i64 nLive = pStore->nLiveByte + nNew;
  int bFew = pStore->nLivePart+nNewPart<=prillLimit.nSpill;
  int bFull = pStore->nRingByte+nNew>nLimit;
  int rc = SQLITE_OK;
  if( bFew && bFull ){
    rc = stageSpill(p, &nLive, 0, prillLimit.nSpill, 0);
  }else if( !bFew && nLive>nLimit/2+prillLimit.nSpill*prillLimit.szRingPart/2 ){
    rc = stageSpill(p, &nLive, nLimit/2, prillLimit.nSpill, prillLimit.szRingPart/16);
    if( rc==SQLITE_OK ) rc = stageSpill(p, &nLive, nLimit, 0x7fffffff, 0);
  }
  p->bFold = (u8)(bFull && (bFew || pStore->nRingByte+nNew>2*nLive));
  return rc;
}

/* A reader that keeps the WAL from being reset makes every frame a growth of
** it: while the WAL is beyond the limit, segments are written directly. */
static void stageWalPin(PrillStore *p){
  sqlite3_file *pWal = 0;
  sqlite3_int64 n = 0;
  p->bTailOff = 0;
  if( sqlite3_file_control(p->pConn->db, p->zSchema, SQLITE_FCNTL_JOURNAL_POINTER, &pWal)!=SQLITE_OK ) return;
  if( pWal==0 || pWal->pMethods==0 || pWal->pMethods->xFileSize(pWal, &n)!=SQLITE_OK ) return;
  p->bTailOff = (u8)(n>prillLimit.szWalPin);
}

/* Decide what goes to files.  *pnNew: bytes for the frame. */
static int stagePlan(PrillStage *p, i64 *pnNew){
  PrillStore *pStore = p->pStore;
  i64 nNew = 0, nLimit;
  int nNewPart = 0;
  PrillWrite *w;
  int rc = SQLITE_OK;
  *pnNew = 0;
  if( pStore->zDir && (pStore->bTailOff || pStore->nSlot==0) ) stageWalPin(pStore);
  for(w=p->pWrites; rc==SQLITE_OK && w; w=w->pNext){
    if( !stageAlive(w) ) continue;
    if( w->bDirect ){
      rc = stageEncode(p, w);
    }else if( w->nRaw>0 && pStore->zDir ){
      int eLevel = 1;
      if( w->nRaw>=prillLimit.szDirectOs && pStore->eFlush!=PRILL_FLUSH_OS ) rc = prillStageLevel(p, &eLevel);
      if( rc==SQLITE_OK && (pStore->bTailOff
       || (w->nRaw>=prillLimit.szDirectOs && (eLevel==0 || pStore->eFlush==PRILL_FLUSH_OS))) ){
        rc = stageDirect(p, w);
      }
    }
    if( !w->bDirect && w->nRaw>0 ){
      nNew += w->nRaw + 32;
      if( w->pPart->nTail==0 ) nNewPart++;
    }
  }
  if( rc==SQLITE_OK && nNew>0 && pStore->zDir==0 && pStore->nRingByte>2*pStore->nLiveByte+prillLimit.szRing ){
    p->bFold = 1;                    /* most of it is dead: start anew */
  }
  if( rc!=SQLITE_OK || nNew==0 || pStore->zDir==0 ){
    *pnNew = nNew;
    return rc;
  }
  nLimit = prillTailLimit(pStore, pStore->nLivePart+nNewPart);
  /* The turn made by an earlier xSync stands (I2). */
  if( !(p->bRing && p->bFold) ) rc = stageRoom(p, nLimit, nNew, nNewPart);
  for(nNew=0, w=p->pWrites; w; w=w->pNext){
    if( stageAlive(w) && !w->bDirect && w->nRaw>0 ) nNew += w->nRaw+32;
  }
  *pnNew = nNew;
  return rc;
}

/**************************************************************************
** Frames.
*/
static int stagePutFrame(PrillStage *p){
  int rc = SQLITE_OK;
  prillFramePad(&rc, p->pStore, &p->frame);
  prillFrameEnd(&rc, &p->frame, p->nSlot ? p->iCrc : 0);
  if( rc==SQLITE_OK ) rc = prillFramePut(p->pStore, p->nSlot, &p->frame);
  if( rc!=SQLITE_OK ) return rc;
  p->nSlot++;
  p->nRing += p->frame.n;
  p->iCrc = prillGet32(&p->frame.a[1]);
  p->bRows = 1;
  prillFrameBegin(&rc, &p->frame, p->iTurn);
  return rc;
}

/* Add this transaction's chunks of one write to the frame. */
static void stageAddWrite(int *pRc, PrillStage *p, PrillWrite *w){
  int n, i;
  int aFew[STAGE_FEW];
  int *aRun = stageRuns(pRc, p, w, aFew, &n);
  for(i=0; *pRc==SQLITE_OK && i<n; i++){
    prillFrameAdd(pRc, &p->frame, w->pPart->iPid, p->aRun[aRun[i]].pChunk);
  }
  stageRunsFree(aRun, aFew);
}

/* One partition's live tail as few chunks as may be: neighbours joined up to
** a batch's size. */
static int stageFoldPart(PrillStage *p, PrillPart *pPart){
  PrillChunk *pWork = 0;
  int i;
  int rc = SQLITE_OK;
  if( pPart->nTail==1 ){
    prillFrameAdd(&rc, &p->frame, pPart->iPid, pPart->apTail[0]);
    return rc;
  }
  for(i=0; rc==SQLITE_OK && i<pPart->nTail; i++){
    PrillChunk *pIn = pPart->apTail[i];
    const u8 *a = pIn->buf.a, *aEnd = a+pIn->buf.n;
    if( pWork && (pIn->bBatch || pWork->iNext!=pIn->iBase || pWork->iEpoch!=pIn->iEpoch
     || pWork->buf.n+pIn->buf.n>pPart->pTopic->cfg.szBatch) ){
      prillFrameAdd(&rc, &p->frame, pPart->iPid, pWork);
      prillChunkUnref(pWork);
      pWork = 0;
    }
    if( pIn->bBatch ){
      prillFrameAdd(&rc, &p->frame, pPart->iPid, pIn);
      continue;
    }
    if( pWork==0 ) pWork = prillChunkNew(&rc, pIn->iBase, pIn->iBaseTs, pIn->iEpoch);
    while( rc==SQLITE_OK && a<aEnd ){
      PrillRecord r;
      i64 n = prillRecordDecode(a, aEnd, pIn->iBase, pIn->iBaseTs, &r);
      if( n==0 || r.iOff!=pWork->iNext ){
        rc = prillError(p->pStore->pConn, PRILL_CORRUPT, "topic %s partition %d: its tail is damaged; restore"
                        " the database from a backup", pPart->pTopic->zName, pPart->iPart);
        break;
      }
      prillChunkAppend(&rc, pWork, &r);
      a += n;
    }
  }
  if( pWork ) prillFrameAdd(&rc, &p->frame, pPart->iPid, pWork);
  prillChunkUnref(pWork);
  return rc;
}

/* The ring starts anew: what is live and stays goes first, in merged frames. */
static int stageFold(PrillStage *p){
  PrillStore *pStore = p->pStore;
  PrillPart *pPart;
  int i;
  int rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<pStore->nBucket; i++){
    for(pPart=pStore->apPart[i]; rc==SQLITE_OK && pPart; pPart=pPart->pHash){
      if( pPart->nTail==0 || pPart->pTopic==0 || (pPart->pWrite && stageToFile(p, pPart->pWrite)) ) continue;
      rc = stageFoldPart(p, pPart);
      if( rc==SQLITE_OK && p->frame.n>prillLimit.szWrite ) rc = stagePutFrame(p);
    }
  }
  return rc;
}

/* Are all live chunks on their way to segments? */
static int stageRingEmpty(PrillStage *p){
  PrillWrite *w;
  int n = p->pStore->nLivePart;
  for(w=p->pWrites; w; w=w->pNext){
    if( w->pPart->nTail && stageToFile(p, w) ) n--;
  }
  return n<=0;
}

static int stageFrames(PrillStage *p, i64 nNew){
  PrillStore *pStore = p->pStore;
  PrillWrite *w;
  int rc = SQLITE_OK;
  int bTurn = p->bFold || (pStore->zDir && stageRingEmpty(p));
  if( nNew==0 && !p->bFold && !p->bRing ) return SQLITE_OK;
  p->iTurn = pStore->iRingGen + bTurn;
  p->nSlot = bTurn ? 0 : pStore->nSlot;
  p->nRing = bTurn ? 0 : pStore->nRingByte;
  p->iCrc = pStore->iRingCrc;
  p->bRing = 1;
  if( pStore->iRingGen==0 && !bTurn ) p->iTurn = 1;
  prillFrameBegin(&rc, &p->frame, p->iTurn);
  if( rc==SQLITE_OK && p->bFold ) rc = stageFold(p);
  for(w=p->pWrites; rc==SQLITE_OK && w; w=w->pNext){
    if( stageAlive(w) && !w->bDirect && w->nRaw>0 ) stageAddWrite(&rc, p, w);
  }
  if( rc==SQLITE_OK ) rc = stagePutFrame(p);
  if( rc==SQLITE_OK && p->bFold && pStore->zDir==0 ){
    /* This ring has no bound: give back what the last turn took. */
    rc = prillStoreExec(pStore, "DELETE FROM \"%w\".prill_store_tail WHERE slot>=%lld", p->nSlot);
  }
  return rc;
}

/**************************************************************************
** xSync, xCommit, xRollback.
*/
static int stageStateRow(PrillStage *p){
  PrillStore *pStore = p->pStore;
  char zBoot[40];
  PrillWrite *w;
  int bDir = pStore->bDirRow;
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(pStore, STMT_SET_STATE, &rc);
  if( rc!=SQLITE_OK ) return rc;
  for(w=p->pWrites; w; w=w->pNext){
    if( w->nSeg ) bDir = 1;
  }
  prillFileBootId(zBoot);
  if( p->iExtentTo==0 ) p->iExtentTo = prillStoreStamp(pStore);
  sqlite3_bind_int64(pStmt, 1, p->iExtentTo);
  sqlite3_bind_text(pStmt, 2, zBoot, -1, SQLITE_TRANSIENT);
  sqlite3_bind_int(pStmt, 3, bDir);
  sqlite3_step(pStmt);
  prillStoreDone(pStore, pStmt, &rc);
  p->bRows = p->bState = 1;
  return rc;
}

/* A small commit to a partition whose segment an OFF connection left unsynced
** must not stand above a hole. */
static int stageSyncBelow(PrillStage *p, PrillWrite *w){
  int eLevel = 0;
  int rc;
  if( w->bDirect || w->nRaw==0 || w->x.nSynced>=w->x.nByte || p->pStore->zDir==0
   || p->pStore->eFlush==PRILL_FLUSH_OS ) return SQLITE_OK;
  rc = prillStageLevel(p, &eLevel);
  return rc==SQLITE_OK && eLevel>0 ? stageDirect(p, w) : rc;
}

/* Retention: what is over retention.bytes goes, sealed segments first; where
** there are none the tail is moved into some. */
static int stageTrim(PrillStage *p, PrillWrite *w){
  int bOver = 0;
  int rc = SQLITE_OK;
  if( w->bDirect ) rc = stageEncode(p, w);
  if( rc==SQLITE_OK ) rc = prillTrimPlan(w, &bOver);
  if( rc==SQLITE_OK && bOver && !w->bDirect && p->pStore->zDir ){
    w->bSpill = 1;
    rc = stageDirect(p, w);
    if( rc==SQLITE_OK ) rc = prillTrimPlan(w, &bOver);
  }
  if( rc==SQLITE_OK && bOver ) rc = prillTrimRefuse(w);
  return rc;
}

static int stageSync(PrillStage *p){
  i64 iRowid = sqlite3_last_insert_rowid(p->pStore->pConn->db);
  PrillWrite *w;
  i64 nNew = 0;
  int bState = p->bState;
  int rc = SQLITE_OK;
  for(w=p->pWrites; rc==SQLITE_OK && w; w=w->pNext){
    if( stageAlive(w) ) rc = stageSyncBelow(p, w);
    if( rc==SQLITE_OK && stageAlive(w) && stageHasRecords(p, w) ) rc = stageTrim(p, w);
  }
  if( rc==SQLITE_OK ) rc = stagePlan(p, &nNew);
  for(w=p->pWrites; rc==SQLITE_OK && w; w=w->pNext){
    if( stageAlive(w) && stageToFile(p, w) ) rc = prillWriteFiles(w);
  }
  for(w=p->pWrites; rc==SQLITE_OK && w; w=w->pNext){
    if( stageAlive(w) && stageToFile(p, w) ) rc = prillWriteSync(w);
  }
  if( rc==SQLITE_OK ) rc = prillWriteSyncDir(p);
  if( rc==SQLITE_OK ) rc = stageFrames(p, nNew);
  for(w=p->pWrites; rc==SQLITE_OK && w; w=w->pNext){
    if( stageAlive(w) && stageRows(p, w) ){
      rc = prillWriteRows(w);
      bState = 1;
    }
  }
  if( rc==SQLITE_OK && bState ) rc = stageStateRow(p);
  sqlite3_set_last_insert_rowid(p->pStore->pConn->db, iRowid);
  return rc;
}

int prillStoreSync(PrillStore *pStore){
  PrillStage *p = pStore->pStage;
  PrillWrite *w;
  int rc = SQLITE_OK;
  if( p==0 || p->bSynced || p->pWrites==0 ) return SQLITE_OK;
  if( p->bFull ) return SQLITE_FULL;
  if( pStore->bDirty ) rc = prillStoreRefresh(pStore);
  if( rc==SQLITE_OK && !pStore->bExists ){
    /* A rollback nobody told us of has taken the store's own tables. */
    p->bRows = p->bState = p->bRing = p->bFold = 0;
    return SQLITE_OK;
  }
  /* The committed extents and segments, before our own rows hide them. */
  for(w=p->pWrites; rc==SQLITE_OK && w; w=w->pNext){
    if( stageAlive(w) ) rc = prillPartSegs(w->pPart);
  }
  for(w=p->pWrites; w; w=w->pNext){
    if( stageAlive(w) && (w->bRepair || w->bSpill || stageHasRecords(p, w)) ) break;
  }
  if( rc==SQLITE_OK && (w || p->bRows) ){
    p->bReached = 1;
    if( !p->bRows ) p->nMarkSync = p->nMark;
    rc = stageSync(p);
  }
  if( rc==SQLITE_OK ) p->bSynced = 1;
  return rc;
}

/* Move a write's chunks into its partition's tail. */
static int stageKeepTail(PrillStage *p, PrillWrite *w){
  int n, i;
  int rc = SQLITE_OK;
  int aFew[STAGE_FEW];
  int *aRun = stageRuns(&rc, p, w, aFew, &n);
  for(i=0; rc==SQLITE_OK && i<n; i++) rc = prillTailAdd(w->pPart, p->aRun[aRun[i]].pChunk);
  stageRunsFree(aRun, aFew);
  return rc;
}

/* The ring has turned, and all that was live is in segments. */
static void stageDropTails(PrillStore *pStore){
  PrillPart *pPart;
  int i;
  for(i=0; i<pStore->nBucket; i++){
    for(pPart=pStore->apPart[i]; pPart; pPart=pPart->pHash) prillTailDrop(pPart);
  }
}

/* The transaction has committed: the caches become what it wrote. */
static void stageCommit(PrillStage *p){
  PrillStore *pStore = p->pStore;
  PrillWrite *w;
  unsigned int v = 0;
  int rc = SQLITE_OK;
  if( p->bState ){
    pStore->iExtent = p->iExtentTo;
    pStore->bReboot = 0;
    prillFileBootId(pStore->zBoot);
  }
  for(w=p->pWrites; w; w=w->pNext){
    int bMoved = stageToFile(p, w);
    if( !stageAlive(w) || !stageRows(p, w) ) continue;
    if( w->nSeg ) pStore->bDirRow = 1;
    prillWriteDone(w, 1, 1);
    if( bMoved ) prillTailDrop(w->pPart);
    else if( rc==SQLITE_OK ) rc = prillTailPrune(w->pPart);
  }
  if( p->bRing ){
    /* What a fold has written once more are the same records. */
    if( p->iTurn!=pStore->iRingGen && !p->bFold ) stageDropTails(pStore);
    for(w=p->pWrites; rc==SQLITE_OK && w; w=w->pNext){
      if( stageAlive(w) && !w->bDirect && w->nRaw>0 ) rc = stageKeepTail(p, w);
    }
    pStore->iRingGen = p->iTurn;
    pStore->nSlot = p->nSlot;
    pStore->nRingByte = p->nRing;
    pStore->iRingCrc = p->iCrc;
  }
  if( rc!=SQLITE_OK ) prillTailReset(pStore);
  stageFree(p);
  sqlite3_file_control(pStore->pConn->db, pStore->zSchema, SQLITE_FCNTL_DATA_VERSION, &v);
  pStore->iDataVersion = v;
}

/**************************************************************************
** Watching.
*/
void prillWatch(PrillStore *pStore, PrillWatch *p){
  if( p->pStore ) return;
  p->pStore = pStore;
  p->pNext = pStore->pWatches;
  pStore->pWatches = p;
}

void prillWatchEnd(PrillWatch *p){
  PrillWatch **pp;
  if( p->pStore==0 ) return;
  for(pp=&p->pStore->pWatches; *pp && *pp!=p; pp=&(*pp)->pNext){}
  if( *pp ) *pp = p->pNext;
  p->pStore = 0;
}

static void stageTell(PrillStore *pStore, int bCommit){
  PrillWatch *p;
  while( (p = pStore->pWatches)!=0 ){
    prillWatchEnd(p);
    p->xEnd(p, bCommit);
  }
}

/* SQLite has committed and the lock is free: first wake, then tidy up.  Tables
** after the first find nothing left to do. */
void prillStoreCommit(PrillStore *pStore){
  int bYield = 0;
  if( pStore->pStage || pStore->bDirty || pStore->bTouched ){
    prillWakeCommit(pStore);
    bYield = prillTurnPass(pStore);
    pStore->bTouched = 0;
  }
  if( pStore->pStage ) stageCommit(pStore->pStage);
  stageTell(pStore, 1);
  if( pStore->bDirty ) prillStoreForget(pStore);
  if( bYield ) prillTurnYield(pStore);
}

void prillStoreRollback(PrillStore *pStore){
  PrillStage *p = pStore->pStage;
  PrillWrite *w;
  int bYield = 0;
  int i;
  pStore->bTouched = 0;
  if( p ){
    bYield = prillTurnPass(pStore);
    for(i=0; i<p->nRun; i++){
      if( p->aRun[i].pChunk ) p->aRun[i].pChunk->bGone = 1;
    }
    for(w=p->pWrites; w; w=w->pNext) prillWriteDone(w, 0, p->bReached);
    stageFree(p);
  }
  pStore->iCut = ++pStore->pConn->iCount;
  stageTell(pStore, 0);
  if( pStore->bDirty ) prillStoreForget(pStore);
  if( bYield ) prillTurnYield(pStore);
}
