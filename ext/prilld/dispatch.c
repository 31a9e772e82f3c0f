/*
** dispatch.c: a request to its handler, and its answer to bytes.
**
** The one table of what is served.  ApiVersions lists what stands in it, so
** that nothing is promised that is not there.
*/
#include "prilld.h"
#include <stdarg.h>

typedef struct Handler Handler;
struct Handler {
  i16 iKey;
  void (*xHandle)(PrilldReq*);
};
static const Handler aHandler[] = {
  {WIRE_PRODUCE, prilldApiProduce},
  {WIRE_FETCH, prilldApiFetch},
  {WIRE_LIST_OFFSETS, prilldApiListOffsets},
  {WIRE_METADATA, prilldApiMetadata},
  {WIRE_OFFSET_COMMIT, prilldApiOffsetCommit},
  {WIRE_OFFSET_FETCH, prilldApiOffsetFetch},
  {WIRE_FIND_COORDINATOR, prilldApiFindCoordinator},
  {WIRE_JOIN_GROUP, prilldApiJoinGroup},
  {WIRE_HEARTBEAT, prilldApiHeartbeat},
  {WIRE_LEAVE_GROUP, prilldApiLeaveGroup},
  {WIRE_SYNC_GROUP, prilldApiSyncGroup},
  {WIRE_DESCRIBE_GROUPS, prilldApiDescribeGroups},
  {WIRE_LIST_GROUPS, prilldApiListGroups},
  {WIRE_API_VERSIONS, prilldApiVersions},
  {WIRE_CREATE_TOPICS, prilldApiCreateTopics},
  {WIRE_DELETE_TOPICS, prilldApiDeleteTopics},
  {WIRE_DELETE_RECORDS, prilldApiDeleteRecords},
  {WIRE_INIT_PRODUCER_ID, prilldApiInitProducerId},
  {WIRE_OFFSET_FOR_LEADER_EPOCH, prilldApiLeaderEpoch},
  {WIRE_DESCRIBE_CONFIGS, prilldApiDescribeConfigs},
  {WIRE_ALTER_CONFIGS, prilldApiAlterConfigs},
  {WIRE_DESCRIBE_LOG_DIRS, prilldApiDescribeLogDirs},
  {WIRE_CREATE_PARTITIONS, prilldApiCreatePartitions},
  {WIRE_DELETE_GROUPS, prilldApiDeleteGroups},
  {WIRE_INCREMENTAL_ALTER_CONFIGS, prilldApiIncrementalAlterConfigs},
  {WIRE_OFFSET_DELETE, prilldApiOffsetDelete},
  {WIRE_DESCRIBE_CLIENT_QUOTAS, prilldApiDescribeClientQuotas},
  {WIRE_ALTER_CLIENT_QUOTAS, prilldApiAlterClientQuotas},
  {WIRE_DESCRIBE_CLUSTER, prilldApiDescribeCluster},
};
#define DISPATCH_N ((int)(sizeof(aHandler)/sizeof(aHandler[0])))

/* Memory a decoded request may take: what its bytes can need, and some; and never
** more than a request of a hundred thousand partitions does.  What its answer is made of. */
#define DISPATCH_ARENA(n) PRILL_MIN(65536 + 32*(i64)(n), 8<<20)
#define DISPATCH_ANSWER (128<<20)

static const Handler *dispatchFind(int iKey){
  int i;
  for(i=0; i<DISPATCH_N; i++){
    if( aHandler[i].iKey==iKey ) return &aHandler[i];
  }
  return 0;
}

/**************************************************************************
** Requests.
*/
void *prilldReqAlloc(PrilldReq *p, i64 n){
  void *a = prilldArenaAlloc(&p->arena, n);
  if( a==0 ) prilldReqClose(p);
  return a;
}

/* Count anew what the request holds. */
static void dispatchHold(PrilldReq *p){
  prilldConnHold(p, (i64)sizeof(*p) + p->frame.nAlloc + p->arena.nByte + p->data.nAlloc + p->out.buf.nAlloc
                    + (i64)sizeof(WireSplice)*p->out.nSpliceAlloc);
}

