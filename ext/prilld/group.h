/*
** group.h: what coordinator.c, api_group.c, api_groups.c and api_commit.c share: the groups
** this node coordinates.
*/
#ifndef PRILLD_GROUP_H
#define PRILLD_GROUP_H

#include "prilld.h"
#include "prillGroup.h"

struct PrilldGroup {
  PrilldTimer timer;
  Prilld *pD;
  PrilldGroup *pNext, **ppPrev;       /* in Prilld.pGroups */
  PrilldGroup *pHash;       /* next in its bucket */
  PrillGroup *g;
  int nJob;                 /* store jobs under way */
  i64 nByte;                /* memory, about */
  PrillBuf row;             /* the group's row as last stored, without what is told; empty: none */
  PrillBuf told;            /* with what was told last; empty: nothing since it was stored */
  i64 msTell;               /* when to tell for whom it waits; 0: it waits for nobody */
  u8 bStored;               /* ListGroups: it has a row */
};
/* The group of that name: in memory, or loaded of its rows, or with bMake made.
** NULL with *piErr 0: there is none; else Kafka's error. */
PrilldGroup *prilldGroupGet(Prilld*, WireStr name, int bMake, i16 *piErr);
/* The same, if it is in memory. */
PrilldGroup *prilldGroupFind(Prilld*, WireStr name);
/* Feed an event and do its actions.  Returns PrillGroup.iErr, or an error when
** the group is lost. */
i16 prilldGroupEvent(PrilldGroup*, PrillGroupEvent*);
/* Send an answer, after the stores of that group that are under way. */
void prilldGroupReply(PrilldReq*, WireStr name);
/* Drop the group from memory; who waits is told to look for it again. */
void prilldGroupForget(PrilldGroup*);
/* Groups keep all that they may. */
int prilldGroupFull(const Prilld*);
/* Drop those without members from memory. */
void prilldGroupSweep(Prilld*);
/* At the end: free all; requests that wait are dropped. */
void prilldGroupsFree(Prilld*);
/* A zero-terminated copy; NULL stays NULL. */
const char *prilldReqText(PrilldReq*, WireStr);

#endif
