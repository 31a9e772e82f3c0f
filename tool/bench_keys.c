/*
** bench_keys.c: row 8k of the goals: lookups by key.
**
** A million records of 100 bytes, every key another, in one partition; then
** the same in segments of 16 MiB, where a lookup has many closed ones to pass.
*/
#include "bench.h"

#include <string.h>

typedef struct Keys Keys;
struct Keys {
  BenchDb db;
  int nRow;
  sqlite3_stmt *pStmt;
  int nLook;
  i64 nFound;
};

/* Eight bytes that differ for every i, in no order. */
static void keysName(i64 i, char *z){
  u64 h = (u64)(i+1)*0x9e3779b97f4a7c15ULL;
  int j;
  for(j=0; j<BENCH_KEY; j++) z[j] = "0123456789abcdef"[(h>>(60-4*j))&15];
}

static void keysLook(void *pArg){
  Keys *p = (Keys*)pArg;
  int i;
  for(i=0; i<p->nLook; i++){
    char z[BENCH_KEY];
    keysName((i64)(benchRandom()%(u64)p->nRow), z);
    sqlite3_bind_text(p->pStmt, 1, z, BENCH_KEY, SQLITE_STATIC);
    if( sqlite3_step(p->pStmt)==SQLITE_ROW ) p->nFound++;
    sqlite3_reset(p->pStmt);
  }
}

static void keysOne(const char *zWhat, const char *zTopic){
  BenchConf conf = {0, 1, 1, zTopic};
  double aMs[BENCH_MXROUND], rFirst;
  Keys k;
  int i;
  if( !benchMatches(zWhat) ) return;
  memset(&k, 0, sizeof(k));
  k.nRow = benchScale(1000000);
  benchOpen(&k.db, "lz4", &conf);
  while( k.db.nRow<k.nRow ){
    char z[BENCH_KEY];
    benchStep(&k.db, k.db.pBegin);
    do{
      keysName(k.db.nRow, z);
      benchInsert(&k.db, 100, z);
    }while( k.db.nRow%1000 );
    benchStep(&k.db, k.db.pCommit);
  }
  benchReopen(&k.db);
  benchExec(&k.db, "PRAGMA wal_checkpoint(TRUNCATE)");
  k.pStmt = benchPrepare(&k.db, "SELECT value FROM log WHERE key=?1 ORDER BY offset DESC LIMIT 1");
  k.nLook = 1;
  rFirst = (double)benchTimed(keysLook, &k)/1e6;
  k.nLook = benchScale(2000);
  for(i=0; i<bench.nRound; i++) aMs[i] = (double)benchTimed(keysLook, &k)/1e6/k.nLook;
  if( k.nFound!=1+(i64)bench.nRound*k.nLook ) benchFail("8k: %lld keys found", k.nFound);
  benchReport("8k", zWhat, aMs, bench.nRound, -1.0, "ms", "%d records, %lld MB; the first took %.2f ms", k.nRow,
              (long long)(benchLogBytes(&k.db)>>20), rFirst);
  sqlite3_finalize(k.pStmt);
  benchClose(&k.db);
}

void benchRow8k(void){
  keysOne("by key, one segment", ", key_index=on");
  keysOne("by key, segments of 16 MiB", ", key_index=on, segment_bytes=16777216");
}
