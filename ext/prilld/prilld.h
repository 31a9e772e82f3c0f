/*
** prilld.h: what the daemon's files share.
**
** Two threads, and a pool.  The LOOP (loop.c, conn.c, and everything called from there:
** dispatch, the API handlers, the view) owns all but the writer.  The STORE
** THREAD (store_thread.c) owns the writing connection; work goes to it as jobs
** and comes back as jobs done.  A job's heavy part goes to a thread of the POOL
** first.  Nothing else is shared.
**
** Only loop.c, conn.c, http.c, store_thread.c and main.c know libuv.  The rest does
** no I/O of its own: it is given requests, the time and jobs done, and gives
** answers, timers and jobs.
**
** LIFE OF A REQUEST: conn.c cuts it from the stream -> dispatch.c decodes it
** and calls its API's handler -> the handler fills the response and calls
** prilldReqReply at once, or keeps the request: in a job, on a timer, on the
** list of those that wait for records -> conn.c sends the answers of a
** connection in the order its requests came.
**
**   I1  A request is answered exactly once, or its connection is closed.
**   I2  A request may outlive its connection (pConn NULL) only while a job has
**       it; whatever else keeps it lets go in xGone.  One that no job has is
**       freed when the loop comes round (pDead), so that a handler may go on
**       after the call that closed the connection.
**   I3  Memory that a response refers to is its request's (arena, frame).
*/
#ifndef PRILLD_H
#define PRILLD_H

#include "wire.h"
#include "kerror.h"

typedef struct Prilld Prilld;
typedef struct PrilldConf PrilldConf;
typedef struct PrilldConn PrilldConn;
typedef struct PrilldReq PrilldReq;
typedef struct PrilldJob PrilldJob;
typedef struct PrilldWriter PrilldWriter;
typedef struct PrilldTimer PrilldTimer;
typedef struct PrilldView PrilldView;
typedef struct PrilldGroup PrilldGroup;

/**************************************************************************
** conf.c: settings, by Kafka's names.
*/
#define PRILLD_MX_LISTEN 16
typedef struct PrilldAddr PrilldAddr;
struct PrilldAddr { char zHost[256]; int iPort; };

struct PrilldConf {
  char *zDb;
  int argc;                 /* the command line it was made of */
  char **argv;
  u8 bListenArg, bAdvertiseArg;   /* set on the command line */
  PrilldAddr aListen[PRILLD_MX_LISTEN];
  PrilldAddr aAdvertise[PRILLD_MX_LISTEN];   /* zHost "" : as it listens */
  PrilldAddr aMetrics[PRILLD_MX_LISTEN];     /* --metrics: the first is served */
  int nListen, nAdvertise, nMetrics;
  int bInsecurePublic;
  int eLog;                 /* PRILLD_LOG_*: least level printed */
  int bLogJson;
  i64 iNode;                /* node.id */
  i64 nPartitions;          /* num.partitions */
  i64 bAutoCreate;          /* auto.create.topics.enable */
  i64 bDeleteTopic;         /* delete.topic.enable */
  i64 szRequest;            /* socket.request.max.bytes */
  i64 szHeld;               /* queued.max.request.bytes: of all connections */
  i64 szConn;               /* queued.max.request.bytes.per.connection */
  i64 nFlight;              /* max.in.flight.requests.per.connection */
  i64 nConn;                /* max.connections */
  i64 nConnAddr;            /* max.connections.per.ip */
  i64 msIdle;               /* connections.max.idle.ms */
  i64 szFetch;              /* fetch.max.bytes */
  i64 szSendBuf, szRecvBuf; /* socket.send/receive.buffer.bytes, -1: the system's */
  i64 msRebalanceDelay;     /* group.initial.rebalance.delay.ms */
  i64 msMinSession, msMaxSession, nMaxGroup;
  i64 szMetadata;           /* offset.metadata.max.bytes */
  i64 msUpkeep;             /* log.retention.check.interval.ms */
  i64 aQuota[2];            /* quota.producer/consumer.default: bytes a second */
  i64 nQuotaWindow;         /* quota.window.num */
  i64 sQuotaWindow;         /* quota.window.size.seconds */
};
void prilldConfDefault(PrilldConf*);
void prilldConfFree(PrilldConf*);
/* Set one by name; SQLITE_ERROR with *pzErr (sqlite3_mprintf) says what is
** allowed. */
int prilldConfSet(PrilldConf*, const char *zName, const char *zVal, char **pzErr);
/* The setting at position i: name, value as text into zVal[24], whether it is
** the default.  NULL past the last. */
const char *prilldConfName(const PrilldConf*, int i, char *zVal, int *pbDefault);
/* HOST:PORT, [V6]:PORT or PLAINTEXT://HOST:PORT. */
int prilldConfAddr(const char *z, PrilldAddr*, char **pzErr);
/* Command line: PRILLD_ARGS_RUN, or the exit code to end with, its message printed. */
#define PRILLD_ARGS_RUN (-1)
int prilldConfArgs(PrilldConf*, int argc, char **argv);
/* Read the command line and its file again.  What can change does; where
** anything is wrong, nothing. */
void prilldConfReload(PrilldConf*);

