/*
** produce.c: the C interface for producing: prill_producer.
**
** Layer 6, api.  Calls store, place, producer and stage.
**
** INSIDE the caller's transaction a record goes straight to the stage, whose
** savepoints and rollback are the transaction's.  What must be known of the
** transaction is found out at its first record (produceReady): prill_store
** takes part in it, the caches are fresh, the producer is not fenced.
**
** OUTSIDE, records wait in queues, one a topic and partition, as PrillChunks of
** at most batch.size: encoded, but for the first offset, which is outside their
** bytes.  A flush begins a transaction, hands the chunks to the stage without
** copying them, and commits.  A batch with a producer id is made whole (codec
** and CRC) before the transaction, once, so that a second attempt offers the
** same bytes and sequence.
**
**   states of a batch: open (the queue's last, takes records), sealed, staged
**   (its transaction runs), gone (committed: told and freed; or dropped).  A
**   transaction that fails makes staged ones sealed again.
**
**   I1  Within a queue the order of records is that of produce(), always: a
**       batch that cannot be written yet holds back those behind it.
**   I2  A record is dropped only when no attempt could ever succeed (its topic
**       is gone, it is larger than the topic now allows, the producer is
**       fenced) or at close, and is told so.
**   I3  What is in the buffer never becomes part of a caller's transaction.
**   I4  A sequence is given when a batch is sealed and kept to its end, unless
**       one before it is dropped or the topic is another.
**   I5  xDelivered runs when no list is being walked and no transaction of ours
**       is open: it may produce.
**
** Crash story: the buffer is memory; its transaction decides the rest.
*/
#include "prillInt.h"
#include <stdarg.h>

#define PRODUCER_OVERHEAD 40          /* of a record, at most, beside key, value, headers */

typedef struct ProducerBatch ProducerBatch;
typedef struct ProducerQueue ProducerQueue;
typedef struct ProducerTopic ProducerTopic;

struct ProducerBatch {
  ProducerBatch *pNext;
  ProducerTopic *pTopic;    /* whose queue it is in */
  int iPart;
  PrillChunk *pChunk;       /* its records */
  i64 nMax;                 /* bytes of the largest, as prillStageAppend counts */
  u8 bSealed;               /* takes no more */
  u8 bDone;                 /* staged: iOff is set; or rc says why it never will be */
  int rc;
  i32 iSeq;                 /* with a producer id: its first sequence */
  PrillBuf wire;            /* and its bytes */
  PrillBatch b;
  i64 iOff;
};

struct ProducerQueue {
  ProducerBatch *pFirst, *pLast;
  i64 nByte;                /* bytes of records in it */
  i32 iSeq;                 /* next sequence */
};

struct ProducerTopic {
  ProducerTopic *pNext;
  char *zName;
  PrillTopic *pTopic;       /* as last found, referenced, or NULL */
  u8 aUuid[16];             /* its id */
  PrillPlacer placer;
  ProducerQueue *aQueue;    /* by partition */
  int nQueue;
};

/* Statements kept prepared. */
enum { PRODUCER_BEGIN, PRODUCER_COMMIT, PRODUCER_ROLLBACK, PRODUCER_JOIN, PRODUCER_N };

struct prill_producer {
  sqlite3 *db;
  sqlite3_stmt *aStmt[PRODUCER_N];
  PrillConn *pConn;         /* referenced; NULL: opening failed */
  PrillStore *pStore;       /* referenced, or NULL */
  void (*xDelivered)(void*, const prill_delivery*);
  void *pArg;
  char *zErr;
  int rc;                   /* the last call's result */
  int rcDead;               /* PRILL_FENCED, PRILL_EXPIRED: for good */
  u8 bBusy;                 /* within a flush: I5 */
  /* Options */
  i64 szBatch, szBuffer, szRequest, msLinger, msBlock;
  u8 bIdempotent;
  char *zName;              /* producer.name, or NULL */
  i64 iProducer;            /* -1 none */
  int iEpoch;
  /* The buffer */
  ProducerTopic *pTopics;   /* the last used first */
  i64 nByte;
  int nRecord;
  i64 iOldest;              /* when its oldest record came, ms */
  u8 bFull;                 /* some queue has batch.size bytes */
  /* The caller's transaction */
  i64 iTxn;                 /* produceReady has looked in this one */
  PrillBuf hdr;             /* a record's headers, encoded */
};

/**************************************************************************
** Errors.
*/
static int produceResult(prill_producer *p, int rc){
  p->rc = rc;
  if( rc!=SQLITE_NOMEM && rc!=SQLITE_OK && p->pConn && p->pConn->zErr ){
    sqlite3_free(p->zErr);
    p->zErr = p->pConn->zErr;
    p->pConn->zErr = 0;
  }
  return rc;
}

/* Before a call does anything.  SQLITE_OK, or why nothing can be done. */
static int produceBegin(prill_producer *p){
  if( p->rcDead ) return p->rcDead;
  if( p->zErr ){
    sqlite3_free(p->zErr);
    p->zErr = 0;
  }
  if( p->pConn==0 || p->pStore==0 ) return SQLITE_MISUSE;
  if( p->pConn->zErr ){
    sqlite3_free(p->pConn->zErr);
    p->pConn->zErr = 0;
  }
  return SQLITE_OK;
}

/* The producer is of no use any more. */
static int produceDead(prill_producer *p, int rc){
  const char *zName = p->zName ? p->zName : "without a name";
  p->rcDead = rc;
  if( rc==PRILL_FENCED ){
    return prillError(p->pConn, rc, "producer %s has been fenced: one of the same name was opened after it; close it",
                      zName);
  }
  return prillError(p->pConn, rc, "producer %s (id %lld) is not known to the store any more: it has expired, or the"
                    " database was put back; close it and open it again", zName, p->iProducer);
}

