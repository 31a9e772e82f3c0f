/*
** groupsim.c: consumer groups in a simulated world.
**
**   groupsim [-v] [-sql|-kafka] SEED WORLDS STEPS
**
** Each world has one group, up to a dozen members and a few topics, and a
** clock of its own; chance decides what happens next: members join, leave,
** crash, pause and come back, requests and answers are delayed, reordered or
** lost, transactions roll back, the coordinator dies and loads its rows.
** After every step the invariants are checked; at the end the world calms
** down, and everybody must come to agree.  World W of seed S is the same for
** ever: a failure prints the line that replays it.
**
** The last line counts what was seen; a thing that never happened in many
** steps means the simulator lost its teeth, and group.test says so.
*/
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "prillGroup.h"

#define MX_CLIENT 12
#define MX_TOPIC   4
#define MX_ROW    64
#define MX_WIRE  256

static const char *const azTopic[MX_TOPIC] = {"t0", "t1", "t2", "t3"};

/* What happened, for the last line. */
static struct {
  i64 nStep, nJoin, nAssign, nMove, nExpire, nFence, nRollback, nReload, nStatic, nLost, nStable, nCommit, nRefuse;
} seen;

static u64 simState;
static int simVerbose;
static char simWhere[100];
static i64 simStep;

static u32 simRand(u32 n){
  simState ^= simState<<13;
  simState ^= simState>>7;
  simState ^= simState<<17;
  return (u32)((simState*0x2545F4914F6CDD1DULL)>>33) % n;
}
static void simFail(const char *zFmt, ...){
  va_list ap;
  printf("FAILED %s step %lld: ", simWhere, (long long)simStep);
  va_start(ap, zFmt);
  vprintf(zFmt, ap);
  va_end(ap);
  printf("\n");
  exit(1);
}
#define CHECK(X) do{ if( !(X) ) simFail("line %d: %s", __LINE__, #X); }while( 0 )
static void simSay(const char *zFmt, ...){
  va_list ap;
  if( !simVerbose ) return;
  printf("%lld: ", (long long)simStep);
  va_start(ap, zFmt);
  vprintf(zFmt, ap);
  va_end(ap);
  printf("\n");
}

/**************************************************************************
** The store: rows as the driver keeps them
*/
typedef struct Row Row;
struct Row { char zMember[80]; PrillBuf buf; i64 iPolled; };
static Row aRow[MX_ROW];
static int nRow;
static PrillBuf groupRow;

static void rowsClear(void){
  while( nRow>0 ) prillBufFree(&aRow[--nRow].buf);
  prillBufFree(&groupRow);
}
static int rowFind(const char *z){
  int i;
  for(i=0; i<nRow && strcmp(aRow[i].zMember, z); i++){}
  return i;
}
static void rowsApply(PrillGroup *g){
  int i, k, rc = SQLITE_OK, bAnswer = 0;
  for(i=0; i<g->nAct; i++){
    PrillGroupAct *p = &g->aAct[i];
    switch( p->eAct ){
      case PRILL_ACT_SAVE_GROUP:
        prillBufFree(&groupRow);
        prillGroupSave(&rc, g, &groupRow);
        break;
      case PRILL_ACT_SAVE_MEMBER:
      case PRILL_ACT_TOUCH_MEMBER:
        k = rowFind(p->pMember->zMember);
        CHECK( k<nRow || p->eAct==PRILL_ACT_SAVE_MEMBER );
        CHECK( k<MX_ROW );
        if( k==nRow ){
          memset(&aRow[nRow], 0, sizeof(aRow[0]));
          sqlite3_snprintf(sizeof(aRow[0].zMember), aRow[nRow++].zMember, "%s", p->pMember->zMember);
        }
        aRow[k].iPolled = p->pMember->iPolled;
        if( p->eAct==PRILL_ACT_SAVE_MEMBER ){
          prillBufFree(&aRow[k].buf);
          prillMemberSave(&rc, g, p->pMember, &aRow[k].buf);
        }
        break;
      case PRILL_ACT_DROP_MEMBER:
        k = rowFind(p->zMember);
        if( k<nRow ){
          prillBufFree(&aRow[k].buf);
          aRow[k] = aRow[--nRow];
        }
        break;
      default:
        bAnswer = 1;
        continue;
    }
    CHECK( !bAnswer );                       /* stores before answers */
  }
  CHECK( rc==SQLITE_OK );
}
static PrillGroup *rowsLoad(int eKind, const PrillGroupConf *pConf, i64 now){
  PrillGroup *g = prillGroupNew("g", eKind, pConf);
  int i, rc = SQLITE_OK;
  for(i=0; i<4; i++) prillTopicsAdd(&rc, &g->topics, azTopic[i], -1);   /* lists sort alike */
  if( groupRow.n ) CHECK( prillGroupLoad(g, groupRow.a, groupRow.n)==SQLITE_OK );
  for(i=0; i<nRow; i++) CHECK( prillMemberLoad(g, aRow[i].buf.a, aRow[i].buf.n, aRow[i].iPolled)==SQLITE_OK );
  CHECK( prillGroupStart(g, now)==SQLITE_OK );
  return g;
}
/* Memory and rows say the same. */
static void rowsCheck(PrillGroup *g){
  int i, rc = SQLITE_OK;
  PrillBuf buf;
  memset(&buf, 0, sizeof(buf));
  CHECK( g->nMember==nRow );
  for(i=0; i<g->nMember; i++){
    int k = rowFind(g->apMember[i]->zMember);
    CHECK( k<nRow );
    buf.n = 0;
    prillMemberSave(&rc, g, g->apMember[i], &buf);
    CHECK( buf.n==aRow[k].buf.n && memcmp(buf.a, aRow[k].buf.a, (size_t)buf.n)==0 );
    CHECK( aRow[k].iPolled==g->apMember[i]->iPolled );
  }
  buf.n = 0;
  prillGroupSave(&rc, g, &buf);
  CHECK( groupRow.n==0 || (buf.n==groupRow.n && memcmp(buf.a, groupRow.a, (size_t)buf.n)==0) );
  prillBufFree(&buf);
}

