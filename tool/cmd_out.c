/*
** cmd_out.c: prill consume and prill export: records are printed.
**
** One read transaction, so one state of the topic; partition by partition, in
** offset order.  With -f a table "follow" is told, in that transaction, that
** this is where it starts, and afterwards gives what comes.
**
** With -g a table "consumer": what a poll gives is printed, written out, and then
** committed.
*/
#include "cmd_work.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

/* A piece of an output format: bytes, or a field. */
typedef struct OutPiece OutPiece;
struct OutPiece {
  char c;                       /* field's letter, 0: text */
  CmdBuf text;
};

enum { FROM_EARLIEST, FROM_LATEST, FROM_OFFSET, FROM_LAST, FROM_TIME };

typedef struct Out Out;
struct Out {
  const char *zTopic;
  int eFrom;
  i64 iFrom;                    /* offset, count or time */
  i64 nMax, nDone;              /* nMax -1: no bound */
  i64 iPart;                    /* -1: all */
  int bJson;
  int bFollow;
  int bGroup;                   /* -g: other members may be in the way */
  int bBusy;                    /* and were, in the last burst */
  OutPiece *aPiece;
  int nPiece;
  CmdBuf line;
};

/* Columns of the query. */
enum { OUT_PARTITION, OUT_OFFSET, OUT_TIMESTAMP, OUT_KEY, OUT_VALUE, OUT_HEADERS };
#define OUT_COLUMNS "partition, offset, timestamp, key, value, headers"

/**************************************************************************
** Options.
*/

/* A point in time: @MILLISECONDS, or ISO 8601, which SQLite reads.  1 when z
** is one. */
static int outTime(const char *z, i64 *pMs){
  sqlite3_stmt *pStmt;
  int bOk;
  if( z[0]=='@' ) return cmdInt(z+1, pMs);
  if( strlen(z)<10 || z[4]!='-' || z[7]!='-' || strspn(z, "0123456789")!=4 ) return 0;
  pStmt = cmdPrepare("SELECT CAST(round((julianday(%Q)-2440587.5)*86400000.0) AS INTEGER)", z);
  bOk = cmdStep(pStmt) && sqlite3_column_type(pStmt, 0)==SQLITE_INTEGER;
  *pMs = sqlite3_column_int64(pStmt, 0);
  cmdFinish(pStmt);
  return bOk;
}

/* --from.  Needs the database, for its dates. */
static void outFrom(Out *p, const char *z){
  if( z==0 || strcmp(z, "earliest")==0 ){
    p->eFrom = FROM_EARLIEST;
  }else if( strcmp(z, "latest")==0 ){
    p->eFrom = FROM_LATEST;
  }else if( cmdInt(z, &p->iFrom) ){
    p->eFrom = z[0]=='-' ? FROM_LAST : FROM_OFFSET;
    if( p->iFrom<0 ) p->iFrom = -p->iFrom;
  }else if( outTime(z, &p->iFrom) ){
    p->eFrom = FROM_TIME;
  }else{
    cmdUsage("--from %s: use earliest, latest, an offset, -N, 2024-01-31T12:00:00Z or @MILLISECONDS", z);
  }
}

static OutPiece *outPiece(Out *p, char c){
  OutPiece *pNew;
  if( c==0 && p->nPiece && p->aPiece[p->nPiece-1].c==0 ) return &p->aPiece[p->nPiece-1];
  p->aPiece = (OutPiece*)cmdAlloc(p->aPiece, sizeof(OutPiece)*(u64)(p->nPiece+1));
  pNew = &p->aPiece[p->nPiece++];
  memset(pNew, 0, sizeof(*pNew));
  pNew->c = c;
  return pNew;
}

/* A format's \ and % sequences. */
static void outFormat(Out *p, const char *zFormat){
  static const char zFrom[] = "nrt\\%0";
  static const char zTo[] = "\n\r\t\\%";
  const char *z;
  for(z=zFormat; *z; z++){
    const char *zAt;
    unsigned v;
    if( *z!='\\' && *z!='%' ){
      cmdBufChar(&outPiece(p, 0)->text, *z);
    }else if( *z=='\\' ){
      z++;
      zAt = *z ? strchr(zFrom, *z) : 0;
      if( zAt ){
        cmdBufChar(&outPiece(p, 0)->text, zTo[zAt-zFrom]);
      }else if( *z=='x' && strspn(z+1, "0123456789abcdefABCDEF")>=2 && sscanf(z+1, "%2x", &v)==1 ){
        cmdBufChar(&outPiece(p, 0)->text, (int)v);
        z += 2;
      }else{
        cmdUsage("-o %s: \\%.1s is not known; use \\n \\r \\t \\0 \\\\ \\xNN", zFormat, z);
      }
    }else{
      z++;
      if( *z=='%' || *z=='n' ){
        cmdBufChar(&outPiece(p, 0)->text, *z=='n' ? '\n' : '%');
      }else if( *z && strchr("ksvpotThSK", *z) ){
        outPiece(p, *z=='v' ? 's' : *z);
      }else{
        cmdUsage("-o %s: %%%.1s is not known; use %%k %%v %%s %%p %%o %%t %%T %%h %%S %%K %%n %%%%", zFormat, z);
      }
    }
  }
}

