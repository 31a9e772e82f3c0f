/*
** cmd_group.c: prill group list, describe, reset, delete.
**
** All by SQL on prill_groups, prill_members and prill_offsets, a command in one
** transaction: a group whose members make the library refuse stays as it was.
*/
#include "cmd.h"

/* -o text, the default, or -o json. */
static int groupOutput(const char *z){
  if( z==0 || strcmp(z, "text")==0 ) return 0;
  if( strcmp(z, "json")==0 ) return 1;
  cmdUsage("-o %s: use text or json", z);
}

static void groupPrint(sqlite3_stmt *pStmt, int bJson){
  if( bJson ) cmdPrintJson(pStmt); else cmdPrintTable(pStmt);
}

/* Exits when there is no such group. */
static void groupFind(const char *zGroup){
  sqlite3_stmt *pStmt = cmdPrepare("SELECT 1 FROM prill_groups WHERE group_id=%Q", zGroup);
  if( !cmdStep(pStmt) ) cmdFatal("no such group: %s; prill group list shows them", zGroup);
  cmdFinish(pStmt);
}

int cmdGroupList(const Cmd *p, int nArg, char **azArg){
  const char *zOut = 0;
  const CmdOpt aOpt[] = { {'o', "output", OPT_TEXT, (void*)&zOut} };
  int bJson;
  (void)p;
  CMD_OPTIONS(nArg, azArg, aOpt, 0, 0);
  bJson = groupOutput(zOut);
  cmdOpen(CMD_READ);
  groupPrint(cmdPrepare("SELECT group_id AS \"group\", kind, state, members, (SELECT sum(lag) FROM prill_offsets AS o"
                        " WHERE o.group_id=g.group_id) AS lag, problem FROM prill_groups AS g ORDER BY 1"), bJson);
  return 0;
}

int cmdGroupDescribe(const Cmd *p, int nArg, char **azArg){
  const char *zOut = 0;
  const CmdOpt aOpt[] = { {'o', "output", OPT_TEXT, (void*)&zOut} };
  int bJson;
  (void)p;
  CMD_OPTIONS(nArg, azArg, aOpt, 1, 1);
  bJson = groupOutput(zOut);
  cmdOpen(CMD_READ);
  cmdExec("BEGIN");
  groupFind(azArg[0]);
  groupPrint(cmdPrepare("SELECT group_id AS \"group\", kind, state, generation, assignor, members, problem"
                        " FROM prill_groups WHERE group_id=%Q", azArg[0]), bJson);
  if( !bJson ) puts("");
  groupPrint(cmdPrepare("SELECT member_id AS member, instance_id AS instance, client_id AS client, process,"
                        " round((julianday('now')-2440587.5)*86400.0-last_poll/1000.0,1) AS idle, awaited,"
                        " assignment"
                        " FROM prill_members WHERE group_id=%Q ORDER BY 1", azArg[0]), bJson);
  if( !bJson ) puts("");
  groupPrint(cmdPrepare("SELECT topic, partition, committed_offset AS committed, log_end_offset AS end, lag,"
                        " round(lag_seconds,1) AS seconds FROM prill_offsets WHERE group_id=%Q ORDER BY 1, 2",
                        azArg[0]), bJson);
  cmdExec("COMMIT");
  return 0;
}

int cmdGroupReset(const Cmd *p, int nArg, char **azArg){
  const char *zTo = 0;
  i64 iPart = -1, iOff = 0;
  const CmdOpt aOpt[] = {
    {0, "to", OPT_TEXT, (void*)&zTo},
    {'p', "partition", OPT_INT, &iPart},
  };
  char *zPart, *zExpr;
  int nPart;
  (void)p;
  CMD_OPTIONS(nArg, azArg, aOpt, 2, 2);
  if( zTo==0 ) cmdUsage("where to? Say --to earliest, --to latest or --to OFFSET");
  if( strcmp(zTo, "earliest")==0 ){
    zExpr = cmdPrintf("log_start_offset");
  }else if( strcmp(zTo, "latest")==0 ){
    zExpr = cmdPrintf("log_end_offset");
  }else if( cmdInt(zTo, &iOff) && iOff>=0 ){
    zExpr = cmdPrintf("%lld", iOff);
  }else{
    cmdUsage("--to %s: use earliest, latest or an offset", zTo);
  }
  zPart = iPart<0 ? cmdPrintf("") : cmdPrintf(" AND partition=%lld", iPart);
  cmdOpen(CMD_WRITE);
  cmdExec("BEGIN IMMEDIATE");
  nPart = cmdTopicFind(azArg[1], 0);
  if( iPart>=nPart ) cmdFatal("topic %s has no partition %lld: it has %d, numbered from 0", azArg[1], iPart, nPart);
  cmdExec("DELETE FROM prill_offsets WHERE group_id=%Q AND topic=%Q%s", azArg[0], azArg[1], zPart);
  cmdExec("INSERT INTO prill_offsets(group_id, topic, partition, committed_offset) SELECT %Q, topic, partition, %s"
          " FROM prill_partitions WHERE topic=%Q%s", azArg[0], zExpr, azArg[1], zPart);
  cmdExec("COMMIT");
  sqlite3_free(zPart);
  sqlite3_free(zExpr);
  return 0;
}

int cmdGroupDelete(const Cmd *p, int nArg, char **azArg){
  int i;
  (void)p;
  nArg = cmdOptions(nArg, azArg, 0, 0, 1, 1000000);
  cmdOpen(CMD_WRITE);
  cmdExec("BEGIN IMMEDIATE");
  for(i=0; i<nArg; i++){
    groupFind(azArg[i]);
    cmdExec("DELETE FROM prill_groups WHERE group_id=%Q", azArg[i]);
  }
  cmdExec("COMMIT");
  return 0;
}
