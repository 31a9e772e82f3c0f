/*
** loop.h: what loop.c, conn.c, http.c, store_thread.c and main.c share, all of whom
** know libuv.
*/
#ifndef PRILLD_LOOP_H
#define PRILLD_LOOP_H

#include <uv.h>
#include "group.h"

#define LOOP_SCRATCH 65536

typedef struct PrilldLoop PrilldLoop;
typedef struct PrilldListener PrilldListener;
struct PrilldListener {
  uv_tcp_t tcp;
  Prilld *pD;
  PrilldAddr addr;          /* where it listens, with the port it got */
  PrilldAddr advertise;
};
struct PrilldLoop {
  uv_loop_t uv;
  uv_timer_t timer;         /* for Prilld.timers */
  uv_timer_t tick;          /* once a second: re-read, idle connections */
  uv_prepare_t prepare;     /* arms the timer before the loop sleeps */
  uv_signal_t aSignal[3];
  PrilldListener aListen[PRILLD_MX_LISTEN];
  int nListen;
  PrilldConn *pConns;       /* open connections */
  PrilldConn *pPaused, **ppPaused;   /* of these, those that wait for memory, in turn */
  int nPaused;
  PrilldConn *pGrace;       /* one that may finish a request though memory is short */
  PrilldConn *pGraceSeen;   /* at the last tick, and what it had sent */
  i64 nGraceSeen;
  i64 iPressure;            /* ms: since when memory is short, or 0 */
  u8 bResuming;
  uv_tcp_t http;            /* the listener of http.c; data NULL: none */
  void *pHttp;              /* its connections */
  int nHttp;
  u8 *aScratch;             /* what all connections read into */
  i64 iStop;                /* when draining ends */
  /* The waker: a thread that sleeps until anybody commits. */
  uv_thread_t waker;
  uv_async_t async;
  PrilldView wakeView;      /* its connection */
  PrillWake *pWake;         /* NULL: there can be none, the tick has to do */
  int bWaker;               /* it runs */
  int bWakeStop;            /* atomic */
};

/* loop.c */
int prilldLoopRun(Prilld*);                   /* until it is told to stop */
void prilldLoopNow(Prilld*);
/* Listen, where that is allowed; the port that it got is set.  The handle is to be
** closed in any case. */
int prilldLoopListen(Prilld*, uv_tcp_t*, PrilldAddr*, uv_connection_cb);
/* http.c */
int prilldHttpStart(Prilld*);                 /* where metrics.listener is set */
void prilldHttpTick(PrilldLoop*, i64 now);
void prilldHttpStop(PrilldLoop*);
/* conn.c */
void prilldConnAccept(PrilldListener*);
void prilldConnTick(PrilldLoop*, Prilld*);    /* close those idle for too long, or that hold memory others need */
void prilldConnCloseAll(PrilldLoop*);
int prilldConnBusy(const PrilldLoop*);        /* requests not yet answered */
void prilldConnResume(Prilld*);               /* memory is there again */
/* store_thread.c */
int prilldStoreStart(Prilld*, PrilldLoop*);   /* opens the store, starts the thread */
void prilldStoreStop(Prilld*);                /* does what is queued, ends the thread */
void prilldStoreClosed(Prilld*);              /* after the loop has run its closing callbacks */

#endif
