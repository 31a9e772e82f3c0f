/*
** example_follow.c: a topic's partition read by a C program, as it grows.
**
**     cc -o example_follow example_follow.c -lprill -lsqlite3 -llz4 ...
**     ./example_follow app.db orders 0 [MILLISECONDS]
**
** Prints every record, then waits for more; ends when none has come for so
** many milliseconds (default: never).  It holds no lock and no snapshot while
** it waits, and is woken by the commit it waits for.
*/
#include <prill.h>
#include <stdio.h>
#include <stdlib.h>

static void show(const prill_record *r){
  int i;
  printf("%lld %.*s=%.*s", (long long)r->iOffset, r->nKey, r->pKey ? (const char*)r->pKey : "", r->nValue,
         r->pValue ? (const char*)r->pValue : "");
  for(i=0; i<r->nHeader; i++){
    const prill_header *h = &r->aHeader[i];
    printf(" %.*s:%.*s", h->nName, h->zName, h->nValue, h->pValue ? (const char*)h->pValue : "");
  }
  printf("\n");
  fflush(stdout);
}

int main(int argc, char **argv){
  int ms = argc>4 ? atoi(argv[4]) : -1;
  const prill_record *pRec;
  prill_reader *p = NULL;
  sqlite3 *db;
  int rc;
  if( argc<4 ){
    fprintf(stderr, "usage: example_follow DATABASE TOPIC PARTITION [MILLISECONDS]\n");
    return 2;
  }
  rc = sqlite3_open(argv[1], &db);
  if( rc==SQLITE_OK ) rc = prill_init(db);
  if( rc==SQLITE_OK ) rc = prill_reader_open(db, NULL, argv[2], atoi(argv[3]), PRILL_EARLIEST, &p);
  while( rc==SQLITE_OK || rc==SQLITE_ROW ){
    while( (rc = prill_reader_next(p, &pRec))==SQLITE_ROW ) show(pRec);
    if( rc==SQLITE_DONE ) rc = prill_reader_wait(p, ms);
  }
  if( rc!=SQLITE_DONE ) fprintf(stderr, "example_follow: %s\n", p ? prill_reader_errmsg(p) : sqlite3_errmsg(db));
  prill_reader_close(p);
  sqlite3_close(db);
  return rc==SQLITE_DONE ? 0 : 1;
}
