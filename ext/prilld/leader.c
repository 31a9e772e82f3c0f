/*
** leader.c: leadership of partitions.
**
** One node leads every partition of its store.  What a leader epoch means is
** kept all the same: each start of the daemon begins a new one, records carry
** the epoch they were written in, and a client that believes in another is told so.
*/
#include "prilld.h"

i16 prilldLeaderCheck(const PrillPart *p, i32 iClaim){
  if( iClaim<0 || iClaim==p->x.iEpoch ) return KE_NONE;
  return iClaim<p->x.iEpoch ? KE_FENCED_LEADER_EPOCH : KE_UNKNOWN_LEADER_EPOCH;
}

int prilldLeaderStart(PrilldWriter *p){
  p->pStore->bDirty = 1;               /* what is cached is read anew */
  return prillStoreExec(p->pStore, "UPDATE \"%w\".prill_store_part SET epoch=epoch+1;"
                        "UPDATE \"%w\".prill_store_state SET extent=extent+1+abs(random()%%65536) WHERE id=0");
}

/* Epochs never fall along a log: a search by halves finds the first batch of a
** later one, and its base is the end. */
int prilldLeaderEpochEnd(PrillPart *pPart, i32 iEpoch, i32 *piEpoch, i64 *piEnd){
  i64 iLo = pPart->x.iLogStart, iHi = prillPartEnd(pPart), iPos;
  PrillBuf buf = {0, 0, 0};
  PrillBatch b;
  int iWhere, bValid, rc = SQLITE_ROW;
  *piEpoch = -1;
  *piEnd = -1;
  if( iEpoch<0 || iEpoch>pPart->x.iEpoch ) return SQLITE_OK;
  *piEpoch = iEpoch;
  *piEnd = iHi;
  if( iEpoch==pPart->x.iEpoch ) return SQLITE_OK;
  /* Below iLo: epochs up to iEpoch.  From iHi on: later ones, or nothing. */
  while( iLo<iHi ){
    i64 iMid = iLo + (iHi-iLo)/2;
    rc = prillScanBatchAt(pPart, iMid, &b, &buf, &iWhere, &iPos, &bValid);
    if( rc!=SQLITE_ROW && rc!=SQLITE_DONE ) break;
    if( rc==SQLITE_DONE || b.iEpoch>iEpoch ){
      iHi = rc==SQLITE_DONE ? iMid : PRILL_MAX(PRILL_MIN(b.iBase, iMid), iLo);
      if( rc==SQLITE_ROW ) *piEnd = PRILL_MAX(b.iBase, pPart->x.iLogStart);
    }else{
      *piEpoch = b.iEpoch;
      iLo = b.iBase + b.dLast + 1;
    }
  }
  prillBufFree(&buf);
  return rc==SQLITE_ROW || rc==SQLITE_DONE ? SQLITE_OK : rc;
}