static int produceNoTopic(prill_producer *p, const char *zTopic){
  return prillError(p->pConn, PRILL_NO_TOPIC, "no such topic: %s; SELECT name FROM prill_topics lists them", zTopic);
}
static int produceNoPart(prill_producer *p, const PrillTopic *pTopic, i64 iPart){
  return prillError(p->pConn, PRILL_NO_TOPIC, "topic %s has no partition %lld: it has %d, numbered from 0",
                    pTopic->zName, iPart, pTopic->nPart);
}

/**************************************************************************
** Topics and queues.
*/
static void produceFreeBatch(ProducerBatch *b){
  prillChunkUnref(b->pChunk);
  prillBufFree(&b->wire);
  sqlite3_free(b);
}

static void produceFreeTopic(ProducerTopic *t){
  int i;
  for(i=0; i<t->nQueue; i++){
    while( t->aQueue[i].pFirst ){
      ProducerBatch *b = t->aQueue[i].pFirst;
      t->aQueue[i].pFirst = b->pNext;
      produceFreeBatch(b);
    }
  }
  prillPlaceFree(&t->placer);
  prillTopicUnref(t->pTopic);
  sqlite3_free(t->aQueue);
  sqlite3_free(t->zName);
  sqlite3_free(t);
}

/* The entry of a topic, first in the list afterwards. */
static ProducerTopic *produceTopic(int *pRc, prill_producer *p, const char *zTopic){
  ProducerTopic **pp, *t;
  for(pp=&p->pTopics; (t = *pp)!=0 && strcmp(t->zName, zTopic)!=0; pp=&t->pNext){}
  if( t && t==p->pTopics ) return t;
  if( t ){
    *pp = t->pNext;
  }else{
    t = (ProducerTopic*)sqlite3_malloc64(sizeof(*t));
    if( t ){
      memset(t, 0, sizeof(*t));
      prillPlaceInit(&t->placer);
      t->zName = sqlite3_mprintf("%s", zTopic);
    }
    if( t==0 || t->zName==0 ){
      sqlite3_free(t);
      *pRc = SQLITE_NOMEM;
      return 0;
    }
  }
  t->pNext = p->pTopics;
  p->pTopics = t;
  return t;
}

/* Number the sealed batches from pFrom on anew, beginning with iSeq. */
static void produceNumberAgain(ProducerQueue *q, ProducerBatch *pFrom, i32 iSeq){
  for(; pFrom && pFrom->bSealed; pFrom=pFrom->pNext){
    pFrom->iSeq = iSeq;
    pFrom->wire.n = 0;
    iSeq = prillProducerNext(iSeq, pFrom->pChunk->nRec);
  }
  q->iSeq = iSeq;
}

/* t->pTopic as the fresh catalog has it, and a queue for each partition. */
static int produceFind(prill_producer *p, ProducerTopic *t){
  PrillTopic *pTopic = prillStoreTopic(p->pStore, t->zName);
  int i;
  if( pTopic && pTopic->nPart>t->nQueue ){        /* first: a known topic has its queues */
    ProducerQueue *a = (ProducerQueue*)sqlite3_realloc64(t->aQueue, sizeof(*a)*(u64)pTopic->nPart);
    if( a==0 ) return SQLITE_NOMEM;
    memset(&a[t->nQueue], 0, sizeof(*a)*(size_t)(pTopic->nPart-t->nQueue));
    t->aQueue = a;
    t->nQueue = pTopic->nPart;
  }
  if( pTopic!=t->pTopic ){
    prillTopicUnref(t->pTopic);
    t->pTopic = pTopic;
    if( pTopic ) pTopic->nRef++;
  }
  if( pTopic==0 ) return produceNoTopic(p, t->zName);
  if( memcmp(t->aUuid, pTopic->aUuid, 16)!=0 ){
    memcpy(t->aUuid, pTopic->aUuid, 16);
    for(i=0; i<t->nQueue; i++) produceNumberAgain(&t->aQueue[i], t->aQueue[i].pFirst, 0);
  }
  return SQLITE_OK;
}

/* Outside a transaction: have t->pTopic, from a look at the database if it is
** not known; the snapshot is let go. */
static int produceKnow(prill_producer *p, ProducerTopic *t){
  PrillStore *pAgain;
  int rc;
  if( t->pTopic && !t->pTopic->bGone ) return SQLITE_OK;
  rc = prillStoreGet(p->pConn, p->pStore->zSchema, &pAgain);
  if( rc!=SQLITE_OK ) return rc;
  rc = prillStoreRefresh(p->pStore);
  if( rc==SQLITE_OK ) rc = produceFind(p, t);
  prillStorePut(pAgain);
  return rc;
}

/**************************************************************************
** A record.
*/

/* The record's headers, encoded, into p->hdr. */
static int produceHeaders(prill_producer *p, const prill_record *pIn, PrillRecord *pRec){
  int i;
  int rc = SQLITE_OK;
  p->hdr.n = 0;
  for(i=0; rc==SQLITE_OK && i<pIn->nHeader; i++){
    const prill_header *h = &pIn->aHeader[i];
    if( h->nName<0 || (h->nName>0 && h->zName==0) || (h->pValue && h->nValue<0) ) return SQLITE_MISUSE;
    prillBufVarint(&rc, &p->hdr, h->nName);
    prillBufAppend(&rc, &p->hdr, h->zName, h->nName);
    prillBufVarint(&rc, &p->hdr, h->pValue ? h->nValue : -1);
    if( h->pValue ) prillBufAppend(&rc, &p->hdr, h->pValue, h->nValue);
  }
  if( rc==SQLITE_OK && p->hdr.n>0x7fffffff ) rc = SQLITE_TOOBIG;
  pRec->pHdr = p->hdr.a;
  pRec->nHdrByte = (i32)p->hdr.n;
  pRec->nHdr = pIn->nHeader;
  return rc;
}

