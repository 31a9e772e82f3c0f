/*
** group.c: a consumer group and its members.
**
** Layer 4.  Calls util, buf, subscription, assign.  Pure: (group, event, now)
** -> actions; see prillGroup.h.  What both kinds of group share is here: the
** list of members, ids, fencing of static members, the choice of a protocol,
** and the bytes of the rows.  barrier.c holds Kafka's classic protocol,
** target.c the groups of SQL.
**
** Rows: the group's (generation, protocol, leader, iChange) and one a member.
** A group of kind SQL names every change at the end of the event that made it.
** One of kind KAFKA does so when it becomes Stable or Empty, and when a static
** member replaces itself in a Stable group: what is stored is always a
** generation whose assignment is known, as in Kafka.  A process that dies in
** the middle of a rebalance leaves the last one; its members come back with
** generations the loaded group refuses, and join again.
**
** Invariants, after each event:
**
**   1. Member ids are unique, and so are instance ids.
**   2. A request token is answered exactly once, by an action or by
**      prillGroupPending.
**   3. All stores come before all answers.
**   4. Rows named SAVE once and not yet DROP are those of apMember[] whenever
**      the group is Stable or Empty.
*/
#include "prillGroup.h"

#define GROUP_VERSION 1          /* of the rows' bytes */
#define GROUP_MX_PROTO 64        /* protocols of one member */

static const char *const groupStateName[] = {
  "Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"
};
const char *prillGroupStateName(int eState){
  return groupStateName[eState];
}

void prillGroupConfDefault(PrillGroupConf *p){
  p->msInitialDelay = 3000;
  p->msMinSession = 6000;
  p->msMaxSession = 1800000;
  p->msNewMember = 300000;
  p->nMaxSize = 0x7fffffff;
}

/**************************************************************************
** Memory
*/

/* A copy of z[0..n) with a NUL, or NULL with rc set; NULL stays NULL. */
static char *groupCopy(PrillGroup *g, const void *z, i64 n){
  char *zNew;
  if( z==0 || g->rc ) return 0;
  zNew = sqlite3_malloc64((u64)n+1);
  if( zNew==0 ){
    g->rc = SQLITE_NOMEM;
    return 0;
  }
  if( n>0 ) memcpy(zNew, z, (size_t)n);
  zNew[n] = 0;
  return zNew;
}
static char *groupCopyText(PrillGroup *g, const char *z){
  return groupCopy(g, z, z ? (i64)strlen(z) : 0);
}

/* Room for one more of sz bytes in *pa; 0 with rc set when there is none. */
static int groupRoom(PrillGroup *g, void *pa, int n, int *pnAlloc, size_t sz){
  void *a;
  if( g->rc ) return 0;
  if( n<*pnAlloc ) return 1;
  memcpy(&a, pa, sizeof(a));
  a = sqlite3_realloc64(a, sz*(u64)(*pnAlloc ? *pnAlloc*2 : 4));
  if( a==0 ){
    g->rc = SQLITE_NOMEM;
    return 0;
  }
  memcpy(pa, &a, sizeof(a));
  *pnAlloc = *pnAlloc ? *pnAlloc*2 : 4;
  return 1;
}

static void groupProtoFree(PrillMember *m){
  int i;
  for(i=0; i<m->nProto; i++) sqlite3_free((char*)m->aProto[i].zName);
  sqlite3_free(m->aProto);
  m->aProto = 0;
  m->nProto = 0;
}
static void groupMemberFree(PrillMember *m){
  if( m==0 ) return;
  groupProtoFree(m);
  sqlite3_free(m->zMember);
  sqlite3_free(m->zInstance);
  sqlite3_free(m->zClient);
  sqlite3_free(m->zHost);
  sqlite3_free(m->aAssign);
  sqlite3_free(m->aTopic);
  prillTpsFree(&m->owned);
  prillTpsFree(&m->target);
  sqlite3_free(m);
}

PrillGroup *prillGroupNew(const char *zGroup, int eKind, const PrillGroupConf *pConf){
  PrillGroup *g = sqlite3_malloc64(sizeof(*g));
  if( g==0 ) return 0;
  memset(g, 0, sizeof(*g));
  g->eKind = eKind;
  g->conf = *pConf;
  g->iBarrier = PRILL_I64MAX;
  g->zGroup = groupCopyText(g, zGroup);
  if( g->zGroup==0 ){
    prillGroupFree(g);
    return 0;
  }
  return g;
}

/* Forget what the last event left: actions, members that went, dropped rows. */
static void groupForget(PrillGroup *g){
  int i;
  g->nAct = 0;
  for(i=0; i<g->nGone; i++) groupMemberFree(g->apGone[i]);
  g->nGone = 0;
  if( g->bDropped ){
    for(i=0; i<g->nDrop; i++) sqlite3_free(g->azDrop[i]);
    g->nDrop = 0;
    g->bDropped = 0;
  }
  g->iErr = 0;
  g->pMember = 0;
}

void prillGroupFree(PrillGroup *g){
  int i;
  if( g==0 ) return;
  g->bDropped = 1;
  groupForget(g);
  for(i=0; i<g->nMember; i++) groupMemberFree(g->apMember[i]);
  sqlite3_free(g->apMember);
  sqlite3_free(g->apGone);
  sqlite3_free(g->azDrop);
  sqlite3_free(g->aAct);
  sqlite3_free(g->zGroup);
  sqlite3_free(g->zProtocolType);
  sqlite3_free(g->zProtocol);
  prillTopicsFree(&g->topics);
  prillBufFree(&g->told);
  sqlite3_free(g);
}

