/*
** api_commit.c: OffsetCommit and OffsetFetch: the offsets of a group, which are
** the rows that prill_offsets shows.
*/
#include "group.h"

/**************************************************************************
** OffsetCommit.
*/
typedef struct CommitPart CommitPart;
struct CommitPart {
  const char *zTopic;
  const WireOffsetCommitReqTopicsPartitions *pIn;
  WireOffsetCommitRespTopicsPartitions *pOut;
};
typedef struct CommitJob CommitJob;
struct CommitJob {
  PrilldJob job;
  const char *zGroup;
  CommitPart *a;
  int n;
};

static int commitRun(PrilldJob *pJob, PrilldWriter *pW){
  CommitJob *p = (CommitJob*)pJob;
  int rc = SQLITE_OK, i;
  for(i=0; rc==SQLITE_OK && i<p->n; i++){
    CommitPart *c = &p->a[i];
    PrillTopic *pTopic;
    if( c->pOut->errorCode ) continue;
    pTopic = prillStoreTopic(pW->pStore, c->zTopic);
    if( pTopic==0 || c->pIn->partitionIndex<0 || c->pIn->partitionIndex>=pTopic->nPart ){
      c->pOut->errorCode = KE_UNKNOWN_TOPIC_OR_PARTITION;
    }else{
      const WireStr *pMeta = &c->pIn->committedMetadata;
      rc = prillOffsetPut(pW->pStore, p->zGroup, pTopic->apPart[c->pIn->partitionIndex], c->pIn->committedOffset,
                          c->pIn->committedLeaderEpoch, pMeta->n>0 ? pMeta->z : "", PRILL_MAX(pMeta->n, 0));
    }
  }
  return rc;
}

static void commitDone(PrilldJob *pJob){
  CommitJob *p = (CommitJob*)pJob;
  int i;
  for(i=0; pJob->rc!=SQLITE_OK && i<p->n; i++) p->a[i].pOut->errorCode = KE_COORDINATOR_NOT_AVAILABLE;
  pJob->pReq->nPending--;
  prilldReqReply(pJob->pReq);
}

static int commitAny(void *pArg, PrillPart *pPart, i64 iOff, i64 iEpoch, const char *zMeta){
  (void)pPart; (void)iOff; (void)iEpoch; (void)zMeta;
  *(int*)pArg = 1;
  return SQLITE_OK;
}

/* Has a group that has no members offsets? */
static int commitKnown(PrilldReq *p, WireStr group){
  const char *zGroup = prilldReqText(p, group);
  int bIs = 0;
  if( zGroup==0 || prilldViewBegin(&p->pD->view)!=SQLITE_OK ) return 0;
  prillOffsetEach(p->pD->view.pStore, zGroup, commitAny, &bIs);
  prilldViewEnd(&p->pD->view);
  return bIs;
}

/* May this member commit?  Kafka's error for the whole request. */
static i16 commitMay(PrilldReq *p, const WireOffsetCommitReq *pIn){
  PrillGroupEvent ev;
  i16 iErr = KE_NONE;
  PrilldGroup *pGroup = prilldGroupGet(p->pD, pIn->groupId, 0, &iErr);
  if( pGroup==0 ){
    if( iErr==KE_INVALID_GROUP_ID && pIn->groupId.n==0 ) iErr = KE_NONE;
    if( iErr==KE_NONE && pIn->generationIdOrMemberEpoch>=0 ){
      iErr = commitKnown(p, pIn->groupId) ? KE_UNKNOWN_MEMBER_ID
           : p->h.iVer>=9 ? KE_GROUP_ID_NOT_FOUND : KE_ILLEGAL_GENERATION;
    }
    return iErr;
  }
  memset(&ev, 0, sizeof(ev));
  ev.eType = PRILL_EV_COMMIT;
  ev.zMember = prilldReqText(p, pIn->memberId);
  ev.zInstance = p->h.iVer>=7 ? prilldReqText(p, pIn->groupInstanceId) : 0;
  ev.iGeneration = pIn->generationIdOrMemberEpoch;
  return prilldGroupEvent(pGroup, &ev);
}

