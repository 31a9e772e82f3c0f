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
