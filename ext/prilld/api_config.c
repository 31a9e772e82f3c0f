/*
** api_config.c: DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.
**
** A topic's settings are the catalog's, the same that prill_config shows.  A
** broker's are those the daemon was started with: shown, and read-only.
*/
#include "admin.h"

enum { CONFIG_TOPIC = 2, CONFIG_BROKER = 4 };                 /* resource types */
enum { CONFIG_SRC_TOPIC = 1, CONFIG_SRC_STATIC = 4, CONFIG_SRC_DEFAULT = 5 };
enum { CONFIG_SET, CONFIG_DELETE, CONFIG_APPEND, CONFIG_SUBTRACT };

/**************************************************************************
** DescribeConfigs.
*/
typedef WireDescribeConfigsReqResources DescribeIn;
typedef WireDescribeConfigsRespResults DescribeOut;
typedef WireDescribeConfigsRespResultsConfigs DescribeRow;

static int configWanted(const DescribeIn *pIn, const char *zName){
  i32 i;
  for(i=0; i<pIn->nConfigurationKeys; i++){
    if( prilldStrIs(pIn->configurationKeys[i], zName) ) return 1;
  }
  return pIn->nConfigurationKeys<=0;
}

/* One synonym after those there are. */
static void configSynonym(DescribeRow *pRow, const char *zName, WireStr value, int eSource){
  WireDescribeConfigsRespResultsConfigsSynonyms *pS = &pRow->synonyms[pRow->nSynonyms++];
  pS->name = prilldStr(zName);
  pS->value = value;
  pS->source = (i8)eSource;
}

static DescribeRow *configRow(PrilldReq *p, DescribeOut *pOut, const char *zName, WireStr value, int eType){
  const WireDescribeConfigsReq *pIn = (const WireDescribeConfigsReq*)p->pIn;
  DescribeRow *pRow = &pOut->configs[pOut->nConfigs];
  pRow->synonyms = (WireDescribeConfigsRespResultsConfigsSynonyms*)
      prilldArenaAlloc(&p->arena, pIn->includeSynonyms ? 2*(i64)sizeof(*pRow->synonyms) : 1);
  if( pRow->synonyms==0 || value.n<0 ) return 0;
  pOut->nConfigs++;
  pRow->name = prilldStr(zName);
  pRow->value = value;
  pRow->configType = (i8)eType;
  pRow->documentation = prilldStr(0);
  return pRow;
}

static int configTopic(PrilldReq *p, const DescribeIn *pIn, DescribeOut *pOut){
  const WireDescribeConfigsReq *pAsk = (const WireDescribeConfigsReq*)p->pIn;
  PrillTopic *pTopic = prilldViewTopic(&p->pD->view, pIn->resourceName.z, pIn->resourceName.n);
  const PrilldSetting *pSet;
  PrillConfig def;
  PrillBuf buf = {0, 0, 0};
  int i, bDefault, rc = SQLITE_OK;
  if( pTopic==0 ){
    if( prilldAdminName(pIn->resourceName) ) ADMIN_REFUSE(pOut, KE_UNKNOWN_TOPIC_OR_PARTITION, "This server does not"
        " host this topic-partition.");
    else ADMIN_REFUSE(pOut, KE_INVALID_TOPIC_EXCEPTION, "Topic name is invalid.");
    return SQLITE_OK;
  }
  prillConfigDefault(&def);
  for(i=0; prilldSetting(i); i++){}
  pOut->configs = (DescribeRow*)prilldArenaAlloc(&p->arena, (i64)sizeof(DescribeRow)*i);
  if( pOut->configs==0 ) return SQLITE_NOMEM;
  for(i=0; rc==SQLITE_OK && (pSet = prilldSetting(i))!=0; i++){
    DescribeRow *pRow;
    if( !configWanted(pIn, pSet->zName) ) continue;
    prilldSettingValue(&rc, &pTopic->cfg, i, &buf, &bDefault);
    if( rc!=SQLITE_OK ) break;
    pRow = configRow(p, pOut, pSet->zName, prilldStr(prilldArenaDup(&p->arena, buf.a, buf.n)), pSet->eType);
    if( pRow==0 ){ rc = SQLITE_NOMEM; break; }
    pRow->readOnly = (i8)pSet->bFixed;
    pRow->configSource = bDefault ? CONFIG_SRC_DEFAULT : CONFIG_SRC_TOPIC;
    if( pAsk->includeDocumentation ) pRow->documentation = prilldStr(pSet->zDoc);
    if( !pAsk->includeSynonyms ) continue;
    if( !bDefault ) configSynonym(pRow, pSet->zName, pRow->value, CONFIG_SRC_TOPIC);
    prilldSettingValue(&rc, &def, i, &buf, &bDefault);
    if( rc==SQLITE_OK && pSet->zBroker ){
      WireStr val = prilldStr(prilldArenaDup(&p->arena, buf.a, buf.n));
      if( val.n<0 ) rc = SQLITE_NOMEM;
      else configSynonym(pRow, pSet->zBroker, val, CONFIG_SRC_DEFAULT);
    }
  }
  prillBufFree(&buf);
  return rc;
}

