/*
** sieve.c: compaction's two questions: which offset of each key is the newest,
** and what of a batch stays.
**
** Layer 1, codec.  Calls batch, record, hash, buf.  No I/O.
**
** THE MAP has an entry of 24 bytes for each key: a 128-bit SipHash of it under
** a random key, so that nobody can make two keys alike, and the greatest offset
** seen.  It grows to mxByte and then takes no further batch; iEnd is the offset
** up to which it knows.
**
** A RECORD STAYS, as in Kafka's log cleaner, when
**
**   - it is at iEnd or after it, or
**   - it has a key, the map knows no later record of that key, and it is not a
**     tombstone (null value) of a batch whose delete horizon has passed.
**
** A batch in which a tombstone stays for the first time gets its delete horizon
** (bit 6, the time in place of the base timestamp): until then every reader
** that is not further behind than delete.retention.ms sees the tombstone.
**
**   I1  Offsets, last offset delta, producer id, epoch and sequence of a batch
**       never change.
**   I2  Control batches and batches of transactions go through whole, and their
**       records do not supersede others: without the transaction's outcome they
**       may be records that never were.
**   I3  A batch without records left goes, but for the last one of a producer,
**       whose sequence must outlive it, and where the caller wants its header.
**   I4  What cannot be read (a codec this build lacks) goes through whole.
*/
#include "prillInt.h"

#define SIEVE_ENTRY 3             /* 64-bit words: hash, hash, offset+1 */
#define SIEVE_MX_PRODUCER 256     /* producers whose last batch is known */

void prillSieveFree(PrillSieve *p){
  sqlite3_free(p->a);
  sqlite3_free(p->aProducer);
  prillBufFree(&p->rec);
  prillBufFree(&p->out);
  memset(p, 0, sizeof(*p));
}

/* The slot of a key: its own, or the empty one where it would be. */
static u64 *sieveSlot(const PrillSieve *p, const u64 aHash[2]){
  u64 i = aHash[0] & (u64)(p->nSlot-1);
  for(;;){
    u64 *pSlot = &p->a[i*SIEVE_ENTRY];
    if( pSlot[2]==0 || (pSlot[0]==aHash[0] && pSlot[1]==aHash[1]) ) return pSlot;
    i = (i+1) & (u64)(p->nSlot-1);
  }
}

/* Room for nMore further keys at a load of three quarters.  *pbFull where that
** would pass mxByte and there are some already. */
static int sieveRoom(PrillSieve *p, i64 nMore, int *pbFull){
  i64 nSlot = p->nSlot ? p->nSlot : 64;
  i64 nOld = p->nSlot, i;
  u64 *aOld = p->a;
  *pbFull = 0;
  while( (p->nUsed+nMore)*4>nSlot*3 ) nSlot *= 2;
  if( nSlot==p->nSlot ) return SQLITE_OK;
  if( p->nUsed && nSlot*SIEVE_ENTRY*8>p->mxByte ){
    *pbFull = 1;
    return SQLITE_OK;
  }
  p->a = (u64*)sqlite3_malloc64((u64)nSlot*SIEVE_ENTRY*8);
  if( p->a==0 ){
    p->a = aOld;
    return SQLITE_NOMEM;
  }
  memset(p->a, 0, (size_t)nSlot*SIEVE_ENTRY*8);
  p->nSlot = nSlot;
  for(i=0; i<nOld; i++){
    const u64 *pFrom = &aOld[i*SIEVE_ENTRY];
    if( pFrom[2] ) memcpy(sieveSlot(p, pFrom), pFrom, SIEVE_ENTRY*8);
  }
  sqlite3_free(aOld);
  return SQLITE_OK;
}

/* Note the last batch of a producer. */
static int sieveProducer(PrillSieve *p, const PrillBatch *pB){
  int i;
  if( pB->iProducer<0 ) return SQLITE_OK;
  for(i=0; i<p->nProducer && p->aProducer[2*i]!=pB->iProducer; i++){}
  if( i==SIEVE_MX_PRODUCER ) return SQLITE_OK;
  if( p->aProducer==0 ){
    p->aProducer = (i64*)sqlite3_malloc64(sizeof(i64)*2*SIEVE_MX_PRODUCER);
    if( p->aProducer==0 ) return SQLITE_NOMEM;
  }
  if( i==p->nProducer ) p->nProducer++;
  p->aProducer[2*i] = pB->iProducer;
  p->aProducer[2*i+1] = pB->iBase + pB->dLast;
  return SQLITE_OK;
}

