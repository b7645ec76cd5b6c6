#include "app/interrupt.h"

static volatile sig_atomic_t asked;

static void on_signal(int sig)
{
    (void)sig;
    asked = 1;
}

void wh_interrupt_catch(void)
{
    /* SA_RESETHAND: the second signal finds the default action. No SA_RESTART: waits end early. */
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, 0);
    sigaction(SIGTERM, &act, 0);
    sigaction(SIGHUP, &act, 0);
}

bool wh_interrupt_asked(void) { return asked; }

const volatile sig_atomic_t *wh_interrupt_flag(void) { return &asked; }
