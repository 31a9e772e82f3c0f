/*
** store.c: one schema's store on one connection: its tables, its cached
** state, its cached statements, its directory.
**
** May call: base, codec, file, and catalog/tail/stage beside it.
**
** THE TABLES, shadows of the virtual table prill_store (so that
** SQLITE_DBCONFIG_DEFENSIVE protects them), one set a schema:
**
**   prill_store_state    one row: format, the store's id, two marks of change,
**                        next numbers, the kernel's boot id at the last write,
**                        store settings, whether the directory is in use
**   prill_store_topic    one row a topic
**   prill_store_part     one row a partition: its extent (PrillExtent)
**   prill_store_segment  one row a segment; the active one's figures are in
**                        the extent
**   prill_store_index    sparse index of the active segments, blobs of
**                        32-byte entries; moved to files when sealed
**   prill_store_key      what the segments' key runs cover (key.c)
**   prill_store_tail     the ring of frames (tail.c)
**   prill_store_trash    files dropped and not yet unlinked (trim.c)
**   prill_store_group    one row a consumer group (offset.c)
**   prill_store_member   one row a member of it
**   prill_store_offset   one row an offset a group has committed
**   prill_store_position the version of a member's position (position.c)
**   prill_store_share    what queues have done with records (share.c)
**   prill_store_producer producer ids and their last batches (producer.c)
**   prill_store_gap      offsets lost to a power cut under flush=os
**
** CACHES.  They hold the committed state of the snapshot whose
** SQLITE_FCNTL_DATA_VERSION is iDataVersion.  While the version stands,
** nobody, this connection included, has committed anything.
**
**   I1  Caches are filled only from committed state, except the catalog while
**       this transaction changed it (bDirty): then each refresh reads the state
**       row, since a ROLLBACK TO is not always told to us, and the catalog anew
**       when iCatalog is not the one it has.
**   I2  iCatalog changes with every change of topics or partitions; iExtent with
**       every change of an extent row.  A commit to the tail changes neither.
**       They are random, not counts: a database restored under an open
**       connection has another life before it, in which a count would come to
**       the same numbers.
**   I3  The state row is read before anything else of a snapshot.
**   I4  What is open or cached of files belongs to the log directory whose
**       "store" is the file it was when last looked at.  A look (one stat) is
**       good for a second; one is taken whenever a file cannot be opened.  What
**       a transaction wrote to segments it looks for before COMMIT (write.c, I8).
**
** Crash story: nothing here is written outside a transaction but the
** directory and its file "store", which hold nothing the database lacks.
*/
#include "prillInt.h"
#include <stdarg.h>

/* Rises with every change to the tables or to what the files hold.  1 was given
** to several stages of the first version, which differ in their columns. */
#define STORE_FORMAT 2

/**************************************************************************
** Connection and errors.
*/
void *prillConnRef(PrillConn *p){
  p->nRef++;
  return p;
}

void prillConnUnref(void *pArg){
  PrillConn *p = (PrillConn*)pArg;
  if( --p->nRef>0 ) return;
  assert( p->pStores==0 );
  while( p->pKeep ){
    PrillKeep *pKeep = p->pKeep;
    p->pKeep = pKeep->pNext;
    pKeep->xFree(pKeep);
  }
  prillTurnFree(p);
  prillWakeFree(p);
  prillWaitFree(p);
  prillCompactFree(p);
  sqlite3_free(p->zErr);
  sqlite3_free(p);
}

int prillError(PrillConn *p, int rc, const char *zFmt, ...){
  char *z;
  va_list ap;
  va_start(ap, zFmt);
  z = sqlite3_vmprintf(zFmt, ap);
  va_end(ap);
  sqlite3_free(p->zErr);
  p->zErr = z;
  return rc;
}

int prillVtabError(sqlite3_vtab *pTab, PrillConn *p, int rc){
  if( rc!=SQLITE_OK && p->zErr ){
    sqlite3_free(pTab->zErrMsg);
    pTab->zErrMsg = p->zErr;
    p->zErr = 0;
  }
  return rc;
}

