/*
** api_quota.c: DescribeClientQuotas and AlterClientQuotas: byte rates by client id
** (quota.c).
**
** Of Kafka's entities there is client-id, with a name or the default of all; of
** its quotas producer_byte_rate and consumer_byte_rate.  Users and addresses have none.
*/
#include "admin.h"
#include <math.h>

#define QUOTA_MX 10000          /* client ids with quotas */

static const char *const azKey[PRILLD_QUOTA_N] = {"producer_byte_rate", "consumer_byte_rate"};

/**************************************************************************
** DescribeClientQuotas.
*/
enum { QUOTA_EXACT, QUOTA_DEFAULT, QUOTA_ANY };
typedef WireDescribeClientQuotasReqComponents Component;

/* What is wrong with the filter, or NULL. */
static const char *quotaFilter(const WireDescribeClientQuotasReq *pIn){
  i32 i, j;
  for(i=0; i<pIn->nComponents; i++){
    const Component *c = &pIn->components[i];
    if( !prilldStrIs(c->entityType, "client-id") && !prilldStrIs(c->entityType, "user")
     && !prilldStrIs(c->entityType, "ip") ) return "an entity type is client-id, user or ip";
    if( c->matchType<QUOTA_EXACT || c->matchType>QUOTA_ANY || (c->matchType==QUOTA_EXACT)!=(c->match.n>=0) ){
      return "a match needs a name where it is exact, and only there";
    }
    for(j=0; j<i && j<3; j++){
      const Component *d = &pIn->components[j];
      if( d->entityType.n==c->entityType.n && memcmp(d->entityType.z, c->entityType.z, (size_t)c->entityType.n)==0 ){
        return "an entity type is listed twice";
      }
    }
  }
  return 0;
}

static int quotaMatches(const WireDescribeClientQuotasReq *pIn, const PrilldQuota *q){
  int bClient = 0;
  i32 i;
  for(i=0; i<pIn->nComponents; i++){
    const Component *c = &pIn->components[i];
    if( !prilldStrIs(c->entityType, "client-id") ) return 0;      /* nothing is set for a user or an address */
    bClient = 1;
    if( c->matchType==QUOTA_EXACT && (q->zClient==0 || !prilldStrIs(c->match, q->zClient)) ) return 0;
    if( c->matchType==QUOTA_DEFAULT && q->zClient ) return 0;
  }
  return bClient || !pIn->strict;
}

/* One entry; 1: no memory, the connection is closed. */
static int quotaEntry(PrilldReq *p, const PrilldQuota *q, WireDescribeClientQuotasRespEntries *pR){
  char *z = q->zClient ? prilldArenaDup(&p->arena, q->zClient, (i64)strlen(q->zClient)) : 0;
  int i;
  pR->entity = (WireDescribeClientQuotasRespEntriesEntity*)prilldReqAlloc(p, (i64)sizeof(*pR->entity));
  if( pR->entity==0 ) return 1;
  pR->values = (WireDescribeClientQuotasRespEntriesValues*)prilldReqAlloc(p, (i64)sizeof(*pR->values)*PRILLD_QUOTA_N);
  if( pR->values==0 ) return 1;
  pR->nEntity = 1;
  pR->entity[0].entityType = prilldStr("client-id");
  pR->entity[0].entityName = prilldStr(z);
  for(i=0; i<PRILLD_QUOTA_N; i++){
    if( q->aRate[i]<=0 ) continue;
    pR->values[pR->nValues].key = prilldStr(azKey[i]);
    memcpy(&pR->values[pR->nValues].value, &q->aRate[i], 8);
    pR->nValues++;
  }
  return 0;
}

