/*
** prillGroup.h: layer 4, the rules of consumer groups.
**
** Pure state machines: no I/O, no SQL, no clock, no randomness of their own.
** Time and random bytes come in with each event; what is to be stored and
** whom to answer goes out as a list of actions.  Two drivers use them: the
** consumer module (members are SQL tables, one group's rows are loaded,
** changed and stored inside one transaction) and prilld (members are Kafka
** clients, the group stays in memory).  One machine serves both; they differ
** in one thing, PrillGroup.eKind:
**
**   PRILL_KIND_KAFKA  Kafka's classic protocol.  A rebalance is a barrier:
**     every member joins again, the leader's client assigns, all sync.
**   PRILL_KIND_SQL    No barrier.  Whatever changes the membership runs the
**     assignor at once and gives every member a target.  A member owns
**     partitions; it lets go of what its target lacks, and takes what its
**     target has and nobody owns, when it polls.
**
** Included by the files of layer 4 and their drivers.
*/
#ifndef PRILLGROUP_H
#define PRILLGROUP_H

#include "prillInt.h"

/**************************************************************************
** Topics and partitions.
**
** A PrillTopics numbers topic names from 0 in the order they were added; a
** PrillTp is a partition by that number.  nPart is 0 for a topic that does
** not exist.  Zero-initialise, add, free.
*/
typedef struct PrillTopicN PrillTopicN;
struct PrillTopicN {
  char *zTopic;            /* sqlite3_malloc64 memory of the PrillTopics */
  i32 nPart;               /* partitions, 0: no such topic */
};
typedef struct PrillTopics PrillTopics;
struct PrillTopics {
  PrillTopicN *a;
  int n, nAlloc;
  int *aHash;              /* numbers by hash of the name, -1: free */
  int nHash;               /* a power of two, or 0 */
};
void prillTopicsFree(PrillTopics*);
/* The number of a topic, or -1 when it was never added. */
int prillTopicsFind(const PrillTopics*, const char *zTopic, i64 nTopic);
/* The same, adding it with nPart=0 when new; -1 with *pRc set.  nTopic<0:
** zTopic ends with a NUL. */
int prillTopicsAdd(int *pRc, PrillTopics*, const char *zTopic, i64 nTopic);

typedef struct PrillTp PrillTp;
struct PrillTp { i32 iTopic, iPart; };
/* A list of partitions; a[] is sqlite3_malloc64 memory of the owner. */
typedef struct PrillTps PrillTps;
struct PrillTps { PrillTp *a; int n, nAlloc; };
void prillTpsFree(PrillTps*);
void prillTpsAdd(int *pRc, PrillTps*, i32 iTopic, i32 iPart);
/* Sort by (iTopic, iPart) and drop doubles. */
void prillTpsSort(PrillTps*);
/* Index of a partition in a sorted list, or -1. */
int prillTpsFind(const PrillTps*, i32 iTopic, i32 iPart);

/**************************************************************************
** subscription.c: the bytes Kafka's clients exchange through the coordinator
** (ConsumerProtocol: subscription v0-v3, assignment v0-v3) and the user data
** of the sticky assignors.  Bounds-checked; memory is bounded by the input.
** A higher version is read as v3 and its tail ignored, as Kafka does.
*/
typedef struct PrillSubscription PrillSubscription;
struct PrillSubscription {
  i32 iVersion;            /* as written in the bytes */
  i32 *aTopic; int nTopic; /* subscribed, numbers of the PrillTopics */
  PrillTps owned;          /* v1+: owned partitions, in the order given */
  i32 iGeneration;         /* v2+: -1 none */
  const u8 *pUser; i32 nUser;    /* user data, in the caller's bytes; nUser -1: null */
  const u8 *pRack; i32 nRack;    /* v3+: the same for the rack */
};
/* SQLITE_OK, SQLITE_CORRUPT_VTAB (malformed), SQLITE_NOMEM.  Names are added
** to the PrillTopics.  On failure nothing in *p is to be freed. */
int prillSubscriptionDecode(const u8*, i64 n, PrillTopics*, PrillSubscription *p);
void prillSubscriptionFree(PrillSubscription*);
/* Append version iVersion (0..3).  Topics are written sorted, as Kafka does. */
void prillSubscriptionEncode(int *pRc, PrillBuf*, const PrillTopics*, const PrillSubscription*, i32 iVersion);
/* What the assignor takes for owned partitions and generation: range and
** roundrobin nothing, sticky its user data (v1, v0, else nothing),
** cooperative-sticky the fields, or v0-v1 the generation of its user data. */
int prillSubscriptionOwned(int eAssignor, const PrillSubscription*, PrillTopics*, PrillTps *pOwned, i32 *piGeneration);
/* Sticky's user data (v1: partitions and generation); for cooperative-sticky
** the generation alone. */
void prillStickyEncode(int *pRc, PrillBuf*, int eAssignor, const PrillTopics*, const PrillTps*, i32 iGeneration);

