/*
** conf.c: the daemon's settings: command line, and Kafka's names for them.
**
**   prilld [OPTION]... FILE
**
** --set NAME=VALUE sets what Kafka calls so in server.properties; --config FILE
** reads a file of such lines.  The command line has the last word, wherever
** --config stands in it.
*/
#include "prilld.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct ConfDef ConfDef;
struct ConfDef {
  const char *zName;
  size_t iField;
  i64 iDefault, iMin, iMax;
  u8 bBool;
  u8 bFixed;                /* a reload does not change it */
};
#define CONF_LINE 4096      /* longest line of a file */
#define CONF(X) offsetof(PrilldConf, X)
#define CONF_INT 2147483647
static const ConfDef aConf[] = {
  {"auto.create.topics.enable", CONF(bAutoCreate), 1, 0, 1, 1, 0},
  {"connections.max.idle.ms", CONF(msIdle), 600000, 1, PRILL_I64MAX, 0, 0},
  {"delete.topic.enable", CONF(bDeleteTopic), 1, 0, 1, 1, 0},
  {"fetch.max.bytes", CONF(szFetch), 57671680, 1024, CONF_INT, 0, 0},
  {"group.initial.rebalance.delay.ms", CONF(msRebalanceDelay), 3000, 0, CONF_INT, 0, 0},
  {"group.max.session.timeout.ms", CONF(msMaxSession), 1800000, 0, CONF_INT, 0, 0},
  {"group.max.size", CONF(nMaxGroup), CONF_INT, 1, CONF_INT, 0, 0},
  {"group.min.session.timeout.ms", CONF(msMinSession), 6000, 0, CONF_INT, 0, 0},
  {"log.retention.check.interval.ms", CONF(msUpkeep), 300000, 1, CONF_INT, 0, 1},
  {"max.connections", CONF(nConn), 20000, 1, CONF_INT, 0, 0},
  {"max.connections.per.ip", CONF(nConnAddr), CONF_INT, 1, CONF_INT, 0, 0},
  {"max.in.flight.requests.per.connection", CONF(nFlight), 256, 1, 100000, 0, 0},
  {"node.id", CONF(iNode), 1, 0, CONF_INT, 0, 1},
  {"num.partitions", CONF(nPartitions), 1, 1, 10000, 0, 0},
  {"offset.metadata.max.bytes", CONF(szMetadata), 4096, 0, CONF_INT, 0, 0},
  {"queued.max.request.bytes", CONF(szHeld), 268435456, 1048576, PRILL_I64MAX, 0, 0},
  {"queued.max.request.bytes.per.connection", CONF(szConn), 16777216, 65536, PRILL_I64MAX, 0, 0},
  {"quota.consumer.default", CONF(aQuota[1]), PRILL_I64MAX, 1, PRILL_I64MAX, 0, 0},
  {"quota.producer.default", CONF(aQuota[0]), PRILL_I64MAX, 1, PRILL_I64MAX, 0, 0},
  {"quota.window.num", CONF(nQuotaWindow), 11, 2, 60, 0, 0},
  {"quota.window.size.seconds", CONF(sQuotaWindow), 1, 1, 3600, 0, 0},
  {"socket.receive.buffer.bytes", CONF(szRecvBuf), -1, -1, CONF_INT, 0, 0},
  {"socket.request.max.bytes", CONF(szRequest), 104857600, 1024, 1073741824, 0, 0},
  {"socket.send.buffer.bytes", CONF(szSendBuf), -1, -1, CONF_INT, 0, 0},
};
#define CONF_N ((int)(sizeof(aConf)/sizeof(aConf[0])))

static i64 *confField(PrilldConf *p, const ConfDef *pDef){
  return (i64*)((char*)p + pDef->iField);
}

void prilldConfDefault(PrilldConf *p){
  int i;
  memset(p, 0, sizeof(*p));
  for(i=0; i<CONF_N; i++) *confField(p, &aConf[i]) = aConf[i].iDefault;
  p->eLog = PRILLD_LOG_INFO;
}

void prilldConfFree(PrilldConf *p){
  sqlite3_free(p->zDb);
  p->zDb = 0;
}

static int confFail(char **pzErr, const char *zFmt, const char *zArg){
  *pzErr = sqlite3_mprintf(zFmt, zArg);
  return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM;
}

