/*
** prillStore.h: the store's structures and interfaces (layers 3 and 5).
** Included by prillInt.h alone.
*/
#ifndef PRILLSTORE_H
#define PRILLSTORE_H

/**************************************************************************
** Layer 3, store.
**
** One PrillConn a connection; one PrillStore a schema ("main", "aux1", ...)
** of it that has been used; PrillTopic and PrillPart are its cached catalog.
** What is cached is always the committed state of the snapshot that had
** iDataVersion, except while bDirty says this transaction changed the
** catalog: then it is what the transaction sees at the stamp iCatalog.
*/
typedef struct PrillStore PrillStore;
typedef struct PrillTopic PrillTopic;
typedef struct PrillPart PrillPart;
typedef struct PrillChunk PrillChunk;
typedef struct PrillExtent PrillExtent;
typedef struct PrillSeg PrillSeg;
typedef struct PrillWrite PrillWrite;
typedef struct PrillRun PrillRun;
typedef struct PrillStage PrillStage;
typedef struct PrillPageCache PrillPageCache;
typedef struct PrillWake PrillWake;
typedef struct PrillSeen PrillSeen;
typedef struct PrillTurn PrillTurn;
typedef struct PrillKeyPend PrillKeyPend;
typedef struct PrillKeep PrillKeep;

/* Cached statements, by number.  store.c has their texts. */
enum {
  STMT_STATE, STMT_TOPICS, STMT_PARTS, STMT_PART, STMT_SEGS, STMT_TAIL, STMT_FRAME0,
  STMT_INDEX, STMT_PUT_FRAME, STMT_SET_FRAME, STMT_PUT_PART, STMT_PUT_SEG, STMT_PUT_INDEX, STMT_DEL_INDEX,
  STMT_PUT_TRASH, STMT_SET_STATE, STMT_PUT_GAP, STMT_KEYS, STMT_PUT_KEY, STMT_DEL_KEY,
  STMT_PRODUCER, STMT_PUT_PRODUCER,
  STMT_GROUP, STMT_POSITION, STMT_PUT_POSITION, STMT_POLLED, STMT_OFFSET, STMT_PUT_OFFSET, STMT_N
};

struct PrillConn {
  sqlite3 *db;
  int nRef;               /* modules and functions registered with it */
  PrillStore *pStores;    /* linked by pNext */
  char *zErr;             /* last prillError text */
  i64 iLastOff;           /* offset of the last INSERTed record, -1 none */
  int iLastPart;          /* its partition, -1 none */
  int iRobin;             /* round_robin's place */
  PrillWake *pWakes;      /* mapped files "wake", one a database (wake.c) */
  u32 iWake;              /* commits counted in them */
  PrillSeen *pSeen;       /* what was last read of which topic (wait.c) */
  i64 iCount;             /* gives numbers to transactions, savepoints, rollbacks of all its stores */
  u64 iMember;            /* random, tells its queue tables from others', 0 not drawn */
  i64 nSlept, nRoused;    /* sleeps that have ended, those that a commit ended: for prill_debug() */
  PrillTurn *pTurn;       /* the busy handler's state, or NULL (turn.c) */
  PrillKeep *pKeep;       /* what tables of schema temp leave with the connection */
  void *pJobs;            /* compactions begun (compact.c) */
};

/* State of a table of schema temp that outlives its sqlite3_vtab: SQLite
** disconnects tables whenever it reads the schema anew.  First member of such
** a state; freed, with xFree, when the connection ends. */
struct PrillKeep {
  PrillKeep *pNext;
  void (*xFree)(PrillKeep*);
};

/* What the database says of one partition: the committed truth. */
struct PrillExtent {
  i64 iLogStart;          /* first readable offset */
  i64 iSegEnd;            /* first offset not in the segments */
  i64 iBase;              /* base offset of the active segment, -1: none */
  i64 iGen;               /* its generation */
  i64 nByte;              /* its committed bytes */
  i64 nSynced;            /* of these, known to be on disk */
  i64 nRec;               /* records in it */
  i64 iFirstTs;           /* timestamp of its first batch, for rolling by age */
  i64 iMaxTs;             /* greatest timestamp in it, -1 none */
  i64 iMaxTsOff;          /* last offset of the batch that has it */
  i64 iMinTs;             /* least timestamp in it */
  i64 nAllByte;           /* committed bytes of all segments, the active one too */
  i64 nAllRec;            /* records of all segments */
  i64 iSegVer;            /* rises when the segment list changes */
  i64 iEpoch;             /* leader epoch for new batches */
};

/* One segment in a partition's list; the active one is the last and has its
** figures in the extent. */
struct PrillSeg {
  i64 iBase, iGen;
  i64 iEnd;               /* first offset after it; active: -1 */
  i64 nByte, nRec;
  i64 iMinTs, iMaxTs;
  u32 iIndexCrc;          /* sealed: CRC-32C of .index, then .timeindex */
  i64 iClean;             /* compacted up to this offset; 0: never */
  i64 iHorizon;           /* when a tombstone in it may go, I64MAX: none may */
  u8 bPacked;             /* recompressed, or not worth it */
  u8 bSealed;
  i64 iSureFrom, iSureTo; /* bytes whose batches this connection has checked (scan.c) */
  PrillIndex index;       /* loaded on first use */
  u8 bIndex;              /* index is loaded */
  u8 bKey;                /* aKey is loaded */
  int nKey;               /* key runs, of the segment's first bytes on */
  PrillKeyRun *aKey;
};

/* Records of one partition with consecutive offsets, in memory: a piece of
** the tail or of a stage.  buf holds encoded records without a batch header,
** deltas against iBase and iBaseTs; or, with bBatch, one whole batch that is
** kept as its producer made it.  Reference counted; bytes only grow. */
struct PrillChunk {
  int nRef;
  i32 nRec;
  u8 bGone;               /* taken back by a rollback: open scans end here */
  u8 bBatch;              /* buf is a whole batch, header and all: never re-batched */
  i64 iEpoch;
  i64 iBase, iNext;       /* first offset, and the one after the last */
  i64 iBaseTs, iMaxTs, iMinTs;
  PrillBuf buf;
};
PrillChunk *prillChunkNew(int *pRc, i64 iBase, i64 iBaseTs, i64 iEpoch);
PrillChunk *prillChunkRef(PrillChunk*);
void prillChunkUnref(PrillChunk*);                     /* NULL is harmless */
/* Append one record; p->iOff is iNext. */
void prillChunkAppend(int *pRc, PrillChunk*, const PrillRecord *p);
/* A chunk of one whole batch, its offset and epoch as they stand in the bytes,
** which are copied.  The caller knows that it is one; SQLITE_CORRUPT_VTAB when
** its header cannot be or has no records. */
PrillChunk *prillChunkBatch(int *pRc, const u8 *a, i64 n, i64 iMinTs);
/* The same of bytes that are vetted and stay the caller's, in a struct of his. */
void prillChunkBorrow(PrillChunk*, const PrillBatch*, u8 *a, i64 iMinTs);
/* The records of a chunk: a header for them, and their bytes, in the chunk or
** in *pOut.  SQLITE_CORRUPT_VTAB when a whole batch does not decompress,
** SQLITE_MISMATCH for a codec this build lacks. */
int prillChunkRecords(const PrillChunk*, PrillBatch*, PrillBuf *pOut, const u8 **paRec, i64 *pnRec);

