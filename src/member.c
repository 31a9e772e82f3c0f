/*
** member.c: the driver of SQL's groups: rows to the group machine, its actions
** to rows.
**
** Layer 4.  Calls offset, group, part, file and store.
**
** A group is loaded, given events, stored and freed inside one transaction; the
** rows are the truth, and ROLLBACK needs no help from here.
**
** A member's file tells who lives: it is made and held before the row that names
** the member is committed (poll.c), so a row without a held file is a dead
** member's.  A file whose row was never committed is nobody's, and harmless.
**
** Crash story: rows; SQLite's COMMIT decides.
*/
#include "prillGroup.h"

/* The wire has the topics of Kafka's members: add them. */
static int memberKafkaTopics(PrillGroup *g){
  int i, rc = SQLITE_OK;
  if( g->zProtocolType==0 || strcmp(g->zProtocolType, "consumer")!=0 ) return SQLITE_OK;
  for(i=0; i<g->nMember && rc!=SQLITE_NOMEM; i++){
    const PrillProtocol *p = prillMemberMeta(g, g->apMember[i]);
    PrillSubscription s;
    if( p==0 ) continue;
    rc = prillSubscriptionDecode(p->aMeta, p->nMeta, &g->topics, &s);
    if( rc==SQLITE_OK ) prillSubscriptionFree(&s);
  }
  return rc==SQLITE_NOMEM ? rc : SQLITE_OK;       /* what a client wrote may be anything */
}

/* Counts of partitions, and go. */
static int memberStart(PrillStore *p, PrillGroup *g){
  int i;
  for(i=0; i<g->topics.n; i++){
    const PrillTopic *pTopic = prillStoreTopic(p, g->topics.a[i].zTopic);
    g->topics.a[i].nPart = pTopic ? pTopic->nPart : 0;
  }
  return prillGroupStart(g, prillNow(p->pVfs));
}

static void memberConf(PrillGroupConf *pConf, int eKind){
  prillGroupConfDefault(pConf);
  if( eKind==PRILL_KIND_SQL ) pConf->msMinSession = 1;        /* no heartbeat goes with it */
}

int prillMemberOpen(PrillStore *p, const char *zGroup, int eKind, PrillGroup **pp){
  PrillGroupConf conf;
  PrillGroup *g;
  int rc;
  memberConf(&conf, eKind);
  rc = prillGroupRowLoad(p, zGroup, &conf, eKind, pp);
  g = *pp;
  if( rc!=SQLITE_OK || g==0 ) return rc;
  if( eKind==PRILL_KIND_KAFKA ) rc = memberKafkaTopics(g);
  if( rc==SQLITE_OK ) rc = memberStart(p, g);
  if( rc!=SQLITE_OK ){
    prillGroupFree(g);
    *pp = 0;
  }
  return rc;
}

/**************************************************************************
** Who lives.  A member of SQL holds a file of its own in the log directory,
** named by the UUID its id ends with: the kernel says whether it still does.
*/
char *prillMemberPath(PrillStore *p, const char *zMember){
  size_t i, n = strlen(zMember);
  const char *z;
  if( p->zDir==0 || n<36 ) return 0;
  z = zMember+n-36;                       /* the row may be anybody's: no slash, no dots */
  for(i=0; i<36; i++){
    if( !((z[i]>='0' && z[i]<='9') || (z[i]>='a' && z[i]<='f') || z[i]=='-') ) return 0;
  }
  return sqlite3_mprintf("%s/member-%s", p->zDir, z);
}

/* *pbDead: nobody holds its file, which is removed. */
static int memberProbe(PrillStore *p, const PrillMember *m, int *pbDead){
  char *zPath = m->bDead ? 0 : prillMemberPath(p, m->zMember);
  int bHeld = 1;
  int rc = SQLITE_OK;
  if( zPath ) rc = prillFileHeld(p->pVfs, zPath, &bHeld);
  if( rc==SQLITE_NOMEM ){
    sqlite3_free(zPath);
    return rc;
  }
  *pbDead = rc==SQLITE_OK && !bHeld;      /* whom one cannot ask may live */
  if( *pbDead ) (void)prillFileDelete(p->pVfs, zPath, 0);
  sqlite3_free(zPath);
  return SQLITE_OK;
}

