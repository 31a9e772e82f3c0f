/*
** check.c: does what the database says of the log hold?  prill_check().
**
** Layer 3, store.  Calls base, codec, file, index, store, part and tail.
**
** Reads everything and writes nothing.  Each problem is one line that names
** topic, partition, file and byte position as far as they apply:
**
**   the store     its tables can be read; the directory is there and has the
**                 id of the state row; no file in the trash is still used; no
**                 row belongs to nothing
**   a partition   log start and end in order; the extent's sums are those of
**                 its segments; no offsets are missing but those reported lost
**   a segment     the file is there with all its committed bytes; from byte 0
**                 to the committed end it is batches, one after the other,
**                 with good checksums, offsets that rise, records that decode;
**                 counts and timestamps are those of its row
**   key runs      their entries are those of the records they cover, no more
**                 and no fewer.  A page of .keyruns that has not its checksum
**                 is no problem: that file is not synced (key.c)
**   an index      every entry points at the beginning of a batch and says of
**                 its offsets and timestamps nothing that is not so
**   the tail      checksums, offsets at or above the segments' end, records
**                 that decode
**
** Lines that begin with "lost:" are no damage: they are the offsets that a
** power cut took under flush=os or synchronous=OFF.  The first writer after it
** notes them (prill_store_gap); before that writer, they are what is bad in an
** active segment after a reboot, above what is known to be on the disk.
**
** The whole check sees one snapshot: a statement stays open to its end.  A
** file of that snapshot cannot go meanwhile (DESIGN R6).
**
** Nothing read is trusted: what a length or a count says is held against the
** bytes there are before it is used.
*/
#include "prillInt.h"
#include <stdarg.h>

#define CHECK_MX_LINE 100       /* problems named; the rest are counted */
#define CHECK_TICK    256       /* batches between two looks for an interrupt */

typedef struct CheckRun CheckRun;
typedef struct CheckSum CheckSum;
typedef struct CheckIndex CheckIndex;
typedef struct CheckKeys CheckKeys;

struct CheckRun {
  PrillStore *pStore;
  PrillBuf *pOut;
  i64 nProblem;
  PrillPart *pPart;             /* being checked, or NULL */
  const char *zTopic;           /* its topic */
  char *zFile;                  /* file being checked, relative to the database */
  i64 iNext;                    /* offset expected next in the partition */
  i64 iEpoch;                   /* leader epoch of the batch before */
  int bGaps;                    /* the partition has lost offsets */
  int bSparse;                  /* or some that compaction took */
  int bFiles;                   /* the directory is there and ours */
  sqlite3_stmt *pTick;          /* tells of an interrupt */
  int nTick;
  PrillBuf batch, rec;          /* scratch */
};

/* What a segment's batches add up to. */
struct CheckSum {
  i64 nRec;
  i64 iMinTs, iMaxTs;
  int bAppend;                  /* some batch has the log's append time */
  int bBad;                     /* some batch was bad: sums mean nothing */
  i64 iBase, iLast;             /* offsets of the batch at hand */
  i64 iPrevTs;                  /* iMaxTs before it */
  i64 iPrevLast;                /* the last offset before it: a gap may lie between */
  i64 iSegBase;                 /* the segment's base offset */
  u64 iKeySum;                  /* of the batch's key entries: checkMix of each, added up */
};

/* A segment's key runs, being held against its batches. */
struct CheckKeys {
  const PrillSeg *pSeg;
  int iRun;                     /* run that covers the batch at hand */
  u64 iSum;                     /* checkMix of the entries its batches should have given it */
};

/* A segment's index, being held against its batches. */
struct CheckIndex {
  PrillIndex idx;
  PrillBuf time;                /* sealed: the bytes of .timeindex */
  int bCrc;                     /* sealed: its files are not those the row knows */
  int iEntry;                   /* next of idx */
  i64 iTime;                    /* next byte of time */
};

/**************************************************************************
** Saying so.
*/

/* A line of the report.  zHead may be NULL. */
static int checkLine(CheckRun *ck, const char *zHead, const char *zFmt, va_list ap){
  char *z;
  int rc = SQLITE_OK;
  if( ++ck->nProblem>CHECK_MX_LINE ) return SQLITE_OK;
  z = sqlite3_vmprintf(zFmt, ap);
  if( z==0 ) return SQLITE_NOMEM;
  prillBufPrintf(&rc, ck->pOut, "%s%s\n", zHead ? zHead : "", z);
  sqlite3_free(z);
  return rc;
}

/* A problem of the store. */
static int checkStoreSay(CheckRun *ck, const char *zFmt, ...){
  va_list ap;
  int rc;
  va_start(ap, zFmt);
  rc = checkLine(ck, 0, zFmt, ap);
  va_end(ap);
  return rc;
}

/* A problem of the partition at hand. */
static int checkSay(CheckRun *ck, const char *zFmt, ...){
  va_list ap;
  char *zHead = sqlite3_mprintf("topic %s partition %d: ", ck->zTopic, ck->pPart->iPart);
  int rc;
  if( zHead==0 ) return SQLITE_NOMEM;
  va_start(ap, zFmt);
  rc = checkLine(ck, zHead, zFmt, ap);
  va_end(ap);
  sqlite3_free(zHead);
  return rc;
}

/* A problem at byte iPos of the file at hand; -1: of the file as a whole. */
static int checkFileSay(CheckRun *ck, i64 iPos, const char *zFmt, ...){
  va_list ap;
  char *zHead;
  int rc;
  if( iPos<0 ){
    zHead = sqlite3_mprintf("topic %s partition %d: %s: ", ck->zTopic, ck->pPart->iPart, ck->zFile);
  }else{
    zHead = sqlite3_mprintf("topic %s partition %d: %s: byte %lld: ", ck->zTopic, ck->pPart->iPart,
                            ck->zFile, iPos);
  }
  if( zHead==0 ) return SQLITE_NOMEM;
  va_start(ap, zFmt);
  rc = checkLine(ck, zHead, zFmt, ap);
  va_end(ap);
  sqlite3_free(zHead);
  return rc;
}