/**************************************************************************
** Statements.  "%w" stands for the schema.
*/
static const char *const azStmt[STMT_N] = {
  /* All columns, whatever they are: an older or newer store has others, and is
  ** to be refused by its format, the second, rather than for what it lacks. */
  [STMT_STATE] = "SELECT * FROM \"%w\".prill_store_state WHERE id=0",
  [STMT_TOPICS] = "SELECT id, name, uuid, door, partitions, config"
                  " FROM \"%w\".prill_store_topic ORDER BY name",
  [STMT_PARTS] = "SELECT pid, topic, part FROM \"%w\".prill_store_part",
  [STMT_PART] = "SELECT log_start, seg_end, base, gen, bytes, synced, records, first_ts,"
                " max_ts, max_ts_off, min_ts, all_bytes, all_records, seg_ver, epoch"
                " FROM \"%w\".prill_store_part WHERE pid=?1",
  [STMT_SEGS] = "SELECT base, gen, next, bytes, records, min_ts, max_ts, index_crc, clean, packed, horizon"
                " FROM \"%w\".prill_store_segment WHERE pid=?1 ORDER BY base",
  [STMT_TAIL] = "SELECT slot, frame FROM \"%w\".prill_store_tail WHERE slot>=?1 ORDER BY slot",
  [STMT_FRAME0] = "SELECT substr(frame,1,13) FROM \"%w\".prill_store_tail WHERE slot=?1",
  [STMT_INDEX] = "SELECT entries FROM \"%w\".prill_store_index WHERE pid=?1 AND base=?2 ORDER BY off",
  [STMT_SET_FRAME] = "UPDATE \"%w\".prill_store_tail SET frame=?2 WHERE slot=?1 AND typeof(frame)<>''",
  [STMT_PUT_FRAME] = "INSERT OR REPLACE INTO \"%w\".prill_store_tail(slot, frame) VALUES(?1,?2)",
  [STMT_PUT_PART] = "UPDATE \"%w\".prill_store_part SET seg_end=?2, base=?3, gen=?4, bytes=?5,"
                    " synced=?6, records=?7, first_ts=?8, max_ts=?9, max_ts_off=?10, min_ts=?11,"
                    " all_bytes=?12, all_records=?13, seg_ver=?14, epoch=?15 WHERE pid=?1",
  [STMT_PUT_SEG] = "INSERT OR REPLACE INTO \"%w\".prill_store_segment"
                   "(pid, base, gen, next, bytes, records, min_ts, max_ts, index_crc)"
                   " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
  [STMT_PUT_INDEX] = "INSERT OR REPLACE INTO \"%w\".prill_store_index(pid, base, off, entries)"
                     " VALUES(?1,?2,?3,?4)",
  [STMT_DEL_INDEX] = "DELETE FROM \"%w\".prill_store_index WHERE pid=?1 AND base=?2",
  [STMT_PUT_TRASH] = "INSERT INTO \"%w\".prill_store_trash(path, seen) VALUES(?1,0)",
  [STMT_SET_STATE] = "UPDATE \"%w\".prill_store_state SET extent=?1, boot=?2, dir=?3 WHERE id=0",
  [STMT_PRODUCER] = "SELECT epoch, last FROM \"%w\".prill_store_producer WHERE producer=?1 AND pid=?2",
  [STMT_PUT_PRODUCER] = "INSERT INTO \"%w\".prill_store_producer(producer, pid, epoch, seen, last)"
                        " VALUES(?1,?2,?3,?4,?5) ON CONFLICT(producer, pid) DO UPDATE"
                        " SET epoch=excluded.epoch, seen=excluded.seen, last=excluded.last",
  [STMT_GROUP] = "SELECT state FROM \"%w\".prill_store_group WHERE grp=?1",
  [STMT_POSITION] = "SELECT ver FROM \"%w\".prill_store_position WHERE grp=?1 AND member=?2",
  /* SELECT and NOT NULL have SQLite open a statement journal, and with it all
  ** savepoints of the connection on this database (position.c, I3). */
  [STMT_PUT_POSITION] = "INSERT INTO \"%w\".prill_store_position(grp, member, ver) SELECT ?1,?2,?3 WHERE 1"
                        " ON CONFLICT(grp, member) DO UPDATE SET ver=excluded.ver",
  [STMT_POLLED] = "UPDATE \"%w\".prill_store_member SET polled=?3 WHERE grp=?1 AND member=?2",
  [STMT_OFFSET] = "SELECT off, epoch, meta FROM \"%w\".prill_store_offset WHERE grp=?1 AND pid=?2",
  [STMT_PUT_OFFSET] = "INSERT OR REPLACE INTO \"%w\".prill_store_offset(grp, pid, off, epoch, meta, at)"
                      " VALUES(?1,?2,?3,?4,?5,?6)",
  [STMT_KEYS] = "SELECT first, next, log_from, log_to, page, pages, salt FROM \"%w\".prill_store_key"
                " WHERE pid=?1 AND base=?2 AND gen=?3 ORDER BY first",
  [STMT_PUT_KEY] = "INSERT OR REPLACE INTO \"%w\".prill_store_key"
                   "(pid, base, gen, first, next, log_from, log_to, page, pages, salt)"
                   " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
  [STMT_DEL_KEY] = "DELETE FROM \"%w\".prill_store_key WHERE pid=?1 AND base=?2 AND log_to>?3",
  [STMT_PUT_GAP] = "INSERT OR REPLACE INTO \"%w\".prill_store_gap(pid, first, last, at) VALUES(?1,?2,?3,?4)",
};

