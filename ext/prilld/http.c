/*
** http.c: the one page for Prometheus, over as little HTTP as it takes.
**
** GET /metrics is answered with the page (metrics.c), anything else with an
** error; then the connection is closed.  Nothing of a request matters but its
** first line.
**
**   I1  At most HTTP_MX connections, HTTP_REQUEST bytes of a request, HTTP_MS from
**       taking a connection to closing it.
**   I2  A connection's struct lives until its handle is closed and its write is back.
*/
#include "loop.h"

#define HTTP_MX 8
#define HTTP_REQUEST 4096
#define HTTP_MS 5000

typedef struct HttpConn HttpConn;
struct HttpConn {
  uv_tcp_t tcp;
  uv_write_t write;
  PrilldLoop *pLoop;
  Prilld *pD;
  HttpConn *pNext;
  i64 iDue;                 /* ms */
  u8 bWriting, bClosed;
  int n;                    /* bytes of the request */
  char z[HTTP_REQUEST];
  PrillBuf out;
};

static void httpFree(HttpConn *p){
  if( !p->bClosed || p->bWriting ) return;
  prillBufFree(&p->out);
  sqlite3_free(p);
}

static void httpOnClose(uv_handle_t *pHandle){
  HttpConn *p = (HttpConn*)pHandle->data;
  p->bClosed = 1;
  httpFree(p);
}

/* The client sees it at once, so its place is free at once. */
static void httpClose(HttpConn *p){
  HttpConn **pp;
  if( uv_is_closing((uv_handle_t*)&p->tcp) ) return;
  for(pp=(HttpConn**)&p->pLoop->pHttp; *pp && *pp!=p; pp=&(*pp)->pNext){}
  if( *pp ){
    *pp = p->pNext;
    p->pLoop->nHttp--;
  }
  uv_close((uv_handle_t*)&p->tcp, httpOnClose);
}

static void httpOnWrite(uv_write_t *pWrite, int status){
  HttpConn *p = (HttpConn*)pWrite->data;
  (void)status;
  p->bWriting = 0;
  if( p->bClosed ) httpFree(p);
  else httpClose(p);
}

/* The answer to what has come. */
static void httpAnswer(HttpConn *p){
  PrillBuf page = {0, 0, 0};
  const char *zStatus = "200 OK", *zText = 0;
  const char *zPath = strchr(p->z, ' ');
  size_t nPath = zPath ? strcspn(zPath+1, " ?\r\n") : 0;
  uv_buf_t buf;
  int bHead = strncmp(p->z, "HEAD ", 5)==0;
  int rc = SQLITE_OK;
  if( strncmp(p->z, "GET ", 4)!=0 && !bHead ){
    zStatus = "405 Method Not Allowed";
    zText = "GET /metrics is all that is served here\n";
  }else if( nPath!=8 || memcmp(zPath+1, "/metrics", 8)!=0 ){
    zStatus = "404 Not Found";
    zText = "the page is /metrics\n";
  }else if( prilldMetricsPage(p->pD, &page)!=SQLITE_OK ){
    zStatus = "503 Service Unavailable";
    zText = "out of memory\n";
  }
  if( zText ){
    page.n = 0;
    prillBufAppend(&rc, &page, zText, (i64)strlen(zText));
  }
  prillBufPrintf(&rc, &p->out, "HTTP/1.1 %s\r\nContent-Type: %s; charset=utf-8\r\nContent-Length: %lld\r\n"
                 "Connection: close\r\n\r\n", zStatus, zText ? "text/plain" : "text/plain; version=0.0.4", page.n);
  if( !bHead ) prillBufAppend(&rc, &p->out, page.a, page.n);
  prillBufFree(&page);
  uv_read_stop((uv_stream_t*)&p->tcp);
  buf = uv_buf_init((char*)p->out.a, (unsigned int)p->out.n);
  p->write.data = p;
  p->bWriting = 1;
  if( rc!=SQLITE_OK || uv_write(&p->write, (uv_stream_t*)&p->tcp, &buf, 1, httpOnWrite)!=0 ){
    p->bWriting = 0;
    httpClose(p);
  }
}

static void httpAlloc(uv_handle_t *pHandle, size_t nHint, uv_buf_t *pBuf){
  HttpConn *p = (HttpConn*)pHandle->data;
  (void)nHint;
  *pBuf = uv_buf_init(p->z+p->n, (unsigned int)(HTTP_REQUEST-1-p->n));
}

static void httpOnRead(uv_stream_t *pStream, ssize_t n, const uv_buf_t *pBuf){
  HttpConn *p = (HttpConn*)pStream->data;
  (void)pBuf;
  if( n==0 ) return;
  if( n<0 || memchr(p->z+p->n, 0, (size_t)n) ){
    httpClose(p);
    return;
  }
  p->n += (int)n;
  p->z[p->n] = 0;
  if( strstr(p->z, "\r\n\r\n") || strstr(p->z, "\n\n") ){
    prilldLoopNow(p->pD);
    httpAnswer(p);
  }else if( p->n>=HTTP_REQUEST-1 ){
    httpClose(p);
  }
}

static void httpOnConnection(uv_stream_t *pServer, int status){
  Prilld *pD = (Prilld*)pServer->data;
  PrilldLoop *pLoop = (PrilldLoop*)pD->pLoop;
  HttpConn *p = status==0 ? (HttpConn*)sqlite3_malloc64(sizeof(*p)) : 0;
  if( p==0 ) return;
  memset(p, 0, sizeof(*p));
  p->pD = pD;
  p->pLoop = pLoop;
  uv_tcp_init(&pLoop->uv, &p->tcp);
  p->tcp.data = p;
  if( uv_accept(pServer, (uv_stream_t*)&p->tcp)!=0 || pLoop->nHttp>=HTTP_MX || pD->bStopping ){
    httpClose(p);
    return;
  }
  prilldLoopNow(pD);
  p->iDue = pD->now + HTTP_MS;
  p->pNext = (HttpConn*)pLoop->pHttp;
  pLoop->pHttp = p;
  pLoop->nHttp++;
  if( uv_read_start((uv_stream_t*)&p->tcp, httpAlloc, httpOnRead)!=0 ) httpClose(p);
}

void prilldHttpTick(PrilldLoop *pLoop, i64 now){
  HttpConn *p, *pNext;
  for(p=(HttpConn*)pLoop->pHttp; p; p=pNext){
    pNext = p->pNext;
    if( now>=p->iDue ) httpClose(p);
  }
}

int prilldHttpStart(Prilld *pD){
  PrilldLoop *pLoop = (PrilldLoop*)pD->pLoop;
  if( pD->conf.nMetrics==0 ) return SQLITE_OK;
  pLoop->http.data = pD;
  return prilldLoopListen(pD, &pLoop->http, &pD->conf.aMetrics[0], httpOnConnection);
}

void prilldHttpStop(PrilldLoop *pLoop){
  prilldHttpTick(pLoop, PRILL_I64MAX);
  if( pLoop->http.data && !uv_is_closing((uv_handle_t*)&pLoop->http) ) uv_close((uv_handle_t*)&pLoop->http, 0);
}
