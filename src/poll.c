/*
** poll.c: a member of a consumer group of SQL: it joins, polls, is given
** records, commits, seeks, leaves.
**
** Layer 4.  Calls position, member, offset, store, part and scan.
**
** Each call runs in the caller's transaction, if there is one (bTxn); else
** reading needs none, and what must be written goes into a transaction of its
** own: a savepoint on the caller's connection, or BEGIN on the one a waiting
** SELECT looks through, where only rows of groups and offsets are written.
**
** THE SET.  A poll notes stretches of offsets (PrillGive), at most max.poll.records
** records together; readings of it (PrillTake) may be many.  A record is given
** when a reading steps onto it: where the member stands moves then, and only
** forward.  With enable.auto.commit=statement it moves, and is committed, when a
** reading has come to the set's end.
**
** THE MACHINE (target.c) is asked only when something may have changed: the
** group's row differs from the one last seen, its deadline is reached, the
** catalog has changed, or a member was found dead.
**
**   I1  A member reads and commits what it owns by the group's rows.  Inside a
**       transaction that has written nobody else changes them; outside, each
**       commit checks them under the write lock.
**   I2  Whoever is put out of the group is told so once, with PRILL_FENCED, by
**       its next poll or commit; then it joins anew.  Who lost its
**       group.instance.id to another stays out.
**   I3  Before it is told that a partition is its own no longer, what the caller
**       has done with its records may be in this very transaction: bLost then
**       refuses the commit.
**   I4  What a failed transaction of our own would have written is not believed:
**       the group is loaded again, offsets are compared with their rows.
**
** Crash story: rows; SQLite's COMMIT decides.
*/
#include "prillPoll.h"

#define POLL_SWEEP 1000               /* ms between two looks at who lives */
#define POLL_LOOK 16                  /* members looked at */
#define POLL_DOUBT (-2)               /* iStored: look into the row */

/**************************************************************************
** What it is asked to be.
*/
void prillPollConfFree(PrillPollConf *p){
  sqlite3_free(p->zGroup);
  sqlite3_free(p->zTopics);
  sqlite3_free(p->zInstance);
  sqlite3_free(p->zClient);
  memset(p, 0, sizeof(*p));
}

/* Is the name a pattern? */
static int pollGlob(const char *z){
  return strpbrk(z, "*?[")!=0;
}

/* A whole number from 1 to iMax. */
static int pollNumber(const char *zName, const char *z, i64 iMax, i64 *pi, char **pzErr){
  i64 n = 0;
  const char *zDigit;
  for(zDigit=z; *zDigit>='0' && *zDigit<='9' && n<=iMax; zDigit++) n = n*10 + (*zDigit-'0');
  if( *zDigit || zDigit==z || n<1 || n>iMax ){
    *pzErr = sqlite3_mprintf("%s=%s is not allowed; use a whole number from 1 to %lld", zName, z, iMax);
    return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM;
  }
  *pi = n;
  return SQLITE_OK;
}

/* One of some words: *pe is its place. */
static int pollWord(const char *zName, const char *z, const char *const *az, int n, int *pe, char **pzErr){
  PrillBuf buf = {0,0,0};
  int i, rc = SQLITE_OK;
  for(i=0; i<n && sqlite3_stricmp(z, az[i])!=0; i++){}
  if( i<n ){
    *pe = i;
    return SQLITE_OK;
  }
  for(i=0; i<n; i++){
    prillBufPrintf(&rc, &buf, "%s%s", i ? ", " : "", az[i]);
  }
  prillBufAppend(&rc, &buf, "", 1);
  if( rc==SQLITE_OK ) *pzErr = sqlite3_mprintf("%s=%s is not allowed; use one of %s", zName, z, (char*)buf.a);
  prillBufFree(&buf);
  return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM;
}

/* Defaults for what was not set: eAssignor and the like are 0, or set once. */
static void pollDefaults(PrillPollConf *p){
  if( p->nMax ) return;
  p->eAssignor = PRILL_BY_COOPERATIVE;
  p->nMax = 500;
  p->msInterval = 300000;
  p->msSession = 45000;
}

int prillPollOption(PrillPollConf *p, const char *zName, char **pzVal, char **pzErr){
  static const char *const azReset[] = {"earliest", "latest", "none"};
  static const char *const azCommit[] = {"false", "true", "statement"};
  static const char *const azAssignor[] = {"range", "roundrobin", "sticky", "cooperative-sticky"};
  char **pz = prillOptionIs(zName, "group") || prillOptionIs(zName, "group.id") ? &p->zGroup
            : prillOptionIs(zName, "group.instance.id") ? &p->zInstance
            : prillOptionIs(zName, "client.id") ? &p->zClient : 0;
  pollDefaults(p);
  if( pz ){
    sqlite3_free(*pz);
    *pz = *pzVal;
    *pzVal = 0;
    return SQLITE_OK;
  }
  if( prillOptionIs(zName, "topics") ){
    sqlite3_free(p->zTopics);
    p->zTopics = *pzVal;
    p->nTopic = prillOptionList(p->zTopics);
    *pzVal = 0;
    return SQLITE_OK;
  }
  if( prillOptionIs(zName, "assignor") ) return pollWord(zName, *pzVal, azAssignor, 4, &p->eAssignor, pzErr);
  if( prillOptionIs(zName, "auto.offset.reset") ) return pollWord(zName, *pzVal, azReset, 3, &p->eReset, pzErr);
  if( prillOptionIs(zName, "enable.auto.commit") ) return pollWord(zName, *pzVal, azCommit, 3, &p->eCommit, pzErr);
  if( prillOptionIs(zName, "max.poll.records") ) return pollNumber(zName, *pzVal, PRILL_POLL_MX, &p->nMax, pzErr);
  if( prillOptionIs(zName, "max.poll.interval.ms") )
    return pollNumber(zName, *pzVal, 0x7fffffff, &p->msInterval, pzErr);
  if( prillOptionIs(zName, "session.timeout.ms") ) return pollNumber(zName, *pzVal, 1800000, &p->msSession, pzErr);
  *pzErr = sqlite3_mprintf("%s is unknown; use group, topics, schema, assignor, auto.offset.reset, max.poll.records,"
                           " max.poll.interval.ms, group.instance.id, session.timeout.ms, enable.auto.commit", zName);
  return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM;
}

