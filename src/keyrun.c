/*
** keyrun.c: sorted runs of key hashes: which offsets of a stretch of log may
** have a key.
**
** Layer 2, log.  Calls base, crc32c and file.  Told where a run is and what it
** covers (PrillKeyRun, rows of prill_store_key), never deciding it.
**
** Bytes owned: the pages of .keyruns and .keyindex, 4096 bytes each, integers
** big-endian:
**
**        0  4  CRC-32C of: the run's salt, 4 bytes; the page's number in the
**              run, 8 bytes; this page from byte 4 to its end
**        4  4  hash of the first entry
**        8  4  hash of the last
**       12  4  bytes used, these 16 among them; zeros follow
**       16     entries, each an unsigned varint T and sometimes a second
**
** An entry is a hash and an offset.  T odd: the hash is (T>>1) more than that
** of the entry before (of the page's first: than the hash at byte 4), and a
** varint follows, the offset less the segment's base offset.  T even: the hash
** is the same and the offset (T>>1) more.  A page's first entry has T odd.
**
**   I1  Entries of a run rise by hash, then by offset; no two are alike.
**   I2  A record with a key that the run covers has an entry; an entry promises
**       no more than that it is worth a look: hashes collide.
**   I3  A page is believed only when its checksum, which the salt ties to one
**       run, and its order hold.  PRILL_KEYRUN_BAD says it does not: the caller
**       reads the log instead.  It is never an answer.
**
** Crash story: pages are written before the row that names them is, and may be
** lost all the same, where nobody waits for the disk: I3.
**
** A run is searched by interpolation: hashes of different keys are spread
** evenly, so that the page is found in two or three reads; where one key has
** much of a run, by halves from the fifth read on.
*/
#include "prillInt.h"

#define KEYRUN_HDR 16
#define KEYRUN_ENTRY 12           /* most bytes of an entry: 7 and 5 */

/* CRC-32C, and on it the last steps of MurmurHash3, which spread short and
** similar keys over all 32 bits.  Not murmur2: records of one partition agree
** in its remainder. */
u32 prillKeyrunHash(const void *a, i64 n){
  u32 h = prillCrc32c(0, a, n) ^ (u32)n;
  h = (h ^ (h>>16))*0x85ebca6bu;
  h = (h ^ (h>>13))*0xc2b2ae35u;
  return h ^ (h>>16);
}

static u32 keyrunCrc(u32 iSalt, i64 iPage, const u8 *aPage){
  u8 a[12];
  prillPut32(a, iSalt);
  prillPut64(a+4, iPage);
  return prillCrc32c(prillCrc32c(0, a, sizeof(a)), aPage+4, PRILL_KEYRUN_PAGE-4);
}

/**************************************************************************
** Sorting.
*/

/* By hash, entries of one hash staying as they are: three rounds of 11 bits. */
int prillKeyrunSort(u64 *a, i64 n){
  u64 *aTo = (u64*)sqlite3_malloc64(sizeof(u64)*(u64)PRILL_MAX(n, 1));
  u64 *aFrom = a;
  i64 *aCount = (i64*)sqlite3_malloc64(sizeof(i64)*2048);
  int iShift;
  if( aTo==0 || aCount==0 ){
    sqlite3_free(aTo);
    sqlite3_free(aCount);
    return SQLITE_NOMEM;
  }
  for(iShift=32; iShift<64; iShift+=11){
    i64 i, nSum = 0;
    u64 *aSwap;
    memset(aCount, 0, sizeof(i64)*2048);
    for(i=0; i<n; i++) aCount[(aFrom[i]>>iShift)&2047]++;
    for(i=0; i<2048; i++){
      i64 nHere = aCount[i];
      aCount[i] = nSum;
      nSum += nHere;
    }
    for(i=0; i<n; i++) aTo[aCount[(aFrom[i]>>iShift)&2047]++] = aFrom[i];
    aSwap = aFrom;
    aFrom = aTo;
    aTo = aSwap;
  }
  memcpy(a, aFrom, sizeof(u64)*(size_t)n);      /* an odd number of rounds */
  sqlite3_free(aFrom);
  sqlite3_free(aCount);
  return SQLITE_OK;
}

