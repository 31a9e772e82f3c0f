/*
** part.c: a partition's extent, its segments and their files, and the write of
** one transaction's batches to them.
**
** May call: base, codec, log, and store/tail beside it.
**
** app.db-log/<32 hex topic id>-<partition>/<20-digit base>[.gen].log holds
** Kafka v2 batches from byte 0 to the committed end that the extent row tells
** (PrillExtent).  Sealed segments have .index and .timeindex beside them, as
** Kafka writes them; the active segment's index is rows of prill_store_index,
** blobs of 32-byte entries: first offset, last offset, byte position, greatest
** timestamp so far, 8 bytes each.
**
**   I1  Bytes below the committed end never change.
**   I2  Bytes above it are written only where they are zeros or this
**       connection's own; else the partition goes on in a new segment.
**   I3  A file made by this transaction is synced, with its directory entry,
**       before any row names it (not with synchronous=OFF).
**   I4  A segment's file is cut to its length only when it is sealed.
**   I5  After a failed write or sync no more is appended to that file (R7).
**   I7  Where segments are not synced before COMMIT, nothing is written over
**       what was taken back either: a power cut could bring it to light again,
**       as a batch in good order.
**   I6  The bytes a transaction writes are a prefix of what it would write with
**       more records: a second xSync repeats and extends the first.
**
** Crash story: between any two steps before SQLite's COMMIT there are bytes
** above committed ends and files no row names; the next writer steps around
** them (I2) or takes the next generation of the name.
*/
#include "prillInt.h"

#define PART_MX_BYTE ((i64)1<<60)         /* beyond what a disk can hold */
#define PART_MX_OFF (((i64)1<<48)-1)      /* a rowid has 48 bits for the offset */

/**************************************************************************
** Open files: a list, most recently used first.
*/
typedef struct PartFile PartFile;
struct PartFile {
  int iPid;
  u8 aUuid[16];           /* the topic's: a pid that was rolled back comes again */
  i64 iBase, iGen;
  PrillFile *pFile;
  PartFile *pNext;
};

int prillFilesCount(PrillStore *p){
  PartFile *pF;
  int n = 0;
  for(pF=(PartFile*)p->pFiles; pF; pF=pF->pNext) n++;
  return n;
}

static void partFileFree(PartFile *p){
  prillFileClose(p->pFile);
  sqlite3_free(p);
}

void prillFilesClose(PrillStore *p){
  PartFile *pF;
  while( (pF = (PartFile*)p->pFiles)!=0 ){
    p->pFiles = pF->pNext;
    partFileFree(pF);
  }
}

char *prillPartPath(const PrillPart *p, i64 iBase, i64 iGen, const char *zExt){
  char zId[33];
  prillHex(p->aUuid, 16, zId);
  if( zExt[0]==0 ) return sqlite3_mprintf("%s-%d", zId, p->iPart);
  if( iGen==0 ) return sqlite3_mprintf("%s-%d/%020lld.%s", zId, p->iPart, iBase, zExt);
  return sqlite3_mprintf("%s-%d/%020lld.%lld.%s", zId, p->iPart, iBase, iGen, zExt);
}

static char *partFullPath(const PrillPart *p, i64 iBase, i64 iGen, const char *zExt){
  char *zRel = prillPartPath(p, iBase, iGen, zExt);
  char *z = zRel ? sqlite3_mprintf("%s/%s", p->pStore->zDir, zRel) : 0;
  sqlite3_free(zRel);
  return z;
}

/* An error on one of the partition's files, naming it and the remedy. */
static int partFileError(PrillPart *p, int rc, i64 iBase, i64 iGen, const char *zExt, const char *zWhat){
  char *z;
  if( (rc&0xff)==SQLITE_NOMEM ) return rc;
  z = prillPartPath(p, iBase, iGen, zExt);
  if( z==0 ) return SQLITE_NOMEM;
  prillError(p->pStore->pConn, rc, "%s-log/%s: %s", p->pStore->zDb, z, zWhat);
  sqlite3_free(z);
  return rc;
}

static int partFileIs(const PartFile *pF, const PrillPart *p, i64 iBase, i64 iGen){
  return pF->iPid==p->iPid && pF->iBase==iBase && pF->iGen==iGen && memcmp(pF->aUuid, p->aUuid, 16)==0;
}

/* Move the entry of a segment's file to the front of the list, if open. */
static PartFile *partFileFind(PrillPart *p, i64 iBase, i64 iGen){
  PrillStore *pStore = p->pStore;
  PartFile **pp = (PartFile**)&pStore->pFiles;
  PartFile *pF = *pp;
  if( pF && partFileIs(pF, p, iBase, iGen) ) return pF;
  for(; (pF = *pp)!=0; pp=&pF->pNext){
    if( partFileIs(pF, p, iBase, iGen) ){
      *pp = pF->pNext;
      pF->pNext = (PartFile*)pStore->pFiles;
      pStore->pFiles = pF;
      return pF;
    }
  }
  return 0;
}

/* Close the least recently used files beyond the limit. */
static void partFileTrim(PrillStore *pStore){
  PartFile **pp = (PartFile**)&pStore->pFiles;
  int n;
  for(n=1; *pp && n<prillLimit.nOpen; n++) pp = &(*pp)->pNext;
  while( *pp ){
    PartFile *pF = *pp;
    *pp = pF->pNext;
    partFileFree(pF);
  }
}

static void partFileForget(PrillPart *p, i64 iBase, i64 iGen){
  PartFile *pF = partFileFind(p, iBase, iGen);
  if( pF==0 ) return;
  assert( pF==(PartFile*)p->pStore->pFiles );
  p->pStore->pFiles = pF->pNext;
  partFileFree(pF);
}

/* The .log file of a segment, open as asked (PRILL_OPEN_*).  Borrowed: good
** until the next call. */
static int partFileOpen(PrillPart *p, i64 iBase, i64 iGen, int eOpen, PrillFile **pp){
  PartFile *pF = partFileFind(p, iBase, iGen);
  char *zPath;
  int rc;
  *pp = 0;
  if( pF && pF->pFile->bReadOnly && eOpen!=PRILL_OPEN_READ ){
    partFileForget(p, iBase, iGen);
    pF = 0;
  }
  if( pF ){
    *pp = pF->pFile;
    return SQLITE_OK;
  }
  partFileTrim(p->pStore);
  zPath = partFullPath(p, iBase, iGen, "log");
  pF = (PartFile*)sqlite3_malloc64(sizeof(*pF));
  if( zPath==0 || pF==0 ){
    sqlite3_free(zPath);
    sqlite3_free(pF);
    return SQLITE_NOMEM;
  }
  memset(pF, 0, sizeof(*pF));
  pF->iPid = p->iPid;
  memcpy(pF->aUuid, p->aUuid, 16);
  pF->iBase = iBase;
  pF->iGen = iGen;
  rc = prillFileOpen(p->pStore->pVfs, zPath, eOpen, p->pStore->zDb, &pF->pFile);
  sqlite3_free(zPath);
  if( rc!=SQLITE_OK ){
    sqlite3_free(pF);
    return rc;
  }
  pF->pNext = (PartFile*)p->pStore->pFiles;
  p->pStore->pFiles = pF;
  *pp = pF->pFile;
  return SQLITE_OK;
}

