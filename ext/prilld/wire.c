/*
** wire.c: reading and writing the wire protocol's messages by their tables.
**
** May call: the library's base and varint.  No I/O.
**
** A message is walked field by field through its WireField table (generated
** from messages.tbl).  A version is flexible or not: flexible versions have
** compact lengths (unsigned varints of length+1, 0 for null) and end every
** struct with tagged fields.
**
**   I1  Every read is checked against the end of the input first.
**   I2  A count is believed only up to the bytes that are left: no element is
**       shorter than one byte.  What an array takes is charged to the arena,
**       whose bound the caller sets by the size of the request.
**   I3  Nesting is that of the tables: no input makes it deeper.
**   I4  Unknown tags are passed over; known ones must rise and be used up.
*/
#include "wire.h"

const WireApi *prilldWireFind(int iKey){
  int i;
  for(i=0; i<WIRE_NAPI; i++){
    if( prilldWireApi[i].iKey==iKey ) return &prilldWireApi[i];
  }
  return 0;
}

/**************************************************************************
** Arena.
*/
#define ARENA_BLOCK 4096
typedef struct WireBlock WireBlock;
struct WireBlock {
  WireBlock *pNext;
  i64 nUsed, nAlloc;    /* of the bytes behind this header */
};

void *prilldArenaAlloc(WireArena *p, i64 n){
  WireBlock *pBlock = p->pBlock;
  u8 *a;
  n = (n+15) & ~(i64)15;
  if( n<0 || (p->mxByte && n>p->mxByte-p->nByte) ) return 0;
  if( pBlock==0 || n>pBlock->nAlloc-pBlock->nUsed ){
    i64 nAlloc = PRILL_MAX(n, ARENA_BLOCK-(i64)sizeof(WireBlock));
    WireBlock *pNew = (WireBlock*)sqlite3_malloc64(sizeof(WireBlock)+(u64)nAlloc);
    if( pNew==0 ) return 0;
    pNew->nUsed = 0;
    pNew->nAlloc = nAlloc;
    if( pBlock && n>ARENA_BLOCK/2 ){
      /* A block of its own, behind the one that still has room. */
      pNew->pNext = pBlock->pNext;
      pBlock->pNext = pNew;
    }else{
      pNew->pNext = pBlock;
      p->pBlock = pNew;
    }
    pBlock = pNew;
  }
  a = (u8*)&pBlock[1] + pBlock->nUsed;
  pBlock->nUsed += n;
  p->nByte += n;
  memset(a, 0, (size_t)n);
  return a;
}

void prilldArenaFree(WireArena *p){
  WireBlock *pBlock;
  while( (pBlock = p->pBlock)!=0 ){
    p->pBlock = pBlock->pNext;
    sqlite3_free(pBlock);
  }
  p->nByte = 0;
}

char *prilldArenaDup(WireArena *p, const void *a, i64 n){
  char *z;
  if( n<0 ) return 0;
  z = (char*)prilldArenaAlloc(p, n+1);
  if( z && n>0 ) memcpy(z, a, (size_t)n);
  return z;
}

/**************************************************************************
** Decoding.
*/
typedef struct WireIn WireIn;
struct WireIn {
  const u8 *a, *aEnd;
  int iVer, bFlex;
  WireArena *pArena;
  int rc;
};

static void wireBad(WireIn *p){
  if( p->rc==SQLITE_OK ) p->rc = SQLITE_CORRUPT;
}

/* n bytes, or NULL. */
static const u8 *wireTake(WireIn *p, i64 n){
  const u8 *a = p->a;
  if( p->rc!=SQLITE_OK ) return 0;
  if( n>p->aEnd-p->a ){
    wireBad(p);
    return 0;
  }
  p->a += n;
  return a;
}

static u64 wireUvarint(WireIn *p){
  u64 v = 0;
  int n;
  if( p->rc!=SQLITE_OK ) return 0;
  n = prillUvarintGet(p->a, p->aEnd, &v);
  if( n==0 || v>0xffffffffu ){
    wireBad(p);
    return 0;
  }
  p->a += n;
  return v;
}