/*
** Make an error of a call into a line of the report and go on.  Returned as
** they are: codes that say nothing about the store.  *pbBad is set when there
** was an error.
*/
static int checkTry(CheckRun *ck, int rc, int *pbBad){
  PrillConn *p = ck->pStore->pConn;
  char *zErr;
  switch( rc & 0xff ){
    case SQLITE_OK:
      return rc;
    case SQLITE_NOMEM: case SQLITE_INTERRUPT: case SQLITE_BUSY: case SQLITE_LOCKED: case SQLITE_AUTH:
      return rc;
  }
  *pbBad = 1;
  zErr = p->zErr;
  p->zErr = 0;
  if( ck->pPart && zErr==0 ){
    rc = checkSay(ck, "%s", sqlite3_errstr(rc));
  }else{
    rc = checkStoreSay(ck, "%s", zErr ? zErr : sqlite3_errstr(rc));
  }
  sqlite3_free(zErr);
  return rc;
}

/* SQLITE_INTERRUPT when sqlite3_interrupt() was called. */
static int checkTick(CheckRun *ck){
  int rc;
  if( ++ck->nTick<CHECK_TICK ) return SQLITE_OK;
  ck->nTick = 0;
  sqlite3_step(ck->pTick);
  rc = sqlite3_reset(ck->pTick);
  return rc;
}

/* Name the file at hand: a segment's, or NULL for none. */
static int checkNameFile(CheckRun *ck, const PrillSeg *pSeg, const char *zExt){
  const char *zDb = ck->pStore->zDb;
  char *zRel;
  sqlite3_free(ck->zFile);
  ck->zFile = 0;
  if( pSeg==0 ) return SQLITE_OK;
  zRel = prillPartPath(ck->pPart, pSeg->iBase, pSeg->iGen, zExt);
  if( strrchr(zDb, '/') ) zDb = strrchr(zDb, '/')+1;
  ck->zFile = zRel ? sqlite3_mprintf("%s-log/%s", zDb, zRel) : 0;
  sqlite3_free(zRel);
  return ck->zFile ? SQLITE_OK : SQLITE_NOMEM;
}

/**************************************************************************
** Offsets.
*/

/* Are offsets iFrom..iTo among those reported lost? */
static int checkIsLost(CheckRun *ck, i64 iFrom, i64 iTo, int *pbLost){
  sqlite3_stmt *pStmt = 0;
  int rc;
  *pbLost = 0;
  if( !ck->bGaps ) return SQLITE_OK;
  rc = prillStorePrepare(ck->pStore, &pStmt, "SELECT 1 FROM \"%w\".prill_store_gap WHERE pid=%d"
                         " AND first<=%lld AND last>=%lld", ck->pPart->iPid, iFrom, iTo);
  if( rc==SQLITE_OK ) *pbLost = sqlite3_step(pStmt)==SQLITE_ROW;
  if( rc==SQLITE_OK ) rc = sqlite3_finalize(pStmt);
  return rc;
}

/*
** Records iBase..iLast come next in the partition.  They must follow those
** before without overlap, and without a hole above the log start that nobody
** has reported.  *pbBad is set on an overlap.
*/
static int checkOffsets(CheckRun *ck, i64 iPos, i64 iBase, i64 iLast, int *pbBad){
  i64 iStart = PRILL_MAX(ck->iNext, ck->pPart->x.iLogStart);
  int bLost = 1;
  int rc = SQLITE_OK;
  if( iBase<ck->iNext ){
    *pbBad = 1;
    if( ck->zFile ){
      return checkFileSay(ck, iPos, "offset %lld where %lld or more was expected", iBase, ck->iNext);
    }
    return checkSay(ck, "the tail has offset %lld where %lld or more was expected", iBase, ck->iNext);
  }
  if( iBase>iStart && !ck->bSparse ){
    rc = checkIsLost(ck, iStart, iBase-1, &bLost);
    if( rc==SQLITE_OK && !bLost ) rc = checkSay(ck, "offsets %lld to %lld are missing", iStart, iBase-1);
  }
  ck->iNext = iLast+1;
  return rc;
}

/* Sums of these tell sets of entries apart. */
static u64 checkMix(u64 e){
  e = (e ^ (e>>30))*0xbf58476d1ce4e5b9ULL;
  e = (e ^ (e>>27))*0x94d049bb133111ebULL;
  return e ^ (e>>31);
}

/* Decode nRec records of iBase..iLast and add their timestamps up.  zWhy is
** set to what is wrong with them, or NULL. */
static void checkRecords(const u8 *a, i64 n, const PrillBatch *b, CheckSum *pSum, const char **pzWhy){
  const u8 *aEnd = a+n;
  PrillRecord r;
  i64 iNext = b->iBase;
  i64 iMax = PRILL_I64MIN;
  int nRec = 0;
  *pzWhy = 0;
  while( a<aEnd ){
    i64 nUsed = prillRecordDecode(a, aEnd, b->iBase, b->iBaseTs, &r);
    i64 iTs = (b->mAttr & PRILL_ATTR_APPENDTIME) ? b->iMaxTs : r.iTs;
    if( nUsed<=0 ){
      *pzWhy = "a record in it cannot be decoded";
      return;
    }
    if( r.iOff<iNext || r.iOff>b->iBase+b->dLast ){
      *pzWhy = "its records' offsets are not in order";
      return;
    }
    iNext = r.iOff+1;
    nRec++;
    a += nUsed;
    if( r.nKey>=0 && (b->mAttr & PRILL_ATTR_CONTROL)==0 ){
      pSum->iKeySum += checkMix((u64)prillKeyrunHash(r.pKey, r.nKey)<<32 | (u64)(r.iOff-pSum->iSegBase));
    }
    if( iTs<pSum->iMinTs ) pSum->iMinTs = iTs;
    if( iTs>iMax ) iMax = iTs;
  }
  if( nRec!=b->nRec ){
    *pzWhy = "it does not hold as many records as it says";
  }else if( nRec>0 && (iMax>b->iMaxTs || (b->iProducer<0 && iMax!=b->iMaxTs)) ){
    *pzWhy = "its greatest timestamp is not that of its records";
  }
}

/**************************************************************************
** Segments.
*/

