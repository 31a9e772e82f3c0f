/*
** file.c: files over sqlite3_vfs; the one place that touches the operating
** system.
**
** Layer 2.  Calls util.c's declarations only.
**
** Every byte of a log directory is read and written through the database's
** own sqlite3_vfs, so that one VFS sees the writes of database and log in one
** order: that is how power loss, I/O errors and full disks are tested, and
** why a VFS that encrypts or traces a database has its log too.  What the VFS
** interface lacks is done here and nowhere else: making and removing a
** directory, syncing one, giving a new file its owner or an old one a second
** name, the kernel's boot id.
**
** HOW A FILE IS OPENED
**
** As SQLITE_OPEN_SUPER_JOURNAL, under a name from sqlite3_create_filename().
** Of the VFS's file types this is the one that takes no locks (MAIN_DB would),
** plays no games with the name (MAIN_JOURNAL and WAL cut the database's name
** out of theirs), and syncs its directory on the first xSync of a handle that
** was opened with SQLITE_OPEN_CREATE.  So:
**
**   READ, WRITE   no CREATE: cheap, nothing is said of the directory entry
**   CREATE, NEW   CREATE: once prillFileSync() returns SQLITE_OK the entry is
**                 durable.  CREATE passes the flag for a file that exists
**                 too, for the process that made it may have died before it
**                 could sync; who only appends opens WRITE and saves that sync
**
** Traps of the unix VFS that this file knows:
**
**   1. xRead and xWrite fail from 128 KiB on: FILE_CHUNK.
**   2. READWRITE falls back to READONLY in silence: bReadOnly tells, and
**      CREATE, NEW and WRITE refuse it.
**   3. EXCLUSIVE|CREATE of a file that exists falls back in the same way and
**      "succeeds", read only: for NEW that is the proof that it existed.
**   4. xAccess(EXISTS) says no of an empty file: fileThere() asks twice.
**   5. The name's memory must live until xClose.
**   6. xOpen can fail and still want its xClose: pMethods tells.
**   7. xFileSize says 0 of a file of one byte.  Nothing here is so short.
**   8. The first open of an empty file for creation sets its mode anew.
**   9. It opens a FIFO, and waits for ever for somebody at its other end; and a
**      directory, for reading: fileForeign() looks first.  A symbolic link it
**      refuses, but only as the last name of the path.
**
** WHOSE FILES
**
** New files take the database's permission bits by the unix VFS's "modeof"
** parameter, new directories the same with x where there is r; both take its
** group where the process may give it, and its owner when the process is
** root.  A VFS with other ideas of names loses nothing: where stat() does not
** find the path the VFS's defaults stand.
**
** SHARED WORDS
**
** One file, "wake", is mapped and slept on (futex).  It is opened beside the
** VFS, by the system calls "open" and "mmap" where the VFS offers them.  It
** holds no data: what a VFS does not see of it is no loss.
**
** FAILURES
**
** Nothing is retried: a sync that failed may have dropped the pages it was to
** write, and only the caller can write them again.  Codes are the VFS's,
** except where a comment below says otherwise.
*/
#ifndef _XOPEN_SOURCE
# define _XOPEN_SOURCE 700      /* fchmod, fchown, lstat under -std=c11 */
#endif
#ifndef _DEFAULT_SOURCE
# define _DEFAULT_SOURCE 1      /* syscall */
#endif
#include "prillInt.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
# include <linux/futex.h>
# include <sys/syscall.h>
#endif

#define FILE_CHUNK 65536        /* most bytes in one xRead or xWrite */

/* A test's boot id, or "" for the kernel's. */
static char zFileBoot[40];

/*
** Is zPath behind a symbolic link in the place of a partition's directory (32
** hexadecimal digits, "-" and a number)?  Where that leads is not the store's to
** write or delete.  The log directory itself may be a link.
**
**   SQLITE_OK         no
**   SQLITE_CANTOPEN   yes
**   SQLITE_NOMEM
*/
static int fileBehindLink(const char *zPath){
  const char *zEnd = strrchr(zPath, '/');
  const char *zDir = zEnd;
  struct stat st;
  char *z;
  int rc = SQLITE_OK;
  while( zDir && zDir>zPath && zDir[-1]!='/' ) zDir--;
  if( zDir==0 || strspn(zDir, "0123456789abcdef")!=32 || zDir[32]!='-' ) return SQLITE_OK;
  z = sqlite3_mprintf("%.*s", (int)(zEnd-zPath), zPath);
  if( z==0 ) return SQLITE_NOMEM;
  if( lstat(z, &st)==0 && S_ISLNK(st.st_mode) ) rc = SQLITE_CANTOPEN;
  sqlite3_free(z);
  return rc;
}