int prillPollCheck(PrillPollConf *p, char **pzErr){
  pollDefaults(p);
  if( p->zGroup==0 || p->zGroup[0]==0 || strlen(p->zGroup)>249 || p->nTopic==0 ){
    *pzErr = sqlite3_mprintf("a group, of 1 to 249 bytes, and topics are needed, as in group='billing',"
                             " topics='orders'");
  }else if( p->zInstance && (p->zInstance[0]==0 || strlen(p->zInstance)>249) ){
    *pzErr = sqlite3_mprintf("group.instance.id needs 1 to 249 bytes; leave it out for a member that need not keep"
                             " its place");
  }else{
    return SQLITE_OK;
  }
  return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM;
}

void prillPollFree(PrillPoll *p){
  prillPositionFree(p);
  prillPollConfFree(&p->conf);
  sqlite3_free(p->aGive);
  p->aGive = 0;
  p->nGive = p->nGiveAlloc = 0;
}

i64 prillPollWord(const PrillPoll *p, PrillStore *pLook){
  const PrillTopic *pTopic = p->conf.nTopic==1 ? prillStoreTopic(pLook, p->conf.zTopics) : 0;
  return pTopic ? pTopic->iTopic : 0;
}

static int pollError(PrillPoll *p, PrillStore *pStore, int rc, const char *zText){
  return prillError(pStore->pConn, rc, "consumer %s: %s", p->conf.zClient, zText);
}

/* Before a call: is it this process's, and in whose transaction? */
static int pollBegin(PrillPoll *p){
  p->bTxn = (u8)prillPositionTxn(p);
  if( p->iProcess==0 ) p->iProcess = prillFileProcess(0);
  if( p->iProcess!=prillFileProcess(0) ){
    return pollError(p, p->pStore, SQLITE_MISUSE, "another process made it, and a connection is not to be carried"
                     " over fork(); open one here");
  }
  return SQLITE_OK;
}

/**************************************************************************
** Transactions of its own.
*/
static int pollExit(PrillPoll *p, PrillStore *pStore, int rc){
  if( p->bTxn ) return rc;
  rc = prillUndoEnd(pStore, &p->undo, rc);
  if( pStore!=p->pStore ){
    (void)sqlite3_exec(pStore->pConn->db, "PRAGMA query_only=1", 0, 0, 0);
    if( rc==SQLITE_OK ) prillStoreCommit(pStore);
  }
  if( rc!=SQLITE_OK && p->nKnown>0 ){                                       /* I4 */
    PrillKnown *k = &p->aKnown[p->nKnown-1];
    int i;
    k->row.n = 0;
    for(i=0; i<k->nSpot; i++) k->aSpot[i].iStored = POLL_DOUBT;
  }
  return rc;
}

/* Before the store is read: in a transaction the write lock comes first, for a
** snapshot from before another's COMMIT could not be written on, and SQLite keeps
** one until the caller's statement ends.  *pbStore 0: there is no store. */
static int pollRead(PrillPoll *p, PrillStore *pStore, int *pbStore){
  int rc = prillStoreIs(pStore, pbStore);
  if( rc==SQLITE_OK && *pbStore && p->bTxn ) rc = prillStoreParty(pStore);
  return rc==SQLITE_OK ? prillStoreRefresh(pStore) : rc;
}

/* Get the write lock; then what the store has cached is what the rows say. */
static int pollEnter(PrillPoll *p, PrillStore *pStore){
  int bOther = pStore!=p->pStore;
  int rc = SQLITE_OK;
  if( p->bTxn ){
    rc = prillStoreParty(pStore);
    return rc==SQLITE_OK ? prillStoreRefresh(pStore) : rc;
  }
  prillStoreLetGo(pStore);
  if( bOther ) rc = prillStoreExec(pStore, "PRAGMA query_only=0");
  if( rc==SQLITE_OK ) rc = prillUndoBegin(pStore, &p->undo, !bOther);
  if( rc!=SQLITE_OK ){
    if( bOther ) (void)sqlite3_exec(pStore->pConn->db, "PRAGMA query_only=1", 0, 0, 0);
    return rc;
  }
  if( !bOther ) rc = prillStoreParty(pStore);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(pStore);
  return rc==SQLITE_OK ? rc : pollExit(p, pStore, rc);
}

/**************************************************************************
** The group.
*/

/* Names of the topics there are, from the catalog; every plain name must be one. */
static int pollNames(PrillPoll *p, PrillStore *pStore, const char ***paz, int *pn){
  const char *z;
  PrillTopic *pTopic;
  int i, j, n = 0;
  const char **az;
  for(pTopic=pStore->pTopics; pTopic; pTopic=pTopic->pNext) n++;
  *pn = 0;
  *paz = az = (const char**)sqlite3_malloc64(sizeof(char*)*(u64)(n+1));
  if( az==0 ) return SQLITE_NOMEM;
  for(i=0, z=p->conf.zTopics; i<p->conf.nTopic; i++, z+=strlen(z)+1){
    int bGlob = pollGlob(z), bThere = bGlob;
    for(pTopic=pStore->pTopics; pTopic; pTopic=pTopic->pNext){
      if( bGlob ? sqlite3_strglob(z, pTopic->zName)!=0 : strcmp(z, pTopic->zName)!=0 ) continue;
      bThere = 1;
      for(j=0; j<*pn && az[j]!=pTopic->zName; j++){}
      if( j==*pn ) az[(*pn)++] = pTopic->zName;
    }
    if( !bThere ){
      return prillError(pStore->pConn, SQLITE_ERROR, "no such topic: %s; SELECT name FROM prill_topics lists them", z);
    }
  }
  return SQLITE_OK;
}

