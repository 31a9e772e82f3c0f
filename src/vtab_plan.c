/*
** vtab_plan.c: how a topic is read: xBestIndex for vtab_topic.c, its plan in
** words, and what the plan's arguments leave of the topic.
**
** Layer 5, sql.  Calls part for the number of records, and base.
**
** idxStr is words.  EXPLAIN QUERY PLAN shows them and xFilter reads them back:
**
**     plan   := ( "full scan" | term ( " " term )* ) [ " of every partition" ]
**               [ " offsets only" ] [ order ]
**     order  := " order by " column [ " desc" ] [ ", " column [ " desc" ] ]
**
**     term                               xFilter's argument
**     partition=?  >?  >=?  <?  <=?      any value
**     partition in (?)                   a list, for sqlite3_vtab_in_first()
**     offset=?     >?  >=?  <?  <=?      any value
**     timestamp=?  >?  >=?  <?  <=?      any value
**     key=?                              any value; bytes are compared
**     rowid=?                            any value
**     topic=?      schema=?              the arguments of prill_records
**
** "of every partition": key= with nothing said of partitions.  The partitioner
** is no help: an INSERT may name any partition, and their number may have grown.
**
** "offsets only": nobody reads more than partition, offset and rowid, so no
** record is decoded.  The order is one of
**
**     (none)                             partitions rising, offsets rising
**     partition [desc]                   offsets rising in each
**     partition [desc], offset [desc]
**     offset [desc]                      one partition; a merge when there are more
**
**   I1  A term is consumed (omit=1) only where it decides exactly as SQLite's
**       comparison with an INTEGER column does, whatever the value's type
**       (planBound).  key= alone has a rule of its own: bytes are compared.
**   I2  A plan is right for any number of partitions: a topic may have grown
**       between prepare and step.
**   I3  LIMIT and OFFSET are never consumed.  SQLite 3.40 offers them although
**       the WHERE clause has terms that it does not show (partition=offset), or
**       shows them changed (a row value's (partition,offset)>(1,5) comes as
**       partition>=1), and offers both to both halves of a UNION ALL, where
**       each would skip OFFSET rows.  None of these can be told from here.
**       Nothing is lost by it: where the ORDER BY is consumed, SQLite stops at
**       the LIMIT by itself.
**
** Crash story: nothing is written here.
*/
#include "prillTopic.h"

#define PLAN_MX_MERGE 64              /* partitions worth merging */
#define PLAN_IN 255                   /* eOp of "partition in (?)" */
#define PLAN_EQ SQLITE_INDEX_CONSTRAINT_EQ
#define PLAN_GT SQLITE_INDEX_CONSTRAINT_GT
#define PLAN_GE SQLITE_INDEX_CONSTRAINT_GE
#define PLAN_LT SQLITE_INDEX_CONSTRAINT_LT
#define PLAN_LE SQLITE_INDEX_CONSTRAINT_LE

static const struct {
  const char *z;
  u8 eCol, eOp;
} planTerm[] = {
  {"partition=?",      TOPIC_PARTITION, PLAN_EQ},
  {"partition in (?)", TOPIC_PARTITION, PLAN_IN},
  {"partition>?",      TOPIC_PARTITION, PLAN_GT},
  {"partition>=?",     TOPIC_PARTITION, PLAN_GE},
  {"partition<?",      TOPIC_PARTITION, PLAN_LT},
  {"partition<=?",     TOPIC_PARTITION, PLAN_LE},
  {"offset=?",         TOPIC_OFFSET,    PLAN_EQ},
  {"offset>?",         TOPIC_OFFSET,    PLAN_GT},
  {"offset>=?",        TOPIC_OFFSET,    PLAN_GE},
  {"offset<?",         TOPIC_OFFSET,    PLAN_LT},
  {"offset<=?",        TOPIC_OFFSET,    PLAN_LE},
  {"timestamp=?",      TOPIC_TIMESTAMP, PLAN_EQ},
  {"timestamp>?",      TOPIC_TIMESTAMP, PLAN_GT},
  {"timestamp>=?",     TOPIC_TIMESTAMP, PLAN_GE},
  {"timestamp<?",      TOPIC_TIMESTAMP, PLAN_LT},
  {"timestamp<=?",     TOPIC_TIMESTAMP, PLAN_LE},
  {"key=?",            TOPIC_KEY,       PLAN_EQ},
  {"rowid=?",          TOPIC_ROWID,     PLAN_EQ},
  {"topic=?",          TOPIC_TOPIC,     PLAN_EQ},
  {"schema=?",         TOPIC_SCHEMA,    PLAN_EQ},
};
#define PLAN_N_TERM ((int)(sizeof(planTerm)/sizeof(planTerm[0])))

