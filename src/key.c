/*
** key.c: the key runs of a partition's segments: which there are, and making
** them.  look.c uses them.
**
** Layer 3, store.  Calls base, batch, record, file, keyrun, store and part.
**
** Rows of prill_store_key say which stretches of a segment's log have a run.
** While the segment is active its runs lie one after the other in .keyruns,
** one made whenever a transaction leaves prillLimit.szKeyRun bytes of log
** without; when the segment is sealed they are merged into one, .keyindex.
** prillKeySeal does that for whoever makes a sealed segment.
**
** A run is made of the log's bytes, read back, not of what was inserted: so
** savepoints, spills, re-batching and wire batches need no care here, and a
** small commit, which writes no log, does and pays nothing.  Between two runs
** a reader keeps the hashes of the stretch in memory (PrillKeyPend).
**
**   I1  A segment's runs cover its first bytes without a gap; offsets too.
**       After the last one is a stretch without.  What is not so in the rows
**       ends the list: the rest has no run.
**   I2  A run covers committed bytes, or bytes the same transaction commits.  A
**       row says so for one generation of the segment.  So a row can be old,
**       but not wrong.
**   I3  Runs are made of what can be had from the log at any time: a file that
**       cannot be written is no reason to fail a COMMIT.  It is logged, and the
**       stretch stays without.
**   I4  A COMMIT makes few runs more than it brought bytes for: a topic whose
**       key.index is switched on is caught up with in steps.
**
** Crash story: .keyruns is not synced.  Pages that a power cut took do not have
** their checksum (keyrun.c, I3).  What lies above the last run a row names is
** written over.  .keyindex is synced like .index, before the row is written.
*/
#include "prillInt.h"

#define KEY_MX_BEHIND 4               /* runs a COMMIT makes of older bytes */

struct PrillKeyPend {
  i64 iBase, iGen, iEpoch;            /* of this segment; after a power cut no more */
  i64 iFrom, iTo;                     /* these bytes */
  i64 iNext;                          /* the offset after them */
  PrillBuf e;                         /* entries, u64, offsets rising */
};

/**************************************************************************
** Which runs there are.
*/
static int keyRunOk(const PrillSeg *pSeg, const PrillKeyRun *p){
  const PrillKeyRun *pPrev = pSeg->nKey ? &pSeg->aKey[pSeg->nKey-1] : 0;
  i64 iFirst = pPrev ? pPrev->iNext : pSeg->iBase;
  i64 iFrom = pPrev ? pPrev->iTo : 0;
  if( p->iFirst!=iFirst || p->iFrom!=iFrom || p->iNext<=p->iFirst || p->iTo<=p->iFrom ) return 0;
  if( p->iNext>pSeg->iEnd || p->iTo>pSeg->nByte || p->iNext-pSeg->iBase>0xffffffffLL ) return 0;
  return p->iPage>=0 && p->nPage>=0 && p->iPage<=0x7fffffff && p->nPage<=0x7fffffff;
}

int prillPartKeys(PrillPart *p, int iSeg){
  PrillSeg *pSeg = &p->aSeg[iSeg];
  sqlite3_stmt *pStmt;
  int nAlloc = 0;
  int rc = SQLITE_OK;
  if( pSeg->bKey ) return SQLITE_OK;
  prillKeyFree(pSeg);
  pStmt = prillStoreStmt(p->pStore, STMT_KEYS, &rc);
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_bind_int64(pStmt, 1, p->iPid);
  sqlite3_bind_int64(pStmt, 2, pSeg->iBase);
  sqlite3_bind_int64(pStmt, 3, pSeg->iGen);
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    PrillKeyRun run;
    i64 *const aField[] = {&run.iFirst, &run.iNext, &run.iFrom, &run.iTo, &run.iPage, &run.nPage};
    int i;
    for(i=0; i<6; i++) *aField[i] = sqlite3_column_int64(pStmt, i);
    run.iSalt = (u32)sqlite3_column_int64(pStmt, 6);
    if( !keyRunOk(pSeg, &run) ) break;                                   /* I1 */
    if( pSeg->nKey>=nAlloc ){
      PrillKeyRun *a;
      nAlloc = nAlloc*2 + 4;
      a = (PrillKeyRun*)sqlite3_realloc64(pSeg->aKey, sizeof(*a)*(u64)nAlloc);
      if( a==0 ) rc = SQLITE_NOMEM; else pSeg->aKey = a;
    }
    if( rc==SQLITE_OK ) pSeg->aKey[pSeg->nKey++] = run;
  }
  prillStoreDone(p->pStore, pStmt, &rc);
  if( rc==SQLITE_OK ) pSeg->bKey = 1; else prillKeyFree(pSeg);
  return rc;
}