PrillGroupAct *prillGroupAct(PrillGroup *g, int eAct){
  PrillGroupAct *p;
  if( !groupRoom(g, &g->aAct, g->nAct, &g->nActAlloc, sizeof(*p)) ) return 0;
  p = &g->aAct[g->nAct++];
  memset(p, 0, sizeof(*p));
  p->eAct = eAct;
  return p;
}

/**************************************************************************
** Members
*/
PrillMember *prillGroupFind(const PrillGroup *g, const char *zMember){
  int i;
  for(i=0; zMember && i<g->nMember; i++){
    if( strcmp(g->apMember[i]->zMember, zMember)==0 ) return g->apMember[i];
  }
  return 0;
}
PrillMember *prillGroupInstance(const PrillGroup *g, const char *zInstance){
  int i;
  for(i=0; zInstance && i<g->nMember; i++){
    const char *z = g->apMember[i]->zInstance;
    if( z && strcmp(z, zInstance)==0 ) return g->apMember[i];
  }
  return 0;
}

int prillGroupValidate(PrillGroup *g, const PrillGroupEvent *e){
  if( e->zInstance ){
    PrillMember *m = prillGroupInstance(g, e->zInstance);
    if( m==0 ) return PRILL_KE_UNKNOWN_MEMBER_ID;
    if( e->zMember==0 || strcmp(m->zMember, e->zMember)!=0 ) return PRILL_KE_FENCED_INSTANCE_ID;
  }
  g->pMember = prillGroupFind(g, e->zMember);
  if( g->pMember==0 || g->pMember->bPending ){
    g->pMember = 0;
    return PRILL_KE_UNKNOWN_MEMBER_ID;
  }
  return 0;
}

/* An empty member, last in the order. */
static PrillMember *groupAppend(PrillGroup *g){
  PrillMember *m;
  if( !groupRoom(g, &g->apMember, g->nMember, &g->nMemberAlloc, sizeof(m)) ) return 0;
  m = sqlite3_malloc64(sizeof(*m));
  if( m==0 ){
    g->rc = SQLITE_NOMEM;
    return 0;
  }
  memset(m, 0, sizeof(*m));
  m->iDeadline = PRILL_I64MAX;
  g->apMember[g->nMember++] = m;
  return m;
}

PrillMember *prillGroupAdd(PrillGroup *g, const char *zMember, const char *zInstance, const PrillGroupEvent *e){
  PrillMember *m = groupAppend(g);
  if( m==0 ) return 0;
  m->zMember = groupCopyText(g, zMember);
  m->zInstance = groupCopyText(g, zInstance);
  m->zClient = groupCopyText(g, e->zClient ? e->zClient : "");
  m->zHost = groupCopyText(g, e->zHost ? e->zHost : "");
  return g->rc ? 0 : m;
}

/* The row of this id is to be deleted. */
static void groupDrop(PrillGroup *g, char *zMember){
  if( groupRoom(g, &g->azDrop, g->nDrop, &g->nDropAlloc, sizeof(char*)) ){
    g->azDrop[g->nDrop++] = zMember;
  }else{
    sqlite3_free(zMember);
  }
}

void prillGroupRemove(PrillGroup *g, PrillMember *m){
  int i = 0;
  while( g->apMember[i]!=m ) i++;
  if( !groupRoom(g, &g->apGone, g->nGone, &g->nGoneAlloc, sizeof(m)) ) return;
  g->apGone[g->nGone++] = m;
  g->nMember--;
  memmove(g->apMember+i, g->apMember+i+1, sizeof(m)*(size_t)(g->nMember-i));
  if( m->bStored ) groupDrop(g, groupCopyText(g, m->zMember));
}

void prillGroupRename(PrillGroup *g, PrillMember *m, char *zNew){
  if( zNew==0 ) return;
  groupDrop(g, m->zMember);
  m->zMember = zNew;
  m->bStored = 0;
  m->bChanged = 1;
}

char *prillGroupNewId(PrillGroup *g, const PrillGroupEvent *e){
  char zHex[33], *z;
  u8 a[16];
  const char *zPrefix = e->zInstance ? e->zInstance : e->zClient ? e->zClient : "";
  if( g->rc ) return 0;
  memcpy(a, e->aRandom, 16);
  a[6] = (u8)((a[6] & 0x0f) | 0x40);         /* a version 4 UUID, as Java's */
  a[8] = (u8)((a[8] & 0x3f) | 0x80);
  prillHex(a, 16, zHex);
  z = sqlite3_mprintf("%s-%.8s-%.4s-%.4s-%.4s-%.12s", zPrefix, zHex, zHex+8, zHex+12, zHex+16, zHex+20);
  if( z==0 ) g->rc = SQLITE_NOMEM;
  return z;
}

/**************************************************************************
** Protocols and subscriptions
*/
static const PrillProtocol *groupProto(const PrillMember *m, const char *zName){
  int i;
  for(i=0; i<m->nProto; i++){
    if( strcmp(m->aProto[i].zName, zName)==0 ) return &m->aProto[i];
  }
  return 0;
}
const PrillProtocol *prillMemberMeta(const PrillGroup *g, const PrillMember *m){
  return g->zProtocol ? groupProto(m, g->zProtocol) : 0;
}

