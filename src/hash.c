/*
** hash.c: the hashes by which clients choose a partition.
**
** Layer 1, codec.  Calls nothing of the library.
**
**   murmur2   Kafka's Java client and those that follow it:
**             (murmur2(key) & 0x7fffffff) % partitions
**   crc32     librdkafka's default: crc32(key) % partitions
**   jump      prill's consistent_hash (J. Lamping, E. Veach: A Fast, Minimal
**             Memory, Consistent Hash Algorithm, 2014) of the 64 bits murmur2(key),
**             crc32(key): from n to m partitions 1-n/m of the keys move, all to
**             new ones; murmur2 % n moves nearly all
**
** Invariant: these values are part of where a record is.  A change of any
** one breaks "all records of a key in one partition" in every store.
*/
#include "prillInt.h"

static inline u32 hashLoad32(const u8 *a){
  return (u32)a[0] | (u32)a[1]<<8 | (u32)a[2]<<16 | (u32)a[3]<<24;
}

/*
** MurmurHash2, 32 bits, with the seed the Java client uses; the length is a
** 32-bit int there.
*/
u32 prillMurmur2(const void *p, i64 n){
  const u8 *a = (const u8*)p;
  const u32 m = 0x5bd1e995u;
  u32 h = 0x9747b28cu ^ (u32)n;
  for(; n>=4; n-=4, a+=4){
    u32 k = hashLoad32(a)*m;
    k = (k ^ (k>>24))*m;
    h = (h*m) ^ k;
  }
  if( n>0 ){
    if( n>2 ) h ^= (u32)a[2]<<16;
    if( n>1 ) h ^= (u32)a[1]<<8;
    h = (h ^ a[0])*m;
  }
  h = (h ^ (h>>13))*m;
  return h ^ (h>>15);
}

/*
** CRC-32 as zlib and Ethernet have it, reflected 0xEDB88320.  Keys are short:
** four tables do.  An entry is the exclusive or of those of its index's bits.
*/
#define HASH_1(i,a,b,c,d,e,f,g,h) \
  (((i)&1?a:0u)^((i)&2?b:0u)^((i)&4?c:0u)^((i)&8?d:0u) \
  ^((i)&16?e:0u)^((i)&32?f:0u)^((i)&64?g:0u)^((i)&128?h:0u))
#define HASH_4(i,...) \
  HASH_1(i,__VA_ARGS__), HASH_1((i)+1,__VA_ARGS__), \
  HASH_1((i)+2,__VA_ARGS__), HASH_1((i)+3,__VA_ARGS__)
#define HASH_16(i,...) \
  HASH_4(i,__VA_ARGS__), HASH_4((i)+4,__VA_ARGS__), \
  HASH_4((i)+8,__VA_ARGS__), HASH_4((i)+12,__VA_ARGS__)
#define HASH_64(i,...) \
  HASH_16(i,__VA_ARGS__), HASH_16((i)+16,__VA_ARGS__), \
  HASH_16((i)+32,__VA_ARGS__), HASH_16((i)+48,__VA_ARGS__)
#define HASH_ROW(...) { \
  HASH_64(0,__VA_ARGS__), HASH_64(64,__VA_ARGS__), \
  HASH_64(128,__VA_ARGS__), HASH_64(192,__VA_ARGS__) }

static const u32 hashCrcTable[4][256] = {
  HASH_ROW(0x77073096u,0xee0e612cu,0x076dc419u,0x0edb8832u,
           0x1db71064u,0x3b6e20c8u,0x76dc4190u,0xedb88320u),
  HASH_ROW(0x191b3141u,0x32366282u,0x646cc504u,0xc8d98a08u,
           0x4ac21251u,0x958424a2u,0xf0794f05u,0x3b83984bu),
  HASH_ROW(0x01c26a37u,0x0384d46eu,0x0709a8dcu,0x0e1351b8u,
           0x1c26a370u,0x384d46e0u,0x709a8dc0u,0xe1351b80u),
  HASH_ROW(0xb8bc6765u,0xaa09c88bu,0x8f629757u,0xc5b428efu,
           0x5019579fu,0xa032af3eu,0x9b14583du,0xed59b63bu)
};
#undef HASH_1
#undef HASH_4
#undef HASH_16
#undef HASH_64
#undef HASH_ROW

u32 prillCrc32(const void *p, i64 n){
  const u8 *a = (const u8*)p;
  u32 c = 0xffffffffu;
  for(; n>=4; n-=4, a+=4){
    u32 x = c ^ hashLoad32(a);
    c = hashCrcTable[3][x&255] ^ hashCrcTable[2][(x>>8)&255]
      ^ hashCrcTable[1][(x>>16)&255] ^ hashCrcTable[0][x>>24];
  }
  for(; n>0; n--, a++){
    c = (c>>8) ^ hashCrcTable[0][(c^*a)&255];
  }
  return ~c;
}

/*
** Jump consistent hash.  The doubles are exact or correctly rounded by IEEE 754,
** so that every machine gives the same.
*/
int prillJumpHash(const void *p, i64 n, int nPart){
  u64 h = (u64)prillMurmur2(p, n)<<32 | prillCrc32(p, n);
  i64 iPart = -1, iNext = 0;
  while( iNext<nPart ){
    iPart = iNext;
    h = h*2862933555777941757ULL + 1;
    iNext = (i64)((double)(iPart+1)*(2147483648.0/(double)((h>>33)+1)));
  }
  return (int)iPart;
}

static inline u64 hashRotl(u64 x, int n){ return (x<<n)|(x>>(64-n)); }
static u64 hashGet64Le(const u8 *a){
  u64 v = 0;
  int i;
  for(i=7; i>=0; i--) v = (v<<8)|a[i];
  return v;
}
static inline void hashSipRound(u64 v[4]){
  v[0] += v[1]; v[1] = hashRotl(v[1], 13); v[1] ^= v[0]; v[0] = hashRotl(v[0], 32);
  v[2] += v[3]; v[3] = hashRotl(v[3], 16); v[3] ^= v[2];
  v[0] += v[3]; v[3] = hashRotl(v[3], 21); v[3] ^= v[0];
  v[2] += v[1]; v[1] = hashRotl(v[1], 17); v[1] ^= v[2]; v[2] = hashRotl(v[2], 32);
}
static inline void hashSipWord(u64 v[4], u64 m){
  v[3] ^= m;
  hashSipRound(v);
  hashSipRound(v);
  v[0] ^= m;
}

/* Aumasson and Bernstein's SipHash-2-4, its variant of 128 bits. */
void prillSipHash(const u8 aKey[16], const void *pIn, i64 n, u64 aOut[2]){
  const u8 *a = (const u8*)pIn;
  u64 k0 = hashGet64Le(aKey), k1 = hashGet64Le(aKey+8);
  u64 v[4] = { k0^0x736f6d6570736575u, k1^0x646f72616e646f6du^0xee, k0^0x6c7967656e657261u, k1^0x7465646279746573u };
  u64 m = (u64)n<<56;
  i64 i;
  int j;
  for(i=0; i+8<=n; i+=8) hashSipWord(v, hashGet64Le(a+i));
  for(j=0; i+j<n; j++) m |= (u64)a[i+j]<<(8*j);
  hashSipWord(v, m);
  v[2] ^= 0xee;
  for(j=0; j<4; j++) hashSipRound(v);
  aOut[0] = v[0]^v[1]^v[2]^v[3];
  v[1] ^= 0xdd;
  for(j=0; j<4; j++) hashSipRound(v);
  aOut[1] = v[0]^v[1]^v[2]^v[3];
}