/* Reference counted: its topic, a stage and every scan hold it. */
struct PrillPart {
  int nRef;
  PrillStore *pStore;
  PrillTopic *pTopic;     /* NULL once the topic has left the cache */
  u8 aUuid[16];           /* the topic's */
  int iPid;               /* number in the store: never reused */
  int iPart;              /* number in the topic */
  PrillExtent x;          /* committed, valid while iSeen>=pStore->iForeign */
  i64 iSeen;
  PrillChunk **apTail;    /* live chunks of the tail, in offset order */
  int nTail;
  i64 nTailByte;
  PrillPart *pShare;      /* next in pStore->apShare's list of its class */
  PrillPart **ppShare;    /* what points here in it, NULL: in none */
  int eShare;             /* its class */
  PrillSeg *aSeg;         /* segment list, valid while iSegSeen==x.iSegVer */
  int nSeg;
  i64 iSegSeen;
  PrillWrite *pWrite;     /* this transaction's records, or NULL (stage.c) */
  i64 iOwnBase, iOwnGen;  /* bytes of this segment that are ours and in no committed */
  i64 iOwnFrom, iOwnTo;   /* extent: iOwnFrom..iOwnTo */
  i64 iSyncTime;          /* flush.ms: when this connection last synced it */
  i64 iRewind;            /* counts rollbacks of batches: open scans compare */
  i64 iBadBase, iBadGen;  /* segment closed for appends after a failed write (R7) */
  PrillKeyPend *pPend;    /* key hashes of the log past the last run (key.c), or NULL */
  u8 bUncleanable;        /* damage was found: it is not compacted */
  PrillPart *pHash;       /* next in pStore->apPart's bucket */
};

struct PrillTopic {
  PrillStore *pStore;
  PrillTopic *pNext;
  i64 iTopic;             /* row id */
  char *zName;
  char *zDoor;            /* table that made it, or NULL */
  u8 aUuid[16];
  PrillConfig cfg;
  int nPart;
  PrillPart **apPart;     /* by number in the topic */
  int nRef;               /* cursors and doors; the cache's own counts too */
  u8 bGone;               /* no longer in the catalog */
  u32 iWake;              /* last commit it was counted in (wake.c) */
  u8 bTell;               /* counts in the next one, though nothing was written to it */
  PrillSeen *pSeen;       /* where reads of it are noted, once there was one */
};

/* Who wants to know how the open transaction ends: called once, then off the list
** (stage.c). */
typedef struct PrillWatch PrillWatch;
struct PrillWatch {
  PrillWatch *pNext;
  PrillStore *pStore;     /* on whose list, or NULL */
  void (*xEnd)(PrillWatch*, int bCommit);
};
void prillWatch(PrillStore*, PrillWatch*);      /* xEnd is set; twice is harmless */
void prillWatchEnd(PrillWatch*);                /* not any more */

#define PRILL_NSHARE 40   /* a tail is smaller than 2^40 bytes */
struct PrillStore {
  PrillConn *pConn;
  PrillStore *pNext;
  int nRef;
  char *zSchema;
  char *zDb;              /* database file, "" for :memory: and temporary ones */
  char *zDir;             /* log directory, NULL where there can be none */
  sqlite3_vfs *pVfs;
  sqlite3_stmt *aStmt[STMT_N];
  /* The cached state row */
  u8 bLoaded;             /* the caches are those of iDataVersion */
  u8 bExists;             /* the store's tables are there */
  u8 bDirty;              /* this transaction changed the catalog */
  u8 bHeld;               /* STMT_STATE is open and holds the snapshot */
  u8 bDirRow;             /* the state row says the directory is in use */
  u8 eDir;                /* directory: 0 not looked at, 1 ours, 2 missing or foreign */
  u8 eFlush;              /* PRILL_FLUSH_COMMIT or PRILL_FLUSH_OS */
  u8 bReboot;             /* the kernel's boot id differs from the state row's */
  u32 iDataVersion;
  i64 iCatalog, iExtent;  /* the state row's marks of change */
  i64 iLocal;             /* counts how often this connection saw iExtent moved */
  i64 iForeign;           /* iLocal when another connection had moved it: a
                          ** partition's x is current when iSeen>=iForeign */
  i64 msFlush;            /* flush.ms, -1: never by time */
  u8 aId[16];
  i64 msDir;              /* when the directory was last looked at */
  u64 aDirIdent[2];       /* which file its "store" was then, zeros: not known */
  char zBoot[40];
  PrillTopic *pTopics;    /* by name order of loading */
  PrillPart **apPart;     /* hash by iPid */
  int nPart, nBucket;
  /* The ring of frames (tail.c) */
  i64 iRingGen;           /* its turn */
  i64 nSlot;              /* slots of this turn in use */
  i64 nRingByte;          /* bytes of the frames in them */
  u32 iRingCrc;           /* checksum of the last frame read or written */
  i64 nSlotRow;           /* slots from this on have no row, as far as is known */
  i64 szFrame;            /* length of the last frame that was filled up */
  i64 nLiveByte;          /* sum of the partitions' nTailByte */
  PrillPart *apShare[PRILL_NSHARE];   /* partitions with nTailByte>=2^i, <2^(i+1) */
  int nLivePart;          /* partitions with nTail>0 */
  u8 bTail;               /* the cached tail is valid */
  u8 bTell;               /* some topic has bTell */
  u8 bTailOff;            /* a reader pins the WAL: write directly */
  PrillStage *pStage;     /* the open transaction, or NULL (stage.c) */
  i64 iCut;               /* number of the last rollback, by pConn->iCount as the next */
  i64 iMark;              /* number of the last savepoint */
  PrillStage *pSpare;     /* the last stage, empty, for the next transaction */
  PrillWrite *pSpareWrite;/* and some writes, linked by pNext */
  int nSpareWrite;
  PrillBuf spareChunk;    /* a chunk's and a write's bytes, empty, for the next */
  PrillBuf spareWrite;
  void *pFiles;           /* open segment files (part.c) */
  PrillPageCache *pPages; /* decoded batches (page.c) */
  struct PrillScan *pSpareScan;       /* a closed scan's memory, for the next (scan.c) */
  i64 nFailed;            /* failed appends, for prill_debug() */
  PrillWake *pWake;       /* the connection's, once asked for (wake.c) */
  u8 bTouched;            /* xCommit wakes, whatever was staged */
  PrillWatch *pWatches;
  i64 iTxn;               /* number of the stage: tells one transaction from another, also
                          ** after the store has been let go of and got again */
  i64 msProducer;         /* producer.id.expiration.ms */
  i64 msOffsets;          /* offsets.retention.ms */
  int nProducerNew;       /* rows of prill_store_producer made since they were counted */
};

