/*
** record.c: one record inside a batch.
**
** Layer 1, codec.  Calls varint and buf.
**
** Bytes owned:
**
**   length           varint    bytes that follow
**   attributes       1 byte    0; readers ignore it, as Kafka's do
**   timestamp delta  varint    to the batch's base timestamp, 64 bits
**   offset delta     varint    to the batch's base offset, 0..2^31-1
**   key length       varint    -1: null
**   key
**   value length     varint    -1: null, a tombstone
**   value
**   header count     varint    >= 0
**   each header:     varint    name length, >= 0
**                              name, UTF-8
**                    varint    value length, -1: null
**                              value
**
** Invariants:
**
**   1. A decoded record's fields fill its length exactly, headers included,
**      so whoever walks pHdr afterwards walks checked bytes.
**   2. No pointer leaves a[0..aEnd), no length exceeds what is left of it.
**   3. A timestamp delta may be any 64-bit number: the sum wraps, as in Java.
**      An offset may not: it would name another record.
*/
#include "prillInt.h"

/*
** Read a signed varint at *pp, which moves past it.  0 on success.  Nearly
** all of a record's varints take one byte or two: these cases are inline.
*/
static inline int recordVarint(const u8 **pp, const u8 *aEnd, i64 *pOut){
  const u8 *a = *pp;
  int n;
  if( a<aEnd && a[0]<0x80 ){
    *pOut = (i64)(a[0]>>1) ^ -(i64)(a[0]&1);
    *pp = a+1;
    return 0;
  }
  if( aEnd-a>=2 && a[1]<0x80 ){
    u32 u = (u32)(a[0]&0x7f) | (u32)a[1]<<7;
    *pOut = (i64)(u>>1) ^ -(i64)(u&1);
    *pp = a+2;
    return 0;
  }
  n = prillVarintGet(a, aEnd, pOut);
  *pp = a+n;
  return n==0;
}

/*
** A length and that many bytes.  A length of -1 gives a null pointer where
** bNull allows it.  0 on success.
*/
static inline int recordBytes(const u8 **pp, const u8 *aEnd, int bNull,
                              const u8 **pa, i32 *pn){
  i64 n;
  if( recordVarint(pp, aEnd, &n) ) return 1;
  if( n>=0 && n<=aEnd-*pp && n<=0x7fffffff ){
    *pa = *pp;
    *pn = (i32)n;
    *pp += n;
    return 0;
  }
  *pa = 0;
  *pn = -1;
  return !(n==-1 && bNull);
}

/* 1 when a[0..aEnd) is exactly nHdr headers.  Each takes 2 bytes or more. */
static int recordHeaders(const u8 *a, const u8 *aEnd, i64 nHdr){
  i64 i;
  if( nHdr>(aEnd-a)/2 ) return 0;
  for(i=0; i<nHdr; i++){
    const u8 *p;
    i32 n;
    if( recordBytes(&a, aEnd, 0, &p, &n) ) return 0;
    if( recordBytes(&a, aEnd, 1, &p, &n) ) return 0;
  }
  return a==aEnd;
}

static i64 recordAny(const u8 *a, const u8 *aEnd, i64 iBase, i64 iBaseTs, PrillRecord *p){
  const u8 *aStart = a;
  const u8 *aStop;
  i64 nLen, dTs, dOff, nHdr;
  if( recordVarint(&a, aEnd, &nLen) ) return 0;
  if( nLen<1 || nLen>aEnd-a ) return 0;
  aStop = a+nLen;
  a++;
  if( recordVarint(&a, aStop, &dTs) ) return 0;
  if( recordVarint(&a, aStop, &dOff) ) return 0;
  if( dOff<0 || dOff>0x7fffffff || iBase>PRILL_I64MAX-dOff ) return 0;
  p->iTs = (i64)((u64)iBaseTs+(u64)dTs);
  p->iOff = iBase+dOff;
  if( recordBytes(&a, aStop, 1, &p->pKey, &p->nKey) ) return 0;
  if( recordBytes(&a, aStop, 1, &p->pVal, &p->nVal) ) return 0;
  if( recordVarint(&a, aStop, &nHdr) || nHdr<0 ) return 0;
  p->pHdr = a;
  if( nHdr==0 ){
    if( a!=aStop ) return 0;
    p->nHdr = p->nHdrByte = 0;
  }else{
    if( aStop-a>0x7fffffff || !recordHeaders(a, aStop, nHdr) ) return 0;
    p->nHdr = (i32)nHdr;
    p->nHdrByte = (i32)(aStop-a);
  }
  return aStop-aStart;
}

