/*
** crc32c.c: CRC-32C (Castagnoli), hardware where present.
**
** Layer 1, codec.  Calls nothing of the library.
**
** The polynomial is 0x1EDC6F41, reflected 0x82F63B78; the register starts as
** all ones and is inverted at the end.  CRC-32C("123456789") = 0xE3069283.
**
** Three ways, chosen at each call by a test of the processor's feature word:
**
**   x86-64 with SSE4.2 and PCLMULQDQ
**       The crc32 instruction takes 8 bytes and can start every cycle, but
**       its result is ready only after three.  So three neighbouring blocks
**       run side by side, and their registers are joined at the end: the CRC
**       of "A then n zero bits" is CRC(A)*x^n mod P, one carry-less
**       multiplication by a constant.
**   ARMv8 with the CRC extension, when compiled for it
**       One stream of its crc32c instruction.
**   otherwise
**       Eight bytes a step from eight tables.
**
** The joining constants.  Registers are reflected: bit i is x^(31-i), so a
** carry-less product of two of them, read as the 64 reflected bits the crc32
** instruction expects, is a*b*x, and the instruction itself multiplies by
** x^32 and reduces.  To multiply by x^n the constant is x^(n-33) mod P.
**
** Invariant: all ways give the same result (crc32c tests compare them).
*/
#include "prillInt.h"

/* The table way, which tests call by name to compare with the instruction. */
u32 prillCrc32cSoft(u32 crc, const void*, i64 n);

/*
** Table k gives the effect of a byte that k zero bytes follow.  An entry is
** linear in its index: the exclusive or of the entries of the index's bits,
** which are the eight arguments.
*/
#define CRC32C_1(i,a,b,c,d,e,f,g,h) \
  (((i)&1?a:0u)^((i)&2?b:0u)^((i)&4?c:0u)^((i)&8?d:0u) \
  ^((i)&16?e:0u)^((i)&32?f:0u)^((i)&64?g:0u)^((i)&128?h:0u))
#define CRC32C_4(i,...) \
  CRC32C_1(i,__VA_ARGS__), CRC32C_1((i)+1,__VA_ARGS__), \
  CRC32C_1((i)+2,__VA_ARGS__), CRC32C_1((i)+3,__VA_ARGS__)
#define CRC32C_16(i,...) \
  CRC32C_4(i,__VA_ARGS__), CRC32C_4((i)+4,__VA_ARGS__), \
  CRC32C_4((i)+8,__VA_ARGS__), CRC32C_4((i)+12,__VA_ARGS__)
#define CRC32C_64(i,...) \
  CRC32C_16(i,__VA_ARGS__), CRC32C_16((i)+16,__VA_ARGS__), \
  CRC32C_16((i)+32,__VA_ARGS__), CRC32C_16((i)+48,__VA_ARGS__)
#define CRC32C_ROW(...) { \
  CRC32C_64(0,__VA_ARGS__), CRC32C_64(64,__VA_ARGS__), \
  CRC32C_64(128,__VA_ARGS__), CRC32C_64(192,__VA_ARGS__) }

static const u32 crc32cTable[8][256] = {
  CRC32C_ROW(0xf26b8303u,0xe13b70f7u,0xc79a971fu,0x8ad958cfu,
             0x105ec76fu,0x20bd8edeu,0x417b1dbcu,0x82f63b78u),
  CRC32C_ROW(0x13a29877u,0x274530eeu,0x4e8a61dcu,0x9d14c3b8u,
             0x3fc5f181u,0x7f8be302u,0xff17c604u,0xfbc3faf9u),
  CRC32C_ROW(0xa541927eu,0x4f6f520du,0x9edea41au,0x38513ec5u,
             0x70a27d8au,0xe144fb14u,0xc76580d9u,0x8b277743u),
  CRC32C_ROW(0xdd45aab8u,0xbf672381u,0x7b2231f3u,0xf64463e6u,
             0xe964b13du,0xd725148bu,0xaba65fe7u,0x52a0c93fu),
  CRC32C_ROW(0x38116facu,0x7022df58u,0xe045beb0u,0xc5670b91u,
             0x8f2261d3u,0x1ba8b557u,0x37516aaeu,0x6ea2d55cu),
  CRC32C_ROW(0xef306b19u,0xdb8ca0c3u,0xb2f53777u,0x6006181fu,
             0xc00c303eu,0x85f4168du,0x0e045bebu,0x1c08b7d6u),
  CRC32C_ROW(0x68032cc8u,0xd0065990u,0xa5e0c5d1u,0x4e2dfd53u,
             0x9c5bfaa6u,0x3d5b83bdu,0x7ab7077au,0xf56e0ef4u),
  CRC32C_ROW(0x493c7d27u,0x9278fa4eu,0x211d826du,0x423b04dau,
             0x847609b4u,0x0d006599u,0x1a00cb32u,0x34019664u)
};
#undef CRC32C_1
#undef CRC32C_4
#undef CRC32C_16
#undef CRC32C_64
#undef CRC32C_ROW