/* store.c: opening, refreshing, statements, the state row, transactions.
**
** Get: the store of a schema (NULL: main), with a reference; Put gives it
** back.  The store need not exist in the database yet. */
int prillStoreGet(PrillConn*, const char *zSchema, PrillStore**);
void prillStorePut(PrillStore*);
/* Let go of the snapshot a refresh outside any transaction holds. */
void prillStoreLetGo(PrillStore*);
/* Make the caches agree with the statement's snapshot.  Call at the start of
** every cursor and every write.  Afterwards bExists tells whether there is a
** store; without one all lists are empty. */
int prillStoreRefresh(PrillStore*);
/* Forget everything cached of the database. */
void prillStoreForget(PrillStore*);
/* Refuse, in DESIGN's words, when the log directory is missing or foreign.  A
** look is good for a second; Look looks again whatever the time. */
int prillStoreCheckDir(PrillStore*);
int prillStoreLookDir(PrillStore*);
/* Make sure the log directory exists and is this store's; with bSync, durably:
** before the first file of records. */
int prillStoreMakeDir(PrillStore*, int bSync);
/* Is there a store?  Takes no snapshot. */
int prillStoreIs(PrillStore*, int *pb);
/* Create the store's tables where they are missing, as the virtual table
** prill_store.  In a write transaction.  Tables is what its xCreate runs. */
int prillStoreCreate(PrillStore*);
int prillStoreTables(PrillStore*);
/* A cached statement, reset and unbound; NULL with *pRc and an error text. */
sqlite3_stmt *prillStoreStmt(PrillStore*, int eStmt, int *pRc);
/* Reset it; an error of its last step goes to *pRc with its text. */
void prillStoreDone(PrillStore*, sqlite3_stmt*, int *pRc);
/* Run one that gives no rows, with these numbers bound. */
int prillStoreSet(PrillStore*, int eStmt, const i64 *a, int n);
/* The VFS of a database: the default one where it has none yet. */
sqlite3_vfs *prillStoreVfs(sqlite3*, const char *zSchema);
/* Run SQL text in which every "%w" (with its quotes) stands for the schema;
** the rest is sqlite3_mprintf's.  Keeps last_insert_rowid. */
int prillStoreExec(PrillStore*, const char *zFmt, ...);
/* A transaction of our own around nested statements, or with bSave a savepoint:
** Begin, the work, End with the work's result, which is kept by COMMIT or taken
** back.  End is called if Begin succeeded. */
typedef struct PrillUndo PrillUndo;
struct PrillUndo {
  int bSave;
  sqlite3_stmt *pBack, *pRelease;
  sqlite3_stmt *pHold;    /* reads while the transaction is open */
};
int prillUndoBegin(PrillStore*, PrillUndo*, int bSave);
int prillUndoHold(PrillStore*, PrillUndo*);
int prillUndoEnd(PrillStore*, PrillUndo*, int rc);
/* Prepare SQL in the same manner; the caller finalizes. */
int prillStorePrepare(PrillStore*, sqlite3_stmt**, const char *zFmt, ...);
/* Execute zSql as it is, and free it; NULL is out of memory. */
int prillStoreRun(PrillStore*, char *zSql);
/* The catalog was written by this transaction: bump its counter in the state
** row and read it anew at the next refresh. */
int prillStoreCatalogChanged(PrillStore*);
/* A new value for one of the state row's two marks of change. */
i64 prillStoreStamp(PrillStore*);
PrillTopic *prillStoreTopic(PrillStore*, const char *zName);   /* cached, or NULL */
PrillPart *prillStorePart(PrillStore*, i64 iPid);              /* cached, or NULL */
/* PRAGMA synchronous of the schema now: 0 OFF, 1 NORMAL, 2 FULL, 3 EXTRA. */
int prillStoreSyncLevel(PrillStore*, int *pLevel);

/* Transactions: every module that can write calls these from its methods of
** the same names; the first of each does the work of all. */
int prillStoreBegin(PrillStore*);
/* Make the table prill_store a party to the transaction, which takes the write
** lock: from here on the store is told of savepoints, COMMIT and ROLLBACK. */
int prillStoreJoin(PrillStore*);
int prillStoreParty(PrillStore*);               /* unless another table of ours is one */
int prillStoreSync(PrillStore*);
void prillStoreCommit(PrillStore*);
void prillStoreRollback(PrillStore*);
int prillStoreSavepoint(PrillStore*, int iSavepoint);
int prillStoreRelease(PrillStore*, int iSavepoint);
int prillStoreRollbackTo(PrillStore*, int iSavepoint);

/* catalog.c: topics and partitions as rows.  All need prillStoreBegin first;
** none commits.  Names are checked; errors name the topic. */
int prillCatalogLoad(PrillStore*);
void prillCatalogFree(PrillStore*);
void prillTopicUnref(PrillTopic*);                           /* NULL is harmless */
int prillCatalogCreate(PrillStore*, const char *zName, int nPart, const PrillConfig*,
                       const char *zDoor, PrillTopic **pp);
int prillCatalogDrop(PrillStore*, const char *zName);
int prillCatalogRename(PrillStore*, const char *zOld, const char *zNew);
int prillCatalogSetDoor(PrillStore*, const char *zName, const char *zDoor);
int prillCatalogAlter(PrillStore*, const char *zName, const PrillConfig*);
int prillCatalogAddPartitions(PrillStore*, const char *zName, int nPart);
/* Check that zFunc is an SQL function of three arguments flagged innocuous. */
int prillCatalogCheckFunc(PrillStore*, const char *zFunc);

