/*
** main.c: prilld, the store served to every Kafka client.
*/
#include "loop.h"
#include <signal.h>
#include <sys/resource.h>

#define MAIN_FILES 256          /* files that are not connections: the store's, and some */

/* As many open files as the host allows; how many connections that leaves room for. */
static i64 mainFiles(void){
  struct rlimit lim;
  if( getrlimit(RLIMIT_NOFILE, &lim)!=0 ) return 1024-MAIN_FILES;
  if( lim.rlim_cur<lim.rlim_max ){
    struct rlimit more = lim;
    more.rlim_cur = lim.rlim_max;
    if( setrlimit(RLIMIT_NOFILE, &more)==0 ) lim = more;
  }
  if( lim.rlim_cur==RLIM_INFINITY || lim.rlim_cur>PRILL_I64MAX/2 ) return PRILL_I64MAX;
  return PRILL_MAX((i64)lim.rlim_cur-MAIN_FILES, (i64)lim.rlim_cur/4);
}

int main(int argc, char **argv){
  Prilld *p;
  int rc;
  signal(SIGPIPE, SIG_IGN);
  if( sqlite3_initialize()!=SQLITE_OK || (p = (Prilld*)sqlite3_malloc64(sizeof(*p)))==0 ) return 1;
  memset(p, 0, sizeof(*p));
  prilldConfDefault(&p->conf);
  rc = prilldConfArgs(&p->conf, argc, argv);
  if( rc==PRILLD_ARGS_RUN ){
    prilldLogInit(p->conf.eLog, p->conf.bLogJson);
    p->mxConn = mainFiles();
    rc = prilldLoopRun(p)==SQLITE_OK ? 0 : 1;
  }
  prilldConfFree(&p->conf);
  sqlite3_free(p);
  return rc;
}