void prilldReqFree(PrilldReq *p){
  if( p==0 ) return;
  prilldReqWake(p);
  prilldConnHold(p, 0);
  prilldArenaFree(&p->arena);
  prilldWireOutFree(&p->out);
  prillBufFree(&p->frame);
  prillBufFree(&p->data);
  sqlite3_free(p);
}

void prilldReqFreeDead(Prilld *pD){
  PrilldReq *p;
  while( (p = pD->pDead)!=0 ){
    pD->pDead = p->pNext;
    prilldReqFree(p);
  }
}

WireStr prilldStr(const char *z){
  WireStr s;
  s.z = z ? z : "";
  s.n = z ? (i32)strlen(z) : -1;
  return s;
}

WireStr prilldReqPrint(PrilldReq *p, const char *zFmt, ...){
  va_list ap;
  char *z, *zCopy = 0;
  va_start(ap, zFmt);
  z = sqlite3_vmprintf(zFmt, ap);
  va_end(ap);
  if( z ) zCopy = prilldArenaDup(&p->arena, z, (i64)strlen(z));
  sqlite3_free(z);
  return prilldStr(zCopy);
}

int prilldStrIs(WireStr s, const char *z){
  return s.n==(i32)strlen(z) && memcmp(s.z, z, (size_t)s.n)==0;
}

void prilldReqWait(PrilldReq *p, i64 iDue, void (*xDue)(PrilldTimer*)){
  Prilld *pD = p->pD;
  p->timer.xDue = xDue;
  p->bWaiting = 1;
  dispatchHold(p);
  p->pWaitNext = pD->pWait;
  if( p->pWaitNext ) p->pWaitNext->ppWaitPrev = &p->pWaitNext;
  p->ppWaitPrev = &pD->pWait;
  pD->pWait = p;
  pD->stat.nFetchWait++;
  if( prilldTimerSet(&pD->timers, &p->timer, iDue)!=SQLITE_OK ) prilldReqClose(p);
}

void prilldReqWake(PrilldReq *p){
  if( p->pD ) prilldTimerStop(&p->pD->timers, &p->timer);
  if( !p->bWaiting ) return;
  p->bWaiting = 0;
  p->pD->stat.nFetchWait--;
  *p->ppWaitPrev = p->pWaitNext;
  if( p->pWaitNext ) p->pWaitNext->ppWaitPrev = p->ppWaitPrev;
}

/* Look at the requests that wait, whether they can be answered now.
**
** Looking costs by the partition, so those that ask for more than LOOK_BIG are not
** looked at after each commit but in rounds: LOOK_MOST partitions at a time, LOOK_RATE
** a millisecond.  A commit during a round begins another after it (bLookNew). */
#define LOOK_BIG  100
#define LOOK_MOST 20000
#define LOOK_RATE 1000

static void dispatchLookDue(PrilldTimer*);

static void dispatchLook(Prilld *pD, int bNew){
  PrilldReq *p, *pNext;
  i64 nLook = 0;
  int bLeft = 0;
  if( bNew ) pD->bLookNew = 1;
  if( pD->bLookNew && !pD->bLookRound ){
    pD->bLookRound = 1;
    pD->bLookNew = 0;
    pD->iLookRound++;
  }
  for(p=pD->pWait; p; p=pNext){
    pNext = p->pWaitNext;
    if( p->nLook<=LOOK_BIG ){
      if( !bNew ) continue;
    }else if( p->iLook==pD->iLookRound ){
      continue;
    }else if( pD->now<pD->iLookNext || nLook>LOOK_MOST ){
      bLeft = 1;
      continue;
    }else{
      nLook += p->nLook;
      p->iLook = pD->iLookRound;
    }
    if( p->bWaiting ) prilldFetchRetry(p);
  }
  if( nLook ) pD->iLookNext = pD->now + nLook/LOOK_RATE;
  if( !bLeft ){
    pD->bLookRound = 0;
    bLeft = pD->bLookNew;
  }
  if( bLeft ){
    pD->look.xDue = dispatchLookDue;
    (void)prilldTimerSet(&pD->timers, &pD->look, PRILL_MAX(pD->iLookNext, pD->now+1));
  }
}