int prilldConfAddr(const char *z, PrilldAddr *p, char **pzErr){
  const char *zColon, *zHost, *zScheme = strstr(z, "://");
  char *zEnd = 0;
  size_t nHost;
  long iPort;
  if( zScheme ){
    if( strncmp(z, "PLAINTEXT://", 12)!=0 ) return confFail(pzErr, "%s: only PLAINTEXT:// is served", z);
    z = zScheme+3;
  }
  zColon = strrchr(z, ':');
  if( zColon==0 || zColon[1]==0 ) return confFail(pzErr, "%s is no address; write HOST:PORT or [IPV6]:PORT", z);
  zHost = z;
  nHost = (size_t)(zColon-z);
  if( nHost>1 && z[0]=='[' && zColon[-1]==']' ){
    zHost++;
    nHost -= 2;
  }
  iPort = strtol(zColon+1, &zEnd, 10);
  if( *zEnd || iPort<0 || iPort>65535 || nHost>=sizeof(p->zHost) ){
    return confFail(pzErr, "%s is no address; write HOST:PORT or [IPV6]:PORT", z);
  }
  memcpy(p->zHost, zHost, nHost);
  p->zHost[nHost] = 0;
  p->iPort = (int)iPort;
  return SQLITE_OK;
}

/* A list of addresses, commas between. */
static int confAddrs(const char *z, PrilldAddr *a, int *pn, char **pzErr){
  while( *z ){
    size_t n = strcspn(z, ",");
    char *zOne = sqlite3_mprintf("%.*s", (int)n, z);
    int rc;
    if( zOne==0 ) return SQLITE_NOMEM;
    if( *pn>=PRILLD_MX_LISTEN ) rc = confFail(pzErr, "%s: too many addresses", zOne);
    else rc = prilldConfAddr(zOne, &a[*pn], pzErr);
    sqlite3_free(zOne);
    if( rc!=SQLITE_OK ) return rc;
    (*pn)++;
    z += n + (z[n]==',');
  }
  return SQLITE_OK;
}

int prilldConfSet(PrilldConf *p, const char *zName, const char *zVal, char **pzErr){
  int i;
  *pzErr = 0;
  if( strcmp(zName, "listeners")==0 ){
    p->nListen = 0;
    return confAddrs(zVal, p->aListen, &p->nListen, pzErr);
  }
  if( strcmp(zName, "advertised.listeners")==0 ){
    p->nAdvertise = 0;
    return confAddrs(zVal, p->aAdvertise, &p->nAdvertise, pzErr);
  }
  if( strcmp(zName, "metrics.listener")==0 ){
    p->nMetrics = 0;
    return confAddrs(zVal, p->aMetrics, &p->nMetrics, pzErr);
  }
  if( strcmp(zName, "broker.id")==0 ) zName = "node.id";
  for(i=0; i<CONF_N; i++){
    const ConfDef *pDef = &aConf[i];
    char *zEnd = 0;
    i64 v;
    if( strcmp(pDef->zName, zName)!=0 ) continue;
    if( pDef->bBool ){
      if( strcmp(zVal, "true")!=0 && strcmp(zVal, "false")!=0 ){
        *pzErr = sqlite3_mprintf("%s must be true or false", zName);
        return SQLITE_ERROR;
      }
      v = zVal[0]=='t';
    }else{
      v = strtoll(zVal, &zEnd, 10);
      if( *zVal==0 || *zEnd || v<pDef->iMin || v>pDef->iMax ){
        *pzErr = sqlite3_mprintf("%s must be a whole number from %lld to %lld", zName, pDef->iMin, pDef->iMax);
        return SQLITE_ERROR;
      }
    }
    *confField(p, pDef) = v;
    return SQLITE_OK;
  }
  return confFail(pzErr, "no setting is named %s", zName);
}

const char *prilldConfName(const PrilldConf *p, int i, char *zVal, int *pbDefault){
  i64 v;
  if( i>=CONF_N ) return 0;
  v = *confField((PrilldConf*)(size_t)p, &aConf[i]);
  if( aConf[i].bBool ) sqlite3_snprintf(24, zVal, "%s", v ? "true" : "false");
  else sqlite3_snprintf(24, zVal, "%lld", v);
  *pbDefault = v==aConf[i].iDefault;
  return aConf[i].zName;
}