void prilldApiDescribeClientQuotas(PrilldReq *p){
  const WireDescribeClientQuotasReq *pIn = (const WireDescribeClientQuotasReq*)p->pIn;
  WireDescribeClientQuotasResp *pOut = (WireDescribeClientQuotasResp*)p->pOut;
  const char *zErr = quotaFilter(pIn);
  const PrilldQuota *q;
  int i, n = 0;
  if( zErr ){
    ADMIN_REFUSE(pOut, KE_INVALID_REQUEST, zErr);
    pOut->nEntries = -1;
    prilldReqReply(p);
    return;
  }
  while( prilldQuotaAt(p->pD, n) ) n++;
  pOut->entries = (WireDescribeClientQuotasRespEntries*)prilldReqAlloc(p, (i64)sizeof(*pOut->entries)*PRILL_MAX(n, 1));
  if( pOut->entries==0 ) return;
  for(i=0; (q = prilldQuotaAt(p->pD, i))!=0; i++){
    if( quotaMatches(pIn, q) && quotaEntry(p, q, &pOut->entries[pOut->nEntries++]) ) return;
  }
  prilldReqReply(p);
}

/**************************************************************************
** AlterClientQuotas.
*/
typedef struct QuotaJob QuotaJob;
struct QuotaJob {
  AdminJob a;
  const WireAlterClientQuotasReqEntries *pIn;
  void (*xDone)(PrilldJob*);    /* admin.c's */
  const char *zClient;          /* NULL: of all */
  double aRate[PRILLD_QUOTA_N]; /* as they are to be */
};

static int quotaKey(WireStr s){
  int i;
  for(i=0; i<PRILLD_QUOTA_N && !prilldStrIs(s, azKey[i]); i++){}
  return i;
}

/* Read what the client has now; how many have any. */
static int quotaRead(PrilldWriter *pW, const char *zClient, double *aRate, i64 *pn){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStoreExec(pW->pStore, "CREATE TABLE IF NOT EXISTS \"%w\".prill_store_quota"
                          "(client TEXT, produce REAL, consume REAL)");
  if( rc==SQLITE_OK ) rc = prillStorePrepare(pW->pStore, &pStmt, "SELECT produce, consume,"
      " (SELECT count(*) FROM \"%w\".prill_store_quota) FROM (SELECT 1) LEFT JOIN \"%w\".prill_store_quota"
      " ON client IS ?1");
  if( rc==SQLITE_OK ) rc = sqlite3_bind_text(pStmt, 1, zClient, -1, SQLITE_STATIC);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    aRate[PRILLD_PRODUCE] = sqlite3_column_double(pStmt, 0);
    aRate[PRILLD_CONSUME] = sqlite3_column_double(pStmt, 1);
    *pn = sqlite3_column_int64(pStmt, 2);
  }
  sqlite3_finalize(pStmt);
  return rc;
}

static int quotaRun(AdminJob *pA, PrilldWriter *pW){
  QuotaJob *p = (QuotaJob*)pA;
  i64 n = 0;
  i32 i;
  int rc = quotaRead(pW, p->zClient, p->aRate, &n);
  for(i=0; i<p->pIn->nOps; i++){
    double r = 0;
    if( !p->pIn->ops[i].remove ) memcpy(&r, &p->pIn->ops[i].value, 8);
    p->aRate[quotaKey(p->pIn->ops[i].key)] = r;
  }
  if( rc==SQLITE_OK && n>=QUOTA_MX && p->aRate[0]+p->aRate[1]>0 ){
    return prilldAdminRefuse(pW, pA, KE_POLICY_VIOLATION, "%d client ids have quotas, and more are not kept;"
                             " remove some, or set the default's", QUOTA_MX);
  }
  return rc==SQLITE_OK ? prilldQuotaStore(pW, p->zClient, p->aRate) : rc;
}

static void quotaAnswer(AdminJob *pA){
  WireAlterClientQuotasRespEntries *pR = (WireAlterClientQuotasRespEntries*)pA->pOut;
  ADMIN_ANSWER(pR, pA);
}

