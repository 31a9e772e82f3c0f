/*
** setting.c: a topic's settings by Kafka's names.
**
** The library's own settings (option.c) are the truth; this table adds what a
** Kafka client wants to know of each, and the settings of Kafka that have
** nothing to act on here.  Of those one whose value cannot matter is taken and
** forgotten (FREE); of one that would change what is promised only the default is
** (PLAIN).
*/
#include "admin.h"

#define D PRILLD_TYPE_DOUBLE
#define I PRILLD_TYPE_INT
#define L PRILLD_TYPE_LONG
#define S PRILLD_TYPE_STRING
#define B PRILLD_TYPE_BOOLEAN
#define LIST PRILLD_TYPE_LIST
static const PrilldSetting aSetting[] = {
  {"batch.size", 0, L, 0, 0, "Bytes of records that SQL's INSERT gathers into one batch."},
  {"cleanup.policy", "log.cleanup.policy", LIST, 1, 0, "delete, compact or both: how old records go."},
  {"compression.type", "compression.type", S, 0, 0, "The codec of the log; producer keeps what was sent."},
  {"delete.retention.ms", "log.cleaner.delete.retention.ms", L, 0, 0, "How long a tombstone stays after compaction."},
  {"key", 0, S, 0, 0, "How SQL shows keys: auto, text or blob."},
  {"key.index", 0, B, 0, 0, "Whether segments have an index of keys."},
  {"max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms", L, 0, 0, "The longest a record stays uncompacted."},
  {"max.message.bytes", "message.max.bytes", I, 0, 0, "The largest record batch."},
  {"message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms", L, 0, 0,
   "How far ahead of the clock a record's time may be."},
  {"message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms", L, 0, 0,
   "How far behind the clock a record's time may be."},
  {"message.timestamp.type", "log.message.timestamp.type", S, 0, 0, "CreateTime or LogAppendTime."},
  {"min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio", D, 0, 0,
   "The uncompacted share that starts compaction."},
  {"min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms", L, 0, 0, "The least time a record stays uncompacted."},
  {"min.insync.replicas", "min.insync.replicas", I, 0, 0, "Replicas that acks=all waits for: one node has one."},
  {"partitioner", 0, S, 0, 0, "How SQL's INSERT chooses a partition."},
  {"retention.bytes", "log.retention.bytes", L, 0, 0, "Bytes a partition may have, -1 for any number."},
  {"retention.ms", "log.retention.ms", L, 0, 0, "How long records stay, -1 for ever."},
  {"segment.bytes", "log.segment.bytes", I, 0, 0, "The size of a segment file."},
  {"segment.ms", "log.roll.ms", L, 0, 0, "The age at which a segment is sealed."},
  {"value", 0, S, 0, 0, "How SQL shows values: auto, text or blob."},
};
#define SETTING_N ((int)(sizeof(aSetting)/sizeof(aSetting[0])))

/* Settings of Kafka's that prill has nothing for. */
typedef struct ConfigNone ConfigNone;
struct ConfigNone { PrilldSetting s; const char *zDefault; u8 bFree; };
#define FREE 1
#define PLAIN 0
static const ConfigNone aNone[] = {
  {{"file.delete.delay.ms", "log.segment.delete.delay.ms", L, 0, 1, "No effect."}, "60000", FREE},
  {{"flush.messages", "log.flush.interval.messages", L, 0, 1, "No effect: the store's flush setting rules."},
   "9223372036854775807", FREE},
  {{"flush.ms", "log.flush.interval.ms", L, 0, 1, "No effect: the store's flush setting rules."},
   "9223372036854775807", FREE},
  {{"follower.replication.throttled.replicas", 0, LIST, 0, 1, "No effect: one node."}, "", FREE},
  {{"index.interval.bytes", "log.index.interval.bytes", I, 0, 1, "No effect."}, "4096", FREE},
  {{"leader.replication.throttled.replicas", 0, LIST, 0, 1, "No effect: one node."}, "", FREE},
  {{"message.downconversion.enable", "log.message.downconversion.enable", B, 0, 1, "No effect."}, "true", FREE},
  {{"preallocate", "log.preallocate", B, 0, 1, "No effect."}, "false", FREE},
  {{"remote.storage.enable", 0, B, 0, 1, "There is no remote storage."}, "false", PLAIN},
  {{"segment.index.bytes", "log.index.size.max.bytes", I, 0, 1, "No effect."}, "10485760", FREE},
  {{"segment.jitter.ms", "log.roll.jitter.ms", L, 0, 1, "No effect."}, "0", FREE},
  {{"unclean.leader.election.enable", "unclean.leader.election.enable", B, 0, 1, "One node elects no leader."},
   "false", PLAIN},
};
#define NONE_N ((int)(sizeof(aNone)/sizeof(aNone[0])))