/**************************************************************************
** log.c
*/
enum { PRILLD_LOG_DEBUG, PRILLD_LOG_INFO, PRILLD_LOG_WARN, PRILLD_LOG_ERROR };
void prilldLogInit(int eLevel, int bJson);
void prilldLog(int eLevel, const char *zFmt, ...);       /* sqlite3_mprintf's formats */
/* INFO of something a client brings about at will: so many lines a second, no more. */
void prilldLogPeer(const char *zFmt, ...);

/**************************************************************************
** timer.c: a heap of due times.  A timer is part of what it belongs to.
*/
struct PrilldTimer {
  i64 iDue;
  int iHeap;                /* place in the heap plus 1; 0: not armed */
  void (*xDue)(PrilldTimer*);
};
typedef struct PrilldTimers PrilldTimers;
struct PrilldTimers { PrilldTimer **ap; int n, nAlloc; };
int prilldTimerSet(PrilldTimers*, PrilldTimer*, i64 iDue);   /* SQLITE_OK or NOMEM (then not armed) */
void prilldTimerStop(PrilldTimers*, PrilldTimer*);
i64 prilldTimerNext(const PrilldTimers*);                    /* PRILL_I64MAX: none */
void prilldTimerRun(PrilldTimers*, i64 now);                 /* call what is due */
void prilldTimersFree(PrilldTimers*);

/**************************************************************************
** view.c: the loop's reading connection: the store as of its last commit
** seen.  Begin makes it current where something was committed since, and holds
** its snapshot until End.
*/
struct PrilldView {
  sqlite3 *db;
  PrillConn *pConn;
  PrillStore *pStore;
  int nHold;
  u8 bStale;                /* something was committed since the last Begin */
  char zCluster[23];        /* the store's id, as Kafka prints ids */
  /* topics by name and by id, of catalog iCatalog */
  PrillTopic **apName, **apUuid;
  int nHash;
  i64 iCatalog;
};
int prilldViewOpen(PrilldView*, const char *zDb);
int prilldViewConnect(PrilldView*, const char *zDb);    /* the same, but nothing is read */
void prilldViewClose(PrilldView*);
int prilldViewBegin(PrilldView*);
void prilldViewEnd(PrilldView*);
/* Between Begin and End; or at any time as last seen, for its settings.  NULL: there
** is none. */
PrillTopic *prilldViewTopic(PrilldView*, const char *z, i64 n);
PrillTopic *prilldViewUuid(PrilldView*, const u8 *aUuid);
PrillPart *prilldViewPart(PrilldView*, const char *z, i64 n, i64 iPart);
void prilldUuidText(const u8 *a, char zOut[23]);

