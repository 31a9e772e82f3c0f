/*
** api_groups.c: groups as an administrator sees them: ListGroups,
** DescribeGroups, DeleteGroups, OffsetDelete.
**
** A group of Kafka's clients is the one in memory, where there is one; every other
** is read from its rows: groups of SQL's consumers too, which are told as
** Kafka's are.  A group that has offsets and no row is Empty, without a type.
*/
#include "admin.h"
#include "group.h"

/* A group to look at: in memory, or read for the occasion. */
typedef struct GroupsLook GroupsLook;
struct GroupsLook {
  PrillGroup *g;                /* NULL: it has no row */
  PrillGroup *pOwn;             /* to be freed, or NULL */
  int eKind;                    /* 0: it has no row */
  const char *zType, *zState;
};

/* Kafka's name of what the members of a group speak. */
static const char *groupsType(const PrillGroup *g, int eKind){
  if( eKind==PRILL_KIND_KAFKA ) return g->zProtocolType ? g->zProtocolType : "";
  return eKind==PRILL_KIND_SQL ? "consumer" : eKind==PRILL_KIND_QUEUE ? "share" : "";
}

/* With the view held. */
static int groupsLook(Prilld *pD, const char *zGroup, GroupsLook *p){
  PrilldGroup *pMem = prilldGroupFind(pD, prilldStr(zGroup));
  PrillGroupConf conf;
  int rc = SQLITE_OK;
  memset(p, 0, sizeof(*p));
  p->zType = "";
  p->zState = prillGroupStateName(PRILL_GROUP_EMPTY);
  if( pMem ){
    p->g = pMem->g;
    p->eKind = PRILL_KIND_KAFKA;
  }else{
    prillGroupConfDefault(&conf);
    rc = prillGroupRowKind(pD->view.pStore, zGroup, &p->eKind);
    if( rc==SQLITE_OK && (p->eKind==PRILL_KIND_KAFKA || p->eKind==PRILL_KIND_SQL) ){
      rc = prillGroupRowLoad(pD->view.pStore, zGroup, &conf, p->eKind, &p->pOwn);
      if( rc==SQLITE_OK && p->pOwn ) rc = prillGroupStart(p->pOwn, pD->now);
      p->g = p->pOwn;
    }
  }
  if( rc==SQLITE_OK && p->g ) p->zState = prillGroupStateName(p->g->eState);
  if( rc==SQLITE_OK && (p->g || p->eKind==PRILL_KIND_QUEUE) ) p->zType = groupsType(p->g, p->eKind);
  return rc;
}

static void groupsLookEnd(GroupsLook *p){
  prillGroupFree(p->pOwn);
  memset(p, 0, sizeof(*p));
}

static WireStr groupsCopy(PrilldReq *p, const char *z){
  return prilldStr(z ? prilldArenaDup(&p->arena, z, (i64)strlen(z)) : 0);
}

/**************************************************************************
** ListGroups.
*/
static int groupsListed(PrilldReq *p, const char *zState){
  const WireListGroupsReq *pIn = (const WireListGroupsReq*)p->pIn;
  i32 i;
  if( p->h.iVer<4 || pIn->nStatesFilter<=0 ) return 1;
  for(i=0; i<pIn->nStatesFilter; i++){
    WireStr s = pIn->statesFilter[i];
    if( s.n==(i32)strlen(zState) && sqlite3_strnicmp(s.z, zState, s.n)==0 ) return 1;
  }
  return 0;
}

static int groupsListOne(PrilldReq *p, const char *zGroup, WireListGroupsResp *pOut){
  GroupsLook look;
  int rc = groupsLook(p->pD, zGroup, &look);
  if( rc==SQLITE_OK && groupsListed(p, look.zState) ){
    WireListGroupsRespGroups *pR = &pOut->groups[pOut->nGroups++];
    pR->groupId = groupsCopy(p, zGroup);
    pR->protocolType = groupsCopy(p, look.zType);
    pR->groupState = prilldStr(look.zState);
    if( pR->groupId.n<0 || pR->protocolType.n<0 ) rc = SQLITE_NOMEM;
  }
  groupsLookEnd(&look);
  return rc;
}

/* Names of groups, stored or only in memory yet, in *pBuf. */
static int groupsNames(Prilld *pD, PrillBuf *pBuf){
  PrilldGroup *pMem;
  i64 i;
  int rc = prillGroupRowNames(pD->view.pStore, pBuf);
  for(pMem=pD->pGroups; pMem; pMem=pMem->pNext) pMem->bStored = 0;
  for(i=0; i<pBuf->n; i+=(i64)strlen((char*)pBuf->a+i)+1){
    pMem = prilldGroupFind(pD, prilldStr((char*)pBuf->a+i));
    if( pMem ) pMem->bStored = 1;
  }
  for(pMem=pD->pGroups; pMem; pMem=pMem->pNext){
    if( !pMem->bStored ) prillBufAppend(&rc, pBuf, pMem->g->zGroup, (i64)strlen(pMem->g->zGroup)+1);
  }
  return rc;
}

