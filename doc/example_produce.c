/*
** example_produce.c: records written by a C program.
**
**     cc -o example_produce example_produce.c -lprill -lsqlite3 -llz4 ...
**     ./example_produce app.db
**
** An order is a row of the program's own table and a record of the topic
** "orders", in one COMMIT; then page views, which nobody waits for, go through
** the producer's buffer.
*/
#include <prill.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *zWhat, const char *zWhy){
  fprintf(stderr, "example_produce: %s: %s\n", zWhat, zWhy);
  exit(1);
}

static void sql(sqlite3 *db, const char *zSql){
  if( sqlite3_exec(db, zSql, 0, 0, 0)!=SQLITE_OK ) fail(zSql, sqlite3_errmsg(db));
}

/* One line a run of records that the buffer has got rid of. */
static void delivered(void *pArg, const prill_delivery *d){
  (void)pArg;
  if( d->rc ){
    printf("%d records for %s were dropped: %s\n", d->nRecord, d->zTopic, sqlite3_errstr(d->rc));
  }else{
    printf("%s partition %d: offsets %lld to %lld\n", d->zTopic, d->iPartition, (long long)d->iOffset,
           (long long)d->iOffset+d->nRecord-1);
  }
}

/* An order: the ledger's row and the record, both or neither. */
static void order(sqlite3 *db, prill_producer *p, const char *zWho, const char *zItem){
  prill_header source = {"source", 6, "example", 7};
  prill_record rec;
  sqlite3_int64 iOff;
  char *zSql = sqlite3_mprintf("INSERT INTO ledger(who, item) VALUES(%Q, %Q)", zWho, zItem);
  if( zSql==0 ) fail("order", "out of memory");
  memset(&rec, 0, sizeof(rec));
  rec.zTopic = "orders";
  rec.iPartition = PRILL_ANY_PARTITION;         /* chosen by the key */
  rec.iTimestamp = PRILL_NOW;
  rec.pKey = zWho;
  rec.nKey = (int)strlen(zWho);
  rec.pValue = zItem;
  rec.nValue = (int)strlen(zItem);
  rec.aHeader = &source;
  rec.nHeader = 1;
  sql(db, "BEGIN IMMEDIATE");
  sql(db, zSql);
  if( prill_producer_produce(p, &rec, &iOff)!=SQLITE_OK ) fail("produce", prill_producer_errmsg(p));
  sql(db, "COMMIT");
  printf("order of %s: offset %lld\n", zWho, (long long)iOff);
  sqlite3_free(zSql);
}

int main(int argc, char **argv){
  static const char *const azOption[] = {
    "linger.ms", "50", "batch.size", "4096", "producer.name", "example", NULL
  };
  sqlite3 *db;
  prill_producer *p;
  int i;
  if( argc!=2 ) fail("usage", "example_produce DATABASE");
  if( sqlite3_open(argv[1], &db)!=SQLITE_OK || prill_init(db)!=SQLITE_OK ) fail(argv[1], sqlite3_errmsg(db));
  sqlite3_busy_timeout(db, 5000);
  sql(db, "CREATE TABLE IF NOT EXISTS ledger(id INTEGER PRIMARY KEY, who, item)");
  sql(db, "CREATE VIRTUAL TABLE IF NOT EXISTS orders USING topic(partitions=2)");
  sql(db, "CREATE VIRTUAL TABLE IF NOT EXISTS views USING topic");
  if( prill_producer_open(db, NULL, azOption, delivered, NULL, &p)!=SQLITE_OK ) fail("open", prill_producer_errmsg(p));

  order(db, p, "alice", "tea");
  order(db, p, "bob", "coffee");

  for(i=0; i<100; i++){
    char zPage[32];
    prill_record rec;
    memset(&rec, 0, sizeof(rec));
    rec.zTopic = "views";
    rec.iTimestamp = PRILL_NOW;
    rec.pValue = zPage;
    rec.nValue = snprintf(zPage, sizeof(zPage), "/page/%d", i);
    if( prill_producer_produce(p, &rec, NULL)!=SQLITE_OK ) fail("produce", prill_producer_errmsg(p));
  }
  /* A program that goes on would call prill_producer_poll() now and then. */
  if( prill_producer_flush(p)!=SQLITE_OK ) fail("flush", prill_producer_errmsg(p));
  if( prill_producer_close(p)!=SQLITE_OK ) fail("close", "records were lost");
  return sqlite3_close(db)==SQLITE_OK ? 0 : 1;
}
