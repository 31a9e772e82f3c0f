/*
** main.c: prilld, the store served to every Kafka client.
*/
#include "loop.h"
#include <signal.h>

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
    rc = prilldLoopRun(p)==SQLITE_OK ? 0 : 1;
  }
  prilldConfFree(&p->conf);
  sqlite3_free(p);
  return rc;
}