const PrilldSetting *prilldSetting(int i){
  if( i<0 || i>=SETTING_N+NONE_N ) return 0;
  return i<SETTING_N ? &aSetting[i] : &aNone[i-SETTING_N].s;
}

/* The library's number of a setting. */
static int configOwn(const char *zName){
  int i;
  for(i=0; prillConfigName(i) && strcmp(prillConfigName(i), zName)!=0; i++){}
  return i;
}

void prilldSettingValue(int *pRc, const PrillConfig *p, int i, PrillBuf *pBuf, int *pbDefault){
  if( i<SETTING_N ){
    prillConfigValue(pRc, p, configOwn(aSetting[i].zName), pBuf, pbDefault);
  }else{
    const char *z = aNone[i-SETTING_N].zDefault;
    pBuf->n = 0;
    prillBufAppend(pRc, pBuf, z, (i64)strlen(z)+1);
    if( *pRc==SQLITE_OK ) pBuf->n--;
    *pbDefault = 1;
  }
}

static int configFail(char **pzErr, const char *zFmt, const char *zName, const char *zVal){
  *pzErr = sqlite3_mprintf(zFmt, zName, zVal);
  return *pzErr ? SQLITE_ERROR : SQLITE_NOMEM;
}

/* May z be the value of a setting without effect? */
static int configNone(const ConfigNone *p, const char *z, char **pzErr){
  int bOk = 1;
  if( strcmp(z, p->zDefault)==0 ) return SQLITE_OK;
  if( p->s.eType==B ){
    bOk = sqlite3_stricmp(z, "true")==0 || sqlite3_stricmp(z, "false")==0;
  }else if( p->s.eType==L || p->s.eType==I ){
    size_t n = strlen(z);
    bOk = n>0 && n<19 && strspn(z, "0123456789")==n;
  }
  if( !bOk ) return configFail(pzErr, "Invalid value for configuration %s: %s", p->s.zName, z);
  if( !p->bFree ){
    return configFail(pzErr, "%s has no effect here: only its default, %s, is taken", p->s.zName, p->zDefault);
  }
  return SQLITE_OK;
}

/* A list without the blanks that Kafka allows in it. */
static char *configPack(const char *z){
  char *zNew = sqlite3_mprintf("%s", z);
  char *o = zNew;
  for(; zNew && *z; z++) if( *z!=' ' ) *o++ = *z;
  if( o ) *o = 0;
  return zNew;
}

int prilldSettingSet(PrillConfig *p, const char *zName, const char *zVal, char **pzErr){
  PrillConfig def;
  PrillBuf buf = {0, 0, 0};
  char *zPacked = 0;
  int i, bDefault, rc = SQLITE_OK;
  *pzErr = 0;
  for(i=0; i<NONE_N; i++){
    if( strcmp(aNone[i].s.zName, zName)==0 ) return zVal ? configNone(&aNone[i], zVal, pzErr) : SQLITE_OK;
  }
  for(i=0; i<SETTING_N && strcmp(aSetting[i].zName, zName)!=0; i++){}
  if( i==SETTING_N ) return configFail(pzErr, "Unknown topic config name: %s%s", zName, "");
  if( zVal==0 ){
    prillConfigDefault(&def);
    prilldSettingValue(&rc, &def, i, &buf, &bDefault);
    zVal = (const char*)buf.a;
  }else if( aSetting[i].eType==LIST ){
    zVal = zPacked = configPack(zVal);
    if( zPacked==0 ) rc = SQLITE_NOMEM;
  }
  if( rc==SQLITE_OK ) rc = prillConfigSet(p, zName, zVal, pzErr);
  sqlite3_free(zPacked);
  prillBufFree(&buf);
  return rc;
}
