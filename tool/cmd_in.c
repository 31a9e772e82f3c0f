/*
** cmd_in.c: prill produce and prill import: lines of a file become records.
**
** Both read the same lines.  What differs is the transaction: import makes all
** of them one (or one every --commit-every lines), so that a mistake in line
** 1,000,000 leaves nothing behind; produce commits what has arrived whenever
** it would have to wait for more, so that a pipe's lines are there at once.
*/
#include "cmd.h"
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define IN_CHUNK (256*1024)
#define IN_MX_SAY 10            /* skipped lines named one by one */

/* A file being read in lines. */
typedef struct InFile InFile;
struct InFile {
  const char *zName;
  int fd;
  CmdBuf buf;
  size_t iPos;                  /* next byte of buf */
  int bEof;
  i64 nLine, nByte, szFile;     /* szFile -1: unknown */
};

/* What a line says. */
typedef struct InRecord InRecord;
struct InRecord {
  CmdBuf key, value, headers;
  int bKey, bValue, bHeaders;   /* not null */
  i64 iPart, iOff, iTs;
  int bPart, bOff, bTs;
};

typedef struct In In;
struct In {
  /* From the command line */
  const char *zTopic, *zKey, *zSep, *zRegex;
  int bJson, bSkip, bKeepOffsets, bRepartition, bProduce;
  i64 iPart, nEvery;      /* -1: not given */
  CmdList headers;
  /* While it runs */
  CmdBuf sep;
  regex_t re;
  CmdBuf allHeaders;            /* -H, as JSON */
  InFile file;
  InRecord rec;
  CmdBuf scratch;
  char *zDoor;                  /* table to insert into */
  int bOwnDoor;                 /* made for this run, and dropped again */
  sqlite3_stmt *pInsert;
  int bTxn;
  i64 nDone, nSkip, nTxn;       /* records; lines skipped; records since BEGIN */
  i64 nKept;                    /* records committed */
  /* Progress */
  int bBar;
  struct timespec begin;
  double rLast;                 /* seconds at the last picture */
};

/**************************************************************************
** Lines.
*/
static void inOpen(InFile *p, const char *zName){
  struct stat st;
  memset(p, 0, sizeof(*p));
  p->szFile = -1;
  if( zName==0 || strcmp(zName, "-")==0 ){
    p->zName = "standard input";
    p->fd = 0;
  }else{
    p->zName = zName;
    p->fd = open(zName, O_RDONLY|O_CLOEXEC);
    if( p->fd<0 ) cmdFatal("%s: %s", zName, strerror(errno));
  }
  if( fstat(p->fd, &st)==0 && S_ISREG(st.st_mode) ) p->szFile = st.st_size;
}

/* Is a whole line at hand without reading? */
static int inReady(const InFile *p){
  return p->buf.a && memchr(p->buf.a+p->iPos, '\n', p->buf.n-p->iPos)!=0;
}

/* The next line without its end, good until the next call.  0 at the end. */
static int inLine(InFile *p, const u8 **pa, size_t *pn){
  size_t iScan = 0;
  for(;;){
    const u8 *a = p->buf.a ? p->buf.a+p->iPos : 0;
    size_t n = p->buf.n-p->iPos;
    const u8 *aEnd = n>iScan ? memchr(a+iScan, '\n', n-iScan) : 0;
    ssize_t nRead;
    if( aEnd || (p->bEof && n>0) ){
      *pa = a;
      *pn = aEnd ? (size_t)(aEnd-a) : n;
      p->iPos += *pn + (aEnd!=0);
      p->nByte += (i64)*pn + (aEnd!=0);
      p->nLine++;
      return 1;
    }
    if( p->bEof ) return 0;
    iScan = n;
    if( p->iPos ){
      memmove(p->buf.a, p->buf.a+p->iPos, n);
      p->buf.n = n;
      p->iPos = 0;
    }
    if( p->buf.nAlloc-p->buf.n<IN_CHUNK ){
      p->buf.nAlloc = p->buf.nAlloc*2 + IN_CHUNK;
      p->buf.a = (u8*)cmdAlloc(p->buf.a, p->buf.nAlloc);
    }
    do{
      nRead = read(p->fd, p->buf.a+p->buf.n, IN_CHUNK);
    }while( nRead<0 && errno==EINTR );
    if( nRead<0 ) cmdFatal("%s: %s", p->zName, strerror(errno));
    if( nRead==0 ) p->bEof = 1;
    p->buf.n += (size_t)nRead;
  }
}

