/*
** share.c: a queue's records: which of a topic's are acquired, by whom, until
** when; which are done.  Kafka's share groups (KIP-932), on rows.
**
** Layer 4.  Calls store, scan, stage, place, offset.
**
** THE ROWS, of table prill_store_share, by group and partition (pid):
**
**   block -1     "locked" is the first offset that was never looked at, NEXT
**   block b>=0   offsets 256*b to 256*b+255: how many are locked, when the
**                first of them falls due, and their states
**
** A record is FREE (may be delivered, not before a time), HELD (by a member
** until a time), ACKED or ARCHIVED (rejected, delivered too often, or gone from
** the log).  The last two are final: done.
**
**   I1  A block below NEXT without a row is done, all of it that is below NEXT.
**       So acknowledging deletes rows in the end, and what is acknowledged
**       takes no room, in whatever order it was.
**   I2  A row's states go from its first offset to the last below NEXT.
**   I3  "due" is the least time of the block's FREE and HELD records: 0, not_before
**       or the end of the lock.  NULL: none.  Delayed records, a million of them,
**       cost nothing until they fall due.
**   I4  A lock counts while its end is later than now.  An expired one is seen to
**       by the next taker: delivered again, or, delivered max times, archived.
**   I5  At most PRILL_SHARE_LOCKS records of a partition are locked.
**   I6  A dead letter is appended in the transaction that archives its record.
**
** States in a row, one after the other: unsigned varint number of records;
** byte state; for FREE and HELD unsigned varints deliveries, not_before; for HELD
** unsigned varint end of the lock and 8 bytes member.
**
** Crash story: rows and staged records; SQLite's COMMIT decides.
*/
#include "prillShare.h"

static const char *const azShare[SHARE_N] = {
  [SHARE_GET] = "SELECT state FROM \"%w\".prill_store_share WHERE grp=?1 AND pid=?2 AND block=?3",
  [SHARE_PUT] = "INSERT INTO \"%w\".prill_store_share(grp, pid, block, locked, due, state) VALUES(?1,?2,?3,?4,?5,?6)"
                " ON CONFLICT(grp, pid, block) DO UPDATE SET locked=excluded.locked, due=excluded.due,"
                " state=excluded.state",
  [SHARE_DEL] = "DELETE FROM \"%w\".prill_store_share WHERE grp=?1 AND pid=?2 AND block=?3",
  [SHARE_TRIM] = "DELETE FROM \"%w\".prill_store_share WHERE grp=?1 AND pid=?2 AND block>=0 AND block<?3",
  [SHARE_DUE] = "SELECT block, due FROM \"%w\".prill_store_share WHERE grp=?1 AND pid=?2 AND due IS NOT NULL"
                " ORDER BY due, block LIMIT 1",
  [SHARE_LOCKED] = "SELECT block, locked FROM \"%w\".prill_store_share WHERE grp=?1 AND pid=?2 AND block>=?3"
                   " AND locked>0 ORDER BY block",
  [SHARE_NEXT] = "SELECT locked FROM \"%w\".prill_store_share WHERE grp=?1 AND pid=?2 AND block=-1",
  [SHARE_PUT_NEXT] = "INSERT OR REPLACE INTO \"%w\".prill_store_share(grp, pid, block, locked) VALUES(?1,?2,-1,?3)",
  [SHARE_FIRST] = "SELECT block FROM \"%w\".prill_store_share WHERE grp=?1 AND pid=?2 AND block>=0"
                  " ORDER BY block LIMIT 1",
  [SHARE_AFTER] = "SELECT due FROM \"%w\".prill_store_share WHERE grp=?1 AND pid=?2 AND due>?3 ORDER BY due LIMIT 1",
  [SHARE_KIND] = "SELECT kind FROM \"%w\".prill_store_group WHERE grp=?1",
};

/* Statement e with group and pid bound; NULL with *pRc. */
static sqlite3_stmt *shareStmt(PrillShare *p, int e, i64 iPid, int *pRc){
  if( *pRc!=SQLITE_OK ) return 0;
  if( p->aStmt[e]==0 ) *pRc = prillStorePrepare(p->pStore, &p->aStmt[e], azShare[e]);
  if( *pRc!=SQLITE_OK ) return 0;
  sqlite3_bind_text(p->aStmt[e], 1, p->zGroup, -1, SQLITE_STATIC);
  if( e!=SHARE_KIND ) sqlite3_bind_int64(p->aStmt[e], 2, iPid);
  return p->aStmt[e];
}

/* Step a statement that gives no rows. */
static void shareRun(PrillShare *p, sqlite3_stmt *pStmt, int *pRc){
  if( *pRc!=SQLITE_OK ) return;
  sqlite3_step(pStmt);
  prillStoreDone(p->pStore, pStmt, pRc);
}

