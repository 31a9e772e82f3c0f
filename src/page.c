/*
** page.c: decoded batches of segments, kept for the next lookup.
**
** May call: base, codec.
**
** A page is one committed batch, its CRC checked, its records decompressed and
** their beginnings listed.  Committed bytes never change, so a page is good for
** as long as its name (partition, segment, generation, byte position) is in
** the snapshot that leads to it.  Scans put here only the first batch they
** read: a lookup's; the rest of a long scan would push everything else out.
**
** The cache is direct-mapped and bounded: PAGE_SLOTS pages of at most
** PAGE_MX bytes a store.
*/
#include "prillInt.h"

#define PAGE_SLOTS 64
#define PAGE_MX 131072

struct PrillPageCache {
  PrillPage *ap[PAGE_SLOTS];
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
  for(i=0; i<PAGE_SLOTS; i++) prillPageUnref(pStore->pPages->ap[i]);
  sqlite3_free(pStore->pPages);
  pStore->pPages = 0;
}

static int pageSlot(int iPid, i64 iBase, i64 iPos){
  u64 h = ((u64)iPos ^ ((u64)iBase<<7) ^ ((u64)iPid<<40)) * 0x9e3779b97f4a7c15ULL;
  return (int)(h>>58) % PAGE_SLOTS;
}

PrillPage *prillPageFind(PrillStore *pStore, int iPid, i64 iBase, i64 iGen, i64 iPos){
  PrillPage *p;
  if( pStore->pPages==0 ) return 0;
  p = pStore->pPages->ap[pageSlot(iPid, iBase, iPos)];
  if( p==0 || p->iPid!=iPid || p->iBase!=iBase || p->iGen!=iGen || p->iPos!=iPos ) return 0;
  p->nRef++;
  return p;
}

/* List where records begin.  0 when they are not what the header says. */
static int pageStarts(PrillPage *p){
  const u8 *a = p->aRec, *aEnd = p->aRec + p->nRec;
  i64 iPrev = p->b.iBase-1;
  PrillRecord r;
  int i;
  for(i=0; i<p->b.nRec; i++){
    i64 n = prillRecordDecode(a, aEnd, p->b.iBase, p->b.iBaseTs, &r);
    if( n==0 || r.iOff<=iPrev || r.iOff>p->b.iBase+p->b.dLast ) return 0;
    p->aStart[i] = (u32)(a - p->aRec);
    iPrev = r.iOff;
    a += n;
  }
  return 1;
}

PrillPage *prillPageAdd(
  PrillStore *pStore, int iPid, i64 iBase, i64 iGen, i64 iPos,
  const PrillBatch *pB, PrillBuf *pBuf, const u8 *aRec, i64 nRec
){
  PrillPage *p;
  int i = pageSlot(iPid, iBase, iPos);
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
  prillPageUnref(pStore->pPages->ap[i]);
  pStore->pPages->ap[i] = p;
  return p;
}
