/*
** capture.c: prill_capture(), which makes the triggers that tell a topic of
** every change to a table.
**
** Layer 5, sql.  Calls store, inbox, func.
**
** THE TRIGGERS are ordinary ones, three to a table, AFTER INSERT, UPDATE and
** DELETE, named TABLE_capture_insert and so on.  What tells them from the
** user's is the comment CAPTURE_MARK in their text, by which a later call finds
** them, even after the table was renamed, and puts new ones in their place.
** They use built-in functions of SQLite alone.  SQLite runs the newest trigger
** first, so those made last see a row before any other trigger changes it.
**
** Their INSERT goes to the topic's table, or with 'inbox' to an ordinary table
** (inbox.c), so that programs without prill can write the captured one.
**
** A VALUE in JSON (captureValue): integers and text; reals with as many digits
** as bring the same number back; infinities as text; BLOBs, and text with a NUL
** in it, as {"hex":"..."}.  json_quote() is not used: until SQLite 3.43 it may
** not be called from a trigger under PRAGMA trusted_schema=OFF.  In its place
** captureValue escapes \ and ", and captureJson, once for the whole text, the
** control characters that are left: JSON has none between its strings.
**
**   I1  All or nothing: one transaction, or a savepoint in the caller's.
**   I2  No trigger without CAPTURE_MARK in its text is dropped.
**   I3  An UPDATE that changes the key's bytes is a delete under the old key
**       and an insert under the new, so that the newest record of each key
**       tells whether its row is there.
**
** Crash story: DDL and rows of one transaction.
*/
#include "prillInt.h"

#define CAPTURE_MARK "/* made by prill_capture */"
#define CAPTURE_ESCAPES 8             /* replace() in one another: the parser's stack is bounded */
#define CAPTURE_GROUP 40              /* terms of one || chain: SQLite bounds its depth */

typedef struct CaptureCol CaptureCol;
struct CaptureCol {
  char *zName;
  char *zJson;            /* { or , and the name as JSON and : */
  int iPk;                /* 1-based place in the primary key, 0: none */
};

typedef struct Capture Capture;
struct Capture {
  PrillStore *pStore;
  const char *zSchema;
  char *zTable;           /* as the schema writes it */
  char *zTopic;           /* the topic's table */
  char *zInbox;           /* the inbox, or NULL */
  const char *zRowid;     /* a name of the rowid; used when nPk is 0 */
  CaptureCol *aCol;
  int nCol, nPk;
};

static void captureFree(Capture *c){
  int i;
  for(i=0; i<c->nCol; i++){
    sqlite3_free(c->aCol[i].zName);
    sqlite3_free(c->aCol[i].zJson);
  }
  sqlite3_free(c->aCol);
  sqlite3_free(c->zTable);
  sqlite3_free(c->zTopic);
  sqlite3_free(c->zInbox);
}

/* One value of a query: *pz NULL when there is no row or it is NULL. */
static int captureText(PrillStore *p, const char *zFmt, const char *zArg, char **pz){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(p, &pStmt, zFmt, zArg);
  *pz = 0;
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW && sqlite3_column_type(pStmt, 0)!=SQLITE_NULL ){
    const char *z = (const char*)sqlite3_column_text(pStmt, 0);
    *pz = z ? sqlite3_mprintf("%s", z) : 0;
    if( *pz==0 ) rc = SQLITE_NOMEM;
  }
  if( pStmt ) prillStoreDone(p, pStmt, &rc);
  sqlite3_finalize(pStmt);
  return rc;
}

/**************************************************************************
** The table.
*/

