/* out: the only ways to standard output and standard error.
 *
 * Results go to standard output, everything else (progress, notes, errors) to standard error. Writing to a
 * full disk, a closed pipe or a closed descriptor is noticed once, at wh_out_finish, and becomes the
 * exit status.
 */
#ifndef WH_APP_OUT_H
#define WH_APP_OUT_H

#include "base/err.h"

#include <jansson.h>

/* Exit statuses; documented by `whet --help`. Other failures: wh_out_status. */
enum { WH_EXIT_OK = 0, WH_EXIT_NO = 1, WH_EXIT_USAGE = 2, WH_EXIT_INTERRUPTED = 130 };

/* Call first in main: gives descriptors 0 to 2 that were closed a place, so that no file of ours can be
 * mistaken for them, and lets a closed pipe and a file size limit be errors instead of deaths. */
void wh_out_init(void);

void wh_out_puts(const char *s);
void wh_out_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* One line of JSON; takes the reference. Reals have 9 digits; keys keep their order. */
void wh_out_json(json_t *value);
void wh_out_flush(void);
/* Flush, and turn a write that failed into a sentence and a status; otherwise returns status. */
int  wh_out_finish(int status);

/* A line or a piece of one on standard error. */
void wh_out_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A line that replaces itself when standard error is a terminal; otherwise nothing is shown.
 * wh_out_progress("") removes it. */
void wh_out_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool wh_out_terminal(void); /* is standard error one? */

/* "whet: sentence" on standard error; returns the exit status for the code. */
int  wh_out_error(const wh_err *err);
int  wh_out_status(wh_code code);

/* "491 MB", "1.12 GB": powers of 1000, as disks and networks are sold. Returns buf. */
const char *wh_out_bytes(char buf[24], double bytes);
/* "1.69 TFLOP" */
const char *wh_out_flops(char buf[24], double flops);
/* "497 k", "1.69 T": the same without a unit, for tables */
const char *wh_out_count(char buf[24], double n);
/* "8 s", "2:05", "1:02:05" */
const char *wh_out_duration(char buf[24], double seconds);

#endif
