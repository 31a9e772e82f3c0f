/*
** prill.c: the prill command: which command, its options, the database,
** messages.
**
** Data goes to standard output, messages to standard error, one line each.
** Exit status: 0, 1 after an error, 2 when the command line was wrong.
**
** Whatever goes wrong ends the process through cmdFatal(), which closes the
** database first: a transaction that was open is rolled back.
*/
#include "cmd.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

static const Cmd aCmd[] = {
  {"topic create", "NAME [OPTION]...", "make a topic and a table of its name",
   "  -p, --partitions N        number of partitions [1]\n"
   "  -c, --config NAME=VALUE   a setting, Kafka's names (retention.ms=86400000)\n"
   "      --no-table            the topic alone\n"
   "      --if-not-exists       no error when there is one\n", cmdTopicCreate},
  {"topic list", "[-o text|json]", "list topics", 0, cmdTopicList},
  {"topic describe", "NAME [-o text|json]", "show a topic's settings and partitions", 0, cmdTopicDescribe},
  {"topic alter", "NAME OPTION...", "add partitions, change settings",
   "  -p, --partitions N        so many partitions from now on; never fewer\n"
   "  -c, --config NAME=VALUE   change a setting; NAME= takes its default\n", cmdTopicAlter},
  {"topic delete", "NAME...", "drop topics and their records", 0, cmdTopicDelete},
  {"produce", "TOPIC [FILE] [OPTION]...", "append records as they are read",
   "  -k, --key KEY             the same key for all\n"
   "  -K, --key-separator SEP   the key is what is before SEP in each line\n"
   "      --key-regex REGEX     the key is its first group, or the whole match\n"
   "      --json                each line is an object: key, value, partition,\n"
   "                            timestamp, headers\n"
   "  -p, --partition N         this partition\n"
   "  -H, --header NAME=VALUE   a header for all\n", cmdProduce},
  {"import", "TOPIC [FILE] [OPTION]...", "append a file's records: all, or none",
   "  -k, -K, --key-regex, --json, -p, -H as for produce\n"
   "      --commit-every N      a transaction every N lines, not one for all\n"
   "      --skip-bad            pass over malformed lines and count them\n"
   "      --keep-offsets        with --json: offsets must come out as given\n"
   "      --repartition         with --json: do not keep the partition\n", cmdImport},
  {"consume", "TOPIC [OPTION]...", "print records, from the earliest to the end",
   "      --from WHERE          earliest, latest, an offset, -N for the last N,\n"
   "                            2024-01-31T12:00:00Z, or @MILLISECONDS\n"
   "  -f, --follow              then wait for more and print them as they come\n"
   "  -n, --count N             at most N records\n"
   "  -p, --partition N         only this partition\n"
   "  -K, --key-separator SEP   print the key and SEP before the value\n"
   "  -o, --output FORMAT       text, json, or a format: %s %v value, %k key,\n"
   "                            %p partition, %o offset, %T timestamp, %t topic,\n"
   "                            %h headers, %S %K lengths, %n newline, \\t \\xNN\n"
   "  -g, --group GROUP         as a member of the group, from where it has come to;\n"
   "                            what was printed is committed\n"
   "      --exec COMMAND        with -g: run it for each record, by sh -c, the value\n"
   "                            on standard input, PRILL_TOPIC, PRILL_PARTITION,\n"
   "                            PRILL_OFFSET, PRILL_KEY and PRILL_TIMESTAMP set\n"
   "      --workers N           so many at a time, of one key one; 1\n"
   "      --retries N           runs after one that failed; 3\n"
   "      --backoff MS          before the first of them, then twice as long each; 200\n"
   "      --dead-letter TOPIC   for what failed all the same; else that is the end\n", cmdConsume},
  {"export", "TOPIC [-p PARTITION]", "print records as JSON lines, which import --json reads", 0, cmdExport},
  {"group list", "[-o text|json]", "list consumer groups and how far behind they are", 0, cmdGroupList},
  {"group describe", "GROUP [-o text|json]", "show a group's members and offsets", 0, cmdGroupDescribe},
  {"group reset", "GROUP TOPIC --to WHERE", "set a group's offsets of a topic; it must have no members",
   "      --to WHERE            earliest, latest, or an offset\n"
   "  -p, --partition N         only this partition\n", cmdGroupReset},
  {"group delete", "GROUP...", "forget groups and their offsets; they must have no members", 0, cmdGroupDelete},
  {"backup", "DEST", "copy the store, its database and its log, while others use it", 0, cmdBackup},
  {"restore", "SRC DEST", "check a backup and make a store of it", 0, cmdRestore},
  {"check", "", "check every byte of the store", 0, cmdCheck},
  {"top", "[OPTION]...", "show what the store is doing, again and again",
   "  -n, --count N             N times, then end\n"
   "  -i, --interval SECONDS    the time between [1]\n", cmdTop},
  {"doctor", "[-o text|json]", "look for what keeps the store from working well", 0, cmdDoctor},
  {"sql", "[ARGUMENT]...", "the sqlite3 shell with prill loaded", 0, cmdSql},
};
#define CMD_N ((int)(sizeof(aCmd)/sizeof(aCmd[0])))

