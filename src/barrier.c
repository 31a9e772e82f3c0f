/*
** barrier.c: Kafka's classic group protocol, in which a rebalance is a barrier.
**
** Layer 4.  Calls group.  Pure.
**
**   Empty       no members.  A join begins a rebalance, which first waits for
**               more members: the initial delay, longer while they come.
**   Preparing   joins are held until every member has joined again, or the
**               longest rebalance timeout is over.  Dynamic members that did
**               not are out; static ones stay until their session ends.
**   Completing  joins are answered.  Syncs are held until the leader's brings
**               the assignment.  Who does not sync in time is out.
**   Stable      assigned.
**
** Answers are those of Kafka 3.9's coordinator, error for error.  Where it
** leaves a request unanswered because a newer one of the same member took its
** place, or its member left, here it is answered (REBALANCE_IN_PROGRESS, or
** UNKNOWN_MEMBER_ID): each request has one answer.  And a pending id that
** leaves disturbs nobody, where Kafka would begin a rebalance.
**
** Times: iDeadline of a member is when its session ends; a member that waits
** for an answer to its join or sync does not expire, but a new one does after
** msNewMember.  iBarrier is the end of the initial delay or the join phase
** (Preparing) or of the sync phase (Completing, and Stable until all synced).
**
** Invariants:
**
**   1. iJoin is set in Preparing only, iSync in Completing only.
**   2. In Completing and Stable pLeader is a member, and every member supports
**      zProtocol.
**   3. iGeneration rises by one with each Completing and each Empty.
*/
#include "prillGroup.h"

/* Members without those that only have an id; of them, those that joined. */
static int barrierCount(const PrillGroup *g, int *pnJoined, int *pnPending){
  int i, n = 0;
  *pnJoined = *pnPending = 0;
  for(i=0; i<g->nMember; i++){
    if( g->apMember[i]->bPending ){
      ++*pnPending;
    }else{
      n++;
      *pnJoined += g->apMember[i]->iJoin!=0;
    }
  }
  return n;
}
static int barrierAllJoined(const PrillGroup *g){
  int nJoined, nPending;
  return barrierCount(g, &nJoined, &nPending)==nJoined && nPending==0;
}
static i64 barrierTimeout(const PrillGroup *g){
  i32 ms = 0;
  int i;
  for(i=0; i<g->nMember; i++){
    if( !g->apMember[i]->bPending ) ms = PRILL_MAX(ms, g->apMember[i]->msRebalance);
  }
  return ms;
}

/**************************************************************************
** Answers
*/
static PrillGroupAct *barrierRefuseJoin(PrillGroup *g, u64 iReq, int iErr, const char *zMember){
  PrillGroupAct *p = prillGroupAct(g, PRILL_ACT_JOINED);
  if( p ){
    p->iReq = iReq;
    p->iErr = iErr;
    p->zMember = zMember;
    p->iGeneration = -1;
  }
  return p;
}

/* What the member needs to know of the present generation. */
static PrillGroupAct *barrierJoined(PrillGroup *g, PrillMember *m, u64 iReq, int bMembers){
  PrillGroupAct *p = prillGroupAct(g, PRILL_ACT_JOINED);
  if( p ){
    p->iReq = iReq;
    p->pMember = m;
    p->zMember = m->zMember;
    p->zLeader = g->pLeader->zMember;
    p->iGeneration = g->iGeneration;
    p->bMembers = bMembers && m==g->pLeader;
  }
  return p;
}

/* Answer a sync that waits.  1 when there was one. */
static int barrierSynced(PrillGroup *g, PrillMember *m, int iErr){
  PrillGroupAct *p;
  if( m->iSync==0 ) return 0;
  p = prillGroupAct(g, PRILL_ACT_SYNCED);
  if( p ){
    p->iReq = m->iSync;
    p->iErr = iErr;
    p->pMember = m;
    m->iSync = 0;
  }
  return 1;
}

/* Answer whatever the member waits for with an error. */
static void barrierTurnAway(PrillGroup *g, PrillMember *m, int iErr, const char *zMember){
  if( m->iJoin && barrierRefuseJoin(g, m->iJoin, iErr, zMember) ) m->iJoin = 0;
  barrierSynced(g, m, iErr);
}

/* A join takes the place of an earlier one of the member. */
static void barrierHold(PrillGroup *g, PrillMember *m, u64 iReq){
  barrierTurnAway(g, m, PRILL_KE_REBALANCE_IN_PROGRESS, m->zMember);
  m->iJoin = iReq;
  g->iErr = PRILL_KE_LATER;
}

