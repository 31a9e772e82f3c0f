/*
** scan.c: the merging cursor over one partition: its segments, the live tail
** above them, and this transaction's own records above that.
**
** May call: base, codec, and store/part/tail beside it.
**
** A scan takes down at opening all it will read: the list of segments with
** their committed lengths, a reference to each chunk, the end offset.  What is
** committed afterwards, by anybody, is not seen.
**
**   I1  A batch is believed only when its header is sane, lies wholly below
**       the segment's committed length, its CRC holds and its offsets rise.
**   I2  Records of this transaction that were already batches in a segment
**       (bStream) may be overwritten after a rollback: the scan then ends with
**       SQLITE_ABORT_ROLLBACK.  Chunks in memory are marked (bGone): the scan
**       ends before them.
**   I3  After a reboot the unsynced part of an active segment may be lost:
**       until the first writer repairs it, a scan takes its first bad batch
**       for its end.
*/
#include "prillInt.h"

#define SCAN_READ_MIN 16384
#define SCAN_READ_MAX 65536
#define SCAN_KEEP 262144    /* most bytes of a closed scan kept for the next */
#define SCAN_KEEP_SEG 64

typedef struct ScanSeg ScanSeg;
struct ScanSeg {
  i64 iBase, iGen, iEnd, nByte, nRec, iMinTs, iMaxTs;
  u8 bActive;
};

struct PrillScan {
  PrillPart *pPart;         /* referenced */
  PrillLook *pLook;         /* only records with a key are wanted, or NULL */
  PrillRange r;
  i64 iFrom0, iTo0;         /* the range it was opened for; r moves with Seek */
  i64 iEnd;                 /* first offset not seen */
  i64 iRewind;
  u8 bStream;               /* reads batches above the committed end */
  u8 bLoss;                 /* I3 */
  ScanSeg *aSeg;
  int nSeg, nSegAlloc;
  PrillChunk **apTail;      /* the tail's list, held */
  int iTail, nTail;         /* of it, the chunks iTail..iTail+nTail-1 */
  PrillChunk **apOwn;       /* this transaction's chunks, referenced */
  i64 *aOwnNext;            /* each one's end when the scan opened */
  int nOwn;
  int nChunk;               /* nTail+nOwn */
  /* Where it is: in segment iSeg at byte iPos, or (iSeg==nSeg) at iChunk */
  int iSeg, iChunk;
  i64 iPos;
  i64 iLast;                /* last offset of the batch before */
  int iListSeg, iListed;    /* segment iListSeg is entry iListed of the partition's list */
  i64 iWant, iWantLast;     /* offsets the next header must have, -1: any (I4) */
  PrillBuf read;            /* bytes of segment iReadSeg from iReadPos on */
  int iReadSeg;
  i64 iReadPos, nReadAhead;
  /* The current batch */
  u8 bBatch;                /* there is one */
  u8 bVirtual;              /* its records are offsets only, iNextOff.. */
  u8 bEasy;                 /* all its records are wanted, as they are decoded */
  PrillBatch b;
  const u8 *a, *aEnd;       /* records not yet returned */
  const u8 *aOld;           /* a chunk's bytes when they were last looked at */
  i64 nLeft;                /* of these, records */
  i64 iNextOff;
  i64 iVirtualEnd;          /* first offset after a virtual batch */
  PrillBuf out;             /* decompressed records */
  PrillPage *pPage;         /* or they are this page's */
  int nLoaded;              /* batches loaded so far */
  /* Newest first */
  i64 *aBack;               /* batch positions in the segment, or record starts */
  int nBack, nBackAlloc;
  i64 iBackEnd;             /* the positions listed end here */
  PrillBuf recs;            /* u32 starts of the records of the current batch */
  int iRec;                 /* records of it still to return */
};

static int scanBad(PrillScan *p, const char *zWhat){
  PrillConn *pConn = p->pPart->pStore->pConn;
  ScanSeg *pSeg = &p->aSeg[p->iSeg];
  char *z = prillPartPath(p->pPart, pSeg->iBase, pSeg->iGen, "log");
  if( z==0 ) return SQLITE_NOMEM;
  prillError(pConn, PRILL_CORRUPT, "%s-log/%s: damaged at byte %lld (%s); restore the store from a backup",
             p->pPart->pStore->zDb, z, p->iPos, zWhat);
  sqlite3_free(z);
  return SQLITE_CORRUPT_VTAB;
}

/**************************************************************************
** Opening.
*/
static int scanAddSeg(PrillScan *p, const ScanSeg *pSeg){
  if( p->nSeg>=p->nSegAlloc ){
    int nAlloc = p->nSegAlloc*2 + 2;
    ScanSeg *a = (ScanSeg*)sqlite3_realloc64(p->aSeg, sizeof(*a)*(u64)nAlloc);
    if( a==0 ) return SQLITE_NOMEM;
    p->aSeg = a;
    p->nSegAlloc = nAlloc;
  }
  p->aSeg[p->nSeg++] = *pSeg;
  return SQLITE_OK;
}