int prillPartRead(PrillPart *p, i64 iBase, i64 iGen, void *a, i64 n, i64 iPos){
  PrillFile *pFile;
  int rc = prillStoreCheckDir(p->pStore);
  if( rc!=SQLITE_OK ) return rc;
  rc = partFileOpen(p, iBase, iGen, PRILL_OPEN_READ, &pFile);
  if( rc!=SQLITE_OK ){
    return partFileError(p, rc, iBase, iGen, "log",
        "cannot be opened; put the file back or restore the store from a backup");
  }
  rc = prillFileRead(pFile, a, n, iPos);
  if( rc==SQLITE_IOERR_SHORT_READ ) return rc;
  return rc==SQLITE_OK ? rc : partFileError(p, rc, iBase, iGen, "log", "cannot be read; check the disk");
}

/**************************************************************************
** The cached partition.
*/
PrillPart *prillPartNew(PrillTopic *pTopic, int iPid, int iPart){
  PrillPart *p = (PrillPart*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return 0;
  memset(p, 0, sizeof(*p));
  p->nRef = 1;
  p->pStore = pTopic->pStore;
  p->pTopic = pTopic;
  memcpy(p->aUuid, pTopic->aUuid, 16);
  p->iPid = iPid;
  p->iPart = iPart;
  p->iSeen = p->iSegSeen = p->iOwnBase = p->iBadBase = -1;
  return p;
}

static void partFreeSegs(PrillPart *p){
  int i;
  for(i=0; i<p->nSeg; i++) prillIndexFree(&p->aSeg[i].index);
  sqlite3_free(p->aSeg);
  p->aSeg = 0;
  p->nSeg = 0;
  p->iSegSeen = -1;
}

void prillPartUnref(PrillPart *p){
  if( p==0 || --p->nRef>0 ) return;
  prillTailDrop(p);
  partFreeSegs(p);
  sqlite3_free(p);
}

static int partBad(PrillPart *p, const char *zWhat){
  return prillError(p->pStore->pConn, PRILL_CORRUPT, "topic %s partition %d: its %s is damaged; restore"
                    " the database from a backup", p->pTopic ? p->pTopic->zName : "?", p->iPart, zWhat);
}

/* Could these numbers have been written by us? */
static int partExtentOk(const PrillExtent *x){
  if( x->iLogStart>PART_MX_OFF || x->iSegEnd>PART_MX_OFF || x->nAllByte>PART_MX_BYTE
   || x->nAllRec>PART_MX_BYTE || x->iSegVer>PART_MX_BYTE ) return 0;
  if( x->iLogStart<0 || x->iSegEnd<0 || x->iBase<-1 || x->iGen<0 || x->nByte<0 ) return 0;
  if( x->nSynced<0 || x->nSynced>x->nByte || x->nRec<0 || x->nAllByte<x->nByte || x->nAllRec<x->nRec ) return 0;
  if( x->iBase<0 ? (x->nByte!=0) : (x->iBase>x->iSegEnd) ) return 0;
  return x->iSegVer>=0 && x->iEpoch>=0 && x->iEpoch<0x7fffffff;
}

int prillPartLoad(PrillPart *p){
  PrillStore *pStore = p->pStore;
  sqlite3_stmt *pStmt;
  int rc = SQLITE_OK;
  if( p->iSeen>=pStore->iForeign && p->iSeen>=0 ) return SQLITE_OK;
  pStmt = prillStoreStmt(pStore, STMT_PART, &rc);
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_bind_int64(pStmt, 1, p->iPid);
  if( sqlite3_step(pStmt)==SQLITE_ROW ){
    PrillExtent x;
    i64 *const aField[] = {
      &x.iLogStart, &x.iSegEnd, &x.iBase, &x.iGen, &x.nByte, &x.nSynced, &x.nRec, &x.iFirstTs,
      &x.iMaxTs, &x.iMaxTsOff, &x.iMinTs, &x.nAllByte, &x.nAllRec, &x.iSegVer, &x.iEpoch
    };
    int i;
    for(i=0; i<15; i++) *aField[i] = sqlite3_column_int64(pStmt, i);
    prillStoreDone(pStore, pStmt, &rc);
    if( rc==SQLITE_OK && !partExtentOk(&x) ) rc = partBad(p, "extent");
    if( rc!=SQLITE_OK ) return rc;
    p->x = x;
    p->iSeen = pStore->iLocal;
    p->iSegSeen = -1;                 /* the list's version may be another life's */
    if( p->nSeg ) p->aSeg[p->nSeg-1].bIndex = 0;
    rc = prillTailPrune(p);
    if( rc!=SQLITE_OK ) p->iSeen = -1;
  }else{
    prillStoreDone(pStore, pStmt, &rc);
    if( rc==SQLITE_OK ) rc = partBad(p, "extent row (missing)");
  }
  return rc;
}

/* One segment from a row of STMT_SEGS. */
static int partReadSeg(PrillPart *p, sqlite3_stmt *pStmt, PrillSeg *pSeg, i64 iPrevEnd){
  memset(pSeg, 0, sizeof(*pSeg));
  pSeg->iBase = sqlite3_column_int64(pStmt, 0);
  pSeg->iGen = sqlite3_column_int64(pStmt, 1);
  pSeg->bSealed = (u8)(sqlite3_column_type(pStmt, 2)!=SQLITE_NULL);
  if( pSeg->bSealed ){
    pSeg->iEnd = sqlite3_column_int64(pStmt, 2);
    pSeg->nByte = sqlite3_column_int64(pStmt, 3);
    pSeg->nRec = sqlite3_column_int64(pStmt, 4);
    pSeg->iMinTs = sqlite3_column_int64(pStmt, 5);
    pSeg->iMaxTs = sqlite3_column_int64(pStmt, 6);
    pSeg->iIndexCrc = (u32)sqlite3_column_int64(pStmt, 7);
  }else{
    pSeg->iEnd = p->x.iSegEnd;
    pSeg->nByte = p->x.nByte;
    pSeg->nRec = p->x.nRec;
    pSeg->iMinTs = p->x.iMinTs;
    pSeg->iMaxTs = p->x.iMaxTs;
  }
  if( pSeg->iEnd>PART_MX_OFF || pSeg->nByte>PART_MX_BYTE || pSeg->nRec<0 || pSeg->nRec>PART_MX_BYTE
   || pSeg->iBase<iPrevEnd || pSeg->iGen<0 || pSeg->iEnd<pSeg->iBase || pSeg->nByte<0
   || (!pSeg->bSealed && (pSeg->iBase!=p->x.iBase || pSeg->iGen!=p->x.iGen)) ){
    return partBad(p, "segment list");
  }
  return SQLITE_OK;
}

/* The active segment's figures follow the extent. */
static void partActiveSeg(PrillPart *p){
  PrillSeg *pSeg = p->nSeg ? &p->aSeg[p->nSeg-1] : 0;
  if( pSeg==0 || pSeg->bSealed ) return;
  pSeg->iEnd = p->x.iSegEnd;
  pSeg->nByte = p->x.nByte;
  pSeg->nRec = p->x.nRec;
  pSeg->iMinTs = p->x.iMinTs;
  pSeg->iMaxTs = p->x.iMaxTs;
}

int prillPartSegs(PrillPart *p){
  sqlite3_stmt *pStmt;
  int nAlloc = 0;
  i64 iPrevEnd = 0;
  int rc = prillPartLoad(p);
  if( rc!=SQLITE_OK ) return rc;
  if( p->iSegSeen==p->x.iSegVer ){
    partActiveSeg(p);
    return SQLITE_OK;
  }
  partFreeSegs(p);
  pStmt = prillStoreStmt(p->pStore, STMT_SEGS, &rc);
  if( pStmt ) sqlite3_bind_int64(pStmt, 1, p->iPid);
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    if( p->nSeg>=nAlloc ){
      PrillSeg *a;
      nAlloc = nAlloc*2 + 8;
      a = (PrillSeg*)sqlite3_realloc64(p->aSeg, sizeof(*a)*(u64)nAlloc);
      if( a==0 ){
        rc = SQLITE_NOMEM;
        break;
      }
      p->aSeg = a;
    }
    rc = partReadSeg(p, pStmt, &p->aSeg[p->nSeg], iPrevEnd);
    if( rc==SQLITE_OK ) iPrevEnd = p->aSeg[p->nSeg++].iEnd;
  }
  if( pStmt ) prillStoreDone(p->pStore, pStmt, &rc);
  if( rc==SQLITE_OK && (p->x.iBase>=0)!=(p->nSeg>0 && !p->aSeg[p->nSeg-1].bSealed) ){
    rc = partBad(p, "segment list");
  }
  if( rc==SQLITE_OK ){
    p->iSegSeen = p->x.iSegVer;
  }else{
    partFreeSegs(p);
  }
  return rc;
}

