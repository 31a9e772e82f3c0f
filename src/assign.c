/*
** assign.c: who gets which partition.
**
** Layer 4.  Calls util, buf.  Pure: the result depends on the arguments alone.
**
** The four assignors of Kafka's clients, with the results of kafka-clients 3.9
** where racks are not given:
**
**   range        topic by topic: contiguous runs, the first members one longer
**   roundrobin   all partitions dealt to the circle of members
**   sticky       as balanced as can be, and then as few moves as can be
**   cooperative  sticky, less the partitions that must first be let go
**
** Sticky has two algorithms.  Equal subscriptions: quotas, each member keeps
** what fits in its own.  Mixed subscriptions: least loaded first, then moves
** while one helps, and all moves are taken back when the balance did not
** improve.  Java's maps give some choices to the order of hashes; here members
** come in the order of their ids, topics in that of their names, and of
** several partitions that could be moved back the lowest is.
**
** Two deliberate differences, where the Java code misbehaves: a partition is
** never given to a member that does not subscribe its topic, and partitions a
** topic does not have are forgotten.
**
** Terms: a rank is a member's place in the order of ids; a flat number is a
** partition's place in the order (topic name, partition).  All work is on
** arrays by rank and by flat number.
**
** Invariants of a result:
**
**   1. A partition of a subscribed topic is in exactly one list; with
**      cooperative, in at most one, and in none only when another member
**      claimed it.
**   2. A list holds partitions of topics its member subscribes.
**   3. Equal subscriptions: sizes differ by at most one (less what cooperative
**      withholds).
*/
#include "prillGroup.h"

/* Most partitions of one group: flat numbers are ints. */
#define ASSIGN_MX_TP 0x0fffffff
/* Passes of the general algorithm.  Each that goes on has moved something
** towards balance; the swaps that keep a move sticky can in theory undo it. */
#define ASSIGN_MX_PASS 100

typedef struct Assign Assign;
struct Assign {
  const PrillTopics *pTopics;
  PrillAssignee *a;        /* the caller's members */
  int n;                   /* of them */
  int bOom;                /* an allocation failed */
  int *aMember;            /* by rank: index in a[] */
  int nTopic;              /* topics that exist and are subscribed */
  int *aTopic;             /* those, by name: numbers of pTopics */
  int *aPlace;             /* by number of pTopics: place in aTopic, or -1 */
  int *aFirst;             /* by place: flat number of partition 0; [nTopic] is nTp */
  int nTp;                 /* partitions in all */
  int *aSub;               /* ranks of subscribers, all topics' one after another */
  int *aSubFirst;          /* by place: first in aSub; [nTopic] is the end */
  int *aOwner;             /* by flat number: rank, or -1 */
  int *aCount;             /* by rank: partitions it has */
  u8 *aMove;               /* by flat number: changes hands; cooperative withholds it */
};

static const char *const assignName[] = {
  "range", "roundrobin", "sticky", "cooperative-sticky"
};

const char *prillAssignorName(int eAssignor){
  return assignName[eAssignor];
}
int prillAssignorFind(const char *zName){
  int i;
  for(i=0; i<(int)(sizeof(assignName)/sizeof(assignName[0])); i++){
    if( strcmp(assignName[i], zName)==0 ) return i;
  }
  return -1;
}

/*
** Order of strings as Java has it, by UTF-16 units: that of the bytes but for
** U+E000..U+FFFF, which come after the characters beyond U+FFFF.
*/
static int assignCompare(const char *z1, const char *z2){
  const u8 *a = (const u8*)z1, *b = (const u8*)z2;
  while( *a && *a==*b ){ a++; b++; }
  if( *a>=0xee && *b>=0xee && (*a>=0xf0)!=(*b>=0xf0) ) return *a>=0xf0 ? -1 : 1;
  return (int)*a - (int)*b;
}

/* n zeroed elements of sz bytes, at least one byte; NULL once one failed. */
static void *assignAlloc(Assign *p, i64 n, i64 sz){
  void *a = p->bOom ? 0 : sqlite3_malloc64((u64)(n*sz+1));
  if( a ) memset(a, 0, (size_t)(n*sz+1)); else p->bOom = 1;
  return a;
}

/*
** Sort the numbers a[0..n) by xCompare(pArg, i, j); aTmp has room for n.
** Merge sort: stable, and no bad case.
*/
static void assignSort(int *a, int *aTmp, int n, int (*xCompare)(const void*,int,int), const void *pArg){
  int nHalf = n/2, i, j, k;
  if( n<2 ) return;
  assignSort(a, aTmp, nHalf, xCompare, pArg);
  assignSort(a+nHalf, aTmp, n-nHalf, xCompare, pArg);
  if( xCompare(pArg, a[nHalf-1], a[nHalf])<=0 ) return;
  memcpy(aTmp, a, sizeof(int)*(size_t)nHalf);
  for(i=0, j=nHalf, k=0; i<nHalf; k++){
    a[k] = j<n && xCompare(pArg, aTmp[i], a[j])>0 ? a[j++] : aTmp[i++];
  }
}

