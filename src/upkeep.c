/*
** upkeep.c: what prill_maintain() and prilld do for a store now and then: that
** of the log (trim.c), then that of groups.
**
** Layer 4.  Calls member, offset, trim and store.
**
** GROUPS.  Members of SQL that are dead or have not polled in time are put out,
** so that a group whose processes are gone becomes Empty without anybody polling.
** Offsets are forgotten as Kafka forgets them (KIP-211): once the group has been
** Empty, and the offset untouched, for offsets.retention.ms; of a group that
** never had members the offset alone counts.  An Empty group of SQL goes with its
** last offset.
**
**   I1  A look without a transaction comes first: nothing is written, and no
**       lock taken, while nothing is due.
**
** Crash story: rows; SQLite's COMMIT decides.
*/
#include "prillGroup.h"

/* An upkeep of groups: what a look has found, or what is done about it. */
typedef struct UpkeepWork UpkeepWork;
struct UpkeepWork {
  i64 now, msOld;                     /* offsets as old as this may go */
  u8 bDo;                             /* in a transaction: do it */
  int nDue;
};

/* Members that are no more. */
static int upkeepMembers(PrillStore *p, PrillGroup *g, UpkeepWork *w){
  PrillGroupEvent e;
  int nDead = 0;
  int rc = prillMemberSweep(p, g, 0, g->nMember, w->bDo, &nDead);
  memset(&e, 0, sizeof(e));
  e.eType = PRILL_EV_TIMER;
  if( nDead>0 || prillGroupDeadline(g)<=w->now ) w->nDue++;
  if( rc==SQLITE_OK && w->bDo ) rc = prillMemberEvent(p, g, &e);
  return rc;
}

/* Old offsets of a group: count them, or delete them and an Empty group with them. */
static int upkeepOffsets(PrillStore *p, const char *zGroup, int eKind, UpkeepWork *w){
  sqlite3_stmt *pStmt = 0;
  int nOld = 0, nAll = 0;
  int rc = prillStorePrepare(p, &pStmt, "SELECT count(*), ifnull(sum(at<=%lld),0) FROM \"%w\".prill_store_offset"
                             " WHERE grp=%Q", w->msOld, zGroup);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    nAll = sqlite3_column_int(pStmt, 0);
    nOld = sqlite3_column_int(pStmt, 1);
  }
  sqlite3_finalize(pStmt);
  if( rc!=SQLITE_OK || (nOld==0 && (eKind!=PRILL_KIND_SQL || nAll>0)) ) return rc;
  w->nDue++;
  if( !w->bDo ) return SQLITE_OK;
  if( nOld==nAll && eKind==PRILL_KIND_SQL ) return prillGroupRowDelete(p, zGroup);
  return prillStoreExec(p, "DELETE FROM \"%w\".prill_store_offset WHERE grp=%Q AND at<=%lld", zGroup, w->msOld);
}

static int upkeepGroup(PrillStore *p, const char *zGroup, UpkeepWork *w){
  PrillGroup *g = 0;
  int eKind = 0;
  i64 msEmpty = 0;
  int rc = prillGroupRowKind(p, zGroup, &eKind);
  if( rc!=SQLITE_OK || eKind==PRILL_KIND_QUEUE ) return rc;
  if( eKind ) rc = prillMemberOpen(p, zGroup, eKind, &g);
  if( (rc&0xff)==SQLITE_CORRUPT ) return SQLITE_OK;         /* prill_groups shows it */
  if( rc==SQLITE_OK && g && eKind==PRILL_KIND_SQL && g->nMember>0 ) rc = upkeepMembers(p, g, w);
  if( g ) msEmpty = g->nMember>0 ? PRILL_I64MAX : g->iEmptySince;
  prillGroupFree(g);
  if( rc==SQLITE_OK && msEmpty<=w->msOld ) rc = upkeepOffsets(p, zGroup, eKind, w);
  return rc;
}

static int upkeepGroups(PrillStore *p, void *pArg){
  PrillBuf names = {0,0,0};
  const char *z;
  int rc = prillGroupRowNames(p, &names);
  for(z=(char*)names.a; rc==SQLITE_OK && z && z<(char*)names.a+names.n; z+=strlen(z)+1){
    rc = upkeepGroup(p, z, (UpkeepWork*)pArg);
  }
  prillBufFree(&names);
  return rc;
}

int prillUpkeep(PrillStore *p, int *pnLeft){
  UpkeepWork w;
  int rc = prillTrimMaintain(p, pnLeft);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(p);
  if( rc!=SQLITE_OK || !p->bExists ) return rc;
  memset(&w, 0, sizeof(w));
  w.now = prillNow(p->pVfs);
  w.msOld = w.now - p->msOffsets;
  rc = upkeepGroups(p, &w);
  prillStoreLetGo(p);
  if( rc==SQLITE_OK && w.nDue>0 ){
    w.bDo = 1;
    rc = prillTrimTransaction(p, upkeepGroups, &w);
    if( rc==SQLITE_OK ) prillStoreCommit(p);                /* wakes whom it concerns */
  }
  return rc;
}