/* Entries of a blob of prill_store_index; malformed ones end it. */
static void partIndexBlob(int *pRc, PrillIndex *pIndex, const u8 *a, i64 n, i64 nByte, i64 iEnd){
  for(; *pRc==SQLITE_OK && n>=32; a+=32, n-=32){
    i64 iPos = prillGet64(a+16);
    if( iPos<=0 || iPos>=nByte || prillGet64(a)<0 || prillGet64(a)>prillGet64(a+8) ) return;
    if( pIndex->n && (iPos<=pIndex->a[pIndex->n-1].iPos
                   || prillGet64(a)<=pIndex->a[pIndex->n-1].iOff
                   || prillGet64(a+8)<=pIndex->a[pIndex->n-1].iLast) ) return;
    if( prillGet64(a+8)>=iEnd ) return;
    prillIndexAdd(pRc, pIndex, prillGet64(a), prillGet64(a+8), iPos, prillGet64(a+24));
  }
}

/* The bytes of one of a sealed segment's index files; a missing or odd file
** gives none: the log is then read from its start. */
static int partIndexFile(PrillPart *p, const PrillSeg *pSeg, const char *zExt, PrillBuf *pBuf){
  PrillFile *pFile = 0;
  i64 n = 0;
  char *zPath = partFullPath(p, pSeg->iBase, pSeg->iGen, zExt);
  int rc = zPath ? prillFileOpen(p->pStore->pVfs, zPath, PRILL_OPEN_READ, 0, &pFile) : SQLITE_NOMEM;
  sqlite3_free(zPath);
  if( rc!=SQLITE_OK ) return (rc&0xff)==SQLITE_CANTOPEN ? SQLITE_OK : rc;
  rc = prillFileSize(pFile, &n);
  if( rc==SQLITE_OK && n>0 && n<=pSeg->nByte ){
    u8 *a = prillBufRoom(&rc, pBuf, n);
    if( rc==SQLITE_OK ) rc = prillFileRead(pFile, a, n, 0);
    if( rc==SQLITE_OK ) pBuf->n = n;
  }
  prillFileClose(pFile);
  return rc;
}

int prillPartIndex(PrillPart *p, int iSeg){
  PrillSeg *pSeg = &p->aSeg[iSeg];
  int rc = SQLITE_OK;
  if( pSeg->bIndex ) return SQLITE_OK;
  prillIndexFree(&pSeg->index);
  if( !pSeg->bSealed ){
    sqlite3_stmt *pStmt = prillStoreStmt(p->pStore, STMT_INDEX, &rc);
    if( pStmt ){
      sqlite3_bind_int64(pStmt, 1, p->iPid);
      sqlite3_bind_int64(pStmt, 2, pSeg->iBase);
      while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
        partIndexBlob(&rc, &pSeg->index, (const u8*)sqlite3_column_blob(pStmt, 0),
                      sqlite3_column_bytes(pStmt, 0), pSeg->nByte, pSeg->iEnd);
      }
      prillStoreDone(p->pStore, pStmt, &rc);
    }
  }else{
    PrillBuf idx = {0,0,0}, time = {0,0,0};
    rc = partIndexFile(p, pSeg, "index", &idx);
    if( rc==SQLITE_OK ) rc = partIndexFile(p, pSeg, "timeindex", &time);
    /* A file that is not what was written is no index: the log is then read
    ** from the segment's start. */
    if( rc==SQLITE_OK && prillCrc32c(prillCrc32c(0, idx.a, idx.n), time.a, time.n)==pSeg->iIndexCrc ){
      rc = prillIndexDecode(idx.a, idx.n, time.a, time.n, pSeg->iBase, &pSeg->index);
      if( (rc&0xff)==SQLITE_CORRUPT ){
        prillIndexFree(&pSeg->index);
        rc = SQLITE_OK;
      }
    }
    prillBufFree(&idx);
    prillBufFree(&time);
  }
  if( rc==SQLITE_OK ) pSeg->bIndex = 1;
  return rc;
}

i64 prillPartEnd(const PrillPart *p){
  i64 iEnd = p->x.iSegEnd;
  if( p->nTail && p->apTail[p->nTail-1]->iNext>iEnd ) iEnd = p->apTail[p->nTail-1]->iNext;
  return PRILL_MAX(iEnd, p->x.iLogStart);
}

i64 prillPartNext(const PrillPart *p){
  return p->pWrite ? p->pWrite->iNext : prillPartEnd(p);
}

i64 prillPartRecords(const PrillPart *p){
  i64 n = p->x.nAllRec;
  int i;
  for(i=0; i<p->nTail; i++) n += p->apTail[i]->nRec;
  return n;
}

/**************************************************************************
** A transaction's write.
*/
static const char zWriteRemedy[] =
  "cannot be written; check space and permissions, then try again: the partition goes on in a new segment";

/* R7: this file takes no more appends from this connection. */
static int writeFailed(PrillWrite *w, int rc, i64 iBase, i64 iGen, const char *zExt){
  PrillPart *p = w->pPart;
  p->iBadBase = iBase;
  p->iBadGen = iGen;
  p->pStore->nFailed++;
  partFileForget(p, iBase, iGen);
  return partFileError(p, rc, iBase, iGen, zExt, zWriteRemedy);
}

static PrillWriteSeg *writePushSeg(PrillWrite *w, i64 iBase, i64 iGen, int bNew){
  PrillWriteSeg *pSeg;
  if( w->nSeg>=w->nSegAlloc ){
    int nAlloc = w->nSegAlloc*2 + 2;
    PrillWriteSeg *a = (PrillWriteSeg*)sqlite3_realloc64(w->aSeg, sizeof(*a)*(u64)nAlloc);
    if( a==0 ) return 0;
    w->aSeg = a;
    w->nSegAlloc = nAlloc;
  }
  pSeg = &w->aSeg[w->nSeg++];
  memset(pSeg, 0, sizeof(*pSeg));
  pSeg->iBase = iBase;
  pSeg->iGen = iGen;
  pSeg->bNew = (u8)bNew;
  return pSeg;
}

