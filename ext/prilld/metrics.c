/*
** metrics.c: what the daemon counts, and the page that Prometheus reads.
**
** Counters are Prilld.stat and Prilld.pMetrics, the loop's own; the store
** thread's are copied under its mutex (prilldStoreStat).  What the store is like
** (partitions, bytes, lag) is read from the view when the page is asked for.
** Nothing here does I/O but reading /proc/self.
**
**   I1  The page has METRICS_MX_LAG lines of lag at most; that there are more
**       is itself told.
**   I2  A label is valid UTF-8: a name that is not is shown with '?' for its
**       bytes above 127.
*/
#include "group.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define METRICS_MX_LAG 20000

/* Upper bounds in microseconds; one more bucket for what is above. */
static const i64 aBound[PRILLD_NBUCKET-1] = {
  100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000
};
static const char *const azBound[PRILLD_NBUCKET-1] = {
  "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5",
  "5", "10"
};

struct PrilldMetrics {
  PrilldHist aApi[WIRE_NAPI];
  i64 aError[PRILLD_NERROR];    /* by code plus 1; the last: all others */
  i64 iStart;                   /* seconds since 1970 */
};

void prilldHistAdd(PrilldHist *p, i64 us){
  int i;
  for(i=0; i<PRILLD_NBUCKET-1 && us>aBound[i]; i++){}
  p->an[i]++;
  p->n++;
  p->us += us;
}

static PrilldMetrics *metricsOf(Prilld *pD){
  if( pD->pMetrics==0 ){
    PrilldMetrics *p = (PrilldMetrics*)sqlite3_malloc64(sizeof(*p));
    if( p ){
      memset(p, 0, sizeof(*p));
      p->iStart = (i64)time(0);
    }
    pD->pMetrics = p;
  }
  return pD->pMetrics;
}

int prilldMetricsInit(Prilld *pD){
  return metricsOf(pD) ? SQLITE_OK : SQLITE_NOMEM;
}

void prilldMetricsFree(Prilld *pD){
  sqlite3_free(pD->pMetrics);
  pD->pMetrics = 0;
}

/**************************************************************************
** Requests.
*/

/* Count the error codes of an answer, wherever they stand in it. */
static void metricsErrors(PrilldMetrics *p, const WireStruct *pStruct, int iVer, const u8 *a){
  int i;
  for(i=0; i<pStruct->nField; i++){
    const WireField *f = &pStruct->aField[i];
    if( iVer<f->mnVer || iVer>f->mxVer ) continue;
    if( f->bArray && f->eType==WIRE_STRUCT ){
      const u8 *aElem = *(const u8*const*)(const void*)(a+f->iAt);
      i32 j, n = *(const i32*)(const void*)(a+f->iCount);
      for(j=0; j<n; j++) metricsErrors(p, f->pSub, iVer, aElem + f->pSub->sz*(size_t)j);
    }else if( f->eType==WIRE_INT16 && !f->bArray && f->zName[0]=='e' && strcmp(f->zName, "errorCode")==0 ){
      int iCode = *(const i16*)(const void*)(a+f->iAt);
      if( iCode!=0 ) p->aError[iCode>=-1 && iCode<PRILLD_NERROR-2 ? iCode+1 : PRILLD_NERROR-1]++;
    }
  }
}

void prilldMetricsAnswer(PrilldReq *pReq){
  if( pReq->pOut ) metricsErrors(metricsOf(pReq->pD), pReq->h.pApi->pResp, pReq->h.iVer, (const u8*)pReq->pOut);
}

void prilldMetricsRequest(PrilldReq *pReq, i64 us){
  PrilldMetrics *p = metricsOf(pReq->pD);
  if( pReq->h.pApi ) prilldHistAdd(&p->aApi[pReq->h.pApi-prilldWireApi], us);
}

/**************************************************************************
** The page.
*/
typedef struct Page Page;
struct Page { int rc; PrillBuf *p; };

static void pageHead(Page *g, const char *zName, const char *zType, const char *zHelp){
  prillBufPrintf(&g->rc, g->p, "# HELP %s %s\n# TYPE %s %s\n", zName, zHelp, zName, zType);
}
static void pageOne(Page *g, const char *zName, const char *zType, i64 v, const char *zHelp){
  pageHead(g, zName, zType, zHelp);
  prillBufPrintf(&g->rc, g->p, "%s %lld\n", zName, v);
}