/* *pIn as the store's record.  *pnByte: bytes of key, value and headers. */
static int produceRecord(prill_producer *p, const prill_record *pIn, PrillRecord *pRec, i64 *pnByte){
  int rc = SQLITE_OK;
  if( pIn->zTopic==0 || (pIn->pKey && pIn->nKey<0) || (pIn->pValue && pIn->nValue<0) || pIn->nHeader<0
   || (pIn->nHeader>0 && pIn->aHeader==0) ) return SQLITE_MISUSE;
  pRec->pKey = (const u8*)pIn->pKey;
  pRec->nKey = pIn->pKey ? pIn->nKey : -1;
  pRec->pVal = (const u8*)pIn->pValue;
  pRec->nVal = pIn->pValue ? pIn->nValue : -1;
  pRec->pHdr = 0;
  pRec->nHdr = pRec->nHdrByte = 0;
  if( pIn->nHeader>0 ) rc = produceHeaders(p, pIn, pRec);
  *pnByte = (i64)PRILL_MAX(pRec->nKey, 0) + PRILL_MAX(pRec->nVal, 0) + pRec->nHdrByte;
  if( rc==SQLITE_OK && *pnByte>p->szRequest ){
    rc = prillError(p->pConn, SQLITE_TOOBIG, "topic %s: a record of %lld bytes is larger than max.request.size=%lld;"
                    " open the producer with more", pIn->zTopic, *pnByte, p->szRequest);
  }
  return rc;
}

static int produceTooBig(prill_producer *p, const PrillTopic *pTopic, i64 nByte){
  return prillError(p->pConn, SQLITE_TOOBIG, "topic %s: a record of %lld bytes is larger than max.message.bytes=%lld"
                    " allows; UPDATE prill_config to raise it", pTopic->zName, nByte, pTopic->cfg.szMessage);
}

/* The record's partition and timestamp. */
static int producePlace(prill_producer *p, ProducerTopic *t, const prill_record *pIn, PrillRecord *pRec, i64 *piPart){
  PrillTopic *pTopic = t->pTopic;
  pRec->iTs = pIn->iTimestamp;
  if( pRec->iTs==PRILL_NOW || pTopic->cfg.bAppendTime ) pRec->iTs = prillNow(p->pStore->pVfs);
  *piPart = pIn->iPartition;
  if( *piPart==PRILL_ANY_PARTITION ) return prillPlace(&t->placer, pTopic, pRec, piPart);
  return *piPart<0 || *piPart>=pTopic->nPart ? produceNoPart(p, pTopic, *piPart) : SQLITE_OK;
}

/**************************************************************************
** Inside the caller's transaction.
*/

static int produceExec(prill_producer *p, int eStmt){
  static const char *const azSql[] = {"BEGIN", "COMMIT", "ROLLBACK"};
  int rc = SQLITE_OK;
  if( p->aStmt[eStmt]==0 && eStmt==PRODUCER_JOIN ){
    rc = prillStorePrepare(p->pStore, &p->aStmt[eStmt], "DELETE FROM \"%w\".prill_store WHERE 0");
  }else if( p->aStmt[eStmt]==0 ){
    rc = prillStorePrepare(p->pStore, &p->aStmt[eStmt], azSql[eStmt]);
  }
  if( rc!=SQLITE_OK ) return rc;
  (void)sqlite3_step(p->aStmt[eStmt]);
  rc = sqlite3_reset(p->aStmt[eStmt]);
  if( rc!=SQLITE_OK && rc!=SQLITE_NOMEM ){
    rc = sqlite3_extended_errcode(p->db);
    prillError(p->pConn, rc, "store \"%s\": %s", p->pStore->zSchema, sqlite3_errmsg(p->db));
  }
  return rc;
}

/* Take part in the transaction.  The write lock comes first: a look at the
** database before it would pin a state that others may leave behind. */
static int produceJoin(prill_producer *p){
  PrillStore *pStore = p->pStore;
  int rc = produceExec(p, PRODUCER_JOIN);
  if( rc==SQLITE_ERROR && sqlite3_table_column_metadata(p->db, pStore->zSchema, "prill_store_state", "id", 0,0,0,0,0) ){
    rc = prillError(p->pConn, PRILL_NO_TOPIC, "schema \"%s\" has no topics; CREATE VIRTUAL TABLE ... USING topic makes"
                    " one", pStore->zSchema);
  }
  if( rc==SQLITE_OK ) rc = prillStoreBegin(pStore);
  if( rc==SQLITE_OK ) rc = prillStoreRefresh(pStore);
  if( rc==SQLITE_OK ) rc = prillStoreCheckDir(pStore);
  return rc;
}

/* In a write transaction: is the producer what it was? */
static int produceCurrent(prill_producer *p){
  int eAnswer;
  int rc;
  if( p->iProducer<0 ) return SQLITE_OK;
  rc = prillProducerCurrent(p->pStore, p->iProducer, p->iEpoch, &eAnswer);
  if( rc!=SQLITE_OK || eAnswer==PRILL_SEQ_OK ) return rc;
  return produceDead(p, eAnswer==PRILL_SEQ_FENCED ? PRILL_FENCED : PRILL_EXPIRED);
}

static int produceReady(prill_producer *p, ProducerTopic *t){
  PrillStore *pStore = p->pStore;
  int rc = SQLITE_OK;
  if( pStore->pStage && p->iTxn==pStore->iTxn && !pStore->bDirty && t->pTopic && !t->pTopic->bGone ) return SQLITE_OK;
  if( pStore->pStage==0 || p->iTxn!=pStore->iTxn ){
    rc = produceJoin(p);
    if( rc==SQLITE_OK ) rc = produceCurrent(p);
  }else{
    rc = prillStoreRefresh(pStore);
  }
  if( rc==SQLITE_OK ) rc = produceFind(p, t);
  if( rc==SQLITE_OK ) p->iTxn = pStore->iTxn;
  return rc;
}

