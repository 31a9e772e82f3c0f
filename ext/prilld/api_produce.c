/*
** api_produce.c: Produce: record batches into partitions, as they were sent.
**
** The request is one job.  Outside the transaction each batch is checked and
** vetted (CRC, records, offsets within); in it, appended byte for byte but for what
** the leader sets, together with the note of its producer's sequence; after the
** COMMIT, answered.
** Partitions stand for themselves: one refused does not stop the others.
**
** What the topic's settings ask of a batch (its codec, keys, times, sizes) is
** decided in the transaction, by the settings of its snapshot.  The costly part,
** compressing anew, is done before by the settings the loop last saw, and again only
** where they have changed since.
**
** UNPACKING.  A few bytes may unpack to hundreds of megabytes.  So a request with
** compressed batches is vetted in the pool (bHeavy), where it delays none but its
** own connection; all its batches together unpack to no more than PRODUCE_UNPACK, or
** PRODUCE_RATIO times the request, and one batch more; and of one that unpacks to
** more than PRODUCE_LOOK the transaction does not look which records are refused.
**
** With acks=0 there is no answer; an error closes the connection, so that the
** client looks again.
*/
#include "prilld.h"

#define PRODUCE_UNPACK (256<<20)
#define PRODUCE_RATIO 16
#define PRODUCE_LOOK (1<<20)

typedef struct ProducePart ProducePart;
struct ProducePart {
  WireStr topic;
  const WireProduceReqTopicDataPartitionData *pIn;
  WireProduceRespResponsesPartitionResponses *pOut;
  PrillBatch b;
  i64 iMinTs, iMaxTs;
  PrillBuf made;                /* the batch in the topic's codec eMade, or empty */
  int eMade;
  PrillBatch bMade;
  int eWant;                    /* codec that the topic wanted when last seen */
  i64 mxWant;                   /* and its max.message.bytes */
  i64 nUnpacked;                /* bytes its records unpack to */
  i16 iErr;
  int bKeyed;                   /* all its records are known to have keys */
  u8 bLog;                      /* the log refused it: the answer has its start, as Kafka's does */
  const char *zErr;             /* static, or the job's arena's */
};
typedef struct ProduceJob ProduceJob;
struct ProduceJob {
  PrilldJob job;
  ProducePart *a;
  int n;
  PrillBuf scratch;
};

static void produceRefuse(ProducePart *p, i16 iErr, const char *zErr){
  p->iErr = iErr;
  p->zErr = zErr;
}
static void produceLogRefuse(ProducePart *p, i16 iErr, const char *zErr){
  produceRefuse(p, iErr, zErr);
  p->bLog = 1;
}
static void produceRefuseTime(ProducePart *p){
  produceLogRefuse(p, KE_INVALID_TIMESTAMP, "One or more records have been rejected due to invalid timestamp");
}

/* What a header may not say. */
static void produceRules(ProducePart *p, int iVer){
  const PrillBatch *b = &p->b;
  if( b->iBase!=0 ){
    produceLogRefuse(p, KE_INVALID_RECORD, "the record batch's base offset is not 0");
  }else if( b->mAttr & PRILL_ATTR_CONTROL ){
    produceLogRefuse(p, KE_INVALID_RECORD, "clients cannot write control batches");
  }else if( b->mAttr & PRILL_ATTR_HORIZON ){
    produceLogRefuse(p, KE_INVALID_RECORD, "a delete horizon is the log's to set");
  }else if( b->mAttr & PRILL_ATTR_APPENDTIME ){
    produceLogRefuse(p, KE_INVALID_TIMESTAMP, "LogAppendTime is the broker's to set");
  }else if( b->nRec<1 || b->dLast+1!=b->nRec ){
    produceLogRefuse(p, KE_INVALID_RECORD, "the record batch's counts do not agree");
  }else if( b->iProducer>=0 && b->iSeq<0 ){
    produceLogRefuse(p, KE_INVALID_RECORD, "a producer id without a sequence");
  }else if( (b->mAttr&PRILL_ATTR_CODEC)==PRILL_ZSTD && iVer<7 ){
    produceRefuse(p, KE_UNSUPPORTED_COMPRESSION_TYPE, "zstd needs Produce version 7");
  }
}

