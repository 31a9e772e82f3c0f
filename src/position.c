/*
** position.c: where a member of a consumer group stands, and how ROLLBACK
** takes it back.
**
** Layer 4.  Calls store, member, file.
**
** Reading a virtual table is not told of ROLLBACK: a record given inside a
** transaction must be given again when the transaction does not commit.  So
** there is a row, prill_store_position, one a member, with a number: the version
** of what the member knows.  What it knows under a version is memory
** (PrillKnown), and changes as records are given.  Before it changes inside a
** transaction, a new version is written to the row (Guard); whoever looks next
** compares the row with memory (Current): ROLLBACK, ROLLBACK TO and the failure
** of a statement have put the older number back, and with it goes what was
** known under it, all that was given until the newer one was written.
**
**   I1  A new version is needed only where something can come back to the one
**       there is: in another transaction, or when a savepoint was opened since
**       and still stands.  prill_store is a party to the transaction from the
**       first version on and is told of savepoints (stage.c).
**   I2  Versions that nothing can come back to are forgotten: there are never
**       more than open savepoints and two.
**   I3  A statement that writes another database than the store's has its
**       savepoint there alone.  The write of the row therefore opens a statement
**       journal of its own, and SQLite opens with it, before the write, every
**       savepoint that stands: the failure of the outer statement restores the
**       row.
**   I4  COMMIT and ROLLBACK are told too (PrillWatch), so that the row of a member
**       that was put out, which is gone, is not taken for one that was rolled back.
**   I5  A seat, that is a member id with the file held for it, is kept until no
**       version and no transaction can want it back.
**
** Crash story: the row is as the transaction it was written in.  The member of
** a process that died is dead, and the row goes with it.
*/
#include "prillPoll.h"

int prillPositionTxn(PrillPoll *p){
  sqlite3 *db = p->pConn->db;
  return !sqlite3_get_autocommit(db) || sqlite3_txn_state(db, 0)==SQLITE_TXN_WRITE;
}

/**************************************************************************
** Seats.
*/
static void positionSeatFree(PrillPoll *p, PrillSeat *pSeat){
  /* A process that was forked off frees a copy: the file is not its own. */
  if( pSeat->pHold && p->iProcess==prillFileProcess(0) ){
    (void)prillFileDelete(pSeat->pHold->pVfs, pSeat->pHold->zPath, 0);
  }
  prillFileClose(pSeat->pHold);
  sqlite3_free(pSeat->zMember);
  sqlite3_free(pSeat);
}

PrillSeat *prillPositionSeat(int *pRc, PrillPoll *p, PrillStore *pStore, const char *zMember){
  PrillSeat *pSeat;
  char *zPath;
  int bHeld = 0;
  int rc = SQLITE_OK;
  if( *pRc!=SQLITE_OK ) return 0;
  pSeat = (PrillSeat*)sqlite3_malloc64(sizeof(*pSeat));
  if( pSeat==0 ){
    *pRc = SQLITE_NOMEM;
    return 0;
  }
  memset(pSeat, 0, sizeof(*pSeat));
  pSeat->zMember = sqlite3_mprintf("%s", zMember);
  zPath = prillMemberPath(pStore, zMember);
  if( pSeat->zMember==0 || (zPath==0 && pStore->zDir) ) rc = SQLITE_NOMEM;
  if( rc==SQLITE_OK && zPath ){
    rc = prillStoreMakeDir(pStore, 0);
    if( rc==SQLITE_OK ){
      rc = prillFileHold(pStore->pVfs, zPath, pStore->zDb, &pSeat->pHold);
      if( rc==SQLITE_OK ) rc = prillFileHeld(pStore->pVfs, zPath, &bHeld);
      if( rc!=SQLITE_OK && rc!=SQLITE_NOMEM ){
        prillError(pStore->pConn, rc, "cannot make and lock %s; check permissions and space", zPath);
      }
    }
    pSeat->bLocks = (u8)bHeld;
  }
  sqlite3_free(zPath);
  if( rc!=SQLITE_OK ){
    positionSeatFree(p, pSeat);
    *pRc = rc;
    return 0;
  }
  pSeat->pNext = p->pSeats;
  p->pSeats = pSeat;
  return pSeat;
}

/* Give up the seats that no version has (I5).  Outside transactions. */
static void positionSeats(PrillPoll *p){
  PrillSeat **pp = &p->pSeats;
  while( *pp ){
    PrillSeat *pSeat = *pp;
    int i;
    for(i=0; i<p->nKnown && p->aKnown[i].pSeat!=pSeat; i++){}
    if( i<p->nKnown ){
      pp = &pSeat->pNext;
    }else{
      *pp = pSeat->pNext;
      positionSeatFree(p, pSeat);
    }
  }
}