/**************************************************************************
** A line's record.  These return what is wrong with it, or NULL.
*/
static void inSet(CmdBuf *p, const void *a, size_t n){
  p->n = 0;
  cmdBufAdd(p, a, n);
}

static const char *inText(In *p, const u8 *a, size_t n){
  InRecord *r = &p->rec;
  if( p->sep.n ){
    const u8 *aSep = memmem(a, n, p->sep.a, p->sep.n);
    if( aSep==0 ) return "the key separator is not in it";
    inSet(&r->key, a, (size_t)(aSep-a));
    r->bKey = 1;
    n -= (size_t)(aSep-a) + p->sep.n;
    a = aSep + p->sep.n;
  }else if( p->zRegex ){
    regmatch_t aMatch[2];
    int i = p->re.re_nsub>0;
    aMatch[0].rm_so = 0;
    aMatch[0].rm_eo = (regoff_t)n;
    if( regexec(&p->re, (const char*)a, 2, aMatch, REG_STARTEND)!=0 ) return "the regular expression does not match";
    if( aMatch[i].rm_so<0 ) return "the regular expression's group does not match";
    inSet(&r->key, a+aMatch[i].rm_so, (size_t)(aMatch[i].rm_eo-aMatch[i].rm_so));
    r->bKey = 1;
  }
  inSet(&r->value, a, n);
  r->bValue = 1;
  return 0;
}

/* A key's or a value's JSON: a string, {"base64":...}, null, or any other
** value, whose text it is then. */
static void inJsonBytes(CmdJson *pJson, CmdBuf *pOut, int *pbThere){
  int eType = cmdJsonPeek(pJson);
  const char *z;
  size_t n;
  *pbThere = eType!=JSON_NULL;
  if( eType==JSON_STRING ){
    cmdJsonString(pJson, pOut);
  }else if( eType!=JSON_OBJECT || !cmdJsonBase64(pJson, pOut) ){
    cmdJsonSkip(pJson, &z, &n);
    inSet(pOut, z, n);
  }
}

/* A whole number or null. */
static void inJsonInt(CmdJson *pJson, CmdBuf *pScratch, i64 *pi, int *pbThere){
  int eType = cmdJsonPeek(pJson);
  const char *z;
  size_t n;
  cmdJsonSkip(pJson, &z, &n);
  *pbThere = eType!=JSON_NULL;
  if( pJson->zErr || !*pbThere ) return;
  inSet(pScratch, z, n);
  if( eType!=JSON_NUMBER || !cmdInt((char*)pScratch->a, pi) ) pJson->zErr = "a whole number was expected";
}

static const char *inJson(In *p, const u8 *a, size_t n){
  static const char zWrong[] = "an unknown member; there are partition, offset, timestamp, key, value and headers";
  InRecord *r = &p->rec;
  CmdJson json;
  CmdBuf *pName = &p->scratch;
  int bFirst = 1;
  cmdJsonInit(&json, (const char*)a, n);
  cmdJsonOpen(&json, '{');
  while( cmdJsonMore(&json, '}', &bFirst) ){
    const char *zName;
    cmdJsonName(&json, pName);
    zName = (const char*)pName->a;
    if( json.zErr ) break;
    if( strcmp(zName, "key")==0 ) inJsonBytes(&json, &r->key, &r->bKey);
    else if( strcmp(zName, "value")==0 ) inJsonBytes(&json, &r->value, &r->bValue);
    else if( strcmp(zName, "partition")==0 ) inJsonInt(&json, pName, &r->iPart, &r->bPart);
    else if( strcmp(zName, "offset")==0 ) inJsonInt(&json, pName, &r->iOff, &r->bOff);
    else if( strcmp(zName, "timestamp")==0 ) inJsonInt(&json, pName, &r->iTs, &r->bTs);
    else if( strcmp(zName, "headers")==0 ){
      const char *z;
      size_t nText;
      r->bHeaders = cmdJsonPeek(&json)!=JSON_NULL;
      cmdJsonSkip(&json, &z, &nText);
      inSet(&r->headers, z, nText);
    }else{
      return zWrong;
    }
  }
  if( json.zErr==0 ) cmdJsonEnd(&json);
  return json.zErr;
}