/* 1 when every member but those only pending supports it. */
static int groupAllSupport(const PrillGroup *g, const char *zName){
  int i;
  for(i=0; i<g->nMember; i++){
    if( !g->apMember[i]->bPending && groupProto(g->apMember[i], zName)==0 ) return 0;
  }
  return 1;
}

int prillGroupSupports(const PrillGroup *g, const PrillGroupEvent *e){
  int i;
  if( e->zProtocolType==0 || e->zProtocolType[0]==0 ) return 0;
  if( e->nProto<=0 || e->nProto>GROUP_MX_PROTO ) return 0;
  if( g->eState==PRILL_GROUP_EMPTY ) return 1;
  if( g->zProtocolType==0 || strcmp(g->zProtocolType, e->zProtocolType)!=0 ) return 0;
  for(i=0; i<e->nProto; i++){
    if( groupAllSupport(g, e->aProto[i].zName) ) return 1;
  }
  return 0;
}

/*
** Each member votes for the first of its own that all support.  Of equal
** counts the one the first member likes best wins (in Java, a hash decides).
*/
const char *prillGroupSelect(const PrillGroup *g){
  const PrillMember *pFirst = 0;
  int aVote[GROUP_MX_PROTO];                 /* by protocol of pFirst; -1: not all have it */
  int i, j, k, iBest = -1;
  for(i=0; i<g->nMember && pFirst==0; i++){
    if( !g->apMember[i]->bPending ) pFirst = g->apMember[i];
  }
  if( pFirst==0 ) return 0;
  for(k=0; k<pFirst->nProto; k++) aVote[k] = groupAllSupport(g, pFirst->aProto[k].zName) ? 0 : -1;
  for(i=0; i<g->nMember; i++){
    const PrillMember *m = g->apMember[i];
    int bVoted = m->bPending;
    for(j=0; j<m->nProto && !bVoted; j++){
      for(k=0; k<pFirst->nProto && !bVoted; k++){
        if( aVote[k]>=0 && strcmp(pFirst->aProto[k].zName, m->aProto[j].zName)==0 ){
          aVote[k]++;
          bVoted = 1;
        }
      }
    }
  }
  for(k=0; k<pFirst->nProto; k++){
    if( aVote[k]>0 && (iBest<0 || aVote[k]>aVote[iBest]) ) iBest = k;
  }
  return iBest<0 ? 0 : pFirst->aProto[iBest].zName;
}

void prillGroupSetProtocol(PrillGroup *g, const char *z){
  char *zNew;
  if( z && g->zProtocol && strcmp(z, g->zProtocol)==0 ) return;
  zNew = groupCopyText(g, z);
  if( g->rc ) return;
  sqlite3_free(g->zProtocol);
  g->zProtocol = zNew;
  g->bChanged = 1;
}

/* A protocol's name and metadata in one piece of memory. */
static int groupPutProto(PrillGroup *g, PrillProtocol *p, const void *zName, i64 nName, const u8 *a, i64 n){
  char *z = g->rc ? 0 : sqlite3_malloc64((u64)(nName+1+n));
  if( z==0 ){
    g->rc = SQLITE_NOMEM;
    return 0;
  }
  memcpy(z, zName, (size_t)nName);
  z[nName] = 0;
  if( n>0 ) memcpy(z+nName+1, a, (size_t)n);
  p->zName = z;
  p->aMeta = (u8*)z+nName+1;
  p->nMeta = n;
  return 1;
}

int prillGroupSameProtos(const PrillMember *m, const PrillProtocol *a, int n){
  int i;
  if( m->nProto!=n ) return 0;
  for(i=0; i<n; i++){
    if( strcmp(m->aProto[i].zName, a[i].zName)!=0 || m->aProto[i].nMeta!=a[i].nMeta ) return 0;
    if( a[i].nMeta>0 && memcmp(m->aProto[i].aMeta, a[i].aMeta, (size_t)a[i].nMeta)!=0 ) return 0;
  }
  return 1;
}

static void groupSetProtos(PrillGroup *g, PrillMember *m, const PrillProtocol *a, int n){
  int i;
  groupProtoFree(m);
  if( g->rc ) return;
  m->aProto = sqlite3_malloc64(sizeof(*a)*(u64)n+1);
  if( m->aProto==0 ){
    g->rc = SQLITE_NOMEM;
    return;
  }
  for(i=0; i<n; i++){
    if( !groupPutProto(g, &m->aProto[i], a[i].zName, (i64)strlen(a[i].zName), a[i].aMeta, a[i].nMeta) ) break;
    m->nProto++;
  }
}

/* The topics of a JOIN by number; 1 when they differ from the member's. */
static int groupSetTopics(PrillGroup *g, PrillMember *m, const char *const*az, int n){
  int i, j, bSame = m->nTopic==n;
  i32 *a = g->rc ? 0 : sqlite3_malloc64(sizeof(i32)*(u64)n+1);
  if( a==0 ){
    g->rc = SQLITE_NOMEM;
    return 0;
  }
  for(i=0; i<n; i++) a[i] = prillTopicsAdd(&g->rc, &g->topics, az[i], -1);
  for(i=0; i<n && bSame; i++){
    for(j=0; j<n && m->aTopic[j]!=a[i]; j++){}
    bSame = j<n;
  }
  sqlite3_free(m->aTopic);
  m->aTopic = a;
  m->nTopic = g->rc ? 0 : n;
  return !bSame;
}

