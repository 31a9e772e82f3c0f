/*
** rdproof.c: librdkafka in C against a broker.  test/prilldclients.test tells the
** modes:
**
**   rdproof all ADDRESS TOPIC
**   rdproof member ADDRESS TOPIC GROUP range|cooperative
**   rdproof lost ADDRESS TOPIC
*/
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT 20000
static const char *zAddr;

static void die(const char *zWhat, const char *zWhy){
  printf("failed: %s: %s\n", zWhat, zWhy);
  exit(1);
}
static void ok(rd_kafka_resp_err_t err, const char *zWhat){
  if( err ) die(zWhat, rd_kafka_err2str(err));
}
static void set(rd_kafka_conf_t *p, const char *zName, const char *zVal){
  char zErr[256];
  if( rd_kafka_conf_set(p, zName, zVal, zErr, sizeof(zErr))!=RD_KAFKA_CONF_OK ) die(zName, zErr);
}
static rd_kafka_t *client(rd_kafka_type_t eType, rd_kafka_conf_t *p){
  char zErr[256];
  rd_kafka_t *rk;
  set(p, "bootstrap.servers", zAddr);
  set(p, "log_level", "2");
  rk = rd_kafka_new(eType, p, zErr, sizeof(zErr));
  if( rk==0 ) die("client", zErr);
  return rk;
}
static int partitions(rd_kafka_t *rk, const char *zTopic){
  const struct rd_kafka_metadata *p;
  int i, n = 0;
  ok(rd_kafka_metadata(rk, 1, 0, &p, WAIT), "metadata");
  for(i=0; i<p->topic_cnt; i++) if( strcmp(p->topics[i].topic, zTopic)==0 ) n = p->topics[i].partition_cnt;
  rd_kafka_metadata_destroy(p);
  return n;
}