/* The member is out, whatever transaction it was told in (I2). */
static void pollOut(PrillPoll *p, const PrillSeat *pSeat){
  int i;
  for(i=0; i<p->nKnown; i++){
    PrillKnown *k = &p->aKnown[i];
    if( k->pSeat!=pSeat ) continue;
    k->pSeat = 0;
    k->iVer = 0;
    k->nSpot = 0;
    k->row.n = 0;
    k->bLost = 0;
  }
}

/* What a refusal of the machine means (I2). */
static int pollRefused(PrillPoll *p, PrillStore *pStore, PrillKnown *k, const PrillGroup *g){
  const PrillPollConf *c = &p->conf;
  if( g->iErr==0 ) return SQLITE_OK;
  if( g->iErr==PRILL_KE_INCONSISTENT_GROUP_PROTOCOL ){
    return prillError(pStore->pConn, SQLITE_ERROR, "consumer %s: the members of group %s use assignor=%s; all must use"
                      " the same", c->zClient, c->zGroup, g->zProtocol ? g->zProtocol : "");
  }
  pollOut(p, k->pSeat);
  if( g->iErr==PRILL_KE_FENCED_INSTANCE_ID ){
    p->bFenced = 1;
    return prillError(pStore->pConn, PRILL_FENCED, "consumer %s: another member of group %s has group.instance.id %s"
                      " now; use another, or DROP this table", c->zClient, c->zGroup, c->zInstance);
  }
  if( g->iErr==PRILL_KE_UNKNOWN_MEMBER_ID ){
    return prillError(pStore->pConn, PRILL_FENCED, "consumer %s: it is no member of group %s any more (evicted, or no"
                      " poll for max.poll.interval.ms=%lld); ROLLBACK, and the next SELECT joins again", c->zClient,
                      c->zGroup, c->msInterval);
  }
  return SQLITE_INTERNAL;                         /* the machine has no other refusal for a member of SQL */
}

static int pollSpotCompare(const PrillSpot *a, const PrillSpot *b){
  return a->iPid<b->iPid ? -1 : a->iPid>b->iPid;
}

/* Sort by pid: few, and nearly sorted. */
static void pollSort(PrillSpot *a, int n){
  int i, j, nGap;
  for(nGap=n/2; nGap>0; nGap/=2){
    for(i=nGap; i<n; i++){
      PrillSpot t = a[i];
      for(j=i; j>=nGap && pollSpotCompare(&a[j-nGap], &t)>0; j-=nGap) a[j] = a[j-nGap];
      a[j] = t;
    }
  }
}

/* What the member owns, from the machine: spots it keeps stand where they stood. */
static int pollOwn(PrillPoll *p, PrillStore *pStore, PrillKnown *k, const PrillGroup *g, const PrillMember *m){
  PrillSpot *a = (PrillSpot*)sqlite3_malloc64(sizeof(*a)*(u64)m->owned.n + 1);
  int i, n = 0;
  if( a==0 ) return SQLITE_NOMEM;
  for(i=0; i<m->owned.n; i++){
    const PrillTopic *pTopic = prillStoreTopic(pStore, g->topics.a[m->owned.a[i].iTopic].zTopic);
    const PrillSpot *pOld;
    if( pTopic==0 || m->owned.a[i].iPart>=pTopic->nPart ) continue;
    memset(&a[n], 0, sizeof(a[n]));
    a[n].iPid = pTopic->apPart[m->owned.a[i].iPart]->iPid;
    a[n].iNext = -1;
    pOld = prillPositionSpot(k, a[n].iPid);
    if( pOld ) a[n] = *pOld;
    n++;
  }
  pollSort(a, n);
  for(i=0; p->bTxn && i<k->nSpot; i++){                                     /* I3 */
    const PrillSpot *s = &k->aSpot[i];
    int j;
    for(j=0; j<n && a[j].iPid!=s->iPid; j++){}
    if( j==n && s->bMoved && s->iNext!=s->iStored ) k->bLost = 1;
  }
  sqlite3_free(k->aSpot);
  k->aSpot = a;
  k->nSpot = n;
  return SQLITE_OK;
}

/* Note what the group is like now. */
static int pollLearn(PrillPoll *p, PrillStore *pStore, PrillKnown *k, const PrillGroup *g, const PrillMember *m){
  int rc = pollOwn(p, pStore, k, g, m);
  k->row.n = 0;
  if( rc==SQLITE_OK ) prillGroupSave(&rc, g, &k->row);
  k->msDeadline = prillGroupDeadline(g);
  k->msPolled = m->iPolled;
  k->bSettled = (u8)prillMemberSettled(g, m);
  k->iCatalog = pStore->iCatalog;
  k->nMember = g->nMember;
  if( rc!=SQLITE_OK ) k->row.n = 0;
  return rc;
}

/* The event JOIN: a new member, or the same with its topics anew. */
static int pollJoin(PrillPoll *p, PrillStore *pStore, PrillGroup *g, const char *const *az, int n){
  PrillKnown *k = &p->aKnown[p->nKnown-1];
  PrillProtocol proto = {prillAssignorName(p->conf.eAssignor), (const u8*)"", 0};
  PrillGroupEvent e;
  char zProcess[48];
  int rc;
  memset(&e, 0, sizeof(e));
  (void)prillFileProcess(zProcess);
  e.eType = PRILL_EV_JOIN;
  e.zMember = k->pSeat ? k->pSeat->zMember : 0;
  e.zInstance = p->conf.zInstance;
  e.zClient = p->conf.zClient;
  e.zHost = zProcess;
  e.iGeneration = -1;
  e.msSession = (i32)p->conf.msSession;
  e.msRebalance = (i32)p->conf.msInterval;
  e.zProtocolType = "consumer";
  e.aProto = &proto;
  e.nProto = 1;
  e.azTopic = az;
  e.nTopic = n;
  pStore->pVfs->xRandomness(pStore->pVfs, 16, (char*)e.aRandom);
  rc = prillMemberEvent(pStore, g, &e);
  if( rc==SQLITE_OK ) rc = pollRefused(p, pStore, k, g);
  if( rc==SQLITE_OK && k->pSeat==0 ){
    PrillSeat *pSeat = prillPositionSeat(&rc, p, pStore, g->pMember->zMember);
    if( rc==SQLITE_OK ) rc = prillPositionSit(p, pSeat);
  }
  return rc;
}