const Cmd *pCmd = 0;
sqlite3 *cmdDb = 0;
const char *zCmdDb = 0;

/**************************************************************************
** Messages.
*/
static void cmdSay(const char *zFmt, va_list ap){
  fflush(stdout);
  fputs("prill: ", stderr);
  vfprintf(stderr, zFmt, ap);
  fputc('\n', stderr);
}

void cmdFatal(const char *zFmt, ...){
  va_list ap;
  va_start(ap, zFmt);
  cmdSay(zFmt, ap);
  va_end(ap);
  if( cmdDb ){
    sqlite3_exec(cmdDb, "ROLLBACK", 0, 0, 0);
    sqlite3_close_v2(cmdDb);
  }
  exit(1);
}

static void cmdPutUsage(FILE *pOut, const Cmd *p){
  fprintf(pOut, "usage: prill [-d FILE] %s%s%s\n", p->zName, p->zArgs[0] ? " " : "", p->zArgs);
}

void cmdUsage(const char *zFmt, ...){
  va_list ap;
  va_start(ap, zFmt);
  cmdSay(zFmt, ap);
  va_end(ap);
  if( pCmd ){
    cmdPutUsage(stderr, pCmd);
  }else{
    fputs("usage: prill [-d FILE] COMMAND [ARGUMENT]...; prill --help lists the commands\n", stderr);
  }
  exit(2);
}

static int cmdHelpOf(const Cmd *p){
  cmdPutUsage(stdout, p);
  printf("%s\n", p->zWhat);
  if( p->zHelp ) printf("\n%s", p->zHelp);
  cmdFlush();
  return 0;
}

static int cmdHelp(void){
  int i;
  printf("usage: prill [-d FILE] COMMAND [ARGUMENT]...\n\n"
         "Topics in a SQLite database.  FILE is, when not given, $PRILL_DB or prill.db.\n\n");
  for(i=0; i<CMD_N; i++) printf("  %-16s %s\n", aCmd[i].zName, aCmd[i].zWhat);
  printf("\n  -d, --database FILE   the database\n"
         "  -h, --help            this text; after a command, its options\n"
         "      --version         the version\n");
  cmdFlush();
  return 0;
}

void cmdFlush(void){
  if( fflush(stdout)!=0 || ferror(stdout) ){
    if( errno==EPIPE ) exit(1);
    cmdFatal("cannot write to standard output: %s", strerror(errno));
  }
}

/**************************************************************************
** Memory.
*/
void *cmdAlloc(void *pOld, u64 n){
  void *p = sqlite3_realloc64(pOld, n ? n : 1);
  if( p==0 ) cmdFatal("out of memory");
  return p;
}