/* An assignment; no bytes at all is an empty one.  The partitions are appended
** to *pOut as they come; *ppUser may be NULL. */
int prillAssignmentDecode(const u8*, i64 n, PrillTopics*, PrillTps *pOut, const u8 **ppUser, i32 *pnUser);
void prillAssignmentEncode(int *pRc, PrillBuf*, const PrillTopics*, const PrillTps*, i32 iVersion);

/**************************************************************************
** assign.c: the assignors, with the results of kafka-clients 3.9 without
** racks.  Where there the order of a Java hash map decides, here members go
** in the order of their ids and topics in that of their names.
*/
enum { PRILL_BY_RANGE = 0, PRILL_BY_ROUNDROBIN, PRILL_BY_STICKY, PRILL_BY_COOPERATIVE };
const char *prillAssignorName(int eAssignor);     /* "range", ..., "cooperative-sticky" */
int prillAssignorFind(const char *zName);         /* or -1 */

typedef struct PrillAssignee PrillAssignee;
struct PrillAssignee {
  const char *zMember;         /* unique among the members */
  const char *zInstance;       /* group.instance.id, or NULL */
  const i32 *aTopic; int nTopic;     /* subscribed topics, existing or not */
  const PrillTp *aOwned; int nOwned; /* owned before; sticky and cooperative only */
  i32 iGeneration;             /* of aOwned; -1 none */
  PrillTps out;                /* result, sorted: the caller frees it */
};
/* Assign every partition of every subscribed topic.  out.a is replaced, not
** freed, so zero it before.  For PRILL_BY_COOPERATIVE, partitions that change
** hands while their owner works on them are in nobody's list: the next round
** gives them.  SQLITE_OK or SQLITE_NOMEM (all lists empty). */
int prillAssign(int eAssignor, const PrillTopics*, PrillAssignee*, int nMember);
/* Append, in words, what no list aOwner[0..nOwner) has: topics that do not
** exist, partitions without an owner ("orders 3-5, 7: no owner").  All topics
** of the PrillTopics are looked at.  Nothing is appended when all is well. */
void prillAssignProblem(int *pRc, const PrillTopics*, const PrillTps *const*apOwner, int nOwner, PrillBuf*);

/**************************************************************************
** group.c: a group, its members, their rows; barrier.c: Kafka's classic
** protocol; target.c: the groups of SQL.
**
** Errors are Kafka's numbers, in PrillGroup.iErr and in answers.
*/
enum {
  PRILL_KE_NONE = 0,
  PRILL_KE_COORDINATOR_NOT_AVAILABLE = 15,
  PRILL_KE_ILLEGAL_GENERATION = 22,
  PRILL_KE_INCONSISTENT_GROUP_PROTOCOL = 23,
  PRILL_KE_INVALID_GROUP_ID = 24,
  PRILL_KE_UNKNOWN_MEMBER_ID = 25,
  PRILL_KE_INVALID_SESSION_TIMEOUT = 26,
  PRILL_KE_REBALANCE_IN_PROGRESS = 27,
  PRILL_KE_NON_EMPTY_GROUP = 68,
  PRILL_KE_GROUP_ID_NOT_FOUND = 69,
  PRILL_KE_MEMBER_ID_REQUIRED = 79,
  PRILL_KE_GROUP_MAX_SIZE_REACHED = 81,
  PRILL_KE_FENCED_INSTANCE_ID = 82,
  PRILL_KE_LATER = -2          /* iErr only: an action of a later event answers */
};

