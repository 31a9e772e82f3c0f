/*
** target.c: the groups of SQL, which have no barrier.
**
** Layer 4.  Calls group, assign, subscription.  Pure.
**
** Every member has two lists: what it owns, that is, may read and commit, and
** its target, what it shall own.  Whatever changes the membership or the topics
** runs the assignor at once, in the same event (for the driver: in the same
** transaction), and so changes targets; it never changes what another living
** member owns.  A member moves towards its target when it polls:
**
**   cooperative-sticky    it lets go of what its target lacks, and takes of its
**                         target what nobody owns.  The rest keeps working.
**   range, roundrobin,    at its first poll of a generation it lets go of all,
**   sticky (eager)        and takes its target once all members have done so.
**
** A member found dead has let go.  A dynamic one is out at once.  A static one
** (group.instance.id) keeps its place and its target for session.timeout.ms;
** whoever joins with its instance id in time takes both over.  A member that
** did not poll for max.poll.interval.ms is dealt with like a dead one.
**
** The assignor is told as owned what a member really owns: so the fewest
** partitions are taken from somebody.  In an eager round members have let go;
** there what nobody owns counts as owned by whose target has it.  Generations
** rise with each run of the assignor.  Which of them a member polled in matters to
** eager groups alone: with cooperative-sticky, who keeps all it has changes no row, or
** each of a large group would have all the others look again.
**
** Invariants, after each event:
**
**   1. No partition is in two owned lists, none in two targets.
**   2. Every partition of every subscribed topic is in a target.
**   3. A member's owned list changes in its own POLL and COMMIT, and when it
**      is dead; otherwise only by partitions that no longer exist.
**   4. iEpoch of a member is at most iGeneration; in an eager group, a member
**      owns something only if its iEpoch is that of the others that do, or
**      it has not polled since the generation began.
*/
#include "prillGroup.h"

static int targetEager(const PrillGroup *g){
  return g->zProtocol && strcmp(g->zProtocol, prillAssignorName(PRILL_BY_COOPERATIVE))!=0;
}

/* 1 when a living member has not polled in this generation. */
static int targetWaits(const PrillGroup *g){
  int i;
  for(i=0; i<g->nMember; i++){
    if( g->apMember[i]->iEpoch!=g->iGeneration ) return 1;
  }
  return 0;
}

/* 1 when this member shall own the partition, and may keep it now. */
static int targetKeeps(const PrillGroup *g, const PrillMember *m, PrillTp tp){
  if( m->iEpoch!=g->iGeneration && targetEager(g) ) return 0;
  return prillTpsFind(&m->target, tp.iTopic, tp.iPart)>=0;
}

int prillTargetState(const PrillGroup *g){
  int i, j, eState = PRILL_GROUP_STABLE;
  int bEager = targetEager(g);
  if( g->nMember==0 ) return PRILL_GROUP_EMPTY;
  for(i=0; i<g->nMember; i++){
    const PrillMember *m = g->apMember[i];
    if( m->bDead ) continue;
    if( bEager && m->iEpoch!=g->iGeneration ) return PRILL_GROUP_PREPARING;
    for(j=0; j<m->owned.n; j++){
      if( !targetKeeps(g, m, m->owned.a[j]) ) return PRILL_GROUP_PREPARING;
    }
    if( m->owned.n!=m->target.n ) eState = PRILL_GROUP_COMPLETING;
  }
  return eState;
}

/* The member lets go.  Its epoch becomes the present one where that matters or its row changes anyway. */
static void targetRelease(PrillGroup *g, PrillMember *m){
  int i, n = 0;
  for(i=0; i<m->owned.n; i++){
    if( targetKeeps(g, m, m->owned.a[i]) ) m->owned.a[n++] = m->owned.a[i];
  }
  if( n==m->owned.n && (!targetEager(g) || m->iEpoch==g->iGeneration) ) return;
  m->bChanged = 1;
  m->owned.n = n;
  m->iEpoch = g->iGeneration;
}

