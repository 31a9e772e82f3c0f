/*
** quota.c: byte rates of clients, and how long one that is over its own must wait.
**
** A quota is bytes a second that a client id may produce, or be given by Fetch:
** the one of that client id, else that of all client ids (AlterClientQuotas'
** default), else quota.producer.default or quota.consumer.default.  A client
** without a quota costs nothing.
**
** THE RATE is Kafka's: bytes of the last quota.window.num windows of
** quota.window.size.seconds each, over the time they span, but no less than all
** windows but one.  Where it is above the quota the client waits until it would be
** down to it.  The wait is told in the answer's throttle_time_ms, and the
** connection is not read meanwhile: conn.c.
**
**   I1  Memory is bounded: QUOTA_MX_CLIENT clients are known, the longest unseen
**       is forgotten first; QUOTA_NAME bytes of a client id count.
**   I2  What is stored (prill_store_quota, made with the first) is what is in
**       force: both change when the job has committed.
*/
#include "prilld.h"

#define QUOTA_MX_CLIENT 4096
#define QUOTA_HASH 1024
#define QUOTA_NAME 255
#define QUOTA_MX_WINDOW 60            /* quota.window.num's most */

typedef struct QuotaRate QuotaRate;
struct QuotaRate {
  i64 iLast;                /* newest window: now/msWindow */
  i64 iFirst;               /* oldest window that counts */
  i64 aByte[QUOTA_MX_WINDOW];
};
typedef struct QuotaClient QuotaClient;
struct QuotaClient {
  QuotaClient *pNext;       /* of its hash */
  QuotaClient *pNewer, *pOlder;
  QuotaRate *apRate[PRILLD_QUOTA_N];
  u8 nName;
  char zName[QUOTA_NAME];
};
struct PrilldQuotas {
  PrilldQuota *aQuota;      /* as set, in no order */
  int nQuota, nAlloc;
  QuotaClient *apHash[QUOTA_HASH];
  QuotaClient *pNewest, *pOldest;
  int nClient;
  i64 msWindow, nWindow;    /* what the rates were counted by */
};

/**************************************************************************
** What is set.
*/
const PrilldQuota *prilldQuotaAt(const Prilld *pD, int i){
  const PrilldQuotas *p = pD->pQuotas;
  return p && i<p->nQuota ? &p->aQuota[i] : 0;
}

static PrilldQuota *quotaFind(const PrilldQuotas *p, const char *z, i64 n){
  int i;
  for(i=0; p && i<p->nQuota; i++){
    PrilldQuota *q = &p->aQuota[i];
    if( z==0 ? q->zClient==0 : q->zClient && (i64)strlen(q->zClient)==n && memcmp(q->zClient, z, (size_t)n)==0 ){
      return q;
    }
  }
  return 0;
}

static PrilldQuotas *quotaAll(Prilld *pD){
  if( pD->pQuotas==0 ){
    PrilldQuotas *p = (PrilldQuotas*)sqlite3_malloc64(sizeof(*p));
    if( p ) memset(p, 0, sizeof(*p));
    pD->pQuotas = p;
  }
  return pD->pQuotas;
}

const PrilldQuota *prilldQuotaGet(const Prilld *pD, const char *zClient){
  return quotaFind(pD->pQuotas, zClient, zClient ? (i64)strlen(zClient) : 0);
}

int prilldQuotaSet(Prilld *pD, const char *zClient, const double *aRate){
  PrilldQuotas *p = quotaAll(pD);
  PrilldQuota *q = p ? (PrilldQuota*)(size_t)prilldQuotaGet(pD, zClient) : 0;
  if( p==0 ) return SQLITE_NOMEM;
  if( aRate[0]<=0 && aRate[1]<=0 ){
    if( q==0 ) return SQLITE_OK;
    sqlite3_free(q->zClient);
    *q = p->aQuota[--p->nQuota];
    return SQLITE_OK;
  }
  if( q==0 ){
    char *z = zClient ? sqlite3_mprintf("%s", zClient) : 0;
    if( zClient && z==0 ) return SQLITE_NOMEM;
    if( p->nQuota>=p->nAlloc ){
      int nAlloc = p->nAlloc*2 + 8;
      PrilldQuota *a = (PrilldQuota*)sqlite3_realloc64(p->aQuota, sizeof(*a)*(u64)nAlloc);
      if( a==0 ){
        sqlite3_free(z);
        return SQLITE_NOMEM;
      }
      p->aQuota = a;
      p->nAlloc = nAlloc;
    }
    q = &p->aQuota[p->nQuota++];
    q->zClient = z;
  }
  memcpy(q->aRate, aRate, sizeof(q->aRate));
  return SQLITE_OK;
}