/* Take down the segments: the committed ones, then what this transaction has
** written above them. */
static int scanSegs(PrillScan *p){
  PrillPart *pPart = p->pPart;
  PrillWrite *w = pPart->pWrite;
  int i;
  int rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<pPart->nSeg; i++){
    PrillSeg *pSeg = &pPart->aSeg[i];
    ScanSeg s;
    s.iBase = pSeg->iBase;
    s.iGen = pSeg->iGen;
    s.iEnd = pSeg->iEnd;
    s.nByte = pSeg->nByte;
    s.nRec = pSeg->nRec;
    s.iMinTs = pSeg->iMinTs;
    s.iMaxTs = pSeg->iMaxTs;
    s.bActive = !pSeg->bSealed;
    if( s.bActive && w && (w->bRepair || p->bStream) ) break;
    if( s.iBase>p->r.iTo ) break;
    if( s.iEnd>p->r.iFrom ) rc = scanAddSeg(p, &s);
  }
  if( w && w->bRepair && !p->bStream && w->x.iBase>=0 ){
    ScanSeg s = {w->x.iBase, w->x.iGen, w->x.iSegEnd, w->x.nByte, w->x.nRec, w->x.iMinTs, w->x.iMaxTs, 1};
    if( rc==SQLITE_OK ) rc = scanAddSeg(p, &s);
  }
  for(i=0; p->bStream && rc==SQLITE_OK && i<w->nSeg; i++){
    PrillWriteSeg *pSeg = &w->aSeg[i];
    ScanSeg s = {pSeg->iBase, pSeg->iGen, pSeg->iEnd, pSeg->nByte, pSeg->nRec, pSeg->iMinTs, pSeg->iMaxTs, 0};
    if( !pSeg->bSealed ){
      s.iEnd = w->x.iSegEnd;
      s.nByte = w->x.nByte;
      s.nRec = w->x.nRec;
      s.iMinTs = w->x.iMinTs;
      s.iMaxTs = w->x.iMaxTs;
      s.bActive = 1;
    }
    rc = scanAddSeg(p, &s);
  }
  return rc;
}

/* Chunk i of the scan, tail first, and its end when the scan opened. */
static PrillChunk *scanChunk(const PrillScan *p, int i, i64 *piNext){
  if( i<p->nTail ){
    PrillChunk *pChunk = p->apTail[p->iTail+i];
    *piNext = pChunk->iNext;
    return pChunk;
  }
  *piNext = p->aOwnNext[i-p->nTail];
  return p->apOwn[i-p->nTail];
}

/* The first chunk of the tail that ends after iOff. */
static int scanTailFind(PrillPart *pPart, i64 iOff){
  int lo = 0, hi = pPart->nTail;
  while( lo<hi ){
    int mid = (lo+hi)/2;
    if( pPart->apTail[mid]->iNext<=iOff ) lo = mid+1; else hi = mid;
  }
  return lo;
}

/* Hold the chunks in the range: the live tail, unless it has been moved to the
** segment by this transaction, and the transaction's own. */
static int scanChunks(PrillScan *p){
  PrillPart *pPart = p->pPart;
  PrillWrite *w = pPart->pWrite;
  PrillStage *pStage = pPart->pStore->pStage;
  int n = 0, i;
  if( !p->bStream && pPart->nTail && p->r.iTo>=pPart->apTail[0]->iBase ){
    p->iTail = scanTailFind(pPart, p->r.iFrom);
    p->nTail = PRILL_MIN(scanTailFind(pPart, p->r.iTo)+1, pPart->nTail) - p->iTail;
    p->apTail = p->nTail>0 ? prillTailHold(pPart) : 0;
  }
  for(i=(w ? w->iRun : -1); i>=0; i=pStage->aRun[i].iPrev){
    if( pStage->aRun[i].pChunk ) n++;
  }
  p->nChunk = p->nTail + n;
  if( n==0 ) return SQLITE_OK;
  p->apOwn = (PrillChunk**)sqlite3_malloc64((sizeof(PrillChunk*)+sizeof(i64))*(u64)n);
  if( p->apOwn==0 ) return SQLITE_NOMEM;
  p->aOwnNext = (i64*)&p->apOwn[n];
  p->nOwn = n;
  for(i=w->iRun; i>=0; i=pStage->aRun[i].iPrev){
    if( pStage->aRun[i].pChunk ) p->apOwn[--n] = prillChunkRef(pStage->aRun[i].pChunk);
  }
  for(i=0; i<p->nOwn; i++) p->aOwnNext[i] = p->apOwn[i]->iNext;
  return SQLITE_OK;
}

/* The cached index of a segment, or NULL when the partition's list no longer
** has it; *pRc on error. */
static PrillIndex *scanIndex(int *pRc, PrillScan *p, const ScanSeg *pSeg){
  PrillPart *pPart = p->pPart;
  int i;
  if( *pRc!=SQLITE_OK || pPart->iSegSeen!=pPart->x.iSegVer ) return 0;
  for(i=pPart->nSeg-1; i>=0; i--){
    if( prillPartSame(pPart->aSeg[i].iBase, pPart->aSeg[i].iGen, pSeg->iBase, pSeg->iGen) ){
      *pRc = prillPartIndex(pPart, i);
      return *pRc==SQLITE_OK ? &pPart->aSeg[i].index : 0;
    }
  }
  return 0;
}

/* Enter segment iSeg at the batch that may hold the first offset and time
** wanted. */
static int scanEnter(PrillScan *p){
  int rc = SQLITE_OK;
  ScanSeg *pSeg;
  PrillIndex *pIndex;
  p->iPos = 0;
  p->nReadAhead = SCAN_READ_MIN;
  while( p->iSeg<p->nSeg ){
    pSeg = &p->aSeg[p->iSeg];
    if( pSeg->iMaxTs>=p->r.iTsFrom && pSeg->iMinTs<=p->r.iTsTo ) break;
    p->iSeg++;
  }
  if( p->iSeg>=p->nSeg ) return SQLITE_OK;
  pSeg = &p->aSeg[p->iSeg];
  p->iWant = pSeg->iBase;
  p->iWantLast = -1;
  if( pSeg->iBase<p->r.iFrom || pSeg->iMinTs<p->r.iTsFrom ){
    pIndex = scanIndex(&rc, p, pSeg);
    if( pIndex ){
      int i = pSeg->iBase<p->r.iFrom ? prillIndexFind(pIndex, p->r.iFrom) : -1;
      int j = p->r.iTsFrom>PRILL_I64MIN ? prillIndexFindTs(pIndex, p->r.iTsFrom) : -1;
      /* All of entry j's batch is earlier: the next one's, if there is none between. */
      if( j>=0 && j+1<pIndex->n && pIndex->a[j+1].iOff==pIndex->a[j].iLast+1 ) j++;
      if( j>i ) i = j;
      if( i>=0 ){
        p->iPos = pIndex->a[i].iPos;
        p->iWant = -1;
        p->iWantLast = pIndex->a[i].iLast;
        if( i+1<pIndex->n ) p->nReadAhead = pIndex->a[i+1].iPos - p->iPos;
      }
    }
  }
  return rc;
}