/* May zPath be opened?  Not what no prill makes, anything but a regular file.
** What lstat() does not know is for the VFS to find or miss. */
static int fileForeign(const char *zPath){
  struct stat st;
  if( lstat(zPath, &st)==0 && !S_ISREG(st.st_mode) ) return SQLITE_CANTOPEN;
  return fileBehindLink(zPath);
}

/*
** Open p->pFd with these flags.  Whatever the outcome, p->pFd->pMethods is
** set exactly when it is open.
**
**   SQLITE_OK         open; *pOut has what the VFS really gave
**   SQLITE_CANTOPEN   missing, or not to be opened so; or any other error of
**                     the VFS
*/
static int fileTry(PrillFile *p, int flags, int *pOut){
  int rc = fileForeign(p->zPath);
  *pOut = 0;
  if( rc!=SQLITE_OK ) return rc;
  memset(p->pFd, 0, (size_t)p->pVfs->szOsFile);
  rc = p->pVfs->xOpen(p->pVfs, p->zPath, p->pFd,
                      flags|SQLITE_OPEN_SUPER_JOURNAL, pOut);
  if( rc!=SQLITE_OK && p->pFd->pMethods ){
    p->pFd->pMethods->xClose(p->pFd);
    p->pFd->pMethods = 0;
  }
  return rc;
}

/*
** Does zPath name a file or directory?  An empty file is seen when it may be
** read and written; one that may not is taken for missing, as the VFS has it.
*/
static int fileThere(sqlite3_vfs *pVfs, const char *zPath, int *pb){
  int rc = pVfs->xAccess(pVfs, zPath, SQLITE_ACCESS_EXISTS, pb);
  if( rc==SQLITE_OK && *pb==0 ){
    rc = pVfs->xAccess(pVfs, zPath, SQLITE_ACCESS_READWRITE, pb);
  }
  return rc;
}

/*
** Give the new file or directory zPath the database's group, and its owner
** when this process is root.  What is not allowed is left: the permission
** bits are right, and a process of another group is told by its own failure
** to open.
*/
static void fileOwner(const char *zPath, const struct stat *pDb){
  struct stat st;
  uid_t uid = (uid_t)-1;
  if( lstat(zPath, &st) || S_ISLNK(st.st_mode) ) return;
  if( geteuid()==0 && st.st_uid!=pDb->st_uid ) uid = pDb->st_uid;
  if( uid==(uid_t)-1 && st.st_gid==pDb->st_gid ) return;
  if( chown(zPath, uid, pDb->st_gid) ) return;
}