void prillKeyFree(PrillSeg *pSeg){
  sqlite3_free(pSeg->aKey);
  pSeg->aKey = 0;
  pSeg->nKey = 0;
  pSeg->bKey = 0;
}

void prillKeyCut(PrillSeg *pSeg, i64 nByte){
  while( pSeg->nKey && pSeg->aKey[pSeg->nKey-1].iTo>nByte ) pSeg->nKey--;
}

/**************************************************************************
** Hashes of a stretch of log.
*/

/* The records of one batch, decompressed. */
static int keyBatch(const PrillBatch *b, const u8 *a, i64 n, i64 iBase, PrillBuf *pOut){
  const u8 *aEnd = a+n;
  i64 iPrev = b->iBase-1;
  int i;
  int rc = SQLITE_OK;
  u64 *aNew;
  if( b->nRec>n ) return PRILL_KEYRUN_BAD;
  aNew = (u64*)(void*)prillBufRoom(&rc, pOut, (i64)sizeof(u64)*b->nRec);
  if( rc!=SQLITE_OK ) return rc;
  for(i=0; i<b->nRec; i++){
    PrillRecord r;
    i64 nUsed = prillRecordDecode(a, aEnd, b->iBase, b->iBaseTs, &r);
    if( nUsed==0 || r.iOff<=iPrev || r.iOff>b->iBase+b->dLast ) return PRILL_KEYRUN_BAD;
    iPrev = r.iOff;
    a += nUsed;
    if( r.nKey<0 ) continue;
    *aNew++ = (u64)prillKeyrunHash(r.pKey, r.nKey)<<32 | (u64)(r.iOff-iBase);
    pOut->n += (i64)sizeof(u64);
  }
  return SQLITE_OK;
}

/*
** Append the entries of the batches from byte *piFrom on to *pOut: those that
** begin before byte iStop, none beyond nByte.  *piFrom moves past them, *piNext
** to the offset after the last.
**
**   PRILL_KEYRUN_BAD   these bytes cannot be read as batches, now or here
*/
static int keyCollect(PrillPart *p, i64 iBase, i64 iGen, i64 iStop, i64 nByte, i64 *piFrom, i64 *piNext,
                      PrillBuf *pOut){
  PrillBuf in = {0,0,0}, out = {0,0,0};
  i64 iPos = *piFrom;                   /* in.a[0..in.n) are the bytes from here */
  int rc = SQLITE_OK;
  while( rc==SQLITE_OK && *piFrom<iStop ){
    i64 nHave = iPos + in.n - *piFrom;
    const u8 *aRec;
    i64 nRec, nWant = PRILL_BATCH_HDR;
    PrillBatch b;
    if( nHave>=PRILL_BATCH_HDR ){
      if( prillBatchHeader(in.a + (*piFrom-iPos), nHave, &b)!=SQLITE_OK || b.nByte>nByte-*piFrom
       || b.iBase<*piNext || b.iBase+b.dLast-iBase>0xffffffffLL ){
        rc = PRILL_KEYRUN_BAD;
        break;
      }
      nWant = b.nByte;
    }
    if( nHave<nWant ){
      i64 n = PRILL_MIN(PRILL_MAX(nWant, 65536), nByte-*piFrom);
      u8 *a;
      if( n<nWant ) rc = PRILL_KEYRUN_BAD;
      in.n = 0;
      a = prillBufRoom(&rc, &in, n);
      if( rc==SQLITE_OK ) rc = prillPartRead(p, iBase, iGen, a, n, *piFrom);
      if( rc==SQLITE_IOERR_SHORT_READ ) rc = PRILL_KEYRUN_BAD;
      in.n = n;
      iPos = *piFrom;
      continue;
    }
    if( prillBatchCheck(in.a + (*piFrom-iPos), &b)!=SQLITE_OK ) rc = PRILL_KEYRUN_BAD;
    if( rc==SQLITE_OK ) rc = prillBatchRecords(in.a + (*piFrom-iPos), &b, &out, &aRec, &nRec);
    if( rc==SQLITE_OK && (b.mAttr & PRILL_ATTR_CONTROL)==0 ) rc = keyBatch(&b, aRec, nRec, iBase, pOut);
    if( rc!=SQLITE_OK && rc!=SQLITE_NOMEM ) rc = PRILL_KEYRUN_BAD;
    *piFrom += b.nByte;
    *piNext = b.iBase + b.dLast + 1;
  }
  prillBufFree(&in);
  prillBufFree(&out);
  return rc;
}

