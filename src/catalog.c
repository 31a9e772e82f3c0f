/*
** catalog.c: topics and partitions, as rows of the store's tables and as the
** cached PrillTopic and PrillPart.
**
** May call: base, codec, and store/part beside it.
**
**   I1  A partition's number in the store (pid) is never used twice: frames of
**       the ring may still name a dropped one.
**   I2  A cached PrillPart keeps its identity across a reload as long as its
**       pid is in the catalog: the stage and open cursors point at it.
**   I3  A topic that leaves the catalog is marked bGone and lives on until the
**       last cursor or door lets go.
*/
#include "prillInt.h"
#include <stdlib.h>

#define CATALOG_MX_PART 100000

static void catalogFreeTopic(PrillTopic *p){
  int i;
  for(i=0; i<p->nPart; i++){
    if( p->apPart[i] && p->apPart[i]->pTopic==p ) p->apPart[i]->pTopic = 0;
    prillPartUnref(p->apPart[i]);
  }
  sqlite3_free(p->apPart);
  sqlite3_free(p->zName);
  sqlite3_free(p->zDoor);
  sqlite3_free(p);
}

void prillTopicUnref(PrillTopic *p){
  if( p && --p->nRef==0 ) catalogFreeTopic(p);
}

void prillCatalogFree(PrillStore *p){
  while( p->pTopics ){
    PrillTopic *pTopic = p->pTopics;
    p->pTopics = pTopic->pNext;
    pTopic->pNext = 0;
    pTopic->bGone = 1;
    prillTopicUnref(pTopic);
  }
  if( p->nBucket ) memset(p->apPart, 0, sizeof(p->apPart[0])*(size_t)p->nBucket);
  p->nPart = 0;
}

/* Read a configuration column's JSON into *pCfg. */
static int catalogConfig(PrillStore *p, const char *zTopic, const char *zJson, PrillConfig *pCfg){
  sqlite3_stmt *pStmt = 0;
  char *zErr = 0;
  int rc;
  prillConfigDefault(pCfg);
  if( zJson==0 || strcmp(zJson, "{}")==0 ) return SQLITE_OK;
  rc = sqlite3_prepare_v2(p->pConn->db, "SELECT key, atom FROM json_each(?1)", -1, &pStmt, 0);
  if( rc==SQLITE_OK ) sqlite3_bind_text(pStmt, 1, zJson, -1, SQLITE_TRANSIENT);
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    const char *zKey = (const char*)sqlite3_column_text(pStmt, 0);
    const char *zVal = (const char*)sqlite3_column_text(pStmt, 1);
    if( zKey==0 || zVal==0 ) continue;
    rc = prillConfigSet(pCfg, zKey, zVal, &zErr);
  }
  if( rc==SQLITE_OK ){
    rc = sqlite3_finalize(pStmt);
  }else{
    sqlite3_finalize(pStmt);
  }
  if( rc!=SQLITE_OK && rc!=SQLITE_NOMEM ){
    rc = prillError(p->pConn, rc, "topic %s: its stored configuration is damaged: %s", zTopic,
                    zErr ? zErr : "not JSON");
  }
  sqlite3_free(zErr);
  return rc;
}

/* A topic from a row of STMT_TOPICS. */
static int catalogReadTopic(PrillStore *p, sqlite3_stmt *pStmt, PrillTopic **pp){
  const char *zName = (const char*)sqlite3_column_text(pStmt, 1);
  const char *zDoor = (const char*)sqlite3_column_text(pStmt, 3);
  i64 nPart = sqlite3_column_int64(pStmt, 4);
  PrillTopic *pTopic;
  int rc;
  *pp = 0;
  if( zName==0 || !prillTopicName(zName) || sqlite3_column_bytes(pStmt, 2)!=16
   || nPart<1 || nPart>CATALOG_MX_PART ){
    return prillError(p->pConn, PRILL_CORRUPT, "store \"%s\": the row of topic %s is damaged; restore"
                      " the database from a backup", p->zSchema, zName ? zName : "(null)");
  }
  pTopic = (PrillTopic*)sqlite3_malloc64(sizeof(*pTopic));
  if( pTopic==0 ) return SQLITE_NOMEM;
  memset(pTopic, 0, sizeof(*pTopic));
  pTopic->nRef = 1;
  pTopic->pStore = p;
  pTopic->iTopic = sqlite3_column_int64(pStmt, 0);
  memcpy(pTopic->aUuid, sqlite3_column_blob(pStmt, 2), 16);
  pTopic->zName = sqlite3_mprintf("%s", zName);
  if( zDoor ) pTopic->zDoor = sqlite3_mprintf("%s", zDoor);
  pTopic->apPart = (PrillPart**)sqlite3_malloc64(sizeof(PrillPart*)*(u64)nPart);
  if( pTopic->zName==0 || (zDoor && pTopic->zDoor==0) || pTopic->apPart==0 ){
    catalogFreeTopic(pTopic);
    return SQLITE_NOMEM;
  }
  pTopic->nPart = (int)nPart;
  memset(pTopic->apPart, 0, sizeof(PrillPart*)*(size_t)nPart);
  rc = catalogConfig(p, zName, (const char*)sqlite3_column_text(pStmt, 5), &pTopic->cfg);
  if( rc!=SQLITE_OK ){
    catalogFreeTopic(pTopic);
    return rc;
  }
  *pp = pTopic;
  return SQLITE_OK;
}