/*
** What most records are is decoded here: no headers, no varint of more than
** two bytes, no negative length but a null key's.  Such a one has at most
** RECORD_SHORT bytes before its key.  All others, and what is malformed, are
** recordAny's.
*/
#define RECORD_SHORT 9
#define RECORD_TAKE(u) \
  u = *a++; \
  if( u>=0x80 ){ \
    if( *a>=0x80 ) return recordAny(aStart, aEnd, iBase, iBaseTs, p); \
    u = (u&0x7f) | (u32)*a++<<7; \
  }
i64 prillRecordDecode(const u8 *a, const u8 *aEnd, i64 iBase, i64 iBaseTs,
                      PrillRecord *p){
  const u8 *aStart = a;
  const u8 *aStop;
  u32 u, uTs, uOff, uKey;
  if( aEnd-a<RECORD_SHORT || iBase>PRILL_I64MAX-0x2000 ) return recordAny(a, aEnd, iBase, iBaseTs, p);
  RECORD_TAKE(u)
  aStop = a + (u>>1);
  a++;
  RECORD_TAKE(uTs)
  RECORD_TAKE(uOff)
  RECORD_TAKE(uKey)
  if( ((u|uOff)&1) || aStop>aEnd || aStop-a<2 ) return recordAny(aStart, aEnd, iBase, iBaseTs, p);
  p->iTs = (i64)((u64)iBaseTs + (u64)((i64)(uTs>>1) ^ -(i64)(uTs&1)));
  p->iOff = iBase + (uOff>>1);
  if( uKey==1 ){
    p->pKey = 0;
    p->nKey = -1;
  }else{
    p->pKey = a;
    p->nKey = (i32)(uKey>>1);
    if( (uKey&1) || aStop-a<p->nKey+2 ) return recordAny(aStart, aEnd, iBase, iBaseTs, p);
    a += p->nKey;
  }
  RECORD_TAKE(u)
  p->pVal = a;
  p->nVal = (i32)(u>>1);
  if( (u&1) || aStop-a!=p->nVal+1 || aStop[-1]!=0 ) return recordAny(aStart, aEnd, iBase, iBaseTs, p);
  p->pHdr = aStop;
  p->nHdr = p->nHdrByte = 0;
  return aStop-aStart;
}
#undef RECORD_TAKE

/* As prillVarintLen and prillVarintPut, with the short cases inline. */
static inline int recordVarintLen(i64 v){
  u64 u = ((u64)v<<1) ^ (0-((u64)v>>63));
  return u<0x80 ? 1 : u<0x4000 ? 2 : prillVarintLen(v);
}
static inline u8 *recordPut(u8 *a, i64 v){
  u64 u = ((u64)v<<1) ^ (0-((u64)v>>63));
  if( u<0x80 ){
    *a = (u8)u;
    return a+1;
  }
  if( u<0x4000 ){
    a[0] = (u8)(u|0x80);
    a[1] = (u8)(u>>7);
    return a+2;
  }
  return a+prillVarintPut(a, v);
}

/* Bytes after the length field. */
static i64 recordBody(const PrillRecord *p, i64 dTs, i64 dOff){
  i64 n = 1 + recordVarintLen(dTs) + recordVarintLen(dOff);
  n += recordVarintLen(p->nKey) + (p->nKey>0 ? p->nKey : 0);
  n += recordVarintLen(p->nVal) + (p->nVal>0 ? p->nVal : 0);
  n += recordVarintLen(p->nHdr) + p->nHdrByte;
  return n;
}