void prillKeyPendFree(PrillPart *p){
  if( p->pPend ) prillBufFree(&p->pPend->e);
  sqlite3_free(p->pPend);
  p->pPend = 0;
}

/*
** The committed log of the active segment past its last run, in memory.
** SQLITE_OK and *pa, good until the next call; PRILL_KEYRUN_BAD when it is too
** long for that or cannot be read.
*/
int prillKeyPend(PrillPart *p, i64 iFrom, i64 iFirst, const u64 **pa, i64 *pn){
  PrillKeyPend *pPend = p->pPend;
  int rc = SQLITE_OK;
  if( p->x.nByte-iFrom>2*prillLimit.szKeyRun ) return PRILL_KEYRUN_BAD;
  if( pPend && (!prillPartSame(pPend->iBase, pPend->iGen, p->x.iBase, p->x.iGen) || pPend->iEpoch!=p->x.iEpoch
   || pPend->iFrom!=iFrom || pPend->iTo>p->x.nByte) ){
    prillKeyPendFree(p);
    pPend = 0;
  }
  if( pPend==0 ){
    pPend = (PrillKeyPend*)sqlite3_malloc64(sizeof(*pPend));
    if( pPend==0 ) return SQLITE_NOMEM;
    memset(pPend, 0, sizeof(*pPend));
    pPend->iBase = p->x.iBase;
    pPend->iGen = p->x.iGen;
    pPend->iEpoch = p->x.iEpoch;
    pPend->iFrom = pPend->iTo = iFrom;
    pPend->iNext = iFirst;
    p->pPend = pPend;
  }
  if( pPend->iTo<p->x.nByte ){
    rc = keyCollect(p, p->x.iBase, p->x.iGen, p->x.nByte, p->x.nByte, &pPend->iTo, &pPend->iNext, &pPend->e);
  }
  if( rc!=SQLITE_OK ){
    prillKeyPendFree(p);
    return rc;
  }
  *pa = (const u64*)(const void*)pPend->e.a;
  *pn = pPend->e.n/(i64)sizeof(u64);
  return SQLITE_OK;
}

/**************************************************************************
** Making runs.
*/

/* Runs being made for one segment: those a row names, then new ones. */
typedef struct KeyMake KeyMake;
struct KeyMake {
  PrillPart *p;
  i64 iBase, iGen;
  PrillBuf runs;                      /* PrillKeyRun */
  int nOld;                           /* of these, have rows */
  PrillFile *pRuns;                   /* .keyruns, when it was opened */
  PrillBuf e;                         /* entries of the stretch at hand */
  i64 iFrom, iFirst;                  /* where it begins */
  i64 iTo, iNext;                     /* and ends */
};

static PrillKeyRun *keyRuns(const KeyMake *m){
  return (PrillKeyRun*)(void*)m->runs.a;
}
static int keyRunCount(const KeyMake *m){
  return (int)(m->runs.n/(i64)sizeof(PrillKeyRun));
}

/* I3: no reason to fail. */
static int keyTrouble(const KeyMake *m, int rc, const char *zWhat){
  if( rc==SQLITE_OK || rc==SQLITE_NOMEM ) return rc;
  sqlite3_log(SQLITE_WARNING, "prill: segment %lld of topic %s partition %d: its key index cannot be %s (%s); lookups"
              " by key read the log there", m->iBase, prillPartTopicName(m->p), m->p->iPart, zWhat,
              sqlite3_errstr(rc));
  return PRILL_KEYRUN_BAD;
}

