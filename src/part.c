/*
** part.c: a partition's extent, its segments, and their files for reading.
**
** May call: base, codec, log, and store/tail beside it.  write.c appends.
**
** app.db-log/<32 hex topic id>-<partition>/<20-digit base>[.gen].log holds
** Kafka v2 batches from byte 0 to the committed end that the extent row tells
** (PrillExtent).  Sealed segments have .index and .timeindex beside them, as
** Kafka writes them; the active segment's index is rows of prill_store_index,
** blobs of 32-byte entries: first offset, last offset, byte position, greatest
** timestamp so far, 8 bytes each.
**
** What is cached here is the committed state (PrillPart.x, aSeg); rows that
** cannot have been written by us are refused as damage.  Files stay open in a
** list, most recently used first, of at most prillLimit.nOpen a connection.
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
  int iExt;               /* which of the segment's files: prillPartExt */
  PrillFile *pFile;
  PartFile *pNext;
};

/* Places in prillPartExt's list. */
#define PART_LOG 0
#define PART_KEYINDEX 3
#define PART_KEYRUNS 4

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

const char *prillPartExt(int i){
  static const char *const azExt[] = {"log", "index", "timeindex", "keyindex", "keyruns"};
  return i<(int)(sizeof(azExt)/sizeof(azExt[0])) ? azExt[i] : 0;
}

char *prillPartFullPath(const PrillPart *p, i64 iBase, i64 iGen, const char *zExt){
  char *zRel = prillPartPath(p, iBase, iGen, zExt);
  char *z = zRel ? sqlite3_mprintf("%s/%s", p->pStore->zDir, zRel) : 0;
  sqlite3_free(zRel);
  return z;
}

int prillPartFileError(PrillPart *p, int rc, i64 iBase, i64 iGen, const char *zExt, const char *zWhat){
  char *z;
  if( (rc&0xff)==SQLITE_NOMEM ) return rc;
  z = prillPartPath(p, iBase, iGen, zExt);
  if( z==0 ) return SQLITE_NOMEM;
  prillError(p->pStore->pConn, rc, "%s-log/%s: %s", p->pStore->zDb, z, zWhat);
  sqlite3_free(z);
  return rc;
}

static int partFileIs(const PartFile *pF, const PrillPart *p, i64 iBase, i64 iGen, int iExt){
  return pF->iPid==p->iPid && pF->iBase==iBase && pF->iGen==iGen && pF->iExt==iExt
      && memcmp(pF->aUuid, p->aUuid, 16)==0;
}

/* Move the entry of a segment's file to the front of the list, if open. */
static PartFile *partFileFind(PrillPart *p, i64 iBase, i64 iGen, int iExt){
  PrillStore *pStore = p->pStore;
  PartFile **pp = (PartFile**)&pStore->pFiles;
  PartFile *pF = *pp;
  if( pF && partFileIs(pF, p, iBase, iGen, iExt) ) return pF;
  for(; (pF = *pp)!=0; pp=&pF->pNext){
    if( partFileIs(pF, p, iBase, iGen, iExt) ){
      *pp = pF->pNext;
      pF->pNext = (PartFile*)pStore->pFiles;
      pStore->pFiles = pF;
      return pF;
    }
  }
  return 0;
}

/* Close the least recently used files beyond the limit, but none that this
** transaction made and has yet to sync: only the handle that made a file syncs
** its directory entry.  write.c has few of them. */
static void partFileTrim(PrillStore *pStore){
  PartFile **pp = (PartFile**)&pStore->pFiles;
  int n;
  for(n=1; *pp && n<prillLimit.nOpen; n++) pp = &(*pp)->pNext;
  while( *pp ){
    PartFile *pF = *pp;
    if( pF->pFile->bFresh && pStore->pStage ){
      pp = &pF->pNext;
      continue;
    }
    *pp = pF->pNext;
    partFileFree(pF);
  }
}

int prillPartFileIsOpen(PrillPart *p, i64 iBase, i64 iGen){
  return partFileFind(p, iBase, iGen, PART_LOG)!=0;
}

void prillPartFileForget(PrillPart *p, i64 iBase, i64 iGen){
  PartFile *pF = partFileFind(p, iBase, iGen, PART_LOG);
  if( pF==0 ) return;
  assert( pF==(PartFile*)p->pStore->pFiles );
  p->pStore->pFiles = pF->pNext;
  partFileFree(pF);
}

