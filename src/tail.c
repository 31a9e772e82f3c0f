/*
** tail.c: the tail, newest records inside the database: a ring of frames.
**
** May call: base, codec, and store/part beside it.
**
** A FRAME is one row of prill_store_tail, (slot INTEGER PRIMARY KEY, frame
** BLOB): what one transaction brought to all partitions that were not written
** directly.  Slots are 0, 1, 2, ... in commit order.  When the ring is full it
** starts again at slot 0 in a new turn, after what is live has been moved to
** segments or into the new turn's first frames.  Rows are overwritten in place
** and never deleted: a small commit dirties one page.
**
**   byte  0      format, 1
**         1..4   CRC-32C of bytes 5..end, going on from the CRC of the frame
**                before it; slot 0's begins anew.  So the last frame's tells
**                whether all of them are those that are known
**         5..12  turn
**         then for each chunk of records:
**           uvarint  pid           number of the partition in the store
**           uvarint  kind          0: records without a batch header; 1: a
**                                  whole batch, below
**           varint   first offset
**           varint   leader epoch
**           uvarint  records       >= 1; offsets are consecutive
**           varint   base timestamp
**           varint   greatest timestamp - base timestamp
**           varint   least timestamp - base timestamp
**           uvarint  bytes
**           bytes    records as in a batch, deltas against offset and timestamp
**         and of kind 1, whose header says the rest:
**           varint   least timestamp
**           uvarint  bytes
**           bytes    the batch as it will stand in the segment
**
** A frame of a KiB or more ends in a chunk of pid 0, which no partition
** has, of zeros: it makes it as long as the one before it was, where that does,
** because SQLite overwrites in place only what keeps its length; else each small
** commit would empty and zero the pages of the row before it and take others.
**
**   I1  The frames of the ring are slots 0..n-1, all of slot 0's turn; a row
**       with another turn ends it.
**   I2  A chunk is live when its first offset is not below its partition's
**       segment end.  Chunks of partitions that are gone are dead.
**   I3  Within a turn a partition's chunks rise in offset.
**
** Crash story: frames are rows; SQLite's COMMIT decides.
*/
#include "prillInt.h"

#define FRAME_HDR 13
#define FRAME_PAD 12        /* least bytes of the chunk that fills a frame up */
#define FRAME_STEP 256      /* lengths are multiples of it */
#define FRAME_LONG 1024     /* from here on */

/**************************************************************************
** Chunks.
*/
PrillChunk *prillChunkNew(int *pRc, i64 iBase, i64 iBaseTs, i64 iEpoch){
  PrillChunk *p;
  if( *pRc!=SQLITE_OK ) return 0;
  p = (PrillChunk*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ){
    *pRc = SQLITE_NOMEM;
    return 0;
  }
  memset(p, 0, sizeof(*p));
  p->nRef = 1;
  p->iBase = p->iNext = iBase;
  p->iBaseTs = p->iMaxTs = p->iMinTs = iBaseTs;
  p->iEpoch = iEpoch;
  return p;
}

PrillChunk *prillChunkRef(PrillChunk *p){
  p->nRef++;
  return p;
}

void prillChunkUnref(PrillChunk *p){
  if( p && --p->nRef==0 ){
    prillBufFree(&p->buf);
    sqlite3_free(p);
  }
}

void prillChunkBorrow(PrillChunk *p, const PrillBatch *pB, u8 *a, i64 iMinTs){
  memset(p, 0, sizeof(*p));
  p->nRef = 1;
  p->bBatch = 1;
  p->nRec = pB->nRec;
  p->iEpoch = pB->iEpoch;
  p->iBase = pB->iBase;
  p->iNext = pB->iBase + pB->dLast + 1;
  p->iBaseTs = pB->iBaseTs;
  p->iMaxTs = pB->iMaxTs;
  p->iMinTs = iMinTs;
  p->buf.a = a;
  p->buf.n = p->buf.nAlloc = pB->nByte;
}