/* A scan with nothing in it: the last one's memory, or new. */
static PrillScan *scanNew(PrillStore *pStore){
  PrillScan *p = pStore->pSpareScan;
  PrillScan old;
  if( p==0 ){
    p = (PrillScan*)sqlite3_malloc64(sizeof(*p));
    if( p ) memset(p, 0, sizeof(*p));
    return p;
  }
  pStore->pSpareScan = 0;
  old = *p;
  memset(p, 0, sizeof(*p));
  p->aSeg = old.aSeg;
  p->nSegAlloc = old.nSegAlloc;
  p->read = old.read;
  p->out = old.out;
  p->recs = old.recs;
  p->read.n = p->out.n = p->recs.n = 0;
  return p;
}

static void scanFree(PrillScan *p){
  sqlite3_free(p->aSeg);
  prillBufFree(&p->read);
  prillBufFree(&p->out);
  prillBufFree(&p->recs);
  sqlite3_free(p);
}

void prillScanFreeSpare(PrillStore *pStore){
  if( pStore->pSpareScan ) scanFree(pStore->pSpareScan);
  pStore->pSpareScan = 0;
}

int prillScanOpen(PrillPart *pPart, const PrillRange *pRange, PrillScan **pp){
  PrillScan *p;
  PrillWrite *w = pPart->pWrite;
  int rc = prillPartSegs(pPart);
  *pp = 0;
  if( rc!=SQLITE_OK ) return rc;
  p = scanNew(pPart->pStore);
  if( p==0 ) return SQLITE_NOMEM;
  p->pPart = pPart;
  pPart->nRef++;
  p->r = *pRange;
  p->iEnd = prillPartNext(pPart);
  p->iRewind = pPart->iRewind;
  p->iLast = -1;
  p->iReadSeg = p->iListSeg = -1;
  p->bStream = (u8)(w && w->bDirect);
  p->bLoss = (u8)(pPart->pStore->bReboot && pPart->x.nSynced<pPart->x.nByte && w==0);
  if( p->r.iFrom<pPart->x.iLogStart ) p->r.iFrom = pPart->x.iLogStart;
  if( p->r.iTo>=p->iEnd ) p->r.iTo = p->iEnd-1;
  if( p->bStream ) rc = prillWriteFlush(w);
  if( rc==SQLITE_OK ) rc = scanSegs(p);
  if( rc==SQLITE_OK ) rc = scanChunks(p);
  p->iFrom0 = p->r.iFrom;
  p->iTo0 = p->r.iTo;
  if( rc==SQLITE_OK && p->r.bKey ){
    p->pLook = prillLookNew(pPart, p, &p->r);
    if( p->pLook==0 ) rc = SQLITE_NOMEM;
  }else if( rc==SQLITE_OK && !p->r.bDesc ){
    rc = scanEnter(p);
  }
  if( p->r.bDesc ){
    p->iSeg = p->nSeg;
    p->iChunk = p->nChunk;
  }
  if( rc!=SQLITE_OK ){
    prillScanClose(p);
    return rc;
  }
  *pp = p;
  return SQLITE_OK;
}

void prillScanClose(PrillScan *p){
  PrillStore *pStore;
  int i;
  if( p==0 ) return;
  pStore = p->pPart->pStore;
  prillLookFree(p->pLook);
  prillTailLetGo(p->apTail);
  for(i=0; i<p->nOwn; i++) prillChunkUnref(p->apOwn[i]);
  sqlite3_free(p->apOwn);
  sqlite3_free(p->aBack);
  prillPageUnref(p->pPage);
  prillPartUnref(p->pPart);
  if( pStore->pSpareScan || p->nSegAlloc>SCAN_KEEP_SEG || p->read.nAlloc+p->out.nAlloc+p->recs.nAlloc>SCAN_KEEP ){
    scanFree(p);
  }else{
    pStore->pSpareScan = p;
  }
}

/**************************************************************************
** Batches.
*/

/* n bytes of the current segment at iPos, in memory until the next call. */
static int scanBytes(PrillScan *p, i64 iPos, i64 n, const u8 **pa){
  ScanSeg *pSeg = &p->aSeg[p->iSeg];
  i64 nRead;
  int rc = SQLITE_OK;
  if( p->iReadSeg!=p->iSeg || iPos<p->iReadPos || iPos+n>p->iReadPos+p->read.n ){
    u8 *a;
    nRead = PRILL_MAX(n, PRILL_MIN(p->nReadAhead, SCAN_READ_MAX));
    nRead = PRILL_MIN(nRead, pSeg->nByte-iPos);
    p->nReadAhead = PRILL_MIN(PRILL_MAX(p->nReadAhead, SCAN_READ_MIN)*2, SCAN_READ_MAX);
    p->read.n = 0;
    p->iReadSeg = -1;
    a = prillBufRoom(&rc, &p->read, nRead);
    if( rc==SQLITE_OK ) rc = prillPartRead(p->pPart, pSeg->iBase, pSeg->iGen, a, nRead, iPos);
    if( rc==SQLITE_IOERR_SHORT_READ ){
      p->iPos = iPos;
      rc = scanBad(p, "the file is too short");
    }
    if( rc!=SQLITE_OK ) return rc;
    p->read.n = nRead;
    p->iReadPos = iPos;
    p->iReadSeg = p->iSeg;
  }
  *pa = p->read.a + (iPos - p->iReadPos);
  return SQLITE_OK;
}

/* Has a rollback taken what this scan reads (I2)? */
static int scanAborted(const PrillScan *p){
  return p->bStream && p->iRewind!=p->pPart->iRewind;
}