/* Seconds, from microseconds. */
static void pageSeconds(Page *g, i64 us){
  prillBufPrintf(&g->rc, g->p, "%lld.%06lld\n", us/1000000, us%1000000);
}

/* A label's value, in its quotes (I2). */
static void pageLabel(Page *g, const char *z){
  int bUtf8 = prillUtf8((const u8*)z, (i64)strlen(z));
  prillBufAppend(&g->rc, g->p, "\"", 1);
  for(; *z; z++){
    u8 c = (u8)*z;
    if( c=='"' || c=='\\' ) prillBufPrintf(&g->rc, g->p, "\\%c", c);
    else if( c=='\n' ) prillBufAppend(&g->rc, g->p, "\\n", 2);
    else if( c<32 || (c>127 && !bUtf8) ) prillBufAppend(&g->rc, g->p, "?", 1);
    else prillBufAppend(&g->rc, g->p, z, 1);
  }
  prillBufAppend(&g->rc, g->p, "\"", 1);
}

/* zLabel: "" or a list of labels that ends with a comma. */
static void pageHist(Page *g, const char *zName, const char *zLabel, const PrilldHist *p){
  i64 n = 0;
  int i;
  for(i=0; i<PRILLD_NBUCKET; i++){
    n += p->an[i];
    prillBufPrintf(&g->rc, g->p, "%s_bucket{%sle=\"%s\"} %lld\n", zName, zLabel,
                   i<PRILLD_NBUCKET-1 ? azBound[i] : "+Inf", n);
  }
  i = (int)strlen(zLabel);
  prillBufPrintf(&g->rc, g->p, i ? "%s_count{%.*s} %lld\n" : "%s_count%.*s %lld\n", zName, PRILL_MAX(i-1, 0), zLabel,
                 p->n);
  prillBufPrintf(&g->rc, g->p, i ? "%s_sum{%.*s} " : "%s_sum%.*s ", zName, PRILL_MAX(i-1, 0), zLabel);
  pageSeconds(g, p->us);
}

static void pageRequests(Page *g, Prilld *pD){
  const PrilldMetrics *p = metricsOf(pD);
  char zLabel[64];
  int i;
  pageHead(g, "prilld_request_seconds", "histogram", "From a request's arrival to its answer, waiting included.");
  for(i=0; i<WIRE_NAPI; i++){
    if( p->aApi[i].n==0 ) continue;
    sqlite3_snprintf(sizeof(zLabel), zLabel, "api=\"%s\",", prilldWireApi[i].zName);
    pageHist(g, "prilld_request_seconds", zLabel, &p->aApi[i]);
  }
  pageHead(g, "prilld_errors_total", "counter", "Error codes in answers, by Kafka's number.");
  for(i=0; i<PRILLD_NERROR; i++){
    if( p->aError[i]==0 ) continue;
    if( i<PRILLD_NERROR-1 ) prillBufPrintf(&g->rc, g->p, "prilld_errors_total{code=\"%d\"} %lld\n", i-1, p->aError[i]);
    else prillBufPrintf(&g->rc, g->p, "prilld_errors_total{code=\"other\"} %lld\n", p->aError[i]);
  }
}