/* part.c: a partition's extent, its segments, and their open files. */
int prillPartLoad(PrillPart*);                  /* make x current */
int prillPartSegs(PrillPart*);                  /* make aSeg current */
int prillPartIndex(PrillPart*, int iSeg);       /* make aSeg[iSeg].index current */
int prillPartKeys(PrillPart*, int iSeg);        /* make aSeg[iSeg].aKey current (key.c) */
/* First offset after the committed log; after this transaction's records. */
i64 prillPartEnd(const PrillPart*);
i64 prillPartNext(const PrillPart*);
/* Records (live) and bytes: committed. */
i64 prillPartRecords(const PrillPart*);
/* Read n bytes of a segment at iPos. */
int prillPartRead(PrillPart*, i64 iBase, i64 iGen, void *a, i64 n, i64 iPos);
/* Path of a segment's file ("": of the partition's directory): sqlite3_mprintf
** text, relative to the log directory. */
char *prillPartPath(const PrillPart*, i64 iBase, i64 iGen, const char *zExt);
/* The endings of the files a segment may have: i=0,1,...; NULL past the last. */
const char *prillPartExt(int i);
char *prillPartFullPath(const PrillPart*, i64 iBase, i64 iGen, const char *zExt);
/* An error on one of the partition's files: names it, and says zWhat. */
int prillPartFileError(PrillPart*, int rc, i64 iBase, i64 iGen, const char *zExt, const char *zWhat);
/* The .log file of a segment, open as asked (PRILL_OPEN_*).  Borrowed: good
** until the next call. */
int prillPartFileOpen(PrillPart*, i64 iBase, i64 iGen, int eOpen, PrillFile **pp);
int prillPartFileIsOpen(PrillPart*, i64 iBase, i64 iGen);
void prillPartFileForget(PrillPart*, i64 iBase, i64 iGen);
/* The file of a segment's key runs, open for reading, in the same way. */
int prillPartKeyFile(PrillPart*, const PrillSeg*, PrillFile **pp);
void prillPartFreeSegs(PrillPart*);             /* forget the cached list */
int prillPartSame(i64 iBase1, i64 iGen1, i64 iBase2, i64 iGen2);   /* one generation of one segment? */
const char *prillPartTopicName(const PrillPart*);   /* "?" when it has gone */
int prillPartBad(PrillPart*, const char *zWhat);   /* SQLITE_CORRUPT, naming what is damaged */
PrillPart *prillPartNew(PrillTopic*, int iPid, int iPart);   /* one reference */
void prillPartUnref(PrillPart*);                             /* NULL is harmless */
void prillFilesClose(PrillStore*);
int prillFilesCount(PrillStore*);

/* write.c: the records of one partition in one transaction, on their way.  While
** bDirect is 0 they are chunks in memory for the transaction's frame; then
** they are batches in the segment above its committed end: x is the extent as
** it will be, aSeg what happened to segments, buf the bytes not yet written. */
typedef struct PrillWriteSeg PrillWriteSeg;
struct PrillWriteSeg {
  i64 iBase, iGen;
  u8 bNew;                /* made by this transaction */
  u8 bSealed;             /* will be sealed: figures below are final */
  u8 bUncut;              /* foreign bytes lie above its end: leave them */
  i64 iEnd, nByte, nRec, iMinTs, iMaxTs, iMaxTsOff;
  u32 iIndexCrc;
  PrillIndex index;       /* entries added by this transaction */
  PrillBuf key;           /* PrillKeyRun: runs xSync made */
};
struct PrillWrite {
  PrillPart *pPart;       /* referenced */
  PrillTopic *pTopic;     /* referenced */
  PrillWrite *pNext;      /* in the stage's list */
  i64 iNext;              /* next offset to assign */
  int iRun;               /* its last run in the stage, -1 none */
  i64 nRaw;               /* bytes in chunks */
  u8 bDirect;             /* batches in the segment, not chunks for the frame */
  u8 bSpill;              /* xSync chose to empty its tail */
  u8 bRepair;             /* its extent changed by repair: the row must be written */
  u8 bRoll;               /* the active segment takes no more bytes */
  i64 iGapFirst, iGapLast;/* offsets repair found lost; last<first: none */
  PrillExtent x;
  PrillWriteSeg *aSeg;    /* the active segment it began with, then new ones */
  int nSeg, nSegAlloc;
  PrillBuf buf;           /* bytes for [iBufPos, iBufPos+buf.n) of the active segment */
  i64 iBufPos;
  i64 nOwnFrom;           /* x.nAllByte when the tail had been moved, before own records */
  /* What retention drops with this COMMIT (trim.c) */
  int nTrim, nTrimOwn;    /* the oldest of the partition's segments; then of aSeg */
  i64 nTrimByte, nTrimRec;/* of these */
  i64 iTrimTail;          /* chunks of the tail below this, 0: none */
  i64 iTrimTo;            /* log start, 0: nothing is dropped */
};
/* Begin writing directly: the live tail goes first. */
int prillWriteStart(PrillWrite*);
/* Append the records of nChunk chunks as batches of at most batch.size. */
int prillWriteChunks(PrillWrite*, PrillChunk**, int nChunk);
int prillWriteFlush(PrillWrite*);               /* buf to the file */
int prillWriteFiles(PrillWrite*);               /* all bytes to files: seal, indexes */
int prillWriteSync(PrillWrite*);                /* and those to the disk */
int prillWriteSyncDir(PrillStage*);             /* with new directories' entries, after all */
int prillWriteRows(PrillWrite*);                /* extent, segments, index entries */
/* The transaction has ended; bReached: its xSync had begun. */
void prillWriteDone(PrillWrite*, int bCommit, int bReached);
/* Back to how it was: the run that began there is taken back. */
void prillWriteRewind(PrillWrite*, const PrillRun*);
void prillWriteCut(PrillWrite*);                /* files back to what is committed */
void prillWriteFree(PrillWrite*);
/* Upkeep of the active segment, under the write lock: sync what was left
** unsynced, zero-fill ahead while *pnBudget lasts.  *pbSynced: OUT. */
int prillWriteAhead(PrillPart*, i64 *pnBudget, int *pbSynced);

/* key.c: the key runs of segments. */
void prillKeyFree(PrillSeg*);                   /* forget the cached list */
void prillKeyCut(PrillSeg*, i64 nByte);         /* forget runs that cover bytes past nByte */
/* Entries of the active segment's committed log from byte iFrom, offset iFirst,
** on; good until the next call.  PRILL_KEYRUN_BAD: read the log. */
int prillKeyPend(PrillPart*, i64 iFrom, i64 iFirst, const u64 **pa, i64 *pn);
void prillKeyPendFree(PrillPart*);
/* Make .keyindex of a segment of nByte bytes that is sealed: of the runs it has
** (pOld, or NULL), and of at most nMax stretches of szKeyRun bytes read back.
** pRun->iTo is 0 when there is nothing to write a row for.  Fails only for want
** of memory. */
int prillKeySeal(PrillPart*, i64 iBase, i64 iGen, i64 nByte, const PrillSeg *pOld, i64 nMax, int bSync,
                 PrillKeyRun *pRun);