/**************************************************************************
** xBestIndex.
*/
typedef struct PlanBest PlanBest;
struct PlanBest {
  sqlite3_index_info *pInfo;
  const PrillTopic *pTopic;   /* or NULL */
  int bDoor;
  PrillBuf text;              /* idxStr */
  int rc;
  int nTerm;
  u8 aSeen[PLAN_N_TERM];      /* terms chosen, by place in planTerm */
  u8 bOnePart;                /* they leave one partition */
  u8 bOneRow;                 /* and one offset of it */
  u8 bMulti;                  /* xFilter is called for each value of an IN */
};

static int planFind(int eCol, int eOp){
  int i;
  for(i=0; i<PLAN_N_TERM; i++){
    if( planTerm[i].eCol==eCol && planTerm[i].eOp==eOp ) return i;
  }
  return -1;
}

static int planHas(const PlanBest *p, int eCol, int eOp){
  return p->aSeen[planFind(eCol, eOp)];
}

/* Is there a bound below (or above) the column? */
static int planHasLow(const PlanBest *p, int eCol){
  return planHas(p, eCol, PLAN_GE) || planHas(p, eCol, PLAN_GT);
}
static int planHasHigh(const PlanBest *p, int eCol){
  return planHas(p, eCol, PLAN_LE) || planHas(p, eCol, PLAN_LT);
}

/* The term for a constraint, or -1. */
static int planTermFor(PlanBest *p, int iCons){
  const struct sqlite3_index_constraint *pCons = &p->pInfo->aConstraint[iCons];
  int eCol = prillPlanColumn(p->bDoor, pCons->iColumn);
  int eOp = pCons->op;
  int i;
  if( eOp==PLAN_EQ && sqlite3_vtab_in(p->pInfo, iCons, -1) ){
    /* Only where a value is cheap to seek may xFilter be called for each. */
    if( eCol==TOPIC_KEY || eCol==TOPIC_TIMESTAMP ) return -1;
    if( eCol==TOPIC_PARTITION ) eOp = PLAN_IN;
  }
  i = planFind(eCol, eOp);
  if( i<0 || p->nTerm>=TOPIC_MX_TERM ) return -1;
  /* One list, one key, one name: a second is SQLite's to check. */
  if( p->aSeen[i] && (eOp==PLAN_IN || eCol==TOPIC_KEY || eCol==TOPIC_TOPIC || eCol==TOPIC_SCHEMA) ) return -1;
  if( eCol==TOPIC_KEY && sqlite3_stricmp(sqlite3_vtab_collation(p->pInfo, iCons), "BINARY")!=0 ) return -1;
  return i;
}

/* Choose the terms and write them.  SQLITE_CONSTRAINT when an argument of
** prill_records is not to be had in this join order. */
static int planTerms(PlanBest *p){
  sqlite3_index_info *pInfo = p->pInfo;
  int i;
  for(i=0; i<pInfo->nConstraint; i++){
    const struct sqlite3_index_constraint *pCons = &pInfo->aConstraint[i];
    int eCol = prillPlanColumn(p->bDoor, pCons->iColumn);
    int iTerm;
    if( pCons->op==SQLITE_INDEX_CONSTRAINT_LIMIT || pCons->op==SQLITE_INDEX_CONSTRAINT_OFFSET ) continue;  /* I3 */
    if( !pCons->usable ){
      if( pCons->op==PLAN_EQ && (eCol==TOPIC_TOPIC || eCol==TOPIC_SCHEMA) ) return SQLITE_CONSTRAINT;
      continue;
    }
    iTerm = planTermFor(p, i);
    if( iTerm<0 ) continue;
    if( sqlite3_vtab_in(pInfo, i, planTerm[iTerm].eOp==PLAN_IN) && planTerm[iTerm].eOp!=PLAN_IN ) p->bMulti = 1;
    prillBufPrintf(&p->rc, &p->text, "%s%s", p->nTerm ? " " : "", planTerm[iTerm].z);
    p->aSeen[iTerm] = 1;
    pInfo->aConstraintUsage[i].argvIndex = ++p->nTerm;
    pInfo->aConstraintUsage[i].omit = 1;
  }
  if( p->nTerm==0 ) prillBufPrintf(&p->rc, &p->text, "full scan");
  p->bOneRow = (u8)planHas(p, TOPIC_ROWID, PLAN_EQ);
  p->bOnePart = (u8)(p->bOneRow || planHas(p, TOPIC_PARTITION, PLAN_EQ));
  if( p->bOnePart && planHas(p, TOPIC_OFFSET, PLAN_EQ) ) p->bOneRow = 1;
  return p->rc;
}

