/*
** prillAdmin.h: what vtab_admin.c and the files with its tables (admin_*.c)
** share: the description of a table, and the rows it makes.  Included by these
** alone.
*/
#ifndef PRILLADMIN_H
#define PRILLADMIN_H

#include "prillInt.h"

typedef struct AdminTable AdminTable;
typedef struct AdminCursor AdminCursor;
typedef struct AdminChange AdminChange;

/* What a column is good for. */
#define ADMIN_HIDDEN 1
#define ADMIN_INSERT 2          /* INSERT may give it */
#define ADMIN_UPDATE 4          /* UPDATE may set it */
#define ADMIN_COSTLY 8          /* computed only when asked for */

typedef struct AdminColumn {
  const char *zName;
  const char *zType;
  u8 m;                         /* ADMIN_* */
} AdminColumn;

/* idxNum: which keys xFilter is given, in this order; then, what to compute. */
#define ADMIN_BY_SCHEMA 1
#define ADMIN_BY_TOPIC  2
#define ADMIN_BY_PART   4
#define ADMIN_WANT_COSTLY 8

/* One change, as xUpdate brings it.  apVal[iCol] is a column's new value. */
struct AdminChange {
  struct AdminVtab *pTab;
  PrillStore *pStore;
  i64 id;                       /* of the row, without its schema; 0: INSERT */
  int bDelete, bInsert;
  sqlite3_value **apVal;        /* NULL: DELETE */
  i64 iNewId;                   /* OUT: INSERT */
};

struct AdminTable {
  const char *zName;
  const AdminColumn *aCol;
  int nCol;
  int iSchema;                  /* column "schema" */
  int iTopic;                   /* column that names the topic */
  int iPart;                    /* column with the partition, -1: none */
  u8 bParts;                    /* xFill is called for each partition */
  i64 nGuess;                   /* rows to tell the planner */
  int (*xFirst)(AdminCursor*);  /* rows before those of topics, or NULL */
  /* Append rows of a topic, or of a partition when bParts.  Setting *pbMore
  ** asks for another call with the same; c->iOff is 0 at the first. */
  int (*xFill)(AdminCursor*, PrillTopic*, PrillPart*, int *pbMore);
  int (*xChange)(AdminChange*);
  const char *zRemedy;          /* ends the refusal to change a column */
};

/* A value in a row, type SQLITE_NULL, _INTEGER, _FLOAT or _TEXT. */
typedef struct AdminCell {
  int eType;
  i64 i;
  double r;
  char *z;                      /* sqlite3_malloc memory */
} AdminCell;

typedef struct AdminVtab {
  sqlite3_vtab base;
  PrillConn *pConn;
  const AdminTable *pTable;
  char **azSchema;              /* schemas seen, for rowids */
  int nSchema;
  char **azName;                /* groups and members seen, for rowids */
  int nName;
  PrillStore **apJoin;          /* stores joined in this transaction */
  int nJoin;
  int iSavepoint;               /* newest savepoint SQLite told, -1 none */
} AdminVtab;

struct AdminCursor {
  sqlite3_vtab_cursor base;
  PrillStore *pStore;           /* referenced while open */
  int iSchema;                  /* its place in azSchema */
  int rc;                       /* first error while making rows */
  int m;                        /* idxNum */
  char *zTopic;                 /* only this topic, or NULL */
  i64 iPart;                    /* only this partition, -1: all */
  i64 *aTopic;                  /* row ids of the topics to show */
  int nTopic, iTopic;
  int iNextPart;                /* of aTopic[iTopic] */
  PrillPart *pPart;             /* half shown, referenced; or NULL */
  i64 iOff;                     /* where xFill goes on in it */
  int bEnd;                     /* no more to make */
  AdminCell *aCell;             /* rows made, nCol cells each */
  int nCellAlloc;
  int nRow, iRow;
  i64 nShown;                   /* rows passed, for the rowids that count */
};
/* Begin a row; its cells are NULL.  Errors stay in c->rc. */
void prillAdminRow(AdminCursor*);
/* Cell iCol of the row begun last, or NULL after an error. */
AdminCell *prillAdminCell(AdminCursor*, int iCol, int eType);
void prillAdminInt(AdminCursor*, int iCol, i64);
void prillAdminInts(AdminCursor*, int iCol, int n, const i64*);   /* iCol, iCol+1, ... */
void prillAdminText(AdminCursor*, int iCol, const char*);         /* NULL leaves the cell NULL */
/* Text made by sqlite3_mprintf, which the row takes; NULL is out of memory. */
void prillAdminTake(AdminCursor*, int iCol, char*);
/* Place of a name in azName, where it stays; -1: no memory, or too many. */
int prillAdminName(AdminVtab*, const char*);
/* The topic with a row id, or NULL. */
PrillTopic *prillAdminTopicById(PrillStore*, i64 iTopic);

/* admin_topic.c */
extern const AdminTable prillAdminTopics;
extern const AdminTable prillAdminParts;
extern const AdminTable prillAdminSegs;
extern const AdminTable prillAdminBatches;
/* admin_config.c */
extern const AdminTable prillAdminConfig;
/* admin_group.c */
extern const AdminTable prillAdminGroups;
extern const AdminTable prillAdminMembers;
extern const AdminTable prillAdminOffsets;

#endif /* PRILLADMIN_H */
