/*
** header.c: record headers as JSON, both ways.
**
** Layer 1, codec.  Calls buf, varint, util.
**
** Bytes owned (the same in record.c): for each header
**
**   varint   name length, >= 0     name, UTF-8
**   varint   value length, -1 null value, any bytes
**
** and their JSON form, an array of pairs whose order and repetitions are kept:
**
**   [["name","value"],["bin",{"base64":"AAH/"}],["none",null]]
**
** Text that is not UTF-8, or that holds a zero byte, has no safe form as an
** SQL string: such a value, and such a name from a foreign writer, stands as
** {"base64":...}.  Both positions take both forms, so that
** FromJson(ToJson(x)) gives the bytes x.
**
** The parser takes exactly this shape (RFC 8259 white space and escapes), not
** JSON at large, and holds no state but a position.  Nesting is fixed, so
** nothing recurses.
*/
#include "prillInt.h"

/* A text being parsed. */
typedef struct HeaderText HeaderText;
struct HeaderText {
  const u8 *a;          /* the text */
  i64 n;                /* its length */
  i64 i;                /* position of the next byte */
  PrillBuf buf;         /* a string that had escapes, or base64's bytes */
  int rc;               /* first error */
  char **pzErr;         /* its text */
};

/* Record an error at byte i: first error wins.  Counts bytes from 1. */
static void headerFail(HeaderText *p, i64 i, const char *zWhat){
  if( p->rc ) return;
  p->rc = SQLITE_ERROR;
  *p->pzErr = sqlite3_mprintf("headers: %s at byte %lld", zWhat, i+1);
  if( *p->pzErr==0 ) p->rc = SQLITE_NOMEM;
}

/* The next byte that is no white space, not consumed; 0 at the end. */
static u8 headerPeek(HeaderText *p){
  while( p->i<p->n ){
    u8 c = p->a[p->i];
    if( c!=' ' && c!='\t' && c!='\n' && c!='\r' ) return c;
    p->i++;
  }
  return 0;
}

/*
** Text bound by SQL as UTF-8 may be anything, and a zero byte may be in it.
** Where the bad byte is matters only when there is one.
*/
static void headerCheckUtf8(HeaderText *p){
  i64 i = 0;
  if( prillUtf8(p->a, p->n) ) return;
  for(;;){
    int k = 1;                      /* bytes of the character at i */
    while( k<=4 && k<=p->n-i && !prillUtf8(p->a+i, k) ) k++;
    if( k>4 || k>p->n-i ) break;
    i += k;
  }
  headerFail(p, i, "not UTF-8");
}

/* Consume c or fail. */
static void headerExpect(HeaderText *p, char c, const char *zWhat){
  if( p->rc ) return;
  if( headerPeek(p)==(u8)c ){
    p->i++;
  }else{
    headerFail(p, p->i, zWhat);
  }
}

/* Four hex digits at position i, or -1. */
static int headerHex4(const HeaderText *p, i64 i){
  u8 a[2];
  if( p->n-i<4 || prillUnhex((const char*)p->a+i, a, 2) ) return -1;
  return a[0]<<8 | a[1];
}

/*
** The character of a \u escape whose 'u' is at p->i, which moves past it.
** A pair of surrogates is one character; half a pair is none.
*/
static u32 headerUnicode(HeaderText *p){
  i64 iStart = p->i-1;
  int c = headerHex4(p, p->i+1);
  int d;
  p->i += 5;
  if( c<0 ){
    headerFail(p, iStart, "\\u without four hex digits");
    return 0;
  }
  if( c<0xd800 || c>0xdfff ) return (u32)c;
  if( c<0xdc00 && p->n-p->i>=6 && p->a[p->i]=='\\' && p->a[p->i+1]=='u' ){
    d = headerHex4(p, p->i+2);
    if( d>=0xdc00 && d<=0xdfff ){
      p->i += 6;
      return 0x10000u + (((u32)c-0xd800u)<<10) + ((u32)d-0xdc00u);
    }
  }
  headerFail(p, iStart, "\\u with half a surrogate pair");
  return 0;
}