static int partFileGet(PrillPart *p, i64 iBase, i64 iGen, int iExt, int eOpen, PrillFile **pp){
  PartFile *pF = partFileFind(p, iBase, iGen, iExt);
  char *zPath;
  int rc;
  *pp = 0;
  if( pF && pF->pFile->bReadOnly && eOpen!=PRILL_OPEN_READ ){
    prillPartFileForget(p, iBase, iGen);
    pF = 0;
  }
  if( pF ){
    *pp = pF->pFile;
    return SQLITE_OK;
  }
  partFileTrim(p->pStore);
  zPath = prillPartFullPath(p, iBase, iGen, prillPartExt(iExt));
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
  pF->iExt = iExt;
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

int prillPartFileOpen(PrillPart *p, i64 iBase, i64 iGen, int eOpen, PrillFile **pp){
  return partFileGet(p, iBase, iGen, PART_LOG, eOpen, pp);
}

int prillPartKeyFile(PrillPart *p, const PrillSeg *pSeg, PrillFile **pp){
  return partFileGet(p, pSeg->iBase, pSeg->iGen, pSeg->bSealed ? PART_KEYINDEX : PART_KEYRUNS, PRILL_OPEN_READ, pp);
}

int prillPartRead(PrillPart *p, i64 iBase, i64 iGen, void *a, i64 n, i64 iPos){
  PrillFile *pFile;
  int rc = prillStoreCheckDir(p->pStore);
  if( rc!=SQLITE_OK ) return rc;
  rc = prillPartFileOpen(p, iBase, iGen, PRILL_OPEN_READ, &pFile);
  if( (rc&0xff)==SQLITE_CANTOPEN ){
    int rc2 = prillStoreLookDir(p->pStore);
    if( rc2!=SQLITE_OK ) return rc2;
  }
  if( rc!=SQLITE_OK ){
    return prillPartFileError(p, rc, iBase, iGen, "log",
        "cannot be opened; put the file back or restore the store from a backup");
  }
  rc = prillFileRead(pFile, a, n, iPos);
  if( rc==SQLITE_IOERR_SHORT_READ ) return rc;
  return rc==SQLITE_OK ? rc : prillPartFileError(p, rc, iBase, iGen, "log", "cannot be read; check the disk");
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

void prillPartFreeSegs(PrillPart *p){
  int i;
  for(i=0; i<p->nSeg; i++){
    prillIndexFree(&p->aSeg[i].index);
    prillKeyFree(&p->aSeg[i]);
  }
  sqlite3_free(p->aSeg);
  p->aSeg = 0;
  p->nSeg = 0;
  p->iSegSeen = -1;
}

void prillPartUnref(PrillPart *p){
  if( p==0 || --p->nRef>0 ) return;
  prillTailDrop(p);
  prillKeyPendFree(p);
  prillPartFreeSegs(p);
  sqlite3_free(p);
}

int prillPartSame(i64 iBase1, i64 iGen1, i64 iBase2, i64 iGen2){
  return iBase1==iBase2 && iGen1==iGen2;
}

const char *prillPartTopicName(const PrillPart *p){
  return p->pTopic ? p->pTopic->zName : "?";
}

int prillPartBad(PrillPart *p, const char *zWhat){
  return prillError(p->pStore->pConn, PRILL_CORRUPT, "topic %s partition %d: its %s is damaged; restore"
                    " the database from a backup", prillPartTopicName(p), p->iPart, zWhat);
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
    if( rc==SQLITE_OK && !partExtentOk(&x) ) rc = prillPartBad(p, "extent");
    if( rc!=SQLITE_OK ) return rc;
    p->x = x;
    p->iSeen = pStore->iLocal;
    p->iSegSeen = -1;                 /* the list's version may be another life's */
    if( p->nSeg ) p->aSeg[p->nSeg-1].bIndex = p->aSeg[p->nSeg-1].bKey = 0;
    rc = prillTailPrune(p);
    if( rc!=SQLITE_OK ) p->iSeen = -1;
  }else{
    prillStoreDone(pStore, pStmt, &rc);
    if( rc==SQLITE_OK ) rc = prillPartBad(p, "extent row (missing)");
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
    pSeg->iClean = sqlite3_column_int64(pStmt, 8);
    pSeg->bPacked = (u8)(sqlite3_column_int(pStmt, 9)!=0);
    pSeg->iHorizon = sqlite3_column_type(pStmt, 10)==SQLITE_NULL ? PRILL_I64MAX : sqlite3_column_int64(pStmt, 10);
  }else{
    pSeg->iEnd = p->x.iSegEnd;
    pSeg->nByte = p->x.nByte;
    pSeg->nRec = p->x.nRec;
    pSeg->iMinTs = p->x.iMinTs;
    pSeg->iMaxTs = p->x.iMaxTs;
  }
  if( pSeg->iEnd>PART_MX_OFF || pSeg->nByte>PART_MX_BYTE || pSeg->nRec<0 || pSeg->nRec>PART_MX_BYTE
   || pSeg->iBase<iPrevEnd || pSeg->iGen<0 || pSeg->iEnd<pSeg->iBase || pSeg->nByte<0
   || (!pSeg->bSealed && !prillPartSame(pSeg->iBase, pSeg->iGen, p->x.iBase, p->x.iGen)) ){
    return prillPartBad(p, "segment list");
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
  prillPartFreeSegs(p);
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
    rc = prillPartBad(p, "segment list");
  }
  if( rc==SQLITE_OK ){
    p->iSegSeen = p->x.iSegVer;
  }else{
    prillPartFreeSegs(p);
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
  char *zPath = prillPartFullPath(p, pSeg->iBase, pSeg->iGen, zExt);
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