/**************************************************************************
** Printing.
*/

/* A column's bytes: TEXT as UTF-8, whatever the database's encoding. */
static const u8 *outBytes(sqlite3_stmt *pStmt, int iCol, size_t *pn){
  const void *a = sqlite3_column_type(pStmt, iCol)==SQLITE_TEXT ? sqlite3_column_text(pStmt, iCol)
                                                                : sqlite3_column_blob(pStmt, iCol);
  *pn = (size_t)sqlite3_column_bytes(pStmt, iCol);
  return a ? a : (const u8*)"";
}

static void outColumn(Out *p, sqlite3_stmt *pStmt, int iCol){
  size_t n;
  const u8 *a = outBytes(pStmt, iCol, &n);
  cmdBufAdd(&p->line, a, n);
}

static void outInt(Out *p, i64 v){
  char z[32];
  int n = snprintf(z, sizeof(z), "%lld", (long long)v);
  cmdBufAdd(&p->line, z, (size_t)n);
}

/* One header, ["name",value], as name=value; null as NULL. */
static void outHeader(Out *p, CmdJson *pJson, CmdBuf *pText){
  int bFirst = 1, eType;
  cmdJsonOpen(pJson, '[');
  if( !cmdJsonMore(pJson, ']', &bFirst) ) return;
  cmdJsonString(pJson, pText);
  cmdBufAdd(&p->line, pText->a, pText->n);
  cmdBufChar(&p->line, '=');
  if( !cmdJsonMore(pJson, ']', &bFirst) ) return;
  eType = cmdJsonPeek(pJson);
  pText->n = 0;
  if( eType==JSON_STRING ){
    cmdJsonString(pJson, pText);
  }else if( eType!=JSON_OBJECT || !cmdJsonBase64(pJson, pText) ){
    cmdJsonSkip(pJson, 0, 0);
    cmdBufAdd(pText, "NULL", 4);
  }
  cmdBufAdd(&p->line, pText->a, pText->n);
  cmdJsonMore(pJson, ']', &bFirst);
}

/* Headers as kcat prints them: name=value,name=value. */
static void outHeaders(Out *p, sqlite3_stmt *pStmt){
  const char *z = (const char*)sqlite3_column_text(pStmt, OUT_HEADERS);
  CmdBuf text = {0,0,0};
  CmdJson json;
  int bFirst = 1, n = 0;
  if( z==0 ) return;
  cmdJsonInit(&json, z, strlen(z));
  cmdJsonOpen(&json, '[');
  while( cmdJsonMore(&json, ']', &bFirst) ){
    if( n++ ) cmdBufChar(&p->line, ',');
    outHeader(p, &json, &text);
  }
  sqlite3_free(text.a);
}

static void outFormatted(Out *p, sqlite3_stmt *pStmt){
  size_t n;
  int i;
  for(i=0; i<p->nPiece; i++){
    int bKey = p->aPiece[i].c=='K';
    switch( p->aPiece[i].c ){
      case 0:   cmdBufAdd(&p->line, p->aPiece[i].text.a, p->aPiece[i].text.n); break;
      case 'k': outColumn(p, pStmt, OUT_KEY); break;
      case 's': outColumn(p, pStmt, OUT_VALUE); break;
      case 'p': outInt(p, sqlite3_column_int64(pStmt, OUT_PARTITION)); break;
      case 'o': outInt(p, sqlite3_column_int64(pStmt, OUT_OFFSET)); break;
      case 'T': outInt(p, sqlite3_column_int64(pStmt, OUT_TIMESTAMP)); break;
      case 't': cmdBufAdd(&p->line, p->zTopic, strlen(p->zTopic)); break;
      case 'h': outHeaders(p, pStmt); break;
      default:  /* K and S: lengths, -1 for null */
        (void)outBytes(pStmt, bKey ? OUT_KEY : OUT_VALUE, &n);
        outInt(p, sqlite3_column_type(pStmt, bKey ? OUT_KEY : OUT_VALUE)==SQLITE_NULL ? -1 : (i64)n);
        break;
    }
  }
}

