/*
** admin.h: what the handlers that change topics, settings and groups share
** (admin.c, setting.c, api_topic.c, api_config.c, api_groups.c).
*/
#ifndef PRILLD_ADMIN_H
#define PRILLD_ADMIN_H

#include "prilld.h"

/* One change: a job of its own savepoint, first member of the handler's own.
** Memory is the request's.
**
**   I1  xRun runs on the store thread and touches nothing of the request but
**       its own job: other jobs of the request may be done at the same time.
**   I2  A refused change has done nothing: xRun returns an error, and the
**       savepoint goes back.  So does one that is only tried (bTry). */
typedef struct AdminJob AdminJob;
struct AdminJob {
  PrilldJob job;
  int (*xRun)(AdminJob*, PrilldWriter*);
  void (*xAnswer)(AdminJob*);   /* on the loop: iErr and zMsg are final */
  void *pOut;                   /* the response's entry */
  i16 iErr;                     /* Kafka's error */
  const char *zMsg;             /* its text, or NULL */
  u8 bTry;                      /* validate only: do it, and take it back */
  u8 bTried;                    /* it was, and went well */
};
/* Add a job to the request.  NULL: no memory, the connection is closed; jobs
** added before are the request's and never run. */
AdminJob *prilldAdminAdd(PrilldReq*, AdminJob **ppList, i64 sz);
/* Run the jobs of a list in its order; the last answers the request.  An empty list:
** answered at once. */
void prilldAdminSubmit(PrilldReq*, AdminJob *pList);
/* For xRun: refuse with Kafka's error and a text; gives what xRun is to return. */
int prilldAdminRefuse(PrilldWriter*, AdminJob*, i16 iErr, const char *zFmt, ...);
/* Kafka's rule for topic names. */
int prilldAdminName(WireStr);
/* Refuse at once, without a job: fill an entry's error. */
#define ADMIN_REFUSE(pR, iKe, zText) ((pR)->errorCode = (iKe), (pR)->errorMessage = prilldStr(zText))
/* From a job to its entry. */
#define ADMIN_ANSWER(pR, p) ((pR)->errorCode = (p)->iErr, (pR)->errorMessage = prilldStr((p)->zMsg))
/* Names that a request lists twice: a[i] is 1 for each that stands before or
** after another of the same bytes.  1: no memory, the connection is closed. */
int prilldAdminTwice(PrilldReq*, const WireStr *aName, i32 n, u8 **pa);

/* setting.c: settings by Kafka's names.
**
** Set one, or with zVal NULL take its default.  SQLITE_OK; SQLITE_ERROR with
** *pzErr, sqlite3_mprintf's.  A name of Kafka's that has no effect here is checked
** and forgotten. */
int prilldSettingSet(PrillConfig*, const char *zName, const char *zVal, char **pzErr);
/* Setting i of a topic.  0: there are no more. */
typedef struct PrilldSetting PrilldSetting;
struct PrilldSetting {
  const char *zName;            /* as a topic's setting */
  const char *zBroker;          /* its default's name as a broker's, or NULL */
  int eType;                    /* PRILLD_TYPE_* */
  int bList;                    /* takes APPEND and SUBTRACT */
  int bFixed;                   /* has no effect here: read-only */
  const char *zDoc;
};
enum { PRILLD_TYPE_BOOLEAN = 1, PRILLD_TYPE_STRING, PRILLD_TYPE_INT, PRILLD_TYPE_SHORT, PRILLD_TYPE_LONG,
       PRILLD_TYPE_DOUBLE, PRILLD_TYPE_LIST };
const PrilldSetting *prilldSetting(int i);
/* Its value into *pBuf (emptied first; a NUL follows); whether it is the default. */
void prilldSettingValue(int *pRc, const PrillConfig*, int i, PrillBuf *pBuf, int *pbDefault);

#endif
