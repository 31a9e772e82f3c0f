/*
** compress.c: the codecs of a batch's records.
**
** Layer 1, codec.  Calls buf and the compression libraries: lz4 always, zlib,
** zstd and snappy when PRILL_HAVE_ZLIB, PRILL_HAVE_ZSTD, PRILL_HAVE_SNAPPY.
**
** Bytes owned:
**
**   gzip     a gzip stream; several members in a row are read as one
**   snappy   read: one raw block, as librdkafka writes it, or the framing of
**            Kafka's Java client, which is also what is written:
**               0  16  82 "SNAPPY" 00, version 1, least version 1 (both i32)
**               then   i32 length, raw block of at most 32 KiB unpacked; ...
**   lz4      read: any one LZ4 frame; written, as the Java client does:
**               0   7  magic 04 22 4d 18, FLG 60 (version 1, blocks
**                      independent, no checksums, no size), BD 40 (64 KiB
**                      blocks), HC 82
**               then   u32 little-endian size, block; ...  Bit 31 of the size
**                      says that the block is stored as it is
**               end    u32 0
**   zstd     zstd frames
**
** Invariants:
**
**   1. On any error *pOut is as long as before; what lies beyond is garbage.
**   2. Decompression allocates in proportion to what has been unpacked so
**      far plus one block (4 MiB at most, an LZ4 frame's largest), never by
**      what the input claims, and stops within one step beyond nMax.
**   3. Bytes after the end of the compressed data are corruption: a batch's
**      records fill it exactly.
**
** zstd and liblz4's frame reader allocate their contexts with malloc(); all
** else is sqlite3_malloc64's.
*/
#include "prillInt.h"
#include <lz4.h>
#include <lz4frame.h>
#include <lz4hc.h>
#ifdef PRILL_HAVE_ZLIB
# include <zlib.h>
#endif
#ifdef PRILL_HAVE_ZSTD
# include <zstd.h>
# include <zstd_errors.h>
#endif
#ifdef PRILL_HAVE_SNAPPY
# include <snappy-c.h>
#endif

#define COMPRESS_LZ4_BLOCK 65536
/* Of its high compression, as PRILL_LZ4_BEST: more costs much and gives little. */
#define COMPRESS_LZ4_LEVEL 9
/* No LZ4 sequence yields more than this many bytes for one of input. */
#define COMPRESS_LZ4_RATIO 255

static const u8 compressLz4Head[7] = {0x04,0x22,0x4d,0x18,0x60,0x40,0x82};

static u32 compressGetLe32(const u8 *a){
  return (u32)a[0] | (u32)a[1]<<8 | (u32)a[2]<<16 | (u32)a[3]<<24;
}
static void compressPutLe32(u8 *a, u32 v){
  a[0] = (u8)v; a[1] = (u8)(v>>8); a[2] = (u8)(v>>16); a[3] = (u8)(v>>24);
}

/*
** LZ4, our own frame.  The block interface rather than liblz4's frame writer:
** it needs no allocation and no copy.  A block is given one byte less than
** its length to fit in, so one that does not shrink is given up early.
*/
static int compressLz4(int nAccel, const u8 *a, i64 n, int bBest, PrillBuf *pOut){
  LZ4_stream_t state;
  void *pBest = 0;
  int rc = SQLITE_OK;
  i64 nBlock = (n+COMPRESS_LZ4_BLOCK-1)/COMPRESS_LZ4_BLOCK;
  u8 *z = prillBufRoom(&rc, pOut, n + 4*nBlock + (i64)sizeof(compressLz4Head)+4);
  if( z==0 ) return rc;
  if( bBest && (pBest = sqlite3_malloc64((u64)LZ4_sizeofStateHC()))==0 ) return SQLITE_NOMEM;
  memcpy(z, compressLz4Head, sizeof(compressLz4Head));
  z += sizeof(compressLz4Head);
  while( n>0 ){
    int nIn = (int)PRILL_MIN(n, COMPRESS_LZ4_BLOCK);
    int nZ = bBest
      ? LZ4_compress_HC_extStateHC(pBest, (const char*)a, (char*)z+4, nIn, nIn-1, COMPRESS_LZ4_LEVEL)
      : LZ4_compress_fast_extState(&state, (const char*)a, (char*)z+4, nIn, nIn-1, nAccel);
    if( nZ>0 ){
      compressPutLe32(z, (u32)nZ);
    }else{
      compressPutLe32(z, (u32)nIn|0x80000000u);
      memcpy(z+4, a, (size_t)nIn);
      nZ = nIn;
    }
    z += 4+nZ;
    a += nIn;
    n -= nIn;
  }
  compressPutLe32(z, 0);
  sqlite3_free(pBest);
  pOut->n = z+4-pOut->a;
  return SQLITE_OK;
}

