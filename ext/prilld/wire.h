/*
** wire.h: Kafka's wire protocol: messages as structs, and their codec.
**
** The structs are generated from messages.tbl (tool/mkwire.tcl);
** their fields have the protocol's own names.  An array's count
** is n and its name; -1 means null.
*/
#ifndef PRILLD_WIRE_H
#define PRILLD_WIRE_H

#include "prillInt.h"

typedef int8_t i8;

/* n<0: null.  A decoded string or byte field points into the request. */
typedef struct WireStr WireStr;
struct WireStr { const char *z; i32 n; };
typedef struct WireBytes WireBytes;
struct WireBytes { const u8 *a; i32 n; };
typedef struct WireUuid WireUuid;
struct WireUuid { u8 a[16]; };

enum { WIRE_BOOL, WIRE_INT8, WIRE_INT16, WIRE_INT32, WIRE_INT64, WIRE_UUID, WIRE_STRING,
       WIRE_BYTES, WIRE_RECORDS, WIRE_STRUCT };

typedef struct WireStruct WireStruct;
typedef struct WireField WireField;
struct WireField {
  const char *zName;
  u8 eType;             /* WIRE_INT8, ...; of an array, its elements' */
  u8 bArray;
  i8 mnVer, mxVer;      /* versions that have it */
  i8 mnNull;            /* may be null from this version on; 127: never */
  i8 bDefNull;          /* absent: null */
  i8 iTag;              /* a tagged field's tag, else -1 */
  size_t iAt;           /* offset in the struct */
  size_t iCount;        /* of an array: offset of its count */
  i64 iDefault;
  const WireStruct *pSub;
};
struct WireStruct {
  size_t sz;
  int nField;
  const WireField *aField;
};
typedef struct WireApi WireApi;
struct WireApi {
  const char *zName;
  i16 iKey;
  i8 mnVer, mxVer;      /* served */
  i8 mnFlex;            /* first flexible version; 127: none */
  i8 mnAdvertise;       /* least version listed by ApiVersions */
  const WireStruct *pReq, *pResp;    /* NULL: no fields */
};

#include "wire_gen.h"

extern const WireApi prilldWireApi[WIRE_NAPI];
const WireApi *prilldWireFind(int iKey);        /* NULL: unknown */

/**************************************************************************
** Arena: memory of one request, freed together.  Zero-initialise; mxByte, when
** not 0, bounds what it will give.  Alloc returns zeroed memory, or NULL.
*/
typedef struct WireArena WireArena;
struct WireArena {
  struct WireBlock *pBlock;
  i64 nByte;            /* given out */
  i64 mxByte;
};
void *prilldArenaAlloc(WireArena*, i64 n);
void prilldArenaFree(WireArena*);
/* A copy of n bytes (n<0: NULL), with a NUL behind them. */
char *prilldArenaDup(WireArena*, const void*, i64 n);

/**************************************************************************
** Decoding.  Fills *pOut, a struct of type pStruct, as version iVer has it;
** fields it lacks get their defaults; arrays are the arena's.  pStruct NULL
** is a message without fields.
**
** SQLITE_OK with *pnUsed; SQLITE_CORRUPT when malformed or larger in memory
** than the arena allows; SQLITE_NOMEM.  Reads nothing beyond a[n]; memory is
** bounded by the bytes there are, never by a claimed count.
*/
int prilldWireDecode(const WireStruct*, int iVer, int bFlex, const u8 *a, i64 n,
                     WireArena*, void *pOut, i64 *pnUsed);
/* Fill *p with the defaults of all its fields. */
void prilldWireDefaults(const WireStruct*, void *p);

/* A request's header, which comes before its body. */
typedef struct WireHeader WireHeader;
struct WireHeader {
  i16 iKey, iVer;
  i32 iCorrelation;
  WireStr client;
  const WireApi *pApi;  /* NULL: unknown key, or a version not served; client is then not read */
};
int prilldWireHeader(const u8 *a, i64 n, WireHeader*, i64 *pnUsed);

/**************************************************************************
** Encoding.  Byte fields of type records are not copied but spliced: their
** bytes must stay until they are sent.
*/
typedef struct WireSplice WireSplice;
struct WireSplice { i64 iAt; const u8 *a; i64 n; };     /* a[n] goes before buf.a[iAt] */
typedef struct WireOut WireOut;
struct WireOut {
  PrillBuf buf;
  WireSplice *aSplice;
  int nSplice, nSpliceAlloc;
  i64 nSpliced;         /* bytes in splices */
};
void prilldWireOutFree(WireOut*);
/* SQLITE_OK, or SQLITE_NOMEM; SQLITE_MISUSE when a field is null that may not
** be in this version. */
int prilldWireEncode(const WireStruct*, int iVer, int bFlex, const void *pIn, WireOut*);

#endif