/* Is what lies above the committed end ours to overwrite (I2)?  Sets bRoll
** when not. */
static int writeLook(PrillWrite *w){
  PrillPart *p = w->pPart;
  PrillFile *pFile;
  u8 a[64];
  i64 nSize = 0;
  size_t i;
  int rc;
  if( p->iBadBase==w->x.iBase && p->iBadGen==w->x.iGen ){
    w->bRoll = 1;
    return SQLITE_OK;
  }
  rc = partFileOpen(p, w->x.iBase, w->x.iGen, PRILL_OPEN_WRITE, &pFile);
  if( rc!=SQLITE_OK ){
    return partFileError(p, rc, w->x.iBase, w->x.iGen, "log",
        "cannot be opened for writing; put the file back or restore the store from a backup");
  }
  rc = prillFileSize(pFile, &nSize);
  if( rc==SQLITE_OK && nSize<w->x.nByte ){
    return partFileError(p, PRILL_CORRUPT, w->x.iBase, w->x.iGen, "log",
        "is shorter than its committed records; restore the store from a backup");
  }
  if( p->pStore->eFlush==PRILL_FLUSH_OS && p->iOwnBase==w->x.iBase && p->iOwnGen==w->x.iGen
   && p->iOwnFrom<=w->x.nByte && p->iOwnTo>w->x.nByte ){
    w->bRoll = 1;                                                        /* I7 */
    return rc;
  }
  if( rc==SQLITE_OK && nSize>w->x.nByte
   && !(p->iOwnBase==w->x.iBase && p->iOwnGen==w->x.iGen && p->iOwnFrom<=w->x.nByte
        && p->iOwnTo>w->x.nByte) ){
    rc = prillFileRead(pFile, a, 64, w->x.nByte);
    if( rc==SQLITE_IOERR_SHORT_READ ) rc = SQLITE_OK;
    for(i=0; rc==SQLITE_OK && i<sizeof(a); i++){
      if( a[i] ) w->bRoll = 1;
    }
  }
  if( rc!=SQLITE_OK ) rc = partFileError(p, rc, w->x.iBase, w->x.iGen, "log", "cannot be read; check the disk");
  return rc;
}

int prillWriteFlush(PrillWrite *w){
  PrillPart *p = w->pPart;
  PrillFile *pFile;
  int rc;
  if( w->buf.n==0 ) return SQLITE_OK;
  rc = partFileOpen(p, w->x.iBase, w->x.iGen, PRILL_OPEN_WRITE, &pFile);
  if( rc==SQLITE_OK ) rc = prillFileWrite(pFile, w->buf.a, w->buf.n, w->iBufPos);
  if( rc!=SQLITE_OK ) return writeFailed(w, rc, w->x.iBase, w->x.iGen, "log");
  if( p->iOwnBase!=w->x.iBase || p->iOwnGen!=w->x.iGen ){
    p->iOwnBase = w->x.iBase;
    p->iOwnGen = w->x.iGen;
    p->iOwnFrom = w->iBufPos;
    p->iOwnTo = 0;
  }
  w->iBufPos += w->buf.n;
  if( w->iBufPos>p->iOwnTo ) p->iOwnTo = w->iBufPos;
  w->pPart->pStore->pStage->nByte -= w->buf.n;
  w->buf.n = 0;
  return SQLITE_OK;
}

/* Make the file of a new segment: the first generation of the name that does
** not exist.  Its directory entry is durable on return (I3). */
static int writeNewFile(PrillWrite *w, i64 iBase, i64 *piGen){
  PrillPart *p = w->pPart;
  PrillFile *pFile = 0;
  int eLevel;
  i64 iGen;
  int rc = prillStoreMakeDir(p->pStore);
  if( rc==SQLITE_OK && w->x.iSegVer==0 ){
    char *zDir = partFullPath(p, 0, 0, "");
    rc = zDir ? prillFileMkdir(p->pStore->pVfs, zDir, p->pStore->zDb) : SQLITE_NOMEM;
    if( rc!=SQLITE_OK ){
      prillError(p->pStore->pConn, rc, "cannot make the directory %s; check space and permissions",
                 zDir ? zDir : "");
    }
    sqlite3_free(zDir);
  }
  if( rc!=SQLITE_OK ) return rc;
  for(iGen=0; iGen<1000; iGen++){
    rc = SQLITE_CONSTRAINT;
    if( p->pStore->eFlush==PRILL_FLUSH_OS && partFileFind(p, iBase, iGen) ) continue;   /* I7 */
    rc = partFileOpen(p, iBase, iGen, PRILL_OPEN_NEW, &pFile);
    if( rc!=SQLITE_CONSTRAINT ) break;
  }
  if( rc!=SQLITE_OK ) return partFileError(p, rc, iBase, iGen, "log", zWriteRemedy);
  rc = prillStageLevel(p->pStore->pStage, &eLevel);
  if( rc==SQLITE_OK && eLevel>0 ){
    rc = prillFileSync(pFile);
    if( rc!=SQLITE_OK ) return writeFailed(w, rc, iBase, iGen, "log");
  }
  *piGen = iGen;
  return rc;
}

/* Close the active segment, if there is one, and open another at iBase. */
static int writeRoll(PrillWrite *w, i64 iBase, i64 iTs){
  PrillWriteSeg *pSeg;
  i64 iGen = 0;
  int rc = prillWriteFlush(w);
  if( rc==SQLITE_OK ) rc = writeNewFile(w, iBase, &iGen);
  if( rc!=SQLITE_OK ) return rc;
  if( w->x.iBase>=0 ){
    pSeg = &w->aSeg[w->nSeg-1];
    assert( pSeg->iBase==w->x.iBase && pSeg->iGen==w->x.iGen );
    pSeg->bSealed = 1;
    pSeg->bUncut = w->bRoll;
    pSeg->iEnd = w->x.iSegEnd;
    pSeg->nByte = w->x.nByte;
    pSeg->nRec = w->x.nRec;
    pSeg->iMinTs = w->x.iMinTs;
    pSeg->iMaxTs = w->x.iMaxTs;
    pSeg->iMaxTsOff = w->x.iMaxTsOff;
  }
  pSeg = writePushSeg(w, iBase, iGen, 1);
  if( pSeg==0 ) return SQLITE_NOMEM;
  w->x.iBase = iBase;
  w->x.iGen = iGen;
  w->x.nByte = w->x.nSynced = w->x.nRec = 0;
  w->x.iFirstTs = w->x.iMaxTs = w->x.iMinTs = iTs;
  w->x.iMaxTsOff = iBase;
  w->x.iSegVer++;
  w->iBufPos = 0;
  w->bRoll = 0;
  return SQLITE_OK;
}

/* Before a batch of at most nByte bytes: roll when the segment is full, old,
** or not to be appended to. */
static int writeRoom(PrillWrite *w, i64 nByte, const PrillBatch *pB){
  const PrillConfig *pCfg = &w->pTopic->cfg;
  i64 szSegment = pCfg->szSegment;
  int bRoll = w->bRoll || w->x.iBase<0;
  if( pCfg->szRetention>=0 ) szSegment = PRILL_MIN(szSegment, PRILL_MAX(pCfg->szRetention/8, 1024));
  if( !bRoll && w->x.nByte>0 ){
    bRoll = w->x.nByte+nByte>szSegment || w->x.nByte+nByte>0x7fffffff
         || pB->iBase+pB->dLast-w->x.iBase>0x7fffffff
         || (pB->iMaxTs>w->x.iFirstTs && (u64)pB->iMaxTs-(u64)w->x.iFirstTs>(u64)pCfg->msSegment);
  }
  return bRoll ? writeRoll(w, pB->iBase, pB->iBaseTs) : SQLITE_OK;
}