int prillKeyPutRow(PrillPart*, i64 iBase, i64 iGen, const PrillKeyRun*);
/* Delete the rows of a segment's runs that cover bytes past nByte. */
int prillKeyDelRows(PrillPart*, i64 iBase, i64 nByte);
int prillKeyFiles(PrillWrite*, int bSync);      /* xSync: files, then */
int prillKeyRows(PrillWrite*, const PrillWriteSeg*);    /* rows */
/* A segment about to be sealed: its name and what its batches add up to. */
typedef struct PrillSealed PrillSealed;
struct PrillSealed {
  i64 iBase, iGen;
  i64 nRec;
  i64 iMaxTs, iMaxTsOff;  /* greatest timestamp; last offset of the batch that has it */
  const PrillIndex *pIndex;
};
/* seal.c: write what a sealed segment has beside its batches.  *piCrc is what
** its row remembers of .index and .timeindex. */
int prillSealFiles(PrillPart*, const PrillSealed*, int bSync, u32 *piCrc);

/* repair.c.  After a reboot: find the last valid batch past what was synced,
** lower the extent to it, note the gap. */
int prillRepairWrite(PrillWrite*);

/* tail.c: the ring of frames. */
int prillTailLoad(PrillStore*);                 /* make every apTail current */
void prillTailReset(PrillStore*);
void prillTailDrop(PrillPart*);                 /* forget one partition's tail */
int prillTailPrune(PrillPart*);                 /* forget what its segments hold */
/* Hold the list as it is for a scan: its first nTail entries stay.  NULL when
** there are none. */
PrillChunk **prillTailHold(PrillPart*);
void prillTailLetGo(PrillChunk**);              /* NULL is harmless */
int prillTailAdd(PrillPart*, PrillChunk*);      /* takes a reference */
i64 prillTailLimit(PrillStore*, int nPart);     /* bytes the ring may hold */
/* Frame bytes: begin with the turn, add chunks, close with the checksum of the
** frame before it in the turn, 0 for the first. */
void prillFrameBegin(int *pRc, PrillBuf*, i64 iTurn);
void prillFrameAdd(int *pRc, PrillBuf*, int iPid, const PrillChunk*);
/* Fill a long frame up to a length like the last one's, before its End. */
void prillFramePad(int *pRc, PrillStore*, PrillBuf*);
void prillFrameEnd(int *pRc, PrillBuf*, u32 iPrevCrc);
int prillFramePut(PrillStore*, i64 iSlot, const PrillBuf*);

/* place.c: a topic's partitioner, and the state of taking turns. */
typedef struct PrillPlacer PrillPlacer;
struct PrillPlacer {
  i64 iRobin;             /* next turn of round robin, -1 not begun */
  int iSticky;            /* partition for records without a key, -1 none: choose anew */
  i64 nSticky;            /* bytes it got */
  u8 bInFunc;             /* pFunc is running */
  sqlite3_stmt *pFunc;    /* SELECT zFunc(?1,?2,?3) */
  char zFunc[64];
};
void prillPlaceInit(PrillPlacer*);
void prillPlaceFree(PrillPlacer*);
int prillPlace(PrillPlacer*, PrillTopic*, const PrillRecord*, i64 *piPart);

#define PRILL_PRODUCER_MS 86400000    /* producer.id.expiration.ms, when not set */
#define PRILL_OFFSETS_MS 604800000    /* offsets.retention.ms, when not set: Kafka's week */
/* producer.c: who produces idempotently: ids, epochs, sequences.  All are for
** a write transaction that prill_store takes part in; nothing is kept but rows
** of that transaction.
**
** Give a producer id.  zName NULL: a new one, epoch 0.  Else the id of that
** name, made when there is none, with the next epoch: whoever had the name is
** fenced from here on.  To be used only once the transaction has committed: a
** ROLLBACK frees the id for another. */
int prillProducerInit(PrillStore*, const char *zName, i64 *piProducer, int *piEpoch);
/* May this batch be appended?  *peAnswer: */
enum {
  PRILL_SEQ_OK,           /* yes */
  PRILL_SEQ_DUPLICATE,    /* it has been: *piOff is its base offset */
  PRILL_SEQ_GAP,          /* no: its sequence does not follow, or is an old one's */
  PRILL_SEQ_FENCED,       /* no: a newer epoch of the producer is known */
  PRILL_SEQ_UNKNOWN       /* nothing is known of the producer here, or no longer: Kafka's
                          ** brokers take it; it can be told no more */
};
int prillProducerCheck(PrillPart*, i64 iProducer, int iEpoch, i32 iSeq, i32 nRec, int *peAnswer, i64 *piOff);
/* Only: is this the producer's newest epoch?  OK, FENCED or UNKNOWN.  Asking
** keeps it from expiring. */
int prillProducerCurrent(PrillStore*, i64 iProducer, int iEpoch, int *peAnswer);
/* Remember a batch that was appended at offset iOff. */
int prillProducerNote(PrillPart*, i64 iProducer, int iEpoch, i32 iSeq, i32 nRec, i64 iOff);
/* Forget producers not seen for producer.id.expiration.ms, and the least
** recently seen beyond what may be kept. */
int prillProducerExpire(PrillStore*);
int prillProducerDue(PrillStore*, int *pbDue);  /* are there any of the first kind? */
/* The sequence after n records from iSeq on: goes round at 2^31. */
i32 prillProducerNext(i32 iSeq, i64 n);