static int assignById(const void *pArg, int i, int j){
  const PrillAssignee *a = (const PrillAssignee*)pArg;
  return assignCompare(a[i].zMember, a[j].zMember);
}
static int assignByName(const void *pArg, int i, int j){
  const PrillTopicN *a = (const PrillTopicN*)pArg;
  return assignCompare(a[i].zTopic, a[j].zTopic);
}
/* Ranks as range and roundrobin order members: static ones first, by instance. */
static int assignByInstance(const void *pArg, int i, int j){
  const Assign *p = (const Assign*)pArg;
  const char *z1 = p->a[p->aMember[i]].zInstance, *z2 = p->a[p->aMember[j]].zInstance;
  if( z1 && z2 ) return assignCompare(z1, z2);
  if( z1 || z2 ) return z1 ? -1 : 1;
  return i-j;
}

static void assignFree(Assign *p){
  sqlite3_free(p->aMember);
  sqlite3_free(p->aTopic);
  sqlite3_free(p->aPlace);
  sqlite3_free(p->aFirst);
  sqlite3_free(p->aSub);
  sqlite3_free(p->aSubFirst);
  sqlite3_free(p->aOwner);
  sqlite3_free(p->aCount);
  sqlite3_free(p->aMove);
}

/* The flat number of a partition, or -1 for one there is not. */
static int assignFlat(const Assign *p, PrillTp tp){
  int iPlace;
  if( tp.iTopic<0 || tp.iTopic>=p->pTopics->n || tp.iPart<0 ) return -1;
  iPlace = p->aPlace[tp.iTopic];
  if( iPlace<0 || tp.iPart>=p->pTopics->a[tp.iTopic].nPart ) return -1;
  return p->aFirst[iPlace]+tp.iPart;
}

/* 1 when the member of this rank subscribes the topic at this place. */
static int assignSubscribes(const Assign *p, int iPlace, int iRank){
  int i = p->aSubFirst[iPlace], n = p->aSubFirst[iPlace+1];
  while( i<n ){
    int k = i+(n-i)/2;
    if( p->aSub[k]==iRank ) return 1;
    if( p->aSub[k]<iRank ) i = k+1; else n = k;
  }
  return 0;
}

/* Ranks, topics by name, flat numbers. */
static int assignNumber(Assign *p){
  int i, j, *aTmp;
  int nAll = p->pTopics->n;
  i64 nTp = 0;
  p->aMember = assignAlloc(p, p->n, sizeof(int));
  p->aTopic = assignAlloc(p, nAll, sizeof(int));
  p->aPlace = assignAlloc(p, nAll, sizeof(int));
  p->aFirst = assignAlloc(p, nAll+1, sizeof(int));
  p->aSubFirst = assignAlloc(p, nAll+1, sizeof(int));
  p->aCount = assignAlloc(p, p->n, sizeof(int));
  aTmp = assignAlloc(p, PRILL_MAX(p->n, nAll), sizeof(int));
  if( p->bOom ){
    sqlite3_free(aTmp);
    return SQLITE_NOMEM;
  }
  for(i=0; i<p->n; i++) p->aMember[i] = i;
  assignSort(p->aMember, aTmp, p->n, assignById, p->a);
  for(i=0; i<p->n; i++){
    for(j=0; j<p->a[i].nTopic; j++) p->aPlace[p->a[i].aTopic[j]] = 1;
  }
  for(i=0; i<nAll; i++){
    if( p->aPlace[i] && p->pTopics->a[i].nPart>0 ) p->aTopic[p->nTopic++] = i;
    p->aPlace[i] = -1;
  }
  assignSort(p->aTopic, aTmp, p->nTopic, assignByName, p->pTopics->a);
  sqlite3_free(aTmp);
  for(i=0; i<p->nTopic && nTp<=ASSIGN_MX_TP; i++){
    p->aPlace[p->aTopic[i]] = i;
    p->aFirst[i] = (int)nTp;
    nTp += p->pTopics->a[p->aTopic[i]].nPart;
  }
  if( nTp>ASSIGN_MX_TP ) return SQLITE_TOOBIG;
  p->aFirst[p->nTopic] = p->nTp = (int)nTp;
  return SQLITE_OK;
}

