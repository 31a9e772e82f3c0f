/*
** cmd_sql.c: prill sql, the sqlite3 shell with prill loaded.
**
** The shell is the one installed; prill.so is looked for beside this program,
** then where "make install" put it.
*/
#include "cmd.h"
#include <errno.h>
#include <unistd.h>

#ifndef PRILL_LIBDIR
# define PRILL_LIBDIR "/usr/local/lib"
#endif

/* The extension's path, or exit. */
static char *sqlExtension(void){
  char zSelf[4096];
  ssize_t n = readlink("/proc/self/exe", zSelf, sizeof(zSelf)-1);
  char *zSlash;
  char *z;
  if( n>0 ){
    zSelf[n] = 0;
    zSlash = strrchr(zSelf, '/');
    if( zSlash ){
      z = cmdPrintf("%.*s/prill.so", (int)(zSlash-zSelf), zSelf);
      if( access(z, R_OK)==0 ) return z;
      sqlite3_free(z);
      z = cmdPrintf("%.*s/../lib/prill.so", (int)(zSlash-zSelf), zSelf);
      if( access(z, R_OK)==0 ) return z;
      sqlite3_free(z);
    }
  }
  z = cmdPrintf("%s/prill.so", PRILL_LIBDIR);
  if( access(z, R_OK)!=0 ) cmdFatal("prill.so is neither beside this program nor in %s; make install puts it there",
                                    PRILL_LIBDIR);
  return z;
}

/* A word of a dot-command, quoted. */
static char *sqlQuote(const char *z){
  CmdBuf b = {0,0,0};
  cmdBufChar(&b, '"');
  for(; *z; z++){
    if( *z=='"' || *z=='\\' ) cmdBufChar(&b, '\\');
    cmdBufChar(&b, *z);
  }
  cmdBufChar(&b, '"');
  return (char*)b.a;
}

int cmdSql(const Cmd *p, int nArg, char **azArg){
  char *zSo, *zWord;
  char **az;
  int i, n = 0;
  (void)p;
  /* The shell's own options are passed on: only these are ours. */
  if( nArg>0 && (strcmp(azArg[0], "-h")==0 || strcmp(azArg[0], "--help")==0) ){
    cmdOptions(1, azArg, 0, 0, 0, 0);
  }
  zSo = sqlExtension();
  cmdOpen(CMD_CREATE);
  cmdClose();
  zWord = sqlQuote(zSo);
  az = (char**)cmdAlloc(0, sizeof(char*)*(u64)(nArg+8));
  az[n++] = cmdPrintf("sqlite3");
  az[n++] = cmdPrintf("-cmd");
  az[n++] = cmdPrintf(".load %s", zWord);
  az[n++] = cmdPrintf("-cmd");
  az[n++] = cmdPrintf(".timeout 10000");
  az[n++] = zCmdDb[0]=='-' ? cmdPrintf("./%s", zCmdDb) : cmdPrintf("%s", zCmdDb);
  for(i=0; i<nArg; i++) az[n++] = azArg[i];
  az[n] = 0;
  execvp("sqlite3", az);
  if( errno==ENOENT ) cmdFatal("sqlite3 is not installed: prill sql runs SQLite's shell (Debian package sqlite3)");
  cmdFatal("cannot run sqlite3: %s", strerror(errno));
}