/* Consume the ORDER BY when the scan can yield it.  What follows partition and
** offset in it does not matter: no two records have both alike. */
static void planOrder(PlanBest *p){
  sqlite3_index_info *pInfo = p->pInfo;
  int ePart = -1, eOff = -1;            /* -1 not asked, 0 rising, 1 falling */
  int i;
  if( p->bMulti || pInfo->nOrderBy==0 ) return;
  for(i=0; i<pInfo->nOrderBy && eOff<0 && !p->bOneRow; i++){
    int eCol = prillPlanColumn(p->bDoor, pInfo->aOrderBy[i].iColumn);
    int bDesc = pInfo->aOrderBy[i].desc!=0;
    if( eCol==TOPIC_PARTITION ){
      if( !p->bOnePart && ePart<0 ) ePart = bDesc;
    }else if( eCol==TOPIC_ROWID ){
      if( !p->bOnePart && ePart<0 ) ePart = bDesc;
      eOff = bDesc;
    }else if( eCol==TOPIC_OFFSET ){
      if( !p->bOnePart && ePart<0
       && (pInfo->nOrderBy>1 || p->pTopic==0 || p->pTopic->nPart>PLAN_MX_MERGE) ) return;
      eOff = bDesc;
    }else{
      return;
    }
  }
  pInfo->orderByConsumed = 1;
  if( ePart>=0 || eOff>=0 ){
    prillBufPrintf(&p->rc, &p->text, " order by %s%s%s%s%s",
                   ePart>=0 ? "partition" : "", ePart>0 ? " desc" : "",
                   ePart>=0 && eOff>=0 ? ", " : "",
                   eOff>=0 ? "offset" : "", eOff>0 ? " desc" : "");
  }
}

/* Records of the topic, as far as is known without reading. */
static double planSize(const PrillTopic *pTopic){
  double n = 0;
  int i, nPart = pTopic ? PRILL_MIN(pTopic->nPart, PLAN_MX_MERGE) : 0;
  for(i=0; i<nPart; i++){
    if( pTopic->apPart[i]->iSeen>=0 ) n += (double)prillPartRecords(pTopic->apPart[i]);
  }
  if( n<=0 ) return 1000000.0;
  return n*pTopic->nPart/nPart;
}

/* Rows and cost.  The unit is a record passed; to find a place in a partition
** costs as much as 10. */
static void planCost(PlanBest *p){
  double nPart = p->pTopic ? p->pTopic->nPart : 4;
  double nWant = nPart;
  double nRow = planSize(p->pTopic);
  double nScan;
  if( p->bOnePart ){
    nWant = 1;
  }else if( planHas(p, TOPIC_PARTITION, PLAN_IN) ){
    nWant = PRILL_MIN(PRILL_MAX(nPart/2, 1), 4);
  }else if( nPart>1 && (planHasLow(p, TOPIC_PARTITION) || planHasHigh(p, TOPIC_PARTITION)) ){
    nWant = nPart/2;
  }
  nRow = nRow*nWant/nPart;
  if( p->bOneRow || planHas(p, TOPIC_OFFSET, PLAN_EQ) ) nRow = PRILL_MIN(nRow, nWant);
  if( planHasLow(p, TOPIC_OFFSET) ) nRow /= 4;
  if( planHasHigh(p, TOPIC_OFFSET) ) nRow /= 4;
  if( planHasLow(p, TOPIC_TIMESTAMP) ) nRow /= 4;
  if( planHas(p, TOPIC_TIMESTAMP, PLAN_EQ) ) nRow /= 16;
  nScan = nRow;
  if( planHasHigh(p, TOPIC_TIMESTAMP) ){          /* passes over whole segments, no more */
    nRow /= 4;
    nScan /= 2;
  }
  if( planHas(p, TOPIC_KEY, PLAN_EQ) ){
    nRow /= p->pTopic && p->pTopic->cfg.bKeyIndex ? 1000 : 20;
    if( p->pTopic && p->pTopic->cfg.bKeyIndex ) nScan = nRow;
  }
  if( nRow<1 ) nRow = 1;
  p->pInfo->estimatedCost = nScan + 10*nWant;
  p->pInfo->estimatedRows = (sqlite3_int64)nRow;
  if( p->bOneRow && !p->bMulti ) p->pInfo->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
}