/**************************************************************************
** The command line.
*/
static void confUsage(FILE *f){
  fputs("Usage: prilld [OPTION]... FILE\n"
        "Serve the store in the SQLite database FILE to Kafka's clients.\n\n"
        "  --listen HOST:PORT       listen there [127.0.0.1:9092]; may be given again; port 0: any\n"
        "  --advertise HOST:PORT    what clients are told to connect to, for each --listen\n"
        "  --metrics HOST:PORT      a page for Prometheus: http://HOST:PORT/metrics\n"
        "  --config FILE            settings, a line each, as in Kafka's server.properties; SIGHUP reads it again\n"
        "  --set NAME=VALUE         a setting by its name in Kafka's server.properties\n"
        "  --insecure-public        listen beyond this host, though nobody is asked who he is\n"
        "  --log-level LEVEL        debug, info, warn or error [info]\n"
        "  --log-json               log lines as JSON objects\n"
        "  --version, --help\n", f);
}

static int confBad(const char *zFmt, const char *zArg){
  char *z = sqlite3_mprintf(zFmt, zArg);
  fprintf(stderr, "prilld: %s\n", z ? z : "out of memory");
  sqlite3_free(z);
  return 2;
}

static int confOption(PrilldConf *p, const char *zOpt, const char *zArg){
  static const char *const azLevel[] = {"debug", "info", "warn", "error"};
  char *zErr = 0;
  int rc = SQLITE_OK, i;
  if( strcmp(zOpt, "--config")==0 ) return PRILLD_ARGS_RUN;     /* confFile's */
  if( strcmp(zOpt, "--listen")==0 ){
    if( !p->bListenArg ) p->nListen = 0;
    p->bListenArg = 1;
    rc = confAddrs(zArg, p->aListen, &p->nListen, &zErr);
  }else if( strcmp(zOpt, "--advertise")==0 ){
    if( !p->bAdvertiseArg ) p->nAdvertise = 0;
    p->bAdvertiseArg = 1;
    rc = confAddrs(zArg, p->aAdvertise, &p->nAdvertise, &zErr);
  }else if( strcmp(zOpt, "--metrics")==0 ){
    p->nMetrics = 0;
    rc = confAddrs(zArg, p->aMetrics, &p->nMetrics, &zErr);
  }else if( strcmp(zOpt, "--set")==0 ){
    const char *zEq = strchr(zArg, '=');
    char *zName = zEq ? sqlite3_mprintf("%.*s", (int)(zEq-zArg), zArg) : 0;
    if( zName==0 ) return confBad("--set %s: write NAME=VALUE", zArg);
    rc = prilldConfSet(p, zName, zEq+1, &zErr);
    sqlite3_free(zName);
  }else{
    for(i=0; i<4 && strcmp(zArg, azLevel[i])!=0; i++){}
    if( i==4 ) return confBad("--log-level %s: use debug, info, warn or error", zArg);
    p->eLog = i;
  }
  if( rc!=SQLITE_OK ){
    i = confBad("%s", zErr ? zErr : "out of memory");
    sqlite3_free(zErr);
    return i;
  }
  return PRILLD_ARGS_RUN;
}

/* One line of the file: nothing, a comment, or NAME=VALUE.  The line is cut up. */
static int confLine(PrilldConf *p, char *z, char **pzErr){
  char *zEq, *zEnd;
  *pzErr = 0;
  z += strspn(z, " \t\r\n");
  if( *z==0 || *z=='#' || *z=='!' ) return SQLITE_OK;
  zEnd = z + strlen(z);
  while( strchr(" \t\r\n", zEnd[-1]) ) *--zEnd = 0;
  zEq = strchr(z, '=');
  if( zEq==0 ) return confFail(pzErr, "%s: write NAME=VALUE", z);
  for(zEnd=zEq; zEnd>z && (zEnd[-1]==' ' || zEnd[-1]=='\t'); zEnd--){}
  *zEnd = 0;
  zEq++;
  return prilldConfSet(p, z, zEq+strspn(zEq, " \t"), pzErr);
}

