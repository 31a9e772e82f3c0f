/*
** prillInt.h: the declarations the library's files share.
**
** Ruled sections follow the layers, bottom first.  A file calls its own
** section and those above it on this page, never those below (checked with
** nm by "make checklayers").  prill.h is the only public header.
**
** Names: prill_verb_noun is public, prillModuleVerb crosses files,
** moduleVerb is static.  iOff is a record offset, iPos a byte position,
** nX a count, aX an array, zX a string.  iPart is a partition's number in
** its topic; iPid is its number in the store.
**
** Result codes are SQLite's.  A function with "int *pRc" first does nothing
** when *pRc is already set: encoders stay straight lines.
*/
#ifndef PRILLINT_H
#define PRILLINT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "prill.h"

#ifndef SQLITE_CORE
# include <sqlite3ext.h>
extern const sqlite3_api_routines *sqlite3_api;
#endif

typedef sqlite3_int64 i64;
typedef sqlite3_uint64 u64;
typedef uint32_t u32;
typedef int32_t i32;
typedef uint16_t u16;
typedef int16_t i16;
typedef uint8_t u8;

#define PRILL_I64MAX ((i64)0x7fffffffffffffffLL)
#define PRILL_I64MIN (-PRILL_I64MAX-1)
#define PRILL_MIN(a,b) ((a)<(b) ? (a) : (b))
#define PRILL_MAX(a,b) ((a)>(b) ? (a) : (b))

/* Internal functions are hidden from prill.so's dynamic symbols by
** -fvisibility=hidden; the amalgamation makes them static. */

/**************************************************************************
** Layer 0, base.  Interface to util.c: errors, numbers, limits.
*/

/* The limits a test build shrinks so that small tests cross every boundary.
** One global, written only before the first store is opened. */
typedef struct PrillLimits PrillLimits;
struct PrillLimits {
  i64 szDirect;     /* new bytes of a partition from which it is written directly */
  i64 szDirectOs;   /* the same where no segment sync is paid */
  i64 szRing;       /* least size of the ring of frames, bytes */
  i64 szRingPart;   /* ring bytes added for each active partition */
  i64 mxRing;       /* most bytes the ring may hold */
  i64 szStage;      /* staged bytes beyond which a transaction is written early */
  i64 szWrite;      /* encoded bytes of one partition gathered before a write */
  i64 szIndex;      /* least bytes of log between two index entries */
  i64 szZero;       /* most bytes zero-filled ahead in one step */
  i64 szWalPin;     /* WAL size beyond which the tail is not used */
  i64 szKeyRun;     /* bytes of log from which a key run is made */
  i64 szCompact;    /* bytes one call of prill_maintain() compacts or recompresses */
  i64 szMap;        /* most bytes of compaction's map of keys */
  i64 msLease;      /* a compaction that has not moved for so long has died */
  int msLook;       /* who waits looks at the database as often as this */
  int nSpill;       /* files one commit may spill to make room in the ring */
  int nOpen;        /* segment files a connection keeps open */
  i64 msDir;        /* how long a look at the log directory is good for reading */
  i64 msTurn;       /* how long a writer may write on before it wakes who waits */
  int nProducer;    /* rows that remember producers' batches */
};
extern PrillLimits prillLimit;

/* Record an error text for the connection and return rc unchanged.  The text
** names the object and the remedy.  Defined over PrillConn, below. */
typedef struct PrillConn PrillConn;
int prillError(PrillConn*, int rc, const char *zFmt, ...);

/* Corruption found in file:line: logs it (sqlite3_log) and returns
** SQLITE_CORRUPT_VTAB. */
int prillCorruptAt(const char *zFile, int iLine);
#define PRILL_CORRUPT prillCorruptAt(__FILE__, __LINE__)