/* Open the file at hand for reading.  *pp stays NULL when that was reported. */
static int checkOpen(CheckRun *ck, const PrillSeg *pSeg, const char *zExt, PrillFile **pp){
  PrillStore *p = ck->pStore;
  char *zRel, *zPath;
  int rc = checkNameFile(ck, pSeg, zExt);
  *pp = 0;
  if( rc!=SQLITE_OK ) return rc;
  zRel = prillPartPath(ck->pPart, pSeg->iBase, pSeg->iGen, zExt);
  zPath = zRel ? sqlite3_mprintf("%s/%s", p->zDir, zRel) : 0;
  rc = zPath ? prillFileOpen(p->pVfs, zPath, PRILL_OPEN_READ, 0, pp) : SQLITE_NOMEM;
  sqlite3_free(zRel);
  sqlite3_free(zPath);
  if( rc==SQLITE_OK || rc==SQLITE_NOMEM ) return rc;
  return checkFileSay(ck, -1, "cannot be opened (%s)", sqlite3_errstr(rc));
}

/* n bytes at iPos of a file.  *pa stays NULL when a failure was reported. */
static int checkRead(CheckRun *ck, PrillFile *pFile, i64 n, i64 iPos, PrillBuf *pBuf, const u8 **pa){
  int rc = SQLITE_OK;
  u8 *a;
  *pa = 0;
  pBuf->n = 0;
  a = prillBufRoom(&rc, pBuf, n);
  if( rc!=SQLITE_OK ) return rc;
  rc = prillFileRead(pFile, a, n, iPos);
  if( rc==SQLITE_NOMEM ) return rc;
  if( rc!=SQLITE_OK ) return checkFileSay(ck, iPos, "cannot be read (%s)", sqlite3_errstr(rc));
  *pa = a;
  return SQLITE_OK;
}

/* What the header of a batch says, against its segment.  *pbBad: so wrong
** that the walk ends. */
static int checkHeader(CheckRun *ck, i64 iPos, const PrillSeg *pSeg, const PrillBatch *b, int *pbBad){
  i64 iLast = b->iBase + b->dLast;
  int rc;
  *pbBad = 1;
  if( b->nByte>pSeg->nByte-iPos ){
    return checkFileSay(ck, iPos, "the batch of %lld bytes reaches past the committed end %lld", b->nByte,
                        pSeg->nByte);
  }
  if( b->iBase<pSeg->iBase || iLast>=pSeg->iEnd ){
    return checkFileSay(ck, iPos, "offsets %lld to %lld are not of this segment, which has %lld to %lld",
                        b->iBase, iLast, pSeg->iBase, pSeg->iEnd-1);
  }
  *pbBad = 0;
  rc = checkOffsets(ck, iPos, b->iBase, iLast, pbBad);
  if( rc==SQLITE_OK && (b->iEpoch<ck->iEpoch || b->iEpoch>ck->pPart->x.iEpoch) ){
    rc = checkFileSay(ck, iPos, "leader epoch %d where %lld to %lld was expected", b->iEpoch, ck->iEpoch,
                      ck->pPart->x.iEpoch);
  }
  if( b->iEpoch<=ck->pPart->x.iEpoch ) ck->iEpoch = PRILL_MAX(ck->iEpoch, b->iEpoch);
  return rc;
}

/*
** Check the batch at iPos of a segment.  *pnUsed is its length, 0 when it was
** found so bad that the walk ends.
*/
static int checkBatch(CheckRun *ck, PrillFile *pFile, i64 iPos, const PrillSeg *pSeg, CheckSum *pSum, i64 *pnUsed){
  PrillBatch b;
  const u8 *a;
  const u8 *aRec = 0;
  const char *zWhy = 0;
  i64 nRecByte = 0;
  int bBad = 0;
  int rc;
  *pnUsed = 0;
  if( pSeg->nByte-iPos<PRILL_BATCH_HDR ){
    return checkFileSay(ck, iPos, "%lld bytes before the committed end are no batch", pSeg->nByte-iPos);
  }
  rc = checkRead(ck, pFile, PRILL_BATCH_HDR, iPos, &ck->batch, &a);
  if( rc!=SQLITE_OK || a==0 ) return rc;
  if( prillBatchHeader(a, PRILL_BATCH_HDR, &b)!=SQLITE_OK ) return checkFileSay(ck, iPos, "no batch header");
  rc = checkHeader(ck, iPos, pSeg, &b, &bBad);
  if( rc!=SQLITE_OK || bBad ) return rc;
  rc = checkRead(ck, pFile, b.nByte, iPos, &ck->batch, &a);
  if( rc!=SQLITE_OK || a==0 ) return rc;
  pSum->iPrevLast = pSum->iLast;
  pSum->iBase = b.iBase;
  pSum->iLast = b.iBase + b.dLast;
  pSum->iPrevTs = pSum->iMaxTs;
  pSum->iKeySum = 0;
  pSum->nRec += b.nRec;
  if( b.nRec>0 && b.iMaxTs>pSum->iMaxTs ) pSum->iMaxTs = b.iMaxTs;
  if( b.mAttr & PRILL_ATTR_APPENDTIME ) pSum->bAppend = 1;
  *pnUsed = b.nByte;
  if( prillBatchCheck(a, &b)!=SQLITE_OK ){
    pSum->bBad = 1;
    return checkFileSay(ck, iPos, "the batch's checksum is wrong");
  }
  rc = prillBatchRecords(a, &b, &ck->rec, &aRec, &nRecByte);
  if( rc==SQLITE_NOMEM ) return rc;
  if( rc==SQLITE_MISMATCH ) return SQLITE_OK;         /* a codec this build lacks */
  if( rc!=SQLITE_OK ){
    zWhy = "its records cannot be decompressed";
  }else{
    checkRecords(aRec, nRecByte, &b, pSum, &zWhy);
  }
  if( zWhy==0 ) return SQLITE_OK;
  pSum->bBad = 1;
  return checkFileSay(ck, iPos, "the batch at offset %lld: %s", b.iBase, zWhy);
}