void prilldApiListGroups(PrilldReq *p){
  WireListGroupsResp *pOut = (WireListGroupsResp*)p->pOut;
  PrillBuf names = {0, 0, 0};
  i64 i, n = 0;
  int rc = prilldViewBegin(&p->pD->view);
  if( rc!=SQLITE_OK ){
    prilldReqClose(p);
    return;
  }
  rc = groupsNames(p->pD, &names);
  for(i=0; rc==SQLITE_OK && i<names.n; i++) n += names.a[i]==0;
  pOut->groups = (WireListGroupsRespGroups*)prilldArenaAlloc(&p->arena, (i64)sizeof(*pOut->groups)*PRILL_MAX(n, 1));
  if( pOut->groups==0 ) rc = SQLITE_NOMEM;
  for(i=0; rc==SQLITE_OK && i<names.n; i+=(i64)strlen((char*)names.a+i)+1){
    rc = groupsListOne(p, (const char*)names.a+i, pOut);
  }
  prilldViewEnd(&p->pD->view);
  prillBufFree(&names);
  if( rc!=SQLITE_OK ){
    pOut->nGroups = 0;
    pOut->errorCode = KE_COORDINATOR_NOT_AVAILABLE;
  }
  prilldReqReply(p);
}

/**************************************************************************
** DescribeGroups.
*/
static WireBytes groupsBytes(PrilldReq *p, const u8 *a, i64 n){
  WireBytes b;
  b.a = n>0 ? (const u8*)prilldArenaDup(&p->arena, a, n) : 0;
  b.n = b.a ? (i32)n : 0;
  if( b.a==0 ) b.a = (const u8*)"";
  return b;
}

/* What a consumer in SQL subscribes and works on, as a Kafka client would have
** said it. */
static int groupsSqlMember(PrilldReq *p, const PrillGroup *g, PrillMember *m, WireDescribeGroupsRespGroupsMembers *pM){
  PrillSubscription sub;
  PrillBuf buf = {0, 0, 0};
  int rc = SQLITE_OK;
  memset(&sub, 0, sizeof(sub));
  sub.aTopic = m->aTopic;
  sub.nTopic = m->nTopic;
  sub.nUser = -1;
  sub.nRack = -1;
  prillSubscriptionEncode(&rc, &buf, &g->topics, &sub, 0);
  if( rc==SQLITE_OK ) pM->memberMetadata = groupsBytes(p, buf.a, buf.n);
  buf.n = 0;
  prillAssignmentEncode(&rc, &buf, &g->topics, &m->owned, 0);
  if( rc==SQLITE_OK ) pM->memberAssignment = groupsBytes(p, buf.a, buf.n);
  prillBufFree(&buf);
  return rc;
}

static int groupsMembers(PrilldReq *p, const GroupsLook *pLook, WireDescribeGroupsRespGroups *pR){
  const PrillGroup *g = pLook->g;
  int i, rc = SQLITE_OK;
  int bStable = g->eState==PRILL_GROUP_STABLE;
  pR->members = (WireDescribeGroupsRespGroupsMembers*)
      prilldArenaAlloc(&p->arena, (i64)sizeof(*pR->members)*PRILL_MAX(g->nMember, 1));
  if( pR->members==0 ) return SQLITE_NOMEM;
  for(i=0; i<g->nMember && rc==SQLITE_OK; i++){
    PrillMember *m = g->apMember[i];
    WireDescribeGroupsRespGroupsMembers *pM = &pR->members[pR->nMembers];
    const PrillProtocol *pMeta;
    if( m->bPending ) continue;
    pR->nMembers++;
    pM->memberId = groupsCopy(p, m->zMember);
    pM->groupInstanceId = groupsCopy(p, m->zInstance);
    pM->clientId = groupsCopy(p, m->zClient ? m->zClient : "");
    pM->clientHost = groupsCopy(p, m->zHost ? m->zHost : "");
    pM->memberMetadata = pM->memberAssignment = groupsBytes(p, 0, 0);
    if( pLook->eKind==PRILL_KIND_SQL ){
      rc = groupsSqlMember(p, g, m, pM);
    }else if( bStable ){
      pMeta = prillMemberMeta(g, m);
      if( pMeta ) pM->memberMetadata = groupsBytes(p, pMeta->aMeta, pMeta->nMeta);
      pM->memberAssignment = groupsBytes(p, m->aAssign, m->nAssign);
    }
  }
  return rc;
}

