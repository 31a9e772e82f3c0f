/*
** option.c: one parser for table arguments and configuration.
**
** Layer 0.  Calls buf.
**
** CREATE VIRTUAL TABLE ... USING topic(...), prill_config, the command's
** --config and the daemon's CreateTopics and AlterConfigs all end here, so
** that a name or a value is right or wrong everywhere alike.
**
** Owns no bytes on disk itself; prillConfigToJson's text is what the catalog
** stores: only what differs from the defaults, so that a default can change.
**
** Invariants:
**
**   1. optionTable is sorted by name and is the only list of settings.
**   2. Text written by prillConfigValue is accepted by prillConfigSet and
**      gives the same setting.
**   3. A failed prillConfigSet leaves the PrillConfig as it was.
*/
#include "prillInt.h"

/* How a setting's text is read. */
enum { OPTION_I64, OPTION_INT, OPTION_WORD, OPTION_FUNC, OPTION_RATIO };

/* One word a setting may have as its value. */
typedef struct OptionWord OptionWord;
struct OptionWord {
  const char *zWord;
  int iValue;
};

/* The words of each setting, canonical ones first; a NULL ends the list. */
static const OptionWord optionCleanup[] = {
  {"delete", PRILL_DELETE}, {"compact", PRILL_COMPACT}, {"compact,delete", PRILL_COMPACT|PRILL_DELETE},
  {"delete,compact", PRILL_COMPACT|PRILL_DELETE}, {0,0}
};
static const OptionWord optionCompress[] = {
  {"producer", PRILL_PRODUCER}, {"none", PRILL_NONE}, {"lz4", PRILL_LZ4},
#ifdef PRILL_HAVE_ZLIB
  {"gzip", PRILL_GZIP},
#endif
#ifdef PRILL_HAVE_SNAPPY
  {"snappy", PRILL_SNAPPY},
#endif
#ifdef PRILL_HAVE_ZSTD
  {"zstd", PRILL_ZSTD},
#endif
  {"uncompressed", PRILL_NONE}, {0,0}
};
static const OptionWord optionType[] = {
  {"auto", PRILL_AUTO}, {"text", PRILL_TEXT}, {"blob", PRILL_BLOB}, {0,0}
};
static const OptionWord optionBool[] = {
  {"off", 0}, {"on", 1}, {"false", 0}, {"true", 1}, {"0", 0}, {"1", 1}, {0,0}
};
static const OptionWord optionTime[] = {
  {"CreateTime", 0}, {"LogAppendTime", 1}, {0,0}
};
static const OptionWord optionPartitioner[] = {
  {"murmur2", PRILL_MURMUR2}, {"crc32", PRILL_CRC32},
  {"round_robin", PRILL_ROUNDROBIN}, {"consistent_hash", PRILL_RING}, {0,0}
};

/* One setting.  Numbers have a range; words have a list. */
typedef struct OptionDef OptionDef;
struct OptionDef {
  const char *zName;
  int eType;                /* OPTION_* */
  int iField;               /* offset in PrillConfig */
  i64 iDefault;
  i64 iMin, iMax;           /* OPTION_I64, OPTION_INT */
  const OptionWord *aWord;  /* OPTION_WORD, OPTION_FUNC */
};
#define OPTION_FIELD(X) ((int)offsetof(PrillConfig,X))
#define OPTION_I32MAX 2147483647

