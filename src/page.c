/*
** page.c: decoded batches of segments, kept for the next lookup.
**
** May call: base, codec.
**
** A page is one committed batch, its CRC checked, its records decompressed and
** their beginnings listed; what they hold is not looked at (a reader decodes
** what it gives), unless prillPageCheck is asked to.  Committed bytes never change, so a page is good for
** as long as its name (partition, segment, generation, byte position) is in
** the snapshot that leads to it.  Scans put here only the first batch they
** read: a lookup's; the rest of a long scan would push everything else out.
**
** The cache is bounded: PAGE_SETS sets of PAGE_WAYS pages, newest first, of at
** most PAGE_MX bytes each, a store.
*/
#include "prillInt.h"

#define PAGE_SETS 16
#define PAGE_WAYS 4
#define PAGE_MX 131072

struct PrillPageCache {
  PrillPage *ap[PAGE_SETS][PAGE_WAYS];
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

/* List where records begin, by their lengths alone: a lookup decodes the one
** record it wants.  0 when they do not fill the batch as its header says. */
static int pageStarts(PrillPage *p){
  const u8 *a = p->aRec, *aEnd = p->aRec + p->nRec;
  int i;
  for(i=0; i<p->b.nRec; i++){
    i64 nLen;
    int n;
    p->aStart[i] = (u32)(a - p->aRec);
    n = prillVarintGet(a, aEnd, &nLen);
    if( n==0 || nLen<1 || nLen>aEnd-a-n ) return 0;
    a += n+nLen;
  }
  return a==aEnd;
}

int prillPageCheck(PrillPage *p){
  i64 iPrev = p->b.iBase-1;
  int i;
  for(i=0; i<p->b.nRec && !p->bChecked; i++){
    PrillRecord r;
    if( prillRecordDecode(p->aRec+p->aStart[i], p->aRec+p->nRec, p->b.iBase, p->b.iBaseTs, &r)==0
     || r.iOff<=iPrev || r.iOff>p->b.iBase+p->b.dLast ) return 0;
    iPrev = r.iOff;
  }
  p->bChecked = 1;
  return 1;
}

PrillPage *prillPageAdd(
  PrillStore *pStore, int iPid, i64 iBase, i64 iGen, i64 iPos,
  const PrillBatch *pB, PrillBuf *pBuf, const u8 *aRec, i64 nRec
){
  PrillPage *p, **ap;
  int i;
  if( nRec>PAGE_MX || pB->nRec<=0 || pB->nRec>nRec ) return 0;
  if( pStore->pPages==0 ){
    pStore->pPages = (PrillPageCache*)sqlite3_malloc64(sizeof(PrillPageCache));
    if( pStore->pPages==0 ) return 0;
    memset(pStore->pPages, 0, sizeof(PrillPageCache));
  }
  p = (PrillPage*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return 0;
  memset(p, 0, sizeof(*p));
  p->aStart = (u32*)sqlite3_malloc64(sizeof(u32)*(u64)pB->nRec);
  p->nRef = 2;                                  /* the cache's and the caller's */
  p->iPid = iPid;
  p->iBase = iBase;
  p->iGen = iGen;
  p->iPos = iPos;
  p->b = *pB;
  p->aRec = aRec;
  p->nRec = nRec;
  if( p->aStart==0 || !pageStarts(p) ){
    sqlite3_free(p->aStart);
    sqlite3_free(p);
    return 0;
  }
  p->buf = *pBuf;
  memset(pBuf, 0, sizeof(*pBuf));
  ap = pStore->pPages->ap[pageSet(iPid, iBase, iPos)];
  prillPageUnref(ap[PAGE_WAYS-1]);
  for(i=PAGE_WAYS-1; i>0; i--) ap[i] = ap[i-1];
  ap[0] = p;
  return p;
}