void prillShareFree(PrillShare *p){
  int i;
  for(i=0; i<SHARE_N; i++){
    sqlite3_finalize(p->aStmt[i]);
    p->aStmt[i] = 0;
  }
  prillPlaceFree(&p->placer);
}

/* The kind of the group, 0: nobody's yet; an error where it is not a queue's. */
int prillShareKind(PrillShare *p, int *peKind){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = shareStmt(p, SHARE_KIND, 0, &rc);
  *peKind = 0;
  if( pStmt ){
    if( sqlite3_step(pStmt)==SQLITE_ROW ) *peKind = sqlite3_column_int(pStmt, 0);
    prillStoreDone(p->pStore, pStmt, &rc);
  }
  if( rc!=SQLITE_OK || *peKind==0 || *peKind==PRILL_KIND_QUEUE ) return rc;
  return prillError(p->pStore->pConn, SQLITE_ERROR, "group %s is a consumer group; a queue needs a name of its"
                    " own: choose another", p->zGroup);
}

int prillShareOwn(PrillShare *p){
  PrillBuf none = {0,0,0};
  int eKind;
  int rc = prillShareKind(p, &eKind);
  if( rc!=SQLITE_OK || eKind==PRILL_KIND_QUEUE ) return rc;
  return prillGroupRowPut(p->pStore, p->zGroup, PRILL_KIND_QUEUE, &none);
}

int prillShareMay(PrillShare *p){
  int rc = SQLITE_OK;
  (void)shareStmt(p, SHARE_PUT, 0, &rc);
  return rc;
}

/**************************************************************************
** Rows.
*/
static int shareDamaged(PrillShare *p, const PrillPart *pPart){
  return prillError(p->pStore->pConn, PRILL_CORRUPT, "queue group %s: its state in topic %s partition %d is damaged;"
                    " restore the database from a backup", p->zGroup, pPart->pTopic->zName, pPart->iPart);
}

static int shareNext(PrillShare *p, PrillPart *pPart, i64 *piNext){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = shareStmt(p, SHARE_NEXT, pPart->iPid, &rc);
  *piNext = 0;
  if( pStmt ){
    if( sqlite3_step(pStmt)==SQLITE_ROW ) *piNext = sqlite3_column_int64(pStmt, 0);
    prillStoreDone(p->pStore, pStmt, &rc);
  }
  return rc==SQLITE_OK && *piNext<0 ? shareDamaged(p, pPart) : rc;
}

/* The block in column 0 of the statement's first row, -1 without one; then the
** statement is done with.  There are none from NEXT on (I1). */
static int shareBlock(PrillShare *p, PrillPart *pPart, sqlite3_stmt *pStmt, i64 iNext, i64 *piBlock, i64 *pmsDue){
  int rc = SQLITE_OK;
  *piBlock = -1;
  if( sqlite3_step(pStmt)==SQLITE_ROW ){
    *piBlock = sqlite3_column_int64(pStmt, 0);
    if( pmsDue ) *pmsDue = sqlite3_column_int64(pStmt, 1);
  }
  prillStoreDone(p->pStore, pStmt, &rc);
  if( rc!=SQLITE_OK || *piBlock<0 ) return rc;
  return *piBlock>iNext/PRILL_SHARE_BLOCK || *piBlock*PRILL_SHARE_BLOCK>=iNext ? shareDamaged(p, pPart) : SQLITE_OK;
}

static int sharePutNext(PrillShare *p, PrillPart *pPart, i64 iNext){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = shareStmt(p, SHARE_PUT_NEXT, pPart->iPid, &rc);
  if( pStmt ) sqlite3_bind_int64(pStmt, 3, iNext);
  shareRun(p, pStmt, &rc);
  return rc;
}

/* Offsets of a block below iNext. */
static int shareKnown(i64 iBlock, i64 iNext){
  i64 n = iNext - iBlock*PRILL_SHARE_BLOCK;
  return (int)PRILL_MAX(0, PRILL_MIN(n, PRILL_SHARE_BLOCK));
}

/* One run of states: bytes used, 0 when damaged. */
static i64 shareDecodeRun(const u8 *a, const u8 *aEnd, i64 *pn, PrillCell *pCell){
  const u8 *z = a;
  u64 n = 0, v[3] = {0,0,0};
  int i, k, nVal;
  memset(pCell, 0, sizeof(*pCell));
  k = prillUvarintGet(z, aEnd, &n);
  z += k;
  if( k==0 || n==0 || n>PRILL_SHARE_BLOCK || z>=aEnd ) return 0;
  pCell->eState = *z++;
  if( pCell->eState<PRILL_CELL_FREE || pCell->eState>PRILL_CELL_ARCHIVED ) return 0;
  nVal = pCell->eState==PRILL_CELL_HELD ? 3 : pCell->eState==PRILL_CELL_FREE ? 2 : 0;
  for(i=0; i<nVal; i++){
    k = prillUvarintGet(z, aEnd, &v[i]);
    if( k==0 || v[i]>(u64)PRILL_I64MAX ) return 0;
    z += k;
  }
  if( v[0]>0x7ffffff0 ) return 0;
  pCell->nDeliver = (i32)v[0];
  pCell->msNot = (i64)v[1];
  pCell->msUntil = (i64)v[2];
  if( pCell->eState==PRILL_CELL_HELD ){
    if( aEnd-z<8 ) return 0;
    pCell->iMember = (u64)prillGet64(z);
    z += 8;
  }
  *pn = (i64)n;
  return z-a;
}

