/*
** crashd.c: prilld on the VFS "crash", for test/prilldcrash.test.
**
** The daemon itself, its objects as they are, main() and all; below it
** test/fixture/crashvfs.c is the default VFS, so that every write and sync of
** database and log goes through it.  The environment says when the power fails:
**
**   CRASHD_OP      at this operation from now, 0: never
**   CRASHD_KIND    any, write, sync, ...: which are counted
**   CRASHD_AFTER   1: after it
**   CRASHD_DAMAGE  auto, drop-all, ...
**   CRASHD_SEED    a number
**   CRASHD_REPORT  a file that gets a line for it
**   CRASHD_BOOT    the kernel's boot id
**
** Then the process ends with status 3.
**
**   CRASHD_SQL     a file: a thread that is nobody of the daemon's writes and reads the
**                  same store with SQL, on a connection of its own.  It inserts
**                  1, 2, 3, ... into topic s and table plain in one transaction each, and
**                  when that is committed (synchronous=FULL) adds the number to the
**                  file; and it reads topic t.  An error is added as a line of text.
*/
#define _GNU_SOURCE 1          /* usleep */
#include "prillInt.h"
#include "vfsshim.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int prilldMain(int argc, char **argv);

static i64 crashdNumber(const char *zName){
  const char *z = getenv(zName);
  return z ? (i64)atoll(z) : 0;
}

/* The variable's place in a list of names; the first when it is not set. */
static int crashdWord(const char *zName, const char *const *az){
  const char *z = getenv(zName);
  int i;
  for(i=0; z && az[i]; i++) if( strcmp(az[i], z)==0 ) return i;
  if( z==0 ) return 0;
  fprintf(stderr, "%s=%s: no such word\n", zName, z);
  exit(2);
}

/**************************************************************************
** The process beside it.
*/
static const char *zSqlDb;

static void sqlSay(int fd, const char *z){
  if( write(fd, z, strlen(z))<0 ) abort();
}

/* One statement, tried until it is not kept out by another's lock. */
static int sqlRun(sqlite3 *db, const char *zSql){
  int rc;
  do{
    rc = sqlite3_exec(db, zSql, 0, 0, 0);
  }while( (rc&0xff)==SQLITE_BUSY && sqlite3_get_autocommit(db) && usleep(1000)==0 );
  return rc;
}

static void *sqlThread(void *pArg){
  int fd = open((const char*)pArg, O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0644);
  sqlite3_stmt *pStmt = 0;
  sqlite3 *db = 0;
  i64 n = 0;
  char z[200];
  int rc = sqlite3_open_v2(zSqlDb, &db, SQLITE_OPEN_READWRITE, 0);
  if( rc==SQLITE_OK ) rc = prill_init(db);
  if( rc==SQLITE_OK ) rc = sqlite3_busy_timeout(db, 5000);
  if( rc==SQLITE_OK ) rc = sqlRun(db, "PRAGMA synchronous=FULL");
  if( rc==SQLITE_OK ) rc = sqlite3_prepare_v2(db, "SELECT coalesce(max(n), 0) FROM plain", -1, &pStmt, 0);
  if( rc==SQLITE_OK && sqlite3_step(pStmt)==SQLITE_ROW ) n = sqlite3_column_int64(pStmt, 0);
  sqlite3_finalize(pStmt);
  while( rc==SQLITE_OK ){
    n++;
    rc = sqlRun(db, "BEGIN IMMEDIATE");
    sqlite3_snprintf(sizeof(z), z, "INSERT INTO s(value) VALUES(%lld); INSERT INTO plain VALUES(%lld);"
                     " SELECT count(*) FROM t WHERE offset>0 AND partition=0", n, n);
    if( rc==SQLITE_OK ) rc = sqlRun(db, z);
    if( rc==SQLITE_OK ) rc = sqlRun(db, "COMMIT");
    sqlite3_snprintf(sizeof(z), z, "%lld\n", n);
    if( rc==SQLITE_OK ) sqlSay(fd, z);
    usleep(3000);
  }
  sqlite3_snprintf(sizeof(z), z, "%s\n", db ? sqlite3_errmsg(db) : "no connection");
  sqlSay(fd, z);
  return 0;
}

int main(int argc, char **argv){
  const char *zSql = getenv("CRASHD_SQL");
  pthread_t thread;
  CrashPlan plan;
  prillFileSetBootId(getenv("CRASHD_BOOT"));
  if( sqlite3_initialize()!=SQLITE_OK || crashvfsInit()!=SQLITE_OK ) return 1;
  if( sqlite3_vfs_register(sqlite3_vfs_find("crash"), 1)!=SQLITE_OK ) return 1;
  memset(&plan, 0, sizeof(plan));
  plan.iOp = crashdNumber("CRASHD_OP");
  plan.eKind = crashdWord("CRASHD_KIND", azCrashKind);
  plan.bAfter = crashdNumber("CRASHD_AFTER")!=0;
  plan.eDamage = crashdWord("CRASHD_DAMAGE", azCrashDamage);
  plan.iSeed = (sqlite3_uint64)crashdNumber("CRASHD_SEED");
  plan.zReport = getenv("CRASHD_REPORT");
  if( crashvfsArm(&plan) ) return 1;
  if( zSql && zSql[0] ){
    zSqlDb = argc>1 ? argv[1] : "";
    if( pthread_create(&thread, 0, sqlThread, (void*)(size_t)zSql)!=0 ) return 1;
  }
  return prilldMain(argc, argv);
}
