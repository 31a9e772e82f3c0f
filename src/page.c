/*
** page.c: decoded batches of segments, kept for the next lookup.
**
** May call: base, codec.
**
** A page is one committed batch, its CRC checked, its records decompressed and
** their beginnings listed as far as somebody asked; what they hold is not looked
** at (a reader decodes what it gives), unless prillPageCheck is asked to.
** Committed bytes never change, so a page is good for as long as its name
** (partition, segment, generation, byte position) is in the snapshot that leads
** to it.  Scans put here only the first batch they
** read: a lookup's; the rest of a long scan would push everything else out.
**
** The cache is bounded: PAGE_SETS sets of PAGE_WAYS pages, newest first, of at
** most PAGE_MX bytes each, a store.  Beside it stand the names, hashed to 64 bits,
** of PAGE_SURE batches whose checksum this connection has seen to hold: a lookup
** that comes back to one reads it again, but does not check it again.
*/
#include "prillInt.h"

#define PAGE_SETS 16
#define PAGE_WAYS 4
#define PAGE_MX 131072
#define PAGE_SURE 8192

struct PrillPageCache {
  PrillPage *ap[PAGE_SETS][PAGE_WAYS];
  u64 aSure[PAGE_SURE];
};

void prillPageUnref(PrillPage *p){
  if( p && --p->nRef==0 ){
    prillBufFree(&p->buf);
    sqlite3_free(p->aStart);
    sqlite3_free(p);
  }
}

void prillPagesFree(PrillStore *pStore){
  int i;
  if( pStore->pPages==0 ) return;
  for(i=0; i<PAGE_SETS*PAGE_WAYS; i++) prillPageUnref(pStore->pPages->ap[i/PAGE_WAYS][i%PAGE_WAYS]);
  sqlite3_free(pStore->pPages);
  pStore->pPages = 0;
}

static int pageSet(int iPid, i64 iBase, i64 iPos){
  u64 h = ((u64)iPos ^ ((u64)iBase<<7) ^ ((u64)iPid<<40)) * 0x9e3779b97f4a7c15ULL;
  return (int)(h>>58) % PAGE_SETS;
}

PrillPage *prillPageFind(PrillStore *pStore, int iPid, i64 iBase, i64 iGen, i64 iPos){
  PrillPage **ap;
  int i;
  if( pStore->pPages==0 ) return 0;
  ap = pStore->pPages->ap[pageSet(iPid, iBase, iPos)];
  for(i=0; i<PAGE_WAYS && ap[i]; i++){
    PrillPage *p = ap[i];
    if( p->iPos!=iPos || p->iPid!=iPid || p->iBase!=iBase || p->iGen!=iGen ) continue;
    for(; i>0; i--) ap[i] = ap[i-1];
    ap[0] = p;
    p->nRef++;
    return p;
  }
  return 0;
}

/* The length of the record at a, nLeft bytes from the end, with its length field;
** 0 when it has none.  Most take a field of two bytes. */
static inline i64 pageLength(const u8 *a, i64 nLeft, int *pnField){
  i64 n;
  *pnField = 2;
  if( nLeft>=2 && a[0]>=0x80 && a[1]>0 && a[1]<0x80 && (a[0]&1)==0 ){
    n = 2 + ((a[0]&0x7e)>>1 | (i64)a[1]<<6);
    return n<=nLeft ? n : 0;
  }
  *pnField = prillVarintGet(a, a+nLeft, &n);
  return *pnField && n>0 && n<=nLeft-*pnField ? n+*pnField : 0;
}

/* By their lengths alone: a lookup decodes the one record it wants. */
i64 prillPageStart(PrillPage *p, int i){
  i64 nRec = p->nRec;
  u32 *aStart = p->aStart;
  int k = p->nStart;
  i64 iAt = aStart[k];
  while( k<i ){
    int nField;
    i64 n = pageLength(p->aRec+iAt, nRec-iAt, &nField);
    if( n==0 ) break;
    iAt += n;
    aStart[++k] = (u32)iAt;
  }
  p->nStart = PRILL_MAX(p->nStart, k);
  return k<i ? -1 : (i64)aStart[i];
}