/* Is z a table that can be captured?  Sets zTable. */
static int captureTable(Capture *c, const char *z){
  PrillConn *pConn = c->pStore->pConn;
  char *zKind = 0;
  int rc = captureText(c->pStore, "SELECT name FROM \"%w\".sqlite_master WHERE type IN ('table','view')"
                       " AND name=%Q COLLATE NOCASE", z, &c->zTable);
  if( rc!=SQLITE_OK ) return rc;
  if( c->zTable==0 ){
    return prillError(pConn, SQLITE_ERROR, "prill_capture: no table %s in schema %s (tables of temp cannot be"
                      " captured)", z, c->zSchema);
  }
  rc = captureText(c->pStore, "SELECT CASE WHEN type='view' THEN 'a view' WHEN rootpage=0 THEN 'a virtual table'"
                   " WHEN name LIKE 'prill@_%%' ESCAPE '@' THEN 'a table of prill'"
                   " WHEN instr(sql, '" PRILL_INBOX_MARK "') THEN 'an inbox'"
                   " WHEN name LIKE 'sqlite@_%%' ESCAPE '@' THEN 'a table of SQLite' END"
                   " FROM \"%w\".sqlite_master WHERE name=%Q AND type IN ('table','view')", c->zTable, &zKind);
  if( rc==SQLITE_OK && zKind ){
    rc = prillError(pConn, SQLITE_ERROR, "prill_capture: %s is %s; only ordinary tables can be captured",
                    c->zTable, zKind);
  }
  sqlite3_free(zKind);
  return rc;
}

/* The columns, generated ones too. */
static int captureColumns(Capture *c){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(c->pStore, &pStmt, "SELECT name, json_quote(name), pk FROM pragma_table_xinfo(%Q, %Q)"
                             " ORDER BY cid", c->zTable, c->zSchema);
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    CaptureCol *a = (CaptureCol*)sqlite3_realloc64(c->aCol, sizeof(*a)*((u64)c->nCol+1));
    if( a==0 ){
      rc = SQLITE_NOMEM;
      break;
    }
    c->aCol = a;
    a += c->nCol;
    a->zName = sqlite3_mprintf("%s", sqlite3_column_text(pStmt, 0));
    a->zJson = sqlite3_mprintf("%c%s:", c->nCol ? ',' : '{', sqlite3_column_text(pStmt, 1));
    c->nCol++;
    a->iPk = sqlite3_column_int(pStmt, 2);
    if( a->iPk ) c->nPk++;
    if( a->zName==0 || a->zJson==0 ) rc = SQLITE_NOMEM;
  }
  if( pStmt ) prillStoreDone(c->pStore, pStmt, &rc);
  sqlite3_finalize(pStmt);
  return rc;
}

/* A name of the rowid that no column has. */
static int captureRowid(Capture *c){
  static const char *const azRowid[] = {"rowid", "_rowid_", "oid"};
  int i, j;
  for(i=0; i<3; i++){
    for(j=0; j<c->nCol && sqlite3_stricmp(c->aCol[j].zName, azRowid[i]); j++){}
    if( j==c->nCol ) break;
  }
  c->zRowid = i<3 ? azRowid[i] : 0;
  if( c->nPk>0 || i<3 ) return SQLITE_OK;
  return prillError(c->pStore->pConn, SQLITE_ERROR, "prill_capture: %s has no primary key, and its columns hide the"
                    " rowid; give it a PRIMARY KEY", c->zTable);
}

/**************************************************************************
** Expressions.
*/

/* A real number's text, which reads back as the same number. */
#define CAPTURE_REAL \
  "CASE WHEN CAST(CAST(%s AS TEXT) AS REAL)=%s THEN CAST(%s AS TEXT) ELSE printf('%%!.17g',%s) END"

