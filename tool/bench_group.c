/*
** bench_group.c: rows 14 and 17: consumer groups.
**
** Row 14.  Polls of 500 records, each committed with what it did, against a scan of
** the same records in pieces of 500.  At FULL the scan pays one fdatasync a piece.
**
** Row 17.  A group of 100 members, each a process of its own, and 1,000 partitions,
** each of which gets a record every GROUP_TICK ms; one member joins, one leaves.
** Measured is the longest time from a record's COMMIT to the row in a member, for each
** partition: of those that stay with their member beside what it was before anybody
** came, and of those that move.  All wait for the same two processors and one write
** lock, before as after.  Cooperative against eager (sticky).
*/
#define _GNU_SOURCE 1         /* pwrite, fdatasync, ftruncate */
#include "bench.h"
#include "prill.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GROUP_POLL 500
#define GROUP_PART 1000
#define GROUP_MEMBER 100
#define GROUP_TICK 300

/**************************************************************************
** Row 14.
*/
typedef struct GroupRun GroupRun;
struct GroupRun {
  BenchDb *p;
  sqlite3_stmt *pScan, *pPoll, *pOffset;
  int nPoll;
  int fd;                     /* to sync, -1 none */
};

static void groupScan(void *pArg){
  GroupRun *r = (GroupRun*)pArg;
  int i;
  for(i=0; i<r->nPoll; i++){
    sqlite3_bind_int64(r->pScan, 1, (i64)i*GROUP_POLL);
    sqlite3_bind_int64(r->pScan, 2, (i64)(i+1)*GROUP_POLL);
    benchStep(r->p, r->pScan);
    if( r->fd>=0 && (pwrite(r->fd, "x", 1, (off_t)(i%4096)*512)!=1 || fdatasync(r->fd)) ) benchFail("fdatasync failed");
  }
}

static void groupPoll(void *pArg){
  GroupRun *r = (GroupRun*)pArg;
  int i;
  for(i=0; i<r->nPoll; i++){
    benchStep(r->p, r->p->pBegin);
    benchStep(r->p, r->pPoll);
    benchStep(r->p, r->pOffset);
    benchStep(r->p, r->p->pCommit);
  }
}

static void groupPolls(int bFull, int szVal){
  BenchConf conf = {bFull, 0, 1, ""};
  BenchDb d;
  GroupRun r;
  double a[BENCH_MXROUND];
  char zWhat[100];
  i64 nRow = benchScale(100000), nsScan = 0, nsPoll = 0;
  int i;
  snprintf(zWhat, sizeof(zWhat), "poll of %d and commit, %s, %d B", GROUP_POLL, bFull ? "FULL" : "NORMAL", szVal);
  if( !benchMatches(zWhat) ) return;
  benchOpen(&d, "none", &conf);
  benchExec(&d, "BEGIN");
  while( d.nRow<nRow ) benchInsert(&d, szVal, 0);
  benchExec(&d, "COMMIT");
  benchExec(&d, "CREATE VIRTUAL TABLE temp.c USING consumer(group=g, topics=log, max.poll.records=%d)", GROUP_POLL);
  memset(&r, 0, sizeof(r));
  r.p = &d;
  r.nPoll = (int)(nRow/GROUP_POLL);
  r.pScan = benchPrepare(&d, "SELECT sum(length(value)) FROM log WHERE partition=0 AND offset>=?1 AND offset<?2");
  r.pPoll = benchPrepare(&d, "SELECT sum(length(value)) FROM c");
  r.pOffset = benchPrepare(&d, "SELECT prill_commit('c')");
  r.fd = -1;
  if( bFull ){
    char *z = sqlite3_mprintf("%s-sync", d.zPath);
    FILE *f = fopen(z, "w+");
    if( f==0 || ftruncate(fileno(f), 4096*512) ) benchFail("cannot make %s", z);
    r.fd = dup(fileno(f));
    fclose(f);
    unlink(z);
    sqlite3_free(z);
  }
  for(i=0; i<bench.nRound; i++){
    int k;
    for(k=0; k<2; k++){
      benchSettle(nRow*szVal);
      if( (i+k)%2 ){
        nsScan = benchTimed(groupScan, &r);
      }else{
        benchExec(&d, "SELECT prill_seek('c', 'log', 0, 0)");
        nsPoll = benchTimed(groupPoll, &r);
      }
    }
    a[i] = (double)nsScan/(double)nsPoll;
  }
  if( benchInt(&d, "SELECT committed_offset FROM prill_offsets")!=nRow/GROUP_POLL*GROUP_POLL ){
    benchFail("records missed");
  }
  benchReport("14", zWhat, a, bench.nRound, bFull ? 1/1.2 : 0.6, "x", "scan%s %.1f us, poll and commit %.1f us",
              bFull ? " and fdatasync" : "", (double)nsScan/1000/r.nPoll, (double)nsPoll/1000/r.nPoll);
  if( r.fd>=0 ) close(r.fd);
  sqlite3_finalize(r.pScan);
  sqlite3_finalize(r.pPoll);
  sqlite3_finalize(r.pOffset);
  benchClose(&d);
}

