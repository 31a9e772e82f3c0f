/*
** bench_queue.c: row 13: queues.
**
** One worker takes a batch and acknowledges it, in autocommit: two transactions,
** as any worker that may die between them has them.  The others:
**
**   table    a queue as an ordinary table with a partial index of what is ready:
**            UPDATE ... WHERE id IN (SELECT ... LIMIT n) RETURNING, DELETE by id
**   honker   the statements of honker 0.2.4 (honker-core's claim_batch, ack_batch) on
**            its table and indexes, without its Rust and without its JSON: what it
**            costs SQLite alone, so that the ratio is the least it can be
**
** All read every value, and what they read is compared.
**
** Last: delayed records with three processes that wait for work.  How late a
** record is runs from the time it was due to the row in a worker.
*/
#define _GNU_SOURCE 1         /* usleep */
#include "bench.h"
#include "prill.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_BYTES 100       /* of a value */
#define QUEUE_MX 2000         /* delayed records */
#define QUEUE_WORKERS 3

enum { QUEUE_PRILL, QUEUE_TABLE, QUEUE_HONKER, QUEUE_N };

static const char *const azQueueMake[QUEUE_N] = {
  "CREATE VIRTUAL TABLE temp.q USING queue(group=g, topics=log)",
  "CREATE TABLE job(id INTEGER PRIMARY KEY, payload TEXT NOT NULL, locked_until INT, attempts INT NOT NULL DEFAULT 0);"
  "CREATE INDEX job_ready ON job(id) WHERE locked_until IS NULL",
  "CREATE TABLE job(id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, payload TEXT NOT NULL,"
  " state TEXT NOT NULL DEFAULT 'pending', priority INTEGER NOT NULL DEFAULT 0,"
  " run_at INTEGER NOT NULL DEFAULT (unixepoch()), worker_id TEXT, claim_expires_at INTEGER,"
  " attempts INTEGER NOT NULL DEFAULT 0, max_attempts INTEGER NOT NULL DEFAULT 3,"
  " created_at INTEGER NOT NULL DEFAULT (unixepoch()), expires_at INTEGER);"
  "CREATE INDEX job_claim ON job(queue, priority DESC, run_at, id) WHERE state IN ('pending', 'processing');"
  "CREATE INDEX job_pending ON job(queue, run_at) WHERE state='pending';"
  "CREATE INDEX job_processing ON job(queue, claim_expires_at) WHERE state='processing'"
};
static const char *const azQueueFill[QUEUE_N] = {
  "INSERT INTO log(value) VALUES(?1)",
  "INSERT INTO job(payload) VALUES(?1)",
  "INSERT INTO job(queue, payload) VALUES('g', ?1)"
};
/* Columns: the value, then what acknowledges it. */
static const char *const azQueueTake[QUEUE_N] = {
  "SELECT value FROM q WHERE take=?1",
  "UPDATE job SET locked_until=unixepoch()+30, attempts=attempts+1 WHERE id IN (SELECT id FROM job"
  " WHERE locked_until IS NULL ORDER BY id LIMIT ?1) RETURNING payload, id",
  "UPDATE job SET state='processing', worker_id='w', claim_expires_at=unixepoch()+30, attempts=attempts+1"
  " WHERE id IN (SELECT id FROM job WHERE queue='g' AND state IN ('pending', 'processing')"
  " AND (expires_at IS NULL OR expires_at>unixepoch()) AND ((state='pending' AND run_at<=unixepoch())"
  " OR (state='processing' AND claim_expires_at<unixepoch())) ORDER BY priority DESC, run_at ASC, id ASC LIMIT ?1)"
  " RETURNING payload, id"
};
static const char *const azQueueAck[QUEUE_N] = {
  "DELETE FROM q",
  "DELETE FROM job WHERE id IN (SELECT value FROM json_each(?1))",
  "DELETE FROM job WHERE id IN (SELECT value FROM json_each(?1)) AND worker_id='w' AND claim_expires_at>=unixepoch()"
};

typedef struct QueueRun QueueRun;
struct QueueRun {
  BenchDb *p;
  int eWho, nBatch;
  i64 nLeft, nByte;
  sqlite3_stmt *pTake, *pAck;
};