enum { PRILL_KIND_SQL = 1, PRILL_KIND_KAFKA = 2, PRILL_KIND_QUEUE = 3 };

/* States.  In a group of kind SQL: Preparing while a member still holds what
** another is to have, Completing while all have let go and some have not come
** for theirs, Stable when everybody has what it should. */
enum { PRILL_GROUP_EMPTY = 0, PRILL_GROUP_PREPARING, PRILL_GROUP_COMPLETING,
       PRILL_GROUP_STABLE, PRILL_GROUP_DEAD };
const char *prillGroupStateName(int eState);      /* "Empty", "PreparingRebalance", ... */

typedef struct PrillGroupConf PrillGroupConf;
struct PrillGroupConf {
  i32 msInitialDelay;      /* group.initial.rebalance.delay.ms, 3000 */
  i32 msMinSession;        /* group.min.session.timeout.ms, 6000 */
  i32 msMaxSession;        /* group.max.session.timeout.ms, 1800000 */
  i32 msNewMember;         /* a new member's time until its join is answered, 300000 */
  i32 nMaxSize;            /* group.max.size, 0x7fffffff */
};
void prillGroupConfDefault(PrillGroupConf*);

/* One entry of a JoinGroup's protocol list. */
typedef struct PrillProtocol PrillProtocol;
struct PrillProtocol { const char *zName; const u8 *aMeta; i64 nMeta; };
/* One assignment of the leader's SyncGroup. */
typedef struct PrillGrant PrillGrant;
struct PrillGrant { const char *zMember; const u8 *a; i64 n; };

typedef struct PrillMember PrillMember;
struct PrillMember {
  char *zMember;           /* member id */
  char *zInstance;         /* group.instance.id, or NULL */
  char *zClient, *zHost;   /* client id; host, or the process in SQL */
  i32 msSession;           /* session.timeout.ms */
  i32 msRebalance;         /* rebalance timeout: max.poll.interval.ms */
  PrillProtocol *aProto; int nProto;   /* kafka: as it joined; sql: the assignor's name */
  u8 *aAssign; i64 nAssign;            /* kafka: what the leader gave */
  i32 *aTopic; int nTopic; /* sql: subscribed, numbers of PrillGroup.topics */
  PrillTps owned;          /* sql: what it works on, sorted */
  PrillTps target;         /* sql: what it shall have, sorted */
  i32 iEpoch;              /* sql: generation of its last poll, stored when eager */
  i64 iPolled;             /* sql: time of its last poll */
  i64 iDeadline;           /* when it is expired; PRILL_I64MAX never */
  u8 bDead;                /* sql: a static member whose process is gone */
  u8 bPending;             /* kafka: given an id, not joined with it yet (KIP-394) */
  u8 bNew;                 /* kafka: its first join is not answered yet */
  u8 bSynced;              /* kafka: has synced in this generation */
  u8 bAwaited;             /* kafka, of rows: the rebalance waits for it, prillGroupTell() */
  u8 bStored;              /* its row exists */
  u8 bChanged;             /* its row is not as it is; bTouched: only iPolled differs */
  u8 bTouched;
  u64 iJoin, iSync;        /* kafka: requests that wait for an answer, 0 none */
};