/* Make p->rec of a line. */
static const char *inRecord(In *p, const u8 *a, size_t n){
  InRecord *r = &p->rec;
  const char *zErr;
  r->bKey = r->bValue = r->bHeaders = r->bPart = r->bOff = r->bTs = 0;
  zErr = p->bJson ? inJson(p, a, n) : inText(p, a, n);
  if( zErr ) return zErr;
  if( p->bRepartition ) r->bPart = 0;
  if( !p->bKeepOffsets ) r->bOff = 0;
  if( p->zKey ){
    inSet(&r->key, p->zKey, strlen(p->zKey));
    r->bKey = 1;
  }
  if( p->iPart>=0 ){
    r->iPart = p->iPart;
    r->bPart = 1;
  }
  if( p->allHeaders.n && !r->bHeaders ){
    inSet(&r->headers, p->allHeaders.a, p->allHeaders.n);
    r->bHeaders = 1;
  }
  return 0;
}

/**************************************************************************
** Records into the topic.
*/

/* The table to insert into: the one that made the topic; for a topic without
** a table, one of our own, in the transaction that uses it. */
static void inBegin(In *p){
  cmdExec("BEGIN IMMEDIATE");
  p->bTxn = 1;
  p->nTxn = 0;
  if( p->bOwnDoor ) cmdExec("CREATE VIRTUAL TABLE main.\"%w\" USING topic(topic=%Q)", p->zDoor, p->zTopic);
  if( p->pInsert==0 ){
    p->pInsert = cmdPrepare("INSERT INTO main.\"%w\"(key, value, headers, partition, timestamp%s)"
                            " VALUES(?1,?2,?3,?4,?5%s)", p->zDoor, p->bKeepOffsets ? ", offset" : "",
                            p->bKeepOffsets ? ",?6" : "");
  }
}

static void inCommit(In *p){
  if( !p->bTxn ) return;
  if( p->bOwnDoor ){
    cmdFinish(p->pInsert);
    p->pInsert = 0;
    cmdExec("DROP TABLE main.\"%w\"", p->zDoor);
  }
  cmdExec("COMMIT");
  p->bTxn = 0;
  p->nKept = p->nDone;
}

/* Text where the bytes are text: it is what an SQL partitioner is given. */
static void inBind(sqlite3_stmt *pStmt, int i, const CmdBuf *p, int bThere){
  if( !bThere ){
    sqlite3_bind_null(pStmt, i);
  }else if( cmdUtf8(p->a, p->n) ){
    sqlite3_bind_text64(pStmt, i, (char*)p->a, p->n, SQLITE_STATIC, SQLITE_UTF8);
  }else{
    sqlite3_bind_blob64(pStmt, i, p->a, p->n, SQLITE_STATIC);
  }
}
static void inBindInt(sqlite3_stmt *pStmt, int i, i64 v, int bThere){
  if( bThere ) sqlite3_bind_int64(pStmt, i, v); else sqlite3_bind_null(pStmt, i);
}

/* Insert p->rec.  What is wrong with it, or NULL; an error that is not the
** line's fault ends the command. */
static const char *inInsert(In *p){
  InRecord *r = &p->rec;
  sqlite3_stmt *pStmt;
  int rc;
  if( !p->bTxn ) inBegin(p);
  pStmt = p->pInsert;
  inBind(pStmt, 1, &r->key, r->bKey);
  inBind(pStmt, 2, &r->value, r->bValue);
  inBind(pStmt, 3, &r->headers, r->bHeaders);
  inBindInt(pStmt, 4, r->iPart, r->bPart);
  inBindInt(pStmt, 5, r->iTs, r->bTs);
  if( p->bKeepOffsets ) inBindInt(pStmt, 6, r->iOff, r->bOff);
  sqlite3_step(pStmt);
  rc = sqlite3_reset(pStmt);
  switch( rc & 0xff ){
    case SQLITE_OK:
      p->nDone++;
      p->nTxn++;
      return 0;
    case SQLITE_ERROR: case SQLITE_TOOBIG: case SQLITE_CONSTRAINT: case SQLITE_MISMATCH: case SQLITE_RANGE:
      return sqlite3_errmsg(cmdDb);
  }
  cmdFatal("%s", sqlite3_errmsg(cmdDb));
}