/* Is it this node's number? */
static int configIsNode(PrilldReq *p, WireStr s){
  char z[24];
  sqlite3_snprintf(sizeof(z), z, "%lld", p->pD->conf.iNode);
  return prilldStrIs(s, z);
}

static int configBroker(PrilldReq *p, const DescribeIn *pIn, DescribeOut *pOut){
  const WireDescribeConfigsReq *pAsk = (const WireDescribeConfigsReq*)p->pIn;
  char zVal[24];
  const char *zName;
  int i, bDefault = 0;
  if( pIn->resourceName.n==0 ) return SQLITE_OK;      /* settings of all brokers: none */
  if( !configIsNode(p, pIn->resourceName) ){
    pOut->errorCode = KE_INVALID_REQUEST;
    pOut->errorMessage = prilldReqPrint(p, "Unexpected broker id, expected %lld or empty string.", p->pD->conf.iNode);
    return SQLITE_OK;
  }
  for(i=0; prilldConfName(&p->pD->conf, i, zVal, &bDefault); i++){}
  pOut->configs = (DescribeRow*)prilldArenaAlloc(&p->arena, (i64)sizeof(DescribeRow)*i);
  if( pOut->configs==0 ) return SQLITE_NOMEM;
  for(i=0; (zName = prilldConfName(&p->pD->conf, i, zVal, &bDefault))!=0; i++){
    DescribeRow *pRow;
    int bBool = strcmp(zVal, "true")==0 || strcmp(zVal, "false")==0;
    if( !configWanted(pIn, zName) ) continue;
    pRow = configRow(p, pOut, zName, prilldStr(prilldArenaDup(&p->arena, zVal, (i64)strlen(zVal))),
                     bBool ? PRILLD_TYPE_BOOLEAN : PRILLD_TYPE_LONG);
    if( pRow==0 ) return SQLITE_NOMEM;
    pRow->readOnly = 1;
    pRow->configSource = bDefault ? CONFIG_SRC_DEFAULT : CONFIG_SRC_STATIC;
    if( pAsk->includeSynonyms ) configSynonym(pRow, zName, pRow->value, pRow->configSource);
  }
  return SQLITE_OK;
}

void prilldApiDescribeConfigs(PrilldReq *p){
  const WireDescribeConfigsReq *pIn = (const WireDescribeConfigsReq*)p->pIn;
  WireDescribeConfigsResp *pOut = (WireDescribeConfigsResp*)p->pOut;
  i32 i;
  int rc = SQLITE_OK;
  pOut->results = (DescribeOut*)prilldReqAlloc(p, (i64)sizeof(DescribeOut)*PRILL_MAX(pIn->nResources, 1));
  if( pOut->results==0 ) return;
  pOut->nResults = pIn->nResources;
  rc = prilldViewBegin(&p->pD->view);
  if( rc!=SQLITE_OK ){
    prilldReqClose(p);
    return;
  }
  for(i=0; i<pIn->nResources && rc==SQLITE_OK; i++){
    const DescribeIn *pR = &pIn->resources[i];
    DescribeOut *pO = &pOut->results[i];
    pO->errorMessage = prilldStr(0);
    pO->resourceType = pR->resourceType;
    pO->resourceName = pR->resourceName;
    if( pR->resourceType==CONFIG_TOPIC ) rc = configTopic(p, pR, pO);
    else if( pR->resourceType==CONFIG_BROKER ) rc = configBroker(p, pR, pO);
    else ADMIN_REFUSE(pO, KE_INVALID_REQUEST, "Unsupported resource type: topics (2) and brokers (4) have settings.");
  }
  prilldViewEnd(&p->pD->view);
  if( rc==SQLITE_OK ) prilldReqReply(p);
  else prilldReqClose(p);
}

