/*
** cmd_json.c: JSON in and out, base64 and UTF-8, for the prill command.
**
** The reader is strict (RFC 8259) and works in place: it hands out the text of
** numbers and of nested values as they stand, so that nothing is lost on the
** way from a line to a record.
*/
#include "cmd.h"

#define JSON_MX_DEPTH 200

/**************************************************************************
** Bytes.
*/
void cmdBufAdd(CmdBuf *p, const void *pData, size_t n){
  if( p->n+n+1>p->nAlloc ){
    p->nAlloc = (p->n+n)*2 + 64;
    p->a = (u8*)cmdAlloc(p->a, p->nAlloc);
  }
  if( n ) memcpy(p->a+p->n, pData, n);
  p->n += n;
  p->a[p->n] = 0;
}

void cmdBufChar(CmdBuf *p, int c){
  u8 b = (u8)c;
  cmdBufAdd(p, &b, 1);
}

/* Bytes of the UTF-8 character at a, 0 when it is none. */
static size_t jsonUtf8Char(const u8 *a, const u8 *aEnd){
  u8 lo = 0x80, hi = 0xbf;
  size_t n, i;
  if( a[0]<0x80 ) return a[0]!=0;
  if( a[0]<0xc2 || a[0]>0xf4 ) return 0;
  n = a[0]<0xe0 ? 2 : a[0]<0xf0 ? 3 : 4;
  if( a[0]==0xe0 ) lo = 0xa0;
  if( a[0]==0xed ) hi = 0x9f;
  if( a[0]==0xf0 ) lo = 0x90;
  if( a[0]==0xf4 ) hi = 0x8f;
  if( (size_t)(aEnd-a)<n || a[1]<lo || a[1]>hi ) return 0;
  for(i=2; i<n; i++){
    if( (a[i]&0xc0)!=0x80 ) return 0;
  }
  return n;
}

int cmdUtf8(const u8 *a, size_t n){
  const u8 *aEnd = a+n;
  while( a<aEnd ){
    size_t k = jsonUtf8Char(a, aEnd);
    if( k==0 ) return 0;
    a += k;
  }
  return 1;
}

static const char zBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void jsonPutBase64(CmdBuf *p, const u8 *a, size_t n){
  size_t i;
  for(i=0; i<n; i+=3){
    unsigned v = (unsigned)a[i]<<16;
    if( i+1<n ) v |= (unsigned)a[i+1]<<8;
    if( i+2<n ) v |= a[i+2];
    cmdBufChar(p, zBase64[v>>18]);
    cmdBufChar(p, zBase64[(v>>12)&63]);
    cmdBufChar(p, i+1<n ? zBase64[(v>>6)&63] : '=');
    cmdBufChar(p, i+2<n ? zBase64[v&63] : '=');
  }
}

int cmdUnbase64(const char *z, size_t n, CmdBuf *pOut){
  unsigned v = 0;
  int nBit = 0;
  size_t i;
  pOut->n = 0;
  cmdBufAdd(pOut, "", 0);
  if( n%4 ) return 0;
  for(i=0; i<2 && n>0 && z[n-1]=='='; i++) n--;
  for(i=0; i<n; i++){
    const char *zAt = z[i] ? strchr(zBase64, z[i]) : 0;
    if( zAt==0 ) return 0;
    v = (v<<6) | (unsigned)(zAt-zBase64);
    nBit += 6;
    if( nBit>=8 ){
      nBit -= 8;
      cmdBufChar(pOut, (int)((v>>nBit)&0xff));
    }
  }
  return (v & ((1u<<nBit)-1))==0;
}

/**************************************************************************
** Reading.
*/
void cmdJsonInit(CmdJson *p, const char *z, size_t n){
  p->z = z;
  p->zEnd = z+n;
  p->zErr = 0;
  p->nDepth = 0;
}

static void jsonFail(CmdJson *p, const char *zErr){
  if( p->zErr==0 ) p->zErr = zErr;
}

static void jsonBlanks(CmdJson *p){
  while( p->z<p->zEnd && (*p->z==' ' || *p->z=='\t' || *p->z=='\n' || *p->z=='\r') ) p->z++;
}

int cmdJsonPeek(CmdJson *p){
  jsonBlanks(p);
  if( p->zErr ) return 0;
  if( p->z<p->zEnd ){
    switch( *p->z ){
      case '{': return JSON_OBJECT;
      case '[': return JSON_ARRAY;
      case '"': return JSON_STRING;
      case 't': case 'f': return JSON_BOOL;
      case 'n': return JSON_NULL;
      case '-': return JSON_NUMBER;
      default: if( *p->z>='0' && *p->z<='9' ) return JSON_NUMBER;
    }
  }
  jsonFail(p, p->z<p->zEnd ? "a value was expected" : "it ends too soon");
  return 0;
}