static const OptionDef optionTable[] = {
  {"batch.size", OPTION_I64, OPTION_FIELD(szBatch),
      16384, 1, 1073741824, 0},
  {"cleanup.policy", OPTION_WORD, OPTION_FIELD(mCleanup),
      PRILL_DELETE, 0, 0, optionCleanup},
  {"compression.type", OPTION_WORD, OPTION_FIELD(eCompress),
      PRILL_PRODUCER, 0, 0, optionCompress},
  {"delete.retention.ms", OPTION_I64, OPTION_FIELD(msDeleteRetention),
      86400000, 0, PRILL_I64MAX, 0},
  {"key", OPTION_WORD, OPTION_FIELD(eKey),
      PRILL_AUTO, 0, 0, optionType},
  {"key.index", OPTION_WORD, OPTION_FIELD(bKeyIndex),
      0, 0, 0, optionBool},
  {"max.compaction.lag.ms", OPTION_I64, OPTION_FIELD(msMaxLag),
      PRILL_I64MAX, 1, PRILL_I64MAX, 0},
  {"max.message.bytes", OPTION_I64, OPTION_FIELD(szMessage),
      1048588, 256, 1073741824, 0},
  {"message.timestamp.after.max.ms", OPTION_I64, OPTION_FIELD(msAfter),
      PRILL_I64MAX, 0, PRILL_I64MAX, 0},
  {"message.timestamp.before.max.ms", OPTION_I64, OPTION_FIELD(msBefore),
      PRILL_I64MAX, 0, PRILL_I64MAX, 0},
  {"message.timestamp.type", OPTION_WORD, OPTION_FIELD(bAppendTime),
      0, 0, 0, optionTime},
  {"min.cleanable.dirty.ratio", OPTION_RATIO, OPTION_FIELD(iDirtyRatio),
      500000, 0, 1000000, 0},
  {"min.compaction.lag.ms", OPTION_I64, OPTION_FIELD(msMinLag),
      0, 0, PRILL_I64MAX, 0},
  {"min.insync.replicas", OPTION_INT, OPTION_FIELD(nMinIsr),
      1, 1, 1, 0},
  {"partitioner", OPTION_FUNC, OPTION_FIELD(ePartitioner),
      PRILL_MURMUR2, 0, 0, optionPartitioner},
  {"replication.factor", OPTION_INT, OPTION_FIELD(nReplica),
      1, 1, 1, 0},
  {"retention.bytes", OPTION_I64, OPTION_FIELD(szRetention),
      -1, -1, PRILL_I64MAX, 0},
  {"retention.ms", OPTION_I64, OPTION_FIELD(msRetention),
      604800000, -1, PRILL_I64MAX, 0},
  {"segment.bytes", OPTION_I64, OPTION_FIELD(szSegment),
      1073741824, 1024, OPTION_I32MAX, 0},
  {"segment.ms", OPTION_I64, OPTION_FIELD(msSegment),
      604800000, 1, PRILL_I64MAX, 0},
  {"value", OPTION_WORD, OPTION_FIELD(eValue),
      PRILL_AUTO, 0, 0, optionType}
};
#define OPTION_COUNT ((int)(sizeof(optionTable)/sizeof(optionTable[0])))

static void *optionField(PrillConfig *p, const OptionDef *pDef){
  return (char*)p + pDef->iField;
}
static i64 optionGet(const PrillConfig *p, const OptionDef *pDef){
  const void *pField = (const char*)p + pDef->iField;
  return pDef->eType==OPTION_I64 ? *(const i64*)pField : *(const int*)pField;
}
static void optionPut(PrillConfig *p, const OptionDef *pDef, i64 v){
  if( pDef->eType==OPTION_I64 ){
    *(i64*)optionField(p, pDef) = v;
  }else{
    *(int*)optionField(p, pDef) = (int)v;
  }
}

void prillConfigDefault(PrillConfig *p){
  int i;
  memset(p, 0, sizeof(*p));
  for(i=0; i<OPTION_COUNT; i++){
    optionPut(p, &optionTable[i], optionTable[i].iDefault);
  }
}

int prillOptionIs(const char *zName, const char *zWant){
  for(;;){
    char a = *zName++, b = *zWant++;
    if( a>='A' && a<='Z' ) a = (char)(a+('a'-'A'));
    if( b>='A' && b<='Z' ) b = (char)(b+('a'-'A'));
    if( a=='_' ) a = '.';
    if( b=='_' ) b = '.';
    if( a!=b ) return 0;
    if( a==0 ) return 1;
  }
}

/* Set *pzErr to a printed text and return SQLITE_ERROR, or SQLITE_NOMEM. */
static int optionFail(char **pzErr, const char *zFmt, ...){
  va_list ap;
  va_start(ap, zFmt);
  *pzErr = sqlite3_vmprintf(zFmt, ap);
  va_end(ap);
  return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM;
}

/*
** A decimal integer, all of z.  0 on success; 1 when it is none or does not
** fit in 64 bits.
*/
static int optionInt(const char *z, i64 *pOut){
  u64 v = 0, mx = (u64)PRILL_I64MAX;
  int bNeg = 0;
  if( *z=='-' || *z=='+' ){
    bNeg = *z=='-';
    z++;
  }
  if( bNeg ) mx++;
  if( *z==0 ) return 1;
  for(; *z; z++){
    u64 d;
    if( *z<'0' || *z>'9' ) return 1;
    d = (u64)(*z-'0');
    if( v>(mx-d)/10 ) return 1;
    v = v*10+d;
  }
  *pOut = bNeg ? (i64)(0-v) : (i64)v;
  return 0;
}

