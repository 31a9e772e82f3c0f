/*
** bench_wake.c: rows 11, 15 and 16: waking and turns.
**
** Row 11.  One process commits a record every 2 ms or so, another gets it: by a
** table "follow" (WHERE timeout_ms=-1), by asking for it every millisecond, or,
** without any database, by a bare futex.  The time runs from before the COMMIT to
** the row in the other process; the futex's from before the wake.  As a control
** the same with a file "wake" that cannot be mapped, which must be seen to miss.
**
** Row 15.  An app's autocommit INSERT into a topic at FULL, alone and while another
** process commits back to back: prill_busy_timeout, and SQLite's busy timeout.
**
** Row 16.  4 processes of 4 threads INSERT in autocommit at FULL: into a topic
** with prill_busy_timeout, and into an ordinary table with SQLite's.
*/
#define _GNU_SOURCE 1         /* syscall, usleep */
#include "bench.h"
#include "prill.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAKE_MX 20000
#define WAKE_WRITERS 16

/* Shared by the processes of a measurement. */
typedef struct WakeShared WakeShared;
struct WakeShared {
  volatile int bReady;        /* the other process waits */
  volatile int bStop;
  volatile uint32_t word;     /* the bare futex */
  volatile int nGot;
  i64 a0[WAKE_MX], a1[WAKE_MX];
  i64 aReturn[WAKE_MX];       /* when COMMIT returned to its caller */
  i64 aN[WAKE_WRITERS], aLongest[WAKE_WRITERS], aErr[WAKE_WRITERS];
};
static WakeShared *pShared;

static i64 wakeNow(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (i64)t.tv_sec*1000000000 + t.tv_nsec;
}

static void wakeReset(void){
  if( pShared==0 ){
    pShared = mmap(0, sizeof(*pShared), PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0);
    if( pShared==MAP_FAILED ) benchFail("no shared memory");
  }
  memset((void*)pShared, 0, sizeof(*pShared));
}

static int wakeCompare(const void *a, const void *b){
  double x = *(const double*)a, y = *(const double*)b;
  return x<y ? -1 : x>y;
}

/* The p-th part, 0..1, of a[0..n), which is sorted. */
static double wakeQuantile(double *a, int n, double p){
  qsort(a, (size_t)n, sizeof(a[0]), wakeCompare);
  return n ? a[(int)((n-1)*p)] : 0.0;
}

static sqlite3_stmt *wakePrepare(sqlite3 *db, const char *zSql){
  sqlite3_stmt *pStmt = 0;
  if( sqlite3_prepare_v2(db, zSql, -1, &pStmt, 0)!=SQLITE_OK ) benchFail("%s: %s", zSql, sqlite3_errmsg(db));
  return pStmt;
}

/**************************************************************************
** Row 11.
*/
enum { WAKE_FUTEX, WAKE_FOLLOW, WAKE_POLL, WAKE_NONE, WAKE_N };

/* The process that gets the records; ends with the last. */
static void wakeGetter(const char *zPath, int eHow, int n){
  sqlite3 *db;
  sqlite3_stmt *pStmt;
  int i;
  if( eHow==WAKE_FUTEX ){
    pShared->bReady = 1;
    for(i=0; i<n; i++){
      while( pShared->word<=(uint32_t)i ) syscall(SYS_futex, &pShared->word, FUTEX_WAIT, (uint32_t)i, 0, 0, 0);
      pShared->a1[i] = wakeNow();
      pShared->nGot = i+1;
    }
    return;
  }
  db = benchOther(zPath, "CREATE VIRTUAL TABLE temp.f USING follow(topics=log, from=latest); SELECT * FROM f");
  pStmt = wakePrepare(db, eHow==WAKE_POLL ? "SELECT value FROM f" : "SELECT value FROM f WHERE timeout_ms=-1");
  pShared->bReady = 1;
  for(i=0; i<n; ){
    if( sqlite3_step(pStmt)==SQLITE_ROW ){
      pShared->a1[i++] = wakeNow();
      pShared->nGot = i;
    }else{
      sqlite3_reset(pStmt);
      usleep(1000);
    }
  }
  sqlite3_finalize(pStmt);
  sqlite3_close(db);
}

