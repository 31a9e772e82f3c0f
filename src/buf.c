/*
** buf.c: growable bytes.
**
** Layer 0.  Calls nothing of the library but the varint arithmetic it holds
** itself (varint.c is a layer above).
**
** A PrillBuf is zero-initialised by its owner and released with prillBufFree.
** Invariants:
**
**   1. 0 <= n <= nAlloc, and a==NULL exactly when nAlloc==0.
**   2. A failed call changes nothing but *pRc; what was in the buffer stays.
**   3. Any call that may grow the buffer may move it: pointers into a[] die.
*/
#include "prillInt.h"

/* SQLite's allocator refuses more than this. */
#define BUF_MAX ((i64)0x7ffffeff)

void prillBufFree(PrillBuf *p){
  sqlite3_free(p->a);
  memset(p, 0, sizeof(*p));
}

/*
** Grow to hold nNeed bytes in all.  Doubling keeps appends linear; near the
** allocator's limit it gives way to the exact need.
*/
static int bufGrow(PrillBuf *p, i64 nNeed){
  i64 nNew = p->nAlloc<BUF_MAX/2 ? p->nAlloc*2 : BUF_MAX;
  u8 *aNew;
  if( nNeed>BUF_MAX ) return SQLITE_NOMEM;
  if( nNew<nNeed ) nNew = nNeed;
  if( nNew<64 ) nNew = 64;
  aNew = (u8*)sqlite3_realloc64(p->a, (sqlite3_uint64)nNew);
  if( aNew==0 ) return SQLITE_NOMEM;
  p->a = aNew;
  p->nAlloc = nNew;
  return SQLITE_OK;
}

u8 *prillBufRoom(int *pRc, PrillBuf *p, i64 nMore){
  if( *pRc ) return 0;
  assert( nMore>=0 );
  if( nMore>p->nAlloc-p->n || p->a==0 ){
    *pRc = nMore>BUF_MAX ? SQLITE_NOMEM : bufGrow(p, p->n+nMore);
    if( *pRc ) return 0;
  }
  return p->a+p->n;
}

void prillBufAppend(int *pRc, PrillBuf *p, const void *pData, i64 n){
  u8 *a = prillBufRoom(pRc, p, n);
  if( a && n>0 ){
    memcpy(a, pData, (size_t)n);
    p->n += n;
  }
}

void prillBufPrintf(int *pRc, PrillBuf *p, const char *zFmt, ...){
  va_list ap;
  char *z;
  if( *pRc ) return;
  va_start(ap, zFmt);
  z = sqlite3_vmprintf(zFmt, ap);
  va_end(ap);
  if( z==0 ){
    *pRc = SQLITE_NOMEM;
  }else{
    prillBufAppend(pRc, p, z, (i64)strlen(z));
    sqlite3_free(z);
  }
}

void prillBufUvarint(int *pRc, PrillBuf *p, u64 v){
  u8 *a = prillBufRoom(pRc, p, 10);
  if( a ){
    int n = 0;
    while( v>=0x80 ){
      a[n++] = (u8)(v|0x80);
      v >>= 7;
    }
    a[n++] = (u8)v;
    p->n += n;
  }
}

/*
** Zigzag: the sign moves to the lowest bit, so that small negative numbers
** stay short.
*/
void prillBufVarint(int *pRc, PrillBuf *p, i64 v){
  prillBufUvarint(pRc, p, ((u64)v<<1) ^ (v<0 ? ~(u64)0 : 0));
}