static void pageDaemon(Page *g, Prilld *pD){
  const PrilldStat *s = &pD->stat;
  pageOne(g, "prilld_connections", "gauge", s->nConn, "Open connections.");
  pageOne(g, "prilld_connections_total", "counter", s->nConnAll, "Connections taken.");
  pageOne(g, "prilld_connections_refused_total", "counter", s->nConnRefused, "Connections refused by a bound.");
  pageOne(g, "prilld_connections_evicted_total", "counter", s->nConnEvicted,
          "Connections closed as they kept memory that others needed.");
  pageOne(g, "prilld_requests_total", "counter", s->nReq, "Requests, those refused included.");
  pageOne(g, "prilld_requests_refused_total", "counter", s->nReqError,
          "Requests that closed their connection: malformed, not served, or no memory.");
  pageOne(g, "prilld_requests_waiting", "gauge", s->nFetchWait, "Fetch requests that wait for records.");
  pageOne(g, "prilld_held_bytes", "gauge", pD->nHeld, "Memory of connections, requests and answers.");
  pageOne(g, "prilld_throttled_total", "counter", s->nThrottled, "Answers that told a client to wait for its quota.");
  pageOne(g, "prilld_received_bytes_total", "counter", s->nByteIn, "Bytes read from clients.");
  pageOne(g, "prilld_sent_bytes_total", "counter", s->nByteOut, "Bytes of answers.");
  pageOne(g, "prilld_produced_bytes_total", "counter", s->nProduceByte, "Bytes of Produce requests.");
  pageOne(g, "prilld_produced_records_total", "counter", s->nRecord, "Records appended for Produce requests.");
}

static void pageWriter(Page *g, Prilld *pD){
  PrilldWriterStat w;
  prilldStoreStat(pD, &w);
  pageHead(g, "prilld_commit_seconds", "histogram", "Transactions of the writer, from the lock to the end of COMMIT.");
  pageHist(g, "prilld_commit_seconds", "", &w.commit);
  pageOne(g, "prilld_commit_failures_total", "counter", w.nFail, "Transactions that failed.");
  pageOne(g, "prilld_jobs_total", "counter", w.nJob, "Requests' changes that transactions gathered.");
  pageHead(g, "prilld_lock_wait_seconds_total", "counter", "Time waited for the write lock.");
  prillBufPrintf(&g->rc, g->p, "prilld_lock_wait_seconds_total ");
  pageSeconds(g, w.usWait);
  pageOne(g, "prilld_lock_waits_over_1s_total", "counter", w.nWaited, "Waits for the write lock of over a second.");
  pageOne(g, "prilld_upkeep_steps_total", "counter", w.nUpkeep, "Steps of retention, compaction and spills.");
  pageOne(g, "prilld_upkeep_failures_total", "counter", w.nUpkeepFail, "Steps of upkeep that failed.");
}

static void pageGroups(Page *g, Prilld *pD){
  const PrilldGroup *p;
  pageOne(g, "prilld_rebalances_total", "counter", pD->stat.nRebalance, "Generations that groups began.");
  pageHead(g, "prilld_group_members", "gauge", "Members of a group.");
  for(p=pD->pGroups; p; p=p->pNext){
    prillBufPrintf(&g->rc, g->p, "prilld_group_members{group=");
    pageLabel(g, p->g->zGroup);
    prillBufPrintf(&g->rc, g->p, ",state=\"%s\"} %d\n", prillGroupStateName(p->g->eState), p->g->nMember);
  }
  pageHead(g, "prilld_group_generation", "gauge", "A group's generation: it rises with each rebalance.");
  for(p=pD->pGroups; p; p=p->pNext){
    prillBufPrintf(&g->rc, g->p, "prilld_group_generation{group=");
    pageLabel(g, p->g->zGroup);
    prillBufPrintf(&g->rc, g->p, "} %d\n", p->g->iGeneration);
  }
}

/* The first number that a statement gives. */
static i64 pageQuery(PrillStore *p, const char *zSql){
  sqlite3_stmt *pStmt = 0;
  i64 v = 0;
  if( prillStorePrepare(p, &pStmt, zSql)==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    v = sqlite3_column_int64(pStmt, 0);
  }
  sqlite3_finalize(pStmt);
  return v;
}

static void pageLag(Page *g, PrillStore *p){
  sqlite3_stmt *pStmt = 0;
  int n = 0;
  int rc = prillStorePrepare(p, &pStmt, "SELECT grp, pid, off FROM \"%w\".prill_store_offset");
  pageHead(g, "prilld_group_lag", "gauge", "Records of a partition that its group has not committed yet.");
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW && n<=METRICS_MX_LAG ){
    const char *zGroup = (const char*)sqlite3_column_text(pStmt, 0);
    PrillPart *pPart = prillStorePart(p, sqlite3_column_int64(pStmt, 1));
    if( zGroup==0 || pPart==0 || prillPartLoad(pPart)!=SQLITE_OK || ++n>METRICS_MX_LAG ) continue;
    prillBufPrintf(&g->rc, g->p, "prilld_group_lag{group=");
    pageLabel(g, zGroup);
    prillBufPrintf(&g->rc, g->p, ",topic=\"%s\",partition=\"%d\"} %lld\n", pPart->pTopic->zName, (int)pPart->iPart,
                   PRILL_MAX(prillPartEnd(pPart)-sqlite3_column_int64(pStmt, 2), 0));
  }
  sqlite3_finalize(pStmt);
  pageOne(g, "prilld_group_lag_cut", "gauge", n>METRICS_MX_LAG, "1: there are more than are shown.");
}

