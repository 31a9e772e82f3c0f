/*
** cmd_work.c: prill consume --exec: a command is run for each record of a consumer
** group, several at a time.
**
** prill_work gives records, those of one key one after the other, and commits
** offsets up to the first that is not done.  A record that is given has a slot: its
** command runs, with the value on standard input, or, when that failed, waits to be
** run again.  One that failed too often becomes a dead letter, in a transaction of its
** own before it is done; without a topic for these the command comes to its end.
**
** Signals SIGINT, SIGTERM and SIGHUP: nothing more is taken, what runs is waited for,
** what is done is committed.  A handler writes to a pipe, on which poll() waits.
*/
#include "cmd_work.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define WORK_MX_BACKOFF 10000           /* ms */
#define WORK_LOOK       500             /* ms of waiting for records between two looks for a signal */
#define WORK_MX_ENV     65536           /* bytes of a key in the environment */

typedef struct Slot Slot;
struct Slot {
  const prill_record *pRec;             /* NULL: free */
  pid_t pid;                            /* 0: waits to be run again */
  int nTry;                             /* runs that failed */
  i64 msNext;                           /* when to run it again */
};

typedef struct Work Work;
struct Work {
  const CmdWork *pArg;
  prill_work *pWork;
  prill_producer *pDead;
  Slot *aSlot;
  int nBusy;                            /* slots with a record */
  i64 nTaken;
  int bDrain;                           /* take no more */
  char *zStop;                          /* the error to end with */
};

static volatile sig_atomic_t workStop = 0;
static int workPipe[2] = {-1, -1};

static void workSignal(int iSignal){
  int iErr = errno;
  if( iSignal!=SIGCHLD ) workStop = iSignal;
  if( write(workPipe[1], "", 1)<0 ){}
  errno = iErr;
}