int prillShareDecode(const u8 *a, i64 n, int nKnown, PrillCell *aCell){
  const u8 *aEnd = a+n;
  int nCell = 0;
  while( a<aEnd ){
    PrillCell c;
    i64 nRun = 0;
    i64 nByte = shareDecodeRun(a, aEnd, &nRun, &c);
    if( nByte==0 || nCell+nRun>nKnown ) return PRILL_CORRUPT;
    while( nRun-->0 ) aCell[nCell++] = c;
    a += nByte;
  }
  return nCell==nKnown ? SQLITE_OK : PRILL_CORRUPT;
}

/* The states of a block, to aCell (I1, I2). */
static int shareLoad(PrillShare *p, PrillPart *pPart, i64 iBlock, i64 iNext){
  int nKnown = shareKnown(iBlock, iNext);
  int i;
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt;
  memset(p->aCell, 0, sizeof(p->aCell));
  if( nKnown==0 ) return SQLITE_OK;
  pStmt = shareStmt(p, SHARE_GET, pPart->iPid, &rc);
  if( pStmt==0 ) return rc;
  sqlite3_bind_int64(pStmt, 3, iBlock);
  if( sqlite3_step(pStmt)==SQLITE_ROW ){
    const u8 *a = (const u8*)sqlite3_column_blob(pStmt, 0);
    rc = prillShareDecode(a ? a : (const u8*)"", sqlite3_column_bytes(pStmt, 0), nKnown, p->aCell);
    if( rc!=SQLITE_OK ) rc = shareDamaged(p, pPart);
  }else{
    for(i=0; i<nKnown; i++) p->aCell[i].eState = PRILL_CELL_ACKED;
  }
  prillStoreDone(p->pStore, pStmt, &rc);
  return rc;
}

static int shareSame(const PrillCell *a, const PrillCell *b){
  return a->eState==b->eState && a->nDeliver==b->nDeliver && a->msNot==b->msNot && a->msUntil==b->msUntil
      && a->iMember==b->iMember;
}

static void shareEncodeRun(int *pRc, PrillBuf *pBuf, const PrillCell *c, int n){
  u8 a[8];
  prillBufUvarint(pRc, pBuf, (u64)n);
  prillBufAppend(pRc, pBuf, &c->eState, 1);
  if( c->eState!=PRILL_CELL_FREE && c->eState!=PRILL_CELL_HELD ) return;
  prillBufUvarint(pRc, pBuf, (u64)c->nDeliver);
  prillBufUvarint(pRc, pBuf, (u64)c->msNot);
  if( c->eState!=PRILL_CELL_HELD ) return;
  prillBufUvarint(pRc, pBuf, (u64)c->msUntil);
  prillPut64(a, (i64)c->iMember);
  prillBufAppend(pRc, pBuf, a, 8);
}

/* aCell to its row, or the row away when all is done (I1). */
static int shareStore(PrillShare *p, PrillPart *pPart, i64 iBlock, i64 iNext){
  int nKnown = shareKnown(iBlock, iNext);
  int i, j, nLocked = 0;
  i64 msDue = -1;
  int rc = SQLITE_OK;
  PrillBuf buf = {0,0,0};
  sqlite3_stmt *pStmt;
  for(i=0; i<nKnown; i++){
    const PrillCell *c = &p->aCell[i];
    i64 ms = c->eState==PRILL_CELL_HELD ? c->msUntil : c->msNot;
    nLocked += c->eState==PRILL_CELL_HELD;
    if( c->eState<=PRILL_CELL_HELD && (msDue<0 || ms<msDue) ) msDue = ms;
  }
  if( msDue<0 ){
    pStmt = shareStmt(p, SHARE_DEL, pPart->iPid, &rc);
    if( pStmt ) sqlite3_bind_int64(pStmt, 3, iBlock);
    shareRun(p, pStmt, &rc);
    return rc;
  }
  for(i=0; i<nKnown; i=j){
    for(j=i+1; j<nKnown && shareSame(&p->aCell[i], &p->aCell[j]); j++){}
    shareEncodeRun(&rc, &buf, &p->aCell[i], j-i);
  }
  pStmt = shareStmt(p, SHARE_PUT, pPart->iPid, &rc);
  if( pStmt ){
    sqlite3_bind_int64(pStmt, 3, iBlock);
    sqlite3_bind_int(pStmt, 4, nLocked);
    sqlite3_bind_int64(pStmt, 5, msDue);
    rc = sqlite3_bind_blob64(pStmt, 6, buf.a, (u64)buf.n, SQLITE_STATIC);
    shareRun(p, pStmt, &rc);
    sqlite3_bind_null(pStmt, 6);
  }
  prillBufFree(&buf);
  return rc;
}