/**************************************************************************
** Writing.
*/
static void keyrunEndPage(PrillKeyOut *p){
  u8 *a;
  if( p->nPage==0 ) return;
  a = p->buf.a + p->buf.n - PRILL_KEYRUN_PAGE;
  prillPut32(a+8, (u32)(p->iLast>>32));
  prillPut32(a+12, (u32)p->nUsed);
  prillPut32(a, keyrunCrc(p->iSalt, p->nPage-1, a));
}

/* A new page, whose first entry is e. */
static void keyrunNewPage(int *pRc, PrillKeyOut *p, u64 e){
  u8 *a;
  keyrunEndPage(p);
  if( p->pFile && p->buf.n>=65536 ){
    *pRc = prillFileWrite(p->pFile, p->buf.a, p->buf.n, p->iPos);
    p->iPos += p->buf.n;
    p->buf.n = 0;
  }
  a = prillBufRoom(pRc, &p->buf, PRILL_KEYRUN_PAGE);
  if( a==0 || *pRc!=SQLITE_OK ) return;
  memset(a, 0, PRILL_KEYRUN_PAGE);
  prillPut32(a+4, (u32)(e>>32));
  p->buf.n += PRILL_KEYRUN_PAGE;
  p->nUsed = KEYRUN_HDR;
  p->nPage++;
  p->iLast = e & ~(u64)0xffffffffu;
}

void prillKeyrunPut(int *pRc, PrillKeyOut *p, u64 e){
  int bFirst = 0;
  u8 *a;
  if( *pRc!=SQLITE_OK || (p->nPage>0 && e==p->iLast) ) return;
  if( p->nPage==0 || p->nUsed>PRILL_KEYRUN_PAGE-KEYRUN_ENTRY ){
    keyrunNewPage(pRc, p, e);
    if( *pRc!=SQLITE_OK ) return;
    bFirst = 1;
  }
  a = p->buf.a + p->buf.n - PRILL_KEYRUN_PAGE;
  if( bFirst || (e>>32)!=(p->iLast>>32) ){
    p->nUsed += prillUvarintPut(a+p->nUsed, ((e>>32)-(p->iLast>>32))*2+1);
    p->nUsed += prillUvarintPut(a+p->nUsed, e&0xffffffffu);
  }else{
    assert( e>p->iLast );
    p->nUsed += prillUvarintPut(a+p->nUsed, (e-p->iLast)*2);
  }
  p->iLast = e;
}

/* Close the last page and write what is left. */
void prillKeyrunEnd(int *pRc, PrillKeyOut *p){
  if( *pRc!=SQLITE_OK ) return;
  keyrunEndPage(p);
  if( p->pFile && p->buf.n ) *pRc = prillFileWrite(p->pFile, p->buf.a, p->buf.n, p->iPos);
  p->iPos += p->buf.n;
  p->buf.n = 0;
}

/**************************************************************************
** Reading.
*/

/* Read page i of a run to a[].  SQLITE_OK; PRILL_KEYRUN_BAD (I3); an error. */
static int keyrunRead(PrillFile *pFile, const PrillKeyRun *pRun, i64 i, u8 *a){
  int rc = prillFileRead(pFile, a, PRILL_KEYRUN_PAGE, (pRun->iPage+i)*PRILL_KEYRUN_PAGE);
  if( rc==SQLITE_IOERR_SHORT_READ ) return PRILL_KEYRUN_BAD;
  if( rc!=SQLITE_OK ) return rc;
  if( prillGet32(a)!=keyrunCrc(pRun->iSalt, i, a) || prillGet32(a+4)>prillGet32(a+8)
   || prillGet32(a+12)<KEYRUN_HDR || prillGet32(a+12)>PRILL_KEYRUN_PAGE ) return PRILL_KEYRUN_BAD;
  return SQLITE_OK;
}