void prillGroupHost(PrillGroup *g, PrillMember *m, const PrillGroupEvent *e){
  char *zClient = groupCopyText(g, e->zClient), *zHost = groupCopyText(g, e->zHost);
  if( zClient ){
    sqlite3_free(m->zClient);
    m->zClient = zClient;
  }
  if( zHost ){
    sqlite3_free(m->zHost);
    m->zHost = zHost;
  }
}

int prillGroupUpdate(PrillGroup *g, PrillMember *m, const PrillGroupEvent *e){
  int bDiffers = !prillGroupSameProtos(m, e->aProto, e->nProto);
  if( bDiffers ) groupSetProtos(g, m, e->aProto, e->nProto);
  if( g->eKind==PRILL_KIND_SQL && groupSetTopics(g, m, e->azTopic, e->nTopic) ) bDiffers = 1;
  m->msSession = e->msSession;
  m->msRebalance = e->msRebalance;
  m->bChanged = 1;
  return bDiffers;
}

void prillGroupSetType(PrillGroup *g, const char *z){
  char *zNew = groupCopyText(g, z);
  if( g->rc ) return;
  sqlite3_free(g->zProtocolType);
  g->zProtocolType = zNew;
}
void prillGroupGive(PrillGroup *g, PrillMember *m, const u8 *a, i64 n){
  u8 *aNew = n>0 ? (u8*)groupCopy(g, a, n) : 0;
  if( g->rc ) return;
  sqlite3_free(m->aAssign);
  m->aAssign = aNew;
  m->nAssign = aNew ? n : 0;
}

/**************************************************************************
** Events
*/
void prillGroupStore(PrillGroup *g){
  int i, n = g->nAct, nStore;
  PrillGroupAct *pAct;
  for(i=0; i<g->nMember; i++){
    PrillMember *m = g->apMember[i];
    if( m->bPending ) continue;
    if( m->bChanged || !m->bStored ){
      pAct = prillGroupAct(g, PRILL_ACT_SAVE_MEMBER);
      g->bChanged = 1;
    }else if( m->bTouched ){
      pAct = prillGroupAct(g, PRILL_ACT_TOUCH_MEMBER);
    }else{
      continue;
    }
    if( pAct==0 ) return;
    pAct->pMember = m;
    m->bStored = 1;
    m->bChanged = m->bTouched = 0;
  }
  for(i=0; i<g->nDrop && !g->bDropped; i++){
    pAct = prillGroupAct(g, PRILL_ACT_DROP_MEMBER);
    if( pAct==0 ) return;
    pAct->zMember = g->azDrop[i];
    g->bChanged = 1;
  }
  g->bDropped = 1;
  if( g->bChanged ){
    g->iChange++;
    if( prillGroupAct(g, PRILL_ACT_SAVE_GROUP)==0 ) return;
    g->bChanged = 0;
  }
  /* Answers already in the list go behind the stores. */
  nStore = g->nAct-n;
  if( n>0 && nStore>0 ){
    PrillGroupAct *a = sqlite3_malloc64(sizeof(*a)*(u64)n);
    if( a==0 ){
      g->rc = SQLITE_NOMEM;
      return;
    }
    memcpy(a, g->aAct, sizeof(*a)*(size_t)n);
    memmove(g->aAct, g->aAct+n, sizeof(*a)*(size_t)nStore);
    memcpy(g->aAct+nStore, a, sizeof(*a)*(size_t)n);
    sqlite3_free(a);
  }
}

/* What is refused whoever asks. */
static int groupRefuse(const PrillGroup *g, const PrillGroupEvent *e){
  if( e->eType==PRILL_EV_TIMER || e->eType==PRILL_EV_TOPICS ) return 0;
  if( g->zGroup[0]==0 && e->eType!=PRILL_EV_COMMIT && e->eType!=PRILL_EV_DELETE ){
    return PRILL_KE_INVALID_GROUP_ID;
  }
  if( e->eType==PRILL_EV_JOIN
   && (e->msSession<g->conf.msMinSession || e->msSession>g->conf.msMaxSession) ){
    return PRILL_KE_INVALID_SESSION_TIMEOUT;
  }
  if( g->eState==PRILL_GROUP_DEAD ){
    return e->eType==PRILL_EV_DELETE ? PRILL_KE_GROUP_ID_NOT_FOUND : PRILL_KE_COORDINATOR_NOT_AVAILABLE;
  }
  if( e->eType==PRILL_EV_DELETE && g->eState!=PRILL_GROUP_EMPTY ) return PRILL_KE_NON_EMPTY_GROUP;
  return 0;
}