/* Milliseconds since 1970 by the VFS's clock. */
i64 prillNow(sqlite3_vfs*);
/* zOut gets 2*n lower-case hex digits and a NUL. */
void prillHex(const u8 *a, int n, char *zOut);
/* n bytes from 2*n hex digits at z; 0 on success, 1 when malformed. */
int prillUnhex(const char *z, u8 *a, int n);
/* 1 when a[0..n) is well-formed UTF-8 (no surrogates, no overlongs, at most
** U+10FFFF) without a NUL byte.  Fast on ASCII. */
int prillUtf8(const u8 *a, i64 n);
/* 1 when z is a legal topic name: [a-zA-Z0-9._-], 1..249, not . or .. */
int prillTopicName(const char *z);

static inline u16 prillGet16(const u8 *a){ return (u16)((a[0]<<8)|a[1]); }
static inline u32 prillGet32(const u8 *a){
  return ((u32)a[0]<<24)|((u32)a[1]<<16)|((u32)a[2]<<8)|(u32)a[3];
}
static inline i64 prillGet64(const u8 *a){
  return (i64)(((u64)prillGet32(a)<<32)|prillGet32(a+4));
}
static inline void prillPut16(u8 *a, u16 v){ a[0] = (u8)(v>>8); a[1] = (u8)v; }
static inline void prillPut32(u8 *a, u32 v){
  a[0] = (u8)(v>>24); a[1] = (u8)(v>>16); a[2] = (u8)(v>>8); a[3] = (u8)v;
}
static inline void prillPut64(u8 *a, i64 v){
  prillPut32(a, (u32)((u64)v>>32)); prillPut32(a+4, (u32)(u64)v);
}

/**************************************************************************
** Interface to buf.c: growable bytes.
*/
typedef struct PrillBuf PrillBuf;
struct PrillBuf {
  u8 *a;          /* sqlite3_malloc64 memory, or NULL */
  i64 n;          /* bytes in use */
  i64 nAlloc;     /* bytes allocated */
};
void prillBufFree(PrillBuf*);                       /* and zero the struct */
/* Room for nMore further bytes; returns a+n, or NULL with *pRc set. */
u8 *prillBufRoom(int *pRc, PrillBuf*, i64 nMore);
void prillBufAppend(int *pRc, PrillBuf*, const void*, i64 n);
void prillBufPrintf(int *pRc, PrillBuf*, const char *zFmt, ...);
/* A signed varint, zigzag as Kafka's records have it. */
void prillBufVarint(int *pRc, PrillBuf*, i64);
/* An unsigned varint, 7-bit groups, little end first. */
void prillBufUvarint(int *pRc, PrillBuf*, u64);

/**************************************************************************
** Interface to option.c: one parser for table arguments and configuration.
**
** A topic's settings.  Kafka's names; SQL also takes '_' for '.'.
*/
enum { PRILL_AUTO = 0, PRILL_TEXT = 1, PRILL_BLOB = 2 };      /* key=, value= */
enum { PRILL_MURMUR2 = 0, PRILL_CRC32, PRILL_ROUNDROBIN,
       PRILL_RING, PRILL_SQLFUNC };                            /* partitioner= */
enum { PRILL_PRODUCER = -1, PRILL_NONE = 0, PRILL_GZIP = 1, PRILL_SNAPPY = 2,
       PRILL_LZ4 = 3, PRILL_ZSTD = 4,                          /* compression */
       PRILL_LZ4_BEST = 3|8 };    /* LZ4 as small as it gets, slower; on disk it is PRILL_LZ4 */
enum { PRILL_DELETE = 1, PRILL_COMPACT = 2 };                  /* cleanup.policy bits */
enum { PRILL_FLUSH_COMMIT = 0, PRILL_FLUSH_OS = 1 };           /* store's flush */

