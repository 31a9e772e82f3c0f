/*
** bench_write.c: rows 1-3, 9, 10 and 19 of the goals: INSERT.
*/
#define _GNU_SOURCE 1
#include "bench.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One load: nTxn transactions of nRow rows. */
typedef struct Load Load;
struct Load {
  const char *zRow;
  int szVal;
  int nTxn, nRow;
  int bFull, bOs;
  int nPart;
  int bWarm;            /* warm up with nTxn/4 transactions, at least one */
  int bLatency;         /* report p99.9 and the longest too */
  const char *const *apKey;   /* keys in turn, or NULL: the pool */
  int nKey;
  int nFill;            /* rows there before it all, 1,000 a transaction */
};

/* What one contestant did in one round. */
typedef struct Result Result;
struct Result {
  double rSec;
  double rP999, rMax;   /* microseconds a transaction */
  double rDisk;         /* bytes on disk a row */
  double nOpen;         /* most files open */
};

/* A load under way. */
typedef struct Run Run;
struct Run {
  const Load *pLoad;
  BenchDb *pDb;
  int nTxn;
  i64 *aTime;           /* nanoseconds of each transaction */
  int nOpen;
};

static int writeOpenFiles(void){
  DIR *p = opendir("/proc/self/fd");
  int n = 0;
  if( p==0 ) return 0;
  while( readdir(p) ) n++;
  closedir(p);
  return n-3;           /* ".", ".." and the directory itself */
}

static void writeRun(void *pArg){
  Run *p = (Run*)pArg;
  const Load *pLoad = p->pLoad;
  BenchDb *pDb = p->pDb;
  i64 t0 = benchClock();
  int i, j;
  for(i=0; i<p->nTxn; i++){
    i64 t1;
    if( pLoad->nRow>1 ) benchStep(pDb, pDb->pBegin);
    for(j=0; j<pLoad->nRow; j++){
      benchInsert(pDb, pLoad->szVal, pLoad->apKey ? pLoad->apKey[pDb->nRow%pLoad->nKey] : 0);
    }
    if( pLoad->nRow>1 ) benchStep(pDb, pDb->pCommit);
    t1 = benchClock();
    p->aTime[i] = t1-t0;
    t0 = t1;
  }
}

static int writeCompare(const void *a, const void *b){
  i64 x = *(const i64*)a, y = *(const i64*)b;
  return x<y ? -1 : x>y;
}

/* One contestant, one round. */
static void writeOne(const Load *pLoad, const char *zCodec, Result *pOut){
  BenchConf conf = { pLoad->bFull, pLoad->bOs, pLoad->nPart, "" };
  int nTxn = benchScale(pLoad->nTxn);
  i64 nByte = (i64)nTxn*pLoad->nRow*(pLoad->szVal+32)*3 + 16*1024*1024;
  BenchDb db;
  Run run;
  i64 n;
  memset(pOut, 0, sizeof(*pOut));
  benchOpen(&db, zCodec, &conf);
  memset(&run, 0, sizeof(run));
  run.pLoad = pLoad;
  run.pDb = &db;
  run.aTime = benchAlloc(sizeof(i64)*(size_t)nTxn);
  while( db.nRow<benchScale(pLoad->nFill) ){
    benchStep(&db, db.pBegin);
    do{
      benchInsert(&db, pLoad->szVal, pLoad->apKey[db.nRow%pLoad->nKey]);
    }while( db.nRow%1000 );
    benchStep(&db, db.pCommit);
  }
  if( pLoad->bWarm ){
    run.nTxn = nTxn/4 + (nTxn<4);
    writeRun(&run);
  }
  run.nTxn = nTxn;
  benchSettle(nByte);
  pOut->rSec = (double)benchTimed(writeRun, &run)/1e9;
  pOut->nOpen = writeOpenFiles();
  qsort(run.aTime, (size_t)nTxn, sizeof(i64), writeCompare);
  pOut->rP999 = (double)run.aTime[(i64)nTxn*999/1000]/1e3;
  pOut->rMax = (double)run.aTime[nTxn-1]/1e3;
  n = benchIsFloor(zCodec) ? db.nRow : benchInt(&db, "SELECT count(*) FROM log");
  if( n!=db.nRow ) benchFail("%s: %lld rows of %lld", zCodec ? zCodec : "table", n, db.nRow);
  pOut->rDisk = (double)(benchDbBytes(&db) + (zCodec && !benchIsFloor(zCodec) ? benchLogBytes(&db) : 0))/(double)n;
  free(run.aTime);
  benchClose(&db);
}