/* The next entry of the page at a[], which must be greater than *pe and lie
** within nOff offsets.  *piUsed: where it begins, then where it ends; 0 for the
** first.  SQLITE_ROW, SQLITE_DONE, or PRILL_KEYRUN_BAD. */
static int keyrunEntry(const u8 *a, i64 nOff, int *piUsed, u64 *pe){
  const u8 *aEnd = a + prillGet32(a+12);
  int bFirst = *piUsed==0;
  u64 t, v, e = bFirst ? (u64)prillGet32(a+4)<<32 : *pe;
  int n;
  if( bFirst ) *piUsed = KEYRUN_HDR;
  if( a+*piUsed>=aEnd ) return (e>>32)==prillGet32(a+8) ? SQLITE_DONE : PRILL_KEYRUN_BAD;
  n = prillUvarintGet(a+*piUsed, aEnd, &t);
  if( n==0 || (bFirst && t!=1) ) return PRILL_KEYRUN_BAD;
  *piUsed += n;
  if( t&1 ){
    n = prillUvarintGet(a+*piUsed, aEnd, &v);
    if( n==0 || v>=(u64)nOff || (t>>1)>prillGet32(a+8)-(e>>32) || (t==1 && !bFirst) ) return PRILL_KEYRUN_BAD;
    *piUsed += n;
    e = ((e & ~(u64)0xffffffffu) + ((t>>1)<<32)) | v;
  }else{
    if( t==0 || (t>>1)>=(u64)nOff - (e&0xffffffffu) ) return PRILL_KEYRUN_BAD;
    e += t>>1;
  }
  *pe = e;
  return SQLITE_ROW;
}

/* Find the page to begin with, by p->page's header: rising, the first that ends
** at or after the hash; falling, the last that begins at or before it. */
static int keyrunSeek(PrillKeyFind *p){
  i64 lo = 0, hi = p->run.nPage;                /* rising: in lo..hi; falling: one less */
  u64 hLo = 0, hHi = 0xffffffffu;
  int n;
  int rc = SQLITE_OK;
  for(n=0; rc==SQLITE_OK && lo<hi; n++){
    i64 i = lo + (hi-lo)/2;
    u32 hFirst, hLast;
    if( n<4 || (n&1) ){
      i = lo + (i64)((double)(hi-lo) * ((double)(p->iHash-hLo)+0.5)/((double)(hHi-hLo)+1.0));
      if( i>=hi ) i = hi-1;
    }
    rc = keyrunRead(p->pFile, &p->run, i, p->aPage);
    p->iHave = i;
    if( rc!=SQLITE_OK ) break;
    hFirst = prillGet32(p->aPage+4);
    hLast = prillGet32(p->aPage+8);
    if( hFirst<hLo || hLast>hHi ) return PRILL_KEYRUN_BAD;
    if( p->bDesc ? hFirst<=p->iHash && p->iHash<hLast : hFirst<p->iHash && p->iHash<=hLast ){
      lo = hi = p->bDesc ? i+1 : i;
    }else if( p->bDesc ? hFirst<=p->iHash : hLast<p->iHash ){
      lo = i+1;
      hLo = hLast;
    }else{
      hi = i;
      hHi = hFirst;
    }
  }
  p->iAt = p->bDesc ? lo-1 : lo;
  return rc;
}