char *cmdVprintf(const char *zFmt, va_list ap){
  char *z = sqlite3_vmprintf(zFmt, ap);
  if( z==0 ) cmdFatal("out of memory");
  return z;
}

char *cmdPrintf(const char *zFmt, ...){
  va_list ap;
  char *z;
  va_start(ap, zFmt);
  z = cmdVprintf(zFmt, ap);
  va_end(ap);
  return z;
}

/**************************************************************************
** Options.
*/
int cmdInt(const char *z, i64 *pOut){
  char *zEnd;
  long long v;
  errno = 0;
  if( z[0]!='-' && (z[0]<'0' || z[0]>'9') ) return 0;
  v = strtoll(z, &zEnd, 10);
  *pOut = v;
  return errno==0 && zEnd>z && *zEnd==0 && !(zEnd==z+1 && z[0]=='-');
}

/* Give an option its value.  zName is how the user wrote it.  None is negative. */
static void cmdSetOption(const CmdOpt *p, const char *zName, const char *zVal){
  CmdList *pList;
  switch( p->eType ){
    case OPT_FLAG:
      *(int*)p->p = 1;
      break;
    case OPT_INT:
      if( !cmdInt(zVal, (i64*)p->p) || *(i64*)p->p<0 ) cmdUsage("%s: '%s' is not a whole number", zName, zVal);
      break;
    case OPT_TEXT:
      *(const char**)p->p = zVal;
      break;
    default:
      pList = (CmdList*)p->p;
      pList->az = (const char**)cmdAlloc((void*)pList->az, sizeof(char*)*(u64)(pList->n+1));
      pList->az[pList->n++] = zVal;
      break;
  }
}

/* The option a word names, NULL for none.  *pzVal: a value in the same word. */
static const CmdOpt *cmdFindOption(const CmdOpt *a, int n, const char *zWord, const char **pzVal){
  size_t nName;
  int i;
  *pzVal = 0;
  if( zWord[1]!='-' ){
    for(i=0; i<n; i++){
      if( a[i].c==zWord[1] ){
        if( zWord[2] ) *pzVal = zWord+2;
        return &a[i];
      }
    }
    return 0;
  }
  nName = strcspn(zWord+2, "=");
  for(i=0; i<n; i++){
    if( a[i].zLong && strlen(a[i].zLong)==nName && memcmp(a[i].zLong, zWord+2, nName)==0 ){
      if( zWord[2+nName] ) *pzVal = zWord+3+nName;
      return &a[i];
    }
  }
  return 0;
}

void cmdSeparator(const char *zSep, CmdBuf *pOut){
  const char *z;
  for(z=zSep; *z; z++){
    unsigned v = 0;
    if( z[0]!='\\' ){
      cmdBufChar(pOut, *z);
    }else if( z[1]=='t' || z[1]=='n' || z[1]=='\\' ){
      cmdBufChar(pOut, z[1]=='t' ? '\t' : z[1]=='n' ? '\n' : '\\');
      z++;
    }else if( z[1]=='x' && strspn(z+2, "0123456789abcdefABCDEF")>=2 && sscanf(z+2, "%2x", &v)==1 ){
      cmdBufChar(pOut, (int)v);
      z += 3;
    }else{
      cmdUsage("-K %s: use \\t, \\n, \\xNN or \\\\", zSep);
    }
  }
  if( pOut->n==0 ) cmdUsage("-K: the separator is empty");
}

/* Options that every command has. */
static const CmdOpt aCommon[] = {
  {'d', "database", OPT_TEXT, (void*)&zCmdDb},
};