/* All topics, with empty partition arrays, into *ppList. */
static int catalogReadTopics(PrillStore *p, PrillTopic **ppList){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(p, STMT_TOPICS, &rc);
  PrillTopic **ppEnd = ppList;
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    PrillTopic *pTopic = 0;
    rc = catalogReadTopic(p, pStmt, &pTopic);
    if( rc==SQLITE_OK ){
      *ppEnd = pTopic;
      ppEnd = &pTopic->pNext;
    }
  }
  if( pStmt ) prillStoreDone(p, pStmt, &rc);
  return rc;
}

static int catalogCompare(const void *a, const void *b){
  const PrillTopic *pA = *(PrillTopic *const*)a, *pB = *(PrillTopic *const*)b;
  return pA->iTopic<pB->iTopic ? -1 : pA->iTopic>pB->iTopic;
}

/* The topics of a list by their number, so that ten thousand are no more work
** each than ten. */
typedef struct CatalogIds CatalogIds;
struct CatalogIds {
  PrillTopic **ap;
  int n;
};

static int catalogIds(PrillTopic *pList, CatalogIds *pIds){
  PrillTopic *pTopic;
  int n = 0;
  for(pTopic=pList; pTopic; pTopic=pTopic->pNext) n++;
  pIds->ap = (PrillTopic**)sqlite3_malloc64(sizeof(PrillTopic*)*(u64)(n+1));
  if( pIds->ap==0 ) return SQLITE_NOMEM;
  for(pTopic=pList; pTopic; pTopic=pTopic->pNext) pIds->ap[pIds->n++] = pTopic;
  qsort((void*)pIds->ap, (size_t)n, sizeof(PrillTopic*), catalogCompare);
  return SQLITE_OK;
}

static PrillTopic *catalogById(const CatalogIds *pIds, i64 iTopic){
  int iLo = 0, iHi = pIds->n;
  while( iLo<iHi ){
    int iMid = iLo + (iHi-iLo)/2;
    if( pIds->ap[iMid]->iTopic<iTopic ) iLo = iMid+1; else iHi = iMid;
  }
  return iLo<pIds->n && pIds->ap[iLo]->iTopic==iTopic ? pIds->ap[iLo] : 0;
}

/* Size the pid hash for nPart partitions and empty it. */
static int catalogHash(PrillStore *p, int nPart){
  if( nPart>p->nBucket ){
    int nBucket = nPart*2 + 16;
    PrillPart **ap = (PrillPart**)sqlite3_malloc64(sizeof(*ap)*(u64)nBucket);
    if( ap==0 ) return SQLITE_NOMEM;
    sqlite3_free(p->apPart);
    p->apPart = ap;
    p->nBucket = nBucket;
  }
  if( p->nBucket ) memset(p->apPart, 0, sizeof(p->apPart[0])*(size_t)p->nBucket);
  return SQLITE_OK;
}