/* Hold the index entries at or before iPos against the batch there. */
static int checkIndexAt(CheckRun *ck, CheckIndex *pIndex, const PrillSeg *pSeg, i64 iPos, const CheckSum *pSum){
  int rc = SQLITE_OK;
  while( rc==SQLITE_OK && pIndex->iEntry<pIndex->idx.n && pIndex->idx.a[pIndex->iEntry].iPos<=iPos ){
    const PrillIndexEntry *pE = &pIndex->idx.a[pIndex->iEntry++];
    if( pE->iPos<iPos ){
      rc = checkFileSay(ck, pE->iPos, "the index points here, inside a batch");
    }else if( pE->iLast!=pSum->iLast || (!pSeg->bSealed && pE->iOff!=pSum->iBase) ){
      rc = checkFileSay(ck, iPos, "the index expects last offset %lld where the batch has %lld",
                        pE->iLast, pSum->iLast);
    }else if( pE->iMaxTs<pSum->iMaxTs ){
      rc = checkFileSay(ck, iPos, "the index says no record up to here is younger than %lld, but one"
                        " has %lld", pE->iMaxTs, pSum->iMaxTs);
    }
  }
  return rc;
}

/* The same for the time index: an entry (T,O) says that nothing up to and with
** O is younger than T, and nothing before O's batch as young. */
static int checkTimeAt(CheckRun *ck, CheckIndex *pIndex, const PrillSeg *pSeg, i64 iPos, const CheckSum *pSum){
  int rc = SQLITE_OK;
  while( rc==SQLITE_OK && pIndex->iTime+12<=pIndex->time.n ){
    const u8 *a = pIndex->time.a + pIndex->iTime;
    i64 iTs = prillGet64(a);
    i64 iOff = pSeg->iBase + (i32)prillGet32(a+8);
    if( iOff>pSum->iLast ) break;
    pIndex->iTime += 12;
    if( iOff<=pSum->iPrevLast || iTs<pSum->iMaxTs || iTs<=pSum->iPrevTs ){
      rc = checkFileSay(ck, iPos, "the time index says timestamp %lld begins at offset %lld, which is not so",
                        iTs, iOff);
    }
  }
  return rc;
}

/* All entries of a run, added up.  *pbBad: it cannot be read, which is said of
** a sealed segment's. */
static int checkKeyRun(CheckRun *ck, const PrillSeg *pSeg, const PrillKeyRun *pRun, u64 *piSum, int *pbBad){
  PrillKeyIn *pIn = (PrillKeyIn*)sqlite3_malloc64(sizeof(*pIn));
  int rc = pIn ? SQLITE_OK : SQLITE_NOMEM;
  *piSum = 0;
  if( rc!=SQLITE_OK || pRun->nPage==0 ){
    sqlite3_free(pIn);
    return rc;
  }
  memset(pIn, 0, sizeof(*pIn));
  pIn->run = *pRun;
  pIn->nOff = pRun->iNext - pSeg->iBase;
  rc = prillPartKeyFile(ck->pPart, pSeg, &pIn->pFile);
  while( rc==SQLITE_OK || rc==SQLITE_ROW ){
    rc = prillKeyrunStep(pIn);
    if( rc==SQLITE_ROW ) *piSum += checkMix(pIn->e);
  }
  sqlite3_free(pIn);
  if( rc==SQLITE_DONE || rc==SQLITE_NOMEM ) return rc==SQLITE_DONE ? SQLITE_OK : rc;
  *pbBad = 1;
  if( !pSeg->bSealed ) return SQLITE_OK;
  return checkFileSay(ck, -1, "its key index cannot be read (%s): lookups by key read the log",
                      rc==PRILL_KEYRUN_BAD ? "damaged" : sqlite3_errstr(rc));
}

/* The batch at iPos, of nUsed bytes, may end a run. */
static int checkKeysAt(CheckRun *ck, CheckKeys *pKeys, i64 iPos, i64 nUsed, const CheckSum *pSum){
  const PrillSeg *pSeg = pKeys->pSeg;
  const PrillKeyRun *pRun;
  u64 iSum;
  int bBad = 0;
  int rc = SQLITE_OK;
  if( pKeys->iRun>=pSeg->nKey || pSum->bBad ) return SQLITE_OK;
  pRun = &pSeg->aKey[pKeys->iRun];
  pKeys->iSum += pSum->iKeySum;
  if( iPos+nUsed<pRun->iTo ) return SQLITE_OK;
  if( iPos+nUsed>pRun->iTo ){
    rc = checkFileSay(ck, iPos, "a key run ends inside the batch");
  }else if( pSum->iLast+1!=pRun->iNext ){
    rc = checkFileSay(ck, iPos, "a key run ends with offset %lld, the batch with %lld", pRun->iNext-1, pSum->iLast);
  }else{
    rc = checkKeyRun(ck, pSeg, pRun, &iSum, &bBad);
    if( rc==SQLITE_OK && !bBad && iSum!=pKeys->iSum ){
      rc = checkFileSay(ck, pRun->iFrom, "the key run from here to byte %lld does not have the keys of these batches",
                        pRun->iTo);
    }
  }
  pKeys->iRun++;
  pKeys->iSum = 0;
  return rc;
}

/* Load the list of runs.  All its rows must be good ones. */
static int checkKeysBegin(CheckRun *ck, PrillPart *p, int iSeg, CheckKeys *pKeys){
  sqlite3_stmt *pStmt = 0;
  i64 n = 0;
  int rc = prillPartKeys(p, iSeg);
  memset(pKeys, 0, sizeof(*pKeys));
  pKeys->pSeg = &p->aSeg[iSeg];
  if( rc==SQLITE_OK ){
    rc = prillStorePrepare(ck->pStore, &pStmt, "SELECT count(*) FROM \"%w\".prill_store_key WHERE pid=%d"
                           " AND base=%lld", p->iPid, p->aSeg[iSeg].iBase);
  }
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) n = sqlite3_column_int64(pStmt, 0);
  if( rc==SQLITE_OK ) rc = sqlite3_finalize(pStmt);
  if( rc==SQLITE_OK && n!=p->aSeg[iSeg].nKey ){
    rc = checkSay(ck, "prill_store_key: of %lld rows of segment %lld only %d are good", n, p->aSeg[iSeg].iBase,
                  p->aSeg[iSeg].nKey);
  }
  return rc;
}

