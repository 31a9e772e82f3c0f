/*
** example_work.c: the records of a topic worked on by several threads, those of one
** key in order.
**
**     cc -pthread -o example_work example_work.c -lprill -lsqlite3 -llz4 ...
**     ./example_work app.db orders workers THREADS [MILLISECONDS]
**
** Prints a line for each record; ends when none has come for so many milliseconds
** (default: a second).  Run it again, or two of it at a time: the group goes on from
** the first record that is not done.
*/
#include <prill.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define MX_THREAD 64

static prill_work *pWork;
static int msPatience = 1000;

static void *worker(void *pArg){
  const prill_record *r;
  int rc;
  while( (rc = prill_work_next(pWork, msPatience, &r))==SQLITE_ROW ){
    printf("%d: %s/%d/%lld %.*s=%.*s\n", (int)(size_t)pArg, r->zTopic, r->iPartition, (long long)r->iOffset, r->nKey,
           r->pKey ? (const char*)r->pKey : "", r->nValue, r->pValue ? (const char*)r->pValue : "");
    prill_work_done(pWork, r);
  }
  return (void*)(size_t)(rc!=SQLITE_DONE);
}

int main(int argc, char **argv){
  const char *azOption[] = {"group", NULL, "topics", NULL, NULL};
  pthread_t aThread[MX_THREAD];
  void *pFailed;
  sqlite3 *db;
  int i, rc, nThread, nFailed = 0;
  if( argc<5 || (nThread = atoi(argv[4]))<1 || nThread>MX_THREAD ){
    fprintf(stderr, "usage: example_work DATABASE TOPICS GROUP THREADS [MILLISECONDS]\n");
    return 2;
  }
  azOption[1] = argv[3];
  azOption[3] = argv[2];
  if( argc>5 ) msPatience = atoi(argv[5]);
  rc = sqlite3_open(argv[1], &db);
  if( rc==SQLITE_OK ) rc = sqlite3_busy_timeout(db, 10000);
  if( rc==SQLITE_OK ) rc = prill_init(db);
  if( rc==SQLITE_OK ) rc = prill_work_open(db, NULL, azOption, &pWork);
  if( rc==SQLITE_OK ){
    for(i=0; i<nThread; i++) pthread_create(&aThread[i], NULL, worker, (void*)(size_t)i);
    for(i=0; i<nThread; i++){
      pthread_join(aThread[i], &pFailed);
      if( pFailed ) nFailed++;
    }
  }
  if( rc!=SQLITE_OK || nFailed ){
    fprintf(stderr, "example_work: %s\n", pWork ? prill_work_errmsg(pWork) : sqlite3_errmsg(db));
  }
  if( prill_work_close(pWork)!=SQLITE_OK ) nFailed++;
  sqlite3_close(db);
  return rc!=SQLITE_OK || nFailed;
}