static int targetOwned(const PrillGroup *g, PrillTp tp){
  int i;
  for(i=0; i<g->nMember; i++){
    if( prillTpsFind(&g->apMember[i]->owned, tp.iTopic, tp.iPart)>=0 ) return 1;
  }
  return 0;
}

/* The member takes what is free of its target. */
static void targetTake(PrillGroup *g, PrillMember *m){
  int i, n = m->owned.n;
  if( m->owned.n==m->target.n || (targetEager(g) && targetWaits(g)) ) return;
  for(i=0; i<m->target.n; i++){
    PrillTp tp = m->target.a[i];
    if( !targetOwned(g, tp) ) prillTpsAdd(&g->rc, &m->owned, tp.iTopic, tp.iPart);
  }
  if( m->owned.n!=n ) m->bChanged = 1;
  prillTpsSort(&m->owned);
}

/**************************************************************************
** The assignor
*/

/* What the assignor is told that the member had. */
static void targetPrior(PrillGroup *g, const PrillMember *m, PrillTps *pOut){
  int i;
  for(i=0; i<m->owned.n; i++) prillTpsAdd(&g->rc, pOut, m->owned.a[i].iTopic, m->owned.a[i].iPart);
  for(i=0; i<m->target.n && targetEager(g); i++){
    PrillTp tp = m->target.a[i];
    if( !targetOwned(g, tp) ) prillTpsAdd(&g->rc, pOut, tp.iTopic, tp.iPart);
  }
}

/* 1 when the lists differ. */
static int targetDiffer(const PrillTps *p, const PrillTps *q){
  return p->n!=q->n || (p->n>0 && memcmp(p->a, q->a, sizeof(PrillTp)*(size_t)p->n)!=0);
}

/* A new generation: targets anew; the dead let go at once. */
static void targetAssign(PrillGroup *g){
  PrillAssignee *a;
  PrillTps *aPrior;
  int i, eAssignor = prillAssignorFind(g->zProtocol);
  size_t n = (size_t)g->nMember;
  a = sqlite3_malloc64((sizeof(*a)+sizeof(*aPrior))*n);
  if( a==0 ){
    g->rc = SQLITE_NOMEM;
    return;
  }
  memset(a, 0, (sizeof(*a)+sizeof(*aPrior))*n);
  aPrior = (PrillTps*)(a+n);
  for(i=0; i<g->nMember; i++){
    PrillMember *m = g->apMember[i];
    targetPrior(g, m, &aPrior[i]);
    a[i].zMember = m->zMember;
    a[i].zInstance = m->zInstance;
    a[i].aTopic = m->aTopic;
    a[i].nTopic = m->nTopic;
    a[i].aOwned = aPrior[i].a;
    a[i].nOwned = aPrior[i].n;
    a[i].iGeneration = g->iGeneration;
  }
  if( g->rc==SQLITE_OK ){
    g->rc = prillAssign(eAssignor==PRILL_BY_COOPERATIVE ? PRILL_BY_STICKY : eAssignor, &g->topics, a, g->nMember);
  }
  g->iGeneration++;
  g->bChanged = 1;
  for(i=0; i<g->nMember; i++){
    PrillMember *m = g->apMember[i];
    if( g->rc==SQLITE_OK && targetDiffer(&m->target, &a[i].out) ){
      prillTpsFree(&m->target);
      m->target = a[i].out;
      m->bChanged = 1;
    }else{
      prillTpsFree(&a[i].out);
    }
    if( m->bDead ) targetRelease(g, m);
    prillTpsFree(&aPrior[i]);
  }
  sqlite3_free(a);
}