static const char zSchemaSql[] =
  "CREATE TABLE \"%w\".prill_store_state(id INTEGER PRIMARY KEY CHECK(id=0), format INT,"
  " store_id BLOB, catalog INT, extent INT, next_pid INT, next_topic INT, boot TEXT,"
  " flush INT, flush_ms INT, dir INT, producer_ms INT, offsets_ms INT);"
  "CREATE TABLE \"%w\".prill_store_topic(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
  " uuid BLOB, door TEXT, partitions INT, config TEXT);"
  "CREATE TABLE \"%w\".prill_store_part(pid INTEGER PRIMARY KEY, topic INT, part INT,"
  " log_start INT, seg_end INT, base INT, gen INT, bytes INT, synced INT, records INT,"
  " first_ts INT, max_ts INT, max_ts_off INT, min_ts INT, all_bytes INT, all_records INT,"
  " seg_ver INT, epoch INT);"
  "CREATE TABLE \"%w\".prill_store_segment(pid INT, base INT, gen INT, next INT, bytes INT,"
  " records INT, min_ts INT, max_ts INT, index_crc INT, clean INT, packed INT, horizon INT,"
  " PRIMARY KEY(pid, base)) WITHOUT ROWID;"
  "CREATE TABLE \"%w\".prill_store_index(pid INT, base INT, off INT, entries BLOB,"
  " PRIMARY KEY(pid, base, off)) WITHOUT ROWID;"
  "CREATE TABLE \"%w\".prill_store_key(pid INT, base INT, gen INT, first INT, next INT, log_from INT,"
  " log_to INT, page INT, pages INT, salt INT, PRIMARY KEY(pid, base, first)) WITHOUT ROWID;"
  "CREATE TABLE \"%w\".prill_store_tail(slot INTEGER PRIMARY KEY, frame BLOB);"
  "CREATE TABLE \"%w\".prill_store_trash(id INTEGER PRIMARY KEY, path TEXT, seen INT);"
  "CREATE TABLE \"%w\".prill_store_group(grp TEXT PRIMARY KEY, kind INT, state BLOB) WITHOUT ROWID;"
  "CREATE TABLE \"%w\".prill_store_member(grp TEXT, member TEXT, polled INT, state BLOB,"
  " PRIMARY KEY(grp, member)) WITHOUT ROWID;"
  "CREATE TABLE \"%w\".prill_store_offset(grp TEXT, pid INT, off INT, epoch INT, meta TEXT, at INT,"
  " PRIMARY KEY(grp, pid)) WITHOUT ROWID;"
  "CREATE TABLE \"%w\".prill_store_position(grp TEXT, member TEXT, ver INT NOT NULL,"
  " PRIMARY KEY(grp, member)) WITHOUT ROWID;"
  "CREATE TABLE \"%w\".prill_store_share(grp TEXT, pid INT, block INT, locked INT, due INT, state BLOB,"
  " PRIMARY KEY(grp, pid, block)) WITHOUT ROWID;"
  "CREATE INDEX \"%w\".prill_store_share_due ON prill_store_share(grp, pid, due, block) WHERE due IS NOT NULL;"
  "CREATE INDEX \"%w\".prill_store_share_locked ON prill_store_share(grp, pid, block, locked) WHERE locked>0;"
  "CREATE TABLE \"%w\".prill_store_producer(producer INT, pid INT, epoch INT, seen INT, last BLOB,"
  " name TEXT, PRIMARY KEY(producer, pid)) WITHOUT ROWID;"
  "CREATE UNIQUE INDEX \"%w\".prill_store_producer_name ON prill_store_producer(name)"
  " WHERE name IS NOT NULL;"
  "CREATE TABLE \"%w\".prill_store_gap(pid INT, first INT, last INT, at INT,"
  " PRIMARY KEY(pid, first)) WITHOUT ROWID;";

/* zSql with every "%w" (quotes included) replaced by the quoted schema, the
** schema's own percent signs doubled: fit for mprintf. */
static char *storeSchema(PrillStore *p, const char *zSql){
  char *zQuoted = sqlite3_mprintf("\"%w\"", p->zSchema);
  PrillBuf b = {0,0,0};
  int rc = zQuoted ? SQLITE_OK : SQLITE_NOMEM;
  while( rc==SQLITE_OK && *zSql ){
    if( strncmp(zSql, "\"%w\"", 4)==0 ){
      const char *z;
      for(z=zQuoted; *z; z++){
        if( *z=='%' ) prillBufAppend(&rc, &b, "%", 1);
        prillBufAppend(&rc, &b, z, 1);
      }
      zSql += 4;
    }else{
      prillBufAppend(&rc, &b, zSql++, 1);
    }
  }
  prillBufAppend(&rc, &b, "", 1);
  sqlite3_free(zQuoted);
  if( rc!=SQLITE_OK ){
    prillBufFree(&b);
    return 0;
  }
  return (char*)b.a;
}

static char *storeSql(PrillStore *p, const char *zFmt, va_list ap){
  char *zFmt2 = storeSchema(p, zFmt);
  char *zSql = zFmt2 ? sqlite3_vmprintf(zFmt2, ap) : 0;
  sqlite3_free(zFmt2);
  return zSql;
}

/* The error of a nested statement, in SQLite's words. */
static int storeSqlError(PrillStore *p, int rc){
  if( rc==SQLITE_NOMEM ) return rc;
  return prillError(p->pConn, rc, "store \"%s\": %s", p->zSchema, sqlite3_errmsg(p->pConn->db));
}

int prillStorePrepare(PrillStore *p, sqlite3_stmt **ppStmt, const char *zFmt, ...){
  va_list ap;
  char *zSql;
  int rc;
  *ppStmt = 0;
  va_start(ap, zFmt);
  zSql = storeSql(p, zFmt, ap);
  va_end(ap);
  if( zSql==0 ) return SQLITE_NOMEM;
  rc = sqlite3_prepare_v2(p->pConn->db, zSql, -1, ppStmt, 0);
  sqlite3_free(zSql);
  return rc==SQLITE_OK ? rc : storeSqlError(p, rc);
}