static int produceInside(prill_producer *p, const prill_record *pIn, PrillRecord *pRec, i64 nByte, i64 *piOff){
  ProducerTopic *t;
  PrillTopic *pTopic;
  i64 iPart;
  int rc = SQLITE_OK;
  if( p->nRecord>0 ){
    return prillError(p->pConn, PRILL_TRANSACTION, "%d records are buffered outside this transaction and would be"
                      " overtaken; call prill_producer_flush() before BEGIN", p->nRecord);
  }
  t = produceTopic(&rc, p, pIn->zTopic);
  if( rc==SQLITE_OK ) rc = produceReady(p, t);
  if( rc!=SQLITE_OK ) return rc;
  pTopic = t->pTopic;
  pTopic->nRef++;                              /* a partitioner may be an SQL function */
  rc = producePlace(p, t, pIn, pRec, &iPart);
  if( rc==SQLITE_OK && pTopic->cfg.ePartitioner==PRILL_SQLFUNC ){
    if( p->pStore->pStage==0 || p->iTxn!=p->pStore->iTxn || pTopic->bGone ){
      rc = prillError(p->pConn, SQLITE_ABORT, "topic %s: its partitioner changed the transaction or the topic; it"
                      " must only compute", t->zName);
    }
  }
  if( rc==SQLITE_OK ) rc = prillStageAppend(pTopic->apPart[iPart], pRec);
  if( rc==SQLITE_TOOBIG && p->pConn->zErr==0 ) produceTooBig(p, pTopic, nByte);
  prillTopicUnref(pTopic);
  if( rc!=SQLITE_OK ) return rc;
  p->pConn->iLastOff = pRec->iOff;
  p->pConn->iLastPart = (int)iPart;
  if( piOff ) *piOff = pRec->iOff;
  return rc;
}

/**************************************************************************
** The buffer.
*/

/* The queue's last batch is finished: it gets its sequence. */
static void produceSeal(prill_producer *p, ProducerQueue *q){
  ProducerBatch *b = q->pLast;
  if( b==0 || b->bSealed ) return;
  b->bSealed = 1;
  if( p->iProducer>=0 ){
    b->iSeq = q->iSeq;
    q->iSeq = prillProducerNext(q->iSeq, b->pChunk->nRec);
  }
}

/* Append to the queue.  On an error it is as it was. */
static int produceQueue(prill_producer *p, ProducerTopic *t, int iPart, PrillRecord *pRec, i64 nByte){
  const PrillConfig *pCfg = &t->pTopic->cfg;
  i64 szBatch = PRILL_MIN(p->szBatch, p->iProducer>=0 ? pCfg->szMessage-PRILL_BATCH_HDR : pCfg->szBatch);
  ProducerQueue *q = &t->aQueue[iPart];
  ProducerBatch *b = q->pLast;
  i64 nBefore;
  int rc = SQLITE_OK;
  if( b && !b->bSealed && b->pChunk->buf.n+nByte+PRODUCER_OVERHEAD>szBatch ) produceSeal(p, q);
  if( b==0 || b->bSealed ){
    b = (ProducerBatch*)sqlite3_malloc64(sizeof(*b));
    if( b==0 ) return SQLITE_NOMEM;
    memset(b, 0, sizeof(*b));
    b->pTopic = t;
    b->iPart = iPart;
    b->pChunk = prillChunkNew(&rc, 0, pRec->iTs, 0);
    if( b->pChunk ){
      pRec->iOff = 0;
      prillChunkAppend(&rc, b->pChunk, pRec);
    }
    if( rc!=SQLITE_OK ){
      produceFreeBatch(b);
      return rc;
    }
    if( q->pLast ) q->pLast->pNext = b; else q->pFirst = b;
    q->pLast = b;
    nBefore = 0;
  }else{
    nBefore = b->pChunk->buf.n;
    pRec->iOff = b->pChunk->iNext;
    prillChunkAppend(&rc, b->pChunk, pRec);
    if( rc!=SQLITE_OK ) return rc;
  }
  b->nMax = PRILL_MAX(b->nMax, nByte+PRODUCER_OVERHEAD);
  q->nByte += b->pChunk->buf.n - nBefore;
  p->nByte += b->pChunk->buf.n - nBefore;
  p->nRecord++;
  if( q->nByte>=p->szBatch ) p->bFull = 1;
  return SQLITE_OK;
}

/**************************************************************************
** Flushing.
*/

/* Make the bytes of a batch with a producer id, if that is still to do. */
static int produceEncode(prill_producer *p, ProducerBatch *b){
  const PrillTopic *pTopic = b->pTopic->pTopic;
  const PrillChunk *c = b->pChunk;
  int rc = SQLITE_OK;
  int eCodec;
  if( b->wire.n>0 || pTopic==0 ) return SQLITE_OK;
  eCodec = pTopic->cfg.eCompress==PRILL_PRODUCER ? PRILL_LZ4 : pTopic->cfg.eCompress;
  memset(&b->b, 0, sizeof(b->b));
  b->b.dLast = c->nRec-1;
  b->b.iBaseTs = c->iBaseTs;
  b->b.iMaxTs = c->iMaxTs;
  b->b.iProducer = p->iProducer;
  b->b.iProducerEpoch = p->iEpoch;
  b->b.iSeq = b->iSeq;
  b->b.nRec = c->nRec;
  prillBatchEncode(&rc, &b->wire, &b->b, eCodec, c->buf.a, c->buf.n);
  return rc;
}

