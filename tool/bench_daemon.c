/*
** bench_daemon.c: rows 27 and 28: a prilld that has nothing to do.
**
** The program is the prilld beside prill-bench.  Row 27: a store of 1,000
** partitions; from before exec to the line that says it is ready, its resident
** memory, and how often its threads wake.  Row 28: 10,000 connections that say nothing
** (or as many as RLIMIT_NOFILE allows, which is printed): resident memory of each, and
** the round trip of a small request beside them against the same without them.
*/
#define _GNU_SOURCE 1
#include "bench.h"
#include "prill.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DAEMON_CONN 10000
#define DAEMON_TRIP 4000

typedef struct Daemon Daemon;
struct Daemon {
  pid_t pid;
  int iPort;
  double msReady;
};

static double daemonMs(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec*1000 + (double)t.tv_nsec/1e6;
}

/* The prilld beside this program; 0: there is none. */
static int daemonProgram(char *z, size_t n){
  ssize_t k = readlink("/proc/self/exe", z, n-8);
  char *zSlash;
  if( k<=0 ) return 0;
  z[k] = 0;
  zSlash = strrchr(z, '/');
  strcpy(zSlash ? zSlash+1 : z, "prilld");
  return access(z, X_OK)==0;
}

/* Start it on the store, and wait for its line. */
static void daemonStart(Daemon *p, const char *zProgram, const char *zDb){
  int aPipe[2];
  char zLine[4096];
  size_t n = 0;
  double ms0;
  const char *zAt = 0;
  if( pipe(aPipe)!=0 ) benchFail("no pipe");
  ms0 = daemonMs();
  p->pid = fork();
  if( p->pid==0 ){
    dup2(aPipe[1], 2);
    close(aPipe[0]);
    close(aPipe[1]);
    execl(zProgram, zProgram, zDb, "--listen", "127.0.0.1:0", (char*)0);
    _exit(127);
  }
  close(aPipe[1]);
  while( n<sizeof(zLine)-1 ){
    ssize_t k = read(aPipe[0], zLine+n, sizeof(zLine)-1-n);
    if( k<=0 ) break;
    n += (size_t)k;
    zLine[n] = 0;
    if( (zAt = strstr(zLine, "listening on 127.0.0.1:"))!=0 && strchr(zAt, '\n') ) break;
  }
  p->msReady = daemonMs() - ms0;
  if( zAt==0 ) benchFail("%s did not start: %.*s", zProgram, (int)n, zLine);
  p->iPort = atoi(zAt+23);
  /* The pipe stays open: the log must not fail. */
}

static void daemonStop(Daemon *p){
  int e = 0;
  kill(p->pid, SIGTERM);
  waitpid(p->pid, &e, 0);
  if( e!=0 ) benchFail("prilld ended with status %d", e);
}

/* A number of a /proc file: after zName. */
static double daemonProc(const char *zPath, const char *zName){
  FILE *f = fopen(zPath, "r");
  char zLine[256];
  double r = -1;
  while( f && fgets(zLine, sizeof(zLine), f) ){
    if( strncmp(zLine, zName, strlen(zName))==0 ) r = atof(zLine+strlen(zName));
  }
  if( f ) fclose(f);
  return r;
}

static double daemonRss(const Daemon *p){
  char z[64];
  snprintf(z, sizeof(z), "/proc/%d/status", (int)p->pid);
  return daemonProc(z, "VmRSS:");
}

/* How often its threads went to sleep so far. */
static double daemonSleeps(const Daemon *p){
  char z[300];
  DIR *pDir;
  struct dirent *pEntry;
  double r = 0;
  snprintf(z, sizeof(z), "/proc/%d/task", (int)p->pid);
  pDir = opendir(z);
  while( pDir && (pEntry = readdir(pDir))!=0 ){
    if( pEntry->d_name[0]=='.' ) continue;
    snprintf(z, sizeof(z), "/proc/%d/task/%.20s/status", (int)p->pid, pEntry->d_name);
    r += daemonProc(z, "voluntary_ctxt_switches:");
  }
  if( pDir ) closedir(pDir);
  return r;
}

static int daemonConnect(const Daemon *p){
  struct sockaddr_in a;
  int one = 1;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  memset(&a, 0, sizeof(a));
  a.sin_family = AF_INET;
  a.sin_port = htons((uint16_t)p->iPort);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if( fd<0 || connect(fd, (struct sockaddr*)&a, sizeof(a))!=0 ) return -1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  return fd;
}