int prillGroupEvent(PrillGroup *g, const PrillGroupEvent *e, i64 now){
  if( g->rc ) return g->rc;
  groupForget(g);
  g->iReq = e->eType==PRILL_EV_JOIN || e->eType==PRILL_EV_SYNC ? e->iReq : 0;
  g->iErr = groupRefuse(g, e);
  if( g->iErr ){
    if( g->eKind==PRILL_KIND_KAFKA && (e->eType==PRILL_EV_JOIN || e->eType==PRILL_EV_SYNC) ){
      PrillGroupAct *p = prillGroupAct(g, e->eType==PRILL_EV_JOIN ? PRILL_ACT_JOINED : PRILL_ACT_SYNCED);
      if( p ){
        p->iReq = e->iReq;
        p->iErr = g->iErr;
        p->zMember = e->zMember;
        p->iGeneration = -1;
      }
    }
  }else if( e->eType==PRILL_EV_DELETE ){
    g->eState = PRILL_GROUP_DEAD;
  }else if( g->eKind==PRILL_KIND_KAFKA ){
    prillBarrierEvent(g, e, now);
  }else{
    prillTargetEvent(g, e, now);
  }
  return g->rc;
}

i64 prillGroupDeadline(const PrillGroup *g){
  i64 iRet = g->iBarrier;
  int i;
  for(i=0; i<g->nMember; i++) iRet = PRILL_MIN(iRet, g->apMember[i]->iDeadline);
  return iRet;
}

/* Take one request that waits in a member or in the list of actions. */
static u64 groupTakePending(PrillGroup *g, int *peAct){
  int i, k;
  for(i=0; i<g->nMember+g->nGone; i++){
    PrillMember *m = i<g->nMember ? g->apMember[i] : g->apGone[i-g->nMember];
    for(k=0; k<2; k++){
      u64 *p = k ? &m->iSync : &m->iJoin;
      u64 iReq = *p;
      *p = 0;
      *peAct = k ? PRILL_ACT_SYNCED : PRILL_ACT_JOINED;
      if( iReq ) return iReq;
    }
  }
  for(i=0; i<g->nAct && g->rc; i++){
    u64 iReq = g->aAct[i].iReq;
    g->aAct[i].iReq = 0;
    *peAct = g->aAct[i].eAct;
    if( iReq ) return iReq;
  }
  return 0;
}

u64 prillGroupPending(PrillGroup *g, int *peAct){
  u64 iReq = groupTakePending(g, peAct);
  if( iReq==0 && g->rc ){                    /* the event that failed */
    iReq = g->iReq;
    *peAct = 0;
    g->iReq = 0;
  }
  if( iReq==g->iReq ) g->iReq = 0;
  return iReq;
}

int prillGroupSubscribes(PrillGroup *g, const char *zTopic){
  int i, j, bFound = 0;
  for(i=0; i<g->nMember && !bFound; i++){
    PrillMember *m = g->apMember[i];
    if( g->eKind==PRILL_KIND_SQL ){
      for(j=0; j<m->nTopic; j++) bFound |= strcmp(g->topics.a[m->aTopic[j]].zTopic, zTopic)==0;
    }else if( prillMemberMeta(g, m) && g->zProtocolType && strcmp(g->zProtocolType, "consumer")==0 ){
      PrillTopics topics;
      PrillSubscription s;
      const PrillProtocol *p = prillMemberMeta(g, m);
      memset(&topics, 0, sizeof(topics));
      if( prillSubscriptionDecode(p->aMeta, p->nMeta, &topics, &s)==SQLITE_OK ){
        for(j=0; j<s.nTopic; j++) bFound |= strcmp(topics.a[s.aTopic[j]].zTopic, zTopic)==0;
        prillSubscriptionFree(&s);
      }else{
        bFound = 1;               /* it cannot be told: Kafka supposes so */
      }
      prillTopicsFree(&topics);
    }
  }
  return bFound;
}

void prillGroupProblem(int *pRc, PrillGroup *g, PrillBuf *pOut){
  const PrillTps **ap;
  PrillTps *aTps = 0;
  int i;
  if( *pRc || g->nMember==0 ) return;
  ap = sqlite3_malloc64((sizeof(*ap)+sizeof(PrillTps))*(u64)g->nMember);
  if( ap==0 ){
    *pRc = SQLITE_NOMEM;
    return;
  }
  aTps = (PrillTps*)(ap+g->nMember);
  memset(aTps, 0, sizeof(PrillTps)*(size_t)g->nMember);
  for(i=0; i<g->nMember; i++){
    PrillMember *m = g->apMember[i];
    ap[i] = g->eKind==PRILL_KIND_SQL ? &m->target : &aTps[i];
    if( g->eKind==PRILL_KIND_KAFKA && m->nAssign>0 ){
      if( prillAssignmentDecode(m->aAssign, m->nAssign, &g->topics, &aTps[i], 0, 0)==SQLITE_NOMEM ){
        *pRc = SQLITE_NOMEM;
      }
    }
  }
  prillAssignProblem(pRc, &g->topics, ap, g->nMember, pOut);
  for(i=0; i<g->nMember; i++) prillTpsFree(&aTps[i]);
  sqlite3_free(ap);
}

