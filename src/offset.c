/*
** offset.c: what is stored of consumer groups: rows of the groups, of their
** members, and the offsets they have committed.
**
** Layer 4.  Calls store and the group machine's encoders.
**
** An offset belongs to (group, partition), the partition by its number in the
** store, which is never used again: a topic dropped and made anew starts
** without offsets.  A group may have offsets and no row: a "simple" consumer's.
**
** Crash story: rows; SQLite's COMMIT decides.
*/
#include "prillGroup.h"

/* Prepare, bind the group's name to ?1 (and zMember to ?2). */
static int offsetPrepare(
  PrillStore *p, sqlite3_stmt **ppStmt, const char *zSql, const char *zGroup, const char *zMember
){
  int rc = prillStorePrepare(p, ppStmt, zSql);
  if( rc==SQLITE_OK ) rc = sqlite3_bind_text(*ppStmt, 1, zGroup, -1, SQLITE_STATIC);
  if( rc==SQLITE_OK && zMember ) rc = sqlite3_bind_text(*ppStmt, 2, zMember, -1, SQLITE_STATIC);
  return rc;
}

/* Finalize: rc, or the error of the last step with its text. */
static int offsetDone(PrillStore *p, sqlite3_stmt *pStmt, int rc){
  int rc2 = sqlite3_finalize(pStmt);
  if( rc!=SQLITE_OK || rc2==SQLITE_OK ) return rc;
  return prillError(p->pConn, rc2, "store \"%s\": %s", p->zSchema, sqlite3_errmsg(p->pConn->db));
}

static int offsetRun(PrillStore *p, const char *zSql, const char *zGroup, const char *zMember){
  sqlite3_stmt *pStmt = 0;
  int rc = offsetPrepare(p, &pStmt, zSql, zGroup, zMember);
  if( rc==SQLITE_OK ) sqlite3_step(pStmt);
  return offsetDone(p, pStmt, rc);
}

/**************************************************************************
** Offsets.
*/
int prillOffsetPut(
  PrillStore *p, const char *zGroup, PrillPart *pPart, i64 iOff, i64 iEpoch, const char *zMeta, i64 nMeta
){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(p, STMT_PUT_OFFSET, &rc);
  if( pStmt==0 ) return rc;
  sqlite3_bind_text(pStmt, 1, zGroup, -1, SQLITE_STATIC);
  sqlite3_bind_int(pStmt, 2, pPart->iPid);
  sqlite3_bind_int64(pStmt, 3, iOff);
  sqlite3_bind_int64(pStmt, 4, iEpoch);
  if( zMeta ) sqlite3_bind_text(pStmt, 5, zMeta, (int)nMeta, SQLITE_STATIC); else sqlite3_bind_null(pStmt, 5);
  sqlite3_bind_int64(pStmt, 6, prillNow(p->pVfs));
  sqlite3_step(pStmt);
  prillStoreDone(p, pStmt, &rc);
  sqlite3_clear_bindings(pStmt);
  return rc;
}

int prillOffsetGet(
  PrillStore *p, const char *zGroup, PrillPart *pPart, i64 *piOff, i64 *piEpoch, PrillBuf *pMeta
){
  int bBad = 0, rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(p, STMT_OFFSET, &rc);
  *piOff = *piEpoch = -1;
  if( pStmt==0 ) return rc;
  sqlite3_bind_text(pStmt, 1, zGroup, -1, SQLITE_STATIC);
  sqlite3_bind_int(pStmt, 2, pPart->iPid);
  if( sqlite3_step(pStmt)==SQLITE_ROW ){
    *piOff = sqlite3_column_int64(pStmt, 0);
    *piEpoch = sqlite3_column_int64(pStmt, 1);
    /* Taken for 0 it would give all records again. */
    bBad = sqlite3_column_type(pStmt, 0)!=SQLITE_INTEGER || *piOff<0;
    if( pMeta ) prillBufAppend(&rc, pMeta, sqlite3_column_text(pStmt, 2), sqlite3_column_bytes(pStmt, 2));
  }
  prillStoreDone(p, pStmt, &rc);
  sqlite3_clear_bindings(pStmt);
  if( rc==SQLITE_OK && bBad ){
    rc = prillError(p->pConn, PRILL_CORRUPT, "group %s: its offset of %s-%d is damaged; restore the database from a"
                    " backup, or DELETE its row in prill_offsets", zGroup, prillPartTopicName(pPart), pPart->iPart);
  }
  return rc;
}

int prillOffsetDelete(PrillStore *p, const char *zGroup, PrillPart *pPart){
  sqlite3_stmt *pStmt = 0;
  int rc = offsetPrepare(p, &pStmt, "DELETE FROM \"%w\".prill_store_offset WHERE grp=?1 AND pid=?2", zGroup, 0);
  if( rc==SQLITE_OK ){
    sqlite3_bind_int(pStmt, 2, pPart->iPid);
    sqlite3_step(pStmt);
  }
  return offsetDone(p, pStmt, rc);
}

int prillOffsetEach(PrillStore *p, const char *zGroup, PrillOffsetRow *xRow, void *pArg){
  sqlite3_stmt *pStmt = 0;
  int rc = offsetPrepare(p, &pStmt, "SELECT pid, off, epoch, meta FROM \"%w\".prill_store_offset WHERE grp=?1"
                         " ORDER BY pid", zGroup, 0);
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    PrillPart *pPart = prillStorePart(p, sqlite3_column_int64(pStmt, 0));
    const char *zMeta = (const char*)sqlite3_column_text(pStmt, 3);
    if( pPart && pPart->pTopic ){
      rc = xRow(pArg, pPart, sqlite3_column_int64(pStmt, 1), sqlite3_column_int64(pStmt, 2), zMeta ? zMeta : "");
    }
  }
  return offsetDone(p, pStmt, rc);
}

