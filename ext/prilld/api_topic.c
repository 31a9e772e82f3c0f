/*
** api_topic.c: CreateTopics, DeleteTopics, CreatePartitions, DeleteRecords.
**
** What depends on the store is checked on the store thread, in the transaction
** that makes the change: two clients cannot both have been right.
*/
#include "admin.h"
#include <stdlib.h>

#define TOPIC_MX_PART 100000

/**************************************************************************
** CreateTopics.
*/
typedef struct CreateJob CreateJob;
struct CreateJob {
  AdminJob a;
  const WireCreateTopicsReqTopics *pIn;
  const char *zName;
  const char **azConfig;        /* names and values in turn, pIn->nConfigs pairs */
  i64 nDefault, iNode;          /* num.partitions, node.id */
  int nPart;
  PrillConfig cfg;
  u8 aUuid[16];
};

/* 1: a manual assignment is refused. */
static int topicAssigned(CreateJob *p, PrilldWriter *pW){
  const WireCreateTopicsReqTopics *pIn = p->pIn;
  char *aSeen;
  i32 i, n = pIn->nAssignments;
  int rc = SQLITE_OK;
  if( pIn->replicationFactor!=-1 || pIn->numPartitions!=-1 ){
    return prilldAdminRefuse(pW, &p->a, KE_INVALID_REQUEST, "A manual partition assignment was specified, but %s"
        " was not set to -1.", pIn->replicationFactor!=-1 ? "replication factor" : "numPartitions");
  }
  aSeen = (char*)sqlite3_malloc64((u64)n);
  if( aSeen==0 ) return SQLITE_NOMEM;
  memset(aSeen, 0, (size_t)n);
  for(i=0; i<n && rc==SQLITE_OK; i++){
    const WireCreateTopicsReqTopicsAssignments *pA = &pIn->assignments[i];
    if( pA->partitionIndex<0 || pA->partitionIndex>=n || aSeen[pA->partitionIndex] ){
      rc = prilldAdminRefuse(pW, &p->a, KE_INVALID_REPLICA_ASSIGNMENT, "partitions should be a consecutive"
                             " 0-based integer sequence");
    }else if( pA->nBrokerIds!=1 || pA->brokerIds[0]!=p->iNode ){
      rc = prilldAdminRefuse(pW, &p->a, KE_INVALID_REPLICA_ASSIGNMENT, "partition %d must have one replica, on"
                             " broker %lld: there is no other", pA->partitionIndex, p->iNode);
    }else{
      aSeen[pA->partitionIndex] = 1;
    }
  }
  sqlite3_free(aSeen);
  p->nPart = n;
  return rc;
}

static int topicParts(CreateJob *p, PrilldWriter *pW){
  const WireCreateTopicsReqTopics *pIn = p->pIn;
  if( pIn->nAssignments>0 ) return topicAssigned(p, pW);
  if( pIn->replicationFactor!=-1 && pIn->replicationFactor!=1 ){
    return prilldAdminRefuse(pW, &p->a, KE_INVALID_REPLICATION_FACTOR, pIn->replicationFactor<=0
        ? "Replication factor must be larger than 0, or -1 to use the default value."
        : "Replication factor: %d larger than available brokers: 1.", pIn->replicationFactor);
  }
  p->nPart = pIn->numPartitions==-1 ? (int)p->nDefault : pIn->numPartitions;
  if( p->nPart<1 || p->nPart>TOPIC_MX_PART ){
    return prilldAdminRefuse(pW, &p->a, KE_INVALID_PARTITIONS, "Number of partitions must be from 1 to %d, or -1"
        " for the default.", TOPIC_MX_PART);
  }
  return SQLITE_OK;
}