/* Committed: it is in force, whether or not anybody waits for the answer. */
static void quotaDone(PrilldJob *pJob){
  QuotaJob *p = (QuotaJob*)pJob;
  if( pJob->rc==SQLITE_OK && prilldQuotaSet(pJob->pReq->pD, p->zClient, p->aRate)!=SQLITE_OK ){
    prilldLog(PRILLD_LOG_ERROR, "out of memory: a quota is in force from the next start on");
  }
  p->xDone(pJob);
}

/* What is wrong with an entry, or NULL; its client is *pName. */
static const char *quotaWrong(const WireAlterClientQuotasReqEntries *pIn, WireStr *pName){
  i32 i;
  if( pIn->nEntity!=1 || !prilldStrIs(pIn->entity[0].entityType, "client-id") ){
    return "quotas are set by client-id here, for one or for the default of all";
  }
  *pName = pIn->entity[0].entityName;
  if( pName->n==0 || pName->n>255 || (pName->n>0 && memchr(pName->z, 0, (size_t)pName->n)) ){
    return "a client id with a quota has 1 to 255 bytes, none of them 0";
  }
  for(i=0; i<pIn->nOps; i++){
    double r;
    memcpy(&r, &pIn->ops[i].value, 8);
    if( quotaKey(pIn->ops[i].key)==PRILLD_QUOTA_N ) return "the quotas are producer_byte_rate and consumer_byte_rate";
    if( !pIn->ops[i].remove && !(isfinite(r) && r>=1 && r<9e18) ) return "a byte rate is at least 1";
  }
  return 0;
}

void prilldApiAlterClientQuotas(PrilldReq *p){
  const WireAlterClientQuotasReq *pIn = (const WireAlterClientQuotasReq*)p->pIn;
  WireAlterClientQuotasResp *pOut = (WireAlterClientQuotasResp*)p->pOut;
  AdminJob *pList = 0;
  i32 i, j;
  pOut->entries = (WireAlterClientQuotasRespEntries*)
      prilldReqAlloc(p, (i64)sizeof(*pOut->entries)*PRILL_MAX(pIn->nEntries, 1));
  if( pOut->entries==0 ) return;
  pOut->nEntries = pIn->nEntries;
  for(i=0; i<pIn->nEntries; i++){
    const WireAlterClientQuotasReqEntries *pE = &pIn->entries[i];
    WireAlterClientQuotasRespEntries *pR = &pOut->entries[i];
    WireStr name = prilldStr(0);
    const char *zErr = quotaWrong(pE, &name);
    QuotaJob *pJob;
    pR->errorMessage = prilldStr(0);
    pR->entity = (WireAlterClientQuotasRespEntriesEntity*)
        prilldReqAlloc(p, (i64)sizeof(*pR->entity)*PRILL_MAX(pE->nEntity, 1));
    if( pR->entity==0 ) return;
    pR->nEntity = pE->nEntity;
    for(j=0; j<pE->nEntity; j++){
      pR->entity[j].entityType = pE->entity[j].entityType;
      pR->entity[j].entityName = pE->entity[j].entityName;
    }
    if( zErr ){
      ADMIN_REFUSE(pR, KE_INVALID_REQUEST, zErr);
      continue;
    }
    pJob = (QuotaJob*)prilldAdminAdd(p, &pList, (i64)sizeof(*pJob));
    if( pJob==0 ) return;
    pJob->xDone = pJob->a.job.xDone;
    pJob->a.job.xDone = quotaDone;
    pJob->a.xRun = quotaRun;
    pJob->a.xAnswer = quotaAnswer;
    pJob->a.pOut = pR;
    pJob->a.bTry = pIn->validateOnly!=0;
    pJob->pIn = pE;
    pJob->zClient = name.n>=0 ? prilldArenaDup(&p->arena, name.z, name.n) : 0;
    if( name.n>=0 && pJob->zClient==0 ){
      prilldReqClose(p);
      return;
    }
  }
  prilldAdminSubmit(p, pList);
}
