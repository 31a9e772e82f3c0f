/*
** cmd_work.h: what prill consume, whose options cmd_out.c reads, asks of
** cmd_work.c when they say --exec: a command run for each record of a group.
*/
#ifndef CMD_WORK_H
#define CMD_WORK_H

#include "cmd.h"

typedef struct CmdWork CmdWork;
struct CmdWork {
  const char *zTopic, *zGroup;
  const char *zExec;            /* for sh -c */
  const char *zDead;            /* topic, or NULL */
  const char *zReset;           /* auto.offset.reset */
  int nWorker;
  int nRetry;                   /* runs after the first */
  i64 msBackoff;                /* before the second, then twice as long each */
  i64 nMax;                     /* records, -1: all */
  int bFollow;
};
/* Work until there is no more, or a signal.  Exits with a message on failure. */
void cmdWorkRun(const CmdWork*);

#endif /* CMD_WORK_H */
