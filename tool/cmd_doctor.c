/*
** cmd_doctor.c: prill doctor: what about a store and the machine it is on might
** keep it from working well, one line a finding.
**
** A finding is ok, warn (it works, but) or bad (it does not, or records are at
** stake), and says what to do.  Nothing is repaired, and nothing written but
** what a passive checkpoint moves from the WAL into the database.
**
** The database, its -wal and -shm are looked at by stat() alone: to open and
** close one of them here would drop the locks that SQLite holds in this
** process.  Who reads is told by /proc/locks, where there is one.
*/
#include "cmd.h"
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define DOCTOR_FILES     128          /* open files: 64 of the log, and the program's own */
#define DOCTOR_SPACE_BAD (64LL<<20)   /* bytes free */
#define DOCTOR_SPACE     (1LL<<30)
#define DOCTOR_SEGMENT   (1LL<<30)    /* segment.bytes, when not set */
#define DOCTOR_PINNED    (64LL<<20)   /* of WAL: from there on the library does without its tail */
#define DOCTOR_GAPS      10

enum { LEVEL_OK, LEVEL_WARN, LEVEL_BAD };

typedef struct Doctor Doctor;
struct Doctor {
  int bJson;
  int nBad;
  char *zDb;                    /* the database's full path, "" when it is no file */
  char *zDir;                   /* its log directory */
  char *zStore;                 /* prill_debug()'s line of the store */
  int bStore;                   /* there is a store, and it can be read */
  struct stat db;               /* of zDb */
};

static void doctorSay(Doctor *p, int eLevel, const char *zWhat, const char *zFmt, ...)
  __attribute__((format(printf,4,5)));
static void doctorSay(Doctor *p, int eLevel, const char *zWhat, const char *zFmt, ...){
  static const char *const azLevel[] = {"ok", "warn", "bad"};
  va_list ap;
  char *z;
  va_start(ap, zFmt);
  z = cmdVprintf(zFmt, ap);
  va_end(ap);
  if( p->bJson ){
    CmdBuf b = {0,0,0};
    cmdJsonPut(&b, (const u8*)z, strlen(z));
    printf("{\"level\":\"%s\",\"what\":\"%s\",\"finding\":%.*s}\n", azLevel[eLevel], zWhat, (int)b.n, (char*)b.a);
    sqlite3_free(b.a);
  }else{
    printf("%-4s  %-11s  %s\n", azLevel[eLevel], zWhat, z);
  }
  sqlite3_free(z);
  if( eLevel==LEVEL_BAD ) p->nBad++;
}

/* The first value of a query, "" when it has none; memory of the caller. */
static char *doctorText(const char *zSql){
  sqlite3_stmt *pStmt = cmdPrepare("%s", zSql);
  const char *z = cmdStep(pStmt) ? (const char*)sqlite3_column_text(pStmt, 0) : 0;
  char *zOut = cmdPrintf("%s", z ? z : "");
  cmdFinish(pStmt);
  return zOut;
}
static i64 doctorInt(const char *zSql){
  char *z = doctorText(zSql);
  i64 v = strtoll(z, 0, 10);
  sqlite3_free(z);
  return v;
}

/* What prill_debug() says after zName: up to the next ';' or the line's end. */
static char *doctorDebug(const char *zText, const char *zName){
  const char *z = zText ? strstr(zText, zName) : 0;
  if( z==0 ) return cmdPrintf("%s", "");
  z += strlen(zName);
  return cmdPrintf("%.*s", (int)strcspn(z, ";\n"), z);
}