static int topicConfig(CreateJob *p, PrilldWriter *pW){
  int rc = SQLITE_OK;
  i32 i;
  prillConfigDefault(&p->cfg);
  for(i=0; i<p->pIn->nConfigs && rc==SQLITE_OK; i++){
    const char *zName = p->azConfig[i*2], *zVal = p->azConfig[i*2+1];
    char *zErr = 0;
    if( zVal==0 ){
      return prilldAdminRefuse(pW, &p->a, KE_INVALID_CONFIG, "Null value not supported for topic configs: %s", zName);
    }
    rc = prilldSettingSet(&p->cfg, zName, zVal, &zErr);
    if( rc==SQLITE_ERROR ) rc = prilldAdminRefuse(pW, &p->a, KE_INVALID_CONFIG, "%s", zErr);
    sqlite3_free(zErr);
  }
  if( rc==SQLITE_OK && p->cfg.ePartitioner==PRILL_SQLFUNC ){
    rc = prillCatalogCheckFunc(pW->pStore, p->cfg.zFunc);
    if( rc==SQLITE_ERROR ) p->a.iErr = KE_INVALID_CONFIG;
  }
  return rc;
}

/* Does the name differ from another's in . and _ only? */
static PrillTopic *topicCollides(PrillStore *pStore, const char *zName){
  PrillTopic *pTopic;
  for(pTopic=pStore->pTopics; pTopic; pTopic=pTopic->pNext){
    const char *a = pTopic->zName, *b = zName;
    while( *a && (*a==*b || ((*a=='.' || *a=='_') && (*b=='.' || *b=='_'))) ){ a++; b++; }
    if( *a==0 && *b==0 ) return pTopic;
  }
  return 0;
}

static int topicCreateRun(AdminJob *pAdmin, PrilldWriter *pW){
  CreateJob *p = (CreateJob*)pAdmin;
  PrillTopic *pTopic = topicCollides(pW->pStore, p->zName);
  int rc;
  if( prillStoreTopic(pW->pStore, p->zName) ){
    return prilldAdminRefuse(pW, &p->a, KE_TOPIC_ALREADY_EXISTS, "Topic '%s' already exists.", p->zName);
  }
  if( pTopic ){
    return prilldAdminRefuse(pW, &p->a, KE_INVALID_TOPIC_EXCEPTION, "Topic '%s' collides with existing topic: %s",
                             p->zName, pTopic->zName);
  }
  rc = topicParts(p, pW);
  if( rc==SQLITE_OK ) rc = topicConfig(p, pW);
  if( rc==SQLITE_OK ) rc = prillCatalogCreate(pW->pStore, p->zName, p->nPart, &p->cfg, 0, &pTopic);
  if( rc==SQLITE_OK && pTopic && !pAdmin->bTry ) memcpy(p->aUuid, pTopic->aUuid, 16);
  return rc;
}

/* The settings a topic was made with. */
static void topicCreateConfigs(CreateJob *p, WireCreateTopicsRespTopics *pR){
  PrillBuf buf = {0, 0, 0};
  int i, n = 0, rc = SQLITE_OK;
  while( prilldSetting(n) ) n++;
  pR->configs = (WireCreateTopicsRespTopicsConfigs*)prilldReqAlloc(p->a.job.pReq, (i64)sizeof(*pR->configs)*n);
  if( pR->configs==0 ) return;
  for(i=0; i<n; i++){
    WireCreateTopicsRespTopicsConfigs *pC = &pR->configs[i];
    int bDefault = 1;
    prilldSettingValue(&rc, &p->cfg, i, &buf, &bDefault);
    if( rc!=SQLITE_OK ) break;
    pC->name = prilldStr(prilldSetting(i)->zName);
    pC->value = prilldStr(prilldArenaDup(&p->a.job.pReq->arena, buf.a, buf.n));
    pC->readOnly = (i8)prilldSetting(i)->bFixed;
    pC->configSource = bDefault ? 5 : 1;
  }
  pR->nConfigs = i;
  prillBufFree(&buf);
}

