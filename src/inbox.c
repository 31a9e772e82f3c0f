/*
** inbox.c: inboxes, ordinary tables that triggers fill in plain SQL, so that
** programs without prill can write a captured table; and what takes their rows
** into the topics.
**
** Layer 3, store.  Calls store.  Inserts by SQL, through the topic's table.
**
** An inbox is any table with PRILL_INBOX_MARK in its text:
**
**   id      INTEGER PRIMARY KEY, the order
**   topic   the topic's table in the same schema
**   at      milliseconds since 1970, the record's timestamp
**   key, value
**   problem why the topic refused the row, NULL while it has not
**
**   I1  A row is inserted into its topic and deleted here in one transaction.
**   I2  Rows leave from the lowest id on, and a topic gets them in the order of
**       id; but for those that are larger than it takes, which stay where they
**       are, set aside by their problem, so that they hold up no others.  (To
**       refuse them when they are written would need prill there.)
**   I3  A step moves INBOX_MX_ROW rows and INBOX_MX_BYTE bytes (one row at
**       least) at most.
**
** Crash story: I1.
*/
#include "prillInt.h"

#define INBOX_MX_ROW  1000
#define INBOX_MX_BYTE (4<<20)
#define INBOX_WAITS "problem IS NULL"

/* The inbox that follows zAfter by name, or with bIs zAfter itself, if it is
** one; *pz NULL: none. */
static int inboxNext(PrillStore *p, const char *zAfter, int bIs, char **pz){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(p, &pStmt, "SELECT name FROM \"%w\".sqlite_master WHERE type='table' AND rootpage>0"
                             " AND instr(sql, '" PRILL_INBOX_MARK "') AND name%s%Q %s ORDER BY name LIMIT 1",
                             bIs ? "=" : ">", zAfter, bIs ? "COLLATE NOCASE" : "");
  *pz = 0;
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    *pz = sqlite3_mprintf("%s", sqlite3_column_text(pStmt, 0));
    if( *pz==0 ) rc = SQLITE_NOMEM;
  }
  if( pStmt ) prillStoreDone(p, pStmt, &rc);
  sqlite3_finalize(pStmt);
  return rc;
}

/* Prepare zFmt, made of the schema and the inbox's name. */
static int inboxPrepare(PrillStore *p, sqlite3_stmt **ppStmt, const char *zFmt, const char *zInbox){
  char *zSql = sqlite3_mprintf(zFmt, p->zSchema, zInbox);
  int rc = zSql ? prillStorePrepare(p, ppStmt, "%s", zSql) : SQLITE_NOMEM;
  sqlite3_free(zSql);
  return rc;
}

/* How far the next step goes (I3): *piLast, and *pnRow rows; *pbMore beyond. */
static int inboxExtent(PrillStore *p, const char *zInbox, i64 *piLast, int *pnRow, int *pbMore){
  sqlite3_stmt *pStmt = 0;
  i64 nByte = 0;
  int rc = inboxPrepare(p, &pStmt, "SELECT id, coalesce(length(key),0)+coalesce(length(value),0)"
                        " FROM \"%w\".\"%w\" WHERE " INBOX_WAITS " ORDER BY id", zInbox);
  *pnRow = *pbMore = 0;
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    nByte += sqlite3_column_int64(pStmt, 1);
    if( *pnRow>0 && (*pnRow>=INBOX_MX_ROW || nByte>INBOX_MX_BYTE) ){
      *pbMore = 1;
      break;
    }
    *piLast = sqlite3_column_int64(pStmt, 0);
    ++*pnRow;
  }
  if( pStmt ) prillStoreDone(p, pStmt, &rc);
  sqlite3_finalize(pStmt);
  return rc;
}

/* The rows from iFrom to iLast that are for zTopic, into it. */
static int inboxCopy(PrillStore *p, const char *zInbox, const char *zTopic, i64 iFrom, i64 iLast){
  return prillStoreRun(p, sqlite3_mprintf("INSERT INTO \"%w\".\"%w\"(timestamp, key, value) SELECT at, key, value"
      " FROM \"%w\".\"%w\" WHERE topic=%Q AND id BETWEEN %lld AND %lld AND " INBOX_WAITS " ORDER BY id", p->zSchema,
      zTopic, p->zSchema, zInbox, zTopic, iFrom, iLast));
}