/**************************************************************************
** The program and the database.
*/
static void doctorVersions(Doctor *p, const char *zDebug){
  static const char *const azCodec[] = {"gzip", "snappy", "lz4", "zstd"};
  char *zCodec = doctorDebug(zDebug, "\ncodecs: ");
  char *zLack = cmdPrintf("%s", "");
  size_t i;
  for(i=0; i<sizeof(azCodec)/sizeof(azCodec[0]); i++){
    if( strstr(zCodec, azCodec[i])==0 ){
      char *z = cmdPrintf("%s %s", zLack, azCodec[i]);
      sqlite3_free(zLack);
      zLack = z;
    }
  }
  if( zLack[0] ){
    doctorSay(p, LEVEL_WARN, "versions", "prill %s, SQLite %s; without the codecs%s: records that have them cannot be"
              " read here; build prill where these libraries are", prill_version(), sqlite3_libversion(), zLack);
  }else{
    doctorSay(p, LEVEL_OK, "versions", "prill %s, SQLite %s, codecs %s", prill_version(), sqlite3_libversion(), zCodec);
  }
  sqlite3_free(zLack);
  sqlite3_free(zCodec);
}

static void doctorVfs(Doctor *p){
  sqlite3_vfs *pVfs = 0, *pDefault = sqlite3_vfs_find(0);
  if( sqlite3_file_control(cmdDb, "main", SQLITE_FCNTL_VFS_POINTER, &pVfs)!=SQLITE_OK || pVfs==0 ) pVfs = pDefault;
  if( strcmp(pVfs->zName, "unix-none")==0 ){
    doctorSay(p, LEVEL_BAD, "vfs", "unix-none takes no locks: a second program destroys the database; open it"
              " without vfs=unix-none");
  }else if( strcmp(pVfs->zName, pDefault->zName)!=0 ){
    doctorSay(p, LEVEL_WARN, "vfs", "%s, not %s: all programs must open the database by the same one", pVfs->zName,
              pDefault->zName);
  }else{
    doctorSay(p, LEVEL_OK, "vfs", "%s", pVfs->zName);
  }
}

static void doctorJournal(Doctor *p, const char *zMode){
  if( strcmp(zMode, "wal")==0 ){
    doctorSay(p, LEVEL_OK, "journal", "wal");
  }else{
    doctorSay(p, LEVEL_WARN, "journal", "%s: readers and writers keep each other out; PRAGMA journal_mode=WAL", zMode);
  }
}

static void doctorSync(Doctor *p){
  static const char *const azSync[] = {"OFF", "NORMAL", "FULL", "EXTRA"};
  i64 eSync = doctorInt("PRAGMA main.synchronous");
  char *zFlush = p->bStore ? doctorText("SELECT value FROM prill_config WHERE scope='store' AND name='flush'")
                           : cmdPrintf("commit");
  if( strcmp(zFlush, "os")==0 ){
    doctorSay(p, LEVEL_WARN, "synchronous", "flush=os: a power cut may take records that were committed; UPDATE"
              " prill_config SET value='commit' WHERE scope='store' AND name='flush'");
  }else if( eSync==0 ){
    doctorSay(p, LEVEL_WARN, "synchronous", "OFF is this SQLite's default: a power cut may destroy the database;"
              " PRAGMA synchronous=FULL in every program");
  }else{
    doctorSay(p, LEVEL_OK, "synchronous", "%s here (each program sets its own), flush=%s", azSync[eSync & 3], zFlush);
  }
  sqlite3_free(zFlush);
}

static void doctorPage(Doctor *p){
  i64 n = doctorInt("PRAGMA main.page_size");
  if( n<4096 ){
    doctorSay(p, LEVEL_WARN, "page size", "%lld bytes: a small commit writes more pages than it need; PRAGMA"
              " journal_mode=DELETE; PRAGMA page_size=4096; VACUUM; PRAGMA journal_mode=WAL", (long long)n);
  }else{
    doctorSay(p, LEVEL_OK, "page size", "%lld bytes", (long long)n);
  }
}

/**************************************************************************
** Who pins the WAL.
*/

