/*
** admin.c: changes as jobs: run, refused or tried, and answered.
*/
#include "admin.h"
#include <stdarg.h>
#include <stdlib.h>

int prilldAdminName(WireStr s){
  char z[256];
  if( s.n<1 || s.n>249 ) return 0;
  memcpy(z, s.z, (size_t)s.n);
  z[s.n] = 0;
  return (i32)strlen(z)==s.n && prillTopicName(z);
}

int prilldAdminRefuse(PrilldWriter *pW, AdminJob *p, i16 iErr, const char *zFmt, ...){
  va_list ap;
  char *z;
  int rc;
  va_start(ap, zFmt);
  z = sqlite3_vmprintf(zFmt, ap);
  va_end(ap);
  p->iErr = iErr;
  rc = z ? prillError(pW->pConn, SQLITE_ERROR, "%s", z) : SQLITE_NOMEM;
  sqlite3_free(z);
  return rc;
}

static int adminRun(PrilldJob *pJob, PrilldWriter *pW){
  AdminJob *p = (AdminJob*)pJob;
  int rc = prillStoreRefresh(pW->pStore);
  if( rc==SQLITE_OK ) rc = p->xRun(p, pW);
  if( rc==SQLITE_OK && p->bTry ){
    p->bTried = 1;
    rc = prillError(pW->pConn, SQLITE_ABORT, "tried only");      /* I2 */
  }
  return rc;
}

static void adminDone(PrilldJob *pJob){
  AdminJob *p = (AdminJob*)pJob;
  PrilldReq *pReq = pJob->pReq;
  if( pJob->rc!=SQLITE_OK && !p->bTried ){
    if( p->iErr==KE_NONE ){
      p->iErr = (pJob->rc&0xff)==SQLITE_BUSY ? KE_REQUEST_TIMED_OUT : KE_UNKNOWN_SERVER_ERROR;
      prilldLog(PRILLD_LOG_ERROR, "a change failed: %s", pJob->zErr ? pJob->zErr : sqlite3_errstr(pJob->rc));
    }
    if( pJob->zErr ) p->zMsg = prilldArenaDup(&pReq->arena, pJob->zErr, (i64)strlen(pJob->zErr));
  }
  if( pReq->pConn ) p->xAnswer(p);
  if( --pReq->nPending==0 ) prilldReqReply(pReq);
}

AdminJob *prilldAdminAdd(PrilldReq *pReq, AdminJob **ppList, i64 sz){
  AdminJob *p = (AdminJob*)prilldReqAlloc(pReq, sz);
  if( p==0 ) return 0;
  p->job.pReq = pReq;
  p->job.bSavepoint = 1;
  p->job.xRun = adminRun;
  p->job.xDone = adminDone;
  p->job.pNext = (PrilldJob*)*ppList;
  *ppList = p;
  return p;
}

void prilldAdminSubmit(PrilldReq *pReq, AdminJob *pList){
  PrilldJob *pJob, *pFirst = 0, *pNext;
  for(pJob=(PrilldJob*)pList; pJob; pJob=pNext){
    pNext = pJob->pNext;
    pJob->pNext = pFirst;
    pFirst = pJob;
    pReq->nPending++;
  }
  if( pFirst==0 ) prilldReqReply(pReq);
  for(pJob=pFirst; pJob; pJob=pNext){
    pNext = pJob->pNext;
    prilldSubmit(pReq->pD, pJob);
  }
}

/**************************************************************************
** Doubles.
*/
typedef struct AdminName AdminName;
struct AdminName { WireStr s; i32 i; };

static int adminCompare(const void *pA, const void *pB){
  const AdminName *a = (const AdminName*)pA, *b = (const AdminName*)pB;
  int n = PRILL_MAX(PRILL_MIN(a->s.n, b->s.n), 0);
  int c = memcmp(a->s.z, b->s.z, (size_t)n);
  return c ? c : a->s.n<b->s.n ? -1 : a->s.n>b->s.n;
}

int prilldAdminTwice(PrilldReq *p, const WireStr *aName, i32 n, u8 **pa){
  AdminName *a = (AdminName*)prilldReqAlloc(p, (i64)sizeof(*a)*PRILL_MAX(n, 1));
  i32 i;
  *pa = a ? (u8*)prilldReqAlloc(p, PRILL_MAX(n, 1)) : 0;
  if( *pa==0 ) return 1;
  for(i=0; i<n; i++){
    a[i].s = aName[i];
    if( a[i].s.n<0 ) a[i].s = prilldStr("");
    a[i].i = i;
  }
  qsort(a, (size_t)PRILL_MAX(n, 0), sizeof(*a), adminCompare);
  for(i=1; i<n; i++){
    if( adminCompare(&a[i-1], &a[i])==0 ) (*pa)[a[i-1].i] = (*pa)[a[i].i] = 1;
  }
  return 0;
}
