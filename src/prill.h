/*
** prill.h: topics, partitions, offsets and consumer groups in a SQLite
** database.  The library's only public header.
**
** CAVEATS
**
**  - A store is a database file and its log directory: app.db and app.db-log.
**    Copy both or neither.
**  - One kernel shares a store: not NFS, not a host and its virtual machine.
**  - Every function here takes the caller's sqlite3* and obeys its thread
**    rule: one thread at a time on a connection.
**  - The library opens no connection, starts no thread and reads no clock but
**    the VFS's.
**
** Result codes are SQLite's.
*/
#ifndef PRILL_H
#define PRILL_H

#include <sqlite3.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PRILL_VERSION        "0.1.0"
#define PRILL_VERSION_NUMBER 1000     /* major*1000000 + minor*1000 + patch */

#ifndef PRILL_API
# ifdef __GNUC__
#  define PRILL_API __attribute__((visibility("default")))
# else
#  define PRILL_API
# endif
#endif

/*
** CAPI: Version
**
** PRILL_VERSION of the library that is running, static text.
** Any thread.  Never fails.
*/
PRILL_API const char *prill_version(void);

/*
** CAPI: Initialisation
**
** Register the modules topic and prill_*, and the functions prill_*, with a
** connection.  For a program that links prill; a loadable extension calls
** sqlite3_prill_init instead.  Calling it twice on a connection is harmless.
**
** Result: SQLITE_OK, SQLITE_NOMEM, or the error of sqlite3_create_module_v2().
*/
PRILL_API int prill_init(sqlite3 *db);

/*
** CAPI: Entry point of the loadable extension
**
** What sqlite3_load_extension() and ".load ./prill" call.  *pzErrMsg, when
** set, is sqlite3_malloc memory the caller frees.
*/
struct sqlite3_api_routines;
PRILL_API int sqlite3_prill_init(sqlite3 *db, char **pzErrMsg,
                                 const struct sqlite3_api_routines *pApi);

#ifdef __cplusplus
}
#endif
#endif /* PRILL_H */