/* Process ids that hold a reader's lock in the -shm file pShm, but this one:
** at most nMax, their number. */
static int doctorReaders(const struct stat *pShm, int *aPid, int nMax){
  FILE *f = fopen("/proc/locks", "r");
  char zLine[256];
  int n = 0;
  if( f==0 ) return 0;
  while( fgets(zLine, sizeof(zLine), f) ){
    unsigned iMajor, iMinor;
    unsigned long long iIno;
    long long iFrom, iTo;
    char zEnd[32];
    int iPid, i;
    char *z = strstr(zLine, "POSIX  ADVISORY  READ");
    if( z==0 || sscanf(z, "POSIX ADVISORY READ %d %x:%x:%llu %lld %31s", &iPid, &iMajor, &iMinor, &iIno, &iFrom,
                       zEnd)!=6 ) continue;
    iTo = strcmp(zEnd, "EOF")==0 ? 0x7fffffff : strtoll(zEnd, 0, 10);
    if( iIno!=pShm->st_ino || iMajor!=major(pShm->st_dev) || iMinor!=minor(pShm->st_dev) ) continue;
    if( iTo<123 || iFrom>127 || iPid<=0 || iPid==(int)getpid() ) continue;   /* WAL_READ_LOCK(0) to (4) */
    for(i=0; i<n && aPid[i]!=iPid; i++){}
    if( i==n && n<nMax ) aPid[n++] = iPid;
  }
  fclose(f);
  return n;
}

/* " 4711 (sqlite3)" for each process that reads now and did before. */
static char *doctorWho(const char *zDb){
  char *zShm = cmdPrintf("%s-shm", zDb);
  char *zOut = cmdPrintf("%s", "");
  int aPid[2][16], an[2] = {0, 0}, i, j;
  struct stat s;
  if( stat(zShm, &s)==0 ){
    an[0] = doctorReaders(&s, aPid[0], 16);
    usleep(100000);
    an[1] = doctorReaders(&s, aPid[1], 16);
  }
  for(i=0; i<an[1]; i++){
    char zPath[40], zName[32] = "";
    FILE *f;
    char *z;
    for(j=0; j<an[0] && aPid[0][j]!=aPid[1][i]; j++){}
    if( j==an[0] ) continue;
    snprintf(zPath, sizeof(zPath), "/proc/%d/comm", aPid[1][i]);
    f = fopen(zPath, "r");
    if( f && fgets(zName, sizeof(zName), f)==0 ) zName[0] = 0;
    if( f ) fclose(f);
    zName[strcspn(zName, "\n")] = 0;
    z = cmdPrintf("%s%s%d (%s)", zOut, zOut[0] ? ", " : "", aPid[1][i], zName[0] ? zName : "?");
    sqlite3_free(zOut);
    zOut = z;
  }
  sqlite3_free(zShm);
  return zOut;
}

/* Frames in the WAL that a passive checkpoint cannot move, because somebody
** still reads from before them.  -1: it could not be tried.  *pnLog: frames. */
static int doctorPinned(int *pnLog){
  int nCkpt = 0, i, n = -1;
  for(i=0; i<5 && n!=0; i++){
    int rc;
    if( i ) usleep(50000);
    rc = sqlite3_wal_checkpoint_v2(cmdDb, "main", SQLITE_CHECKPOINT_PASSIVE, pnLog, &nCkpt);
    if( rc==SQLITE_OK ) n = *pnLog-nCkpt;
  }
  return n;
}

static void doctorWal(Doctor *p){
  i64 szPage = doctorInt("PRAGMA main.page_size");
  int nLog = 0, n = doctorPinned(&nLog);
  char *zWho;
  if( n<=0 ){
    if( n<0 ) doctorSay(p, LEVEL_WARN, "wal", "it could not be looked at: %s; try again", sqlite3_errmsg(cmdDb));
    else doctorSay(p, LEVEL_OK, "wal", "nobody keeps it; frames %d", nLog);
    return;
  }
  zWho = doctorWho(p->zDb);
  doctorSay(p, n*szPage>=DOCTOR_PINNED ? LEVEL_BAD : LEVEL_WARN, "wal", "%d frames, %lld KiB, cannot leave it: %s%s"
            " reads from before them; have it end its transaction (finalize or reset its statements)", n,
            (long long)(n*szPage/1024), zWho[0] ? "process " : "somebody", zWho);
  sqlite3_free(zWho);
}