typedef struct PrillConfig PrillConfig;
struct PrillConfig {
  int ePartitioner;
  char zFunc[64];          /* PRILL_SQLFUNC: its name */
  int eKey, eValue;        /* PRILL_AUTO, PRILL_TEXT, PRILL_BLOB */
  int eCompress;           /* PRILL_PRODUCER, PRILL_NONE, PRILL_LZ4, ... */
  int bKeyIndex;
  int mCleanup;            /* PRILL_DELETE|PRILL_COMPACT */
  int bAppendTime;         /* message.timestamp.type=LogAppendTime */
  int nMinIsr, nReplica;
  i64 msRetention;         /* -1: for ever */
  i64 szRetention;         /* -1: no bound */
  i64 szSegment;
  i64 msSegment;
  i64 szMessage;           /* max.message.bytes */
  i64 szBatch;             /* batch.size: re-batching bound, 16 KiB */
  i64 msDeleteRetention;
  i64 msMinLag, msMaxLag;  /* min. and max.compaction.lag.ms */
  i64 msBefore, msAfter;   /* message.timestamp.before and after.max.ms */
  int iDirtyRatio;         /* min.cleanable.dirty.ratio, millionths */
};
void prillConfigDefault(PrillConfig*);
/* Set one setting by name ('.' and '_' alike, any letter case).  zVal is
** text.  On a bad name or value returns SQLITE_ERROR with *pzErr an
** sqlite3_mprintf text that names it and says what is allowed.  An SQL
** function partitioner is taken by name here and checked by catalog.c. */
int prillConfigSet(PrillConfig*, const char *zName, const char *zVal, char **pzErr);
/* The canonical name at position i (0,1,2,...; NULL past the last), its value
** as text into *pBuf (NUL-terminated), *pbDefault set when it is the default. */
const char *prillConfigName(int i);
void prillConfigValue(int *pRc, const PrillConfig*, int i, PrillBuf*, int *pbDefault);
/* {"retention.ms":"1000",...}: only what differs from the defaults. */
void prillConfigToJson(int *pRc, const PrillConfig*, PrillBuf*);
/* One table argument "name=value": unquotes the value ('..', "..", [..] or
** bare), trims blanks.  *pzName and *pzVal are sqlite3_malloc memory of the
** caller.  SQLITE_ERROR with *pzErr when there is no '='. */
int prillOptionParse(const char *zArg, char **pzName, char **pzVal, char **pzErr);
/* A list "a, b" becomes its texts, one after the other, in place; their number. */
int prillOptionList(char *z);
/* 1 when the two names agree up to case and '.'/'_'. */
int prillOptionIs(const char *zName, const char *zWant);

/**************************************************************************
** Layer 1, codec: no I/O.
**
** crc32c.c: CRC-32C (Castagnoli), hardware where present.  Start with 0;
** pass the result back in to go on.
*/
u32 prillCrc32c(u32 crc, const void*, i64 n);

/* varint.c.  Each returns the bytes used, 0 when cut short or overlong. */
int prillUvarintGet(const u8 *a, const u8 *aEnd, u64 *pOut);
int prillVarintGet(const u8 *a, const u8 *aEnd, i64 *pOut);     /* zigzag */
int prillVarintPut(u8 *a, i64);                                 /* zigzag, <=10 bytes */
int prillUvarintPut(u8 *a, u64);
int prillVarintLen(i64);                                        /* zigzag */

/* hash.c */
u32 prillMurmur2(const void*, i64 n);        /* as the Java client */
u32 prillCrc32(const void*, i64 n);          /* zlib's, as librdkafka */
int prillJumpHash(const void*, i64 n, int nPart);       /* consistent_hash: 0..nPart-1 */
/* SipHash-2-4 with 128 bits, for those who must not choose what collides. */
void prillSipHash(const u8 aKey[16], const void*, i64 n, u64 aOut[2]);

/* compress.c.  Append to *pOut.  nAccel is LZ4's trade of ratio for speed, from 1,
** its best ratio; the others take no notice of it.  Decompress fails with SQLITE_CORRUPT_VTAB
** on malformed input and SQLITE_TOOBIG beyond nMax output bytes; memory is
** bounded by what the input really expands to, never by a claimed length.
** An unknown or unavailable codec is SQLITE_MISMATCH. */
int prillCompress(int eCodec, int nAccel, const u8*, i64 n, PrillBuf *pOut);
int prillDecompress(int eCodec, const u8*, i64 n, i64 nMax, PrillBuf *pOut);
int prillCodecKnown(int eCodec);             /* 1 when both ways are available */
const char *prillCodecName(int eCodec);      /* "none", "gzip", ... or NULL */