/* The length before a string (nByte 2) or bytes and arrays (4); -1: null. */
static i32 wireLength(WireIn *p, int nByte){
  const u8 *a;
  i64 n;
  if( p->bFlex ){
    n = (i64)wireUvarint(p)-1;
  }else{
    a = wireTake(p, nByte);
    n = a==0 ? -1 : nByte==2 ? (i16)prillGet16(a) : (i32)prillGet32(a);
  }
  if( n<-1 || n>p->aEnd-p->a ){
    wireBad(p);
    return -1;
  }
  return p->rc==SQLITE_OK ? (i32)n : -1;
}

static void wireDefault(const WireField *f, u8 *pOut){
  u8 *pAt = pOut + f->iAt;
  if( f->bArray ){
    *(void**)pAt = 0;
    *(i32*)(pOut+f->iCount) = f->bDefNull ? -1 : 0;
    return;
  }
  switch( f->eType ){
    case WIRE_BOOL: case WIRE_INT8: *(i8*)pAt = (i8)f->iDefault; break;
    case WIRE_INT16: *(i16*)pAt = (i16)f->iDefault; break;
    case WIRE_INT32: *(i32*)pAt = (i32)f->iDefault; break;
    case WIRE_INT64: *(i64*)pAt = f->iDefault; break;
    case WIRE_UUID: memset(pAt, 0, 16); break;
    case WIRE_STRING: ((WireStr*)pAt)->z = ""; ((WireStr*)pAt)->n = f->bDefNull ? -1 : 0; break;
    case WIRE_BYTES: case WIRE_RECORDS: ((WireBytes*)pAt)->a = (const u8*)"";
      ((WireBytes*)pAt)->n = f->bDefNull ? -1 : 0; break;
    default: *(void**)pAt = 0; break;
  }
}

void prilldWireDefaults(const WireStruct *pStruct, void *p){
  int i;
  for(i=0; i<pStruct->nField; i++) wireDefault(&pStruct->aField[i], (u8*)p);
}

static void wireGetStruct(WireIn *p, const WireStruct *pStruct, u8 *pOut);

/* One value of the field's type at pAt.  Null is refused unless bNull. */
static void wireGetValue(WireIn *p, const WireField *f, u8 *pAt, int bNull){
  const u8 *a;
  i32 n;
  switch( f->eType ){
    case WIRE_BOOL: case WIRE_INT8:
      a = wireTake(p, 1);
      if( a ) *(i8*)pAt = f->eType==WIRE_BOOL ? a[0]!=0 : (i8)a[0];
      break;
    case WIRE_INT16: a = wireTake(p, 2); if( a ) *(i16*)pAt = (i16)prillGet16(a); break;
    case WIRE_INT32: a = wireTake(p, 4); if( a ) *(i32*)pAt = (i32)prillGet32(a); break;
    case WIRE_INT64: a = wireTake(p, 8); if( a ) *(i64*)pAt = prillGet64(a); break;
    case WIRE_UUID: a = wireTake(p, 16); if( a ) memcpy(pAt, a, 16); break;
    case WIRE_STRING:
      n = wireLength(p, 2);
      if( n<0 && !bNull ) wireBad(p);
      ((WireStr*)pAt)->z = n>0 ? (const char*)wireTake(p, n) : "";
      ((WireStr*)pAt)->n = n;
      break;
    case WIRE_BYTES: case WIRE_RECORDS:
      n = wireLength(p, 4);
      if( n<0 && !bNull ) wireBad(p);
      ((WireBytes*)pAt)->a = n>0 ? wireTake(p, n) : (const u8*)"";
      ((WireBytes*)pAt)->n = n;
      break;
    default: wireGetStruct(p, f->pSub, pAt); break;
  }
}

static size_t wireSize(const WireField *f){
  static const u8 aSize[] = {1, 1, 2, 4, 8, 16, sizeof(WireStr), sizeof(WireBytes), sizeof(WireBytes)};
  return f->eType==WIRE_STRUCT ? f->pSub->sz : aSize[f->eType];
}