/* One chunk as one batch. */
static int writeBatch(PrillWrite *w, const PrillChunk *pChunk){
  const PrillConfig *pCfg = &w->pTopic->cfg;
  int eCodec = pCfg->eCompress==PRILL_PRODUCER ? PRILL_LZ4 : pCfg->eCompress;
  PrillWriteSeg *pSeg;
  PrillBatch b;
  i64 iPos, nBefore;
  int rc;
  memset(&b, 0, sizeof(b));
  b.iBase = pChunk->iBase;
  b.iEpoch = (i32)pChunk->iEpoch;
  /* The attribute gives every record the batch's greatest timestamp: only
  ** where that changes nothing may it stand. */
  b.mAttr = pCfg->bAppendTime && pChunk->iMinTs==pChunk->iMaxTs ? PRILL_ATTR_APPENDTIME : 0;
  b.dLast = pChunk->nRec-1;
  b.iBaseTs = pChunk->iBaseTs;
  b.iMaxTs = pChunk->iMaxTs;
  b.iProducer = -1;
  b.iProducerEpoch = -1;
  b.iSeq = -1;
  b.nRec = pChunk->nRec;
  rc = writeRoom(w, PRILL_BATCH_HDR+pChunk->buf.n, &b);
  nBefore = w->buf.n;
  prillBatchEncode(&rc, &w->buf, &b, eCodec, pChunk->buf.a, pChunk->buf.n);
  if( rc!=SQLITE_OK ){
    w->buf.n = nBefore;
    return rc;
  }
  w->pPart->pStore->pStage->nByte += b.nByte;
  pSeg = &w->aSeg[w->nSeg-1];
  iPos = w->x.nByte;
  if( iPos==0 || pChunk->iMaxTs>w->x.iMaxTs ){
    w->x.iMaxTs = pChunk->iMaxTs;
    w->x.iMaxTsOff = pChunk->iNext-1;
  }
  if( iPos==0 || pChunk->iMinTs<w->x.iMinTs ) w->x.iMinTs = pChunk->iMinTs;
  if( iPos>0 ){
    /* Entries of earlier transactions are in the cached segment. */
    i64 iLast = pSeg->index.n ? pSeg->index.a[pSeg->index.n-1].iPos : 0;
    if( pSeg->index.n==0 && !pSeg->bNew ){
      PrillIndex *pOld = &w->pPart->aSeg[w->pPart->nSeg-1].index;
      if( pOld->n ) iLast = pOld->a[pOld->n-1].iPos;
    }
    if( iPos-iLast>=prillLimit.szIndex ){
      prillIndexAdd(&rc, &pSeg->index, pChunk->iBase, pChunk->iNext-1, iPos, w->x.iMaxTs);
    }
  }
  w->x.nByte += b.nByte;
  w->x.nAllByte += b.nByte;
  w->x.nRec += pChunk->nRec;
  w->x.nAllRec += pChunk->nRec;
  w->x.iSegEnd = pChunk->iNext;
  if( rc==SQLITE_OK && w->buf.n>=prillLimit.szWrite ) rc = prillWriteFlush(w);
  return rc;
}

/* Move the records of pIn into *ppWork, writing it out whenever it is full. */
static int writeRebatch(PrillWrite *w, PrillChunk *pIn, PrillChunk **ppWork){
  const u8 *a = pIn->buf.a;
  const u8 *aEnd = a + pIn->buf.n;
  PrillChunk *pWork = *ppWork;
  PrillRecord r;
  i64 iOff = pIn->iBase;
  int rc = SQLITE_OK;
  while( rc==SQLITE_OK && a<aEnd ){
    i64 n = prillRecordDecode(a, aEnd, pIn->iBase, pIn->iBaseTs, &r);
    if( n==0 || r.iOff!=iOff ) return partBad(w->pPart, "tail");
    iOff++;
    a += n;
    if( pWork && (pWork->buf.n+n>w->pTopic->cfg.szBatch || pWork->iNext!=r.iOff || pWork->iEpoch!=pIn->iEpoch) ){
      rc = writeBatch(w, pWork);
      prillChunkUnref(pWork);
      pWork = 0;
    }
    if( pWork==0 ) pWork = prillChunkNew(&rc, r.iOff, r.iTs, pIn->iEpoch);
    if( pWork ) prillChunkAppend(&rc, pWork, &r);
  }
  *ppWork = pWork;
  return rc;
}

int prillWriteChunks(PrillWrite *w, PrillChunk **apChunk, int nChunk){
  PrillChunk *pWork = 0;
  int i;
  int rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<nChunk; i++){
    if( apChunk[i]->buf.n*2>=w->pTopic->cfg.szBatch || (nChunk==1 && apChunk[i]->nRec>0) ){
      /* Large enough to stand as a batch of its own. */
      if( pWork ) rc = writeBatch(w, pWork);
      prillChunkUnref(pWork);
      pWork = 0;
      if( rc==SQLITE_OK ) rc = writeBatch(w, apChunk[i]);
    }else{
      rc = writeRebatch(w, apChunk[i], &pWork);
    }
  }
  if( rc==SQLITE_OK && pWork ) rc = writeBatch(w, pWork);
  prillChunkUnref(pWork);
  return rc;
}

int prillWriteStart(PrillWrite *w){
  PrillPart *p = w->pPart;
  int rc;
  assert( !w->bDirect );
  rc = prillPartSegs(p);
  if( rc==SQLITE_OK && w->x.iBase>=0 ){
    rc = prillStoreCheckDir(p->pStore);
    if( rc==SQLITE_OK ) rc = prillPartIndex(p, p->nSeg-1);
    if( rc==SQLITE_OK ) rc = writeLook(w);
    if( rc==SQLITE_OK && w->nSeg==0 && writePushSeg(w, w->x.iBase, w->x.iGen, 0)==0 ) rc = SQLITE_NOMEM;
    w->iBufPos = w->x.nByte;
  }
  if( rc!=SQLITE_OK ) return rc;
  w->bDirect = 1;
  return prillWriteChunks(w, p->apTail, p->nTail);
}

/* The two index files of a segment about to be sealed. */
static int writeIndexFile(PrillWrite *w, PrillWriteSeg *pSeg, const char *zExt, const PrillBuf *pBuf, int bSync){
  PrillFile *pFile = 0;
  char *zPath = partFullPath(w->pPart, pSeg->iBase, pSeg->iGen, zExt);
  int rc = zPath ? prillFileOpen(w->pPart->pStore->pVfs, zPath, PRILL_OPEN_CREATE,
                                 w->pPart->pStore->zDb, &pFile) : SQLITE_NOMEM;
  sqlite3_free(zPath);
  if( rc==SQLITE_OK && pBuf->n ) rc = prillFileWrite(pFile, pBuf->a, pBuf->n, 0);
  if( rc==SQLITE_OK ) rc = prillFileTruncate(pFile, pBuf->n);
  if( rc==SQLITE_OK && bSync ) rc = prillFileSync(pFile);
  prillFileClose(pFile);
  return rc==SQLITE_OK ? rc : partFileError(w->pPart, rc, pSeg->iBase, pSeg->iGen, zExt, zWriteRemedy);
}

/* Cut a sealed segment's file to its length and write its indexes. */
static int writeSeal(PrillWrite *w, PrillWriteSeg *pSeg, int bSync){
  PrillPart *p = w->pPart;
  PrillIndex all = {0,0,0};
  PrillBuf idx = {0,0,0}, time = {0,0,0};
  PrillFile *pFile;
  i64 nSize = 0;
  int i;
  int rc = SQLITE_OK;
  if( !pSeg->bNew ){
    PrillIndex *pOld = &p->aSeg[p->nSeg-1].index;
    for(i=0; i<pOld->n; i++){
      prillIndexAdd(&rc, &all, pOld->a[i].iOff, pOld->a[i].iLast, pOld->a[i].iPos, pOld->a[i].iMaxTs);
    }
  }
  for(i=0; i<pSeg->index.n; i++){
    PrillIndexEntry *pE = &pSeg->index.a[i];
    prillIndexAdd(&rc, &all, pE->iOff, pE->iLast, pE->iPos, pE->iMaxTs);
  }
  if( pSeg->nRec>0 ) prillIndexEncode(&rc, &all, pSeg->iBase, &idx, &time, pSeg->iMaxTs, pSeg->iMaxTsOff);
  if( rc==SQLITE_OK ) pSeg->iIndexCrc = prillCrc32c(prillCrc32c(0, idx.a, idx.n), time.a, time.n);
  if( rc==SQLITE_OK ) rc = writeIndexFile(w, pSeg, "index", &idx, bSync);
  if( rc==SQLITE_OK ) rc = writeIndexFile(w, pSeg, "timeindex", &time, bSync);
  if( rc==SQLITE_OK ){
    rc = partFileOpen(p, pSeg->iBase, pSeg->iGen, PRILL_OPEN_WRITE, &pFile);
    if( rc==SQLITE_OK ) rc = prillFileSize(pFile, &nSize);
    if( rc==SQLITE_OK && nSize>pSeg->nByte && !pSeg->bUncut ) rc = prillFileTruncate(pFile, pSeg->nByte);
    if( rc!=SQLITE_OK ) rc = writeFailed(w, rc, pSeg->iBase, pSeg->iGen, "log");
  }
  prillIndexFree(&all);
  prillBufFree(&idx);
  prillBufFree(&time);
  return rc;
}