/* Four bytes, the first lowest, on any machine. */
static inline u32 crc32cLoad32(const u8 *a){
  return (u32)a[0] | (u32)a[1]<<8 | (u32)a[2]<<16 | (u32)a[3]<<24;
}

u32 prillCrc32cSoft(u32 crc, const void *p, i64 n){
  const u8 *a = (const u8*)p;
  u32 c = ~crc;
  for(; n>=8; n-=8, a+=8){
    u32 x = c ^ crc32cLoad32(a);
    u32 y = crc32cLoad32(a+4);
    c = crc32cTable[7][x&255] ^ crc32cTable[6][(x>>8)&255]
      ^ crc32cTable[5][(x>>16)&255] ^ crc32cTable[4][x>>24]
      ^ crc32cTable[3][y&255] ^ crc32cTable[2][(y>>8)&255]
      ^ crc32cTable[1][(y>>16)&255] ^ crc32cTable[0][y>>24];
  }
  for(; n>0; n--, a++){
    c = (c>>8) ^ crc32cTable[0][(c^*a)&255];
  }
  return ~c;
}

#if defined(__x86_64__) && defined(__GNUC__)

#include <nmmintrin.h>
#include <wmmintrin.h>
#define CRC32C_TARGET __attribute__((target("sse4.2,pclmul")))

static inline u64 crc32cLoad64(const u8 *a){
  u64 w;
  memcpy(&w, a, 8);
  return w;
}

/*
** Three blocks of n bytes each, n a multiple of 8.  k2 and k1 move a register
** over two blocks and over one.
*/
CRC32C_TARGET
static inline u64 crc32cTriple(u64 c0, const u8 *a, int n, u32 k2, u32 k1){
  u64 c1 = 0, c2 = 0, m;
  __m128i x, y;
  int i;
  for(i=0; i<n; i+=8){
    c0 = _mm_crc32_u64(c0, crc32cLoad64(a+i));
    c1 = _mm_crc32_u64(c1, crc32cLoad64(a+n+i));
    c2 = _mm_crc32_u64(c2, crc32cLoad64(a+2*n+i));
  }
  x = _mm_clmulepi64_si128(_mm_cvtsi64_si128((i64)c0),
                           _mm_cvtsi64_si128((i64)(u64)k2), 0);
  y = _mm_clmulepi64_si128(_mm_cvtsi64_si128((i64)c1),
                           _mm_cvtsi64_si128((i64)(u64)k1), 0);
  m = (u64)_mm_cvtsi128_si64(_mm_xor_si128(x, y));
  return c2 ^ _mm_crc32_u64(0, m);
}

CRC32C_TARGET
static u32 crc32cHard(u32 crc, const u8 *a, i64 n){
  u64 c = (u32)~crc;
  for(; n>=3*1024; n-=3*1024, a+=3*1024){
    c = crc32cTriple(c, a, 1024, 0xa51b6135u, 0x170076fau);
  }
  for(; n>=3*128; n-=3*128, a+=3*128){
    c = crc32cTriple(c, a, 128, 0xb9e02b86u, 0x0d3b6092u);
  }
  for(; n>=8; n-=8, a+=8){
    c = _mm_crc32_u64(c, crc32cLoad64(a));
  }
  for(; n>0; n--, a++){
    c = _mm_crc32_u8((u32)c, *a);
  }
  return ~(u32)c;
}

u32 prillCrc32c(u32 crc, const void *p, i64 n){
  if( __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul") ){
    return crc32cHard(crc, (const u8*)p, n);
  }
  return prillCrc32cSoft(crc, p, n);
}
#undef CRC32C_TARGET

#elif defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

u32 prillCrc32c(u32 crc, const void *p, i64 n){
  const u8 *a = (const u8*)p;
  u32 c = ~crc;
  for(; n>=8; n-=8, a+=8){
    c = __crc32cd(c, (u64)crc32cLoad32(a) | (u64)crc32cLoad32(a+4)<<32);
  }
  for(; n>0; n--, a++){
    c = __crc32cb(c, *a);
  }
  return ~c;
}

#else

u32 prillCrc32c(u32 crc, const void *p, i64 n){
  return prillCrc32cSoft(crc, p, n);
}

#endif
