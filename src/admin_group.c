/*
** admin_group.c: prill_groups, prill_members, prill_offsets.
**
** Layer 5, sql.  Calls member, offset, group, part and scan; vtab_admin.c calls
** it through the descriptions.
**
** All rows of all groups, or of the one that WHERE names, are made at once when
** the cursor is filtered.  Rowids: the place of the group's name in
** AdminVtab.azName, and below it, in GROUP_LOW bits, that of the member's or the
** partition's number in the store.
**
** A group that prilld serves lives in prilld's memory, its rows after it: here
** it is looked at, but only its offsets are changed, and only while it is empty.
** Rows that do not decode show as a group with a problem, so that it can be
** deleted.
*/
#include "prillAdmin.h"
#include "prillGroup.h"

#define GROUP_LOW 26
#define GROUP_LOW_MASK ((1<<GROUP_LOW)-1)

enum { GROUPS_ID, GROUPS_KIND, GROUPS_STATE, GROUPS_GENERATION, GROUPS_ASSIGNOR, GROUPS_LEADER,
       GROUPS_MEMBERS, GROUPS_PROBLEM, GROUPS_SCHEMA, GROUPS_N };
static const AdminColumn adminGroupsCol[GROUPS_N] = {
  {"group_id", "TEXT", 0}, {"kind", "TEXT", 0}, {"state", "TEXT", 0}, {"generation", "INT", 0},
  {"assignor", "TEXT", 0}, {"leader", "TEXT", 0}, {"members", "INT", 0}, {"problem", "TEXT", 0},
  {"schema", "TEXT", ADMIN_HIDDEN},
};
enum { MEMBERS_GROUP, MEMBERS_ID, MEMBERS_INSTANCE, MEMBERS_CLIENT, MEMBERS_PROCESS, MEMBERS_TOPICS,
       MEMBERS_ASSIGNMENT, MEMBERS_POLLED, MEMBERS_AWAITED, MEMBERS_SCHEMA, MEMBERS_N };
static const AdminColumn adminMembersCol[MEMBERS_N] = {
  {"group_id", "TEXT", 0}, {"member_id", "TEXT", 0}, {"instance_id", "TEXT", 0}, {"client_id", "TEXT", 0},
  {"process", "TEXT", 0}, {"topics", "TEXT", 0}, {"assignment", "TEXT", 0}, {"last_poll", "INT", 0},
  {"awaited", "TEXT", 0}, {"schema", "TEXT", ADMIN_HIDDEN},
};
enum { OFFSETS_GROUP, OFFSETS_TOPIC, OFFSETS_PART, OFFSETS_COMMITTED, OFFSETS_METADATA, OFFSETS_END,
       OFFSETS_LAG, OFFSETS_SECONDS, OFFSETS_SCHEMA, OFFSETS_N };
static const AdminColumn adminOffsetsCol[OFFSETS_N] = {
  {"group_id", "TEXT", ADMIN_INSERT}, {"topic", "TEXT", ADMIN_INSERT}, {"partition", "INT", ADMIN_INSERT},
  {"committed_offset", "INT", ADMIN_INSERT|ADMIN_UPDATE}, {"metadata", "TEXT", ADMIN_INSERT|ADMIN_UPDATE},
  {"log_end_offset", "INT", 0}, {"lag", "INT", 0}, {"lag_seconds", "REAL", ADMIN_COSTLY},
  {"schema", "TEXT", ADMIN_HIDDEN|ADMIN_INSERT},
};

/* The rowid's own part, in the cell for "schema". */
static void groupRowid(AdminCursor *c, int iCol, const char *zGroup, i64 iLow){
  int i = prillAdminName((AdminVtab*)c->base.pVtab, zGroup);
  if( i<0 || iLow<0 || iLow>GROUP_LOW_MASK ){
    if( c->rc==SQLITE_OK ) c->rc = SQLITE_NOMEM;
    return;
  }
  prillAdminInt(c, iCol, (i64)i<<GROUP_LOW | iLow);
}

