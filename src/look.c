/*
** look.c: the records of one partition that have one key.
**
** Layer 3, store.  Calls keyrun, part, key and scan.
**
** A scan (scan.c) has taken down what there is to read; this finds out where in
** it to look.  Segment by segment, run by run: a run names offsets, each of
** which is sought and its key compared; what has no run, or one that cannot be
** believed, is read from end to end.  The log past the last run of the active
** segment is looked up in memory (prillKeyPend).
**
**   I1  Every record returned has the key, byte for byte, whatever named it.
**   I2  Offsets are returned in order, none twice: iDone is the last one passed,
**       and a run that turns out bad half-way is read from there on.
**   I3  Runs belong to a segment's name, committed bytes to a run: both hold
**       whatever is committed while the scan goes on.
**
** Crash story: nothing is written here.
*/
#include "prillInt.h"

enum { LOOK_NEXT, LOOK_RUN, LOOK_MEM, LOOK_LOG };

struct PrillLook {
  PrillPart *pPart;             /* the scan's */
  PrillScan *pScan;             /* borrowed: it owns this */
  const u8 *pKey;
  i32 nKey;
  u32 iHash;
  u8 bDesc;
  int eState;
  i64 iDone;                    /* rising: offsets below are passed; falling: above */
  int iSeg, nSeg;               /* segment of the scan at hand; nSeg: chunks above them */
  i64 iBase;                    /* its base offset */
  i64 iSegEnd;                  /* first offset after the segments */
  u8 bSeg;                      /* seg and runs are those of iSeg */
  PrillSeg seg;                 /* names its key file */
  PrillBuf runs;                /* PrillKeyRun, a copy */
  int iRun;                     /* rising: next; falling: one more; the last is the rest */
  i64 iRestFrom;                /* the rest of the segment: its first byte */
  i64 iRestFirst, iRestEnd;     /* and offsets */
  u8 bMem;                      /* the rest may be had from prillKeyPend */
  i64 iMem;                     /* place in it */
  PrillKeyFind find;
};

PrillLook *prillLookNew(PrillPart *pPart, PrillScan *pScan, const PrillRange *pRange){
  PrillLook *p = (PrillLook*)sqlite3_malloc64(sizeof(*p));
  PrillScanSeg s;
  int n;
  if( p==0 ) return 0;
  memset(p, 0, offsetof(PrillLook, find));
  p->pPart = pPart;
  p->pScan = pScan;
  p->pKey = pRange->pKey;
  p->nKey = pRange->nKey;
  p->iHash = prillKeyrunHash(p->pKey, p->nKey);
  p->bDesc = pRange->bDesc;
  p->iDone = p->bDesc ? pRange->iTo : pRange->iFrom;
  for(n=0; prillScanSegment(pScan, n, &s); n++) p->iSegEnd = s.iEnd;
  p->nSeg = n;
  p->iSeg = p->bDesc ? n+1 : -1;
  return p;
}

void prillLookFree(PrillLook *p){
  if( p==0 ) return;
  prillBufFree(&p->runs);
  sqlite3_free(p);
}

/* Read offsets iFrom..iTo from end to end. */
static int lookLog(PrillLook *p, i64 iFrom, i64 iTo){
  if( p->bDesc ) iTo = PRILL_MIN(iTo, p->iDone); else iFrom = PRILL_MAX(iFrom, p->iDone);
  if( iFrom>iTo ) return SQLITE_OK;
  p->eState = LOOK_LOG;
  return prillScanSeek(p->pScan, iFrom, iTo, p->bDesc);
}