/* Bytes a second of that client; 0: no quota. */
static double quotaRate(const Prilld *pD, WireStr client, int eWhat){
  const PrilldQuota *q = quotaFind(pD->pQuotas, client.z, PRILL_MAX(client.n, 0));
  if( q && q->aRate[eWhat]>0 ) return q->aRate[eWhat];
  q = quotaFind(pD->pQuotas, 0, 0);
  if( q && q->aRate[eWhat]>0 ) return q->aRate[eWhat];
  return pD->conf.aQuota[eWhat]<PRILL_I64MAX ? (double)pD->conf.aQuota[eWhat] : 0;
}

/**************************************************************************
** What is used.
*/
static void quotaUnlink(PrilldQuotas *p, QuotaClient *c){
  if( c->pNewer ) c->pNewer->pOlder = c->pOlder;
  else p->pNewest = c->pOlder;
  if( c->pOlder ) c->pOlder->pNewer = c->pNewer;
  else p->pOldest = c->pNewer;
}
static void quotaFront(PrilldQuotas *p, QuotaClient *c){
  c->pNewer = 0;
  c->pOlder = p->pNewest;
  if( c->pOlder ) c->pOlder->pNewer = c;
  else p->pOldest = c;
  p->pNewest = c;
}

static QuotaClient **quotaSlot(PrilldQuotas *p, const char *z, i64 n){
  return &p->apHash[prillMurmur2(z, n) % QUOTA_HASH];
}

static void quotaForget(PrilldQuotas *p, QuotaClient *c){
  QuotaClient **pp = quotaSlot(p, c->zName, c->nName);
  int i;
  while( *pp!=c ) pp = &(*pp)->pNext;
  *pp = c->pNext;
  quotaUnlink(p, c);
  p->nClient--;
  for(i=0; i<PRILLD_QUOTA_N; i++) sqlite3_free(c->apRate[i]);
  sqlite3_free(c);
}

/* The client's rate, the newest of all now; NULL: no memory. */
static QuotaRate *quotaClient(PrilldQuotas *p, WireStr client, int eWhat){
  i64 n = PRILL_MIN(PRILL_MAX(client.n, 0), QUOTA_NAME);
  QuotaClient **pp = quotaSlot(p, client.z, n), *c;
  for(c=*pp; c && (c->nName!=n || memcmp(c->zName, client.z, (size_t)n)!=0); c=c->pNext){}
  if( c==0 ){
    if( p->nClient>=QUOTA_MX_CLIENT ) quotaForget(p, p->pOldest);
    c = (QuotaClient*)sqlite3_malloc64(sizeof(*c));
    if( c==0 ) return 0;
    memset(c, 0, sizeof(*c));
    c->nName = (u8)n;
    memcpy(c->zName, client.z, (size_t)n);
    c->pNext = *pp;
    *pp = c;
    p->nClient++;
  }else{
    quotaUnlink(p, c);
  }
  quotaFront(p, c);
  if( c->apRate[eWhat]==0 ){
    QuotaRate *r = (QuotaRate*)sqlite3_malloc64(sizeof(*r));
    if( r ) memset(r, 0, sizeof(*r));
    c->apRate[eWhat] = r;
  }
  return c->apRate[eWhat];
}

/* Move the rate's windows up to now, and add n bytes; how long until it is down to
** r bytes a second. */
static i64 quotaCount(const PrilldQuotas *p, QuotaRate *pRate, i64 now, i64 n, double r){
  i64 i, iNow = now/p->msWindow, nSum = 0, ms;
  double rOver;
  if( iNow-pRate->iLast>=p->nWindow ){
    memset(pRate->aByte, 0, sizeof(pRate->aByte));
    pRate->iFirst = iNow;
  }else{
    for(i=pRate->iLast+1; i<=iNow; i++) pRate->aByte[i%p->nWindow] = 0;
  }
  pRate->iLast = iNow;
  pRate->iFirst = PRILL_MAX(pRate->iFirst, iNow-p->nWindow+1);
  pRate->aByte[iNow%p->nWindow] += n;
  for(i=0; i<p->nWindow; i++) nSum += pRate->aByte[i];
  ms = PRILL_MAX(now-pRate->iFirst*p->msWindow, (p->nWindow-1)*p->msWindow);
  rOver = (double)nSum*1000/r - (double)ms;
  return rOver<=0 ? 0 : rOver>=2147483647.0 ? 2147483647 : (i64)rOver + 1;
}