/* Seal every queue, make what can be made before the lock is held. */
static int produceSealAll(prill_producer *p){
  ProducerTopic *t;
  ProducerBatch *b;
  int i;
  int rc = SQLITE_OK;
  for(t=p->pTopics; t; t=t->pNext){
    for(i=0; i<t->nQueue; i++){
      produceSeal(p, &t->aQueue[i]);
      for(b=t->aQueue[i].pFirst; rc==SQLITE_OK && b; b=b->pNext){
        b->bDone = 0;
        b->rc = SQLITE_OK;
        if( p->iProducer>=0 ) rc = produceEncode(p, b);
      }
    }
  }
  return rc;
}

/* A batch that can never be written (I2): those after it take its sequences. */
static void produceDrop(ProducerQueue *q, ProducerBatch *b, int rc){
  b->bDone = 1;
  b->rc = rc;
  produceNumberAgain(q, b->pNext, b->iSeq);
}

/* Stage a batch with a producer id, unless it is there already. */
static int produceStageId(prill_producer *p, PrillPart *pPart, ProducerBatch *b){
  int eAnswer;
  i64 iTs;
  int rc = produceEncode(p, b);
  if( rc!=SQLITE_OK ) return rc;
  rc = prillProducerCheck(pPart, p->iProducer, p->iEpoch, b->iSeq, b->b.nRec, &eAnswer, &b->iOff);
  if( rc!=SQLITE_OK || eAnswer==PRILL_SEQ_DUPLICATE ) return rc;
  switch( eAnswer ){
    case PRILL_SEQ_FENCED:  return produceDead(p, PRILL_FENCED);
    case PRILL_SEQ_UNKNOWN: return produceDead(p, PRILL_EXPIRED);
    case PRILL_SEQ_GAP:
      p->rcDead = PRILL_SEQUENCE;
      return prillError(p->pConn, PRILL_SEQUENCE, "topic %s partition %d: sequence %d of producer %lld does not follow"
                        " its last one; close the producer and open it again", pPart->pTopic->zName, pPart->iPart,
                        b->iSeq, p->iProducer);
    default: break;
  }
  rc = prillStageBatch(pPart, b->wire.a, &b->b, b->pChunk->iMinTs, b->pChunk->iMaxTs, &b->iOff, &iTs);
  if( rc==SQLITE_OK ) rc = prillProducerNote(pPart, p->iProducer, p->iEpoch, b->iSeq, b->b.nRec, b->iOff);
  return rc;
}

/* Stage a batch without one.  After a rollback somebody may still read the
** chunk: then it is a copy that goes. */
static int produceStagePlain(PrillPart *pPart, ProducerBatch *b){
  int rc = SQLITE_OK;
  if( b->pChunk->nRef>1 ){
    PrillChunk *pOld = b->pChunk;
    PrillChunk *pNew = prillChunkNew(&rc, 0, pOld->iBaseTs, 0);
    if( pNew ) prillBufAppend(&rc, &pNew->buf, pOld->buf.a, pOld->buf.n);
    if( rc!=SQLITE_OK ){
      prillChunkUnref(pNew);
      return rc;
    }
    pNew->nRec = pOld->nRec;
    pNew->iMinTs = pOld->iMinTs;
    pNew->iMaxTs = pOld->iMaxTs;
    prillChunkUnref(pOld);
    b->pChunk = pNew;
  }
  return prillStageChunk(pPart, b->pChunk, &b->iOff);
}

static int produceStageQueue(prill_producer *p, ProducerTopic *t, int iPart){
  ProducerQueue *q = &t->aQueue[iPart];
  ProducerBatch *b;
  int rc = SQLITE_OK;
  for(b=q->pFirst; rc==SQLITE_OK && b; b=b->pNext){
    if( t->pTopic==0 || iPart>=t->pTopic->nPart ){
      produceDrop(q, b, PRILL_NO_TOPIC);
    }else if( b->nMax + PRILL_BATCH_HDR>t->pTopic->cfg.szMessage
           || b->wire.n>t->pTopic->cfg.szMessage ){
      produceDrop(q, b, SQLITE_TOOBIG);
    }else{
      PrillPart *pPart = t->pTopic->apPart[iPart];
      rc = p->iProducer>=0 ? produceStageId(p, pPart, b) : produceStagePlain(pPart, b);
      if( rc==SQLITE_OK ) b->bDone = 1;
    }
  }
  return rc;
}

/* Everything buffered to the stage of the transaction that is open. */
static int produceStage(prill_producer *p){
  ProducerTopic *t;
  int i;
  int rc = SQLITE_OK;
  for(t=p->pTopics; rc==SQLITE_OK && t; t=t->pNext){
    rc = produceFind(p, t);
    if( rc==PRILL_NO_TOPIC ) rc = SQLITE_OK;
    for(i=0; rc==SQLITE_OK && i<t->nQueue; i++) rc = produceStageQueue(p, t, i);
  }
  return rc;
}

/* Roll back a transaction of ours that failed; its reason stays. */
static void produceUndo(prill_producer *p){
  char *zErr = p->pConn->zErr;
  p->pConn->zErr = 0;
  if( !sqlite3_get_autocommit(p->db) ) (void)produceExec(p, PRODUCER_ROLLBACK);
  sqlite3_free(p->pConn->zErr);
  p->pConn->zErr = zErr;
}

/* How long to try for the lock: by the clock, and by the sleeps, for a clock
** may be set back. */
typedef struct ProducerWait ProducerWait;
struct ProducerWait {
  i64 iUntil;
  i64 nSleep;
};
static ProducerWait produceWait(prill_producer *p, i64 ms){
  ProducerWait w = {prillNow(p->pStore->pVfs) + ms, ms};
  return w;
}