/* The four hex digits of \u at p->z; -1 when they are none. */
static int jsonHex4(CmdJson *p){
  int v = 0, i;
  if( p->zEnd-p->z<4 ) return -1;
  for(i=0; i<4; i++){
    char c = *p->z++;
    int d = c>='0' && c<='9' ? c-'0' : c>='a' && c<='f' ? c-'a'+10 : c>='A' && c<='F' ? c-'A'+10 : -1;
    if( d<0 ) return -1;
    v = v*16+d;
  }
  return v;
}

static void jsonPutChar(CmdBuf *pOut, int c){
  if( c<0x80 ){
    cmdBufChar(pOut, c);
  }else if( c<0x800 ){
    cmdBufChar(pOut, 0xc0|(c>>6));
    cmdBufChar(pOut, 0x80|(c&63));
  }else if( c<0x10000 ){
    cmdBufChar(pOut, 0xe0|(c>>12));
    cmdBufChar(pOut, 0x80|((c>>6)&63));
    cmdBufChar(pOut, 0x80|(c&63));
  }else{
    cmdBufChar(pOut, 0xf0|(c>>18));
    cmdBufChar(pOut, 0x80|((c>>12)&63));
    cmdBufChar(pOut, 0x80|((c>>6)&63));
    cmdBufChar(pOut, 0x80|(c&63));
  }
}

/* What follows a backslash. */
static void jsonEscape(CmdJson *p, CmdBuf *pOut){
  static const char zFrom[] = "\"\\/bfnrt";
  static const char zTo[] = "\"\\/\b\f\n\r\t";
  const char *zAt;
  int c, c2;
  if( p->z>=p->zEnd ){
    jsonFail(p, "a string does not end");
    return;
  }
  c = *p->z++;
  if( c!='u' ){
    zAt = c ? strchr(zFrom, c) : 0;
    if( zAt ) cmdBufChar(pOut, zTo[zAt-zFrom]); else jsonFail(p, "a backslash before an odd character");
    return;
  }
  c = jsonHex4(p);
  if( c>=0xd800 && c<0xdc00 && p->zEnd-p->z>=6 && p->z[0]=='\\' && p->z[1]=='u' ){
    p->z += 2;
    c2 = jsonHex4(p);
    c = c2>=0xdc00 && c2<0xe000 ? 0x10000 + ((c-0xd800)<<10) + (c2-0xdc00) : -1;
  }
  if( c<0 || (c>=0xd800 && c<0xe000) ){
    jsonFail(p, "\\u without the four digits of a character");
  }else{
    jsonPutChar(pOut, c);
  }
}

void cmdJsonString(CmdJson *p, CmdBuf *pOut){
  pOut->n = 0;
  cmdBufAdd(pOut, "", 0);
  if( cmdJsonPeek(p)!=JSON_STRING ){
    jsonFail(p, "a string was expected");
    return;
  }
  p->z++;
  while( p->zErr==0 ){
    const char *zFrom = p->z;
    while( p->z<p->zEnd && *p->z!='"' && *p->z!='\\' && (u8)*p->z>=0x20 ) p->z++;
    if( !cmdUtf8((const u8*)zFrom, (size_t)(p->z-zFrom)) ) jsonFail(p, "a string is not UTF-8");
    cmdBufAdd(pOut, zFrom, (size_t)(p->z-zFrom));
    if( p->z>=p->zEnd ){
      jsonFail(p, "a string does not end");
    }else if( *p->z=='"' ){
      p->z++;
      return;
    }else if( *p->z=='\\' ){
      p->z++;
      jsonEscape(p, pOut);
    }else{
      jsonFail(p, "a control character in a string");
    }
  }
}

static void jsonWord(CmdJson *p, const char *zWord){
  size_t n = strlen(zWord);
  if( (size_t)(p->zEnd-p->z)<n || memcmp(p->z, zWord, n)!=0 ){
    jsonFail(p, "a value was expected");
  }else{
    p->z += n;
  }
}

static int jsonDigits(CmdJson *p){
  int n = 0;
  while( p->z<p->zEnd && *p->z>='0' && *p->z<='9' ){
    p->z++;
    n++;
  }
  return n;
}

static void jsonNumber(CmdJson *p){
  if( *p->z=='-' ) p->z++;
  if( p->z<p->zEnd && *p->z=='0' ){
    p->z++;
  }else if( jsonDigits(p)==0 ){
    jsonFail(p, "a number without digits");
  }
  if( p->z<p->zEnd && *p->z=='.' ){
    p->z++;
    if( jsonDigits(p)==0 ) jsonFail(p, "a number without digits");
  }
  if( p->z<p->zEnd && (*p->z=='e' || *p->z=='E') ){
    p->z++;
    if( p->z<p->zEnd && (*p->z=='+' || *p->z=='-') ) p->z++;
    if( jsonDigits(p)==0 ) jsonFail(p, "a number without digits");
  }
}

