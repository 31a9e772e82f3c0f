/*
** index.c: where in a segment an offset or a timestamp is, sparsely.
**
** Layer 2, log, but no I/O here: bytes and memory.  Calls buf.
**
** Bytes owned, all integers big-endian:
**
**   .index       0  4  a batch's last offset, less the segment's base offset
**                4  4  the batch's byte position in the segment
**   .timeindex   0  8  a timestamp T
**                8  4  an offset O, less the segment's base offset
**
** What a time entry says: no record up to and with O is younger than T, and
** the first record of T's age or more, if T is asked for, is at O's batch or
** after it.  Kafka names the batch that holds T.  An entry of ours knows only
** that T came up after the entry before it, so O is that one's last offset
** plus 1; the closing entry names its batch exactly.
**
** Invariants:
**
**   1. In memory iOff, iLast and iPos rise from entry to entry; iMaxTs never
**      falls and is at least the timestamp of every record up to the entry's
**      last.  A bound too high costs a longer walk, one too low loses records.
**   2. In .index both columns rise; in .timeindex T rises and O never falls.
**   3. An index is a hint with a floor: an entry left out costs a walk over
**      headers, never an answer.  So what does not fit in 31 bits is left out.
*/
#include "prillInt.h"

#define INDEX_ENTRY 8
#define INDEX_TIME_ENTRY 12

void prillIndexFree(PrillIndex *p){
  sqlite3_free(p->a);
  memset(p, 0, sizeof(*p));
}

void prillIndexAdd(int *pRc, PrillIndex *p, i64 iOff, i64 iLast, i64 iPos,
                   i64 iMaxTs){
  PrillIndexEntry *pNew;
  if( *pRc ) return;
  if( p->n>=p->nAlloc ){
    int nNew = p->nAlloc ? p->nAlloc*2 : 16;
    pNew = (PrillIndexEntry*)sqlite3_realloc64(p->a,
                                 (sqlite3_uint64)nNew*sizeof(p->a[0]));
    if( pNew==0 ){
      *pRc = SQLITE_NOMEM;
      return;
    }
    p->a = pNew;
    p->nAlloc = nNew;
  }
  pNew = &p->a[p->n];
  assert( iOff<=iLast );
  assert( p->n==0 || (iOff>pNew[-1].iOff && iLast>pNew[-1].iLast) );
  assert( p->n==0 || iPos>pNew[-1].iPos );
  if( p->n>0 && iMaxTs<pNew[-1].iMaxTs ) iMaxTs = pNew[-1].iMaxTs;
  pNew->iOff = iOff;
  pNew->iLast = iLast;
  pNew->iPos = iPos;
  pNew->iMaxTs = iMaxTs;
  p->n++;
}

int prillIndexFind(const PrillIndex *p, i64 iOff){
  int lo = 0, hi = p->n;            /* a[..lo) qualify, a[hi..] do not */
  while( lo<hi ){
    int i = lo+(hi-lo)/2;
    if( p->a[i].iOff<=iOff ) lo = i+1; else hi = i;
  }
  return lo-1;
}

int prillIndexFindTs(const PrillIndex *p, i64 iTs){
  int lo = 0, hi = p->n;
  while( lo<hi ){
    int i = lo+(hi-lo)/2;
    if( p->a[i].iMaxTs<iTs ) lo = i+1; else hi = i;
  }
  return lo-1;
}

/* Append one entry of the time index. */
static void indexPutTime(int *pRc, PrillBuf *p, i64 iTs, i64 dOff){
  u8 *a = prillBufRoom(pRc, p, INDEX_TIME_ENTRY);
  if( a ){
    prillPut64(a, iTs);
    prillPut32(a+8, (u32)dOff);
    p->n += INDEX_TIME_ENTRY;
  }
}

