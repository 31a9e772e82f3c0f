/*
** bench_read.c: rows 5, 6, 8 and 12 of the goals: SELECT.
**
** The data sets are made once a row: the table, a topic without compression
** and one with LZ4, the same rows in each, 1,000 a transaction.
*/
#include "bench.h"
#include "prill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_NSIDE 4
static const char *const azSide[READ_NSIDE] = {0, "none", "lz4", "floor"};

/* The databases of one value size. */
typedef struct Set Set;
struct Set {
  int szVal;
  int nRow;
  BenchDb aDb[READ_NSIDE];
};

static void readFill(BenchDb *p, int szVal, int nRow){
  while( p->nRow<nRow ){
    benchStep(p, p->pBegin);
    do{ benchInsert(p, szVal, 0); }while( p->nRow%1000 );
    benchStep(p, p->pCommit);
  }
}

static void readOpen(Set *p, int szVal){
  BenchConf conf = { 0, 1, 1, "" };
  int i;
  p->szVal = szVal;
  p->nRow = szVal<300 ? 300000 : 60000;
  for(i=0; i<READ_NSIDE; i++){
    if( !benchTakes(azSide[i]) ) continue;
    benchOpen(&p->aDb[i], azSide[i], &conf);
    readFill(&p->aDb[i], szVal, p->nRow);
    benchReopen(&p->aDb[i]);
    benchExec(&p->aDb[i], "PRAGMA wal_checkpoint(TRUNCATE)");
  }
}

static void readClose(Set *p){
  int i;
  for(i=0; i<READ_NSIDE; i++){
    if( p->aDb[i].db ) benchClose(&p->aDb[i]);
  }
}

/* One query: run nRep times with ?1 from aArg in turn; iSum adds up all its
** columns, so that the contestants can be compared. */
typedef struct Query Query;
struct Query {
  BenchDb *pDb;
  sqlite3_stmt *pStmt;
  const i64 *aArg;
  int nRep;
  i64 iSum;
};

static void readRun(void *pArg){
  Query *p = (Query*)pArg;
  int nCol = sqlite3_column_count(p->pStmt);
  int i, k;
  p->iSum = 0;
  for(i=0; i<p->nRep; i++){
    if( p->aArg ) sqlite3_bind_int64(p->pStmt, 1, p->aArg[i]);
    while( sqlite3_step(p->pStmt)==SQLITE_ROW ){
      for(k=0; k<nCol; k++){
        if( sqlite3_column_type(p->pStmt, k)==SQLITE_INTEGER ){
          p->iSum += sqlite3_column_int64(p->pStmt, k);
        }else{
          const char *z = (const char*)sqlite3_column_blob(p->pStmt, k);
          p->iSum += sqlite3_column_bytes(p->pStmt, k) + (z ? z[7] : 0);
        }
      }
    }
    if( sqlite3_reset(p->pStmt) ) benchFail("%s: %s", sqlite3_sql(p->pStmt), sqlite3_errmsg(p->pDb->db));
  }
}

/* One query of a row: the table's SQL, the topic's, the goals for none and
** lz4. */
typedef struct Case Case;
struct Case {
  const char *zRow, *zWhat;
  const char *zTable, *zTopic;
  double aGoal[2];
  int nRep;
  int bTxn;               /* inside BEGIN */
};

