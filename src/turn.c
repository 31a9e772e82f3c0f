/*
** turn.c: turns at the write lock.
**
** Layer 3, store.  Calls wake.
**
** SQLite's busy timeout sleeps for times of its own, up to 100 ms, and whoever
** commits back to back takes the lock again before a sleeper looks: a third
** writer waits for seconds, or is told "database is locked".  Here a waiter
** sleeps on word 1 of the file "wake"; who commits wakes one waiter, the one
** that has slept longest, and stands back for a moment before it may write
** again.
**
** HOLDING.  A turn costs whoever gets it a wake and what others wrote meanwhile
** to be read, more than a small commit.  So a writer that commits back to back
** (its wait began right after its last commit) writes on for prillLimit.msTurn
** before it wakes anybody.  Should it stop before that, those asleep are late by I3.
**
** THE WORD counts turns (wake.c has its form).  Its lowest bit says that
** somebody may be asleep.  Unlike the other counters' it stays set while a wake
** finds sleepers, for there may be more, and is cleared by the wake that finds
** none.
**
**   I1  The kernel's queue of sleepers is the count of waiters: one that is
**       killed has left it.  There is no number in the file that could be wrong.
**   I2  The word is sampled before each attempt at the lock.  A lock that comes
**       free after the attempt counts a turn after the sample, and the sleep
**       that follows ends at once.
**   I3  No sleep is longer than TURN_SLICE: a holder that was killed, a
**       transaction without topics and a program without prill wake nobody.
**   I4  The handler runs no SQL and allocates nothing: it is called with a
**       statement half done.
**
** Which database of the connection is locked SQLite does not tell.  The
** handler sleeps on main's word, or where main has none on the first of
** another store; for the rest I3 is the wait.
*/
#include "prillInt.h"

#define TURN_SLICE 20000              /* us a waiter sleeps at most */
#define TURN_YIELD 50                 /* us a writer stands back */

struct PrillTurn {
  PrillConn *pConn;
  sqlite3_vfs *pVfs;                  /* main's: its clock and sleep */
  PrillWake *pWake;                   /* where it sleeps, or NULL */
  PrillMark mark;                     /* sampled before the last attempt */
  i64 nWait, nWoken;                  /* waits; sleeps that a turn ended: for prill_debug() */
  i64 usWait;                         /* the time allowed */
  i64 usLeft;                         /* of it */
  i64 msPass;                         /* when it last committed or rolled back */
  i64 msHold;                         /* when it began to hold its turn */
  u8 bKeen;                           /* its last wait began as soon as it had committed */
};

/* Before an attempt (I2). */
static void turnSample(PrillTurn *p){
  PrillWake *pWake = p->pWake;
  memset(&p->mark, 0, sizeof(p->mark));
  if( pWake==0 || pWake->map.a==0 || pWake->map.bReadOnly ) return;
  p->mark.iWord = PRILL_WAKE_TURN;
  p->mark.bMap = 1;
  p->mark.iSeen = __atomic_load_n(&pWake->map.a[PRILL_WAKE_TURN], __ATOMIC_SEQ_CST)>>1;
}

/* Is it now within a turn of then?  The clock may have been set back. */
static int turnWithin(i64 msNow, i64 msThen){
  return msNow>=msThen && msNow-msThen<prillLimit.msTurn;
}

/* Choose where to sleep: the first database with a file "wake", main first. */
static void turnBegin(PrillTurn *p){
  PrillWake *pWake = p->pWake;
  p->usLeft = p->usWait;
  p->nWait++;
  p->bKeen = (u8)turnWithin(prillNow(p->pVfs), p->msPass);
  if( pWake==0 || !prillWakeMap(pWake, 1) ){
    for(pWake=p->pConn->pWakes; pWake && !prillWakeMap(pWake, 0); pWake=pWake->pNext){}
    if( pWake ) p->pWake = pWake;
  }
  if( pWake && !pWake->map.bReadOnly ){
    __atomic_add_fetch(&pWake->map.a[PRILL_WAKE_WAITS], 1, __ATOMIC_RELAXED);
  }
}

