/*
** api_offset.c: ListOffsets: offsets by time, and the ends of a partition;
** OffsetForLeaderEpoch.
*/
#include "prilld.h"

#define OFFSET_LATEST   (-1)
#define OFFSET_EARLIEST (-2)
#define OFFSET_MAX_TIME (-3)

/* All records. */
static PrillRange offsetAll(void){
  PrillRange r;
  memset(&r, 0, sizeof(r));
  r.iTo = r.iTsTo = PRILL_I64MAX;
  r.iTsFrom = PRILL_I64MIN;
  return r;
}

/* The first record whose timestamp is iTs or more: *piOff and *piTs, or -1. */
static int offsetByTime(PrillPart *pPart, i64 iTs, i64 *piOff, i64 *piTs){
  PrillRange r = offsetAll();
  PrillScan *pScan = 0;
  PrillRecord rec;
  int rc;
  *piOff = *piTs = -1;
  r.iTsFrom = iTs;
  rc = prillScanOpen(pPart, &r, &pScan);
  if( rc==SQLITE_OK ) rc = prillScanNext(pScan, &rec);
  if( rc==SQLITE_ROW ){
    *piOff = rec.iOff;
    *piTs = rec.iTs;
  }
  prillScanClose(pScan);
  return rc==SQLITE_ROW || rc==SQLITE_DONE ? SQLITE_OK : rc;
}

/* The record with the greatest timestamp, the first of them. */
static int offsetOfMaxTime(PrillPart *pPart, i64 *piOff, i64 *piTs){
  i64 iMax = PRILL_I64MIN;
  int i;
  int rc = prillPartSegs(pPart);
  *piOff = *piTs = -1;
  if( rc!=SQLITE_OK || prillPartEnd(pPart)<=pPart->x.iLogStart ) return rc;
  for(i=0; i<pPart->nSeg; i++){
    if( pPart->aSeg[i].nRec>0 && pPart->aSeg[i].iEnd>pPart->x.iLogStart ) iMax = PRILL_MAX(iMax, pPart->aSeg[i].iMaxTs);
  }
  for(i=0; i<pPart->nTail; i++) iMax = PRILL_MAX(iMax, pPart->apTail[i]->iMaxTs);
  rc = offsetByTime(pPart, iMax, piOff, piTs);
  if( rc==SQLITE_OK && *piOff<0 ){
    /* It was below the log start: look through what is left. */
    PrillRange r = offsetAll();
    PrillScan *pScan = 0;
    PrillRecord rec;
    rc = prillScanOpen(pPart, &r, &pScan);
    while( rc==SQLITE_OK && (rc = prillScanNext(pScan, &rec))==SQLITE_ROW ){
      rc = SQLITE_OK;
      if( rec.iTs>*piTs || *piOff<0 ){
        *piTs = rec.iTs;
        *piOff = rec.iOff;
      }
    }
    prillScanClose(pScan);
    if( rc==SQLITE_DONE ) rc = SQLITE_OK;
  }
  return rc;
}

static void offsetPart(PrilldReq *p, PrillPart *pPart, const WireListOffsetsReqTopicsPartitions *pIn,
                       WireListOffsetsRespTopicsPartitions *pOut){
  i64 iOff = -1, iTs = -1;
  int rc = SQLITE_OK;
  pOut->partitionIndex = pIn->partitionIndex;
  pOut->timestamp = pOut->offset = -1;
  pOut->leaderEpoch = -1;
  pOut->errorCode = pPart ? prilldLeaderCheck(pPart, pIn->currentLeaderEpoch) : KE_UNKNOWN_TOPIC_OR_PARTITION;
  if( pOut->errorCode ) return;
  if( pIn->timestamp==OFFSET_LATEST ) iOff = prillPartEnd(pPart);
  else if( pIn->timestamp==OFFSET_EARLIEST ) iOff = pPart->x.iLogStart;
  else if( pIn->timestamp==OFFSET_MAX_TIME && p->h.iVer>=7 ) rc = offsetOfMaxTime(pPart, &iOff, &iTs);
  else if( pIn->timestamp>=0 ) rc = offsetByTime(pPart, pIn->timestamp, &iOff, &iTs);
  else pOut->errorCode = KE_UNSUPPORTED_VERSION;
  if( rc!=SQLITE_OK ){
    prilldLog(PRILLD_LOG_ERROR, "ListOffsets: %s", pPart->pStore->pConn->zErr ? pPart->pStore->pConn->zErr
              : sqlite3_errstr(rc));
    pOut->errorCode = KE_STORAGE_ERROR;
    return;
  }
  pOut->offset = iOff;
  pOut->timestamp = iTs;
  if( iOff>=0 ) pOut->leaderEpoch = (i32)pPart->x.iEpoch;
}

/* Is the partition named again later on in this request? */
static int offsetTwice(const WireListOffsetsReqTopics *pT, i32 j){
  i32 k;
  for(k=0; k<pT->nPartitions && k<1000; k++){
    if( k!=j && pT->partitions[k].partitionIndex==pT->partitions[j].partitionIndex ) return 1;
  }
  return 0;
}

