/*
** member.c: the driver of SQL's groups: rows to the group machine, its actions
** to rows.
**
** Layer 4.  Calls offset, group, part and store.
**
** A group is loaded, given events, stored and freed inside one transaction; the
** rows are the truth, and ROLLBACK needs no help from here.
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

int prillMemberOpen(PrillStore *p, const char *zGroup, int eKind, PrillGroup **pp){
  PrillGroupConf conf;
  PrillGroup *g;
  int i, rc;
  prillGroupConfDefault(&conf);
  rc = prillGroupRowLoad(p, zGroup, &conf, eKind, pp);
  g = *pp;
  if( rc!=SQLITE_OK || g==0 ) return rc;
  if( eKind==PRILL_KIND_KAFKA ) rc = memberKafkaTopics(g);
  for(i=0; i<g->topics.n; i++){
    const PrillTopic *pTopic = prillStoreTopic(p, g->topics.a[i].zTopic);
    g->topics.a[i].nPart = pTopic ? pTopic->nPart : 0;
  }
  if( rc==SQLITE_OK ) rc = prillGroupStart(g, prillNow(p->pVfs));
  if( rc!=SQLITE_OK ){
    prillGroupFree(g);
    *pp = 0;
  }
  return rc;
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
    memset(&e, 0, sizeof(e));
    e.eType = PRILL_EV_TIMER;
    rc = prillMemberEvent(p, g, &e);
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