/**************************************************************************
** The world
*/
typedef struct Client Client;
struct Client {
  int eState;              /* IDLE: not in the group */
  char zMember[80];
  char zInstance[16];      /* "" dynamic */
  int mTopic;              /* bits: topics it subscribes */
  int bPaused;             /* does nothing */
  int bCrashed;            /* sql: its process is gone, and nobody noticed yet */
  i64 iUntil;              /* paused until */
  PrillTps work;           /* what it works on: topic and partition */
  /* kafka */
  u64 iWait;               /* request it waits for */
  i32 iGeneration;
  i64 iNext;               /* its next heartbeat, or when it gives up waiting */
};
enum { IDLE, MEMBER, JOINING, SYNCING };
static Client aClient[MX_CLIENT];
static i32 aPart[MX_TOPIC];
static int nTopic;
static i64 now;
static const char *zAssignor;
static PrillGroup *pGroup;
static PrillGroupConf conf;

static void randomBytes(u8 *a){
  int i;
  for(i=0; i<16; i++) a[i] = (u8)simRand(256);
}
static void worldTopics(PrillGroup *g){
  int i, rc = SQLITE_OK;
  for(i=0; i<nTopic; i++){
    int k = prillTopicsAdd(&rc, &g->topics, azTopic[i], -1);
    g->topics.a[k].nPart = aPart[i];
  }
}
/* A list of the group's in the world's numbers. */
static void worldTps(const PrillGroup *g, const PrillTps *p, PrillTps *pOut){
  int i, rc = SQLITE_OK;
  pOut->n = 0;
  for(i=0; i<p->n; i++) prillTpsAdd(&rc, pOut, g->topics.a[p->a[i].iTopic].zTopic[1]-'0', p->a[i].iPart);
  prillTpsSort(pOut);
}
/* Nobody works on partitions that are gone. */
static void worldForget(void){
  int i, j, n;
  for(i=0; i<MX_CLIENT; i++){
    PrillTps *p = &aClient[i].work;
    for(j=n=0; j<p->n; j++){
      if( p->a[j].iPart<aPart[p->a[j].iTopic] ) p->a[n++] = p->a[j];
    }
    p->n = n;
  }
}
static void worldNew(void){
  int i;
  rowsClear();
  for(i=0; i<MX_CLIENT; i++){
    prillTpsFree(&aClient[i].work);
    memset(&aClient[i], 0, sizeof(aClient[i]));
    if( simRand(3)==0 ) sqlite3_snprintf(16, aClient[i].zInstance, "i%d", i-(i>6 && simRand(2)==0 ? 6 : 0));
    aClient[i].mTopic = (int)simRand(15)+1;
  }
  if( simRand(2) ){
    for(i=0; i<MX_CLIENT; i++) aClient[i].mTopic = 15;
  }
  nTopic = 1+(int)simRand(MX_TOPIC);
  for(i=0; i<MX_TOPIC; i++) aPart[i] = (i32)simRand(9);
  now = 1000000;
  zAssignor = prillAssignorName((int)simRand(4));
  prillGroupConfDefault(&conf);
  conf.nMaxSize = simRand(4) ? 0x7fffffff : 5;
}

/**************************************************************************
** SQL
*/
static void sqlCheckLists(PrillGroup *g){
  int i, j, k, iPart, bEqual = 1, nMin = 1<<30, nMax = 0;
  for(i=0; i<g->topics.n; i++){
    for(iPart=0; iPart<g->topics.a[i].nPart; iPart++){
      int nOwn = 0, nTarget = 0, nSub = 0;
      for(j=0; j<g->nMember; j++){
        PrillMember *m = g->apMember[j];
        int bSub = 0;
        for(k=0; k<m->nTopic; k++) bSub |= m->aTopic[k]==i;
        nSub += bSub;
        nOwn += prillTpsFind(&m->owned, i, iPart)>=0;
        if( prillTpsFind(&m->target, i, iPart)>=0 ){
          nTarget++;
          CHECK( bSub );
        }
      }
      CHECK( nOwn<=1 );
      CHECK( nTarget==(nSub>0) );
    }
  }
  for(j=0; j<g->nMember; j++){
    PrillMember *m = g->apMember[j];
    for(k=0; k<m->owned.n; k++) CHECK( m->owned.a[k].iPart<g->topics.a[m->owned.a[k].iTopic].nPart );
    for(k=0; k<m->target.n; k++) CHECK( m->target.a[k].iPart<g->topics.a[m->target.a[k].iTopic].nPart );
    CHECK( m->iEpoch<=g->iGeneration );
    CHECK( !m->bDead || m->zInstance );
    if( m->nTopic!=nTopic ) bEqual = 0;
    nMin = PRILL_MIN(nMin, m->target.n);
    nMax = PRILL_MAX(nMax, m->target.n);
  }
  if( bEqual && g->nMember>0 && strcmp(g->zProtocol, "range") ) CHECK( nMax-nMin<=1 );
  CHECK( (g->nMember==0)==(g->eState==PRILL_GROUP_EMPTY) );
}