/* What to do.  In order: stores before answers; answers are sent only after
** the stores before them are committed. */
enum {
  PRILL_ACT_SAVE_GROUP = 1,  /* write prillGroupSave() to the group's row */
  PRILL_ACT_SAVE_MEMBER,     /* insert or update pMember's row: prillMemberSave(), iPolled */
  PRILL_ACT_TOUCH_MEMBER,    /* only pMember->iPolled changed (may be stored lazily) */
  PRILL_ACT_DROP_MEMBER,     /* delete the row of zMember */
  PRILL_ACT_JOINED,          /* kafka: answer JoinGroup iReq */
  PRILL_ACT_SYNCED           /* kafka: answer SyncGroup iReq */
};
typedef struct PrillGroupAct PrillGroupAct;
struct PrillGroupAct {
  int eAct;
  int iErr;                /* JOINED, SYNCED: 0 or an error */
  u64 iReq;
  const PrillMember *pMember;
  const char *zMember;     /* DROP; JOINED: the member id to answer */
  const char *zLeader;     /* JOINED: the leader's id to answer */
  i32 iGeneration;         /* JOINED */
  u8 bMembers;             /* JOINED: list all members that are not bPending, with the
                           ** metadata of PrillGroup.zProtocol (prillMemberMeta) */
  u8 bSkip;                /* JOINED: SkipAssignment (v9+) */
};

typedef struct PrillGroup PrillGroup;
struct PrillGroup {
  char *zGroup;
  int eKind, eState;
  PrillGroupConf conf;
  i32 iGeneration;         /* 0 before the first */
  char *zProtocolType;     /* kafka: "consumer"; NULL none */
  char *zProtocol;         /* the assignor chosen, or NULL */
  PrillMember *pLeader;    /* kafka: or NULL */
  i64 iEmptySince;         /* when it became Empty; offset retention counts from it */
  i64 iChange;             /* rises whenever a row changes in more than iPolled */
  PrillMember **apMember; int nMember, nMemberAlloc;   /* in order of joining */
  PrillTopics topics;      /* sql: names of aTopic, owned, target */
  i64 iBarrier;            /* kafka: when the join or sync phase ends; PRILL_I64MAX none */
  i32 msDelay;             /* kafka: this step of the initial delay */
  i32 msDelayLeft;         /* kafka: how much longer it may last */
  u8 bInitial;             /* kafka: the rebalance began in Empty */
  u8 eTold;                /* kafka, of rows: PREPARING or COMPLETING, what prillGroupTell() said; else 0 */
  PrillBuf told;           /* and for whom it waits, a NUL after each */
  u8 bJoined;              /* kafka: a new member came during the initial delay */
  u8 bAssign;              /* sql: the assignor is to run */
  u8 bChanged;             /* its row is not as it is */
  u64 iReq;                /* the last event's request */
  int rc;                  /* SQLITE_NOMEM once an event ran out of memory: see below */
  /* Outcome of the last event. */
  int iErr;                /* 0, an error, or PRILL_KE_LATER */
  PrillMember *pMember;    /* the member the event was about, or NULL */
  PrillGroupAct *aAct; int nAct, nActAlloc;
  PrillMember **apGone; int nGone, nGoneAlloc;         /* removed by the last event */
  char **azDrop; int nDrop, nDropAlloc;                /* rows to delete at the next store */
  u8 bDropped;             /* they were named to the driver */
};