/* Subscribers by topic, each once, in the order of ranks. */
static int assignSubscribers(Assign *p){
  int i, j, k;
  i64 nSub = 0;
  int *aLast = assignAlloc(p, p->nTopic, sizeof(int));   /* rank+1 seen last */
  int *aEnd = assignAlloc(p, p->nTopic+1, sizeof(int));
  for(i=0; i<p->n; i++) nSub += p->a[i].nTopic;
  p->aSub = assignAlloc(p, nSub, sizeof(int));
  p->aOwner = assignAlloc(p, p->nTp, sizeof(int));
  p->aMove = assignAlloc(p, p->nTp, 1);
  for(k=0; k<2 && !p->bOom; k++){          /* count, then fill */
    memset(aLast, 0, sizeof(int)*(size_t)p->nTopic);
    for(i=0; i<p->n; i++){
      const PrillAssignee *m = &p->a[p->aMember[i]];
      for(j=0; j<m->nTopic; j++){
        int iPlace = p->aPlace[m->aTopic[j]];
        if( iPlace<0 || aLast[iPlace]==i+1 ) continue;
        aLast[iPlace] = i+1;
        if( k ) p->aSub[aEnd[iPlace]] = i;
        aEnd[iPlace]++;
      }
    }
    if( k==0 ){
      for(i=j=0; i<p->nTopic; i++){
        p->aSubFirst[i] = j;
        j += aEnd[i];
        aEnd[i] = p->aSubFirst[i];
      }
      p->aSubFirst[i] = j;
    }
  }
  if( !p->bOom ){
    for(i=0; i<p->nTp; i++) p->aOwner[i] = -1;
  }
  sqlite3_free(aLast);
  sqlite3_free(aEnd);
  return p->bOom ? SQLITE_NOMEM : SQLITE_OK;
}

/**************************************************************************
** range, roundrobin
*/
static int assignRange(Assign *p){
  int i, j, k;
  int *aIn = assignAlloc(p, p->n, sizeof(int));
  int *aTmp = assignAlloc(p, p->n, sizeof(int));
  for(i=0; !p->bOom && i<p->nTopic; i++){
    int nSub = p->aSubFirst[i+1]-p->aSubFirst[i];
    int nPart = p->aFirst[i+1]-p->aFirst[i];
    int iTp = p->aFirst[i];
    memcpy(aIn, p->aSub+p->aSubFirst[i], sizeof(int)*(size_t)nSub);
    assignSort(aIn, aTmp, nSub, assignByInstance, p);
    for(j=0; j<nSub; j++){
      int nQuota = nPart/nSub + (j<nPart%nSub);
      for(k=0; k<nQuota; k++) p->aOwner[iTp++] = aIn[j];
    }
  }
  sqlite3_free(aIn);
  sqlite3_free(aTmp);
  return p->bOom ? SQLITE_NOMEM : SQLITE_OK;
}

static int assignRoundRobin(Assign *p){
  int i, iTp, iNext = 0;
  int *aCircle = assignAlloc(p, p->n, sizeof(int));
  int *aTmp = assignAlloc(p, p->n, sizeof(int));
  if( !p->bOom ){
    for(i=0; i<p->n; i++) aCircle[i] = i;
    assignSort(aCircle, aTmp, p->n, assignByInstance, p);
    for(i=0; i<p->nTopic; i++){
      for(iTp=p->aFirst[i]; iTp<p->aFirst[i+1]; iTp++){
        while( !assignSubscribes(p, i, aCircle[iNext]) ) iNext = (iNext+1)%p->n;
        p->aOwner[iTp] = aCircle[iNext];
        iNext = (iNext+1)%p->n;
      }
    }
  }
  sqlite3_free(aCircle);
  sqlite3_free(aTmp);
  return p->bOom ? SQLITE_NOMEM : SQLITE_OK;
}

/**************************************************************************
** sticky: what members claim to own
*/

/* 1 when all members subscribe the same topics, existing or not. */
static int assignEqual(Assign *p){
  int i, j, nFirst = 0, bEqual = 1;
  int *aSeen = assignAlloc(p, p->pTopics->n, sizeof(int));   /* member+1 seen last */
  if( p->bOom ) return 0;
  for(i=0; i<p->n && bEqual; i++){
    int nSeen = 0;
    for(j=0; j<p->a[i].nTopic && bEqual; j++){
      int iTopic = p->a[i].aTopic[j];
      if( aSeen[iTopic]==i+1 ) continue;
      if( i>0 && aSeen[iTopic]==0 ) bEqual = 0;
      aSeen[iTopic] = i+1;
      nSeen++;
    }
    if( i==0 ) nFirst = nSeen;
    if( nSeen!=nFirst ) bEqual = 0;
  }
  sqlite3_free(aSeen);
  return bEqual;
}