static void wireGetArray(WireIn *p, const WireField *f, u8 *pOut, int bNull){
  i32 n = wireLength(p, 4);
  size_t sz = wireSize(f);
  u8 *a = 0;
  i32 i;
  if( n<0 && !bNull ) wireBad(p);
  if( p->rc!=SQLITE_OK ) n = 0;
  if( n>0 ){
    int bRoom = p->pArena->mxByte==0 || (i64)sz*n<=p->pArena->mxByte-p->pArena->nByte-16;
    a = bRoom ? (u8*)prilldArenaAlloc(p->pArena, (i64)sz*n) : 0;
    if( a==0 ){
      p->rc = bRoom ? SQLITE_NOMEM : SQLITE_CORRUPT;
      return;
    }
  }
  *(u8**)(pOut+f->iAt) = a;
  *(i32*)(pOut+f->iCount) = n;
  for(i=0; i<n && p->rc==SQLITE_OK; i++) wireGetValue(p, f, a+sz*(size_t)i, 0);
}

static void wireGetField(WireIn *p, const WireField *f, u8 *pOut){
  int bNull = p->iVer>=f->mnNull;
  if( f->bArray ){
    wireGetArray(p, f, pOut, bNull);
  }else if( f->eType==WIRE_STRUCT ){
    u8 *a = (u8*)prilldArenaAlloc(p->pArena, (i64)f->pSub->sz);
    *(u8**)(pOut+f->iAt) = a;
    if( a==0 ) p->rc = p->pArena->mxByte ? SQLITE_CORRUPT : SQLITE_NOMEM;
    if( a ) wireGetStruct(p, f->pSub, a);
  }else{
    wireGetValue(p, f, pOut+f->iAt, bNull);
  }
}

static void wireGetTags(WireIn *p, const WireStruct *pStruct, u8 *pOut){
  u64 n = wireUvarint(p);
  i64 iLast = -1;
  while( n-->0 && p->rc==SQLITE_OK ){
    i64 iTag = (i64)wireUvarint(p);
    i64 nByte = (i64)wireUvarint(p);
    const u8 *a = wireTake(p, nByte);
    int i;
    if( iTag<=iLast ) wireBad(p);
    iLast = iTag;
    for(i=0; a && i<pStruct->nField; i++){
      const WireField *f = &pStruct->aField[i];
      if( f->iTag==iTag && p->iVer>=f->mnVer && p->iVer<=f->mxVer ){
        const u8 *aEnd = p->aEnd;
        p->a = a;
        p->aEnd = a+nByte;
        wireGetField(p, f, pOut);
        if( p->a!=p->aEnd ) wireBad(p);
        p->aEnd = aEnd;
        break;
      }
    }
  }
}

static void wireGetStruct(WireIn *p, const WireStruct *pStruct, u8 *pOut){
  int i;
  for(i=0; i<pStruct->nField && p->rc==SQLITE_OK; i++){
    const WireField *f = &pStruct->aField[i];
    wireDefault(f, pOut);
    if( f->iTag<0 && p->iVer>=f->mnVer && p->iVer<=f->mxVer ) wireGetField(p, f, pOut);
  }
  if( p->bFlex ) wireGetTags(p, pStruct, pOut);
}

int prilldWireDecode(
  const WireStruct *pStruct, int iVer, int bFlex, const u8 *a, i64 n, WireArena *pArena,
  void *pOut, i64 *pnUsed
){
  static const WireStruct sEmpty = {0, 0, 0};
  WireIn in;
  if( n==0 ) a = (const u8*)"";                   /* a may be NULL then */
  in.a = a;
  in.aEnd = a+n;
  in.iVer = iVer;
  in.bFlex = bFlex;
  in.pArena = pArena;
  in.rc = SQLITE_OK;
  wireGetStruct(&in, pStruct ? pStruct : &sEmpty, (u8*)pOut);
  *pnUsed = in.a - a;
  return in.rc;
}

int prilldWireHeader(const u8 *a, i64 n, WireHeader *p, i64 *pnUsed){
  static const WireStruct sEmpty = {0, 0, 0};
  const WireApi *pApi;
  WireIn in = {a, a+n, 0, 0, 0, SQLITE_OK};
  i32 nClient;
  memset(p, 0, sizeof(*p));
  p->client.z = "";
  if( n<8 ) return SQLITE_CORRUPT;
  p->iKey = (i16)prillGet16(a);
  p->iVer = (i16)prillGet16(a+2);
  p->iCorrelation = (i32)prillGet32(a+4);
  *pnUsed = 8;
  pApi = prilldWireFind(p->iKey);
  if( pApi==0 || p->iVer<pApi->mnVer || p->iVer>pApi->mxVer ) return SQLITE_OK;
  in.a += 8;
  nClient = wireLength(&in, 2);                    /* classic even in flexible versions */
  p->client.n = nClient;
  p->client.z = nClient>0 ? (const char*)wireTake(&in, nClient) : "";
  in.bFlex = p->iVer>=pApi->mnFlex;
  if( in.bFlex ) wireGetTags(&in, &sEmpty, 0);
  p->pApi = pApi;
  *pnUsed = in.a - a;
  return in.rc;
}