/* What can be told from the bytes alone (store thread, no lock held). */
static void produceVet(ProducePart *p, PrillBuf *pScratch, int iVer){
  const u8 *a = p->pIn->records.a;
  i64 n = p->pIn->records.n;
  int rc;
  if( n<=0 ){
    produceRefuse(p, KE_INVALID_RECORD, "the partition has no record batch");
    return;
  }
  if( n<17 || (i64)prillGet32(a+8)+12>n ){
    produceRefuse(p, KE_INVALID_RECORD, "the record batch is cut short");
    return;
  }
  if( (i32)prillGet32(a+8)<49 ){
    produceRefuse(p, KE_CORRUPT_MESSAGE, "the record batch is shorter than its header");
    return;
  }
  if( a[16]!=2 ){
    produceRefuse(p, KE_INVALID_RECORD, "the record batch has not magic 2");
    return;
  }
  if( (i64)prillGet32(a+8)+12!=n ){
    produceRefuse(p, KE_INVALID_RECORD, "there is more than one record batch");
    return;
  }
  rc = prillBatchHeader(a, n, &p->b);
  if( rc==SQLITE_OK && prillBatchCheck(a, &p->b)!=SQLITE_OK ) rc = SQLITE_CORRUPT;
  if( rc!=SQLITE_OK ){
    produceRefuse(p, KE_CORRUPT_MESSAGE, "the record batch is corrupt");
    return;
  }
  produceRules(p, iVer);
  if( p->iErr ) return;
  rc = prillBatchLook(a, &p->b, pScratch, &p->iMinTs, &p->iMaxTs, &p->bKeyed);
  if( rc!=SQLITE_OK ){
    p->nUnpacked = pScratch->nAlloc;              /* what it cost before it was found out */
    prillBufFree(pScratch);
  }else if( p->b.mAttr & PRILL_ATTR_CODEC ){
    p->nUnpacked = pScratch->n;
  }
  if( rc==SQLITE_MISMATCH ){
    produceRefuse(p, KE_UNSUPPORTED_COMPRESSION_TYPE, "this prilld was built without that codec");
  }else if( rc==SQLITE_NOMEM ){
    produceRefuse(p, KE_UNKNOWN_SERVER_ERROR, "out of memory");
  }else if( rc!=SQLITE_OK ){
    produceLogRefuse(p, KE_INVALID_RECORD, "the batch's records are malformed");
  }
}

/* The topic of a partition, as the connection last saw it; NULL: none. */
static PrillTopic *produceTopic(const ProducePart *p, PrilldWriter *pW){
  char zName[250];
  if( p->topic.n<=0 || p->topic.n>=(i32)sizeof(zName) ) return 0;
  memcpy(zName, p->topic.z, (size_t)p->topic.n);
  zName[p->topic.n] = 0;
  return prillStoreTopic(pW->pStore, zName);
}

/* The records of the batch: as they were sent, or in pScratch, where with
** bUnpacked they are already. */
static int produceRecords(ProducePart *p, PrillBuf *pScratch, int bUnpacked, const u8 **paRec, i64 *pnRec){
  if( bUnpacked && (p->b.mAttr & PRILL_ATTR_CODEC)!=PRILL_NONE ){
    *paRec = pScratch->a;
    *pnRec = pScratch->n;
    return SQLITE_OK;
  }
  return prillBatchRecords(p->pIn->records.a, &p->b, pScratch, paRec, pnRec);
}