/**************************************************************************
** AlterConfigs and IncrementalAlterConfigs.
*/
typedef struct AlterOne AlterOne;
struct AlterOne { const char *zName; const char *zVal; int eOp; };
typedef struct AlterJob AlterJob;
struct AlterJob {
  AdminJob a;
  const char *zTopic;
  int bReplace;                 /* the old way: what is not named takes its default */
  AlterOne *aOne;
  i32 n;
};

/* A list with zItem's words added to zList, or taken out of it. */
static char *configList(const char *zList, const char *zItem, int bAdd){
  PrillBuf buf = {0, 0, 0};
  int rc = SQLITE_OK, iPass;
  for(iPass=0; iPass<=bAdd; iPass++){
    const char *z = iPass ? zItem : zList, *zNot = iPass ? zList : bAdd ? "" : zItem;
    while( *z ){
      size_t n = strcspn(z, ","), m;
      const char *q = zNot;
      for(m=0; *q; q+=m+(q[m]==',')){
        m = strcspn(q, ",");
        if( m==n && sqlite3_strnicmp(q, z, (int)n)==0 ) break;
      }
      if( *q==0 && n>0 ){
        if( buf.n ) prillBufAppend(&rc, &buf, ",", 1);
        prillBufAppend(&rc, &buf, z, (i64)n);
      }
      z += n + (z[n]==',');
    }
  }
  prillBufAppend(&rc, &buf, "", 1);
  if( rc==SQLITE_OK ) return (char*)buf.a;
  prillBufFree(&buf);
  return 0;
}

static int configAlterList(AlterJob *p, PrilldWriter *pW, PrillConfig *pCfg, const AlterOne *pOne, char **pzErr){
  const PrilldSetting *pSet;
  PrillBuf buf = {0, 0, 0};
  char *zNew;
  int i, bDefault, rc = SQLITE_OK;
  for(i=0; (pSet = prilldSetting(i))!=0 && strcmp(pSet->zName, pOne->zName)!=0; i++){}
  if( pSet==0 ) return prilldSettingSet(pCfg, pOne->zName, pOne->zVal, pzErr);
  if( pSet->eType!=PRILLD_TYPE_LIST ){
    return prilldAdminRefuse(pW, &p->a, KE_INVALID_CONFIG, "Can't %s to key %s because its type is not LIST.",
                             pOne->eOp==CONFIG_APPEND ? "APPEND" : "SUBTRACT", pOne->zName);
  }
  if( pSet->bFixed ) return SQLITE_OK;
  prilldSettingValue(&rc, pCfg, i, &buf, &bDefault);
  zNew = rc==SQLITE_OK ? configList((char*)buf.a, pOne->zVal, pOne->eOp==CONFIG_APPEND) : 0;
  rc = zNew ? prilldSettingSet(pCfg, pOne->zName, zNew, pzErr) : SQLITE_NOMEM;
  sqlite3_free(zNew);
  prillBufFree(&buf);
  return rc;
}

static int configAlterRun(AdminJob *pAdmin, PrilldWriter *pW){
  AlterJob *p = (AlterJob*)pAdmin;
  PrillTopic *pTopic = p->zTopic ? prillStoreTopic(pW->pStore, p->zTopic) : 0;
  PrillConfig cfg;
  int rc = SQLITE_OK;
  i32 i;
  if( p->zTopic==0 ){
    return prilldAdminRefuse(pW, pAdmin, KE_INVALID_TOPIC_EXCEPTION, "Topic name is invalid.");
  }
  if( pTopic==0 ){
    return prilldAdminRefuse(pW, pAdmin, KE_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%s' does not exist.",
                             p->zTopic);
  }
  cfg = pTopic->cfg;
  if( p->bReplace ) prillConfigDefault(&cfg);
  for(i=0; i<p->n && rc==SQLITE_OK; i++){
    AlterOne *pOne = &p->aOne[i];
    char *zErr = 0;
    if( pOne->eOp==CONFIG_APPEND || pOne->eOp==CONFIG_SUBTRACT ) rc = configAlterList(p, pW, &cfg, pOne, &zErr);
    else rc = prilldSettingSet(&cfg, pOne->zName, pOne->eOp==CONFIG_DELETE ? 0 : pOne->zVal, &zErr);
    if( rc==SQLITE_ERROR && pAdmin->iErr==KE_NONE ){
      rc = prilldAdminRefuse(pW, pAdmin, KE_INVALID_CONFIG, "%s", zErr ? zErr : "");
    }
    sqlite3_free(zErr);
  }
  if( rc==SQLITE_OK && cfg.ePartitioner==PRILL_SQLFUNC ){
    rc = prillCatalogCheckFunc(pW->pStore, cfg.zFunc);
    if( rc==SQLITE_ERROR ) pAdmin->iErr = KE_INVALID_CONFIG;
  }
  return rc==SQLITE_OK ? prillCatalogAlter(pW->pStore, p->zTopic, &cfg) : rc;
}