/* Has a group without a row any offsets? */
static int groupsRow(void *pArg, PrillPart *pPart, i64 iOff, i64 iEpoch, const char *zMeta){
  (void)pPart; (void)iOff; (void)iEpoch; (void)zMeta;
  (*(int*)pArg)++;
  return SQLITE_OK;
}

static int groupsDescribe(PrilldReq *p, WireStr group, WireDescribeGroupsRespGroups *pR){
  const char *zGroup = prilldReqText(p, group);
  GroupsLook look;
  int n = 0, rc;
  pR->groupId = group;
  pR->protocolType = pR->protocolData = prilldStr("");
  pR->groupState = prilldStr(prillGroupStateName(PRILL_GROUP_DEAD));
  if( zGroup==0 ) return SQLITE_NOMEM;
  if( (i32)strlen(zGroup)!=group.n ) return SQLITE_OK;            /* no group has a NUL in its name */
  rc = groupsLook(p->pD, zGroup, &look);
  if( rc==SQLITE_OK && look.eKind==0 ) rc = prillOffsetEach(p->pD->view.pStore, zGroup, groupsRow, &n);
  if( rc==SQLITE_OK && (look.eKind || n>0) ){
    pR->groupState = prilldStr(look.zState);
    pR->protocolType = groupsCopy(p, look.zType);
    if( look.g && look.g->zProtocol && (look.g->eState==PRILL_GROUP_STABLE || look.eKind==PRILL_KIND_SQL) ){
      pR->protocolData = groupsCopy(p, look.g->zProtocol);
    }
    if( look.g ) rc = groupsMembers(p, &look, pR);
  }
  groupsLookEnd(&look);
  return rc;
}

void prilldApiDescribeGroups(PrilldReq *p){
  const WireDescribeGroupsReq *pIn = (const WireDescribeGroupsReq*)p->pIn;
  WireDescribeGroupsResp *pOut = (WireDescribeGroupsResp*)p->pOut;
  i32 i;
  pOut->groups = (WireDescribeGroupsRespGroups*)
      prilldReqAlloc(p, (i64)sizeof(*pOut->groups)*PRILL_MAX(pIn->nGroups, 1));
  if( pOut->groups==0 ) return;
  if( prilldViewBegin(&p->pD->view)!=SQLITE_OK ){
    prilldReqClose(p);
    return;
  }
  pOut->nGroups = pIn->nGroups;
  for(i=0; i<pIn->nGroups; i++){
    WireDescribeGroupsRespGroups *pR = &pOut->groups[i];
    pR->authorizedOperations = pIn->includeAuthorizedOperations ? PRILLD_OPS_GROUP : PRILLD_OPS_NONE;
    if( groupsDescribe(p, pIn->groups[i], pR)!=SQLITE_OK ){
      pR->nMembers = 0;
      pR->errorCode = KE_COORDINATOR_NOT_AVAILABLE;
      pR->groupState = pR->protocolType = pR->protocolData = prilldStr("");
    }
  }
  prilldViewEnd(&p->pD->view);
  prilldReqReply(p);
}

/**************************************************************************
** DeleteGroups: a group of Kafka's clients by its machine, then its rows; the
** others by their rows, in the transaction that deletes them.
*/
typedef struct DropJob DropJob;
struct DropJob {
  AdminJob a;
  const char *zGroup;
};

static int groupsDropRun(AdminJob *pAdmin, PrilldWriter *pW){
  DropJob *p = (DropJob*)pAdmin;
  PrillStore *pStore = pW->pStore;
  PrillGroupConf conf;
  PrillGroup *g = 0;
  int eKind = 0, n = 0, nMember;
  int rc = prillGroupRowKind(pStore, p->zGroup, &eKind);
  if( rc==SQLITE_OK ) rc = prillOffsetEach(pStore, p->zGroup, groupsRow, &n);
  if( rc!=SQLITE_OK ) return rc;
  if( eKind==0 && n==0 ) return prilldAdminRefuse(pW, pAdmin, KE_GROUP_ID_NOT_FOUND, "no such group");
  if( eKind!=0 ){
    prillGroupConfDefault(&conf);
    rc = prillGroupRowLoad(pStore, p->zGroup, &conf, eKind, &g);
    nMember = g ? g->nMember : 0;
    prillGroupFree(g);
    if( rc==SQLITE_OK && nMember>0 ) return prilldAdminRefuse(pW, pAdmin, KE_NON_EMPTY_GROUP, "it has members");
  }
  return rc==SQLITE_OK ? prillGroupRowDelete(pStore, p->zGroup) : rc;
}