/**************************************************************************
** Rows
**
** Texts and bytes have an i32 length, -1 for none; integers are big-endian.
*/
static void rowInt(int *pRc, PrillBuf *p, i64 v){
  u8 *a = prillBufRoom(pRc, p, 8);
  if( a ){
    prillPut64(a, v);
    p->n += 8;
  }
}
static void rowBytes(int *pRc, PrillBuf *p, const void *a, i64 n){
  u8 *aLen = prillBufRoom(pRc, p, 4);
  if( aLen==0 ) return;
  prillPut32(aLen, a ? (u32)n : 0xffffffff);
  p->n += 4;
  if( a ) prillBufAppend(pRc, p, a, n);
}
static void rowText(int *pRc, PrillBuf *p, const char *z){
  rowBytes(pRc, p, z, z ? (i64)strlen(z) : 0);
}
static void rowTps(int *pRc, PrillBuf *p, const PrillTopics *pTopics, const PrillTps *pTps){
  PrillBuf buf;
  memset(&buf, 0, sizeof(buf));
  prillAssignmentEncode(pRc, &buf, pTopics, pTps, 0);
  rowBytes(pRc, p, buf.a, buf.n);
  prillBufFree(&buf);
}

void prillGroupSave(int *pRc, const PrillGroup *g, PrillBuf *p){
  rowInt(pRc, p, GROUP_VERSION);
  rowInt(pRc, p, g->eKind);
  rowInt(pRc, p, g->iGeneration);
  rowInt(pRc, p, g->iChange);
  rowInt(pRc, p, g->iEmptySince);
  rowText(pRc, p, g->zProtocolType);
  rowText(pRc, p, g->zProtocol);
  rowText(pRc, p, g->pLeader ? g->pLeader->zMember : 0);
}

/* kafka, alive: does its rebalance wait for this member? */
static int groupAwaits(const PrillGroup *g, const PrillMember *m){
  if( g->eState==PRILL_GROUP_PREPARING ) return !g->bInitial && m->iJoin==0;
  return g->eState==PRILL_GROUP_COMPLETING && !m->bPending && !m->bSynced;
}

int prillGroupTell(int *pRc, const PrillGroup *g, PrillBuf *p){
  int i, n = 0;
  for(i=0; i<g->nMember; i++) n += groupAwaits(g, g->apMember[i]);
  if( n==0 ) return 0;
  rowInt(pRc, p, g->eState);
  rowInt(pRc, p, n);
  for(i=0; i<g->nMember; i++){
    if( groupAwaits(g, g->apMember[i]) ) rowText(pRc, p, g->apMember[i]->zMember);
  }
  return 1;
}

const char *prillMemberAwaited(const PrillGroup *g, const PrillMember *m){
  if( g->eKind!=PRILL_KIND_KAFKA ) return prillTargetAwaited(g, m);
  return m->bAwaited ? g->eTold==PRILL_GROUP_PREPARING ? "join" : "sync" : 0;
}

void prillMemberSave(int *pRc, const PrillGroup *g, const PrillMember *m, PrillBuf *p){
  int i;
  rowInt(pRc, p, GROUP_VERSION);
  rowText(pRc, p, m->zMember);
  rowText(pRc, p, m->zInstance);
  rowText(pRc, p, m->zClient);
  rowText(pRc, p, m->zHost);
  rowInt(pRc, p, m->msSession);
  rowInt(pRc, p, m->msRebalance);
  rowInt(pRc, p, m->iEpoch);
  rowInt(pRc, p, m->bDead ? m->iDeadline : -1);
  rowInt(pRc, p, m->nProto);
  for(i=0; i<m->nProto; i++){
    rowText(pRc, p, m->aProto[i].zName);
    rowBytes(pRc, p, m->aProto[i].aMeta, m->aProto[i].nMeta);
  }
  rowBytes(pRc, p, m->aAssign, m->nAssign);
  rowInt(pRc, p, m->nTopic);
  for(i=0; i<m->nTopic; i++) rowText(pRc, p, g->topics.a[m->aTopic[i]].zTopic);
  rowTps(pRc, p, &g->topics, &m->owned);
  rowTps(pRc, p, &g->topics, &m->target);
}

typedef struct RowRead RowRead;
struct RowRead {
  PrillGroup *g;
  const u8 *a, *aEnd;
  int rc;
};
static i64 rowGetInt(RowRead *r, i64 iMin, i64 iMax){
  i64 v = iMin;
  if( r->rc==SQLITE_OK && r->aEnd-r->a<8 ) r->rc = PRILL_CORRUPT;
  if( r->rc ) return iMin;
  v = prillGet64(r->a);
  r->a += 8;
  if( v<iMin || v>iMax ){
    r->rc = PRILL_CORRUPT;
    v = iMin;
  }
  return v;
}
static const u8 *rowGetBytes(RowRead *r, i64 *pn){
  const u8 *a;
  i32 n;
  *pn = 0;
  if( r->rc==SQLITE_OK && r->aEnd-r->a<4 ) r->rc = PRILL_CORRUPT;
  if( r->rc ) return 0;
  n = (i32)prillGet32(r->a);
  r->a += 4;
  if( n==-1 ) return 0;
  if( n<0 || n>r->aEnd-r->a ){
    r->rc = PRILL_CORRUPT;
    return 0;
  }
  a = r->a;
  r->a += n;
  *pn = n;
  return a;
}
/* A text without a NUL.  bMust: it cannot be missing. */
static const u8 *rowGetText(RowRead *r, int bMust, i64 *pn){
  const u8 *a = rowGetBytes(r, pn);
  if( r->rc==SQLITE_OK && (a ? memchr(a, 0, (size_t)*pn)!=0 : bMust) ) r->rc = PRILL_CORRUPT;
  return r->rc ? 0 : a;
}
static char *rowCopyText(RowRead *r, int bMust){
  i64 n;
  const u8 *a = rowGetText(r, bMust, &n);
  char *z = groupCopy(r->g, a, n);
  if( r->rc==SQLITE_OK ) r->rc = r->g->rc;
  return z;
}
static void rowGetTps(RowRead *r, PrillTps *p){
  i64 n;
  int i;
  const u8 *a = rowGetBytes(r, &n);
  if( r->rc==SQLITE_OK ) r->rc = prillAssignmentDecode(a, n, &r->g->topics, p, 0, 0);
  prillTpsSort(p);
  for(i=0; i<p->n; i++){
    if( p->a[i].iPart<0 && r->rc==SQLITE_OK ) r->rc = PRILL_CORRUPT;
  }
}