int prillWriteFiles(PrillWrite *w){
  static const u8 aZero[64];
  PrillPart *p = w->pPart;
  int eLevel = 0, i;
  int rc = prillStageLevel(p->pStore->pStage, &eLevel);
  if( rc==SQLITE_OK ) rc = prillWriteFlush(w);
  for(i=0; rc==SQLITE_OK && i<w->nSeg; i++){
    if( w->aSeg[i].bSealed ) rc = writeSeal(w, &w->aSeg[i], eLevel>0);
  }
  if( rc==SQLITE_OK && p->iOwnBase==w->x.iBase && p->iOwnGen==w->x.iGen
   && p->iOwnFrom<=w->x.nByte && p->iOwnTo>w->x.nByte ){
    /* Bytes of a part taken back lie above the end: blank their beginning so
    ** that other connections may append here too. */
    PrillFile *pFile;
    rc = partFileOpen(p, w->x.iBase, w->x.iGen, PRILL_OPEN_WRITE, &pFile);
    if( rc==SQLITE_OK ) rc = prillFileWrite(pFile, aZero, sizeof(aZero), w->x.nByte);
    if( rc!=SQLITE_OK ) rc = writeFailed(w, rc, w->x.iBase, w->x.iGen, "log");
  }
  return rc;
}

/* With flush=os: has flush.ms passed since this connection last synced the
** partition? */
static int writeSyncDue(PrillPart *p){
  PrillStore *pStore = p->pStore;
  i64 iNow;
  if( pStore->eFlush!=PRILL_FLUSH_OS ) return 1;
  if( pStore->msFlush<0 ) return 0;
  iNow = prillNow(pStore->pVfs);
  if( iNow>=p->iSyncTime && iNow-p->iSyncTime<pStore->msFlush ) return 0;
  p->iSyncTime = iNow;
  return 1;
}

/* A sync of the active segment's file failed, and committed bytes were among
** what it was to write: nothing but writing them again brings them to the disk
** (R7). */
static int partRewrite(PrillPart *p, PrillFile *pFile){
  PrillBuf b = {0,0,0};
  i64 iPos = p->x.nSynced;
  int rc = SQLITE_OK;
  u8 *a = prillBufRoom(&rc, &b, 65536);
  while( rc==SQLITE_OK && iPos<p->x.nByte ){
    i64 n = PRILL_MIN(65536, p->x.nByte-iPos);
    rc = prillFileRead(pFile, a, n, iPos);
    if( rc==SQLITE_OK ) rc = prillFileWrite(pFile, a, n, iPos);
    iPos += n;
  }
  prillBufFree(&b);
  return rc;
}

/* Sync the file, open for writing, of segment (iBase, iGen). */
static int partSync(PrillPart *p, PrillFile *pFile, i64 iBase, i64 iGen){
  int rc = SQLITE_OK;
  if( p->iBadBase==iBase && p->iBadGen==iGen && p->x.iBase==iBase && p->x.iGen==iGen ){
    rc = partRewrite(p, pFile);
  }
  return rc==SQLITE_OK ? prillFileSync(pFile) : rc;
}

int prillWriteSync(PrillWrite *w){
  PrillPart *p = w->pPart;
  PrillStore *pStore = p->pStore;
  int eLevel = 0, i, bDue;
  int rc = prillStageLevel(pStore->pStage, &eLevel);
  if( rc!=SQLITE_OK || eLevel==0 ) return rc;
  bDue = writeSyncDue(p);
  for(i=0; rc==SQLITE_OK && i<w->nSeg; i++){
    PrillFile *pFile;
    if( !bDue && !w->aSeg[i].bSealed ) continue;
    rc = partFileOpen(p, w->aSeg[i].iBase, w->aSeg[i].iGen, PRILL_OPEN_WRITE, &pFile);
    if( rc==SQLITE_OK ) rc = partSync(p, pFile, w->aSeg[i].iBase, w->aSeg[i].iGen);
    if( rc!=SQLITE_OK ){
      rc = writeFailed(w, rc, w->aSeg[i].iBase, w->aSeg[i].iGen, "log");
    }else if( i==w->nSeg-1 ){
      w->x.nSynced = w->x.nByte;
    }
  }
  return rc;
}

/* Upkeep of an active segment, under the write lock: sync what an earlier
** transaction left unsynced, and zero-fill ahead of the end, as far as the
** segment is long, while *pnBudget lasts.  *pbSynced: OUT. */
int prillPartAhead(PrillPart *p, i64 *pnBudget, int *pbSynced){
  static const u8 aZero[65536];
  PrillFile *pFile;
  i64 nSize = 0, nWant;
  int rc = prillPartSegs(p);
  *pbSynced = 0;
  if( rc!=SQLITE_OK || p->x.iBase<0 || p->x.nByte<(i64)sizeof(aZero) ) nWant = 0;
  else nWant = PRILL_MIN(p->x.nByte + PRILL_MIN(p->x.nByte, *pnBudget), p->pTopic->cfg.szSegment);
  if( rc!=SQLITE_OK || p->x.iBase<0 || (nWant==0 && p->x.nSynced>=p->x.nByte) ) return rc;
  rc = partFileOpen(p, p->x.iBase, p->x.iGen, PRILL_OPEN_WRITE, &pFile);
  if( rc==SQLITE_OK ) rc = prillFileSize(pFile, &nSize);
  if( rc==SQLITE_OK && nSize>=p->x.nByte && nSize-p->x.nByte<(nWant-p->x.nByte)/2 ){
    while( rc==SQLITE_OK && nSize<nWant ){
      i64 n = PRILL_MIN((i64)sizeof(aZero), nWant-nSize);
      rc = prillFileWrite(pFile, aZero, n, nSize);
      nSize += n;
      *pnBudget -= n;
    }
    if( rc==SQLITE_OK ) rc = partSync(p, pFile, p->x.iBase, p->x.iGen);
    *pbSynced = rc==SQLITE_OK;
  }else if( rc==SQLITE_OK && p->x.nSynced<p->x.nByte ){
    rc = partSync(p, pFile, p->x.iBase, p->x.iGen);
    *pbSynced = rc==SQLITE_OK;
  }
  if( rc!=SQLITE_OK ){
    p->iBadBase = p->x.iBase;
    p->iBadGen = p->x.iGen;
    rc = partFileError(p, rc, p->x.iBase, p->x.iGen, "log", zWriteRemedy);
  }
  return rc;
}

/**************************************************************************
** Rows.
*/