PrillChunk *prillChunkBatch(int *pRc, const u8 *a, i64 n, i64 iMinTs){
  PrillChunk *p;
  PrillBatch b;
  if( *pRc==SQLITE_OK ) *pRc = prillBatchHeader(a, n, &b);
  if( *pRc==SQLITE_OK && (b.nByte!=n || b.nRec<1 || b.iBase>((i64)1<<48)-1-b.dLast) ) *pRc = PRILL_CORRUPT;
  p = *pRc==SQLITE_OK ? prillChunkNew(pRc, b.iBase, b.iBaseTs, b.iEpoch) : 0;
  if( p==0 ) return 0;
  p->bBatch = 1;
  p->nRec = b.nRec;
  p->iNext = b.iBase + b.dLast + 1;
  p->iMaxTs = b.iMaxTs;
  p->iMinTs = iMinTs;
  prillBufAppend(pRc, &p->buf, a, n);
  if( *pRc==SQLITE_OK ) return p;
  prillChunkUnref(p);
  return 0;
}

int prillChunkRecords(const PrillChunk *p, PrillBatch *pB, PrillBuf *pOut, const u8 **paRec, i64 *pnRec){
  int rc;
  if( p->bBatch ){
    rc = prillBatchHeader(p->buf.a, p->buf.n, pB);
    if( rc==SQLITE_OK ) rc = prillBatchRecords(p->buf.a, pB, pOut, paRec, pnRec);
    return rc==SQLITE_TOOBIG ? PRILL_CORRUPT : rc;
  }
  memset(pB, 0, sizeof(*pB));
  pB->iBase = p->iBase;
  pB->nByte = p->buf.n + PRILL_BATCH_HDR;
  pB->iEpoch = (i32)p->iEpoch;
  pB->dLast = p->nRec-1;
  pB->nRec = p->nRec;
  pB->iBaseTs = p->iBaseTs;
  pB->iMaxTs = p->iMaxTs;
  pB->iProducer = pB->iProducerEpoch = pB->iSeq = -1;
  *paRec = p->buf.a;
  *pnRec = p->buf.n;
  return SQLITE_OK;
}

void prillChunkAppend(int *pRc, PrillChunk *p, const PrillRecord *pRec){
  assert( pRec->iOff==p->iNext );
  prillRecordEncode(pRc, &p->buf, pRec, (i64)((u64)pRec->iTs - (u64)p->iBaseTs), pRec->iOff - p->iBase);
  if( *pRc!=SQLITE_OK ) return;
  p->nRec++;
  p->iNext++;
  if( pRec->iTs>p->iMaxTs ) p->iMaxTs = pRec->iTs;
  if( pRec->iTs<p->iMinTs ) p->iMinTs = pRec->iTs;
}

/**************************************************************************
** A partition's list of live chunks: pPart->apTail[0..nTail).  The array is
** shared with open scans and therefore only ever grows at its end; what must
** change otherwise is copied.
*/
typedef struct TailList TailList;
struct TailList {
  int nRef;
  int n, nAlloc;            /* chunks referenced; room */
  PrillChunk *a[1];
};
#define tailList(ap) ((TailList*)((u8*)(ap) - offsetof(TailList, a)))

PrillChunk **prillTailHold(PrillPart *pPart){
  if( pPart->nTail==0 ) return 0;
  tailList(pPart->apTail)->nRef++;
  return pPart->apTail;
}

void prillTailLetGo(PrillChunk **ap){
  TailList *p;
  int i;
  if( ap==0 ) return;
  p = tailList(ap);
  if( --p->nRef>0 ) return;
  for(i=0; i<p->n; i++) prillChunkUnref(p->a[i]);
  sqlite3_free(p);
}

/* A new list with room for nAlloc chunks, holding ap[0..n).  NULL: no memory. */
static PrillChunk **tailCopy(PrillChunk **ap, int n, int nAlloc){
  TailList *p = (TailList*)sqlite3_malloc64(sizeof(*p) + sizeof(PrillChunk*)*(u64)nAlloc);
  if( p==0 ) return 0;
  p->nRef = 1;
  p->nAlloc = nAlloc;
  for(p->n=0; p->n<n; p->n++) p->a[p->n] = prillChunkRef(ap[p->n]);
  return p->a;
}

