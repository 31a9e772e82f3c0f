/*
** wake.c: the file "wake" of a log directory: counters that tell, in any
** process, that something was committed, and on which one can sleep.
**
** Layer 3, store.  Calls file and store.
**
** THE FILE.  64 KiB, 16,384 words of 32 bits in the machine's own order, in
** the page cache of one kernel.
**
**   word 0      counts commits that touched the store
**   word 1      counts turns at the write lock (turn.c)
**   word 2      counts how often somebody waited for the write lock
**   words 16..  word 16 + T mod 16,368 counts commits of topic number T
**
** A counter goes up by 2.  Its lowest bit says that somebody may be asleep on
** it: who is about to sleep sets it, who counts clears it and then wakes.  So
** a commit nobody waits for makes no system call, and a sleeper that is
** killed leaves nothing behind but one call too many.
**
** A HINT, NEVER A TRUTH.  The database alone says what there is.  A counter
** that moved means "look"; one that did not proves nothing:
**
**   I1  A counter is sampled before the snapshot that is looked at.  A commit
**       that the snapshot lacks then counts after the sample, and the sleep
**       that follows ends at once.
**   I2  Nobody sleeps for more than a second without looking at the database.
**       That covers a writer killed between its commit and its wake, writers
**       without prill, a file deleted or never made, and a lost bit.
**   I3  The file is written in full when it is made, and never cut or
**       replaced: every process sleeps on the same words, and no page of the
**       mapping lacks a block.
**   I4  Nothing here fails a commit.  What cannot be made or mapped is done
**       without, and tried again after WAKE_LOOK commits or at the next wait.
**
** The mapping belongs to the connection (PrillConn), not to its PrillStore: a
** busy handler needs it at times when no store is referenced.
**
** Crash story: after a power loss the file may be short or stale.  Short, it
** is written to its end again; the values mean nothing across a boot.
*/
#include "prillInt.h"

#define WAKE_BYTES 65536
#define WAKE_WORDS (WAKE_BYTES/4)
#define WAKE_FIRST 16                 /* the first topic's word */
#define WAKE_LOOK  64                 /* commits between two looks at the directory entry */

/* The word of a topic; 0, the store's, for no topic. */
static int wakeWord(i64 iTopic){
  if( iTopic<=0 ) return PRILL_WAKE_STORE;
  return WAKE_FIRST + (int)(iTopic % (WAKE_WORDS-WAKE_FIRST));
}

/* Write the file's missing bytes, making it if need be (I3). */
static int wakeMake(PrillWake *p){
  PrillFile *pFile = 0;
  i64 n = 0;
  u8 *a;
  int rc = prillFileOpen(p->pVfs, p->zPath, PRILL_OPEN_CREATE, p->zDb, &pFile);
  if( rc==SQLITE_OK ) rc = prillFileSize(pFile, &n);
  if( rc==SQLITE_OK && n<WAKE_BYTES ){
    a = (u8*)sqlite3_malloc64((u64)(WAKE_BYTES-n));
    if( a==0 ){
      rc = SQLITE_NOMEM;
    }else{
      memset(a, 0, (size_t)(WAKE_BYTES-n));
      rc = prillFileWrite(pFile, a, WAKE_BYTES-n, n);
      sqlite3_free(a);
    }
  }
  prillFileClose(pFile);
  return rc;
}

PrillWake *prillWakeGet(PrillConn *pConn, sqlite3_vfs *pVfs, const char *zDb){
  PrillWake *p;
  if( zDb==0 || zDb[0]==0 ) return 0;
  for(p=pConn->pWakes; p; p=p->pNext){
    if( p->pVfs==pVfs && strcmp(p->zDb, zDb)==0 ) return p;
  }
  p = (PrillWake*)sqlite3_malloc64(sizeof(*p));
  if( p==0 ) return 0;
  memset(p, 0, sizeof(*p));
  p->pVfs = pVfs;
  p->zDb = sqlite3_mprintf("%s", zDb);
  p->zPath = sqlite3_mprintf("%s-log/wake", zDb);
  if( p->zDb==0 || p->zPath==0 ){
    sqlite3_free(p->zDb);
    sqlite3_free(p->zPath);
    sqlite3_free(p);
    return 0;
  }
  p->pNext = pConn->pWakes;
  pConn->pWakes = p;
  return p;
}

