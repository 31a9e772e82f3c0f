/*
** batch.c: Kafka's record batch v2 (magic 2).
**
** Layer 1, codec.  Calls crc32c, compress, record, buf.
**
** Bytes owned, all integers big-endian:
**
**    0   8   base offset              set by the log, outside the CRC
**    8   4   batch length             bytes after this field
**   12   4   partition leader epoch   set by the log, outside the CRC
**   16   1   magic                    2
**   17   4   CRC-32C                  of byte 21 to the end
**   21   2   attributes               PRILL_ATTR_*; bits 7-15 are zero
**   23   4   last offset delta        outlives the record it belonged to
**   27   8   base timestamp           or the delete horizon, PRILL_ATTR_HORIZON
**   35   8   max timestamp            or the append time, PRILL_ATTR_APPENDTIME
**   43   8   producer id              -1: none
**   51   2   producer epoch
**   53   4   base sequence
**   57   4   record count             0 in a batch that compaction emptied
**   61       records                  one compressed blob if bits 0-2 are set
**
** Base offset and leader epoch lie outside the CRC so that a log can place a
** producer's batch without reading it.
**
** Invariants:
**
**   1. A header that prillBatchHeader passed names offsets iBase..iBase+dLast
**      without overflow, and 61 <= nByte <= 2^31+11.
**   2. What a batch unpacks to is bounded here (batchBound), whatever it says.
*/
#include "prillInt.h"

#define BATCH_LENGTH_MIN (PRILL_BATCH_HDR-12)
#define BATCH_ATTR_KNOWN 0x7f

int prillBatchHeader(const u8 *a, i64 n, PrillBatch *p){
  i64 nLen;
  if( n<PRILL_BATCH_HDR ) return PRILL_CORRUPT;
  p->iBase = prillGet64(a);
  nLen = (i32)prillGet32(a+8);
  p->nByte = nLen+12;
  p->iEpoch = (i32)prillGet32(a+12);
  p->iCrc = prillGet32(a+17);
  p->mAttr = prillGet16(a+21);
  p->dLast = (i32)prillGet32(a+23);
  p->iBaseTs = prillGet64(a+27);
  p->iMaxTs = prillGet64(a+35);
  p->iProducer = prillGet64(a+43);
  p->iProducerEpoch = (i16)prillGet16(a+51);
  p->iSeq = (i32)prillGet32(a+53);
  p->nRec = (i32)prillGet32(a+57);
  if( a[16]!=2 || nLen<BATCH_LENGTH_MIN ) return PRILL_CORRUPT;
  if( p->nRec<0 || p->dLast<0 || p->dLast<p->nRec-1 ) return PRILL_CORRUPT;
  if( p->mAttr&~BATCH_ATTR_KNOWN ) return PRILL_CORRUPT;
  if( (p->mAttr&PRILL_ATTR_CODEC)>PRILL_ZSTD ) return PRILL_CORRUPT;
  if( p->iBase<0 || p->iBase>PRILL_I64MAX-p->dLast ) return PRILL_CORRUPT;
  return SQLITE_OK;
}

int prillBatchCheck(const u8 *a, const PrillBatch *p){
  if( prillCrc32c(0, a+21, p->nByte-21)!=p->iCrc ) return PRILL_CORRUPT;
  return SQLITE_OK;
}

/*
** Most bytes n compressed bytes may unpack to.  The batch limits that users
** set count compressed bytes, so the bound is generous to what a producer can
** mean, and still a bound: 256 MiB, or 16-fold if that is more, to 1 GiB.
*/
static i64 batchBound(i64 n){
  i64 mx = PRILL_MAX(n*16, 256*1024*1024);
  return PRILL_MIN(mx, 1024*1024*1024);
}

int prillBatchRecords(const u8 *a, const PrillBatch *p, PrillBuf *pOut,
                      const u8 **paRec, i64 *pnRec){
  const u8 *aRec = a+PRILL_BATCH_HDR;
  i64 nRec = p->nByte-PRILL_BATCH_HDR;
  int eCodec = p->mAttr & PRILL_ATTR_CODEC;
  int rc = SQLITE_OK;
  pOut->n = 0;
  if( eCodec!=PRILL_NONE && (nRec>0 || p->nRec>0) ){
    rc = prillDecompress(eCodec, aRec, nRec, batchBound(nRec), pOut);
    aRec = pOut->a;
    nRec = pOut->n;
  }
  if( rc!=SQLITE_OK ){
    aRec = 0;
    nRec = 0;
  }
  *paRec = aRec;
  *pnRec = nRec;
  return rc;
}

int prillBatchVet(const u8 *a, i64 n, PrillBatch *p, PrillBuf *pOut, i64 *piMinTs, i64 *piMaxTs){
  int bKeyed;
  int rc = prillBatchHeader(a, n, p);
  if( rc==SQLITE_OK && p->nByte!=n ) rc = PRILL_CORRUPT;
  if( rc==SQLITE_OK ) rc = prillBatchCheck(a, p);
  return rc==SQLITE_OK ? prillBatchLook(a, p, pOut, piMinTs, piMaxTs, &bKeyed) : rc;
}