/**************************************************************************
** store_thread.c: jobs.
**
** Prepare runs outside any transaction, of its request's bytes alone (checksums,
** compression): on the store thread, or with bHeavy in the pool, so that it delays
** nobody else; the job waits its turn only after that, and its connection takes up
** no other request meanwhile (bPreparing).  Run in the transaction that all waiting jobs
** share; done on the loop once that has committed, or failed: then rc is not
** SQLITE_OK and zErr may say why.  Where xRun fails and bSavepoint is set, what it
** did is taken back and the others go on.
*/
struct PrilldJob {
  PrilldJob *pNext;
  void (*xPrepare)(PrilldJob*);
  int (*xRun)(PrilldJob*, PrilldWriter*);
  void (*xDone)(PrilldJob*);
  PrilldReq *pReq;
  void *pArg;
  i64 nByte;                /* what it brings, for the bound of one turn */
  u8 bSavepoint;
  u8 bHeavy;
  int rc;
  char *zErr;               /* freed after xDone */
};
/* metrics.c: a histogram of microseconds. */
#define PRILLD_NBUCKET 17
typedef struct PrilldHist PrilldHist;
struct PrilldHist { i64 an[PRILLD_NBUCKET]; i64 n, us; };
void prilldHistAdd(PrilldHist*, i64 us);

typedef struct PrilldWriterStat PrilldWriterStat;
struct PrilldWriterStat {
  PrilldHist commit;        /* transactions, from the lock to the end of COMMIT */
  i64 nFail;                /* of these, failed */
  i64 nJob, nWaited;        /* jobs; turns that waited over a second */
  i64 usWait;               /* waited for the lock, in all */
  i64 nUpkeep, nUpkeepFail; /* steps of upkeep */
};
struct PrilldWriter {
  sqlite3 *db;
  PrillConn *pConn;
  PrillStore *pStore;
  PrilldWriterStat stat;
};
void prilldStoreStat(Prilld*, PrilldWriterStat*);         /* as of the last turn */
void prilldSubmit(Prilld*, PrilldJob*);

/* lock.c: the lock of the store whose log directory is zDir, for as long as
** *pFd is open.  SQLITE_ERROR with *pzErr (sqlite3_mprintf): who has it, or what is wrong. */
int prilldLockTake(const char *zDir, int *pFd, char **pzErr);
void prilldLockFree(int *pFd);                /* -1 is harmless */

/* notify.c: "READY=1" and such, to systemd. */
void prilldNotify(const char*);

/**************************************************************************
** metrics.c
*/
#define PRILLD_NERROR 130
typedef struct PrilldMetrics PrilldMetrics;
int prilldMetricsInit(Prilld*);
void prilldMetricsFree(Prilld*);
void prilldMetricsRequest(PrilldReq*, i64 us);     /* answered, so long after it came */
void prilldMetricsAnswer(PrilldReq*);              /* count the errors in pOut */
int prilldMetricsPage(Prilld*, PrillBuf*);         /* the page, appended */

/**************************************************************************
** quota.c
*/
enum { PRILLD_PRODUCE, PRILLD_CONSUME, PRILLD_QUOTA_N };
typedef struct PrilldQuotas PrilldQuotas;
typedef struct PrilldQuota PrilldQuota;
struct PrilldQuota {
  char *zClient;            /* NULL: of all that have none of their own */
  double aRate[PRILLD_QUOTA_N];   /* bytes a second; 0: none */
};
const PrilldQuota *prilldQuotaAt(const Prilld*, int i);          /* NULL: no more */
const PrilldQuota *prilldQuotaGet(const Prilld*, const char *zClient);
int prilldQuotaSet(Prilld*, const char *zClient, const double *aRate);   /* all 0: drop it */
/* A client used n bytes: for how many ms it must be left waiting. */
i64 prilldQuotaUse(Prilld*, WireStr client, int eWhat, i64 n);
/* What it can use in all windows together. */
i64 prilldQuotaRoom(const Prilld*, WireStr client, int eWhat);
void prilldQuotasFree(Prilld*);
/* The store's: read them all; write or drop one, in a write transaction. */
int prilldQuotaLoad(Prilld*, PrilldWriter*);
int prilldQuotaStore(PrilldWriter*, const char *zClient, const double *aRate);