/**************************************************************************
** Progress.
*/
static double inSeconds(const In *p){
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)(now.tv_sec-p->begin.tv_sec) + (double)(now.tv_nsec-p->begin.tv_nsec)/1e9;
}

/* A number with its thousands apart. */
static const char *inNumber(i64 v, char zOut[32]){
  char z[32];
  int n = snprintf(z, sizeof(z), "%lld", (long long)v);
  int i, j = 0;
  for(i=0; i<n; i++){
    if( i && (n-i)%3==0 ) zOut[j++] = ',';
    zOut[j++] = z[i];
  }
  zOut[j] = 0;
  return zOut;
}

/* The bar, at most ten times a second, and only on a terminal. */
static void inBar(In *p, int bLast){
  static const char zFull[] = "##############################";
  char zNum[32];
  double r;
  if( !p->bBar ) return;
  r = inSeconds(p);
  if( !bLast && r-p->rLast<0.1 ) return;
  p->rLast = r;
  if( bLast ){
    fprintf(stderr, "\r\033[K");
  }else if( p->file.szFile>0 ){
    double f = (double)p->file.nByte/(double)p->file.szFile;
    int n;
    if( f>1.0 ) f = 1.0;
    n = (int)(f*30.0);
    fprintf(stderr, "\r[%.*s%*s] %3d%%  %s records  %.1f MB/s\033[K", n, zFull, 30-n, "", (int)(f*100.0),
            inNumber(p->nDone, zNum), (double)p->file.nByte/1e6/r);
  }else{
    fprintf(stderr, "\r%s records  %.1f MB/s\033[K", inNumber(p->nDone, zNum), (double)p->file.nByte/1e6/r);
  }
  fflush(stderr);
}

/**************************************************************************
** The commands.
*/

/* -H as the JSON of a record's headers. */
static void inHeaders(In *p){
  int i;
  for(i=0; i<p->headers.n; i++){
    const char *z = p->headers.az[i];
    size_t n = strcspn(z, "=");
    if( z[n]==0 ) cmdUsage("-H %s: write NAME=VALUE", z);
    if( !cmdUtf8((const u8*)z, n) ) cmdUsage("-H: a header's name is not UTF-8");
    cmdBufAdd(&p->allHeaders, i ? "," : "[", 1);
    cmdBufChar(&p->allHeaders, '[');
    cmdJsonPut(&p->allHeaders, (const u8*)z, n);
    cmdBufChar(&p->allHeaders, ',');
    cmdJsonPut(&p->allHeaders, (const u8*)z+n+1, strlen(z+n+1));
    cmdBufChar(&p->allHeaders, ']');
  }
  if( i ) cmdBufChar(&p->allHeaders, ']');
}

/* Options that exclude each other, and what they mean. */
static void inPrepare(In *p){
  int nKey = (p->zKey!=0) + (p->zSep!=0) + (p->zRegex!=0);
  if( nKey>1 ) cmdUsage("-k, -K and --key-regex exclude each other");
  if( p->bJson && (p->zSep || p->zRegex) ) cmdUsage("--json has the key in the line: no -K and no --key-regex");
  if( !p->bJson && (p->bKeepOffsets || p->bRepartition) ) cmdUsage("--keep-offsets and --repartition go with --json");
  if( p->nEvery==0 ) cmdUsage("--commit-every: use 1 or more");
  if( p->zRegex ){
    int rc = regcomp(&p->re, p->zRegex, REG_EXTENDED);
    if( rc ){
      char zErr[200];
      regerror(rc, &p->re, zErr, sizeof(zErr));
      cmdUsage("--key-regex %s: %s", p->zRegex, zErr);
    }
  }
  if( p->zSep ) cmdSeparator(p->zSep, &p->sep);
  inHeaders(p);
}

/* A line is bad: skip it, or end with what is kept and what is not. */
static void inBad(In *p, const char *zErr){
  p->nSkip++;
  if( p->bSkip ){
    inBar(p, 1);
    if( p->nSkip<=IN_MX_SAY ){
      fprintf(stderr, "prill: %s: line %lld: %s; skipped\n", p->file.zName, (long long)p->file.nLine, zErr);
    }
    return;
  }
  inBar(p, 1);
  if( p->bProduce ){
    char *zKeep = cmdPrintf("%s", zErr);         /* COMMIT overwrites it */
    inCommit(p);
    cmdFatal("%s: line %lld: %s; the %lld records before it are in", p->file.zName,
             (long long)p->file.nLine, zKeep, (long long)p->nKept);
  }
  if( p->nKept ){
    cmdFatal("%s: line %lld: %s; the first %lld records are in, nothing after them", p->file.zName,
             (long long)p->file.nLine, zErr, (long long)p->nKept);
  }
  cmdFatal("%s: line %lld: %s; nothing was imported", p->file.zName, (long long)p->file.nLine, zErr);
}

