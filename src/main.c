/*
** main.c: the library's entry points.
**
** Layer 6.  Calls every module's Init, and nothing else of the library.
**
**   sqlite3_prill_init   .load ./prill, sqlite3_load_extension()
**   prill_init           for programs that link prill
**
** Both register modules and functions with one connection, which keeps a
** PrillConn for it: reference counted by what was registered, freed when the
** connection closes.  Nothing is global but the pointer to SQLite's routines.
**
**   I1  A connection has one PrillConn: two would have two stages of one
**       transaction.  So a second call finds prill_version() and does nothing,
**       and a call that failed half-way removes prill_version() again.
**   I2  When registration fails, SQLite unloads the library: nothing of it may
**       stay registered.  Functions come first, since one that exists cannot
**       be replaced while a statement runs (SELECT load_extension(...)) and the
**       refusal must come before any module has been replaced.
*/
#include "prillInt.h"

#ifndef SQLITE_CORE
SQLITE_EXTENSION_INIT1
#endif

#define MAIN_SQLITE_MIN 3040000       /* sqlite3_vtab_in, and what we measured */

const char *prill_version(void){
  return PRILL_VERSION;
}

/* Is prill registered with this connection?  SQLITE_OK and *pbThere, or the
** error of asking: an authorizer may refuse, and to guess would break I1. */
static int mainIsThere(sqlite3 *db, int *pbThere){
  sqlite3_stmt *pStmt = 0;
  int rc = sqlite3_prepare_v2(db, "SELECT prill_version()", -1, &pStmt, 0);
  *pbThere = rc==SQLITE_OK;
  sqlite3_finalize(pStmt);
  return rc==SQLITE_ERROR ? SQLITE_OK : rc;
}

/* Take back what a failed registration left. */
static void mainUnregister(sqlite3 *db){
  static const char *const azModule[] = {
    "prill_store", "topic", "follow", "prill_records", "prill_topics", "prill_partitions", "prill_segments",
    "prill_batches", "prill_config", "prill_hot", "queue", "consumer", "prill_groups", "prill_members", "prill_offsets"
  };
  size_t i;
  for(i=0; i<sizeof(azModule)/sizeof(azModule[0]); i++){
    (void)sqlite3_create_module_v2(db, azModule[i], 0, 0, 0);
  }
  prillFuncDrop(db);
}

static int mainRegister(sqlite3 *db){
  PrillConn *p = (PrillConn*)sqlite3_malloc64(sizeof(*p));
  int rc;
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->db = db;
  p->nRef = 1;
  p->iLastOff = -1;
  p->iLastPart = -1;
  rc = prillFuncInit(p);              /* first: I2 */
  if( rc==SQLITE_OK ) rc = prillVtabStoreInit(p);
  if( rc==SQLITE_OK ) rc = prillVtabTopicInit(p);
  if( rc==SQLITE_OK ) rc = prillVtabHotInit(p);
  if( rc==SQLITE_OK ) rc = prillVtabQueueInit(p);
  if( rc==SQLITE_OK ) rc = prillVtabConsumerInit(p);
  if( rc==SQLITE_OK ) rc = prillVtabFollowInit(p);
  if( rc==SQLITE_OK ) rc = prillVtabAdminInit(p);
  if( rc!=SQLITE_OK ) mainUnregister(db);
  prillConnUnref(p);
  return rc;
}

int prill_init(sqlite3 *db){
  int bThere = 0;
  int rc;
#ifndef SQLITE_CORE
  if( sqlite3_api==0 ) return SQLITE_MISUSE;        /* not loaded as an extension */
#endif
  if( sqlite3_libversion_number()<MAIN_SQLITE_MIN ) return SQLITE_ERROR;
  rc = mainIsThere(db, &bThere);
  if( rc==SQLITE_OK && !bThere ){
    rc = mainRegister(db);
    /* Asked again, so that no error of the first question stays with the
    ** connection: sqlite3_open() fails on one an automatic extension leaves. */
    if( rc==SQLITE_OK ) rc = mainIsThere(db, &bThere);
    if( rc==SQLITE_OK && !bThere ) rc = SQLITE_INTERNAL;
  }
  return rc;
}

int sqlite3_prill_init(sqlite3 *db, char **pzErrMsg, const struct sqlite3_api_routines *pApi){
  int rc;
#ifndef SQLITE_CORE
  SQLITE_EXTENSION_INIT2(pApi);
#endif
  (void)pApi;
  if( sqlite3_libversion_number()<MAIN_SQLITE_MIN ){
    if( pzErrMsg ){
      *pzErrMsg = sqlite3_mprintf("prill %s needs SQLite 3.40.0 or newer and this is %s; use a newer"
                                  " sqlite3", PRILL_VERSION, sqlite3_libversion());
    }
    return SQLITE_ERROR;
  }
  rc = prill_init(db);
  if( rc!=SQLITE_OK && pzErrMsg ){
    *pzErrMsg = sqlite3_mprintf("prill %s cannot be registered: %s", PRILL_VERSION, sqlite3_errstr(rc));
  }
  return rc;
}
