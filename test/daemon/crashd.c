/*
** crashd.c: prilld on the VFS "crash", for test/prilldcrash.test.
**
** The daemon itself, its objects as they are, main() and all; below it
** test/fixture/crashvfs.c is the default VFS, so that every write and sync of
** database and log goes through it.  The environment says when the power fails:
**
**   CRASHD_OP      at this operation from now, 0: never
**   CRASHD_KIND    any, write, sync, ...: which are counted
**   CRASHD_AFTER   1: after it
**   CRASHD_DAMAGE  auto, drop-all, ...
**   CRASHD_SEED    a number
**   CRASHD_REPORT  a file that gets a line for it
**   CRASHD_BOOT    the kernel's boot id
**
** Then the process ends with status 3.
*/
#include "prillInt.h"
#include "vfsshim.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int prilldMain(int argc, char **argv);

static i64 crashdNumber(const char *zName){
  const char *z = getenv(zName);
  return z ? (i64)atoll(z) : 0;
}

/* The variable's place in a list of names; the first when it is not set. */
static int crashdWord(const char *zName, const char *const *az){
  const char *z = getenv(zName);
  int i;
  for(i=0; z && az[i]; i++) if( strcmp(az[i], z)==0 ) return i;
  if( z==0 ) return 0;
  fprintf(stderr, "%s=%s: no such word\n", zName, z);
  exit(2);
}

int main(int argc, char **argv){
  CrashPlan plan;
  prillFileSetBootId(getenv("CRASHD_BOOT"));
  if( sqlite3_initialize()!=SQLITE_OK || crashvfsInit()!=SQLITE_OK ) return 1;
  if( sqlite3_vfs_register(sqlite3_vfs_find("crash"), 1)!=SQLITE_OK ) return 1;
  memset(&plan, 0, sizeof(plan));
  plan.iOp = crashdNumber("CRASHD_OP");
  plan.eKind = crashdWord("CRASHD_KIND", azCrashKind);
  plan.bAfter = crashdNumber("CRASHD_AFTER")!=0;
  plan.eDamage = crashdWord("CRASHD_DAMAGE", azCrashDamage);
  plan.iSeed = (sqlite3_uint64)crashdNumber("CRASHD_SEED");
  plan.zReport = getenv("CRASHD_REPORT");
  if( crashvfsArm(&plan) ) return 1;
  return prilldMain(argc, argv);
}