/**************************************************************************
** Admin requests: each its own queue; the answer's event is given.
*/
static rd_kafka_event_t *answer(rd_kafka_queue_t *q, const char *zWhat){
  rd_kafka_event_t *ev = rd_kafka_queue_poll(q, WAIT);
  if( ev==0 ) die(zWhat, "no answer");
  if( rd_kafka_event_error(ev) ) die(zWhat, rd_kafka_event_error_string(ev));
  return ev;
}
static rd_kafka_resp_err_t topicError(const rd_kafka_topic_result_t **ap){
  return rd_kafka_topic_result_error(ap[0]);
}
static rd_kafka_resp_err_t create(rd_kafka_t *rk, rd_kafka_queue_t *q, const char *zTopic, int nPart){
  char zErr[256];
  rd_kafka_NewTopic_t *p = rd_kafka_NewTopic_new(zTopic, nPart, 1, zErr, sizeof(zErr));
  rd_kafka_event_t *ev;
  rd_kafka_resp_err_t err;
  size_t n;
  if( p==0 ) die(zTopic, zErr);
  rd_kafka_NewTopic_set_config(p, "retention.ms", "3600000");
  rd_kafka_CreateTopics(rk, &p, 1, 0, q);
  ev = answer(q, "CreateTopics");
  err = topicError(rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(ev), &n));
  rd_kafka_event_destroy(ev);
  rd_kafka_NewTopic_destroy(p);
  return err;
}
static void delete(rd_kafka_t *rk, rd_kafka_queue_t *q, const char *zTopic){
  rd_kafka_DeleteTopic_t *p = rd_kafka_DeleteTopic_new(zTopic);
  rd_kafka_event_t *ev;
  size_t n;
  rd_kafka_DeleteTopics(rk, &p, 1, 0, q);
  ev = answer(q, "DeleteTopics");
  ok(topicError(rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(ev), &n)), "DeleteTopics");
  rd_kafka_event_destroy(ev);
  rd_kafka_DeleteTopic_destroy(p);
}
static void grow(rd_kafka_t *rk, rd_kafka_queue_t *q, const char *zTopic, size_t nTo){
  char zErr[256];
  rd_kafka_NewPartitions_t *p = rd_kafka_NewPartitions_new(zTopic, nTo, zErr, sizeof(zErr));
  rd_kafka_event_t *ev;
  size_t n;
  if( p==0 ) die("NewPartitions", zErr);
  rd_kafka_CreatePartitions(rk, &p, 1, 0, q);
  ev = answer(q, "CreatePartitions");
  ok(topicError(rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(ev), &n)), zTopic);
  rd_kafka_event_destroy(ev);
  rd_kafka_NewPartitions_destroy(p);
}
static void alter(rd_kafka_t *rk, rd_kafka_queue_t *q, const char *zTopic, const char *zName, const char *zVal){
  rd_kafka_ConfigResource_t *p = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, zTopic);
  rd_kafka_event_t *ev;
  const rd_kafka_ConfigResource_t **ap;
  const rd_kafka_ConfigEntry_t **apEntry;
  size_t n, i;
  rd_kafka_ConfigResource_set_config(p, zName, zVal);
  rd_kafka_AlterConfigs(rk, &p, 1, 0, q);
  ev = answer(q, "AlterConfigs");
  ap = rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(ev), &n);
  ok(rd_kafka_ConfigResource_error(ap[0]), "AlterConfigs");
  rd_kafka_event_destroy(ev);
  rd_kafka_DescribeConfigs(rk, &p, 1, 0, q);
  ev = answer(q, "DescribeConfigs");
  ap = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(ev), &n);
  apEntry = rd_kafka_ConfigResource_configs(ap[0], &n);
  for(i=0; i<n; i++){
    if( strcmp(rd_kafka_ConfigEntry_name(apEntry[i]), zName)==0 ){
      printf("config %s\n", rd_kafka_ConfigEntry_value(apEntry[i]));
    }
  }
  rd_kafka_event_destroy(ev);
  rd_kafka_ConfigResource_destroy(p);
}
static void trim(rd_kafka_t *rk, rd_kafka_queue_t *q, const char *zTopic, int64_t iTo){
  rd_kafka_topic_partition_list_t *pList = rd_kafka_topic_partition_list_new(1);
  const rd_kafka_topic_partition_list_t *pGot;
  rd_kafka_DeleteRecords_t *p;
  rd_kafka_event_t *ev;
  rd_kafka_topic_partition_list_add(pList, zTopic, 0)->offset = iTo;
  p = rd_kafka_DeleteRecords_new(pList);
  rd_kafka_DeleteRecords(rk, &p, 1, 0, q);
  ev = answer(q, "DeleteRecords");
  pGot = rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(ev));
  ok(pGot->elems[0].err, "DeleteRecords");
  printf("start %lld\n", (long long)pGot->elems[0].offset);
  rd_kafka_event_destroy(ev);
  rd_kafka_DeleteRecords_destroy(p);
  rd_kafka_topic_partition_list_destroy(pList);
}
static int listed(rd_kafka_t *rk, rd_kafka_queue_t *q, const char *zGroup){
  rd_kafka_event_t *ev;
  const rd_kafka_ConsumerGroupListing_t **ap;
  size_t n, i;
  int bIs = 0;
  rd_kafka_ListConsumerGroups(rk, 0, q);
  ev = answer(q, "ListConsumerGroups");
  ap = rd_kafka_ListConsumerGroups_result_valid(rd_kafka_event_ListConsumerGroups_result(ev), &n);
  for(i=0; i<n; i++) bIs |= strcmp(rd_kafka_ConsumerGroupListing_group_id(ap[i]), zGroup)==0;
  rd_kafka_event_destroy(ev);
  return bIs;
}
static void deleteGroup(rd_kafka_t *rk, rd_kafka_queue_t *q, const char *zGroup){
  rd_kafka_DeleteGroup_t *p = rd_kafka_DeleteGroup_new(zGroup);
  rd_kafka_event_t *ev;
  const rd_kafka_group_result_t **ap;
  size_t n;
  rd_kafka_DeleteGroups(rk, &p, 1, 0, q);
  ev = answer(q, "DeleteGroups");
  ap = rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(ev), &n);
  if( rd_kafka_group_result_error(ap[0]) ) die("DeleteGroups", rd_kafka_error_string(rd_kafka_group_result_error(ap[0])));
  rd_kafka_event_destroy(ev);
  rd_kafka_DeleteGroup_destroy(p);
}