/* The two responses have the same fields. */
typedef WireIncrementalAlterConfigsRespResponses AlterOut;
_Static_assert(sizeof(AlterOut)==sizeof(WireAlterConfigsRespResponses), "the same fields");
_Static_assert(sizeof(WireIncrementalAlterConfigsResp)==sizeof(WireAlterConfigsResp), "the same fields");

static void configAltered(AdminJob *pAdmin){
  AlterOut *pR = (AlterOut*)pAdmin->pOut;
  ADMIN_ANSWER(pR, pAdmin);
}

/* Kafka's checks that need no store.  1: refused. */
static int configCheck(
  PrilldReq *p, i8 eType, WireStr name, const AlterOne *a, const WireStr *aName, i32 n, AlterOut *pR
){
  u8 *aTwice;
  i32 i;
  if( eType==CONFIG_BROKER ){
    if( name.n>0 && !configIsNode(p, name) ){
      pR->errorCode = KE_INVALID_REQUEST;
      pR->errorMessage = prilldReqPrint(p, "Unexpected broker id, expected %lld or empty string.", p->pD->conf.iNode);
    }else{
      ADMIN_REFUSE(pR, KE_INVALID_REQUEST, "A broker's settings cannot be changed while it runs: change prilld's"
                   " options and start it again");
    }
  }else if( eType!=CONFIG_TOPIC ){
    ADMIN_REFUSE(pR, KE_INVALID_REQUEST, "Unsupported resource type: topics (2) have settings that can be changed.");
  }
  if( pR->errorCode==KE_NONE && prilldAdminTwice(p, aName, n, &aTwice)==0 ){
    for(i=0; i<n && pR->errorCode==KE_NONE; i++){
      if( aTwice[i] ) ADMIN_REFUSE(pR, KE_INVALID_REQUEST, "Error due to duplicate config keys");
      else if( a[i].eOp<CONFIG_SET || a[i].eOp>CONFIG_SUBTRACT ){
        ADMIN_REFUSE(pR, KE_INVALID_REQUEST, "Unknown config operation: use 0 set, 1 delete, 2 append or 3 subtract");
      }else if( a[i].eOp!=CONFIG_DELETE && a[i].zVal==0 ){
        pR->errorCode = KE_INVALID_REQUEST;
        pR->errorMessage = prilldReqPrint(p, "Null value not supported for : %s", a[i].zName);
      }
    }
  }
  return pR->errorCode!=KE_NONE || p->pConn==0;
}

/* One resource of either request.  1: the connection is closed. */
static int configAlterOne(
  PrilldReq *p, AdminJob **ppList, i8 eType, WireStr name, int bTwice, int bReplace, int bTry, AlterOne *a,
  const WireStr *aName, i32 n, AlterOut *pR
){
  AlterJob *pJob;
  pR->errorMessage = prilldStr(0);
  pR->resourceType = eType;
  pR->resourceName = name;
  if( bTwice ){
    ADMIN_REFUSE(pR, KE_INVALID_REQUEST, "Each resource must appear at most once.");
    return 0;
  }
  if( configCheck(p, eType, name, a, aName, n, pR) ) return p->pConn==0;
  pJob = (AlterJob*)prilldAdminAdd(p, ppList, (i64)sizeof(*pJob));
  if( pJob==0 ) return 1;
  pJob->a.xRun = configAlterRun;
  pJob->a.xAnswer = configAltered;
  pJob->a.pOut = pR;
  pJob->a.bTry = bTry!=0;
  pJob->zTopic = prilldAdminName(name) ? prilldArenaDup(&p->arena, name.z, name.n) : 0;
  pJob->bReplace = bReplace;
  pJob->aOne = a;
  pJob->n = n;
  return 0;
}

