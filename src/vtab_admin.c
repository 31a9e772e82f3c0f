/*
** vtab_admin.c: administration as tables: prill_topics, prill_partitions and
** their like.
**
** Layer 5, sql.  Calls store; the tables' own files are admin_*.c.
**
** Each table is a description, AdminTable (prillAdmin.h): its columns, a function that makes
** the rows of one topic or one partition, a function that applies a change.
** Cursor, planning, transaction and the checks that columns ask for are written
** once, for all of them.
**
** THE SCHEMA.  The tables are eponymous: SQLite does not tell which database
** "aux1.prill_topics" meant.  So each has a hidden column "schema", by default
** main, to be given as WHERE schema='aux1', as an argument prill_topics('aux1')
** or in an INSERT's column list.
**
** ROWIDS.  DELETE and UPDATE bring back nothing but a rowid, so it says all:
**
**     bits 48..62   the schema's place in AdminVtab.azSchema
**     bits 0..47    prill_topics: the topic's row id
**                   prill_partitions: the partition's number in the store
**                   prill_config: topic's row id*256 + setting; topic 0 is
**                   the store
**                   prill_groups, _members, _offsets: places of names in
**                   AdminVtab.azName (admin_group.c)
**                   the others: a count of rows
**
** TRANSACTIONS.  xBegin comes before a change has named its schema, and one
** statement may change several.  A table joins a store at the first change
** there (adminJoin) and passes SQLite's calls on to all stores it has joined
** until COMMIT or ROLLBACK.
**
** ROWS.  A cursor makes the rows of one topic (one partition, one batch) at a
** time and copies what it shows, so that nothing dangles when the connection
** changes the catalog meanwhile.  Topics are those there were at xFilter,
** found again by row id; one that is gone is passed over.
**
** Crash story: every change is rows of the store's tables, in the caller's
** transaction.
*/
#include "prillAdmin.h"

/**************************************************************************
** Rows.
*/
#define adminTableOf(c) (((AdminVtab*)(c)->base.pVtab)->pTable)

static void adminClearRows(AdminCursor *c){
  int i, n = c->nRow*adminTableOf(c)->nCol;
  for(i=0; i<n; i++) sqlite3_free(c->aCell[i].z);
  c->nRow = c->iRow = 0;
}

/* Begin a row; its cells are NULL. */
void prillAdminRow(AdminCursor *c){
  int nCol = adminTableOf(c)->nCol;
  int n = c->nRow*nCol, i;
  if( c->rc!=SQLITE_OK ) return;
  if( n+nCol>c->nCellAlloc ){
    int nAlloc = c->nCellAlloc*2 + nCol*8;
    AdminCell *a = (AdminCell*)sqlite3_realloc64(c->aCell, sizeof(*a)*(u64)nAlloc);
    if( a==0 ){
      c->rc = SQLITE_NOMEM;
      return;
    }
    c->aCell = a;
    c->nCellAlloc = nAlloc;
  }
  memset(&c->aCell[n], 0, sizeof(AdminCell)*(size_t)nCol);
  for(i=0; i<nCol; i++) c->aCell[n+i].eType = SQLITE_NULL;
  c->nRow++;
}

/* Cell iCol of the row begun last, or NULL after an error. */
AdminCell *prillAdminCell(AdminCursor *c, int iCol, int eType){
  AdminCell *p;
  if( c->rc!=SQLITE_OK ) return 0;
  p = &c->aCell[(c->nRow-1)*adminTableOf(c)->nCol + iCol];
  p->eType = eType;
  return p;
}

void prillAdminInt(AdminCursor *c, int iCol, i64 v){
  AdminCell *p = prillAdminCell(c, iCol, SQLITE_INTEGER);
  if( p ) p->i = v;
}

/* Columns iCol, iCol+1, ... */
void prillAdminInts(AdminCursor *c, int iCol, int n, const i64 *a){
  int i;
  for(i=0; i<n; i++) prillAdminInt(c, iCol+i, a[i]);
}

