/*
** fuzz_wire.c: hostile requests and responses for the wire codec.
**
** The first byte chooses the message and its side, the second the version;
** the rest are its bytes.  What is accepted must encode, and what that gives
** must decode to bytes that encode to the same.  An input whose first byte is
** 0xff is a request with its header.
**
** "make fuzz" builds and runs it, from the seeds in corpus/fuzz_wire.
*/
#include "wire.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *a, size_t n);

#define FUZZ_CHECK(X) do{ if( !(X) ) abort(); }while( 0 )

/* The message as one run of bytes. */
static void fuzzJoin(const WireOut *pOut, PrillBuf *pAll){
  int i, rc = SQLITE_OK;
  i64 iAt = 0;
  for(i=0; i<pOut->nSplice; i++){
    prillBufAppend(&rc, pAll, pOut->buf.a+iAt, pOut->aSplice[i].iAt-iAt);
    prillBufAppend(&rc, pAll, pOut->aSplice[i].a, pOut->aSplice[i].n);
    iAt = pOut->aSplice[i].iAt;
  }
  if( pOut->buf.n>iAt ) prillBufAppend(&rc, pAll, pOut->buf.a+iAt, pOut->buf.n-iAt);
  FUZZ_CHECK( rc==SQLITE_OK );
}

/* Decode, encode into *pAll: 1 when accepted. */
static int fuzzOnce(const WireStruct *p, int iVer, int bFlex, const u8 *a, i64 n, PrillBuf *pAll){
  WireArena arena;
  WireOut out;
  u64 aOut[128];
  i64 nUsed = 0;
  int rc;
  memset(&arena, 0, sizeof(arena));
  memset(&out, 0, sizeof(out));
  arena.mxByte = 65536 + 32*n;
  rc = prilldWireDecode(p, iVer, bFlex, a, n, &arena, aOut, &nUsed);
  FUZZ_CHECK( nUsed>=0 && nUsed<=n && arena.nByte<=arena.mxByte );
  if( rc==SQLITE_OK ){
    FUZZ_CHECK( prilldWireEncode(p, iVer, bFlex, aOut, &out)==SQLITE_OK );
    fuzzJoin(&out, pAll);
  }
  prilldWireOutFree(&out);
  prilldArenaFree(&arena);
  return rc==SQLITE_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *a, size_t n){
  const WireApi *pApi;
  const WireStruct *p;
  PrillBuf one = {0, 0, 0}, two = {0, 0, 0};
  int iVer;
  if( n>0 && a[0]==0xff ){
    WireHeader h;
    i64 nUsed = 0;
    if( prilldWireHeader(a+1, (i64)n-1, &h, &nUsed)==SQLITE_OK ) FUZZ_CHECK( nUsed<=(i64)n-1 );
    return 0;
  }
  if( n<2 ) return 0;
  pApi = &prilldWireApi[(a[0]>>1)%WIRE_NAPI];
  p = a[0]&1 ? pApi->pResp : pApi->pReq;
  iVer = pApi->mnVer + a[1]%(pApi->mxVer-pApi->mnVer+1);
  if( fuzzOnce(p, iVer, iVer>=pApi->mnFlex, a+2, (i64)n-2, &one) ){
    FUZZ_CHECK( fuzzOnce(p, iVer, iVer>=pApi->mnFlex, one.a, one.n, &two) );
    FUZZ_CHECK( one.n==two.n && (one.n==0 || memcmp(one.a, two.a, (size_t)one.n)==0) );
  }
  prillBufFree(&one);
  prillBufFree(&two);
  return 0;
}