static void queueWork(void *pArg){
  QueueRun *r = (QueueRun*)pArg;
  char *zIds = benchAlloc(32*(size_t)r->nBatch+32);
  while( r->nLeft>0 ){
    size_t n = 0;
    int nGot = 0;
    sqlite3_bind_int(r->pTake, 1, r->nBatch);
    zIds[n++] = '[';
    while( sqlite3_step(r->pTake)==SQLITE_ROW ){
      const unsigned char *z = sqlite3_column_text(r->pTake, 0);
      r->nByte += sqlite3_column_bytes(r->pTake, 0) + z[20];
      if( r->eWho!=QUEUE_PRILL ){
        n += (size_t)snprintf(zIds+n, 32, "%s%lld", nGot ? "," : "", (long long)sqlite3_column_int64(r->pTake, 1));
      }
      nGot++;
    }
    if( sqlite3_reset(r->pTake)!=SQLITE_OK ) benchFail("%s", sqlite3_errmsg(r->p->db));
    if( nGot==0 ) benchFail("a queue gave nothing, %lld are left", (long long)r->nLeft);
    zIds[n++] = ']';
    if( r->eWho!=QUEUE_PRILL ) sqlite3_bind_text(r->pAck, 1, zIds, (int)n, SQLITE_STATIC);
    benchStep(r->p, r->pAck);
    r->nLeft -= nGot;
  }
  free(zIds);
}

/* Nanoseconds in which nRow records are taken and acknowledged; *pnByte: a sum of them. */
static i64 queueMeasure(int eWho, int nBatch, i64 nRow, i64 *pnByte){
  BenchConf conf = {0, 0, 1, ""};
  sqlite3_stmt *pFill;
  QueueRun r;
  BenchDb d;
  i64 i, ns;
  benchOpen(&d, eWho==QUEUE_PRILL ? "none" : 0, &conf);
  benchExec(&d, "%s", azQueueMake[eWho]);
  pFill = benchPrepare(&d, azQueueFill[eWho]);
  benchExec(&d, "BEGIN");
  for(i=0; i<nRow; i++){
    sqlite3_bind_text(pFill, 1, benchValue(QUEUE_BYTES, i), QUEUE_BYTES, SQLITE_STATIC);
    benchStep(&d, pFill);
  }
  benchExec(&d, "COMMIT");
  sqlite3_finalize(pFill);
  memset(&r, 0, sizeof(r));
  r.p = &d;
  r.eWho = eWho;
  r.nBatch = nBatch;
  r.nLeft = nRow;
  r.pTake = benchPrepare(&d, azQueueTake[eWho]);
  r.pAck = benchPrepare(&d, azQueueAck[eWho]);
  benchSettle(nRow*QUEUE_BYTES);
  ns = benchTimed(queueWork, &r);
  *pnByte = r.nByte;
  sqlite3_finalize(r.pTake);
  sqlite3_finalize(r.pAck);
  benchClose(&d);
  return ns;
}

static void queueRow(int nBatch, double rGoal){
  static const char *const azName[QUEUE_N] = {"none", 0, "honker"};       /* for --only */
  static const char *const azWho[QUEUE_N] = {"", "a table", "honker's statements"};
  double aNs[QUEUE_N][BENCH_MXROUND], aRatio[BENCH_MXROUND];
  i64 nRow = benchScale(nBatch==1 ? 20000 : 100000);
  char zWhat[120];
  int i, k;
  snprintf(zWhat, sizeof(zWhat), "queue: take and acknowledge %d, %d B, NORMAL", nBatch, QUEUE_BYTES);
  if( !benchMatches(zWhat) ) return;
  for(i=0; i<bench.nRound; i++){
    i64 aSum[QUEUE_N];
    for(k=0; k<QUEUE_N; k++){
      int e = (i+k)%QUEUE_N;
      if( !benchTakes(azName[e]) ) continue;
      aNs[e][i] = (double)queueMeasure(e, nBatch, nRow, &aSum[e])/(double)nRow;
    }
    if( bench.zOnly ) continue;
    if( aSum[1]!=aSum[0] || aSum[2]!=aSum[0] ) benchFail("%s: not the same was read", zWhat);
  }
  for(k=1; k<QUEUE_N && bench.zOnly==0; k++){
    char z[180];
    for(i=0; i<bench.nRound; i++) aRatio[i] = aNs[k][i]/aNs[QUEUE_PRILL][i];
    snprintf(z, sizeof(z), "%s, beside %s", zWhat, azWho[k]);
    benchReport("13", z, aRatio, bench.nRound, rGoal, "x", "%.2f us a record, it %.2f us",
                benchMedian(aNs[QUEUE_PRILL], bench.nRound)/1000, benchMedian(aNs[k], bench.nRound)/1000);
  }
}

/**************************************************************************
** Delayed records.
*/
typedef struct QueueShared QueueShared;
struct QueueShared {
  volatile int nReady, nGot;
  double aMs[QUEUE_MX];       /* how late */
};

static double queueNow(void){
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec*1e3 + (double)t.tv_nsec/1e6;
}