/**************************************************************************
** Records.
*/
static int nLeft;
static void onDelivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *pArg){
  (void)rk; (void)pArg;
  ok(m->err, "delivery");
  nLeft--;
}
static rd_kafka_t *producer(const char *zCodec, const char *zLinger){
  rd_kafka_conf_t *p = rd_kafka_conf_new();
  set(p, "enable.idempotence", "true");
  set(p, "compression.codec", zCodec);
  set(p, "linger.ms", zLinger);
  rd_kafka_conf_set_dr_msg_cb(p, onDelivery);
  return client(RD_KAFKA_PRODUCER, p);
}
static void sendOne(rd_kafka_t *rk, const char *zTopic, int iPart, const char *zKey, const char *zVal){
  nLeft++;
  ok(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(zTopic), RD_KAFKA_V_PARTITION(iPart),
      RD_KAFKA_V_KEY((void*)zKey, strlen(zKey)), RD_KAFKA_V_VALUE((void*)zVal, strlen(zVal)), RD_KAFKA_V_HEADER("h", "x", 1),
      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END), "produce");
}
static int produceAll(const char *zTopic){
  static const char *const azCodec[] = {"none", "gzip", "snappy", "lz4", "zstd"};
  int i, j, n = 0;
  for(i=0; i<5; i++){
    rd_kafka_t *rk = producer(azCodec[i], "20");
    for(j=0; j<100; j++, n++){
      char zKey[32], zVal[64];
      snprintf(zKey, sizeof(zKey), "k%d", j);
      snprintf(zVal, sizeof(zVal), "value %d that repeats and repeats", n);
      sendOne(rk, zTopic, j%3, zKey, zVal);
    }
    ok(rd_kafka_flush(rk, WAIT), "flush");
    rd_kafka_destroy(rk);
    printf("produced %s %d\n", azCodec[i], 100-nLeft);
  }
  return n;
}