void benchRow14(void){
  groupPolls(0, 100);
  groupPolls(0, 1000);
  groupPolls(1, 100);
  groupPolls(1, 1000);
}

/**************************************************************************
** Row 17.
*/
typedef struct GroupShared GroupShared;
struct GroupShared {
  volatile int nReady, bGo, bStop;
  volatile int bLeave;                /* member 0 is to leave */
  volatile int nErr;
  volatile int aOwner[GROUP_PART];    /* who was given its last record, from 1 */
  volatile i64 aSeen[GROUP_PART];     /* the record's time */
  volatile i64 aWorst[GROUP_PART];    /* the longest from commit to member since groupWindow(), ns */
};
static GroupShared *pGroup;

static i64 groupNow(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (i64)t.tv_sec*1000000000 + t.tv_nsec;
}

/* Run it, counting what is refused. */
static void groupStep(sqlite3_stmt *pStmt){
  while( sqlite3_step(pStmt)==SQLITE_ROW ){}
  if( sqlite3_reset(pStmt)!=SQLITE_OK ) __atomic_add_fetch(&pGroup->nErr, 1, __ATOMIC_SEQ_CST);
}

/* The process of member i: wait, take, commit, until it shall end. */
static void groupMember(const char *zPath, const char *zAssignor, int i){
  char *z = sqlite3_mprintf("SELECT prill_busy_timeout(60000); PRAGMA synchronous=NORMAL; CREATE VIRTUAL TABLE temp.m"
                            " USING consumer(group=g, topics=log, assignor='%s', max.poll.records=%d)", zAssignor,
                            GROUP_PART);
  sqlite3 *db = benchOther(zPath, z);
  sqlite3_stmt *pPoll, *pCommit;
  sqlite3_free(z);
  if( sqlite3_prepare_v2(db, "SELECT partition, timestamp FROM m WHERE timeout_ms=1000", -1, &pPoll, 0)!=SQLITE_OK
   || sqlite3_prepare_v2(db, "SELECT prill_commit('m')", -1, &pCommit, 0)!=SQLITE_OK ){
    benchFail("%s", sqlite3_errmsg(db));
  }
  __atomic_add_fetch(&pGroup->nReady, 1, __ATOMIC_SEQ_CST);
  while( !pGroup->bGo ) usleep(1000);
  while( !pGroup->bStop && !(i==0 && pGroup->bLeave) ){
    int n = 0;
    while( sqlite3_step(pPoll)==SQLITE_ROW ){
      int iPart = sqlite3_column_int(pPoll, 0);
      i64 ns = sqlite3_column_int64(pPoll, 1);
      i64 nsLate = groupNow()-ns;
      if( pGroup->aSeen[iPart]<ns ){                    /* not one given again */
        if( nsLate>pGroup->aWorst[iPart] ) pGroup->aWorst[iPart] = nsLate;
        pGroup->aSeen[iPart] = ns;
      }
      pGroup->aOwner[iPart] = i+1;
      n++;
    }
    if( sqlite3_reset(pPoll)!=SQLITE_OK ) __atomic_add_fetch(&pGroup->nErr, 1, __ATOMIC_SEQ_CST);
    if( n ) groupStep(pCommit);
  }
  sqlite3_exec(db, "DROP TABLE m", 0, 0, 0);
  sqlite3_finalize(pPoll);
  sqlite3_finalize(pCommit);
  sqlite3_close(db);
}

static pid_t groupFork(const char *zPath, const char *zAssignor, int i){
  pid_t pid;
  fflush(stdout);
  pid = fork();
  if( pid==0 ){
    groupMember(zPath, zAssignor, i);
    _exit(0);
  }
  while( pGroup->nReady<=i ) usleep(1000);
  return pid;
}