int prillStoreExec(PrillStore *p, const char *zFmt, ...){
  sqlite3 *db = p->pConn->db;
  i64 iRowid = sqlite3_last_insert_rowid(db);
  va_list ap;
  char *zSql;
  int rc;
  va_start(ap, zFmt);
  zSql = storeSql(p, zFmt, ap);
  va_end(ap);
  if( zSql==0 ) return SQLITE_NOMEM;
  rc = sqlite3_exec(db, zSql, 0, 0, 0);
  sqlite3_free(zSql);
  if( rc!=SQLITE_OK ) rc = storeSqlError(p, rc);
  sqlite3_set_last_insert_rowid(db, iRowid);
  return rc;
}

int prillStoreRun(PrillStore *p, char *zSql){
  int rc = zSql ? prillStoreExec(p, "%s", zSql) : SQLITE_NOMEM;
  sqlite3_free(zSql);
  return rc;
}

sqlite3_stmt *prillStoreStmt(PrillStore *p, int eStmt, int *pRc){
  sqlite3_stmt *pStmt;
  if( *pRc!=SQLITE_OK ) return 0;
  pStmt = p->aStmt[eStmt];
  if( pStmt==0 ){
    char *zFmt = storeSchema(p, azStmt[eStmt]);
    char *zSql = zFmt ? sqlite3_mprintf(zFmt) : 0;
    sqlite3_free(zFmt);
    if( zSql==0 ){
      *pRc = SQLITE_NOMEM;
      return 0;
    }
    *pRc = sqlite3_prepare_v3(p->pConn->db, zSql, -1, SQLITE_PREPARE_PERSISTENT,
                              &p->aStmt[eStmt], 0);
    sqlite3_free(zSql);
    if( *pRc!=SQLITE_OK ) *pRc = storeSqlError(p, *pRc);
    return p->aStmt[eStmt];
  }
  sqlite3_reset(pStmt);
  return pStmt;
}

void prillStoreDone(PrillStore *p, sqlite3_stmt *pStmt, int *pRc){
  int rc = sqlite3_reset(pStmt);
  if( *pRc==SQLITE_OK && rc!=SQLITE_OK ) *pRc = storeSqlError(p, rc);
}

int prillStoreSet(PrillStore *p, int eStmt, const i64 *a, int n){
  int i;
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(p, eStmt, &rc);
  if( pStmt==0 ) return rc;
  for(i=0; i<n; i++) sqlite3_bind_int64(pStmt, i+1, a[i]);
  sqlite3_step(pStmt);
  prillStoreDone(p, pStmt, &rc);
  return rc;
}

static void storeFinalize(PrillStore *p){
  int i;
  for(i=0; i<STMT_N; i++){
    sqlite3_finalize(p->aStmt[i]);
    p->aStmt[i] = 0;
  }
  p->bHeld = 0;
}

/**************************************************************************
** Get and put.
*/

sqlite3_vfs *prillStoreVfs(sqlite3 *db, const char *zSchema){
  sqlite3_vfs *pVfs = 0;
  (void)sqlite3_file_control(db, zSchema, SQLITE_FCNTL_VFS_POINTER, &pVfs);
  return pVfs ? pVfs : sqlite3_vfs_find(0);
}

/* The log directory's path: the database's, with "-log".  A database without
** a name, or whose VFS is no file system, has none. */
static int storePaths(PrillStore *p){
  sqlite3 *db = p->pConn->db;
  const char *zDb = sqlite3_db_filename(db, p->zSchema);
  p->zDb = sqlite3_mprintf("%s", zDb ? zDb : "");
  if( p->zDb==0 ) return SQLITE_NOMEM;
  p->pVfs = prillStoreVfs(db, p->zSchema);
  if( p->zDb[0] && strcmp(p->pVfs->zName, "memdb")!=0 ){
    p->zDir = sqlite3_mprintf("%s-log", p->zDb);
    if( p->zDir==0 ) return SQLITE_NOMEM;
  }
  return SQLITE_OK;
}

static void storeFree(PrillStore *p){
  PrillStore **pp;
  for(pp=&p->pConn->pStores; *pp && *pp!=p; pp=&(*pp)->pNext){}
  if( *pp ) *pp = p->pNext;
  prillStoreRollback(p);
  storeFinalize(p);
  prillTailReset(p);
  prillCatalogFree(p);
  prillFilesClose(p);
  prillPagesFree(p);
  prillStageFreeSpare(p);
  prillScanFreeSpare(p);
  prillBufFree(&p->spareChunk);
  prillBufFree(&p->spareWrite);
  sqlite3_free(p->apPart);
  sqlite3_free(p->zSchema);
  sqlite3_free(p->zDb);
  sqlite3_free(p->zDir);
  sqlite3_free(p);
}

static int storeNew(PrillConn *pConn, const char *zSchema, PrillStore **pp){
  PrillStore *p = (PrillStore*)sqlite3_malloc64(sizeof(*p));
  int rc;
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->pConn = pConn;
  p->zSchema = sqlite3_mprintf("%s", zSchema);
  p->msFlush = -1;
  p->iCut = ++pConn->iCount;
  p->nSlotRow = PRILL_I64MAX;
  rc = p->zSchema ? storePaths(p) : SQLITE_NOMEM;
  p->pNext = pConn->pStores;
  pConn->pStores = p;
  if( rc!=SQLITE_OK ){
    storeFree(p);
    return rc;
  }
  *pp = p;
  return SQLITE_OK;
}

