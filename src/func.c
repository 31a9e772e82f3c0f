/*
** func.c: the SQL functions that are about a store or a connection; aFunc lists
** them.  prill_connection is by which the C interface finds what belongs to a
** sqlite3*.
**
** Layer 5, sql.  Calls store, part, stage, trim, check and backup.
**
** A function that works on a store takes the schema as its argument (main
** when left out or NULL), gets the store, and gives it back before it
** returns: at zero references the store frees its statements, so that no
** function keeps sqlite3_close() from succeeding.
**
** WHO MAY CALL.  prill_version, prill_partition and prill_offset tell the
** caller about its own connection and are SQLITE_INNOCUOUS.  The others read
** or change files: SQLITE_DIRECTONLY, so that no view or trigger of a
** database from elsewhere can have them run.
*/
#include "prillShare.h"

void prillFuncFail(sqlite3_context *pCtx, PrillConn *p, int rc){
  char *zErr = p->zErr;
  p->zErr = 0;
  if( rc==SQLITE_NOMEM ){
    sqlite3_result_error_nomem(pCtx);
  }else{
    sqlite3_result_error(pCtx, zErr ? zErr : sqlite3_errstr(rc), -1);
    sqlite3_result_error_code(pCtx, rc);
  }
  sqlite3_free(zErr);
}

/* prill_version() */
static void funcVersion(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  (void)nArg; (void)apArg;
  sqlite3_result_text(pCtx, PRILL_VERSION, -1, SQLITE_STATIC);
}

/* prill_connection(X): X is a pointer made by prillConnOf below, which gets the
** connection's PrillConn.  To SQL, whose values are never such a pointer, the
** function answers NULL. */
#define FUNC_POINTER "prill_connection"
static void funcConnection(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  PrillConn **pp = (PrillConn**)sqlite3_value_pointer(apArg[0], FUNC_POINTER);
  (void)nArg;
  if( pp ) *pp = (PrillConn*)sqlite3_user_data(pCtx);
}

int prillConnOf(sqlite3 *db, PrillConn **pp){
  sqlite3_stmt *pStmt = 0;
  int rc;
  *pp = 0;
  rc = sqlite3_prepare_v2(db, "SELECT prill_connection(?1)", -1, &pStmt, 0);
  if( rc==SQLITE_OK ) rc = sqlite3_bind_pointer(pStmt, 1, pp, FUNC_POINTER, 0);
  if( rc==SQLITE_OK ) (void)sqlite3_step(pStmt);
  if( rc==SQLITE_OK ) rc = sqlite3_finalize(pStmt); else sqlite3_finalize(pStmt);
  return rc==SQLITE_OK && *pp==0 ? SQLITE_ERROR : rc;
}

/* prill_partition() and prill_offset(): where this connection's last INSERT
** into a topic went; NULL before any. */
static void funcPartition(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  const PrillConn *p = (const PrillConn*)sqlite3_user_data(pCtx);
  (void)nArg; (void)apArg;
  if( p->iLastPart>=0 ) sqlite3_result_int(pCtx, p->iLastPart);
}
static void funcOffset(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  const PrillConn *p = (const PrillConn*)sqlite3_user_data(pCtx);
  (void)nArg; (void)apArg;
  if( p->iLastOff>=0 ) sqlite3_result_int64(pCtx, p->iLastOff);
}

/* The store a function's optional argument names.  The error, if any, is
** reported; *pp is then NULL. */
static void funcStore(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg, PrillStore **pp){
  PrillConn *p = (PrillConn*)sqlite3_user_data(pCtx);
  const char *zSchema = nArg>0 ? (const char*)sqlite3_value_text(apArg[0]) : 0;
  int rc;
  *pp = 0;
  if( nArg>0 && zSchema==0 && sqlite3_value_type(apArg[0])!=SQLITE_NULL ){
    rc = SQLITE_NOMEM;
  }else{
    rc = prillStoreGet(p, zSchema, pp);
  }
  if( rc!=SQLITE_OK ) prillFuncFail(pCtx, p, rc);
}

/*
** prill_maintain([schema]): bounded upkeep.  Returns what is left to do, 0
** when nothing is.  It commits work of its own, so not inside a transaction.
*/
static void funcMaintain(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  PrillConn *p = (PrillConn*)sqlite3_user_data(pCtx);
  PrillStore *pStore;
  int nLeft = 0;
  int rc;
  if( !sqlite3_get_autocommit(p->db) || sqlite3_txn_state(p->db, 0)==SQLITE_TXN_WRITE ){
    prillError(p, SQLITE_ERROR, "prill_maintain() cannot run inside a transaction; COMMIT first,"
               " then SELECT prill_maintain()");
    prillFuncFail(pCtx, p, SQLITE_ERROR);
    return;
  }
  funcStore(pCtx, nArg, apArg, &pStore);
  if( pStore==0 ) return;
  rc = prillUpkeep(pStore, &nLeft);
  prillStorePut(pStore);
  if( rc!=SQLITE_OK ){
    prillFuncFail(pCtx, p, rc);
  }else{
    sqlite3_result_int(pCtx, nLeft);
  }
}

