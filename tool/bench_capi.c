/*
** bench_capi.c: rows 4 and 7 of the goals: the C interface, against the table
** from C with prepared statements.
**
** Row 4 appends 100,000 records a transaction by prill_producer_produce() in
** the caller's transaction.  Row 7 reads all by prill_reader_next(), against
** stepping SELECT value FROM log: on a new connection, which checks each
** batch's checksum, and again, when it knows them.
*/
#include "bench.h"
#include "prill.h"

#include <stdio.h>
#include <string.h>

#define CAPI_NSIDE 3
static const char *const azSide[CAPI_NSIDE] = {0, "none", "lz4"};

typedef struct Work Work;
struct Work {
  BenchDb *pDb;
  prill_producer *pProducer;
  prill_reader *pReader;
  sqlite3_stmt *pSelect;
  int szVal;
  int nRow, nTxn;
  i64 iSum;
};

static void capiAppend(void *pArg){
  Work *p = (Work*)pArg;
  BenchDb *pDb = p->pDb;
  prill_record r;
  int i, j;
  memset(&r, 0, sizeof(r));
  r.zTopic = "log";
  for(i=0; i<p->nTxn; i++){
    benchStep(pDb, pDb->pBegin);
    for(j=0; j<p->nRow; j++){
      if( p->pProducer==0 ){
        benchInsert(pDb, p->szVal, 0);
        continue;
      }
      r.iTimestamp = 1700000000000LL + pDb->nRow;
      r.pKey = benchKey(pDb->nRow*7);
      r.nKey = BENCH_KEY;
      r.pValue = benchValue(p->szVal, pDb->nRow);
      r.nValue = p->szVal;
      if( prill_producer_produce(p->pProducer, &r, 0) ) benchFail("%s", prill_producer_errmsg(p->pProducer));
      pDb->nRow++;
    }
    benchStep(pDb, pDb->pCommit);
  }
}

static void capiScan(void *pArg){
  Work *p = (Work*)pArg;
  p->iSum = 0;
  if( p->pReader ){
    const prill_record *r;
    int rc = prill_reader_seek(p->pReader, 0);
    while( rc==SQLITE_OK && (rc = prill_reader_next(p->pReader, &r))==SQLITE_ROW ){
      p->iSum += r->nValue + ((const char*)r->pValue)[7];
      rc = SQLITE_OK;
    }
    if( rc!=SQLITE_DONE ) benchFail("%s", prill_reader_errmsg(p->pReader));
  }else{
    while( sqlite3_step(p->pSelect)==SQLITE_ROW ){
      const char *z = (const char*)sqlite3_column_blob(p->pSelect, 0);
      p->iSum += sqlite3_column_bytes(p->pSelect, 0) + z[7];
    }
    if( sqlite3_reset(p->pSelect) ) benchFail("%s", sqlite3_errmsg(p->pDb->db));
  }
}

/* Nanoseconds a record of one contestant's appends. */
static double capiAppendOne(const char *zCodec, int szVal, int bOs){
  static const char *const azOption[] = {0};
  BenchConf conf = { 0, bOs, 1, "" };
  BenchDb db;
  Work w = {0};
  double r;
  benchOpen(&db, zCodec, &conf);
  w.pDb = &db;
  w.szVal = szVal;
  w.nRow = benchScale(100000);
  if( zCodec && prill_producer_open(db.db, 0, azOption, 0, 0, &w.pProducer) ){
    benchFail("%s", prill_producer_errmsg(w.pProducer));
  }
  w.nTxn = 1;
  capiAppend(&w);
  w.nTxn = 3;
  benchSettle((i64)w.nRow*w.nTxn*szVal*2);
  r = (double)benchTimed(capiAppend, &w)/w.nTxn/w.nRow;
  if( benchInt(&db, "SELECT count(*) FROM log")!=db.nRow ) benchFail("%s: rows are missing", zCodec ? zCodec : "table");
  prill_producer_close(w.pProducer);
  benchClose(&db);
  return r;
}