int prillStoreGet(PrillConn *pConn, const char *zSchema, PrillStore **pp){
  const char *zDb;
  PrillStore *p;
  int rc = SQLITE_OK;
  *pp = 0;
  if( zSchema==0 ) zSchema = "main";
  zDb = sqlite3_db_filename(pConn->db, zSchema);
  if( zDb==0 && sqlite3_txn_state(pConn->db, zSchema)<0 ){
    return prillError(pConn, SQLITE_ERROR, "no such schema: %s; PRAGMA database_list shows them",
                      zSchema);
  }
  for(p=pConn->pStores; p; p=p->pNext){
    if( sqlite3_stricmp(p->zSchema, zSchema)==0 && strcmp(p->zDb, zDb ? zDb : "")==0 ) break;
  }
  if( p==0 ) rc = storeNew(pConn, zSchema, &p);
  if( rc==SQLITE_OK ){
    p->nRef++;
    *pp = p;
  }
  return rc;
}

void prillStoreLetGo(PrillStore *p){
  if( p->bHeld ){
    sqlite3_reset(p->aStmt[STMT_STATE]);
    p->bHeld = 0;
  }
}

void prillStorePut(PrillStore *p){
  if( p==0 ) return;
  prillStoreLetGo(p);
  if( --p->nRef<=0 ) storeFree(p);
}

/**************************************************************************
** Refresh.
*/
static u32 storeDataVersion(PrillStore *p){
  unsigned int v = 0;
  sqlite3_file_control(p->pConn->db, p->zSchema, SQLITE_FCNTL_DATA_VERSION, &v);
  return v;
}

/* Columns of prill_store_state. */
enum { STATE_FORMAT = 1, STATE_ID, STATE_CATALOG, STATE_EXTENT, STATE_PID, STATE_TOPIC, STATE_BOOT,
       STATE_FLUSH, STATE_FLUSH_MS, STATE_DIR, STATE_PRODUCER_MS, STATE_OFFSETS_MS };

/* A store of another format. */
static int storeFormat(PrillStore *p, int iFormat){
  if( iFormat>STORE_FORMAT ){
    return prillError(p->pConn, SQLITE_ERROR, "store \"%s\" has format %d and this prill knows only %d; use the prill"
                      " that wrote it", p->zSchema, iFormat, STORE_FORMAT);
  }
  return prillError(p->pConn, SQLITE_ERROR, "store \"%s\" has format %d and this prill writes %d; prill export its"
                    " topics with the prill that wrote it, and prill import them here", p->zSchema, iFormat,
                    STORE_FORMAT);
}

/* Read the state row.  Leaves STMT_STATE stepped on it (the caller resets, or
** keeps it to hold the snapshot). */
static int storeReadState(PrillStore *p, i64 *piCatalog, i64 *piExtent){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = prillStoreStmt(p, STMT_STATE, &rc);
  if( rc!=SQLITE_OK ) return rc;
  if( sqlite3_step(pStmt)!=SQLITE_ROW ){
    prillStoreDone(p, pStmt, &rc);
    if( rc==SQLITE_OK ) rc = prillError(p->pConn, PRILL_CORRUPT,
        "store \"%s\": prill_store_state has no row; restore the database from a backup", p->zSchema);
    return rc;
  }
  if( sqlite3_column_int(pStmt, STATE_FORMAT)!=STORE_FORMAT ){
    rc = storeFormat(p, sqlite3_column_int(pStmt, STATE_FORMAT));
  }else if( sqlite3_column_bytes(pStmt, STATE_ID)!=16 ){
    rc = prillError(p->pConn, PRILL_CORRUPT, "store \"%s\": its id is damaged; restore the database"
        " from a backup", p->zSchema);
  }else{
    const char *zBoot = (const char*)sqlite3_column_text(pStmt, STATE_BOOT);
    char zNow[40];
    memcpy(p->aId, sqlite3_column_blob(pStmt, STATE_ID), 16);
    *piCatalog = sqlite3_column_int64(pStmt, STATE_CATALOG);
    *piExtent = sqlite3_column_int64(pStmt, STATE_EXTENT);
    sqlite3_snprintf(sizeof(p->zBoot), p->zBoot, "%s", zBoot ? zBoot : "");
    p->eFlush = (u8)(sqlite3_column_int(pStmt, STATE_FLUSH)!=0);
    p->msFlush = sqlite3_column_type(pStmt, STATE_FLUSH_MS)==SQLITE_NULL ? -1
               : sqlite3_column_int64(pStmt, STATE_FLUSH_MS);
    p->bDirRow = (u8)(sqlite3_column_int(pStmt, STATE_DIR)!=0);
    p->msProducer = sqlite3_column_type(pStmt, STATE_PRODUCER_MS)==SQLITE_NULL ? PRILL_PRODUCER_MS
                  : sqlite3_column_int64(pStmt, STATE_PRODUCER_MS);
    p->msOffsets = sqlite3_column_type(pStmt, STATE_OFFSETS_MS)==SQLITE_NULL ? PRILL_OFFSETS_MS
                 : sqlite3_column_int64(pStmt, STATE_OFFSETS_MS);
    prillFileBootId(zNow);
    p->bReboot = (u8)(strcmp(zNow, p->zBoot)!=0);
  }
  if( rc!=SQLITE_OK ) sqlite3_reset(pStmt);
  return rc;
}