/* Append c as UTF-8 to p->buf. */
static void headerPutChar(HeaderText *p, u32 c){
  u8 a[4];
  int n;
  if( c<0x80 ){
    a[0] = (u8)c;
    n = 1;
  }else if( c<0x800 ){
    a[0] = (u8)(0xc0|c>>6);
    a[1] = (u8)(0x80|(c&0x3f));
    n = 2;
  }else if( c<0x10000 ){
    a[0] = (u8)(0xe0|c>>12);
    a[1] = (u8)(0x80|(c>>6&0x3f));
    a[2] = (u8)(0x80|(c&0x3f));
    n = 3;
  }else{
    a[0] = (u8)(0xf0|c>>18);
    a[1] = (u8)(0x80|(c>>12&0x3f));
    a[2] = (u8)(0x80|(c>>6&0x3f));
    a[3] = (u8)(0x80|(c&0x3f));
    n = 4;
  }
  prillBufAppend(&p->rc, &p->buf, a, n);
}

/* One escape, its backslash at p->i, appended to p->buf. */
static void headerEscape(HeaderText *p){
  static const char zFrom[] = "\"\\/bfnrt";
  static const char zTo[] = "\"\\/\b\f\n\r\t";
  const char *z;
  u8 c = p->i+1<p->n ? p->a[p->i+1] : 0;
  p->i++;
  if( c=='u' ){
    u32 u = headerUnicode(p);
    if( p->rc==SQLITE_OK ) headerPutChar(p, u);
  }else if( c && (z = strchr(zFrom, (char)c))!=0 ){
    p->i++;
    headerPutChar(p, (u8)zTo[z-zFrom]);
  }else{
    headerFail(p, p->i-1, "unknown escape");
  }
}

/*
** A string at the quote p->i.  *pa points into the text when it has no
** escapes, else into p->buf: good until the next string.
*/
static void headerString(HeaderText *p, const u8 **pa, i64 *pn){
  i64 iStart, iRun;
  int bEscape = 0;
  *pa = 0;
  *pn = 0;
  if( p->rc ) return;
  iStart = iRun = ++p->i;
  p->buf.n = 0;
  while( p->rc==SQLITE_OK ){
    u8 c = p->i<p->n ? p->a[p->i] : 0;
    if( c=='"' ) break;
    if( c=='\\' ){
      bEscape = 1;
      prillBufAppend(&p->rc, &p->buf, p->a+iRun, p->i-iRun);
      headerEscape(p);
      iRun = p->i;
    }else if( c<0x20 ){
      headerFail(p, p->i<p->n ? p->i : iStart-1,
                 p->i<p->n ? "control character in a string"
                           : "string without an end");
    }else{
      p->i++;
    }
  }
  if( bEscape ) prillBufAppend(&p->rc, &p->buf, p->a+iRun, p->i-iRun);
  if( p->rc ) return;
  *pa = bEscape ? p->buf.a : p->a+iStart;
  *pn = bEscape ? p->buf.n : p->i-iStart;
  p->i++;
}

/* The value of a base64 digit, or -1. */
static int headerDigit64(u8 c){
  if( c>='A' && c<='Z' ) return c-'A';
  if( c>='a' && c<='z' ) return c-'a'+26;
  if( c>='0' && c<='9' ) return c-'0'+52;
  if( c=='+' ) return 62;
  if( c=='/' ) return 63;
  return -1;
}

/*
** Decode n characters at z into a, which may be the same place.  Returns the
** bytes written, or -1: RFC 4648 with padding, no blanks, and zero in the
** bits that padding leaves over, so that one value has one text.
*/
static i64 headerFrom64(const u8 *z, i64 n, u8 *a){
  u8 *aStart = a;
  i64 i;
  if( n%4 ) return -1;
  for(i=0; i<n; i+=4){
    int nPad = i+4<n ? 0 : (z[i+3]!='=' ? 0 : z[i+2]!='=' ? 1 : 2);
    int v = 0;
    int k;
    for(k=0; k<4; k++){
      int d = k<4-nPad ? headerDigit64(z[i+k]) : 0;
      if( d<0 ) return -1;
      v = v<<6 | d;
    }
    if( (nPad==1 && (v&0xff)) || (nPad==2 && (v&0xffff)) ) return -1;
    *a++ = (u8)(v>>16);
    if( nPad<2 ) *a++ = (u8)(v>>8);
    if( nPad<1 ) *a++ = (u8)v;
  }
  return a-aStart;
}