void benchRow4(void){
  static const double aGoal[2] = {15.0, 6.0};
  int bOs, iRound, i, k;
  for(bOs=1; bOs>=0; bOs--){
    double a[CAPI_NSIDE][BENCH_MXROUND];
    memset(a, 0, sizeof(a));
    for(iRound=0; iRound<bench.nRound; iRound++){
      for(k=0; k<CAPI_NSIDE; k++){
        i = (iRound+k)%CAPI_NSIDE;
        if( benchTakes(azSide[i]) ) a[i][iRound] = capiAppendOne(azSide[i], 100, bOs);
      }
    }
    for(i=1; i<CAPI_NSIDE; i++){
      double aRatio[BENCH_MXROUND];
      char zWhat[120];
      if( !benchTakes(azSide[i]) ) continue;
      for(iRound=0; iRound<bench.nRound; iRound++) aRatio[iRound] = a[0][iRound]/a[i][iRound];
      sqlite3_snprintf(sizeof(zWhat), zWhat, "C append, 100 B, %s, %d a transaction, NORMAL, flush=%s", azSide[i],
                       benchScale(100000), bOs ? "os" : "commit");
      benchReport("4", zWhat, aRatio, bench.nRound, bench.zOnly || !bOs ? 0.0 : aGoal[i-1], "x",
                  "%.1f ns a record, table %.1f", benchMedian(a[i], bench.nRound), benchMedian(a[0], bench.nRound));
    }
  }
}

void benchRow7(void){
  static const double aGoal[CAPI_NSIDE][2] = {{0, 0}, {7.0, 11.0}, {2.5, 2.5}};
  BenchConf conf = { 0, 1, 1, "" };
  BenchDb aDb[CAPI_NSIDE];
  double a[CAPI_NSIDE][2][BENCH_MXROUND];
  int nRow = benchScale(500000);
  int iRound, i, k, iPass;
  memset(aDb, 0, sizeof(aDb));
  memset(a, 0, sizeof(a));
  for(i=0; i<CAPI_NSIDE; i++){
    if( !benchTakes(azSide[i]) ) continue;
    benchOpen(&aDb[i], azSide[i], &conf);
    while( aDb[i].nRow<nRow ){
      benchStep(&aDb[i], aDb[i].pBegin);
      do{ benchInsert(&aDb[i], 100, 0); }while( aDb[i].nRow%1000 );
      benchStep(&aDb[i], aDb[i].pCommit);
    }
    benchExec(&aDb[i], "PRAGMA wal_checkpoint(TRUNCATE)");
  }
  benchSettle((i64)nRow*200);
  for(iRound=0; iRound<bench.nRound; iRound++){
    i64 iSum = -1;
    for(k=0; k<CAPI_NSIDE; k++){
      Work w = {0};
      i = (iRound+k)%CAPI_NSIDE;
      if( aDb[i].db==0 ) continue;
      benchReopen(&aDb[i]);
      w.pDb = &aDb[i];
      if( azSide[i]==0 ){
        w.pSelect = benchPrepare(w.pDb, "SELECT value FROM log");
      }else if( prill_reader_open(w.pDb->db, 0, "log", 0, PRILL_EARLIEST, &w.pReader) ){
        benchFail("%s", prill_reader_errmsg(w.pReader));
      }
      for(iPass=0; iPass<2; iPass++){
        a[i][iPass][iRound] = (double)benchTimed(capiScan, &w)/nRow;
        if( iSum>=0 && iSum!=w.iSum ) benchFail("row 7: the sums differ");
        iSum = w.iSum;
      }
      sqlite3_finalize(w.pSelect);
      prill_reader_close(w.pReader);
    }
  }
  for(i=1; i<CAPI_NSIDE; i++){
    for(iPass=0; iPass<2 && aDb[i].db; iPass++){
      double aRatio[BENCH_MXROUND];
      char zWhat[120];
      for(iRound=0; iRound<bench.nRound; iRound++) aRatio[iRound] = a[0][1][iRound]/a[i][iPass][iRound];
      sqlite3_snprintf(sizeof(zWhat), zWhat, "C scan, 100 B, %s, %s", azSide[i],
                       iPass ? "checked before" : "CRC checked");
      benchReport("7", zWhat, aRatio, bench.nRound, bench.zOnly ? 0.0 : aGoal[i][iPass], "x",
                  "%.1f ns a record, table %.1f", benchMedian(a[i][iPass], bench.nRound),
                  benchMedian(a[0][1], bench.nRound));
    }
  }
  for(i=0; i<CAPI_NSIDE; i++){
    if( aDb[i].db ) benchClose(&aDb[i]);
  }
}
