/*
** api_fetch.c: Fetch: batches as they are stored, at once or when there are some.
**
** The answer is made from the view: committed bytes of segments and the tail.
** When it would hold less than fetch.min.bytes and nothing else asks for an
** answer, the request waits: it is looked at again after each commit that
** touched a partition of it, and answered when its time is up.
**
** Sessions (KIP-227) are never granted: the answer's session id is 0, and
** clients go on with full requests.  A request that names a session is told
** that there is none.
**
** SIZES.  fetch.max.bytes, max.partition.fetch.bytes and what the client may hold
** of memory (conn.c) bound what is read; the first batch of the first partition that
** has data is given whole, unless memory is short.
*/
#include "prilld.h"

typedef struct FetchState FetchState;
struct FetchState {
  i64 *aEnd;                /* each partition's end when last looked at */
  i32 n;
};

/* One partition: all but its records.  1: there is an error to report. */
static int fetchCheck(
  const WireFetchReqTopicsPartitions *pIn, PrillPart *pPart, int bCommitted, WireFetchRespResponsesPartitions *pOut
){
  pOut->partitionIndex = pIn->partition;
  pOut->highWatermark = pOut->lastStableOffset = pOut->logStartOffset = -1;
  pOut->preferredReadReplica = -1;
  pOut->nAbortedTransactions = -1;            /* null and empty just where Kafka has them */
  pOut->records.n = 0;
  if( pPart==0 ){
    pOut->nAbortedTransactions = 0;
    pOut->errorCode = KE_UNKNOWN_TOPIC_OR_PARTITION;
    return 1;
  }
  pOut->errorCode = prilldLeaderCheck(pPart, pIn->currentLeaderEpoch);
  if( pOut->errorCode ) return 1;
  pOut->highWatermark = pOut->lastStableOffset = prillPartEnd(pPart);
  pOut->logStartOffset = pPart->x.iLogStart;
  if( pIn->fetchOffset<pPart->x.iLogStart || pIn->fetchOffset>pOut->highWatermark ){
    pOut->errorCode = KE_OFFSET_OUT_OF_RANGE;
    pOut->highWatermark = pOut->lastStableOffset = pOut->logStartOffset = -1;
    return 1;
  }
  if( bCommitted ) pOut->nAbortedTransactions = 0;
  return 0;
}

/* Build the answer.  *pnByte: bytes of records; *pnErr: partitions in error.
** Where the records are is set later: the buffer may move. */
static void fetchBuild(PrilldReq *p, i64 *pnByte, int *pnErr){
  const WireFetchReq *pIn = (const WireFetchReq*)p->pIn;
  WireFetchResp *pOut = (WireFetchResp*)p->pOut;
  FetchState *pState = (FetchState*)p->pState;
  i64 nLeft = PRILL_MIN(PRILL_MAX(pIn->maxBytes, 0), p->pD->conf.szFetch);
  int bWhole = p->pD->nHeld<=p->pD->conf.szHeld;      /* else memory is short */
  i32 i, j, k = 0, nSeen = 0;
  nLeft = PRILL_MIN(nLeft, PRILL_MIN(prilldConnRoom(p), prilldQuotaRoom(p->pD, p->h.client, PRILLD_CONSUME)));
  p->data.n = 0;
  *pnErr = 0;
  for(i=0; i<pIn->nTopics; i++){
    const WireFetchReqTopics *pT = &pIn->topics[i];
    for(j=0; j<pT->nPartitions; j++, k++){
      const WireFetchReqTopicsPartitions *pAsk = &pT->partitions[j];
      WireFetchRespResponsesPartitions *pR = &pOut->responses[i].partitions[j];
      PrillPart *pPart = prilldViewPart(&p->pD->view, pT->topic.z, pT->topic.n, pAsk->partition);
      i64 nMax = PRILL_MIN(nLeft, PRILL_MAX(pAsk->partitionMaxBytes, 0));
      i64 iAt = p->data.n, iNext = 0;
      int rc = SQLITE_OK;
      if( fetchCheck(pAsk, pPart, pIn->isolationLevel==1, pR) ){
        ++*pnErr;
        continue;
      }
      pState->aEnd[k] = pR->highWatermark;
      /* More than there are: some are listed twice, and reading them is wasted. */
      if( ++nSeen<=p->pD->view.pStore->nPart && (nMax>0 || (iAt==0 && bWhole)) ){
        rc = prillFetch(pPart, pAsk->fetchOffset, nMax, iAt==0 && bWhole, &p->data, &iNext);
      }
      if( rc!=SQLITE_OK ){
        prilldLog(PRILLD_LOG_ERROR, "topic %.*s partition %d: cannot read: %s", pT->topic.n, pT->topic.z,
                  pAsk->partition, p->pD->view.pConn->zErr ? p->pD->view.pConn->zErr : sqlite3_errstr(rc));
        pR->errorCode = KE_STORAGE_ERROR;
        p->data.n = iAt;
        ++*pnErr;
        continue;
      }
      pR->records.n = (i32)(p->data.n - iAt);
      nLeft -= pR->records.n;
    }
  }
  *pnByte = p->data.n;
}