/* Column zCol of row zRow (NEW, OLD) as JSON. */
static void captureValue(int *pRc, PrillBuf *b, const char *zRow, const char *zCol){
  char *x = sqlite3_mprintf("%s.\"%w\"", zRow, zCol);
  if( x==0 ){
    *pRc = SQLITE_NOMEM;
    return;
  }
  prillBufPrintf(pRc, b, "CASE typeof(%s) WHEN 'null' THEN 'null' WHEN 'integer' THEN %s WHEN 'real' THEN"
                 " CASE %s WHEN 9e999 THEN '\"Infinity\"' WHEN -9e999 THEN '\"-Infinity\"' ELSE ", x, x, x);
  prillBufPrintf(pRc, b, CAPTURE_REAL, x, x, x, x);
  prillBufPrintf(pRc, b, " END ELSE CASE WHEN typeof(%s)='blob' OR instr(%s,char(0)) THEN '{\"hex\":\"'||hex(%s)||'\"}'"
                 " ELSE '\"'||replace(replace(%s,'\\','\\\\'),'\"','\\\"')||'\"' END END", x, x, x, x);
  sqlite3_free(x);
}

/* What is between the two is JSON, but that its strings may have control
** characters: they are escaped, if there are any. */
static void captureJson(int *pRc, PrillBuf *b, int bEnd){
  static const char aShort[] = "\b\t\n\f\r";
  int i, iFrom;
  if( !bEnd ){
    /* Subqueries: the parser's stack would not take all of them in one another. */
    prillBufPrintf(pRc, b, "(SELECT CASE WHEN v GLOB '*['||char(1)||'-'||char(31)||']*' THEN (SELECT ");
    for(iFrom=1; iFrom<32; iFrom+=CAPTURE_ESCAPES){
      int iTo = PRILL_MIN(iFrom+CAPTURE_ESCAPES, 32);
      for(i=iFrom; i<iTo; i++) prillBufPrintf(pRc, b, "replace(");
      prillBufPrintf(pRc, b, "v");
      for(i=iFrom; i<iTo; i++){
        const char *z = strchr(aShort, i);
        if( z ) prillBufPrintf(pRc, b, ",char(%d),'\\%c')", i, "btnfr"[z-aShort]);
        else prillBufPrintf(pRc, b, ",char(%d),'\\u%04x')", i, i);
      }
      prillBufPrintf(pRc, b, " AS v%s", iTo<32 ? " FROM (SELECT " : "");
    }
    for(i=1; i+CAPTURE_ESCAPES<32; i+=CAPTURE_ESCAPES) prillBufPrintf(pRc, b, ")");
    prillBufPrintf(pRc, b, ") ELSE v END FROM (SELECT ");
  }else{
    prillBufPrintf(pRc, b, " AS v LIMIT 1 OFFSET 0))");    /* an OFFSET: v is worked out once */
  }
}

/* A row as a JSON object. */
static void captureObject(int *pRc, PrillBuf *b, const Capture *c, const char *zRow){
  int i;
  for(i=0; i<c->nCol; i++){
    prillBufPrintf(pRc, b, "%s%Q||", i==0 ? "(" : i%CAPTURE_GROUP ? "||" : ")||(", c->aCol[i].zJson);
    captureValue(pRc, b, zRow, c->aCol[i].zName);
  }
  prillBufPrintf(pRc, b, ")||'}'");
}

/* A row's key: its one primary key column as text (a BLOB as it is), several
** as a JSON array, or the rowid. */
static void captureKey(int *pRc, PrillBuf *b, const Capture *c, const char *zRow){
  int i, iPk;
  if( c->nPk==0 ){
    prillBufPrintf(pRc, b, "%s.%s", zRow, c->zRowid);
    return;
  }
  if( c->nPk>1 ) captureJson(pRc, b, 0);
  for(iPk=1; iPk<=c->nPk; iPk++){
    for(i=0; i<c->nCol-1 && c->aCol[i].iPk!=iPk; i++){}
    if( c->nPk==1 ){
      char *x = sqlite3_mprintf("%s.\"%w\"", zRow, c->aCol[i].zName);
      if( x==0 ) *pRc = SQLITE_NOMEM;
      prillBufPrintf(pRc, b, "CASE typeof(%s) WHEN 'real' THEN CASE %s WHEN 9e999 THEN 'Infinity'"
                     " WHEN -9e999 THEN '-Infinity' ELSE ", x, x);
      prillBufPrintf(pRc, b, CAPTURE_REAL, x, x, x, x);
      prillBufPrintf(pRc, b, " END ELSE %s END", x);
      sqlite3_free(x);
    }else{
      prillBufPrintf(pRc, b, "%s", iPk==1 ? "('['||" : iPk%CAPTURE_GROUP ? "||','||" : ")||(','||");
      captureValue(pRc, b, zRow, c->aCol[i].zName);
    }
  }
  if( c->nPk>1 ){
    prillBufPrintf(pRc, b, "||']')");
    captureJson(pRc, b, 1);
  }
}