static void readCase(Set *pSet, const Case *p, const i64 *aArg, double rScale, const char *zUnit){
  double aTime[READ_NSIDE][BENCH_MXROUND];
  Query aQuery[READ_NSIDE];
  int nRep = p->nRep;
  int iRound, i, k;
  char zWords[200];
  sqlite3_snprintf(sizeof(zWords), zWords, "%s, %d B%s%s", p->zWhat, pSet->szVal,
      bench.bBlob ? " BLOB" : "", p->bTxn ? ", in BEGIN" : "");
  if( !benchMatches(zWords) ) return;
  memset(aTime, 0, sizeof(aTime));
  memset(aQuery, 0, sizeof(aQuery));
  for(i=0; i<READ_NSIDE; i++){
    if( !benchTakes(azSide[i]) ) continue;
    aQuery[i].pDb = &pSet->aDb[i];
    aQuery[i].pStmt = benchPrepare(aQuery[i].pDb, azSide[i] ? p->zTopic : p->zTable);
    aQuery[i].aArg = aArg;
    aQuery[i].nRep = nRep;
    if( p->bTxn ) benchExec(aQuery[i].pDb, "BEGIN");
    readRun(&aQuery[i]);          /* warm */
  }
  benchSettle((i64)pSet->nRow*pSet->szVal*2);
  for(iRound=0; iRound<bench.nRound; iRound++){
    for(k=0; k<READ_NSIDE; k++){
      i = (iRound+k)%READ_NSIDE;
      if( aQuery[i].pStmt==0 ) continue;
      aTime[i][iRound] = (double)benchTimed(readRun, &aQuery[i])/nRep*rScale;
      if( aQuery[0].pStmt && i<3 && aQuery[i].iSum!=aQuery[0].iSum ){
        benchFail("row %s, %s: %s gives %lld, the table %lld", p->zRow, p->zWhat, azSide[i] ? azSide[i] :
            "table", aQuery[i].iSum, aQuery[0].iSum);
      }
    }
  }
  for(i=0; i<READ_NSIDE; i++){
    char zWhat[200];
    double aRatio[BENCH_MXROUND];
    if( aQuery[i].pStmt==0 ) continue;
    if( p->bTxn ) benchExec(aQuery[i].pDb, "COMMIT");
    sqlite3_finalize(aQuery[i].pStmt);
    if( i==0 ) continue;
    for(iRound=0; iRound<bench.nRound; iRound++) aRatio[iRound] = aTime[0][iRound]/aTime[i][iRound];
    sqlite3_snprintf(sizeof(zWhat), zWhat, "%s, %d B%s, %s%s", p->zWhat, pSet->szVal,
        bench.bBlob ? " BLOB" : "", azSide[i], p->bTxn ? ", in BEGIN" : "");
    benchReport(p->zRow, zWhat, aRatio, bench.nRound, i==3 ? 0.0 : p->aGoal[i-1], "x",
        "%.2f %s, table %.2f", benchMedian(aTime[i], bench.nRound), zUnit,
        benchMedian(aTime[0], bench.nRound));
  }
}

/**************************************************************************
** Rows 5 and 6: whole scans.
*/
void benchRow5(void){
  int k;
  for(k=0; k<4; k++){
    static const double aGoal[2][2] = {{1.7, 1.5}, {6.0, 1.5}};
    Case c = { "5", "scan sum(length(value))", "SELECT sum(length(value)) FROM log",
               "SELECT sum(length(value)) FROM log", {aGoal[k&1][0], aGoal[k&1][1]}, 3, 0 };
    Set set = {0};
    bench.bBlob = k>=2;
    readOpen(&set, (k&1) ? 1000 : 100);
    readCase(&set, &c, 0, 1.0/set.nRow, "ns a row");
    readClose(&set);
  }
  bench.bBlob = 0;
}

void benchRow6(void){
  int k;
  for(k=0; k<2; k++){
    double rGoal = k ? 20.0 : 2.5;
    Case count = { "6", "count(*)", "SELECT count(*) FROM log", "SELECT count(*) FROM log",
                   {rGoal, rGoal}, 3, 0 };
    /* offsets start at 1 in the table and at 0 in the topic */
    Case off = { "6", "scan sum(offset)", "SELECT sum(offset-1) FROM log",
                 "SELECT sum(offset-0) FROM log", {rGoal, rGoal}, 3, 0 };
    Set set = {0};
    readOpen(&set, k ? 1000 : 100);
    readCase(&set, &count, 0, 1.0/set.nRow, "ns a row");
    readCase(&set, &off, 0, 1.0/set.nRow, "ns a row");
    readClose(&set);
  }
}

/**************************************************************************
** Row 8: lookups.  ?1 is a row's number from 0; the table's offset is one
** more.
*/
#define READ_TABLE "SELECT value FROM log WHERE offset=?1+1"

static void readLookups(Set *pSet, int bTxn){
  static const Case aCase[] = {
    { "8", "lookup by offset, random", READ_TABLE,
      "SELECT value FROM log WHERE partition=0 AND offset=?1", {1.0, 0.7}, 20000, 0 },
    { "8", "lookup by offset, repeated", READ_TABLE,
      "SELECT value FROM log WHERE partition=0 AND offset=?1", {1.0, 1.0}, 20000, 0 },
    { "8", "lookup by timestamp, random, against by rowid", READ_TABLE,
      "SELECT value FROM log WHERE partition=0 AND timestamp>=?1+1700000000000"
      " ORDER BY offset LIMIT 1", {1.0, 0.7}, 20000, 0 },
    { "8", "lookup by timestamp, repeated, against by rowid", READ_TABLE,
      "SELECT value FROM log WHERE partition=0 AND timestamp>=?1+1700000000000"
      " ORDER BY offset LIMIT 1", {1.0, 1.0}, 20000, 0 },
  };
  size_t k;
  for(k=0; k<sizeof(aCase)/sizeof(aCase[0]); k++){
    Case c = aCase[k];
    i64 *aArg;
    int i;
    c.bTxn = bTxn;
    c.nRep = benchScale(c.nRep);
    aArg = benchAlloc(sizeof(i64)*(size_t)c.nRep);
    for(i=0; i<c.nRep; i++){
      /* Repeated: within 100 KB of neighbours. */
      aArg[i] = k%2==0 ? (i64)(benchRandom()%(u64)pSet->nRow)
                       : pSet->nRow/2 + (i64)(benchRandom()%(u64)(100000/pSet->szVal));
    }
    readCase(pSet, &c, aArg, 1e-3, "us");
    free(aArg);
  }
}