/* stage.c: one transaction's records and the walk at COMMIT.
**
** Append one record: pRec's key, value, headers, iTs; its offset is assigned
** and returned in pRec->iOff.  The partition must be current (after Begin).
** SQLITE_TOOBIG when larger than max.message.bytes.  Runs no SQL that writes. */
int prillStageAppend(PrillPart*, PrillRecord *pRec);
/* Append one batch as its producer made it: it is stored, spilled and served
** byte for byte but for base offset and leader epoch, which lie outside its
** CRC, and is never joined with others or split.  *piOff: its base offset; *piTs:
** its time where the topic has LogAppendTime, else -1.
**
** WHO CHECKS WHAT.  The caller, before it holds the write lock: that the bytes
** are one batch fit to keep (prillBatchVet, which gives *pB and the least and
** greatest timestamp), and, in this transaction, its sequence
** (prillProducerCheck).  Here: that it is no larger than max.message.bytes
** (SQLITE_TOOBIG), and of no kind that only the log makes (control, delete
** horizon: SQLITE_MISUSE).  Here too: where the topic has LogAppendTime, or the
** header's greatest timestamp is not iMaxTs, header and CRC are put right.
** That is done at a[]; then the bytes are copied, or written to the segment.  Runs
** no SQL that writes. */
int prillStageBatch(PrillPart*, u8 *a, const PrillBatch *pB, i64 iMinTs, i64 iMaxTs, i64 *piOff, i64 *piTs);
/* Append a chunk of records (not bBatch) made beforehand, none of them larger
** than the topic allows.  It gets its offsets and epoch here and must have no
** other reference than the caller's; the transaction takes its own.  The caller
** may offer it again when that transaction was rolled back, once the reference
** is its alone again. */
int prillStageChunk(PrillPart*, PrillChunk*, i64 *piOff);
/* Bytes and records staged and not yet committed, for prill_debug(). */
i64 prillStageBytes(PrillStore*);

/* The open transaction.  aRun lists, in the order they came, stretches of one
** partition's records with no savepoint between them; a savepoint's mark is a
** number of runs. */
struct PrillRun {
  PrillWrite *pWrite;
  int iPrev;              /* the partition's run before it, -1 */
  i64 iBase, iNext;       /* its offsets */
  PrillChunk *pChunk;     /* its records still in memory, or NULL */
  u8 bEnc;                /* some of it is batches in the write; before that it was: */
  PrillExtent before;
  int nSegBefore, nIndexBefore;
  u8 bRollBefore;
};
struct PrillStage {
  PrillStore *pStore;
  PrillWrite *pWrites;
  PrillRun *aRun;
  int nRun, nRunAlloc;
  int *aMark;             /* aMark[i]: runs when savepoint i was opened, -1 not told */
  i64 *aMarkNo;           /* its number by pStore->iMark, 0 not told */
  int nMark, nMarkAlloc;
  int iTop;               /* runs below this may not grow: the newest mark */
  int nMarkSync;          /* marks there were when xSync first wrote rows */
  int eLevel;             /* PRAGMA synchronous, -1 not asked yet */
  i64 nByte;              /* bytes in memory */
  int nFresh;             /* files made and left to be synced at the end */
  u8 bSyncDir;            /* directories made: the log directory must be synced */
  u8 bSynced;             /* xSync has done all there is */
  u8 bReached;            /* an xSync began: files written are not ours any more */
  u8 bFull;               /* the disk was full: nothing but ROLLBACK is left */
  u8 bRows;               /* xSync wrote rows */
  u8 bState;              /* of these, extents: the state row's mark changed */
  u8 bRing;               /* xSync wrote frames; the ring is then: */
  u8 bFold;               /* a new turn, which begins with all that is live */
  i64 iExtentTo;          /* the state row's mark as xSync set it, 0 not yet */
  i64 iTurn, nSlot, nRing;
  u32 iCrc;
  PrillBuf frame;
  PrillTopic *pOld;       /* topics replaced or dropped after bRows: their partitions hold the
                          ** committed state, which cannot be read again */
};
void prillStageFreeSpare(PrillStore*);
/* Keep *pBuf's memory, emptied, in *pSpare for the next of its kind. */
void prillStageSpare(PrillBuf *pSpare, PrillBuf *pBuf);
/* A write found the disk full: end the transaction, give back its room. */
void prillStageFull(PrillStage*);
/* PRAGMA synchronous as this transaction has it. */
int prillStageLevel(PrillStage*, int *pLevel);

/* page.c: decoded batches kept for the next lookup.  Find and Add give a
** reference.  Add takes over *pBuf, whose bytes hold the records aRec[0..nRec), and
** may leave another's emptied memory there; NULL, and nothing taken, when there is no
** memory or the batch is too large. */
typedef struct PrillPage PrillPage;
struct PrillPage {
  int nRef;
  int iPid;
  i64 iBase, iGen, iPos;
  PrillBatch b;
  PrillBuf buf;
  const u8 *aRec;         /* nRec bytes of records, in buf */
  i64 nRec;
  u32 *aStart;            /* where each begins: of the first nStart, and the next */
  int nStart, nStartAlloc;
  u8 bChecked;            /* prillPageCheck has said yes */
};
/* Where record i begins, in bytes from aRec; -1: the records before it are not
** what the header says. */
i64 prillPageStart(PrillPage*, int i);
/* The first record whose timestamp is at least iTs, found without decoding those before
** it; the first of all when they are not what they should be. */
int prillPageSince(PrillPage*, i64 iTs);
/* 1 when all its records are well-formed and their offsets rise. */
int prillPageCheck(PrillPage*);
/* A batch whose checksum has held, and whether this is one: bytes of a segment never
** change.  What is noted may be forgotten. */
void prillPageSure(PrillStore*, int iPid, i64 iBase, i64 iGen, i64 iPos);
int prillPageIsSure(const PrillStore*, int iPid, i64 iBase, i64 iGen, i64 iPos);
PrillPage *prillPageFind(PrillStore*, int iPid, i64 iBase, i64 iGen, i64 iPos);
PrillPage *prillPageAdd(PrillStore*, int iPid, i64 iBase, i64 iGen, i64 iPos,
                        const PrillBatch*, PrillBuf *pBuf, const u8 *aRec, i64 nRec);
void prillPageUnref(PrillPage*);                /* NULL is harmless */
void prillPagesFree(PrillStore*);

