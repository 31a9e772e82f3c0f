/*
** bench_floor.c: the contestant "floor", a virtual table that does nothing.
**
** What it costs is SQLite's own: no virtual table can be faster, so a goal
** beyond it cannot be met.  An INSERT is counted and forgotten, xSync dirties
** one page by an UPDATE of one row (what the smallest commit of a log must do),
** a SELECT makes up rows 0..n-1 with values of the pool.  It knows the plans of
** the rows of prill-bench and no others: "offset=?" and "timestamp>=?" are one
** row, ORDER BY offset DESC is the newest first.
*/
#include "bench.h"

#include <stdlib.h>
#include <string.h>

typedef struct Floor Floor;
typedef struct FloorCur FloorCur;
struct Floor {
  sqlite3_vtab base;
  sqlite3 *db;
  sqlite3_stmt *pUpdate;
  sqlite3_int64 nRow;
  int szVal;
};
struct FloorCur {
  sqlite3_vtab_cursor base;
  sqlite3_int64 i, iEnd, iStep;
};

static int floorConnect(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **pp, char **pz
){
  Floor *p = benchAlloc(sizeof(*p));
  (void)pAux; (void)argc; (void)argv; (void)pz;
  p->db = db;
  *pp = &p->base;
  sqlite3_exec(db, "CREATE TABLE IF NOT EXISTS floor_row(id INTEGER PRIMARY KEY, n INT, szval INT);"
                   "INSERT OR IGNORE INTO floor_row VALUES(0,0,0)", 0, 0, 0);
  sqlite3_prepare_v2(db, "SELECT n, szval FROM floor_row", -1, &p->pUpdate, 0);
  if( sqlite3_step(p->pUpdate)==SQLITE_ROW ){
    p->nRow = sqlite3_column_int64(p->pUpdate, 0);
    p->szVal = sqlite3_column_int(p->pUpdate, 1);
  }
  sqlite3_finalize(p->pUpdate);
  p->pUpdate = 0;
  return sqlite3_declare_vtab(db, "CREATE TABLE x(partition INTEGER NOT NULL, offset INTEGER NOT NULL,"
                                  " timestamp INTEGER, key TEXT, value TEXT, headers TEXT)");
}

static int floorDisconnect(sqlite3_vtab *pTab){
  sqlite3_finalize(((Floor*)pTab)->pUpdate);
  free(pTab);
  return SQLITE_OK;
}

static int floorBestIndex(sqlite3_vtab *pTab, sqlite3_index_info *pInfo){
  int i, n = 0;
  (void)pTab;
  for(i=0; i<pInfo->nConstraint; i++){
    if( !pInfo->aConstraint[i].usable || pInfo->aConstraint[i].iColumn>2 ) continue;
    if( pInfo->aConstraint[i].iColumn>0 ) pInfo->idxNum |= pInfo->aConstraint[i].iColumn;
    pInfo->aConstraintUsage[i].argvIndex = ++n;
    pInfo->aConstraintUsage[i].omit = 1;
  }
  if( pInfo->nOrderBy ){
    pInfo->orderByConsumed = 1;
    if( pInfo->aOrderBy[0].desc ) pInfo->idxNum |= 4;
  }
  pInfo->estimatedCost = 10;
  return SQLITE_OK;
}

static int floorOpen(sqlite3_vtab *pTab, sqlite3_vtab_cursor **pp){
  FloorCur *p = benchAlloc(sizeof(*p));
  (void)pTab;
  *pp = &p->base;
  return SQLITE_OK;
}
static int floorClose(sqlite3_vtab_cursor *p){
  free(p);
  return SQLITE_OK;
}
static int floorFilter(sqlite3_vtab_cursor *pCur, int idxNum, const char *z, int argc, sqlite3_value **argv){
  FloorCur *p = (FloorCur*)pCur;
  (void)z;
  p->i = 0;
  p->iEnd = ((Floor*)pCur->pVtab)->nRow;
  p->iStep = 1;
  if( idxNum & 3 ){
    p->i = argc>1 ? sqlite3_value_int64(argv[1]) : 0;
    if( idxNum & 2 ) p->i -= 1700000000000LL;
    p->iEnd = p->i+1;
  }else if( idxNum & 4 ){
    p->i = p->iEnd-1;
    p->iEnd = p->iStep = -1;
  }
  return SQLITE_OK;
}
static int floorNext(sqlite3_vtab_cursor *p){
  ((FloorCur*)p)->i += ((FloorCur*)p)->iStep;
  return SQLITE_OK;
}
static int floorEof(sqlite3_vtab_cursor *p){
  return ((FloorCur*)p)->i==((FloorCur*)p)->iEnd;
}
static int floorColumn(sqlite3_vtab_cursor *pCur, sqlite3_context *pCtx, int iCol){
  FloorCur *p = (FloorCur*)pCur;
  int szVal = ((Floor*)pCur->pVtab)->szVal;
  switch( iCol ){
    case 1: sqlite3_result_int64(pCtx, p->i); break;
    case 2: sqlite3_result_int64(pCtx, 1700000000000LL + p->i); break;
    case 4:
      if( bench.bBlob ){
        sqlite3_result_blob(pCtx, benchValue(szVal, p->i), szVal, SQLITE_TRANSIENT);
      }else{
        sqlite3_result_text(pCtx, benchValue(szVal, p->i), szVal, SQLITE_TRANSIENT);
      }
      break;
    default: break;
  }
  return SQLITE_OK;
}
static int floorRowid(sqlite3_vtab_cursor *pCur, sqlite3_int64 *pi){
  *pi = ((FloorCur*)pCur)->i;
  return SQLITE_OK;
}

static int floorUpdate(sqlite3_vtab *pTab, int argc, sqlite3_value **argv, sqlite3_int64 *pi){
  Floor *p = (Floor*)pTab;
  (void)argc;
  p->szVal = sqlite3_value_bytes(argv[6]);
  *pi = p->nRow++;
  return SQLITE_OK;
}
static int floorNothing(sqlite3_vtab *pTab){
  (void)pTab;
  return SQLITE_OK;
}
static int floorSync(sqlite3_vtab *pTab){
  Floor *p = (Floor*)pTab;
  if( p->pUpdate==0 ){
    int rc = sqlite3_prepare_v3(p->db, "UPDATE floor_row SET n=?1, szval=?2 WHERE id=0", -1,
                                SQLITE_PREPARE_PERSISTENT, &p->pUpdate, 0);
    if( rc!=SQLITE_OK ) return rc;
  }
  sqlite3_bind_int64(p->pUpdate, 1, p->nRow);
  sqlite3_bind_int(p->pUpdate, 2, p->szVal);
  sqlite3_step(p->pUpdate);
  return sqlite3_reset(p->pUpdate);
}

static const sqlite3_module floorModule = {
  .iVersion = 1,
  .xCreate = floorConnect, .xConnect = floorConnect, .xBestIndex = floorBestIndex,
  .xDisconnect = floorDisconnect, .xDestroy = floorDisconnect,
  .xOpen = floorOpen, .xClose = floorClose, .xFilter = floorFilter, .xNext = floorNext,
  .xEof = floorEof, .xColumn = floorColumn, .xRowid = floorRowid, .xUpdate = floorUpdate,
  .xBegin = floorNothing, .xSync = floorSync, .xCommit = floorNothing, .xRollback = floorNothing
};

int benchFloorInit(sqlite3 *db){
  return sqlite3_create_module(db, "floor", &floorModule, 0);
}
