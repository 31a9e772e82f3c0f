/*
** bench_store.c: row 18 of the goals: backup, retention and compaction of a
** store of bench.nMiB (--size, 1024 when not said).
**
** backup      of a store that a thread goes on writing to, with SELECT
**             prill_backup(), against cp -r of the same files and a sync: what
**             somebody would do who stops the writers.  Once with segments of
**             16 MiB, which are linked where the file system can, and once with
**             one segment, which must be copied.
** retention   from the moment that everything is due to that when nothing of it
**             is on the disk, with prill_maintain() called ten times a second
** compaction  bytes of log that prill_maintain() takes on a second, of a topic
**             with 8,192 keys, or a tenth as many as records
*/
#define _GNU_SOURCE 1         /* usleep */
#include "bench.h"
#include "prill.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static i64 storeNow(void){    /* milliseconds since 1970 */
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (i64)t.tv_sec*1000 + t.tv_nsec/1000000;
}
static double storeSeconds(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec/1e9;
}

/* Fill a topic with nByte bytes of records of 1,000 bytes; nKey 0: any keys. */
static void storeFill(BenchDb *p, i64 nByte, i64 nKey){
  i64 nRow = nByte/1000;
  while( p->nRow<nRow ){
    benchStep(p, p->pBegin);
    do{
      benchInsert(p, 1000, nKey ? benchKey(p->nRow%nKey) : 0);
    }while( p->nRow%1000 );
    benchStep(p, p->pCommit);
  }
  benchExec(p, "PRAGMA wal_checkpoint(TRUNCATE)");
}

/**************************************************************************
** The writer beside a backup.
*/
typedef struct Live Live;
struct Live {
  pthread_t id;
  const char *zPath;
  int bStop;
  i64 nTxn;
};

static void *liveMain(void *pArg){
  Live *p = (Live*)pArg;
  sqlite3 *db = 0;
  if( sqlite3_open(p->zPath, &db)!=SQLITE_OK || prill_init(db)!=SQLITE_OK ) benchFail("18: the writer cannot open");
  sqlite3_exec(db, "SELECT prill_busy_timeout(60000)", 0, 0, 0);
  while( !__atomic_load_n(&p->bStop, __ATOMIC_RELAXED) ){
    if( sqlite3_exec(db, "INSERT INTO log(key, value) VALUES('live', hex(randomblob(50)))", 0, 0, 0)!=SQLITE_OK ){
      benchFail("18: the writer: %s", sqlite3_errmsg(db));
    }
    p->nTxn++;
    usleep(1000);
  }
  sqlite3_close(db);
  return 0;
}

typedef struct Copy Copy;
struct Copy {
  BenchDb *pDb;
  char *zDest;
};

static void storeShell(const char *zFmt, const char *zA, const char *zB){
  char *z = sqlite3_mprintf(zFmt, zA, zB);
  if( system(z)!=0 ) benchFail("18: %s", z);
  sqlite3_free(z);
}
static void storeRemove(const char *zDest){
  storeShell("rm -rf '%s' '%s.d'", zDest, zDest);
  storeShell("rm -rf '%s-log' '%s-wal'", zDest, zDest);
}

static void copyBackup(void *pArg){
  Copy *p = (Copy*)pArg;
  benchExec(p->pDb, "SELECT prill_backup(%Q)", p->zDest);
}
static void copyCp(void *pArg){
  Copy *p = (Copy*)pArg;
  storeShell("cp '%s' '%s.d'", p->pDb->zPath, p->zDest);
  storeShell("cp -r '%s-log' '%s.d'", p->pDb->zPath, p->zDest);
  sync();
}