/**************************************************************************
** Encoding.
*/
typedef struct WirePut WirePut;
struct WirePut {
  WireOut *pOut;
  int iVer, bFlex;
  int rc;
};

void prilldWireOutFree(WireOut *p){
  prillBufFree(&p->buf);
  sqlite3_free(p->aSplice);
  memset(p, 0, sizeof(*p));
}

static void wirePutInt(WirePut *p, i64 v, int nByte){
  u8 *a = prillBufRoom(&p->rc, &p->pOut->buf, 8);
  if( a==0 ) return;
  switch( nByte ){
    case 1: a[0] = (u8)v; break;
    case 2: prillPut16(a, (u16)v); break;
    case 4: prillPut32(a, (u32)v); break;
    default: prillPut64(a, v); break;
  }
  p->pOut->buf.n += nByte;
}

static void wirePutLength(WirePut *p, i64 n, int nByte, int bNull){
  if( n<0 && !bNull ){
    if( p->rc==SQLITE_OK ) p->rc = SQLITE_MISUSE;
  }else if( p->bFlex ){
    prillBufUvarint(&p->rc, &p->pOut->buf, (u64)(n+1));
  }else{
    wirePutInt(p, n, nByte);
  }
}

static void wirePutSplice(WirePut *p, const u8 *a, i64 n){
  WireOut *pOut = p->pOut;
  if( p->rc!=SQLITE_OK || n<=0 ) return;
  if( pOut->nSplice>=pOut->nSpliceAlloc ){
    int nAlloc = pOut->nSpliceAlloc*2 + 8;
    WireSplice *aNew = (WireSplice*)sqlite3_realloc64(pOut->aSplice, sizeof(*aNew)*(u64)nAlloc);
    if( aNew==0 ){
      p->rc = SQLITE_NOMEM;
      return;
    }
    pOut->aSplice = aNew;
    pOut->nSpliceAlloc = nAlloc;
  }
  pOut->aSplice[pOut->nSplice].iAt = pOut->buf.n;
  pOut->aSplice[pOut->nSplice].a = a;
  pOut->aSplice[pOut->nSplice++].n = n;
  pOut->nSpliced += n;
}

static void wirePutStruct(WirePut *p, const WireStruct *pStruct, const u8 *pIn);

static void wirePutValue(WirePut *p, const WireField *f, const u8 *pAt, int bNull){
  const WireStr *pStr = (const WireStr*)pAt;
  const WireBytes *pBytes = (const WireBytes*)pAt;
  switch( f->eType ){
    case WIRE_BOOL: case WIRE_INT8: wirePutInt(p, *(const i8*)pAt, 1); break;
    case WIRE_INT16: wirePutInt(p, *(const i16*)pAt, 2); break;
    case WIRE_INT32: wirePutInt(p, *(const i32*)pAt, 4); break;
    case WIRE_INT64: wirePutInt(p, *(const i64*)pAt, 8); break;
    case WIRE_UUID: prillBufAppend(&p->rc, &p->pOut->buf, pAt, 16); break;
    case WIRE_STRING:
      wirePutLength(p, pStr->n, 2, bNull);
      if( pStr->n>0 ) prillBufAppend(&p->rc, &p->pOut->buf, pStr->z, pStr->n);
      break;
    case WIRE_BYTES:
      wirePutLength(p, pBytes->n, 4, bNull);
      if( pBytes->n>0 ) prillBufAppend(&p->rc, &p->pOut->buf, pBytes->a, pBytes->n);
      break;
    case WIRE_RECORDS:
      wirePutLength(p, pBytes->n, 4, bNull);
      wirePutSplice(p, pBytes->a, pBytes->n);
      break;
    default: wirePutStruct(p, f->pSub, pAt); break;
  }
}