/**************************************************************************
** Requests.
*/
struct PrilldReq {
  Prilld *pD;
  PrilldConn *pConn;        /* NULL: closed */
  PrilldReq *pNext;         /* of its connection */
  PrilldReq *pWaitNext, **ppWaitPrev;   /* in Prilld.pWait */
  WireHeader h;
  PrillBuf frame;           /* the request's bytes, its length before them */
  i64 nByte;                /* of these, without the length */
  WireArena arena;
  void *pIn;                /* WireXxxReq */
  void *pOut;               /* WireXxxResp, with defaults */
  WireOut out;
  u8 aHead[9];              /* length, correlation id, tags: before out */
  int nHead;
  u8 bParked;               /* a group has it until a rebalance is over */
  u8 bDone, bNoReply;
  u8 bPreparing;            /* its job is in the pool */
  i32 nLook;                /* partitions to look at while it waits, */
  i64 iLook;                /* and the round in which it last was */
  u8 bWaiting;              /* on the list Prilld.pWait */
  u8 bDead;                 /* its connection has closed: on the list Prilld.pDead */
  int nPending;             /* jobs that have it */
  PrilldTimer timer;
  void *pState;             /* the handler's own, in the arena */
  PrillBuf data;            /* bytes that out refers to */
  void (*xGone)(PrilldReq*);    /* the connection has closed: let go; then it is freed */
  u64 iStart;               /* ns, when it came */
  i64 nHeld;                /* bytes of memory, as counted */
  i64 msThrottle;           /* its client is to wait, once it is answered */
};
/* Encode pOut and have it sent.  The request is conn.c's afterwards. */
void prilldReqReply(PrilldReq*);
/* No answer can be given: close the connection. */
void prilldReqClose(PrilldReq*);
/* The same, when acks=0: nothing is sent, the next may be read. */
void prilldReqSilent(PrilldReq*);
/* Memory of the request, zeroed.  NULL: the connection is closed already. */
void *prilldReqAlloc(PrilldReq*, i64 n);
void prilldReqFree(PrilldReq*);
void prilldReqFreeDead(Prilld*);
/* The request waits for records: it is on the list, xDue is called at iDue. */
void prilldReqWait(PrilldReq*, i64 iDue, void (*xDue)(PrilldTimer*));
void prilldReqWake(PrilldReq*);               /* off the list again */
WireStr prilldStr(const char *z);             /* z may be NULL */
/* A response's string, printed into the arena. */
WireStr prilldReqPrint(PrilldReq*, const char *zFmt, ...);
int prilldStrIs(WireStr, const char *z);

/* dispatch.c */
void prilldDispatch(PrilldReq*);
void prilldApiVersions(PrilldReq*);
/* Something was committed: answer the requests that wait for it. */
void prilldCommitted(Prilld*);

/* conn.c, called by the above */
void prilldConnReplied(PrilldReq*);
void prilldConnPrepared(PrilldReq*);          /* no more bPreparing */
void prilldConnClose(PrilldConn*);
void prilldConnHold(PrilldReq*, i64 n);       /* the request holds n bytes of memory now */
/* Bytes that may be made an answer of without harm to others. */
i64 prilldConnRoom(const PrilldReq*);
const PrilldAddr *prilldConnAddr(const PrilldConn*);     /* what its listener advertises */
const char *prilldConnPeer(const PrilldConn*);           /* the client's address, text */

/* What a client may do, bits by Kafka's AclOperation, when it asked; nobody is
** kept from anything. */
#define PRILLD_OPS_NONE    ((i32)-2147483647-1)     /* not asked */
#define PRILLD_OPS_TOPIC   3576    /* read write create delete alter describe describeconfigs alterconfigs */
#define PRILLD_OPS_CLUSTER 8096    /* create alter describe clusteraction describe- and alterconfigs idempotentwrite */
#define PRILLD_OPS_GROUP   328     /* read delete describe */