/* A fraction of at most six digits, in millionths: "0.5", ".25", "1".  0 on
** success. */
static int optionRatio(const char *z, i64 *pOut){
  i64 v = 0, iUnit = 1000000;
  int nDigit = 0, bPoint = 0;
  for(; *z; z++){
    if( *z=='.' && !bPoint ){
      bPoint = 1;
    }else if( *z>='0' && *z<='9' && v<=100000000 ){
      nDigit++;
      if( bPoint && iUnit==1 ){
        if( *z!='0' ) return 1;
        continue;
      }
      if( bPoint ) iUnit /= 10;
      v = bPoint ? v + (*z-'0')*iUnit : v*10 + (*z-'0')*iUnit;
    }else{
      return 1;
    }
  }
  *pOut = v;
  return nDigit==0;
}

/* 1 when z can be the name of an SQL function and fits zFunc. */
static int optionIsFunc(const char *z){
  int i;
  for(i=0; z[i]; i++){
    char c = z[i];
    int bAlpha = (c>='a' && c<='z') || (c>='A' && c<='Z') || c=='_';
    if( !bAlpha && !(i>0 && c>='0' && c<='9') ) return 0;
    if( i>=(int)sizeof(((PrillConfig*)0)->zFunc)-1 ) return 0;
  }
  return i>0;
}

/* The words of a list, "a, b, c" with cLast before the last: for messages. */
static void optionWords(int *pRc, const OptionDef *pDef, PrillBuf *pBuf){
  const OptionWord *p;
  for(p=pDef->aWord; p->zWord; p++){
    const char *zSep = p==pDef->aWord ? "" : ", ";
    if( p[1].zWord==0 && p>pDef->aWord && pDef->eType!=OPTION_FUNC ){
      zSep = " or ";
    }
    prillBufPrintf(pRc, pBuf, "%s%s", zSep, p->zWord);
  }
  if( pDef->eType==OPTION_FUNC ){
    prillBufPrintf(pRc, pBuf, " or an SQL function");
  }
}

/* Refuse zVal for pDef, saying what is allowed. */
static int optionRefuse(const OptionDef *pDef, const char *zVal, char **pzErr){
  PrillBuf buf;
  int rc = SQLITE_OK;
  memset(&buf, 0, sizeof(buf));
  if( pDef->aWord ){
    optionWords(&rc, pDef, &buf);
  }else if( pDef->eType==OPTION_RATIO ){
    prillBufPrintf(&rc, &buf, "a number from 0 to 1 with at most six decimals");
  }else if( pDef->iMax<PRILL_I64MAX ){
    prillBufPrintf(&rc, &buf, "an integer from %lld to %lld",
                   pDef->iMin, pDef->iMax);
  }else{
    prillBufPrintf(&rc, &buf, "an integer of at least %lld", pDef->iMin);
  }
  prillBufAppend(&rc, &buf, "", 1);
  if( rc==SQLITE_OK ){
    rc = optionFail(pzErr, "%s=%s is not allowed; use %s",
                    pDef->zName, zVal, (const char*)buf.a);
  }
  prillBufFree(&buf);
  return rc;
}

/*
** Values that a later version will take.  Told apart from mistakes, so that a
** user does not look for one.  SQLITE_OK when zVal is none of them.
*/
static int optionLater(const OptionDef *pDef, const char *zVal, char **pzErr){
  if( pDef->iField==OPTION_FIELD(eCompress)
   && (sqlite3_stricmp(zVal, "gzip")==0 || sqlite3_stricmp(zVal, "snappy")==0
       || sqlite3_stricmp(zVal, "zstd")==0) ){
    return optionFail(pzErr, "compression.type=%s is not available in this"
        " build; use producer, none or lz4", zVal);
  }
  return SQLITE_OK;
}

