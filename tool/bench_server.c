/*
** bench_server.c: starting and stopping the servers of rows 20 to 26.
**
** prilld is the one beside prill-bench.  Apache Kafka is taken from clients/kafka
** of the build directory, where tool/clients put it; redis-server and nats-server
** from the PATH.  Each listens on a free port of 127.0.0.1 alone and ends with
** the benchmark, by its process id.
*/
#define _GNU_SOURCE 1
#include "bench_server.h"
#include "prill.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KAFKA_DIR "clients/kafka"

static const char *const azServer[SERVER_N] = {
  "null broker", "prilld flush=os", "prilld", "Kafka", "Kafka synced", "Redis everysec", "Redis always",
  "NATS JetStream"
};

void benchServerMissing(const char *zRow, const char *zWhat, const char *zWhy){
  printf("%-4s %s: left out: %s\n", zRow, zWhat, zWhy);
}

static i64 serverNow(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (i64)t.tv_sec*1000000000 + t.tv_nsec;
}

/* A listening socket on a free port of loopback. */
static int serverListen(int *piPort){
  struct sockaddr_in sa;
  socklen_t n = sizeof(sa);
  int fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);
  memset(&sa, 0, sizeof(sa));
  sa.sin_family = AF_INET;
  sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if( fd<0 || bind(fd, (struct sockaddr*)&sa, n) || listen(fd, 64) || getsockname(fd, (struct sockaddr*)&sa, &n) ){
    benchFail("no socket: %s", strerror(errno));
  }
  *piPort = ntohs(sa.sin_port);
  return fd;
}
static int serverFreePort(void){
  int iPort, fd = serverListen(&iPort);
  close(fd);
  return iPort;
}

int benchServerConnect(int iPort){
  struct sockaddr_in sa;
  int fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0), bOn = 1;
  memset(&sa, 0, sizeof(sa));
  sa.sin_family = AF_INET;
  sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sa.sin_port = htons((unsigned short)iPort);
  if( fd>=0 && connect(fd, (struct sockaddr*)&sa, sizeof(sa))==0 ){
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &bOn, sizeof(bOn));
    return fd;
  }
  if( fd>=0 ) close(fd);
  return -1;
}

/* Run a program with its output in a file of the server's directory. */
static pid_t serverExec(const BenchServer *p, char *const *azArg){
  char zLog[600];
  pid_t pid = fork();
  int fd;
  if( pid<0 ) benchFail("fork: %s", strerror(errno));
  if( pid>0 ) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  snprintf(zLog, sizeof(zLog), "%s/log.txt", p->zDir);
  fd = open(zLog, O_WRONLY|O_CREAT|O_APPEND, 0600);
  if( fd>=0 ){
    dup2(fd, 1);
    dup2(fd, 2);
  }
  execvp(azArg[0], azArg);
  _exit(127);
}

/* Run a program to its end; its exit status. */
static int serverRun(const BenchServer *p, char *const *azArg){
  int status = 0;
  waitpid(serverExec(p, azArg), &status, 0);
  return status;
}

static int serverOnPath(const char *zProgram){
  const char *z = getenv("PATH");
  char zFile[1024];
  while( z && *z ){
    size_t n = strcspn(z, ":");
    snprintf(zFile, sizeof(zFile), "%.*s/%s", (int)n, z, zProgram);
    if( access(zFile, X_OK)==0 ) return 1;
    z += n + (z[n]==':');
  }
  return 0;
}

/**************************************************************************
** Each kind.
*/
static void serverNull(BenchServer *p){
  int fd = serverListen(&p->iPort);
  p->pid = fork();
  if( p->pid<0 ) benchFail("fork: %s", strerror(errno));
  if( p->pid==0 ){
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    benchNullRun(fd);
  }
  close(fd);
}

static void serverPrilld(BenchServer *p){
  char zDb[600], zListen[64];
  char *azArg[] = {"./prilld", zDb, "--listen", zListen, "--set", "group.initial.rebalance.delay.ms=0", 0};
  sqlite3 *db = 0;
  snprintf(zDb, sizeof(zDb), "%s/app.db", p->zDir);
  snprintf(zListen, sizeof(zListen), "127.0.0.1:%d", p->iPort = serverFreePort());
  if( p->eKind==SERVER_PRILLD_OS ){
    if( sqlite3_open(zDb, &db) || prill_init(db)
     || sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE VIRTUAL TABLE made USING topic;"
                     " UPDATE prill_config SET value='os' WHERE scope='store' AND name='flush'", 0, 0, 0) ){
      benchFail("%s: %s", zDb, sqlite3_errmsg(db));
    }
    sqlite3_close(db);
  }
  p->nsStart = serverNow();
  p->pid = serverExec(p, azArg);
}

static void serverKafka(BenchServer *p){
  char zConf[600];
  char *azFormat[] = {"java", "-cp", KAFKA_DIR "/jars/*", "kafka.tools.StorageTool", "format", "-t",
                      "MkU3OEVBNTcwNTJENDM2Qk", "-c", zConf, 0};
  char *azRun[] = {"java", "-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-cp", KAFKA_DIR "/jars/*", "kafka.Kafka", zConf, 0};
  int iControl = serverFreePort();
  FILE *f;
  p->iPort = serverFreePort();
  snprintf(zConf, sizeof(zConf), "%s/server.properties", p->zDir);
  f = fopen(zConf, "w");
  if( f==0 ) benchFail("%s: %s", zConf, strerror(errno));
  fprintf(f, "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:%d\n"
          "listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d\ncontroller.listener.names=CONTROLLER\n"
          "advertised.listeners=PLAINTEXT://127.0.0.1:%d\nlog.dirs=%s/data\noffsets.topic.replication.factor=1\n"
          "offsets.topic.num.partitions=1\ngroup.initial.rebalance.delay.ms=0\n%s", iControl, p->iPort, iControl,
          p->iPort, p->zDir, p->eKind==SERVER_KAFKA_SYNC ? "log.flush.interval.messages=1\n" : "");
  fclose(f);
  serverRun(p, azFormat);
  p->nsStart = serverNow();
  p->pid = serverExec(p, azRun);
}