static void topicCreated(AdminJob *pAdmin){
  CreateJob *p = (CreateJob*)pAdmin;
  WireCreateTopicsRespTopics *pR = (WireCreateTopicsRespTopics*)pAdmin->pOut;
  ADMIN_ANSWER(pR, pAdmin);
  if( pAdmin->iErr ) return;
  if( !pAdmin->bTry ) prilldLog(PRILLD_LOG_INFO, "made topic %s, %d partitions", p->zName, p->nPart);
  memcpy(pR->topicId.a, p->aUuid, 16);
  pR->numPartitions = p->nPart;
  pR->replicationFactor = 1;
  if( pAdmin->job.pReq->h.iVer>=5 ) topicCreateConfigs(p, pR);
}

static int topicCreateAdd(PrilldReq *p, const WireCreateTopicsReqTopics *pT, AdminJob **ppList, void *pOut){
  const WireCreateTopicsReq *pIn = (const WireCreateTopicsReq*)p->pIn;
  CreateJob *pJob = (CreateJob*)prilldAdminAdd(p, ppList, (i64)sizeof(*pJob));
  i32 i;
  if( pJob==0 ) return 1;
  pJob->a.xRun = topicCreateRun;
  pJob->a.xAnswer = topicCreated;
  pJob->a.pOut = pOut;
  pJob->a.bTry = pIn->validateOnly!=0;
  pJob->a.job.nByte = 100*(i64)PRILL_MAX(pT->numPartitions, 1);
  pJob->pIn = pT;
  pJob->nDefault = p->pD->conf.nPartitions;
  pJob->iNode = p->pD->conf.iNode;
  pJob->zName = prilldArenaDup(&p->arena, pT->name.z, pT->name.n);
  pJob->azConfig = (const char**)prilldReqAlloc(p, (i64)sizeof(char*)*2*PRILL_MAX(pT->nConfigs, 1));
  if( pJob->azConfig==0 || pJob->zName==0 ) return 1;
  for(i=0; i<pT->nConfigs; i++){
    pJob->azConfig[i*2] = prilldArenaDup(&p->arena, pT->configs[i].name.z, pT->configs[i].name.n);
    pJob->azConfig[i*2+1] = prilldArenaDup(&p->arena, pT->configs[i].value.z, pT->configs[i].value.n);
    if( pJob->azConfig[i*2]==0 ) pJob->azConfig[i*2] = "";
  }
  return 0;
}

void prilldApiCreateTopics(PrilldReq *p){
  const WireCreateTopicsReq *pIn = (const WireCreateTopicsReq*)p->pIn;
  WireCreateTopicsResp *pOut = (WireCreateTopicsResp*)p->pOut;
  AdminJob *pList = 0;
  WireStr *aName = (WireStr*)prilldReqAlloc(p, (i64)sizeof(WireStr)*PRILL_MAX(pIn->nTopics, 1));
  u8 *aTwice;
  i32 i;
  if( aName==0 ) return;
  for(i=0; i<pIn->nTopics; i++) aName[i] = pIn->topics[i].name;
  if( prilldAdminTwice(p, aName, pIn->nTopics, &aTwice) ) return;
  pOut->topics = (WireCreateTopicsRespTopics*)prilldReqAlloc(p, (i64)sizeof(*pOut->topics)*PRILL_MAX(pIn->nTopics, 1));
  if( pOut->topics==0 ) return;
  pOut->nTopics = pIn->nTopics;
  for(i=0; i<pIn->nTopics; i++){
    WireCreateTopicsRespTopics *pR = &pOut->topics[i];
    pR->name = aName[i];
    pR->errorMessage = prilldStr(0);
    pR->numPartitions = -1;
    pR->replicationFactor = -1;
    if( aTwice[i] ) ADMIN_REFUSE(pR, KE_INVALID_REQUEST, "Duplicate topic name.");
    else if( !prilldAdminName(aName[i]) ) ADMIN_REFUSE(pR, KE_INVALID_TOPIC_EXCEPTION, "Topic name is invalid: 1 to"
        " 249 of the characters a-z A-Z 0-9 . _ - and neither . nor ..");
    else if( topicCreateAdd(p, &pIn->topics[i], &pList, pR) ) return;
  }
  prilldAdminSubmit(p, pList);
}