/* nByte more bytes, or fewer, of a partition are live: keep it in the list of
** its size, where a spill looks for the largest. */
static void tailShare(PrillPart *pPart, i64 nByte){
  PrillStore *p = pPart->pStore;
  int e = 0;
  i64 n;
  pPart->nTailByte += nByte;
  p->nLiveByte += nByte;
  for(n=pPart->nTailByte; n>1 && e<PRILL_NSHARE-1; n>>=1) e++;
  if( pPart->ppShare ){
    if( pPart->nTailByte>0 && e==pPart->eShare ) return;
    *pPart->ppShare = pPart->pShare;
    if( pPart->pShare ) pPart->pShare->ppShare = pPart->ppShare;
    pPart->ppShare = 0;
  }
  if( pPart->nTailByte>0 ){
    pPart->eShare = e;
    pPart->pShare = p->apShare[e];
    if( pPart->pShare ) pPart->pShare->ppShare = &pPart->pShare;
    pPart->ppShare = &p->apShare[e];
    p->apShare[e] = pPart;
  }
}

void prillTailDrop(PrillPart *pPart){
  PrillStore *p = pPart->pStore;
  if( pPart->nTail>0 ) p->nLivePart--;
  tailShare(pPart, -pPart->nTailByte);
  prillTailLetGo(pPart->apTail);
  pPart->apTail = 0;
  pPart->nTail = 0;
}

int prillTailPrune(PrillPart *pPart){
  PrillChunk **ap;
  i64 nByte = 0;
  int i = 0;
  while( i<pPart->nTail && pPart->apTail[i]->iBase<pPart->x.iSegEnd ) nByte += pPart->apTail[i++]->buf.n;
  if( i==0 ) return SQLITE_OK;
  if( i==pPart->nTail ){
    prillTailDrop(pPart);
    return SQLITE_OK;
  }
  ap = tailCopy(pPart->apTail+i, pPart->nTail-i, pPart->nTail);
  if( ap==0 ) return SQLITE_NOMEM;
  prillTailLetGo(pPart->apTail);
  pPart->apTail = ap;
  pPart->nTail -= i;
  tailShare(pPart, -nByte);
  return SQLITE_OK;
}

int prillTailAdd(PrillPart *pPart, PrillChunk *pChunk){
  PrillStore *p = pPart->pStore;
  TailList *pList = pPart->apTail ? tailList(pPart->apTail) : 0;
  if( pList==0 || pList->n>=pList->nAlloc ){
    PrillChunk **ap = tailCopy(pPart->apTail, pPart->nTail, pPart->nTail*2+8);
    if( ap==0 ) return SQLITE_NOMEM;
    prillTailLetGo(pPart->apTail);
    pPart->apTail = ap;
    pList = tailList(ap);
  }
  assert( pList->n==pPart->nTail );
  if( pPart->nTail==0 ) p->nLivePart++;
  pList->a[pList->n++] = prillChunkRef(pChunk);
  pPart->nTail++;
  tailShare(pPart, pChunk->buf.n);
  return SQLITE_OK;
}

/* Forget all chunks and the ring's place. */
void prillTailReset(PrillStore *p){
  int i;
  for(i=0; i<p->nBucket; i++){
    PrillPart *pPart;
    for(pPart=p->apPart[i]; pPart; pPart=pPart->pHash) prillTailDrop(pPart);
  }
  p->nSlot = 0;
  p->nRingByte = 0;
  p->iRingGen = 0;
  p->iRingCrc = 0;
  p->nSlotRow = PRILL_I64MAX;
  p->bTail = 0;
}

/* Few partitions get a larger share each, so that a spill is worth a sync. */
i64 prillTailLimit(PrillStore *p, int nPart){
  i64 n;
  if( p->zDir==0 ) return PRILL_I64MAX;
  n = PRILL_MIN(4*prillLimit.szRingPart*nPart, 4*prillLimit.szRing);
  n = PRILL_MAX(n, prillLimit.szRing);
  n = PRILL_MAX(n, prillLimit.szRingPart*nPart);
  return PRILL_MIN(n, prillLimit.mxRing);
}