/* The batch in the topic's codec, where that is not the producer's.  1: it would be
** larger than max.message.bytes, and is not kept. */
static int produceMake(ProducePart *p, int eTopic, i64 mxMessage, PrillBuf *pScratch, int bUnpacked){
  int eHas = p->b.mAttr & PRILL_ATTR_CODEC;
  int eWant = eTopic==PRILL_PRODUCER ? eHas : eTopic;
  const u8 *aRec;
  i64 nRec = 0;
  int rc;
  if( eWant==eHas ){
    prillBufFree(&p->made);
    return 0;
  }
  if( p->made.n && p->eMade==eWant ) return p->made.n>mxMessage;
  rc = produceRecords(p, pScratch, bUnpacked, &aRec, &nRec);
  p->made.n = 0;
  if( eWant==PRILL_NONE && nRec>mxMessage ) return 1;
  p->bMade = p->b;
  prillBatchEncode(&rc, &p->made, &p->bMade, eWant, aRec, nRec);
  p->eMade = eWant;
  if( rc!=SQLITE_OK ){
    produceRefuse(p, KE_UNKNOWN_SERVER_ERROR, "the record batch cannot be compressed anew");
  }else if( p->made.n>mxMessage ){
    prillBufFree(&p->made);
    return 1;
  }
  return 0;
}

static void producePrepare(PrilldJob *pJob){
  ProduceJob *p = (ProduceJob*)pJob;
  i64 nUnpacked = 0, mx = PRILL_MAX(PRODUCE_RATIO*pJob->nByte, PRODUCE_UNPACK);
  int i;
  for(i=0; i<p->n; i++){
    ProducePart *pPart = &p->a[i];
    if( nUnpacked>mx ){
      produceRefuse(pPart, KE_MESSAGE_TOO_LARGE, "the request's record batches unpack to more than it may bring");
      continue;
    }
    produceVet(pPart, &p->scratch, pJob->pReq->h.iVer);
    nUnpacked += pPart->nUnpacked;
    if( pPart->iErr==0 ) produceMake(pPart, pPart->eWant, pPart->mxWant, &p->scratch, 1);
  }
  prillBufFree(&p->scratch);
}

/**************************************************************************
** Records refused one by one, which refuses their batch.
*/
#define PRODUCE_MX_ERROR 1000       /* of a batch, that are told */

typedef WireProduceRespResponsesPartitionResponsesRecordErrors ProduceError;
typedef struct ProduceLook ProduceLook;
struct ProduceLook {
  const PrillTopic *pTopic;
  i32 iPart;
  i64 iTsFrom, iTsTo;           /* times allowed, -1 always is */
  int bKey;                     /* a key is needed */
};

/* What is wrong with a record: an error, its text printed into z[n]; or KE_NONE. */
static i16 produceWrong(const ProduceLook *pLook, const PrillRecord *r, char *z, int n){
  if( pLook->bKey && r->nKey<0 ){
    sqlite3_snprintf(n, z, "Compacted topic cannot accept message without key in topic partition %s-%d.",
                     pLook->pTopic->zName, pLook->iPart);
    return KE_INVALID_RECORD;
  }
  if( r->iTs!=-1 && (r->iTs<pLook->iTsFrom || r->iTs>pLook->iTsTo) ){
    sqlite3_snprintf(n, z, "Timestamp %lld of message with offset %lld is out of range. The timestamp should be"
                     " within [%lld, %lld]", r->iTs, r->iOff, pLook->iTsFrom, pLook->iTsTo);
    return KE_INVALID_TIMESTAMP;
  }
  return KE_NONE;
}