/* Read the partition rows and hang one PrillPart each into the topics of
** pIds: the one that has the pid already (I2), else a new one. */
static int catalogReadParts(PrillStore *p, const CatalogIds *pIds, int *pnPart){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(p, STMT_PARTS, &rc);
  *pnPart = 0;
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    i64 iPid = sqlite3_column_int64(pStmt, 0);
    i64 iPart = sqlite3_column_int64(pStmt, 2);
    PrillTopic *pTopic = catalogById(pIds, sqlite3_column_int64(pStmt, 1));
    PrillPart *pPart;
    if( pTopic==0 || iPart<0 || iPart>=pTopic->nPart || pTopic->apPart[iPart] || iPid<1 || iPid>0x7fffffff ){
      rc = prillError(p->pConn, PRILL_CORRUPT, "store \"%s\": partition row %lld belongs to no topic;"
                      " restore the database from a backup", p->zSchema, iPid);
      break;
    }
    pPart = prillPartNew(pTopic, (int)iPid, (int)iPart);
    if( pPart==0 ){
      rc = SQLITE_NOMEM;
      break;
    }
    pTopic->apPart[iPart] = pPart;
    (*pnPart)++;
  }
  if( pStmt ) prillStoreDone(p, pStmt, &rc);
  return rc;
}

/* Put pKeep in the place of the new partition of the same pid (I2).  The id
** is compared too: a pid comes back when the transaction that took it is
** rolled back. */
static void catalogKeep(PrillTopic *pTopic, PrillPart *pKeep, int bStale){
  PrillPart *pNew = pTopic->apPart[pKeep->iPart];
  if( pNew==pKeep || pNew->iPid!=pKeep->iPid || memcmp(pNew->aUuid, pKeep->aUuid, 16)!=0 ) return;
  pTopic->apPart[pKeep->iPart] = pKeep;
  pKeep->nRef++;
  pKeep->pTopic = pTopic;
  if( bStale ) pKeep->iSeen = -1;
  prillPartUnref(pNew);
}

/* Exchange each new partition for the one of the same pid that the old cache
** or the open transaction has (I2), and put all into the hash. */
static void catalogAdopt(PrillStore *p, PrillTopic *pList, const CatalogIds *pIds, PrillTopic *pOld){
  int bStale = p->pStage==0 || !p->pStage->bRows;
  PrillTopic *pTopic;
  PrillWrite *pW;
  int i;
  for(; pOld; pOld=pOld->pNext){
    pTopic = catalogById(pIds, pOld->iTopic);
    for(i=0; pTopic && i<pTopic->nPart && i<pOld->nPart; i++){
      catalogKeep(pTopic, pOld->apPart[i], bStale);
    }
  }
  for(pOld=(p->pStage ? p->pStage->pOld : 0); pOld; pOld=pOld->pNext){
    pTopic = catalogById(pIds, pOld->iTopic);
    for(i=0; pTopic && i<pTopic->nPart && i<pOld->nPart; i++) catalogKeep(pTopic, pOld->apPart[i], bStale);
  }
  for(pW=(p->pStage ? p->pStage->pWrites : 0); pW; pW=pW->pNext){
    for(pTopic=pList; pTopic; pTopic=pTopic->pNext){
      if( pW->pPart->iPart<pTopic->nPart ) catalogKeep(pTopic, pW->pPart, bStale);
    }
  }
  for(pTopic=pList; pTopic; pTopic=pTopic->pNext){
    for(i=0; i<pTopic->nPart; i++){
      PrillPart **ppB = &p->apPart[pTopic->apPart[i]->iPid % p->nBucket];
      pTopic->apPart[i]->pHash = *ppB;
      *ppB = pTopic->apPart[i];
    }
  }
}

/* Load topics and partitions from the snapshot (or, in a transaction that
** changed them, from what it sees).  On error the old cache stands. */
int prillCatalogLoad(PrillStore *p){
  PrillTopic *pList = 0, *pOld, *pTopic;
  CatalogIds ids = {0, 0};
  int nPart = 0, i;
  int rc;
  if( p->pStage==0 || !p->pStage->bRows ) prillTailReset(p);
  rc = catalogReadTopics(p, &pList);
  if( rc==SQLITE_OK ) rc = catalogIds(pList, &ids);
  if( rc==SQLITE_OK ) rc = catalogReadParts(p, &ids, &nPart);
  for(pTopic=pList; rc==SQLITE_OK && pTopic; pTopic=pTopic->pNext){
    for(i=0; i<pTopic->nPart && pTopic->apPart[i]; i++){}
    if( i<pTopic->nPart ){
      rc = prillError(p->pConn, PRILL_CORRUPT, "topic %s: the row of partition %d is missing; restore"
                      " the database from a backup", pTopic->zName, i);
    }
  }
  if( rc==SQLITE_OK ) rc = catalogHash(p, nPart);
  if( rc!=SQLITE_OK ){
    while( (pTopic = pList)!=0 ){
      pList = pTopic->pNext;
      catalogFreeTopic(pTopic);
    }
    sqlite3_free(ids.ap);
    return rc;
  }
  pOld = p->pTopics;
  catalogAdopt(p, pList, &ids, pOld);
  sqlite3_free(ids.ap);
  p->pTopics = pList;
  p->nPart = nPart;
  while( (pTopic = pOld)!=0 ){
    pOld = pTopic->pNext;
    pTopic->pNext = 0;
    pTopic->bGone = 1;
    if( p->pStage && p->pStage->bRows ){
      pTopic->pNext = p->pStage->pOld;
      p->pStage->pOld = pTopic;
    }else{
      prillTopicUnref(pTopic);
    }
  }
  return SQLITE_OK;
}