/* {"base64":"..."} with its brace at p->i; the bytes are left in p->buf. */
static void headerObject(HeaderText *p, const u8 **pa, i64 *pn){
  const u8 *a;
  i64 n, iPos;
  p->i++;
  iPos = p->i;
  if( headerPeek(p)!='"' ){
    headerFail(p, p->i, "expected \"base64\"");
    return;
  }
  iPos = p->i;
  headerString(p, &a, &n);
  if( p->rc==SQLITE_OK && (n!=6 || memcmp(a, "base64", 6)!=0) ){
    headerFail(p, iPos, "expected \"base64\"");
  }
  headerExpect(p, ':', "expected ':'");
  if( p->rc==SQLITE_OK && headerPeek(p)!='"' ){
    headerFail(p, p->i, "expected a string of base64");
  }
  iPos = p->i;
  headerString(p, &a, &n);
  headerExpect(p, '}', "expected '}'");
  if( p->rc ) return;
  if( a!=p->buf.a ){
    p->buf.n = 0;
    prillBufAppend(&p->rc, &p->buf, a, n);
    if( p->rc ) return;
  }
  if( prillBufRoom(&p->rc, &p->buf, 1)==0 ) return;
  n = headerFrom64(p->buf.a, n, p->buf.a);
  if( n<0 ) headerFail(p, iPos, "malformed base64");
  *pa = p->buf.a;
  *pn = n;
}

/*
** A string, an object or, for a value, null; appended to *pOut as a length
** and its bytes.
*/
static void headerField(HeaderText *p, int bValue, PrillBuf *pOut){
  const u8 *a = 0;
  i64 n = -1;
  u8 c;
  if( p->rc ) return;
  c = headerPeek(p);
  if( c=='"' ){
    headerString(p, &a, &n);
  }else if( c=='{' ){
    headerObject(p, &a, &n);
  }else if( bValue && p->n-p->i>=4 && memcmp(p->a+p->i, "null", 4)==0 ){
    p->i += 4;
  }else{
    headerFail(p, p->i, bValue
               ? "expected a string, null or {\"base64\":\"...\"}"
               : "expected a name, a string");
  }
  if( p->rc==SQLITE_OK ){
    prillBufVarint(&p->rc, pOut, n);
    if( n>0 ) prillBufAppend(&p->rc, pOut, a, n);
  }
}

int prillHeaderFromJson(const char *z, i64 n, PrillBuf *pOut, i32 *pnHdr,
                        char **pzErr){
  HeaderText x;
  i64 iStart = pOut->n;
  i32 nHdr = 0;
  memset(&x, 0, sizeof(x));
  x.a = (const u8*)z;
  x.n = n;
  x.pzErr = pzErr;
  *pzErr = 0;
  *pnHdr = 0;
  headerCheckUtf8(&x);
  headerExpect(&x, '[', "expected '[' of the array of headers");
  if( x.rc==SQLITE_OK && headerPeek(&x)==']' ){
    x.i++;
  }else{
    while( x.rc==SQLITE_OK ){
      headerExpect(&x, '[', "expected '[' of a header, [\"name\",value],");
      headerField(&x, 0, pOut);
      headerExpect(&x, ',', "expected ',' between a header's name and value");
      headerField(&x, 1, pOut);
      headerExpect(&x, ']', "expected ']' after a header's value");
      nHdr++;
      if( headerPeek(&x)!=',' ) break;
      x.i++;
    }
    headerExpect(&x, ']', "expected ',' or ']' after a header");
  }
  if( x.rc==SQLITE_OK && headerPeek(&x)!=0 ){
    headerFail(&x, x.i, "text after the array");
  }
  prillBufFree(&x.buf);
  if( x.rc ){
    pOut->n = iStart;
  }else{
    *pnHdr = nHdr;
  }
  return x.rc;
}