/* What is in force of a client's work: it is a member, and nobody took it. */
static void sqlCheckWork(PrillGroup *g){
  PrillTps tps;
  int i, j;
  memset(&tps, 0, sizeof(tps));
  for(i=0; i<MX_CLIENT; i++){
    Client *c = &aClient[i];
    PrillMember *m = c->eState==MEMBER ? prillGroupFind(g, c->zMember) : 0;
    if( m==0 || m->bDead ) continue;
    worldTps(g, &m->owned, &tps);
    for(j=0; j<c->work.n; j++){
      /* Still owned, or its topic lost the partition. */
      if( prillTpsFind(&tps, c->work.a[j].iTopic, c->work.a[j].iPart)<0 ){
        CHECK( c->work.a[j].iPart>=aPart[c->work.a[j].iTopic] );
      }
    }
  }
  prillTpsFree(&tps);
}

/* One transaction: load, event, store or roll back.  Returns iErr. */
static int sqlEvent(PrillGroupEvent *e, Client *c){
  PrillGroup *g;
  int i, iErr, bRollback = simRand(10)==0;
  i32 iGeneration;
  if( simRand(3)==0 && pGroup ){
    rowsCheck(pGroup);
    prillGroupFree(pGroup);
    pGroup = 0;
    seen.nReload++;
  }
  if( pGroup==0 ) pGroup = rowsLoad(PRILL_KIND_SQL, &conf, now);
  g = pGroup;
  worldTopics(g);
  iGeneration = g->iGeneration;
  if( e->eType!=PRILL_EV_TOPICS ){
    PrillGroupEvent t;
    memset(&t, 0, sizeof(t));
    t.eType = PRILL_EV_TOPICS;
    CHECK( prillGroupEvent(g, &t, now)==SQLITE_OK );
    rowsApply(g);
    sqlCheckLists(g);
  }
  CHECK( prillGroupEvent(g, e, now)==SQLITE_OK );
  iErr = g->iErr;
  sqlCheckLists(g);
  if( g->iGeneration>iGeneration ) seen.nAssign++;
  CHECK( g->iGeneration>=iGeneration );
  for(i=0; i<g->nMember; i++) CHECK( g->apMember[i]->iDeadline>now || g->apMember[i]->iDeadline==now+g->apMember[i]->msRebalance );
  if( bRollback ){
    prillGroupFree(g);
    pGroup = 0;
    seen.nRollback++;
    return -100;
  }
  rowsApply(g);
  if( iErr==0 && e->eType==PRILL_EV_JOIN ){
    sqlite3_snprintf(sizeof(c->zMember), c->zMember, "%s", g->pMember->zMember);
  }
  if( iErr==0 && (e->eType==PRILL_EV_POLL || e->eType==PRILL_EV_COMMIT || e->eType==PRILL_EV_JOIN) ){
    int n = c->work.n;
    worldTps(g, &g->pMember->owned, &c->work);
    if( c->work.n!=n ) seen.nMove++;
    CHECK( e->eType!=PRILL_EV_POLL || prillMemberSettled(g, g->pMember) );
  }
  if( iErr==PRILL_KE_FENCED_INSTANCE_ID ) seen.nFence++;
  if( g->eState==PRILL_GROUP_STABLE ) seen.nStable++;
  return iErr;
}

static void sqlJoin(Client *c){
  PrillGroupEvent e;
  PrillProtocol proto = {0, 0, 0};
  const char *az[MX_TOPIC];
  int i, n = 0, iErr;
  for(i=0; i<nTopic; i++){
    if( c->mTopic & (1<<i) ) az[n++] = azTopic[i];
  }
  proto.zName = zAssignor;
  memset(&e, 0, sizeof(e));
  e.eType = PRILL_EV_JOIN;
  e.zMember = c->eState==MEMBER ? c->zMember : "";
  e.zInstance = c->zInstance[0] ? c->zInstance : 0;
  e.zClient = "c";
  e.msSession = 45000;
  e.msRebalance = 300000;
  e.zProtocolType = "consumer";
  e.aProto = &proto;
  e.nProto = 1;
  e.azTopic = az;
  e.nTopic = n;
  randomBytes(e.aRandom);
  iErr = sqlEvent(&e, c);
  seen.nJoin++;
  if( iErr==0 && c->eState==IDLE ){
    c->eState = MEMBER;
    c->bCrashed = 0;
  }
  if( iErr>0 && iErr!=PRILL_KE_GROUP_MAX_SIZE_REACHED ) c->eState = IDLE;
  if( iErr>0 ) seen.nRefuse++;
}
static void sqlAct(Client *c, int eType, int bRelease){
  PrillGroupEvent e;
  int iErr;
  memset(&e, 0, sizeof(e));
  e.eType = eType;
  e.zMember = c->zMember;
  e.zInstance = c->zInstance[0] ? c->zInstance : 0;
  e.bRelease = (u8)bRelease;
  iErr = sqlEvent(&e, c);
  if( iErr==-100 ) return;
  if( eType==PRILL_EV_COMMIT ) seen.nCommit++;
  if( iErr>0 || eType==PRILL_EV_LEAVE || eType==PRILL_EV_DEAD ){
    if( iErr ) seen.nExpire++;
    if( eType==PRILL_EV_DEAD && c->zInstance[0] ) seen.nStatic++;
    c->eState = IDLE;
    c->work.n = 0;
  }
}