static void pageStore(Page *g, Prilld *pD){
  PrillStore *p = pD->view.pStore;
  PrillTopic *pTopic;
  i64 nTopic = 0, nPart = 0;
  if( prilldViewBegin(&pD->view)!=SQLITE_OK ) return;
  for(pTopic=p->pTopics; pTopic; pTopic=pTopic->pNext){
    nTopic++;
    nPart += pTopic->nPart;
  }
  pageOne(g, "prilld_topics", "gauge", nTopic, "Topics.");
  pageOne(g, "prilld_partitions", "gauge", nPart, "Partitions.");
  pageOne(g, "prilld_store_log_bytes", "gauge",
          pageQuery(p, "SELECT total(all_bytes) FROM \"%w\".prill_store_part") + p->nLiveByte,
          "Bytes of records, in segments and in the tail.");
  pageOne(g, "prilld_store_database_bytes", "gauge",
          pageQuery(p, "PRAGMA \"%w\".page_count") * pageQuery(p, "PRAGMA \"%w\".page_size"),
          "Bytes of the database file, the write-ahead log not counted.");
  pageLag(g, p);
  prilldViewEnd(&pD->view);
}

static i64 procFiles(void){
  DIR *p = opendir("/proc/self/fd");
  i64 n = 0;
  if( p==0 ) return -1;
  while( readdir(p) ) n++;
  closedir(p);
  return n-3;                           /* ".", "..", and that of the directory */
}

static i64 procResident(void){
  FILE *f = fopen("/proc/self/statm", "r");
  long long n = 0, nAll = 0;
  if( f==0 ) return -1;
  if( fscanf(f, "%lld %lld", &nAll, &n)!=2 ) n = 0;
  fclose(f);
  return n*(i64)sysconf(_SC_PAGESIZE);
}

static void pageProcess(Page *g, Prilld *pD){
  struct rusage use;
  struct rlimit lim;
  pageOne(g, "process_resident_memory_bytes", "gauge", procResident(), "Resident memory.");
  pageOne(g, "process_open_fds", "gauge", procFiles(), "Open files and connections.");
  if( getrlimit(RLIMIT_NOFILE, &lim)==0 ){
    i64 n = lim.rlim_cur>PRILL_I64MAX/2 ? -1 : (i64)lim.rlim_cur;
    pageOne(g, "process_max_fds", "gauge", n, "As many may be open.");
  }
  if( getrusage(RUSAGE_SELF, &use)==0 ){
    pageHead(g, "process_cpu_seconds_total", "counter", "Processor time.");
    prillBufPrintf(&g->rc, g->p, "process_cpu_seconds_total ");
    pageSeconds(g, ((i64)use.ru_utime.tv_sec+use.ru_stime.tv_sec)*1000000
                   + use.ru_utime.tv_usec + use.ru_stime.tv_usec);
  }
  pageOne(g, "process_start_time_seconds", "gauge", metricsOf(pD)->iStart, "When it started, since 1970.");
}

int prilldMetricsPage(Prilld *pD, PrillBuf *pBuf){
  Page g;
  g.rc = SQLITE_OK;
  g.p = pBuf;
  pageHead(&g, "prilld_info", "gauge", "The version.");
  prillBufPrintf(&g.rc, pBuf, "prilld_info{version=\"%s\"} 1\n", PRILL_VERSION);
  pageDaemon(&g, pD);
  pageRequests(&g, pD);
  pageWriter(&g, pD);
  pageGroups(&g, pD);
  pageStore(&g, pD);
  pageProcess(&g, pD);
  return g.rc;
}