/**************************************************************************
** Changes.
*/
static int catalogFind(PrillStore *p, const char *zName, PrillTopic **pp){
  int rc = prillStoreRefresh(p);
  *pp = 0;
  if( rc!=SQLITE_OK ) return rc;
  *pp = prillStoreTopic(p, zName);
  if( *pp==0 ){
    return prillError(p->pConn, SQLITE_ERROR, "no such topic: %s; SELECT name FROM prill_topics"
                      " lists them", zName);
  }
  return SQLITE_OK;
}

/* Insert rows for partitions iFrom..nPart-1 of a topic. */
static int catalogPutParts(PrillStore *p, i64 iTopic, int iFrom, int nPart){
  return prillStoreExec(p,
    "WITH RECURSIVE c(i) AS (SELECT %d UNION ALL SELECT i+1 FROM c WHERE i+1<%d)"
    " INSERT INTO \"%w\".prill_store_part SELECT"
    " (SELECT next_pid FROM \"%w\".prill_store_state)+i-%d, %lld, i,"
    " 0,0,-1,0,0,0,0,0,-1,0,0,0,0,0,0 FROM c;"
    "UPDATE \"%w\".prill_store_state SET next_pid=next_pid+%d",
    iFrom, nPart, iFrom, iTopic, nPart-iFrom);
}

static int catalogCheckName(PrillStore *p, const char *zName){
  PrillTopic *pTopic;
  if( !prillTopicName(zName) ){
    return prillError(p->pConn, SQLITE_ERROR, "bad topic name '%s': use 1 to 249 of the characters"
                      " a-z A-Z 0-9 . _ - and neither . nor ..", zName);
  }
  for(pTopic=p->pTopics; pTopic; pTopic=pTopic->pNext){
    const char *a = pTopic->zName, *b = zName;
    while( *a && (*a==*b || ((*a=='.' || *a=='_') && (*b=='.' || *b=='_'))) ){ a++; b++; }
    if( *a==0 && *b==0 ){
      return prillError(p->pConn, SQLITE_ERROR, strcmp(pTopic->zName, zName)==0
          ? "topic %s exists already; open it with USING topic(topic='%s') or choose another name"
          : "topic %s exists and differs from '%s' only in . and _, which Kafka's metrics confuse;"
            " choose another name", pTopic->zName, zName);
    }
  }
  return SQLITE_OK;
}

int prillCatalogCheckFunc(PrillStore *p, const char *zFunc){
  sqlite3_stmt *pStmt = 0;
  int bFound = 0, bOk = 0;
  int rc = sqlite3_prepare_v2(p->pConn->db, "SELECT flags FROM pragma_function_list"
                              " WHERE name=lower(?1) AND narg IN (3,-1) AND type='s'", -1, &pStmt, 0);
  if( rc==SQLITE_OK ) sqlite3_bind_text(pStmt, 1, zFunc, -1, SQLITE_TRANSIENT);
  while( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ){
    bFound = 1;
    if( sqlite3_column_int(pStmt, 0) & SQLITE_INNOCUOUS ) bOk = 1;
  }
  if( rc==SQLITE_OK ) rc = sqlite3_finalize(pStmt);
  if( rc!=SQLITE_OK || bOk ) return rc;
  return prillError(p->pConn, SQLITE_ERROR, bFound
      ? "partitioner %s is an SQL function without SQLITE_INNOCUOUS; register it with that flag"
      : "no partitioner %s: use murmur2, crc32, round_robin, consistent_hash or an SQL function of"
        " (key, value, partitions) flagged SQLITE_INNOCUOUS", zFunc);
}

