/*
** subscription.c: the bytes by which Kafka's consumers tell each other what
** they subscribe and own, and what they are given.
**
** Layer 4.  Calls util, buf.  No I/O.  The coordinator does not look into these
** bytes; the members' assignors, the admin tables and the rows of a group do.
**
**   subscription   i16 version, [topics], user data
**                  v1: [topic, [partition]] owned; v2: i32 generation; v3: rack
**   assignment     i16 version, [topic, [partition]], user data
**   sticky         [topic, [partition]] of the last assignment; v1: i32 generation
**   cooperative    i32 generation
**
** Strings have an i16 length, arrays and bytes an i32 length, -1 for null.
** Big-endian, as everything of Kafka's.
**
** Invariants:
**
**   1. No read beyond the given bytes, whatever they claim: a count of things
**      is held against the bytes that are left before anything is allocated.
**   2. Bytes after the last known field are ignored, as Kafka's Java code does.
*/
#include "prillGroup.h"

/**************************************************************************
** Topics by number, lists of partitions
*/
static u32 topicsHash(const char *z, i64 n){
  return prillMurmur2(z, n);
}

void prillTopicsFree(PrillTopics *p){
  int i;
  for(i=0; i<p->n; i++) sqlite3_free(p->a[i].zTopic);
  sqlite3_free(p->a);
  sqlite3_free(p->aHash);
  memset(p, 0, sizeof(*p));
}

int prillTopicsFind(const PrillTopics *p, const char *z, i64 n){
  u32 h;
  if( p->nHash==0 ) return -1;
  if( n<0 ) n = (i64)strlen(z);
  for(h=topicsHash(z, n); ; h++){
    int i = p->aHash[h & (u32)(p->nHash-1)];
    if( i<0 ) return -1;
    if( strncmp(p->a[i].zTopic, z, (size_t)n)==0 && p->a[i].zTopic[n]==0 ) return i;
  }
}

static void topicsPut(PrillTopics *p, int i){
  u32 h = topicsHash(p->a[i].zTopic, (i64)strlen(p->a[i].zTopic));
  while( p->aHash[h & (u32)(p->nHash-1)]>=0 ) h++;
  p->aHash[h & (u32)(p->nHash-1)] = i;
}

/* Room for one more: the table of hashes stays at most half full. */
static int topicsGrow(PrillTopics *p){
  if( p->n>=p->nAlloc ){
    int nNew = p->nAlloc ? p->nAlloc*2 : 8;
    PrillTopicN *a = sqlite3_realloc64(p->a, sizeof(*a)*(u64)nNew);
    if( a==0 ) return SQLITE_NOMEM;
    p->a = a;
    p->nAlloc = nNew;
  }
  if( (p->n+1)*2>p->nHash ){
    int i, nNew = p->nHash ? p->nHash*2 : 16;
    int *a = sqlite3_malloc64(sizeof(int)*(u64)nNew);
    if( a==0 ) return SQLITE_NOMEM;
    memset(a, 0xff, sizeof(int)*(size_t)nNew);
    sqlite3_free(p->aHash);
    p->aHash = a;
    p->nHash = nNew;
    for(i=0; i<p->n; i++) topicsPut(p, i);
  }
  return SQLITE_OK;
}

int prillTopicsAdd(int *pRc, PrillTopics *p, const char *z, i64 n){
  int i;
  char *zNew;
  if( *pRc ) return -1;
  if( n<0 ) n = (i64)strlen(z);
  i = prillTopicsFind(p, z, n);
  if( i>=0 ) return i;
  *pRc = topicsGrow(p);
  if( *pRc ) return -1;
  zNew = sqlite3_malloc64((u64)n+1);
  if( zNew==0 ){
    *pRc = SQLITE_NOMEM;
    return -1;
  }
  memcpy(zNew, z, (size_t)n);
  zNew[n] = 0;
  p->a[p->n].zTopic = zNew;
  p->a[p->n].nPart = 0;
  topicsPut(p, p->n);
  return p->n++;
}

void prillTpsFree(PrillTps *p){
  sqlite3_free(p->a);
  memset(p, 0, sizeof(*p));
}

void prillTpsAdd(int *pRc, PrillTps *p, i32 iTopic, i32 iPart){
  if( *pRc ) return;
  if( p->n>=p->nAlloc ){
    int nNew = p->nAlloc ? p->nAlloc*2 : 8;
    PrillTp *a = sqlite3_realloc64(p->a, sizeof(*a)*(u64)nNew);
    if( a==0 ){
      *pRc = SQLITE_NOMEM;
      return;
    }
    p->a = a;
    p->nAlloc = nNew;
  }
  p->a[p->n].iTopic = iTopic;
  p->a[p->n++].iPart = iPart;
}