/* How many records of the partition are locked. */
static int shareLocked(PrillShare *p, PrillPart *pPart, i64 *pn){
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt = shareStmt(p, SHARE_LOCKED, pPart->iPid, &rc);
  *pn = 0;
  if( pStmt ){
    sqlite3_bind_int64(pStmt, 3, 0);
    while( sqlite3_step(pStmt)==SQLITE_ROW ) *pn += PRILL_MIN(sqlite3_column_int64(pStmt, 1), PRILL_SHARE_BLOCK);
    prillStoreDone(p->pStore, pStmt, &rc);
  }
  return rc;
}

static void shareHold(int *pRc, PrillHolds *p, PrillPart *pPart, i64 iOff, const PrillCell *c){
  PrillHeld *h;
  if( *pRc!=SQLITE_OK ) return;
  if( p->n>=p->nAlloc ){
    int nNew = p->nAlloc*2 + 16;
    PrillHeld *a = (PrillHeld*)sqlite3_realloc64(p->a, sizeof(*a)*(u64)nNew);
    if( a==0 ){
      *pRc = SQLITE_NOMEM;
      return;
    }
    p->a = a;
    p->nAlloc = nNew;
  }
  h = &p->a[p->n++];
  h->iPid = pPart->iPid;
  h->iOff = iOff;
  h->msUntil = c->msUntil;
  h->msNot = c->msNot;
  h->nDeliver = c->nDeliver;
}

/**************************************************************************
** Dead letters.
*/

/* One header more: its bytes as a record has them. */
static void shareHeader(int *pRc, PrillBuf *pBuf, i32 *pn, const char *zName, const char *zVal){
  i64 nName = (i64)strlen(zName), nVal = (i64)strlen(zVal);
  prillBufVarint(pRc, pBuf, nName);
  prillBufAppend(pRc, pBuf, zName, nName);
  prillBufVarint(pRc, pBuf, nVal);
  prillBufAppend(pRc, pBuf, zVal, nVal);
  (*pn)++;
}

static void shareHeaderInt(int *pRc, PrillBuf *pBuf, i32 *pn, const char *zName, i64 v){
  char z[32];
  sqlite3_snprintf(sizeof(z), z, "%lld", v);
  shareHeader(pRc, pBuf, pn, zName, z);
}

/* Append *pRec, in whatever partition; larger than the topic allows, its headers
** alone: a dead letter must not keep its record from being archived. */
static int shareAppendDead(PrillShare *p, PrillTopic *pDead, PrillRecord *pRec, i64 nOwnFrom, i32 nOwn){
  i64 iPart = 0;
  int rc = prillPlace(&p->placer, pDead, pRec, &iPart);
  if( rc==SQLITE_OK ) rc = prillStageAppend(pDead->apPart[iPart], pRec);
  if( rc==SQLITE_TOOBIG ){
    pRec->pKey = pRec->pVal = 0;
    pRec->nKey = pRec->nVal = -1;
    pRec->pHdr += nOwnFrom;
    pRec->nHdrByte -= (i32)nOwnFrom;
    pRec->nHdr = nOwn;
    rc = prillStageAppend(pDead->apPart[iPart], pRec);
  }
  if( rc==SQLITE_TOOBIG ){
    rc = prillError(p->pStore->pConn, rc, "topic %s: max.message.bytes=%lld has no room for a dead letter;"
                    " UPDATE prill_config to raise it", pDead->zName, pDead->cfg.szMessage);
  }
  return rc;
}