static void storeBackup(const char *zWhat, const char *zTopic){
  BenchConf conf = {1, 1, 1, zTopic};
  double aRatio[BENCH_MXROUND], aMs[BENCH_MXROUND], aCp[BENCH_MXROUND];
  i64 nByte = (i64)benchScale(bench.nMiB)<<20, nTxn = 0;
  BenchDb d;
  Copy c;
  int i;
  if( !benchMatches(zWhat) ) return;
  benchOpen(&d, "none", &conf);
  storeFill(&d, nByte, 0);
  c.pDb = &d;
  c.zDest = sqlite3_mprintf("%s-copy", d.zPath);
  for(i=0; i<bench.nRound; i++){
    Live live = {0, d.zPath, 0, 0};
    storeRemove(c.zDest);
    storeShell("mkdir '%s.d'", c.zDest, "");
    benchSettle(1<<20);
    aCp[i] = (double)benchTimed(copyCp, &c)/1e6;
    benchSettle(1<<20);
    if( pthread_create(&live.id, 0, liveMain, &live) ) benchFail("18: no thread");
    usleep(20000);
    aMs[i] = (double)benchTimed(copyBackup, &c)/1e6;
    __atomic_store_n(&live.bStop, 1, __ATOMIC_RELAXED);
    pthread_join(live.id, 0);
    nTxn += live.nTxn;
    aRatio[i] = aCp[i]/aMs[i];
  }
  storeRemove(c.zDest);
  benchReport("18", zWhat, aRatio, bench.nRound, 0.8, "x", "%lld MB: %.0f ms, cp -r and sync %.0f ms, %lld commits"
              " meanwhile", nByte>>20, benchMedian(aMs, bench.nRound), benchMedian(aCp, bench.nRound), nTxn);
  sqlite3_free(c.zDest);
  benchClose(&d);
}

/**************************************************************************
** Retention.
*/
static void storeRetain(void){
  static const char zWhat[] = "retention: due to deleted";
  BenchConf conf = {0, 1, 1, ", segment_bytes=16777216"};
  double aSec[BENCH_MXROUND];
  i64 nByte = (i64)benchScale(bench.nMiB)<<20, nSeg = 0;
  int i;
  if( !benchMatches(zWhat) ) return;
  for(i=0; i<bench.nRound; i++){
    BenchDb d;
    i64 msDue;
    double rDue;
    benchOpen(&d, "none", &conf);
    storeFill(&d, nByte, 0);
    nSeg = benchInt(&d, "SELECT count(*) FROM prill_segments");
    msDue = storeNow() + 1500;
    rDue = storeSeconds() + 1.5;
    benchExec(&d, "UPDATE prill_config SET value=%lld WHERE scope='topic:log' AND name='retention.ms'",
              msDue - (1700000000000LL+d.nRow));
    do{
      usleep(100000);
      benchExec(&d, "SELECT prill_maintain()");
    }while( benchInt(&d, "SELECT sum(records)>0 FROM prill_topics")
         || benchInt(&d, "SELECT count(*) FROM prill_store_trash") );
    aSec[i] = storeSeconds()-rDue;
    benchClose(&d);
  }
  benchReport("18", zWhat, aSec, bench.nRound, -1.0, "s", "%lld MB in %lld segments", nByte>>20, nSeg);
}

/**************************************************************************
** Compaction.
*/
static void storeMaintain(void *pArg){
  BenchDb *p = (BenchDb*)pArg;
  while( benchInt(p, "SELECT prill_maintain()") ){}
}

static void storeCompact(const char *zWhat, const char *zCodec){
  BenchConf conf = {0, 1, 1, ", cleanup_policy=compact, segment_bytes=16777216, min_cleanable_dirty_ratio=0"};
  double aRate[BENCH_MXROUND], aMs[BENCH_MXROUND];
  i64 nByte = (i64)benchScale(bench.nMiB)<<20, nBefore = 0, nAfter = 0;
  int i;
  if( !benchMatches(zWhat) ) return;
  for(i=0; i<bench.nRound; i++){
    BenchDb d;
    benchOpen(&d, zCodec, &conf);
    storeFill(&d, nByte, nByte/10000<BENCH_POOL ? nByte/10000 : BENCH_POOL);
    nBefore = benchLogBytes(&d);
    benchSettle(64<<20);
    aMs[i] = (double)benchTimed(storeMaintain, &d)/1e6;
    nAfter = benchLogBytes(&d);
    aRate[i] = (double)nBefore/1e6/(aMs[i]/1e3);
    benchClose(&d);
  }
  benchReport("18", zWhat, aRate, bench.nRound, 200.0, "MB/s", "%lld MB of log to %lld MB in %.0f ms", nBefore>>20,
              nAfter>>20, benchMedian(aMs, bench.nRound));
}

void benchRow18(void){
  storeBackup("backup of a live store, segments linked", ", segment_bytes=16777216");
  storeBackup("backup of a live store, one segment", ", segment_bytes=2147483647");
  storeRetain();
  storeCompact("compaction, none", "none");
  storeCompact("compaction, lz4", "lz4");
}