/*
** Open a file.  *pp is set on SQLITE_OK alone, else NULL; prillFileClose()
** frees it.
**
**   SQLITE_OK           open; bReadOnly set only for PRILL_OPEN_READ
**   SQLITE_CANTOPEN     missing (READ, WRITE), or its directory is
**   SQLITE_CONSTRAINT   NEW, and the file exists, be it empty
**   SQLITE_READONLY     it can be opened, but only for reading (WRITE, CREATE);
**                       or its directory cannot be written (_DIRECTORY)
**   SQLITE_NOMEM        or whatever else the VFS says
*/
int prillFileOpen(
  sqlite3_vfs *pVfs,
  const char *zPath,
  int eOpen,                  /* PRILL_OPEN_READ, _WRITE, _CREATE or _NEW */
  const char *zDb,            /* whose mode a new file takes, or NULL */
  PrillFile **pp              /* OUT */
){
  static const int aFlag[] = {
    SQLITE_OPEN_READONLY,
    SQLITE_OPEN_READWRITE,
    SQLITE_OPEN_READWRITE|SQLITE_OPEN_CREATE,
    SQLITE_OPEN_READWRITE|SQLITE_OPEN_CREATE|SQLITE_OPEN_EXCLUSIVE
  };
  PrillFile *p;
  const char *azParam[2];
  int bMake = eOpen>=PRILL_OPEN_CREATE;
  int bMode = bMake && zDb && zDb[0];
  int bThere = 0;
  int flags = aFlag[eOpen];
  int out = 0;
  int rc = SQLITE_OK;

  assert( eOpen>=PRILL_OPEN_READ && eOpen<=PRILL_OPEN_NEW );
  *pp = 0;
  if( bMake ) rc = fileThere(pVfs, zPath, &bThere);
  if( rc!=SQLITE_OK ) return rc;
  if( bThere && eOpen==PRILL_OPEN_NEW ) return SQLITE_CONSTRAINT;

  p = sqlite3_malloc64(sizeof(*p) + (sqlite3_uint64)pVfs->szOsFile);
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->pVfs = pVfs;
  p->pFd = (sqlite3_file*)&p[1];
  p->pFd->pMethods = 0;
  azParam[0] = "modeof";
  azParam[1] = zDb;
  p->zPath = (char*)sqlite3_create_filename(zPath, "", "", bMode, azParam);
  if( p->zPath==0 ){
    sqlite3_free(p);
    return SQLITE_NOMEM;
  }
  if( bMode ) flags |= SQLITE_OPEN_URI;    /* else modeof is not looked at */

  rc = fileTry(p, flags, &out);
  if( rc==SQLITE_OK ){
    p->bReadOnly = (out & SQLITE_OPEN_READONLY)!=0;
    p->bFresh = eOpen==PRILL_OPEN_NEW;
    if( p->bReadOnly && eOpen!=PRILL_OPEN_READ ){
      rc = eOpen==PRILL_OPEN_NEW ? SQLITE_CONSTRAINT : SQLITE_READONLY;
    }else if( bMode && !bThere ){
      struct stat db;
      if( stat(zDb, &db)==0 ) fileOwner(zPath, &db);
    }
  }
  if( rc!=SQLITE_OK ){
    prillFileClose(p);
    p = 0;
  }else{
    prillFileIdent(zPath, p->aIdent);
  }
  *pp = p;
  return rc;
}

/* Open a file that exists for its locks. */
static int fileForLock(sqlite3_vfs *pVfs, const char *zPath, PrillFile **pp){
  PrillFile *p = sqlite3_malloc64(sizeof(*p) + (sqlite3_uint64)pVfs->szOsFile);
  int out = 0;
  int rc;
  *pp = 0;
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p) + (size_t)pVfs->szOsFile);
  p->pVfs = pVfs;
  p->pFd = (sqlite3_file*)&p[1];
  p->zPath = (char*)sqlite3_create_filename(zPath, "", "", 0, 0);
  if( p->zPath==0 ){
    sqlite3_free(p);
    return SQLITE_NOMEM;
  }
  rc = fileForeign(zPath);
  if( rc==SQLITE_OK ) rc = pVfs->xOpen(pVfs, p->zPath, p->pFd, SQLITE_OPEN_READWRITE|SQLITE_OPEN_MAIN_DB, &out);
  if( rc!=SQLITE_OK ){
    prillFileClose(p);
    p = 0;
  }
  *pp = p;
  return rc;
}

/*
** Make a file and hold it: until prillFileClose, or the end of the process,
** however that comes, prillFileHeld says so to everybody else.  The VFS's locks
** serve, those of a database file; on unix they are the kernel's and the
** process's own: a child that was forked has none of them.
**
**   SQLITE_OK           held
**   SQLITE_CONSTRAINT   the file was there already
**   SQLITE_BUSY, ...    not held, and no file of that name left behind
*/
int prillFileHold(sqlite3_vfs *pVfs, const char *zPath, const char *zDb, PrillFile **pp){
  int rc = prillFileOpen(pVfs, zPath, PRILL_OPEN_NEW, zDb, pp);
  if( rc!=SQLITE_OK ) return rc;
  prillFileClose(*pp);                    /* before it is locked: to close it would unlock it */
  rc = fileForLock(pVfs, zPath, pp);
  if( rc==SQLITE_OK ) rc = (*pp)->pFd->pMethods->xLock((*pp)->pFd, SQLITE_LOCK_SHARED);
  if( rc==SQLITE_OK ) rc = (*pp)->pFd->pMethods->xLock((*pp)->pFd, SQLITE_LOCK_RESERVED);
  if( rc!=SQLITE_OK ){
    prillFileClose(*pp);
    *pp = 0;
    (void)prillFileDelete(pVfs, zPath, 0);
  }
  return rc;
}