/* record.c: one record inside a batch. */
typedef struct PrillRecord PrillRecord;
struct PrillRecord {
  i64 iOff;             /* absolute offset */
  i64 iTs;              /* ms since 1970 */
  const u8 *pKey;       /* nKey bytes, or NULL */
  const u8 *pVal;       /* decoded: the byte behind it is the batch's too */
  const u8 *pHdr;       /* encoded headers, nHdrByte bytes, after their count */
  i32 nKey;             /* -1: null key */
  i32 nVal;             /* -1: null value, a tombstone */
  i32 nHdr;             /* headers */
  i32 nHdrByte;
};
/* Decode the record at a.  Fills all of *p; pointers go into a[].  Returns
** the bytes used, or 0 when the bytes are not one whole, exact record. */
i64 prillRecordDecode(const u8 *a, const u8 *aEnd, i64 iBase, i64 iBaseTs, PrillRecord *p);
/* Bytes the record will take, with these deltas. */
i64 prillRecordSize(const PrillRecord*, i64 dTs, i64 dOff);
void prillRecordEncode(int *pRc, PrillBuf*, const PrillRecord*, i64 dTs, i64 dOff);

/* batch.c: Kafka's record batch v2 (magic 2). */
#define PRILL_BATCH_HDR 61
#define PRILL_ATTR_CODEC      0x07
#define PRILL_ATTR_APPENDTIME 0x08
#define PRILL_ATTR_TXN        0x10
#define PRILL_ATTR_CONTROL    0x20
#define PRILL_ATTR_HORIZON    0x40
typedef struct PrillBatch PrillBatch;
struct PrillBatch {
  i64 iBase;            /* base offset */
  i64 nByte;            /* whole batch: 12 + batchLength */
  i32 iEpoch;           /* partition leader epoch */
  u32 iCrc;
  i32 mAttr;            /* attributes */
  i32 dLast;            /* last offset delta */
  i64 iBaseTs, iMaxTs;
  i64 iProducer;        /* -1: none */
  i32 iProducerEpoch;
  i32 iSeq;
  i32 nRec;
};
/* Decode a header.  SQLITE_OK; or SQLITE_CORRUPT_VTAB when it cannot be one
** (magic, length<49, negative counts, dLast < nRec-1, unknown attribute
** bits).  n>=61. Does not look beyond the header. */
int prillBatchHeader(const u8 *a, i64 n, PrillBatch*);
/* CRC of a whole batch of p->nByte bytes at a: SQLITE_OK or CORRUPT_VTAB. */
int prillBatchCheck(const u8 *a, const PrillBatch *p);
/* Are a[0..n) one batch that a log may keep as it is?  Header, CRC, at least
** one record, offsets 0,1,2,.. from the base without holes, records that
** decompress (into *pOut, emptied first) and fill it exactly.  *p is the header,
** *piMinTs and *piMaxTs the least and greatest timestamp of the records.
** SQLITE_CORRUPT_VTAB when not; SQLITE_MISMATCH for a codec this build lacks. */
int prillBatchVet(const u8 *a, i64 n, PrillBatch *p, PrillBuf *pOut, i64 *piMinTs, i64 *piMaxTs);
/* The part of that which comes after header and CRC.  *pbKeyed: all have keys. */
int prillBatchLook(const u8 *a, const PrillBatch *p, PrillBuf *pOut, i64 *piMinTs, i64 *piMaxTs, int *pbKeyed);
/* Set the greatest timestamp of a whole batch and, with bAppend, that it is the
** time of appending; the CRC follows. */
void prillBatchStamp(u8 *a, PrillBatch *p, i64 iMaxTs, int bAppend);
/* Set base offset and leader epoch: no CRC changes. */
void prillBatchPlace(u8 *a, i64 iBase, i32 iEpoch);
/* The records of a whole batch at a, decompressed into *pOut where need be
** (emptied first), *paRec and *pnRec pointing into a[] or pOut->a. */
int prillBatchRecords(const u8 *a, const PrillBatch *p, PrillBuf *pOut,
                      const u8 **paRec, i64 *pnRec);
