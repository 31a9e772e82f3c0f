/*
** api_meta.c: what a client asks first: Metadata, DescribeCluster, FindCoordinator,
** and DescribeLogDirs.
**
** A topic that is asked for and does not exist is made, where that is allowed:
** one job a topic, and the answer when all are done.
*/
#include "prilld.h"


/**************************************************************************
** The answer.
*/
static void metaBroker(PrilldReq *p, WireMetadataRespBrokers *pB){
  const PrilldAddr *pAddr = prilldConnAddr(p->pConn);
  pB->nodeId = (i32)p->pD->conf.iNode;
  pB->host = prilldStr(pAddr->zHost);
  pB->port = pAddr->iPort;
  pB->rack = prilldStr(0);
}

/* A topic's partitions.  1: no memory, the connection is closed. */
static int metaParts(PrilldReq *p, const PrillTopic *pTopic, WireMetadataRespTopics *pT){
  WireMetadataRespTopicsPartitions *a;
  i32 *aNode;
  int i;
  a = (WireMetadataRespTopicsPartitions*)prilldReqAlloc(p, (i64)sizeof(*a)*pTopic->nPart);
  aNode = a ? (i32*)prilldReqAlloc(p, (i64)sizeof(i32)) : 0;
  if( aNode==0 ) return 1;
  aNode[0] = (i32)p->pD->conf.iNode;
  for(i=0; i<pTopic->nPart; i++){
    int rc = prillPartLoad(pTopic->apPart[i]);
    a[i].errorCode = rc==SQLITE_OK ? KE_NONE : KE_LEADER_NOT_AVAILABLE;
    a[i].partitionIndex = i;
    a[i].leaderId = aNode[0];
    a[i].leaderEpoch = (i32)pTopic->apPart[i]->x.iEpoch;
    a[i].replicaNodes = a[i].isrNodes = aNode;
    a[i].nReplicaNodes = a[i].nIsrNodes = 1;
  }
  pT->partitions = a;
  pT->nPartitions = pTopic->nPart;
  return 0;
}

static int metaTopic(PrilldReq *p, const PrillTopic *pTopic, WireMetadataRespTopics *pT){
  const WireMetadataReq *pIn = (const WireMetadataReq*)p->pIn;
  char *zName = prilldArenaDup(&p->arena, pTopic->zName, (i64)strlen(pTopic->zName));
  pT->name = prilldStr(zName ? zName : "");
  memcpy(pT->topicId.a, pTopic->aUuid, 16);
  pT->topicAuthorizedOperations = pIn->includeTopicAuthorizedOperations ? PRILLD_OPS_TOPIC : PRILLD_OPS_NONE;
  return metaParts(p, pTopic, pT);
}

static int metaAll(PrilldReq *p, WireMetadataResp *pOut){
  PrillTopic *pTopic;
  i32 n = 0;
  for(pTopic=p->pD->view.pStore->pTopics; pTopic; pTopic=pTopic->pNext) n++;
  pOut->topics = (WireMetadataRespTopics*)prilldReqAlloc(p, (i64)sizeof(*pOut->topics)*n);
  if( pOut->topics==0 ) return 1;
  for(pTopic=p->pD->view.pStore->pTopics; pTopic; pTopic=pTopic->pNext){
    if( metaTopic(p, pTopic, &pOut->topics[pOut->nTopics++]) ) return 1;
  }
  return 0;
}

static int metaIsZero(const u8 *a){
  int i;
  for(i=0; i<16 && a[i]==0; i++){}
  return i==16;
}

/* Names seen in this request: positions in its list, by hash. */
typedef struct MetaSeen MetaSeen;
struct MetaSeen { i32 *a; u32 mask; };

static int metaSeenInit(PrilldReq *p, MetaSeen *pSeen, i32 n){
  u32 nHash = 16;
  while( nHash<2*(u32)n ) nHash *= 2;
  pSeen->mask = nHash-1;
  pSeen->a = (i32*)prilldReqAlloc(p, (i64)sizeof(i32)*nHash);
  return pSeen->a==0;
}

/* Was the name at position i asked for before? */
static int metaAgain(MetaSeen *pSeen, const WireMetadataReq *pIn, i32 i){
  WireStr s = pIn->topics[i].name;
  u32 h;
  i32 j;
  if( s.n<0 ) return 0;
  for(h=prillMurmur2(s.z, s.n); (j = pSeen->a[h & pSeen->mask]-1)>=0; h++){
    if( pIn->topics[j].name.n==s.n && memcmp(pIn->topics[j].name.z, s.z, (size_t)s.n)==0 ) return 1;
  }
  pSeen->a[h & pSeen->mask] = i+1;
  return 0;
}