/* The records that are refused, into the response; none: no memory, or all are right. */
static void produceErrors(ProducePart *p, const ProduceLook *pLook, WireArena *pArena, PrillBuf *pScratch){
  const u8 *aRec, *aEnd;
  ProduceError *a = 0;
  i64 nRec;
  i32 i;
  if( prillBatchRecords(p->pIn->records.a, &p->b, pScratch, &aRec, &nRec)!=SQLITE_OK ) return;
  for(i=0, aEnd=aRec+nRec; i<p->b.nRec && p->pOut->nRecordErrors<PRODUCE_MX_ERROR; i++){
    char z[512];
    PrillRecord r;
    i16 iErr;
    aRec += prillRecordDecode(aRec, aEnd, 0, p->b.iBaseTs, &r);
    if( (iErr = produceWrong(pLook, &r, z, sizeof(z)))==KE_NONE ) continue;
    if( a==0 ) a = (ProduceError*)prilldArenaAlloc(pArena, (i64)sizeof(*a)*PRILL_MIN(PRODUCE_MX_ERROR, p->b.nRec-i));
    if( a==0 ) break;
    a[p->pOut->nRecordErrors].batchIndex = i;
    a[p->pOut->nRecordErrors].batchIndexErrorMessage = prilldStr(prilldArenaDup(pArena, z, (i64)strlen(z)));
    p->pOut->nRecordErrors++;
    if( p->iErr!=KE_INVALID_TIMESTAMP ) produceLogRefuse(p, iErr, 0);
  }
  p->pOut->recordErrors = a;
}

/* The message of a batch whose records were refused, as Kafka puts it. */
static void produceErrorText(ProducePart *p, WireArena *pArena){
  PrillBuf buf = {0, 0, 0};
  int i, n = p->pOut->nRecordErrors, rc = SQLITE_OK;
  if( p->iErr==KE_INVALID_TIMESTAMP ){
    produceRefuseTime(p);
    return;
  }
  prillBufPrintf(&rc, &buf, "One or more records have been rejected due to %d record errors in total, and only showing"
                 " the first three errors at most: [", n);
  for(i=0; i<n && i<3; i++){
    prillBufPrintf(&rc, &buf, "%sRecordError(batchIndex=%d, message='%s')", i ? ", " : "",
                   p->pOut->recordErrors[i].batchIndex, p->pOut->recordErrors[i].batchIndexErrorMessage.z);
  }
  prillBufAppend(&rc, &buf, "]", 2);
  p->zErr = rc==SQLITE_OK ? prilldArenaDup(pArena, buf.a, buf.n) : 0;
  prillBufFree(&buf);
}

/* a-b, bounded. */
static i64 produceMinus(i64 a, i64 b){
  if( b>=0 ) return a<PRILL_I64MIN+b ? PRILL_I64MIN : a-b;
  return a>PRILL_I64MAX+b ? PRILL_I64MAX : a-b;
}

/* What the topic asks of a batch, in the transaction. */
static void produceSuit(ProducePart *p, PrilldWriter *pW, const PrillTopic *pTopic, WireArena *pArena,
                        PrillBuf *pScratch){
  const PrillConfig *pCfg = &pTopic->cfg;
  ProduceLook look = {0, 0, PRILL_I64MIN, PRILL_I64MAX, 0};
  i64 nByte;
  if( p->pIn->records.n>pCfg->szMessage ){
    produceRefuse(p, KE_MESSAGE_TOO_LARGE, "the record batch is larger than max.message.bytes");
    return;
  }
  look.pTopic = pTopic;
  look.iPart = p->pIn->index;
  look.bKey = (pCfg->mCleanup & PRILL_COMPACT)!=0;
  if( !pCfg->bAppendTime && (pCfg->msBefore<PRILL_I64MAX || pCfg->msAfter<PRILL_I64MAX) ){
    i64 now = prillNow(pW->pStore->pVfs);
    look.iTsFrom = produceMinus(now, pCfg->msBefore);
    look.iTsTo = produceMinus(now, -pCfg->msAfter);
  }
  if( look.bKey && !p->bKeyed && p->nUnpacked>PRODUCE_LOOK ){
    produceLogRefuse(p, KE_INVALID_RECORD, "Compacted topic cannot accept message without key");
  }else if( (p->iMinTs<look.iTsFrom || p->iMaxTs>look.iTsTo) && p->nUnpacked>PRODUCE_LOOK ){
    produceRefuseTime(p);
  }else if( (look.bKey && !p->bKeyed) || p->iMinTs<look.iTsFrom || p->iMaxTs>look.iTsTo ){
    produceErrors(p, &look, pArena, pScratch);
    if( p->iErr ) produceErrorText(p, pArena);
  }
  if( p->iErr==0 && produceMake(p, pCfg->eCompress, pCfg->szMessage, pScratch, 0) ){
    produceRefuse(p, KE_MESSAGE_TOO_LARGE, "compressed anew, the record batch is larger than max.message.bytes");
  }
  nByte = p->made.n ? p->made.n : p->pIn->records.n;
  if( p->iErr==0 && nByte>pCfg->szSegment ){
    produceRefuse(p, KE_RECORD_LIST_TOO_LARGE, "the record batch is larger than segment.bytes");
  }
}