/* One event of the member itself. */
static int pollEvent(PrillPoll *p, PrillStore *pStore, PrillGroup *g, int eType, int bRelease){
  PrillKnown *k = &p->aKnown[p->nKnown-1];
  PrillGroupEvent e;
  int rc;
  memset(&e, 0, sizeof(e));
  e.eType = eType;
  e.zMember = k->pSeat ? k->pSeat->zMember : 0;
  e.zInstance = p->conf.zInstance;
  e.iGeneration = -1;
  e.bRelease = (u8)bRelease;
  rc = prillMemberEvent(pStore, g, &e);
  return rc==SQLITE_OK && eType!=PRILL_EV_TOPICS ? pollRefused(p, pStore, k, g) : rc;
}

/* Bring the group up to date and poll, in a write transaction, the version
** guarded.  Joins where it is no member yet. */
static int pollMachine(PrillPoll *p, PrillStore *pStore){
  PrillKnown *k = &p->aKnown[p->nKnown-1];
  const char **az = 0;
  PrillGroup *g = 0;
  int n = 0, nDead = 0;
  int bJoin = k->pSeat==0;
  int rc = pollNames(p, pStore, &az, &n);
  if( rc==SQLITE_OK ) rc = prillMemberEnter(pStore, p->conf.zGroup, az, n, &g);
  if( rc==SQLITE_OK && (bJoin || k->pSeat->bLocks) ){
    rc = prillMemberSweep(pStore, g, bJoin ? 0 : k->pSeat->zMember, bJoin ? g->nMember : POLL_LOOK, 1, &nDead);
    p->msSwept = prillNow(pStore->pVfs);
  }
  if( rc==SQLITE_OK && (bJoin || k->iCatalog!=pStore->iCatalog || k->row.n==0) ){
    rc = pollJoin(p, pStore, g, az, n);
    if( rc==SQLITE_OK ) rc = pollEvent(p, pStore, g, PRILL_EV_TOPICS, 0);
  }
  if( rc==SQLITE_OK ) rc = pollEvent(p, pStore, g, PRILL_EV_POLL, 0);
  if( rc==SQLITE_OK ) rc = pollLearn(p, pStore, k, g, g->pMember);
  prillGroupFree(g);
  sqlite3_free(az);
  return rc;
}

/* 1 when the group's row is the one last seen. */
static int pollSame(int *pRc, PrillPoll *p, PrillStore *pStore, const PrillKnown *k){
  sqlite3_stmt *pStmt;
  int bSame = 0;
  if( k->row.n==0 ) return 0;
  pStmt = prillStoreStmt(pStore, STMT_GROUP, pRc);
  if( pStmt==0 ) return 0;
  sqlite3_bind_text(pStmt, 1, p->conf.zGroup, -1, SQLITE_STATIC);
  if( sqlite3_step(pStmt)==SQLITE_ROW ){
    const void *a = sqlite3_column_blob(pStmt, 0);
    bSame = sqlite3_column_bytes(pStmt, 0)==k->row.n && a && memcmp(a, k->row.a, (size_t)k->row.n)==0;
  }
  prillStoreDone(pStore, pStmt, pRc);
  sqlite3_clear_bindings(pStmt);
  return bSame;
}

/* Has somebody died?  Looked at once in a while. */
static int pollDead(int *pRc, PrillPoll *p, PrillStore *pStore, const PrillKnown *k, i64 now){
  PrillGroup *g = 0;
  int nDead = 0;
  if( *pRc!=SQLITE_OK || k->nMember<2 || !k->pSeat->bLocks ) return 0;
  if( now>=p->msSwept && now-p->msSwept<POLL_SWEEP ) return 0;
  p->msSwept = now;
  *pRc = prillMemberOpen(pStore, p->conf.zGroup, PRILL_KIND_SQL, &g);
  if( *pRc==SQLITE_OK && g ) *pRc = prillMemberSweep(pStore, g, k->pSeat->zMember, POLL_LOOK, 0, &nDead);
  if( (*pRc&0xff)==SQLITE_CORRUPT ) *pRc = prillMemberDamaged(pStore, p->conf.zGroup, *pRc);
  prillGroupFree(g);
  return nDead>0;
}

/* Is the machine to be asked? */
static int pollDue(int *pRc, PrillPoll *p, PrillStore *pStore, const PrillKnown *k, i64 now){
  if( *pRc!=SQLITE_OK ) return 0;
  if( k->pSeat==0 || k->row.n==0 || k->iCatalog!=pStore->iCatalog || !k->bSettled || now>=k->msDeadline ) return 1;
  if( !pollSame(pRc, p, pStore, k) ) return 1;
  return pollDead(pRc, p, pStore, k, now);
}

/* Note the time of a poll in the member's row. */
static int pollTouch(PrillPoll *p, PrillStore *pStore, PrillKnown *k, i64 now){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(pStore, STMT_POLLED, &rc);
  if( pStmt==0 ) return rc;
  sqlite3_bind_text(pStmt, 1, p->conf.zGroup, -1, SQLITE_STATIC);
  sqlite3_bind_text(pStmt, 2, k->pSeat->zMember, -1, SQLITE_STATIC);
  sqlite3_bind_int64(pStmt, 3, now);
  sqlite3_step(pStmt);
  prillStoreDone(pStore, pStmt, &rc);
  sqlite3_clear_bindings(pStmt);
  if( rc==SQLITE_OK ) k->msPolled = now;
  return rc;
}