void cmdJsonOpen(CmdJson *p, char c){
  jsonBlanks(p);
  if( ++p->nDepth>JSON_MX_DEPTH ) jsonFail(p, "it is nested too deep");
  if( p->zErr ) return;
  if( p->z<p->zEnd && *p->z==c ) p->z++;
  else jsonFail(p, c=='{' ? "an object was expected" : "an array was expected");
}

int cmdJsonMore(CmdJson *p, char cClose, int *pbFirst){
  jsonBlanks(p);
  if( p->zErr ) return 0;
  if( p->z<p->zEnd && *p->z==cClose ){
    p->z++;
    p->nDepth--;
    return 0;
  }
  if( *pbFirst ){
    *pbFirst = 0;
  }else if( p->z<p->zEnd && *p->z==',' ){
    p->z++;
  }else{
    jsonFail(p, p->z<p->zEnd ? "a comma was expected" : "it ends too soon");
  }
  return p->zErr==0;
}

void cmdJsonName(CmdJson *p, CmdBuf *pOut){
  cmdJsonString(p, pOut);
  jsonBlanks(p);
  if( p->zErr ) return;
  if( p->z<p->zEnd && *p->z==':' ) p->z++;
  else jsonFail(p, "a colon was expected");
}

/* An object or an array. */
static void jsonSkipNested(CmdJson *p, char cOpen, char cClose){
  CmdBuf name = {0,0,0};
  int bFirst = 1;
  cmdJsonOpen(p, cOpen);
  while( cmdJsonMore(p, cClose, &bFirst) ){
    if( cOpen=='{' ) cmdJsonName(p, &name);
    cmdJsonSkip(p, 0, 0);
  }
  sqlite3_free(name.a);
}

void cmdJsonSkip(CmdJson *p, const char **pz, size_t *pn){
  CmdBuf scratch = {0,0,0};
  int eType = cmdJsonPeek(p);
  const char *zFrom = p->z;
  switch( eType ){
    case JSON_NULL:   jsonWord(p, "null"); break;
    case JSON_BOOL:   jsonWord(p, *p->z=='t' ? "true" : "false"); break;
    case JSON_NUMBER: jsonNumber(p); break;
    case JSON_STRING: cmdJsonString(p, &scratch); break;
    case JSON_ARRAY:  jsonSkipNested(p, '[', ']'); break;
    case JSON_OBJECT: jsonSkipNested(p, '{', '}'); break;
    default: break;
  }
  sqlite3_free(scratch.a);
  if( pz ){
    *pz = zFrom;
    *pn = (size_t)(p->z-zFrom);
  }
}

void cmdJsonEnd(CmdJson *p){
  jsonBlanks(p);
  if( p->z<p->zEnd ) jsonFail(p, "there is more after the object");
}

int cmdJsonBase64(CmdJson *p, CmdBuf *pOut){
  CmdJson save = *p;
  CmdBuf text = {0,0,0};
  int bFirst = 1, bOk = 0;
  cmdJsonOpen(p, '{');
  if( cmdJsonMore(p, '}', &bFirst) ){
    cmdJsonName(p, &text);
    if( p->zErr==0 && text.n==6 && memcmp(text.a, "base64", 6)==0 && cmdJsonPeek(p)==JSON_STRING ){
      cmdJsonString(p, &text);
      bOk = !cmdJsonMore(p, '}', &bFirst) && p->zErr==0;
    }
  }
  if( bOk ){
    if( !cmdUnbase64((char*)text.a, text.n, pOut) ) jsonFail(p, "its base64 is malformed");
  }else{
    *p = save;
  }
  sqlite3_free(text.a);
  return bOk;
}

/**************************************************************************
** Writing.
*/
void cmdJsonPut(CmdBuf *p, const u8 *a, size_t n){
  static const char zHex[] = "0123456789abcdef";
  size_t i, iFrom = 0;
  if( !cmdUtf8(a, n) ){
    cmdBufAdd(p, "{\"base64\":\"", 11);
    jsonPutBase64(p, a, n);
    cmdBufAdd(p, "\"}", 2);
    return;
  }
  cmdBufChar(p, '"');
  for(i=0; i<n; i++){
    char z[6] = {'\\', 'u', '0', '0', 0, 0};
    const char *zAt;
    if( a[i]>=0x20 && a[i]!='"' && a[i]!='\\' ) continue;
    cmdBufAdd(p, a+iFrom, i-iFrom);
    iFrom = i+1;
    zAt = strchr("\bb\ff\nn\rr\tt\"\"\\\\", a[i]);
    if( zAt ){
      z[1] = zAt[1];
      cmdBufAdd(p, z, 2);
    }else{
      z[4] = zHex[a[i]>>4];
      z[5] = zHex[a[i]&15];
      cmdBufAdd(p, z, 6);
    }
  }
  cmdBufAdd(p, a+iFrom, n-iFrom);
  cmdBufChar(p, '"');
}