/* A word of the list or, for OPTION_FUNC, a function's name. */
static int optionSetWord(PrillConfig *p, const OptionDef *pDef,
                         const char *zVal, char **pzErr){
  const OptionWord *pWord;
  int rc;
  for(pWord=pDef->aWord; pWord->zWord; pWord++){
    if( sqlite3_stricmp(zVal, pWord->zWord)==0 ){
      optionPut(p, pDef, pWord->iValue);
      if( pDef->eType==OPTION_FUNC ) memset(p->zFunc, 0, sizeof(p->zFunc));
      return SQLITE_OK;
    }
  }
  rc = optionLater(pDef, zVal, pzErr);
  if( rc ) return rc;
  if( pDef->eType!=OPTION_FUNC || !optionIsFunc(zVal) ){
    return optionRefuse(pDef, zVal, pzErr);
  }
  memset(p->zFunc, 0, sizeof(p->zFunc));
  memcpy(p->zFunc, zVal, strlen(zVal));
  p->ePartitioner = PRILL_SQLFUNC;
  return SQLITE_OK;
}

/* An integer within its range. */
static int optionSetInt(PrillConfig *p, const OptionDef *pDef,
                        const char *zVal, char **pzErr){
  i64 v = 0;
  if( pDef->eType==OPTION_RATIO ? optionRatio(zVal, &v) : optionInt(zVal, &v) ){
    return optionRefuse(pDef, zVal, pzErr);
  }
  if( pDef->eType==OPTION_INT && v>pDef->iMax ){
    return optionFail(pzErr, "%s=%s: more than one replica needs a cluster;"
        " use 1", pDef->zName, zVal);
  }
  if( v<pDef->iMin || v>pDef->iMax ) return optionRefuse(pDef, zVal, pzErr);
  optionPut(p, pDef, v);
  return SQLITE_OK;
}

/* No setting has this name. */
static int optionUnknown(const char *zName, char **pzErr){
  PrillBuf buf;
  int rc = SQLITE_OK;
  int i;
  memset(&buf, 0, sizeof(buf));
  for(i=0; i<OPTION_COUNT; i++){
    prillBufPrintf(&rc, &buf, "%s%s", i ? ", " : "", optionTable[i].zName);
  }
  prillBufAppend(&rc, &buf, "", 1);
  if( rc==SQLITE_OK ){
    rc = optionFail(pzErr, "unknown setting %s; the settings are %s", zName,
                    (const char*)buf.a);
  }
  prillBufFree(&buf);
  return rc;
}

int prillConfigSet(PrillConfig *p, const char *zName, const char *zVal,
                   char **pzErr){
  int i;
  *pzErr = 0;
  for(i=0; i<OPTION_COUNT; i++){
    const OptionDef *pDef = &optionTable[i];
    if( !prillOptionIs(zName, pDef->zName) ) continue;
    if( pDef->aWord ) return optionSetWord(p, pDef, zVal, pzErr);
    return optionSetInt(p, pDef, zVal, pzErr);
  }
  return optionUnknown(zName, pzErr);
}

const char *prillConfigName(int i){
  return i>=0 && i<OPTION_COUNT ? optionTable[i].zName : 0;
}

/*
** The buffer is emptied first.  A NUL follows the text and is not counted in
** its length.
*/
void prillConfigValue(int *pRc, const PrillConfig *p, int i, PrillBuf *pBuf,
                      int *pbDefault){
  const OptionDef *pDef = &optionTable[i];
  i64 v = optionGet(p, pDef);
  const OptionWord *pWord = pDef->aWord;
  assert( i>=0 && i<OPTION_COUNT );
  pBuf->n = 0;
  *pbDefault = v==pDef->iDefault;
  if( pDef->eType==OPTION_RATIO ){
    prillBufPrintf(pRc, pBuf, "%lld.%06lld", v/1000000, v%1000000);
    while( *pRc==SQLITE_OK && pBuf->n>3 && pBuf->a[pBuf->n-1]=='0' ) pBuf->n--;
  }else if( pWord==0 ){
    prillBufPrintf(pRc, pBuf, "%lld", v);
  }else if( pDef->eType==OPTION_FUNC && v==PRILL_SQLFUNC ){
    prillBufPrintf(pRc, pBuf, "%s", p->zFunc);
  }else{
    while( pWord->zWord && pWord->iValue!=v ) pWord++;
    prillBufPrintf(pRc, pBuf, "%s", pWord->zWord ? pWord->zWord : "?");
  }
  prillBufAppend(pRc, pBuf, "", 1);
  if( *pRc==SQLITE_OK ) pBuf->n--;
}