/* The same row by row: what is too large is set aside. */
static int inboxSift(PrillStore *p, const char *zInbox, const char *zTopic, i64 iLast){
  sqlite3_stmt *pStmt = 0;
  i64 iId = PRILL_I64MIN;
  int rc;
  sqlite3_free(p->pConn->zErr);
  p->pConn->zErr = 0;
  rc = inboxPrepare(p, &pStmt, "SELECT min(id) FROM \"%w\".\"%w\" WHERE id>?1 AND id<=?2 AND topic=?3"
                        " AND " INBOX_WAITS, zInbox);
  if( rc==SQLITE_OK ) rc = sqlite3_bind_text(pStmt, 3, zTopic, -1, SQLITE_STATIC);
  if( rc==SQLITE_OK ) rc = sqlite3_bind_int64(pStmt, 2, iLast);
  while( rc==SQLITE_OK ){
    sqlite3_bind_int64(pStmt, 1, iId);
    if( sqlite3_step(pStmt)!=SQLITE_ROW || sqlite3_column_type(pStmt, 0)==SQLITE_NULL ) break;
    iId = sqlite3_column_int64(pStmt, 0);
    sqlite3_reset(pStmt);
    rc = inboxCopy(p, zInbox, zTopic, iId, iId);
    if( (rc & 0xff)==SQLITE_TOOBIG ){
      rc = prillStoreRun(p, sqlite3_mprintf("UPDATE \"%w\".\"%w\" SET problem=%Q WHERE id=%lld", p->zSchema, zInbox,
                                            p->pConn->zErr ? p->pConn->zErr : "too large", iId));
      sqlite3_free(p->pConn->zErr);
      p->pConn->zErr = 0;
    }
  }
  if( pStmt ) prillStoreDone(p, pStmt, &rc);
  sqlite3_finalize(pStmt);
  return rc;
}

/* Insert the rows up to iLast that are for zTopic. */
static int inboxInsert(PrillStore *p, const char *zInbox, const char *zTopic, i64 iLast){
  sqlite3_stmt *pStmt = 0;
  int bThere = 0;
  int rc = prillStorePrepare(p, &pStmt, "SELECT 1 FROM \"%w\".sqlite_master WHERE type='table' AND rootpage=0"
                             " AND name=%Q COLLATE NOCASE AND sql LIKE 'create virtual table%%using%%topic%%'", zTopic);
  if( rc==SQLITE_OK ) bThere = sqlite3_step(pStmt)==SQLITE_ROW;
  if( pStmt ) prillStoreDone(p, pStmt, &rc);
  sqlite3_finalize(pStmt);
  if( rc==SQLITE_OK && !bThere ){
    rc = prillError(p->pConn, SQLITE_ERROR, "inbox %s: no table of a topic %s; make it, or UPDATE the column topic"
                    " of the inbox", zInbox, zTopic);
  }
  if( rc!=SQLITE_OK ) return rc;
  rc = inboxCopy(p, zInbox, zTopic, PRILL_I64MIN, iLast);
  return (rc & 0xff)==SQLITE_TOOBIG ? inboxSift(p, zInbox, zTopic, iLast) : rc;
}

