/*
** cmd_store.c: prill backup and restore.
**
** Both are prill_backup(); restore looks at every byte of its source first.
*/
#include "cmd.h"

/* SELECT prill_backup(zDest), and say what was done. */
static void storeCopy(const char *zDest, const char *zFirst){
  sqlite3_stmt *pStmt = cmdPrepare("SELECT x->>'files', x->>'linked', x->>'bytes' FROM"
                                   " (SELECT prill_backup(%Q) AS x)", zDest);
  cmdStep(pStmt);
  printf("%s%s and %s-log: %s files of the log, %s of them linked, %s bytes copied\n", zFirst, zDest, zDest,
         sqlite3_column_text(pStmt, 0), sqlite3_column_text(pStmt, 1), sqlite3_column_text(pStmt, 2));
  cmdFinish(pStmt);
}

int cmdBackup(const Cmd *p, int nArg, char **azArg){
  (void)p;
  cmdOptions(nArg, azArg, 0, 0, 1, 1);
  cmdOpen(CMD_READ);
  storeCopy(azArg[0], "");
  return 0;
}

int cmdRestore(const Cmd *p, int nArg, char **azArg){
  sqlite3_stmt *pStmt;
  const char *zBad;
  char *zFirst;
  (void)p;
  cmdOptions(nArg, azArg, 0, 0, 2, 2);
  zCmdDb = azArg[0];
  cmdOpen(CMD_READ);
  pStmt = cmdPrepare("SELECT prill_check()");
  cmdStep(pStmt);
  zBad = (const char*)sqlite3_column_text(pStmt, 0);
  if( zBad==0 || strcmp(zBad, "ok")!=0 ){
    cmdFatal("%s is damaged and was not restored: %s", zCmdDb, zBad ? zBad : "out of memory");
  }
  cmdFinish(pStmt);
  zFirst = cmdPrintf("%s is whole; ", zCmdDb);
  storeCopy(azArg[1], zFirst);
  sqlite3_free(zFirst);
  return 0;
}