/* The frames we write: a..aEnd is what follows the 7 header bytes. */
static int decompressLz4Own(const u8 *a, const u8 *aEnd, i64 nMax,
                            PrillBuf *pOut){
  int rc = SQLITE_OK;
  i64 iStart = pOut->n;
  for(;;){
    u32 nZ;
    int nOut;
    u8 *aOut;
    if( aEnd-a<4 ) return PRILL_CORRUPT;
    nZ = compressGetLe32(a);
    a += 4;
    if( nZ==0 ) break;
    if( (nZ&0x7fffffff)==0 || (nZ&0x7fffffff)>COMPRESS_LZ4_BLOCK
     || (nZ&0x7fffffff)>aEnd-a ) return PRILL_CORRUPT;
    if( nZ&0x80000000u ){
      nOut = (int)(nZ&0x7fffffff);
      prillBufAppend(&rc, pOut, a, nOut);
      if( rc ) return rc;
      a += nOut;
    }else{
      int nCap = (int)PRILL_MIN((i64)nZ*COMPRESS_LZ4_RATIO, COMPRESS_LZ4_BLOCK);
      aOut = prillBufRoom(&rc, pOut, nCap);
      if( aOut==0 ) return rc;
      nOut = LZ4_decompress_safe((const char*)a, (char*)aOut, (int)nZ, nCap);
      if( nOut<0 ) return PRILL_CORRUPT;
      pOut->n += nOut;
      a += nZ;
    }
    if( pOut->n-iStart>nMax ) return SQLITE_TOOBIG;
  }
  return a==aEnd ? SQLITE_OK : PRILL_CORRUPT;
}

/* Most bytes a step asks for, given what has come out so far. */
static i64 compressStep(i64 nDone, i64 nMax){
  i64 n = PRILL_MAX(nDone, 65536);
  return PRILL_MIN(n, nMax-nDone+1);
}

/* Any LZ4 frame, by liblz4's reader, which checks all its checksums. */
static int decompressLz4Any(const u8 *a, i64 n, i64 nMax, PrillBuf *pOut){
  LZ4F_dctx *pCtx = 0;
  int rc = SQLITE_OK;
  i64 iStart = pOut->n;
  size_t rEnd = 1;
  if( LZ4F_isError(LZ4F_createDecompressionContext(&pCtx, LZ4F_VERSION)) ){
    return SQLITE_NOMEM;
  }
  while( rEnd!=0 ){
    i64 nStep = compressStep(pOut->n-iStart, nMax);
    u8 *aOut = prillBufRoom(&rc, pOut, nStep);
    size_t nOut = (size_t)nStep;
    size_t nIn = (size_t)n;
    if( aOut==0 ) break;
    rEnd = LZ4F_decompress(pCtx, aOut, &nOut, a, &nIn, 0);
    if( LZ4F_isError(rEnd) || (rEnd!=0 && nIn==0 && nOut==0) ){
      rc = PRILL_CORRUPT;
      break;
    }
    pOut->n += (i64)nOut;
    a += nIn;
    n -= (i64)nIn;
    if( pOut->n-iStart>nMax ){
      rc = SQLITE_TOOBIG;
      break;
    }
  }
  if( rc==SQLITE_OK && n!=0 ) rc = PRILL_CORRUPT;
  LZ4F_freeDecompressionContext(pCtx);
  return rc;
}