int cmdOptions(int nArg, char **azArg, const CmdOpt *aOpt, int nOpt, int nMin, int nMax){
  int i, n = 0;
  for(i=0; i<nArg; i++){
    const char *zWord = azArg[i], *zVal;
    const CmdOpt *p;
    if( zWord[0]!='-' || zWord[1]==0 ){
      azArg[n++] = azArg[i];
      continue;
    }
    if( strcmp(zWord, "--")==0 ){
      while( ++i<nArg ) azArg[n++] = azArg[i];
      break;
    }
    if( strcmp(zWord, "-h")==0 || strcmp(zWord, "--help")==0 ) exit(cmdHelpOf(pCmd));
    p = cmdFindOption(aOpt, nOpt, zWord, &zVal);
    if( p==0 ) p = cmdFindOption(aCommon, 1, zWord, &zVal);
    if( p==0 ) cmdUsage("unknown option %s", zWord);
    if( p->eType==OPT_FLAG && zVal ) cmdUsage("%s takes no value", zWord);
    if( p->eType!=OPT_FLAG && zVal==0 ){
      if( ++i>=nArg ) cmdUsage("%s needs a value", zWord);
      zVal = azArg[i];
    }
    cmdSetOption(p, zWord, zVal);
  }
  if( n<nMin ) {
    if( strstr(pCmd->zArgs, "GROUP") ) cmdUsage(n ? "no topic was named" : "no group was named");
    cmdUsage(strstr(pCmd->zArgs, "DEST") ? "no file was named" : "no topic was named");
  }
  if( n>nMax ) cmdUsage("too many arguments: %s", azArg[nMax]);
  return n;
}

/**************************************************************************
** The database.
*/
static void cmdDbFatal(void){
  cmdFatal("%s", sqlite3_errmsg(cmdDb));
}

void cmdDatabase(void){
  if( zCmdDb==0 ) zCmdDb = getenv("PRILL_DB");
  if( zCmdDb==0 || zCmdDb[0]==0 ) zCmdDb = "prill.db";
}

/* Is the database one that has not been written yet? */
static int cmdIsNew(void){
  sqlite3_stmt *pStmt = cmdPrepare("PRAGMA page_count");
  int bNew = cmdStep(pStmt) && sqlite3_column_int64(pStmt, 0)==0;
  cmdFinish(pStmt);
  return bNew;
}

void cmdOpen(int eOpen){
  int rc;
  cmdDatabase();
  /* Debian's SQLite takes a name that begins so for a URI. */
  if( eOpen!=CMD_CREATE && strncmp(zCmdDb, "file:", 5)!=0 && access(zCmdDb, F_OK)!=0 ){
    cmdFatal("%s: no such database; prill topic create makes one, -d FILE names another", zCmdDb);
  }
  rc = sqlite3_open_v2(zCmdDb, &cmdDb, SQLITE_OPEN_READWRITE | (eOpen==CMD_CREATE ? SQLITE_OPEN_CREATE : 0), 0);
  if( rc!=SQLITE_OK ) cmdFatal("%s: %s", zCmdDb, cmdDb ? sqlite3_errmsg(cmdDb) : "out of memory");
  sqlite3_extended_result_codes(cmdDb, 1);
  if( prill_init(cmdDb)!=SQLITE_OK ) cmdDbFatal();
  cmdExec("SELECT prill_busy_timeout(10000)");
  if( eOpen!=CMD_READ && sqlite3_db_readonly(cmdDb, "main") ){
    cmdFatal("%s: cannot be written; check its permissions", zCmdDb);
  }
  rc = sqlite3_exec(cmdDb, "PRAGMA schema_version", 0, 0, 0);
  if( rc!=SQLITE_OK ) cmdFatal("%s: %s", zCmdDb, sqlite3_errmsg(cmdDb));
  if( eOpen==CMD_CREATE && cmdIsNew() ) cmdExec("PRAGMA journal_mode=WAL");
}

void cmdClose(void){
  if( sqlite3_close(cmdDb)!=SQLITE_OK ) cmdDbFatal();
  cmdDb = 0;
}