/* A process that takes what is due until n have been taken by all of them. */
static void queueWorker(const char *zPath, QueueShared *pShared, int n){
  sqlite3 *db = benchOther(zPath, "SELECT prill_busy_timeout(60000);"
                                  "CREATE VIRTUAL TABLE temp.q USING queue(group=g, topics=log)");
  sqlite3_stmt *pTake, *pAck;
  if( sqlite3_prepare_v2(db, "SELECT not_before FROM q WHERE take=5 AND timeout_ms=500", -1, &pTake, 0)!=SQLITE_OK
   || sqlite3_prepare_v2(db, "DELETE FROM q", -1, &pAck, 0)!=SQLITE_OK ) benchFail("%s", sqlite3_errmsg(db));
  __atomic_add_fetch(&pShared->nReady, 1, __ATOMIC_SEQ_CST);
  while( pShared->nGot<n ){
    int nGot = 0;
    while( sqlite3_step(pTake)==SQLITE_ROW ){
      int i = __atomic_fetch_add(&pShared->nGot, 1, __ATOMIC_SEQ_CST);
      if( i<QUEUE_MX ) pShared->aMs[i] = queueNow() - (double)sqlite3_column_int64(pTake, 0);
      nGot++;
    }
    if( sqlite3_reset(pTake)!=SQLITE_OK ) benchFail("%s", sqlite3_errmsg(db));
    if( nGot==0 ) continue;
    sqlite3_step(pAck);
    if( sqlite3_reset(pAck)!=SQLITE_OK ) benchFail("%s", sqlite3_errmsg(db));
  }
  sqlite3_finalize(pTake);
  sqlite3_finalize(pAck);
  sqlite3_close(db);
}

static int queueCompare(const void *a, const void *b){
  double x = *(const double*)a, y = *(const double*)b;
  return x<y ? -1 : x>y;
}

/* How late the worst of a hundred is, in ms, of n records each with its own time. */
static double queueDelays(int n, double *prMost){
  static const char zSql[] = "INSERT INTO log(value, headers) VALUES('x', json_array(json_array('not_before',"
                             " CAST(?1 AS TEXT))))";
  BenchConf conf = {0, 0, 2, ""};
  QueueShared *pShared = mmap(0, sizeof(*pShared), PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0);
  pid_t aPid[QUEUE_WORKERS];
  sqlite3_stmt *pStmt;
  double r99, rStart;
  BenchDb d;
  int i;
  if( pShared==MAP_FAILED ) benchFail("no shared memory");
  benchOpen(&d, "none", &conf);
  benchExec(&d, "SELECT prill_busy_timeout(60000)");
  benchSettle(1<<20);
  fflush(stdout);
  for(i=0; i<QUEUE_WORKERS; i++){
    aPid[i] = fork();
    if( aPid[i]==0 ){
      queueWorker(d.zPath, pShared, n);
      _exit(0);
    }
  }
  while( pShared->nReady<QUEUE_WORKERS ) usleep(1000);
  pStmt = benchPrepare(&d, zSql);
  rStart = queueNow() + 500;
  benchExec(&d, "BEGIN IMMEDIATE");
  for(i=0; i<n; i++){
    sqlite3_bind_int64(pStmt, 1, (i64)rStart + (i64)(benchRandom()%(u64)(n*10)));
    benchStep(&d, pStmt);
  }
  benchExec(&d, "COMMIT");
  sqlite3_finalize(pStmt);
  for(i=0; i<QUEUE_WORKERS; i++) waitpid(aPid[i], 0, 0);
  if( pShared->nGot!=n ) benchFail("%d of %d delayed records came", pShared->nGot, n);
  benchClose(&d);
  qsort(pShared->aMs, (size_t)n, sizeof(pShared->aMs[0]), queueCompare);
  if( pShared->aMs[0]<0 ) benchFail("a delayed record was %.1f ms early", -pShared->aMs[0]);
  r99 = pShared->aMs[(int)((n-1)*0.99)];
  *prMost = pShared->aMs[n-1];
  munmap(pShared, sizeof(*pShared));
  return r99;
}

void benchRow13(void){
  double a[BENCH_MXROUND], rMost = 0;
  int n = benchScale(500);
  int i;
  queueRow(1, 1.0);
  queueRow(32, 3.0);
  queueRow(128, 5.0);
  if( !benchMatches("queue: delayed") ) return;
  for(i=0; i<bench.nRound; i++) a[i] = queueDelays(n, &rMost);
  benchReport("13", "queue: delayed records, three processes wait: late by, p99", a, bench.nRound, -10.0, "ms",
              "one due each 10 ms; none early; the last round's latest %.1f ms", rMost);
}