/**************************************************************************
** The log directory and the files.
*/
static void doctorDirectory(Doctor *p){
  char *zDir = doctorDebug(p->zStore, "directory ");
  struct stat s;
  if( strstr(zDir, "(missing or foreign)")==0 ){
    doctorSay(p, LEVEL_OK, "directory", "%s", zDir);
  }else if( stat(p->zDir, &s)!=0 ){
    doctorSay(p, LEVEL_BAD, "directory", "%s is not there, and the records were in it; bring it back, or prill restore"
              " a backup", p->zDir);
  }else{
    doctorSay(p, LEVEL_BAD, "directory", "%s is another store's, or without its file \"store\"; bring back the one of"
              " this database, or prill restore a backup", p->zDir);
  }
  sqlite3_free(zDir);
}

static void doctorWake(Doctor *p){
  char *z = doctorDebug(p->zStore, "; wake ");
  if( strncmp(z, "mapped", 6)==0 ){
    doctorSay(p, LEVEL_OK, "wake", "a commit wakes who waits for it");
  }else{
    doctorSay(p, LEVEL_WARN, "wake", "%s/wake %s: who waits looks once a second; the next writer makes it where it"
              " may", p->zDir, z[0]=='r' ? "cannot be written" : "is not there");
  }
  sqlite3_free(z);
}

/* May this user write zPath?  And are its permissions those of the database? */
static int doctorFile(Doctor *p, const char *zPath, int bDir){
  struct stat s;
  unsigned mWant = p->db.st_mode & 0666;
  if( stat(zPath, &s)!=0 ) return 1;
  if( bDir!=(S_ISDIR(s.st_mode)!=0) ){
    doctorSay(p, LEVEL_BAD, "permissions", "%s is %s directory; move it away", zPath, bDir ? "no" : "a");
    return 0;
  }
  if( bDir ) mWant |= (mWant & 0444)>>2;
  if( access(zPath, bDir ? R_OK|W_OK|X_OK : R_OK|W_OK)!=0 ){
    doctorSay(p, LEVEL_BAD, "permissions", "%s: %s; chmod or chown it", zPath, strerror(errno));
  }else if( (s.st_mode & 0777)!=mWant ){
    doctorSay(p, LEVEL_WARN, "permissions", "%s has mode %03o, %s has %03o: not all who may write one may write the"
              " other; chmod %03o %s", zPath, (unsigned)(s.st_mode & 0777), p->zDb, (unsigned)(p->db.st_mode & 0777),
              mWant, zPath);
  }else{
    return 1;
  }
  return 0;
}

static void doctorPermissions(Doctor *p){
  static const struct { const char *zEnd; int bDir; } a[] = {
    {"", 0}, {"-wal", 0}, {"-shm", 0}, {"-log", 1}, {"-log/store", 0}, {"-log/wake", 0},
  };
  char *zParent = cmdPrintf("%s", p->zDb);
  int bOk = 1;
  size_t i;
  for(i=0; i<sizeof(a)/sizeof(a[0]); i++){
    char *z = cmdPrintf("%s%s", p->zDb, a[i].zEnd);
    bOk &= doctorFile(p, z, a[i].bDir);
    sqlite3_free(z);
  }
  zParent[strrchr(zParent, '/')-zParent] = 0;
  if( access(zParent[0] ? zParent : "/", W_OK|X_OK)!=0 ){
    bOk = 0;
    doctorSay(p, LEVEL_BAD, "permissions", "no file can be made in %s: %s; chmod or chown it", zParent,
              strerror(errno));
  }
  if( bOk ){
    doctorSay(p, LEVEL_OK, "permissions", "mode %03o, and this user may write", (unsigned)(p->db.st_mode & 0777));
  }
  sqlite3_free(zParent);
}

