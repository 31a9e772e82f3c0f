/*
** log.c: the daemon's log: one line a thing, to standard error.
**
**   2026-01-31T12:00:00.123Z INFO listening on 127.0.0.1:9092
**   {"time":"2026-01-31T12:00:00.123Z","level":"INFO","message":"..."}
**
** Any thread (prilldLogPeer: the loop's); a line is written with one call.
*/
#include "prilld.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define LOG_PEER 20         /* lines a second that clients can cause */

static int logLevel = PRILLD_LOG_INFO;
static int logJson = 0;

void prilldLogInit(int eLevel, int bJson){
  logLevel = eLevel;
  logJson = bJson;
}

/* z as the inside of a JSON string. */
static void logEscape(int *pRc, PrillBuf *p, const char *z){
  for(; *z; z++){
    if( *z=='"' || *z=='\\' ){
      prillBufPrintf(pRc, p, "\\%c", *z);
    }else if( (u8)*z<0x20 ){
      prillBufPrintf(pRc, p, "\\u%04x", *z);
    }else{
      prillBufAppend(pRc, p, z, 1);
    }
  }
}

static void logLine(int eLevel, const char *zFmt, va_list ap){
  static const char *const azLevel[] = {"DEBUG", "INFO", "WARN", "ERROR"};
  struct timespec ts;
  struct tm tm;
  char zTime[40];
  PrillBuf b = {0, 0, 0};
  char *z;
  int rc = SQLITE_OK;
  if( eLevel<logLevel ) return;
  z = sqlite3_vmprintf(zFmt, ap);
  clock_gettime(CLOCK_REALTIME, &ts);
  gmtime_r(&ts.tv_sec, &tm);
  strftime(zTime, sizeof(zTime), "%Y-%m-%dT%H:%M:%S", &tm);
  prillBufPrintf(&rc, &b, logJson ? "{\"time\":\"%s.%03dZ\",\"level\":\"%s\",\"message\":\"" : "%s.%03dZ %s ",
                 zTime, (int)(ts.tv_nsec/1000000), azLevel[eLevel]);
  if( logJson ) logEscape(&rc, &b, z ? z : "out of memory");
  else prillBufPrintf(&rc, &b, "%s", z ? z : "out of memory");
  prillBufPrintf(&rc, &b, "%s\n", logJson ? "\"}" : "");
  if( rc==SQLITE_OK ) fwrite(b.a, 1, (size_t)b.n, stderr);
  prillBufFree(&b);
  sqlite3_free(z);
}

void prilldLog(int eLevel, const char *zFmt, ...){
  va_list ap;
  va_start(ap, zFmt);
  logLine(eLevel, zFmt, ap);
  va_end(ap);
}

void prilldLogPeer(const char *zFmt, ...){
  static time_t iSecond;
  static int nLine, nMore;
  struct timespec ts;
  va_list ap;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  if( ts.tv_sec!=iSecond ){
    if( nMore ) prilldLog(PRILLD_LOG_INFO, "%d more lines about clients were left out", nMore);
    iSecond = ts.tv_sec;
    nLine = nMore = 0;
  }
  if( nLine++>=LOG_PEER ){
    nMore++;
    return;
  }
  va_start(ap, zFmt);
  logLine(PRILLD_LOG_INFO, zFmt, ap);
  va_end(ap);
}