static void outJsonBytes(Out *p, sqlite3_stmt *pStmt, int iCol){
  if( sqlite3_column_type(pStmt, iCol)==SQLITE_NULL ){
    cmdBufAdd(&p->line, "null", 4);
  }else{
    size_t n;
    const u8 *a = outBytes(pStmt, iCol, &n);
    cmdJsonPut(&p->line, a, n);
  }
}

static void outLabel(Out *p, const char *z){
  cmdBufAdd(&p->line, z, strlen(z));
}

static void outJson(Out *p, sqlite3_stmt *pStmt){
  outLabel(p, "{\"partition\":");
  outInt(p, sqlite3_column_int64(pStmt, OUT_PARTITION));
  outLabel(p, ",\"offset\":");
  outInt(p, sqlite3_column_int64(pStmt, OUT_OFFSET));
  outLabel(p, ",\"timestamp\":");
  outInt(p, sqlite3_column_int64(pStmt, OUT_TIMESTAMP));
  outLabel(p, ",\"key\":");
  outJsonBytes(p, pStmt, OUT_KEY);
  outLabel(p, ",\"value\":");
  outJsonBytes(p, pStmt, OUT_VALUE);
  outLabel(p, ",\"headers\":");
  if( sqlite3_column_type(pStmt, OUT_HEADERS)==SQLITE_NULL ) outLabel(p, "null");
  else outColumn(p, pStmt, OUT_HEADERS);
  outLabel(p, "}\n");
}

/**************************************************************************
** Reading.
*/

/* Where to begin in a partition; PRILL's offsets begin at 0. */
static i64 outStart(Out *p, int iPart){
  sqlite3_stmt *pStmt;
  i64 iStart = 0;
  if( p->eFrom==FROM_EARLIEST ) return 0;
  if( p->eFrom==FROM_OFFSET ) return p->iFrom;
  if( p->eFrom==FROM_TIME ){
    pStmt = cmdPrepare("SELECT offset FROM prill_records(%Q) WHERE partition=%d AND timestamp>=%lld"
                       " ORDER BY offset LIMIT 1", p->zTopic, iPart, p->iFrom);
    iStart = cmdStep(pStmt) ? sqlite3_column_int64(pStmt, 0) : 0x7fffffffffffffffLL;
  }else{
    pStmt = cmdPrepare("SELECT log_end_offset FROM prill_partitions WHERE topic=%Q AND partition=%d",
                       p->zTopic, iPart);
    if( cmdStep(pStmt) ) iStart = sqlite3_column_int64(pStmt, 0);
    if( p->eFrom==FROM_LAST ) iStart = iStart>p->iFrom ? iStart-p->iFrom : 0;
  }
  cmdFinish(pStmt);
  return iStart;
}

/* -f: a signal that came; a SELECT that waits is running. */
static volatile sig_atomic_t outStop = 0, outWaits = 0;

static void outRecord(Out *p, sqlite3_stmt *pStmt){
  p->line.n = 0;
  if( p->bJson ) outJson(p, pStmt); else outFormatted(p, pStmt);
  if( p->line.n && fwrite(p->line.a, 1, p->line.n, stdout)!=p->line.n ) cmdFlush();
  p->nDone++;
}

static void outPartition(Out *p, int iPart){
  sqlite3_stmt *pStmt;
  i64 iStart = outStart(p, iPart);
  pStmt = cmdPrepare("SELECT " OUT_COLUMNS " FROM prill_records(%Q) WHERE partition=%d AND offset>=%lld"
                     " ORDER BY offset", p->zTopic, iPart, iStart);
  while( p->nDone!=p->nMax && !outStop && cmdStep(pStmt) ) outRecord(p, pStmt);
  cmdFinish(pStmt);
}

/**************************************************************************
** Following.
*/
/* The sleep is not restarted, and what it then finds is sqlite3_interrupt(). */
static void outSignal(int iSignal){
  outStop = iSignal;
  if( outWaits ) sqlite3_interrupt(cmdDb);
}