/* Set the records' places, and send. */
static void fetchReply(PrilldReq *p){
  WireFetchResp *pOut = (WireFetchResp*)p->pOut;
  i64 iAt = 0;
  i32 i, j;
  for(i=0; i<pOut->nResponses; i++){
    for(j=0; j<pOut->responses[i].nPartitions; j++){
      WireBytes *pRec = &pOut->responses[i].partitions[j].records;
      pRec->a = p->data.a + iAt;
      iAt += pRec->n;
    }
  }
  prilldReqReply(p);
}

/* Has any partition moved since it was looked at? */
static int fetchMoved(PrilldReq *p){
  const WireFetchReq *pIn = (const WireFetchReq*)p->pIn;
  const FetchState *pState = (const FetchState*)p->pState;
  i32 i, j, k = 0;
  for(i=0; i<pIn->nTopics; i++){
    const WireFetchReqTopics *pT = &pIn->topics[i];
    PrillTopic *pTopic = prilldViewTopic(&p->pD->view, pT->topic.z, pT->topic.n);
    for(j=0; j<pT->nPartitions; j++, k++){
      i32 iPart = pT->partitions[j].partition;
      if( pTopic==0 || iPart<0 || iPart>=pTopic->nPart || prillPartLoad(pTopic->apPart[iPart])!=SQLITE_OK
       || prillPartEnd(pTopic->apPart[iPart])!=pState->aEnd[k] ) return 1;
    }
  }
  return 0;
}

static void fetchDue(PrilldTimer *pTimer){
  PrilldReq *p = (PrilldReq*)((u8*)pTimer - offsetof(PrilldReq, timer));
  i64 nByte = 0;
  int nErr = 0;
  if( prilldViewBegin(&p->pD->view)!=SQLITE_OK ){
    prilldReqClose(p);
    return;
  }
  fetchBuild(p, &nByte, &nErr);
  prilldViewEnd(&p->pD->view);
  fetchReply(p);
}

/* The view is held. */
void prilldFetchRetry(PrilldReq *p){
  const WireFetchReq *pIn = (const WireFetchReq*)p->pIn;
  i64 nByte = 0;
  int nErr = 0;
  if( !fetchMoved(p) ) return;
  fetchBuild(p, &nByte, &nErr);
  if( nErr || nByte>=pIn->minBytes ) fetchReply(p);
  else prillBufFree(&p->data);
}

/* The response's shape.  1: no memory, the connection is closed. */
static int fetchShape(PrilldReq *p){
  const WireFetchReq *pIn = (const WireFetchReq*)p->pIn;
  WireFetchResp *pOut = (WireFetchResp*)p->pOut;
  FetchState *pState = (FetchState*)prilldReqAlloc(p, (i64)sizeof(*pState));
  i32 i;
  if( pState==0 ) return 1;
  p->pState = pState;
  pOut->responses = (WireFetchRespResponses*)prilldReqAlloc(p, (i64)sizeof(*pOut->responses)*pIn->nTopics);
  if( pOut->responses==0 ) return 1;
  pOut->nResponses = pIn->nTopics;
  for(i=0; i<pIn->nTopics; i++){
    WireFetchRespResponses *pR = &pOut->responses[i];
    pR->topic = pIn->topics[i].topic;
    pR->nPartitions = pIn->topics[i].nPartitions;
    pR->partitions = (WireFetchRespResponsesPartitions*)prilldReqAlloc(p, (i64)sizeof(*pR->partitions)*pR->nPartitions);
    if( pR->partitions==0 ) return 1;
    pState->n += pR->nPartitions;
  }
  pState->aEnd = (i64*)prilldReqAlloc(p, (i64)sizeof(i64)*pState->n);
  return pState->aEnd==0;
}

void prilldApiFetch(PrilldReq *p){
  const WireFetchReq *pIn = (const WireFetchReq*)p->pIn;
  WireFetchResp *pOut = (WireFetchResp*)p->pOut;
  i64 nByte = 0;
  int nErr = 0;
  if( p->h.iVer>=7 && pIn->sessionId!=0 && pIn->sessionEpoch!=-1 ){
    pOut->errorCode = KE_FETCH_SESSION_ID_NOT_FOUND;
    prilldReqReply(p);
    return;
  }
  if( p->h.iVer>=7 && pIn->sessionId==0 && pIn->sessionEpoch>0 ){
    pOut->errorCode = KE_INVALID_FETCH_SESSION_EPOCH;
    prilldReqReply(p);
    return;
  }
  if( fetchShape(p) ) return;
  if( prilldViewBegin(&p->pD->view)!=SQLITE_OK ){
    prilldReqClose(p);
    return;
  }
  fetchBuild(p, &nByte, &nErr);
  prilldViewEnd(&p->pD->view);
  if( pIn->maxWaitMs<=0 || ((FetchState*)p->pState)->n==0 || nErr || nByte>=pIn->minBytes ){
    fetchReply(p);
  }else{
    prillBufFree(&p->data);
    p->nLook = ((FetchState*)p->pState)->n;
    prilldReqWait(p, p->pD->now+pIn->maxWaitMs, fetchDue);
  }
}