void prillIndexEncode(int *pRc, const PrillIndex *p, i64 iBase,
                      PrillBuf *pIndex, PrillBuf *pTime,
                      i64 iEndTs, i64 iEndOff){
  i64 iNext = iBase;                /* past the entry before */
  i64 iLastTs = 0;                  /* of the last time entry written */
  i64 iLastOff = 0;
  int nTime = 0;                    /* time entries written */
  int i;
  for(i=0; i<p->n && *pRc==SQLITE_OK; i++){
    const PrillIndexEntry *pE = &p->a[i];
    u8 *a;
    if( pE->iLast-iBase>0x7fffffff || pE->iPos>0x7fffffff ) break;
    a = prillBufRoom(pRc, pIndex, INDEX_ENTRY);
    if( a==0 ) return;
    prillPut32(a, (u32)(pE->iLast-iBase));
    prillPut32(a+4, (u32)pE->iPos);
    pIndex->n += INDEX_ENTRY;
    if( nTime==0 || pE->iMaxTs>iLastTs ){
      indexPutTime(pRc, pTime, pE->iMaxTs, iNext-iBase);
      iLastTs = pE->iMaxTs;
      iLastOff = iNext;
      nTime++;
    }
    iNext = pE->iLast+1;
  }
  if( iEndOff-iBase>=0 && iEndOff-iBase<=0x7fffffff && iEndOff>=iLastOff
   && (nTime==0 || iEndTs>iLastTs) ){
    indexPutTime(pRc, pTime, iEndTs, iEndOff-iBase);
  }
}

/* 1 when the time index's bytes are whole entries in order. */
static int indexTimeOk(const u8 *a, i64 n){
  i64 i;
  if( n%INDEX_TIME_ENTRY ) return 0;
  for(i=0; i<n; i+=INDEX_TIME_ENTRY){
    i32 d = (i32)prillGet32(a+i+8);
    if( d<0 ) return 0;
    if( i>0 ){
      const u8 *aPrev = a+i-INDEX_TIME_ENTRY;
      if( prillGet64(a+i)<=prillGet64(aPrev) ) return 0;
      if( d<(i32)prillGet32(aPrev+8) ) return 0;
    }
  }
  return 1;
}

/*
** The bound for an entry is the first time entry at or past its last offset.
** Past the last time entry it is that one's: a closed index ends with the
** segment's greatest timestamp.  Without any, no bound is known.
**
** iOff must not be less than the batch's real base offset, or a search would
** land behind its target; the only such number at hand is the last offset.
** *pOut is emptied first.
*/
int prillIndexDecode(const u8 *aIndex, i64 nIndex, const u8 *aTime, i64 nTime,
                     i64 iBase, PrillIndex *pOut){
  int rc = SQLITE_OK;
  i64 i, iTime = 0;
  i32 iPrevOff = -1, iPrevPos = -1;
  pOut->n = 0;
  if( nIndex%INDEX_ENTRY || !indexTimeOk(aTime, nTime) ) return PRILL_CORRUPT;
  if( iBase<0 || iBase>PRILL_I64MAX-0x7fffffff ) return PRILL_CORRUPT;
  for(i=0; i<nIndex && rc==SQLITE_OK; i+=INDEX_ENTRY){
    i32 d = (i32)prillGet32(aIndex+i);
    i32 iPos = (i32)prillGet32(aIndex+i+4);
    i64 iMaxTs = PRILL_I64MAX;
    if( d<=iPrevOff || iPos<=iPrevPos ){
      rc = PRILL_CORRUPT;
      break;
    }
    while( iTime+INDEX_TIME_ENTRY<nTime
        && (i32)prillGet32(aTime+iTime+8)<d ) iTime += INDEX_TIME_ENTRY;
    if( nTime>0 ) iMaxTs = prillGet64(aTime+iTime);
    prillIndexAdd(&rc, pOut, iBase+d, iBase+d, iPos, iMaxTs);
    iPrevOff = d;
    iPrevPos = iPos;
  }
  return rc;
}