/* a[0..n), UTF-8 without NUL, as a JSON string. */
static void headerPutString(int *pRc, PrillBuf *pOut, const u8 *a, i64 n){
  i64 i, iRun = 0;
  prillBufAppend(pRc, pOut, "\"", 1);
  for(i=0; i<n; i++){
    static const char zFrom[] = "\"\\\b\f\n\r\t";
    static const char zTo[] = "\"\\bfnrt";
    const char *z;
    if( a[i]>=0x20 && a[i]!='"' && a[i]!='\\' ) continue;
    prillBufAppend(pRc, pOut, a+iRun, i-iRun);
    iRun = i+1;
    z = strchr(zFrom, (char)a[i]);
    if( z ){
      char aEsc[2];
      aEsc[0] = '\\';
      aEsc[1] = zTo[z-zFrom];
      prillBufAppend(pRc, pOut, aEsc, 2);
    }else{
      prillBufPrintf(pRc, pOut, "\\u%04x", a[i]);
    }
  }
  prillBufAppend(pRc, pOut, a+iRun, n-iRun);
  prillBufAppend(pRc, pOut, "\"", 1);
}

/* a[0..n) as {"base64":"..."}. */
static void headerPut64(int *pRc, PrillBuf *pOut, const u8 *a, i64 n){
  static const char zDigit[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  u8 *z;
  i64 i;
  prillBufAppend(pRc, pOut, "{\"base64\":\"", 11);
  z = prillBufRoom(pRc, pOut, (n+2)/3*4);
  if( z ){
    for(i=0; i<n; i+=3){
      i64 k = PRILL_MIN(n-i, 3);
      u32 v = (u32)a[i]<<16;
      if( k>1 ) v |= (u32)a[i+1]<<8;
      if( k>2 ) v |= a[i+2];
      *z++ = (u8)zDigit[v>>18];
      *z++ = (u8)zDigit[v>>12&63];
      *z++ = k>1 ? (u8)zDigit[v>>6&63] : '=';
      *z++ = k>2 ? (u8)zDigit[v&63] : '=';
    }
    pOut->n = z-pOut->a;
  }
  prillBufAppend(pRc, pOut, "\"}", 2);
}

/*
** The length and bytes at *pa, which moves on, as JSON.  SQLITE_CORRUPT_VTAB
** when they pass aEnd, or are null in a name.
*/
static void headerPutField(int *pRc, PrillBuf *pOut, const u8 **pa,
                           const u8 *aEnd, int bValue){
  i64 n;
  int k;
  if( *pRc ) return;
  k = prillVarintGet(*pa, aEnd, &n);
  *pa += k;
  if( k==0 || n<-1 || n>aEnd-*pa || (n<0 && !bValue) ){
    *pRc = PRILL_CORRUPT;
  }else if( n<0 ){
    prillBufAppend(pRc, pOut, "null", 4);
  }else{
    if( prillUtf8(*pa, n) ){
      headerPutString(pRc, pOut, *pa, n);
    }else{
      headerPut64(pRc, pOut, *pa, n);
    }
    *pa += n;
  }
}

/*
** n bytes of nHdr headers; SQLITE_CORRUPT_VTAB when they are not exactly that.
*/
int prillHeaderToJson(const u8 *a, i64 n, i32 nHdr, PrillBuf *pOut){
  const u8 *aEnd = n>0 ? a+n : a;
  i64 iStart = pOut->n;
  int rc = SQLITE_OK;
  i32 i;
  prillBufAppend(&rc, pOut, "[", 1);
  for(i=0; i<nHdr && rc==SQLITE_OK; i++){
    prillBufAppend(&rc, pOut, i ? ",[" : "[", i ? 2 : 1);
    headerPutField(&rc, pOut, &a, aEnd, 0);
    prillBufAppend(&rc, pOut, ",", 1);
    headerPutField(&rc, pOut, &a, aEnd, 1);
    prillBufAppend(&rc, pOut, "]", 1);
  }
  prillBufAppend(&rc, pOut, "]", 1);
  if( rc==SQLITE_OK && a!=aEnd ) rc = PRILL_CORRUPT;
  if( rc ) pOut->n = iStart;
  return rc;
}
