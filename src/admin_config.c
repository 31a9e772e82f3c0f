/*
** admin_config.c: prill_config, the settings of the store and of its topics.
**
** Layer 5, sql.  Calls catalog and store; vtab_admin.c calls it through the
** description.
*/
#include "prillAdmin.h"

/**************************************************************************
** prill_config.
*/
enum { CONFIG_SCOPE, CONFIG_NAME, CONFIG_VALUE, CONFIG_SOURCE, CONFIG_SCHEMA, CONFIG_N };
static const AdminColumn adminConfigCol[CONFIG_N] = {
  {"scope", "TEXT", 0}, {"name", "TEXT", 0}, {"value", "TEXT", ADMIN_UPDATE},
  {"source", "TEXT", 0}, {"schema", "TEXT", ADMIN_HIDDEN},
};
enum { CONFIG_FLUSH, CONFIG_FLUSH_MS, CONFIG_PRODUCER_MS, CONFIG_OFFSETS_MS };        /* settings of scope store */

static void adminConfigRow(AdminCursor *c, i64 id, const char *zScope, const char *zName,
                           const char *zValue, const char *zSource){
  prillAdminRow(c);
  prillAdminText(c, CONFIG_SCOPE, zScope);
  prillAdminText(c, CONFIG_NAME, zName);
  prillAdminText(c, CONFIG_VALUE, zValue);
  prillAdminText(c, CONFIG_SOURCE, zSource);
  prillAdminInt(c, CONFIG_SCHEMA, id);
}

/* The store's settings.  scope= narrows c->zTopic to "topic:NAME" or "store";
** from here on it is the topic's bare name. */
static int adminFirstConfig(AdminCursor *c){
  PrillStore *p = c->pStore;
  int bStore = p->bExists;
  if( c->zTopic ){
    if( strcmp(c->zTopic, "store")!=0 ) bStore = 0;
    if( strncmp(c->zTopic, "topic:", 6)==0 ){
      memmove(c->zTopic, c->zTopic+6, strlen(c->zTopic+6)+1);
    }else{
      c->zTopic[0] = 0;                       /* no topic is named so */
    }
  }
  if( bStore ){
    int bOs = p->eFlush==PRILL_FLUSH_OS;
    adminConfigRow(c, CONFIG_FLUSH, "store", "flush", bOs ? "os" : "commit", bOs ? "store" : "default");
    adminConfigRow(c, CONFIG_FLUSH_MS, "store", "flush.ms", 0, p->msFlush>=0 ? "store" : "default");
    prillAdminTake(c, CONFIG_VALUE, sqlite3_mprintf("%lld", p->msFlush));
    adminConfigRow(c, CONFIG_PRODUCER_MS, "store", "producer.id.expiration.ms", 0,
                   p->msProducer!=PRILL_PRODUCER_MS ? "store" : "default");
    prillAdminTake(c, CONFIG_VALUE, sqlite3_mprintf("%lld", p->msProducer));
    adminConfigRow(c, CONFIG_OFFSETS_MS, "store", "offsets.retention.ms", 0,
                   p->msOffsets!=PRILL_OFFSETS_MS ? "store" : "default");
    prillAdminTake(c, CONFIG_VALUE, sqlite3_mprintf("%lld", p->msOffsets));
  }
  return c->rc;
}

static int adminFillConfig(AdminCursor *c, PrillTopic *p, PrillPart *pUnused, int *pbMore){
  PrillBuf buf = {0,0,0};
  char *zScope = sqlite3_mprintf("topic:%s", p->zName);
  int i;
  (void)pUnused; (void)pbMore;
  if( zScope==0 ) return SQLITE_NOMEM;
  for(i=0; prillConfigName(i) && c->rc==SQLITE_OK; i++){
    int bDefault = 1;
    prillConfigValue(&c->rc, &p->cfg, i, &buf, &bDefault);
    if( c->rc!=SQLITE_OK ) break;
    adminConfigRow(c, (i64)((u64)p->iTopic*256) + i, zScope, prillConfigName(i), (char*)buf.a,
                   bDefault ? "default" : "topic");
  }
  sqlite3_free(zScope);
  prillBufFree(&buf);
  return c->rc;
}