/**************************************************************************
** The machine.
*/
static void doctorSpace(Doctor *p, const char *zPath){
  struct statvfs s;
  i64 n;
  if( statvfs(zPath, &s)!=0 ){
    doctorSay(p, LEVEL_WARN, "space", "%s: %s", zPath, strerror(errno));
    return;
  }
  n = (i64)s.f_bavail*(i64)s.f_frsize;
  if( s.f_files>0 && s.f_favail<1000 ){
    doctorSay(p, LEVEL_BAD, "space", "%s: room for %lld more files; delete some", zPath, (long long)s.f_favail);
  }else if( n<DOCTOR_SPACE ){
    doctorSay(p, n<DOCTOR_SPACE_BAD ? LEVEL_BAD : LEVEL_WARN, "space", "%s: %lld MiB free; make room, or lower"
              " retention.bytes and SELECT prill_maintain()", zPath, (long long)(n>>20));
  }else{
    doctorSay(p, LEVEL_OK, "space", "%s: %lld MiB free", zPath, (long long)(n>>20));
  }
}

enum { FS_LOCAL, FS_MEMORY, FS_UNSURE, FS_REMOTE };
static const struct DoctorFs { unsigned iType; int eKind; const char *zName; } aFs[] = {
  {0xef53, FS_LOCAL, "ext4"}, {0x58465342, FS_LOCAL, "xfs"}, {0x9123683e, FS_LOCAL, "btrfs"},
  {0xf2f52010, FS_LOCAL, "f2fs"}, {0x2fc12fc1, FS_LOCAL, "zfs"}, {0xca451a4e, FS_LOCAL, "bcachefs"},
  {0x794c7630, FS_LOCAL, "overlay"}, {0x01021994, FS_MEMORY, "tmpfs"}, {0x858458f6, FS_MEMORY, "ramfs"},
  {0x65735546, FS_UNSURE, "FUSE"}, {0x6969, FS_REMOTE, "NFS"}, {0x517b, FS_REMOTE, "SMB"},
  {0xff534d42, FS_REMOTE, "CIFS"}, {0xfe534d42, FS_REMOTE, "SMB2"}, {0x01021997, FS_REMOTE, "9p"},
  {0x00c36400, FS_REMOTE, "Ceph"}, {0x5346414f, FS_REMOTE, "AFS"}, {0x6b414653, FS_REMOTE, "AFS"},
  {0x73757245, FS_REMOTE, "Coda"}, {0x0bd00bd0, FS_REMOTE, "Lustre"}, {0x01161970, FS_REMOTE, "GFS2"},
  {0x7461636f, FS_REMOTE, "OCFS2"}, {0x786f4256, FS_REMOTE, "vboxsf"},
};

static void doctorFilesystem(Doctor *p, const char *zPath){
  struct statfs s;
  size_t i;
  if( statfs(zPath, &s)!=0 ){
    doctorSay(p, LEVEL_WARN, "filesystem", "%s: %s", zPath, strerror(errno));
    return;
  }
  for(i=0; i<sizeof(aFs)/sizeof(aFs[0]) && aFs[i].iType!=(unsigned)s.f_type; i++){}
  if( i==sizeof(aFs)/sizeof(aFs[0]) ){
    doctorSay(p, LEVEL_OK, "filesystem", "%s: type 0x%x, taken for local", zPath, (unsigned)s.f_type);
  }else if( aFs[i].eKind==FS_LOCAL ){
    doctorSay(p, LEVEL_OK, "filesystem", "%s: %s, local", zPath, aFs[i].zName);
  }else if( aFs[i].eKind==FS_MEMORY ){
    doctorSay(p, LEVEL_WARN, "filesystem", "%s: %s, in memory: nothing of it is there after a reboot; move the store"
              " to a disk", zPath, aFs[i].zName);
  }else if( aFs[i].eKind==FS_UNSURE ){
    doctorSay(p, LEVEL_WARN, "filesystem", "%s: %s: if another machine can mount it too, move the store to a local"
              " disk", zPath, aFs[i].zName);
  }else{
    doctorSay(p, LEVEL_BAD, "filesystem", "%s: %s, remote: locks and shared memory do not reach other machines; move"
              " the store to a local disk", zPath, aFs[i].zName);
  }
}