/**************************************************************************
** Versions.
*/
static void positionDrop(PrillPoll *p, int i){
  sqlite3_free(p->aKnown[i].aSpot);
  prillBufFree(&p->aKnown[i].row);
  p->nKnown--;
  memmove(&p->aKnown[i], &p->aKnown[i+1], sizeof(PrillKnown)*(size_t)(p->nKnown-i));
}

void prillPositionFree(PrillPoll *p){
  prillWatchEnd(&p->watch);
  while( p->nKnown>0 ) positionDrop(p, p->nKnown-1);
  sqlite3_free(p->aKnown);
  p->aKnown = 0;
  p->nKnownAlloc = 0;
  positionSeats(p);
}

/* Room for one more; 0 with *pRc. */
static int positionRoom(int *pRc, PrillPoll *p){
  PrillKnown *a;
  int n = p->nKnownAlloc*2 + 2;
  if( *pRc!=SQLITE_OK ) return 0;
  if( p->nKnown<p->nKnownAlloc ) return 1;
  a = (PrillKnown*)sqlite3_realloc64(p->aKnown, sizeof(*a)*(u64)n);
  if( a==0 ){
    *pRc = SQLITE_NOMEM;
    return 0;
  }
  p->aKnown = a;
  p->nKnownAlloc = n;
  return 1;
}

/* The number in a member's row, 0 when there is none. */
static i64 positionRow(int *pRc, PrillPoll *p, PrillStore *pLook, const PrillSeat *pSeat){
  sqlite3_stmt *pStmt;
  i64 iVer = 0;
  if( pSeat==0 ) return 0;
  pStmt = prillStoreStmt(pLook, STMT_POSITION, pRc);
  if( pStmt==0 ) return 0;
  sqlite3_bind_text(pStmt, 1, p->conf.zGroup, -1, SQLITE_STATIC);
  sqlite3_bind_text(pStmt, 2, pSeat->zMember, -1, SQLITE_STATIC);
  if( sqlite3_step(pStmt)==SQLITE_ROW ) iVer = sqlite3_column_int64(pStmt, 0);
  prillStoreDone(pLook, pStmt, pRc);
  sqlite3_clear_bindings(pStmt);
  return iVer;
}

PrillKnown *prillPositionCurrent(int *pRc, PrillPoll *p, PrillStore *pLook){
  const PrillSeat *pSeat = 0;
  i64 iVer = 0;
  int i;
  if( *pRc!=SQLITE_OK ) return 0;
  if( p->nKnown==0 ){
    if( !positionRoom(pRc, p) ) return 0;
    memset(&p->aKnown[0], 0, sizeof(p->aKnown[0]));
    p->nKnown = 1;
  }
  p->iCut = p->pStore->iCut;
  if( !pLook->bExists ) return &p->aKnown[p->nKnown-1];
  for(i=p->nKnown-1; i>=0; i--){
    const PrillKnown *k = &p->aKnown[i];
    if( i==p->nKnown-1 || k->pSeat!=pSeat ) iVer = positionRow(pRc, p, pLook, k->pSeat);
    pSeat = k->pSeat;
    if( *pRc!=SQLITE_OK ) return 0;
    if( iVer==k->iVer ) break;
  }
  if( i<0 ) i = p->nKnown-1;          /* its row is gone, and it with it: the machine will say so */
  while( p->nKnown-1>i ){
    positionDrop(p, p->nKnown-1);
    p->iUndo++;
  }
  if( !p->bTxn ){
    while( p->nKnown>1 ) positionDrop(p, 0);
    positionSeats(p);
  }
  return &p->aKnown[p->nKnown-1];
}

/* Forget versions between the first and the last that no open savepoint can
** come back to (I2). */
static void positionPrune(PrillPoll *p){
  const PrillStage *pStage = p->pStore->pStage;
  int i, j;
  for(i=p->nKnown-2; i>=0; i--){
    const PrillKnown *k = &p->aKnown[i], *kNext = &p->aKnown[i+1];
    if( kNext->iTxn!=p->pStore->iTxn ){           /* it was committed over */
      positionDrop(p, i);
      continue;
    }
    if( k->iTxn!=p->pStore->iTxn ) continue;      /* the one before the transaction */
    for(j=0; j<pStage->nMark; j++){
      if( pStage->aMarkNo[j]>k->iMark && pStage->aMarkNo[j]<=kNext->iMark ) break;
    }
    if( j==pStage->nMark ) positionDrop(p, i);
  }
}