/* The extent row, all but log_start: that is moved by SQL (trim.c). */
static int writePartRow(PrillWrite *w){
  const PrillExtent *x = &w->x;
  const i64 a[] = {
    x->iSegEnd, x->iBase, x->iGen, x->nByte, x->nSynced, x->nRec, x->iFirstTs,
    x->iMaxTs, x->iMaxTsOff, x->iMinTs, x->nAllByte, x->nAllRec, x->iSegVer, x->iEpoch
  };
  int i;
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(w->pPart->pStore, STMT_PUT_PART, &rc);
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_bind_int64(pStmt, 1, w->pPart->iPid);
  for(i=0; i<14; i++) sqlite3_bind_int64(pStmt, i+2, a[i]);
  sqlite3_step(pStmt);
  prillStoreDone(w->pPart->pStore, pStmt, &rc);
  return rc;
}

static int writeSegRow(PrillWrite *w, const PrillWriteSeg *pSeg){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(w->pPart->pStore, STMT_PUT_SEG, &rc);
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_bind_int64(pStmt, 1, w->pPart->iPid);
  sqlite3_bind_int64(pStmt, 2, pSeg->iBase);
  sqlite3_bind_int64(pStmt, 3, pSeg->iGen);
  if( pSeg->bSealed ){
    sqlite3_bind_int64(pStmt, 4, pSeg->iEnd);
    sqlite3_bind_int64(pStmt, 5, pSeg->nByte);
    sqlite3_bind_int64(pStmt, 6, pSeg->nRec);
    sqlite3_bind_int64(pStmt, 7, pSeg->iMinTs);
    sqlite3_bind_int64(pStmt, 8, pSeg->iMaxTs);
    sqlite3_bind_int64(pStmt, 9, pSeg->iIndexCrc);
  }else{
    int i;
    for(i=4; i<=9; i++) sqlite3_bind_null(pStmt, i);
  }
  sqlite3_step(pStmt);
  prillStoreDone(w->pPart->pStore, pStmt, &rc);
  return rc;
}

/* The active segment's new index entries as a row; or, once sealed, no rows (an
** earlier xSync may have written some while it was active). */
static int writeIndexRow(PrillWrite *w, const PrillWriteSeg *pSeg){
  PrillStore *pStore = w->pPart->pStore;
  PrillBuf b = {0,0,0};
  sqlite3_stmt *pStmt;
  int i;
  int rc = SQLITE_OK;
  if( !pSeg->bSealed && pSeg->index.n==0 ) return SQLITE_OK;
  pStmt = prillStoreStmt(pStore, pSeg->bSealed ? STMT_DEL_INDEX : STMT_PUT_INDEX, &rc);
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_bind_int64(pStmt, 1, w->pPart->iPid);
  sqlite3_bind_int64(pStmt, 2, pSeg->iBase);
  if( !pSeg->bSealed ){
    u8 *a = prillBufRoom(&rc, &b, (i64)pSeg->index.n*32);
    for(i=0; rc==SQLITE_OK && i<pSeg->index.n; i++, a+=32){
      prillPut64(a, pSeg->index.a[i].iOff);
      prillPut64(a+8, pSeg->index.a[i].iLast);
      prillPut64(a+16, pSeg->index.a[i].iPos);
      prillPut64(a+24, pSeg->index.a[i].iMaxTs);
    }
    sqlite3_bind_int64(pStmt, 3, pSeg->index.a[0].iOff);
    if( rc==SQLITE_OK ) sqlite3_bind_blob64(pStmt, 4, b.a, (u64)pSeg->index.n*32, SQLITE_STATIC);
  }
  if( rc==SQLITE_OK ) sqlite3_step(pStmt);
  prillStoreDone(pStore, pStmt, &rc);
  sqlite3_clear_bindings(pStmt);
  prillBufFree(&b);
  return rc;
}

/* Files of earlier generations of a new segment's name are in nobody's list:
** a crash left them. */
static int writeOrphans(PrillWrite *w, const PrillWriteSeg *pSeg){
  PrillStore *pStore = w->pPart->pStore;
  i64 iGen;
  int rc = SQLITE_OK;
  for(iGen=0; rc==SQLITE_OK && iGen<pSeg->iGen; iGen++){
    static const char *const azExt[] = {"log", "index", "timeindex"};
    int i;
    for(i=0; rc==SQLITE_OK && i<3; i++){
      char *z = prillPartPath(w->pPart, pSeg->iBase, iGen, azExt[i]);
      sqlite3_stmt *pStmt = z ? prillStoreStmt(pStore, STMT_PUT_TRASH, &rc) : 0;
      if( z==0 ) return SQLITE_NOMEM;
      if( pStmt ){
        sqlite3_bind_text(pStmt, 1, z, -1, SQLITE_TRANSIENT);
        sqlite3_step(pStmt);
        prillStoreDone(pStore, pStmt, &rc);
      }
      sqlite3_free(z);
    }
  }
  return rc;
}

/* Note what a power cut took, and drop the segment's index entries: some of
** them point past its end. */
static int writeGapRow(PrillWrite *w){
  PrillStore *pStore = w->pPart->pStore;
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(pStore, STMT_PUT_GAP, &rc);
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_bind_int64(pStmt, 1, w->pPart->iPid);
  sqlite3_bind_int64(pStmt, 2, w->iGapFirst);
  sqlite3_bind_int64(pStmt, 3, w->iGapLast);
  sqlite3_bind_int64(pStmt, 4, prillNow(pStore->pVfs));
  sqlite3_step(pStmt);
  prillStoreDone(pStore, pStmt, &rc);
  pStmt = prillStoreStmt(pStore, STMT_DEL_INDEX, &rc);
  if( rc!=SQLITE_OK ) return rc;
  sqlite3_bind_int64(pStmt, 1, w->pPart->iPid);
  sqlite3_bind_int64(pStmt, 2, w->pPart->x.iBase);
  sqlite3_step(pStmt);
  prillStoreDone(pStore, pStmt, &rc);
  return rc;
}

int prillWriteRows(PrillWrite *w){
  int i;
  int rc = writePartRow(w);
  if( rc==SQLITE_OK && w->iGapLast>=w->iGapFirst ) rc = writeGapRow(w);
  for(i=0; rc==SQLITE_OK && i<w->nSeg; i++){
    PrillWriteSeg *pSeg = &w->aSeg[i];
    if( pSeg->bNew || pSeg->bSealed ) rc = writeSegRow(w, pSeg);
    if( rc==SQLITE_OK ) rc = writeIndexRow(w, pSeg);
    if( rc==SQLITE_OK && pSeg->bNew && pSeg->iGen>0 ) rc = writeOrphans(w, pSeg);
  }
  return rc;
}

/**************************************************************************
** The end of a write.
*/
void prillWriteRewind(PrillWrite *w, const PrillRun *pRun){
  const PrillExtent *pX = &pRun->before;
  w->pPart->iRewind++;
  while( w->nSeg>pRun->nSegBefore ) prillIndexFree(&w->aSeg[--w->nSeg].index);
  if( w->nSeg ){
    w->aSeg[w->nSeg-1].bSealed = 0;
    w->aSeg[w->nSeg-1].index.n = pRun->nIndexBefore;
  }
  w->pPart->pStore->pStage->nByte -= w->buf.n;
  if( pX->iBase==w->x.iBase && pX->iGen==w->x.iGen && pX->nByte>=w->iBufPos ){
    w->buf.n = pX->nByte - w->iBufPos;
  }else{
    w->buf.n = 0;
    w->iBufPos = pX->nByte;
  }
  w->pPart->pStore->pStage->nByte += w->buf.n;
  w->x = *pX;
  w->bRoll = (u8)(pRun->bRollBefore || w->pPart->pStore->eFlush==PRILL_FLUSH_OS);      /* I7 */
}