/* Does anybody hold the file, another handle of this process included?  Nobody
** holds one that is missing.  An error leaves *pbHeld 1. */
int prillFileHeld(sqlite3_vfs *pVfs, const char *zPath, int *pbHeld){
  PrillFile *p = 0;
  int bThere = 1;
  int rc = fileForLock(pVfs, zPath, &p);
  *pbHeld = 1;
  if( rc==SQLITE_OK ) rc = p->pFd->pMethods->xCheckReservedLock(p->pFd, pbHeld);
  prillFileClose(p);
  if( (rc&0xff)==SQLITE_CANTOPEN ){
    rc = fileThere(pVfs, zPath, &bThere);
    if( rc==SQLITE_OK ) *pbHeld = bThere!=0;
  }
  if( rc!=SQLITE_OK ) *pbHeld = 1;
  return rc;
}

/* This process: its number, and in zOut that with the program's name. */
i64 prillFileProcess(char zOut[48]){
  i64 iPid = (i64)getpid();
  char zName[17];
  ssize_t n = 0;
  int fd;
  if( zOut==0 ) return iPid;
  fd = open("/proc/self/comm", O_RDONLY|O_CLOEXEC);
  if( fd>=0 ){
    n = read(fd, zName, sizeof(zName)-1);
    close(fd);
  }
  if( n>0 && zName[n-1]=='\n' ) n--;
  zName[PRILL_MAX(n, 0)] = 0;
  if( !prillUtf8((const u8*)zName, PRILL_MAX(n, 0)) ) zName[0] = 0;
  sqlite3_snprintf(48, zOut, "%lld%s%s", iPid, zName[0] ? " " : "", zName);
  return iPid;
}

/*
** Close and free.  SQLITE_OK, or the VFS's error: the file is closed and
** freed all the same.
*/
int prillFileClose(PrillFile *p){
  int rc = SQLITE_OK;
  if( p==0 ) return SQLITE_OK;
  if( p->pFd->pMethods ) rc = p->pFd->pMethods->xClose(p->pFd);
  sqlite3_free_filename(p->zPath);
  sqlite3_free(p);
  return rc;
}

/*
** Exactly n bytes from iPos.
**
**   SQLITE_OK                  all of a[] read
**   SQLITE_IOERR_SHORT_READ    the file ends within; what lies past its end
**                              is zeros in a[]
**   SQLITE_IOERR_*             the contents of a[] are undefined
*/
int prillFileRead(PrillFile *p, void *a, i64 n, i64 iPos){
  u8 *z = a;
  int rc = SQLITE_OK;
  assert( n>=0 && iPos>=0 );
  while( rc==SQLITE_OK && n>0 ){
    int nNow = (int)PRILL_MIN(n, FILE_CHUNK);
    rc = p->pFd->pMethods->xRead(p->pFd, z, nNow, iPos);
    z += nNow;
    iPos += nNow;
    n -= nNow;
  }
  if( rc==SQLITE_IOERR_SHORT_READ && n>0 ) memset(z, 0, (size_t)n);
  return rc;
}

/*
** Exactly n bytes at iPos.  Pieces end where the file's own pieces of FILE_CHUNK
** do: the kernel caches such a one as a whole, another page by page.
**
**   SQLITE_OK         handed to the VFS; durable after prillFileSync()
**   SQLITE_READONLY   the file was opened for reading
**   SQLITE_FULL, SQLITE_IOERR_*
**                     any part of the bytes may have been written; where
**                     they reach past the file's end it may have grown
*/
int prillFileWrite(PrillFile *p, const void *a, i64 n, i64 iPos){
  const u8 *z = a;
  int rc = p->bReadOnly ? SQLITE_READONLY : SQLITE_OK;
  assert( n>=0 && iPos>=0 );
  while( rc==SQLITE_OK && n>0 ){
    int nNow = (int)PRILL_MIN(n, FILE_CHUNK - iPos%FILE_CHUNK);
    rc = p->pFd->pMethods->xWrite(p->pFd, z, nNow, iPos);
    z += nNow;
    iPos += nNow;
    n -= nNow;
  }
  return rc;
}

