/* What the examples share: serving until Ctrl-C, and saying what went wrong. */
#ifndef EXAMPLES_COMMON_H
#define EXAMPLES_COMMON_H

#include <spanwire.h>

/* Listens on `address` and gives each event to `handle`, until Ctrl-C. Then running calls may finish, for five
 * seconds at most. Says on standard output where it listens, in a form that clients take as their target. Answers
 * the exit code. */
int serve(spanwire_server *server, spanwire_queue *queue, const char *address,
          void (*handle)(void *self, spanwire_event *event), void *self);

/* Prints why `what` failed, in the words of the library; answers the exit code. */
int failed(const char *what);

/* Prints how a call ended, unless it is OK; answers the exit code. */
int outcome(const spanwire_status *status);

#endif
