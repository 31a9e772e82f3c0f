/*
** varint.c: Kafka's variable-length integers.
**
** Layer 1, codec: no I/O, no memory, no errors but "not a varint".
**
**   unsigned   7-bit groups, lowest first; the top bit of a byte says that
**              another follows.  At most 10 bytes; the 10th holds one bit.
**   signed     the unsigned form of (v<<1)^(v>>63): 0,-1,1,-2 are 0,1,2,3
**
** Decoding takes forms longer than need be ("80 00" is 0), as Kafka's Java
** reader does; what does not fit in 64 bits is refused.
*/
#include "prillInt.h"

/* Zigzag and back. */
static u64 varintZig(i64 v){
  return ((u64)v<<1) ^ (v<0 ? ~(u64)0 : 0);
}
static i64 varintZag(u64 u){
  return (i64)((u>>1) ^ (0-(u&1)));
}

/* Three bytes and more: apart, so that the short forms stay small. */
static int varintLong(const u8 *a, const u8 *aEnd, u64 *pOut){
  u64 v = 0;
  int i;
  for(i=0; i<9; i++){
    if( a+i>=aEnd ) return 0;
    v |= (u64)(a[i]&0x7f) << (7*i);
    if( a[i]<0x80 ){
      *pOut = v;
      return i+1;
    }
  }
  if( a+9>=aEnd || a[9]>1 ) return 0;
  *pOut = v | ((u64)a[9]<<63);
  return 10;
}

int prillUvarintGet(const u8 *a, const u8 *aEnd, u64 *pOut){
  if( aEnd-a>=2 ){
    if( a[0]<0x80 ){
      *pOut = a[0];
      return 1;
    }
    if( a[1]<0x80 ){
      *pOut = (u64)((u32)(a[0]&0x7f) | (u32)a[1]<<7);
      return 2;
    }
  }
  return varintLong(a, aEnd, pOut);
}

int prillVarintGet(const u8 *a, const u8 *aEnd, i64 *pOut){
  u64 u;
  int n = prillUvarintGet(a, aEnd, &u);
  if( n ) *pOut = varintZag(u);
  return n;
}

int prillUvarintPut(u8 *a, u64 v){
  int n = 0;
  if( v<0x80 ){
    a[0] = (u8)v;
    return 1;
  }
  if( v<0x4000 ){
    a[0] = (u8)(v|0x80);
    a[1] = (u8)(v>>7);
    return 2;
  }
  while( v>=0x80 ){
    a[n++] = (u8)(v|0x80);
    v >>= 7;
  }
  a[n++] = (u8)v;
  return n;
}

int prillVarintPut(u8 *a, i64 v){
  return prillUvarintPut(a, varintZig(v));
}

int prillVarintLen(i64 v){
  u64 u = varintZig(v);
  int n = 1;
  while( u>=0x80 ){
    u >>= 7;
    n++;
  }
  return n;
}
