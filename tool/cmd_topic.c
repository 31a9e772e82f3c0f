/*
** cmd_topic.c: prill topic create, list, describe, alter, delete; check.
*/
#include "cmd.h"

/* -o text, the default, or -o json. */
static int topicOutput(const char *z){
  if( z==0 || strcmp(z, "text")==0 ) return 0;
  if( strcmp(z, "json")==0 ) return 1;
  cmdUsage("-o %s: use text or json", z);
}

/* Split NAME=VALUE: *pzVal is set past the '='; returns the name. */
static char *topicSetting(const char *z, const char **pzVal){
  size_t n = strcspn(z, "=");
  size_t i;
  if( z[n]==0 || n==0 ) cmdUsage("--config %s: write NAME=VALUE", z);
  for(i=0; i<n; i++){
    if( strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._", z[i])==0 ){
      cmdUsage("--config %s: a setting's name has only letters, digits, . and _", z);
    }
  }
  *pzVal = z+n+1;
  return cmdPrintf("%.*s", (int)n, z);
}

int cmdTopicFind(const char *zTopic, char **pzDoor){
  sqlite3_stmt *pStmt = cmdPrepare("SELECT partitions, door FROM prill_topics WHERE name=%Q", zTopic);
  int n;
  if( !cmdStep(pStmt) ) cmdFatal("no such topic: %s; prill topic create %s makes it", zTopic, zTopic);
  n = sqlite3_column_int(pStmt, 0);
  if( pzDoor ){
    const char *z = (const char*)sqlite3_column_text(pStmt, 1);
    *pzDoor = z ? cmdPrintf("%s", z) : 0;
  }
  cmdFinish(pStmt);
  return n;
}

/* The topic alone, through prill_topics. */
static void topicInsert(const char *zName, i64 nPart, const CmdList *pConfig, int bIfNot){
  char *zJson = cmdPrintf("{}");
  sqlite3_stmt *pStmt;
  int i;
  for(i=0; i<pConfig->n; i++){
    const char *zVal;
    char *zSetting = topicSetting(pConfig->az[i], &zVal);
    pStmt = cmdPrepare("SELECT json_patch(%Q, json_object(%Q, %Q))", zJson, zSetting, zVal);
    cmdStep(pStmt);
    sqlite3_free(zJson);
    zJson = cmdPrintf("%s", sqlite3_column_text(pStmt, 0));
    cmdFinish(pStmt);
    sqlite3_free(zSetting);
  }
  cmdExec("INSERT %sINTO prill_topics(name, partitions, config) VALUES(%Q,%lld,%Q)",
          bIfNot ? "OR IGNORE " : "", zName, nPart, zJson);
  sqlite3_free(zJson);
}

/* The topic and a table of its name. */
static void topicTable(const char *zName, i64 nPart, const CmdList *pConfig, int bIfNot){
  char *zArgs = cmdPrintf("partitions=%lld", nPart);
  int i;
  for(i=0; i<pConfig->n; i++){
    const char *zVal;
    char *zSetting = topicSetting(pConfig->az[i], &zVal);
    char *z = cmdPrintf("%s, %s=%Q", zArgs, zSetting, zVal);
    sqlite3_free(zSetting);
    sqlite3_free(zArgs);
    zArgs = z;
  }
  cmdExec("CREATE VIRTUAL TABLE %smain.\"%w\" USING topic(%s)", bIfNot ? "IF NOT EXISTS " : "", zName, zArgs);
  sqlite3_free(zArgs);
}

int cmdTopicCreate(const Cmd *p, int nArg, char **azArg){
  i64 nPart = 1;
  CmdList config = {0, 0};
  int bNoTable = 0, bIfNot = 0, i;
  const CmdOpt aOpt[] = {
    {'p', "partitions", OPT_INT, &nPart},
    {'c', "config", OPT_LIST, &config},
    {0, "no-table", OPT_FLAG, &bNoTable},
    {0, "if-not-exists", OPT_FLAG, &bIfNot},
  };
  (void)p;
  CMD_OPTIONS(nArg, azArg, aOpt, 1, 1);
  for(i=0; i<config.n; i++){
    const char *zVal;
    sqlite3_free(topicSetting(config.az[i], &zVal));
  }
  cmdOpen(CMD_CREATE);
  if( bNoTable ) topicInsert(azArg[0], nPart, &config, bIfNot);
  else topicTable(azArg[0], nPart, &config, bIfNot);
  sqlite3_free((void*)config.az);
  return 0;
}

int cmdTopicList(const Cmd *p, int nArg, char **azArg){
  const char *zOut = 0;
  const CmdOpt aOpt[] = { {'o', "output", OPT_TEXT, (void*)&zOut} };
  sqlite3_stmt *pStmt;
  int bJson;
  (void)p;
  CMD_OPTIONS(nArg, azArg, aOpt, 0, 0);
  bJson = topicOutput(zOut);
  cmdOpen(CMD_READ);
  pStmt = cmdPrepare("SELECT name, partitions, records, bytes, config FROM prill_topics ORDER BY name");
  if( bJson ) cmdPrintJson(pStmt); else cmdPrintTable(pStmt);
  return 0;
}

static const char zTopicParts[] =
  "SELECT partition, log_start_offset AS start, log_end_offset AS end, bytes, tail_bytes AS tail,"
  " segments, round(in_rate,1) AS rate FROM prill_partitions WHERE topic=%Q";