static void workCatch(void){
  static const int aSignal[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
  struct sigaction act;
  size_t i;
  if( pipe2(workPipe, O_CLOEXEC|O_NONBLOCK) ) cmdFatal("no pipe: %s", strerror(errno));
  memset(&act, 0, sizeof(act));
  act.sa_handler = workSignal;
  sigemptyset(&act.sa_mask);
  for(i=0; i<sizeof(aSignal)/sizeof(aSignal[0]); i++) sigaction(aSignal[i], &act, 0);
}

static i64 workNow(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (i64)t.tv_sec*1000 + t.tv_nsec/1000000;
}

/* Come to an end with this error, if there is none yet. */
static void workFail(Work *p, const char *zFmt, ...){
  va_list ap;
  va_start(ap, zFmt);
  if( p->zStop==0 ) p->zStop = cmdVprintf(zFmt, ap);
  va_end(ap);
  p->bDrain = 1;
}

/**************************************************************************
** Running a command.
*/

/* The environment of a command: ours, and the record. */
static char **workEnviron(const prill_record *r){
  char **az;
  int n = 0, i;
  while( environ[n] ) n++;
  az = (char**)cmdAlloc(0, sizeof(char*)*(u64)(n+6));
  for(i=n=0; environ[i]; i++){
    if( strncmp(environ[i], "PRILL_TOPIC=", 12)==0 || strncmp(environ[i], "PRILL_PARTITION=", 16)==0
     || strncmp(environ[i], "PRILL_OFFSET=", 13)==0 || strncmp(environ[i], "PRILL_KEY=", 10)==0
     || strncmp(environ[i], "PRILL_TIMESTAMP=", 16)==0 ) continue;
    az[n++] = cmdPrintf("%s", environ[i]);
  }
  az[n++] = cmdPrintf("PRILL_TOPIC=%s", r->zTopic);
  az[n++] = cmdPrintf("PRILL_PARTITION=%d", r->iPartition);
  az[n++] = cmdPrintf("PRILL_OFFSET=%lld", r->iOffset);
  az[n++] = cmdPrintf("PRILL_TIMESTAMP=%lld", r->iTimestamp);
  if( r->pKey && r->nKey<=WORK_MX_ENV && memchr(r->pKey, 0, (size_t)r->nKey)==0 ){
    az[n++] = cmdPrintf("PRILL_KEY=%.*s", r->nKey, (const char*)r->pKey);
  }
  az[n] = 0;
  return az;
}

/* In the child. */
static void workChild(const char *zCmd, char **azEnv, int fdIn){
  static const int aSignal[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
  char *azArg[4];
  size_t i;
  azArg[0] = (char*)"sh";
  azArg[1] = (char*)"-c";
  azArg[2] = (char*)zCmd;
  azArg[3] = 0;
  for(i=0; i<sizeof(aSignal)/sizeof(aSignal[0]); i++) signal(aSignal[i], SIG_DFL);
  setpgid(0, 0);                        /* ^C at a terminal is for us, who drain */
  if( dup2(fdIn, STDIN_FILENO)>=0 ) execve("/bin/sh", azArg, azEnv);
  _exit(127);
}

/* The value as a file without a name: what reads it gets all of it, even when we
** are killed meanwhile. */
static int workValue(const prill_record *r){
  const char *a = (const char*)r->pValue;
  size_t n = a ? (size_t)r->nValue : 0, iDone = 0;
  int fd = memfd_create("prill", MFD_CLOEXEC);
  while( fd>=0 && iDone<n ){
    ssize_t k = write(fd, a+iDone, n-iDone);
    if( k<0 && errno==EINTR ) continue;
    if( k<=0 ) cmdFatal("no memory for a value: %s", strerror(errno));
    iDone += (size_t)k;
  }
  if( fd<0 || lseek(fd, 0, SEEK_SET)<0 ) cmdFatal("no memory for a value: %s", strerror(errno));
  return fd;
}

static void workRun(Work *p, Slot *s){
  char **azEnv = workEnviron(s->pRec);
  int fd = workValue(s->pRec);
  int i;
  s->pid = fork();
  if( s->pid==0 ) workChild(p->pArg->zExec, azEnv, fd);
  if( s->pid<0 ) cmdFatal("no process for --exec: %s", strerror(errno));
  for(i=0; azEnv[i]; i++) sqlite3_free(azEnv[i]);
  sqlite3_free(azEnv);
  close(fd);
}

/**************************************************************************
** What becomes of a record.
*/
static void workDone(Work *p, Slot *s){
  prill_work_done(p->pWork, s->pRec);
  memset(s, 0, sizeof(*s));
  p->nBusy--;
}

static void workHeader(prill_header *h, const char *zName, const char *zVal){
  h->zName = zName;
  h->nName = (int)strlen(zName);
  h->pValue = zVal;
  h->nValue = (int)strlen(zVal);
}

/* The record to the topic of dead letters, with why and whence. */
static void workDead(Work *p, Slot *s, const char *zWhy){
  const prill_record *r = s->pRec;
  prill_record dead = *r;
  prill_header *a = (prill_header*)cmdAlloc(0, sizeof(*a)*(u64)(r->nHeader+8));
  char zPart[16], zOff[32], zTs[32], zTry[16];
  int rc;
  snprintf(zPart, sizeof(zPart), "%d", r->iPartition);
  snprintf(zOff, sizeof(zOff), "%lld", (long long)r->iOffset);
  snprintf(zTs, sizeof(zTs), "%lld", (long long)r->iTimestamp);
  snprintf(zTry, sizeof(zTry), "%d", s->nTry);
  if( r->nHeader ) memcpy(a, r->aHeader, sizeof(*a)*(size_t)r->nHeader);
  workHeader(&a[r->nHeader], "prill.dead.reason", zWhy);
  workHeader(&a[r->nHeader+1], "prill.dead.group", p->pArg->zGroup);
  workHeader(&a[r->nHeader+2], "prill.dead.topic", r->zTopic);
  workHeader(&a[r->nHeader+3], "prill.dead.partition", zPart);
  workHeader(&a[r->nHeader+4], "prill.dead.offset", zOff);
  workHeader(&a[r->nHeader+5], "prill.dead.timestamp", zTs);
  workHeader(&a[r->nHeader+6], "prill.dead.deliveries", zTry);
  dead.zTopic = p->pArg->zDead;
  dead.iPartition = PRILL_ANY_PARTITION;
  dead.iTimestamp = PRILL_NOW;
  dead.aHeader = a;
  dead.nHeader = r->nHeader+7;
  cmdExec("BEGIN IMMEDIATE");
  rc = prill_producer_produce(p->pDead, &dead, 0);
  if( rc==SQLITE_TOOBIG ){              /* too large with them: they alone */
    dead.pKey = dead.pValue = 0;
    dead.nKey = dead.nValue = 0;
    dead.aHeader = &a[r->nHeader];
    dead.nHeader = 7;
    rc = prill_producer_produce(p->pDead, &dead, 0);
  }
  if( rc!=SQLITE_OK ) cmdFatal("%s", prill_producer_errmsg(p->pDead));
  cmdExec("COMMIT");
  sqlite3_free(a);
  workDone(p, s);
}

/* The command failed: again later, or never. */
static void workFailed(Work *p, Slot *s, int iStatus){
  char *zWhy = WIFSIGNALED(iStatus) ? cmdPrintf("signal %d", WTERMSIG(iStatus))
                                    : cmdPrintf("exit status %d", WEXITSTATUS(iStatus));
  i64 ms = p->pArg->msBackoff;
  int i;
  s->pid = 0;
  s->nTry++;
  if( s->nTry<=p->pArg->nRetry ){
    for(i=1; i<s->nTry && ms<WORK_MX_BACKOFF; i++) ms *= 2;
    s->msNext = workNow() + (ms<WORK_MX_BACKOFF ? ms : WORK_MX_BACKOFF);
  }else if( p->pArg->zDead ){
    workDead(p, s, zWhy);
  }else{
    workFail(p, "topic %s partition %d offset %lld: the command failed %d times, last with %s; mend it and start again,"
             " or give --dead-letter TOPIC", s->pRec->zTopic, s->pRec->iPartition, s->pRec->iOffset, s->nTry, zWhy);
    s->msNext = -1;
  }
  sqlite3_free(zWhy);
}

/* Commands that have ended. */
static void workReap(Work *p){
  int i, iStatus;
  for(i=0; i<p->pArg->nWorker; i++){
    Slot *s = &p->aSlot[i];
    if( s->pid<=0 || waitpid(s->pid, &iStatus, WNOHANG)!=s->pid ) continue;
    s->pid = 0;
    if( WIFEXITED(iStatus) && WEXITSTATUS(iStatus)==0 ) workDone(p, s); else workFailed(p, s, iStatus);
  }
}

/**************************************************************************
** The loop.
*/

/* Give free slots records.  0: there are none now. */
static int workFill(Work *p){
  int i;
  for(i=0; i<p->pArg->nWorker && !p->bDrain; i++){
    Slot *s = &p->aSlot[i];
    int rc;
    if( s->pRec ) continue;
    if( p->pArg->nMax>=0 && p->nTaken>=p->pArg->nMax ) return 0;
    rc = workStop ? SQLITE_DONE
       : prill_work_next(p->pWork, p->nBusy==0 && p->pArg->bFollow ? WORK_LOOK : 0, &s->pRec);
    if( rc==PRILL_FENCED && !workStop ) return 1;           /* the next call joins anew */
    if( rc==SQLITE_DONE || (rc&0xff)==SQLITE_BUSY ) return 0;
    if( rc!=SQLITE_ROW ){
      workFail(p, "%s", prill_work_errmsg(p->pWork));
      return 0;
    }
    p->nBusy++;
    p->nTaken++;
    workRun(p, s);
  }
  return 1;
}

/* Sleep until something happens: a command ends, a signal, a time. */
static void workSleep(Work *p){
  struct pollfd fd = {workPipe[0], POLLIN, 0};
  i64 ms = p->nBusy<p->pArg->nWorker && !p->bDrain ? 50 : 1000;
  i64 now = workNow();
  char aDrop[256];
  int i;
  for(i=0; i<p->pArg->nWorker; i++){
    Slot *s = &p->aSlot[i];
    if( s->pRec && s->pid==0 && s->msNext>=0 && !p->bDrain && s->msNext-now<ms ) ms = s->msNext>now ? s->msNext-now : 0;
  }
  (void)poll(&fd, 1, (int)ms);
  while( read(workPipe[0], aDrop, sizeof(aDrop))>0 ){}
}

static int workRunning(const Work *p){
  int i, n = 0;
  for(i=0; i<p->pArg->nWorker; i++) n += p->aSlot[i].pid>0;
  return n;
}

static void workLoop(Work *p){
  for(;;){
    int i, bMore = 1;
    workReap(p);
    if( workStop ) p->bDrain = 1;
    if( p->bDrain && workRunning(p)==0 ) return;
    for(i=0; i<p->pArg->nWorker && !p->bDrain; i++){
      Slot *s = &p->aSlot[i];
      if( s->pRec && s->pid==0 && s->msNext>=0 && s->msNext<=workNow() ) workRun(p, s);
    }
    bMore = workFill(p);
    if( !bMore && p->nBusy==0 && (!p->pArg->bFollow || (p->pArg->nMax>=0 && p->nTaken>=p->pArg->nMax)) ) return;
    if( p->nBusy>0 ) workSleep(p);
  }
}

static void workOpen(Work *p){
  char zRecords[32];
  const char *azOption[] = {
    "group", p->pArg->zGroup, "topics", p->pArg->zTopic, "auto.offset.reset", p->pArg->zReset,
    "buffer.records", zRecords, "client.id", "prill", 0
  };
  static const char *const azDead[] = {"max.request.size", "1073741824", 0};
  snprintf(zRecords, sizeof(zRecords), "%d", p->pArg->nWorker*16+64);
  cmdExec("BEGIN IMMEDIATE");             /* who only reads at first can be refused the lock */
  if( prill_work_open(cmdDb, 0, azOption, &p->pWork)!=SQLITE_OK ) cmdFatal("%s", prill_work_errmsg(p->pWork));
  cmdExec("COMMIT");
  if( p->pArg->zDead ){
    (void)cmdTopicFind(p->pArg->zDead, 0);
    if( strcmp(p->pArg->zDead, p->pArg->zTopic)==0 ) cmdFatal("--dead-letter %s: it is the topic that is worked on; use"
                                                              " another", p->pArg->zDead);
    if( prill_producer_open(cmdDb, 0, azDead, 0, 0, &p->pDead)!=SQLITE_OK ){
      cmdFatal("%s", p->pDead ? prill_producer_errmsg(p->pDead) : "out of memory");
    }
  }
}

void cmdWorkRun(const CmdWork *pArg){
  Work w;
  memset(&w, 0, sizeof(w));
  w.pArg = pArg;
  cmdOpen(CMD_WRITE);
  (void)cmdTopicFind(pArg->zTopic, 0);
  workOpen(&w);
  workCatch();
  w.aSlot = (Slot*)cmdAlloc(0, sizeof(Slot)*(u64)pArg->nWorker);
  memset(w.aSlot, 0, sizeof(Slot)*(size_t)pArg->nWorker);
  workLoop(&w);
  if( prill_work_commit(w.pWork)!=SQLITE_OK ){
    workFail(&w, "%s", prill_work_errmsg(w.pWork));
  }
  (void)prill_producer_close(w.pDead);
  (void)prill_work_close(w.pWork);
  sqlite3_free(w.aSlot);
  if( w.zStop ) cmdFatal("%s", w.zStop);
}