/* An idempotent producer's batch: may it be appended?  1: no, it is answered. */
static int produceSequence(int *pRc, ProducePart *p, PrillPart *pPart){
  const PrillBatch *b = &p->b;
  int eAnswer = PRILL_SEQ_OK;
  i64 iOff = -1;
  if( b->iProducer<0 ) return 0;
  *pRc = prillProducerCheck(pPart, b->iProducer, b->iProducerEpoch, b->iSeq, b->nRec, &eAnswer, &iOff);
  if( *pRc!=SQLITE_OK ) return 1;
  switch( eAnswer ){
    case PRILL_SEQ_DUPLICATE:
      p->pOut->baseOffset = iOff;
      return 1;
    case PRILL_SEQ_GAP:
      produceLogRefuse(p, KE_OUT_OF_ORDER_SEQUENCE_NUMBER, "the batch's sequence does not follow its producer's last");
      return 1;
    case PRILL_SEQ_FENCED:
      produceLogRefuse(p, KE_INVALID_PRODUCER_EPOCH, "the producer has a newer epoch");
      return 1;
    default: return 0;
  }
}

static int produceAppend(ProducePart *p, PrilldWriter *pW, WireArena *pArena, PrillBuf *pScratch){
  PrillTopic *pTopic = produceTopic(p, pW);
  PrillPart *pPart;
  i64 iOff = -1, iTs = -1;
  int rc = SQLITE_OK;
  if( pTopic==0 || p->pIn->index<0 || p->pIn->index>=pTopic->nPart ){
    produceRefuse(p, KE_UNKNOWN_TOPIC_OR_PARTITION, 0);
    return SQLITE_OK;
  }
  pPart = pTopic->apPart[p->pIn->index];
  if( p->bLog ) p->pOut->logStartOffset = pPart->x.iLogStart;
  if( p->iErr ) return SQLITE_OK;
  p->pOut->logStartOffset = pPart->x.iLogStart;
  produceSuit(p, pW, pTopic, pArena, pScratch);
  if( p->iErr || produceSequence(&rc, p, pPart) ) return rc;
  /* The request's bytes are ours to change. */
  rc = prillStageBatch(pPart, p->made.n ? p->made.a : (u8*)(size_t)p->pIn->records.a, p->made.n ? &p->bMade : &p->b,
                       p->iMinTs, p->iMaxTs, &iOff, &iTs);
  if( rc==SQLITE_OK && p->b.iProducer>=0 ){
    rc = prillProducerNote(pPart, p->b.iProducer, p->b.iProducerEpoch, p->b.iSeq, p->b.nRec, iOff);
  }
  if( rc==SQLITE_CONSTRAINT ){                  /* the clock went on */
    produceRefuseTime(p);
    return SQLITE_OK;
  }
  if( rc!=SQLITE_OK ) return rc;
  p->pOut->baseOffset = iOff;
  p->pOut->logAppendTimeMs = iTs;
  return SQLITE_OK;
}

