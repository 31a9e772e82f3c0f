/*
** view.c: the store as the loop sees it, through a connection of its own.
**
** Reading waits for no writer: the database is in WAL mode, and records are
** read from the tail in memory and from bytes of segments that never change.
**
** The snapshot is held only between Begin and End, so that the WAL is never
** pinned by a request that waits.  Topics are found by hash; the tables are
** made anew when the catalog has changed.
*/
#include "prilld.h"

void prilldUuidText(const u8 *a, char zOut[23]){
  static const char zDigit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  int i;
  for(i=0; i<22; i++){
    int iBit = i*6;
    int w = (a[iBit/8]<<8) | (iBit/8<15 ? a[iBit/8+1] : 0);
    zOut[i] = zDigit[(w>>(10-iBit%8)) & 63];
  }
  zOut[22] = 0;
}

int prilldViewConnect(PrilldView *p, const char *zDb){
  int rc;
  memset(p, 0, sizeof(*p));
  rc = sqlite3_open_v2(zDb, &p->db, SQLITE_OPEN_READWRITE|SQLITE_OPEN_NOMUTEX, 0);
  if( rc==SQLITE_OK ) rc = prill_init(p->db);
  if( rc==SQLITE_OK ) rc = prillConnOf(p->db, &p->pConn);
  if( rc==SQLITE_OK ) rc = prillStoreGet(p->pConn, "main", &p->pStore);
  return rc;
}

int prilldViewOpen(PrilldView *p, const char *zDb){
  int rc = prilldViewConnect(p, zDb);
  if( rc==SQLITE_OK ) rc = prilldViewBegin(p);
  if( rc==SQLITE_OK ){
    prilldUuidText(p->pStore->aId, p->zCluster);
    prilldViewEnd(p);
  }
  return rc;
}

void prilldViewClose(PrilldView *p){
  if( p->pStore ) prillStorePut(p->pStore);
  sqlite3_close(p->db);
  sqlite3_free(p->apName);
  sqlite3_free(p->apUuid);
  memset(p, 0, sizeof(*p));
}

static u32 viewHash(const void *a, i64 n){
  return prillMurmur2(a, n);
}

/* Fill the hash tables from the catalog's list. */
static int viewIndex(PrilldView *p){
  PrillTopic *pTopic;
  int n = 0, nHash = 16;
  for(pTopic=p->pStore->pTopics; pTopic; pTopic=pTopic->pNext) n++;
  while( nHash<2*n ) nHash *= 2;
  sqlite3_free(p->apName);
  sqlite3_free(p->apUuid);
  p->apName = (PrillTopic**)sqlite3_malloc64(sizeof(PrillTopic*)*(u64)nHash);
  p->apUuid = (PrillTopic**)sqlite3_malloc64(sizeof(PrillTopic*)*(u64)nHash);
  p->nHash = 0;
  if( p->apName==0 || p->apUuid==0 ) return SQLITE_NOMEM;
  memset(p->apName, 0, sizeof(PrillTopic*)*(size_t)nHash);
  memset(p->apUuid, 0, sizeof(PrillTopic*)*(size_t)nHash);
  p->nHash = nHash;
  for(pTopic=p->pStore->pTopics; pTopic; pTopic=pTopic->pNext){
    u32 h = viewHash(pTopic->zName, (i64)strlen(pTopic->zName));
    while( p->apName[h & (u32)(nHash-1)] ) h++;
    p->apName[h & (u32)(nHash-1)] = pTopic;
    h = viewHash(pTopic->aUuid, 16);
    while( p->apUuid[h & (u32)(nHash-1)] ) h++;
    p->apUuid[h & (u32)(nHash-1)] = pTopic;
  }
  p->iCatalog = p->pStore->iCatalog;
  return SQLITE_OK;
}

int prilldViewBegin(PrilldView *p){
  PrillTopic *pOld = p->pStore->pTopics;
  int rc;
  if( p->nHold++>0 ) return SQLITE_OK;
  p->bStale = 0;
  rc = prillStoreRefresh(p->pStore);
  if( rc==SQLITE_OK && (p->nHash==0 || p->iCatalog!=p->pStore->iCatalog || pOld!=p->pStore->pTopics) ){
    rc = viewIndex(p);
  }
  if( rc!=SQLITE_OK ){
    prilldLog(PRILLD_LOG_ERROR, "cannot read %s: %s", p->pStore->zDb,
              p->pConn->zErr ? p->pConn->zErr : sqlite3_errstr(rc));
    p->nHash = 0;                       /* what they point at may be gone */
    prilldViewEnd(p);
  }
  return rc;
}

void prilldViewEnd(PrilldView *p){
  if( --p->nHold==0 ) prillStoreLetGo(p->pStore);
}

PrillTopic *prilldViewTopic(PrilldView *p, const char *z, i64 n){
  u32 h = viewHash(z, n);
  PrillTopic *pTopic;
  if( p->nHash==0 || n<0 ) return 0;
  while( (pTopic = p->apName[h & (u32)(p->nHash-1)])!=0 ){
    if( (i64)strlen(pTopic->zName)==n && memcmp(pTopic->zName, z, (size_t)n)==0 ) break;
    h++;
  }
  return pTopic;
}

PrillTopic *prilldViewUuid(PrilldView *p, const u8 *aUuid){
  u32 h = viewHash(aUuid, 16);
  PrillTopic *pTopic;
  if( p->nHash==0 ) return 0;
  while( (pTopic = p->apUuid[h & (u32)(p->nHash-1)])!=0 ){
    if( memcmp(pTopic->aUuid, aUuid, 16)==0 ) break;
    h++;
  }
  return pTopic;
}

PrillPart *prilldViewPart(PrilldView *p, const char *z, i64 n, i64 iPart){
  PrillTopic *pTopic = prilldViewTopic(p, z, n);
  if( pTopic==0 || iPart<0 || iPart>=pTopic->nPart ) return 0;
  return prillPartLoad(pTopic->apPart[iPart])==SQLITE_OK ? pTopic->apPart[iPart] : 0;
}