/* Partitions that no longer exist are nobody's.  1 when a target is not what
** its member's topics have. */
static int targetStale(PrillGroup *g){
  i64 nHave = 0, nWant = 0;
  int i, j, k, bStale = 0;
  u8 *aSeen = sqlite3_malloc64((u64)g->topics.n+1);
  if( aSeen==0 ){
    g->rc = SQLITE_NOMEM;
    return 0;
  }
  memset(aSeen, 0, (size_t)g->topics.n+1);
  for(i=0; i<g->nMember; i++){
    PrillMember *m = g->apMember[i];
    for(j=k=0; j<m->owned.n; j++){
      PrillTp tp = m->owned.a[j];
      if( tp.iPart<g->topics.a[tp.iTopic].nPart ) m->owned.a[k++] = tp;
    }
    if( k!=m->owned.n ) m->bChanged = 1;
    m->owned.n = k;
    for(j=0; j<m->target.n; j++){
      if( m->target.a[j].iPart>=g->topics.a[m->target.a[j].iTopic].nPart ) bStale = 1;
    }
    nHave += m->target.n;
    for(j=0; j<m->nTopic; j++){
      if( !aSeen[m->aTopic[j]] ) nWant += g->topics.a[m->aTopic[j]].nPart;
      aSeen[m->aTopic[j]] = 1;
    }
  }
  sqlite3_free(aSeen);
  return bStale || nHave!=nWant;
}

/**************************************************************************
** Events
*/

/* The member's process is gone, or it does not poll. */
static void targetDie(PrillGroup *g, PrillMember *m, i64 now){
  if( m->zInstance && !m->bDead ){
    m->bDead = 1;
    m->bChanged = 1;
    m->iDeadline = now+m->msSession;
    targetRelease(g, m);
  }else{
    prillGroupRemove(g, m);
    g->bAssign = 1;
  }
}

/* Members whose time is over, but for the one that is just here. */
static void targetExpire(PrillGroup *g, const PrillMember *pHere, i64 now){
  int i;
  for(i=g->nMember-1; i>=0 && g->rc==SQLITE_OK; i--){
    PrillMember *m = g->apMember[i];
    if( m!=pHere && m->iDeadline<=now ) targetDie(g, m, now);
  }
}

static void targetSeen(PrillMember *m, i64 now){
  if( m->iPolled!=now || m->bDead ) m->bTouched = 1;
  if( m->bDead ) m->bChanged = 1;
  m->bDead = 0;
  m->iPolled = now;
  m->iDeadline = now+m->msRebalance;
}

/* The protocol all vote for; another one is another generation. */
static void targetVote(PrillGroup *g){
  const char *z = prillGroupSelect(g);
  if( z && (g->zProtocol==0 || strcmp(z, g->zProtocol)!=0) ){
    prillGroupSetProtocol(g, z);
    g->bAssign = 1;
  }
}

static int targetKnowsAssignors(const PrillGroupEvent *e){
  int i;
  for(i=0; i<e->nProto; i++){
    if( prillAssignorFind(e->aProto[i].zName)<0 ) return 0;
  }
  return 1;
}

static void targetJoin(PrillGroup *g, const PrillGroupEvent *e, i64 now){
  PrillMember *m = prillGroupFind(g, e->zMember);
  int bNew = e->zMember==0 || e->zMember[0]==0;
  if( !bNew ) g->iErr = prillGroupValidate(g, e);
  if( g->iErr==0 && (!prillGroupSupports(g, e) || !targetKnowsAssignors(e)) ){
    g->iErr = PRILL_KE_INCONSISTENT_GROUP_PROTOCOL;
  }
  if( g->iErr==0 && bNew ){
    m = prillGroupInstance(g, e->zInstance);
    if( m ){
      prillGroupRename(g, m, prillGroupNewId(g, e));
      prillGroupHost(g, m, e);
    }else if( g->nMember>=g->conf.nMaxSize ){
      g->iErr = PRILL_KE_GROUP_MAX_SIZE_REACHED;
    }else{
      char *zNew = prillGroupNewId(g, e);
      m = zNew ? prillGroupAdd(g, zNew, e->zInstance, e) : 0;
      sqlite3_free(zNew);
      if( g->nMember==1 ) prillGroupSetType(g, e->zProtocolType);
      g->bAssign = 1;
    }
  }
  if( g->iErr || m==0 ) return;
  if( prillGroupUpdate(g, m, e) ) g->bAssign = 1;
  targetSeen(m, now);
  targetVote(g);
  g->pMember = m;
}