/* Append a batch: header from *p (nByte and iCrc are computed and filled in),
** records aRec[0..nRecByte) compressed with eCodec.  Where compression does
** not shrink them they are stored as they are. */
void prillBatchEncode(int *pRc, PrillBuf*, PrillBatch *p, int eCodec,
                      const u8 *aRec, i64 nRecByte);

/* sieve.c: compaction: the newest offset of each key, and what of a batch stays. */
typedef struct PrillSieve PrillSieve;
struct PrillSieve {
  u8 aKey[16];          /* random: the hash's key */
  i64 mxByte;           /* most bytes the map may grow to */
  i64 iEnd;             /* the map knows all below this offset: all from here on stay */
  i64 iNow;             /* ms: horizons up to now have passed */
  i64 iHorizon;         /* of tombstones seen for the first time */
  u64 *a;
  i64 nSlot, nUsed;
  i64 *aProducer;       /* pairs: producer id, last offset of its last batch */
  int nProducer;
  PrillBuf rec, out;    /* scratch */
};
typedef struct PrillSieved PrillSieved;
struct PrillSieved {
  PrillBatch b;         /* what was put out; nByte 0: nothing */
  i64 iMinTs;           /* least timestamp in it */
  i64 iHorizon;         /* when its tombstones may go; I64MAX: it has none */
  i64 nTomb;
  u8 bChanged;          /* not byte for byte what came in */
};
void prillSieveFree(PrillSieve*);
/* Note the keys of a checked batch, of records at iFrom and after.  *pbFull:
** there is no room for it, and nothing of it was noted.  SQLITE_CORRUPT_VTAB
** when it cannot be what its header says. */
int prillSieveAdd(PrillSieve*, const u8 *a, const PrillBatch*, i64 iFrom, int *pbFull);
/* Append what stays of a checked batch to *pOut; with bKeep at least a header. */
int prillSieveBatch(PrillSieve*, const u8 *a, const PrillBatch*, int bKeep, PrillBuf *pOut, PrillSieved*);

/* header.c: record headers as JSON, both ways.
** [["name","value"],["bin",{"base64":"..."}],["none",null]]
** FromJson appends encoded headers to *pOut and sets *pnHdr; a bad text is
** SQLITE_ERROR with *pzErr.  ToJson appends JSON text; a header whose bytes
** are not UTF-8 without NUL becomes {"base64":...}. */
int prillHeaderFromJson(const char *z, i64 n, PrillBuf *pOut, i32 *pnHdr, char **pzErr);
int prillHeaderToJson(const u8 *a, i64 n, i32 nHdr, PrillBuf *pOut);