static int tpsCompare(PrillTp a, PrillTp b){
  if( a.iTopic!=b.iTopic ) return a.iTopic<b.iTopic ? -1 : 1;
  return a.iPart<b.iPart ? -1 : a.iPart>b.iPart;
}

/* Heap sort: in place, and no bad case. */
static void tpsSift(PrillTp *a, int i, int n){
  PrillTp x = a[i];
  for(;;){
    int k = 2*i+1;
    if( k>=n ) break;
    if( k+1<n && tpsCompare(a[k], a[k+1])<0 ) k++;
    if( tpsCompare(x, a[k])>=0 ) break;
    a[i] = a[k];
    i = k;
  }
  a[i] = x;
}

void prillTpsSort(PrillTps *p){
  int i, n;
  for(i=1; i<p->n && tpsCompare(p->a[i-1], p->a[i])<0; i++){}
  if( i>=p->n ) return;
  for(i=p->n/2-1; i>=0; i--) tpsSift(p->a, i, p->n);
  for(i=p->n-1; i>0; i--){
    PrillTp x = p->a[0];
    p->a[0] = p->a[i];
    p->a[i] = x;
    tpsSift(p->a, 0, i);
  }
  for(i=n=1; i<p->n; i++){
    if( tpsCompare(p->a[n-1], p->a[i]) ) p->a[n++] = p->a[i];
  }
  p->n = n;
}

int prillTpsFind(const PrillTps *p, i32 iTopic, i32 iPart){
  PrillTp x = {iTopic, iPart};
  int i = 0, n = p->n;
  while( i<n ){
    int k = i+(n-i)/2;
    int c = tpsCompare(p->a[k], x);
    if( c==0 ) return k;
    if( c<0 ) i = k+1; else n = k;
  }
  return -1;
}

/**************************************************************************
** Reading
*/
typedef struct SubRead SubRead;
struct SubRead {
  const u8 *a, *aEnd;
  int rc;
};

static i32 subInt(SubRead *p, int n){
  i32 v = 0;
  if( p->rc==SQLITE_OK && p->aEnd-p->a<n ) p->rc = PRILL_CORRUPT;
  if( p->rc ) return 0;
  v = n==2 ? (i16)prillGet16(p->a) : (i32)prillGet32(p->a);
  p->a += n;
  return v;
}

/* A string's or a byte array's length (of nLen bytes) and bytes; -1 null. */
static const u8 *subBytes(SubRead *p, int nLen, int bNull, i32 *pn){
  i32 n = subInt(p, nLen);
  const u8 *a = p->a;
  if( p->rc==SQLITE_OK && (n<(bNull ? -1 : 0) || n>p->aEnd-p->a) ) p->rc = PRILL_CORRUPT;
  *pn = p->rc ? -1 : n;
  if( *pn<0 ) return 0;
  p->a += n;
  return a;
}

/* An array's count of things of at least szMin bytes each. */
static i32 subCount(SubRead *p, int szMin){
  i32 n = subInt(p, 4);
  if( p->rc==SQLITE_OK && (n<0 || n>(p->aEnd-p->a)/szMin) ) p->rc = PRILL_CORRUPT;
  return p->rc ? 0 : n;
}

/* A topic's name, numbered.  One with a NUL cannot be a topic's: malformed. */
static i32 subTopic(SubRead *p, PrillTopics *pTopics){
  i32 n;
  const u8 *a = subBytes(p, 2, 0, &n);
  if( p->rc==SQLITE_OK && memchr(a, 0, (size_t)n) ) p->rc = PRILL_CORRUPT;
  return prillTopicsAdd(&p->rc, pTopics, (const char*)a, n);
}

static void subPartitions(SubRead *p, PrillTopics *pTopics, PrillTps *pOut){
  i32 n = subCount(p, 6);
  while( n-- > 0 && p->rc==SQLITE_OK ){
    i32 iTopic = subTopic(p, pTopics);
    i32 nPart = subCount(p, 4);
    while( nPart-- > 0 && p->rc==SQLITE_OK ) prillTpsAdd(&p->rc, pOut, iTopic, subInt(p, 4));
  }
}