/*
** Settle claims: aClaim[] by flat number is the rank of the member that keeps
** its claim, or -1; aTwice[] is set where two of the same generation claimed.
** The higher generation wins; of two equal ones nobody does.  aLast[] is the
** claimant compared with, which need not have kept the claim.
*/
static void assignClaims(Assign *p, int *aClaim, int *aLast, u8 *aTwice){
  int i, j;
  for(i=0; i<p->nTp; i++) aClaim[i] = aLast[i] = -1;
  for(i=0; i<p->n; i++){
    const PrillAssignee *m = &p->a[p->aMember[i]];
    for(j=0; j<m->nOwned; j++){
      int iTp = assignFlat(p, m->aOwned[j]);
      i32 iOther;
      if( iTp<0 || aLast[iTp]==i ) continue;
      if( aLast[iTp]<0 ){
        aClaim[iTp] = aLast[iTp] = i;
        continue;
      }
      iOther = p->a[p->aMember[aLast[iTp]]].iGeneration;
      if( m->iGeneration==iOther ){
        aTwice[iTp] = 1;
        aClaim[iTp] = -1;
        aLast[iTp] = i;
      }else if( m->iGeneration>iOther ){
        aClaim[iTp] = aLast[iTp] = i;
      }
    }
  }
}

/**************************************************************************
** sticky, equal subscriptions
*/

/* A member keeps the first nKeep of its claims by (partition, topic); it loses
** the rest: aLost[] by flat number is who lost it. */
static void assignKeep(Assign *p, const int *aMine, int nMine, int nKeep, int iRank, int *aLost){
  int i;
  for(i=0; i<nMine; i++){
    if( i<nKeep ){
      p->aOwner[aMine[i]] = iRank;
    }else{
      aLost[aMine[i]] = iRank;
    }
  }
  p->aCount[iRank] = PRILL_MIN(nMine, nKeep);
}

/*
** Lists of claims by rank, each ordered by (partition, topic): aList, the first
** of rank i at aListFirst[i].  Counting sorts, by partition and then by rank.
*/
static void assignClaimLists(Assign *p, const int *aClaim, int *aList, int *aListFirst){
  int i, j, nMost = 0;
  int *aByPart, *aEnd;
  for(i=0; i<p->nTopic; i++) nMost = PRILL_MAX(nMost, p->aFirst[i+1]-p->aFirst[i]);
  aByPart = assignAlloc(p, p->nTp, sizeof(int));
  aEnd = assignAlloc(p, PRILL_MAX(nMost, p->n)+1, sizeof(int));
  if( !p->bOom ){
    for(i=0; i<p->nTopic; i++){
      for(j=0; j<p->aFirst[i+1]-p->aFirst[i]; j++) aEnd[j+1]++;
    }
    for(i=0; i<nMost; i++) aEnd[i+1] += aEnd[i];
    for(i=0; i<p->nTopic; i++){
      for(j=0; j<p->aFirst[i+1]-p->aFirst[i]; j++) aByPart[aEnd[j]++] = p->aFirst[i]+j;
    }
    for(i=0; i<p->nTp; i++){
      if( aClaim[i]>=0 ) aListFirst[aClaim[i]+1]++;
    }
    for(i=0; i<p->n; i++) aListFirst[i+1] += aListFirst[i];
    memcpy(aEnd, aListFirst, sizeof(int)*(size_t)p->n);
    for(i=0; i<p->nTp; i++){
      int iRank = aClaim[aByPart[i]];
      if( iRank>=0 ) aList[aEnd[iRank]++] = aByPart[i];
    }
  }
  sqlite3_free(aByPart);
  sqlite3_free(aEnd);
}

/*
** Deal what nobody kept: first to the circle of members below nMin (aUnder),
** each leaving it at nMin for the queue of those that may get one more
** (aAt; it has room for all members twice).
*/
static void assignDeal(Assign *p, int nMin, int *aUnder, int nUnder, int *aAt, int nAt,
                       const int *aLost, const u8 *aTwice){
  int iTp, iUnder = 0, iAt = 0;
  for(iTp=0; iTp<p->nTp; iTp++){
    int iRank;
    if( p->aOwner[iTp]>=0 ) continue;
    if( nUnder>0 ){
      if( iUnder>=nUnder ) iUnder = 0;
      iRank = aUnder[iUnder++];
    }else{
      assert( iAt<nAt );
      iRank = aAt[iAt++];
    }
    p->aOwner[iTp] = iRank;
    if( ++p->aCount[iRank]==nMin ){
      iUnder--;
      nUnder--;
      memmove(aUnder+iUnder, aUnder+iUnder+1, sizeof(int)*(size_t)(nUnder-iUnder));
      aAt[nAt++] = iRank;
    }
    if( (aLost[iTp]>=0 && aLost[iTp]!=iRank) || aTwice[iTp] ) p->aMove[iTp] = 1;
  }
}