static void serverRedis(BenchServer *p){
  char zPort[16];
  char *azArg[] = {"redis-server", "--port", zPort, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
                   "--appendfsync", p->eKind==SERVER_REDIS ? "everysec" : "always", "--dir", p->zDir, 0};
  snprintf(zPort, sizeof(zPort), "%d", p->iPort = serverFreePort());
  p->nsStart = serverNow();
  p->pid = serverExec(p, azArg);
}

static void serverNats(BenchServer *p){
  char zPort[16];
  char *azArg[] = {"nats-server", "-a", "127.0.0.1", "-p", zPort, "-js", "-sd", p->zDir, 0};
  snprintf(zPort, sizeof(zPort), "%d", p->iPort = serverFreePort());
  p->nsStart = serverNow();
  p->pid = serverExec(p, azArg);
}

static const char *serverLacks(int eKind){
  switch( eKind ){
    case SERVER_PRILLD: case SERVER_PRILLD_OS:
      return access("./prilld", X_OK) ? "no ./prilld: make it, and run prill-bench in the build directory" : 0;
    case SERVER_KAFKA: case SERVER_KAFKA_SYNC:
      return access(KAFKA_DIR "/ready", F_OK) || !serverOnPath("java")
        ? "no Apache Kafka in " KAFKA_DIR ", or no Java: run tool/clients" : 0;
    case SERVER_REDIS: case SERVER_REDIS_ALWAYS:
      return serverOnPath("redis-server") ? 0 : "no redis-server (Debian package: redis-server)";
    case SERVER_NATS: return serverOnPath("nats-server") ? 0 : "no nats-server (Debian package: nats-server)";
    default: return 0;
  }
}

const char *benchServerStart(BenchServer *p, int eKind){
  static int iName;
  const char *zWhy = serverLacks(eKind);
  char zDir[512], *zReal;
  int i;
  memset(p, 0, sizeof(*p));
  p->eKind = eKind;
  p->zName = azServer[eKind];
  if( zWhy ) return zWhy;
  snprintf(zDir, sizeof(zDir), "%s/bench-server-%d-%d", bench.zDir, (int)getpid(), ++iName);
  zReal = mkdir(zDir, 0700) ? 0 : realpath(zDir, 0);
  if( zReal==0 || strlen(zReal)>=sizeof(p->zDir) ) benchFail("%s: %s", zDir, strerror(errno));
  strcpy(p->zDir, zReal);
  free(zReal);
  p->nsStart = serverNow();
  switch( eKind ){
    case SERVER_NULL: serverNull(p); break;
    case SERVER_PRILLD: case SERVER_PRILLD_OS: serverPrilld(p); break;
    case SERVER_KAFKA: case SERVER_KAFKA_SYNC: serverKafka(p); break;
    case SERVER_NATS: serverNats(p); break;
    default: serverRedis(p); break;
  }
  snprintf(p->zAddr, sizeof(p->zAddr), "127.0.0.1:%d", p->iPort);
  for(i=0; i<60000; i++){
    int fd = benchServerConnect(p->iPort);
    if( fd>=0 ){
      p->nsStart = serverNow() - p->nsStart;
      close(fd);
      return 0;
    }
    if( waitpid(p->pid, 0, WNOHANG)!=0 ) break;
    usleep(1000);
  }
  benchFail("%s did not start: see %s/log.txt", p->zName, p->zDir);
}

static int serverUnlink(const char *z, const struct stat *p, int e, struct FTW *pFtw){
  (void)p; (void)e; (void)pFtw;
  return remove(z) && 0;
}

void benchServerStop(BenchServer *p){
  if( p->pid<=0 ) return;
  kill(p->pid, p->eKind==SERVER_PRILLD || p->eKind==SERVER_PRILLD_OS ? SIGTERM : SIGKILL);
  waitpid(p->pid, 0, 0);
  p->pid = 0;
  nftw(p->zDir, serverUnlink, 16, FTW_DEPTH|FTW_PHYS);
}

/* The first number of a file, 0 when there is none. */
static i64 serverNumber(const char *zFile){
  FILE *f = fopen(zFile, "r");
  long long v = 0;
  if( f==0 ) return 0;
  if( fscanf(f, "%lld", &v)!=1 ) v = 0;
  fclose(f);
  return (i64)v;
}

/* All its threads; those that have ended do not count. */
i64 benchServerCpu(const BenchServer *p){
  char zDir[64];
  struct dirent *e;
  i64 ns = 0;
  DIR *d;
  snprintf(zDir, sizeof(zDir), "/proc/%d/task", (int)p->pid);
  d = opendir(zDir);
  while( d && (e = readdir(d))!=0 ){
    char zFile[400];
    if( e->d_name[0]=='.' ) continue;
    snprintf(zFile, sizeof(zFile), "%s/%s/schedstat", zDir, e->d_name);
    ns += serverNumber(zFile);
  }
  if( d ) closedir(d);
  return ns;
}

i64 benchServerRss(const BenchServer *p){
  char zFile[64], z[256];
  long long n = 0;
  FILE *f;
  snprintf(zFile, sizeof(zFile), "/proc/%d/status", (int)p->pid);
  f = fopen(zFile, "r");
  while( f && fgets(z, sizeof(z), f) ) if( sscanf(z, "VmRSS: %lld kB", &n)==1 ) break;
  if( f ) fclose(f);
  return (i64)n*1024;
}
