/*
** cmd.h: what the files of the prill command share.
**
** The command knows the library through prill.h and SQL alone, as any other
** program would.
*/
#ifndef CMD_H
#define CMD_H

#ifndef _GNU_SOURCE
# define _GNU_SOURCE 1          /* REG_STARTEND, readlink */
#endif
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prill.h"

typedef sqlite3_int64 i64;
typedef sqlite3_uint64 u64;
typedef unsigned char u8;

/* Bytes that grow. */
typedef struct CmdBuf CmdBuf;
struct CmdBuf {
  u8 *a;
  size_t n, nAlloc;
};

/**************************************************************************
** Commands.
*/
typedef struct Cmd Cmd;
struct Cmd {
  const char *zName;            /* "topic create", "import", ... */
  const char *zArgs;            /* usage after the name */
  const char *zWhat;            /* one line for the list of commands */
  const char *zHelp;            /* the options, a line each; or NULL */
  int (*xRun)(const Cmd*, int nArg, char **azArg);   /* exit status */
};

/* prill.c.  The command being run, for usage errors. */
extern const Cmd *pCmd;
extern sqlite3 *cmdDb;          /* the database, once open */
extern const char *zCmdDb;      /* its file */

/* Print "prill: ..." to stderr; roll back, close, exit 1. */
void cmdFatal(const char *zFmt, ...) __attribute__((noreturn, format(printf,1,2)));
/* Print "prill: ..." and the command's usage to stderr; exit 2. */
void cmdUsage(const char *zFmt, ...) __attribute__((noreturn, format(printf,1,2)));

/* Options.  A command lists its own; -d, -h and --help are everybody's. */
typedef struct CmdOpt CmdOpt;
enum { OPT_FLAG, OPT_TEXT, OPT_INT, OPT_LIST };
struct CmdOpt {
  char c;                       /* letter, or 0 */
  const char *zLong;            /* without its dashes, or NULL */
  int eType;
  void *p;                      /* int*, const char**, i64*, CmdList* */
};
typedef struct CmdList CmdList;
struct CmdList {
  const char **az;
  int n;
};
/* Take the options out of azArg; what remains is moved to its front and
** counted.  It must be nMin to nMax words. */
int cmdOptions(int nArg, char **azArg, const CmdOpt *aOpt, int nOpt, int nMin, int nMax);
#define CMD_OPTIONS(N,A,OPT,MIN,MAX) \
  cmdOptions(N, A, OPT, (int)(sizeof(OPT)/sizeof(OPT[0])), MIN, MAX)
/* Append a separator's bytes, \t, \n, \\ and \xNN replaced. */
void cmdSeparator(const char *z, CmdBuf *pOut);
/* A whole number, all of z.  1 on success. */
int cmdInt(const char *z, i64 *pOut);

/* The database.  Each call works or exits with a message. */
enum { CMD_READ, CMD_WRITE, CMD_CREATE };
void cmdDatabase(void);                              /* only settle which: zCmdDb */
void cmdOpen(int eOpen);
void cmdClose(void);
sqlite3_stmt *cmdPrepare(const char *zFmt, ...);     /* sqlite3_mprintf's formats */
void cmdExec(const char *zFmt, ...);
int cmdStep(sqlite3_stmt*);                          /* 1: a row */
void cmdFinish(sqlite3_stmt*);
void cmdBindText(sqlite3_stmt*, int, const char*);
/* Memory, or exit. */
void *cmdAlloc(void *pOld, u64 n);
char *cmdPrintf(const char *zFmt, ...);
char *cmdVprintf(const char *zFmt, va_list);
/* The rest of a query, as a table or as JSON lines. */
void cmdPrintTable(sqlite3_stmt*);
void cmdPrintJson(sqlite3_stmt*);
/* Exit with a message when standard output could not be written. */
void cmdFlush(void);

/**************************************************************************
** cmd_topic.c, cmd_group.c, cmd_in.c, cmd_out.c, cmd_store.c, cmd_top.c, cmd_doctor.c,
** cmd_sql.c: the commands.
*/
int cmdTopicCreate(const Cmd*, int, char**);
int cmdTopicList(const Cmd*, int, char**);
int cmdTopicDescribe(const Cmd*, int, char**);
int cmdTopicAlter(const Cmd*, int, char**);
int cmdTopicDelete(const Cmd*, int, char**);
int cmdGroupList(const Cmd*, int, char**);
int cmdGroupDescribe(const Cmd*, int, char**);
int cmdGroupReset(const Cmd*, int, char**);
int cmdGroupDelete(const Cmd*, int, char**);
int cmdProduce(const Cmd*, int, char**);
int cmdImport(const Cmd*, int, char**);
int cmdConsume(const Cmd*, int, char**);
int cmdExport(const Cmd*, int, char**);
int cmdCheck(const Cmd*, int, char**);
int cmdTop(const Cmd*, int, char**);
int cmdDoctor(const Cmd*, int, char**);
int cmdSql(const Cmd*, int, char**);
int cmdBackup(const Cmd*, int, char**);
int cmdRestore(const Cmd*, int, char**);

/* cmd_topic.c: the number of partitions of a topic; exits when there is no
** such topic.  *pzDoor, when not NULL, is set to the table that made it, or
** NULL: memory of the caller. */
int cmdTopicFind(const char *zTopic, char **pzDoor);

/**************************************************************************
** cmd_json.c: JSON in and out, and base64.
*/
void cmdBufAdd(CmdBuf*, const void*, size_t);
void cmdBufChar(CmdBuf*, int);

/* 1 when a[0..n) is UTF-8 without a NUL. */
int cmdUtf8(const u8 *a, size_t n);
/* Decode base64: 1 on success. */
int cmdUnbase64(const char *z, size_t n, CmdBuf *pOut);

/* A text of JSON being read.  zErr is set at the first mistake. */
typedef struct CmdJson CmdJson;
struct CmdJson {
  const char *z;                /* next character */
  const char *zEnd;
  const char *zErr;
  int nDepth;
};
enum { JSON_NULL = 1, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
void cmdJsonInit(CmdJson*, const char*, size_t);
int cmdJsonPeek(CmdJson*);                       /* JSON_*; 0 after a mistake */
/* Pass over a value; *pz, *pn: its text. */
void cmdJsonSkip(CmdJson*, const char **pz, size_t *pn);
void cmdJsonString(CmdJson*, CmdBuf*);           /* its bytes, emptied first */
/* c is '{' or '[': past it.  Then, while cmdJsonMore: a member's name and
** value, or an element.  More takes the ',' and the closing character. */
void cmdJsonOpen(CmdJson*, char c);
int cmdJsonMore(CmdJson*, char cClose, int *pbFirst);
void cmdJsonName(CmdJson*, CmdBuf*);
void cmdJsonEnd(CmdJson*);                       /* nothing but blanks is left */
/* {"base64":"..."}: 1 and its bytes in *pOut; 0 and nothing read when the
** object is something else. */
int cmdJsonBase64(CmdJson*, CmdBuf *pOut);

/* Append a JSON string, or {"base64":"..."} when the bytes are no text. */
void cmdJsonPut(CmdBuf*, const u8*, size_t);

#endif /* CMD_H */