/* The counts of a row against those of the batches. */
static int checkTotals(CheckRun *ck, const PrillSeg *pSeg, const CheckSum *pSum){
  if( pSum->nRec!=pSeg->nRec ){
    return checkFileSay(ck, -1, "%lld records where the database has %lld", pSum->nRec, pSeg->nRec);
  }
  if( pSum->nRec==0 ) return SQLITE_OK;
  if( pSum->iMaxTs!=pSeg->iMaxTs ){
    return checkFileSay(ck, -1, "greatest timestamp %lld where the database has %lld", pSum->iMaxTs,
                        pSeg->iMaxTs);
  }
  if( pSum->iMinTs<PRILL_I64MAX && (pSum->iMinTs<pSeg->iMinTs
   || (pSum->iMinTs>pSeg->iMinTs && !pSum->bAppend && !ck->bGaps)) ){
    return checkFileSay(ck, -1, "least timestamp %lld where the database has %lld", pSum->iMinTs,
                        pSeg->iMinTs);
  }
  return SQLITE_OK;
}

/* May byte iPos of a segment be lost to a power cut that nobody noted yet? */
static int checkMayLose(const CheckRun *ck, const PrillSeg *pSeg, i64 iPos){
  return ck->pStore->bReboot && !pSeg->bSealed && iPos>=ck->pPart->x.nSynced;
}

/* checkBatch where a power cut may have taken the batch.  *pbLost: it has, and
** only that is said, of it and all after it. */
static int checkUnsynced(CheckRun *ck, PrillFile *pFile, i64 iPos, const PrillSeg *pSeg, CheckSum *pSum,
                         i64 *pnUsed, int *pbLost){
  PrillBuf trial = {0,0,0};
  PrillBuf *pOut = ck->pOut;
  i64 nProblem = ck->nProblem, iNext = ck->iNext;
  int rc;
  ck->pOut = &trial;
  rc = checkBatch(ck, pFile, iPos, pSeg, pSum, pnUsed);
  ck->pOut = pOut;
  *pbLost = trial.n>0;
  prillBufFree(&trial);
  if( rc!=SQLITE_OK || !*pbLost ) return rc;
  ck->nProblem = nProblem;
  return checkStoreSay(ck, "lost: topic %s partition %d: offsets %lld to %lld were not on the disk when the"
                       " power failed, and the next write will note it", ck->zTopic, ck->pPart->iPart,
                       PRILL_MAX(iNext, pSeg->iBase), pSeg->iEnd-1);
}

/* Walk a segment's batches. */
static int checkWalk(CheckRun *ck, PrillFile *pFile, const PrillSeg *pSeg, CheckIndex *pIndex, CheckKeys *pKeys){
  CheckSum sum = {0, PRILL_I64MAX, PRILL_I64MIN, 0, 0, 0, pSeg->iBase-1, PRILL_I64MIN, 0, pSeg->iBase, 0};
  i64 iPos = 0, nUsed = 1;
  int bLost = 0;
  int rc = SQLITE_OK;
  while( rc==SQLITE_OK && iPos<pSeg->nByte ){
    if( checkMayLose(ck, pSeg, iPos) ){
      rc = checkUnsynced(ck, pFile, iPos, pSeg, &sum, &nUsed, &bLost);
    }else{
      rc = checkBatch(ck, pFile, iPos, pSeg, &sum, &nUsed);
    }
    if( rc!=SQLITE_OK || nUsed==0 || bLost ) return rc;
    rc = checkIndexAt(ck, pIndex, pSeg, iPos, &sum);
    if( rc==SQLITE_OK && !sum.bBad ) rc = checkTimeAt(ck, pIndex, pSeg, iPos, &sum);
    if( rc==SQLITE_OK ) rc = checkKeysAt(ck, pKeys, iPos, nUsed, &sum);
    if( rc==SQLITE_OK ) rc = checkTick(ck);
    iPos += nUsed;
  }
  if( rc==SQLITE_OK && pIndex->iEntry<pIndex->idx.n ){
    rc = checkFileSay(ck, pIndex->idx.a[pIndex->iEntry].iPos, "the index points here, past the last batch");
  }
  return rc==SQLITE_OK && !sum.bBad ? checkTotals(ck, pSeg, &sum) : rc;
}

/**************************************************************************
** Indexes.
*/

/* The bytes of a sealed segment's index file.  *pbBad: reported. */
static int checkIndexFile(CheckRun *ck, const PrillSeg *pSeg, const char *zExt, PrillBuf *pBuf, int *pbBad){
  PrillFile *pFile = 0;
  const u8 *a = 0;
  i64 n = 0;
  int rc = checkOpen(ck, pSeg, zExt, &pFile);
  if( rc==SQLITE_OK && pFile ){
    rc = prillFileSize(pFile, &n);
    if( rc!=SQLITE_OK ) rc = checkFileSay(ck, -1, "cannot be read (%s)", sqlite3_errstr(rc));
    else if( n>pSeg->nByte ) rc = checkFileSay(ck, -1, "%lld bytes are more than the segment has", n);
    else rc = checkRead(ck, pFile, n, 0, pBuf, &a);
  }
  prillFileClose(pFile);
  if( a ) pBuf->n = n; else *pbBad = 1;
  return rc;
}

/* Load a sealed segment's index from its two files; empty when they are bad,
** which is reported. */
static int checkSealedIndex(CheckRun *ck, const PrillSeg *pSeg, CheckIndex *pIndex){
  PrillBuf idx = {0,0,0};
  PrillBuf *pTime = &pIndex->time;
  int bBad = 0;
  int rc = checkIndexFile(ck, pSeg, "index", &idx, &bBad);
  if( rc==SQLITE_OK ) rc = checkIndexFile(ck, pSeg, "timeindex", pTime, &bBad);
  if( rc==SQLITE_OK && !bBad ){
    u32 crc = prillCrc32c(prillCrc32c(0, idx.a, idx.n), pTime->a, pTime->n);
    pIndex->bCrc = crc!=pSeg->iIndexCrc;
    rc = prillIndexDecode(idx.a, idx.n, pTime->a, pTime->n, pSeg->iBase, &pIndex->idx);
    if( (rc&0xff)==SQLITE_CORRUPT ){
      bBad = 1;
      rc = checkFileSay(ck, -1, "this file or the .index beside it is no index");
    }else if( rc==SQLITE_OK && pSeg->nRec>0
           && (pTime->n==0 || prillGet64(pTime->a+pTime->n-12)!=pSeg->iMaxTs) ){
      rc = checkFileSay(ck, -1, "does not end with the segment's greatest timestamp %lld", pSeg->iMaxTs);
    }
  }
  if( bBad ) pIndex->idx.n = 0;
  if( bBad ) pTime->n = 0;
  prillBufFree(&idx);
  return rc;
}