/* LEAVE by member id, or by instance id alone. */
static void targetLeave(PrillGroup *g, const PrillGroupEvent *e){
  PrillMember *m = 0;
  if( (e->zMember==0 || e->zMember[0]==0) && e->zInstance ){
    m = prillGroupInstance(g, e->zInstance);
    if( m==0 ) g->iErr = PRILL_KE_UNKNOWN_MEMBER_ID;
  }else{
    g->iErr = prillGroupValidate(g, e);
    m = g->pMember;
  }
  if( g->iErr ) return;
  g->pMember = m;
  prillGroupRemove(g, m);
  g->bAssign = 1;
}

static void targetRunAssignor(PrillGroup *g, i64 now){
  if( !g->bAssign || g->rc ) return;
  g->bAssign = 0;
  if( g->nMember>0 ){
    targetVote(g);
    targetAssign(g);
    g->bAssign = 0;
  }else{
    g->iGeneration++;
    g->iEmptySince = now;
    g->bChanged = 1;
    prillGroupSetProtocol(g, 0);
  }
}

void prillTargetEvent(PrillGroup *g, const PrillGroupEvent *e, i64 now){
  PrillMember *pHere = 0;
  if( e->eType==PRILL_EV_POLL || e->eType==PRILL_EV_COMMIT || e->eType==PRILL_EV_JOIN ){
    pHere = prillGroupFind(g, e->zMember);
  }
  targetExpire(g, pHere, now);
  switch( e->eType ){
    case PRILL_EV_JOIN:
      targetJoin(g, e, now);
      break;
    case PRILL_EV_LEAVE:
      targetLeave(g, e);
      break;
    case PRILL_EV_DEAD:
      if( (pHere = prillGroupFind(g, e->zMember))==0 ) g->iErr = PRILL_KE_UNKNOWN_MEMBER_ID;
      else if( !pHere->bDead ) targetDie(g, pHere, now);
      break;
    case PRILL_EV_TOPICS:
      if( targetStale(g) ) g->bAssign = 1;
      break;
    case PRILL_EV_POLL:
    case PRILL_EV_COMMIT:
      g->iErr = prillGroupValidate(g, e);
      break;
  }
  targetRunAssignor(g, now);
  if( g->iErr==0 && g->rc==SQLITE_OK && g->pMember ){
    if( e->eType==PRILL_EV_POLL ){
      targetSeen(g->pMember, now);
      targetRelease(g, g->pMember);
      targetTake(g, g->pMember);
    }else if( e->eType==PRILL_EV_COMMIT && e->bRelease && !targetEager(g) ){
      targetRelease(g, g->pMember);
    }
  }
  if( g->rc==SQLITE_OK ){
    g->eState = prillTargetState(g);
    prillGroupStore(g);
  }
}

/* prillMemberAwaited of SQL: it is to let go, or there is something free for it. */
const char *prillTargetAwaited(const PrillGroup *g, const PrillMember *m){
  int i, bEager = targetEager(g);
  if( m->bDead ) return 0;
  if( bEager && m->iEpoch!=g->iGeneration ) return "poll";
  for(i=0; i<m->owned.n; i++){
    if( !targetKeeps(g, m, m->owned.a[i]) ) return "poll or commit";
  }
  for(i=0; i<m->target.n && !(bEager && targetWaits(g)); i++){
    if( !targetOwned(g, m->target.a[i]) ) return "poll";
  }
  return 0;
}

int prillMemberOwns(const PrillGroup *g, const PrillMember *m, const char *zTopic, i32 iPart){
  int iTopic = prillTopicsFind(&g->topics, zTopic, -1);
  return iTopic>=0 && prillTpsFind(&m->owned, iTopic, iPart)>=0;
}

int prillMemberSettled(const PrillGroup *g, const PrillMember *m){
  int i;
  if( m->bDead || (targetEager(g) && m->iEpoch!=g->iGeneration) ) return 0;
  for(i=0; i<m->owned.n; i++){
    if( !targetKeeps(g, m, m->owned.a[i]) ) return 0;
  }
  if( m->owned.n==m->target.n || (targetEager(g) && targetWaits(g)) ) return 1;
  for(i=0; i<m->target.n; i++){
    if( !targetOwned(g, m->target.a[i]) ) return 0;
  }
  return 1;
}