static int assignConstrained(Assign *p, const int *aClaim, const u8 *aTwice){
  int nMin = p->nTp/p->n;                    /* each member's quota */
  int nOver = p->nTp%p->n;                   /* members that get one more */
  int nMax = nMin + (nOver>0);
  int nUnder = 0, nAt = 0, nMaxed = 0, i;
  int *aList = assignAlloc(p, p->nTp, sizeof(int));
  int *aListFirst = assignAlloc(p, p->n+1, sizeof(int));
  int *aLost = assignAlloc(p, p->nTp, sizeof(int));
  int *aUnder = assignAlloc(p, p->n, sizeof(int));
  int *aAt = assignAlloc(p, 2*(i64)p->n, sizeof(int));
  if( !p->bOom ) assignClaimLists(p, aClaim, aList, aListFirst);
  if( !p->bOom ){
    for(i=0; i<p->nTp; i++) aLost[i] = -1;
    for(i=0; i<p->n; i++){
      const int *aMine = aList+aListFirst[i];
      int nMine = aListFirst[i+1]-aListFirst[i];
      if( nMine<nMin ){
        assignKeep(p, aMine, nMine, nMine, i, aLost);
        aUnder[nUnder++] = i;
      }else if( nMine>=nMax && nMaxed<nOver ){
        assignKeep(p, aMine, nMine, nMax, i, aLost);
        if( ++nMaxed==nOver ) nAt = 0;
      }else{
        assignKeep(p, aMine, nMine, nMin, i, aLost);
        if( nMaxed<nOver ) aAt[nAt++] = i;
      }
    }
    assignDeal(p, nMin, aUnder, nUnder, aAt, nAt, aLost, aTwice);
  }
  sqlite3_free(aList);
  sqlite3_free(aListFirst);
  sqlite3_free(aLost);
  sqlite3_free(aUnder);
  sqlite3_free(aAt);
  return p->bOom ? SQLITE_NOMEM : SQLITE_OK;
}

/**************************************************************************
** sticky, mixed subscriptions
*/
typedef struct AssignMixed AssignMixed;
struct AssignMixed {
  Assign *p;
  int *aOrder;             /* flat numbers: topics with few subscribers first */
  int *aNew;               /* those of aOrder that nobody kept */
  int nNew;
  int *aTopicOf;           /* by flat number: place of its topic */
  int *aPrev;              /* by flat number: rank of an older generation's owner, or -1 */
  int *aFrom;              /* by flat number: rank it was moved away from, or -1 */
  int *aMoved;             /* by place: partitions with aFrom>=0 */
  int *aLeast;             /* by place: least loaded subscriber ... */
  int *aLeastAt;           /* ... as of this change */
  int iChange;             /* counts changes of aCount */
  u8 *aFixed;              /* by rank: can neither give nor take */
  int *aSave;              /* aOwner before the moves */
  int *aSaveCount;         /* aCount before the moves */
};

/* The subscriber of a topic with fewest partitions, the first by id. */
static int mixedLeast(AssignMixed *x, int iPlace){
  const Assign *p = x->p;
  if( x->aLeastAt[iPlace]!=x->iChange ){
    int i, iBest = p->aSub[p->aSubFirst[iPlace]];
    for(i=p->aSubFirst[iPlace]+1; i<p->aSubFirst[iPlace+1]; i++){
      if( p->aCount[p->aSub[i]]<p->aCount[iBest] ) iBest = p->aSub[i];
    }
    x->aLeast[iPlace] = iBest;
    x->aLeastAt[iPlace] = x->iChange;
  }
  return x->aLeast[iPlace];
}

static int mixedByPopularity(const void *pArg, int i, int j){
  const Assign *p = (const Assign*)pArg;
  int n1 = p->aSubFirst[i+1]-p->aSubFirst[i];
  int n2 = p->aSubFirst[j+1]-p->aSubFirst[j];
  return n1!=n2 ? n1-n2 : i-j;
}

/* Claims of members behind the newest generation: where a partition was. */
static void mixedPrevious(AssignMixed *x){
  Assign *p = x->p;
  int i, j;
  i32 iNewest = -1;
  for(i=0; i<p->nTp; i++) x->aPrev[i] = -1;
  for(i=0; i<p->n; i++) iNewest = PRILL_MAX(iNewest, p->a[i].iGeneration);
  for(i=0; i<p->n; i++){
    const PrillAssignee *m = &p->a[p->aMember[i]];
    if( m->iGeneration>=iNewest ) continue;
    for(j=0; j<m->nOwned; j++){
      int iTp = assignFlat(p, m->aOwned[j]);
      if( iTp<0 || !assignSubscribes(p, x->aTopicOf[iTp], i) ) continue;
      if( x->aPrev[iTp]<0 || p->a[p->aMember[x->aPrev[iTp]]].iGeneration<m->iGeneration ){
        x->aPrev[iTp] = i;
      }
    }
  }
}