/**************************************************************************
** Frame bytes, out.
*/
void prillFrameBegin(int *pRc, PrillBuf *pBuf, i64 iTurn){
  u8 *a;
  pBuf->n = 0;
  a = prillBufRoom(pRc, pBuf, FRAME_HDR);
  if( *pRc!=SQLITE_OK ) return;
  memset(a, 0, FRAME_HDR);
  a[0] = 1;
  prillPut64(&a[5], iTurn);
  pBuf->n = FRAME_HDR;
}

void prillFrameAdd(int *pRc, PrillBuf *pBuf, int iPid, const PrillChunk *p){
  u8 *a = prillBufRoom(pRc, pBuf, 100+p->buf.n);
  if( *pRc!=SQLITE_OK ) return;
  a += prillUvarintPut(a, (u64)iPid);
  a += prillUvarintPut(a, p->bBatch);
  if( p->bBatch ){
    a += prillVarintPut(a, p->iMinTs);
  }else{
    a += prillVarintPut(a, p->iBase);
    a += prillVarintPut(a, p->iEpoch);
    a += prillUvarintPut(a, (u64)p->nRec);
    a += prillVarintPut(a, p->iBaseTs);
    a += prillVarintPut(a, (i64)((u64)p->iMaxTs - (u64)p->iBaseTs));
    a += prillVarintPut(a, (i64)((u64)p->iMinTs - (u64)p->iBaseTs));
  }
  a += prillUvarintPut(a, (u64)p->buf.n);
  pBuf->n = a - pBuf->a;
  prillBufAppend(pRc, pBuf, p->buf.a, p->buf.n);
}

/* The checksum of the frame a[0..n) after one that has iPrevCrc. */
static u32 tailCrc(u32 iPrevCrc, const u8 *a, i64 n){
  return prillCrc32c(iPrevCrc, a+5, n-5);
}

void prillFrameEnd(int *pRc, PrillBuf *pBuf, u32 iPrevCrc){
  if( *pRc==SQLITE_OK ) prillPut32(&pBuf->a[1], tailCrc(iPrevCrc, pBuf->a, pBuf->n));
}

void prillFramePad(int *pRc, PrillStore *p, PrillBuf *pBuf){
  i64 nWant = (pBuf->n + FRAME_PAD + FRAME_STEP-1) & ~(i64)(FRAME_STEP-1);
  i64 nPad;
  u8 *a;
  if( pBuf->n<FRAME_LONG || p->zDir==0 ) return;
  if( p->szFrame>=nWant && p->szFrame<=nWant+nWant/4 ) nWant = p->szFrame;
  p->szFrame = nWant;
  nPad = nWant - pBuf->n;
  a = prillBufRoom(pRc, pBuf, nPad);
  if( a==0 ) return;
  memset(a, 0, (size_t)nPad);
  a[4] = 1;                                /* one record, of nPad-FRAME_PAD+1 bytes */
  nPad -= FRAME_PAD-1;
  a[8] = (u8)(nPad | 0x80);
  a[9] = (u8)(nPad>>7 | 0x80);
  a[10] = (u8)(nPad>>14);
  pBuf->n = nWant;
}

/* Give a slot's row its frame by one of two statements. */
static int tailPut(PrillStore *p, int eStmt, i64 iSlot, const PrillBuf *pBuf){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(p, eStmt, &rc);
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_bind_int64(pStmt, 1, iSlot);
  sqlite3_bind_blob64(pStmt, 2, pBuf->a, (u64)pBuf->n, SQLITE_STATIC);
  sqlite3_step(pStmt);
  prillStoreDone(p, pStmt, &rc);
  sqlite3_bind_null(pStmt, 2);
  return rc;
}

/* A long frame is put by UPDATE, which can overwrite the row in place, and reads its
** length for that: for a short one that is no gain. */
int prillFramePut(PrillStore *p, i64 iSlot, const PrillBuf *pBuf){
  if( pBuf->n>=FRAME_LONG && iSlot<p->nSlotRow ){
    int rc = tailPut(p, STMT_SET_FRAME, iSlot, pBuf);
    if( rc!=SQLITE_OK || sqlite3_changes(p->pConn->db)>0 ) return rc;
    p->nSlotRow = iSlot;                          /* there is no such row */
  }
  p->nSlotRow = PRILL_MAX(p->nSlotRow, iSlot+1);
  return tailPut(p, STMT_PUT_FRAME, iSlot, pBuf);
}