static void readTail(Set *pSet, const char *zWhat){
  Case c = { "8", zWhat, "SELECT offset-1, value FROM log ORDER BY offset DESC LIMIT 100",
             "SELECT offset, value FROM log WHERE partition=0 ORDER BY offset DESC LIMIT 100",
             {1.0, 0.7}, 2000, 0 };
  c.nRep = benchScale(c.nRep);
  readCase(pSet, &c, 0, 1e-3, "us");
}

void benchRow8(void){
  int k, i, j;
  for(k=0; k<2; k++){
    Set set = {0};
    readOpen(&set, k ? 1000 : 100);
    readLookups(&set, 0);
    readLookups(&set, 1);
    readTail(&set, "last 100, in a segment");
    for(i=0; i<READ_NSIDE; i++){
      if( set.aDb[i].db==0 ) continue;
      set.aDb[i].nRow = set.nRow;
      for(j=0; j<150; j++) benchInsert(&set.aDb[i], set.szVal, 0);
    }
    readTail(&set, "last 100, in the ring");
    readClose(&set);
  }
}

/**************************************************************************
** Row 12: open and first query.
*/
typedef struct First First;
struct First {
  const char *zPath, *zSql;
  sqlite3 *db;
  i64 v;
};

static void readFirst(void *pArg){
  First *p = (First*)pArg;
  sqlite3_stmt *pStmt = 0;
  int rc = sqlite3_open(p->zPath, &p->db);
  if( rc==SQLITE_OK ) rc = prill_init(p->db);
  if( rc==SQLITE_OK ) rc = sqlite3_prepare_v2(p->db, p->zSql, -1, &pStmt, 0);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) p->v += sqlite3_column_bytes(pStmt, 0);
  if( rc==SQLITE_OK ) rc = sqlite3_finalize(pStmt);
  if( rc ) benchFail("row 12: %s: %s", p->zSql, sqlite3_errmsg(p->db));
}

void benchRow12(void){
  static const struct { const char *zWhat, *zTopic, *zTable; } aCase[] = {
    { "open 1,000,000 records, SELECT ... WHERE offset=",
      "SELECT value FROM log WHERE partition=0 AND offset=500000",
      "SELECT value FROM log WHERE offset=500000" },
    { "open 1,000,000 records, SELECT max(offset)",
      "SELECT max(offset) FROM log WHERE partition=0", "SELECT max(offset) FROM log" },
    { "open 1,000,000 records, SELECT ... WHERE timestamp>=",
      "SELECT value FROM log WHERE partition=0 AND timestamp>=1700000500000 ORDER BY offset LIMIT 1",
      "SELECT value FROM log WHERE offset=500000" },
  };
  BenchDb aDb[2];
  BenchConf conf = { 0, 1, 1, "" };
  size_t k;
  int i, iRound;
  if( bench.zOnly && !benchTakes("lz4") ) return;
  for(i=0; i<2; i++){
    benchOpen(&aDb[i], i ? "lz4" : 0, &conf);
    readFill(&aDb[i], 100, 1000000);
  }
  benchSettle(256*1024*1024);
  for(k=0; k<sizeof(aCase)/sizeof(aCase[0]); k++){
    double aTime[2][BENCH_MXROUND];
    for(iRound=0; iRound<bench.nRound; iRound++){
      for(i=0; i<2; i++){
        /* The median of 21 opens is a round's figure. */
        double a[21];
        int j, iSide = (iRound+i)%2;
        First first = { aDb[iSide].zPath, iSide ? aCase[k].zTopic : aCase[k].zTable, 0, 0 };
        for(j=0; j<21; j++){
          a[j] = (double)benchTimed(readFirst, &first)/1e6;
          sqlite3_close(first.db);
        }
        if( first.v==0 ) benchFail("row 12: nothing was read");
        aTime[iSide][iRound] = benchMedian(a, 21);
      }
    }
    benchReport("12", aCase[k].zWhat, aTime[1], bench.nRound, -1.0, "ms", "lz4; table %.2f ms",
        benchMedian(aTime[0], bench.nRound));
  }
  benchClose(&aDb[0]);
  benchClose(&aDb[1]);
}