void prilldApiOffsetCommit(PrilldReq *p){
  const WireOffsetCommitReq *pIn = (const WireOffsetCommitReq*)p->pIn;
  WireOffsetCommitResp *pOut = (WireOffsetCommitResp*)p->pOut;
  CommitJob *pJob = (CommitJob*)prilldReqAlloc(p, (i64)sizeof(*pJob));
  i16 iErr = commitMay(p, pIn);
  i32 i, j, n = 0;
  for(i=0; i<pIn->nTopics; i++) n += pIn->topics[i].nPartitions;
  if( pJob ) pJob->a = (CommitPart*)prilldReqAlloc(p, (i64)sizeof(CommitPart)*n);
  if( pJob==0 || pJob->a==0 ) return;
  pOut->topics = (WireOffsetCommitRespTopics*)prilldReqAlloc(p, (i64)sizeof(*pOut->topics)*pIn->nTopics);
  if( pOut->topics==0 ) return;
  pOut->nTopics = pIn->nTopics;
  for(i=0; i<pIn->nTopics; i++){
    const WireOffsetCommitReqTopics *pT = &pIn->topics[i];
    WireOffsetCommitRespTopics *pR = &pOut->topics[i];
    const char *zTopic = prilldReqText(p, pT->name);
    pR->name = pT->name;
    pR->partitions = (WireOffsetCommitRespTopicsPartitions*)
        prilldReqAlloc(p, (i64)sizeof(*pR->partitions)*pT->nPartitions);
    if( pR->partitions==0 || zTopic==0 ) return;
    pR->nPartitions = pT->nPartitions;
    for(j=0; j<pT->nPartitions; j++){
      CommitPart *c = &pJob->a[pJob->n++];
      c->zTopic = zTopic;
      c->pIn = &pT->partitions[j];
      c->pOut = &pR->partitions[j];
      c->pOut->partitionIndex = c->pIn->partitionIndex;
      c->pOut->errorCode = iErr ? iErr : c->pIn->committedMetadata.n>p->pD->conf.szMetadata
          ? KE_OFFSET_METADATA_TOO_LARGE : KE_NONE;
    }
  }
  pJob->zGroup = prilldReqText(p, pIn->groupId);
  if( iErr || n==0 || pJob->zGroup==0 ){
    prilldReqReply(p);
    return;
  }
  pJob->job.pReq = p;
  pJob->job.bSavepoint = 1;
  pJob->job.xRun = commitRun;
  pJob->job.xDone = commitDone;
  p->nPending++;
  prilldSubmit(p->pD, &pJob->job);
}

/**************************************************************************
** OffsetFetch.
*/

/* One partition: all versions have the same fields, of two names. */
static void commitOne(PrilldReq *p, const char *zGroup, WireStr topic, WireOffsetFetchRespGroupsTopicsPartitions *pR){
  PrilldView *pView = &p->pD->view;
  PrillPart *pPart = prilldViewPart(pView, topic.z, topic.n, pR->partitionIndex);
  PrillBuf meta = {0, 0, 0};
  i64 iOff = -1, iEpoch = -1;
  int rc = pPart ? prillOffsetGet(pView->pStore, zGroup, pPart, &iOff, &iEpoch, &meta) : SQLITE_OK;
  char *z = meta.n>0 ? prilldArenaDup(&p->arena, meta.a, meta.n) : 0;
  pR->committedOffset = iOff;
  pR->committedLeaderEpoch = (i32)iEpoch;
  pR->metadata.z = z ? z : "";
  pR->metadata.n = z ? (i32)meta.n : 0;
  if( rc!=SQLITE_OK ) pR->errorCode = KE_COORDINATOR_NOT_AVAILABLE;
  prillBufFree(&meta);
}

/* All of a group's offsets, by topic. */
typedef struct CommitAll CommitAll;
struct CommitAll {
  PrilldReq *p;
  WireOffsetFetchRespGroups *pG;
  int nPart;                /* counted in a first pass */
  int bFill;
};

static int commitRow(void *pArg, PrillPart *pPart, i64 iOff, i64 iEpoch, const char *zMeta){
  CommitAll *c = (CommitAll*)pArg;
  WireOffsetFetchRespGroupsTopics *pT;
  if( !c->bFill ){
    c->nPart++;
    return SQLITE_OK;
  }
  pT = &c->pG->topics[c->pG->nTopics++];
  pT->name = prilldStr(prilldArenaDup(&c->p->arena, pPart->pTopic->zName, (i64)strlen(pPart->pTopic->zName)));
  pT->partitions = (WireOffsetFetchRespGroupsTopicsPartitions*)
      prilldArenaAlloc(&c->p->arena, (i64)sizeof(*pT->partitions));
  if( pT->partitions==0 || pT->name.n<0 ) return SQLITE_NOMEM;
  pT->nPartitions = 1;
  pT->partitions[0].partitionIndex = pPart->iPart;
  pT->partitions[0].committedOffset = iOff;
  pT->partitions[0].committedLeaderEpoch = (i32)iEpoch;
  pT->partitions[0].metadata = prilldStr(prilldArenaDup(&c->p->arena, zMeta, (i64)strlen(zMeta)));
  return SQLITE_OK;
}