/* Events. */
enum {
  PRILL_EV_JOIN = 1,  /* both kinds.  Answer: kafka JOINED, now or later; sql iErr and
                      ** pMember.  With a known zMember: its subscription anew. */
  PRILL_EV_SYNC,      /* kafka.  Answer: SYNCED, now or later */
  PRILL_EV_HEARTBEAT, /* kafka.  Answer: iErr */
  PRILL_EV_LEAVE,     /* iErr.  Also an eviction: zMember of the row */
  PRILL_EV_COMMIT,    /* may this member commit?  iErr.  sql: with bRelease it also lets
                      ** go of what its target lacks; check prillMemberOwns for each
                      ** partition first */
  PRILL_EV_POLL,      /* sql: let go, take.  After this, JOIN and COMMIT pMember->owned is
                      ** what it works on; a refused member works on nothing */
  PRILL_EV_DEAD,      /* sql: the process of zMember is gone */
  PRILL_EV_TOPICS,    /* sql: partition counts in PrillGroup.topics may differ from before */
  PRILL_EV_TIMER,     /* time has passed: due when prillGroupDeadline() is reached */
  PRILL_EV_DELETE     /* DeleteGroups: Dead, or NON_EMPTY_GROUP */
};
typedef struct PrillGroupEvent PrillGroupEvent;
struct PrillGroupEvent {
  int eType;
  u64 iReq;                /* JOIN, SYNC of kafka: any number but 0, given back */
  const char *zMember;     /* member id; NULL or "" none */
  const char *zInstance;   /* group.instance.id, or NULL */
  const char *zClient, *zHost;         /* JOIN */
  i32 iGeneration;         /* SYNC, HEARTBEAT, COMMIT; -1 none */
  i32 msSession, msRebalance;          /* JOIN */
  const char *zProtocolType;           /* JOIN; SYNC v5+ (else NULL) */
  const char *zProtocol;   /* SYNC v5+ (else NULL) */
  const PrillProtocol *aProto; int nProto;   /* JOIN; sql: one, the assignor, no metadata */
  const char *const*azTopic; int nTopic;     /* JOIN of sql: topics subscribed, globs resolved */
  const PrillGrant *aGrant; int nGrant;      /* SYNC */
  u8 bRequireId;           /* JOIN v4+: a dynamic member must come back with its id */
  u8 bSkip;                /* JOIN v9+: the reply can say SkipAssignment */
  u8 bRelease;             /* COMMIT of sql */
  u8 bTxn;                 /* COMMIT: TxnOffsetCommit */
  u8 aRandom[16];          /* JOIN: random bytes, for a member id */
};

/*
** A driver's life with a group:
**
**   p = prillGroupNew(...);  prillGroupLoad, prillMemberLoad for each row;
**   sql: prillTopicsAdd the topics of a coming JOIN, then the partition counts:
**        p->topics.a[i].nPart = ... for each i, before any event
**   prillGroupStart(p, now)
**   for each event: prillGroupEvent(p, &ev, now); do p->aAct in order
**   prillGroupFree(p)
**
** sql: all of this in one write transaction; rows are the truth.  ROLLBACK
** undoes it, the objects are freed.  A poll need not come here while the
** group's row is as it was at the last load, prillMemberSettled() held then and
** prillGroupDeadline() is not reached; its time is stored now and then.
**
** kafka: of a group there is not, the driver answers UNKNOWN_MEMBER_ID to all
** but a JOIN without member id, and to an OffsetCommit with a generation
** ILLEGAL_GENERATION.  The group stays in memory.  After an event, arm one timer for
** prillGroupDeadline().  When storing fails, or an event returns SQLITE_NOMEM
** (every later event does so too), do no action, answer every prillGroupPending()
** request with COORDINATOR_NOT_AVAILABLE, free the group, load it again:
** clients retry, as after a change of coordinator.
**
** Actions, members and strings in them are valid until the next event or
** prillGroupFree; a refusal's zMember may be the event's own.  What an event
** points to is copied.
*/
PrillGroup *prillGroupNew(const char *zGroup, int eKind, const PrillGroupConf*);   /* NULL: no memory */
void prillGroupFree(PrillGroup*);                 /* NULL is harmless */
/* Bytes of the group's row and of a member's, versioned.  Load checks every
** bound: SQLITE_OK, SQLITE_CORRUPT_VTAB, SQLITE_NOMEM; a group that did not load
** whole is only to be freed. */
void prillGroupSave(int *pRc, const PrillGroup*, PrillBuf*);
int prillGroupLoad(PrillGroup*, const u8*, i64 n);
void prillMemberSave(int *pRc, const PrillGroup*, const PrillMember*, PrillBuf*);
int prillMemberLoad(PrillGroup*, const u8*, i64 n, i64 iPolled);
/* All rows are loaded.  kafka: every member gets a fresh session.  SQLITE_OK, or
** SQLITE_CORRUPT_VTAB when the rows contradict one another. */
int prillGroupStart(PrillGroup*, i64 now);
/* SQLITE_OK or SQLITE_NOMEM; refusals are iErr. */
int prillGroupEvent(PrillGroup*, const PrillGroupEvent*, i64 now);
/* When the next PRILL_EV_TIMER is due; PRILL_I64MAX never. */
i64 prillGroupDeadline(const PrillGroup*);
/* A request that waits, taken off the list; 0 when there is none.  *peAct is
** PRILL_ACT_JOINED or PRILL_ACT_SYNCED; 0 for the one of the event that ran out
** of memory.  After SQLITE_NOMEM also those whose answers are in aAct. */
u64 prillGroupPending(PrillGroup*, int *peAct);
PrillMember *prillGroupFind(const PrillGroup*, const char *zMember);      /* or NULL */
PrillMember *prillGroupInstance(const PrillGroup*, const char *zInstance);
/* 1 when a member subscribes the topic (OffsetDelete). kafka: by its metadata. */
int prillGroupSubscribes(PrillGroup*, const char *zTopic);
/* Append prill_groups.problem: what nobody owns and why; nothing when well. */
void prillGroupProblem(int *pRc, PrillGroup*, PrillBuf*);
/* Metadata of a member for the group's protocol, or NULL. */
const PrillProtocol *prillMemberMeta(const PrillGroup*, const PrillMember*);
/* sql: 1 when the member may read and commit this partition. */
int prillMemberOwns(const PrillGroup*, const PrillMember*, const char *zTopic, i32 iPart);
/* sql: 1 when a poll would change nothing but iPolled. */
int prillMemberSettled(const PrillGroup*, const PrillMember*);
/* What the rebalance waits for from this member, in a word or three; NULL nothing.
** sql: "poll", or where it lets go of partitions "poll or commit".  kafka: "join",
** "sync", of a group of rows that say so. */
const char *prillMemberAwaited(const PrillGroup*, const PrillMember*);
/* kafka: append to the bytes of the group's last stored row what the group is doing
** now: that it rebalances, and the members it waits for.  Nothing is appended, and 0
** returned, when it waits for nobody.  A row with it loads as one without; the machine
** never looks at it. */
int prillGroupTell(int *pRc, const PrillGroup*, PrillBuf*);