static int keyOpenFile(KeyMake *m, const char *zExt, int eOpen, PrillFile **pp){
  PrillStore *pStore = m->p->pStore;
  char *z = prillPartFullPath(m->p, m->iBase, m->iGen, zExt);
  int rc = z ? prillFileOpen(pStore->pVfs, z, eOpen, pStore->zDb, pp) : SQLITE_NOMEM;
  sqlite3_free(z);
  return rc;
}

/* Start at the end of what has runs. */
static void keyMakeNext(KeyMake *m){
  int n = keyRunCount(m);
  m->iFrom = m->iTo = n ? keyRuns(m)[n-1].iTo : 0;
  m->iFirst = m->iNext = n ? keyRuns(m)[n-1].iNext : m->iBase;
  m->e.n = 0;
}

/* The stretch at hand becomes a run in .keyruns. */
static int keyMakeRun(KeyMake *m){
  PrillKeyOut out;
  PrillKeyRun run;
  i64 i, n = m->e.n/(i64)sizeof(u64);
  u64 *a = (u64*)(void*)m->e.a;
  int nRun = keyRunCount(m);
  int rc = SQLITE_OK;
  memset(&run, 0, sizeof(run));
  memset(&out, 0, sizeof(out));
  run.iFirst = m->iFirst;
  run.iNext = m->iNext;
  run.iFrom = m->iFrom;
  run.iTo = m->iTo;
  run.iPage = nRun ? keyRuns(m)[nRun-1].iPage + keyRuns(m)[nRun-1].nPage : 0;
  m->p->pStore->pVfs->xRandomness(m->p->pStore->pVfs, sizeof(run.iSalt), (char*)&run.iSalt);
  if( m->pRuns && m->pRuns->bReadOnly ){
    prillFileClose(m->pRuns);
    m->pRuns = 0;
  }
  if( m->pRuns==0 ) rc = keyOpenFile(m, "keyruns", PRILL_OPEN_CREATE, &m->pRuns);
  out.pFile = m->pRuns;
  out.iSalt = run.iSalt;
  out.iPos = run.iPage*PRILL_KEYRUN_PAGE;
  if( rc==SQLITE_OK && n ) rc = prillKeyrunSort(a, n);
  for(i=0; i<n && rc==SQLITE_OK; i++) prillKeyrunPut(&rc, &out, a[i]);
  prillKeyrunEnd(&rc, &out);
  run.nPage = out.nPage;
  prillBufFree(&out.buf);
  if( rc==SQLITE_OK ){
    prillBufAppend(&rc, &m->runs, &run, sizeof(run));
    keyMakeNext(m);
  }
  return keyTrouble(m, rc, "written");
}

/* Make runs of the log up to byte nByte while a stretch has szKeyRun bytes,
** nMax of them at most.  What is left over stays in m->e. */
static int keyMakeRuns(KeyMake *m, i64 nByte, i64 nMax, int bRest){
  int rc = SQLITE_OK;
  keyMakeNext(m);
  while( rc==SQLITE_OK && nMax-->0 && m->iTo<nByte && (bRest || nByte-m->iTo>=prillLimit.szKeyRun) ){
    i64 iStop = PRILL_MIN(m->iFrom+prillLimit.szKeyRun, nByte);
    rc = keyTrouble(m, keyCollect(m->p, m->iBase, m->iGen, iStop, nByte, &m->iTo, &m->iNext, &m->e), "made");
    if( rc!=SQLITE_OK ){
      keyMakeNext(m);
    }else if( m->iTo-m->iFrom>=prillLimit.szKeyRun ){
      rc = keyMakeRun(m);
    }
  }
  return rc==PRILL_KEYRUN_BAD ? SQLITE_OK : rc;
}