static void dispatchLookView(Prilld *pD, int bNew){
  if( pD->pWait==0 || prilldViewBegin(&pD->view)!=SQLITE_OK ) return;
  dispatchLook(pD, bNew);
  prilldViewEnd(&pD->view);
}

static void dispatchLookDue(PrilldTimer *pTimer){
  dispatchLookView((Prilld*)((u8*)pTimer - offsetof(Prilld, look)), 0);
}

void prilldCommitted(Prilld *pD){
  dispatchLookView(pD, 1);
}

void prilldReqClose(PrilldReq *p){
  p->pD->stat.nReqError++;
  if( p->pConn ) prilldConnClose(p->pConn);
}

void prilldReqSilent(PrilldReq *p){
  if( p->h.iKey==WIRE_PRODUCE ) p->msThrottle = prilldQuotaUse(p->pD, p->h.client, PRILLD_PRODUCE, p->nByte);
  p->bDone = p->bNoReply = 1;
  prilldConnReplied(p);
}

/* aHead: length, correlation id, and in flexible versions no tags.  ApiVersions
** answers always have the old header: a client may not know yet what is spoken. */
static void dispatchHead(PrilldReq *p, int bFlex){
  i64 n;
  p->nHead = bFlex && p->h.iKey!=WIRE_API_VERSIONS ? 9 : 8;
  n = p->nHead-4 + p->out.buf.n + p->out.nSpliced;
  prillPut32(p->aHead, (u32)n);
  prillPut32(p->aHead+4, (u32)p->h.iCorrelation);
  p->aHead[8] = 0;
  p->bDone = 1;
}

/* Is the client over its quota?  Then its answer says how long it will wait, and
** gives no records (Kafka's manner: they are not counted, and asked for again). */
static void dispatchThrottle(PrilldReq *p){
  if( p->h.iKey==WIRE_PRODUCE ){
    p->msThrottle = prilldQuotaUse(p->pD, p->h.client, PRILLD_PRODUCE, p->nByte);
    ((WireProduceResp*)p->pOut)->throttleTimeMs = (i32)p->msThrottle;
  }else if( p->h.iKey==WIRE_FETCH ){
    WireFetchResp *pOut = (WireFetchResp*)p->pOut;
    p->msThrottle = prilldQuotaUse(p->pD, p->h.client, PRILLD_CONSUME, p->data.n);
    pOut->throttleTimeMs = (i32)p->msThrottle;
    if( p->msThrottle>0 ){
      prilldQuotaUse(p->pD, p->h.client, PRILLD_CONSUME, -p->data.n);
      pOut->nResponses = 0;
      prillBufFree(&p->data);
    }
  }
}

void prilldReqReply(PrilldReq *p){
  const WireApi *pApi = p->h.pApi;
  int bFlex = p->h.iVer>=pApi->mnFlex;
  int rc;
  prilldReqWake(p);
  if( p->pConn==0 ){
    p->bDone = 1;
    prilldConnReplied(p);
    return;
  }
  dispatchThrottle(p);
  if( p->msThrottle>0 ) p->pD->stat.nThrottled++;
  prilldMetricsAnswer(p);
  rc = prilldWireEncode(pApi->pResp, p->h.iVer, bFlex, p->pOut, &p->out);
  dispatchHold(p);
  if( rc!=SQLITE_OK ){
    prilldLog(PRILLD_LOG_ERROR, "the answer to %s %d cannot be written: %s", pApi->zName, p->h.iVer,
              sqlite3_errstr(rc));
    prilldReqClose(p);
    return;
  }
  dispatchHead(p, bFlex);
  prilldConnReplied(p);
}

/**************************************************************************
** ApiVersions.
*/

/* The list of what is served. */
static void dispatchList(PrilldReq *p, WireApiVersionsResp *pOut){
  WireApiVersionsRespApiKeys *a = (WireApiVersionsRespApiKeys*)prilldReqAlloc(p, (i64)sizeof(*a)*DISPATCH_N);
  int i;
  if( a==0 ) return;
  for(i=0; i<DISPATCH_N; i++){
    const WireApi *pApi = prilldWireFind(aHandler[i].iKey);
    a[i].apiKey = pApi->iKey;
    a[i].minVersion = pApi->mnAdvertise;
    a[i].maxVersion = pApi->mxVer;
  }
  pOut->apiKeys = a;
  pOut->nApiKeys = DISPATCH_N;
}