/**************************************************************************
** Positions.
*/
static int pollNone(PrillPoll *p, PrillPart *pPart, i64 iOff){
  if( iOff<0 ){
    return prillError(pPart->pStore->pConn, PRILL_OFFSET_RANGE, "consumer %s: group %s has committed no offset of %s-%d"
                      " and auto.offset.reset=none; SELECT prill_seek() to one", p->conf.zClient, p->conf.zGroup,
                      pPart->pTopic->zName, pPart->iPart);
  }
  return prillError(pPart->pStore->pConn, PRILL_OFFSET_RANGE, "consumer %s: offset %lld of %s-%d is not in the log,"
                    " which has %lld to %lld, and auto.offset.reset=none; SELECT prill_seek() to one", p->conf.zClient,
                    iOff, pPart->pTopic->zName, pPart->iPart, pPart->x.iLogStart, prillPartEnd(pPart));
}

/* Where it stands in a partition: as committed, where it is not known yet, and
** within the log. */
static int pollStand(PrillPoll *p, PrillPart *pPart, PrillSpot *s){
  i64 iEpoch;
  int rc = prillPartLoad(pPart);
  if( rc==SQLITE_OK && s->iNext<0 ){
    rc = prillOffsetGet(pPart->pStore, p->conf.zGroup, pPart, &s->iStored, &iEpoch, 0);
    if( rc==SQLITE_OK ) s->iNext = s->iStored;
  }
  if( rc!=SQLITE_OK || (s->iNext>=pPart->x.iLogStart && s->iNext<=prillPartEnd(pPart)) ) return rc;
  if( p->conf.eReset==PRILL_RESET_NONE ) return pollNone(p, pPart, s->iNext);
  s->iNext = p->conf.eReset==PRILL_RESET_LATEST ? prillPartEnd(pPart) : pPart->x.iLogStart;
  return SQLITE_OK;
}

/* The partition of a spot, or NULL: it was dropped. */
static PrillPart *pollPart(PrillStore *pStore, i64 iPid){
  PrillPart *pPart = prillStorePart(pStore, iPid);
  return pPart && pPart->pTopic ? pPart : 0;
}

/* All spots of the version. */
static int pollStandAll(PrillPoll *p, PrillStore *pStore, PrillKnown *k){
  int i, rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<k->nSpot; i++){
    PrillPart *pPart = k->aSpot[i].iNext<0 ? pollPart(pStore, k->aSpot[i].iPid) : 0;
    if( pPart ) rc = pollStand(p, pPart, &k->aSpot[i]);
  }
  return rc;
}

/**************************************************************************
** Committing.
*/

/* What a call commits: everything given, or one spot up to an offset. */
typedef struct PollWhat PollWhat;
struct PollWhat {
  i64 iPid;                           /* -1: all */
  i64 iOff;
  int nMoved;                         /* OUT */
};

/* Write the offsets that differ.  The spots are the member's own. */
static int pollPut(PrillPoll *p, PrillStore *pStore, PrillKnown *k, PollWhat *pWhat){
  int i, rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<k->nSpot; i++){
    PrillSpot *s = &k->aSpot[i];
    i64 iOff = pWhat->iPid<0 ? s->iNext : pWhat->iOff;
    i64 iEpoch;
    PrillPart *pPart;
    if( pWhat->iPid<0 ? !s->bMoved : s->iPid!=pWhat->iPid ) continue;
    pPart = pollPart(pStore, s->iPid);
    if( pPart==0 ) continue;
    if( s->iStored==POLL_DOUBT ) rc = prillOffsetGet(pStore, p->conf.zGroup, pPart, &s->iStored, &iEpoch, 0);
    if( rc!=SQLITE_OK || s->iStored==iOff ) continue;
    rc = prillOffsetPut(pStore, p->conf.zGroup, pPart, iOff, -1, "", 0);
    if( rc!=SQLITE_OK ) break;
    s->iStored = iOff;
    pWhat->nMoved++;
  }
  return rc;
}

/* Commit, in a write transaction, the version guarded.  Where the group is not as
** it was last seen it is loaded, and the member's right looked into (I1). */
static int pollCommit(PrillPoll *p, PrillStore *pStore, PollWhat *pWhat){
  PrillKnown *k = &p->aKnown[p->nKnown-1];
  PrillGroup *g = 0;
  int bAsk;
  int rc = SQLITE_OK;
  if( k->bLost ){
    return pollError(p, pStore, PRILL_FENCED, "records this transaction was given are of partitions that have gone to"
                     " another member; ROLLBACK");
  }
  bAsk = k->pSeat==0 || !k->bSettled || k->iCatalog!=pStore->iCatalog || !pollSame(&rc, p, pStore, k);
  if( rc==SQLITE_OK && bAsk ){
    rc = prillMemberEnter(pStore, p->conf.zGroup, 0, 0, &g);
    if( rc==SQLITE_OK ) rc = pollEvent(p, pStore, g, PRILL_EV_COMMIT, 0);
    if( rc==SQLITE_OK ) rc = pollOwn(p, pStore, k, g, g->pMember);
    if( rc==SQLITE_OK && k->bLost ) rc = pollCommit(p, pStore, pWhat);
  }
  if( rc==SQLITE_OK ) rc = pollPut(p, pStore, k, pWhat);
  if( rc==SQLITE_OK && bAsk ){
    rc = pollEvent(p, pStore, g, PRILL_EV_COMMIT, pWhat->iPid<0);
    if( rc==SQLITE_OK ){
      i64 iCatalog = k->iCatalog;
      rc = pollLearn(p, pStore, k, g, g->pMember);
      k->iCatalog = iCatalog;                     /* its topics were not looked into */
    }
  }
  prillGroupFree(g);
  return rc;
}

/* Has anything been given that is not committed? */
static int pollMoved(const PrillKnown *k){
  int i;
  for(i=0; i<k->nSpot; i++){
    if( k->aSpot[i].bMoved && k->aSpot[i].iNext!=k->aSpot[i].iStored ) return 1;
  }
  return 0;
}

static int pollCommitWhat(PrillPoll *p, PrillStore *pLook, PollWhat *pWhat){
  PrillKnown *k;
  int rc = pollEnter(p, pLook);
  if( rc!=SQLITE_OK ) return rc;
  k = prillPositionCurrent(&rc, p, pLook);
  if( k && p->bFenced ) k->pSeat = 0;
  (void)prillPositionGuard(&rc, p);
  if( rc==SQLITE_OK ) rc = pollCommit(p, pLook, pWhat);
  rc = pollExit(p, pLook, rc);
  if( rc!=SQLITE_OK ) pWhat->nMoved = 0;
  return rc;
}