/* Microseconds of n records into aUs; *prCommit: the median COMMIT's alone. */
static void wakeMeasure(int eHow, int n, double *aUs, double *prCommit){
  BenchConf conf = {0, 0, 1, ""};
  BenchDb d;
  pid_t pid;
  int i;
  wakeReset();
  benchOpen(&d, "none", &conf);
  if( eHow==WAKE_NONE ){
    char *zWake = sqlite3_mprintf("%s-log/wake", d.zPath);
    benchReopen(&d);
    unlink(zWake);
    mkdir(zWake, 0777);
    sqlite3_free(zWake);
    benchReopen(&d);
  }
  fflush(stdout);
  pid = fork();
  if( pid==0 ){
    wakeGetter(d.zPath, eHow, n);
    _exit(0);
  }
  while( !pShared->bReady ) usleep(1000);
  for(i=0; i<n; i++){
    usleep((useconds_t)(1500+benchRandom()%1000));
    pShared->a0[i] = wakeNow();
    if( eHow==WAKE_FUTEX ){
      __atomic_add_fetch(&pShared->word, 1, __ATOMIC_SEQ_CST);
      syscall(SYS_futex, &pShared->word, FUTEX_WAKE, 1, 0, 0, 0);
    }else{
      benchInsert(&d, 100, 0);
    }
    pShared->aReturn[i] = wakeNow();
    while( pShared->nGot<=i ) usleep(100);
  }
  waitpid(pid, 0, 0);
  benchClose(&d);
  for(i=0; i<n; i++) aUs[i] = (double)(pShared->aReturn[i]-pShared->a0[i])/1000;
  *prCommit = wakeQuantile(aUs, n, 0.5);
  for(i=0; i<n; i++) aUs[i] = (double)(pShared->a1[i]-pShared->a0[i])/1000;
}

/* Voluntary context switches a second of a process that waits for nothing. */
static double wakeIdle(int sec){
  BenchConf conf = {0, 0, 1, ""};
  BenchDb d;
  sqlite3_stmt *pStmt;
  long aN[2] = {0, 0};
  int i;
  benchOpen(&d, "none", &conf);
  benchExec(&d, "SELECT count(*) FROM log");
  pStmt = benchPrepare(&d, "SELECT prill_wait('log', ?1)");
  for(i=0; i<2; i++){
    char zLine[200];
    FILE *p = fopen("/proc/self/status", "r");
    while( p && fgets(zLine, sizeof(zLine), p) ) sscanf(zLine, "voluntary_ctxt_switches: %ld", &aN[i]);
    if( p ) fclose(p);
    if( i==0 ){
      sqlite3_bind_int(pStmt, 1, sec*1000);
      benchStep(&d, pStmt);
    }
  }
  sqlite3_finalize(pStmt);
  benchClose(&d);
  return (double)(aN[1]-aN[0])/sec;
}