/* Move iTp, or a partition of its topic whose earlier move this would mirror,
** to the member iTo. */
static void mixedMove(AssignMixed *x, int iTp, int iTo){
  Assign *p = x->p;
  int iPlace = x->aTopicOf[iTp];
  int iFrom = x->aFrom[iTp]>=0 ? x->aFrom[iTp] : p->aOwner[iTp];
  int i;
  if( x->aMoved[iPlace]>0 ){
    for(i=p->aFirst[iPlace]; i<p->aFirst[iPlace+1]; i++){
      if( x->aFrom[i]==iTo && p->aOwner[i]==iFrom ){
        iTp = i;
        break;
      }
    }
  }
  p->aCount[p->aOwner[iTp]]--;
  p->aCount[iTo]++;
  x->iChange++;
  if( x->aFrom[iTp]<0 ){
    x->aFrom[iTp] = p->aOwner[iTp];
    x->aMoved[iPlace]++;
  }else if( x->aFrom[iTp]==iTo ){
    x->aFrom[iTp] = -1;
    x->aMoved[iPlace]--;
  }
  p->aOwner[iTp] = iTo;
}

/* Move those of aTp[0..n) whose move improves the balance, until none does.
** Returns 1 when one was moved. */
static int mixedBalance(AssignMixed *x, const int *aTp, int n){
  Assign *p = x->p;
  int i, bAny = 0, bMoved = 1, nPass;
  for(nPass=0; bMoved && nPass<ASSIGN_MX_PASS; nPass++){
    bMoved = 0;
    for(i=0; i<n; i++){
      int iTp = aTp[i], iPlace = x->aTopicOf[iTp];
      int nHave = p->aCount[p->aOwner[iTp]];
      int iTo = x->aPrev[iTp];
      if( p->aSubFirst[iPlace+1]-p->aSubFirst[iPlace]<2 ) continue;
      if( iTo<0 || nHave<=p->aCount[iTo]+1 ) iTo = mixedLeast(x, iPlace);
      if( nHave<=p->aCount[iTo]+1 ) continue;
      mixedMove(x, iTp, iTo);
      bMoved = bAny = 1;
    }
  }
  return bAny;
}

/* Sum of the differences of all pairs of members that take part. */
static i64 mixedScore(const AssignMixed *x, const int *aCount){
  i64 nScore = 0;
  int i, j;
  for(i=0; i<x->p->n; i++){
    if( x->aFixed[i] ) continue;
    for(j=0; j<i; j++){
      if( !x->aFixed[j] ) nScore += aCount[i]>aCount[j] ? aCount[i]-aCount[j] : aCount[j]-aCount[i];
    }
  }
  return nScore;
}

/* Members that have all they can get, of topics nobody else subscribes. */
static void mixedFix(AssignMixed *x){
  Assign *p = x->p;
  int i, j;
  for(i=0; i<p->n; i++) x->aFixed[i] = 1;
  for(i=0; i<p->nTopic; i++){
    if( p->aSubFirst[i+1]-p->aSubFirst[i]<2 ) continue;
    for(j=p->aSubFirst[i]; j<p->aSubFirst[i+1]; j++) x->aFixed[p->aSub[j]] = 0;
  }
}

/* Keep claims of subscribed topics; give the rest to the least loaded, fewest
** choices first.  Returns 1 when a member lost a topic it had. */
static int mixedFill(AssignMixed *x, const int *aClaim){
  Assign *p = x->p;
  int i, bRevoked = 0;
  for(i=0; i<p->nTp; i++){
    if( aClaim[i]<0 ) continue;
    if( assignSubscribes(p, x->aTopicOf[i], aClaim[i]) ){
      p->aOwner[i] = aClaim[i];
      p->aCount[aClaim[i]]++;
    }else{
      bRevoked = 1;
    }
  }
  for(i=0; i<p->nTp; i++){
    if( p->aOwner[x->aOrder[i]]<0 ) x->aNew[x->nNew++] = x->aOrder[i];
  }
  x->iChange++;
  for(i=0; i<x->nNew; i++){
    int iRank = mixedLeast(x, x->aTopicOf[x->aNew[i]]);
    p->aOwner[x->aNew[i]] = iRank;
    p->aCount[iRank]++;
    x->iChange++;
  }
  return bRevoked;
}