/*
** Make all bytes and the size durable; on the first call after CREATE or NEW
** the directory entry too.
**
**   SQLITE_OK         durable
**   SQLITE_IOERR_*    unknown, and unknowable: neither the bytes written
**                     since the last sync nor a later SQLITE_OK can be
**                     trusted for them
*/
int prillFileSync(PrillFile *p){
  int rc = p->pFd->pMethods->xSync(p->pFd, SQLITE_SYNC_NORMAL);
  if( rc==SQLITE_OK ) p->bFresh = 0;
  return rc;
}

/* *pSize is set on SQLITE_OK, else 0 with the VFS's error.  One byte: trap 7. */
int prillFileSize(PrillFile *p, i64 *pSize){
  sqlite3_int64 n = 0;
  int rc = p->pFd->pMethods->xFileSize(p->pFd, &n);
  *pSize = rc==SQLITE_OK ? n : 0;
  return rc;
}

/*
** Cut, or extend with zeros, to n bytes.  Durable after prillFileSync().  On
** an error the size is the old or the new one.
*/
int prillFileTruncate(PrillFile *p, i64 n){
  assert( n>=0 );
  if( p->bReadOnly ) return SQLITE_READONLY;
  return p->pFd->pMethods->xTruncate(p->pFd, n);
}

/*
** *pbExists: 1 when zPath is a file or a directory.  An empty file that may
** not be both read and written counts as missing (the VFS's rule).  On an
** error of the VFS it is 0.
*/
int prillFileExists(sqlite3_vfs *pVfs, const char *zPath, int *pbExists){
  int rc;
  *pbExists = 0;
  rc = fileThere(pVfs, zPath, pbExists);
  if( rc!=SQLITE_OK ) *pbExists = 0;
  *pbExists = *pbExists!=0;
  return rc;
}

/*
** Which file a path names, by its device and inode: what is open here may have
** been removed, or another put in its place, and goes on working all the same.
** A path that stat() does not know, missing or a VFS's own, gives zeros.
*/
void prillFileIdent(const char *zPath, u64 aOut[2]){
  struct stat st;
  aOut[0] = aOut[1] = 0;
  if( stat(zPath, &st)==0 ){
    aOut[0] = (u64)st.st_dev;
    aOut[1] = (u64)st.st_ino;
  }
}

/* 0 as well where the path was not known to stat() when it was opened. */
int prillFileMoved(const PrillFile *p){
  u64 a[2];
  if( p->aIdent[1]==0 ) return 0;
  prillFileIdent(p->zPath, a);
  return a[0]!=p->aIdent[0] || a[1]!=p->aIdent[1];
}

/*
** Unlink a file.
**
**   SQLITE_OK         it is gone, durably when bSync; or it was not there,
**                     and then nothing was synced
**   SQLITE_IOERR_DIR_FSYNC
**                     it is gone, but may be back after a power loss
**   SQLITE_IOERR_DELETE, SQLITE_CANTOPEN, ...
**                     it is still there
*/
int prillFileDelete(sqlite3_vfs *pVfs, const char *zPath, int bSync){
  int rc = fileBehindLink(zPath);
  if( rc==SQLITE_OK ) rc = pVfs->xDelete(pVfs, zPath, bSync);
  return rc==SQLITE_IOERR_DELETE_NOENT ? SQLITE_OK : rc;
}

/* A system call the VFS offers by name, or NULL. */
static sqlite3_syscall_ptr fileSyscall(sqlite3_vfs *pVfs, const char *zName){
  if( pVfs->iVersion<3 || pVfs->xGetSystemCall==0 ) return 0;
  return pVfs->xGetSystemCall(pVfs, zName);
}

/*
** The result code for an errno of mkdir, chmod or rmdir, logged.
**
**   SQLITE_FULL                 no space, or no quota
**   SQLITE_READONLY_DIRECTORY   not permitted
**   SQLITE_NOMEM
**   SQLITE_IOERR                the disk failed
**   SQLITE_CANTOPEN             all else: a missing parent, a file in the way
*/
static int fileErrno(const char *zWhat, const char *zPath, int iErrno){
  int rc;
  switch( iErrno ){
    case ENOSPC:
#ifdef EDQUOT
    case EDQUOT:
#endif
      rc = SQLITE_FULL;
      break;
    case EACCES: case EPERM: case EROFS:
      rc = SQLITE_READONLY_DIRECTORY;
      break;
    case ENOMEM:
      rc = SQLITE_NOMEM;
      break;
    case EIO:
      rc = SQLITE_IOERR;
      break;
    default:
      rc = SQLITE_CANTOPEN;
      break;
  }
  sqlite3_log(rc, "prill: %s(%s) failed, errno %d", zWhat, zPath, iErrno);
  return rc;
}

