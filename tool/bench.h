/*
** bench.h: what the files of prill-bench share.  bench.c explains.
*/
#ifndef BENCH_H
#define BENCH_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef sqlite3_int64 i64;
typedef uint64_t u64;

#define BENCH_MXROUND 99
#define BENCH_POOL 8192       /* distinct values and keys, reused in turn */
#define BENCH_KEY 8           /* bytes of a key */

/* The options of the command line, and what came out so far. */
typedef struct Bench Bench;
struct Bench {
  const char *zDir;           /* where databases are made */
  const char *zOnly;          /* --only: run this contestant alone, or NULL */
  const char *zMatch;         /* --match: only work whose words contain this, or NULL */
  int nRound;
  int bQuick;                 /* a fifth of the work */
  int nMiB;                   /* --size: the store of row 18 */
  int bCpu;                   /* --cpu: processor time instead of the clock's */
  int bFloor;                 /* --floor: a table that does nothing takes part */
  int bBlob;                  /* values are BLOBs now, not TEXT */
  int nMet, nMissed;          /* goals */
  FILE *pWrite;               /* --write: the table as markdown, or NULL */
};
extern Bench bench;

/* Print to stderr and exit 1. */
_Noreturn void benchFail(const char *zFmt, ...);
void *benchAlloc(size_t n);   /* never NULL */
i64 benchClock(void);         /* nanoseconds, of the processor with --cpu */
u64 benchRandom(void);        /* the same sequence in every run */
int benchScale(int n);        /* n, or a fifth of it with --quick */

/* Values of sz bytes and keys of BENCH_KEY bytes, BENCH_POOL of each, made once. */
const char *benchValue(int sz, i64 i);
const char *benchKey(i64 i);

/* Before a timed section: write back what the last contestant left dirty, let
** the disk rest, and touch nByte of memory so that a virtual machine has it. */
void benchSettle(i64 nByte);

/* Run x(p) and return its nanoseconds.  Every timed section passes here, so
** that callgrind can be told to look at nothing else. */
i64 benchTimed(void (*x)(void*), void *p);

/* One contestant's database.  zCodec NULL: the ordinary table; "floor": a virtual
** table that does nothing; else a topic with that compression.type.  All are called
** "log". */
typedef struct BenchDb BenchDb;
struct BenchDb {
  sqlite3 *db;
  char *zPath;
  const char *zCodec;
  int nPart;                  /* partitions of the topic */
  i64 nRow;                   /* rows inserted */
  sqlite3_stmt *pInsert;      /* (timestamp, key, value) */
  sqlite3_stmt *pBegin, *pCommit;
};

/* Settings of a new database; zTopic: further table arguments, or "". */
typedef struct BenchConf BenchConf;
struct BenchConf {
  int bFull;                  /* synchronous=FULL, else NORMAL */
  int bOs;                    /* the store's flush=os */
  int nPart;
  const char *zTopic;
};
void benchOpen(BenchDb*, const char *zCodec, const BenchConf*);
void benchReopen(BenchDb*);                   /* a new connection */
/* One more connection to zPath, for another process or thread; zSetup is run. */
sqlite3 *benchOther(const char *zPath, const char *zSetup);
void benchClose(BenchDb*);                    /* and remove its files */
void benchExec(BenchDb*, const char *zFmt, ...);
i64 benchInt(BenchDb*, const char *zSql);     /* first column of the first row */
sqlite3_stmt *benchPrepare(BenchDb*, const char *zSql);
/* Insert row number p->nRow of value size szVal; pKey NULL: from the pool. */
void benchInsert(BenchDb*, int szVal, const char *pKey);
void benchStep(BenchDb*, sqlite3_stmt*);      /* to its end, then reset */
/* Bytes on disk after a checkpoint: of the database file; of the topic's
** committed log. */
i64 benchDbBytes(BenchDb*);
i64 benchLogBytes(BenchDb*);
i64 benchFileSize(const char *zPath);

/* One line of the table: the median, least and greatest of a[0..n).  A goal
** above 0 is "at least", below 0 "at most" its negative, 0 none.  zUnit is "x"
** for ratios, "ms".  The rest is the absolute figures, printf style. */
void benchReport(const char *zRow, const char *zWhat, const double *a, int n,
                 double rGoal, const char *zUnit, const char *zFmt, ...);
double benchMedian(const double *a, int n);
/* 1 when contestant z takes part (--only). */
int benchTakes(const char *zCodec);
int benchIsFloor(const char *zCodec);
/* 1 when work described by zWhat is wanted (--match). */
int benchMatches(const char *zWhat);

/* bench_floor.c */
int benchFloorInit(sqlite3*);

/* The rows. */
#define BENCH_ROW(zRow, xRow, zAbout) void xRow(void);
#include "bench_rows.h"
#undef BENCH_ROW

#endif /* BENCH_H */