int prillPollCommit(PrillPoll *p, PrillStore *pLook, int *pnMoved){
  PollWhat what = {-1, 0, 0};
  int rc = pollBegin(p);
  if( rc==SQLITE_OK ) rc = pollCommitWhat(p, pLook, &what);
  *pnMoved = what.nMoved;
  return rc;
}

/* The spot of a partition the member owns. */
static int pollFindSpot(PrillPoll *p, const PrillKnown *k, const char *zTopic, i64 iPart, PrillSpot **pp){
  PrillStore *pStore = p->pStore;
  PrillTopic *pTopic = prillStoreTopic(pStore, zTopic);
  *pp = pTopic && iPart>=0 && iPart<pTopic->nPart ? prillPositionSpot(k, pTopic->apPart[iPart]->iPid) : 0;
  if( *pp ) return SQLITE_OK;
  return prillError(pStore->pConn, PRILL_NO_TOPIC, "consumer %s: partition %s-%lld is not its own; SELECT assignment"
                    " FROM prill_members shows what is", p->conf.zClient, zTopic, iPart);
}

int prillPollCommitTo(PrillPoll *p, const char *zTopic, i64 iPart, i64 iOff){
  PollWhat what = {-1, 0, 0};
  PrillSpot *s = 0;
  PrillKnown *k;
  int bStore = 0;
  int rc = pollBegin(p);
  if( rc==SQLITE_OK ) rc = pollRead(p, p->pStore, &bStore);
  k = prillPositionCurrent(&rc, p, p->pStore);
  if( rc==SQLITE_OK ) rc = pollFindSpot(p, k, zTopic, iPart, &s);
  if( rc==SQLITE_OK && (iOff<0 || iOff>s->iNext) ){
    rc = prillError(p->pStore->pConn, PRILL_OFFSET_RANGE, "consumer %s: offset %lld of %s-%lld is beyond what it was"
                    " given, which ends at %lld", p->conf.zClient, iOff, zTopic, iPart, s->iNext);
  }
  if( rc!=SQLITE_OK ) return rc;
  what.iPid = s->iPid;
  what.iOff = iOff;
  return pollCommitWhat(p, p->pStore, &what);
}

int prillPollSeek(PrillPoll *p, const char *zTopic, i64 iPart, i64 iOff){
  PrillStore *pStore = p->pStore;
  PrillSpot *s = 0;
  PrillPart *pPart;
  PrillKnown *k;
  int bStore = 0;
  int rc = pollBegin(p);
  if( rc==SQLITE_OK ) rc = pollRead(p, pStore, &bStore);
  (void)prillPositionCurrent(&rc, p, pStore);
  k = prillPositionGuard(&rc, p);
  if( rc==SQLITE_OK ) rc = pollFindSpot(p, k, zTopic, iPart, &s);
  if( rc!=SQLITE_OK ) return rc;
  pPart = pollPart(pStore, s->iPid);
  rc = prillPartLoad(pPart);
  if( rc==SQLITE_OK && (iOff<pPart->x.iLogStart || iOff>prillPartEnd(pPart)) ){
    rc = prillError(pStore->pConn, PRILL_OFFSET_RANGE, "consumer %s: offset %lld of %s-%lld is not in the log, which"
                    " has %lld to %lld", p->conf.zClient, iOff, zTopic, iPart, pPart->x.iLogStart, prillPartEnd(pPart));
  }
  if( rc!=SQLITE_OK ) return rc;
  if( s->iNext<0 ) s->iStored = POLL_DOUBT;
  s->iNext = iOff;
  s->bMoved = 1;
  p->nGive = 0;
  return SQLITE_OK;
}

/**************************************************************************
** Joining and leaving.
*/
int prillPollJoin(PrillPoll *p){
  PrillStore *pStore = p->pStore;
  PrillKnown *k = 0;
  int bStore = 0;
  int rc = pollBegin(p);
  if( rc==SQLITE_OK ) rc = pollRead(p, pStore, &bStore);
  if( rc==SQLITE_OK && !bStore ){
    const char **az = 0;
    int n = 0;
    rc = pollNames(p, pStore, &az, &n);           /* no plain name can be there */
    sqlite3_free((void*)az);
    if( rc==SQLITE_OK ) rc = pollError(p, pStore, SQLITE_ERROR, "the schema has no topics yet; create one first");
  }
  if( rc==SQLITE_OK ) rc = pollEnter(p, pStore);
  if( rc!=SQLITE_OK ) return rc;
  (void)prillPositionCurrent(&rc, p, pStore);
  k = prillPositionGuard(&rc, p);
  if( rc==SQLITE_OK ) rc = pollMachine(p, pStore);
  if( rc==SQLITE_OK && p->conf.eReset==PRILL_RESET_LATEST ) rc = pollStandAll(p, pStore, k);
  return pollExit(p, pStore, rc);
}

int prillPollLeave(PrillPoll *p){
  PrillStore *pStore = p->pStore;
  PrillGroup *g = 0;
  PrillKnown *k = 0;
  int bStore = 0;
  int rc = pollBegin(p);
  if( rc==SQLITE_OK ) rc = pollRead(p, pStore, &bStore);
  if( rc==SQLITE_OK && !bStore ) return SQLITE_OK;
  if( rc==SQLITE_OK ) k = prillPositionCurrent(&rc, p, pStore);
  if( rc!=SQLITE_OK || k->pSeat==0 ) return rc;
  rc = pollEnter(p, pStore);
  if( rc!=SQLITE_OK ) return rc;
  if( p->conf.eCommit==PRILL_COMMIT_TRUE && pollMoved(k) ){
    PollWhat what = {-1, 0, 0};
    k = prillPositionGuard(&rc, p);
    if( rc==SQLITE_OK ) (void)pollCommit(p, pStore, &what);
    if( p->aKnown[p->nKnown-1].pSeat==0 ) return pollExit(p, pStore, SQLITE_OK);        /* it is out */
  }
  if( rc==SQLITE_OK ) rc = prillMemberEnter(pStore, p->conf.zGroup, 0, 0, &g);
  if( rc==SQLITE_OK ){
    PrillGroupEvent e;
    memset(&e, 0, sizeof(e));
    e.eType = PRILL_EV_LEAVE;
    e.zMember = k->pSeat->zMember;
    e.iGeneration = -1;
    rc = prillMemberEvent(pStore, g, &e);         /* who is out already has left */
  }
  prillGroupFree(g);
  return pollExit(p, pStore, rc);
}

