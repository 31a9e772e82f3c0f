/*
** coordinator.c: Kafka's groups: the state machine of layer 4, its rows and
** its timers.
**
** A group is loaded when somebody asks for it and stays in memory while it has
** members: without, the next request loads its rows anew, which SQL may have changed or
** deleted meanwhile.  An event's
** actions are stores, then answers.  The stores of one event are one job; its
** answers, whose contents are taken at the time of the event, are sent when
** that has committed.  While an earlier job of the group is under way, answers
** without stores go through a job too: so none overtakes.
**
** A request that waits for a rebalance is kept by the group (nPending), whether
** or not its connection lives: the machine answers each exactly once.
**
** Who stalls a rebalance is told in the group's row, once a second while it lasts
** longer than that: the row as it was, for a group that is loaded again must begin
** where its last rebalance ended, and the names after it (prillGroupTell).
**
** When a store fails the group is dropped from memory: who waits is told
** COORDINATOR_NOT_AVAILABLE, and the next request loads what was committed.
*/
#include "group.h"

#define GROUP_TELL_MS 1000

/* One row to write, or to delete. */
typedef struct GroupRow GroupRow;
struct GroupRow {
  GroupRow *pNext;
  int eAct;
  char *zMember;
  i64 iPolled;
  PrillBuf state;
};
/* An answer to send once they are. */
typedef struct GroupReply GroupReply;
struct GroupReply {
  GroupReply *pNext;
  PrilldReq *pReq;
};
typedef struct GroupJob GroupJob;
struct GroupJob {
  PrilldJob job;
  PrilldGroup *pGroup;
  char *zGroup;
  GroupRow *pRows, **ppRow;
  GroupReply *pReplies, **ppReply;
};

const char *prilldReqText(PrilldReq *p, WireStr s){
  return s.n<0 ? 0 : prilldArenaDup(&p->arena, s.z, s.n);
}

/**************************************************************************
** Groups by name.  Clients choose the names: the hash is of a kind that nobody can
** find collisions of.
*/
static PrilldGroup **groupBucket(Prilld *pD, const char *z, i64 n){
  u64 aHash[2];
  prillSipHash(pD->aGroupKey, z, n, aHash);
  return &pD->apGroup[aHash[0] & (u64)(pD->nBucket-1)];
}

static void groupHash(PrilldGroup *p){
  PrilldGroup **pp = groupBucket(p->pD, p->g->zGroup, (i64)strlen(p->g->zGroup));
  p->pHash = *pp;
  *pp = p;
}

/* One more: twice as many buckets where there are too few. */
static int groupLink(PrilldGroup *p){
  Prilld *pD = p->pD;
  PrilldGroup *pOld;
  if( pD->nGroup>=pD->nBucket ){
    int n = pD->nBucket ? 2*pD->nBucket : 64;
    PrilldGroup **ap = (PrilldGroup**)sqlite3_malloc64(sizeof(*ap)*(u64)n);
    if( ap==0 ) return SQLITE_NOMEM;
    if( pD->nBucket==0 ) sqlite3_randomness((int)sizeof(pD->aGroupKey), pD->aGroupKey);
    memset(ap, 0, sizeof(*ap)*(size_t)n);
    sqlite3_free(pD->apGroup);
    pD->apGroup = ap;
    pD->nBucket = n;
    for(pOld=pD->pGroups; pOld; pOld=pOld->pNext) groupHash(pOld);
  }
  p->pNext = pD->pGroups;
  if( p->pNext ) p->pNext->ppPrev = &p->pNext;
  p->ppPrev = &pD->pGroups;
  pD->pGroups = p;
  pD->nGroup++;
  groupHash(p);
  return SQLITE_OK;
}

static void groupUnlink(PrilldGroup *p){
  PrilldGroup **pp = groupBucket(p->pD, p->g->zGroup, (i64)strlen(p->g->zGroup));
  while( *pp!=p ) pp = &(*pp)->pHash;
  *pp = p->pHash;
  *p->ppPrev = p->pNext;
  if( p->pNext ) p->pNext->ppPrev = p->ppPrev;
  p->pD->nGroup--;
}