static void doctorLimits(Doctor *p){
  struct rlimit f, s;
  int bOk = 1;
  if( getrlimit(RLIMIT_NOFILE, &f)!=0 || getrlimit(RLIMIT_FSIZE, &s)!=0 ) return;
  if( f.rlim_cur<DOCTOR_FILES ){
    bOk = 0;
    doctorSay(p, LEVEL_BAD, "limits", "a process may open %llu files, a store wants %d; ulimit -n 1024",
              (unsigned long long)f.rlim_cur, DOCTOR_FILES);
  }
  if( s.rlim_cur!=RLIM_INFINITY && s.rlim_cur<(rlim_t)DOCTOR_SEGMENT ){
    bOk = 0;
    doctorSay(p, LEVEL_BAD, "limits", "a file may have %llu bytes, a segment %lld; ulimit -f unlimited, or lower"
              " segment.bytes", (unsigned long long)s.rlim_cur, DOCTOR_SEGMENT);
  }
  if( bOk && f.rlim_cur==RLIM_INFINITY ) doctorSay(p, LEVEL_OK, "limits", "open files: unlimited");
  if( bOk && f.rlim_cur!=RLIM_INFINITY ){
    doctorSay(p, LEVEL_OK, "limits", "open files: %llu", (unsigned long long)f.rlim_cur);
  }
}

/**************************************************************************
** What the store remembers.
*/
static void doctorBoot(Doctor *p){
  char *zWas = doctorText("SELECT boot FROM prill_store_state");
  char zNow[40] = "";
  FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
  if( f && fgets(zNow, sizeof(zNow), f)==0 ) zNow[0] = 0;
  if( f ) fclose(f);
  zNow[strcspn(zNow, "\n")] = 0;
  if( zNow[0] && strcmp(zNow, zWas)!=0 ){
    doctorSay(p, LEVEL_OK, "boot", "not written since this machine started: the next writer looks at what was not"
              " synced");
  }else{
    doctorSay(p, LEVEL_OK, "boot", "written since this machine started");
  }
  sqlite3_free(zWas);
}

static void doctorGaps(Doctor *p){
  i64 nAll = doctorInt("SELECT count(*) FROM prill_store_gap");
  sqlite3_stmt *pStmt;
  if( nAll==0 ){
    doctorSay(p, LEVEL_OK, "repairs", "no record was lost to a power cut");
    return;
  }
  pStmt = cmdPrepare("SELECT coalesce(t.name,'?'), coalesce(p.part,-1), g.first, g.last,"
                     " strftime('%%Y-%%m-%%dT%%H:%%M:%%SZ', g.at/1000, 'unixepoch') FROM prill_store_gap AS g"
                     " LEFT JOIN prill_store_part AS p USING(pid) LEFT JOIN prill_store_topic AS t ON t.id=p.topic"
                     " ORDER BY g.at DESC LIMIT %d", DOCTOR_GAPS);
  while( cmdStep(pStmt) ){
    doctorSay(p, LEVEL_WARN, "repairs", "offsets %lld to %lld of %s-%d were lost to a power cut (found %s);"
              " flush=commit loses none", (long long)sqlite3_column_int64(pStmt, 2),
              (long long)sqlite3_column_int64(pStmt, 3), (const char*)sqlite3_column_text(pStmt, 0),
              sqlite3_column_int(pStmt, 1), (const char*)sqlite3_column_text(pStmt, 4));
  }
  cmdFinish(pStmt);
  if( nAll>DOCTOR_GAPS ){
    doctorSay(p, LEVEL_WARN, "repairs", "and %lld gaps more: prill_store_gap", (long long)(nAll-DOCTOR_GAPS));
  }
}

static void doctorTrash(Doctor *p){
  i64 n = doctorInt("SELECT count(*) FROM prill_store_trash");
  if( n==0 ){
    doctorSay(p, LEVEL_OK, "upkeep", "no dropped file waits for its deletion");
  }else{
    doctorSay(p, LEVEL_WARN, "upkeep", "%lld dropped files take room until SELECT prill_maintain() or prilld deletes"
              " them", (long long)n);
  }
}