/* scan.c: the merging cursor over segments, tail and own stage of one
** partition.  Its end is fixed when it opens. */
typedef struct PrillScan PrillScan;
typedef struct PrillRange PrillRange;
struct PrillRange {
  i64 iFrom;              /* first offset wanted (0: from the log start) */
  i64 iTo;                /* last offset wanted, PRILL_I64MAX: to the end */
  i64 iTsFrom, iTsTo;     /* timestamps wanted, both ends included; I64MIN/MAX: all */
  u8 bDesc;               /* newest first */
  u8 bOffsets;            /* the caller reads only iOff: records may not be decoded */
  u8 bTrust;              /* batches this connection has checked before need no second look */
  u8 bKey;                /* only records with this key; the bytes stay the caller's */
  i32 nKey;
  const u8 *pKey;
};
int prillScanOpen(PrillPart*, const PrillRange*, PrillScan**);
void prillScanFreeSpare(PrillStore*);
/* SQLITE_ROW with *pRec filled (pointers good until the next call),
** SQLITE_DONE, or an error.  Records outside the range are never returned. */
int prillScanNext(PrillScan*, PrillRecord *pRec);
/* With bOffsets, oldest first: how many records follow the one just returned with
** an offset one more each.  They count as returned. */
i64 prillScanRun(PrillScan*);
/* The batch of the current record.  Staged and tail records made here have
** iProducer -1 and iBase the chunk's base. */
const PrillBatch *prillScanBatch(PrillScan*);
void prillScanClose(PrillScan*);
/* For look.c.  Go to offsets iFrom..iTo of those the scan was opened for, then
** Step; what Step returns need not have the key. */
int prillScanSeek(PrillScan*, i64 iFrom, i64 iTo, int bDesc);
int prillScanStep(PrillScan*, PrillRecord *pRec);
/* Segment i of the scan, oldest first: 0 when there are no more. */
typedef struct PrillScanSeg PrillScanSeg;
struct PrillScanSeg {
  i64 iBase, iGen;
  i64 iEnd;               /* first offset after it */
  i64 nByte;
  u8 bCommitted;          /* all its bytes are, and can be had */
};
int prillScanSegment(PrillScan*, int i, PrillScanSeg*);
/* look.c: the records with one key, by the key runs where there are any. */
typedef struct PrillLook PrillLook;
PrillLook *prillLookNew(PrillPart*, PrillScan*, const PrillRange*);
int prillLookNext(PrillLook*, PrillRecord *pRec);
void prillLookFree(PrillLook*);
/* Read the whole batch that has offset iOff, or the first after it, verbatim,
** committed data only: prill_batches and later prilld's fetch.  SQLITE_ROW with
** *pHdr, its bytes in *pBuf; *piWhere: 0 segment, 1 tail; *piPos byte position;
** *pbValid: its CRC holds.  SQLITE_DONE past the end. */
int prillScanBatchAt(PrillPart*, i64 iOff, PrillBatch *pHdr, PrillBuf *pBuf,
                     int *piWhere, i64 *piPos, int *pbValid);

/* wake.c: counters shared by all processes of a store, to sleep on.  A hint,
** never a truth: whoever is woken looks at the database.  iTopic is
** PrillTopic.iTopic, or 0 for any commit to the store.
**
** Get: the connection's, not mapped yet; NULL without a file name or memory.
** Map: map it if it is there; with bLook be sure it is the file of that name.
** Open: the store's, made and mapped where possible; NULL: there can be none. */
#define PRILL_WAKE_STORE 0            /* words of the file */
#define PRILL_WAKE_TURN  1
#define PRILL_WAKE_WAITS 2
struct PrillWake {
  PrillWake *pNext;
  sqlite3_vfs *pVfs;
  char *zDb, *zPath;
  PrillMap map;           /* map.a NULL: not mapped, wake works by re-reading */
  int nLook;              /* commits until it is looked for again */
};
typedef struct PrillMark PrillMark;
struct PrillMark {
  int iWord;
  u32 iSeen;
  u8 bMap;                /* 0: nothing to sleep on */
};
PrillWake *prillWakeGet(PrillConn*, sqlite3_vfs*, const char *zDb);
int prillWakeMap(PrillWake*, int bLook);
PrillWake *prillWakeOpen(PrillStore*, int bLook);
void prillWakeFree(PrillConn*);
/* Take down a counter, BEFORE the snapshot that is looked at; then, when there
** was nothing in it, sleep until the counter has moved.  1: us microseconds
** have passed; 0: it moved, or a signal came.  p may be NULL. */
void prillWakeSample(PrillWake *p, i64 iTopic, PrillMark*);
int prillWakeSleep(PrillWake *p, sqlite3_vfs*, const PrillMark*, i64 us);
/* From prillStoreCommit: count the topics of the stage, those with bTell, and the
** store. */
void prillWakeCommit(PrillStore*);

/* wait.c: waiting for records.  All waits of the library go through PrillWait:
**
**     prillWaitInit(&w, pConn, ms);
**     do{
**       prillWaitSample(&w, pStore, iTopic);
**       ... prillStoreRefresh, look; found something: break ...
**       ... let go of the snapshot: reset statements, prillStoreLetGo ...
**     }while( (rc = prillWaitSleep(&w))==SQLITE_OK );
**     prillWaitEnd(&w);
**
** Sleep gives SQLITE_OK: look again; SQLITE_DONE: the time is up, or waiting is
** not allowed (a transaction is open, in any schema but temp); SQLITE_INTERRUPT;
** or another error.
**
** A SELECT ON A TABLE OF SCHEMA temp, and what its methods run: while it runs,
** SQLite does not end the read transaction of a nested statement (it ends
** when no reader is left), so what looks at the caller's connection between two
** sleeps holds a snapshot, and an old one.  Such a table looks through
** prillWaitStore(): the same store on a connection of its own. */
typedef struct PrillWait PrillWait;
struct PrillWait {
  PrillConn *pConn;       /* whose sqlite3_interrupt() ends the wait */
  PrillStore *pStore;     /* as sampled */
  i64 msLeft;             /* -1: for ever */
  i64 msMost;             /* the next sleep ends after so long, 0: it need not */
  u8 bLook;               /* nobody woke us: is the file "wake" still the one we sleep on? */
  PrillMark mark;
  sqlite3_stmt *pHold, *pProbe;
};
void prillWaitInit(PrillWait*, PrillConn*, i64 ms);
void prillWaitSample(PrillWait*, PrillStore*, i64 iTopic);
int prillWaitSleep(PrillWait*);
void prillWaitEnd(PrillWait*);
/* May this connection wait now? */
int prillWaitMay(PrillConn*);
/* pStore's database on a connection made for looking, and with bWrite for
** writing the store's tables: *pp with a reference,
** its PrillConn at (*pp)->pConn.  SQLITE_CANTOPEN: there can be none (no file,
** a VFS without a name, locked): do not wait.  prillWaitStoreClose() ends it. */
int prillWaitStore(PrillStore*, int bWrite, PrillStore **pp);
void prillWaitStoreClose(PrillStore*);          /* NULL is harmless */
/* pConn has read pTopic, which may be another connection's, as of its store's
** snapshot; is there something newer than that? */
int prillWaitRead(PrillConn*, PrillTopic*);
int prillWaitNews(PrillConn*, PrillTopic*, int *pbNews);
void prillWaitFree(PrillConn*);

