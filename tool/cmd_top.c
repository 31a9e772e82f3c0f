/*
** cmd_top.c: prill top: what a store is doing, looked at again and again.
**
** A look (TopLook) is what the tables say in one snapshot, and what the file
** "wake" counts; two of them make the rates.  Nothing is held between looks.
**
** On a terminal a table is drawn over the one before; elsewhere each look is
** lines that stand for themselves.  SIGINT, SIGTERM and SIGHUP end it.
*/
#include "cmd.h"
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

typedef struct TopTopic TopTopic;
struct TopTopic {
  char *zName, *zId;
  i64 iEnd;                     /* offsets handed out in all its partitions */
  i64 nRec, nByte;              /* what it holds */
  double rRec, rByte;           /* a second, since the look before */
};

typedef struct TopGroup TopGroup;
struct TopGroup {
  char *zGroup, *zTopic;
  i64 nLag;                     /* of the topic's partitions together */
  double rSec;                  /* age of the first record it has not done; <0: not known */
};

typedef struct TopLook TopLook;
struct TopLook {
  double rNow;                  /* seconds of a clock that only goes forward */
  unsigned nCommit, nWait;      /* counters: they go round */
  int bWake;                    /* there are any */
  TopTopic *aTopic;             /* by name */
  TopGroup *aGroup;             /* by topic, then group */
  int nTopic, nGroup;
};

static volatile sig_atomic_t topStop = 0;

static void topSignal(int iSignal){
  topStop = iSignal;
}

/**************************************************************************
** Looking.
*/
static char *topText(sqlite3_stmt *pStmt, int iCol){
  const char *z = (const char*)sqlite3_column_text(pStmt, iCol);
  char *zOut = cmdPrintf("%s", z ? z : "");
  char *zAt;
  for(zAt=zOut; *zAt; zAt++) if( (u8)*zAt<' ' || *zAt==0x7f ) *zAt = '?';
  return zOut;
}

static void topFree(TopLook *p){
  int i;
  for(i=0; i<p->nTopic; i++){
    sqlite3_free(p->aTopic[i].zName);
    sqlite3_free(p->aTopic[i].zId);
  }
  for(i=0; i<p->nGroup; i++){
    sqlite3_free(p->aGroup[i].zGroup);
    sqlite3_free(p->aGroup[i].zTopic);
  }
  sqlite3_free(p->aTopic);
  sqlite3_free(p->aGroup);
  memset(p, 0, sizeof(*p));
}

/* The counters of the file "wake", from prill_debug()'s line of the store. */
static void topWake(TopLook *p){
  sqlite3_stmt *pStmt = cmdPrepare("SELECT prill_debug()");
  const char *z = cmdStep(pStmt) ? (const char*)sqlite3_column_text(pStmt, 0) : 0;
  if( z ) z = strstr(z, "\nstore main: ");
  if( z ) z = strstr(z, "; wake ");
  p->bWake = z && strncmp(z, "; wake none", 11)!=0;
  if( z ) z = strstr(z, "; commits counted ");
  if( z==0 || sscanf(z, "; commits counted %u, waits for the lock %u", &p->nCommit, &p->nWait)!=2 ) p->bWake = 0;
  cmdFinish(pStmt);
}

static void topLook(TopLook *p){
  struct timespec t;
  sqlite3_stmt *pStmt;
  clock_gettime(CLOCK_MONOTONIC, &t);
  p->rNow = (double)t.tv_sec + (double)t.tv_nsec/1e9;
  topWake(p);
  cmdExec("BEGIN");
  pStmt = cmdPrepare("SELECT name, topic_id, records, bytes, (SELECT sum(log_end_offset) FROM prill_partitions"
                     " WHERE topic=name) FROM prill_topics ORDER BY name");
  while( cmdStep(pStmt) ){
    TopTopic *pT;
    p->aTopic = (TopTopic*)cmdAlloc(p->aTopic, sizeof(TopTopic)*(u64)(p->nTopic+1));
    pT = &p->aTopic[p->nTopic++];
    memset(pT, 0, sizeof(*pT));
    pT->zName = topText(pStmt, 0);
    pT->zId = topText(pStmt, 1);
    pT->nRec = sqlite3_column_int64(pStmt, 2);
    pT->nByte = sqlite3_column_int64(pStmt, 3);
    pT->iEnd = sqlite3_column_int64(pStmt, 4);
  }
  cmdFinish(pStmt);
  pStmt = cmdPrepare("SELECT topic, group_id, sum(lag), max(lag_seconds) FROM prill_offsets"
                     " GROUP BY 1, 2 ORDER BY 1, 2");
  while( cmdStep(pStmt) ){
    TopGroup *pG;
    p->aGroup = (TopGroup*)cmdAlloc(p->aGroup, sizeof(TopGroup)*(u64)(p->nGroup+1));
    pG = &p->aGroup[p->nGroup++];
    pG->zTopic = topText(pStmt, 0);
    pG->zGroup = topText(pStmt, 1);
    pG->nLag = sqlite3_column_int64(pStmt, 2);
    pG->rSec = sqlite3_column_type(pStmt, 3)==SQLITE_NULL ? -1.0 : sqlite3_column_double(pStmt, 3);
  }
  cmdFinish(pStmt);
  cmdExec("COMMIT");
}