/**************************************************************************
** Layer 2, log: files over sqlite3_vfs; told their extent, never deciding it.
**
** file.c: the one place that touches the operating system.  All calls go
** through the VFS; mkdir and rmdir through its xGetSystemCall, and a
** directory is synced with the system call "prill_dirsync" where the VFS
** offers one (int(*)(const char *zDir), 0 on success; test VFSes do), else
** with open(2), fsync(2), close(2).
*/
typedef struct PrillFile PrillFile;
struct PrillFile {
  sqlite3_vfs *pVfs;
  char *zPath;          /* from sqlite3_create_filename; freed by close */
  sqlite3_file *pFd;
  u64 aIdent[2];        /* prillFileIdent() of the path when it was opened */
  u8 bReadOnly;
  u8 bFresh;            /* made by this handle, which has not been synced yet */
};
#define PRILL_OPEN_READ    0     /* read only; missing is SQLITE_CANTOPEN */
#define PRILL_OPEN_WRITE   1     /* read and write an existing file */
#define PRILL_OPEN_CREATE  2     /* make it if missing; its directory entry is durable after prillFileSync */
#define PRILL_OPEN_NEW     3     /* must not exist yet: else SQLITE_CONSTRAINT */
/* zDb, when not NULL, is the database file whose mode a new file takes. */
int prillFileOpen(sqlite3_vfs*, const char *zPath, int eOpen, const char *zDb, PrillFile**);
int prillFileClose(PrillFile*);                         /* NULL is harmless */
/* Exactly n bytes, in calls of at most 64 KiB.  Bytes past the end of the
** file are SQLITE_IOERR_SHORT_READ with the rest of a[] zeroed. */
int prillFileRead(PrillFile*, void *a, i64 n, i64 iPos);
int prillFileWrite(PrillFile*, const void *a, i64 n, i64 iPos);
int prillFileSync(PrillFile*);
int prillFileSize(PrillFile*, i64 *pSize);
int prillFileTruncate(PrillFile*, i64 n);
int prillFileExists(sqlite3_vfs*, const char *zPath, int *pbExists);
/* What the path names now: device and inode, or zeros where stat() finds none. */
void prillFileIdent(const char *zPath, u64 aOut[2]);
int prillFileMoved(const PrillFile*);        /* 1: its path names another, or none */
int prillFileDelete(sqlite3_vfs*, const char *zPath, int bSync);  /* missing is OK */
/* Make a directory with the database file's mode (x where r), and, with bSync,
** make its entry durable: its parent is synced.  Existing is OK, and synced as
** well: who made it may have died before the sync. */
int prillFileMkdir(sqlite3_vfs*, const char *zDir, const char *zDb, int bSync);
int prillFileSyncDir(sqlite3_vfs*, const char *zDir);   /* its entries */
int prillFileRmdir(sqlite3_vfs*, const char *zDir);     /* not empty is OK */
/* Make a file and hold it until prillFileClose or the process's end; is one held? */
int prillFileHold(sqlite3_vfs*, const char *zPath, const char *zDb, PrillFile **pp);
int prillFileHeld(sqlite3_vfs*, const char *zPath, int *pbHeld);
/* This process's number; zOut, which may be NULL: with the program's name. */
i64 prillFileProcess(char zOut[48]);
/* A second name for a file; SQLITE_NOTFOUND where there are no hard links. */
int prillFileLink(sqlite3_vfs*, const char *zFrom, const char *zTo);
/* The kernel's boot id, 36 characters, or "unknown".  A test sets it with
** prillFileSetBootId (NULL to unset). */
void prillFileBootId(char zOut[40]);
void prillFileSetBootId(const char*);
/* A file's bytes in memory, shared with all processes that map it, and sleep
** and wake on its 32-bit words.  No VFS and no database lock is involved. */
typedef struct PrillMap PrillMap;
struct PrillMap {
  u32 *a;               /* NULL: not mapped */
  i64 n;                /* bytes */
  u64 iDev, iIno;       /* which file it is */
  u8 bReadOnly;
};
int prillFileMap(sqlite3_vfs*, const char *zPath, i64 n, PrillMap*);
void prillFileUnmap(PrillMap*);                         /* and zero the struct */
int prillFileIsMapped(const char *zPath, const PrillMap*);
int prillFileSleep(const u32 *p, u32 v, i64 us);        /* 1: us have passed */
int prillFileWake(u32 *p, int n);                       /* how many slept */

/* index.c: Kafka's .index and .timeindex, and the same in memory. */
typedef struct PrillIndexEntry PrillIndexEntry;
struct PrillIndexEntry {
  i64 iOff;             /* base offset of a batch */
  i64 iLast;            /* its last offset */
  i64 iPos;             /* its byte position in the segment */
  i64 iMaxTs;           /* greatest timestamp of the segment up to and with this batch */
};
typedef struct PrillIndex PrillIndex;
struct PrillIndex {
  PrillIndexEntry *a;   /* rising iOff and iPos, iMaxTs never falling */
  int n, nAlloc;
};
void prillIndexFree(PrillIndex*);
void prillIndexAdd(int *pRc, PrillIndex*, i64 iOff, i64 iLast, i64 iPos, i64 iMaxTs);
/* Greatest entry with iOff<=the target, or -1. */
int prillIndexFind(const PrillIndex*, i64 iOff);
/* Greatest entry such that every batch up to and with it has timestamps < iTs, or -1. */
int prillIndexFindTs(const PrillIndex*, i64 iTs);
/* The two files' bytes for entries relative to base offset iBase.  iEndTs,
** iEndOff: the segment's greatest timestamp and the last offset of its batch,
** for the time index's closing entry. */
void prillIndexEncode(int *pRc, const PrillIndex*, i64 iBase, PrillBuf *pIndex, PrillBuf *pTime,
                      i64 iEndTs, i64 iEndOff);