static int commitFetchAll(PrilldReq *p, const char *zGroup, WireOffsetFetchRespGroups *pG){
  CommitAll all;
  int rc;
  memset(&all, 0, sizeof(all));
  all.p = p;
  all.pG = pG;
  rc = prillOffsetEach(p->pD->view.pStore, zGroup, commitRow, &all);
  if( rc!=SQLITE_OK ) return rc;
  pG->topics = (WireOffsetFetchRespGroupsTopics*)prilldArenaAlloc(&p->arena, (i64)sizeof(*pG->topics)*all.nPart);
  if( pG->topics==0 ) return SQLITE_NOMEM;
  all.bFill = 1;
  return prillOffsetEach(p->pD->view.pStore, zGroup, commitRow, &all);
}

/* One group's answer into *pG.  nTopic<0: all it has. */
static int commitGroup(PrilldReq *p, WireStr group, const WireOffsetFetchReqGroupsTopics *aTopic, i32 nTopic,
                       WireOffsetFetchRespGroups *pG){
  const char *zGroup = prilldReqText(p, group);
  i32 i, j;
  pG->groupId = group;
  if( zGroup==0 ) return SQLITE_NOMEM;
  if( nTopic<0 ) return commitFetchAll(p, zGroup, pG);
  pG->topics = (WireOffsetFetchRespGroupsTopics*)prilldArenaAlloc(&p->arena, (i64)sizeof(*pG->topics)*nTopic);
  if( pG->topics==0 ) return SQLITE_NOMEM;
  pG->nTopics = nTopic;
  for(i=0; i<nTopic; i++){
    WireOffsetFetchRespGroupsTopics *pT = &pG->topics[i];
    pT->name = aTopic[i].name;
    pT->partitions = (WireOffsetFetchRespGroupsTopicsPartitions*)
        prilldArenaAlloc(&p->arena, (i64)sizeof(*pT->partitions)*aTopic[i].nPartitionIndexes);
    if( pT->partitions==0 ) return SQLITE_NOMEM;
    pT->nPartitions = aTopic[i].nPartitionIndexes;
    for(j=0; j<pT->nPartitions; j++){
      pT->partitions[j].partitionIndex = aTopic[i].partitionIndexes[j];
      commitOne(p, zGroup, pT->name, &pT->partitions[j]);
    }
  }
  return SQLITE_OK;
}

/* Before version 8 there is one group, and its parts stand at the top. */
_Static_assert(sizeof(WireOffsetFetchReqTopics)==sizeof(WireOffsetFetchReqGroupsTopics), "the same fields");
_Static_assert(sizeof(WireOffsetFetchRespTopics)==sizeof(WireOffsetFetchRespGroupsTopics), "the same fields");
_Static_assert(sizeof(WireOffsetFetchRespTopicsPartitions)==sizeof(WireOffsetFetchRespGroupsTopicsPartitions),
               "the same fields");

void prilldApiOffsetFetch(PrilldReq *p){
  const WireOffsetFetchReq *pIn = (const WireOffsetFetchReq*)p->pIn;
  WireOffsetFetchResp *pOut = (WireOffsetFetchResp*)p->pOut;
  i32 n = p->h.iVer>=8 ? pIn->nGroups : 1;
  i32 i;
  int rc = SQLITE_OK;
  pOut->groups = (WireOffsetFetchRespGroups*)prilldReqAlloc(p, (i64)sizeof(*pOut->groups)*n);
  if( pOut->groups==0 ) return;
  pOut->nGroups = n;
  if( prilldViewBegin(&p->pD->view)!=SQLITE_OK ){
    prilldReqClose(p);
    return;
  }
  for(i=0; rc==SQLITE_OK && i<n; i++){
    rc = p->h.iVer>=8
      ? commitGroup(p, pIn->groups[i].groupId, pIn->groups[i].topics, pIn->groups[i].nTopics, &pOut->groups[i])
      : commitGroup(p, pIn->groupId, (const WireOffsetFetchReqGroupsTopics*)pIn->topics, pIn->nTopics,
                    &pOut->groups[0]);
  }
  prilldViewEnd(&p->pD->view);
  if( rc!=SQLITE_OK ){
    prilldReqClose(p);
    return;
  }
  if( p->h.iVer<8 ){
    pOut->topics = (WireOffsetFetchRespTopics*)pOut->groups[0].topics;
    pOut->nTopics = pOut->groups[0].nTopics;
  }
  prilldReqReply(p);
}