/* What both need: the response's list, and which resources are named twice.
** Resources are told apart by type and name. */
static int configAlterBegin(PrilldReq *p, WireStr *aKey, i32 n, u8 **paTwice){
  WireIncrementalAlterConfigsResp *pOut = (WireIncrementalAlterConfigsResp*)p->pOut;
  if( prilldAdminTwice(p, aKey, n, paTwice) ) return 1;
  pOut->responses = (AlterOut*)prilldReqAlloc(p, (i64)sizeof(AlterOut)*PRILL_MAX(n, 1));
  pOut->nResponses = n;
  return pOut->responses==0;
}
static WireStr configKey(PrilldReq *p, i8 eType, WireStr name){
  WireStr s = prilldReqPrint(p, "%d:%.*s", eType, PRILL_MAX(name.n, 0), name.z);
  return s;
}
static int configAlterAlloc(PrilldReq *p, i32 n, AlterOne **pa, WireStr **paName){
  *pa = (AlterOne*)prilldReqAlloc(p, (i64)sizeof(AlterOne)*PRILL_MAX(n, 1));
  *paName = *pa ? (WireStr*)prilldReqAlloc(p, (i64)sizeof(WireStr)*PRILL_MAX(n, 1)) : 0;
  return *paName==0;
}
static void configAlterTake(PrilldReq *p, AlterOne *pOne, WireStr *pName, WireStr name, WireStr val, int eOp){
  const char *z = prilldArenaDup(&p->arena, name.z, name.n);
  *pName = name;
  pOne->zName = z ? z : "";
  pOne->zVal = prilldArenaDup(&p->arena, val.z, val.n);
  pOne->eOp = eOp;
}

void prilldApiAlterConfigs(PrilldReq *p){
  const WireAlterConfigsReq *pIn = (const WireAlterConfigsReq*)p->pIn;
  AlterOut *aOut;
  AdminJob *pList = 0;
  WireStr *aKey = (WireStr*)prilldReqAlloc(p, (i64)sizeof(WireStr)*PRILL_MAX(pIn->nResources, 1));
  u8 *aTwice;
  i32 i, j;
  for(i=0; aKey && i<pIn->nResources; i++){
    aKey[i] = configKey(p, pIn->resources[i].resourceType, pIn->resources[i].resourceName);
  }
  if( aKey==0 || configAlterBegin(p, aKey, pIn->nResources, &aTwice) ) return;
  aOut = (AlterOut*)((WireAlterConfigsResp*)p->pOut)->responses;
  for(i=0; i<pIn->nResources; i++){
    const WireAlterConfigsReqResources *pR = &pIn->resources[i];
    AlterOne *a;
    WireStr *aName;
    if( configAlterAlloc(p, pR->nConfigs, &a, &aName) ) return;
    for(j=0; j<pR->nConfigs; j++){
      configAlterTake(p, &a[j], &aName[j], pR->configs[j].name, pR->configs[j].value, CONFIG_SET);
    }
    if( configAlterOne(p, &pList, pR->resourceType, pR->resourceName, aTwice[i], 1, pIn->validateOnly, a, aName,
                       pR->nConfigs, &aOut[i]) ) return;
  }
  prilldAdminSubmit(p, pList);
}

void prilldApiIncrementalAlterConfigs(PrilldReq *p){
  const WireIncrementalAlterConfigsReq *pIn = (const WireIncrementalAlterConfigsReq*)p->pIn;
  AlterOut *aOut;
  AdminJob *pList = 0;
  WireStr *aKey = (WireStr*)prilldReqAlloc(p, (i64)sizeof(WireStr)*PRILL_MAX(pIn->nResources, 1));
  u8 *aTwice;
  i32 i, j;
  for(i=0; aKey && i<pIn->nResources; i++){
    aKey[i] = configKey(p, pIn->resources[i].resourceType, pIn->resources[i].resourceName);
  }
  if( aKey==0 || configAlterBegin(p, aKey, pIn->nResources, &aTwice) ) return;
  aOut = ((WireIncrementalAlterConfigsResp*)p->pOut)->responses;
  for(i=0; i<pIn->nResources; i++){
    const WireIncrementalAlterConfigsReqResources *pR = &pIn->resources[i];
    AlterOne *a;
    WireStr *aName;
    if( configAlterAlloc(p, pR->nConfigs, &a, &aName) ) return;
    for(j=0; j<pR->nConfigs; j++){
      configAlterTake(p, &a[j], &aName[j], pR->configs[j].name, pR->configs[j].value, pR->configs[j].configOperation);
    }
    if( configAlterOne(p, &pList, pR->resourceType, pR->resourceName, aTwice[i], 0, pIn->validateOnly, a, aName,
                       pR->nConfigs, &aOut[i]) ) return;
  }
  prilldAdminSubmit(p, pList);
}