/* The header of the batch at iPos of the current segment.  When the batch is
** in the cache, p->pPage is it. */
static int scanHeader(PrillScan *p, i64 iPos, PrillBatch *pB){
  ScanSeg *pSeg = &p->aSeg[p->iSeg];
  const u8 *a;
  int rc;
  p->iPos = iPos;
  if( scanAborted(p) ) return SQLITE_ABORT_ROLLBACK;
  prillPageUnref(p->pPage);
  p->pPage = 0;
  if( p->nLoaded==0 && !p->bStream ){
    p->pPage = prillPageFind(p->pPart->pStore, p->pPart->iPid, pSeg->iBase, pSeg->iGen, iPos);
    if( p->pPage && p->pPage->b.nByte<=pSeg->nByte-iPos ){
      *pB = p->pPage->b;
      p->iWant = pB->iBase + pB->dLast + 1;
      p->iWantLast = -1;
      return SQLITE_OK;
    }
  }
  if( iPos+PRILL_BATCH_HDR>pSeg->nByte ) return scanBad(p, "a batch is cut short");
  rc = scanBytes(p, iPos, PRILL_BATCH_HDR, &a);
  if( rc!=SQLITE_OK ) return rc;
  if( prillBatchHeader(a, PRILL_BATCH_HDR, pB)!=SQLITE_OK ) return scanBad(p, "not a batch header");
  if( pB->nByte>pSeg->nByte-iPos ) return scanBad(p, "a batch reaches past the end");
  if( pB->iBase<pSeg->iBase || pB->iBase+pB->dLast>=pSeg->iEnd ) return scanBad(p, "its offsets are not the segment's");
  if( pSeg->nRec==pSeg->iEnd-pSeg->iBase                                     /* I4 */
   && ((p->iWant>=0 && pB->iBase!=p->iWant) || (p->iWantLast>=0 && pB->iBase+pB->dLast!=p->iWantLast)
       || pB->nRec!=pB->dLast+1) ){
    return scanBad(p, "its offsets do not follow");
  }
  p->iWant = pB->iBase + pB->dLast + 1;
  p->iWantLast = -1;
  return SQLITE_OK;
}

static int scanCodec(PrillScan *p, const PrillBatch *pB){
  PrillPart *pPart = p->pPart;
  const char *z = prillCodecName(pB->mAttr&PRILL_ATTR_CODEC);
  return prillError(pPart->pStore->pConn, SQLITE_ERROR, "topic %s partition %d: a batch is compressed with"
      " %s, which this build of prill cannot read", prillPartTopicName(pPart), pPart->iPart, z);
}

/* Use the page: begin at the first record wanted.  Those before it are passed over
** unless what stands there shows that they are not what the header says. */
static int scanUsePage(PrillScan *p){
  PrillPage *pPage = p->pPage;
  i64 k = p->r.iFrom - pPage->b.iBase, iAt;
  p->b = pPage->b;
  p->a = pPage->aRec;
  p->aEnd = pPage->aRec + pPage->nRec;
  p->nLeft = p->b.nRec;
  if( p->r.bDesc || p->b.nRec!=p->b.dLast+1 ) return SQLITE_OK;
  iAt = p->r.iTsFrom>p->b.iBaseTs ? prillPageSince(pPage, p->r.iTsFrom) : 0;
  k = PRILL_MAX(k, iAt);
  if( k>0 && k<p->b.nRec ){
    PrillRecord r;
    const u8 *a = p->a;
    iAt = prillPageStart(pPage, (int)k);
    if( iAt<0 ) return SQLITE_OK;
    a += iAt;
    if( prillRecordDecode(a, p->aEnd, p->b.iBase, p->b.iBaseTs, &r)>0 && r.iOff==p->b.iBase+k ){
      p->a = a;
      p->nLeft -= k;
    }
  }
  return SQLITE_OK;
}

/* The current segment in the partition's list, or NULL when it has left it. */
static PrillSeg *scanListed(PrillScan *p){
  PrillPart *pPart = p->pPart;
  const ScanSeg *pSeg = &p->aSeg[p->iSeg];
  int i = p->iSeg==p->iListSeg ? p->iListed : pPart->nSeg-1;
  if( pPart->iSegSeen!=pPart->x.iSegVer || p->bStream ) return 0;
  for(; i>=0; i--){
    if( i<pPart->nSeg && prillPartSame(pPart->aSeg[i].iBase, pPart->aSeg[i].iGen, pSeg->iBase, pSeg->iGen) ){
      p->iListSeg = p->iSeg;
      p->iListed = i;
      return &pPart->aSeg[i];
    }
  }
  return 0;
}

/* Is what was read good for later: committed, and sure to stay? */
static int scanLasting(const PrillScan *p){
  return !p->bStream && !(p->bLoss && p->aSeg[p->iSeg].bActive);
}

/* Does the checksum of batch *pB, its bytes at a, hold?  With bTrust, one
** unbroken stretch of each segment is remembered, and not checked again; a
** lookup's batch is by name. */
static int scanChecked(PrillScan *p, const u8 *a, const PrillBatch *pB){
  PrillSeg *pSure = p->r.bTrust ? scanListed(p) : 0;
  const ScanSeg *pSeg = &p->aSeg[p->iSeg];
  i64 iEnd = p->iPos + pB->nByte;
  if( pSure && p->iPos>=pSure->iSureFrom && iEnd<=pSure->iSureTo ) return SQLITE_OK;
  if( p->nLoaded==0 && scanLasting(p)
   && prillPageIsSure(p->pPart->pStore, p->pPart->iPid, pSeg->iBase, pSeg->iGen, p->iPos) ) return SQLITE_OK;
  if( prillBatchCheck(a, pB)!=SQLITE_OK ) return scanBad(p, "checksum");
  if( p->nLoaded==0 && scanLasting(p) ){
    prillPageSure(p->pPart->pStore, p->pPart->iPid, pSeg->iBase, pSeg->iGen, p->iPos);
  }
  if( pSure ){
    if( p->iPos>pSure->iSureTo || iEnd<pSure->iSureFrom || pSure->iSureTo==0 ){
      pSure->iSureFrom = p->iPos;
      pSure->iSureTo = iEnd;
    }
    pSure->iSureFrom = PRILL_MIN(pSure->iSureFrom, p->iPos);
    pSure->iSureTo = PRILL_MAX(pSure->iSureTo, iEnd);
  }
  return SQLITE_OK;
}

