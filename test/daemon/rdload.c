/*
** rdload.c: load for crash tests, from librdkafka.
**
**   rdload produce ADDRESS TOPIC PARTITIONS FILE
**       An idempotent producer, acks=all.  To each partition it writes 0, 1,
**       2, ... as values (with padding of uneven length), as fast as it may,
**       until its standard input ends; then it waits for what is under way.
**       FILE gets a line for every
**       record that was acknowledged:  PARTITION VALUE OFFSET
**       Prints "sent N acked N failed N" in the end.
**
**   rdload consume ADDRESS TOPIC GROUP FILE
**       A member of a group that commits, synchronously, each time it was
**       given records.  FILE gets a line  got PARTITION OFFSET VALUE  for each,
**       and  committed PARTITION OFFSET  once a commit was acknowledged.
**       Until its standard input ends; prints "got N".
**
** Errors of the library go to standard error, fatal ones end the program with 1.
*/
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *out;
static long nAcked, nFailed;
static int bFatal;

static void die(const char *zWhat, const char *zWhy){
  fprintf(stderr, "rdload: %s: %s\n", zWhat, zWhy);
  exit(1);
}

/* Has our standard input ended? */
static int stop(void){
  struct pollfd p = {0, POLLIN, 0};
  char z[64];
  return bFatal || (poll(&p, 1, 0)>0 && read(0, z, sizeof(z))<=0);
}

static void set(rd_kafka_conf_t *p, const char *zName, const char *zVal){
  char zErr[256];
  if( rd_kafka_conf_set(p, zName, zVal, zErr, sizeof(zErr))!=RD_KAFKA_CONF_OK ) die(zName, zErr);
}

static void onError(rd_kafka_t *rk, int iErr, const char *zWhy, void *pArg){
  char zErr[256];
  (void)pArg;
  if( iErr!=RD_KAFKA_RESP_ERR__FATAL ) return;
  rd_kafka_fatal_error(rk, zErr, sizeof(zErr));
  fprintf(stderr, "rdload: fatal: %s: %s\n", zWhy, zErr);
  bFatal = 1;
}

static void onDelivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *pArg){
  (void)rk; (void)pArg;
  if( m->err ){
    nFailed++;
    fprintf(stderr, "rdload: not delivered: %s\n", rd_kafka_err2str(m->err));
  }else{
    nAcked++;
    fprintf(out, "%d %d %lld\n", (int)m->partition, atoi((const char*)m->payload), (long long)m->offset);
  }
}

static rd_kafka_t *client(rd_kafka_type_t eType, rd_kafka_conf_t *p, const char *zAddr){
  char zErr[256];
  rd_kafka_t *rk;
  set(p, "bootstrap.servers", zAddr);
  set(p, "reconnect.backoff.ms", "10");
  set(p, "reconnect.backoff.max.ms", "50");
  set(p, "retry.backoff.ms", "20");
  set(p, "log_level", "2");
  rd_kafka_conf_set_error_cb(p, onError);
  rk = rd_kafka_new(eType, p, zErr, sizeof(zErr));
  if( rk==0 ) die("client", zErr);
  return rk;
}