static void sqlStep(void){
  Client *c = &aClient[simRand(MX_CLIENT)];
  u32 r = simRand(100);
  now += (i64)simRand(simRand(20)==0 ? 200000 : 2000);
  if( r<3 ){
    int i = (int)simRand((u32)nTopic);
    PrillGroupEvent e;
    aPart[i] = simRand(4) ? PRILL_MIN(aPart[i]+(i32)simRand(4), 12) : (i32)simRand(9);
    worldForget();
    memset(&e, 0, sizeof(e));
    e.eType = PRILL_EV_TOPICS;
    sqlEvent(&e, c);
  }else if( c->bPaused ){
    if( now>=c->iUntil ) c->bPaused = 0;
  }else if( c->eState==IDLE ){
    if( r<60 ) sqlJoin(c);
  }else if( c->bCrashed ){
    if( r<50 ) sqlAct(c, PRILL_EV_DEAD, 0);
  }else if( r<6 ){
    c->bPaused = 1;
    c->iUntil = now+(i64)simRand(600000);
  }else if( r<9 ){
    c->bCrashed = 1;
  }else if( r<12 ){
    sqlAct(c, PRILL_EV_LEAVE, 0);
  }else if( r<15 ){
    c->mTopic = (int)simRand(15)+1;
    sqlJoin(c);
  }else if( r<35 ){
    sqlAct(c, PRILL_EV_COMMIT, r&1);
  }else if( r<38 ){
    sqlAct(c, PRILL_EV_TIMER, 0);
  }else{
    sqlAct(c, PRILL_EV_POLL, 0);
  }
  if( pGroup ) sqlCheckWork(pGroup);
}

/* Everybody polls, in turn: in three rounds all have what they should. */
static void sqlCalm(void){
  int i, k;
  for(k=0; k<40; k++){
    for(i=0; i<MX_CLIENT; i++){
      Client *c = &aClient[i];
      c->bPaused = 0;
      now += 1000;
      if( c->bCrashed && c->eState==MEMBER ) sqlAct(c, PRILL_EV_DEAD, 0);
      else if( c->eState==MEMBER ) sqlAct(c, PRILL_EV_POLL, 0);
    }
  }
  if( pGroup==0 ) pGroup = rowsLoad(PRILL_KIND_SQL, &conf, now);
  worldTopics(pGroup);
  if( pGroup->nMember>0 ) CHECK( pGroup->eState==PRILL_GROUP_STABLE );
  for(i=0; i<pGroup->nMember; i++){
    PrillMember *m = pGroup->apMember[i];
    if( m->bDead ) continue;
    CHECK( m->owned.n==m->target.n );
  }
}

/**************************************************************************
** Kafka
*/
typedef struct Msg Msg;
struct Msg {
  i64 iWhen;
  int bUp, eType, iClient, iErr, bLeader;
  u64 iReq;
  char zMember[80];
  char zInstance[16];
  i32 iGeneration;
  int nMember;
  char azMember[MX_ROW][80];    /* JOINED to the leader, SYNC from it */
  PrillBuf aBuf[MX_ROW];        /* metadata, assignments; [0] of others */
};
static Msg aWire[MX_WIRE];
static int nWire, bCalm;
static u64 iLastReq;
static u8 aOpen[1<<16];            /* requests the coordinator has: not answered */
static int bCooperative, iAssignor;

static void wireFree(Msg *p){
  int i;
  for(i=0; i<MX_ROW; i++) prillBufFree(&p->aBuf[i]);
}
/* A message on its way, or one that is lost. */
static Msg lost;
static Msg *wireNew(int bUp, int eType, int iClient, u64 iReq){
  Msg *p = &lost;
  if( nWire<MX_WIRE && (bCalm || simRand(50)) ) p = &aWire[nWire++]; else seen.nLost++;
  wireFree(p);
  memset(p, 0, sizeof(*p));
  p->iWhen = now + (bCalm ? 1 : (i64)simRand(simRand(10) ? 20 : 3000));
  p->bUp = bUp;
  p->eType = eType;
  p->iClient = iClient;
  p->iReq = iReq;
  return p;
}

static void copyText(char *zTo, int n, const char *z){
  sqlite3_snprintf(n, zTo, "%s", z ? z : "");
}

/* A client's request. */
static Msg *clientSend(Client *c, int eType){
  Msg *p = wireNew(1, eType, (int)(c-aClient), ++iLastReq);
  copyText(p->zMember, 80, c->zMember);
  copyText(p->zInstance, 16, c->zInstance);
  p->iGeneration = c->iGeneration;
  return p;
}
static void clientJoin(Client *c){
  Msg *p;
  PrillTopics topics;
  PrillSubscription s;
  PrillTps owned;
  PrillBuf user;
  i32 aTopic[MX_TOPIC];
  int i, n = 0, rc = SQLITE_OK;
  if( !bCooperative ) c->work.n = 0;
  p = clientSend(c, PRILL_EV_JOIN);
  memset(&topics, 0, sizeof(topics));
  memset(&s, 0, sizeof(s));
  memset(&owned, 0, sizeof(owned));
  memset(&user, 0, sizeof(user));
  for(i=0; i<MX_TOPIC; i++) prillTopicsAdd(&rc, &topics, azTopic[i], -1);
  for(i=0; i<nTopic; i++){
    if( c->mTopic & (1<<i) ) aTopic[n++] = i;
  }
  s.aTopic = aTopic;
  s.nTopic = n;
  s.nUser = s.nRack = -1;
  s.iGeneration = c->iGeneration;
  if( bCooperative ) s.owned = c->work;
  if( iAssignor==PRILL_BY_STICKY ){
    prillStickyEncode(&rc, &user, iAssignor, &topics, &c->work, c->iGeneration);
    s.pUser = user.a;
    s.nUser = (i32)user.n;
  }
  prillSubscriptionEncode(&rc, &p->aBuf[0], &topics, &s, 3);
  CHECK( rc==SQLITE_OK );
  prillBufFree(&user);
  prillTopicsFree(&topics);
  c->eState = JOINING;
  c->iWait = p->iReq;
  c->iNext = now+400000;
  simSay("client %d joins as '%s' instance '%s'", (int)(c-aClient), c->zMember, c->zInstance);
}