int prillPageSince(PrillPage *p, i64 iTs){
  i64 nRec = p->nRec;
  int i;
  if( p->b.mAttr & PRILL_ATTR_APPENDTIME ) return 0;
  for(i=0; i<p->b.nRec; i++){
    i64 iAt = p->aStart[i], dTs;
    int nField;
    i64 n = pageLength(p->aRec+iAt, nRec-iAt, &nField);
    const u8 *a = p->aRec+iAt+nField+1;              /* behind the attributes */
    const u8 *aEnd = p->aRec+iAt+n;
    if( n==0 ) return 0;
    if( aEnd-a>=2 && (a[0]&1)==0 && (a[0]<0x80 || a[1]<0x80) ){
      dTs = (a[0]&0x7e)>>1;
      if( a[0]>=0x80 ) dTs |= (i64)a[1]<<6;
    }else if( a>=aEnd || prillVarintGet(a, aEnd, &dTs)==0 ){
      return 0;
    }
    if( (i64)((u64)p->b.iBaseTs + (u64)dTs)>=iTs ) break;
    p->aStart[i+1] = (u32)(iAt+n);
  }
  p->nStart = PRILL_MAX(p->nStart, i);
  return i;
}

int prillPageCheck(PrillPage *p){
  i64 iPrev = p->b.iBase-1;
  int i;
  if( p->bChecked ) return 1;
  if( prillPageStart(p, p->b.nRec)!=p->nRec ) return 0;
  for(i=0; i<p->b.nRec; i++){
    PrillRecord r;
    if( prillRecordDecode(p->aRec+p->aStart[i], p->aRec+p->nRec, p->b.iBase, p->b.iBaseTs, &r)==0
     || r.iOff<=iPrev || r.iOff>p->b.iBase+p->b.dLast ) return 0;
    iPrev = r.iOff;
  }
  p->bChecked = 1;
  return 1;
}

static PrillPageCache *pageCache(PrillStore *pStore){
  if( pStore->pPages==0 ){
    pStore->pPages = (PrillPageCache*)sqlite3_malloc64(sizeof(PrillPageCache));
    if( pStore->pPages ) memset(pStore->pPages, 0, sizeof(PrillPageCache));
  }
  return pStore->pPages;
}

PrillPage *prillPageAdd(
  PrillStore *pStore, int iPid, i64 iBase, i64 iGen, i64 iPos,
  const PrillBatch *pB, PrillBuf *pBuf, const u8 *aRec, i64 nRec
){
  PrillBuf old = {0,0,0};
  PrillPage *p, **ap;
  int i;
  if( nRec>PAGE_MX || pB->nRec<=0 || pB->nRec>nRec || pageCache(pStore)==0 ) return 0;
  ap = pStore->pPages->ap[pageSet(iPid, iBase, iPos)];
  p = ap[PAGE_WAYS-1];
  ap[PAGE_WAYS-1] = 0;
  if( p && p->nRef>1 ){
    p->nRef--;
    p = 0;
  }
  if( p==0 ){
    p = (PrillPage*)sqlite3_malloc64(sizeof(*p));
    if( p==0 ) return 0;
    memset(p, 0, sizeof(*p));
  }
  if( p->nStartAlloc<=pB->nRec ){
    u32 *a = (u32*)sqlite3_realloc64(p->aStart, sizeof(u32)*((u64)pB->nRec+1));
    if( a==0 ){
      p->nRef = 1;
      prillPageUnref(p);
      return 0;
    }
    p->aStart = a;
    p->nStartAlloc = pB->nRec+1;
  }
  p->aStart[0] = 0;
  p->nStart = 0;
  p->nRef = 2;                                  /* the cache's and the caller's */
  p->iPid = iPid;
  p->iBase = iBase;
  p->iGen = iGen;
  p->iPos = iPos;
  p->b = *pB;
  p->aRec = aRec;
  p->nRec = nRec;
  p->bChecked = 0;
  old = p->buf;
  old.n = 0;
  p->buf = *pBuf;
  *pBuf = old;
  for(i=PAGE_WAYS-1; i>0; i--) ap[i] = ap[i-1];
  ap[0] = p;
  return p;
}

static u64 pageName(int iPid, i64 iBase, i64 iGen, i64 iPos){
  u64 h = ((u64)iPos + (u64)iPid*0xff51afd7ed558ccdULL) ^ ((u64)iBase*0xc4ceb9fe1a85ec53ULL);
  h = (h ^ (h>>29) ^ (u64)iGen*0xbf58476d1ce4e5b9ULL) * 0x9e3779b97f4a7c15ULL;
  return (h ^ (h>>32)) | 1;
}

void prillPageSure(PrillStore *pStore, int iPid, i64 iBase, i64 iGen, i64 iPos){
  u64 h = pageName(iPid, iBase, iGen, iPos);
  if( pageCache(pStore) ) pStore->pPages->aSure[(h>>1)%PAGE_SURE] = h;
}

int prillPageIsSure(const PrillStore *pStore, int iPid, i64 iBase, i64 iGen, i64 iPos){
  u64 h = pageName(iPid, iBase, iGen, iPos);
  return pStore->pPages && pStore->pPages->aSure[(h>>1)%PAGE_SURE]==h;
}