void prillSubscriptionFree(PrillSubscription *p){
  sqlite3_free(p->aTopic);
  prillTpsFree(&p->owned);
  memset(p, 0, sizeof(*p));
}

int prillSubscriptionDecode(const u8 *a, i64 n, PrillTopics *pTopics, PrillSubscription *p){
  SubRead s;
  i32 nTopic, i;
  memset(p, 0, sizeof(*p));
  s.a = a;
  s.aEnd = n>0 ? a+n : a;
  s.rc = SQLITE_OK;
  p->iGeneration = -1;
  p->nRack = -1;
  p->iVersion = subInt(&s, 2);
  if( p->iVersion<0 ) s.rc = PRILL_CORRUPT;
  nTopic = subCount(&s, 2);
  p->aTopic = sqlite3_malloc64(sizeof(i32)*(u64)nTopic+1);
  if( p->aTopic==0 ) s.rc = SQLITE_NOMEM;
  for(i=0; i<nTopic && s.rc==SQLITE_OK; i++) p->aTopic[p->nTopic++] = subTopic(&s, pTopics);
  p->pUser = subBytes(&s, 4, 1, &p->nUser);
  if( p->iVersion>=1 ) subPartitions(&s, pTopics, &p->owned);
  if( p->iVersion>=2 ) p->iGeneration = subInt(&s, 4);
  if( p->iVersion>=3 ) p->pRack = subBytes(&s, 2, 1, &p->nRack);
  if( s.rc ) prillSubscriptionFree(p);
  return s.rc;
}

int prillAssignmentDecode(const u8 *a, i64 n, PrillTopics *pTopics, PrillTps *pOut,
                          const u8 **ppUser, i32 *pnUser){
  SubRead s;
  const u8 *pUser = 0;
  i32 nUser = -1;
  s.a = a;
  s.aEnd = n>0 ? a+n : a;
  s.rc = SQLITE_OK;
  if( n>0 ){
    if( subInt(&s, 2)<0 ) s.rc = PRILL_CORRUPT;
    subPartitions(&s, pTopics, pOut);
    pUser = subBytes(&s, 4, 1, &nUser);
  }
  if( ppUser ){
    *ppUser = pUser;
    *pnUser = nUser;
  }
  return s.rc;
}

int prillSubscriptionOwned(int eAssignor, const PrillSubscription *p, PrillTopics *pTopics,
                           PrillTps *pOwned, i32 *piGeneration){
  int i, rc = SQLITE_OK;
  SubRead s;
  s.a = p->pUser;
  s.aEnd = p->nUser>0 ? p->pUser+p->nUser : p->pUser;
  s.rc = SQLITE_OK;
  *piGeneration = -1;
  if( eAssignor==PRILL_BY_COOPERATIVE ){
    *piGeneration = p->iGeneration;
    if( p->iGeneration<0 && p->nUser>=4 ) *piGeneration = subInt(&s, 4);
    for(i=0; i<p->owned.n; i++) prillTpsAdd(&rc, pOwned, p->owned.a[i].iTopic, p->owned.a[i].iPart);
  }else if( eAssignor==PRILL_BY_STICKY && p->nUser>0 ){
    int n = pOwned->n;
    subPartitions(&s, pTopics, pOwned);
    if( s.rc==SQLITE_OK && s.aEnd-s.a>=4 ) *piGeneration = subInt(&s, 4);
    if( s.rc==SQLITE_NOMEM ) rc = s.rc;
    if( s.rc ) pOwned->n = n;        /* not to be parsed: as if it owned nothing */
  }
  return rc;
}

/**************************************************************************
** Writing
*/
static void subPut(int *pRc, PrillBuf *pBuf, i32 v, int n){
  u8 *a = prillBufRoom(pRc, pBuf, 4);
  if( a==0 ) return;
  if( n==2 ) prillPut16(a, (u16)v); else prillPut32(a, (u32)v);
  pBuf->n += n;
}

static void subPutBytes(int *pRc, PrillBuf *pBuf, const void *a, i64 n, int nLen){
  subPut(pRc, pBuf, (i32)n, nLen);
  if( n>0 ) prillBufAppend(pRc, pBuf, a, n);
}

static void subPutTopic(int *pRc, PrillBuf *pBuf, const PrillTopics *pTopics, i32 iTopic){
  const char *z = pTopics->a[iTopic].zTopic;
  subPutBytes(pRc, pBuf, z, (i64)strlen(z), 2);
}