/* The words that stand beside every number. */
static void writeWhat(const Load *p, const char *zCodec, char *zOut, int n){
  char zRows[32];
  if( p->nRow==1 ){
    snprintf(zRows, sizeof(zRows), "autocommit");
  }else{
    snprintf(zRows, sizeof(zRows), "%d rows/tx", p->nRow);
  }
  sqlite3_snprintf(n, zOut, "INSERT %d B, %s, %s, %s, flush=%s%s%s", p->szVal, zCodec, zRows,
      p->bFull ? "FULL" : "NORMAL", p->bOs ? "os" : "commit",
      p->nPart==1 ? "" : p->nPart==16 ? ", 16 partitions" : ", 1000 partitions",
      p->nFill ? " with files" : "");
}

/* Run a load: the table against up to two codecs, and the floor, rotated.  The results of
** all rounds go to aRes[side][round] for the caller to report more.  0: not wanted. */
#define WRITE_MXSIDE 4
static Result aRes[WRITE_MXSIDE][BENCH_MXROUND];

static int writeLoad(const Load *pLoad, int nCodec, const char *const *azCodec, const double *aGoal){
  const char *azSide[WRITE_MXSIDE] = {0};
  int nSide = nCodec+2;
  int iRound, i, k;
  char zWords[200];
  writeWhat(pLoad, azCodec[0], zWords, sizeof(zWords));
  if( !benchMatches(zWords) ) return 0;
  for(i=0; i<nCodec; i++) azSide[i+1] = azCodec[i];
  azSide[nCodec+1] = "floor";
  for(iRound=0; iRound<bench.nRound; iRound++){
    for(k=0; k<nSide; k++){
      int iSide = (iRound+k)%nSide;
      if( benchTakes(azSide[iSide]) ) writeOne(pLoad, azSide[iSide], &aRes[iSide][iRound]);
    }
  }
  for(i=1; i<nSide; i++){
    double aRatio[BENCH_MXROUND], aTab[BENCH_MXROUND], aTop[BENCH_MXROUND];
    double nAll = (double)benchScale(pLoad->nTxn);
    char zWhat[200];
    if( !benchTakes(azSide[i]) ) continue;
    for(iRound=0; iRound<bench.nRound; iRound++){
      aTab[iRound] = aRes[0][iRound].rSec/nAll*1e6;
      aTop[iRound] = aRes[i][iRound].rSec/nAll*1e6;
      aRatio[iRound] = aTab[iRound]/aTop[iRound];
    }
    writeWhat(pLoad, azSide[i], zWhat, sizeof(zWhat));
    benchReport(pLoad->zRow, zWhat, aRatio, bench.nRound, i>nCodec ? 0.0 : aGoal[i-1], "x",
        "%.3f us a row, table %.3f; %.1f us a commit, table %.1f",
        benchMedian(aTop, bench.nRound)/pLoad->nRow, benchMedian(aTab, bench.nRound)/pLoad->nRow,
        benchMedian(aTop, bench.nRound), benchMedian(aTab, bench.nRound));
    if( pLoad->bLatency ){
      double aMax[BENCH_MXROUND];
      for(iRound=0; iRound<bench.nRound; iRound++){
        aTab[iRound] = aRes[0][iRound].rP999;
        aTop[iRound] = aRes[i][iRound].rP999;
        aMax[iRound] = aRes[i][iRound].rMax;
        aRatio[iRound] = aTop[iRound]/aTab[iRound];
      }
      benchReport(pLoad->zRow, "  its p99.9 against the table's", aRatio, bench.nRound,
          i>nCodec || pLoad->nPart>16 ? 0.0 : -1.0, "x", "p99.9 %.0f us, table %.0f; longest %.1f ms",
          benchMedian(aTop, bench.nRound), benchMedian(aTab, bench.nRound),
          benchMedian(aMax, bench.nRound)/1e3);
    }
  }
  return 1;
}

static const char *const azNone[] = {"none"};
static const char *const azLz4[] = {"lz4"};

/**************************************************************************
** Rows 1 and 2: INSERT without compression.
*/
void benchRow1(void){
  static const double aGoal[2] = {4.5, 12.0};
  int i;
  for(i=0; i<2; i++){
    Load load = { "1", i ? 1000 : 100, i ? 60 : 300, 1000, 0, 1, 1, 1, 0, 0, 0, 0 };
    writeLoad(&load, 1, azNone, &aGoal[i]);
  }
}