PrilldGroup *prilldGroupFind(Prilld *pD, WireStr name){
  PrilldGroup *p;
  if( pD->nGroup==0 || name.n<0 ) return 0;
  for(p=*groupBucket(pD, name.z, name.n); p; p=p->pHash){
    if( prilldStrIs(name, p->g->zGroup) ) break;
  }
  return p;
}

/**************************************************************************
** Answers.
*/
static WireStr groupStr(PrilldReq *p, const char *z){
  return prilldStr(z ? prilldArenaDup(&p->arena, z, (i64)strlen(z)) : 0);
}
static WireBytes groupBytes(PrilldReq *p, const u8 *a, i64 n){
  WireBytes b;
  b.a = n>0 ? (const u8*)prilldArenaDup(&p->arena, a, n) : (const u8*)"";
  b.n = b.a && n>0 ? (i32)n : 0;
  return b;
}

static void groupFillMembers(PrilldReq *p, const PrillGroup *g, WireJoinGroupResp *pOut){
  int i;
  pOut->members = (WireJoinGroupRespMembers*)prilldArenaAlloc(&p->arena, (i64)sizeof(*pOut->members)*g->nMember);
  for(i=0; pOut->members && i<g->nMember; i++){
    const PrillMember *m = g->apMember[i];
    const PrillProtocol *pMeta = prillMemberMeta(g, m);
    WireJoinGroupRespMembers *pM = &pOut->members[pOut->nMembers];
    if( m->bPending ) continue;
    pM->memberId = groupStr(p, m->zMember);
    pM->groupInstanceId = groupStr(p, m->zInstance);
    pM->metadata = groupBytes(p, pMeta ? pMeta->aMeta : 0, pMeta ? pMeta->nMeta : 0);
    pOut->nMembers++;
  }
}

static void groupFill(PrilldReq *p, const PrillGroup *g, const PrillGroupAct *pAct){
  if( pAct->eAct==PRILL_ACT_JOINED ){
    WireJoinGroupResp *pOut = (WireJoinGroupResp*)p->pOut;
    const char *zNone = p->h.iVer>=7 ? 0 : "";
    pOut->errorCode = (i16)pAct->iErr;
    pOut->generationId = pAct->iErr ? -1 : pAct->iGeneration;
    pOut->protocolType = groupStr(p, pAct->iErr ? 0 : g->zProtocolType);
    pOut->protocolName = groupStr(p, pAct->iErr || g->zProtocol==0 ? zNone : g->zProtocol);
    pOut->leader = groupStr(p, pAct->zLeader ? pAct->zLeader : "");
    pOut->memberId = groupStr(p, pAct->zMember ? pAct->zMember : "");
    pOut->skipAssignment = (i8)pAct->bSkip;
    if( pAct->bMembers ) groupFillMembers(p, g, pOut);
  }else{
    WireSyncGroupResp *pOut = (WireSyncGroupResp*)p->pOut;
    pOut->errorCode = (i16)pAct->iErr;
    pOut->protocolType = groupStr(p, pAct->iErr ? 0 : g->zProtocolType);
    pOut->protocolName = groupStr(p, pAct->iErr ? 0 : g->zProtocol);
    if( pAct->iErr==0 && pAct->pMember )
      pOut->assignment = groupBytes(p, pAct->pMember->aAssign, pAct->pMember->nAssign);
  }
}

static void groupAnswer(PrilldReq *p){
  p->bParked = 0;
  p->nPending--;
  prilldReqReply(p);
}

/* The group is lost: whatever was asked of it. */
static void groupRefuse(PrilldReq *p){
  PrillGroupAct act;
  PrillGroup none;
  memset(&act, 0, sizeof(act));
  memset(&none, 0, sizeof(none));
  act.eAct = p->h.iKey==WIRE_JOIN_GROUP ? PRILL_ACT_JOINED : PRILL_ACT_SYNCED;
  act.iErr = KE_COORDINATOR_NOT_AVAILABLE;
  if( p->h.iKey==WIRE_LEAVE_GROUP ) ((WireLeaveGroupResp*)p->pOut)->errorCode = KE_COORDINATOR_NOT_AVAILABLE;
  else groupFill(p, &none, &act);
  groupAnswer(p);
}