/* The body of batch *pB at p->iPos: CRC checked, records at p->a. */
static int scanBody(PrillScan *p, const PrillBatch *pB){
  ScanSeg *pSeg = &p->aSeg[p->iSeg];
  const u8 *a, *aRec;
  i64 nRec;
  int rc;
  if( p->pPage ) return scanUsePage(p);
  rc = scanBytes(p, p->iPos, pB->nByte, &a);
  if( rc==SQLITE_OK ) rc = scanChecked(p, a, pB);
  if( rc!=SQLITE_OK ) return rc;
  rc = prillBatchRecords(a, pB, &p->out, &aRec, &nRec);
  if( rc==SQLITE_NOMEM ) return rc;
  if( rc==SQLITE_MISMATCH ) return scanCodec(p, pB);
  if( rc!=SQLITE_OK ) return scanBad(p, "its records do not decompress");
  if( p->nLoaded++==0 && scanLasting(p) ){
    PrillBuf *pBuf = aRec==p->out.a ? &p->out : &p->read;
    p->pPage = prillPageAdd(p->pPart->pStore, p->pPart->iPid, pSeg->iBase, pSeg->iGen, p->iPos, pB, pBuf,
                            aRec, nRec);
    if( p->pPage ){
      if( pBuf==&p->read ) p->iReadSeg = -1;
      return scanUsePage(p);
    }
  }
  p->b = *pB;
  p->a = aRec;
  p->aEnd = aRec+nRec;
  p->nLeft = pB->nRec;
  return SQLITE_OK;
}

/* Does anything in the batch interest us?  A header that says no by its
** greatest timestamp, or by being a control batch, is believed only when the
** batch's CRC holds: *pRc. */
static int scanWanted(int *pRc, PrillScan *p, const PrillBatch *pB){
  const u8 *a;
  if( *pRc!=SQLITE_OK || pB->iBase+pB->dLast<p->r.iFrom || pB->iBase>p->r.iTo ) return 0;
  if( pB->iMaxTs>=p->r.iTsFrom && (pB->mAttr&PRILL_ATTR_CONTROL)==0 ) return 1;
  if( p->pPage ) return 0;
  *pRc = scanBytes(p, p->iPos, pB->nByte, &a);
  if( *pRc==SQLITE_OK && prillBatchCheck(a, pB)!=SQLITE_OK ) *pRc = scanBad(p, "checksum");
  return 0;
}

/* Is a batch of a segment wanted whole, and its records' own times theirs? */
static int scanEasy(const PrillScan *p){
  return p->b.iBase>=p->r.iFrom && p->b.iBase+p->b.dLast<=p->r.iTo && p->r.iTsFrom==PRILL_I64MIN
      && p->r.iTsTo==PRILL_I64MAX && (p->b.mAttr&PRILL_ATTR_APPENDTIME)==0;
}

static void scanVirtual(PrillScan *p, i64 iFrom, i64 iEnd){
  p->bBatch = p->bVirtual = 1;
  p->iNextOff = PRILL_MAX(iFrom, p->r.iFrom);
  p->iVirtualEnd = PRILL_MIN(iEnd, p->r.iTo+1);
}

static int scanChunkBad(PrillScan *p, int rc){
  PrillPart *pPart = p->pPart;
  if( rc==SQLITE_NOMEM ) return rc;
  if( rc==SQLITE_MISMATCH ) return scanCodec(p, &p->b);
  return prillError(pPart->pStore->pConn, PRILL_CORRUPT, "topic %s partition %d: its tail is damaged;"
      " restore the database from a backup", prillPartTopicName(pPart), pPart->iPart);
}

/* A batch of records in memory, those before iNext. */
static int scanChunkBatch(PrillScan *p, PrillChunk *pChunk, i64 iNext){
  i64 nRec = 0;
  int rc = prillChunkRecords(pChunk, &p->b, &p->out, &p->a, &nRec);
  if( rc!=SQLITE_OK ) return scanChunkBad(p, rc);
  if( !pChunk->bBatch ){
    p->b.dLast = (i32)(iNext - pChunk->iBase) - 1;
    p->b.nRec = p->b.dLast+1;
  }
  p->aEnd = p->a + nRec;
  p->aOld = p->a;
  p->nLeft = p->b.nRec;
  p->bBatch = 1;
  return SQLITE_OK;
}

/* Advance within the segments to the next wanted batch.  SQLITE_ROW, DONE when
** the segments are read, or an error. */
static int scanNextSegBatch(PrillScan *p){
  while( p->iSeg<p->nSeg ){
    ScanSeg *pSeg = &p->aSeg[p->iSeg];
    PrillBatch b;
    int rc;
    if( p->iLast>=p->r.iTo ) break;
    if( p->iPos>=pSeg->nByte || pSeg->iBase>p->r.iTo ){
      p->iSeg++;
      rc = scanEnter(p);
      if( rc!=SQLITE_OK ) return rc;
      continue;
    }
    if( p->iPos==0 && p->r.bOffsets && !p->bLoss && pSeg->nRec==pSeg->iEnd-pSeg->iBase ){
      p->iPos = pSeg->nByte;                       /* dense: nothing to read */
      scanVirtual(p, pSeg->iBase, pSeg->iEnd);
      return SQLITE_ROW;
    }
    rc = scanHeader(p, p->iPos, &b);
    if( rc==SQLITE_OK && b.iBase<=p->iLast ) rc = scanBad(p, "its offsets go back");
    if( scanWanted(&rc, p, &b) ){
      if( p->r.bOffsets && b.nRec==b.dLast+1 ){
        scanVirtual(p, b.iBase, b.iBase+b.nRec);
      }else{
        rc = scanBody(p, &b);
        p->bBatch = 1;
        p->bVirtual = 0;
        p->bEasy = (u8)(rc==SQLITE_OK && scanEasy(p));
      }
    }
    if( rc!=SQLITE_OK ){
      if( !(p->bLoss && pSeg->bActive && (rc&0xff)==SQLITE_CORRUPT) ) return rc;
      p->bBatch = 0;                                                     /* I3 */
      p->iPos = pSeg->nByte;
      continue;
    }
    p->iLast = b.iBase + b.dLast;
    p->iPos += b.nByte;
    if( p->bBatch ) return SQLITE_ROW;
  }
  return SQLITE_DONE;
}