/* The rates of pNew: offsets handed out since pOld, at the mean size of what
** the topic holds.  (The bytes a log grows by would be wrong: its tail is
** packed as it leaves the database, and retention takes from the other end.) */
static void topRates(const TopLook *pOld, TopLook *pNew, double rSec){
  int i, j = 0;
  for(i=0; i<pNew->nTopic; i++){
    TopTopic *p = &pNew->aTopic[i];
    i64 n = p->iEnd;
    while( j<pOld->nTopic && strcmp(pOld->aTopic[j].zName, p->zName)<0 ) j++;
    if( j<pOld->nTopic && strcmp(pOld->aTopic[j].zId, p->zId)==0 ) n -= pOld->aTopic[j].iEnd;
    p->rRec = n>0 ? (double)n/rSec : 0.0;
    p->rByte = p->nRec>0 ? p->rRec*(double)p->nByte/(double)p->nRec : 0.0;
  }
}

/**************************************************************************
** Showing.
*/
static void topTime(char zOut[32]){
  time_t t = time(0);
  struct tm tm;
  gmtime_r(&t, &tm);
  strftime(zOut, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static i64 topLag(const TopLook *p, const char *zTopic){
  i64 n = 0;
  int i;
  for(i=0; i<p->nGroup; i++) if( strcmp(p->aGroup[i].zTopic, zTopic)==0 ) n += p->aGroup[i].nLag;
  return n;
}

static void topLines(const TopLook *pOld, const TopLook *p, double rSec){
  char zTime[32];
  int i;
  topTime(zTime);
  if( p->bWake && pOld->bWake ){
    printf("%s store commits/s=%.1f waits/s=%.1f waits=%u\n", zTime, (p->nCommit-pOld->nCommit)/rSec,
           (p->nWait-pOld->nWait)/rSec, p->nWait);
  }else{
    printf("%s store commits/s=- waits/s=- waits=-\n", zTime);
  }
  for(i=0; i<p->nTopic; i++){
    const TopTopic *t = &p->aTopic[i];
    printf("%s topic end=%lld records/s=%.1f bytes/s=%.0f lag=%lld %s\n", zTime, (long long)t->iEnd, t->rRec, t->rByte,
           (long long)topLag(p, t->zName), t->zName);
  }
  for(i=0; i<p->nGroup; i++){
    const TopGroup *g = &p->aGroup[i];
    printf("%s group lag=%lld ", zTime, (long long)g->nLag);
    if( g->rSec<0.0 ) fputs("seconds=- ", stdout); else printf("seconds=%.1f ", g->rSec);
    printf("%s %s\n", g->zTopic, g->zGroup);
  }
}

/* A number in at most six characters. */
static const char *topShort(double r, char zOut[16]){
  static const char zUnit[] = " KMGTPE";
  int i = 0;
  while( r>=9999.5 && zUnit[i+1] ){
    r /= 1000.0;
    i++;
  }
  if( i==0 ) snprintf(zOut, 16, r<99.95 ? "%.1f" : "%.0f", r); else snprintf(zOut, 16, "%.0f%c", r, zUnit[i]);
  return zOut;
}

/* Busiest first, then by name. */
static int topOrder(const void *pA, const void *pB){
  const TopTopic *a = (const TopTopic*)pA, *b = (const TopTopic*)pB;
  if( a->rRec!=b->rRec ) return a->rRec>b->rRec ? -1 : 1;
  return strcmp(a->zName, b->zName);
}

static int topByName(const void *pA, const void *pB){
  return strcmp(((const TopTopic*)pA)->zName, ((const TopTopic*)pB)->zName);
}

/* One line of the screen, if there is room for it. */
static void topDraw(int *pnRow, int nCol, char *z){
  if( *pnRow>0 ){
    printf("%.*s\033[K", nCol, z);
    if( --*pnRow>0 ) fputs("\r\n", stdout);
  }
  sqlite3_free(z);
}

static void topScreen(const TopLook *pOld, TopLook *p, double rSec){
  char zTime[32], zA[16], zB[16], zC[16];
  struct winsize w;
  int nRow = 24, nCol = 80, i, j;
  if( ioctl(STDOUT_FILENO, TIOCGWINSZ, &w)==0 && w.ws_row>0 && w.ws_col>0 ){
    nRow = w.ws_row;
    nCol = w.ws_col;
  }
  topTime(zTime);
  fputs("\033[H", stdout);
  if( p->bWake && pOld->bWake ){
    topDraw(&nRow, nCol, cmdPrintf("%s  %s  commits/s %s  waits for the lock/s %s", zCmdDb, zTime,
            topShort((p->nCommit-pOld->nCommit)/rSec, zA), topShort((p->nWait-pOld->nWait)/rSec, zB)));
  }else{
    topDraw(&nRow, nCol, cmdPrintf("%s  %s  nothing counts commits: prill doctor says why", zCmdDb, zTime));
  }
  topDraw(&nRow, nCol, cmdPrintf("%s", ""));
  topDraw(&nRow, nCol, cmdPrintf("%9s %7s %14s %9s %8s  %s", "records/s", "bytes/s", "end", "lag", "behind",
          "topic, group"));
  qsort(p->aTopic, (size_t)p->nTopic, sizeof(TopTopic), topOrder);
  for(i=0; i<p->nTopic && nRow>0; i++){
    const TopTopic *t = &p->aTopic[i];
    topDraw(&nRow, nCol, cmdPrintf("%9s %7s %14lld %9s %8s  %s", topShort(t->rRec, zA), topShort(t->rByte, zB),
            t->iEnd, "", "", t->zName));
    for(j=0; j<p->nGroup; j++){
      const TopGroup *g = &p->aGroup[j];
      if( strcmp(g->zTopic, t->zName)!=0 ) continue;
      if( g->rSec<0.0 ) snprintf(zC, sizeof(zC), "-"); else snprintf(zC, sizeof(zC), "%.1f s", g->rSec);
      topDraw(&nRow, nCol, cmdPrintf("%9s %7s %14s %9lld %8s    %s", "", "", "", g->nLag, zC, g->zGroup));
    }
  }
  fputs("\033[J", stdout);
}

/* Sleep, unless a signal comes or nobody reads any more.  1: go on. */
static int topSleep(double rSec){
  struct timespec t, tEnd;
  clock_gettime(CLOCK_MONOTONIC, &tEnd);
  tEnd.tv_sec += (time_t)rSec;
  tEnd.tv_nsec += (long)((rSec-(double)(time_t)rSec)*1e9);
  for(;;){
    struct pollfd p = {STDOUT_FILENO, 0, 0};
    i64 ms;
    clock_gettime(CLOCK_MONOTONIC, &t);
    ms = (i64)(tEnd.tv_sec-t.tv_sec)*1000 + (tEnd.tv_nsec-t.tv_nsec)/1000000;
    if( topStop ) return 0;
    if( ms<=0 ) return 1;
    if( poll(&p, 1, (int)(ms<1000 ? ms : 1000))>0 && (p.revents & (POLLERR|POLLNVAL)) ) return 0;
  }
}

static void topCatch(void){
  static const int aSignal[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction act;
  size_t i;
  memset(&act, 0, sizeof(act));
  act.sa_handler = topSignal;
  sigemptyset(&act.sa_mask);
  for(i=0; i<sizeof(aSignal)/sizeof(aSignal[0]); i++) sigaction(aSignal[i], &act, 0);
}

int cmdTop(const Cmd *pMe, int nArg, char **azArg){
  const char *zInterval = 0;
  i64 nMax = -1, n;
  double rInterval = 1.0;
  int bScreen = isatty(STDOUT_FILENO);
  TopLook aLook[2];
  const CmdOpt aOpt[] = {
    {'n', "count", OPT_INT, &nMax},
    {'i', "interval", OPT_TEXT, (void*)&zInterval},
  };
  (void)pMe;
  CMD_OPTIONS(nArg, azArg, aOpt, 0, 0);
  if( zInterval ){
    char *zEnd;
    rInterval = strtod(zInterval, &zEnd);
    if( *zEnd || zEnd==zInterval || !(rInterval>=0.1 && rInterval<=86400.0) ){
      cmdUsage("--interval %s: use a number of seconds, 0.1 to 86400", zInterval);
    }
  }
  cmdOpen(CMD_READ);
  topCatch();
  memset(aLook, 0, sizeof(aLook));
  topLook(&aLook[0]);
  if( bScreen && nMax!=0 ) fputs("\033[2J", stdout);
  for(n=0; n!=nMax && topSleep(rInterval); n++){
    TopLook *pOld = &aLook[n&1], *pNew = &aLook[(n+1)&1];
    double rSec;
    topLook(pNew);
    rSec = pNew->rNow-pOld->rNow;
    topRates(pOld, pNew, rSec);
    if( bScreen ) topScreen(pOld, pNew, rSec); else topLines(pOld, pNew, rSec);
    cmdFlush();
    if( bScreen ) qsort(pNew->aTopic, (size_t)pNew->nTopic, sizeof(TopTopic), topByName);
    topFree(pOld);
  }
  if( bScreen && n>0 ) fputs("\r\n", stdout);
  topFree(&aLook[0]);
  topFree(&aLook[1]);
  return 0;
}