/**************************************************************************
** Phases
*/
static void barrierRemove(PrillGroup *g, PrillMember *m){
  int i;
  barrierTurnAway(g, m, PRILL_KE_UNKNOWN_MEMBER_ID, "");
  prillGroupRemove(g, m);
  if( g->pLeader==m ){
    g->pLeader = 0;
    for(i=0; i<g->nMember && g->pLeader==0; i++){
      if( !g->apMember[i]->bPending ) g->pLeader = g->apMember[i];
    }
  }
}

/* The next generation without members. */
static void barrierEmpty(PrillGroup *g, i64 now){
  g->iGeneration++;
  g->eState = PRILL_GROUP_EMPTY;
  g->iEmptySince = now;
  g->bInitial = 0;
  g->bChanged = 1;
  prillGroupSetProtocol(g, 0);
  prillGroupStore(g);
}

/* A leader that joined: the present one, or the first that did. */
static int barrierElect(PrillGroup *g){
  int i;
  for(i=0; i<g->nMember && g->pLeader->iJoin==0; i++){
    if( g->apMember[i]->iJoin ) g->pLeader = g->apMember[i];
  }
  return g->pLeader->iJoin!=0;
}

/* The join phase ends. */
static void barrierComplete(PrillGroup *g, i64 now){
  int i;
  g->iBarrier = PRILL_I64MAX;
  for(i=g->nMember-1; i>=0; i--){
    PrillMember *m = g->apMember[i];
    if( !m->bPending && m->iJoin==0 && m->zInstance==0 ) barrierRemove(g, m);
    if( g->rc ) return;
  }
  if( g->pLeader==0 ){
    barrierEmpty(g, now);
    return;
  }
  if( !barrierElect(g) ){                    /* static members only, none here yet */
    g->iBarrier = now+barrierTimeout(g);
    g->msDelayLeft = 0;
    return;
  }
  g->iGeneration++;
  g->eState = PRILL_GROUP_COMPLETING;
  g->bInitial = 0;
  prillGroupSetProtocol(g, prillGroupSelect(g));
  for(i=0; i<g->nMember; i++){
    PrillMember *m = g->apMember[i];
    if( m->bPending ) continue;
    if( m->iJoin && barrierJoined(g, m, m->iJoin, 1) ) m->iJoin = 0;
    m->bNew = 0;
    m->bSynced = 0;
    m->iDeadline = now+m->msSession;
  }
  g->iBarrier = now+barrierTimeout(g);
}

/* A rebalance begins. */
static void barrierPrepare(PrillGroup *g, i64 now){
  int i, bInitial = g->eState==PRILL_GROUP_EMPTY;
  for(i=0; i<g->nMember && g->eState==PRILL_GROUP_COMPLETING; i++){
    PrillMember *m = g->apMember[i];
    prillGroupGive(g, m, 0, 0);
    if( barrierSynced(g, m, PRILL_KE_REBALANCE_IN_PROGRESS) ) m->iDeadline = now+m->msSession;
  }
  g->iBarrier = PRILL_I64MAX;
  g->bInitial = (u8)bInitial;
  g->eState = PRILL_GROUP_PREPARING;
  if( bInitial ){
    g->bJoined = 0;
    g->msDelay = g->conf.msInitialDelay;
    g->msDelayLeft = (i32)PRILL_MAX(barrierTimeout(g)-g->msDelay, 0);
    g->iBarrier = now+g->msDelay;
  }else if( barrierAllJoined(g) ){
    barrierComplete(g, now);
  }else{
    g->iBarrier = now+barrierTimeout(g);
  }
}

/* Something changed: begin a rebalance, or see whether the last one it waited
** for has joined. */
static void barrierAdvance(PrillGroup *g, i64 now){
  if( g->rc ) return;
  if( g->eState!=PRILL_GROUP_PREPARING ){
    barrierPrepare(g, now);
  }else if( !g->bInitial && barrierAllJoined(g) ){
    barrierComplete(g, now);
  }
}

/**************************************************************************
** JoinGroup
*/
static int barrierAccepts(const PrillGroup *g, const PrillMember *m){
  int nJoined, nPending;
  int n = barrierCount(g, &nJoined, &nPending);
  int bMember = m && !m->bPending;
  switch( g->eState ){
    case PRILL_GROUP_EMPTY:     return 1;
    case PRILL_GROUP_PREPARING: return (bMember && m->iJoin) || nJoined<g->conf.nMaxSize;
    default:                    return bMember || n<g->conf.nMaxSize;
  }
}