/* Names of the groups to show: each ends with a NUL. */
static int groupNames(AdminCursor *c, PrillBuf *pBuf){
  int rc = SQLITE_OK;
  if( !c->pStore->bExists ) return SQLITE_OK;
  if( c->zTopic==0 ) return prillGroupRowNames(c->pStore, pBuf);
  prillBufAppend(&rc, pBuf, c->zTopic, (i64)strlen(c->zTopic)+1);
  return rc;
}

/* Call xRows for each of the groups. */
static int groupEach(AdminCursor *c, int (*xRows)(AdminCursor*, const char *zGroup)){
  PrillBuf names = {0,0,0};
  const char *z;
  int rc = groupNames(c, &names);
  for(z=(char*)names.a; rc==SQLITE_OK && z && z<(char*)names.a+names.n; z+=strlen(z)+1){
    rc = xRows(c, z);
    if( rc==SQLITE_OK ) rc = c->rc;
  }
  prillBufFree(&names);
  return rc;
}

static int groupFill(AdminCursor *c, PrillTopic *pTopic, PrillPart *pPart, int *pbMore){
  (void)c; (void)pTopic; (void)pPart; (void)pbMore;
  return SQLITE_OK;                             /* xFirst has made all rows */
}

/* Open a group whatever its kind.  *pbBad: its rows do not decode. */
static int groupOpen(PrillStore *p, const char *zGroup, int *peKind, PrillGroup **pp, int *pbBad){
  int rc = prillGroupRowKind(p, zGroup, peKind);
  *pp = 0;
  *pbBad = 0;
  if( rc==SQLITE_OK && *peKind ) rc = prillMemberOpen(p, zGroup, *peKind, pp);
  if( (rc&0xff)==SQLITE_CORRUPT ){
    *pbBad = 1;
    rc = SQLITE_OK;
  }
  return rc;
}

/**************************************************************************
** prill_groups.
*/
static const char *groupKind(int eKind){
  static const char *const az[] = {"", "sql", "kafka", "queue"};
  return eKind>0 && eKind<=PRILL_KIND_QUEUE ? az[eKind] : 0;
}

static int groupHasOffsets(void *pArg, PrillPart *pPart, i64 iOff, i64 iEpoch, const char *zMeta){
  (void)pPart; (void)iOff; (void)iEpoch; (void)zMeta;
  *(int*)pArg = 1;
  return SQLITE_OK;
}

static int groupsRows(AdminCursor *c, const char *zGroup){
  PrillGroup *g = 0;
  PrillBuf buf = {0,0,0};
  int eKind = 0, bBad = 0, bHas = 1;
  int rc = groupOpen(c->pStore, zGroup, &eKind, &g, &bBad);
  if( rc==SQLITE_OK && eKind==0 && c->zTopic ){       /* named, not found: offsets alone? */
    bHas = 0;
    rc = prillOffsetEach(c->pStore, zGroup, groupHasOffsets, &bHas);
  }
  if( rc==SQLITE_OK && bHas ){
    prillAdminRow(c);
    prillAdminText(c, GROUPS_ID, zGroup);
    prillAdminText(c, GROUPS_KIND, groupKind(eKind));
    groupRowid(c, GROUPS_SCHEMA, zGroup, 0);
    prillAdminInt(c, GROUPS_MEMBERS, g ? g->nMember : 0);
    if( bBad ){
      prillAdminText(c, GROUPS_PROBLEM, "its rows are damaged; DELETE forgets the group and its offsets");
    }else{
      prillAdminText(c, GROUPS_STATE, prillGroupStateName(g==0 ? PRILL_GROUP_EMPTY : g->eTold ? g->eTold : g->eState));
    }
    if( g ){
      prillAdminInt(c, GROUPS_GENERATION, g->iGeneration);
      prillAdminText(c, GROUPS_ASSIGNOR, g->zProtocol);
      if( g->pLeader ) prillAdminText(c, GROUPS_LEADER, g->pLeader->zMember);
      prillGroupProblem(&rc, g, &buf);
      if( rc==SQLITE_OK && buf.n>0 ) prillAdminTake(c, GROUPS_PROBLEM, sqlite3_mprintf("%.*s", (int)buf.n, buf.a));
    }
  }
  prillBufFree(&buf);
  prillGroupFree(g);
  return rc;
}