/* How fast records come, how evenly, and what consumers must do to keep up: take
** them faster than they come, in the busiest partition too. */
static void topicRates(const char *zTopic){
  sqlite3_stmt *pStmt = cmdPrepare("SELECT round(sum(in_rate),1), round(max(in_rate),1), count(*),"
      " round(max(in_rate)*count(*)/sum(in_rate),1), partition FROM prill_partitions WHERE topic=%Q"
      " HAVING sum(in_rate)>0", zTopic);
  if( cmdStep(pStmt) ){
    printf("\n%s records a second; the busiest partition, %s, has %s, %s times its share.\n",
           sqlite3_column_text(pStmt, 0), sqlite3_column_text(pStmt, 4), sqlite3_column_text(pStmt, 1),
           sqlite3_column_text(pStmt, 3));
    printf("Consumers keep up if each takes more than %s a second; one that takes R needs more than %s/R partitions.\n",
           sqlite3_column_text(pStmt, 1), sqlite3_column_text(pStmt, 0));
  }
  cmdFinish(pStmt);
}

int cmdTopicDescribe(const Cmd *p, int nArg, char **azArg){
  const char *zOut = 0;
  const CmdOpt aOpt[] = { {'o', "output", OPT_TEXT, (void*)&zOut} };
  sqlite3_stmt *pStmt;
  int bJson, i;
  (void)p;
  CMD_OPTIONS(nArg, azArg, aOpt, 1, 1);
  bJson = topicOutput(zOut);
  cmdOpen(CMD_READ);
  cmdExec("BEGIN");
  cmdTopicFind(azArg[0], 0);
  if( bJson ){
    cmdPrintJson(cmdPrepare("SELECT name, topic_id, partitions, config, records, bytes FROM prill_topics"
                            " WHERE name=%Q", azArg[0]));
    cmdPrintJson(cmdPrepare("SELECT * FROM prill_partitions WHERE topic=%Q", azArg[0]));
  }else{
    pStmt = cmdPrepare("SELECT name, topic_id AS id, partitions, records, bytes, door AS \"table\""
                       " FROM prill_topics WHERE name=%Q", azArg[0]);
    cmdStep(pStmt);
    for(i=0; i<6; i++){
      const char *z = (const char*)sqlite3_column_text(pStmt, i);
      printf("%-12s%s\n", sqlite3_column_name(pStmt, i), z ? z : "none");
    }
    cmdFinish(pStmt);
    printf("\n");
    cmdPrintTable(cmdPrepare("SELECT name AS setting, value, source FROM prill_config"
                             " WHERE scope='topic:'||%Q", azArg[0]));
    printf("\n");
    cmdPrintTable(cmdPrepare(zTopicParts, azArg[0]));
    topicRates(azArg[0]);
  }
  cmdExec("COMMIT");
  return 0;
}

int cmdTopicAlter(const Cmd *p, int nArg, char **azArg){
  i64 nPart = 0;
  CmdList config = {0, 0};
  const CmdOpt aOpt[] = {
    {'p', "partitions", OPT_INT, &nPart},
    {'c', "config", OPT_LIST, &config},
  };
  int i;
  (void)p;
  CMD_OPTIONS(nArg, azArg, aOpt, 1, 1);
  if( nPart==0 && config.n==0 ) cmdUsage("nothing to change: give --partitions or --config");
  cmdOpen(CMD_WRITE);
  cmdExec("BEGIN IMMEDIATE");
  cmdTopicFind(azArg[0], 0);
  if( nPart ) cmdExec("UPDATE prill_topics SET partitions=%lld WHERE name=%Q", nPart, azArg[0]);
  for(i=0; i<config.n; i++){
    const char *zVal;
    char *zSetting = topicSetting(config.az[i], &zVal);
    sqlite3_stmt *pStmt = cmdPrepare("SELECT name FROM prill_config WHERE scope='topic:'||%Q"
                                     " AND name=lower(replace(%Q,'_','.'))", azArg[0], zSetting);
    if( !cmdStep(pStmt) ){
      cmdFatal("unknown setting %s; prill topic describe %s lists the settings", zSetting, azArg[0]);
    }
    cmdExec("UPDATE prill_config SET value=%Q WHERE scope='topic:'||%Q AND name=%Q",
            zVal[0] ? zVal : 0, azArg[0], sqlite3_column_text(pStmt, 0));
    cmdFinish(pStmt);
    sqlite3_free(zSetting);
  }
  cmdExec("COMMIT");
  sqlite3_free((void*)config.az);
  return 0;
}

int cmdTopicDelete(const Cmd *p, int nArg, char **azArg){
  int i;
  (void)p;
  nArg = cmdOptions(nArg, azArg, 0, 0, 1, 1000000);
  cmdOpen(CMD_WRITE);
  cmdExec("BEGIN IMMEDIATE");
  for(i=0; i<nArg; i++){
    char *zDoor = 0;
    cmdTopicFind(azArg[i], &zDoor);
    if( zDoor ){
      cmdExec("DROP TABLE main.\"%w\"", zDoor);
      sqlite3_free(zDoor);
    }else{
      cmdExec("DELETE FROM prill_topics WHERE name=%Q", azArg[i]);
    }
  }
  cmdExec("COMMIT");
  /* Their files go now if they can; else with the next prill_maintain(). */
  (void)sqlite3_exec(cmdDb, "SELECT prill_maintain()", 0, 0, 0);
  return 0;
}

int cmdCheck(const Cmd *p, int nArg, char **azArg){
  sqlite3_stmt *pStmt;
  const char *z;
  int bOk;
  (void)p;
  cmdOptions(nArg, azArg, 0, 0, 0, 0);
  cmdOpen(CMD_READ);
  pStmt = cmdPrepare("SELECT prill_check()");
  cmdStep(pStmt);
  z = (const char*)sqlite3_column_text(pStmt, 0);
  if( z==0 ) cmdFatal("out of memory");
  bOk = strcmp(z, "ok")==0;
  printf("%s\n", z);
  cmdFinish(pStmt);
  return bOk ? 0 : 1;
}