/* The leader's part: everybody's subscription, the assignor, everybody's bytes. */
static void clientLead(Msg *pJoined, Msg *pSync){
  PrillTopics topics;
  PrillSubscription as[MX_ROW];
  PrillTps aOwned[MX_ROW];
  PrillAssignee a[MX_ROW];
  int i, rc = SQLITE_OK;
  memset(&topics, 0, sizeof(topics));
  memset(a, 0, sizeof(a));
  memset(aOwned, 0, sizeof(aOwned));
  for(i=0; i<MX_TOPIC; i++){
    prillTopicsAdd(&rc, &topics, azTopic[i], -1);
    topics.a[i].nPart = aPart[i];
  }
  for(i=0; i<pJoined->nMember; i++){
    PrillBuf *pBuf = &pJoined->aBuf[i];
    CHECK( prillSubscriptionDecode(pBuf->a, pBuf->n, &topics, &as[i])==SQLITE_OK );
    CHECK( prillSubscriptionOwned(iAssignor, &as[i], &topics, &aOwned[i], &a[i].iGeneration)==SQLITE_OK );
    a[i].zMember = pJoined->azMember[i];
    a[i].aTopic = as[i].aTopic;
    a[i].nTopic = as[i].nTopic;
    a[i].aOwned = aOwned[i].a;
    a[i].nOwned = aOwned[i].n;
  }
  CHECK( prillAssign(iAssignor, &topics, a, pJoined->nMember)==SQLITE_OK );
  seen.nAssign++;
  pSync->nMember = pJoined->nMember;
  for(i=0; i<pJoined->nMember; i++){
    copyText(pSync->azMember[i], 80, pJoined->azMember[i]);
    prillAssignmentEncode(&rc, &pSync->aBuf[i], &topics, &a[i].out, 3);
    prillTpsFree(&a[i].out);
    prillTpsFree(&aOwned[i]);
    prillSubscriptionFree(&as[i]);
  }
  CHECK( rc==SQLITE_OK );
  prillTopicsFree(&topics);
}

/* An error to a member: what Kafka's consumer makes of it. */
static void clientError(Client *c, int iErr){
  simSay("client %d: error %d", (int)(c-aClient), iErr);
  c->iWait = 0;
  if( iErr==PRILL_KE_UNKNOWN_MEMBER_ID || iErr==PRILL_KE_FENCED_INSTANCE_ID ){
    c->zMember[0] = 0;
    c->iGeneration = -1;
    c->work.n = 0;
    seen.nExpire++;
  }else if( iErr==PRILL_KE_ILLEGAL_GENERATION ){
    c->iGeneration = -1;
    c->work.n = 0;
  }
  if( iErr==PRILL_KE_FENCED_INSTANCE_ID ){
    seen.nFence++;
    c->bCrashed = 1;                         /* fatal */
    c->eState = IDLE;
    c->iNext = now+(i64)simRand(1000000);
  }else if( iErr==PRILL_KE_GROUP_MAX_SIZE_REACHED || iErr==PRILL_KE_COORDINATOR_NOT_AVAILABLE ){
    if( iErr==PRILL_KE_GROUP_MAX_SIZE_REACHED ){
      seen.nRefuse++;
      c->zMember[0] = 0;
      c->work.n = 0;
      c->iGeneration = -1;
    }
    c->eState = IDLE;
    c->iNext = now+(iErr==PRILL_KE_GROUP_MAX_SIZE_REACHED ? 20000 : 1000);
  }else{
    clientJoin(c);
  }
}

/* An assignment: nobody else of this generation works on what is new. */
static void clientAssigned(Client *c, Msg *p){
  PrillTopics topics;
  PrillTps tps;
  int i, j, rc = SQLITE_OK, bRevoked = 0;
  memset(&topics, 0, sizeof(topics));
  memset(&tps, 0, sizeof(tps));
  for(i=0; i<MX_TOPIC; i++) prillTopicsAdd(&rc, &topics, azTopic[i], -1);
  CHECK( prillAssignmentDecode(p->aBuf[0].a, p->aBuf[0].n, &topics, &tps, 0, 0)==SQLITE_OK );
  prillTpsSort(&tps);
  for(i=0; i<MX_CLIENT; i++){
    Client *d = &aClient[i];
    if( d==c || d->iGeneration!=c->iGeneration || (d->eState!=MEMBER && d->eState!=SYNCING) ) continue;
    /* A coordinator that died before it stored a generation gives its number
    ** again; who was in the first and not in the second is out. */
    if( p->iGeneration!=c->iGeneration || prillGroupFind(pGroup, d->zMember)==0 ) continue;
    if( c->zInstance[0] && strcmp(c->zInstance, d->zInstance)==0 ) continue;   /* its heir */
    for(j=0; j<tps.n; j++){
      CHECK( prillTpsFind(&d->work, tps.a[j].iTopic, tps.a[j].iPart)<0 );
    }
  }
  for(j=0; j<c->work.n; j++){
    if( prillTpsFind(&tps, c->work.a[j].iTopic, c->work.a[j].iPart)<0 ) bRevoked = 1;
  }
  if( tps.n!=c->work.n ) seen.nMove++;
  prillTpsFree(&c->work);
  c->work = tps;
  c->eState = MEMBER;
  c->iNext = now+3000;
  prillTopicsFree(&topics);
  simSay("client %d has %d partitions in generation %d", (int)(c-aClient), tps.n, c->iGeneration);
  if( bRevoked && bCooperative ) clientJoin(c);
}