static int groupsFirst(AdminCursor *c){
  return groupEach(c, groupsRows);
}

/* The group of a change's row. */
static const char *groupOfChange(const AdminChange *h){
  i64 i = h->id>>GROUP_LOW;
  return i<h->pTab->nName ? h->pTab->azName[i] : 0;
}

static int groupsChange(AdminChange *h){
  const char *zGroup = groupOfChange(h);
  PrillGroup *g = 0;
  int eKind = 0, bBad = 0;
  int rc;
  if( !h->bDelete || zGroup==0 ){
    return prillError(h->pStore->pConn, SQLITE_ERROR, "prill_groups: a group is made by its first member or its first"
                      " row in prill_offsets; only DELETE is possible here");
  }
  rc = groupOpen(h->pStore, zGroup, &eKind, &g, &bBad);
  prillGroupFree(g);
  if( rc==SQLITE_OK && !bBad ) rc = prillMemberNone(h->pStore, zGroup, "it cannot be deleted");
  if( rc==SQLITE_OK ) rc = prillGroupRowDelete(h->pStore, zGroup);
  return rc;
}

const AdminTable prillAdminGroups = {
  "prill_groups", adminGroupsCol, GROUPS_N, GROUPS_SCHEMA, GROUPS_ID, -1, 0, 100,
  groupsFirst, groupFill, groupsChange, "DELETE is the only change"
};

/**************************************************************************
** prill_members.
*/

/* {"orders":[0,2],"audit":[1]} */
static void membersJson(int *pRc, PrillBuf *pBuf, const PrillGroup *g, const PrillTps *p){
  int i;
  prillBufAppend(pRc, pBuf, "{", 1);
  for(i=0; i<p->n; i++){
    if( i>0 && p->a[i].iTopic==p->a[i-1].iTopic ){
      prillBufPrintf(pRc, pBuf, ",%d", p->a[i].iPart);
    }else{
      prillBufPrintf(pRc, pBuf, "%s\"%s\":[%d", i ? "]," : "", g->topics.a[p->a[i].iTopic].zTopic, p->a[i].iPart);
    }
  }
  prillBufAppend(pRc, pBuf, p->n ? "]}" : "}", p->n ? 3 : 2);
}

/* Its topics, comma between them, and what it works on, as the wire has them. */
static int membersKafka(AdminCursor *c, PrillGroup *g, PrillMember *m, PrillBuf *pTopics, PrillTps *pTps){
  const PrillProtocol *p = prillMemberMeta(g, m);
  PrillSubscription s;
  int i, rc;
  if( p==0 || g->zProtocolType==0 || strcmp(g->zProtocolType, "consumer")!=0 ) return SQLITE_OK;
  rc = prillSubscriptionDecode(p->aMeta, p->nMeta, &g->topics, &s);
  if( rc==SQLITE_OK ){
    for(i=0; i<s.nTopic; i++){
      const char *z = g->topics.a[s.aTopic[i]].zTopic;
      if( prillTopicName(z) ) prillBufPrintf(&c->rc, pTopics, "%s%s", i ? "," : "", z);
    }
    prillSubscriptionFree(&s);
    rc = prillAssignmentDecode(m->aAssign, m->nAssign, &g->topics, pTps, 0, 0);
  }
  for(i=0; i<pTps->n; i++){
    if( !prillTopicName(g->topics.a[pTps->a[i].iTopic].zTopic) ) pTps->n = 0;   /* no topic of ours */
  }
  prillTpsSort(pTps);
  return rc==SQLITE_NOMEM ? rc : SQLITE_OK;     /* what a client wrote may be anything */
}