i64 prillRecordSize(const PrillRecord *p, i64 dTs, i64 dOff){
  i64 n = recordBody(p, dTs, dOff);
  return n + recordVarintLen(n);
}

/*
** A nullable byte string: length and bytes.  The length decides what is null,
** for SQLite hands out an empty blob as a null pointer.
*/
static inline u8 *recordPutBytes(u8 *a, const u8 *p, i32 n){
  a = recordPut(a, n);
  if( n<=0 ) return a;
  memcpy(a, p, (size_t)n);
  return a+n;
}

/* A number below 0x4000. */
static inline u8 *recordPutShort(u8 *a, u32 u){
  if( u<0x80 ){
    *a = (u8)u;
    return a+1;
  }
  a[0] = (u8)(u|0x80);
  a[1] = (u8)(u>>7);
  return a+2;
}

/*
** What most records are: no headers, a value, no varint of more than two bytes.
** Lengths up to RECORD_PLAIN keep the whole record's below 0x2000.  0: it is
** another, or there is no room for it yet.
*/
#define RECORD_PLAIN 0xf00
static int recordPutPlain(PrillBuf *pBuf, const PrillRecord *p, i64 dTs, i64 dOff){
  u64 uTs = ((u64)dTs<<1) ^ (0-((u64)dTs>>63));
  u32 uOff, uKey, uVal, nKey, n;
  u8 *a;
  if( p->nHdr!=0 || uTs>=0x4000 || (u64)dOff>=0x2000 || p->nKey<-1 || p->nKey>RECORD_PLAIN
   || (u32)p->nVal>RECORD_PLAIN ) return 0;
  nKey = p->nKey>0 ? (u32)p->nKey : 0;
  n = nKey + (u32)p->nVal;
  if( pBuf->nAlloc-pBuf->n<n+13 ) return 0;
  uOff = (u32)dOff<<1;
  uKey = p->nKey<0 ? 1 : nKey<<1;
  uVal = (u32)p->nVal<<1;
  n += 6u + (u32)(uTs>=0x80) + (u32)(uOff>=0x80) + (u32)(uKey>=0x80) + (u32)(uVal>=0x80);
  a = recordPutShort(pBuf->a+pBuf->n, n<<1);
  *a++ = 0;
  a = recordPutShort(a, (u32)uTs);
  a = recordPutShort(a, uOff);
  a = recordPutShort(a, uKey);
  if( nKey ) memcpy(a, p->pKey, nKey);
  a = recordPutShort(a+nKey, uVal);
  if( uVal ) memcpy(a, p->pVal, (size_t)p->nVal);
  a += p->nVal;
  *a++ = 0;
  pBuf->n = a-pBuf->a;
  return 1;
}

/*
** The offset delta is i32 in every reader, so a larger one, or a record whose
** length is, is SQLITE_TOOBIG.
*/
void prillRecordEncode(int *pRc, PrillBuf *pBuf, const PrillRecord *p, i64 dTs,
                       i64 dOff){
  i64 nBody;
  u8 *a;
  if( *pRc==SQLITE_OK && recordPutPlain(pBuf, p, dTs, dOff) ) return;
  nBody = recordBody(p, dTs, dOff);
  if( *pRc==SQLITE_OK && (nBody>0x7fffffff || dOff<0 || dOff>0x7fffffff) ){
    *pRc = SQLITE_TOOBIG;
  }
  a = prillBufRoom(pRc, pBuf, nBody+10);
  if( a==0 ) return;
  a = recordPut(a, nBody);
  *a++ = 0;
  a = recordPut(a, dTs);
  a = recordPut(a, dOff);
  a = recordPutBytes(a, p->pKey, p->nKey);
  a = recordPutBytes(a, p->pVal, p->nVal);
  a = recordPut(a, p->nHdr);
  if( p->nHdrByte>0 ){
    memcpy(a, p->pHdr, (size_t)p->nHdrByte);
    a += p->nHdrByte;
  }
  pBuf->n = a-pBuf->a;
}