/* Look at nLook members after zSelf, in a ring (all: zSelf NULL).  The dead are
** told to the machine when bTell; *pnDead counts them. */
int prillMemberSweep(PrillStore *p, PrillGroup *g, const char *zSelf, int nLook, int bTell, int *pnDead){
  char **az = 0;
  int i, iSelf = 0, n = 0;
  int rc = SQLITE_OK;
  *pnDead = 0;
  if( g->nMember==0 ) return SQLITE_OK;
  az = (char**)sqlite3_malloc64(sizeof(char*)*(u64)g->nMember);
  if( az==0 ) return SQLITE_NOMEM;
  for(i=0; zSelf && i<g->nMember; i++){
    if( strcmp(g->apMember[i]->zMember, zSelf)==0 ) iSelf = i+1;
  }
  for(i=0; rc==SQLITE_OK && i<g->nMember && i<nLook; i++){
    const PrillMember *m = g->apMember[(iSelf+i) % g->nMember];
    int bDead = 0;
    if( zSelf && strcmp(m->zMember, zSelf)==0 ) continue;
    rc = memberProbe(p, m, &bDead);
    if( rc==SQLITE_OK && bDead ){
      az[n] = sqlite3_mprintf("%s", m->zMember);
      if( az[n++]==0 ) rc = SQLITE_NOMEM;
    }
  }
  *pnDead = n;
  for(i=0; i<n; i++){
    PrillGroupEvent e;
    memset(&e, 0, sizeof(e));
    e.eType = PRILL_EV_DEAD;
    e.zMember = az[i];
    if( rc==SQLITE_OK && bTell ) rc = prillMemberEvent(p, g, &e);
    sqlite3_free(az[i]);
  }
  sqlite3_free(az);
  return rc;
}

int prillMemberNameFree(PrillStore *p, const char *zGroup, int eKind, int *pbFree){
  PrillGroup *g = 0;
  int eIs = 0;
  int rc = prillGroupRowKind(p, zGroup, &eIs);
  *pbFree = rc==SQLITE_OK && (eIs==0 || eIs==eKind);
  if( rc!=SQLITE_OK || eIs!=PRILL_KIND_SQL || eKind==PRILL_KIND_SQL ) return rc;
  rc = prillMemberOpen(p, zGroup, eIs, &g);
  *pbFree = rc==SQLITE_OK && g && g->nMember==0;
  prillGroupFree(g);
  return (rc&0xff)==SQLITE_CORRUPT ? SQLITE_OK : rc;
}

int prillMemberEvict(PrillStore *p, const char *zGroup, const char *zMember){
  PrillGroup *g = 0;
  PrillGroupEvent e;
  int eKind = 0;
  int rc = prillGroupRowKind(p, zGroup, &eKind);
  memset(&e, 0, sizeof(e));
  e.eType = PRILL_EV_LEAVE;
  e.zMember = zMember;
  e.iGeneration = -1;
  if( rc==SQLITE_OK && eKind!=PRILL_KIND_SQL ){
    return prillError(p->pConn, SQLITE_ERROR, "group %s: its members are Kafka clients; stop them, or have"
                      " kafka-consumer-groups remove them", zGroup);
  }
  if( rc==SQLITE_OK ) rc = prillMemberOpen(p, zGroup, eKind, &g);
  if( rc==SQLITE_OK && g ) rc = prillMemberEvent(p, g, &e);         /* one that is out already is no error */
  if( (rc&0xff)==SQLITE_CORRUPT ) rc = prillMemberDamaged(p, zGroup, rc);
  prillGroupFree(g);
  return rc;
}

/* Does a prilld live that may have the group in its memory? */
static int memberDaemon(PrillStore *p, int *pb){
  char *zPath = p->zDir ? sqlite3_mprintf("%s/prilld", p->zDir) : 0;
  int rc;
  *pb = 0;
  if( zPath==0 ) return p->zDir ? SQLITE_NOMEM : SQLITE_OK;
  rc = prillFileHeld(p->pVfs, zPath, pb);
  sqlite3_free(zPath);
  return rc==SQLITE_NOMEM ? rc : SQLITE_OK;
}

/* A group that clients of Kafka had: ours once nobody is in it. */
static int memberTakeOver(PrillStore *p, const char *zGroup){
  PrillGroup *g = 0;
  int i, bLives = 0;
  int rc = prillMemberOpen(p, zGroup, PRILL_KIND_KAFKA, &g);
  if( rc==SQLITE_OK && g && g->nMember>0 ) rc = memberDaemon(p, &bLives);
  if( rc==SQLITE_OK && bLives ){
    rc = prillError(p->pConn, SQLITE_BUSY, "group %s has %d Kafka members; stop them, or use another group", zGroup,
                    g->nMember);
  }
  for(i=0; rc==SQLITE_OK && g && i<g->nMember; i++){
    rc = prillMemberRowDelete(p, zGroup, g->apMember[i]->zMember);
  }
  prillGroupFree(g);
  return rc;
}

