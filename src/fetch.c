/*
** fetch.c: records as the log has them: whole batches, not decoded.
**
** Layer 3, store.  Calls part, tail and the codec.
**
** A segment's bytes are passed on as they stand: from the batch that holds the
** offset asked for, as many whole ones as fit.  Their checksums are left to the
** reader, who has to check them anyway.  The tail's whole batches are passed on
** too; its loose records are made into batches, uncompressed.
**
**   I1  Only committed batches are given, and only whole ones, in the order of
**       their offsets.
**   I2  A header is believed within the bounds the extent sets: a batch that
**       would reach past the segment's committed end is corruption.
*/
#include "prillInt.h"

#define FETCH_HDR 4096              /* bytes read at a time while looking for the batch */

static int fetchBad(PrillPart *p, const PrillSeg *pSeg, i64 iPos){
  char zWhat[80];
  sqlite3_snprintf(sizeof(zWhat), zWhat, "damaged at byte %lld; restore the store from a backup", iPos);
  return prillPartFileError(p, PRILL_CORRUPT, pSeg->iBase, pSeg->iGen, "log", zWhat);
}

static int fetchRead(PrillPart *p, const PrillSeg *pSeg, u8 *a, i64 n, i64 iPos){
  int rc = prillPartRead(p, pSeg->iBase, pSeg->iGen, a, n, iPos);
  return rc==SQLITE_IOERR_SHORT_READ ? fetchBad(p, pSeg, iPos) : rc;
}

/* The header at iPos (I2). */
static int fetchHeader(PrillPart *p, const PrillSeg *pSeg, const u8 *a, i64 iPos, PrillBatch *pB){
  if( prillBatchHeader(a, PRILL_BATCH_HDR, pB)!=SQLITE_OK || pB->nByte>pSeg->nByte-iPos ){
    return fetchBad(p, pSeg, iPos);
  }
  return SQLITE_OK;
}

/* Where the batch begins that holds iOff or is the first after it: *piPos, and
** *pB its header; at the segment's end when there is none. */
static int fetchSeek(PrillPart *p, int iSeg, i64 iOff, i64 *piPos, PrillBatch *pB){
  PrillSeg *pSeg = &p->aSeg[iSeg];
  u8 a[FETCH_HDR];
  i64 iPos = 0, iFrom = 0, nHave = 0;
  int rc = SQLITE_OK;
  if( iOff>pSeg->iBase ){
    int i;
    rc = prillPartIndex(p, iSeg);
    i = rc==SQLITE_OK ? prillIndexFind(&pSeg->index, iOff) : -1;
    if( i>=0 ) iPos = pSeg->index.a[i].iPos;
  }
  while( rc==SQLITE_OK && iPos<pSeg->nByte ){
    if( pSeg->nByte-iPos<PRILL_BATCH_HDR ) return fetchBad(p, pSeg, iPos);
    if( nHave==0 || iPos<iFrom || iPos+PRILL_BATCH_HDR>iFrom+nHave ){
      iFrom = iPos;
      nHave = PRILL_MIN(FETCH_HDR, pSeg->nByte-iPos);
      rc = fetchRead(p, pSeg, a, nHave, iFrom);
      if( rc!=SQLITE_OK ) break;
    }
    rc = fetchHeader(p, pSeg, a+(iPos-iFrom), iPos, pB);
    if( rc!=SQLITE_OK || pB->iBase+pB->dLast>=iOff ) break;
    iPos += pB->nByte;
  }
  *piPos = iPos;
  return rc;
}

/* Whole batches of one segment, up to nMax bytes; the first whatever its size
** when bFirst.  *piNext moves past what was given; *pbFull: the next does not fit. */
static int fetchSeg(PrillPart *p, int iSeg, i64 nMax, int bFirst, PrillBuf *pBuf, i64 *piNext, int *pbFull){
  PrillSeg *pSeg = &p->aSeg[iSeg];
  PrillBatch b;
  i64 iPos = 0, nRead, nUsed = 0;
  u8 *a;
  int rc = fetchSeek(p, iSeg, *piNext, &iPos, &b);
  if( rc!=SQLITE_OK || iPos>=pSeg->nByte ) return rc;
  if( b.nByte>nMax && !bFirst ){
    *pbFull = 1;
    return SQLITE_OK;
  }
  nRead = PRILL_MIN(PRILL_MAX(nMax, b.nByte), pSeg->nByte-iPos);
  a = prillBufRoom(&rc, pBuf, nRead);
  if( rc==SQLITE_OK ) rc = fetchRead(p, pSeg, a, nRead, iPos);
  while( rc==SQLITE_OK && nRead-nUsed>=PRILL_BATCH_HDR ){
    rc = fetchHeader(p, pSeg, a+nUsed, iPos+nUsed, &b);
    if( rc!=SQLITE_OK ) break;
    if( b.nByte>nRead-nUsed ) break;
    nUsed += b.nByte;
    *piNext = b.iBase + b.dLast + 1;
  }
  if( rc==SQLITE_OK ){
    pBuf->n += nUsed;
    if( iPos+nUsed<pSeg->nByte ) *pbFull = 1;
  }
  return rc;
}

/* The same of the tail. */
static int fetchTail(PrillPart *p, i64 nMax, int bFirst, PrillBuf *pBuf, i64 *piNext){
  i64 nStart = pBuf->n;
  int lo = 0, hi = p->nTail, rc = SQLITE_OK;
  while( lo<hi ){
    int mid = (lo+hi)/2;
    if( p->apTail[mid]->iNext<=*piNext ) lo = mid+1; else hi = mid;
  }
  for(; rc==SQLITE_OK && lo<p->nTail; lo++){
    PrillChunk *pChunk = p->apTail[lo];
    i64 n = pChunk->buf.n + (pChunk->bBatch ? 0 : PRILL_BATCH_HDR);
    if( pBuf->n-nStart+n>nMax && !(bFirst && pBuf->n==nStart) ) break;
    if( pChunk->bBatch ){
      prillBufAppend(&rc, pBuf, pChunk->buf.a, pChunk->buf.n);
    }else{
      PrillBatch b;
      const u8 *aRec;
      i64 nRec;
      rc = prillChunkRecords(pChunk, &b, 0, &aRec, &nRec);
      prillBatchEncode(&rc, pBuf, &b, PRILL_NONE, aRec, nRec);
    }
    *piNext = pChunk->iNext;
  }
  return rc;
}

int prillFetch(PrillPart *p, i64 iOff, i64 nMax, int bFirst, PrillBuf *pBuf, i64 *piNext){
  i64 nStart = pBuf->n;
  int bFull = 0, lo, hi;
  int rc = prillPartSegs(p);
  *piNext = iOff;
  if( rc!=SQLITE_OK || iOff>=prillPartEnd(p) ) return rc;
  for(lo=0, hi=p->nSeg; lo<hi; ){
    int mid = (lo+hi)/2;
    if( p->aSeg[mid].iEnd<=iOff ) lo = mid+1; else hi = mid;
  }
  for(; rc==SQLITE_OK && !bFull && lo<p->nSeg; lo++){
    i64 nLeft = nMax-(pBuf->n-nStart);
    rc = fetchSeg(p, lo, nLeft, bFirst && pBuf->n==nStart, pBuf, piNext, &bFull);
  }
  if( rc==SQLITE_OK && !bFull ) rc = fetchTail(p, nMax-(pBuf->n-nStart), bFirst && pBuf->n==nStart, pBuf, piNext);
  return rc;
}
