/*
** fuzz_group.c: hostile bytes for layer 4.
**
** The first byte chooses: 0 a subscription, 1 an assignment, 2 user data of a
** sticky assignor, 3 the rows of a group of SQL (a u16 length before each, the
** group's first), 4 the same of Kafka's.  What is accepted survives being
** written and read again; rows that are accepted make a group that takes
** events and keeps its lists disjoint.
**
** "make fuzz" builds and runs it, from the seeds in corpus/fuzz_group.
*/
#include "prillGroup.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *a, size_t n);

#define FUZZ_CHECK(X) do{ if( !(X) ) abort(); }while( 0 )

static int fuzzSame(const PrillTps *p, const PrillTps *q){
  return p->n==q->n && (p->n==0 || memcmp(p->a, q->a, sizeof(PrillTp)*(size_t)p->n)==0);
}

static void fuzzSubscription(const u8 *a, i64 n, int eAssignor){
  PrillTopics topics;
  PrillSubscription s, t;
  PrillTps owned;
  PrillBuf buf;
  i32 iGen;
  int rc = SQLITE_OK;
  memset(&topics, 0, sizeof(topics));
  memset(&buf, 0, sizeof(buf));
  memset(&owned, 0, sizeof(owned));
  if( prillSubscriptionDecode(a, n, &topics, &s)==SQLITE_OK ){
    prillSubscriptionEncode(&rc, &buf, &topics, &s, PRILL_MIN(s.iVersion, 3));
    FUZZ_CHECK( rc==SQLITE_OK );
    FUZZ_CHECK( prillSubscriptionDecode(buf.a, buf.n, &topics, &t)==SQLITE_OK );
    FUZZ_CHECK( t.nTopic==s.nTopic && t.iGeneration==s.iGeneration && t.nUser==s.nUser && t.nRack==s.nRack );
    prillTpsSort(&s.owned);
    prillTpsSort(&t.owned);
    FUZZ_CHECK( fuzzSame(&s.owned, &t.owned) );
    FUZZ_CHECK( prillSubscriptionOwned(eAssignor, &s, &topics, &owned, &iGen)==SQLITE_OK );
    prillSubscriptionFree(&s);
    prillSubscriptionFree(&t);
  }
  prillTpsFree(&owned);
  prillBufFree(&buf);
  prillTopicsFree(&topics);
}

static void fuzzAssignment(const u8 *a, i64 n){
  PrillTopics topics;
  PrillTps x, y;
  PrillBuf buf;
  int rc = SQLITE_OK;
  memset(&topics, 0, sizeof(topics));
  memset(&buf, 0, sizeof(buf));
  memset(&x, 0, sizeof(x));
  memset(&y, 0, sizeof(y));
  if( prillAssignmentDecode(a, n, &topics, &x, 0, 0)==SQLITE_OK ){
    prillAssignmentEncode(&rc, &buf, &topics, &x, 1);
    FUZZ_CHECK( rc==SQLITE_OK );
    FUZZ_CHECK( prillAssignmentDecode(buf.a, buf.n, &topics, &y, 0, 0)==SQLITE_OK );
    prillTpsSort(&x);
    prillTpsSort(&y);
    FUZZ_CHECK( fuzzSame(&x, &y) );
  }
  prillTpsFree(&x);
  prillTpsFree(&y);
  prillBufFree(&buf);
  prillTopicsFree(&topics);
}

/* As user data of a subscription. */
static void fuzzUserData(const u8 *a, i64 n){
  PrillTopics topics;
  PrillSubscription s;
  PrillBuf buf;
  int rc = SQLITE_OK;
  memset(&topics, 0, sizeof(topics));
  memset(&s, 0, sizeof(s));
  memset(&buf, 0, sizeof(buf));
  s.pUser = a;
  s.nUser = (i32)n;
  prillSubscriptionEncode(&rc, &buf, &topics, &s, 0);
  FUZZ_CHECK( rc==SQLITE_OK );
  fuzzSubscription(buf.a, buf.n, PRILL_BY_STICKY);
  fuzzSubscription(buf.a, buf.n, PRILL_BY_COOPERATIVE);
  prillBufFree(&buf);
}

