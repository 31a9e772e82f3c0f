/*
** api_group.c: JoinGroup, SyncGroup, Heartbeat, LeaveGroup: requests to events
** of the group's machine, which answers now or later (coordinator.c).
*/
#include "group.h"

#define GROUP_MX_DATA (1<<20)   /* of a member: what Kafka can write in one record */
#define GROUP_SMALL 4096        /* a member already there may always bring so much */

/* Does a request bring more members' data than there is room for?  Kafka's error. */
static i16 groupRoom(const Prilld *pD, i64 nByte, int bNew){
  if( nByte>GROUP_MX_DATA ) return KE_MESSAGE_TOO_LARGE;
  return (bNew || nByte>GROUP_SMALL) && prilldGroupFull(pD) ? KE_COORDINATOR_NOT_AVAILABLE : KE_NONE;
}

/* The machine answers p: it is parked until then. */
static void groupPark(PrilldReq *p){
  p->bParked = 1;
  p->nPending++;
}
static void groupUnpark(PrilldReq *p){
  p->bParked = 0;
  p->nPending--;
}

static void groupEventInit(PrilldReq *p, PrillGroupEvent *pEv, int eType, WireStr member, WireStr instance){
  memset(pEv, 0, sizeof(*pEv));
  pEv->eType = eType;
  pEv->iGeneration = -1;
  pEv->zMember = prilldReqText(p, member);
  pEv->zInstance = prilldReqText(p, instance);
  pEv->iReq = (u64)(size_t)p;
}

static void groupJoinRefuse(PrilldReq *p, i16 iErr){
  const WireJoinGroupReq *pIn = (const WireJoinGroupReq*)p->pIn;
  WireJoinGroupResp *pOut = (WireJoinGroupResp*)p->pOut;
  pOut->errorCode = iErr;
  pOut->generationId = -1;
  pOut->protocolType = prilldStr(0);
  pOut->protocolName = prilldStr(p->h.iVer>=7 ? 0 : "");
  pOut->memberId = pIn->memberId;
  prilldReqReply(p);
}

void prilldApiJoinGroup(PrilldReq *p){
  const WireJoinGroupReq *pIn = (const WireJoinGroupReq*)p->pIn;
  PrillGroupEvent ev;
  PrillProtocol *aProto;
  PrilldGroup *pGroup;
  i16 iErr = KE_NONE;
  i64 nByte = 0;
  i32 i;
  sqlite3_vfs *pVfs = p->pD->view.pStore->pVfs;
  for(i=0; i<pIn->nProtocols; i++) nByte += pIn->protocols[i].metadata.n + pIn->protocols[i].name.n + 16;
  iErr = groupRoom(p->pD, nByte, pIn->memberId.n==0);
  if( iErr ){
    groupJoinRefuse(p, iErr);
    return;
  }
  pGroup = prilldGroupGet(p->pD, pIn->groupId, pIn->memberId.n==0, &iErr);
  if( pGroup==0 ){
    groupJoinRefuse(p, iErr ? iErr : KE_UNKNOWN_MEMBER_ID);
    return;
  }
  groupEventInit(p, &ev, PRILL_EV_JOIN, pIn->memberId, p->h.iVer>=5 ? pIn->groupInstanceId : prilldStr(0));
  aProto = (PrillProtocol*)prilldReqAlloc(p, (i64)sizeof(*aProto)*pIn->nProtocols);
  if( aProto==0 ) return;
  for(i=0; i<pIn->nProtocols; i++){
    aProto[i].zName = prilldReqText(p, pIn->protocols[i].name);
    aProto[i].aMeta = pIn->protocols[i].metadata.a;
    aProto[i].nMeta = pIn->protocols[i].metadata.n;
  }
  ev.aProto = aProto;
  ev.nProto = pIn->nProtocols;
  ev.zProtocolType = prilldReqText(p, pIn->protocolType);
  ev.zClient = prilldReqText(p, p->h.client.n>=0 ? p->h.client : prilldStr(""));
  ev.zHost = prilldReqPrint(p, "/%s", prilldConnPeer(p->pConn)).z;
  ev.msSession = pIn->sessionTimeoutMs;
  ev.msRebalance = p->h.iVer>=1 ? pIn->rebalanceTimeoutMs : pIn->sessionTimeoutMs;
  ev.bRequireId = p->h.iVer>=4;
  ev.bSkip = p->h.iVer>=9;
  pVfs->xRandomness(pVfs, sizeof(ev.aRandom), (char*)ev.aRandom);
  groupPark(p);
  iErr = prilldGroupEvent(pGroup, &ev);
  if( iErr==KE_COORDINATOR_NOT_AVAILABLE ){
    groupUnpark(p);
    groupJoinRefuse(p, iErr);
  }
}