static int produceRun(PrilldJob *pJob, PrilldWriter *pW){
  ProduceJob *p = (ProduceJob*)pJob;
  int i;
  for(i=0; i<p->n; i++){
    int rc = produceAppend(&p->a[i], pW, &pJob->pReq->arena, &p->scratch);
    if( rc!=SQLITE_OK ){
      produceRefuse(&p->a[i], KE_STORAGE_ERROR, 0);
      prilldLog(PRILLD_LOG_ERROR, "topic %.*s partition %d: cannot append: %s", p->a[i].topic.n, p->a[i].topic.z,
                p->a[i].pIn->index, pW->pConn->zErr ? pW->pConn->zErr : sqlite3_errstr(rc));
    }
    prillBufFree(&p->a[i].made);
  }
  prillBufFree(&p->scratch);
  return SQLITE_OK;
}

static void produceDone(PrilldJob *pJob){
  ProduceJob *p = (ProduceJob*)pJob;
  PrilldReq *pReq = pJob->pReq;
  int i, nErr = 0;
  int acks = ((WireProduceReq*)pReq->pIn)->acks;
  for(i=0; i<p->n; i++){
    ProducePart *pPart = &p->a[i];
    prillBufFree(&pPart->made);                 /* where the turn did not get to it */
    if( pJob->rc!=SQLITE_OK && pPart->iErr==0 ) produceRefuse(pPart, KE_STORAGE_ERROR, 0);
    if( pPart->iErr==0 ){
      pReq->pD->stat.nRecord += pPart->b.nRec;
      continue;
    }
    nErr++;
    pPart->pOut->errorCode = pPart->iErr;
    pPart->pOut->baseOffset = pPart->pOut->logAppendTimeMs = -1;
    if( !pPart->bLog || pJob->rc!=SQLITE_OK ) pPart->pOut->logStartOffset = -1;
    pPart->pOut->errorMessage = prilldStr(pPart->zErr);
  }
  pReq->nPending--;
  if( acks!=0 ) prilldReqReply(pReq);
  else if( pReq->pConn==0 ) prilldReqFree(pReq);
  else if( nErr ) prilldReqClose(pReq);
  else prilldReqSilent(pReq);
}

/* The response's shape, and the list of partitions.  0: the connection is closed. */
static ProduceJob *produceShape(PrilldReq *pReq){
  const WireProduceReq *pIn = (const WireProduceReq*)pReq->pIn;
  WireProduceResp *pOut = (WireProduceResp*)pReq->pOut;
  ProduceJob *p = (ProduceJob*)prilldReqAlloc(pReq, (i64)sizeof(*p));
  i32 i, j, n = 0;
  for(i=0; i<pIn->nTopicData; i++) n += pIn->topicData[i].nPartitionData;
  if( p ) p->a = (ProducePart*)prilldReqAlloc(pReq, (i64)sizeof(ProducePart)*n);
  if( p==0 || p->a==0 ) return 0;
  pOut->responses = (WireProduceRespResponses*)prilldReqAlloc(pReq, (i64)sizeof(*pOut->responses)*pIn->nTopicData);
  if( pOut->responses==0 ) return 0;
  pOut->nResponses = pIn->nTopicData;
  for(i=0; i<pIn->nTopicData; i++){
    const WireProduceReqTopicData *pT = &pIn->topicData[i];
    WireProduceRespResponses *pR = &pOut->responses[i];
    pR->name = pT->name;
    pR->nPartitionResponses = pT->nPartitionData;
    pR->partitionResponses = (WireProduceRespResponsesPartitionResponses*)
        prilldReqAlloc(pReq, (i64)sizeof(*pR->partitionResponses)*pT->nPartitionData);
    if( pR->partitionResponses==0 ) return 0;
    for(j=0; j<pT->nPartitionData; j++){
      ProducePart *pPart = &p->a[p->n++];
      pPart->topic = pT->name;
      pPart->pIn = &pT->partitionData[j];
      pPart->pOut = &pR->partitionResponses[j];
      pPart->pOut->index = pPart->pIn->index;
      pPart->pOut->baseOffset = pPart->pOut->logAppendTimeMs = pPart->pOut->logStartOffset = -1;
      pPart->pOut->errorMessage = prilldStr(0);
    }
  }
  return p;
}