static void fuzzDisjoint(PrillGroup *g){
  int i, j, k;
  for(i=0; i<g->nMember; i++){
    for(j=0; j<i; j++){
      PrillTps *p = &g->apMember[i]->owned;
      for(k=0; k<p->n; k++){
        FUZZ_CHECK( prillTpsFind(&g->apMember[j]->owned, p->a[k].iTopic, p->a[k].iPart)<0 );
      }
    }
  }
}

/* Members poll, leave, join a loaded group. */
static void fuzzPlay(PrillGroup *g){
  PrillGroupEvent e;
  PrillProtocol proto = {"range", (const u8*)"", 0};
  static const char *const azTopic[] = {"t", "u"};
  char zMember[128];
  int i;
  for(i=0; i<g->topics.n; i++) g->topics.a[i].nPart = 3;
  for(i=0; i<12; i++){
    static const int aType[] = {PRILL_EV_TOPICS, PRILL_EV_POLL, PRILL_EV_JOIN, PRILL_EV_POLL, PRILL_EV_DEAD,
                                PRILL_EV_TIMER, PRILL_EV_POLL, PRILL_EV_LEAVE, PRILL_EV_HEARTBEAT, PRILL_EV_SYNC,
                                PRILL_EV_COMMIT, PRILL_EV_TIMER};
    memset(&e, 0, sizeof(e));
    e.eType = aType[i];
    if( g->eKind==PRILL_KIND_SQL && (e.eType==PRILL_EV_SYNC || e.eType==PRILL_EV_HEARTBEAT) ) continue;
    zMember[0] = 0;
    if( g->nMember>0 && e.eType!=PRILL_EV_JOIN ){
      sqlite3_snprintf(sizeof(zMember), zMember, "%s", g->apMember[i%g->nMember]->zMember);
    }
    e.zMember = zMember;
    e.iReq = (u64)i+1;
    e.iGeneration = g->iGeneration;
    e.msSession = 10000;
    e.msRebalance = 60000;
    e.zProtocolType = e.eType==PRILL_EV_JOIN ? "consumer" : 0;
    e.aProto = &proto;
    e.nProto = 1;
    e.azTopic = azTopic;
    e.nTopic = 2;
    FUZZ_CHECK( prillGroupEvent(g, &e, 1000000000000+i*4000)==SQLITE_OK );
    fuzzDisjoint(g);
  }
}

static void fuzzRows(const u8 *a, i64 n, int eKind){
  PrillGroupConf conf;
  PrillGroup *g;
  int i, rc = SQLITE_OK;
  PrillBuf buf;
  memset(&buf, 0, sizeof(buf));
  prillGroupConfDefault(&conf);
  g = prillGroupNew("g", eKind, &conf);
  for(i=0; rc==SQLITE_OK && n>=2; i++){
    i64 nRow = PRILL_MIN((i64)prillGet16(a), n-2);
    rc = i==0 ? prillGroupLoad(g, a+2, nRow) : prillMemberLoad(g, a+2, nRow, 1000);
    a += 2+nRow;
    n -= 2+nRow;
  }
  if( rc==SQLITE_OK && prillGroupStart(g, 2000)==SQLITE_OK ){
    prillGroupProblem(&rc, g, &buf);
    FUZZ_CHECK( rc==SQLITE_OK );
    for(i=0; i<g->nMember; i++) prillMemberSave(&rc, g, g->apMember[i], &buf);
    prillGroupSubscribes(g, "t");
    fuzzPlay(g);
  }
  prillBufFree(&buf);
  prillGroupFree(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *a, size_t n){
  if( n<1 ) return 0;
  switch( a[0]%5 ){
    case 0: fuzzSubscription(a+1, (i64)n-1, PRILL_BY_COOPERATIVE); break;
    case 1: fuzzAssignment(a+1, (i64)n-1); break;
    case 2: fuzzUserData(a+1, (i64)n-1); break;
    case 3: fuzzRows(a+1, (i64)n-1, PRILL_KIND_SQL); break;
    case 4: fuzzRows(a+1, (i64)n-1, PRILL_KIND_KAFKA); break;
  }
  return 0;
}