/* Move a step's rows in the caller's transaction. */
static int inboxStep(PrillStore *p, const char *zInbox, int *pbMore){
  sqlite3_stmt *pStmt = 0;
  i64 iLast = 0;
  int nRow;
  int rc = inboxExtent(p, zInbox, &iLast, &nRow, pbMore);
  if( rc!=SQLITE_OK || nRow==0 ) return rc;
  rc = inboxPrepare(p, &pStmt, "SELECT DISTINCT topic FROM (SELECT id, topic FROM \"%w\".\"%w\" WHERE " INBOX_WAITS
                    " ORDER BY id) WHERE id<=?1 ORDER BY topic", zInbox);
  if( rc==SQLITE_OK ) rc = sqlite3_bind_int64(pStmt, 1, iLast);
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    const char *z = (const char*)sqlite3_column_text(pStmt, 0);
    rc = z ? inboxInsert(p, zInbox, z, iLast) : SQLITE_NOMEM;
  }
  if( pStmt ) prillStoreDone(p, pStmt, &rc);
  sqlite3_finalize(pStmt);
  if( rc==SQLITE_OK ){
    rc = prillStoreRun(p, sqlite3_mprintf("DELETE FROM \"%w\".\"%w\" WHERE id<=%lld AND " INBOX_WAITS, p->zSchema,
                                          zInbox, iLast));
  }
  return rc;
}

int prillInboxMake(PrillStore *p, const char *zInbox){
  sqlite3_stmt *pStmt = 0;
  char *zHave = 0;
  int bName = 0;
  int rc = inboxNext(p, zInbox, 1, &zHave);
  if( rc==SQLITE_OK && zHave==0 ){
    rc = prillStorePrepare(p, &pStmt, "SELECT 1 FROM \"%w\".sqlite_master WHERE name=%Q COLLATE NOCASE", zInbox);
    if( rc==SQLITE_OK ) bName = sqlite3_step(pStmt)==SQLITE_ROW;
    if( pStmt ) prillStoreDone(p, pStmt, &rc);
    sqlite3_finalize(pStmt);
  }
  if( rc==SQLITE_OK && bName ){
    rc = prillError(p->pConn, SQLITE_ERROR, "prill_capture: %s is there and is no inbox; rename it", zInbox);
  }
  if( rc==SQLITE_OK && zHave==0 ){
    rc = prillStoreRun(p, sqlite3_mprintf("CREATE TABLE \"%w\".\"%w\"(" PRILL_INBOX_MARK " id INTEGER PRIMARY KEY,"
        " topic TEXT NOT NULL, at INTEGER, key, value, problem TEXT)", p->zSchema, zInbox));
  }
  sqlite3_free(zHave);
  return rc;
}

int prillInboxDrain(PrillStore *p, const char *zInbox){
  char *zHave = 0;
  int bMore = 0;
  int rc = inboxNext(p, zInbox, 1, &zHave);
  if( rc==SQLITE_OK && zHave ){
    do{
      rc = inboxStep(p, zHave, &bMore);
    }while( rc==SQLITE_OK && bMore );
  }
  sqlite3_free(zHave);
  return rc;
}

/* A step of one inbox, if it has rows, as a transaction of its own. */
static int inboxTransaction(PrillStore *p, const char *zInbox, int *pbMore){
  PrillUndo undo;
  sqlite3_stmt *pStmt = 0;
  int bRows = 0;
  int rc = inboxPrepare(p, &pStmt, "SELECT 1 FROM \"%w\".\"%w\" WHERE " INBOX_WAITS " LIMIT 1", zInbox);
  if( rc==SQLITE_OK ) bRows = sqlite3_step(pStmt)==SQLITE_ROW;
  if( pStmt ) prillStoreDone(p, pStmt, &rc);
  sqlite3_finalize(pStmt);
  *pbMore = 0;
  if( rc!=SQLITE_OK || !bRows ) return rc;
  rc = prillUndoBegin(p, &undo, 0);
  if( rc!=SQLITE_OK ) return rc;
  rc = prillUndoEnd(p, &undo, inboxStep(p, zInbox, pbMore));
  prillStoreLetGo(p);
  return rc;
}

int prillInboxMove(PrillStore *p, int *pnLeft){
  char *z = 0;
  int bMore;
  int rc = inboxNext(p, "", 0, &z);
  *pnLeft = 0;
  while( rc==SQLITE_OK && z ){
    char *zDone = z;
    rc = inboxTransaction(p, zDone, &bMore);
    *pnLeft += bMore;
    z = 0;
    if( rc==SQLITE_OK ) rc = inboxNext(p, zDone, 0, &z);
    sqlite3_free(zDone);
  }
  sqlite3_free(z);
  return rc;
}