/* Take down the runs of the segment at hand, as the cached list has them. */
static int lookEnterSeg(PrillLook *p){
  PrillPart *pPart = p->pPart;
  PrillScanSeg s;
  int i;
  int rc = SQLITE_OK;
  p->runs.n = 0;
  (void)prillScanSegment(p->pScan, p->iSeg, &s);
  p->iBase = s.iBase;
  p->iRestEnd = s.iEnd;
  for(i=pPart->iSegSeen==pPart->x.iSegVer ? pPart->nSeg-1 : -1; i>=0; i--){
    if( prillPartSame(pPart->aSeg[i].iBase, pPart->aSeg[i].iGen, s.iBase, s.iGen) ) break;
  }
  p->bMem = 0;
  if( i>=0 ){
    PrillSeg *pSeg = &pPart->aSeg[i];
    rc = prillPartKeys(pPart, i);
    if( rc!=SQLITE_OK ) return rc;
    p->seg = *pSeg;
    for(i=0; i<pSeg->nKey && pSeg->aKey[i].iTo<=s.nByte && (s.bCommitted || !pPart->pStore->bReboot); i++){
      prillBufAppend(&rc, &p->runs, &pSeg->aKey[i], sizeof(PrillKeyRun));
    }
    p->bMem = (u8)(s.bCommitted && !pSeg->bSealed && s.nByte==pPart->x.nByte && pPart->iSeen>=pPart->pStore->iForeign
                   && (pPart->pTopic==0 || pPart->pTopic->cfg.bKeyIndex));
    p->iRestFrom = i ? pSeg->aKey[i-1].iTo : 0;
    p->iRestFirst = i ? pSeg->aKey[i-1].iNext : p->iBase;
  }else{
    p->iRestFirst = p->iBase;
  }
  p->iRun = p->bDesc ? (int)(p->runs.n/(i64)sizeof(PrillKeyRun))+1 : 0;
  p->bSeg = 1;
  return rc;
}

/* A run: look, or read. */
static int lookEnterRun(PrillLook *p, const PrillKeyRun *pRun){
  int rc;
  if( pRun->nPage==0 || (p->bDesc ? pRun->iFirst>p->iDone : pRun->iNext<=p->iDone) ) return SQLITE_OK;
  p->find.run = *pRun;
  p->find.iBase = p->iBase;
  p->find.iHash = p->iHash;
  p->find.bDesc = p->bDesc;
  rc = prillPartKeyFile(p->pPart, &p->seg, &p->find.pFile);
  if( (rc&0xff)==SQLITE_CANTOPEN ) rc = PRILL_KEYRUN_BAD;
  if( rc==SQLITE_OK ) rc = prillKeyrunFind(&p->find);
  if( rc==PRILL_KEYRUN_BAD ) return lookLog(p, pRun->iFirst, pRun->iNext-1);
  p->eState = LOOK_RUN;
  return rc;
}

/* The entries of the rest of the active segment, unless it is no longer that. */
static int lookMem(PrillLook *p, const u64 **pa, i64 *pn){
  const PrillExtent *x = &p->pPart->x;
  if( !prillPartSame(x->iBase, x->iGen, p->seg.iBase, p->seg.iGen) ) return PRILL_KEYRUN_BAD;
  return prillKeyPend(p->pPart, p->iRestFrom, p->iRestFirst, pa, pn);
}

/* What has no run. */
static int lookEnterRest(PrillLook *p){
  const u64 *a;
  i64 n;
  int rc = PRILL_KEYRUN_BAD;
  if( p->iRestFirst>=p->iRestEnd ) return SQLITE_OK;
  if( p->bDesc ? p->iRestFirst>p->iDone : p->iRestEnd<=p->iDone ) return SQLITE_OK;
  if( p->bMem ) rc = lookMem(p, &a, &n);
  if( rc==SQLITE_OK ){
    p->eState = LOOK_MEM;
    p->iMem = p->bDesc ? n : 0;
    return rc;
  }
  return rc==SQLITE_NOMEM ? rc : lookLog(p, p->iRestFirst, p->iRestEnd-1);
}

/* The next stretch: SQLITE_OK with eState set (LOOK_NEXT: nothing there), or
** SQLITE_DONE. */
static int lookAdvance(PrillLook *p){
  PrillScanSeg s;
  int nRun;
  int rc;
  p->eState = LOOK_NEXT;
  if( !p->bSeg ){
    p->iSeg += p->bDesc ? -1 : 1;
    if( p->iSeg<0 || p->iSeg>p->nSeg ) return SQLITE_DONE;
    if( p->iSeg==p->nSeg ) return lookLog(p, p->iSegEnd, PRILL_I64MAX);
    (void)prillScanSegment(p->pScan, p->iSeg, &s);
    if( p->bDesc ? s.iBase>p->iDone : s.iEnd<=p->iDone ) return SQLITE_OK;
    rc = lookEnterSeg(p);
    if( rc!=SQLITE_OK ) return rc;
  }
  nRun = (int)(p->runs.n/(i64)sizeof(PrillKeyRun));
  if( p->bDesc ) p->iRun--;
  if( p->iRun<0 || p->iRun>nRun ){
    p->bSeg = 0;
    return SQLITE_OK;
  }
  rc = p->iRun<nRun ? lookEnterRun(p, (const PrillKeyRun*)(const void*)p->runs.a + p->iRun) : lookEnterRest(p);
  if( !p->bDesc ) p->iRun++;
  return rc;
}

