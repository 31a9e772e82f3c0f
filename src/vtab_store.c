/*
** vtab_store.c: the virtual table prill_store, one a schema, made with the
** first topic.  It owns the store's tables as shadows, so that
** SQLITE_DBCONFIG_DEFENSIVE keeps other SQL off them, and shows one row about
** the store:
**
**     SELECT id, directory, topics, partitions FROM prill_store;
**
** It has a second duty.  DROP TABLE on a topic ends that table's part in the
** transaction without xCommit or xRollback; if the transaction had staged
** records, somebody must still write them at COMMIT.  prillStoreJoin makes
** this table a party to the transaction by an empty DELETE.
*/
#include "prillInt.h"

typedef struct StoreVtab StoreVtab;
struct StoreVtab {
  sqlite3_vtab base;
  PrillConn *pConn;
  PrillStore *pStore;
};
typedef struct StoreCursor StoreCursor;
struct StoreCursor {
  sqlite3_vtab_cursor base;
  int iRow;
};

static int storevtabConnect(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  PrillConn *pConn = (PrillConn*)pAux;
  StoreVtab *p;
  int rc;
  (void)argc;
  rc = sqlite3_declare_vtab(db, "CREATE TABLE x(id TEXT, directory TEXT, topics INT,"
                                " partitions INT, flush TEXT)");
  if( rc!=SQLITE_OK ) return rc;
  p = (StoreVtab*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->pConn = pConn;
  rc = prillStoreGet(pConn, argv[1], &p->pStore);
  if( rc!=SQLITE_OK ){
    *pzErr = pConn->zErr;
    pConn->zErr = 0;
    sqlite3_free(p);
    return rc;
  }
  prillConnRef(pConn);
  *ppVtab = &p->base;
  return SQLITE_OK;
}

static int storevtabDisconnect(sqlite3_vtab *pTab){
  StoreVtab *p = (StoreVtab*)pTab;
  prillStorePut(p->pStore);
  prillConnUnref(p->pConn);
  sqlite3_free(p);
  return SQLITE_OK;
}

static int storevtabCreate(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  int rc;
  if( sqlite3_stricmp(argv[2], "prill_store")!=0 ){
    *pzErr = sqlite3_mprintf("the module prill_store makes one table, named prill_store, by itself;"
                             " CREATE VIRTUAL TABLE %s USING topic makes a topic", argv[2]);
    return SQLITE_ERROR;
  }
  rc = storevtabConnect(db, pAux, argc, argv, ppVtab, pzErr);
  if( rc==SQLITE_OK ){
    rc = prillStoreTables(((StoreVtab*)*ppVtab)->pStore);
    if( rc!=SQLITE_OK ){
      PrillConn *pConn = (PrillConn*)pAux;
      *pzErr = pConn->zErr;
      pConn->zErr = 0;
      storevtabDisconnect(*ppVtab);
      *ppVtab = 0;
    }
  }
  return rc;
}

static const char *const azShadow[] = {
  "state", "topic", "part", "segment", "index", "key", "tail", "trash", "gap", "producer",
  "group", "member", "offset", "position", "share", "quota"
};

static int storevtabDestroy(sqlite3_vtab *pTab){
  StoreVtab *p = (StoreVtab*)pTab;
  PrillStore *pStore = p->pStore;
  sqlite3_stmt *pStmt = 0;
  size_t i;
  int bBusy = 0;
  int rc = prillStorePrepare(pStore, &pStmt, "SELECT EXISTS(SELECT 1 FROM \"%w\".prill_store_topic)"
                             " OR EXISTS(SELECT 1 FROM \"%w\".prill_store_trash)");
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) bBusy = sqlite3_column_int(pStmt, 0);
  sqlite3_finalize(pStmt);
  if( rc==SQLITE_OK && bBusy ){
    prillError(p->pConn, SQLITE_CONSTRAINT, "prill_store holds topics or files not yet deleted; DROP its"
               " topics and run SELECT prill_maintain() first");
    return prillVtabError(pTab, p->pConn, SQLITE_CONSTRAINT);
  }
  pStore->bDirty = 1;
  for(i=0; rc==SQLITE_OK && i<sizeof(azShadow)/sizeof(azShadow[0]); i++){
    rc = prillStoreExec(pStore, "DROP TABLE IF EXISTS \"%w\".prill_store_%s", azShadow[i]);
  }
  return rc==SQLITE_OK ? storevtabDisconnect(pTab) : prillVtabError(pTab, p->pConn, rc);
}

static int storevtabShadow(const char *zName){
  size_t i;
  for(i=0; i<sizeof(azShadow)/sizeof(azShadow[0]); i++){
    if( sqlite3_stricmp(zName, azShadow[i])==0 ) return 1;
  }
  return 0;
}

static int storevtabRename(sqlite3_vtab *pTab, const char *zNew){
  StoreVtab *p = (StoreVtab*)pTab;
  (void)zNew;
  prillError(p->pConn, SQLITE_ERROR, "prill_store cannot be renamed: topics find it by its name");
  return prillVtabError(pTab, p->pConn, SQLITE_ERROR);
}

static int storevtabBestIndex(sqlite3_vtab *pTab, sqlite3_index_info *pInfo){
  (void)pTab;
  pInfo->estimatedRows = 1;
  pInfo->estimatedCost = 1;
  return SQLITE_OK;
}