/* Does anybody read more than partition, offset and arguments? */
static int planOffsetsOnly(const PlanBest *p){
  u64 m = ((u64)1<<TOPIC_PARTITION) | ((u64)1<<TOPIC_OFFSET);
  if( !p->bDoor ) m |= ((u64)1<<TOPIC_TOPIC) | ((u64)1<<TOPIC_SCHEMA);
  return (p->pInfo->colUsed & ~m)==0;
}

/* Is nothing said of partitions, where there may be several? */
static int planEveryPart(const PlanBest *p){
  int i;
  for(i=0; i<PLAN_N_TERM; i++){
    if( p->aSeen[i] && (planTerm[i].eCol==TOPIC_PARTITION || planTerm[i].eCol==TOPIC_ROWID) ) return 0;
  }
  return p->pTopic==0 || p->pTopic->nPart>1;
}

int prillPlanBest(sqlite3_index_info *pInfo, int bDoor, const PrillTopic *pTopic){
  PlanBest best;
  int rc;
  memset(&best, 0, sizeof(best));
  best.pInfo = pInfo;
  best.bDoor = bDoor;
  best.pTopic = pTopic;
  rc = planTerms(&best);
  if( rc==SQLITE_OK ){
    if( planHas(&best, TOPIC_KEY, PLAN_EQ) && planEveryPart(&best) ){
      prillBufPrintf(&best.rc, &best.text, " of every partition");
    }
    if( planOffsetsOnly(&best) ) prillBufPrintf(&best.rc, &best.text, " offsets only");
    planOrder(&best);
    planCost(&best);
    prillBufAppend(&best.rc, &best.text, "", 1);
    rc = best.rc;
  }
  if( rc!=SQLITE_OK ){
    prillBufFree(&best.text);
    return rc;
  }
  pInfo->idxStr = (char*)best.text.a;
  pInfo->needToFreeIdxStr = 1;
  return SQLITE_OK;
}

/**************************************************************************
** Reading a plan.
*/

/* If *pz begins with zWord and a word ends there, step over it and what parts
** it from the next. */
static int planWord(const char **pz, const char *zWord){
  const char *z = *pz;
  size_t n;
  if( z[0]!=zWord[0] ) return 0;
  n = strlen(zWord);
  if( strncmp(z, zWord, n)!=0 || (z[n]!=0 && z[n]!=' ' && z[n]!=',') ) return 0;
  z += n;
  while( *z==' ' || *z==',' ) z++;
  *pz = z;
  return 1;
}

/* A statement's idxStr keeps its address, so that the inner loop of a join
** reads it once; and a cursor that is used again, with the same text, not at all. */
void prillPlanParse(PrillPlan *p, const char *zPlan){
  const char *z = zPlan;
  size_t n;
  int i;
  if( zPlan==p->zPlan ) return;
  p->zPlan = zPlan;
  if( p->zText[0] && strcmp(p->zText, zPlan)==0 ) return;
  n = strlen(zPlan);
  p->zText[0] = 0;
  if( n<sizeof(p->zText) ) memcpy(p->zText, zPlan, n+1);
  p->nTerm = 0;
  p->bOffsets = p->bByOffset = p->bDescPart = p->bDescOff = 0;
  while( *z ){
    if( planWord(&z, "full scan") || planWord(&z, "of every partition") ) continue;
    if( planWord(&z, "offsets only") ){
      p->bOffsets = 1;
    }else if( planWord(&z, "order by") ){
      if( planWord(&z, "partition") ){
        p->bDescPart = (u8)planWord(&z, "desc");
        (void)planWord(&z, "offset");
      }else{
        (void)planWord(&z, "offset");
        p->bByOffset = 1;
      }
      p->bDescOff = (u8)planWord(&z, "desc");
    }else{
      for(i=0; i<PLAN_N_TERM && !planWord(&z, planTerm[i].z); i++){}
      assert( i<PLAN_N_TERM && p->nTerm<TOPIC_MX_TERM );
      if( i==PLAN_N_TERM || p->nTerm>=TOPIC_MX_TERM ){
        p->zText[0] = 0;
        return;
      }
      p->aTerm[p->nTerm].eCol = planTerm[i].eCol;
      p->aTerm[p->nTerm++].eOp = planTerm[i].eOp;
    }
  }
}