/* The active segment stays the same: its cached index grows in place. */
static void writeKeepIndex(PrillWrite *w){
  PrillSeg *pSeg = &w->pPart->aSeg[w->pPart->nSeg-1];
  PrillIndex *pNew = &w->aSeg[0].index;
  int i;
  int rc = SQLITE_OK;
  for(i=0; i<pNew->n; i++){
    prillIndexAdd(&rc, &pSeg->index, pNew->a[i].iOff, pNew->a[i].iLast, pNew->a[i].iPos, pNew->a[i].iMaxTs);
  }
  if( rc!=SQLITE_OK ) pSeg->bIndex = 0;
}

void prillWriteDone(PrillWrite *w, int bCommit, int bReached){
  PrillPart *p = w->pPart;
  int i;
  if( bCommit ){
    int bSame = w->nSeg==1 && !w->aSeg[0].bNew && !w->aSeg[0].bSealed;
    p->x = w->x;
    p->iSeen = p->pStore->iLocal;
    if( p->iOwnTo<=p->x.nByte ) p->iOwnBase = -1; else p->iOwnFrom = p->x.nByte;
    if( bSame && p->iSegSeen==p->x.iSegVer ){
      writeKeepIndex(w);
    }else if( w->nSeg ){
      partFreeSegs(p);
    }
    return;
  }
  p->iRewind++;
  for(i=0; i<w->nSeg; i++){
    if( !w->aSeg[i].bNew ) continue;
    partFileForget(p, w->aSeg[i].iBase, w->aSeg[i].iGen);
    if( !bReached ){
      char *z = partFullPath(p, w->aSeg[i].iBase, w->aSeg[i].iGen, "log");
      if( z ) (void)prillFileDelete(p->pStore->pVfs, z, 0);
      sqlite3_free(z);
    }
  }
  if( bReached ) p->iOwnBase = -1;
}

void prillWriteFree(PrillWrite *w){
  int i;
  for(i=0; i<w->nSeg; i++) prillIndexFree(&w->aSeg[i].index);
  sqlite3_free(w->aSeg);
  prillStageSpare(&w->pPart->pStore->spareWrite, &w->buf);
  if( w->pPart->pWrite==w ) w->pPart->pWrite = 0;
  prillPartUnref(w->pPart);
  prillTopicUnref(w->pTopic);
  sqlite3_free(w);
}

/**************************************************************************
** Repair after a power cut (R3).
*/

/* A read of n bytes at iPos failed with rc.  Is it that the bytes are not
** there, rather than that they could not be had?  Only then are they lost:
** SQLITE_OK. */
static int repairGone(PrillPart *p, const PrillExtent *pX, int rc, i64 iEnd){
  int bExists = 1;
  i64 nSize = iEnd;
  if( rc==SQLITE_IOERR_SHORT_READ ){
    PrillFile *pFile;
    if( partFileOpen(p, pX->iBase, pX->iGen, PRILL_OPEN_READ, &pFile)==SQLITE_OK
     && prillFileSize(pFile, &nSize)==SQLITE_OK && nSize<iEnd ) return SQLITE_OK;
    return partFileError(p, rc, pX->iBase, pX->iGen, "log", "cannot be read; check the disk");
  }
  if( (rc&0xff)==SQLITE_CANTOPEN ){
    char *z = partFullPath(p, pX->iBase, pX->iGen, "log");
    int rc2 = z ? prillFileExists(p->pStore->pVfs, z, &bExists) : SQLITE_NOMEM;
    sqlite3_free(z);
    if( rc2==SQLITE_OK && !bExists ) return SQLITE_OK;
  }
  return rc;
}

/* Read the active segment up to its last valid batch: *pX becomes the extent
** whose bytes end there, *piEnd the offset after it.  The segment's end offset
** stays: offsets that were handed out are not used again, and chunks of the
** ring that the segment had taken over stay dead. */
static int repairScan(PrillPart *p, PrillExtent *pX, i64 *piEnd){
  PrillBuf b = {0,0,0};
  PrillBatch h;
  i64 iPos = 0, nRec = 0, nNeed = 0;
  i64 iEnd = pX->iBase;
  int rc = SQLITE_OK;
  pX->iMaxTs = pX->iMinTs = pX->iFirstTs;
  pX->iMaxTsOff = pX->iBase;
  while( iPos+PRILL_BATCH_HDR<=pX->nByte ){
    u8 *a = prillBufRoom(&rc, &b, PRILL_BATCH_HDR);
    if( rc==SQLITE_OK ) rc = prillPartRead(p, pX->iBase, pX->iGen, a, PRILL_BATCH_HDR, iPos);
    nNeed = iPos+PRILL_BATCH_HDR;
    if( rc!=SQLITE_OK || prillBatchHeader(a, PRILL_BATCH_HDR, &h)!=SQLITE_OK ) break;
    if( h.nByte>pX->nByte-iPos || h.iBase<iEnd || h.iBase+h.dLast>=pX->iSegEnd ) break;
    a = prillBufRoom(&rc, &b, h.nByte);
    if( rc==SQLITE_OK ) rc = prillPartRead(p, pX->iBase, pX->iGen, a, h.nByte, iPos);
    nNeed = iPos+h.nByte;
    if( rc!=SQLITE_OK || prillBatchCheck(a, &h)!=SQLITE_OK ) break;
    iPos += h.nByte;
    iEnd = h.iBase + h.dLast + 1;
    nRec += h.nRec;
    if( nRec==h.nRec || h.iMaxTs>pX->iMaxTs ){       /* the first, or newer */
      pX->iMaxTs = h.iMaxTs;
      pX->iMaxTsOff = iEnd-1;
    }
  }
  prillBufFree(&b);
  if( rc!=SQLITE_OK ) rc = repairGone(p, pX, rc, nNeed);
  if( rc!=SQLITE_OK ) return rc;
  pX->nAllByte -= pX->nByte - iPos;
  pX->nAllRec -= pX->nRec - nRec;
  pX->nByte = iPos;
  pX->nRec = nRec;
  *piEnd = iEnd;
  return rc;
}

int prillWriteRepair(PrillWrite *w){
  PrillPart *p = w->pPart;
  PrillExtent x = w->x;
  i64 iEnd = x.iSegEnd;
  int rc;
  w->x.iEpoch++;
  w->bRepair = 1;
  if( x.iBase<0 || x.nSynced>=x.nByte ) return SQLITE_OK;
  rc = prillStoreCheckDir(p->pStore);
  if( rc==SQLITE_OK ) rc = repairScan(p, &w->x, &iEnd);
  if( rc==SQLITE_OK && w->x.nByte==x.nByte ){
    x.iEpoch++;
    w->x = x;                          /* nothing lost: as it was */
    return rc;
  }
  if( rc!=SQLITE_OK ) return rc;
  w->x.iMinTs = PRILL_MIN(x.iMinTs, w->x.iMinTs);
  w->x.nSynced = PRILL_MIN(x.nSynced, w->x.nByte);
  sqlite3_log(SQLITE_WARNING, "prill: topic %s partition %d: offsets %lld to %lld were lost when the power"
              " failed (flush=os or synchronous=OFF)", w->pTopic->zName, p->iPart, iEnd, x.iSegEnd-1);
  w->iGapFirst = iEnd;
  w->iGapLast = x.iSegEnd-1;
  rc = prillPartSegs(p);
  if( rc==SQLITE_OK && p->nSeg ){
    prillIndexFree(&p->aSeg[p->nSeg-1].index);
    p->aSeg[p->nSeg-1].bIndex = 1;
  }
  return rc;
}