/* Write the dead letter of a record, if there is a topic for it and the record
** is still there (I6). */
static int shareDead(PrillShare *p, PrillPart *pPart, i64 iOff, int nDeliver, const char *zWhy, i64 now){
  PrillTopic *pDead;
  PrillScan *pScan = 0;
  PrillRange r;
  PrillRecord rec;
  PrillBuf buf = {0,0,0};
  i64 nKey, nVal, nHdr;
  i32 nOwn = 0;
  int rc;
  if( p->zDead==0 ) return SQLITE_OK;
  pDead = prillStoreTopic(p->pStore, p->zDead);
  if( pDead==0 ){
    return prillError(p->pStore->pConn, SQLITE_ERROR, "queue group %s: its dead_letter topic %s does not exist;"
                      " create it", p->zGroup, p->zDead);
  }
  memset(&r, 0, sizeof(r));
  r.iFrom = r.iTo = iOff;
  r.iTsFrom = PRILL_I64MIN;
  r.iTsTo = PRILL_I64MAX;
  memset(&rec, 0, sizeof(rec));
  rc = prillScanOpen(pPart, &r, &pScan);
  if( rc==SQLITE_OK ) rc = prillScanNext(pScan, &rec);
  if( rc!=SQLITE_ROW ){
    prillScanClose(pScan);
    return rc==SQLITE_DONE ? SQLITE_OK : rc;
  }
  rc = SQLITE_OK;
  nKey = PRILL_MAX(rec.nKey, 0);
  nVal = PRILL_MAX(rec.nVal, 0);
  nHdr = rec.nHdrByte;
  if( nKey ) prillBufAppend(&rc, &buf, rec.pKey, nKey);
  if( nVal ) prillBufAppend(&rc, &buf, rec.pVal, nVal);
  if( nHdr ) prillBufAppend(&rc, &buf, rec.pHdr, nHdr);
  shareHeader(&rc, &buf, &nOwn, "prill.dead.reason", zWhy);
  shareHeader(&rc, &buf, &nOwn, "prill.dead.group", p->zGroup);
  shareHeader(&rc, &buf, &nOwn, "prill.dead.topic", pPart->pTopic->zName);
  shareHeaderInt(&rc, &buf, &nOwn, "prill.dead.partition", pPart->iPart);
  shareHeaderInt(&rc, &buf, &nOwn, "prill.dead.offset", iOff);
  shareHeaderInt(&rc, &buf, &nOwn, "prill.dead.timestamp", rec.iTs);
  shareHeaderInt(&rc, &buf, &nOwn, "prill.dead.deliveries", nDeliver);
  if( rc==SQLITE_OK ){
    rec.pKey = rec.nKey>=0 ? buf.a : 0;
    rec.pVal = rec.nVal>=0 ? buf.a+nKey : 0;
    rec.pHdr = buf.a+nKey+nVal;
    rec.nHdrByte = (i32)(buf.n-nKey-nVal);
    rec.nHdr += nOwn;
    rec.iTs = now;
    rc = shareAppendDead(p, pDead, &rec, nHdr, nOwn);
  }
  prillScanClose(pScan);
  prillBufFree(&buf);
  return rc;
}

static void shareArchive(PrillCell *c, int eState){
  memset(c, 0, sizeof(*c));
  c->eState = (u8)eState;
}

/**************************************************************************
** Taking.
*/

/* A record's header not_before, milliseconds since 1970 in decimal; the last one
** counts.  0: none, or none that can be read. */
static i64 shareNotBefore(const PrillRecord *pRec){
  const u8 *a = pRec->pHdr, *aEnd = a+pRec->nHdrByte;
  i64 ms = 0;
  int i;
  for(i=0; i<pRec->nHdr; i++){
    i64 n = 0, v = 0, j;
    const u8 *zName;
    int k = prillVarintGet(a, aEnd, &n);
    if( k==0 || n<0 || n>aEnd-a-k ) return 0;
    zName = a+k;
    a += k+n;
    k = prillVarintGet(a, aEnd, &v);
    if( k==0 || v>aEnd-a-k ) return 0;
    a += k;
    if( n==10 && memcmp(zName, "not_before", 10)==0 ){
      ms = 0;
      for(j=0; j<v && j<18 && a[j]>='0' && a[j]<='9'; j++) ms = ms*10 + (a[j]-'0');
      if( j<v ) ms = 0;
    }
    if( v>0 ) a += v;
  }
  return ms;
}

static void shareAcquire(int *pRc, PrillShare *p, PrillPart *pPart, i64 iOff, PrillCell *c, i64 now,
                         PrillHolds *pHolds){
  c->eState = PRILL_CELL_HELD;
  c->nDeliver++;
  c->iMember = p->iMember;
  c->msUntil = now + p->msLock;
  shareHold(pRc, pHolds, pPart, iOff, c);
}

static int shareIsDue(const PrillCell *c, i64 now){
  return c->eState==PRILL_CELL_HELD ? c->msUntil<=now : c->eState==PRILL_CELL_FREE && c->msNot<=now;
}

