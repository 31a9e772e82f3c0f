/*
** util.c: errors, numbers, limits.
**
** Layer 0.  Calls nothing of the library.
**
** Owns no bytes on disk.  Its one global is prillLimit: written by a test
** build before the first store is opened, read-only from then on, so that no
** lock guards it.
*/
#include "prillInt.h"

PrillLimits prillLimit = {
  32*1024,              /* szDirect */
  4*1024,               /* szDirectOs */
  256*1024,             /* szRing */
  16*1024,              /* szRingPart */
  16*1024*1024,         /* mxRing */
  16*1024*1024,         /* szStage */
  256*1024,             /* szWrite */
  4096,                 /* szIndex */
  8*1024*1024,          /* szZero */
  64*1024*1024,         /* szWalPin */
  4*1024*1024,          /* szKeyRun */
  4*1024*1024,          /* szCompact */
  32*1024*1024,         /* szMap */
  60000,                /* msLease */
  1000,                 /* msLook */
  4,                    /* nSpill */
  64,                   /* nOpen */
  1000,                 /* msDir */
  2,                    /* msTurn */
  65536                 /* nProducer */
};

/*
** Every report of corruption passes here, so that one breakpoint or one
** sqlite3_config(SQLITE_CONFIG_LOG) callback sees where it was found.
*/
int prillCorruptAt(const char *zFile, int iLine){
  const char *z = strrchr(zFile, '/');
  sqlite3_log(SQLITE_CORRUPT, "prill: corruption found at %s:%d",
              z ? z+1 : zFile, iLine);
  return SQLITE_CORRUPT_VTAB;
}

/*
** The VFS's clock counts from noon of 24 November 4714 BC.  A VFS older than
** version 2 offers it only as a day number with a fraction.  A clock that
** fails reads as 1970: callers treat time as a hint, never as an order.
*/
i64 prillNow(sqlite3_vfs *pVfs){
  static const i64 iEpoch = 210866760000000LL;   /* 1970 in that count, ms */
  sqlite3_int64 t = 0;
  if( pVfs==0 ) pVfs = sqlite3_vfs_find(0);
  if( pVfs==0 ) return 0;
  if( pVfs->iVersion>=2 && pVfs->xCurrentTimeInt64 ){
    if( pVfs->xCurrentTimeInt64(pVfs, &t)!=SQLITE_OK ) return 0;
  }else{
    double r = 0.0;
    if( pVfs->xCurrentTime(pVfs, &r)!=SQLITE_OK ) return 0;
    t = (sqlite3_int64)(r*86400000.0);
  }
  return t - iEpoch;
}

void prillHex(const u8 *a, int n, char *zOut){
  static const char zDigit[] = "0123456789abcdef";
  int i;
  for(i=0; i<n; i++){
    *zOut++ = zDigit[a[i]>>4];
    *zOut++ = zDigit[a[i]&15];
  }
  *zOut = 0;
}

/* The value of one hex digit, or -1. */
static int utilHexDigit(char c){
  if( c>='0' && c<='9' ) return c-'0';
  if( c>='a' && c<='f' ) return c-'a'+10;
  if( c>='A' && c<='F' ) return c-'A'+10;
  return -1;
}

/*
** A NUL inside z ends it like any other byte that is no digit, so z may be
** shorter than 2*n.
*/
int prillUnhex(const char *z, u8 *a, int n){
  int i;
  for(i=0; i<n; i++){
    int hi = utilHexDigit(z[2*i]);
    int lo = hi<0 ? -1 : utilHexDigit(z[2*i+1]);
    if( lo<0 ) return 1;
    a[i] = (u8)(hi*16+lo);
  }
  return 0;
}

/*
** Bytes of the well-formed multi-byte character at a, or 0.  The bounds on
** the second byte are where overlong forms, surrogates and values beyond
** U+10FFFF are shut out.
*/
static int utilUtf8Char(const u8 *a, const u8 *aEnd){
  u8 c = a[0];
  u8 lo = 0x80, hi = 0xbf;
  int n, i;
  if( c<0xc2 ) return 0;
  if( c<0xe0 ){
    n = 2;
  }else if( c<0xf0 ){
    n = 3;
    if( c==0xe0 ) lo = 0xa0;
    if( c==0xed ) hi = 0x9f;
  }else if( c<0xf5 ){
    n = 4;
    if( c==0xf0 ) lo = 0x90;
    if( c==0xf4 ) hi = 0x8f;
  }else{
    return 0;
  }
  if( aEnd-a<n || a[1]<lo || a[1]>hi ) return 0;
  for(i=2; i<n; i++){
    if( (a[i]&0xc0)!=0x80 ) return 0;
  }
  return n;
}

/*
** Called for every value a scan returns, so ASCII goes eight bytes a step:
** subtracting 1 from each byte sets the top bit of a zero byte, and a byte
** above 0x7f has it set already.
*/
int prillUtf8(const u8 *a, i64 n){
  static const u64 mOne = 0x0101010101010101ULL;
  static const u64 mTop = 0x8080808080808080ULL;
  const u8 *aEnd = a ? a+n : a;
  while( a<aEnd ){
    /* Bytes 1..127 and no others: neither they nor they less one have the top bit. */
    while( aEnd-a>=32 ){
      u64 w[4];
      memcpy(w, a, 32);
      if( (((w[0]-mOne)|w[0]|(w[1]-mOne)|w[1]|(w[2]-mOne)|w[2]|(w[3]-mOne)|w[3]) & mTop)!=0 ) break;
      a += 32;
    }
    if( a>=aEnd ) break;
    if( aEnd-a>=8 ){
      u64 w;
      memcpy(&w, a, 8);
      if( (((w-mOne)|w) & mTop)==0 ){
        a += 8;
        continue;
      }
    }
    if( a[0]<0x80 ){
      if( a[0]==0 ) return 0;
      a++;
    }else{
      int k = utilUtf8Char(a, aEnd);
      if( k==0 ) return 0;
      a += k;
    }
  }
  return 1;
}

int prillTopicName(const char *z){
  int n;
  for(n=0; z[n]; n++){
    char c = z[n];
    if( n>=249 ) return 0;
    if( !((c>='a' && c<='z') || (c>='A' && c<='Z') || (c>='0' && c<='9')
          || c=='.' || c=='_' || c=='-') ) return 0;
  }
  if( n==0 ) return 0;
  if( z[0]=='.' && (n==1 || (n==2 && z[1]=='.')) ) return 0;
  return 1;
}