int prillCatalogCreate(
  PrillStore *p,
  const char *zName,
  int nPart,
  const PrillConfig *pCfg,
  const char *zDoor,        /* table that makes it, or NULL */
  PrillTopic **pp           /* OUT: the topic, borrowed; may be NULL */
){
  PrillBuf cfg = {0,0,0};
  u8 aUuid[16];
  char zUuid[33];
  i64 iTopic = 0;
  sqlite3_stmt *pStmt = 0;
  int rc = prillStoreRefresh(p);
  if( rc==SQLITE_OK ) rc = catalogCheckName(p, zName);
  if( rc==SQLITE_OK && (nPart<1 || nPart>CATALOG_MX_PART) ){
    rc = prillError(p->pConn, SQLITE_ERROR, "topic %s: partitions=%d is out of range; use 1 to %d",
                    zName, nPart, CATALOG_MX_PART);
  }
  if( rc==SQLITE_OK && pCfg->ePartitioner==PRILL_SQLFUNC ) rc = prillCatalogCheckFunc(p, pCfg->zFunc);
  prillConfigToJson(&rc, pCfg, &cfg);
  prillBufAppend(&rc, &cfg, "", 1);
  if( rc==SQLITE_OK ) rc = prillStorePrepare(p, &pStmt, "SELECT next_topic FROM \"%w\".prill_store_state");
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) iTopic = sqlite3_column_int64(pStmt, 0);
  sqlite3_finalize(pStmt);
  if( rc==SQLITE_OK && iTopic<1 ){
    rc = prillError(p->pConn, PRILL_CORRUPT, "store \"%s\": its next topic's number cannot be read; restore"
                    " the database from a backup", p->zSchema);
  }
  p->pVfs->xRandomness(p->pVfs, 16, (char*)aUuid);
  aUuid[6] = (u8)((aUuid[6]&0x0f)|0x40);             /* RFC 4122, version 4 */
  aUuid[8] = (u8)((aUuid[8]&0x3f)|0x80);
  prillHex(aUuid, 16, zUuid);
  if( rc==SQLITE_OK ){
    rc = prillStoreExec(p, "INSERT INTO \"%w\".prill_store_topic VALUES(%lld,%Q,x'%s',%Q,%d,%Q);"
                           "UPDATE \"%w\".prill_store_state SET next_topic=next_topic+1",
                        iTopic, zName, zUuid, zDoor, nPart, (char*)cfg.a);
  }
  if( rc==SQLITE_OK ) rc = catalogPutParts(p, iTopic, 0, nPart);
  if( rc==SQLITE_OK ) rc = prillStoreCatalogChanged(p);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(p);
  if( rc==SQLITE_OK && pp ) *pp = prillStoreTopic(p, zName);
  prillBufFree(&cfg);
  return rc;
}

/* The files of one partition, into the trash table; its directory last. */
static int catalogTrashPart(PrillPart *pPart){
  int i;
  int rc = prillPartSegs(pPart);
  if( rc!=SQLITE_OK || pPart->x.iSegVer==0 ) return rc;
  for(i=0; rc==SQLITE_OK && i<pPart->nSeg; i++) rc = prillTrimTrash(pPart, pPart->aSeg[i].iBase, pPart->aSeg[i].iGen);
  return rc==SQLITE_OK ? prillTrimTrash(pPart, -1, 0) : rc;
}