/**************************************************************************
** Jobs.
*/
static int groupRun(PrilldJob *pJob, PrilldWriter *pW){
  GroupJob *p = (GroupJob*)pJob;
  GroupRow *pRow;
  int bFree = 1;
  int rc = SQLITE_OK;
  /* While the group was empty its name may have become that of members of SQL. */
  if( p->pRows ) rc = prillMemberNameFree(pW->pStore, p->zGroup, PRILL_KIND_KAFKA, &bFree);
  if( rc==SQLITE_OK && !bFree ) rc = SQLITE_CONSTRAINT;
  for(pRow=p->pRows; rc==SQLITE_OK && pRow; pRow=pRow->pNext){
    if( pRow->eAct==PRILL_ACT_SAVE_GROUP ){
      rc = prillGroupRowPut(pW->pStore, p->zGroup, PRILL_KIND_KAFKA, &pRow->state);
    }else if( pRow->eAct==PRILL_ACT_SAVE_MEMBER ){
      rc = prillMemberRowPut(pW->pStore, p->zGroup, pRow->zMember, pRow->iPolled, &pRow->state);
    }else{
      rc = prillMemberRowDelete(pW->pStore, p->zGroup, pRow->zMember);
    }
  }
  return rc;
}

static void groupJobFree(GroupJob *p){
  GroupRow *pRow;
  GroupReply *pReply;
  while( (pRow = p->pRows)!=0 ){
    p->pRows = pRow->pNext;
    sqlite3_free(pRow->zMember);
    prillBufFree(&pRow->state);
    sqlite3_free(pRow);
  }
  while( (pReply = p->pReplies)!=0 ){
    p->pReplies = pReply->pNext;
    sqlite3_free(pReply);
  }
  sqlite3_free(p->zGroup);
  sqlite3_free(p);
}

static void groupFree(PrilldGroup *pGroup){
  prillBufFree(&pGroup->row);
  prillBufFree(&pGroup->told);
  sqlite3_free(pGroup);
}

void prilldGroupForget(PrilldGroup *pGroup){
  Prilld *pD = pGroup->pD;
  u64 iReq;
  int eAct = 0;
  groupUnlink(pGroup);
  prilldTimerStop(&pD->timers, &pGroup->timer);
  pD->nGroupByte -= pGroup->nByte;
  pGroup->nByte = 0;
  while( (iReq = prillGroupPending(pGroup->g, &eAct))!=0 ){
    if( eAct ) groupRefuse((PrilldReq*)(size_t)iReq);            /* 0: the event's own, its caller answers */
  }
  prillGroupFree(pGroup->g);
  pGroup->g = 0;
  if( pGroup->nJob==0 ) groupFree(pGroup);
}

static void groupDone(PrilldJob *pJob){
  GroupJob *p = (GroupJob*)pJob;
  PrilldGroup *pGroup = p->pGroup;
  GroupReply *pReply;
  if( pJob->rc!=SQLITE_OK ){
    prilldLog(PRILLD_LOG_ERROR, "group %s: cannot be stored: %s", p->zGroup, pJob->zErr ? pJob->zErr : "");
  }
  for(pReply=p->pReplies; pReply; pReply=pReply->pNext){
    if( pJob->rc!=SQLITE_OK || pGroup->g==0 ) groupRefuse(pReply->pReq);
    else groupAnswer(pReply->pReq);
  }
  pGroup->nJob--;
  if( pGroup->g==0 ){
    if( pGroup->nJob==0 ) groupFree(pGroup);
  }else if( pJob->rc!=SQLITE_OK ){
    prilldGroupForget(pGroup);
  }
  groupJobFree(p);
}

static GroupRow *groupAddRow(int *pRc, GroupJob *p, int eAct, const char *zMember){
  GroupRow *pRow = (GroupRow*)sqlite3_malloc64(sizeof(*pRow));
  if( pRow==0 ){
    *pRc = SQLITE_NOMEM;
    return 0;
  }
  memset(pRow, 0, sizeof(*pRow));
  pRow->eAct = eAct;
  *p->ppRow = pRow;
  p->ppRow = &pRow->pNext;
  if( zMember && (pRow->zMember = sqlite3_mprintf("%s", zMember))==0 ) *pRc = SQLITE_NOMEM;
  return pRow;
}