/* Change a setting of the store.  zVal NULL: back to its default. */
static int adminSetStore(PrillStore *p, int iSetting, const char *zVal, sqlite3_value *pVal){
  int bOs = zVal && sqlite3_stricmp(zVal, "os")==0;
  i64 ms = zVal ? sqlite3_value_int64(pVal) : -1;
  int rc;
  if( iSetting==CONFIG_FLUSH ){
    if( zVal && !bOs && sqlite3_stricmp(zVal, "commit")!=0 ){
      return prillError(p->pConn, SQLITE_ERROR, "flush=%s is not allowed; use commit or os", zVal);
    }
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_state SET flush=%d WHERE id=0", bOs);
  }else if( iSetting==CONFIG_FLUSH_MS ){
    if( zVal && (sqlite3_value_numeric_type(pVal)!=SQLITE_INTEGER || ms<-1) ){
      return prillError(p->pConn, SQLITE_ERROR, "flush.ms=%s is not allowed; use a number of milliseconds, or -1"
                        " for never", zVal);
    }
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_state SET flush_ms=nullif(%lld,-1) WHERE id=0", ms);
  }else{
    int bOffsets = iSetting==CONFIG_OFFSETS_MS;
    if( zVal && (sqlite3_value_numeric_type(pVal)!=SQLITE_INTEGER || ms<1) ){
      return prillError(p->pConn, SQLITE_ERROR, "%s=%s is not allowed; use a number of milliseconds from 1 up",
                        bOffsets ? "offsets.retention.ms" : "producer.id.expiration.ms", zVal);
    }
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_state SET %s=nullif(%lld,-1) WHERE id=0",
                        bOffsets ? "offsets_ms" : "producer_ms", ms);
  }
  return rc==SQLITE_OK ? prillStoreCatalogChanged(p) : rc;
}

/* Change a setting of a topic. */
static int adminSetTopic(PrillStore *p, PrillTopic *pTopic, int iSetting, const char *zVal){
  PrillConfig cfg = pTopic->cfg;
  PrillBuf buf = {0,0,0};
  char *zErr = 0;
  int rc = SQLITE_OK;
  if( zVal==0 ){
    PrillConfig def;
    int bDefault;
    prillConfigDefault(&def);
    prillConfigValue(&rc, &def, iSetting, &buf, &bDefault);
    zVal = (char*)buf.a;
  }
  if( rc==SQLITE_OK ) rc = prillConfigSet(&cfg, prillConfigName(iSetting), zVal, &zErr);
  if( zErr ) prillError(p->pConn, rc, "topic %s: %s", pTopic->zName, zErr);
  if( rc==SQLITE_OK ){
    char *zName = sqlite3_mprintf("%s", pTopic->zName);
    rc = zName ? prillCatalogAlter(p, zName, &cfg) : SQLITE_NOMEM;
    sqlite3_free(zName);
  }
  sqlite3_free(zErr);
  prillBufFree(&buf);
  return rc;
}

static int adminChangeConfig(AdminChange *h){
  PrillTopic *pTopic;
  sqlite3_value *pVal;
  const char *zVal;
  if( h->bInsert || h->bDelete ){
    return prillError(h->pStore->pConn, SQLITE_ERROR, "prill_config: the settings are fixed; UPDATE"
        " prill_config SET value=... changes one, SET value=NULL takes its default");
  }
  pVal = h->apVal[CONFIG_VALUE];
  if( sqlite3_value_nochange(pVal) ) return SQLITE_OK;
  zVal = (const char*)sqlite3_value_text(pVal);
  if( zVal==0 && sqlite3_value_type(pVal)!=SQLITE_NULL ) return SQLITE_NOMEM;
  if( h->id<256 ) return adminSetStore(h->pStore, (int)h->id, zVal, pVal);
  pTopic = prillAdminTopicById(h->pStore, h->id/256);
  return pTopic ? adminSetTopic(h->pStore, pTopic, (int)(h->id%256), zVal) : SQLITE_OK;
}

const AdminTable prillAdminConfig = {
  "prill_config", adminConfigCol, CONFIG_N, CONFIG_SCHEMA, CONFIG_SCOPE, -1, 0, 1000,
  adminFirstConfig, adminFillConfig, adminChangeConfig, "value is what UPDATE changes"
};