static int metaName(WireStr s){
  char z[256];
  if( s.n<1 || s.n>249 ) return 0;
  memcpy(z, s.z, (size_t)s.n);
  z[s.n] = 0;
  return (i32)strlen(z)==s.n && prillTopicName(z);
}

static int metaNamed(PrilldReq *p, const WireMetadataReq *pIn, WireMetadataResp *pOut){
  MetaSeen seen;
  i32 i;
  pOut->topics = (WireMetadataRespTopics*)prilldReqAlloc(p, (i64)sizeof(*pOut->topics)*pIn->nTopics);
  if( pOut->topics==0 || metaSeenInit(p, &seen, pIn->nTopics) ) return 1;
  for(i=0; i<pIn->nTopics; i++){
    const WireMetadataReqTopics *pAsk = &pIn->topics[i];
    int bId = !metaIsZero(pAsk->topicId.a);
    WireMetadataRespTopics *pT;
    PrillTopic *pTopic;
    if( metaAgain(&seen, pIn, i) ) continue;
    pT = &pOut->topics[pOut->nTopics++];
    pTopic = bId ? prilldViewUuid(&p->pD->view, pAsk->topicId.a)
                 : prilldViewTopic(&p->pD->view, pAsk->name.z, pAsk->name.n);
    if( pTopic ){
      if( metaTopic(p, pTopic, pT) ) return 1;
      continue;
    }
    pT->name = pAsk->name;
    pT->topicId = pAsk->topicId;
    pT->topicAuthorizedOperations = PRILLD_OPS_NONE;
    pT->errorCode = bId ? KE_UNKNOWN_TOPIC_ID : metaName(pAsk->name) ? KE_UNKNOWN_TOPIC_OR_PARTITION
                  : KE_INVALID_TOPIC_EXCEPTION;
    if( pT->name.n<0 && p->h.iVer<12 ) pT->name = prilldStr("");
  }
  return 0;
}

static void metaAnswer(PrilldReq *p){
  const WireMetadataReq *pIn = (const WireMetadataReq*)p->pIn;
  WireMetadataResp *pOut = (WireMetadataResp*)p->pOut;
  PrilldView *pView = &p->pD->view;
  int bGone;
  pOut->brokers = (WireMetadataRespBrokers*)prilldReqAlloc(p, (i64)sizeof(*pOut->brokers));
  if( pOut->brokers==0 ) return;
  pOut->nBrokers = 1;
  metaBroker(p, pOut->brokers);
  pOut->clusterId = prilldStr(pView->zCluster);
  pOut->controllerId = (i32)p->pD->conf.iNode;
  pOut->clusterAuthorizedOperations = pIn->includeClusterAuthorizedOperations ? PRILLD_OPS_CLUSTER : PRILLD_OPS_NONE;
  if( prilldViewBegin(pView)!=SQLITE_OK ){
    prilldReqClose(p);
    return;
  }
  /* Version 0 has no null list: empty means all. */
  bGone = pIn->nTopics<0 || (p->h.iVer==0 && pIn->nTopics==0) ? metaAll(p, pOut) : metaNamed(p, pIn, pOut);
  prilldViewEnd(pView);
  if( !bGone ) prilldReqReply(p);
}

/**************************************************************************
** Making topics that are asked for.
*/
typedef struct MetaJob MetaJob;
struct MetaJob {
  PrilldJob job;
  int nPart;
  char zName[250];
};

static int metaCreate(PrilldJob *pJob, PrilldWriter *pW){
  MetaJob *p = (MetaJob*)pJob;
  PrillConfig cfg;
  if( prillStoreTopic(pW->pStore, p->zName) ) return SQLITE_OK;      /* somebody was faster */
  prillConfigDefault(&cfg);
  return prillCatalogCreate(pW->pStore, p->zName, p->nPart, &cfg, 0, 0);
}

static void metaCreated(PrilldJob *pJob){
  MetaJob *p = (MetaJob*)pJob;
  PrilldReq *pReq = pJob->pReq;
  if( pJob->rc==SQLITE_OK ) prilldLog(PRILLD_LOG_INFO, "made topic %s, %d partitions", p->zName, p->nPart);
  else prilldLog(PRILLD_LOG_WARN, "cannot make topic %s: %s", p->zName, pJob->zErr ? pJob->zErr : "");
  sqlite3_free(p);
  if( --pReq->nPending>0 ) return;
  if( pReq->pConn==0 ) prilldReqFree(pReq);
  else metaAnswer(pReq);
}

