/*
** lock.c: one daemon to a store.
**
** The file "prilld" in the log directory is locked by the daemon that serves
** the store, and holds its pid for people to read.  The lock is the kernel's
** (fcntl): it ends with its process, however that ends, so that a dead holder
** is no obstacle and the file may stay.
**
**   I1  The file is never unlinked: two daemons would lock two files.
**   I2  It is opened once in a process: closing any other handle of it would
**       let go of the lock.
*/
#include "prilld.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int lockCall(int fd, int eCmd, struct flock *p){
  int rc;
  memset(p, 0, sizeof(*p));
  p->l_type = F_WRLCK;
  p->l_whence = SEEK_SET;
  do{
    rc = fcntl(fd, eCmd, p);
  }while( rc!=0 && errno==EINTR );
  return rc;
}

int prilldLockTake(const char *zDir, int *pFd, char **pzErr){
  char *zPath = sqlite3_mprintf("%s/prilld", zDir);
  char zPid[24];
  struct flock lock;
  int fd, rc = SQLITE_ERROR;
  *pFd = -1;
  if( zPath==0 ) return SQLITE_NOMEM;
  fd = open(zPath, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0644);
  if( fd<0 ){
    *pzErr = sqlite3_mprintf("%s cannot be opened (%s); check its permissions", zPath, strerror(errno));
  }else if( lockCall(fd, F_SETLK, &lock)==0 ){
    sqlite3_snprintf(sizeof(zPid), zPid, "%d\n", (int)getpid());
    if( ftruncate(fd, 0)!=0 || write(fd, zPid, strlen(zPid))<0 ){
      prilldLog(PRILLD_LOG_WARN, "%s: the pid cannot be written: %s", zPath, strerror(errno));
    }
    *pFd = fd;
    fd = -1;
    rc = SQLITE_OK;
  }else if( errno!=EACCES && errno!=EAGAIN ){
    *pzErr = sqlite3_mprintf("%s cannot be locked: %s", zPath, strerror(errno));
  }else if( lockCall(fd, F_GETLK, &lock)==0 && lock.l_type!=F_UNLCK ){
    *pzErr = sqlite3_mprintf("prilld with pid %d serves it already; connect to that one, or end it first",
                             (int)lock.l_pid);
  }else{
    *pzErr = sqlite3_mprintf("another prilld was just ending; start again");
  }
  if( fd>=0 ) close(fd);
  sqlite3_free(zPath);
  return rc;
}

void prilldLockFree(int *pFd){
  if( *pFd>=0 ) close(*pFd);
  *pFd = -1;
}