static int scanNextChunk(PrillScan *p){
  while( p->iChunk<p->nChunk && p->iLast<p->r.iTo ){
    i64 iNext;
    PrillChunk *pChunk = scanChunk(p, p->iChunk, &iNext);
    if( pChunk->bGone || pChunk->iBase>p->r.iTo ) break;                  /* I2 */
    p->iChunk++;
    if( iNext<=p->r.iFrom || pChunk->iMaxTs<p->r.iTsFrom || pChunk->iMinTs>p->r.iTsTo ) continue;
    if( p->r.bOffsets && (!pChunk->bBatch || pChunk->nRec==iNext-pChunk->iBase) ){
      scanVirtual(p, pChunk->iBase, iNext);
    }else{
      int rc = scanChunkBatch(p, pChunk, iNext);
      if( rc!=SQLITE_OK ) return rc;
      p->bVirtual = 0;
    }
    return SQLITE_ROW;
  }
  p->iChunk = p->nChunk;
  return SQLITE_DONE;
}

/* Decode the next record of the current batch. */
static int scanDecode(PrillScan *p, PrillRecord *pRec){
  i64 n = prillRecordDecode(p->a, p->aEnd, p->b.iBase, p->b.iBaseTs, pRec);
  if( n==0 || pRec->iOff<p->b.iBase || pRec->iOff>p->b.iBase+p->b.dLast ){
    return p->iSeg<p->nSeg ? scanBad(p, "a record is malformed") : scanChunkBad(p, SQLITE_CORRUPT);
  }
  if( p->b.mAttr & PRILL_ATTR_APPENDTIME ) pRec->iTs = p->b.iMaxTs;
  p->a += n;
  p->nLeft--;
  return SQLITE_OK;
}

static int scanNextAsc(PrillScan *p, PrillRecord *pRec){
  int rc;
  for(;;){
    if( p->bBatch && p->bVirtual ){
      if( p->iNextOff<p->iVirtualEnd ){
        pRec->iOff = p->iNextOff++;
        return SQLITE_ROW;
      }
      p->bBatch = 0;
    }
    while( p->bBatch && p->nLeft>0 ){
      rc = scanDecode(p, pRec);
      if( rc!=SQLITE_OK ) return rc;
      if( pRec->iOff>p->r.iTo ) return SQLITE_DONE;
      if( pRec->iOff==p->r.iTo ) p->nLeft = 0;                  /* none after it is wanted */
      if( pRec->iOff>=p->r.iFrom && pRec->iTs>=p->r.iTsFrom && pRec->iTs<=p->r.iTsTo ) return SQLITE_ROW;
    }
    p->bBatch = p->bEasy = 0;
    rc = p->iSeg<p->nSeg ? scanNextSegBatch(p) : SQLITE_DONE;
    if( rc==SQLITE_DONE ) rc = scanNextChunk(p);
    if( rc!=SQLITE_ROW ) return rc;
  }
}

/**************************************************************************
** Newest first.
*/
static int scanPushBack(PrillScan *p, i64 iPos){
  if( p->nBack>=p->nBackAlloc ){
    int nAlloc = p->nBackAlloc*2 + 32;
    i64 *a = (i64*)sqlite3_realloc64(p->aBack, sizeof(i64)*(u64)nAlloc);
    if( a==0 ) return SQLITE_NOMEM;
    p->aBack = a;
    p->nBackAlloc = nAlloc;
  }
  p->aBack[p->nBack++] = iPos;
  return SQLITE_OK;
}

/* List the batches of the current segment between the last index entry below
** iBackEnd and iBackEnd. */
static int scanFillBack(PrillScan *p){
  int rc = SQLITE_OK;
  ScanSeg *pSeg = &p->aSeg[p->iSeg];
  PrillIndex *pIndex = scanIndex(&rc, p, pSeg);
  i64 iPos = 0, iStop = p->iBackEnd;
  p->iWant = pSeg->iBase;
  p->iWantLast = -1;
  if( pIndex ){
    int lo = 0, hi = pIndex->n;
    while( lo<hi ){
      int mid = (lo+hi)/2;
      if( pIndex->a[mid].iPos<iStop ) lo = mid+1; else hi = mid;
    }
    if( lo>0 ){
      iPos = pIndex->a[lo-1].iPos;
      p->iWantLast = pIndex->a[lo-1].iLast;
      p->iWant = -1;
    }
  }
  p->iBackEnd = iPos;
  p->nReadAhead = iStop - iPos;
  while( rc==SQLITE_OK && iPos<iStop ){
    PrillBatch b;
    rc = scanHeader(p, iPos, &b);
    if( rc!=SQLITE_OK && p->bLoss && pSeg->bActive && (rc&0xff)==SQLITE_CORRUPT ) return SQLITE_OK;
    if( rc==SQLITE_OK ) rc = scanPushBack(p, iPos);
    if( rc==SQLITE_OK && b.iBase>p->r.iTo ){
      p->nBack--;
      break;
    }
    iPos += b.nByte;
  }
  return rc;
}