/*
** Between the three files of the machine.
*/
/* A member with these identities, last in the order; NULL: no memory (rc). */
PrillMember *prillGroupAdd(PrillGroup*, const char *zMember, const char *zInstance, const PrillGroupEvent*);
/* Out of the group; its row is dropped at the next store.  Alive until the next event. */
void prillGroupRemove(PrillGroup*, PrillMember*);
/* "prefix-<uuid>", sqlite3_malloc64 memory, or NULL (rc). */
char *prillGroupNewId(PrillGroup*, const PrillGroupEvent*);
/* The member takes another id; the row of the old one is dropped. */
void prillGroupRename(PrillGroup*, PrillMember*, char *zNew);
/* Client and host as the JOIN says. */
void prillGroupHost(PrillGroup*, PrillMember*, const PrillGroupEvent*);
/* Protocols, timeouts and topics as the JOIN says.  1 when protocols or topics differ. */
int prillGroupUpdate(PrillGroup*, PrillMember*, const PrillGroupEvent*);
/* 1 when all members support one of the JOIN's protocols. */
int prillGroupSupports(const PrillGroup*, const PrillGroupEvent*);
/* The protocol most members vote for; NULL without members. */
const char *prillGroupSelect(const PrillGroup*);
void prillGroupSetProtocol(PrillGroup*, const char*);     /* NULL: none */
int prillGroupSameProtos(const PrillMember*, const PrillProtocol*, int n);
void prillGroupSetType(PrillGroup*, const char*);
void prillGroupGive(PrillGroup*, PrillMember*, const u8*, i64 n);     /* aAssign */
/* 0, UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID; sets pMember. */
int prillGroupValidate(PrillGroup*, const PrillGroupEvent*);
PrillGroupAct *prillGroupAct(PrillGroup*, int eAct);      /* NULL: no memory (rc) */
/* Name what changed to the driver. */
void prillGroupStore(PrillGroup*);
void prillBarrierEvent(PrillGroup*, const PrillGroupEvent*, i64 now);
void prillTargetEvent(PrillGroup*, const PrillGroupEvent*, i64 now);
int prillTargetState(const PrillGroup*);
const char *prillTargetAwaited(const PrillGroup*, const PrillMember*);