/* One ApiVersions there and back; microseconds. */
static double daemonTrip(int fd){
  static const char aAsk[] = "\0\0\0\x0e\0\x12\0\0\0\0\0\1\0\4test";
  char aAnswer[4096];
  double ms = daemonMs();
  size_t n = 0, nWant = 4;
  if( write(fd, aAsk, 18)!=18 ) benchFail("prilld takes no request");
  while( n<nWant ){
    ssize_t k = read(fd, aAnswer+n, sizeof(aAnswer)-n);
    if( k<=0 ) benchFail("prilld gives no answer");
    n += (size_t)k;
    if( n>=4 ) nWant = 4 + (size_t)(unsigned char)aAnswer[2]*256 + (unsigned char)aAnswer[3];
  }
  return (daemonMs()-ms)*1000;
}

static int daemonOrder(const void *a, const void *b){
  double x = *(const double*)a - *(const double*)b;
  return x<0 ? -1 : x>0;
}

/* The 99th of a hundred. */
static double daemonP99(int fd){
  double *a = benchAlloc(sizeof(double)*DAEMON_TRIP);
  double r;
  int i, n = benchScale(DAEMON_TRIP);
  for(i=0; i<n; i++) a[i] = daemonTrip(fd);
  qsort(a, (size_t)n, sizeof(double), daemonOrder);
  r = a[n*99/100];
  free(a);
  return r;
}

void benchRow27(void){
  static const BenchConf conf = { 0, 0, 1000, "" };
  double aReady[BENCH_MXROUND], aRss[BENCH_MXROUND], aWake[BENCH_MXROUND];
  char zProgram[1024];
  BenchDb db;
  int i;
  if( !daemonProgram(zProgram, sizeof(zProgram)) ){
    printf("row 27: skipped, there is no prilld beside prill-bench\n");
    return;
  }
  benchOpen(&db, "none", &conf);
  for(i=0; i<bench.nRound; i++){
    Daemon d;
    double r;
    daemonStart(&d, zProgram, db.zPath);
    aReady[i] = d.msReady;
    usleep(2500*1000);
    r = daemonSleeps(&d);
    usleep(4000*1000);
    aWake[i] = (daemonSleeps(&d)-r)/4;
    aRss[i] = daemonRss(&d)/1024;
    daemonStop(&d);
  }
  benchClose(&db);
  benchReport("27", "prilld ready after exec, 1,000 partitions", aReady, bench.nRound, -10, "ms", "");
  benchReport("27", "prilld idle, 1,000 partitions: resident", aRss, bench.nRound, -10, "MB", "all pages");
  benchReport("27", "prilld idle, 1,000 partitions: wake-ups a second", aWake, bench.nRound, -1.5, "", "");
}

void benchRow28(void){
  static const BenchConf conf = { 0, 0, 1, "" };
  double aEach[BENCH_MXROUND], aSlow[BENCH_MXROUND], rWithout = 0, rWith = 0;
  char zProgram[1024];
  struct rlimit lim;
  BenchDb db;
  int i, j, nConn = DAEMON_CONN;
  int *aFd = benchAlloc(sizeof(int)*DAEMON_CONN);
  if( !daemonProgram(zProgram, sizeof(zProgram)) ){
    printf("row 28: skipped, there is no prilld beside prill-bench\n");
    free(aFd);
    return;
  }
  if( getrlimit(RLIMIT_NOFILE, &lim)==0 ){
    lim.rlim_cur = lim.rlim_max;
    setrlimit(RLIMIT_NOFILE, &lim);
    if( lim.rlim_cur<DAEMON_CONN+512 ) nConn = (int)lim.rlim_cur-512;
  }
  benchOpen(&db, "none", &conf);
  for(i=0; i<bench.nRound; i++){
    Daemon d;
    double rss;
    int fd;
    daemonStart(&d, zProgram, db.zPath);
    fd = daemonConnect(&d);
    daemonP99(fd);                              /* warm */
    rWithout = daemonP99(fd);
    rss = daemonRss(&d);
    for(j=0; j<nConn; j++){
      aFd[j] = daemonConnect(&d);
      if( aFd[j]<0 ) benchFail("connection %d of %d cannot be made", j, nConn);
    }
    daemonTrip(fd);
    rWith = daemonP99(fd);
    aEach[i] = (daemonRss(&d)-rss)/nConn;
    aSlow[i] = rWith/rWithout;
    for(j=0; j<nConn; j++) close(aFd[j]);
    close(fd);
    daemonStop(&d);
  }
  free(aFd);
  benchClose(&db);
  benchReport("28", "idle connections: resident KiB each", aEach, bench.nRound, -10, "", "%d connections", nConn);
  benchReport("28", "idle connections: another's p99 beside them, over without", aSlow, bench.nRound, -1.2, "x",
              "%.0f us beside %.0f us", rWith, rWithout);
}
