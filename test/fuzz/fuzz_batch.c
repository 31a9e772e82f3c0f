/*
** fuzz_batch.c: hostile batches, compressed blobs and header texts.
**
** One input is read as whatever it can be: a batch when its magic byte says
** so, header JSON when it begins with '[', else a blob of every codec.  A
** batch's length and CRC are mended first, so that the fuzzer reaches what
** lies behind them.  Besides what the sanitizers see, it checks that
**
**   - decoded records lie within their bytes, and encode to records that
**     decode to the same;
**   - headers that became JSON come back, and become the same JSON;
**   - no codec gives more than it was allowed, and each gives back what it
**     was given.
**
** "make fuzz" builds and runs it, from the seeds in corpus/fuzz_batch.
*/
#include "prillInt.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *a, size_t n);

#define FUZZ_CHECK(X) do{ if( !(X) ) abort(); }while( 0 )

/* JSON, and back, and again: the second text is the first. */
static void fuzzHeaders(const u8 *a, i64 n, i32 nHdr){
  PrillBuf json, hdr, again;
  i32 nAgain = 0;
  char *zErr = 0;
  memset(&json, 0, sizeof(json));
  memset(&hdr, 0, sizeof(hdr));
  memset(&again, 0, sizeof(again));
  if( prillHeaderToJson(a, n, nHdr, &json)==SQLITE_OK ){
    FUZZ_CHECK( prillUtf8(json.a, json.n) );
    FUZZ_CHECK( prillHeaderFromJson((const char*)json.a, json.n, &hdr, &nAgain,
                                    &zErr)==SQLITE_OK );
    FUZZ_CHECK( nAgain==nHdr );
    FUZZ_CHECK( prillHeaderToJson(hdr.a, hdr.n, nAgain, &again)==SQLITE_OK );
    FUZZ_CHECK( again.n==json.n
             && memcmp(again.a, json.a, (size_t)json.n)==0 );
  }
  prillBufFree(&json);
  prillBufFree(&hdr);
  prillBufFree(&again);
}

static int fuzzSame(const u8 *a, i32 na, const u8 *b, i32 nb){
  return na==nb && (na<=0 || memcmp(a, b, (size_t)na)==0);
}

/* Encode a decoded record and decode that. */
static void fuzzRecord(const PrillRecord *p, i64 iBase, i64 iBaseTs){
  PrillBuf buf;
  PrillRecord r;
  i64 dTs = (i64)((u64)p->iTs-(u64)iBaseTs);
  int rc = SQLITE_OK;
  memset(&buf, 0, sizeof(buf));
  prillRecordEncode(&rc, &buf, p, dTs, p->iOff-iBase);
  FUZZ_CHECK( rc==SQLITE_OK );
  FUZZ_CHECK( buf.n==prillRecordSize(p, dTs, p->iOff-iBase) );
  FUZZ_CHECK( prillRecordDecode(buf.a, buf.a+buf.n, iBase, iBaseTs, &r)==buf.n );
  FUZZ_CHECK( r.iOff==p->iOff && r.iTs==p->iTs && r.nHdr==p->nHdr );
  FUZZ_CHECK( fuzzSame(r.pKey, r.nKey, p->pKey, p->nKey) );
  FUZZ_CHECK( fuzzSame(r.pVal, r.nVal, p->pVal, p->nVal) );
  FUZZ_CHECK( fuzzSame(r.pHdr, r.nHdrByte, p->pHdr, p->nHdrByte) );
  if( p->nHdr>0 ) fuzzHeaders(p->pHdr, p->nHdrByte, p->nHdr);
  prillBufFree(&buf);
}