/* Text made by sqlite3_mprintf, which the row takes; NULL is out of memory. */
void prillAdminTake(AdminCursor *c, int iCol, char *z){
  AdminCell *p = prillAdminCell(c, iCol, SQLITE_TEXT);
  if( p==0 ){
    sqlite3_free(z);
  }else if( z==0 ){
    p->eType = SQLITE_NULL;
    c->rc = SQLITE_NOMEM;
  }else{
    p->z = z;
  }
}

void prillAdminText(AdminCursor *c, int iCol, const char *z){
  if( z ) prillAdminTake(c, iCol, sqlite3_mprintf("%s", z));
}

/* The topic with a row id, or NULL. */
PrillTopic *prillAdminTopicById(PrillStore *p, i64 iTopic){
  PrillTopic *pTopic = p->pTopics;
  while( pTopic && pTopic->iTopic!=iTopic ) pTopic = pTopic->pNext;
  return pTopic;
}

/**************************************************************************
** The tables.
*/
static const AdminTable *const adminTables[] = {
  &prillAdminTopics, &prillAdminParts, &prillAdminSegs,
  &prillAdminBatches, &prillAdminConfig, &prillAdminGroups, &prillAdminMembers, &prillAdminOffsets
};
#define ADMIN_N ((int)(sizeof(adminTables)/sizeof(adminTables[0])))

/* What a module's functions are told. */
typedef struct AdminAux {
  PrillConn *pConn;
  const AdminTable *pTable;
} AdminAux;