void benchRow11(void){
  static const char *const azHow[] = {"futex", "follow", "poll 1 ms", "wake disabled"};
  static double aP50[WAKE_N][BENCH_MXROUND], aP99[WAKE_N][BENCH_MXROUND], aUs[WAKE_MX];
  static double aCommit[WAKE_N][BENCH_MXROUND];
  double aRatio[BENCH_MXROUND], aIdle[BENCH_MXROUND];
  int n = benchScale(1000);
  int i, k;
  for(i=0; i<bench.nRound; i++){
    for(k=0; k<WAKE_N; k++){
      int eHow = (i+k)%WAKE_N;
      int nNow = eHow==WAKE_NONE ? 4 : n;
      wakeMeasure(eHow, nNow, aUs, &aCommit[eHow][i]);
      aP50[eHow][i] = wakeQuantile(aUs, nNow, 0.5);
      aP99[eHow][i] = wakeQuantile(aUs, nNow, 0.99);
    }
    aIdle[i] = wakeIdle(3);
  }
  for(i=0; i<bench.nRound; i++) aRatio[i] = aP50[WAKE_FOLLOW][i]/aP50[WAKE_FUTEX][i];
  benchReport("11", "commit to row, p50 over a bare futex", aRatio, bench.nRound, -1.3, "x", "%s %.0f us, of which"
      " COMMIT %.0f us, %s %.0f us", azHow[WAKE_FOLLOW], benchMedian(aP50[WAKE_FOLLOW], bench.nRound),
      benchMedian(aCommit[WAKE_FOLLOW], bench.nRound), azHow[WAKE_FUTEX], benchMedian(aP50[WAKE_FUTEX], bench.nRound));
  for(i=0; i<bench.nRound; i++) aRatio[i] = aP99[WAKE_FOLLOW][i]/aP99[WAKE_FUTEX][i];
  benchReport("11", "commit to row, p99 over a bare futex", aRatio, bench.nRound, -4.0, "x", "%.0f us, %.0f us",
      benchMedian(aP99[WAKE_FOLLOW], bench.nRound), benchMedian(aP99[WAKE_FUTEX], bench.nRound));
  for(i=0; i<bench.nRound; i++) aRatio[i] = aP50[WAKE_POLL][i]/aP50[WAKE_FOLLOW][i];
  benchReport("11", "commit to row, poll each ms over follow, p50", aRatio, bench.nRound, 15.0, "x", "poll %.0f us",
      benchMedian(aP50[WAKE_POLL], bench.nRound));
  for(i=0; i<bench.nRound; i++) aRatio[i] = aP50[WAKE_NONE][i]/aP50[WAKE_FUTEX][i];
  /* The control must miss what is asked for above. */
  benchReport("11", "control: wake disabled, p50 over a bare futex", aRatio, bench.nRound, 1.3, "x", "%.0f us",
      benchMedian(aP50[WAKE_NONE], bench.nRound));
  benchReport("11", "idle: switches a second", aIdle, bench.nRound, -1.1, "", " ");
}

/**************************************************************************
** Rows 15 and 16.
*/
typedef struct WakeWriter WakeWriter;
struct WakeWriter {
  const char *zPath, *zSetup;
  int i;
};

/* Autocommit INSERTs until bStop; of number 0 each one's time. */
static void *wakeWriter(void *pArg){
  WakeWriter *p = (WakeWriter*)pArg;
  sqlite3 *db = benchOther(p->zPath, p->zSetup);
  sqlite3_stmt *pStmt = wakePrepare(db, "INSERT INTO log(key, value) VALUES('k', ?1)");
  sqlite3_bind_text(pStmt, 1, benchValue(100, p->i), 100, SQLITE_STATIC);
  pShared->bReady = 1;
  while( !pShared->bStop ){
    i64 ns = wakeNow();
    sqlite3_step(pStmt);
    if( sqlite3_reset(pStmt)!=SQLITE_OK ) pShared->aErr[p->i]++; else pShared->aN[p->i]++;
    ns = wakeNow()-ns;
    if( ns>pShared->aLongest[p->i] ) pShared->aLongest[p->i] = ns;
  }
  sqlite3_finalize(pStmt);
  sqlite3_close(db);
  return 0;
}

/* nProc processes of nThread writers for ms milliseconds; writer 0 of process 0
** is not run when bApp, but its n INSERTs made here, 10 ms apart, into aMs. */
static void wakeWriters(BenchDb *d, const char *zSetup, int nProc, int nThread, int ms, double *aMs, int n){
  pid_t aPid[WAKE_WRITERS];
  int i, k;
  wakeReset();
  fflush(stdout);
  for(i=0; i<nProc; i++){
    aPid[i] = fork();
    if( aPid[i]==0 ){
      WakeWriter aW[WAKE_WRITERS];
      pthread_t aId[WAKE_WRITERS];
      for(k=0; k<nThread; k++){
        aW[k].zPath = d->zPath;
        aW[k].zSetup = zSetup;
        aW[k].i = i*nThread+k;
        pthread_create(&aId[k], 0, wakeWriter, &aW[k]);
      }
      for(k=0; k<nThread; k++) pthread_join(aId[k], 0);
      _exit(0);
    }
  }
  while( nProc && !pShared->bReady ) usleep(1000);
  if( n ){
    sqlite3 *db = benchOther(d->zPath, zSetup);
    sqlite3_stmt *pStmt = wakePrepare(db, "INSERT INTO log(key, value) VALUES('k', 'app')");
    for(i=0; i<n; i++){
      i64 ns;
      usleep(10000);
      ns = wakeNow();
      sqlite3_step(pStmt);
      if( sqlite3_reset(pStmt)!=SQLITE_OK ) pShared->aErr[WAKE_WRITERS-1]++;
      aMs[i] = (double)(wakeNow()-ns)/1e6;
    }
    sqlite3_finalize(pStmt);
    sqlite3_close(db);
  }else{
    usleep((useconds_t)ms*1000);
  }
  pShared->bStop = 1;
  for(i=0; i<nProc; i++) waitpid(aPid[i], 0, 0);
}