/**************************************************************************
** DeleteTopics: by name, and from version 6 by id.
*/
typedef struct DeleteJob DeleteJob;
struct DeleteJob {
  AdminJob a;
  const char *zName;            /* NULL: by id */
  u8 aUuid[16];
  char zFound[250];
};

static PrillTopic *topicFind(PrillStore *pStore, const char *zName, const u8 *aUuid){
  PrillTopic *pTopic;
  if( zName ) return prillStoreTopic(pStore, zName);
  for(pTopic=pStore->pTopics; pTopic && memcmp(pTopic->aUuid, aUuid, 16)!=0; pTopic=pTopic->pNext){}
  return pTopic;
}

static int topicDeleteRun(AdminJob *pAdmin, PrilldWriter *pW){
  DeleteJob *p = (DeleteJob*)pAdmin;
  PrillTopic *pTopic = topicFind(pW->pStore, p->zName, p->aUuid);
  if( pTopic==0 ){
    return p->zName
      ? prilldAdminRefuse(pW, pAdmin, KE_UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.")
      : prilldAdminRefuse(pW, pAdmin, KE_UNKNOWN_TOPIC_ID, "This server does not host this topic ID.");
  }
  memcpy(p->aUuid, pTopic->aUuid, 16);
  memcpy(p->zFound, pTopic->zName, strlen(pTopic->zName)+1);
  return prillCatalogDrop(pW->pStore, p->zFound);
}

static void topicDeleted(AdminJob *pAdmin){
  DeleteJob *p = (DeleteJob*)pAdmin;
  WireDeleteTopicsRespResponses *pR = (WireDeleteTopicsRespResponses*)pAdmin->pOut;
  ADMIN_ANSWER(pR, pAdmin);
  if( pAdmin->iErr ) return;
  prilldLog(PRILLD_LOG_INFO, "deleted topic %s", p->zFound);
  pR->name = prilldStr(p->zFound);
  memcpy(pR->topicId.a, p->aUuid, 16);
}

static int topicIsZero(const u8 *a){
  int i;
  for(i=0; i<16 && a[i]==0; i++){}
  return i==16;
}

static int topicDeleteOne(
  PrilldReq *p, WireStr name, const u8 *aId, int bTwice, AdminJob **ppList, WireDeleteTopicsRespResponses *pR
){
  DeleteJob *pJob;
  int bId = aId && !topicIsZero(aId);
  pR->name = name;
  pR->errorMessage = prilldStr(0);
  if( aId ) memcpy(pR->topicId.a, aId, 16);
  if( !p->pD->conf.bDeleteTopic ){
    ADMIN_REFUSE(pR, p->h.iVer<3 ? KE_INVALID_REQUEST : KE_TOPIC_DELETION_DISABLED, "delete.topic.enable is false.");
  }else if( bTwice ){
    ADMIN_REFUSE(pR, KE_INVALID_REQUEST, bId ? "Duplicate topic id." : "Duplicate topic name.");
  }else if( bId && name.n>=0 ){
    ADMIN_REFUSE(pR, KE_INVALID_REQUEST, "You may not specify both topic name and topic id.");
  }else if( !bId && name.n<0 ){
    ADMIN_REFUSE(pR, KE_INVALID_REQUEST, "Neither topic name nor id were specified.");
  }else if( !bId && !prilldAdminName(name) ){
    ADMIN_REFUSE(pR, KE_UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.");
  }else{
    pJob = (DeleteJob*)prilldAdminAdd(p, ppList, (i64)sizeof(*pJob));
    if( pJob==0 ) return 1;
    pJob->a.xRun = topicDeleteRun;
    pJob->a.xAnswer = topicDeleted;
    pJob->a.pOut = pR;
    if( bId ) memcpy(pJob->aUuid, aId, 16);
    else pJob->zName = prilldArenaDup(&p->arena, name.z, name.n);
  }
  return 0;
}

void prilldApiDeleteTopics(PrilldReq *p){
  const WireDeleteTopicsReq *pIn = (const WireDeleteTopicsReq*)p->pIn;
  WireDeleteTopicsResp *pOut = (WireDeleteTopicsResp*)p->pOut;
  i32 i, n = p->h.iVer>=6 ? pIn->nTopics : pIn->nTopicNames;
  WireStr *aName = (WireStr*)prilldReqAlloc(p, (i64)sizeof(WireStr)*PRILL_MAX(n, 1));
  AdminJob *pList = 0;
  u8 *aTwice;
  if( aName==0 ) return;
  for(i=0; i<n; i++){
    aName[i] = p->h.iVer>=6 ? pIn->topics[i].name : pIn->topicNames[i];
    if( aName[i].n<0 ){
      aName[i].z = (const char*)pIn->topics[i].topicId.a;
      aName[i].n = 16;
    }
  }
  if( prilldAdminTwice(p, aName, n, &aTwice) ) return;
  pOut->responses = (WireDeleteTopicsRespResponses*)prilldReqAlloc(p, (i64)sizeof(*pOut->responses)*PRILL_MAX(n, 1));
  if( pOut->responses==0 ) return;
  pOut->nResponses = n;
  for(i=0; i<n; i++){
    int b6 = p->h.iVer>=6;
    if( topicDeleteOne(p, b6 ? pIn->topics[i].name : aName[i], b6 ? pIn->topics[i].topicId.a : 0, aTwice[i], &pList,
                       &pOut->responses[i]) ) return;
  }
  prilldAdminSubmit(p, pList);
}

/**************************************************************************
** CreatePartitions.
*/
typedef struct GrowJob GrowJob;
struct GrowJob {
  AdminJob a;
  const WireCreatePartitionsReqTopics *pIn;
  const char *zName;
  i64 iNode;
};

static int topicGrowRun(AdminJob *pAdmin, PrilldWriter *pW){
  GrowJob *p = (GrowJob*)pAdmin;
  const WireCreatePartitionsReqTopics *pIn = p->pIn;
  PrillTopic *pTopic = p->zName ? prillStoreTopic(pW->pStore, p->zName) : 0;
  i32 i;
  if( pTopic==0 ){
    return prilldAdminRefuse(pW, pAdmin, KE_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%s' does not exist.",
                             p->zName ? p->zName : "");
  }
  if( pIn->count<=pTopic->nPart ){
    return prilldAdminRefuse(pW, pAdmin, KE_INVALID_PARTITIONS, pIn->count==pTopic->nPart
        ? "Topic already has %d partition(s)."
        : "The topic currently has %d partition(s); %d would not be an increase.", pTopic->nPart, pIn->count);
  }
  if( pIn->count>TOPIC_MX_PART ){
    return prilldAdminRefuse(pW, pAdmin, KE_INVALID_PARTITIONS, "A topic has at most %d partitions.", TOPIC_MX_PART);
  }
  if( pIn->nAssignments>=0 && pIn->nAssignments!=pIn->count-pTopic->nPart ){
    return prilldAdminRefuse(pW, pAdmin, KE_INVALID_REPLICA_ASSIGNMENT, "Attempted to add %d additional partition(s),"
        " but %d assignment(s) were specified.", pIn->count-pTopic->nPart, pIn->nAssignments);
  }
  for(i=0; i<pIn->nAssignments; i++){
    if( pIn->assignments[i].nBrokerIds!=1 || pIn->assignments[i].brokerIds[0]!=p->iNode ){
      return prilldAdminRefuse(pW, pAdmin, KE_INVALID_REPLICA_ASSIGNMENT, "Each new partition must have one replica,"
          " on broker %lld: there is no other", p->iNode);
    }
  }
  return prillCatalogAddPartitions(pW->pStore, p->zName, pIn->count);
}

static void topicGrown(AdminJob *pAdmin){
  WireCreatePartitionsRespResults *pR = (WireCreatePartitionsRespResults*)pAdmin->pOut;
  ADMIN_ANSWER(pR, pAdmin);
}

void prilldApiCreatePartitions(PrilldReq *p){
  const WireCreatePartitionsReq *pIn = (const WireCreatePartitionsReq*)p->pIn;
  WireCreatePartitionsResp *pOut = (WireCreatePartitionsResp*)p->pOut;
  i32 i, n = pIn->nTopics;
  WireStr *aName = (WireStr*)prilldReqAlloc(p, (i64)sizeof(WireStr)*PRILL_MAX(n, 1));
  AdminJob *pList = 0;
  u8 *aTwice;
  if( aName==0 ) return;
  for(i=0; i<n; i++) aName[i] = pIn->topics[i].name;
  if( prilldAdminTwice(p, aName, n, &aTwice) ) return;
  pOut->results = (WireCreatePartitionsRespResults*)prilldReqAlloc(p, (i64)sizeof(*pOut->results)*PRILL_MAX(n, 1));
  if( pOut->results==0 ) return;
  pOut->nResults = n;
  for(i=0; i<n; i++){
    WireCreatePartitionsRespResults *pR = &pOut->results[i];
    GrowJob *pJob;
    pR->name = aName[i];
    pR->errorMessage = prilldStr(0);
    if( aTwice[i] ){
      ADMIN_REFUSE(pR, KE_INVALID_REQUEST, "Duplicate topic name.");
      continue;
    }
    pJob = (GrowJob*)prilldAdminAdd(p, &pList, (i64)sizeof(*pJob));
    if( pJob==0 ) return;
    pJob->a.xRun = topicGrowRun;
    pJob->a.xAnswer = topicGrown;
    pJob->a.pOut = pR;
    pJob->a.bTry = pIn->validateOnly!=0;
    pJob->a.job.nByte = 100*(i64)PRILL_MAX(pIn->topics[i].count, 1);
    pJob->pIn = &pIn->topics[i];
    pJob->iNode = p->pD->conf.iNode;
    pJob->zName = prilldAdminName(aName[i]) ? prilldArenaDup(&p->arena, aName[i].z, aName[i].n) : 0;
  }
  prilldAdminSubmit(p, pList);
}

/**************************************************************************
** DeleteRecords: one job; each partition is asked for once.
*/
typedef struct TrimPart TrimPart;
struct TrimPart {
  const char *zTopic;
  i64 iOff;
  WireDeleteRecordsRespTopicsPartitions *pOut;
  i64 iLow;
  i16 iErr;
};
typedef struct TrimJob TrimJob;
struct TrimJob {
  AdminJob a;
  TrimPart *aPart;
  i32 n;
};

static int topicTrimCompare(const void *pA, const void *pB){
  const TrimPart *a = (const TrimPart*)pA, *b = (const TrimPart*)pB;
  int c = strcmp(a->zTopic, b->zTopic);
  return c ? c : a->pOut->partitionIndex<b->pOut->partitionIndex ? -1
       : a->pOut->partitionIndex>b->pOut->partitionIndex;
}

static int topicTrimOne(TrimPart *t, PrilldWriter *pW){
  PrillTopic *pTopic = prillStoreTopic(pW->pStore, t->zTopic);
  PrillPart *pPart;
  i64 iOff = t->iOff, iEnd;
  int rc;
  if( pTopic==0 || t->pOut->partitionIndex<0 || t->pOut->partitionIndex>=pTopic->nPart ){
    t->iErr = KE_UNKNOWN_TOPIC_OR_PARTITION;
    return SQLITE_OK;
  }
  pPart = pTopic->apPart[t->pOut->partitionIndex];
  rc = prillPartLoad(pPart);
  if( rc!=SQLITE_OK ) return rc;
  iEnd = prillPartEnd(pPart);
  if( iOff==-1 ) iOff = iEnd;
  if( (pTopic->cfg.mCleanup & PRILL_DELETE)==0 ) t->iErr = KE_POLICY_VIOLATION;
  else if( iOff<0 || iOff>iEnd ) t->iErr = KE_OFFSET_OUT_OF_RANGE;
  if( t->iErr ) return SQLITE_OK;
  t->iLow = PRILL_MAX(iOff, pPart->x.iLogStart);
  return iOff>pPart->x.iLogStart ? prillTrimLogStart(pPart, iOff) : SQLITE_OK;
}

static int topicTrimRun(AdminJob *pAdmin, PrilldWriter *pW){
  TrimJob *p = (TrimJob*)pAdmin;
  int rc = SQLITE_OK;
  i32 i;
  for(i=0; i<p->n && rc==SQLITE_OK; i++){
    if( p->aPart[i].iErr==KE_NONE ) rc = topicTrimOne(&p->aPart[i], pW);
  }
  return rc;
}

static void topicTrimmed(AdminJob *pAdmin){
  TrimJob *p = (TrimJob*)pAdmin;
  i32 i;
  for(i=0; i<p->n; i++){
    TrimPart *t = &p->aPart[i];
    t->pOut->errorCode = t->iErr ? t->iErr : pAdmin->iErr;
    t->pOut->lowWatermark = t->pOut->errorCode ? -1 : t->iLow;
  }
}

void prilldApiDeleteRecords(PrilldReq *p){
  const WireDeleteRecordsReq *pIn = (const WireDeleteRecordsReq*)p->pIn;
  WireDeleteRecordsResp *pOut = (WireDeleteRecordsResp*)p->pOut;
  AdminJob *pList = 0;
  TrimJob *pJob = (TrimJob*)prilldAdminAdd(p, &pList, (i64)sizeof(*pJob));
  i32 i, j, n = 1;
  for(i=0; i<pIn->nTopics; i++) n += PRILL_MAX(pIn->topics[i].nPartitions, 0);
  if( pJob ) pJob->aPart = (TrimPart*)prilldReqAlloc(p, (i64)sizeof(TrimPart)*n);
  if( pJob==0 || pJob->aPart==0 ) return;
  pJob->a.xRun = topicTrimRun;
  pJob->a.xAnswer = topicTrimmed;
  pOut->topics = (WireDeleteRecordsRespTopics*)prilldReqAlloc(p, (i64)sizeof(*pOut->topics)*PRILL_MAX(pIn->nTopics, 1));
  if( pOut->topics==0 ) return;
  pOut->nTopics = pIn->nTopics;
  for(i=0; i<pIn->nTopics; i++){
    const WireDeleteRecordsReqTopics *pT = &pIn->topics[i];
    WireDeleteRecordsRespTopics *pR = &pOut->topics[i];
    const char *zTopic = prilldArenaDup(&p->arena, pT->name.z, pT->name.n);
    pR->name = pT->name;
    pR->partitions = (WireDeleteRecordsRespTopicsPartitions*)
        prilldReqAlloc(p, (i64)sizeof(*pR->partitions)*PRILL_MAX(pT->nPartitions, 1));
    if( pR->partitions==0 || zTopic==0 ) return;
    pR->nPartitions = pT->nPartitions;
    for(j=0; j<pT->nPartitions; j++){
      TrimPart *t = &pJob->aPart[pJob->n++];
      t->zTopic = zTopic;
      t->iOff = pT->partitions[j].offset;
      t->pOut = &pR->partitions[j];
      t->pOut->partitionIndex = pT->partitions[j].partitionIndex;
    }
  }
  qsort(pJob->aPart, (size_t)pJob->n, sizeof(TrimPart), topicTrimCompare);
  for(i=1; i<pJob->n; i++){
    if( topicTrimCompare(&pJob->aPart[i-1], &pJob->aPart[i])==0 ){
      pJob->aPart[i-1].iErr = pJob->aPart[i].iErr = KE_INVALID_REQUEST;
    }
  }
  prilldAdminSubmit(p, pList);
}
