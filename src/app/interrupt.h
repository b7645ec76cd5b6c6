/* interrupt: Ctrl-C asks a command to finish with what it has; a second one ends the process at once. */
#ifndef WH_APP_INTERRUPT_H
#define WH_APP_INTERRUPT_H

#include <signal.h>
#include <stdbool.h>

void wh_interrupt_catch(void); /* from now on; SIGINT, SIGTERM and SIGHUP alike */
bool wh_interrupt_asked(void);
const volatile sig_atomic_t *wh_interrupt_flag(void); /* not 0: asked */

#endif