/* A new member, or one that comes with the id it was given. */
static void barrierAdd(PrillGroup *g, PrillMember *m, const PrillGroupEvent *e, i64 now){
  int nJoined, nPending;
  if( m==0 ) return;
  if( barrierCount(g, &nJoined, &nPending)==(m->bPending ? 0 : 1) ) prillGroupSetType(g, e->zProtocolType);
  prillGroupUpdate(g, m, e);
  m->bPending = 0;
  m->bNew = 1;
  m->iDeadline = now+g->conf.msNewMember;
  if( g->eState==PRILL_GROUP_PREPARING && g->bInitial ) g->bJoined = 1;
  if( g->pLeader==0 ) g->pLeader = m;
  g->pMember = m;
  barrierHold(g, m, e->iReq);
  barrierAdvance(g, now);
}

static void barrierUpdate(PrillGroup *g, PrillMember *m, const PrillGroupEvent *e, i64 now){
  prillGroupUpdate(g, m, e);
  barrierHold(g, m, e->iReq);
  barrierAdvance(g, now);
}

/* A static member starts anew: its earlier life is fenced. */
static void barrierReplace(PrillGroup *g, PrillMember *m, const PrillGroupEvent *e, i64 now){
  const char *zOldLeader = g->pLeader->zMember;
  char *zNew = prillGroupNewId(g, e);
  const char *zSelect;
  barrierTurnAway(g, m, PRILL_KE_FENCED_INSTANCE_ID, m->zMember);
  prillGroupRename(g, m, zNew);
  m->iDeadline = now+m->msSession;
  m->bNew = 0;
  prillGroupUpdate(g, m, e);
  g->pMember = m;
  if( g->rc ) return;
  if( g->eState!=PRILL_GROUP_STABLE ){
    barrierHold(g, m, e->iReq);
    barrierAdvance(g, now);
    return;
  }
  zSelect = prillGroupSelect(g);
  if( zSelect && g->zProtocol && strcmp(zSelect, g->zProtocol)==0 ){
    PrillGroupAct *p = barrierJoined(g, m, e->iReq, e->bSkip);
    if( p ){
      p->bSkip = p->bMembers;
      if( !e->bSkip ) p->zLeader = zOldLeader;
    }
    m->bSynced = 1;
    g->bChanged = 1;
    prillGroupStore(g);
  }else{
    barrierHold(g, m, e->iReq);
    barrierAdvance(g, now);
  }
}

static void barrierJoinNew(PrillGroup *g, const PrillGroupEvent *e, i64 now){
  PrillMember *m = prillGroupInstance(g, e->zInstance);
  char *zNew;
  if( m ){
    barrierReplace(g, m, e, now);
    return;
  }
  zNew = prillGroupNewId(g, e);
  m = zNew ? prillGroupAdd(g, zNew, e->zInstance, e) : 0;
  sqlite3_free(zNew);
  if( m && e->bRequireId && e->zInstance==0 ){
    m->bPending = 1;
    m->iDeadline = now+e->msSession;
    g->pMember = m;
    g->iErr = PRILL_KE_MEMBER_ID_REQUIRED;
    barrierRefuseJoin(g, e->iReq, g->iErr, m->zMember);
  }else{
    barrierAdd(g, m, e, now);
  }
}

static void barrierJoinKnown(PrillGroup *g, PrillMember *m, const PrillGroupEvent *e, i64 now){
  int bSame;
  if( m && m->bPending && e->zInstance==0 ){
    barrierAdd(g, m, e, now);
    return;
  }
  g->iErr = prillGroupValidate(g, e);
  if( g->iErr ){
    barrierRefuseJoin(g, e->iReq, g->iErr, e->zMember);
    return;
  }
  bSame = prillGroupSameProtos(m, e->aProto, e->nProto);
  if( bSame && (g->eState==PRILL_GROUP_COMPLETING || (g->eState==PRILL_GROUP_STABLE && m!=g->pLeader)) ){
    barrierJoined(g, m, e->iReq, 1);         /* it may have missed our answer */
  }else{
    barrierUpdate(g, m, e, now);
  }
}