sqlite3_stmt *cmdPrepare(const char *zFmt, ...){
  sqlite3_stmt *pStmt = 0;
  va_list ap;
  char *zSql;
  va_start(ap, zFmt);
  zSql = cmdVprintf(zFmt, ap);
  va_end(ap);
  if( sqlite3_prepare_v2(cmdDb, zSql, -1, &pStmt, 0)!=SQLITE_OK ) cmdDbFatal();
  sqlite3_free(zSql);
  return pStmt;
}

void cmdExec(const char *zFmt, ...){
  va_list ap;
  char *zSql;
  va_start(ap, zFmt);
  zSql = cmdVprintf(zFmt, ap);
  va_end(ap);
  if( sqlite3_exec(cmdDb, zSql, 0, 0, 0)!=SQLITE_OK ) cmdDbFatal();
  sqlite3_free(zSql);
}

int cmdStep(sqlite3_stmt *pStmt){
  int rc = sqlite3_step(pStmt);
  if( rc!=SQLITE_ROW && rc!=SQLITE_DONE ) cmdDbFatal();
  return rc==SQLITE_ROW;
}

void cmdFinish(sqlite3_stmt *pStmt){
  if( sqlite3_finalize(pStmt)!=SQLITE_OK ) cmdDbFatal();
}

void cmdBindText(sqlite3_stmt *pStmt, int i, const char *z){
  if( sqlite3_bind_text(pStmt, i, z, -1, SQLITE_TRANSIENT)!=SQLITE_OK ) cmdDbFatal();
}

/**************************************************************************
** Queries to look at.
*/

/* Characters of a text, near enough: bytes that do not continue one. */
static int cmdWidth(const char *z){
  int n = 0;
  for(; *z; z++) n += ((u8)*z & 0xc0)!=0x80;
  return n;
}

void cmdPrintTable(sqlite3_stmt *pStmt){
  int nCol = sqlite3_column_count(pStmt);
  int n = nCol, i;                      /* cells; the first row is the head */
  int *aWidth = (int*)cmdAlloc(0, sizeof(int)*(u64)nCol*2);
  int *abNum = aWidth+nCol;
  char **az = (char**)cmdAlloc(0, sizeof(char*)*(u64)nCol);
  for(i=0; i<nCol; i++){
    az[i] = cmdPrintf("%s", sqlite3_column_name(pStmt, i));
    abNum[i] = 1;
  }
  while( cmdStep(pStmt) ){
    az = (char**)cmdAlloc(az, sizeof(char*)*(u64)(n+nCol));
    for(i=0; i<nCol; i++){
      const char *z = (const char*)sqlite3_column_text(pStmt, i);
      int eType = sqlite3_column_type(pStmt, i);
      if( eType!=SQLITE_INTEGER && eType!=SQLITE_FLOAT && eType!=SQLITE_NULL ) abNum[i] = 0;
      az[n++] = cmdPrintf("%s", z ? z : "");
    }
  }
  for(i=0; i<n; i++){
    int w = cmdWidth(az[i]);
    if( i<nCol || w>aWidth[i%nCol] ) aWidth[i%nCol] = w;
  }
  for(i=0; i<n; i++){
    int iCol = i%nCol;
    int nPad = aWidth[iCol]-cmdWidth(az[i]);
    if( abNum[iCol] ) printf("%*s%s", nPad, "", az[i]); else printf("%s%*s", az[i], iCol<nCol-1 ? nPad : 0, "");
    fputs(iCol<nCol-1 ? "  " : "\n", stdout);
    sqlite3_free(az[i]);
  }
  sqlite3_free(az);
  sqlite3_free(aWidth);
  cmdFinish(pStmt);
}