/* Where to start in a segment read backwards: after the batch of iTo. */
static int scanEnterBack(PrillScan *p){
  int rc = SQLITE_OK;
  ScanSeg *pSeg = &p->aSeg[p->iSeg];
  p->iBackEnd = pSeg->nByte;
  p->nBack = 0;
  if( pSeg->iEnd>p->r.iTo+1 ){
    /* The batch of the first entry that ends at or after iTo may hold it; the
    ** entry after that is beyond. */
    PrillIndex *pIndex = scanIndex(&rc, p, pSeg);
    int lo = 0, hi = pIndex ? pIndex->n : 0;
    while( lo<hi ){
      int mid = (lo+hi)/2;
      if( pIndex->a[mid].iLast<p->r.iTo ) lo = mid+1; else hi = mid;
    }
    if( pIndex && lo+1<pIndex->n ) p->iBackEnd = pIndex->a[lo+1].iPos;
  }
  return rc;
}

/* List where the records of the current batch begin. */
static int scanListRecords(PrillScan *p){
  const u8 *aBegin = p->a;
  PrillRecord r;
  int rc = SQLITE_OK;
  i64 iPrev = p->b.iBase-1;
  p->recs.n = 0;
  if( p->pPage && p->iSeg<p->nSeg && prillPageCheck(p->pPage) ){
    prillBufAppend(&rc, &p->recs, p->pPage->aStart, p->b.nRec*(i64)sizeof(u32));
    p->iRec = p->b.nRec;
    return rc;
  }
  while( rc==SQLITE_OK && p->nLeft>0 ){
    u32 iStart = (u32)(p->a - aBegin);
    rc = scanDecode(p, &r);
    if( rc==SQLITE_OK && r.iOff<=iPrev ) rc = PRILL_CORRUPT;
    iPrev = r.iOff;
    prillBufAppend(&rc, &p->recs, &iStart, sizeof(iStart));
  }
  p->a = aBegin;
  p->iRec = (int)(p->recs.n/(i64)sizeof(u32));
  return rc;
}

static int scanPrevSegBatch(PrillScan *p){
  while( p->iSeg>=0 ){
    PrillBatch b;
    int rc = SQLITE_OK;
    if( p->iSeg==p->nSeg || (p->nBack==0 && p->iBackEnd<=0) ){
      do{
        p->iSeg--;
      }while( p->iSeg>=0 && (p->aSeg[p->iSeg].iMaxTs<p->r.iTsFrom || p->aSeg[p->iSeg].iMinTs>p->r.iTsTo
           || p->aSeg[p->iSeg].iBase>p->r.iTo) );
      if( p->iSeg<0 || p->aSeg[p->iSeg].iEnd<=p->r.iFrom ) break;
      rc = scanEnterBack(p);
    }else if( p->nBack==0 ){
      rc = scanFillBack(p);
    }else{
      p->iWant = p->iWantLast = -1;
      rc = scanHeader(p, p->aBack[--p->nBack], &b);
      if( rc==SQLITE_OK && b.iBase+b.dLast<p->r.iFrom ) break;
      if( scanWanted(&rc, p, &b) ){
        rc = scanBody(p, &b);
        if( rc==SQLITE_OK ) rc = scanListRecords(p);
        if( rc==SQLITE_OK ){
          p->bBatch = 1;
          return SQLITE_ROW;
        }
        if( p->bLoss && p->aSeg[p->iSeg].bActive && (rc&0xff)==SQLITE_CORRUPT ) rc = SQLITE_OK;
      }
    }
    if( rc!=SQLITE_OK ) return rc;
  }
  p->iSeg = -1;
  return SQLITE_DONE;
}

static int scanPrevBatch(PrillScan *p){
  while( p->iChunk>0 ){
    i64 iNext;
    PrillChunk *pChunk = scanChunk(p, --p->iChunk, &iNext);
    int rc;
    if( pChunk->bGone || pChunk->iBase>p->r.iTo || iNext<=p->r.iFrom
     || pChunk->iMaxTs<p->r.iTsFrom || pChunk->iMinTs>p->r.iTsTo ) continue;
    rc = scanChunkBatch(p, pChunk, iNext);
    if( rc==SQLITE_OK ) rc = scanListRecords(p);
    return rc==SQLITE_OK ? SQLITE_ROW : rc;
  }
  return p->iSeg>=0 ? scanPrevSegBatch(p) : SQLITE_DONE;
}

static int scanNextDesc(PrillScan *p, PrillRecord *pRec){
  for(;;){
    int rc;
    while( p->bBatch && p->iRec>0 ){
      u32 iStart;
      const u8 *a = p->a;
      memcpy(&iStart, p->recs.a + (i64)sizeof(u32)*--p->iRec, sizeof(iStart));
      if( p->iSeg==p->nSeg ){
        /* The chunk's bytes may have moved since. */
        i64 iNext;
        PrillChunk *pChunk = scanChunk(p, p->iChunk, &iNext);
        if( !pChunk->bBatch ){
          a = pChunk->buf.a;
          p->aEnd = a + pChunk->buf.n;
        }
      }
      p->a = a + iStart;
      rc = scanDecode(p, pRec);
      p->a = a;
      if( rc!=SQLITE_OK ) return rc;
      if( pRec->iOff<p->r.iFrom ) return SQLITE_DONE;
      if( pRec->iOff<=p->r.iTo && pRec->iTs>=p->r.iTsFrom && pRec->iTs<=p->r.iTsTo ) return SQLITE_ROW;
    }
    p->bBatch = 0;
    rc = scanPrevBatch(p);
    if( rc!=SQLITE_ROW ) return rc;
  }
}

/* prillScanStep, where it is not easy. */
static int scanStep(PrillScan *p, PrillRecord *pRec){
  if( p->r.iFrom>p->r.iTo ) return SQLITE_DONE;
  if( p->r.bDesc ) return scanNextDesc(p, pRec);
  if( p->bBatch && !p->bVirtual && p->iSeg>=p->nSeg ){
    /* A chunk that this transaction appends to may have moved. */
    i64 iNext;
    PrillChunk *pChunk = scanChunk(p, p->iChunk-1, &iNext);
    if( !pChunk->bBatch ){
      if( p->aEnd!=pChunk->buf.a+pChunk->buf.n ){
        i64 iAt = p->a - p->aOld;
        p->a = pChunk->buf.a + iAt;
        p->aEnd = pChunk->buf.a + pChunk->buf.n;
      }
      p->aOld = pChunk->buf.a;
    }
  }
  return scanNextAsc(p, pRec);
}