static void wirePutField(WirePut *p, const WireField *f, const u8 *pIn){
  int bNull = p->iVer>=f->mnNull;
  const u8 *pAt = pIn + f->iAt;
  if( f->bArray ){
    const u8 *a = *(const u8*const*)pAt;
    i32 n = *(const i32*)(pIn+f->iCount);
    size_t sz = wireSize(f);
    i32 i;
    wirePutLength(p, n, 4, bNull);
    for(i=0; i<n && p->rc==SQLITE_OK; i++) wirePutValue(p, f, a+sz*(size_t)i, 0);
  }else if( f->eType==WIRE_STRUCT ){
    wirePutStruct(p, f->pSub, *(const u8*const*)pAt);
  }else{
    wirePutValue(p, f, pAt, bNull);
  }
}

/* Does a tagged field differ from its default? */
static int wireIsSet(const WireField *f, const u8 *pIn){
  const u8 *pAt = pIn + f->iAt;
  if( f->bArray ) return *(const i32*)(pIn+f->iCount) != (f->bDefNull ? -1 : 0);
  switch( f->eType ){
    case WIRE_BOOL: case WIRE_INT8: return *(const i8*)pAt!=f->iDefault;
    case WIRE_INT16: return *(const i16*)pAt!=f->iDefault;
    case WIRE_INT32: return *(const i32*)pAt!=f->iDefault;
    case WIRE_INT64: return *(const i64*)pAt!=f->iDefault;
    case WIRE_STRING: case WIRE_BYTES: return ((const WireStr*)pAt)->n != (f->bDefNull ? -1 : 0);
    default: return *(const void*const*)pAt!=0;
  }
}

/* A tagged field: its size is known once it is written, and put before it. */
static void wirePutTag(WirePut *p, const WireField *f, const u8 *pIn){
  PrillBuf *pBuf = &p->pOut->buf;
  u8 aSize[10];
  i64 iFrom;
  int nSize;
  prillBufUvarint(&p->rc, pBuf, (u64)f->iTag);
  iFrom = pBuf->n;
  wirePutField(p, f, pIn);
  if( p->rc!=SQLITE_OK ) return;
  nSize = prillUvarintPut(aSize, (u64)(pBuf->n-iFrom));
  if( prillBufRoom(&p->rc, pBuf, nSize)==0 ) return;
  memmove(pBuf->a+iFrom+nSize, pBuf->a+iFrom, (size_t)(pBuf->n-iFrom));
  memcpy(pBuf->a+iFrom, aSize, (size_t)nSize);
  pBuf->n += nSize;
}

static int wireHasTag(const WirePut *p, const WireField *f, const u8 *pIn){
  return f->iTag>=0 && p->iVer>=f->mnVer && p->iVer<=f->mxVer && wireIsSet(f, pIn);
}

static void wirePutStruct(WirePut *p, const WireStruct *pStruct, const u8 *pIn){
  int i, nTag = 0;
  for(i=0; i<pStruct->nField && p->rc==SQLITE_OK; i++){
    const WireField *f = &pStruct->aField[i];
    if( f->iTag<0 && p->iVer>=f->mnVer && p->iVer<=f->mxVer ) wirePutField(p, f, pIn);
    nTag += wireHasTag(p, f, pIn);
  }
  if( !p->bFlex ) return;
  prillBufUvarint(&p->rc, &p->pOut->buf, (u64)nTag);
  /* The tables list tagged fields by rising tags. */
  for(i=0; nTag>0 && i<pStruct->nField && p->rc==SQLITE_OK; i++){
    if( wireHasTag(p, &pStruct->aField[i], pIn) ) wirePutTag(p, &pStruct->aField[i], pIn);
  }
}

int prilldWireEncode(const WireStruct *pStruct, int iVer, int bFlex, const void *pIn, WireOut *pOut){
  static const WireStruct sEmpty = {0, 0, 0};
  WirePut put;
  put.pOut = pOut;
  put.iVer = iVer;
  put.bFlex = bFlex;
  put.rc = SQLITE_OK;
  wirePutStruct(&put, pStruct ? pStruct : &sEmpty, (const u8*)pIn);
  return put.rc;
}