void prilldApiListOffsets(PrilldReq *p){
  const WireListOffsetsReq *pIn = (const WireListOffsetsReq*)p->pIn;
  WireListOffsetsResp *pOut = (WireListOffsetsResp*)p->pOut;
  PrilldView *pView = &p->pD->view;
  i32 i, j;
  pOut->topics = (WireListOffsetsRespTopics*)prilldReqAlloc(p, (i64)sizeof(*pOut->topics)*pIn->nTopics);
  if( pOut->topics==0 ) return;
  if( prilldViewBegin(pView)!=SQLITE_OK ){
    prilldReqClose(p);
    return;
  }
  pOut->nTopics = pIn->nTopics;
  for(i=0; i<pIn->nTopics; i++){
    const WireListOffsetsReqTopics *pT = &pIn->topics[i];
    WireListOffsetsRespTopics *pR = &pOut->topics[i];
    pR->name = pT->name;
    pR->partitions = (WireListOffsetsRespTopicsPartitions*)
        prilldReqAlloc(p, (i64)sizeof(*pR->partitions)*pT->nPartitions);
    if( pR->partitions==0 ) break;
    pR->nPartitions = pT->nPartitions;
    for(j=0; j<pT->nPartitions; j++){
      const WireListOffsetsReqTopicsPartitions *pAsk = &pT->partitions[j];
      offsetPart(p, prilldViewPart(pView, pT->name.z, pT->name.n, pAsk->partitionIndex), pAsk, &pR->partitions[j]);
      if( offsetTwice(pT, j) ){
        pR->partitions[j].errorCode = KE_INVALID_REQUEST;
        pR->partitions[j].offset = pR->partitions[j].timestamp = -1;
        pR->partitions[j].leaderEpoch = -1;
      }
    }
  }
  prilldViewEnd(pView);
  if( i==pIn->nTopics ) prilldReqReply(p);
}

/**************************************************************************
** OffsetForLeaderEpoch.
*/
static void offsetEpoch(PrillPart *pPart, const WireOffsetForLeaderEpochReqTopicsPartitions *pIn,
                        WireOffsetForLeaderEpochRespTopicsPartitions *pOut){
  i32 iEpoch = -1;
  i64 iEnd = -1;
  int rc;
  pOut->partition = pIn->partition;
  pOut->leaderEpoch = -1;
  pOut->endOffset = -1;
  pOut->errorCode = pPart ? prilldLeaderCheck(pPart, pIn->currentLeaderEpoch) : KE_UNKNOWN_TOPIC_OR_PARTITION;
  if( pOut->errorCode ) return;
  rc = prilldLeaderEpochEnd(pPart, pIn->leaderEpoch, &iEpoch, &iEnd);
  if( rc!=SQLITE_OK ){
    prilldLog(PRILLD_LOG_ERROR, "OffsetForLeaderEpoch: %s", sqlite3_errstr(rc));
    pOut->errorCode = KE_STORAGE_ERROR;
    return;
  }
  pOut->leaderEpoch = iEpoch;
  pOut->endOffset = iEnd;
}

void prilldApiLeaderEpoch(PrilldReq *p){
  const WireOffsetForLeaderEpochReq *pIn = (const WireOffsetForLeaderEpochReq*)p->pIn;
  WireOffsetForLeaderEpochResp *pOut = (WireOffsetForLeaderEpochResp*)p->pOut;
  PrilldView *pView = &p->pD->view;
  i32 i, j;
  pOut->topics = (WireOffsetForLeaderEpochRespTopics*)prilldReqAlloc(p, (i64)sizeof(*pOut->topics)*pIn->nTopics);
  if( pOut->topics==0 ) return;
  if( prilldViewBegin(pView)!=SQLITE_OK ){
    prilldReqClose(p);
    return;
  }
  pOut->nTopics = pIn->nTopics;
  for(i=0; i<pIn->nTopics; i++){
    const WireOffsetForLeaderEpochReqTopics *pT = &pIn->topics[i];
    WireOffsetForLeaderEpochRespTopics *pR = &pOut->topics[i];
    pR->topic = pT->topic;
    pR->partitions = (WireOffsetForLeaderEpochRespTopicsPartitions*)
        prilldReqAlloc(p, (i64)sizeof(*pR->partitions)*pT->nPartitions);
    if( pR->partitions==0 ) break;
    pR->nPartitions = pT->nPartitions;
    for(j=0; j<pT->nPartitions; j++){
      const WireOffsetForLeaderEpochReqTopicsPartitions *pAsk = &pT->partitions[j];
      offsetEpoch(prilldViewPart(pView, pT->topic.z, pT->topic.n, pAsk->partition), pAsk, &pR->partitions[j]);
    }
  }
  prilldViewEnd(pView);
  if( i==pIn->nTopics ) prilldReqReply(p);
}