/* May it be worth trying again?  If so, a millisecond later. */
static int produceAgain(prill_producer *p, int rc, ProducerWait *w){
  if( (rc&0xff)!=SQLITE_BUSY || rc==SQLITE_BUSY_SNAPSHOT ) return 0;
  if( w->nSleep--<=0 || prillNow(p->pStore->pVfs)>=w->iUntil ) return 0;
  p->pStore->pVfs->xSleep(p->pStore->pVfs, 1000);
  return 1;
}

/* One transaction with all that is buffered. */
static int produceTry(prill_producer *p, ProducerWait *w){
  int rc;
  do{
    rc = produceExec(p, PRODUCER_BEGIN);
    if( rc!=SQLITE_OK ) break;
    rc = produceJoin(p);
    if( rc==SQLITE_OK ) rc = produceStage(p);
    if( rc==SQLITE_OK ){
      do{ rc = produceExec(p, PRODUCER_COMMIT); }while( produceAgain(p, rc, w) );
      if( rc==SQLITE_OK ) return rc;
      w->nSleep = 0;                               /* time is up, or it is no lock */
    }
    produceUndo(p);
  }while( produceAgain(p, rc, w) );
  return rc;
}

/* Take the batches that are done, or with rcAll all, off their queues: a list
** in the order to tell of them. */
static ProducerBatch *produceTake(prill_producer *p, int rcAll){
  ProducerBatch *pList = 0, **ppEnd = &pList;
  ProducerTopic *t;
  int i;
  for(t=p->pTopics; t; t=t->pNext){
    for(i=0; i<t->nQueue; i++){
      ProducerQueue *q = &t->aQueue[i];
      while( q->pFirst && (q->pFirst->bDone || rcAll) ){
        ProducerBatch *b = q->pFirst;
        q->pFirst = b->pNext;
        if( q->pFirst==0 ) q->pLast = 0;
        q->nByte -= b->pChunk->buf.n;
        p->nByte -= b->pChunk->buf.n;
        p->nRecord -= b->pChunk->nRec;
        if( rcAll ) b->rc = rcAll;
        b->pNext = 0;
        *ppEnd = b;
        ppEnd = &b->pNext;
      }
    }
  }
  return pList;
}

/* And tell (I5).  The first reason why some were dropped. */
static int produceDeliver(prill_producer *p, int rcAll){
  ProducerBatch *b = produceTake(p, rcAll);
  int rc = SQLITE_OK;
  while( b ){
    ProducerBatch *pNext = b->pNext;
    prill_delivery d;
    d.zTopic = b->pTopic->zName;
    d.iPartition = b->iPart;
    d.iOffset = b->rc ? -1 : b->iOff;
    d.nRecord = b->pChunk->nRec;
    d.rc = b->rc;
    if( d.rc && rc==SQLITE_OK ) rc = d.rc;
    if( p->xDelivered ) p->xDelivered(p->pArg, &d);
    produceFreeBatch(b);
    b = pNext;
  }
  return rc;
}

/* Why records were dropped. */
static int produceDropped(prill_producer *p, int rc){
  return prillError(p->pConn, rc, rc==SQLITE_TOOBIG
      ? "records were dropped: they are larger than the topic's max.message.bytes allows now"
      : "records were dropped: their topic or partition is gone");
}

/* Write the buffer; try for the lock for ms milliseconds. */
static int produceFlush(prill_producer *p, i64 ms){
  ProducerWait w = produceWait(p, ms);
  int rc, rc2;
  if( p->nRecord==0 ) return SQLITE_OK;
  if( !sqlite3_get_autocommit(p->db) || sqlite3_txn_state(p->db, 0)==SQLITE_TXN_WRITE ){
    return prillError(p->pConn, PRILL_TRANSACTION, "%d records are buffered outside the transaction that is open;"
                      " COMMIT or ROLLBACK it first", p->nRecord);
  }
  p->bBusy = 1;
  rc = produceSealAll(p);
  if( rc==SQLITE_OK ) rc = produceTry(p, &w);
  if( rc==SQLITE_OK ){
    p->bFull = 0;
    rc2 = produceDeliver(p, 0);
    p->bBusy = 0;
    p->iOldest = prillNow(p->pStore->pVfs);        /* of what xDelivered has produced */
    return rc2 ? produceDropped(p, rc2) : SQLITE_OK;
  }
  if( p->rcDead ) (void)produceDeliver(p, p->rcDead);
  p->bBusy = 0;
  return rc;
}

/* Milliseconds until the buffer is due; 0: now. */
static i64 produceDue(prill_producer *p, i64 iNow){
  if( p->bFull || p->nByte>=p->szBuffer || iNow<p->iOldest || iNow-p->iOldest>=p->msLinger ) return 0;
  return p->msLinger - (iNow-p->iOldest);
}