/* Entries of one row of prill_store_index.  1 when they are not in order. */
static int checkIndexBlob(int *pRc, const u8 *a, i64 n, i64 iKey, PrillIndex *pIndex){
  if( n==0 || n%32 || prillGet64(a)!=iKey ) return 1;
  for(; *pRc==SQLITE_OK && n>0; a+=32, n-=32){
    const PrillIndexEntry *pE = pIndex->n ? &pIndex->a[pIndex->n-1] : 0;
    i64 iOff = prillGet64(a), iLast = prillGet64(a+8), iPos = prillGet64(a+16);
    if( iOff<0 || iLast<iOff || iPos<=0 ) return 1;
    if( pE && (iOff<=pE->iLast || iPos<=pE->iPos || prillGet64(a+24)<pE->iMaxTs) ) return 1;
    prillIndexAdd(pRc, pIndex, iOff, iLast, iPos, prillGet64(a+24));
  }
  return 0;
}

/* Load the active segment's index from its rows. */
static int checkActiveIndex(CheckRun *ck, const PrillSeg *pSeg, PrillIndex *pIndex){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(ck->pStore, &pStmt, "SELECT off, entries FROM \"%w\".prill_store_index"
                             " WHERE pid=%d AND base=%lld ORDER BY off", ck->pPart->iPid, pSeg->iBase);
  while( rc==SQLITE_OK && (rc = sqlite3_step(pStmt))==SQLITE_ROW ){
    i64 iKey = sqlite3_column_int64(pStmt, 0);
    const u8 *a = (const u8*)sqlite3_column_blob(pStmt, 1);
    i64 n = sqlite3_column_bytes(pStmt, 1);
    rc = SQLITE_OK;
    if( checkIndexBlob(&rc, a, n, iKey, pIndex) ){
      rc = checkSay(ck, "prill_store_index: the entries of segment %lld at offset %lld are not in order",
                    pSeg->iBase, iKey);
    }
  }
  if( rc==SQLITE_DONE ) rc = SQLITE_OK;
  if( rc!=SQLITE_OK && rc!=SQLITE_NOMEM ) rc = sqlite3_finalize(pStmt); else sqlite3_finalize(pStmt);
  return rc;
}

/* One segment: its index, then its batches against it. */
static int checkSegment(CheckRun *ck, const PrillSeg *pSeg, int iSeg){
  CheckIndex index;
  CheckKeys keys;
  PrillFile *pFile = 0;
  i64 nSize = 0, nProblem = ck->nProblem;
  int bBad = 0;
  int rc;
  memset(&index, 0, sizeof(index));
  rc = pSeg->bSealed ? checkSealedIndex(ck, pSeg, &index) : checkActiveIndex(ck, pSeg, &index.idx);
  rc = checkTry(ck, rc, &bBad);
  if( rc==SQLITE_OK ) rc = checkTry(ck, checkKeysBegin(ck, ck->pPart, iSeg, &keys), &bBad);
  if( rc==SQLITE_OK ) rc = checkOpen(ck, pSeg, "log", &pFile);
  if( rc==SQLITE_OK && pFile ) rc = checkTry(ck, prillFileSize(pFile, &nSize), &bBad);
  if( rc==SQLITE_OK && pFile ){
    if( nSize<pSeg->nByte && !checkMayLose(ck, pSeg, nSize) ){
      rc = checkFileSay(ck, -1, "has %lld bytes where %lld are committed", nSize, pSeg->nByte);
    }
    if( rc==SQLITE_OK ) rc = checkWalk(ck, pFile, pSeg, &index, &keys);
  }
  prillFileClose(pFile);
  if( rc==SQLITE_OK && index.bCrc && ck->nProblem==nProblem ){
    rc = checkNameFile(ck, pSeg, "index");
    if( rc==SQLITE_OK ) rc = checkFileSay(ck, -1, "this file or the .timeindex beside it has been changed");
  }
  prillIndexFree(&index.idx);
  prillBufFree(&index.time);
  if( rc==SQLITE_OK ) rc = checkNameFile(ck, 0, 0);
  return rc;
}

/**************************************************************************
** Partitions.
*/

/* The chunks of the tail. */
static int checkTail(CheckRun *ck){
  PrillPart *p = ck->pPart;
  int bBad = 0;
  int i;
  int rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && !bBad && i<p->nTail; i++){
    const PrillChunk *pChunk = p->apTail[i];
    CheckSum sum = {0, PRILL_I64MAX, PRILL_I64MIN, 0, 0, 0, 0, PRILL_I64MIN, 0, pChunk->iBase, 0};
    const char *zWhy = 0;
    const u8 *aRec = 0;
    i64 nRec = 0;
    PrillBatch b;
    rc = checkOffsets(ck, 0, pChunk->iBase, pChunk->iNext-1, &bBad);
    if( rc!=SQLITE_OK || bBad ) break;
    rc = prillChunkRecords(pChunk, &b, &ck->rec, &aRec, &nRec);
    if( (rc&0xff)==SQLITE_CORRUPT ) zWhy = "its records do not decompress";
    if( rc==SQLITE_MISMATCH ) continue;                 /* a codec we lack: not ours to judge */
    if( zWhy==0 && rc!=SQLITE_OK ) break;
    rc = SQLITE_OK;
    if( zWhy==0 && pChunk->bBatch && prillBatchCheck(pChunk->buf.a, &b)!=SQLITE_OK ) zWhy = "its checksum is wrong";
    if( zWhy==0 ) checkRecords(aRec, nRec, &b, &sum, &zWhy);
    if( zWhy==0 && sum.iMinTs!=pChunk->iMinTs ) zWhy = "its least timestamp is not that of its records";
    if( zWhy ) rc = checkSay(ck, "the tail at offset %lld: %s", pChunk->iBase, zWhy);
    if( rc==SQLITE_OK ) rc = checkTick(ck);
  }
  return rc;
}