static void outCatch(void){
  static const int aSignal[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction act;
  size_t i;
  memset(&act, 0, sizeof(act));
  act.sa_handler = outSignal;
  sigemptyset(&act.sa_mask);
  for(i=0; i<sizeof(aSignal)/sizeof(aSignal[0]); i++) sigaction(aSignal[i], &act, 0);
}

/* Has the reader of standard output gone? */
static int outGone(void){
  struct pollfd p = {STDOUT_FILENO, 0, 0};
  return poll(&p, 1, 0)>0 && (p.revents & (POLLERR|POLLNVAL));
}

/* Print what pStmt gives, and flush.  The number of records. */
static i64 outBurst(Out *p, sqlite3_stmt *pStmt){
  i64 nBefore = p->nDone;
  int rc = SQLITE_ROW;
  while( p->nDone!=p->nMax && !outStop && (rc = sqlite3_step(pStmt))==SQLITE_ROW ) outRecord(p, pStmt);
  sqlite3_reset(pStmt);
  p->bBusy = p->bGroup && (rc & 0xff)==SQLITE_BUSY;
  if( rc!=SQLITE_ROW && rc!=SQLITE_DONE && rc!=SQLITE_INTERRUPT && !p->bBusy ) cmdFatal("%s", sqlite3_errmsg(cmdDb));
  cmdFlush();
  return p->nDone-nBefore;
}

/* Wait for a record, print it and what else is there, until a signal comes or
** nobody reads any more. */
static void outFollow(Out *p){
  char *zWhere = p->iPart<0 ? cmdPrintf("1") : cmdPrintf("partition=%lld", p->iPart);
  sqlite3_stmt *pWait = cmdPrepare("SELECT " OUT_COLUMNS " FROM temp.prill_follow WHERE timeout_ms=1000 AND %s"
                                   " LIMIT 1", zWhere);
  sqlite3_stmt *pRest = cmdPrepare("SELECT " OUT_COLUMNS " FROM temp.prill_follow WHERE %s", zWhere);
  cmdFlush();
  outWaits = 1;
  while( !outStop && p->nDone!=p->nMax && !outGone() ){
    if( outBurst(p, pWait) ) outBurst(p, pRest);
  }
  outWaits = 0;
  cmdFinish(pWait);
  cmdFinish(pRest);
  sqlite3_free(zWhere);
}

/**************************************************************************
** As a member of a group.
*/
static void outGroup(Out *p, const char *zGroup, const char *zReset){
  sqlite3_stmt *pPoll;
  i64 n = 0;
  int nMost = p->nMax>=0 && p->nMax<500 ? (int)p->nMax : 500;
  cmdOpen(CMD_WRITE);
  (void)cmdTopicFind(p->zTopic, 0);
  p->bGroup = 1;
  outCatch();
  /* In transactions that begin with the write lock: who only reads at first can be refused it. */
  cmdExec("BEGIN IMMEDIATE");
  cmdExec("CREATE VIRTUAL TABLE temp.prill_member USING consumer(group=%Q, topics=%Q, auto_offset_reset=%s,"
          " max_poll_records=%d)", zGroup, p->zTopic, zReset, nMost>0 ? nMost : 1);
  cmdExec("COMMIT");
  pPoll = cmdPrepare("SELECT " OUT_COLUMNS " FROM temp.prill_member WHERE timeout_ms=%d", p->bFollow ? 500 : 0);
  /* No sqlite3_interrupt() here: it would undo what is being committed. */
  while( !outStop && p->nDone!=p->nMax && !(p->bFollow && outGone()) ){
    n = outBurst(p, pPoll);
    if( n>0 ) cmdExec("BEGIN IMMEDIATE; SELECT prill_commit('prill_member'); COMMIT");
    if( n==0 && !p->bFollow && !p->bBusy ) break;
  }
  cmdFinish(pPoll);
  cmdExec("BEGIN IMMEDIATE; DROP TABLE temp.prill_member; COMMIT");
}

static void outRun(Out *p, const char *zFrom){
  int i, nPart;
  cmdOpen(CMD_READ);
  outFrom(p, zFrom);
  if( p->bFollow ) outCatch();
  cmdExec("BEGIN");
  nPart = cmdTopicFind(p->zTopic, 0);
  if( p->iPart>=nPart ){
    cmdFatal("topic %s has no partition %lld: they are 0 to %d", p->zTopic, (long long)p->iPart, nPart-1);
  }
  if( p->bFollow ){
    cmdExec("CREATE VIRTUAL TABLE temp.prill_follow USING follow(topics=%Q, from=latest)", p->zTopic);
    cmdExec("SELECT 1 FROM temp.prill_follow");
  }
  for(i=0; i<nPart && p->nDone!=p->nMax && !outStop; i++){
    if( p->iPart<0 || p->iPart==i ) outPartition(p, i);
  }
  cmdExec("COMMIT");
  if( p->bFollow ) outFollow(p);
}

static void outFree(Out *p){
  int i;
  for(i=0; i<p->nPiece; i++) sqlite3_free(p->aPiece[i].text.a);
  sqlite3_free(p->aPiece);
  sqlite3_free(p->line.a);
}

int cmdConsume(const Cmd *pMe, int nArg, char **azArg){
  const char *zFrom = 0, *zOut = 0, *zSep = 0, *zGroup = 0, *zExec = 0, *zDead = 0;
  i64 nWorker = -1, nRetry = -1, msBackoff = -1;
  Out out = {0};
  const CmdOpt aOpt[] = {
    {'g', "group", OPT_TEXT, (void*)&zGroup},
    {0, "exec", OPT_TEXT, (void*)&zExec},
    {0, "workers", OPT_INT, &nWorker},
    {0, "dead-letter", OPT_TEXT, (void*)&zDead},
    {0, "retries", OPT_INT, &nRetry},
    {0, "backoff", OPT_INT, &msBackoff},
    {0, "from", OPT_TEXT, (void*)&zFrom},
    {'f', "follow", OPT_FLAG, &out.bFollow},
    {'n', "count", OPT_INT, &out.nMax},
    {'p', "partition", OPT_INT, &out.iPart},
    {'K', "key-separator", OPT_TEXT, (void*)&zSep},
    {'o', "output", OPT_TEXT, (void*)&zOut},
  };
  (void)pMe;
  out.nMax = out.iPart = -1;
  CMD_OPTIONS(nArg, azArg, aOpt, 1, 1);
  out.zTopic = azArg[0];
  if( zOut && zSep ) cmdUsage("-o and -K exclude each other");
  if( zExec==0 && (zDead || nWorker!=-1 || nRetry!=-1 || msBackoff!=-1) ){
    cmdUsage("--workers, --dead-letter, --retries and --backoff go with --exec");
  }
  if( zExec && zGroup==0 ) cmdUsage("--exec works for a group: give -g GROUP");
  if( zGroup && out.iPart>=0 ) cmdUsage("-g shares partitions out: leave -p out");
  if( zGroup && zFrom && strcmp(zFrom, "earliest")!=0 && strcmp(zFrom, "latest")!=0 ){
    cmdUsage("--from %s: with -g it is earliest or latest, for a group without an offset; see group reset", zFrom);
  }
  if( zExec ){
    CmdWork work = {out.zTopic, zGroup, zExec, zDead, zFrom ? zFrom : "earliest", 0, 0, 0, out.nMax, out.bFollow};
    if( zOut || zSep ) cmdUsage("-o and -K print; --exec runs a command instead");
    if( nWorker!=-1 && (nWorker<1 || nWorker>1000) ) cmdUsage("--workers %lld: use 1 to 1000", (long long)nWorker);
    if( nRetry!=-1 && (nRetry<0 || nRetry>1000) ) cmdUsage("--retries %lld: use 0 to 1000", (long long)nRetry);
    if( msBackoff!=-1 && (msBackoff<1 || msBackoff>3600000) ){
      cmdUsage("--backoff %lld: use 1 to 3600000 milliseconds", (long long)msBackoff);
    }
    work.nWorker = nWorker==-1 ? 1 : (int)nWorker;
    work.nRetry = nRetry==-1 ? 3 : (int)nRetry;
    work.msBackoff = msBackoff==-1 ? 200 : msBackoff;
    cmdWorkRun(&work);
    return 0;
  }
  if( zOut && strcmp(zOut, "json")==0 ){
    out.bJson = 1;
  }else if( zOut && strcmp(zOut, "text")!=0 ){
    outFormat(&out, zOut);
  }else{
    if( zSep ){
      outPiece(&out, 'k');
      cmdSeparator(zSep, &outPiece(&out, 0)->text);
    }
    outFormat(&out, "%s\\n");
  }
  if( zGroup ) outGroup(&out, zGroup, zFrom ? zFrom : "earliest"); else outRun(&out, zFrom);
  outFree(&out);
  return 0;
}

int cmdExport(const Cmd *pMe, int nArg, char **azArg){
  Out out = {0};
  const CmdOpt aOpt[] = { {'p', "partition", OPT_INT, &out.iPart} };
  (void)pMe;
  out.nMax = out.iPart = -1;
  out.bJson = 1;
  CMD_OPTIONS(nArg, azArg, aOpt, 1, 1);
  out.zTopic = azArg[0];
  outRun(&out, 0);
  outFree(&out);
  return 0;
}