static int membersRow(AdminCursor *c, PrillGroup *g, PrillMember *m){
  PrillBuf topics = {0,0,0}, json = {0,0,0};
  PrillTps tps = {0,0,0};
  int i, rc = SQLITE_OK;
  prillAdminRow(c);
  prillAdminText(c, MEMBERS_GROUP, g->zGroup);
  prillAdminText(c, MEMBERS_ID, m->zMember);
  prillAdminText(c, MEMBERS_INSTANCE, m->zInstance);
  prillAdminText(c, MEMBERS_CLIENT, m->zClient);
  prillAdminText(c, MEMBERS_PROCESS, m->zHost);
  prillAdminInt(c, MEMBERS_POLLED, m->iPolled);
  prillAdminText(c, MEMBERS_AWAITED, prillMemberAwaited(g, m));
  groupRowid(c, MEMBERS_SCHEMA, g->zGroup, prillAdminName((AdminVtab*)c->base.pVtab, m->zMember));
  if( g->eKind==PRILL_KIND_KAFKA ){
    rc = membersKafka(c, g, m, &topics, &tps);
  }else{
    for(i=0; i<m->nTopic; i++) prillBufPrintf(&rc, &topics, "%s%s", i ? "," : "", g->topics.a[m->aTopic[i]].zTopic);
  }
  membersJson(&rc, &json, g, g->eKind==PRILL_KIND_KAFKA ? &tps : &m->owned);
  prillBufAppend(&rc, &topics, "", 1);
  if( rc==SQLITE_OK ){
    prillAdminText(c, MEMBERS_TOPICS, (char*)topics.a);
    prillAdminText(c, MEMBERS_ASSIGNMENT, (char*)json.a);
  }
  prillBufFree(&topics);
  prillBufFree(&json);
  prillTpsFree(&tps);
  return rc;
}

static int membersRows(AdminCursor *c, const char *zGroup){
  PrillGroup *g = 0;
  int eKind = 0, bBad = 0, i;
  int rc = groupOpen(c->pStore, zGroup, &eKind, &g, &bBad);
  for(i=0; rc==SQLITE_OK && g && i<g->nMember; i++) rc = membersRow(c, g, g->apMember[i]);
  prillGroupFree(g);
  return rc;
}

static int membersFirst(AdminCursor *c){
  return groupEach(c, membersRows);
}

/* DELETE evicts. */
static int membersChange(AdminChange *h){
  const char *zGroup = groupOfChange(h);
  i64 iMember = h->id & GROUP_LOW_MASK;
  if( !h->bDelete || zGroup==0 || iMember>=h->pTab->nName ){
    return prillError(h->pStore->pConn, SQLITE_ERROR, "prill_members: a member is made by its own table or client; only"
                      " DELETE is possible here");
  }
  return prillMemberEvict(h->pStore, zGroup, h->pTab->azName[iMember]);
}

const AdminTable prillAdminMembers = {
  "prill_members", adminMembersCol, MEMBERS_N, MEMBERS_SCHEMA, MEMBERS_GROUP, -1, 0, 100,
  membersFirst, groupFill, membersChange, "DELETE is the only change"
};

/**************************************************************************
** prill_offsets.
*/