/* The numbers of the extent among themselves and against the segment list. */
static int checkExtent(CheckRun *ck){
  const PrillPart *p = ck->pPart;
  const PrillExtent *x = &p->x;
  i64 iEnd = p->nTail ? p->apTail[p->nTail-1]->iNext : x->iSegEnd;
  u64 nByte = 0, nRec = 0;
  int i;
  int rc = SQLITE_OK;
  for(i=0; i<p->nSeg; i++){
    nByte += (u64)p->aSeg[i].nByte;
    nRec += (u64)p->aSeg[i].nRec;
  }
  if( nByte!=(u64)x->nAllByte ){
    rc = checkSay(ck, "its segments have %lld bytes where the extent has %lld", (i64)nByte, x->nAllByte);
  }
  if( rc==SQLITE_OK && nRec!=(u64)x->nAllRec ){
    rc = checkSay(ck, "its segments have %lld records where the extent has %lld", (i64)nRec, x->nAllRec);
  }
  if( rc==SQLITE_OK && p->nSeg && p->aSeg[p->nSeg-1].iEnd>x->iSegEnd ){
    rc = checkSay(ck, "its segments end before offset %lld, the extent before %lld",
                  p->aSeg[p->nSeg-1].iEnd, x->iSegEnd);
  }
  if( rc==SQLITE_OK && !ck->bGaps && x->iLogStart>iEnd ){
    rc = checkSay(ck, "log start offset %lld is past the end %lld", x->iLogStart, iEnd);
  }
  return rc;
}

/* Lines for the offsets lost to power cuts. */
static int checkGaps(CheckRun *ck){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(ck->pStore, &pStmt, "SELECT first, last, strftime('%%Y-%%m-%%d %%H:%%M:%%S',"
                             " at/1000, 'unixepoch') FROM \"%w\".prill_store_gap WHERE pid=%d"
                             " ORDER BY first", ck->pPart->iPid);
  ck->bGaps = 0;
  while( rc==SQLITE_OK && (rc = sqlite3_step(pStmt))==SQLITE_ROW ){
    const char *zAt = (const char*)sqlite3_column_text(pStmt, 2);
    ck->bGaps = 1;
    rc = checkStoreSay(ck, "lost: topic %s partition %d: offsets %lld to %lld were not on the disk when"
                       " the power failed, found at %s UTC", ck->zTopic, ck->pPart->iPart,
                       sqlite3_column_int64(pStmt, 0), sqlite3_column_int64(pStmt, 1), zAt ? zAt : "?");
  }
  if( rc==SQLITE_DONE ) rc = SQLITE_OK;
  if( rc==SQLITE_OK ) rc = sqlite3_finalize(pStmt); else sqlite3_finalize(pStmt);
  return rc;
}

/* The first offset a partition may begin with. */
static i64 checkFirst(const PrillPart *p){
  return p->nSeg ? 0 : p->x.iSegEnd;
}

static int checkPart(CheckRun *ck, PrillTopic *pTopic, PrillPart *p){
  int bBad = 0;
  int i;
  int rc;
  ck->pPart = p;
  ck->zTopic = pTopic->zName;
  rc = checkTry(ck, prillPartLoad(p), &bBad);
  if( rc==SQLITE_OK && !bBad ) rc = checkTry(ck, prillPartSegs(p), &bBad);
  if( rc==SQLITE_OK && !bBad ) rc = checkTry(ck, checkGaps(ck), &bBad);
  if( rc!=SQLITE_OK || bBad ) return rc;
  rc = checkExtent(ck);
  ck->iNext = checkFirst(p);
  ck->bSparse = (pTopic->cfg.mCleanup & PRILL_COMPACT)!=0;
  for(i=0; i<p->nSeg; i++) ck->bSparse |= p->aSeg[i].iClean>0;
  ck->iEpoch = 0;
  for(i=0; rc==SQLITE_OK && i<p->nSeg; i++){
    PrillSeg seg = p->aSeg[i];
    if( seg.iBase<ck->iNext ){
      rc = checkSay(ck, "segment %lld begins below offset %lld, where the one before ends", seg.iBase,
                    ck->iNext);
    }
    if( rc==SQLITE_OK && ck->bFiles ) rc = checkTry(ck, checkSegment(ck, &seg, i), &bBad);
    ck->iNext = seg.iEnd;
  }
  if( rc==SQLITE_OK ){
    /* A segment end raised past its records says that some are missing. */
    ck->iNext = PRILL_MAX(ck->iNext, p->x.iSegEnd);
    rc = checkTail(ck);
  }
  return rc;
}

/**************************************************************************
** The store.
*/

/* One line for each row of a query: a number, a number, a text. */
static int checkQuery(CheckRun *ck, const char *zSql, const char *zFmt){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(ck->pStore, &pStmt, zSql);
  while( rc==SQLITE_OK && (rc = sqlite3_step(pStmt))==SQLITE_ROW ){
    rc = checkStoreSay(ck, zFmt, sqlite3_column_int64(pStmt, 0), sqlite3_column_int64(pStmt, 1));
  }
  if( rc==SQLITE_DONE ) rc = SQLITE_OK;
  if( rc==SQLITE_OK ){
    rc = sqlite3_finalize(pStmt);
  }else{
    if( rc!=SQLITE_NOMEM && ck->pStore->pConn->zErr==0 ){
      prillError(ck->pStore->pConn, rc, "store \"%s\": %s", ck->pStore->zSchema,
                 sqlite3_errmsg(ck->pStore->pConn->db));
    }
    sqlite3_finalize(pStmt);
  }
  return rc;
}