static void groupsDropped(AdminJob *pAdmin){
  WireDeleteGroupsRespResults *pR = (WireDeleteGroupsRespResults*)pAdmin->pOut;
  if( pAdmin->iErr==KE_NONE ) prilldLog(PRILLD_LOG_INFO, "deleted group %s", ((DropJob*)pAdmin)->zGroup);
  pR->errorCode = pAdmin->iErr;
}

/* The machine's word: 0, or Kafka's error.  A group it lets go is gone from memory. */
static i16 groupsLet(PrilldReq *p, const char *zGroup){
  PrilldGroup *pGroup = prilldGroupFind(p->pD, prilldStr(zGroup));
  PrillGroupEvent ev;
  i16 iErr;
  if( pGroup==0 ) return KE_NONE;
  memset(&ev, 0, sizeof(ev));
  ev.eType = PRILL_EV_DELETE;
  ev.iGeneration = -1;
  iErr = prilldGroupEvent(pGroup, &ev);
  if( iErr==KE_NONE ) prilldGroupForget(pGroup);
  return iErr;
}

void prilldApiDeleteGroups(PrilldReq *p){
  const WireDeleteGroupsReq *pIn = (const WireDeleteGroupsReq*)p->pIn;
  WireDeleteGroupsResp *pOut = (WireDeleteGroupsResp*)p->pOut;
  AdminJob *pList = 0;
  i32 i;
  pOut->results = (WireDeleteGroupsRespResults*)
      prilldReqAlloc(p, (i64)sizeof(*pOut->results)*PRILL_MAX(pIn->nGroupsNames, 1));
  if( pOut->results==0 ) return;
  pOut->nResults = pIn->nGroupsNames;
  for(i=0; i<pIn->nGroupsNames; i++){
    WireDeleteGroupsRespResults *pR = &pOut->results[i];
    const char *zGroup = prilldReqText(p, pIn->groupsNames[i]);
    DropJob *pJob;
    pR->groupId = pIn->groupsNames[i];
    if( zGroup==0 || (i32)strlen(zGroup)!=pIn->groupsNames[i].n ) pR->errorCode = KE_INVALID_GROUP_ID;
    else pR->errorCode = groupsLet(p, zGroup);
    if( pR->errorCode ) continue;
    pJob = (DropJob*)prilldAdminAdd(p, &pList, (i64)sizeof(*pJob));
    if( pJob==0 ) return;
    pJob->a.xRun = groupsDropRun;
    pJob->a.xAnswer = groupsDropped;
    pJob->a.pOut = pR;
    pJob->zGroup = zGroup;
  }
  prilldAdminSubmit(p, pList);
}

/**************************************************************************
** OffsetDelete.
*/
typedef struct OffsetPart OffsetPart;
struct OffsetPart {
  const char *zTopic;
  WireOffsetDeleteRespTopicsPartitions *pOut;
  i16 iErr;
};
typedef struct OffsetJob OffsetJob;
struct OffsetJob {
  AdminJob a;
  const char *zGroup;
  OffsetPart *aPart;
  i32 n;
};

static int groupsOffsetRun(AdminJob *pAdmin, PrilldWriter *pW){
  OffsetJob *p = (OffsetJob*)pAdmin;
  int rc = SQLITE_OK;
  i32 i;
  for(i=0; i<p->n && rc==SQLITE_OK; i++){
    OffsetPart *t = &p->aPart[i];
    PrillTopic *pTopic = prillStoreTopic(pW->pStore, t->zTopic);
    i32 iPart = t->pOut->partitionIndex;
    if( t->iErr ) continue;
    if( pTopic==0 || iPart<0 || iPart>=pTopic->nPart ) t->iErr = KE_UNKNOWN_TOPIC_OR_PARTITION;
    else rc = prillOffsetDelete(pW->pStore, p->zGroup, pTopic->apPart[iPart]);
  }
  return rc;
}

static void groupsOffsetDone(AdminJob *pAdmin){
  OffsetJob *p = (OffsetJob*)pAdmin;
  i32 i;
  for(i=0; i<p->n; i++) p->aPart[i].pOut->errorCode = pAdmin->iErr ? pAdmin->iErr : p->aPart[i].iErr;
}