/* The transaction has ended: with COMMIT nothing comes back to what was before,
** with ROLLBACK nothing stays of what was written in it. */
static void positionEnd(PrillWatch *pWatch, int bCommit){
  PrillPoll *p = (PrillPoll*)pWatch;
  while( bCommit && p->nKnown>1 ) positionDrop(p, 0);
  while( !bCommit && p->nKnown>1 && p->aKnown[p->nKnown-1].iTxn==p->pStore->iTxn ){
    positionDrop(p, p->nKnown-1);
    p->iUndo++;
  }
}

/* Can something come back to what there is (I1)? */
static int positionExposed(const PrillPoll *p){
  const PrillStage *pStage = p->pStore->pStage;
  const PrillKnown *k = &p->aKnown[p->nKnown-1];
  if( pStage==0 || k->iVer==0 || k->iTxn!=p->pStore->iTxn ) return 1;
  return pStage->nMark>0 && pStage->aMarkNo[pStage->nMark-1]>k->iMark;
}

static void positionPut(int *pRc, PrillPoll *p, const PrillSeat *pSeat, i64 iVer){
  sqlite3_stmt *pStmt = prillStoreStmt(p->pStore, STMT_PUT_POSITION, pRc);
  if( pStmt==0 ) return;
  sqlite3_bind_text(pStmt, 1, p->conf.zGroup, -1, SQLITE_STATIC);
  sqlite3_bind_text(pStmt, 2, pSeat->zMember, -1, SQLITE_STATIC);
  sqlite3_bind_int64(pStmt, 3, iVer);
  sqlite3_step(pStmt);
  prillStoreDone(p->pStore, pStmt, pRc);
  sqlite3_clear_bindings(pStmt);
}

PrillKnown *prillPositionGuard(int *pRc, PrillPoll *p){
  PrillKnown *k, *kNew;
  if( *pRc!=SQLITE_OK ) return 0;
  assert( p->nKnown>0 );
  k = &p->aKnown[p->nKnown-1];
  if( !p->bTxn || !positionExposed(p) ) return k;
  *pRc = prillStoreParty(p->pStore);
  if( !positionRoom(pRc, p) ) return 0;
  k = &p->aKnown[p->nKnown-1];
  kNew = &p->aKnown[p->nKnown];
  *kNew = *k;
  memset(&kNew->row, 0, sizeof(kNew->row));
  kNew->aSpot = (PrillSpot*)sqlite3_malloc64(sizeof(PrillSpot)*(u64)k->nSpot + 1);
  if( kNew->aSpot==0 ){
    *pRc = SQLITE_NOMEM;
    return 0;
  }
  if( k->nSpot ) memcpy(kNew->aSpot, k->aSpot, sizeof(PrillSpot)*(size_t)k->nSpot);
  prillBufAppend(pRc, &kNew->row, k->row.a, k->row.n);
  kNew->iVer = ++p->iVer;
  kNew->iTxn = p->pStore->iTxn;
  kNew->iMark = p->pStore->iMark;
  if( k->iTxn!=kNew->iTxn ) kNew->bLost = 0;
  if( kNew->pSeat ) positionPut(pRc, p, kNew->pSeat, kNew->iVer);
  p->nKnown++;
  if( *pRc!=SQLITE_OK ){
    positionDrop(p, p->nKnown-1);
    return 0;
  }
  positionPrune(p);
  p->watch.xEnd = positionEnd;
  prillWatch(p->pStore, &p->watch);
  return &p->aKnown[p->nKnown-1];
}

PrillSpot *prillPositionSpot(const PrillKnown *k, i64 iPid){
  int lo = 0, hi = k->nSpot;
  while( lo<hi ){
    int mid = (lo+hi)/2;
    if( k->aSpot[mid].iPid<iPid ) lo = mid+1; else hi = mid;
  }
  return lo<k->nSpot && k->aSpot[lo].iPid==iPid ? &k->aSpot[lo] : 0;
}

int prillPositionSit(PrillPoll *p, PrillSeat *pSeat){
  PrillKnown *k = &p->aKnown[p->nKnown-1];
  int rc = SQLITE_OK;
  k->pSeat = pSeat;
  if( p->bTxn ) positionPut(&rc, p, pSeat, k->iVer);
  return rc;
}