static int groupAddReply(GroupJob *p, PrilldReq *pReq){
  GroupReply *pReply = (GroupReply*)sqlite3_malloc64(sizeof(*pReply));
  if( pReply==0 ) return SQLITE_NOMEM;
  pReply->pNext = 0;
  pReply->pReq = pReq;
  *p->ppReply = pReply;
  p->ppReply = &pReply->pNext;
  return SQLITE_OK;
}

static GroupJob *groupJobNew(PrilldGroup *pGroup){
  GroupJob *p = (GroupJob*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return 0;
  memset(p, 0, sizeof(*p));
  p->ppRow = &p->pRows;
  p->ppReply = &p->pReplies;
  p->pGroup = pGroup;
  p->job.xRun = groupRun;
  p->job.xDone = groupDone;
  p->job.bSavepoint = 1;
  p->zGroup = sqlite3_mprintf("%s", pGroup->g->zGroup);
  if( p->zGroup==0 ){
    sqlite3_free(p);
    p = 0;
  }
  return p;
}

static int groupTake(GroupJob *p, PrillGroup *g, const PrillGroupAct *pAct){
  PrilldGroup *pGroup = p->pGroup;
  GroupRow *pRow;
  int rc = SQLITE_OK;
  switch( pAct->eAct ){
    case PRILL_ACT_SAVE_GROUP:
      pRow = groupAddRow(&rc, p, pAct->eAct, 0);
      if( pRow ) prillGroupSave(&rc, g, &pRow->state);
      pGroup->row.n = pGroup->told.n = 0;
      if( pRow ) prillBufAppend(&rc, &pGroup->row, pRow->state.a, pRow->state.n);
      return rc;
    case PRILL_ACT_SAVE_MEMBER:
      pRow = groupAddRow(&rc, p, pAct->eAct, pAct->pMember->zMember);
      if( pRow ) pRow->iPolled = pAct->pMember->iPolled;
      if( pRow ) prillMemberSave(&rc, g, pAct->pMember, &pRow->state);
      return rc;
    case PRILL_ACT_DROP_MEMBER:
      groupAddRow(&rc, p, pAct->eAct, pAct->zMember);
      return rc;
    case PRILL_ACT_JOINED: case PRILL_ACT_SYNCED:
      groupFill((PrilldReq*)(size_t)pAct->iReq, g, pAct);
      return groupAddReply(p, (PrilldReq*)(size_t)pAct->iReq);
    default: return rc;
  }
}

/* Count anew what the group keeps. */
static void groupCount(PrilldGroup *pGroup){
  const PrillGroup *g = pGroup->g;
  i64 n = (i64)sizeof(*pGroup) + (i64)sizeof(*g) + 256;
  int i, j;
  for(i=0; i<g->nMember; i++){
    const PrillMember *m = g->apMember[i];
    n += (i64)sizeof(*m) + 512 + m->nAssign;
    for(j=0; j<m->nProto; j++) n += (i64)sizeof(m->aProto[j]) + m->aProto[j].nMeta + (i64)strlen(m->aProto[j].zName);
  }
  pGroup->pD->nGroupByte += n - pGroup->nByte;
  pGroup->nByte = n;
}

int prilldGroupFull(const Prilld *pD){
  return pD->nGroupByte>pD->conf.szHeld/8;
}

void prilldGroupSweep(Prilld *pD){
  PrilldGroup *p, *pNext;
  for(p=pD->pGroups; p; p=pNext){
    pNext = p->pNext;
    if( p->g->nMember==0 && p->nJob==0 ) prilldGroupForget(p);
  }
}

/* Store for whom the rebalance waits, where that is news. */
static void groupTell(PrilldGroup *pGroup){
  PrillBuf now = {0,0,0};
  GroupJob *p = 0;
  GroupRow *pRow = 0;
  int rc = SQLITE_OK;
  prillBufAppend(&rc, &now, pGroup->row.a, pGroup->row.n);
  if( pGroup->row.n>0 && prillGroupTell(&rc, pGroup->g, &now) && rc==SQLITE_OK
   && (now.n!=pGroup->told.n || memcmp(now.a, pGroup->told.a, (size_t)now.n)!=0) ){
    p = groupJobNew(pGroup);
    pGroup->told.n = 0;
    prillBufAppend(&rc, &pGroup->told, now.a, now.n);
    if( p ) pRow = groupAddRow(&rc, p, PRILL_ACT_SAVE_GROUP, 0);
  }
  if( pRow==0 || rc!=SQLITE_OK ){                 /* without memory the next second tells */
    if( rc!=SQLITE_OK ) pGroup->told.n = 0;
    if( p ) groupJobFree(p);
    prillBufFree(&now);
    return;
  }
  pRow->state = now;
  pGroup->nJob++;
  prilldSubmit(pGroup->pD, &p->job);
}

/* When the group is to be looked at next. */
static i64 groupDue(PrilldGroup *pGroup){
  const PrillGroup *g = pGroup->g;
  i64 iDue = prillGroupDeadline(g);
  if( g->eState!=PRILL_GROUP_PREPARING && g->eState!=PRILL_GROUP_COMPLETING ){
    pGroup->msTell = 0;
  }else if( pGroup->msTell==0 ){
    pGroup->msTell = pGroup->pD->now + GROUP_TELL_MS;
  }
  return pGroup->msTell ? PRILL_MIN(iDue, pGroup->msTell) : iDue;
}

static void groupTimer(PrilldTimer *pTimer){
  PrilldGroup *pGroup = (PrilldGroup*)(void*)pTimer;
  PrillGroupEvent ev;
  if( pGroup->msTell && pGroup->msTell<=pGroup->pD->now ){
    pGroup->msTell = pGroup->pD->now + GROUP_TELL_MS;
    groupTell(pGroup);
  }
  memset(&ev, 0, sizeof(ev));
  ev.eType = PRILL_EV_TIMER;
  ev.iGeneration = -1;
  (void)prilldGroupEvent(pGroup, &ev);
}

i16 prilldGroupEvent(PrilldGroup *pGroup, PrillGroupEvent *pEv){
  Prilld *pD = pGroup->pD;
  PrillGroup *g = pGroup->g;
  GroupJob *p = groupJobNew(pGroup);
  int rc = SQLITE_NOMEM, i = 0, iErr;
  i32 iGeneration = g->iGeneration;
  i64 iDue;
  if( p ){
    rc = prillGroupEvent(g, pEv, pD->now);
    for(i=0; rc==SQLITE_OK && i<g->nAct; i++) rc = groupTake(p, g, &g->aAct[i]);
  }
  if( rc!=SQLITE_OK ){
    /* What the machine has given up to be answered, and we could not take. */
    for(; p && i<g->nAct; i++){
      const PrillGroupAct *pAct = &g->aAct[i];
      if( pAct->iReq && pAct->iReq!=pEv->iReq ) groupRefuse((PrilldReq*)(size_t)pAct->iReq);
    }
    if( p ) groupJobFree(p);
    prilldGroupForget(pGroup);
    return KE_COORDINATOR_NOT_AVAILABLE;
  }
  if( pEv->eType!=PRILL_EV_HEARTBEAT && pEv->eType!=PRILL_EV_COMMIT ) groupCount(pGroup);
  pD->stat.nRebalance += g->iGeneration!=iGeneration;
  iErr = g->iErr;
  iDue = groupDue(pGroup);
  if( iDue==PRILL_I64MAX ) prilldTimerStop(&pD->timers, &pGroup->timer);
  else (void)prilldTimerSet(&pD->timers, &pGroup->timer, iDue);
  pGroup->nJob++;
  if( p->pRows || (p->pReplies && pGroup->nJob>1) ) prilldSubmit(pD, &p->job);
  else groupDone(&p->job);
  return (i16)iErr;
}

/**************************************************************************
** Groups in memory.
*/
static PrilldGroup *groupNew(Prilld *pD, const char *zGroup, int bMake, i16 *piErr){
  PrillGroupConf conf;
  PrilldGroup *p;
  PrillGroup *g = 0;
  int eKind = 0, bFree = 0, rc;
  prillGroupConfDefault(&conf);
  conf.msInitialDelay = (i32)pD->conf.msRebalanceDelay;
  conf.msMinSession = (i32)pD->conf.msMinSession;
  conf.msMaxSession = (i32)pD->conf.msMaxSession;
  conf.nMaxSize = (i32)pD->conf.nMaxGroup;
  rc = prilldViewBegin(&pD->view);
  if( rc==SQLITE_OK ){
    rc = prillGroupRowKind(pD->view.pStore, zGroup, &eKind);
    if( rc==SQLITE_OK && eKind==PRILL_KIND_KAFKA ){
      rc = prillGroupRowLoad(pD->view.pStore, zGroup, &conf, PRILL_KIND_KAFKA, &g);
      if( rc==SQLITE_OK && g ) rc = prillGroupStart(g, pD->now);
    }
    if( rc==SQLITE_OK && eKind==PRILL_KIND_SQL ){         /* one that its members have left is free */
      rc = prillMemberNameFree(pD->view.pStore, zGroup, PRILL_KIND_KAFKA, &bFree);
      if( bFree ) eKind = 0;
    }
    prilldViewEnd(&pD->view);
  }
  if( rc==SQLITE_OK && eKind!=0 && eKind!=PRILL_KIND_KAFKA ){
    *piErr = KE_INCONSISTENT_GROUP_PROTOCOL;
    return 0;
  }
  if( rc==SQLITE_OK && g==0 && bMake ){
    g = prillGroupNew(zGroup, PRILL_KIND_KAFKA, &conf);
    rc = g ? prillGroupStart(g, pD->now) : SQLITE_NOMEM;
  }
  p = rc==SQLITE_OK && g ? (PrilldGroup*)sqlite3_malloc64(sizeof(*p)) : 0;
  if( p ){
    memset(p, 0, sizeof(*p));
    p->pD = pD;
    p->g = g;
    p->timer.xDue = groupTimer;
  }
  if( p==0 || groupLink(p)!=SQLITE_OK ){
    if( rc!=SQLITE_OK || g ) *piErr = KE_COORDINATOR_NOT_AVAILABLE;
    prillGroupFree(g);
    sqlite3_free(p);
    return 0;
  }
  if( g->nMember>0 ) prillGroupSave(&rc, g, &p->row);
  if( rc!=SQLITE_OK ) p->row.n = 0;               /* nothing is told, then */
  if( prillGroupDeadline(g)!=PRILL_I64MAX ) (void)prilldTimerSet(&pD->timers, &p->timer, prillGroupDeadline(g));
  return p;
}

void prilldGroupReply(PrilldReq *pReq, WireStr name){
  PrilldGroup *pGroup = prilldGroupFind(pReq->pD, name);
  GroupJob *p = pGroup && pGroup->nJob>0 ? groupJobNew(pGroup) : 0;
  if( p && groupAddReply(p, pReq)==SQLITE_OK ){
    pReq->nPending++;
    pGroup->nJob++;
    prilldSubmit(pGroup->pD, &p->job);
    return;
  }
  if( p ) groupJobFree(p);
  prilldReqReply(pReq);
}

PrilldGroup *prilldGroupGet(Prilld *pD, WireStr name, int bMake, i16 *piErr){
  PrilldGroup *p;
  char *z;
  *piErr = KE_NONE;
  if( name.n<=0 || (i64)strnlen(name.z, (size_t)name.n)!=name.n ){
    *piErr = KE_INVALID_GROUP_ID;
    return 0;
  }
  p = prilldGroupFind(pD, name);
  if( p && (p->g->nMember>0 || p->nJob>0) ) return p;
  if( p ) prilldGroupForget(p);
  z = sqlite3_mprintf("%.*s", name.n, name.z);
  if( z==0 ){
    *piErr = KE_COORDINATOR_NOT_AVAILABLE;
    return 0;
  }
  p = groupNew(pD, z, bMake, piErr);
  sqlite3_free(z);
  return p;
}

void prilldGroupsFree(Prilld *pD){
  while( pD->pGroups ) prilldGroupForget(pD->pGroups);
  sqlite3_free(pD->apGroup);
  pD->apGroup = 0;
  pD->nBucket = 0;
}