i64 prilldQuotaUse(Prilld *pD, WireStr client, int eWhat, i64 n){
  double r = quotaRate(pD, client, eWhat);
  PrilldQuotas *p = r>0 ? quotaAll(pD) : 0;
  QuotaRate *pRate;
  if( p==0 ) return 0;
  if( p->msWindow!=pD->conf.sQuotaWindow*1000 || p->nWindow!=pD->conf.nQuotaWindow ){
    while( p->pOldest ) quotaForget(p, p->pOldest);
    p->msWindow = pD->conf.sQuotaWindow*1000;
    p->nWindow = pD->conf.nQuotaWindow;
  }
  pRate = quotaClient(p, client, eWhat);
  return pRate ? quotaCount(p, pRate, pD->now, n, r) : 0;
}

i64 prilldQuotaRoom(const Prilld *pD, WireStr client, int eWhat){
  double r = quotaRate(pD, client, eWhat);
  double rMax = r*(double)(pD->conf.sQuotaWindow*(pD->conf.nQuotaWindow-1));
  return r<=0 || rMax>=(double)(PRILL_I64MAX/2) ? PRILL_I64MAX : PRILL_MAX((i64)rMax, 1);
}

void prilldQuotasFree(Prilld *pD){
  PrilldQuotas *p = pD->pQuotas;
  int i;
  if( p==0 ) return;
  while( p->pOldest ) quotaForget(p, p->pOldest);
  for(i=0; i<p->nQuota; i++) sqlite3_free(p->aQuota[i].zClient);
  sqlite3_free(p->aQuota);
  sqlite3_free(p);
  pD->pQuotas = 0;
}

/**************************************************************************
** What is stored.
*/
int prilldQuotaLoad(Prilld *pD, PrilldWriter *pW){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(pW->pStore, &pStmt, "SELECT 1 FROM \"%w\".sqlite_schema"
                             " WHERE type='table' AND name='prill_store_quota'");
  int bThere = rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW;
  sqlite3_finalize(pStmt);
  if( rc!=SQLITE_OK || !bThere ) return rc;
  rc = prillStorePrepare(pW->pStore, &pStmt, "SELECT client, produce, consume FROM \"%w\".prill_store_quota");
  while( rc==SQLITE_OK && (rc = sqlite3_step(pStmt))==SQLITE_ROW ){
    double aRate[PRILLD_QUOTA_N];
    aRate[PRILLD_PRODUCE] = sqlite3_column_double(pStmt, 1);
    aRate[PRILLD_CONSUME] = sqlite3_column_double(pStmt, 2);
    rc = prilldQuotaSet(pD, (const char*)sqlite3_column_text(pStmt, 0), aRate);
  }
  sqlite3_finalize(pStmt);
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

int prilldQuotaStore(PrilldWriter *pW, const char *zClient, const double *aRate){
  int rc = prillStoreExec(pW->pStore, "CREATE TABLE IF NOT EXISTS \"%w\".prill_store_quota"
                          "(client TEXT, produce REAL, consume REAL)");
  if( rc==SQLITE_OK ) rc = prillStoreRun(pW->pStore,
      sqlite3_mprintf("DELETE FROM \"%w\".prill_store_quota WHERE client IS %Q", pW->pStore->zSchema, zClient));
  if( rc==SQLITE_OK && (aRate[0]>0 || aRate[1]>0) ){
    rc = prillStoreRun(pW->pStore, sqlite3_mprintf("INSERT INTO \"%w\".prill_store_quota VALUES(%Q, %!.17g, %!.17g)",
        pW->pStore->zSchema, zClient, aRate[PRILLD_PRODUCE], aRate[PRILLD_CONSUME]));
  }
  return rc;
}
