/*
** prillTopic.h: what the tables that show records share: the columns of a
** topic's table; and the plan of vtab_topic.c and vtab_plan.c.
*/
#ifndef PRILLTOPIC_H
#define PRILLTOPIC_H

#include "prillInt.h"

/* Columns.  A door lacks the two that are arguments of prill_records, and
** numbers those after them two lower: prillPlanColumn. */
enum {
  TOPIC_PARTITION, TOPIC_OFFSET, TOPIC_TIMESTAMP, TOPIC_KEY, TOPIC_VALUE, TOPIC_HEADERS,
  TOPIC_TOPIC, TOPIC_SCHEMA,
  TOPIC_EPOCH, TOPIC_PRODUCER, TOPIC_PRODUCER_EPOCH, TOPIC_SEQUENCE, TOPIC_BATCH, TOPIC_SIZE,
  TOPIC_ROWID
};
#define TOPIC_N_ARG 2
static inline int prillPlanColumn(int bDoor, int iCol){
  return iCol<0 ? TOPIC_ROWID : bDoor && iCol>TOPIC_HEADERS ? iCol+TOPIC_N_ARG : iCol;
}

#define TOPIC_OFF_BITS  48            /* rowid: partition<<48 | offset */
#define TOPIC_MX_TERM   16            /* terms of one plan */
#define TOPIC_MX_PLAN   96            /* bytes of a plan whose text is kept */

/* vtab_record.c.  Column eCol (not TOPIC_SCHEMA) of a record of pTopic, on which
** pScan stands, as the result; *pJson is room for headers. */
int prillRecordColumn(sqlite3_context*, int eCol, const PrillTopic*, int iPart, const PrillRecord*, PrillScan*,
                      PrillBuf *pJson);

/* A plan as xFilter reads it, and what its terms leave. */
typedef struct PrillPlan PrillPlan;
struct PrillPlan {
  const char *zPlan;                  /* idxStr; its address tells it apart in one cursor */
  char zText[TOPIC_MX_PLAN];          /* its text, where that fits: it does for all cursors */
  int nTerm;
  struct { u8 eCol, eOp; } aTerm[TOPIC_MX_TERM];   /* in the order of xFilter's arguments */
  u8 bOffsets;                        /* offsets only */
  u8 bByOffset;                       /* order by offset, no partition before it */
  u8 bDescPart, bDescOff;
  PrillRange range;
  PrillBuf key;                       /* key=: the bytes range has */
  int iFirst, nWant;                  /* partitions iFirst.., or aWant[] */
  int *aWant;
};

/* xBestIndex.  pTopic may be NULL: not known while planning. */
int prillPlanBest(sqlite3_index_info*, int bDoor, const PrillTopic *pTopic);
/* Read idxStr. */
void prillPlanParse(PrillPlan*, const char *zPlan);
/* The argument for a term of column eCol with =, or NULL. */
sqlite3_value *prillPlanArg(const PrillPlan*, int eCol, int argc, sqlite3_value **argv);
/* From the arguments: partitions, range, key.  SQLITE_DONE: nothing passes. */
int prillPlanWant(PrillPlan*, int nPart, int argc, sqlite3_value **argv);
/* Free what Want left.  The parsed plan stays. */
void prillPlanReset(PrillPlan*);

#endif /* PRILLTOPIC_H */