/* Seconds since the first record from iOff on was written; 0 when there is none. */
static int offsetsAge(AdminCursor *c, PrillPart *pPart, i64 iOff, double *pr){
  PrillRange r = {.iFrom = iOff, .iTo = PRILL_I64MAX, .iTsFrom = PRILL_I64MIN, .iTsTo = PRILL_I64MAX};
  PrillScan *pScan = 0;
  PrillRecord rec;
  int rc = prillStoreCheckDir(c->pStore);
  memset(&rec, 0, sizeof(rec));
  *pr = 0.0;
  if( rc==SQLITE_OK ) rc = prillScanOpen(pPart, &r, &pScan);
  if( rc==SQLITE_OK ) rc = prillScanNext(pScan, &rec);
  if( rc==SQLITE_ROW ) *pr = (double)(prillNow(c->pStore->pVfs)-rec.iTs)/1000.0;
  prillScanClose(pScan);
  return rc==SQLITE_ROW || rc==SQLITE_DONE ? SQLITE_OK : rc;
}

typedef struct OffsetsArg { AdminCursor *c; const char *zGroup; } OffsetsArg;

static int offsetsRow(void *pArg, PrillPart *pPart, i64 iOff, i64 iEpoch, const char *zMeta){
  AdminCursor *c = ((OffsetsArg*)pArg)->c;
  double r = 0.0;
  int rc = prillPartLoad(pPart);
  (void)iEpoch;
  if( rc==SQLITE_OK && (c->m & ADMIN_WANT_COSTLY) ) rc = offsetsAge(c, pPart, iOff, &r);
  if( rc!=SQLITE_OK ) return rc;
  prillAdminRow(c);
  prillAdminText(c, OFFSETS_GROUP, ((OffsetsArg*)pArg)->zGroup);
  prillAdminText(c, OFFSETS_TOPIC, pPart->pTopic->zName);
  prillAdminInt(c, OFFSETS_PART, pPart->iPart);
  prillAdminInt(c, OFFSETS_COMMITTED, iOff);
  prillAdminText(c, OFFSETS_METADATA, zMeta);
  prillAdminInt(c, OFFSETS_END, prillPartEnd(pPart));
  prillAdminInt(c, OFFSETS_LAG, PRILL_MAX(0, prillPartEnd(pPart)-iOff));
  if( c->m & ADMIN_WANT_COSTLY ){
    AdminCell *pCell = prillAdminCell(c, OFFSETS_SECONDS, SQLITE_FLOAT);
    if( pCell ) pCell->r = r;
  }
  groupRowid(c, OFFSETS_SCHEMA, ((OffsetsArg*)pArg)->zGroup, pPart->iPid);
  return c->rc;
}

static int offsetsRows(AdminCursor *c, const char *zGroup){
  OffsetsArg arg;
  arg.c = c;
  arg.zGroup = zGroup;
  return prillOffsetEach(c->pStore, zGroup, offsetsRow, &arg);
}

static int offsetsFirst(AdminCursor *c){
  return groupEach(c, offsetsRows);
}

/* The partition an INSERT names. */
static int offsetsPart(AdminChange *h, const char **pzGroup, PrillPart **ppPart){
  PrillStore *p = h->pStore;
  const char *zTopic = (const char*)sqlite3_value_text(h->apVal[OFFSETS_TOPIC]);
  sqlite3_value *pPart = h->apVal[OFFSETS_PART];
  PrillTopic *pTopic;
  i64 iPart = sqlite3_value_int64(pPart);
  *pzGroup = (const char*)sqlite3_value_text(h->apVal[OFFSETS_GROUP]);
  if( *pzGroup==0 || (*pzGroup)[0]==0 || zTopic==0 || sqlite3_value_numeric_type(pPart)!=SQLITE_INTEGER ){
    return prillError(p->pConn, SQLITE_ERROR, "prill_offsets: an INSERT gives group_id, topic, partition and"
                      " committed_offset");
  }
  pTopic = prillStoreTopic(p, zTopic);
  if( pTopic==0 ){
    return prillError(p->pConn, SQLITE_ERROR, "no such topic: %s; SELECT name FROM prill_topics lists them", zTopic);
  }
  if( iPart<0 || iPart>=pTopic->nPart ){
    return prillError(p->pConn, SQLITE_ERROR, "topic %s: partition %lld is out of range: it has %d, numbered from 0",
                      zTopic, iPart, pTopic->nPart);
  }
  *ppPart = pTopic->apPart[iPart];
  return SQLITE_OK;
}