/* Merge the runs and the stretch in memory into .keyindex; *pRun: the one run
** it is.  PRILL_KEYRUN_BAD with *piBad the input that is damaged, or -1. */
static int keyMerge(KeyMake *m, int bSync, PrillKeyRun *pRun, int *piBad){
  int nRun = keyRunCount(m), i;
  i64 n = m->e.n/(i64)sizeof(u64);
  PrillKeyIn *aIn = (PrillKeyIn*)sqlite3_malloc64(sizeof(*aIn)*(u64)(nRun+1));
  PrillKeyOut out;
  int rc = SQLITE_OK;
  *piBad = -1;
  if( aIn==0 ) return SQLITE_NOMEM;
  memset(aIn, 0, sizeof(*aIn)*(size_t)(nRun+1));
  memset(&out, 0, sizeof(out));
  if( nRun && m->pRuns==0 ){
    rc = keyOpenFile(m, "keyruns", PRILL_OPEN_READ, &m->pRuns);
    if( rc!=SQLITE_OK && rc!=SQLITE_NOMEM ){
      *piBad = 0;                                   /* it is gone: so are they all */
      rc = PRILL_KEYRUN_BAD;
    }
  }
  for(i=0; i<nRun; i++){
    aIn[i].pFile = m->pRuns;
    aIn[i].run = keyRuns(m)[i];
    aIn[i].nOff = aIn[i].run.iNext - m->iBase;
  }
  if( rc==SQLITE_OK && n ) rc = prillKeyrunSort((u64*)(void*)m->e.a, n);
  aIn[nRun].aMem = (const u64*)(const void*)m->e.a;
  aIn[nRun].nMem = n;
  memset(pRun, 0, sizeof(*pRun));
  pRun->iFirst = m->iBase;
  pRun->iNext = m->iNext;
  pRun->iTo = m->iTo;
  m->p->pStore->pVfs->xRandomness(m->p->pStore->pVfs, sizeof(pRun->iSalt), (char*)&pRun->iSalt);
  out.iSalt = pRun->iSalt;
  if( rc==SQLITE_OK ) rc = keyTrouble(m, keyOpenFile(m, "keyindex", PRILL_OPEN_CREATE, &out.pFile), "made");
  if( rc==SQLITE_OK ){
    rc = prillKeyrunMerge(aIn, nRun + (n>0), &out, piBad);
    if( rc!=PRILL_KEYRUN_BAD ) *piBad = -1;
    prillKeyrunEnd(&rc, &out);
    if( rc==SQLITE_OK ) rc = prillFileTruncate(out.pFile, out.iPos);
    if( rc==SQLITE_OK && bSync ) rc = prillFileSync(out.pFile);
    if( *piBad<0 ) rc = keyTrouble(m, rc, "written");
  }
  pRun->nPage = out.nPage;
  prillFileClose(out.pFile);
  prillBufFree(&out.buf);
  sqlite3_free(aIn);
  return rc;
}

static int keyMakeBegin(KeyMake *m, PrillPart *p, i64 iBase, i64 iGen, const PrillSeg *pOld){
  int rc = SQLITE_OK;
  memset(m, 0, sizeof(*m));
  m->p = p;
  m->iBase = iBase;
  m->iGen = iGen;
  if( pOld && pOld->nKey ) prillBufAppend(&rc, &m->runs, pOld->aKey, (i64)sizeof(PrillKeyRun)*pOld->nKey);
  m->nOld = pOld ? pOld->nKey : 0;
  return rc;
}

static void keyMakeEnd(KeyMake *m){
  prillFileClose(m->pRuns);
  prillBufFree(&m->runs);
  prillBufFree(&m->e);
}

int prillKeySeal(PrillPart *p, i64 iBase, i64 iGen, i64 nByte, const PrillSeg *pOld, i64 nMax, int bSync,
                 PrillKeyRun *pRun){
  KeyMake m;
  int iBad = -1;
  int rc = keyMakeBegin(&m, p, iBase, iGen, pOld);
  do{
    memset(pRun, 0, sizeof(*pRun));
    if( iBad>=0 ) m.runs.n = iBad*(i64)sizeof(PrillKeyRun);      /* again, without it and what follows */
    if( rc==SQLITE_OK || rc==PRILL_KEYRUN_BAD ) rc = keyMakeRuns(&m, nByte, nMax, 1);
    iBad = -1;
    if( rc==SQLITE_OK && m.iTo>0 ) rc = keyMerge(&m, bSync, pRun, &iBad);
  }while( rc==PRILL_KEYRUN_BAD && iBad>=0 );
  if( rc!=SQLITE_OK ) pRun->iTo = 0;
  if( keyRunCount(&m) && m.nOld==0 ){
    /* No row ever named this file. */
    char *z = prillPartFullPath(p, iBase, iGen, "keyruns");
    prillFileClose(m.pRuns);
    m.pRuns = 0;
    if( z ) (void)prillFileDelete(p->pStore->pVfs, z, 0);
    sqlite3_free(z);
  }
  keyMakeEnd(&m);
  return rc==PRILL_KEYRUN_BAD ? SQLITE_OK : rc;
}

