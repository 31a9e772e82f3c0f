/*
** prillShare.h: what share.c gives to the queue module.  Layer 4.
*/
#ifndef PRILLSHARE_H
#define PRILLSHARE_H

#include "prillGroup.h"

#define PRILL_SHARE_BLOCK 256         /* offsets of one row */
#define PRILL_SHARE_LOCKS 2000        /* locks of a group in a partition, at most */

enum {                                /* what is known of one record */
  PRILL_CELL_NONE, PRILL_CELL_FREE, PRILL_CELL_HELD, PRILL_CELL_ACKED, PRILL_CELL_ARCHIVED
};
enum {                                /* what a holder may do with it */
  PRILL_SHARE_ACK, PRILL_SHARE_RELEASE, PRILL_SHARE_REJECT, PRILL_SHARE_RENEW
};
typedef struct PrillCell PrillCell;
struct PrillCell {
  u8 eState;
  i32 nDeliver;           /* deliveries so far */
  i64 msNot;              /* not before this time, 0: at once */
  i64 msUntil;            /* held: the lock's end */
  u64 iMember;            /* held: by whom */
};

enum {
  SHARE_GET, SHARE_PUT, SHARE_DEL, SHARE_TRIM, SHARE_DUE, SHARE_LOCKED, SHARE_NEXT, SHARE_PUT_NEXT,
  SHARE_FIRST, SHARE_AFTER, SHARE_KIND, SHARE_N
};
/* A group, as one member of it sees it. */
typedef struct PrillShare PrillShare;
struct PrillShare {
  PrillStore *pStore;     /* borrowed */
  const char *zGroup;     /* borrowed, as zDead */
  const char *zDead;      /* topic for dead letters, or NULL */
  u64 iMember;
  i64 msLock;
  i32 nMax;               /* deliveries */
  PrillPlacer placer;     /* of dead letters */
  sqlite3_stmt *aStmt[SHARE_N];
  PrillCell aCell[PRILL_SHARE_BLOCK];   /* the row at hand */
};
typedef struct PrillHeld PrillHeld;
struct PrillHeld {
  i64 iPid, iOff;
  i64 msUntil, msNot;
  i32 nDeliver;
};
typedef struct PrillHolds PrillHolds;
struct PrillHolds {
  PrillHeld *a;           /* sqlite3_malloc64 memory */
  int n, nAlloc;
};

/* Statements and partitioner only; the struct is the caller's. */
void prillShareFree(PrillShare*);
/* The group's name is a queue's, from now on if it was nobody's.  In a write
** transaction, as Take and Settle. */
int prillShareOwn(PrillShare*);
/* May this connection write what queues have done?  Reads nothing. */
int prillShareMay(PrillShare*);
/* The kind of the group, 0: nobody's yet; an error where it is not a queue's. */
int prillShareKind(PrillShare*, int *peKind);
/* Is there, as far as reading tells, something to acquire?  *pb becomes 1.  *pmsDue
** falls to the next time after now at which something falls due. */
int prillShareReady(PrillShare*, PrillPart*, i64 now, int *pb, i64 *pmsDue);
/* Acquire up to nWant records of a partition; they are appended to *pHolds. */
int prillShareTake(PrillShare*, PrillPart*, i64 now, int nWant, PrillHolds*);
/* Acknowledge, release (not before msArg), reject or renew (until msArg) a record.
** SQLITE_NOTFOUND when this member does not hold it. */
int prillShareSettle(PrillShare*, PrillPart*, i64 iOff, int eVerb, i64 msArg, i64 now);
/* Append what this member holds of a partition to *pHolds. */
int prillShareHeld(PrillShare*, PrillPart*, i64 now, PrillHolds*);
/* The first offset that is neither acknowledged nor archived. */
int prillShareStart(PrillShare*, PrillPart*, i64 *piOff);
/* The states of a row, nKnown of them: SQLITE_OK, or PRILL_CORRUPT. */
int prillShareDecode(const u8 *a, i64 n, int nKnown, PrillCell *aCell);

/* share_check.c: append one problem a line; nothing when all is well. */
int prillShareCheck(PrillStore*, PrillBuf*);

#endif /* PRILLSHARE_H */