void prillStoreForget(PrillStore *p){
  prillPagesFree(p);
  prillTailReset(p);
  prillCatalogFree(p);
  p->bLoaded = 0;
  p->bExists = 0;
  p->bDirty = 0;
}

/* *pb: is the table there?  Without memory one cannot tell, which is no "no". */
static int storeHasTable(PrillStore *p, const char *zTable, int *pb){
  int rc = sqlite3_table_column_metadata(p->pConn->db, p->zSchema, zTable, 0, 0, 0, 0, 0, 0);
  *pb = rc==SQLITE_OK;
  return rc==SQLITE_ERROR ? SQLITE_OK : rc;
}

int prillStoreIs(PrillStore *p, int *pb){
  return storeHasTable(p, "prill_store_state", pb);
}

/* Load what differs from the caches.  eTxn is the schema's transaction state. */
static int storeLoad(PrillStore *p, int eTxn){
  i64 iCatalog = 0, iExtent = 0;
  int bThere = 0;
  int rc = prillStoreIs(p, &bThere);
  if( rc!=SQLITE_OK ) return rc;
  if( !bThere ){
    prillStoreForget(p);
    storeFinalize(p);
    rc = storeHasTable(p, "prill_store", &bThere);
    if( rc!=SQLITE_OK ) return rc;
    if( bThere ){
      return prillError(p->pConn, PRILL_CORRUPT, "store \"%s\": its table prill_store_state is missing; restore"
                        " the database from a backup", p->zSchema);
    }
    p->iDataVersion = storeDataVersion(p);
    p->bLoaded = 1;
    return SQLITE_OK;
  }
  rc = storeReadState(p, &iCatalog, &iExtent);
  if( rc!=SQLITE_OK ) return rc;
  if( eTxn==SQLITE_TXN_NONE ){
    p->bHeld = 1;
  }else{
    sqlite3_reset(p->aStmt[STMT_STATE]);
  }
  p->iDataVersion = storeDataVersion(p);
  if( p->pStage==0 || !p->pStage->bRows ){
    if( !p->bExists || iExtent!=p->iExtent ) p->iForeign = ++p->iLocal;
    p->iExtent = iExtent;
    p->bTail = 0;
  }
  if( !p->bExists || iCatalog!=p->iCatalog ){
    p->bExists = 1;
    prillPagesFree(p);                 /* a partition's number may be another's now */
    rc = prillCatalogLoad(p);
    if( rc==SQLITE_OK ) p->iCatalog = iCatalog;
  }
  p->bLoaded = (u8)(rc==SQLITE_OK);
  return rc;
}

static void storeUndoFree(PrillUndo *u){
  sqlite3_finalize(u->pBack);
  sqlite3_finalize(u->pRelease);
  sqlite3_finalize(u->pHold);
  u->pBack = u->pRelease = u->pHold = 0;
}

/* What takes it back are statements made beforehand: once memory is out inside a running
** statement, SQLite prepares none until that has ended, and "SELECT f()" that
** ends so does not roll back by itself.  It may run none either, nor one that a
** CREATE in the step has made stale; but it ends those that run, and one that
** reads, ended so, takes the transaction with it, the caller's too: SQLite itself
** does so where memory is out.  Hence pHold, where the transaction is ours or the
** step changes the schema.  It reads: in a savepoint it is for who may do so. */
int prillUndoHold(PrillStore *p, PrillUndo *u){
  int rc = prillStorePrepare(p, &u->pHold, p->bExists ? "SELECT 1 FROM \"%w\".prill_store_state"
                                                      : "SELECT 1 FROM \"%w\".sqlite_master");
  if( rc==SQLITE_OK && sqlite3_step(u->pHold)!=SQLITE_ROW ) rc = sqlite3_reset(u->pHold);
  return rc;
}

int prillUndoBegin(PrillStore *p, PrillUndo *u, int bSave){
  sqlite3 *db = p->pConn->db;
  int rc;
  u->bSave = bSave;
  u->pBack = u->pRelease = u->pHold = 0;
  rc = sqlite3_prepare_v2(db, bSave ? "ROLLBACK TO prill_step" : "ROLLBACK", -1, &u->pBack, 0);
  if( rc==SQLITE_OK && bSave ) rc = sqlite3_prepare_v2(db, "RELEASE prill_step", -1, &u->pRelease, 0);
  if( rc!=SQLITE_OK ) rc = storeSqlError(p, rc);
  if( rc==SQLITE_OK ) rc = prillStoreExec(p, bSave ? "SAVEPOINT prill_step" : "BEGIN IMMEDIATE");
  if( rc!=SQLITE_OK ){
    storeUndoFree(u);
  }else if( !bSave ){
    rc = prillUndoHold(p, u);
    if( rc!=SQLITE_OK ) rc = prillUndoEnd(p, u, rc);
  }
  return rc;
}