/**************************************************************************
** Of a transaction.
*/
int prillKeyFiles(PrillWrite *w, int bSync){
  PrillPart *p = w->pPart;
  const PrillTopic *pTopic = p->pTopic ? p->pTopic : w->pTopic;
  int i;
  int rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<w->nSeg; i++){
    PrillWriteSeg *pSeg = &w->aSeg[i];
    const PrillSeg *pOld = pSeg->bNew || p->nSeg==0 ? 0 : &p->aSeg[p->nSeg-1];
    i64 nByte = pSeg->bSealed ? pSeg->nByte : w->x.nByte;
    i64 nMax = (nByte - (pOld ? p->x.nByte : 0))/prillLimit.szKeyRun + 1 + KEY_MX_BEHIND;      /* I4 */
    pSeg->key.n = 0;
    if( !pTopic->cfg.bKeyIndex ) continue;
    if( pOld ) rc = prillPartKeys(p, p->nSeg-1);
    if( rc!=SQLITE_OK ) break;
    if( pSeg->bSealed ){
      PrillKeyRun run;
      rc = prillKeySeal(p, pSeg->iBase, pSeg->iGen, nByte, pOld, nMax, bSync, &run);
      if( rc==SQLITE_OK && run.iTo>0 ) prillBufAppend(&rc, &pSeg->key, &run, sizeof(run));
    }else{
      KeyMake m;
      rc = keyMakeBegin(&m, p, pSeg->iBase, pSeg->iGen, pOld);
      if( rc==SQLITE_OK ) rc = keyMakeRuns(&m, nByte, nMax, 0);
      if( rc==SQLITE_OK ){
        i64 n = m.nOld*(i64)sizeof(PrillKeyRun);
        if( m.runs.n>n ) prillBufAppend(&rc, &pSeg->key, m.runs.a+n, m.runs.n-n);
      }
      keyMakeEnd(&m);
    }
  }
  return rc;
}

int prillKeyPutRow(PrillPart *p, i64 iBase, i64 iGen, const PrillKeyRun *pRun){
  const i64 a[] = {p->iPid, iBase, iGen, pRun->iFirst, pRun->iNext, pRun->iFrom, pRun->iTo, pRun->iPage,
                   pRun->nPage, pRun->iSalt};
  return prillStoreSet(p->pStore, STMT_PUT_KEY, a, 10);
}

/* Forget runs of a segment that cover bytes past nByte. */
int prillKeyDelRows(PrillPart *p, i64 iBase, i64 nByte){
  const i64 a[] = {p->iPid, iBase, nByte};
  return prillStoreSet(p->pStore, STMT_DEL_KEY, a, 3);
}

int prillKeyRows(PrillWrite *w, const PrillWriteSeg *pSeg){
  PrillPart *p = w->pPart;
  const PrillKeyRun *aRun = (const PrillKeyRun*)(const void*)pSeg->key.a;
  i64 i, n = pSeg->key.n/(i64)sizeof(PrillKeyRun);
  const PrillSeg *pOld = pSeg->bNew || p->nSeg==0 ? 0 : &p->aSeg[p->nSeg-1];
  int rc = SQLITE_OK;
  if( pSeg->bSealed ){
    /* An earlier xSync may have written rows for it while it was active. */
    rc = prillKeyDelRows(p, pSeg->iBase, 0);
    if( rc==SQLITE_OK && pOld && pOld->nKey ) rc = prillTrimTrashFile(p, pSeg->iBase, pSeg->iGen, "keyruns");
  }
  for(i=0; rc==SQLITE_OK && i<n; i++) rc = prillKeyPutRow(p, pSeg->iBase, pSeg->iGen, &aRun[i]);
  return rc;
}