/* The row is at its end, of our version. */
static int rowDone(RowRead *r){
  if( r->rc==SQLITE_OK && r->a!=r->aEnd ) r->rc = PRILL_CORRUPT;
  if( r->rc==SQLITE_NOMEM ) r->g->rc = SQLITE_NOMEM;
  return r->rc;
}

/* What prillGroupTell() appended, if anything. */
static void rowGetTold(RowRead *r){
  PrillGroup *g = r->g;
  i64 i, n, nName;
  if( r->rc || r->a==r->aEnd || g->eKind!=PRILL_KIND_KAFKA ) return;
  g->eTold = (u8)rowGetInt(r, PRILL_GROUP_PREPARING, PRILL_GROUP_COMPLETING);
  n = rowGetInt(r, 0, (r->aEnd-r->a)/4);
  for(i=0; i<n && r->rc==SQLITE_OK; i++){
    const u8 *z = rowGetText(r, 1, &nName);
    if( r->rc==SQLITE_OK ) prillBufAppend(&r->rc, &g->told, z, nName);
    prillBufAppend(&r->rc, &g->told, "", 1);
  }
}

int prillGroupLoad(PrillGroup *g, const u8 *a, i64 n){
  RowRead r;
  const u8 *z;
  i64 nText;
  r.g = g;
  r.a = a;
  r.aEnd = n>0 ? a+n : a;
  r.rc = SQLITE_OK;
  rowGetInt(&r, GROUP_VERSION, GROUP_VERSION);
  rowGetInt(&r, g->eKind, g->eKind);
  g->iGeneration = (i32)rowGetInt(&r, 0, 0x3fffffff);    /* it goes on rising */
  g->iChange = rowGetInt(&r, 0, PRILL_I64MAX/2);
  g->iEmptySince = rowGetInt(&r, 0, PRILL_I64MAX/2);
  g->zProtocolType = rowCopyText(&r, 0);
  g->zProtocol = rowCopyText(&r, 0);
  z = rowGetText(&r, 0, &nText);
  if( z && r.rc==SQLITE_OK ){               /* its row comes later: keep the name */
    groupDrop(g, groupCopy(g, z, nText));
    r.rc = g->rc;
  }
  rowGetTold(&r);
  return rowDone(&r);
}

static void rowGetProtos(RowRead *r, PrillMember *m){
  i64 i, nName, nMeta;
  i64 n = rowGetInt(r, 0, GROUP_MX_PROTO);
  if( r->rc ) return;
  m->aProto = sqlite3_malloc64(sizeof(PrillProtocol)*(u64)n+1);
  if( m->aProto==0 ) r->rc = SQLITE_NOMEM;
  for(i=0; i<n && r->rc==SQLITE_OK; i++){
    const u8 *zName = rowGetText(r, 1, &nName);
    const u8 *aMeta = rowGetBytes(r, &nMeta);
    if( r->rc ) break;
    if( groupPutProto(r->g, &m->aProto[m->nProto], zName, nName, aMeta, nMeta) ) m->nProto++;
    r->rc = r->g->rc;
  }
}

static void rowGetTopics(RowRead *r, PrillMember *m){
  i64 i, nName;
  i64 n = rowGetInt(r, 0, (r->aEnd-r->a)/4);
  if( r->rc ) return;
  m->aTopic = sqlite3_malloc64(sizeof(i32)*(u64)n+1);
  if( m->aTopic==0 ) r->rc = SQLITE_NOMEM;
  for(i=0; i<n && r->rc==SQLITE_OK; i++){
    const u8 *z = rowGetText(r, 1, &nName);
    if( r->rc==SQLITE_OK ) m->aTopic[m->nTopic++] = prillTopicsAdd(&r->rc, &r->g->topics, (const char*)z, nName);
  }
}