/* SQLITE_OK or SQLITE_IOERR_DIR_FSYNC. */
int prillFileSyncDir(sqlite3_vfs *pVfs, const char *zDir){
  int (*xDirsync)(const char*) =
      (int(*)(const char*))fileSyscall(pVfs, "prill_dirsync");
  int rc = -1;
  if( xDirsync ){
    rc = xDirsync(zDir);
  }else{
    int fd = open(zDir, O_RDONLY|O_CLOEXEC);
    if( fd>=0 ){
      rc = fsync(fd);
      if( close(fd) ) rc = -1;
    }
  }
  if( rc ){
    sqlite3_log(SQLITE_IOERR_DIR_FSYNC, "prill: cannot sync directory %s", zDir);
    return SQLITE_IOERR_DIR_FSYNC;
  }
  return SQLITE_OK;
}

/* Sync the directory that zPath is an entry of. */
static int fileSyncParent(sqlite3_vfs *pVfs, const char *zPath){
  size_t n = strlen(zPath);
  char *z;
  int rc;
  while( n>1 && zPath[n-1]=='/' ) n--;          /* "a/b/" names b */
  while( n>0 && zPath[n-1]!='/' ) n--;
  while( n>1 && zPath[n-1]=='/' ) n--;
  z = n ? sqlite3_mprintf("%.*s", (int)n, zPath) : sqlite3_mprintf(".");
  if( z==0 ) return SQLITE_NOMEM;
  rc = prillFileSyncDir(pVfs, z);
  sqlite3_free(z);
  return rc;
}

/*
** Make directory zDir with the database's mode, x where r, whatever the
** umask; without a database, or where stat() does not know it, 0777 under
** the umask.  With bSync its entry is made durable: its parent is synced.
** That is done for a directory that exists too, since the process that made it
** may have died between the two steps and what is about to be put inside would
** hang on nothing; so call it where a file is about to be made, not on every
** use.  Without bSync the caller owes a prillFileSyncDir of the parent.
**
**   SQLITE_OK                 there, and durably so
**   SQLITE_IOERR_DIR_FSYNC    there, but perhaps not after a power loss
**   SQLITE_CANTOPEN, SQLITE_READONLY_DIRECTORY, SQLITE_FULL, SQLITE_IOERR
**                             not there (fileErrno() has the list)
*/
int prillFileMkdir(sqlite3_vfs *pVfs, const char *zDir, const char *zDb, int bSync){
  int (*xMkdir)(const char*, mode_t) =
      (int(*)(const char*, mode_t))fileSyscall(pVfs, "mkdir");
  struct stat db;
  struct stat st;
  mode_t mode = 0777;
  int bMode = zDb && zDb[0] && stat(zDb, &db)==0;

  if( bMode ){
    mode = db.st_mode & 0777;
    mode |= (mode & 0444)>>2;
  }
  if( xMkdir==0 ) xMkdir = mkdir;
  if( xMkdir(zDir, mode) ){
    int iErrno = errno;
    if( iErrno==EEXIST && stat(zDir, &st)==0 && !S_ISDIR(st.st_mode) ){
      iErrno = ENOTDIR;                   /* a file in the way */
    }
    if( iErrno!=EEXIST ) return fileErrno("mkdir", zDir, iErrno);
  }else if( bMode ){
    fileOwner(zDir, &db);
    if( stat(zDir, &st)==0 && (st.st_mode & 0777)!=mode ){
      /* The umask took bits.  A set-group-id bit the parent gave stays. */
      if( chmod(zDir, mode | (st.st_mode & 07000)) ){
        return fileErrno("chmod", zDir, errno);
      }
    }
  }
  return bSync ? fileSyncParent(pVfs, zDir) : SQLITE_OK;
}