/* Archive what is due in the block at hand and has left the log. */
static int shareVet(PrillShare *p, PrillPart *pPart, i64 iBlock, i64 now, int *pbChanged){
  i64 iBase = iBlock*PRILL_SHARE_BLOCK;
  PrillScan *pScan = 0;
  PrillRecord rec;
  PrillRange r;
  int i = 0;
  int rc;
  memset(&r, 0, sizeof(r));
  r.iFrom = iBase;
  r.iTo = iBase+PRILL_SHARE_BLOCK-1;
  r.iTsFrom = PRILL_I64MIN;
  r.iTsTo = PRILL_I64MAX;
  r.bOffsets = 1;
  rc = prillScanOpen(pPart, &r, &pScan);
  while( rc==SQLITE_OK && i<PRILL_SHARE_BLOCK ){
    int iNext = PRILL_SHARE_BLOCK;
    rc = prillScanNext(pScan, &rec);
    if( rc!=SQLITE_ROW && rc!=SQLITE_DONE ) break;
    if( rc==SQLITE_ROW ) iNext = (int)(rec.iOff-iBase);
    for(; i<iNext; i++){
      if( !shareIsDue(&p->aCell[i], now) ) continue;
      shareArchive(&p->aCell[i], PRILL_CELL_ARCHIVED);
      *pbChanged = 1;
    }
    i = iNext+1;
    if( rc==SQLITE_ROW ) rc = SQLITE_OK;
  }
  prillScanClose(pScan);
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

int prillShareReady(PrillShare *p, PrillPart *pPart, i64 now, int *pb, i64 *pmsDue){
  i64 iNext = 0;
  sqlite3_stmt *pStmt;
  int rc = prillPartLoad(pPart);
  if( rc==SQLITE_OK ) rc = shareNext(p, pPart, &iNext);
  if( rc!=SQLITE_OK ) return rc;
  if( iNext<prillPartEnd(pPart) ) *pb = 1;
  pStmt = shareStmt(p, SHARE_DUE, pPart->iPid, &rc);
  if( pStmt ){
    if( sqlite3_step(pStmt)==SQLITE_ROW && sqlite3_column_int64(pStmt, 1)<=now ) *pb = 1;
    prillStoreDone(p->pStore, pStmt, &rc);
  }
  pStmt = shareStmt(p, SHARE_AFTER, pPart->iPid, &rc);
  if( pStmt ){
    sqlite3_bind_int64(pStmt, 3, now);
    if( sqlite3_step(pStmt)==SQLITE_ROW ) *pmsDue = PRILL_MIN(*pmsDue, sqlite3_column_int64(pStmt, 0));
    prillStoreDone(p->pStore, pStmt, &rc);
  }
  return rc;
}

/* Take what is due in one block.  *pnWant and *pnRoom fall: the latter for what
** was not locked before.  Where there is room a block whose row says that it is
** due changes. */
static int shareTakeBlock(
  PrillShare *p, PrillPart *pPart, i64 iBlock, i64 iNext, i64 now, int *pnWant, i64 *pnRoom, PrillHolds *pHolds,
  int *pbChanged
){
  int i, bChanged = 0;
  int rc = shareLoad(p, pPart, iBlock, iNext);
  if( rc==SQLITE_OK ) rc = shareVet(p, pPart, iBlock, now, &bChanged);
  for(i=0; rc==SQLITE_OK && i<PRILL_SHARE_BLOCK; i++){
    PrillCell *c = &p->aCell[i];
    i64 iOff = iBlock*PRILL_SHARE_BLOCK + i;
    int bWasHeld = c->eState==PRILL_CELL_HELD;
    if( !shareIsDue(c, now) || (!bWasHeld && c->nDeliver<p->nMax && (*pnWant<=0 || *pnRoom<=0)) ) continue;
    bChanged = 1;
    if( c->nDeliver>=p->nMax ){
      rc = shareDead(p, pPart, iOff, c->nDeliver, "max_deliveries", now);
      shareArchive(c, PRILL_CELL_ARCHIVED);
      *pnRoom += bWasHeld;
    }else if( *pnWant>0 ){
      shareAcquire(&rc, p, pPart, iOff, c, now, pHolds);
      *pnWant -= 1;
      *pnRoom -= !bWasHeld;
    }else{
      c->eState = PRILL_CELL_FREE;                /* its holder is gone (I4) */
      c->iMember = 0;
      c->msUntil = c->msNot = 0;
      *pnRoom += 1;
    }
  }
  if( rc==SQLITE_OK && bChanged ) rc = shareStore(p, pPart, iBlock, iNext);
  *pbChanged = bChanged;
  return rc;
}

/* Take what is due, the longest due first. */
static int shareTakeDue(
  PrillShare *p, PrillPart *pPart, i64 iNext, i64 now, int *pnWant, i64 *pnRoom, PrillHolds *pHolds
){
  int rc = SQLITE_OK;
  while( rc==SQLITE_OK && *pnWant>0 ){
    i64 iBlock = -1, msDue = 0;
    int bChanged = 0;
    sqlite3_stmt *pStmt = shareStmt(p, SHARE_DUE, pPart->iPid, &rc);
    if( pStmt==0 ) break;
    rc = shareBlock(p, pPart, pStmt, iNext, &iBlock, &msDue);
    if( rc!=SQLITE_OK || iBlock<0 || msDue>now ) break;
    rc = shareTakeBlock(p, pPart, iBlock, iNext, now, pnWant, pnRoom, pHolds, &bChanged);
    if( rc!=SQLITE_OK || bChanged ) continue;
    if( *pnRoom>0 ) rc = shareDamaged(p, pPart);
    break;                                                          /* no room for what is due */
  }
  return rc;
}

/* Everything from *piNext up to iTo is not in the log. */
static int shareSkip(PrillShare *p, PrillPart *pPart, i64 *piNext, i64 iTo){
  int rc = SQLITE_OK;
  while( rc==SQLITE_OK && *piNext<iTo ){
    i64 iBlock = *piNext/PRILL_SHARE_BLOCK;
    i64 iEnd = (iBlock+1)*PRILL_SHARE_BLOCK;
    i64 i;
    for(i=*piNext; i<iTo && i<iEnd; i++) p->aCell[i%PRILL_SHARE_BLOCK].eState = PRILL_CELL_ARCHIVED;
    *piNext = i;
    if( i<iEnd ) break;
    rc = shareStore(p, pPart, iBlock, i);
    if( iTo>iEnd ) *piNext = iTo - iTo%PRILL_SHARE_BLOCK;           /* whole blocks: no rows (I1) */
    if( rc==SQLITE_OK ) rc = shareLoad(p, pPart, *piNext/PRILL_SHARE_BLOCK, *piNext);
  }
  return rc;
}

/* Take records that were never looked at, from *piNext on. */
static int shareTakeNew(PrillShare *p, PrillPart *pPart, i64 *piNext, i64 now, int nWant, PrillHolds *pHolds){
  PrillScan *pScan = 0;
  PrillRecord rec;
  PrillRange r;
  int rc;
  if( nWant<=0 || *piNext>=prillPartNext(pPart) ) return SQLITE_OK;
  memset(&r, 0, sizeof(r));
  r.iFrom = *piNext;
  r.iTo = prillPartNext(pPart)-1;
  r.iTsFrom = PRILL_I64MIN;
  r.iTsTo = PRILL_I64MAX;
  rc = shareLoad(p, pPart, *piNext/PRILL_SHARE_BLOCK, *piNext);
  if( rc==SQLITE_OK ) rc = prillScanOpen(pPart, &r, &pScan);
  while( rc==SQLITE_OK && nWant>0 && (rc = prillScanNext(pScan, &rec))==SQLITE_ROW ){
    PrillCell *c;
    rc = shareSkip(p, pPart, piNext, rec.iOff);
    if( rc!=SQLITE_OK ) break;
    c = &p->aCell[rec.iOff%PRILL_SHARE_BLOCK];
    memset(c, 0, sizeof(*c));
    c->msNot = rec.nHdr ? shareNotBefore(&rec) : 0;
    c->eState = PRILL_CELL_FREE;
    if( c->msNot<=now ){
      shareAcquire(&rc, p, pPart, rec.iOff, c, now, pHolds);
      nWant--;
    }
    *piNext = rec.iOff+1;
    if( rc==SQLITE_OK && *piNext%PRILL_SHARE_BLOCK==0 ){
      rc = shareStore(p, pPart, rec.iOff/PRILL_SHARE_BLOCK, *piNext);
      if( rc==SQLITE_OK ) rc = shareLoad(p, pPart, *piNext/PRILL_SHARE_BLOCK, *piNext);
    }
  }
  if( rc==SQLITE_DONE ) rc = shareSkip(p, pPart, piNext, r.iTo+1);
  prillScanClose(pScan);
  if( rc==SQLITE_OK && *piNext%PRILL_SHARE_BLOCK ) rc = shareStore(p, pPart, *piNext/PRILL_SHARE_BLOCK, *piNext);
  return rc;
}

/* Records below the log start are gone. */
static int shareTrim(PrillShare *p, PrillPart *pPart, i64 *piNext){
  i64 iStart = pPart->x.iLogStart;
  int rc = SQLITE_OK;
  sqlite3_stmt *pStmt;
  if( iStart<=0 ) return SQLITE_OK;
  pStmt = shareStmt(p, SHARE_TRIM, pPart->iPid, &rc);
  if( pStmt ) sqlite3_bind_int64(pStmt, 3, iStart/PRILL_SHARE_BLOCK);
  shareRun(p, pStmt, &rc);
  if( rc!=SQLITE_OK || *piNext>=iStart ) return rc;
  if( *piNext<iStart - iStart%PRILL_SHARE_BLOCK ) *piNext = iStart - iStart%PRILL_SHARE_BLOCK;
  rc = shareLoad(p, pPart, *piNext/PRILL_SHARE_BLOCK, *piNext);
  if( rc==SQLITE_OK ) rc = shareSkip(p, pPart, piNext, iStart);
  if( rc==SQLITE_OK ) rc = shareStore(p, pPart, iStart/PRILL_SHARE_BLOCK, *piNext);
  return rc;
}

int prillShareTake(PrillShare *p, PrillPart *pPart, i64 now, int nWant, PrillHolds *pHolds){
  i64 iNext, iWas, nLocked = 0;
  i64 nRoom;
  int rc = prillPartLoad(pPart);
  if( rc==SQLITE_OK ) rc = shareNext(p, pPart, &iNext);
  if( rc!=SQLITE_OK ) return rc;
  iWas = iNext;
  rc = shareTrim(p, pPart, &iNext);
  if( rc==SQLITE_OK ) rc = shareLocked(p, pPart, &nLocked);
  nRoom = PRILL_SHARE_LOCKS-nLocked;
  if( rc==SQLITE_OK ) rc = shareTakeDue(p, pPart, iNext, now, &nWant, &nRoom, pHolds);
  if( rc==SQLITE_OK ) rc = shareTakeNew(p, pPart, &iNext, now, (int)PRILL_MIN(nWant, nRoom), pHolds);
  if( rc==SQLITE_OK && iNext!=iWas ) rc = sharePutNext(p, pPart, iNext);
  return rc;
}

/**************************************************************************
** Holding.
*/
int prillShareSettle(PrillShare *p, PrillPart *pPart, i64 iOff, int eVerb, i64 msArg, i64 now){
  i64 iBlock = iOff/PRILL_SHARE_BLOCK;
  i64 iNext;
  PrillCell *c = &p->aCell[iOff%PRILL_SHARE_BLOCK];
  int rc = prillPartLoad(pPart);
  if( rc==SQLITE_OK ) rc = shareNext(p, pPart, &iNext);
  if( rc==SQLITE_OK && (iOff<0 || iOff>=iNext) ) rc = SQLITE_NOTFOUND;
  if( rc==SQLITE_OK ) rc = shareLoad(p, pPart, iBlock, iNext);
  if( rc!=SQLITE_OK ) return rc;
  if( c->eState!=PRILL_CELL_HELD || c->iMember!=p->iMember || c->msUntil<=now ) return SQLITE_NOTFOUND;
  if( eVerb==PRILL_SHARE_ACK ){
    shareArchive(c, PRILL_CELL_ACKED);
  }else if( eVerb==PRILL_SHARE_RENEW ){
    c->msUntil = msArg;
  }else if( eVerb==PRILL_SHARE_RELEASE && c->nDeliver<p->nMax ){
    c->eState = PRILL_CELL_FREE;
    c->msUntil = 0;
    c->iMember = 0;
    c->msNot = PRILL_MAX(msArg, 0);
    pPart->pTopic->bTell = p->pStore->bTell = 1;  /* who waits for records may have it */
  }else{
    rc = shareDead(p, pPart, iOff, c->nDeliver, eVerb==PRILL_SHARE_REJECT ? "rejected" : "max_deliveries", now);
    shareArchive(c, PRILL_CELL_ARCHIVED);
  }
  return rc==SQLITE_OK ? shareStore(p, pPart, iBlock, iNext) : rc;
}

int prillShareHeld(PrillShare *p, PrillPart *pPart, i64 now, PrillHolds *pHolds){
  i64 iNext, iBlock = -1;
  int i;
  int rc = prillPartLoad(pPart);
  if( rc==SQLITE_OK ) rc = shareNext(p, pPart, &iNext);
  while( rc==SQLITE_OK ){
    sqlite3_stmt *pStmt = shareStmt(p, SHARE_LOCKED, pPart->iPid, &rc);
    if( pStmt==0 ) break;
    sqlite3_bind_int64(pStmt, 3, iBlock+1);
    rc = shareBlock(p, pPart, pStmt, iNext, &iBlock, 0);
    if( rc!=SQLITE_OK || iBlock<0 ) break;
    rc = shareLoad(p, pPart, iBlock, iNext);
    for(i=0; rc==SQLITE_OK && i<PRILL_SHARE_BLOCK; i++){
      const PrillCell *c = &p->aCell[i];
      if( c->eState==PRILL_CELL_HELD && c->iMember==p->iMember && c->msUntil>now ){
        shareHold(&rc, pHolds, pPart, iBlock*PRILL_SHARE_BLOCK+i, c);
      }
    }
  }
  return rc;
}

int prillShareStart(PrillShare *p, PrillPart *pPart, i64 *piOff){
  i64 iNext = 0, iBlock = -1;
  int i;
  int rc = prillPartLoad(pPart);
  sqlite3_stmt *pStmt;
  if( rc==SQLITE_OK ) rc = shareNext(p, pPart, &iNext);
  *piOff = PRILL_MAX(iNext, pPart->x.iLogStart);
  pStmt = shareStmt(p, SHARE_FIRST, pPart->iPid, &rc);
  if( pStmt==0 ) return rc;
  rc = shareBlock(p, pPart, pStmt, iNext, &iBlock, 0);
  if( rc==SQLITE_OK && iBlock>=0 ){
    rc = shareLoad(p, pPart, iBlock, iNext);
    for(i=0; i<PRILL_SHARE_BLOCK && p->aCell[i].eState>PRILL_CELL_HELD; i++){}
    if( rc==SQLITE_OK ) *piOff = PRILL_MAX(iBlock*PRILL_SHARE_BLOCK+i, pPart->x.iLogStart);
  }
  return rc;
}