int prillMemberEnter(PrillStore *p, const char *zGroup, const char *const *azTopic, int nTopic, PrillGroup **pp){
  PrillGroupConf conf;
  PrillGroup *g = 0;
  int i, eKind = 0;
  int rc = prillGroupRowKind(p, zGroup, &eKind);
  *pp = 0;
  if( rc==SQLITE_OK && eKind==PRILL_KIND_QUEUE ){
    rc = prillError(p->pConn, SQLITE_ERROR, "group %s is a queue's; a consumer needs a group of its own: choose"
                    " another", zGroup);
  }
  if( rc==SQLITE_OK && eKind==PRILL_KIND_KAFKA ) rc = memberTakeOver(p, zGroup);
  memberConf(&conf, PRILL_KIND_SQL);
  if( rc==SQLITE_OK && eKind==PRILL_KIND_SQL ) rc = prillGroupRowLoad(p, zGroup, &conf, PRILL_KIND_SQL, &g);
  if( rc==SQLITE_OK && g==0 ){
    g = prillGroupNew(zGroup, PRILL_KIND_SQL, &conf);
    if( g==0 ) rc = SQLITE_NOMEM;
    /* Members of a group of that name, deleted since, must not take its row for theirs. */
    if( g ) g->iChange = prillStoreStamp(p)>>20;
  }
  for(i=0; rc==SQLITE_OK && i<nTopic; i++) (void)prillTopicsAdd(&rc, &g->topics, azTopic[i], -1);
  if( rc==SQLITE_OK ) rc = memberStart(p, g);
  if( (rc&0xff)==SQLITE_CORRUPT ) rc = prillMemberDamaged(p, zGroup, rc);
  if( rc!=SQLITE_OK ){
    prillGroupFree(g);
    g = 0;
  }
  *pp = g;
  return rc;
}

/* The group has changed: COMMIT wakes whoever waits for its topics. */
static void memberStir(PrillStore *p, const PrillGroup *g){
  int i;
  for(i=0; i<g->topics.n; i++){
    PrillTopic *pTopic = prillStoreTopic(p, g->topics.a[i].zTopic);
    if( pTopic ) pTopic->bTell = p->bTell = 1;
  }
  p->bTouched = 1;
}

int prillMemberEvent(PrillStore *p, PrillGroup *g, const PrillGroupEvent *e){
  PrillBuf buf = {0,0,0};
  int i;
  int rc = prillGroupEvent(g, e, prillNow(p->pVfs));
  for(i=0; rc==SQLITE_OK && i<g->nAct; i++){
    const PrillGroupAct *a = &g->aAct[i];
    buf.n = 0;
    switch( a->eAct ){
      case PRILL_ACT_SAVE_GROUP:
        prillGroupSave(&rc, g, &buf);
        if( rc==SQLITE_OK ) rc = prillGroupRowPut(p, g->zGroup, g->eKind, &buf);
        break;
      case PRILL_ACT_SAVE_MEMBER:
      case PRILL_ACT_TOUCH_MEMBER:
        prillMemberSave(&rc, g, a->pMember, &buf);
        if( rc==SQLITE_OK ) rc = prillMemberRowPut(p, g->zGroup, a->pMember->zMember, a->pMember->iPolled, &buf);
        break;
      case PRILL_ACT_DROP_MEMBER:
        rc = prillMemberRowDelete(p, g->zGroup, a->zMember);
        break;
      default:
        break;
    }
    if( a->eAct==PRILL_ACT_SAVE_GROUP ) memberStir(p, g);
  }
  prillBufFree(&buf);
  return rc;
}

/* Refuse what may be done to an empty group only, naming who is in it.  Members
** whose time is over are none. */
int prillMemberNone(PrillStore *p, const char *zGroup, const char *zWhat){
  PrillGroup *g = 0;
  PrillBuf buf = {0,0,0};
  int eKind = 0, i;
  int rc = prillGroupRowKind(p, zGroup, &eKind);
  if( rc==SQLITE_OK && eKind ) rc = prillMemberOpen(p, zGroup, eKind, &g);
  if( rc==SQLITE_OK && g && eKind==PRILL_KIND_SQL ){
    PrillGroupEvent e;
    int nDead;
    memset(&e, 0, sizeof(e));
    e.eType = PRILL_EV_TIMER;
    rc = prillMemberSweep(p, g, 0, g->nMember, 1, &nDead);
    if( rc==SQLITE_OK ) rc = prillMemberEvent(p, g, &e);
  }
  if( rc==SQLITE_OK && g && g->nMember>0 ){
    for(i=0; i<g->nMember && i<3; i++){
      prillBufPrintf(&rc, &buf, "%s%s (%s)", i ? ", " : "", g->apMember[i]->zMember, g->apMember[i]->zHost);
    }
    if( g->nMember>3 ) prillBufPrintf(&rc, &buf, " and %d more", g->nMember-3);
    prillBufAppend(&rc, &buf, "", 1);
    if( rc==SQLITE_OK ){
      rc = prillError(p->pConn, SQLITE_BUSY, "group %s has members, so %s: %s; stop them first", zGroup,
                      zWhat, (char*)buf.a);
    }
  }
  if( (rc&0xff)==SQLITE_CORRUPT ) rc = prillMemberDamaged(p, zGroup, rc);
  prillGroupFree(g);
  prillBufFree(&buf);
  return rc;
}

int prillMemberDamaged(PrillStore *p, const char *zGroup, int rc){
  return prillError(p->pConn, rc, "group %s: its rows are damaged; restore the database from a backup, or DELETE FROM"
                    " prill_groups WHERE group_id='%q' forgets the group and its offsets", zGroup, zGroup);
}