int prillScanStep(PrillScan *p, PrillRecord *pRec){
  if( p->bEasy && p->nLeft>0 ){
    i64 n = prillRecordDecode(p->a, p->aEnd, p->b.iBase, p->b.iBaseTs, pRec);
    if( n>0 && pRec->iOff<=p->b.iBase+p->b.dLast ){
      p->a += n;
      p->nLeft--;
      return SQLITE_ROW;
    }
    p->bEasy = 0;
  }
  return scanStep(p, pRec);
}

i64 prillScanRun(PrillScan *p){
  i64 n = p->bBatch && p->bVirtual && p->iNextOff<p->iVirtualEnd ? p->iVirtualEnd-p->iNextOff : 0;
  p->iNextOff += n;
  return n;
}

int prillScanNext(PrillScan *p, PrillRecord *pRec){
  return p->pLook ? prillLookNext(p->pLook, pRec) : prillScanStep(p, pRec);
}

int prillScanSeek(PrillScan *p, i64 iFrom, i64 iTo, int bDesc){
  int lo = 0, hi = p->nSeg;
  p->r.iFrom = PRILL_MAX(iFrom, p->iFrom0);
  p->r.iTo = PRILL_MIN(iTo, p->iTo0);
  p->r.bDesc = (u8)bDesc;
  p->bBatch = p->bVirtual = p->bEasy = 0;
  p->iLast = -1;
  p->iRec = p->nBack = 0;
  p->iBackEnd = 0;
  p->nLoaded = 0;
  if( bDesc ){
    p->iSeg = p->nSeg;
    p->iChunk = p->nChunk;
    return SQLITE_OK;
  }
  while( lo<hi ){
    int mid = (lo+hi)/2;
    if( p->aSeg[mid].iEnd<=p->r.iFrom ) lo = mid+1; else hi = mid;
  }
  p->iSeg = lo;
  p->iChunk = 0;
  return scanEnter(p);
}

int prillScanSegment(PrillScan *p, int i, PrillScanSeg *pOut){
  memset(pOut, 0, sizeof(*pOut));
  if( i<0 || i>=p->nSeg ) return 0;
  pOut->iBase = p->aSeg[i].iBase;
  pOut->iGen = p->aSeg[i].iGen;
  pOut->iEnd = p->aSeg[i].iEnd;
  pOut->nByte = p->aSeg[i].nByte;
  pOut->bCommitted = (u8)!(p->aSeg[i].bActive && (p->bStream || p->bLoss));
  return 1;
}

const PrillBatch *prillScanBatch(PrillScan *p){
  return &p->b;
}

/**************************************************************************
** Whole batches.
*/

/* A chunk as the batch it is, or would be, not compressed. */
static int scanEncodeChunk(PrillChunk *pChunk, PrillBatch *pHdr, PrillBuf *pBuf){
  const u8 *aRec;
  i64 nRec;
  int rc = SQLITE_OK;
  if( pChunk->bBatch ){
    prillBufAppend(&rc, pBuf, pChunk->buf.a, pChunk->buf.n);
    return rc==SQLITE_OK ? prillBatchHeader(pBuf->a, pBuf->n, pHdr) : rc;
  }
  rc = prillChunkRecords(pChunk, pHdr, pBuf, &aRec, &nRec);
  prillBatchEncode(&rc, pBuf, pHdr, PRILL_NONE, aRec, nRec);
  return rc;
}

int prillScanBatchAt(
  PrillPart *pPart, i64 iOff, PrillBatch *pHdr, PrillBuf *pBuf, int *piWhere, i64 *piPos, int *pbValid
){
  PrillRange r = {0, PRILL_I64MAX, PRILL_I64MIN, PRILL_I64MAX, 0, 0, 0, 0, 0, 0};
  PrillScan *p = 0;
  PrillWrite *pOwn = pPart->pWrite;
  int i, rc;
  pBuf->n = 0;
  *pbValid = 1;
  r.iFrom = iOff;
  pPart->pWrite = 0;                        /* committed data only */
  rc = prillScanOpen(pPart, &r, &p);
  pPart->pWrite = pOwn;
  if( rc!=SQLITE_OK ) return rc;
  while( p->iSeg<p->nSeg && rc==SQLITE_OK ){
    const u8 *a;
    if( p->iPos>=p->aSeg[p->iSeg].nByte ){
      p->iSeg++;
      rc = scanEnter(p);
      continue;
    }
    rc = scanHeader(p, p->iPos, pHdr);
    if( rc==SQLITE_OK && pHdr->iBase+pHdr->dLast>=p->r.iFrom ){
      rc = scanBytes(p, p->iPos, pHdr->nByte, &a);
      prillBufAppend(&rc, pBuf, a, pHdr->nByte);
      if( rc==SQLITE_OK ) *pbValid = prillBatchCheck(pBuf->a, pHdr)==SQLITE_OK;
      *piWhere = 0;
      *piPos = p->iPos;
      prillScanClose(p);
      return rc==SQLITE_OK ? SQLITE_ROW : rc;
    }
    p->iPos += pHdr->nByte;
  }
  for(i=0; rc==SQLITE_OK && i<p->nChunk; i++){
    i64 iNext;
    PrillChunk *pChunk = scanChunk(p, i, &iNext);
    if( iNext<=p->r.iFrom ) continue;
    *piWhere = 1;
    *piPos = 0;
    rc = scanEncodeChunk(pChunk, pHdr, pBuf);
    if( rc==SQLITE_OK ) *pbValid = prillBatchCheck(pBuf->a, pHdr)==SQLITE_OK;
    prillScanClose(p);
    return rc==SQLITE_OK ? SQLITE_ROW : rc;
  }
  prillScanClose(p);
  return rc==SQLITE_OK ? SQLITE_DONE : rc;
}