void cmdPrintJson(sqlite3_stmt *pStmt){
  CmdBuf b = {0,0,0};
  while( cmdStep(pStmt) ){
    int i;
    b.n = 0;
    for(i=0; i<sqlite3_column_count(pStmt); i++){
      const char *zName = sqlite3_column_name(pStmt, i);
      const u8 *z = sqlite3_column_text(pStmt, i);
      cmdBufChar(&b, i ? ',' : '{');
      cmdJsonPut(&b, (const u8*)zName, strlen(zName));
      cmdBufChar(&b, ':');
      if( z==0 ){
        cmdBufAdd(&b, "null", 4);
      }else if( sqlite3_column_type(pStmt, i)!=SQLITE_TEXT || strcmp(zName, "config")==0 ){
        cmdBufAdd(&b, z, strlen((const char*)z));
      }else{
        cmdJsonPut(&b, z, strlen((const char*)z));
      }
    }
    cmdBufAdd(&b, "}\n", 2);
    fwrite(b.a, 1, b.n, stdout);
  }
  sqlite3_free(b.a);
  cmdFinish(pStmt);
}

/**************************************************************************
** Which command.
*/

/* Does "zFirst zSecond", or zFirst alone, name p?  The number of words. */
static int cmdMatch(const Cmd *p, const char *zFirst, const char *zSecond){
  const char *zBlank = strchr(p->zName, ' ');
  if( zBlank==0 ) return strcmp(p->zName, zFirst)==0 ? 1 : 0;
  if( strncmp(p->zName, zFirst, (size_t)(zBlank-p->zName))!=0 || zFirst[zBlank-p->zName] ) return 0;
  return zSecond && strcmp(zBlank+1, zSecond)==0 ? 2 : 0;
}

/* Options before the command.  Returns the place of the command's name. */
static int cmdGlobal(int argc, char **argv){
  int i;
  for(i=1; i<argc && argv[i][0]=='-' && argv[i][1]; i++){
    const char *zVal;
    const CmdOpt *p;
    if( strcmp(argv[i], "-h")==0 || strcmp(argv[i], "--help")==0 ) exit(cmdHelp());
    if( strcmp(argv[i], "--version")==0 ){
      printf("prill %s (SQLite %s)\n", prill_version(), sqlite3_libversion());
      cmdFlush();
      exit(0);
    }
    p = cmdFindOption(aCommon, 1, argv[i], &zVal);
    if( p==0 ) cmdUsage("unknown option %s", argv[i]);
    if( zVal==0 ){
      if( i+1>=argc ) cmdUsage("%s needs a value", argv[i]);
      zVal = argv[++i];
    }
    cmdSetOption(p, argv[i], zVal);
  }
  return i;
}

int main(int argc, char **argv){
  int i, iArg, rc, nWord = 0;
  signal(SIGPIPE, SIG_DFL);
  iArg = cmdGlobal(argc, argv);
  if( iArg>=argc ) cmdUsage("no command was given");
  if( strcmp(argv[iArg], "help")==0 && iArg+1>=argc ) return cmdHelp();
  if( strcmp(argv[iArg], "help")==0 ) iArg++;
  for(i=0; i<CMD_N && nWord==0; i++){
    nWord = cmdMatch(&aCmd[i], argv[iArg], iArg+1<argc ? argv[iArg+1] : 0);
    if( nWord ) pCmd = &aCmd[i];
  }
  if( pCmd==0 && strcmp(argv[iArg], "topic")==0 ){
    cmdUsage("prill topic create, list, describe, alter or delete");
  }
  if( pCmd==0 && strcmp(argv[iArg], "group")==0 ) cmdUsage("prill group list, describe, reset or delete");
  if( pCmd==0 ) cmdUsage("unknown command %s", argv[iArg]);
  if( iArg>1 && strcmp(argv[iArg-1], "help")==0 ) return cmdHelpOf(pCmd);
  iArg += nWord;
  rc = pCmd->xRun(pCmd, argc-iArg, argv+iArg);
  if( cmdDb ) cmdClose();
  cmdFlush();
  return rc;
}