/* Inboxes of prill_capture() with rows set aside. */
static void doctorInbox(Doctor *p){
  sqlite3_stmt *pStmt = cmdPrepare("SELECT name FROM sqlite_master WHERE type='table' AND rootpage>0"
                                   " AND instr(sql, '/* inbox of prill_capture */') ORDER BY 1");
  while( cmdStep(pStmt) ){
    const char *zName = (const char*)sqlite3_column_text(pStmt, 0);
    char *zSql = cmdPrintf("SELECT count(*) FROM main.\"%w\" WHERE problem IS NOT NULL", zName);
    i64 n = doctorInt(zSql);
    sqlite3_free(zSql);
    if( n>0 ){
      doctorSay(p, LEVEL_WARN, "inbox", "%s: changes that their topic did not take: %lld; its column problem says why,"
                " UPDATE %s SET problem=NULL tries again", zName, n, zName);
    }
  }
  cmdFinish(pStmt);
}

/* The line of the store, and whether there is one. */
static void doctorStore(Doctor *p, const char *zDebug){
  const char *z = strstr(zDebug, "\nstore main: ");
  p->zStore = cmdPrintf("%.*s", z ? (int)strcspn(z+1, "\n") : 0, z ? z+1 : "");
  p->bStore = strncmp(p->zStore, "store main: id ", 15)==0;
  if( p->bStore ) return;
  if( strcmp(p->zStore, "store main: none")==0 ){
    doctorSay(p, LEVEL_OK, "store", "there is none yet; prill topic create makes it");
  }else{
    doctorSay(p, LEVEL_BAD, "store", "%s", p->zStore[0] ? p->zStore+12 : "it cannot be looked at");
  }
}

/* What needs the files' names alone: it is said even if the database cannot be
** opened, for it may be why. */
static void doctorMachine(Doctor *p, const char *zDb){
  struct stat s;
  p->zDb = cmdPrintf("%s", zDb);
  p->zDir = cmdPrintf("%s-log", zDb);
  doctorLimits(p);
  if( zDb[0]==0 || stat(zDb, &p->db)!=0 ) return;
  doctorPermissions(p);
  doctorSpace(p, p->zDb);
  doctorFilesystem(p, p->zDb);
  if( stat(p->zDir, &s)==0 && s.st_dev!=p->db.st_dev ){
    doctorSpace(p, p->zDir);
    doctorFilesystem(p, p->zDir);
  }
}

static void doctorDatabase(Doctor *p){
  char *zDebug = doctorText("SELECT prill_debug()");
  char *zMode = doctorText("PRAGMA main.journal_mode");
  doctorVersions(p, zDebug);
  doctorVfs(p);
  doctorJournal(p, zMode);
  doctorPage(p);
  if( strcmp(zMode, "wal")==0 ) doctorWal(p);
  doctorStore(p, zDebug);
  doctorSync(p);
  if( p->bStore ){
    doctorDirectory(p);
    doctorWake(p);
    doctorBoot(p);
    doctorGaps(p);
    doctorTrash(p);
    doctorInbox(p);
  }
  sqlite3_free(zMode);
  sqlite3_free(zDebug);
}

int cmdDoctor(const Cmd *pMe, int nArg, char **azArg){
  const char *zOut = 0;
  const CmdOpt aOpt[] = { {'o', "output", OPT_TEXT, (void*)&zOut} };
  Doctor d = {0};
  char *zPath;
  (void)pMe;
  CMD_OPTIONS(nArg, azArg, aOpt, 0, 0);
  if( zOut && strcmp(zOut, "text")!=0 && strcmp(zOut, "json")!=0 ) cmdUsage("-o %s: use text or json", zOut);
  d.bJson = zOut && strcmp(zOut, "json")==0;
  cmdDatabase();
  zPath = realpath(zCmdDb, 0);
  if( zPath ) doctorMachine(&d, zPath);
  free(zPath);
  cmdOpen(CMD_READ);
  if( d.zDb==0 ) doctorMachine(&d, sqlite3_db_filename(cmdDb, "main"));
  doctorDatabase(&d);
  sqlite3_free(d.zStore);
  sqlite3_free(d.zDb);
  sqlite3_free(d.zDir);
  return d.nBad>0;
}