/* Partitions grouped by topic, topics in the order they first come. */
static void subPutPartitions(int *pRc, PrillBuf *pBuf, const PrillTopics *pTopics, const PrillTps *p){
  int i, j, k, nTopic = 0;
  i64 iCount = pBuf->n;
  int *aNext, *aLast;      /* aNext[i]: the next of its topic; aLast by topic */
  subPut(pRc, pBuf, 0, 4);
  if( *pRc || p->n==0 ) return;
  aNext = sqlite3_malloc64(sizeof(int)*(u64)(p->n+pTopics->n));
  if( aNext==0 ){
    *pRc = SQLITE_NOMEM;
    return;
  }
  aLast = aNext+p->n;
  for(i=0; i<pTopics->n; i++) aLast[i] = -1;
  for(i=0; i<p->n; i++){
    j = aLast[p->a[i].iTopic];
    aNext[i] = -1;
    if( j>=0 ) aNext[j] = i;
    aLast[p->a[i].iTopic] = i;
  }
  for(i=0; i<pTopics->n; i++) aLast[i] = 0;       /* now: already written */
  for(i=0; i<p->n; i++){
    if( aLast[p->a[i].iTopic] ) continue;
    aLast[p->a[i].iTopic] = 1;
    nTopic++;
    subPutTopic(pRc, pBuf, pTopics, p->a[i].iTopic);
    for(k=0, j=i; j>=0; j=aNext[j]) k++;
    subPut(pRc, pBuf, k, 4);
    for(j=i; j>=0; j=aNext[j]) subPut(pRc, pBuf, p->a[j].iPart, 4);
  }
  sqlite3_free(aNext);
  if( *pRc==SQLITE_OK ) prillPut32(pBuf->a+iCount, (u32)nTopic);
}

/* Insert numbers of topics sorted by name into aOut[0..n). */
static void subSortTopics(const PrillTopics *pTopics, i32 *a, int n){
  int nGap, i, j;
  for(nGap=1; nGap<n/3; nGap=nGap*3+1){}
  for(; nGap>0; nGap/=3){                         /* Shell's sort */
    for(i=nGap; i<n; i++){
      i32 v = a[i];
      for(j=i; j>=nGap && strcmp(pTopics->a[a[j-nGap]].zTopic, pTopics->a[v].zTopic)>0; j-=nGap){
        a[j] = a[j-nGap];
      }
      a[j] = v;
    }
  }
}

void prillSubscriptionEncode(int *pRc, PrillBuf *pBuf, const PrillTopics *pTopics,
                             const PrillSubscription *p, i32 iVersion){
  int i;
  i32 *aTopic;
  if( *pRc ) return;
  aTopic = sqlite3_malloc64(sizeof(i32)*(u64)p->nTopic+1);
  if( aTopic==0 ){
    *pRc = SQLITE_NOMEM;
    return;
  }
  if( p->nTopic>0 ) memcpy(aTopic, p->aTopic, sizeof(i32)*(size_t)p->nTopic);
  subSortTopics(pTopics, aTopic, p->nTopic);
  subPut(pRc, pBuf, iVersion, 2);
  subPut(pRc, pBuf, p->nTopic, 4);
  for(i=0; i<p->nTopic; i++) subPutTopic(pRc, pBuf, pTopics, aTopic[i]);
  sqlite3_free(aTopic);
  subPutBytes(pRc, pBuf, p->pUser, p->pUser ? p->nUser : -1, 4);
  if( iVersion>=1 ) subPutPartitions(pRc, pBuf, pTopics, &p->owned);
  if( iVersion>=2 ) subPut(pRc, pBuf, p->iGeneration, 4);
  if( iVersion>=3 ) subPutBytes(pRc, pBuf, p->pRack, p->pRack ? p->nRack : -1, 2);
}

void prillAssignmentEncode(int *pRc, PrillBuf *pBuf, const PrillTopics *pTopics,
                           const PrillTps *p, i32 iVersion){
  subPut(pRc, pBuf, iVersion, 2);
  subPutPartitions(pRc, pBuf, pTopics, p);
  subPut(pRc, pBuf, -1, 4);
}

void prillStickyEncode(int *pRc, PrillBuf *pBuf, int eAssignor, const PrillTopics *pTopics,
                       const PrillTps *p, i32 iGeneration){
  if( eAssignor==PRILL_BY_STICKY ) subPutPartitions(pRc, pBuf, pTopics, p);
  subPut(pRc, pBuf, iGeneration, 4);
}