/* INSERT INTO the topic or the inbox of one change: zKey a row, zOp the word,
** bBefore and bAfter what it has. */
static void captureInsert(int *pRc, PrillBuf *b, const Capture *c, const char *zKey, const char *zOp,
                          int bBefore, int bAfter){
  if( c->zInbox ){
    prillBufPrintf(pRc, b, "\n  INSERT INTO \"%w\"(topic, at, key, value) SELECT %Q,"
                   " CAST(round((julianday('now')-2440587.5)*86400000) AS INTEGER), ", c->zInbox, c->zTopic);
  }else{
    prillBufPrintf(pRc, b, "\n  INSERT INTO \"%w\"(key, value) SELECT ", c->zTopic);
  }
  captureKey(pRc, b, c, zKey);
  prillBufPrintf(pRc, b, ", ");
  captureJson(pRc, b, 0);
  prillBufPrintf(pRc, b, "'{\"op\":\"%s\",\"before\":'||", zOp);
  if( bBefore ) captureObject(pRc, b, c, "OLD"); else prillBufPrintf(pRc, b, "'null'");
  prillBufPrintf(pRc, b, "||',\"after\":'||");
  if( bAfter ) captureObject(pRc, b, c, "NEW"); else prillBufPrintf(pRc, b, "'null'");
  prillBufPrintf(pRc, b, "||'}'");
  captureJson(pRc, b, 1);
}

/* WHERE the key of OLD is, or is not, that of NEW.  The types count too: a key
** of another type may have other bytes. */
static void captureSame(int *pRc, PrillBuf *b, const Capture *c, int bSame){
  prillBufPrintf(pRc, b, " WHERE (");
  captureKey(pRc, b, c, "OLD");
  prillBufPrintf(pRc, b, ") IS%s (", bSame ? "" : " NOT");
  captureKey(pRc, b, c, "NEW");
  prillBufPrintf(pRc, b, ");");
}

/* The statements of the trigger for zEvent. */
static void captureBody(int *pRc, PrillBuf *b, const Capture *c, const char *zEvent){
  switch( zEvent[0] ){
    case 'i':
      captureInsert(pRc, b, c, "NEW", "insert", 0, 1);
      prillBufPrintf(pRc, b, ";");
      break;
    case 'd':
      captureInsert(pRc, b, c, "OLD", "delete", 1, 0);
      prillBufPrintf(pRc, b, ";");
      break;
    default:                                                          /* I3 */
      captureInsert(pRc, b, c, "NEW", "update", 1, 1);
      captureSame(pRc, b, c, 1);
      captureInsert(pRc, b, c, "OLD", "delete", 1, 0);
      captureSame(pRc, b, c, 0);
      captureInsert(pRc, b, c, "NEW", "insert", 0, 1);
      captureSame(pRc, b, c, 0);
  }
}

/**************************************************************************
** Making it.
*/

/* Drop the triggers an earlier call made (I2). */
static int captureDrop(Capture *c){
  char *z = 0;
  int rc;
  do{
    sqlite3_free(z);
    rc = captureText(c->pStore, "SELECT name FROM \"%w\".sqlite_master WHERE type='trigger'"
                     " AND tbl_name=%Q COLLATE NOCASE AND instr(sql, '" CAPTURE_MARK "')", c->zTable, &z);
    if( rc==SQLITE_OK && z ) rc = prillStoreRun(c->pStore, sqlite3_mprintf("DROP TRIGGER \"%w\".\"%w\"",
                                                                          c->zSchema, z));
  }while( rc==SQLITE_OK && z );
  sqlite3_free(z);
  return rc;
}