/**************************************************************************
** Frame bytes, in.
*/
static int tailUvarint(const u8 **pa, const u8 *aEnd, i64 mx, i64 *pOut){
  u64 v;
  int n = prillUvarintGet(*pa, aEnd, &v);
  *pa += n;
  *pOut = (i64)v;
  return n==0 || v>(u64)mx;
}
static int tailVarint(const u8 **pa, const u8 *aEnd, i64 *pOut){
  int n = prillVarintGet(*pa, aEnd, pOut);
  *pa += n;
  return n==0;
}

/* A whole batch at *pa, after its kind.  Returns 1 when malformed. */
static int tailBatch(int *pRc, const u8 **pa, const u8 *aEnd, PrillChunk **pp){
  i64 iMinTs, nByte;
  if( tailVarint(pa, aEnd, &iMinTs) || tailUvarint(pa, aEnd, aEnd-*pa, &nByte) || nByte>aEnd-*pa ) return 1;
  *pp = prillChunkBatch(pRc, *pa, nByte, iMinTs);
  *pa += nByte;
  if( (*pRc&0xff)!=SQLITE_CORRUPT ) return 0;
  *pRc = SQLITE_OK;
  return 1;
}

/* The next chunk of a frame at *pa.  Returns 1 when malformed. */
static int tailChunk(int *pRc, const u8 **pa, const u8 *aEnd, i64 *piPid, PrillChunk **pp){
  i64 iKind, iBase, iEpoch, nRec, iBaseTs, dMax, dMin, nByte;
  PrillChunk *p;
  *pp = 0;
  if( tailUvarint(pa, aEnd, 0x7fffffff, piPid) || tailUvarint(pa, aEnd, 1, &iKind) ) return 1;
  if( iKind==1 ) return tailBatch(pRc, pa, aEnd, pp);
  if( tailVarint(pa, aEnd, &iBase)
   || tailVarint(pa, aEnd, &iEpoch)
   || tailUvarint(pa, aEnd, 0x7fffffff, &nRec)
   || tailVarint(pa, aEnd, &iBaseTs)
   || tailVarint(pa, aEnd, &dMax)
   || tailVarint(pa, aEnd, &dMin)
   || tailUvarint(pa, aEnd, aEnd-*pa, &nByte)
   || nByte>aEnd-*pa || nRec<1 || nRec>nByte || iBase<0 || iBase>((i64)1<<48)-nRec ) return 1;
  p = prillChunkNew(pRc, iBase, iBaseTs, iEpoch);
  if( p==0 ) return 0;
  p->nRec = (i32)nRec;
  p->iNext = iBase + nRec;
  p->iMaxTs = (i64)((u64)iBaseTs + (u64)dMax);
  p->iMinTs = (i64)((u64)iBaseTs + (u64)dMin);
  prillBufAppend(pRc, &p->buf, *pa, nByte);
  *pa += nByte;
  if( *pRc!=SQLITE_OK ){
    prillChunkUnref(p);
    p = 0;
  }
  *pp = p;
  return 0;
}

static int tailBad(PrillStore *p, i64 iSlot, const char *zWhy){
  return prillError(p->pConn, PRILL_CORRUPT, "store \"%s\": frame %lld of the tail is damaged (%s);"
                    " restore the database from a backup", p->zSchema, iSlot, zWhy);
}