static int produceOutside(prill_producer *p, const prill_record *pIn, PrillRecord *pRec, i64 nByte){
  ProducerTopic *t;
  i64 iPart = 0, iNow;
  int rc = SQLITE_OK;
  if( sqlite3_txn_state(p->db, 0)==SQLITE_TXN_WRITE ){
    return prillError(p->pConn, PRILL_TRANSACTION, "a statement of this connection is writing; produce after it, or"
                      " inside BEGIN");
  }
  t = produceTopic(&rc, p, pIn->zTopic);
  if( rc==SQLITE_OK ) rc = produceKnow(p, t);
  if( rc==SQLITE_OK && nByte+PRODUCER_OVERHEAD+PRILL_BATCH_HDR>t->pTopic->cfg.szMessage ){
    rc = produceTooBig(p, t->pTopic, nByte);
  }
  if( rc==SQLITE_OK ) rc = producePlace(p, t, pIn, pRec, &iPart);
  if( rc!=SQLITE_OK ) return rc;
  if( nByte+PRODUCER_OVERHEAD>p->szBuffer ){
    return prillError(p->pConn, SQLITE_TOOBIG, "topic %s: a record of %lld bytes is larger than buffer.memory=%lld;"
                      " open the producer with more", t->zName, nByte, p->szBuffer);
  }
  if( p->nByte+nByte+PRODUCER_OVERHEAD>p->szBuffer ){
    rc = p->bBusy ? SQLITE_BUSY : produceFlush(p, p->msBlock);
    if( p->rcDead ) return rc;
    if( p->nByte+nByte+PRODUCER_OVERHEAD>p->szBuffer ){
      char *zWhy = p->pConn->zErr;
      p->pConn->zErr = 0;
      prillError(p->pConn, PRILL_BUFFER_FULL, "the buffer holds %lld of buffer.memory=%lld bytes and could not be"
                 " written (%s); call again later, or open the producer with more", p->nByte, p->szBuffer,
                 zWhy ? zWhy : sqlite3_errstr(rc));
      sqlite3_free(zWhy);
      return PRILL_BUFFER_FULL;
    }
    if( t->pTopic==0 || iPart>=t->nQueue ) return produceNoTopic(p, t->zName);
  }
  iNow = prillNow(p->pStore->pVfs);
  if( p->nRecord==0 ) p->iOldest = iNow;
  rc = produceQueue(p, t, (int)iPart, pRec, nByte);
  if( rc==SQLITE_OK && !p->bBusy && produceDue(p, iNow)==0 ){
    (void)produceFlush(p, 0);                     /* poll and flush tell */
  }
  return rc;
}

int prill_producer_produce(prill_producer *p, const prill_record *pRecord, sqlite3_int64 *piOffset){
  PrillRecord rec;
  i64 nByte;
  int rc = produceBegin(p);
  if( piOffset ) *piOffset = -1;
  if( rc!=SQLITE_OK ) return rc;
  rc = produceRecord(p, pRecord, &rec, &nByte);
  if( rc==SQLITE_OK ){
    rc = sqlite3_get_autocommit(p->db) ? produceOutside(p, pRecord, &rec, nByte)
                                       : produceInside(p, pRecord, &rec, nByte, piOffset);
  }
  return produceResult(p, rc);
}

int prill_producer_poll(prill_producer *p, int *pmsNext){
  i64 ms = -1;
  int rc = produceBegin(p);
  if( pmsNext ) *pmsNext = -1;
  if( rc!=SQLITE_OK ) return rc;
  if( p->nRecord>0 && !p->bBusy ){
    if( produceDue(p, prillNow(p->pStore->pVfs))==0 ) rc = produceFlush(p, 0);
    if( rc==PRILL_TRANSACTION || (rc&0xff)==SQLITE_BUSY ) rc = SQLITE_OK;
    if( p->nRecord>0 ) ms = produceDue(p, prillNow(p->pStore->pVfs));
  }
  if( pmsNext ) *pmsNext = (int)PRILL_MIN(ms, 0x7fffffff);
  return produceResult(p, rc);
}

int prill_producer_flush(prill_producer *p){
  int rc = produceBegin(p);
  if( rc!=SQLITE_OK ) return rc;
  if( p->bBusy ) return produceResult(p, SQLITE_MISUSE);
  return produceResult(p, produceFlush(p, p->msBlock));
}

int prill_producer_buffered(prill_producer *p){
  return p->nRecord;
}

void prill_producer_identity(prill_producer *p, sqlite3_int64 *piProducer, int *piEpoch){
  if( piProducer ) *piProducer = p->iProducer;
  if( piEpoch ) *piEpoch = p->iEpoch;
}

const char *prill_producer_errmsg(prill_producer *p){
  return p==0 ? sqlite3_errstr(SQLITE_NOMEM) : p->zErr ? p->zErr : sqlite3_errstr(p->rc);
}

/**************************************************************************
** Opening and closing.
*/
static int produceFail(prill_producer *p, const char *zFmt, ...){
  va_list ap;
  va_start(ap, zFmt);
  sqlite3_free(p->zErr);
  p->zErr = sqlite3_vmprintf(zFmt, ap);
  va_end(ap);
  return p->zErr ? SQLITE_ERROR : SQLITE_NOMEM;
}

static int produceBadOption(prill_producer *p, const char *zName, const char *zVal, const char *zWant){
  return produceFail(p, "producer: %s=%s is not allowed; use %s", zName, zVal ? zVal : "NULL", zWant);
}

/* A number from iMin up to 2^31-1. */
static int produceNumber(prill_producer *p, const char *zName, const char *zVal, i64 iMin, i64 *piOut){
  char zWant[64];
  i64 v = 0;
  const char *z;
  for(z=zVal; *z>='0' && *z<='9' && v<=0x7fffffff; z++) v = v*10 + (*z-'0');
  if( z>zVal && *z==0 && v>=iMin && v<=0x7fffffff ){
    *piOut = v;
    return SQLITE_OK;
  }
  sqlite3_snprintf(sizeof(zWant), zWant, "a whole number from %lld to 2147483647", iMin);
  return produceBadOption(p, zName, zVal, zWant);
}