static void mixedRun(AssignMixed *x, const int *aClaim){
  Assign *p = x->p;
  int bRevoked = mixedFill(x, aClaim);
  int bFresh = x->nNew==p->nTp;
  mixedFix(x);
  mixedPrevious(x);
  memcpy(x->aSave, p->aOwner, sizeof(int)*(size_t)p->nTp);
  memcpy(x->aSaveCount, p->aCount, sizeof(int)*(size_t)p->n);
  if( !bRevoked ) mixedBalance(x, x->aNew, x->nNew);
  if( mixedBalance(x, x->aOrder, p->nTp) && !bFresh
   && mixedScore(x, p->aCount)>=mixedScore(x, x->aSaveCount) ){
    memcpy(p->aOwner, x->aSave, sizeof(int)*(size_t)p->nTp);
  }
}

/* The partitions that change hands: a member that does not have them now
** claimed them, the one that has them did not. */
static void mixedTransfers(AssignMixed *x){
  Assign *p = x->p;
  int i, j;
  u8 *aKept = x->aFixed;                     /* bit 1: kept; reused by flat number */
  memset(aKept, 0, (size_t)p->nTp);
  for(i=0; i<p->n; i++){
    const PrillAssignee *m = &p->a[p->aMember[i]];
    for(j=0; j<m->nOwned; j++){
      int iTp = assignFlat(p, m->aOwned[j]);
      if( iTp<0 ) continue;
      if( p->aOwner[iTp]==i ) aKept[iTp] = 1; else p->aMove[iTp] = 1;
    }
  }
  for(i=0; i<p->nTp; i++){
    if( aKept[i] ) p->aMove[i] = 0;
  }
}

static int assignMixed(Assign *p, const int *aClaim){
  AssignMixed x;
  int i, j, k;
  int *aPlace = assignAlloc(p, p->nTopic, sizeof(int));
  int *aTmp = assignAlloc(p, p->nTopic, sizeof(int));
  memset(&x, 0, sizeof(x));
  x.p = p;
  x.aOrder = assignAlloc(p, p->nTp, sizeof(int));
  x.aNew = assignAlloc(p, p->nTp, sizeof(int));
  x.aTopicOf = assignAlloc(p, p->nTp, sizeof(int));
  x.aPrev = assignAlloc(p, p->nTp, sizeof(int));
  x.aFrom = assignAlloc(p, p->nTp, sizeof(int));
  x.aMoved = assignAlloc(p, p->nTopic, sizeof(int));
  x.aLeast = assignAlloc(p, p->nTopic, sizeof(int));
  x.aLeastAt = assignAlloc(p, p->nTopic, sizeof(int));
  x.aFixed = assignAlloc(p, PRILL_MAX(p->n, p->nTp), 1);
  x.aSave = assignAlloc(p, p->nTp, sizeof(int));
  x.aSaveCount = assignAlloc(p, p->n, sizeof(int));
  if( !p->bOom ){
    for(i=0; i<p->nTopic; i++){
      aPlace[i] = i;
      for(j=p->aFirst[i]; j<p->aFirst[i+1]; j++){
        x.aTopicOf[j] = i;
        x.aFrom[j] = -1;
      }
    }
    assignSort(aPlace, aTmp, p->nTopic, mixedByPopularity, p);
    for(i=k=0; i<p->nTopic; i++){
      for(j=p->aFirst[aPlace[i]]; j<p->aFirst[aPlace[i]+1]; j++) x.aOrder[k++] = j;
    }
    mixedRun(&x, aClaim);
    mixedTransfers(&x);
  }
  sqlite3_free(aPlace);
  sqlite3_free(aTmp);
  sqlite3_free(x.aOrder);
  sqlite3_free(x.aNew);
  sqlite3_free(x.aTopicOf);
  sqlite3_free(x.aPrev);
  sqlite3_free(x.aFrom);
  sqlite3_free(x.aMoved);
  sqlite3_free(x.aLeast);
  sqlite3_free(x.aLeastAt);
  sqlite3_free(x.aFixed);
  sqlite3_free(x.aSave);
  sqlite3_free(x.aSaveCount);
  return p->bOom ? SQLITE_NOMEM : SQLITE_OK;
}

static int assignSticky(Assign *p){
  int rc = SQLITE_NOMEM;
  int *aClaim = assignAlloc(p, p->nTp, sizeof(int));
  int *aLast = assignAlloc(p, p->nTp, sizeof(int));
  u8 *aTwice = assignAlloc(p, p->nTp, 1);
  int bEqual = assignEqual(p);
  if( !p->bOom ){
    int i;
    assignClaims(p, aClaim, aLast, aTwice);
    if( bEqual ){
      /* What was claimed twice and then by a newer generation is free too. */
      for(i=0; i<p->nTp; i++){
        if( aTwice[i] ) aClaim[i] = -1;
      }
      rc = assignConstrained(p, aClaim, aTwice);
    }else{
      rc = assignMixed(p, aClaim);
    }
  }
  sqlite3_free(aClaim);
  sqlite3_free(aLast);
  sqlite3_free(aTwice);
  return rc;
}

