/*
** func_wait.c: the SQL functions that wait: prill_wait and prill_busy_timeout.
**
** Layer 5, sql.  Calls store, wait, turn, func.
**
** prill_wait runs in a statement without a table, so nothing holds a snapshot
** but what it looks at itself, and that it lets go of before it sleeps.  In a
** statement with a table it may not wait and answers at once (wait.c).
**
** Both are SQLITE_DIRECTONLY: no view or trigger of a database from elsewhere
** makes a program wait.
*/
#include "prillInt.h"

/* An integer not below iMin.  1: *pms is set. */
static int waitArg(sqlite3_value *pVal, i64 iMin, i64 *pms){
  if( sqlite3_value_numeric_type(pVal)!=SQLITE_INTEGER ) return 0;
  *pms = sqlite3_value_int64(pVal);
  return *pms>=iMin;
}

/* The topic of a fresh store, or an error. */
static int waitTopic(PrillStore *pStore, const char *zTopic, PrillTopic **pp){
  int rc = prillStoreRefresh(pStore);
  *pp = rc==SQLITE_OK ? prillStoreTopic(pStore, zTopic) : 0;
  if( rc==SQLITE_OK && *pp==0 ){
    rc = prillError(pStore->pConn, SQLITE_ERROR, "no such topic: %s; SELECT name FROM prill_topics lists them", zTopic);
  }
  return rc;
}

/* Wait until the topic has news: *pbNews, 0 when the time is up. */
static int waitFor(PrillStore *pStore, const char *zTopic, i64 ms, int *pbNews){
  PrillTopic *pTopic;
  PrillWait w;
  i64 iTopic = 0;
  int rc = waitTopic(pStore, zTopic, &pTopic);
  if( rc==SQLITE_OK ) iTopic = pTopic->iTopic;      /* whose word is to be sampled */
  prillStoreLetGo(pStore);
  prillWaitInit(&w, pStore->pConn, ms);
  while( rc==SQLITE_OK ){
    prillWaitSample(&w, pStore, iTopic);
    rc = waitTopic(pStore, zTopic, &pTopic);
    if( rc==SQLITE_OK ) rc = prillWaitNews(pStore->pConn, pTopic, pbNews);
    prillStoreLetGo(pStore);
    if( rc==SQLITE_OK && *pbNews ) break;
    if( rc==SQLITE_OK ) rc = prillWaitSleep(&w);
  }
  prillWaitEnd(&w);
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

/* prill_wait(topic, timeout_ms [, schema]): 1 when the topic has something that
** is newer than this connection's last read of it, 0 when the time is up. */
static void waitFunc(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  PrillConn *p = (PrillConn*)sqlite3_user_data(pCtx);
  const char *zTopic = (const char*)sqlite3_value_text(apArg[0]);
  const char *zSchema = nArg>2 ? (const char*)sqlite3_value_text(apArg[2]) : 0;
  PrillStore *pStore = 0;
  i64 ms = 0;
  int bNews = 0;
  int rc;
  if( sqlite3_value_type(apArg[0])==SQLITE_NULL ) return;               /* NULL */
  if( zTopic==0 || (nArg>2 && zSchema==0 && sqlite3_value_type(apArg[2])!=SQLITE_NULL) ){
    prillFuncFail(pCtx, p, SQLITE_NOMEM);
    return;
  }
  if( !waitArg(apArg[1], -1, &ms) ){
    rc = prillError(p, SQLITE_ERROR, "prill_wait(): the timeout is a whole number of milliseconds, or -1 for ever");
  }else{
    rc = prillStoreGet(p, zSchema, &pStore);
  }
  if( rc==SQLITE_OK ) rc = waitFor(pStore, zTopic, ms, &bNews);
  prillStorePut(pStore);
  if( rc!=SQLITE_OK ){
    prillFuncFail(pCtx, p, rc);
  }else{
    sqlite3_result_int(pCtx, bNews);
  }
}

/* prill_busy_timeout(ms): wait for locks up to so long, in turn with others.
** Gives what was set. */
static void waitBusyTimeout(sqlite3_context *pCtx, int nArg, sqlite3_value **apArg){
  PrillConn *p = (PrillConn*)sqlite3_user_data(pCtx);
  i64 ms = 0;
  int rc;
  (void)nArg;
  if( !waitArg(apArg[0], 0, &ms) ){
    rc = prillError(p, SQLITE_ERROR, "prill_busy_timeout(): the timeout is a whole number of milliseconds");
  }else{
    ms = PRILL_MIN(ms, 0x7fffffff);
    rc = prillTurnTimeout(p, (int)ms);
  }
  if( rc!=SQLITE_OK ){
    prillFuncFail(pCtx, p, rc);
  }else{
    sqlite3_result_int64(pCtx, ms);
  }
}

const PrillFunc *prillFuncWait(int *pn){
  static const PrillFunc aWait[] = {
    {"prill_wait", 2, SQLITE_DIRECTONLY, waitFunc},
    {"prill_wait", 3, SQLITE_DIRECTONLY, waitFunc},
    {"prill_busy_timeout", 1, SQLITE_DIRECTONLY, waitBusyTimeout},
  };
  *pn = (int)(sizeof(aWait)/sizeof(aWait[0]));
  return aWait;
}