/* prill_check([schema]): 'ok', or one problem a line. */
static void funcCheck(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  PrillConn *p = (PrillConn*)sqlite3_user_data(pCtx);
  PrillStore *pStore;
  PrillBuf buf = {0,0,0};
  int rc;
  funcStore(pCtx, nArg, apArg, &pStore);
  if( pStore==0 ) return;
  rc = prillCheckStore(pStore, &buf);
  if( rc==SQLITE_OK ) rc = prillShareCheck(pStore, &buf);
  prillStorePut(pStore);
  if( rc!=SQLITE_OK ){
    prillFuncFail(pCtx, p, rc);
  }else if( buf.n==0 ){
    sqlite3_result_text(pCtx, "ok", -1, SQLITE_STATIC);
  }else{
    while( buf.n>0 && buf.a[buf.n-1]=='\n' ) buf.n--;
    sqlite3_result_text64(pCtx, (char*)buf.a, (u64)buf.n, SQLITE_TRANSIENT, SQLITE_UTF8);
  }
  prillBufFree(&buf);
}

/* prill_backup(dest [, schema]): {"files":n,"linked":n,"bytes":n}. */
static void funcBackup(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  PrillConn *p = (PrillConn*)sqlite3_user_data(pCtx);
  const char *zDest = (const char*)sqlite3_value_text(apArg[0]);
  PrillBackup out;
  PrillStore *pStore;
  int rc;
  if( zDest==0 || zDest[0]==0 ){
    prillError(p, SQLITE_ERROR, "prill_backup: name the file to make, as in SELECT prill_backup('copy.db')");
    prillFuncFail(pCtx, p, SQLITE_ERROR);
    return;
  }
  funcStore(pCtx, nArg-1, apArg+1, &pStore);
  if( pStore==0 ) return;
  rc = prillBackup(pStore, zDest, &out);
  prillStorePut(pStore);
  if( rc!=SQLITE_OK ){
    prillFuncFail(pCtx, p, rc);
  }else{
    char *z = sqlite3_mprintf("{\"files\":%lld,\"linked\":%lld,\"bytes\":%lld}", out.nFile, out.nLinked, out.nByte);
    sqlite3_result_text(pCtx, z, -1, sqlite3_free);
    if( z==0 ) sqlite3_result_error_nomem(pCtx);
  }
}

/**************************************************************************
** prill_debug().
*/
#if defined(__clang__)
# define FUNC_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
# define FUNC_COMPILER "gcc " __VERSION__
#else
# define FUNC_COMPILER "unknown compiler"
#endif

/* What this library is and stands on. */
static void funcDebugBuild(int *pRc, PrillBuf *pBuf){
  int i;
  prillBufPrintf(pRc, pBuf, "prill %s\nbuild: %s; %s; assertions %s\ncodecs:", PRILL_VERSION,
#ifdef SQLITE_CORE
                 "linked",
#else
                 "extension",
#endif
                 FUNC_COMPILER,
#ifdef NDEBUG
                 "off"
#else
                 "on"
#endif
  );
  for(i=PRILL_NONE; i<=PRILL_ZSTD; i++){
    if( prillCodecKnown(i) ) prillBufPrintf(pRc, pBuf, " %s", prillCodecName(i));
  }
  prillBufPrintf(pRc, pBuf, "\nsqlite: %s %s\n", sqlite3_libversion(), sqlite3_sourceid());
}

/* One store's line. */
static void funcDebugStore(int *pRc, PrillBuf *pBuf, PrillStore *p){
  static const char *const azDir[] = {"not looked at", "in use", "missing or foreign"};
  const PrillTopic *pTopic;
  PrillWake *pWake = p->zDir ? prillWakeGet(p->pConn, p->pVfs, p->zDb) : 0;
  const u32 *aWord = pWake && prillWakeMap(pWake, 1) ? pWake->map.a : 0;
  char zId[33];
  int nTopic = 0;
  if( !p->bExists ){
    prillBufPrintf(pRc, pBuf, "store %s: none\n", p->zSchema);
    return;
  }
  for(pTopic=p->pTopics; pTopic; pTopic=pTopic->pNext) nTopic++;
  prillHex(p->aId, 16, zId);
  prillBufPrintf(pRc, pBuf, "store %s: id %s; vfs %s; directory %s (%s); flush %s; topics %d;"
                 " partitions %d; ring frames %lld, bytes %lld; staged bytes %lld; open files %d;"
                 " failed appends %lld; wake %s, sleeps %lld, woken %lld; commits counted %u, waits for the lock %u\n",
                 p->zSchema, zId, p->pVfs->zName, p->zDir ? p->zDir : "none",
                 p->zDir==0 ? "all in the database" : p->bDirRow ? azDir[p->eDir] : "not made yet",
                 p->eFlush==PRILL_FLUSH_OS ? "os" : "commit", nTopic, p->nPart, p->nSlot,
                 p->nRingByte, prillStageBytes(p), prillFilesCount(p), p->nFailed,
                 aWord==0 ? "none" : pWake->map.bReadOnly ? "read-only" : "mapped", p->pConn->nSlept, p->pConn->nRoused,
                 aWord ? __atomic_load_n(&aWord[PRILL_WAKE_STORE], __ATOMIC_RELAXED)>>1 : 0,
                 aWord ? __atomic_load_n(&aWord[PRILL_WAKE_WAITS], __ATOMIC_RELAXED) : 0);
}