static void clientReceive(Msg *p){
  Client *c = &aClient[p->iClient];
  if( p->iReq!=c->iWait && p->eType!=PRILL_EV_HEARTBEAT && p->eType!=PRILL_EV_COMMIT ) return;
  if( (p->eType==PRILL_EV_HEARTBEAT || p->eType==PRILL_EV_COMMIT)
   && (c->eState!=MEMBER || p->iGeneration!=c->iGeneration) ) return;
  if( p->eType==PRILL_EV_JOIN && p->iErr==PRILL_KE_MEMBER_ID_REQUIRED ){
    copyText(c->zMember, 80, p->zMember);
    clientJoin(c);
  }else if( p->iErr ){
    if( p->eType!=PRILL_EV_COMMIT ) clientError(c, p->iErr);
  }else if( p->eType==PRILL_EV_JOIN ){
    Msg *pSync;
    copyText(c->zMember, 80, p->zMember);
    c->iGeneration = p->iGeneration;
    pSync = clientSend(c, PRILL_EV_SYNC);
    if( p->bLeader ) clientLead(p, pSync);
    c->eState = SYNCING;
    c->iWait = pSync->iReq;
    c->iNext = now+400000;
  }else if( p->eType==PRILL_EV_SYNC ){
    c->iWait = 0;
    clientAssigned(c, p);
  }
}

/* An answer; each request has one. */
static void kafkaAnswer(u64 iReq, Msg *p){
  CHECK( aOpen[iReq & 0xffff]==1 );
  aOpen[iReq & 0xffff] = 0;
  (void)p;
}
static int aClientOf[1<<16];

static void kafkaAct(PrillGroup *g, PrillGroupAct *p){
  Msg *pMsg;
  int i, rc = SQLITE_OK;
  if( p->eAct!=PRILL_ACT_JOINED && p->eAct!=PRILL_ACT_SYNCED ) return;
  pMsg = wireNew(0, p->eAct==PRILL_ACT_JOINED ? PRILL_EV_JOIN : PRILL_EV_SYNC, aClientOf[p->iReq & 0xffff], p->iReq);
  kafkaAnswer(p->iReq, pMsg);
  pMsg->iErr = p->iErr;
  pMsg->iGeneration = p->eAct==PRILL_ACT_JOINED ? p->iGeneration : g->iGeneration;
  copyText(pMsg->zMember, 80, p->zMember);
  if( p->iErr ) return;
  if( p->eAct==PRILL_ACT_SYNCED ){
    prillBufAppend(&rc, &pMsg->aBuf[0], p->pMember->aAssign, p->pMember->nAssign);
    return;
  }
  pMsg->bLeader = p->bMembers && !p->bSkip && strcmp(p->zMember, p->zLeader)==0;
  for(i=0; i<g->nMember && p->bMembers; i++){
    const PrillProtocol *pMeta = prillMemberMeta(g, g->apMember[i]);
    if( g->apMember[i]->bPending ) continue;
    CHECK( pMeta && pMsg->nMember<MX_ROW );
    copyText(pMsg->azMember[pMsg->nMember], 80, g->apMember[i]->zMember);
    prillBufAppend(&rc, &pMsg->aBuf[pMsg->nMember++], pMeta->aMeta, pMeta->nMeta);
  }
  CHECK( rc==SQLITE_OK );
}

static void kafkaCheck(PrillGroup *g){
  int i, j, nReal = 0, nPending = 0, nOpen = 0, nJoined = 0, bLeader = 0;
  for(i=0; i<g->nMember; i++){
    PrillMember *m = g->apMember[i];
    for(j=0; j<i; j++){
      PrillMember *m2 = g->apMember[j];
      CHECK( strcmp(m->zMember, m2->zMember) );
      CHECK( !m->zInstance || !m2->zInstance || strcmp(m->zInstance, m2->zInstance) );
    }
    CHECK( !m->iJoin || g->eState==PRILL_GROUP_PREPARING );
    CHECK( !m->iSync || g->eState==PRILL_GROUP_COMPLETING );
    CHECK( !m->bPending || (!m->iJoin && !m->iSync && m->zInstance==0) );
    nOpen += (m->iJoin!=0)+(m->iSync!=0);
    nJoined += m->iJoin!=0;
    if( m->bPending ) nPending++; else nReal++;
    CHECK( m->iDeadline<PRILL_I64MAX || m->iJoin || m->iSync );
    bLeader |= m==g->pLeader;
    if( !m->bPending && g->eState>=PRILL_GROUP_COMPLETING ) CHECK( prillMemberMeta(g, m)!=0 );
  }
  CHECK( (nReal>0)==(g->pLeader!=0) && (nReal>0)==bLeader );
  CHECK( nJoined<=g->conf.nMaxSize );
  CHECK( (g->eState==PRILL_GROUP_EMPTY)<=(nReal==0) );
  CHECK( g->eState!=PRILL_GROUP_PREPARING || g->iBarrier<PRILL_I64MAX );
  CHECK( g->eState!=PRILL_GROUP_COMPLETING || g->iBarrier<PRILL_I64MAX );
  for(i=j=0; i<(1<<16); i++) j += aOpen[i];
  CHECK( j==nOpen );
}

static void kafkaAfter(PrillGroup *g, i32 iGeneration){
  int i, bStored = 0;
  rowsApply(g);
  for(i=0; i<g->nAct; i++){
    kafkaAct(g, &g->aAct[i]);
    bStored |= g->aAct[i].eAct==PRILL_ACT_SAVE_GROUP;
  }
  CHECK( g->iGeneration>=iGeneration );
  if( bStored && g->eState==PRILL_GROUP_STABLE ){
    seen.nStable++;
    CHECK( nRow>=1 );
  }
  if( simStep%16==0 ) kafkaCheck(g);
}