/*
** The magic is tested here because liblz4's reader also takes frames that
** hold nothing, of which Kafka knows none.
*/
static int decompressLz4(const u8 *a, i64 n, i64 nMax, PrillBuf *pOut){
  if( n<(i64)sizeof(compressLz4Head) || memcmp(a, compressLz4Head, 4)!=0 ){
    return PRILL_CORRUPT;
  }
  if( memcmp(a, compressLz4Head, sizeof(compressLz4Head))==0 ){
    return decompressLz4Own(a+sizeof(compressLz4Head), a+n, nMax, pOut);
  }
  return decompressLz4Any(a, n, nMax, pOut);
}

#ifdef PRILL_HAVE_ZLIB
static void *compressZAlloc(void *pUnused, uInt nItem, uInt szItem){
  (void)pUnused;
  return sqlite3_malloc64((sqlite3_uint64)nItem*szItem);
}
static void compressZFree(void *pUnused, void *p){
  (void)pUnused;
  sqlite3_free(p);
}

/* 15 is zlib's largest window, 16 asks for the gzip wrapper. */
static int compressGzip(const u8 *a, i64 n, PrillBuf *pOut){
  z_stream s;
  int rc = SQLITE_OK;
  int rz;
  u8 *aOut;
  memset(&s, 0, sizeof(s));
  s.zalloc = compressZAlloc;
  s.zfree = compressZFree;
  if( n>0x7fffffff ) return SQLITE_TOOBIG;
  rz = deflateInit2(&s, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15+16, 8,
                    Z_DEFAULT_STRATEGY);
  if( rz!=Z_OK ) return rz==Z_MEM_ERROR ? SQLITE_NOMEM : SQLITE_ERROR;
  aOut = prillBufRoom(&rc, pOut, (i64)deflateBound(&s, (uLong)n));
  if( aOut ){
    s.next_in = (Bytef*)(uintptr_t)a;
    s.avail_in = (uInt)n;
    s.next_out = aOut;
    s.avail_out = (uInt)PRILL_MIN(pOut->nAlloc-pOut->n, 0x7fffffff);
    rz = deflate(&s, Z_FINISH);
    if( rz==Z_STREAM_END ){
      pOut->n = s.next_out-pOut->a;
    }else{
      rc = SQLITE_ERROR;
    }
  }
  deflateEnd(&s);
  return rc;
}

static int decompressGzip(const u8 *a, i64 n, i64 nMax, PrillBuf *pOut){
  z_stream s;
  int rc = SQLITE_OK;
  i64 iStart = pOut->n;
  int rz;
  memset(&s, 0, sizeof(s));
  s.zalloc = compressZAlloc;
  s.zfree = compressZFree;
  s.next_in = (Bytef*)(uintptr_t)a;
  s.avail_in = (uInt)n;
  rz = inflateInit2(&s, 15+16);
  if( rz!=Z_OK ) return rz==Z_MEM_ERROR ? SQLITE_NOMEM : SQLITE_ERROR;
  for(;;){
    i64 nStep = compressStep(pOut->n-iStart, nMax);
    u8 *aOut = prillBufRoom(&rc, pOut, nStep);
    if( aOut==0 ) break;
    s.next_out = aOut;
    s.avail_out = (uInt)nStep;
    rz = inflate(&s, Z_NO_FLUSH);
    pOut->n += nStep-(i64)s.avail_out;
    if( pOut->n-iStart>nMax ){
      rc = SQLITE_TOOBIG;
    }else if( rz==Z_STREAM_END ){
      if( s.avail_in==0 ) break;
      if( inflateReset(&s)!=Z_OK ) rc = PRILL_CORRUPT;
    }else if( rz==Z_MEM_ERROR ){
      rc = SQLITE_NOMEM;
    }else if( rz!=Z_OK || (s.avail_in==0 && s.avail_out>0) ){
      rc = PRILL_CORRUPT;
    }
    if( rc ) break;
  }
  inflateEnd(&s);
  return rc;
}
#endif /* PRILL_HAVE_ZLIB */