/* The topic's table, made where there is none. */
static int captureTopic(Capture *c){
  char *zSql = 0;
  int rc = captureText(c->pStore, "SELECT CASE WHEN rootpage=0 AND type='table' THEN sql ELSE '' END"
                       " FROM \"%w\".sqlite_master WHERE type IN ('table','view') AND name=%Q COLLATE NOCASE",
                       c->zTopic, &zSql);
  if( rc!=SQLITE_OK ) return rc;
  if( zSql==0 ){
    if( !prillTopicName(c->zTopic) ){
      return prillError(c->pStore->pConn, SQLITE_ERROR, "prill_capture: %s cannot be a topic's name; give one, as in"
                        " SELECT prill_capture('table', 'topic')", c->zTopic);
    }
    return prillStoreRun(c->pStore, sqlite3_mprintf("CREATE VIRTUAL TABLE \"%w\".\"%w\" USING topic",
                                                    c->zSchema, c->zTopic));
  }
  if( sqlite3_strlike("create virtual table%using%topic%", zSql, 0)!=0 ){
    rc = prillError(c->pStore->pConn, SQLITE_ERROR, "prill_capture: %s is there and is no topic; name another topic",
                    c->zTopic);
  }
  sqlite3_free(zSql);
  return rc;
}

static int captureTrigger(Capture *c, const char *zEvent){
  PrillBuf b = {0,0,0};
  char *zHave = 0;
  char *zName = sqlite3_mprintf("%s_capture_%s", c->zTable, zEvent);
  int rc = zName ? SQLITE_OK : SQLITE_NOMEM;
  if( rc==SQLITE_OK ){
    rc = captureText(c->pStore, "SELECT name FROM \"%w\".sqlite_master WHERE type='trigger' AND name=%Q COLLATE NOCASE",
                     zName, &zHave);
  }
  if( rc==SQLITE_OK && zHave ){
    rc = prillError(c->pStore->pConn, SQLITE_ERROR, "prill_capture: there is a trigger %s; drop or rename it", zName);
  }
  prillBufPrintf(&rc, &b, "CREATE TRIGGER \"%w\".\"%w\" AFTER %s ON \"%w\" BEGIN " CAPTURE_MARK,
                 c->zSchema, zName, zEvent, c->zTable);
  captureBody(&rc, &b, c, zEvent);
  prillBufPrintf(&rc, &b, "\nEND");
  if( rc==SQLITE_OK ) rc = prillStoreRun(c->pStore, sqlite3_mprintf("%.*s", (int)b.n, (const char*)b.a));
  prillBufFree(&b);
  sqlite3_free(zName);
  sqlite3_free(zHave);
  return rc;
}

/* All of it. */
static int captureMake(Capture *c, const char *zTable, int bInbox){
  char *zInbox;
  int rc = captureTable(c, zTable);
  if( rc==SQLITE_OK ) rc = captureColumns(c);
  if( rc==SQLITE_OK ) rc = captureRowid(c);
  if( rc!=SQLITE_OK ) return rc;
  if( c->zTopic==0 ) c->zTopic = sqlite3_mprintf("%s_changes", c->zTable);
  zInbox = sqlite3_mprintf("%s_inbox", c->zTable);
  if( c->zTopic==0 || zInbox==0 ) rc = SQLITE_NOMEM;
  if( rc==SQLITE_OK ) rc = captureTopic(c);
  if( rc==SQLITE_OK ) rc = captureDrop(c);
  if( rc==SQLITE_OK ) rc = bInbox ? prillInboxMake(c->pStore, zInbox) : prillInboxDrain(c->pStore, zInbox);
  if( bInbox ) c->zInbox = zInbox; else sqlite3_free(zInbox);
  if( rc==SQLITE_OK ) rc = captureTrigger(c, "delete");
  if( rc==SQLITE_OK ) rc = captureTrigger(c, "update");
  if( rc==SQLITE_OK ) rc = captureTrigger(c, "insert");
  return rc;
}