int prillUndoEnd(PrillStore *p, PrillUndo *u, int rc){
  if( rc==SQLITE_OK ) rc = prillStoreExec(p, u->bSave ? "RELEASE prill_step" : "COMMIT");
  if( rc!=SQLITE_OK && !sqlite3_get_autocommit(p->pConn->db) ){
    (void)sqlite3_step(u->pBack);
    if( u->pRelease ) (void)sqlite3_step(u->pRelease);
  }
  if( rc!=SQLITE_OK ) sqlite3_reset(u->pHold);
  storeUndoFree(u);
  return rc;
}

int prillStoreRefresh(PrillStore *p){
  sqlite3 *db = p->pConn->db;
  int eTxn = sqlite3_txn_state(db, p->zSchema);
  int rc = SQLITE_OK;
  if( p->bDirty && eTxn!=SQLITE_TXN_WRITE ){
    prillStoreForget(p);             /* the transaction that changed it has ended */
  }
  if( p->bLoaded && !p->bDirty && eTxn!=SQLITE_TXN_NONE && storeDataVersion(p)==p->iDataVersion ){
    return (p->bTail || !p->bExists) ? SQLITE_OK : prillTailLoad(p);
  }
  rc = storeLoad(p, eTxn);
  if( rc==SQLITE_OK && p->bExists ) rc = prillTailLoad(p);
  if( rc!=SQLITE_OK ) p->bLoaded = 0;
  return rc;
}

PrillTopic *prillStoreTopic(PrillStore *p, const char *zName){
  PrillTopic *pTopic;
  for(pTopic=p->pTopics; pTopic && strcmp(pTopic->zName, zName)!=0; pTopic=pTopic->pNext){}
  return pTopic;
}

PrillPart *prillStorePart(PrillStore *p, i64 iPid){
  PrillPart *pPart;
  if( p->nBucket==0 ) return 0;
  for(pPart=p->apPart[(u64)iPid % (u64)p->nBucket]; pPart && pPart->iPid!=iPid; pPart=pPart->pHash){}
  return pPart;
}

int prillStoreSyncLevel(PrillStore *p, int *pLevel){
  sqlite3_stmt *pStmt = 0;
  int rc = prillStorePrepare(p, &pStmt, "PRAGMA \"%w\".synchronous");
  *pLevel = 2;
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) *pLevel = sqlite3_column_int(pStmt, 0);
  sqlite3_finalize(pStmt);
  return rc;
}

/**************************************************************************
** The store's tables and directory.
*/
i64 prillStoreStamp(PrillStore *p){
  u64 v = 0;
  p->pVfs->xRandomness(p->pVfs, (int)sizeof(v), (char*)&v);
  return (i64)(v>>1) | 1;
}

int prillStoreCatalogChanged(PrillStore *p){
  p->bDirty = 1;
  return prillStoreExec(p, "UPDATE \"%w\".prill_store_state SET catalog=%lld WHERE id=0", prillStoreStamp(p));
}

/* Run by module prill_store's xCreate. */
int prillStoreTables(PrillStore *p){
  u8 aId[16];
  char zId[33];
  char zBoot[40];
  int rc;
  p->pVfs->xRandomness(p->pVfs, 16, (char*)aId);
  if( p->zDir ){
    /* A database without a store row adopts the directory it finds. */
    char *zPath = sqlite3_mprintf("%s/store", p->zDir);
    PrillFile *pFile = 0;
    char zHex[33];
    if( zPath==0 ) return SQLITE_NOMEM;
    if( prillFileOpen(p->pVfs, zPath, PRILL_OPEN_READ, 0, &pFile)==SQLITE_OK
     && prillFileRead(pFile, zHex, 32, 0)==SQLITE_OK ){
      zHex[32] = 0;
      (void)prillUnhex(zHex, aId, 16);
    }
    prillFileClose(pFile);
    sqlite3_free(zPath);
  }
  prillHex(aId, 16, zId);
  prillFileBootId(zBoot);
  rc = prillStoreExec(p, zSchemaSql);
  if( rc==SQLITE_OK ){
    rc = prillStoreExec(p, "INSERT INTO \"%w\".prill_store_state VALUES(0,%d,x'%s',%lld,%lld,1,1,%Q,0,NULL,0,NULL,"
                        "NULL)",
                        STORE_FORMAT, zId, prillStoreStamp(p), prillStoreStamp(p), zBoot);
  }
  p->bDirty = 1;
  return rc;
}

/* No cached statement: it would hold the table, and the table the store. */
int prillStoreJoin(PrillStore *p){
  return prillStoreExec(p, "DELETE FROM \"%w\".prill_store WHERE 0");
}

int prillStoreParty(PrillStore *p){
  return p->pStage ? SQLITE_OK : prillStoreJoin(p);
}

int prillStoreCreate(PrillStore *p){
  int bThere = 0;
  int rc = prillStoreIs(p, &bThere);
  if( rc!=SQLITE_OK || bThere ) return rc;
  rc = prillStoreExec(p, "CREATE VIRTUAL TABLE \"%w\".prill_store USING prill_store");
  p->bDirty = 1;
  return rc==SQLITE_OK ? prillStoreRefresh(p) : rc;
}

