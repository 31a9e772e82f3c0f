/*
** bench_group.c: rows 14 and 17: consumer groups.
**
** Row 14.  Polls of 500 records, each committed with what it did, against a scan of
** the same records in pieces of 500.  At FULL the scan pays one fdatasync a piece.
**
** Row 17.  A group of 100 members and 1,000 partitions; one joins, one leaves.  A
** partition pauses from the poll at which its owner lets it go to the poll at which
** another takes it; members poll in turn, who waits for partitions at once, as
** waiting SELECTs do.  Cooperative against eager.
*/
#define _GNU_SOURCE 1         /* pwrite, fdatasync, ftruncate */
#include "bench.h"
#include "prill.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROUP_POLL 500
#define GROUP_PART 1000
#define GROUP_MEMBER 100

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
static int groupCompare(const void *a, const void *b){
  double x = *(const double*)a, y = *(const double*)b;
  return x<y ? -1 : x>y;
}

/* Which member, by the number its table has, owns each partition; -1 none. */
static void groupOwners(BenchDb *p, int *aOwner){
  sqlite3_stmt *pStmt = benchPrepare(p, "SELECT substr(client_id,2), j.value FROM prill_members AS m,"
                                        " json_each(m.assignment, '$.log') AS j");
  int i;
  for(i=0; i<GROUP_PART; i++) aOwner[i] = -1;
  while( sqlite3_step(pStmt)==SQLITE_ROW ) aOwner[sqlite3_column_int(pStmt, 1)] = sqlite3_column_int(pStmt, 0);
  sqlite3_finalize(pStmt);
}

/* Everybody polls once, in turn; when one has let go of partitions, iWaiter (-1: the
** whole group) polls next.  The pauses of partitions without an owner, ms, are
** appended to a[]. */
static int groupRound(BenchDb *p, int nMember, int iGone, int iWaiter, int *aOwner, i64 *aSince, double *a, int n){
  int aNow[GROUP_PART];
  int i, k;
  for(i=0; i<nMember; i++){
    i64 t0, t1;
    if( i==iGone ) continue;
    for(k=0; k<2; k++){
      int j, bLet = 0;
      if( k && iWaiter<0 ) break;
      t0 = benchClock();
      benchExec(p, "SELECT 1 FROM m%d", k ? iWaiter : i);
      t1 = benchClock();
      groupOwners(p, aNow);
      for(j=0; j<GROUP_PART; j++){
        if( aNow[j]<0 && aOwner[j]>=0 ){ aSince[j] = t0; bLet = 1; }
        if( aNow[j]>=0 && aOwner[j]<0 && aSince[j] ) a[n++] = (double)(t1-aSince[j])/1e6;
        /* The clock stands while owners are looked up. */
        if( aNow[j]<0 && aSince[j] ) aSince[j] += benchClock()-t1;
      }
      memcpy(aOwner, aNow, sizeof(aNow));
      if( !bLet ) break;
    }
  }
  return n;
}

static void groupMoves(const char *zAssignor){
  static double aPause[4*GROUP_PART+64];
  static i64 aSince[GROUP_PART];
  static int aOwner[GROUP_PART], aFirst[GROUP_PART];
  BenchConf conf = {0, 0, GROUP_PART, ""};
  int bEager = strcmp(zAssignor, "cooperative-sticky")!=0;
  int nMoved = 0, n = 0, i, k;
  double rWorst, r99;
  char zWhat[100];
  BenchDb d;
  snprintf(zWhat, sizeof(zWhat), "pause of a partition, one joins, one leaves, %s", zAssignor);
  if( !benchMatches(zWhat) ) return;
  benchOpen(&d, "none", &conf);
  for(i=0; i<GROUP_MEMBER; i++){
    benchExec(&d, "CREATE VIRTUAL TABLE temp.m%d USING consumer(group=g, topics=log, assignor='%s')", i, zAssignor);
  }
  for(k=0; k<3; k++){
    for(i=0; i<GROUP_MEMBER; i++) benchExec(&d, "SELECT 1 FROM m%d", i);
  }
  groupOwners(&d, aOwner);
  memcpy(aFirst, aOwner, sizeof(aFirst));
  memset(aSince, 0, sizeof(aSince));
  benchExec(&d, "CREATE VIRTUAL TABLE temp.m%d USING consumer(group=g, topics=log, assignor='%s')", GROUP_MEMBER,
            zAssignor);
  for(k=0; k<2+bEager; k++){
    n = groupRound(&d, GROUP_MEMBER+1, -1, bEager ? -1 : GROUP_MEMBER, aOwner, aSince, aPause, n);
  }
  for(i=0; i<GROUP_PART; i++) nMoved += aFirst[i]!=aOwner[i];
  benchExec(&d, "DROP TABLE m0");
  for(i=0; i<GROUP_PART; i++) if( aOwner[i]==0 ){ aOwner[i] = -1; aSince[i] = benchClock(); nMoved++; }
  for(k=0; k<2+bEager; k++) n = groupRound(&d, GROUP_MEMBER+1, 0, -1, aOwner, aSince, aPause, n);
  for(i=0; i<GROUP_PART; i++) if( aOwner[i]<0 ) benchFail("%s: partition %d has no owner", zAssignor, i);
  qsort(aPause, (size_t)n, sizeof(aPause[0]), groupCompare);
  r99 = n ? aPause[(int)((n-1)*0.99)] : 0;
  rWorst = n ? aPause[n-1] : 0;
  benchReport("17", zWhat, &r99, 1, bEager ? 0 : -50, "ms", "p99 of %d pauses, longest %.1f ms; %d"
              " partitions had to move", n, rWorst, nMoved);
  benchClose(&d);
}

void benchRow17(void){
  groupMoves("cooperative-sticky");
  groupMoves("range");
}