void prilldApiSyncGroup(PrilldReq *p){
  const WireSyncGroupReq *pIn = (const WireSyncGroupReq*)p->pIn;
  WireSyncGroupResp *pOut = (WireSyncGroupResp*)p->pOut;
  PrillGroupEvent ev;
  PrillGrant *aGrant;
  i16 iErr;
  i64 nByte = 0;
  i32 i;
  PrilldGroup *pGroup;
  pOut->protocolType = pOut->protocolName = prilldStr(0);
  for(i=0; i<pIn->nAssignments; i++) nByte += pIn->assignments[i].assignment.n;
  iErr = groupRoom(p->pD, nByte, 0);
  pGroup = iErr==KE_NONE ? prilldGroupGet(p->pD, pIn->groupId, 0, &iErr) : 0;
  if( pGroup==0 ){
    pOut->errorCode = iErr ? iErr : KE_UNKNOWN_MEMBER_ID;
    prilldReqReply(p);
    return;
  }
  groupEventInit(p, &ev, PRILL_EV_SYNC, pIn->memberId, p->h.iVer>=3 ? pIn->groupInstanceId : prilldStr(0));
  aGrant = (PrillGrant*)prilldReqAlloc(p, (i64)sizeof(*aGrant)*pIn->nAssignments);
  if( aGrant==0 ) return;
  for(i=0; i<pIn->nAssignments; i++){
    aGrant[i].zMember = prilldReqText(p, pIn->assignments[i].memberId);
    aGrant[i].a = pIn->assignments[i].assignment.a;
    aGrant[i].n = pIn->assignments[i].assignment.n;
  }
  ev.aGrant = aGrant;
  ev.nGrant = pIn->nAssignments;
  ev.iGeneration = pIn->generationId;
  if( p->h.iVer>=5 ){
    ev.zProtocolType = prilldReqText(p, pIn->protocolType);
    ev.zProtocol = prilldReqText(p, pIn->protocolName);
  }
  groupPark(p);
  iErr = prilldGroupEvent(pGroup, &ev);
  if( iErr==KE_COORDINATOR_NOT_AVAILABLE ){
    groupUnpark(p);
    pOut->errorCode = iErr;
    prilldReqReply(p);
  }
}

void prilldApiHeartbeat(PrilldReq *p){
  const WireHeartbeatReq *pIn = (const WireHeartbeatReq*)p->pIn;
  WireHeartbeatResp *pOut = (WireHeartbeatResp*)p->pOut;
  PrillGroupEvent ev;
  i16 iErr = KE_NONE;
  PrilldGroup *pGroup = prilldGroupGet(p->pD, pIn->groupId, 0, &iErr);
  if( pGroup ){
    groupEventInit(p, &ev, PRILL_EV_HEARTBEAT, pIn->memberId, p->h.iVer>=3 ? pIn->groupInstanceId : prilldStr(0));
    ev.iGeneration = pIn->generationId;
    iErr = prilldGroupEvent(pGroup, &ev);
  }else if( iErr==KE_NONE ){
    iErr = KE_UNKNOWN_MEMBER_ID;
  }
  pOut->errorCode = iErr;
  prilldReqReply(p);
}

static i16 groupLeave(PrilldReq *p, WireStr group, WireStr member, WireStr instance){
  PrillGroupEvent ev;
  i16 iErr = KE_NONE;
  PrilldGroup *pGroup = prilldGroupGet(p->pD, group, 0, &iErr);
  if( pGroup==0 ) return iErr ? iErr : KE_UNKNOWN_MEMBER_ID;
  groupEventInit(p, &ev, PRILL_EV_LEAVE, member, instance);
  return prilldGroupEvent(pGroup, &ev);
}

void prilldApiLeaveGroup(PrilldReq *p){
  const WireLeaveGroupReq *pIn = (const WireLeaveGroupReq*)p->pIn;
  WireLeaveGroupResp *pOut = (WireLeaveGroupResp*)p->pOut;
  i32 i;
  if( p->h.iVer<3 ){
    pOut->errorCode = groupLeave(p, pIn->groupId, pIn->memberId, prilldStr(0));
    prilldGroupReply(p, pIn->groupId);
    return;
  }
  if( pIn->groupId.n<=0 ){
    pOut->errorCode = KE_INVALID_GROUP_ID;
    prilldReqReply(p);
    return;
  }
  pOut->members = (WireLeaveGroupRespMembers*)prilldReqAlloc(p, (i64)sizeof(*pOut->members)*pIn->nMembers);
  if( pOut->members==0 ) return;
  pOut->nMembers = pIn->nMembers;
  for(i=0; i<pIn->nMembers; i++){
    pOut->members[i].memberId = pIn->members[i].memberId;
    pOut->members[i].groupInstanceId = pIn->members[i].groupInstanceId;
    pOut->members[i].errorCode = groupLeave(p, pIn->groupId, pIn->members[i].memberId, pIn->members[i].groupInstanceId);
  }
  prilldGroupReply(p, pIn->groupId);
}