/* Has the producer of a batch a later one? */
static int sieveLater(const PrillSieve *p, const PrillBatch *pB){
  int i;
  for(i=0; i<p->nProducer; i++){
    if( p->aProducer[2*i]==pB->iProducer ) return p->aProducer[2*i+1]>pB->iBase+pB->dLast;
  }
  return 0;
}

/* The next record at *pa: SQLITE_OK, or SQLITE_CORRUPT_VTAB. */
static int sieveRecord(const u8 **pa, const u8 *aEnd, const PrillBatch *pB, PrillRecord *pRec){
  i64 n = prillRecordDecode(*pa, aEnd, pB->iBase, pB->iBaseTs, pRec);
  if( n==0 || pRec->iOff>pB->iBase+pB->dLast ) return PRILL_CORRUPT;
  *pa += n;
  return SQLITE_OK;
}

int prillSieveAdd(PrillSieve *p, const u8 *a, const PrillBatch *pB, i64 iFrom, int *pbFull){
  const u8 *aRec, *aEnd;
  PrillRecord r;
  i64 nRec;
  int rc = sieveRoom(p, pB->nRec, pbFull);
  if( rc!=SQLITE_OK || *pbFull ) return rc;
  rc = sieveProducer(p, pB);
  if( rc!=SQLITE_OK || (pB->mAttr & (PRILL_ATTR_CONTROL|PRILL_ATTR_TXN)) ) return rc;
  rc = prillBatchRecords(a, pB, &p->rec, &aRec, &nRec);
  if( rc==SQLITE_MISMATCH ) return SQLITE_OK;
  if( rc!=SQLITE_OK ) return rc==SQLITE_NOMEM ? rc : PRILL_CORRUPT;
  aEnd = aRec+nRec;
  while( rc==SQLITE_OK && aRec<aEnd ){
    rc = sieveRecord(&aRec, aEnd, pB, &r);
    if( rc==SQLITE_OK && r.nKey>=0 && r.iOff>=iFrom ){
      u64 aHash[2];
      u64 *pSlot;
      prillSipHash(p->aKey, r.pKey, r.nKey, aHash);
      if( (p->nUsed+1)*4>p->nSlot*3 ) return PRILL_CORRUPT;    /* more than its header says */
      pSlot = sieveSlot(p, aHash);
      if( pSlot[2]==0 ) p->nUsed++;
      pSlot[0] = aHash[0];
      pSlot[1] = aHash[1];
      if( (u64)r.iOff+1>pSlot[2] ) pSlot[2] = (u64)r.iOff+1;
    }
  }
  return rc;
}

/* Does a record of the batch stay? */
static int sieveStays(const PrillSieve *p, const PrillBatch *pB, const PrillRecord *pRec){
  u64 aHash[2];
  if( pRec->iOff>=p->iEnd ) return 1;
  if( pRec->nKey<0 ) return 0;
  if( pRec->nVal<0 && (pB->mAttr & PRILL_ATTR_HORIZON) && p->iNow>=pB->iBaseTs ) return 0;
  if( p->nSlot==0 ) return 1;
  prillSipHash(p->aKey, pRec->pKey, pRec->nKey, aHash);
  return sieveSlot(p, aHash)[2]<=(u64)pRec->iOff+1;
}

/* What stays of the records aRec[0..nByte), as it was written, into p->out. */
static int sieveSift(PrillSieve *p, const PrillBatch *pB, const u8 *aRec, i64 nByte, PrillSieved *pS){
  const u8 *aEnd = aRec+nByte;
  int bWhole = (pB->mAttr & (PRILL_ATTR_CONTROL|PRILL_ATTR_TXN))!=0;
  int rc = SQLITE_OK;
  p->out.n = 0;
  while( rc==SQLITE_OK && aRec<aEnd ){
    const u8 *aStart = aRec;
    PrillRecord r;
    rc = sieveRecord(&aRec, aEnd, pB, &r);
    if( rc!=SQLITE_OK ) break;
    if( !bWhole && !sieveStays(p, pB, &r) ) continue;
    if( pB->mAttr & PRILL_ATTR_APPENDTIME ) r.iTs = pB->iMaxTs;
    if( pS->b.nRec++==0 || r.iTs>pS->b.iMaxTs ) pS->b.iMaxTs = r.iTs;
    if( r.iTs<pS->iMinTs ) pS->iMinTs = r.iTs;
    if( r.nVal<0 && !bWhole ) pS->nTomb++;
    prillBufAppend(&rc, &p->out, aStart, aRec-aStart);
  }
  return rc;
}