/* What its topic asked for when last seen.  1: the batch has to be unpacked, or
** compressed. */
static int produceSettings(PrilldReq *pReq, ProducePart *p){
  const PrillTopic *pTopic = prilldViewTopic(&pReq->pD->view, p->topic.z, p->topic.n);
  const WireBytes *pRec = &p->pIn->records;
  int eHas = pRec->n>=PRILL_BATCH_HDR ? pRec->a[22] & PRILL_ATTR_CODEC : PRILL_NONE;
  p->eWant = pTopic ? pTopic->cfg.eCompress : PRILL_PRODUCER;
  p->mxWant = pTopic ? pTopic->cfg.szMessage : 0;
  return eHas!=PRILL_NONE || p->eWant>PRILL_NONE;
}

void prilldApiProduce(PrilldReq *pReq){
  const WireProduceReq *pIn = (const WireProduceReq*)pReq->pIn;
  ProduceJob *p = produceShape(pReq);
  int i;
  if( p==0 ) return;
  pReq->pD->stat.nProduceByte += pReq->nByte;
  p->job.pReq = pReq;
  p->job.nByte = pReq->nByte;
  for(i=0; i<p->n; i++) p->job.bHeavy |= (u8)produceSettings(pReq, &p->a[i]);
  p->job.xPrepare = producePrepare;
  p->job.xRun = produceRun;
  p->job.xDone = produceDone;
  pReq->nPending = 1;
  if( pIn->acks<-1 || pIn->acks>1 || pIn->transactionalId.n>=0 ){
    /* Nothing is tried.  Transactions: not served yet. */
    i16 iErr = pIn->transactionalId.n>=0 ? KE_TRANSACTIONAL_ID_AUTHORIZATION_FAILED : KE_INVALID_REQUIRED_ACKS;
    for(i=0; i<p->n; i++) produceRefuse(&p->a[i], iErr, 0);
    produceDone(&p->job);
  }else{
    prilldSubmit(pReq->pD, &p->job);
  }
}

/**************************************************************************
** InitProducerId: an id for an idempotent producer, always a new one.
*/
typedef struct InitJob InitJob;
struct InitJob {
  PrilldJob job;
  i64 iProducer;
  int iEpoch;
};

static int produceInitRun(PrilldJob *pJob, PrilldWriter *pW){
  InitJob *p = (InitJob*)pJob;
  return prillProducerInit(pW->pStore, 0, &p->iProducer, &p->iEpoch);
}

static void produceInitDone(PrilldJob *pJob){
  InitJob *p = (InitJob*)pJob;
  WireInitProducerIdResp *pOut = (WireInitProducerIdResp*)pJob->pReq->pOut;
  pOut->errorCode = pJob->rc==SQLITE_OK ? KE_NONE : KE_COORDINATOR_NOT_AVAILABLE;
  pOut->producerId = pJob->rc==SQLITE_OK ? p->iProducer : -1;
  pOut->producerEpoch = pJob->rc==SQLITE_OK ? (i16)p->iEpoch : -1;
  pJob->pReq->nPending--;
  prilldReqReply(pJob->pReq);
}

void prilldApiInitProducerId(PrilldReq *p){
  const WireInitProducerIdReq *pIn = (const WireInitProducerIdReq*)p->pIn;
  WireInitProducerIdResp *pOut = (WireInitProducerIdResp*)p->pOut;
  InitJob *pJob;
  if( pIn->transactionalId.n>=0 ){
    /* Transactions are not served. */
    pOut->errorCode = pIn->transactionalId.n==0 ? KE_INVALID_REQUEST : KE_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    pOut->producerId = pOut->producerEpoch = -1;
    prilldReqReply(p);
    return;
  }
  pJob = (InitJob*)prilldReqAlloc(p, (i64)sizeof(*pJob));
  if( pJob==0 ) return;
  pJob->job.pReq = p;
  pJob->job.bSavepoint = 1;
  pJob->job.xRun = produceInitRun;
  pJob->job.xDone = produceInitDone;
  p->nPending = 1;
  prilldSubmit(p->pD, &pJob->job);
}