static void coordinatorReceive(Msg *p){
  PrillGroupEvent e;
  PrillGrant aGrant[MX_ROW];
  PrillProtocol aProto[2];
  PrillGroup *g = pGroup;
  i32 iGeneration = g->iGeneration;
  int i;
  memset(&e, 0, sizeof(e));
  e.eType = p->eType;
  e.iReq = p->iReq;
  e.zMember = p->zMember;
  e.zInstance = p->zInstance[0] ? p->zInstance : 0;
  e.zClient = "client";
  e.zHost = "/127.0.0.1";
  e.iGeneration = p->iGeneration;
  e.msSession = 45000;
  e.msRebalance = 60000+p->iClient*1000;
  e.zProtocolType = p->eType==PRILL_EV_JOIN ? "consumer" : 0;
  aProto[0].zName = zAssignor;
  aProto[1].zName = "other";
  for(i=0; i<2; i++){
    aProto[i].aMeta = p->aBuf[0].a;
    aProto[i].nMeta = p->aBuf[0].n;
  }
  e.aProto = aProto;
  e.nProto = 1+(p->iClient&1);
  e.bRequireId = 1;
  e.bSkip = (u8)(p->iClient&1);
  for(i=0; i<p->nMember; i++){
    aGrant[i].zMember = p->azMember[i];
    aGrant[i].a = p->aBuf[i].a;
    aGrant[i].n = p->aBuf[i].n;
  }
  e.aGrant = aGrant;
  e.nGrant = p->nMember;
  randomBytes(e.aRandom);
  if( p->eType==PRILL_EV_JOIN || p->eType==PRILL_EV_SYNC ){
    CHECK( aOpen[p->iReq & 0xffff]==0 );
    aOpen[p->iReq & 0xffff] = 1;
    aClientOf[p->iReq & 0xffff] = p->iClient;
  }
  seen.nJoin += p->eType==PRILL_EV_JOIN;
  seen.nCommit += p->eType==PRILL_EV_COMMIT;
  CHECK( prillGroupEvent(g, &e, now)==SQLITE_OK );
  simSay("event %d of client %d: %d, state %s generation %d, %d members", p->eType, p->iClient, g->iErr,
         prillGroupStateName(g->eState), g->iGeneration, g->nMember);
  if( g->iErr==0 && (p->eType==PRILL_EV_HEARTBEAT || p->eType==PRILL_EV_COMMIT) && p->iGeneration>=0 ){
    CHECK( p->iGeneration==g->iGeneration );
  }
  kafkaAfter(g, iGeneration);
  if( p->eType==PRILL_EV_HEARTBEAT || p->eType==PRILL_EV_COMMIT ){
    Msg *pBack = wireNew(0, p->eType, p->iClient, p->iReq);
    pBack->iErr = g->iErr;
    pBack->iGeneration = p->iGeneration;
  }
}

/* The coordinator dies: who waits hears nothing good; rows are loaded. */
static void coordinatorRestart(void){
  int eAct;
  u64 iReq;
  i32 iGeneration = pGroup->iGeneration;
  while( (iReq = prillGroupPending(pGroup, &eAct))!=0 ){
    Msg *p = wireNew(0, eAct==PRILL_ACT_JOINED ? PRILL_EV_JOIN : PRILL_EV_SYNC, aClientOf[iReq & 0xffff], iReq);
    kafkaAnswer(iReq, p);
    p->iErr = PRILL_KE_COORDINATOR_NOT_AVAILABLE;
  }
  prillGroupFree(pGroup);
  pGroup = rowsLoad(PRILL_KIND_KAFKA, &conf, now);
  CHECK( pGroup->iGeneration<=iGeneration );
  kafkaCheck(pGroup);
  seen.nReload++;
}

static void clientWake(Client *c){
  c->bPaused = 0;
  if( c->eState==IDLE ){
    if( c->bCrashed && bCalm ){
      c->iNext = PRILL_I64MAX;               /* fenced: stays away */
    }else{
      c->bCrashed = 0;
      clientJoin(c);
    }
  }else if( c->eState!=MEMBER ){
    clientJoin(c);                           /* the answer was lost */
  }else{
    clientSend(c, simRand(4) ? PRILL_EV_HEARTBEAT : PRILL_EV_COMMIT);
    c->iNext = now+3000;
  }
}

static void kafkaChaos(void){
  Client *c = &aClient[simRand(MX_CLIENT)];
  u32 r = simRand(100);
  if( r<2 ){
    coordinatorRestart();
  }else if( r<20 ){
    c->iNext = now+(i64)simRand(200000);     /* pause: it answers nothing, later goes on */
    c->bPaused = 1;
  }else if( r<40 ){
    c->eState = IDLE;                        /* crash, and start anew */
    c->zMember[0] = 0;
    c->iWait = 0;
    c->work.n = 0;
    c->iGeneration = -1;
    c->iNext = now+(i64)simRand(90000);
    seen.nStatic += c->zInstance[0]!=0;
  }else if( r<50 && c->eState==MEMBER ){
    clientSend(c, PRILL_EV_LEAVE);
    c->eState = IDLE;
    c->zMember[0] = 0;
    c->work.n = 0;
    c->iGeneration = -1;
    c->iNext = now+(i64)simRand(90000);
  }else if( r<60 && c->eState==MEMBER ){
    c->mTopic = (int)simRand(15)+1;
    clientJoin(c);
  }
}