/* May offsets of the group be deleted, those of subscribed topics apart?  Kafka's
** error for the whole request; *pbMembers: topics must be looked at. */
static i16 groupsOffsetMay(PrilldReq *p, const char *zGroup, GroupsLook *pLook, int *pbMembers){
  int n = 0;
  int rc = groupsLook(p->pD, zGroup, pLook);
  if( rc==SQLITE_OK && pLook->eKind==0 ) rc = prillOffsetEach(p->pD->view.pStore, zGroup, groupsRow, &n);
  if( rc!=SQLITE_OK ) return KE_COORDINATOR_NOT_AVAILABLE;
  if( pLook->eKind==0 ) return n>0 ? KE_NONE : KE_GROUP_ID_NOT_FOUND;
  if( pLook->eKind==PRILL_KIND_QUEUE ) return KE_NON_EMPTY_GROUP;
  if( pLook->g==0 || pLook->g->eState==PRILL_GROUP_EMPTY ) return KE_NONE;
  *pbMembers = 1;
  return strcmp(pLook->zType, "consumer")==0 ? KE_NONE : KE_NON_EMPTY_GROUP;
}

/* The lists of request and response.  1: the connection is closed. */
static int groupsOffsetList(PrilldReq *p, OffsetJob *pJob, const GroupsLook *pLook, int bMembers){
  const WireOffsetDeleteReq *pIn = (const WireOffsetDeleteReq*)p->pIn;
  WireOffsetDeleteResp *pOut = (WireOffsetDeleteResp*)p->pOut;
  i32 i, j, n = 1;
  for(i=0; i<pIn->nTopics; i++) n += PRILL_MAX(pIn->topics[i].nPartitions, 0);
  pJob->aPart = (OffsetPart*)prilldReqAlloc(p, (i64)sizeof(OffsetPart)*n);
  if( pJob->aPart==0 ) return 1;
  pOut->topics = (WireOffsetDeleteRespTopics*)prilldReqAlloc(p, (i64)sizeof(*pOut->topics)*PRILL_MAX(pIn->nTopics, 1));
  if( pOut->topics==0 ) return 1;
  pOut->nTopics = pIn->nTopics;
  for(i=0; i<pIn->nTopics; i++){
    const WireOffsetDeleteReqTopics *pT = &pIn->topics[i];
    WireOffsetDeleteRespTopics *pR = &pOut->topics[i];
    const char *zTopic = prilldReqText(p, pT->name);
    int bBusy = zTopic && bMembers && prillGroupSubscribes(pLook->g, zTopic);
    pR->name = pT->name;
    pR->partitions = (WireOffsetDeleteRespTopicsPartitions*)
        prilldReqAlloc(p, (i64)sizeof(*pR->partitions)*PRILL_MAX(pT->nPartitions, 1));
    if( pR->partitions==0 || zTopic==0 ) return 1;
    pR->nPartitions = pT->nPartitions;
    for(j=0; j<pT->nPartitions; j++){
      OffsetPart *t = &pJob->aPart[pJob->n++];
      t->zTopic = zTopic;
      t->pOut = &pR->partitions[j];
      t->pOut->partitionIndex = pT->partitions[j].partitionIndex;
      t->iErr = bBusy ? KE_GROUP_SUBSCRIBED_TO_TOPIC : KE_NONE;
    }
  }
  return 0;
}

void prilldApiOffsetDelete(PrilldReq *p){
  const WireOffsetDeleteReq *pIn = (const WireOffsetDeleteReq*)p->pIn;
  WireOffsetDeleteResp *pOut = (WireOffsetDeleteResp*)p->pOut;
  const char *zGroup = prilldReqText(p, pIn->groupId);
  AdminJob *pList = 0;
  OffsetJob *pJob = (OffsetJob*)prilldAdminAdd(p, &pList, (i64)sizeof(*pJob));
  GroupsLook look;
  int bMembers = 0, bGone = 0;
  if( pJob==0 ) return;
  memset(&look, 0, sizeof(look));
  if( zGroup==0 || prilldViewBegin(&p->pD->view)!=SQLITE_OK ){
    prilldReqClose(p);
    return;
  }
  pOut->errorCode = pIn->groupId.n==0 || (i32)strlen(zGroup)!=pIn->groupId.n ? KE_INVALID_GROUP_ID
                  : groupsOffsetMay(p, zGroup, &look, &bMembers);
  if( pOut->errorCode==KE_NONE ) bGone = groupsOffsetList(p, pJob, &look, bMembers);
  groupsLookEnd(&look);
  prilldViewEnd(&p->pD->view);
  if( bGone ) return;
  pJob->a.xRun = groupsOffsetRun;
  pJob->a.xAnswer = groupsOffsetDone;
  pJob->zGroup = zGroup;
  prilldAdminSubmit(p, pOut->errorCode ? 0 : pList);
}
