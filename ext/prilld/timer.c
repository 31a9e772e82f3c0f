/*
** timer.c: due times in a binary heap.
**
** The timers belong to others; the heap holds pointers, and each timer its
** place, so that stopping is cheap.  ap[0] is due first.
*/
#include "prilld.h"

static void timerPut(PrilldTimers *p, int i, PrilldTimer *pTimer){
  p->ap[i] = pTimer;
  pTimer->iHeap = i+1;
}

static void timerUp(PrilldTimers *p, int i, PrilldTimer *pTimer){
  while( i>0 && p->ap[(i-1)/2]->iDue>pTimer->iDue ){
    timerPut(p, i, p->ap[(i-1)/2]);
    i = (i-1)/2;
  }
  timerPut(p, i, pTimer);
}

static void timerDown(PrilldTimers *p, int i, PrilldTimer *pTimer){
  for(;;){
    int j = 2*i+1;
    if( j>=p->n ) break;
    if( j+1<p->n && p->ap[j+1]->iDue<p->ap[j]->iDue ) j++;
    if( p->ap[j]->iDue>=pTimer->iDue ) break;
    timerPut(p, i, p->ap[j]);
    i = j;
  }
  timerPut(p, i, pTimer);
}

void prilldTimerStop(PrilldTimers *p, PrilldTimer *pTimer){
  int i = pTimer->iHeap-1;
  PrilldTimer *pLast;
  if( i<0 ) return;
  pTimer->iHeap = 0;
  pLast = p->ap[--p->n];
  if( pLast==pTimer ) return;
  if( i>0 && p->ap[(i-1)/2]->iDue>pLast->iDue ) timerUp(p, i, pLast);
  else timerDown(p, i, pLast);
}

int prilldTimerSet(PrilldTimers *p, PrilldTimer *pTimer, i64 iDue){
  prilldTimerStop(p, pTimer);
  if( p->n>=p->nAlloc ){
    int nAlloc = p->nAlloc*2 + 32;
    PrilldTimer **ap = (PrilldTimer**)sqlite3_realloc64(p->ap, sizeof(*ap)*(u64)nAlloc);
    if( ap==0 ) return SQLITE_NOMEM;
    p->ap = ap;
    p->nAlloc = nAlloc;
  }
  pTimer->iDue = iDue;
  timerUp(p, p->n++, pTimer);
  return SQLITE_OK;
}

i64 prilldTimerNext(const PrilldTimers *p){
  return p->n ? p->ap[0]->iDue : PRILL_I64MAX;
}

void prilldTimerRun(PrilldTimers *p, i64 now){
  while( p->n && p->ap[0]->iDue<=now ){
    PrilldTimer *pTimer = p->ap[0];
    prilldTimerStop(p, pTimer);
    pTimer->xDue(pTimer);
  }
}

void prilldTimersFree(PrilldTimers *p){
  sqlite3_free(p->ap);
  memset(p, 0, sizeof(*p));
}