static rd_kafka_t *consumer(const char *zGroup, const char *zAssignor){
  rd_kafka_conf_t *p = rd_kafka_conf_new();
  rd_kafka_t *rk;
  set(p, "group.id", zGroup);
  set(p, "enable.auto.commit", "false");
  set(p, "auto.offset.reset", "earliest");
  set(p, "check.crcs", "true");
  set(p, "session.timeout.ms", "1500");
  set(p, "heartbeat.interval.ms", "200");
  set(p, "partition.assignment.strategy", zAssignor);
  rk = client(RD_KAFKA_CONSUMER, p);
  rd_kafka_poll_set_consumer(rk);
  return rk;
}
static int hasHeader(const rd_kafka_message_t *m){
  rd_kafka_headers_t *p;
  const void *pVal;
  size_t n;
  return rd_kafka_message_headers(m, &p)==0 && rd_kafka_header_get_last(p, "h", &pVal, &n)==0 && n==1
      && *(const char*)pVal=='x';
}
/* All records from the beginning; aTime: when each partition's offset 50 was. */
static void consumeAll(rd_kafka_t *rk, const char *zTopic, int nWant, int64_t *aTime){
  rd_kafka_topic_partition_list_t *pList = rd_kafka_topic_partition_list_new(3);
  int64_t aNext[3] = {0, 0, 0};
  char *aSeen = (char*)calloc((size_t)nWant, 1);
  int i, n = 0, nWrong = 0, nValue = 0;
  for(i=0; i<3; i++) rd_kafka_topic_partition_list_add(pList, zTopic, i)->offset = 0;
  ok(rd_kafka_assign(rk, pList), "assign");
  for(i=0; i<200 && n<nWant; i++){
    rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);
    rd_kafka_timestamp_type_t eType;
    int iVal;
    if( m==0 ) continue;
    if( m->err==0 ){
      i = 0;
      n++;
      nWrong += m->offset!=aNext[m->partition]++ || !hasHeader(m);
      if( m->offset==50 ) aTime[m->partition] = rd_kafka_message_timestamp(m, &eType);
      iVal = atoi((const char*)m->payload+6);
      if( iVal>=0 && iVal<nWant && !aSeen[iVal] ){ aSeen[iVal] = 1; nValue++; }
    }
    rd_kafka_message_destroy(m);
  }
  printf("consumed %d values %d wrong %d\n", n, nValue, nWrong);
  free(aSeen);
  rd_kafka_topic_partition_list_destroy(pList);
}
static void times(rd_kafka_t *rk, const char *zTopic, const int64_t *aTime){
  rd_kafka_topic_partition_list_t *pList = rd_kafka_topic_partition_list_new(3);
  int64_t iLow, iHigh, iSum = 0;
  int i, bOk = 1;
  for(i=0; i<3; i++){
    ok(rd_kafka_query_watermark_offsets(rk, zTopic, i, &iLow, &iHigh, WAIT), "watermarks");
    iSum += iHigh;
    rd_kafka_topic_partition_list_add(pList, zTopic, i)->offset = aTime[i];
  }
  printf("end %lld\n", (long long)iSum);
  ok(rd_kafka_offsets_for_times(rk, pList, WAIT), "offsets for times");
  for(i=0; i<3; i++) bOk &= pList->elems[i].offset>=0 && pList->elems[i].offset<=50;
  printf("by time %s\n", bOk ? "true" : "false");
  pList->elems[0].offset = ((int64_t)time(0)+1000)*1000;
  ok(rd_kafka_offsets_for_times(rk, pList, WAIT), "offsets for times");
  printf("by late time %s\n", pList->elems[0].offset==RD_KAFKA_OFFSET_END ? "true" : "false");
  rd_kafka_topic_partition_list_destroy(pList);
}
/* Commit an offset; what is committed then. */
static long long commitOne(rd_kafka_t *rk, const char *zTopic, int64_t iOff){
  rd_kafka_topic_partition_list_t *pList = rd_kafka_topic_partition_list_new(1);
  long long iGot;
  rd_kafka_topic_partition_list_add(pList, zTopic, 0)->offset = iOff;
  ok(rd_kafka_commit(rk, pList, 0), "commit");
  pList->elems[0].offset = 0;
  ok(rd_kafka_committed(rk, pList, WAIT), "committed");
  iGot = (long long)pList->elems[0].offset;
  rd_kafka_topic_partition_list_destroy(pList);
  return iGot;
}