/* The next offset a run or memory names: SQLITE_ROW, SQLITE_DONE. */
static int lookName(PrillLook *p, i64 *piOff){
  const u64 *a;
  i64 n;
  int rc;
  if( p->eState==LOOK_RUN ){
    rc = prillPartKeyFile(p->pPart, &p->seg, &p->find.pFile);       /* it may have been closed */
    if( (rc&0xff)==SQLITE_CANTOPEN ) rc = PRILL_KEYRUN_BAD;
    if( rc==SQLITE_OK ) rc = prillKeyrunNext(&p->find, piOff);
    if( rc==PRILL_KEYRUN_BAD ){
      rc = lookLog(p, p->find.run.iFirst, p->find.run.iNext-1);
      if( p->eState!=LOOK_LOG ) p->eState = LOOK_NEXT;
      return rc==SQLITE_OK ? SQLITE_DONE : rc;
    }
    if( rc==SQLITE_ROW && (*piOff<p->find.run.iFirst || *piOff>=p->find.run.iNext) ) *piOff = -1;
    if( rc==SQLITE_DONE ) p->eState = LOOK_NEXT;
    return rc;
  }
  rc = lookMem(p, &a, &n);
  if( rc==PRILL_KEYRUN_BAD ){
    p->eState = LOOK_NEXT;
    rc = lookLog(p, p->iRestFirst, p->iRestEnd-1);
    return rc==SQLITE_OK ? SQLITE_DONE : rc;
  }
  if( rc!=SQLITE_OK ) return rc;
  if( p->iMem>n ) p->iMem = n;
  while( p->bDesc ? p->iMem>0 : p->iMem<n ){
    u64 e = a[p->bDesc ? --p->iMem : p->iMem++];
    if( (e>>32)==p->iHash ){
      *piOff = p->iBase + (i64)(e & 0xffffffffu);
      return SQLITE_ROW;
    }
  }
  p->eState = LOOK_NEXT;
  return SQLITE_DONE;
}

static int lookHas(const PrillLook *p, const PrillRecord *pRec){
  return pRec->nKey==p->nKey && (p->nKey==0 || memcmp(pRec->pKey, p->pKey, (size_t)p->nKey)==0);
}

/* The record has been seen. */
static void lookPass(PrillLook *p, i64 iOff){
  p->iDone = p->bDesc ? iOff-1 : iOff+1;
}

int prillLookNext(PrillLook *p, PrillRecord *pRec){
  int rc;
  for(;;){
    i64 iOff = -1;
    if( p->eState==LOOK_NEXT ){
      rc = lookAdvance(p);
      if( rc!=SQLITE_OK ) return rc;
      continue;
    }
    if( p->eState==LOOK_LOG ){
      rc = prillScanStep(p->pScan, pRec);
      if( rc==SQLITE_ROW ){
        lookPass(p, pRec->iOff);
        if( lookHas(p, pRec) ) return rc;
        continue;
      }
      if( rc!=SQLITE_DONE ) return rc;
      p->eState = LOOK_NEXT;
      continue;
    }
    rc = lookName(p, &iOff);
    if( rc==SQLITE_DONE ) continue;
    if( rc!=SQLITE_ROW ) return rc;
    if( p->bDesc ? iOff>p->iDone || iOff<0 : iOff<p->iDone ) continue;
    rc = prillScanSeek(p->pScan, iOff, iOff, 0);
    if( rc==SQLITE_OK ) rc = prillScanStep(p->pScan, pRec);
    if( rc==SQLITE_ROW ){
      lookPass(p, iOff);
      if( lookHas(p, pRec) ) return rc;
    }else if( rc!=SQLITE_DONE ){
      return rc;
    }
  }
}