int prillMemberLoad(PrillGroup *g, const u8 *a, i64 n, i64 iPolled){
  RowRead r;
  const u8 *pBytes;
  i64 nByte, iDead;
  PrillMember *m = groupAppend(g);
  if( m==0 ) return SQLITE_NOMEM;
  r.g = g;
  r.a = a;
  r.aEnd = n>0 ? a+n : a;
  r.rc = SQLITE_OK;
  rowGetInt(&r, GROUP_VERSION, GROUP_VERSION);
  m->zMember = rowCopyText(&r, 1);
  m->zInstance = rowCopyText(&r, 0);
  m->zClient = rowCopyText(&r, 1);
  m->zHost = rowCopyText(&r, 1);
  m->msSession = (i32)rowGetInt(&r, 0, 0x7fffffff);
  m->msRebalance = (i32)rowGetInt(&r, 0, 0x7fffffff);
  m->iEpoch = (i32)rowGetInt(&r, 0, 0x7fffffff);
  iDead = rowGetInt(&r, -1, PRILL_I64MAX/2);
  rowGetProtos(&r, m);
  pBytes = rowGetBytes(&r, &nByte);
  m->aAssign = (u8*)groupCopy(g, pBytes, nByte);
  m->nAssign = m->aAssign ? nByte : 0;
  if( r.rc==SQLITE_OK ) r.rc = g->rc;
  rowGetTopics(&r, m);
  rowGetTps(&r, &m->owned);
  rowGetTps(&r, &m->target);
  m->iPolled = PRILL_MAX(0, PRILL_MIN(iPolled, PRILL_I64MAX/2));
  m->bDead = iDead>=0;
  m->iDeadline = m->bDead ? iDead : m->iPolled+m->msRebalance;
  m->bStored = 1;
  if( rowDone(&r) ){
    g->nMember--;
    groupMemberFree(m);
  }
  return r.rc;
}

/* Is a partition twice in the members' lists, owned or target (k)?  By a bit for
** each partition there is; those that are no more, which are few, by sorting. */
static int groupTwice(PrillGroup *g, int k){
  PrillTps old = {0,0,0};
  i64 nAll = 0, *aFirst;
  u8 *aBit;
  int i, j, n, bTwice = 0, rc = SQLITE_OK;
  for(i=0; i<g->topics.n; i++) nAll += g->topics.a[i].nPart;
  aFirst = (i64*)sqlite3_malloc64(sizeof(i64)*(u64)(g->topics.n+1) + (u64)nAll/8 + 1);
  if( aFirst==0 ) return SQLITE_NOMEM;
  aBit = (u8*)&aFirst[g->topics.n+1];
  memset(aBit, 0, (size_t)nAll/8 + 1);
  for(i=0, nAll=0; i<g->topics.n; i++){
    aFirst[i] = nAll;
    nAll += g->topics.a[i].nPart;
  }
  for(i=0; i<g->nMember; i++){
    const PrillTps *p = k ? &g->apMember[i]->target : &g->apMember[i]->owned;
    for(j=0; j<p->n; j++){
      i64 iBit = aFirst[p->a[j].iTopic] + p->a[j].iPart;
      if( p->a[j].iPart>=g->topics.a[p->a[j].iTopic].nPart ){
        prillTpsAdd(&rc, &old, p->a[j].iTopic, p->a[j].iPart);
        continue;
      }
      bTwice |= (aBit[iBit/8]>>(iBit%8)) & 1;
      aBit[iBit/8] = (u8)(aBit[iBit/8] | (1<<(iBit%8)));
    }
  }
  n = old.n;
  prillTpsSort(&old);
  bTwice |= old.n!=n;
  prillTpsFree(&old);
  sqlite3_free(aFirst);
  return rc==SQLITE_OK && bTwice ? PRILL_CORRUPT : rc;
}

/* Ids are unique, and no partition is twice in owned lists or in targets. */
static int groupCheck(PrillGroup *g){
  int i, k, rc = SQLITE_OK;
  for(i=0; i<g->nMember && rc==SQLITE_OK; i++){
    PrillMember *m = g->apMember[i];
    if( prillGroupFind(g, m->zMember)!=m
     || (m->zInstance && prillGroupInstance(g, m->zInstance)!=m)
     || (g->zProtocol && prillMemberMeta(g, m)==0)
     || (m->bDead && m->zInstance==0) || m->iEpoch>g->iGeneration ) rc = PRILL_CORRUPT;
  }
  for(k=0; rc==SQLITE_OK && k<2; k++) rc = groupTwice(g, k);
  return rc;
}

int prillGroupStart(PrillGroup *g, i64 now){
  int i, rc = g->rc;
  if( rc==SQLITE_OK ) rc = groupCheck(g);
  if( rc ) return rc;
  if( g->nMember>0 && (g->zProtocol==0 || g->zProtocolType==0) ) return PRILL_CORRUPT;
  if( g->eKind==PRILL_KIND_SQL && g->zProtocol && prillAssignorFind(g->zProtocol)<0 ) return PRILL_CORRUPT;
  if( g->nDrop>0 ) g->pLeader = prillGroupFind(g, g->azDrop[0]);
  g->bDropped = 1;
  groupForget(g);
  if( g->eKind==PRILL_KIND_KAFKA ){
    const char *z = (const char*)g->told.a, *zEnd = z+g->told.n;
    for(; z<zEnd; z+=strlen(z)+1){
      PrillMember *m = prillGroupFind(g, z);
      if( m ) m->bAwaited = 1;
    }
    for(i=0; i<g->nMember; i++){
      g->apMember[i]->iDeadline = now+g->apMember[i]->msSession;
      g->apMember[i]->bSynced = 1;
    }
    if( g->pLeader==0 && g->nMember>0 ) g->pLeader = g->apMember[0];
    g->eState = g->nMember>0 ? PRILL_GROUP_STABLE : PRILL_GROUP_EMPTY;
  }else{
    g->eState = prillTargetState(g);
  }
  return SQLITE_OK;
}
