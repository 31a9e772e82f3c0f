/*
** fuzz_index.c: hostile .index and .timeindex files.
**
** The first byte says how many entries of the rest are the offset index, the
** second shifts the base offset.  What is accepted must keep index.c's
** invariants, and survive being written and read again.
**
** "make fuzz" builds and runs it, from the seeds in corpus/fuzz_index.
*/
#include "prillInt.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *a, size_t n);

#define FUZZ_CHECK(X) do{ if( !(X) ) abort(); }while( 0 )

static void fuzzInvariants(const PrillIndex *p, i64 iBase){
  int i;
  for(i=0; i<p->n; i++){
    const PrillIndexEntry *e = &p->a[i];
    FUZZ_CHECK( e->iOff>=iBase && e->iOff<=e->iLast && e->iPos>=0 );
    FUZZ_CHECK( prillIndexFind(p, e->iOff)==i );
    FUZZ_CHECK( prillIndexFind(p, e->iOff-1)==i-1 || e[-1].iOff<e->iOff-1 );
    FUZZ_CHECK( prillIndexFindTs(p, e->iMaxTs)<i );
    if( i>0 ){
      FUZZ_CHECK( e->iOff>e[-1].iLast && e->iPos>e[-1].iPos );
      FUZZ_CHECK( e->iMaxTs>=e[-1].iMaxTs );
    }
  }
}

/* Bounds may only become looser; places stay. */
static void fuzzAgain(const PrillIndex *p, i64 iBase){
  PrillBuf index, time;
  PrillIndex again;
  const PrillIndexEntry *pEnd = &p->a[p->n-1];
  int i, rc = SQLITE_OK;
  memset(&index, 0, sizeof(index));
  memset(&time, 0, sizeof(time));
  memset(&again, 0, sizeof(again));
  prillIndexEncode(&rc, p, iBase, &index, &time, pEnd->iMaxTs, pEnd->iLast);
  FUZZ_CHECK( rc==SQLITE_OK );
  rc = prillIndexDecode(index.a, index.n, time.a, time.n, iBase, &again);
  FUZZ_CHECK( rc==SQLITE_OK && again.n==p->n );
  for(i=0; i<p->n; i++){
    FUZZ_CHECK( again.a[i].iLast==p->a[i].iLast );
    FUZZ_CHECK( again.a[i].iPos==p->a[i].iPos );
    FUZZ_CHECK( again.a[i].iMaxTs>=p->a[i].iMaxTs );
  }
  prillBufFree(&index);
  prillBufFree(&time);
  prillIndexFree(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *a, size_t n){
  PrillIndex index;
  i64 nIndex, iBase;
  if( n<2 ) return 0;
  nIndex = PRILL_MIN((i64)a[0]*8, (i64)n-2);
  iBase = a[1]<64 ? (i64)((u64)1<<a[1]) : a[1]==64 ? -1 : a[1];
  if( iBase==PRILL_I64MIN ) iBase = 0;
  memset(&index, 0, sizeof(index));
  if( prillIndexDecode(a+2, nIndex, a+2+nIndex, (i64)n-2-nIndex, iBase,
                       &index)==SQLITE_OK ){
    fuzzInvariants(&index, iBase);
    if( index.n>0 ) fuzzAgain(&index, iBase);
  }
  prillIndexFree(&index);
  return 0;
}