/**************************************************************************
** The set.
*/

/* Find the next nWant records from iFrom on; *pn is how many there are. */
static int pollMeasure(PrillPart *pPart, i64 iFrom, i64 nWant, PrillGive *pGive, i64 *pn){
  PrillRange r = {.iFrom = iFrom, .iTsFrom = PRILL_I64MIN, .iTsTo = PRILL_I64MAX, .bOffsets = 1, .bTrust = 1};
  PrillScan *pScan = 0;
  PrillRecord rec;
  i64 iLast = iFrom-1, n = 0;
  int rc;
  r.iTo = prillPartEnd(pPart)-1;
  rc = prillScanOpen(pPart, &r, &pScan);
  if( rc==SQLITE_OK ) rc = SQLITE_ROW;
  while( rc==SQLITE_ROW && n<nWant && (rc = prillScanNext(pScan, &rec))==SQLITE_ROW ){
    i64 nRun = prillScanRun(pScan);
    nRun = PRILL_MIN(nRun, nWant-n-1);
    if( n==0 ) pGive->iFrom = rec.iOff;
    iLast = rec.iOff + nRun;
    n += nRun + 1;
  }
  prillScanClose(pScan);
  if( rc!=SQLITE_ROW && rc!=SQLITE_DONE ) return rc;
  pGive->iTo = iLast;
  pGive->iNext = rc==SQLITE_DONE || iLast==r.iTo ? r.iTo+1 : iLast+1;
  *pn = n;
  return SQLITE_OK;
}

static int pollAdd(PrillPoll *p, const PrillGive *pGive){
  if( p->nGive>=p->nGiveAlloc ){
    int nAlloc = p->nGiveAlloc*2 + 8;
    PrillGive *a = (PrillGive*)sqlite3_realloc64(p->aGive, sizeof(*a)*(u64)nAlloc);
    if( a==0 ) return SQLITE_NOMEM;
    p->aGive = a;
    p->nGiveAlloc = nAlloc;
  }
  p->aGive[p->nGive++] = *pGive;
  return SQLITE_OK;
}

/* Note what there is, beginning with another partition each time. */
static int pollFill(PrillPoll *p, PrillStore *pLook, PrillKnown *k, i64 nMax){
  i64 nLeft = nMax;
  int i, rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<k->nSpot && nLeft>0; i++){
    PrillSpot *s = &k->aSpot[(p->iTurn+i) % k->nSpot];
    PrillPart *pPart = pollPart(pLook, s->iPid);
    PrillGive give;
    i64 n = 0;
    if( pPart==0 ) continue;
    rc = pollStand(p, pPart, s);
    if( rc!=SQLITE_OK || s->iNext>=prillPartEnd(pPart) ) continue;
    give.iPid = s->iPid;
    give.iPart = pPart->iPart;
    give.iWas = s->iNext;
    rc = pollMeasure(pPart, s->iNext, nLeft, &give, &n);
    if( rc==SQLITE_OK && n==0 ) s->iNext = prillPartEnd(pPart);       /* a gap up to the end */
    if( rc==SQLITE_OK && n>0 ) rc = pollAdd(p, &give);
    nLeft -= n;
  }
  if( k->nSpot>0 ) p->iTurn = (p->iTurn+PRILL_MAX(p->nGive, 1)) % k->nSpot;
  return rc;
}

/* What is to be written before the set is made: the previous one committed, the
** machine asked, the time noted. */
static int pollUpkeep(PrillPoll *p, PrillStore *pLook, int bCommit, int bAsk){
  PollWhat what = {-1, 0, 0};
  int rc = pollEnter(p, pLook);
  if( rc!=SQLITE_OK ) return rc;
  (void)prillPositionCurrent(&rc, p, pLook);
  (void)prillPositionGuard(&rc, p);
  if( rc==SQLITE_OK && bCommit ) rc = pollCommit(p, pLook, &what);
  if( rc==SQLITE_OK && bAsk ) rc = pollMachine(p, pLook);
  if( rc==SQLITE_OK && !bAsk ) rc = pollTouch(p, pLook, &p->aKnown[p->nKnown-1], prillNow(pLook->pVfs));
  if( rc!=SQLITE_OK && p->nKnown>0 ) p->aKnown[p->nKnown-1].row.n = 0;
  return pollExit(p, pLook, rc);
}

int prillPollSet(PrillPoll *p, PrillStore *pLook, i64 nMax){
  PrillKnown *k;
  i64 now = prillNow(pLook->pVfs);
  int bAsk, bCommit, bTouch;
  int rc = pollBegin(p);
  p->nGive = 0;
  if( rc==SQLITE_OK && p->bTxn ) rc = prillStoreParty(pLook);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(pLook);
  if( rc==SQLITE_OK ) rc = prillStoreCheckDir(pLook);
  k = prillPositionCurrent(&rc, p, pLook);
  if( rc==SQLITE_OK && p->bFenced ){
    PrillGroup g;
    memset(&g, 0, sizeof(g));
    g.iErr = PRILL_KE_FENCED_INSTANCE_ID;
    rc = pollRefused(p, pLook, k, &g);
  }
  bAsk = pollDue(&rc, p, pLook, k, now);
  if( rc!=SQLITE_OK ) return rc;
  bCommit = p->conf.eCommit==PRILL_COMMIT_TRUE && pollMoved(k);
  bTouch = now<k->msPolled || now-k->msPolled>=(p->bTxn ? PRILL_MIN(1000, p->conf.msInterval/4) : p->conf.msInterval/4);
  if( bAsk || bCommit || bTouch ){
    rc = pollUpkeep(p, pLook, bCommit, bAsk);
    if( (rc&0xff)==SQLITE_BUSY && !bAsk && !bCommit ) rc = SQLITE_OK;      /* next time */
    if( rc==SQLITE_OK ) rc = prillStoreRefresh(pLook);
  }
  k = prillPositionGuard(&rc, p);
  if( rc==SQLITE_OK ) rc = pollFill(p, pLook, k, nMax);
  if( rc!=SQLITE_OK ) p->nGive = 0;
  p->iSet++;
  p->iSetUndo = p->iUndo;
  p->bWhole = 0;
  return rc;
}