static void barrierJoin(PrillGroup *g, const PrillGroupEvent *e, i64 now){
  PrillMember *m = prillGroupFind(g, e->zMember);
  int bNew = e->zMember==0 || e->zMember[0]==0;
  if( !barrierAccepts(g, m) ){
    g->iErr = PRILL_KE_GROUP_MAX_SIZE_REACHED;
    if( m ) barrierRemove(g, m);
  }else if( !prillGroupSupports(g, e) ){
    g->iErr = PRILL_KE_INCONSISTENT_GROUP_PROTOCOL;
  }
  if( g->iErr ){
    int bAnon = bNew || g->iErr==PRILL_KE_GROUP_MAX_SIZE_REACHED;
    barrierRefuseJoin(g, e->iReq, g->iErr, bAnon ? "" : e->zMember);
  }else if( bNew ){
    barrierJoinNew(g, e, now);
  }else{
    barrierJoinKnown(g, m, e, now);
  }
}

/**************************************************************************
** SyncGroup
*/
static int barrierCheckSync(PrillGroup *g, const PrillGroupEvent *e){
  int iErr = g->eState==PRILL_GROUP_EMPTY ? PRILL_KE_UNKNOWN_MEMBER_ID : prillGroupValidate(g, e);
  if( iErr ) return iErr;
  if( e->iGeneration!=g->iGeneration ) return PRILL_KE_ILLEGAL_GENERATION;
  if( e->zProtocolType && g->zProtocolType && strcmp(e->zProtocolType, g->zProtocolType)!=0 ){
    return PRILL_KE_INCONSISTENT_GROUP_PROTOCOL;
  }
  if( e->zProtocol && g->zProtocol && strcmp(e->zProtocol, g->zProtocol)!=0 ){
    return PRILL_KE_INCONSISTENT_GROUP_PROTOCOL;
  }
  return g->eState==PRILL_GROUP_PREPARING ? PRILL_KE_REBALANCE_IN_PROGRESS : 0;
}

/* The leader's assignment: store it, then tell all that wait. */
static void barrierAssign(PrillGroup *g, const PrillGroupEvent *e, i64 now){
  int i;
  for(i=0; i<g->nMember; i++) prillGroupGive(g, g->apMember[i], 0, 0);
  for(i=0; i<e->nGrant; i++){
    PrillMember *m = prillGroupFind(g, e->aGrant[i].zMember);
    if( m ) prillGroupGive(g, m, e->aGrant[i].a, e->aGrant[i].n);
  }
  if( g->rc ) return;
  g->eState = PRILL_GROUP_STABLE;
  g->bChanged = 1;
  for(i=0; i<g->nMember; i++){
    PrillMember *m = g->apMember[i];
    m->bChanged = 1;
    if( barrierSynced(g, m, 0) ) m->iDeadline = now+m->msSession;
  }
  prillGroupStore(g);
}

static void barrierSync(PrillGroup *g, const PrillGroupEvent *e, i64 now){
  PrillMember *m;
  int i, bAll = 1;
  g->iErr = barrierCheckSync(g, e);
  m = g->pMember;
  if( g->iErr==0 ){
    barrierSynced(g, m, PRILL_KE_REBALANCE_IN_PROGRESS);   /* an earlier one */
    m->bSynced = 1;
    for(i=0; i<g->nMember; i++) bAll &= g->apMember[i]->bSynced | g->apMember[i]->bPending;
    if( bAll ) g->iBarrier = PRILL_I64MAX;
    if( g->eState==PRILL_GROUP_COMPLETING ){
      m->iSync = e->iReq;
      if( m==g->pLeader ) barrierAssign(g, e, now); else g->iErr = PRILL_KE_LATER;
      return;
    }
  }
  {
    PrillGroupAct *p = prillGroupAct(g, PRILL_ACT_SYNCED);
    if( p ){
      p->iReq = e->iReq;
      p->iErr = g->iErr;
      p->pMember = g->iErr ? 0 : m;
    }
  }
}

/**************************************************************************
** Heartbeat, LeaveGroup, OffsetCommit, time
*/
static void barrierHeartbeat(PrillGroup *g, const PrillGroupEvent *e, i64 now){
  g->iErr = prillGroupValidate(g, e);
  if( g->iErr==0 && e->iGeneration!=g->iGeneration ) g->iErr = PRILL_KE_ILLEGAL_GENERATION;
  if( g->iErr ) return;
  g->pMember->iDeadline = now+g->pMember->msSession;
  if( g->eState==PRILL_GROUP_PREPARING ) g->iErr = PRILL_KE_REBALANCE_IN_PROGRESS;
}