/* One thing: the earliest of messages, clients' timers, the group's. */
static void kafkaStep(void){
  int i, iMsg = -1, iClient = -1;
  i64 iWhen = prillGroupDeadline(pGroup);
  for(i=0; i<nWire; i++){
    if( aWire[i].iWhen<iWhen ) iWhen = aWire[iMsg = i].iWhen;
  }
  for(i=0; i<MX_CLIENT; i++){
    if( aClient[i].iNext<iWhen ){
      iWhen = aClient[iClient = i].iNext;
      iMsg = -1;
    }
  }
  now = PRILL_MAX(now, iWhen);
  if( iMsg>=0 ){
    Msg m = aWire[iMsg];
    aWire[iMsg] = aWire[--nWire];
    memset(&aWire[nWire], 0, sizeof(Msg));
    if( m.bUp ) coordinatorReceive(&m);
    else if( !aClient[m.iClient].bPaused ) clientReceive(&m);
    wireFree(&m);
  }else if( iClient>=0 ){
    clientWake(&aClient[iClient]);
  }else{
    PrillGroupEvent e;
    i32 iGeneration = pGroup->iGeneration;
    memset(&e, 0, sizeof(e));
    e.eType = PRILL_EV_TIMER;
    CHECK( prillGroupEvent(pGroup, &e, now)==SQLITE_OK );
    simSay("timer: state %s, %d members", prillGroupStateName(pGroup->eState), pGroup->nMember);
    CHECK( prillGroupDeadline(pGroup)>now );
    kafkaAfter(pGroup, iGeneration);
  }
  if( !bCalm && simRand(15)==0 ) kafkaChaos();
}

static void kafkaWorld(int nStep){
  int i, j, n, nMember = 0;
  i64 iEnd;
  for(i=0; i<MX_CLIENT; i++){
    aClient[i].iGeneration = -1;
    aClient[i].iNext = now+(i64)simRand(20000);
  }
  if( simRand(4)==0 ) zAssignor = "cooperative-sticky";
  iAssignor = prillAssignorFind(zAssignor);
  bCooperative = iAssignor==PRILL_BY_COOPERATIVE;
  bCalm = 0;
  memset(aOpen, 0, sizeof(aOpen));
  pGroup = rowsLoad(PRILL_KIND_KAFKA, &conf, now);
  for(i=0; i<nStep; i++, simStep++) kafkaStep();
  bCalm = 1;
  for(i=0; i<MX_CLIENT; i++) aClient[i].iNext = PRILL_MIN(aClient[i].iNext, now+1000);
  for(iEnd=now+900000; now<iEnd; simStep++) kafkaStep();
  kafkaCheck(pGroup);
  for(i=0; i<MX_CLIENT; i++){
    if( aClient[i].eState!=MEMBER ) continue;
    nMember++;
    CHECK( aClient[i].iGeneration==pGroup->iGeneration );
  }
  CHECK( nMember==pGroup->nMember );
  CHECK( nMember==0 || pGroup->eState==PRILL_GROUP_STABLE );
  for(i=0; i<nTopic; i++){
    for(j=0; j<aPart[i]; j++){
      int k, nSub = 0;
      for(n=k=0; k<MX_CLIENT; k++){
        if( aClient[k].eState!=MEMBER ) continue;
        n += prillTpsFind(&aClient[k].work, i, j)>=0;
        nSub += (aClient[k].mTopic>>i)&1;
      }
      CHECK( n==(nSub>0) );
    }
  }
  while( nWire>0 ) wireFree(&aWire[--nWire]);
  wireFree(&lost);
}

int main(int argc, char **argv){
  u64 iSeed;
  int i, j, nWorld, nStep, mKind = 3;
  for(i=1; i<argc && argv[i][0]=='-'; i++){
    if( strcmp(argv[i], "-v")==0 ) simVerbose = 1;
    else if( strcmp(argv[i], "-sql")==0 ) mKind = 1;
    else if( strcmp(argv[i], "-kafka")==0 ) mKind = 2;
  }
  if( argc-i!=3 ){
    fprintf(stderr, "usage: groupsim [-v] [-sql|-kafka] SEED WORLDS STEPS\n");
    return 2;
  }
  iSeed = strtoull(argv[i], 0, 10);
  nWorld = atoi(argv[i+1]);
  nStep = atoi(argv[i+2]);
  for(j=0; j<nWorld; j++, iSeed++){
    int bSql;
    simState = (iSeed+1)*0x9E3779B97F4A7C15ULL;
    simRand(2);
    bSql = mKind==3 ? (int)simRand(2) : mKind==1;
    simStep = 0;
    sqlite3_snprintf(sizeof(simWhere), simWhere, "groupsim -v %s %llu 1 %d", bSql ? "-sql" : "-kafka", iSeed, nStep);
    simState = (iSeed+1)*0x9E3779B97F4A7C15ULL;
    simRand(2);
    worldNew();
    if( bSql ){
      for(; simStep<nStep; simStep++) sqlStep();
      sqlCalm();
    }else{
      kafkaWorld(nStep);
    }
    seen.nStep += simStep;
    prillGroupFree(pGroup);
    pGroup = 0;
  }
  rowsClear();
  for(i=0; i<MX_CLIENT; i++) prillTpsFree(&aClient[i].work);
  printf("%d worlds, %lld steps: joins %lld assignments %lld moves %lld expiries %lld fenced %lld"
         " static %lld rollbacks %lld reloads %lld lost %lld stable %lld commits %lld refused %lld\n", nWorld,
         (long long)seen.nStep, (long long)seen.nJoin, (long long)seen.nAssign, (long long)seen.nMove,
         (long long)seen.nExpire, (long long)seen.nFence, (long long)seen.nStatic, (long long)seen.nRollback,
         (long long)seen.nReload, (long long)seen.nLost, (long long)seen.nStable, (long long)seen.nCommit,
         (long long)seen.nRefuse);
  if( sqlite3_memory_used()!=0 ){
    printf("FAILED: %lld bytes leaked\n", (long long)sqlite3_memory_used());
    return 1;
  }
  return 0;
}