/*
** No value needs escaping in JSON: they are words of the tables here, digits,
** or an SQL function's name of letters, digits and '_'.
*/
void prillConfigToJson(int *pRc, const PrillConfig *p, PrillBuf *pBuf){
  PrillBuf val;
  int i, nOut = 0;
  memset(&val, 0, sizeof(val));
  prillBufAppend(pRc, pBuf, "{", 1);
  for(i=0; i<OPTION_COUNT && *pRc==SQLITE_OK; i++){
    int bDefault;
    prillConfigValue(pRc, p, i, &val, &bDefault);
    if( bDefault || *pRc ) continue;
    prillBufPrintf(pRc, pBuf, "%s\"%s\":\"%s\"", nOut++ ? "," : "",
                   optionTable[i].zName, (const char*)val.a);
  }
  prillBufAppend(pRc, pBuf, "}", 1);
  prillBufFree(&val);
}

/* Blanks of SQL. */
static int optionIsSpace(char c){
  return c==' ' || c=='\t' || c=='\n' || c=='\r' || c=='\f';
}

/* z[0..n) without its outer blanks, as new memory, or NULL. */
static char *optionTrim(const char *z, size_t n){
  char *zNew;
  while( n>0 && optionIsSpace(z[0]) ){
    z++;
    n--;
  }
  while( n>0 && optionIsSpace(z[n-1]) ) n--;
  zNew = (char*)sqlite3_malloc64(n+1);
  if( zNew ){
    memcpy(zNew, z, n);
    zNew[n] = 0;
  }
  return zNew;
}

/*
** Take SQL's quotes off z in place.  A quote inside is written twice, save in
** brackets.  Text that does not begin with a quote is left alone.  1 when the
** quote does not end where z does.
*/
static int optionUnquote(char *z){
  char q = z[0];
  size_t i, j = 0;
  if( q!='\'' && q!='"' && q!='`' && q!='[' ) return 0;
  for(i=1; z[i]; i++){
    if( q=='[' ){
      if( z[i]==']' ) break;
    }else if( z[i]==q ){
      if( z[i+1]!=q ) break;
      i++;
    }
    z[j++] = z[i];
  }
  if( z[i]==0 || z[i+1]!=0 ) return 1;
  z[j] = 0;
  return 0;
}

int prillOptionParse(const char *zArg, char **pzName, char **pzVal,
                     char **pzErr){
  const char *zEq = strchr(zArg, '=');
  int rc = SQLITE_OK;
  *pzName = *pzVal = *pzErr = 0;
  if( zEq==0 ){
    char *z = optionTrim(zArg, strlen(zArg));
    if( z==0 ) return SQLITE_NOMEM;
    rc = optionFail(pzErr, "argument %s is not of the form name=value", z);
    sqlite3_free(z);
    return rc;
  }
  *pzName = optionTrim(zArg, (size_t)(zEq-zArg));
  *pzVal = optionTrim(zEq+1, strlen(zEq+1));
  if( *pzName==0 || *pzVal==0 ){
    rc = SQLITE_NOMEM;
  }else if( (*pzName)[0]==0 ){
    rc = optionFail(pzErr, "argument =%s has no name; write name=value", *pzVal);
  }else{
    char *zRaw = sqlite3_mprintf("%s", *pzVal);
    if( zRaw==0 ){
      rc = SQLITE_NOMEM;
    }else if( optionUnquote(*pzVal) ){
      rc = optionFail(pzErr, "argument %s=%s: the quote has no end, or text"
                      " follows it", *pzName, zRaw);
    }
    sqlite3_free(zRaw);
  }
  if( rc ){
    sqlite3_free(*pzName);
    sqlite3_free(*pzVal);
    *pzName = *pzVal = 0;
  }
  return rc;
}

int prillOptionList(char *z){
  char *zOut = z;
  int n = 0;
  while( *z ){
    char *zBegin = zOut;
    while( *z==' ' || *z==',' ) z++;
    while( *z && *z!=',' ) *zOut++ = *z++;
    if( *z ) z++;
    while( zOut>zBegin && zOut[-1]==' ' ) zOut--;
    if( zOut>zBegin ){
      *zOut++ = 0;
      n++;
    }
  }
  return n;
}
