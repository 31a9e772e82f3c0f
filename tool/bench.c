/*
** bench.c: prill-bench, the goals of speed measured.
**
**     prill-bench [ROW...] [--rounds N] [--quick] [--cpu] [--floor] [--only CODEC]
**                 [--match WORDS] [--dir DIR] [--size MIB] [--write FILE]
**
** Each row is work that a topic and an ordinary table do alike, in one
** process and one run:
**
**     CREATE TABLE log(offset INTEGER PRIMARY KEY, timestamp INT,
**                      key BLOB, value BLOB)
**
** in SQLite's default configuration, WAL, 4 KiB pages, statements prepared
** once, against a topic of the same name and columns.  Values are JSON-like
** text of 100 or 1,000 bytes (in batches of 16 KiB LZ4 leaves about 0.47 and
** 0.65 of a record), keys 8 bytes, timestamps rise by one a row.
**
** METHOD.  A number is the median of the rounds' ratios, table time over
** topic time, with the least and the greatest; the order of the contestants
** rotates from round to round (A,B,C / B,C,A / C,A,B).  Writers start a new
** database each, with a fifth as many unmeasured transactions first, so that
** the WAL and the ring have their size.  Before each timed section
** everything dirty is synced, the disk rests a moment and the memory to be
** used is touched, since a virtual machine may have to get it from its host.
** Beside each number stand codec, synchronous, rows a transaction and flush.
** Every contestant's rows are counted, or its sums compared, afterwards.
**
** ROWS are listed in bench_rows.h, which says how to add one.  A number's words
** name the work, the bytes of a value, the codec, the rows a transaction, the
** synchronous level and the flush setting, in that order.
**
** FLOOR.  --floor adds, beside each number of an INSERT or a SELECT, what a
** virtual table that does nothing (bench_floor.c) gets: no virtual table can do
** better.  TEXT AND BLOB.  Where SQLite's length() must count characters, it costs
** the table and the topic the same and hides the rest; the scans of row 5 are
** therefore measured twice, of TEXT and of BLOB values.
**
** --size MIB is the size of row 18's store, 1024 when not said.
**
** --write FILE writes the table as markdown, with the machine, to FILE, which is
** replaced when the last row is done.  "make bench" alone runs every row and so
** writes doc/performance.md; what a page of figures cannot say stands in
** doc/performance-notes.md.
**
** On a machine that others use, --cpu counts the thread's processor time: a
** hint, no result, since it leaves out all waiting for the disk.
**
** PROFILE.  All timed sections run inside benchTimed(), so
**
**     valgrind --tool=callgrind --collect-atstart=no \
**         --toggle-collect=benchTimed ./prill-bench 1 --quick --rounds 1 --only none
**     callgrind_annotate callgrind.out.PID
**
** counts one row of one contestant and nothing of its preparation; "--match"
** narrows it to one work, "--only table" gives what there is to beat, "--only
** floor" what cannot be beaten; tool/benchlayers adds it up by layer.  perf record -e cpu-clock -g does the
** same in time.
*/
#define _GNU_SOURCE 1         /* nftw, usleep */
#include "bench.h"
#include "prill.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

Bench bench = { ".", 0, 0, 5, 0, 1024, 0, 0, 0, 0, 0, 0 };

/**************************************************************************
** Small things.
*/
static char zLast[512];       /* the store to remove when all fails */

static int benchUnlink(const char *z, const struct stat *p, int e, struct FTW *pFtw){
  (void)p; (void)e; (void)pFtw;
  return remove(z) && 0;
}

/* Remove database zPath with all that belongs to it. */
static void benchRemove(const char *zPath){
  static const char *const azExt[] = {"", "-wal", "-shm", "-journal"};
  char *z;
  size_t i;
  for(i=0; i<sizeof(azExt)/sizeof(azExt[0]); i++){
    z = sqlite3_mprintf("%s%s", zPath, azExt[i]);
    unlink(z);
    sqlite3_free(z);
  }
  z = sqlite3_mprintf("%s-log", zPath);
  nftw(z, benchUnlink, 16, FTW_DEPTH|FTW_PHYS);
  sqlite3_free(z);
}