int prillBatchLook(const u8 *a, const PrillBatch *p, PrillBuf *pOut, i64 *piMinTs, i64 *piMaxTs, int *pbKeyed){
  const u8 *aRec, *aEnd;
  i64 nRec = 0, i;
  int rc;
  if( p->nRec<1 || p->dLast!=p->nRec-1 ) return PRILL_CORRUPT;
  rc = prillBatchRecords(a, p, pOut, &aRec, &nRec);
  if( rc==SQLITE_TOOBIG ) rc = PRILL_CORRUPT;
  if( rc!=SQLITE_OK ) return rc;
  aEnd = aRec+nRec;
  *piMinTs = PRILL_I64MAX;
  *piMaxTs = PRILL_I64MIN;
  *pbKeyed = 1;
  for(i=0; i<p->nRec; i++){
    PrillRecord r;
    i64 nByte = prillRecordDecode(aRec, aEnd, p->iBase, p->iBaseTs, &r);
    if( nByte==0 || r.iOff!=p->iBase+i ) return PRILL_CORRUPT;
    if( p->mAttr & PRILL_ATTR_APPENDTIME ) r.iTs = p->iMaxTs;
    if( r.iTs<*piMinTs ) *piMinTs = r.iTs;
    if( r.iTs>*piMaxTs ) *piMaxTs = r.iTs;
    if( r.nKey<0 ) *pbKeyed = 0;
    aRec += nByte;
  }
  return aRec==aEnd ? SQLITE_OK : PRILL_CORRUPT;
}

void prillBatchStamp(u8 *a, PrillBatch *p, i64 iMaxTs, int bAppend){
  p->iMaxTs = iMaxTs;
  if( bAppend ) p->mAttr |= PRILL_ATTR_APPENDTIME;
  prillPut16(a+21, (u16)p->mAttr);
  prillPut64(a+35, iMaxTs);
  p->iCrc = prillCrc32c(0, a+21, p->nByte-21);
  prillPut32(a+17, p->iCrc);
}

void prillBatchPlace(u8 *a, i64 iBase, i32 iEpoch){
  prillPut64(a, iBase);
  prillPut32(a+12, (u32)iEpoch);
}

/* Write the 61 bytes of *p at a, iCrc as it stands in *p. */
static void batchPutHeader(u8 *a, const PrillBatch *p){
  prillPut64(a, p->iBase);
  prillPut32(a+8, (u32)(p->nByte-12));
  prillPut32(a+12, (u32)p->iEpoch);
  a[16] = 2;
  prillPut32(a+17, p->iCrc);
  prillPut16(a+21, (u16)p->mAttr);
  prillPut32(a+23, (u32)p->dLast);
  prillPut64(a+27, p->iBaseTs);
  prillPut64(a+35, p->iMaxTs);
  prillPut64(a+43, p->iProducer);
  prillPut16(a+51, (u16)p->iProducerEpoch);
  prillPut32(a+53, (u32)p->iSeq);
  prillPut32(a+57, (u32)p->nRec);
}

/*
** How hard LZ4 is to look.  Small records repeat their neighbours' few bytes,
** which only the careful search finds.  In large ones the matches are long, and
** most of the time goes to what has none: BATCH_ACCEL is 1.3 times as fast and
** costs a twentieth of the ratio.
*/
#define BATCH_LARGE 400       /* bytes of a record, on average */
#define BATCH_ACCEL 3
static int batchAccel(const PrillBatch *p, i64 nRecByte){
  return p->nRec>0 && nRecByte/p->nRec>=BATCH_LARGE ? BATCH_ACCEL : 1;
}

/*
** A codec this build lacks is SQLITE_MISMATCH; records that with the header
** pass 2^31 bytes are SQLITE_TOOBIG.  On any error *pBuf holds what it held.
*/
void prillBatchEncode(int *pRc, PrillBuf *pBuf, PrillBatch *p, int eCodec,
                      const u8 *aRec, i64 nRecByte){
  i64 nZip;
  i64 iStart = pBuf->n;
  u8 *a;
  if( *pRc==SQLITE_OK && nRecByte>0x7fffffff-BATCH_LENGTH_MIN ){
    *pRc = SQLITE_TOOBIG;
  }
  if( prillBufRoom(pRc, pBuf, PRILL_BATCH_HDR)==0 ) return;
  pBuf->n += PRILL_BATCH_HDR;
  if( eCodec!=PRILL_NONE ){
    *pRc = prillCompress(eCodec, batchAccel(p, nRecByte), aRec, nRecByte, pBuf);
    nZip = pBuf->n-iStart-PRILL_BATCH_HDR;
    if( nZip>=nRecByte || nRecByte>batchBound(nZip) ){      /* we must read it again */
      pBuf->n = iStart+PRILL_BATCH_HDR;
      eCodec = PRILL_NONE;
    }
  }
  if( eCodec==PRILL_NONE ) prillBufAppend(pRc, pBuf, aRec, nRecByte);
  if( *pRc ){
    pBuf->n = iStart;
    return;
  }
  p->nByte = pBuf->n-iStart;
  p->mAttr = (p->mAttr & ~PRILL_ATTR_CODEC) | (eCodec & PRILL_ATTR_CODEC);
  a = pBuf->a+iStart;
  batchPutHeader(a, p);
  p->iCrc = prillCrc32c(0, a+21, p->nByte-21);
  prillPut32(a+17, p->iCrc);
}