/* Take down the offsets page iAt has for the hash. */
static int keyrunGather(PrillKeyFind *p){
  i64 nOff = p->run.iNext - p->iBase;
  int iUsed = 0;
  u64 e = 0;
  int rc = SQLITE_OK;
  if( p->iHave!=p->iAt ) rc = keyrunRead(p->pFile, &p->run, p->iAt, p->aPage);
  p->iHave = p->iAt;
  p->nOff = 0;
  while( rc==SQLITE_OK ){
    rc = keyrunEntry(p->aPage, nOff, &iUsed, &e);
    if( rc==SQLITE_ROW ){
      rc = SQLITE_OK;
      if( (e>>32)==p->iHash ) p->aOff[p->nOff++] = (u32)e;
    }
  }
  p->iOff = p->bDesc ? p->nOff : 0;
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

int prillKeyrunFind(PrillKeyFind *p){
  int rc;
  p->nOff = p->iOff = 0;
  p->iHave = -1;
  rc = keyrunSeek(p);
  if( rc==SQLITE_OK && p->iAt>=0 && p->iAt<p->run.nPage ) rc = keyrunGather(p);
  return rc;
}

int prillKeyrunNext(PrillKeyFind *p, i64 *piOff){
  for(;;){
    u32 hEdge;
    int rc;
    if( p->bDesc ? p->iOff>0 : p->iOff<p->nOff ){
      *piOff = p->iBase + p->aOff[p->bDesc ? --p->iOff : p->iOff++];
      return SQLITE_ROW;
    }
    if( p->nOff==0 ) return SQLITE_DONE;        /* the hash has ended */
    hEdge = prillGet32(p->aPage + (p->bDesc ? 4 : 8));
    p->iAt += p->bDesc ? -1 : 1;
    if( hEdge!=p->iHash || p->iAt<0 || p->iAt>=p->run.nPage ){
      p->nOff = 0;
      return SQLITE_DONE;
    }
    rc = keyrunGather(p);
    if( rc!=SQLITE_OK ) return rc;
  }
}

/**************************************************************************
** Walking and merging.
*/
int prillKeyrunStep(PrillKeyIn *p){
  int rc = SQLITE_DONE;
  if( p->aMem ){
    if( p->iMem>=p->nMem ) return SQLITE_DONE;
    p->e = p->aMem[p->iMem++];
    return SQLITE_ROW;
  }
  while( p->iUsed==0 || (rc = keyrunEntry(p->aPage, p->nOff, &p->iUsed, &p->e))==SQLITE_DONE ){
    u64 iPrev = p->e;
    if( p->iAt>=p->run.nPage ) return SQLITE_DONE;
    rc = keyrunRead(p->pFile, &p->run, p->iAt, p->aPage);
    p->iUsed = 0;
    if( rc==SQLITE_OK ) rc = keyrunEntry(p->aPage, p->nOff, &p->iUsed, &p->e);
    if( rc==SQLITE_DONE || (rc==SQLITE_ROW && p->iAt>0 && p->e<=iPrev) ) rc = PRILL_KEYRUN_BAD;
    p->iAt++;
    break;
  }
  return rc;
}

/* Let the entry at i sink to its place in the heap of n. */
static void keyrunSink(PrillKeyIn **ap, int n, int i){
  for(;;){
    int j = 2*i+1;
    PrillKeyIn *pSwap;
    if( j>=n ) return;
    if( j+1<n && ap[j+1]->e<ap[j]->e ) j++;
    if( ap[i]->e<=ap[j]->e ) return;
    pSwap = ap[i];
    ap[i] = ap[j];
    ap[j] = pSwap;
    i = j;
  }
}

/* Merge n inputs, each at its beginning.  *piBad: the input that was not to be
** believed, with PRILL_KEYRUN_BAD. */
int prillKeyrunMerge(PrillKeyIn *aIn, int n, PrillKeyOut *pOut, int *piBad){
  PrillKeyIn **ap = (PrillKeyIn**)sqlite3_malloc64(sizeof(*ap)*(u64)PRILL_MAX(n, 1));
  int nHeap = 0, i;
  int rc = SQLITE_OK;
  if( ap==0 ) return SQLITE_NOMEM;
  for(i=0; rc==SQLITE_OK && i<n; i++){
    rc = prillKeyrunStep(&aIn[i]);
    *piBad = i;
    if( rc==SQLITE_ROW ) ap[nHeap++] = &aIn[i];
    if( rc==SQLITE_ROW || rc==SQLITE_DONE ) rc = SQLITE_OK;
  }
  for(i=nHeap/2-1; i>=0; i--) keyrunSink(ap, nHeap, i);
  while( rc==SQLITE_OK && nHeap>0 ){
    prillKeyrunPut(&rc, pOut, ap[0]->e);
    if( rc!=SQLITE_OK ) break;
    rc = prillKeyrunStep(ap[0]);
    *piBad = (int)(ap[0]-aIn);
    if( rc==SQLITE_DONE ) ap[0] = ap[--nHeap];
    if( rc==SQLITE_ROW || rc==SQLITE_DONE ) rc = SQLITE_OK;
    keyrunSink(ap, nHeap, 0);
  }
  sqlite3_free(ap);
  return rc;
}