/**************************************************************************
** Groups and members.
*/
int prillGroupRowKind(PrillStore *p, const char *zGroup, int *peKind){
  sqlite3_stmt *pStmt = 0;
  int rc = offsetPrepare(p, &pStmt, "SELECT kind FROM \"%w\".prill_store_group WHERE grp=?1", zGroup, 0);
  *peKind = 0;
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) *peKind = sqlite3_column_int(pStmt, 0);
  return offsetDone(p, pStmt, rc);
}

int prillGroupRowPut(PrillStore *p, const char *zGroup, int eKind, const PrillBuf *pState){
  sqlite3_stmt *pStmt = 0;
  int rc = offsetPrepare(p, &pStmt, "INSERT OR REPLACE INTO \"%w\".prill_store_group(grp, kind, state)"
                         " VALUES(?1,?2,?3)", zGroup, 0);
  if( rc==SQLITE_OK ){
    sqlite3_bind_int(pStmt, 2, eKind);
    sqlite3_bind_blob64(pStmt, 3, pState->a, (u64)pState->n, SQLITE_STATIC);
    sqlite3_step(pStmt);
  }
  return offsetDone(p, pStmt, rc);
}

int prillMemberRowPut(PrillStore *p, const char *zGroup, const char *zMember, i64 iPolled, const PrillBuf *pState){
  sqlite3_stmt *pStmt = 0;
  int rc = offsetPrepare(p, &pStmt, "INSERT OR REPLACE INTO \"%w\".prill_store_member(grp, member, polled, state)"
                         " VALUES(?1,?2,?3,?4)", zGroup, zMember);
  if( rc==SQLITE_OK ){
    sqlite3_bind_int64(pStmt, 3, iPolled);
    sqlite3_bind_blob64(pStmt, 4, pState->a, (u64)pState->n, SQLITE_STATIC);
    sqlite3_step(pStmt);
  }
  return offsetDone(p, pStmt, rc);
}

int prillMemberRowDelete(PrillStore *p, const char *zGroup, const char *zMember){
  int rc = offsetRun(p, "DELETE FROM \"%w\".prill_store_member WHERE grp=?1 AND member=?2", zGroup, zMember);
  if( rc!=SQLITE_OK ) return rc;
  return offsetRun(p, "DELETE FROM \"%w\".prill_store_position WHERE grp=?1 AND member=?2", zGroup, zMember);
}

int prillGroupRowDelete(PrillStore *p, const char *zGroup){
  int rc = offsetRun(p, "DELETE FROM \"%w\".prill_store_member WHERE grp=?1", zGroup, 0);
  if( rc==SQLITE_OK ) rc = offsetRun(p, "DELETE FROM \"%w\".prill_store_position WHERE grp=?1", zGroup, 0);
  if( rc==SQLITE_OK ) rc = offsetRun(p, "DELETE FROM \"%w\".prill_store_share WHERE grp=?1", zGroup, 0);
  if( rc==SQLITE_OK ) rc = offsetRun(p, "DELETE FROM \"%w\".prill_store_offset WHERE grp=?1", zGroup, 0);
  if( rc==SQLITE_OK ) rc = offsetRun(p, "DELETE FROM \"%w\".prill_store_group WHERE grp=?1", zGroup, 0);
  return rc;
}

int prillGroupRowNames(PrillStore *p, PrillBuf *pBuf){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(p, &pStmt, "SELECT grp FROM \"%w\".prill_store_group UNION"
                             " SELECT grp FROM \"%w\".prill_store_offset ORDER BY 1");
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    prillBufAppend(&rc, pBuf, sqlite3_column_text(pStmt, 0), sqlite3_column_bytes(pStmt, 0));
    prillBufAppend(&rc, pBuf, "", 1);
  }
  return offsetDone(p, pStmt, rc);
}

/* The members' rows, into the group. */
static int offsetLoadMembers(PrillStore *p, PrillGroup *g){
  sqlite3_stmt *pStmt = 0;
  int rc = offsetPrepare(p, &pStmt, "SELECT state, polled FROM \"%w\".prill_store_member WHERE grp=?1", g->zGroup, 0);
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    const u8 *a = (const u8*)sqlite3_column_blob(pStmt, 0);
    rc = prillMemberLoad(g, a ? a : (const u8*)"", sqlite3_column_bytes(pStmt, 0), sqlite3_column_int64(pStmt, 1));
  }
  return offsetDone(p, pStmt, rc);
}

int prillGroupRowLoad(PrillStore *p, const char *zGroup, const PrillGroupConf *pConf, int eKind, PrillGroup **pp){
  sqlite3_stmt *pStmt = 0;
  PrillGroup *g = 0;
  int rc = offsetPrepare(p, &pStmt, "SELECT state FROM \"%w\".prill_store_group WHERE grp=?1 AND kind=?2", zGroup, 0);
  *pp = 0;
  if( rc==SQLITE_OK ) rc = sqlite3_bind_int(pStmt, 2, eKind);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    const u8 *a = (const u8*)sqlite3_column_blob(pStmt, 0);
    g = prillGroupNew(zGroup, eKind, pConf);
    rc = g ? prillGroupLoad(g, a ? a : (const u8*)"", sqlite3_column_bytes(pStmt, 0)) : SQLITE_NOMEM;
  }
  rc = offsetDone(p, pStmt, rc);
  if( rc==SQLITE_OK && g ) rc = offsetLoadMembers(p, g);
  if( rc!=SQLITE_OK ){
    prillGroupFree(g);
    g = 0;
  }
  *pp = g;
  return rc;
}