int prillCatalogDrop(PrillStore *p, const char *zName){
  i64 iRowid = sqlite3_last_insert_rowid(p->pConn->db);
  PrillTopic *pTopic;
  i64 iTopic;
  int i;
  int rc = catalogFind(p, zName, &pTopic);
  if( rc!=SQLITE_OK ) return rc;
  iTopic = pTopic->iTopic;
  for(i=0; rc==SQLITE_OK && i<pTopic->nPart; i++){
    rc = prillPartLoad(pTopic->apPart[i]);
    if( rc==SQLITE_OK ) rc = catalogTrashPart(pTopic->apPart[i]);
  }
  if( rc==SQLITE_OK ){
    rc = prillStoreExec(p,
      "DELETE FROM \"%w\".prill_store_segment WHERE pid IN (SELECT pid FROM \"%w\".prill_store_part WHERE topic=%lld);"
      "DELETE FROM \"%w\".prill_store_index WHERE pid IN (SELECT pid FROM \"%w\".prill_store_part WHERE topic=%lld);"
      "DELETE FROM \"%w\".prill_store_gap WHERE pid IN (SELECT pid FROM \"%w\".prill_store_part WHERE topic=%lld);"
      "DELETE FROM \"%w\".prill_store_key WHERE pid IN (SELECT pid FROM \"%w\".prill_store_part WHERE topic=%lld);"
      "DELETE FROM \"%w\".prill_store_offset WHERE pid IN (SELECT pid FROM \"%w\".prill_store_part WHERE topic=%lld);"
      "DELETE FROM \"%w\".prill_store_share WHERE pid IN (SELECT pid FROM \"%w\".prill_store_part WHERE topic=%lld);"
      "DELETE FROM \"%w\".prill_store_part WHERE topic=%lld;"
      "DELETE FROM \"%w\".prill_store_topic WHERE id=%lld", iTopic, iTopic, iTopic, iTopic, iTopic, iTopic,
      iTopic, iTopic);
  }
  if( rc==SQLITE_OK ) rc = prillStoreCatalogChanged(p);
  sqlite3_set_last_insert_rowid(p->pConn->db, iRowid);
  return rc;
}

int prillCatalogRename(PrillStore *p, const char *zOld, const char *zNew){
  PrillTopic *pTopic;
  int rc = catalogFind(p, zOld, &pTopic);
  if( rc==SQLITE_OK && strcmp(zOld, zNew)==0 ) return SQLITE_OK;
  if( rc==SQLITE_OK ) rc = catalogCheckName(p, zNew);
  if( rc==SQLITE_OK ){
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_topic SET name=%Q WHERE id=%lld", zNew, pTopic->iTopic);
  }
  if( rc==SQLITE_OK ) rc = prillStoreCatalogChanged(p);
  return rc;
}

int prillCatalogSetDoor(PrillStore *p, const char *zName, const char *zDoor){
  PrillTopic *pTopic;
  int rc = catalogFind(p, zName, &pTopic);
  if( rc==SQLITE_OK ){
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_topic SET door=%Q WHERE id=%lld", zDoor, pTopic->iTopic);
  }
  if( rc==SQLITE_OK ) rc = prillStoreCatalogChanged(p);
  return rc;
}

int prillCatalogAlter(PrillStore *p, const char *zName, const PrillConfig *pCfg){
  PrillTopic *pTopic;
  PrillBuf cfg = {0,0,0};
  int rc = catalogFind(p, zName, &pTopic);
  if( rc==SQLITE_OK && pCfg->ePartitioner==PRILL_SQLFUNC ) rc = prillCatalogCheckFunc(p, pCfg->zFunc);
  prillConfigToJson(&rc, pCfg, &cfg);
  prillBufAppend(&rc, &cfg, "", 1);
  if( rc==SQLITE_OK ){
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_topic SET config=%Q WHERE id=%lld",
                        (char*)cfg.a, pTopic->iTopic);
  }
  if( rc==SQLITE_OK ) rc = prillStoreCatalogChanged(p);
  prillBufFree(&cfg);
  return rc;
}

int prillCatalogAddPartitions(PrillStore *p, const char *zName, int nPart){
  PrillTopic *pTopic;
  int rc = catalogFind(p, zName, &pTopic);
  if( rc!=SQLITE_OK ) return rc;
  if( nPart<pTopic->nPart ){
    return prillError(p->pConn, SQLITE_ERROR, "topic %s has %d partitions: partitions can be added, never"
        " removed, since their records would be lost; make a new topic", zName, pTopic->nPart);
  }
  if( nPart>CATALOG_MX_PART ){
    return prillError(p->pConn, SQLITE_ERROR, "topic %s: partitions=%d is out of range; use 1 to %d",
                      zName, nPart, CATALOG_MX_PART);
  }
  if( nPart==pTopic->nPart ) return SQLITE_OK;
  rc = catalogPutParts(p, pTopic->iTopic, pTopic->nPart, nPart);
  if( rc==SQLITE_OK ){
    rc = prillStoreExec(p, "UPDATE \"%w\".prill_store_topic SET partitions=%d WHERE id=%lld",
                        nPart, pTopic->iTopic);
  }
  if( rc==SQLITE_OK ) rc = prillStoreCatalogChanged(p);
  return rc;
}