/*
** Give the file zFrom a second name.  Not synced: prillFileSyncDir() makes it
** durable.  Only the unix VFSes keep a file under its own name in one piece,
** so only for these, or where a VFS offers the system call "prill_link"
** (int(*)(const char *zFrom, const char *zTo), 0 on success).
**
**   SQLITE_OK         zTo names the same file
**   SQLITE_NOTFOUND   there are no hard links here, or none between these two,
**                     or zFrom is nothing that prill would open
**   SQLITE_CANTOPEN, SQLITE_READONLY_DIRECTORY, SQLITE_FULL, SQLITE_IOERR
**                     it should have worked and did not (fileErrno())
*/
int prillFileLink(sqlite3_vfs *pVfs, const char *zFrom, const char *zTo){
  int (*xLink)(const char*, const char*) =
      (int(*)(const char*, const char*))fileSyscall(pVfs, "prill_link");
  if( xLink==0 && strncmp(pVfs->zName, "unix", 4)==0 ) xLink = link;
  if( xLink==0 || fileForeign(zFrom)!=SQLITE_OK ) return SQLITE_NOTFOUND;
  if( xLink(zFrom, zTo)==0 ) return SQLITE_OK;
  switch( errno ){
    case EXDEV: case EPERM: case EMLINK: case ENOTSUP: case ENOSYS:
      return SQLITE_NOTFOUND;
    default:
      return fileErrno("link", zTo, errno);
  }
}

/*
** Remove an empty directory.  One that is missing, or not empty, is as good:
** what is left in it is another process's, or a later call's.  Not synced: an
** empty directory that is back after a power loss does no harm.
**
**   SQLITE_OK                  gone, or left as it is
**   SQLITE_READONLY_DIRECTORY, SQLITE_IOERR, ...   still there
*/
int prillFileRmdir(sqlite3_vfs *pVfs, const char *zDir){
  int (*xRmdir)(const char*) = (int(*)(const char*))fileSyscall(pVfs, "rmdir");
  if( xRmdir==0 ) xRmdir = rmdir;
  if( xRmdir(zDir)==0 ) return SQLITE_OK;
  if( errno==ENOENT || errno==ENOTEMPTY || errno==EEXIST ) return SQLITE_OK;
  return fileErrno("rmdir", zDir, errno);
}