/* 1 when topics are being made and the answer comes later. */
static int metaMake(PrilldReq *p){
  const WireMetadataReq *pIn = (const WireMetadataReq*)p->pIn;
  PrilldView *pView = &p->pD->view;
  PrilldJob *pJobs = 0;
  MetaSeen seen;
  i32 i;
  if( !p->pD->conf.bAutoCreate || !pIn->allowAutoTopicCreation || pIn->nTopics<=0 ) return 0;
  if( metaSeenInit(p, &seen, pIn->nTopics) ) return 1;
  if( prilldViewBegin(pView)!=SQLITE_OK ) return 0;
  for(i=0; i<pIn->nTopics; i++){
    WireStr s = pIn->topics[i].name;
    MetaJob *pJob;
    if( !metaIsZero(pIn->topics[i].topicId.a) || !metaName(s) || prilldViewTopic(pView, s.z, s.n)
     || metaAgain(&seen, pIn, i) ) continue;
    pJob = (MetaJob*)sqlite3_malloc64(sizeof(*pJob));
    if( pJob==0 ) break;
    memset(pJob, 0, sizeof(*pJob));
    memcpy(pJob->zName, s.z, (size_t)s.n);
    pJob->nPart = (int)p->pD->conf.nPartitions;
    pJob->job.pReq = p;
    pJob->job.bSavepoint = 1;
    pJob->job.xRun = metaCreate;
    pJob->job.xDone = metaCreated;
    pJob->job.pNext = pJobs;
    pJobs = &pJob->job;
    p->nPending++;
  }
  prilldViewEnd(pView);
  while( pJobs ){
    PrilldJob *pNext = pJobs->pNext;
    prilldSubmit(p->pD, pJobs);
    pJobs = pNext;
  }
  return p->nPending>0;
}

void prilldApiMetadata(PrilldReq *p){
  if( p->h.iVer<4 ) ((WireMetadataReq*)p->pIn)->allowAutoTopicCreation = 1;
  if( !metaMake(p) ) metaAnswer(p);
}

/**************************************************************************
** DescribeCluster.
*/
void prilldApiDescribeCluster(PrilldReq *p){
  const WireDescribeClusterReq *pIn = (const WireDescribeClusterReq*)p->pIn;
  WireDescribeClusterResp *pOut = (WireDescribeClusterResp*)p->pOut;
  const PrilldAddr *pAddr = prilldConnAddr(p->pConn);
  pOut->brokers = (WireDescribeClusterRespBrokers*)prilldReqAlloc(p, (i64)sizeof(*pOut->brokers));
  if( pOut->brokers==0 ) return;
  pOut->clusterId = prilldStr(p->pD->view.zCluster);
  pOut->controllerId = (i32)p->pD->conf.iNode;
  pOut->endpointType = pIn->endpointType;
  if( p->h.iVer>=1 && pIn->endpointType!=1 ){
    /* Controllers have no endpoint of their own here. */
    pOut->errorCode = KE_INVALID_REQUEST;
    pOut->errorMessage = prilldStr("endpoint type must be 1: brokers");
    prilldReqReply(p);
    return;
  }
  if( pIn->includeClusterAuthorizedOperations ) pOut->clusterAuthorizedOperations = PRILLD_OPS_CLUSTER;
  pOut->nBrokers = 1;
  pOut->brokers[0].brokerId = (i32)p->pD->conf.iNode;
  pOut->brokers[0].host = prilldStr(pAddr->zHost);
  pOut->brokers[0].port = pAddr->iPort;
  pOut->brokers[0].rack = prilldStr(0);
  prilldReqReply(p);
}

/**************************************************************************
** FindCoordinator: this node, for groups.
*/
static void metaCoordinator(PrilldReq *p, int eType, WireFindCoordinatorRespCoordinators *pOut){
  const PrilldAddr *pAddr = prilldConnAddr(p->pConn);
  /* Transactions are not served: an error that no client takes for a reason to
  ** try again. */
  i16 iErr = eType==0 ? KE_NONE : eType==1 ? KE_TRANSACTIONAL_ID_AUTHORIZATION_FAILED : KE_INVALID_REQUEST;
  pOut->errorCode = iErr;
  pOut->errorMessage = prilldStr(iErr ? "prilld coordinates consumer groups only" : 0);
  pOut->nodeId = iErr ? -1 : (i32)p->pD->conf.iNode;
  pOut->host = prilldStr(iErr ? "" : pAddr->zHost);
  pOut->port = iErr ? -1 : pAddr->iPort;
}