/* turn.c: turns at the write lock.
**
** Timeout: wait up to ms for locks in place of sqlite3_busy_timeout; 0: not at
** all.  The handler serves the connection until another takes its place. */
int prillTurnTimeout(PrillConn*, int ms);
/* The last prill_busy_timeout(), ms; 0 none. */
int prillTurnAllowed(PrillConn*);
/* How often it waited, and how many of its sleeps a turn ended. */
void prillTurnCount(PrillConn*, i64 *pnWait, i64 *pnWoken);
/* xCommit and xRollback: the lock is free.  1: somebody was woken, and
** prillTurnYield is to be called once all else is done. */
int prillTurnPass(PrillStore*);
void prillTurnYield(PrillStore*);
void prillTurnFree(PrillConn*);
/* fetch.c: append whole committed batches to *pBuf, as the log has them, from
** the one that holds iOff (or the first after it) on: as many as fit in nMax
** bytes, and with bFirst one at least, whatever its size.  Their CRC is not
** checked.  *piNext: the offset after the last; iOff when there is none. */
int prillFetch(PrillPart*, i64 iOff, i64 nMax, int bFirst, PrillBuf *pBuf, i64 *piNext);

/* trim.c: retention and trash. */
/* Bounded upkeep in autocommit: drop what is due, unlink what is durably
** dropped, zero-fill, compact.  *pnLeft 0 when nothing is left to do. */
int prillTrimMaintain(PrillStore*, int *pnLeft);
/* Run one upkeep step as a transaction of its own; pArg goes to xStep. */
int prillTrimTransaction(PrillStore*, int (*xStep)(PrillStore*, void*), void *pArg);
/* upkeep.c, layer 4: the same and the upkeep of groups: what prill_maintain() is. */
int prillUpkeep(PrillStore*, int *pnLeft);
/* A segment's files into the trash (iBase -1: the partition's directory). */
int prillTrimTrash(PrillPart*, i64 iBase, i64 iGen);
int prillTrimTrashFile(PrillPart*, i64 iBase, i64 iGen, const char *zExt);      /* one of them */
/* Drop a segment: its row, its index rows, its files into the trash. */
int prillTrimSegment(PrillPart*, i64 iBase, i64 iGen);
/* Retention in a writer's transaction: plan what goes, *pbOver when more than
** retention.bytes stays; then its rows, and the extent with it. */
int prillTrimPlan(PrillWrite*, int *pbOver);
int prillTrimRows(PrillWrite*);
void prillTrimExtent(const PrillWrite*, PrillExtent*);
/* Has the transaction alone brought more than retention.bytes?  Refuse says so. */
int prillTrimTooLarge(const PrillWrite*);
int prillTrimRefuse(const PrillWrite*);
/* Raise a partition's log start offset (UPDATE prill_partitions). */
int prillTrimLogStart(PrillPart*, i64 iOff);

/* inbox.c: tables named by PRILL_INBOX_MARK in their text, whose rows
** prillInboxMove takes into their topics, a bounded step of each in autocommit;
** *pnLeft: tables that have more.  Make and Drain work in the caller's
** transaction; Drain of a table that is no inbox does nothing. */
#define PRILL_INBOX_MARK "/* inbox of prill_capture */"
int prillInboxMake(PrillStore*, const char *zInbox);
int prillInboxDrain(PrillStore*, const char *zInbox);
int prillInboxMove(PrillStore*, int *pnLeft);

/* backup.c: copy the store, its database and its log, to zDest and zDest-log,
** neither of which may be there.  From one snapshot; not after this transaction
** has written. */
typedef struct PrillBackup PrillBackup;
struct PrillBackup {
  i64 nFile;              /* files of the log */
  i64 nLinked;            /* of these, hard links */
  i64 nByte;              /* bytes of the others */
};
int prillBackup(PrillStore*, const char *zDest, PrillBackup*);
/* compact.c: compaction and recompression of sealed segments, a bounded piece a
** call, in autocommit.  *pbLeft: there is more to do. */
int prillCompactStep(PrillStore*, int *pbLeft);
/* Forget a connection's jobs, without SQL. */
void prillCompactFree(PrillConn*);

/* check.c: append one problem a line to *pBuf; nothing when all is well. */
int prillCheckStore(PrillStore*, PrillBuf*);

/**************************************************************************
** Layer 5, sql.
**
** vtab_store.c: module prill_store, whose shadow tables hold the catalog.
** vtab_topic.c: module topic, and prill_records.
** vtab_admin.c and admin_*.c: prill_topics, prill_partitions, prill_segments,
** prill_batches, prill_config.  func.c, func_wait.c, capture.c: the functions.  Each Init registers with the
** connection; PrillConn is reference counted through the destructors given to
** sqlite3_create_module_v2 and sqlite3_create_function_v2.
*/
int prillVtabStoreInit(PrillConn*);
int prillVtabTopicInit(PrillConn*);
int prillVtabHotInit(PrillConn*);                            /* vtab_hot.c: prill_hot */
int prillVtabQueueInit(PrillConn*);                          /* vtab_queue.c: queue */
int prillVtabConsumerInit(PrillConn*);                       /* vtab_consumer.c: consumer */
int prillVtabFollowInit(PrillConn*);
int prillVtabAdminInit(PrillConn*);
typedef struct PrillFunc PrillFunc;
struct PrillFunc {
  const char *zName;
  int nArg;
  int flags;              /* SQLITE_INNOCUOUS or SQLITE_DIRECTONLY */
  void (*xFunc)(sqlite3_context*, int, sqlite3_value**);
};
/* func.c registers its own and those of the other files. */
int prillFuncInit(PrillConn*);
const PrillFunc *prillFuncWait(int *pn);        /* func_wait.c */
const PrillFunc *prillFuncCapture(int *pn);     /* capture.c */
const PrillFunc *prillFuncQueue(int *pn);       /* vtab_queue.c */
const PrillFunc *prillFuncConsumer(int *pn);    /* vtab_consumer.c */
void prillFuncDrop(sqlite3*);                   /* what Init registered, gone */
/* The PrillConn of a connection: borrowed.  SQLITE_ERROR when prill is not
** registered with it; else the error of asking. */
int prillConnOf(sqlite3 *db, PrillConn **pp);
/* Report rc, with the connection's error text, which is used up. */
void prillFuncFail(sqlite3_context*, PrillConn*, int rc);
/* +1 reference, for a module's or function's pAux; prillConnUnref is the
** destructor. */
void *prillConnRef(PrillConn*);
void prillConnUnref(void*);
/* Move the connection's error text into a virtual table's zErrMsg. */
int prillVtabError(sqlite3_vtab*, PrillConn*, int rc);

#endif /* PRILLSTORE_H */