#define WAKE_TURNS "SELECT prill_busy_timeout(60000); PRAGMA synchronous=FULL"
#define WAKE_PLAIN "PRAGMA busy_timeout=10000; PRAGMA synchronous=FULL"

void benchRow15(void){
  static double aMs[WAKE_MX];
  double aRatio[BENCH_MXROUND], aAlone[BENCH_MXROUND], aTurn[BENCH_MXROUND], aPlain[BENCH_MXROUND];
  BenchConf conf = {1, 0, 1, ""};
  int n = benchScale(500);
  i64 nErr = 0;
  int i, k;
  for(i=0; i<bench.nRound; i++){
    for(k=0; k<3; k++){
      BenchDb d;
      benchOpen(&d, k==2 ? 0 : "none", &conf);
      wakeWriters(&d, k==2 ? WAKE_PLAIN : WAKE_TURNS, k>0, 1, 0, aMs, k==2 ? n/10 : n);
      (k==0 ? aAlone : k==1 ? aTurn : aPlain)[i] = wakeQuantile(aMs, k==2 ? n/10 : n, 0.99);
      if( k==1 ) nErr += pShared->aErr[0] + pShared->aErr[WAKE_WRITERS-1];
      benchClose(&d);
    }
    aRatio[i] = aTurn[i]/aAlone[i];
  }
  benchReport("15", "app INSERT beside a greedy writer, FULL, p99 over alone", aRatio, bench.nRound, -10.0, "x",
      "%.2f ms, alone %.2f ms, table with busy_timeout %.0f ms; locked %lld", benchMedian(aTurn, bench.nRound),
      benchMedian(aAlone, bench.nRound), benchMedian(aPlain, bench.nRound), nErr);
}

void benchRow16(void){
  double aRatio[BENCH_MXROUND], aWait[BENCH_MXROUND];
  BenchConf conf = {1, 0, 1, ""};
  int ms = benchScale(20000);
  i64 nErr = 0, nErrPlain = 0;
  int i, k, w;
  for(i=0; i<bench.nRound; i++){
    double a[2] = {0, 0};
    aWait[i] = 0;
    for(k=0; k<2; k++){
      BenchDb d;
      benchOpen(&d, k ? "none" : 0, &conf);
      wakeWriters(&d, k ? WAKE_TURNS : WAKE_PLAIN, 4, 4, ms, 0, 0);
      for(w=0; w<WAKE_WRITERS; w++){
        a[k] += (double)pShared->aN[w];
        if( k ) nErr += pShared->aErr[w]; else nErrPlain += pShared->aErr[w];
        if( k && (double)pShared->aLongest[w]/1e6>aWait[i] ) aWait[i] = (double)pShared->aLongest[w]/1e6;
      }
      benchClose(&d);
    }
    aRatio[i] = a[1]/a[0];
  }
  benchReport("16", "4 processes x 4 threads, autocommit, FULL", aRatio, bench.nRound, 0.9, "x",
      "locked %lld, table with busy_timeout %lld", nErr, nErrPlain);
  benchReport("16", "4 processes x 4 threads, longest wait", aWait, bench.nRound, -1000.0, "ms", " ");
}