static int produce(const char *zAddr, const char *zTopic, int nPart){
  rd_kafka_conf_t *p = rd_kafka_conf_new();
  rd_kafka_t *rk;
  long *aNext = (long*)calloc((size_t)nPart, sizeof(long));
  long nSent = 0;
  int i = 0;
  set(p, "enable.idempotence", "true");
  set(p, "linger.ms", "1");
  set(p, "compression.codec", "lz4");
  set(p, "queue.buffering.max.messages", "3000");
  set(p, "batch.num.messages", "200");
  set(p, "message.timeout.ms", "0");
  set(p, "socket.timeout.ms", "5000");
  rd_kafka_conf_set_dr_msg_cb(p, onDelivery);
  rk = client(RD_KAFKA_PRODUCER, p, zAddr);
  while( aNext && !stop() ){
    char z[512];
    int n = snprintf(z, sizeof(z), "%ld ", aNext[i]);
    rd_kafka_resp_err_t err;
    memset(z+n, 'x', sizeof(z)-(size_t)n);
    n += (int)(nSent*37%300);
    err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(zTopic), RD_KAFKA_V_PARTITION(i), RD_KAFKA_V_VALUE(z, (size_t)n),
                            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if( err==RD_KAFKA_RESP_ERR__QUEUE_FULL ){
      rd_kafka_poll(rk, 5);
      continue;
    }
    if( err ) die("produce", rd_kafka_err2str(err));
    aNext[i]++;
    nSent++;
    i = (i+1)%nPart;
    rd_kafka_poll(rk, nSent%20==0 ? 1 : 0);
  }
  rd_kafka_flush(rk, 60000);
  printf("sent %ld acked %ld failed %ld\n", nSent, nAcked, nFailed);
  rd_kafka_destroy(rk);
  free(aNext);
  return bFatal;
}

static void committed(const rd_kafka_topic_partition_list_t *pList){
  int i;
  for(i=0; i<pList->cnt; i++){
    if( pList->elems[i].err==0 && pList->elems[i].offset>=0 ){
      fprintf(out, "committed %d %lld\n", (int)pList->elems[i].partition, (long long)pList->elems[i].offset);
    }
  }
}

static int consume(const char *zAddr, const char *zTopic, const char *zGroup){
  rd_kafka_conf_t *p = rd_kafka_conf_new();
  rd_kafka_topic_partition_list_t *pSub = rd_kafka_topic_partition_list_new(1);
  rd_kafka_t *rk;
  long nGot = 0;
  set(p, "group.id", zGroup);
  set(p, "auto.offset.reset", "earliest");
  set(p, "enable.auto.commit", "false");
  set(p, "check.crcs", "true");
  set(p, "session.timeout.ms", "1000");
  set(p, "heartbeat.interval.ms", "200");
  rk = client(RD_KAFKA_CONSUMER, p, zAddr);
  rd_kafka_poll_set_consumer(rk);
  rd_kafka_topic_partition_list_add(pSub, zTopic, RD_KAFKA_PARTITION_UA);
  if( rd_kafka_subscribe(rk, pSub) ) die("subscribe", zTopic);
  while( !stop() ){
    rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 50);
    int n = 0;
    for(; m; m = ++n<100 ? rd_kafka_consumer_poll(rk, 0) : 0){
      if( m->err==0 ){
        nGot++;
        fprintf(out, "got %d %lld %d\n", (int)m->partition, (long long)m->offset, atoi((const char*)m->payload));
      }
      rd_kafka_message_destroy(m);
    }
    if( n ){
      rd_kafka_topic_partition_list_t *pPos = 0;
      if( rd_kafka_assignment(rk, &pPos) || rd_kafka_position(rk, pPos) ) continue;
      if( rd_kafka_commit(rk, pPos, 0)==0 ) committed(pPos);
      rd_kafka_topic_partition_list_destroy(pPos);
    }
  }
  printf("got %ld\n", nGot);
  rd_kafka_consumer_close(rk);
  rd_kafka_topic_partition_list_destroy(pSub);
  rd_kafka_destroy(rk);
  return bFatal;
}

int main(int argc, char **argv){
  int bProduce;
  if( argc!=6 ) die("arguments", "produce ADDRESS TOPIC PARTITIONS FILE, or consume ADDRESS TOPIC GROUP FILE");
  bProduce = strcmp(argv[1], "produce")==0;
  out = fopen(argv[5], "a");
  if( out==0 ) die(argv[5], "cannot be written");
  setvbuf(out, 0, _IOLBF, 4096);
  return bProduce ? produce(argv[2], argv[3], atoi(argv[4])) : consume(argv[2], argv[3], argv[4]);
}