/* The busy handler: 1 to try again, 0 to give up.  nPrior: attempts before. */
static int turnBusy(void *pArg, int nPrior){
  PrillTurn *p = (PrillTurn*)pArg;
  i64 us, usSlept, msBegan;
  if( nPrior==0 ){
    turnBegin(p);
    turnSample(p);
    return 1;                         /* at once, now that the word is sampled */
  }
  if( p->usLeft<=0 ) return 0;
  us = PRILL_MIN(p->usLeft, TURN_SLICE);
  if( !p->mark.bMap ) us = PRILL_MIN(us, 1000*(i64)nPrior);
  msBegan = prillNow(p->pVfs);
  usSlept = us;
  if( !prillWakeSleep(p->pWake, p->pVfs, &p->mark, us) ){
    usSlept = PRILL_MIN(PRILL_MAX((prillNow(p->pVfs)-msBegan)*1000, 1), us);
    p->nWoken++;
  }
  p->usLeft -= usSlept;
  turnSample(p);
  return 1;
}

int prillTurnTimeout(PrillConn *pConn, int ms){
  PrillTurn *p = pConn->pTurn;
  if( ms<=0 ) return sqlite3_busy_handler(pConn->db, 0, 0);
  if( p==0 ){
    p = (PrillTurn*)sqlite3_malloc64(sizeof(*p));
    if( p==0 ) return SQLITE_NOMEM;
    memset(p, 0, sizeof(*p));
    p->pConn = pConn;
    p->pVfs = prillStoreVfs(pConn->db, "main");
    p->pWake = prillWakeGet(pConn, p->pVfs, sqlite3_db_filename(pConn->db, "main"));
    pConn->pTurn = p;
  }
  p->usWait = (i64)ms*1000;
  return sqlite3_busy_handler(pConn->db, turnBusy, p);
}

int prillTurnAllowed(PrillConn *pConn){
  return pConn->pTurn ? (int)(pConn->pTurn->usWait/1000) : 0;
}

void prillTurnCount(PrillConn *pConn, i64 *pnWait, i64 *pnWoken){
  *pnWait = pConn->pTurn ? pConn->pTurn->nWait : 0;
  *pnWoken = pConn->pTurn ? pConn->pTurn->nWoken : 0;
}

/* May the writer go on without waking anybody? */
static int turnHold(PrillTurn *p){
  i64 msNow;
  if( p==0 || p->nWait==0 ) return 0;
  msNow = p->msPass = prillNow(p->pVfs);
  if( p->bKeen ) p->msHold = msNow;
  p->bKeen = 0;
  return turnWithin(msNow, p->msHold);
}

int prillTurnPass(PrillStore *pStore){
  PrillWake *pWake = pStore->pWake;
  int bHold = turnHold(pStore->pConn->pTurn);
  u32 *pWord, v;
  if( pWake==0 || pWake->map.a==0 || pWake->map.bReadOnly ) return 0;
  pWord = &pWake->map.a[PRILL_WAKE_TURN];
  v = __atomic_add_fetch(pWord, 2, __ATOMIC_SEQ_CST);
  if( (v & 1)==0 || bHold ) return 0;
  if( prillFileWake(pWord, 1)>0 ) return 1;
  /* Nobody slept.  Who is about to sees the word change, and looks again. */
  __atomic_compare_exchange_n(pWord, &v, v & ~(u32)1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
  return 0;
}

void prillTurnYield(PrillStore *pStore){
  pStore->pVfs->xSleep(pStore->pVfs, TURN_YIELD);
}

void prillTurnFree(PrillConn *pConn){
  sqlite3_free(pConn->pTurn);
  pConn->pTurn = 0;
}