_Noreturn void benchFail(const char *zFmt, ...){
  va_list ap;
  va_start(ap, zFmt);
  fputs("prill-bench: ", stderr);
  vfprintf(stderr, zFmt, ap);
  fputc('\n', stderr);
  va_end(ap);
  if( zLast[0] ) benchRemove(zLast);
  exit(1);
}

void *benchAlloc(size_t n){
  void *p = calloc(n ? n : 1, 1);
  if( p==0 ) benchFail("out of memory");
  return p;
}

i64 benchClock(void){
  struct timespec t;
  clock_gettime(bench.bCpu ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return (i64)t.tv_sec*1000000000 + t.tv_nsec;
}

u64 benchRandom(void){
  static u64 x = 88172645463325252ULL;
  x ^= x<<13;
  x ^= x>>7;
  x ^= x<<17;
  return x;
}

int benchScale(int n){
  return bench.bQuick ? (n+4)/5 : n;
}

int benchMatches(const char *zWhat){
  return bench.zMatch==0 || strstr(zWhat, bench.zMatch)!=0;
}

int benchIsFloor(const char *zCodec){
  return zCodec && strcmp(zCodec, "floor")==0;
}

int benchTakes(const char *zCodec){
  if( bench.zOnly ) return strcmp(bench.zOnly, zCodec ? zCodec : "table")==0;
  return bench.bFloor || !benchIsFloor(zCodec);
}

void benchSettle(i64 nByte){
  char *a = benchAlloc((size_t)nByte);
  i64 i;
  for(i=0; i<nByte; i+=4096) ((volatile char*)a)[i] = 1;
  free(a);
  sync();
  usleep(50*1000);
}

__attribute__((noinline)) i64 benchTimed(void (*x)(void*), void *p){
  i64 t = benchClock();
  x(p);
  return benchClock() - t;
}

/**************************************************************************
** Values and keys.
*/
static const char *const azWord[64] = {
  "account", "amber", "basket", "batch", "bridge", "cargo", "cedar", "circle",
  "cloud", "copper", "courier", "delta", "depot", "dispatch", "ember", "factor",
  "ferry", "field", "forward", "garden", "glass", "granite", "harbour", "hazel",
  "invoice", "island", "journey", "kettle", "ladder", "lantern", "ledger", "linen",
  "maple", "market", "meadow", "mirror", "north", "orchard", "order", "packet",
  "parcel", "pepper", "pilot", "portal", "quarter", "quartz", "rapid", "return",
  "river", "saffron", "sample", "signal", "silver", "south", "spring", "station",
  "stream", "summer", "ticket", "timber", "tunnel", "valley", "winter", "yellow"
};

static unsigned benchPick(unsigned n){
  return (unsigned)(benchRandom()%n);
}

/* One value of exactly sz bytes at z: an order as JSON; the long ones have a
** trace id and a note of words and hex tokens. */
static void benchMakeValue(char *z, int sz){
  char zBuf[256];
  int n = snprintf(zBuf, sizeof(zBuf),
      "{\"id\":%u,\"user\":\"u%05u\",\"item\":\"%s\",\"qty\":%u,\"price\":%u.%02u,\"state\":\"%s\"",
      benchPick(100000000), benchPick(100000), azWord[benchPick(64)], benchPick(9)+1,
      benchPick(200), benchPick(100), benchPick(4) ? "paid" : "open");
  int nEnd = sz-2;
  memcpy(z, zBuf, (size_t)n);
  if( sz<300 ){
    memcpy(z+n, ",\"at\":\"", 7);
    n += 7;
    while( n<nEnd ) z[n++] = (char)('0'+benchPick(10));
  }else{
    n += snprintf(z+n, (size_t)(sz-n), ",\"trace\":\"%016llx%016llx\",\"tags\":[\"%s\",\"%s\"],\"note\":\"",
        (unsigned long long)benchRandom(), (unsigned long long)benchRandom(),
        azWord[benchPick(64)], azWord[benchPick(64)]);
    while( n<nEnd ){
      int k = snprintf(zBuf, sizeof(zBuf), "%s%s", azWord[benchPick(64)], benchPick(8) ? " " : "");
      if( benchPick(8)<6 ) k += snprintf(zBuf+k, 20, "%x ", benchPick(0xffffffffu));
      if( k>nEnd-n ) k = nEnd-n;
      memcpy(z+n, zBuf, (size_t)k);
      n += k;
    }
  }
  memcpy(z+nEnd, "\"}", 2);
}

const char *benchValue(int sz, i64 i){
  static char *aSmall, *aLarge;
  char **pa = sz<300 ? &aSmall : &aLarge;
  if( *pa==0 ){
    size_t k;
    *pa = benchAlloc((size_t)sz*BENCH_POOL);
    for(k=0; k<BENCH_POOL; k++) benchMakeValue(*pa+k*(size_t)sz, sz);
  }
  return *pa + (size_t)(i%BENCH_POOL)*(size_t)sz;
}

const char *benchKey(i64 i){
  static char *a;
  if( a==0 ){
    size_t k;
    char z[BENCH_KEY+1];
    a = benchAlloc(BENCH_KEY*BENCH_POOL);
    for(k=0; k<BENCH_POOL; k++){
      snprintf(z, sizeof(z), "%08x", benchPick(1<<20));
      memcpy(a+k*BENCH_KEY, z, BENCH_KEY);
    }
  }
  return a + (size_t)(i%BENCH_POOL)*BENCH_KEY;
}

/**************************************************************************
** Databases.
*/
static void benchCheck(BenchDb *p, int rc, const char *zSql){
  if( rc==SQLITE_OK || rc==SQLITE_DONE || rc==SQLITE_ROW ) return;
  benchFail("%s: %s: %s", p->zCodec ? p->zCodec : "table", zSql, sqlite3_errmsg(p->db));
}

void benchExec(BenchDb *p, const char *zFmt, ...){
  va_list ap;
  char *zSql;
  va_start(ap, zFmt);
  zSql = sqlite3_vmprintf(zFmt, ap);
  va_end(ap);
  benchCheck(p, sqlite3_exec(p->db, zSql, 0, 0, 0), zSql);
  sqlite3_free(zSql);
}

sqlite3_stmt *benchPrepare(BenchDb *p, const char *zSql){
  sqlite3_stmt *pStmt = 0;
  benchCheck(p, sqlite3_prepare_v3(p->db, zSql, -1, SQLITE_PREPARE_PERSISTENT, &pStmt, 0), zSql);
  return pStmt;
}

i64 benchInt(BenchDb *p, const char *zSql){
  sqlite3_stmt *pStmt = benchPrepare(p, zSql);
  i64 v;
  benchCheck(p, sqlite3_step(pStmt), zSql);
  v = sqlite3_column_int64(pStmt, 0);
  sqlite3_finalize(pStmt);
  return v;
}

void benchStep(BenchDb *p, sqlite3_stmt *pStmt){
  while( sqlite3_step(pStmt)==SQLITE_ROW ){}
  benchCheck(p, sqlite3_reset(pStmt), sqlite3_sql(pStmt));
}

/* A connection to p->zPath, with its statements where there is a log. */
static void benchConnect(BenchDb *p, const BenchConf *pConf){
  int rc = sqlite3_open(p->zPath, &p->db);
  if( rc==SQLITE_OK ) rc = prill_init(p->db);
  if( rc==SQLITE_OK && benchIsFloor(p->zCodec) ) rc = benchFloorInit(p->db);
  benchCheck(p, rc, p->zPath);
  if( pConf ){
    benchExec(p, "PRAGMA page_size=4096");
    benchExec(p, "PRAGMA journal_mode=WAL");
    benchExec(p, "PRAGMA synchronous=%s", pConf->bFull ? "FULL" : "NORMAL");
    if( p->zCodec==0 ){
      benchExec(p, "CREATE TABLE log(offset INTEGER PRIMARY KEY, timestamp INT, key BLOB, value BLOB)");
    }else if( benchIsFloor(p->zCodec) ){
      benchExec(p, "CREATE VIRTUAL TABLE log USING floor");
    }else{
      benchExec(p, "CREATE VIRTUAL TABLE log USING topic(partitions=%d, compression_type=%s,"
                   " retention_ms=-1%s%s%s)", pConf->nPart, p->zCodec, bench.bBlob ? ", key=blob, value=blob" : "",
                   pConf->zTopic[0] ? ", " : "", pConf->zTopic);
      if( pConf->bOs ){
        benchExec(p, "UPDATE prill_config SET value='os' WHERE scope='store' AND name='flush'");
      }
    }
  }
  p->pInsert = benchPrepare(p, "INSERT INTO log(timestamp, key, value) VALUES(?1, ?2, ?3)");
  p->pBegin = benchPrepare(p, "BEGIN");
  p->pCommit = benchPrepare(p, "COMMIT");
}

sqlite3 *benchOther(const char *zPath, const char *zSetup){
  sqlite3 *db = 0;
  if( sqlite3_open(zPath, &db)!=SQLITE_OK || prill_init(db)!=SQLITE_OK ) benchFail("cannot open %s", zPath);
  if( sqlite3_exec(db, zSetup, 0, 0, 0)!=SQLITE_OK ) benchFail("%s: %s", zSetup, sqlite3_errmsg(db));
  return db;
}

void benchOpen(BenchDb *p, const char *zCodec, const BenchConf *pConf){
  static int iName;
  memset(p, 0, sizeof(*p));
  p->zCodec = zCodec;
  p->nPart = pConf->nPart;
  p->zPath = sqlite3_mprintf("%s/bench-%d-%d.db", bench.zDir, (int)getpid(), ++iName);
  sqlite3_snprintf(sizeof(zLast), zLast, "%s", p->zPath);
  benchRemove(p->zPath);
  benchConnect(p, pConf);
}

static void benchDisconnect(BenchDb *p){
  sqlite3_finalize(p->pInsert);
  sqlite3_finalize(p->pBegin);
  sqlite3_finalize(p->pCommit);
  if( sqlite3_close(p->db)!=SQLITE_OK ) benchFail("close: %s", sqlite3_errmsg(p->db));
}

void benchReopen(BenchDb *p){
  benchDisconnect(p);
  benchConnect(p, 0);
}

void benchClose(BenchDb *p){
  benchDisconnect(p);
  benchRemove(p->zPath);
  sqlite3_free(p->zPath);
  memset(p, 0, sizeof(*p));
}

void benchInsert(BenchDb *p, int szVal, const char *pKey){
  sqlite3_stmt *pStmt = p->pInsert;
  int rc;
  sqlite3_bind_int64(pStmt, 1, 1700000000000LL + p->nRow);
  sqlite3_bind_blob(pStmt, 2, pKey ? pKey : benchKey(p->nRow*7), BENCH_KEY, SQLITE_STATIC);
  if( bench.bBlob ){
    sqlite3_bind_blob(pStmt, 3, benchValue(szVal, p->nRow), szVal, SQLITE_STATIC);
  }else{
    sqlite3_bind_text(pStmt, 3, benchValue(szVal, p->nRow), szVal, SQLITE_STATIC);
  }
  rc = sqlite3_step(pStmt);
  if( rc!=SQLITE_DONE || sqlite3_reset(pStmt)!=SQLITE_OK ) benchCheck(p, rc, "INSERT");
  p->nRow++;
}

i64 benchFileSize(const char *zPath){
  struct stat st;
  if( stat(zPath, &st) ) benchFail("no file %s", zPath);
  return (i64)st.st_size;
}

i64 benchDbBytes(BenchDb *p){
  benchExec(p, "PRAGMA wal_checkpoint(TRUNCATE)");
  return benchFileSize(p->zPath);
}

i64 benchLogBytes(BenchDb *p){
  return benchInt(p, "SELECT sum(bytes) FROM prill_partitions");
}

/**************************************************************************
** The table of results.
*/
static int benchCompare(const void *a, const void *b){
  double x = *(const double*)a, y = *(const double*)b;
  return x<y ? -1 : x>y;
}

double benchMedian(const double *a, int n){
  double aSort[BENCH_MXROUND];
  memcpy(aSort, a, sizeof(double)*(size_t)n);
  qsort(aSort, (size_t)n, sizeof(double), benchCompare);
  return n%2 ? aSort[n/2] : (aSort[n/2-1]+aSort[n/2])/2;
}

/* One line of --write's table. */
static void benchWriteLine(const char *zRow, const char *zWhat, const char *zFigure, const char *zGoal,
                           const char *zVerdict, const char *zMore){
  if( bench.pWrite==0 ) return;
  while( zWhat[0]==' ' ) zWhat++;
  fprintf(bench.pWrite, "| %s | %s | %s | %s | %s | %s |\n", zRow, zWhat, zFigure, zGoal, zVerdict, zMore);
  fflush(bench.pWrite);
}

void benchReport(const char *zRow, const char *zWhat, const double *a, int n,
                 double rGoal, const char *zUnit, const char *zFmt, ...){
  double rMed = benchMedian(a, n), rMin = a[0], rMax = a[0];
  const char *zVerdict = "";
  char zGoal[24] = "-", zFigure[80], zMore[200];
  va_list ap;
  int i;
  for(i=1; i<n; i++){
    if( a[i]<rMin ) rMin = a[i];
    if( a[i]>rMax ) rMax = a[i];
  }
  if( rGoal!=0.0 && bench.zOnly==0 ){
    int bMet = rGoal>0.0 ? rMed>=rGoal : rMed<=-rGoal;
    snprintf(zGoal, sizeof(zGoal), "%s%.2f%s", rGoal>0.0 ? ">=" : "<=",
             rGoal>0.0 ? rGoal : -rGoal, zUnit);
    zVerdict = bMet ? "met" : "MISSED";
    if( bMet ) bench.nMet++; else bench.nMissed++;
  }
  snprintf(zFigure, sizeof(zFigure), "%.2f%s [%.2f..%.2f]", rMed, zUnit, rMin, rMax);
  va_start(ap, zFmt);
  vsnprintf(zMore, sizeof(zMore), zFmt, ap);
  va_end(ap);
  printf("%-3s %-58s %22s  %-8s %-6s  %s\n", zRow, zWhat, zFigure, zGoal, zVerdict, zMore);
  fflush(stdout);
  benchWriteLine(zRow, zWhat, zFigure, zGoal, zVerdict, zMore);
}

/**************************************************************************
** --write FILE.
*/

/* The text after "zName" and a colon in a file of /proc, into z. */
static void benchProc(const char *zFile, const char *zName, char *z, int n){
  char zLine[256];
  FILE *p = fopen(zFile, "r");
  sqlite3_snprintf(n, z, "unknown");
  while( p && fgets(zLine, sizeof(zLine), p) ){
    char *zVal = strchr(zLine, ':');
    if( zVal==0 || strncmp(zLine, zName, strlen(zName))!=0 ) continue;
    for(zVal++; *zVal==' ' || *zVal=='\t'; zVal++){}
    zVal[strcspn(zVal, "\n")] = 0;
    sqlite3_snprintf(n, z, "%s", zVal);
    break;
  }
  if( p ) fclose(p);
}

static char zWriteTo[512], zWriteNew[520];

static void benchWriteBegin(const char *zFile){
  char zCpu[100], zMem[100];
  struct utsname u;
  struct statfs fs;
  time_t t = time(0);
  char zDate[20];
  sqlite3_snprintf(sizeof(zWriteTo), zWriteTo, "%s", zFile);
  sqlite3_snprintf(sizeof(zWriteNew), zWriteNew, "%s.new", zWriteTo);
  bench.pWrite = fopen(zWriteNew, "w");
  if( bench.pWrite==0 ) benchFail("cannot write %s", zFile);
  benchProc("/proc/cpuinfo", "model name", zCpu, sizeof(zCpu));
  benchProc("/proc/meminfo", "MemTotal", zMem, sizeof(zMem));
  if( uname(&u) ) memset(&u, 0, sizeof(u));
  if( statfs(bench.zDir, &fs) ) memset(&fs, 0, sizeof(fs));
  strftime(zDate, sizeof(zDate), "%Y-%m-%d", gmtime(&t));
  fprintf(bench.pWrite,
      "# Speed\n\n"
      "What prill costs beside an ordinary table of the same columns, `log(offset INTEGER PRIMARY KEY,\n"
      "timestamp INT, key BLOB, value BLOB)`, in the same process and run. Written by `make bench`;\n"
      "`tool/bench.c` says how it is measured, [performance-notes.md](performance-notes.md) where the time\n"
      "goes in the rows that miss their goals, and what was tried.\n\n"
      "- prill %s, SQLite %s, default configuration, WAL, 4 KiB pages, statements prepared once, from C\n"
      "- %s, %ld processors, %s of memory; %s %s; file system type 0x%lx\n"
      "- %s; %d rounds, order rotated; median of the rounds' ratios of %s [least..greatest]\n"
      "- values are JSON-like text of 100 or 1,000 bytes, keys of 8; codec, rows a transaction (tx),\n"
      "  synchronous level and flush stand beside each number\n"
      "- a ratio is the table's time over the topic's: above 1 the topic is faster\n%s\n"
      "| row | work | figure | goal | | absolute |\n|---|---|---|---|---|---|\n",
      prill_version(), sqlite3_libversion(), zCpu, sysconf(_SC_NPROCESSORS_ONLN), zMem, u.sysname,
      u.release, (unsigned long)fs.f_type, zDate, bench.nRound, bench.bCpu ? "processor time" : "time",
      bench.bQuick ? "- **a fifth of the work: a hint, no result**\n" : "");
}

static void benchWriteEnd(void){
  if( bench.pWrite==0 ) return;
  fprintf(bench.pWrite, "\n%d goals met, %d missed.\n", bench.nMet, bench.nMissed);
  if( fclose(bench.pWrite) || rename(zWriteNew, zWriteTo) ) benchFail("cannot write %s", zWriteTo);
}

/**************************************************************************
** The command.
*/
static const struct { const char *zRow; void (*x)(void); const char *zAbout; } aRow[] = {
#define BENCH_ROW(zRow, xRow, zAbout) {zRow, xRow, zAbout},
#include "bench_rows.h"
#undef BENCH_ROW
};
#define BENCH_NROW ((int)(sizeof(aRow)/sizeof(aRow[0])))

static _Noreturn void benchUsage(void){
  int i;
  fputs("usage: prill-bench [ROW...] [--rounds N] [--quick] [--cpu] [--floor]\n"
        "                   [--only table|none|lz4|floor] [--match WORDS] [--dir DIR] [--size MIB]\n"
        "                   [--write FILE]\n"
        "rows:\n", stderr);
  for(i=0; i<BENCH_NROW; i++) fprintf(stderr, "  %-3s %s\n", aRow[i].zRow, aRow[i].zAbout);
  exit(2);
}

int main(int argc, char **argv){
  char aDo[BENCH_NROW] = {0};
  const char *zWrite = 0;
  int nDo = 0;
  int i, k;
  for(i=1; i<argc; i++){
    const char *z = argv[i];
    if( strcmp(z, "--quick")==0 ){
      bench.bQuick = 1;
      bench.nRound = 3;
    }else if( strcmp(z, "--cpu")==0 ){
      bench.bCpu = 1;
    }else if( strcmp(z, "--floor")==0 ){
      bench.bFloor = 1;
    }else if( strcmp(z, "--rounds")==0 && i+1<argc ){
      bench.nRound = atoi(argv[++i]);
      if( bench.nRound<1 || bench.nRound>BENCH_MXROUND ) benchUsage();
    }else if( strcmp(z, "--only")==0 && i+1<argc ){
      bench.zOnly = argv[++i];
    }else if( strcmp(z, "--match")==0 && i+1<argc ){
      bench.zMatch = argv[++i];
    }else if( strcmp(z, "--dir")==0 && i+1<argc ){
      bench.zDir = argv[++i];
    }else if( strcmp(z, "--size")==0 && i+1<argc ){
      bench.nMiB = atoi(argv[++i]);
      if( bench.nMiB<1 || bench.nMiB>1000000 ) benchUsage();
    }else if( strcmp(z, "--write")==0 && i+1<argc ){
      zWrite = argv[++i];
    }else{
      for(k=0; k<BENCH_NROW && strcmp(z, aRow[k].zRow)!=0; k++){}
      if( k==BENCH_NROW ) benchUsage();
      aDo[k] = 1;
      nDo++;
    }
  }
  if( zWrite ) benchWriteBegin(zWrite);
  printf("prill %s, SQLite %s, %ld processors, in %s; %d rounds%s, medians of the ratio of %s to the"
         " table's [min..max]\n", prill_version(), sqlite3_libversion(), sysconf(_SC_NPROCESSORS_ONLN),
         bench.zDir, bench.nRound, bench.bQuick ? ", a fifth of the work" : "",
         bench.bCpu ? "processor time" : "time");
  for(k=0; k<BENCH_NROW; k++){
    if( nDo==0 || aDo[k] ) aRow[k].x();
  }
  printf("%d goals met, %d missed\n", bench.nMet, bench.nMissed);
  benchWriteEnd();
  return 0;
}