static void barrierLeave(PrillGroup *g, const PrillGroupEvent *e, i64 now){
  PrillMember *m;
  if( e->zMember==0 || e->zMember[0]==0 ){
    m = prillGroupInstance(g, e->zInstance);
    if( m==0 ) g->iErr = PRILL_KE_UNKNOWN_MEMBER_ID;
  }else{
    m = prillGroupFind(g, e->zMember);
    if( m==0 || !m->bPending ){
      g->iErr = prillGroupValidate(g, e);
      m = g->pMember;
    }
  }
  if( g->iErr==0 ){
    int bPending = m->bPending;
    g->pMember = m;
    barrierRemove(g, m);
    if( !bPending || g->eState==PRILL_GROUP_PREPARING ) barrierAdvance(g, now);
  }
}

static void barrierCommit(PrillGroup *g, const PrillGroupEvent *e, i64 now){
  int bNamed = e->iGeneration>=0 || (e->zMember && e->zMember[0]) || e->zInstance;
  if( e->iGeneration<0 && g->eState==PRILL_GROUP_EMPTY ) return;
  if( bNamed ){
    g->iErr = prillGroupValidate(g, e);
    if( g->iErr==0 && e->iGeneration!=g->iGeneration ) g->iErr = PRILL_KE_ILLEGAL_GENERATION;
  }else if( !e->bTxn && g->eState!=PRILL_GROUP_EMPTY ){
    g->iErr = PRILL_KE_UNKNOWN_MEMBER_ID;
  }
  if( g->iErr || e->bTxn ) return;
  if( g->eState==PRILL_GROUP_COMPLETING ){
    g->iErr = PRILL_KE_REBALANCE_IN_PROGRESS;
  }else if( g->pMember ){
    g->pMember->iDeadline = now+g->pMember->msSession;
  }
}

/* The initial delay, a join phase or a sync phase is over. */
static void barrierExpire(PrillGroup *g, i64 now){
  int i;
  g->iBarrier = PRILL_I64MAX;
  if( g->eState!=PRILL_GROUP_PREPARING ){
    for(i=g->nMember-1; i>=0 && g->rc==SQLITE_OK; i--){
      PrillMember *m = g->apMember[i];
      if( !m->bPending && !m->bSynced ) barrierRemove(g, m);
    }
    if( g->rc==SQLITE_OK ) barrierPrepare(g, now);
  }else if( g->bInitial && g->bJoined && g->msDelayLeft>0 ){
    i32 msLeft = PRILL_MAX(g->msDelayLeft-g->msDelay, 0);
    g->msDelay = PRILL_MIN(g->conf.msInitialDelay, g->msDelayLeft);
    g->msDelayLeft = msLeft;
    g->bJoined = 0;
    g->iBarrier = now+g->msDelay;
  }else{
    barrierComplete(g, now);
  }
}

static void barrierExpireMember(PrillGroup *g, PrillMember *m, i64 now){
  if( !m->bPending && !m->bNew && (m->iJoin || m->iSync) ){
    m->iDeadline = PRILL_I64MAX;             /* it waits for us, not we for it */
    return;
  }
  if( m->bPending ){
    barrierRemove(g, m);
    if( g->eState!=PRILL_GROUP_PREPARING ) return;
  }else{
    barrierRemove(g, m);
    if( g->eState!=PRILL_GROUP_PREPARING ){
      barrierAdvance(g, now);
      return;
    }
  }
  if( g->rc==SQLITE_OK && barrierAllJoined(g) ) barrierComplete(g, now);
}

/* All that is due, earliest first. */
static void barrierTimer(PrillGroup *g, i64 now){
  while( g->rc==SQLITE_OK ){
    PrillMember *m = 0;
    int i;
    for(i=0; i<g->nMember; i++){
      i64 iThis = g->apMember[i]->iDeadline;
      if( iThis<=now && iThis<g->iBarrier && (m==0 || iThis<m->iDeadline) ) m = g->apMember[i];
    }
    if( m ){
      barrierExpireMember(g, m, now);
    }else if( g->iBarrier<=now ){
      barrierExpire(g, now);
    }else{
      break;
    }
  }
}

void prillBarrierEvent(PrillGroup *g, const PrillGroupEvent *e, i64 now){
  switch( e->eType ){
    case PRILL_EV_JOIN:      barrierJoin(g, e, now); break;
    case PRILL_EV_SYNC:      barrierSync(g, e, now); break;
    case PRILL_EV_HEARTBEAT: barrierHeartbeat(g, e, now); break;
    case PRILL_EV_LEAVE:     barrierLeave(g, e, now); break;
    case PRILL_EV_COMMIT:    barrierCommit(g, e, now); break;
    case PRILL_EV_TIMER:     barrierTimer(g, now); break;
  }
}