/* Rebuild memory entries from the two files' bytes.  Kafka's offset index
** names a batch's last offset; iOff is then unknown and set to the previous
** entry's iLast+1 at least: good enough to seek, since a scan reads headers.
** iMaxTs is a valid upper bound.  Malformed: SQLITE_CORRUPT_VTAB. */
int prillIndexDecode(const u8 *aIndex, i64 nIndex, const u8 *aTime, i64 nTime, i64 iBase,
                     PrillIndex *pOut);

/* keyrun.c: sorted runs of key hashes.  An entry is a hash, 32 bits, above an
** offset less the segment's base offset, 32 bits. */
#define PRILL_KEYRUN_PAGE 4096
#define PRILL_KEYRUN_BAD  SQLITE_CORRUPT_INDEX  /* read the log instead */
u32 prillKeyrunHash(const void *aKey, i64 n);
/* A run: what it covers and where it is. */
typedef struct PrillKeyRun PrillKeyRun;
struct PrillKeyRun {
  i64 iFirst, iNext;    /* offsets covered */
  i64 iFrom, iTo;       /* bytes of the segment covered */
  i64 iPage, nPage;     /* its pages in its file; 0: no record has a key */
  u32 iSalt;            /* ties the pages to the run */
};
/* Sort entries whose offsets rise. */
int prillKeyrunSort(u64*, i64 n);
/* Writing: zero all, set pFile, iPos, iSalt; Put entries in order; End; free buf. */
typedef struct PrillKeyOut PrillKeyOut;
struct PrillKeyOut {
  PrillFile *pFile;     /* NULL: pages stay in buf until End */
  i64 iPos;             /* where the next bytes go */
  u32 iSalt;
  i64 nPage;            /* pages begun */
  PrillBuf buf;
  int nUsed;            /* of the last page */
  u64 iLast;            /* the last entry */
};
void prillKeyrunPut(int *pRc, PrillKeyOut*, u64);
void prillKeyrunEnd(int *pRc, PrillKeyOut*);
/* Looking for a hash: set pFile, run, iBase, iHash, bDesc; Find; Next until
** SQLITE_DONE.  PRILL_KEYRUN_BAD at any time: what was given so far is good. */
typedef struct PrillKeyFind PrillKeyFind;
struct PrillKeyFind {
  PrillFile *pFile;
  PrillKeyRun run;
  i64 iBase;            /* the segment's base offset */
  u32 iHash;
  u8 bDesc;
  i64 iAt, iHave;       /* page; the one in aPage, -1 none */
  int nOff, iOff;       /* its offsets, and the next of them */
  u8 aPage[PRILL_KEYRUN_PAGE];
  u32 aOff[PRILL_KEYRUN_PAGE];
};
int prillKeyrunFind(PrillKeyFind*);
int prillKeyrunNext(PrillKeyFind*, i64 *piOff);
/* Walking all entries, of a run or of memory: set pFile, run and nOff (offsets
** covered, from the segment's base), or aMem and nMem.  SQLITE_ROW: e. */
typedef struct PrillKeyIn PrillKeyIn;
struct PrillKeyIn {
  PrillFile *pFile;
  PrillKeyRun run;
  i64 nOff;
  const u64 *aMem;
  i64 nMem, iMem;
  i64 iAt;              /* next page */
  int iUsed;            /* place in the page */
  u64 e;
  u8 aPage[PRILL_KEYRUN_PAGE];
};
int prillKeyrunStep(PrillKeyIn*);
int prillKeyrunMerge(PrillKeyIn*, int n, PrillKeyOut*, int *piBad);

#include "prillStore.h"

#endif /* PRILLINT_H */