/* [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? */
static int dispatchSoftware(WireStr s){
  i32 i;
  for(i=0; i<s.n; i++){
    char c = s.z[i];
    int bAlnum = (c>='a' && c<='z') || (c>='A' && c<='Z') || (c>='0' && c<='9');
    if( !bAlnum && (i==0 || i==s.n-1 || (c!='-' && c!='.')) ) return 0;
  }
  return s.n>0;
}

void prilldApiVersions(PrilldReq *p){
  WireApiVersionsReq *pIn = (WireApiVersionsReq*)p->pIn;
  WireApiVersionsResp *pOut = (WireApiVersionsResp*)p->pOut;
  if( p->h.iVer>=3 && (!dispatchSoftware(pIn->clientSoftwareName) || !dispatchSoftware(pIn->clientSoftwareVersion)) ){
    pOut->errorCode = KE_INVALID_REQUEST;
  }else{
    dispatchList(p, pOut);
    if( p->pConn==0 ) return;
  }
  prilldReqReply(p);
}

/* An ApiVersions of a version we do not know: error 35 in version 0, with what
** we know (KIP-511). */
static void dispatchUnknownVersions(PrilldReq *p){
  WireApiVersionsResp out;
  WireApiVersionsRespApiKeys one = {WIRE_API_VERSIONS, 0, 0};
  memset(&out, 0, sizeof(out));
  one.maxVersion = prilldWireFind(WIRE_API_VERSIONS)->mxVer;
  out.errorCode = KE_UNSUPPORTED_VERSION;
  out.apiKeys = &one;
  out.nApiKeys = 1;
  if( prilldWireEncode(prilldWireFind(WIRE_API_VERSIONS)->pResp, 0, 0, &out, &p->out)!=SQLITE_OK ){
    prilldReqClose(p);
    return;
  }
  dispatchHead(p, 0);
  prilldConnReplied(p);
}

/**************************************************************************
** Dispatch.
*/
void prilldDispatch(PrilldReq *p){
  const Handler *pH;
  i64 nHead = 0, nBody = 0;
  int rc = prilldWireHeader(p->frame.a+4, p->nByte, &p->h, &nHead);
  pH = rc==SQLITE_OK ? dispatchFind(p->h.iKey) : 0;
  if( rc==SQLITE_OK && p->h.iKey==WIRE_API_VERSIONS && p->h.pApi==0 ){
    dispatchUnknownVersions(p);
    return;
  }
  if( pH==0 || p->h.pApi==0 ){
    prilldLogPeer("%s: API %d version %d is not served", prilldConnPeer(p->pConn), p->h.iKey, p->h.iVer);
    prilldReqClose(p);
    return;
  }
  p->arena.mxByte = DISPATCH_ARENA(p->nByte);
  p->pIn = prilldArenaAlloc(&p->arena, p->h.pApi->pReq ? (i64)p->h.pApi->pReq->sz : 1);
  p->pOut = prilldArenaAlloc(&p->arena, (i64)p->h.pApi->pResp->sz);
  if( p->pIn==0 || p->pOut==0 ){
    prilldReqClose(p);
    return;
  }
  rc = prilldWireDecode(p->h.pApi->pReq, p->h.iVer, p->h.iVer>=p->h.pApi->mnFlex, p->frame.a+4+nHead,
                        p->nByte-nHead, &p->arena, p->pIn, &nBody);
  if( rc!=SQLITE_OK ){
    prilldLogPeer("%s: a malformed %s request, version %d", prilldConnPeer(p->pConn), p->h.pApi->zName, p->h.iVer);
    prilldReqClose(p);
    return;
  }
  p->arena.mxByte = p->arena.nByte + DISPATCH_ANSWER;
  dispatchHold(p);
  prilldWireDefaults(p->h.pApi->pResp, p->pOut);
  pH->xHandle(p);
}