static int produceOption(prill_producer *p, const char *zName, const char *zVal, int *pbIdem){
  if( zVal==0 ) return produceBadOption(p, zName, zVal, "a text");
  if( prillOptionIs(zName, "batch.size") ) return produceNumber(p, zName, zVal, 1, &p->szBatch);
  if( prillOptionIs(zName, "linger.ms") ) return produceNumber(p, zName, zVal, 0, &p->msLinger);
  if( prillOptionIs(zName, "buffer.memory") ) return produceNumber(p, zName, zVal, 1, &p->szBuffer);
  if( prillOptionIs(zName, "max.block.ms") ) return produceNumber(p, zName, zVal, 0, &p->msBlock);
  if( prillOptionIs(zName, "max.request.size") ) return produceNumber(p, zName, zVal, 1, &p->szRequest);
  if( prillOptionIs(zName, "enable.idempotence") ){
    *pbIdem = sqlite3_stricmp(zVal, "true")==0;
    return *pbIdem || sqlite3_stricmp(zVal, "false")==0 ? SQLITE_OK : produceBadOption(p, zName, zVal, "true or false");
  }
  if( prillOptionIs(zName, "producer.name") ){
    i64 n = (i64)strlen(zVal);
    if( n<1 || n>255 || !prillUtf8((const u8*)zVal, n) ){
      return produceBadOption(p, zName, zVal, "1 to 255 bytes of UTF-8");
    }
    sqlite3_free(p->zName);
    p->zName = sqlite3_mprintf("%s", zVal);
    return p->zName ? SQLITE_OK : SQLITE_NOMEM;
  }
  return produceFail(p, "producer: unknown option %s; the options are batch.size, linger.ms, buffer.memory,"
                     " max.block.ms, max.request.size, enable.idempotence, producer.name", zName);
}

static int produceOptions(prill_producer *p, const char *const *az){
  int bIdem = -1;
  int rc = SQLITE_OK;
  p->szBatch = 16384;
  p->msLinger = 5;
  p->szBuffer = 32*1024*1024;
  p->msBlock = 60000;
  p->szRequest = 1024*1024;
  for(; rc==SQLITE_OK && az && az[0]; az+=2) rc = produceOption(p, az[0], az[1], &bIdem);
  if( rc==SQLITE_OK && bIdem==0 && p->zName ){
    rc = produceBadOption(p, "enable.idempotence", "false", "true with producer.name, or leave it out");
  }
  p->bIdempotent = (u8)(bIdem==1 || p->zName!=0);
  return rc;
}

/* Get the producer's identity, in a transaction of ours: one of the caller's
** may be rolled back, and its id then be given to another. */
static int produceIdentify(prill_producer *p){
  ProducerWait w = produceWait(p, p->msBlock);
  i64 iProducer = -1;
  int iEpoch = -1;
  int rc;
  if( !sqlite3_get_autocommit(p->db) || sqlite3_txn_state(p->db, 0)==SQLITE_TXN_WRITE ){
    return prillError(p->pConn, PRILL_TRANSACTION, "an idempotent producer is opened outside transactions and writing"
                      " statements; open it before BEGIN");
  }
  do{
    rc = produceExec(p, PRODUCER_BEGIN);
    if( rc!=SQLITE_OK ) break;
    rc = produceJoin(p);
    if( rc==SQLITE_OK ) rc = prillProducerInit(p->pStore, p->zName, &iProducer, &iEpoch);
    if( rc==SQLITE_OK ) rc = produceExec(p, PRODUCER_COMMIT);
    if( rc!=SQLITE_OK ) produceUndo(p);
  }while( produceAgain(p, rc, &w) );
  if( rc==SQLITE_OK ){
    p->iProducer = iProducer;
    p->iEpoch = iEpoch;
  }
  return rc;
}

int prill_producer_open(
  sqlite3 *db, const char *zSchema, const char *const *azOption, void (*xDelivered)(void*, const prill_delivery*),
  void *pArg, prill_producer **pp
){
  PrillConn *pConn = 0;
  prill_producer *p = (prill_producer*)sqlite3_malloc64(sizeof(*p));
  int rc;
  *pp = p;
  if( p==0 ) return SQLITE_NOMEM;
  memset(p, 0, sizeof(*p));
  p->db = db;
  p->xDelivered = xDelivered;
  p->pArg = pArg;
  p->iProducer = p->iEpoch = -1;
  p->iTxn = -1;
  rc = produceOptions(p, azOption);
  if( rc!=SQLITE_OK ) return produceResult(p, rc);
  rc = prillConnOf(db, &pConn);
  if( rc!=SQLITE_OK ){
    if( rc!=SQLITE_NOMEM ){
      (void)produceFail(p, "prill is not registered with this connection: %s; call prill_init() first",
                        sqlite3_errmsg(db));
    }
    return produceResult(p, rc);
  }
  p->pConn = (PrillConn*)prillConnRef(pConn);
  sqlite3_free(pConn->zErr);
  pConn->zErr = 0;
  rc = prillStoreGet(pConn, zSchema, &p->pStore);
  if( rc==SQLITE_OK && p->bIdempotent ){
    rc = produceIdentify(p);
    if( rc!=SQLITE_OK ) p->rcDead = rc;
  }
  return produceResult(p, rc);
}

int prill_producer_close(prill_producer *p){
  int rc = SQLITE_OK;
  int i;
  if( p==0 ) return rc;
  if( p->pConn && p->pStore ){
    if( p->nRecord>0 ) rc = produceBegin(p);
    if( rc==SQLITE_OK ) rc = produceFlush(p, p->msBlock);
    p->rcDead = SQLITE_MISUSE;                     /* for xDelivered */
    if( p->nRecord>0 ) (void)produceDeliver(p, rc ? rc : SQLITE_ABORT);
  }
  while( p->pTopics ){
    ProducerTopic *t = p->pTopics;
    p->pTopics = t->pNext;
    produceFreeTopic(t);
  }
  for(i=0; i<PRODUCER_N; i++) sqlite3_finalize(p->aStmt[i]);
  prillBufFree(&p->hdr);
  prillStorePut(p->pStore);
  if( p->pConn ) prillConnUnref(p->pConn);
  sqlite3_free(p->zName);
  sqlite3_free(p->zErr);
  sqlite3_free(p);
  return rc;
}