#ifdef PRILL_HAVE_ZSTD
static int compressZstd(const u8 *a, i64 n, PrillBuf *pOut){
  int rc = SQLITE_OK;
  size_t nBound = ZSTD_compressBound((size_t)n);
  u8 *aOut = prillBufRoom(&rc, pOut, (i64)nBound);
  size_t nOut;
  if( aOut==0 ) return rc;
  nOut = ZSTD_compress(aOut, nBound, a, (size_t)n, 3);
  if( ZSTD_isError(nOut) ) return SQLITE_NOMEM;
  pOut->n += (i64)nOut;
  return SQLITE_OK;
}

/*
** In one shot into a buffer that is made four times larger until the data
** fits: unlike the streaming reader this allocates no window, which a frame
** of 20 bytes may claim to need 128 MiB of.  The repeated work is at most a
** third of the last round.
*/
static int decompressZstd(const u8 *a, i64 n, i64 nMax, PrillBuf *pOut){
  int rc = SQLITE_OK;
  i64 nCap = PRILL_MAX(n*4, 65536);
  ZSTD_DCtx *pCtx;
  if( n==0 ) return PRILL_CORRUPT;
  pCtx = ZSTD_createDCtx();
  if( pCtx==0 ) return SQLITE_NOMEM;
  for(;;){
    u8 *aOut;
    size_t nOut;
    if( nCap>nMax ) nCap = nMax;
    aOut = prillBufRoom(&rc, pOut, nCap);
    if( aOut==0 ) break;
    nOut = ZSTD_decompressDCtx(pCtx, aOut, (size_t)nCap, a, (size_t)n);
    if( !ZSTD_isError(nOut) ){
      pOut->n += (i64)nOut;
      break;
    }
    if( ZSTD_getErrorCode(nOut)!=ZSTD_error_dstSize_tooSmall ){
      rc = PRILL_CORRUPT;
      break;
    }
    if( nCap>=nMax ){
      rc = SQLITE_TOOBIG;
      break;
    }
    nCap *= 4;
  }
  ZSTD_freeDCtx(pCtx);
  return rc;
}
#endif /* PRILL_HAVE_ZSTD */

#ifdef PRILL_HAVE_SNAPPY
#define COMPRESS_SNAPPY_BLOCK 32768
/* A 3-byte copy yields 64 bytes: nothing yields more for its length. */
#define COMPRESS_SNAPPY_RATIO 22

static const u8 compressSnappyHead[16] = {
  0x82,'S','N','A','P','P','Y',0, 0,0,0,1, 0,0,0,1
};

static int compressSnappy(const u8 *a, i64 n, PrillBuf *pOut){
  int rc = SQLITE_OK;
  i64 iStart = pOut->n;
  prillBufAppend(&rc, pOut, compressSnappyHead, sizeof(compressSnappyHead));
  while( n>0 && rc==SQLITE_OK ){
    size_t nIn = (size_t)PRILL_MIN(n, COMPRESS_SNAPPY_BLOCK);
    size_t nZ = snappy_max_compressed_length(nIn);
    u8 *z = prillBufRoom(&rc, pOut, (i64)nZ+4);
    if( z==0 ) break;
    if( snappy_compress((const char*)a, nIn, (char*)z+4, &nZ)!=SNAPPY_OK ){
      rc = SQLITE_ERROR;
      break;
    }
    prillPut32(z, (u32)nZ);
    pOut->n += (i64)nZ+4;
    a += nIn;
    n -= (i64)nIn;
  }
  if( rc ) pOut->n = iStart;
  return rc;
}

/* One raw block.  A claimed length that its bytes cannot reach is a lie. */
static int decompressSnappyRaw(const u8 *a, i64 n, i64 nMax, PrillBuf *pOut){
  int rc = SQLITE_OK;
  size_t nOut;
  u8 *aOut;
  if( snappy_uncompressed_length((const char*)a, (size_t)n, &nOut)!=SNAPPY_OK
   || (i64)nOut>n*COMPRESS_SNAPPY_RATIO ) return PRILL_CORRUPT;
  if( (i64)nOut>nMax ) return SQLITE_TOOBIG;
  aOut = prillBufRoom(&rc, pOut, (i64)nOut);
  if( aOut==0 ) return rc;
  if( snappy_uncompress((const char*)a, (size_t)n, (char*)aOut, &nOut)
      !=SNAPPY_OK ) return PRILL_CORRUPT;
  pOut->n += (i64)nOut;
  return SQLITE_OK;
}