/* Hang the chunks of one frame into their partitions. */
static int tailReadFrame(PrillStore *p, i64 iSlot, const u8 *a, i64 n){
  const u8 *aEnd = a+n;
  int rc = SQLITE_OK;
  if( tailCrc(iSlot ? p->iRingCrc : 0, a, n)!=prillGet32(a+1) ) return tailBad(p, iSlot, "checksum");
  a += FRAME_HDR;
  while( rc==SQLITE_OK && a<aEnd ){
    PrillChunk *pChunk = 0;
    PrillPart *pPart;
    i64 iPid;
    if( tailChunk(&rc, &a, aEnd, &iPid, &pChunk) ) return tailBad(p, iSlot, "layout");
    if( rc!=SQLITE_OK ) return rc;
    pPart = prillStorePart(p, iPid);
    if( pPart ) rc = prillPartLoad(pPart);
    if( rc==SQLITE_OK && pPart && pChunk->iBase>=pPart->x.iSegEnd ){
      if( pPart->nTail && pChunk->iBase<pPart->apTail[pPart->nTail-1]->iNext ){
        rc = tailBad(p, iSlot, "offsets go back");                          /* I3 */
      }else{
        rc = prillTailAdd(pPart, pChunk);
      }
    }
    prillChunkUnref(pChunk);
  }
  return rc;
}

/* Are the frames known so far still those of the database?  Slot 0 tells the
** turn; the last known slot must have the checksum remembered. */
static int tailSame(PrillStore *p, int *pbSame, i64 *piTurn){
  i64 aSlot[2];
  int i;
  int rc = SQLITE_OK;
  *pbSame = 1;
  *piTurn = -1;
  aSlot[0] = 0;
  aSlot[1] = p->nSlot-1;
  for(i=0; rc==SQLITE_OK && i<2 && aSlot[i]>=0; i++){
    sqlite3_stmt *pStmt = prillStoreStmt(p, STMT_FRAME0, &rc);
    if( rc!=SQLITE_OK ) break;
    sqlite3_bind_int64(pStmt, 1, aSlot[i]);
    if( sqlite3_step(pStmt)==SQLITE_ROW && sqlite3_column_bytes(pStmt, 0)==FRAME_HDR ){
      const u8 *a = (const u8*)sqlite3_column_blob(pStmt, 0);
      if( a==0 ){
        rc = SQLITE_NOMEM;
      }else{
        i64 iTurn = prillGet64(a+5);
        if( i==0 ) *piTurn = iTurn;
        if( iTurn!=p->iRingGen ) *pbSame = 0;
        if( i==1 && prillGet32(a+1)!=p->iRingCrc ) *pbSame = 0;
      }
    }else{
      *pbSame = 0;
    }
    prillStoreDone(p, pStmt, &rc);
  }
  if( p->nSlot==0 ) *pbSame = 0;
  return rc;
}

/* Bring every partition's chunks up to the snapshot: read the frames after
** those known, or all when the ring has turned. */
int prillTailLoad(PrillStore *p){
  sqlite3_stmt *pStmt;
  int bSame = 0;
  i64 iTurn = -1;
  int rc;
  if( p->bTail ) return SQLITE_OK;
  rc = tailSame(p, &bSame, &iTurn);
  if( rc!=SQLITE_OK ) return rc;
  if( !bSame ){
    prillTailReset(p);
    p->iRingGen = iTurn>=0 ? iTurn : 0;
  }
  if( iTurn>=0 ){
    pStmt = prillStoreStmt(p, STMT_TAIL, &rc);
    if( pStmt ) sqlite3_bind_int64(pStmt, 1, p->nSlot);
    while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
      const u8 *a = (const u8*)sqlite3_column_blob(pStmt, 1);
      i64 n = sqlite3_column_bytes(pStmt, 1);
      if( sqlite3_column_int64(pStmt, 0)!=p->nSlot ) break;
      if( a==0 || n<FRAME_HDR || a[0]!=1 ){
        rc = a==0 && n>0 ? SQLITE_NOMEM : tailBad(p, p->nSlot, "header");
      }else if( prillGet64(a+5)!=p->iRingGen ){
        break;                                                              /* I1 */
      }else{
        rc = tailReadFrame(p, p->nSlot, a, n);
        p->iRingCrc = prillGet32(a+1);
        p->nRingByte += n;
        p->nSlot++;
      }
    }
    if( pStmt ) prillStoreDone(p, pStmt, &rc);
  }
  if( rc!=SQLITE_OK ){
    prillTailReset(p);
  }else{
    p->bTail = 1;
  }
  return rc;
}