/* The same in a transaction, or a savepoint of the caller's (I1). */
static int captureTransaction(Capture *c, const char *zTable, int bInbox){
  PrillUndo undo;
  int bSave = !sqlite3_get_autocommit(c->pStore->pConn->db);
  int rc = prillUndoBegin(c->pStore, &undo, bSave);
  if( rc!=SQLITE_OK ) return rc;
  if( bSave ) rc = prillUndoHold(c->pStore, &undo);
  if( rc==SQLITE_OK ) rc = captureMake(c, zTable, bInbox);
  return prillUndoEnd(c->pStore, &undo, rc);
}

/* Argument i as text; *pRc when memory is out. */
static const char *captureArg(int *pRc, int i, int nArg, sqlite3_value **apArg){
  const char *z;
  if( i>=nArg || sqlite3_value_type(apArg[i])==SQLITE_NULL ) return 0;
  z = (const char*)sqlite3_value_text(apArg[i]);
  if( z==0 ) *pRc = SQLITE_NOMEM;
  return z;
}

/* prill_capture(table [, topic [, 'inbox' [, schema]]]): the topic's table. */
static void captureFunc(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  PrillConn *p = (PrillConn*)sqlite3_user_data(pCtx);
  Capture c;
  int rc = SQLITE_OK;
  const char *zTable = captureArg(&rc, 0, nArg, apArg);
  const char *zTopic = captureArg(&rc, 1, nArg, apArg);
  const char *zHow = captureArg(&rc, 2, nArg, apArg);
  const char *zSchema = captureArg(&rc, 3, nArg, apArg);
  memset(&c, 0, sizeof(c));
  if( rc==SQLITE_OK && zTable==0 ){
    rc = prillError(p, SQLITE_ERROR, "prill_capture: name the table, as in SELECT prill_capture('orders')");
  }
  if( rc==SQLITE_OK && zHow && sqlite3_stricmp(zHow, "inbox")!=0 ){
    rc = prillError(p, SQLITE_ERROR, "prill_capture: the third argument is 'inbox' or NULL, not %s", zHow);
  }
  if( rc==SQLITE_OK && zSchema && sqlite3_stricmp(zSchema, "temp")==0 ){
    rc = prillError(p, SQLITE_ERROR, "prill_capture: a table of temp cannot be captured");
  }
  if( rc==SQLITE_OK && zTopic && (c.zTopic = sqlite3_mprintf("%s", zTopic))==0 ) rc = SQLITE_NOMEM;
  if( rc==SQLITE_OK ) rc = prillStoreGet(p, zSchema, &c.pStore);
  if( rc==SQLITE_OK ){
    c.zSchema = c.pStore->zSchema;
    rc = captureTransaction(&c, zTable, zHow!=0);
  }
  if( rc!=SQLITE_OK ){
    prillFuncFail(pCtx, p, rc);
  }else{
    sqlite3_result_text(pCtx, c.zTopic, -1, SQLITE_TRANSIENT);
  }
  captureFree(&c);
  prillStorePut(c.pStore);
}

const PrillFunc *prillFuncCapture(int *pn){
  static const PrillFunc aCapture[] = {
    {"prill_capture", 1, SQLITE_DIRECTONLY, captureFunc},
    {"prill_capture", 2, SQLITE_DIRECTONLY, captureFunc},
    {"prill_capture", 3, SQLITE_DIRECTONLY, captureFunc},
    {"prill_capture", 4, SQLITE_DIRECTONLY, captureFunc},
  };
  *pn = (int)(sizeof(aCapture)/sizeof(aCapture[0]));
  return aCapture;
}