sqlite3_value *prillPlanArg(const PrillPlan *p, int eCol, int argc, sqlite3_value **argv){
  int i;
  for(i=0; i<p->nTerm && i<argc; i++){
    if( p->aTerm[i].eCol==eCol ) return argv[i];
  }
  return 0;
}

/**************************************************************************
** Arguments.
*/

/* The greatest integer not above pVal; *pbExact: it is equal.  *peSide -1 or
** 1: pVal is below or above all integers.  pVal is not NULL. */
static i64 planInteger(sqlite3_value *pVal, int *pbExact, int *peSide){
  int eType = sqlite3_value_numeric_type(pVal);
  i64 i = 0;
  *pbExact = 1;
  *peSide = 0;
  if( eType==SQLITE_INTEGER ){
    i = sqlite3_value_int64(pVal);
  }else if( eType==SQLITE_FLOAT ){
    double r = sqlite3_value_double(pVal);
    if( r>=9223372036854775808.0 ){
      *peSide = 1;
    }else if( r<-9223372036854775808.0 ){
      *peSide = -1;
    }else{
      i = (i64)r;
      if( (double)i>r ) i--;
      *pbExact = (double)i==r;
    }
  }else{
    *peSide = 1;
  }
  return i;
}

/* Narrow *piLo..*piHi to the integers i with "i eOp pVal", by SQLite's rules for
** an INTEGER column: TEXT that looks like a number is one, other TEXT and BLOB
** are greater than every number, NULL is true of nothing. */
static void planBound(sqlite3_value *pVal, int eOp, i64 *piLo, i64 *piHi){
  i64 iLo = PRILL_I64MIN, iHi = PRILL_I64MAX;
  int bExact, eSide;
  i64 i = planInteger(pVal, &bExact, &eSide);
  int bNone = sqlite3_value_type(pVal)==SQLITE_NULL;
  switch( eOp ){
    case PLAN_EQ:
      if( eSide || !bExact ) bNone = 1;
      iLo = iHi = i;
      break;
    case PLAN_GT:
    case PLAN_GE:
      if( eSide>0 ) bNone = 1;
      if( eSide ) break;
      if( eOp==PLAN_GE && bExact ){
        iLo = i;
      }else if( i==PRILL_I64MAX ){
        bNone = 1;
      }else{
        iLo = i+1;
      }
      break;
    default:
      if( eSide<0 ) bNone = 1;
      if( eSide ) break;
      if( eOp==PLAN_LE || !bExact ){
        iHi = i;
      }else if( i==PRILL_I64MIN ){
        bNone = 1;
      }else{
        iHi = i-1;
      }
      break;
  }
  if( bNone ){
    iLo = PRILL_I64MAX;
    iHi = PRILL_I64MIN;
  }
  *piLo = PRILL_MAX(*piLo, iLo);
  *piHi = PRILL_MIN(*piHi, iHi);
}

/* rowid=: one partition, one offset. */
static void planRowid(PrillPlan *p, sqlite3_value *pVal, i64 *piLo, i64 *piHi){
  i64 iLo = PRILL_I64MIN, iHi = PRILL_I64MAX;
  planBound(pVal, PLAN_EQ, &iLo, &iHi);
  if( iLo>iHi ){
    *piHi = -1;
  }else{
    i64 iPart = (i64)((u64)iLo>>TOPIC_OFF_BITS);
    i64 iOff = iLo & (((i64)1<<TOPIC_OFF_BITS)-1);
    *piLo = PRILL_MAX(*piLo, iPart);
    *piHi = PRILL_MIN(*piHi, iPart);
    p->range.iFrom = PRILL_MAX(p->range.iFrom, iOff);
    p->range.iTo = PRILL_MIN(p->range.iTo, iOff);
  }
}