void benchRow2(void){
  static const struct { int nRow, bFull, anTxn[2]; double aGoal[2]; } aCase[] = {
    { 1000,   0, {200, 40}, {2.0, 6.0} },
    { 100000, 0, {2, 1},    {4.0, 11.0} },
    { 1000,   1, {150, 40}, {1.3, 5.0} },
  };
  size_t k;
  int i;
  for(k=0; k<sizeof(aCase)/sizeof(aCase[0]); k++){
    for(i=0; i<2; i++){
      Load load = { "2", i ? 1000 : 100, aCase[k].anTxn[i], aCase[k].nRow, aCase[k].bFull, 0, 1, 1, 0, 0, 0, 0 };
      if( bench.bQuick && load.nRow>1000 ) load.nRow /= 5;
      writeLoad(&load, 1, azNone, &aCase[k].aGoal[i]);
    }
  }
}

/**************************************************************************
** Row 3: with LZ4, and the bytes it leaves.
*/
void benchRow3(void){
  static const double aGoal[2] = {2.9, 3.3};
  static const double aDisk[2] = {0.45, 0.60};
  int i, iRound;
  for(i=0; i<2; i++){
    Load load = { "3", i ? 1000 : 100, i ? 60 : 300, 1000, 0, 1, 1, 1, 0, 0, 0, 0 };
    double aRatio[BENCH_MXROUND];
    writeLoad(&load, 1, azLz4, &aGoal[i]);
    if( bench.zOnly ) continue;
    for(iRound=0; iRound<bench.nRound; iRound++){
      aRatio[iRound] = aRes[1][iRound].rDisk/aRes[0][iRound].rDisk;
    }
    benchReport("3", "  its bytes on disk against the table's", aRatio, bench.nRound, -aDisk[i], "x",
        "%.1f B a row, table %.1f", aRes[1][0].rDisk, aRes[0][0].rDisk);
  }
}

/**************************************************************************
** Row 9: small transactions; the default codec.
*/
static const char **writeKeys(int nPart);

void benchRow9(void){
  static const struct { int szVal, nRow, nPart, anTxn[2]; double rGoal; } aCase[] = {
    { 100,  1,  1,  {40000, 4000}, 1.0 },
    { 1000, 1,  1,  {30000, 4000}, 1.15 },
    { 100,  10, 1,  {20000, 3000}, 1.3 },
    { 100,  10, 16, {15000, 3000}, 1.0 },
  };
  size_t k;
  int bFull;
  for(bFull=0; bFull<2; bFull++){
    for(k=0; k<sizeof(aCase)/sizeof(aCase[0]); k++){
      Load load = { "9", aCase[k].szVal, aCase[k].anTxn[bFull], aCase[k].nRow, bFull, 0,
                    aCase[k].nPart, 1, 1, 0, aCase[k].nPart, 0 };
      double rGoal = bFull ? 1.0 : aCase[k].rGoal;
      const char **apKey = 0;
      if( load.nPart>1 ) load.apKey = apKey = writeKeys(load.nPart);
      writeLoad(&load, 1, azLz4, &rGoal);
      free(apKey);
    }
  }
}