/* Compare the directory's id with ours.  *pbThere: 1 there is an id file, 2
** with a well-formed id in it. */
static int storeDirId(PrillStore *p, int *pbThere, int *pbSame){
  char *zPath = sqlite3_mprintf("%s/store", p->zDir);
  PrillFile *pFile = 0;
  char zHex[33], zWant[33];
  u8 aGot[16];
  int rc;
  *pbThere = *pbSame = 0;
  if( zPath==0 ) return SQLITE_NOMEM;
  rc = prillFileOpen(p->pVfs, zPath, PRILL_OPEN_READ, 0, &pFile);
  if( rc==SQLITE_OK ){
    *pbThere = 1;
    memcpy(p->aDirIdent, pFile->aIdent, sizeof(p->aDirIdent));
    rc = prillFileRead(pFile, zHex, 32, 0);
    zHex[32] = 0;
    prillHex(p->aId, 16, zWant);
    *pbSame = rc==SQLITE_OK && strcmp(zHex, zWant)==0;
    if( rc==SQLITE_OK && prillUnhex(zHex, aGot, 16)==0 ) *pbThere = 2;
    if( rc==SQLITE_IOERR_SHORT_READ ) rc = SQLITE_OK;
  }else if( (rc&0xff)==SQLITE_CANTOPEN ){
    int bExists = 0;
    rc = prillFileExists(p->pVfs, zPath, &bExists);
    if( rc==SQLITE_OK && bExists ) rc = prillError(p->pConn, SQLITE_CANTOPEN,
        "cannot open %s; check its permissions", zPath);
  }
  prillFileClose(pFile);
  sqlite3_free(zPath);
  return rc;
}

static int storeDirRefused(PrillStore *p){
  char zId[33];
  const char *zBase = strrchr(p->zDb, '/');
  zBase = zBase ? zBase+1 : p->zDb;
  prillHex(p->aId, 16, zId);
  return prillError(p->pConn, SQLITE_CANTOPEN,
      "%s needs its log directory %s-log (id %s); copy both with prill backup", zBase, zBase, zId);
}

/* The directory was found good before: is it still the same one?  When not,
** what is open or cached of its files goes (I4).  Not the segments' indexes: the
** rows have their checksums. */
static int storeDirStill(PrillStore *p){
  u64 a[2];
  char *zPath;
  if( p->aDirIdent[1]==0 ) return SQLITE_OK;
  zPath = sqlite3_mprintf("%s/store", p->zDir);
  if( zPath==0 ) return SQLITE_NOMEM;
  prillFileIdent(zPath, a);
  sqlite3_free(zPath);
  if( a[0]!=p->aDirIdent[0] || a[1]!=p->aDirIdent[1] ){
    p->eDir = 0;
    prillFilesClose(p);
    prillPagesFree(p);
  }
  return SQLITE_OK;
}

int prillStoreLookDir(PrillStore *p){
  i64 msNow;
  int bThere, bSame;
  int rc = SQLITE_OK;
  if( p->zDir==0 || !p->bExists || !p->bDirRow ) return SQLITE_OK;
  msNow = prillNow(p->pVfs);
  if( p->eDir==1 ) rc = storeDirStill(p);
  if( rc==SQLITE_OK && p->eDir!=1 ){
    rc = storeDirId(p, &bThere, &bSame);
    if( rc==SQLITE_OK ) p->eDir = bSame ? 1 : 2;
  }
  if( rc!=SQLITE_OK ) return rc;
  p->msDir = msNow;
  return p->eDir==1 ? SQLITE_OK : storeDirRefused(p);
}

int prillStoreCheckDir(PrillStore *p){
  if( p->eDir==1 ){
    i64 ms = prillNow(p->pVfs) - p->msDir;
    if( ms>=0 && ms<prillLimit.msDir ) return SQLITE_OK;
  }
  return prillStoreLookDir(p);
}

int prillStoreMakeDir(PrillStore *p, int bSync){
  int bThere = 0, bSame = 0;
  char *zPath;
  PrillFile *pFile = 0;
  char zId[33];
  int rc;
  if( p->bDirRow ) return prillStoreLookDir(p);
  rc = prillFileMkdir(p->pVfs, p->zDir, p->zDb, bSync);
  if( rc!=SQLITE_OK ){
    return prillError(p->pConn, rc, "cannot make the log directory %s; check the permissions of"
                      " the directory it is in", p->zDir);
  }
  rc = storeDirId(p, &bThere, &bSame);
  if( rc!=SQLITE_OK ) return rc;
  if( !bSame && bThere==2 ) return storeDirRefused(p);
  if( bSame && !bSync ) return SQLITE_OK;
  /* No id, a torn first write, or ours by a transaction that never committed:
  ** write it (again), so that it and its directory entry can be made durable. */
  zPath = sqlite3_mprintf("%s/store", p->zDir);
  if( zPath==0 ) return SQLITE_NOMEM;
  prillHex(p->aId, 16, zId);
  zId[32] = '\n';
  rc = prillFileOpen(p->pVfs, zPath, PRILL_OPEN_CREATE, p->zDb, &pFile);
  if( rc==SQLITE_OK ) rc = prillFileWrite(pFile, zId, 33, 0);
  if( rc==SQLITE_OK && bSync ) rc = prillFileSync(pFile);
  if( rc!=SQLITE_OK ) prillError(p->pConn, rc, "cannot write %s; check permissions and space", zPath);
  prillFileClose(pFile);
  sqlite3_free(zPath);
  return rc;
}