/**************************************************************************
** Reading the set.
*/
void prillTakeBegin(PrillTake *t, PrillPoll *p, PrillStore *pLook){
  memset(t, 0, sizeof(*t));
  t->pPoll = p;
  t->pLook = pLook;
  pLook->nRef++;
}

void prillTakeEnd(PrillTake *t){
  prillScanClose(t->pScan);
  prillTopicUnref(t->pTopic);
  prillStorePut(t->pLook);
  memset(t, 0, sizeof(*t));
}

/* What there was to know may have been rolled back; then this reading is over. */
static int takeCheck(PrillTake *t){
  PrillPoll *p = t->pPoll;
  int rc = SQLITE_OK;
  p->bTxn = (u8)prillPositionTxn(p);
  if( p->iCut!=p->pStore->iCut ){
    PrillStore *pRow = p->bTxn ? p->pStore : t->pLook;
    rc = prillStoreRefresh(pRow);
    (void)prillPositionCurrent(&rc, p, pRow);
  }
  if( rc==SQLITE_OK && p->iUndo!=p->iSetUndo ){
    rc = pollError(p, p->pStore, SQLITE_ABORT, "a ROLLBACK took back what a running statement was given; run it again");
  }
  return rc;
}

/* Open the scan of aGive[iGive]; pScan stays NULL when its topic is gone. */
static int takeScan(PrillTake *t){
  const PrillGive *pGive = &t->pPoll->aGive[t->iGive];
  PrillRange r = {.iTo = pGive->iTo, .iTsFrom = PRILL_I64MIN, .iTsTo = PRILL_I64MAX, .bTrust = 1};
  PrillPart *pPart;
  int rc = prillStoreRefresh(t->pLook);
  if( rc==SQLITE_OK ) rc = prillStoreCheckDir(t->pLook);
  if( rc!=SQLITE_OK ) return rc;
  pPart = pollPart(t->pLook, pGive->iPid);
  prillTopicUnref(t->pTopic);
  t->pTopic = 0;
  if( pPart==0 ) return SQLITE_OK;
  t->pTopic = pPart->pTopic;
  t->pTopic->nRef++;
  t->iPart = pPart->iPart;
  t->bFresh = 1;
  r.iFrom = PRILL_MAX(pGive->iFrom, t->iNext);
  rc = prillPartLoad(pPart);
  return rc==SQLITE_OK ? prillScanOpen(pPart, &r, &t->pScan) : rc;
}

/* It stands at iNext in the give's partition, if that is still its own. */
static void takeMove(PrillKnown *k, i64 iPid, i64 iNext, int bMoved){
  PrillSpot *s = prillPositionSpot(k, iPid);
  if( s==0 || s->iNext>=iNext ) return;
  s->iNext = iNext;
  if( bMoved ) s->bMoved = 1;
}

/* A reading has come to the set's end: with enable.auto.commit=statement that
** is when it counts. */
static int takeWhole(PrillTake *t, PrillKnown *k){
  PrillPoll *p = t->pPoll;
  PollWhat what = {-1, 0, 0};
  int i, rc;
  p->bWhole = 1;
  if( p->conf.eCommit!=PRILL_COMMIT_STATEMENT || p->nGive==0 ) return SQLITE_OK;
  for(i=0; i<p->nGive; i++) takeMove(k, p->aGive[i].iPid, p->aGive[i].iNext, 1);
  if( !pollMoved(k) ) return SQLITE_OK;
  rc = pollCommitWhat(p, p->bTxn ? p->pStore : t->pLook, &what);
  k = &p->aKnown[p->nKnown-1];
  for(i=0; rc!=SQLITE_OK && i<p->nGive; i++){
    PrillSpot *s = prillPositionSpot(k, p->aGive[i].iPid);
    if( s ) s->iNext = p->aGive[i].iWas;
  }
  return rc;
}

int prillTakeNext(PrillTake *t){
  PrillPoll *p = t->pPoll;
  PrillKnown *k;
  int bStatement = p->conf.eCommit==PRILL_COMMIT_STATEMENT;
  int rc = takeCheck(t);
  k = prillPositionGuard(&rc, p);
  t->bFresh = 0;
  while( rc==SQLITE_OK && t->iGive<p->nGive ){
    const PrillGive *pGive = &p->aGive[t->iGive];
    if( t->pScan==0 ) rc = takeScan(t);
    if( rc!=SQLITE_OK ) break;
    rc = t->pScan ? prillScanNext(t->pScan, &t->rec) : SQLITE_DONE;
    if( rc==SQLITE_ROW ){
      t->iNext = t->rec.iOff + 1;
      if( !bStatement ) takeMove(k, pGive->iPid, t->iNext, 1);
      return SQLITE_ROW;
    }
    prillScanClose(t->pScan);
    t->pScan = 0;
    if( rc==SQLITE_DONE ){
      if( !bStatement ) takeMove(k, pGive->iPid, pGive->iNext, 0);
      t->iGive++;
      t->iNext = 0;
      rc = SQLITE_OK;
    }else if( !t->bFresh && rc!=SQLITE_NOMEM ){
      rc = SQLITE_OK;                             /* a file has gone meanwhile: look anew */
    }
  }
  if( rc==SQLITE_OK ) rc = takeWhole(t, k);
  return rc==SQLITE_OK ? SQLITE_DONE : rc;
}