/* The versions behind the magic are not looked at: there is one only. */
static int decompressSnappy(const u8 *a, i64 n, i64 nMax, PrillBuf *pOut){
  i64 iStart = pOut->n;
  int rc = SQLITE_OK;
  if( n<8 || memcmp(a, compressSnappyHead, 8)!=0 ){
    return decompressSnappyRaw(a, n, nMax, pOut);
  }
  if( n<(i64)sizeof(compressSnappyHead) ) return PRILL_CORRUPT;
  a += sizeof(compressSnappyHead);
  n -= (i64)sizeof(compressSnappyHead);
  while( n>0 && rc==SQLITE_OK ){
    i64 nZ;
    if( n<4 ) return PRILL_CORRUPT;
    nZ = prillGet32(a);
    if( nZ==0 || nZ>n-4 ) return PRILL_CORRUPT;
    rc = decompressSnappyRaw(a+4, nZ, nMax-(pOut->n-iStart), pOut);
    a += 4+nZ;
    n -= 4+nZ;
  }
  return rc;
}
#endif /* PRILL_HAVE_SNAPPY */

int prillCompress(int eCodec, int nAccel, const u8 *a, i64 n, PrillBuf *pOut){
  int rc = SQLITE_OK;
  switch( eCodec ){
    case PRILL_NONE: prillBufAppend(&rc, pOut, a, n); break;
    case PRILL_LZ4:  rc = compressLz4(nAccel, a, n, 0, pOut); break;
    case PRILL_LZ4_BEST: rc = compressLz4(nAccel, a, n, 1, pOut); break;
#ifdef PRILL_HAVE_ZLIB
    case PRILL_GZIP: rc = compressGzip(a, n, pOut); break;
#endif
#ifdef PRILL_HAVE_SNAPPY
    case PRILL_SNAPPY: rc = compressSnappy(a, n, pOut); break;
#endif
#ifdef PRILL_HAVE_ZSTD
    case PRILL_ZSTD: rc = compressZstd(a, n, pOut); break;
#endif
    default: rc = SQLITE_MISMATCH; break;
  }
  return rc;
}

int prillDecompress(int eCodec, const u8 *a, i64 n, i64 nMax, PrillBuf *pOut){
  int rc = SQLITE_OK;
  i64 iStart = pOut->n;
  if( n>0x7fffffff ) return SQLITE_TOOBIG;
  nMax = PRILL_MIN(nMax, 0x7fffffff);
  switch( eCodec ){
    case PRILL_NONE:
      if( n>nMax ) return SQLITE_TOOBIG;
      prillBufAppend(&rc, pOut, a, n);
      break;
    case PRILL_LZ4:  rc = decompressLz4(a, n, nMax, pOut); break;
#ifdef PRILL_HAVE_ZLIB
    case PRILL_GZIP: rc = decompressGzip(a, n, nMax, pOut); break;
#endif
#ifdef PRILL_HAVE_SNAPPY
    case PRILL_SNAPPY: rc = decompressSnappy(a, n, nMax, pOut); break;
#endif
#ifdef PRILL_HAVE_ZSTD
    case PRILL_ZSTD: rc = decompressZstd(a, n, nMax, pOut); break;
#endif
    default: rc = SQLITE_MISMATCH; break;
  }
  if( rc ) pOut->n = iStart;
  return rc;
}

int prillCodecKnown(int eCodec){
  switch( eCodec ){
    case PRILL_NONE:
    case PRILL_LZ4:
#ifdef PRILL_HAVE_ZLIB
    case PRILL_GZIP:
#endif
#ifdef PRILL_HAVE_SNAPPY
    case PRILL_SNAPPY:
#endif
#ifdef PRILL_HAVE_ZSTD
    case PRILL_ZSTD:
#endif
      return 1;
  }
  return 0;
}

const char *prillCodecName(int eCodec){
  static const char *const azName[] = {"none", "gzip", "snappy", "lz4", "zstd"};
  return eCodec>=0 && eCodec<=PRILL_ZSTD ? azName[eCodec] : 0;
}