void prilldApiFindCoordinator(PrilldReq *p){
  const WireFindCoordinatorReq *pIn = (const WireFindCoordinatorReq*)p->pIn;
  WireFindCoordinatorResp *pOut = (WireFindCoordinatorResp*)p->pOut;
  i32 n = p->h.iVer>=4 ? pIn->nCoordinatorKeys : 1;
  i32 i;
  pOut->coordinators = (WireFindCoordinatorRespCoordinators*)prilldReqAlloc(p, (i64)sizeof(*pOut->coordinators)*n);
  if( pOut->coordinators==0 ) return;
  pOut->nCoordinators = n;
  for(i=0; i<n; i++){
    if( p->h.iVer>=4 ) pOut->coordinators[i].key = pIn->coordinatorKeys[i];
    metaCoordinator(p, p->h.iVer>=1 ? pIn->keyType : 0, &pOut->coordinators[i]);
  }
  if( p->h.iVer<4 ){
    pOut->errorCode = pOut->coordinators[0].errorCode;
    pOut->errorMessage = pOut->coordinators[0].errorMessage;
    pOut->nodeId = pOut->coordinators[0].nodeId;
    pOut->host = pOut->coordinators[0].host;
    pOut->port = pOut->coordinators[0].port;
  }
  prilldReqReply(p);
}

/**************************************************************************
** DescribeLogDirs: one directory, the store's.  How much room its file system
** has is not known through SQLite's VFS.
*/
static void metaDirPart(PrillTopic *pTopic, i32 iPart, WireDescribeLogDirsRespResultsTopics *pT){
  PrillPart *pPart = iPart>=0 && iPart<pTopic->nPart ? pTopic->apPart[iPart] : 0;
  WireDescribeLogDirsRespResultsTopicsPartitions *pR = &pT->partitions[pT->nPartitions];
  if( pPart==0 || prillPartLoad(pPart)!=SQLITE_OK ) return;
  pT->nPartitions++;
  pR->partitionIndex = iPart;
  pR->partitionSize = pPart->x.nAllByte + pPart->nTailByte;
}

/* aPart NULL: all of its partitions.  1: the connection is closed. */
static int metaDirTopic(
  PrilldReq *p, PrillTopic *pTopic, const i32 *aPart, i32 nPart, WireDescribeLogDirsRespResults *pR
){
  WireDescribeLogDirsRespResultsTopics *pT = &pR->topics[pR->nTopics++];
  char *zName = prilldArenaDup(&p->arena, pTopic->zName, (i64)strlen(pTopic->zName));
  i32 i, n = aPart ? nPart : pTopic->nPart;
  pT->name = prilldStr(zName ? zName : "");
  pT->partitions = (WireDescribeLogDirsRespResultsTopicsPartitions*)
      prilldReqAlloc(p, (i64)sizeof(*pT->partitions)*PRILL_MAX(n, 1));
  if( pT->partitions==0 ) return 1;
  for(i=0; i<n; i++) metaDirPart(pTopic, aPart ? aPart[i] : i, pT);
  return 0;
}

static int metaDir(PrilldReq *p, WireDescribeLogDirsRespResults *pR){
  const WireDescribeLogDirsReq *pIn = (const WireDescribeLogDirsReq*)p->pIn;
  PrillStore *pStore = p->pD->view.pStore;
  PrillTopic *pTopic;
  i32 i, n = 1;
  int bGone = 0;
  pR->logDir = prilldReqPrint(p, "%s", pStore->zDir ? pStore->zDir : "");
  pR->totalBytes = -1;
  pR->usableBytes = -1;
  if( pIn->nTopics>=0 ) n = PRILL_MAX(pIn->nTopics, 1);
  else for(pTopic=pStore->pTopics; pTopic; pTopic=pTopic->pNext) n++;
  pR->topics = (WireDescribeLogDirsRespResultsTopics*)prilldReqAlloc(p, (i64)sizeof(*pR->topics)*n);
  if( pR->topics==0 ) return 1;
  for(i=0; i<pIn->nTopics && !bGone; i++){
    const WireDescribeLogDirsReqTopics *pAsk = &pIn->topics[i];
    pTopic = prilldViewTopic(&p->pD->view, pAsk->topic.z, pAsk->topic.n);
    if( pTopic ) bGone = metaDirTopic(p, pTopic, pAsk->partitions, PRILL_MAX(pAsk->nPartitions, 0), pR);
  }
  for(pTopic=pStore->pTopics; pIn->nTopics<0 && pTopic && !bGone; pTopic=pTopic->pNext){
    bGone = metaDirTopic(p, pTopic, 0, 0, pR);
  }
  return bGone;
}

void prilldApiDescribeLogDirs(PrilldReq *p){
  WireDescribeLogDirsResp *pOut = (WireDescribeLogDirsResp*)p->pOut;
  int bGone;
  pOut->results = (WireDescribeLogDirsRespResults*)prilldReqAlloc(p, (i64)sizeof(*pOut->results));
  if( pOut->results==0 ) return;
  if( prilldViewBegin(&p->pD->view)!=SQLITE_OK ){
    prilldReqClose(p);
    return;
  }
  pOut->nResults = 1;
  bGone = metaDir(p, pOut->results);
  prilldViewEnd(&p->pD->view);
  if( !bGone ) prilldReqReply(p);
}