void prillWakeFree(PrillConn *pConn){
  PrillWake *p;
  while( (p = pConn->pWakes)!=0 ){
    pConn->pWakes = p->pNext;
    prillFileUnmap(&p->map);
    sqlite3_free(p->zDb);
    sqlite3_free(p->zPath);
    sqlite3_free(p);
  }
}

int prillWakeMap(PrillWake *p, int bLook){
  if( p->map.a && bLook && !prillFileIsMapped(p->zPath, &p->map) ) prillFileUnmap(&p->map);
  if( p->map.a==0 ) (void)prillFileMap(p->pVfs, p->zPath, WAKE_BYTES, &p->map);
  return p->map.a!=0;
}

PrillWake *prillWakeOpen(PrillStore *pStore, int bLook){
  PrillConn *pConn = pStore->pConn;
  PrillWake *p = pStore->pWake;
  if( p==0 ){
    if( pStore->zDir==0 ) return 0;
    p = pStore->pWake = prillWakeGet(pConn, pStore->pVfs, pStore->zDb);
    if( p==0 ) return 0;
  }
  if( prillWakeMap(p, bLook) || !pStore->bExists || sqlite3_db_readonly(pConn->db, pStore->zSchema) ) return p;
  /* Not there, or not whole. */
  if( prillStoreMakeDir(pStore, 0)==SQLITE_OK && wakeMake(p)==SQLITE_OK ) (void)prillWakeMap(p, 0);
  sqlite3_free(pConn->zErr);
  pConn->zErr = 0;
  return p;
}

/* Count, and wake all who sleep there. */
static void wakeCount(PrillWake *p, int iWord){
  u32 *pWord = &p->map.a[iWord];
  u32 v = __atomic_load_n(pWord, __ATOMIC_RELAXED);
  while( !__atomic_compare_exchange_n(pWord, &v, (v+2) & ~(u32)1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED) ){}
  if( v & 1 ) (void)prillFileWake(pWord, 0x7fffffff);
}

static void wakeTopic(PrillWake *p, PrillConn *pConn, PrillTopic *pTopic){
  if( pTopic->iWake==pConn->iWake ) return;
  pTopic->iWake = pConn->iWake;
  wakeCount(p, wakeWord(pTopic->iTopic));
}

void prillWakeCommit(PrillStore *pStore){
  PrillConn *pConn = pStore->pConn;
  PrillWake *p = pStore->pWake;
  PrillWrite *w;
  if( p==0 || --p->nLook<=0 ){
    p = prillWakeOpen(pStore, 1);
    if( p==0 ) return;
    p->nLook = WAKE_LOOK;
  }
  if( p->map.a==0 || p->map.bReadOnly ) return;
  pConn->iWake++;
  for(w=(pStore->pStage ? pStore->pStage->pWrites : 0); w; w=w->pNext){
    wakeTopic(p, pConn, w->pTopic);
  }
  if( pStore->bTell ){
    PrillTopic *pTopic;
    for(pTopic=pStore->pTopics; pTopic; pTopic=pTopic->pNext){
      if( pTopic->bTell ) wakeTopic(p, pConn, pTopic);
      pTopic->bTell = 0;
    }
    pStore->bTell = 0;
  }
  wakeCount(p, PRILL_WAKE_STORE);
}

void prillWakeSample(PrillWake *p, i64 iTopic, PrillMark *pMark){
  pMark->iWord = wakeWord(iTopic);
  pMark->bMap = (u8)(p && p->map.a && !p->map.bReadOnly);
  pMark->iSeen = pMark->bMap ? __atomic_load_n(&p->map.a[pMark->iWord], __ATOMIC_SEQ_CST)>>1 : 0;
}

int prillWakeSleep(PrillWake *p, sqlite3_vfs *pVfs, const PrillMark *pMark, i64 us){
  u32 *pWord, v;
  if( !pMark->bMap || p==0 || p->map.a==0 ){
    pVfs->xSleep(pVfs, (int)us);
    return 1;
  }
  pWord = &p->map.a[pMark->iWord];
  v = __atomic_load_n(pWord, __ATOMIC_SEQ_CST);
  do{
    if( v>>1!=pMark->iSeen ) return 0;
    if( v & 1 ) break;
  }while( !__atomic_compare_exchange_n(pWord, &v, v|1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) );
  return prillFileSleep(pWord, v|1, us);
}