/* Walk records until one is malformed. */
static void fuzzRecords(const u8 *a, i64 n, i64 iBase, i64 iBaseTs){
  const u8 *aEnd = a ? a+n : a;
  while( a<aEnd ){
    PrillRecord rec;
    i64 k = prillRecordDecode(a, aEnd, iBase, iBaseTs, &rec);
    FUZZ_CHECK( k>=0 && k<=aEnd-a );
    if( k==0 ) break;
    fuzzRecord(&rec, iBase, iBaseTs);
    a += k;
  }
}

/* a[] is the fuzzer's copy, to be mended. */
static void fuzzBatch(u8 *a, i64 n){
  PrillBatch batch;
  PrillBuf buf;
  const u8 *aRec;
  i64 nRec;
  prillPut32(a+8, (u32)(n-12));
  prillPut32(a+17, prillCrc32c(0, a+21, n-21));
  if( prillBatchHeader(a, n, &batch)!=SQLITE_OK ) return;
  FUZZ_CHECK( batch.nByte==n && prillBatchCheck(a, &batch)==SQLITE_OK );
  memset(&buf, 0, sizeof(buf));
  if( prillBatchRecords(a, &batch, &buf, &aRec, &nRec)==SQLITE_OK ){
    fuzzRecords(aRec, nRec, batch.iBase, batch.iBaseTs);
  }
  prillBufFree(&buf);
}

static void fuzzBlob(const u8 *a, i64 n){
  int eCodec;
  for(eCodec=-1; eCodec<6; eCodec++){
    PrillBuf buf;
    int rc;
    memset(&buf, 0, sizeof(buf));
    rc = prillDecompress(eCodec, a, n, 100000, &buf);
    FUZZ_CHECK( rc==SQLITE_OK ? buf.n<=100000 : buf.n==0 );
    prillBufFree(&buf);
  }
}

/* Compress the input itself; it must come back. */
static void fuzzRound(const u8 *a, i64 n){
  int eCodec;
  for(eCodec=0; eCodec<5; eCodec++){
    PrillBuf z, buf;
    if( !prillCodecKnown(eCodec) ) continue;
    memset(&z, 0, sizeof(z));
    memset(&buf, 0, sizeof(buf));
    FUZZ_CHECK( prillCompress(eCodec, 1, a, n, &z)==SQLITE_OK );
    FUZZ_CHECK( prillDecompress(eCodec, z.a, z.n, n, &buf)==SQLITE_OK );
    FUZZ_CHECK( buf.n==n && (n==0 || memcmp(buf.a, a, (size_t)n)==0) );
    prillBufFree(&z);
    prillBufFree(&buf);
  }
}

static void fuzzJson(const u8 *a, i64 n){
  PrillBuf hdr;
  i32 nHdr;
  char *zErr;
  int rc;
  memset(&hdr, 0, sizeof(hdr));
  rc = prillHeaderFromJson((const char*)a, n, &hdr, &nHdr, &zErr);
  if( rc==SQLITE_OK ){
    FUZZ_CHECK( zErr==0 );
    fuzzHeaders(hdr.a, hdr.n, nHdr);
  }else{
    FUZZ_CHECK( zErr!=0 && hdr.n==0 && nHdr==0 );
  }
  sqlite3_free(zErr);
  prillBufFree(&hdr);
}

int LLVMFuzzerTestOneInput(const uint8_t *a, size_t n){
  if( n>PRILL_BATCH_HDR && a[16]==2 ){
    u8 *aCopy = (u8*)malloc(n);
    if( aCopy ){
      memcpy(aCopy, a, n);
      fuzzBatch(aCopy, (i64)n);
      free(aCopy);
    }
    fuzzRecords(a+PRILL_BATCH_HDR, (i64)n-PRILL_BATCH_HDR, 0, 0);
  }else if( n>0 && a[0]=='[' ){
    fuzzJson(a, (i64)n);
  }else{
    fuzzBlob(a, (i64)n);
    if( n>0 ) fuzzHeaders(a+1, (i64)n-1, a[0]);
    if( n<2000 ) fuzzRound(a, (i64)n);
  }
  return 0;
}