/* key=: the bytes of the value as they would be stored. */
static int planKey(PrillPlan *p, sqlite3_value *pVal){
  int rc = SQLITE_OK;
  int n;
  const void *a;
  if( sqlite3_value_type(pVal)==SQLITE_NULL ) return SQLITE_DONE;
  n = sqlite3_value_bytes(pVal);
  a = sqlite3_value_blob(pVal);
  if( a==0 && n>0 ) return SQLITE_NOMEM;
  p->key.n = 0;
  if( n>0 ) prillBufAppend(&rc, &p->key, a, n);
  p->range.bKey = 1;
  p->range.bOffsets = 0;
  p->range.pKey = p->key.a;
  p->range.nKey = n;
  return rc;
}

/* "partition in (?)": those of iLo..iHi that are in the list, to aWant[]. */
static int planList(PrillPlan *p, sqlite3_value *pList, i64 iLo, i64 iHi){
  sqlite3_value *pVal = 0;
  i64 n = iHi-iLo+1, i;
  u8 *aIn = (u8*)sqlite3_malloc64((u64)n);
  int rc;
  p->aWant = (int*)sqlite3_malloc64(sizeof(int)*(u64)n);
  if( aIn==0 || p->aWant==0 ){
    sqlite3_free(aIn);
    return SQLITE_NOMEM;
  }
  memset(aIn, 0, (size_t)n);
  for(rc=sqlite3_vtab_in_first(pList, &pVal); rc==SQLITE_OK && pVal; rc=sqlite3_vtab_in_next(pList, &pVal)){
    i64 iMin = iLo, iMax = iHi;
    planBound(pVal, PLAN_EQ, &iMin, &iMax);
    if( iMin<=iMax ) aIn[iMin-iLo] = 1;
  }
  p->nWant = 0;
  for(i=0; i<n; i++){
    if( aIn[i] ) p->aWant[p->nWant++] = (int)(iLo+i);
  }
  sqlite3_free(aIn);
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

int prillPlanWant(PrillPlan *p, int nPart, int argc, sqlite3_value **argv){
  i64 iLo = 0, iHi = nPart-1;
  sqlite3_value *pList = 0;
  PrillRange *pR = &p->range;
  int rc = SQLITE_OK;
  int i;
  pR->iFrom = 0;
  pR->iTo = PRILL_I64MAX-1;
  pR->iTsFrom = PRILL_I64MIN;
  pR->iTsTo = PRILL_I64MAX;
  pR->bDesc = p->bDescOff;
  pR->bOffsets = p->bOffsets;
  pR->bKey = 0;
  for(i=0; rc==SQLITE_OK && i<p->nTerm && i<argc; i++){
    int eOp = p->aTerm[i].eOp;
    switch( p->aTerm[i].eCol ){
      case TOPIC_PARTITION:
        if( eOp==PLAN_IN ) pList = argv[i]; else planBound(argv[i], eOp, &iLo, &iHi);
        break;
      case TOPIC_OFFSET:    planBound(argv[i], eOp, &pR->iFrom, &pR->iTo); break;
      case TOPIC_TIMESTAMP: planBound(argv[i], eOp, &pR->iTsFrom, &pR->iTsTo); break;
      case TOPIC_ROWID:     planRowid(p, argv[i], &iLo, &iHi); break;
      case TOPIC_KEY:       rc = planKey(p, argv[i]); break;
      default:              break;
    }
  }
  if( rc==SQLITE_OK && (iLo>iHi || pR->iFrom>pR->iTo || pR->iTsFrom>pR->iTsTo) ) rc = SQLITE_DONE;
  if( rc!=SQLITE_OK ) return rc;
  p->iFirst = (int)iLo;
  p->nWant = (int)(iHi-iLo+1);
  return pList ? planList(p, pList, iLo, iHi) : SQLITE_OK;
}

void prillPlanReset(PrillPlan *p){
  sqlite3_free(p->aWant);
  p->aWant = 0;
  p->iFirst = p->nWant = 0;
}