/**************************************************************************
** The whole
*/

/* Hand out the lists: topics by number, so that each comes out sorted. */
static int assignDeliver(Assign *p, int bWithhold){
  int i, j;
  memset(p->aCount, 0, sizeof(int)*(size_t)p->n);
  for(i=0; i<p->nTp; i++){
    if( bWithhold && p->aMove[i] ) p->aOwner[i] = -1;
    if( p->aOwner[i]>=0 ) p->aCount[p->aOwner[i]]++;
  }
  for(i=0; i<p->n; i++){
    PrillTps *pOut = &p->a[p->aMember[i]].out;
    if( p->aCount[i]==0 ) continue;
    pOut->a = assignAlloc(p, p->aCount[i], sizeof(PrillTp));
    if( pOut->a==0 ) return SQLITE_NOMEM;
    pOut->nAlloc = p->aCount[i];
  }
  for(i=0; i<p->pTopics->n; i++){
    int iPlace = p->aPlace[i];
    if( iPlace<0 ) continue;
    for(j=p->aFirst[iPlace]; j<p->aFirst[iPlace+1]; j++){
      if( p->aOwner[j]>=0 ){
        PrillTps *pOut = &p->a[p->aMember[p->aOwner[j]]].out;
        pOut->a[pOut->n].iTopic = i;
        pOut->a[pOut->n++].iPart = j-p->aFirst[iPlace];
      }
    }
  }
  return SQLITE_OK;
}

int prillAssign(int eAssignor, const PrillTopics *pTopics, PrillAssignee *aMember, int nMember){
  Assign s;
  int i, rc;
  for(i=0; i<nMember; i++) memset(&aMember[i].out, 0, sizeof(aMember[i].out));
  if( nMember<=0 ) return SQLITE_OK;
  memset(&s, 0, sizeof(s));
  s.pTopics = pTopics;
  s.a = aMember;
  s.n = nMember;
  rc = assignNumber(&s);
  if( rc==SQLITE_OK ) rc = assignSubscribers(&s);
  if( rc==SQLITE_OK && s.nTp>0 ){
    switch( eAssignor ){
      case PRILL_BY_RANGE:      rc = assignRange(&s); break;
      case PRILL_BY_ROUNDROBIN: rc = assignRoundRobin(&s); break;
      default:               rc = assignSticky(&s); break;
    }
    if( rc==SQLITE_OK ) rc = assignDeliver(&s, eAssignor==PRILL_BY_COOPERATIVE);
  }
  assignFree(&s);
  if( rc ){
    for(i=0; i<nMember; i++) prillTpsFree(&aMember[i].out);
  }
  return rc;
}

/**************************************************************************
** What nobody owns
*/

/* Append "first" or "first-last", after the topic's name or a comma. */
static void assignRun(int *pRc, PrillBuf *pOut, const char *zTopic, int iFirst, int iLast, int *pbAny){
  if( !*pbAny ){
    prillBufPrintf(pRc, pOut, "%s%s ", pOut->n>0 ? "; " : "", zTopic);
  }else{
    prillBufPrintf(pRc, pOut, ", ");
  }
  prillBufPrintf(pRc, pOut, iFirst==iLast ? "%d" : "%d-%d", iFirst, iLast);
  *pbAny = 1;
}

void prillAssignProblem(int *pRc, const PrillTopics *pTopics, const PrillTps *const*apOwner,
                        int nOwner, PrillBuf *pOut){
  int i, j, k;
  for(i=0; i<pTopics->n && *pRc==SQLITE_OK; i++){
    const PrillTopicN *t = &pTopics->a[i];
    int bAny = 0;
    u8 *aOwned;
    if( t->nPart<=0 ){
      prillBufPrintf(pRc, pOut, "%s%s: no such topic", pOut->n>0 ? "; " : "", t->zTopic);
      continue;
    }
    aOwned = sqlite3_malloc64((u64)t->nPart);
    if( aOwned==0 ){
      *pRc = SQLITE_NOMEM;
      return;
    }
    memset(aOwned, 0, (size_t)t->nPart);
    for(j=0; j<nOwner; j++){
      for(k=0; k<apOwner[j]->n; k++){
        PrillTp tp = apOwner[j]->a[k];
        if( tp.iTopic==i && tp.iPart>=0 && tp.iPart<t->nPart ) aOwned[tp.iPart] = 1;
      }
    }
    for(j=0; j<t->nPart; j=k+1){
      for(k=j; k<t->nPart && !aOwned[k]; k++){}
      if( k>j ) assignRun(pRc, pOut, t->zTopic, j, k-1, &bAny);
    }
    if( bAny ) prillBufPrintf(pRc, pOut, ": no owner");
    sqlite3_free(aOwned);
  }
}