/* Rows that belong to nothing. */
static int checkOrphans(CheckRun *ck, int *pbBad){
  static const struct { const char *zSql; const char *zFmt; } aQuery[] = {
    {"SELECT pid, base FROM \"%w\".prill_store_segment"
     " WHERE pid NOT IN (SELECT pid FROM \"%w\".prill_store_part)",
     "prill_store_segment: partition %lld of segment %lld does not exist"},
    {"SELECT DISTINCT i.pid, i.base FROM \"%w\".prill_store_index i WHERE NOT EXISTS"
     "(SELECT 1 FROM \"%w\".prill_store_segment s WHERE s.pid=i.pid AND s.base=i.base AND s.next IS NULL)",
     "prill_store_index: partition %lld has no active segment %lld"},
    {"SELECT DISTINCT k.pid, k.base FROM \"%w\".prill_store_key k WHERE NOT EXISTS"
     "(SELECT 1 FROM \"%w\".prill_store_segment s WHERE s.pid=k.pid AND s.base=k.base AND s.gen=k.gen)",
     "prill_store_key: partition %lld has no segment %lld of the row's generation"},
    {"SELECT slot, length(frame) FROM \"%w\".prill_store_tail WHERE typeof(frame)<>'blob' OR length(frame)<13",
     "prill_store_tail: row %lld of %lld bytes is no frame"},
    {"SELECT max(pid), (SELECT next_pid FROM \"%w\".prill_store_state) AS n"
     " FROM \"%w\".prill_store_part HAVING max(pid)>=n OR n IS NULL",
     "prill_store_state: partition %lld is in use and %lld is to be the next"},
    {"SELECT max(id), (SELECT next_topic FROM \"%w\".prill_store_state) AS n"
     " FROM \"%w\".prill_store_topic HAVING max(id)>=n OR n IS NULL",
     "prill_store_state: topic %lld is in use and %lld is to be the next"},
  };
  size_t i;
  int rc = SQLITE_OK;
  ck->pPart = 0;
  for(i=0; rc==SQLITE_OK && i<sizeof(aQuery)/sizeof(aQuery[0]); i++){
    rc = checkTry(ck, checkQuery(ck, aQuery[i].zSql, aQuery[i].zFmt), pbBad);
  }
  return rc;
}

/* Is zPath, of the trash, a file of a segment of some partition? */
static int checkTrashPath(CheckRun *ck, const char *zPath){
  PrillTopic *pTopic;
  int i, j, k;
  for(pTopic=ck->pStore->pTopics; pTopic; pTopic=pTopic->pNext){
    char zId[33];
    prillHex(pTopic->aUuid, 16, zId);
    if( strncmp(zPath, zId, 32)!=0 ) continue;
    for(i=0; i<pTopic->nPart; i++){
      PrillPart *p = pTopic->apPart[i];
      for(j=0; j<p->nSeg; j++){
        /* The runs of an active segment are in the trash once it is sealed. */
        for(k=0; prillPartExt(k) && (!p->aSeg[j].bSealed || k<4); k++){
          char *z = prillPartPath(p, p->aSeg[j].iBase, p->aSeg[j].iGen, prillPartExt(k));
          int bSame = z && strcmp(z, zPath)==0;
          if( z==0 ) return SQLITE_NOMEM;
          sqlite3_free(z);
          if( bSame ) return checkStoreSay(ck, "topic %s partition %d: %s is in use and in the trash",
                                           pTopic->zName, i, zPath);
        }
      }
    }
  }
  return SQLITE_OK;
}

static int checkTrash(CheckRun *ck, int *pbBad){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(ck->pStore, &pStmt, "SELECT path FROM \"%w\".prill_store_trash");
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    const char *z = (const char*)sqlite3_column_text(pStmt, 0);
    rc = z ? checkTrashPath(ck, z) : checkStoreSay(ck, "prill_store_trash: a row without a path");
  }
  if( rc==SQLITE_OK ) rc = sqlite3_finalize(pStmt); else sqlite3_finalize(pStmt);
  return checkTry(ck, rc, pbBad);
}

/* The directory, looked at afresh. */
static int checkDir(CheckRun *ck){
  PrillStore *p = ck->pStore;
  int bBad = 0;
  int rc;
  if( p->zDir==0 || !p->bDirRow ) return SQLITE_OK;
  p->eDir = 0;
  rc = checkTry(ck, prillStoreCheckDir(p), &bBad);
  ck->bFiles = rc==SQLITE_OK && !bBad;
  return rc;
}

/* Everything, in the snapshot the caller holds. */
static int checkAll(CheckRun *ck){
  PrillStore *p = ck->pStore;
  PrillTopic *pTopic;
  int bBad = 0;
  int i;
  int rc = checkTry(ck, prillStoreRefresh(p), &bBad);
  if( rc!=SQLITE_OK || (!p->bExists && !bBad) ) return rc;
  if( bBad && p->pTopics==0 ) return rc;
  rc = checkDir(ck);
  for(pTopic=p->pTopics; rc==SQLITE_OK && pTopic; pTopic=pTopic->pNext){
    for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++) rc = checkPart(ck, pTopic, pTopic->apPart[i]);
  }
  if( rc==SQLITE_OK ) rc = checkOrphans(ck, &bBad);
  if( rc==SQLITE_OK ) rc = checkTrash(ck, &bBad);
  if( rc==SQLITE_OK && ck->nProblem>CHECK_MX_LINE ){
    prillBufPrintf(&rc, ck->pOut, "and %lld more problems\n", ck->nProblem-CHECK_MX_LINE);
  }
  return rc;
}

/*
** Append one problem a line to *pBuf; nothing when all is well.
**
**   SQLITE_OK         checked, whatever was found
**   SQLITE_NOMEM, SQLITE_INTERRUPT, SQLITE_BUSY, SQLITE_AUTH
**                     the check did not come to its end
*/
int prillCheckStore(PrillStore *p, PrillBuf *pBuf){
  CheckRun ck;
  sqlite3_stmt *pHold = 0;
  int bBad = 0;
  int rc;
  memset(&ck, 0, sizeof(ck));
  ck.pStore = p;
  ck.pOut = pBuf;
  rc = prillStorePrepare(p, &ck.pTick, "SELECT 1");
  if( rc==SQLITE_OK ) rc = prillStorePrepare(p, &pHold, "SELECT count(*) FROM \"%w\".sqlite_schema");
  if( rc==SQLITE_OK && sqlite3_step(pHold)!=SQLITE_ROW ){
    rc = sqlite3_reset(pHold);
    if( rc!=SQLITE_OK ) prillError(p->pConn, rc, "store \"%s\": %s", p->zSchema, sqlite3_errmsg(p->pConn->db));
  }
  rc = checkTry(&ck, rc, &bBad);
  if( rc==SQLITE_OK && !bBad ) rc = checkAll(&ck);
  sqlite3_finalize(pHold);
  sqlite3_finalize(ck.pTick);
  sqlite3_free(ck.zFile);
  prillBufFree(&ck.batch);
  prillBufFree(&ck.rec);
  return rc;
}