/**************************************************************************
** Row 10: bytes on disk of sealed segments.
*/
static void writeSealed(int szVal, double rGoal){
  static const char zSegs[] =
      "SELECT path, records FROM (SELECT path, records, lead(base_offset) OVER (ORDER BY base_offset) AS next"
      " FROM prill_segments WHERE topic='log') WHERE next IS NOT NULL";
  BenchConf conf = { 0, 1, 1, "segment_bytes=1048576" };
  int nRow = benchScale(szVal<300 ? 300000 : 60000);
  BenchDb aDb[2];
  sqlite3_stmt *pStmt;
  i64 nByte = 0, nRec = 0;
  double rTable, rRatio;
  int i, n = 0;
  for(i=0; i<2; i++){
    benchOpen(&aDb[i], i ? "lz4" : 0, &conf);
    while( aDb[i].nRow<nRow ){
      benchStep(&aDb[i], aDb[i].pBegin);
      do{ benchInsert(&aDb[i], szVal, 0); }while( aDb[i].nRow%1000 );
      benchStep(&aDb[i], aDb[i].pCommit);
    }
  }
  for(i=0; i<1000 && benchInt(&aDb[1], "SELECT prill_maintain()"); i++){}
  rTable = (double)benchDbBytes(&aDb[0])/nRow;
  pStmt = benchPrepare(&aDb[1], zSegs);
  while( sqlite3_step(pStmt)==SQLITE_ROW ){
    static const char *const azExt[] = {"log", "index", "timeindex"};
    const char *zPath = (const char*)sqlite3_column_text(pStmt, 0);
    size_t k;
    for(k=0; k<3; k++){
      /* The path is relative to the database's directory and ends in "log". */
      char *z = sqlite3_mprintf("%s/%.*s%s", bench.zDir, (int)strlen(zPath)-3, zPath, azExt[k]);
      nByte += benchFileSize(z);
      sqlite3_free(z);
    }
    nRec += sqlite3_column_int64(pStmt, 1);
    n++;
  }
  sqlite3_finalize(pStmt);
  if( nRec==0 ) benchFail("row 10: nothing was sealed");
  rRatio = (double)nByte/(double)nRec/rTable;
  benchReport("10", szVal<300 ? "sealed bytes, 100 B, lz4, segment.bytes=1 MiB" :
      "sealed bytes, 1000 B, lz4, segment.bytes=1 MiB", &rRatio, 1, -rGoal, "x",
      "%.1f B a row in %d segments with their indexes, table %.1f",
      (double)nByte/(double)nRec, n, rTable);
  benchClose(&aDb[0]);
  benchClose(&aDb[1]);
}

void benchRow10(void){
  if( bench.zOnly ) return;
  writeSealed(100, 0.40);
  writeSealed(1000, 0.55);
}

/**************************************************************************
** Row 19: a thousand partitions, by key, in turn.
*/

/* nPart keys, the i-th of which goes to partition i: found by asking. */
static const char **writeKeys(int nPart){
  const char **ap = benchAlloc((sizeof(char*)+BENCH_KEY)*(size_t)nPart);
  char *a = (char*)(ap+nPart);
  BenchDb db;
  BenchConf conf = { 0, 0, nPart, "" };
  unsigned iKey;
  int nFound = 0;
  benchOpen(&db, "none", &conf);
  benchExec(&db, "BEGIN");
  for(iKey=0; nFound<nPart; iKey++){
    char z[BENCH_KEY+1];
    i64 iPart;
    sqlite3_snprintf(sizeof(z), z, "k%07u", iKey);
    benchInsert(&db, 100, z);
    iPart = benchInt(&db, "SELECT prill_partition()");
    if( iPart<0 || iPart>=nPart ) benchFail("prill_partition() is %lld", iPart);
    if( ap[iPart]==0 ){
      ap[iPart] = a + iPart*BENCH_KEY;
      memcpy(a + iPart*BENCH_KEY, z, BENCH_KEY);
      nFound++;
    }
  }
  benchExec(&db, "ROLLBACK");
  benchClose(&db);
  return ap;
}

void benchRow19(void){
  /* With files: as a store is after a while.  A new one makes 1,000 of them, with
  ** their directories, when the ring is full for the first time. */
  static const struct { int nTxn, nRow; double rGoal; int nFill; } aCase[] = {
    {80000, 1, 0.85, 0}, {20000, 10, 0.5, 0}, {2000, 100, 0.4, 0},
    {20000, 10, 0.5, 250000}, {2000, 100, 0.4, 250000}
  };
  const char **apKey = writeKeys(1000);
  size_t k;
  int i;
  for(k=0; k<sizeof(aCase)/sizeof(aCase[0]); k++){
    Load load = { "19", 100, aCase[k].nTxn, aCase[k].nRow, 0, 0, 1000, 1, 1, apKey, 1000,
                  aCase[k].nFill };
    double aMax[BENCH_MXROUND], aOpen[BENCH_MXROUND];
    if( !writeLoad(&load, 1, azLz4, &aCase[k].rGoal) || !benchTakes("lz4") ) continue;
    for(i=0; i<bench.nRound; i++){
      aMax[i] = aRes[1][i].rMax/1e3;
      aOpen[i] = aRes[1][i].nOpen;
    }
    benchReport("19", "  its longest stall", aMax, bench.nRound, -50.0, "ms", "");
    benchReport("19", "  files it leaves open", aOpen, bench.nRound, -256.0, "", "");
  }
  free(apKey);
}