/*
** prill_debug(): text for a bug report, a line a fact and a line a schema.  A
** store that cannot be read has its error in its line.
*/
static void funcDebug(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  PrillConn *p = (PrillConn*)sqlite3_user_data(pCtx);
  PrillBuf buf = {0,0,0};
  const char *zSchema;
  i64 nWait, nWoken;
  int rc = SQLITE_OK;
  int i;
  (void)nArg; (void)apArg;
  funcDebugBuild(&rc, &buf);
  for(i=0; rc==SQLITE_OK && (zSchema = sqlite3_db_name(p->db, i))!=0; i++){
    PrillStore *pStore = 0;
    int rcStore = prillStoreGet(p, zSchema, &pStore);
    if( rcStore==SQLITE_OK ) rcStore = prillStoreRefresh(pStore);
    if( rcStore==SQLITE_OK && prillStoreCheckDir(pStore)!=SQLITE_OK ){
      sqlite3_free(p->zErr);                  /* its line says enough */
      p->zErr = 0;
    }
    if( rcStore==SQLITE_OK ){
      funcDebugStore(&rc, &buf, pStore);
    }else if( rcStore==SQLITE_NOMEM ){
      rc = rcStore;
    }else{
      prillBufPrintf(&rc, &buf, "store %s: %s\n", zSchema, p->zErr ? p->zErr : sqlite3_errstr(rcStore));
    }
    prillStorePut(pStore);
  }
  prillTurnCount(p, &nWait, &nWoken);
  prillBufPrintf(&rc, &buf, "lock waits %lld, woken %lld\n", nWait, nWoken);
  if( rc==SQLITE_OK ){
    sqlite3_result_text64(pCtx, (char*)buf.a, (u64)(buf.n-1), SQLITE_TRANSIENT, SQLITE_UTF8);
  }else{
    prillFuncFail(pCtx, p, rc);
  }
  prillBufFree(&buf);
}

static const PrillFunc aFunc[] = {
  {"prill_version", 0, SQLITE_INNOCUOUS, funcVersion},
  {"prill_partition", 0, SQLITE_INNOCUOUS, funcPartition},
  {"prill_offset", 0, SQLITE_INNOCUOUS, funcOffset},
  {"prill_connection", 1, SQLITE_DIRECTONLY, funcConnection},
  {"prill_debug", 0, SQLITE_DIRECTONLY, funcDebug},
  {"prill_maintain", 0, SQLITE_DIRECTONLY, funcMaintain},
  {"prill_maintain", 1, SQLITE_DIRECTONLY, funcMaintain},
  {"prill_check", 0, SQLITE_DIRECTONLY, funcCheck},
  {"prill_check", 1, SQLITE_DIRECTONLY, funcCheck},
  {"prill_backup", 1, SQLITE_DIRECTONLY, funcBackup},
  {"prill_backup", 2, SQLITE_DIRECTONLY, funcBackup},
};

/* The functions of file iFile of those that have some, and their number; NULL
** past the last. */
static const PrillFunc *funcList(int iFile, int *pn){
  switch( iFile ){
    case 0:  *pn = (int)(sizeof(aFunc)/sizeof(aFunc[0])); return aFunc;
    case 1:  return prillFuncWait(pn);
    case 2:  return prillFuncCapture(pn);
    case 3:  return prillFuncQueue(pn);
    case 4:  return prillFuncConsumer(pn);
    default: return 0;
  }
}

int prillFuncInit(PrillConn *pConn){
  const PrillFunc *a;
  int i, j, n;
  int rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && (a = funcList(i, &n))!=0; i++){
    for(j=0; rc==SQLITE_OK && j<n; j++){
      rc = sqlite3_create_function_v2(pConn->db, a[j].zName, a[j].nArg, SQLITE_UTF8|a[j].flags,
                                      prillConnRef(pConn), a[j].xFunc, 0, 0, prillConnUnref);
    }
  }
  return rc;
}

void prillFuncDrop(sqlite3 *db){
  const PrillFunc *a;
  int i, j, n;
  for(i=0; (a = funcList(i, &n))!=0; i++){
    for(j=0; j<n; j++){
      (void)sqlite3_create_function_v2(db, a[j].zName, a[j].nArg, SQLITE_UTF8, 0, 0, 0, 0, 0);
    }
  }
}