/*
** The kernel's boot id: it changes with every boot, and so tells a store
** that what was not synced may be gone.  "unknown" where /proc does not say;
** a store then cannot tell, and takes every process for the same boot.  No
** process lives through a boot: it is read once.
*/
void prillFileBootId(char zOut[40]){
  static const char zPath[] = "/proc/sys/kernel/random/boot_id";
  static char zKernel[40];
  static int eKernel;                     /* zKernel: 0 not yet, 1 being written, 2 good */
  int fd, eNone = 0;
  ssize_t n = 0;
  if( zFileBoot[0] ){
    memcpy(zOut, zFileBoot, sizeof(zFileBoot));
    return;
  }
  if( __atomic_load_n(&eKernel, __ATOMIC_ACQUIRE)==2 ){
    memcpy(zOut, zKernel, sizeof(zKernel));
    return;
  }
  memset(zOut, 0, 40);
  fd = open(zPath, O_RDONLY|O_CLOEXEC);
  if( fd>=0 ){
    n = read(fd, zOut, 36);
    if( close(fd) ) n = 0;
  }
  if( n!=36 ){
    memcpy(zOut, "unknown", 8);
  }else if( __atomic_compare_exchange_n(&eKernel, &eNone, 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ){
    memcpy(zKernel, zOut, sizeof(zKernel));
    __atomic_store_n(&eKernel, 2, __ATOMIC_RELEASE);
  }
}

/* Pretend another boot id, cut at 39 characters; NULL or "": the kernel's. */
void prillFileSetBootId(const char *z){
  size_t n = z ? strlen(z) : 0;
  n = PRILL_MIN(n, sizeof(zFileBoot)-1);
  memset(zFileBoot, 0, sizeof(zFileBoot));
  if( n ) memcpy(zFileBoot, z, n);
}

/**************************************************************************
** Words shared by processes.
*/

/* A file of this process that the VFS knows nothing of. */
static int fileRawOpen(sqlite3_vfs *pVfs, const char *zPath, int flags){
  int (*xOpen)(const char*, int, int) = (int(*)(const char*, int, int))fileSyscall(pVfs, "open");
  flags |= O_CLOEXEC|O_NOCTTY|O_NOFOLLOW|O_NONBLOCK;
  return xOpen ? xOpen(zPath, flags, 0) : open(zPath, flags, 0);
}

static void *fileRawMap(sqlite3_vfs *pVfs, size_t n, int bWrite, int fd){
  void *(*xMmap)(void*, size_t, int, int, int, off_t) =
      (void*(*)(void*, size_t, int, int, int, off_t))fileSyscall(pVfs, "mmap");
  int prot = bWrite ? PROT_READ|PROT_WRITE : PROT_READ;
  if( xMmap==0 ) xMmap = mmap;
  return xMmap(0, n, prot, MAP_SHARED, fd, 0);
}

/*
** Map the first n bytes of zPath, shared with every process that does so too;
** for reading alone when the file may not be written.  A link is not followed:
** what is mapped gets written to.  A file cut while it is mapped is SIGBUS, so
** only a file that nobody cuts is for this.
**
**   SQLITE_OK                 p->a is good until prillFileUnmap()
**   SQLITE_IOERR_SHORT_READ   the file has fewer bytes
**   SQLITE_CANTOPEN           missing; not a plain file; not to be opened
**   SQLITE_NOMEM              not to be mapped
*/
int prillFileMap(sqlite3_vfs *pVfs, const char *zPath, i64 n, PrillMap *p){
#ifdef __linux__
  struct stat st;
  int bWrite = 1;
  int rc = SQLITE_OK;
  int fd = fileRawOpen(pVfs, zPath, O_RDWR);
  memset(p, 0, sizeof(*p));
  if( fd<0 && (errno==EACCES || errno==EROFS || errno==EPERM) ){
    bWrite = 0;
    fd = fileRawOpen(pVfs, zPath, O_RDONLY);
  }
  if( fd<0 ) return SQLITE_CANTOPEN;
  if( fstat(fd, &st)!=0 || !S_ISREG(st.st_mode) ){
    rc = SQLITE_CANTOPEN;
  }else if( st.st_size<n ){
    rc = SQLITE_IOERR_SHORT_READ;
  }else{
    void *a = fileRawMap(pVfs, (size_t)n, bWrite, fd);
    if( a==MAP_FAILED ){
      rc = SQLITE_NOMEM;
    }else{
      p->a = (u32*)a;
      p->n = n;
      p->iDev = (u64)st.st_dev;
      p->iIno = (u64)st.st_ino;
      p->bReadOnly = (u8)!bWrite;
    }
  }
  close(fd);
  return rc;
#else
  (void)pVfs; (void)zPath; (void)n;
  memset(p, 0, sizeof(*p));
  return SQLITE_CANTOPEN;
#endif
}

void prillFileUnmap(PrillMap *p){
  if( p->a ) munmap((void*)p->a, (size_t)p->n);
  memset(p, 0, sizeof(*p));
}

/* Is zPath still the file that is mapped? */
int prillFileIsMapped(const char *zPath, const PrillMap *p){
  struct stat st;
  return p->a && lstat(zPath, &st)==0 && (u64)st.st_dev==p->iDev && (u64)st.st_ino==p->iIno
      && st.st_size>=p->n;
}

/*
** Sleep while *p has the value v, at most us microseconds; *p is in a mapped
** file.  1: that time has passed.  0: *p has another value, somebody called
** prillFileWake(), or a signal came.
*/
int prillFileSleep(const u32 *p, u32 v, i64 us){
#ifdef __linux__
  struct timespec t;
  t.tv_sec = (time_t)(us/1000000);
  t.tv_nsec = (long)(us%1000000)*1000;
  return syscall(SYS_futex, p, FUTEX_WAIT, v, &t, 0, 0)!=0 && errno==ETIMEDOUT;
#else
  (void)p; (void)v; (void)us;
  return 1;
#endif
}

/* Wake at most n of those who sleep on *p; returns how many there were. */
int prillFileWake(u32 *p, int n){
#ifdef __linux__
  long nWoken = syscall(SYS_futex, p, FUTEX_WAKE, n, 0, 0, 0);
  return nWoken>0 ? (int)nWoken : 0;
#else
  (void)p; (void)n;
  return 0;
#endif
}