static int inBlank(const u8 *a, size_t n){
  while( n>0 && (a[n-1]==' ' || a[n-1]=='\t' || a[n-1]=='\r') ) n--;
  return n==0;
}

static void inRun(In *p){
  const u8 *a;
  size_t n;
  for(;;){
    const char *zErr;
    if( p->bProduce && !inReady(&p->file) ) inCommit(p);
    if( !inLine(&p->file, &a, &n) ) break;
    if( p->bJson && inBlank(a, n) ) continue;
    zErr = inRecord(p, a, n);
    if( zErr==0 ) zErr = inInsert(p);
    if( zErr ) inBad(p, zErr);
    if( p->nEvery>0 && p->nTxn>=p->nEvery ) inCommit(p);
    if( p->file.nLine%256==0 ) inBar(p, 0);
  }
  inCommit(p);
  inBar(p, 1);
}

static void inFree(In *p){
  if( p->pInsert ) cmdFinish(p->pInsert);
  if( p->zRegex ) regfree(&p->re);
  if( p->file.fd>0 ) close(p->file.fd);
  sqlite3_free(p->file.buf.a);
  sqlite3_free(p->rec.key.a);
  sqlite3_free(p->rec.value.a);
  sqlite3_free(p->rec.headers.a);
  sqlite3_free(p->scratch.a);
  sqlite3_free(p->sep.a);
  sqlite3_free(p->allHeaders.a);
  sqlite3_free((void*)p->headers.az);
  sqlite3_free(p->zDoor);
}

static int inCommand(int bProduce, int nArg, char **azArg){
  In in;
  const CmdOpt aOpt[] = {
    {'k', "key", OPT_TEXT, (void*)&in.zKey},
    {'K', "key-separator", OPT_TEXT, (void*)&in.zSep},
    {0, "key-regex", OPT_TEXT, (void*)&in.zRegex},
    {0, "json", OPT_FLAG, &in.bJson},
    {'p', "partition", OPT_INT, &in.iPart},
    {'H', "header", OPT_LIST, &in.headers},
    {0, "commit-every", OPT_INT, &in.nEvery},
    {0, "skip-bad", OPT_FLAG, &in.bSkip},
    {0, "keep-offsets", OPT_FLAG, &in.bKeepOffsets},
    {0, "repartition", OPT_FLAG, &in.bRepartition},
  };
  char zDone[32], zSkip[32];
  memset(&in, 0, sizeof(in));
  in.iPart = in.nEvery = -1;
  in.bProduce = bProduce;
  nArg = cmdOptions(nArg, azArg, aOpt, bProduce ? 6 : 10, 1, 2);
  in.zTopic = azArg[0];
  inPrepare(&in);
  inOpen(&in.file, nArg>1 ? azArg[1] : 0);
  cmdOpen(CMD_WRITE);
  cmdTopicFind(in.zTopic, &in.zDoor);
  if( in.zDoor==0 ){
    in.zDoor = cmdPrintf("prill_door_%d", (int)getpid());
    in.bOwnDoor = 1;
  }
  in.bBar = !bProduce && isatty(2);
  clock_gettime(CLOCK_MONOTONIC, &in.begin);
  inRun(&in);
  if( !bProduce ){
    fprintf(stderr, "prill: imported %s record%s into %s", inNumber(in.nDone, zDone), in.nDone==1 ? "" : "s",
            in.zTopic);
    if( in.nSkip ) fprintf(stderr, ", skipped %s line%s", inNumber(in.nSkip, zSkip), in.nSkip==1 ? "" : "s");
    fputc('\n', stderr);
  }
  inFree(&in);
  return 0;
}

int cmdProduce(const Cmd *p, int nArg, char **azArg){
  (void)p;
  return inCommand(1, nArg, azArg);
}

int cmdImport(const Cmd *p, int nArg, char **azArg){
  (void)p;
  return inCommand(0, nArg, azArg);
}
