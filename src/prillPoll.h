/*
** prillPoll.h: a member of a consumer group of SQL, seen from inside: layer 4,
** position.c and poll.c.  The module consumer and the C interface stand on it.
*/
#ifndef PRILLPOLL_H
#define PRILLPOLL_H

#include "prillGroup.h"

enum { PRILL_RESET_EARLIEST, PRILL_RESET_LATEST, PRILL_RESET_NONE };        /* auto.offset.reset */
enum { PRILL_COMMIT_FALSE, PRILL_COMMIT_TRUE, PRILL_COMMIT_STATEMENT };     /* enable.auto.commit */

#define PRILL_POLL_MX 1000000         /* most records of one poll */

/* What a member is asked to be.  Texts are sqlite3_malloc64 memory. */
typedef struct PrillPollConf PrillPollConf;
struct PrillPollConf {
  char *zGroup;
  char *zTopics; int nTopic;          /* nTopic texts, one after the other */
  char *zInstance;                    /* group.instance.id, or NULL */
  char *zClient;                      /* the table's name, or client.id */
  int eAssignor, eReset, eCommit;
  i64 nMax;                           /* max.poll.records */
  i64 msInterval;                     /* max.poll.interval.ms */
  i64 msSession;                      /* session.timeout.ms */
};

/* A partition it owns, and where it stands there. */
typedef struct PrillSpot PrillSpot;
struct PrillSpot {
  i64 iPid;
  i64 iNext;                          /* next offset to give, -1: not known yet */
  i64 iStored;                        /* offset the group has committed, -1 none */
  u8 bMoved;                          /* records were given, or it was sought */
};

/* An id it has or had, and the file it holds for it. */
typedef struct PrillSeat PrillSeat;
struct PrillSeat {
  PrillSeat *pNext;
  char *zMember;
  PrillFile *pHold;                   /* NULL: no directory */
  u8 bLocks;                          /* others see that it is held */
};

/* What it knows under one version of its position row (position.c). */
typedef struct PrillKnown PrillKnown;
struct PrillKnown {
  i64 iVer;                           /* 0: no row written yet */
  i64 iTxn, iMark;                    /* pStore->iTxn and iMark when that was written */
  PrillSeat *pSeat;                   /* NULL: not a member */
  PrillSpot *aSpot; int nSpot;        /* by pid */
  PrillBuf row;                       /* the group's row when it was last loaded, empty: load */
  i64 msDeadline;                     /* when the machine wants a TIMER */
  i64 msPolled;                       /* as the member's row has it */
  i64 iCatalog;                       /* pStore->iCatalog then */
  int nMember;                        /* members then */
  u8 bSettled;                        /* a poll would change nothing */
  u8 bLost;                           /* a partition went whose records this transaction was given */
};

/* Records to give: offsets iFrom..iTo of a partition; then it stands at iNext. */
typedef struct PrillGive PrillGive;
struct PrillGive {
  i64 iPid;
  int iPart;
  i64 iFrom, iTo, iNext;
  i64 iWas;                           /* where it stood */
};

typedef struct PrillPoll PrillPoll;
struct PrillPoll {
  PrillWatch watch;                   /* of the transaction a version was written in; first */
  PrillConn *pConn;                   /* borrowed */
  PrillStore *pStore;                 /* borrowed, set by the caller before each call */
  PrillPollConf conf;
  i64 iProcess;                       /* who made it */
  PrillSeat *pSeats;
  PrillKnown *aKnown; int nKnown, nKnownAlloc;        /* the last is current */
  i64 iVer;                           /* last version given out */
  i64 iUndo;                          /* counts versions that were rolled back */
  i64 iCut;                           /* pStore->iCut when the row was last looked at */
  PrillUndo undo;                     /* of its own transaction in pStore */
  u8 bTxn;                            /* this call is part of a transaction of the caller */
  u8 bFenced;                         /* another has its group.instance.id */
  i64 msSwept;                        /* when it last looked who lives */
  i64 iTurn;                          /* the spot a set begins with */
  PrillGive *aGive; int nGive, nGiveAlloc;            /* the set */
  i64 iSet;                           /* its number */
  i64 iSetUndo;                       /* iUndo when it was made */
  u8 bWhole;                          /* some reading of it has come to its end */
};

/* One reading of the set.  Zero it, Begin, Next..., End. */
typedef struct PrillTake PrillTake;
struct PrillTake {
  PrillPoll *pPoll;
  PrillStore *pLook;                  /* referenced: where it reads */
  int iGive;
  PrillTopic *pTopic;                 /* referenced, of rec */
  int iPart;
  PrillScan *pScan;
  i64 iNext;                          /* in this give */
  u8 bFresh;                          /* the scan was opened in this call */
  PrillRecord rec;
};

/**************************************************************************
** position.c.  Current: the version that holds; NULL with *pRc.  Guard: before
** what is known changes; in a transaction it writes a new version where
** ROLLBACK could come back to the one there is.  Both want bTxn set.
*/
int prillPositionTxn(PrillPoll*);               /* is the connection in a transaction? */
PrillKnown *prillPositionCurrent(int *pRc, PrillPoll*, PrillStore *pLook);
PrillKnown *prillPositionGuard(int *pRc, PrillPoll*);
PrillSpot *prillPositionSpot(const PrillKnown*, i64 iPid);      /* or NULL */
void prillPositionFree(PrillPoll*);
/* A seat for an id, its file made and held. */
PrillSeat *prillPositionSeat(int *pRc, PrillPoll*, PrillStore*, const char *zMember);
int prillPositionSit(PrillPoll*, PrillSeat*);   /* the guarded version has it */

/**************************************************************************
** poll.c.  Errors have a text in the connection of the store they happened on.
** pLook is p->pStore, or prillWaitStore()'s for a SELECT that waits.
*/
int prillPollOption(PrillPollConf*, const char *zName, char **pzVal, char **pzErr);  /* takes *pzVal */
int prillPollCheck(PrillPollConf*, char **pzErr);               /* group and topics are there */
void prillPollConfFree(PrillPollConf*);
void prillPollFree(PrillPoll*);                                 /* its members; no SQL */
/* The word of "wake" to sleep on: the only topic's, or 0 for any commit's. */
i64 prillPollWord(const PrillPoll*, PrillStore *pLook);
int prillPollJoin(PrillPoll*);
int prillPollLeave(PrillPoll*);
/* Make a new set of at most nMax records. */
int prillPollSet(PrillPoll*, PrillStore *pLook, i64 nMax);
/* Commit past what was given. */
int prillPollCommit(PrillPoll*, PrillStore *pLook, int *pnMoved);
/* The same of one partition, up to iOff. */
int prillPollCommitTo(PrillPoll*, const char *zTopic, i64 iPart, i64 iOff);
int prillPollSeek(PrillPoll*, const char *zTopic, i64 iPart, i64 iOff);
void prillTakeBegin(PrillTake*, PrillPoll*, PrillStore *pLook);
/* SQLITE_ROW: rec, pTopic and iPart are set, and the record is given. */
int prillTakeNext(PrillTake*);
void prillTakeEnd(PrillTake*);

/**************************************************************************
** consume.c, layer 6: decode a record's headers into *paHeader, which grows, and
** set them in *pOut.  SQLITE_ROW or SQLITE_NOMEM. */
int prillConsumeHeaders(const PrillRecord*, prill_record *pOut, prill_header **paHeader, int *pnAlloc);

#endif /* PRILLPOLL_H */