/* n times a record for each partition, a while apart; then wait until all are given. */
static void groupWindow(BenchDb *p, int n){
  i64 ns = 0, nsEnd;
  int i, k;
  for(i=0; i<GROUP_PART; i++) pGroup->aWorst[i] = 0;
  for(k=0; k<n; k++){
    if( k ) usleep(GROUP_TICK*1000);
    benchExec(p, "BEGIN IMMEDIATE");
    ns = groupNow();
    benchExec(p, "INSERT INTO log(partition, timestamp) SELECT partition, %lld FROM prill_partitions WHERE topic='log'",
              (long long)ns);
    benchExec(p, "COMMIT");
  }
  nsEnd = groupNow() + 60*(i64)1000000000;
  for(i=0; i<GROUP_PART; i++){
    while( pGroup->aSeen[i]<ns ){
      if( groupNow()>nsEnd ) benchFail("row 17: partition %d gets nothing", i);
      usleep(1000);
    }
  }
}

static int groupCompare(const void *a, const void *b){
  double x = *(const double*)a, y = *(const double*)b;
  return x<y ? -1 : x>y;
}

/* The p99 of the partitions' longest times, in ms: of those that changed hands since
** aOwner was noted (bMoved), or of those that did not.  *pn: how many. */
static double groupLate(const int *aOwner, int bMoved, int *pn){
  static double a[GROUP_PART];
  int i, n = 0;
  for(i=0; i<GROUP_PART; i++){
    if( (aOwner[i]!=pGroup->aOwner[i])==bMoved ) a[n++] = (double)pGroup->aWorst[i]/1e6;
  }
  qsort(a, (size_t)n, sizeof(a[0]), groupCompare);
  *pn = n;
  return n ? a[(int)((n-1)*0.99)] : 0.0;
}

static void groupOwners(int *aOwner){
  int i;
  for(i=0; i<GROUP_PART; i++) aOwner[i] = pGroup->aOwner[i];
}

static void groupMoves(const char *zAssignor){
  static const char *const azWhat[] = {"one joins", "one leaves"};
  static int aOwner[GROUP_PART];
  BenchConf conf = {0, 0, GROUP_PART, ""};
  pid_t aPid[GROUP_MEMBER+1];
  int bEager = strcmp(zAssignor, "cooperative-sticky")!=0;
  int nTick = benchScale(10), i, n;
  double rSteady;
  char zWhat[120];
  BenchDb d;
  snprintf(zWhat, sizeof(zWhat), "100 members, 1,000 partitions, %s", zAssignor);
  if( !benchMatches(zWhat) ) return;
  pGroup = mmap(0, sizeof(*pGroup), PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0);
  if( pGroup==MAP_FAILED ) benchFail("no shared memory");
  benchOpen(&d, "none", &conf);
  benchExec(&d, "SELECT prill_busy_timeout(60000)");
  for(i=0; i<GROUP_MEMBER; i++) aPid[i] = groupFork(d.zPath, zAssignor, i);
  pGroup->bGo = 1;
  groupWindow(&d, 1);
  while( benchInt(&d, "SELECT state='Stable' FROM prill_groups")==0 ) usleep(10000);
  groupWindow(&d, nTick);
  groupOwners(aOwner);
  groupWindow(&d, nTick);
  rSteady = groupLate(aOwner, 0, &n);
  for(i=0; i<2; i++){
    double rMoved, rUnmoved;
    int nMoved, nUnmoved;
    groupOwners(aOwner);
    if( i==0 ) aPid[GROUP_MEMBER] = groupFork(d.zPath, zAssignor, GROUP_MEMBER); else pGroup->bLeave = 1;
    groupWindow(&d, nTick);
    while( benchInt(&d, "SELECT state='Stable' FROM prill_groups")==0 ) usleep(10000);
    rMoved = groupLate(aOwner, 1, &nMoved);
    rUnmoved = groupLate(aOwner, 0, &nUnmoved)/rSteady;
    snprintf(zWhat, sizeof(zWhat), "100 members, 1,000 partitions, %s: %s, record to member in what stays, over before",
             zAssignor, azWhat[i]);
    benchReport("17", zWhat, &rUnmoved, 1, bEager ? 0 : -2, "x", "%d partitions stay, p99 of their longest %.0f ms,"
                " before %.0f ms", nUnmoved, rUnmoved*rSteady, rSteady);
    snprintf(zWhat, sizeof(zWhat), "100 members, 1,000 partitions, %s: %s, record to member in what moves", zAssignor,
             azWhat[i]);
    benchReport("17", zWhat, &rMoved, 1, bEager ? 0 : -50, "ms", "p99 of %d partitions' longest; refused %d", nMoved,
                pGroup->nErr);
  }
  pGroup->bStop = 1;
  for(i=0; i<=GROUP_MEMBER; i++) waitpid(aPid[i], 0, 0);
  benchClose(&d);
  munmap(pGroup, sizeof(*pGroup));
}

void benchRow17(void){
  groupMoves("cooperative-sticky");
  groupMoves("sticky");
}