/* Give the records of p->out another base timestamp; the result is in p->rec. */
static int sieveRebase(PrillSieve *p, const PrillBatch *pB, i64 iBaseTs){
  const u8 *a = p->out.a, *aEnd = p->out.a+p->out.n;
  int rc = SQLITE_OK;
  PrillBuf rec = {0,0,0};
  while( rc==SQLITE_OK && a<aEnd ){
    PrillRecord r;
    rc = sieveRecord(&a, aEnd, pB, &r);
    if( rc==SQLITE_OK ) prillRecordEncode(&rc, &rec, &r, (i64)((u64)r.iTs-(u64)iBaseTs), r.iOff-pB->iBase);
  }
  prillBufFree(&p->out);
  p->out = rec;
  return rc;
}

/* A header without records, as Kafka writes it. */
static void sieveEmpty(int *pRc, PrillBuf *pOut, const PrillBatch *pB, PrillSieved *pS){
  pS->b = *pB;
  pS->b.nRec = 0;
  pS->b.iBaseTs = -1;
  pS->b.mAttr &= ~(PRILL_ATTR_CODEC|PRILL_ATTR_HORIZON);
  prillBatchEncode(pRc, pOut, &pS->b, PRILL_NONE, 0, 0);
}

int prillSieveBatch(PrillSieve *p, const u8 *a, const PrillBatch *pB, int bKeep, PrillBuf *pOut, PrillSieved *pS){
  const u8 *aRec;
  i64 nByte;
  int bHorizon;
  int rc = prillBatchRecords(a, pB, &p->rec, &aRec, &nByte);
  memset(pS, 0, sizeof(*pS));
  pS->b = *pB;
  pS->iMinTs = pS->iHorizon = PRILL_I64MAX;
  if( rc==SQLITE_MISMATCH ){                                              /* I4 */
    rc = SQLITE_OK;
    pS->iMinTs = PRILL_MIN(pB->iBaseTs, pB->iMaxTs);
    prillBufAppend(&rc, pOut, a, pB->nByte);
    return rc;
  }
  if( rc!=SQLITE_OK ) return rc==SQLITE_NOMEM ? rc : PRILL_CORRUPT;
  pS->b.nRec = 0;
  rc = sieveSift(p, pB, aRec, nByte, pS);
  if( rc!=SQLITE_OK ) return rc;
  if( pB->mAttr & PRILL_ATTR_APPENDTIME ) pS->b.iMaxTs = pB->iMaxTs;
  bHorizon = pS->nTomb>0 && (pB->mAttr & PRILL_ATTR_HORIZON)==0;
  if( pS->b.nRec==pB->nRec && !bHorizon && (pB->nRec>0 || bKeep || (pB->iProducer>=0 && !sieveLater(p, pB))) ){
    pS->b = *pB;
    prillBufAppend(&rc, pOut, a, pB->nByte);
  }else if( pS->b.nRec>0 ){
    pS->bChanged = 1;
    if( bHorizon ){
      pS->b.iBaseTs = p->iHorizon;
      pS->b.mAttr |= PRILL_ATTR_HORIZON;
      rc = sieveRebase(p, pB, pS->b.iBaseTs);
    }
    prillBatchEncode(&rc, pOut, &pS->b, pB->mAttr & PRILL_ATTR_CODEC, p->out.a, p->out.n);
  }else{
    pS->bChanged = 1;
    pS->b.nByte = 0;
    if( bKeep || (pB->iProducer>=0 && !sieveLater(p, pB)) ) sieveEmpty(&rc, pOut, pB, pS);     /* I3 */
  }
  if( pS->nTomb && (pS->b.mAttr & PRILL_ATTR_HORIZON) ) pS->iHorizon = pS->b.iBaseTs;
  return rc;
}
