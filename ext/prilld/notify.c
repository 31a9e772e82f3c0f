/*
** notify.c: tell systemd where it started us with Type=notify.
**
** One datagram to the socket that NOTIFY_SOCKET names: a path, or with '@'
** before it a name in the abstract namespace.  Without one nothing is done, and
** what cannot be sent is left: the service works all the same.
*/
#include "prilld.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void prilldNotify(const char *zWhat){
  const char *z = getenv("NOTIFY_SOCKET");
  struct sockaddr_un addr;
  size_t n = z ? strlen(z) : 0;
  int fd;
  if( n<2 || (z[0]!='/' && z[0]!='@') || n>=sizeof(addr.sun_path) ) return;
  memset(&addr, 0, sizeof(addr));
  addr.sun_family = AF_UNIX;
  memcpy(addr.sun_path, z, n);
  if( z[0]=='@' ) addr.sun_path[0] = 0;
  fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  if( fd<0 ) return;
  (void)sendto(fd, zWhat, strlen(zWhat), 0, (struct sockaddr*)&addr,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path)+n));
  close(fd);
}