/**************************************************************************
** offset.c: what is stored of groups: their rows, their members', and the
** offsets they have committed.  Writing is for a write transaction that
** prill_store takes part in; reading goes by the snapshot of the last refresh.
**
** A committed offset is the next to be read.  Get: *piOff -1 when there is
** none; the metadata is appended to *pMeta, which may be NULL.  Each: xRow for every offset of a
** group whose partition exists; other than SQLITE_OK ends it. */
int prillOffsetPut(PrillStore*, const char *zGroup, PrillPart*, i64 iOff, i64 iEpoch, const char *zMeta, i64 nMeta);
int prillOffsetGet(PrillStore*, const char *zGroup, PrillPart*, i64 *piOff, i64 *piEpoch, PrillBuf *pMeta);
int prillOffsetDelete(PrillStore*, const char *zGroup, PrillPart*);
typedef int (PrillOffsetRow)(void*, PrillPart*, i64 iOff, i64 iEpoch, const char *zMeta);
int prillOffsetEach(PrillStore*, const char *zGroup, PrillOffsetRow*, void*);
/* Rows of a group: *peKind 0 when it has none.  Load makes the group of its rows
** and its members'; *pp NULL when there is none; it is not started yet. */
int prillGroupRowLoad(PrillStore*, const char *zGroup, const PrillGroupConf*, int eKind, PrillGroup **pp);
int prillGroupRowKind(PrillStore*, const char *zGroup, int *peKind);
int prillGroupRowPut(PrillStore*, const char *zGroup, int eKind, const PrillBuf*);
int prillMemberRowPut(PrillStore*, const char *zGroup, const char *zMember, i64 iPolled, const PrillBuf*);
int prillMemberRowDelete(PrillStore*, const char *zGroup, const char *zMember);
/* The group's row, its members' and its offsets. */
int prillGroupRowDelete(PrillStore*, const char *zGroup);
/* Names of all groups that have a row or an offset, in *pBuf, a NUL after each. */
int prillGroupRowNames(PrillStore*, PrillBuf *pBuf);

/**************************************************************************
** member.c: groups by their rows, inside one transaction.  Open: *pp NULL when
** there is no such group; loaded and started, partition counts included.  Event:
** the event and its actions; a refusal is g->iErr.  None: SQLITE_BUSY, naming the
** members, unless the group has none.  Damaged: the error text for such rows. */
int prillMemberOpen(PrillStore*, const char *zGroup, int eKind, PrillGroup **pp);
int prillMemberEvent(PrillStore*, PrillGroup*, const PrillGroupEvent*);
/* Open for a member of SQL that joins or is in it: made when there is none, taken
** over when Kafka's clients have left it; it knows azTopic.  Errors have a text. */
int prillMemberEnter(PrillStore*, const char *zGroup, const char *const *azTopic, int nTopic, PrillGroup **pp);
/* The file a member holds while its process lives: sqlite3_mprintf text, or NULL
** (no directory, no UUID at the id's end, no memory). */
char *prillMemberPath(PrillStore*, const char *zMember);
int prillMemberSweep(PrillStore*, PrillGroup*, const char *zSelf, int nLook, int bTell, int *pnDead);
int prillMemberNone(PrillStore*, const char *zGroup, const char *zWhat);
int prillMemberDamaged(PrillStore*, const char *zGroup, int rc);
/* *pbFree: no group but one of kind eKind has the name, or one of SQL that has no
** members, which clients of Kafka may take over. */
int prillMemberNameFree(PrillStore*, const char *zGroup, int eKind, int *pbFree);
/* Put a member out, dead or alive. */
int prillMemberEvict(PrillStore*, const char *zGroup, const char *zMember);

#endif /* PRILLGROUP_H */
