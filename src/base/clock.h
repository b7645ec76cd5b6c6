/* clock: seconds. */
#ifndef WH_BASE_CLOCK_H
#define WH_BASE_CLOCK_H

/* Seconds since an arbitrary moment; never goes back. */
double wh_clock_now(void);

#endif