static int confFile(PrilldConf *p, const char *zFile){
  FILE *f = fopen(zFile, "r");
  char zLine[CONF_LINE];
  char *zErr = 0;
  int n = 0, rc = SQLITE_OK;
  if( f==0 ) return confBad("%s cannot be read; check --config and its permissions", zFile);
  while( rc==SQLITE_OK && fgets(zLine, sizeof(zLine), f) ){
    n++;
    if( strchr(zLine, '\n')==0 && !feof(f) ) rc = confFail(&zErr, "a line is longer than %s bytes", "4095");
    else rc = confLine(p, zLine, &zErr);
  }
  if( rc==SQLITE_OK && ferror(f) ) rc = confFail(&zErr, "%s", "cannot be read");
  fclose(f);
  if( rc!=SQLITE_OK ) fprintf(stderr, "prilld: %s:%d: %s\n", zFile, n, zErr ? zErr : "out of memory");
  sqlite3_free(zErr);
  return rc==SQLITE_OK ? PRILLD_ARGS_RUN : 2;
}

void prilldConfReload(PrilldConf *p){
  PrilldConf conf;
  int i;
  prilldConfDefault(&conf);
  if( prilldConfArgs(&conf, p->argc, p->argv)!=PRILLD_ARGS_RUN ){
    prilldLog(PRILLD_LOG_ERROR, "the settings are left as they were: see the line above");
  }else{
    int bFixed = conf.nListen!=p->nListen || conf.nAdvertise!=p->nAdvertise || conf.nMetrics!=p->nMetrics;
    for(i=0; i<CONF_N; i++){
      if( !aConf[i].bFixed ) *confField(p, &aConf[i]) = *confField(&conf, &aConf[i]);
      else if( *confField(p, &aConf[i])!=*confField(&conf, &aConf[i]) ) bFixed = 1;
    }
    for(i=0; i<conf.nListen && !bFixed; i++){
      bFixed = strcmp(conf.aListen[i].zHost, p->aListen[i].zHost)!=0 || conf.aListen[i].iPort!=p->aListen[i].iPort;
    }
    for(i=0; i<conf.nAdvertise && !bFixed; i++){
      bFixed = strcmp(conf.aAdvertise[i].zHost, p->aAdvertise[i].zHost)!=0
            || conf.aAdvertise[i].iPort!=p->aAdvertise[i].iPort;
    }
    prilldLog(PRILLD_LOG_INFO, "settings read again");
    if( bFixed ){
      prilldLog(PRILLD_LOG_WARN, "listeners, advertised.listeners, metrics.listener, node.id and"
                " log.retention.check.interval.ms change at the next start");
    }
  }
  prilldConfFree(&conf);
}

int prilldConfArgs(PrilldConf *p, int argc, char **argv){
  static const char *const azWithArg[] = {
    "--listen", "--advertise", "--metrics", "--set", "--log-level", "--config"
  };
  int i;
  p->argc = argc;
  p->argv = argv;
  for(i=1; i+1<argc; i++){
    int rc;
    if( strcmp(argv[i], "--config")!=0 ) continue;
    rc = confFile(p, argv[++i]);
    if( rc!=PRILLD_ARGS_RUN ) return rc;
  }
  for(i=1; i<argc; i++){
    const char *z = argv[i];
    int j, rc;
    if( z[0]!='-' ){
      if( p->zDb ) return confBad("one database only; what is %s?", z);
      p->zDb = sqlite3_mprintf("%s", z);
      continue;
    }
    if( strcmp(z, "--help")==0 ){
      confUsage(stdout);
      return 0;
    }
    if( strcmp(z, "--version")==0 ){
      printf("prilld %s\n", PRILL_VERSION);
      return 0;
    }
    if( strcmp(z, "--insecure-public")==0 ){
      p->bInsecurePublic = 1;
      continue;
    }
    if( strcmp(z, "--log-json")==0 ){
      p->bLogJson = 1;
      continue;
    }
    for(j=0; j<6 && strcmp(z, azWithArg[j])!=0; j++){}
    if( j==6 ) return confBad("unknown option %s; prilld --help lists them", z);
    if( i+1>=argc ) return confBad("%s needs an argument", z);
    rc = confOption(p, z, argv[++i]);
    if( rc!=PRILLD_ARGS_RUN ) return rc;
  }
  if( p->zDb==0 ){
    confUsage(stderr);
    return 2;
  }
  if( p->nListen==0 ){
    strcpy(p->aListen[0].zHost, "127.0.0.1");
    p->aListen[0].iPort = 9092;
    p->nListen = 1;
  }
  return PRILLD_ARGS_RUN;
}