/* What is stored, with what the change sets. */
static int offsetsPut(AdminChange *h, const char *zGroup, PrillPart *pPart){
  PrillStore *p = h->pStore;
  sqlite3_value *pOff = h->apVal[OFFSETS_COMMITTED], *pMeta = h->apVal[OFFSETS_METADATA];
  PrillBuf meta = {0,0,0};
  i64 iOff, iEpoch;
  int rc = prillOffsetGet(p, zGroup, pPart, &iOff, &iEpoch, &meta);
  if( rc==SQLITE_OK && h->bInsert && iOff>=0 ){
    rc = prillError(p->pConn, SQLITE_CONSTRAINT, "group %s has an offset of %s-%d already; UPDATE prill_offsets"
                    " changes it", zGroup, pPart->pTopic->zName, pPart->iPart);
  }
  if( rc==SQLITE_OK ) rc = prillPartLoad(pPart);
  if( rc==SQLITE_OK && (h->bInsert || !sqlite3_value_nochange(pOff)) ){
    iOff = sqlite3_value_int64(pOff);
    iEpoch = -1;
    if( sqlite3_value_numeric_type(pOff)!=SQLITE_INTEGER || iOff<0 || iOff>prillPartNext(pPart) ){
      const char *z = (const char*)sqlite3_value_text(pOff);
      rc = prillError(p->pConn, SQLITE_ERROR, "group %s: committed_offset %s of %s-%d is not allowed; use a number"
                      " from 0 to its end, %lld", zGroup, z ? z : "NULL", pPart->pTopic->zName, pPart->iPart,
                      prillPartNext(pPart));
    }
  }
  if( rc==SQLITE_OK && (h->bInsert || !sqlite3_value_nochange(pMeta)) ){
    const char *z = (const char*)sqlite3_value_text(pMeta);
    meta.n = 0;
    if( z ) prillBufAppend(&rc, &meta, z, sqlite3_value_bytes(pMeta));
    else if( sqlite3_value_type(pMeta)!=SQLITE_NULL ) rc = SQLITE_NOMEM;
  }
  if( rc==SQLITE_OK ) rc = prillOffsetPut(p, zGroup, pPart, iOff, iEpoch, meta.n ? (char*)meta.a : "", meta.n);
  prillBufFree(&meta);
  return rc;
}

static int offsetsChange(AdminChange *h){
  PrillPart *pPart = 0;
  const char *zGroup = 0;
  int rc = SQLITE_OK;
  if( h->bInsert ){
    rc = offsetsPart(h, &zGroup, &pPart);
  }else{
    zGroup = groupOfChange(h);
    pPart = prillStorePart(h->pStore, h->id & GROUP_LOW_MASK);
    if( zGroup==0 || pPart==0 || pPart->pTopic==0 ) return SQLITE_OK;      /* the topic has gone meanwhile */
  }
  if( rc==SQLITE_OK ) rc = prillMemberNone(h->pStore, zGroup, "its offsets cannot be set");
  if( rc!=SQLITE_OK ) return rc;
  if( h->bDelete ) return prillOffsetDelete(h->pStore, zGroup, pPart);
  rc = offsetsPut(h, zGroup, pPart);
  if( rc==SQLITE_OK && h->bInsert ){
    int i = prillAdminName(h->pTab, zGroup);
    if( i<0 ) return SQLITE_NOMEM;
    h->iNewId = (i64)i<<GROUP_LOW | pPart->iPid;
  }
  return rc;
}

const AdminTable prillAdminOffsets = {
  "prill_offsets", adminOffsetsCol, OFFSETS_N, OFFSETS_SCHEMA, OFFSETS_GROUP, -1, 0, 1000,
  offsetsFirst, groupFill, offsetsChange, "committed_offset and metadata are what UPDATE changes"
};