/* Handlers. */
void prilldApiMetadata(PrilldReq*);            /* api_meta.c */
void prilldApiFindCoordinator(PrilldReq*);
void prilldApiDescribeLogDirs(PrilldReq*);
void prilldApiDescribeCluster(PrilldReq*);
void prilldApiProduce(PrilldReq*);             /* api_produce.c */
void prilldApiInitProducerId(PrilldReq*);
void prilldApiFetch(PrilldReq*);               /* api_fetch.c */
void prilldFetchRetry(PrilldReq*);
void prilldApiJoinGroup(PrilldReq*);           /* api_group.c */
void prilldApiSyncGroup(PrilldReq*);
void prilldApiHeartbeat(PrilldReq*);
void prilldApiLeaveGroup(PrilldReq*);
void prilldApiOffsetCommit(PrilldReq*);        /* api_commit.c */
void prilldApiOffsetFetch(PrilldReq*);
void prilldApiListOffsets(PrilldReq*);         /* api_offset.c */
void prilldApiLeaderEpoch(PrilldReq*);
void prilldApiCreateTopics(PrilldReq*);         /* api_topic.c */
void prilldApiDeleteTopics(PrilldReq*);
void prilldApiCreatePartitions(PrilldReq*);
void prilldApiDeleteRecords(PrilldReq*);
void prilldApiDescribeConfigs(PrilldReq*);      /* api_config.c */
void prilldApiAlterConfigs(PrilldReq*);
void prilldApiIncrementalAlterConfigs(PrilldReq*);
void prilldApiDescribeClientQuotas(PrilldReq*); /* api_quota.c */
void prilldApiAlterClientQuotas(PrilldReq*);
void prilldApiListGroups(PrilldReq*);           /* api_groups.c */
void prilldApiDescribeGroups(PrilldReq*);
void prilldApiDeleteGroups(PrilldReq*);
void prilldApiOffsetDelete(PrilldReq*);

/**************************************************************************
** leader.c: is this node the partition's leader, and of which epoch?
**
** One node leads all.  iClaim is the epoch a client believes in, -1: any.
** PRILLD_OK, FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH.
*/
i16 prilldLeaderCheck(const PrillPart*, i32 iClaim);
/* At every start: raise all leader epochs, so that what a former life handed
** out is known to be older.  In a write transaction. */
int prilldLeaderStart(PrilldWriter*);
/* The end of the records of epochs up to iEpoch: Kafka's answer to
** OffsetForLeaderEpoch; *piEpoch is the last of these that the log has records
** of.  -1 and -1: it is an epoch to come.  What is known is what the log's
** batches say. */
int prilldLeaderEpochEnd(PrillPart*, i32 iEpoch, i32 *piEpoch, i64 *piEnd);

/**************************************************************************
** The loop's world.
*/
typedef struct PrilldStat PrilldStat;
struct PrilldStat {
  i64 nConn, nConnAll, nConnRefused, nConnEvicted, nReq, nReqError, nByteIn, nByteOut, nFetchWait, nProduceByte;
  i64 nRecord, nThrottled, nRebalance;
};
struct Prilld {
  PrilldConf conf;
  PrilldView view;
  PrilldTimers timers;
  PrilldReq *pWait;         /* requests that wait for records */
  PrilldReq *pDead;         /* requests to be freed, linked by pNext */
  i64 now;                  /* ms, monotonic; set before anything is called */
  i64 nHeld;                /* bytes that connections and requests hold */
  i64 nGroupByte;           /* bytes that groups keep */
  i64 mxConn;               /* connections there are files for */
  PrilldQuotas *pQuotas;    /* quota.c's */
  PrilldMetrics *pMetrics;  /* metrics.c's */
  PrilldStat stat;
  /* coordinator.c's: all groups in memory, and buckets of them by the hash of their names. */
  PrilldGroup *pGroups, **apGroup;
  int nGroup, nBucket;
  u8 aGroupKey[16];
  void *pLoop;              /* loop.c's */
  void *pStoreThread;       /* store_thread.c's */
  /* Rounds over the requests that wait for many partitions (dispatch.c). */
  PrilldTimer look;
  i64 iLookRound, iLookNext;
  u8 bLookRound, bLookNew;
  u8 bStopping;
};

#endif