static int storevtabOpen(sqlite3_vtab *pTab, sqlite3_vtab_cursor **pp){
  StoreCursor *p = (StoreCursor*)sqlite3_malloc64(sizeof(*p));
  (void)pTab;
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  *pp = &p->base;
  return SQLITE_OK;
}

static int storevtabClose(sqlite3_vtab_cursor *pCur){
  sqlite3_free(pCur);
  return SQLITE_OK;
}

static int storevtabFilter(
  sqlite3_vtab_cursor *pCur, int idxNum, const char *idxStr, int argc, sqlite3_value **argv
){
  StoreVtab *p = (StoreVtab*)pCur->pVtab;
  (void)idxNum; (void)idxStr; (void)argc; (void)argv;
  ((StoreCursor*)pCur)->iRow = 0;
  return prillVtabError(pCur->pVtab, p->pConn, prillStoreRefresh(p->pStore));
}

static int storevtabNext(sqlite3_vtab_cursor *pCur){
  ((StoreCursor*)pCur)->iRow++;
  return SQLITE_OK;
}

static int storevtabEof(sqlite3_vtab_cursor *pCur){
  return ((StoreCursor*)pCur)->iRow>0 || !((StoreVtab*)pCur->pVtab)->pStore->bExists;
}

static int storevtabColumn(sqlite3_vtab_cursor *pCur, sqlite3_context *pCtx, int iCol){
  PrillStore *p = ((StoreVtab*)pCur->pVtab)->pStore;
  PrillTopic *pTopic;
  int nTopic = 0;
  char zId[33];
  switch( iCol ){
    case 0:
      prillHex(p->aId, 16, zId);
      sqlite3_result_text(pCtx, zId, -1, SQLITE_TRANSIENT);
      break;
    case 1:
      sqlite3_result_text(pCtx, p->zDir, -1, SQLITE_TRANSIENT);
      break;
    case 2:
      for(pTopic=p->pTopics; pTopic; pTopic=pTopic->pNext) nTopic++;
      sqlite3_result_int(pCtx, nTopic);
      break;
    case 3:
      sqlite3_result_int(pCtx, p->nPart);
      break;
    default:
      sqlite3_result_text(pCtx, p->eFlush==PRILL_FLUSH_OS ? "os" : "commit", -1, SQLITE_STATIC);
      break;
  }
  return SQLITE_OK;
}

static int storevtabRowid(sqlite3_vtab_cursor *pCur, sqlite3_int64 *piRowid){
  (void)pCur;
  *piRowid = 1;
  return SQLITE_OK;
}

static int storevtabUpdate(sqlite3_vtab *pTab, int argc, sqlite3_value **argv, sqlite3_int64 *piRowid){
  StoreVtab *p = (StoreVtab*)pTab;
  (void)argc; (void)argv; (void)piRowid;
  prillError(p->pConn, SQLITE_READONLY, "prill_store is read-only; prill_topics, prill_partitions and"
             " prill_config are the tables to change");
  return prillVtabError(pTab, p->pConn, SQLITE_READONLY);
}

static int storevtabBegin(sqlite3_vtab *pTab){
  StoreVtab *p = (StoreVtab*)pTab;
  return prillVtabError(pTab, p->pConn, prillStoreBegin(p->pStore));
}
static int storevtabSync(sqlite3_vtab *pTab){
  StoreVtab *p = (StoreVtab*)pTab;
  return prillVtabError(pTab, p->pConn, prillStoreSync(p->pStore));
}
static int storevtabCommit(sqlite3_vtab *pTab){
  prillStoreCommit(((StoreVtab*)pTab)->pStore);
  return SQLITE_OK;
}
static int storevtabRollback(sqlite3_vtab *pTab){
  prillStoreRollback(((StoreVtab*)pTab)->pStore);
  return SQLITE_OK;
}
static int storevtabSavepoint(sqlite3_vtab *pTab, int i){
  return prillStoreSavepoint(((StoreVtab*)pTab)->pStore, i);
}
static int storevtabRelease(sqlite3_vtab *pTab, int i){
  return prillStoreRelease(((StoreVtab*)pTab)->pStore, i);
}
static int storevtabRollbackTo(sqlite3_vtab *pTab, int i){
  return prillStoreRollbackTo(((StoreVtab*)pTab)->pStore, i);
}

static const sqlite3_module storevtabModule = {
  .iVersion = 3,
  .xCreate = storevtabCreate, .xConnect = storevtabConnect, .xBestIndex = storevtabBestIndex,
  .xDisconnect = storevtabDisconnect, .xDestroy = storevtabDestroy,
  .xOpen = storevtabOpen, .xClose = storevtabClose, .xFilter = storevtabFilter,
  .xNext = storevtabNext, .xEof = storevtabEof, .xColumn = storevtabColumn,
  .xRowid = storevtabRowid, .xUpdate = storevtabUpdate, .xBegin = storevtabBegin,
  .xSync = storevtabSync, .xCommit = storevtabCommit, .xRollback = storevtabRollback,
  .xRename = storevtabRename, .xSavepoint = storevtabSavepoint, .xRelease = storevtabRelease,
  .xRollbackTo = storevtabRollbackTo, .xShadowName = storevtabShadow,
};

int prillVtabStoreInit(PrillConn *pConn){
  return sqlite3_create_module_v2(pConn->db, "prill_store", &storevtabModule,
                                  prillConnRef(pConn), prillConnUnref);
}