static void all(const char *zTopic){
  rd_kafka_t *rk = producer("none", "5"), *c;
  rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
  const struct rd_kafka_metadata *pMeta;
  char zName[200];
  int64_t aTime[3] = {0, 0, 0};
  long long iGot;
  ok(create(rk, q, zTopic, 3), "CreateTopics");
  printf("created %d\n", partitions(rk, zTopic));
  snprintf(zName, sizeof(zName), "%s-g", zTopic);
  c = consumer(zName, "range");
  consumeAll(c, zTopic, produceAll(zTopic), aTime);
  times(c, zTopic, aTime);
  alter(rk, q, zTopic, "retention.ms", "7200000");
  grow(rk, q, zTopic, 4);
  printf("partitions %d\n", partitions(rk, zTopic));
  trim(rk, q, zTopic, 5);
  iGot = commitOne(c, zTopic, 7);
  printf("group %s %lld\n", listed(rk, q, zName) ? "true" : "false", iGot);
  rd_kafka_consumer_close(c);
  rd_kafka_destroy(c);
  deleteGroup(rk, q, zName);
  ok(rd_kafka_metadata(rk, 1, 0, &pMeta, WAIT), "metadata");
  printf("cluster %d\n", pMeta->broker_cnt);
  rd_kafka_metadata_destroy(pMeta);
  snprintf(zName, sizeof(zName), "%s-gone", zTopic);
  ok(create(rk, q, zName, 1), "CreateTopics");
  delete(rk, q, zName);
  printf("deleted %s\n", partitions(rk, zName)==0 ? "true" : "false");
  printf("again %s\n", rd_kafka_err2name(create(rk, q, zTopic, 1)));
  rd_kafka_queue_destroy(q);
  rd_kafka_destroy(rk);
}

static int stop(void){
  struct pollfd p = {0, POLLIN, 0};
  char z[64];
  return poll(&p, 1, 0)>0 && read(0, z, sizeof(z))<=0;
}
static void tellAssigned(rd_kafka_t *rk, char *zLast){
  rd_kafka_topic_partition_list_t *p = 0;
  char z[100] = "";
  int i, n = 0;
  if( rd_kafka_assignment(rk, &p) ) return;
  rd_kafka_topic_partition_list_sort(p, 0, 0);
  for(i=0; i<p->cnt; i++) n += snprintf(z+n, sizeof(z)-(size_t)n, "%s%d", i ? "," : "", (int)p->elems[i].partition);
  rd_kafka_topic_partition_list_destroy(p);
  if( strcmp(z, zLast)==0 ) return;
  strcpy(zLast, z);
  printf("assigned %s\n", z);
}
static void member(const char *zTopic, const char *zGroup, const char *zAssignor){
  rd_kafka_t *rk = consumer(zGroup, strcmp(zAssignor, "cooperative")==0 ? "cooperative-sticky" : zAssignor);
  rd_kafka_topic_partition_list_t *pSub = rd_kafka_topic_partition_list_new(1);
  char zLast[100] = "";
  rd_kafka_topic_partition_list_add(pSub, zTopic, RD_KAFKA_PARTITION_UA);
  ok(rd_kafka_subscribe(rk, pSub), "subscribe");
  while( !stop() ){
    rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);
    if( m && m->err==0 ){
      printf("got %d %lld\n", (int)m->partition, (long long)m->offset);
      rd_kafka_commit_message(rk, m, 0);
    }
    if( m ) rd_kafka_message_destroy(m);
    tellAssigned(rk, zLast);
  }
  rd_kafka_consumer_close(rk);
  rd_kafka_topic_partition_list_destroy(pSub);
  rd_kafka_destroy(rk);
  printf("left\n");
}

static void lost(const char *zTopic){
  rd_kafka_t *rk = producer("none", "0");
  int i;
  for(i=0; i<3; i++){
    char z[16];
    snprintf(z, sizeof(z), "lost %d", i);
    sendOne(rk, zTopic, 0, "k", z);
    ok(rd_kafka_flush(rk, 30000), "flush");
  }
  rd_kafka_destroy(rk);
  printf("sent %d\n", 3-nLeft);
}

int main(int argc, char **argv){
  setvbuf(stdout, 0, _IOLBF, 4096);
  if( argc<4 ) die("arguments", "MODE ADDRESS TOPIC ...");
  zAddr = argv[2];
  if( strcmp(argv[1], "all")==0 ) all(argv[3]);
  else if( strcmp(argv[1], "lost")==0 ) lost(argv[3]);
  else if( strcmp(argv[1], "member")==0 && argc==6 ) member(argv[3], argv[4], argv[5]);
  else die(argv[1], "no such mode");
  return 0;
}