/**************************************************************************
** Connecting and planning.
*/
static int adminConnect(
  sqlite3 *db, void *pAux, int argc, const char *const *argv, sqlite3_vtab **ppVtab, char **pzErr
){
  const AdminAux *pArg = (const AdminAux*)pAux;
  const AdminTable *pTable = pArg->pTable;
  PrillBuf sql = {0,0,0};
  AdminVtab *p;
  int i;
  int rc = SQLITE_OK;
  (void)argc; (void)argv; (void)pzErr;
  for(i=0; i<pTable->nCol; i++){
    const AdminColumn *pCol = &pTable->aCol[i];
    prillBufPrintf(&rc, &sql, "%s\"%s\" %s%s", i ? "," : "CREATE TABLE x(", pCol->zName,
                   pCol->zType, (pCol->m & ADMIN_HIDDEN) ? " HIDDEN" : "");
  }
  prillBufAppend(&rc, &sql, ")", 2);
  if( rc==SQLITE_OK ) rc = sqlite3_declare_vtab(db, (char*)sql.a);
  prillBufFree(&sql);
  if( rc==SQLITE_OK ) rc = sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
  if( rc!=SQLITE_OK ) return rc;
  p = (AdminVtab*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->pConn = (PrillConn*)prillConnRef(pArg->pConn);
  p->pTable = pTable;
  p->iSavepoint = -1;
  *ppVtab = &p->base;
  return SQLITE_OK;
}

/* Let go of the stores joined. */
static void adminLeave(AdminVtab *p){
  int i;
  for(i=0; i<p->nJoin; i++) prillStorePut(p->apJoin[i]);
  p->nJoin = 0;
  p->iSavepoint = -1;
}

static int adminDisconnect(sqlite3_vtab *pTab){
  AdminVtab *p = (AdminVtab*)pTab;
  int i;
  adminLeave(p);
  for(i=0; i<p->nSchema; i++) sqlite3_free(p->azSchema[i]);
  sqlite3_free(p->azSchema);
  for(i=0; i<p->nName; i++) sqlite3_free(p->azName[i]);
  sqlite3_free(p->azName);
  sqlite3_free(p->apJoin);
  prillConnUnref(p->pConn);
  sqlite3_free(p);
  return SQLITE_OK;
}

/* The key a usable constraint is for, 0 for none. */
static int adminKey(const AdminTable *pTable, sqlite3_index_info *pInfo, int i){
  int iCol = pInfo->aConstraint[i].iColumn;
  if( pInfo->aConstraint[i].op!=SQLITE_INDEX_CONSTRAINT_EQ ) return 0;
  if( iCol==pTable->iSchema ) return ADMIN_BY_SCHEMA;
  if( iCol==pTable->iPart ) return ADMIN_BY_PART;
  if( iCol==pTable->iTopic && strcmp(sqlite3_vtab_collation(pInfo, i), "BINARY")==0 ){
    return ADMIN_BY_TOPIC;
  }
  return 0;
}

/*
** Equality on schema, topic and partition goes to xFilter.  The schema is an
** argument rather than a filter: a plan that cannot give it is refused, and
** SQLite need not test it again.  The others it does test again, so a value of
** another type may safely be given a wider answer.
*/
static int adminBestIndex(sqlite3_vtab *pTab, sqlite3_index_info *pInfo){
  const AdminTable *pTable = ((AdminVtab*)pTab)->pTable;
  int aUse[8] = {0};              /* constraint+1 by key */
  int iKey, i, nArg = 0;
  i64 nRow = pTable->nGuess;
  for(i=0; i<pInfo->nConstraint; i++){
    iKey = adminKey(pTable, pInfo, i);
    if( iKey==0 ) continue;
    if( pInfo->aConstraint[i].usable ){
      if( aUse[iKey]==0 ) aUse[iKey] = i+1;
    }else if( iKey==ADMIN_BY_SCHEMA ){
      return SQLITE_CONSTRAINT;
    }
  }
  pInfo->idxNum = 0;
  for(iKey=ADMIN_BY_SCHEMA; iKey<=ADMIN_BY_PART; iKey*=2){
    if( aUse[iKey]==0 ) continue;
    pInfo->aConstraintUsage[aUse[iKey]-1].argvIndex = ++nArg;
    pInfo->aConstraintUsage[aUse[iKey]-1].omit = iKey==ADMIN_BY_SCHEMA;
    pInfo->idxNum |= iKey;
    if( iKey==ADMIN_BY_TOPIC ) nRow = nRow/50 + 1;
    if( iKey==ADMIN_BY_PART ) nRow = nRow/10 + 1;
  }
  for(i=0; i<pTable->nCol && i<63; i++){
    if( (pTable->aCol[i].m & ADMIN_COSTLY) && (pInfo->colUsed & ((u64)1<<i)) ){
      pInfo->idxNum |= ADMIN_WANT_COSTLY;
    }
  }
  pInfo->estimatedRows = nRow;
  pInfo->estimatedCost = (double)nRow*2.0;
  return SQLITE_OK;
}

/**************************************************************************
** Cursors.
*/
static int adminOpen(sqlite3_vtab *pTab, sqlite3_vtab_cursor **pp){
  AdminCursor *c = (AdminCursor*)sqlite3_malloc64(sizeof(*c));
  (void)pTab;
  *pp = (sqlite3_vtab_cursor*)c;
  if( c ) memset(c, 0, sizeof(*c));
  return c ? SQLITE_OK : SQLITE_NOMEM;
}

/* Back to as it was opened. */
static void adminReset(AdminCursor *c){
  adminClearRows(c);
  prillPartUnref(c->pPart);
  c->pPart = 0;
  prillStorePut(c->pStore);
  c->pStore = 0;
  sqlite3_free(c->zTopic);
  sqlite3_free(c->aTopic);
  c->zTopic = 0;
  c->aTopic = 0;
  c->nTopic = c->iTopic = c->iNextPart = c->bEnd = 0;
  c->iOff = c->nShown = 0;
  c->iPart = -1;
  c->rc = SQLITE_OK;
}

static int adminClose(sqlite3_vtab_cursor *pCur){
  AdminCursor *c = (AdminCursor*)pCur;
  adminReset(c);
  sqlite3_free(c->aCell);
  sqlite3_free(c);
  return SQLITE_OK;
}

/* Place of a name in a list, or -1 when out of memory. */
static int adminPlace(char ***paz, int *pn, const char *z, int (*xCompare)(const char*, const char*)){
  char **az = *paz;
  int i;
  for(i=*pn-1; i>=0; i--){                      /* the last is asked for most */
    if( xCompare(az[i], z)==0 ) return i;
  }
  az = (char**)sqlite3_realloc64(az, sizeof(char*)*(u64)(*pn+1));
  if( az==0 ) return -1;
  *paz = az;
  az[*pn] = sqlite3_mprintf("%s", z);
  if( az[*pn]==0 ) return -1;
  return (*pn)++;
}

static int adminSchemaPlace(AdminVtab *p, const char *zSchema){
  return adminPlace(&p->azSchema, &p->nSchema, zSchema, sqlite3_stricmp);
}

int prillAdminName(AdminVtab *p, const char *z){
  int i = adminPlace(&p->azName, &p->nName, z, strcmp);
  return i<(1<<22) ? i : -1;
}

/* Call xFill for the next partition, or the next topic; see AdminTable. */
static int adminFillNext(AdminCursor *c){
  const AdminTable *pTable = adminTableOf(c);
  PrillTopic *pTopic;
  PrillPart *pPart = c->pPart;
  int bMore = 0;
  int rc = prillStoreRefresh(c->pStore);    /* other statements may have written */
  if( rc!=SQLITE_OK ) return rc;
  if( pPart==0 ){
    pTopic = c->iTopic<c->nTopic ? prillAdminTopicById(c->pStore, c->aTopic[c->iTopic]) : 0;
    if( pTopic==0 || (pTable->bParts ? c->iNextPart>=pTopic->nPart : c->iNextPart>0) ){
      c->iTopic++;
      c->iNextPart = 0;
      c->bEnd = c->iTopic>=c->nTopic;
      return SQLITE_OK;
    }
    if( pTable->bParts && c->iPart>=0 && c->iNextPart!=c->iPart ){
      /* Straight to the one asked for, and then past all. */
      c->iNextPart = c->iNextPart<c->iPart && c->iPart<pTopic->nPart ? (int)c->iPart : pTopic->nPart;
      return SQLITE_OK;
    }
    if( pTable->bParts ) pPart = pTopic->apPart[c->iNextPart];
    c->iNextPart++;
    c->iOff = 0;
  }else{
    pTopic = pPart->pTopic;
    if( pTopic==0 ){                          /* dropped half-way */
      prillPartUnref(pPart);
      c->pPart = 0;
      return SQLITE_OK;
    }
  }
  if( c->pPart==0 && pPart ){
    pPart->nRef++;
    c->pPart = pPart;
  }
  rc = pTable->xFill(c, pTopic, pPart, &bMore);
  if( rc==SQLITE_OK ) rc = c->rc;
  if( c->pPart && (!bMore || rc!=SQLITE_OK) ){
    prillPartUnref(c->pPart);
    c->pPart = 0;
  }
  return rc;
}

/* Make rows until there is one to show, or no more. */
static int adminAdvance(AdminCursor *c){
  int rc = SQLITE_OK;
  while( rc==SQLITE_OK && c->iRow>=c->nRow && !c->bEnd ){
    adminClearRows(c);
    rc = adminFillNext(c);
  }
  return prillVtabError(c->base.pVtab, ((AdminVtab*)c->base.pVtab)->pConn, rc);
}

/* Note the topics to show. */
static int adminListTopics(AdminCursor *c){
  PrillTopic *p;
  c->aTopic = (i64*)sqlite3_malloc64(sizeof(i64)*(u64)(c->pStore->nPart+1));
  if( c->aTopic==0 ) return SQLITE_NOMEM;
  for(p=c->pStore->pTopics; p; p=p->pNext){     /* each has a partition or more */
    if( c->zTopic==0 || strcmp(c->zTopic, p->zName)==0 ) c->aTopic[c->nTopic++] = p->iTopic;
  }
  c->bEnd = c->nTopic==0;
  return SQLITE_OK;
}

/* Read xFilter's arguments.  *pzSchema is set to memory of argv's, or "main". */
static int adminArgs(AdminCursor *c, int idxNum, sqlite3_value **argv, const char **pzSchema){
  int i = 0;
  *pzSchema = "main";
  c->m = idxNum;
  if( idxNum & ADMIN_BY_SCHEMA ){
    sqlite3_value *pVal = argv[i++];
    if( sqlite3_value_type(pVal)!=SQLITE_NULL ){
      *pzSchema = (const char*)sqlite3_value_text(pVal);
      if( *pzSchema==0 ) return SQLITE_NOMEM;
    }
  }
  if( idxNum & ADMIN_BY_TOPIC ){
    const char *z = (const char*)sqlite3_value_text(argv[i++]);
    c->zTopic = sqlite3_mprintf("%s", z ? z : "");
    if( c->zTopic==0 ) return SQLITE_NOMEM;
  }
  if( idxNum & ADMIN_BY_PART ){
    sqlite3_value *pVal = argv[i++];
    if( sqlite3_value_numeric_type(pVal)==SQLITE_INTEGER && sqlite3_value_int64(pVal)>=0 ){
      c->iPart = sqlite3_value_int64(pVal);
    }
  }
  return SQLITE_OK;
}

static int adminFilter(
  sqlite3_vtab_cursor *pCur, int idxNum, const char *idxStr, int argc, sqlite3_value **argv
){
  AdminCursor *c = (AdminCursor*)pCur;
  AdminVtab *p = (AdminVtab*)pCur->pVtab;
  const char *zSchema;
  int rc;
  (void)idxStr; (void)argc;
  adminReset(c);
  rc = adminArgs(c, idxNum, argv, &zSchema);
  if( rc==SQLITE_OK ) rc = prillStoreGet(p->pConn, zSchema, &c->pStore);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(c->pStore);
  if( rc==SQLITE_OK ){
    c->iSchema = adminSchemaPlace(p, zSchema);
    if( c->iSchema<0 ) rc = SQLITE_NOMEM;
  }
  if( rc==SQLITE_OK && p->pTable->xFirst ) rc = p->pTable->xFirst(c);
  if( rc==SQLITE_OK ) rc = adminListTopics(c);
  return rc==SQLITE_OK ? adminAdvance(c) : prillVtabError(pCur->pVtab, p->pConn, rc);
}

static int adminNext(sqlite3_vtab_cursor *pCur){
  AdminCursor *c = (AdminCursor*)pCur;
  c->iRow++;
  c->nShown++;
  return adminAdvance(c);
}

static int adminEof(sqlite3_vtab_cursor *pCur){
  return ((AdminCursor*)pCur)->iRow>=((AdminCursor*)pCur)->nRow;
}

static int adminColumn(sqlite3_vtab_cursor *pCur, sqlite3_context *pCtx, int iCol){
  AdminCursor *c = (AdminCursor*)pCur;
  const AdminVtab *p = (AdminVtab*)pCur->pVtab;
  const AdminCell *pCell = &c->aCell[c->iRow*p->pTable->nCol + iCol];
  /* An UPDATE asks for what it does not set: adminUpdate is told by
  ** sqlite3_value_nochange() and takes the row id. */
  if( sqlite3_vtab_nochange(pCtx) ) return SQLITE_OK;
  if( iCol==p->pTable->iSchema ){
    sqlite3_result_text(pCtx, p->azSchema[c->iSchema], -1, SQLITE_TRANSIENT);
    return SQLITE_OK;
  }
  switch( pCell->eType ){
    case SQLITE_INTEGER: sqlite3_result_int64(pCtx, pCell->i); break;
    case SQLITE_FLOAT:   sqlite3_result_double(pCtx, pCell->r); break;
    case SQLITE_TEXT:    sqlite3_result_text(pCtx, pCell->z, -1, SQLITE_TRANSIENT); break;
    default: break;
  }
  return SQLITE_OK;
}

/* The row's own part of the rowid is in its cell for "schema". */
static int adminRowid(sqlite3_vtab_cursor *pCur, sqlite3_int64 *piRowid){
  AdminCursor *c = (AdminCursor*)pCur;
  const AdminTable *pTable = adminTableOf(c);
  const AdminCell *pCell = &c->aCell[c->iRow*pTable->nCol + pTable->iSchema];
  i64 id = pTable->xChange ? pCell->i : c->nShown+1;
  *piRowid = ((i64)c->iSchema<<48) | (id & 0xffffffffffffLL);
  return SQLITE_OK;
}

/**************************************************************************
** Changes and transactions.
*/

/*
** Become a party to the transaction of the store of a schema.  *pp is to be put
** back whatever the outcome; the list of joined stores has a reference of its
** own until the transaction ends.  That may be sooner than one thinks: SQLite
** answers the failure of a statement of ours with xRollback.
*/
static int adminJoin(AdminVtab *p, const char *zSchema, PrillStore **pp){
  PrillStore **ap;
  int i;
  int rc = prillStoreGet(p->pConn, zSchema, pp);
  for(i=0; rc==SQLITE_OK && i<p->nJoin; i++){
    if( p->apJoin[i]==*pp ) return SQLITE_OK;
  }
  if( rc!=SQLITE_OK ) return rc;
  ap = (PrillStore**)sqlite3_realloc64(p->apJoin, sizeof(*ap)*(u64)(p->nJoin+1));
  if( ap==0 ) return SQLITE_NOMEM;
  p->apJoin = ap;
  ap[p->nJoin++] = *pp;
  (*pp)->nRef++;
  rc = prillStoreBegin(*pp);
  if( rc==SQLITE_OK && p->iSavepoint>=0 ) rc = prillStoreSavepoint(*pp, p->iSavepoint);
  return rc;
}

/* Refuse values for columns that are not to be given, or not to be set. */
static int adminCheckColumns(AdminVtab *p, sqlite3_value **apVal, int bInsert){
  const AdminTable *pTable = p->pTable;
  int i;
  for(i=0; i<pTable->nCol; i++){
    const AdminColumn *pCol = &pTable->aCol[i];
    if( pCol->m & (bInsert ? ADMIN_INSERT : ADMIN_UPDATE) ) continue;
    if( bInsert ? sqlite3_value_type(apVal[i])==SQLITE_NULL : sqlite3_value_nochange(apVal[i]) ) continue;
    return bInsert
      ? prillError(p->pConn, SQLITE_ERROR, "%s.%s is not given but found; leave it out", pTable->zName, pCol->zName)
      : prillError(p->pConn, SQLITE_ERROR, "%s.%s cannot be changed: %s", pTable->zName, pCol->zName,
                   pTable->zRemedy);
  }
  return SQLITE_OK;
}

/* The schema that a change is for. */
static int adminChangeSchema(AdminVtab *p, AdminChange *h, int argc, sqlite3_value **argv,
                             const char **pzSchema){
  i64 iRowid = sqlite3_value_int64(argv[0]);
  i64 iPlace = iRowid>>48;
  *pzSchema = "main";
  h->bDelete = argc==1;
  h->bInsert = argc>1 && sqlite3_value_type(argv[0])==SQLITE_NULL;
  if( h->bInsert ){
    sqlite3_value *pVal = argv[2+p->pTable->iSchema];
    if( sqlite3_value_type(pVal)!=SQLITE_NULL ) *pzSchema = (const char*)sqlite3_value_text(pVal);
    return *pzSchema ? SQLITE_OK : SQLITE_NOMEM;
  }
  if( iPlace<0 || iPlace>=p->nSchema ) return SQLITE_CORRUPT_VTAB;
  *pzSchema = p->azSchema[iPlace];
  h->id = iRowid & 0xffffffffffffLL;
  return SQLITE_OK;
}

static int adminUpdate(sqlite3_vtab *pTab, int argc, sqlite3_value **argv, sqlite3_int64 *piRowid){
  AdminVtab *p = (AdminVtab*)pTab;
  AdminChange h;
  const char *zSchema;
  int rc;
  memset(&h, 0, sizeof(h));
  h.pTab = p;
  h.apVal = argc>1 ? &argv[2] : 0;
  rc = adminChangeSchema(p, &h, argc, argv, &zSchema);
  if( rc==SQLITE_OK && h.apVal ) rc = adminCheckColumns(p, h.apVal, h.bInsert);
  if( rc==SQLITE_OK ) rc = adminJoin(p, zSchema, &h.pStore);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(h.pStore);
  if( rc==SQLITE_OK ) rc = p->pTable->xChange(&h);
  if( rc==SQLITE_OK && h.bInsert ){
    i64 iPlace = adminSchemaPlace(p, zSchema);
    *piRowid = (i64)((u64)iPlace<<48) | h.iNewId;
    if( iPlace<0 ) rc = SQLITE_NOMEM;
  }
  prillStorePut(h.pStore);
  return prillVtabError(pTab, p->pConn, rc);
}

static int adminBegin(sqlite3_vtab *pTab){
  adminLeave((AdminVtab*)pTab);
  return SQLITE_OK;
}

/* Pass a call on to all stores joined, up to the first that fails. */
static int adminEach(AdminVtab *p, int (*xCall)(PrillStore*, int), int iArg){
  int rc = SQLITE_OK;
  int i;
  for(i=0; rc==SQLITE_OK && i<p->nJoin; i++) rc = xCall(p->apJoin[i], iArg);
  return prillVtabError(&p->base, p->pConn, rc);
}

static int adminSync(sqlite3_vtab *pTab){
  AdminVtab *p = (AdminVtab*)pTab;
  int i, rc = SQLITE_OK;
  for(i=0; rc==SQLITE_OK && i<p->nJoin; i++) rc = prillStoreSync(p->apJoin[i]);
  return prillVtabError(pTab, p->pConn, rc);
}

/* COMMIT or ROLLBACK, and out. */
static int adminEnd(AdminVtab *p, void (*xCall)(PrillStore*)){
  int i;
  for(i=0; i<p->nJoin; i++) xCall(p->apJoin[i]);
  adminLeave(p);
  return SQLITE_OK;
}
static int adminCommit(sqlite3_vtab *pTab){
  return adminEnd((AdminVtab*)pTab, prillStoreCommit);
}
static int adminRollback(sqlite3_vtab *pTab){
  return adminEnd((AdminVtab*)pTab, prillStoreRollback);
}

static int adminSavepoint(sqlite3_vtab *pTab, int iSavepoint){
  AdminVtab *p = (AdminVtab*)pTab;
  p->iSavepoint = iSavepoint;
  return adminEach(p, prillStoreSavepoint, iSavepoint);
}

static int adminRelease(sqlite3_vtab *pTab, int iSavepoint){
  AdminVtab *p = (AdminVtab*)pTab;
  if( p->iSavepoint>=iSavepoint ) p->iSavepoint = iSavepoint-1;
  return adminEach(p, prillStoreRelease, iSavepoint);
}

static int adminRollbackTo(sqlite3_vtab *pTab, int iSavepoint){
  AdminVtab *p = (AdminVtab*)pTab;
  if( p->iSavepoint>iSavepoint ) p->iSavepoint = iSavepoint;
  return adminEach(p, prillStoreRollbackTo, iSavepoint);
}

/* xCreate is NULL: the tables are there without being made, and only so. */
#define ADMIN_READ_METHODS \
  .iVersion = 2, .xConnect = adminConnect, .xBestIndex = adminBestIndex, \
  .xDisconnect = adminDisconnect, .xOpen = adminOpen, .xClose = adminClose, \
  .xFilter = adminFilter, .xNext = adminNext, .xEof = adminEof, \
  .xColumn = adminColumn, .xRowid = adminRowid
static const sqlite3_module adminModule = {
  ADMIN_READ_METHODS, .xUpdate = adminUpdate, .xBegin = adminBegin, .xSync = adminSync,
  .xCommit = adminCommit, .xRollback = adminRollback, .xSavepoint = adminSavepoint,
  .xRelease = adminRelease, .xRollbackTo = adminRollbackTo
};
static const sqlite3_module adminReadModule = { ADMIN_READ_METHODS };

static void adminAuxFree(void *pArg){
  AdminAux *p = (AdminAux*)pArg;
  prillConnUnref(p->pConn);
  sqlite3_free(p);
}

int prillVtabAdminInit(PrillConn *pConn){
  int rc = SQLITE_OK;
  int i;
  for(i=0; rc==SQLITE_OK && i<ADMIN_N; i++){
    const AdminTable *pTable = adminTables[i];
    AdminAux *p = (AdminAux*)sqlite3_malloc64(sizeof(*p));
    if( p==0 ) return SQLITE_NOMEM;
    p->pConn = (PrillConn*)prillConnRef(pConn);
    p->pTable = pTable;
    rc = sqlite3_create_module_v2(pConn->db, pTable->zName,
                                  pTable->xChange ? &adminModule : &adminReadModule, p, adminAuxFree);
  }
  return rc;
}
